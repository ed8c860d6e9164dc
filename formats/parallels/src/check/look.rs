//! The look at an image.

use imgfmt_core::storage::is_device;
use imgfmt_core::{CheckStats, Finding, Findings, OpenContext, Repair, Result, Severity, Storage};

use super::plan::{Fault, Looked, Plan, Wrong};
use crate::bat::Bat;
use crate::header::Header;
use crate::layout::{DATA_OFFSET_AT, ENTRIES_AT, EXTENSION_AT, IN_USE_AT, SECTOR_LEN};

/// Looks at the image in `storage`; what `allowed` mends is told as mended.
pub(super) fn look(
    storage: &dyn Storage,
    context: &OpenContext<'_>,
    allowed: Option<Repair>,
    findings: &mut Findings,
) -> Result<Looked> {
    context.without_snapshots()?;
    let header = Header::read(storage, context.limits)?;
    let stats = CheckStats { total_units: u64::from(header.entries), ..CheckStats::default() };
    if header.bat_end() > storage.len() {
        let what = format!("the BAT ends at byte {}, but the file at byte {}", header.bat_end(), storage.len());
        findings.push(Finding::new("parallels-bat-outside", Severity::Corruption, what).at(ENTRIES_AT as u64));
        return Ok(Looked { stats, plan: None });
    }
    let bat = Bat::read(storage, &header, context.limits)?;
    let look = Look { len: storage.len(), on_device: is_device(storage)?, header, allowed, findings };
    Ok(look.run(&bat, stats))
}

/// A look at the clusters of an image.
struct Look<'a> {
    /// Bytes of the file.
    len: u64,
    /// Whether that is a device, which has a rest.
    on_device: bool,
    /// The header.
    header: Header,
    /// What may be mended.
    allowed: Option<Repair>,
    /// Where everything is told.
    findings: &'a mut Findings,
}

/// What the entries say.
#[derive(Default)]
struct Seen {
    /// Those that are wrong.
    wrong: Vec<Wrong>,
    /// Where the first cluster begins that is in the file.
    first: Option<u64>,
    /// Where the last cluster ends that is in the file, if only in part.
    end: u64,
    /// Clusters in front of others that nothing leads to.
    unused: u64,
}

impl Look<'_> {
    /// Looks at everything.
    fn run(mut self, bat: &Bat, mut stats: CheckStats) -> Looked {
        self.count(bat, &mut stats);
        let seen = self.at_entries(bat);
        let is_mended = seen.wrong.iter().all(|wrong| wrong.fault != Fault::Overlaps)
            && self.copies(&seen.wrong) <= (self.len / self.header.cluster_len()).max(1);
        let least = is_mended.then_some(Repair::All);
        let mut mends_entries = false;
        for wrong in &seen.wrong {
            mends_entries |= self.tell(wrong.finding(&self.header, self.len), least);
        }
        let is_sound = seen.wrong.is_empty();
        let data_offset = self.at_data_offset(&seen, least);
        let end = seen.end.max(self.start(seen.first));
        let cuts_file = self.at_rest(&seen, end, if is_sound { Some(Repair::Leaks) } else { least });
        let closes = self.at_in_use(least);
        stats.image_end = Some(end.min(self.len.max(self.header.bat_end())));
        let wrong = if mends_entries { seen.wrong } else { Vec::new() };
        let is_empty = wrong.is_empty() && data_offset.is_none() && !cuts_file && !closes;
        let plan = Plan { header: self.header, wrong, data_offset, end, cuts_file, closes };
        Looked { stats, plan: (!is_empty).then_some(plan) }
    }

    /// Tells of `finding`, which `least` mends; returns whether it is mended.
    fn tell(&mut self, finding: Finding, least: Option<Repair>) -> bool {
        self.findings.push_mended(finding, least, self.allowed)
    }

    /// Counts what is stored, in the order of the disk.
    fn count(&self, bat: &Bat, stats: &mut CheckStats) {
        let mut next = None;
        for (_, entry) in bat.stored() {
            let host = self.header.host(entry);
            stats.allocated_units += 1;
            stats.fragmented_units += u64::from(next.is_some_and(|next| next != host));
            next = Some(host + self.header.cluster_len());
        }
    }

    /// Looks at each entry, in the order of the file.
    fn at_entries(&self, bat: &Bat) -> Seen {
        let (mut seen, cluster_len) = (Seen::default(), self.header.cluster_len());
        let mut places: Vec<_> = bat.stored().map(|(index, entry)| (self.header.host(entry), index)).collect();
        places.sort_unstable();
        let in_file = self.header.bat_end()..self.len;
        seen.first = places.iter().map(|(host, _)| *host).find(|host| in_file.contains(host));
        let start = self.start(seen.first);
        let mut last: Option<u64> = None;
        for (host, index) in places {
            let fault = self.fault_of(host, index, last);
            seen.wrong.extend(fault.map(|fault| Wrong { index, host, fault }));
            if matches!(fault, None | Some(Fault::Cut)) {
                seen.unused += host.saturating_sub(seen.end.max(start)) / cluster_len;
                seen.end = host + cluster_len;
                last = Some(host);
            }
        }
        seen
    }

    /// What is wrong with cluster `index` at byte `host`, behind the one at `last`.
    fn fault_of(&self, host: u64, index: u64, last: Option<u64>) -> Option<Fault> {
        match last {
            _ if host < self.header.bat_end() => Some(Fault::InBat),
            _ if host >= self.len => Some(Fault::Outside),
            Some(last) if last == host => Some(Fault::Twice),
            Some(last) if host - last < self.header.cluster_len() => Some(Fault::Overlaps),
            _ => (host + self.header.stored_len(index) > self.len).then_some(Fault::Cut),
        }
    }

    /// Clusters of the disk that would get a copy of their own.
    fn copies(&self, wrong: &[Wrong]) -> u64 {
        let is_copied = |wrong: &&Wrong| wrong.fault == Fault::Twice && wrong.index < self.header.disk_clusters();
        wrong.iter().filter(is_copied).count() as u64
    }

    /// What is wrong with `data_off`, where `first` is the first cluster in the file.
    fn wrong_start(&self, first: Option<u64>) -> Option<String> {
        let said = u64::from(self.header.data_offset) * SECTOR_LEN;
        if said == 0 && self.header.is_old {
            return None;
        }
        let entry_len = self.header.entry_sectors() * SECTOR_LEN;
        let least = self.header.bat_end().next_multiple_of(entry_len);
        let what = match first {
            _ if said < least => format!("the BAT ends at byte {}", self.header.bat_end()),
            Some(first) if said > first => format!("there is a cluster at byte {first}"),
            None if said > self.len.next_multiple_of(SECTOR_LEN) => format!("the file ends at byte {}", self.len),
            _ => return None,
        };
        Some(format!("data_off leads to byte {said}, but {what}"))
    }

    /// Where clusters begin: as `data_off` says, or as it should.
    fn start(&self, first: Option<u64>) -> u64 {
        if self.wrong_start(first).is_none() {
            return self.header.data_start();
        }
        let aligned = self.header.bat_end().next_multiple_of(self.header.cluster_len());
        let is_before = first.is_some_and(|first| first < aligned);
        if is_before { self.header.bat_end().next_multiple_of(SECTOR_LEN) } else { aligned }
    }

    /// Looks at `data_off`; returns what it is to be.
    fn at_data_offset(&mut self, seen: &Seen, least: Option<Repair>) -> Option<u32> {
        let what = self.wrong_start(seen.first)?;
        let finding = Finding::new("parallels-data-off", Severity::Corruption, what).at(DATA_OFFSET_AT as u64);
        let now = self.tell(finding, least);
        u32::try_from(self.start(seen.first) / SECTOR_LEN).ok().filter(|_| now)
    }

    /// Looks at what nothing leads to; returns whether the file is to end at byte `end`.
    fn at_rest(&mut self, seen: &Seen, end: u64, least: Option<Repair>) -> bool {
        if self.header.extension != 0 {
            let what = "the image has a format extension: what space nothing uses is not known";
            let finding = Finding::new("parallels-extension", Severity::Warning, what);
            self.tell(finding.at(EXTENSION_AT as u64), None);
            return false;
        }
        if seen.unused > 0 {
            let what = format!("nothing leads to {} clusters in front of others, which new ones can have", seen.unused);
            self.tell(Finding::new("parallels-clusters-unused", Severity::Warning, what), None);
        }
        let mut cuts_file = false;
        let mut at = end;
        // A sparse file may end very far away: all behind the last one that is told counts as one.
        for _ in 0..MAX_LEAKS {
            if at >= self.len || self.on_device {
                break;
            }
            let what = format!("nothing leads to the bytes from byte {at} on, behind the last cluster");
            cuts_file |= self.tell(Finding::new("parallels-end-unused", Severity::Leak, what).at(at), least);
            at += self.header.cluster_len();
        }
        cuts_file
    }

    /// Looks at whether the image was closed; returns whether it is to be.
    fn at_in_use(&mut self, least: Option<Repair>) -> bool {
        if !self.header.is_open() {
            return false;
        }
        let what = "the image was not closed, or somebody writes to it";
        self.tell(Finding::new("parallels-in-use", Severity::Corruption, what).at(IN_USE_AT as u64), least)
    }
}

/// Clusters behind the last one that are told each, at most.
const MAX_LEAKS: u64 = 1 << 20;
