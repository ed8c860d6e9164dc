//! Looking for damage in an image, and mending it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use imgfmt_core::check::{deep, walk};
use imgfmt_core::convert::Cancel;
use imgfmt_core::{CheckStats, Error, Finding, Findings, Opened, Repair, Result, Severity};

use super::edited::{Edited, Looked};
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
/// own get the one that follows the map.
///
/// # Errors
///
/// Where the file is too damaged to be looked at, or cannot be opened; [`Unsupported`](imgfmt_core::ErrorKind::Unsupported)
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
    let stats = stats.map_err(|e| e.in_format(format))?;
    if request.deep {
        look_deeply(request, image.layer(), &mut findings)?;
    }
    Ok(CheckReport { format, findings, stats, after_repair: None })
}

/// Mends, and looks again where something was mended.
fn mend(request: &CheckRequest<'_>, repair: Repair) -> Result<CheckReport> {
    let image = Edited::open(&request.source, &request.access)?;
    let format = image.kind.name;
    let check = image.kind.abilities.check.filter(|check| check.repairs().is_some());
    let check = image.kind.need(check, "cannot be repaired")?;
    let (mut findings, mut after) = (Findings::new(), Findings::new());
    let in_format = |e: Error| e.in_format(format);
    let mut stats = check.repair(image.medium(), repair, &image.context(), &mut findings).map_err(in_format)?;
    if findings.is_any_fixed() {
        stats = check.check(image.storage(), &image.context(), &mut after).map_err(in_format)?;
    } else {
        // Nothing has changed.
        after.extend(&findings);
    }
    if request.deep {
        let mut deep = Findings::new();
        look_deeply(request, image.layer(), &mut deep)?;
        findings.extend(&deep);
        after.extend(&deep);
    }
    Ok(CheckReport { format, findings, stats, after_repair: Some(after) })
}

/// Decodes what is compressed in `layer`. A layer that cannot be opened for its damage, or for want of a secret, is told of.
fn look_deeply(request: &CheckRequest<'_>, layer: Result<Opened>, findings: &mut Findings) -> Result<()> {
    match layer {
        Ok(opened) => deep(opened.image.as_ref(), request.threads, &request.cancel, findings),
        Err(error) => {
            let what = format!("compressed units could not be looked at: {error}");
            findings.push(Finding::new("data-unchecked", Severity::Unchecked, what));
            Ok(())
        }
    }
}
