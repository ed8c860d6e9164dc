//! Options under a prefix: the same ones are called `cipher-alg` for a LUKS container and `encrypt.cipher-alg` for an image
//! that has one inside.

use imgfmt_core::{Options, Result};

/// Options, and what their names begin with.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    /// The options.
    pub(crate) options: &'a Options,
    /// What the names begin with.
    pub(crate) prefix: &'a str,
}

impl<'a> Named<'a> {
    /// The whole name of the option `name`.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Whether the option `name` is given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.options.get(&self.name(name))
    }

    /// The number `name`.
    ///
    /// # Errors
    ///
    /// As [`Options::number`].
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>> {
        self.options.number(&self.name(name))
    }

    /// What the word `name` stands for.
    ///
    /// # Errors
    ///
    /// As [`Options::word`].
    pub(crate) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)], default: T) -> Result<T> {
        self.options.word(&self.name(name), words, default)
    }
}
