//! How properties run, the same for every crate.

/// The `proptest` configuration of a property that this many cases are enough for; the variable `PROPTEST_CASES` asks for
/// more. What failed is kept in `proptest-regressions/` of the crate that calls, which has to depend on `proptest`: the kit
/// does not.
#[macro_export]
macro_rules! property_config {
    ($cases:expr) => {{
        let default = ::proptest::test_runner::Config::default();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/properties.txt");
        ::proptest::test_runner::Config {
            cases: if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { $cases },
            failure_persistence: Some(Box::new(::proptest::test_runner::FileFailurePersistence::Direct(file))),
            max_shrink_iters: 2000,
            ..default
        }
    }};
}
