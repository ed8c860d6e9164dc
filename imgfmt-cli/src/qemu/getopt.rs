//! A command line as `getopt_long` of the GNU C library reads it: options may stand behind operands, their values may be
//! attached, long names may be cut short where that is not ambiguous, and `--` ends them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// An option that a command takes.
#[derive(Debug)]
pub(crate) struct Opt {
    /// Its letter, where it has one.
    pub(crate) short: Option<char>,
    /// Its name, by which it is looked up; empty where it has a letter alone.
    pub(crate) long: &'static str,
    /// What its value is called in help; empty where it takes none.
    pub(crate) value: &'static str,
    /// What it does.
    pub(crate) help: &'static str,
}

/// What a command line says.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// The options in order, by their long names, each with its value or nothing.
    options: Vec<(&'static str, OsString)>,
    /// What is no option.
    pub(crate) operands: Vec<OsString>,
}

impl Parsed {
    /// Whether the option was given.
    pub(crate) fn has(&self, long: &str) -> bool {
        self.options.iter().any(|(name, _)| *name == long)
    }

    /// Adds an option that has no value.
    pub(crate) fn add(&mut self, long: &'static str) {
        self.options.push((long, OsString::new()));
    }

    /// The value of the option; the last one counts.
    pub(crate) fn get(&self, long: &str) -> Option<&OsStr> {
        self.options.iter().rev().find(|(name, _)| *name == long).map(|(_, value)| value.as_os_str())
    }

    /// All values of the option, in order.
    pub(crate) fn all<'a>(&'a self, long: &'a str) -> impl Iterator<Item = &'a OsStr> {
        self.options.iter().filter(move |(name, _)| *name == long).map(|(_, value)| value.as_os_str())
    }

    /// The options in the order in which they were given.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.options.iter().map(|(name, value)| (*name, value.as_os_str()))
    }
}

/// Reads `args` as far as `options` go. Where `permute` is not set, the first operand ends the options.
///
/// # Errors
///
/// What is wrong, in the words of the C library.
pub(crate) fn parse(args: &[OsString], options: &[&'static [Opt]], permute: bool) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            break;
        } else if let Some(name) = bytes.strip_prefix(b"--") {
            long(name, options, &mut rest, &mut parsed)?;
        } else if bytes.len() > 1 && bytes[0] == b'-' {
            cluster(&bytes[1..], options, &mut rest, &mut parsed)?;
        } else {
            parsed.operands.push(arg.clone());
            if !permute {
                break;
            }
        }
    }
    parsed.operands.extend(rest.cloned());
    Ok(parsed)
}

/// Reads what stands behind `--`: a name, and perhaps `=` and a value.
fn long<'a>(
    text: &[u8],
    options: &[&'static [Opt]],
    rest: &mut impl Iterator<Item = &'a OsString>,
    parsed: &mut Parsed,
) -> Result<(), String> {
    let at = text.iter().position(|byte| *byte == b'=');
    let (name, attached) = at.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
    let shown = String::from_utf8_lossy(name);
    let opt = named(name, options)?;
    let value = match (opt.value.is_empty(), attached) {
        (true, Some(_)) => return Err(format!("option '--{}' doesn't allow an argument", opt.long)),
        (true, None) => OsString::new(),
        (false, Some(value)) => OsString::from_vec(value.to_vec()),
        (false, None) => rest.next().cloned().ok_or_else(|| format!("option '--{shown}' requires an argument"))?,
    };
    parsed.options.push((opt.long, value));
    Ok(())
}

/// The option with that long name, or with the only one that begins so.
fn named(name: &[u8], options: &[&'static [Opt]]) -> Result<&'static Opt, String> {
    let all = || options.iter().flat_map(|list| list.iter()).filter(|opt| !opt.long.is_empty());
    if let Some(exact) = all().find(|opt| opt.long.as_bytes() == name) {
        return Ok(exact);
    }
    let shown = String::from_utf8_lossy(name);
    let near: Vec<_> = all().filter(|opt| opt.long.as_bytes().starts_with(name)).collect();
    match near.as_slice() {
        [] => Err(format!("unrecognized option '--{shown}'")),
        [one] => Ok(one),
        several => {
            let names: Vec<_> = several.iter().map(|opt| format!("'--{}'", opt.long)).collect();
            Err(format!("option '--{shown}' is ambiguous; possibilities: {}", names.join(" ")))
        }
    }
}

/// Reads what stands behind `-`: letters, of which one that takes a value takes the rest, or else the next argument.
fn cluster<'a>(
    letters: &[u8],
    options: &[&'static [Opt]],
    rest: &mut impl Iterator<Item = &'a OsString>,
    parsed: &mut Parsed,
) -> Result<(), String> {
    for (at, letter) in letters.iter().enumerate() {
        let letter = char::from(*letter);
        let mut all = options.iter().flat_map(|list| list.iter());
        let opt = all.find(|opt| opt.short == Some(letter)).ok_or_else(|| format!("invalid option -- '{letter}'"))?;
        if opt.value.is_empty() {
            parsed.options.push((opt.long, OsString::new()));
            continue;
        }
        let value = match &letters[at + 1..] {
            [] => rest.next().cloned().ok_or_else(|| format!("option requires an argument -- '{letter}'"))?,
            attached => OsString::from_vec(attached.to_vec()),
        };
        parsed.options.push((opt.long, value));
        return Ok(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[&[Opt]] = &[
        &[
            Opt { short: Some('f'), long: "format", value: "FMT", help: "" },
            Opt { short: Some('o'), long: "options", value: "OPTS", help: "" },
        ],
        &[
            Opt { short: Some('q'), long: "quiet", value: "", help: "" },
            Opt { short: None, long: "output", value: "FORM", help: "" },
            Opt { short: None, long: "object", value: "OBJ", help: "" },
        ],
    ];

    fn read(line: &str) -> Result<(String, String), String> {
        let args: Vec<_> = line.split(' ').map(OsString::from).collect();
        let parsed = parse(&args, OPTIONS, true)?;
        let options: Vec<_> = parsed.in_order().map(|(name, value)| format!("{name}={}", value.display())).collect();
        let operands: Vec<_> = parsed.operands.iter().map(|operand| operand.display().to_string()).collect();
        Ok((options.join(" "), operands.join(" ")))
    }

    #[test]
    fn options_and_operands_stand_in_any_order() {
        for line in
            ["-f raw -q a b", "a -f raw b -q", "a b --format=raw --quiet", "-fraw a --qui b", "a --form raw -q b"]
        {
            assert_eq!(read(line), Ok(("format=raw quiet=".into(), "a b".into())), "{line}");
        }
        assert_eq!(read("-qfraw a"), Ok(("quiet= format=raw".into(), "a".into())));
        assert_eq!(read("-q -- -f raw"), Ok(("quiet=".into(), "-f raw".into())));
        assert_eq!(read("-f -- - -o a=b -oc"), Ok(("format=-- options=a=b options=c".into(), "-".into())));
        assert_eq!(read("--output= a"), Ok(("output=".into(), "a".into())));
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_the_c_library() {
        let wrong = |line: &str| read(line).unwrap_err();
        assert_eq!(wrong("--bogus"), "unrecognized option '--bogus'");
        assert_eq!(wrong("-qx"), "invalid option -- 'x'");
        assert_eq!(wrong("a -f"), "option requires an argument -- 'f'");
        assert_eq!(wrong("a --output"), "option '--output' requires an argument");
        assert_eq!(wrong("--quiet=1"), "option '--quiet' doesn't allow an argument");
        assert_eq!(wrong("--o a"), "option '--o' is ambiguous; possibilities: '--options' '--output' '--object'");
    }

    #[test]
    fn the_last_value_counts_and_all_are_kept() {
        let args: Vec<_> = ["-o", "a", "-o", "b"].map(OsString::from).into();
        let parsed = parse(&args, OPTIONS, true).unwrap();
        assert_eq!(parsed.get("options"), Some(OsStr::new("b")));
        assert_eq!(parsed.all("options").count(), 2);
        assert!(!parsed.has("quiet"));
    }
}
