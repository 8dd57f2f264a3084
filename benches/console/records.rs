//! How fast people find a record by what they say: a patient's identifier in an OpenMRS of many patients, with as many
//! published events as there are.
//!
//! OpenMRS runs on MySQL and MariaDB only, so this part has no other backend.

use std::{fmt, path::Path, time::Duration};

use anyhow::{Context as _, ensure};

use crate::{
    console::{self, APP, Console},
    database::Database,
    figures::{self, median, percentile, thousands},
    history::{History, RECORDS, batches},
    http::Connection,
    options::Limits,
};

/// Patients, each with an identifier, a name, two encounters and an order in each.
pub const PATIENTS: u64 = 100_000;

/// What was measured.
#[derive(Debug)]
pub struct Report {
    server: String,
    published: u64,
    /// The search as posted, and its answer behind the redirect.
    search: (Duration, Duration),
    page: (Duration, Duration),
    count: usize,
}

/// Fills the tables, waits until the console has read them, and searches for a different patient each time.
pub async fn measure(database: &mut Database, history: &History, limits: Limits, dir: &Path) -> anyhow::Result<Report> {
    eprintln!("{}: filling the tables of OpenMRS", database.server);
    database.run(TABLES.to_owned()).await?;
    for statement in statements() {
        database.run(statement).await?;
    }
    database.run(ANALYZE.to_owned()).await?;
    database.fill(history).await?;
    let console = Console::start(&console::configure(database, dir)?).await?;
    console.wait_until_read().await?;
    console.wait_until_indexed().await?;
    eprintln!("{}: searches for identifiers", database.server);
    let mut connection = Connection::open(&console.address).await?;
    let token = connection.form_token(&format!("{}/failed-events", console.base)).await?;
    let (mut searches, mut pages) = (Vec::new(), Vec::new());
    for number in 0..limits.samples {
        // Spread over all patients: no answer is kept from an earlier one.
        let patient = number * (PATIENTS / limits.samples) + 1;
        let path = format!("{}/api/start_search", console.base);
        let posted = connection.post(&token, &path, &format!("q={}", identifier(patient))).await?;
        let to = posted.location.clone().with_context(|| format!("a search answers {}", posted.status))?;
        let answer = connection.get(&to).await?.success(&to)?;
        searches.push(posted.took + answer.took);
        let path = format!("{}/records/{APP}/patient/{}", console.base, person(patient));
        let page = connection.get_encoded(&path, "identity").await?.success(&path)?;
        ensure!(String::from_utf8_lossy(&page.body).contains(&identifier(patient)), "{path} does not name its patient");
        pages.push(page.took);
    }
    console.stop().await?;
    let both = |times: &mut Vec<Duration>| (median(times), percentile(times, 99));
    let count = searches.len();
    Ok(Report {
        server: database.server.clone(),
        published: history.published,
        search: both(&mut searches),
        page: both(&mut pages),
        count,
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "**Records: {}**, {} patients and {} published events, {} of them searched for\n",
            self.server,
            thousands(PATIENTS),
            thousands(self.published),
            self.count
        )?;
        writeln!(f, "| | p50 | p99 |\n|---|--:|--:|")?;
        for (name, (p50, p99)) in [("search for an identifier", self.search), ("page of the patient", self.page)] {
            writeln!(f, "| {name} | {} | {} |", figures::ms(p50), figures::ms(p99))?;
        }
        writeln!(f)
    }
}

fn identifier(patient: u64) -> String {
    format!("GAN{:06}", 200_000 + patient)
}

fn person(patient: u64) -> String {
    History::uuid(patient, 7)
}

/// Returns the INSERT statements. The encounters are those that the published events name.
fn statements() -> impl Iterator<Item = String> {
    const ADDED: &str = "2026-11-01 07:00:00";
    batches("person (person_id, uuid, voided)", PATIENTS, |n| format!("{n}, '{}', 0", person(n)))
        .chain(batches(
            "patient_identifier (patient_id, identifier, identifier_type, preferred, voided)",
            PATIENTS,
            |n| format!("{n}, '{}', 1, 1, 0", identifier(n)),
        ))
        .chain(batches("person_name (person_id, given_name, family_name, preferred, voided)", PATIENTS, |n| {
            format!("{n}, 'Given{}', 'Family{}', 1, 0", n % 997, n % 1_009)
        }))
        .chain(batches(
            "encounter (encounter_id, uuid, encounter_type, patient_id, encounter_datetime, date_created, voided)",
            2 * PATIENTS,
            |n| {
                let uuid = if n <= RECORDS { History::record(n) } else { History::uuid(n, 8) };
                format!("{n}, '{uuid}', 1, {}, '{ADDED}', '{ADDED}', 0", (n - 1) % PATIENTS + 1)
            },
        ))
        .chain(batches(
            "orders (order_id, uuid, order_number, order_type_id, concept_id, encounter_id, patient_id, order_action, \
             voided, date_created)",
            2 * PATIENTS,
            |n| {
                let (uuid, patient) = (History::uuid(n, 9), (n - 1) % PATIENTS + 1);
                format!("{n}, '{uuid}', 'ORD-{n}', 1, 1, {n}, {patient}, 'NEW', 0, '{ADDED}'")
            },
        ))
}

const ANALYZE: &str = "ANALYZE TABLE person, patient_identifier, person_name, encounter, orders";

/// The columns of OpenMRS that the console reads, with the indexes that OpenMRS makes (version 2.3 and later).
const TABLES: &str = "
CREATE TABLE person (person_id INT PRIMARY KEY, uuid CHAR(38) NOT NULL UNIQUE, voided TINYINT NOT NULL);
CREATE TABLE patient_identifier (
    patient_identifier_id INT AUTO_INCREMENT PRIMARY KEY, patient_id INT NOT NULL, identifier VARCHAR(50) NOT NULL,
    identifier_type INT NOT NULL, preferred TINYINT NOT NULL, voided TINYINT NOT NULL, KEY (identifier),
    KEY (patient_id));
CREATE TABLE person_name (
    person_name_id INT AUTO_INCREMENT PRIMARY KEY, person_id INT NOT NULL, given_name VARCHAR(50),
    middle_name VARCHAR(50), family_name VARCHAR(50), preferred TINYINT NOT NULL, voided TINYINT NOT NULL,
    KEY (person_id), KEY (given_name), KEY (family_name));
CREATE TABLE encounter_type (encounter_type_id INT PRIMARY KEY, name VARCHAR(50));
CREATE TABLE encounter (
    encounter_id INT PRIMARY KEY, uuid CHAR(38) NOT NULL UNIQUE, encounter_type INT, patient_id INT NOT NULL,
    location_id INT, encounter_datetime DATETIME, date_created DATETIME, date_changed DATETIME,
    voided TINYINT NOT NULL, KEY (patient_id));
CREATE TABLE order_type (order_type_id INT PRIMARY KEY, name VARCHAR(255));
CREATE TABLE concept (concept_id INT PRIMARY KEY, uuid CHAR(38) NOT NULL UNIQUE, is_set TINYINT, retired TINYINT);
CREATE TABLE concept_name (
    concept_name_id INT AUTO_INCREMENT PRIMARY KEY, concept_id INT, name VARCHAR(255), locale VARCHAR(50),
    locale_preferred TINYINT, concept_name_type VARCHAR(50), voided TINYINT, KEY (concept_id));
CREATE TABLE orders (
    order_id INT PRIMARY KEY, uuid CHAR(38) NOT NULL UNIQUE, order_number VARCHAR(50), order_type_id INT,
    concept_id INT, encounter_id INT, patient_id INT, order_action VARCHAR(50), accession_number VARCHAR(255),
    voided TINYINT NOT NULL, date_stopped DATETIME, date_created DATETIME, KEY (order_number), KEY (encounter_id),
    KEY (patient_id));
INSERT INTO encounter_type VALUES (1, 'Consultation');
INSERT INTO order_type VALUES (1, 'Lab Order');
INSERT INTO concept VALUES (1, '5e1f0a9c-0000-4000-8000-000000000001', 0, 0);
INSERT INTO concept_name (concept_id, name, locale, locale_preferred, concept_name_type, voided)
    VALUES (1, 'Haemoglobin', 'en', 1, 'FULLY_SPECIFIED', 0)";
