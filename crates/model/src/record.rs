//! Records: the patients, encounters, orders and results behind events, in the words that people use for them.
//!
//! The path of a payload says which kind of record it leads to. Administrators can change these paths (global
//! properties of OpenMRS), so the kind is taken from the segment or the query key that stands before the uuid, never
//! from the whole path. Pure types and functions.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    error_text::visible,
    payload::{self, Payload, short_id},
    stamp::Stamp,
    words::listed,
};

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    Patient,
    Encounter,
    Order,
    /// A sample of the laboratory with its tests. Its uuid is that of the encounter in which it was ordered.
    Accession,
    BedAssignment,
    Programme,
    Appointment,
    /// A test, a panel, a department or anything else that is a concept in OpenMRS.
    Concept,
    Drug,
}

impl RecordKind {
    pub const ALL: [RecordKind; 9] = [
        RecordKind::Patient,
        RecordKind::Encounter,
        RecordKind::Order,
        RecordKind::Accession,
        RecordKind::BedAssignment,
        RecordKind::Programme,
        RecordKind::Appointment,
        RecordKind::Concept,
        RecordKind::Drug,
    ];

    /// Returns the word in addresses.
    pub fn word(self) -> &'static str {
        match self {
            RecordKind::Patient => "patient",
            RecordKind::Encounter => "encounter",
            RecordKind::Order => "order",
            RecordKind::Accession => "accession",
            RecordKind::BedAssignment => "bed-assignment",
            RecordKind::Programme => "programme",
            RecordKind::Appointment => "appointment",
            RecordKind::Concept => "concept",
            RecordKind::Drug => "drug",
        }
    }

    /// Returns the words on pages, with a capital letter.
    pub fn in_words(self) -> &'static str {
        match self {
            RecordKind::Patient => "Patient",
            RecordKind::Encounter => "Encounter",
            RecordKind::Order => "Order",
            RecordKind::Accession => "Lab sample",
            RecordKind::BedAssignment => "Bed assignment",
            RecordKind::Programme => "Programme enrolment",
            RecordKind::Appointment => "Appointment",
            RecordKind::Concept => "Reference data",
            RecordKind::Drug => "Drug",
        }
    }

    /// Returns whether the record belongs to a patient, or is one.
    pub fn is_of_a_patient(self) -> bool {
        !matches!(self, RecordKind::Concept | RecordKind::Drug)
    }

    /// Returns the kind that an event's title stands for.
    pub fn of_title(title: &str) -> Option<Self> {
        Some(match title.trim().to_lowercase().as_str() {
            "bed-assignment" => RecordKind::BedAssignment,
            "progam enrollment" | "program enrollment" => RecordKind::Programme,
            "recurringappointments" => RecordKind::Appointment,
            "reference data" => RecordKind::Concept,
            title => return Self::of_segment(title),
        })
    }

    /// Returns the kind that a segment of a path, or a query key, stands for.
    fn of_segment(segment: &str) -> Option<Self> {
        Some(match segment.to_ascii_lowercase().as_str() {
            "patient" | "patientuuid" | "person" => RecordKind::Patient,
            "bahmniencounter" | "encounter" => RecordKind::Encounter,
            "order" => RecordKind::Order,
            "accession" => RecordKind::Accession,
            "bedpatientassignment" => RecordKind::BedAssignment,
            "programenrollment" => RecordKind::Programme,
            "appointment" | "appointments" | "recurring-appointments" => RecordKind::Appointment,
            "drug" => RecordKind::Drug,
            "concept"
            | "test"
            | "panel"
            | "sample"
            | "department"
            | "radiology"
            | "all-samples"
            | "all-tests-and-panels"
            | "resources" => RecordKind::Concept,
            _ => return None,
        })
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that is not a kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such kind of record")]
pub struct NoRecordKind;

impl FromStr for RecordKind {
    type Err = NoRecordKind;

    fn from_str(text: &str) -> Result<Self, NoRecordKind> {
        RecordKind::ALL.into_iter().find(|kind| kind.word() == text).ok_or(NoRecordKind)
    }
}

/// A record of an application, by its uuid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordRef {
    pub kind: RecordKind,
    /// As the application writes it: not always an RFC 4122 uuid.
    pub uuid: String,
}

/// The longest uuid: OpenELIS has columns of 100 characters for it, all others of 38.
pub const LONGEST_UUID: usize = 100;

impl RecordRef {
    pub fn new(kind: RecordKind, uuid: impl Into<String>) -> Self {
        Self { kind, uuid: uuid.into() }
    }

    /// Returns the record that a payload leads to. `category`: that of its feed, which decides for payloads that are not
    /// paths.
    pub fn of_payload(payload: &str, category: Option<&str>) -> Option<Self> {
        match payload::parse(payload) {
            Payload::Path(path) => Self::of_path(&path.path, path.query.as_deref()),
            Payload::Url(url) => {
                let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]))?;
                let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
                Self::of_path(path, query)
            }
            // OpenERP 7 publishes products as JSON: the uuid is that of the drug or concept.
            _ if category.is_some_and(|category| category.eq_ignore_ascii_case("product")) => {
                payload::record_uuid(payload).map(|uuid| Self::new(RecordKind::Drug, uuid))
            }
            _ => None,
        }
    }

    fn of_path(path: &str, query: Option<&str>) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        // `…/patient/<uuid>`, `…/encounter/<uuid>/more`.
        let named = segments.windows(2).rev().find_map(|pair| match pair {
            [kind, uuid] if is_uuid(uuid) => RecordKind::of_segment(kind).map(|kind| Self::new(kind, *uuid)),
            _ => None,
        });
        // `…/appointment?uuid=<uuid>`, `…/labOrderResults?patientUuid=<uuid>`.
        named.or_else(|| {
            query?.split('&').find_map(|pair| {
                let (key, uuid) = pair.split_once('=')?;
                let kind = if key.eq_ignore_ascii_case("uuid") {
                    segments.last().and_then(|segment| RecordKind::of_segment(segment))
                } else {
                    RecordKind::of_segment(key)
                };
                kind.filter(|_| is_uuid(uuid)).map(|kind| Self::new(kind, uuid))
            })
        })
    }

    /// Returns whether the uuid can be one.
    pub fn is_plausible(&self) -> bool {
        is_uuid(&self.uuid)
    }

    /// Returns kind and shortened uuid: what everybody may see.
    pub fn short(&self) -> String {
        format!("{} {}", self.kind.in_words(), short_id(&self.uuid))
    }
}

/// Returns whether a text can be the uuid of a record: 8 to 100 letters, digits and hyphens, with a digit in it.
pub fn is_uuid(text: &str) -> bool {
    (8..=LONGEST_UUID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// An order as people name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderName {
    pub uuid: String,
    /// `ORD-307`.
    pub number: Option<String>,
    /// The test or drug: `Haemoglobin`.
    pub what: Option<String>,
    /// `Lab Order`.
    pub order_type: Option<String>,
}

impl OrderName {
    /// Returns `ORD-307 Haemoglobin`.
    pub fn label(&self) -> String {
        let parts = [self.number.as_deref(), self.what.as_deref()];
        let label = parts.into_iter().flatten().map(visible).collect::<Vec<_>>().join(" ");
        if label.is_empty() { format!("order {}", short_id(&self.uuid)) } else { label }
    }
}

/// What people call a record, as far as the reader may know it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordName {
    pub record: RecordRef,
    /// The uuid of the patient that it belongs to.
    pub patient: Option<String>,
    /// The patient's identifiers, the preferred one first.
    pub identifiers: Vec<String>,
    /// The patient's name, where the reader may see names.
    pub person: Option<String>,
    /// Of an encounter: its type and time. Of reference data: its name.
    pub what: Option<String>,
    pub at: Option<Stamp>,
    pub orders: Vec<OrderName>,
    /// Accession numbers as printed.
    pub accessions: Vec<String>,
    /// Bills.
    pub bills: Vec<String>,
    /// It was removed from use in its application.
    pub voided: bool,
}

impl RecordName {
    /// Returns a name of which nothing but the record is known.
    pub fn unknown(record: RecordRef) -> Self {
        Self {
            record,
            patient: None,
            identifiers: Vec::new(),
            person: None,
            what: None,
            at: None,
            orders: Vec::new(),
            accessions: Vec::new(),
            bills: Vec::new(),
            voided: false,
        }
    }

    /// Returns what people call the record in one line: `GAN203007 · Consultation · ORD-307 Haemoglobin`. `None` if
    /// nothing is known.
    pub fn label(&self) -> Option<String> {
        const ORDERS: usize = 2;
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.identifiers.first().map(|identifier| visible(identifier)));
        parts.extend(self.person.as_deref().map(visible));
        parts.extend(self.accessions.iter().map(|accession| visible(accession)));
        parts.extend(self.what.as_deref().map(visible));
        if !self.orders.is_empty() {
            let mut shown: Vec<String> = self.orders.iter().take(ORDERS).map(OrderName::label).collect();
            if let Some(more) = self.orders.len().checked_sub(ORDERS).filter(|more| *more > 0) {
                shown.push(format!("{more} more"));
            }
            parts.push(listed(shown));
        }
        parts.extend(self.bills.iter().map(|bill| visible(bill)));
        if self.voided && !parts.is_empty() {
            parts.push("voided".to_owned());
        }
        (!parts.is_empty()).then(|| parts.join(" · "))
    }

    /// Returns whether it names a person.
    pub fn shows_a_person(&self) -> bool {
        !self.identifiers.is_empty() || self.person.is_some()
    }
}

/// How much of the persons behind records a reader may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PersonsShown {
    /// Kinds and uuids only.
    #[default]
    Nothing,
    /// Identifiers, orders and bills.
    Identifiers,
    /// The names of persons, too.
    Names,
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "3653b294-ac7b-4ee5-a5ac-1ca2f4b4e854";
    const CIEL: &str = "790AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn every_address_that_bahmni_publishes_leads_to_its_record() {
        use RecordKind::*;
        for (payload, kind) in [
            (format!("/openmrs/ws/rest/v1/patient/{UUID}?v=full"), Patient),
            (format!("/openmrs/ws/rest/v1/bahmnicore/bahmniencounter/{UUID}?includeAll=true"), Encounter),
            (format!("/openmrs/ws/rest/emrapi/encounter/{UUID}?includeAll=true"), Encounter),
            (format!("/openmrs/ws/rest/v1/bedPatientAssignment/{UUID}?v=custom:(uuid,bed)"), BedAssignment),
            (format!("/openmrs/ws/rest/v1/reference-data/panel/{UUID}"), Concept),
            (format!("/openmrs/ws/rest/v1/reference-data/test/{CIEL}"), Concept),
            (format!("/openmrs/ws/rest/v1/reference-data/drug/{UUID}"), Drug),
            (format!("/openmrs/ws/rest/v1/programenrollment/{UUID}?v=full"), Programme),
            (format!("/openmrs/ws/rest/v1/appointment?uuid={UUID}"), Appointment),
            (format!("/openmrs/ws/rest/v1/bahmnicore/labOrderResults?patientUuid={UUID}"), Patient),
            (format!("/openelis/ws/rest/accession/{UUID}"), Accession),
            (format!("http://openmrs:8080/openmrs/ws/rest/v1/patient/{UUID}?v=full"), Patient),
        ] {
            let record = RecordRef::of_payload(&payload, None);
            assert_eq!(record.as_ref().map(|record| record.kind), Some(kind), "{payload}");
            let uuid = record.map(|record| record.uuid);
            assert!(uuid.as_deref() == Some(UUID) || uuid.as_deref() == Some(CIEL), "{payload}");
        }
        for nothing in ["", "/openmrs/ws/rest/v1/patient/", "{\"id\":1}", "/openmrs/x/3653b294", "patient"] {
            assert_eq!(RecordRef::of_payload(nothing, None), None, "{nothing}");
        }
        let product = format!("{{\"uuid\":\"{UUID}\",\"name\":\"x\"}}");
        assert_eq!(RecordRef::of_payload(&product, Some("product")), Some(RecordRef::new(Drug, UUID)));
        assert_eq!(RecordRef::of_payload(&product, None), None);
    }

    #[test]
    fn a_name_says_what_is_known_and_counts_the_rest() {
        let order = |number: &str, what: Option<&str>| OrderName {
            uuid: UUID.into(),
            number: Some(number.into()),
            what: what.map(str::to_owned),
            order_type: None,
        };
        let unknown = RecordName::unknown(RecordRef::new(RecordKind::Encounter, UUID));
        assert_eq!(unknown.label(), None);
        let name = RecordName {
            identifiers: vec!["GAN203007".into(), "OLD-1".into()],
            what: Some("Consultation".into()),
            orders: vec![order("ORD-1", Some("Haemoglobin")), order("ORD-2", None), order("ORD-3", None)],
            voided: true,
            ..unknown
        };
        assert_eq!(
            name.label().as_deref(),
            Some("GAN203007 · Consultation · ORD-1 Haemoglobin, ORD-2 and 1 more · voided")
        );
    }
}
