//! Lists of internal snapshots, as text and as JSON.

use imgfmt::SnapshotInfo;
use serde_json::{Map, Value};

use super::text::{clock, date, printable, size};

/// For people: a table.
pub(crate) fn text(list: &[SnapshotInfo]) -> String {
    if list.is_empty() {
        return "there are no snapshots\n".to_owned();
    }
    let width = list.iter().map(|snapshot| printable(&snapshot.name).chars().count()).max().unwrap_or(0).max(4);
    let mut text = format!("{:<6} {:width$} {:>10} {:19} {:>13}\n", "ID", "NAME", "VM STATE", "DATE (UTC)", "VM CLOCK");
    for snapshot in list {
        let clock = clock(snapshot.vm_clock_nsec / NANOS);
        let millis = snapshot.vm_clock_nsec % NANOS / 1_000_000;
        text.push_str(&format!(
            "{:<6} {:width$} {:>10} {:19} {:>13}\n",
            printable(&snapshot.id),
            printable(&snapshot.name),
            size(snapshot.vm_state_size),
            date(snapshot.date_sec.into()),
            format!("{clock}.{millis:03}"),
        ));
    }
    text
}

/// For programs: the names that `qemu-img info --output json` has.
pub(crate) fn json(list: &[SnapshotInfo]) -> Value {
    list.iter().map(object).collect()
}

/// One snapshot.
fn object(snapshot: &SnapshotInfo) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("id", snapshot.id.as_str().into());
    put("name", snapshot.name.as_str().into());
    put("vm-state-size", snapshot.vm_state_size.into());
    put("date-sec", snapshot.date_sec.into());
    put("date-nsec", snapshot.date_nsec.into());
    put("vm-clock-sec", (snapshot.vm_clock_nsec / NANOS).into());
    put("vm-clock-nsec", (snapshot.vm_clock_nsec % NANOS).into());
    snapshot.icount.map(|icount| put("icount", icount.into()));
    put("disk-size", snapshot.disk_size.into());
    object.into()
}

/// Nanoseconds of a second.
const NANOS: u64 = 1_000_000_000;
