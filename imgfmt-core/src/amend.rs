//! Changing options of an image that exists.

use std::sync::Arc;

use crate::Result;
use crate::format::OpenContext;
use crate::medium::Medium;
use crate::options::{OptionSpec, Options};

/// A format some of whose options can be changed once an image exists.
pub trait Amend: Send + Sync {
    /// The options that can be changed.
    fn options(&self) -> &'static [OptionSpec];

    /// Changes what `request` names, and leaves all else as it is.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for values and combinations that the image cannot have, as
    /// [`Edit::edit`](crate::editor::Edit::edit), and for another size as [`ImageEditor::resize`](crate::editor::ImageEditor::resize).
    /// Then nothing was changed.
    fn amend(&self, medium: Arc<dyn Medium>, request: &AmendRequest<'_>, context: &OpenContext<'_>) -> Result<()>;
}

/// What is to be changed.
#[derive(Clone, Copy, Debug)]
pub struct AmendRequest<'a> {
    /// The options.
    pub options: &'a Options,
    /// Whether what cannot be undone is allowed.
    pub force: bool,
    /// Guest bytes of the disk that the image builds on, where they are known; else it may have bytes anywhere.
    pub parent_size: Option<u64>,
}

impl<'a> AmendRequest<'a> {
    /// A change of `options`, where nothing more is known.
    #[must_use]
    pub fn new(options: &'a Options) -> Self {
        Self { options, force: false, parent_size: None }
    }
}
