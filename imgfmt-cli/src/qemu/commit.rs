//! `qemu-img commit`.

use std::path::PathBuf;

use imgfmt::convert::{Cancel, Progress};
use imgfmt::{CommitRequest, ErrorKind};

use super::common::{self, CACHE, FORMAT, IMAGE_OPTS, OBJECT, PROGRESS, QUIET, only};
use super::create;
use super::fault::{Fault, Outcome, print, told};
use super::getopt::Opt;
use super::image::Image;
use super::mend::mend_unclean;
use super::progress::Meter;
use super::setting::Setting;
use super::{Call, Command, sizes};

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "commit",
    summary: "Put what an image holds into the file that it builds on",
    operands: "FILE",
    options: &[
        QUIET,
        PROGRESS,
        FORMAT,
        IMAGE_OPTS,
        CACHE,
        Opt { short: Some('d'), long: "drop", value: "", help: "do not empty the image in the end" },
        Opt {
            short: Some('b'),
            long: "base",
            value: "FILE",
            help: "into this file of the chain, and not the next; implies -d",
        },
        Opt { short: Some('r'), long: "rate", value: "RATE", help: "bytes a second at most" },
        OBJECT,
    ],
    run,
};

/// Commits.
fn run(call: &Call<'_>) -> Outcome {
    let Call { command, parsed, .. } = call;
    let name = only(command, parsed)?;
    common::is_flushed(parsed, "cache", "writeback")?;
    let rate = parsed.get("rate").map(|rate| sizes::size(rate, "rate limit")).transpose()?;
    let mut image = Image::new(name, parsed.get("format"), parsed.has("image-opts"))?;
    let mut setting = Setting::new(parsed)?;
    setting.gate.write_parents();
    image.settle_to_write()?;
    mend_unclean(&image, &setting)?;
    let base = parsed.get("base").map(create::place).transpose()?.map(|base| base.path);
    let meter = Meter::new(parsed);
    let report = |progress: Progress| meter.report(progress);
    let cancel = Cancel::default();
    let request = CommitRequest {
        source: image.source(),
        keep: parsed.has("drop") || base.is_some(),
        base: base.clone(),
        rate_limit: rate.filter(|rate| *rate > 0),
        progress: Some(&report),
        cancel: cancel.clone(),
        access: setting.access(&image),
    };
    call.watch(&cancel)?;
    let result = imgfmt::commit(&request);
    meter.finish(result.is_ok());
    result.map_err(|error| cannot_commit(&image, base, &error))?;
    if !parsed.has("quiet") {
        print("Image committed.\n")?;
    }
    Ok(0)
}

/// Why it cannot be done.
fn cannot_commit(image: &Image, base: Option<PathBuf>, error: &imgfmt::Error) -> Fault {
    let parent = image.parent();
    match (error.kind(), base) {
        (ErrorKind::Locked | ErrorKind::Refused, _) => image.cannot_open(error),
        _ if parent.is_none() => Fault::new("Image does not have a backing file"),
        (ErrorKind::Missing | ErrorKind::Invalid, Some(base)) => Fault::new(format!(
            "Did not find '{}' in the backing chain of '{}' ({})",
            base.display(),
            image.given,
            told(error)
        )),
        (ErrorKind::Missing, None) => image.cannot_open(error),
        _ if image.is_corrupt() => image.corrupt(),
        _ => Fault::of("Could not commit the image", error),
    }
}
