//! Verbs one after the other, in any order, against a vector of bytes.

use imgfmt::conformance::Noise;
use imgfmt::property_config;
use imgfmt::{
    BitmapAction, CommitRequest, CompactRequest, DdRequest, ParentName, RebaseRequest, ResizeRequest, Result,
    SizeChange, SnapshotAction,
};
use proptest::prelude::*;

use super::support::{Folder, Kind, Outcome, disk, whole};

/// An image called `top`, and what it should be.
struct Model<'a> {
    /// The folder.
    folder: &'a Folder,
    /// The kind of all images.
    kind: Kind,
    /// What the disk holds.
    top: Vec<u8>,
    /// What each of the images holds that it may build on.
    bases: [Vec<u8>; 2],
    /// Which of them it builds on.
    base: Option<usize>,
    /// Names and disks of the internal snapshots.
    snapshots: Vec<(String, Vec<u8>)>,
    /// Chance.
    noise: Noise,
}

/// The images that `top` may build on.
const BASES: [&str; 2] = ["base0", "base1"];
/// All writes are of whole megabytes: a multiple of the unit of every kind.
const STEP: usize = 1 << 20;

impl<'a> Model<'a> {
    /// An image on the first of two bases.
    fn new(folder: &'a Folder, kind: Kind, seed: u64) -> Outcome<Self> {
        let bases = [disk(3 * STEP, seed), disk(2 * STEP, seed.wrapping_add(1))];
        for (name, bytes) in BASES.iter().zip(&bases) {
            kind.make(folder, name, bytes)?;
        }
        kind.make_on(folder, "top", BASES[0], None)?;
        let noise = Noise(seed | 1);
        Ok(Self { folder, kind, top: bases[0].clone(), bases, base: Some(0), snapshots: Vec::new(), noise })
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.noise.below(end as u64)).unwrap_or(0)
    }

    /// One verb, by chance; says which.
    fn step(&mut self) -> Outcome<String> {
        match self.below(9) {
            0 | 1 => self.write(),
            2 => self.resize(),
            3 => self.snapshot(),
            4 => self.rebase(),
            5 => self.commit(),
            6 => self.bitmap(),
            _ => self.compact(),
        }
    }

    /// Writes a megabyte.
    fn write(&mut self) -> Outcome<String> {
        let at = self.below(self.top.len() / STEP) * STEP;
        let seed = self.noise.next();
        let mut bytes = disk(STEP, seed);
        bytes[..100_000].fill(0);
        self.kind.write(self.folder, "top", at as u64, &bytes)?;
        self.top[at..at + STEP].copy_from_slice(&bytes);
        Ok(format!("write at {at}"))
    }

    /// Grows or shrinks.
    fn resize(&mut self) -> Outcome<String> {
        let size = (self.below(5) + 1) * STEP;
        let mut request = ResizeRequest::new(self.folder.path("top"), SizeChange::To(size as u64));
        request.source = self.kind.source(self.folder, "top");
        request.access = self.folder.access();
        request.shrink = true;
        match imgfmt::resize(&request) {
            Ok(_) => self.top.resize(size, 0),
            Err(error) if error.kind() == imgfmt::ErrorKind::Unsupported => {}
            Err(error) => return Err(whole(&error).into()),
        }
        Ok(format!("resize to {size}"))
    }

    /// Keeps, applies or deletes a state.
    fn snapshot(&mut self) -> Outcome<String> {
        if self.kind.abilities().snapshots.is_none() {
            return self.write();
        }
        let (source, access) = (self.kind.source(self.folder, "top"), self.folder.access());
        let act = |action: &SnapshotAction| imgfmt::snapshot(&source, action, &access).map_err(|e| whole(&e));
        let index = self.below(self.snapshots.len() + 1);
        let Some((name, bytes)) = self.snapshots.get(index).cloned() else {
            let name = format!("s{}", self.noise.next());
            act(&SnapshotAction::Create(name.clone()))?;
            self.snapshots.push((name.clone(), self.top.clone()));
            return Ok(format!("snapshot -c {name}"));
        };
        if self.below(2) == 0 {
            act(&SnapshotAction::Apply(name.clone()))?;
            self.top = bytes;
            return Ok(format!("snapshot -a {name}"));
        }
        act(&SnapshotAction::Delete(name.clone()))?;
        self.snapshots.remove(index);
        Ok(format!("snapshot -d {name}"))
    }

    /// Deletes all snapshots: what they leave to the base is as the base is.
    fn delete_snapshots(&mut self) -> Outcome {
        let source = self.kind.source(self.folder, "top");
        for (name, _) in std::mem::take(&mut self.snapshots) {
            imgfmt::snapshot(&source, &SnapshotAction::Delete(name), &self.folder.access()).map_err(|e| whole(&e))?;
        }
        Ok(())
    }

    /// Builds on another base, or on none.
    fn rebase(&mut self) -> Outcome<String> {
        self.delete_snapshots()?;
        let base = Some(self.below(3)).filter(|index| *index < 2);
        let backing = base.map(|index| ParentName { name: BASES[index].into(), format: Some(self.kind.format.into()) });
        let mut request = RebaseRequest::new(self.folder.path("top"), backing);
        request.source = self.kind.source(self.folder, "top");
        request.access = self.folder.access();
        match imgfmt::rebase(&request) {
            Ok(_) => self.base = base,
            Err(error) if error.kind() == imgfmt::ErrorKind::Unsupported => {}
            Err(error) => return Err(whole(&error).into()),
        }
        Ok(format!("rebase on {base:?}"))
    }

    /// Writes into the base.
    fn commit(&mut self) -> Outcome<String> {
        let Some(index) = self.base else { return self.write() };
        self.delete_snapshots()?;
        let mut request = CommitRequest::new(self.folder.path("top"));
        request.source = self.kind.source(self.folder, "top");
        request.access = self.folder.access();
        request.keep = self.below(2) == 0;
        imgfmt::commit(&request).map_err(|e| whole(&e))?;
        let (base, len) = (&mut self.bases[index], self.top.len());
        base.resize(base.len().max(len), 0);
        base[..len].copy_from_slice(&self.top);
        Ok(format!("commit into {index}, keep {}", request.keep))
    }

    /// Makes and removes a bitmap.
    fn bitmap(&mut self) -> Outcome<String> {
        if self.kind.abilities().bitmaps.is_none() || self.kind.options.contains("0.10") {
            return self.write();
        }
        let (source, access) = (self.kind.source(self.folder, "top"), self.folder.access());
        let change = |actions: &[BitmapAction]| -> Result<()> {
            imgfmt::change_bitmap(&source, "b", actions, &access).map(drop)
        };
        if change(&[BitmapAction::Remove]).is_err() {
            change(&[BitmapAction::Add { granularity: None }]).map_err(|e| whole(&e))?;
            // Disks with bitmaps do not change their size everywhere, so it is not left for long.
            self.write()?;
            change(&[BitmapAction::Remove]).map_err(|e| whole(&e))?;
        }
        Ok("bitmap".to_owned())
    }

    /// Makes it smaller.
    fn compact(&mut self) -> Outcome<String> {
        let mut request = CompactRequest::new(self.folder.path("top"));
        request.source = self.kind.source(self.folder, "top");
        request.access = self.folder.access();
        request.in_place = self.below(2) == 0 || !self.snapshots.is_empty() || self.kind.options.contains("twoGb");
        imgfmt::compact(&request).map_err(|e| whole(&e))?;
        Ok(format!("compact, in place {}", request.in_place))
    }

    /// Checks all images.
    fn check(&mut self, done: &[String]) -> Outcome {
        let what = format!("after {done:?}");
        self.folder.assert_holds("top", self.kind, &self.top, &what)?;
        for (name, bytes) in BASES.iter().zip(&self.bases) {
            self.folder.assert_holds(name, self.kind, bytes, &what)?;
        }
        let mut request = DdRequest::new(self.folder.path("top"), self.folder.path("part"));
        request.input = self.kind.source(self.folder, "top");
        request.access = self.folder.access();
        (request.skip, request.count) = (100, Some(1000));
        imgfmt::dd(&request).map_err(|e| whole(&e))?;
        assert!(std::fs::read(self.folder.path("part"))? == self.top[51_200..563_200], "dd {what}");
        Ok(())
    }
}

/// Runs some verbs on an image of `kind`.
fn run(kind: Kind, seed: u64, steps: usize) -> Outcome {
    let folder = Folder::new()?;
    let mut model = Model::new(&folder, kind, seed)?;
    let mut done = Vec::new();
    for _ in 0..steps {
        let step = model.step().map_err(|e| format!("{kind:?} after {done:?}: {e}"))?;
        done.push(step);
        model.check(&done)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(property_config!(2))]

    #[test]
    fn the_disk_is_what_a_vector_would_be(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let mut kinds: Vec<_> = Kind::layered().collect();
        // Where one kind alone is of interest, as where it is new.
        if let Some(format) = std::env::var_os("IMGFMT_TEST_FORMAT") {
            kinds.retain(|kind| kind.format == format);
        }
        for format in ["qcow2", "vmdk", "vhd", "vhdx"] {
            let of_format: Vec<_> = kinds.iter().filter(|kind| kind.format == format).collect();
            if !of_format.is_empty() {
                let kind = which.get(&of_format);
                run(**kind, seed, STEPS).map_err(|e| TestCaseError::fail(e.to_string()))?;
            }
        }
    }
}

/// Verbs in a sequence.
const STEPS: usize = 8;
