//! Disks that come out of a pipe or go into one, and disks whose size only the end tells.

use std::io::Read;
use std::num::NonZeroUsize;
use std::sync::Arc;

use imgfmt_core::conformance::Pipe;
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    CreateRequest, DenyAll, ErrorKind, Form, Format, Image, ImageStream, ImageWriter, Limits, MemoryTarget,
    OpenContext, Options, Piece, Result, StreamForm, Streamed, Target,
};
use imgfmt_raw::Raw;
use proptest::prelude::{Just, any, prop_oneof, proptest};

use crate::files::{config, open, sparse};

/// Gives its bytes in pieces of odd lengths.
struct Trickle(Vec<u8>, usize, usize);

impl Read for Trickle {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(self.0.len() - self.1).min(self.2);
        buf[..len].copy_from_slice(&self.0[self.1..self.1 + len]);
        self.1 += len;
        Ok(len)
    }
}

/// The stream of `bytes`, which come `step` at a time.
fn stream(bytes: &[u8], step: usize, options: &str) -> Result<Box<dyn ImageStream>> {
    let (limits, options) = (Limits::default(), Options::parse(options).unwrap());
    let context = OpenContext { options: &options, ..OpenContext::new(&limits, &DenyAll) };
    match Raw.stream(Box::new(Trickle(bytes.to_vec(), 0, step)), &context)? {
        Streamed::OnePass(stream) => Ok(stream),
        Streamed::NeedsSeek { reason, .. } => panic!("{reason}"),
    }
}

/// All that a stream gives.
fn drain(stream: &mut dyn ImageStream, max: u64) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut part = Vec::new();
    while let Some(next) = stream.next_part(&mut part, max)? {
        assert_eq!((next.start, next.form), (all.len() as u64, StreamForm::Plain));
        assert!(next.len > 0 && next.len <= max && next.len == part.len() as u64);
        all.append(&mut part);
    }
    assert_eq!(stream.size(), Some(all.len() as u64));
    assert!(stream.next_part(&mut part, max)?.is_none());
    Ok(all)
}

/// Writes `source` into a pipe.
fn pipe(source: &dyn Image, request: &CreateRequest<'_>, threads: usize) -> Vec<u8> {
    let pipe = Arc::new(Pipe::default());
    let writer = Raw.create(Arc::clone(&pipe) as Arc<dyn Target>, request).unwrap();
    let convert = Convert { threads: NonZeroUsize::new(threads).unwrap(), ..Convert::default() };
    convert.run(source, writer).unwrap();
    pipe.to_vec()
}

/// Writes `bytes` as a disk that grows: its size is told when all is stored.
fn grow(bytes: &[u8], target: Arc<dyn Target>, options: &str, target_is_zero: bool) {
    let options = Options::parse(options).unwrap();
    let request = CreateRequest { size_grows: true, target_is_zero, ..CreateRequest::new(0, &options) };
    let writer: Box<dyn ImageWriter> = Raw.create(target, &request).unwrap();
    for (index, chunk) in bytes.chunks(4096).enumerate() {
        let zero = chunk.iter().all(|&byte| byte == 0) && !writer.shape().zeros_as_data;
        let form = if zero { Form::Zero } else { Form::Plain };
        let piece = Piece { guest: index as u64 * 4096, len: chunk.len() as u64, form };
        let placed = writer.place(&piece).unwrap();
        assert_eq!(placed.len, piece.len);
        if !zero {
            writer.store(&piece, placed.host, chunk).unwrap();
        }
    }
    writer.set_size(bytes.len() as u64).unwrap();
    writer.finish().unwrap();
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn a_stream_gives_every_byte_once(
        file in sparse(),
        step in 1..100_000usize,
        max in 1..2_000_000u64,
        offset in any::<u64>(),
        sized in any::<bool>(),
    ) {
        let offset = offset % (file.bytes.len() as u64 + 1);
        let expected = &file.bytes[usize::try_from(offset).unwrap()..];
        let size = if sized { format!(",size={}", expected.len()) } else { String::new() };
        let mut stream = stream(&file.bytes, step, &format!("offset={offset}{size}")).unwrap();
        assert_eq!(stream.size(), sized.then_some(expected.len() as u64));
        assert!(drain(stream.as_mut(), max).unwrap() == expected);
    }

    #[test]
    fn a_pipe_gets_the_disk_in_order(file in sparse(), threads in 1..6usize, all in any::<bool>()) {
        let options = Options::new();
        let request = CreateRequest { full_allocation: all, ..CreateRequest::new(file.bytes.len() as u64, &options) };
        assert!(pipe(open(&file.file()).as_ref(), &request, threads) == file.bytes);
    }

    #[test]
    fn what_comes_out_of_a_pipe_goes_into_a_file_or_a_pipe(
        file in sparse(),
        step in 1..300_000usize,
        threads in 1..5usize,
        sized in any::<bool>(),
        into_pipe in any::<bool>(),
        full in any::<bool>(),
    ) {
        let size = if sized { format!("size={}", file.bytes.len()) } else { String::new() };
        let mut stream = stream(&file.bytes, step, &size).unwrap();
        let (pipe, memory) = (Arc::new(Pipe::default()), Arc::new(MemoryTarget::new()));
        let target: Arc<dyn Target> = if into_pipe { pipe.clone() } else { memory.clone() };
        let options = Options::new();
        let known = stream.size();
        let request = CreateRequest {
            size_grows: known.is_none(),
            full_allocation: full,
            ..CreateRequest::new(known.unwrap_or(0), &options)
        };
        let convert = Convert { threads: NonZeroUsize::new(threads).unwrap(), ..Convert::default() };
        convert.run_stream(stream.as_mut(), Raw.create(target, &request).unwrap()).unwrap();
        let written = if into_pipe { pipe.to_vec() } else { memory.to_vec() };
        assert!(written == file.bytes);
    }

    #[test]
    fn a_disk_that_grows_ends_where_its_size_says(
        file in sparse(),
        options in prop_oneof![Just(""), Just("preallocation=falloc"), Just("preallocation=full")],
        used in any::<bool>(),
    ) {
        let target = Arc::new(MemoryTarget::new());
        if used {
            target.write_at(&vec![0xbb; file.bytes.len() + 5000], 0).unwrap();
        }
        grow(&file.bytes, Arc::clone(&target) as Arc<dyn Target>, options, !used);
        assert!(target.to_vec() == file.bytes);
        let pipe = Arc::new(Pipe::default());
        grow(&file.bytes, Arc::clone(&pipe) as Arc<dyn Target>, "", true);
        assert!(pipe.to_vec() == file.bytes);
    }
}

#[test]
fn a_stream_that_is_not_as_long_as_said_is_an_error() {
    let read = |options: &str| stream(&[7; 3000], 999, options).and_then(|mut stream| drain(stream.as_mut(), 512));
    assert_eq!(read("size=3000").unwrap().len(), 3000);
    assert_eq!(read("offset=3000").unwrap().len(), 0);
    for (options, kind, field) in [
        ("size=3001", ErrorKind::OutOfBounds, "size"),
        ("size=2999", ErrorKind::Malformed, "size"),
        ("offset=3001", ErrorKind::OutOfBounds, "offset"),
        ("offset=1,size=3000", ErrorKind::OutOfBounds, "size"),
    ] {
        let error = read(options).unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (kind, Some(field)), "{options}: {error}");
    }
    assert_eq!(read("split=on").unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_pipe_takes_no_space_and_a_known_size_stays() {
    for words in ["preallocation=falloc", "preallocation=full"] {
        let options = Options::parse(words).unwrap();
        let refused = Raw.create(Arc::new(Pipe::default()), &CreateRequest::new(512, &options)).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
    let options = Options::new();
    for target in [Arc::new(Pipe::default()) as Arc<dyn Target>, Arc::new(MemoryTarget::new())] {
        let writer = Raw.create(target, &CreateRequest::new(512, &options)).unwrap();
        assert_eq!(writer.set_size(1024).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
