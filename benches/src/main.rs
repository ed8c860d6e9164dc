#![doc = include_str!("../README.md")]

mod args;
mod cache;
mod disk;
mod error;
mod inputs;
mod json;
mod judge;
mod measure;
mod rows;
mod start;
mod stats;
mod text;
mod tools;
mod tree;
mod verify;

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Output};
use crate::error::{Error, chain};
use crate::judge::{Entry, Report};
use crate::measure::Setup;
use crate::rows::Row;

/// A floor was missed, and `--smoke` was not given.
const MISSED: u8 = 1;
/// An output was wrong, a program failed, or the work could not be prepared.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            // With standard error gone there is nobody left to tell.
            let _ = writeln!(stderr(), "versus: {}", chain(&error));
            ExitCode::from(FAILED)
        }
    }
}

/// Does what the arguments say, and says how the program is to end.
fn run(args: &Args) -> Result<ExitCode, Error> {
    if args.list {
        print(&text::list(&rows::ROWS))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.start {
        return starts(args);
    }
    let rows = rows::select(&args.only, args.pairs)?;
    let setup = prepare(args, &rows)?;
    let report = measure_all(&rows, &setup)?;
    print(&match args.output {
        Output::Text => text::report(&report),
        Output::Json => json::report(&report),
    })?;
    Ok(verdict(&report, args.smoke))
}

/// Measures short commands.
fn starts(args: &Args) -> Result<ExitCode, Error> {
    let starts = start::measure(args)?;
    print(&match args.output {
        Output::Text => starts.text(),
        Output::Json => starts.json(),
    })?;
    Ok(if starts.have_missed() && !args.smoke { ExitCode::from(MISSED) } else { ExitCode::SUCCESS })
}

/// Makes the disk and the inputs that `rows` need, unless they are there.
fn prepare(args: &Args, rows: &[&Row]) -> Result<Setup, Error> {
    let spec = args.spec()?;
    let setup = Setup {
        imgfmt: args.imgfmt()?,
        imgfmt_version: tools::version(&args.imgfmt()?)?,
        qemu_img: args.qemu_img()?,
        qemu_img_version: tools::version(&args.qemu_img()?)?,
        folder: disk::prepare(&args.dir()?, &spec)?,
        runs: args.runs(),
        durable: args.durable,
    };
    for row in rows {
        inputs::prepare(&setup, row.input)?;
    }
    Ok(setup)
}

/// Measures row after row; one that fails does not stop the others.
fn measure_all(rows: &[&'static Row], setup: &Setup) -> Result<Report, Error> {
    let mut entries = Vec::new();
    for row in rows {
        say(&format!("measuring {} ({} runs of each)", row.name, setup.runs))?;
        let outcome = measure::row(row, setup).map_err(|error| chain(&error));
        entries.push(Entry { row, outcome });
    }
    Ok(Report::new(setup, entries))
}

/// The exit code: a wrong output outweighs a missed floor.
fn verdict(report: &Report, smoke: bool) -> ExitCode {
    match report {
        report if report.has_failed() => ExitCode::from(FAILED),
        report if report.has_missed() && !smoke => ExitCode::from(MISSED),
        _ => ExitCode::SUCCESS,
    }
}

/// Writes the result to standard output.
fn print(text: &str) -> Result<(), Error> {
    writeln!(stdout().lock(), "{}", text.trim_end()).map_err(error::io("cannot write the report"))
}

/// Tells on standard error what is being done.
fn say(line: &str) -> Result<(), Error> {
    writeln!(stderr().lock(), "versus: {line}").map_err(error::io("cannot write the progress"))
}
