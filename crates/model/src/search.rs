//! Interprets what was typed into a search box: an id in whatever form it was copied, a row by its name, a link of the
//! console, or words that must all be found.
//!
//! Pure functions. The header's search and a list's text filter interpret a text alike.

use std::ops::Range;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::{
    RowId,
    event_names::title_of_kind,
    payload::record_uuid,
    query::{BadQuery, ENTRY_PREFIX, SEARCHED, bare, check_length, check_value, needle, pairs, push, unwrapped},
    uuid,
};

/// The most terms that are searched for together: each one is searched for in every text.
pub const MOST_TERMS: usize = 8;

/// Characters that a quote shows at most before and after a match. The match must be seen in a narrow column.
const QUOTED: (usize, usize) = (30, 60);

/// The longest word that an id shortened in the middle can stand for, in bytes.
const LONGEST_ID: usize = 200;

/// The query of a search page, kept in the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchQuery {
    /// What was typed.
    pub typed: String,
    /// The list of present failed events starts below this number of the ledger.
    pub now: Option<i64>,
    /// The same for those deleted from their table.
    pub past: Option<i64>,
    /// The number under which the console keeps what was typed, if an address must not contain it; then `typed` is empty
    /// in the address.
    #[serde(default)]
    pub kept: Option<String>,
}

/// The longest number of a kept search, in characters.
const LONGEST_KEPT: usize = 64;

impl SearchQuery {
    /// Reads a query string. Ignores an invalid place.
    ///
    /// # Errors
    /// Fails if the query or a value in it is too long.
    pub fn parse(query: &str) -> Result<Self, BadQuery> {
        check_length(query)?;
        let mut read = Self::default();
        for (key, value) in pairs(query) {
            check_value(&key, &value)?;
            match key.as_str() {
                "q" => bare(&value).clone_into(&mut read.typed),
                "now" => read.now = value.parse().ok(),
                "past" => read.past = value.parse().ok(),
                "kept" if value.len() <= LONGEST_KEPT => read.kept = Some(value.to_string()),
                _ => {}
            }
        }
        Ok(read)
    }

    pub fn to_query(&self) -> String {
        let mut query = String::new();
        match &self.kept {
            Some(kept) => push(&mut query, "kept", kept),
            None if !self.typed.is_empty() => push(&mut query, "q", &self.typed),
            None => {}
        }
        for (key, place) in [("now", self.now), ("past", self.past)] {
            if let Some(place) = place {
                push(&mut query, key, &place.to_string());
            }
        }
        query
    }
}

/// What was typed, interpreted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    pub kind: SearchKind,
    /// Terms that must all be found; empty if only the row or the page is looked up.
    pub terms: Vec<Term>,
    /// What reads like the name of a row: `Odoo 1125`. Only the console knows whether there is such an application.
    pub row: Option<NamedRow>,
    /// Whether a part of what was typed is not searched for.
    pub cut: bool,
}

/// The kind of what was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SearchKind {
    /// Nothing, or only blanks.
    #[default]
    Nothing,
    /// A whole uuid: of an event, or of a record.
    Uuid,
    /// A whole event id that is not a uuid.
    EventId,
    /// An id shortened in the middle.
    Shortened,
    /// A link of the console.
    Link(Link),
    /// Words and phrases.
    Words,
}

/// A term that must be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Term {
    /// A word, or a part of one.
    Word(String),
    /// Consecutive words.
    Phrase(String),
    /// The beginning and the end of an id whose middle was left out.
    Shortened(String, String),
}

/// An application as the user calls it, and the id of a row in its table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedRow {
    /// Its name or its key.
    pub app: String,
    pub id: RowId,
}

/// The target page of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The path before the page: the base path, if the link is to this console.
    pub base: String,
    pub to: Linked,
}

/// What the page shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Linked {
    /// A failed event; see [`Search::row`].
    Event,
    /// The history of a failed event, by the ledger's number.
    Life(i64),
    /// A group of failed events.
    Group(i64),
    /// An operation.
    Operation(i64),
}

impl Search {
    /// Interprets what was typed.
    pub fn of(typed: &str) -> Self {
        let typed = bare(typed);
        if typed.is_empty() {
            return Self::default();
        }
        if let Some(called) = as_called(typed) {
            return Self::of(&called);
        }
        let hyphened = uuid::with_hyphens(typed);
        let typed: &str = &hyphened;
        let id = needle(typed);
        if uuid::is_whole(&id) {
            return Self::one(SearchKind::Uuid, Term::Word(id.into_owned()));
        }
        if !typed.contains(char::is_whitespace) {
            if let Some(found) = Self::of_link(typed) {
                return found;
            }
            // An address that contains the uuid of a record: the uuid identifies it.
            if typed.contains('/')
                && let Some(id) = record_uuid(typed)
            {
                return Self::one(SearchKind::Uuid, Term::Word(id));
            }
            if let Some(id) = after_tag(typed) {
                return Self::one(SearchKind::EventId, Term::Word(id.to_owned()));
            }
            if let Some(Term::Shortened(head, tail)) = word(typed) {
                return Self::one(SearchKind::Shortened, Term::Shortened(head, tail));
            }
        }
        let (terms, cut) = terms(typed);
        let row = named_row(typed).or_else(|| named_row(bare(typed.trim_matches(QUOTES))));
        Self { kind: SearchKind::Words, terms, row, cut }
    }

    fn one(kind: SearchKind, term: Term) -> Self {
        Self { kind, terms: vec![term], row: None, cut: false }
    }

    /// Interprets a link of the console, or one of the same form.
    fn of_link(typed: &str) -> Option<Self> {
        let (path, query) = path_of(typed)?;
        let at =
            |page: &str| path.rfind(page).map(|at| path.split_at(at)).map(|(base, rest)| (base, &rest[page.len()..]));
        let kind = |base: &str, to| SearchKind::Link(Link { base: base.to_owned(), to });
        if let Some((base, rest)) = at("/failed-events/") {
            let (app, id) = rest.trim_end_matches('/').split_once('/')?;
            // Links to the event's downloads have more parts.
            let id = id.split('/').next()?.parse().ok()?;
            let app = percent_decode_str(app).decode_utf8_lossy().into_owned();
            let row = Some(NamedRow { app, id });
            return Some(Self { kind: kind(base, Linked::Event), row, ..Self::default() });
        }
        if path.ends_with("/failed-events") || path.ends_with("/search") || path.ends_with("/history") {
            // A link to a search is interpreted as that search.
            let asked = pairs(query).find(|(key, value)| matches!(key.as_str(), "q" | "find") && !value.is_empty())?;
            let again = asked.1.contains("://") || asked.1.starts_with('/');
            return (!again).then(|| Self::of(&asked.1));
        }
        type Page = (&'static str, fn(i64) -> Linked);
        let pages: [Page; 3] =
            [("/history/", Linked::Life), ("/groups/", Linked::Group), ("/operations/", Linked::Operation)];
        pages.into_iter().find_map(|(page, to)| {
            let (base, number) = at(page)?;
            let number = number.trim_end_matches('/').parse().ok()?;
            Some(Self { kind: kind(base, to(number)), ..Self::default() })
        })
    }

    /// Like [`Search::of`], for a list, which has rows and no other pages: a link to another page is words.
    pub fn in_list(typed: &str) -> Self {
        let search = Self::of(typed);
        match search.kind {
            SearchKind::Link(_) if search.row.is_none() => {
                let (terms, cut) = terms(bare(typed));
                Self { kind: SearchKind::Words, terms, row: None, cut }
            }
            _ => search,
        }
    }

    /// Returns whether a text, or several that belong together, contain all terms.
    pub fn is_in(&self, texts: &[&str]) -> bool {
        !self.terms.is_empty() && self.terms.iter().all(|term| texts.iter().any(|text| term.is_in(text)))
    }

    /// Splits a text into pieces, each with whether it matches a term and is to be marked.
    pub fn marked(&self, text: &str) -> Vec<(String, bool)> {
        let mut hits: Vec<Range<usize>> = self.terms.iter().flat_map(|term| term.hits(text)).collect();
        hits.sort_by_key(|hit| (hit.start, std::cmp::Reverse(hit.end)));
        let (mut pieces, mut at) = (Vec::new(), 0);
        let mut push = |range: Range<usize>, hit| {
            if let Some(piece) = text.get(range).filter(|piece| !piece.is_empty()) {
                pieces.push((piece.to_owned(), hit));
            }
        };
        for hit in hits {
            let start = hit.start.max(at);
            if start < hit.end {
                push(at..start, false);
                push(start..hit.end, true);
                at = hit.end;
            }
        }
        push(at..text.len(), false);
        pieces
    }

    /// Returns the part of a text around the first match that the shown texts do not show. `None` if they show every
    /// term that the text contains.
    pub fn quote(&self, shown: &[&str], text: &str) -> Option<String> {
        let hidden = |term: &&Term| !shown.iter().any(|shown| term.is_in(shown)) && term.is_in(text);
        let term = self.terms.iter().find(hidden)?;
        let line = text.lines().find(|line| term.is_in(line)).unwrap_or(text);
        let hit = term.hits(line).next()?;
        let (before, rest) = line.split_at_checked(hit.start)?;
        let (hit, after) = rest.split_at_checked(hit.end - hit.start)?;
        let skipped = before.chars().count().saturating_sub(QUOTED.0);
        let begins: String = before.chars().skip(skipped).collect();
        // A cut word is left out.
        let whole =
            if skipped > 0 { begins.split_once(' ').map_or(begins.as_str(), |(_, rest)| rest) } else { &begins };
        let ends: String = after.chars().take(QUOTED.1).collect();
        let (open, close) = (if skipped > 0 { "…" } else { "" }, if ends.len() < after.len() { "…" } else { "" });
        Some(format!("{open}{}{hit}{ends}{close}", whole.trim_start()))
    }
}

impl Term {
    /// Returns the text shown for it.
    pub fn in_words(&self) -> String {
        match self {
            Term::Word(text) => text.clone(),
            Term::Phrase(text) => format!("“{text}”"),
            Term::Shortened(head, tail) => format!("{head}…{tail}"),
        }
    }

    /// Returns whether a text contains it, ignoring case.
    pub fn is_in(&self, text: &str) -> bool {
        self.hits(text).next().is_some()
    }

    /// Returns where a text contains it.
    fn hits<'a>(&'a self, text: &'a str) -> Box<dyn Iterator<Item = Range<usize>> + 'a> {
        match self {
            Term::Word(wanted) | Term::Phrase(wanted) => Box::new(all_of(text, wanted)),
            Term::Shortened(head, tail) => Box::new(all_of(text, head).filter_map(move |hit| {
                let rest = text.get(hit.end..)?;
                let ends = rest.find(|letter: char| !is_of_id(letter)).unwrap_or(rest.len()).min(LONGEST_ID);
                let word = rest.get(..ends)?.trim_end_matches(['.', ':']);
                let from = word.len().checked_sub(tail.len())?;
                let found = word.get(from..)?.eq_ignore_ascii_case(tail);
                found.then_some(hit.start..hit.end + word.len())
            })),
        }
    }

    /// Returns the uuid that a shortened id stands for, each omitted digit as `None`. `None` if it is not a uuid's.
    pub fn shortened_uuid(&self) -> Option<Vec<Option<u8>>> {
        let Term::Shortened(head, tail) = self else { return None };
        let fits = |text: &str, from| uuid::fits(text.as_bytes(), from);
        let left_out = uuid::LENGTH.checked_sub(head.len() + tail.len())?;
        // The head must be at least half of a uuid's first part: less could be any word.
        (head.len() >= 4 && fits(head, 0) && fits(tail, uuid::LENGTH - tail.len())).then(|| {
            let middle = (head.len()..head.len() + left_out).map(|at| uuid::is_hyphen(at).then_some(b'-'));
            head.bytes().map(Some).chain(middle).chain(tail.bytes().map(Some)).collect()
        })
    }
}

/// Returns where a text contains another one, ignoring case.
fn all_of<'a>(text: &'a str, wanted: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let starts = text.get(from..)?.char_indices();
        let hit =
            starts.map(|(at, _)| from + at).find_map(|at| Some(at..at + begins_with(text.get(at..)?, wanted)?))?;
        from = hit.end;
        Some(hit)
    })
}

/// Returns the length of the beginning of a text that equals `wanted`, ignoring case.
fn begins_with(text: &str, wanted: &str) -> Option<usize> {
    let mut letters = text.char_indices();
    let mut length = 0;
    let mut any = false;
    for letter in wanted.chars() {
        let (at, found) = letters.next()?;
        if !alike(found, letter) {
            return None;
        }
        (length, any) = (at + found.len_utf8(), true);
    }
    any.then_some(length)
}

/// Returns whether two letters are the same, ignoring case and how quotation marks and apostrophes are typeset.
fn alike(one: char, other: char) -> bool {
    let both = |marks: &[char]| marks.contains(&one) && marks.contains(&other);
    one == other || both(&QUOTES) || both(&APOSTROPHES) || one.to_lowercase().eq(other.to_lowercase())
}

/// Returns whether a letter can be typeset differently in the text that is searched.
pub fn is_mark(letter: char) -> bool {
    QUOTES.contains(&letter) || APOSTROPHES.contains(&letter)
}

fn is_of_id(letter: char) -> bool {
    letter.is_alphanumeric() || "-_.:".contains(letter)
}

/// Returns an event id without the prefix of the Java library.
fn after_tag(text: &str) -> Option<&str> {
    let start = text.get(..ENTRY_PREFIX.len())?;
    let id = text.get(ENTRY_PREFIX.len()..)?;
    (start.eq_ignore_ascii_case(ENTRY_PREFIX) && !id.is_empty()).then_some(id)
}

/// Returns path and query of a link, with a host or without.
fn path_of(typed: &str) -> Option<(&str, &str)> {
    let link = typed.trim_matches(|letter| "<>()[]\"'".contains(letter));
    let path = match link.split_once("://") {
        Some(("http" | "https", rest)) => rest.get(rest.find('/')?..)?,
        Some(_) => return None,
        None => link,
    };
    let path = path.split('#').next()?;
    path.starts_with('/').then(|| path.split_once('?').unwrap_or((path, "")))
}

/// Returns what identifies an event in a name that the console's own pages show: the id in `Lab result 3653b294…e854 →
/// OpenMRS`, `Odoo 1125` for `row 1125 of Odoo`, and the title that is shown as `Lab result`. `None` for anything else.
fn as_called(typed: &str) -> Option<String> {
    if let Some(title) = title_of_kind(typed) {
        return Some(title.to_owned());
    }
    let row = typed.split_once(' ').filter(|(word, _)| word.eq_ignore_ascii_case("row"));
    if let Some((id, app)) = row.and_then(|(_, rest)| rest.split_once(" of ")) {
        return id.trim().parse::<RowId>().ok().map(|id| format!("{} {id}", app.trim()));
    }
    let (name, arrow) = typed.split_once('→').map_or((typed, false), |(name, _)| (name, true));
    let (kind, id) = name.trim().rsplit_once(char::is_whitespace)?;
    let words = kind.split_whitespace().all(|word| word.chars().all(char::is_alphabetic));
    let shortened = matches!(word(id), Some(Term::Shortened(..)));
    let beginning = title_of_kind(kind.trim()).is_some() && id.chars().all(|digit| digit.is_ascii_hexdigit());
    (words && (arrow || shortened || beginning)).then(|| id.to_owned())
}

/// Characters around a quoted part.
const QUOTES: [char; 6] = ['"', '“', '”', '„', '«', '»'];
/// Apostrophes and single quotes.
const APOSTROPHES: [char; 6] = ['\'', '’', '‘', 'ʼ', '`', '´'];

/// Parses `Odoo 1125`, `PACS #56`, `odoo:1125`.
fn named_row(typed: &str) -> Option<NamedRow> {
    let digits = typed.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (name, id) = typed.split_at(typed.len() - digits);
    let app = name.trim_end().trim_end_matches(['#', ':', '/']).trim_end();
    let apart = app.len() < name.len();
    let named = app.chars().next().is_some_and(char::is_alphabetic) && app.split_whitespace().count() <= 4;
    (apart && named).then(|| Some(NamedRow { app: app.to_owned(), id: id.parse().ok()? }))?
}

/// Returns the words and phrases of what was typed, and whether there are more than are searched for.
fn terms(typed: &str) -> (Vec<Term>, bool) {
    let end = typed.char_indices().nth(SEARCHED).map(|(end, _)| end);
    let text = typed.get(..end.unwrap_or(typed.len())).unwrap_or(typed);
    let mut found: Vec<Term> = Vec::new();
    // Quoted parts are at the odd places.
    for (place, part) in text.split(QUOTES).enumerate() {
        if place % 2 == 1 {
            let phrase = bare(part);
            let whole = phrase.contains(char::is_whitespace);
            let term = if whole { Some(Term::Phrase(phrase.to_owned())) } else { word(phrase) };
            found.extend(term);
        } else {
            found.extend(part.split_whitespace().filter_map(word));
        }
    }
    if found.is_empty() {
        // Only punctuation, but the user searches for it.
        return (vec![Term::Word(text.to_owned())], end.is_some());
    }
    let mut known = std::collections::HashSet::new();
    found.retain(|term| known.insert(term.in_words().to_lowercase()));
    let cut = end.is_some() || found.len() > MOST_TERMS;
    // Long words are the most specific.
    let mut longest: Vec<usize> = (0..found.len()).collect();
    longest.sort_by_key(|place| std::cmp::Reverse(found.get(*place).map_or(0, |term| term.in_words().chars().count())));
    longest.truncate(MOST_TERMS);
    let mut place = 0..;
    found.retain(|_| place.next().is_some_and(|place| longest.contains(&place)));
    (found, cut)
}

/// Returns the term of a word, without marks copied along with it from a sentence. `None` if nothing remains.
fn word(text: &str) -> Option<Term> {
    let bare = text.trim_start_matches(|letter| "()[]{}<>,;".contains(letter) || is_mark(letter));
    let bare = bare.trim_end_matches(|letter| "()[]{}<>,;.:!?".contains(letter) || is_mark(letter));
    // Among other words, 32 digits stay unchanged: in an error text they can be a checksum or the id of a trace.
    let inner = unwrapped(if bare.is_empty() { text } else { bare });
    let inner = after_tag(inner).unwrap_or(inner);
    let split = inner.split_once('…').or_else(|| inner.split_once("..."));
    match split {
        None => (!inner.is_empty()).then(|| Term::Word(inner.to_owned())),
        Some((head, tail)) => {
            let tail = tail.trim_start_matches('.');
            match (head.is_empty(), tail.is_empty()) {
                (true, true) => None,
                (false, true) => word(head),
                (true, false) => word(tail),
                (false, false) => Some(Term::Shortened(head.to_owned(), tail.to_owned())),
            }
        }
    }
}

#[cfg(test)]
mod tests;
