//! Files with known content, and what is known of them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::format::{Format, OpenContext};
use crate::gate::{Admitted, Beneath, DenyAll, Gate, Reference};
use crate::image::Image;
use crate::limits::Limits;
use crate::open::Opener;
use crate::probe::Head;
use crate::storage::{FileStorage, MemoryStorage, Storage};
use crate::wrap::Wrapper;
use crate::{Error, Result};

/// A file of the repository's `testdata/`, with its entry of the manifest.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Where it is.
    pub path: PathBuf,
    /// What the manifest says of it.
    pub entry: Value,
}

/// Size and SHA-256, in hexadecimal digits, of the bytes that a sample gives.
pub type Content = (u64, String);

impl Sample {
    /// The samples of `format` below the `testdata` folder of the repository that `crate_folder` is in, two levels down.
    /// `None` where there is no such folder, as in a package.
    ///
    /// # Panics
    ///
    /// Where the manifest is no list of entries.
    #[must_use]
    pub fn all(crate_folder: &str, format: &str) -> Option<Vec<Self>> {
        let folder = Path::new(crate_folder).join("../../testdata");
        let manifest = std::fs::read(folder.join("manifest.json")).ok()?;
        let entries: Vec<Value> = serde_json::from_slice(&manifest).expect("a manifest is a list of entries");
        let ours = entries.into_iter().filter(|entry| entry["format"] == format);
        let path = |entry: &Value| folder.join(entry["path"].as_str().expect("an entry has a path"));
        Some(ours.map(|entry| Self { path: path(&entry), entry }).collect())
    }

    /// The gate that the sample is opened with: one that admits its own folder, where it needs other files.
    ///
    /// # Errors
    ///
    /// As [`Beneath::allow_beside`].
    pub fn gate(&self) -> Result<Box<dyn Gate>> {
        if self.entry["needs_gate"] != true {
            return Ok(Box::new(DenyAll));
        }
        let mut beneath = Beneath::new();
        beneath.allow_beside(&self.path)?;
        let folder = self.path.parent().unwrap_or(Path::new(".")).to_path_buf();
        Ok(Box::new(Unpacking { beneath, folder }))
    }

    /// The bytes of the file, unpacked where it is packed.
    ///
    /// # Errors
    ///
    /// As [`FileStorage::open`].
    pub fn storage(&self) -> Result<Arc<dyn Storage>> {
        let packed = self.entry["packed"] == "gzip";
        if packed { unpacked(&self.path) } else { Ok(Arc::new(FileStorage::open(&self.path)?)) }
    }

    /// Opens the sample as one of `formats`, the one called `name` where it is not to be probed, and reads it to its end.
    /// Where there are several formats, the last takes what no other claims.
    ///
    /// # Errors
    ///
    /// Whatever opening or reading says.
    pub fn read(&self, formats: &[&dyn Format], name: Option<&str>) -> Result<Content> {
        let (gate, limits) = (self.gate()?, Limits::default());
        let fallback = formats.last().filter(|_| formats.len() > 1).map(|format| format.name());
        let opener = Opener { fallback, ..Opener::new(formats, gate.as_ref(), &limits) };
        content_of(&opener.open(self.storage()?, Some(&self.path), name)?)
    }

    /// Opens the sample as the one of `wrappers` that claims it, and reads the one disk that it holds to its end.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where it is not of one kind or holds not one disk; whatever the
    /// wrapper says.
    pub fn unwrap(&self, wrappers: &[&dyn Wrapper]) -> Result<Content> {
        let file = self.storage()?;
        let head = Head::read(file.as_ref())?;
        let mut claims = wrappers.iter().filter(|wrapper| wrapper.probe(&head).is_ok_and(|reason| reason.is_some()));
        let (Some(wrapper), None) = (claims.next(), claims.next()) else {
            return Err(Error::unsupported("it is not of one kind"));
        };
        let (gate, limits, folder) = (self.gate()?, Limits::default(), std::env::temp_dir());
        let context =
            OpenContext { path: Some(&self.path), spool: Some(&folder), ..OpenContext::new(&limits, gate.as_ref()) };
        match wrapper.contents(&file, &context)?.members.len() {
            1 => bytes_of(wrapper.open(&file, 0, &context)?.as_ref()),
            several => Err(Error::unsupported(format!("it holds {several} disks"))),
        }
    }

    /// Compares what the sample gave with what the manifest says, and says how they differ.
    fn judge(&self, found: Result<Content>) -> Result<(), String> {
        let entry = &self.entry;
        match (entry["outcome"].as_str(), found) {
            (Some("content"), Ok((size, hash))) if entry["guest_size"] == size && entry["guest_sha256"] == hash => {
                Ok(())
            }
            (Some("refused"), Err(error)) => {
                let text = whole_message(&error);
                let mentions = entry["error"]["mentions"].as_array().map_or(&[][..], Vec::as_slice);
                let all_there = mentions.iter().filter_map(Value::as_str).all(|mention| text.contains(mention));
                let right = all_there && entry["error"]["kind"] == error.kind().name();
                if right { Ok(()) } else { Err(format!("refused as {}, {text}", error.kind().name())) }
            }
            (_, Ok((size, hash))) => Err(format!("gives {size} bytes, {hash}")),
            (_, Err(error)) => Err(whole_message(&error)),
        }
    }
}

/// Admits what lies in one folder; a file that is packed there goes by the name of what is in it.
struct Unpacking {
    /// The files as they are.
    beneath: Beneath,
    /// The folder.
    folder: PathBuf,
}

impl Gate for Unpacking {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        let is_plain_name = reference.name.file_name() == Some(reference.name.as_os_str());
        let packed = self.folder.join(format!("{}.gz", reference.name.display()));
        if is_plain_name && packed.is_file() {
            return Ok(Admitted { storage: unpacked(&packed)?, path: reference.name.to_path_buf() });
        }
        self.beneath.open(reference)
    }

    fn beside(&self, image: &Path) -> Result<Vec<PathBuf>> {
        self.beneath.beside(image)
    }
}

/// What is in the gzip file at `path`.
fn unpacked(path: &Path) -> Result<Arc<dyn Storage>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| Error::io(format!("cannot open {}", path.display()), e))?;
    let read = flate2::read::GzDecoder::new(file).read_to_end(&mut bytes);
    read.map_err(|e| Error::io(format!("cannot unpack {}", path.display()), e))?;
    Ok(Arc::new(MemoryStorage::new(bytes)))
}

/// Checks that every sample of `format` gives the bytes, or the error, that its manifest says, where `read` reads one.
/// Skips, and says so, where there is no test data.
///
/// # Panics
///
/// Where one does not, with all that do not; where there is test data and none of `format`.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
pub fn check_testdata(crate_folder: &str, format: &str, read: impl Fn(&Sample) -> Result<Content>) {
    let Some(samples) = Sample::all(crate_folder, format) else {
        eprintln!("skipped: there is no testdata/manifest.json");
        return;
    };
    let wrong = |sample: &Sample| {
        let what = sample.judge(read(sample)).err()?;
        Some(format!("{}: {what} ({})", sample.path.display(), sample.entry["case"]))
    };
    let wrong: Vec<_> = samples.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), samples.len(), wrong.join("\n"));
    assert!(!samples.is_empty(), "the manifest has no sample of {format}");
}

/// Reads all of `image`: its size and hash.
///
/// # Errors
///
/// As [`Image::read_at`].
pub fn content_of(image: &dyn Image) -> Result<Content> {
    hash_parts(image.size(), &mut |part, offset| image.read_at(part, offset))
}

/// Reads all of `storage`: its length and hash.
///
/// # Errors
///
/// As [`Storage::read_at`].
pub fn bytes_of(storage: &dyn Storage) -> Result<Content> {
    hash_parts(storage.len(), &mut |part, offset| storage.read_at(part, offset))
}

/// An error and all that caused it, as a person would see it.
#[must_use]
pub fn whole_message(error: &Error) -> String {
    let mut text = error.to_string();
    let mut level: &dyn std::error::Error = error;
    while let Some(below) = level.source() {
        text = format!("{text}: {below}");
        level = below;
    }
    text
}

/// Hashes `len` bytes that `read` reads in parts.
fn hash_parts(len: u64, read: &mut dyn FnMut(&mut [u8], u64) -> Result<()>) -> Result<Content> {
    let mut hash = Sha256::new();
    let mut bytes = vec![0; PART_LEN];
    let mut next = 0;
    while next < len {
        let part = usize::try_from(len - next).map_or(PART_LEN, |rest| rest.min(PART_LEN));
        read(&mut bytes[..part], next)?;
        hash.update(&bytes[..part]);
        next += part as u64;
    }
    Ok((len, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// Bytes read at once.
const PART_LEN: usize = 1 << 20;
