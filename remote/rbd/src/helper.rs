//! The helper program, as the program sees it that needs it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use imgfmt_core::{Error, Result};
use imgfmt_nbd::{NbdExport, Stream};

use crate::address::RbdAddress;
use crate::mode::Mode;

/// A helper that is running. Dropping it waits until it has closed the image, which it does when its client is gone.
#[derive(Debug)]
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        // What it could not write, a flush has told of.
        let _ = self.0.wait();
    }
}

/// Has the helper at `program` serve the image at `address`.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where there is no helper, or no library of Ceph's; what the helper
/// says of the image.
pub(crate) fn serve(program: &Path, mode: Mode, address: &RbdAddress) -> Result<NbdExport> {
    let failed = |e| Error::io("cannot talk to the helper for rbd images", e);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let child = command(program, mode, address).stdin(OwnedFd::from(theirs)).spawn();
    let mut helper = Helper(child.map_err(|e| cannot_start(program, e))?);
    match NbdExport::on_patiently(Stream::Unix(ours), "") {
        Ok(export) => Ok(export.served_by(helper)),
        Err(error) => {
            // It has said why, or never will.
            let _ = helper.0.kill();
            Err(NbdExport::in_its_words(error).unwrap_or_else(|e| e.context("the helper for rbd images fails")))
        }
    }
}

/// Has the helper at `program` remove the image at `address`, and says whether it did.
pub(crate) fn remove(program: &Path, address: &RbdAddress) -> bool {
    let status = command(program, Mode::Remove, address).stdin(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The command that starts the helper. Ceph's library writes to standard error what it also returns. A signal from the terminal is for
/// the program alone, which may have things to put in order: the helper ends when its client does.
fn command(program: &Path, mode: Mode, address: &RbdAddress) -> Command {
    let mut command = Command::new(program);
    command.args([mode.to_string(), address.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0);
    command
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
