//! The page of a record: what it is, what belongs to it, its failed events, and its way to every consumer.

use std::collections::BTreeSet;

use super::{
    arrivals::{Around, AtConsumer, accessions, is_of, unknown},
    kept::Wanted,
    lookup::{found, of_kind, published, read_to},
    names,
    names::{of_patient, patient_itself, strip},
    viewed,
    way::{Arrival, Facts, Progress, Publication, ignored, way},
};
use crate::{
    api::records::{RecordPage, RelatedRecord, Way},
    error::Problem,
    model::{
        ApplicationInfo, Availability, Feed, Kind, Stamp,
        feed::category_of,
        feed_names,
        ledger::LedgerEvent,
        record::{PersonsShown, RecordKind, RecordName, RecordRef},
    },
    server::{
        operations::Actor,
        sources::{
            Source, SourceError,
            records::{EncountersBy, LabTest, Order, OrdersBy, Patient, PatientsBy, SamplesBy},
        },
        state::Console,
    },
};

/// Most failed events of a record that its page shows.
const EVENTS: u32 = 50;

/// Returns the page of a record.
///
/// # Errors
/// Fails if the application is unknown, it has no such record, or its database does not answer.
pub async fn page(console: &Console, actor: &Actor, app: &str, record: RecordRef) -> Result<RecordPage, Problem> {
    let source = console.source(app)?;
    let info = source.app().info.clone();
    let mut reader = Reader::new(console, source, record);
    if console.persons() != PersonsShown::Nothing {
        match (info.kind, reader.name.record.kind) {
            (Kind::Openmrs, RecordKind::Patient) => reader.patient().await?,
            (Kind::Openmrs, RecordKind::Encounter) => reader.encounter().await?,
            (Kind::Openmrs, RecordKind::Order) => reader.order().await?,
            (Kind::Openelis, RecordKind::Accession) => reader.sample().await?,
            _ => reader.other().await,
        }
    }
    reader.finish(actor).await
}

/// Collects a page.
struct Reader<'c> {
    console: &'c Console,
    source: &'c Source,
    name: RecordName,
    facts: Vec<(String, String)>,
    related: Vec<RelatedRecord>,
    ways: Vec<Way>,
    /// Uuids whose failed events the page shows.
    uuids: BTreeSet<String>,
    lacking: Vec<String>,
    views: Vec<crate::model::ApplicationView>,
}

impl<'c> Reader<'c> {
    fn new(console: &'c Console, source: &'c Source, record: RecordRef) -> Self {
        let uuids = BTreeSet::from([record.uuid.clone()]);
        Self {
            console,
            source,
            name: RecordName::unknown(record),
            facts: Vec::new(),
            related: Vec::new(),
            ways: Vec::new(),
            uuids,
            lacking: Vec::new(),
            views: Vec::new(),
        }
    }

    fn info(&self) -> &'c ApplicationInfo {
        &self.source.app().info
    }

    fn not_there(&self) -> Problem {
        let name = &self.info().name;
        let what = self.name.record.kind.in_words().to_lowercase();
        Problem::not_found(
            format!("{name} has no {what} with this uuid."),
            "It was never saved there, was purged, or belongs to another application. Search for the uuid to see its \
             failed events.",
        )
    }

    /// Returns the answer of the record's own application; a part that may not be read is an empty answer.
    fn own<T: Default>(&mut self, answer: Result<Availability<T>, SourceError>) -> Result<T, Problem> {
        match answer {
            Err(error) => Err(error.into()),
            other => Ok(found(other, self.source, &mut self.lacking)),
        }
    }

    async fn one_patient(&mut self, by: PatientsBy<'_>) -> Result<Option<Patient>, Problem> {
        let patients = self.source.record_patients(by, true).await;
        Ok(self.own(patients)?.into_iter().next())
    }

    /// Adds another record of this application that belongs to this one.
    fn relate(&mut self, role: &str, name: RecordName) {
        self.related.push(RelatedRecord { app: self.info().key.clone(), name, role: role.to_owned() });
    }

    async fn patient(&mut self) -> Result<(), Problem> {
        let uuid = self.name.record.uuid.clone();
        let patient = self.one_patient(PatientsBy::Uuids(std::slice::from_ref(&uuid))).await?;
        let Some(patient) = patient else { return self.absent() };
        self.name = of_patient(self.name.record.clone(), &patient);
        if let Some(winner) = &patient.merged_into {
            let by = PatientsBy::Uuids(std::slice::from_ref(winner));
            if let Some(winner) = self.one_patient(by).await? {
                self.relate("Merged into", patient_itself(&winner));
            }
        }
        let encounters = self.source.record_encounters(EncountersBy::OrdersOfPatient(patient.id)).await;
        let encounters = self.own(encounters)?;
        let ids: Vec<i64> = encounters.iter().map(|encounter| encounter.id).collect();
        let orders = self.source.record_orders(OrdersBy::Encounters(&ids)).await;
        let orders = self.own(orders)?;
        for encounter in encounters {
            self.uuids.insert(encounter.uuid.clone());
            let of_encounter = orders.iter().filter(|order| order.encounter_id == encounter.id);
            let name = RecordName {
                what: encounter.encounter_type,
                at: encounter.at,
                orders: of_encounter.map(Order::name).collect(),
                voided: encounter.voided,
                ..RecordName::unknown(RecordRef::new(RecordKind::Encounter, encounter.uuid))
            };
            self.relate("Encounter", name);
        }
        self.views = self.console.views().await;
        let events = self.events_of(std::slice::from_ref(&uuid)).await?;
        let publication = self.publication(&uuid).await;
        for consumer in self.consumers(&[Kind::Openelis, Kind::Odoo, Kind::Crater]) {
            let arrival = self.arrival_of_patient(&consumer, &patient).await;
            let info = &consumer.app().info;
            self.ways.push(way(Facts {
                what: "The patient".to_owned(),
                record: None,
                consumer: info,
                saved: None,
                ignored: None,
                unfinished: None,
                progress: self.progress(info, "patient"),
                publication: publication.clone(),
                failed: events.iter().filter(|event| event.app == info.key).collect(),
                failed_of_patient: Vec::new(),
                arrival,
            }));
        }
        Ok(())
    }

    async fn arrival_of_patient(&self, consumer: &Source, patient: &Patient) -> Arrival {
        let name = &consumer.app().info.name;
        match consumer.app().info.kind {
            Kind::Openelis => match consumer.record_lab_patient(&patient.uuid).await {
                Ok(Availability::Here(copies)) => match copies.first() {
                    Some(copy) => Arrival::There {
                        at: copy.changed.clone(),
                        evidence: "the patient by uuid".to_owned(),
                        note: None,
                    },
                    None => Arrival::Missing,
                },
                other => unknown(other, name),
            },
            // It posts to another program's API, whose errors it ignores: even a read event proves nothing.
            Kind::Crater => Arrival::Unknown(format!(
                "{name} keeps no copy of what it has read. Whether the patient is there is seen in Crater itself only."
            )),
            _ => match consumer.record_partners(&patient.identifiers).await {
                Ok(Availability::Here(copies)) => match copies.as_slice() {
                    [] => Arrival::Missing,
                    copies => {
                        let twice = (copies.len() > 1).then(|| {
                            "There are several customers with its identifiers: an identifier was changed, or given twice."
                                .to_owned()
                        });
                        let first = copies.first();
                        let archived = first.filter(|copy| !copy.active).map(|_| "It is archived.".to_owned());
                        let identifier = first.and_then(|copy| copy.identifier.clone()).unwrap_or_default();
                        Arrival::There {
                            at: first.and_then(|copy| copy.changed.clone()),
                            evidence: format!("customer {identifier}"),
                            note: twice.or(archived),
                        }
                    }
                },
                other => unknown(other, name),
            },
        }
    }

    async fn encounter(&mut self) -> Result<(), Problem> {
        let uuid = self.name.record.uuid.clone();
        let encounters = self.source.record_encounters(EncountersBy::Uuids(std::slice::from_ref(&uuid))).await;
        let Some(encounter) = self.own(encounters)?.into_iter().next() else { return self.absent() };
        let patient = self.one_patient(PatientsBy::Ids(&[encounter.patient_id])).await?;
        let orders = self.source.record_orders(OrdersBy::Encounters(&[encounter.id])).await;
        let orders = self.own(orders)?;
        if let Some(patient) = &patient {
            let record = self.name.record.clone();
            self.name = RecordName { voided: false, ..of_patient(record, patient) };
            self.relate("Patient", patient_itself(patient));
        }
        self.name.what.clone_from(&encounter.encounter_type);
        self.name.at.clone_from(&encounter.at);
        self.name.voided = encounter.voided;
        self.name.orders = orders.iter().map(Order::name).collect();
        self.facts.extend(encounter.location.map(|location| ("Location".to_owned(), location)));
        for order in &orders {
            let record = RecordRef::new(RecordKind::Order, &order.uuid);
            self.relate("Order", RecordName { orders: vec![order.name()], ..RecordName::unknown(record) });
        }
        let saved = encounter.changed.or(encounter.created);
        self.orders(&uuid, saved, patient.as_ref(), &orders, true).await
    }

    async fn order(&mut self) -> Result<(), Problem> {
        let uuid = self.name.record.uuid.clone();
        let orders = self.source.record_orders(OrdersBy::Uuids(std::slice::from_ref(&uuid))).await;
        let Some(order) = self.own(orders)?.into_iter().next() else { return self.absent() };
        let patient = match &order.patient {
            Some(patient) => self.one_patient(PatientsBy::Uuids(std::slice::from_ref(patient))).await?,
            None => None,
        };
        if let Some(patient) = &patient {
            self.name = of_patient(self.name.record.clone(), patient);
            self.relate("Patient", patient_itself(patient));
        }
        self.name.orders = vec![order.name()];
        self.name.at.clone_from(&order.created);
        self.name.voided = order.voided;
        let facts =
            [("Type", order.order_type.clone()), ("Action", order.action.clone().map(|action| action.to_lowercase()))];
        self.facts.extend(facts.into_iter().filter_map(|(label, value)| Some((label.to_owned(), value?))));
        let Some(encounter) = order.encounter.clone() else { return Ok(()) };
        self.uuids.insert(encounter.clone());
        self.relate("Encounter", RecordName::unknown(RecordRef::new(RecordKind::Encounter, &encounter)));
        let saved = order.created.clone();
        self.orders(&encounter, saved, patient.as_ref(), std::slice::from_ref(&order), false).await?;
        self.results(&encounter, &order, patient.as_ref()).await
    }

    /// Adds the ways of orders to the consumers. `apart`: each order has a page of its own.
    async fn orders(
        &mut self,
        encounter: &str,
        saved: Option<Stamp>,
        patient: Option<&Patient>,
        orders: &[Order],
        apart: bool,
    ) -> Result<(), Problem> {
        self.views = self.console.views().await;
        let mut uuids = vec![encounter.to_owned()];
        uuids.extend(patient.map(|patient| patient.uuid.clone()));
        let around = Around { patient, orders, events: self.events_of(&uuids).await? };
        let publication = self.publication(encounter).await;
        for consumer in self.consumers(&[Kind::Openelis, Kind::Odoo, Kind::Pacs]) {
            let info = &consumer.app().info;
            let at_consumer = AtConsumer::read(&consumer, encounter, &around).await;
            let progress = self.progress(info, "encounter");
            let (failed, failed_of_patient): (Vec<_>, Vec<_>) = around
                .events
                .iter()
                .filter(|event| event.app == info.key)
                .partition(|event| event.record.as_deref() == Some(encounter));
            for order in orders {
                let product = at_consumer.has_product(order);
                self.ways.push(way(Facts {
                    what: order.name().label(),
                    record: apart.then(|| (self.info().key.clone(), RecordRef::new(RecordKind::Order, &order.uuid))),
                    consumer: info,
                    saved: saved.clone(),
                    ignored: ignored(order, info, at_consumer.types.as_deref(), product),
                    unfinished: None,
                    publication: publication.clone(),
                    progress: progress.clone(),
                    failed: failed.clone(),
                    failed_of_patient: failed_of_patient.clone(),
                    arrival: at_consumer.arrival(order),
                }));
            }
        }
        Ok(())
    }

    /// Adds the way of a lab order's result back to OpenMRS.
    async fn results(&mut self, encounter: &str, order: &Order, patient: Option<&Patient>) -> Result<(), Problem> {
        let Some(patient) = patient.filter(|_| order.order_type.as_deref() == Some("Lab Order")) else { return Ok(()) };
        for lab in self.consumers(&[Kind::Openelis]) {
            let encounters = [encounter.to_owned()];
            let by = SamplesBy::Encounters { patient: &patient.uuid, encounters: &encounters };
            let tests = found(lab.record_lab_tests(by).await, &lab, &mut self.lacking);
            let tests: Vec<LabTest> = tests.into_iter().filter(|test| is_of(test, order)).collect();
            if tests.is_empty() {
                continue;
            }
            self.name.accessions.extend(accessions(&tests));
            let key = lab.app().info.key.clone();
            let sample = RecordRef::new(RecordKind::Accession, encounter);
            let accessions = accessions(&tests);
            let name = RecordName { accessions, ..RecordName::unknown(sample) };
            self.related.push(RelatedRecord { app: key, name, role: "Lab sample".to_owned() });
            let result = self.source.record_results(&[order.id]).await;
            let arrival = match result {
                Ok(Availability::Here(results)) => match results.into_iter().next() {
                    Some(result) => Arrival::There { at: result.saved, evidence: "a result".to_owned(), note: None },
                    None => Arrival::Missing,
                },
                other => unknown(other, &self.info().name),
            };
            let way =
                self.result_way(&lab, encounter, &tests, format!("The result of {}", order.name().label()), arrival);
            let way = way.await?;
            self.ways.push(way);
        }
        Ok(())
    }

    /// Returns the way of results from the laboratory to this OpenMRS (or, on a sample's page, to the OpenMRS of its
    /// encounter).
    async fn result_way(
        &self,
        lab: &Source,
        sample: &str,
        tests: &[LabTest],
        what: String,
        arrival: Arrival,
    ) -> Result<Way, Problem> {
        let openmrs = match self.info().kind {
            Kind::Openmrs => self.info(),
            _ => match self.console.applications().find(|info| info.kind == Kind::Openmrs) {
                Some(info) => info,
                None => self.info(),
            },
        };
        let events = self.events_of(&[sample.to_owned()]).await?;
        Ok(way(Facts {
            what,
            record: None,
            consumer: openmrs,
            saved: tests.iter().filter_map(|test| test.changed.clone()).max_by_key(|stamp| stamp.at),
            ignored: None,
            unfinished: unfinished(tests, &lab.app().info.name),
            publication: publication(self.console, lab, sample, "patient").await,
            progress: progress(&self.views, &lab.app().info, openmrs, "patient"),
            failed: events.iter().filter(|event| event.app == openmrs.key).collect(),
            failed_of_patient: Vec::new(),
            arrival,
        }))
    }

    async fn sample(&mut self) -> Result<(), Problem> {
        let uuid = self.name.record.uuid.clone();
        let samples = std::slice::from_ref(&uuid);
        let wanted = Wanted { app: self.info().key.clone(), record: self.name.record.clone() };
        let mut known = names::whole(self.console, BTreeSet::from([wanted.clone()])).await;
        let patient = known.remove(&wanted).map(|name| {
            self.name = name;
            self.name.patient.clone()
        });
        let tests = match patient.flatten() {
            Some(patient) => {
                let by = SamplesBy::Encounters { patient: &patient, encounters: samples };
                let tests = self.source.record_lab_tests(by).await;
                self.own(tests)?
            }
            None => {
                let tests = self.source.record_lab_tests(SamplesBy::Uuids(samples)).await;
                self.own(tests)?
            }
        };
        if tests.is_empty() {
            return self.absent();
        }
        self.name.at = tests.iter().find_map(|test| test.entered.clone());
        for test in &tests {
            let name = test.test.clone().unwrap_or_else(|| "a test".to_owned());
            self.facts.push((name, test.status.clone().unwrap_or_else(|| "status not known".to_owned())));
        }
        self.views = self.console.views().await;
        let mut arrival = Arrival::Unknown("No OpenMRS is shown to you: the result cannot be looked up.".to_owned());
        for openmrs in of_kind(self.console, Kind::Openmrs) {
            let encounters = openmrs.record_encounters(EncountersBy::Uuids(samples)).await;
            let Some(encounter) = found(encounters, &openmrs, &mut self.lacking).into_iter().next() else { continue };
            let orders = openmrs.record_orders(OrdersBy::Encounters(&[encounter.id])).await;
            let orders = found(orders, &openmrs, &mut self.lacking);
            let key = openmrs.app().info.key.clone();
            let record = RecordRef::new(RecordKind::Encounter, &encounter.uuid);
            let name = RecordName { what: encounter.encounter_type, at: encounter.at, ..RecordName::unknown(record) };
            self.related.push(RelatedRecord { app: key, name, role: "Encounter".to_owned() });
            let lab: Vec<&Order> = orders.iter().filter(|order| tests.iter().any(|test| is_of(test, order))).collect();
            let ids: Vec<i64> = lab.iter().map(|order| order.id).collect();
            arrival = match openmrs.record_results(&ids).await {
                Ok(Availability::Here(results)) if results.is_empty() => Arrival::Missing,
                Ok(Availability::Here(results)) => Arrival::There {
                    at: results.iter().filter_map(|result| result.saved.clone()).max_by_key(|stamp| stamp.at),
                    evidence: format!("results of {} of {} orders", results.len(), lab.len()),
                    note: None,
                },
                other => unknown(other, &openmrs.app().info.name),
            };
        }
        let way = self.result_way(self.source, &uuid, &tests, "The results".to_owned(), arrival).await?;
        if way.consumer.key != self.info().key {
            self.ways.push(way);
        }
        Ok(())
    }

    /// Reference data, and records that only have a name.
    async fn other(&mut self) {
        let wanted = Wanted { app: self.info().key.clone(), record: self.name.record.clone() };
        let mut known = names::whole(self.console, BTreeSet::from([wanted.clone()])).await;
        match known.remove(&wanted) {
            Some(name) => self.name = name,
            None => {
                self.lacking.push(format!("{} has no such record, or the account may not read it.", self.info().name))
            }
        }
        if self.name.record.kind.is_of_a_patient() {
            if let Some(patient) = self.name.patient.clone() {
                let record = RecordRef::new(RecordKind::Patient, patient);
                self.relate("Patient", RecordName { record, ..self.name.clone() });
            }
            return;
        }
        let uuids = [self.name.record.uuid.clone()];
        self.views = self.console.views().await;
        let Ok(events) = self.events_of(&uuids).await else { return };
        let category = if self.name.record.kind == RecordKind::Drug { "drug" } else { "lab" };
        let publication = self.publication(&uuids[0]).await;
        for consumer in self.consumers(&[Kind::Openelis, Kind::Odoo]) {
            let info = &consumer.app().info;
            let answer = match info.kind {
                Kind::Odoo => consumer.record_products(&uuids).await,
                // OpenELIS keeps no drugs.
                _ if self.name.record.kind == RecordKind::Drug => continue,
                _ => consumer.record_lab_references(&uuids).await,
            };
            let arrival = match answer {
                Ok(Availability::Here(products)) => match products.first() {
                    Some(product) => Arrival::There {
                        at: None,
                        evidence: product.name.clone().unwrap_or_else(|| "it by uuid".to_owned()),
                        note: (!product.active)
                            .then(|| "It is archived, which counts as missing for orders.".to_owned()),
                    },
                    None => Arrival::Missing,
                },
                other => unknown(other, &info.name),
            };
            self.ways.push(way(Facts {
                what: "The record".to_owned(),
                record: None,
                consumer: info,
                saved: None,
                ignored: None,
                unfinished: None,
                progress: self.progress(info, category),
                publication: publication.clone(),
                failed: events.iter().filter(|event| event.app == info.key).collect(),
                failed_of_patient: Vec::new(),
                arrival,
            }));
        }
    }

    /// The record is not in its application: an error, unless something could not be read.
    fn absent(&self) -> Result<(), Problem> {
        if self.lacking.is_empty() { Err(self.not_there()) } else { Ok(()) }
    }

    fn consumers(&self, kinds: &[Kind]) -> Vec<std::sync::Arc<Source>> {
        kinds.iter().flat_map(|kind| of_kind(self.console, *kind)).collect()
    }

    async fn events_of(&self, uuids: &[String]) -> Result<Vec<LedgerEvent>, Problem> {
        let apps: Vec<String> = self.console.applications().map(|info| info.key.clone()).collect();
        Ok(self.console.parts.store.events_of_records(&apps, uuids, EVENTS).await?)
    }

    async fn publication(&self, uuid: &str) -> Publication {
        publication(self.console, self.source, uuid, "").await
    }

    fn progress(&self, consumer: &ApplicationInfo, category: &str) -> Progress {
        progress(&self.views, self.info(), consumer, category)
    }

    async fn finish(mut self, actor: &Actor) -> Result<RecordPage, Problem> {
        let uuids: Vec<String> = self.uuids.iter().cloned().collect();
        let mut events = self.events_of(&uuids).await?;
        strip(self.console, &mut self.name);
        for related in &mut self.related {
            strip(self.console, &mut related.name);
        }
        let page = format!("{} {} of {}", self.name.record.kind, self.name.record.uuid, self.info().name);
        let shown = std::iter::once(&self.name).chain(self.related.iter().map(|related| &related.name));
        let persons = shown.filter(|name| name.shows_a_person()).filter_map(|name| name.patient.clone());
        viewed::record(self.console, actor, &page, persons.collect::<Vec<_>>()).await?;
        names::call(self.console, actor, &page, &mut events).await?;
        let applications: Vec<ApplicationInfo> = self.console.applications().cloned().collect();
        let past = events.iter().map(|event| (event.app.clone(), event.feed_uri.clone()));
        let names = feed_names::with_past(self.console.named_feeds().await, past, &applications);
        self.lacking.sort();
        self.lacking.dedup();
        Ok(RecordPage {
            link: public_link(self.info(), &self.name),
            info: self.info().clone(),
            persons: self.console.persons(),
            facts: self.facts,
            at: self.name.at.clone(),
            name: self.name,
            related: self.related,
            ways: self.ways,
            events,
            lacking: self.lacking,
            applications,
            names,
        })
    }
}

/// Returns why no result is published yet, as a sentence; `None` if one is final. OpenELIS publishes a sample when
/// results are accepted, not when they are entered.
fn unfinished(tests: &[LabTest], lab: &str) -> Option<String> {
    let is = |status: &str| tests.iter().any(|test| test.status.as_deref() == Some(status));
    if ["Finalized", "Finalized RO", "referred out"].iter().any(|status| is(status)) {
        return None;
    }
    Some(if is("Technical Acceptance") || is("Technical Acceptance RO") {
        format!("The result is entered in {lab} and waits for its validation.")
    } else if tests.iter().all(|test| test.accession.is_none()) {
        format!("No sample was collected in {lab} yet.")
    } else {
        format!("No result was entered in {lab} yet.")
    })
}

/// Returns what a publisher has published of a record. `category`: of the feed, if only that one counts.
async fn publication(console: &Console, publisher: &Source, uuid: &str, category: &str) -> Publication {
    let uuids = [uuid.to_owned()];
    let queued = match publisher.record_queued(&uuids).await {
        Ok(Availability::Here(queued)) => queued.into_iter().next().map(|(_, at)| at),
        Ok(Availability::NotHere(_)) | Err(_) => None,
    };
    let (events, unknown) = published(console, publisher, uuid, category).await;
    Publication { events, unknown, queued }
}

/// Returns how far a consumer has read the publisher's feed of a category.
fn progress(
    views: &[crate::model::ApplicationView],
    publisher: &ApplicationInfo,
    consumer: &ApplicationInfo,
    category: &str,
) -> Progress {
    let view = views.iter().find(|view| view.info.key == consumer.key);
    let feeds = view.and_then(|view| view.seen.as_ref()).and_then(|seen| seen.feeds.here());
    let Some(feeds) = feeds else {
        return Progress { unknown: Some(format!("{} was not read yet.", consumer.name)), ..Progress::default() };
    };
    let of_category = |feed: &&Feed| {
        feed.uri.as_deref().is_some_and(|uri| {
            publisher.is_publisher_of(uri) && category_of(uri).is_some_and(|of| of.eq_ignore_ascii_case(category))
        })
    };
    match feeds.iter().find(of_category) {
        Some(feed) => read_to(publisher, feed),
        None => Progress {
            unknown: Some(format!("{} has no marker of the feed {category} of {}.", consumer.name, publisher.name)),
            ..Progress::default()
        },
    }
}

/// Returns where people see a record in the hospital's own system.
fn public_link(info: &ApplicationInfo, name: &RecordName) -> Option<String> {
    let public = info.public_url.as_deref()?.trim_end_matches('/');
    let path = match (info.kind, name.record.kind) {
        (Kind::Openmrs, _) => format!("/bahmni/clinical/#/default/patient/{}/dashboard", name.patient.as_deref()?),
        (Kind::Openelis, RecordKind::Accession) => {
            format!("/openelis/AccessionResults.do?accessionNumber={}", name.accessions.first()?)
        }
        _ => return None,
    };
    Some(format!("{public}{path}"))
}
