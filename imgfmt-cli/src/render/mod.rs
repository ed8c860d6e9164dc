//! Answers as text for people and as JSON for programs.

pub(crate) mod info_json;
pub(crate) mod info_text;
pub(crate) mod inside_text;
pub(crate) mod text;
