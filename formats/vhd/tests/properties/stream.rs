//! Disks that come out of a pipe.

use std::io::{Cursor, Read};

use imgfmt_core::conformance::Noise;
use imgfmt_core::{
    DenyAll, ErrorKind, Format, ImageStream, Limits, OpenContext, Options, Result, StreamForm, Streamed,
};
use imgfmt_vhd::Vhd;
use proptest::prelude::{any, proptest};

use crate::build::{Footers, Layout, footer, layouts};
use crate::config;
use crate::write::cases;

/// Gives its bytes in pieces of odd lengths.
struct Trickle(Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(self.1);
        self.0.read(&mut buf[..len])
    }
}

/// Starts to read `file` as it arrives.
fn stream(file: &[u8], step: usize, options: &str) -> Result<Streamed<Box<dyn ImageStream>>> {
    let (limits, options) = (Limits::default(), Options::parse(options).unwrap());
    let context = OpenContext { options: &options, ..OpenContext::new(&limits, &DenyAll) };
    Vhd.stream(Box::new(Trickle(Cursor::new(file.to_vec()), step)), &context)
}

/// All that a stream gives, or nothing where it cannot be read in one pass and gave everything back.
fn drain(file: &[u8], step: usize, max: u64) -> Result<Option<Vec<u8>>> {
    let mut stream = match stream(file, step, "")? {
        Streamed::OnePass(stream) => stream,
        Streamed::NeedsSeek { mut input, .. } => {
            let mut all = Vec::new();
            input.read_to_end(&mut all).unwrap();
            assert!(all == file, "bytes are lost");
            return Ok(None);
        }
    };
    let (mut all, mut part) = (Vec::new(), Vec::new());
    while let Some(next) = stream.next_part(&mut part, max)? {
        assert!(next.start >= all.len() as u64 && next.len > 0 && next.len <= max && next.form == StreamForm::Plain);
        assert_eq!(part.len() as u64, next.len);
        all.resize(usize::try_from(next.start).unwrap(), 0);
        all.append(&mut part);
    }
    all.resize(usize::try_from(stream.size().unwrap()).unwrap(), 0);
    assert!(stream.next_part(&mut part, max)?.is_none());
    Ok(Some(all))
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn what_is_written_can_be_read_in_one_pass(case in cases(), step in 1..100_000usize, max in 1..2_000_000u64) {
        let (file, guest) = case.written();
        assert!(drain(&file, step.max(3000), max.max(1000)).unwrap().unwrap() == guest);
    }

    #[test]
    fn any_layout_is_read_or_given_back(layout in layouts(), step in 1..100_000usize, max in 1..400_000u64) {
        let layout = Layout { differencing: false, ..layout };
        let (file, guest) = layout.build([0; 16], &[]);
        match (layout.footers, drain(&file, step.max(600), max.max(100))) {
            (_, Ok(None)) => {}
            (Footers::Whole | Footers::Short, read) => assert!(read.unwrap().unwrap() == guest),
            (Footers::FrontDamaged | Footers::SumsWrong, _) => panic!("a damaged footer is not believed"),
            (_, read) => assert!(read.is_err()),
        }
    }

    #[test]
    fn a_stream_that_is_cut_is_an_error(layout in layouts(), at in any::<proptest::sample::Index>()) {
        let layout = Layout { differencing: false, footers: Footers::Whole, ..layout };
        let (file, _) = layout.build([0; 16], &[]);
        let cut = drain(&file[..at.index(file.len())], 9999, 9999);
        assert!(cut.is_err() || cut.is_ok_and(|read| read.is_none()));
    }

    #[test]
    fn a_fixed_disk_is_what_comes_before_its_footer(size in 0..5000usize, short in any::<bool>(), step in 1..6000usize, max in 1..3000u64) {
        let mut file = vec![0; size];
        Noise(size as u64 | 1).fill(&mut file);
        let guest = file.clone();
        file.extend(&footer(2, size as u64, u64::MAX, [1; 16])[..if short { 511 } else { 512 }]);
        if size == 0 {
            assert_eq!(drain(&file, step, max).unwrap(), None, "it starts with its footer");
        } else {
            assert!(drain(&file, step, max).unwrap().unwrap() == guest);
            assert_eq!(drain(&file[..file.len() - 2], step, max).unwrap_err().kind(), ErrorKind::OutOfBounds);
            if size > 1 {
                assert_eq!(drain(&file[1..], step, max).unwrap_err().kind(), ErrorKind::OutOfBounds);
            }
            file.insert(0, 7);
            assert_eq!(drain(&file, step, max).unwrap_err().kind(), ErrorKind::Unsupported);
        }
    }
}

#[test]
fn what_needs_a_file_says_so() {
    let child =
        Layout { size: 5000, block_bits: 10, differencing: true, seed: 9, footers: Footers::Whole, cut_last: false };
    let (file, _) = child.build([5; 16], &[]);
    assert!(matches!(stream(&file, 4096, "").unwrap(), Streamed::NeedsSeek { .. }));
    let mut front_lost = Layout { differencing: false, ..child }.build([5; 16], &[]).0;
    front_lost[0] = 0;
    assert_eq!(drain(&front_lost, 4096, 4096).unwrap_err().kind(), ErrorKind::Unsupported);
}
