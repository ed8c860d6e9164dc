//! From images into one that exists, by way of its editor.

use std::sync::Arc;

use imgfmt_core::convert::{Convert, EditingWriter, Progress};
use imgfmt_core::{
    Bitmap, BitmapChange, Edit, EditBitmaps, Error, Format, Image, ImageWriter, Medium, OpenContext, Opener, Result,
    Storage,
};

use super::convert::{Converted, OnTheWay, cancelled, not_right, sound};
use super::input::{Input, Open, spool_stream};
use super::request::{ConvertRequest, Pipes};
use super::{output, verify};

/// Converts what `request` names.
///
/// # Errors
///
/// As [`convert`](super::convert::convert).
pub(crate) fn convert(
    request: &ConvertRequest<'_>,
    engine: &Convert<'_>,
    pipes: Pipes,
    on_the_way: &OnTheWay,
) -> Result<Converted> {
    let Input { open, bitmaps, spooled } = Input::open(request, pipes.input)?;
    let image = match open {
        Open::Image(image) => image,
        Open::Stream(mut stream) => spool_stream(request, stream.as_mut())?,
    };
    let bitmaps = sound(request.bitmaps, &bitmaps)?;
    let done = convert_image(request, engine, image.as_ref(), &bitmaps, on_the_way)?;
    Ok(Converted { done, spooled })
}

/// Converts `image`, whatever `request` has for sources, and adds `bitmaps` to those that the target has.
///
/// # Errors
///
/// As [`convert`](super::convert::convert).
pub(crate) fn convert_image(
    request: &ConvertRequest<'_>,
    engine: &Convert<'_>,
    image: &dyn Image,
    bitmaps: &[&dyn Bitmap],
    on_the_way: &OnTheWay,
) -> Result<Progress> {
    let cannot = |e: Error| e.context(format!("cannot convert to {}", request.target.display()));
    if let Some(remote) = request.access.remote(&request.target)?
        && output::is_source(request, &remote)?
    {
        return Err(output::overwritten(request));
    }
    if output::is_top(request) || output::is_held(request, image)? {
        return Err(output::overwritten(request));
    }
    let opener = request.access.opener();
    let format = opener.by_name(&request.target_format)?;
    let options = verify::open_options(format, &request.options);
    let path = request.access.place(&request.target);
    let context = OpenContext { path, options: &options, snapshot: None, ..opener.context };
    let edit = format.abilities().edit.ok_or_else(|| cannot(unable(format, "cannot be changed in place")))?;
    let medium = request.access.medium(&request.target).map_err(cannot)?;
    let onto = Onto { format, edit, medium, opener: Opener { context, wrappers: &[], ..opener } };
    if !bitmaps.is_empty() {
        onto.check_room_for(bitmaps, image.size()).map_err(cannot)?;
    }
    let writer = onto.writer(image.size(), request).map_err(cannot)?;
    let done = engine.run(image, writer).map_err(cannot)?;
    cancelled(request)?;
    bitmaps.iter().try_for_each(|bitmap| onto.add(*bitmap)).map_err(cannot)?;
    // With it goes the lock, which is in the way of whoever reads.
    drop(onto);
    if request.verify {
        verify::check_in_place(request, done.size, on_the_way.hashes()).map_err(|e| not_right(request, e))?;
    }
    Ok(done)
}

/// The image that is converted onto.
struct Onto<'a> {
    /// Its format.
    format: &'a dyn Format,
    /// What opens its editor.
    edit: &'static dyn Edit,
    /// Its file.
    medium: Arc<dyn Medium>,
    /// The rules by which it is opened.
    opener: Opener<'a>,
}

impl<'a> Onto<'a> {
    /// Writes into it, for a disk of `size` bytes.
    fn writer(&self, size: u64, request: &ConvertRequest<'_>) -> Result<Box<dyn ImageWriter + 'a>> {
        let editor = self.edit.edit(Arc::clone(&self.medium), &self.opener.context).map_err(|e| self.told(e))?;
        let writer = EditingWriter::new(editor, size, request.target_is_zero)?;
        Ok(Box::new(if request.compress { writer.compressed()? } else { writer }))
    }

    /// Checks that its disk is of the `size` that `bitmaps` are about, and that it has none of them: better known before the
    /// disk is written over.
    fn check_room_for(&self, bitmaps: &[&dyn Bitmap], size: u64) -> Result<()> {
        self.editing()?;
        let storage = Arc::clone(&self.medium) as Arc<dyn Storage>;
        let (opened, _) = self.opener.open_layer(storage, self.opener.context.path, Some(self.format.name()))?;
        let own = opened.image.size();
        if own != size {
            let what = format!("bitmaps of a disk of {size} bytes cannot be added to one of {own} bytes");
            return Err(Error::invalid(what));
        }
        for there in opened.bitmaps.iter().map(|bitmap| bitmap.info()) {
            if bitmaps.iter().any(|bitmap| bitmap.info().name == there.name) {
                return Err(Error::invalid(format!("the target has a bitmap {} already", there.name)));
            }
        }
        Ok(())
    }

    /// Adds `bitmap`, whole or not at all. It records where the other one did.
    fn add(&self, bitmap: &dyn Bitmap) -> Result<()> {
        let edit = self.editing()?;
        let info = bitmap.info();
        let change = |changes: &[BitmapChange<'_>]| {
            let done = edit.change(Arc::clone(&self.medium), &info.name, changes, &self.opener.context);
            done.map_err(|e| self.told(e))
        };
        change(&[BitmapChange::Add { granularity: Some(info.granularity) }])?;
        let state = if info.enabled { BitmapChange::Enable } else { BitmapChange::Disable };
        change(&[BitmapChange::Merge(bitmap), state]).inspect_err(|_| {
            // One that says less than it should is worse than none; why it does is what matters.
            let _ = change(&[BitmapChange::Remove]);
        })
    }

    /// What changes its bitmaps.
    fn editing(&self) -> Result<&'static dyn EditBitmaps> {
        self.format.abilities().bitmaps.ok_or_else(|| unable(self.format, "have no bitmaps"))
    }

    /// An error of the format.
    fn told(&self, error: Error) -> Error {
        error.in_format(self.format.name())
    }
}

/// What images of the format cannot.
fn unable(format: &dyn Format, what: &str) -> Error {
    Error::unsupported(format!("images in the format {} {what}", format.name()))
}
