//! Any disk is written as vmdk with any options, and reads back.
#![no_main]

libfuzzer_sys::fuzz_target!(|writing: imgfmt_fuzz::Writing| writing.check_among(
    &imgfmt_vmdk::Vmdk,
    &[
        &["cid=1"],
        &["", "subformat=streamOptimized"],
        &["", "grain_size=8k", "grain_size=32k", "grain_size=2M"],
        &["", "zeroed_grain=on"],
        &["", "compression_level=9"],
        &["", "adapter_type=pvscsi", "compat6=on"],
    ]
));
