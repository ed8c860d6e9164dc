//! `qemu-img bench`.

use std::ffi::OsStr;

use imgfmt::{BenchRequest, ErrorKind};

use super::common::{self, CACHE, FORCE_SHARE, FORMAT, IMAGE_OPTS, OBJECT, QUIET, only};
use super::fault::{Fault, Outcome, print};
use super::getopt::{Opt, Parsed};
use super::image::Image;
use super::setting::Setting;
use super::{Call, Command, sizes};

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "bench",
    summary: "Time reading from an image, or writing to it",
    operands: "FILE",
    options: &[
        QUIET,
        FORMAT,
        IMAGE_OPTS,
        CACHE,
        Opt { short: Some('c'), long: "count", value: "COUNT", help: "requests; 75000 without it" },
        Opt { short: Some('d'), long: "depth", value: "DEPTH", help: "requests at a time; 64 without it" },
        Opt { short: Some('o'), long: "offset", value: "OFFSET", help: "where the first request starts; 0 without it" },
        Opt { short: Some('s'), long: "buffer-size", value: "SIZE", help: "bytes of a request; 4096 without it" },
        Opt {
            short: Some('S'),
            long: "step-size",
            value: "SIZE",
            help: "bytes from one request to the next; as many as it has without it",
        },
        Opt {
            short: Some('i'),
            long: "aio",
            value: "AIO",
            help: "known and checked: reading and writing is done by threads",
        },
        Opt { short: Some('n'), long: "native", value: "", help: "known, as --aio" },
        Opt { short: Some('w'), long: "write", value: "", help: "write, and not read; what was there is lost" },
        Opt { short: None, long: "pattern", value: "BYTE", help: "the byte to write; 0 without it" },
        Opt { short: None, long: "flush-interval", value: "NUM", help: "flush after so many requests" },
        Opt { short: None, long: "no-drain", value: "", help: "do not wait for requests in order to flush" },
        FORCE_SHARE,
        OBJECT,
    ],
    run,
};

/// Times requests.
fn run(call: &Call<'_>) -> Outcome {
    let Call { command, parsed, .. } = call;
    let numbers = Numbers::new(parsed)?;
    common::is_flushed(parsed, "cache", "writeback")?;
    let write = parsed.has("write");
    if numbers.flush_interval > 0 && !write {
        return Err(Fault::new("--flush-interval is only available in write tests"));
    }
    if numbers.flush_interval > 0 && numbers.flush_interval < numbers.depth {
        return Err(Fault::new("Flush interval can't be smaller than depth"));
    }
    let name = only(command, parsed)?;
    check_native(parsed, name)?;
    let mut image = Image::new(name, parsed.get("format"), parsed.has("image-opts"))?;
    let setting = Setting::new(parsed)?;
    if write && setting.force_share {
        let what = "force-share=on can only be used with read-only images";
        return Err(Fault::new(format!("Could not open '{}': {what}", image.given)));
    }
    if write {
        image.settle_to_write()?
    } else {
        image.settle(setting.locking()).map(drop)?
    }
    let kind = if write { "write" } else { "read" };
    let Numbers { count, depth, buffer_size, step, offset, .. } = numbers;
    print(&format!(
        "Sending {count} {kind} requests, {buffer_size} bytes each, {depth} in parallel (starting at offset {offset}, \
         step size {})\n",
        step.unwrap_or(buffer_size)
    ))?;
    if write && !parsed.has("no-drain") && numbers.flush_interval > 0 {
        print(&format!("Sending flush every {} requests\n", numbers.flush_interval))?;
    } else if write && numbers.flush_interval > 0 {
        print(&format!("Sending flush every {} requests without draining\n", numbers.flush_interval))?;
    }
    let request = BenchRequest {
        source: image.source(),
        count,
        depth: u32::try_from(depth).unwrap_or(u32::MAX),
        buffer_size,
        step,
        offset,
        write,
        pattern: numbers.pattern,
        flush_interval: Some(numbers.flush_interval).filter(|interval| *interval > 0),
        // Without flushes there is nothing to wait for.
        no_drain: parsed.has("no-drain") && numbers.flush_interval > 0,
        access: setting.access(&image),
    };
    let result = imgfmt::bench(&request).map_err(|error| match error.kind() {
        ErrorKind::Locked => image.cannot_open(&error),
        _ => Fault::of("Failed request", &error),
    })?;
    print(&format!("Run completed in {:.3} seconds.\n", result.elapsed.as_secs_f64()))?;
    Ok(0)
}

/// Refuses a way to read and write that QEMU has with some cache modes alone.
fn check_native(parsed: &Parsed, name: &OsStr) -> Result<(), Fault> {
    let is =
        |option: &str, words: &[&str]| parsed.get(option).is_some_and(|text| words.iter().any(|word| text == *word));
    if !(parsed.has("native") || is("aio", &["native"])) || is("cache", DIRECT) {
        return Ok(());
    }
    let what = "aio=native was specified, but it requires cache.direct=on, which was not specified.";
    Err(Fault::new(format!("Could not open '{}': {what}", name.to_string_lossy())))
}

/// The numbers on the command line.
struct Numbers {
    /// Requests.
    count: u64,
    /// Requests at a time.
    depth: u64,
    /// Bytes of a request.
    buffer_size: u64,
    /// Bytes from one request to the next.
    step: Option<u64>,
    /// Where the first starts.
    offset: u64,
    /// The byte to write.
    pattern: u8,
    /// Requests from one flush to the next; 0 for none.
    flush_interval: u64,
}

impl Numbers {
    /// Reads them.
    fn new(parsed: &Parsed) -> Result<Self, Fault> {
        let number = |name: &str, what: &str, least: u64, most: u64, default: u64| match parsed.get(name) {
            Some(text) => sizes::within(text, what, least..=most),
            None => Ok(default),
        };
        if let Some(aio) = parsed.get("aio").map(OsStr::to_string_lossy).filter(|aio| !AIO.contains(&aio.as_ref())) {
            return Err(Fault::new(format!("Invalid aio option: {aio}")));
        }
        let step = number("step-size", "step size", 0, MOST, 0)?;
        Ok(Self {
            count: number("count", "request count", 1, MOST, 75_000)?,
            depth: number("depth", "queue depth", 1, MOST, 64)?,
            buffer_size: number("buffer-size", "buffer size", 1, MOST, 4096)?,
            step: Some(step).filter(|step| *step > 0),
            offset: number("offset", "offset", 0, sizes::MAX_SIZE, 0)?,
            pattern: u8::try_from(number("pattern", "pattern byte", 0, 255, 0)?).unwrap_or(0),
            flush_interval: number("flush-interval", "flush interval", 0, MOST, 0)?,
        })
    }
}

/// QEMU's ways to read and write.
const AIO: [&str; 3] = ["threads", "native", "io_uring"];
/// Cache modes that go by the cache of the system.
const DIRECT: &[&str] = &["none", "off", "directsync"];
/// The largest of most numbers.
const MOST: u64 = i32::MAX as u64;
