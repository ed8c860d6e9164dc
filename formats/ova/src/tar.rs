//! What a tar archive holds: POSIX.1-2017 "ustar Interchange Format" and "pax Interchange Format", and what GNU tar made of
//! the former.
//!
//! Strict where two readers could see two archives: see [`header`] and [`pax`].

pub(crate) mod header;
mod name;
mod pax;
mod sparse;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use header::{Header, Kind};
use imgfmt_core::{Error, Limits, Result, Storage, StorageExt, Window};
use name::plain;
use pax::Extension;

use crate::pieces::{Piece, Pieces};

/// A regular file in an archive.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Its name, without `./` in front.
    pub(crate) name: String,
    /// Bytes of the file.
    pub(crate) len: u64,
    /// Its data, where it lies in one piece.
    data: Range<u64>,
    /// Its pieces, where there are holes in it.
    pieces: Option<Vec<Piece>>,
}

impl File {
    /// The bytes of the file, in place.
    ///
    /// # Errors
    ///
    /// As [`Pieces::sparse`].
    pub(crate) fn open(&self, archive: &Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
        let archive = Arc::clone(archive);
        Ok(match &self.pieces {
            None => Arc::new(Window::new(archive, self.data.clone())?),
            Some(pieces) => Arc::new(Pieces::sparse(archive, pieces.clone(), self.len)?),
        })
    }
}

/// The regular files of the archive in `storage`, in order.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed), [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for links and
/// other members that are no files, [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where a member passes the end,
/// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) for too many members.
pub(crate) fn files(storage: &dyn Storage, limits: &Limits) -> Result<Vec<File>> {
    Walk::new(storage, limits).collect()
}

/// The names of the regular files of an archive, up to the first thing that is wrong with it.
pub(crate) fn names(storage: &dyn Storage, limits: &Limits) -> Vec<String> {
    Walk::new(storage, limits).map_while(Result::ok).map(|file| file.name).collect()
}

/// Goes from header to header.
struct Walk<'a> {
    /// The archive.
    storage: &'a dyn Storage,
    /// Bounds on what it may ask for.
    limits: &'a Limits,
    /// Position of the next header.
    at: u64,
    /// Members so far.
    count: u64,
    /// Bytes that the names and maps of the files so far take.
    held: u64,
    /// The names of the files so far.
    names: HashSet<String>,
    /// What came before the header of the next member and is about it.
    pending: Extension,
    /// Whether the end has been reached, or an error.
    ended: bool,
}

impl<'a> Walk<'a> {
    /// A walk from the start of `storage`.
    fn new(storage: &'a dyn Storage, limits: &'a Limits) -> Self {
        Self {
            storage,
            limits,
            at: 0,
            count: 0,
            held: 0,
            names: HashSet::new(),
            pending: Extension::default(),
            ended: false,
        }
    }

    /// The next regular file, or nothing at the end.
    fn step(&mut self) -> Result<Option<File>> {
        loop {
            let header_at = self.at;
            let Some(header) = self.header()? else {
                self.pending.check_used(header_at)?;
                return Ok(None);
            };
            self.count += 1;
            Limits::check("members", self.count, self.limits.items)?;
            self.at += header::LEN as u64;
            if let Some(file) =
                self.member(&header).map_err(|e| if e.offset().is_none() { e.at(header_at) } else { e })?
            {
                return Ok(Some(file));
            }
        }
    }

    /// The header at the current position, or nothing at the end: a block of zeros, or the end of the file.
    fn header(&self) -> Result<Option<Header>> {
        if self.at == self.storage.len() && self.at > 0 {
            return Ok(None);
        }
        let block = self.storage.read_array(self.at)?;
        if block != [0; header::LEN] {
            return Header::parse(&block).map(Some).map_err(|e| e.at(self.at));
        }
        let second = self.at + header::LEN as u64;
        if second + header::LEN as u64 <= self.storage.len() && self.storage.read_array(second)? != [0; header::LEN] {
            return Err(Error::malformed("a single block of zeros stands between members").at(self.at));
        }
        Ok(None)
    }

    /// Takes in the member behind `header`; a regular file comes out.
    fn member(&mut self, header: &Header) -> Result<Option<File>> {
        match header.kind {
            Kind::File | Kind::Sparse => self.file(header).map(Some),
            Kind::Folder => {
                self.pending.take();
                if header.size != 0 {
                    return Err(Error::malformed("a folder with data"));
                }
                Ok(None)
            }
            Kind::LongName => {
                let bytes = self.metadata(header.size)?;
                self.pending.long_name(&bytes)?;
                Ok(None)
            }
            Kind::Extended => {
                let bytes = self.metadata(header.size)?;
                self.pending.records(&bytes)?;
                Ok(None)
            }
            Kind::Global => {
                let bytes = self.metadata(header.size)?;
                pax::check_global(&bytes)?;
                Ok(None)
            }
            Kind::Label if header.size == 0 => Ok(None),
            Kind::Label => Err(Error::malformed("a label with data")),
        }
    }

    /// The regular file behind `header`.
    fn file(&mut self, header: &Header) -> Result<File> {
        let mut extension = self.pending.take();
        let mut size = extension.size_of(header)?;
        let real_size = extension.real_size(header)?;
        let name = match extension.name {
            Some(name) => name,
            None => header.name()?,
        };
        let name = plain(&name)?;
        if !self.names.insert(name.clone()) {
            return Err(Error::malformed(format!("{name} is there twice")));
        }
        let mut pieces = None;
        let mut len = size;
        let map = match real_size {
            Some(real_size) => Some(sparse::Map::read_text(self.storage, real_size, self.at, size, self.limits)?),
            None if header.kind == Kind::Sparse => Some(sparse::Map::read(self.storage, header, self.at, self.limits)?),
            None => None,
        };
        if let Some(map) = map {
            // The map in blocks is not counted in the size, that in text is.
            size -= if real_size.is_some() { map.data_at - self.at } else { 0 };
            self.at = map.data_at;
            len = map.len;
            pieces = Some(map.pieces(size)?);
        }
        let data = self.data(size)?;
        self.hold(name.len() + size_of_val(pieces.as_deref().unwrap_or_default()))?;
        Ok(File { name, len, data, pieces })
    }

    /// Counts what is kept of one more file: each alone is bounded, and there may be many.
    fn hold(&mut self, len: usize) -> Result<()> {
        self.held = self.held.saturating_add(len as u64);
        Limits::check("names and maps", self.held, self.limits.metadata_bytes)
    }

    /// The bytes of the member at the current position, which moves behind its padding.
    fn data(&mut self, size: u64) -> Result<Range<u64>> {
        let end = self.at.checked_add(size).filter(|&end| end <= self.storage.len()).ok_or_else(|| {
            Error::out_of_bounds(format!("a member of {size} bytes passes the end of the archive")).field("size")
        })?;
        let data = self.at..end;
        // Whoever cut off the padding of the last member took nothing away.
        self.at = end.next_multiple_of(header::LEN as u64).min(self.storage.len());
        Ok(data)
    }

    /// The bytes of a member that is about another one.
    fn metadata(&mut self, size: u64) -> Result<Vec<u8>> {
        Limits::check("size", size, self.limits.descriptor_bytes)?;
        let data = self.data(size)?;
        self.storage.read_vec(data.start, usize::try_from(size).unwrap_or(usize::MAX))
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<File>;

    fn next(&mut self) -> Option<Result<File>> {
        if self.ended {
            return None;
        }
        let step = self.step().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}
