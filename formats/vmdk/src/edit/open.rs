//! Opening an image to be edited.

use std::sync::Arc;

use imgfmt_core::{Error, Halt, Limits, Medium, OpenContext, Parent, Result, Role, SourceId, Storage, StorageExt};

use super::grains::{Grain, Grains};
use super::state::{Content, Part, State, Text};
use crate::assemble::Assembly;
use crate::check;
use crate::descriptor::{Descriptor, DescriptorText, ExtentType};
use crate::header::{self, Header, Kind};
use crate::layout::VERSION_AT;
use crate::map::{self, VmdkImage};
use crate::open;
use crate::sparse::SparseExtent;

/// Opens the image in `medium`, whichever of the two kinds of file it is.
pub(super) fn open(medium: Arc<dyn Medium>, context: &OpenContext<'_>) -> Result<State> {
    context.without_snapshots()?;
    let halt = Halt::default();
    let medium = halt.guard(medium);
    let mut head = [0; 8];
    medium.read_padded(&mut head, 0)?;
    if header::recognise(&head).is_some() {
        open_one_file(medium, halt, context)
    } else {
        open_text(medium, halt, context)
    }
}

/// Opens a sparse extent that is the image.
fn open_one_file(medium: Arc<dyn Medium>, halt: Halt, context: &OpenContext<'_>) -> Result<State> {
    let storage = Arc::clone(&medium) as Arc<dyn Storage>;
    let header = Header::read_any(storage.as_ref(), context.limits)?;
    check_editable(&header)?;
    let (text, descriptor) = match header.descriptor_offset {
        0 => (None, Descriptor::default()),
        _ => {
            let text = open::embedded_text(storage.as_ref(), &header, context.limits)?;
            let descriptor = open::parse_embedded(&text.bytes, text.at, context.limits)?;
            (Some(text), descriptor)
        }
    };
    let sectors = open::embedded_sectors(&descriptor)?.unwrap_or(header.capacity);
    if descriptor.extents.first().is_some_and(|line| !line.writable) {
        return Err(read_only());
    }
    let sparse = SparseExtent::open(Arc::clone(&storage), SourceId(0), context.limits)?.with_line(sectors)?;
    let mut assembly = Assembly::new(*context);
    assembly.add_embedded(storage, sparse);
    let assembled = assembly.into_image(&descriptor)?;
    let text = text.map(|text| text_in(Arc::clone(&medium), text, &descriptor));
    state(vec![medium], text, assembled, halt, context)
}

/// Opens a disk whose descriptor is a file of its own.
fn open_text(medium: Arc<dyn Medium>, halt: Halt, context: &OpenContext<'_>) -> Result<State> {
    let text = open::text_file(medium.as_ref(), context.limits)?;
    let descriptor = open::parse_text(&text.bytes, context.limits)?;
    check_lines(&descriptor)?;
    let mut assembly = Assembly::new(*context);
    let (mut media, mut names): (Vec<Arc<dyn Medium>>, Vec<&[u8]>) = (Vec::new(), Vec::new());
    for line in descriptor.extents.iter().filter(|line| !line.name.is_empty()) {
        if names.contains(&line.name.as_slice()) {
            continue;
        }
        let name = descriptor.encoding.path(&line.name)?;
        let extent = halt.guard(context.admit_to_write(&name, Role::Extent)?.medium);
        assembly.add_file(&line.name, Arc::clone(&extent) as Arc<dyn Storage>, assembly.shown(&name));
        media.push(extent);
        names.push(&line.name);
    }
    assembly.add_lines(&descriptor)?;
    let assembled = assembly.into_image(&descriptor)?;
    let text = text_in(medium, text, &descriptor);
    state(media, Some(text), assembled, halt, context)
}

/// The descriptor in `medium`.
fn text_in(medium: Arc<dyn Medium>, text: DescriptorText, descriptor: &Descriptor) -> Text {
    let last = descriptor.extents.last().filter(|line| line.sectors > 0);
    Text { medium, text, last_line: last.map(|line| line.at) }
}

/// Checks that all extents are of kinds that can be changed in place.
fn check_lines(descriptor: &Descriptor) -> Result<()> {
    for (number, line) in descriptor.extents.iter().enumerate() {
        match line.kind {
            _ if !line.writable => return Err(read_only()),
            ExtentType::Flat | ExtentType::Vmfs => {}
            ExtentType::Sparse if descriptor.extents[..number].iter().all(|before| before.name != line.name) => {}
            ExtentType::Sparse => return Err(Error::malformed("two extents are in one sparse file")),
            kind => return Err(cannot(&format!("extents of type {}", kind.name()))),
        }
    }
    Ok(())
}

/// Checks that a sparse extent is of a kind that can be changed in place, and was closed.
fn check_editable(header: &Header) -> Result<()> {
    match header.kind {
        Kind::Cowd => return Err(cannot("extents of the kind COWD")),
        Kind::SeSparse(_) => return Err(cannot("space-efficient extents")),
        Kind::Hosted if header.compressed => return Err(cannot("compressed extents")),
        Kind::Hosted => {}
    }
    if header.version > NEWEST_EDITED {
        let what = format!("is {}; what such an extent has to keep besides is not known", header.version);
        return Err(Error::unsupported(what).field("version").at(VERSION_AT as u64));
    }
    if header.unclean {
        return Err(Error::malformed("the image was not closed in an orderly way: it has to be repaired first"));
    }
    Ok(())
}

/// The state of an image that has been put together.
fn state(
    media: Vec<Arc<dyn Medium>>,
    text: Option<Text>,
    (image, parent): (VmdkImage, Option<Parent>),
    halt: Halt,
    context: &OpenContext<'_>,
) -> Result<State> {
    let (mut parts, mut size) = (Vec::new(), 0);
    let mut limits = *context.limits;
    for extent in image.extents {
        let content = match extent.content {
            map::Content::Flat { source, host } => Content::Flat { medium: source.0 as usize, host },
            map::Content::Sparse(sparse) => {
                Content::Sparse(Box::new(open_grains(&media, &sparse, &mut limits, context)?))
            }
            map::Content::Zero | map::Content::Hidden(_) => return Err(read_only()),
        };
        size = extent.start + extent.size;
        parts.push(Part { start: extent.start, size: extent.size, content });
    }
    let has_parent = parent.is_some();
    Ok(State {
        media,
        halt,
        parts,
        size,
        has_parent,
        text,
        renewed: false,
        description: image.description,
        limits: *context.limits,
    })
}

/// Opens the grains of a sparse extent, which have to be sound.
fn open_grains(
    media: &[Arc<dyn Medium>],
    sparse: &SparseExtent,
    limits: &mut Limits,
    context: &OpenContext<'_>,
) -> Result<Grains> {
    check_editable(&sparse.header)?;
    let source = sparse.source();
    let medium = media.get(source.0 as usize).ok_or_else(read_only)?;
    let context = OpenContext { limits, ..*context };
    let shares_tail = check::require_sound(Arc::clone(medium) as Arc<dyn Storage>, sparse.size(), &context)?;
    let mut grains = Grains::open(Arc::clone(medium), source, sparse, limits)?;
    if shares_tail && let Grain::Stored(sector) = grains.get(grains.count() - 1)? {
        grains.short_last = Some(sector);
    }
    limits.metadata_bytes = limits.metadata_bytes.saturating_sub(grains.directory_len());
    Ok(grains)
}

/// The error of an image that says that it may not be written.
fn read_only() -> Error {
    Error::unsupported("the disk has an extent that may not be written")
}

/// The error of what cannot be edited.
fn cannot(what: &str) -> Error {
    Error::unsupported(format!("{what} cannot be changed in place: convert the image instead"))
}

/// Newest `version` of an extent that is edited: nobody says what 3 means, but for streams.
const NEWEST_EDITED: u32 = 2;
