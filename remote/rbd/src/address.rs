//! What an image in a pool is called: `rbd:pool/image`, in QEMU's form.

use std::fmt;
use std::ops::Range;

use imgfmt_core::{Error, Result};

/// An image in a pool of a Ceph cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RbdAddress {
    /// The pool.
    pub pool: String,
    /// The namespace within it; empty for the default one.
    pub namespace: String,
    /// The image.
    pub image: String,
    /// The snapshot of it; nothing for the image as it is now.
    pub snapshot: Option<String>,
    /// Who asks, without `client.`; nothing for `admin`.
    pub user: Option<String>,
    /// The configuration file; nothing for where Ceph looks for it.
    pub conf: Option<String>,
    /// Settings of the configuration, which go before those of the file.
    pub settings: Vec<(String, String)>,
}

impl RbdAddress {
    /// Whether `text` is an address of this kind, to judge by how it begins.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// The image that `text` means: `rbd:pool[/namespace]/image[@snapshot][:name=value…]`. A backslash takes from what follows it
    /// that it parts anything. `id` is the user, `conf` the configuration file; other names are settings of that.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |what: &str| {
            let what = format!("'{}' is no address of an RBD image: {what}", without_keys(text));
            Error::invalid(what)
        };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| invalid("it does not begin with 'rbd:'"))?;
        let mut parts = split(rest, ':');
        let place = parts.next().unwrap_or_default();
        let mut names = split(place, '/');
        let pool = unescaped(names.next().unwrap_or_default());
        let rest = names.collect::<Vec<_>>();
        let (namespace, image) = match rest.as_slice() {
            [image] => (String::new(), *image),
            [namespace, image] => (unescaped(namespace), *image),
            _ => return Err(invalid("it has no pool and image, as in rbd:pool/image")),
        };
        let mut names = split(image, '@');
        let image = unescaped(names.next().unwrap_or_default());
        let snapshot = names.next().map(unescaped);
        if pool.is_empty() || image.is_empty() || names.next().is_some() {
            return Err(invalid("the name of a pool or image is empty, or there are two snapshots"));
        }
        let mut address = Self { pool, namespace, image, snapshot, user: None, conf: None, settings: Vec::new() };
        for part in parts {
            let mut pair = split(part, '=');
            let name = unescaped(pair.next().unwrap_or_default());
            let value = part.get(part.len().min(part.find('=').map_or(part.len(), |at| at + 1))..).map(unescaped);
            if pair.next().is_none() {
                return Err(invalid(&format!("'{}' is not of the form name=value", unescaped(part))));
            }
            address.set(&name, &value.unwrap_or_default());
        }
        Ok(address)
    }

    /// Where in `text`, which has addresses in it, the keys of users are: what only the cluster has to know, and nobody should read
    /// in a message or a list of processes.
    #[must_use]
    pub fn keys_in(text: &str) -> Vec<Range<usize>> {
        let begins = |at: usize| at == 0 || text[..at].ends_with(['=', '"']);
        let Some(first) = text.match_indices(SCHEME).map(|(at, _)| at).find(|at| begins(*at)) else {
            return Vec::new();
        };
        let values = text.match_indices(KEY).map(|(at, _)| at + KEY.len()).filter(|at| *at > first);
        values.map(|start| start..start + value_len(&text[start..])).filter(|value| !value.is_empty()).collect()
    }

    /// Takes a setting by its name in an address.
    pub fn set(&mut self, name: &str, value: &str) {
        match name {
            "id" => self.user = Some(value.to_owned()),
            "conf" => self.conf = Some(value.to_owned()),
            _ => self.settings.push((name.to_owned(), value.to_owned())),
        }
    }
}

impl fmt::Display for RbdAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", escaped(&self.pool))?;
        if !self.namespace.is_empty() {
            write!(f, "/{}", escaped(&self.namespace))?;
        }
        write!(f, "/{}", escaped(&self.image))?;
        if let Some(snapshot) = &self.snapshot {
            write!(f, "@{}", escaped(snapshot))?;
        }
        let own = [("id", &self.user), ("conf", &self.conf)];
        let own = own.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let all = own.chain(self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        for (name, value) in all {
            // In a value, only what ends it has to be escaped.
            write!(f, ":{}={}", escaped(name), value.replace('\\', "\\\\").replace(':', "\\:"))?;
        }
        Ok(())
    }
}

/// Bytes of the value that `text` begins with: up to what ends it in an address, or the address in options or JSON.
fn value_len(text: &str) -> usize {
    let mut escaped = false;
    let end = text.find(|c: char| {
        let ends = !escaped && (matches!(c, ':' | ',' | '"' | '\'') || c.is_whitespace());
        escaped = c == '\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

/// `text` as it can be shown.
fn without_keys(text: &str) -> String {
    let mut shown = text.to_owned();
    for key in RbdAddress::keys_in(text).into_iter().rev() {
        shown.replace_range(key, HIDDEN);
    }
    shown
}

/// The parts of `text` between separators that no backslash stands before.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let parts = c == separator && !escaped;
        escaped = c == '\\' && !escaped;
        parts
    })
}

/// `text` without the backslashes that take something from what follows them.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    out
}

/// `text` with a backslash before all that would part it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | ':' | '/' | '@' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// How an address begins.
const SCHEME: &str = "rbd:";
/// What stands before a key in an address.
const KEY: &str = ":key=";
/// What stands for a key where it is not to be read.
const HIDDEN: &str = "<hidden>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_put_together() {
        for text in [
            "rbd:pool/image",
            "rbd:pool/ns/image",
            "rbd:pool/image@snap",
            "rbd:pool/ns/image@snap:id=glance:conf=/etc/ceph/ceph.conf",
            r"rbd:p\/o/i\@m\:a:id=nova:mon_host=10.0.0.1\:6789;10.0.0.2\:6789:key=AQ==",
        ] {
            assert!(RbdAddress::is_one(text));
            assert_eq!(RbdAddress::parse(text).unwrap().to_string(), text);
        }
        let address = RbdAddress::parse(r"rbd:p\/o/i\@m\:a@s:conf=c:id=nova:mon_host=a\:1;b:key=AQ==").unwrap();
        let RbdAddress { pool, image, snapshot, user, conf, settings, .. } = address;
        assert_eq!((pool.as_str(), image.as_str(), snapshot.as_deref()), ("p/o", "i@m:a", Some("s")));
        assert_eq!((user.as_deref(), conf.as_deref()), (Some("nova"), Some("c")));
        let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(settings, [("mon_host", "a:1;b"), ("key", "AQ==")]);
    }

    #[test]
    fn a_key_is_found_wherever_it_is_and_is_in_no_error() {
        for (text, keys) in [
            ("rbd:p/i:id=x:key=AQ==:conf=c", &["AQ=="][..]),
            (r"rbd:p/i:key=a\:b", &[r"a\:b"]),
            (r#"json:{"file.filename": "rbd:p/i:key=A+/=", "x": "y"}"#, &["A+/="]),
            ("driver=raw,file.filename=rbd:p/i:key=AQ==,x=y", &["AQ=="]),
            ("rbd:p/i:key=a:key=b", &["a", "b"]),
            ("./rbd:p/i:key=a", &[]),
            ("file:rbd:p/i:key=a", &[]),
            ("rbd:p/i:keyring=a:key=", &[]),
        ] {
            let found: Vec<_> = RbdAddress::keys_in(text).into_iter().map(|key| &text[key]).collect();
            assert_eq!(found, keys, "{text}");
        }
        for text in ["rbd:p:key=SECRET", "rbd:p/i:key=SECRET:id", "rbd:a/b@c@d:key=SECRET"] {
            let error = RbdAddress::parse(text).unwrap_err().to_string();
            assert!(error.contains("key=<hidden>") && !error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["rbd:", "rbd:pool", "rbd:/image", "rbd:pool/", "rbd:a/b/c/d", "rbd:a/b@c@d", "rbd:a/b:id", "nbd:a/b"]
        {
            assert!(RbdAddress::parse(text).is_err(), "{text}");
        }
    }
}
