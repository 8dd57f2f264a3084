//! Properties that the parsers of foreign texts must keep for any bytes: the targets of `make fuzz`.
//!
//! Each function reads the bytes of one input and panics if a property is violated. The unit tests below run them on
//! the corpus in `fuzz/corpus`, so that every `make test` repeats an input that once failed. Not part of the server.
//! May use the parsers and nothing else.

use crate::{
    model::{error_text, filter::ListQuery, fingerprint, masking, payload},
    server::config,
};

/// Checks the bytes of one input.
pub type Target = fn(&[u8]);

/// The targets by name; the corpus has a folder of this name for each.
pub const TARGETS: [(&str, Target); 6] = [
    ("error_text", error_text),
    ("payload", payload),
    ("jdbc_address", jdbc_address),
    ("old_yaml", old_yaml),
    ("feed_page", feed_page),
    ("filter_query", filter_query),
];

/// Error texts: parsing, titles, grouping and masking.
pub fn error_text(bytes: &[u8]) {
    let text = &String::from_utf8_lossy(bytes);
    let parsed = error_text::parse(text);
    for cause in &parsed.causes {
        let frames: usize = cause
            .runs()
            .iter()
            .map(|run| match run {
                error_text::Run::Application(frames) | error_text::Run::Library { frames, .. } => frames.len(),
            })
            .sum();
        assert_eq!(frames, cause.frames.len(), "no frame is lost between the runs");
    }
    assert!(error_text::shortened(text, 20).chars().count() <= 21, "shortened to 20 characters and the mark");
    assert!(!error_text::visible_line(text).contains(['\n', '\t']), "one line");
    if !text.is_empty() {
        assert!(!error_text::headline(text).is_empty(), "every text has a headline");
        assert!(!fingerprint::title(text).is_empty(), "and its group a title");
    }
    let shown = error_text::visible(text);
    assert!(!shown.contains(['\0', '\x1b', '\u{202e}']), "nothing acts on the page that shows it: {shown:?}");
    assert_eq!(fingerprint::of(Some(text)), fingerprint::of(Some(text)), "one text is of one group");
    let masked = masking::fault(text);
    assert_eq!(masked, masking::fault(text), "one text is masked in one way");
}

/// Payloads: paths, addresses, JSON, XML, HL7.
pub fn payload(bytes: &[u8]) {
    let text = &String::from_utf8_lossy(bytes);
    let parsed = payload::parse(text);
    assert!(!parsed.in_words().is_empty());
    if let Some(link) = payload::link(text) {
        assert!(link.starts_with('/') || link.to_ascii_lowercase().starts_with("http"), "{link:?} leads elsewhere");
        assert!(!link.starts_with("//") && !link.contains(['\\', '<', '"', '\n']), "{link:?} is read in two ways");
    }
    if let Some(uuid) = payload::record_uuid(text) {
        assert!(text.contains(&uuid), "a record's id stands in the payload");
    }
    if let Some(reference) = payload::reference(text) {
        assert_eq!(
            payload::record_uuid(&reference),
            payload::reference(&reference).and(payload::record_uuid(&reference))
        );
        assert!(reference.len() <= 100, "a reference holds no text: {reference:?}");
    }
}

/// JDBC addresses.
pub fn jdbc_address(bytes: &[u8]) {
    let text = &String::from_utf8_lossy(bytes);
    const SECRET: &str = "s3cret-of-nobody";
    for address in [text.to_string(), format!("{text}&password={SECRET}"), format!("jdbc:mysql://{text}")] {
        match config::fuzzing::jdbc_address(&address) {
            Ok(shown) => assert!(!shown.contains(SECRET), "a password is shown: {shown}"),
            Err(reason) => assert!(!reason.contains(SECRET), "a reason quotes a password: {reason}"),
        }
    }
}

/// The old console's application.yml.
pub fn old_yaml(bytes: &[u8]) {
    let text = &String::from_utf8_lossy(bytes);
    config::fuzzing::old_yaml(text);
}

/// Pages of feeds.
pub fn feed_page(bytes: &[u8]) {
    atomfeed::fuzzing::feed_page(bytes);
}

/// The query string of a list.
pub fn filter_query(bytes: &[u8]) {
    let text = &String::from_utf8_lossy(bytes);
    let Ok(list) = ListQuery::parse(text) else { return };
    let written = list.to_query();
    assert_eq!(ListQuery::parse(&written).as_ref(), Ok(&list), "what is written as {written:?} is read the same");
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_input_of_the_corpus_holds() {
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
            let inputs: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(inputs.len() >= 3, "{name} has inputs");
            for input in inputs {
                let bytes = fs::read(&input).unwrap();
                let held = std::panic::catch_unwind(|| target(&bytes));
                assert!(held.is_ok(), "{} breaks {name}", input.display());
            }
        }
    }
}
