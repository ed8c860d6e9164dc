//! `imgfmt info`.

use imgfmt::inside::{Inside, to_json};
use imgfmt::{ImageInfo, InfoRequest};
use imgfmt_cli::args::{InfoArgs, OutputForm};
use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::gate::CliGate;
use crate::pipes::is_pipe;
use crate::print;
use crate::render::{info_json, info_text, inside_text};
use crate::source::Sources;

/// Describes an image.
pub(crate) fn run(args: &InfoArgs) -> Result<Exit, Failure> {
    if is_pipe(&args.file) {
        let what = "-: an image is described from a file, since what describes it can be anywhere in it";
        return Err(Failure::Usage(what.to_owned()));
    }
    let sources = Sources::new(&args.source, [args.file.as_path()])?;
    let gate = CliGate::new(sources.paths(), &args.source.allow, args.source.force_share)?;
    let layers = layers(args, &sources, &gate).map_err(|error| gate.explain(error))?;
    let inside = inside(args, &sources, &gate).map_err(|error| gate.explain(error))?;
    let text = match args.answer.form {
        OutputForm::Human => {
            let mut texts: Vec<_> = layers.iter().map(info_text::lines).collect();
            if let (Some(inside), Some(top)) = (&inside, texts.first_mut()) {
                top.push_str(&inside_text::lines(inside));
            }
            texts.join("\n")
        }
        OutputForm::Json => json(&layers, inside.as_ref(), args.backing_chain),
    };
    print::text(&text)?;
    Ok(Exit::Done)
}

/// The layers to describe.
fn layers(args: &InfoArgs, sources: &Sources, gate: &CliGate) -> imgfmt::Result<Vec<ImageInfo>> {
    let access = sources.access(gate, None);
    let mut layers = Vec::new();
    for source in &sources.list {
        let request = InfoRequest { format: source.format.as_deref(), count: !args.no_count, files: false };
        if args.backing_chain {
            layers.extend(imgfmt::chain_info(&source.path, &request, &access)?);
        } else {
            layers.push(imgfmt::info(&source.path, &request, &access)?);
        }
    }
    Ok(layers)
}

/// What lies on the disk, where that was asked for.
fn inside(args: &InfoArgs, sources: &Sources, gate: &CliGate) -> imgfmt::Result<Option<Inside>> {
    let Some(source) = sources.list.first().filter(|_| args.partitions) else {
        return Ok(None);
    };
    imgfmt::look_inside(&source.path, source.format.as_deref(), &sources.access(gate, None)).map(Some)
}

/// One object, or a list of them where the whole chain is described.
fn json(layers: &[ImageInfo], inside: Option<&Inside>, chain: bool) -> String {
    let mut objects: Vec<_> = layers.iter().map(info_json::object).collect();
    if let (Some(inside), Some(Value::Object(top))) = (inside, objects.first_mut()) {
        top.insert("inside".to_owned(), to_json(inside));
    }
    let value = if chain { objects.into() } else { objects.into_iter().next().unwrap_or(Value::Null) };
    format!("{value:#}\n")
}
