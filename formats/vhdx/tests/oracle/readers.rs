//! Other readers, at arm's length: programs that are run.

use std::path::Path;
use std::process::{Command, Stdio};

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

/// Says that an oracle is missing, or fails where that is not allowed.
fn is_there(there: bool, name: &str) -> bool {
    assert!(there || std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "{name} is not installed");
    if !there {
        eprintln!("skipped: {name} is not installed");
    }
    there
}
