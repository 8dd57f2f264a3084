//! Query strings: their pairs, the limits of what is read from them, and what is removed from a text that was typed or
//! pasted.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::{error_text::shortened, uuid};

/// The longest query string that is read, in bytes. A query that names every application of a hospital, with a place in
/// each and a search text, is a fraction of it.
pub const LONGEST_QUERY: usize = 16 << 10;

/// Characters of a text that are searched for. A database compares them with every character of every text, and no
/// database can be stopped within one row.
pub const SEARCHED: usize = 200;

/// The longest text that a search field accepts, in characters: people paste whole error texts. Only the first
/// [`SEARCHED`] are searched for.
pub const PASTED: usize = 1_000;

/// The longest name in a query, in characters: an application, a category, a person.
pub const LONGEST_NAME: usize = 200;

/// An invalid part of a list's URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{key}={value}: {reason}")]
pub struct BadQuery {
    pub key: String,
    pub value: String,
    pub reason: String,
}

/// Escaped in a query: everything except letters, digits and a few readable marks.
const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b':').remove(b'/').remove(b'~');

/// Returns the part of a typed or pasted text that is searched for: the first [`SEARCHED`] characters of its
/// [`needle`].
pub fn searched(text: &str) -> Cow<'_, str> {
    let needle = needle(text);
    match needle.char_indices().nth(SEARCHED) {
        None => needle,
        Some((end, _)) => Cow::Owned(needle[..end].to_owned()),
    }
}

/// Prefix of the ids of the Java library's events in markers and failed events, before the uuid of event_records.
pub const ENTRY_PREFIX: &str = "tag:atomfeed.ict4h.org:";

/// Prefixes that consumers and feeds write before a uuid. Whether an event has one depends on its writer.
const BEFORE_UUID: [&str; 3] = [ENTRY_PREFIX, "urn:uuid:", "uuid:"];

/// Removes what is copied along with a text: blanks around it, and around a uuid the brackets, quotes, and the prefix
/// that only some events have. A bare uuid is found in events with and without the prefix. Brings a uuid with other
/// dashes than hyphens, or with none, to its usual form.
pub fn needle(text: &str) -> Cow<'_, str> {
    match uuid::with_hyphens(text) {
        Cow::Borrowed(text) => {
            let inner = unwrapped(text);
            uuid::hyphenated(inner).map_or(Cow::Borrowed(inner), Cow::Owned)
        }
        Cow::Owned(text) => {
            let inner = unwrapped(&text);
            Cow::Owned(uuid::hyphenated(inner).unwrap_or_else(|| inner.to_owned()))
        }
    }
}

/// Like [`needle`], without changing what remains.
pub fn unwrapped(text: &str) -> &str {
    let text = bare(text);
    let mut inner = text;
    loop {
        if uuid::is_whole(inner) || uuid::is_without_hyphens(inner) {
            return inner;
        }
        let prefix = BEFORE_UUID
            .iter()
            .find(|prefix| inner.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)));
        let without = match prefix {
            Some(prefix) => inner.get(prefix.len()..),
            None => ["{}", "[]", "()", "<>", "\"\"", "''"].iter().find_map(|pair| {
                let (open, close) = pair.split_at(1);
                inner.strip_prefix(open)?.strip_suffix(close)
            }),
        };
        match without {
            Some(without) => inner = bare(without),
            None => return text,
        }
    }
}

/// Removes surrounding blanks, including invisible ones.
pub fn bare(text: &str) -> &str {
    text.trim_matches(|letter: char| {
        letter.is_whitespace() || matches!(letter, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}')
    })
}

/// Refuses a query string longer than [`LONGEST_QUERY`], before parsing it.
pub fn check_length(query: &str) -> Result<(), BadQuery> {
    if query.len() <= LONGEST_QUERY {
        return Ok(());
    }
    Err(BadQuery {
        key: "query".into(),
        value: shorten(query),
        reason: format!("it has {} bytes, and the longest that is read has {LONGEST_QUERY}", query.len()),
    })
}

/// Refuses a value of a query string that is too long for its key.
pub fn check_value(key: &str, value: &str) -> Result<(), BadQuery> {
    let (what, most) = match key {
        "q" | "find" => ("a text to search for", PASTED),
        "app" | "category" | "who" => ("a name", LONGEST_NAME),
        _ => return Ok(()),
    };
    if value.chars().nth(most).is_none() {
        return Ok(());
    }
    Err(BadQuery {
        key: key.to_owned(),
        value: shorten(value),
        reason: format!("{what} has at most {most} characters"),
    })
}

/// Returns the decoded key-value pairs of a query string; `+` is a blank.
pub fn pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query.trim_start_matches('?').split('&').filter(|part| !part.is_empty()).map(move |part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(key), decode(value))
    })
}

/// Appends `key=value` to a query string, encoded.
pub fn push(query: &mut String, key: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.extend(utf8_percent_encode(key, QUERY));
    query.push('=');
    query.extend(utf8_percent_encode(value, QUERY));
}

pub fn shorten(text: &str) -> String {
    shortened(text, 80)
}
