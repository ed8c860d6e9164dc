//! `imgfmt resize`.

use imgfmt::options::parse_size;
use imgfmt::{Preallocation, ResizeRequest, SizeChange};
use imgfmt_cli::args::{PreallocationHow, ResizeArgs};
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::print;
use crate::render::text::size;
use crate::render::written;
use crate::source::Editing;

/// Changes the size of a disk.
pub(crate) fn run(args: &ResizeArgs) -> Result<Exit, Failure> {
    let change = change(&args.size)?;
    let editing = Editing::new(&args.edit, &args.file, None)?;
    let request = ResizeRequest {
        source: editing.source()?,
        change,
        shrink: args.shrink,
        preallocation: match args.preallocation {
            PreallocationHow::Off => Preallocation::Off,
            PreallocationHow::Metadata => Preallocation::Metadata,
            PreallocationHow::Falloc => Preallocation::Falloc,
            PreallocationHow::Full => Preallocation::Full,
        },
        access: editing.access(),
    };
    let done = imgfmt::resize(&request).map_err(|error| editing.explain(error))?;
    let value = json!({
        "filename": written::name(&args.file), "virtual-size-before": done.before, "virtual-size": done.after,
    });
    print::answer(args.answer.form, args.quiet, &value, || {
        format!("resized from {} to {}\n", size(done.before), size(done.after))
    })?;
    Ok(Exit::Done)
}

/// The change that `text` means.
fn change(text: &str) -> Result<SizeChange, Failure> {
    let size = |digits: &str| parse_size(digits).map_err(|e| e.context(format!("SIZE cannot be {text}")));
    Ok(match text.split_at_checked(1) {
        Some(("+", by)) => SizeChange::Grow(size(by)?),
        Some(("-", by)) => SizeChange::Shrink(size(by)?),
        _ => SizeChange::To(size(text)?),
    })
}
