//! Guest bytes out of encrypted sectors.

use imgfmt_core::{Result, Storage};

use crate::layout::SECTOR_LEN;

/// Fills `buf` with the decrypted bytes from byte `host` of `source` on. Sectors begin at multiples of [`SECTOR_LEN`]; those at
/// the ends are read whole. `decrypt` gets whole sectors, and the byte at which they begin.
///
/// # Errors
///
/// As [`Storage::read_at`], and as `decrypt`.
pub fn read_sectors(
    source: &dyn Storage,
    buf: &mut [u8],
    host: u64,
    decrypt: &dyn Fn(&mut [u8], u64) -> Result<()>,
) -> Result<()> {
    let into = (host % SECTOR_LEN as u64) as usize;
    let head_len = if into == 0 { 0 } else { buf.len().min(SECTOR_LEN - into) };
    let (head, rest) = buf.split_at_mut(head_len);
    read_part(source, head, host, decrypt)?;
    let host = host + head_len as u64;
    let (whole, tail) = rest.split_at_mut(rest.len() - rest.len() % SECTOR_LEN);
    if !whole.is_empty() {
        source.read_at(whole, host)?;
        decrypt(whole, host)?;
    }
    read_part(source, tail, host + whole.len() as u64, decrypt)
}

/// Reads and decrypts a part of one sector.
fn read_part(
    source: &dyn Storage,
    part: &mut [u8],
    host: u64,
    decrypt: &dyn Fn(&mut [u8], u64) -> Result<()>,
) -> Result<()> {
    if part.is_empty() {
        return Ok(());
    }
    let into = host % SECTOR_LEN as u64;
    let mut sector = [0; SECTOR_LEN];
    source.read_at(&mut sector, host - into)?;
    decrypt(&mut sector, host - into)?;
    let into = into as usize;
    part.copy_from_slice(&sector[into..into + part.len()]);
    Ok(())
}
