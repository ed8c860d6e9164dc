//! How answers are printed.

use clap::{Args, ValueEnum};

/// How the answer of a command is printed.
#[derive(Args, Clone, Copy, Debug)]
pub struct AnswerArgs {
    /// How to print the answer: human, for people, or json, for programs
    #[arg(long = "output", value_name = "FORM", default_value = "human", hide_possible_values = true)]
    pub form: OutputForm,
}

/// The forms of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// For people
    Human,
    /// For programs
    Json,
}
