//! `imgfmt compact`.

use std::path::Path;

use imgfmt::convert::{Cancel, Convert, Progress};
use imgfmt::{CompactRequest, Compacted, Options};
use imgfmt_cli::args::CompactArgs;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::print;
use crate::progress::Reporter;
use crate::render::text::size;
use crate::render::written;
use crate::signals::Signals;
use crate::source::Editing;

/// Makes an image as small as it can be.
pub(crate) fn run(args: &CompactArgs, signals: &Signals) -> Result<Exit, Failure> {
    let mut options = Options::default();
    for text in &args.options {
        options.extend(Options::parse(text)?);
    }
    // Where the image itself stays, its bytes are enough to read it by.
    let editing = match &args.output {
        Some(_) => Editing::reading(&args.edit, &args.file)?.with_target(args.output.as_deref())?,
        None => Editing::new(&args.edit, &args.file, None)?,
    };
    let reporter = Reporter::new(&args.progress, args.answer.form, false)?;
    let report = |progress: Progress| reporter.report(progress);
    let cancel = Cancel::default();
    signals.cancel(&cancel).map_err(|e| Failure::System("cannot watch for signals", e))?;
    let request = CompactRequest {
        source: editing.source()?,
        output: args.output.clone(),
        in_place: args.in_place,
        compress: match (args.compress, args.uncompressed) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
        options,
        threads: args.threads.unwrap_or(Convert::default().threads),
        progress: reporter.is_shown().then_some(&report),
        cancel,
        access: editing.access(),
    };
    let result = imgfmt::compact(&request);
    reporter.finish(None);
    let done = result.map_err(|error| editing.explain(error))?;
    let file = args.output.as_deref().unwrap_or(&args.file);
    print::answer(args.answer.form, args.progress.quiet, &object(file, &done), || told(&done))?;
    Ok(Exit::Done)
}

/// What there is to tell: the sizes that are known.
fn told(done: &Compacted) -> String {
    let before = done.before.map(|bytes| format!(" from {}", size(bytes))).unwrap_or_default();
    let after = done.after.map(|bytes| format!(" to {}", size(bytes))).unwrap_or_default();
    format!("compacted{before}{after}\n")
}

/// The same for programs, about the compacted image in `file`.
fn object(file: &Path, done: &Compacted) -> Value {
    let mut object = json!({ "filename": written::name(file) });
    if let Some(bytes) = done.before {
        object["actual-size-before"] = bytes.into();
    }
    if let Some(bytes) = done.after {
        object["actual-size"] = bytes.into();
    }
    object
}
