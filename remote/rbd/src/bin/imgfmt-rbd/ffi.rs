//! Ceph's C libraries, loaded when they are needed: `librados(3)` and `librbd`, of which the headers `rados/librados.h` and
//! `rbd/librbd.h` say what each function takes.
//!
//! The only place with `unsafe`. What it relies on: the functions are those of these headers, whose interface is stable by the
//! number in the library's name; a handle is used until it is destroyed, by this file alone; and the libraries stay loaded
//! as long as a handle lives, since each holds on to them.
#![expect(unsafe_code, reason = "Ceph's library is one of C")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::ops::Range;
use std::ptr;
use std::sync::Arc;

use imgfmt_core::{Error, Result};
use libloading::Library;

/// A handle of the libraries: of a cluster, a pool, or an image.
type Handle = *mut c_void;

/// Declares the functions that are loaded, by the names that they have in the library.
macro_rules! functions {
    ($($(#[$doc:meta])* $library:ident $name:ident($($argument:ty),*) -> $result:ty;)*) => {
        /// The functions of both libraries.
        struct Functions {
            $($(#[$doc])* $name: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Functions {
            /// Looks all of them up.
            fn find(rados: &Library, rbd: &Library) -> std::result::Result<Self, libloading::Error> {
                let libraries = Libraries { rados, rbd };
                Ok(Self {
                    // SAFETY: the type is that of the function of this name in the library's header.
                    $($name: unsafe { *libraries.$library.get(concat!(stringify!($name), "\0").as_bytes())? },)*
                })
            }
        }
    };
}

/// Both libraries, by the names that the list of functions has for them.
struct Libraries<'a> {
    /// `librados`.
    rados: &'a Library,
    /// `librbd`.
    rbd: &'a Library,
}

functions! {
    /// Makes a handle of a cluster.
    rados rados_create(*mut Handle, *const c_char) -> c_int;
    /// Reads a configuration file.
    rados rados_conf_read_file(Handle, *const c_char) -> c_int;
    /// Reads the settings of the environment.
    rados rados_conf_parse_env(Handle, *const c_char) -> c_int;
    /// Sets a setting.
    rados rados_conf_set(Handle, *const c_char, *const c_char) -> c_int;
    /// Connects.
    rados rados_connect(Handle) -> c_int;
    /// Disconnects, and destroys the handle.
    rados rados_shutdown(Handle) -> ();
    /// Makes a handle of a pool.
    rados rados_ioctx_create(Handle, *const c_char, *mut Handle) -> c_int;
    /// Chooses a namespace.
    rados rados_ioctx_set_namespace(Handle, *const c_char) -> ();
    /// Destroys the handle of a pool.
    rados rados_ioctx_destroy(Handle) -> ();
    /// Makes an image.
    rbd rbd_create(Handle, *const c_char, u64, *mut c_int) -> c_int;
    /// Removes an image.
    rbd rbd_remove(Handle, *const c_char) -> c_int;
    /// Opens an image.
    rbd rbd_open(Handle, *const c_char, *mut Handle, *const c_char) -> c_int;
    /// Opens an image to be read.
    rbd rbd_open_read_only(Handle, *const c_char, *mut Handle, *const c_char) -> c_int;
    /// Closes an image.
    rbd rbd_close(Handle) -> c_int;
    /// Tells how large an image is.
    rbd rbd_get_size(Handle, *mut u64) -> c_int;
    /// Gives an image another size.
    rbd rbd_resize(Handle, u64) -> c_int;
    /// Reads.
    rbd rbd_read(Handle, u64, usize, *mut c_char) -> isize;
    /// Writes.
    rbd rbd_write(Handle, u64, usize, *const c_char) -> isize;
    /// Flushes.
    rbd rbd_flush(Handle) -> c_int;
    /// Visits what is allocated.
    rbd rbd_diff_iterate2(Handle, *const c_char, u64, u64, u8, u8, VisitRun, *mut c_void) -> c_int;
}

/// What `rbd_diff_iterate2` calls: offset, length, whether there are data, and what the caller gave.
type VisitRun = unsafe extern "C" fn(u64, usize, c_int, *mut c_void) -> c_int;

/// `rbd_write_zeroes`: offset, length, flags of the zeros, flags of the operation.
type WriteZeroes = unsafe extern "C" fn(Handle, u64, usize, c_int, c_int) -> isize;

/// Ceph's libraries.
pub(crate) struct Ceph {
    /// Their functions.
    functions: Functions,
    /// The function that makes bytes zero, which came with version 16. `rbd_discard` does not: it passes over what is no whole
    /// number of its granules.
    write_zeroes: Option<WriteZeroes>,
    /// They themselves, so that they stay.
    _libraries: [Library; 2],
}

impl Ceph {
    /// Loads the libraries.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where they are not installed.
    pub(crate) fn load() -> Result<Arc<Self>> {
        let load = || -> std::result::Result<Self, libloading::Error> {
            // SAFETY: the libraries are the system's, and do nothing when they are loaded but initialize themselves.
            let rados = unsafe { Library::new(RADOS) }?;
            // SAFETY: as above.
            let rbd = unsafe { Library::new(RBD) }?;
            // SAFETY: the type is that of the function of this name in the library's header.
            let write_zeroes = unsafe { rbd.get::<WriteZeroes>(b"rbd_write_zeroes\0") }.ok().map(|found| *found);
            Ok(Self { functions: Functions::find(&rados, &rbd)?, write_zeroes, _libraries: [rbd, rados] })
        };
        let missing = "Ceph's libraries cannot be loaded; in Debian they are in the package librbd1";
        load().map(Arc::new).map_err(|e| Error::unsupported(missing).because(e))
    }
}

/// A connection to a cluster.
pub(crate) struct Cluster {
    /// Its handle.
    handle: Handle,
    /// The libraries.
    ceph: Arc<Ceph>,
}

impl Cluster {
    /// A handle of a cluster, for the user `client.<user>`.
    pub(crate) fn new(ceph: Arc<Ceph>, user: &str) -> Result<Self> {
        let user = c_string(user)?;
        let mut handle = ptr::null_mut();
        // SAFETY: both pointers are valid for the call.
        check(unsafe { (ceph.functions.rados_create)(&raw mut handle, user.as_ptr()) }, "error initializing")?;
        Ok(Self { handle, ceph })
    }

    /// Reads the configuration file at `path`, or the one that Ceph finds.
    pub(crate) fn read_conf(&self, path: Option<&str>) -> Result<()> {
        let given = path.map(c_string).transpose()?;
        let pointer = given.as_ref().map_or(ptr::null(), |path| path.as_ptr());
        let functions = &self.ceph.functions;
        // SAFETY: the handle is not connected yet, and the path is null or a string.
        let read = unsafe { (functions.rados_conf_read_file)(self.handle, pointer) };
        // That there is no file is no error, as long as none was named.
        if given.is_some() || read != -ENOENT {
            check(read, &format!("error reading conf file {}", path.unwrap_or("of Ceph")))?;
        }
        // SAFETY: the handle is not connected yet; null is the usual variable.
        check(unsafe { (functions.rados_conf_parse_env)(self.handle, ptr::null()) }, "error reading CEPH_ARGS")
    }

    /// Sets a setting.
    pub(crate) fn set(&self, name: &str, value: &str) -> Result<()> {
        let (c_name, value) = (c_string(name)?, c_string(value)?);
        // SAFETY: the handle is not connected yet, and both are strings.
        let set = unsafe { (self.ceph.functions.rados_conf_set)(self.handle, c_name.as_ptr(), value.as_ptr()) };
        check(set, &format!("invalid conf option {name}"))
    }

    /// Connects.
    pub(crate) fn connect(&self) -> Result<()> {
        // SAFETY: the handle is not connected yet.
        check(unsafe { (self.ceph.functions.rados_connect)(self.handle) }, "error connecting")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SAFETY: all pools of it are gone, since each holds on to it; and it is not used again.
        unsafe { (self.ceph.functions.rados_shutdown)(self.handle) }
    }
}

/// A pool of a cluster.
pub(crate) struct Pool {
    /// Its handle.
    handle: Handle,
    /// The cluster.
    cluster: Cluster,
}

impl Pool {
    /// The pool called `name` of a cluster that is connected, or the namespace in it.
    pub(crate) fn new(cluster: Cluster, name: &str, namespace: &str) -> Result<Self> {
        let (c_name, c_namespace) = (c_string(name)?, c_string(namespace)?);
        let functions = &cluster.ceph.functions;
        let mut handle = ptr::null_mut();
        // SAFETY: the cluster is connected, and both pointers are valid for the call.
        let made = unsafe { (functions.rados_ioctx_create)(cluster.handle, c_name.as_ptr(), &raw mut handle) };
        check(made, &format!("error opening pool {name}"))?;
        // SAFETY: the handle has just been made.
        unsafe { (functions.rados_ioctx_set_namespace)(handle, c_namespace.as_ptr()) };
        Ok(Self { handle, cluster })
    }

    /// Makes an image.
    pub(crate) fn create(&self, name: &str, size: u64) -> Result<()> {
        let c_name = c_string(name)?;
        // 0 is the order that the cluster is configured for.
        let mut order = 0;
        // SAFETY: the pool is open, and both pointers are valid for the call.
        let made =
            unsafe { (self.cluster.ceph.functions.rbd_create)(self.handle, c_name.as_ptr(), size, &raw mut order) };
        check(made, "error rbd create")
    }

    /// Removes an image.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let c_name = c_string(name)?;
        // SAFETY: the pool is open, and the name is a string.
        let removed = unsafe { (self.cluster.ceph.functions.rbd_remove)(self.handle, c_name.as_ptr()) };
        check(removed, &format!("error removing {name}"))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: all images of it are closed, since each holds on to it; and it is not used again.
        unsafe { (self.cluster.ceph.functions.rados_ioctx_destroy)(self.handle) }
    }
}

/// An open image. Ceph's library lets any number of threads use it.
pub(crate) struct Image {
    /// Its handle.
    handle: Handle,
    /// The pool.
    pool: Pool,
}

// SAFETY: librbd's functions on an image may be called from any thread, and from several at a time; the handles of the pool and
// the cluster are used when it is dropped, by one thread.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Image {
    /// Opens the image called `name`, or a snapshot of it.
    pub(crate) fn open(pool: Pool, name: &str, snapshot: Option<&str>, to_write: bool) -> Result<Self> {
        let (c_name, snapshot) = (c_string(name)?, snapshot.map(c_string).transpose()?);
        let snapshot = snapshot.as_ref().map_or(ptr::null(), |snapshot| snapshot.as_ptr());
        let functions = &pool.cluster.ceph.functions;
        let open = if to_write { functions.rbd_open } else { functions.rbd_open_read_only };
        let mut handle = ptr::null_mut();
        // SAFETY: the pool is open, the name is a string, and the snapshot is null or one.
        let opened = unsafe { open(pool.handle, c_name.as_ptr(), &raw mut handle, snapshot) };
        check(opened, &format!("error reading header from {name}"))?;
        Ok(Self { handle, pool })
    }

    /// The functions of the libraries.
    fn functions(&self) -> &Functions {
        &self.pool.cluster.ceph.functions
    }

    /// How large it is, in bytes.
    pub(crate) fn size(&self) -> Result<u64> {
        let mut size = 0;
        // SAFETY: the image is open, and the pointer is valid for the call.
        check(unsafe { (self.functions().rbd_get_size)(self.handle, &raw mut size) }, "error asking for the size")?;
        Ok(size)
    }

    /// Gives it another size.
    pub(crate) fn resize(&self, size: u64) -> Result<()> {
        // SAFETY: the image is open.
        check(unsafe { (self.functions().rbd_resize)(self.handle, size) }, "failed to resize file")
    }

    /// Reads from `offset` on, and says how many bytes.
    pub(crate) fn read(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        // SAFETY: the image is open, and the buffer has that many bytes.
        let read = unsafe { (self.functions().rbd_read)(self.handle, offset, buf.len(), buf.as_mut_ptr().cast()) };
        count(read, "error reading")
    }

    /// Writes from `offset` on, and says how many bytes.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        // SAFETY: the image is open, and there are that many bytes.
        let written = unsafe { (self.functions().rbd_write)(self.handle, offset, bytes.len(), bytes.as_ptr().cast()) };
        count(written, "error writing")
    }

    /// Makes bytes zero, and gives their space back where that can be; says so where the library is too old to know how.
    pub(crate) fn write_zeroes(&self, range: Range<u64>) -> Result<bool> {
        let (Some(write_zeroes), Ok(len)) =
            (self.pool.cluster.ceph.write_zeroes, usize::try_from(range.end - range.start))
        else {
            return Ok(false);
        };
        // SAFETY: the image is open.
        let done = unsafe { write_zeroes(self.handle, range.start, len, 0, 0) };
        count(done, "error writing zeros").map(|_| true)
    }

    /// Flushes.
    pub(crate) fn flush(&self) -> Result<()> {
        // SAFETY: the image is open.
        check(unsafe { (self.functions().rbd_flush)(self.handle) }, "error flushing")
    }

    /// What has data in `range`: runs in order, whole objects, also those of a parent. Where the image has a map of its objects, that
    /// is all that is looked at.
    pub(crate) fn data(&self, range: Range<u64>) -> Result<Vec<Range<u64>>> {
        // Libraries that are too old to write zeros do not tell rightly of clones either.
        if self.pool.cluster.ceph.write_zeroes.is_none() {
            return Ok(vec![range]);
        }
        let mut runs: Vec<Range<u64>> = Vec::new();
        let (start, len) = (range.start, range.end - range.start);
        let place = (&raw mut runs).cast();
        // SAFETY: the image is open; null compares with nothing; and `visit` gets the place of the runs, which live longer than
        // the call and are used by nobody else meanwhile.
        let done =
            unsafe { (self.functions().rbd_diff_iterate2)(self.handle, ptr::null(), start, len, 1, 1, visit, place) };
        check(done, "error asking what is allocated")?;
        Ok(runs)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: the image is open, and not used again. What it could not write, a flush has told of.
        unsafe { (self.functions().rbd_close)(self.handle) };
    }
}

/// Adds a run to the list that `place` points to.
///
/// # Safety
///
/// `place` is that of a `Vec<Range<u64>>` that nobody else uses.
unsafe extern "C" fn visit(offset: u64, len: usize, exists: c_int, place: *mut c_void) -> c_int {
    // SAFETY: what the caller promises.
    let runs = unsafe { &mut *place.cast::<Vec<Range<u64>>>() };
    let end = offset.saturating_add(len as u64);
    match runs.last_mut() {
        _ if exists == 0 => {}
        Some(last) if last.end == offset => last.end = end,
        _ => runs.push(offset..end),
    }
    0
}

/// A string for a library of C.
fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::invalid(format!("{text:?} has a zero byte")))
}

/// What a function of Ceph's has returned: an error where it is negative.
fn check(returned: c_int, what: &str) -> Result<()> {
    count(returned as isize, what).map(drop)
}

/// What a function of Ceph's has returned: a count, or an error where it is negative.
fn count(returned: isize, what: &str) -> Result<usize> {
    usize::try_from(returned).map_err(|_| {
        let number = i32::try_from(-returned).unwrap_or(EIO);
        Error::io(what, io::Error::from_raw_os_error(number))
    })
}

/// What Ceph's library is called, with the number of its interface.
const RADOS: &str = "librados.so.2";
/// As [`RADOS`].
const RBD: &str = "librbd.so.1";
/// `ENOENT`.
const ENOENT: c_int = 2;
/// `EIO`, for an error that is none.
const EIO: i32 = 5;
