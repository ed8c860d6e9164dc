//! Writes man pages and shell completions into a folder: `imgfmt-docs FOLDER`.
//!
//! A tool for packagers. They come from the same definitions as the command line, so they cannot differ from it.

mod man;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use imgfmt_cli::args::Cli;

/// Runs the program.
fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(folder), None) = (args.next(), args.next()) else {
        return say("usage: imgfmt-docs FOLDER");
    };
    match write_all(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => say(&format!("cannot write to {}: {error}", Path::new(&folder).display())),
    }
}

/// Writes everything into `folder`, which is made if it is not there.
fn write_all(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Cli::command(), "imgfmt", folder)?;
    }
    man::write_all(Cli::command(), folder)
}

/// Says what is wrong.
fn say(what: &str) -> ExitCode {
    use io::Write;
    // There is nobody to tell that it cannot be told.
    let _ = writeln!(io::stderr().lock(), "imgfmt-docs: {what}");
    ExitCode::FAILURE
}
