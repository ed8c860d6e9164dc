//! Errors: few kinds, by what a caller can do about them, with the place beside the kind.
//!
//! Each [`Error`] prints its own level only; the level below is its
//! [`source`](std::error::Error::source). Whoever shows errors to a person prints the chain.

use std::fmt;

/// The result of anything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes break a rule of their format. Another copy of the file may help.
    Malformed,
    /// The file may be right, but this library does not know that part of its format.
    Unsupported,
    /// A size, count or depth passes a bound of [`Limits`](crate::Limits).
    LimitExceeded,
    /// Something lies outside the file or the disk: most often, the file is truncated.
    OutOfBounds,
    /// The [`Gate`](crate::Gate) or the operating system does not allow it.
    Refused,
    /// Another program uses the file.
    Locked,
    /// A file that the image or the caller names is not there.
    Missing,
    /// More than one format claims the file; the caller has to name one.
    Ambiguous,
    /// The caller asked for something that does not make sense, such as an unknown option.
    Invalid,
    /// The caller cancelled the work.
    Cancelled,
    /// The operating system failed to read or write.
    Io,
}

impl ErrorKind {
    /// The kind in kebab case, as it appears in machine-readable output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::LimitExceeded => "limit-exceeded",
            Self::OutOfBounds => "out-of-bounds",
            Self::Refused => "refused",
            Self::Locked => "locked",
            Self::Missing => "missing",
            Self::Ambiguous => "ambiguous",
            Self::Invalid => "invalid",
            Self::Cancelled => "cancelled",
            Self::Io => "io",
        }
    }
}

/// What went wrong, where, and why.
///
/// Displays as `qcow2: byte 20: cluster_bits is 8, outside 9..=21`; parts that are not known are
/// left out.
pub struct Error(Box<Report>);

/// The parts of an [`Error`]; boxed, so that a `Result` stays small.
#[derive(Debug)]
struct Report {
    /// What the caller can do about it.
    kind: ErrorKind,
    /// The format whose rule is broken.
    format: Option<&'static str>,
    /// The host byte at which it was seen.
    offset: Option<u64>,
    /// The field, in the spelling of the format's specification.
    field: Option<&'static str>,
    /// What was seen; completes a sentence that starts with the field, if there is one.
    what: String,
    /// The level below.
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`, saying `what` was seen.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self(Box::new(Report { kind, format: None, offset: None, field: None, what: what.into(), source: None }))
    }

    /// An error of kind [`Malformed`](ErrorKind::Malformed).
    pub fn malformed(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, what)
    }

    /// An error of kind [`Unsupported`](ErrorKind::Unsupported).
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, what)
    }

    /// An error of kind [`LimitExceeded`](ErrorKind::LimitExceeded).
    pub fn limit(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::LimitExceeded, what)
    }

    /// An error of kind [`OutOfBounds`](ErrorKind::OutOfBounds).
    pub fn out_of_bounds(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::OutOfBounds, what)
    }

    /// An error of kind [`Refused`](ErrorKind::Refused).
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, what)
    }

    /// An error of kind [`Invalid`](ErrorKind::Invalid).
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, what)
    }

    /// An operating system error met while doing `what`.
    ///
    /// A file that is not there is [`Missing`](ErrorKind::Missing), one that may not be touched
    /// [`Refused`](ErrorKind::Refused), everything else [`Io`](ErrorKind::Io). One of ours that it carries keeps its kind.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        let ours = source.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).map(Self::kind);
        let kind = ours.unwrap_or(match source.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::Missing,
            std::io::ErrorKind::PermissionDenied => ErrorKind::Refused,
            _ => ErrorKind::Io,
        });
        Self::new(kind, what).because(source)
    }

    /// An error of a [`Read`](std::io::Read): one of ours that it carries comes out as it was, and an early end is
    /// [`OutOfBounds`](ErrorKind::OutOfBounds).
    #[must_use]
    pub fn from_read(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::UnexpectedEof {
            return Self::out_of_bounds("the input ends too early");
        }
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(error) => Self::io("cannot read the input", error),
        }
    }

    /// The same error, at host byte `offset`.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// The same error, about `field` in the specification's spelling.
    #[must_use]
    pub fn field(mut self, field: &'static str) -> Self {
        self.0.field = Some(field);
        self
    }

    /// The same error, met in `format`; a format that is already named stays.
    #[must_use]
    pub fn in_format(mut self, format: &'static str) -> Self {
        self.0.format.get_or_insert(format);
        self
    }

    /// The same error, caused by `source`.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// A level above this error: the same kind, saying `what` could not be done.
    #[must_use]
    pub fn context(self, what: impl Into<String>) -> Self {
        let kind = self.kind();
        Self::new(kind, what).because(self)
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The format whose rule is broken, at this level or the nearest below.
    #[must_use]
    pub fn format(&self) -> Option<&'static str> {
        self.0.format.or_else(|| self.below()?.format())
    }

    /// The host byte at which it was seen, at this level or the nearest below.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.0.offset.or_else(|| self.below()?.offset())
    }

    /// The field in the specification's spelling, at this level or the nearest below.
    #[must_use]
    pub fn field_name(&self) -> Option<&'static str> {
        self.0.field.or_else(|| self.below()?.field_name())
    }

    /// The level below, if it is one of ours.
    fn below(&self) -> Option<&Self> {
        self.0.source.as_deref()?.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &*self.0;
        if let Some(format) = report.format {
            write!(f, "{format}: ")?;
        }
        if let Some(offset) = report.offset {
            write!(f, "byte {offset}: ")?;
        }
        if let Some(field) = report.field {
            write!(f, "{field} ")?;
        }
        f.write_str(&report.what)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_prints_its_own_level_and_answers_for_the_level_below() {
        let inner = Error::malformed("is 8, outside 9..=21").field("cluster_bits").at(20).in_format("qcow2");
        assert_eq!(inner.to_string(), "qcow2: byte 20: cluster_bits is 8, outside 9..=21");
        let outer = inner.context("cannot open disk.img");
        assert_eq!(outer.to_string(), "cannot open disk.img");
        assert_eq!(outer.kind(), ErrorKind::Malformed);
        assert_eq!((outer.format(), outer.offset()), (Some("qcow2"), Some(20)));
        assert_eq!(outer.field_name(), Some("cluster_bits"));
    }

    #[test]
    fn a_missing_file_is_missing_and_a_format_once_named_stays() {
        let error = Error::io("cannot open", std::io::ErrorKind::NotFound.into());
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert_eq!(error.in_format("a").in_format("b").format(), Some("a"));
        let carried = std::io::Error::other(Error::new(ErrorKind::Cancelled, "enough"));
        assert_eq!(Error::io("cannot read", carried).kind(), ErrorKind::Cancelled);
    }
}
