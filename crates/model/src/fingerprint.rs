//! Which fault an error text tells of, so that three thousand failed events become three problems.
//!
//! A fingerprint is one sentence: what the root cause said, with everything replaced by `…` that changes from one
//! occurrence of a fault to the next (uuids, numbers, order numbers, names of patients and tests). What tells two faults
//! apart stays: HTTP status codes, hosts with their ports, names of settings and fields of code.
//!
//! The same fault reads differently in `failed_events` (with the page's address in front, cut at 4000 characters) and in
//! the retry log (without), so nothing of the outer form counts, and a root cause that was cut off half way is taken from
//! an exception around it that says the same, or completed from the sentences that the consumers are known to write.
//!
//! Pure, linear in the text, never fails. [`VERSION`] grows when sentences get other fingerprints; a fingerprint can be
//! fingerprinted again ([`of`] leaves its own results as they are), which is how notes follow to a newer version.

use super::{
    error_text::{self, ErrorText, beginning, is_class, visible},
    uuid,
};

/// The version of the rules below.
pub const VERSION: u32 = 1;

/// What a fingerprint says where there is nothing to read.
pub const NO_TEXT: &str = "No error text";

/// What is read of a text, in bytes.
const LOOKED_AT: usize = 64 * 1024;
/// What a fingerprint may be long, in characters.
const CHARS: usize = 200;
/// What a title may be long, in characters.
const TITLE_CHARS: usize = 140;

/// A fault, as far as an error text tells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Fingerprint {
    /// The rules that made it.
    pub version: u32,
    /// The fault in one sentence, `…` for what changes; at most 200 characters. Two texts of one fault have the same.
    pub text: String,
}

impl Fingerprint {
    /// What a person reads: the sentence without the phrases of HTTP around it.
    pub fn title(&self) -> String {
        title(&self.text)
    }
}

/// The title of a fingerprint's text.
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

/// Phrases that say nothing beyond the status they stand for.
const PHRASES: &[&str] = &["Expectation Failed: ", "Bad Request: ", "Internal Server Error: ", "Not Found: "];

/// The fingerprint of an error text: of the latest error where there are several.
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

/// What the root cause said, as fully as the exceptions around it say the same.
fn root(error: &ErrorText) -> Option<String> {
    let last = error.causes.len().checked_sub(1)?;
    // Java prints a stack behind every message. A text that was cut and has none ended in the message, also where it ends
    // a line. One that was not cut is whole without it: not every consumer prints stacks.
    let open = error.cut && error.causes.get(last).is_some_and(|cause| cause.frames.is_empty() && cause.more.is_none());
    let mut told: Vec<String> = Vec::new();
    for (place, cause) in error.causes.iter().enumerate() {
        if !(open && place == last) {
            told.extend(Some(spoken(&cause.message, false)).filter(|said| !said.is_empty()));
            continue;
        }
        // What an exception around it says whole needs no guessing.
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

/// Of a root's sentence that may end too early: what an exception around it says in full, or what a consumer is known to
/// write, or else the outermost sentence alone: half a sentence would be cut elsewhere in the next text.
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

/// How much of a known sentence must be there to be sure of the rest, in bytes. Odoo connect begins many with the same
/// words.
fn telling(known: &str) -> usize {
    if known.starts_with("Error found in ") { known.len().saturating_sub(15) } else { 12 }
}

/// The same said more fully around it; where it says very little ("Connection refused"), with the outermost sentence,
/// which says what was tried.
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

/// What a message says in one sentence, with `…` for what changes. Empty where it says nothing but its class.
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

/// What a modality answered, of the HL7 message that pacs-integration prints behind its own: the code and the text of the
/// segment MSA. The identifier between them is another one every time.
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

/// Where the consumers write what changes without quotes around it: what stands between the two is replaced. An empty
/// first part reaches back to the beginning, an empty second one to the end.
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
    // A login page. Another character than this one is another fault.
    ("Unexpected character ('<' (code 60))", ""),
    ("Post call to /api/bahmni-", " failed"),
    ("Concept for lab test'", "' not found in openmrs"),
];

/// Sentences that the consumers write whole, for texts that were cut within them.
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

/// A sentence with `…` for everything that changes. `open`: it may end too early.
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

/// Uuids, numbers and quoted values replaced.
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

/// The length of the word that a text begins with. The comma of `90,211` does not end one.
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

/// The length of the quoted value that a text begins with, quotes included. An apostrophe within a word opens none, and
/// one within a name (`O'Brien`) does not close it.
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

/// Whether a quoted value is a name in code (`defaultOrganizationName`, `site_id`) rather than somebody's data.
fn is_code(value: &str, before: &str) -> bool {
    let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let of_python = ["KeyError: '", "has no attribute '"].iter().any(|said| before.ends_with(said));
    let inner = value.bytes().skip(1).any(|byte| byte.is_ascii_uppercase() || byte == b'_');
    plain && (of_python || (value.starts_with(|first: char| first.is_ascii_lowercase()) && inner))
}

/// A word with its uuids and numbers replaced; `before` is what was written so far.
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

/// Names with a digit that is none of anybody's data.
const STANDARDS: &[&str] = &["HL7", "UTF-8", "UTF8", "ISO-8859-1", "SHA-256", "MD5", "base64"];

/// Whether a word is an HTTP status, by what stands before it or by being the first word of the sentence.
fn is_status(word: &str, before: &str) -> bool {
    let bare = word.trim_end_matches(['.', ':', ',']);
    let shaped = bare.len() == 3 && bare.bytes().all(|byte| byte.is_ascii_digit()) && ("100".."600").contains(&bare);
    let words = ["code of", "code:", "code", "status:", "status", "HTTP", "HTTP/1.1", "HTTP/1.0"];
    let said = before.trim_end();
    shaped && (said.is_empty() || words.iter().any(|word| said.ends_with(word)))
}

/// The system that a word names, and the rest of the word: `http://openmrs:8080` and `/openmrs/ws/36`, `odoo:8069` and
/// nothing. A port tells systems apart as a host's name does.
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

/// Uuids, long identifiers, dates and numbers replaced by `…`.
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

/// How much of a word, from here on, is something that changes.
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
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::advice::advise;

    const RUNTIME: &str = "java.lang.RuntimeException";
    const LIMS: &str = "us.mn.state.health.lims.common.exception.LIMSRuntimeException";
    const WEB: &str = "org.bahmni.webclients.WebClientsException";
    const FRAME: &str = "org.bahmni.feed.openelis.feed.event.EncounterFeedWorker.process(EncounterFeedWorker.java:134)";

    /// What differs from one occurrence to the next; all of it invented.
    struct Variables {
        uuid: String,
        number: u64,
        name: &'static str,
        order: String,
    }

    fn variables() -> Vec<Variables> {
        let names = [
            "Test Person",
            "Ana O'Brien",
            "José Müller 2nd",
            "李 雷",
            "x",
            "Mc'Donald, Demo",
            "Person (7) of 9",
            "a: b",
        ];
        let orders = ["ORD-1", "ORD-23890", "77", "EXT/2026/9", "4417ab02-77aa-4be1-9c40-90fe11d0c2a7"];
        (0..40_u64)
            .map(|index| Variables {
                uuid: format!(
                    "{:08x}-{:04x}-4be1-9c40-{:012x}",
                    index * 0x1357_9bdf % 0xffff_ffff,
                    index * 577 % 0xffff,
                    index * 0x1234_5677
                ),
                number: index * index * 37 + 1,
                name: names[index as usize % names.len()],
                order: orders[index as usize % orders.len()].to_owned(),
            })
            .collect()
    }

    /// The causes of a fault as class and message, outermost first.
    type Causes = Vec<(&'static str, String)>;

    /// Makes a fault of what differs.
    type Make = fn(&Variables) -> Causes;

    /// As OpenELIS and most consumers have it: the outer exception says what the inner one said, with its class.
    fn wrapped(class: &'static str, said: String) -> Causes {
        vec![(RUNTIME, format!("{class}: {said}")), (class, said)]
    }

    fn around(outer: &str, class: &'static str, said: String) -> Causes {
        vec![(RUNTIME, outer.to_owned()), (class, said)]
    }

    fn python(said: &str, line: u64) -> String {
        format!(
            "Traceback (most recent call last):\n  File \"/opt/odoo/odoo/http.py\", line {line}, in dispatch_rpc\n    result = method(params)\n\
               File \"/opt/bahmni-addons/order_save_service.py\", line {}, in create_orders\n    raise Warning(message)\nWarning: {said}",
            line + 9
        )
    }

    /// Every template of the catalogue, each a fault of its own.
    fn faults() -> Vec<(&'static str, Make)> {
        const POST: &str = "Post call to /api/bahmni-saleorder failed";
        const PACS: &str = "Failed send order to modality";
        const HL7: &str = "org.bahmni.module.pacsintegration.exception.HL7MessageException";
        const REST: &str = "org.bahmni.openerp.web.OdooRestException";
        const ODOO: &str = "org.bahmni.openerp.web.OpenERPException";
        fn post(v: &Variables) -> String {
            let to = ["saleorder", "customer", "drug", "lab-test"][v.number as usize % 4];
            format!("Post call to /api/bahmni-{to} failed")
        }
        vec![
            ("no patient", |v| {
                let said = format!("Patient with uuid '{}' not found in ELIS", v.uuid);
                vec![(RUNTIME, format!("{LIMS}: {said}")), (LIMS, said.clone()), (RUNTIME, said)]
            }),
            ("no test", |v| {
                wrapped(
                    LIMS,
                    format!(
                        "Test '{0}' was not setup properly. No external reference for Test with uuid '{0}' found in external_reference table",
                        v.uuid
                    ),
                )
            }),
            ("no panel", |v| {
                wrapped(
                    LIMS,
                    format!(
                        "Panel '{0}' was not setup properly. No external reference for Panel with uuid '{0}' found in external_reference table",
                        v.uuid
                    ),
                )
            }),
            ("no identifier", |v| {
                wrapped(LIMS, format!("Preferred or Primary identifier is not available for the patient: {}", v.name))
            }),
            ("test unknown", |v| {
                wrapped("us.mn.state.health.lims.LIMSException", format!("{} test doesn't exist", v.name))
            }),
            ("panel unknown", |v| {
                wrapped("us.mn.state.health.lims.LIMSException", format!("{} panel doesn't exist", v.name))
            }),
            ("panel not saved", |v| {
                wrapped("us.mn.state.health.lims.LIMSException", format!("Error while saving panel - {}", v.name))
            }),
            ("test not saved", |v| {
                wrapped("us.mn.state.health.lims.LIMSException", format!("Error while saving test - {}", v.name))
            }),
            ("no organization", |_| {
                wrapped(RUNTIME, "no property found for 'defaultOrganizationName' in site_information table".into())
            }),
            ("another setting", |_| {
                wrapped(RUNTIME, "no property found for 'defaultSampleSource' in site_information table".into())
            }),
            ("404", |_| wrapped(WEB, "Bad response code of 404".into())),
            ("403", |_| wrapped(WEB, "Bad response code of 403".into())),
            ("401", |_| wrapped(WEB, "Bad response code of 401".into())),
            ("500", |_| wrapped(WEB, "Bad response code of 500".into())),
            ("503", |_| wrapped(WEB, "Bad response code of 503".into())),
            ("read timed out", |_| {
                let mut causes = wrapped(WEB, "java.net.SocketTimeoutException: Read timed out".into());
                causes.push(("java.net.SocketTimeoutException", "Read timed out".into()));
                causes
            }),
            ("openmrs down", |v| {
                let mut causes = wrapped(
                    WEB,
                    format!(
                        "org.apache.http.conn.HttpHostConnectException: Connect to openmrs:8080 [openmrs/10.0.{}.8] failed: Connection refused",
                        v.number % 250
                    ),
                );
                causes.push(("java.net.ConnectException", "Connection refused (Connection refused)".into()));
                causes
            }),
            ("openmrs on another port", |v| {
                wrapped(
                    "org.apache.http.conn.HttpHostConnectException",
                    format!("Connect to openmrs:8051 [openmrs/10.0.{}.8] failed: Connection refused", v.number % 250),
                )
            }),
            ("odoo down", |v| {
                around(
                    &post(v),
                    "org.apache.http.conn.HttpHostConnectException",
                    format!("Connect to odoo:8069 [odoo/10.99.0.{}] failed: Connection refused", v.number % 250),
                )
            }),
            ("no login to openmrs", |_| wrapped(WEB, "Could not authenticate with OpenMRS".into())),
            ("second factor", |v| {
                wrapped(WEB, format!("Two factor authentication is enabled, user {} must log in", v.name))
            }),
            ("unknown field", |v| {
                wrapped(
                    "org.codehaus.jackson.map.exc.UnrecognizedPropertyException",
                    format!(
                        "Unrecognized field \"field{}\" (class org.bahmni.A), not marked as ignorable\n at [Source: java.io.StringReader@{:x}; line: 1, column: {}]",
                        v.number,
                        v.number * 7919,
                        v.number
                    ),
                )
            }),
            ("a page came back", |v| {
                wrapped(
                    "org.codehaus.jackson.JsonParseException",
                    format!(
                        "Unexpected character ('<' (code 60)): expected a valid value (number, String, array, object, 'true', 'false' or 'null')\n at [Source: <html>{}</html>; line: 1, column: 2]",
                        v.name
                    ),
                )
            }),
            ("no patient in odoo", |v| {
                around(&post(v), REST, "Error found in result. Response status: 417. Error message: Expectation Failed: Patient Id not found in Odoo".into())
            }),
            ("the same with another status", |v| {
                around(&post(v), REST, "Error found in result. Response status: 500. Error message: Expectation Failed: Patient Id not found in Odoo".into())
            }),
            ("odoo failed", |v| {
                around(
                    &post(v),
                    REST,
                    "Error found in response. Response status: 200. Error message: Odoo Server Error".into(),
                )
            }),
            ("null", |v| around(&post(v), REST, "Response is null".into())),
            ("empty", |v| around(&post(v), REST, "Response is empty".into())),
            ("no login to odoo", |v| {
                wrapped(ODOO, format!("Failed to login. The login user is : emr{}, no session cookie set.", v.number))
            }),
            ("odoo slow", |v| {
                around(
                    POST,
                    "java.util.concurrent.TimeoutException",
                    format!(
                        "Did not observe any item or terminal signal within {}ms in 'flatMap' (and no fallback has been configured)",
                        v.number
                    ),
                )
            }),
            ("previous order", |v| {
                let said = python(
                    "Previous order id does not exist in DB. This can be because of previous failed events",
                    v.number,
                );
                vec![(ODOO, said.clone()), ("org.apache.xmlrpc.XmlRpcException", said)]
            }),
            ("no shop", |v| {
                let kind = ["Radiology Order", "Lab Order", "Drug Order", "Order 7"][v.number as usize % 4];
                let said = python(
                    &format!("Can not process order. Order type:{kind} - should be matched to a shop"),
                    v.number,
                );
                vec![(ODOO, said.clone()), ("org.apache.xmlrpc.XmlRpcException", said)]
            }),
            ("saleable", |v| {
                wrapped(
                    ODOO,
                    format!(
                        "Error occurred while trying to process Saleable Event [tag:atomfeed.ict4h.org:{}]",
                        v.uuid
                    ),
                )
            }),
            ("previous drug order", |_| wrapped(ODOO, "Failed to fetch previous drug order".into())),
            ("concept source", |v| {
                around(PACS, HL7, format!("Unable to create HL7 message. Missing concept source for order{}", v.uuid))
            }),
            ("nothing to cancel", |v| {
                around(PACS, HL7, format!("Unable to Cancel the Order. Previous order is not found{}", v.order))
            }),
            ("procedure code", |v| {
                around(
                    PACS,
                    "org.bahmni.module.pacsintegration.exception.ModalityException",
                    modality(v, "AE", "unknown procedure code"),
                )
            }),
            ("another answer", |v| {
                around(
                    PACS,
                    "org.bahmni.module.pacsintegration.exception.ModalityException",
                    modality(v, "AR", "no such application"),
                )
            }),
            ("modality down", |_| around(PACS, "java.net.ConnectException", "Connection refused".into())),
            ("no location", |v| {
                around(
                    PACS,
                    "org.bahmni.module.pacsintegration.exception.LocationResolutionException",
                    format!("Encounter location cannot be null for order: {}", v.uuid),
                )
            }),
            ("crater", |_| vec![(RUNTIME, "Failed to fetch patient details".into())]),
            ("crater times out", |_| {
                around("Failed to fetch patient details", "java.net.SocketTimeoutException", "Read timed out".into())
            }),
            ("no concept", |v| {
                let of = if v.number % 2 == 0 { v.uuid.clone() } else { v.name.to_owned() };
                wrapped("org.openmrs.api.APIException", format!("Concept for lab test'{of}' not found in openmrs"))
            }),
            ("accession", |_| {
                wrapped(
                    "org.bahmni.module.elisatomfeedclient.api.exception.OpenElisFeedException",
                    "could not read accession data".into(),
                )
            }),
            ("a null somewhere", |_| {
                vec![
                    (RUNTIME, "java.lang.NullPointerException".into()),
                    ("java.lang.NullPointerException", "null".into()),
                ]
            }),
        ]
    }

    fn modality(v: &Variables, code: &str, said: &str) -> String {
        format!(
            "Unable to send the message to the modality \nModality{{id={}, name='{}', ip='dcm4chee', port=2575, timeout=3000}}\n\
             MSH|^~\\&|DCM|DEMO|B|D|2026{:04}||ACK^O01|{1}|P|2.5\rMSA|{code}|{2}|{said}",
            v.number % 9, v.name, v.number
        )
        .replace("ACK^O01|{1}", "ACK^O01|1")
    }

    /// As the library prints it into the retry log.
    fn retry(causes: &Causes) -> String {
        let mut text = String::new();
        for (place, (class, message)) in causes.iter().enumerate() {
            text += &match place {
                0 => format!("{message}{class}: {message}\n"),
                _ => format!("Caused by: {class}: {message}\n"),
            };
            text += &format!("\tat {FRAME}\n\tat org.quartz.core.JobRunShell.run(JobRunShell.java:202)\n");
            if place > 0 {
                text += "\t... 5 more\n";
            }
        }
        text
    }

    /// As the library prints it into `failed_events`.
    fn first(causes: &Causes, page: u64) -> String {
        format!(
            "Failed processing event in feed [http://openmrs:8080/openmrs/ws/atomfeed/encounter/{page}] \n{}",
            retry(causes)
        )
    }

    /// The first `end` bytes of a trace as a column of 4000 characters holds them: one more frame, as long as need be, in
    /// the first stack.
    fn cut_by_the_column(whole: &str, end: usize) -> String {
        let stack = whole.find("\n\tat ").map_or(end, |at| at + 1).min(end);
        let (head, rest) = whole[..end].split_at(stack);
        let frame = |name: &str| format!("\tat org.example.A.{name}(A.java:1)\n");
        let missing = 4000 - whole[..end].chars().count() - frame("").len();
        format!("{head}{}{rest}", frame(&"x".repeat(missing)))
    }

    #[test]
    fn two_causes_are_two_faults_though_their_texts_end_without_a_line_end() {
        let text = |cause: &str, class: &str| {
            format!(
                "Failed processing event in feed [http://openmrs:8080/openmrs/ws/atomfeed/encounter/7] \n\
                 Post call to /api/bahmni-saleorder failedjava.lang.RuntimeException: Post call to /api/bahmni-saleorder failed\n\
                 \tat {FRAME}\nCaused by: {class}: {cause}"
            )
        };
        let rest = "org.springframework.web.client.ResourceAccessException";
        let one = of(Some(&text("Timeout waiting for response", rest))).text;
        let other = of(Some(&text("No route to host", rest))).text;
        assert_eq!(one, "Timeout waiting for response");
        assert_ne!(one, other);
        // With the stack behind it, it is the same fault.
        let whole = format!("{}\n\tat {FRAME}\n\t... 9 more\n", text("Timeout waiting for response", rest));
        assert_eq!(of(Some(&whole)).text, one);
    }

    #[test]
    fn one_group_a_fault_and_no_two_faults_in_one() {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for (name, fault) in faults() {
            let mut of_fault = None;
            for variables in variables() {
                let causes = fault(&variables);
                for text in [first(&causes, variables.number), retry(&causes), retry(&causes).replace('\n', "\r\n")] {
                    let text = of(Some(&text)).text;
                    assert_eq!(of_fault.get_or_insert_with(|| text.clone()), &text, "{name} fell apart");
                }
            }
            if let Some(other) = of_fault.and_then(|text| seen.insert(text.clone(), name)) {
                panic!("{name} and {other} are taken for one fault");
            }
        }
    }

    #[test]
    fn a_text_that_was_cut_anywhere_behind_its_message_tells_the_same_fault() {
        // Where nobody said anything, the place in the code tells, and that stands in what may be cut off.
        for (name, fault) in faults().into_iter().filter(|(name, _)| *name != "a null somewhere") {
            for variables in variables().into_iter().take(8) {
                let causes = fault(&variables);
                let whole = retry(&causes);
                let fingerprint = of(Some(&whole)).text;
                let wrapper = of(Some(&retry(&causes[..1].to_vec()))).text;
                let from = causes[0].1.len() * 2 + causes[0].0.len() + 3;
                for end in (from..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
                    let whole = cut_by_the_column(&whole, end);
                    let cut = of(Some(&whole)).text;
                    // A cause that is gone is gone: then it is the group of what was around it, and never a third one.
                    // Of a modality's answer the end may be missing.
                    let known =
                        cut == fingerprint || cut == wrapper || name.contains("answer") || name == "procedure code";
                    assert!(known, "{name} cut at {end}: {cut:?}, neither {fingerprint:?} nor {wrapper:?}\n{whole}");
                }
            }
        }
    }

    #[test]
    fn a_title_is_readable_and_names_nobody() {
        for (_, fault) in faults() {
            for variables in variables() {
                let fingerprint = of(Some(&first(&fault(&variables), 7)));
                let title = fingerprint.title();
                assert!(!title.is_empty() && title.chars().count() <= TITLE_CHARS + 7, "{title}");
                assert!(!title.contains("Exception:") && !title.contains(&variables.uuid), "{title}");
                assert!(variables.name.len() < 3 || !fingerprint.text.contains(variables.name), "{}", fingerprint.text);
            }
        }
        let title = |text: &str| of(Some(text)).title();
        assert_eq!(
            title(
                "Error found in result. Response status: 417. Error message: Expectation Failed: Patient Id not found in Odoo"
            ),
            "Patient Id not found in Odoo (417)"
        );
        assert_eq!(
            title("Patient with uuid '4417ab02-77aa-4be1-9c40-90fe11d0c2a7' not found in ELIS"),
            "Patient with uuid '…' not found in ELIS"
        );
    }

    #[test]
    fn the_advice_for_a_fault_can_be_found_by_its_fingerprint_alone() {
        for (name, fault) in faults() {
            let text = retry(&fault(&variables().remove(3)));
            let fingerprint = of(Some(&text)).text;
            assert_eq!(advise(&fingerprint), advise(&text), "{name}: {fingerprint}");
        }
    }

    #[test]
    fn a_fingerprint_can_be_fingerprinted_again() {
        for (name, fault) in faults() {
            let once = of(Some(&first(&fault(&variables().remove(5)), 1)));
            assert_eq!(of(Some(&once.text)), once, "{name}");
        }
        assert_eq!(of(Some(NO_TEXT)).text, NO_TEXT);
    }

    #[test]
    fn numbers_dates_addresses_and_identifiers_change_but_hosts_and_statuses_do_not() {
        for (text, fingerprint) in [
            ("Row 17 of 90,211 failed at 2026-11-24T10:32:07.5", "Row … of … failed at …"),
            (
                "GET http://openmrs:8080/openmrs/ws/atomfeed/patient/36?v=2 failed",
                "GET http://openmrs:8080/openmrs/ws/atomfeed/patient/…?v=… failed",
            ),
            ("Connect to 172.18.0.9:8080 failed", "Connect to …:8080 failed"),
            ("openmrs:8080 failed to respond", "openmrs:8080 failed to respond"),
            ("concept 1234AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA is retired", "concept … is retired"),
            ("object org.example.Thing@7f31245a", "object org.example.Thing@…"),
            ("Server returned HTTP response code: 503 for it", "Server returned HTTP response code: 503 for it"),
            ("404 Not Found", "404 Not Found"),
            ("at Thing.java:298 it broke", "at Thing.java:… it broke"),
            ("KeyError: 'uuid'", "KeyError: 'uuid'"),
            ("Name 'O'Brien' isn't here, it's 'x'", "Name '…' isn't here, it's '…'"),
            ("patient GAN203006 is double", "patient GAN… is double"),
        ] {
            assert_eq!(of(Some(text)).text, fingerprint, "{text}");
        }
    }

    #[test]
    fn texts_without_a_sentence_are_told_by_class_and_place() {
        let at = |frame: &str, line: u32| {
            format!("nulljava.lang.NullPointerException\n\tat org.bahmni.a.{frame}({frame}.java:{line})\n")
        };
        let text = |frame, line| of(Some(&at(frame, line))).text;
        assert_eq!(text("Worker.process", 7), text("Worker.process", 9));
        assert_ne!(text("Worker.process", 7), text("Other.process", 7));
        assert_eq!(text("Worker.process", 7), "NullPointerException in Worker.process");
    }

    #[test]
    fn whatever_the_text_is_there_is_a_fingerprint() {
        let long = "x1".repeat(3_000_000);
        let quotes = "'".repeat(200_000);
        let nested = "Caused by: a.B: ".repeat(20_000);
        for text in [
            "",
            " ",
            "\n\n",
            "\0",
            "Failed processing event in feed [",
            "Failed processing event in feed [http://x/1] \n",
            "null",
            "\u{202e}evil",
            "Caused by: ",
            "\tat x",
            "'",
            "…",
            &long,
            &quotes,
            &nested,
        ] {
            let fingerprint = of(Some(text));
            assert!(!fingerprint.text.trim().is_empty(), "{:?}", beginning(text, 40));
            assert!(fingerprint.text.chars().count() <= CHARS);
            assert!(!fingerprint.text.contains(['\0', '\n', '\u{202e}']));
        }
        for nothing in [None, Some(""), Some(" \n"), Some("Failed processing event in feed [http://x/1] \n")] {
            assert_eq!(of(nothing).text, NO_TEXT, "{nothing:?}");
        }
    }
}
