//! Kinds of images: how each is made, and how it is opened again.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use imgfmt::{Access, Beneath, Chain, ConvertRequest, Options, Secrets};

use super::Outcome;
use super::qemu::QemuImg;

/// A kind of image that can be written here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// The format.
    pub(crate) format: &'static str,
    /// Its options; `NAME` is the name of the file.
    pub(crate) options: &'static str,
    /// Whether units are compressed.
    pub(crate) compress: bool,
    /// What has to be said to open it again.
    pub(crate) open: &'static str,
}

impl Kind {
    /// A kind without more to say.
    pub(crate) const fn new(format: &'static str, options: &'static str) -> Self {
        Self { format, options, compress: false, open: "" }
    }

    /// The same, compressed.
    pub(crate) const fn compressed(self) -> Self {
        Self { compress: true, ..self }
    }

    /// The same, which needs `options` to be opened.
    pub(crate) const fn opened_with(self, open: &'static str) -> Self {
        Self { open, ..self }
    }

    /// Makes an image of this kind at `path` from the one at `from`, of which `format` and `options` for opening are known.
    pub(crate) fn make(&self, from: &Path, format: Option<&str>, opened_with: &str, path: &Path) -> Outcome {
        let mut gate = Beneath::new();
        gate.allow_beside(from)?;
        let (options, secrets) = (Options::parse(opened_with)?, secrets());
        let mut request = ConvertRequest::new(from, path, self.format);
        request.sources.iter_mut().for_each(|source| source.format = format.map(str::to_owned));
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a path has a name")?;
        request.options = Options::parse(&self.options.replace("NAME", name))?;
        request.compress = self.compress;
        request.access = Access { gate: &gate, options: &options, secrets: &secrets, ..Access::default() };
        imgfmt::convert(&request).map_err(|e| format!("{self}: {}", super::say::whole_message(&e)))?;
        Ok(())
    }

    /// Opens an image of this kind. What several formats or none could be is named.
    pub(crate) fn open(&self, path: &Path) -> Outcome<Chain> {
        let format = (self.format == "raw").then_some("raw");
        open_with(path, format, self.open)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compressed = if self.compress { " -c" } else { "" };
        write!(f, "{}{compressed} {}", self.format, self.options)
    }
}

/// Opens the image at `path`, which may use what lies beside it.
pub(crate) fn open_with(path: &Path, format: Option<&str>, options: &str) -> Outcome<Chain> {
    let mut gate = Beneath::new();
    gate.allow_beside(path)?;
    let (options, secrets) = (Options::parse(options)?, secrets());
    let access = Access { gate: &gate, options: &options, secrets: &secrets, fallback: None, ..Access::default() };
    imgfmt::open(path, format, &access).map_err(|e| super::say::whole_message(&e).into())
}

/// The secrets that kinds are encrypted with.
fn secrets() -> Secrets {
    let mut secrets = Secrets::new();
    secrets.add("sec0", "correct horse");
    secrets
}

/// How an image to read is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Maker {
    /// By `qemu-img convert` with these arguments.
    Qemu(&'static str),
    /// By us.
    Ours(Kind),
    /// By a program that reads standard input and writes standard output, from an image of this kind.
    Packed(Kind, &'static [&'static str]),
}

impl Maker {
    /// Makes the image at `path` from the raw disk called `disk.raw` beside it.
    pub(crate) fn make(&self, qemu: QemuImg, path: &Path) -> Outcome {
        let folder = path.parent().ok_or("a path has a folder")?;
        let raw = folder.join("disk.raw");
        match self {
            Self::Qemu(args) => {
                let name = path.file_name().and_then(|name| name.to_str()).ok_or("a path has a name")?;
                qemu.make(folder, "disk.raw", args, name)
            }
            Self::Ours(kind) => kind.make(&raw, Some("raw"), "", path),
            Self::Packed(kind, command) => {
                let bare = folder.join("bare");
                kind.make(&raw, Some("raw"), "", &bare)?;
                let (input, output) = (std::fs::File::open(&bare)?, std::fs::File::create(path)?);
                let status = Command::new(command[0])
                    .args(&command[1..])
                    .stdin(Stdio::from(input))
                    .stdout(Stdio::from(output))
                    .status()
                    .map_err(|e| format!("{}: {e}", command[0]))?;
                if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
            }
        }
    }

    /// The format to name when it is read, where probing does not do.
    pub(crate) fn format(&self) -> Option<&'static str> {
        match self {
            Self::Qemu(args) if args.contains("-O raw") => Some("raw"),
            Self::Ours(kind) if kind.format == "raw" => Some("raw"),
            _ => None,
        }
    }

    /// What has to be said to open it.
    pub(crate) fn opened_with(&self) -> &'static str {
        match self {
            Self::Ours(kind) => kind.open,
            _ => "",
        }
    }
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Qemu(args) => write!(f, "qemu-img {args}"),
            Self::Ours(kind) => write!(f, "{kind}"),
            Self::Packed(kind, command) => write!(f, "{kind} | {}", command.join(" ")),
        }
    }
}
