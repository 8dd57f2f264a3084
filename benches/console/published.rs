//! Costs and results of the index of published events: how fast it is filled without its pauses, how large it is, and how
//! fast pages of a feed are with it.

use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use atomfeed_console::server::{sources::Source, store::Store, watch};

use crate::{
    Limits,
    console::{self, APP, Console},
    database::Database,
    figures::{ScreenReport, thousands},
    history::History,
    screens,
};

/// What was measured on one backend.
#[derive(Debug)]
pub struct Report {
    server: String,
    events: u64,
    filled: Duration,
    /// The part of it that the database took.
    database: Duration,
    bytes: u64,
    screens: Vec<ScreenReport>,
}

pub async fn measure(database: &mut Database, history: &History, limits: Limits, dir: &Path) -> anyhow::Result<Report> {
    eprintln!("{}: filling the table of published events", database.server);
    database.fill(history).await?;
    let file = console::configure(database, dir)?;
    let source = Source::new(console::application(&file, dir)?);
    let path = file.with_file_name("store.db");
    let store = Store::open(&path).await?;
    store.close().await;
    let before = std::fs::metadata(&path)?.len();
    let store = Store::open(&path).await?;
    let begun = Instant::now();
    let mut cost = Duration::ZERO;
    loop {
        let step = watch::fill(&source, &store).await?;
        cost += step.cost;
        if step.done {
            break;
        }
    }
    let filled = begun.elapsed();
    store.close().await;
    let bytes = std::fs::metadata(&path)?.len() - before;
    let console = Console::start(&file).await?;
    console.wait_until_read().await?;
    let mut measured = Vec::new();
    for screen in pages(history) {
        eprintln!("{}: {}", database.server, screen.name);
        measured.push(screens::measure(&screen, &console, database, limits).await?);
    }
    console.stop().await?;
    let (server, events) = (database.server.clone(), history.published);
    Ok(Report { server, events, filled, database: cost, bytes, screens: measured })
}

fn pages(history: &History) -> Vec<screens::Screen> {
    let category = History::category();
    let feed = |name, query: &str| screens::screen(name, &format!("/applications/{APP}/feed{query}"), vec![]);
    let middle = history.published / 10;
    // Most events are of this category.
    let of_category = middle / 2;
    vec![
        screens::screen("Feeds", &format!("/applications/{APP}/feeds"), vec![]),
        feed("Newest page of a feed", &format!("?category={category}")),
        feed("First page of a feed", &format!("?category={category}&page=1")),
        feed("Page of a feed, in the middle", &format!("?category={category}&page={of_category}")),
        feed("Page of all events, in the middle", &format!("?page={middle}")),
        feed("Page of an event", &format!("?category={category}&event={}", history.published / 2)),
    ]
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let seconds = self.filled.as_secs_f64();
        writeln!(f, "**Published events: {}**, {} of them\n", self.server, thousands(self.events))?;
        writeln!(f, "| screen | p50 ms | p99 ms |")?;
        writeln!(f, "|---|--:|--:|")?;
        for screen in &self.screens {
            writeln!(f, "| {} | {:.1} | {:.1} |", screen.name, ms(screen.p50), ms(screen.p99))?;
        }
        writeln!(f, "\n| | |\n|---|--:|")?;
        let rate = self.events as f64 / seconds;
        writeln!(f, "| filling the index without pauses | {seconds:.1} s, {rate:.0} rows/s |")?;
        writeln!(f, "| of that, in the database | {:.1} s |", self.database.as_secs_f64())?;
        writeln!(f, "| size of the index | {} MB |", self.bytes / 1_000_000)?;
        writeln!(f)
    }
}
