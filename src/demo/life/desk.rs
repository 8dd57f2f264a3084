//! How a consumer of the demo hospital processes an event: it reads the record, fails if a current trouble applies, and
//! records that it received the event.

use serde::Deserialize;

use super::{Hospital, System, records, web::number_of};
use crate::{
    clock,
    demo::{
        faults::Fault,
        history::{Category, hyphenated, uuid},
        texts::{self, Subject},
    },
    model::payload::record_uuid,
};
use atomfeed::{Client, ClientError, Event, Failure, NewEvent, Transaction, Worker};

/// Processes the events of one category for one system.
pub(super) struct Desk {
    pub hospital: std::sync::Arc<Hospital>,
    pub system: System,
    pub category: Category,
    /// Client for the publisher.
    pub client: Client,
}

/// The fields that are read of a record. All others are for people.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Read {
    patient_uuid: Option<String>,
    /// The patient of the encounter was registered since the simulation first started.
    registered_here: bool,
}

impl Worker for Desk {
    async fn process(&self, event: &Event, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        let content = event.content.as_deref().unwrap_or_default();
        let record = record_uuid(content).unwrap_or_else(|| event.uuid().to_owned());
        // Over HTTP first: the transaction begins when it is first used.
        let read = if content.starts_with('/') { self.read(content, &record).await? } else { Read::default() };
        self.meet_troubles(&record, transaction).await?;
        self.know_the_patient(&read, transaction).await?;
        records::receive(transaction.sqlite().await?, &event.id, &self.category.feed(), &record).await?;
        self.pass_on(&record, transaction).await
    }
}

impl Desk {
    /// Reads the record that the event refers to; fails with the error that this consumer writes if it cannot be read.
    async fn read(&self, path: &str, record: &str) -> Result<Read, Failure> {
        let fault = match self.client.get(path).await {
            Ok(answer) => match answer.status {
                200 if answer.content_type.contains("html") => Fault::LoginPage,
                200 => return Ok(serde_json::from_slice(&answer.body)?),
                404 => Fault::Gone,
                403 => Fault::Forbidden,
                504 => Fault::PublisherTimeout,
                502 => Fault::PublisherDown,
                status => return Err(ClientError::Status(status).into()),
            },
            Err(ClientError::TimedOut(_)) => Fault::PublisherTimeout,
            Err(error) => return Err(error.into()),
        };
        Err(self.fails(fault, record))
    }

    async fn meet_troubles(&self, record: &str, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        let troubles = &self.hospital.troubles;
        let shows = |fault: Fault| fault.shows_at_work(self.system, self.category);
        // Several can block a record: the one it waited for has arrived, but its test is still not set up.
        while let Some(hit) = troubles.against(record, clock::now(), shows).await? {
            let arrived = match &hit.needs {
                None => None,
                Some(needed) => records::has(transaction.sqlite().await?, needed).await?.then_some(needed),
            };
            let Some(needed) = arrived else { return Err(self.fails(hit.fault, record)) };
            troubles.came_through(record, needed).await?;
        }
        Ok(())
    }

    /// Fails if an encounter arrives before its patient; a later retry succeeds.
    async fn know_the_patient(&self, read: &Read, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        let fault = match self.system {
            System::Openelis => Fault::PatientNotInElis,
            System::Odoo => Fault::PatientNotInOdoo,
            System::Openmrs | System::Pacs => return Ok(()),
        };
        let Some(patient) = read.patient_uuid.as_deref().filter(|_| read.registered_here) else { return Ok(()) };
        if records::has(transaction.sqlite().await?, patient).await? { Ok(()) } else { Err(self.fails(fault, patient)) }
    }

    /// Queues the laboratory's results in the opposite direction: every third encounter has ordered some.
    async fn pass_on(&self, record: &str, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        if self.system != System::Openelis
            || self.category != Category::Encounter
            || !number_of(record).is_multiple_of(3)
        {
            return Ok(());
        }
        let Some(publisher) = self.hospital.part(System::Openelis).and_then(|part| part.publisher.as_ref()) else {
            return Ok(());
        };
        let accession = Category::Accession.content(record, "accession", number_of(record));
        let event = NewEvent::new(
            hyphenated(uuid(&mut fastrand::Rng::new())),
            Category::Accession.word(),
            "accession",
            accession,
        );
        Ok(publisher.queue(transaction, event).await?)
    }

    fn fails(&self, fault: Fault, record: &str) -> Failure {
        let subject = Subject { record: record.to_owned(), number: number_of(record), reader: self.system };
        // The text contains message and trace as Java prints them, one after the other.
        Failure::new(texts::compose(fault, &subject))
    }
}
