//! Writes the records into the tables of each system.

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{
    Records, Sample,
    catalogue::{ENCOUNTER_TYPES, Kind, LAB_RESULT, LOCATIONS, ORDER_TYPES, members},
    micros, schema, seconds,
};
use crate::demo::{System, history::hyphenated};

/// Rows per INSERT.
const ROWS: usize = 100;

/// Offsets of the ids: what they are of no table is right in another by chance.
const ELIS_PERSON: i64 = 7_000;
const ELIS_PATIENT: i64 = 2_000;
const ELIS_TEST: i64 = 100;
const ELIS_SAMPLE: i64 = 10;
const ELIS_ITEM: i64 = 20;
const ODOO_PARTNER: i64 = 40;
const ODOO_PRODUCT: i64 = 500;
const ODOO_TEMPLATE: i64 = 300;
const DRUG: i64 = 1_000;

/// Creates the tables of a system and writes its records.
pub(in crate::demo) async fn write(
    connection: &mut SqliteConnection,
    system: System,
    records: &Records,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(system.tables()).execute(&mut *connection).await?;
    sqlx::raw_sql(system.settings()).execute(&mut *connection).await?;
    let mut writer = Writer { connection, records };
    match system {
        System::Openmrs => writer.openmrs().await,
        System::Openelis => writer.openelis().await,
        System::Odoo => writer.odoo().await,
        System::Pacs => writer.pacs().await,
    }
}

impl System {
    /// Returns the statements that create the tables of its records.
    pub fn tables(self) -> &'static str {
        match self {
            System::Openmrs => schema::OPENMRS,
            System::Openelis => schema::OPENELIS,
            System::Odoo => schema::ODOO,
            System::Pacs => schema::PACS,
        }
    }

    /// Returns the rows that a new installation has.
    fn settings(self) -> &'static str {
        match self {
            System::Openmrs => {
                "INSERT INTO patient_identifier_type (patient_identifier_type_id, name, uuid)
                    VALUES (3, 'Patient Identifier', 'b46af68a-c79a-11e2-b284-107d46e7b2c5');
                 INSERT INTO global_property (property, property_value) VALUES
                    ('bahmni.primaryIdentifierType', 'b46af68a-c79a-11e2-b284-107d46e7b2c5'),
                    ('bahmni.extraPatientIdentifierTypes', ''),
                    ('encounter.feed.publish.url', '/openmrs/ws/rest/v1/bahmnicore/bahmniencounter/%s?includeAll=true'),
                    ('atomfeed.publish.eventsForPatientProgramStateChange', 'true');"
            }
            System::Openelis => {
                "INSERT INTO patient_identity_type (id, identity_type) VALUES (1, 'NATIONAL'), (2, 'ST');
                 INSERT INTO status_of_sample (id, name, status_type) VALUES (1, 'Test Entered', 'ORDER'),
                    (2, 'Testing Started', 'ORDER'), (3, 'Testing finished', 'ORDER'), (4, 'Not Tested', 'ANALYSIS'),
                    (5, 'Technical Acceptance', 'ANALYSIS'), (6, 'Finalized', 'ANALYSIS'),
                    (7, 'Biologist Rejection', 'ANALYSIS'), (8, 'Test Canceled', 'ANALYSIS'),
                    (9, 'referred out', 'ANALYSIS'), (10, 'SampleEntered', 'SAMPLE'), (11, 'SampleCanceled', 'SAMPLE');"
            }
            // Nobody has matched radiology to a shop.
            System::Odoo => {
                "INSERT INTO order_type (id, name) VALUES (1, 'Lab Order'), (2, 'Drug Order'), (3, 'Radiology Order');
                 INSERT INTO sale_shop (id, name) VALUES (1, 'Pharmacy'), (2, 'Diagnostics');
                 INSERT INTO order_type_shop_map (order_type, shop_id, location_name) VALUES
                    (1, 2, NULL), (2, 1, NULL), (2, 1, 'OPD-1');"
            }
            System::Pacs => "INSERT INTO order_type (id, name, modality_id) VALUES (1, 'Radiology Order', 1);",
        }
    }
}

/// A value of a row.
enum Cell {
    Number(i64),
    Text(String),
    Word(&'static str),
    Nothing,
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Number(value.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&'static str> for Cell {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<u128> for Cell {
    fn from(uuid: u128) -> Self {
        Self::Text(hyphenated(uuid))
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}

macro_rules! row {
    ($($value:expr),* $(,)?) => { [$(Cell::from($value)),*] };
}

fn id(place: usize) -> i64 {
    place as i64 + 1
}

/// Writes a template's name as Odoo 16 does.
pub(in crate::demo) fn in_english(name: &str) -> String {
    serde_json::json!({ "en_US": name }).to_string()
}

struct Writer<'a> {
    connection: &'a mut SqliteConnection,
    records: &'a Records,
}

impl Writer<'_> {
    /// Inserts rows; `into` is the table with its columns.
    async fn insert<const N: usize>(
        &mut self,
        into: &'static str,
        rows: impl Iterator<Item = [Cell; N]>,
    ) -> Result<(), sqlx::Error> {
        let start = format!("INSERT INTO {into} ");
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let mut query = QueryBuilder::<Sqlite>::new(&start);
            query.push_values(rows.by_ref().take(ROWS), |mut separated, row| {
                for cell in row {
                    match cell {
                        Cell::Number(number) => separated.push_bind(number),
                        Cell::Text(text) => separated.push_bind(text),
                        Cell::Word(word) => separated.push_bind(word),
                        Cell::Nothing => separated.push_bind(None::<String>),
                    };
                }
            });
            query.build().execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    async fn openmrs(&mut self) -> Result<(), sqlx::Error> {
        let types = ENCOUNTER_TYPES.iter().enumerate().map(|(place, name)| row![id(place), *name]);
        self.insert("encounter_type (encounter_type_id, name)", types).await?;
        let locations = LOCATIONS.iter().enumerate().map(|(place, name)| row![id(place), *name]);
        self.insert("location (location_id, name)", locations).await?;
        let types = ORDER_TYPES.iter().enumerate().map(|(place, (name, class))| row![id(place), *name, *class]);
        self.insert("order_type (order_type_id, name, java_class_name)", types).await?;
        self.concepts().await?;
        self.people().await?;
        self.encounters().await?;
        self.orders().await?;
        self.results().await
    }

    async fn concepts(&mut self) -> Result<(), sqlx::Error> {
        let records = self.records;
        let items = || records.items.iter().enumerate();
        let concepts =
            items().map(|(place, item)| row![id(place), item.kind.class(), item.kind == Kind::Panel, item.concept]);
        let names = items().map(|(place, item)| row![id(place), item.name.clone(), "en", true, "FULLY_SPECIFIED"]);
        let drugs = items().filter(|(_, item)| item.kind == Kind::Drug);
        let drugs = drugs.map(|(place, item)| row![DRUG + id(place), id(place), item.name.clone(), item.uuid]);
        self.insert("concept (concept_id, class_id, is_set, uuid)", concepts).await?;
        let into = "concept_name (concept_id, name, locale, locale_preferred, concept_name_type)";
        self.insert(into, names).await?;
        self.insert("drug (drug_id, concept_id, name, uuid)", drugs).await
    }

    async fn people(&mut self) -> Result<(), sqlx::Error> {
        let records = self.records;
        let patients = || records.patients.iter().enumerate();
        let persons = patients().map(|(place, one)| {
            let (sex, born) = (one.person.gender(), one.person.born.clone());
            row![id(place), sex, born, place % 4 == 0, seconds(one.at), one.uuid]
        });
        let rows = patients().map(|(place, one)| row![id(place), seconds(one.at)]);
        let identifiers =
            patients().map(|(place, one)| row![id(place), one.identifier(), 3_i64, one.preferred, seconds(one.at)]);
        let names = patients().map(|(place, one)| {
            let (given, family) = (one.person.given, one.person.family);
            row![true, id(place), given, family, seconds(one.at)]
        });
        self.insert("person (person_id, gender, birthdate, birthdate_estimated, date_created, uuid)", persons).await?;
        self.insert("patient (patient_id, date_created)", rows).await?;
        let into = "patient_identifier (patient_id, identifier, identifier_type, preferred, date_created)";
        self.insert(into, identifiers).await?;
        self.insert("person_name (preferred, person_id, given_name, family_name, date_created)", names).await?;
        let programs = records.programs.iter().map(|one| row![id(one.patient), 1_i64, one.uuid]);
        self.insert("patient_program (patient_id, program_id, uuid)", programs).await
    }

    async fn encounters(&mut self) -> Result<(), sqlx::Error> {
        let records = self.records;
        let encounters = records.encounters.iter().enumerate().map(|(place, one)| {
            let location = one.has_location.then(|| place as i64 % 4 + 1);
            let at = seconds(one.at);
            row![id(place), one.kind, id(one.patient), location, at.clone(), at, one.voided, id(place), one.uuid]
        });
        let into = "encounter (encounter_id, encounter_type, patient_id, location_id, encounter_datetime, date_created, \
                    voided, visit_id, uuid)";
        self.insert(into, encounters).await?;
        let beds = records.beds.iter().map(|bed| {
            let patient = records.encounters[bed.encounter].patient;
            row![id(patient), id(bed.encounter), seconds(bed.at), bed.uuid]
        });
        self.insert("bed_patient_assignment_map (patient_id, encounter_id, date_started, uuid)", beds).await
    }

    async fn orders(&mut self) -> Result<(), sqlx::Error> {
        let records = self.records;
        let noticed: std::collections::HashMap<usize, u128> = records
            .samples
            .iter()
            .filter(|sample| sample.noticed)
            .filter_map(|sample| Some((sample.encounter?, sample.uuid)))
            .collect();
        let of = records.encounters.iter().enumerate();
        let placed = || of.clone().flat_map(|(place, one)| one.orders.clone().map(move |order| (place, one, order)));
        let rows = placed().map(|(place, encounter, number)| {
            let order = &records.orders[number];
            let kind = records.items[order.item].kind;
            let at = seconds(encounter.at);
            let accession = noticed.get(&place).filter(|_| matches!(kind, Kind::Test | Kind::Panel)).copied();
            let action = if order.cancels.is_some() { "DISCONTINUE" } else { "NEW" };
            let stopped = order.cancels.is_some().then(|| at.clone());
            row![
                id(number),
                kind.order_type(),
                id(order.item),
                id(place),
                id(encounter.patient),
                format!("ORD-{}", id(number)),
                action,
                order.cancels.map(id),
                accession,
                at.clone(),
                stopped,
                at,
                encounter.voided,
                order.uuid,
            ]
        });
        let into = "orders (order_id, order_type_id, concept_id, encounter_id, patient_id, order_number, order_action, \
                    previous_order_id, accession_number, date_activated, date_stopped, date_created, voided, uuid)";
        self.insert(into, rows).await?;
        let drug = |order: usize| records.items[records.orders[order].item].kind == Kind::Drug;
        let drugs = (0..records.orders.len()).filter(|order| drug(*order));
        let drugs = drugs.map(|order| row![id(order), DRUG + id(records.orders[order].item)]);
        self.insert("drug_order (order_id, drug_inventory_id)", drugs).await?;
        let invisible = (0..records.orders.len()).filter(|order| records.orders[*order].invisible);
        self.insert("test_order (order_id)", invisible.map(|order| row![id(order)])).await
    }

    /// Writes the results, each in an encounter of its own.
    async fn results(&mut self) -> Result<(), sqlx::Error> {
        let records = self.records;
        let first = records.encounters.len();
        let reported = || {
            let samples =
                records.samples.iter().filter_map(|sample| Some((sample.encounter?, sample.reported?, sample)));
            samples.enumerate().map(move |(index, (encounter, at, sample))| (first + index, encounter, at, sample))
        };
        let encounters = reported().map(|(place, _, at, sample)| {
            let uuid = sample.uuid ^ (0x5245_5355 << 80);
            row![id(place), LAB_RESULT, id(sample.patient), seconds(at), seconds(at), id(place), uuid]
        });
        let into =
            "encounter (encounter_id, encounter_type, patient_id, encounter_datetime, date_created, visit_id, uuid)";
        self.insert(into, encounters).await?;
        let results = reported().flat_map(|(place, encounter, at, sample)| {
            let orders = records.encounters[encounter].orders.clone();
            let tested = orders.filter(move |order| sample.items.contains(&records.orders[*order].item));
            tested.map(move |order| {
                let uuid = records.orders[order].uuid ^ (0x004f_4253 << 80);
                let at = seconds(at);
                let value = (order % 140) as i64;
                let concept = id(records.orders[order].item);
                row![id(sample.patient), concept, id(place), id(order), at.clone(), value, at, uuid]
            })
        });
        let into =
            "obs (person_id, concept_id, encounter_id, order_id, obs_datetime, value_numeric, date_created, uuid)";
        self.insert(into, results).await
    }

    async fn openelis(&mut self) -> Result<(), sqlx::Error> {
        let records = self.records;
        let of = |kind: Kind| {
            let items = records.items.iter().enumerate();
            items.filter(move |(_, item)| item.in_elis && item.kind == kind)
        };
        let (tests, panels) = (|| of(Kind::Test), || of(Kind::Panel));
        let named = |(place, item): (usize, &super::Item)| row![ELIS_TEST + id(place), item.name.clone()];
        let (test_rows, panel_rows) = (tests().map(named), panels().map(named));
        let reference = |kind: &'static str| {
            move |(place, item): (usize, &super::Item)| row![ELIS_TEST + id(place), item.uuid, kind]
        };
        let references = tests().map(reference("Test")).chain(panels().map(reference("Panel")));
        self.insert("test (id, name)", test_rows).await?;
        self.insert("panel (id, name)", panel_rows).await?;
        self.insert("external_reference (item_id, external_id, type)", references).await?;
        self.elis_patients().await?;
        self.samples().await
    }

    async fn elis_patients(&mut self) -> Result<(), sqlx::Error> {
        let records = self.records;
        let patients = || records.patients.iter().enumerate().filter(|(_, one)| one.in_elis);
        let persons = patients()
            .map(|(place, one)| row![ELIS_PERSON + id(place), one.person.given, one.person.family, micros(one.at)]);
        let rows = patients().map(|(place, one)| {
            let (n, at) = (id(place), micros(one.at));
            row![ELIS_PATIENT + n, ELIS_PERSON + n, one.person.gender(), one.person.born.clone(), one.uuid, at]
        });
        let identities =
            patients().map(|(place, one)| row![2_i64, ELIS_PATIENT + id(place), one.identifier(), micros(one.at)]);
        self.insert("person (id, first_name, last_name, lastupdated)", persons).await?;
        self.insert("patient (id, person_id, gender, birth_date, uuid, lastupdated)", rows).await?;
        let into = "patient_identity (identity_type_id, patient_id, identity_data, lastupdated)";
        self.insert(into, identities).await
    }

    async fn samples(&mut self) -> Result<(), sqlx::Error> {
        let records = self.records;
        let samples = || records.samples.iter().enumerate();
        let rows = samples().map(|(place, one)| {
            let number = one.collected.as_ref().map(|(_, number)| number.clone());
            let status = if one.validated.is_some() { 3 } else { 1 + i64::from(one.tested.is_some()) };
            let (entered, changed) = (micros(one.entered), micros(last_change(one)));
            row![ELIS_SAMPLE + id(place), number, one.uuid, status, 0_i64, entered, changed]
        });
        let people = samples()
            .map(|(place, one)| row![ELIS_SAMPLE + id(place), ELIS_PATIENT + id(one.patient), micros(one.entered)]);
        let items = samples()
            .map(|(place, one)| row![ELIS_ITEM + id(place), ELIS_SAMPLE + id(place), 1_i64, micros(one.entered)]);
        let analyses = samples().flat_map(|(place, one)| {
            one.items.iter().flat_map(move |item| {
                let panel = records.items[*item].kind == Kind::Panel;
                let tests = if panel { members(*item).to_vec() } else { vec![*item] };
                let status = if one.validated.is_some() { 6 } else { 4 + i64::from(one.tested.is_some()) };
                tests.into_iter().map(move |test| {
                    let panel = panel.then(|| ELIS_TEST + id(*item));
                    let (entry, released) = (one.tested.map(micros), one.validated.map(micros));
                    let changed = micros(last_change(one));
                    row![ELIS_ITEM + id(place), ELIS_TEST + id(test), panel, status, entry, released, changed]
                })
            })
        });
        let into = "sample (id, accession_number, uuid, status_id, priority, entered_date, lastupdated)";
        self.insert(into, rows).await?;
        self.insert("sample_human (samp_id, patient_id, lastupdated)", people).await?;
        self.insert("sample_item (id, samp_id, typeosamp_id, lastupdated)", items).await?;
        let into = "analysis (sampitem_id, test_id, panel_id, status_id, entry_date, released_date, lastupdated)";
        self.insert(into, analyses).await
    }

    async fn odoo(&mut self) -> Result<(), sqlx::Error> {
        let records = self.records;
        let items = || {
            let items = records.items.iter().enumerate().filter(|(_, item)| item.in_odoo);
            let own = records.products.iter().zip(records.items.len()..);
            let items = items.map(|(place, item)| (id(place), item.uuid, item.name.as_str()));
            items.chain(own.map(|((uuid, name), place)| (id(place), *uuid, name.as_str())))
        };
        let templates = items().map(|(n, _, name)| row![ODOO_TEMPLATE + n, in_english(name), "service"]);
        let products = items().map(|(n, uuid, _)| row![ODOO_PRODUCT + n, ODOO_TEMPLATE + n, uuid]);
        self.insert("product_template (id, name, type)", templates).await?;
        self.insert("product_product (id, product_tmpl_id, uuid)", products).await?;
        let partners = records.patients.iter().enumerate().filter(|(_, one)| one.in_odoo).map(|(place, one)| {
            let name = format!("{} {}", one.person.given, one.person.family);
            let at = micros(one.at);
            row![ODOO_PARTNER + id(place), name, one.identifier(), one.uuid, at.clone(), at]
        });
        self.insert("res_partner (id, name, ref, uuid, create_date, write_date)", partners).await?;
        let bills = records.bills.iter().enumerate().map(|(place, bill)| {
            let (state, invoiced) = if bill.confirmed { ("sale", "to invoice") } else { ("draft", "no") };
            let (partner, at) = (ODOO_PARTNER + id(bill.patient), micros(bill.at));
            let name = format!("S{:05}", id(place));
            row![id(place), name, state, "API FEED SYNC", partner, partner, 1_i64, at.clone(), invoiced, at.clone(), at]
        });
        let into = "sale_order (id, name, state, origin, partner_id, partner_invoice_id, shop_id, date_order, \
                    invoice_status, create_date, write_date)";
        self.insert(into, bills).await?;
        let lines = records.bills.iter().enumerate().flat_map(|(bill, one)| {
            one.lines.iter().map(move |(encounter, order)| {
                let (encounter, order) = (&records.encounters[*encounter], &records.orders[*order]);
                let (product, at) =
                    (ODOO_PRODUCT + id(order.item), micros(encounter.at + chrono::TimeDelta::seconds(20)));
                row![id(bill), product, 1_i64, encounter.uuid, order.uuid, one.confirmed, at.clone(), at]
            })
        });
        let into = "sale_order_line (order_id, product_id, product_uom_qty, external_id, external_order_id, dispensed, \
                    create_date, write_date)";
        self.insert(into, lines).await
    }

    async fn pacs(&mut self) -> Result<(), sqlx::Error> {
        let records = self.records;
        let read = records.encounters.iter().filter(|one| one.in_pacs);
        let orders = read.flat_map(|one| one.orders.clone().map(move |order| (one, order)));
        let images = orders.filter(|(_, order)| records.items[records.orders[*order].item].kind == Kind::Radiology);
        let rows = images.map(|(encounter, number)| {
            let order = &records.orders[number];
            let item = &records.items[order.item];
            let number = format!("ORD-{}", id(number));
            row![1_i64, order.uuid, number, item.name.clone(), item.uuid, "superman", micros(encounter.at)]
        });
        let into = "test_order (order_type_id, order_uuid, order_number, test_name, test_uuid, creator, date_created)";
        self.insert(into, rows).await
    }
}

fn last_change(sample: &Sample) -> DateTime<Utc> {
    let collected = sample.collected.as_ref().map(|(at, _)| *at);
    sample.validated.or(sample.tested).or(collected).unwrap_or(sample.entered)
}
