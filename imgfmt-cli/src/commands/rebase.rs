//! `imgfmt rebase`.

use std::path::{Path, PathBuf};

use imgfmt::convert::{Cancel, Progress};
use imgfmt::{ParentName, RebaseRequest};
use imgfmt_cli::args::RebaseArgs;

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
    let mut object = written::builds_on(request.backing.as_ref());
    object.insert("filename".to_owned(), written::name(&args.file));
    object.insert("written".to_owned(), done.bytes.into());
    print::done(args.answer.form, false, &object.into())?;
    Ok(Exit::Done)
}
