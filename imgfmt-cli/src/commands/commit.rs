//! `imgfmt commit`.

use imgfmt::CommitRequest;
use imgfmt::convert::{Cancel, Progress};
use imgfmt::options::parse_size;
use imgfmt_cli::args::CommitArgs;
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::print;
use crate::progress::Reporter;
use crate::render::text::{printable, size};
use crate::render::written;
use crate::signals::Signals;
use crate::source::Editing;

/// Writes an image's changes into what it builds on.
pub(crate) fn run(args: &CommitArgs, signals: &Signals) -> Result<Exit, Failure> {
    let rate =
        args.rate_limit.as_deref().map(|text| parse_size(text).map_err(|e| e.context(format!("-r cannot be {text}"))));
    let editing = Editing::new(&args.edit, &args.file, args.base.as_deref())?;
    let reporter = Reporter::new(&args.progress, args.answer.form, false)?;
    let report = |progress: Progress| reporter.report(progress);
    let cancel = Cancel::default();
    signals.cancel(&cancel).map_err(|e| Failure::System("cannot watch for signals", e))?;
    let request = CommitRequest {
        source: editing.source()?,
        base: args.base.clone(),
        keep: args.keep,
        rate_limit: rate.transpose()?,
        progress: reporter.is_shown().then_some(&report),
        cancel,
        access: editing.access(),
    };
    let result = imgfmt::commit(&request);
    reporter.finish(None);
    let done = result.map_err(|error| editing.explain(error))?;
    let value = json!({
        "filename": written::name(&args.file), "base": written::name(&done.base), "written": done.bytes,
    });
    print::answer(args.answer.form, args.progress.quiet, &value, || {
        format!("committed {} into {}\n", size(done.bytes), printable(&done.base.display().to_string()))
    })?;
    Ok(Exit::Done)
}
