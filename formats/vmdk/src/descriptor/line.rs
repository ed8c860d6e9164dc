//! The lines of a descriptor, and the words of a line.

use imgfmt_core::{Error, Result};

/// The lines of `text` that are not blank and no comment, without the blanks around them, each with the
/// byte at which it starts.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut at = 0;
    text.split(|&byte| byte == b'\n' || byte == b'\r').filter_map(move |line| {
        let start = at;
        at += line.len() as u64 + 1;
        let blanks = line.len() - line.trim_ascii_start().len();
        let line = line.trim_ascii();
        (!line.is_empty() && line[0] != b'#').then_some((start + blanks as u64, line))
    })
}

/// The key and the value of a line, where it is of that kind.
pub(super) fn key_and_rest(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = line.iter().position(|&byte| byte == b'=')?;
    let key = line[..equals].trim_ascii();
    (!key.is_empty()).then(|| (key, line[equals + 1..].trim_ascii()))
}

/// The words of a line, taken one at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a>(pub(super) &'a [u8]);

impl<'a> Words<'a> {
    /// The next word: up to a blank, or between quotes. `None` at the end of the line or at a comment.
    pub(super) fn next(&mut self) -> Result<Option<&'a [u8]>> {
        let rest = self.0.trim_ascii_start();
        match rest.first() {
            None | Some(b'#') => {
                self.0 = &[];
                Ok(None)
            }
            Some(b'"') => self.take_quoted(&rest[1..]).map(Some),
            Some(_) => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                self.0 = &rest[end..];
                Ok(Some(&rest[..end]))
            }
        }
    }

    /// The word up to the quote that closes it.
    fn take_quoted(&mut self, rest: &'a [u8]) -> Result<&'a [u8]> {
        let end = rest.iter().position(|&byte| byte == b'"');
        let end = end.ok_or_else(|| Error::malformed("has a quote that does not close"))?;
        self.0 = &rest[end + 1..];
        Ok(&rest[..end])
    }

    /// Checks that nothing but a comment is left.
    pub(super) fn finish(mut self) -> Result<()> {
        match self.next()? {
            None => Ok(()),
            Some(word) => Err(Error::malformed(format!("goes on with {:?}", String::from_utf8_lossy(word)))),
        }
    }
}

/// The one word that the value of a key is; a value without quotes may hold blanks.
pub(super) fn value(rest: &[u8]) -> Result<&[u8]> {
    if rest.starts_with(b"\"") {
        let mut words = Words(rest);
        let word = words.next()?.unwrap_or_default();
        return words.finish().map(|()| word);
    }
    let end = rest.iter().position(|&byte| byte == b'#').unwrap_or(rest.len());
    Ok(rest[..end].trim_ascii_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_and_comments_are_passed_over_and_places_kept() {
        let found: Vec<_> = lines(b"a=1\r\n\r\n  # no\n\t b = 2 \n\n").collect();
        assert_eq!(found, [(0, &b"a=1"[..]), (16, &b"b = 2"[..])]);
    }

    #[test]
    fn words_end_at_blanks_or_quotes_and_before_comments() {
        let mut words = Words(b"RW 20\tFLAT \"a b # c\" 0 # five");
        let mut found = Vec::new();
        while let Some(word) = words.next().unwrap() {
            found.push(word);
        }
        assert_eq!(found, [&b"RW"[..], b"20", b"FLAT", b"a b # c", b"0"]);
        assert!(Words(b"\"open").next().is_err());
    }

    #[test]
    fn a_value_is_what_stands_between_quotes_or_before_a_comment() {
        for line in ["k=v", "k = \"v\"", "k=v # comment", "k=\"v\" # comment", "k= v  "] {
            let (key, rest) = key_and_rest(line.as_bytes()).unwrap();
            assert_eq!((key, value(rest).unwrap()), (&b"k"[..], &b"v"[..]), "{line}");
        }
        assert!(value(b"\"v").is_err() && value(b"\"v\" w").is_err());
        assert_eq!(value(b"").unwrap(), b"");
        assert_eq!(key_and_rest(b"= v"), None);
    }
}
