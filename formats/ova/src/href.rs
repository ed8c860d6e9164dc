//! References to files, which may be nowhere but beside the description.

use imgfmt_core::{Error, Result};

/// The names under which a file may be that is called `href`: as it stands, and with `%20` and the like taken for what
/// they stand for.
///
/// # Errors
///
/// [`Refused`](imgfmt_core::ErrorKind::Refused) for a name that leads elsewhere.
pub(crate) fn names(href: &str) -> Result<Vec<String>> {
    let mut names = vec![href.to_owned()];
    if let Some(decoded) = decoded(href).filter(|decoded| decoded != href) {
        names.push(decoded);
    }
    for name in &mut names {
        while let Some(rest) = name.strip_prefix("./") {
            *name = rest.to_owned();
        }
        check(name)?;
    }
    Ok(names)
}

/// Refuses a name that leads elsewhere.
fn check(name: &str) -> Result<()> {
    let elsewhere = name.is_empty()
        || name.contains(['\0', '\\'])
        || name.starts_with('/')
        || name.split('/').any(|part| part == "..")
        || has_scheme(name);
    if elsewhere {
        return Err(Error::refused(format!("leads to {name:?}, which is not beside the description")).field("href"));
    }
    Ok(())
}

/// Whether it is a URL with a scheme, such as `http:` or `file:`.
fn has_scheme(name: &str) -> bool {
    name.split_once(':').is_some_and(|(scheme, rest)| {
        let letters = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        rest.starts_with("//") || (["file", "http", "https", "data"].contains(&scheme) && letters)
    })
}

/// The text that an URL stands for, if it is one.
fn decoded(href: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = href.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits =
                    std::str::from_utf8(&digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
                u8::from_str_radix(digits, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_beside_the_description() {
        assert_eq!(names("./disk.vmdk").unwrap(), ["disk.vmdk"]);
        assert_eq!(names("my%20disk.vmdk").unwrap(), ["my%20disk.vmdk", "my disk.vmdk"]);
        assert_eq!(names("100%.vmdk").unwrap(), ["100%.vmdk"]);
        assert_eq!(names("disks/a:b.vmdk").unwrap(), ["disks/a:b.vmdk"]);
        for href in [
            "",
            "/etc/shadow",
            "../disk",
            "a/../../b",
            "..",
            "http://host/disk",
            "file:disk",
            "file:///etc/shadow",
            "nbd://h",
            "%2e%2e/disk",
            "%2fetc",
            "a\\b",
            "./../x",
        ] {
            let error = names(href).unwrap_err();
            assert_eq!(error.kind(), imgfmt_core::ErrorKind::Refused, "{href}");
        }
    }
}
