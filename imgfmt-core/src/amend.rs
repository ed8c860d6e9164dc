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

    /// Changes `options`, and leaves all others as they are. `force` allows what cannot be undone.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for values and combinations that the image cannot have, and as
    /// [`Edit::edit`](crate::editor::Edit::edit). Then nothing was changed.
    fn amend(&self, medium: Arc<dyn Medium>, options: &Options, force: bool, context: &OpenContext<'_>) -> Result<()>;
}
