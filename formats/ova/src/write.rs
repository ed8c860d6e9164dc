//! New appliances: an archive with a description, one disk, and a manifest.
//!
//! | Member           | How it is written                                                                          |
//! |------------------|--------------------------------------------------------------------------------------------|
//! | `NAME.ovf`       | room is kept for it, and it is written at the end, when the size of the disk is known       |
//! | `NAME-disk1.vmdk`| by the writer of the disk's format, front to back, so that it can be hashed on the way      |
//! | `NAME.mf`        | at the end                                                                                 |
//!
//! DSP0243 1.1.1, section 5.3: the description comes first, the other files follow in the order of `References`.

mod envelope;
mod hashed;
mod header;
mod settings;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use envelope::Envelope;
use hashed::Hashed;
use imgfmt_core::target::PipeTarget;
use imgfmt_core::{
    Abilities, CreateRequest, Error, Form, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec,
    Options, Piece, Placed, Result, Shape, Storage, Streamed, Target,
};
use settings::Settings;

use crate::tar::header::LEN as BLOCK_LEN;

/// Writes appliances of one disk. They are read by way of the wrapper [`Ova`](crate::Ova).
#[derive(Clone, Copy)]
pub struct OvaFormat {
    /// The format of the disk, which is VMDK: it has to have a `subformat=streamOptimized` that can be written front to
    /// back.
    pub disk: &'static dyn Format,
}

impl Format for OvaFormat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn probe(&self, _head: &Head<'_>) -> Result<Option<&'static str>> {
        Ok(None)
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn open(&self, _storage: Arc<dyn Storage>, _context: &OpenContext<'_>) -> Result<Opened> {
        Err(Error::unsupported("an appliance is no disk; it holds some").in_format(NAME))
    }

    fn stream(&self, input: Box<dyn Read + Send>, _: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "an appliance is no disk; it holds some".to_owned() })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        Some(settings::OPTIONS)
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        self.start(target, request).map_err(|e| e.in_format(NAME))
    }

    fn abilities(&self) -> Abilities {
        Abilities::NONE
    }
}

impl OvaFormat {
    /// Starts a new appliance.
    fn start(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        check_request(target.as_ref(), request)?;
        let settings = Settings::parse(request)?;
        let envelope = Envelope { settings, size: request.size };
        let description_len = envelope.room();
        let disk_at = (2 * BLOCK_LEN) as u64 + description_len as u64;
        let hashed = Hashed::new(Arc::clone(&target), disk_at, envelope.settings.manifest);
        let pipe: Arc<dyn Target> = Arc::new(PipeTarget::new(Box::new(hashed.clone())));
        let options = envelope.settings.disk_options();
        let inner = self.create_disk(Arc::clone(&pipe), request, &options)?;
        let populated = AtomicU64::new(0);
        Ok(Box::new(OvaWriter { target, pipe, hashed, inner, envelope, description_len, disk_at, populated }))
    }

    /// Starts the disk.
    fn create_disk(
        &self,
        pipe: Arc<dyn Target>,
        request: &CreateRequest<'_>,
        options: &Options,
    ) -> Result<Box<dyn ImageWriter>> {
        let request = CreateRequest { options, file_name: None, ..*request };
        self.disk.create(pipe, &request).map_err(|e| e.context("cannot write the disk of the appliance"))
    }
}

/// Refuses what an appliance cannot be.
fn check_request(target: &dyn Target, request: &CreateRequest<'_>) -> Result<()> {
    if target.in_order() {
        return Err(Error::invalid(
            "it cannot be written into a pipe: the description comes first, and has the size of the disk's file in it",
        ));
    }
    if request.size_grows {
        return Err(Error::invalid("the size of the disk has to be known before it is written"));
    }
    if request.backing.is_some() {
        return Err(Error::invalid("the disk of an appliance cannot have a backing file"));
    }
    if !request.bitmaps.is_empty() {
        return Err(Error::invalid("the disk of an appliance cannot carry bitmaps"));
    }
    Ok(())
}

/// Writes one appliance.
struct OvaWriter {
    /// Where the archive goes.
    target: Arc<dyn Target>,
    /// The part of it where the disk goes, front to back.
    pipe: Arc<dyn Target>,
    /// What is known of the bytes of the disk.
    hashed: Hashed,
    /// Writes the disk.
    inner: Box<dyn ImageWriter>,
    /// What the description says.
    envelope: Envelope,
    /// Bytes of the description, a multiple of a block.
    description_len: usize,
    /// The first byte of the disk's file in the archive.
    disk_at: u64,
    /// Guest bytes that are stored.
    populated: AtomicU64,
}

#[deny(clippy::missing_trait_methods)]
impl ImageWriter for OvaWriter {
    fn shape(&self) -> Shape {
        self.inner.shape()
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        let placed = self.inner.place(piece)?;
        if matches!(piece.form, Form::Plain | Form::Encoded(_)) {
            self.populated.fetch_add(placed.len, Ordering::Relaxed);
        }
        Ok(placed)
    }

    fn store(&self, piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        self.inner.store(piece, host, bytes)
    }

    fn target(&self) -> &Arc<dyn Target> {
        self.inner.target()
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(Error::unsupported("the size of the disk has to be known before it is written").in_format(NAME))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { target, pipe, hashed, inner, envelope, description_len, disk_at, populated } = *self;
        inner.finish()?;
        pipe.sync()?;
        let (disk_len, disk_hash) = hashed.result();
        let description = envelope.text(disk_len, populated.into_inner(), description_len);
        let name = &envelope.settings.file_stem;
        let description_name = format!("{name}.ovf");
        let algorithm = envelope.settings.manifest;
        let manifest = format!(
            "{algorithm}({description_name})= {}\n{algorithm}({})= {disk_hash}\n",
            hashed::hash_of(&description, algorithm),
            envelope.disk_name()
        );
        let mut archive = Archive { target: target.as_ref(), at: 0 };
        archive.member(&description_name, description_len as u64, Some(&description))?;
        archive.member(&envelope.disk_name(), disk_len, None)?;
        debug_assert_eq!(archive.at, (disk_at + disk_len).next_multiple_of(BLOCK_LEN as u64));
        archive.member(&format!("{name}.mf"), manifest.len() as u64, Some(manifest.as_bytes()))?;
        archive.end()
    }
}

/// An archive on its way.
struct Archive<'a> {
    /// Where it goes.
    target: &'a dyn Target,
    /// Where the next member begins.
    at: u64,
}

impl Archive<'_> {
    /// Writes the header of a member of `len` bytes, the bytes unless they are there already, and what pads them.
    fn member(&mut self, name: &str, len: u64, bytes: Option<&[u8]>) -> Result<()> {
        self.write(&header::block(name, len))?;
        match bytes {
            Some(bytes) => self.write(bytes)?,
            None => self.at += len,
        }
        let padding = usize::try_from(self.at.next_multiple_of(BLOCK_LEN as u64) - self.at).unwrap_or(0);
        self.write(&vec![0; padding])
    }

    /// Writes the end: two blocks of zeros.
    fn end(mut self) -> Result<()> {
        self.write(&[0; 2 * BLOCK_LEN])?;
        self.target.set_len(self.at)
    }

    /// Writes `bytes` at the current position.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.target.write_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// The format's name.
const NAME: &str = "ova";
