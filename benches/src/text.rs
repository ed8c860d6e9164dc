//! The report for people.

use crate::args::MIB;
use crate::judge::{Entry, Report};
use crate::measure::Outcome;
use crate::rows::{MAX_PEAK, Row};
use crate::stats::Ratio;

/// Two spaces keep columns apart.
const GAP: &str = "  ";

/// The rows and their floors.
pub(crate) fn list(rows: &[Row]) -> String {
    let head = ["row", "reads", "writes", "options", "wall", "cpu", "size"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.extend(rows.iter().map(listed));
    format!("{}\nPeak memory in any row: {} MiB at most.\n", columns(&table), MAX_PEAK / MIB)
}

/// The cells of a row in the list.
fn listed(row: &Row) -> Vec<String> {
    let or_dash = |text: String| {
        if text.is_empty() { "-".to_owned() } else { text }
    };
    vec![
        row.name.to_owned(),
        row.input.file().to_owned(),
        row.target.format.to_owned(),
        or_dash(row.target.options.join(" ")),
        format!(">={}x", row.floor.wall),
        or_dash(row.floor.cpu.map_or_else(String::new, |cpu| format!(">={cpu}x"))),
        if row.floor.no_larger { "no larger" } else { "-" }.to_owned(),
    ]
}

/// The facts, the table, and the command lines.
pub(crate) fn report(report: &Report) -> String {
    let mut text = String::new();
    for (name, fact) in &report.facts {
        text.push_str(&format!("{name}: {fact}\n"));
    }
    text.push_str(
        "\nPairs are ours/peer; ratios are peer/ours, the median of the pairs with the worst and the best.\n\n",
    );
    text.push_str(&columns(&table(&report.entries)));
    text.push('\n');
    for entry in &report.entries {
        text.push_str(&details(entry));
    }
    text
}

/// A line for each row that was measured.
fn table(entries: &[Entry]) -> Vec<Vec<String>> {
    let head = ["row", "wall s", "ratio", "cpu s", "ratio", "peak MiB", "length MiB", "on disk MiB", "floor"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for entry in entries {
        table.push(match &entry.outcome {
            Ok(outcome) => measured(entry.row, outcome),
            Err(_) => vec![entry.row.name.to_owned(), "failed".to_owned()],
        });
    }
    table
}

/// The cells of a row in the table.
fn measured(row: &Row, outcome: &Outcome) -> Vec<String> {
    let (ours, peer) = (outcome.ours.summary(), outcome.peer.summary());
    let (our_file, peer_file) = (outcome.ours.output, outcome.peer.output);
    let verdict = outcome.verdict(row);
    vec![
        row.name.to_owned(),
        format!("{:.2}/{:.2}", ours.wall, peer.wall),
        ratio(verdict.wall),
        format!("{:.2}/{:.2}", ours.cpu, peer.cpu),
        ratio(verdict.cpu),
        mib(ours.peak, peer.peak),
        mib(our_file.len, peer_file.len),
        mib(our_file.allocated, peer_file.allocated),
        if verdict.missed.is_empty() { "kept".to_owned() } else { format!("missed: {}", verdict.missed.join(", ")) },
    ]
}

/// A ratio with its range.
fn ratio(ratio: Ratio) -> String {
    format!("{:.2}x ({:.2}..{:.2})", ratio.median, ratio.min, ratio.max)
}

/// Two counts of bytes in MiB.
fn mib(ours: u64, peer: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "printed with one decimal")]
    let mib = |bytes: u64| bytes as f64 / MIB as f64;
    format!("{:.1}/{:.1}", mib(ours), mib(peer))
}

/// The command lines of a row, or why it failed.
fn details(entry: &Entry) -> String {
    match &entry.outcome {
        Ok(outcome) => format!("{}\n  {}\n  {}\n", entry.row.name, outcome.ours.command, outcome.peer.command),
        Err(error) => format!("{}\n  FAILED: {error}\n", entry.row.name),
    }
}

/// Pads the cells of each column to the same width.
pub(crate) fn columns(table: &[Vec<String>]) -> String {
    let width = |column: usize| table.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for row in table {
        let cells: Vec<String> =
            row.iter().enumerate().map(|(column, cell)| format!("{cell:0$}", width(column))).collect();
        text.push_str(cells.join(GAP).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{columns, list, report};
    use crate::{judge, rows::ROWS};

    #[test]
    fn columns_line_up() {
        let table = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), "c".to_owned()]];
        assert_eq!(columns(&table), "a     b\nlong  c\n");
    }

    #[test]
    fn the_report_says_kept_missed_and_failed() {
        let text = report(&judge::tests::report());
        assert!(text.contains("2.00/8.00  4.00x (4.00..4.00)"), "{text}");
        assert!(text.contains("  kept\n"), "{text}");
        assert!(text.contains("  missed: wall, size\n"), "{text}");
        assert!(text.contains("FAILED: it broke\n"), "{text}");
    }

    #[test]
    fn the_list_has_every_row() {
        let text = list(&ROWS);
        assert!(ROWS.iter().all(|row| text.contains(&row.name)));
    }
}
