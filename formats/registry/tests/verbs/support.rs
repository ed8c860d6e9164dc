//! What the tests share: folders with disks, kinds of images, and the other program.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use imgfmt::conformance::Noise;
use imgfmt::{
    Abilities, Access, Beneath, CheckRequest, ConvertRequest, CreateImage, FORMATS, Image, Options, ParentName,
    Severity, Source,
};

/// What a test returns.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// A kind of image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Its format.
    pub(crate) format: &'static str,
    /// Options of a new image.
    pub(crate) options: &'static str,
}

/// Kinds of images that can be written.
pub(crate) const KINDS: &[Kind] = &[
    Kind { format: "raw", options: "" },
    Kind { format: "qcow2", options: "" },
    Kind { format: "qcow2", options: "cluster_size=4k,compat=0.10" },
    Kind { format: "qcow2", options: "extended_l2=on" },
    Kind { format: "vmdk", options: "" },
    Kind { format: "vmdk", options: "subformat=twoGbMaxExtentSparse" },
    Kind { format: "vmdk", options: "subformat=monolithicFlat" },
    Kind { format: "vhd", options: "block_size=512k" },
    Kind { format: "vhd", options: "subformat=fixed" },
    Kind { format: "vhdx", options: "block_size=1M" },
    Kind { format: "vdi", options: "" },
    Kind { format: "parallels", options: "" },
];

impl Kind {
    /// What the format can.
    pub(crate) fn abilities(&self) -> Abilities {
        let format = FORMATS.iter().find(|format| format.name() == self.format);
        format.map_or(Abilities::NONE, |format| format.abilities())
    }

    /// Kinds whose images can be edited.
    pub(crate) fn edited() -> impl Iterator<Item = Self> {
        KINDS.iter().copied().filter(|kind| kind.abilities().edit.is_some())
    }

    /// Kinds whose images can be edited, and can build on another one.
    pub(crate) fn layered() -> impl Iterator<Item = Self> {
        Self::edited().filter(|kind| {
            let flat = kind.options.contains("fixed") || kind.options.contains("Flat");
            kind.abilities().reparent.is_some() && !flat
        })
    }

    /// An image of this kind of `bytes`, called `name`.
    pub(crate) fn make(&self, folder: &Folder, name: &str, bytes: &[u8]) -> Outcome {
        folder.raw("source.raw", bytes)?;
        let mut request = ConvertRequest::new(folder.path("source.raw"), folder.path(name), self.format);
        request.sources[0].format = Some("raw".into());
        request.options = Options::parse(self.options)?;
        imgfmt::convert(&request).map_err(|e| whole(&e))?;
        Ok(())
    }

    /// An image of this kind on `parent`, with `size` bytes, that stores nothing.
    pub(crate) fn make_on(&self, folder: &Folder, name: &str, parent: &str, size: Option<u64>) -> Outcome {
        let mut request = CreateImage::new(folder.path(name), self.format, 0);
        request.size = size;
        request.options = Options::parse(self.options)?;
        request.backing = Some(ParentName { name: parent.into(), format: Some(self.format.into()) });
        request.access = folder.access();
        imgfmt::create(&request).map_err(|e| whole(&e))?;
        Ok(())
    }

    /// The image called `name`, named as one of this kind.
    pub(crate) fn source(&self, folder: &Folder, name: &str) -> Source {
        Source { path: folder.path(name), format: Some(self.format.into()) }
    }

    /// Writes `bytes` at `offset` of the image called `name`.
    pub(crate) fn write(&self, folder: &Folder, name: &str, offset: u64, bytes: &[u8]) -> Outcome {
        let medium = imgfmt::FileMedium::open(&folder.path(name), imgfmt::Locking::Write)?;
        let edit = self.abilities().edit.ok_or("the format edits")?;
        let limits = imgfmt::Limits::default();
        let path = folder.path(name);
        let context = imgfmt::OpenContext { path: Some(&path), ..imgfmt::OpenContext::new(&limits, &folder.gate) };
        let editor = edit.edit(std::sync::Arc::new(medium), &context)?;
        editor.write_at(bytes, offset).map_err(|e| whole(&e))?;
        editor.close()?;
        Ok(())
    }
}

/// Held by the test that runs.
static ALONE: Mutex<()> = Mutex::new(());

/// A folder for the files of a test.
pub(crate) struct Folder {
    /// The folder.
    dir: tempfile::TempDir,
    /// Admits all that is in it.
    gate: Beneath,
    /// Tests run one after the other: a program that another test starts holds, until it runs, the locks of this one's files.
    _alone: MutexGuard<'static, ()>,
}

impl Folder {
    /// An empty folder.
    pub(crate) fn new() -> Outcome<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir()?;
        let mut gate = Beneath::new();
        gate.allow(dir.path())?;
        Ok(Self { dir, gate, _alone: alone })
    }

    /// Where the file called `name` is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> Outcome<Vec<String>> {
        let entries = self.dir.path().read_dir()?;
        let mut names =
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Outcome<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// A raw image, with a hole where the bytes are zero.
    pub(crate) fn raw(&self, name: &str, bytes: &[u8]) -> Outcome {
        Ok(std::fs::write(self.path(name), bytes)?)
    }

    /// Images may open what is in the folder.
    pub(crate) fn access(&self) -> Access<'_> {
        Access { gate: &self.gate, ..Access::default() }
    }

    /// The guest bytes of the image called `name`.
    pub(crate) fn read(&self, name: &str, format: &str) -> Outcome<Vec<u8>> {
        let disk = imgfmt::open(&self.path(name), Some(format), &self.access()).map_err(|e| whole(&e))?;
        let mut bytes = vec![0; usize::try_from(disk.size())?];
        disk.read_at(&mut bytes, 0).map_err(|e| whole(&e))?;
        Ok(bytes)
    }

    /// Checks that the image called `name` holds `bytes`, and is whole, by our judgement and the other program's.
    pub(crate) fn assert_holds(&self, name: &str, kind: Kind, bytes: &[u8], what: &str) -> Outcome {
        let read = self.read(name, kind.format)?;
        assert_eq!(read.len(), bytes.len(), "{kind:?}: the size {what}");
        let first = read.iter().zip(bytes).position(|(a, b)| a != b);
        assert_eq!(first, None, "{kind:?}: the first byte that differs {what}");
        self.assert_whole(name, kind, what)?;
        self.assert_other_reads(name, kind, bytes, what)
    }

    /// Checks that nothing is wrong with the image called `name`.
    pub(crate) fn assert_whole(&self, name: &str, kind: Kind, what: &str) -> Outcome {
        let mut request = CheckRequest::new(self.path(name));
        request.source.format = Some(kind.format.into());
        request.access = self.access();
        let report = imgfmt::check(&request).map_err(|e| whole(&e))?;
        let wrong = [Severity::Leak, Severity::Unchecked, Severity::Corruption];
        let found = report.findings.kept();
        assert!(wrong.iter().all(|severity| report.findings.open(*severity) == 0), "{kind:?} {what}: {found:?}");
        if ["qcow2", "vdi", "parallels"].contains(&kind.format) && has_qemu_img() {
            qemu_img(self, &["check", "-f", kind.format, name])?;
        }
        Ok(())
    }

    /// Checks that the other program reads `bytes`, where it can.
    fn assert_other_reads(&self, name: &str, kind: Kind, bytes: &[u8], what: &str) -> Outcome {
        // It takes no differencing images of Hyper-V for what they are.
        let layered = imgfmt::open_layer(&self.path(name), Some(kind.format), &self.access())?.0.parent.is_some();
        if !has_qemu_img() || (layered && kind.format.starts_with("vhd")) {
            return Ok(());
        }
        let format = if kind.format == "vhd" { "vpc" } else { kind.format };
        self.raw("wanted.raw", bytes)?;
        let compared = qemu_img(self, &["compare", "-f", format, "-F", "raw", name, "wanted.raw"]);
        compared.map(drop).map_err(|e| format!("{kind:?} {what}: {e}").into())
    }
}

/// A disk of `size` bytes: in each 64 KiB noise, text, or nothing, by chance.
pub(crate) fn disk(size: usize, seed: u64) -> Vec<u8> {
    let mut noise = Noise(seed);
    let mut bytes = vec![0; size];
    for part in bytes.chunks_mut(64 << 10) {
        match noise.below(4) {
            0 => {}
            1 => noise.text(part),
            2 => {
                let middle = part.len() / 3;
                noise.fill(&mut part[middle..]);
            }
            _ => noise.fill(part),
        }
    }
    bytes
}

/// An error with all that lies below it.
pub(crate) fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut level = error;
    while let Some(below) = level.source() {
        text = format!("{text}: {below}");
        level = below;
    }
    text
}

/// Whether the other program is there; where not, tests go on without its judgement, unless that is forbidden.
pub(crate) fn has_qemu_img() -> bool {
    let found = Command::new("qemu-img").arg("--version").output().is_ok_and(|output| output.status.success());
    let required = std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_some_and(|value| value == "1");
    assert!(found || !required, "qemu-img is not installed, and IMGFMT_REQUIRE_ORACLES=1 forbids to skip");
    found
}

/// What `qemu-img` prints, run in the folder.
pub(crate) fn qemu_img(folder: &Folder, args: &[&str]) -> Outcome<String> {
    let output = Command::new("qemu-img").args(args).current_dir(folder.dir.path()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("qemu-img {args:?}: {text} {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Whether `path` is there.
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
