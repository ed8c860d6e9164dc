//! Any disk is written as a Parallels image, and reads back.
#![no_main]

libfuzzer_sys::fuzz_target!(|writing: imgfmt_fuzz::Writing| writing.check_among(&imgfmt_parallels::Parallels, CHOICES));

/// Options of Parallels images.
const CHOICES: &[&[&str]] = &[&["", "cluster_size=512", "cluster_size=3000", "cluster_size=64k"]];
