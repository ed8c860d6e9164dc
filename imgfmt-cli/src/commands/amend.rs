//! `imgfmt amend`.

use imgfmt::Options;
use imgfmt_cli::args::AmendArgs;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::print;
use crate::render::options;
use crate::source::Editing;

/// Changes options of an image.
pub(crate) fn run(args: &AmendArgs) -> Result<Exit, Failure> {
    if options::is_help(&args.options) {
        let Some(format) = args.edit.format.as_deref() else {
            return Err(Failure::Usage("-o help needs the format; say -f FMT".to_owned()));
        };
        print::text(&options::list(
            &format!("What can be changed of {format}, with -o"),
            imgfmt::amend_options_of(format)?,
        ))?;
        return Ok(Exit::Done);
    }
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
    Ok(Exit::Done)
}
