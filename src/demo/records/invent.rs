//! Invents the records that the events of the history are about.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;

use super::{
    Bed, Bill, Encounter, KNOWN, Order, Patient, Place, Program, Records,
    catalogue::{self, CONSULTATION, Item, Kind, Person},
    examples, samples,
};
use crate::demo::{
    Options,
    faults::Fault,
    history::{Category, Event, Failure, History, Share, again, uuid},
};

/// Patients that only OpenMRS knows: they were imported, and no event told of them.
const NEVER_TOLD: usize = 9;
/// Encounters that were saved in a way that raises no event.
const NOT_PUBLISHED: usize = 20;
/// One in so many encounters has an order that consumers ignore.
const RARE: usize = 300;

/// Adds the records to the history, and adapts the events of the laboratory, whose samples bear the uuids of encounters.
pub(in crate::demo) fn invent(options: &Options, history: &mut History) {
    let mut maker = Maker {
        now: options.now,
        // The history is invented first and stays the same whatever is invented here.
        rng: Rng::with_seed(options.seed ^ 0x0072_6563_6f72_6473),
        records: Records { items: catalogue::usual(), ..Records::default() },
        known: Pools::default(),
        seen: 0,
    };
    maker.people_of_old();
    maker.openmrs(history);
    samples::invent(&mut maker.rng, maker.now, &mut maker.records, history);
    maker.bills();
    let removed = maker.remove_a_line();
    maker.products(&history.odoo);
    let mut records = maker.records;
    records.examples = examples::choose(&records, history, removed);
    history.records = records;
}

/// The failures of one feed, by event.
pub(super) struct Failed(HashMap<u128, usize>);

impl Failed {
    pub fn of(share: &Share, category: Category) -> Self {
        let feed = category.feed();
        let of_feed = |failure: &Failure| failure.feed.as_ref() == Some(&feed);
        let failures = share.failures.iter().enumerate().filter(|(_, failure)| of_feed(failure));
        Self(failures.map(|(place, failure)| (failure.event.uuid, place)).collect())
    }

    pub fn has(&self, event: &Event) -> bool {
        self.0.contains_key(&event.uuid)
    }

    /// Returns the fault with which the event would fail again.
    pub fn fault(&self, share: &Share, event: &Event) -> Option<Fault> {
        self.0.get(&event.uuid).and_then(|place| share.failures.get(*place)).map(again)
    }

    /// Changes why the event failed.
    fn change(&self, share: &mut Share, event: &Event, fault: Fault) {
        if let Some(failure) = self.0.get(&event.uuid).and_then(|place| share.failures.get_mut(*place)) {
            (failure.first, failure.latest) = (fault, fault);
        }
    }
}

/// Places of patients, by whether Odoo and OpenELIS know them.
#[derive(Default)]
struct Pools {
    both: Vec<usize>,
    only_odoo: Vec<usize>,
    only_elis: Vec<usize>,
    neither: Vec<usize>,
    never_told: Vec<usize>,
}

impl Pools {
    fn of(&mut self, in_odoo: bool, in_elis: bool) -> &mut Vec<usize> {
        match (in_odoo, in_elis) {
            (true, true) => &mut self.both,
            (true, false) => &mut self.only_odoo,
            (false, true) => &mut self.only_elis,
            (false, false) => &mut self.neither,
        }
    }
}

/// What an encounter must have, so that it can have failed as it did.
#[derive(Clone, Copy, Default)]
struct Wanted {
    tests: Option<Fault>,
    lab: bool,
    drug: bool,
    radiology: bool,
    cancels: bool,
}

struct Maker {
    now: DateTime<Utc>,
    rng: Rng,
    records: Records,
    known: Pools,
    /// Number of encounters that no consumer failed.
    seen: usize,
}

impl Maker {
    fn people_of_old(&mut self) {
        for place in 0..KNOWN + NEVER_TOLD {
            let told = place < KNOWN;
            let at = self.now - TimeDelta::minutes(self.rng.i64(20 * 24 * 60..400 * 24 * 60));
            let record = uuid(&mut self.rng);
            self.patient(record, at, (told, told), true);
            // The last one was registered twice, and the second registration has the identifier of the first.
            if place == KNOWN - 1 {
                self.records.patients[place].numbered = 0;
            } else if told {
                self.known.both.push(place);
            } else {
                self.known.never_told.push(place);
            }
        }
    }

    fn patient(&mut self, record: u128, at: DateTime<Utc>, (in_odoo, in_elis): (bool, bool), preferred: bool) {
        let numbered = self.records.patients.len();
        let person = Person::invent(&mut self.rng);
        self.records.places.insert(record, Place::Patient(numbered));
        self.records.patients.push(Patient { uuid: record, at, person, numbered, preferred, in_odoo, in_elis });
    }

    fn openmrs(&mut self, history: &mut History) {
        let failed = |share: &Share, category| Failed::of(share, category);
        let (odoo, elis, pacs) = (
            failed(&history.odoo, Category::Encounter),
            failed(&history.openelis, Category::Encounter),
            failed(&history.pacs, Category::Encounter),
        );
        let odoo_patients = failed(&history.odoo, Category::Patient);
        let elis_patients = failed(&history.openelis, Category::Patient);
        let (odoo_lab, odoo_drugs) = (failed(&history.odoo, Category::Lab), failed(&history.odoo, Category::Drug));
        let read = history.odoo.read(&history.openmrs, Category::Encounter);
        let published = std::mem::take(&mut history.openmrs.published);
        for event in &published {
            match event.category {
                Category::Patient => {
                    let no_identifier = elis_patients.fault(&history.openelis, event) == Some(Fault::NoIdentifier);
                    let known = (!odoo_patients.has(event), !elis_patients.has(event));
                    let place = self.records.patients.len();
                    self.patient(event.record, event.at, known, !no_identifier);
                    self.known.of(known.0, known.1).push(place);
                }
                Category::Encounter if event.title == "Encounter" => {
                    self.encounter(event, history, [&odoo, &elis, &pacs], event.position <= read);
                }
                Category::Encounter if !self.records.encounters.is_empty() => {
                    let encounter = self.rng.usize(..self.records.encounters.len());
                    self.records.beds.push(Bed { uuid: event.record, at: event.at, encounter });
                }
                Category::Enrolment => {
                    let patient = self.any_known();
                    self.records.programs.push(Program { uuid: event.record, patient });
                }
                Category::Lab => self.item(event, !odoo_lab.has(event)),
                Category::Drug => self.item(event, !odoo_drugs.has(event)),
                Category::Saleable => self.item(event, true),
                _ => {}
            }
        }
        history.openmrs.published = published;
        for event in history.openmrs.queued.clone() {
            let wanted = Wanted { lab: true, drug: true, ..Wanted::default() };
            let patient = self.any_known();
            self.add(event.record, event.at, patient, wanted);
        }
        for _ in 0..NOT_PUBLISHED {
            let at = self.now - TimeDelta::minutes(self.rng.i64(60..3 * 24 * 60));
            let (record, patient) = (uuid(&mut self.rng), self.any_known());
            let wanted = Wanted { lab: true, drug: self.rng.bool(), ..Wanted::default() };
            self.add(record, at, patient, wanted);
        }
    }

    fn any_known(&mut self) -> usize {
        self.known.both[self.rng.usize(..self.known.both.len())]
    }

    /// Adds the record of an encounter event, with the patient and the orders that its failures are about.
    fn encounter(&mut self, event: &Event, history: &mut History, [odoo, elis, pacs]: [&Failed; 3], read: bool) {
        let mut in_odoo = odoo.fault(&history.odoo, event);
        let in_elis = elis.fault(&history.openelis, event);
        let in_pacs = pacs.fault(&history.pacs, event);
        let mut wanted = Wanted {
            tests: in_elis,
            lab: in_elis.is_some() || self.rng.u32(..100) < 30,
            drug: self.rng.u32(..100) < 45,
            radiology: in_pacs.is_some() || self.rng.u32(..100) < 15,
            cancels: in_pacs == Some(Fault::NothingToCancel),
        };
        let unknown = (in_odoo == Some(Fault::PatientNotInOdoo), in_elis == Some(Fault::PatientNotInElis));
        let patient = match self.unknown_patient(unknown, in_elis, &mut wanted) {
            Some(patient) => patient,
            None => {
                // No patient has failed yet: the incident of another day.
                if unknown.0 {
                    odoo.change(&mut history.odoo, event, Fault::OdooTimeout);
                    in_odoo = Some(Fault::OdooTimeout);
                }
                if unknown.1 {
                    elis.change(&mut history.openelis, event, Fault::PublisherTimeout);
                }
                self.any_known()
            }
        };
        if in_odoo.is_some() && !wanted.lab && !wanted.radiology {
            wanted.drug = true;
        }
        let quiet = in_odoo.is_none() && in_elis.is_none() && in_pacs.is_none();
        self.seen += usize::from(quiet);
        if quiet && (self.seen % RARE == RARE / 3 || self.seen % RARE == RARE / 2) {
            self.ignored(event, patient);
        } else {
            self.add(event.record, event.at, patient, wanted);
        }
        if let Some(encounter) = self.records.encounters.last_mut() {
            encounter.in_odoo = read && in_odoo.is_none();
            encounter.in_elis = in_elis.is_none();
            encounter.in_pacs = in_pacs.is_none();
            encounter.voided = in_elis == Some(Fault::Gone);
            encounter.has_location = in_pacs != Some(Fault::NoLocation);
        }
    }

    /// Returns a patient that the systems do not know; `None` if there is none yet, or if both must know the patient.
    fn unknown_patient(&mut self, unknown: (bool, bool), in_elis: Option<Fault>, wanted: &mut Wanted) -> Option<usize> {
        let never_told = match unknown {
            (false, false) => return None,
            // OpenELIS takes no offence at a patient without orders for the laboratory.
            (true, false) => in_elis.is_none() && (self.known.only_elis.is_empty() || self.rng.u32(..100) < 15),
            (true, true) => self.known.neither.is_empty() || self.rng.bool(),
            (false, true) => false,
        };
        if never_told && unknown == (true, false) {
            (wanted.lab, wanted.drug) = (false, true);
        }
        let pool = if never_told { &self.known.never_told } else { &*self.known.of(!unknown.0, !unknown.1) };
        (!pool.is_empty()).then(|| pool[self.rng.usize(..pool.len())])
    }

    /// Adds an encounter whose only order no consumer takes, by turns for one of two reasons.
    fn ignored(&mut self, event: &Event, patient: usize) {
        let invisible = self.seen % RARE == RARE / 2;
        let kind = if invisible { Kind::Test } else { Kind::Procedure };
        self.add(event.record, event.at, patient, Wanted::default());
        self.order(kind, invisible);
        if let Some(order) = self.records.orders.last_mut() {
            order.invisible = invisible;
        }
        if let Some(encounter) = self.records.encounters.last_mut() {
            encounter.orders.end = self.records.orders.len();
        }
    }

    fn add(&mut self, record: u128, at: DateTime<Utc>, patient: usize, wanted: Wanted) {
        let start = self.records.orders.len();
        match wanted.tests {
            Some(Fault::TestNotSetUp) => self.order(Kind::Test, false),
            Some(Fault::PanelMissing) => self.order(Kind::Panel, false),
            _ if wanted.lab => {
                let kind = if self.rng.u32(..100) < 30 { Kind::Panel } else { Kind::Test };
                self.order(kind, true);
            }
            _ => {}
        }
        for _ in 0..self.rng.usize(1..3) * usize::from(wanted.drug) {
            self.order(Kind::Drug, false);
        }
        if wanted.radiology {
            self.order(Kind::Radiology, false);
        }
        if wanted.cancels {
            let cancelled = self.records.orders.len() - 1;
            let order =
                Order { uuid: uuid(&mut self.rng), cancels: Some(cancelled), ..self.records.orders[cancelled].clone() };
            self.records.orders.push(order);
        }
        self.records.places.insert(record, Place::Encounter(self.records.encounters.len()));
        self.records.encounters.push(Encounter {
            uuid: record,
            at,
            patient,
            kind: CONSULTATION,
            has_location: true,
            voided: false,
            orders: start..self.records.orders.len(),
            in_odoo: false,
            in_elis: false,
            in_pacs: false,
        });
    }

    /// Adds an order of a kind. Of the laboratory's, one that OpenELIS knows or does not.
    fn order(&mut self, kind: Kind, in_elis: bool) {
        let item = catalogue::any(&mut self.rng, kind, in_elis);
        self.records.orders.push(Order { uuid: uuid(&mut self.rng), item, cancels: None, invisible: false });
    }

    /// Adds the concept or drug of an event. OpenELIS has read none of these.
    fn item(&mut self, event: &Event, in_odoo: bool) {
        let kind = Kind::of_title(event.title);
        let sold = event.category == Category::Saleable || kind != Kind::Other;
        let name = format!("Demo {} {}", event.title, event.position);
        let concept = if kind == Kind::Drug { uuid(&mut self.rng) } else { event.record };
        let in_odoo = in_odoo && sold;
        self.records.items.push(Item { kind, name, uuid: event.record, concept, in_elis: false, in_odoo });
    }

    /// Collects the orders that Odoo has read in sale orders.
    fn bills(&mut self) {
        let records = &mut self.records;
        let mut drafts = HashMap::<usize, usize>::new();
        for (place, encounter) in records.encounters.iter().enumerate().filter(|(_, encounter)| encounter.in_odoo) {
            let lines: Vec<_> = encounter.orders.clone().filter(|order| billed(records, *order)).collect();
            if lines.is_empty() {
                continue;
            }
            let bill = *drafts.entry(encounter.patient).or_insert_with(|| {
                let at = encounter.at + TimeDelta::seconds(20);
                records.bills.push(Bill { patient: encounter.patient, at, confirmed: false, lines: Vec::new() });
                records.bills.len() - 1
            });
            let bill = &mut records.bills[bill];
            bill.lines.extend(lines.into_iter().map(|order| (place, order)));
            bill.confirmed = self.rng.u32(..100) < 60;
            if bill.confirmed {
                drafts.remove(&encounter.patient);
            }
        }
    }

    /// Removes a line of a draft, as billing staff does; returns its order.
    fn remove_a_line(&mut self) -> Option<usize> {
        let fit = |bill: &&mut Bill| !bill.confirmed && bill.lines.len() > 1;
        let bill = self.records.bills.iter_mut().rfind(fit)?;
        bill.lines.pop().map(|(_, order)| order)
    }

    /// Adds what Odoo's own events are about.
    fn products(&mut self, odoo: &Share) {
        for event in odoo.published.iter().chain(&odoo.queued).filter(|event| event.category == Category::Product) {
            self.records.products.push((event.record, format!("Demo test {}", event.position)));
        }
    }
}

/// Returns whether Odoo makes a line of an order that it has read.
pub(super) fn billed(records: &Records, order: usize) -> bool {
    let order = &records.orders[order];
    !order.invisible && order.cancels.is_none() && records.items[order.item].kind != Kind::Procedure
}
