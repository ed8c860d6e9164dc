//! What a client and a server agree on before the first request: "Handshake phase" of the NBD protocol.

use std::io::{self, Read, Write};

use byteorder::{BigEndian, ByteOrder, ReadBytesExt, WriteBytesExt};
use imgfmt_core::{Error, Result};

use crate::line::{self, Line};
use crate::wire::{
    self, BASE_ALLOCATION, DEFAULT_MAX_PAYLOAD, EXPORT_NAME_PADDING, FLAG_FIXED_NEWSTYLE, FLAG_NO_ZEROES,
    INFO_BLOCK_SIZE, INFO_EXPORT, INIT_MAGIC, MAX_STRING, OLDSTYLE_MAGIC, OPT_EXPORT_NAME, OPT_GO,
    OPT_SET_META_CONTEXT, OPT_STRUCTURED_REPLY, OPTION_MAGIC, OPTION_REPLY_MAGIC, REP_ACK, REP_ERR_POLICY,
    REP_ERR_TLS_REQD, REP_ERR_UNKNOWN, REP_ERR_UNSUP, REP_FLAG_ERROR, REP_INFO, REP_META_CONTEXT,
};

/// What a server says of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Export {
    /// Its length in bytes.
    pub(crate) size: u64,
    /// `FLAG_…` of the transmission.
    pub(crate) flags: u16,
    /// Requests begin and end at multiples of so many bytes, or with the export; a power of two.
    pub(crate) min_block: u32,
    /// The longest payload, in bytes; a multiple of `min_block`.
    pub(crate) max_payload: u32,
    /// Whether replies to reads are structured.
    pub(crate) structured: bool,
    /// What the server calls the metadata context `base:allocation`, where it has it.
    pub(crate) allocation: Option<u32>,
}

impl Export {
    /// An export of which only the size and the flags are known.
    fn new(size: u64, flags: u16, structured: bool) -> Self {
        Self { size, flags, min_block: 1, max_payload: DEFAULT_MAX_PAYLOAD, structured, allocation: None }
    }

    /// Whether a flag is set.
    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Checks what the rest relies on.
    fn checked(self) -> Result<Self> {
        let Self { size, min_block, max_payload, .. } = self;
        if !min_block.is_power_of_two() || min_block > MAX_MIN_BLOCK {
            return Err(failed(wire::wrong(format!("blocks of {min_block} bytes"))));
        }
        if size > i64::MAX.unsigned_abs() {
            return Err(Error::unsupported(format!("an export of {size} bytes is not supported")));
        }
        let max_payload = max_payload.min(DEFAULT_MAX_PAYLOAD) / min_block * min_block;
        if max_payload == 0 {
            return Err(failed(wire::wrong("no payload is short enough".to_owned())));
        }
        Ok(Self { max_payload, ..self })
    }
}

/// Agrees with the server at the other end of `stream` on the export called `name`.
///
/// # Errors
///
/// [`Missing`](imgfmt_core::ErrorKind::Missing) where there is no such export,
/// [`Refused`](imgfmt_core::ErrorKind::Refused) where it is not for us, [`Io`](imgfmt_core::ErrorKind::Io) where the server
/// does not answer, or not as the protocol says.
pub(crate) fn client(stream: &mut Line, name: &str) -> Result<Export> {
    if name.len() > MAX_STRING {
        return Err(Error::invalid(format!("the name of an export is at most {MAX_STRING} bytes long")));
    }
    let export = match style(stream).map_err(failed)? {
        Style::Old if !name.is_empty() => {
            let what = "the server negotiates in the old style, in which its only export has no name";
            return Err(Error::new(imgfmt_core::ErrorKind::Missing, what));
        }
        Style::Old => oldstyle(stream).map_err(failed)?,
        Style::New { options: false, zeroes } => by_name(stream, name, zeroes, false).map_err(failed)?,
        Style::New { options: true, zeroes } => negotiate(stream, name, zeroes)?,
    };
    stream.expect_nothing();
    export.checked()
}

/// Why nothing can be agreed on.
fn failed(error: io::Error) -> Error {
    if line::is_cancelled(&error) {
        return Error::from_read(error);
    }
    let plain = match error.kind() {
        io::ErrorKind::UnexpectedEof => Some("it has closed the connection"),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Some("it does not answer"),
        _ => None,
    };
    let error = plain.map_or(error, io::Error::other);
    Error::io("cannot agree with the NBD server", error)
}

/// How a server negotiates.
enum Style {
    /// It does not.
    Old,
    /// By options.
    New {
        /// Whether it answers options that it does not know.
        options: bool,
        /// Whether it sends zeros where they mean nothing.
        zeroes: bool,
    },
}

/// Finds out how the server negotiates, and says how we do.
fn style(stream: &mut Line) -> io::Result<Style> {
    if stream.read_u64::<BigEndian>()? != INIT_MAGIC {
        return Err(wire::wrong("it greets with something else".to_owned()));
    }
    match stream.read_u64::<BigEndian>()? {
        OLDSTYLE_MAGIC => Ok(Style::Old),
        OPTION_MAGIC => {
            let flags = stream.read_u16::<BigEndian>()? & (FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES);
            stream.write_u32::<BigEndian>(flags.into())?;
            Ok(Style::New { options: flags & FLAG_FIXED_NEWSTYLE != 0, zeroes: flags & FLAG_NO_ZEROES == 0 })
        }
        _ => Err(wire::wrong("its greeting goes on with something else".to_owned())),
    }
}

/// The only export of a server that does not negotiate.
fn oldstyle(stream: &mut Line) -> io::Result<Export> {
    let size = stream.read_u64::<BigEndian>()?;
    let flags = stream.read_u32::<BigEndian>()? as u16;
    stream.read_exact(&mut [0; EXPORT_NAME_PADDING])?;
    Ok(Export::new(size, flags, false))
}

/// Asks for an export in the way that every newstyle server knows. It hangs up where there is none.
fn by_name(stream: &mut Line, name: &str, zeroes: bool, structured: bool) -> io::Result<Export> {
    send_option(stream, OPT_EXPORT_NAME, name.as_bytes())?;
    let size = stream.read_u64::<BigEndian>()?;
    let flags = stream.read_u16::<BigEndian>()?;
    if zeroes {
        stream.read_exact(&mut [0; EXPORT_NAME_PADDING])?;
    }
    Ok(Export::new(size, flags, structured))
}

/// Asks for what helps, and then for the export.
fn negotiate(stream: &mut Line, name: &str, zeroes: bool) -> Result<Export> {
    let structured = ask(stream, OPT_STRUCTURED_REPLY, &[], |_, _| Ok(())).map_err(failed)?;
    if let Answer::Error(REP_ERR_TLS_REQD, what) = &structured {
        return Err(refusal(REP_ERR_TLS_REQD, what));
    }
    let structured = matches!(structured, Answer::Yes);
    let mut allocation = None;
    if structured {
        let query = context_query(name).map_err(failed)?;
        // A server that does not have the export says so once more below.
        ask(stream, OPT_SET_META_CONTEXT, &query, |kind, data| {
            if kind == REP_META_CONTEXT && data.get(4..) == Some(BASE_ALLOCATION.as_bytes()) {
                allocation = Some(BigEndian::read_u32(data));
            }
            Ok(())
        })
        .map_err(failed)?;
    }
    let mut found = None;
    let mut blocks = None;
    let go = ask(stream, OPT_GO, &go_request(name).map_err(failed)?, |kind, data| {
        match (kind, data) {
            (REP_INFO, [a, b, info @ ..]) => match (u16::from_be_bytes([*a, *b]), info.len()) {
                (INFO_EXPORT, 10) => found = Some((BigEndian::read_u64(info), BigEndian::read_u16(&info[8..]))),
                (INFO_BLOCK_SIZE, 12) => blocks = Some((BigEndian::read_u32(info), BigEndian::read_u32(&info[8..]))),
                (INFO_EXPORT | INFO_BLOCK_SIZE, len) => return Err(wire::wrong(format!("information of {len} bytes"))),
                _ => {}
            },
            _ => return Err(wire::wrong(format!("an answer of kind {kind} to NBD_OPT_GO"))),
        }
        Ok(())
    });
    match go.map_err(failed)? {
        Answer::Yes => {}
        Answer::Error(REP_ERR_UNSUP, _) => {
            let export = by_name(stream, name, zeroes, structured).map_err(failed)?;
            return Ok(Export { allocation, ..export });
        }
        Answer::Error(code, what) => return Err(refusal(code, &what)),
    }
    let (size, flags) =
        found.ok_or_else(|| failed(wire::wrong("nothing is said of the size of the export".to_owned())))?;
    let export = Export { allocation, ..Export::new(size, flags, structured) };
    Ok(blocks.map_or(export, |(min_block, max_payload)| Export { min_block, max_payload, ..export }))
}

/// Whether the server does what an option asks for.
enum Answer {
    /// It does.
    Yes,
    /// It does not: the error, and what it says to it.
    Error(u32, String),
}

/// Sends an option, and reads the answer; `each` gets the replies before the last one.
fn ask(
    stream: &mut Line,
    option: u32,
    data: &[u8],
    mut each: impl FnMut(u32, &[u8]) -> io::Result<()>,
) -> io::Result<Answer> {
    send_option(stream, option, data)?;
    for _ in 0..MAX_REPLIES {
        let (kind, data) = option_reply(stream, option)?;
        match kind {
            REP_ACK => return Ok(Answer::Yes),
            _ if kind & REP_FLAG_ERROR != 0 => {
                return Ok(Answer::Error(kind, String::from_utf8_lossy(&data).into_owned()));
            }
            _ => each(kind, &data)?,
        }
    }
    Err(wire::wrong("there is no end of replies to an option".to_owned()))
}

/// Sends an option.
fn send_option(stream: &mut Line, option: u32, data: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(16 + data.len());
    bytes.write_u64::<BigEndian>(OPTION_MAGIC)?;
    bytes.write_u32::<BigEndian>(option)?;
    bytes.write_u32::<BigEndian>(u32::try_from(data.len()).map_err(|_| wire::wrong("a long option".to_owned()))?)?;
    bytes.extend_from_slice(data);
    stream.expect_answer();
    stream.write_all(&bytes)
}

/// The next reply to `option`: its kind and its data.
fn option_reply(stream: &mut Line, option: u32) -> io::Result<(u32, Vec<u8>)> {
    if stream.read_u64::<BigEndian>()? != OPTION_REPLY_MAGIC || stream.read_u32::<BigEndian>()? != option {
        return Err(wire::wrong("a reply to an option is to none that was sent".to_owned()));
    }
    let kind = stream.read_u32::<BigEndian>()?;
    let len = stream.read_u32::<BigEndian>()?;
    if len > MAX_REPLY_LEN {
        return Err(wire::wrong(format!("a reply of {len} bytes to an option")));
    }
    let mut data = vec![0; len as usize];
    stream.read_exact(&mut data)?;
    Ok((kind, data))
}

/// The data of an option that asks for what is allocated in an export.
fn context_query(name: &str) -> io::Result<Vec<u8>> {
    let mut data = named(name)?;
    data.write_u32::<BigEndian>(1)?;
    data.extend_from_slice(&named(BASE_ALLOCATION)?);
    Ok(data)
}

/// The data of an option that asks for an export, and for its block sizes.
fn go_request(name: &str) -> io::Result<Vec<u8>> {
    let mut data = named(name)?;
    data.write_u16::<BigEndian>(1)?;
    data.write_u16::<BigEndian>(INFO_BLOCK_SIZE)?;
    Ok(data)
}

/// A string behind its length.
fn named(name: &str) -> io::Result<Vec<u8>> {
    let mut data = Vec::with_capacity(4 + name.len());
    data.write_u32::<BigEndian>(u32::try_from(name.len()).map_err(|_| wire::wrong("a long name".to_owned()))?)?;
    data.extend_from_slice(name.as_bytes());
    Ok(data)
}

/// Why the server does not let us have an export.
fn refusal(code: u32, said: &str) -> Error {
    let said = if said.is_empty() { String::new() } else { format!("{SAID}{}", printable(said)) };
    match code {
        REP_ERR_UNKNOWN => Error::new(imgfmt_core::ErrorKind::Missing, format!("the server has no such export{said}")),
        REP_ERR_TLS_REQD => Error::unsupported(format!("the server wants TLS, which is not supported{said}")),
        REP_ERR_POLICY => Error::refused(format!("the server does not allow it{said}")),
        _ => Error::new(imgfmt_core::ErrorKind::Io, format!("the server refuses (error {code:#x}){said}")),
    }
}

/// Text of a server as it can be shown.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What stands before the server's own words.
pub(crate) const SAID: &str = "; the server says: ";
/// Replies to one option at most.
const MAX_REPLIES: usize = 64;
/// The longest reply to an option, in bytes: more than any string that the protocol allows.
const MAX_REPLY_LEN: u32 = 64 << 10;
/// The largest smallest block, in bytes, that the protocol allows.
const MAX_MIN_BLOCK: u32 = 64 << 10;
