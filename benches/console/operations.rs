//! A retry of everything that is exhausted, through the console's own forms, and the same batches by hand in SQL.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::{
    console::{APP, Console},
    database::Database,
    http::Connection,
    report::RetryReport,
};

/// Rows of one batch, as the console has them.
const BATCH: usize = 500;

/// The longest that a plan or an operation may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Plans, starts and follows the retry; then does the same by hand.
pub async fn measure(console: &Console, database: &mut Database) -> anyhow::Result<RetryReport> {
    let ids = database.exhausted().await?;
    let mut connection = Connection::open(&console.address).await?;
    let begun = Instant::now();
    let page = format!("{}/failed-events", console.base);
    let form = format!("kind=retry&query=app%3D{APP}%26state%3Dexhausted");
    let planned = connection.post(&page, &format!("{}/api/plan_operation", console.base), &form).await?;
    ensure!(planned.status == 303, "the plan was answered with {}", planned.status);
    until(console, "draft").await?;
    let plan = begun.elapsed();

    let begun = Instant::now();
    let started = connection.post(&page, &format!("{}/api/start_operation", console.base), "id=1").await?;
    ensure!(started.status == 303, "the start was answered with {}", started.status);
    until(console, "ended").await?;
    let run = begun.elapsed();
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
    Ok(RetryReport { rows: ids.len() as u64, plan, run, by_hand: begun.elapsed() })
}

/// Waits until the operation is in a stage.
async fn until(console: &Console, stage: &str) -> anyhow::Result<()> {
    let path = format!("{}/api/operation_course?id=1", console.base);
    let mut connection = Connection::open(&console.address).await?;
    let begun = Instant::now();
    loop {
        let answer = connection.get_encoded(&path, "identity").await?.success(&path)?;
        let course: serde_json::Value = serde_json::from_slice(&answer.body).context("no JSON")?;
        if course.get("stage").and_then(serde_json::Value::as_str) == Some(stage) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "the operation stands at {course}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
