//! The report for machines: seconds, bytes, and every run.

use serde_json::{Map, Value, json};

use crate::judge::{Entry, Report};
use crate::measure::{Outcome, Side};
use crate::rows::{MAX_PEAK, Row};
use crate::stats::Ratio;

/// One object: `facts` by name, and `rows` in the order they were run.
pub(crate) fn report(report: &Report) -> String {
    let facts: Map<String, Value> = report.facts.iter().map(|(name, fact)| ((*name).to_owned(), json!(fact))).collect();
    let rows: Vec<Value> = report.entries.iter().map(entry).collect();
    format!("{:#}", json!({ "facts": facts, "rows": rows }))
}

/// A row, or why it failed.
fn entry(entry: &Entry) -> Value {
    match &entry.outcome {
        Ok(outcome) => measured(entry.row, outcome),
        Err(error) => json!({ "name": entry.row.name, "error": error }),
    }
}

/// A row that was measured.
fn measured(row: &Row, outcome: &Outcome) -> Value {
    let verdict = outcome.verdict(row);
    json!({
        "name": row.name,
        "ours": side(&outcome.ours),
        "peer": side(&outcome.peer),
        "ratio": { "wall": ratio(verdict.wall), "cpu": ratio(verdict.cpu) },
        "floor": {
            "wall": row.floor.wall, "cpu": row.floor.cpu, "peak": MAX_PEAK, "no-larger": row.floor.no_larger,
        },
        "missed": verdict.missed,
    })
}

/// One program in a row.
fn side(side: &Side) -> Value {
    let summary = side.summary();
    let peaks: Vec<u64> = side.costs.iter().map(|cost| cost.peak).collect();
    json!({
        "command": side.command,
        "wall": { "median": summary.wall, "runs": side.each(|cost| cost.wall) },
        "cpu": { "median": summary.cpu, "runs": side.each(|cost| cost.cpu) },
        "peak": { "max": summary.peak, "runs": peaks },
        "output": { "length": side.output.len, "allocated": side.output.allocated },
    })
}

/// A ratio with its range.
fn ratio(ratio: Ratio) -> Value {
    json!({ "median": ratio.median, "min": ratio.min, "max": ratio.max })
}

#[cfg(test)]
mod tests {
    use super::report;
    use crate::judge;
    use serde_json::{Value, json};

    #[test]
    fn machines_find_every_row() {
        let value: Value = serde_json::from_str(&report(&judge::tests::report())).unwrap();
        assert_eq!(value["rows"][0]["ratio"]["wall"]["median"], json!(4.0));
        assert_eq!(value["rows"][1]["missed"], json!(["wall", "size"]));
        assert_eq!(value["rows"][2]["error"], json!("it broke"));
        assert_eq!(value["facts"]["runs"], json!("3"));
    }
}
