//! Names for the records of events: asked in batches, kept for a few minutes, and cut to what the reader may see.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::{
    kept::Wanted,
    lookup::{found, home, of_kind},
    viewed,
};
use crate::{
    error::Problem,
    model::{
        ApplicationInfo, Availability, FailedEventRow, Kind,
        ledger::LedgerEvent,
        operation::{Discarded, RowCourse},
        record::{PersonsShown, RecordKind, RecordName, RecordRef},
    },
    server::{
        operations::Actor,
        sources::{
            Source,
            records::{Encounter, EncountersBy, Order, OrdersBy, Other, Patient, PatientsBy, SamplesBy},
        },
        state::Console,
    },
};

/// How long a page waits for the names on it. Without them, it shows uuids.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Most samples whose patients are looked up one after the other.
const SAMPLES: usize = 10;

impl Wanted {
    /// Returns the record behind an event.
    pub fn of_event(console: &Console, payload: Option<&str>, feed: Option<&str>) -> Option<Self> {
        let (info, record) = home(console, payload?, feed)?;
        Some(Self { app: info.key.clone(), record })
    }

    /// Returns the record behind an event of which only the title and the uuid are kept.
    fn of_kept(console: &Console, title: Option<&str>, uuid: Option<&str>, feed: Option<&str>) -> Option<Self> {
        let (uuid, feed) = (uuid?, feed?);
        let kind = RecordKind::of_title(title?)?;
        let info: &ApplicationInfo = console.applications().find(|info| info.is_publisher_of(feed))?;
        Some(Self { app: info.key.clone(), record: RecordRef::new(kind, uuid) })
    }
}

/// Returns names for records, as the reader may see them. Records that are not found, or whose application does not
/// answer in time, have none.
async fn names(console: &Console, wanted: BTreeSet<Wanted>) -> BTreeMap<Wanted, RecordName> {
    if console.persons() == PersonsShown::Nothing {
        return BTreeMap::new();
    }
    let mut named = whole(console, wanted).await;
    for name in named.values_mut() {
        strip(console, name);
    }
    named
}

/// Returns names for records, whole as far as the reader's applications know them: see [`strip`]. An application that
/// did not answer in time is not asked again for a while, so that not every page of a list or a file waits for it.
pub(super) async fn whole(console: &Console, wanted: BTreeSet<Wanted>) -> BTreeMap<Wanted, RecordName> {
    let now = Instant::now();
    // A name can come from another application than the record's: those who see fewer applications get their own.
    let shared = Some(&console.parts.names).filter(|_| console.only().is_none());
    let mut named = BTreeMap::new();
    let mut open = BTreeMap::<String, Vec<RecordRef>>::new();
    for wanted in wanted {
        match shared.and_then(|names| names.known(&wanted, now)) {
            Some(name) => drop(named.insert(wanted, name)),
            None => open.entry(wanted.app).or_default().push(wanted.record),
        }
    }
    open.retain(|app, _| !console.parts.names.is_slow(app, now));
    let asked = open.into_iter().map(|(app, records)| async move {
        let asked = of_application(console, &app, &records);
        let Ok(found) = tokio::time::timeout(PATIENCE, asked).await else {
            tracing::debug!(app, "the names of records did not come in time");
            console.parts.names.was_slow(&app, Instant::now());
            return BTreeMap::new();
        };
        let mut found: HashMap<RecordRef, RecordName> =
            found.into_iter().map(|name| (name.record.clone(), name)).collect();
        let name = |record: RecordRef| {
            let name = found.remove(&record).unwrap_or_else(|| RecordName::unknown(record.clone()));
            (Wanted { app: app.clone(), record }, name)
        };
        records.into_iter().map(name).collect::<BTreeMap<_, _>>()
    });
    for found in futures::future::join_all(asked).await {
        if let Some(names) = shared {
            names.keep(&found, now);
        }
        named.extend(found);
    }
    named.retain(|_, name| name.label().is_some());
    named
}

/// Removes what the reader may not see.
pub fn strip(console: &Console, name: &mut RecordName) {
    match console.persons() {
        PersonsShown::Nothing => *name = RecordName::unknown(name.record.clone()),
        PersonsShown::Identifiers => name.person = None,
        PersonsShown::Names => {}
    }
}

/// An event on a page whose record has a name.
pub trait Named {
    /// Returns the record behind it.
    fn wanted(&self, console: &Console) -> Option<Wanted>;
    /// Sets what people call it.
    fn call(&mut self, wanted: Option<Wanted>, called: Option<String>);
}

impl Named for FailedEventRow {
    fn wanted(&self, console: &Console) -> Option<Wanted> {
        Wanted::of_event(console, self.payload.as_deref(), self.feed_uri.as_deref())
    }

    fn call(&mut self, wanted: Option<Wanted>, called: Option<String>) {
        self.called = called;
        self.of_record = wanted.map(|wanted| (wanted.app, wanted.record));
    }
}

impl Named for LedgerEvent {
    fn wanted(&self, console: &Console) -> Option<Wanted> {
        Wanted::of_kept(console, self.title.as_deref(), self.record.as_deref(), self.feed_uri.as_deref())
    }

    fn call(&mut self, _: Option<Wanted>, called: Option<String>) {
        self.called = called;
    }
}

impl Named for RowCourse {
    fn wanted(&self, console: &Console) -> Option<Wanted> {
        Wanted::of_kept(console, self.title.as_deref(), self.record.as_deref(), self.row.feed_uri.as_deref())
    }

    fn call(&mut self, _: Option<Wanted>, called: Option<String>) {
        self.called = called;
    }
}

impl Named for Discarded {
    fn wanted(&self, console: &Console) -> Option<Wanted> {
        Wanted::of_kept(console, self.title.as_deref(), self.record.as_deref(), self.feed_uri.as_deref())
    }

    fn call(&mut self, _: Option<Wanted>, called: Option<String>) {
        self.called = called;
    }
}

/// Adds to events of a page what people call their records, and records the view of the patients. `page` names it for
/// the audit log.
///
/// # Errors
/// Fails if the audit log cannot be written.
pub async fn call<'e, E: Named + 'e>(
    console: &Console,
    actor: &Actor,
    page: &str,
    events: impl IntoIterator<Item = &'e mut E>,
) -> Result<(), Problem> {
    let mut events: Vec<&mut E> = events.into_iter().collect();
    let wanted: Vec<Option<Wanted>> = events.iter().map(|event| event.wanted(console)).collect();
    let named = names(console, wanted.iter().flatten().cloned().collect()).await;
    let persons = named.values().filter(|name| name.shows_a_person()).filter_map(|name| name.patient.clone());
    viewed::record(console, actor, page, persons).await?;
    for (event, wanted) in events.iter_mut().zip(wanted) {
        let called = wanted.as_ref().and_then(|wanted| named.get(wanted)?.label());
        event.call(wanted, called);
    }
    Ok(())
}

/// Returns the names of an application's records that are found.
async fn of_application(console: &Console, app: &str, records: &[RecordRef]) -> Vec<RecordName> {
    let Ok(source) = console.source(app) else { return Vec::new() };
    match source.app().info.kind {
        Kind::Openmrs => of_openmrs(source, records).await,
        Kind::Openelis => of_openelis(console, source, records).await,
        // OpenERP 7 publishes products, whose uuid is that of a drug or a concept.
        Kind::Odoo => of_products(source, records).await,
        Kind::Pacs | Kind::Crater | Kind::Custom => Vec::new(),
    }
}

/// Returns the uuids of the records of one kind.
fn uuids(records: &[RecordRef], kind: RecordKind) -> Vec<String> {
    records.iter().filter(|record| record.kind == kind).map(|record| record.uuid.clone()).collect()
}

async fn of_openmrs(source: &Source, records: &[RecordRef]) -> Vec<RecordName> {
    let lacking = &mut Vec::new();
    let mut names = Vec::new();
    let patients = uuids(records, RecordKind::Patient);
    if !patients.is_empty() {
        let found = found(source.record_patients(PatientsBy::Uuids(&patients), true).await, source, lacking);
        names.extend(found.iter().map(patient_itself));
    }
    let encounters = uuids(records, RecordKind::Encounter);
    if !encounters.is_empty() {
        names.extend(of_encounters(source, RecordKind::Encounter, &encounters, lacking).await);
    }
    let orders = uuids(records, RecordKind::Order);
    if !orders.is_empty() {
        let orders = found(source.record_orders(OrdersBy::Uuids(&orders)).await, source, lacking);
        let owners: Vec<String> = orders.iter().filter_map(|order| order.patient.clone()).collect();
        let owners = found(source.record_patients(PatientsBy::Uuids(&owners), true).await, source, lacking);
        names.extend(orders.iter().map(|order| of_order(order, &owners)));
    }
    let named = |kind, others: Vec<Other>| {
        others.into_iter().map(move |other| RecordName {
            what: other.name,
            voided: other.retired,
            ..RecordName::unknown(RecordRef::new(kind, other.uuid))
        })
    };
    let concepts = uuids(records, RecordKind::Concept);
    if !concepts.is_empty() {
        let found = found(source.record_concepts(&concepts).await, source, lacking);
        names.extend(named(RecordKind::Concept, found));
    }
    let drugs = uuids(records, RecordKind::Drug);
    if !drugs.is_empty() {
        let found = found(source.record_drugs(&drugs).await, source, lacking);
        names.extend(named(RecordKind::Drug, found));
    }
    for (kind, table) in [
        (RecordKind::BedAssignment, "bed_patient_assignment_map"),
        (RecordKind::Programme, "patient_program"),
        (RecordKind::Appointment, "patient_appointment"),
    ] {
        let of_kind = uuids(records, kind);
        if of_kind.is_empty() {
            continue;
        }
        let owned = found(source.record_owners(table, &of_kind).await, source, lacking);
        let ids: Vec<i64> = owned.iter().filter_map(|other| other.patient_id).collect();
        let owners = found(source.record_patients(PatientsBy::Ids(&ids), true).await, source, lacking);
        for other in owned {
            if let Some(owner) = owners.iter().find(|owner| Some(owner.id) == other.patient_id) {
                names.push(of_patient(RecordRef::new(kind, other.uuid), owner));
            }
        }
    }
    for reason in lacking {
        tracing::debug!(app = source.app().info.key, reason, "a record has no name");
    }
    names
}

/// Returns a record of a patient with the patient's names.
pub(super) fn of_patient(record: RecordRef, patient: &Patient) -> RecordName {
    RecordName {
        patient: Some(patient.uuid.clone()),
        identifiers: patient.identifiers.clone(),
        person: patient.name.clone(),
        voided: patient.voided && record.kind == RecordKind::Patient,
        ..RecordName::unknown(record)
    }
}

/// Returns a patient's own name.
pub(super) fn patient_itself(patient: &Patient) -> RecordName {
    of_patient(RecordRef::new(RecordKind::Patient, &patient.uuid), patient)
}

/// Returns an order with the names of its patient, if that is among these.
pub(super) fn of_order(order: &Order, patients: &[Patient]) -> RecordName {
    let owner = patients.iter().find(|patient| Some(&patient.uuid) == order.patient.as_ref());
    let record = RecordRef::new(RecordKind::Order, &order.uuid);
    let name = owner.map_or_else(|| RecordName::unknown(record.clone()), |owner| of_patient(record.clone(), owner));
    RecordName { orders: vec![order.name()], at: order.created.clone(), voided: order.voided, ..name }
}

/// Returns the encounters with these uuids, each with its patient and orders.
async fn of_encounters(
    source: &Source,
    kind: RecordKind,
    uuids: &[String],
    lacking: &mut Vec<String>,
) -> Vec<RecordName> {
    let encounters = found(source.record_encounters(EncountersBy::Uuids(uuids)).await, source, lacking);
    let patients: Vec<i64> = encounters.iter().map(|encounter| encounter.patient_id).collect();
    let ids: Vec<i64> = encounters.iter().map(|encounter| encounter.id).collect();
    if encounters.is_empty() {
        return Vec::new();
    }
    let patients = found(source.record_patients(PatientsBy::Ids(&patients), true).await, source, lacking);
    let orders = found(source.record_orders(OrdersBy::Encounters(&ids)).await, source, lacking);
    let name = |encounter: Encounter| {
        let record = RecordRef::new(kind, &encounter.uuid);
        let patient = patients.iter().find(|patient| patient.id == encounter.patient_id);
        let name =
            patient.map_or_else(|| RecordName::unknown(record.clone()), |patient| of_patient(record.clone(), patient));
        let orders = orders.iter().filter(|order| order.encounter_id == encounter.id && !order.voided);
        RecordName {
            patient: name.patient.or(encounter.patient),
            what: encounter.encounter_type,
            at: encounter.at,
            orders: orders.map(|order| order.name()).collect(),
            voided: encounter.voided,
            ..name
        }
    };
    encounters.into_iter().map(name).collect()
}

/// Returns samples: their patient through OpenMRS, where their uuid is an encounter's, and their accession numbers.
async fn of_openelis(console: &Console, lab: &Source, records: &[RecordRef]) -> Vec<RecordName> {
    let lacking = &mut Vec::new();
    let samples = uuids(records, RecordKind::Accession);
    if samples.is_empty() {
        return Vec::new();
    }
    let mut names = Vec::new();
    for openmrs in of_kind(console, Kind::Openmrs) {
        names.extend(of_encounters(&openmrs, RecordKind::Accession, &samples, lacking).await);
    }
    let mut tests = match lab.record_lab_tests(SamplesBy::Uuids(&samples)).await {
        Ok(Availability::Here(tests)) => tests,
        Ok(Availability::NotHere(_)) | Err(_) => Vec::new(),
    };
    if tests.is_empty() {
        // Without an index on the sample's uuid, its patient leads there.
        for name in names.iter().take(SAMPLES) {
            let Some(patient) = &name.patient else { continue };
            let by = SamplesBy::Encounters { patient, encounters: std::slice::from_ref(&name.record.uuid) };
            tests.extend(found(lab.record_lab_tests(by).await, lab, lacking));
        }
    }
    for test in tests {
        let known = names.iter_mut().find(|name| name.record.uuid == test.sample);
        let name = match known {
            Some(name) => name,
            None => {
                let record = RecordRef::new(RecordKind::Accession, &test.sample);
                names.push(RecordName { patient: test.patient.clone(), ..RecordName::unknown(record) });
                let Some(new) = names.last_mut() else { continue };
                new
            }
        };
        name.accessions.extend(test.accession.filter(|number| !name.accessions.contains(number)));
    }
    names
}

async fn of_products(source: &Source, records: &[RecordRef]) -> Vec<RecordName> {
    let products = uuids(records, RecordKind::Drug);
    let found = found(source.record_products(&products).await, source, &mut Vec::new());
    found
        .into_iter()
        .map(|product| RecordName {
            what: product.name,
            voided: !product.active,
            ..RecordName::unknown(RecordRef::new(RecordKind::Drug, product.uuid))
        })
        .collect()
}
