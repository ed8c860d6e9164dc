//! What the program makes of its arguments: help, exit codes, and clear words for what it refuses.

use crate::desk::Desk;

#[test]
fn help_and_version_go_to_standard_output() {
    let desk = Desk::new();
    assert_eq!(desk.ok("--version"), format!("imgfmt {}\n", env!("CARGO_PKG_VERSION")));
    let help = desk.ok("--help");
    for line in
        ["Examples:", "  0    done", "  1    an error", "  129  hung up", "  130  interrupted", "  143  terminated"]
    {
        assert!(help.contains(line), "{line}");
    }
    assert!(desk.ok("convert --help").contains("imgfmt convert -O qcow2 -B base.qcow2"));
    assert!(desk.ok("info --help").contains("--backing-chain"));
    assert!(desk.ok("replay --help").contains("imgfmt replay disk.vhdx"));
}

#[test]
fn wrong_arguments_are_one_error_with_the_nearest_name() {
    let desk = Desk::new();
    let said = desk.fails("convert --frmat raw a b");
    assert!(said.starts_with("imgfmt: unexpected argument '--frmat' found\n"), "{said}");
    assert!(said.contains("'--format'"), "{said}");
    assert!(desk.fails("konvert").contains("'convert'"));
    assert!(desk.fails("").contains("Usage: imgfmt"));
    assert_eq!(desk.fails("convert -O vmdc a b"), "imgfmt: unknown format vmdc; did you mean vmdk?\n");
    for line in ["convert", "convert a"] {
        assert_eq!(desk.fails(line), "imgfmt: a source and a target are needed; see imgfmt convert --help\n");
    }
    for line in ["convert -m 0 a b", "convert -t quick a b", "convert -F raw a b", "info", "info a b", "replay"] {
        desk.fails(line);
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let desk = Desk::new();
    desk.write("a", &[1; 512]);
    for (option, words) in [
        ("-r 0", "-r is 0, and nothing would ever be written"),
        ("--image-opts", "--image-opts: file.filename says which file"),
        ("--object secret,id=a", "--object secret: a secret needs either data or a file"),
        ("--object rng-random,id=a", "--object rng-random: only secrets are known"),
        ("-O qcow2 -o backing_fmt=raw", "a format of a backing file is given, and no backing file"),
        ("-n -O qcow2", "cannot convert to b: cannot open b for writing: No such file or directory"),
        ("-n -O ova", "cannot convert to b: images in the format ova cannot be changed in place"),
    ] {
        let said = desk.fails(&format!("convert {option} a b"));
        assert!(said.starts_with(&format!("imgfmt: {words}")), "{said}");
    }
    assert!(desk.fails("convert a - b").starts_with("imgfmt: -: standard input is read alone"));
    assert!(desk.fails("info -").starts_with("imgfmt: -: an image is described from a file"));
    assert_eq!(desk.names(), ["a"]);
}

#[test]
fn sizes_of_zero_runs_are_checked() {
    let desk = Desk::new();
    for (size, words) in [("100", "-S is 100, which is"), ("32M", "-S is 32M, which is"), ("x", "-S cannot be x: ")] {
        let said = desk.fails(&format!("convert -S {size} a b"));
        assert!(said.starts_with(&format!("imgfmt: {words}")), "{said}");
    }
}

#[test]
fn options_of_a_format_are_listed_without_any_file() {
    let desk = Desk::new();
    let raw = desk.ok("convert -o help");
    assert!(raw.starts_with("Options of raw, for -o NAME=VALUE,...:\n  preallocation=off|falloc|full  "), "{raw}");
    assert!(raw.ends_with("(default: off)\n"), "{raw}");
    assert!(desk.ok("convert -O qcow2 -o help").contains("\n  cluster_size=SIZE "));
    desk.write("a", &[1; 512]);
    let said = desk.fails("convert -O qcow2 -o clustersize=64k a b");
    assert_eq!(said, "imgfmt: cannot create b: qcow2: unknown option clustersize; did you mean cluster_size?\n");
    assert_eq!(desk.names(), ["a"]);
}

#[test]
fn nobody_has_to_read_the_output() {
    let desk = Desk::new();
    desk.disk("a", 1 << 20, &[0]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = desk.command("info a").stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = desk.command("info a").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("imgfmt: cannot print: No space left on device"));
}
