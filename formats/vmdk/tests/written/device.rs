//! A target that was in use before, such as a device: nothing of what was there shows.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};

use imgfmt_core::conformance::{Files, check_image, disks};
use imgfmt_core::convert::Convert;
use imgfmt_core::{CreateRequest, Format, Options, Result, Target};
use imgfmt_vmdk::Vmdk;

/// A device full of old bytes, whose length stays.
#[derive(Debug)]
struct Device(Mutex<Vec<u8>>);

impl Target for Device {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.0.lock().unwrap()[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        assert!(usize::try_from(len).unwrap() <= self.0.lock().unwrap().len());
        Ok(())
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.0.lock().unwrap()[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].fill(0);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        false
    }
}

#[test]
fn old_bytes_do_not_show() {
    for disk in disks().iter().filter(|disk| !disk.bytes.is_empty()) {
        for options in ["cid=1", "grain_size=2M"] {
            let options = Options::parse(options).unwrap();
            let device = Arc::new(Device(Mutex::new(vec![0xee; 50 << 20])));
            let request =
                CreateRequest { target_is_zero: false, ..CreateRequest::new(disk.bytes.len() as u64, &options) };
            let writer = Vmdk.create(Arc::clone(&device) as Arc<dyn Target>, &request).unwrap();
            Convert::default().run(&disk.image(), writer).unwrap();
            let mut files = Files::default();
            files.add("disk.vmdk", std::mem::take(&mut device.0.lock().unwrap()));
            let mut expected = disk.bytes.clone();
            expected.resize(expected.len().next_multiple_of(512), 0);
            check_image(&files.open(&Vmdk, "disk.vmdk").unwrap(), Some(&expected), disk.name);
        }
    }
}
