//! The four kinds of compressed file as wrappers.

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::storage::spool;
use imgfmt_core::{Contents, Head, Limits, Member, OpenContext, Result, Storage, Streamed, Wrapper};
use serde_json::{Map, Value};

use crate::blocks::{BlockStorage, DecodeBlock, Table};
use crate::coder::{Coder, Framing};
use crate::reader::{Decoding, Source, Whole};
use crate::{bzip2, gzip, xz, zstd};

/// What one kind of compressed file has of its own.
struct Kind {
    /// The name in lower case.
    name: &'static str,
    /// Endings of file names, without the dot.
    endings: &'static [&'static str],
    /// Why a file with these first bytes is of this kind.
    recognise: fn(&[u8]) -> Option<&'static str>,
    /// How its members follow each other.
    framing: Framing,
    /// Starts a decoder.
    coder: fn() -> Result<Box<dyn Coder>>,
    /// Finds the blocks that can be decoded each for itself, and how, if the kind has any.
    blocks: Option<(FindBlocks, DecodeBlock)>,
}

/// Finds the blocks of a file.
type FindBlocks = fn(&Arc<dyn Storage>, &Limits) -> Result<Option<Table>>;

impl Kind {
    /// The blocks of a file, where each can be decoded for itself.
    fn table(&self, storage: &Arc<dyn Storage>, limits: &Limits) -> Result<Option<(Table, DecodeBlock)>> {
        let Some((find, decode)) = self.blocks else { return Ok(None) };
        Ok(find(storage, limits)?.map(|table| (table, decode)))
    }

    /// As [`Wrapper::contents`].
    fn contents(&self, storage: &Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Contents> {
        let mut details = Map::new();
        details.insert("compressed-bytes".to_owned(), Value::from(storage.len()));
        if let Some((table, _)) = self.table(storage, context.limits)? {
            details.insert("blocks".to_owned(), Value::from(table.count()));
            details.insert("unpacked-bytes".to_owned(), Value::from(table.len()));
        }
        let member = Member { name: self.inner_name(context), len: Some(storage.len()), ..Member::default() };
        Ok(Contents { members: vec![member], details })
    }

    /// The name of what the file holds: its own without the ending.
    fn inner_name(&self, context: &OpenContext<'_>) -> String {
        let name = context.path.and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name else { return "content".to_owned() };
        let stem = self.endings.iter().find_map(|ending| name.strip_suffix(ending)?.strip_suffix('.'));
        match stem.filter(|stem| !stem.is_empty()) {
            Some(stem) => stem.to_owned(),
            None => name,
        }
    }

    /// As [`Wrapper::open`].
    fn open(&self, storage: &Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Arc<dyn Storage>> {
        if let Some((table, decode)) = self.table(storage, context.limits)? {
            return Ok(Arc::new(BlockStorage::new(Arc::clone(storage), table, decode)));
        }
        let source = Whole { storage: Arc::clone(storage), at: 0 };
        spool(&mut self.decoding(source)?, context.spool, context.limits.spool_bytes)
    }

    /// Decodes `source` from its start.
    fn decoding<S: Source>(&self, source: S) -> Result<Decoding<S>> {
        Ok(Decoding::new(source, (self.coder)()?, self.framing))
    }
}

/// Implements [`Wrapper`] for a type by its [`Kind`].
macro_rules! wrapper {
    ($(#[$doc:meta])* $type:ident, $kind:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $type;

        impl Wrapper for $type {
            fn name(&self) -> &'static str {
                $kind.name
            }

            fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
                Ok(($kind.recognise)(head.first()))
            }

            fn holds_one(&self) -> bool {
                true
            }

            fn contents(&self, storage: &Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Contents> {
                $kind.contents(storage, context).map_err(|e| e.in_format($kind.name))
            }

            fn open(
                &self,
                storage: &Arc<dyn Storage>,
                _index: usize,
                context: &OpenContext<'_>,
            ) -> Result<Arc<dyn Storage>> {
                $kind.open(storage, context).map_err(|e| e.in_format($kind.name))
            }

            fn stream(
                &self,
                input: Box<dyn Read + Send>,
                _context: &OpenContext<'_>,
            ) -> Result<Streamed<Box<dyn Read + Send>>> {
                Ok(Streamed::OnePass(Box::new($kind.decoding(input)?)))
            }
        }
    };
}

wrapper!(
    /// gzip files, one member or several.
    Gzip,
    GZIP
);
wrapper!(
    /// xz files, one stream or several.
    Xz,
    XZ
);
wrapper!(
    /// Zstandard files, one frame or several.
    Zstd,
    ZSTD
);
wrapper!(
    /// bzip2 files, one stream or several.
    Bzip2,
    BZIP2
);

/// gzip.
static GZIP: Kind = Kind {
    name: "gzip",
    endings: &["gz", "gzip", "bgz"],
    recognise: gzip::recognise,
    framing: gzip::FRAMING,
    coder: gzip::coder,
    blocks: Some((gzip::table, gzip::decode_block)),
};

/// xz.
static XZ: Kind = Kind {
    name: "xz",
    endings: &["xz"],
    recognise: xz::recognise,
    framing: xz::FRAMING,
    coder: xz::coder,
    blocks: Some((xz::table, xz::decode_block)),
};

/// Zstandard.
static ZSTD: Kind = Kind {
    name: "zstd",
    endings: &["zst", "zstd"],
    recognise: zstd::recognise,
    framing: zstd::FRAMING,
    coder: zstd::coder,
    blocks: Some((zstd::table, zstd::decode_block)),
};

/// bzip2.
static BZIP2: Kind = Kind {
    name: "bzip2",
    endings: &["bz2", "bzip2"],
    recognise: bzip2::recognise,
    framing: bzip2::FRAMING,
    coder: bzip2::coder,
    blocks: None,
};
