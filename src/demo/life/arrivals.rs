//! What each consumer writes into its own tables when it has read a record, and the records that it refuses.
//!
//! Everything is written at most once: a consumer can read a record again.

use sqlx::SqliteConnection;

use super::answers::{Answer, Known, Ordered};
use crate::demo::{
    faults::Fault,
    history::{hyphenated, uuid},
    records::{
        catalogue::{INVESTIGATION, LAB_RESULT, accession, members},
        in_english, micros, seconds,
    },
};

/// Why a consumer cannot take a record.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub fault: Fault,
    /// The record that is missing.
    pub record: String,
}

/// The state in which the laboratory leaves a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tested {
    No,
    /// Entered, not validated.
    Entered,
    Validated,
}

fn new_uuid() -> String {
    hyphenated(uuid(&mut fastrand::Rng::new()))
}

/// Adds a patient to OpenELIS.
pub(super) async fn elis_patient(connection: &mut SqliteConnection, patient: &Known) -> Result<(), sqlx::Error> {
    if elis_patient_id(connection, &patient.uuid).await?.is_some() {
        return Ok(());
    }
    let at = micros(crate::clock::now());
    let person = sqlx::query("INSERT INTO person (first_name, last_name, lastupdated) VALUES (?, ?, ?)")
        .bind(&patient.given_name)
        .bind(&patient.family_name)
        .bind(&at)
        .execute(&mut *connection)
        .await?
        .last_insert_rowid();
    let sql = "INSERT INTO patient (person_id, gender, birth_date, uuid, lastupdated) VALUES (?, ?, ?, ?, ?)";
    let id = sqlx::query(sql)
        .bind(person)
        .bind(&patient.gender)
        .bind(&patient.birthdate)
        .bind(&patient.uuid)
        .bind(&at)
        .execute(&mut *connection)
        .await?
        .last_insert_rowid();
    let sql = "INSERT INTO patient_identity (identity_type_id, patient_id, identity_data, lastupdated)
        SELECT id, ?, ?, ? FROM patient_identity_type WHERE identity_type = 'ST'";
    sqlx::query(sql).bind(id).bind(&patient.identifier).bind(at).execute(connection).await.map(drop)
}

async fn elis_patient_id(connection: &mut SqliteConnection, uuid: &str) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM patient WHERE uuid = ?").bind(uuid).fetch_optional(connection).await
}

/// Adds a test or panel to OpenELIS.
pub(super) async fn elis_item(
    connection: &mut SqliteConnection,
    title: &str,
    uuid: &str,
    name: &str,
) -> Result<(), sqlx::Error> {
    let (kind, insert) = match title {
        "test" => ("Test", "INSERT INTO test (name) VALUES (?)"),
        "panel" => ("Panel", "INSERT INTO panel (name) VALUES (?)"),
        _ => return Ok(()),
    };
    if referred(connection, uuid, kind).await?.is_some() {
        return Ok(());
    }
    let id = sqlx::query(insert).bind(name).execute(&mut *connection).await?.last_insert_rowid();
    let sql = "INSERT INTO external_reference (item_id, external_id, type) VALUES (?, ?, ?)";
    sqlx::query(sql).bind(id).bind(uuid).bind(kind).execute(connection).await.map(drop)
}

async fn referred(connection: &mut SqliteConnection, uuid: &str, kind: &str) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT item_id FROM external_reference WHERE external_id = ? AND type = ?")
        .bind(uuid)
        .bind(kind)
        .fetch_optional(connection)
        .await
}

/// Enters the sample of an encounter in OpenELIS; returns whether it did: not without orders, and not twice.
pub(super) async fn elis_encounter(
    connection: &mut SqliteConnection,
    read: &Answer,
    tested: Tested,
) -> Result<Result<bool, Refusal>, sqlx::Error> {
    let ordered: Vec<&Ordered> =
        read.orders.iter().filter(|one| one.order_type == "Lab Order" && one.action != "DISCONTINUE").collect();
    let Some(known) = read.patient.as_ref().filter(|_| !ordered.is_empty()) else { return Ok(Ok(false)) };
    let Some(patient) = elis_patient_id(connection, &known.uuid).await? else {
        return Ok(Err(Refusal { fault: Fault::PatientNotInElis, record: known.uuid.clone() }));
    };
    let mut analyses = Vec::new();
    for one in &ordered {
        let kind = if one.set { "Panel" } else { "Test" };
        let Some(item) = referred(connection, &one.item, kind).await? else {
            let fault = if one.set { Fault::PanelMissing } else { Fault::TestNotSetUp };
            return Ok(Err(Refusal { fault, record: one.item.clone() }));
        };
        if one.set {
            let tests = members(usize::try_from(item).unwrap_or(0));
            let ids = sqlx::query_scalar::<_, i64>("SELECT id FROM test ORDER BY id LIMIT 2 OFFSET ?");
            let ids = ids.bind(tests[0] as i64).fetch_all(&mut *connection).await?;
            analyses.extend(ids.into_iter().map(|test| (test, Some(item))));
        } else {
            analyses.push((item, None));
        }
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM sample_human h JOIN sample s ON s.id = h.samp_id
        WHERE h.patient_id = ? AND s.uuid = ?)";
    if sqlx::query_scalar(sql).bind(patient).bind(&read.uuid).fetch_one(&mut *connection).await? {
        return Ok(Ok(false));
    }
    enter(connection, patient, &read.uuid, &analyses, tested).await?;
    Ok(Ok(true))
}

async fn enter(
    connection: &mut SqliteConnection,
    patient: i64,
    uuid: &str,
    analyses: &[(i64, Option<i64>)],
    tested: Tested,
) -> Result<(), sqlx::Error> {
    let now = crate::clock::now();
    let at = micros(now);
    let (first, last) = (accession(now.date_naive(), 0), accession(now.date_naive(), 0).replace("-000", "."));
    let sql = "SELECT count(*) FROM sample WHERE accession_number BETWEEN ? AND ?";
    let today: u32 = sqlx::query_scalar(sql).bind(first).bind(last).fetch_one(&mut *connection).await?;
    let (order, analysis) = match tested {
        Tested::No => ("Test Entered", "Not Tested"),
        Tested::Entered => ("Testing Started", "Technical Acceptance"),
        Tested::Validated => ("Testing finished", "Finalized"),
    };
    let sql = "INSERT INTO sample (accession_number, uuid, status_id, priority, entered_date, lastupdated)
        SELECT ?1, ?2, id, 0, ?3, ?3 FROM status_of_sample WHERE status_type = 'ORDER' AND name = ?4";
    let number = accession(now.date_naive(), today + 1);
    let sample = sqlx::query(sql).bind(number).bind(uuid).bind(&at).bind(order).execute(&mut *connection).await?;
    let sample = sample.last_insert_rowid();
    sqlx::query("INSERT INTO sample_human (samp_id, patient_id, lastupdated) VALUES (?, ?, ?)")
        .bind(sample)
        .bind(patient)
        .bind(&at)
        .execute(&mut *connection)
        .await?;
    let item = sqlx::query("INSERT INTO sample_item (samp_id, typeosamp_id, lastupdated) VALUES (?, 1, ?)")
        .bind(sample)
        .bind(&at)
        .execute(&mut *connection)
        .await?
        .last_insert_rowid();
    for (test, panel) in analyses {
        let sql =
            "INSERT INTO analysis (sampitem_id, test_id, panel_id, status_id, entry_date, released_date, lastupdated)
            SELECT ?1, ?2, ?3, id, ?4, ?5, ?6 FROM status_of_sample WHERE status_type = 'ANALYSIS' AND name = ?7";
        sqlx::query(sql)
            .bind(item)
            .bind(test)
            .bind(panel)
            .bind((tested != Tested::No).then_some(&at))
            .bind((tested == Tested::Validated).then_some(&at))
            .bind(&at)
            .bind(analysis)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Adds a patient to Odoo, which looks for the identifier, not for the uuid.
pub(super) async fn odoo_patient(connection: &mut SqliteConnection, patient: &Known) -> Result<(), sqlx::Error> {
    if odoo_partner(connection, patient).await?.is_some() {
        return Ok(());
    }
    let sql = "INSERT INTO res_partner (name, ref, uuid, create_date, write_date) VALUES (?1, ?2, ?3, ?4, ?4)";
    sqlx::query(sql)
        .bind(format!("{} {}", patient.given_name, patient.family_name))
        .bind(&patient.identifier)
        .bind(&patient.uuid)
        .bind(micros(crate::clock::now()))
        .execute(connection)
        .await
        .map(drop)
}

async fn odoo_partner(connection: &mut SqliteConnection, patient: &Known) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM res_partner WHERE ref = ? ORDER BY id LIMIT 1")
        .bind(&patient.identifier)
        .fetch_optional(connection)
        .await
}

/// Adds what can be sold to Odoo.
pub(super) async fn odoo_product(connection: &mut SqliteConnection, uuid: &str, name: &str) -> Result<(), sqlx::Error> {
    let known = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM product_product WHERE uuid = ?)");
    if known.bind(uuid).fetch_one(&mut *connection).await? {
        return Ok(());
    }
    let template = sqlx::query("INSERT INTO product_template (name, type) VALUES (?, 'service')")
        .bind(in_english(name))
        .execute(&mut *connection)
        .await?
        .last_insert_rowid();
    let sql = "INSERT INTO product_product (product_tmpl_id, uuid, create_date, write_date) VALUES (?1, ?2, ?3, ?3)";
    sqlx::query(sql).bind(template).bind(uuid).bind(micros(crate::clock::now())).execute(connection).await.map(drop)
}

/// Adds the orders of an encounter to the draft sale order of its patient. Odoo ignores orders of unknown types and
/// products.
pub(super) async fn odoo_encounter(
    connection: &mut SqliteConnection,
    read: &Answer,
) -> Result<Result<(), Refusal>, sqlx::Error> {
    let Some(known) = read.patient.as_ref().filter(|_| !read.orders.is_empty()) else { return Ok(Ok(())) };
    let Some(partner) = odoo_partner(connection, known).await? else {
        return Ok(Err(Refusal { fault: Fault::PatientNotInOdoo, record: known.uuid.clone() }));
    };
    let at = micros(crate::clock::now());
    for order in read.orders.iter().filter(|one| one.action != "DISCONTINUE") {
        let sql =
            "SELECT pp.id FROM product_product pp JOIN order_type t ON t.name = ?1 WHERE pp.uuid = ?2 AND pp.active
            AND NOT EXISTS (SELECT 1 FROM sale_order_line WHERE external_order_id = ?3)";
        let product: Option<i64> = sqlx::query_scalar(sql)
            .bind(&order.order_type)
            .bind(&order.item)
            .bind(&order.uuid)
            .fetch_optional(&mut *connection)
            .await?;
        let Some(product) = product else { continue };
        let bill = draft(connection, partner, &at).await?;
        let sql = "INSERT INTO sale_order_line (order_id, product_id, product_uom_qty, external_id, external_order_id,
            dispensed, create_date, write_date) VALUES (?1, ?2, 1, ?3, ?4, 0, ?5, ?5)";
        sqlx::query(sql)
            .bind(bill)
            .bind(product)
            .bind(&read.uuid)
            .bind(&order.uuid)
            .bind(&at)
            .execute(&mut *connection)
            .await?;
    }
    Ok(Ok(()))
}

/// Returns the patient's sale order that is not confirmed, and makes one if there is none.
async fn draft(connection: &mut SqliteConnection, partner: i64, at: &str) -> Result<i64, sqlx::Error> {
    let draft = sqlx::query_scalar("SELECT id FROM sale_order WHERE partner_id = ? AND state = 'draft' LIMIT 1");
    if let Some(draft) = draft.bind(partner).fetch_optional(&mut *connection).await? {
        return Ok(draft);
    }
    let sql = "INSERT INTO sale_order (name, state, origin, partner_id, partner_invoice_id, shop_id, date_order,
        invoice_status, create_date, write_date)
        SELECT printf('S%05d', ifnull(max(id), 0) + 1), 'draft', 'API FEED SYNC', ?1, ?1, 1, ?2, 'no', ?2, ?2
        FROM sale_order";
    Ok(sqlx::query(sql).bind(partner).bind(at).execute(connection).await?.last_insert_rowid())
}

/// Adds the radiology orders of an encounter to PACS.
pub(super) async fn pacs_encounter(connection: &mut SqliteConnection, read: &Answer) -> Result<(), sqlx::Error> {
    for order in &read.orders {
        let sql = "INSERT INTO test_order (order_type_id, order_uuid, order_number, test_name, test_uuid, creator,
                date_created)
            SELECT id, ?1, ?2, ?3, ?4, 'superman', ?5 FROM order_type WHERE name = ?6
                AND NOT EXISTS (SELECT 1 FROM test_order WHERE order_uuid = ?1)";
        sqlx::query(sql)
            .bind(&order.uuid)
            .bind(&order.order_number)
            .bind(&order.name)
            .bind(&order.item)
            .bind(micros(crate::clock::now()))
            .bind(&order.order_type)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Stores in OpenMRS what the laboratory has of a sample: that it has it, and the results. A sample without an encounter
/// gets one, unless its patient is unknown, which OpenMRS ignores.
pub(super) async fn openmrs_accession(connection: &mut SqliteConnection, read: &Answer) -> Result<(), sqlx::Error> {
    let at = seconds(crate::clock::now());
    let Some((encounter, patient)) = ordering(connection, read, &at).await? else { return Ok(()) };
    sqlx::query("UPDATE orders SET accession_number = ? WHERE encounter_id = ? AND order_type_id = 1")
        .bind(&read.uuid)
        .bind(encounter)
        .execute(&mut *connection)
        .await?;
    let mut visit = None;
    for result in read.orders.iter().filter(|one| one.result_at.is_some()) {
        let sql = "SELECT o.order_id, o.concept_id FROM orders o JOIN concept c ON c.concept_id = o.concept_id
            WHERE o.encounter_id = ? AND c.uuid = ?
                AND NOT EXISTS (SELECT 1 FROM obs WHERE obs.order_id = o.order_id AND obs.voided = 0)";
        let orders: Vec<(i64, i64)> =
            sqlx::query_as(sql).bind(encounter).bind(&result.item).fetch_all(&mut *connection).await?;
        for (order, concept) in orders {
            let visited = match visit {
                Some(visit) => visit,
                None => *visit.insert(add_encounter(connection, LAB_RESULT, patient, &new_uuid(), &at).await?),
            };
            let sql = "INSERT INTO obs (person_id, concept_id, encounter_id, order_id, obs_datetime, value_numeric,
                date_created, uuid) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5, ?7)";
            sqlx::query(sql)
                .bind(patient)
                .bind(concept)
                .bind(visited)
                .bind(order)
                .bind(&at)
                .bind(order % 140)
                .bind(new_uuid())
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

/// Returns the encounter of a sample with its patient; for somebody who came without an order, a new one.
async fn ordering(
    connection: &mut SqliteConnection,
    read: &Answer,
    at: &str,
) -> Result<Option<(i64, i64)>, sqlx::Error> {
    let found = sqlx::query_as("SELECT encounter_id, patient_id FROM encounter WHERE uuid = ?").bind(&read.uuid);
    if let Some(found) = found.fetch_optional(&mut *connection).await? {
        return Ok(Some(found));
    }
    let uuid = read.patient.as_ref().map(|patient| patient.uuid.as_str());
    let person = sqlx::query_scalar("SELECT person_id FROM person WHERE uuid = ?").bind(uuid);
    let Some(patient) = person.fetch_optional(&mut *connection).await? else { return Ok(None) };
    let encounter = add_encounter(connection, INVESTIGATION, patient, &read.uuid, at).await?;
    for one in &read.orders {
        let concept = sqlx::query_scalar("SELECT concept_id FROM concept WHERE uuid = ?").bind(&one.item);
        if let Some(concept) = concept.fetch_optional(&mut *connection).await? {
            add_order(connection, (encounter, patient), 1, concept, at).await?;
        }
    }
    Ok(Some((encounter, patient)))
}

/// Adds an encounter to OpenMRS; returns its id.
pub(super) async fn add_encounter(
    connection: &mut SqliteConnection,
    kind: i64,
    patient: i64,
    uuid: &str,
    at: &str,
) -> Result<i64, sqlx::Error> {
    let sql = "INSERT INTO encounter (encounter_type, patient_id, location_id, encounter_datetime, date_created,
        visit_id, uuid) VALUES (?1, ?2, ?2 % 4 + 1, ?3, ?3, ?2, ?4)";
    let added = sqlx::query(sql).bind(kind).bind(patient).bind(at).bind(uuid).execute(connection).await?;
    Ok(added.last_insert_rowid())
}

/// Adds an order to an encounter of a patient in OpenMRS; returns its id, which is its number as well.
pub(super) async fn add_order(
    connection: &mut SqliteConnection,
    (encounter, patient): (i64, i64),
    order_type: i64,
    concept: i64,
    at: &str,
) -> Result<i64, sqlx::Error> {
    let sql = "INSERT INTO orders (order_type_id, concept_id, encounter_id, patient_id, order_number, date_activated,
            date_created, uuid)
        SELECT ?1, ?2, ?3, ?4, 'ORD-' || (ifnull(max(order_id), 0) + 1), ?5, ?5, ?6 FROM orders";
    let added = sqlx::query(sql)
        .bind(order_type)
        .bind(concept)
        .bind(encounter)
        .bind(patient)
        .bind(at)
        .bind(new_uuid())
        .execute(connection)
        .await?;
    Ok(added.last_insert_rowid())
}
