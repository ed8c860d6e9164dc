//! What a check is to do, and what it has found.

use imgfmt_core::{CheckStats, Finding, Findings, OpenContext, Repair, Severity};

/// Which findings are told of: an extent that is mended is looked at more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// What is mended.
    Mended,
    /// Everything.
    All,
    /// Leaks; the rest is known already.
    Leaks,
}

/// A check, or a repair.
pub(super) struct Job<'a, 'f> {
    /// What may be used.
    pub(super) context: &'a OpenContext<'a>,
    /// What may be mended.
    repair: Option<Repair>,
    /// Where findings go.
    findings: &'f mut Findings,
    /// What was counted.
    pub(super) stats: CheckStats,
    /// Which findings are told of.
    pub(super) tells: Tells,
    /// How many of them have been mended.
    pub(super) mended: u64,
    /// Damage that is still there.
    pub(super) trouble: u64,
    /// Whether the last grain of an extent is stored only as far as the disk goes.
    pub(super) shares_tail: bool,
}

impl<'a, 'f> Job<'a, 'f> {
    /// A check, or a repair of what `repair` allows.
    pub(super) fn new(context: &'a OpenContext<'a>, repair: Option<Repair>, findings: &'f mut Findings) -> Self {
        Self {
            context,
            repair,
            findings,
            stats: CheckStats::default(),
            tells: Tells::All,
            mended: 0,
            trouble: 0,
            shares_tail: false,
        }
    }

    /// Whether what needs `repair` is mended.
    pub(super) fn mends(&self, repair: Repair) -> bool {
        self.repair.is_some_and(|allowed| allowed >= repair)
    }

    /// Whether `finding` is mended now.
    pub(super) fn mends_it(&self, finding: &Finding) -> bool {
        finding.repair.is_some_and(|needed| self.mends(needed))
    }

    /// Tells of a finding.
    pub(super) fn tell(&mut self, finding: Finding) {
        let open = !finding.fixed && matches!(finding.severity, Severity::Corruption | Severity::Unchecked);
        self.trouble += u64::from(open);
        self.mended += u64::from(finding.fixed);
        match self.tells {
            Tells::Mended if !finding.fixed => {}
            Tells::Leaks => {}
            Tells::All | Tells::Mended => self.findings.push(finding),
        }
    }

    /// Tells of a leak, which is told of whenever it is found.
    pub(super) fn tell_leak(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}
