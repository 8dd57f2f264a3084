//! The old console's JSON as a script requests it, next to the statements that it needs at least.

use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use crate::{
    console::{self, Console},
    database::Database,
    figures::{self, ScreenReport, median},
    history::History,
    http::Connection,
    options::Limits,
    screens,
};

/// A hospital of the size at which the old console itself was measured.
pub const HISTORY: History = History { failed: 10_000, attempts: 20_000, published: 1_000 };

/// Events to reset, each once.
const RESETS: u64 = 50;

/// What was measured on one backend.
#[derive(Debug)]
pub struct OldJsonReport {
    server: String,
    calls: Vec<ScreenReport>,
    reset: Duration,
    reset_bare: Duration,
}

/// Fills the tables, waits until the ledger has read them, and measures each call.
pub async fn measure(database: &mut Database, limits: Limits, dir: &Path) -> anyhow::Result<OldJsonReport> {
    eprintln!("{}: filling the tables for the old JSON", database.server);
    database.fill(&HISTORY).await?;
    let console = Console::start(&console::configure(database, dir)?).await?;
    console.wait_until_read().await?;
    let feed = History::feed();
    let encoded = feed.replace(':', "%3A").replace('/', "%2F");
    let event = History::event_id(HISTORY.failed / 2);
    let all = [
        (
            "feedStatus",
            "/apps/Hospital/feedStatus".to_owned(),
            vec![
                "SELECT * FROM markers".to_owned(),
                "SELECT feed_uri, COUNT(*) FROM failed_events GROUP BY feed_uri".to_owned(),
            ],
        ),
        (
            "failedEvent",
            format!("/apps/Hospital/failedEvent?feedUri={encoded}"),
            vec![format!("SELECT * FROM failed_events WHERE feed_uri = '{feed}' ORDER BY id")],
        ),
        (
            "retryLog",
            format!("/apps/Hospital/failedEvent/{event}/retryLog"),
            vec![format!("SELECT * FROM failed_event_retry_log WHERE event_id = '{event}' ORDER BY id")],
        ),
    ];
    let mut calls = Vec::new();
    for (name, path, bare) in all {
        eprintln!("{}: {name}", database.server);
        calls.push(screens::measure(&screens::for_a_script(name, &path, bare), &console, database, limits).await?);
    }
    eprintln!("{}: resetRetryCount", database.server);
    let (reset, reset_bare) = resets(&console, database).await?;
    console.stop().await?;
    Ok(OldJsonReport { server: database.server.clone(), calls, reset, reset_bare })
}

/// Measures a reset and the three statements of the old console, in turns, each on a different event.
async fn resets(console: &Console, database: &mut Database) -> anyhow::Result<(Duration, Duration)> {
    let ids = database.exhausted().await?;
    ensure!(ids.len() as u64 >= 2 * RESETS, "too few exhausted events");
    let mut connection = Connection::open(&console.address).await?;
    let token = connection.form_token(&format!("{}/failed-events", console.base)).await?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for pair in ids.chunks_exact(2).take(RESETS as usize) {
        let &[one, other] = pair else { continue };
        let event = History::event_id(u64::try_from(one).context("an id below 0")?);
        let path = format!("{}/apps/Hospital/failedEvent/{event}/resetRetryCount", console.base);
        ours.push(connection.post(&token, &path, "").await?.success(&path)?.took);
        let event = History::event_id(u64::try_from(other).context("an id below 0")?);
        let begun = Instant::now();
        ensure!(
            database.rows(&format!("SELECT * FROM failed_events WHERE event_id = '{event}'")).await? == 1,
            "one row"
        );
        let update = format!("UPDATE failed_events SET retries = 0 WHERE id = {other}");
        database.run(format!("BEGIN; {update}; COMMIT")).await?;
        bare.push(begun.elapsed());
    }
    Ok((median(&mut ours), median(&mut bare)))
}

impl fmt::Display for OldJsonReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for call in &self.calls {
            let Some(bare) = call.bare else { continue };
            row(f, &self.server, call.name, call.p50, bare)?;
        }
        row(f, &self.server, "resetRetryCount", self.reset, self.reset_bare)
    }
}

fn row(f: &mut fmt::Formatter<'_>, server: &str, name: &str, p50: Duration, bare: Duration) -> fmt::Result {
    let ratio = p50.as_secs_f64() / bare.as_secs_f64();
    writeln!(f, "| {server}, {name} | {} | {} | {ratio:.2} |", figures::ms(p50), figures::ms(bare))
}
