//! The numbers of the protocol, and the headers that both sides send.
//!
//! All integers are big-endian: "Values", and "Constants" of the NBD protocol.

use std::io::{self, Read, Write};

use byteorder::{BigEndian, ReadBytesExt, WriteBytesExt};

/// A request of the transmission phase, without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// `CMD_FLAG_…`.
    pub(crate) flags: u16,
    /// `CMD_…`.
    pub(crate) command: u16,
    /// What the reply is known by.
    pub(crate) cookie: u64,
    /// The first byte that it is about.
    pub(crate) offset: u64,
    /// How many bytes it is about.
    pub(crate) len: u32,
}

impl Request {
    /// Sends it, in one piece with its payload where that is short.
    pub(crate) fn write(&self, out: &mut dyn Write, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(REQUEST_LEN + payload.len().min(SHORT_LEN));
        bytes.write_u32::<BigEndian>(REQUEST_MAGIC)?;
        bytes.write_u16::<BigEndian>(self.flags)?;
        bytes.write_u16::<BigEndian>(self.command)?;
        bytes.write_u64::<BigEndian>(self.cookie)?;
        bytes.write_u64::<BigEndian>(self.offset)?;
        bytes.write_u32::<BigEndian>(self.len)?;
        if payload.len() <= SHORT_LEN {
            bytes.extend_from_slice(payload);
            return out.write_all(&bytes);
        }
        out.write_all(&bytes)?;
        out.write_all(payload)
    }

    /// The next request; its payload follows in the stream.
    pub(crate) fn read(input: &mut dyn Read) -> io::Result<Self> {
        let magic = input.read_u32::<BigEndian>()?;
        if magic != REQUEST_MAGIC {
            return Err(wrong(format!("a request begins with {magic:#010x}")));
        }
        Ok(Self {
            flags: input.read_u16::<BigEndian>()?,
            command: input.read_u16::<BigEndian>()?,
            cookie: input.read_u64::<BigEndian>()?,
            offset: input.read_u64::<BigEndian>()?,
            len: input.read_u32::<BigEndian>()?,
        })
    }
}

/// The head of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyHead {
    /// A simple reply: the data of a read follows, where there is no error.
    Simple {
        /// 0, or an error number.
        error: u32,
        /// Which request it is to.
        cookie: u64,
    },
    /// A chunk of a structured reply, with its payload behind it.
    Chunk {
        /// Whether it is the last one.
        done: bool,
        /// `CHUNK_…`.
        kind: u16,
        /// Which request it is to.
        cookie: u64,
        /// Bytes of the payload.
        len: u32,
    },
}

impl ReplyHead {
    /// The next one.
    pub(crate) fn read(input: &mut dyn Read) -> io::Result<Self> {
        match input.read_u32::<BigEndian>()? {
            SIMPLE_REPLY_MAGIC => {
                let error = input.read_u32::<BigEndian>()?;
                Ok(Self::Simple { error, cookie: input.read_u64::<BigEndian>()? })
            }
            STRUCTURED_REPLY_MAGIC => {
                let done = input.read_u16::<BigEndian>()? & CHUNK_FLAG_DONE != 0;
                let kind = input.read_u16::<BigEndian>()?;
                let cookie = input.read_u64::<BigEndian>()?;
                Ok(Self::Chunk { done, kind, cookie, len: input.read_u32::<BigEndian>()? })
            }
            magic => Err(wrong(format!("a reply begins with {magic:#010x}"))),
        }
    }

    /// Which request it is to.
    pub(crate) fn cookie(self) -> u64 {
        match self {
            Self::Simple { cookie, .. } | Self::Chunk { cookie, .. } => cookie,
        }
    }

    /// Its bytes.
    pub(crate) fn to_bytes(self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(CHUNK_HEAD_LEN);
        match self {
            Self::Simple { error, cookie } => {
                bytes.write_u32::<BigEndian>(SIMPLE_REPLY_MAGIC)?;
                bytes.write_u32::<BigEndian>(error)?;
                bytes.write_u64::<BigEndian>(cookie)?;
            }
            Self::Chunk { done, kind, cookie, len } => {
                bytes.write_u32::<BigEndian>(STRUCTURED_REPLY_MAGIC)?;
                bytes.write_u16::<BigEndian>(if done { CHUNK_FLAG_DONE } else { 0 })?;
                bytes.write_u16::<BigEndian>(kind)?;
                bytes.write_u64::<BigEndian>(cookie)?;
                bytes.write_u32::<BigEndian>(len)?;
            }
        }
        Ok(bytes)
    }
}

/// The other side does not keep to the protocol.
pub(crate) fn wrong(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the other side does not keep to the NBD protocol: {what}"))
}

/// What a server sends first: "NBDMAGIC".
pub(crate) const INIT_MAGIC: u64 = 0x4e42_444d_4147_4943;
/// What follows in the newstyle negotiation, and what each option begins with: "IHAVEOPT".
pub(crate) const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
/// What follows in the oldstyle negotiation.
pub(crate) const OLDSTYLE_MAGIC: u64 = 0x0000_4202_8186_1253;
/// What the reply to an option begins with.
pub(crate) const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
/// What a request begins with.
const REQUEST_MAGIC: u32 = 0x2560_9513;
/// What a simple reply begins with.
const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;
/// What a chunk of a structured reply begins with.
const STRUCTURED_REPLY_MAGIC: u32 = 0x668e_33ef;
/// `NBD_FLAG_FIXED_NEWSTYLE` and `NBD_FLAG_C_FIXED_NEWSTYLE`.
pub(crate) const FLAG_FIXED_NEWSTYLE: u16 = 1 << 0;
/// `NBD_FLAG_NO_ZEROES` and `NBD_FLAG_C_NO_ZEROES`.
pub(crate) const FLAG_NO_ZEROES: u16 = 1 << 1;
/// `NBD_OPT_EXPORT_NAME`.
pub(crate) const OPT_EXPORT_NAME: u32 = 1;
/// `NBD_OPT_ABORT`.
pub(crate) const OPT_ABORT: u32 = 2;
/// `NBD_OPT_LIST`.
pub(crate) const OPT_LIST: u32 = 3;
/// `NBD_OPT_INFO`.
pub(crate) const OPT_INFO: u32 = 6;
/// `NBD_OPT_GO`.
pub(crate) const OPT_GO: u32 = 7;
/// `NBD_OPT_STRUCTURED_REPLY`.
pub(crate) const OPT_STRUCTURED_REPLY: u32 = 8;
/// `NBD_OPT_SET_META_CONTEXT`.
pub(crate) const OPT_SET_META_CONTEXT: u32 = 10;
/// `NBD_REP_ACK`.
pub(crate) const REP_ACK: u32 = 1;
/// `NBD_REP_SERVER`.
pub(crate) const REP_SERVER: u32 = 2;
/// `NBD_REP_INFO`.
pub(crate) const REP_INFO: u32 = 3;
/// `NBD_REP_META_CONTEXT`.
pub(crate) const REP_META_CONTEXT: u32 = 4;
/// The bit that all errors among replies have.
pub(crate) const REP_FLAG_ERROR: u32 = 1 << 31;
/// `NBD_REP_ERR_UNSUP`.
pub(crate) const REP_ERR_UNSUP: u32 = REP_FLAG_ERROR | 1;
/// `NBD_REP_ERR_POLICY`.
pub(crate) const REP_ERR_POLICY: u32 = REP_FLAG_ERROR | 2;
/// `NBD_REP_ERR_INVALID`.
pub(crate) const REP_ERR_INVALID: u32 = REP_FLAG_ERROR | 3;
/// `NBD_REP_ERR_TLS_REQD`.
pub(crate) const REP_ERR_TLS_REQD: u32 = REP_FLAG_ERROR | 5;
/// `NBD_REP_ERR_UNKNOWN`.
pub(crate) const REP_ERR_UNKNOWN: u32 = REP_FLAG_ERROR | 6;
/// `NBD_INFO_EXPORT`.
pub(crate) const INFO_EXPORT: u16 = 0;
/// `NBD_INFO_BLOCK_SIZE`.
pub(crate) const INFO_BLOCK_SIZE: u16 = 3;
/// `NBD_FLAG_HAS_FLAGS`.
pub(crate) const FLAG_HAS_FLAGS: u16 = 1 << 0;
/// `NBD_FLAG_READ_ONLY`.
pub(crate) const FLAG_READ_ONLY: u16 = 1 << 1;
/// `NBD_FLAG_SEND_FLUSH`.
pub(crate) const FLAG_SEND_FLUSH: u16 = 1 << 2;
/// `NBD_FLAG_SEND_TRIM`.
pub(crate) const FLAG_SEND_TRIM: u16 = 1 << 5;
/// `NBD_FLAG_SEND_WRITE_ZEROES`.
pub(crate) const FLAG_SEND_WRITE_ZEROES: u16 = 1 << 6;
/// `NBD_FLAG_SEND_RESIZE`, of the extension of that name.
pub(crate) const FLAG_SEND_RESIZE: u16 = 1 << 9;
/// `NBD_CMD_READ`.
pub(crate) const CMD_READ: u16 = 0;
/// `NBD_CMD_WRITE`.
pub(crate) const CMD_WRITE: u16 = 1;
/// `NBD_CMD_DISC`.
pub(crate) const CMD_DISC: u16 = 2;
/// `NBD_CMD_FLUSH`.
pub(crate) const CMD_FLUSH: u16 = 3;
/// `NBD_CMD_TRIM`.
pub(crate) const CMD_TRIM: u16 = 4;
/// `NBD_CMD_WRITE_ZEROES`.
pub(crate) const CMD_WRITE_ZEROES: u16 = 6;
/// `NBD_CMD_BLOCK_STATUS`.
pub(crate) const CMD_BLOCK_STATUS: u16 = 7;
/// `NBD_CMD_RESIZE`, of the extension of that name: the offset is the new size.
pub(crate) const CMD_RESIZE: u16 = 8;
/// `NBD_REPLY_FLAG_DONE`.
const CHUNK_FLAG_DONE: u16 = 1 << 0;
/// `NBD_REPLY_TYPE_NONE`.
pub(crate) const CHUNK_NONE: u16 = 0;
/// `NBD_REPLY_TYPE_OFFSET_DATA`.
pub(crate) const CHUNK_OFFSET_DATA: u16 = 1;
/// `NBD_REPLY_TYPE_OFFSET_HOLE`.
pub(crate) const CHUNK_OFFSET_HOLE: u16 = 2;
/// `NBD_REPLY_TYPE_BLOCK_STATUS`.
pub(crate) const CHUNK_BLOCK_STATUS: u16 = 5;
/// `NBD_REPLY_TYPE_ERROR`.
pub(crate) const CHUNK_ERROR: u16 = 1 << 15 | 1;
/// `NBD_REPLY_TYPE_ERROR_OFFSET`.
pub(crate) const CHUNK_ERROR_OFFSET: u16 = 1 << 15 | 2;
/// The bit that all errors among chunks have.
pub(crate) const CHUNK_FLAG_ERROR: u16 = 1 << 15;
/// The metadata context that says what is allocated, and what is zero.
pub(crate) const BASE_ALLOCATION: &str = "base:allocation";
/// `NBD_STATE_HOLE`.
pub(crate) const STATE_HOLE: u32 = 1 << 0;
/// `NBD_STATE_ZERO`.
pub(crate) const STATE_ZERO: u32 = 1 << 1;
/// `NBD_EPERM`.
pub(crate) const EPERM: u32 = 1;
/// `NBD_EIO`.
pub(crate) const EIO: u32 = 5;
/// `NBD_EINVAL`.
pub(crate) const EINVAL: u32 = 22;
/// `NBD_ENOSPC`.
pub(crate) const ENOSPC: u32 = 28;
/// Bytes of a request's head.
const REQUEST_LEN: usize = 28;
/// Bytes of a chunk's head.
const CHUNK_HEAD_LEN: usize = 20;
/// The longest payload that is copied behind its head, in bytes.
const SHORT_LEN: usize = 4096;
/// Zeros behind the reply to `NBD_OPT_EXPORT_NAME`, in bytes.
pub(crate) const EXPORT_NAME_PADDING: usize = 124;
/// The longest payload that both sides have to take where nothing is said, in bytes.
pub(crate) const DEFAULT_MAX_PAYLOAD: u32 = 32 << 20;
/// The longest name of an export, in bytes.
pub(crate) const MAX_STRING: usize = 4096;
