//! What the publishers answer about a record, read from their own tables. The consumers read the same.

use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

/// A record over HTTP. Fields that its kind does not have are empty.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Answer {
    pub uuid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accession_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<Known>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Ordered>,
}

/// A patient, as OpenMRS knows them.
#[derive(Clone, Debug, Default, Deserialize, Serialize, sqlx::FromRow)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Known {
    pub uuid: String,
    pub identifier: String,
    pub given_name: String,
    pub family_name: String,
    pub gender: String,
    pub birthdate: String,
}

/// An order, or in the laboratory's answer a test or panel.
#[derive(Clone, Debug, Default, Deserialize, Serialize, sqlx::FromRow)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Ordered {
    pub uuid: String,
    pub order_number: String,
    pub order_type: String,
    pub action: String,
    /// The uuid of the drug, or else of the concept.
    pub item: String,
    pub name: String,
    pub set: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_order_number: Option<String>,
    /// When its result was validated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_at: Option<String>,
}

impl Answer {
    /// Returns an answer about a record that no table has.
    pub fn of(uuid: &str) -> Self {
        Self { uuid: uuid.to_owned(), ..Self::default() }
    }
}

/// Reads a patient of OpenMRS.
pub(super) async fn patient(connection: &mut SqliteConnection, uuid: &str) -> Result<Option<Known>, sqlx::Error> {
    let sql =
        "SELECT p.uuid, i.identifier, n.given_name, n.family_name, p.gender, CAST(p.birthdate AS text) AS birthdate
        FROM person p JOIN person_name n ON n.person_id = p.person_id AND n.voided = 0
        JOIN patient_identifier i ON i.patient_id = p.person_id AND i.voided = 0
        WHERE p.uuid = ? ORDER BY i.preferred DESC LIMIT 1";
    sqlx::query_as(sql).bind(uuid).fetch_optional(connection).await
}

/// Reads an encounter of OpenMRS with its patient and those orders that are shown to consumers.
pub(super) async fn encounter(connection: &mut SqliteConnection, uuid: &str) -> Result<Answer, sqlx::Error> {
    let sql = "SELECT e.encounter_id, et.name, p.uuid FROM encounter e
        JOIN encounter_type et ON et.encounter_type_id = e.encounter_type
        JOIN person p ON p.person_id = e.patient_id WHERE e.uuid = ?";
    let found: Option<(i64, String, String)> = sqlx::query_as(sql).bind(uuid).fetch_optional(&mut *connection).await?;
    let Some((id, encounter_type, person)) = found else { return Ok(Answer::of(uuid)) };
    let sql = "SELECT o.uuid, o.order_number, ot.name AS order_type, o.order_action AS action,
            ifnull(d.uuid, c.uuid) AS item, ifnull(d.name, n.name) AS name, c.is_set AS \"set\",
            before.order_number AS previous_order_number, NULL AS result_at
        FROM orders o JOIN order_type ot ON ot.order_type_id = o.order_type_id
        JOIN concept c ON c.concept_id = o.concept_id JOIN concept_name n ON n.concept_id = c.concept_id
        LEFT JOIN orders before ON before.order_id = o.previous_order_id
        LEFT JOIN drug_order dr ON dr.order_id = o.order_id LEFT JOIN drug d ON d.drug_id = dr.drug_inventory_id
        WHERE o.encounter_id = ? AND NOT EXISTS (SELECT 1 FROM test_order t WHERE t.order_id = o.order_id)
        ORDER BY o.order_id";
    let orders = sqlx::query_as(sql).bind(id).fetch_all(&mut *connection).await?;
    let patient = patient(connection, &person).await?;
    Ok(Answer { encounter_type: Some(encounter_type), patient, orders, ..Answer::of(uuid) })
}

/// Reads a concept or a drug of OpenMRS.
pub(super) async fn item(connection: &mut SqliteConnection, uuid: &str) -> Result<Answer, sqlx::Error> {
    let sql = "SELECT name FROM drug WHERE uuid = ?1
        UNION ALL SELECT n.name FROM concept c JOIN concept_name n ON n.concept_id = c.concept_id WHERE c.uuid = ?1";
    let name: Option<String> = sqlx::query_scalar(sql).bind(uuid).fetch_optional(connection).await?;
    Ok(Answer { name, ..Answer::of(uuid) })
}

/// Reads a sample of OpenELIS with what was ordered.
pub(super) async fn accession(connection: &mut SqliteConnection, uuid: &str) -> Result<Answer, sqlx::Error> {
    let sql = "SELECT s.id, s.accession_number, pt.uuid FROM sample s JOIN sample_human h ON h.samp_id = s.id
        JOIN patient pt ON pt.id = h.patient_id WHERE s.uuid = ?";
    let found: Option<(i64, Option<String>, String)> =
        sqlx::query_as(sql).bind(uuid).fetch_optional(&mut *connection).await?;
    let Some((id, accession_number, patient)) = found else { return Ok(Answer::of(uuid)) };
    let sql = "SELECT '' AS uuid, '' AS order_number, 'Lab Order' AS order_type, 'NEW' AS action,
            ifnull(pr.external_id, tr.external_id) AS item, t.name, pr.id IS NOT NULL AS \"set\",
            NULL AS previous_order_number, CAST(max(a.released_date) AS text) AS result_at
        FROM sample_item i JOIN analysis a ON a.sampitem_id = i.id JOIN test t ON t.id = a.test_id
        JOIN external_reference tr ON tr.item_id = a.test_id AND tr.type = 'Test'
        LEFT JOIN external_reference pr ON pr.item_id = a.panel_id AND pr.type = 'Panel'
        WHERE i.samp_id = ? GROUP BY item";
    let orders = sqlx::query_as(sql).bind(id).fetch_all(connection).await?;
    let patient = Some(Known { uuid: patient, ..Known::default() });
    Ok(Answer { accession_number, patient, orders, ..Answer::of(uuid) })
}
