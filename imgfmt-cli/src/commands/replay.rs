//! `imgfmt replay`.

use std::io::{self, Write};

use imgfmt::Access;
use imgfmt_cli::args::ReplayArgs;

use crate::failure::Failure;
use crate::pipes::is_pipe;

/// Replays an image's log in its file.
pub(crate) fn run(args: &ReplayArgs) -> Result<(), Failure> {
    if is_pipe(&args.file) {
        return Err(Failure::Usage("-: a log is replayed in a file, not in a pipe".to_owned()));
    }
    let text = match imgfmt::replay(&args.file, args.format.as_deref(), &Access::default())? {
        Some(done) => format!("replayed {} sectors of {SECTOR_LEN} bytes\n", done.bytes / SECTOR_LEN),
        None => "there is nothing to replay\n".to_owned(),
    };
    io::stdout().lock().write_all(text.as_bytes()).map_err(|e| Failure::System("cannot print", e))
}

/// Bytes of what people call a sector.
const SECTOR_LEN: u64 = 512;
