//! Writing to a target that takes bytes at any place.
//!
//! The header's cluster, the L1 table and the bitmaps come first. Data follows in guest order; each L2 table lies where the
//! first of its clusters was placed, and each refcount block where its counts became final. The refcount table comes last.
//! The header is written at the very end, so that a file which was left half-way is not an image.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{CreateRequest, Error, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use super::bitmaps::{self, Directory, Room};
use super::header::{self, Places};
use super::settings::{Preallocation, Settings, rounded_size};
use super::state::{Slots, State};
use super::table::Table;
use crate::crypto::{CryptMethod, EncryptionWriter};
use crate::entry::compressed_entry;

/// Writes a new image.
pub(super) struct RandomWriter {
    /// Where the image goes.
    image: Arc<dyn Target>,
    /// Where guest data goes: there, or to the data file.
    data: Arc<dyn Target>,
    /// What it is to be.
    settings: Settings,
    /// Whether what is not written reads as zeros.
    target_is_zero: bool,
    /// Host offset of the L1 table, where it has its place from the start.
    l1_host: Option<u64>,
    /// Encrypts guest data, where it is to be.
    encryption: Option<EncryptionWriter>,
    /// Where the bitmap directory is, if there are bitmaps.
    bitmaps: Option<Directory>,
    /// What changes from piece to piece.
    state: Mutex<State>,
}

impl RandomWriter {
    /// Starts an image.
    ///
    /// # Errors
    ///
    /// As [`Format::create`](imgfmt_core::Format::create).
    pub(super) fn new(image: Arc<dyn Target>, settings: Settings, request: &CreateRequest<'_>) -> Result<Self> {
        if request.size_grows && !request.bitmaps.is_empty() {
            return Err(Error::unsupported("bitmaps can only be written where the size of the disk is known before"));
        }
        let data = match &settings.data_file {
            Some(file) => request.files.create(Path::new(&file.name))?,
            None => Arc::clone(&image),
        };
        if !request.target_is_zero {
            image.set_len(0)?;
        }
        let mut state = State::new(&settings, request.size_grows)?;
        let l1_host = if request.size_grows { None } else { Some(state.place_l1(&settings)?) };
        let encryption = encryption(&settings, &mut state)?;
        let bitmaps = bitmaps::write(request.bitmaps, settings.size, &settings, &mut state)?;
        let target_is_zero = request.target_is_zero;
        let state = Mutex::new(state);
        let writer = Self { image, data, settings, target_is_zero, l1_host, encryption, bitmaps, state };
        let tables = writer.lock().take_tables();
        writer.write_tables(tables)?;
        Ok(writer)
    }

    /// The state; a panic elsewhere stops the conversion, so what it left is not used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes tables that are complete.
    fn write_tables(&self, tables: Vec<Table>) -> Result<()> {
        tables.iter().try_for_each(|table| self.image.write_at(&table.bytes, table.host))
    }

    /// Whether guest data goes to a file of its own.
    fn external(&self) -> bool {
        self.settings.data_file.is_some()
    }

    /// Gives the clusters of a piece their places, those of one L2 table at a time; in a data file, each has its own.
    fn place_clusters(&self, state: &mut State, piece: &Piece) -> Result<(Slots, Placed)> {
        let slots = Slots::of(&self.settings, piece.guest, piece.len);
        let (host, count) = if self.external() {
            let host = piece.guest - slots.within;
            state.table(slots.table, &self.settings)?;
            state.put_clusters(slots.first, host, slots.count, &self.settings)?;
            (host, slots.count)
        } else {
            state.place(&slots, &self.settings)?
        };
        let len = slots.covered(&self.settings, piece.len, count);
        Ok((slots, Placed { host: host + slots.within, len }))
    }

    /// Gives plain bytes their place.
    fn place_plain(&self, state: &mut State, piece: &Piece) -> Result<Placed> {
        let (slots, placed) = self.place_clusters(state, piece)?;
        let table = state.table(slots.table, &self.settings)?;
        slots.parts(&self.settings, placed.len).for_each(|(slot, parts)| table.mark_stored(slot, parts));
        Ok(placed)
    }

    /// Gives a compressed unit its place.
    fn place_encoded(&self, state: &mut State, piece: &Piece, len: u32) -> Result<Placed> {
        let slots = Slots::of(&self.settings, piece.guest, piece.len);
        state.table(slots.table, &self.settings)?;
        let host = state.allocator.bytes(u64::from(len))?;
        let entry = compressed_entry(host, len, self.settings.cluster_bits);
        state.table(slots.table, &self.settings)?.put(slots.first, entry);
        Ok(Placed { host, len: slots.covered(&self.settings, piece.len, 1) })
    }

    /// Does for bytes that are not stored what the settings ask for: nothing, a flag, or clusters that nothing is
    /// written to.
    fn place_idle(&self, state: &mut State, piece: &Piece) -> Result<Placed> {
        let hides = piece.form == Form::Zero && self.settings.backing.is_some();
        let preallocates = self.settings.preallocation != Preallocation::Off;
        if !hides && !preallocates {
            return Ok(Placed { host: 0, len: piece.len });
        }
        if hides && !preallocates && self.settings.version < 3 {
            return Err(Error::unsupported("version 2 has no clusters of zeros"));
        }
        let (slots, placed) = if preallocates {
            self.place_clusters(state, piece)?
        } else {
            let slots = Slots::of(&self.settings, piece.guest, piece.len);
            (slots, Placed { host: 0, len: slots.covered(&self.settings, piece.len, slots.count) })
        };
        if hides {
            let table = state.table(slots.table, &self.settings)?;
            slots.parts(&self.settings, placed.len).for_each(|(slot, parts)| table.mark_zero(slot, parts));
        }
        Ok(placed)
    }

    /// Whether zeros have to be written: as the settings say, because version 2 has no other way to hide the
    /// bytes of its backing file, or because a cluster that is only given its place would show old bytes, or
    /// what zeros decrypt to.
    fn writes_zeros(&self) -> bool {
        let hides = self.settings.backing.is_some() && self.settings.version < 3;
        let zero = (self.target_is_zero || self.external()) && self.encryption.is_none();
        let fresh = zero || self.settings.l2.extended();
        let shows = self.settings.preallocation != Preallocation::Off && !fresh;
        hides || shows || self.settings.preallocation == Preallocation::Full
    }

    /// Writes what is left of the tables; the answer is for the header.
    fn write_last_tables(&self, mut state: State) -> Result<Places> {
        state.close_table();
        let entries = usize::try_from(self.settings.l1_entries(state.size)?).unwrap_or(usize::MAX);
        state.l1.resize(entries, 0);
        let l1_host = self.l1_host.map_or_else(|| state.place_l1(&self.settings), Ok)?;
        let tables = state.take_tables();
        self.write_tables(tables)?;
        self.image.write_at(&Table::of_words(l1_host, &state.l1).bytes, l1_host)?;
        let (refcounts, tables) = state.allocator.finish()?;
        self.write_tables(tables)?;
        let crypt = self.encryption.as_ref().map_or(CryptMethod::None, EncryptionWriter::method);
        Ok(Places { size: state.size, l1_host, refcounts, bitmaps: self.bitmaps, crypt })
    }

    /// Gives the files their lengths, and takes their space if that is asked for.
    fn set_lengths(&self, places: &Places) -> Result<()> {
        // Where there is a backing file, what it shows takes space too, although nothing is written.
        let reserves = match self.settings.preallocation {
            Preallocation::Falloc => true,
            Preallocation::Full => self.settings.backing.is_some(),
            Preallocation::Off | Preallocation::Metadata => false,
        };
        let files = [(&self.image, places.refcounts.file_len), (&self.data, places.size)];
        for (file, len) in files.iter().take(if self.external() { 2 } else { 1 }) {
            file.set_len(*len)?;
            if reserves {
                file.reserve(0..*len)?;
            }
        }
        Ok(())
    }
}

impl ImageWriter for RandomWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: 1 << self.settings.unit_bits(),
            order: Order::Random,
            compression: self.settings.compression,
            pads_last: !self.external(),
            stores_plain: self.encryption.is_none(),
            zeros_as_data: self.writes_zeros(),
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        let mut state = self.lock();
        match piece.form {
            Form::Zero | Form::Absent => self.place_idle(&mut state, piece),
            Form::Plain => self.place_plain(&mut state, piece),
            Form::Encoded(len) => self.place_encoded(&mut state, piece, len),
        }
    }

    fn store(&self, piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        match &self.encryption {
            Some(encryption) => encryption.store(self.data.as_ref(), bytes, host, piece.guest)?,
            None => self.data.write_at(bytes, host)?,
        }
        let tables = self.lock().take_tables();
        self.write_tables(tables)
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.data
    }

    fn set_size(&self, size: u64) -> Result<()> {
        let size = rounded_size(size)?;
        self.settings.l1_entries(size)?;
        self.lock().size = size;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let state = std::mem::replace(&mut *self.lock(), State::spent(&self.settings));
        let places = self.write_last_tables(state)?;
        self.set_lengths(&places)?;
        self.image.write_at(&header::build(&self.settings, &places)?, 0)
    }
}

/// Makes the keys of an image that is to be encrypted, and gives the LUKS header its place.
fn encryption(settings: &Settings, state: &mut State) -> Result<Option<EncryptionWriter>> {
    let Some(encryption) = &settings.encryption else { return Ok(None) };
    let mut writer = EncryptionWriter::new(encryption)?;
    if let Some((len, bytes)) = writer.take_header() {
        let host = state.take(len.div_ceil(settings.cluster_len()))?;
        state.put(Table { host, bytes })?;
        writer.put_header_at(host);
    }
    Ok(Some(writer))
}
