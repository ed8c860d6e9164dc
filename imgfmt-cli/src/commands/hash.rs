//! `imgfmt hash`.

use imgfmt::convert::{Cancel, Progress};
use imgfmt::{HashAlgorithm, HashRequest};
use imgfmt_cli::args::{HashArgs, HashName, OutputForm};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::gate::CliGate;
use crate::pipes::refuse_pipe;
use crate::print;
use crate::progress::Reporter;
use crate::render::text::printable;
use crate::render::written;
use crate::signals::Signals;
use crate::source::{Sources, snapshot};

/// Hashes images.
pub(crate) fn run(args: &HashArgs, signals: &Signals) -> Result<Exit, Failure> {
    for file in &args.files {
        refuse_pipe(file, "an image is hashed in a file; for the bytes of a pipe as they are there is sha256sum")?;
    }
    let sources = Sources::new(&args.source, args.files.iter().map(std::path::PathBuf::as_path))?;
    let gate = CliGate::new(sources.paths(), &args.source.allow, args.source.force_share)?;
    let cancel = Cancel::default();
    signals.cancel(&cancel).map_err(|e| Failure::System("cannot watch for signals", e))?;
    let mut objects = Vec::new();
    for source in &sources.list {
        let reporter = Reporter::new(&args.progress, args.answer.form, false)?;
        let report = |progress: Progress| reporter.report(progress);
        let request = HashRequest {
            source: source.clone(),
            algorithms: algorithms(&args.algorithm),
            threads: sources.threads(args.threads),
            progress: reporter.is_shown().then_some(&report),
            cancel: cancel.clone(),
            access: sources.access(&gate, args.snapshot.as_deref().map(snapshot)),
        };
        let result = imgfmt::hash(&request);
        reporter.finish(None);
        let values = result.map_err(|error| gate.explain(error))?;
        let name = source.path.display().to_string();
        match args.answer.form {
            OutputForm::Human => {
                for value in &values {
                    print::text(&format!("{}  {}\n", value.hex(), printable(&name)))?;
                }
            }
            OutputForm::Json => {
                objects.push(json!({ "filename": name, "hashes": written::hashes(&values) }));
            }
        }
    }
    if args.answer.form == OutputForm::Json {
        print::text(&format!("{:#}\n", Value::from(objects)))?;
    }
    Ok(Exit::Done)
}

/// The hashes that the names mean, each once.
pub(crate) fn algorithms(names: &[HashName]) -> Vec<HashAlgorithm> {
    let mut algorithms = Vec::new();
    for name in names {
        let algorithm = match name {
            HashName::Sha256 => HashAlgorithm::Sha256,
            HashName::Sha512 => HashAlgorithm::Sha512,
            HashName::Blake3 => HashAlgorithm::Blake3,
        };
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    algorithms
}
