//! Progress for people and for programs.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use imgfmt::ConvertSummary;
use imgfmt::convert::{Lost, Progress};
use imgfmt_cli::args::{OutputForm, ProgressArgs, ProgressForm};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;
use crate::render::written;

/// Shows how far a command is. Any thread may report.
pub(crate) struct Reporter {
    /// How it is shown.
    form: Form,
    /// When it began.
    started: Instant,
}

/// How progress is shown.
enum Form {
    /// Not at all.
    None,
    /// As a bar on standard error.
    Bar(ProgressBar),
    /// As `(12.34/100%)` on standard output.
    Percent(Mutex<Shown>),
    /// As JSON lines on standard error.
    Json(Mutex<Shown>),
}

/// What was shown last.
#[derive(Default)]
struct Shown {
    /// When.
    at: Option<Instant>,
    /// The last report, shown or not.
    last: Progress,
}

impl Reporter {
    /// A reporter of the form that `args` and the terminal call for.
    ///
    /// Where the image goes `to_pipe`, or the answer is for programs, standard output is not for progress.
    pub(crate) fn new(args: &ProgressArgs, answer: OutputForm, to_pipe: bool) -> Result<Self, Failure> {
        let taken = to_pipe || answer == OutputForm::Json;
        if taken && args.progress == Some(ProgressForm::Percent) {
            let what = if to_pipe { "the image goes" } else { "the answer goes as JSON" };
            return Err(Failure::Usage(format!("--progress percent: {what} to standard output; say --progress json")));
        }
        let form = match chosen(args, io::stderr().is_terminal(), io::stdout().is_terminal() || taken) {
            ProgressForm::None => Form::None,
            ProgressForm::Bar => Form::Bar(bar()),
            ProgressForm::Percent if taken => Form::None,
            ProgressForm::Percent => Form::Percent(Mutex::default()),
            ProgressForm::Json => Form::Json(Mutex::default()),
        };
        Ok(Self { form, started: Instant::now() })
    }

    /// Whether anything is shown.
    pub(crate) fn is_shown(&self) -> bool {
        !matches!(self.form, Form::None)
    }

    /// Shows how far it is, unless that was done a moment ago.
    pub(crate) fn report(&self, progress: Progress) {
        match &self.form {
            Form::None => {}
            Form::Bar(bar) => {
                bar.set_length(progress.size);
                bar.set_position(progress.done);
            }
            Form::Percent(shown) => due(shown, progress, print_percent),
            Form::Json(shown) => due(shown, progress, |progress| self.print_json(progress, None)),
        }
    }

    /// Shows how it ended: complete where that is known.
    pub(crate) fn finish(&self, complete: Option<Progress>) {
        self.finish_without(complete, None);
    }

    /// As [`finish`](Self::finish), and programs are told what was lost, where that was not to be an error.
    pub(crate) fn finish_without(&self, complete: Option<Progress>, lost: Option<&Lost>) {
        match &self.form {
            Form::None => {}
            Form::Bar(bar) => bar.finish_and_clear(),
            Form::Percent(_) => {
                complete.iter().for_each(|progress| print_percent(*progress));
                write(io::stdout().lock(), "\n");
            }
            Form::Json(shown) => {
                let last = shown.lock().map_or_else(|e| e.into_inner().last, |shown| shown.last);
                self.print_json(complete.unwrap_or(last), lost);
            }
        }
    }

    /// Prints a line of JSON.
    fn print_json(&self, progress: Progress, lost: Option<&Lost>) {
        let Progress { done, size, stored } = progress;
        let elapsed = self.started.elapsed().as_secs_f64();
        let rate = if elapsed > 0.0 { as_f64(done) / elapsed } else { 0.0 };
        let mut line = serde_json::json!({
            "done": done, "size": size, "stored": stored,
            "elapsed": (elapsed * 1e3).round() / 1e3, "rate": rate.round(),
        });
        if let Some(lost) = lost {
            line["lost"] = written::lost(lost);
        }
        write(io::stderr().lock(), &format!("{line}\n"));
    }
}

/// Where a conversion is that was made.
pub(crate) fn complete(summary: &ConvertSummary) -> Progress {
    Progress { done: summary.size, size: summary.size, stored: summary.stored }
}

/// The form that was asked for, or else the one that fits where the streams lead.
fn chosen(args: &ProgressArgs, stderr_is_terminal: bool, stdout_is_terminal: bool) -> ProgressForm {
    match args.progress {
        _ if args.quiet => ProgressForm::None,
        Some(form) => form,
        // Whoever asks for progress and reads standard output wants it there.
        None if args.show_progress && !(stderr_is_terminal && stdout_is_terminal) => ProgressForm::Percent,
        None if stderr_is_terminal => ProgressForm::Bar,
        None => ProgressForm::None,
    }
}

/// A bar on standard error.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style.progress_chars("=> "));
    bar
}

/// Calls `print` if the last time is long enough ago. A thread that meets another here goes on with its work.
fn due(shown: &Mutex<Shown>, progress: Progress, print: impl FnOnce(Progress)) {
    let Ok(mut shown) = shown.try_lock() else {
        return;
    };
    // Threads report in no order.
    if progress.done < shown.last.done {
        return;
    }
    shown.last = progress;
    if shown.at.is_none_or(|at| at.elapsed() >= INTERVAL) {
        shown.at = Some(Instant::now());
        print(progress);
    }
}

/// Prints what `qemu-img` prints.
fn print_percent(progress: Progress) {
    let percent = if progress.size == 0 { 100.0 } else { as_f64(progress.done) * 100.0 / as_f64(progress.size) };
    write(io::stdout().lock(), &format!("    ({percent:3.2}/100%)\r"));
}

/// Prints at once. Nobody is told where it cannot be: progress is no result.
fn write(mut stream: impl Write, text: &str) {
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

/// A number of bytes, for a fraction of them.
#[expect(clippy::cast_precision_loss, reason = "a fraction is shown with a few digits")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

/// The bar: how much of how much, how fast, how long still.
const TEMPLATE: &str =
    "[{bar:32}] {percent:>3}%  {binary_bytes} / {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
/// Time between two reports.
const INTERVAL: Duration = Duration::from_millis(100);
