//! Checks, repairs and edits of anything.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::Files;
use imgfmt_core::{
    Erase, Findings, Format, ImageEditor, Limits, Medium, OpenContext, Preallocation, Result, Severity, Storage,
};

use crate::small::Small;

/// Checks `bytes`, mends what can be mended, and checks again: what could be read before reads as it did, and repairs, of
/// which each may bring to light what damage had hidden, come to an end. Where the two copies of a table contradict each other
/// and the one that is read cannot be right, the other one's bytes are read after.
pub fn check_and_repair(format: &dyn Format, bytes: &[u8]) {
    let Some(check) = format.abilities().check else { return };
    let (gate, limits) = (Files::default(), limits());
    let context = OpenContext { path: Some(Path::new("image")), ..OpenContext::new(&limits, &gate) };
    let medium = Arc::new(Small::new(bytes));
    let storage = || Arc::clone(&medium) as Arc<dyn Storage>;
    let _ = check.check(storage(), &context, &mut Findings::new());
    let before = sectors(format, storage(), &context);
    let Some(repair) = check.repairs() else { return };
    let mut said = Findings::new();
    let repaired = check.repair(Arc::clone(&medium) as Arc<dyn Medium>, repair, &context, &mut said);
    let after = sectors(format, storage(), &context);
    let chose = said.kept().iter().any(|finding| finding.fixed && CHOICES.contains(&finding.id));
    for (index, sector) in before.iter().enumerate().filter(|(_, sector)| sector.is_some() && !chose) {
        assert_eq!(sector, &after[index], "sector {index} of those that are looked at is another one after the repair");
    }
    if repaired.is_ok() {
        let mut again = Findings::new();
        let done = (0..REPAIRS).any(|_| {
            again = Findings::new();
            let repaired = check.repair(Arc::clone(&medium) as Arc<dyn Medium>, repair, &context, &mut again);
            repaired.is_err() || again.fixed(Severity::Leak) + again.fixed(Severity::Corruption) == 0
        });
        assert!(done, "repairs come to no end: {:?}", again.kept());
    }
}

/// Edits `bytes` a little, where they can be edited: what is written to an image without damage is read.
pub fn edit_a_little(format: &dyn Format, bytes: &[u8]) {
    let Some(edit) = format.abilities().edit else { return };
    let (gate, limits) = (Files::default(), limits());
    let context = OpenContext { path: Some(Path::new("image")), ..OpenContext::new(&limits, &gate) };
    let medium = Arc::new(Small::new(bytes));
    let mut findings = Findings::new();
    let storage = || Arc::clone(&medium) as Arc<dyn Storage>;
    let checked = format.abilities().check.map(|check| check.check(storage(), &context, &mut findings).is_ok());
    let is_sound =
        checked == Some(true) && findings.open(Severity::Corruption) + findings.open(Severity::Unchecked) == 0;
    if let Ok(editor) = edit.edit(medium, &context) {
        // A damaged image may refuse any of it.
        let _ = change(editor.as_ref(), is_sound);
        let _ = editor.close();
    }
}

/// Writes, erases and resizes. Where tables of a damaged image lie upon each other, writing to one place changes another.
fn change(editor: &dyn ImageEditor, is_sound: bool) -> Result<()> {
    let size = editor.image()?.size();
    for offset in [0, size / 3, size.saturating_sub(700)] {
        let len = usize::try_from((size - offset).min(700)).unwrap_or(0);
        let bytes = vec![0x5a; len];
        editor.write_at(&bytes, offset)?;
        let mut read = vec![0; len];
        editor.image()?.read_at(&mut read, offset)?;
        assert!(!is_sound || read == bytes, "what was written at {offset} reads as something else");
    }
    editor.erase(0..size.min(100_000), Erase::Zero)?;
    editor.flush()?;
    editor.resize(size.saturating_add(65_536).min(1 << 40), Preallocation::Off)?;
    editor.flush()
}

/// Some sectors of the disk, where it can be opened; `None` for those that cannot be read.
fn sectors(format: &dyn Format, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Vec<Option<[u8; 512]>> {
    let Ok(opened) = format.open(storage, context) else { return vec![None; SECTORS] };
    let size = opened.image.size();
    let read = |index: usize| {
        let offset = (size / SECTORS as u64).checked_mul(index as u64)? / 512 * 512;
        let mut sector = [0; 512];
        opened.image.read_at(&mut sector, offset).ok().map(|()| sector)
    };
    (0..SECTORS).map(read).collect()
}

/// Limits that keep the work small.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.metadata_bytes = 4 << 20;
    limits
}

/// Findings that are mended by taking the other copy.
const CHOICES: [&str; 2] = ["vmdk-directory-entry", "vmdk-table-entry"];
/// Repairs after which nothing is left to mend.
const REPAIRS: usize = 8;
/// Sectors that are looked at.
const SECTORS: usize = 64;
