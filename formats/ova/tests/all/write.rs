//! What is written is an appliance that reads back, the same for any number of threads.

use std::io::Read;
use std::sync::{Arc, Mutex};

use crate::support::members;
use imgfmt_core::conformance::{Disk, Fill, Kit, Variant, write};
use imgfmt_core::target::PipeTarget;
use imgfmt_core::{
    Abilities, CreateRequest, ErrorKind, Form, Format, Head, ImageStream, ImageWriter, MemoryStorage, MemoryTarget,
    OpenContext, Opened, OptionSpec, Options, Order, Piece, Placed, Result, Shape, Storage, Streamed, Target, Wrapper,
};
use imgfmt_ova::{Ova, OvaFormat};

/// A disk that is written front to back, byte for byte, with a word in front that is known at the end.
struct Flat;

impl Format for Flat {
    fn name(&self) -> &'static str {
        "vmdk"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn probe(&self, _head: &Head<'_>) -> Result<Option<&'static str>> {
        Ok(None)
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn open(&self, _storage: Arc<dyn Storage>, _context: &OpenContext<'_>) -> Result<Opened> {
        Err(imgfmt_core::Error::unsupported("only written"))
    }

    fn stream(&self, input: Box<dyn Read + Send>, _: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "only written".to_owned() })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        Some(&[])
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        assert!(target.in_order());
        *SEEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(request.options.clone());
        target.write_at(b"early", request.size)?;
        Ok(Box::new(FlatWriter(target)))
    }

    fn abilities(&self) -> Abilities {
        Abilities::NONE
    }
}

/// The options that the disk was asked for last.
static SEEN: Mutex<Option<Options>> = Mutex::new(None);

/// Writes a [`Flat`] disk.
struct FlatWriter(Arc<dyn Target>);

impl ImageWriter for FlatWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: 512,
            order: Order::Ordered,
            compression: None,
            pads_last: false,
            stores_plain: true,
            zeros_as_data: false,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        if piece.form == Form::Zero {
            self.0.clear(piece.guest..piece.guest + piece.len)?;
        }
        Ok(Placed { host: piece.guest, len: piece.len })
    }

    fn store(&self, _piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        self.0.write_at(bytes, host)
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.0
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// The format under test.
const FORMAT: OvaFormat = OvaFormat { disk: &Flat };
/// What the kit has to know of it.
pub(crate) const KIT: Kit<'_> = Kit { format: &FORMAT, samples: None, variants: &[], size_is_stored: true };

#[test]
fn an_appliance_reads_back_whatever_the_threads() {
    let disk = Disk::new(
        "a bit of all",
        3 << 20,
        &[(1000..300_000, Fill::Text), (400_000..1_500_000, Fill::Noise), (2_000_000..2_100_000, Fill::Zeros)],
    );
    let variant = Variant::new("name=An & 'appliance' <1>,os=ubuntu,memory=2G,cpus=4,adapter=pvscsi");
    let file = write(&KIT, &variant, &disk.image(), 1);
    assert!(write(&KIT, &variant, &disk.image(), 5) == file);

    let found = members(&Ova, &file).unwrap();
    assert_eq!(found[0].0, "An____appliance___1_-disk1.vmdk");
    assert!(found[0].1 == [&disk.bytes[..], b"early"].concat());
    let limits = imgfmt_core::Limits::default();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(file.clone()));
    let contents = Ova.contents(&storage, &OpenContext::new(&limits, &imgfmt_core::DenyAll)).unwrap();
    assert_eq!(contents.members[0].capacity, Some(3 << 20));
    assert_eq!(contents.members[0].len, Some((3 << 20) + 5));
    assert_eq!(contents.details["manifest"], "SHA256");
    let system = &contents.details["virtual-system"];
    assert_eq!(
        (system["name"].as_str(), system["operating-system-id"].as_u64()),
        (Some("An & 'appliance' <1>"), Some(94))
    );
    assert_eq!((system["cpus"].as_u64(), system["memory-bytes"].as_u64()), (Some(4), Some(2 << 30)));

    let names: Vec<_> = tar::Archive::new(&file[..])
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["An____appliance___1_.ovf", "An____appliance___1_-disk1.vmdk", "An____appliance___1_.mf"]);
    assert_eq!(file.len() % 512, 0);
}

#[test]
fn a_changed_byte_is_noticed() {
    let disk = Disk::new("small", 5000, &[(0..5000, Fill::Text)]);
    for options in ["", "manifest=sha1"] {
        let file = write(&KIT, &Variant::new(options), &disk.image(), 1);
        assert!(members(&Ova, &file).is_ok());
        let at = file.windows(64).position(|window| *window == disk.bytes[..64]).unwrap();
        for at in [at, 600] {
            let mut file = file.clone();
            file[at] ^= 0x20;
            assert!(members(&Ova, &file).is_err(), "byte {at}");
        }
    }
}

#[test]
fn a_cut_appliance_is_an_error_or_whole() {
    let disk = Disk::new("small", 3000, &[(0..3000, Fill::Text)]);
    let file = write(&KIT, &Variant::new(""), &disk.image(), 1);
    let found = members(&Ova, &file).unwrap();
    for len in 0..file.len() {
        if let Ok(cut) = members(&Ova, &file[..len]) {
            assert!(cut == found, "{len} bytes read as something else");
        }
    }
}

#[test]
fn options_are_for_the_appliance_or_its_disk() {
    let disk = Disk::new("empty", 1 << 20, &[]);
    let _ = write(&KIT, &Variant::new("adapter=ide,compression_level=9,cid=1234"), &disk.image(), 1);
    let seen = SEEN.lock().unwrap().clone().unwrap();
    let expected = Options::parse("subformat=streamOptimized,adapter_type=ide,compression_level=9,cid=1234").unwrap();
    for name in expected.names() {
        assert_eq!(seen.get(name), expected.get(name), "{name}");
    }
    for wrong in ["subformat=vmfs", "cpus=0", "memory=1k", "os=plan9", "adapter=nvme", "name=", "os=70000"] {
        assert_eq!(create(&CreateRequest::new(512, &Options::parse(wrong).unwrap())), ErrorKind::Invalid, "{wrong}");
    }
}

#[test]
fn what_an_appliance_cannot_be_is_refused() {
    let options = Options::new();
    let request = CreateRequest::new(512, &options);
    assert_eq!(create(&CreateRequest { size_grows: true, ..request }), ErrorKind::Invalid);
    let backing = imgfmt_core::Backing::default();
    assert_eq!(create(&CreateRequest { backing: Some(&backing), ..request }), ErrorKind::Invalid);
    let pipe = Arc::new(PipeTarget::new(Box::new(std::io::sink())));
    let Err(error) = FORMAT.create(pipe, &request) else { panic!("written into a pipe") };
    assert!(error.to_string().contains("pipe"), "{error}");
}

/// The kind of error that a request ends with.
fn create(request: &CreateRequest<'_>) -> ErrorKind {
    match FORMAT.create(Arc::new(MemoryTarget::new()), request) {
        Ok(_) => panic!("not refused"),
        Err(error) => error.kind(),
    }
}
