//! Payloads (`event_content`) by their kind: nearly always a URL path where the record can be read, from OpenERP 7 a
//! JSON object, in principle XML, HL7 or anything else.
//!
//! No input is trusted: what is too large, too deep or incomplete remains text, with the reason. Pages are rendered on
//! the server only, so XML is parsed only there, and the browser's module has no XML parser.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{error_text::visible, uuid};

/// The longest payload shown as a tree, in bytes.
pub const BYTES: usize = 1_000_000;
/// The deepest tree: no one reads a deeper one, and hostile nesting must not exhaust the stack.
pub const DEPTH: usize = 64;
/// The most parts of a tree: each becomes an element of the page.
pub const PARTS: usize = 4_000;

/// A payload, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing, or only white space.
    Empty,
    /// A path on the publisher: `/openmrs/ws/rest/v1/patient/<uuid>?v=full`.
    Path(Path),
    /// A whole `http` or `https` address.
    Url(String),
    Json(Json),
    Xml(Element),
    Hl7(Vec<Segment>),
    /// Anything else.
    Text {
        text: String,
        /// Why a text that looks like JSON, XML or HL7 could not be read as such: a whole sentence.
        note: Option<String>,
    },
}

/// A path on the publisher, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Without the query.
    pub path: String,
    /// The part behind `?`.
    pub query: Option<String>,
    /// The uuid of the record that it leads to.
    pub record: Option<String>,
}

/// A JSON value. Numbers keep their written form (a browser's are exact only up to 2^53), members keep their order, and
/// a repeated name remains repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// An XML element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// With its prefix, as written.
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Content>,
}

/// A child of an XML element. Text of only white space between elements is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Element(Element),
    Text(String),
    Comment(String),
}

/// A segment of an HL7 version 2 message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// `MSH`, `PID`, `ORC` …
    pub name: String,
    pub fields: Vec<Field>,
}

/// A non-empty field of an HL7 segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// HL7's own number: the first field behind the name is 1, in MSH it is 2, because MSH-1 is the separator.
    pub number: usize,
    /// A field may repeat; each repetition has its components.
    pub repetitions: Vec<Vec<String>>,
}

impl Payload {
    /// Returns what it is, in words.
    pub fn in_words(&self) -> &'static str {
        match self {
            Payload::Empty => "nothing",
            Payload::Path(_) | Payload::Url(_) => "Link to the record. A retry reads the current version.",
            Payload::Json(_) => "JSON",
            Payload::Xml(_) => "XML",
            Payload::Hl7(_) => "HL7",
            Payload::Text { .. } => "text",
        }
    }
}

/// Parses a payload.
pub fn parse(text: &str) -> Payload {
    let bare = text.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
    if bare.is_empty() {
        return Payload::Empty;
    }
    let plain = |note: Option<String>| Payload::Text { text: text.to_owned(), note };
    if let Some(link) = link(bare) {
        return if link.starts_with('/') { Payload::Path(path(link)) } else { Payload::Url(link.to_owned()) };
    }
    let tree = match bare.as_bytes() {
        [b'{' | b'[', ..] => Some(("JSON", json(bare).map(Payload::Json))),
        [b'<', ..] => Some(("XML", xml(bare).map(Payload::Xml))),
        [b'M', b'S', b'H', separator, ..] if separator.is_ascii_punctuation() => Some(("HL7", hl7(bare))),
        _ => None,
    };
    match tree {
        Some((_, Ok(payload))) => payload,
        Some((kind, Err(reason))) => {
            plain(Some(format!("This looks like {kind} but cannot be shown as such: {reason}.")))
        }
        None => plain(None),
    }
}

/// Returns the text if it may become a link: an `http` or `https` address or a path on the publisher, without anything
/// in it that a browser reads differently from a person.
pub fn link(text: &str) -> Option<&str> {
    let odd = |character: char| match character {
        '\\' | '<' | '>' | '"' | '`' | '{' | '}' => true,
        '!'..='~' => false,
        _ => {
            character.is_whitespace()
                || character.is_control()
                || visible(character.encode_utf8(&mut [0; 4])).chars().count() != 1
        }
    };
    if text.len() > 2000 || text.chars().any(odd) {
        return None;
    }
    if text.starts_with('/') {
        return (!text.starts_with("//")).then_some(text);
    }
    let scheme = ["http://", "https://"]
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))?;
    let host = text.get(scheme.len()..)?.split(['/', '?', '#']).next()?;
    // `http://openmrs@elsewhere/` leads elsewhere.
    (!host.is_empty() && !host.contains('@') && !host.starts_with(':')).then_some(text)
}

fn path(link: &str) -> Path {
    let (path, query) = match link.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (link, None),
    };
    Path { path: path.to_owned(), query, record: record_of_path(path) }
}

/// Returns the last segment of a path that is a uuid, or looks like an older id of an OpenMRS concept (`1063AAAA…`, 36
/// letters and digits).
fn record_of_path(path: &str) -> Option<String> {
    let is_id = |segment: &&str| {
        uuid::first(segment) == Some(*segment)
            || (segment.len() == uuid::LENGTH && segment.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    };
    path.split(['?', '#']).next()?.rsplit('/').find(is_id).map(str::to_owned)
}

/// Returns the uuid of the record of a payload: from a path, from a JSON object's member `uuid`, else the first in it.
pub fn record_uuid(text: &str) -> Option<String> {
    record_uuid_of(&parse(text), text)
}

fn record_uuid_of(payload: &Payload, text: &str) -> Option<String> {
    let found = match payload {
        Payload::Path(path) => path.record.as_deref(),
        Payload::Json(Json::Object(members)) => members.iter().find_map(|(name, value)| match value {
            Json::String(uuid) if name == "uuid" && is_plain_id(uuid) => Some(uuid.as_str()),
            _ => None,
        }),
        _ => None,
    };
    found.or_else(|| uuid::first(text)).map(str::to_owned)
}

/// Returns what a user who may not read a payload may know of it: a payload with only the kind of the record and its
/// id, from which [`record_kind`] and [`record_uuid`] return the same as from the whole. `None` if it names no record.
/// Omits an id that is neither a uuid nor one of OpenMRS' older ones: it can be a name.
pub fn reference(text: &str) -> Option<String> {
    let payload = parse(text);
    let id = record_uuid_of(&payload, text).filter(|id| is_no_personal_name(id));
    if let Payload::Path(path) = payload {
        let kind = path.path.split('/').find(|segment| record_kind(segment).is_some());
        return match (kind, id) {
            (Some(kind), Some(id)) => Some(format!("/{kind}/{id}")),
            (Some(kind), None) => Some(format!("/{kind}")),
            (None, id) => id.map(|id| format!("/{id}")),
        };
    }
    id.map(|id| format!("{{\"uuid\":\"{id}\"}}"))
}

/// Returns whether this is a uuid, or an older id of an OpenMRS concept: digits, then the letter A repeated, 36 in all.
fn is_no_personal_name(id: &str) -> bool {
    let concept = id.len() == uuid::LENGTH
        && id.starts_with(|first: char| first.is_ascii_digit())
        && id.trim_end_matches('A').bytes().all(|byte| byte.is_ascii_digit());
    concept || uuid::first(id) == Some(id)
}

fn is_plain_id(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Returns the kind of record that a path leads to, in words; the paths are those of Bahmni's own feeds.
pub fn record_kind(path: &str) -> Option<&'static str> {
    let mut segments = path.split(['?', '#']).next()?.split('/').filter(|segment| !segment.is_empty());
    segments.find_map(|segment| {
        Some(match segment {
            "patient" => "patient",
            "bahmniencounter" | "encounter" => "encounter",
            "drug" => "drug",
            "sample" => "sample",
            "panel" => "panel",
            "test" => "test",
            "department" => "department",
            "radiology" => "radiology test",
            "resources" => "reference data",
            "programenrollment" => "programme enrolment",
            "relationship" => "relationship",
            "accession" => "accession",
            _ => return None,
        })
    })
}

/// Shortens an id in the middle: `tag:atomfeed.ict4h.org:4417ab02-…-90fe11d0c2a7` → `4417ab02…c2a7`.
pub fn short_id(id: &str) -> String {
    let id = visible(id.trim());
    let name = uuid::first(&id).unwrap_or(&id);
    let count = name.chars().count();
    if count <= 16 {
        return name.to_owned();
    }
    let head: String = name.chars().take(8).collect();
    let tail: String = name.chars().skip(count - 4).collect();
    format!("{head}…{tail}")
}

/// Limits the parts of a tree and its depth while it is parsed.
struct Budget {
    parts: usize,
}

impl Budget {
    fn new(text: &str) -> Result<Self, String> {
        if text.len() > BYTES {
            return Err(format!("it is longer than {} kB", BYTES / 1000));
        }
        Ok(Self { parts: PARTS })
    }

    fn spend(&mut self, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err(format!("it is nested deeper than {DEPTH} levels"));
        }
        self.parts = self.parts.checked_sub(1).ok_or_else(|| format!("it has more than {PARTS} parts"))?;
        Ok(())
    }
}

fn json(text: &str) -> Result<Json, String> {
    let mut budget = Budget::new(text)?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| json_reason(text, &error))?;
    json_tree(raw, 0, &mut budget)
}

/// Parses one level at a time: serde_json's own tree would round numbers and drop a repeated member.
fn json_tree(raw: &RawValue, depth: usize, budget: &mut Budget) -> Result<Json, String> {
    budget.spend(depth)?;
    let text = raw.get().trim();
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = level(text)?;
            let read = |(name, value): (Cow<'_, str>, &RawValue)| {
                Ok((name.into_owned(), json_tree(value, depth + 1, budget)?))
            };
            Json::Object(members.into_iter().map(read).collect::<Result<_, String>>()?)
        }
        Some(b'[') => {
            let Items(items) = level(text)?;
            let read = |value| json_tree(value, depth + 1, budget);
            Json::Array(items.into_iter().map(read).collect::<Result<_, String>>()?)
        }
        Some(b'"') => Json::String(level(text)?),
        Some(b'n') => Json::Null,
        Some(b't') => Json::Bool(true),
        Some(b'f') => Json::Bool(false),
        _ => Json::Number(text.to_owned()),
    })
}

fn level<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| json_reason(text, &error))
}

fn json_reason(text: &str, error: &serde_json::Error) -> String {
    if error.is_eof() {
        let chars = text.chars().count();
        return format!("it ends after {chars} characters before it is complete");
    }
    format!("{error}")
}

/// The members of an object in their order, including repeated ones.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    if members.len() <= PARTS {
                        members.push((name, value));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A member's name: borrowed if it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The values of an array.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(value) = seq.next_element()? {
                    if items.len() <= PARTS {
                        items.push(value);
                    }
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Collect)
    }
}

#[cfg(not(feature = "server"))]
fn xml(_text: &str) -> Result<Element, String> {
    Err("the browser does not read XML".to_owned())
}

/// Parses XML. Refuses any document type: entities made of entities can grow without end.
#[cfg(feature = "server")]
fn xml(text: &str) -> Result<Element, String> {
    let mut budget = Budget::new(text)?;
    let options = roxmltree::ParsingOptions {
        allow_dtd: false,
        nodes_limit: u32::try_from(PARTS).unwrap_or(u32::MAX),
        ..roxmltree::ParsingOptions::default()
    };
    let document = roxmltree::Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::DtdDetected => "it brings a document type, which is not read".to_owned(),
        roxmltree::Error::NodesLimitReached => format!("it has more than {PARTS} parts"),
        other => other.to_string(),
    })?;
    element(text, document.root_element(), 0, &mut budget)
}

#[cfg(feature = "server")]
fn element(text: &str, node: roxmltree::Node<'_, '_>, depth: usize, budget: &mut Budget) -> Result<Element, String> {
    budget.spend(depth)?;
    // As written, with its prefix: roxmltree only keeps the local name and the namespace.
    let written = text.get(node.range()).and_then(|source| source.strip_prefix('<'));
    let name = written.and_then(|source| source.split([' ', '\t', '\r', '\n', '/', '>']).next());
    let attributes = node.attributes().map(|attribute| {
        let name = text.get(attribute.range_qname()).unwrap_or(attribute.name());
        (name.to_owned(), attribute.value().to_owned())
    });
    for _ in node.attributes() {
        budget.spend(depth)?;
    }
    let mut children = Vec::new();
    for child in node.children() {
        if child.is_element() {
            children.push(Content::Element(element(text, child, depth + 1, budget)?));
        } else if let Some(text) = child.text().map(str::trim).filter(|text| !text.is_empty()) {
            let text = text.to_owned();
            children.push(if child.is_comment() { Content::Comment(text) } else { Content::Text(text) });
        }
    }
    Ok(Element { name: name.unwrap_or(node.tag_name().name()).to_owned(), attributes: attributes.collect(), children })
}

/// Parses an HL7 version 2 message: the header names the separators.
fn hl7(text: &str) -> Result<Payload, String> {
    let mut budget = Budget::new(text)?;
    let header: Vec<char> = text.chars().skip(3).take(3).collect();
    let [separator, component, repetition] = header.as_slice() else {
        return Err("its header ends before the separators".to_owned());
    };
    let mut segments = Vec::new();
    for line in text.split(['\r', '\n']).filter(|line| !line.trim().is_empty()) {
        let mut parts = line.split(*separator);
        let name = parts.next().unwrap_or("").to_owned();
        let is_header = name == "MSH";
        let mut fields = Vec::new();
        for (index, value) in parts.enumerate().filter(|(_, value)| !value.is_empty()) {
            let repetitions: Vec<Vec<String>> = if is_header && index == 0 {
                vec![vec![value.to_owned()]]
            } else {
                let components = |one: &str| one.split(*component).map(str::to_owned).collect();
                value.split(*repetition).map(components).collect()
            };
            for _ in repetitions.iter().flatten() {
                budget.spend(0)?;
            }
            fields.push(Field { number: index + if is_header { 2 } else { 1 }, repetitions });
        }
        budget.spend(0)?;
        segments.push(Segment { name, fields });
    }
    Ok(Payload::Hl7(segments))
}

#[cfg(test)]
mod tests;
