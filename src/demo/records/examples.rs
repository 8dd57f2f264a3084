//! Records that a user can follow on their way: one for each station at which the way can end.

use super::{
    Encounter, Records, Sample,
    catalogue::{Kind, identifier},
};
use crate::demo::{
    faults::Fault,
    history::{Category, Failure, History, again},
};

/// A record to follow, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::demo) struct Example {
    pub station: Station,
    /// Of an order, a sample or a patient.
    pub number: String,
}

/// Where a record's way ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demo) enum Station {
    TypeUnknown,
    Invisible,
    NeverPublished,
    Queued,
    Unread,
    Failed,
    PatientFailed,
    Gone,
    NotValidated,
    Arrived,
    SharedIdentifier,
}

impl Station {
    pub const ALL: [Self; 11] = [
        Self::TypeUnknown,
        Self::Invisible,
        Self::NeverPublished,
        Self::Queued,
        Self::Unread,
        Self::Failed,
        Self::PatientFailed,
        Self::Gone,
        Self::NotValidated,
        Self::Arrived,
        Self::SharedIdentifier,
    ];

    /// Returns its word in the demo's own database, its title, and what a user sees.
    fn texts(self) -> [&'static str; 3] {
        match self {
            Self::TypeUnknown => [
                "type-unknown",
                "Not expected",
                "Odoo has no order type for procedures, so it ignores this order. No event failed.",
            ],
            Self::Invisible => [
                "invisible",
                "Not expected by anyone",
                "OpenMRS stored this order as a test order, which it tells no consumer of.",
            ],
            Self::NeverPublished => [
                "never-published",
                "Never published",
                "The encounter was saved in a way that raises no event: it is only in OpenMRS.",
            ],
            Self::Queued => [
                "queued",
                "In the queue",
                "OpenMRS has not published the event of this encounter yet. Stop the publisher task below to see orders wait.",
            ],
            Self::Unread => [
                "unread",
                "Published, but not read",
                "Odoo's consumer has stopped reading encounters. OpenELIS and PACS have read this one.",
            ],
            Self::Failed => [
                "failed",
                "Failed itself",
                "OpenELIS lacks the test. Set up the tests, then retry the event, and the order arrives.",
            ],
            Self::PatientFailed => [
                "patient-failed",
                "Failed because its patient failed before",
                "Odoo does not know the patient. Retry the patient's own event first, then this one: alone it fails again.",
            ],
            Self::Gone => [
                "gone",
                "Read, but gone",
                "Odoo had this order in a draft sale order, and billing staff removed the line.",
            ],
            Self::NotValidated => [
                "not-validated",
                "Waits in the laboratory",
                "The results of this sample are entered, but not validated: OpenELIS raises no event before that.",
            ],
            Self::Arrived => ["arrived", "Arrived", "Ordered, tested and billed; the result is back in OpenMRS."],
            Self::SharedIdentifier => [
                "shared-identifier",
                "Two patients with one identifier",
                "Somebody was registered twice with this identifier: both are found.",
            ],
        }
    }

    pub fn word(self) -> &'static str {
        self.texts()[0]
    }

    pub fn title(self) -> &'static str {
        self.texts()[1]
    }

    pub fn expected(self) -> &'static str {
        self.texts()[2]
    }

    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|station| station.word() == word)
    }
}

/// Returns one example for each station; `removed` is the order whose line was removed. A very small hospital lacks
/// some.
pub(super) fn choose(records: &Records, history: &History, removed: Option<usize>) -> Vec<Example> {
    let choice = Choice { records, history };
    let number = |station| match station {
        Station::TypeUnknown => {
            choice.ordered(|order| records.items[records.orders[order].item].kind == Kind::Procedure)
        }
        Station::Invisible => choice.ordered(|order| records.orders[order].invisible),
        Station::NeverPublished => choice.last(|encounter| !choice.is_published(encounter)),
        Station::Queued => history.openmrs.queued.first().and_then(|event| choice.first_order(event.record)),
        Station::Unread => choice.unread(),
        Station::Failed => choice.failed(Category::Encounter, Fault::TestNotSetUp),
        Station::PatientFailed => choice.failed(Category::Encounter, Fault::PatientNotInOdoo),
        Station::Gone => removed.map(order_number),
        Station::NotValidated => choice.sample(|sample| sample.tested.is_some() && sample.validated.is_none()),
        Station::Arrived => choice.arrived(),
        Station::SharedIdentifier => Some(identifier(1)),
    };
    let example = |station| number(station).map(|number| Example { station, number });
    Station::ALL.into_iter().filter_map(example).collect()
}

fn order_number(place: usize) -> String {
    format!("ORD-{}", place + 1)
}

struct Choice<'a> {
    records: &'a Records,
    history: &'a History,
}

impl Choice<'_> {
    /// Returns the number of the last order that fits.
    fn ordered(&self, fits: impl Fn(usize) -> bool) -> Option<String> {
        (0..self.records.orders.len()).rev().find(|order| fits(*order)).map(order_number)
    }

    /// Returns the number of the first order of the last encounter that fits.
    fn last(&self, fits: impl Fn(&Encounter) -> bool) -> Option<String> {
        let encounters = self.records.encounters.iter().rev();
        let mut fitting = encounters.filter(|one| !one.orders.is_empty() && fits(one));
        fitting.next().map(|encounter| order_number(encounter.orders.start))
    }

    fn first_order(&self, encounter: u128) -> Option<String> {
        let encounter = self.records.encounter(encounter)?;
        (!encounter.orders.is_empty()).then(|| order_number(encounter.orders.start))
    }

    fn is_published(&self, encounter: &Encounter) -> bool {
        let mut events = self.history.openmrs.published.iter().chain(&self.history.openmrs.queued);
        encounter.kind != super::catalogue::CONSULTATION || events.any(|event| event.record == encounter.uuid)
    }

    /// Returns an order that all have but Odoo, which has not failed it either.
    fn unread(&self) -> Option<String> {
        let read = self.history.odoo.read(&self.history.openmrs, Category::Encounter);
        let published = self.history.openmrs.published.iter();
        let unread = published.filter(|event| event.title == "Encounter" && event.position > read);
        let uuids: std::collections::HashSet<u128> = unread.map(|event| event.record).collect();
        let billed = |one: &Encounter| one.orders.clone().all(|order| super::invent::billed(self.records, order));
        self.last(|one| uuids.contains(&one.uuid) && one.in_elis && one.in_pacs && billed(one))
    }

    /// Returns an order of an encounter that failed with this fault and nowhere else, and whose patient has an event.
    fn failed(&self, category: Category, fault: Fault) -> Option<String> {
        let patients = self.history.openmrs.published.iter().filter(|event| event.category == Category::Patient);
        let published: std::collections::HashSet<u128> = patients.map(|event| event.record).collect();
        let failures = self.history.odoo.failures.iter().chain(&self.history.openelis.failures).rev();
        let same = |failure: &&Failure| {
            failure.event.category == category && failure.first == fault && again(failure) == fault
        };
        failures.filter(same).find_map(|failure| {
            let one = self.records.encounter(failure.event.record)?;
            let patient = &self.records.patients[one.patient];
            let in_odoo = one.in_odoo || one.in_elis && !patient.in_odoo && published.contains(&patient.uuid);
            let only_here = in_odoo && one.in_pacs;
            if only_here { self.first_order(one.uuid) } else { None }
        })
    }

    fn sample(&self, fits: impl Fn(&Sample) -> bool) -> Option<String> {
        let sample = self.records.samples.iter().rev().find(|sample| fits(sample))?;
        sample.collected.as_ref().map(|(_, accession)| accession.clone())
    }

    fn arrived(&self) -> Option<String> {
        let reported = |sample: &&Sample| {
            let encounter = sample.encounter.and_then(|place| self.records.encounters.get(place));
            sample.reported.is_some() && encounter.is_some_and(|one| one.in_odoo && one.in_pacs)
        };
        let sample = self.records.samples.iter().rfind(reported)?;
        self.first_order(sample.uuid)
    }
}
