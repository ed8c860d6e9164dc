//! Other readers agree with what is written, and `qemu-img` with what is read. A reader that is not installed is
//! skipped; `IMGFMT_REQUIRE_ORACLES=1` makes that a failure. `IMGFMT_DISSECT_PYTHON` is a Python that has
//! `dissect.hypervisor`.

#[cfg(test)]
#[path = "oracle/readers.rs"]
mod readers;

#[cfg(test)]
#[path = "oracle/stripes.rs"]
mod stripes;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use imgfmt_core::conformance::{Disk, Fill, read_all};
    use imgfmt_core::convert::Convert;
    use imgfmt_core::{
        Backing, Beneath, Chain, CreateRequest, DenyAll, FileStorage, FileTarget, Format, Identity, Image, Limits,
        OpenContext, Opener, Options, ParentName, Replay, Replayed,
    };
    use imgfmt_vhdx::Vhdx;

    use super::readers::{PYTHON_READERS, has_qemu_img, qemu_img, read_by};
    use super::stripes::{striped, unpack};

    /// A disk with text, noise, zeros, and an end that is no whole block.
    fn disk() -> Disk {
        let end = (7 << 20) - 4096 * 3;
        Disk::new(
            "oracle",
            end,
            &[(0..200_000, Fill::Text), (1 << 20..2_500_000, Fill::Noise), (6 << 20..end, Fill::Text)],
        )
    }

    /// Opens the file with all that it builds on.
    fn open(path: &Path) -> Chain {
        let (formats, limits): ([&dyn Format; 1], _) = ([&Vhdx], Limits::default());
        let mut gate = Beneath::new();
        gate.allow_beside(path).unwrap();
        let storage = Arc::new(FileStorage::open(path).unwrap());
        Opener::new(&formats, &gate, &limits).open(storage, Some(path), None).unwrap()
    }

    /// Writes `source` to the file; as a layer over `backing`, what is not of its first layer is left to that.
    fn write(path: &Path, source: &dyn Image, options: &str, backing: Option<&Backing>) {
        let file = std::fs::File::create_new(path).unwrap();
        let target = Arc::new(FileTarget::new(file).unwrap());
        let options = Options::parse(options).unwrap();
        let request = CreateRequest { backing, ..CreateRequest::new(source.size(), &options) };
        let writer = Vhdx.create(target, &request).unwrap();
        let absent_from = backing.map(|_| 1);
        Convert { absent_from, ..Convert::default() }.run(source, writer).unwrap();
    }

    #[test]
    fn what_is_written_is_what_others_read() {
        let disk = disk();
        for options in [
            "",
            "block_size=1M,block_state_zero=on",
            "block_size=16M,log_size=3M,physical_sector_size=512",
            "subformat=fixed",
            "subformat=fixed,block_size=1M",
            "logical_sector_size=4096",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("disk.vhdx");
            write(&path, &disk.image(), options, None);
            assert!(read_all(&open(&path)) == disk.bytes, "{options}");
            for reader in PYTHON_READERS {
                if let Some(bytes) = read_by(reader, &path, None) {
                    assert!(bytes == disk.bytes, "{options}: {} reads another disk", reader.name);
                }
            }
            // qemu-img knows sectors of 512 bytes alone.
            if !options.contains("4096") && has_qemu_img() {
                qemu_img(folder.path(), &["check", "-f", "vhdx", "disk.vhdx"]);
                qemu_img(folder.path(), &["convert", "-f", "vhdx", "-O", "raw", "disk.vhdx", "disk.raw"]);
                let bytes = std::fs::read(folder.path().join("disk.raw")).unwrap();
                assert!(bytes == disk.bytes, "{options}: qemu-img reads another disk");
            }
        }
    }

    #[test]
    fn a_layer_is_what_others_read() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base.vhdx");
        let below = Disk::new("below", 7 << 20, &[(0..7 << 20, Fill::Noise)]);
        write(&base, &below.image(), "", None);
        let identities: Vec<Identity> = open(&base).describe().identities;
        let name = ParentName { name: "base.vhdx".into(), format: Some("vhdx".to_owned()) };
        let backing = Backing { name, identities, size: 7 << 20, ..Backing::default() };
        // Layer 0 is what another child of the same parent has: blocks that are whole, in part, and not at all its own.
        for (number, len) in [(0, 7 << 20), (1, 3 << 20)] {
            let top = folder.path().join(format!("top-{number}.vhdx"));
            let changed = Disk::new("top", 7 << 20, &[(0..len, Fill::Text)]);
            write(&top, &changed.image(), "block_size=1M", Some(&backing));
            let pieces = striped(open(&top), open(&base));
            let child = folder.path().join(format!("child-{number}.vhdx"));
            write(&child, &pieces, "block_size=2M", Some(&backing));
            let expected = read_all(&pieces);
            assert!(read_all(&open(&child)) == expected);
            for reader in PYTHON_READERS.iter().filter(|reader| reader.sees_zero_blocks || number == 0) {
                if let Some(bytes) = read_by(reader, &child, Some(&base)) {
                    assert!(bytes == expected, "{} reads another disk", reader.name);
                }
            }
        }
    }

    /// Replays the log of the file, in the file.
    fn replay(path: &Path) -> Option<Replayed> {
        let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
        let target = FileTarget::new(file.try_clone().unwrap()).unwrap();
        let limits = Limits::default();
        let context = OpenContext::new(&limits, &DenyAll);
        Vhdx.replay(Arc::new(FileStorage::from_file(file).unwrap()), &target, &context).unwrap()
    }

    #[test]
    fn a_replay_is_what_qemu_img_does() {
        if !has_qemu_img() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let [ours, theirs] = ["ours.vhdx", "theirs.vhdx"].map(|name| folder.path().join(name));
        for name in [
            "around-the-end",
            "entry-around-the-end",
            "grows",
            "many-descriptors",
            "older-sequence",
            "other-guid",
            "table",
            "tail-moved",
            "three-entries",
            "torn",
            "zeros",
        ] {
            let bytes = unpack(&format!("valid/log-{name}.vhdx.gz"));
            std::fs::write(&ours, &bytes).unwrap();
            std::fs::write(&theirs, &bytes).unwrap();
            let before = read_all(&open(&ours));
            assert!(replay(&ours).is_some(), "{name}");
            assert!(read_all(&open(&ours)) == before, "{name}: the disk is another");
            qemu_img(folder.path(), &["check", "-f", "vhdx", "ours.vhdx"]);
            // qemu-img 10 does not make the file as long as the log says, and refuses entries of several sectors of
            // descriptors.
            if !["grows", "many-descriptors"].contains(&name) {
                qemu_img(folder.path(), &["check", "-f", "vhdx", "-r", "all", "theirs.vhdx"]);
                qemu_img(folder.path(), &["compare", "-f", "vhdx", "-F", "vhdx", "ours.vhdx", "theirs.vhdx"]);
            }
            qemu_img(folder.path(), &["convert", "-f", "vhdx", "-O", "raw", "ours.vhdx", "disk.raw"]);
            assert!(std::fs::read(folder.path().join("disk.raw")).unwrap() == before, "{name}: qemu-img reads another");
            assert_eq!(replay(&ours), None, "{name}");
        }
    }

    #[test]
    fn what_was_repaired_is_what_qemu_img_reads() {
        if !has_qemu_img() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.vhdx");
        for name in ["log-table", "log-three-entries", "header-1-damaged", "header-2-damaged", "region-table-1-damaged"]
        {
            std::fs::write(&path, unpack(&format!("valid/{name}.vhdx.gz"))).unwrap();
            let before = read_all(&open(&path));
            let medium = Arc::new(imgfmt_core::FileMedium::open(&path, imgfmt_core::Locking::Write).unwrap());
            let (limits, mut findings) = (Limits::default(), imgfmt_core::Findings::new());
            let check = Vhdx.abilities().check.unwrap();
            let context = OpenContext::new(&limits, &DenyAll);
            check.repair(medium, imgfmt_core::Repair::All, &context, &mut findings).unwrap();
            assert_eq!(findings.fixed(imgfmt_core::Severity::Corruption), 1, "{name}");
            assert!(read_all(&open(&path)) == before, "{name}");
            qemu_img(folder.path(), &["check", "-f", "vhdx", "disk.vhdx"]);
            qemu_img(folder.path(), &["convert", "-f", "vhdx", "-O", "raw", "disk.vhdx", "disk.raw"]);
            assert!(std::fs::read(folder.path().join("disk.raw")).unwrap() == before, "{name}: qemu-img reads another");
        }
    }

    #[test]
    fn what_qemu_img_writes_reads_back() {
        if !has_qemu_img() {
            return;
        }
        let (folder, disk) = (tempfile::tempdir().unwrap(), disk());
        std::fs::write(folder.path().join("disk.raw"), &disk.bytes).unwrap();
        for options in [
            "subformat=dynamic",
            "subformat=fixed",
            "subformat=dynamic,block_size=1M",
            "subformat=dynamic,block_size=2M,block_state_zero=off",
            "subformat=fixed,block_size=4M,log_size=2M",
        ] {
            qemu_img(folder.path(), &["convert", "-f", "raw", "-O", "vhdx", "-o", options, "disk.raw", "disk.vhdx"]);
            let image = open(&folder.path().join("disk.vhdx"));
            assert!(read_all(&image) == disk.bytes, "{options}");
            let said = image.describe();
            assert!(options.contains(said.subformat.as_deref().unwrap()), "{options}: {:?}", said.subformat);
            assert!(said.creator.unwrap().starts_with("QEMU"));
        }
    }
}
