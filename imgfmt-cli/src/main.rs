//! The program `imgfmt`: arguments in, exit code out. What it does is in the library `imgfmt`.

mod commands;
mod exit;
mod failure;
mod gate;
mod keys;
mod pipes;
mod print;
mod probed;
mod progress;
mod qemu;
mod remote;
mod render;
mod secrets;
mod signals;
mod source;

use std::process::ExitCode;

use clap::Parser;
use imgfmt_cli::args::{Cli, Command};

use exit::Exit;
use failure::Failure;
use signals::Signals;

/// Runs the program.
fn main() -> ExitCode {
    // Before anything else: callers of that program start it often, and for little.
    let args = keys::hide(std::env::args_os());
    if let Some(args) = qemu::command_line(&args) {
        return qemu::run(args);
    }
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return answer(error).into(),
    };
    let signals = Signals::default();
    match run(&cli.command, &signals) {
        Ok(exit) => exit.into(),
        Err(failure) => conclude(&failure, &signals).into(),
    }
}

/// Runs a command.
fn run(command: &Command, signals: &Signals) -> Result<Exit, Failure> {
    if commands::help::printed(command)? {
        return Ok(Exit::Done);
    }
    match command {
        Command::Amend(args) => commands::amend::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Bitmap(args) => commands::bitmap::run(args),
        Command::Check(args) => commands::check::run(args, signals),
        Command::Commit(args) => commands::commit::run(args, signals),
        Command::Compact(args) => commands::compact::run(args, signals),
        Command::Compare(args) => commands::compare::run(args, signals),
        Command::Convert(args) => commands::convert::run(args, signals),
        Command::Create(args) => commands::create::run(args),
        Command::Dd(args) => commands::dd::run(args, signals),
        Command::Hash(args) => commands::hash::run(args, signals),
        Command::Info(args) => commands::info::run(args),
        Command::Map(args) => commands::map::run(args),
        Command::Measure(args) => commands::measure::run(args),
        Command::Rebase(args) => commands::rebase::run(args, signals),
        Command::Replay(args) => commands::replay::run(args),
        Command::Resize(args) => commands::resize::run(args),
        Command::Snapshot(args) => commands::snapshot::run(args),
    }
}

/// Prints what clap has to say: help and version, or what is wrong with the arguments.
fn answer(error: clap::Error) -> Exit {
    if !error.use_stderr() {
        // There is nobody to tell that the answer cannot be printed.
        let _ = error.print();
        return Exit::Done;
    }
    failure::print_usage_error(&failure::without_detour(error));
    Exit::Error
}

/// Prints what went wrong, and says how to exit.
fn conclude(failure: &Failure, signals: &Signals) -> Exit {
    if failure.is_broken_pipe() {
        return Exit::Done;
    }
    failure.print();
    match signals.received() {
        Some(signal) if failure.is_cancelled() => Exit::Signal(signal),
        _ => failure.exit(),
    }
}
