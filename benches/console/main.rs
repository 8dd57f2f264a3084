//! Measures the figures of docs/performance.md, with the binary that a hospital would run, and prints them as Markdown.
//!
//! For each backend: fills a database, starts the console on it, requests every screen over HTTP on the loopback
//! interface, and reads the same rows from the database through the same driver. Also measures the feed protocol.
//! `scripts/test-databases run` names the servers in the environment; SQLite needs none. Everything is bounded in count
//! and time, and everything created is removed.

mod console;
mod consuming;
mod database;
mod feed;
mod figures;
mod history;
mod http;
mod memory;
mod old_json;
mod operations;
mod options;
mod protocol;
mod published;
mod records;
mod report;
mod screens;
mod watching;

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use clap::Parser;

use console::Console;
use database::Database;
use history::History;
use options::{Backend, Limits, Options, Part};
use report::{BackendReport, Report, Sizes};

/// How many times the start is measured.
const STARTS: usize = 5;

/// Pages of the two walks whose memory is compared.
const WALKS: (usize, usize) = (100, 10_000);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let (Some(via), Some(pages)) = (options.walk, options.walk_pages) {
        return protocol::walk(via, pages).await;
    }
    let history = History { failed: options.failed, attempts: options.attempts, published: options.published };
    let limits = Limits { samples: options.samples, time: Duration::from_secs(options.seconds) };
    let mut report = Report::begin(&history, limits, &options);
    for &backend in options.backends.iter().filter(|_| options.parts.contains(&Part::Screens)) {
        let dir = tempfile::tempdir().context("no temporary folder can be made")?;
        let mut database = Database::create(backend, dir.path()).await?;
        let measured = measure(&mut database, &history, limits, dir.path()).await;
        // Also after a failed measurement: the server may keep running.
        database.drop().await?;
        let (backend, sizes) = measured?;
        report.backends.push(backend);
        report.sizes = Some(sizes);
    }
    for &backend in options.backends.iter().filter(|_| options.parts.contains(&Part::Retry)) {
        let dir = tempfile::tempdir().context("no temporary folder can be made")?;
        let mut database = Database::create(backend, dir.path()).await?;
        let measured = operations::measure(&mut database, &history, dir.path()).await;
        database.drop().await?;
        report.retries.push(measured?);
    }
    for &backend in options.backends.iter().filter(|_| options.parts.contains(&Part::OldJson)) {
        let dir = tempfile::tempdir().context("no temporary folder can be made")?;
        let mut database = Database::create(backend, dir.path()).await?;
        let measured = old_json::measure(&mut database, limits, dir.path()).await;
        database.drop().await?;
        report.old_json.push(measured?);
    }
    if options.parts.contains(&Part::Protocol) {
        for &backend in &options.backends {
            let dir = tempfile::tempdir().context("no temporary folder can be made")?;
            report.protocol.push(protocol::measure(backend, options.entries, options.feed, limits, dir.path()).await?);
        }
        report.walked = Some(protocol::walks(WALKS.0, WALKS.1).await?);
    }
    if options.parts.iter().any(|part| !matches!(part, Part::Watching | Part::Published | Part::Records | Part::Memory))
    {
        print!("{report}");
    }
    if options.parts.contains(&Part::Watching) {
        for &backend in &options.backends {
            let rows = if backend == Backend::Postgres { options.watched } else { options.watched / 5 };
            let history = History { failed: rows, attempts: rows, published: 1_000 };
            let dir = tempfile::tempdir().context("no temporary folder can be made")?;
            let mut database = Database::create(backend, dir.path()).await?;
            let measured = watching::measure(&mut database, &history, limits, dir.path()).await;
            database.drop().await?;
            print!("{}", measured?);
        }
    }
    if options.parts.contains(&Part::Published) {
        for &backend in &options.backends {
            let history = History { failed: 1_000, attempts: 1_000, published: options.feed };
            let dir = tempfile::tempdir().context("no temporary folder can be made")?;
            let mut database = Database::create(backend, dir.path()).await?;
            let measured = published::measure(&mut database, &history, limits, dir.path()).await;
            database.drop().await?;
            print!("{}", measured?);
        }
    }
    if options.parts.contains(&Part::Records) && options.backends.contains(&Backend::Mysql) {
        let history = History { failed: 10_000, attempts: 10_000, published: options.feed };
        let dir = tempfile::tempdir().context("no temporary folder can be made")?;
        let mut database = Database::create(Backend::Mysql, dir.path()).await?;
        let measured = records::measure(&mut database, &history, limits, dir.path()).await;
        database.drop().await?;
        print!("{}", measured?);
    }
    if options.parts.contains(&Part::Memory) {
        allow_connections();
        let mut reports = Vec::new();
        for &backend in &options.backends {
            let dir = tempfile::tempdir().context("no temporary folder can be made")?;
            let mut database = Database::create(backend, dir.path()).await?;
            let measured = memory::measure(&mut database, dir.path()).await;
            database.drop().await?;
            reports.push(measured?);
            print!("{}", reports.last().map(ToString::to_string).unwrap_or_default());
        }
        // Checked last, so that a figure that is too high does not hide the others.
        reports.iter().try_for_each(memory::Report::check)?;
    }
    Ok(())
}

/// Raises the limit of open files for this process and the console that it starts, as far as allowed.
fn allow_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(65_536).min(65_536);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        eprintln!("memory: the limit of open files could not be raised: {error}");
    }
}

async fn measure(
    database: &mut Database,
    history: &History,
    limits: Limits,
    dir: &Path,
) -> anyhow::Result<(BackendReport, Sizes)> {
    eprintln!("{}: filling the tables", database.server);
    database.fill(history).await?;
    let config = console::configure(database, dir)?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let console = Console::start(&config).await?;
        starts.push(console.started_in);
        console.stop().await?;
    }
    let console = Console::start(&config).await?;
    console.wait_until_read().await?;
    let mut screens = Vec::new();
    for screen in screens::all(database.dialect(), history) {
        eprintln!("{}: {}", database.server, screen.name);
        screens.push(screens::measure(&screen, &console, database, limits).await?);
    }
    let busy = screens::throughput(&console, limits).await?;
    let sizes = Sizes::of(&console).await?;
    let report = BackendReport {
        server: database.server.clone(),
        screens,
        busy,
        memory_kb: console.peak_memory_kb()?,
        start: figures::median(&mut starts),
    };
    console.stop().await?;
    Ok((report, sizes))
}
