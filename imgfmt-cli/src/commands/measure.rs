//! `imgfmt measure`.

use imgfmt::options::parse_size;
use imgfmt::{MeasureRequest, MeasureSource, Options};
use imgfmt_cli::args::MeasureArgs;
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::gate::CliGate;
use crate::print;
use crate::render::text::size;
use crate::source::{Sources, snapshot};

/// Says how much a new image would take.
pub(crate) fn run(args: &MeasureArgs) -> Result<Exit, Failure> {
    let sources = Sources::new(&args.source, args.file.as_deref())?;
    let gate = CliGate::new(sources.paths(), &args.source.allow, args.source.force_share)?;
    let mut options = Options::default();
    for text in &args.options {
        options.extend(Options::parse(text)?);
    }
    let of = match &args.size {
        Some(text) => MeasureSource::Size(parse_size(text).map_err(|e| e.context(format!("--size cannot be {text}")))?),
        None => MeasureSource::Image(sources.first()?.clone()),
    };
    let request = MeasureRequest {
        source: of,
        target_format: args.target_format.clone(),
        options,
        access: sources.access(&gate, args.snapshot.as_deref().map(snapshot)),
    };
    let measured = imgfmt::measure(&request).map_err(|error| gate.explain(error))?;
    let mut value = json!({ "required": measured.required, "fully-allocated": measured.fully_allocated });
    if let (Some(bitmaps), Some(object)) = (measured.bitmaps, value.as_object_mut()) {
        object.insert("bitmaps".to_owned(), bitmaps.into());
    }
    print::answer(args.answer.form, false, &value, || {
        let bitmaps = measured.bitmaps.map(|bitmaps| format!("bitmaps size: {}\n", size(bitmaps)));
        format!(
            "required size: {}\nfully allocated size: {}\n{}",
            size(measured.required),
            size(measured.fully_allocated),
            bitmaps.unwrap_or_default()
        )
    })?;
    Ok(Exit::Done)
}
