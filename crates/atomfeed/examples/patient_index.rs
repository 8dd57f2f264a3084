//! A small but complete integration: reads the patients' feed of OpenMRS and keeps an index of the patients in its own
//! table, in a SQLite file that also stores how far it has read, the failed events and the log of retries.
//!
//! With the demo hospital running (`make run`, or `cargo run --features ssr -- demo`):
//!
//! ```sh
//! cargo run -p atomfeed --example patient_index
//! ```
//!
//! and against a real OpenMRS:
//!
//! ```sh
//! OPENMRS_PASSWORD=… cargo run -p atomfeed --example patient_index -- \
//!     --publisher http://openmrs:8080 --user feed-reader --database patients.db
//! ```
//!
//! docs/integration.md explains it step by step. Stop it with Ctrl-C or in any other way: it continues where it
//! stopped, with no event lost and none handled twice.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use atomfeed::{
    Client, ClientSettings, Consumer, Database, Event, Failure, FeedEnd, FirstRun, Limits, Login, RetryEnd,
    Transaction, Worker,
};
use clap::Parser;
use serde::Deserialize;

#[derive(Debug, Parser)]
struct Options {
    /// Address of the publisher, as its feeds name it.
    #[arg(long, default_value = "http://openmrs:8080")]
    publisher: String,
    /// Socket address where it listens; the demo hospital's console unless a user or another publisher is given.
    #[arg(long)]
    via: Option<SocketAddr>,
    /// The account at OpenMRS; its password is read from OPENMRS_PASSWORD.
    #[arg(long)]
    user: Option<String>,
    #[arg(long, env = "OPENMRS_PASSWORD", hide_env_values = true, hide = true)]
    password: Option<String>,
    /// The file of the index.
    #[arg(long, default_value = "patient-index.db")]
    database: String,
    /// Seconds between two runs.
    #[arg(long, default_value_t = 5)]
    every: u64,
    /// On the first run, begin with the newest page instead of the first patient.
    #[arg(long)]
    from_now: bool,
    /// Read the new events once, retry once, and end.
    #[arg(long)]
    once: bool,
}

/// Step 1: the worker that handles an event.
struct PatientIndex {
    openmrs: Client,
}

/// The parts of OpenMRS' answer that are used.
#[derive(Debug, Deserialize)]
struct Patient {
    uuid: String,
    person: Person,
    #[serde(default)]
    identifiers: Vec<Identifier>,
}

#[derive(Debug, Deserialize)]
struct Person {
    display: String,
}

#[derive(Debug, Deserialize)]
struct Identifier {
    identifier: String,
}

impl Worker for PatientIndex {
    async fn process(&self, event: &Event, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        // The event says only where to read. First read over HTTP, while no database lock is held …
        let path =
            event.content.as_deref().ok_or_else(|| Failure::new("The event has no content, so nothing to read."))?;
        let answer = self.openmrs.read(path).await?;
        let patient: Patient = serde_json::from_slice(&answer.body)?;
        let identifier = patient.identifiers.first().map(|identifier| identifier.identifier.as_str());
        let identifier = identifier.ok_or_else(|| Failure::new("The patient has no identifier."))?;
        // … then write, so that a patient who was indexed before is updated.
        sqlx::query(
            "INSERT INTO patients (uuid, identifier, name) VALUES (?, ?, ?)
             ON CONFLICT (uuid) DO UPDATE SET identifier = excluded.identifier, name = excluded.name",
        )
        .bind(&patient.uuid)
        .bind(identifier)
        .bind(&patient.person.display)
        .execute(transaction.sqlite().await?)
        .await?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();

    // Step 2: the database, with the protocol's tables and the integration's own.
    let database = Database::connect(&format!("sqlite:{}", options.database), None)
        .await
        .with_context(|| format!("{} cannot be opened", options.database))?;
    database.create_consumer_tables().await?;
    let mut transaction = database.begin();
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS patients (uuid TEXT PRIMARY KEY, identifier TEXT NOT NULL, name TEXT NOT NULL)",
    )
    .execute(transaction.sqlite().await?)
    .await?;
    transaction.commit().await?;

    // Step 3: the client for the publisher.
    let demo = options.user.is_none() && options.publisher == "http://openmrs:8080";
    let via = options.via.or_else(|| demo.then(|| SocketAddr::from(([127, 0, 0, 1], 9080))));
    let login = match (options.user, options.password) {
        (Some(user), Some(password)) => {
            Login::Session { address: "/openmrs/ws/rest/v1/session".to_owned(), user, password }
        }
        (Some(_), None) => anyhow::bail!("the account's password has to be in OPENMRS_PASSWORD"),
        (None, _) => Login::Nobody,
    };
    let openmrs = Client::new(&options.publisher, ClientSettings { login, via, ..ClientSettings::default() })?;

    // Step 4: the consumer, with its limits.
    let feed = format!("{}/openmrs/ws/atomfeed/patient/recent", options.publisher.trim_end_matches('/'));
    let limits = Limits { max_failed_events: 1000, max_retry: 5, retry_batch: 5 };
    let consumer = Consumer::new(database, openmrs.clone(), feed, limits, PatientIndex { openmrs })?;
    let consumer = consumer.beginning(if options.from_now { FirstRun::RecentPage } else { FirstRun::OldestPage });
    println!("Reading {} into {}.", consumer.feed(), options.database);

    // Step 5: the schedule.
    loop {
        let mut healthy = true;
        let run = consumer.process_events().await;
        if run.processed + run.failed > 0 || !matches!(run.end, FeedEnd::CaughtUp) {
            println!("Feed: {} handled, {} failed. {}", run.processed, run.failed, run.end);
        }
        healthy &= matches!(run.end, FeedEnd::CaughtUp);
        let run = consumer.process_failed_events().await;
        if run.resolved + run.failed > 0 || !matches!(run.end, RetryEnd::Done) {
            println!("Retry: {} resolved, {} failed again. {}", run.resolved, run.failed, run.end);
        }
        healthy &= matches!(run.end, RetryEnd::Done);
        if options.once {
            anyhow::ensure!(healthy, "not everything that there is could be read");
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(options.every)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
