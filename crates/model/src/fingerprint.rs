//! Identifies the fault of an error text, so that three thousand failed events become three problems.
//!
//! A fingerprint is one sentence: what the root cause said, with `…` for everything that changes from one occurrence of
//! a fault to the next (uuids, numbers, order numbers, names of patients and tests). What distinguishes two faults
//! remains: HTTP status codes, hosts with their ports, names of settings and fields of code.
//!
//! The same fault reads differently in `failed_events` (with the page's address in front, cut at 4000 characters) and
//! in the retry log (without), so the outer form does not count, and a root cause that was cut off is taken from an
//! enclosing exception that says the same, or completed from the sentences that the consumers are known to write.
//!
//! Pure functions, linear in the text, that never fail. [`VERSION`] increases when sentences get other fingerprints; a
//! fingerprint can be fingerprinted again ([`of`] leaves its own results unchanged), which is how notes follow to a
//! newer version.

use super::{
    error_text::{self, ErrorText, beginning, is_class, visible},
    uuid,
};

/// The version of the rules below.
pub const VERSION: u32 = 1;

/// The fingerprint of a text with nothing to read.
pub const NO_TEXT: &str = "No error text";

/// The most that is read of a text, in bytes.
const LOOKED_AT: usize = 64 * 1024;
/// The longest fingerprint, in characters.
const CHARS: usize = 200;
/// The longest title, in characters.
const TITLE_CHARS: usize = 140;

/// A fault, as far as an error text identifies it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Fingerprint {
    /// The version of the rules that made it.
    pub version: u32,
    /// The fault in one sentence, `…` for what changes; at most 200 characters. The same for all texts of one fault.
    pub text: String,
}

impl Fingerprint {
    /// Returns what people read: the sentence without the HTTP phrases around it.
    pub fn title(&self) -> String {
        title(&self.text)
    }
}

/// Returns the title of a fingerprint's text.
pub fn title(text: &str) -> String {
    let mut said = text;
    let mut status = String::new();
    if let Some((around, inner)) = text.rsplit_once("Error message: ")
        && !inner.trim().is_empty()
    {
        said = inner;
        let code = around.rsplit_once("status: ").map(|(_, rest)| rest.chars().take(3).collect::<String>());
        if let Some(code) = code.filter(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit())) {
            status = format!(" ({code})");
        }
    }
    for phrase in PHRASES {
        said = said.strip_prefix(phrase).filter(|rest| !rest.trim().is_empty()).unwrap_or(said);
    }
    let room = TITLE_CHARS.saturating_sub(status.len());
    match said.char_indices().nth(room) {
        Some((end, _)) => format!("{}…{status}", said.get(..end).unwrap_or(said).trim_end()),
        None => format!("{said}{status}"),
    }
}

/// Phrases that add nothing to the status they name.
const PHRASES: &[&str] = &["Expectation Failed: ", "Bad Request: ", "Internal Server Error: ", "Not Found: "];

/// Returns the fingerprint of an error text: of the latest error if there are several.
pub fn of(text: Option<&str>) -> Fingerprint {
    let error = error_text::parse_beginning(text.unwrap_or_default(), LOOKED_AT);
    let said = root(&error).or_else(|| error_text::named_class(&error.causes).map(|named| canonical(&named, false)));
    let said = said.map(|said| visible(&said)).filter(|said| !said.trim().is_empty());
    Fingerprint { version: VERSION, text: said.map_or_else(|| NO_TEXT.to_owned(), |said| cut(said.trim())) }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => text.get(..end).unwrap_or(text).trim_end().to_owned(),
        None => text.to_owned(),
    }
}

/// Returns what the root cause said, as fully as the enclosing exceptions say the same.
fn root(error: &ErrorText) -> Option<String> {
    let last = error.causes.len().checked_sub(1)?;
    // Java prints a stack behind every message. A text that was cut and has none ended in the message, even at the end
    // of a line. One that was not cut is complete without it: not every consumer prints stacks.
    let open = error.cut && error.causes.get(last).is_some_and(|cause| cause.frames.is_empty() && cause.more.is_none());
    let mut told: Vec<String> = Vec::new();
    for (place, cause) in error.causes.iter().enumerate() {
        if !(open && place == last) {
            told.extend(Some(spoken(&cause.message, false)).filter(|said| !said.is_empty()));
            continue;
        }
        // What an enclosing exception says in full needs no guessing.
        let around = error.causes.get(..last).unwrap_or_default();
        let partial = error_text::without_classes(cause.message.trim());
        if last == 0
            || !around.iter().any(|outer| error_text::without_classes(outer.message.trim()).starts_with(partial))
        {
            let said = complete(spoken(&cause.message, true), &told);
            return Some(said).filter(|said| !said.is_empty());
        }
    }
    let said = told.pop()?;
    Some(fullest(said, &told))
}

/// Completes a root's sentence that may end too early: from what an enclosing exception says in full, or what a
/// consumer is known to write, or else returns only the outermost sentence: half a sentence would be cut elsewhere in
/// the next text.
fn complete(partial: String, told: &[String]) -> String {
    if let Some(whole) = told.iter().rev().find(|whole| !partial.is_empty() && whole.starts_with(&partial)) {
        return fullest(whole.clone(), told);
    }
    let partial = if partial.ends_with('…') { partial.trim_end_matches('…').to_owned() } else { partial };
    let mut known = KNOWN.iter().filter(|known| partial.len() >= telling(known) && known.starts_with(&partial));
    if let (Some(whole), None) = (known.next(), known.next()) {
        return fullest((*whole).to_owned(), told);
    }
    match told.first() {
        Some(outermost) => outermost.clone(),
        None => partial,
    }
}

/// Returns how much of a known sentence must be there to be sure of the rest, in bytes. Odoo connect begins many with
/// the same words.
fn telling(known: &str) -> usize {
    if known.starts_with("Error found in ") { known.len().saturating_sub(15) } else { 12 }
}

/// Returns the fullest enclosing sentence that ends with `said`; if that says very little ("Connection refused"), with
/// the outermost sentence, which says what was tried.
fn fullest(said: String, told: &[String]) -> String {
    let mut chosen = said;
    for outer in told.iter().rev() {
        if outer.len() > chosen.len() && outer.ends_with(&chosen) {
            chosen.clone_from(outer);
        }
    }
    match told.first() {
        Some(outermost) if chosen.split_whitespace().count() <= 3 && !outermost.contains(&chosen) => {
            format!("{outermost}: {chosen}")
        }
        _ => chosen,
    }
}

/// Returns what a message says in one sentence, with `…` for what changes. Empty if it says nothing but its class.
fn spoken(message: &str, open: bool) -> String {
    let message = message.trim();
    if message == "null" || is_class(message) {
        return String::new();
    }
    let python;
    let plain = if message.contains("Traceback (most recent call last)") {
        python = error_text::last_of_python(message);
        python.as_str()
    } else {
        message
    };
    let mut said = error_text::without_classes(plain).trim();
    if is_class(said) {
        return String::new();
    }
    // Odoo 10 raises its own kind of exception, `Warning`.
    said = said.strip_prefix("Warning: ").filter(|rest| !rest.trim().is_empty()).unwrap_or(said);
    // Java 8 says `Connection refused (Connection refused)`.
    if let Some((once, again)) = said.split_once(" (")
        && again.strip_suffix(')') == Some(once)
    {
        said = once;
    }
    let line = canonical(&error_text::one_line(said), open);
    match acknowledgement(message) {
        Some(answer) => format!("{line}: {answer}"),
        None => line,
    }
}

/// Returns a modality's answer, from the HL7 message that pacs-integration prints behind its own: the code and the text
/// of the segment MSA. The identifier between them changes every time.
fn acknowledgement(message: &str) -> Option<String> {
    let at = message.find("MSA|").filter(|at| {
        let before = message.get(..*at).and_then(|before| before.chars().next_back());
        before.is_none_or(|before| before.is_whitespace())
    })?;
    let segment = message.get(at..)?.split(['\r', '\n']).next()?;
    let mut fields = segment.split('|').skip(1);
    let code = fields.next()?;
    let said = canonical(beginning(fields.nth(1).unwrap_or_default(), 100), false);
    let answer = format!("{} {said}", beginning(code, 4)).trim().to_owned();
    (!answer.is_empty()).then_some(answer)
}

/// Pairs of texts between which consumers write, without quotes, what changes; it is replaced. An empty first text
/// reaches back to the beginning, an empty second one to the end.
const CHANGING: &[(&str, &str)] = &[
    ("", " test doesn't exist"),
    ("", " panel doesn't exist"),
    ("Patient with uuid '", "' not found in ELIS"),
    ("not available for the patient: ", ""),
    ("Error while saving panel - ", ""),
    ("Error while saving test - ", ""),
    ("Previous order is not found", ""),
    ("Missing concept source for order", ""),
    ("location cannot be null for order: ", ""),
    ("Can not process order. Order type:", " - should be matched to a shop"),
    ("The login user is : ", ", no session cookie set."),
    ("Two factor authentication is enabled", ""),
    ("trying to process Saleable Event ", ""),
    ("Unrecognized field \"", ""),
    // A login page. Any other character is another fault.
    ("Unexpected character ('<' (code 60))", ""),
    ("Post call to /api/bahmni-", " failed"),
    ("Concept for lab test'", "' not found in openmrs"),
];

/// Whole sentences that the consumers write, for texts that were cut within them.
const KNOWN: &[&str] = &[
    "Patient with uuid '…' not found in ELIS",
    "Test '…' was not setup properly. No external reference for Test with uuid '…' found in external_reference table",
    "Panel '…' was not setup properly. No external reference for Panel with uuid '…' found in external_reference table",
    "Preferred or Primary identifier is not available for the patient: …",
    "no property found for 'defaultOrganizationName' in site_information table",
    "Error found in result. Response status: 417. Error message: Expectation Failed: Patient Id not found in Odoo",
    "Error found in response. Response status: 200. Error message: Odoo Server Error",
    "Failed to login. The login user is : …, no session cookie set.",
    "Did not observe any item or terminal signal within …ms in 'flatMap' (and no fallback has been configured)",
    "Previous order id does not exist in DB. This can be because of previous failed events",
    "Can not process order. Order type:… - should be matched to a shop",
    "Error occurred while trying to process Saleable Event …",
    "Failed to fetch previous drug order",
    "Unable to create HL7 message. Missing concept source for order…",
    "Unable to Cancel the Order. Previous order is not found…",
    "Encounter location cannot be null for order: …",
    "Concept for lab test'…' not found in openmrs",
    "could not read accession data",
    "Could not authenticate with OpenMRS",
    "Two factor authentication is enabled…",
];

/// Returns a sentence with `…` for everything that changes. `open`: it may end too early.
fn canonical(sentence: &str, open: bool) -> String {
    for (before, behind) in CHANGING {
        if let Some(said) = replaced(sentence, before, behind, open) {
            return said;
        }
    }
    masked(sentence)
}

fn replaced(sentence: &str, before: &str, behind: &str, open: bool) -> Option<String> {
    let begin = sentence.find(before)?;
    let value = begin + before.len();
    let rest = sentence.get(value..)?;
    let end = match rest.find(behind) {
        Some(end) if behind.is_empty() => end + rest.len(),
        Some(end) => end,
        None if open && !before.is_empty() => rest.len(),
        None => return None,
    };
    let tail = rest.get(end + behind.len()..).unwrap_or("");
    let head = masked(sentence.get(..begin)?);
    Some(format!("{head}{before}…{behind}{}", masked(tail)))
}

/// Replaces uuids, numbers and quoted values.
fn masked(sentence: &str) -> String {
    let mut out = String::with_capacity(sentence.len());
    let mut at = 0;
    while let Some(rest) = sentence.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(length) = quoted(&out, rest) {
            let inner = rest.get(1..length - 1).unwrap_or("");
            out.push('\'');
            out.push_str(if is_code(inner, &out) { inner } else { "…" });
            out.push('\'');
            at += length;
            continue;
        }
        let length = word_length(rest);
        if length == 0 {
            let next = rest.chars().next().unwrap_or(' ');
            out.push(next);
            at += next.len_utf8();
            continue;
        }
        let word = word_masked(rest.get(..length).unwrap_or(rest), &out);
        out.push_str(&word);
        at += length;
    }
    out
}

/// Returns the length of the word that a text begins with. The comma of `90,211` does not end one.
fn word_length(text: &str) -> usize {
    let digit = |at: Option<usize>| at.and_then(|at| text.as_bytes().get(at)).is_some_and(u8::is_ascii_digit);
    let ends = |(at, character): &(usize, char)| {
        let inside = *character == ',' && digit(at.checked_sub(1)) && digit(Some(at + 1));
        ends_word(*character) && !inside
    };
    text.char_indices().find(ends).map_or(text.len(), |(at, _)| at)
}

fn ends_word(character: char) -> bool {
    character.is_whitespace() || "()[]{}<>,;=\"'|".contains(character)
}

/// Returns the length of the quoted value that a text begins with, quotes included. An apostrophe within a word does
/// not open one, and one within a name (`O'Brien`) does not close it.
fn quoted(before: &str, text: &str) -> Option<usize> {
    let inner = beginning(text.strip_prefix('\'')?, 120);
    let after_letter = before.ends_with(char::is_alphanumeric);
    let word: &str = inner.split(|character: char| !character.is_alphabetic()).next().unwrap_or("");
    if after_letter
        && matches!(word, "t" | "s" | "re" | "ll" | "ve" | "d" | "m")
        && !inner.starts_with(&format!("{word}'"))
    {
        return None;
    }
    inner.match_indices('\'').map(|(end, _)| end).find_map(|end| {
        let next = inner.get(end + 1..).and_then(|rest| rest.chars().next());
        next.is_none_or(|next| !next.is_alphanumeric()).then_some(end + 2)
    })
}

/// Returns whether a quoted value is a name in code (`defaultOrganizationName`, `site_id`) rather than a person's data.
fn is_code(value: &str, before: &str) -> bool {
    let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let of_python = ["KeyError: '", "has no attribute '"].iter().any(|said| before.ends_with(said));
    let inner = value.bytes().skip(1).any(|byte| byte.is_ascii_uppercase() || byte == b'_');
    plain && (of_python || (value.starts_with(|first: char| first.is_ascii_lowercase()) && inner))
}

/// Returns a word with its uuids and numbers replaced; `before` is what was written so far.
fn word_masked(word: &str, before: &str) -> String {
    if !word.bytes().any(|byte| byte.is_ascii_digit()) {
        // The longest words are data too: identifiers of letters only, encoded texts.
        return if word.len() > 80 { "…".to_owned() } else { word.to_owned() };
    }
    if is_status(word, before) || STANDARDS.contains(&word) {
        return word.to_owned();
    }
    if let Some((address, path)) = host(word, before) {
        return format!("{address}{}", digits_masked(path));
    }
    digits_masked(word)
}

/// Names with a digit that are not anyone's data.
const STANDARDS: &[&str] = &["HL7", "UTF-8", "UTF8", "ISO-8859-1", "SHA-256", "MD5", "base64"];

/// Returns whether a word is an HTTP status, by the text before it or by being the first word of the sentence.
fn is_status(word: &str, before: &str) -> bool {
    let bare = word.trim_end_matches(['.', ':', ',']);
    let shaped = bare.len() == 3 && bare.bytes().all(|byte| byte.is_ascii_digit()) && ("100".."600").contains(&bare);
    let words = ["code of", "code:", "code", "status:", "status", "HTTP", "HTTP/1.1", "HTTP/1.0"];
    let said = before.trim_end();
    shaped && (said.is_empty() || words.iter().any(|word| said.ends_with(word)))
}

/// Returns the system that a word names, and the rest of the word: `http://openmrs:8080` and `/openmrs/ws/36`,
/// `odoo:8069` and nothing. A port distinguishes systems as a host's name does.
fn host<'a>(word: &'a str, before: &str) -> Option<(String, &'a str)> {
    let (scheme, rest) = match word.find("://") {
        Some(at) => word.split_at(at + 3),
        None => ("", word),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (name, port) = match authority.trim_end_matches(['.', ':']).split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (authority, None),
    };
    let trailing = authority.get(authority.trim_end_matches(['.', ':']).len()..).unwrap_or("");
    let said = before.trim_end();
    let expected = !scheme.is_empty()
        || (port.is_some()
            && (said.is_empty()
                || [" to", " from", " at", " host", " on"].iter().any(|w| said.ends_with(w))
                || said == "Connect to"));
    let port_shaped =
        port.is_none_or(|port| (2..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()));
    let name_shaped = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
        && ![".java", ".py", ".xml", ".js", ".kt", ".sql"].iter().any(|end| name.ends_with(end));
    if !(expected && port_shaped && name_shaped) {
        return None;
    }
    // A container gets another address at every start; its name stays.
    let name = if name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') { "…" } else { name };
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    Some((format!("{scheme}{name}{port}{trailing}"), path))
}

/// Replaces uuids, long identifiers, dates and numbers by `…`.
fn digits_masked(word: &str) -> String {
    let bytes = word.as_bytes();
    let mut out = String::with_capacity(word.len());
    let mut at = 0;
    while let Some(rest) = word.get(at..).filter(|rest| !rest.is_empty()) {
        let length = changing_length(bytes, at, rest);
        if length > 0 {
            if !out.ends_with('…') {
                out.push('…');
            }
            at += length;
        } else {
            let next = rest.chars().next().unwrap_or(' ');
            out.push(next);
            at += next.len_utf8();
        }
    }
    out
}

/// Returns how many bytes of a word, from here on, are something that changes.
fn changing_length(bytes: &[u8], at: usize, rest: &str) -> usize {
    if uuid::is_shaped(bytes, at) {
        return uuid::LENGTH;
    }
    let begins =
        at.checked_sub(1).and_then(|before| bytes.get(before)).is_none_or(|before| !before.is_ascii_alphanumeric());
    let run = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let digits = rest.bytes().take(run).filter(u8::is_ascii_digit).count();
    let hex = rest.bytes().take(run).all(|byte| byte.is_ascii_hexdigit());
    if begins && digits > 0 && (run >= 20 || (run >= 8 && hex)) {
        return run;
    }
    let mut length = rest.bytes().take_while(u8::is_ascii_digit).count();
    // `2026-11-24`, `10:32:07.5`, `172.18.0.9`: one number as far as a fault goes.
    while length > 0 {
        let mut more = rest.bytes().skip(length);
        let joined = more.next().is_some_and(|byte| b".,:-/T".contains(&byte));
        let digits = more.take_while(u8::is_ascii_digit).count();
        if !joined || digits == 0 {
            break;
        }
        length += 1 + digits;
    }
    length
}

#[cfg(test)]
mod tests;
