//! What a fix changes in the systems' tables, and the records that a user can follow.

use sqlx::SqliteConnection;

use super::{Hospital, Standing, System, answers, arrivals};
use crate::{
    demo::{
        faults::Fault,
        records::{Station, catalogue::Kind},
    },
    model::demo::Example,
};
use atomfeed::{DatabaseError, Transaction};

impl Hospital {
    /// Changes the records that were wrong, if the fix of this trouble does. The trouble itself stays until it is ended.
    pub(super) async fn change_records(&self, trouble: &Standing) -> Result<(), DatabaseError> {
        let records = self.troubles.records(trouble.id).await?;
        match trouble.fault {
            Fault::PatientNotInOdoo => self.add_patients(System::Odoo, &records).await,
            Fault::PatientNotInElis => self.add_patients(System::Openelis, &records).await,
            Fault::TestNotSetUp => self.set_up(Kind::Test, "test").await,
            Fault::PanelMissing => self.set_up(Kind::Panel, "panel").await,
            Fault::NoShop => {
                let sql = "INSERT INTO order_type_shop_map (order_type, shop_id) SELECT id, 2 FROM order_type
                    WHERE name = ? AND id NOT IN (SELECT order_type FROM order_type_shop_map)";
                self.change(System::Odoo, sql, &["Radiology Order".to_owned()]).await
            }
            Fault::NoIdentifier => {
                let sql = "UPDATE patient_identifier SET preferred = 1
                    WHERE patient_id = (SELECT person_id FROM person WHERE uuid = ?)";
                self.change(System::Openmrs, sql, &records).await
            }
            Fault::NoLocation => {
                let sql = "UPDATE encounter SET location_id = 1 WHERE uuid = ? AND location_id IS NULL";
                self.change(System::Openmrs, sql, &records).await
            }
            Fault::Gone => {
                let sql = "UPDATE orders SET voided = 0
                    WHERE encounter_id = (SELECT encounter_id FROM encounter WHERE uuid = ?)";
                self.change(System::Openmrs, sql, &records).await?;
                self.change(System::Openmrs, "UPDATE encounter SET voided = 0 WHERE uuid = ?", &records).await
            }
            _ => Ok(()),
        }
    }

    fn begin_in(&self, system: System) -> Option<Transaction<'static>> {
        self.part(system).map(|part| part.database.begin())
    }

    /// Runs a statement for each of these records.
    async fn change(&self, system: System, sql: &'static str, records: &[String]) -> Result<(), DatabaseError> {
        let Some(mut transaction) = self.begin_in(system) else { return Ok(()) };
        for record in records {
            sqlx::query(sql).bind(record).execute(transaction.sqlite().await?).await?;
        }
        transaction.commit().await
    }

    async fn add_patients(&self, system: System, uuids: &[String]) -> Result<(), DatabaseError> {
        let (Some(mut from), Some(mut to)) = (self.begin_in(System::Openmrs), self.begin_in(system)) else {
            return Ok(());
        };
        for uuid in uuids {
            let Some(patient) = answers::patient(from.sqlite().await?, uuid).await? else { continue };
            if system == System::Odoo {
                arrivals::odoo_patient(to.sqlite().await?, &patient).await?;
            } else {
                arrivals::elis_patient(to.sqlite().await?, &patient).await?;
            }
        }
        to.commit().await
    }

    /// Adds to OpenELIS what OpenMRS can order of this kind.
    async fn set_up(&self, kind: Kind, title: &str) -> Result<(), DatabaseError> {
        let (Some(mut from), Some(mut to)) = (self.begin_in(System::Openmrs), self.begin_in(System::Openelis)) else {
            return Ok(());
        };
        let sql = "SELECT c.uuid, n.name FROM concept c JOIN concept_name n ON n.concept_id = c.concept_id
            WHERE c.class_id = ? AND EXISTS (SELECT 1 FROM orders o WHERE o.concept_id = c.concept_id)";
        let items: Vec<(String, String)> =
            sqlx::query_as(sql).bind(kind.class()).fetch_all(from.sqlite().await?).await?;
        for (uuid, name) in items {
            arrivals::elis_item(to.sqlite().await?, title, &uuid, &name).await?;
        }
        to.commit().await
    }

    /// Returns the records that a user can follow on their way.
    pub(super) async fn examples(&self) -> Result<Vec<Example>, DatabaseError> {
        let waiting = match self.begin_in(System::Openmrs) {
            Some(mut transaction) => waiting(transaction.sqlite().await?).await?,
            None => None,
        };
        let told = self.troubles.examples().await?.into_iter().map(|example| Example {
            title: example.station.title().to_owned(),
            expected: example.station.expected().to_owned(),
            // The queue is emptied every few seconds.
            number: if example.station == Station::Queued { waiting.clone() } else { Some(example.number) },
        });
        Ok(told.collect())
    }
}

/// Returns the number of an order that waits in the queue.
async fn waiting(connection: &mut SqliteConnection) -> Result<Option<String>, sqlx::Error> {
    let sql = "SELECT o.order_number FROM event_records_queue q
        JOIN encounter e ON e.uuid = substr(q.object, instr(q.object, '/bahmniencounter/') + 17, 36)
        JOIN orders o ON o.encounter_id = e.encounter_id
        WHERE q.title = 'Encounter' ORDER BY q.id, o.order_id LIMIT 1";
    sqlx::query_scalar(sql).fetch_optional(connection).await
}
