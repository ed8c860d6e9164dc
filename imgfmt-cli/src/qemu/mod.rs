//! The program in the place of `qemu-img`: the same command lines, answers and exit codes, over the same library.
//!
//! It is what runs where the program is called by that name, through a link, or as `imgfmt qemu-img`. What is
//! different on purpose is listed in `docs/qemu-img.md`.

mod amend;
mod bench;
mod bitmap;
mod check;
mod commit;
mod common;
mod compare;
mod convert;
mod create;
mod dd;
mod fault;
mod formats;
mod gate;
mod getopt;
mod human;
mod image;
mod info;
mod info_json;
mod json;
mod json_name;
mod map;
mod measure;
mod mend;
mod names;
mod nested;
mod objects;
mod option_help;
mod options;
mod progress;
mod rebase;
mod remote_options;
mod report;
mod resize;
mod rules;
mod runs;
mod setting;
mod sharing;
mod sizes;
mod snapshot;
mod state;
mod usage;
mod way;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use imgfmt::convert::Cancel;

use fault::{Fault, NAME, Outcome, print};
use getopt::{Opt, Parsed, parse};

use crate::exit::Exit;
use crate::signals::Signals;

/// A command.
struct Command {
    /// Its name.
    name: &'static str,
    /// What it does, in one line.
    summary: &'static str,
    /// What stands behind its options.
    operands: &'static str,
    /// The options that it takes, besides help.
    options: &'static [Opt],
    /// Does it.
    run: fn(&Call<'_>) -> Outcome,
}

/// A command that was called.
struct Call<'a> {
    /// Its name.
    command: &'static str,
    /// Its command line.
    parsed: Parsed,
    /// The signals that ask for its end.
    signals: &'a Signals,
}

impl Call<'_> {
    /// Has signals cancel what the command does.
    fn watch(&self, cancel: &Cancel) -> Result<(), Fault> {
        self.signals.cancel(cancel).map_err(|error| Fault::new(format!("cannot watch for signals: {error}")))
    }
}

/// The command line of `qemu-img`, where the program was called so.
pub(crate) fn command_line(args: &[OsString]) -> Option<&[OsString]> {
    let (program, args) = args.split_first()?;
    if Path::new(program).file_name() == Some(OsStr::new(NAME)) {
        return Some(args);
    }
    args.split_first().filter(|(first, _)| first.as_os_str() == NAME).map(|(_, args)| args)
}

/// Runs the program with that command line.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let signals = Signals::default();
    match top(args, &signals) {
        Ok(code) => code.into(),
        Err(fault) => {
            fault.tell();
            match signals.received() {
                Some(signal) if fault.cancelled => Exit::Signal(signal).into(),
                _ => fault.code.into(),
            }
        }
    }
}

/// Reads the options in front of the command, and runs it.
fn top(args: &[OsString], signals: &Signals) -> Outcome {
    let more = format!("Try '{NAME} --help' for more info");
    let wrong = |text: String| Fault::new(format!("{text}\n{more}"));
    let parsed = parse(args, usage::TOP, false).map_err(wrong)?;
    match parsed.in_order().map(|(name, _)| name).find(|name| *name != "trace") {
        Some("version") => return print(&usage::version()).map(|()| 0),
        Some(_) => return print(&usage::top(COMMANDS)).map(|()| 0),
        None => {}
    }
    let Some((name, rest)) = parsed.operands.split_first() else {
        return Err(wrong("Not enough arguments".to_owned()));
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name.as_os_str()) else {
        return Err(wrong(format!("Command not found: {}", name.display())));
    };
    let mut parsed = parse_command(command, rest)?;
    if parsed.has("help") {
        return print(&usage::command(command)).map(|()| 0);
    }
    sharing::settle(command, &mut parsed)?;
    (command.run)(&Call { command: command.name, parsed, signals })
}

/// Reads the options of a command.
fn parse_command(command: &Command, args: &[OsString]) -> Result<Parsed, Fault> {
    let wrong = |text: String| Fault::option(command.name, &text);
    // A size may begin with a minus, and is no option then.
    let (mut options, mut negative) = (Vec::new(), Vec::new());
    for arg in args {
        let is_size = command.name == resize::COMMAND.name && is_negative(arg);
        if is_size { negative.push(arg.clone()) } else { options.push(arg.clone()) }
    }
    let mut parsed = parse(&options, &[HELP, command.options], true).map_err(wrong)?;
    parsed.operands.extend(negative);
    Ok(parsed)
}

/// Whether an argument is a negative number.
fn is_negative(arg: &OsStr) -> bool {
    let mut bytes = arg.as_encoded_bytes().iter();
    bytes.next() == Some(&b'-') && bytes.next().is_some_and(u8::is_ascii_digit)
}

/// What every command takes.
const HELP: &[Opt] = &[common::HELP];
/// All commands, in the order in which help shows them.
const COMMANDS: &[Command] = &[
    amend::COMMAND,
    bench::COMMAND,
    bitmap::COMMAND,
    check::COMMAND,
    commit::COMMAND,
    compare::COMMAND,
    convert::COMMAND,
    create::COMMAND,
    dd::COMMAND,
    info::COMMAND,
    map::COMMAND,
    measure::COMMAND,
    rebase::COMMAND,
    resize::COMMAND,
    snapshot::COMMAND,
];
