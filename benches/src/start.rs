//! Short commands: what `info` takes, from before its start to after its end, for a small image of each format.

use std::fs::{copy, create_dir_all};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::args::Args;
use crate::error::{Error, io};
use crate::stats::{Ratio, median};
use crate::{text, tools};

/// What both programs took.
#[derive(Debug)]
pub(crate) struct Starts {
    /// One for each format.
    rows: Vec<Start>,
}

/// What both took for one image.
#[derive(Debug)]
struct Start {
    /// The format, as both programs call it.
    format: &'static str,
    /// The command lines, ours first.
    commands: [String; 2],
    /// Seconds of each run of ours.
    ours: Vec<f64>,
    /// Seconds of each run of the peer's.
    peer: Vec<f64>,
}

/// Makes the images and runs both programs on them, in turn.
pub(crate) fn measure(args: &Args) -> Result<Starts, Error> {
    let folder = args.dir()?.join("start");
    create_dir_all(&folder).map_err(io(format!("cannot create {}", folder.display())))?;
    let (imgfmt, qemu_img) = (installed(&args.imgfmt()?, &folder)?, args.qemu_img()?);
    let mut rows = Vec::new();
    for format in FORMATS {
        let image = image(&qemu_img, &folder, format)?;
        let mut commands = [info(&imgfmt, &["qemu-img"], &image), info(&qemu_img, &[], &image)];
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..args.starts() {
            for (command, times) in commands.iter_mut().zip(&mut times) {
                times.push(timed(command)?);
            }
        }
        let [ours, peer] = times;
        rows.push(Start { format, commands: commands.map(|command| tools::line(&command)), ours, peer });
    }
    Ok(Starts { rows })
}

/// A copy of `program` in `folder`, which is how a program comes to where it is used, and how the peer's came there. The page cache
/// keeps what a linker has just written in smaller pieces, and starts it a fifth slower.
fn installed(program: &Path, folder: &Path) -> Result<PathBuf, Error> {
    let path = folder.join("imgfmt");
    copy(program, &path).map_err(io(format!("cannot copy {} to {}", program.display(), path.display())))?;
    Ok(path)
}

/// An empty image of `format`, made by the peer.
fn image(qemu_img: &Path, folder: &Path, format: &str) -> Result<PathBuf, Error> {
    let path = folder.join(format!("small.{format}"));
    tools::run(Command::new(qemu_img).args(["create", "-q", "-f", format]).arg(&path).arg(SIZE))?;
    Ok(path)
}

/// The command that describes `image`; `first` are arguments before the verb.
fn info(program: &Path, first: &[&str], image: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(first).args(["info", "--output=json"]).arg(image);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Seconds that `command` takes.
fn timed(command: &mut Command) -> Result<f64, Error> {
    let start = Instant::now();
    let status = command.status().map_err(io(format!("cannot run {}", tools::line(command))))?;
    let seconds = start.elapsed().as_secs_f64();
    if status.success() { Ok(seconds) } else { Err(tools::failure(command, &status.to_string(), b"")) }
}

impl Starts {
    /// Whether a floor was missed.
    pub(crate) fn have_missed(&self) -> bool {
        self.rows.iter().any(|row| !row.missed().is_empty())
    }

    /// The report for people: milliseconds.
    pub(crate) fn text(&self) -> String {
        let mut table = vec![["info of", "ours ms", "peer ms", "ratio", "floor"].map(str::to_owned).to_vec()];
        table.extend(self.rows.iter().map(Start::cells));
        let lines =
            self.rows.iter().map(|row| format!("{}\n  {}\n  {}\n", row.format, row.commands[0], row.commands[1]));
        format!("{}\n{}", text::columns(&table), lines.collect::<String>())
    }

    /// The report for machines: seconds.
    pub(crate) fn json(&self) -> String {
        let rows: Vec<Value> = self.rows.iter().map(Start::value).collect();
        format!("{:#}", json!({ "starts": rows }))
    }
}

impl Start {
    /// The peer's time divided by ours.
    fn ratio(&self) -> Ratio {
        Ratio::of(&self.peer, &self.ours)
    }

    /// Which floors were missed.
    fn missed(&self) -> Vec<&'static str> {
        let rules = [("ratio", self.ratio().median >= RATIO), ("time", median(&self.ours) <= SECONDS)];
        rules.iter().filter(|(_, kept)| !kept).map(|(name, _)| *name).collect()
    }

    /// The cells of a row in the table.
    fn cells(&self) -> Vec<String> {
        let missed = self.missed();
        let ms = |seconds: &[f64]| format!("{:.2}", median(seconds) * 1e3);
        let verdict = if missed.is_empty() { "kept".to_owned() } else { format!("missed: {}", missed.join(", ")) };
        let ratio = format!("{:.2}x", self.ratio().median);
        vec![self.format.to_owned(), ms(&self.ours), ms(&self.peer), ratio, verdict]
    }

    /// The row as an object.
    fn value(&self) -> Value {
        json!({
            "format": self.format,
            "commands": self.commands,
            "ours": { "median": median(&self.ours), "runs": self.ours },
            "peer": { "median": median(&self.peer), "runs": self.peer },
            "ratio": self.ratio().median,
            "missed": self.missed(),
        })
    }
}

/// The formats that both programs know.
const FORMATS: [&str; 5] = ["qcow2", "vmdk", "vhdx", "vpc", "raw"];
/// The size of the disks.
const SIZE: &str = "1G";
/// How many times as fast as the peer we have to be.
const RATIO: f64 = 4.0;
/// Seconds that we may take.
const SECONDS: f64 = 3e-3;

#[cfg(test)]
mod tests {
    use super::{Start, Starts};

    #[test]
    fn what_is_too_slow_is_missed() {
        let start = |ours: f64, peer: f64| Start {
            format: "raw",
            commands: ["a".to_owned(), "b".to_owned()],
            ours: vec![ours; 3],
            peer: vec![peer; 3],
        };
        assert!(start(0.001, 0.004).missed().is_empty());
        assert_eq!(start(0.001, 0.003).missed(), ["ratio"]);
        assert_eq!(start(0.004, 0.020).missed(), ["time"]);
        let starts = Starts { rows: vec![start(0.001, 0.0025)] };
        assert!(starts.have_missed());
        assert!(starts.text().contains("raw      1.00     2.50     2.50x  missed: ratio\n"), "{}", starts.text());
    }
}
