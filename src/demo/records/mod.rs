//! The records behind the events of the demo hospital: patients, encounters, orders, samples and sale orders.
//!
//! Made after the events ([`invent()`]), so that they agree with them: what a consumer has read and not failed has arrived
//! in its tables, what failed or is not read yet has not. Ids are places in the lists here, counted from 1, plus an
//! offset for each table, so that no id of one table is right in another by chance.

pub(super) mod catalogue;
mod examples;
mod invent;
mod samples;
pub(super) mod schema;
mod write;

use std::{collections::HashMap, ops::Range};

use chrono::{DateTime, Utc};

pub(super) use examples::{Example, Station};
pub(super) use invent::invent;
pub(super) use write::{in_english, write};

use super::{System, faults::Fault, history::hyphenated, texts::Subject};
use catalogue::{Item, Kind, Person};

/// Patients that every system has known for long.
pub(super) const KNOWN: usize = 300;

/// Formats a time as MySQL's datetime.
pub(super) fn seconds(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Formats a time as PostgreSQL's timestamp, in UTC: Odoo itself writes that, whatever the zone of its server is.
pub(super) fn micros(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// All records.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub items: Vec<Item>,
    pub patients: Vec<Patient>,
    pub encounters: Vec<Encounter>,
    pub orders: Vec<Order>,
    pub beds: Vec<Bed>,
    pub programs: Vec<Program>,
    pub samples: Vec<Sample>,
    pub bills: Vec<Bill>,
    /// What only Odoo knows: uuid and name of its own products.
    pub products: Vec<(u128, String)>,
    pub examples: Vec<Example>,
    /// Where the record of an event is.
    places: HashMap<u128, Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Patient(usize),
    Encounter(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Patient {
    pub uuid: u128,
    pub at: DateTime<Utc>,
    pub person: Person,
    /// The place of the patient whose identifier this one has: usually its own.
    pub numbered: usize,
    /// `patient_identifier.preferred`; OpenELIS refuses patients without.
    pub preferred: bool,
    pub in_odoo: bool,
    pub in_elis: bool,
}

impl Patient {
    pub fn identifier(&self) -> String {
        catalogue::identifier(self.numbered as i64 + 1)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Encounter {
    pub uuid: u128,
    pub at: DateTime<Utc>,
    pub patient: usize,
    /// `encounter_type`
    pub kind: i64,
    pub has_location: bool,
    pub voided: bool,
    pub orders: Range<usize>,
    /// Whether each consumer has processed it.
    pub in_odoo: bool,
    pub in_elis: bool,
    pub in_pacs: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Order {
    pub uuid: u128,
    /// Place of its item.
    pub item: usize,
    /// The place of the order that this one cancels.
    pub cancels: Option<usize>,
    /// It is in `test_order`: no consumer is told of it.
    pub invisible: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Bed {
    pub uuid: u128,
    pub at: DateTime<Utc>,
    pub encounter: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Program {
    pub uuid: u128,
    pub patient: usize,
}

/// A sample in the laboratory, with the tests that were ordered.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// That of the encounter, if an encounter ordered it.
    pub uuid: u128,
    pub patient: usize,
    /// Place of its encounter, if OpenMRS has it.
    pub encounter: Option<usize>,
    pub items: Vec<usize>,
    pub entered: DateTime<Utc>,
    /// When it was collected, with its accession number.
    pub collected: Option<(DateTime<Utc>, String)>,
    /// When the results were entered.
    pub tested: Option<DateTime<Utc>>,
    /// When they were validated.
    pub validated: Option<DateTime<Utc>>,
    /// OpenMRS has processed an event of it.
    pub noticed: bool,
    /// When OpenMRS stored the results.
    pub reported: Option<DateTime<Utc>>,
}

/// A sale order: a draft collects the lines of a patient's encounters until it is confirmed.
#[derive(Clone, Debug)]
pub(super) struct Bill {
    pub patient: usize,
    pub at: DateTime<Utc>,
    pub confirmed: bool,
    /// Places of encounter and order.
    pub lines: Vec<(usize, usize)>,
}

impl Records {
    /// Returns what an error text says of the record of an event.
    pub fn subject(&self, fault: Fault, record: u128, position: u32, reader: System) -> Subject {
        let mut subject = Subject { record: hyphenated(record), number: position, name: None, reader };
        match self.places.get(&record) {
            Some(Place::Patient(patient)) => subject.name = Some(self.name(*patient)),
            Some(Place::Encounter(place)) => self.about_encounter(&mut subject, fault, &self.encounters[*place]),
            None => {}
        }
        subject
    }

    fn about_encounter(&self, subject: &mut Subject, fault: Fault, encounter: &Encounter) {
        let orders = || encounter.orders.clone();
        let ordered = |kind: Kind| orders().find(|order| self.items[self.orders[*order].item].kind == kind);
        match fault {
            Fault::PatientNotInElis => subject.record = hyphenated(self.patients[encounter.patient].uuid),
            Fault::TestNotSetUp | Fault::ConceptMissing => {
                if let Some(order) = ordered(Kind::Test) {
                    subject.record = hyphenated(self.items[self.orders[order].item].uuid);
                }
            }
            Fault::PanelMissing => {
                subject.name = ordered(Kind::Panel).map(|order| self.items[self.orders[order].item].name.clone());
            }
            Fault::MissingConceptSource | Fault::NoLocation => {
                if let Some(order) = ordered(Kind::Radiology) {
                    subject.record = hyphenated(self.orders[order].uuid);
                }
            }
            Fault::NothingToCancel => {
                if let Some(cancelled) = orders().find_map(|order| self.orders[order].cancels) {
                    subject.number = u32::try_from(cancelled + 1).unwrap_or(0);
                }
            }
            _ => {}
        }
    }

    fn name(&self, patient: usize) -> String {
        let person = &self.patients[patient].person;
        format!("{} {}", person.given, person.family)
    }

    fn encounter(&self, uuid: u128) -> Option<&Encounter> {
        match self.places.get(&uuid)? {
            Place::Encounter(place) => self.encounters.get(*place),
            Place::Patient(_) => None,
        }
    }

    /// Returns the uuid of the patient of an encounter.
    pub fn patient_of(&self, encounter: u128) -> Option<u128> {
        self.encounter(encounter).map(|encounter| self.patients[encounter.patient].uuid)
    }
}
