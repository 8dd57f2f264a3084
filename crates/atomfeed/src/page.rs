//! A page of a feed as Atom: written with quick-xml, read with roxmltree.
//!
//! Two libraries, because the Java library's reader uses an entry's content as raw XML and only removes the CDATA
//! marks, so a publisher must write CDATA, which the Atom libraries do not. And a reader must withstand hostile pages:
//! roxmltree refuses document types (entity bombs), reads nested elements without recursion and limits the number of
//! nodes; a recursive reader can overflow the stack and end the process.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use quick_xml::{
    Writer,
    escape::escape,
    events::{BytesCData, BytesDecl, BytesText, Event as Xml},
};
use roxmltree::{Document, Node, ParsingOptions};

use super::{
    event::{ENTRY_ID_PREFIX, Event},
    java,
};

/// The namespace of Atom.
const ATOM: &str = "http://www.w3.org/2005/Atom";

/// The media type of an entry's content.
pub(super) const CONTENT_TYPE: &str = "application/vnd.atomfeed+xml";

const ATOM_TYPE: &str = "application/atom+xml";

/// Most elements and texts on a page; a page of five entries has about a hundred.
const MOST_NODES: u32 = 500_000;

/// A row of event_records, to be written as an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishedRow {
    /// The event's uuid.
    pub uuid: String,
    /// Kind of record that changed.
    pub title: String,
    /// Time of publication; without it, the time at which it is written.
    pub at: Option<DateTime<Utc>>,
    /// The column `object`.
    pub object: Option<String>,
    /// The column `category`.
    pub category: Option<String>,
    /// The column `tags`: categories separated by commas.
    pub tags: Option<String>,
}

/// An entry to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub id: String,
    pub title: String,
    /// Time of publication, written to both `updated` and `published`.
    pub at: DateTime<Utc>,
    pub categories: Vec<String>,
    pub content: Option<String>,
}

/// A page to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft<'a> {
    pub title: &'a str,
    pub id: String,
    pub author: &'a str,
    pub generator: &'a str,
    pub generator_uri: &'a str,
    pub updated: DateTime<Utc>,
    /// Relation and address.
    pub links: Vec<(&'static str, String)>,
    pub entries: Vec<Entry>,
}

impl Draft<'_> {
    /// Returns the page as XML.
    pub fn to_xml(&self) -> std::io::Result<String> {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        writer.write_event(Xml::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        writer.create_element("feed").with_attribute(("xmlns", ATOM)).write_inner_content(|writer| {
            text(writer, "title", self.title)?;
            for (relation, address) in &self.links {
                writer
                    .create_element("link")
                    .with_attributes([("rel", *relation), ("type", ATOM_TYPE), ("href", address)])
                    .write_empty()?;
            }
            writer.create_element("author").write_inner_content(|writer| text(writer, "name", self.author))?;
            text(writer, "id", &self.id)?;
            writer
                .create_element("generator")
                .with_attribute(("uri", legal(self.generator_uri).as_str()))
                .write_text_content(BytesText::new(&legal(self.generator)))?;
            text(writer, "updated", &time(self.updated))?;
            for entry in &self.entries {
                writer.create_element("entry").write_inner_content(|writer| entry.write(writer))?;
            }
            Ok(())
        })?;
        String::from_utf8(writer.into_inner()).map_err(std::io::Error::other)
    }
}

impl From<PublishedRow> for Entry {
    fn from(row: PublishedRow) -> Self {
        let tags = row.tags.iter().flat_map(|tags| tags.split(',')).filter(|tag| !tag.trim().is_empty());
        let category = row.category.into_iter().filter(|category| !category.is_empty());
        Self {
            id: format!("{ENTRY_ID_PREFIX}{}", row.uuid),
            title: row.title,
            at: row.at.unwrap_or_else(crate::clock::now),
            // In the order of the Java library: consumers keep it in failed_events.tags.
            categories: java::in_set_order(category.chain(tags.map(str::to_owned))),
            content: row.object,
        }
    }
}

impl Entry {
    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        text(writer, "title", &self.title)?;
        for category in &self.categories {
            writer.create_element("category").with_attribute(("term", legal(category).as_str())).write_empty()?;
        }
        text(writer, "id", &self.id)?;
        text(writer, "updated", &time(self.at))?;
        text(writer, "published", &time(self.at))?;
        let element = writer.create_element("content").with_attribute(("type", CONTENT_TYPE));
        match &self.content {
            Some(content) => element.write_inner_content(|writer| cdata(writer, &legal(content)))?,
            None => element.write_empty()?,
        };
        Ok(())
    }
}

/// Writes a text as CDATA. At a `]]>`, which would end the section, the section ends before the `>`, which follows
/// escaped. Two adjacent sections would not do: the Java consumers' parser (JDOM) joins them, finds `]]>` in the result
/// and refuses the whole page at every run.
fn cdata(writer: &mut Writer<Vec<u8>>, content: &str) -> std::io::Result<()> {
    let mut parts = content.split("]]>").peekable();
    let mut first = true;
    while let Some(part) = parts.next() {
        let ends = parts.peek().is_some();
        if first || ends || !part.is_empty() {
            let section = if ends { format!("{part}]]") } else { part.to_owned() };
            writer.write_event(Xml::CData(BytesCData::new(section)))?;
        }
        if ends {
            writer.write_event(Xml::Text(BytesText::new(">")))?;
        }
        first = false;
    }
    Ok(())
}

fn text(writer: &mut Writer<Vec<u8>>, name: &str, value: &str) -> std::io::Result<()> {
    // A carriage return is written as a character reference, because readers turn a literal one into a line feed.
    let value = escape(legal(value)).replace('\r', "&#xD;");
    writer.create_element(name).write_text_content(BytesText::from_escaped(value)).map(drop)
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Replaces characters that XML forbids but databases accept.
fn legal(text: &str) -> String {
    text.chars().map(|character| if is_legal(character) { character } else { char::REPLACEMENT_CHARACTER }).collect()
}

fn is_legal(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        character => character >= ' ',
    }
}

/// Why an answer is not a page of a feed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// A web page, most often the publisher's login form.
    #[error("the answer is a web page and no feed. Most often it is a login page: check the address and the login")]
    WebPage,
    /// It declares a document type, which a feed never does and which can be an entity bomb.
    #[error("the answer declares a document type, which no feed needs; it is not read")]
    DocumentType,
    /// Not XML, or cut off.
    #[error("the answer is no well-formed XML: {0}")]
    Broken(String),
    /// More elements than any real page has.
    #[error("the answer has more than {MOST_NODES} elements and texts; it is not read")]
    TooMuch,
    /// XML, but not an Atom feed.
    #[error("the answer is XML, but no Atom feed: its outermost element is <{0}>")]
    NotAtom(String),
    /// No numbered address of its own from which to continue.
    #[error("the page has no link to its own numbered address (rel=\"via\")")]
    NoVia,
    /// A relative address, which a marker could not resolve later.
    #[error("the page's link rel={relation:?} is {address:?}, which is no whole address; it is not followed")]
    Relative {
        /// The link's relation.
        relation: &'static str,
        /// Its address.
        address: String,
    },
    /// An entry without an id.
    #[error("entry {0} of the page has no id")]
    NoId(usize),
}

/// A page of a feed that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its numbered address.
    pub via: String,
    /// The next newer page.
    pub next: Option<String>,
    /// The next older page.
    pub previous: Option<String>,
    /// Oldest first.
    pub events: Vec<Event>,
}

impl Page {
    /// Reads a page from the text that [`text_of`] returns.
    pub(super) fn read(text: &str) -> Result<Self, PageError> {
        let text = text.trim_start_matches('\u{FEFF}').trim_start();
        if is_web_page(text) {
            return Err(PageError::WebPage);
        }
        let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options).map_err(|error| match error {
            roxmltree::Error::DtdDetected => PageError::DocumentType,
            roxmltree::Error::NodesLimitReached => PageError::TooMuch,
            error => PageError::Broken(error.to_string()),
        })?;
        let root = document.root_element();
        if !root.has_tag_name((ATOM, "feed")) {
            return Err(PageError::NotAtom(root.tag_name().name().chars().take(100).collect()));
        }
        Self::of(root)
    }

    fn of(feed: Node<'_, '_>) -> Result<Self, PageError> {
        let link = |relation: &'static str| {
            let mut links = children(feed, "link").filter(|link| link.attribute("rel") == Some(relation));
            let Some(address) = links.find_map(|link| link.attribute("href")) else { return Ok(None) };
            match url::Url::parse(address) {
                Err(url::ParseError::RelativeUrlWithoutBase) => {
                    Err(PageError::Relative { relation, address: address.chars().take(200).collect() })
                }
                // An address outside the publisher is reported when it is requested.
                _ => Ok(Some(address.to_owned())),
            }
        };
        let via = link("via")?.ok_or(PageError::NoVia)?;
        let events = children(feed, "entry")
            .enumerate()
            .map(|(place, entry)| event(entry, &via).ok_or(PageError::NoId(place + 1)))
            .collect::<Result<_, _>>()?;
        Ok(Self { next: link("next-archive")?, previous: link("prev-archive")?, via, events })
    }
}

/// Returns the text of an answer and, if it is not UTF-8, how it was decoded: in the encoding that the media type or
/// the XML declares, otherwise with replacement characters, as the Java library does. Valid UTF-8 is read as UTF-8
/// whatever is declared.
pub(super) fn text_of<'b>(bytes: &'b [u8], content_type: &str) -> (Cow<'b, str>, Option<String>) {
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding).or(match bytes {
        [b'<', 0, ..] => Some(UTF_16LE),
        [0, b'<', ..] => Some(UTF_16BE),
        _ => None,
    });
    if marked.is_none_or(|encoding| encoding == UTF_8)
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return (Cow::Borrowed(text), None);
    }
    let labels = [declared_in_type(content_type), declared_in_xml(bytes)];
    let declared = labels.into_iter().flatten().find_map(|label| Encoding::for_label(label.as_bytes()));
    let encoding = marked.or(declared).unwrap_or(UTF_8);
    let (text, _, replaced) = encoding.decode(bytes);
    let how = match (encoding == UTF_8, replaced) {
        (true, _) => "with replacement letters, because it is no UTF-8 and declares nothing else".to_owned(),
        (false, true) => format!("as {}, with replacement letters", encoding.name()),
        (false, false) => format!("as {}", encoding.name()),
    };
    (text, Some(how))
}

/// Returns the charset of a media type.
fn declared_in_type(content_type: &str) -> Option<String> {
    let named = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    })?;
    Some(named.trim().trim_matches(['"', '\'']).to_owned())
}

/// Returns the encoding of an XML declaration, which is ASCII at the beginning of the text.
fn declared_in_xml(bytes: &[u8]) -> Option<String> {
    let start: String = bytes.iter().take(200).map(|byte| char::from(*byte)).collect();
    let declaration = start.trim_start().strip_prefix("<?xml")?.split("?>").next()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    value[1..].split(quote).next().map(str::to_owned)
}

/// Returns whether a text begins like HTML.
fn is_web_page(text: &str) -> bool {
    let start: String = text.chars().take(15).collect::<String>().to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.has_tag_name((ATOM, name)))
}

fn event(entry: Node<'_, '_>, page: &str) -> Option<Event> {
    let value = |name| children(entry, name).next().map(inner);
    let id = value("id").map(|id| id.trim().to_owned()).filter(|id| !id.is_empty())?;
    let updated = value("updated").and_then(|text| DateTime::parse_from_rfc3339(text.trim()).ok());
    Some(Event {
        id,
        title: value("title"),
        content: value("content"),
        categories: children(entry, "category")
            .filter_map(|category| category.attribute("term"))
            .map(str::to_owned)
            .collect(),
        updated: updated.map(|at| at.to_utc()),
        page: Some(page.to_owned()),
    })
}

/// Returns an element's text or, if it contains elements, its XML unchanged.
fn inner(node: Node<'_, '_>) -> String {
    if node.children().any(|child| child.is_element()) {
        let (Some(first), Some(last)) = (node.first_child(), node.last_child()) else { return String::new() };
        return node.document().input_text()[first.range().start..last.range().end].to_owned();
    }
    node.children().filter(Node::is_text).filter_map(|text| text.text()).collect()
}
