//! Opening: from a header or a descriptor to a disk.

use std::sync::Arc;

use imgfmt_core::{Error, Limits, OpenContext, Opened, Result, SourceId, Storage, StorageExt};

use crate::assemble::Assembly;
use crate::descriptor::{Descriptor, DescriptorText, ExtentType, recognise};
use crate::header::{self, Header, Kind};
use crate::layout::{DESCRIPTOR_OFFSET_AT, DESCRIPTOR_SIZE_AT, SECTOR_LEN, byte_of};
use crate::sparse::SparseExtent;

/// Opens the disk in `storage`, whichever of the two kinds of file it is.
pub(crate) fn open(storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
    context.without_snapshots()?;
    let mut head = [0; 8];
    storage.read_padded(&mut head, 0)?;
    if header::recognise(&head).is_some() {
        return open_sparse(storage, context);
    }
    open_text(storage, context)
}

/// Opens a sparse extent, as a rule one that has its descriptor within.
///
/// A hosted extent without one is shown as a disk of its own. Those of ESX are what a snapshot has changed: without
/// their descriptor, which names the parent, nobody could tell zeros from what is missing.
fn open_sparse(storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
    let sparse = SparseExtent::open(Arc::clone(&storage), SourceId(0), context.limits)?;
    if sparse.header.kind != Kind::Hosted {
        let what = "is that of an extent of an ESX snapshot; the descriptor that names it is the file to open";
        return Err(Error::unsupported(what).field("magicNumber").at(0));
    }
    let descriptor = match sparse.header.descriptor_offset {
        0 => Descriptor::default(),
        _ => read_embedded(storage.as_ref(), &sparse.header, context.limits)?,
    };
    let sectors = embedded_sectors(&descriptor)?.unwrap_or(sparse.header.capacity);
    let mut assembly = Assembly::new(*context);
    assembly.add_embedded(storage, sparse.with_line(sectors)?);
    assembly.finish(&descriptor)
}

/// Reads the descriptor within a sparse extent.
fn read_embedded(storage: &dyn Storage, header: &Header, limits: &Limits) -> Result<Descriptor> {
    let text = embedded_text(storage, header, limits)?;
    parse_embedded(&text.bytes, text.at, limits)
}

/// Reads the bytes of the descriptor within a sparse extent.
pub(crate) fn embedded_text(storage: &dyn Storage, header: &Header, limits: &Limits) -> Result<DescriptorText> {
    check_descriptor_size(header, limits)?;
    let at = byte_of(header.descriptor_offset);
    let room = usize::try_from(byte_of(header.descriptor_size)).unwrap_or(usize::MAX);
    let bytes = storage
        .read_vec(at, room)
        .map_err(|e| e.context("cannot be read").field("descriptorOffset").at(DESCRIPTOR_OFFSET_AT as u64))?;
    Ok(DescriptorText { at, bytes, room })
}

/// Checks that a descriptor within an extent is no longer than a descriptor may be.
pub(crate) fn check_descriptor_size(header: &Header, limits: &Limits) -> Result<()> {
    let most = limits.descriptor_bytes / SECTOR_LEN;
    Limits::check("descriptorSize", header.descriptor_size, most).map_err(|e| e.at(DESCRIPTOR_SIZE_AT as u64))
}

/// Reads the descriptor in `text`, which lies within an extent from byte `at` on.
pub(crate) fn parse_embedded(text: &[u8], at: u64, limits: &Limits) -> Result<Descriptor> {
    let placed = |e: Error| match e.offset() {
        Some(offset) => e.at(at.saturating_add(offset)),
        None => e,
    };
    let descriptor = Descriptor::parse(text, limits).map_err(placed)?;
    check_version(&descriptor)?;
    Ok(descriptor)
}

/// The size in the one extent line of an embedded descriptor. The name there is never followed: it may be
/// anything, and the extent is the file itself.
pub(crate) fn embedded_sectors(descriptor: &Descriptor) -> Result<Option<u64>> {
    match descriptor.extents.as_slice() {
        [] => Ok(None),
        [line] if line.kind == ExtentType::Sparse && line.readable => Ok(Some(line.sectors)),
        [line] => {
            let access = if line.readable { "" } else { "NOACCESS " };
            let what = format!("of the embedded descriptor is of type {access}{}, not SPARSE", line.kind.name());
            Err(Error::malformed(what).field("extent line"))
        }
        lines => {
            let what = format!(
                "an embedded descriptor with {} extents, some of them other files, cannot be read",
                lines.len()
            );
            Err(Error::unsupported(what))
        }
    }
}

/// Opens a disk whose descriptor is a file of its own.
fn open_text(storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
    let text = text_file(storage.as_ref(), context.limits)?;
    let descriptor = parse_text(&text.bytes, context.limits)?;
    let mut assembly = Assembly::new(*context);
    assembly.descriptor_file = Some(storage);
    assembly.add_lines(&descriptor)?;
    assembly.finish(&descriptor)
}

/// Reads the bytes of a descriptor that is a file of its own.
pub(crate) fn text_file(storage: &dyn Storage, limits: &Limits) -> Result<DescriptorText> {
    let probed = usize::try_from(storage.len()).unwrap_or(PROBED_LEN).min(PROBED_LEN);
    if recognise(&storage.read_vec(0, probed)?).is_none() {
        return Err(Error::malformed("the file is neither a sparse extent nor a descriptor").at(0));
    }
    Limits::check("descriptor", storage.len(), limits.descriptor_bytes)?;
    let bytes = storage.read_vec(0, usize::try_from(storage.len()).unwrap_or(usize::MAX))?;
    let room = usize::try_from(limits.descriptor_bytes).unwrap_or(usize::MAX);
    Ok(DescriptorText { at: 0, bytes, room })
}

/// Reads the descriptor in `text`, which is a file of its own.
pub(crate) fn parse_text(text: &[u8], limits: &Limits) -> Result<Descriptor> {
    check_padding(text)?;
    let descriptor = Descriptor::parse(text, limits)?;
    check_version(&descriptor)?;
    Ok(descriptor)
}

/// Checks that a descriptor that ends before its file is followed by zeros alone.
///
/// But for the rest of its last sector: a writer that makes the text shorter, as QEMU does when it changes the CID
/// to one of fewer digits, leaves the end of the longer text behind the terminator.
fn check_padding(text: &[u8]) -> Result<()> {
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let padding = end.next_multiple_of(SECTOR_LEN as usize).min(text.len());
    match text[padding..].iter().position(|&byte| byte != 0) {
        None => Ok(()),
        Some(after) => Err(Error::malformed("something else follows the descriptor").at((padding + after) as u64)),
    }
}

/// Checks the descriptor's `version`.
fn check_version(descriptor: &Descriptor) -> Result<()> {
    match descriptor.version {
        Some(version) if !(1..=MAX_DESCRIPTOR_VERSION).contains(&version) => {
            let what = format!("of the descriptor is {version}, outside 1..={MAX_DESCRIPTOR_VERSION}");
            Err(Error::unsupported(what).field("version"))
        }
        _ => Ok(()),
    }
}

/// Bytes of a file that may hold what a descriptor is recognised by. Not a rule of the format.
pub(crate) const PROBED_LEN: usize = 64 << 10;
/// Newest `version` of a descriptor that is known. The specification has 1 alone.
const MAX_DESCRIPTOR_VERSION: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_end_with_their_sector() {
        let mut text = [b'#'; 400].to_vec();
        text.push(0);
        text.extend_from_slice(b"left over");
        text.resize(2048, 0);
        assert!(check_padding(&text).is_ok());
        text[600] = b'x';
        assert_eq!(check_padding(&text).unwrap_err().offset(), Some(600));
        assert!(check_padding(&[b'#'; 700]).is_ok());
    }
}
