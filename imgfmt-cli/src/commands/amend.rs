//! `imgfmt amend`.

use imgfmt::Options;
use imgfmt_cli::args::AmendArgs;
use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::print;
use crate::render::written;
use crate::source::Editing;

/// Changes options of an image.
pub(crate) fn run(args: &AmendArgs) -> Result<Exit, Failure> {
    let Some(file) = args.file.as_deref() else {
        return Err(Failure::Usage("an image is needed; see imgfmt amend --help".to_owned()));
    };
    let mut changes = Options::default();
    for text in &args.options {
        changes.extend(Options::parse(text)?);
    }
    let editing = Editing::new(&args.edit, file, None)?;
    let result = imgfmt::amend(&editing.source()?, &changes, args.force, &editing.access());
    result.map_err(|error| editing.explain(error))?;
    let changed: Map<_, _> =
        changes.names().map(|name| (name.to_owned(), Value::from(changes.get(name).unwrap_or_default()))).collect();
    print::done(args.answer.form, false, &json!({ "filename": written::name(file), "options": changed }))?;
    Ok(Exit::Done)
}
