//! What a check tells.

use super::Repair;

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is lost, and nothing will be.
    Warning,
    /// Space that nothing uses. No harm, but for the space.
    Leak,
    /// A part of the image could not be looked at.
    Unchecked,
    /// Guest bytes are wrong or cannot be read, or will be once somebody writes.
    Corruption,
}

impl Severity {
    /// The word for it in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Leak => "leak",
            Self::Unchecked => "unchecked",
            Self::Corruption => "corruption",
        }
    }
}

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing it is: `format-part-fault` in kebab case. Stable: scripts may rely on it.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The host byte at which it was seen, in the image's own file.
    pub offset: Option<u64>,
    /// The guest byte that it concerns.
    pub guest: Option<u64>,
    /// What was seen, in one line.
    pub what: String,
    /// The least repair that mends it; `None` where no repair can.
    pub repair: Option<Repair>,
    /// Whether it has been mended.
    pub fixed: bool,
}

impl Finding {
    /// A finding without a place that nothing mends.
    #[must_use]
    pub fn new(id: &'static str, severity: Severity, what: impl Into<String>) -> Self {
        Self { id, severity, offset: None, guest: None, what: what.into(), repair: None, fixed: false }
    }

    /// The same finding, at host byte `offset`.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// The same finding, about guest byte `guest`.
    #[must_use]
    pub fn guest(mut self, guest: u64) -> Self {
        self.guest = Some(guest);
        self
    }

    /// The same finding, which `repair` mends.
    #[must_use]
    pub fn mended_by(mut self, repair: Repair) -> Self {
        self.repair = Some(repair);
        self
    }

    /// The same finding, mended or not.
    #[must_use]
    pub fn fixed(mut self, fixed: bool) -> Self {
        self.fixed = fixed;
        self
    }
}

/// Everything that a check found: all of it counted, and as much of it kept as is of use.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The first ones, in the order in which they were found.
    kept: Vec<Finding>,
    /// How many there are, by severity, and how many of them are fixed.
    counts: [Count; 4],
}

/// How many findings there are of a severity.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// All of them.
    all: u64,
    /// Those that have been mended.
    fixed: u64,
}

impl Findings {
    /// No findings yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        let count = &mut self.counts[finding.severity as usize];
        count.all += 1;
        count.fixed += u64::from(finding.fixed);
        if self.kept.len() < MAX_KEPT {
            self.kept.push(finding);
        }
    }

    /// Adds one that `least` mends, if anything does; returns whether it is mended by what is `allowed`.
    pub fn push_mended(&mut self, finding: Finding, least: Option<Repair>, allowed: Option<Repair>) -> bool {
        let Some(least) = least else {
            self.push(finding);
            return false;
        };
        let now = allowed.is_some_and(|allowed| least <= allowed);
        self.push(finding.mended_by(least).fixed(now));
        now
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&others.counts) {
            count.all += more.all;
            count.fixed += more.fixed;
        }
        let room = MAX_KEPT - self.kept.len();
        self.kept.extend(others.kept.iter().take(room).cloned());
    }

    /// The first of them, in the order in which they were found: [`MAX_KEPT`] at most.
    #[must_use]
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    /// How many of this severity there are that have not been mended.
    #[must_use]
    pub fn open(&self, severity: Severity) -> u64 {
        let count = self.counts[severity as usize];
        count.all - count.fixed
    }

    /// How many of this severity have been mended.
    #[must_use]
    pub fn fixed(&self, severity: Severity) -> u64 {
        self.counts[severity as usize].fixed
    }

    /// Whether anything has been mended.
    #[must_use]
    pub fn is_any_fixed(&self) -> bool {
        self.counts.iter().any(|count| count.fixed > 0)
    }

    /// How many there are in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| count.all).sum()
    }
}

/// Findings that are kept: a damaged table can have millions.
pub const MAX_KEPT: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_findings_are_counted_and_the_first_are_kept() {
        let mut findings = Findings::new();
        for _ in 0..MAX_KEPT + 5 {
            findings.push(Finding::new("x-leak", Severity::Leak, "nothing uses it"));
        }
        assert!(!findings.is_any_fixed());
        findings.push(Finding::new("x-bad", Severity::Corruption, "is wrong").fixed(true));
        assert_eq!((findings.kept().len(), findings.total()), (MAX_KEPT, MAX_KEPT as u64 + 6));
        assert!(findings.is_any_fixed());
        assert_eq!(findings.open(Severity::Leak), MAX_KEPT as u64 + 5);
        assert_eq!((findings.open(Severity::Corruption), findings.fixed(Severity::Corruption)), (0, 1));
    }
}
