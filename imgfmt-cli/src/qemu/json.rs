//! JSON as `qemu-img` prints it: four columns a level, and a line for the end of what is empty.

use serde_json::Value;

/// The text of `value`, with an end of line.
pub(crate) fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out.push('\n');
    out
}

/// Appends `value`, which stands `depth` levels deep.
fn write(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) => {
            let members = map.iter().map(|(key, value)| (Some(key.as_str()), value));
            members_of(out, ('{', '}'), members, depth);
        }
        Value::Array(list) => members_of(out, ('[', ']'), list.iter().map(|value| (None, value)), depth),
        other => out.push_str(&other.to_string()),
    }
}

/// Appends an object or a list.
fn members_of<'a>(
    out: &mut String,
    (open, close): (char, char),
    members: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
    depth: usize,
) {
    out.push(open);
    for (index, (key, value)) in members.enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.push_str(&INDENT.repeat(depth + 1));
        if let Some(key) = key {
            out.push_str(&format!("{}: ", Value::from(key)));
        }
        write(out, value, depth + 1);
    }
    out.push('\n');
    out.push_str(&INDENT.repeat(depth));
    out.push(close);
}

/// The columns of a level.
const INDENT: &str = "    ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_indented_and_empty_lists_end_on_a_line_of_their_own() {
        let value = serde_json::json!({"a": [], "b": {"c": "x\"y", "d": [1, true]}});
        let expected = "{\n    \"a\": [\n    ],\n    \"b\": {\n        \"c\": \"x\\\"y\",\n        \"d\": [\n            1,\n            true\n        ]\n    }\n}\n";
        assert_eq!(text(&value), expected);
    }
}
