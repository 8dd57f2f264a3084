//! Display names of failed events: the kind of the record and its id, and the application that was to process it: `Lab
//! result 3653b294…e854 → OpenMRS`. One name on every page, in exports and in operations. Pure functions.
//!
//! The kind comes from the event's title first, because the table, the ledger and the copies of discarded events all
//! have it; the payload and the feed's category are used if the title says nothing.

use std::borrow::Cow;

use super::{
    FailedEventRow,
    error_text::{shortened, visible},
    feed::category_of,
    ledger::LedgerEvent,
    payload::{record_kind, record_uuid, short_id},
    publisher::PublishedEvent,
    words::capitalised,
};

/// The longest kind, in characters: a title can be any text.
const LONGEST_KIND: usize = 40;

/// The parts of a name. Unknown ones are left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Naming<'a> {
    pub title: Option<&'a str>,
    /// The payload, or its [`super::payload::reference`].
    pub payload: Option<&'a str>,
    /// The uuid of the record.
    pub record: Option<&'a str>,
    pub feed_uri: Option<&'a str>,
    pub event_id: Option<&'a str>,
}

impl Naming<'_> {
    /// Returns the kind of record: `Lab result`, `Encounter`; `Event` if it is unknown.
    pub fn kind(&self) -> String {
        let title = self.title.map(str::trim).filter(|title| title.chars().any(char::is_alphabetic));
        let known = title.and_then(kind_of_title).map(str::to_owned);
        let other = || {
            let kind = title.or_else(|| self.payload.and_then(record_kind)).map(Cow::Borrowed);
            let kind = kind.or_else(|| self.feed_uri.and_then(category_of)).unwrap_or("event".into());
            capitalised(&shortened(&visible(&kind.replace(['-', '_'], " ")), LONGEST_KIND))
        };
        known.unwrap_or_else(other)
    }

    /// Returns the id that distinguishes it from others: the record's uuid, else the event's id.
    pub fn id(&self) -> Option<String> {
        let record = self.record.map(str::to_owned).or_else(|| self.payload.and_then(record_uuid));
        record.or_else(|| self.event_id.map(str::to_owned)).filter(|id| !id.trim().is_empty())
    }

    /// Returns the record with its id shortened: `Lab result 3653b294…e854`.
    pub fn record(&self) -> String {
        match self.id() {
            Some(id) => format!("{} {}", self.kind(), short_id(&id)),
            None => self.kind(),
        }
    }

    /// Returns the record with the part of its id that is easily read aloud: `Lab result 3653b294`.
    pub fn spoken(&self) -> Option<String> {
        let id = short_id(&self.id()?);
        Some(format!("{} {}", self.kind(), id.split('…').next().unwrap_or(&id)))
    }

    /// Returns the record, and the application that was to process it: `Lab result 3653b294…e854 → OpenMRS`.
    pub fn event(&self, application: &str) -> String {
        format!("{} → {}", self.record(), visible(application))
    }
}

/// Titles of Bahmni's own events, in lower case, and plainer words for them.
const KINDS: [(&str, &str); 11] = [
    ("accession", "Lab result"),
    ("test", "Lab test"),
    ("panel", "Lab panel"),
    ("department", "Lab department"),
    ("radiology", "Radiology test"),
    ("progam enrollment", "Programme enrolment"),
    ("program enrollment", "Programme enrolment"),
    ("addresshierarchy", "Address entry"),
    ("recurringappointments", "Recurring appointments"),
    ("concepts", "Concept"),
    ("offline concepts", "Concept"),
];

fn kind_of_title(title: &str) -> Option<&'static str> {
    let title = title.to_lowercase();
    KINDS.iter().find(|(known, _)| *known == title).map(|(_, kind)| *kind)
}

/// Returns a title that pages show in these plainer words; the opposite of [`Naming::kind`].
pub fn title_of_kind(kind: &str) -> Option<&'static str> {
    KINDS.iter().find(|(_, known)| known.eq_ignore_ascii_case(kind)).map(|(title, _)| *title)
}

impl FailedEventRow {
    /// Returns what its name is made of.
    pub fn naming(&self) -> Naming<'_> {
        Naming {
            title: self.title.as_deref(),
            payload: self.payload.as_deref(),
            record: None,
            feed_uri: self.feed_uri.as_deref(),
            event_id: self.event_id.as_deref(),
        }
    }
}

impl PublishedEvent {
    /// Returns what its name is made of.
    pub fn naming(&self) -> Naming<'_> {
        Naming {
            title: self.title.as_deref(),
            payload: self.object.as_deref(),
            record: None,
            feed_uri: None,
            event_id: self.uuid.as_deref(),
        }
    }
}

impl LedgerEvent {
    /// Returns what its name is made of.
    pub fn naming(&self) -> Naming<'_> {
        Naming {
            title: self.title.as_deref(),
            payload: None,
            record: self.record.as_deref(),
            feed_uri: self.feed_uri.as_deref(),
            event_id: self.event_id.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "3653b294-ac7b-4ee5-a5ac-1ca2f4b4e854";

    #[test]
    fn a_lab_result_is_called_so_wherever_it_is_named() {
        let payload = format!("/openelis/ws/rest/accession/{UUID}");
        let row = Naming { title: Some("accession"), payload: Some(&payload), ..Naming::default() };
        let ledger = Naming { title: Some("accession"), record: Some(UUID), ..Naming::default() };
        assert_eq!(row.event("OpenMRS"), "Lab result 3653b294…e854 → OpenMRS");
        assert_eq!(row.event("OpenMRS"), ledger.event("OpenMRS"));
        assert_eq!(row.spoken().as_deref(), Some("Lab result 3653b294"));
    }

    #[test]
    fn where_the_title_says_nothing_the_payload_and_the_feed_do() {
        let feed = Some("http://erp:8069/openerp/atomfeed/feed/product/recent");
        let product = Naming { title: Some("1125"), feed_uri: feed, event_id: Some("7"), ..Naming::default() };
        assert_eq!(product.record(), "Product 7");
        let path = Some("/openmrs/ws/rest/v1/encounter/x");
        assert_eq!(Naming { payload: path, ..product }.record(), "Encounter 7");
        assert_eq!(Naming { title: Some("Bed-Assignment"), ..Naming::default() }.record(), "Bed Assignment");
        assert_eq!(Naming::default().event("PACS"), "Event → PACS");
        assert_eq!(Naming { title: Some(" "), ..Naming::default() }.spoken(), None);
    }

    #[test]
    fn a_title_of_any_text_makes_no_endless_or_acting_name() {
        let long = "x\u{202e}".repeat(500);
        let name = Naming { title: Some(&long), ..Naming::default() }.record();
        assert!(name.chars().count() <= LONGEST_KIND && !name.contains('\u{202e}'), "{name}");
    }
}
