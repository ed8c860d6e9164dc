//! `imgfmt compare`: the answer, as text and as JSON.

use imgfmt::Comparison;
use serde_json::{Value, json};

/// For people.
pub(crate) fn text(comparison: &Comparison) -> String {
    match comparison {
        Comparison::Identical { sizes_differ: false } => "the disks are the same\n".to_owned(),
        Comparison::Identical { sizes_differ: true } => {
            "the disks are the same, but one is longer; what it has more is zero\n".to_owned()
        }
        Comparison::Differs { offset } => format!("the disks differ from guest byte {offset} on\n"),
        Comparison::StrictSize => "the disks have different sizes\n".to_owned(),
        Comparison::StrictStatus { offset } => {
            format!("at guest byte {offset}, one stores what the other does not\n")
        }
    }
}

/// For programs.
pub(crate) fn json(comparison: &Comparison) -> Value {
    match comparison {
        Comparison::Identical { sizes_differ } => json!({ "identical": true, "sizes-differ": sizes_differ }),
        Comparison::Differs { offset } => json!({ "identical": false, "difference": "content", "offset": offset }),
        Comparison::StrictSize => json!({ "identical": false, "difference": "size" }),
        Comparison::StrictStatus { offset } => json!({ "identical": false, "difference": "status", "offset": offset }),
    }
}
