//! Connecting, in steps between which the caller may give up.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::sockopt::socket_error;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::line::{Patience, TICK, cancelled};

/// Connects to a port of a host, whichever of its addresses answers first; a request is sent as soon as it is written.
pub(crate) fn tcp(host: &str, port: u16, patience: &Patience) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        match to(family, &address, patience) {
            Ok(socket) => {
                let socket = TcpStream::from(socket);
                socket.set_nonblocking(false)?;
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) if patience.cancel.is_cancelled() => return Err(error),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Connects to a socket on this machine.
pub(crate) fn unix(path: &Path, patience: &Patience) -> io::Result<UnixStream> {
    let socket = UnixStream::from(to(AddressFamily::UNIX, &SocketAddrUnix::new(path)?, patience)?);
    socket.set_nonblocking(false)?;
    Ok(socket)
}

/// Connects a new socket, which does not wait, to `address`.
fn to(family: AddressFamily, address: &impl SocketAddrArg, patience: &Patience) -> io::Result<OwnedFd> {
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    loop {
        match connect(&socket, address) {
            Ok(()) => return Ok(socket),
            Err(Errno::INPROGRESS) => break,
            // So many wait for a server on this machine already that there is no room.
            Err(Errno::AGAIN) => sleep(TICK),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        go_on(patience)?;
    }
    let tick = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
    while matches!(poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&tick)), Ok(0) | Err(Errno::INTR)) {
        go_on(patience)?;
    }
    socket_error(&socket)??;
    Ok(socket)
}

/// Says whether the caller still waits.
fn go_on(patience: &Patience) -> io::Result<()> {
    if patience.cancel.is_cancelled() { Err(cancelled()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::line::is_cancelled;

    #[test]
    fn who_listens_is_reached_and_who_does_not_is_not() {
        let listener = TcpListener::bind("localhost:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = tcp("localhost", port, &Patience::default()).unwrap();
        listener.accept().unwrap().0.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
        drop(listener);
        let error = tcp("localhost", port, &Patience::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(unix(Path::new("/none/s"), &Patience::default()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_server_that_takes_nobody_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = UnixListener::bind(&path).unwrap();
        let patience = Patience::default();
        let mut taken = Vec::new();
        let full = std::thread::scope(|scope| {
            scope.spawn(|| {
                sleep(TICK * 10);
                patience.cancel.cancel();
            });
            loop {
                match unix(&path, &patience) {
                    Ok(client) => taken.push(client),
                    Err(error) => break error,
                }
            }
        });
        assert!(is_cancelled(&full), "{full}");
    }
}
