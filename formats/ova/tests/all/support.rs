//! What the tests of appliances share.

use std::sync::Arc;

use imgfmt_core::conformance::Files;
use imgfmt_core::{DenyAll, Gate, Head, Limits, MemoryStorage, OpenContext, Result, Storage, StorageExt, Wrapper};

/// A file of an archive: its name and bytes.
pub(crate) type Entry<'a> = (&'a str, &'a [u8]);

/// A tar archive.
pub(crate) fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).expect("memory takes all");
    }
    builder.into_inner().expect("memory takes all")
}

/// A description with these `File` and `Disk` elements.
pub(crate) fn envelope(files: &str, disks: &str) -> String {
    format!(
        r#"<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References>{files}</References>
  <DiskSection><Info/>{disks}</DiskSection>
  <VirtualSystem ovf:id="vm"><Info/></VirtualSystem>
</Envelope>"#
    )
}

/// A description of one disk with these attributes of its `File`.
pub(crate) fn one_disk(file: &str) -> String {
    envelope(&format!("<File ovf:id='f' {file}/>"), "<Disk ovf:diskId='d' ovf:fileRef='f' ovf:capacity='1'/>")
}

/// The names and bytes of all members of a file.
pub(crate) fn members(wrapper: &dyn Wrapper, bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    members_through(wrapper, bytes, &DenyAll, None)
}

/// The names and bytes of all members of the file at `path`, whose other files are in `files`.
pub(crate) fn members_beside(wrapper: &dyn Wrapper, bytes: &[u8], files: &Files) -> Result<Vec<(String, Vec<u8>)>> {
    members_through(wrapper, bytes, files, Some("vm.ovf"))
}

/// The names and bytes of all members of a file that may open what `gate` admits.
fn members_through(
    wrapper: &dyn Wrapper,
    bytes: &[u8],
    gate: &dyn Gate,
    path: Option<&str>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let limits = Limits::default();
    let context = OpenContext { path: path.map(std::path::Path::new), ..OpenContext::new(&limits, gate) };
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(bytes));
    let contents = wrapper.contents(&storage, &context)?;
    let read = |(index, member): (usize, imgfmt_core::Member)| {
        let opened = wrapper.open(&storage, index, &context)?;
        let len = usize::try_from(opened.len()).unwrap_or(usize::MAX);
        Ok((member.name, opened.read_vec(0, len)?))
    };
    contents.members.into_iter().enumerate().map(read).collect()
}

/// Whether `wrapper` claims `bytes`.
pub(crate) fn claims(wrapper: &dyn Wrapper, bytes: &[u8]) -> bool {
    let storage = MemoryStorage::new(bytes);
    let head = Head::read(&storage).expect("memory can be read");
    wrapper.probe(&head).expect("memory can be read").is_some()
}
