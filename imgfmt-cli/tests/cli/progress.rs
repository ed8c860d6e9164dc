//! Progress: nothing unless asked for, and then as people or programs want it.

use crate::desk::Desk;
use serde_json::Value;

/// A folder with a disk `a` of 8 MiB.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.disk("a", 8 << 20, &[0, 4 << 20]);
    desk
}

#[test]
fn a_pipe_sees_no_progress_unless_asked_for() {
    let desk = desk();
    for line in ["convert a b", "convert -q a b", "convert -p -q a b", "convert --progress none -p a b"] {
        assert_eq!(desk.ok(line), "", "{line}");
    }
}

#[test]
fn percents_are_printed_as_qemu_img_prints_them() {
    let desk = desk();
    for line in ["convert -p a b", "convert --progress percent a b"] {
        let printed = desk.ok(line);
        assert!(printed.ends_with("    (100.00/100%)\r\n"), "{printed:?}");
        let percents = printed.trim_end().split('\r').map(|part| {
            let number = part.strip_prefix("    (").and_then(|part| part.strip_suffix("/100%)"));
            number.unwrap_or_else(|| panic!("{printed:?}")).parse::<f64>().unwrap()
        });
        assert!(percents.is_sorted(), "{printed:?}");
    }
}

#[test]
fn json_lines_tell_everything_and_end_with_the_whole() {
    let desk = desk();
    let ran = desk.run("convert --progress json a b");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    let lines: Vec<Value> = ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        for key in ["done", "size", "stored", "elapsed", "rate"] {
            assert!(line[key].is_number(), "{key} in {line}");
        }
    }
    let last = lines.last().unwrap();
    assert_eq!((&last["done"], &last["size"]), (&Value::from(8 << 20), &Value::from(8 << 20)));
    assert_eq!(last["stored"], 2 * 65_536);
}
