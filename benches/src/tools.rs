//! Running the programs that are not measured.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

use crate::error::{Error, io};

/// Runs `command` to its end; anything but success is an error that quotes what it printed.
pub(crate) fn run(command: &mut Command) -> Result<Output, Error> {
    let output = command.output().map_err(io(format!("cannot run {}", line(command))))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [&*output.stdout, b" ", &*output.stderr].concat();
    Err(failure(command, &output.status.to_string(), &said))
}

/// The error of a command that ended with `status` and printed `said`.
pub(crate) fn failure(command: &Command, status: &str, said: &[u8]) -> Error {
    Error::Tool {
        command: line(command),
        status: status.to_owned(),
        said: String::from_utf8_lossy(said).trim().replace('\n', " "),
    }
}

/// The first line that `program --version` prints.
pub(crate) fn version(program: &Path) -> Result<String, Error> {
    let output = run(Command::new(program).arg("--version"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let mut line = quoted(command.get_program());
    for arg in command.get_args() {
        // Writing to a string cannot fail.
        let _ = write!(line, " {}", quoted(arg));
    }
    line
}

/// A word, in quotes where a shell would take it for more than one.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    if word.contains([' ', '\'', '"', '$']) { format!("{word:?}") } else { word.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::{line, run};
    use crate::error::chain;
    use std::process::Command;

    #[test]
    fn a_command_is_printed_as_typed() {
        assert_eq!(line(Command::new("a").args(["-b", "c d"])), "a -b \"c d\"");
    }

    #[test]
    fn a_failure_quotes_what_was_printed() {
        let error = run(Command::new("sh").args(["-c", "echo no >&2; exit 3"])).unwrap_err();
        assert!(chain(&error).ends_with("ended with exit status: 3: no"), "{error}");
    }
}
