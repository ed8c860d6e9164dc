//! Guest data that lies upon a table, as only damage puts it: nothing is written over the table.

use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};
use imgfmt_core::{DenyAll, Edit, Erase, ErrorKind, ImageEditor, Limits, Medium, MemoryMedium, OpenContext, Result};
use imgfmt_qcow2::Qcow2;

use crate::images::{KINDS, files};

/// Guest bytes of the disk.
const SIZE: usize = 200 * 512;
/// The flag of entries whose cluster is used once.
const COPIED: u64 = 1 << 63;

/// An image whose first data cluster is its refcount block, and the bytes of its tables.
fn damaged() -> Vec<u8> {
    let mut image = files(&KINDS[1], SIZE).remove(0).1;
    let host = |image: &[u8], at: usize| usize::try_from(BigEndian::read_u64(&image[at..]) & !COPIED).unwrap();
    let l1 = host(&image, 40);
    let l2 = host(&image, l1);
    let block = host(&image, host(&image, 48));
    BigEndian::write_u64(&mut image[l2..], block as u64 | COPIED);
    image
}

/// Edits a damaged image, which has to be refused and leave the file as it is.
fn refused(step: &dyn Fn(&mut dyn ImageEditor) -> Result<()>) {
    let image = damaged();
    let medium = Arc::new(MemoryMedium::new(&image));
    let limits = Limits::default();
    let context = OpenContext::new(&limits, &DenyAll);
    let edit = || -> Result<()> {
        let mut editor = Qcow2.edit(Arc::clone(&medium) as Arc<dyn Medium>, &context)?;
        step(editor.as_mut())?;
        editor.flush()
    };
    assert_eq!(edit().unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(medium.to_vec(), image);
}

#[test]
fn data_upon_a_table_is_not_written_over() {
    refused(&|editor| editor.write_at(&[7; 100], 50));
}

#[test]
fn data_upon_a_table_is_not_given_up() {
    refused(&|editor| editor.erase(0..4096, Erase::Absent));
    refused(&|editor| editor.erase(0..4096, Erase::Zero));
}
