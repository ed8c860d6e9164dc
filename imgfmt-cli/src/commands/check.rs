//! `imgfmt check`.

use imgfmt::convert::{Cancel, Convert, Progress};
use imgfmt::{CheckReport, CheckRequest, Repair, Severity};
use imgfmt_cli::args::{CheckArgs, ProgressArgs, RepairWhat};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::gate::CliGate;
use crate::pipes::refuse_pipe;
use crate::print;
use crate::probed::require_format;
use crate::progress::Reporter;
use crate::render::check;
use crate::signals::Signals;
use crate::source::Sources;

/// Checks an image.
pub(crate) fn run(args: &CheckArgs, signals: &Signals) -> Result<Exit, Failure> {
    refuse_pipe(&args.file, "an image is checked in a file, since what is wrong can be anywhere in it")?;
    let sources = Sources::new(&args.source, [args.file.as_path()])?;
    let gate = CliGate::new(sources.paths(), &args.source.allow, args.source.force_share)?;
    let access = sources.access(&gate, None);
    let source = sources.first()?;
    if args.repair.is_some() {
        require_format(source.format.as_deref(), &source.path, &access)?;
    }
    // Without data to decode, there is nothing to wait for.
    let shown = ProgressArgs { quiet: args.progress.quiet || !args.deep, ..args.progress };
    let reporter = Reporter::new(&shown, args.answer.form, false)?;
    let report = |progress: Progress| reporter.report(progress);
    let cancel = Cancel::default();
    signals.cancel(&cancel).map_err(|e| Failure::System("cannot watch for signals", e))?;
    let request = CheckRequest {
        source: source.clone(),
        repair: args.repair.map(|what| match what {
            RepairWhat::Leaks => Repair::Leaks,
            RepairWhat::All => Repair::All,
        }),
        deep: args.deep,
        threads: args.threads.unwrap_or(Convert::default().threads),
        progress: reporter.is_shown().then_some(&report),
        cancel,
        access,
    };
    let result = imgfmt::check(&request);
    reporter.finish(None);
    let report = result.map_err(|error| gate.explain(error))?;
    print::answer(args.answer.form, args.progress.quiet, &check::json(&source.path, &report), || check::text(&report))?;
    Ok(exit(&report))
}

/// The code that says how the image is, after a repair where there was one.
fn exit(report: &CheckReport) -> Exit {
    let findings = report.after_repair.as_ref().unwrap_or(&report.findings);
    let open = |severity| findings.open(severity) > 0;
    match () {
        () if open(Severity::Unchecked) => Exit::Error,
        () if open(Severity::Corruption) => Exit::Answer(DAMAGED),
        () if open(Severity::Leak) => Exit::Answer(LEAKS),
        () => Exit::Done,
    }
}

/// There is damage.
const DAMAGED: u8 = 2;
/// There are leaks and no damage.
const LEAKS: u8 = 3;
