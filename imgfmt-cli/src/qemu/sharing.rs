//! `force-share` where the specification of an image has it, which is another way to say `-U`.

use imgfmt::Options;

use super::Command;
use super::common::FORCE_SHARE;
use super::fault::Fault;
use super::getopt::Parsed;

/// Takes `force-share=on` of an image for the option of `command`, or refuses it where that has none: it changes the image.
///
/// # Errors
///
/// Where the two say the opposite.
pub(crate) fn settle(command: &Command, parsed: &mut Parsed) -> Result<(), Fault> {
    if !IMAGE_OPTS.iter().any(|option| parsed.has(option)) {
        return Ok(());
    }
    // What is no specification is told of when it is opened.
    let given = |text: &str| Options::parse(text).ok()?.get(FORCE_SHARE.long).map(str::to_owned);
    let shares = command.options.iter().any(|option| option.long == FORCE_SHARE.long);
    let operands: Vec<_> = parsed.operands.iter().map(|operand| operand.to_string_lossy().into_owned()).collect();
    for operand in operands {
        let Some(value) = given(&operand) else { continue };
        let cannot = |what: &str| Err(Fault::new(format!("Could not open '{operand}': {what}")));
        match (value.as_str(), parsed.has(FORCE_SHARE.long)) {
            ("on", true) => {}
            (_, true) => return Err(Fault::new("--force-share/-U conflicts with image options")),
            ("on" | "yes" | "true" | "y", false) if shares => parsed.add(FORCE_SHARE.long),
            ("on" | "yes" | "true" | "y", false) => {
                return cannot("force-share=on can only be used with read-only images");
            }
            ("off" | "no" | "false" | "n", false) => {}
            (_, false) => return cannot("Parameter 'force-share' expects 'on' or 'off'"),
        }
    }
    Ok(())
}

/// The options by which operands are specifications.
const IMAGE_OPTS: [&str; 2] = ["image-opts", "source-image-opts"];
