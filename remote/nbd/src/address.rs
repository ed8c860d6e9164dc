//! Where an export is: the NBD URI, and the older form that QEMU takes.

use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use imgfmt_core::{Error, Result};

use crate::connect;
use crate::line::Patience;
use crate::stream::Stream;

/// An export of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NbdAddress {
    /// The server.
    pub server: NbdServer,
    /// The name of the export; empty for the one that the server prefers.
    pub export: String,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NbdServer {
    /// At a socket on this machine.
    Unix(PathBuf),
    /// At a port of a host.
    Tcp {
        /// A name, or an address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

impl NbdAddress {
    /// Whether `text` is the address of an export, to judge by how it begins.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| rest.starts_with(':')))
    }

    /// The export that `text` means: `nbd://host[:port]/export`, `nbd+unix:///export?socket=path`, `nbd:host:port`,
    /// `nbd:unix:path`, the last two with `:exportname=name` behind it.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for anything else; [`Unsupported`](imgfmt_core::ErrorKind::Unsupported)
    /// for the schemes of encrypted connections and of virtual sockets.
    pub fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once(':').ok_or_else(|| invalid(text, "it has no scheme"))?;
        match (scheme, rest.strip_prefix("//")) {
            ("nbd" | "nbd+tcp", Some(rest)) => Self::of_tcp_uri(text, rest),
            ("nbd+unix", Some(rest)) => Self::of_unix_uri(text, rest),
            ("nbd", None) => Self::of_colons(text, rest),
            ("nbd+unix" | "nbd+tcp", None) => Err(invalid(text, "two slashes follow the scheme of an NBD URI")),
            _ => Err(Error::unsupported(format!("{scheme} connections are not supported; nbd and nbd+unix are"))),
        }
    }

    /// What stands behind `nbd://`: a host, perhaps a port, perhaps the name of an export.
    fn of_tcp_uri(text: &str, rest: &str) -> Result<Self> {
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !query.is_empty() {
            return Err(invalid(text, "nothing is asked for behind a '?' here"));
        }
        let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = match host_and_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => host_and_port.split_once(':').map_or((host_and_port, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None | Some("") => DEFAULT_PORT,
            Some(port) => port.parse().map_err(|_| invalid(text, "the port is no number below 65536"))?,
        };
        let host = if host.is_empty() { "localhost".to_owned() } else { decoded_text(text, host)? };
        Ok(Self { server: NbdServer::Tcp { host, port }, export: export_of_path(text, path)? })
    }

    /// What stands behind `nbd+unix://`: perhaps the name of an export, and the socket.
    fn of_unix_uri(text: &str, rest: &str) -> Result<Self> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !path.is_empty() && !path.starts_with('/') {
            return Err(invalid(text, "no host is named for a socket on this machine"));
        }
        let mut socket = None;
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("socket", value)) if socket.is_none() => socket = Some(decoded(text, value)?),
                _ => return Err(invalid(text, &format!("'{part}' is not understood, only one socket=PATH is"))),
            }
        }
        let socket =
            socket.filter(|socket| !socket.is_empty()).ok_or_else(|| invalid(text, "it has no socket=PATH"))?;
        let server = NbdServer::Unix(PathBuf::from(std::ffi::OsString::from_vec(socket)));
        Ok(Self { server, export: export_of_path(text, path)? })
    }

    /// What stands behind `nbd:`, in QEMU's older form.
    fn of_colons(text: &str, rest: &str) -> Result<Self> {
        let (place, export) = rest.split_once(":exportname=").unwrap_or((rest, ""));
        if let Some(path) = place.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(invalid(text, "the path of the socket is empty"));
            }
            return Ok(Self { server: NbdServer::Unix(path.into()), export: export.to_owned() });
        }
        let (host, port) = place.rsplit_once(':').ok_or_else(|| invalid(text, "it has no port"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| invalid(text, "the port is no number below 65536"))?;
        Ok(Self { server: NbdServer::Tcp { host: host.to_owned(), port }, export: export.to_owned() })
    }

    /// Connects to the server.
    pub(crate) fn connect(&self, patience: &Patience) -> Result<Stream> {
        let connected = match &self.server {
            NbdServer::Unix(path) => connect::unix(path, patience).map(Stream::Unix),
            NbdServer::Tcp { host, port } => connect::tcp(host, *port, patience).map(Stream::Tcp),
        };
        connected.map_err(|e| Error::io(format!("Failed to connect to '{}'", self.server), e))
    }
}

impl fmt::Display for NbdAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.export.is_empty() { "" } else { "/" };
        let export = encoded(self.export.as_bytes());
        match &self.server {
            NbdServer::Unix(path) => {
                write!(f, "nbd+unix://{slash}{export}?socket={}", encoded(path.as_os_str().as_bytes()))
            }
            server @ NbdServer::Tcp { .. } => write!(f, "nbd://{server}{slash}{export}"),
        }
    }
}

impl fmt::Display for NbdServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// The export that the path of a URI names.
fn export_of_path(text: &str, path: &str) -> Result<String> {
    decoded_text(text, path.strip_prefix('/').unwrap_or(path))
}

/// `part` without its percent signs, as text.
fn decoded_text(text: &str, part: &str) -> Result<String> {
    String::from_utf8(decoded(text, part)?).map_err(|_| invalid(text, "a name in it is no UTF-8"))
}

/// `part` without its percent signs (RFC 3986, section 2.1).
fn decoded(text: &str, part: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(value.ok_or_else(|| invalid(text, "two hexadecimal digits follow a '%'"))?);
        rest = &rest[2..];
    }
    Ok(bytes)
}

/// `bytes` as they can stand in a path or a query (RFC 3986, sections 2.3 and 3.3).
fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || UNESCAPED.contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// What is wrong with an address.
fn invalid(text: &str, what: &str) -> Error {
    Error::invalid(format!("'{text}' is no address of an NBD export: {what}"))
}

/// The schemes of NBD URIs, with those that are known and not supported.
const SCHEMES: [&str; 6] = ["nbd", "nbd+tcp", "nbd+unix", "nbds", "nbds+unix", "nbd+vsock"];
/// The port of NBD servers, as IANA has it.
const DEFAULT_PORT: u16 = 10809;
/// What stands for itself in a path or query, besides letters and digits.
const UNESCAPED: &[u8] = b"-._~!$'()*,;:@/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_an_address_is_taken_and_shown_as_a_uri() {
        for (text, shown) in [
            ("nbd+unix:///?socket=/run/s", "nbd+unix://?socket=/run/s"),
            ("nbd+unix:///a%20b?socket=/run/x%3fy", "nbd+unix:///a%20b?socket=/run/x%3Fy"),
            ("nbd+unix://?socket=s", "nbd+unix://?socket=s"),
            ("nbd:unix:/run/s", "nbd+unix://?socket=/run/s"),
            ("nbd:unix:/run/s:exportname=e", "nbd+unix:///e?socket=/run/s"),
            ("nbd://host", "nbd://host:10809"),
            ("nbd://host:1/x/y", "nbd://host:1/x/y"),
            ("nbd+tcp://user@[::1]:2/", "nbd://[::1]:2"),
            ("nbd://", "nbd://localhost:10809"),
            ("nbd:host:3:exportname=e", "nbd://host:3/e"),
            ("nbd:[::1]:3", "nbd://[::1]:3"),
        ] {
            let address = NbdAddress::parse(text).unwrap();
            assert!(NbdAddress::is_one(text), "{text}");
            assert_eq!(address.to_string(), shown, "{text}");
            assert_eq!(NbdAddress::parse(shown).unwrap(), address, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "nbd:",
            "nbd:host",
            "nbd:host:x",
            "nbd:host:65536",
            "nbd:unix:",
            "nbd+unix:///",
            "nbd+unix:///?socket=",
            "nbd+unix:///?socket=a&socket=b",
            "nbd+unix:///?other=a",
            "nbd+unix://host/?socket=a",
            "nbd+unix:a",
            "nbd://host/%",
            "nbd://host/%+1",
            "nbd://host/%ff",
            "nbd://host/x?y",
            "nbds://host/x",
            "nbd+vsock://1/x",
        ] {
            assert!(NbdAddress::parse(text).is_err(), "{text}");
        }
        assert!(!NbdAddress::is_one("nbd") && !NbdAddress::is_one("./nbd:x") && !NbdAddress::is_one("nbdx:y"));
    }
}
