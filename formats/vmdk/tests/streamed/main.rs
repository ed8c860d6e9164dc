//! Reading in one pass: the same disk as from a file, or the reason why not; never another disk.

#[cfg(test)]
mod testdata;

use std::io::{Cursor, Read};
use std::sync::Arc;

use imgfmt_core::codec::Decoder;
use imgfmt_core::conformance::{Disk, Fill, Kit, Variant, disks, write};
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    CreateRequest, DenyAll, Error, ErrorKind, Format, ImageStream, Limits, MemoryTarget, OpenContext, Options, Result,
    StreamForm, Streamed, Target,
};
use imgfmt_vmdk::Vmdk;
use proptest::prelude::any;
use proptest::proptest;
use proptest::test_runner::Config;

/// What a pipe that brings `bytes`, a few at a time, is read as.
fn stream(bytes: &[u8]) -> Result<Streamed<Box<dyn ImageStream>>> {
    let input = Box::new(Dribble(Cursor::new(bytes.to_vec())));
    Vmdk.stream(input, &OpenContext::new(&Limits::default(), &DenyAll))
}

/// A reader that brings less than it is asked for.
struct Dribble(Cursor<Vec<u8>>);

impl Read for Dribble {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(700);
        self.0.read(&mut buf[..len])
    }
}

/// The disk in `bytes`, read in one pass.
fn read(bytes: &[u8]) -> Result<Vec<u8>> {
    match stream(bytes)? {
        Streamed::OnePass(mut stream) => collect(stream.as_mut()),
        Streamed::NeedsSeek { reason, .. } => Err(Error::invalid(reason)),
    }
}

/// All that `stream` hands out.
fn collect(stream: &mut dyn ImageStream) -> Result<Vec<u8>> {
    let size = usize::try_from(stream.size().unwrap_or(0)).unwrap_or(0);
    let mut disk = vec![0; size];
    let (mut bytes, mut plain, mut decoder) = (Vec::new(), vec![0; 4 << 20], Decoder::default());
    while let Some(part) = stream.next_part(&mut bytes, 1 << 20)? {
        let StreamForm::Encoded { codec, unit, body } = part.form else { return Err(Error::invalid("no grain")) };
        let (start, len) = (usize::try_from(part.start).unwrap_or(0), usize::try_from(part.len).unwrap_or(0));
        let decoded = decoder.decode(codec, &bytes[body], &mut plain[..unit as usize]);
        if !decoded.as_ref().is_ok_and(|&decoded| decoded >= len) {
            return Err(Error::malformed(format!("a grain decodes to {decoded:?}")));
        }
        disk[start..start + len].copy_from_slice(&plain[..len]);
        bytes.clear();
    }
    Ok(disk)
}

/// `disk` as a stream.
fn written(disk: &Disk, options: &str) -> Vec<u8> {
    let kit = Kit { format: &Vmdk, samples: None, variants: &[], size_is_stored: true };
    write(&kit, &Variant::new(&format!("subformat=streamOptimized,cid=5{options}")), &disk.image(), 2)
}

/// A disk whose grains are in two of three tables.
fn sample() -> Disk {
    Disk::new("sample", 9 << 20, &[(10_000..100_000, Fill::Text), ((8 << 20) + 5..(8 << 20) + 9000, Fill::Noise)])
}

#[test]
fn what_is_written_as_a_stream_is_read_as_one() {
    for disk in disks().iter().filter(|disk| !disk.bytes.is_empty()) {
        for options in ["", ",grain_size=8k"] {
            let mut expected = disk.bytes.clone();
            expected.resize(expected.len().next_multiple_of(512), 0);
            assert!(read(&written(disk, options)).unwrap() == expected, "{}, {options}", disk.name);
        }
    }
}

#[test]
fn the_engine_takes_a_stream_to_any_kind() {
    let disk = sample();
    let file = written(&disk, "");
    for options in ["cid=5,subformat=streamOptimized", "cid=5,zeroed_grain=on"] {
        let Streamed::OnePass(mut stream) = stream(&file).unwrap() else { panic!("it is a stream") };
        let target = Arc::new(MemoryTarget::new());
        let options = Options::parse(options).unwrap();
        let request = CreateRequest::new(disk.bytes.len() as u64, &options);
        let writer = Vmdk.create(Arc::clone(&target) as Arc<dyn Target>, &request).unwrap();
        Convert::default().run_stream(stream.as_mut(), writer).unwrap();
        let mut files = imgfmt_core::conformance::Files::default();
        files.add("disk.vmdk", target.to_vec());
        let image = files.open(&Vmdk, "disk.vmdk").unwrap();
        assert!(imgfmt_core::conformance::read_all(&image) == disk.bytes);
        if options.get("subformat").is_some() {
            assert!(target.to_vec() == file, "grains that are passed on give the same file");
        }
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_an_error() {
    let disk = sample();
    let file = written(&disk, ",grain_size=8k");
    for len in (0..file.len()).step_by(97).chain(file.len() - 1100..file.len()) {
        match read(&file[..len]) {
            // The end-of-stream marker may be missing, as in a file.
            Ok(read) => assert!(len >= file.len() - 512 && read == disk.bytes, "cut to {len}"),
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::OutOfBounds | ErrorKind::Malformed)
                    || (error.kind() == ErrorKind::Invalid && len < 512),
                "cut to {len}: {error}"
            ),
        }
    }
}

#[test]
fn what_stands_behind_the_grains_has_to_agree_with_them() {
    let disk = sample();
    let file = written(&disk, ",grain_size=8k");
    let sector_of = |kind: u8| file.chunks(512).position(|sector| sector[8..13] == [0, 0, 0, 0, kind]).unwrap() * 512;
    let footer = file.len() - 1024;
    let table = sector_of(1);
    let slot = file[table + 512..].iter().position(|&byte| byte != 0).unwrap();
    for (at, what) in [
        (table, "the length of a table"),
        (table + 8 + 4, "the type of a marker"),
        (table + 512 + slot, "a table's entry"),
        (table + 512, "an entry for a grain that is not there"),
        (sector_of(2), "the length of the directory"),
        (sector_of(2) + 512, "a directory's entry"),
        (sector_of(2) + 512 + 4, "a directory's entry for a table that is not there"),
        (footer + 12, "the capacity in the footer"),
        (footer + 56, "gdOffset in the footer"),
        (footer - 512 + 12, "the type of the marker before the footer"),
        (file.len() - 1, "what follows the footer"),
        (65_536, "the first grain's place"),
    ] {
        let mut damaged = file.clone();
        damaged[at] ^= 0x81;
        let error = read(&damaged).map(|disk| disk.len()).expect_err(what);
        assert!(matches!(error.kind(), ErrorKind::Malformed | ErrorKind::OutOfBounds), "{what}: {error}");
    }
}

#[test]
fn grains_out_of_order_are_not_for_a_pipe() {
    let disk = sample();
    let file = written(&disk, ",grain_size=8k");
    // The first two grains are text, and take as many sectors each as their sizes say.
    let len =
        |at: usize| (12 + u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap()) as usize).next_multiple_of(512);
    let (first, second) = (65_536, 65_536 + len(65_536));
    let end = second + len(second);
    let mut swapped = file.clone();
    swapped[first..end].copy_from_slice(&[&file[second..end], &file[first..second]].concat());
    let error = read(&swapped).map(|disk| disk.len()).unwrap_err();
    assert_eq!((error.kind(), error.format()), (ErrorKind::Unsupported, Some("vmdk")));
}

#[test]
fn what_is_no_stream_comes_back_whole() {
    let kit = Kit { format: &Vmdk, samples: None, variants: &[], size_is_stored: true };
    let sparse = write(&kit, &Variant::new("cid=1"), &sample().image(), 1);
    let child = {
        let text = String::from_utf8_lossy(&written(&sample(), "")[512..1536]).into_owned();
        let text = text
            .replace("parentCID=ffffffff", "parentCID=00000001")
            .replace("\n\n# Extent", "\nparentFileNameHint=\"base.vmdk\"\n\n# Extent");
        let mut file = written(&sample(), "");
        file[512..512 + text.len()].copy_from_slice(text.as_bytes());
        file
    };
    for (bytes, why) in [
        (b"# Disk DescriptorFile\nversion=1\n".to_vec(), "other files"),
        (Vec::new(), "other files"),
        (b"COWD".to_vec(), "ESX"),
        (sparse[..300].to_vec(), "cut short"),
        (sparse, "only a stream-optimised"),
        (child, "another image"),
    ] {
        let Streamed::NeedsSeek { mut input, reason } = stream(&bytes).unwrap() else { panic!("{why}") };
        assert!(reason.contains(why), "{reason}");
        let mut back = Vec::new();
        input.read_to_end(&mut back).unwrap();
        assert!(back == bytes, "{why}: the bytes that were looked at are lost");
    }
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn damage_is_an_error_or_makes_no_difference(
        places in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        early in any::<bool>(),
    ) {
        let disk = sample();
        let mut file = written(&disk, ",grain_size=8k");
        if early {
            // The directory has a fixed place, as other writers have it.
            let gd: [u8; 8] = file[file.len() - 1024 + 56..][..8].try_into().unwrap();
            file[56..64].copy_from_slice(&gd);
        }
        let sectors = file.len() / 512;
        for (index, (place, value)) in places.into_iter().enumerate() {
            // Some of it where there are many bytes, some where they are markers, headers and tables.
            let at = if index % 2 == 0 { place.index(file.len()) } else { place.index(sectors) * 512 + usize::from(value % 80) };
            file[at] ^= value;
        }
        match read(&file) {
            // The descriptor may have come to say that the disk is a little smaller.
            Ok(found) => assert!(found[..] == disk.bytes[..found.len()], "another disk"),
            Err(error) => assert_ne!(error.kind(), ErrorKind::Io, "{error}"),
        }
    }
}

#[test]
fn a_table_that_many_entries_share_is_held_once() {
    // 4 MiB of directory, every entry of which is the one table, of 16 KiB, behind it.
    let (entries, table_at) = (1_u64 << 20, 1 + (8 << 10));
    let mut file = b"KDMV".to_vec();
    for word in [3_u32, 0x3_0001] {
        file.extend(word.to_le_bytes());
    }
    for field in [entries * 4096 * 8, 8, 0, 0] {
        file.extend(field.to_le_bytes());
    }
    file.extend(4096_u32.to_le_bytes());
    for field in [0_u64, 1, 128] {
        file.extend(field.to_le_bytes());
    }
    file.extend([0, b'\n', b' ', b'\r', b'\n', 1, 0]);
    file.resize(512, 0);
    file.extend((0..entries).flat_map(|_| u32::to_le_bytes(table_at)));
    file.resize(file.len() + (16 << 10), 0);
    let before = peak_memory();
    let opened = Vmdk.stream(Box::new(Cursor::new(file)), &OpenContext::new(&Limits::default(), &DenyAll));
    let Streamed::OnePass(mut stream) = opened.unwrap() else { panic!("its grains, none, are in order") };
    assert_eq!(stream.next_part(&mut Vec::new(), 1 << 20).unwrap(), None);
    assert!(peak_memory() - before < 256 << 10);
}

/// The most memory that this process has held, in KiB; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
