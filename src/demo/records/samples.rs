//! Invents the laboratory's samples. Each event of the laboratory is about one: that it was collected, or its results.

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use std::collections::HashMap;

use super::{
    Encounter, Order, Place, Records, Sample,
    catalogue::{self, INVESTIGATION, Kind},
    invent::Failed,
};
use crate::demo::history::{Category, Event, History, uuid};

/// Adds the samples, and gives the events of the laboratory the uuids of their samples.
pub(super) fn invent(rng: &mut Rng, now: DateTime<Utc>, records: &mut Records, history: &mut History) {
    let of = |share| Failed::of(share, Category::Accession);
    let (openmrs, odoo) = (of(&history.openmrs), of(&history.odoo));
    let mut laboratory = Laboratory {
        rng,
        now,
        ordered: ordered(records),
        waiting: Vec::new(),
        collected: Vec::new(),
        failed: Vec::new(),
        today: HashMap::new(),
        records,
    };
    let mut renamed = HashMap::new();
    for event in &mut history.openelis.published {
        let failed = openmrs.has(event) || odoo.has(event);
        event.record = laboratory.event(event, failed, !openmrs.has(event));
        renamed.insert(event.uuid, event.record);
    }
    for event in &mut history.openelis.queued {
        // Nobody has heard of it.
        event.record = laboratory.event(event, true, false);
    }
    laboratory.close();
    for failure in history.openmrs.failures.iter_mut().chain(&mut history.odoo.failures) {
        if let Some(record) = renamed.get(&failure.event.uuid) {
            failure.event.record = *record;
        }
    }
}

/// Returns the encounters that OpenELIS has read and that order something of it, oldest last.
fn ordered(records: &Records) -> Vec<usize> {
    let encounters = records.encounters.iter().enumerate().rev();
    let read = encounters.filter(|(_, encounter)| encounter.in_elis && !tests(records, encounter).is_empty());
    read.map(|(place, _)| place).collect()
}

fn tests(records: &Records, encounter: &Encounter) -> Vec<usize> {
    let orders = records.orders[encounter.orders.clone()].iter().filter(|order| !order.invisible);
    let items = orders.map(|order| order.item);
    items.filter(|item| matches!(records.items[*item].kind, Kind::Test | Kind::Panel)).collect()
}

struct Laboratory<'a> {
    rng: &'a mut Rng,
    now: DateTime<Utc>,
    records: &'a mut Records,
    /// Encounters whose samples are not entered yet, oldest last.
    ordered: Vec<usize>,
    /// Samples that are not collected, and those without results: the newest last, whose turn it is.
    waiting: Vec<usize>,
    collected: Vec<usize>,
    /// By sample: one of its events has failed in a consumer.
    failed: Vec<bool>,
    /// The last accession number of each day.
    today: HashMap<chrono::NaiveDate, u32>,
}

impl Laboratory<'_> {
    /// Finds the sample that an event is about, and returns its uuid.
    fn event(&mut self, event: &Event, failed: bool, noticed: bool) -> u128 {
        self.enter(event.at);
        let finished = if self.rng.bool() { self.next(event.at, failed) } else { None };
        let place = match finished {
            Some(sample) => {
                self.finish(sample, event.at);
                sample
            }
            None => match self.waiting.pop() {
                Some(sample) => {
                    self.collect(sample, event.at);
                    sample
                }
                None => self.walk_in(event, noticed),
            },
        };
        let sample = &mut self.records.samples[place];
        sample.noticed |= noticed;
        if noticed && sample.validated == Some(event.at) {
            sample.reported = Some((event.at + TimeDelta::seconds(25)).min(self.now));
        }
        self.failed[place] |= failed;
        if sample.validated.is_none() {
            self.collected.push(place);
        }
        sample.uuid
    }

    /// Enters the samples of the encounters until then.
    fn enter(&mut self, until: DateTime<Utc>) {
        while let Some(place) =
            self.ordered.pop_if(|place| self.records.encounters[*place].at + TimeDelta::seconds(30) < until)
        {
            let encounter = &self.records.encounters[place];
            let sample = Sample {
                uuid: encounter.uuid,
                patient: encounter.patient,
                encounter: Some(place),
                items: tests(self.records, encounter),
                entered: (encounter.at + TimeDelta::seconds(15)).min(self.now),
                collected: None,
                tested: None,
                validated: None,
                noticed: false,
                reported: None,
            };
            self.waiting.push(self.records.samples.len());
            self.records.samples.push(sample);
            self.failed.push(false);
        }
    }

    /// Takes the newest sample whose results can be ready. Only one event of a sample fails: a consumer that failed
    /// two would wait for itself.
    fn next(&mut self, at: DateTime<Utc>, failed: bool) -> Option<usize> {
        let ready = |place: &usize| {
            let collected = self.records.samples[*place].collected.as_ref();
            collected.is_some_and(|(collected, _)| *collected + TimeDelta::minutes(40) < at)
                && !(failed && self.failed[*place])
        };
        let index = self.collected.iter().rposition(ready)?;
        Some(self.collected.remove(index))
    }

    fn collect(&mut self, place: usize, at: DateTime<Utc>) {
        let last = self.today.entry(at.date_naive()).or_default();
        *last += 1;
        self.records.samples[place].collected = Some((at, catalogue::accession(at.date_naive(), *last)));
    }

    fn finish(&mut self, place: usize, at: DateTime<Utc>) {
        let sample = &mut self.records.samples[place];
        sample.tested = Some(at - TimeDelta::minutes(10));
        sample.validated = Some(at);
    }

    /// Adds the sample of somebody who came to the laboratory without an order: OpenMRS hears of it by its event.
    fn walk_in(&mut self, event: &Event, noticed: bool) -> usize {
        let place = self.records.samples.len();
        let item = catalogue::any(self.rng, Kind::Test, true);
        let patient = self.rng.usize(..super::KNOWN - 1);
        let encounter = noticed.then(|| {
            let orders = &mut self.records.orders;
            orders.push(Order { uuid: uuid(self.rng), item, cancels: None, invisible: false });
            self.records.encounters.push(Encounter {
                uuid: event.record,
                at: event.at + TimeDelta::seconds(20),
                patient,
                kind: INVESTIGATION,
                has_location: true,
                voided: false,
                orders: orders.len() - 1..orders.len(),
                in_odoo: false,
                in_elis: false,
                in_pacs: false,
            });
            self.records.encounters.len() - 1
        });
        if let Some(encounter) = encounter {
            self.records.places.insert(event.record, Place::Encounter(encounter));
        }
        self.records.samples.push(Sample {
            uuid: event.record,
            patient,
            encounter,
            items: vec![item],
            entered: event.at,
            collected: None,
            tested: None,
            validated: None,
            noticed: false,
            reported: None,
        });
        self.failed.push(false);
        self.collect(place, event.at);
        place
    }

    /// Enters the rest. Every second collected sample has results that wait for validation: no event tells of them.
    fn close(&mut self) {
        self.enter(DateTime::<Utc>::MAX_UTC);
        for place in self.collected.iter().step_by(2) {
            let sample = &mut self.records.samples[*place];
            let tested = sample.collected.as_ref().map(|(collected, _)| *collected + TimeDelta::minutes(50));
            sample.tested = tested.filter(|tested| *tested <= self.now);
        }
    }
}
