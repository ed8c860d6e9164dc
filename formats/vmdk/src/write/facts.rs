//! What a descriptor says of a disk that has no bearing on where its bytes are.

use std::hash::{BuildHasher, Hasher, RandomState};

use imgfmt_core::{Error, Options, Result};

use crate::parent::NO_PARENT;

/// What a descriptor says that has no bearing on where bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// `CID`.
    pub(super) cid: u32,
    /// `ddb.adapterType`.
    pub(super) adapter: &'static str,
    /// `ddb.virtualHWVersion`.
    pub(super) hw_version: u32,
    /// `ddb.toolsVersion`.
    pub(super) tools_version: u32,
    /// `ddb.uuid`, where there is one.
    pub(super) uuid: Option<String>,
}

impl Facts {
    /// What the options say.
    pub(super) fn new(options: &Options) -> Result<Self> {
        let compat6 = options.flag("compat6", false)?;
        let hw_version = options.number("hwversion")?;
        if compat6 && hw_version.is_some() {
            return Err(Error::invalid("compat6 means hwversion=6, so only one of the two can be given"));
        }
        let hw_version = hw_version.unwrap_or(if compat6 { 6 } else { DEFAULT_HW_VERSION });
        let tools_version = options.number("toolsversion")?.unwrap_or(DEFAULT_TOOLS_VERSION);
        let adapters = ADAPTERS.map(|name| (name, name));
        Ok(Self {
            cid: cid(options)?,
            adapter: options.word("adapter_type", &adapters, ADAPTERS[0])?,
            hw_version: in_range("hwversion", hw_version, 1)?,
            tools_version: in_range("toolsversion", tools_version, 0)?,
            uuid: options.get("uuid").map(uuid).transpose()?,
        })
    }
}

/// An option that is a number of 32 bits, `least` or more.
fn in_range(name: &str, value: i64, least: u32) -> Result<u32> {
    let found = u32::try_from(value).ok().filter(|&value| value >= least);
    found.ok_or_else(|| Error::invalid(format!("{name} is {value}, outside {least} to {}", u32::MAX)))
}

/// The option `cid`; by default a random one, since two disks with the same can be taken for each other.
fn cid(options: &Options) -> Result<u32> {
    let Some(text) = options.get("cid") else {
        let random = RandomState::new().build_hasher().finish();
        let cid = u32::try_from(random >> 32).unwrap_or_default();
        return Ok(cid.min(NO_PARENT - 1));
    };
    let cid = u32::from_str_radix(text, 16).ok().filter(|&cid| cid != NO_PARENT && !text.starts_with('+'));
    cid.ok_or_else(|| Error::invalid(format!("cid is {text}, which is not hexadecimal from 0 to fffffffe")))
}

/// The option `uuid`, in either spelling, as VMware spells it: `60 00 c2 9a 85 4c 2f 1e-57 …`.
fn uuid(text: &str) -> Result<String> {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let rest = text.chars().filter(|c| !c.is_ascii_hexdigit());
    if digits.len() != 32 || !rest.into_iter().all(|c| matches!(c, '-' | ' ' | '{' | '}')) {
        return Err(Error::invalid(format!("uuid is {text}, which is not 32 hexadecimal digits")));
    }
    let digits = digits.to_ascii_lowercase();
    let bytes: Vec<&str> = (0..16).filter_map(|index| digits.get(2 * index..2 * index + 2)).collect();
    Ok(format!("{}-{}", bytes[..8].join(" "), bytes[8..].join(" ")))
}

/// Words of the option `adapter_type`, QEMU's default first. "The Disk Database", and `pvscsi` of newer hosts.
const ADAPTERS: [&str; 5] = ["ide", "buslogic", "lsilogic", "legacyESX", "pvscsi"];
/// Default of `hwversion`, as QEMU's: what every product takes.
const DEFAULT_HW_VERSION: i64 = 4;
/// Default of `toolsversion`, as QEMU's: tools that somebody else looks after.
const DEFAULT_TOOLS_VERSION: i64 = 0x7fff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(options: &str) -> Result<Facts> {
        Facts::new(&Options::parse(options).unwrap())
    }

    #[test]
    fn identities_are_checked_and_spelled_as_vmware_spells_them() {
        assert_eq!(facts("cid=0badcafe").unwrap().cid, 0x0bad_cafe);
        for wrong in ["cid=ffffffff", "cid=x", "cid=+1", "uuid=1234", "uuid=x", "hwversion=0", "toolsversion=-1"] {
            assert!(facts(wrong).is_err(), "{wrong}");
        }
        assert_ne!(facts("").unwrap().cid, facts("").unwrap().cid);
        let uuid = facts("uuid=6000C29A-854C-2F1E-5701-0203040506ff").unwrap().uuid;
        assert_eq!(uuid.as_deref(), Some("60 00 c2 9a 85 4c 2f 1e-57 01 02 03 04 05 06 ff"));
    }
}
