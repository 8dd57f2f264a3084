//! Counts the failed events that match a list's filter where neither the ledger nor the snapshot knows the number:
//! filters by text, category or time. It reads the tables up to a bound, and reports what was not read.
//!
//! One count runs at a time, and its result is kept for a minute: an open page is read again at every change.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{
    lists,
    sources::{ListRequest, SCAN_LIMIT, Source, SourceError, TextLimit},
    state::Console,
};
use crate::{
    api::failed_events::{Counted, Scan},
    model::{
        EventState,
        filter::{Direction, Filter, Order, Position},
    },
};

/// Maximum steps of [`SCAN_LIMIT`] rows that a count reads of each application.
const STEPS: u32 = 5;

/// How long a result is kept.
const KEPT: Duration = Duration::from_secs(60);

/// The counts of the last minute, by filter and by what the user may see.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<String, (Instant, Counted)>>);

/// Counts the failed events that match a filter.
pub async fn of_list(console: &Console, filter: &Filter) -> Counted {
    // A range up to now has the same query for every user, but "today" begins with the user's own day, so the key has
    // its times. They are in minutes, so that the last hour is not counted again within a minute.
    let minutes = [filter.from, filter.until].map(|at| at.map(|at| at.timestamp() / 60));
    let key = format!("{:?} {} {minutes:?} {}", console.only(), console.masked().is_some(), filter.to_query());
    // Locked during the count: a count reads more than any page does.
    let mut counts = console.parts.counts.0.lock().await;
    counts.retain(|_, (at, _)| at.elapsed() < KEPT);
    if let Some((_, counted)) = counts.get(&key) {
        return counted.clone();
    }
    let counted = count(console, filter).await;
    counts.insert(key, (Instant::now(), counted.clone()));
    counted
}

async fn count(console: &Console, filter: &Filter) -> Counted {
    let wanted = console.sources().filter(|source| filter.wants_app(&source.app().info.key));
    let parts = wanted.map(|source| async move { (source, of_source(console, source, filter).await) });
    let parts = futures::future::join_all(parts).await;
    let mut counted = Counted { total: 0, to_retry: 0, complete: true, scans: Vec::new() };
    for (source, answer) in parts {
        let Ok(Part { total, to_retry, read, complete }) = answer else {
            // The list itself reports it as missing.
            counted.complete = false;
            continue;
        };
        counted.total += total;
        counted.to_retry += to_retry;
        counted.complete &= complete;
        counted.scans.push(Scan { app: source.app().info.clone(), looked_at: read, of: None, complete });
    }
    counted
}

/// The count of one application.
struct Part {
    total: u64,
    to_retry: u64,
    read: u64,
    complete: bool,
}

async fn of_source(console: &Console, source: &Source, filter: &Filter) -> Result<Part, SourceError> {
    let retried = filter.state.unwrap_or(EventState::Exhausted);
    let filter = Filter { apps: Vec::new(), order: Order::IdDown, ..filter.clone() };
    let mut part = Part { total: 0, to_retry: 0, read: 0, complete: false };
    let times = lists::times(console, source).await;
    let mut from: Option<Position> = None;
    for _ in 0..STEPS {
        let request = ListRequest {
            filter: &filter,
            from: from.as_ref(),
            direction: Direction::Forward,
            limit: SCAN_LIMIT,
            texts: TextLimit(1),
            search: lists::search_in(console),
        };
        let found = lists::of_source(console, source, &request, times).await?;
        part.total += found.rows.len() as u64;
        part.to_retry += found.rows.iter().filter(|row| row.row.state == retried).count() as u64;
        part.read += found.scanned;
        let full = found.rows.len() >= SCAN_LIMIT as usize;
        let last = found.rows.last().map(|row| row.position.clone()).filter(|_| full);
        from = found.stopped_at.or(last);
        if from.is_none() {
            part.complete = true;
            break;
        }
    }
    Ok(part)
}
