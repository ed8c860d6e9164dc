//! `imgfmt replay`.

use imgfmt::Access;
use imgfmt_cli::args::ReplayArgs;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::pipes::is_pipe;
use crate::print;

/// Replays an image's log in its file.
pub(crate) fn run(args: &ReplayArgs) -> Result<Exit, Failure> {
    if is_pipe(&args.file) {
        return Err(Failure::Usage("-: a log is replayed in a file, not in a pipe".to_owned()));
    }
    let text = match imgfmt::replay(&args.file, args.format.as_deref(), &Access::default())? {
        Some(done) => format!("replayed {} sectors of {SECTOR_LEN} bytes\n", done.bytes / SECTOR_LEN),
        None => "there is nothing to replay\n".to_owned(),
    };
    print::text(&text)?;
    Ok(Exit::Done)
}

/// Bytes of what people call a sector.
const SECTOR_LEN: u64 = 512;
