//! Key slots, filled and erased.

use std::sync::Arc;

use imgfmt_core::{Amend, AmendRequest, Error, Medium, OpenContext, OptionSpec, Options, Result};
use imgfmt_crypt::{KeySlots, SlotChange, random};

use crate::{Luks, NAME, open, options};

impl Amend for Luks {
    fn options(&self) -> &'static [OptionSpec] {
        options::AMEND
    }

    fn amend(&self, medium: Arc<dyn Medium>, request: &AmendRequest<'_>, context: &OpenContext<'_>) -> Result<()> {
        change_slots(medium.as_ref(), request.options, request.force, context).map_err(|e| e.in_format(NAME))
    }
}

/// Changes key slots as the options `given` say.
fn change_slots(medium: &dyn Medium, given: &Options, force: bool, context: &OpenContext<'_>) -> Result<()> {
    given.check(options::AMEND)?;
    let change = SlotChange::parse(given, "", context.secrets)?;
    let change =
        change.ok_or_else(|| Error::invalid("say what becomes of the key slots, with state=active|inactive"))?;
    let header = open::read_header(medium)?;
    let mut slots = KeySlots::open(medium, 0, header.payload_offset, random::from_system)?;
    let plan = slots.plan(&change, force, &|| options::secret(context)?.ok_or_else(options::no_secret))?;
    slots.apply(&plan)
}
