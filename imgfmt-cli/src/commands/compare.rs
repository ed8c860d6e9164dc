//! `imgfmt compare`.

use imgfmt::convert::{Cancel, Progress};
use imgfmt::{CompareRequest, Comparison, Source};
use imgfmt_cli::args::{CompareArgs, SourceArgs};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::gate::CliGate;
use crate::print;
use crate::progress::Reporter;
use crate::render::compare;
use crate::signals::Signals;
use crate::source::Sources;

/// Compares two images.
pub(crate) fn run(args: &CompareArgs, signals: &Signals) -> Result<Exit, Failure> {
    let paths = [args.first.as_path(), args.second.as_path()];
    let sources = Sources::new(&about(args, &args.open_options), paths)?;
    let second = Sources::new(&about(args, &args.second_open_options), paths)?;
    let gate = CliGate::new(sources.paths(), &args.allow, args.force_share)
        .map_err(|failure| Failure::from(failure).with_code(CANNOT_OPEN))?;
    let reporter = Reporter::new(&args.progress, args.answer.form, false)?;
    let report = |progress: Progress| reporter.report(progress);
    let cancel = Cancel::default();
    signals.cancel(&cancel).map_err(|e| Failure::System("cannot watch for signals", e))?;
    let request = CompareRequest {
        first: Source { path: args.first.clone(), format: args.format.clone() },
        second: Source { path: args.second.clone(), format: args.second_format.clone() },
        strict: args.strict,
        threads: sources.threads(args.threads),
        progress: reporter.is_shown().then_some(&report),
        cancel,
        access: sources.access(&gate, None),
        second_access: Some(second.access(&gate, None)),
    };
    let result = imgfmt::compare(&request);
    reporter.finish(None);
    match result {
        Ok(comparison) => {
            let (form, quiet) = (args.answer.form, args.progress.quiet);
            print::answer(form, quiet, &compare::json(&comparison), || compare::text(&comparison))?;
            Ok(if matches!(comparison, Comparison::Identical { .. }) { Exit::Done } else { Exit::Answer(DIFFERENT) })
        }
        Err(failed) => {
            let code = if failed.while_opening { CANNOT_OPEN } else { CANNOT_READ };
            Err(gate.explain(failed.error).with_code(code))
        }
    }
}

/// What is said about an image that is opened with `options`.
fn about(args: &CompareArgs, options: &[String]) -> SourceArgs {
    SourceArgs {
        open_options: options.to_vec(),
        object: args.object.clone(),
        allow: args.allow.clone(),
        force_share: args.force_share,
        ..SourceArgs::default()
    }
}

/// They differ.
const DIFFERENT: u8 = 1;
/// An image cannot be opened.
const CANNOT_OPEN: u8 = 2;
/// An image cannot be read.
const CANNOT_READ: u8 = 4;
