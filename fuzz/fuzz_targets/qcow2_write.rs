//! Any disk is written as qcow2 with any options, and reads back.
#![no_main]

libfuzzer_sys::fuzz_target!(|writing: imgfmt_fuzz::Writing| writing.check(&imgfmt_qcow2::Qcow2));
