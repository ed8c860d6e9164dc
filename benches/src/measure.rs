//! Running a row: both programs in turn, each run with the time, the processor time and the peak memory of that child.

use std::fs::{File, metadata, read, remove_file};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::fs::sync;
use wait4::Wait4;

use crate::error::{Error, io};
use crate::rows::Row;
use crate::{cache, tools, verify};

/// Bytes in one of the blocks that `stat` counts.
const SECTOR: u64 = 512;

/// What all rows have in common.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The program under test.
    pub(crate) imgfmt: PathBuf,
    /// What it says of itself.
    pub(crate) imgfmt_version: String,
    /// The peer, which also makes inputs and checks outputs.
    pub(crate) qemu_img: PathBuf,
    /// What it says of itself.
    pub(crate) qemu_img_version: String,
    /// The folder of the disk, in which both run.
    pub(crate) folder: PathBuf,
    /// Measured runs of each program.
    pub(crate) runs: u16,
    /// Whether both have to flush what they wrote.
    pub(crate) durable: bool,
}

/// What both programs took for a row.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The program under test.
    pub(crate) ours: Side,
    /// The other one.
    pub(crate) peer: Side,
}

/// One program in one row.
#[derive(Debug)]
pub(crate) struct Side {
    /// The command line, as run in the folder of the disk.
    pub(crate) command: String,
    /// One cost a run.
    pub(crate) costs: Vec<Cost>,
    /// What the last run wrote.
    pub(crate) output: Size,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Seconds on the clock, from before the start to after the end of the process.
    pub(crate) wall: f64,
    /// Seconds of processor time, the kernel's on its behalf included.
    pub(crate) cpu: f64,
    /// Most memory resident at any time, in bytes.
    pub(crate) peak: u64,
}

/// How large a file is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    /// Its length in bytes.
    pub(crate) len: u64,
    /// The bytes that it takes up on the host.
    pub(crate) allocated: u64,
}

/// Runs both programs in turn and verifies what the last run of each leaves.
///
/// An output is removed before the other program starts, so that its write-back slows nobody down.
pub(crate) fn row(row: &Row, setup: &Setup) -> Result<Outcome, Error> {
    cache::warm(&setup.folder.join(row.input.file()))?;
    // What was written before, by the making of inputs for one, must not be on its way to the disk meanwhile.
    sync();
    let flush: &[&str] = if setup.durable { &["-t", "writeback"] } else { &[] };
    let peer_options = [row.peer_options, flush].concat();
    let mut ours = Job::new(&setup.imgfmt, row, flush, "ours", setup);
    let mut peer = Job::new(&setup.qemu_img, row, &peer_options, "peer", setup);
    for run in 1..=setup.runs {
        for job in [&mut ours, &mut peer] {
            if setup.durable {
                sync();
            }
            cache::ready_pages(&setup.folder)?;
            job.run()?;
            if run == setup.runs {
                verify::output(setup, row.target.format, &job.output)?;
            }
            job.clear()?;
        }
    }
    Ok(Outcome { ours: ours.side(), peer: peer.side() })
}

/// One program's part of a row, while it is measured. Its files go when it goes.
struct Job {
    /// What is run.
    command: Command,
    /// What it writes.
    output: PathBuf,
    /// Where its complaints go: a pipe would need a reader while the child is waited for.
    complaints: PathBuf,
    /// One cost a run.
    costs: Vec<Cost>,
    /// How large the output of the last run was.
    size: Size,
}

impl Job {
    /// Puts the command line together; `side` names the output.
    fn new(program: &Path, row: &Row, extra: &[&str], side: &str, setup: &Setup) -> Self {
        let output = format!("{side}.{}", row.target.format);
        let mut command = Command::new(program);
        command.args(row.args(extra, &output)).current_dir(&setup.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let complaints = setup.folder.join(format!("{side}.stderr"));
        Self { command, output: setup.folder.join(output), complaints, costs: Vec::new(), size: Size::default() }
    }

    /// Measures one run.
    fn run(&mut self) -> Result<(), Error> {
        self.clear()?;
        let complaints = File::create(&self.complaints).map_err(io("cannot create a file for complaints"))?;
        self.command.stderr(complaints);
        let cost = self.timed()?;
        self.costs.push(cost);
        let facts = metadata(&self.output).map_err(io(format!("no output at {}", self.output.display())))?;
        self.size = Size { len: facts.len(), allocated: facts.blocks() * SECTOR };
        Ok(())
    }

    /// Runs the command to its end.
    fn timed(&mut self) -> Result<Cost, Error> {
        let context = format!("cannot run {}", tools::line(&self.command));
        let start = Instant::now();
        let used = self.command.spawn().and_then(Wait4::wait4).map_err(io(context))?;
        let wall = start.elapsed().as_secs_f64();
        if !used.status.success() {
            let said = read(&self.complaints).unwrap_or_default();
            return Err(tools::failure(&self.command, &used.status.to_string(), &said));
        }
        let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
        Ok(Cost { wall, cpu, peak: used.rusage.maxrss })
    }

    /// Removes the output.
    fn clear(&self) -> Result<(), Error> {
        remove(&self.output)
    }

    /// Sums up.
    fn side(&self) -> Side {
        Side { command: tools::line(&self.command), costs: self.costs.clone(), output: self.size }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // A file that cannot be removed here is in the way of the next run, which says so.
        let _ = self.clear();
        let _ = remove(&self.complaints);
    }
}

/// Removes a file that may not be there.
fn remove(file: &Path) -> Result<(), Error> {
    match remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(io(format!("cannot remove {}", file.display()))(error))
        }
        _ => Ok(()),
    }
}
