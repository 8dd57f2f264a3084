//! Two weeks of the demo hospital: events published, where and when some failed, and how often they were retried.
//!
//! Everything derives from one seed and one `now`, so that the same two produce the same rows; times are relative to
//! `now`. Only plans are made here, some dozen bytes per row: the long texts are composed when the row is written.

use std::collections::HashSet;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use fastrand::Rng;

use super::{
    Options, System,
    faults::Fault,
    records::{self, Records},
};

/// Length of the history.
const DAYS: i64 = 14;
/// Entries per page of a feed: the usual row of chunking_history.
pub(super) const PAGE_ENTRIES: u32 = 5;
/// The limit of failed events at which Odoo connect stops a feed.
pub(super) const ODOO_LIMIT: usize = 1000;
/// From this number of failed events on, most are the backlog of a long outage: waiting, not exhausted.
const LARGE: u32 = 5000;

/// A category of published events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Category {
    Patient,
    Encounter,
    Lab,
    Drug,
    Saleable,
    Enrolment,
    Relationship,
    Accession,
    Product,
    SaleOrder,
}

impl Category {
    pub(super) const ALL: [Self; 10] = [
        Self::Patient,
        Self::Encounter,
        Self::Lab,
        Self::Drug,
        Self::Saleable,
        Self::Enrolment,
        Self::Relationship,
        Self::Accession,
        Self::Product,
        Self::SaleOrder,
    ];

    /// Returns the system that publishes it.
    pub(super) fn system(self) -> System {
        match self {
            Category::Accession => System::Openelis,
            Category::Product | Category::SaleOrder => System::Odoo,
            _ => System::Openmrs,
        }
    }

    /// Describes its content for people.
    pub(super) fn told(self) -> &'static str {
        match self {
            Category::Patient => "patients of OpenMRS",
            Category::Encounter => "encounters of OpenMRS",
            Category::Lab => "laboratory tests and panels of OpenMRS",
            Category::Drug => "drugs of OpenMRS",
            Category::Saleable => "what can be sold, of OpenMRS",
            Category::Enrolment => "program enrolments of OpenMRS",
            Category::Relationship => "relationships of OpenMRS",
            Category::Accession => "test results of OpenELIS",
            Category::Product => "products of Odoo",
            Category::SaleOrder => "sale orders of Odoo",
        }
    }

    /// Returns its word in `event_records.category`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Category::Patient | Category::Accession => "patient",
            Category::Encounter => "Encounter",
            Category::Lab => "lab",
            Category::Drug => "drug",
            Category::Saleable => "saleable",
            Category::Enrolment => "programenrollment",
            Category::Relationship => "relationship",
            Category::Product => "product",
            Category::SaleOrder => "sale_order",
        }
    }

    /// Returns the address of its feed's newest page.
    pub(super) fn feed(self) -> String {
        match self {
            Category::Accession => "http://openelis:8052/openelis/ws/feed/patient/recent".to_owned(),
            Category::Product | Category::SaleOrder => format!("http://odoo:8069/feed/{}/recent", self.word()),
            _ => format!("http://openmrs:8080/openmrs/ws/atomfeed/{}/recent", self.word().to_lowercase()),
        }
    }
}

/// A published event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub uuid: u128,
    pub at: DateTime<Utc>,
    pub category: Category,
    pub title: &'static str,
    /// The record that it refers to.
    pub record: u128,
    /// 1-based, within its category.
    pub position: u32,
}

impl Event {
    pub(super) fn entry_id(&self) -> String {
        format!("tag:atomfeed.ict4h.org:{}", hyphenated(self.uuid))
    }

    /// Returns the numbered page that contains it, below the feed's address.
    pub(super) fn page(&self, feed: &str) -> String {
        format!("{}{}", feed.trim_end_matches("recent"), (self.position - 1) / PAGE_ENTRIES + 1)
    }

    /// `event_records.object`.
    pub(super) fn content(&self) -> String {
        self.category.content(&hyphenated(self.record), self.title, self.position)
    }
}

impl Category {
    /// Returns the content of an event of this category about a record: nearly always the path of the record.
    pub(super) fn content(self, uuid: &str, title: &str, number: u32) -> String {
        match self {
            Category::Patient => format!("/openmrs/ws/rest/v1/patient/{uuid}?v=full"),
            Category::Encounter if title == "Bed-Assignment" => {
                format!("/openmrs/ws/rest/v1/bedPatientAssignment/{uuid}?v=custom:(uuid,patient,encounter)")
            }
            Category::Encounter => format!("/openmrs/ws/rest/v1/bahmnicore/bahmniencounter/{uuid}?includeAll=true"),
            Category::Lab | Category::Drug => format!("/openmrs/ws/rest/v1/reference-data/{title}/{uuid}"),
            Category::Saleable => format!("/openmrs/ws/rest/v1/reference-data/resources/{uuid}"),
            Category::Enrolment => format!("/openmrs/ws/rest/v1/programenrollment/{uuid}?v=full"),
            Category::Relationship => format!("/openmrs/ws/rest/v1/relationship/{uuid}"),
            Category::Accession => format!("/openelis/ws/rest/accession/{uuid}"),
            Category::Product => format!(
                r#"{{"category":"Test","uuid":"{uuid}","list_price":"{}.0","name":"Demo test {}","status":"active","type":"service","id":{}}}"#,
                number % 700,
                number,
                190 + number
            ),
            Category::SaleOrder => format!(
                r#"{{"uuid":"{uuid}","order_id":{},"state":"sale","lines":[{{"product":"Demo drug {}","quantity":"{}.00"}}]}}"#,
                9_007_199_254_740_993_u64 + u64::from(number),
                number % 60,
                number % 12 + 1
            ),
        }
    }
}

/// Formats a uuid in its usual form.
pub(super) fn hyphenated(uuid: u128) -> String {
    let digits = format!("{uuid:032x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// Returns a random uuid, version 4.
pub(super) fn uuid(rng: &mut Rng) -> u128 {
    (rng.u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62)
}

/// The schedule of an application's consumer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub max_retry: u32,
    pub interval_secs: i64,
}

/// A planned failed event.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub feed: Option<String>,
    pub event: Event,
    pub at: DateTime<Utc>,
    pub first: Fault,
    /// The fault of the later attempts.
    pub latest: Fault,
    pub retries: u32,
    /// Rows in the retry log: as many as retries, unless a user has reset them since.
    pub attempts: u32,
    /// Until when its consumer's job retried it; `None`: until the retries were used up, or it is not retried any more.
    pub tried_until: Option<DateTime<Utc>>,
    pub oddity: Option<Oddity>,
}

impl Failure {
    /// Returns when the attempt (1-based) failed.
    pub(super) fn attempt_at(&self, attempt: u32, schedule: Schedule) -> DateTime<Utc> {
        // A run takes a varying moment.
        let jitter = self.event.uuid.to_le_bytes().get(attempt as usize % 16).copied().unwrap_or(0);
        let intervals = |count| TimeDelta::seconds(i64::from(count) * schedule.interval_secs);
        let begun = match self.tried_until {
            None => self.at + intervals(attempt),
            Some(until) => until - intervals(self.attempts.saturating_sub(attempt) + 1),
        };
        begun + TimeDelta::milliseconds(i64::from(jitter) * 4)
    }
}

/// What makes a row difficult.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    NoTime,
    NoFeed,
    /// An error text of 200 KB.
    LongError,
    Json,
    Xml,
    Hl7,
    Text,
}

/// A row of `markers`.
#[derive(Clone, Debug)]
pub(super) struct Marker {
    pub feed: String,
    pub entry: Option<String>,
    pub page: String,
}

/// One application's part of the history.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    /// Oldest first, which is the order of the ids.
    pub failures: Vec<Failure>,
    pub markers: Vec<Marker>,
    /// Oldest first; empty if the application publishes nothing.
    pub published: Vec<Event>,
    /// The newest, which are not on the feed yet.
    pub queued: Vec<Event>,
}

impl Share {
    /// Returns the position of the event of a category that its consumer read last; 0 if it has read none.
    pub(super) fn read(&self, publisher: &Share, category: Category) -> u32 {
        let feed = category.feed();
        let Some(entry) =
            self.markers.iter().find(|marker| marker.feed == feed).and_then(|marker| marker.entry.as_ref())
        else {
            return 0;
        };
        let mut events = publisher.published.iter().rev().filter(|event| event.category == category);
        events.find(|event| event.entry_id() == *entry).map_or(0, |event| event.position)
    }
}

/// Returns the fault with which a failed event would fail again: that of its latest error.
pub(super) fn again(failure: &Failure) -> Fault {
    if failure.attempts > 0 { failure.latest } else { failure.first }
}

/// The whole history.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub openmrs: Share,
    pub openelis: Share,
    pub odoo: Share,
    pub pacs: Share,
    pub records: Records,
}

/// Number of events of each publisher that are not on the feed yet.
const QUEUED: usize = 2;

pub(super) const OPENMRS: Schedule = Schedule { max_retry: 5, interval_secs: 15 };
pub(super) const OPENELIS: Schedule = Schedule { max_retry: 10, interval_secs: 15 };
pub(super) const ODOO: Schedule = Schedule { max_retry: 5, interval_secs: 30 };
pub(super) const PACS: Schedule = Schedule { max_retry: 10, interval_secs: 15 };

/// Generates the history, and the records that it is about.
pub(super) fn invent(options: &Options) -> History {
    let mut history = invent_events(options);
    records::invent(options, &mut history);
    history
}

fn invent_events(options: &Options) -> History {
    let mut rng = Rng::with_seed(options.seed);
    let published = 6000 + 3 * options.events as usize;
    let mut maker = Maker { now: options.now, events: options.events, rng: &mut rng };
    let (openmrs, openmrs_queue) = maker.publish(published * 8 / 10, OPENMRS_CATEGORIES);
    let (openelis, openelis_queue) = maker.publish(published * 14 / 100, &[(Category::Accession, 1, &["accession"])]);
    let products: Kinds<'_> = &[(Category::Product, 3, &["product"]), (Category::SaleOrder, 2, &["sale_order"])];
    let (odoo, odoo_queue) = maker.publish(published * 6 / 100, products);

    let mut history = History {
        odoo: maker.odoo(&openmrs, &openelis),
        openelis: Share::default(),
        pacs: Share::default(),
        openmrs: maker.openmrs(&openelis, &odoo),
        records: Records::default(),
    };
    // Encounters that failed in Odoo fail in other applications, too: the same record fails in several.
    let shared: Vec<Event> = history.odoo.failures.iter().map(|failure| failure.event).collect();
    history.openelis = maker.openelis(&openmrs, &shared);
    history.pacs = maker.pacs(&openmrs, &shared);
    history.openmrs.published = openmrs;
    history.openelis.published = openelis;
    history.odoo.published = odoo;
    history.openmrs.queued = openmrs_queue;
    history.openelis.queued = openelis_queue;
    history.odoo.queued = odoo_queue;
    for share in [&mut history.openmrs, &mut history.openelis, &mut history.odoo, &mut history.pacs] {
        share.failures.sort_by_key(|failure| (failure.at, failure.event.uuid));
    }
    history
}

/// Categories with their weights and titles.
type Kinds<'a> = &'a [(Category, u32, &'a [&'static str])];

const OPENMRS_CATEGORIES: Kinds<'static> = &[
    (Category::Encounter, 62, &["Encounter", "Encounter", "Encounter", "Bed-Assignment"]),
    (Category::Patient, 19, &["Patient"]),
    (Category::Lab, 7, &["sample", "panel", "test", "test", "department", "radiology"]),
    (Category::Drug, 6, &["drug"]),
    (Category::Saleable, 3, &["reference data"]),
    (Category::Enrolment, 2, &["Progam Enrollment"]),
    (Category::Relationship, 1, &["Relationship"]),
];

/// One consumer's failures on one feed.
struct Plan<'a> {
    /// Their number, as a percentage of all.
    percent: u32,
    schedule: Schedule,
    /// The job that reads and retries them is switched on.
    at_work: bool,
    faults: &'a [Fault],
    /// An outage of some hours: its time, and the fault of every event in it.
    outage: Option<(std::ops::Range<DateTime<Utc>>, Fault)>,
}

struct Maker<'a> {
    now: DateTime<Utc>,
    events: u32,
    rng: &'a mut Rng,
}

impl Maker<'_> {
    /// Returns events of the last two weeks, oldest first, and the first kind's events that are not on the feed yet.
    fn publish(&mut self, count: usize, kinds: Kinds<'_>) -> (Vec<Event>, Vec<Event>) {
        let total: u32 = kinds.iter().map(|kind| kind.1).sum();
        let mut times: Vec<_> = (0..count).map(|_| self.working_time()).collect();
        times.sort_unstable();
        let mut positions = vec![0; kinds.len()];
        let event = |at| {
            let mut drawn = self.rng.u32(..total);
            let index = kinds.iter().position(|kind| match drawn.checked_sub(kind.1) {
                Some(rest) => {
                    drawn = rest;
                    false
                }
                None => true,
            });
            let index = index.unwrap_or(0);
            let (category, _, titles) = kinds[index];
            positions[index] += 1;
            let title = titles[self.rng.usize(..titles.len())];
            Event { uuid: uuid(self.rng), at, category, title, record: uuid(self.rng), position: positions[index] }
        };
        let published = times.into_iter().map(event).collect();
        let (category, _, titles) = kinds[0];
        let queued = (1..=QUEUED as u32).map(|ahead| Event {
            uuid: uuid(self.rng),
            at: self.now - TimeDelta::seconds(3 * i64::from(QUEUED as u32 - ahead)),
            category,
            title: titles[0],
            record: uuid(self.rng),
            position: positions[0] + ahead,
        });
        (published, queued.collect())
    }

    /// Returns a time in the last two weeks, with a hospital's rhythm: full mornings, quiet nights, slow Sundays.
    fn working_time(&mut self) -> DateTime<Utc> {
        loop {
            let at = self.now - TimeDelta::milliseconds(self.rng.i64(0..DAYS * 24 * 3_600_000));
            let there = at + TimeDelta::minutes(330);
            let hour = match there.hour() {
                9..=12 => 100,
                7..=8 | 13..=17 => 70,
                18..=21 => 30,
                _ => 8,
            };
            let day = if there.weekday() == chrono::Weekday::Sun { 40 } else { 100 };
            if self.rng.u32(..10_000) < hour * day {
                return at;
            }
        }
    }

    /// Returns when Odoo was down: for five hours in the morning three days ago.
    fn odoo_outage(&self) -> std::ops::Range<DateTime<Utc>> {
        let from = self.now - TimeDelta::hours(76);
        from..from + TimeDelta::hours(5)
    }

    fn odoo(&mut self, openmrs: &[Event], openelis: &[Event]) -> Share {
        let mut share = Share::default();
        let outage = Some((self.odoo_outage(), Fault::OdooDown));
        let mut add = |maker: &mut Self, events: &[Event], category, percent, faults: &[Fault]| {
            let at_work = category != Category::Drug;
            let plan = Plan { percent, schedule: ODOO, at_work, faults, outage: outage.clone() };
            share.failures.extend(maker.fail(&of(events, category), &plan));
        };
        add(self, openmrs, Category::Patient, 10, &[Fault::OdooLogin, Fault::OdooServerError, Fault::OdooTimeout]);
        add(self, openmrs, Category::Drug, 5, &[Fault::OdooServerError, Fault::OdooTimeout]);
        add(self, openmrs, Category::Lab, 6, &[Fault::OdooServerError, Fault::NoShop, Fault::OdooTimeout]);
        add(self, openelis, Category::Accession, 11, &[Fault::PreviousOrder, Fault::NoShop, Fault::OdooTimeout]);
        let stopped = self.stopped(&encounters(openmrs));
        // Nothing was read after the thousandth failure.
        share.markers.extend(stopped.last().map(|failure| marker(&failure.event)));
        share.failures.extend(stopped);
        // The drug feed's marker was deleted by hand: the console shows a feed without a marker.
        for category in [Category::Patient, Category::Lab, Category::Saleable] {
            share.markers.extend(of(openmrs, category).last().map(marker));
        }
        share.markers.extend(of(openelis, Category::Accession).last().map(marker));
        // Written by hand, with a letter missing: it belongs to no feed.
        share.markers.push(Marker {
            feed: "http://openmrs:8080/openmrs/ws/atomfeed/salable/recent".to_owned(),
            entry: Some(format!("tag:atomfeed.ict4h.org:{}", hyphenated(uuid(self.rng)))),
            page: "http://openmrs:8080/openmrs/ws/atomfeed/salable/1".to_owned(),
        });
        share
    }

    /// Fails the feed that reached its limit nine hours ago: patients missing in Odoo, and some timeouts.
    fn stopped(&mut self, encounters: &[Event]) -> Vec<Failure> {
        let end = self.now - TimeDelta::hours(9);
        let before: Vec<Event> = encounters.iter().copied().filter(|event| event.at < end).collect();
        let window = before.get(before.len().saturating_sub(ODOO_LIMIT * 7 / 5)..).unwrap_or_default();
        let plan = Plan {
            percent: 0,
            schedule: ODOO,
            at_work: true,
            faults: &[Fault::PatientNotInOdoo],
            outage: Some((self.odoo_outage(), Fault::OdooDown)),
        };
        let mut failures = self.fail_some(window, ODOO_LIMIT, &plan);
        for failure in &mut failures {
            // That was hours ago, so all retries are used up: the feed stays stopped until a user acts.
            (failure.retries, failure.attempts) = (ODOO.max_retry, ODOO.max_retry);
            failure.tried_until = None;
            match self.rng.u32(..100) {
                0..=11 => (failure.first, failure.latest) = (Fault::OdooTimeout, Fault::OdooTimeout),
                12..=29 => failure.first = Fault::OdooTimeout,
                _ => {}
            }
        }
        failures.sort_by_key(|failure| failure.event.position);
        failures
    }

    fn openelis(&mut self, openmrs: &[Event], shared: &[Event]) -> Share {
        let mut share = Share::default();
        let faults =
            [Fault::PatientNotInElis, Fault::PatientNotInElis, Fault::TestNotSetUp, Fault::PanelMissing, Fault::Gone];
        let plan = Plan { percent: 20, schedule: OPENELIS, at_work: true, faults: &faults, outage: None };
        share.failures = self.fail(&encounters(openmrs), &plan);
        share.failures.extend(self.fail(&of(shared, Category::Encounter), &Plan { percent: 5, ..plan }));
        let night = self.now - TimeDelta::hours(7 * 24 + 10);
        let faults = [Fault::NoIdentifier, Fault::Forbidden, Fault::PublisherTimeout];
        let outage = Some((night..night + TimeDelta::hours(6), Fault::PublisherDown));
        let plan = Plan { percent: 12, schedule: OPENELIS, at_work: true, faults: &faults, outage };
        let patients = self.fail(&of(openmrs, Category::Patient), &plan);
        // After the host was renamed a few events failed again, on the feed's old address.
        share.failures.extend(patients.iter().take(3).map(|failure| Failure {
            feed: Some("http://localhost:8050/openmrs/ws/atomfeed/patient/recent".to_owned()),
            at: failure.at - TimeDelta::hours(1),
            tried_until: None,
            ..failure.clone()
        }));
        share.failures.extend(patients);
        dedup(&mut share.failures);
        // A user has reset some exhausted ones; the consumer has not retried them yet.
        for failure in share.failures.iter_mut().filter(|failure| failure.retries == OPENELIS.max_retry).step_by(24) {
            failure.retries = 0;
        }
        for category in [Category::Patient, Category::Encounter] {
            share.markers.extend(of(openmrs, category).last().map(marker));
        }
        // As OpenELIS ships it: start with the first entry of the first page.
        let page = "http://openmrs:8080/openmrs/ws/atomfeed/lab/1".to_owned();
        share.markers.push(Marker { feed: Category::Lab.feed(), entry: None, page });
        share
    }

    fn pacs(&mut self, openmrs: &[Event], shared: &[Event]) -> Share {
        let mut share = Share::default();
        let faults = [
            Fault::MissingConceptSource,
            Fault::NothingToCancel,
            Fault::ModalityRejects,
            Fault::NoLocation,
            Fault::ModalityDown,
        ];
        let plan = Plan { percent: 12, schedule: PACS, at_work: true, faults: &faults, outage: None };
        share.failures = self.fail(&encounters(openmrs), &plan);
        share.failures.extend(self.fail(&of(shared, Category::Encounter), &Plan { percent: 4, ..plan }));
        dedup(&mut share.failures);
        // It does no harm while it is exhausted. Resetting it stops all retries of the feed.
        if let Some(failure) = share.failures.iter_mut().find(|failure| failure.retries == PACS.max_retry) {
            failure.oddity = Some(Oddity::NoTime);
        }
        share.markers.extend(of(openmrs, Category::Encounter).last().map(marker));
        share
    }

    fn openmrs(&mut self, openelis: &[Event], odoo: &[Event]) -> Share {
        let mut share = Share::default();
        let faults = [Fault::ConceptMissing, Fault::AccessionUnreadable, Fault::LoginPage];
        let plan = Plan { percent: 15, schedule: OPENMRS, at_work: true, faults: &faults, outage: None };
        share.failures = self.fail(openelis, &plan);
        share.markers.extend(openelis.last().map(marker));
        // An integration of the hospital itself, with payloads of every kind.
        let partner = "http://integration.example:8090/feed/results/recent";
        let oddities = [Oddity::Json, Oddity::Xml, Oddity::Hl7, Oddity::Text, Oddity::NoFeed, Oddity::LongError];
        for (index, (oddity, event)) in oddities.into_iter().zip(odoo.iter().rev()).enumerate() {
            let retries = index as u32 % (OPENMRS.max_retry + 1);
            let feed = match oddity {
                Oddity::NoFeed => None,
                Oddity::Json => Some(event.category.feed()),
                _ => Some(partner.to_owned()),
            };
            share.failures.push(Failure {
                feed,
                event: *event,
                at: event.at - TimeDelta::hours(2),
                first: Fault::AccessionUnreadable,
                latest: Fault::AccessionUnreadable,
                retries,
                attempts: retries,
                tried_until: None,
                oddity: Some(oddity),
            });
        }
        share
    }

    /// Returns failures among these events: the plan's percentage of all.
    fn fail(&mut self, events: &[Event], plan: &Plan<'_>) -> Vec<Failure> {
        let count = (u64::from(self.events) * u64::from(plan.percent)).div_ceil(100);
        self.fail_some(events, usize::try_from(count).unwrap_or(usize::MAX), plan)
    }

    fn fail_some(&mut self, events: &[Event], count: usize, plan: &Plan<'_>) -> Vec<Failure> {
        let during = |event: &Event| plan.outage.as_ref().is_some_and(|(outage, _)| outage.contains(&event.at));
        let (mut down, mut usual): (Vec<Event>, Vec<Event>) = events.iter().partition(|event| during(event));
        self.rng.shuffle(&mut down);
        self.rng.shuffle(&mut usual);
        // An outage causes a good part of the failures, never all.
        down.truncate(count * 2 / 5);
        let mut chosen: Vec<Event> = down.into_iter().chain(usual).take(count).collect();
        chosen.sort_by_key(|event| event.position);
        let of = chosen.len();
        chosen.into_iter().enumerate().map(|(rank, event)| self.failure(event, rank, of, plan)).collect()
    }

    /// Plans one failure; `rank` of `of` is its age: the newest are still waiting.
    fn failure(&mut self, event: Event, rank: usize, of: usize, plan: &Plan<'_>) -> Failure {
        let schedule = plan.schedule;
        let outage = plan.outage.as_ref().filter(|(outage, _)| outage.contains(&event.at)).map(|(_, fault)| *fault);
        let usual = plan.faults[self.rng.usize(..plan.faults.len())];
        let first = outage.unwrap_or(usual);
        let latest = if outage.is_some() || self.rng.u32(..100) >= 15 {
            first
        } else {
            plan.faults[self.rng.usize(..plan.faults.len())]
        };
        let latest = if outage.is_some() && self.rng.u32(..100) < 30 { usual } else { latest };
        let large = self.events >= LARGE;
        let exhausted = if large { 25 } else { 75 };
        let newest = rank * 10 >= of * 7;
        let retries = if !newest && self.rng.u32(..100) < exhausted {
            schedule.max_retry
        } else if large && !rank.is_multiple_of(4) {
            // The retry job has not processed it yet.
            0
        } else {
            // Every count below the limit occurs.
            (rank % schedule.max_retry as usize) as u32
        };
        let delay = TimeDelta::milliseconds(self.rng.i64(200..schedule.interval_secs * 1000));
        let at = (event.at + delay).min(self.now);
        // No attempt is in the future.
        let possible = (self.now - at).num_seconds() / schedule.interval_secs - 1;
        let retries = retries.min(u32::try_from(possible).unwrap_or(0));
        Failure {
            feed: Some(event.category.feed()),
            event,
            at,
            first,
            latest,
            retries,
            attempts: retries,
            // Waiting events are retried until now.
            tried_until: (plan.at_work && retries < schedule.max_retry).then_some(self.now),
            oddity: None,
        }
    }
}

/// Returns the events of one category.
fn of(events: &[Event], category: Category) -> Vec<Event> {
    events.iter().copied().filter(|event| event.category == category).collect()
}

/// Returns the events of real encounters. The others of the category assign beds: no consumer makes anything of them, so
/// none fails.
fn encounters(events: &[Event]) -> Vec<Event> {
    events.iter().copied().filter(|event| event.title == "Encounter").collect()
}

/// Returns the marker of a consumer that read this event last.
fn marker(event: &Event) -> Marker {
    let feed = event.category.feed();
    Marker { entry: Some(event.entry_id()), page: event.page(&feed), feed }
}

/// Keeps each event of a feed once, as a consumer does.
fn dedup(failures: &mut Vec<Failure>) {
    let mut seen = HashSet::new();
    failures.retain(|failure| seen.insert((failure.feed.clone(), failure.event.uuid)));
}
