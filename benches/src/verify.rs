//! Whether an output is right, in the eyes of qemu-img.

use std::path::Path;
use std::process::Command;

use crate::disk::RAW;
use crate::error::Error;
use crate::measure::Setup;
use crate::tools;

/// Compares `output` with the disk and, where the format has tables, checks these.
pub(crate) fn output(setup: &Setup, format: &str, output: &Path) -> Result<(), Error> {
    let disk = setup.folder.join(RAW);
    let mut compare = Command::new(&setup.qemu_img);
    tools::run(compare.args(["compare", "-f", "raw", "-F", format]).args([&disk, output]))?;
    // Its check knows no VHD, and nothing to check about raw.
    if !["raw", "vpc"].contains(&format) {
        tools::run(Command::new(&setup.qemu_img).args(["check", "-f", format]).arg(output))?;
    }
    Ok(())
}
