//! The table of work: every input to every target. The first ones are the main jobs; the rest is asked for by `--pairs`.

use std::sync::LazyLock;

use crate::error::Error;
use crate::inputs::Input;

/// One piece of work that both programs are given.
#[derive(Debug)]
pub(crate) struct Row {
    /// How `--only` calls it.
    pub(crate) name: String,
    /// What is read.
    pub(crate) input: Input,
    /// What is written.
    pub(crate) target: &'static Target,
    /// Options that the peer needs to be at its best.
    pub(crate) peer_options: &'static [&'static str],
    /// What imgfmt has to reach.
    pub(crate) floor: Floor,
    /// Whether it is run where no row is named.
    pub(crate) main: bool,
}

/// What is written.
#[derive(Debug)]
pub(crate) struct Target {
    /// How names of rows call it.
    pub(crate) name: &'static str,
    /// Its format, as both programs call it.
    pub(crate) format: &'static str,
    /// Options of `convert` that both programs are given.
    pub(crate) options: &'static [&'static str],
}

/// The least that imgfmt has to reach, as the peer's cost divided by ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    /// Of the time on the clock.
    pub(crate) wall: f64,
    /// Of the processor time.
    pub(crate) cpu: Option<f64>,
    /// Whether our output may not be longer than the peer's.
    pub(crate) no_larger: bool,
}

impl Floor {
    /// So many times as fast.
    const fn faster(wall: f64) -> Self {
        Self { wall, cpu: None, no_larger: false }
    }

    /// So many times less processor time, too.
    const fn cpu(self, cpu: f64) -> Self {
        Self { cpu: Some(cpu), ..self }
    }

    /// And an output that is no larger.
    const fn no_larger(self) -> Self {
        Self { no_larger: true, ..self }
    }
}

/// Peak memory that imgfmt may use in any row, in bytes.
pub(crate) const MAX_PEAK: u64 = 96 << 20;

/// More requests in flight, and out of order: as fast as the peer goes.
const WIDE: &[&str] = &["-m", "16", "-W"];
/// Everything that is written.
static TARGETS: [Target; 9] = [
    Target { name: "qcow2", format: "qcow2", options: &[] },
    Target { name: "qcow2-c", format: "qcow2", options: &["-c"] },
    Target { name: "qcow2-zstd", format: "qcow2", options: &["-c", "-o", "compression_type=zstd"] },
    Target { name: "raw", format: "raw", options: &[] },
    Target { name: "sparse-vmdk", format: "vmdk", options: &["-o", "subformat=monolithicSparse"] },
    Target { name: "stream-vmdk", format: "vmdk", options: &["-o", "subformat=streamOptimized"] },
    Target { name: "dynamic-vhd", format: "vpc", options: &["-o", "subformat=dynamic,force_size=on"] },
    Target { name: "fixed-vhd", format: "vpc", options: &["-o", "subformat=fixed,force_size=on"] },
    Target { name: "vhdx", format: "vhdx", options: &["-o", "subformat=dynamic"] },
];

/// The rows that are run where none is named, and what imgfmt has to reach there. Every other pair has to be as fast as
/// the peer, and twice as fast where it reads VMDK or VHDX.
const MAIN: &[(&str, Floor)] = &[
    ("stream-vmdk-to-qcow2", Floor::faster(4.0).cpu(2.4)),
    ("stream-vmdk-to-qcow2-c", Floor::faster(25.0).no_larger()),
    ("raw-to-qcow2-c", Floor::faster(3.0).no_larger()),
    ("raw-to-qcow2-zstd", Floor::faster(1.0).no_larger()),
    ("sparse-vmdk-to-qcow2", Floor::faster(2.0)),
    ("sparse-vmdk-to-raw", Floor::faster(2.0)),
    ("raw-to-qcow2", Floor::faster(1.0)),
    ("qcow2-to-raw", Floor::faster(1.0)),
    ("zlib-qcow2-to-raw", Floor::faster(1.0)),
    ("zstd-qcow2-to-raw", Floor::faster(1.0)),
    ("stream-vmdk-to-raw", Floor::faster(2.0)),
    ("zlib-qcow2-to-qcow2-c", Floor::faster(1.0).no_larger()),
    ("zstd-qcow2-to-qcow2-zstd", Floor::faster(1.0)),
    ("vhdx-to-qcow2", Floor::faster(2.0)),
    ("vhdx-to-raw", Floor::faster(2.0)),
    ("dynamic-vhd-to-qcow2", Floor::faster(1.0)),
    ("raw-to-vhdx", Floor::faster(1.0)),
    ("raw-to-fixed-vhd", Floor::faster(1.0)),
    ("raw-to-dynamic-vhd", Floor::faster(1.0)),
    ("raw-to-sparse-vmdk", Floor::faster(1.0)),
    ("raw-to-stream-vmdk", Floor::faster(3.0)),
    ("zlib-qcow2-to-stream-vmdk", Floor::faster(3.0)),
    ("stream-vmdk-to-vhdx", Floor::faster(2.0)),
];

/// All rows, the main jobs first.
pub(crate) static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut rows: Vec<Row> =
        Input::ALL.iter().flat_map(|&input| TARGETS.iter().map(move |to| row(input, to))).collect();
    let place = |row: &Row| MAIN.iter().position(|(name, _)| *name == row.name).unwrap_or(MAIN.len());
    rows.sort_by_key(place);
    rows
});

/// The row from `input` to `target`, with the peer at its widest.
fn row(input: Input, target: &'static Target) -> Row {
    let name = format!("{}-to-{}", input.name(), target.name);
    let main = MAIN.iter().find(|(main, _)| *main == name);
    let floor =
        main.map_or_else(|| Floor::faster(if input.is_slow_for_the_peer() { 2.0 } else { 1.0 }), |(_, floor)| *floor);
    Row { name, input, target, peer_options: WIDE, floor, main: main.is_some() }
}

impl Row {
    /// The arguments of `convert` from the input to `output`, in the folder of the disk.
    pub(crate) fn args<'a>(&self, extra: &[&'a str], output: &'a str) -> Vec<&'a str> {
        let mut args = vec!["convert"];
        args.extend(extra);
        args.extend(self.target.options);
        args.extend(["-f", self.input.format(), "-O", self.target.format, self.input.file(), output]);
        args
    }
}

/// The rows with these names, in the order of the table. Where none is named, the main ones, or with `pairs` all.
pub(crate) fn select(names: &[String], pairs: bool) -> Result<Vec<&'static Row>, Error> {
    let known = |name: &String| ROWS.iter().any(|row| row.name == *name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        return Err(Error::Usage(format!("there is no row `{name}`; --list prints them")));
    }
    let wanted = |row: &&Row| match names {
        [] => pairs || row.main,
        names => names.contains(&row.name),
    };
    Ok(ROWS.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::{ROWS, WIDE, select};
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = ROWS.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), ROWS.len());
    }

    #[test]
    fn rows_are_chosen_by_name_in_the_order_of_the_table() {
        let chosen = select(&["qcow2-to-raw".into(), "stream-vmdk-to-qcow2".into()], false).unwrap();
        let names: Vec<_> = chosen.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["stream-vmdk-to-qcow2", "qcow2-to-raw"]);
        assert_eq!(select(&[], false).unwrap().len(), super::MAIN.len());
        assert_eq!(select(&[], true).unwrap().len(), ROWS.len());
    }

    #[test]
    fn an_unknown_row_is_named() {
        let error = select(&["no-such".into()], false).unwrap_err();
        assert!(error.to_string().contains("`no-such`"));
    }

    #[test]
    fn both_programs_are_given_the_same_work() {
        let row = &ROWS[1];
        let ours = ["convert", "-c", "-f", "vmdk", "-O", "qcow2", "stream.vmdk", "out"];
        assert_eq!(row.args(&[], "out"), ours);
        let peer = row.args(WIDE, "out");
        assert_eq!(peer[..4], ["convert", "-m", "16", "-W"]);
        assert_eq!(peer[4..], ours[1..]);
    }
}
