//! The helper program, as the program sees it that needs it.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use imgfmt_core::convert::Cancel;
use imgfmt_core::{Error, Result};
use imgfmt_nbd::{NbdExport, Patience, Stream};

use crate::address::RbdAddress;
use crate::mode::Mode;
use crate::order;

/// A helper that is running. Dropping it waits until it has closed the image, which it does when its client is gone.
#[derive(Debug)]
struct Helper {
    /// Its process.
    child: Child,
    /// Says when not to wait any longer.
    cancel: Cancel,
}

impl Helper {
    /// Starts the helper at `program`, and tells it what to do. Gives the socket that it talks to us through.
    fn start(program: &Path, mode: Mode, address: &RbdAddress, cancel: &Cancel) -> Result<(Self, UnixStream)> {
        let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
        let child = command(program).stdin(OwnedFd::from(theirs)).spawn();
        let helper = Self { child: child.map_err(|e| cannot_start(program, e))?, cancel: cancel.clone() };
        // A helper that has ended already is met when it is to answer.
        match ours.write_all(&order::to_bytes(mode, address)) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed(error)),
            _ => Ok((helper, ours)),
        }
    }

    /// Waits until it has ended. One that does not, once the end has been asked for, waits for a cluster that does not answer.
    fn wait(&mut self) -> Option<ExitStatus> {
        let mut asked: Option<Instant> = None;
        loop {
            match self.child.try_wait() {
                Ok(None) => sleep(TICK),
                ended => return ended.ok().flatten(),
            }
            if self.cancel.is_cancelled() && asked.get_or_insert_with(Instant::now).elapsed() >= GRACE {
                // It is waited for once more, and ends now.
                self.child.kill().ok()?;
            }
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // What it could not write, a flush has told of.
        self.wait();
    }
}

/// Has the helper at `program` serve the image at `address`.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where there is no helper, or no library of Ceph's; what the helper
/// says of the image; [`Cancelled`](imgfmt_core::ErrorKind::Cancelled), also of all that is done with it later.
pub(crate) fn serve(program: &Path, mode: Mode, address: &RbdAddress, cancel: &Cancel) -> Result<NbdExport> {
    let (mut helper, ours) = Helper::start(program, mode, address, cancel)?;
    let patience = Patience { answer: None, cancel: cancel.clone() };
    match NbdExport::on_with(Stream::Unix(ours), "", patience) {
        Ok(export) => Ok(export.served_by(helper)),
        Err(error) => {
            // It has said why, or never will.
            let _ = helper.child.kill();
            Err(NbdExport::in_its_words(error).unwrap_or_else(|e| e.context("the helper for rbd images fails")))
        }
    }
}

/// Has the helper at `program` remove the image at `address`, and says whether it did.
pub(crate) fn remove(program: &Path, address: &RbdAddress, cancel: &Cancel) -> bool {
    let started = Helper::start(program, Mode::Remove, address, cancel);
    started.is_ok_and(|(mut helper, _ours)| helper.wait().is_some_and(|status| status.success()))
}

/// The command that starts the helper. What it is to do is told to it alone: others can read the arguments of a process, and what
/// it has in its environment. Ceph's library writes to standard error what it also returns. A signal from the terminal is for the
/// program alone, which may have things to put in order: the helper ends when its client does.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command
}

/// Why the helper cannot be talked to.
fn failed(error: io::Error) -> Error {
    Error::io("cannot talk to the helper for rbd images", error)
}

/// Why the helper does not start.
fn cannot_start(program: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            let program = program.display();
            Error::unsupported(format!("rbd images need the helper {program}, which is not installed"))
        }
        _ => Error::io(format!("cannot start {}", program.display()), error),
    }
}

/// How long to wait before the next look at whether it has ended.
const TICK: Duration = Duration::from_millis(5);
/// How long it may take to close or remove an image once the end has been asked for.
const GRACE: Duration = Duration::from_secs(10);
