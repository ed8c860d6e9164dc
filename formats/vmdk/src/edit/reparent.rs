//! Naming another parent, in one write of one sector.

use std::sync::Arc;

use imgfmt_core::{Backing, Error, Medium, OpenContext, Reparent, Result, Storage, StorageExt};

use crate::NAME;
use crate::descriptor::{Change, Descriptor, DescriptorText, Encoding, ExtentType};
use crate::header::{self, Header, Kind};
use crate::open;
use crate::parent::NO_PARENT;
use crate::write::{ParentLink, parent_link};

/// Names another parent for images of this format.
pub(crate) struct Reparenter;

impl Reparent for Reparenter {
    fn set_parent(&self, medium: Arc<dyn Medium>, parent: Option<&Backing>, context: &OpenContext<'_>) -> Result<()> {
        set_parent(medium.as_ref(), parent, context).map_err(|e| e.in_format(NAME))
    }
}

/// Makes the image in `medium` build on `parent`, or on nothing.
fn set_parent(medium: &dyn Medium, parent: Option<&Backing>, context: &OpenContext<'_>) -> Result<()> {
    let (text, descriptor) = read(medium, context)?;
    let link = parent.map(parent_link).transpose()?;
    if let Some(link) = &link {
        check_possible(&descriptor, link)?;
    }
    let patch = text.patch(&changes(&text, &descriptor, link.as_ref())?)?;
    // What is written is what was meant, whatever the text looked like.
    let mut new = text.clone();
    new.apply(&patch);
    let found = Descriptor::parse(&new.bytes, context.limits)?;
    let wanted = link.as_ref().map_or((NO_PARENT, None), |link| (link.cid, Some(link.hint.as_bytes())));
    if (found.parent_cid.unwrap_or(NO_PARENT), found.parent_hint.as_deref()) != wanted {
        return Err(Error::unsupported("the descriptor is written in a way in which its parent cannot be changed"));
    }
    medium.write_at(&patch.bytes, text.at + patch.at as u64)?;
    medium.sync()
}

/// Reads the descriptor, wherever it is.
fn read(medium: &dyn Medium, context: &OpenContext<'_>) -> Result<(DescriptorText, Descriptor)> {
    let storage: &dyn Storage = medium;
    let mut head = [0; 8];
    storage.read_padded(&mut head, 0)?;
    if header::recognise(&head).is_none() {
        let text = open::text_file(storage, context.limits)?;
        let descriptor = open::parse_text(&text.bytes, context.limits)?;
        return Ok((text, descriptor));
    }
    let header = Header::read_any(storage, context.limits)?;
    if header.kind != Kind::Hosted || header.descriptor_offset == 0 {
        return Err(Error::unsupported("the extent has no descriptor, which alone names a parent"));
    }
    let text = open::embedded_text(storage, &header, context.limits)?;
    let descriptor = open::parse_embedded(&text.bytes, text.at, context.limits)?;
    Ok((text, descriptor))
}

/// Checks that the disk can have a parent of that name.
fn check_possible(descriptor: &Descriptor, link: &ParentLink) -> Result<()> {
    let leaves_out = |kind| !matches!(kind, ExtentType::Flat | ExtentType::Vmfs | ExtentType::Zero);
    if !descriptor.extents.is_empty() && !descriptor.extents.iter().any(|line| leaves_out(line.kind)) {
        return Err(Error::unsupported("all bytes of the disk are in flat extents, so none would be a parent's"));
    }
    if descriptor.encoding != Encoding::Bytes && !link.hint.is_ascii() {
        return Err(Error::invalid("the name of the parent cannot be written in the encoding of the descriptor"));
    }
    Ok(())
}

/// What is to be changed.
fn changes(text: &DescriptorText, descriptor: &Descriptor, link: Option<&ParentLink>) -> Result<Vec<Change>> {
    let cid = format!("{:08x}", link.map_or(NO_PARENT, |link| link.cid)).into_bytes();
    let hint = link.map(|link| format!("parentFileNameHint=\"{}\"", link.hint).into_bytes());
    let mut changes = Vec::new();
    let mut added = Vec::new();
    match (text.value("parentCID"), descriptor.parent_cid) {
        (Some(range), _) => changes.push((range, cid)),
        (None, None) => added.extend([b"\nparentCID=".to_vec(), cid].concat()),
        (None, Some(_)) => return Err(twice()),
    }
    match (text.line("parentFileNameHint"), hint) {
        (Some(range), Some(hint)) => changes.push((range, hint)),
        // An empty line would be one too many for readers that count an extent behind it twice.
        (Some(range), None) => changes.push((range, b"#".to_vec())),
        (None, _) if descriptor.parent_hint.is_some() => return Err(twice()),
        (None, Some(hint)) => added.extend([b"\n".to_vec(), hint].concat()),
        (None, None) => {}
    }
    // VirtualBox knows the parent by this one; none is zeros.
    if let Some(range) = text.value("ddb.uuid.parent") {
        let null = text.bytes[range.clone()].iter().map(|&byte| if byte.is_ascii_hexdigit() { b'0' } else { byte });
        changes.push((range.clone(), null.collect()));
    }
    if !added.is_empty() {
        let behind =
            text.line("CID").ok_or_else(|| Error::unsupported("the descriptor has no CID to write it behind"))?;
        changes.push((behind.end..behind.end, added));
    }
    changes.sort_by_key(|(range, _)| range.start);
    Ok(changes)
}

/// The error of a key that is there more than once.
fn twice() -> Error {
    Error::unsupported("the descriptor names its parent more than once")
}
