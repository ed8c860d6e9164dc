//! Damage of directories, tables and grains.

use imgfmt_core::conformance::{Edited, Files, check_repair};
use imgfmt_core::{Finding, Repair, Severity};

use crate::build::{Grain, Layout, put};
use crate::images::{Made, made};

/// A sparse extent in memory, to be damaged.
struct Sparse(Vec<u8>);

impl Sparse {
    /// One of 203 sectors in grains of 8 KiB, of which 0, 1 and 4 to 8 are stored.
    fn new() -> Self {
        Self(made("grain_size=8k,cid=00c0ffee", 203 * 512).files.remove(0).1)
    }

    /// One of four tables of 4 grains.
    fn of_many_tables() -> Self {
        let layout = Layout { sectors: 128, grains: vec![Grain::Data(5); 16], redundant: true, ..Layout::default() };
        Self(layout.build())
    }

    /// The number of 8 bytes at `at`.
    fn long(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    /// The number of 4 bytes at `at`.
    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    /// The byte of entry `index` of the directory that the header has at `field`: 56, or 48 for the redundant one.
    fn directory(&self, field: usize, index: usize) -> usize {
        usize::try_from(self.long(field)).unwrap() * 512 + index * 4
    }

    /// The byte of the entry of grain `grain` of the first table.
    fn entry(&self, field: usize, grain: usize) -> usize {
        usize::try_from(self.word(self.directory(field, 0))).unwrap() * 512 + grain * 4
    }

    /// Sets the number of 4 bytes at `at`.
    fn set(&mut self, at: usize, value: u32) {
        put(&mut self.0, at, &value.to_le_bytes());
    }

    /// Sets the entry of a grain in both tables.
    fn set_both(&mut self, grain: usize, value: u32) {
        for field in [GD, RGD] {
            let at = self.entry(field, grain);
            self.set(at, value);
        }
    }

    /// Marks it as one that was not closed.
    fn unclean(&mut self) {
        self.0[72] = 1;
    }

    /// Checks that exactly these findings are there; that those with a repair are mended, to `content`; and that what is
    /// left is exactly the others.
    fn expect(self, name: &str, ids: &[&str], mended: bool, content: Option<&[u8]>) {
        let image = Made::of(vec![("disk.vmdk".to_owned(), self.0)]);
        let edited = image.edited();
        let (files, _) = files(&edited);
        let (found, _) = edited.check(&files, None).unwrap();
        assert_eq!(ids_of(found.kept()), ids, "{name}: {:?}", found.kept());
        assert_eq!(found.kept().iter().all(|f| f.repair.is_some()), mended, "{name}: {:?}", found.kept());
        assert!(found.kept().iter().all(|f| !f.fixed && f.offset.is_some()), "{name}");
        let findings = check_repair(&edited, Repair::All, 7);
        let (files, medium) = self::files(&edited);
        let (told, _) = edited.check(&files, Some(Repair::All)).unwrap();
        assert_eq!(told.kept(), findings.kept(), "{name}");
        assert!(told.kept().iter().all(|f| f.fixed == f.repair.is_some()), "{name}: {:?}", told.kept());
        let (left, _) = edited.check(&files, None).unwrap();
        if mended {
            assert_eq!(left.kept(), [], "{name}");
            let read = edited.read(&files).unwrap();
            assert!(content.is_none_or(|content| content == read), "{name}: another disk");
        } else {
            assert_eq!(ids_of(left.kept()), ids, "{name}");
            let now = files.medium(medium.as_ref()).unwrap();
            assert!(now.len() >= image.files[0].1.len() as u64, "{name}: nothing is cut off where there is doubt");
        }
    }
}

/// The image in files of its own, and its name.
fn files(edited: &Edited<'_>) -> (Files, String) {
    let mut files = Files::default();
    edited.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
    (files, edited.name.to_owned())
}

/// The identifiers of findings, each once, in order of their names.
fn ids_of(findings: &[Finding]) -> Vec<&'static str> {
    let mut ids: Vec<_> = findings.iter().map(|finding| finding.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The guest bytes of the image.
fn content(sparse: &Sparse) -> Vec<u8> {
    let image = Made::of(vec![("disk.vmdk".to_owned(), sparse.0.clone())]);
    let edited = image.edited();
    edited.read(&files(&edited).0).unwrap()
}

#[test]
fn a_whole_image_has_no_findings_and_is_not_touched_by_repair() {
    let sparse = Sparse::new();
    let image = Made::of(vec![("disk.vmdk".to_owned(), sparse.0.clone())]);
    let edited = image.edited();
    let (files, name) = files(&edited);
    let (found, stats) = edited.check(&files, Some(Repair::All)).unwrap();
    assert_eq!(found.total(), 0, "{:?}", found.kept());
    assert_eq!((stats.total_units, stats.allocated_units, stats.compressed_units), (13, 7, 0));
    let mut now = vec![0; sparse.0.len()];
    files.medium(name.as_ref()).unwrap().read_at(&mut now, 0).unwrap();
    assert!(now == sparse.0);
}

#[test]
fn what_is_lost_of_one_directory_comes_from_the_other() {
    let whole = content(&Sparse::new());
    type Harm = fn(&mut Sparse);
    let cases: &[(&str, Harm, &str)] = &[
        ("the directory is zeros", |s| s.set(s.directory(GD, 0), 0), "vmdk-directory-entry"),
        ("an entry beyond the file", |s| s.set(s.directory(GD, 0), 1 << 30), "vmdk-directory-entry"),
        ("an entry in the descriptor", |s| s.set(s.directory(GD, 0), 1), "vmdk-directory-entry"),
        ("a place beyond the file", |s| put(&mut s.0, GD, &[0, 0, 0, 1]), "vmdk-directory-entry"),
        ("a place in the descriptor", |s| put(&mut s.0, GD, &[2]), "vmdk-directory-entry"),
        ("the redundant one is zeros", |s| s.set(s.directory(RGD, 0), 0), "vmdk-redundant-directory-entry"),
        ("it has an entry beyond the file", |s| s.set(s.directory(RGD, 0), 1 << 30), "vmdk-redundant-directory-entry"),
        ("it has a place beyond the file", |s| put(&mut s.0, RGD, &[0, 0, 0, 1]), "vmdk-redundant-directory-entry"),
    ];
    for (name, harm, id) in cases {
        let mut sparse = Sparse::new();
        harm(&mut sparse);
        sparse.expect(name, &[id], true, Some(&whole));
    }
}

#[test]
fn tables_that_lie_in_each_other_are_told_apart_by_their_copies() {
    let whole = content(&Sparse::of_many_tables());
    let mut sparse = Sparse::of_many_tables();
    let table = sparse.word(sparse.directory(GD, 2));
    sparse.set(sparse.directory(GD, 1), table);
    sparse.expect("one table for two", &["vmdk-directory-entry"], true, Some(&whole));
}

#[test]
fn a_table_that_one_directory_alone_has_is_in_both_again() {
    let whole = content(&Sparse::of_many_tables());
    for (field, id) in [(GD, "vmdk-directory-entry"), (RGD, "vmdk-redundant-directory-entry")] {
        let mut sparse = Sparse::of_many_tables();
        sparse.set(sparse.directory(field, 1), 0);
        sparse.expect(id, &[id], true, Some(&whole));
    }
}

#[test]
fn entries_that_cannot_be_right_come_from_the_other_table() {
    let whole = content(&Sparse::new());
    for (field, id) in [(GD, "vmdk-table-entry"), (RGD, "vmdk-redundant-table-entry")] {
        let other = Sparse::new();
        let shared = other.word(other.entry(GD, 0));
        for wrong in [1 << 30, 3, shared, shared + 3] {
            let mut sparse = Sparse::new();
            sparse.set(sparse.entry(field, 4), wrong);
            sparse.expect(&format!("{wrong} at {field}"), &[id], true, Some(&whole));
        }
    }
    let mut sparse = Sparse::new();
    sparse.set(sparse.entry(GD, 4), 1 << 30);
    sparse.set(sparse.entry(RGD, 4), 1 << 29);
    sparse.expect("both", &["vmdk-table-entry"], false, None);
}

#[test]
fn entries_that_both_could_be_right_follow_the_first_table_only_after_a_crash() {
    let whole = content(&Sparse::new());
    let mut sparse = Sparse::new();
    sparse.set(sparse.entry(RGD, 4), 0);
    sparse.expect("the copy has nothing", &["vmdk-tables-differ"], true, Some(&whole));

    let mut sparse = Sparse::new();
    sparse.set(sparse.entry(GD, 4), 0);
    let (mut unclean, shown) = (Sparse(sparse.0.clone()), content(&sparse));
    sparse.expect("the copy alone has it", &["vmdk-tables-differ"], false, None);
    unclean.unclean();
    unclean.expect("after a crash", &["vmdk-tables-differ", "vmdk-unclean"], true, Some(&shown));
}

#[test]
fn grains_that_cannot_be_there_are_told_and_left() {
    let other = Sparse::new();
    let shared = other.word(other.entry(GD, 0));
    for (wrong, id) in
        [(1 << 30, "vmdk-grain-outside"), (3, "vmdk-grain-in-metadata"), (shared + 1, "vmdk-grain-shared")]
    {
        let mut sparse = Sparse::new();
        sparse.set_both(4, wrong);
        sparse.expect(id, &[id], false, None);
    }
    let mut sparse = Sparse::new();
    put(&mut sparse.0, GD, &[0, 0, 0, 1]);
    put(&mut sparse.0, RGD, &[0, 0, 0, 1]);
    sparse.expect("no directory", &["vmdk-directory-outside"], false, None);
}

#[test]
fn leaks_are_given_back_and_a_crash_is_forgotten() {
    let whole = content(&Sparse::new());
    for padding in [0, 8192] {
        let mut sparse = Sparse::new();
        sparse.0.extend([0xaa; 8192]);
        sparse.0.extend(vec![0; padding]);
        sparse.expect("a grain of nobody", &["vmdk-leak"], true, Some(&whole));
    }
    let mut sparse = Sparse::new();
    sparse.unclean();
    sparse.expect("a crash", &["vmdk-unclean"], true, Some(&whole));
    // Where leaks alone are to be mended, nothing else is.
    let mut sparse = Sparse::new();
    sparse.0.extend([0xaa; 8192]);
    sparse.unclean();
    let image = Made::of(vec![("disk.vmdk".to_owned(), sparse.0)]);
    let found = check_repair(&image.edited(), Repair::Leaks, 3);
    assert_eq!((found.fixed(Severity::Leak), found.fixed(Severity::Warning)), (1, 0));
    assert_eq!(found.open(Severity::Warning), 1);
}

#[test]
fn a_text_transfer_is_seen() {
    let mut sparse = Sparse::new();
    put(&mut sparse.0, 73, b"\r\n \r");
    sparse.expect("newlines", &["vmdk-newlines"], false, None);
}

#[test]
fn a_header_that_was_resized_is_followed_by_its_line() {
    let mut sparse = Sparse::new();
    put(&mut sparse.0, 12, &180_u64.to_le_bytes());
    let mut unclean = Sparse(sparse.0.clone());
    sparse.expect("closed", &["vmdk-capacity-differs"], false, None);
    unclean.unclean();
    let shown = content(&unclean);
    assert_eq!(shown.len(), 180 * 512);
    unclean.expect("not closed", &["vmdk-capacity-differs", "vmdk-unclean"], true, Some(&shown));
}

/// Place of `gdOffset` in the header.
const GD: usize = 56;
/// Place of `rgdOffset`.
const RGD: usize = 48;

#[test]
fn an_extent_that_opens_only_because_it_was_not_closed_is_not_closed() {
    let mut sparse = Sparse::new();
    put(&mut sparse.0, 12, &180_000_u64.to_le_bytes());
    sparse.unclean();
    // A descriptor without a comment or a byte to spare.
    let text = format!(
        "#\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\nRW 203 SPARSE \"x\"\nk={}",
        "v".repeat(2000)
    );
    sparse.0[512..512 * 21].fill(0);
    put(&mut sparse.0, 512, text.as_bytes());
    let image = Made::of(vec![("disk.vmdk".to_owned(), sparse.0)]);
    let found = check_repair(&image.edited(), Repair::All, 1);
    assert!(found.open(Severity::Warning) == 1 && found.open(Severity::Corruption) == 1, "{:?}", found.kept());
    let (files, _) = files(&image.edited());
    image.edited().check(&files, Some(Repair::All)).unwrap();
    assert!(files.open(&imgfmt_vmdk::Vmdk, "disk.vmdk").is_ok());
}

#[test]
fn a_directory_that_readers_take_for_want_of_a_better_one_is_not_forgotten() {
    let mut sparse = Sparse::new();
    let at = sparse.directory(GD, 0);
    sparse.set(at, 0);
    // The descriptor is said to reach over the redundant directory.
    let redundant = sparse.long(RGD);
    put(&mut sparse.0, DESCRIPTOR_SIZE, &redundant.to_le_bytes());
    let before = content(&sparse);
    assert!(before.iter().any(|&byte| byte != 0));
    sparse.expect("overlapped", &["vmdk-redundant-directory-entry"], false, Some(&before));
}

#[test]
fn directories_in_each_others_place_are_left_alone() {
    let mut sparse = Sparse::new();
    // A disk whose directory takes two sectors, the second of which is the first of the redundant one.
    let grain = sparse.long(GRAIN_SIZE);
    put(&mut sparse.0, CAPACITY, &(grain * 512 * 200).to_le_bytes());
    let directory = sparse.long(GD);
    put(&mut sparse.0, RGD, &(directory + 1).to_le_bytes());
    // Its first entry, which is one of the other's, too, leads nowhere.
    let lost = sparse.directory(RGD, 0);
    sparse.set(lost, 1 << 30);
    let image = Made::of(vec![("disk.vmdk".to_owned(), sparse.0.clone())]);
    let edited = image.edited();
    let (files, name) = files(&edited);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (found, _) = edited.check(&files, Some(Repair::All)).unwrap();
        ids.push(found.kept().iter().filter(|f| f.id.contains("director") && !f.fixed).count());
        assert!(found.kept().iter().any(|finding| finding.id == "vmdk-directories-overlap"), "{:?}", found.kept());
        assert!(found.kept().iter().all(|f| !(f.fixed && f.id.contains("director"))), "{:?}", found.kept());
    }
    assert_eq!(ids[0], ids[1]);
    let reach = usize::try_from((directory + 3) * 512).unwrap();
    let mut now = vec![0; reach];
    files.medium(name.as_ref()).unwrap().read_at(&mut now, 0).unwrap();
    let start = usize::try_from(directory * 512).unwrap();
    assert!(now[start..] == sparse.0[start..reach]);
}

/// The fields of the header that have the sectors of the disk, and of a grain.
const CAPACITY: usize = 12;
const GRAIN_SIZE: usize = 20;
/// The field of the header that has the sectors of the descriptor.
const DESCRIPTOR_SIZE: usize = 36;
