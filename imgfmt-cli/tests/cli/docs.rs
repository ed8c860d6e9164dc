//! Man pages and completions are generated from the command line's own definitions.

use std::process::Command;

use crate::golden::COMMANDS;

#[test]
fn man_pages_and_completions_are_all_there() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new");
    let status = Command::new(env!("CARGO_BIN_EXE_imgfmt-docs")).arg(&folder).status().unwrap();
    assert!(status.success());
    let mut files: Vec<String> = COMMANDS.iter().map(|command| format!("imgfmt-{command}.1")).collect();
    files.extend(["imgfmt.1", "_imgfmt", "imgfmt.bash", "imgfmt.fish"].map(str::to_owned));
    for file in &files {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains("imgfmt"), "{file}");
    }
    assert_eq!(folder.read_dir().unwrap().count(), files.len());
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(page("imgfmt-convert.1").contains("put one behind the other"));
    let check = page("imgfmt-check.1");
    assert!(check.contains(".SH EXAMPLES\n.nf\nimgfmt check disk.qcow2\nimgfmt check \\-\\-deep"), "{check}");
    assert!(check.contains(".SH \"EXIT STATUS\"\n.nf\n0   nothing is wrong"), "{check}");
    assert!(check.contains(".SH \"SEE ALSO\"\nimgfmt(1)"), "{check}");
    assert!(page("imgfmt-compact.1").contains(".SH NOTES\n.PP\nUnits that are zero"));
}

#[test]
fn without_a_folder_it_says_how_it_is_called() {
    let output = Command::new(env!("CARGO_BIN_EXE_imgfmt-docs")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "imgfmt-docs: usage: imgfmt-docs FOLDER\n");
}
