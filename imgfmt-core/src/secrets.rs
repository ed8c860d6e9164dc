//! Passphrases and keys that the caller holds, by name.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Error, Result};

/// Secrets by the names that options call them by.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, Vec<u8>>);

impl Secrets {
    /// No secrets.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a secret called `id`; an older one of that name is forgotten.
    pub fn add(&mut self, id: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.insert(id.into(), bytes.into());
    }

    /// The secret called `id`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) where there is none.
    pub fn get(&self, id: &str) -> Result<&[u8]> {
        let known = self.0.get(id).map(Vec::as_slice);
        known.ok_or_else(|| Error::invalid(format!("there is no secret {id}; say --object secret,id={id},file=FILE")))
    }
}

/// Names alone, never the bytes.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_name_and_never_shown() {
        let mut secrets = Secrets::new();
        secrets.add("sec0", "hunter2");
        assert_eq!(secrets.get("sec0").unwrap(), b"hunter2");
        assert!(secrets.get("sec1").is_err());
        assert_eq!(format!("{secrets:?}"), r#"{"sec0"}"#);
    }
}
