//! `imgfmt check`: what was found, as text and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use imgfmt::{CheckReport, Finding, Findings, Severity};
use serde_json::{Map, Value, json};

use super::text::printable;

/// For people: each finding, and what it comes to.
pub(crate) fn text(report: &CheckReport) -> String {
    let mut text = String::new();
    for finding in report.findings.kept() {
        text.push_str(&line(finding));
    }
    let hidden = report.findings.total() - report.findings.kept().len() as u64;
    if hidden > 0 {
        // Writing to a string does not fail.
        let _ = writeln!(text, "... and {hidden} more");
    }
    text.push_str(&verdict(report));
    let stats = &report.stats;
    if stats.total_units > 0 {
        let percent = |part: u64, of: u64| if of == 0 { 0.0 } else { as_f64(part) * 100.0 / as_f64(of) };
        let _ = writeln!(
            text,
            "{}/{} units are stored ({:.2}%), {:.2}% of them fragmented, {:.2}% compressed",
            stats.allocated_units,
            stats.total_units,
            percent(stats.allocated_units, stats.total_units),
            percent(stats.fragmented_units, stats.allocated_units),
            percent(stats.compressed_units, stats.allocated_units),
        );
    }
    if let Some(end) = stats.image_end {
        let _ = writeln!(text, "the image ends at byte {end}");
    }
    text
}

/// One finding.
fn line(finding: &Finding) -> String {
    let place = match (finding.offset, finding.guest) {
        (Some(host), Some(guest)) => format!("byte {host}, guest byte {guest}: "),
        (Some(host), None) => format!("byte {host}: "),
        (None, Some(guest)) => format!("guest byte {guest}: "),
        (None, None) => String::new(),
    };
    let what = printable(&finding.what);
    let then = match (finding.fixed, finding.repair) {
        (true, _) => " (mended)".to_owned(),
        (false, Some(repair)) => format!(" (-r {} mends it)", repair.name()),
        (false, None) => String::new(),
    };
    format!("{}: {place}{what} [{}]{then}\n", finding.severity.name(), finding.id)
}

/// What the findings come to.
fn verdict(report: &CheckReport) -> String {
    let mut text = String::new();
    let fixed: u64 =
        [Severity::Corruption, Severity::Leak].map(|severity| report.findings.fixed(severity)).iter().sum();
    if fixed > 0 {
        text.push_str(&format!("{fixed} mended\n"));
    }
    let findings = report.after_repair.as_ref().unwrap_or(&report.findings);
    let damage = findings.open(Severity::Corruption);
    let leaks = findings.open(Severity::Leak);
    let unchecked = findings.open(Severity::Unchecked);
    if damage + leaks + unchecked == 0 {
        text.push_str("nothing is wrong with the image\n");
    }
    if damage > 0 {
        text.push_str(&format!("{damage} places are damaged\n"));
    }
    if leaks > 0 {
        text.push_str(&format!("{leaks} units of space are used by nothing\n"));
    }
    if unchecked > 0 {
        text.push_str(&format!("{unchecked} parts could not be checked\n"));
    }
    text
}

/// For programs: the names that `qemu-img check --output json` has, and the findings.
pub(crate) fn json(path: &Path, report: &CheckReport) -> Value {
    let after = report.after_repair.as_ref().unwrap_or(&report.findings);
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("filename", path.display().to_string().into());
    put("format", report.format.into());
    put("check-errors", after.open(Severity::Unchecked).into());
    let stats = &report.stats;
    let counts = [
        ("corruptions", after.open(Severity::Corruption)),
        ("leaks", after.open(Severity::Leak)),
        ("corruptions-fixed", report.findings.fixed(Severity::Corruption)),
        ("leaks-fixed", report.findings.fixed(Severity::Leak)),
        ("total-clusters", stats.total_units),
        ("allocated-clusters", stats.allocated_units),
        ("fragmented-clusters", stats.fragmented_units),
        ("compressed-clusters", stats.compressed_units),
        ("image-end-offset", stats.image_end.unwrap_or(0)),
    ];
    for (key, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        put(key, count.into());
    }
    put("findings-total", report.findings.total().into());
    put("findings", list(&report.findings));
    if let Some(after) = &report.after_repair {
        put("findings-after-repair", list(after));
    }
    object.into()
}

/// The findings, as objects.
fn list(findings: &Findings) -> Value {
    let object = |finding: &Finding| {
        json!({
            "id": finding.id, "severity": finding.severity.name(), "offset": finding.offset, "guest": finding.guest,
            "what": finding.what, "repair": finding.repair.map(imgfmt::Repair::name), "fixed": finding.fixed,
        })
    };
    findings.kept().iter().map(object).collect()
}

/// A count, for a fraction of it.
#[expect(clippy::cast_precision_loss, reason = "a fraction is shown with a few digits")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
