//! Help and version.

use std::fmt::Write;

use super::Command;
use super::fault::NAME;
use super::formats::KNOWN;
use super::getopt::Opt;

/// Options in front of the command.
pub(crate) const TOP: &[&[Opt]] = &[&[
    super::common::HELP,
    Opt { short: Some('V'), long: "version", value: "", help: "print the version and exit" },
    Opt { short: Some('T'), long: "trace", value: "TRACE", help: "known, and ignored" },
]];

/// What is printed as the version. Callers read the number behind the name in the first line.
pub(crate) fn version() -> String {
    let ours = env!("CARGO_PKG_VERSION");
    format!(
        "{NAME} version {STANDS_FOR} (imgfmt {ours})\n\
         This is imgfmt, which takes the command lines of {NAME} {STANDS_FOR}; it is not QEMU.\n"
    )
}

/// The help of the program.
pub(crate) fn top(commands: &[Command]) -> String {
    let mut text = version();
    let _ = write!(text, "\nUsage: {NAME} [options] COMMAND [--help | options of the command]\n\nOptions:\n");
    TOP.iter().copied().flatten().for_each(|opt| line(&mut text, opt));
    text.push_str("\nCommands:\n");
    for command in commands {
        let _ = writeln!(text, "  {:9} {}", command.name, command.summary);
    }
    let formats: Vec<_> = KNOWN.iter().map(|known| known.name).collect();
    let _ = writeln!(text, "\nSupported image formats:\n\n  {} host_device file", formats.join(" "));
    let _ = writeln!(text, "\n{NAME} COMMAND --help tells of a command.");
    text
}

/// The help of a command.
pub(crate) fn command(command: &Command) -> String {
    let Command { name, summary, operands, options, .. } = command;
    let mut text = format!("{summary}.\n\nUsage: {NAME} {name} [options] {operands}\n\nOptions:\n");
    line(&mut text, &super::common::HELP);
    options.iter().for_each(|opt| line(&mut text, opt));
    text
}

/// The lines about an option.
fn line(text: &mut String, opt: &Opt) {
    let mut names: Vec<String> = opt.short.iter().map(|short| format!("-{short}")).collect();
    if !opt.long.is_empty() {
        names.push(format!("--{}", opt.long));
    }
    let value = if opt.value.is_empty() { String::new() } else { format!(" {}", opt.value) };
    // Writing to a string does not fail.
    let _ = writeln!(text, "  {}{value}\n      {}", names.join(", "), opt.help);
}

/// The version of QEMU whose command lines are taken.
const STANDS_FOR: &str = "10.0.2";
