//! Reading in one pass: whatever comes, a stream keeps its promises.

use std::io::{Cursor, Read};

use imgfmt_core::{DenyAll, Format, ImageStream, Limits, OpenContext, StreamForm, Streamed};

/// Reads `bytes` as from a pipe, to the end or to the first error.
///
/// # Panics
///
/// Where parts do not ascend or pass the disk, a unit's bytes are not where they are said to be, or bytes are lost that
/// have to be sought in.
pub fn stream_everything(format: &dyn Format, bytes: &[u8]) {
    let (limits, gate) = (Limits::default(), DenyAll);
    match format.stream(Box::new(Cursor::new(bytes.to_vec())), &OpenContext::new(&limits, &gate)) {
        Ok(Streamed::OnePass(mut stream)) => take_parts(stream.as_mut()),
        Ok(Streamed::NeedsSeek { mut input, .. }) => {
            let mut back = Vec::new();
            input.read_to_end(&mut back).expect("memory can be read");
            assert!(back == bytes, "bytes are lost");
        }
        Err(_) => {}
    }
}

/// Takes all parts.
fn take_parts(stream: &mut dyn ImageStream) {
    let (mut buffer, mut next) = (Vec::new(), 0);
    while let Ok(Some(part)) = stream.next_part(&mut buffer, MAX_PART) {
        assert!(part.start >= next && part.len > 0, "parts ascend");
        next = part.start + part.len;
        if let StreamForm::Encoded { unit, body, .. } = part.form {
            assert!(body.start <= body.end && body.end <= buffer.len(), "the unit is in the buffer");
            assert!(part.start.is_multiple_of(u64::from(unit)) && part.len <= u64::from(unit), "units lie at units");
        }
        assert!(stream.size().is_none_or(|size| next <= size), "parts are within the disk");
        buffer.clear();
    }
}

/// Guest bytes that are asked for at once.
const MAX_PART: u64 = 1 << 20;
