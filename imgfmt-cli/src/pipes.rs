//! `-` as a file: standard input and output.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, Stdin};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use imgfmt::convert::Cancel;
use imgfmt::{ErrorKind, Pipes};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::failure::Failure;

/// What `-` means: the files to open in its place, or the pipes to use.
#[derive(Default)]
pub(crate) struct Resolved {
    /// The pipes.
    pub(crate) pipes: Pipes,
    /// The file that standard input is, where it is one.
    pub(crate) input: Option<PathBuf>,
}

/// Looks at what standard input and output are, where they take the place of a source or of the target. A file that was
/// redirected from its start is opened as the file that it is.
///
/// Reading from the pipe ends with an error once `cancel` says so, also while nothing comes.
pub(crate) fn resolve(source: bool, target: bool, cancel: &Cancel) -> Result<Resolved, Failure> {
    let mut resolved = Resolved::default();
    if source {
        let stdin = io::stdin();
        if is_file_at_its_start(stdin.as_fd()) {
            resolved.input = Some(PathBuf::from("/dev/stdin"));
        } else {
            resolved.pipes.input = Some(Box::new(Waiting { stdin, cancel: cancel.clone() }));
        }
    }
    if target {
        let stdout = io::stdout();
        if stdout.is_terminal() {
            return Err(Failure::Usage("standard output is a terminal; an image goes to a file or a pipe".to_owned()));
        }
        // Around the lines that standard output is buffered by.
        let file = stdout.as_fd().try_clone_to_owned().map_err(|e| Failure::System("cannot use standard output", e))?;
        resolved.pipes.output = Some(Box::new(File::from(file)));
    }
    Ok(resolved)
}

/// Standard input that can be waited for and given up.
struct Waiting {
    /// The input.
    stdin: Stdin,
    /// Whether to give up.
    cancel: Cancel,
}

impl Read for Waiting {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let patience = Timespec { tv_sec: 0, tv_nsec: PATIENCE_NANOS };
        loop {
            if self.cancel.is_cancelled() {
                let error = imgfmt::Error::new(ErrorKind::Cancelled, "the conversion was cancelled");
                return Err(io::Error::other(error));
            }
            match poll(&mut [PollFd::new(&self.stdin, PollFlags::IN)], Some(&patience)) {
                Ok(0) | Err(Errno::INTR) => {}
                // What cannot be waited for says so when it is read.
                Ok(_) | Err(_) => return self.stdin.read(buf),
            }
        }
    }
}

/// Whether `path` is `-`.
pub(crate) fn is_pipe(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Refuses `-` where a file is needed; `why` says it.
pub(crate) fn refuse_pipe(path: &Path, why: &str) -> Result<(), Failure> {
    if is_pipe(path) { Err(Failure::Usage(format!("-: {why}"))) } else { Ok(()) }
}

/// Whether a stream is a regular file or a device that can be read from its start by position.
fn is_file_at_its_start(fd: BorrowedFd<'_>) -> bool {
    let Ok(file) = fd.try_clone_to_owned().map(File::from) else { return false };
    let seekable = file.metadata().is_ok_and(|metadata| {
        use std::os::unix::fs::FileTypeExt;
        metadata.is_file() || metadata.file_type().is_block_device()
    });
    seekable && (&file).stream_position().is_ok_and(|at| at == 0)
}

/// Longest wait for input before a look at whether it is still wanted: 50 ms.
const PATIENCE_NANOS: i64 = 50_000_000;
