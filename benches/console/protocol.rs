//! The protocol: events published and consumed, the newest page of a large feed against the statements that it needs,
//! and the memory of a walk over many pages. Publisher and consumer run in this process and communicate over the
//! loopback interface; the walk runs in a separate process, so that only its memory is measured.

use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use atomfeed::{
    self, Client, ClientSettings, Consumer, FeedEnd, FeedSettings, Limits, MARKERS_STAY_BEHIND, NewEvent, PageNumber,
    Publisher,
};
use axum::{Router, extract, routing::get};
use tokio::process::Command;

use crate::{
    consuming::{self, Rate},
    database::{Database, Dialect},
    feed::{Rows, page_of, serve},
    figures::{median, percentile},
    history::History,
    options::{self, Backend},
};

const FEEDS: &str = "http://openmrs:8080/openmrs/ws/atomfeed";

/// What was measured on one backend.
#[derive(Debug)]
pub struct ProtocolReport {
    pub server: String,
    /// Events per second from the queue onto the feeds.
    pub published: f64,
    /// Entries per second from a feed into a worker's table.
    pub consumed: Rate,
    /// Failed events per second that succeed at a retry.
    pub retried: Rate,
    /// Time to write the offset markers.
    pub markers: Duration,
    /// The newest page of all events, and of the largest category.
    pub recent: Vec<Recent>,
}

/// The newest page of a feed.
#[derive(Debug)]
pub struct Recent {
    pub name: &'static str,
    pub p50: Duration,
    pub p99: Duration,
    /// Median of the bare statements.
    pub bare: Duration,
}

/// Peak memory in kB of a walk over few and over many pages.
#[derive(Debug)]
pub struct Walked {
    pub few: (usize, u64),
    pub many: (usize, u64),
}

/// Measures one backend on separate databases.
pub async fn measure(
    backend: Backend,
    entries: u64,
    events: u64,
    limits: options::Limits,
    dir: &Path,
) -> anyhow::Result<ProtocolReport> {
    let mut database = Database::create(backend, dir).await?;
    eprintln!("{}: publishing and consuming {entries} events", database.server);
    let rates = rates(&mut database, entries).await;
    database.drop().await?;
    let (published, consumed, retried) = rates?;

    let dir = tempfile::tempdir_in(dir).context("no temporary folder can be made")?;
    let mut database = Database::create(backend, dir.path()).await?;
    let server = database.server.clone();
    eprintln!("{server}: a feed of {events} events");
    let recent = recent(&mut database, events, limits).await;
    database.drop().await?;
    let (markers, recent) = recent?;
    Ok(ProtocolReport { server, published, consumed, retried, markers, recent })
}

async fn open(database: &Database) -> anyhow::Result<atomfeed::Database> {
    Ok(atomfeed::Database::connect(&database.address, database.schema()).await?)
}

fn publisher(database: atomfeed::Database) -> Publisher {
    Publisher::new(database, FeedSettings::new(FEEDS, "Patient AOP", "bec795b1-3d17-451d-b43e-a094019f6984"))
}

async fn rates(database: &mut Database, entries: u64) -> anyhow::Result<(f64, Rate, Rate)> {
    database.fill(&History { failed: 0, attempts: 0, published: 0 }).await?;
    database.run("CREATE TABLE worked (uuid VARCHAR(255)); DELETE FROM markers".to_owned()).await?;
    let ours = open(database).await?;
    let publisher = publisher(ours.clone());
    let mut transaction = ours.begin();
    for number in 0..entries {
        let path = format!("/openmrs/ws/rest/v1/patient/{number:036}?v=full");
        publisher.queue(&mut transaction, NewEvent::new(format!("{number:036}"), "patient", "Patient", path)).await?;
    }
    transaction.commit().await?;
    let begun = Instant::now();
    ensure!(publisher.publish_queued().await? == entries, "not every event was published");
    let published = entries as f64 / begun.elapsed().as_secs_f64();
    let (consumed, retried) = consuming::measure(database, entries).await?;
    Ok((published, consumed, retried))
}

async fn recent(
    database: &mut Database,
    events: u64,
    limits: options::Limits,
) -> anyhow::Result<(Duration, Vec<Recent>)> {
    database.fill(&History { failed: 0, attempts: 0, published: events }).await?;
    let publisher = publisher(open(database).await?);
    let begun = Instant::now();
    publisher.write_offset_markers(MARKERS_STAY_BEHIND).await?;
    let markers = begun.elapsed();
    let mut recents = Vec::new();
    for (name, category) in [("all events", None), ("the largest category", Some("patient"))] {
        let statements = bare(database, category).await?;
        let (mut times, mut bare) = (Vec::new(), Vec::new());
        let until = Instant::now() + limits.time;
        // In turns: the cost of a statement in this process depends on which of its threads are awake, and that changes
        // from one second to the next.
        while times.is_empty() || (times.len() as u64) < limits.samples && Instant::now() < until {
            let begun = Instant::now();
            let page = publisher.page(category, PageNumber::Recent).await?.context("there is no newest page")?;
            times.push(begun.elapsed());
            ensure!(page.contains("<entry>"), "the newest page is empty");
            let begun = Instant::now();
            for statement in &statements {
                ensure!(database.rows(statement).await? > 0, "no rows: {statement}");
            }
            bare.push(begun.elapsed());
        }
        let (p50, p99) = (median(&mut times), percentile(&mut times, 99));
        recents.push(Recent { name, p50, p99, bare: median(&mut bare) });
    }
    Ok((markers, recents))
}

/// Returns the statements that no implementation can avoid: the chunking, the marker, the count of events after it, and
/// the newest of them.
async fn bare(database: &mut Database, category: Option<&str>) -> anyhow::Result<[String; 4]> {
    let of = category.map(|category| format!(" AND category = '{category}'")).unwrap_or_default();
    let named = category.unwrap_or_default();
    let marker = format!("SELECT event_id FROM event_records_offset_marker WHERE category = '{named}'");
    let marked = database.number(&marker).await?;
    let start = if database.dialect() == Dialect::MySql { "`start`" } else { "start" };
    Ok([
        format!("SELECT chunk_length, {start} FROM chunking_history ORDER BY id"),
        "SELECT category, event_id, event_count FROM event_records_offset_marker".to_owned(),
        format!("SELECT COUNT(*) FROM event_records WHERE id > {marked}{of}"),
        format!(
            "SELECT uuid, title, timestamp, date_created, object, category, tags FROM event_records \
             WHERE id > {marked}{of} ORDER BY id DESC LIMIT 5"
        ),
    ])
}

/// Walks back over feeds of these numbers of pages, each walk in a separate process.
pub async fn walks(few: usize, many: usize) -> anyhow::Result<Walked> {
    let page = async |extract::Path((pages, page)): extract::Path<(usize, String)>| {
        let number = page.parse().unwrap_or(pages);
        page_of(&pages.to_string(), pages as u64, number as u64)
    };
    let via = serve(Router::new().route("/{pages}/{page}", get(page))).await?;
    let mut peaks = Vec::new();
    for pages in [few, many] {
        eprintln!("a walk over {pages} pages");
        let child = Command::new(std::env::current_exe()?)
            .args(["--walk", &via.to_string(), "--walk-pages", &pages.to_string()])
            .stderr(Stdio::inherit())
            .output()
            .await?;
        ensure!(child.status.success(), "the walk over {pages} pages did not come to its end");
        let peak = String::from_utf8_lossy(&child.stdout).trim().parse().context("the walk says no memory")?;
        peaks.push((pages, peak));
    }
    Ok(Walked { few: peaks[0], many: peaks[1] })
}

/// The walk itself, in the separate process: prints its peak memory in kB.
pub async fn walk(via: std::net::SocketAddr, pages: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir().context("no temporary folder can be made")?;
    let file = dir.path().join("walk.db");
    let database = atomfeed::Database::connect(&format!("sqlite:{}", file.display()), None).await?;
    database.create_consumer_tables().await?;
    let client = Client::new("http://openmrs:8080", ClientSettings { via: Some(via), ..ClientSettings::default() })?;
    // The run ends before the first entry, so that only the walk to it is measured.
    let limits = Limits { max_failed_events: 0, ..Limits::default() };
    let feed = format!("http://openmrs:8080/{pages}/recent");
    let consumer = Consumer::new(database, client, feed, limits, Rows(Dialect::Sqlite))?;
    let run = consumer.process_events().await;
    ensure!(matches!(run.end, FeedEnd::Stopped { .. }), "{}", run.end);
    let status = fs::read_to_string("/proc/self/status").context("only Linux says how much memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    println!("{}", line.trim().trim_end_matches(" kB"));
    Ok(())
}
