//! `qemu-img snapshot`.

use std::ffi::OsStr;

use imgfmt::{ErrorKind, SnapshotAction};

use super::common::{FORCE_SHARE, FORMAT, IMAGE_OPTS, OBJECT, QUIET, only};
use super::fault::{Fault, Outcome, print, told};
use super::getopt::Opt;
use super::human::{snapshot_table, snapshots_of};
use super::image::Image;
use super::mend::mend_unclean;
use super::setting::Setting;
use super::{Call, Command};
use crate::render::text::printable;

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "snapshot",
    summary: "List, make, apply and delete internal snapshots",
    operands: "FILE",
    options: &[
        QUIET,
        FORMAT,
        IMAGE_OPTS,
        FORCE_SHARE,
        Opt { short: Some('l'), long: "list", value: "", help: "list the snapshots, as without an action" },
        Opt { short: Some('c'), long: "create", value: "SNAPSHOT", help: "keep the current state as a snapshot" },
        Opt {
            short: Some('a'),
            long: "apply",
            value: "SNAPSHOT",
            help: "make the state of a snapshot the current one",
        },
        Opt { short: Some('d'), long: "delete", value: "SNAPSHOT", help: "delete a snapshot" },
        OBJECT,
    ],
    run,
};

/// Lists or changes snapshots.
fn run(call: &Call<'_>) -> Outcome {
    let Call { command, parsed, .. } = call;
    let actions: Vec<_> = parsed.in_order().filter(|(name, _)| ACTIONS.contains(name)).collect();
    if actions.len() > 1 {
        return Err(Fault::usage(command, "Cannot mix '-l', '-a', '-c', '-d'"));
    }
    let name = only(command, parsed)?;
    let mut image = Image::new(name, parsed.get("format"), parsed.has("image-opts"))?;
    let mut setting = Setting::new(parsed)?;
    let text = |name: &OsStr| name.to_string_lossy().into_owned();
    let action = match actions.first() {
        Some(("create", name)) => SnapshotAction::CreateAnother(text(name)),
        Some(("apply", name)) => SnapshotAction::Apply(text(name)),
        Some(("delete", name)) => SnapshotAction::Delete(text(name)),
        _ => return list(&mut image, &mut setting),
    };
    if setting.force_share {
        let what = "force-share=on can only be used with read-only images";
        return Err(Fault::new(format!("Could not open '{}': {what}", image.given)));
    }
    image.settle_to_write()?;
    mend_unclean(&image, &setting)?;
    if let SnapshotAction::Delete(name) = &action {
        check_name(&image, &setting, name)?;
    }
    imgfmt::snapshot(&image.source(), &action, &setting.access(&image))
        .map_err(|error| cannot(&image, &action, &error))?;
    Ok(0)
}

/// Checks that a snapshot is called `name`: what is deleted is not known by its id here.
fn check_name(image: &Image, setting: &Setting, name: &str) -> Result<(), Fault> {
    // What is wrong with the image, whoever changes it says.
    let Ok(list) = imgfmt::snapshots(&image.source(), &setting.access(image)) else { return Ok(()) };
    if list.iter().any(|snapshot| snapshot.name == name) {
        return Ok(());
    }
    Err(Fault::new(format!("Could not delete snapshot '{}': snapshot not found", printable(name))))
}

/// Lists the snapshots; formats that have none have none to list.
fn list(image: &mut Image, setting: &mut Setting) -> Outcome {
    image.settle_places(setting)?;
    let info = setting.describe(image, false)?;
    print(&snapshot_table(&snapshots_of(&info))).map(|()| 0)
}

/// Why it cannot be done.
fn cannot(image: &Image, action: &SnapshotAction, error: &imgfmt::Error) -> Fault {
    let (verb, name) = match action {
        SnapshotAction::Create(name) | SnapshotAction::CreateAnother(name) => ("create", name),
        SnapshotAction::Apply(name) => ("apply", name),
        SnapshotAction::Delete(name) => ("delete", name),
    };
    let what = format!("Could not {verb} snapshot '{name}'");
    match error.kind() {
        ErrorKind::Locked | ErrorKind::Refused => image.cannot_open(error),
        _ if image.is_corrupt() => image.corrupt(),
        ErrorKind::Missing if verb == "delete" => Fault::new(format!("{what}: snapshot not found ({})", told(error))),
        ErrorKind::Missing => {
            Fault::new(format!("{what}: Failed to load snapshot: No such file or directory ({})", told(error)))
        }
        ErrorKind::Unsupported => Fault::of(format!("{what}: Operation not supported"), error),
        _ => Fault::of(what, error),
    }
}

/// The options that say what is to be done.
const ACTIONS: [&str; 4] = ["list", "create", "apply", "delete"];
