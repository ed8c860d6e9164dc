//! What others are to read: images of the test data, and layers of which some parts are the parent's.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{
    Chain, Description, Encoded, ExtentKind, ExtentSink, Image, ImageExt, Result, Storage, read::through_map,
};

/// The bytes of a packed image of the test data.
pub(crate) fn unpack(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vhdx").join(name);
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A disk of stripes: what is not `top`'s is `below`'s.
pub(crate) fn striped(top: Chain, below: Chain) -> Chain {
    let sieve = Sieve { sources: top.sources().to_vec(), top };
    Chain::new(vec![Box::new(sieve), Box::new(below)]).unwrap()
}

/// An image of which some stripes are left to the parent.
struct Sieve {
    /// The image.
    top: Chain,
    /// Its sources.
    sources: Vec<Arc<dyn Storage>>,
}

/// Ends of stripes, in units of 64 KiB, and whether they are the image's own: parts of blocks of 2 MiB, a block, and
/// none of one.
const STRIPES: [(u64, bool); 7] =
    [(3, true), (10, false), (31, true), (40, false), (60, true), (64, false), (96, true)];

impl Image for Sieve {
    fn size(&self) -> u64 {
        self.top.size()
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, _range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        while !sink.is_full() {
            let rest = sink.rest();
            let stripe = STRIPES.iter().find(|(end, _)| end << 16 > rest.start);
            let (end, own) = stripe.map_or((rest.end, false), |(end, own)| (end << 16, *own));
            if !own {
                sink.push(rest.start, end - rest.start, ExtentKind::Parent);
                continue;
            }
            let mut extents = Vec::new();
            self.top.extents(rest.start..end.min(rest.end), 10, &mut extents)?;
            sink.push(extents[0].start, extents[0].len, extents[0].kind);
        }
        Ok(())
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Ok(0..0)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        through_map(self, buf, offset)
    }

    fn describe(&self) -> Description {
        Description::default()
    }
}
