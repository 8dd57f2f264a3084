//! Masks error texts and payloads for users who may not read them: keeps the fault and the kind of record, and nothing
//! that a person, a patient or a record could have put there.
//!
//! An error text is not searched for names to remove: no search finds them all. It is rebuilt from what cannot hold
//! one: class names of known packages, the sentences that the known consumers write, and words of a fixed list. A word
//! of that list that is also a name is left out, and so is a short one with a capital letter; both remain in a fixed
//! phrase that programs write.

use std::{collections::HashSet, sync::OnceLock};

use super::{
    Attempt, FailedEvent, FailedEventRow, advice,
    error_text::{self, beginning},
    payload, says,
};

/// The most that is read of an error text, in bytes.
const READ: usize = 64 * 1024;
/// The most words that a message keeps.
const WORDS: usize = 60;
/// Replaces everything that is left out.
const LEFT_OUT: &str = "…";

/// Technical words allowed in a masked message in addition to those of the known errors.
const TRADE: &str = "
    a and any are as at be because been before but by cannot could did does for from had has have if in into is it
    its must no not null of on one or should than that the there this to too was were when while with without
    abort aborted accept accepted access account action active already api application argument array attribute
    authentication authorization available bad batch begin body bound broken cache call called cancelled cause certificate
    character class client close closed code column commit communications concept conflict connect connected connection
    connections constraint content context convert could create created data database date deadlock default delete deleted
    denied detail details disk doctype duplicate element empty encoding encounter end entity entry error event exceeded
    exception execute execution exist exists expected expired failed failure fault feed fetch file find forbidden
    foreign format found full gateway generic given header host http https id identifier illegal incorrect index initialize
    input insert instance integer internal invalid io is json key lab large length limit link list load location
    login lookup malformed match memory message method missing more multiple name network node null number object
    occurred open openelis openmrs odoo operation order out overflow panel parameter parse parsing patient payload
    permission pipe pointer port present primary process processing property protocol query read record
    refused relation rejected remote request required reset resource response result retries retry returned rollback
    route row saving schema select server service session size socket source space sql ssl state statement status
    stream string syntax system table temporary test text thrown time timed timeout tls token transaction transport true
    type unable unauthorized unavailable unexpected unique unknown unreachable unrecognized unsupported update upstream
    url user username uuid valid value version violates wait waiting write wrong xml zone
";

/// Words of the list and of known errors that are also names of people. They remain only in [`PHRASES`].
const NAMES: &str = "
    an batch begin body bound call can close code date do field find full given host key large link list lock long mark
    match may more null page pipe pool port post read reading root session space true wait will
";

/// Fixed phrases of drivers, servers and libraries. A word of [`NAMES`] remains only here.
const PHRASES: &str = "
    duplicate key value violates unique constraint | key value | for key | foreign key | primary key | duplicate key
    could not read | cannot read | can not read | unable to read | failed to read | read timed out
    could not find | cannot find | can not find | unable to find | failed to find
    lock wait timeout exceeded | wait timeout | close wait | connection close
    unknown host | no route to host | host is unreachable | host is down
    cannot be null | must not be null | may not be null | should not be null | null value | null or empty | is null
    was null | null pointer
    too large | too long | data too long for column | disk full | is full
    invalid date | date format | date time | batch update | batch entry
    request body | response body | message body | no body
    bad response code | response code | status code | error code
    communications link failure | broken pipe | connection pool | no space left | disk space
    does not match | do not match | did not match | out of bounds | index out of bounds
    session is closed | session closed | session expired | session timed out | session has expired | invalid session
    more than one | no more | one or more | is true | be true | object with given uuid | list of | empty list
";

/// Short words that may begin a message with a capital letter: they are not names of people.
const FIRST: &str =
    "Bad Cache Could Did Does Empty Fetch Index Input Login Must Query Reset Retry Table This Timed Token User Wrong";

/// The only short words that may have a capital letter in any place.
const CAPITALS: &str = "API DB Error Event ELIS HL7 HTTP HTTPS Id ID IO JSON NULL No Not Odoo Order Panel SQL SSL TCP Test TLS URL UUID XML";

/// A word with this many letters or more is not a name, even with a capital letter.
const NO_NAME: usize = 6;

/// Packages whose classes may be named. They hold only programs; a class of any other may be a text that looks like
/// one.
const PACKAGES: &[&str] = &[
    "java.",
    "javax.",
    "jakarta.",
    "sun.",
    "com.sun.",
    "com.mysql.",
    "com.mchange.",
    "com.fasterxml.",
    "com.google.",
    "com.zaxxer.",
    "com.bahmni.",
    "com.thoughtworks.",
    "org.apache.",
    "org.aspectj.",
    "org.bahmni.",
    "org.codehaus.",
    "org.dcm4che",
    "org.eclipse.",
    "org.glassfish.",
    "org.hibernate.",
    "org.ict4h.",
    "org.jdom.",
    "org.joda.",
    "org.json.",
    "org.mariadb.",
    "org.openelis.",
    "org.openmrs.",
    "org.postgresql.",
    "org.quartz.",
    "org.springframework.",
    "org.w3c.",
    "org.xml.",
    "ca.uhn.",
    "us.mn.state.health.",
    "io.netty.",
    "io.reactivex.",
    "net.sf.",
    "reactor.",
    "feign.",
    "okhttp3.",
    "retrofit2.",
    "liquibase.",
    "odoo.",
    "openerp.",
    "psycopg2.",
    "requests.",
    "sqlalchemy.",
    "urllib3.",
    "werkzeug.",
    "xmlrpc.",
];

fn vocabulary() -> &'static HashSet<String> {
    static VOCABULARY: OnceLock<HashSet<String>> = OnceLock::new();
    VOCABULARY.get_or_init(|| {
        let known = advice::sentences().flat_map(|sentence| sentence.split(|letter: char| !letter.is_alphanumeric()));
        let words = known.chain(TRADE.split_whitespace()).map(str::to_lowercase);
        let words = words.filter(|word| word.contains(char::is_alphabetic));
        words.filter(|word| !NAMES.split_whitespace().any(|name| name == word)).collect()
    })
}

/// Returns how many of the words that begin here are a phrase; the longest counts. At the beginning of a sentence it
/// may have a capital letter.
fn phrase(words: &[&str], begins: bool) -> Option<usize> {
    static WORDS: OnceLock<Vec<Vec<&str>>> = OnceLock::new();
    let known = WORDS.get_or_init(|| {
        let phrases = PHRASES.lines().flat_map(|line| line.split('|'));
        phrases.map(|phrase| phrase.split_whitespace().collect()).filter(|words: &Vec<_>| !words.is_empty()).collect()
    });
    let is = |known: &str, word: &str, first: bool| {
        known == word || (first && begins && known.eq_ignore_ascii_case(word) && known.get(1..) == word.get(1..))
    };
    let fits = |phrase: &&Vec<&str>| {
        phrase.len() <= words.len()
            && phrase.iter().zip(words).enumerate().all(|(place, (known, word))| is(known, word, place == 0))
    };
    known.iter().filter(fits).map(Vec::len).max()
}

/// Returns whether a word may remain in a masked message. A short one with a capital letter may be a name, unless
/// listed.
fn is_harmless(word: &str, first: bool) -> bool {
    let lower = word.to_lowercase();
    vocabulary().contains(&lower)
        && (lower == word
            || word.len() >= NO_NAME
            || CAPITALS.split(' ').any(|known| known == word)
            || (first && FIRST.split(' ').any(|known| known == word)))
}

/// Returns the fault of an error text, in the form of an error text: the root's class, and the harmless part of the
/// message. Returns one text for all texts of one fault. Empty for an empty one.
pub fn fault(text: &str) -> String {
    let text = beginning(text, READ);
    if text.trim().is_empty() {
        return String::new();
    }
    let error = error_text::parse(text);
    let root = error.causes.iter().rev().map(|cause| cause.message.as_str()).find(|said| !said.trim().is_empty());
    let mut message = harmless_words(root.unwrap_or_default());
    // The sentence of a known error says more than the words that remain of it.
    if let Some((known, meaning)) = advice::known(text)
        && advice::advise(&message) != Some(meaning)
    {
        message = known;
    }
    // The root's class alone: a chain without its stacks reads like a text that was cut.
    let class = error.causes.iter().rev().filter_map(|cause| cause.class.as_deref()).find(|class| is_thrown(class));
    match (class, message.is_empty()) {
        (None, true) => LEFT_OUT.to_owned(),
        (None, false) => message,
        (Some(class), true) => class.to_owned(),
        (Some(class), false) => format!("{class}: {message}"),
    }
}

/// Returns whether this is the name of an exception of a known program, and nothing else.
fn is_thrown(class: &str) -> bool {
    let Some((package, name)) = class.rsplit_once('.') else { return false };
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    PACKAGES.iter().any(|known| class.starts_with(known))
        && package.split('.').all(|part| !part.is_empty() && part.bytes().all(lower))
        && name.split('$').all(|part| {
            part.starts_with(|first: char| first.is_ascii_uppercase())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
        && ["Exception", "Error", "Fault", "Throwable"].iter().any(|end| name.ends_with(end))
}

/// Returns the words of a message that are in the list, and HTTP status codes.
fn harmless_words(message: &str) -> String {
    let tokens: Vec<&str> = message.split_whitespace().take(4 * WORDS).collect();
    // A word with more around it than a bracket or a full stop does not count.
    let cores = tokens.iter().map(|token| {
        let core = token.trim_matches(|letter: char| !letter.is_alphanumeric());
        if core.len() + 2 >= token.len() && token.is_ascii() { core } else { "" }
    });
    let cores: Vec<&str> = cores.collect();
    let mut kept: Vec<&str> = Vec::new();
    let mut of_phrase = 0;
    for (place, (token, core)) in tokens.iter().zip(&cores).enumerate() {
        if of_phrase == 0 {
            let begins = place == 0 || tokens[place - 1].ends_with([':', '.']);
            of_phrase = phrase(&cores[place..], begins).unwrap_or_default();
        }
        let status = core.len() == 3
            && core.bytes().all(|byte| byte.is_ascii_digit())
            && kept.last().is_some_and(|before| {
                matches!(before.trim_end_matches(':').to_lowercase().as_str(), "of" | "code" | "status" | "http")
            });
        let stays = of_phrase > 0 || status || is_harmless(core, place == 0);
        of_phrase = of_phrase.saturating_sub(1);
        let word = if stays { token } else { LEFT_OUT };
        if word != LEFT_OUT || kept.last() != Some(&LEFT_OUT) {
            kept.push(word);
        }
        if kept.len() == WORDS {
            break;
        }
    }
    if kept == [LEFT_OUT] { String::new() } else { kept.join(" ") }
}

/// Masks a row: keeps the fault of the error, and the record's kind and id of the payload.
pub fn mask_row(row: &mut FailedEventRow) {
    row.error = row.error.as_deref().map(fault);
    if let Some(latest) = &mut row.latest {
        latest.error = latest.error.as_deref().map(fault);
    }
    row.cause = row.cause.is_some().then(|| says(row.latest_error()));
    row.payload = row.payload.as_deref().and_then(payload::reference);
}

/// Masks a failed event with all its attempts.
pub fn mask_event(event: &mut FailedEvent) {
    mask_row(&mut event.row);
    // A hash of the text would let a guess be tested.
    event.error_hash_code = None;
    if let super::Availability::Here(attempts) = &mut event.attempts {
        attempts.iter_mut().for_each(mask_attempt);
    }
    event.earlier.iter_mut().for_each(mask_attempt);
}

/// Masks a failed retry.
pub fn mask_attempt(attempt: &mut Attempt) {
    attempt.error = attempt.error.as_deref().map(fault);
    attempt.payload = attempt.payload.as_deref().and_then(payload::reference);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{advice::advise, error_text::headline};

    const UUID: &str = "4417ab02-77aa-4be1-9c40-90fe11d0c2a7";

    #[test]
    fn no_name_number_or_id_comes_through() {
        for text in [
            "Preferred or Primary identifier is not available for the patient: Asha Devi",
            "java.lang.RuntimeException: Asha Devi (GAN203006) born 1987-02-03 has no bed",
            "java.lang.RuntimeException: patient asha devi is not known",
            "duplicate key value violates unique constraint \"person_name\" Detail: Key (name)=(Asha) already exists.",
            "Could not read {\"givenName\":\"Asha\",\"mobile\":\"9812345678\"}",
            "Asha",
            "Ａｓｈａ आशा",
            "<b>Asha</b>",
            "x: Asha\nCaused by: org.Asha.Devi: Asha\n\tat Asha.Devi(Asha.java:9812345678)",
            "AshaException: y",
            "code AshaDevi",
            "Response status: 417. Error message: Asha",
            "first.Error: Asha",
            "org.asha.DeviError: y",
            "org.x.Asha_Devi_Fault: z",
            "org.openmrs.Asha_Devi_Fault: z",
            "org.openmrs.Asha.DeviException: z",
            "java.lang.RuntimeException: x\nCaused by: in.asha.DeviException: y",
            "java.lang.RuntimeException: org.asha.DeviException: y",
        ] {
            let masked = fault(text);
            for secret in ["Asha", "asha", "Devi", "devi", "GAN", "1987", "98123", "आशा", "Ａｓｈａ"] {
                assert!(!masked.contains(secret), "{text:?} became {masked:?}");
            }
        }
    }

    /// People have these names, and a word alone does not show whether it is meant as a name.
    #[test]
    fn a_name_that_is_a_word_of_the_trade_does_not_come_through() {
        for (text, masked) in [
            (
                "java.lang.RuntimeException: patient Will Page not found",
                "java.lang.RuntimeException: patient … not found",
            ),
            ("Patient An Do not found", "Patient … not found"),
            ("patient will page not found", "patient … not found"),
            ("PATIENT WILL PAGE NOT FOUND", "PATIENT …"),
            ("Will Page not found", "… not found"),
            ("Order of Case Host not found", "Order of … not found"),
            ("No record of In So, To Be", "No record of …"),
            ("Unable to read: Can, Root (Long)", "Unable to read: …"),
            ("Field, Mark: invalid", "… invalid"),
            ("Post May failed", "… failed"),
            ("HTTP Status 500 of JSON Reading", "HTTP Status 500 of JSON …"),
            ("java.lang.RuntimeException: Close Glenn not found", "java.lang.RuntimeException: … not found"),
            ("Read not found", "… not found"),
            ("Host Asha not found", "… not found"),
            ("Link not found", "… not found"),
            ("Large not found", "… not found"),
            ("Wait not found", "… not found"),
            ("Key Begin is not known", "… is not …"),
            ("Case More not found", "… not found"),
            ("Table Given not found", "Table … not found"),
            ("Space Date not found", "… not found"),
            ("Body Call not found", "… not found"),
            ("Write Zone not found", "… not found"),
            ("Session not found", "… not found"),
            ("patient close read not found", "patient … not found"),
            ("patient host wait, date of birth unknown", "patient … of … unknown"),
            ("patient Read denied", "patient … denied"),
            ("Could Not Read Asha", "Could Not …"),
        ] {
            assert_eq!(fault(text), masked, "{text}");
        }
    }

    /// Words that are also names, within phrases that programs write.
    #[test]
    fn a_fixed_phrase_stays_whole() {
        for (text, masked) in [
            ("java.net.SocketTimeoutException: Read timed out", "java.net.SocketTimeoutException: Read timed out"),
            (
                "duplicate key value violates unique constraint \"x_key\"",
                "duplicate key value violates unique constraint …",
            ),
            ("Duplicate entry 'Asha' for key 'name'", "Duplicate entry … for key 'name'"),
            ("Lock wait timeout exceeded; try again", "Lock wait timeout exceeded; …"),
            ("Could not read Asha", "Could not read …"),
            ("Unable to find the record", "Unable to find the record"),
            ("Broken pipe (Write failed)", "Broken pipe … failed)"),
            ("No route to host (Host unreachable)", "No route to host … unreachable)"),
            ("Column 'Asha' cannot be null", "Column … cannot be null"),
            ("Data too long for column 'Asha' at row 1", "Data too long for column … at row …"),
            ("Communications link failure", "Communications link failure"),
            ("Error: Unknown host Asha", "Error: Unknown host …"),
        ] {
            assert_eq!(fault(text), masked, "{text}");
        }
    }

    #[test]
    fn classes_of_the_known_programs_are_named() {
        for class in [
            "java.net.SocketTimeoutException",
            "org.codehaus.jackson.map.exc.UnrecognizedPropertyException",
            "us.mn.state.health.lims.common.exception.LIMSRuntimeException",
            "org.bahmni.module.pacsintegration.exception.ModalityException",
            "org.openmrs.api.APIException",
            "com.fasterxml.jackson.databind.JsonMappingException$InnerException",
        ] {
            assert_eq!(fault(&format!("{class}: Asha")), class);
        }
    }

    #[test]
    fn a_known_fault_keeps_its_sentence_and_its_advice() {
        for text in [
            format!("Patient with uuid '{UUID}' not found in ELIS"),
            format!("java.lang.RuntimeException: Concept for lab test'{UUID}' not found in openmrs"),
            "Bad response code of 503".to_owned(),
            "java.net.ConnectException: Connection refused (Connection refused)".to_owned(),
            "Preferred or Primary identifier is not available for the patient: Asha Devi".to_owned(),
        ] {
            let masked = fault(&text);
            assert_eq!(advise(&masked), advise(&text), "{text:?} became {masked:?}");
            assert!(!masked.contains(UUID));
        }
        assert_eq!(
            fault(&format!("Patient with uuid '{UUID}' not found in ELIS")),
            "Patient with uuid '…' not found in ELIS"
        );
        assert_eq!(fault("Bad response code of 503"), "Bad response code of 503");
    }

    #[test]
    fn an_unknown_fault_keeps_its_class_and_the_words_of_the_trade() {
        let text = "java.lang.IllegalStateException: Ward Kalinga refused the record\n\tat org.bahmni.Beds.find(Beds.java:7)\n\
                    Caused by: java.net.SocketTimeoutException: Accept timed out\n\tat java.net.Socket.accept(Socket.java:1)";
        let masked = fault(text);
        assert_eq!(masked, "java.net.SocketTimeoutException: Accept timed out");
        assert_eq!(headline(&masked), "Accept timed out");
        assert_eq!(fault("Bed 7 of ward Kalinga is not free"), "… of … is not …");
    }

    #[test]
    fn nothing_stays_nothing_and_something_stays_something() {
        assert_eq!(fault(""), "");
        assert_eq!(fault(" \n"), "");
        assert!(!headline(&fault("Kalinga")).is_empty());
        assert!(fault(&"word Asha ".repeat(100_000)).len() < 2_000);
    }
}
