//! Keys in addresses: they are taken out of the command line before anything else looks at it, so that no message, and nothing that
//! is printed, has them.

use std::ffi::OsString;
use std::sync::OnceLock;

use imgfmt_rbd::RbdAddress;

/// The arguments `args`, with something else in the place of each key.
pub(crate) fn hide(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut keys = Vec::new();
    let args = args.into_iter().map(|arg| hide_in(arg, &mut keys)).collect();
    // It is called once, with the command line.
    let _ = KEYS.set(keys);
    args
}

/// An argument, with something else in the place of each key, which goes to `keys`.
fn hide_in(arg: OsString, keys: &mut Vec<String>) -> OsString {
    let Some(text) = arg.to_str() else { return arg };
    let mut shown = text.to_owned();
    for range in RbdAddress::keys_in(text).into_iter().rev() {
        let key = unescaped(&text[range.clone()]);
        // Two addresses with the same key may be the same.
        let index = keys.iter().position(|known| *known == key).unwrap_or(keys.len());
        if index == keys.len() {
            keys.push(key);
        }
        shown.replace_range(range, &name_of(index));
    }
    shown.into()
}

/// The same settings of an address, with its key.
pub(crate) fn put_back(settings: Vec<(String, String)>) -> Vec<(String, String)> {
    let keys = KEYS.get().map_or(&[][..], Vec::as_slice);
    let real = |value: String| {
        let index = (0..keys.len()).find(|index| name_of(*index) == value);
        index.map_or(value, |index| keys[index].clone())
    };
    settings.into_iter().map(|(name, value)| if name == KEY { (name, real(value)) } else { (name, value) }).collect()
}

/// A key as it is, without what an address needs around it.
fn unescaped(key: &str) -> String {
    let address = RbdAddress::parse(&format!("rbd:pool/image:{KEY}={key}")).ok();
    address.and_then(|mut address| address.settings.pop()).map_or_else(|| key.to_owned(), |(_, key)| key)
}

/// What stands for the key of this number.
fn name_of(index: usize) -> String {
    if index == 0 { "<hidden>".to_owned() } else { format!("<hidden {}>", index + 1) }
}

/// The keys of the command line.
static KEYS: OnceLock<Vec<String>> = OnceLock::new();
/// The setting that is a key.
const KEY: &str = "key";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_put_back_where_they_were() {
        let args = ["imgfmt", "compare", "rbd:p/i:key=A==:id=x", "rbd:p/j:key=B==", "rbd:p/k:key=A==", "-p"];
        let hidden = hide(args.map(OsString::from));
        let shown =
            ["imgfmt", "compare", "rbd:p/i:key=<hidden>:id=x", "rbd:p/j:key=<hidden 2>", "rbd:p/k:key=<hidden>", "-p"];
        assert_eq!(hidden, shown);
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let there = vec![set("key", "<hidden 2>"), set("mon_host", "<hidden>"), set("key", "<hidden>")];
        assert_eq!(put_back(there), [set("key", "B=="), set("mon_host", "<hidden>"), set("key", "A==")]);
    }
}
