//! `imgfmt bitmap`.

use imgfmt::options::parse_size;
use imgfmt::{BitmapAction, BitmapInfo, Source};
use imgfmt_cli::args::BitmapArgs;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::print;
use crate::render::written;
use crate::source::Editing;

/// Changes a bitmap.
pub(crate) fn run(args: &BitmapArgs) -> Result<Exit, Failure> {
    let actions = actions(args)?;
    let editing = Editing::new(&args.edit, &args.file, args.source_file.as_deref())?;
    let result = imgfmt::change_bitmap(&editing.source()?, &args.bitmap, &actions, &editing.access());
    let list = result.map_err(|error| editing.explain(error))?;
    let value = json!({ "filename": written::name(&args.file), "bitmaps": list.iter().map(object).collect::<Value>() });
    print::done(args.answer.form, false, &value)?;
    Ok(Exit::Done)
}

/// A bitmap, for programs: with the names that QEMU gives its flags.
fn object(bitmap: &BitmapInfo) -> Value {
    let flags = [("in-use", bitmap.inconsistent), ("auto", bitmap.enabled)];
    let flags: Value = flags.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    json!({ "name": bitmap.name, "granularity": bitmap.granularity, "flags": flags })
}

/// What is to be done, in the order that the help says.
fn actions(args: &BitmapArgs) -> Result<Vec<BitmapAction>, Failure> {
    let what = &args.what;
    let granularity =
        args.granularity.as_deref().map(|text| parse_size(text).map_err(|e| e.context(format!("-g cannot be {text}"))));
    let source = Source {
        path: args.source_file.clone().unwrap_or_else(|| args.file.clone()),
        format: if args.source_file.is_some() { args.source_format.clone() } else { args.edit.format.clone() },
    };
    let mut actions = Vec::new();
    if what.add {
        actions.push(BitmapAction::Add { granularity: granularity.transpose()? });
    }
    if what.clear {
        actions.push(BitmapAction::Clear);
    }
    for name in &what.merge {
        actions.push(BitmapAction::Merge { source: source.clone(), name: name.clone() });
    }
    if what.enable {
        actions.push(BitmapAction::Enable);
    }
    if what.disable {
        actions.push(BitmapAction::Disable);
    }
    if what.remove {
        actions.push(BitmapAction::Remove);
    }
    Ok(actions)
}
