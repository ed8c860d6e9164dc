//! From costs to verdicts: what both renderers print.

use std::thread::available_parallelism;

use crate::measure::{Cost, Outcome, Setup, Side};
use crate::rows::{MAX_PEAK, Row};
use crate::stats::{Ratio, median};

/// All that was found.
#[derive(Debug)]
pub(crate) struct Report {
    /// Facts of the machine and the programs, in the order to print them.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// One entry a row.
    pub(crate) entries: Vec<Entry>,
}

/// What was found in a row.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The row.
    pub(crate) row: &'static Row,
    /// The costs, or why the row failed.
    pub(crate) outcome: Result<Outcome, String>,
}

/// The medians of one program's costs; of its peaks the highest, which is what a limit is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// Seconds on the clock.
    pub(crate) wall: f64,
    /// Seconds of processor time.
    pub(crate) cpu: f64,
    /// Bytes of memory.
    pub(crate) peak: u64,
}

/// How we stand against the peer, and against the floor.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Of the time on the clock.
    pub(crate) wall: Ratio,
    /// Of the processor time.
    pub(crate) cpu: Ratio,
    /// Which floors were missed: of `wall`, `cpu`, `peak`, `size`.
    pub(crate) missed: Vec<&'static str>,
}

impl Report {
    /// Puts the facts before the entries.
    pub(crate) fn new(setup: &Setup, entries: Vec<Entry>) -> Self {
        let cores = available_parallelism().map_or(0, usize::from);
        let facts = vec![
            ("imgfmt", setup.imgfmt_version.clone()),
            ("qemu-img", setup.qemu_img_version.clone()),
            ("disk", setup.folder.display().to_string()),
            ("cores", cores.to_string()),
            ("runs", setup.runs.to_string()),
            ("durable", setup.durable.to_string()),
        ];
        Self { facts, entries }
    }

    /// Whether a program failed or an output was wrong.
    pub(crate) fn has_failed(&self) -> bool {
        self.entries.iter().any(|entry| entry.outcome.is_err())
    }

    /// Whether a floor was missed.
    pub(crate) fn has_missed(&self) -> bool {
        let missed =
            |entry: &Entry| entry.outcome.as_ref().is_ok_and(|found| !found.verdict(entry.row).missed.is_empty());
        self.entries.iter().any(missed)
    }
}

impl Outcome {
    /// Holds the costs against the floor of `row`.
    pub(crate) fn verdict(&self, row: &Row) -> Verdict {
        let wall = self.ratio(|cost| cost.wall);
        let cpu = self.ratio(|cost| cost.cpu);
        let rules = [
            ("wall", wall.median >= row.floor.wall),
            ("cpu", row.floor.cpu.is_none_or(|floor| cpu.median >= floor)),
            ("peak", self.ours.summary().peak <= MAX_PEAK),
            ("size", !row.floor.no_larger || self.ours.output.len <= self.peer.output.len),
        ];
        let missed = rules.iter().filter(|(_, kept)| !kept).map(|(name, _)| *name).collect();
        Verdict { wall, cpu, missed }
    }

    /// The ratio of one kind of cost.
    fn ratio(&self, cost: fn(&Cost) -> f64) -> Ratio {
        Ratio::of(&self.peer.each(cost), &self.ours.each(cost))
    }
}

impl Side {
    /// Sums the runs up.
    pub(crate) fn summary(&self) -> Summary {
        Summary {
            wall: median(&self.each(|cost| cost.wall)),
            cpu: median(&self.each(|cost| cost.cpu)),
            peak: self.costs.iter().map(|cost| cost.peak).max().unwrap_or(0),
        }
    }

    /// One kind of cost, run by run.
    pub(crate) fn each(&self, cost: fn(&Cost) -> f64) -> Vec<f64> {
        self.costs.iter().map(cost).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Cost, Entry, MAX_PEAK, Outcome, Report, Side};
    use crate::measure::Size;
    use crate::rows::ROWS;

    /// A program that takes the same each time.
    fn side(wall: f64, cpu: f64, peak: u64, len: u64) -> Side {
        let costs = vec![Cost { wall, cpu, peak }; 3];
        Side { command: "convert".into(), costs, output: Size { len, allocated: len } }
    }

    /// A report of a kept row, a missed one and a failed one.
    pub(crate) fn report() -> Report {
        let kept = Outcome { ours: side(2.0, 3.0, 1 << 20, 50), peer: side(8.0, 9.0, 2 << 20, 50) };
        let missed = Outcome { ours: side(2.0, 3.0, 1 << 20, 51), peer: side(8.0, 9.0, 2 << 20, 50) };
        let outcomes = [Ok(kept), Ok(missed), Err("it broke".to_owned())];
        let entries = ROWS.iter().zip(outcomes).map(|(row, outcome)| Entry { row, outcome });
        Report { facts: vec![("runs", "3".to_owned())], entries: entries.collect() }
    }

    #[test]
    fn every_floor_is_named_that_is_missed() {
        let peer = side(7.0, 7.0, 1, 50);
        let outcome = Outcome { ours: side(2.0, 3.0, MAX_PEAK + 1, 51), peer };
        assert_eq!(outcome.verdict(&ROWS[0]).missed, ["wall", "cpu", "peak"]);
        assert_eq!(outcome.verdict(&ROWS[1]).missed, ["wall", "peak", "size"]);
    }

    #[test]
    fn a_report_tells_missed_from_failed() {
        let mut report = report();
        assert!(report.has_failed() && report.has_missed());
        report.entries.truncate(1);
        assert!(!report.has_failed() && !report.has_missed());
    }
}
