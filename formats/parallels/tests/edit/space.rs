//! Space that is given up is used again, and given back.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use imgfmt_core::conformance::Recording;
use imgfmt_core::{DenyAll, Erase, FileMedium, Format, Limits, Locking, OpenContext};
use imgfmt_parallels::Parallels;

use crate::images::{after, edited, faults, files_of, number, places, plain};

#[test]
fn space_that_is_freed_is_used_again_once_that_is_flushed() {
    for is_old in [false, true] {
        let files = files_of(&plain(is_old, 160));
        let recording = Recording::new(&files);
        let len = || recording.now()[0].1.len();
        edited(&files)
            .edit(&recording.files(), &mut |editor| {
                editor.write_at(&vec![1; 160 * 512], 0)?;
                editor.flush()?;
                let full = len();
                for index in 0..20 {
                    editor.erase(index * 4096..(index + 1) * 4096, Erase::Zero)?;
                    editor.flush()?;
                    editor.write_at(&[2; 4096], index * 4096)?;
                }
                assert_eq!(len(), full, "space that was freed is not used again");
                editor.erase(0..4096, Erase::Zero)?;
                editor.write_at(&[3; 4096], 0)?;
                assert_eq!(len(), full + 4096, "space is used again that the medium may not know to be free");
                editor.erase(0..159 * 512, Erase::Zero)?;
                Ok(true)
            })
            .unwrap();
        let file = &recording.now()[0].1;
        assert_eq!(places(file).len(), 1);
        assert_eq!(file.len(), places(file)[0] + 4096);
        assert_eq!(faults(&recording.now()), [""; 0]);
    }
}

#[test]
fn gaps_that_were_there_are_used_first_and_what_they_held_does_not_show() {
    let mut files = files_of(&plain(false, 40));
    let start = number(&files[0].1, 48) * 512;
    // Only the last cluster of the file is left.
    let last = (files[0].1.len() - start) / 4096;
    let kept = start / 4096 + last - 1;
    for index in 0..5 {
        if number(&files[0].1, 64 + 4 * index) != kept {
            files[0].1[64 + 4 * index..68 + 4 * index].fill(0);
        }
    }
    let index = (0..5).find(|index| number(&files[0].1, 64 + 4 * index) == 0).unwrap() as u64;
    let written = after(&files, &mut |editor| editor.write_at(&[7], index * 4096 + 9).map(|()| true));
    let file = &written[0].1;
    assert_eq!(file.len(), files[0].1.len());
    assert_eq!(number(file, 64 + 4 * usize::try_from(index).unwrap()) * 4096, start);
    let mut wanted = [0; 4096];
    wanted[9] = 7;
    assert!(file[start..start + 4096] == wanted);
}

#[test]
fn clusters_that_are_given_up_are_holes_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.hds");
    let mut layout = plain(false, 4096);
    layout.tracks = 128;
    std::fs::write(&path, layout.build()).unwrap();
    let taken = || std::fs::metadata(&path).unwrap().blocks() * 512;
    let limits = Limits::default();
    let edit = Parallels.abilities().edit.unwrap();
    let medium = Arc::new(FileMedium::open(&path, Locking::Write).unwrap());
    let editor = edit.edit(medium, &OpenContext::new(&limits, &DenyAll)).unwrap();
    editor.write_at(&vec![1; 2 << 20], 0).unwrap();
    editor.flush().unwrap();
    let full = taken();
    assert!(full >= 2 << 20);
    editor.erase(0..1 << 20, Erase::Zero).unwrap();
    // In part, too.
    editor.erase((1 << 20) + 4096..(1 << 20) + 36_864, Erase::Zero).unwrap();
    editor.close().unwrap();
    // More holes may take a block to list them.
    let left = taken();
    assert!(left + (1 << 20) + 16_384 <= full, "{left} of {full} bytes");
}
