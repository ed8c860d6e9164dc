//! `imgfmt bench`.

use imgfmt::BenchRequest;
use imgfmt::options::parse_size;
use imgfmt_cli::args::BenchArgs;
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::gate::CliGate;
use crate::pipes::refuse_pipe;
use crate::print;
use crate::probed::require_format;
use crate::render::text::size;
use crate::source::Sources;

/// Measures how fast an image is.
pub(crate) fn run(args: &BenchArgs) -> Result<Exit, Failure> {
    refuse_pipe(&args.file, "a pipe has no places to read at")?;
    let sources = Sources::new(&args.source, [args.file.as_path()])?;
    let gate = CliGate::new(sources.paths(), &args.source.allow, args.source.force_share)?;
    let access = sources.access(&gate, None);
    let source = sources.first()?.clone();
    if args.write {
        require_format(source.format.as_deref(), &source.path, &access)?;
    }
    let bytes =
        |option: &str, text: &str| parse_size(text).map_err(|e| e.context(format!("{option} cannot be {text}")));
    let request = BenchRequest {
        source,
        count: args.count,
        depth: args.depth,
        buffer_size: bytes("-s", &args.buffer_size)?,
        step: args.step_size.as_deref().map(|text| bytes("-S", text)).transpose()?,
        offset: bytes("-o", &args.offset)?,
        write: args.write,
        pattern: args.pattern,
        flush_interval: args.flush_interval,
        no_drain: false,
        access,
    };
    let result = imgfmt::bench(&request).map_err(|error| gate.explain(error))?;
    let seconds = result.elapsed.as_secs_f64();
    let per_second = |amount: u64| if seconds > 0.0 { as_f64(amount) / seconds } else { 0.0 };
    let value = json!({
        "requests": result.requests, "bytes": result.bytes, "seconds": seconds,
        "requests-per-second": per_second(result.requests), "bytes-per-second": per_second(result.bytes),
    });
    print::answer(args.answer.form, false, &value, || {
        format!(
            "{} requests, {} in {seconds:.3} seconds: {:.0} requests a second\n",
            result.requests,
            size(result.bytes),
            per_second(result.requests)
        )
    })?;
    Ok(Exit::Done)
}

/// An amount, for a fraction of it.
#[expect(clippy::cast_precision_loss, reason = "a rate is shown with a few digits")]
fn as_f64(amount: u64) -> f64 {
    amount as f64
}
