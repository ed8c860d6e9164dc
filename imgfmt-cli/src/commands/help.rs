//! `-o help` and `--open-options help`: lists of options in place of what a command does.

use imgfmt::OptionSpec;
use imgfmt_cli::args::{Command, CompareArgs, OutputForm};

use super::{convert, create};
use crate::failure::Failure;
use crate::render::options;

/// Prints the list that `command` asks for; whether it asks for one.
///
/// # Errors
///
/// Where the format is not known, or has no such options.
pub(crate) fn printed(command: &Command) -> Result<bool, Failure> {
    if let Some((_, format)) = new_options(command).filter(|(texts, _)| options::is_help(texts)) {
        let format = format.ok_or_else(|| Failure::Usage("-o help needs the format; say -f FMT".to_owned()))?;
        let (heading, specs) = list_of_new(command, &format)?;
        options::print(form(command), &heading, specs)?;
        return Ok(true);
    }
    let Some((_, format)) = open_options(command).into_iter().find(|(texts, _)| options::is_help(texts)) else {
        return Ok(false);
    };
    let format = format.unwrap_or("raw");
    let heading = format!("Options for opening {format}, for --open-options");
    options::print(form(command), &heading, imgfmt::open_options_of(format)?)?;
    Ok(true)
}

/// What is said with `-o`, and the format that it is about.
fn new_options(command: &Command) -> Option<(&[String], Option<String>)> {
    Some(match command {
        Command::Amend(args) => (&args.options, args.edit.format.clone()),
        Command::Compact(args) => (&args.options, args.edit.format.clone()),
        Command::Convert(args) => (&args.options, Some(convert::target_format(args))),
        Command::Create(args) => (&args.options, Some(create::format_of(args))),
        Command::Dd(args) => (&args.options, Some(args.target_format.clone())),
        Command::Measure(args) => (&args.options, Some(args.target_format.clone())),
        _ => return None,
    })
}

/// The options that can follow `-o`, under their heading.
fn list_of_new(command: &Command, format: &str) -> Result<(String, &'static [OptionSpec]), Failure> {
    Ok(match command {
        Command::Amend(_) => (format!("What can be changed of {format}, with -o"), imgfmt::amend_options_of(format)?),
        _ => (format!("Options of {format}, for -o"), imgfmt::options_of(format)?),
    })
}

/// What is said about opening images, and their formats.
fn open_options(command: &Command) -> Vec<(&[String], Option<&str>)> {
    let source = match command {
        Command::Bench(args) => &args.source,
        Command::Check(args) => &args.source,
        Command::Convert(args) => &args.source,
        Command::Dd(args) => &args.source,
        Command::Hash(args) => &args.source,
        Command::Info(args) => &args.source,
        Command::Map(args) => &args.source,
        Command::Measure(args) => &args.source,
        Command::Compare(args) => return of_both(args),
        _ => return edited(command).into_iter().collect(),
    };
    vec![(&source.open_options, source.format.as_deref())]
}

/// The same for two images.
fn of_both(args: &CompareArgs) -> Vec<(&[String], Option<&str>)> {
    let second = args.second_format.as_deref();
    vec![(&args.open_options, args.format.as_deref()), (&args.second_open_options, second)]
}

/// The same for an image that is changed.
fn edited(command: &Command) -> Option<(&[String], Option<&str>)> {
    let edit = match command {
        Command::Amend(args) => &args.edit,
        Command::Bitmap(args) => &args.edit,
        Command::Commit(args) => &args.edit,
        Command::Compact(args) => &args.edit,
        Command::Rebase(args) => &args.edit,
        Command::Resize(args) => &args.edit,
        Command::Snapshot(args) => &args.edit,
        _ => return None,
    };
    Some((&edit.open_options, edit.format.as_deref()))
}

/// How answers are printed.
fn form(command: &Command) -> OutputForm {
    match command {
        Command::Amend(args) => args.answer.form,
        Command::Bench(args) => args.answer.form,
        Command::Bitmap(args) => args.answer.form,
        Command::Check(args) => args.answer.form,
        Command::Commit(args) => args.answer.form,
        Command::Compact(args) => args.answer.form,
        Command::Compare(args) => args.answer.form,
        Command::Convert(args) => args.answer.form,
        Command::Create(args) => args.answer.form,
        Command::Dd(args) => args.answer.form,
        Command::Hash(args) => args.answer.form,
        Command::Info(args) => args.answer.form,
        Command::Map(args) => args.answer.form,
        Command::Measure(args) => args.answer.form,
        Command::Rebase(args) => args.answer.form,
        Command::Replay(args) => args.answer.form,
        Command::Resize(args) => args.answer.form,
        Command::Snapshot(args) => args.answer.form,
    }
}
