//! libvmdk, libqcow and libvhdi, through a Python that has them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Outcome;
use super::say::skip;

/// First host byte and length of a stream.
pub(crate) type Place = (u64, u32);

/// A Python that reads images when told to, and ends with its standard input.
pub(crate) struct Libyal {
    /// The process.
    child: Child,
    /// Where it takes requests; closed to end it.
    requests: Option<ChildStdin>,
    /// Where it answers.
    answers: BufReader<ChildStdout>,
}

impl Libyal {
    /// The one of this machine; without one, the test is to skip.
    pub(crate) fn find() -> Outcome<Option<Self>> {
        let python = std::env::var_os("IMGFMT_PYTHON").unwrap_or_else(|| "/usr/bin/python3".into());
        let modules =
            Command::new(&python).args(["-c", "import pyqcow, pyvhdi, pyvmdk"]).stderr(Stdio::null()).status();
        if !modules.is_ok_and(|status| status.success()) {
            let what = format!("{} has no modules pyqcow, pyvhdi and pyvmdk", python.to_string_lossy());
            skip("IMGFMT_REQUIRE_ORACLES", &what);
            return Ok(None);
        }
        let mut child = Command::new(&python)
            .args(["-c", include_str!("libyal.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("the process has no output")?);
        Ok(Some(Self { child, requests, answers }))
    }

    /// Size and SHA-256 of a qcow2 image as libqcow reads it. Its backing file is named here: the library does
    /// not follow names.
    pub(crate) fn qcow2(&mut self, path: &Path, parent: Option<&Path>) -> Outcome<(u64, String)> {
        let parent = parent.map_or_else(String::new, |parent| format!("\t{}", parent.display()));
        self.hash(&format!("qcow\t{}{parent}", path.display()))
    }

    /// Size and SHA-256 of a VMDK as libvmdk reads it.
    pub(crate) fn vmdk(&mut self, path: &Path) -> Outcome<(u64, String)> {
        self.hash(&format!("vmdk\t{}", path.display()))
    }

    /// Size and SHA-256 of a VHD or VHDX as libvhdi reads it, with the parent that is named here.
    pub(crate) fn vhdi(&mut self, path: &Path, parent: Option<&Path>) -> Outcome<(u64, String)> {
        let parent = parent.map_or_else(String::new, |parent| format!("\t{}", parent.display()));
        self.hash(&format!("vhdi\t{}{parent}", path.display()))
    }

    /// SHA-256 of what the bare deflate streams at these host bytes of `path` decode to, one behind the other, for
    /// a decoder that remembers no more than 2^`window_bits` bytes.
    pub(crate) fn inflate(&mut self, path: &Path, window_bits: u8, streams: &[Place]) -> Outcome<String> {
        let places: Vec<_> = streams.iter().map(|(host, len)| format!("{host}:{len}")).collect();
        self.ask(&format!("inflate\t{}\t{window_bits}\t{}", path.display(), places.join(",")))
    }

    /// Asks for the size and the hash of an image.
    fn hash(&mut self, request: &str) -> Outcome<(u64, String)> {
        let answer = self.ask(request)?;
        let (size, hash) = answer.split_once('\t').ok_or("an answer has no hash")?;
        Ok((size.parse()?, hash.to_owned()))
    }

    /// Sends a request and waits for its answer.
    fn ask(&mut self, request: &str) -> Outcome<String> {
        let requests = self.requests.as_mut().ok_or("the process has ended")?;
        writeln!(requests, "{request}")?;
        requests.flush()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim_end().split_once('\t') {
            Some(("ok", result)) => Ok(result.to_owned()),
            Some((_, error)) => Err(error.into()),
            None => Err("the process ended without an answer".into()),
        }
    }
}

impl Drop for Libyal {
    fn drop(&mut self) {
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}
