//! `imgfmt replay`.

use imgfmt::Access;
use imgfmt_cli::args::ReplayArgs;
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::pipes::is_pipe;
use crate::print;
use crate::render::written;

/// Replays an image's log in its file.
pub(crate) fn run(args: &ReplayArgs) -> Result<Exit, Failure> {
    if is_pipe(&args.file) {
        return Err(Failure::Usage("-: a log is replayed in a file, not in a pipe".to_owned()));
    }
    let done = imgfmt::replay(&args.file, args.format.as_deref(), &Access::default())?;
    let bytes = done.map_or(0, |done| done.bytes);
    let value = json!({ "filename": written::name(&args.file), "replayed": done.is_some(), "written": bytes });
    print::answer(args.answer.form, false, &value, || match done {
        Some(_) => format!("replayed {} sectors of {SECTOR_LEN} bytes\n", bytes / SECTOR_LEN),
        None => "there is nothing to replay\n".to_owned(),
    })?;
    Ok(Exit::Done)
}

/// Bytes of what people call a sector.
const SECTOR_LEN: u64 = 512;
