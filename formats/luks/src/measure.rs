//! How large a container is: its header, and the disk in whole sectors. No key is made for that.

use imgfmt_core::{BitmapInfo, Error, Measure, Options, Result};
use imgfmt_crypt::{LuksSettings, SECTOR_LEN};

use crate::Luks;
use crate::options::CREATE;

impl Measure for Luks {
    fn unit(&self, _options: &Options) -> Result<Option<u64>> {
        Ok(Some(SECTOR_LEN as u64))
    }

    fn fully_allocated(&self, size: u64, options: &Options) -> Result<u64> {
        options.check(CREATE)?;
        let header_len = LuksSettings::parse(options, "")?.header_len();
        let end = size.checked_next_multiple_of(SECTOR_LEN as u64).and_then(|size| size.checked_add(header_len));
        end.ok_or_else(|| Error::invalid(format!("a disk of {size} bytes is too large")))
    }

    fn bitmaps(&self, _size: u64, _options: &Options, _bitmaps: &[BitmapInfo]) -> Result<u64> {
        Err(Error::invalid("LUKS containers cannot carry bitmaps"))
    }
}
