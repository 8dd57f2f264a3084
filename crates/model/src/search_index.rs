//! What the search index holds of a failed event, and what of it answers a search.
//!
//! The index holds *tokens*: words of titles and errors, and ids. A word is found by any part of it, because the
//! distinct words are in a separate list, which is short. An id is found by its beginning, and a uuid also by its last
//! group: there are as many ids as events, and a list of them would be as long as the table.
//!
//! The first letter distinguishes tokens of what everyone may see (ids, titles) from those of what only some may
//! (errors), so that one index serves both.

use std::collections::BTreeSet;

use super::{
    error_text,
    search::{Search, Term},
    uuid,
};

/// Bytes of an error that are read: more than any consumer keeps of one.
const READ: usize = 64 << 10;
/// Bytes that are read of each message of an error.
const OF_MESSAGE: usize = 4_000;
/// The most different tokens of one event.
const TOKENS: usize = 200;
/// Characters of a word that are kept.
const WORD: usize = 40;
/// A word with digits is an id from this many characters on.
const ID: usize = 5;
/// The shortest beginning by which an id is searched for, in characters.
const BEGINNING: usize = 3;

/// A part of a text that can be searched for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Word(String),
    Id(String),
}

/// What the index holds of one failed event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexed {
    /// Its tokens, separated by blanks.
    pub tokens: String,
    /// The words among them: `true` for those of its error.
    pub words: BTreeSet<(bool, String)>,
}

/// Returns the first letter of tokens: those of errors (`said`), or those of ids and titles.
fn of(said: bool) -> char {
    if said { 's' } else { 'n' }
}

/// Returns the token of a word.
pub fn word_token(said: bool, word: &str) -> String {
    format!("{}w{}", of(said), ascii(word))
}

/// Returns the token of an id, or of its beginning.
pub fn id_token(said: bool, id: &str) -> String {
    format!("{}i{}", of(said), ascii(id))
}

/// Returns a text in ASCII letters and digits, so that no tokenizer splits it.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            letter if letter.is_ascii_alphanumeric() => out.push(letter.to_ascii_lowercase()),
            letter => out.push_str(&format!("z{:x}z", u32::from(letter))),
        }
    }
    out
}

/// Returns what the index holds of an event with these ids and this title, whose latest error is `error`.
pub fn indexed(names: &[&str], error: Option<&str>) -> Indexed {
    let mut all = BTreeSet::new();
    for name in names {
        pieces(name, &mut |piece| {
            all.insert((false, piece));
        });
    }
    for message in messages(error.unwrap_or_default()) {
        pieces(error_text::beginning(&message, OF_MESSAGE), &mut |piece| {
            if all.len() < TOKENS {
                all.insert((true, piece));
            }
        });
    }
    let mut found = Indexed::default();
    for (said, piece) in all {
        if !found.tokens.is_empty() {
            found.tokens.push(' ');
        }
        match piece {
            Piece::Id(id) => found.tokens.push_str(&id_token(said, &id)),
            Piece::Word(word) => {
                found.tokens.push_str(&word_token(said, &word));
                found.words.insert((said, word));
            }
        }
    }
    found
}

/// Returns what the exceptions of an error say, and their classes, without stacks.
fn messages(error: &str) -> Vec<String> {
    let read = error_text::parse_beginning(error, READ);
    let class = |class: &Option<String>| class.clone().unwrap_or_default();
    // The root cause first: it identifies the fault.
    read.causes.iter().rev().map(|cause| format!("{} {}", cause.message, class(&cause.class))).collect()
}

/// Splits a text into pieces.
fn pieces(text: &str, found: &mut impl FnMut(Piece)) {
    let bytes = text.as_bytes();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if !letter.is_alphanumeric() {
            continue;
        }
        if uuid::stands_at(bytes, at) {
            let id = text.get(at..at + uuid::LENGTH).unwrap_or_default();
            for id in [id, id.get(24..).unwrap_or_default()] {
                found(Piece::Id(without_hyphens(id)));
            }
            while letters.next_if(|(next, _)| *next < at + uuid::LENGTH).is_some() {}
            continue;
        }
        let mut end = at + letter.len_utf8();
        while let Some((next, letter)) = letters.next_if(|(_, letter)| letter.is_alphanumeric()) {
            end = next + letter.len_utf8();
        }
        found(piece(text.get(at..end).unwrap_or_default()));
    }
}

fn piece(word: &str) -> Piece {
    let word: String = word.to_lowercase().chars().take(WORD).collect();
    let is_id = word.chars().any(char::is_numeric) && word.chars().count() >= ID;
    if is_id { Piece::Id(word) } else { Piece::Word(word) }
}

fn without_hyphens(id: &str) -> String {
    id.chars().filter(|letter| *letter != '-').map(|letter| letter.to_ascii_lowercase()).collect()
}

/// What an event must have to match one piece of what was typed: any of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// An id that is exactly this.
    pub id: Option<String>,
    /// An id that begins with this.
    pub begins: Option<String>,
    /// A word that contains this.
    pub word: Option<String>,
}

/// Returns what an event must have to match a search, all of it. `None` if the index cannot answer, because a part of
/// what was typed is not a word.
pub fn needs(search: &Search) -> Option<Vec<Need>> {
    let mut all = Vec::new();
    for term in &search.terms {
        let of_term = of_term(term);
        if of_term.is_empty() {
            return None;
        }
        all.extend(of_term);
    }
    (!all.is_empty()).then_some(all)
}

fn of_term(term: &Term) -> Vec<Need> {
    let begins = |id: &str| Need { begins: Some(without_hyphens(id)), ..Need::default() };
    match term {
        Term::Word(text) if uuid::is_whole(text) => vec![Need { id: Some(without_hyphens(text)), ..Need::default() }],
        Term::Word(text) if begins_a_uuid(text) => vec![begins(text)],
        Term::Word(text) | Term::Phrase(text) => of_text(text),
        Term::Shortened(head, _) if term.shortened_uuid().is_some() => vec![begins(head)],
        Term::Shortened(head, tail) => of_text(head).into_iter().chain(of_text(tail)).collect(),
    }
}

/// Returns whether a text is more than the first group of a uuid, and not all of it.
fn begins_a_uuid(text: &str) -> bool {
    (9..uuid::LENGTH).contains(&text.len()) && uuid::fits(text.as_bytes(), 0)
}

fn of_text(text: &str) -> Vec<Need> {
    let mut needs = Vec::new();
    pieces(text, &mut |piece| {
        needs.push(match piece {
            // A whole uuid yields two pieces: itself and its last group.
            Piece::Id(id) if id.len() == 32 => Need { id: Some(id), ..Need::default() },
            Piece::Id(id) => Need { begins: Some(id), ..Need::default() },
            Piece::Word(word) => {
                let of_id = word.chars().any(char::is_numeric) || word.bytes().all(|byte| byte.is_ascii_hexdigit());
                let begins = (of_id && word.chars().count() >= BEGINNING).then(|| word.clone());
                Need { begins, word: Some(word), ..Need::default() }
            }
        });
    });
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "B7E352DA-77aa-4be1-9c40-90fe11d026c2";

    #[test]
    fn an_event_is_indexed_by_ids_title_and_what_its_error_says() {
        let error = "Failed: java.lang.RuntimeException: Post to odoo:8069 failed\n\tat org.bahmni.Foo.bar(Foo.java:17)\n\
                     Caused by: org.bahmni.NoPatient: Patient GAN203007 not found (417)\n\t... 3 more";
        let found = indexed(&["Encounter", &format!("tag:atomfeed.ict4h.org:{UUID}")], Some(error));
        let tokens: BTreeSet<&str> = found.tokens.split(' ').collect();
        for token in [
            "nwencounter",
            "nwtag",
            "nib7e352da77aa4be19c4090fe11d026c2",
            "ni90fe11d026c2",
            "swpatient",
            "sigan203007",
            "sw417",
            "sw8069",
            "swpost",
            "swnopatient",
        ] {
            assert!(tokens.contains(token), "{token}: {}", found.tokens);
        }
        assert!(!found.tokens.contains("foo") && !found.tokens.contains("sw17"), "no stacks: {}", found.tokens);
        assert!(found.words.contains(&(false, "encounter".into())) && found.words.contains(&(true, "patient".into())));
        assert!(!found.words.iter().any(|(_, word)| word.contains("203007")), "ids are in no list of words");
        assert_eq!(indexed(&[], None), Indexed::default());
    }

    #[test]
    fn every_token_is_one_word_of_ascii() {
        let found = indexed(&["प्रिया Ünal e\u{301}t"], Some("не найден пациент"));
        assert!(found.tokens.split(' ').all(|token| token.bytes().all(|byte| byte.is_ascii_alphanumeric())));
        assert!(found.words.contains(&(false, "ünal".into())) && found.words.contains(&(true, "пациент".into())));
        let much = (0..1000).map(|number| format!("w{number}x")).collect::<Vec<_>>().join(" ");
        assert_eq!(indexed(&["Title"], Some(&much)).tokens.split(' ').count(), TOKENS);
        let long = "x".repeat(10_000);
        assert_eq!(indexed(&[&long], None).tokens.len(), WORD + 2);
    }

    #[test]
    fn what_was_typed_says_what_an_event_must_have() {
        let id = |id: &str| Need { id: Some(id.into()), ..Need::default() };
        let begins = |id: &str| Need { begins: Some(id.into()), ..Need::default() };
        let word = |word: &str| Need { word: Some(word.into()), ..Need::default() };
        let either = |text: &str| Need { begins: Some(text.into()), word: Some(text.into()), ..Need::default() };
        let of = |typed: &str| needs(&Search::of(typed));
        let whole = "b7e352da77aa4be19c4090fe11d026c2";
        assert_eq!(of(UUID), Some(vec![id(whole)]));
        assert_eq!(of(&format!("tag:atomfeed.ict4h.org:{UUID}")), Some(vec![id(whole)]));
        assert_eq!(of("b7e352da-77aa"), Some(vec![begins("b7e352da77aa")]));
        assert_eq!(of("b7e352da…26c2"), Some(vec![begins("b7e352da")]));
        assert_eq!(of("b7e352da"), Some(vec![begins("b7e352da")]));
        assert_eq!(of("90FE11D026C2"), Some(vec![begins("90fe11d026c2")]));
        assert_eq!(of("Patient Id"), Some(vec![word("patient"), word("id")]));
        assert_eq!(of("\"Patient Id\" 417"), Some(vec![word("patient"), word("id"), either("417")]));
        assert_eq!(of("GAN203007"), Some(vec![begins("gan203007")]));
        assert_eq!(of("api/bahmni-saleorder"), Some(vec![word("api"), word("bahmni"), word("saleorder")]));
        assert_eq!(of("dead"), Some(vec![either("dead")]), "it may begin a uuid");
        assert_eq!(of("order-17…26"), Some(vec![word("order"), word("17"), word("26")]));
        assert_eq!((of("%"), of("patient % id"), of("")), (None, None, None));
        assert_eq!(of("/atomfeed-console/groups/3"), None, "a link to a page is no search");
    }
}
