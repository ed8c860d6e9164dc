//! Appliances and archives as wrappers.

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{Contents, Error, Head, Limits, OpenContext, Result, Storage, Streamed, Wrapper};

use crate::package::{Package, is_description};
use crate::tar::header::Header;
use crate::{contents, ovf, tar};

/// Appliances: archives with a description in OVF, or a description whose files lie beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ova;

/// Archives of files without a description.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tar;

impl Wrapper for Ova {
    fn name(&self) -> &'static str {
        "ova"
    }

    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        if Header::recognise(head.first()) {
            return Ok(has_description(head.storage()).then_some("a tar archive with a description in OVF"));
        }
        Ok(ovf::recognise(head.first()).then_some("an OVF envelope"))
    }

    fn holds_one(&self) -> bool {
        false
    }

    fn contents(&self, storage: &Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Contents> {
        contents::of_package(&Package::read(storage, context)?)
    }

    fn open(&self, storage: &Arc<dyn Storage>, index: usize, context: &OpenContext<'_>) -> Result<Arc<dyn Storage>> {
        let package = Package::read(storage, context)?;
        let disks = package.disks()?;
        let &(disk, file) = disks.get(index).ok_or_else(|| no_member(index))?;
        package.open(disk, file)
    }

    fn stream(&self, input: Box<dyn Read + Send>, _: &OpenContext<'_>) -> Result<Streamed<Box<dyn Read + Send>>> {
        Ok(Streamed::NeedsSeek { input, reason: "the files of an appliance can be in any order".to_owned() })
    }
}

impl Wrapper for Tar {
    fn name(&self) -> &'static str {
        "tar"
    }

    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        let claims = Header::recognise(head.first()) && !has_description(head.storage());
        Ok(claims.then_some("the magic number of tar"))
    }

    fn holds_one(&self) -> bool {
        false
    }

    fn contents(&self, storage: &Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Contents> {
        Ok(contents::of_archive(&tar::files(storage.as_ref(), context.limits)?))
    }

    fn open(&self, storage: &Arc<dyn Storage>, index: usize, context: &OpenContext<'_>) -> Result<Arc<dyn Storage>> {
        let files = tar::files(storage.as_ref(), context.limits)?;
        let file = contents::disks_of(&files).nth(index).ok_or_else(|| no_member(index))?;
        file.open(storage)
    }

    fn stream(&self, input: Box<dyn Read + Send>, _: &OpenContext<'_>) -> Result<Streamed<Box<dyn Read + Send>>> {
        Ok(Streamed::NeedsSeek { input, reason: "how many disks an archive holds shows at its end".to_owned() })
    }
}

/// Whether an archive has a description, as far as it can be read.
fn has_description(storage: &dyn Storage) -> bool {
    tar::names(storage, &Limits::default()).iter().any(|name| is_description(name))
}

/// A member that is not there.
fn no_member(index: usize) -> Error {
    Error::invalid(format!("there is no disk {}", index + 1))
}
