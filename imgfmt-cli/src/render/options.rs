//! Options of formats: their lists, and what is taken out of them.

use std::path::PathBuf;

use imgfmt::{OptionSpec, Options, ParentName};
use imgfmt_cli::args::OutputForm;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::print;

/// Whether the list of options was asked for in place of options.
pub(crate) fn is_help(texts: &[String]) -> bool {
    texts.iter().any(|text| text == "help" || text == "?")
}

/// Prints what can follow an option.
///
/// # Errors
///
/// As [`print::text`].
pub(crate) fn print(form: OutputForm, heading: &str, specs: &[OptionSpec]) -> Result<(), Failure> {
    print::answer(form, false, &json(specs), || list(heading, specs))
}

/// The options, for programs.
fn json(specs: &[OptionSpec]) -> Value {
    let object = |spec: &OptionSpec| {
        let mut object = json!({ "name": spec.name, "values": spec.values, "help": spec.help });
        if !spec.default.is_empty() {
            object["default"] = spec.default.into();
        }
        object
    };
    specs.iter().map(object).collect()
}

/// The lines that list options.
fn list(heading: &str, specs: &[OptionSpec]) -> String {
    let mut text = format!("{heading} NAME=VALUE,...:\n");
    let shown: Vec<_> = specs.iter().map(|spec| (format!("{}={}", spec.name, spec.values), spec)).collect();
    let short = |name: &String| name.len() <= MAX_NAME_WIDTH;
    let width = shown.iter().filter(|(name, _)| short(name)).map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, OptionSpec { default, help, .. }) in shown {
        // A list of many values has a line of its own.
        let gap = if short(&name) { "  ".to_owned() } else { format!("\n{:1$}", "", width + 4) };
        text.push_str(&format!("  {name:width$}{gap}{help}{}\n", default_note(default)));
    }
    text
}

/// How a default is shown behind an option's help.
fn default_note(default: &str) -> String {
    if default.is_empty() { String::new() } else { format!(" (default: {default})") }
}

/// A backing file as options name it.
#[derive(Debug, Default)]
pub(crate) struct BackingNames {
    /// Its name.
    pub(crate) name: Option<PathBuf>,
    /// Its format.
    pub(crate) format: Option<String>,
}

impl BackingNames {
    /// The backing file, where one is named; `hint` says how.
    ///
    /// # Errors
    ///
    /// A failure of usage where only a format is named.
    pub(crate) fn into_parent(self, hint: &str) -> Result<Option<ParentName>, Failure> {
        if self.name.is_none() && self.format.is_some() {
            return Err(Failure::Usage(format!("a format of a backing file is given, and no backing file; {hint}")));
        }
        Ok(self.name.map(|name| ParentName { name, format: self.format }))
    }
}

/// The options in `texts`, and the backing file that some of them name.
///
/// # Errors
///
/// As [`Options::parse`].
pub(crate) fn split_backing(texts: &[String]) -> Result<(Options, BackingNames), Failure> {
    let mut given = Options::default();
    for text in texts {
        given.extend(Options::parse(text)?);
    }
    let (mut options, mut backing) = (Options::default(), BackingNames::default());
    for key in given.names() {
        let value = given.get(key).unwrap_or_default();
        match key {
            "backing_file" => backing.name = Some(PathBuf::from(value)),
            "backing_fmt" => backing.format = Some(value.to_owned()),
            _ => options.set(key, value),
        }
    }
    Ok((options, backing))
}

/// Columns of an option and its values that the help stands beside.
const MAX_NAME_WIDTH: usize = 40;
