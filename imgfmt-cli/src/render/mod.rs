//! Answers as text for people and as JSON for programs.

pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod info_json;
pub(crate) mod info_text;
pub(crate) mod inside_text;
pub(crate) mod map;
pub(crate) mod options;
pub(crate) mod snapshots;
pub(crate) mod text;
pub(crate) mod written;
