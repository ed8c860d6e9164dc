//! Another size for a flat extent.

use std::sync::Arc;

use imgfmt_core::{Error, Medium, Preallocation, Result, write_zeros};

use super::resize::Plan;
use super::state::{Content, State};

impl State {
    /// Makes the last extent, which is flat and starts at byte `host` of file number `medium`, as large as `plan` says.
    pub(super) fn resize_flat(&mut self, plan: Plan, medium: usize, host: u64) -> Result<()> {
        let others = self.parts.iter().take(plan.number);
        let shared = others
            .into_iter()
            .any(|part| matches!(part.content, Content::Flat { medium: other, .. } if other == medium));
        if shared {
            return Err(Error::unsupported("the file of the last extent has other extents, too"));
        }
        let file = Arc::clone(&self.media[medium]);
        let (old, new) = (host + self.parts[plan.number].size, host.saturating_add(plan.size));
        if new > old {
            grow(file.as_ref(), old, new, plan.preallocation)?;
        }
        self.resize_text(&plan)?;
        self.parts[plan.number].size = plan.size;
        // What lies behind the extent may be somebody's; a device stays as long as it is.
        if new < old && file.len() == old && file.set_len(new).is_ok() {
            file.sync()?;
        }
        Ok(())
    }
}

/// Makes room in `file` from byte `old` to byte `new`, which reads as zeros.
fn grow(file: &dyn Medium, old: u64, new: u64, preallocation: Preallocation) -> Result<()> {
    let there = file.len();
    if there > old {
        file.clear(old..new.min(there))?;
    }
    if new > there {
        file.set_len(new)?;
    }
    match preallocation {
        Preallocation::Off | Preallocation::Metadata => {}
        Preallocation::Falloc => file.reserve(old..new)?,
        Preallocation::Full => write_zeros(file, old..new)?,
    }
    file.sync()
}
