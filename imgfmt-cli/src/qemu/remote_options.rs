//! Addresses as options: what QEMU's drivers `nbd` and `rbd` take.

use imgfmt_nbd::{NbdAddress, NbdServer};
use imgfmt_rbd::RbdAddress;

use crate::remote::Address;

/// Options with their values, by dotted names.
type List = [(String, String)];

/// Whether `name` is a driver whose options are an address.
pub(crate) fn is_driver(name: &str) -> bool {
    [NBD, RBD].contains(&name)
}

/// The address that the options of `driver` are.
///
/// # Errors
///
/// What is missing, or not supported.
pub(crate) fn address(driver: &str, options: &List) -> Result<Address, String> {
    let known: &[&str] = if driver == NBD { &NBD_OPTIONS } else { &RBD_OPTIONS };
    let is_known = |name: &str| known.contains(&name) || PASSED_OVER.contains(&name) || name.starts_with("cache.");
    let is_monitor = |name: &str| driver == RBD && name.starts_with("server.");
    if let Some((name, _)) = options.iter().find(|(name, _)| !is_known(name) && !is_monitor(name)) {
        return Err(format!("Block protocol '{driver}' doesn't support the option '{name}'"));
    }
    if driver == NBD { nbd(options).map(Address::Nbd) } else { rbd(options).map(Address::Rbd) }
}

/// The value of an option; the last one counts.
fn value<'a>(options: &'a List, name: &str) -> Option<&'a str> {
    options.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The export that options are.
fn nbd(options: &List) -> Result<NbdAddress, String> {
    let either = |name: &str, other: &str| value(options, name).or(value(options, other));
    let (path, host) = (either("server.path", "path"), either("server.host", "host"));
    let server = match (value(options, "server.type"), path, host) {
        (Some("unix") | None, Some(path), None) => NbdServer::Unix(path.into()),
        (Some("inet") | None, None, Some(host)) => {
            let port = either("server.port", "port").unwrap_or(DEFAULT_PORT);
            let port = port.parse().map_err(|_| format!("'{port}' is no port"))?;
            NbdServer::Tcp { host: host.to_owned(), port }
        }
        (Some(kind), ..) if !["unix", "inet"].contains(&kind) => {
            return Err(format!("'{kind}' is not supported as server.type, only 'unix' and 'inet' are"));
        }
        (_, Some(_), Some(_)) => return Err("path and host may not be used at the same time".to_owned()),
        _ => return Err("NBD server address missing".to_owned()),
    };
    Ok(NbdAddress { server, export: value(options, "export").unwrap_or_default().to_owned() })
}

/// The image that options are.
fn rbd(options: &List) -> Result<RbdAddress, String> {
    let needed = |name: &str| value(options, name).filter(|value| !value.is_empty()).map(str::to_owned);
    let missing = |name: &str| format!("Parameter '{name}' is missing");
    let given = |name: &str| value(options, name).map(str::to_owned);
    let mut address = RbdAddress {
        pool: needed("pool").ok_or_else(|| missing("pool"))?,
        namespace: given("namespace").unwrap_or_default(),
        image: needed("image").ok_or_else(|| missing("image"))?,
        snapshot: given("snapshot"),
        user: given("user"),
        conf: given("conf"),
        settings: Vec::new(),
    };
    let mut monitors = Vec::new();
    while let Some(host) = value(options, &format!("server.{}.host", monitors.len())) {
        let port = value(options, &format!("server.{}.port", monitors.len())).unwrap_or_default();
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        monitors.push(if port.is_empty() { host } else { format!("{host}:{port}") });
    }
    if !monitors.is_empty() {
        address.set("mon_host", &monitors.join(";"));
    }
    Ok(address)
}

/// QEMU's driver for exports of NBD servers.
const NBD: &str = "nbd";
/// QEMU's driver for images of Ceph pools.
const RBD: &str = "rbd";
/// The port of NBD servers.
const DEFAULT_PORT: &str = "10809";
/// What the driver for exports takes.
const NBD_OPTIONS: [&str; 9] =
    ["driver", "server.type", "server.path", "server.host", "server.port", "path", "host", "port", "export"];
/// What the driver for images of pools takes, but for the monitors.
const RBD_OPTIONS: [&str; 7] = ["driver", "pool", "namespace", "image", "snapshot", "user", "conf"];
/// What is about how a running machine uses an image, and how patient it is.
const PASSED_OVER: [&str; 7] =
    ["node-name", "read-only", "auto-read-only", "discard", "detect-zeroes", "reconnect-delay", "open-timeout"];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(driver: &str, text: &str) -> Result<String, String> {
        let pair = |part: &str| part.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
        address(driver, &text.split(',').map(pair).collect::<Vec<_>>()).map(|address| address.to_string())
    }

    #[test]
    fn options_are_addresses() {
        for (driver, options, expected) in [
            ("nbd", "driver=nbd,server.type=unix,server.path=/s,export=e", "nbd+unix:///e?socket=/s"),
            ("nbd", "path=/s", "nbd+unix://?socket=/s"),
            ("nbd", "server.type=inet,server.host=::1,server.port=7", "nbd://[::1]:7"),
            ("nbd", "host=h,read-only=on", "nbd://h:10809"),
            ("rbd", "pool=p,image=i", "rbd:p/i"),
            ("rbd", "pool=p,namespace=n,image=i,snapshot=s,user=u,conf=c", "rbd:p/n/i@s:id=u:conf=c"),
            ("rbd", "pool=p,image=i,server.0.host=a,server.0.port=1,server.1.host=b", r"rbd:p/i:mon_host=a\:1;b"),
        ] {
            assert_eq!(of(driver, options).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_missing_or_not_supported_is_said() {
        for (driver, options, expected) in [
            ("nbd", "export=e", "NBD server address missing"),
            ("nbd", "path=/s,host=h", "at the same time"),
            ("nbd", "server.type=vsock,server.cid=1", "the option 'server.cid'"),
            ("nbd", "server.type=vsock,export=x", "'vsock' is not supported"),
            ("nbd", "host=h,port=x", "'x' is no port"),
            ("nbd", "host=h,tls-creds=t", "the option 'tls-creds'"),
            ("rbd", "pool=p", "'image' is missing"),
            ("rbd", "pool=p,image=i,key-secret=k", "the option 'key-secret'"),
        ] {
            let told = of(driver, options).unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
    }
}
