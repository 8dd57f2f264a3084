//! How a consumer of the demo hospital processes an event: it reads the record, fails if a current trouble applies, and
//! writes what it has read into its own tables.

use super::{
    Hospital, System,
    answers::Answer,
    arrivals::{self, Refusal, Tested},
    records,
    web::number_of,
};
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

impl Worker for Desk {
    async fn process(&self, event: &Event, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        let content = event.content.as_deref().unwrap_or_default();
        let record = record_uuid(content).unwrap_or_else(|| event.uuid().to_owned());
        // Over HTTP first: the transaction begins when it is first used.
        let read = if content.starts_with('/') { self.read(content, &record).await? } else { Answer::of(&record) };
        self.meet_troubles(&record, &read, transaction).await?;
        self.take(event.title.as_deref().unwrap_or_default(), &read, transaction).await?;
        Ok(records::receive(transaction.sqlite().await?, &event.id, &self.category.feed(), &record).await?)
    }
}

impl Desk {
    /// Reads the record that the event refers to; fails with the error that this consumer writes if it cannot be read.
    async fn read(&self, path: &str, record: &str) -> Result<Answer, Failure> {
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
        Err(self.fails(fault, &Answer::of(record)))
    }

    async fn meet_troubles(
        &self,
        record: &str,
        read: &Answer,
        transaction: &mut Transaction<'_>,
    ) -> Result<(), Failure> {
        let troubles = &self.hospital.troubles;
        let shows = |fault: Fault| fault.shows_at_work(self.system, self.category);
        // Several can block a record: the one it waited for has arrived, but its test is still not set up.
        while let Some(hit) = troubles.against(record, clock::now(), shows).await? {
            let arrived = match &hit.needs {
                None => None,
                Some(needed) => records::has(transaction.sqlite().await?, needed).await?.then_some(needed),
            };
            let Some(needed) = arrived else { return Err(self.fails(hit.fault, read)) };
            troubles.came_through(record, needed).await?;
        }
        Ok(())
    }

    /// Writes the record into the system's own tables; fails if it refers to one that is not there: a patient or a test.
    async fn take(&self, title: &str, read: &Answer, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        let connection = transaction.sqlite().await?;
        let name = read.name.as_deref().unwrap_or_default();
        match (self.system, self.category) {
            (System::Openelis, Category::Encounter) => return self.enter_sample(read, transaction).await,
            (System::Openelis, Category::Lab) => arrivals::elis_item(connection, title, &read.uuid, name).await?,
            (System::Openelis | System::Odoo, Category::Patient) => {
                if let Some(patient) = &read.patient {
                    let fault = if self.system == System::Odoo {
                        arrivals::odoo_patient(connection, patient).await?;
                        Fault::PatientNotInOdoo
                    } else {
                        arrivals::elis_patient(connection, patient).await?;
                        Fault::PatientNotInElis
                    };
                    self.hospital.troubles.spare(fault, &patient.uuid).await?;
                }
            }
            (System::Odoo, Category::Encounter) => {
                arrivals::odoo_encounter(connection, read).await?.map_err(|refusal| self.refuses(&refusal))?;
            }
            (System::Odoo, Category::Lab) if !matches!(title, "test" | "panel" | "radiology") => {}
            (System::Odoo, Category::Lab | Category::Saleable) => {
                arrivals::odoo_product(connection, &read.uuid, name).await?;
            }
            (System::Pacs, Category::Encounter) => arrivals::pacs_encounter(connection, read).await?,
            (System::Openmrs, Category::Accession) => arrivals::openmrs_accession(connection, read).await?,
            _ => {}
        }
        Ok(())
    }

    /// Enters the sample that an encounter ordered, and queues the event of its results. Of three samples, one waits for
    /// validation and one for its test: no event tells of these.
    async fn enter_sample(&self, read: &Answer, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        let tested = match number_of(&read.uuid) % 3 {
            0 => Tested::Validated,
            1 => Tested::Entered,
            _ => Tested::No,
        };
        let entered = arrivals::elis_encounter(transaction.sqlite().await?, read, tested).await?;
        if !entered.map_err(|refusal| self.refuses(&refusal))? || tested != Tested::Validated {
            return Ok(());
        }
        let Some(publisher) = self.hospital.part(System::Openelis).and_then(|part| part.publisher.as_ref()) else {
            return Ok(());
        };
        let accession = Category::Accession.content(&read.uuid, "accession", 0);
        let event = NewEvent::new(
            hyphenated(uuid(&mut fastrand::Rng::new())),
            Category::Accession.word(),
            "accession",
            accession,
        );
        Ok(publisher.queue(transaction, event).await?)
    }

    fn refuses(&self, refusal: &Refusal) -> Failure {
        self.says(refusal.fault, refusal.record.clone(), None, 0)
    }

    /// Returns the failure for a fault that a record meets, with what the real text says of the record.
    fn fails(&self, fault: Fault, read: &Answer) -> Failure {
        let order = |wanted: &str| read.orders.iter().find(|one| one.order_type == wanted);
        let about = match fault {
            Fault::TestNotSetUp | Fault::ConceptMissing => order("Lab Order").map(|one| (one.item.clone(), None, 0)),
            Fault::PanelMissing => order("Lab Order").map(|one| (one.item.clone(), Some(one.name.clone()), 0)),
            Fault::MissingConceptSource | Fault::NoLocation => {
                order("Radiology Order").map(|one| (one.uuid.clone(), None, 0))
            }
            Fault::NothingToCancel => {
                let previous = read.orders.iter().find_map(|one| one.previous_order_number.as_ref());
                let number = previous.and_then(|number| number.strip_prefix("ORD-")?.parse().ok());
                number.map(|number| (read.uuid.clone(), None, number))
            }
            Fault::NoIdentifier => read
                .patient
                .as_ref()
                .map(|patient| (read.uuid.clone(), Some(format!("{} {}", patient.given_name, patient.family_name)), 0)),
            _ => None,
        };
        let (record, name, number) = about.unwrap_or_else(|| (read.uuid.clone(), None, number_of(&read.uuid)));
        self.says(fault, record, name, number)
    }

    fn says(&self, fault: Fault, record: String, name: Option<String>, number: u32) -> Failure {
        let subject = Subject { record, number, name, reader: self.system };
        // The text contains message and trace as Java prints them, one after the other.
        Failure::new(texts::compose(fault, &subject))
    }
}
