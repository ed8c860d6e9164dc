//! What a format can do beyond reading and creating images.

use crate::amend::Amend;
use crate::bitmap::EditBitmaps;
use crate::check::Check;
use crate::editor::Edit;
use crate::measure::Measure;
use crate::reparent::Reparent;
use crate::replay::Replay;
use crate::snapshot::Snapshots;
use crate::vacant::Vacant;

/// The verbs that a format has for its images, beyond those that all formats share. What is `None` is
/// refused by whoever is asked for it, with the format's name.
#[derive(Clone, Copy, Default)]
pub struct Abilities {
    /// Looking for damage, and mending it.
    pub check: Option<&'static dyn Check>,
    /// Changing guest bytes and the size of the disk in place.
    pub edit: Option<&'static dyn Edit>,
    /// Naming another parent.
    pub reparent: Option<&'static dyn Reparent>,
    /// Internal snapshots.
    pub snapshots: Option<&'static dyn Snapshots>,
    /// Dirty bitmaps.
    pub bitmaps: Option<&'static dyn EditBitmaps>,
    /// Changing options of an image.
    pub amend: Option<&'static dyn Amend>,
    /// Telling the size of a new image by its layout.
    pub measure: Option<&'static dyn Measure>,
    /// Replaying a log in the file.
    pub replay: Option<&'static dyn Replay>,
    /// Telling which parts of a file nothing uses.
    pub vacant: Option<&'static dyn Vacant>,
}

impl Abilities {
    /// No verb but those that all formats share.
    pub const NONE: Self = Self {
        check: None,
        edit: None,
        reparent: None,
        snapshots: None,
        bitmaps: None,
        amend: None,
        measure: None,
        replay: None,
        vacant: None,
    };
}
