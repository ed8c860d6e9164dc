//! What is refused, and with which place.

use imgfmt_core::{Error, ErrorKind, Result};

use crate::build::{Layout, Place, put};
use crate::open_bytes;

/// The error of an image that cannot be opened, or not be read as a whole.
fn error_of(bytes: Vec<u8>) -> Error {
    let whole = |bytes| -> Result<()> {
        let image = open_bytes(bytes)?.image;
        let mut found = vec![0; usize::try_from(image.size()).unwrap_or(0)];
        image.read_at(&mut found, 0)
    };
    whole(bytes).err().unwrap_or_else(|| Error::invalid("the image is read"))
}

fn stream() -> Layout {
    Layout { compressed: true, markers: true, place: Place::Footer, ..Layout::default() }
}

#[test]
fn an_embedded_descriptor_of_several_extents_is_refused() {
    for (line, kind) in [
        ("RW 5 FLAT \"/etc/hostname\" 0\n", ErrorKind::Unsupported),
        ("version=7\n", ErrorKind::Unsupported),
        ("CID=1\nCID=2\n", ErrorKind::Malformed),
    ] {
        let layout = Layout { descriptor: line.into(), ..Layout::default() };
        assert_eq!(error_of(layout.build()).kind(), kind, "{line}");
    }
}

#[test]
fn a_descriptor_error_is_placed_in_the_file() {
    let layout = Layout { descriptor: "CID=nonsense\n".into(), ..Layout::default() };
    assert_eq!(error_of(layout.build()).offset(), Some(512 + "# Disk DescriptorFile\n".len() as u64));
}

#[test]
fn the_extent_line_and_the_capacity_have_to_agree() {
    let mut file = Layout::default().build();
    put(&mut file, 12, &60_u64.to_le_bytes());
    let error = error_of(file);
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Malformed, Some(12)));
}

#[test]
fn a_footer_is_found_behind_bounded_padding_only() {
    let near = Layout { padding: 1000, ..stream() };
    assert!(open_bytes(near.build()).is_ok());
    let far = Layout { padding: 3000, ..stream() };
    let error = error_of(far.build());
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Malformed, Some(56)));
}

#[test]
fn a_footer_needs_its_marker_and_agrees_with_the_header() {
    let whole = stream().build();
    let footer = whole.len() - 512;
    for (at, value) in [(footer - 512 + 12, 2), (footer + 36, 1), (footer + 4, 2)] {
        let mut file = whole.clone();
        file[at] = value;
        let error = error_of(file);
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Malformed, Some(at as u64)));
    }
}

#[test]
fn a_grain_that_runs_into_the_next_is_told_from_one_that_is_cut() {
    let whole = stream().build();
    let lba = |sector: u64| sector.to_le_bytes();
    let first = whole.chunks(512).position(|sector| sector.starts_with(b"KDMV") && sector[56] != 255);
    assert_eq!(first, Some(whole.len() / 512 - 1), "the footer is the last sector");
    let second = whole.chunks(512).rposition(|sector| sector[..8] == lba(16)).unwrap() * 512;
    let mut file = whole.clone();
    put(&mut file, second + 8, &8000_u32.to_le_bytes());
    let error = error_of(file);
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Malformed, Some(second as u64 + 8)));
}
