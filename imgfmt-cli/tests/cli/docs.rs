//! Man pages and completions are generated from the command line's own definitions.

use std::process::Command;

#[test]
fn man_pages_and_completions_are_all_there() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new");
    let status = Command::new(env!("CARGO_BIN_EXE_imgfmt-docs")).arg(&folder).status().unwrap();
    assert!(status.success());
    let pages = ["imgfmt.1", "imgfmt-convert.1", "imgfmt-info.1", "imgfmt-replay.1"];
    let files = ["_imgfmt", "imgfmt.bash", "imgfmt.fish"].into_iter().chain(pages);
    for file in files.clone() {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains("imgfmt"), "{file}");
    }
    assert_eq!(folder.read_dir().unwrap().count(), files.count());
    assert!(std::fs::read_to_string(folder.join("imgfmt-convert.1")).unwrap().contains("put one behind the other"));
}

#[test]
fn without_a_folder_it_says_how_it_is_called() {
    let output = Command::new(env!("CARGO_BIN_EXE_imgfmt-docs")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "imgfmt-docs: usage: imgfmt-docs FOLDER\n");
}
