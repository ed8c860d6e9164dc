//! What is said of discs, and what `blkid` says of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use imgfmt_core::{DenyAll, Description, FileStorage, Format, Limits, MemoryStorage, OpenContext};
use imgfmt_iso::Iso;

#[test]
fn a_disc_with_everything_says_so() {
    let said = describe("full.iso");
    assert_eq!(said.subformat.as_deref(), Some("iso9660"));
    assert_eq!(said.features, ["joliet", "rock-ridge", "el-torito", "hybrid-mbr", "hybrid-gpt"]);
    assert_eq!(said.creator.as_deref(), Some("PREPARER"));
    let details = &said.details;
    assert_eq!(details["volume"]["id"], "FULL_DISC");
    assert_eq!(details["volume"]["created"], "2024-05-06T07:08:09.00+01:00");
    assert_eq!(details["volume"]["length"], 28 * 2048);
    assert_eq!((&details["joliet"]["level"], &details["joliet"]["volume-id"]), (&3.into(), &"Full disc ä".into()));
    assert_eq!(details["extensions"][0], "RRIP_1991A");
    let catalog = &details["boot-catalog"];
    assert_eq!((&catalog["valid"], &catalog["id"]), (&true.into(), &"IMGFMT".into()));
    assert_eq!((&catalog["entries"][0]["platform"], &catalog["entries"][0]["load-lba"]), (&"x86".into(), &27.into()));
    assert_eq!(
        (&catalog["entries"][1]["platform"], &catalog["entries"][1]["bootable"]),
        (&"UEFI".into(), &true.into())
    );
    assert_eq!((&details["mbr"][0]["type"], &details["mbr"][0]["sectors"]), (&"0x17".into(), &112.into()));
}

#[test]
fn other_discs_say_what_they_are() {
    let sierra = describe("high-sierra.iso");
    assert_eq!(
        (sierra.subformat.as_deref(), &sierra.details["volume"]["id"]),
        (Some("high-sierra"), &"OLD_DISC".into())
    );
    let whole = describe("mode1.bin");
    assert_eq!((&whole.details["sector-length"], whole.features), (&2352.into(), vec!["whole-sectors".to_owned()]));
    let udf = describe("udf-512.udf");
    assert_eq!((udf.subformat.as_deref(), udf.creator.as_deref()), (Some("udf"), Some("*imgfmt recipe")));
    let details = &udf.details["udf"];
    assert_eq!((&details["revision"], &details["logical-volume-id"]), (&"2.01".into(), &"Logical é".into()));
    assert_eq!((&details["block-size"], &details["partitions"][0]["blocks"]), (&512.into(), &7.into()));
}

#[test]
fn a_truncated_disc_is_described_but_not_opened() {
    let bytes = std::fs::read(sample("full.iso")).unwrap();
    let limits = Limits::default();
    for (len, described) in
        [(bytes.len() - 1, true), (50_000, true), (20 * 2048, true), (19 * 2048, false), (100, false)]
    {
        let storage = || Arc::new(MemoryStorage::new(&bytes[..len]));
        let context = OpenContext::new(&limits, &DenyAll);
        let refused = Iso.open(storage(), &context).err().unwrap();
        assert_eq!(refused.kind().name(), "out-of-bounds", "{len}: {refused}");
        let said = Iso.open(storage(), &OpenContext { describe_only: true, ..context }).map(|o| o.image.describe());
        match said {
            Ok(said) => assert!(described && said.details["truncated"].as_str().unwrap().contains("Volume Space Size")),
            Err(error) => assert!(!described, "{len}: {error}"),
        }
    }
}

#[test]
fn blkid_reads_the_same_names() {
    let facts = [
        ("full.iso", "LABEL_ENC", "Full\\x20disc\\x20ä"),
        ("full.iso", "PUBLISHER_ID", "PUBLISHER"),
        ("high-sierra.iso", "LABEL", "OLD_DISC"),
        ("udf-512.udf", "VERSION", "2.01"),
        ("udf-512.udf", "BLOCK_SIZE", "512"),
    ];
    for (name, key, value) in facts {
        let Some(said) = blkid(&sample(name)) else { return };
        let found = said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        // Whether a label is shown in its own characters depends on the version.
        assert!(found.is_some_and(|found| found == value || key == "LABEL_ENC"), "{name}: {key} in {said}");
    }
}

/// What `blkid` says, if it is there.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn blkid(path: &Path) -> Option<String> {
    let program = ["/usr/sbin/blkid", "/sbin/blkid", "blkid"]
        .into_iter()
        .find(|program| Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok());
    assert!(program.is_some() || std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "blkid is not installed");
    let Some(program) = program else {
        eprintln!("skipped: blkid is not installed");
        return None;
    };
    let output = Command::new(program).args(["-p", "-o", "udev"]).arg(path).output().expect("it is installed");
    Some(String::from_utf8_lossy(&output.stdout).replace("ID_FS_", ""))
}

/// What is said of a sample.
fn describe(name: &str) -> Description {
    let storage = Arc::new(FileStorage::open(&sample(name)).expect("it is there"));
    let limits = Limits::default();
    let opened = Iso.open(storage, &OpenContext::new(&limits, &DenyAll)).expect("it is valid");
    opened.image.describe()
}

/// The path of a sample.
fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/iso/valid").join(name)
}
