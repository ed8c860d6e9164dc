//! Opening: from a footer to a disk.

use std::sync::Arc;

use imgfmt_core::{Error, OpenContext, Opened, OptionSpec, Parent, Result, Storage};

use crate::copies::{self, Chosen, Wanted};
use crate::footer::DiskType;
use crate::header::Header;
use crate::info::{self, Facts, TableFacts};
use crate::layout::{CURRENT_SIZE_AT, DATA_OFFSET_AT};
use crate::map::{Blocks, Content, VhdImage};
use crate::parent::ParentNames;
use crate::size::{self, SizeFrom};
use crate::table::BlockTable;

/// Opens the disk in `storage`.
pub(crate) fn open(storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
    context.without_snapshots()?;
    let ignore_checksums = context.options.flag(IGNORE_CHECKSUMS, false)?;
    let chosen = copies::choose(storage.as_ref(), wanted(context)?, ignore_checksums)?;
    let size_from = SizeFrom::choose(&chosen.footer, context.options)?;
    let size = size_from.size_of(&chosen.footer).map_err(|e| in_footer(e, &chosen))?;
    let facts = Facts { chosen, size_from, table: None };
    match chosen.footer.disk_type {
        DiskType::Fixed => open_fixed(storage, size, &facts),
        DiskType::Dynamic | DiskType::Differencing => open_blocks(storage, size, facts, ignore_checksums, context),
    }
}

/// Opens a fixed disk.
fn open_fixed(storage: Arc<dyn Storage>, size: u64, facts: &Facts) -> Result<Opened> {
    let Chosen { footer, data_end, .. } = facts.chosen;
    if size > data_end {
        let hint = if footer.current_size <= data_end { "; force_size_calc=current_size takes the size" } else { "" };
        let what = format!("is {size} bytes, but data ends at byte {data_end}{hint}");
        let error = Error::out_of_bounds(what).field(facts.size_from.field()).at(CURRENT_SIZE_AT as u64);
        return Err(in_footer(error, &facts.chosen));
    }
    let description = info::describe(facts);
    Ok(Opened::alone(Box::new(VhdImage { sources: [storage], size, content: Content::Fixed, description })))
}

/// Opens a disk with a table.
fn open_blocks(
    storage: Arc<dyn Storage>,
    size: u64,
    facts: Facts,
    ignore_checksums: bool,
    context: &OpenContext<'_>,
) -> Result<Opened> {
    let Chosen { footer, data_end, .. } = facts.chosen;
    let header = Header::read(storage.as_ref(), footer.data_offset, ignore_checksums)
        .map_err(|e| header_not_found(e, &facts.chosen))?;
    let table = BlockTable::new(storage.as_ref(), &header, size, context.limits)?;
    let checked = table.check(storage.as_ref(), &header, footer.data_offset, size)?;
    let has_parent = footer.disk_type == DiskType::Differencing;
    let names = has_parent.then(|| ParentNames::read(storage.as_ref(), &header, context.limits));
    let parent: Option<Parent> = names.as_ref().map(|names| names.parent(&header));
    let blocks = Blocks::new(table, u64::from(header.block_size), data_end, has_parent);
    let table = TableFacts { header, allocated: checked.allocated, names };
    let description = info::describe(&Facts { table: Some(table), ..facts });
    let image = VhdImage { sources: [storage], size, content: Content::Blocks(Box::new(blocks)), description };
    Ok(Opened { parent, ..Opened::alone(Box::new(image)) })
}

/// An error that was met at a place within the footer.
fn in_footer(error: Error, chosen: &Chosen) -> Error {
    let field_at = error.offset().unwrap_or(0);
    error.at(chosen.at + field_at)
}

/// The error for a header that the footer does not lead to.
fn header_not_found(error: Error, chosen: &Chosen) -> Error {
    if error.field_name().is_some() {
        return error;
    }
    error.context("leads to no header").field("Data Offset").at(chosen.at + DATA_OFFSET_AT as u64)
}

/// Which footer the options ask for.
pub(crate) fn wanted(context: &OpenContext<'_>) -> Result<Wanted> {
    let words = [("auto", Wanted::Any), ("start", Wanted::Start), ("end", Wanted::End)];
    context.options.word(FOOTER, &words, Wanted::Any)
}

/// The option that chooses between two footers that differ.
const FOOTER: &str = "footer";
/// The option that takes damaged structures as they are.
pub(crate) const IGNORE_CHECKSUMS: &str = "ignore_checksums";

/// Options for opening.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: size::OPTION,
        values: "chs|current_size",
        default: "by creator",
        help: "what says how large the disk is: the geometry, as for Virtual PC, or the size, as for Hyper-V and all others",
    },
    OptionSpec {
        name: FOOTER,
        values: "auto|start|end",
        default: "auto",
        help: "which footer counts where the one at the end and its copy in front differ",
    },
    OptionSpec {
        name: IGNORE_CHECKSUMS,
        values: "on|off",
        default: "off",
        help: "take footers and headers whose checksum is wrong",
    },
];
