//! Damaged images do no harm: whatever bytes change, there is no panic, no hang, and no memory without bound.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{Noise, survive};
use imgfmt_core::{DenyAll, Format, ImageExt, Limits, MemoryStorage, OpenContext, Storage};
use imgfmt_qcow2::Qcow2;

#[test]
fn changed_bytes_do_no_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/qcow2");
    let mut noise = Noise(0x5eed);
    for outcome in ["valid", "malformed", "hostile", "regression"] {
        let files = folder.join(outcome).read_dir().into_iter().flatten().flatten();
        for bytes in files.filter_map(|file| std::fs::read(file.path()).ok()) {
            survive(&Qcow2, &bytes);
            survive_states(&bytes);
            for _ in 0..ROUNDS {
                let damaged = damaged(bytes.clone(), &mut noise);
                survive(&Qcow2, &damaged);
                survive_states(&damaged);
            }
        }
    }
}

/// Describes an image, walks its bitmaps, and reads its snapshots.
fn survive_states(bytes: &[u8]) {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(bytes));
    let limits = Limits::default();
    let context = OpenContext { describe_only: true, ..OpenContext::new(&limits, &DenyAll) };
    let Ok(opened) = Qcow2.open(Arc::clone(&storage), &context) else { return };
    let said = opened.image.describe();
    for bitmap in &opened.bitmaps {
        let mut end = 0;
        let _ = bitmap.visit_dirty(&mut |run| {
            assert!(run.start >= end && run.end > run.start, "{run:?} follows byte {end}");
            end = run.end;
            Ok(())
        });
    }
    let snapshots = said.details.get("snapshots").and_then(|list| list.as_array()).into_iter().flatten();
    for id in snapshots.filter_map(|snapshot| snapshot["id"].as_str()).take(4) {
        let Ok(opened) = Qcow2.open(Arc::clone(&storage), &OpenContext { snapshot: Some(id), ..context }) else {
            continue;
        };
        let mut extents = Vec::new();
        if opened.image.size() > 0 {
            let _ = opened.image.extents(0..opened.image.size(), 256, &mut extents);
        }
        let _ = opened.image.read_at(&mut vec![0; 4096], 0);
    }
}

/// `bytes` with a few of them changed, most of them in the metadata in front.
fn damaged(mut bytes: Vec<u8>, noise: &mut Noise) -> Vec<u8> {
    for _ in 0..=noise.below(3) {
        let end = if noise.below(4) == 0 { bytes.len() } else { bytes.len().min(3072) };
        let at = usize::try_from(noise.below(end.max(1) as u64)).unwrap_or(0);
        let value = [0, 1, 0x7f, 0x80, 0xff, u8::try_from(noise.below(256)).unwrap_or(0)];
        let value = value[usize::try_from(noise.below(6)).unwrap_or(0)];
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
    }
    if noise.below(8) == 0 {
        bytes.truncate(usize::try_from(noise.below(bytes.len().max(1) as u64)).unwrap_or(0));
    }
    bytes
}

/// Damages of each file.
const ROUNDS: usize = 60;
