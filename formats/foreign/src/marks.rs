//! By what each format is known: the magic numbers that its own documentation gives.

use imgfmt_core::{Head, Result, StorageExt};

/// Why a file is of a format, or nothing.
type Found = Result<Option<&'static str>>;

/// `reason`, if the file begins with `magic` at byte `at`.
fn has(head: &Head<'_>, at: usize, magic: &[u8], reason: &'static str) -> Found {
    Ok(head.first().get(at..).is_some_and(|rest| rest.starts_with(magic)).then_some(reason))
}

/// The magic of the header.
pub(crate) fn qed(head: &Head<'_>) -> Found {
    has(head, 0, b"QED\0", "the magic number QED")
}

/// The text at the start of all Bochs disks.
pub(crate) fn bochs(head: &Head<'_>) -> Found {
    has(head, 0, b"Bochs Virtual HD Image", "the text Bochs Virtual HD Image")
}

/// The script at the start that would load the driver.
pub(crate) fn cloop(head: &Head<'_>) -> Found {
    let script = head.first().starts_with(b"#!/bin/sh\n#V");
    let loads = head.first().windows(14).take(128).any(|text| text == b"modprobe cloop");
    Ok((script && loads).then_some("a script that loads cloop"))
}

/// The trailer in the last sector.
pub(crate) fn dmg(head: &Head<'_>) -> Found {
    let Some(at) = head.storage().len().checked_sub(512) else { return Ok(None) };
    Ok((head.storage().read_array::<4>(at)? == *b"koly").then_some("the trailer koly"))
}

/// The signature of the first segment.
pub(crate) fn ewf(head: &Head<'_>) -> Found {
    has(head, 0, b"EVF\x09\x0d\x0a\xff\x00", "the signature EVF")
}

/// The signature of the header.
pub(crate) fn wim(head: &Head<'_>) -> Found {
    has(head, 0, b"MSWIM\0\0\0", "the signature MSWIM")
}

/// The magic of the header.
pub(crate) fn vma(head: &Head<'_>) -> Found {
    has(head, 0, b"VMA\0", "the magic number VMA")
}

/// A local file header, or the end of an archive that is empty.
pub(crate) fn zip(head: &Head<'_>) -> Found {
    let known = head.first().starts_with(b"PK\x03\x04") || head.first().starts_with(b"PK\x05\x06");
    Ok(known.then_some("the signature of a ZIP archive"))
}

/// The signature of the header.
pub(crate) fn seven_zip(head: &Head<'_>) -> Found {
    has(head, 0, b"7z\xbc\xaf\x27\x1c", "the signature of a 7z archive")
}

/// The signature of all versions since 1.5.
pub(crate) fn rar(head: &Head<'_>) -> Found {
    has(head, 0, b"Rar!\x1a\x07", "the signature of a RAR archive")
}

/// The magic of a frame.
pub(crate) fn lz4(head: &Head<'_>) -> Found {
    has(head, 0, &[0x04, 0x22, 0x4d, 0x18], "the magic number of an LZ4 frame")
}
