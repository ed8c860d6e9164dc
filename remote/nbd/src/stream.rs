//! The connection to a server: a socket of one kind or the other.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// On this machine.
    Unix(UnixStream),
    /// In a network.
    Tcp(TcpStream),
}

impl Stream {
    /// The same socket again.
    pub(crate) fn again(&self) -> io::Result<Self> {
        match self {
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
        }
    }

    /// After how long each wait for the other side ends, whether or not it has something to say or takes something.
    pub(crate) fn set_wait(&self, wait: Duration) -> io::Result<()> {
        match self {
            Self::Unix(socket) => {
                socket.set_read_timeout(Some(wait))?;
                socket.set_write_timeout(Some(wait))
            }
            Self::Tcp(socket) => {
                socket.set_read_timeout(Some(wait))?;
                socket.set_write_timeout(Some(wait))
            }
        }
    }

    /// Reads what is there.
    pub(crate) fn read_some(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => (&mut &*socket).read(buf),
            Self::Tcp(socket) => (&mut &*socket).read(buf),
        }
    }

    /// Writes what there is room for.
    pub(crate) fn write_some(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => (&mut &*socket).write(buf),
            Self::Tcp(socket) => (&mut &*socket).write(buf),
        }
    }

    /// Ends the connection for all who have it: nothing is read or written any more.
    pub(crate) fn end(&self) {
        // Where it has ended already, that is what was wanted.
        let _ = match self {
            Self::Unix(socket) => socket.shutdown(Shutdown::Both),
            Self::Tcp(socket) => socket.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_some(buf)
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_some(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
