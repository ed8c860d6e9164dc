//! `imgfmt create`.

use std::path::Path;

use imgfmt::options::parse_size;
use imgfmt::{CreateImage, Options, ParentName};
use imgfmt_cli::args::{CreateArgs, SourceArgs};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::gate::CliGate;
use crate::pipes::refuse_pipe;
use crate::print;
use crate::render::{options, written};
use crate::source::Sources;

/// Makes a new image.
pub(crate) fn run(args: &CreateArgs) -> Result<Exit, Failure> {
    let Some(file) = args.file.as_deref() else {
        return Err(Failure::Usage("a file to make is needed; see imgfmt create --help".to_owned()));
    };
    refuse_pipe(file, "an empty image is made in a file")?;
    let about = SourceArgs { object: args.object.clone(), allow: args.allow.clone(), ..SourceArgs::default() };
    let sources = Sources::new(&about, None)?.with_target(Some(file))?;
    let (options, backing) = new_options(&args.options, args)?;
    let beside = backing.as_ref().map(|backing| file.parent().unwrap_or(Path::new("")).join(&backing.name));
    let known = beside.filter(|_| !args.unchecked);
    let gate = CliGate::new(known.as_deref().into_iter(), &args.allow, false)?;
    let size =
        args.size.as_deref().map(|text| parse_size(text).map_err(|e| e.context(format!("SIZE cannot be {text}"))));
    let request = CreateImage {
        path: file.to_path_buf(),
        format: format_of(args),
        size: size.transpose()?,
        options,
        backing,
        unchecked_backing: args.unchecked,
        access: sources.access(&gate, None),
    };
    let done = imgfmt::create(&request).map_err(|error| gate.explain(error))?;
    let object = written::new(&request.path, &request.format, done.size, request.backing.as_ref());
    print::done(args.answer.form, false, &object.into())?;
    Ok(Exit::Done)
}

/// The format of the new image: the one that was named, or that its name ends with, or raw.
pub(crate) fn format_of(args: &CreateArgs) -> String {
    let by_name = || args.file.as_deref().and_then(imgfmt::format_of_name);
    args.format.clone().unwrap_or_else(|| by_name().unwrap_or("raw").to_owned())
}

/// The options of the new image, and the file that it builds on.
fn new_options(texts: &[String], args: &CreateArgs) -> Result<(Options, Option<ParentName>), Failure> {
    let (mut options, mut backing) = options::split_backing(texts)?;
    if let Some(name) = &args.backing {
        backing.name = Some(name.clone());
    }
    if let Some(format) = &args.backing_format {
        backing.format = Some(format.clone());
    }
    if let Some(size) = options.get("size").map(str::to_owned).filter(|_| args.size.is_none()) {
        options.set("size", &size);
    }
    Ok((options, backing.into_parent("say -b FILE")?))
}
