//! Any pieces: a layer that is written reads as what was placed, also where the target held something before.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};

use imgfmt_core::{
    Backing, CreateRequest, DenyAll, ExtentKind, Form, Format, Identity, Image, ImageExt, Limits, MemoryStorage,
    OpenContext, Options, ParentName, Piece, Result, Target,
};
use imgfmt_vhdx::Vhdx;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::config;

/// Bytes that are placed as one.
const UNIT: u64 = 64 << 10;

/// A device in memory, full of something else. It shows as much of itself as has been asked for.
#[derive(Debug)]
struct Device(Mutex<Vec<u8>>);

impl Device {
    /// Hands `range` to `change`.
    fn part(&self, range: Range<u64>, change: &mut dyn FnMut(&mut [u8])) {
        let mut bytes = self.0.lock().unwrap();
        let (start, end) = (range.start as usize, range.end as usize);
        if bytes.len() < end {
            bytes.resize(end, 0xcc);
        }
        change(&mut bytes[start..end]);
    }
}

impl Target for Device {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.part(offset..offset + bytes.len() as u64, &mut |part| part.copy_from_slice(bytes));
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.part(0..len, &mut |_| {});
        Ok(())
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.part(range, &mut |part| part.fill(0));
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        false
    }
}

/// Pieces as lengths in units and forms. Only a layer has absent ones, and long ones lead to another chunk.
fn pieces() -> impl Strategy<Value = Vec<(u64, Form)>> {
    let form = proptest::sample::select(vec![Form::Plain, Form::Zero, Form::Absent]);
    let long = (65_500..65_600u64, Just(Form::Absent));
    let short = (prop_oneof![1..5u64, 10..40u64], form);
    proptest::collection::vec(prop_oneof![4 => short, 1 => long], 1..12)
}

/// What byte `offset` of the disk is, where it is stored.
fn fill(offset: u64) -> u8 {
    (offset / 512 * 31 + 7) as u8 | 1
}

/// Writes a disk of these pieces; `backed` says whether it is a layer. The last piece is `cut` bytes shorter.
fn write(pieces: &[(u64, Form)], options: &str, backed: bool, cut: u64) -> Vec<u8> {
    let size = pieces.iter().map(|(units, _)| units * UNIT).sum::<u64>() - cut;
    let options = Options::parse(options).unwrap();
    let identities = vec![Identity { kind: "DataWriteGuid", value: "f88d4d92-6fcc-408d-9bef-9b7c89f15c89".to_owned() }];
    let name = ParentName { name: "base.vhdx".into(), format: Some("vhdx".to_owned()) };
    let backing = Backing { name, identities, size, ..Backing::default() };
    let request = CreateRequest {
        backing: Some(&backing).filter(|_| backed),
        target_is_zero: false,
        ..CreateRequest::new(size, &options)
    };
    let device = Arc::new(Device(Mutex::new(Vec::new())));
    let writer = Vhdx.create(Arc::clone(&device) as Arc<dyn Target>, &request).unwrap();
    let mut guest = 0;
    for &(units, form) in pieces {
        let mut piece = Piece { guest, len: (units * UNIT).min(size - guest), form };
        guest += piece.len;
        while piece.len > 0 {
            let placed = writer.place(&piece).unwrap();
            if form == Form::Plain {
                let bytes: Vec<u8> = (piece.guest..piece.guest + placed.len).map(fill).collect();
                writer.store(&Piece { len: placed.len, ..piece }, placed.host, &bytes).unwrap();
            }
            piece.guest += placed.len;
            piece.len -= placed.len;
        }
    }
    writer.finish().unwrap();
    device.0.lock().unwrap().clone()
}

/// Checks that a run of the disk is as it was placed.
fn check(image: &dyn Image, range: Range<u64>, form: Form) {
    image
        .visit_extents(range, &mut |extent| {
            let parent = extent.kind == ExtentKind::Parent;
            assert_eq!(parent, form == Form::Absent, "{extent:?} is no {form:?}");
            if !parent {
                let mut bytes = vec![0xa5; extent.len as usize];
                image.read_at(&mut bytes, extent.start)?;
                let stored = form == Form::Plain;
                let right = |(at, &byte): (u64, &u8)| byte == if stored { fill(at) } else { 0 };
                assert!((extent.start..).zip(&bytes).all(right), "{extent:?} is no {form:?}");
            }
            Ok(())
        })
        .unwrap();
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn what_was_placed_is_what_is_read(
        pieces in pieces(),
        backed in any::<bool>(),
        cut in 0..UNIT,
        choice in 0..5usize,
    ) {
        let options = [
            "block_size=1M", "block_size=4M,block_state_zero=on", "subformat=fixed,block_size=1M",
            "block_size=2M,logical_sector_size=4096", "",
        ][choice];
        let options = if backed && options.starts_with("subformat") { "" } else { options };
        let pieces: Vec<_> = pieces
            .into_iter()
            .map(|(units, form)| if form == Form::Absent && !backed { (units % 64 + 1, Form::Zero) } else { (units, form) })
            .collect();
        // Sectors that the last piece fills in part are zero behind it, and so no parent's.
        let cut = if backed { cut / 4096 * 4096 } else { cut };
        let limits = Limits::default();
        let storage = Arc::new(MemoryStorage::new(write(&pieces, options, backed, cut)));
        let opened = Vhdx.open(storage, &OpenContext::new(&limits, &DenyAll)).unwrap();
        assert_eq!(opened.parent.is_some(), backed);
        let size = pieces.iter().map(|(units, _)| units * UNIT).sum::<u64>() - cut;
        let mut guest = 0;
        for (units, form) in pieces {
            let end = (guest + units * UNIT).min(size);
            check(opened.image.as_ref(), guest..end, form);
            guest = end;
        }
        if size < opened.image.size() {
            check(opened.image.as_ref(), size..opened.image.size(), Form::Zero);
        }
    }
}
