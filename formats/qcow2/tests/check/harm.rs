//! Whatever bytes change, a check ends, and a repair loses nothing that could be read.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::Noise;
use imgfmt_core::{
    Check, DenyAll, Findings, Format, Limits, Medium, MemoryMedium, MemoryStorage, OpenContext, Repair, Severity,
    Storage,
};
use imgfmt_qcow2::Qcow2;

#[test]
fn repairs_of_random_damage_lose_nothing_and_make_nothing_worse() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/qcow2");
    let mut noise = Noise(0xbad);
    for outcome in ["valid", "malformed", "regression"] {
        let files = folder.join(outcome).read_dir().into_iter().flatten().flatten();
        let mut paths: Vec<_> =
            files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "qcow2")).collect();
        paths.sort();
        for path in paths {
            let bytes = std::fs::read(&path).unwrap();
            check_and_repair(&bytes, &path.display().to_string());
            for round in 0..rounds() {
                let damaged = damaged(bytes.clone(), &mut noise);
                check_and_repair(&damaged, &format!("{}, round {round}", path.display()));
            }
        }
    }
}

/// Checks and repairs an image, and checks what is left.
fn check_and_repair(bytes: &[u8], name: &str) {
    let limits = Limits::default();
    let context = OpenContext { describe_only: true, ..OpenContext::new(&limits, &DenyAll) };
    let mut first = Findings::new();
    if Qcow2.check(Arc::new(MemoryStorage::new(bytes)), &context, &mut first).is_err() {
        return;
    }
    let before = States::of(bytes);
    for repair in [Repair::Leaks, Repair::All] {
        let medium = Arc::new(MemoryMedium::new(bytes));
        let mut said = Findings::new();
        Qcow2.repair(Arc::clone(&medium) as Arc<dyn Medium>, repair, &context, &mut said).unwrap();
        before.assert_kept(&medium.to_vec(), &format!("{name}: {repair:?}"));
        let mut left = Findings::new();
        Qcow2.check(Arc::clone(&medium) as Arc<dyn Storage>, &context, &mut left).unwrap();
        for severity in [Severity::Corruption, Severity::Leak] {
            let open = (left.open(severity), first.open(severity));
            assert!(open.0 <= open.1, "{name}: {repair:?}: {:?} became {:?}", first.kept(), left.kept());
        }
        assert!(left.open(Severity::Leak) <= said.open(Severity::Leak), "{name}: {:?} {:?}", said.kept(), left.kept());
    }
}

/// What can be read of the active state and of some snapshots, sector by sector.
struct States(Vec<(Option<String>, Sectors)>);

/// What can be read of a disk, sector by sector; nothing where that fails.
type Sectors = Vec<Option<[u8; 512]>>;

impl States {
    /// What can be read of the image in `bytes`.
    fn of(bytes: &[u8]) -> Self {
        let states = [None, Some("1"), Some("2"), Some("3")];
        Self(states.into_iter().map(|state| (state.map(ToOwned::to_owned), sectors(bytes, state))).collect())
    }

    /// Checks that the image in `bytes` shows what could be read, and that nothing passes for what could not.
    fn assert_kept(&self, bytes: &[u8], name: &str) {
        for (state, known) in &self.0 {
            let now = sectors(bytes, state.as_deref());
            for (index, (known, now)) in known.iter().zip(now.iter().chain(std::iter::repeat(&None))).enumerate() {
                assert!(known == now, "{name}: sector {index} of {state:?} is another one");
            }
        }
    }
}

/// The sectors of a state of the image in `bytes`.
fn sectors(bytes: &[u8], state: Option<&str>) -> Vec<Option<[u8; 512]>> {
    let limits = Limits::default();
    let context = OpenContext { snapshot: state, ..OpenContext::new(&limits, &DenyAll) };
    let Ok(opened) = Qcow2.open(Arc::new(MemoryStorage::new(bytes)), &context) else { return Vec::new() };
    let count = (opened.image.size() / 512).min(1024);
    let read = |index: u64| {
        let mut sector = [0; 512];
        opened.image.read_at(&mut sector, index * 512).ok().map(|()| sector)
    };
    (0..count).map(read).collect()
}

/// `bytes` with a few of them changed: in tables for the most part, to what is no noise.
fn damaged(mut bytes: Vec<u8>, noise: &mut Noise) -> Vec<u8> {
    for _ in 0..=noise.below(4) {
        let end = [bytes.len(), bytes.len().min(4096), bytes.len().min(512)][usize::try_from(noise.below(3)).unwrap()];
        let at = usize::try_from(noise.below(end.max(1) as u64)).unwrap();
        if noise.below(2) == 0 {
            let value = [0, 1, 2, 0x40, 0x80, 0xff, u8::try_from(noise.below(256)).unwrap()];
            bytes[at] = value[usize::try_from(noise.below(7)).unwrap()];
        } else {
            // A word of one place goes to another.
            let words = bytes.len() / 8;
            let from = usize::try_from(noise.below(words as u64)).unwrap() * 8;
            let to = (at / 8 * 8).min(bytes.len() - 8);
            bytes.copy_within(from..from + 8, to);
        }
    }
    if noise.below(10) == 0 {
        bytes.truncate(usize::try_from(noise.below(bytes.len() as u64)).unwrap());
    }
    bytes
}

/// Damages of each file: 40, unless the environment asks for more.
fn rounds() -> usize {
    std::env::var("IMGFMT_HARM_ROUNDS").map_or(40, |rounds| rounds.parse().unwrap())
}
