//! Records behind events, on every database: what each look-up finds, and what it says where a right, a table or an
//! index is missing. The tables have the columns of the applications, as they are in the field.

use atomfeed_console::{
    model::{Availability, Kind},
    server::{
        config::Secret,
        sources::{
            Source,
            records::{EncountersBy, LinesBy, OrdersBy, PatientsBy, SamplesBy},
        },
    },
};

use crate::support::database::{Login, TestDatabase};

on_each_server!(patients_encounters_and_orders_of_openmrs_are_named samples_of_openelis_are_found_by_patient_and_accession
    bills_of_odoo_are_found_by_patient_and_number orders_of_pacs_are_found what_is_not_there_is_an_answer_in_words);
on!(mysql_rights, Mysql, OpenMrs: each_right_that_is_missing_costs_its_own_part_only_in_openmrs);
on!(mysql_old_rights, MysqlOld, OpenMrs: each_right_that_is_missing_costs_its_own_part_only_in_openmrs);
on!(postgres_rights, Postgres, OpenElis: each_right_that_is_missing_costs_its_own_part_only_in_openelis
    openerp_7_and_odoo_16_are_one_kind a_table_without_an_index_is_searched_up_to_a_size);

const PATIENT: &str = "11111111-0000-4000-8000-000000000001";
const TWIN: &str = "11111111-0000-4000-8000-000000000002";
const ENCOUNTER: &str = "22222222-0000-4000-8000-000000000001";
const ORDER: &str = "33333333-0000-4000-8000-000000000001";
const DRUG_ORDER: &str = "33333333-0000-4000-8000-000000000002";
const INVISIBLE: &str = "33333333-0000-4000-8000-000000000003";
/// CIEL's uuids are no uuids by RFC 4122.
const CONCEPT: &str = "790AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const DRUG: &str = "44444444-0000-4000-8000-000000000001";

/// Creates tables, given by name and columns, and fills them: the values of one row each.
async fn fill(database: &mut TestDatabase, tables: &[(&str, &str)], rows: &[(&str, &str)]) {
    for (table, columns) in tables {
        let table = database.table(table);
        database.run(&format!("CREATE TABLE {table} ({columns})")).await;
    }
    for (table, values) in rows {
        let table = database.table(table);
        database.run(&format!("INSERT INTO {table} VALUES ({values})")).await;
    }
}

async fn openmrs(database: &mut TestDatabase) -> Source {
    let tables = [
        ("person", "person_id int primary key, uuid char(38) not null unique, voided smallint not null"),
        (
            "patient_identifier",
            "patient_identifier_id int primary key, patient_id int not null, identifier varchar(50) not null, \
             identifier_type int, preferred smallint not null, voided smallint not null",
        ),
        (
            "person_name",
            "person_name_id int primary key, person_id int, given_name varchar(50), middle_name varchar(50), \
             family_name varchar(50), preferred smallint, voided smallint",
        ),
        (
            "person_merge_log",
            "person_merge_log_id int primary key, winner_person_id int, loser_person_id int, voided smallint",
        ),
        ("encounter_type", "encounter_type_id int primary key, name varchar(50)"),
        ("location", "location_id int primary key, name varchar(255)"),
        (
            "encounter",
            "encounter_id int primary key, uuid char(38) not null unique, encounter_type int, patient_id int, \
             location_id int, encounter_datetime timestamp null, date_created timestamp null, date_changed timestamp null, \
             voided smallint",
        ),
        ("order_type", "order_type_id int primary key, name varchar(255)"),
        ("concept", "concept_id int primary key, uuid char(38) unique, is_set smallint, retired smallint"),
        (
            "concept_name",
            "concept_name_id int primary key, concept_id int, name varchar(255), locale varchar(50), \
             locale_preferred smallint, concept_name_type varchar(50), voided smallint",
        ),
        (
            "orders",
            "order_id int primary key, uuid char(38) unique, order_number varchar(50), order_type_id int, concept_id int, \
             encounter_id int, patient_id int, order_action varchar(50), accession_number varchar(255), voided smallint, \
             date_stopped timestamp null, date_created timestamp null",
        ),
        ("test_order", "order_id int primary key"),
        ("drug_order", "order_id int primary key, drug_inventory_id int, drug_non_coded varchar(255)"),
        ("drug", "drug_id int primary key, uuid char(38), name varchar(255), retired smallint"),
        (
            "obs",
            "obs_id int primary key, order_id int, obs_group_id int, obs_datetime timestamp null, \
             date_created timestamp null, voided smallint",
        ),
    ];
    let (at, later) = ("'2026-11-01 08:00:00'", "'2026-11-01 09:30:00'");
    let rows = [
        ("person", format!("1, '{PATIENT}', 0")),
        ("person", format!("2, '{TWIN}', 0")),
        ("patient_identifier", "1, 1, 'OLD-7', 1, 0, 0".to_owned()),
        ("patient_identifier", "2, 1, 'GAN203007', 2, 1, 0".to_owned()),
        ("patient_identifier", "3, 1, 'VOIDED', 2, 1, 1".to_owned()),
        // Two patients have one identifier.
        ("patient_identifier", "4, 2, 'GAN203007', 2, 1, 0".to_owned()),
        ("person_name", "1, 1, 'Sita', NULL, 'Devi', 1, 0".to_owned()),
        ("person_name", "2, 2, 'Sita', 'M', 'Kumari', 1, 0".to_owned()),
        ("person_merge_log", "1, 1, 2, 0".to_owned()),
        ("encounter_type", "1, 'Consultation'".to_owned()),
        ("location", "1, 'OPD-1'".to_owned()),
        ("encounter", format!("1, '{ENCOUNTER}', 1, 1, 1, {at}, {at}, {later}, 0")),
        ("order_type", "1, 'Lab Order'".to_owned()),
        ("order_type", "2, 'Drug Order'".to_owned()),
        ("concept", format!("1, '{CONCEPT}', 0, 0")),
        ("concept_name", "1, 1, 'Hb', 'en', 0, 'SHORT', 0".to_owned()),
        ("concept_name", "2, 1, 'Haemoglobin', 'en', 1, 'FULLY_SPECIFIED', 0".to_owned()),
        ("concept_name", "3, 1, 'Hémoglobine', 'fr', 1, 'FULLY_SPECIFIED', 0".to_owned()),
        ("orders", format!("1, '{ORDER}', 'ORD-307', 1, 1, 1, 1, 'NEW', NULL, 0, NULL, {at}")),
        ("orders", format!("2, '{DRUG_ORDER}', 'ORD-308', 2, NULL, 1, 1, 'NEW', NULL, 0, NULL, {at}")),
        ("orders", format!("3, '{INVISIBLE}', 'ORD-309', 1, 1, 1, 1, 'NEW', NULL, 0, NULL, {at}")),
        ("test_order", "3".to_owned()),
        ("drug_order", "2, 1, NULL".to_owned()),
        ("drug", format!("1, '{DRUG}', 'Paracetamol 500 mg', 0")),
        ("obs", format!("1, 1, NULL, {at}, {at}, 0")),
        ("obs", format!("2, 1, NULL, {later}, {later}, 0")),
        // Part of a panel, and voided: no results of their own.
        ("obs", format!("3, 2, 1, {later}, {later}, 0")),
        ("obs", format!("4, 2, NULL, {later}, {later}, 1")),
    ];
    let rows: Vec<(&str, &str)> = rows.iter().map(|(table, row)| (*table, row.as_str())).collect();
    fill(database, &tables, &rows).await;
    database.source_with(|app| app.info.kind = Kind::Openmrs)
}

fn here<T: std::fmt::Debug>(answer: Result<Availability<T>, impl std::fmt::Debug>) -> T {
    match answer {
        Ok(Availability::Here(found)) => found,
        other => panic!("no answer: {other:?}"),
    }
}

async fn patients_encounters_and_orders_of_openmrs_are_named(database: &mut TestDatabase) {
    let source = openmrs(database).await;
    let uuids = [PATIENT.to_owned(), TWIN.to_owned(), "unknown-1".to_owned()];
    let patients = here(source.record_patients(PatientsBy::Uuids(&uuids), true).await);
    assert_eq!(patients.len(), 2, "{patients:?}");
    assert_eq!(patients[0].identifiers, ["GAN203007", "OLD-7"], "the preferred one first, none that is voided");
    assert_eq!(patients[0].name.as_deref(), Some("Sita Devi"));
    assert_eq!(patients[1].merged_into.as_deref(), Some(PATIENT));
    let unnamed = here(source.record_patients(PatientsBy::Ids(&[1]), false).await);
    assert_eq!(unnamed[0].name, None);

    let twins = here(source.record_patients(PatientsBy::Identifier("GAN203007"), true).await);
    assert_eq!(twins.len(), 2, "both patients with the identifier");
    let earlier = here(source.record_patients(PatientsBy::Identifier("OLD-7"), true).await);
    assert_eq!(earlier[0].uuid, PATIENT);
    let hostile = here(source.record_patients(PatientsBy::Identifier("' OR '1'='1"), true).await);
    assert_eq!(hostile, []);
    let by_name = here(source.record_patients(PatientsBy::Name(&["sit", "kum"]), true).await);
    assert_eq!(by_name.iter().map(|patient| patient.uuid.as_str()).collect::<Vec<_>>(), [TWIN]);
    assert_eq!(here(source.record_patients(PatientsBy::Name(&["%%%"]), true).await), []);

    let encounters = here(source.record_encounters(EncountersBy::Uuids(&[ENCOUNTER.to_owned()])).await);
    let encounter = &encounters[0];
    assert_eq!(encounter.encounter_type.as_deref(), Some("Consultation"));
    assert_eq!((encounter.patient.as_deref(), encounter.location.as_deref()), (Some(PATIENT), Some("OPD-1")));
    assert!(encounter.changed.as_ref().is_some_and(|stamp| stamp.at > encounter.created.as_ref().and_then(|of| of.at)));
    let of_patient = here(source.record_encounters(EncountersBy::OrdersOfPatient(1)).await);
    assert_eq!(of_patient, encounters);

    let orders = here(source.record_orders(OrdersBy::Encounters(&[encounter.id])).await);
    let names: Vec<String> = orders.iter().map(|order| order.name().label()).collect();
    assert_eq!(names, ["ORD-307 Haemoglobin", "ORD-308 Paracetamol 500 mg", "ORD-309 Haemoglobin"]);
    assert_eq!(orders.iter().map(|order| order.is_drug).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(orders.iter().map(|order| order.invisible).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(orders[1].drug.as_deref(), Some(DRUG));
    let by_number = here(source.record_orders(OrdersBy::Number("ORD-307")).await);
    assert_eq!(by_number[0].uuid, ORDER);
    assert_eq!(by_number[0].encounter.as_deref(), Some(ENCOUNTER));

    let results = here(source.record_results(&[1, 2]).await);
    assert_eq!(results.iter().map(|result| result.order_id).collect::<Vec<_>>(), [1], "only top, not voided");
    assert!(results[0].saved.as_ref().is_some_and(|stamp| stamp.text.contains("09:30")), "{results:?}");

    let concepts = here(source.record_concepts(&[CONCEPT.to_owned()]).await);
    assert_eq!(concepts[0].name.as_deref(), Some("Haemoglobin"));
    let drugs = here(source.record_drugs(&[DRUG.to_owned()]).await);
    assert_eq!(drugs[0].name.as_deref(), Some("Paracetamol 500 mg"));
    let report = source.check().await.expect("a report");
    assert_eq!(report.records_lacking, [""; 0]);
}

async fn openelis(database: &mut TestDatabase) -> Source {
    let tables = [
        ("patient", "id numeric(10,0) primary key, uuid varchar(100) unique, lastupdated timestamp null"),
        (
            "sample",
            "id numeric(10,0) primary key, uuid varchar(100), accession_number varchar(20) unique, \
             entered_date timestamp null",
        ),
        ("sample_human", "id numeric(10,0) primary key, samp_id numeric(10,0), patient_id numeric(10,0)"),
        ("sample_item", "id numeric(10,0) primary key, samp_id numeric(10,0)"),
        (
            "analysis",
            "id numeric(10,0) primary key, sampitem_id numeric(10,0), test_id numeric(10,0), panel_id numeric(10,0), \
             status_id numeric(10,0), lastupdated timestamp null",
        ),
        ("test", "id numeric(10,0) primary key, name varchar(60)"),
        ("panel", "id numeric(10,0) primary key, name varchar(60)"),
        ("status_of_sample", "id numeric(10,0) primary key, name varchar(60)"),
        (
            "external_reference",
            "id numeric(10,0) primary key, item_id numeric(10,0), external_id varchar(50), type varchar(20)",
        ),
    ];
    let rows = [
        ("patient", format!("1, '{PATIENT}', '2026-11-01 08:00:00'")),
        // A row that the laboratory made itself.
        ("patient", "2, NULL, NULL".to_owned()),
        ("sample", format!("1, '{ENCOUNTER}', '05052017-001', '2026-11-01 08:10:00'")),
        // Not collected yet, of the same encounter.
        ("sample", format!("2, '{ENCOUNTER}', NULL, '2026-11-01 08:11:00'")),
        ("sample_human", "1, 1, 1".to_owned()),
        ("sample_human", "2, 2, 1".to_owned()),
        ("sample_item", "1, 1".to_owned()),
        ("analysis", "1, 1, 1, NULL, 1, '2026-11-01 09:00:00'".to_owned()),
        ("test", "1, 'Haemoglobin'".to_owned()),
        ("status_of_sample", "1, 'Technical Acceptance'".to_owned()),
        ("external_reference", format!("1, 1, '{CONCEPT}', 'Test'")),
        ("external_reference", "2, 1, 'a-panel-of-the-same-id', 'Panel'".to_owned()),
    ];
    let rows: Vec<(&str, &str)> = rows.iter().map(|(table, row)| (*table, row.as_str())).collect();
    fill(database, &tables, &rows).await;
    database.source_with(|app| app.info.kind = Kind::Openelis)
}

async fn samples_of_openelis_are_found_by_patient_and_accession(database: &mut TestDatabase) {
    let source = openelis(database).await;
    let encounters = [ENCOUNTER.to_owned()];
    let by = SamplesBy::Encounters { patient: PATIENT, encounters: &encounters };
    let tests = here(source.record_lab_tests(by).await);
    assert_eq!(tests.len(), 2, "{tests:?}");
    assert_eq!(tests[0].accession.as_deref(), Some("05052017-001"));
    assert_eq!(
        (tests[0].test.as_deref(), tests[0].status.as_deref()),
        (Some("Haemoglobin"), Some("Technical Acceptance"))
    );
    assert_eq!((tests[0].test_concept.as_deref(), tests[0].panel_concept.as_deref()), (Some(CONCEPT), None));
    assert_eq!((tests[1].accession.as_deref(), tests[1].test.as_deref()), (None, None));
    let by_number = here(source.record_lab_tests(SamplesBy::Accession("05052017-001")).await);
    assert_eq!((by_number[0].sample.as_str(), by_number[0].patient.as_deref()), (ENCOUNTER, Some(PATIENT)));
    let by_uuid = here(source.record_lab_tests(SamplesBy::Uuids(&encounters)).await);
    assert_eq!(by_uuid, tests);
    assert_eq!(here(source.record_lab_patient(PATIENT).await).len(), 1);
    assert_eq!(here(source.record_lab_patient(TWIN).await), []);
    let known = here(source.record_lab_references(&[CONCEPT.to_owned(), DRUG.to_owned()]).await);
    assert_eq!(known.iter().map(|product| product.name.as_deref()).collect::<Vec<_>>(), [Some("Haemoglobin")]);
    assert_eq!(source.check().await.expect("a report").records_lacking, [""; 0]);
}

/// The tables of Odoo; `product_name` is the type of a product's name.
async fn odoo(database: &mut TestDatabase, product_name: &str, name: &str) -> Source {
    let template = format!("id int primary key, name {product_name}");
    let tables = [
        (
            "res_partner",
            "id int primary key, ref varchar(50), uuid varchar(100), active smallint, create_date timestamp null",
        ),
        ("sale_order", "id int primary key, name varchar(50), state varchar(20), partner_id int"),
        (
            "sale_order_line",
            "id int primary key, order_id int, external_id varchar(100), external_order_id varchar(100), \
             create_date timestamp null",
        ),
        ("product_product", "id int primary key, product_tmpl_id int, uuid varchar(100), active smallint"),
        ("product_template", template.as_str()),
        ("order_type", "id int primary key, name varchar(50)"),
    ];
    let rows = [
        ("res_partner", format!("1, 'GAN203007', '{PATIENT}', 1, '2026-11-01 08:05:00'")),
        ("res_partner", "2, NULL, NULL, 1, NULL".to_owned()),
        ("sale_order", "1, 'S00042', 'draft', 1".to_owned()),
        ("sale_order", "2, 'S00043', 'draft', 2".to_owned()),
        ("sale_order_line", format!("1, 1, '{ENCOUNTER}', '{ORDER}', '2026-11-01 08:06:00'")),
        ("sale_order_line", "2, 1, 'another-encounter-1', 'another-order-1', NULL".to_owned()),
        ("product_product", format!("1, 1, '{DRUG}', 1")),
        ("product_product", format!("2, 1, '{CONCEPT}', 0")),
        ("product_template", format!("1, '{name}'")),
        ("order_type", "1, 'Drug Order'".to_owned()),
    ];
    let rows: Vec<(&str, &str)> = rows.iter().map(|(table, row)| (*table, row.as_str())).collect();
    fill(database, &tables, &rows).await;
    database.source_with(|app| {
        app.info.kind = Kind::Odoo;
        // Its own tables are UTC all the same.
        app.time_zone = chrono_tz::Asia::Kolkata;
    })
}

async fn bills_of_odoo_are_found_by_patient_and_number(database: &mut TestDatabase) {
    let source = odoo(database, "varchar(255)", "Paracetamol").await;
    let (identifiers, encounters) = (["GAN203007".to_owned()], [ENCOUNTER.to_owned()]);
    let by = LinesBy::Encounters { identifiers: &identifiers, encounters: &encounters };
    let lines = here(source.record_bill_lines(by).await);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((lines[0].bill.as_str(), lines[0].order.as_deref()), ("S00042", Some(ORDER)));
    let created = lines[0].created.as_ref().and_then(|stamp| stamp.at).expect("a time");
    assert_eq!(created.to_rfc3339(), "2026-11-01T08:06:00+00:00");
    let of_bill = here(source.record_bill_lines(LinesBy::Bill("S00042")).await);
    assert_eq!(of_bill.len(), 2, "a draft bill collects lines of several encounters");
    let empty = here(source.record_bill_lines(LinesBy::Bill("S00043")).await);
    assert_eq!((empty.len(), empty[0].order.as_deref()), (1, None));
    let partners = here(source.record_partners(&identifiers).await);
    assert_eq!(partners[0].uuid.as_deref(), Some(PATIENT));
    let products = here(source.record_products(&[DRUG.to_owned(), CONCEPT.to_owned()]).await);
    assert_eq!(products.iter().map(|product| product.active).collect::<Vec<_>>(), [true, false]);
    assert_eq!(products[0].name.as_deref(), Some("Paracetamol"));
    let types = here(source.record_order_types().await);
    assert_eq!(types, Some(vec!["Drug Order".to_owned()]));
}

async fn orders_of_pacs_are_found(database: &mut TestDatabase) {
    let tables = [
        (
            "test_order",
            "id int primary key, order_uuid varchar(255), order_number varchar(16), date_created timestamp null",
        ),
        ("order_type", "id int primary key, name varchar(25)"),
    ];
    let order = format!("1, '{ORDER}', 'ORD-310', '2026-11-01 08:06:00'");
    fill(database, &tables, &[("test_order", order.as_str()), ("order_type", "1, 'Radiology Order'")]).await;
    let source = database.source_with(|app| app.info.kind = Kind::Pacs);
    let found = here(source.record_imaging_orders(&[ORDER.to_owned(), DRUG_ORDER.to_owned()]).await);
    assert_eq!(found.iter().map(|order| order.number.as_deref()).collect::<Vec<_>>(), [Some("ORD-310")]);
}

async fn what_is_not_there_is_an_answer_in_words(database: &mut TestDatabase) {
    for kind in [Kind::Openmrs, Kind::Openelis, Kind::Odoo, Kind::Pacs, Kind::Crater] {
        let source = database.source_with(|app| app.info.kind = kind);
        let answer = source.record_patients(PatientsBy::Identifier("GAN203007"), true).await.expect("an answer");
        assert!(matches!(&answer, Availability::NotHere(reason) if reason.contains("person")), "{answer:?}");
        let answer = source.record_imaging_orders(&[ORDER.to_owned()]).await.expect("an answer");
        assert!(matches!(&answer, Availability::NotHere(reason) if reason.contains("test_order")), "{answer:?}");
        let lacking = source.check().await.expect("a report").records_lacking;
        assert_eq!(lacking.len(), usize::from(kind != Kind::Crater), "{lacking:?}");
    }
}

/// Returns the rights of part 3 of a script of packaging/grants, each on one table: `SELECT (id, name) ON test`.
fn record_rights(database: &TestDatabase) -> Vec<String> {
    let (script, place) = if database.is_mysql() {
        (include_str!("../../packaging/grants/mysql.sql"), "openmrs.")
    } else {
        (include_str!("../../packaging/grants/postgresql.sql"), "clinlims.")
    };
    let (_, part) = script.split_once("-- 3. Records").expect("the script has three parts");
    let mut rights = Vec::new();
    for line in part.lines().filter_map(|line| line.strip_prefix("GRANT ")) {
        let (right, rest) = line.split_once(" ON ").expect("a grant names tables");
        let tables = rest.split(" TO ").next().unwrap_or_default();
        rights
            .extend(tables.split(", ").filter_map(|table| Some(format!("{right} ON {}", table.strip_prefix(place)?))));
    }
    rights
}

/// Returns the source as an account with these rights and those for looking.
async fn as_account(database: &mut TestDatabase, kind: Kind, rights: &[&str]) -> Source {
    let looking = ["SELECT ON failed_events", "SELECT ON markers"];
    let (user, password): (String, Secret) = database.account(Login::Usual, &[&looking, rights].concat()).await;
    database.source_with(|app| {
        app.info.kind = kind;
        app.database.user = user;
        app.database.password = password;
    })
}

async fn each_right_that_is_missing_costs_its_own_part_only_in_openmrs(database: &mut TestDatabase) {
    openmrs(database).await;
    let rights = record_rights(database);
    let all: Vec<&str> = rights.iter().map(String::as_str).collect();
    assert_eq!(all.len(), 15, "{all:?}");
    let whole = as_account(database, Kind::Openmrs, &all).await;
    assert_eq!(whole.check().await.expect("a report").records_lacking, [""; 0]);
    for without in &all {
        let rest: Vec<&str> = all.iter().filter(|right| *right != without).copied().collect();
        let source = as_account(database, Kind::Openmrs, &rest).await;
        let table = without.rsplit(' ').next().unwrap_or_default();
        let patients = source.record_patients(PatientsBy::Uuids(&[PATIENT.to_owned()]), true).await.expect(table);
        let orders = source.record_orders(OrdersBy::Encounters(&[1])).await.expect(table);
        let encounters = source.record_encounters(EncountersBy::Uuids(&[ENCOUNTER.to_owned()])).await.expect(table);
        assert_eq!(patients.here().is_none(), table == "person", "{table}");
        assert_eq!(orders.here().is_none(), table == "orders", "{table}");
        assert_eq!(encounters.here().is_none(), table == "encounter", "{table}");
        if let Some(patient) = patients.here().and_then(|patients| patients.first()) {
            assert_eq!(patient.identifiers.is_empty(), table == "patient_identifier", "{table}");
            assert_eq!(patient.name.is_none(), table == "person_name", "{table}");
        }
        let lacking = source.check().await.expect("a report").records_lacking;
        // MySQL hides what an account may not read: of what not every version has, nobody knows whether it is there.
        let known = !matches!(table, "person_name" | "person_merge_log");
        let told = lacking.iter().any(|lack| lack.contains("GRANT SELECT") && lack.contains(&format!(".{table} TO")));
        assert_eq!(told, known, "{table}: {lacking:?}");
    }
}

async fn each_right_that_is_missing_costs_its_own_part_only_in_openelis(database: &mut TestDatabase) {
    openelis(database).await;
    let rights = record_rights(database);
    let all: Vec<&str> = rights.iter().map(String::as_str).collect();
    assert_eq!(all.len(), 9, "{all:?}");
    let encounters = [ENCOUNTER.to_owned()];
    let by = SamplesBy::Encounters { patient: PATIENT, encounters: &encounters };
    let whole = as_account(database, Kind::Openelis, &all).await;
    assert_eq!(here(whole.record_lab_tests(by).await).len(), 2);
    for without in &all {
        let rest: Vec<&str> = all.iter().filter(|right| *right != without).copied().collect();
        let source = as_account(database, Kind::Openelis, &rest).await;
        let table = without.rsplit(' ').next().unwrap_or_default();
        let tests = source.record_lab_tests(by).await.expect(table);
        assert_eq!(tests.here().is_none(), matches!(table, "sample" | "sample_human" | "patient"), "{table}");
        if let Some(test) = tests.here().and_then(|tests| tests.first()) {
            let needs_test = matches!(table, "sample_item" | "analysis" | "test");
            assert_eq!(test.test.is_none(), needs_test, "{table}");
            assert_eq!(test.accession.as_deref(), Some("05052017-001"), "{table}");
        }
        let lacking = source.check().await.expect("a report").records_lacking;
        assert!(
            lacking
                .iter()
                .any(|lack| lack.contains("GRANT SELECT (") && lack.contains(&format!("clinlims.{table} TO"))),
            "{table}: {lacking:?}"
        );
    }
}

/// Names of products are texts by language in Odoo 16; OpenERP 7 has no order types.
async fn openerp_7_and_odoo_16_are_one_kind(database: &mut TestDatabase) {
    let source = odoo(database, "jsonb", "{\"en_US\": \"Paracetamol\", \"fr_FR\": \"Paracétamol\"}").await;
    let products = here(source.record_products(&[DRUG.to_owned()]).await);
    assert_eq!(products[0].name.as_deref(), Some("Paracetamol"));
    let types = database.table("order_type");
    database.run(&format!("DROP TABLE {types}")).await;
    let source = database.source_with(|app| app.info.kind = Kind::Odoo);
    assert_eq!(here(source.record_order_types().await), None);
    assert_eq!(source.check().await.expect("a report").records_lacking, [""; 0]);
}

async fn a_table_without_an_index_is_searched_up_to_a_size(database: &mut TestDatabase) {
    let source = openelis(database).await;
    let encounters = [ENCOUNTER.to_owned()];
    assert_eq!(here(source.record_lab_tests(SamplesBy::Uuids(&encounters)).await).len(), 2);
    let sample = database.table("sample");
    let many =
        format!("INSERT INTO {sample} SELECT id, 'x' || id, 'x' || id, NULL FROM generate_series(10, 300000) AS id");
    database.run(&many).await;
    database.run(&format!("ANALYZE {sample}")).await;
    let answer = source.record_lab_tests(SamplesBy::Uuids(&encounters)).await.expect("an answer");
    assert!(matches!(&answer, Availability::NotHere(reason) if reason.contains("would need a scan")), "{answer:?}");
    // The way by the patient has indexes.
    let by = SamplesBy::Encounters { patient: PATIENT, encounters: &encounters };
    assert_eq!(here(source.record_lab_tests(by).await).len(), 2);
    let index = format!("CREATE INDEX sample_uuid ON {sample} (uuid)");
    database.run(&index).await;
    let again = database.source_with(|app| app.info.kind = Kind::Openelis);
    assert_eq!(here(again.record_lab_tests(SamplesBy::Uuids(&encounters)).await).len(), 2);
}
