//! The records behind events, as the hospital's applications keep them: who the patient is, which orders an encounter
//! has, and what a consumer has made of them.
//!
//! Only reads, by column and under the statement timeout. What an account may not read, or a version does not have, is
//! an answer in words ([`Availability::NotHere`]), never an error. Values of results, amounts, messages and addresses
//! are never read.

mod answer;
mod consumers;
mod openmrs;
mod tables;

use std::sync::Arc;

use crate::model::{Availability, Backend, Kind};

use super::{Source, SourceError, connection::Session};

use answer::Lack;
pub use consumers::{BillLine, Copy, ImagingOrder, LabTest, LinesBy, Product, SamplesBy};
pub use openmrs::{Encounter, EncountersBy, FOUND, Order, OrdersBy, Other, Patient, PatientsBy, ResultOf};
pub(super) use tables::Tables;

/// Defines a look-up of a [`Source`]: a session, the tables as found, the answer.
macro_rules! look_up {
    ($(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty, $module:ident::$function:ident) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// Fails if the source does not answer.
        pub async fn $name(&self, $($argument: $kind),*) -> Result<Availability<$answer>, SourceError> {
            let mut session = self.session().await?;
            let answer = match self.record_tables(&mut session).await {
                Ok(tables) => $module::$function(&mut session, &tables, $($argument),*).await,
                Err(error) => Err(Lack::Failed(error)),
            };
            let outcome = match answer {
                Ok(found) => Ok(Availability::Here(found)),
                Err(Lack::NotHere(reason)) => Ok(Availability::NotHere(reason)),
                Err(Lack::Failed(error)) => Err(error),
            };
            session.end(outcome).await
        }
    };
}

impl Source {
    look_up! {
        /// Returns patients of OpenMRS with their identifiers; `names`: with their names.
        record_patients(by: PatientsBy<'_>, names: bool) -> Vec<Patient>, openmrs::patients
    }
    look_up! {
        /// Returns encounters of OpenMRS.
        record_encounters(by: EncountersBy<'_>) -> Vec<Encounter>, openmrs::encounters
    }
    look_up! {
        /// Returns orders of OpenMRS, oldest first.
        record_orders(by: OrdersBy<'_>) -> Vec<Order>, openmrs::orders
    }
    look_up! {
        /// Returns concepts of OpenMRS.
        record_concepts(uuids: &[String]) -> Vec<Other>, openmrs::concepts
    }
    look_up! {
        /// Returns drugs of OpenMRS.
        record_drugs(uuids: &[String]) -> Vec<Other>, openmrs::drugs
    }
    look_up! {
        /// Returns the patients of rows of a table of OpenMRS.
        record_owners(table: &'static str, uuids: &[String]) -> Vec<Other>, openmrs::of_a_patient
    }
    look_up! {
        /// Returns which orders have a result in OpenMRS.
        record_results(orders: &[i64]) -> Vec<ResultOf>, openmrs::results
    }
    look_up! {
        /// Returns what waits in the publisher's queue for these records.
        record_queued(uuids: &[String]) -> Vec<(String, Option<crate::model::Stamp>)>, openmrs::queued
    }
    look_up! {
        /// Returns the copies of a patient in OpenELIS.
        record_lab_patient(uuid: &str) -> Vec<Copy>, consumers::lab_patient
    }
    look_up! {
        /// Returns the tests of samples in OpenELIS.
        record_lab_tests(by: SamplesBy<'_>) -> Vec<LabTest>, consumers::lab_tests
    }
    look_up! {
        /// Returns the partners of Odoo with one of these identifiers.
        record_partners(identifiers: &[String]) -> Vec<Copy>, consumers::partners
    }
    look_up! {
        /// Returns which concepts OpenELIS knows.
        record_lab_references(uuids: &[String]) -> Vec<Product>, consumers::lab_references
    }
    look_up! {
        /// Returns lines of sale orders in Odoo.
        record_bill_lines(by: LinesBy<'_>) -> Vec<BillLine>, consumers::bill_lines
    }
    look_up! {
        /// Returns products of Odoo.
        record_products(uuids: &[String]) -> Vec<Product>, consumers::products
    }
    look_up! {
        /// Returns the orders that the PACS integration has.
        record_imaging_orders(uuids: &[String]) -> Vec<ImagingOrder>, consumers::imaging_orders
    }
    look_up! {
        /// Returns the order types that Odoo or the PACS integration takes; `None` if it has no list of them.
        record_order_types() -> Option<Vec<String>>, consumers::order_types
    }

    /// Returns which records cannot be read, each with the GRANT that would allow it.
    pub(super) async fn record_lacks(&self) -> Result<Vec<String>, SourceError> {
        let mut session = self.session().await?;
        let database = &self.app.database;
        let account = match database.backend {
            Backend::MySql => format!("'{}'@'%'", database.user),
            Backend::Postgres | Backend::Sqlite => database.user.clone(),
        };
        let outcome = self.record_tables(&mut session).await;
        Ok(session.end(outcome).await?.lacking(&account, &database.database))
    }

    /// Returns whether this kind of application keeps records that the console can read.
    pub fn keeps_records(&self) -> bool {
        !matches!(self.app.info.kind, Kind::Crater | Kind::Custom)
    }

    async fn record_tables(&self, session: &mut Session<'_>) -> Result<Arc<Tables>, SourceError> {
        let known = self.record_tables.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|tables| tables.is_fresh()) {
            return Ok(known);
        }
        let read = Arc::new(Tables::read(session).await?);
        *self.record_tables.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Arc::clone(&read));
        Ok(read)
    }
}
