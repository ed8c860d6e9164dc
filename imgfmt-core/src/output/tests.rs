//! Files that appear when they are whole, and those that are overwritten.

use super::*;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = folder.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_appears_when_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.img");
    let output = Output::create(&path).unwrap();
    output.target().write_at(b"new", 0).unwrap();
    assert!(!path.exists());
    output.commit(true).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(names(dir.path()), ["out.img"]);
}

#[test]
fn a_dropped_output_leaves_the_old_file_and_no_litter() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.img");
    std::fs::write(&path, b"old").unwrap();
    let output = Output::create(&path).unwrap();
    output.target().write_at(b"new and longer", 0).unwrap();
    drop(output);
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(names(dir.path()), ["out.img"]);
}

#[test]
fn a_link_keeps_pointing_and_permissions_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("real.img"), dir.path().join("link.img"));
    std::fs::write(&path, b"old").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.img", &link).unwrap();
    let output = Output::create(&link).unwrap();
    output.target().write_at(b"new", 0).unwrap();
    output.commit(false).unwrap();
    assert!(link.is_symlink());
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn what_others_write_to_is_neither_replaced_nor_overwritten() {
    use crate::FileMedium;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.img");
    std::fs::write(&path, b"old").unwrap();
    let writer = FileMedium::open(&path, Locking::Write).unwrap();
    assert_eq!(Output::create(&path).unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(Output::in_place(&path, Locking::Write).unwrap_err().kind(), ErrorKind::Locked);
    Output::in_place(&path, Locking::Ignore).unwrap();
    Output::create_locked(&path, Locking::Ignore).unwrap().commit(false).unwrap();
    drop(writer);
    let reader = FileStorage::open_locked(&path, Locking::Read).unwrap();
    assert_eq!(Output::in_place(&path, Locking::Write).unwrap_err().kind(), ErrorKind::Locked);
    let output = Output::create(&path).unwrap();
    drop(reader);
    assert_eq!(FileMedium::open(&path, Locking::Write).unwrap_err().kind(), ErrorKind::Locked);
    output.commit(false).unwrap();
    let output = Output::in_place(&path, Locking::Write).unwrap();
    assert_eq!(FileStorage::open_locked(&path, Locking::Read).unwrap_err().kind(), ErrorKind::Locked);
    output.commit(false).unwrap();
    FileMedium::open(&path, Locking::Write).unwrap();
    assert_eq!(names(dir.path()), ["out.img"]);
}

#[test]
fn a_file_with_several_names_stays_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("one.img"), dir.path().join("two.img"));
    std::fs::write(&path, b"old and longer").unwrap();
    std::fs::hard_link(&path, &other).unwrap();
    let output = Output::create(&path).unwrap();
    output.target().write_at(b"new", 0).unwrap();
    Siblings::create(&output, Path::new("data.img")).unwrap().write_at(b"data", 0).unwrap();
    output.commit(true).unwrap();
    assert_eq!(std::fs::read(&other).unwrap(), b"new");
    assert_eq!(names(dir.path()), ["data.img", "one.img", "two.img"]);
}

#[test]
fn the_owner_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.img");
    std::fs::write(&path, b"old").unwrap();
    if fchown(File::open(&path).unwrap(), Some(1234), Some(4321)).is_err() {
        println!("skipped: only root gives files away");
        return;
    }
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let output = Output::create(&path).unwrap();
    output.target().write_at(b"new", 0).unwrap();
    output.commit(false).unwrap();
    let now = path.metadata().unwrap();
    assert_eq!((now.uid(), now.gid(), now.mode() & 0o777), (1234, 4321, 0o640));
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
}

#[test]
fn a_folder_is_no_target() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Output::create(dir.path()).is_err());
}

#[test]
fn the_other_files_of_an_image_appear_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.img");
    let output = Output::create(&path).unwrap();
    output.target().write_at(b"names the other", 0).unwrap();
    Siblings::create(&output, Path::new("disk-data.img")).unwrap().write_at(b"data", 0).unwrap();
    assert!(Siblings::create(&output, Path::new("disk.img")).is_err());
    assert!(Siblings::create(&output, Path::new("disk-data.img")).is_err());
    assert!(!dir.path().join("disk-data.img").exists());
    output.commit(false).unwrap();
    assert_eq!(names(dir.path()), ["disk-data.img", "disk.img"]);
    assert_eq!(std::fs::read(dir.path().join("disk-data.img")).unwrap(), b"data");
    let dropped = Output::create(&path).unwrap();
    Siblings::create(&dropped, Path::new("disk-data.img")).unwrap().write_at(b"new", 0).unwrap();
    drop(dropped);
    assert_eq!(std::fs::read(dir.path().join("disk-data.img")).unwrap(), b"data");
}
