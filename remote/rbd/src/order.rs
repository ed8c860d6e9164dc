//! What the helper is told before anything else, through its standard input.

use std::io::{self, Read};

use imgfmt_core::{Error, Result};

use crate::address::RbdAddress;
use crate::mode::Mode;

/// What to do with which image, as the helper reads it: its length in bytes, the mode, a space, and the address.
pub(crate) fn to_bytes(mode: Mode, address: &RbdAddress) -> Vec<u8> {
    let text = format!("{mode} {address}");
    let mut bytes = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// Reads what to do with which image.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io) where nothing is told, [`Invalid`](imgfmt_core::ErrorKind::Invalid) for what makes no sense.
pub fn read_order(input: &mut impl Read) -> Result<(Mode, RbdAddress)> {
    let failed = |e: io::Error| Error::io("cannot read what is to be done", e);
    let mut len = [0; 4];
    input.read_exact(&mut len).map_err(failed)?;
    let len = u32::from_be_bytes(len);
    if len > MAX_LEN {
        return Err(Error::invalid(format!("the name of an image has {len} bytes")));
    }
    let mut text = vec![0; len as usize];
    input.read_exact(&mut text).map_err(failed)?;
    let text = String::from_utf8(text).map_err(|_| Error::invalid("the name of an image is no UTF-8"))?;
    let (mode, address) = text.split_once(' ').ok_or_else(|| Error::invalid("no image is named"))?;
    Ok((Mode::parse(mode)?, RbdAddress::parse(address)?))
}

/// The longest order, in bytes: more than any command line has room for in one argument (`MAX_ARG_STRLEN` of Linux).
const MAX_LEN: u32 = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read() {
        let address = RbdAddress::parse("rbd:p/i with spaces@s:id=x:key=AQ==").unwrap();
        let bytes = to_bytes(Mode::Create(7), &address);
        assert_eq!(read_order(&mut &bytes[..]).unwrap(), (Mode::Create(7), address));
        for bytes in [&b""[..], b"\0\0\0\x04read", b"\xff\xff\xff\xff", b"\0\0\0\x06read x"] {
            assert!(read_order(&mut &*bytes).is_err());
        }
    }
}
