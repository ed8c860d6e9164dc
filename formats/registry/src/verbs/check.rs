//! Looking for damage in an image, and mending it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use imgfmt_core::check::{deep, walk};
use imgfmt_core::convert::{Cancel, Progress};
use imgfmt_core::{CheckStats, ErrorKind, Finding, Findings, Opened, Repair, Result, Severity, Storage};

use super::edited::{Edited, Kind, Looked};
use super::open::Access;
use super::request::Source;

/// Which image is to be looked at, and how.
#[derive(Clone)]
pub struct CheckRequest<'a> {
    /// The image.
    pub source: Source,
    /// What is to be mended; `None` only looks.
    pub repair: Option<Repair>,
    /// Whether every compressed unit is decoded, too.
    pub deep: bool,
    /// Threads that decode.
    pub threads: NonZeroUsize,
    /// Called from any thread, after each unit that was decoded; the rest takes no time to speak of.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// Stops the check.
    pub cancel: Cancel,
    /// What the image may do while it is opened.
    pub access: Access<'a>,
}

impl CheckRequest<'_> {
    /// A look at the image at `path`, in a format that is probed; nothing is mended.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            source: Source { path: path.into(), format: None },
            repair: None,
            deep: false,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            progress: None,
            cancel: Cancel::default(),
            access: Access::default(),
        }
    }
}

/// What a check has found.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The name of the image's format.
    pub format: &'static str,
    /// What was found, and whether it was mended.
    pub findings: Findings,
    /// What was counted on the way.
    pub stats: CheckStats,
    /// What was found after a repair.
    pub after_repair: Option<Findings>,
}

/// Looks at one layer, and mends it where that is asked for. No backing file is opened. Formats that have no check of their
/// own get the one that follows the map. Damage to what has to be read first, as to a header, is a finding too, and the only one.
///
/// # Errors
///
/// Where the file cannot be opened, or is not of the format that it is said to be; [`Unsupported`](imgfmt_core::ErrorKind::Unsupported)
/// for the repair of what cannot be mended in place; [`Cancelled`](imgfmt_core::ErrorKind::Cancelled).
pub fn check(request: &CheckRequest<'_>) -> Result<CheckReport> {
    let done = match request.repair {
        None => look(request),
        Some(repair) => mend(request, repair),
    };
    done.map_err(|e| e.context(format!("cannot check {}", request.source.path.display())))
}

/// Looks.
fn look(request: &CheckRequest<'_>) -> Result<CheckReport> {
    let image = Looked::open(&request.source, &request.access)?;
    let mut findings = Findings::new();
    let format = image.kind.name;
    let stats = match image.kind.abilities.check {
        Some(check) => check.check(Arc::clone(&image.storage), &image.context(), &mut findings),
        None => {
            image.layer().and_then(|layer| walk(layer.image.as_ref(), &mut findings)).map(|()| CheckStats::default())
        }
    };
    let stats = found(stats, &image.kind, image.storage.as_ref(), &mut findings)?;
    if request.deep && stats.is_some() {
        look_deeply(request, image.layer(), &mut findings)?;
    }
    Ok(CheckReport { format, findings, stats: stats.unwrap_or_default(), after_repair: None })
}

/// Mends, and looks again where something was mended.
fn mend(request: &CheckRequest<'_>, repair: Repair) -> Result<CheckReport> {
    let image = Edited::open(&request.source, &request.access)?;
    let format = image.kind.name;
    let check = image.kind.abilities.check.filter(|check| check.repairs().is_some());
    let check = image.kind.need(check, "cannot be repaired")?;
    let (mut findings, mut after) = (Findings::new(), Findings::new());
    let storage = image.storage();
    let mended = check.repair(image.medium(), repair, &image.context(), &mut findings);
    let mut stats = found(mended, &image.kind, storage.as_ref(), &mut findings)?;
    if findings.is_any_fixed() {
        let again = check.check(Arc::clone(&storage), &image.context(), &mut after);
        stats = found(again, &image.kind, storage.as_ref(), &mut after)?;
    } else {
        // Nothing has changed.
        after.extend(&findings);
    }
    if request.deep && stats.is_some() {
        let mut deep = Findings::new();
        look_deeply(request, image.layer(), &mut deep)?;
        findings.extend(&deep);
        after.extend(&deep);
    }
    Ok(CheckReport { format, findings, stats: stats.unwrap_or_default(), after_repair: Some(after) })
}

/// What was counted, or nothing where the image is of its format and so damaged that nothing could be: that is told of.
fn found(
    counted: Result<CheckStats>,
    kind: &Kind,
    storage: &dyn Storage,
    findings: &mut Findings,
) -> Result<Option<CheckStats>> {
    let error = match counted {
        Ok(stats) => return Ok(Some(stats)),
        Err(error) => error.in_format(kind.name),
    };
    if !matches!(error.kind(), ErrorKind::Malformed | ErrorKind::OutOfBounds) || !kind.claims(storage)? {
        return Err(error);
    }
    let finding = Finding::new(UNREADABLE, Severity::Corruption, format!("the image cannot be read: {error}"));
    findings.push(match error.offset() {
        Some(offset) => finding.at(offset),
        None => finding,
    });
    Ok(None)
}

/// Decodes what is compressed in `layer`. A layer that cannot be opened for its damage, or for want of a secret, is told of.
fn look_deeply(request: &CheckRequest<'_>, layer: Result<Opened>, findings: &mut Findings) -> Result<()> {
    match layer {
        Ok(opened) => deep(opened.image.as_ref(), request.threads, &request.cancel, request.progress, findings),
        Err(error) => {
            let what = format!("compressed units could not be looked at: {error}");
            findings.push(Finding::new("data-unchecked", Severity::Unchecked, what));
            Ok(())
        }
    }
}

/// The finding about what has to be read before anything else can be.
const UNREADABLE: &str = "image-unreadable";
