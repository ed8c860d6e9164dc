//! `qemu-img dd`.

use std::ffi::{OsStr, OsString};

use imgfmt::convert::{Cancel, Convert};
use imgfmt::{Access, DdRequest};

use super::common::{FORCE_SHARE, FORMAT, IMAGE_OPTS, OBJECT};
use super::create::{self, cannot_create};
use super::fault::{Fault, Outcome};
use super::formats::{self, RAW};
use super::getopt::{Opt, Parsed};
use super::image::Image;
use super::options::NewImage;
use super::report::error;
use super::setting::Setting;
use super::way::Way;
use super::{Call, Command, sizes};
use crate::render::text::printable;

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "dd",
    summary: "Copy a part of an image to a new one, in any format",
    operands: "if=FILE of=FILE [bs=SIZE] [count=BLOCKS] [skip=BLOCKS]",
    options: &[
        FORMAT,
        IMAGE_OPTS,
        Opt {
            short: Some('O'),
            long: "output-format",
            value: "FMT",
            help: "the format of the new image; raw without it",
        },
        FORCE_SHARE,
        OBJECT,
    ],
    run,
};

/// What the operands say.
struct Operands {
    /// The image to read.
    input: OsString,
    /// The image to make.
    output: OsString,
    /// Bytes of a block.
    block_size: u64,
    /// Blocks to copy.
    count: Option<u64>,
    /// Blocks to leave out in front.
    skip: u64,
}

/// Copies a part of an image.
fn run(call: &Call<'_>) -> Outcome {
    let parsed = &call.parsed;
    let format_name = parsed.get("output-format").map_or(RAW.into(), OsStr::to_string_lossy);
    let operands = Operands::new(parsed)?;
    let mut image = Image::new(&operands.input, parsed.get("format"), parsed.has("image-opts"))?;
    let setting = Setting::new(parsed)?;
    image.settle(setting.locking())?;
    let format = formats::named(&format_name).ok_or_else(|| Fault::new("Unknown file format"))?;
    let place = create::place(&operands.output)?;
    if let Some(why) = Way::driver(&format_name).or(place.way).and_then(|way| way.refusal_of_new(&place.path)) {
        return Err(Fault::new(format!("{}: error while creating output image: {why}", place.given)));
    }
    let output = place.path.clone();
    let size = setting.describe(&image, false)?.virtual_size;
    // QEMU counts from the start of the image, and not from where the copy starts.
    let size = operands.count.map_or(size, |count| count.saturating_mul(operands.block_size).min(size));
    if operands.skip.saturating_mul(operands.block_size) > size {
        error(&format!("{}: cannot skip to specified offset", image.given));
    }
    let cancel = Cancel::default();
    let mut remotes = image.remotes.clone();
    remotes.extend(&place.remotes);
    let request = DdRequest {
        input: image.source(),
        output: output.clone(),
        output_format: format.library.to_owned(),
        options: NewImage::new(parsed, format)?.options,
        block_size: operands.block_size,
        count: operands.count.map(|count| count.saturating_sub(operands.skip)),
        skip: operands.skip,
        output_size: None,
        in_place: false,
        access: Access { addresses: &remotes, ..setting.access(&image) },
        engine: Convert { cancel: cancel.clone(), ..Convert::default() },
    };
    call.watch(&cancel)?;
    let name = printable(&place.given);
    imgfmt::dd(&request).map_err(|error| {
        cannot_create(&place.given, &output, &error).within(&name, "error while creating output image")
    })?;
    Ok(0)
}

impl Operands {
    /// Reads them.
    fn new(parsed: &Parsed) -> Result<Self, Fault> {
        let (mut input, mut output) = (None, None);
        let (mut block_size, mut count, mut skip) = (SECTOR_LEN, None, 0);
        for operand in &parsed.operands {
            let text = operand.to_string_lossy();
            let (name, value) = text.split_once('=').unwrap_or((&text, ""));
            let value = OsStr::new(value);
            match name {
                "if" if text.contains('=') => input = Some(value.to_owned()),
                "of" if text.contains('=') => output = Some(value.to_owned()),
                "bs" => block_size = sizes::within(value, "bs", 1..=MAX_BLOCK)?,
                "count" => count = Some(sizes::count(value, "count")?),
                "skip" => skip = sizes::count(value, "skip")?,
                _ => return Err(Fault::new(format!("unrecognized operand {name}"))),
            }
        }
        match (input, output) {
            (Some(input), Some(output)) => Ok(Self { input, output, block_size, count, skip }),
            _ => Err(Fault::new("Must specify both input and output files")),
        }
    }
}

/// Bytes of a block where nothing is said.
const SECTOR_LEN: u64 = 512;
/// Largest block.
const MAX_BLOCK: u64 = i32::MAX as u64;
