//! What the user says about the images to read, resolved.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use imgfmt::{Access, Limits, Options, Secrets, Source};
use imgfmt_cli::args::{EditArgs, SourceArgs};

use crate::failure::Failure;
use crate::gate::CliGate;
use crate::probed::require_format;
use crate::remote::Remotes;
use crate::secrets;

/// The images to read, and how they are opened.
#[derive(Debug)]
pub(crate) struct Sources {
    /// The images.
    pub(crate) list: Vec<Source>,
    /// Options for opening them.
    options: Options,
    /// Secrets that options name.
    pub(crate) secrets: Secrets,
    /// Which disk of a file that holds several.
    disk: Option<String>,
    /// Where temporary files go.
    spool: Option<PathBuf>,
    /// Bounds on what files may ask for.
    limits: Limits,
    /// Whether images are opened whatever other programs do with them.
    force_share: bool,
    /// Which of the names are addresses.
    remotes: Remotes,
}

impl Sources {
    /// Resolves `files`, which `args` describe.
    pub(crate) fn new<'p>(args: &SourceArgs, files: impl IntoIterator<Item = &'p Path>) -> Result<Self, Failure> {
        let mut options = Options::default();
        for text in &args.open_options {
            options.extend(Options::parse(text)?);
        }
        let mut list = Vec::new();
        for file in files {
            list.push(if args.image_opts {
                image_opts(file, &mut options)?
            } else {
                Source { path: file.to_path_buf(), format: args.format.clone() }
            });
        }
        let mut limits = Limits::default();
        limits.spool_bytes = imgfmt::options::parse_size(&args.spool_limit)
            .map_err(|e| e.context(format!("--spool-limit cannot be {}", args.spool_limit)))?;
        let remotes = Remotes::of(list.iter().map(|source| source.path.as_path()))?;
        Ok(Self {
            remotes,
            list,
            options,
            secrets: secrets::parse(&args.object)?,
            disk: args.disk.clone(),
            spool: std::env::var_os("TMPDIR").map(PathBuf::from),
            limits,
            force_share: args.force_share,
        })
    }

    /// How the images are opened, with `gate` to decide about the files that they name.
    pub(crate) fn access<'a>(&'a self, gate: &'a CliGate, snapshot: Option<&'a str>) -> Access<'a> {
        Access {
            gate,
            addresses: &self.remotes,
            limits: self.limits,
            options: &self.options,
            secrets: &self.secrets,
            snapshot,
            member: self.disk.as_deref(),
            spool: self.spool.as_deref(),
            force_share: self.force_share,
            ..Access::default()
        }
    }

    /// The one image, or the first.
    pub(crate) fn first(&self) -> Result<&Source, Failure> {
        self.list.first().ok_or_else(|| Failure::Usage("an image is needed".to_owned()))
    }

    /// Where the images are that are files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.list.iter().map(|source| source.path.as_path()).filter(|path| !self.remotes.knows(path))
    }

    /// How many threads work where `said` does not say.
    pub(crate) fn threads(&self, said: Option<NonZeroUsize>) -> NonZeroUsize {
        said.unwrap_or_else(|| self.remotes.threads())
    }

    /// The same images, beside a new one that may have an address, too.
    ///
    /// # Errors
    ///
    /// What is wrong with the address.
    pub(crate) fn with_target(mut self, target: Option<&Path>) -> Result<Self, Failure> {
        self.remotes.extend(&Remotes::of(target)?);
        Ok(self)
    }
}

/// An image to change, with what decides about the files that it names.
pub(crate) struct Editing {
    /// The image, and how it is opened.
    sources: Sources,
    /// The gate.
    gate: CliGate,
}

impl Editing {
    /// Resolves the image `file`, which `args` describe; `other` is a file that the user names besides.
    ///
    /// # Errors
    ///
    /// As [`require_format`], and what is wrong with the arguments.
    pub(crate) fn new(args: &EditArgs, file: &Path, other: Option<&Path>) -> Result<Self, Failure> {
        let sources = Sources::new(&SourceArgs::from(args), [file])?;
        let gate = CliGate::new(sources.paths().chain(other), &args.allow, args.force_share)?;
        let editing = Self { sources, gate };
        require_format(args.format.as_deref(), file, &editing.access())?;
        Ok(editing)
    }

    /// The same for an image that is only read.
    pub(crate) fn reading(args: &EditArgs, file: &Path) -> Result<Self, Failure> {
        let sources = Sources::new(&SourceArgs::from(args), [file])?;
        let gate = CliGate::new(sources.paths(), &args.allow, args.force_share)?;
        Ok(Self { sources, gate })
    }

    /// The same image, beside a new one that may have an address, too.
    ///
    /// # Errors
    ///
    /// As [`Sources::with_target`].
    pub(crate) fn with_target(self, target: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self { sources: self.sources.with_target(target)?, ..self })
    }

    /// The image.
    pub(crate) fn source(&self) -> Result<Source, Failure> {
        self.sources.first().cloned()
    }

    /// How it is opened.
    pub(crate) fn access(&self) -> Access<'_> {
        self.sources.access(&self.gate, None)
    }

    /// As [`CliGate::explain`].
    pub(crate) fn explain(&self, error: imgfmt::Error) -> Failure {
        self.gate.explain(error)
    }
}

/// An image as QEMU's options: what is about the file is taken out, the rest goes to `options`.
fn image_opts(text: &Path, options: &mut Options) -> Result<Source, Failure> {
    let usage = |what: String| Failure::Usage(format!("--image-opts: {what}"));
    let text = text.to_str().ok_or_else(|| usage("the options are no UTF-8".to_owned()))?;
    let (mut path, mut format) = (None, None);
    let given = Options::parse(text)?;
    for name in given.names() {
        let value = given.get(name).unwrap_or_default();
        match name {
            "driver" => format = Some(value.to_owned()),
            "filename" | "file.filename" => path = Some(PathBuf::from(value)),
            "file.driver" if value == "file" || value == "host_device" => {}
            "file.driver" => {
                let what =
                    format!("file.driver is {value}, and only file is known; nbd and rbd are called by an address");
                return Err(usage(what));
            }
            _ => options.set(name, value),
        }
    }
    let path = path.ok_or_else(|| usage("file.filename says which file, and is missing".to_owned()))?;
    // Without a driver, the name of a protocol is the driver in QEMU; here it is a file, as it looks.
    Ok(Source { path, format: format.filter(|name| name != "file") })
}

/// The snapshot that `text` means: a name or an id, or QEMU's `snapshot.id=` and `snapshot.name=`.
pub(crate) fn snapshot(text: &str) -> &str {
    text.strip_prefix("snapshot.id=").or_else(|| text.strip_prefix("snapshot.name=")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_qemu_are_a_file_a_format_and_the_rest() {
        let mut options = Options::default();
        let text = Path::new("driver=qcow2,encrypt.key-secret=sec0,file.driver=file,file.filename=a,,b");
        let source = image_opts(text, &mut options).unwrap();
        assert_eq!(source, Source { path: "a,b".into(), format: Some("qcow2".to_owned()) });
        assert_eq!(options.get("encrypt.key-secret"), Some("sec0"));
        assert!(image_opts(Path::new("driver=qcow2"), &mut options).is_err());
        assert!(image_opts(Path::new("file.driver=nbd,file.filename=a"), &mut options).is_err());
    }

    #[test]
    fn a_snapshot_has_an_id_or_a_name() {
        for text in ["a", "snapshot.id=a", "snapshot.name=a"] {
            assert_eq!(snapshot(text), "a");
        }
    }
}
