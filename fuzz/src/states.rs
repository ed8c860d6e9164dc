//! What an image has besides its active state: snapshots, bitmaps, and a description that needs no other file.

use std::sync::Arc;

use imgfmt_core::{Bitmap, ByteCounts, DenyAll, Error, Format, Limits, MemoryStorage, OpenContext, Opener, Storage};

use crate::agrees_with_itself;

/// Opens the image in `bytes` to describe it, walks its bitmaps, and opens the first of its snapshots.
pub fn open_every_state(format: &dyn Format, bytes: &[u8]) {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(bytes));
    let limits = Limits::default();
    let context = OpenContext { describe_only: true, ..OpenContext::new(&limits, &DenyAll) };
    let Ok(opened) = format.open(Arc::clone(&storage), &context) else { return };
    let _ = ByteCounts::of(opened.image.as_ref());
    opened.bitmaps.iter().for_each(|bitmap| walk(bitmap.as_ref()));
    let said = opened.image.describe();
    let snapshots = said.details.get("snapshots").and_then(|list| list.as_array()).into_iter().flatten();
    for id in snapshots.filter_map(|snapshot| snapshot.get("id")?.as_str()).take(MAX_SNAPSHOTS) {
        let formats = [format];
        let opener = Opener::new(&formats, &DenyAll, &limits);
        let context = OpenContext { snapshot: Some(id), ..opener.context };
        if let Ok(chain) = (Opener { context, ..opener }).open(Arc::clone(&storage), None, Some(format.name())) {
            agrees_with_itself(&chain);
        }
    }
}

/// Walks the dirty runs of a bitmap, as long as there are not too many: they ascend, and are not empty.
fn walk(bitmap: &dyn Bitmap) {
    let (mut end, mut count) = (0, 0);
    let _ = bitmap.visit_dirty(&mut |run| {
        assert!((run.start > end || count == 0) && run.end > run.start, "{run:?} follows byte {end}");
        (end, count) = (run.end, count + 1);
        if count < MAX_RUNS { Ok(()) } else { Err(Error::limit("enough")) }
    });
}

/// Snapshots that are opened.
const MAX_SNAPSHOTS: usize = 4;
/// Runs of a bitmap that are looked at.
const MAX_RUNS: usize = 1 << 16;
