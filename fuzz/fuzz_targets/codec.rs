//! Units go through the codecs and back; streams that nobody wrote do no harm.
#![no_main]

libfuzzer_sys::fuzz_target!(|coding: imgfmt_fuzz::Coding| coding.check());
