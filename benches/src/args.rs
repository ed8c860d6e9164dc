//! The command line, and what follows from it.

use std::env::current_exe;
use std::path::{Path, PathBuf, absolute};

use clap::{Parser, ValueEnum};

use crate::disk::Spec;
use crate::error::{Error, io};

/// Bytes in a MiB.
pub(crate) const MIB: u64 = 1 << 20;
/// What `--size small` stands for: a disk for a smoke test.
const SMALL: (u64, u64) = (128 * MIB, 40 * MIB);
/// Data on a disk of any other size, unless `--data` says otherwise.
const DATA: u64 = 1300 * MIB;

/// Gives imgfmt and qemu-img the same work in turn, and prints medians and ratios.
#[derive(Debug, Parser)]
#[command(name = "versus", version)]
pub(crate) struct Args {
    /// Folder for the disk, its conversions and the outputs [default: versus-data beside this program]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Size of the disk (suffix M or G), or `small`: 128 MiB with 40 MiB of data
    #[arg(long, default_value = "10G")]
    size: String,
    /// Data on the disk (suffix M or G) [default: 1300M]
    #[arg(long)]
    data: Option<String>,
    /// Folder whose files become the data
    #[arg(long, default_value = "/usr")]
    from: PathBuf,
    /// Measured runs of each program in each row [default: 3, or 1 with --smoke; 300 with --start, or 10]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    runs: Option<u16>,
    /// Run every pair of an input and a target, not only the main ones
    #[arg(long)]
    pub(crate) pairs: bool,
    /// Measure how long `info` takes, in place of conversions
    #[arg(long, conflicts_with_all = ["pairs", "only", "durable"])]
    pub(crate) start: bool,
    /// Rows to run, by name [default: the main ones]
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// The program under test [default: imgfmt beside this program]
    #[arg(long)]
    imgfmt: Option<PathBuf>,
    /// The peer; also makes the inputs and checks the outputs
    #[arg(long, default_value = "qemu-img")]
    qemu_img: PathBuf,
    /// Give both programs `-t writeback`, so that both flush what they wrote
    #[arg(long)]
    pub(crate) durable: bool,
    /// Judge the outputs but not the times
    #[arg(long, visible_alias = "no-judge")]
    pub(crate) smoke: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) output: Output,
    /// Print the rows and their floors, and do nothing else
    #[arg(long)]
    pub(crate) list: bool,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Output {
    /// A table for people.
    Text,
    /// One object for machines.
    Json,
}

impl Args {
    /// The disk that is asked for.
    pub(crate) fn spec(&self) -> Result<Spec, Error> {
        let (size, default_data) = match self.size.as_str() {
            "small" => SMALL,
            size => (bytes(size)?, DATA),
        };
        let data = self.data.as_deref().map_or(Ok(default_data), bytes)?;
        Spec::new(size, data, self.from.clone())
    }

    /// How often each program is measured.
    pub(crate) fn runs(&self) -> u16 {
        self.runs.unwrap_or(if self.smoke { 1 } else { 3 })
    }

    /// How often each program is started to see how long that takes.
    pub(crate) fn starts(&self) -> u16 {
        self.runs.unwrap_or(if self.smoke { 10 } else { 300 })
    }

    /// The folder of the disk.
    pub(crate) fn dir(&self) -> Result<PathBuf, Error> {
        self.dir.clone().map_or_else(|| beside("versus-data"), Ok)
    }

    /// The program under test.
    pub(crate) fn imgfmt(&self) -> Result<PathBuf, Error> {
        if let Some(program) = &self.imgfmt {
            return anchored(program);
        }
        let program = beside("imgfmt")?;
        if program.exists() {
            return Ok(program);
        }
        let hint = "build imgfmt-cli in the same profile, or give --imgfmt";
        Err(Error::Usage(format!("{} is not there: {hint}", program.display())))
    }

    /// The peer.
    pub(crate) fn qemu_img(&self) -> Result<PathBuf, Error> {
        anchored(&self.qemu_img)
    }
}

/// The path of `name` in the folder of this program.
fn beside(name: &str) -> Result<PathBuf, Error> {
    let own = current_exe().map_err(io("cannot find the folder of this program"))?;
    Ok(own.with_file_name(name))
}

/// Makes a path hold from any folder; a bare name is left to `PATH`.
fn anchored(program: &Path) -> Result<PathBuf, Error> {
    if program.components().count() == 1 {
        return Ok(program.to_path_buf());
    }
    absolute(program).map_err(io(format!("cannot resolve {}", program.display())))
}

/// Reads a count of MiB or GiB, in bytes.
fn bytes(text: &str) -> Result<u64, Error> {
    let unit = match text.chars().last() {
        Some('M') => MIB,
        Some('G') => 1024 * MIB,
        _ => 0,
    };
    let number = text.get(..text.len().saturating_sub(1)).and_then(|digits| digits.parse::<u64>().ok());
    number
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| Error::Usage(format!("`{text}` is not a size such as 1300M or 10G")))
}

#[cfg(test)]
mod tests {
    use super::{Args, MIB, bytes};
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn sizes_have_a_suffix() {
        assert_eq!(bytes("1300M").unwrap(), 1300 * MIB);
        assert_eq!(bytes("8G").unwrap(), 8192 * MIB);
        for wrong in ["", "G", "12", "0M", "-1G", "99999999999999999G", "1é"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_smoke_test_runs_once() {
        assert_eq!(Args::parse_from(["versus", "--no-judge"]).runs(), 1);
        assert_eq!(Args::parse_from(["versus", "--smoke", "--runs", "2"]).runs(), 2);
        assert_eq!(Args::parse_from(["versus"]).runs(), 3);
    }
}
