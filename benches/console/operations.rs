//! A retry of all exhausted events through the console's own forms, and the same batches by hand in SQL.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use crate::{
    console::{self, APP, Console},
    database::Database,
    history::History,
    http::Connection,
    report::RetryReport,
};

/// Rows per batch, as in the console.
const BATCH: usize = 500;

/// Longest duration of a plan or an operation.
const PATIENCE: Duration = Duration::from_secs(600);

/// Plans, starts and follows the retry, once the ledger has read the table; then does the same by hand.
pub async fn measure(database: &mut Database, history: &History, dir: &Path) -> anyhow::Result<RetryReport> {
    eprintln!("{}: filling the tables for a retry", database.server);
    database.fill(history).await?;
    let console = Console::start(&console::configure(database, dir)?).await?;
    console.wait_until_read().await?;
    eprintln!("{}: retry of all exhausted", database.server);
    let ids = database.exhausted().await?;
    let mut connection = Connection::open(&console.address).await?;
    let token = connection.form_token(&format!("{}/failed-events", console.base)).await?;
    let begun = Instant::now();
    let form = format!("kind=retry&query=app%3D{APP}%26state%3Dexhausted");
    let planned = connection.post(&token, &format!("{}/api/plan_operation", console.base), &form).await?;
    ensure!(planned.status == 303, "the plan was answered with {}", planned.status);
    until(&console, |course| stage(course) == Some("draft")).await?;
    let plan = begun.elapsed();

    let begun = Instant::now();
    let form = format!("{}/api/start_operation", console.base);
    // The form's answer waits a moment for the operation, but the operation does not wait for the answer.
    let (started, run) = tokio::join!(connection.post(&token, &form, "id=1"), async {
        until(&console, |course| stage(course) == Some("ended")).await?;
        anyhow::Ok(begun.elapsed())
    });
    let (started, run) = (started?, run?);
    ensure!(started.status == 303, "the start was answered with {}", started.status);
    let rows = ids.len() as u64;
    until(&console, |course| course.get("open").and_then(serde_json::Value::as_u64) == Some(rows)).await?;
    let in_ledger = begun.elapsed();
    ensure!(database.exhausted().await?.is_empty(), "rows were left");

    let listed = |ids: &[i64]| ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    for batch in ids.chunks(BATCH) {
        database.run(format!("UPDATE failed_events SET retries = 5 WHERE id IN ({})", listed(batch))).await?;
    }
    let begun = Instant::now();
    for batch in ids.chunks(BATCH) {
        let update = format!("UPDATE failed_events SET retries = 0 WHERE retries = 5 AND id IN ({})", listed(batch));
        database.run(format!("BEGIN; {update}; COMMIT")).await?;
    }
    let by_hand = begun.elapsed();
    let memory_kb = console.peak_memory_kb()?;
    console.stop().await?;
    let server = database.server.clone();
    Ok(RetryReport { server, rows, plan, run, in_ledger, by_hand, memory_kb })
}

fn stage(course: &serde_json::Value) -> Option<&str> {
    course.get("stage").and_then(serde_json::Value::as_str)
}

/// Waits until the operation's state satisfies `stands`.
async fn until(console: &Console, stands: impl Fn(&serde_json::Value) -> bool) -> anyhow::Result<()> {
    let path = format!("{}/api/operation_course?id=1", console.base);
    let mut connection = Connection::open(&console.address).await?;
    let begun = Instant::now();
    loop {
        let answer = connection.get_encoded(&path, "identity").await?.success(&path)?;
        let course = serde_json::from_slice(&answer.body).context("no JSON")?;
        if stands(&course) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "the operation stands at {course}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
