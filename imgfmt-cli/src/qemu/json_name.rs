//! `json:{…}`: a specification as an object, in place of a name on the command line.

use serde_json::Value;

/// The options that the object in `text` holds, by dotted names.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn options(text: &str) -> Result<Vec<(String, String)>, String> {
    let wrong = |what: String| format!("Could not parse the JSON options: {what}");
    let value: Value =
        serde_json::from_str(&double_quoted(text)).map_err(|error| wrong(format!("JSON parse error, {error}")))?;
    if !value.is_object() {
        return Err(wrong("Invalid JSON object given".to_owned()));
    }
    let mut found = Vec::new();
    flatten(&value, "", &mut found)?;
    Ok(found)
}

/// The same text with strings in double quotes, which QEMU takes in single ones, too.
fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut within = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (within, c) {
            (None, '"' | '\'') => {
                within = Some(c);
                out.push('"');
            }
            (Some(quote), _) if c == quote => {
                within = None;
                out.push('"');
            }
            (Some('\''), '"') => out.push_str("\\\""),
            (Some(_), '\\') => match rest.next() {
                Some('\'') => out.push('\''),
                escaped => out.extend(std::iter::once(c).chain(escaped)),
            },
            _ => out.push(c),
        }
    }
    out
}

/// Adds what `value` holds under `name`.
fn flatten(value: &Value, name: &str, found: &mut Vec<(String, String)>) -> Result<(), String> {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(map) => map.iter().try_for_each(|(key, value)| flatten(value, &below(key), found)),
        Value::Array(list) => {
            list.iter().enumerate().try_for_each(|(index, value)| flatten(value, &below(&index.to_string()), found))
        }
        Value::String(text) => {
            found.push((name.to_owned(), text.clone()));
            Ok(())
        }
        Value::Bool(value) => {
            found.push((name.to_owned(), if *value { "on" } else { "off" }.to_owned()));
            Ok(())
        }
        Value::Number(number) => {
            found.push((name.to_owned(), number.to_string()));
            Ok(())
        }
        // An image that builds on nothing.
        Value::Null if name == "backing" => {
            found.push((name.to_owned(), String::new()));
            Ok(())
        }
        Value::Null => Err(format!("'{name}' is null, which nothing here can be")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_may_stand_in_single_quotes() {
        let text = r#"{'driver': "raw", 'file': {'filename': 'it\'s "x"', "node-name": "a'b\"c"}, 'n': 7}"#;
        let found: Vec<_> = options(text).unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(found, ["driver=raw", "file.filename=it's \"x\"", "file.node-name=a'b\"c", "n=7"]);
    }

    #[test]
    fn an_object_is_dotted_options() {
        let text = r#"{"driver": "qcow2", "file": {"driver": "file", "filename": "a,b"}, "encrypt.key-secret": "s", "n": 1, "b": true}"#;
        let found = options(text).unwrap();
        let found: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = ["driver=qcow2", "file.driver=file", "file.filename=a,b", "encrypt.key-secret=s", "n=1", "b=on"];
        assert_eq!(found, expected);
        for wrong in ["", "{", "[1]", r#"{"a": null}"#] {
            assert!(options(wrong).is_err(), "{wrong}");
        }
    }
}
