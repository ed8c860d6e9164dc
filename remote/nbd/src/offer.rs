//! The handshake from the server's side.

use std::io::{self, Read, Write};

use byteorder::{BigEndian, ReadBytesExt, WriteBytesExt};
use imgfmt_core::{Error, ErrorKind};

use crate::server::{Served, leading_u32};
use crate::stream::Stream;
use crate::wire::{
    self, BASE_ALLOCATION, DEFAULT_MAX_PAYLOAD, EXPORT_NAME_PADDING, FLAG_FIXED_NEWSTYLE, FLAG_HAS_FLAGS,
    FLAG_NO_ZEROES, FLAG_READ_ONLY, FLAG_SEND_FLUSH, FLAG_SEND_RESIZE, FLAG_SEND_TRIM, FLAG_SEND_WRITE_ZEROES,
    INFO_BLOCK_SIZE, INFO_EXPORT, INIT_MAGIC, MAX_STRING, OPT_ABORT, OPT_EXPORT_NAME, OPT_GO, OPT_INFO, OPT_LIST,
    OPT_SET_META_CONTEXT, OPT_STRUCTURED_REPLY, OPTION_MAGIC, OPTION_REPLY_MAGIC, REP_ACK, REP_ERR_INVALID,
    REP_ERR_POLICY, REP_ERR_UNKNOWN, REP_ERR_UNSUP, REP_INFO, REP_META_CONTEXT, REP_SERVER,
};

/// What was agreed on with a client.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Agreed {
    /// Whether replies are structured.
    pub(crate) structured: bool,
    /// Whether the client may ask what is allocated.
    pub(crate) allocation: bool,
}

/// Agrees with the client behind `stream` on `served`; nothing where it goes away again.
pub(crate) fn server(stream: &mut Stream, served: Option<&Served>) -> io::Result<Option<Agreed>> {
    let mut agreed = Agreed::default();
    let zeroes = greet(stream)?;
    while let Some((option, data)) = next_option(stream)? {
        match (option, served) {
            (OPT_ABORT, _) => {
                reply(stream, option, REP_ACK, &[])?;
                return Ok(None);
            }
            (OPT_STRUCTURED_REPLY, _) => {
                agreed.structured = true;
                reply(stream, option, REP_ACK, &[])?;
            }
            (OPT_SET_META_CONTEXT, Some(_)) if agreed.structured => {
                agreed.allocation = set_context(stream, &data)?;
            }
            (OPT_LIST, _) => {
                reply(stream, option, REP_SERVER, &0u32.to_be_bytes())?;
                reply(stream, option, REP_ACK, &[])?;
            }
            (OPT_INFO | OPT_GO, Some(served)) => {
                inform(stream, option, served)?;
                if option == OPT_GO {
                    return Ok(Some(agreed));
                }
            }
            (OPT_EXPORT_NAME, Some(served)) => {
                let mut bytes = described(served)?;
                bytes.resize(bytes.len() + if zeroes { EXPORT_NAME_PADDING } else { 0 }, 0);
                stream.write_all(&bytes)?;
                return Ok(Some(agreed));
            }
            (OPT_EXPORT_NAME, None) => return Ok(None),
            _ => reply(stream, option, REP_ERR_UNSUP, &[])?,
        }
    }
    Ok(None)
}

/// Tells the client behind `stream` what is in the way, whatever export it asks for.
pub(crate) fn refusing(stream: &mut Stream, error: &Error) -> io::Result<()> {
    greet(stream)?;
    let kind = match error.kind() {
        ErrorKind::Missing => REP_ERR_UNKNOWN,
        ErrorKind::Refused => REP_ERR_POLICY,
        _ => REP_ERR_INVALID,
    };
    while let Some((option, _)) = next_option(stream)? {
        match option {
            OPT_INFO | OPT_GO => reply(stream, option, kind, told(error).as_bytes())?,
            OPT_ABORT => return reply(stream, option, REP_ACK, &[]),
            OPT_EXPORT_NAME => return Ok(()),
            _ => reply(stream, option, REP_ERR_UNSUP, &[])?,
        }
    }
    Ok(())
}

/// All levels of an error in one line that the protocol has room for.
pub(crate) fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut level = std::error::Error::source(error);
    while let Some(below) = level {
        text.push_str(": ");
        let shown = below.to_string();
        // The number of a system's error means something to its own host only.
        text.push_str(shown.rfind(" (os error ").map_or(shown.as_str(), |at| &shown[..at]));
        level = below.source();
    }
    text.truncate(text.floor_char_boundary(MAX_STRING));
    text
}

/// Greets the client, and says whether it wants zeros where they mean nothing.
fn greet(stream: &mut Stream) -> io::Result<bool> {
    let mut bytes = Vec::new();
    bytes.write_u64::<BigEndian>(INIT_MAGIC)?;
    bytes.write_u64::<BigEndian>(OPTION_MAGIC)?;
    bytes.write_u16::<BigEndian>(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES)?;
    stream.write_all(&bytes)?;
    let flags = stream.read_u32::<BigEndian>()?;
    Ok(flags & u32::from(FLAG_NO_ZEROES) == 0)
}

/// The next option with its data; nothing where the client hangs up.
fn next_option(stream: &mut Stream) -> io::Result<Option<(u32, Vec<u8>)>> {
    let magic = match stream.read_u64::<BigEndian>() {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        magic => magic?,
    };
    let option = stream.read_u32::<BigEndian>()?;
    let len = stream.read_u32::<BigEndian>()?;
    if magic != OPTION_MAGIC || len > MAX_OPTION_LEN {
        return Err(wire::wrong(format!("an option that begins with {magic:#018x} and has {len} bytes")));
    }
    let mut data = vec![0; len as usize];
    stream.read_exact(&mut data)?;
    Ok(Some((option, data)))
}

/// Sends a reply to an option.
fn reply(stream: &mut Stream, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(20 + data.len());
    bytes.write_u64::<BigEndian>(OPTION_REPLY_MAGIC)?;
    bytes.write_u32::<BigEndian>(option)?;
    bytes.write_u32::<BigEndian>(kind)?;
    bytes.write_u32::<BigEndian>(u32::try_from(data.len()).map_err(|_| wire::wrong("a long reply".to_owned()))?)?;
    bytes.extend_from_slice(data);
    stream.write_all(&bytes)
}

/// Answers which metadata contexts there are; only one is.
fn set_context(stream: &mut Stream, data: &[u8]) -> io::Result<bool> {
    let asked = queries(data).ok_or_else(|| wire::wrong("an option about metadata contexts is cut off".to_owned()))?;
    let found = asked.contains(&BASE_ALLOCATION.as_bytes());
    if found {
        let data = [&ALLOCATION_ID.to_be_bytes(), BASE_ALLOCATION.as_bytes()].concat();
        reply(stream, OPT_SET_META_CONTEXT, REP_META_CONTEXT, &data)?;
    }
    reply(stream, OPT_SET_META_CONTEXT, REP_ACK, &[])?;
    Ok(found)
}

/// The queries of an option about metadata contexts.
fn queries(data: &[u8]) -> Option<Vec<&[u8]>> {
    let (name, rest) = leading_u32(data)?;
    let (count, mut rest) = leading_u32(rest.get(name as usize..)?)?;
    let mut queries = Vec::new();
    for _ in 0..count {
        let (len, query) = leading_u32(rest)?;
        let (query, behind) = query.split_at_checked(len as usize)?;
        queries.push(query);
        rest = behind;
    }
    Some(queries)
}

/// Tells of the export.
fn inform(stream: &mut Stream, option: u32, served: &Served) -> io::Result<()> {
    let mut export = INFO_EXPORT.to_be_bytes().to_vec();
    export.extend_from_slice(&described(served)?);
    reply(stream, option, REP_INFO, &export)?;
    let mut blocks = INFO_BLOCK_SIZE.to_be_bytes().to_vec();
    for size in [1, PREFERRED_BLOCK, DEFAULT_MAX_PAYLOAD] {
        blocks.write_u32::<BigEndian>(size)?;
    }
    reply(stream, option, REP_INFO, &blocks)?;
    reply(stream, option, REP_ACK, &[])
}

/// The size and the flags of an export.
fn described(served: &Served) -> io::Result<Vec<u8>> {
    let rights =
        if served.writable { FLAG_SEND_TRIM | FLAG_SEND_WRITE_ZEROES | FLAG_SEND_RESIZE } else { FLAG_READ_ONLY };
    let mut bytes = Vec::with_capacity(10);
    bytes.write_u64::<BigEndian>(served.medium.len())?;
    bytes.write_u16::<BigEndian>(FLAG_HAS_FLAGS | FLAG_SEND_FLUSH | rights)?;
    Ok(bytes)
}

/// What `base:allocation` is called in replies.
pub(crate) const ALLOCATION_ID: u32 = 1;
/// Blocks that are best to be read and written, in bytes.
const PREFERRED_BLOCK: u32 = 4096;
/// The longest option that is taken, in bytes.
const MAX_OPTION_LEN: u32 = 64 << 10;
