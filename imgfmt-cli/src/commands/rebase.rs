//! `imgfmt rebase`.

use std::path::{Path, PathBuf};

use imgfmt::convert::{Cancel, Progress};
use imgfmt::{ParentName, RebaseRequest};
use imgfmt_cli::args::RebaseArgs;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::print;
use crate::progress::Reporter;
use crate::render::written;
use crate::signals::Signals;
use crate::source::Editing;

/// Changes what an image builds on.
pub(crate) fn run(args: &RebaseArgs, signals: &Signals) -> Result<Exit, Failure> {
    let backing = (!args.backing.is_empty())
        .then(|| ParentName { name: PathBuf::from(&args.backing), format: args.backing_format.clone() });
    let folder = args.file.parent().unwrap_or(Path::new(""));
    let named = backing.as_ref().map(|backing| folder.join(&backing.name)).filter(|_| !args.unchecked);
    let editing = Editing::new(&args.edit, &args.file, named.as_deref())?;
    let reporter = Reporter::new(&args.progress, args.answer.form, false)?;
    let report = |progress: Progress| reporter.report(progress);
    let cancel = Cancel::default();
    signals.cancel(&cancel).map_err(|e| Failure::System("cannot watch for signals", e))?;
    let request = RebaseRequest {
        source: editing.source()?,
        backing,
        unchecked: args.unchecked,
        compress: args.compress,
        progress: reporter.is_shown().then_some(&report),
        cancel,
        access: editing.access(),
    };
    let result = imgfmt::rebase(&request);
    reporter.finish(None);
    let done = result.map_err(|error| editing.explain(error))?;
    print::done(args.answer.form, false, &object(args, done.bytes))?;
    Ok(Exit::Done)
}

/// What was done, for programs.
fn object(args: &RebaseArgs, written: u64) -> Value {
    let mut object = json!({ "filename": written::name(&args.file), "written": written });
    if !args.backing.is_empty() {
        object["backing-filename"] = args.backing.as_str().into();
    }
    if let Some(format) = args.backing_format.as_deref().filter(|_| !args.backing.is_empty()) {
        object["backing-filename-format"] = format.into();
    }
    object
}
