//! A stream is laid out as VMware's own: read here with no more than the specification's markers.

use imgfmt_core::conformance::{Disk, Fill};

use crate::folder::Folder;

/// What a walk from marker to marker meets.
#[derive(Debug, PartialEq, Eq)]
enum Met {
    /// Grains up to something else.
    Grains(usize),
    /// A grain table, directory, footer, or the end, by the type of its marker.
    Metadata(u32),
}

#[test]
fn every_table_follows_its_grains_and_the_directory_the_tables() {
    let folder = Folder::new();
    // Two tables with grains and one without between them: 512 grains of 64 KiB are 32 MiB.
    let runs = [(0..200_000, Fill::Text), ((70 << 20)..(70 << 20) + 70_000, Fill::Noise)];
    let disk = Disk::new("three tables", 71 << 20, &runs);
    folder.write("disk.vmdk", &disk.image(), "subformat=streamOptimized").unwrap();
    let file = std::fs::read(folder.path("disk.vmdk")).unwrap();
    let header = &file[..512];
    assert_eq!((u32_at(header, 4), u32_at(header, 8)), (3, 0x3_0001));
    assert_eq!((u64_at(header, 12), u64_at(header, 20)), ((71 << 20) / 512, 128));
    assert_eq!((u64_at(header, 28), u64_at(header, 36), u32_at(header, 44)), (1, 20, 512));
    assert_eq!((u64_at(header, 48), u64_at(header, 56), u64_at(header, 64)), (0, u64::MAX, 128));
    let (met, places) = walk(&file, 128);
    let expected = [
        Met::Grains(4),
        Met::Metadata(1),
        Met::Grains(2),
        Met::Metadata(1),
        Met::Metadata(2),
        Met::Metadata(3),
        Met::Metadata(0),
    ];
    assert_eq!(met, expected);
    // The directory names the tables; the table in the middle has no grain, and so no place.
    let [first, second, directory, footer, end] = places[..] else { panic!("{places:?}") };
    let entries: Vec<u32> = (0..4).map(|index| u32_at(&file, directory * 512 + 4 * index)).collect();
    assert_eq!(entries, [u32::try_from(first).unwrap(), 0, u32::try_from(second).unwrap(), 0]);
    // The footer is the header, but for the place of the directory; the end is the end of the file.
    let footer = &file[footer * 512..][..512];
    assert_eq!(u64_at(footer, 56), directory as u64);
    assert!(footer[..56] == header[..56] && footer[64..] == header[64..]);
    assert_eq!(file.len(), end * 512);
    assert!(file[(end - 1) * 512..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_grain_that_does_not_shrink_is_a_stream_too() {
    let folder = Folder::new();
    let disk = Disk::new("noise", 200_000, &[(0..200_000, Fill::Noise)]);
    folder.write("disk.vmdk", &disk.image(), "subformat=streamOptimized").unwrap();
    let file = std::fs::read(folder.path("disk.vmdk")).unwrap();
    let size = u32_at(&file, 128 * 512 + 8);
    assert!((65_536..66_000).contains(&size), "{size}");
    // RFC 1950: method 8, and a header that 31 divides.
    let head = &file[128 * 512 + 12..];
    assert_eq!((head[0] & 15, (u32::from(head[0]) * 256 + u32::from(head[1])) % 31), (8, 0));
}

/// Walks from marker to marker; returns what is met, and the first sector behind the marker of each piece of metadata.
fn walk(file: &[u8], first: usize) -> (Vec<Met>, Vec<usize>) {
    let (mut met, mut places) = (vec![], vec![]);
    let (mut at, mut last) = (first * 512, None);
    while at < file.len() {
        let (val, size, kind) = (u64_at(file, at), u32_at(file, at + 8), u32_at(file, at + 12));
        if size > 0 {
            assert!(last < Some(val), "grains ascend");
            last = Some(val);
            at += (12 + size as usize).next_multiple_of(512);
            match met.last_mut() {
                Some(Met::Grains(count)) => *count += 1,
                _ => met.push(Met::Grains(1)),
            }
            continue;
        }
        met.push(Met::Metadata(kind));
        at += 512;
        places.push(at / 512);
        at += usize::try_from(val).unwrap() * 512;
    }
    (met, places)
}

/// A number of 4 bytes.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// A number of 8 bytes.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
