//! A consumer compared with its own statements: events read from a feed, and failed events retried, next to the same
//! statements issued bare on one connection. Both write the same tables in turns of a few hundred events, so that other
//! load on the machine slows both equally. The pages are made in memory and fetched over the loopback interface, with
//! five events each as usual.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use atomfeed::{self, Client, ClientSettings, Consumer, FeedEnd, Limits, RetryEnd};
use axum::{Router, extract, routing::get};

use crate::{
    database::{Bound, Database, Dialect},
    feed::{Rows, page_of, serve},
};

/// Events per turn.
const TURN: u64 = 250;

/// The consumed feed, and the feed whose rows the bare statements write.
const FEED: &str = "http://openmrs:8080/patient/recent";
const BARE: &str = "http://openmrs:8080/bare/recent";

/// Events per second.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// By the consumer.
    pub ours: f64,
    /// By the statements that it needs.
    pub bare: f64,
}

impl Rate {
    fn of(events: u64, ours: Duration, bare: Duration) -> Self {
        let rate = |time: Duration| events as f64 / time.as_secs_f64();
        Self { ours: rate(ours), bare: rate(bare) }
    }
}

/// Measures this many events consumed and retried with success. The tables must be empty and the worker's table must
/// exist.
pub async fn measure(database: &mut Database, events: u64) -> anyhow::Result<(Rate, Rate)> {
    let turns = (events / TURN).max(2);
    let pages = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&pages);
    let page = async move |extract::Path(page): extract::Path<String>| {
        let pages = shown.load(Ordering::SeqCst);
        page_of("patient", pages, page.parse().unwrap_or(pages))
    };
    let via = serve(Router::new().route("/patient/{page}", get(page))).await?;
    let client = Client::new(FEED, ClientSettings { via: Some(via), ..ClientSettings::default() })?;
    let ours = atomfeed::Database::connect(&database.address, database.schema()).await?;
    let limits = Limits { retry_batch: u32::try_from(TURN)?, ..Limits::default() };
    let consumer = Consumer::new(ours, client, FEED, limits, Rows(database.dialect()))?;
    database.run(format!("INSERT INTO markers (feed_uri) VALUES ('{BARE}')")).await?;

    let (mut consumed, mut bare) = (Duration::ZERO, Duration::ZERO);
    // The first turn reads the tables and prepares the statements of both.
    for turn in 0..=turns {
        pages.fetch_add(TURN / 5, Ordering::SeqCst);
        let begun = Instant::now();
        let run = consumer.process_events().await;
        let time = begun.elapsed();
        ensure!(run.processed == TURN && matches!(run.end, FeedEnd::CaughtUp), "{run:?}");
        let begun = Instant::now();
        for event in 0..TURN {
            consume(database, &format!("{turn}-{event}")).await?;
        }
        if turn > 0 {
            consumed += time;
            bare += begun.elapsed();
        }
    }
    let consumed = Rate::of(turns * TURN, consumed, bare);

    let (mut retried, mut bare) = (Duration::ZERO, Duration::ZERO);
    for turn in 0..=turns {
        fail(database, FEED).await?;
        let begun = Instant::now();
        let run = consumer.process_failed_events().await;
        let time = begun.elapsed();
        ensure!(run.resolved == TURN && matches!(run.end, RetryEnd::Done), "{run:?}");
        fail(database, BARE).await?;
        let begun = Instant::now();
        for id in 1..=TURN {
            retry(database, i64::try_from(id)?).await?;
        }
        if turn > 0 {
            retried += time;
            bare += begun.elapsed();
        }
    }
    Ok((consumed, Rate::of(turns * TURN, retried, bare)))
}

/// Runs the consumer's statements for an event.
async fn consume(database: &mut Database, uuid: &str) -> anyhow::Result<()> {
    let cast = if database.dialect() == Dialect::MySql { "CHAR" } else { "TEXT" };
    let lock = if database.dialect() == Dialect::Sqlite { "" } else { " FOR UPDATE" };
    let count = format!("SELECT CAST(COUNT(*) AS {cast}) FROM failed_events WHERE feed_uri = ?");
    database.bound(&count, &[Bound::Text(BARE)]).await?;
    database.begin().await?;
    database.bound("INSERT INTO worked (uuid) VALUES (?)", &[Bound::Text(uuid)]).await?;
    let select = format!(
        "SELECT last_read_entry_id, feed_uri_for_last_read_entry FROM markers WHERE feed_uri = ? LIMIT 1{lock}"
    );
    database.bound(&select, &[Bound::Text(BARE)]).await?;
    let update = "UPDATE markers SET last_read_entry_id = ?, feed_uri_for_last_read_entry = ? WHERE feed_uri = ?";
    database.bound(update, &[Bound::Text(uuid), Bound::Text(BARE), Bound::Text(BARE)]).await?;
    database.commit().await
}

/// Runs the consumer's statements for a failed event that succeeds.
async fn retry(database: &mut Database, id: i64) -> anyhow::Result<()> {
    let cast = if database.dialect() == Dialect::MySql { "CHAR" } else { "TEXT" };
    let there = format!("SELECT CAST(id AS {cast}) FROM failed_events WHERE id = ?");
    let event = event_id(id);
    database.bound(&there, &[Bound::Number(id)]).await?;
    database.begin().await?;
    database.bound("INSERT INTO worked (uuid) VALUES (?)", &[Bound::Text(&event)]).await?;
    for table in ["failed_events", "failed_event_retry_log"] {
        let delete = format!("DELETE FROM {table} WHERE feed_uri = ? AND event_id = ?");
        database.bound(&delete, &[Bound::Text(BARE), Bound::Text(&event)]).await?;
    }
    database.commit().await
}

fn event_id(id: i64) -> String {
    format!("tag:atomfeed.ict4h.org:{id:036}")
}

/// Inserts failed events of a feed, as many as a turn has.
async fn fail(database: &mut Database, feed: &str) -> anyhow::Result<()> {
    let rows: Vec<String> = (1..=i64::try_from(TURN)?)
        .map(|id| {
            format!(
                "({id}, '{feed}', '2026-11-01 08:00:00', 'no such patient', '{}', '/patient/{id}', 0)",
                event_id(id)
            )
        })
        .collect();
    let columns = "id, feed_uri, failed_at, error_message, event_id, event_content, retries";
    database.run(format!("INSERT INTO failed_events ({columns}) VALUES {}", rows.join(", "))).await
}
