//! Keeping two writers apart: the advisory locks that QEMU takes on image files.
//!
//! Each right that a program has on a file is a byte that it holds a shared lock on, and each right that it does not
//! leave to others is another byte. Whoever opens the file takes the locks for both, and then looks whether anybody holds
//! the byte that stands against them. So the image of a running machine is known for one, and QEMU knows ours.
//!
//! | byte | held by whoever | spelled by QEMU |
//! |---:|---|---|
//! | 100 | reads, and needs what it reads to be consistent | consistent read |
//! | 101 | writes | write |
//! | 102 | writes what is there already | write unchanged |
//! | 103 | changes the length | resize |
//! | 200 to 203 | does not leave that right to others | shared … |

use std::fs::File;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::{Error, ErrorKind, Result};

/// What a file is opened for, as far as others are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locking {
    /// To be read, while nobody writes.
    #[default]
    Read,
    /// To be written, while nobody else does.
    Write,
    /// Whatever others do: no lock is taken or looked at.
    Ignore,
}

/// A right that is a byte.
#[derive(Clone, Copy)]
struct Right {
    /// Which of the bytes.
    byte: i64,
    /// What QEMU calls it.
    name: &'static str,
}

/// To read, and to rely on it.
const CONSISTENT_READ: Right = Right { byte: 0, name: "consistent read" };
/// To write.
const WRITE: Right = Right { byte: 1, name: "write" };
/// To change the length.
const RESIZE: Right = Right { byte: 3, name: "resize" };

/// Takes the locks for `locking` on an open file, for as long as it is open. A file system that has no locks is taken
/// as it is.
///
/// # Errors
///
/// [`Locked`](ErrorKind::Locked) where another program stands against it.
pub fn lock(file: BorrowedFd<'_>, locking: Locking) -> Result<()> {
    let held: &[Right] = match locking {
        Locking::Ignore => return Ok(()),
        Locking::Read => &[CONSISTENT_READ],
        Locking::Write => &[CONSISTENT_READ, WRITE, RESIZE],
    };
    let withheld = [WRITE, RESIZE];
    let all =
        held.iter().map(|right| HELD_AT + right.byte).chain(withheld.iter().map(|right| WITHHELD_AT + right.byte));
    for byte in all {
        if set(file, byte).is_err() {
            // No locks here: a network file system, or a kernel that keeps them from us.
            return Ok(());
        }
    }
    for right in held {
        look(file, WITHHELD_AT + right.byte, || format!("Failed to get \"{}\" lock", right.name))?;
    }
    for right in withheld {
        look(file, HELD_AT + right.byte, || format!("Failed to get shared \"{}\" lock", right.name))?;
    }
    Ok(())
}

/// An open file, whose locks are given back when it is dropped.
///
/// Closing it does so too, but not before the last copy of its descriptor is closed, and a process that is about to be started
/// has copies of all, for a moment.
#[derive(Debug)]
pub(crate) struct LockedFile {
    /// The file.
    file: File,
    /// Whether locks were taken on it.
    locked: bool,
}

impl LockedFile {
    /// Takes the locks for `locking`.
    ///
    /// # Errors
    ///
    /// As [`lock`].
    pub(crate) fn lock(&mut self, locking: Locking) -> Result<()> {
        self.locked = locking != Locking::Ignore;
        lock(self.file.as_fd(), locking)
    }
}

impl From<File> for LockedFile {
    fn from(file: File) -> Self {
        Self { file, locked: false }
    }
}

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        if self.locked {
            unlock(self.file.as_fd());
        }
    }
}

/// Gives back all locks of an open file.
fn unlock(file: BorrowedFd<'_>) {
    let all = libc::flock { l_len: WITHHELD_AT + RIGHTS - HELD_AT, ..byte_lock(libc::F_UNLCK, HELD_AT) };
    // Where there are no locks, there is none to give back.
    let _ = fcntl(file, FcntlArg::F_OFD_SETLK(&all));
}

/// Takes a shared lock on one byte.
fn set(file: BorrowedFd<'_>, byte: i64) -> nix::Result<()> {
    let lock = byte_lock(libc::F_RDLCK, byte);
    loop {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&lock)) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Looks whether anybody else holds a lock on one byte.
fn look(file: BorrowedFd<'_>, byte: i64, what: impl FnOnce() -> String) -> Result<()> {
    let mut lock = byte_lock(libc::F_WRLCK, byte);
    match fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)) {
        Ok(_) if i32::from(lock.l_type) != libc::F_UNLCK => Err(Error::new(ErrorKind::Locked, what())),
        _ => Ok(()),
    }
}

/// A lock of that kind on one byte.
fn byte_lock(kind: i32, byte: i64) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    }
}

/// The first byte of rights that are held. QEMU's number.
const HELD_AT: i64 = 100;
/// The first byte of rights that others do not have. QEMU's number.
const WITHHELD_AT: i64 = 200;
/// Bytes that are rights.
const RIGHTS: i64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(first: Locking, second: Locking) -> Option<ErrorKind> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (one, two) = (file.reopen().unwrap(), file.reopen().unwrap());
        lock(one.as_fd(), first).unwrap();
        lock(two.as_fd(), second).err().map(|error| error.kind())
    }

    #[test]
    fn locks_can_be_given_back_before_the_last_descriptor_is_closed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (mut one, two) = (LockedFile::from(file.reopen().unwrap()), file.reopen().unwrap());
        let copy = one.try_clone().unwrap();
        one.lock(Locking::Write).unwrap();
        assert!(lock(two.as_fd(), Locking::Read).is_err());
        drop(one);
        lock(two.as_fd(), Locking::Read).unwrap();
        drop(copy);
    }

    #[test]
    fn a_writer_stands_alone_and_readers_do_not_mind_each_other() {
        assert_eq!(outcome(Locking::Read, Locking::Read), None);
        for (first, second) in
            [(Locking::Read, Locking::Write), (Locking::Write, Locking::Read), (Locking::Write, Locking::Write)]
        {
            assert_eq!(outcome(first, second), Some(ErrorKind::Locked), "{first:?} {second:?}");
        }
        assert_eq!(outcome(Locking::Write, Locking::Ignore), None);
        assert_eq!(outcome(Locking::Ignore, Locking::Write), None);
    }
}
