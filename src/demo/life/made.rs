//! What people of the demo hospital enter into its systems.

use fastrand::Rng;
use sqlx::SqliteConnection;

use super::arrivals::{add_encounter, add_order, odoo_product};
use crate::demo::{
    history::{hyphenated, uuid},
    records::{
        KNOWN,
        catalogue::{self, CONSULTATION, Kind, Person},
        seconds,
    },
};

/// Something that is entered, with its record's uuid given.
#[derive(Clone, Debug)]
pub(super) enum Made {
    Patient,
    /// An encounter of this patient (`person_id`), or else of one that every system has known for long.
    Encounter(Option<i64>),
    Bed,
    /// A concept or drug.
    Item(Kind, String),
    Program,
    /// A product of Odoo's own.
    Product(String),
    /// What only the event tells of.
    Nothing,
}

impl Made {
    /// Writes it; returns its id, if it is a patient.
    pub async fn enter(
        &self,
        connection: &mut SqliteConnection,
        record: &str,
        rng: &mut Rng,
    ) -> Result<Option<i64>, sqlx::Error> {
        let at = seconds(crate::clock::now());
        match self {
            Self::Patient => return patient(connection, record, rng, &at).await.map(Some),
            Self::Encounter(patient) => {
                if let Some(patient) = known(connection, *patient, rng).await? {
                    encounter(connection, patient, record, rng, &at).await?;
                }
            }
            Self::Bed => {
                let sql = "INSERT INTO bed_patient_assignment_map (patient_id, encounter_id, date_started, uuid)
                    SELECT patient_id, encounter_id, ?, ? FROM encounter ORDER BY encounter_id DESC LIMIT 1";
                sqlx::query(sql).bind(at).bind(record).execute(connection).await?;
            }
            Self::Item(kind, name) => item(connection, *kind, record, name, rng).await?,
            Self::Program => {
                if let Some(patient) = known(connection, None, rng).await? {
                    sqlx::query("INSERT INTO patient_program (patient_id, program_id, uuid) VALUES (?, 1, ?)")
                        .bind(patient)
                        .bind(record)
                        .execute(connection)
                        .await?;
                }
            }
            Self::Product(name) => odoo_product(connection, record, name).await?,
            Self::Nothing => {}
        }
        Ok(None)
    }
}

async fn patient(connection: &mut SqliteConnection, record: &str, rng: &mut Rng, at: &str) -> Result<i64, sqlx::Error> {
    let person = Person::invent(rng);
    let id = sqlx::query("INSERT INTO person (gender, birthdate, date_created, uuid) VALUES (?, ?, ?, ?)")
        .bind(person.gender())
        .bind(&person.born)
        .bind(at)
        .bind(record)
        .execute(&mut *connection)
        .await?
        .last_insert_rowid();
    sqlx::query("INSERT INTO patient (patient_id, date_created) VALUES (?, ?)")
        .bind(id)
        .bind(at)
        .execute(&mut *connection)
        .await?;
    let sql = "INSERT INTO patient_identifier (patient_id, identifier, identifier_type, preferred, date_created)
        VALUES (?, ?, 3, 1, ?)";
    sqlx::query(sql).bind(id).bind(catalogue::identifier(id)).bind(at).execute(&mut *connection).await?;
    let sql = "INSERT INTO person_name (preferred, person_id, given_name, family_name, date_created)
        VALUES (1, ?, ?, ?, ?)";
    sqlx::query(sql).bind(id).bind(person.given).bind(person.family).bind(at).execute(connection).await?;
    Ok(id)
}

/// Returns this patient, or one that every system has known for long; `None` in a hospital that has none.
async fn known(
    connection: &mut SqliteConnection,
    patient: Option<i64>,
    rng: &mut Rng,
) -> Result<Option<i64>, sqlx::Error> {
    // The last of them is registered twice.
    let id = patient.unwrap_or_else(|| rng.i64(1..KNOWN as i64));
    sqlx::query_scalar("SELECT person_id FROM person WHERE person_id = ?").bind(id).fetch_optional(connection).await
}

/// Adds an encounter with an order or two, or none.
async fn encounter(
    connection: &mut SqliteConnection,
    patient: i64,
    record: &str,
    rng: &mut Rng,
    at: &str,
) -> Result<(), sqlx::Error> {
    let encounter = add_encounter(connection, CONSULTATION, patient, record, at).await?;
    let wanted = [(Kind::Test, 45), (Kind::Panel, 10), (Kind::Drug, 40), (Kind::Radiology, 15)];
    for (kind, _) in wanted.into_iter().filter(|(_, percent)| rng.u32(..100) < *percent).collect::<Vec<_>>() {
        let concept = catalogue::any(rng, kind, matches!(kind, Kind::Test | Kind::Panel)) as i64 + 1;
        let order = add_order(connection, (encounter, patient), kind.order_type(), concept, at).await?;
        if kind == Kind::Drug {
            let sql = "INSERT INTO drug_order (order_id, drug_inventory_id)
                SELECT ?, drug_id FROM drug WHERE concept_id = ? LIMIT 1";
            sqlx::query(sql).bind(order).bind(concept).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

async fn item(
    connection: &mut SqliteConnection,
    kind: Kind,
    record: &str,
    name: &str,
    rng: &mut Rng,
) -> Result<(), sqlx::Error> {
    let concept = if kind == Kind::Drug { hyphenated(uuid(rng)) } else { record.to_owned() };
    let id = sqlx::query("INSERT INTO concept (class_id, is_set, uuid) VALUES (?, ?, ?)")
        .bind(kind.class())
        .bind(kind == Kind::Panel)
        .bind(concept)
        .execute(&mut *connection)
        .await?
        .last_insert_rowid();
    let sql = "INSERT INTO concept_name (concept_id, name, locale, locale_preferred, concept_name_type)
        VALUES (?, ?, 'en', 1, 'FULLY_SPECIFIED')";
    sqlx::query(sql).bind(id).bind(name).execute(&mut *connection).await?;
    if kind == Kind::Drug {
        sqlx::query("INSERT INTO drug (concept_id, name, uuid) VALUES (?, ?, ?)")
            .bind(id)
            .bind(name)
            .bind(record)
            .execute(connection)
            .await?;
    }
    Ok(())
}
