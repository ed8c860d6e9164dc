//! What a client says and hears: a socket on which no wait is without an end.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgfmt_core::convert::Cancel;
use imgfmt_core::{Error, ErrorKind};

use crate::stream::Stream;

/// How long a client waits for its server.
#[derive(Clone, Debug)]
pub struct Patience {
    /// For each answer before the first request; nothing for ever, as it is for all that comes after.
    pub answer: Option<Duration>,
    /// Ends every wait: at once where the server has been silent for a second, and else after ten.
    pub cancel: Cancel,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Some(ANSWER), cancel: Cancel::default() }
    }
}

/// One end of a socket. Clones are the same end; each is used by one thread at a time.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The socket, whose waits are short.
    stream: Arc<Stream>,
    /// How long to wait for the other side.
    patience: Patience,
    /// When the answer has to be there that is waited for.
    until: Option<Instant>,
    /// When the end was first seen to be asked for.
    ending: Option<Instant>,
}

impl Line {
    /// Takes over a socket.
    pub(crate) fn new(stream: Stream, patience: Patience) -> io::Result<Self> {
        stream.set_wait(TICK)?;
        Ok(Self { stream: Arc::new(stream), patience, until: None, ending: None }.asking())
    }

    /// The same line, from which an answer has to come soon.
    fn asking(mut self) -> Self {
        self.expect_answer();
        self
    }

    /// From now on the answer to what was said last has to come soon.
    pub(crate) fn expect_answer(&mut self) {
        self.until = self.patience.answer.and_then(|answer| Instant::now().checked_add(answer));
    }

    /// From now on the other side may take as long as it likes.
    pub(crate) fn expect_nothing(&mut self) {
        self.until = None;
    }

    /// Ends the connection for all who use it.
    pub(crate) fn end(&self) {
        self.stream.end();
    }

    /// Tries `once` until it is done.
    fn wait(&mut self, mut once: impl FnMut(&Stream) -> io::Result<usize>) -> io::Result<usize> {
        let begun = Instant::now();
        loop {
            self.go_on(begun)?;
            match once(&self.stream) {
                Err(error) if is_nothing_yet(&error) => {}
                done => return done,
            }
        }
    }

    /// Says whether to wait any longer for what is waited for since `begun`.
    fn go_on(&mut self, begun: Instant) -> io::Result<()> {
        let now = Instant::now();
        if self.until.is_some_and(|until| now >= until) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.patience.cancel.is_cancelled() {
            // A server that answers lets what was begun be brought to an end.
            let ending = *self.ending.get_or_insert(now);
            if now - begun >= SILENCE || now - ending >= GRACE {
                return Err(cancelled());
            }
        }
        Ok(())
    }
}

impl Read for Line {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.wait(|stream| stream.read_some(buf))
    }
}

impl Write for Line {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.wait(|stream| stream.write_some(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a wait has ended without anything to read, or room to write.
fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// That the caller does not want to wait any longer.
pub(crate) fn cancelled() -> io::Error {
    io::Error::other(Error::new(ErrorKind::Cancelled, "the server was not waited for any longer"))
}

/// Whether an error is [`cancelled`].
pub(crate) fn is_cancelled(error: &io::Error) -> bool {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    ours.is_some_and(|ours| ours.kind() == ErrorKind::Cancelled)
}

/// How long the server may take for an answer before the first request.
const ANSWER: Duration = Duration::from_secs(30);
/// Longest wait before a look at whether the other side is still waited for.
pub(crate) const TICK: Duration = Duration::from_millis(50);
/// How long a server may be silent once the end was asked for.
const SILENCE: Duration = Duration::from_secs(1);
/// How long a server may take for all that is still said once the end was asked for.
const GRACE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn an_answer_that_comes_byte_by_byte_has_no_more_time_than_another() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let patience = Patience { answer: Some(Duration::from_millis(300)), ..Patience::default() };
        let mut line = Line::new(Stream::Unix(ours), patience).unwrap();
        let server = std::thread::spawn(move || {
            while theirs.write_all(&[0]).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        assert_eq!(line.read_exact(&mut [0; 1000]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(line);
        server.join().unwrap();
    }

    #[test]
    fn who_goes_on_talking_is_let_finish_when_the_end_is_asked_for() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let patience = Patience::default();
        let cancel = patience.cancel.clone();
        let mut line = Line::new(Stream::Unix(ours), patience).unwrap();
        cancel.cancel();
        let server = std::thread::spawn(move || {
            for _ in 0..4 {
                std::thread::sleep(Duration::from_millis(100));
                theirs.write_all(&[7]).unwrap();
            }
            theirs
        });
        line.read_exact(&mut [0; 4]).unwrap();
        let theirs = server.join().unwrap();
        assert!(is_cancelled(&line.read_exact(&mut [0]).unwrap_err()));
        drop(theirs);
    }
}
