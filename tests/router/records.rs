//! Records behind events: who is shown what, what is on record, how they are found, and where they are on their way.

use atomfeed_console::{
    model::{
        Kind, Person, Role,
        audit::{AuditFilter, AuditKind},
    },
    server::config::{Access, Config, RecordSettings},
};

use super::hospital::{Answer, Hospital, Row, row};

const PATIENT: &str = "11111111-0000-4000-8000-000000000001";
const TWIN: &str = "11111111-0000-4000-8000-000000000002";
/// The uuid in the payload of `row(1, …)`.
const ENCOUNTER: &str = "10000000-0000-4000-8000-000000000001";
const IDENTIFIER: &str = "GAN203007";
const NAME: &str = "Kalinga";
const TEST: &str = "Haemoglobin";

/// OpenMRS, in the place of the hospital's second application.
const OPENMRS: &str = "
    CREATE TABLE person (person_id INTEGER PRIMARY KEY, uuid TEXT UNIQUE, voided INTEGER);
    CREATE TABLE patient_identifier (patient_id INTEGER, identifier TEXT, identifier_type INTEGER, preferred INTEGER,
        voided INTEGER);
    CREATE TABLE person_name (person_id INTEGER, given_name TEXT, middle_name TEXT, family_name TEXT, preferred INTEGER,
        voided INTEGER);
    CREATE TABLE encounter_type (encounter_type_id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE location (location_id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE encounter (encounter_id INTEGER PRIMARY KEY, uuid TEXT UNIQUE, encounter_type INTEGER, patient_id INTEGER,
        location_id INTEGER, encounter_datetime TEXT, date_created TEXT, date_changed TEXT, voided INTEGER);
    CREATE TABLE order_type (order_type_id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE concept (concept_id INTEGER PRIMARY KEY, uuid TEXT, is_set INTEGER, retired INTEGER);
    CREATE TABLE concept_name (concept_id INTEGER, name TEXT, locale TEXT, locale_preferred INTEGER,
        concept_name_type TEXT, voided INTEGER);
    CREATE TABLE orders (order_id INTEGER PRIMARY KEY, uuid TEXT UNIQUE, order_number TEXT, order_type_id INTEGER,
        concept_id INTEGER, encounter_id INTEGER, patient_id INTEGER, order_action TEXT, accession_number TEXT,
        voided INTEGER, date_stopped TEXT, date_created TEXT);
    CREATE TABLE test_order (order_id INTEGER PRIMARY KEY);
    CREATE TABLE drug_order (order_id INTEGER PRIMARY KEY, drug_inventory_id INTEGER, drug_non_coded TEXT);
    CREATE TABLE drug (drug_id INTEGER PRIMARY KEY, uuid TEXT, name TEXT, retired INTEGER);
    CREATE TABLE obs (order_id INTEGER, obs_datetime TEXT, date_created TEXT, obs_group_id INTEGER, voided INTEGER);
    INSERT INTO person VALUES (1, '11111111-0000-4000-8000-000000000001', 0),
        (2, '11111111-0000-4000-8000-000000000002', 0);
    INSERT INTO patient_identifier VALUES (1, 'GAN203007', 1, 1, 0), (2, 'GAN203007', 1, 1, 0);
    INSERT INTO person_name VALUES (1, 'Asha', NULL, 'Kalinga', 1, 0), (2, 'Ravi', NULL, 'Kalingan', 1, 0);
    INSERT INTO encounter_type VALUES (1, 'Consultation');
    INSERT INTO encounter VALUES
        (1, '10000000-0000-4000-8000-000000000001', 1, 1, NULL, '2026-11-20 07:00:00', '2026-11-20 07:00:00', NULL, 0),
        (2, '10000000-0000-4000-8000-000000000002', 1, 1, NULL, '2026-11-19 07:00:00', '2026-11-19 07:00:00', NULL, 0);
    INSERT INTO order_type VALUES (1, 'Lab Order'), (2, 'Radiology Order');
    INSERT INTO concept VALUES (1, 'concept-0001', 0, 0), (2, 'concept-0002', 0, 0);
    INSERT INTO concept_name VALUES (1, 'Haemoglobin', 'en', 1, 'FULLY_SPECIFIED', 0),
        (2, 'Chest X-ray', 'en', 1, 'FULLY_SPECIFIED', 0);
    INSERT INTO orders VALUES
        (1, '33333333-0000-4000-8000-000000000001', 'ORD-307', 1, 1, 1, 1, 'NEW', NULL, 0, NULL, '2026-11-20 07:00:00'),
        (2, '33333333-0000-4000-8000-000000000002', 'ORD-308', 2, 2, 1, 1, 'NEW', NULL, 0, NULL, '2026-11-20 07:00:00'),
        (3, '33333333-0000-4000-8000-000000000003', 'ORD-300', 1, 1, 2, 1, 'NEW', NULL, 0, NULL, '2026-11-19 07:00:00');";

/// Odoo: it has the order of the older encounter, and takes lab orders only.
const ODOO: &str = "
    CREATE TABLE res_partner (id INTEGER PRIMARY KEY, ref TEXT, uuid TEXT, active INTEGER, create_date TEXT);
    CREATE TABLE sale_order (id INTEGER PRIMARY KEY, name TEXT, state TEXT, partner_id INTEGER);
    CREATE TABLE sale_order_line (order_id INTEGER, external_id TEXT, external_order_id TEXT, create_date TEXT);
    CREATE TABLE product_product (id INTEGER PRIMARY KEY, product_tmpl_id INTEGER, uuid TEXT, active INTEGER);
    CREATE TABLE product_template (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE order_type (name TEXT);
    INSERT INTO res_partner VALUES (1, 'GAN203007', '11111111-0000-4000-8000-000000000001', 1, '2026-11-19 07:05:00');
    INSERT INTO sale_order VALUES (1, 'S00042', 'draft', 1);
    INSERT INTO sale_order_line VALUES (1, '10000000-0000-4000-8000-000000000002',
        '33333333-0000-4000-8000-000000000003', '2026-11-19 07:06:00');
    INSERT INTO product_product VALUES (1, 1, 'concept-0001', 1);
    INSERT INTO product_template VALUES (1, 'Haemoglobin');
    INSERT INTO order_type VALUES ('Lab Order');";

async fn hospital_with(change: impl FnOnce(&mut Config)) -> Hospital {
    let failed: Row = row(1, "2026-11-20 08:00:00");
    let statements = [("Odoo", ODOO), ("OpenELIS", OPENMRS)];
    let hospital = Hospital::made(&[failed], &[], "/atomfeed-console", &statements, |config| {
        let openmrs = &mut config.applications[1].info;
        openmrs.kind = Kind::Openmrs;
        openmrs.name = "OpenMRS".into();
        openmrs.publishes = vec!["http://openmrs:8080/openmrs/".into()];
        config.access = Access::default();
        change(config);
    })
    .await;
    hospital.followed().await;
    hospital
}

async fn hospital() -> Hospital {
    hospital_with(|_| ()).await
}

fn person(role: Role) -> Person {
    Person { role, ..Person::anybody() }
}

async fn seen(hospital: &Hospital) -> Vec<String> {
    let filter = AuditFilter { kind: Some(AuditKind::PersonsViewed), ..AuditFilter::default() };
    let page = hospital.console.parts.store.audit_entries(&filter, None, 100).await.expect("the log");
    page.into_iter().map(|entry| entry.what).collect()
}

fn paths() -> Vec<String> {
    let of = |kind: &str, uuid: &str| format!("/records/openelis/{kind}/{uuid}");
    vec![
        "/failed-events".into(),
        "/failed-events/odoo/1".into(),
        "/failed-events.csv".into(),
        "/failed-events.ndjson".into(),
        "/groups/1".into(),
        "/search?q=GAN203007".into(),
        format!("/search?q={ENCOUNTER}"),
        "/search?q=did+not+work".into(),
        format!("/history?find={ENCOUNTER}"),
        "/history/1".into(),
        of("patient", PATIENT),
        of("encounter", ENCOUNTER),
        of("order", "33333333-0000-4000-8000-000000000001"),
        format!("/api/record?app=openelis&kind=encounter&uuid={ENCOUNTER}"),
        "/api/failed_events?query=".into(),
    ]
}

#[tokio::test]
async fn persons_are_shown_by_role_on_every_page_and_download() {
    let hospital = hospital().await;
    for path in paths() {
        let path = format!("/atomfeed-console{path}");
        let viewer = hospital.page_as(&person(Role::Viewer), &path).await;
        assert_eq!(viewer.status, 200, "{path}");
        let typed = path.contains(IDENTIFIER);
        for secret in [NAME, TEST, "ORD-307", "S00042"] {
            assert!(!viewer.body.contains(secret), "{secret} at {path}");
        }
        assert!(typed || !viewer.body.contains(IDENTIFIER), "{path}");
        let operator = hospital.page_as(&person(Role::Operator), &path).await;
        assert!(operator.body.contains(IDENTIFIER), "{path}: {}", operator.body);
        assert!(!operator.body.contains(NAME), "{path}");
        let administrator = hospital.page_as(&person(Role::Administrator), &path).await;
        assert!(administrator.body.contains(NAME), "{path}");
    }
}

#[tokio::test]
async fn nobody_sees_names_or_nothing_is_looked_up_if_the_settings_say_so() {
    let path = "/atomfeed-console/failed-events";
    let none = RecordSettings { names: None, ..RecordSettings::default() };
    let hospital = hospital_with(|config| config.records = none).await;
    let page = hospital.page_as(&person(Role::Administrator), path).await;
    assert!(page.body.contains(IDENTIFIER) && !page.body.contains(NAME));
    let to_operators = RecordSettings { names: Some(Role::Operator), ..RecordSettings::default() };
    let hospital = hospital_with(|config| config.records = to_operators).await;
    assert!(hospital.page_as(&person(Role::Operator), path).await.body.contains(NAME));
    assert!(!hospital.page_as(&person(Role::Viewer), path).await.body.contains(IDENTIFIER));
    let off = RecordSettings { enabled: false, ..RecordSettings::default() };
    let hospital = hospital_with(|config| config.records = off).await;
    for path in paths().iter().filter(|path| !path.contains(IDENTIFIER)) {
        let page = hospital.page_as(&person(Role::Administrator), &format!("/atomfeed-console{path}")).await;
        assert!(!page.body.contains(IDENTIFIER), "{path}");
    }
    assert_eq!(seen(&hospital).await, [""; 0]);
}

#[tokio::test]
async fn a_view_of_a_patient_is_on_record_once_by_uuid() {
    let hospital = hospital().await;
    let path = format!("/atomfeed-console/records/openelis/encounter/{ENCOUNTER}");
    hospital.page_as(&person(Role::Viewer), &path).await;
    assert_eq!(seen(&hospital).await, [""; 0], "a viewer saw no person");
    for _ in 0..3 {
        hospital.page_as(&person(Role::Operator), &path).await;
    }
    let entries = seen(&hospital).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert!(entries[0].contains(PATIENT) && entries[0].contains(ENCOUNTER), "{entries:?}");
    assert!(!entries[0].contains(IDENTIFIER) && !entries[0].contains(NAME), "{entries:?}");
    hospital.page_as(&person(Role::Administrator), &path).await;
    assert_eq!(seen(&hospital).await.len(), 2, "each person");
}

/// Returns the address to which an answer leads.
fn leads(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.header("location")
}

#[tokio::test]
async fn what_names_a_person_stands_in_no_address_and_no_log() {
    let hospital = hospital_with(|config| config.access.way = atomfeed_console::server::config::AuthMode::Open).await;
    let start = "/atomfeed-console/api/start_search";
    for (typed, found) in
        [(IDENTIFIER, TWIN), ("ORD-307", "ORD-307 Haemoglobin"), ("S00042", "S00042"), ("kalin", TWIN)]
    {
        let answer = hospital.form(start, &[("q", typed)]).await;
        let address = leads(&answer);
        assert!(address.contains("kept=") && !address.contains(typed), "{address}");
        let page = hospital.page(address).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains(found), "{typed}: {}", page.body);
    }
    // A uuid names nobody, and its address can be passed on.
    let answer = hospital.form(start, &[("q", ENCOUNTER)]).await;
    assert!(leads(&answer).contains(&format!("q={ENCOUNTER}")));
    let gone = hospital.page("/atomfeed-console/search?kept=1234").await;
    assert_eq!(gone.status, 404, "{}", gone.body);
    assert!(gone.body.contains("Type it again"), "{}", gone.body);
}

#[tokio::test]
async fn an_identifier_of_two_patients_finds_both_and_all_their_events() {
    let hospital = hospital().await;
    let operator = person(Role::Operator);
    let page = hospital.page_as(&operator, &format!("/atomfeed-console/search?q={IDENTIFIER}")).await;
    for uuid in [PATIENT, TWIN] {
        assert!(page.body.contains(&format!("/atomfeed-console/records/openelis/patient/{uuid}")), "{}", page.body);
    }
    assert!(
        page.body.contains("Failed events of these records") && page.body.contains("/history/1\""),
        "{}",
        page.body
    );
    // Names are not searched for someone who may not see them.
    let page = hospital.page_as(&operator, &format!("/atomfeed-console/search?q={NAME}")).await;
    assert!(!page.body.contains(PATIENT), "{}", page.body);
}

#[tokio::test]
async fn a_records_page_says_where_each_order_is_and_why() {
    let hospital = hospital().await;
    let operator = person(Role::Operator);
    let path = format!("/atomfeed-console/records/openelis/encounter/{ENCOUNTER}");
    let page = hospital.page_as(&operator, &path).await;
    assert_eq!(page.status, 200, "{}", page.body);
    // The lab order waits behind its failed event; Odoo does not take the X-ray.
    assert!(page.body.contains("Its event failed in Odoo, and its retries are used up."), "{}", page.body);
    assert!(page.body.contains("/atomfeed-console/failed-events/odoo/1"), "the failed event is a click away");
    assert!(page.body.contains("Not expected") && page.body.contains("has no order type"), "{}", page.body);
    let path = "/atomfeed-console/records/openelis/order/33333333-0000-4000-8000-000000000003";
    let page = hospital.page_as(&operator, path).await;
    assert!(page.body.contains("Arrived") && page.body.contains("bill S00042"), "{}", page.body);
    // A ticket leaves the hospital: it names no patient.
    let ticket =
        page.body.split_once("id=\"ticket\"").and_then(|(_, rest)| rest.split_once("</pre>")).expect("a ticket").0;
    assert!(ticket.contains("ORD-300") && !ticket.contains(IDENTIFIER) && !ticket.contains(TEST), "{ticket}");
}

#[tokio::test]
async fn an_address_of_no_record_is_told_as_such() {
    let hospital = hospital().await;
    let administrator = person(Role::Administrator);
    for (path, status) in [
        ("openelis/patient/99999999-0000-4000-8000-000000000009", 404),
        ("openelis/nothing/99999999-0000-4000-8000-000000000009", 404),
        ("openelis/patient/x", 404),
        ("nowhere/patient/99999999-0000-4000-8000-000000000009", 404),
    ] {
        let page = hospital.page_as(&administrator, &format!("/atomfeed-console/records/{path}")).await;
        assert_eq!(page.status, status, "{path}: {}", page.body);
    }
    // Another application's record, for someone who may not see that application, is one that does not exist.
    let limited = Person { applications: Some(["odoo".to_owned()].into()), ..person(Role::Operator) };
    let path = format!("/atomfeed-console/records/openelis/patient/{PATIENT}");
    let page = hospital.page_as(&limited, &path).await;
    assert_eq!(page.status, 404, "{}", page.body);
    let list = hospital.page_as(&limited, "/atomfeed-console/failed-events").await;
    assert!(!list.body.contains(IDENTIFIER), "{}", list.body);
}

#[tokio::test]
async fn a_name_from_another_application_is_not_kept_for_those_who_may_not_see_that() {
    // A sample has the uuid of its encounter, and its patient is found in OpenMRS.
    let hospital = hospital_with(|config| config.applications[0].info.kind = Kind::Openelis).await;
    let path = format!("/atomfeed-console/records/odoo/accession/{ENCOUNTER}");
    let page = hospital.page_as(&person(Role::Administrator), &path).await;
    assert!(page.body.contains(IDENTIFIER) && page.body.contains(NAME), "{}", page.body);
    let limited = Person { applications: Some(["odoo".to_owned()].into()), ..person(Role::Administrator) };
    let page = hospital.page_as(&limited, &path).await;
    assert!(!page.body.contains(IDENTIFIER) && !page.body.contains(NAME), "{}", page.body);
}

#[tokio::test]
async fn of_a_patient_in_crater_nothing_can_be_told_but_that_its_event_failed() {
    let hospital = hospital_with(|config| config.applications[0].info.kind = Kind::Crater).await;
    let administrator = person(Role::Administrator);
    let page = hospital.page_as(&administrator, &format!("/atomfeed-console/records/openelis/patient/{PATIENT}")).await;
    assert!(page.body.contains("Cannot tell"), "{}", page.body);
    assert!(page.body.contains("Odoo keeps no copy of what it has read."), "{}", page.body);
}
