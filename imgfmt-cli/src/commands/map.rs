//! `imgfmt map`.

use imgfmt::options::parse_size;
use imgfmt_cli::args::{MapArgs, OutputForm};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::gate::CliGate;
use crate::pipes::refuse_pipe;
use crate::print;
use crate::render::map;
use crate::source::{Sources, snapshot};

/// Prints the map of a disk.
pub(crate) fn run(args: &MapArgs) -> Result<Exit, Failure> {
    refuse_pipe(&args.file, "a map is made of a file, since the tables can be anywhere in it")?;
    let start = size_of("--start-offset", &args.start_offset)?;
    let len = args.max_length.as_deref().map(|text| size_of("--max-length", text)).transpose()?;
    let end = len.map_or(u64::MAX, |len| start.saturating_add(len));
    let sources = Sources::new(&args.source, [args.file.as_path()])?;
    let gate = CliGate::new(sources.paths(), &args.source.allow, args.source.force_share)?;
    let access = sources.access(&gate, args.snapshot.as_deref().map(snapshot));
    let mut printer = map::Printer::new(args.answer.form == OutputForm::Json);
    let mut lines = String::new();
    let result = imgfmt::map(sources.first()?, start..end, &access, &mut |entry| {
        lines.push_str(&printer.entry(entry));
        Ok(())
    });
    result.map_err(|error| gate.explain(error))?;
    lines.push_str(&printer.end());
    print::text(&lines)?;
    Ok(Exit::Done)
}

/// The bytes that an option's value means.
fn size_of(option: &str, text: &str) -> Result<u64, Failure> {
    Ok(parse_size(text).map_err(|e| e.context(format!("{option} cannot be {text}")))?)
}
