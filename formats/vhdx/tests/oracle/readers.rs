//! Other readers, at arm's length: programs that are run.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use imgfmt_core::{
    Chain, Description, Encoded, ExtentKind, ExtentSink, Image, ImageExt, Result, Storage, read::through_map,
};

/// A reader that a Python module has.
pub(crate) struct PythonReader {
    /// What it is called.
    pub(crate) name: &'static str,
    /// The variable that names the Python to run, and the one that is run without it.
    python: (&'static str, &'static str),
    /// What has to be there.
    import: &'static str,
    /// Whether a block of zeros of a child hides the parent's: libvhdi shows the parent's bytes, against § 2.5.1.1.
    pub(crate) sees_zero_blocks: bool,
    /// Reads the file that is the first argument and writes its disk to standard output; the second argument is the parent.
    script: &'static str,
}

/// The readers: libvhdi reads differencing disks that are given their parents, dissect finds them.
pub(crate) const PYTHON_READERS: &[PythonReader] = &[
    PythonReader {
        name: "libvhdi",
        python: ("IMGFMT_PYTHON", "/usr/bin/python3"),
        import: "import pyvhdi",
        sees_zero_blocks: false,
        script: "import sys, pyvhdi
files = []
for name in sys.argv[1:]:
    file = pyvhdi.file()
    file.open(name)
    files.append(file)
for child, parent in zip(files, files[1:]):
    child.set_parent(parent)
sys.stdout.buffer.write(files[0].read_buffer_at_offset(files[0].get_media_size(), 0))",
    },
    PythonReader {
        name: "dissect",
        python: ("IMGFMT_DISSECT_PYTHON", "python3"),
        import: "import dissect.hypervisor.disk.vhdx",
        sees_zero_blocks: true,
        script: "import sys, pathlib
from dissect.hypervisor.disk.vhdx import VHDX
disk = VHDX(pathlib.Path(sys.argv[1]))
sys.stdout.buffer.write(disk.read(disk.size))",
    },
];

/// The disk as `reader` reads it; nothing where that is not installed.
pub(crate) fn read_by(reader: &PythonReader, path: &Path, parent: Option<&Path>) -> Option<Vec<u8>> {
    let python = std::env::var(reader.python.0).unwrap_or_else(|_| reader.python.1.to_owned());
    let probe = Command::new(&python).args(["-c", reader.import]).stderr(Stdio::null()).status();
    if !is_there(probe.is_ok_and(|status| status.success()), reader.name) {
        return None;
    }
    let output = Command::new(&python).args(["-c", reader.script]).arg(path).args(parent).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {}: {said}", reader.name, path.display());
    Some(output.stdout)
}

/// Whether `qemu-img` is there.
pub(crate) fn has_qemu_img() -> bool {
    is_there(Command::new("qemu-img").arg("--version").stdout(Stdio::null()).status().is_ok(), "qemu-img")
}

/// Runs `qemu-img` in `folder`.
pub(crate) fn qemu_img(folder: &Path, args: &[&str]) {
    let output = Command::new("qemu-img").args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The bytes of a packed image of the test data.
pub(crate) fn unpack(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vhdx").join(name);
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Says that an oracle is missing, or fails where that is not allowed.
fn is_there(there: bool, name: &str) -> bool {
    assert!(there || std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "{name} is not installed");
    if !there {
        eprintln!("skipped: {name} is not installed");
    }
    there
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
