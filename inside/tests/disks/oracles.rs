//! What other programs make is found, and called as `blkid` and `sfdisk` call it. Skipped where they are not installed;
//! `IMGFMT_REQUIRE_ORACLES=1` makes that a failure for those that tests cannot do without.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::{embed, empty_file, look_at_file};
use imgfmt_inside::{Inside, Signature, TableKind};
use serde_json::Value;

#[test]
fn file_systems_are_called_as_blkid_calls_them() {
    if !needs("blkid") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (volume, disk) = (folder.path().join("volume"), folder.path().join("disk"));
    let mut seen = Vec::new();
    for &(program, options, mib) in MAKERS {
        empty_file(&volume, mib << 20);
        let Some(made) = run(program, options, &volume) else {
            assert!(!NEEDED.contains(&program) || !required(), "{program} is not installed");
            continue;
        };
        assert!(made.status.success(), "{program} {options:?}: {}", String::from_utf8_lossy(&made.stderr));
        let said = blkid(&volume);
        let inside = look_at_file(&volume);
        check(&format!("{program} {options:?}"), &inside.signatures, &said);
        assert!(inside.partitions.is_empty() && inside.tables.is_empty(), "{program}: {inside:?}");
        // The same in a partition of a disk.
        empty_file(&disk, (mib + 2) << 20);
        embed(&volume, &disk, 1 << 20);
        partition(&disk, mib << 11);
        let inside = look_at_file(&disk);
        check(&format!("{program} {options:?} in a partition"), &inside.partitions[0].signatures, &said);
        assert!(inside.signatures.is_empty(), "{program}: {:?}", inside.signatures);
        assert!(inside.findings.is_empty(), "{program}: {:?}", inside.findings);
        seen.push(program);
    }
    say(&format!("looked at what {} made", seen.join(", ")));
}

#[test]
fn partitions_are_those_of_sfdisk() {
    if !needs("sfdisk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    for script in SCRIPTS {
        empty_file(&disk, 64 << 20);
        let layout = folder.path().join("layout");
        std::fs::write(&layout, script).unwrap();
        let shell = format!("sfdisk -q {} < {}", disk.display(), layout.display());
        let made = Command::new("sh").args(["-c", &shell]).env("PATH", path()).output().unwrap();
        assert!(made.status.success(), "{script}: {}", String::from_utf8_lossy(&made.stderr));
        let said = run("sfdisk", &["--json"], &disk).unwrap();
        let said: Value = serde_json::from_slice(&said.stdout).unwrap();
        compare(&look_at_file(&disk), &said["partitiontable"], script);
    }
}

/// Compares a table with what `sfdisk` says of it.
fn compare(inside: &Inside, said: &Value, script: &str) {
    assert!(inside.findings.is_empty(), "{script}: {:?}", inside.findings);
    let kind = if said["label"] == "gpt" { TableKind::Gpt } else { TableKind::Mbr };
    let table = inside.tables.iter().find(|table| table.kind == kind).unwrap();
    let id = said["id"].as_str().unwrap().to_lowercase();
    assert_eq!(table.id.as_deref(), Some(id.trim_start_matches("0x")), "{script}");
    let expected = said["partitions"].as_array().unwrap();
    assert_eq!(inside.partitions.len(), expected.len(), "{script}");
    for (found, expected) in inside.partitions.iter().zip(expected) {
        assert_eq!((found.start, found.len), (bytes(&expected["start"]), bytes(&expected["size"])), "{script}");
        assert_eq!(found.type_id, format!("{:0>2}", expected["type"].as_str().unwrap().to_lowercase()), "{script}");
        let bootable =
            expected["bootable"] == true || expected["attrs"].as_str().is_some_and(|text| text.contains("Boot"));
        assert_eq!(found.bootable, bootable, "{script}");
        assert_eq!(found.name.as_deref(), expected["name"].as_str(), "{script}");
        let id = expected["uuid"].as_str().map(str::to_lowercase);
        assert_eq!(found.id, id, "{script}");
        assert!(expected["node"].as_str().unwrap().ends_with(&found.number.to_string()), "{script}");
    }
}

/// Sectors in bytes.
fn bytes(sectors: &Value) -> u64 {
    sectors.as_u64().unwrap() * 512
}

/// Compares signatures with what `blkid` says.
fn check(name: &str, found: &[Signature], said: &HashMap<String, String>) {
    let [found] = found else { panic!("{name}: {found:?}") };
    let kind = match said["TYPE"].as_str() {
        "vfat" => found.kind.replace(char::is_numeric, "").replace("fat", "vfat"),
        "crypto_LUKS" => found.kind.replace("luks", "crypto_LUKS"),
        _ => found.kind.to_owned(),
    };
    assert_eq!(kind, said["TYPE"], "{name}");
    // Labels of NTFS and exFAT are files, which is further in than is looked.
    if !["ntfs", "exfat"].contains(&found.kind) {
        assert_eq!(found.label.as_ref(), said.get("LABEL"), "{name}");
    }
    // Of a disc, blkid calls a date its UUID.
    if !["iso9660", "udf", "squashfs"].contains(&found.kind) {
        assert_eq!(found.uuid.as_ref(), said.get("UUID"), "{name}");
    }
    // Where a file system has no blocks for its last bytes, it is shorter than what it lies in.
    if let (Some(len), Some(size)) = (found.len, said.get("FSSIZE").and_then(|size| size.parse::<u64>().ok())) {
        assert!(len >= size, "{name}: {len} is less than {size}");
    }
}

/// What `blkid` says of a volume.
fn blkid(volume: &Path) -> HashMap<String, String> {
    let said = run("blkid", &["-p", "-o", "export"], volume).unwrap();
    let text = String::from_utf8_lossy(&said.stdout).replace('\\', "");
    text.lines().filter_map(|line| line.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect()
}

/// Gives a disk an MBR with one partition of `sectors` sectors at 1 MiB.
fn partition(disk: &Path, sectors: u64) {
    use std::os::unix::fs::FileExt;
    let mut sector = vec![0; 512];
    sector[450] = 0x83;
    sector[454..458].copy_from_slice(&2048u32.to_le_bytes());
    sector[458..462].copy_from_slice(&u32::try_from(sectors).unwrap().to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let file = std::fs::OpenOptions::new().write(true).open(disk).unwrap();
    file.write_all_at(&sector, 0).unwrap();
}

/// Runs a program on a file, which takes the place of [`FILE`] or comes last; nothing where it is not installed.
fn run(program: &str, options: &[&str], file: &Path) -> Option<Output> {
    let mut command = Command::new(program);
    match options.iter().position(|&option| option == FILE) {
        None => command.args(options).arg(file),
        Some(at) => command.args(&options[..at]).arg(file).args(&options[at + 1..]),
    };
    command.env("PATH", path()).output().ok()
}

/// Whether a program is there; says so where it is not.
fn needs(program: &str) -> bool {
    let there = run(program, &["--version"], Path::new("")).is_some();
    assert!(there || !required(), "{program} is not installed");
    if !there {
        say(&format!("skipped: {program} is not installed"));
    }
    there
}

/// Whether programs have to be there.
fn required() -> bool {
    std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_some()
}

/// Where programs are: the folders of administrators count too.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Says something in the output of the test.
fn say(what: &str) {
    eprintln!("{what}");
}

/// Programs that make something to look at, with their options and how many MiB they take.
const MAKERS: &[(&str, &[&str], u64)] = &[
    ("mkfs.ext2", &["-q", "-F", "-t", "ext2", "-L", "zwei"], 8),
    ("mkfs.ext3", &["-q", "-F", "-t", "ext3", "-b", "1024"], 8),
    ("mkfs.ext4", &["-q", "-F", "-t", "ext4", "-L", "vier", "-O", "64bit"], 8),
    ("mkfs.ext4", &["-q", "-F", "-O", "journal_dev"], 8),
    ("mkfs.xfs", &["-q", "-f", "-L", "xlabel"], 300),
    ("mkfs.btrfs", &["-q", "-f", "-L", "butter"], 120),
    ("mkswap", &["-L", "swapped"], 4),
    ("mkfs.fat", &["-F", "12", "-n", "TWELVE"], 4),
    ("mkfs.fat", &["-F", "16"], 32),
    ("mkfs.fat", &["-F", "32", "-n", "BIG"], 64),
    ("mkfs.ntfs", &["-q", "-F", "-L", "windows"], 8),
    ("mkfs.exfat", &[], 8),
    ("mkfs.f2fs", &["-q", "-l", "flash"], 64),
    ("mkfs.jfs", &["-q", "-L", "jay"], 16),
    ("mkfs.reiserfs", &["-q", "-f", "-f", "-l", "reiser"], 36),
    ("mkfs.udf", &["--label=disc"], 4),
    ("mkfs.udf", &["--blocksize=4096", "--label=other"], 6),
    ("mkfs.erofs", &[FILE, "src"], 1),
    ("mksquashfs", &["src", FILE, "-noappend", "-quiet"], 1),
    ("genisoimage", &["-quiet", "-V", "CDLABEL", "-o", FILE, "src"], 1),
    (
        "cryptsetup",
        &["luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations", "1000", "--key-file", "/etc/hostname"],
        4,
    ),
    (
        "cryptsetup",
        &[
            "luksFormat",
            "-q",
            "--type",
            "luks2",
            "--label",
            "crypt",
            "--pbkdf",
            "pbkdf2",
            "--pbkdf-force-iterations",
            "1000",
            "--key-file",
            "/etc/hostname",
        ],
        20,
    ),
];
/// Stands for the file in options.
const FILE: &str = "@";
/// Those of them that have to be there where oracles are required.
const NEEDED: &[&str] = &["mkfs.ext2", "mkfs.ext3", "mkfs.ext4", "mkswap"];
/// Disks as `sfdisk` lays them out.
const SCRIPTS: &[&str] = &[
    "label: dos\nlabel-id: 0x12345678\nstart=2048, size=20480, type=83, bootable\nsize=10240, type=82\n",
    "label: dos\nsize=4096, type=c\nsize=100000, type=5\nsize=4096, type=83\nsize=4096, type=83\nsize=8192, type=8e\n",
    "label: gpt\nsize=20480, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=\"EFI\"\nname=\"root and more\"\n",
    "label: gpt\nsize=2048, attrs=\"LegacyBIOSBootable\"\n",
];
