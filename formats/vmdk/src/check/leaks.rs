//! Space that is taken and that no table leads to.

use std::ops::Range;

use imgfmt_core::{Finding, Repair, Result, Severity, Storage};

use super::extent::Subject;
use super::job::Job;
use super::usage::Usage;
use crate::layout::{SECTOR_LEN, byte_of};

/// Runs of sectors that nothing uses and that are not zero.
#[derive(Debug, Default)]
pub(super) struct Leaks {
    /// The first of them.
    runs: Vec<Range<u64>>,
    /// Bytes of others.
    left_out: u64,
}

impl Leaks {
    /// Finds those in the window of `usage`. What lies before the first grain is room for metadata.
    pub(super) fn find(&mut self, subject: &Subject<'_>, usage: &Usage) -> Result<()> {
        let mut runs = Vec::new();
        usage.each_free_run(subject.header.overhead, |run| {
            if runs.len() < MAX_RUNS {
                runs.push(run);
            }
        });
        for run in runs {
            let bytes = byte_of(run.start)..byte_of(run.end).min(subject.storage().len());
            if is_zero(subject.storage(), bytes.clone())? {
                continue;
            }
            if self.runs.len() < MAX_RUNS {
                self.runs.push(run);
            } else {
                self.left_out += bytes.end - bytes.start;
            }
        }
        Ok(())
    }

    /// Tells of them, and gives their space back where that is allowed. Where tables are in doubt, what none of them leads
    /// to may be what they should lead to, and nothing is told.
    pub(super) fn settle(&self, job: &mut Job<'_, '_>, subject: &Subject<'_>) -> Result<()> {
        if job.trouble > 0 {
            return Ok(());
        }
        let frees = job.mends(Repair::Leaks);
        let sectors = subject.file_sectors();
        for run in &self.runs {
            if frees {
                free(subject, run, run.end == sectors)?;
            }
            let what = format!("{} bytes are taken by what no table leads to", byte_of(run.end - run.start));
            let finding = Finding::new("vmdk-leak", Severity::Leak, what).at(byte_of(run.start));
            job.tell_leak(finding.mended_by(Repair::Leaks).fixed(frees));
        }
        if self.left_out > 0 {
            let what = format!("{} more bytes are taken by what no table leads to", self.left_out);
            job.tell_leak(Finding::new("vmdk-leak", Severity::Leak, what).mended_by(Repair::Leaks));
        }
        if frees && !self.runs.is_empty() {
            subject.file.target()?.sync()?;
        }
        Ok(())
    }
}

/// Gives back the space of `run`; with the end of the file, the file becomes shorter.
fn free(subject: &Subject<'_>, run: &Range<u64>, ends_file: bool) -> Result<()> {
    let target = subject.file.target()?;
    let (start, end) = (byte_of(run.start), byte_of(run.end).min(subject.storage().len()));
    if ends_file && target.set_len(start).is_ok() {
        return Ok(());
    }
    target.clear(start..end)
}

/// Whether the host bytes of `range` are all zero.
fn is_zero(storage: &dyn Storage, range: Range<u64>) -> Result<bool> {
    let mut at = range.start;
    let mut buf = vec![0; READ_LEN];
    while at < range.end {
        let segment = storage.segment(at)?;
        let end = at.saturating_add(segment.len.get()).min(range.end);
        if segment.hole {
            at = end;
            continue;
        }
        let len = usize::try_from(end - at).unwrap_or(READ_LEN).min(READ_LEN);
        storage.read_at(&mut buf[..len], at)?;
        if buf[..len].iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        at += len as u64;
    }
    Ok(true)
}

/// Runs that are kept at most, in each window and in all.
const MAX_RUNS: usize = 1 << 18;
/// Bytes that are read at once.
const READ_LEN: usize = 128 * SECTOR_LEN as usize;
