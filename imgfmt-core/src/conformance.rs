//! The contracts as tests.
