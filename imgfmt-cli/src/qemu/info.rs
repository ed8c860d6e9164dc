//! `qemu-img info`.

use std::collections::HashSet;
use std::path::PathBuf;

use imgfmt::{ImageInfo, Locking};
use serde_json::Value;

use super::common::{FORCE_SHARE, FORMAT, Form, IMAGE_OPTS, OBJECT, OUTPUT, form, only};
use super::fault::{Fault, Outcome, print, shown};
use super::getopt::Opt;
use super::image::Image;
use super::setting::Setting;
use super::{Call, Command, human, info_json, json};

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "info",
    summary: "Tell what an image is",
    operands: "FILE",
    options: &[FORMAT, IMAGE_OPTS, CHAIN, FORCE_SHARE, OUTPUT, CACHE, OBJECT],
    run,
};

/// Tells what an image is.
fn run(call: &Call<'_>) -> Outcome {
    let Call { command, parsed, .. } = call;
    let form = form(command, parsed)?;
    let name = only(command, parsed)?;
    let mut image = Image::new(name, parsed.get("format"), parsed.has("image-opts"))?;
    let mut setting = Setting::new(parsed)?;
    let chain = parsed.has("backing-chain");
    let mut layers = Vec::new();
    let mut seen = HashSet::new();
    if chain {
        seen.extend(image.path.canonicalize());
    }
    loop {
        image.settle_places(&mut setting)?;
        // Of the formats here, only this one has its bytes in files that may be opened just to be told of.
        let info = setting.describe(&image, image.format_name() == "vmdk")?;
        let next = if chain { below(&image, &info)? } else { None };
        layers.push(info);
        let Some(next) = next else { break };
        // A file that is not there is met when it is opened.
        if next.path.canonicalize().is_ok_and(|path| !seen.insert(path)) {
            return Err(Fault::new(format!("Backing file '{}' creates an infinite loop.", shown(&next.path))));
        }
        image = next;
    }
    print(&text(&layers, form, chain))?;
    Ok(0)
}

/// The files of an image and of those that it builds on, by their real paths, as far as they can be looked at.
pub(crate) fn files(image: &Image, setting: &Setting) -> HashSet<PathBuf> {
    let mut files = HashSet::new();
    let mut next = Some(image.clone());
    while let Some(mut image) = next.take() {
        let Ok(real) = image.path.canonicalize() else { break };
        if !files.insert(real) || image.settle(Locking::Ignore).is_err() {
            break;
        }
        let Ok(info) = setting.describe(&image, false) else { break };
        next = below(&image, &info).ok().flatten();
    }
    files
}

/// The image that `info` builds on.
fn below(image: &Image, info: &ImageInfo) -> Result<Option<Image>, Fault> {
    let Some((parent, path)) = info.description.parent.as_ref().zip(info.backing_path.as_ref()) else {
        return Ok(None);
    };
    let path = image.backing.first().unwrap_or(path);
    let (_, options) = image.options.split("backing.");
    let mut next = Image::file(path);
    next.options = options;
    next.backing = image.backing.iter().skip(1).cloned().collect();
    next.format = parent.format.as_deref().map(|format| Image::known(path, format)).transpose()?;
    Ok(Some(next))
}

/// The answer.
fn text(layers: &[ImageInfo], form: Form, chain: bool) -> String {
    match form {
        Form::Human => layers.iter().map(human::info).collect::<Vec<_>>().join("\n"),
        Form::Json => {
            let mut objects: Vec<_> = layers.iter().map(info_json::object).collect();
            let value = if chain { Value::from(objects) } else { objects.pop().unwrap_or_default() };
            json::text(&value)
        }
    }
}

/// Telling of what the image builds on, too.
const CHAIN: Opt =
    Opt { short: Some('b'), long: "backing-chain", value: "", help: "tell of every image that it builds on, too" };
/// The cache mode, which later versions have.
const CACHE: Opt = Opt { short: Some('t'), long: "cache", value: "CACHE", help: "known, and ignored" };
