//! Peak memory of the console under clients that request too much: heads that never end, readers that do not read,
//! texts of megabytes. Each trial starts its own console. The packaged service limits the console's memory (MemoryMax),
//! so each trial has a limit to stay below.

use std::{fmt, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    console::{self, APP, Console},
    database::{Database, Dialect},
};

/// Most memory of any trial, in MB.
const MOST_MB: u64 = 160;

/// Number of this machine's addresses that clients connect from.
const ADDRESSES: u8 = 8;

/// How long clients keep their connections open.
const HOLDS: Duration = Duration::from_secs(8);

/// Longest duration of a trial.
const PATIENCE: Duration = Duration::from_secs(300);

/// What was measured.
#[derive(Debug)]
pub struct Report {
    server: String,
    trials: Vec<(&'static str, u64)>,
}

impl Report {
    /// # Errors
    /// Fails if a trial used more than its limit.
    pub fn check(&self) -> anyhow::Result<()> {
        let above: Vec<_> = self.trials.iter().filter(|(_, kb)| kb / 1024 > MOST_MB).map(|(name, _)| *name).collect();
        ensure!(above.is_empty(), "{}: more than {MOST_MB} MB: {}", self.server, above.join("; "));
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n| most memory on {} | MB |\n|---|---:|", self.server)?;
        for (name, kb) in &self.trials {
            writeln!(f, "| {name} | {} |", kb / 1024)?;
        }
        Ok(())
    }
}

/// Runs every trial on a database.
pub async fn measure(database: &mut Database, dir: &Path) -> anyhow::Result<Report> {
    let mut trials = Vec::new();
    let config = console::configure(database, dir)?;
    for (name, text) in [
        ("a failed event, its fifty attempts: causes without end", "Caused by: \n"),
        ("the same: marks that act on a page", "\u{202e}"),
        ("the same: characters that are escaped", "<"),
    ] {
        let chars = 70_000 / text.chars().count();
        one_event(database, text, chars).await?;
        trials.push((name, trial(name, &config, event_pages).await?));
    }
    long_rows(database).await?;
    trials.push(("readers that do not read their downloads", trial("slow readers", &config, slow_readers).await?));
    trials.push(("downloads and the old JSON, read to their ends", trial("downloads", &config, downloads).await?));
    long_names(database).await?;
    trials.push(("megabytes in what names an event", trial("long names", &config, every_page).await?));
    trials.push(("heads that never end", trial("heads", &config, heads).await?));
    trials.push(("forms of a megabyte, and queries of as many names as fit", trial("forms", &config, forms).await?));
    Ok(Report { server: database.server.clone(), trials })
}

/// Starts a console, runs `act` against it, and returns its peak memory in kB.
async fn trial<F>(name: &str, config: &Path, act: impl FnOnce(SocketAddr, String) -> F) -> anyhow::Result<u64>
where
    F: Future<Output = anyhow::Result<()>>,
{
    eprintln!("memory: {name}");
    let console = Console::start(config).await?;
    console.wait_until_read().await?;
    let address = console.address.parse().context("the console's address")?;
    timeout(PATIENCE, act(address, console.base.clone())).await.context("a trial does not end")??;
    let kb = console.peak_memory_kb()?;
    console.stop().await?;
    Ok(kb)
}

async fn connect(from: u8, to: SocketAddr, reads_ahead: Option<u32>) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = reads_ahead {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(SocketAddr::from(([127, 0, 0, 60 + from], 0)))?;
    Ok(socket.connect(to).await?)
}

fn get(to: SocketAddr, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nAccept: text/html,*/*\r\nConnection: close\r\n\r\n")
}

/// Sends a request and reads to the end. Returns the number of bytes received.
async fn ask(from: u8, to: SocketAddr, request: String) -> anyhow::Result<usize> {
    let mut stream = connect(from, to, None).await?;
    // A request refused before it was sent completely is answered all the same.
    let _ = stream.write_all(request.as_bytes()).await;
    let (mut buffer, mut read) = (vec![0; 64 << 10], 0);
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return Ok(read),
            Ok(bytes) => read += bytes,
            // It was refused before it was sent completely.
            Err(_) => return Ok(read),
        }
    }
}

/// Sends many requests at once, from several addresses.
async fn ask_at_once(to: SocketAddr, requests: Vec<String>) -> anyhow::Result<()> {
    let mut asked = JoinSet::new();
    for (number, request) in requests.into_iter().enumerate() {
        asked.spawn(ask((number % usize::from(ADDRESSES)) as u8, to, request));
    }
    while let Some(answer) = asked.join_next().await {
        let _ = answer??;
    }
    Ok(())
}

/// Six users open one event at once, three times each.
async fn event_pages(to: SocketAddr, base: String) -> anyhow::Result<()> {
    for _ in 0..3 {
        let paths = [format!("{base}/failed-events/{APP}/1"), format!("{base}/api/failed_event?app={APP}&id=1&list=")];
        let requests = (0..6).map(|number| get(to, &paths[number % 2])).collect();
        ask_at_once(to, requests).await?;
    }
    Ok(())
}

async fn every_page(to: SocketAddr, base: String) -> anyhow::Result<()> {
    let paths = [
        "",
        &format!("/applications/{APP}"),
        "/failed-events",
        &format!("/failed-events?app={APP}&sort=id-down"),
        "/failed-events?q=nowhere",
        "/history",
        "/groups",
        "/groups/1",
        &format!("/failed-events/{APP}/1"),
        "/failed-events.csv",
        "/failed-events.ndjson",
        "/history.csv",
    ];
    for _ in 0..3 {
        ask_at_once(to, paths.iter().map(|path| get(to, &format!("{base}{path}"))).collect()).await?;
    }
    Ok(())
}

async fn slow_readers(to: SocketAddr, base: String) -> anyhow::Result<()> {
    let mut held = Vec::new();
    for number in 0..40 {
        let mut stream = connect(number % ADDRESSES, to, Some(4 << 10)).await?;
        let path = if number % 2 == 0 { "/failed-events.ndjson" } else { "/failed-events.csv" };
        stream.write_all(get(to, &format!("{base}{path}")).as_bytes()).await?;
        held.push(stream);
    }
    sleep(HOLDS).await;
    Ok(())
}

async fn downloads(to: SocketAddr, base: String) -> anyhow::Result<()> {
    let feed = "http%3A%2F%2Fopenmrs%3A8080%2Ffeed";
    let paths = [
        "/failed-events.csv".to_owned(),
        "/failed-events.ndjson".to_owned(),
        format!("/failed-events/{APP}/1/error.txt"),
        format!("/failed-events/{APP}/1/payload.txt"),
        format!("/apps/Hospital/failedEvent?feedUri={feed}"),
        "/apps/Hospital/failedEvent/event-1/retryLog".to_owned(),
    ];
    ask_at_once(to, (0..18).map(|number| get(to, &format!("{base}{}", paths[number % paths.len()]))).collect()).await
}

async fn heads(to: SocketAddr, _base: String) -> anyhow::Result<()> {
    let head = format!("GET / HTTP/1.1\r\nHost: {to}\r\nX-Long: {}", "x".repeat(60_000));
    let mut held = Vec::new();
    for number in 0..5_000_u32 {
        // A refused connection is skipped: the next one may be accepted.
        let Ok(mut stream) = connect((number % u32::from(ADDRESSES)) as u8, to, None).await else { continue };
        let _ =
            timeout(Duration::from_millis(20), stream.write_all(head.get(..15_900).unwrap_or(&head).as_bytes())).await;
        held.push(stream);
    }
    sleep(HOLDS).await;
    Ok(())
}

async fn forms(to: SocketAddr, base: String) -> anyhow::Result<()> {
    let names: String = (0..90_000).map(|number| format!("%26app=a{number}")).collect();
    let form = format!("kind=retry&query=app=a{names}");
    let form = form.get(..(1 << 20) - 1_000).unwrap_or(&form);
    let post = |path: &str| {
        format!(
            "POST {base}{path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        )
    };
    let paths = ["/api/plan_operation", "/api/sign_in", "/api/retry", "/nowhere"];
    ask_at_once(to, (0..160).map(|number| post(paths[number % paths.len()])).collect()).await
}

/// Returns an SQL expression for a text repeated this many times.
fn repeated(dialect: Dialect, text: &str, times: usize) -> String {
    let text = text.replace('\n', "");
    let line_end = match dialect {
        Dialect::MySql => "CHAR(10)",
        Dialect::Postgres => "chr(10)",
        Dialect::Sqlite => "char(10)",
    };
    let one = match (dialect, text.starts_with("Caused")) {
        (_, false) => format!("'{text}'"),
        (Dialect::MySql, true) => format!("CONCAT('{text}', {line_end})"),
        (_, true) => format!("'{text}' || {line_end}"),
    };
    match dialect {
        Dialect::MySql | Dialect::Postgres => format!("REPEAT({one}, {times})"),
        Dialect::Sqlite => format!("REPLACE(HEX(ZEROBLOB({times})), '00', {one})"),
    }
}

/// Removes the length limits of text columns, as in tables created by hand.
async fn widen(database: &mut Database) -> anyhow::Result<()> {
    for (table, columns) in [
        ("failed_events", ["error_message", "event_content", "title", "event_id", "tags", "feed_uri"].as_slice()),
        ("failed_event_retry_log", ["error_message", "event_content", "event_id", "feed_uri"].as_slice()),
    ] {
        for column in columns {
            match database.dialect() {
                Dialect::MySql => database.run(format!("ALTER TABLE {table} MODIFY {column} LONGTEXT")).await?,
                Dialect::Postgres => database.run(format!("ALTER TABLE {table} ALTER {column} TYPE text")).await?,
                Dialect::Sqlite => {}
            }
        }
    }
    Ok(())
}

async fn insert(database: &mut Database, id: u32, error: &str, payload: &str) -> anyhow::Result<()> {
    let row = format!(
        "INSERT INTO failed_events (id, feed_uri, failed_at, error_message, event_id, event_content, title, retries) VALUES \
         ({id}, 'http://openmrs:8080/feed', '2026-11-20 08:00:00', {error}, 'event-{id}', {payload}, 'Encounter', 5)"
    );
    database.run(row).await
}

/// Writes one failed event with texts of this many repetitions, and fifty attempts that all differ.
async fn one_event(database: &mut Database, text: &str, times: usize) -> anyhow::Result<()> {
    widen(database).await?;
    database.run("DELETE FROM failed_events; DELETE FROM failed_event_retry_log".to_owned()).await?;
    let long = repeated(database.dialect(), text, times);
    insert(database, 1, &long, &long).await?;
    attempts(database, 50, &long).await
}

async fn attempts(database: &mut Database, number: u32, text: &str) -> anyhow::Result<()> {
    for id in 1..=number {
        let own = match database.dialect() {
            Dialect::MySql => format!("CONCAT('{id} ', {text})"),
            Dialect::Postgres | Dialect::Sqlite => format!("'{id} ' || {text}"),
        };
        let row = format!(
            "INSERT INTO failed_event_retry_log (id, feed_uri, failed_at, error_message, event_id, event_content) VALUES \
             ({id}, 'http://openmrs:8080/feed', '2026-11-21 08:00:00', {own}, 'event-1', {own})"
        );
        database.run(row).await?;
    }
    Ok(())
}

/// Writes rows with texts as long as a download includes, and as many rows of the retry log as the old JSON returns.
async fn long_rows(database: &mut Database) -> anyhow::Result<()> {
    database.run("DELETE FROM failed_events; DELETE FROM failed_event_retry_log".to_owned()).await?;
    let long = repeated(database.dialect(), "x", 120_000);
    for id in 2..=400 {
        insert(database, id, &long, &long).await?;
    }
    let longest = repeated(database.dialect(), "x", 5_000_000);
    insert(database, 1, &longest, &longest).await?;
    attempts(database, 1_000, &repeated(database.dialect(), "y", 60_000)).await
}

/// Writes sixty rows with megabytes in every column that identifies something.
async fn long_names(database: &mut Database) -> anyhow::Result<()> {
    database.run("DELETE FROM failed_events; DELETE FROM failed_event_retry_log".to_owned()).await?;
    let long = repeated(database.dialect(), "t", 4_000_000);
    for id in 1..=60 {
        insert(database, id, "'It failed'", "'/openmrs/ws/rest/v1/encounter/1'").await?;
        for column in ["title", "event_id", "tags", "feed_uri"] {
            let own = match database.dialect() {
                Dialect::MySql => format!("CONCAT('{id} ', {long})"),
                Dialect::Postgres | Dialect::Sqlite => format!("'{id} ' || {long}"),
            };
            database.run(format!("UPDATE failed_events SET {column} = {own} WHERE id = {id}")).await?;
        }
    }
    Ok(())
}
