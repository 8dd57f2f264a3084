//! The measured screens, and the bare statements that any program showing them needs at least.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::{
    console::{APP, Console},
    database::{Database, Dialect},
    figures::{Busy, ScreenReport, median, percentile},
    history::History,
    http::{AS_A_BROWSER, Connection},
    options::Limits,
};

/// Requests and statements before measuring, so that pools, caches and prepared statements are as on any call but the
/// first.
const WARM_UP: u64 = 5;

/// How many times a screen's bare statements are measured.
const BARE: u64 = 25;

/// Concurrent connections for the throughput.
const CONNECTIONS: usize = 16;

/// One screen.
#[derive(Debug)]
pub struct Screen {
    pub name: &'static str,
    /// Path below the base path.
    path: String,
    /// The least that the database must do for it; empty if it is shown from memory.
    bare: Vec<String>,
    /// The encodings that its reader accepts.
    accepts: &'static str,
}

/// Returns every screen of the console that shows database content.
pub fn all(dialect: Dialect, history: &History) -> Vec<Screen> {
    let row = history.failed / 2;
    let feed = History::feed();
    let encoded = feed.replace(':', "%3A").replace('/', "%2F");
    let cut = |column: &str| match dialect {
        Dialect::Sqlite => format!("substr({column}, 1, 300)"),
        Dialect::MySql | Dialect::Postgres => format!("left({column}, 300)"),
    };
    let list = |what: &str| {
        format!(
            "SELECT id, feed_uri, failed_at, {}, event_id, {}, title, retries, tags FROM failed_events {what} LIMIT 51",
            cut("error_message"),
            cut("event_content")
        )
    };
    let newest = "ORDER BY failed_at DESC, id DESC";
    let event_id = History::event_id(row);
    let event = vec![
        format!("SELECT * FROM failed_events WHERE id = {row}"),
        format!("SELECT * FROM failed_event_retry_log WHERE event_id = '{event_id}' ORDER BY id"),
    ];
    let below = row.saturating_sub(1);
    vec![
        screen("Overview", "", vec![]),
        screen("Application", &format!("/applications/{APP}"), vec![]),
        screen("List, newest first", "/failed-events", vec![list(newest)]),
        screen(
            "List, retries used up, one feed",
            &format!("/failed-events?app={APP}&feed={encoded}&state=exhausted"),
            vec![list(&format!("WHERE feed_uri = '{feed}' AND retries >= 5 {newest}"))],
        ),
        screen(
            "List by id, in the middle",
            &format!("/failed-events?app={APP}&sort=id-down&after={APP}~{row}~-"),
            vec![list(&format!("WHERE id <= {below} ORDER BY id DESC"))],
        ),
        screen(
            "Search for a record",
            &format!("/failed-events?app={APP}&q={}", History::record(history.failed)),
            vec![],
        ),
        screen("Failed event", &format!("/failed-events/{APP}/{row}"), event),
        screen("Groups", "/groups", vec![]),
        screen("Operations", "/operations", vec![]),
    ]
}

pub fn screen(name: &'static str, path: &str, bare: Vec<String>) -> Screen {
    Screen { name, path: path.to_owned(), bare, accepts: AS_A_BROWSER }
}

/// The same for a script, which accepts no compression.
pub fn for_a_script(name: &'static str, path: &str, bare: Vec<String>) -> Screen {
    Screen { accepts: "identity", ..screen(name, path, bare) }
}

/// Requests a screen, one request at a time on a kept connection, and runs its bare statements: in turns, so that both
/// run under the same conditions.
pub async fn measure(
    screen: &Screen,
    console: &Console,
    database: &mut Database,
    limits: Limits,
) -> anyhow::Result<ScreenReport> {
    let path = format!("{}{}", console.base, screen.path);
    let mut connection = Connection::open(&console.address).await?;
    let (mut pages, mut statements, mut size) = (Vec::new(), Vec::new(), 0);
    let mut until = Instant::now() + limits.time;
    for number in 0..WARM_UP + limits.samples {
        let answer = connection.get_encoded(&path, screen.accepts).await?.success(&path)?;
        // The bare statements run fewer times than the page, so that time is left for the pages.
        let bare = if number < WARM_UP + BARE { Some(bare(screen, database).await?) } else { None };
        if number == WARM_UP {
            until = Instant::now() + limits.time;
        }
        if number >= WARM_UP {
            pages.push(answer.took);
            statements.extend(bare);
            size = answer.body.len();
        }
        if Instant::now() > until && !pages.is_empty() {
            break;
        }
    }
    let (count, p50, p99) = (pages.len(), median(&mut pages), percentile(&mut pages, 99));
    let bare = (!screen.bare.is_empty()).then(|| median(&mut statements));
    Ok(ScreenReport { name: screen.name, count, p50, p99, bare, size })
}

async fn bare(screen: &Screen, database: &mut Database) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    for statement in &screen.bare {
        let rows = database.rows(statement).await.with_context(|| statement.clone())?;
        // A statement that finds nothing would make the console look slow.
        anyhow::ensure!(rows > 0, "no rows: {statement}");
    }
    Ok(begun.elapsed())
}

/// Returns the requests per second for the overview (shown from memory) and for a list by id (read from the database).
pub async fn throughput(console: &Console, limits: Limits) -> anyhow::Result<Busy> {
    let list = format!("{}/failed-events?app={APP}&sort=id-down", console.base);
    Ok(Busy { overview: rate(console, &console.base, limits).await?, list: rate(console, &list, limits).await? })
}

async fn rate(console: &Console, path: &str, limits: Limits) -> anyhow::Result<f64> {
    let time = limits.time.min(Duration::from_secs(5));
    let begun = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(&console.address).await?;
        let path = path.to_owned();
        clients.spawn(async move {
            let mut answers = 0_u32;
            while begun.elapsed() < time {
                connection.get(&path).await?.success(&path)?;
                answers += 1;
            }
            anyhow::Ok(answers)
        });
    }
    let mut answers = 0;
    while let Some(client) = clients.join_next().await {
        answers += client??;
    }
    Ok(f64::from(answers) / begun.elapsed().as_secs_f64())
}
