//! Any layout reads as a byte vector would.

use imgfmt_core::conformance::{Files, Noise, check_image};
use imgfmt_core::{ErrorKind, Format, Image, OpenContext, Options};
use imgfmt_vhd::Vhd;
use proptest::prelude::{any, proptest};

use crate::build::{Footers, footer, layouts};
use crate::config;

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn any_layout_reads_as_a_byte_vector(layout in layouts(), base_len in 0..700usize) {
        let (id, mut below) = ([0x55; 16], vec![0; base_len * 512]);
        Noise(layout.seed).fill(&mut below);
        let (file, guest) = layout.build(id, &below);
        let mut files = Files::default();
        files.add("disk", file);
        files.add("base", [&below[..], &footer(2, below.len() as u64, u64::MAX, id)].concat());
        check_image(&files.open(&Vhd, "disk").unwrap(), Some(&guest), &format!("{layout:?}"));
    }

    #[test]
    fn a_fixed_disk_is_its_bytes(size in 0..5000usize, more in 0..600usize, short in any::<bool>()) {
        let mut file = vec![0; size + more];
        Noise(size as u64 | 1).fill(&mut file);
        let footer = footer(2, size as u64, u64::MAX, [1; 16]);
        let mut files = Files::default();
        let footer = &footer[..if short { 511 } else { 512 }];
        files.add("disk", [&file[..], footer].concat());
        check_image(&files.open(&Vhd, "disk").unwrap(), Some(&file[..size]), "fixed");
    }

    #[test]
    fn the_wrong_parent_is_none(layout in layouts()) {
        let mut files = Files::default();
        files.add("disk", crate::build::Layout { differencing: true, ..layout }.build([0x55; 16], &[]).0);
        files.add("base", footer(2, 0, u64::MAX, [0x54; 16]).to_vec());
        let error = files.open(&Vhd, "disk").err().unwrap();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Malformed, Some("unique id")));
    }

    #[test]
    fn what_is_wrong_with_a_footer_is_said(layout in layouts()) {
        let layout = crate::build::Layout { differencing: false, ..layout };
        let (file, guest) = layout.build([0; 16], &[]);
        let mut files = Files::default();
        files.add("disk", file);
        let image = files.open(&Vhd, "disk").unwrap();
        let noted = image.describe().details.contains_key("footer");
        assert_eq!(noted, !matches!(layout.footers, Footers::Whole | Footers::Short));
        assert_eq!(image.size(), guest.len() as u64);
    }
}

#[test]
fn the_options_choose_what_counts() {
    let open = |file: &[u8], options: &str| {
        let (limits, options) = (imgfmt_core::Limits::default(), Options::parse(options).unwrap());
        let context = OpenContext { options: &options, ..OpenContext::new(&limits, &imgfmt_core::DenyAll) };
        let storage = std::sync::Arc::new(imgfmt_core::MemoryStorage::new(file));
        Vhd.open(storage, &context).map(|opened| opened.image.size())
    };
    // 1 cylinder, 4 heads, 17 sectors: 68 sectors.
    let mut file = vec![0; 70 * 512];
    file.extend(footer(2, 70 * 512, u64::MAX, [1; 16]));
    assert_eq!(open(&file, "").unwrap(), 70 * 512);
    assert_eq!(open(&file, "force_size_calc=chs").unwrap(), 68 * 512);
    assert_eq!(open(&file, "footer=start").unwrap_err().kind(), ErrorKind::Malformed);
    file[70 * 512 + 64] ^= 1;
    file.insert(0, 0);
    assert_eq!(open(&file, "").unwrap_err().field_name(), Some("Checksum"));
    assert_eq!(open(&file, "ignore_checksums=on").unwrap(), 70 * 512);
    assert_eq!(open(&file, "ignore_checksums=on,force_size_calc=both").unwrap_err().kind(), ErrorKind::Invalid);
}
