//! What a repair may do to an image, given what is wrong with it.

use imgfmt_core::Repair;

/// What a first look at the whole image found that decides about its repair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// The refcount structures have to be made anew before a refcount can be written.
    pub(super) broken: bool,
    /// Clusters are used as things that cannot both be right: whoever writes one of them may destroy the other.
    pub(super) overlap: bool,
    /// Clusters may be in use that nothing seems to use.
    pub(super) incomplete: bool,
    /// The file ends inside an L2 table: only its refcounts tell whether entries have been lost.
    pub(super) table_cut: bool,
    /// The file ends inside or before a cluster that an entry names; to make it longer would pass something else for what
    /// is lost.
    pub(super) cut: bool,
}

/// What is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Refcounts that are too low are raised.
    pub(super) raise: bool,
    /// Refcounts that are too high are lowered.
    pub(super) lower: bool,
    /// COPIED flags are set and cleared.
    pub(super) flags: bool,
    /// Entries are cleared of what is no part of them.
    pub(super) entries: bool,
    /// The refcount structures are made anew.
    pub(super) rebuild: bool,
    /// The header is written.
    pub(super) header: bool,
    /// The dirty and the corrupt bit are cleared when nothing is left.
    pub(super) bits: bool,
}

impl Plan {
    /// Nothing is changed.
    pub(super) const CHECK: Self =
        Self { raise: false, lower: false, flags: false, entries: false, rebuild: false, header: false, bits: false };

    /// What `repair` does to an image of which `survey` is known.
    pub(super) fn new(repair: Repair, survey: Survey) -> Self {
        // Whatever is written may be a part of something else, or may make a table that was cut look whole.
        if survey.overlap || survey.table_cut {
            return Self::CHECK;
        }
        let all = repair == Repair::All;
        let rebuild = all && survey.broken && !survey.cut && !survey.incomplete;
        // Else a refcount block may be something else as well.
        let blocks = !survey.broken || rebuild;
        Self {
            raise: all && blocks,
            lower: blocks && !survey.incomplete,
            flags: blocks,
            entries: all && blocks,
            rebuild,
            header: true,
            bits: all,
        }
    }

    /// What becomes of a refcount of `stored` for a cluster that is used `counted` times.
    pub(super) fn refcount(self, stored: u64, counted: u64) -> u64 {
        if self.rebuild || (self.raise && stored < counted) || (self.lower && stored > counted) {
            counted
        } else {
            stored
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_wrong_is_not_written() {
        let plan = |repair, survey| Plan::new(repair, survey);
        let clear = Survey::default();
        let leaks = plan(Repair::Leaks, clear);
        assert!(leaks.lower && leaks.flags && !leaks.raise && !leaks.entries && !leaks.bits);
        let all = plan(Repair::All, clear);
        assert!(all.lower && all.raise && all.flags && all.entries && all.bits && !all.rebuild);
        let overlap = plan(Repair::All, Survey { overlap: true, ..clear });
        assert_eq!(overlap, Plan::CHECK);
        assert_eq!(plan(Repair::All, Survey { table_cut: true, ..clear }), Plan::CHECK);
        let incomplete = plan(Repair::All, Survey { incomplete: true, ..clear });
        assert!(!incomplete.lower && incomplete.raise && incomplete.flags);
        let broken = Survey { broken: true, ..clear };
        assert!(plan(Repair::All, broken).rebuild && plan(Repair::All, broken).lower);
        let leaks = plan(Repair::Leaks, broken);
        assert!(!leaks.rebuild && !leaks.lower && !leaks.flags);
        for worse in [Survey { overlap: true, ..broken }, Survey { incomplete: true, ..broken }] {
            let plan = plan(Repair::All, worse);
            assert!(!plan.rebuild && !plan.raise && !plan.lower && !plan.flags && !plan.entries);
        }
        assert!(!plan(Repair::All, Survey { cut: true, ..broken }).rebuild);
    }

    #[test]
    fn a_refcount_becomes_what_the_plan_allows() {
        let raise = Plan { raise: true, ..Plan::CHECK };
        let lower = Plan { lower: true, ..Plan::CHECK };
        assert_eq!((raise.refcount(1, 2), raise.refcount(2, 1)), (2, 2));
        assert_eq!((lower.refcount(1, 2), lower.refcount(2, 1)), (1, 1));
        assert_eq!((Plan::CHECK.refcount(1, 2), Plan::CHECK.refcount(2, 1)), (1, 2));
    }
}
