//! `snapshot` and `amend`.

use imgfmt::{ErrorKind, Options, SnapshotAction};

use super::support::{Folder, KINDS, Kind, Outcome, disk, has_qemu_img, qemu_img, whole};

#[test]
fn a_state_is_kept_applied_and_deleted() -> Outcome {
    for kind in Kind::edited().filter(|kind| kind.abilities().snapshots.is_some()) {
        let folder = Folder::new()?;
        let first = disk(2 << 20, 31);
        kind.make(&folder, "disk", &first)?;
        let (source, access) = (kind.source(&folder, "disk"), folder.access());
        let act = |action| imgfmt::snapshot(&source, &action, &access).map_err(|e| format!("{kind:?}: {}", whole(&e)));
        act(SnapshotAction::Create("one".into()))?;
        let again = imgfmt::snapshot(&source, &SnapshotAction::Create("one".into()), &access);
        assert_eq!(again.map_err(|e| e.kind()), Err(ErrorKind::Invalid), "the name is taken");
        let second = disk(2 << 20, 32);
        kind.write(&folder, "disk", 0, &second)?;
        folder.assert_holds("disk", kind, &second, "after the snapshot")?;
        let list = imgfmt::snapshots(&source, &access)?;
        assert_eq!(list.iter().map(|snapshot| snapshot.name.as_str()).collect::<Vec<_>>(), ["one"]);
        if has_qemu_img() {
            assert!(qemu_img(&folder, &["snapshot", "-l", "disk"])?.contains("one"));
        }
        act(SnapshotAction::Apply("one".into()))?;
        folder.assert_holds("disk", kind, &first, "applied")?;
        act(SnapshotAction::Delete("one".into()))?;
        folder.assert_holds("disk", kind, &first, "deleted")?;
        assert!(imgfmt::snapshots(&source, &access)?.is_empty());
        let gone = imgfmt::snapshot(&source, &SnapshotAction::Apply("one".into()), &access);
        assert_eq!(gone.map_err(|e| e.kind()), Err(ErrorKind::Missing));
    }
    Ok(())
}

#[test]
fn what_a_format_cannot_is_refused_by_name() -> Outcome {
    let folder = Folder::new()?;
    for kind in KINDS {
        kind.make(&folder, "disk", &disk(1 << 20, 33))?;
        let (source, access) = (kind.source(&folder, "disk"), folder.access());
        let refused = |done: imgfmt::Result<()>| {
            let error = done.unwrap_err();
            assert!(error.kind() == ErrorKind::Unsupported && whole(&error).contains(kind.format), "{}", whole(&error));
        };
        if kind.abilities().snapshots.is_none() {
            refused(imgfmt::snapshots(&source, &access).map(drop));
            refused(imgfmt::snapshot(&source, &SnapshotAction::Create("x".into()), &access).map(drop));
        }
        if kind.abilities().amend.is_none() {
            refused(imgfmt::amend(&source, &Options::new(), false, &access));
            refused(imgfmt::amend_options_of(kind.format).map(drop));
        }
        if kind.abilities().bitmaps.is_none() {
            refused(imgfmt::change_bitmap(&source, "x", &[], &access).map(drop));
        }
    }
    Ok(())
}

#[test]
fn amended_options_are_what_the_other_program_sees() -> Outcome {
    for kind in Kind::edited().filter(|kind| kind.abilities().amend.is_some() && kind.format == "qcow2") {
        let folder = Folder::new()?;
        let bytes = disk(1 << 20, 34);
        kind.make(&folder, "disk", &bytes)?;
        let (source, access) = (kind.source(&folder, "disk"), folder.access());
        let wrong = imgfmt::amend(&source, &Options::parse("no_such=1")?, false, &access);
        assert_eq!(wrong.map_err(|e| e.kind()), Err(ErrorKind::Invalid));
        let options = Options::parse("compat=1.1,refcount_bits=32")?;
        imgfmt::amend(&source, &options, false, &access).map_err(|e| whole(&e))?;
        if has_qemu_img() {
            let info = qemu_img(&folder, &["info", "disk"])?;
            assert!(info.contains("compat: 1.1") && info.contains("refcount bits: 32"), "{info}");
        }
        folder.assert_holds("disk", kind, &bytes, "amended")?;
    }
    Ok(())
}
