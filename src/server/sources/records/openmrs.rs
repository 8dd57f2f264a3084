//! Records of OpenMRS: patients, encounters, orders, concepts and drugs, by the indexes that every version has.
//!
//! The columns are the same from OpenMRS 1.12 to 2.6; only orders by their number have an index since 2.3 alone. Values
//! of observations are never read: whether a result exists is seen by its order.

use std::collections::HashMap;

use chrono_tz::Tz;

use crate::model::{Backend, Stamp, record::OrderName};

use super::{
    super::connection::{Record, Session},
    answer::{Answer, Lack},
    tables::{From, Tables, zone},
};

/// Most records that one statement asks for.
const BATCH: usize = 200;

/// Most encounters of a patient that are returned, the newest.
pub const ENCOUNTERS: u32 = 50;

/// A patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patient {
    pub uuid: String,
    pub id: i64,
    pub voided: bool,
    /// The preferred one first. Voided identifiers are left out.
    pub identifiers: Vec<String>,
    pub name: Option<String>,
    /// The uuid of the patient that this one was merged into.
    pub merged_into: Option<String>,
}

/// An encounter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encounter {
    pub uuid: String,
    pub id: i64,
    pub at: Option<Stamp>,
    /// When it was saved first, and last.
    pub created: Option<Stamp>,
    pub changed: Option<Stamp>,
    pub voided: bool,
    pub encounter_type: Option<String>,
    pub location: Option<String>,
    pub patient: Option<String>,
    pub patient_id: i64,
}

/// An order, with what its consumers need to decide whether they take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub uuid: String,
    pub id: i64,
    pub number: Option<String>,
    pub order_type: Option<String>,
    pub action: Option<String>,
    pub voided: bool,
    pub created: Option<Stamp>,
    pub stopped: Option<Stamp>,
    pub concept: Option<String>,
    pub concept_id: Option<i64>,
    pub drug: Option<String>,
    pub drug_name: Option<String>,
    pub is_drug: bool,
    /// It is stored as a TestOrder or a ReferralOrder: the encounter resource leaves it out, so no consumer gets it.
    pub invisible: bool,
    /// The name of its concept.
    pub what: Option<String>,
    pub encounter: Option<String>,
    pub encounter_id: i64,
    pub patient: Option<String>,
}

impl Order {
    /// Returns how people name it.
    pub fn name(&self) -> OrderName {
        OrderName {
            uuid: self.uuid.clone(),
            number: self.number.clone(),
            what: self.drug_name.clone().or_else(|| self.what.clone()),
            order_type: self.order_type.clone(),
        }
    }
}

/// What a record of a smaller kind belongs to, and its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Other {
    pub uuid: String,
    pub patient_id: Option<i64>,
    pub name: Option<String>,
    pub retired: bool,
}

fn flag(record: &mut Record) -> bool {
    record.text().is_some_and(|text| text != "0" && text != "false" && text != "f")
}

fn number(record: &mut Record) -> i64 {
    record.number().unwrap_or_default()
}

/// How patients are chosen.
#[derive(Clone, Copy, Debug)]
pub enum PatientsBy<'a> {
    Uuids(&'a [String]),
    Ids(&'a [i64]),
    /// Any identifier, also an earlier one.
    Identifier(&'a str),
    /// Words, each the beginning of a given or family name.
    Name(&'a [&'a str]),
}

/// Most patients that a search returns.
pub const FOUND: u32 = 50;

/// Returns patients with their identifiers; `names`: with their names.
pub(in super::super) async fn patients(
    session: &mut Session<'_>,
    tables: &Tables,
    by: PatientsBy<'_>,
    names: bool,
) -> Answer<Vec<Patient>> {
    let from = From::table(tables, "person", "p", &["person_id", "uuid"])?;
    let from = match by {
        PatientsBy::Identifier(_) => {
            let on = "i.patient_id = p.person_id";
            from.join("patient_identifier", "i", on, &["patient_id", "identifier"])?
        }
        PatientsBy::Name(_) => {
            let on = "n.person_id = p.person_id";
            from.join("person_name", "n", on, &["person_id", "given_name", "family_name"])?
        }
        PatientsBy::Uuids(_) | PatientsBy::Ids(_) => from,
    };
    let mut statement = session.link.statement(format!(
        "SELECT DISTINCT {} FROM {} WHERE ",
        from.columns(&["p.uuid", "p.person_id", "p.voided"]),
        from.text
    ));
    match by {
        PatientsBy::Uuids(uuids) => drop(statement.text_in("p.uuid", uuids)),
        PatientsBy::Ids(ids) => drop(statement.int_in("p.person_id", ids)),
        PatientsBy::Identifier(identifier) => drop(statement.equals("i.identifier", identifier)),
        PatientsBy::Name(words) => {
            statement.push("n.voided = 0");
            for word in words {
                let pattern = format!("{}%", super::super::sql::escape_like(word));
                // MySQL finds a prefix by the index only without a conversion, which other letters can need.
                let plain = tables.backend == Backend::MySql && word.is_ascii();
                for (column, before) in [("n.family_name", " AND ("), ("n.given_name", " OR ")] {
                    statement.push(before);
                    if plain {
                        statement.push(format!("{column} LIKE ")).value(&pattern).push(" ESCAPE '!'");
                    } else {
                        statement.like(column, &pattern);
                    }
                }
                statement.push(")");
            }
        }
    }
    statement.push(" ORDER BY 1");
    if matches!(by, PatientsBy::Identifier(_) | PatientsBy::Name(_)) {
        statement.push(format!(" LIMIT {FOUND}"));
    }
    let mut patients: Vec<Patient> = session
        .link
        .rows(statement)
        .await?
        .into_iter()
        .map(|mut row| Patient {
            uuid: row.key().unwrap_or_default(),
            id: number(&mut row),
            voided: flag(&mut row),
            identifiers: Vec::new(),
            name: None,
            merged_into: None,
        })
        .collect();
    let ids: Vec<i64> = patients.iter().map(|patient| patient.id).collect();
    let mut identifiers = identifiers(session, tables, &ids).await.or_else(absent)?;
    let mut named = if names { person_names(session, tables, &ids).await.or_else(absent)? } else { HashMap::new() };
    let mut merged = merges(session, tables, &ids).await.or_else(absent)?;
    for patient in &mut patients {
        patient.identifiers = identifiers.remove(&patient.id).unwrap_or_default();
        patient.name = named.remove(&patient.id);
        patient.merged_into = merged.remove(&patient.id);
    }
    Ok(patients)
}

/// Leaves a part of an answer empty if the account may not read it.
fn absent<T: Default>(lack: Lack) -> Answer<T> {
    match lack {
        Lack::NotHere(_) => Ok(T::default()),
        failed @ Lack::Failed(_) => Err(failed),
    }
}

async fn identifiers(session: &mut Session<'_>, tables: &Tables, ids: &[i64]) -> Answer<HashMap<i64, Vec<String>>> {
    let needed = ["patient_id", "identifier", "preferred", "voided"];
    let from = From::table(tables, "patient_identifier", "i", &needed)?;
    let mut statement = session.link.statement(format!(
        "SELECT {} FROM {} WHERE i.voided = 0 AND ",
        from.columns(&["i.patient_id", "i.identifier"]),
        from.text
    ));
    statement.int_in("i.patient_id", ids).push(" ORDER BY i.patient_id, i.preferred DESC, i.identifier_type");
    let mut found = HashMap::<i64, Vec<String>>::new();
    for mut row in session.link.rows(statement).await? {
        let (id, identifier) = (number(&mut row), row.key().unwrap_or_default());
        let of_patient = found.entry(id).or_default();
        if !identifier.trim().is_empty() && !of_patient.contains(&identifier) {
            of_patient.push(identifier);
        }
    }
    Ok(found)
}

async fn person_names(session: &mut Session<'_>, tables: &Tables, ids: &[i64]) -> Answer<HashMap<i64, String>> {
    let needed = ["person_id", "given_name", "family_name", "preferred", "voided"];
    let from = From::table(tables, "person_name", "n", &needed)?;
    let mut statement = session.link.statement(format!(
        "SELECT {} FROM {} WHERE n.voided = 0 AND ",
        from.columns(&["n.person_id", "n.given_name", "n.middle_name", "n.family_name"]),
        from.text
    ));
    statement.int_in("n.person_id", ids).push(" ORDER BY n.person_id, n.preferred DESC");
    let mut found = HashMap::new();
    for mut row in session.link.rows(statement).await? {
        let id = number(&mut row);
        let parts: Vec<String> = (0..3).filter_map(|_| row.key()).filter(|part| !part.trim().is_empty()).collect();
        found.entry(id).or_insert_with(|| parts.join(" "));
    }
    Ok(found)
}

async fn merges(session: &mut Session<'_>, tables: &Tables, ids: &[i64]) -> Answer<HashMap<i64, String>> {
    let needed = ["winner_person_id", "loser_person_id", "voided"];
    let from = From::table(tables, "person_merge_log", "m", &needed)?.join(
        "person",
        "w",
        "w.person_id = m.winner_person_id",
        &["person_id", "uuid"],
    )?;
    let mut statement = session.link.statement(format!(
        "SELECT {} FROM {} WHERE m.voided = 0 AND ",
        from.columns(&["m.loser_person_id", "w.uuid"]),
        from.text
    ));
    statement.int_in("m.loser_person_id", ids);
    let rows = session.link.rows(statement).await?;
    Ok(rows.into_iter().map(|mut row| (number(&mut row), row.key().unwrap_or_default())).collect())
}

/// How encounters are chosen.
#[derive(Clone, Copy, Debug)]
pub enum EncountersBy<'a> {
    Uuids(&'a [String]),
    /// The newest of a patient, each with at least one order.
    OrdersOfPatient(i64),
}

/// Returns encounters.
pub(in super::super) async fn encounters(
    session: &mut Session<'_>,
    tables: &Tables,
    by: EncountersBy<'_>,
) -> Answer<Vec<Encounter>> {
    let zone = zone(session.link.app);
    let from = From::table(tables, "encounter", "e", &["encounter_id", "uuid", "patient_id"])?
        .left("person", "p", "p.person_id = e.patient_id", &["person_id", "uuid"])
        .left("encounter_type", "t", "t.encounter_type_id = e.encounter_type", &["encounter_type_id", "name"])
        .left("location", "l", "l.location_id = e.location_id", &["location_id", "name"]);
    let columns = [
        "e.uuid",
        "e.encounter_id",
        "e.encounter_datetime",
        "e.date_created",
        "e.date_changed",
        "e.voided",
        "t.name",
        "l.name",
        "p.uuid",
        "e.patient_id",
    ];
    let mut statement = session.link.statement(format!("SELECT {} FROM {} WHERE ", from.columns(&columns), from.text));
    match by {
        EncountersBy::Uuids(uuids) => drop(statement.text_in("e.uuid", uuids)),
        EncountersBy::OrdersOfPatient(patient) => {
            let orders = From::table(tables, "orders", "o", &["encounter_id"])?;
            statement.push("e.voided = 0 AND e.patient_id = ").int(patient).push(format!(
                " AND EXISTS (SELECT 1 FROM {} WHERE o.encounter_id = e.encounter_id) \
                 ORDER BY e.encounter_datetime DESC LIMIT {ENCOUNTERS}",
                orders.text
            ));
        }
    }
    let read = |mut row: Record| Encounter {
        uuid: row.key().unwrap_or_default(),
        id: number(&mut row),
        at: from.stamp(zone, "e.encounter_datetime", row.text()),
        created: from.stamp(zone, "e.date_created", row.text()),
        changed: from.stamp(zone, "e.date_changed", row.text()),
        voided: flag(&mut row),
        encounter_type: row.key(),
        location: row.key(),
        patient: row.key(),
        patient_id: number(&mut row),
    };
    Ok(session.link.rows(statement).await?.into_iter().map(read).collect())
}

/// How orders are chosen.
#[derive(Clone, Copy, Debug)]
pub enum OrdersBy<'a> {
    Uuids(&'a [String]),
    Encounters(&'a [i64]),
    Number(&'a str),
}

/// Most orders of one answer.
const ORDERS: u32 = 2_000;

/// The columns of an order, as [`read_order`] reads them.
const ORDER_COLUMNS: [&str; 19] = [
    "o.uuid",
    "o.order_id",
    "o.order_number",
    "t.name",
    "o.order_action",
    "o.voided",
    "o.date_created",
    "o.date_stopped",
    "c.uuid",
    "o.concept_id",
    "d.uuid",
    "d.name",
    "dr.drug_non_coded",
    "dr.order_id",
    "x.order_id",
    "r.order_id",
    "e.uuid",
    "o.encounter_id",
    "p.uuid",
];

/// Returns orders, oldest first, with the names of their concepts.
pub(in super::super) async fn orders(
    session: &mut Session<'_>,
    tables: &Tables,
    by: OrdersBy<'_>,
) -> Answer<Vec<Order>> {
    if matches!(by, OrdersBy::Number(_))
        && let Some(reason) = tables.too_large(&mut session.link, "orders", "order_number").await?
    {
        return Err(Lack::NotHere(format!("{reason}; search for the patient's identifier")));
    }
    let zone = zone(session.link.app);
    let from = From::table(tables, "orders", "o", &["order_id", "uuid", "encounter_id"])?
        .left("order_type", "t", "t.order_type_id = o.order_type_id", &["order_type_id", "name"])
        .left("concept", "c", "c.concept_id = o.concept_id", &["concept_id", "uuid"])
        .left("drug_order", "dr", "dr.order_id = o.order_id", &["order_id", "drug_inventory_id"]);
    let from = if from.has("dr.drug_inventory_id") {
        from.left("drug", "d", "d.drug_id = dr.drug_inventory_id", &["drug_id", "uuid", "name"])
    } else {
        from
    };
    let from = from
        .left("encounter", "e", "e.encounter_id = o.encounter_id", &["encounter_id", "uuid", "patient_id"])
        .left("person", "p", "p.person_id = o.patient_id", &["person_id", "uuid"])
        .left("test_order", "x", "x.order_id = o.order_id", &["order_id"])
        .left("referral_order", "r", "r.order_id = o.order_id", &["order_id"]);
    let mut statement =
        session.link.statement(format!("SELECT {} FROM {} WHERE ", from.columns(&ORDER_COLUMNS), from.text));
    match by {
        OrdersBy::Uuids(uuids) => drop(statement.text_in("o.uuid", uuids)),
        OrdersBy::Encounters(ids) => drop(statement.int_in("o.encounter_id", ids)),
        OrdersBy::Number(number) => drop(statement.equals("o.order_number", number)),
    }
    statement.push(format!(" ORDER BY o.order_id LIMIT {ORDERS}"));
    let mut orders: Vec<Order> =
        session.link.rows(statement).await?.into_iter().map(|row| read_order(&from, zone, row)).collect();
    let mut concepts: Vec<i64> = orders.iter().filter_map(|order| order.concept_id).collect();
    concepts.sort_unstable();
    concepts.dedup();
    let names = concept_names(session, tables, &concepts).await.or_else(absent)?;
    for order in &mut orders {
        order.what = order.concept_id.and_then(|id| names.get(&id).cloned());
    }
    Ok(orders)
}

/// Reads the columns of [`orders`].
fn read_order(from: &From<'_>, zone: Tz, mut row: Record) -> Order {
    let mut order = Order {
        uuid: row.key().unwrap_or_default(),
        id: number(&mut row),
        number: row.key(),
        order_type: row.key(),
        action: row.key(),
        voided: flag(&mut row),
        created: from.stamp(zone, "o.date_created", row.text()),
        stopped: from.stamp(zone, "o.date_stopped", row.text()),
        concept: row.key(),
        concept_id: row.number(),
        drug: row.key(),
        drug_name: row.key(),
        is_drug: false,
        invisible: false,
        what: None,
        encounter: None,
        encounter_id: 0,
        patient: None,
    };
    let non_coded = row.key();
    order.drug_name = order.drug_name.or(non_coded);
    order.is_drug = row.text().is_some();
    let (test_order, referral) = (row.text().is_some(), row.text().is_some());
    order.invisible = test_order || referral;
    order.encounter = row.key();
    order.encounter_id = number(&mut row);
    order.patient = row.key();
    order
}

/// Returns a name for each concept: the English one that is fully specified, if there is one.
async fn concept_names(session: &mut Session<'_>, tables: &Tables, ids: &[i64]) -> Answer<HashMap<i64, String>> {
    let from = From::table(tables, "concept_name", "n", &["concept_id", "name", "voided"])?;
    let mut best = HashMap::<i64, (u8, String)>::new();
    for ids in ids.chunks(BATCH) {
        let mut statement = session.link.statement(format!(
            "SELECT {} FROM {} WHERE n.voided = 0 AND ",
            from.columns(&["n.concept_id", "n.name", "n.locale", "n.locale_preferred", "n.concept_name_type"]),
            from.text
        ));
        statement.int_in("n.concept_id", ids).push(" ORDER BY n.concept_id, n.name");
        for mut row in session.link.rows(statement).await? {
            let (id, name) = (number(&mut row), row.key().unwrap_or_default());
            let english = row.text().is_some_and(|locale| locale.to_lowercase().starts_with("en"));
            let preferred = flag(&mut row);
            let whole = row.text().as_deref() == Some("FULLY_SPECIFIED");
            let rank = u8::from(english) * 4 + u8::from(preferred) * 2 + u8::from(whole);
            let known = best.entry(id).or_insert_with(|| (rank, name.clone()));
            if rank > known.0 {
                *known = (rank, name);
            }
        }
    }
    Ok(best.into_iter().map(|(id, (_, name))| (id, name)).collect())
}

/// Returns concepts by uuid, each with its name.
pub(in super::super) async fn concepts(
    session: &mut Session<'_>,
    tables: &Tables,
    uuids: &[String],
) -> Answer<Vec<Other>> {
    let from = From::table(tables, "concept", "c", &["concept_id", "uuid"])?;
    let columns = from.columns(&["c.uuid", "c.concept_id", "c.retired"]);
    let mut statement = session.link.statement(format!("SELECT {columns} FROM {} WHERE ", from.text));
    statement.text_in("c.uuid", uuids);
    let read = |mut row: Record| (row.key().unwrap_or_default(), number(&mut row), flag(&mut row));
    let found: Vec<(String, i64, bool)> = session.link.rows(statement).await?.into_iter().map(read).collect();
    let ids: Vec<i64> = found.iter().map(|(_, id, _)| *id).collect();
    let mut names = concept_names(session, tables, &ids).await.or_else(absent)?;
    let named = |(uuid, id, retired)| Other { uuid, patient_id: None, name: names.remove(&id), retired };
    Ok(found.into_iter().map(named).collect())
}

/// Returns drugs by uuid, each with its name.
pub(in super::super) async fn drugs(
    session: &mut Session<'_>,
    tables: &Tables,
    uuids: &[String],
) -> Answer<Vec<Other>> {
    let from = From::table(tables, "drug", "d", &["uuid", "name"])?;
    let columns = from.columns(&["d.uuid", "d.name", "d.retired"]);
    let mut statement = session.link.statement(format!("SELECT {columns} FROM {} WHERE ", from.text));
    statement.text_in("d.uuid", uuids);
    let read = |mut row: Record| Other {
        uuid: row.key().unwrap_or_default(),
        patient_id: None,
        name: row.key(),
        retired: flag(&mut row),
    };
    Ok(session.link.rows(statement).await?.into_iter().map(read).collect())
}

/// Returns the patients of bed assignments, programme enrolments or appointments.
pub(in super::super) async fn of_a_patient(
    session: &mut Session<'_>,
    tables: &Tables,
    table: &'static str,
    uuids: &[String],
) -> Answer<Vec<Other>> {
    let from = From::table(tables, table, "o", &["uuid", "patient_id"])?;
    let columns = from.columns(&["o.uuid", "o.patient_id"]);
    let mut statement = session.link.statement(format!("SELECT {columns} FROM {} WHERE ", from.text));
    statement.text_in("o.uuid", uuids);
    let read =
        |mut row: Record| Other { uuid: row.key().unwrap_or_default(), patient_id: row.number(), ..Other::default() };
    Ok(session.link.rows(statement).await?.into_iter().map(read).collect())
}

/// A result of an order in OpenMRS. Its value is never read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultOf {
    pub order_id: i64,
    pub saved: Option<Stamp>,
}

/// Returns which orders have a result.
pub(in super::super) async fn results(
    session: &mut Session<'_>,
    tables: &Tables,
    orders: &[i64],
) -> Answer<Vec<ResultOf>> {
    let zone = zone(session.link.app);
    let needed = ["order_id", "date_created", "obs_group_id", "voided"];
    let from = From::table(tables, "obs", "b", &needed)?;
    let columns = from.columns(&["b.order_id", "b.date_created"]);
    let mut statement = session
        .link
        .statement(format!("SELECT {columns} FROM {} WHERE b.voided = 0 AND b.obs_group_id IS NULL AND ", from.text));
    statement.int_in("b.order_id", orders).push(" ORDER BY b.order_id, b.date_created");
    let mut newest = HashMap::<i64, ResultOf>::new();
    for mut row in session.link.rows(statement).await? {
        let order_id = number(&mut row);
        let saved = from.stamp(zone, "b.date_created", row.text());
        newest.insert(order_id, ResultOf { order_id, saved });
    }
    let mut results: Vec<ResultOf> = newest.into_values().collect();
    results.sort_by_key(|result| result.order_id);
    Ok(results)
}

/// Returns what waits in the publisher's queue for these records: pairs of a uuid and when its event was raised.
pub(in super::super) async fn queued(
    session: &mut Session<'_>,
    tables: &Tables,
    uuids: &[String],
) -> Answer<Vec<(String, Option<Stamp>)>> {
    /// Most rows of the queue that are read, the newest. A queue is drained every few seconds.
    const QUEUE: u32 = 20_000;
    let app = session.link.app;
    let from = From::table(tables, "event_records_queue", "q", &["id", "object", "timestamp"])?;
    let statement = session.link.statement(format!(
        "SELECT {} FROM {} ORDER BY q.id DESC LIMIT {QUEUE}",
        from.columns(&["q.object", "q.timestamp"]),
        from.text
    ));
    let mut found = Vec::new();
    for mut row in session.link.rows(statement).await? {
        let object = row.key().unwrap_or_default();
        if let Some(uuid) = uuids.iter().find(|uuid| object.contains(uuid.as_str())) {
            found.push((uuid.clone(), from.stamp(app.time_zone, "q.timestamp", row.text())));
        }
    }
    Ok(found)
}
