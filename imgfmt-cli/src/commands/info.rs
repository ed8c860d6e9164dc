//! `imgfmt info`.

use std::io::{self, Write};

use imgfmt::{Access, ImageInfo};
use imgfmt_cli::args::{InfoArgs, OutputForm};
use serde_json::Value;

use crate::failure::Failure;
use crate::gate::CliGate;
use crate::render::{info_json, info_text};

/// Describes an image.
pub(crate) fn run(args: &InfoArgs) -> Result<(), Failure> {
    refuse_what_is_missing(args)?;
    let gate = CliGate::new(std::iter::once(args.file.as_path()), &args.allow)?;
    let layers = layers(args, &gate).map_err(|error| gate.explain(error))?;
    let text = match args.output {
        OutputForm::Human => layers.iter().map(info_text::lines).collect::<Vec<_>>().join("\n"),
        OutputForm::Json => json(&layers, args.backing_chain),
    };
    io::stdout().lock().write_all(text.as_bytes()).map_err(|e| Failure::System("cannot print", e))
}

/// The layers to describe.
fn layers(args: &InfoArgs, gate: &CliGate) -> imgfmt::Result<Vec<ImageInfo>> {
    let access = Access { gate, ..Access::default() };
    let (file, format, count) = (args.file.as_path(), args.format.as_deref(), !args.no_count);
    if args.backing_chain {
        imgfmt::chain_info(file, format, &access, count)
    } else {
        Ok(vec![imgfmt::info(file, format, &access, count)?])
    }
}

/// One object, or a list of them where the whole chain is described.
fn json(layers: &[ImageInfo], chain: bool) -> String {
    let mut objects = layers.iter().map(info_json::object);
    let value = if chain { objects.collect() } else { objects.next().unwrap_or(Value::Null) };
    format!("{value:#}\n")
}

/// Says no to what this version does not have, and what to do instead.
fn refuse_what_is_missing(args: &InfoArgs) -> Result<(), Failure> {
    let what = match args {
        _ if args.file.as_os_str() == "-" => {
            "- as the image: images cannot be read from a pipe in this version; write it to a file first"
        }
        InfoArgs { image_opts: true, .. } => {
            "--image-opts: not in this version; give the image as a path, and its format with -f"
        }
        _ if !args.object.is_empty() => "--object: not needed to describe an image; leave it out",
        _ => return Ok(()),
    };
    Err(Failure::Usage(what.to_owned()))
}
