//! Costs and results of watching a large table: the first read into the ledger, screens while the watcher runs, a quiet
//! poll against the simplest aggregate, memory, and the load of open pages on the database.

use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use atomfeed_console::server::sources::Source;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet, time::sleep};

use crate::{
    console::{self, APP, Console},
    database::{Database, Dialect},
    figures::{ScreenReport, median, thousands},
    history::History,
    http::Connection,
    options::Limits,
    screens,
};

/// How many times a statement is timed.
const SAMPLES: u32 = 9;

/// How long the database's statements are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// What was measured on one backend.
#[derive(Debug)]
pub struct Report {
    server: String,
    rows: u64,
    first_read: Duration,
    /// The search index: the time it took after the first read, and how much the store grew by it.
    index: (Duration, u64),
    screens: Vec<ScreenReport>,
    quiet: Duration,
    plain: Duration,
    memory_kb: u64,
    /// Statements (transactions on PostgreSQL) per minute, with 1 and with 50 open overviews; SQLite does not count
    /// them.
    asked: Option<(i64, i64)>,
}

pub async fn measure(database: &mut Database, history: &History, limits: Limits, dir: &Path) -> anyhow::Result<Report> {
    eprintln!("{}: filling the tables to be watched", database.server);
    database.fill(history).await?;
    let config = console::configure(database, dir)?;
    let begun = Instant::now();
    let console = Console::start(&config).await?;
    console.wait_until_read().await?;
    let first_read = begun.elapsed();
    eprintln!("{}: the first read took {:.1} s", database.server, first_read.as_secs_f64());
    let begun = Instant::now();
    let before = console.store_bytes();
    console.wait_until_indexed().await?;
    let index = (begun.elapsed(), console.store_bytes().saturating_sub(before));
    eprintln!("{}: the index of the search took {:.1} s", database.server, index.0.as_secs_f64());
    let mut measured = Vec::new();
    for screen in watched_screens() {
        eprintln!("{}: {} while it is watched", database.server, screen.name);
        measured.push(screens::measure(&screen, &console, database, limits).await?);
    }
    let (quiet, plain) = quiet_poll(database, &config, dir).await?;
    let asked = match database.dialect() {
        Dialect::Sqlite => None,
        _ => Some((asked(database, &console, 1).await?, asked(database, &console, 50).await?)),
    };
    let memory_kb = console.peak_memory_kb()?;
    console.stop().await?;
    Ok(Report {
        server: database.server.clone(),
        rows: history.failed + history.attempts,
        first_read,
        index,
        screens: measured,
        quiet,
        plain,
        memory_kb,
        asked,
    })
}

fn watched_screens() -> Vec<screens::Screen> {
    let feed = History::feed().replace(':', "%3A").replace('/', "%2F");
    let list = |name, query: &str| screens::screen(name, &format!("/failed-events?app={APP}{query}"), vec![]);
    vec![
        screens::screen("Overview", "", vec![]),
        list("List of the application", ""),
        list("List of a feed", &format!("&feed={feed}")),
        list("List of a state", "&state=exhausted"),
        list("List of a feed and a state, oldest first", &format!("&feed={feed}&state=waiting&sort=oldest")),
        list("List of a group", "&group=1"),
        list("List since a time", "&from=2020-01-01T00%3A00"),
        screens::screen("Groups", "/groups", vec![]),
        screens::screen("Group", "/groups/1", vec![]),
        screens::screen("History of the application", &format!("/history?app={APP}"), vec![]),
        screens::screen("Failed event", &format!("/failed-events/{APP}/7"), vec![]),
        search("Search for a record", &History::record(7)),
        search("Search for a shortened uuid", &shortened(&History::record(7))),
        search("Search for words of an error", "patient+not+found"),
        search("Search for nothing that there is", "absent+words"),
        screens::screen("Search of the history", &format!("/history?find={}", History::record(7)), vec![]),
    ]
}

fn search(name: &'static str, typed: &str) -> screens::Screen {
    screens::screen(name, &format!("/search?q={typed}"), vec![])
}

/// Returns a uuid as the console's pages shorten it.
fn shortened(uuid: &str) -> String {
    format!("{}%E2%80%A6{}", uuid.get(..8).unwrap_or_default(), uuid.get(32..).unwrap_or_default())
}

/// Times the console's statement for a quiet poll and the simplest one over the same table. Returns the median of each.
async fn quiet_poll(database: &mut Database, file: &Path, dir: &Path) -> anyhow::Result<(Duration, Duration)> {
    let source = Source::new(console::application(file, dir)?);
    let (mut quiet, mut plain) = (Vec::new(), Vec::new());
    for number in 0..=SAMPLES {
        let begun = Instant::now();
        source.table_sums(|_| Some(2_048)).await?;
        // The first one connects.
        if number > 0 {
            quiet.push(begun.elapsed());
        }
        let begun = Instant::now();
        database.rows("SELECT COUNT(*), SUM(retries) FROM failed_events").await?;
        if number > 0 {
            plain.push(begun.elapsed());
        }
    }
    Ok((median(&mut quiet), median(&mut plain)))
}

/// Counts the database's statements in a minute in which this many overviews are open and reload every ten seconds.
async fn asked(database: &mut Database, console: &Console, pages: usize) -> anyhow::Result<i64> {
    let mut readers = JoinSet::new();
    for _ in 0..pages {
        let (address, base) = (console.address.clone(), console.base.clone());
        readers.spawn(async move {
            let mut stream = TcpStream::connect(&address).await?;
            let request = format!("GET {base}/events HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut connection = Connection::open(&address).await?;
            loop {
                connection.get(&base).await?.success(&base)?;
                sleep(Duration::from_secs(10)).await;
            }
            #[expect(unreachable_code, reason = "it names the type of the errors above")]
            anyhow::Ok(())
        });
    }
    let counter = match database.dialect() {
        Dialect::MySql => {
            "SELECT CAST(VARIABLE_VALUE AS SIGNED) FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'QUESTIONS'"
        }
        _ => "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()",
    };
    // Lets polls pass that were triggered by the measurements before.
    sleep(MINUTE / 4).await;
    let before = database.number(counter).await?;
    sleep(MINUTE).await;
    let asked = database.number(counter).await? - before;
    readers.abort_all();
    Ok(asked)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let seconds = self.first_read.as_secs_f64();
        writeln!(
            f,
            "**Watching: {}**, {} failed events and as many rows of the retry log\n",
            self.server,
            thousands(self.rows / 2)
        )?;
        writeln!(f, "| screen, while the watcher runs | p50 ms | p99 ms |")?;
        writeln!(f, "|---|--:|--:|")?;
        for screen in &self.screens {
            writeln!(f, "| {} | {:.1} | {:.1} |", screen.name, ms(screen.p50), ms(screen.p99))?;
        }
        writeln!(f, "\n| | |\n|---|--:|")?;
        writeln!(
            f,
            "| first read, from the start of the process | {seconds:.1} s, {:.0} rows/s |",
            self.rows as f64 / seconds
        )?;
        let (took, bytes) = self.index;
        writeln!(
            f,
            "| index of the search, after the first read | {:.1} s, {} MB |",
            took.as_secs_f64(),
            bytes / 1_000_000
        )?;
        let ratio = self.quiet.as_secs_f64() / self.plain.as_secs_f64();
        writeln!(
            f,
            "| quiet poll / count and sum of retries | {:.0} ms / {:.0} ms = {ratio:.1} |",
            ms(self.quiet),
            ms(self.plain)
        )?;
        writeln!(f, "| most memory | {} MB |", self.memory_kb / 1024)?;
        if let Some((one, fifty)) = self.asked {
            writeln!(f, "| asked of the database in a minute, 1 open overview / 50 | {one} / {fifty} |")?;
        }
        writeln!(f)
    }
}
