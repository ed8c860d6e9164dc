//! Properties of qcow2 over random disks and random layouts, against plain byte vectors.

// All of it is for tests, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
mod build;
#[cfg(test)]
mod disks;
#[cfg(test)]
mod read;
#[cfg(test)]
mod write;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use imgfmt_core::{
    Admitted, Chain, Error, ErrorKind, Format, Gate, Limits, MemoryStorage, Opener, Reference, Result, Storage,
};
use imgfmt_qcow2::Qcow2;
use proptest::test_runner::{Config, FileFailurePersistence};

/// Files by their names, as a gate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files(HashMap<PathBuf, Arc<dyn Storage>>);

impl Files {
    /// Adds a file.
    pub(crate) fn add(&mut self, name: &str, bytes: Vec<u8>) {
        self.0.insert(PathBuf::from(name), Arc::new(MemoryStorage::new(bytes)));
    }

    /// Opens the qcow2 image called `name` with all that it builds on.
    pub(crate) fn open(&self, name: &str) -> Result<Chain> {
        let limits = Limits::default();
        let opener = Opener { formats: &[&Qcow2], fallback: None, gate: self, limits: &limits };
        let path = PathBuf::from(name);
        opener.open(Arc::clone(&self.0[&path]), Some(&path), Some(Qcow2.name()))
    }
}

impl Gate for Files {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        let storage =
            self.0.get(reference.name).ok_or_else(|| Error::new(ErrorKind::Missing, "there is no such file"))?;
        Ok(Admitted { storage: Arc::clone(storage), path: reference.name.to_path_buf() })
    }
}

/// The configuration of a property that `cases` cases are enough for; `PROPTEST_CASES` asks for more.
pub(crate) fn config(cases: u32) -> Config {
    let default = Config::default();
    Config {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases },
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/proptest-regressions/properties.txt"
        )))),
        max_shrink_iters: 2000,
        ..default
    }
}
