//! `-o help`: the options that there are.

use imgfmt::OptionSpec;

/// What is printed of the options.
pub(crate) fn text(heading: &str, specs: &[OptionSpec], besides: &[(&str, &str)]) -> String {
    let mut lines: Vec<_> = specs.iter().map(line_of).collect();
    lines.extend(besides.iter().map(|(name, help)| line(name, help)));
    lines.sort();
    format!("{heading}:\n{}", lines.concat())
}

/// The line about an option of the library.
fn line_of(spec: &OptionSpec) -> String {
    let kind = match spec.values {
        "SIZE" => "<size>",
        "NUM" => "<num>",
        "on|off" => "<bool (on/off)>",
        _ => "<str>",
    };
    let values =
        if kind == "<str>" && spec.values.contains('|') { format!(" ({})", spec.values) } else { String::new() };
    line(&format!("{}={kind}", spec.name), &format!("{}{values}", spec.help))
}

/// A line.
fn line(name: &str, help: &str) -> String {
    format!("  {name:22} - {help}\n")
}

/// Options of every new image.
pub(crate) const SIZE: (&str, &str) = ("size=<size>", "bytes of the virtual disk");
/// Options of a new image that builds on another.
pub(crate) const BACKING: [(&str, &str); 2] =
    [("backing_file=<str>", "the file that the image builds on"), ("backing_fmt=<str>", "the format of that file")];
