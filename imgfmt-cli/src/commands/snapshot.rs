//! `imgfmt snapshot`.

use imgfmt::{SnapshotAction, Source};
use imgfmt_cli::args::{SnapshotArgs, SourceArgs};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::gate::CliGate;
use crate::print;
use crate::render::snapshots;
use crate::source::{Editing, Sources};

/// Lists or changes snapshots.
pub(crate) fn run(args: &SnapshotArgs) -> Result<Exit, Failure> {
    let what = &args.what;
    let action = match (&what.create, &what.apply, &what.delete) {
        (Some(name), ..) => SnapshotAction::Create(name.clone()),
        (_, Some(name), _) => SnapshotAction::Apply(name.clone()),
        (.., Some(name)) => SnapshotAction::Delete(name.clone()),
        _ => return list(args),
    };
    let editing = Editing::new(&args.edit, &args.file, None)?;
    let list =
        imgfmt::snapshot(&editing.source()?, &action, &editing.access()).map_err(|error| editing.explain(error))?;
    print::done(args.answer.form, false, &snapshots::json(&list))?;
    Ok(Exit::Done)
}

/// Lists snapshots.
fn list(args: &SnapshotArgs) -> Result<Exit, Failure> {
    let about = SourceArgs::from(&args.edit);
    let sources = Sources::new(&about, [args.file.as_path()])?;
    let gate = CliGate::new(sources.paths(), &args.edit.allow, args.edit.force_share)?;
    let source = Source { path: args.file.clone(), format: args.edit.format.clone() };
    let list = imgfmt::snapshots(&source, &sources.access(&gate, None)).map_err(|error| gate.explain(error))?;
    print::answer(args.answer.form, false, &snapshots::json(&list), || snapshots::text(&list))?;
    Ok(Exit::Done)
}
