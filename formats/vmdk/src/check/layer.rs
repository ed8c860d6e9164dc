//! The whole layer: the file that was opened, and the extents that it names.

use std::collections::HashMap;

use imgfmt_core::{Error, ErrorKind, Finding, Limits, Repair, Result, Severity, StorageExt};

use super::descriptor;
use super::extent::{self, Opening};
use super::file::File;
use super::job::Job;
use crate::descriptor::{Descriptor, DescriptorText, ExtentLine, ExtentType};
use crate::header::{self, Header};
use crate::layout::byte_of;
use crate::open;

/// Checks the image in `file`, whichever of the two kinds of file it is.
pub(super) fn check(job: &mut Job<'_, '_>, file: &File) -> Result<()> {
    let mut head = [0; 8];
    file.storage.read_padded(&mut head, 0)?;
    if header::recognise(&head).is_some() { check_one_file(job, file) } else { check_text(job, file) }
}

/// Checks a sparse extent that is the image, as a rule with its descriptor within.
fn check_one_file(job: &mut Job<'_, '_>, file: &File) -> Result<()> {
    let opening = extent::open(job, file)?;
    if opening.header.descriptor_offset == 0 {
        return extent::check(job, file, opening, None);
    }
    let (text, descriptor) = match embedded(job, file, &opening.header) {
        Ok(found) => found,
        Err(error) => {
            job.tell(descriptor::broken(&error));
            return extent::check(job, file, opening, None);
        }
    };
    descriptor::check(job, &descriptor, text.at);
    let line = match open::embedded_sectors(&descriptor) {
        Ok(_) => descriptor.extents.first(),
        Err(error) => {
            job.tell(descriptor::broken(&error));
            None
        }
    };
    check_sparse(job, file, file, &text, line, opening)
}

/// Reads the descriptor within a sparse extent.
fn embedded(job: &Job<'_, '_>, file: &File, header: &Header) -> Result<(DescriptorText, Descriptor)> {
    let limits = job.context.limits;
    let text = open::embedded_text(file.storage.as_ref(), header, limits)?;
    let descriptor = open::parse_embedded(&text.bytes, text.at, limits)?;
    Ok((text, descriptor))
}

/// Checks a descriptor that is a file of its own, and the extents that it names.
fn check_text(job: &mut Job<'_, '_>, file: &File) -> Result<()> {
    let text = open::text_file(file.storage.as_ref(), job.context.limits)?;
    let descriptor = match open::parse_text(&text.bytes, job.context.limits) {
        Ok(descriptor) => descriptor,
        Err(error) => {
            job.tell(descriptor::broken(&error));
            return Ok(());
        }
    };
    descriptor::check(job, &descriptor, text.at);
    if descriptor.extents.is_empty() {
        job.tell(descriptor::broken(&Error::malformed("the descriptor has no extent line")));
    }
    let mut admitted = HashMap::new();
    for line in &descriptor.extents {
        if !line.readable || line.kind == ExtentType::Zero {
            continue;
        }
        if let ExtentType::Foreign(name) = line.kind {
            let what = format!("an extent of type {name} cannot be looked at");
            job.tell(Finding::new("vmdk-extent-unchecked", Severity::Unchecked, what).at(line.at));
            continue;
        }
        if let Some(extent) = admit(job, &mut admitted, &descriptor, line) {
            check_line(job, file, &extent, &text, line)?;
        }
    }
    Ok(())
}

/// The file that a line names; one that was named before is not asked for again.
fn admit(
    job: &mut Job<'_, '_>,
    admitted: &mut HashMap<Vec<u8>, File>,
    descriptor: &Descriptor,
    line: &ExtentLine,
) -> Option<File> {
    if let Some(known) = admitted.get(&line.name) {
        return Some(known.clone());
    }
    match descriptor.encoding.path(&line.name).and_then(|name| File::admit(job, &name, has_tables(line))) {
        Ok(extent) => {
            admitted.insert(line.name.clone(), extent.clone());
            Some(extent)
        }
        Err(error) => {
            job.tell(not_there(&error, line));
            None
        }
    }
}

/// Checks the extent of one line, which is in the file `extent`; the line is in `text` in the file `home`.
fn check_line(
    job: &mut Job<'_, '_>,
    home: &File,
    extent: &File,
    text: &DescriptorText,
    line: &ExtentLine,
) -> Result<()> {
    if !has_tables(line) {
        check_flat(job, extent, line);
        return Ok(());
    }
    match extent::open(job, extent) {
        Ok(opening) => check_sparse(job, home, extent, text, Some(line), opening),
        Err(error) if is_damage(&error) => {
            let name = String::from_utf8_lossy(&line.name);
            let what = format!("the extent {name} cannot be opened: {error}");
            job.tell(Finding::new("vmdk-extent-header", Severity::Corruption, what).at(error.offset().unwrap_or(0)));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Whether the extent of a line has tables, in which there may be something to mend.
fn has_tables(line: &ExtentLine) -> bool {
    matches!(line.kind, ExtentType::Sparse | ExtentType::VmfsSparse | ExtentType::SeSparse)
}

/// Whether an error says that the file is damaged, or of a kind that is not known.
fn is_damage(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Malformed | ErrorKind::OutOfBounds | ErrorKind::Unsupported | ErrorKind::LimitExceeded
    )
}

/// The finding about a file that could not be had.
fn not_there(error: &Error, line: &ExtentLine) -> Finding {
    let name = String::from_utf8_lossy(&line.name);
    if error.kind() == ErrorKind::Missing {
        let what = format!("the extent {name} is not there: {error}");
        return Finding::new("vmdk-extent-missing", Severity::Corruption, what).at(line.at);
    }
    let what = format!("the extent {name} cannot be looked at: {error}");
    Finding::new("vmdk-extent-unchecked", Severity::Unchecked, what).at(line.at)
}

/// Checks that a flat extent is as long as its line says.
fn check_flat(job: &mut Job<'_, '_>, file: &File, line: &ExtentLine) {
    let (start, there) = (byte_of(line.offset), file.storage.len());
    let end = start.saturating_add(byte_of(line.sectors));
    if end > there {
        let name = String::from_utf8_lossy(&line.name);
        let what = format!("the extent {name} is to end at byte {end}, but its file ends at byte {there}");
        job.tell(Finding::new("vmdk-flat-short", Severity::Corruption, what).at(line.at));
    }
    job.stats.image_end = job.stats.image_end.max(Some(end.min(there)));
}

/// Checks a sparse extent, and the size that its line says, which is in `text` in the file `home`.
fn check_sparse(
    job: &mut Job<'_, '_>,
    home: &File,
    file: &File,
    text: &DescriptorText,
    line: Option<&ExtentLine>,
    mut opening: Opening,
) -> Result<()> {
    let capacity = opening.header.capacity;
    let size = line.map(|line| (line, opening.header.rounded_size(line.sectors)));
    let Some((line, None)) = size else {
        return extent::check(job, file, opening, size.and_then(|(_, size)| size));
    };
    let what = format!("the extent is {capacity} sectors by its header, and {} by its line", line.sectors);
    let finding = Finding::new("vmdk-capacity-differs", Severity::Corruption, what).at(text.at + line.at);
    let resized = opening.header.is_unclean_grains();
    let patch = text.sectors_of_line(line.at).filter(|_| resized);
    let patch = patch.and_then(|range| text.patch(&[(range, capacity.to_string().into_bytes())]).ok());
    // Before the extent is marked as closed, both say the same again.
    let fixed = match patch {
        Some(patch) if job.mends(Repair::All) => {
            home.target()?.write_at(&patch.bytes, text.at + patch.at as u64)?;
            home.target()?.sync()?;
            true
        }
        _ => false,
    };
    let finding = if resized { finding.mended_by(Repair::All) } else { finding };
    opening.stays_unclean = !fixed;
    job.tell(finding.fixed(fixed));
    extent::check(job, file, opening, None)
}

/// Checks that `len` bytes of tables may be held.
pub(super) fn check_held(limits: &Limits, count: u64) -> Result<usize> {
    limits.table_len("capacity", count, BYTES_PER_TABLE)?;
    usize::try_from(count).map_err(|_| Error::limit("there are more tables than this machine can count"))
}

/// Bytes in memory for each grain table: an entry of either directory.
const BYTES_PER_TABLE: u64 = 16;
