//! `qemu-img check`.

use std::ffi::OsStr;

use imgfmt::convert::{Cancel, Convert};
use imgfmt::{CheckReport, CheckRequest, CheckStats, ErrorKind, FORMATS, Findings, InfoRequest, Repair, Severity};
use serde_json::{Map, Value};

use super::common::{
    FORCE_SHARE, FORMAT, Form, IMAGE_OPTS, OBJECT, OUTPUT, QUIET, SOURCE_CACHE, check_source_cache, form, only,
};
use super::fault::{Fault, Outcome, print};
use super::formats::PARALLELS;
use super::getopt::Opt;
use super::image::Image;
use super::report::stderr;
use super::setting::Setting;
use super::{Call, Command, json};
use crate::render::text::printable;

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "check",
    summary: "Look for damage in an image, and mend it",
    operands: "FILE",
    options: &[QUIET, FORMAT, IMAGE_OPTS, SOURCE_CACHE, REPAIR, FORCE_SHARE, OUTPUT, OBJECT],
    run,
};

/// Looks for damage.
fn run(call: &Call<'_>) -> Outcome {
    let Call { command, parsed, .. } = call;
    let form = form(command, parsed)?;
    let repair = match parsed.get("repair").map(OsStr::to_string_lossy).as_deref() {
        None => None,
        Some("leaks") => Some(Repair::Leaks),
        Some("all") => Some(Repair::All),
        Some(other) => {
            let what = format!("--repair (-r) expects 'leaks' or 'all' not '{other}'");
            return Err(Fault::usage(command, what));
        }
    };
    let name = only(command, parsed)?;
    check_source_cache(parsed, "cache")?;
    let mut image = Image::new(name, parsed.get("format"), parsed.has("image-opts"))?;
    let mut setting = Setting::new(parsed)?;
    if repair.is_some() && setting.force_share {
        let what = "force-share=on can only be used with read-only images";
        return Err(Fault::new(format!("Could not open '{}': {what}", image.given)));
    }
    if repair.is_some() {
        image.settle_to_write()?
    } else {
        image.settle_places(&mut setting).map(drop)?
    }
    if !is_supported(&image, repair) {
        // One that cannot even be opened is not one that is sound as far as can be known.
        require_whole(&image, &setting)?;
        return Err(Fault::new("This image format does not support checks").with_code(UNSUPPORTED));
    }
    let cancel = Cancel::default();
    let request = CheckRequest {
        progress: None,
        source: image.source(),
        repair,
        deep: false,
        threads: Convert::default().threads,
        cancel: cancel.clone(),
        access: setting.access(&image),
    };
    call.watch(&cancel)?;
    let mut report = imgfmt::check(&request).map_err(|error| image.cannot_open(&error))?;
    tell(&report);
    let last = report.after_repair.as_ref().unwrap_or(&report.findings);
    let open = Open::new(image.format_name(), last);
    if !COUNTED.contains(&image.format_name()) {
        report.stats = CheckStats::default();
    }
    match form {
        _ if parsed.has("quiet") => {}
        Form::Json => print(&json::text(&object(&image, &report, open)))?,
        Form::Human => print(&human(&report, open))?,
    }
    Ok(open.code())
}

/// Whether images of the format can be looked at, or mended. Callers rely on the exit code for those that QEMU does not
/// look at.
fn is_supported(image: &Image, repair: Option<Repair>) -> bool {
    if !CHECKED.contains(&image.format_name()) {
        return false;
    }
    let library = image.library_format();
    let check = FORMATS.iter().find(|format| format.name() == library).and_then(|format| format.abilities().check);
    check.is_some_and(|check| repair.is_none_or(|_| check.repairs().is_some()))
}

/// Checks that an image that nobody looks at can be opened. One of a format that is not read here is not tried.
fn require_whole(image: &Image, setting: &Setting) -> Result<(), Fault> {
    let request = InfoRequest { format: Some(image.library_format()), count: false, files: false };
    match imgfmt::info(&image.path, &request, &setting.access(image)) {
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(image.cannot_open(&error)),
        _ => Ok(()),
    }
}

/// Tells on standard error of everything that was found.
pub(crate) fn tell(report: &CheckReport) {
    let mut text = String::new();
    for finding in report.findings.kept() {
        let word = match finding.severity {
            _ if finding.fixed => "Repairing",
            Severity::Leak => "Leaked",
            Severity::Warning => "WARNING",
            Severity::Corruption | Severity::Unchecked => "ERROR",
        };
        let at = finding.offset.map(|offset| format!(" host byte {offset}:")).unwrap_or_default();
        let guest = finding.guest.map(|guest| format!(" (guest byte {guest})")).unwrap_or_default();
        text.push_str(&format!("{word}{at} {}{guest} [{}]\n", printable(&finding.what), finding.id));
    }
    stderr(&text);
}

/// What is wrong and has not been mended, as QEMU counts it.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Damage.
    corruptions: u64,
    /// Space that nothing uses.
    leaks: u64,
    /// What could not be looked at.
    unchecked: u64,
}

impl Open {
    /// What of `findings` is left in an image of `format`.
    fn new(format: &str, findings: &Findings) -> Self {
        let open = |severity| findings.open(severity);
        let (mut corruptions, mut leaks) = (open(Severity::Corruption), open(Severity::Leak));
        if format == VDI {
            // A count that is not that of the blocks is one error to QEMU, which knows no leaks there.
            corruptions = corruptions.max(leaks.min(1));
            leaks = 0;
        }
        Self { corruptions, leaks, unchecked: open(Severity::Unchecked) }
    }

    /// The exit code.
    fn code(self) -> u8 {
        match self {
            _ if self.unchecked > 0 => 1,
            _ if self.corruptions > 0 => CORRUPT,
            _ if self.leaks > 0 => LEAKS,
            _ => 0,
        }
    }
}

/// The answer for programs.
fn object(image: &Image, report: &CheckReport, open: Open) -> Value {
    let stats = &report.stats;
    let fixed = |severity| report.findings.fixed(severity);
    let mut object = Map::new();
    let mut put = |key: &str, value: u64| {
        if value > 0 {
            object.insert(key.to_owned(), value.into());
        }
    };
    put("image-end-offset", stats.image_end.unwrap_or(0));
    put("total-clusters", stats.total_units);
    put("corruptions", open.corruptions);
    put("leaks", open.leaks);
    put("corruptions-fixed", fixed(Severity::Corruption));
    put("leaks-fixed", fixed(Severity::Leak));
    put("allocated-clusters", stats.allocated_units);
    put("fragmented-clusters", stats.fragmented_units);
    put("compressed-clusters", stats.compressed_units);
    object.insert("check-errors".to_owned(), open.unchecked.into());
    object.insert("filename".to_owned(), image.path.to_string_lossy().into());
    object.insert("format".to_owned(), image.format_name().into());
    object.into()
}

/// The answer for people.
fn human(report: &CheckReport, open: Open) -> String {
    let mut text = String::new();
    let fixed = report.findings.fixed(Severity::Leak) + report.findings.fixed(Severity::Corruption);
    if report.after_repair.is_some() && fixed > 0 {
        let (leaks, corruptions) = (report.findings.fixed(Severity::Leak), report.findings.fixed(Severity::Corruption));
        text.push_str(&format!(
            "The following inconsistencies were found and repaired:\n\n    {leaks} leaked clusters\n    {corruptions} corruptions\n\n\
             Double checking the fixed image now...\n"
        ));
    }
    let Open { corruptions, leaks, unchecked } = open;
    if corruptions + leaks + unchecked == 0 {
        text.push_str("No errors were found on the image.\n");
    }
    if corruptions > 0 {
        text.push_str(&format!(
            "\n{corruptions} errors were found on the image.\n\
             Data may be corrupted, or further writes to the image may corrupt it.\n"
        ));
    }
    if leaks > 0 {
        text.push_str(&format!(
            "\n{leaks} leaked clusters were found on the image.\n\
             This means waste of disk space, but no harm to data.\n"
        ));
    }
    if unchecked > 0 {
        text.push_str(&format!("\n{unchecked} internal errors have occurred during the check.\n"));
    }
    statistics(&mut text, report);
    text
}

/// Adds what was counted.
fn statistics(text: &mut String, report: &CheckReport) {
    let stats = &report.stats;
    if stats.total_units > 0 && stats.allocated_units > 0 {
        let (all, stored) = (stats.total_units, stats.allocated_units);
        text.push_str(&format!(
            "{stored}/{all} = {:.2}% allocated, {:.2}% fragmented, {:.2}% compressed clusters\n",
            percent(stored, all),
            percent(stats.fragmented_units, stored),
            percent(stats.compressed_units, stored),
        ));
    }
    if let Some(end) = stats.image_end.filter(|end| *end > 0) {
        text.push_str(&format!("Image end offset: {end}\n"));
    }
}

/// How many of a hundred.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn percent(part: u64, all: u64) -> f64 {
    part as f64 * 100.0 / all as f64
}

/// Mending what was found.
const REPAIR: Opt =
    Opt { short: Some('r'), long: "repair", value: "leaks|all", help: "mend what was found, in the image itself" };
/// Formats that QEMU looks at.
const CHECKED: [&str; 5] = ["qcow2", "vdi", "vhdx", "vmdk", PARALLELS];
/// Formats of which QEMU counts what they hold.
const COUNTED: [&str; 2] = ["qcow2", PARALLELS];
/// The format in which all that is wrong is damage to QEMU.
const VDI: &str = "vdi";
/// The exit code for an image that is damaged.
const CORRUPT: u8 = 2;
/// The exit code for an image that only takes more space than it needs.
const LEAKS: u8 = 3;
/// The exit code for a format that cannot be checked.
const UNSUPPORTED: u8 = 63;
