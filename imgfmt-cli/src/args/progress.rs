//! How progress is shown.

use clap::{Args, ValueEnum};

/// How progress is shown.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ProgressArgs {
    /// Show progress also where standard error is no terminal
    #[arg(short = 'p')]
    pub show_progress: bool,

    /// How progress is shown; by default a bar where standard error is a terminal, else nothing
    #[arg(long, value_name = "FORM")]
    pub progress: Option<ProgressForm>,

    /// Print nothing but errors
    #[arg(short = 'q', long)]
    pub quiet: bool,
}

/// The forms of progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressForm {
    /// A bar on standard error, with bytes, rate and time left
    Bar,
    /// `(12.34/100%)` on standard output, as qemu-img prints it
    Percent,
    /// A JSON object a line on standard error
    Json,
    /// Nothing
    None,
}
