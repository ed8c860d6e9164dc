//! Options of a new image, as `name=value`.

use crate::{Error, Result};

/// One option that a format knows.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// The name, as QEMU spells it where it has the option.
    pub name: &'static str,
    /// What it takes: `SIZE`, `NUM`, `on|off` or the words themselves.
    pub values: &'static str,
    /// The value that holds when nothing is said.
    pub default: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
}

/// Options as given, in order; a later one wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<(String, String)>);

impl Options {
    /// No options.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Parses `name=value` parts that are separated by commas; `,,` is a comma within a value, and a
    /// name alone means `on`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for a part without a name.
    pub fn parse(text: &str) -> Result<Self> {
        let mut options = Self::default();
        for part in split_commas(text) {
            let (name, value) = part.split_once('=').unwrap_or((&part, "on"));
            if name.is_empty() {
                return Err(Error::invalid(format!("an option without a name in {text:?}")));
            }
            options.set(name, value);
        }
        Ok(options)
    }

    /// Adds an option.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// These options in two: those whose name does not begin with `prefix`, and those whose name does, without it.
    #[must_use]
    pub fn split(&self, prefix: &str) -> (Self, Self) {
        let (mut own, mut other) = (Self::new(), Self::new());
        for (name, value) in &self.0 {
            match name.strip_prefix(prefix) {
                Some(name) => other.set(name, value),
                None => own.set(name, value),
            }
        }
        (own, other)
    }

    /// Adds all of `other` behind these.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The value of `name`, if it was given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The names that were given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Checks that every option is among `specs`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) with the name, and the nearest known name.
    pub fn check(&self, specs: &[OptionSpec]) -> Result<()> {
        let Some(unknown) = self.names().find(|name| specs.iter().all(|spec| spec.name != *name)) else {
            return Ok(());
        };
        let hint = match nearest(unknown, specs.iter().map(|spec| spec.name)) {
            Some(near) => format!("; did you mean {near}?"),
            None => String::new(),
        };
        Err(Error::invalid(format!("unknown option {unknown}{hint}")))
    }

    /// The value of an `on|off` option.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for any other value.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some("on" | "yes" | "true" | "y") => Ok(true),
            Some("off" | "no" | "false" | "n") => Ok(false),
            Some(other) => Err(Error::invalid(format!("{name} is {other}, which is neither on nor off"))),
        }
    }

    /// The value of a size option, in bytes.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for what [`parse_size`] does not take.
    pub fn size(&self, name: &str, default: u64) -> Result<u64> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => parse_size(text).map_err(|e| e.context(format!("{name} cannot be {text}"))),
        }
    }

    /// The value of a number option.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for what is not a whole number.
    pub fn number(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| Error::invalid(format!("{name} is {text}, which is not a whole number")))
    }

    /// The value of an option that takes one of a few words.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for any other word, with the words.
    pub fn word<T: Copy>(&self, name: &str, words: &[(&str, T)], default: T) -> Result<T> {
        let Some(text) = self.get(name) else {
            return Ok(default);
        };
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            Error::invalid(format!("{name} is {text}, which is not one of {}", known.join(", ")))
        })
    }
}

/// Parses a size such as `64k`, `1.5G` or `512`: bytes, or with a binary suffix `b k K M G T P E`.
///
/// # Errors
///
/// [`Invalid`](crate::ErrorKind::Invalid) for anything else, and above 2^63 - 1.
pub fn parse_size(text: &str) -> Result<u64> {
    let wrong = || Error::invalid(format!("{text:?} is not a size; sizes are bytes, or end in k, M, G, T, P or E"));
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" | "b" | "B" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        "p" | "P" => 50,
        "e" | "E" => 60,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let size = u128::from(whole) << shift;
    let size = size + fraction_of(fraction, shift).ok_or_else(wrong)?;
    u64::try_from(size)
        .ok()
        .filter(|&size| size <= i64::MAX as u64)
        .ok_or_else(|| Error::invalid(format!("{text} is too large; sizes go up to {}", i64::MAX)))
}

/// The bytes that the digits behind the point stand for.
fn fraction_of(digits: &str, shift: u32) -> Option<u128> {
    if digits.is_empty() {
        return Some(0);
    }
    let digits = digits.get(..digits.len().min(15))?;
    let value: u128 = digits.parse().ok()?;
    Some((value << shift) / 10u128.pow(u32::try_from(digits.len()).ok()?))
}

/// Splits at commas, except at doubled ones, which stand for one comma.
fn split_commas(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != ',' {
            parts.last_mut().expect("there is a first part").push(c);
        } else if rest.next_if_eq(&',').is_some() {
            parts.last_mut().expect("there is a first part").push(',');
        } else {
            parts.push(String::new());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// The word of `known` that is nearest to `given`, if any is near.
pub fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|word| (distance(given, word), word)).min_by_key(|(distance, _)| *distance)?;
    (near.0 <= given.len() / 3 + 1).then_some(near.1)
}

/// Levenshtein distance of two short words.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_split_at_single_commas_and_the_last_value_wins() {
        let options = Options::parse("a=1,b=x,,y,flag,a=2").unwrap();
        assert_eq!(options.get("a"), Some("2"));
        assert_eq!(options.get("b"), Some("x,y"));
        assert!(options.flag("flag", false).unwrap());
        assert!(Options::parse("=1").is_err());
    }

    #[test]
    fn an_unknown_option_names_its_neighbour() {
        let spec = OptionSpec { name: "cluster_size", values: "SIZE", default: "64k", help: "" };
        let error = Options::parse("clustersize=1").unwrap().check(&[spec]).unwrap_err();
        assert!(error.to_string().contains("did you mean cluster_size"), "{error}");
        assert!(!Options::parse("zzz").unwrap().check(&[spec]).unwrap_err().to_string().contains("did you mean"));
    }

    #[test]
    fn sizes_have_binary_suffixes_and_an_upper_end() {
        for (text, size) in [("0", 0), ("512", 512), ("64k", 65_536), ("1.5G", 3 << 29), ("2T", 2 << 40)] {
            assert_eq!(parse_size(text).unwrap(), size, "{text}");
        }
        for text in ["", "k", "-1", "1kk", "8E", "1.x", "1,5"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
