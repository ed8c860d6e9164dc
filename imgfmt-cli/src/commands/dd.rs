//! `imgfmt dd`.

use std::path::PathBuf;

use imgfmt::convert::{Cancel, Convert, Progress};
use imgfmt::options::parse_size;
use imgfmt::{DdRequest, Options, Source};
use imgfmt_cli::args::DdArgs;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::gate::CliGate;
use crate::pipes::{self, is_pipe};
use crate::print;
use crate::probed::require_format;
use crate::progress::{Reporter, complete};
use crate::render::written;
use crate::signals::Signals;
use crate::source::{Sources, snapshot};

/// Copies a part of a disk.
pub(crate) fn run(args: &DdArgs, signals: &Signals) -> Result<Exit, Failure> {
    let operands = Operands::parse(&args.operands)?;
    let (from_pipe, to_pipe) = (is_pipe(&operands.input), is_pipe(&operands.output));
    let cancel = Cancel::default();
    let resolved = pipes::resolve(from_pipe, to_pipe, &cancel)?;
    let input = resolved.input.clone().unwrap_or_else(|| operands.input.clone());
    let sources = Sources::new(&args.source, [input.as_path()])?.with_target(Some(operands.output.as_path()))?;
    let gate =
        CliGate::new(sources.paths().filter(|path| !is_pipe(path)), &args.source.allow, args.source.force_share)?;
    let mut options = Options::default();
    for text in &args.options {
        options.extend(Options::parse(text)?);
    }
    let reporter = Reporter::new(&args.progress, args.answer.form, to_pipe)?;
    let report = |progress: Progress| reporter.report(progress);
    signals.cancel(&cancel).map_err(|e| Failure::System("cannot watch for signals", e))?;
    let access = sources.access(&gate, args.snapshot.as_deref().map(snapshot));
    if args.in_place {
        require_format(Some(args.target_format.as_str()), &operands.output, &access)?;
    }
    let request = DdRequest {
        input: Source { path: sources.first()?.path.clone(), format: sources.first()?.format.clone() },
        output: operands.output,
        output_format: args.target_format.clone(),
        options,
        block_size: operands.block_size,
        count: operands.count,
        skip: operands.skip,
        output_size: operands.output_size,
        in_place: args.in_place,
        access,
        engine: Convert { progress: reporter.is_shown().then_some(&report), cancel, ..Convert::default() },
    };
    let result = imgfmt::dd_piped(&request, resolved.pipes);
    reporter.finish(result.as_ref().ok().map(complete));
    let summary = result.map_err(|error| gate.explain(error))?;
    let object = written::json(&request.output, &request.output_format, &summary);
    print::done(args.answer.form, to_pipe, &object.into())?;
    Ok(Exit::Done)
}

/// What `NAME=VALUE` says.
#[derive(Debug)]
struct Operands {
    /// `if`.
    input: PathBuf,
    /// `of`.
    output: PathBuf,
    /// `bs`, in bytes.
    block_size: u64,
    /// `count`, in blocks.
    count: Option<u64>,
    /// `skip`, in blocks.
    skip: u64,
    /// `osize`, in bytes.
    output_size: Option<u64>,
}

impl Operands {
    /// Parses the operands.
    fn parse(texts: &[String]) -> Result<Self, Failure> {
        let usage = |what: String| Failure::Usage(format!("{what}; see imgfmt dd --help"));
        let (mut input, mut output) = (None, None);
        let mut parsed = Self {
            input: PathBuf::new(),
            output: PathBuf::new(),
            block_size: DEFAULT_BLOCK_SIZE,
            count: None,
            skip: 0,
            output_size: None,
        };
        for text in texts {
            let (name, value) = text.split_once('=').ok_or_else(|| usage(format!("{text} is not NAME=VALUE")))?;
            let number =
                || parse_size(value).map_err(|e| Failure::from(e.context(format!("{name} cannot be {value}"))));
            match name {
                "if" => input = Some(PathBuf::from(value)),
                "of" => output = Some(PathBuf::from(value)),
                "bs" => parsed.block_size = number()?,
                "count" => parsed.count = Some(number()?),
                "skip" => parsed.skip = number()?,
                "osize" => parsed.output_size = Some(number()?),
                _ => return Err(usage(format!("{name} is unknown; known are if, of, bs, count, skip and osize"))),
            }
        }
        if parsed.block_size == 0 {
            return Err(usage("bs cannot be 0".to_owned()));
        }
        parsed.input = input.ok_or_else(|| usage("if=FILE is missing".to_owned()))?;
        parsed.output = output.ok_or_else(|| usage("of=FILE is missing".to_owned()))?;
        Ok(parsed)
    }
}

/// Bytes of a block where nothing is said.
const DEFAULT_BLOCK_SIZE: u64 = 512;
