//! XML as a tree: without document types, of bounded depth and size.

use imgfmt_core::{Error, Limits, Result};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::NAMESPACES;

/// An element with all that is in it.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// Its name without a prefix. A section of edition 0.9 has the name of its type.
    name: String,
    /// Whether its namespace is that of OVF.
    is_ovf: bool,
    /// Its attributes that are in the namespace of OVF, or in none, without a prefix.
    attributes: Vec<(String, String)>,
    /// The elements in it.
    pub(super) children: Vec<Element>,
    /// The text that is directly in it.
    pub(super) text: String,
}

impl Element {
    /// Parses a document.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for what is no XML in UTF-8,
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for document types,
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) for what is too deep or has too many elements.
    pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let text =
            std::str::from_utf8(bytes).map_err(|e| Error::malformed("the description is not UTF-8").because(e))?;
        let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
        let mut open = vec![Self::default()];
        let mut count = 0;
        loop {
            let event = reader.read_event().map_err(|e| damaged(e).at(reader.error_position()))?;
            let at = reader.buffer_position();
            match event {
                Event::Start(start) => {
                    count += 1;
                    Limits::check("elements", count, limits.items)?;
                    Limits::check("depth of elements", open.len() as u64, DEPTH_MAX)?;
                    open.push(Self::of(&reader, &start).map_err(|e| e.at(at))?);
                }
                Event::Empty(start) => {
                    count += 1;
                    Limits::check("elements", count, limits.items)?;
                    let element = Self::of(&reader, &start).map_err(|e| e.at(at))?;
                    top(&mut open)?.children.push(element);
                }
                Event::End(_) => {
                    let element = open.pop().unwrap_or_default();
                    top(&mut open)?.children.push(element);
                }
                Event::Text(part) => top(&mut open)?.text.push_str(&part.xml10_content()),
                Event::CData(part) => top(&mut open)?.text.push_str(&part.xml10_content()),
                Event::GeneralRef(name) => top(&mut open)?.text.push(resolve(&name).map_err(|e| e.at(at))?),
                Event::DocType(_) => return Err(Error::unsupported("the description has a document type").at(at)),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        Self::root(open)
    }

    /// The only element of a document.
    fn root(mut open: Vec<Self>) -> Result<Self> {
        match (open.pop(), open.is_empty()) {
            (Some(mut document), true) if document.children.len() == 1 && document.text.trim().is_empty() => {
                Ok(document.children.pop().unwrap_or_default())
            }
            _ => Err(Error::malformed("the description is not one element from start to end")),
        }
    }

    /// An element with its attributes.
    fn of(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Self> {
        let (space, local) = reader.resolver().resolve_element(start.name());
        let mut element = Self { name: text_of(local.as_ref()), is_ovf: is_ovf(&space), ..Self::default() };
        for (count, attribute) in start.attributes().enumerate() {
            // Each is compared with all before it.
            Limits::check("attributes", count as u64 + 1, ATTRIBUTES_MAX)?;
            let attribute = attribute.map_err(damaged)?;
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let (space, local) = reader.resolver().resolve_attribute(attribute.key);
            let name = text_of(local.as_ref());
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(damaged)?;
            if is_schema_instance(&space) && name == "type" && matches!(element.name.as_str(), "Section" | "Content") {
                let kind = value.rsplit(':').next().unwrap_or_default();
                element.name = kind.strip_suffix("_Type").unwrap_or(kind).to_owned();
            }
            if is_ovf(&space) || matches!(space, ResolveResult::Unbound) {
                if element.attribute(&name).is_some() {
                    return Err(Error::malformed(format!("the attribute {name} is there twice")));
                }
                element.attributes.push((name, value.into_owned()));
            }
        }
        Ok(element)
    }

    /// Whether it is an element of OVF of this name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.is_ovf && self.name == name
    }

    /// Its name, whatever its namespace.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The elements of OVF at the end of a path of names.
    pub(super) fn path<'a>(&'a self, names: &'a [&'a str]) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        match names {
            [] => Box::new(std::iter::once(self)),
            [first, rest @ ..] => Box::new(
                self.children.iter().filter(move |child| child.is(first)).flat_map(move |child| child.path(rest)),
            ),
        }
    }

    /// The text of the first child of that name, whatever its namespace.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        let child = self.children.iter().find(|child| child.name == name)?;
        Some(child.text.trim()).filter(|text| !text.is_empty())
    }

    /// An attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// An attribute that has to be there.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it is not.
    pub(super) fn required(&self, name: &str) -> Result<String> {
        let value = self.attribute(name).filter(|value| !value.is_empty());
        value.map(str::to_owned).ok_or_else(|| Error::malformed(format!("a {} has no {name}", self.name)))
    }

    /// An attribute that is a number, if it is there.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it is something else.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.attribute(name).map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| Error::malformed(format!("the {name} of a {} is {text}, no number", self.name)))
    }
}

/// The innermost open element.
fn top(open: &mut [Element]) -> Result<&mut Element> {
    open.last_mut().ok_or_else(|| Error::malformed("an element ends that has not begun"))
}

/// The character that a reference stands for: one of the five that XML knows by name, or one by number.
fn resolve(name: &BytesRef<'_>) -> Result<char> {
    if let Some(char) = name.resolve_char_ref().map_err(damaged)? {
        return Ok(char);
    }
    match name.xml10_content().as_ref() {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        other => Err(Error::unsupported(format!("the entity {other} is not known"))),
    }
}

/// Whether a namespace is that of an edition of OVF.
fn is_ovf(space: &ResolveResult<'_>) -> bool {
    matches!(space, ResolveResult::Bound(Namespace(uri)) if NAMESPACES.iter().any(|known| uri.starts_with(known)))
}

/// Whether a namespace is that of `xsi:type`.
fn is_schema_instance(space: &ResolveResult<'_>) -> bool {
    matches!(space, ResolveResult::Bound(Namespace(uri)) if *uri == "http://www.w3.org/2001/XMLSchema-instance")
}

/// A name as text of its own.
fn text_of(name: &str) -> String {
    name.to_owned()
}

/// What the parser says.
fn damaged(error: impl Into<quick_xml::Error>) -> Error {
    Error::malformed("the description is no XML").because(error.into())
}

/// Most attributes of an element.
const ATTRIBUTES_MAX: u64 = 256;
/// Most elements within elements.
const DEPTH_MAX: u64 = 64;
