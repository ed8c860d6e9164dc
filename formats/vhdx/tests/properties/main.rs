//! Any layout, any log, and any disk that is written, read as a byte vector would.

// All of it is for tests, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
mod build;
#[cfg(test)]
mod harm;
#[cfg(test)]
mod log;
#[cfg(test)]
mod read;
#[cfg(test)]
mod write;

use proptest::test_runner::{Config, FileFailurePersistence};

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
