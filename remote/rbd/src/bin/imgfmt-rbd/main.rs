//! `imgfmt-rbd`: serves one image of a Ceph pool over NBD to the program that has started it, which is at the other end of standard
//! input. Nobody else is meant to call it.
//!
//! What to do is the first that it is told there, since an address may have a key in it, and anybody can read arguments:
//!
//! ```text
//! read ADDRESS            serves the image
//! write ADDRESS           the same, to be written
//! create=BYTES ADDRESS    makes it first
//! remove ADDRESS          removes it, and serves nothing
//! ```

mod ffi;
mod medium;

use std::io::Read;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;

use imgfmt_core::{Error, ErrorKind, Result};
use imgfmt_nbd::{Served, Stream};
use imgfmt_rbd::{Mode, RbdAddress, read_order};

use ffi::{Ceph, Cluster, Image, Pool};
use medium::RbdMedium;

/// Serves.
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Does what it is told. What is in the way, the client is told of.
fn run() -> Result<()> {
    let mut client = client()?;
    let (mode, address) = read_order(&mut client)?;
    match open(mode, &address, &client) {
        Ok(None) => Ok(()),
        Ok(Some(served)) => served.serve(Stream::Unix(client)),
        Err(error) if mode == Mode::Remove => Err(error),
        Err(error) => Served::refuse(Stream::Unix(client), &error),
    }
}

/// The client, at the other end of standard input.
fn client() -> Result<UnixStream> {
    let stdin = std::io::stdin();
    let socket = stdin.as_fd().try_clone_to_owned();
    socket.map(UnixStream::from).map_err(|e| Error::io("standard input is no socket", e))
}

/// Opens the image; nothing where it was to be removed.
fn open(mode: Mode, address: &RbdAddress, client: &UnixStream) -> Result<Option<Served>> {
    let (pool, name) = (pool(address)?, address.image.as_str());
    match mode {
        Mode::Remove => return pool.remove(name).map(|()| None),
        Mode::Create(_) if address.snapshot.is_some() => {
            return Err(Error::invalid("a snapshot is not made by writing to it"));
        }
        // Connecting may have taken so long that nobody waits for it any more.
        Mode::Create(_) if has_hung_up(client)? => return Err(Error::new(ErrorKind::Cancelled, "nobody is there")),
        Mode::Create(size) => pool.create(name, size)?,
        Mode::Read | Mode::Write => {}
    }
    let writable = mode != Mode::Read;
    if writable && address.snapshot.is_some() {
        return Err(Error::refused("a snapshot can be read only"));
    }
    let image = Image::open(pool, name, address.snapshot.as_deref(), writable);
    match image.and_then(RbdMedium::new) {
        Ok(medium) => Ok(Some(Served { medium: Arc::new(medium), writable, threads: THREADS })),
        Err(error) => {
            if matches!(mode, Mode::Create(_)) {
                remove(address);
            }
            Err(error)
        }
    }
}

/// Removes an image that was made and cannot be opened. What is in the way of that, too, is of no more use to anybody.
fn remove(address: &RbdAddress) {
    let _ = pool(address).and_then(|pool| pool.remove(&address.image));
}

/// Whether the client has gone. One that waits says nothing before it is greeted.
fn has_hung_up(mut client: &UnixStream) -> Result<bool> {
    let failed = |e| Error::io("cannot look at the client", e);
    client.set_nonblocking(true).map_err(failed)?;
    let read = client.read(&mut [0]);
    client.set_nonblocking(false).map_err(failed)?;
    Ok(matches!(read, Ok(0)))
}

/// Opens the pool.
fn pool(address: &RbdAddress) -> Result<Pool> {
    let cluster = Cluster::new(Ceph::load()?, address.user.as_deref().unwrap_or(DEFAULT_USER))?;
    cluster.read_conf(address.conf.as_deref())?;
    for (name, value) in &address.settings {
        cluster.set(name, value)?;
    }
    cluster.connect()?;
    Pool::new(cluster, &address.pool, &address.namespace)
}

/// Who asks where nothing is said.
const DEFAULT_USER: &str = "admin";
/// Requests that are answered at a time: enough to keep some of a cluster's disks busy.
const THREADS: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");
