//! The table of work. To add a row, add it here.

use crate::error::Error;
use crate::inputs::Input;

/// One piece of work that both programs are given.
#[derive(Debug)]
pub(crate) struct Row {
    /// How `--only` calls it.
    pub(crate) name: &'static str,
    /// What is read.
    pub(crate) input: Input,
    /// The format of what is written.
    pub(crate) target: &'static str,
    /// Options of `convert` that both programs are given.
    pub(crate) options: &'static [&'static str],
    /// Options that the peer needs to be at its best.
    pub(crate) peer_options: &'static [&'static str],
    /// What imgfmt has to reach.
    pub(crate) floor: Floor,
}

/// The least that imgfmt has to reach, as the peer's cost divided by ours.
#[derive(Debug)]
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
/// Compressed with the format's default codec.
const COMPRESSED: &[&str] = &["-c"];
/// Compressed with zstd.
const ZSTD: &[&str] = &["-c", "-o", "compression_type=zstd"];

/// All rows, the main job first.
pub(crate) static ROWS: &[Row] = &[
    row("stream-vmdk-to-qcow2", Input::StreamVmdk, "qcow2", &[], Floor::faster(4.0).cpu(2.4)),
    row("stream-vmdk-to-qcow2-c", Input::StreamVmdk, "qcow2", COMPRESSED, Floor::faster(25.0).no_larger()),
    row("raw-to-qcow2-c", Input::Raw, "qcow2", COMPRESSED, Floor::faster(3.0).no_larger()),
    row("raw-to-qcow2-zstd", Input::Raw, "qcow2", ZSTD, Floor::faster(1.0).no_larger()),
    row("sparse-vmdk-to-qcow2", Input::SparseVmdk, "qcow2", &[], Floor::faster(2.0)),
    row("sparse-vmdk-to-raw", Input::SparseVmdk, "raw", &[], Floor::faster(1.0)),
    row("raw-to-qcow2", Input::Raw, "qcow2", &[], Floor::faster(1.0)),
    row("qcow2-to-raw", Input::PlainQcow2, "raw", &[], Floor::faster(1.0)),
    row("zlib-qcow2-to-raw", Input::ZlibQcow2, "raw", &[], Floor::faster(1.0)),
    row("zstd-qcow2-to-raw", Input::ZstdQcow2, "raw", &[], Floor::faster(1.0)),
    row("stream-vmdk-to-raw", Input::StreamVmdk, "raw", &[], Floor::faster(1.0)),
    row("zlib-qcow2-to-qcow2-c", Input::ZlibQcow2, "qcow2", COMPRESSED, Floor::faster(1.0).no_larger()),
];

/// A row with the peer at its widest.
const fn row(
    name: &'static str,
    input: Input,
    target: &'static str,
    options: &'static [&'static str],
    floor: Floor,
) -> Row {
    Row { name, input, target, options, peer_options: WIDE, floor }
}

impl Row {
    /// The arguments of `convert` from the input to `output`, in the folder of the disk.
    pub(crate) fn args<'a>(&self, extra: &[&'a str], output: &'a str) -> Vec<&'a str> {
        let mut args = vec!["convert"];
        args.extend(extra);
        args.extend(self.options);
        args.extend(["-f", self.input.format(), "-O", self.target, self.input.file(), output]);
        args
    }
}

/// The rows with these names, in the order of the table; all where none is named.
pub(crate) fn select(names: &[String]) -> Result<Vec<&'static Row>, Error> {
    let known = |name: &String| ROWS.iter().any(|row| row.name == name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        return Err(Error::Usage(format!("there is no row `{name}`; --list prints them")));
    }
    let wanted = |row: &&Row| names.is_empty() || names.iter().any(|name| name == row.name);
    Ok(ROWS.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::{ROWS, WIDE, select};
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len());
    }

    #[test]
    fn rows_are_chosen_by_name_in_the_order_of_the_table() {
        let chosen = select(&["qcow2-to-raw".into(), "stream-vmdk-to-qcow2".into()]).unwrap();
        let names: Vec<_> = chosen.iter().map(|row| row.name).collect();
        assert_eq!(names, ["stream-vmdk-to-qcow2", "qcow2-to-raw"]);
        assert_eq!(select(&[]).unwrap().len(), ROWS.len());
    }

    #[test]
    fn an_unknown_row_is_named() {
        let error = select(&["no-such".into()]).unwrap_err();
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
