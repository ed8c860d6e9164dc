//! Disks that arrive front to back, as from a pipe.
//!
//! What a file is stands at its end, so one that does not start with a copy of the footer is taken for a fixed disk until
//! the end shows whether it was one. A dynamic disk can be taken in one pass where everything lies in the order in which it
//! is needed, as most programs write it; a differencing disk builds on a file, and so is one.

mod blocks;
mod fixed;
mod input;

use std::io::{Cursor, Read};

use imgfmt_core::{ImageStream, Limits, OpenContext, Result, Streamed};

use crate::footer::{DiskType, Footer};
use crate::header::Header;
use crate::layout::{FOOTER_COOKIE, FOOTER_LEN, HEADER_LEN, be_u32s};
use crate::size::SizeFrom;
use blocks::BlockStream;
use fixed::FixedStream;
use input::Input;

/// Starts to read the disk that arrives through `input`.
pub(crate) fn start(input: Box<dyn Read + Send>, context: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
    context.without_snapshots()?;
    let mut input = Input::new(input);
    let mut head = Vec::new();
    input.fill(&mut head, FOOTER_LEN)?;
    if !head.starts_with(&FOOTER_COOKIE) {
        let input = Input::new(Box::new(Cursor::new(head).chain(input.into_inner())));
        return Ok(Streamed::OnePass(Box::new(FixedStream::new(input, context))));
    }
    match Plan::read(&mut input, &mut head, context)? {
        Ok(plan) => Ok(Streamed::OnePass(Box::new(BlockStream::new(input, plan)))),
        Err(reason) => {
            let input = Box::new(Cursor::new(head).chain(input.into_inner()));
            Ok(Streamed::NeedsSeek { input, reason: reason.to_owned() })
        }
    }
}

/// What is known of a dynamic disk before its first block has come.
struct Plan {
    /// The copy of the footer in front.
    footer: Footer,
    /// Guest bytes.
    size: u64,
    /// Bytes of a block.
    block_len: u64,
    /// The table, as far as the disk goes. Blocks that are there ascend in the file as they do in the disk.
    table: Vec<u32>,
}

impl Plan {
    /// Reads up to the end of the table, and keeps all that was read in `head`. Says why where the disk cannot be
    /// taken in one pass; whatever is wrong with it is then for [`open`](crate::open::open) to find.
    fn read(input: &mut Input, head: &mut Vec<u8>, context: &OpenContext<'_>) -> Result<Result<Self, &'static str>> {
        let footer = match head.first_chunk().map(Footer::parse) {
            Some(Ok(footer)) if footer.checksum_ok && footer.disk_type == DiskType::Dynamic => footer,
            _ => return Ok(Err("its first footer is not that of a whole dynamic disk")),
        };
        let size = SizeFrom::choose(&footer, context.options)?.size_of(&footer)?;
        Limits::check("Current Size", size, context.limits.virtual_size)?;
        let Some(header) = read_to(input, head, footer.data_offset, HEADER_LEN as u64, context.limits)? else {
            return Ok(Err("its header is not in front"));
        };
        let header = match header.first_chunk().map(Header::parse) {
            Some(Ok(header)) if header.checksum_ok => header,
            _ => return Ok(Err("its header is damaged")),
        };
        let Ok(blocks) = header.blocks(size) else { return Ok(Err("its table is too short")) };
        let after_header = header.table_offset >= footer.data_offset.saturating_add(HEADER_LEN as u64);
        let table = match read_to(input, head, header.table_offset, header.table_len(), context.limits)? {
            Some(bytes) if after_header => be_u32s(bytes, blocks),
            _ => return Ok(Err("its table is not in front")),
        };
        let plan = Self { footer, size, block_len: u64::from(header.block_size), table };
        Ok(if plan.ascends(head.len() as u64) {
            Ok(plan)
        } else {
            Err("its blocks do not lie in the order of the disk")
        })
    }
}

/// Reads on so that `head` holds the `len` bytes at `at`, and returns them; nothing where they would be too many, or the
/// input ends before.
fn read_to<'h>(
    input: &mut Input,
    head: &'h mut Vec<u8>,
    at: u64,
    len: u64,
    limits: &Limits,
) -> Result<Option<&'h [u8]>> {
    let end = at.saturating_add(len);
    let (Ok(start), Ok(until)) = (usize::try_from(at), usize::try_from(end)) else { return Ok(None) };
    if end > limits.metadata_bytes.saturating_add(MAX_FRONT_LEN) {
        return Ok(None);
    }
    input.fill(head, until.saturating_sub(head.len()))?;
    Ok(head.get(start..until))
}

/// Bytes that may lie in front of the blocks beside the table.
const MAX_FRONT_LEN: u64 = 1 << 20;
