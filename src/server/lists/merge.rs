//! Merges the rows of several sources into one list, in the order of the list.

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use chrono::{DateTime, Utc};

use super::super::sources::{ListRow, ListRows, Source, SourceError};
use super::{Merged, dated};
use crate::{
    api::failed_events::{MissingPart, Scan},
    model::{
        ApplicationInfo, FailedEventRow, Stamp,
        filter::{Direction, ListQuery, Order, Position},
    },
};

/// The answer of one source.
pub(super) struct Part {
    pub(super) source: Arc<Source>,
    pub(super) answer: Result<ListRows, SourceError>,
}

/// A source's rows that are not yet merged, and its positions.
struct Heap {
    app: String,
    /// See [`called`].
    name: String,
    rows: VecDeque<ListRow>,
    stopped_at: Option<Position>,
    start: Option<Position>,
    end: Option<Position>,
    /// A row of it is on the page.
    touched: bool,
}

pub(super) fn merge(parts: Vec<Part>, query: &ListQuery, limit: usize) -> Merged {
    let backward = query.place.direction == Direction::Backward;
    let mut missing = Vec::new();
    let mut scans = Vec::new();
    let mut heaps = Vec::new();
    for Part { source, answer } in parts {
        let info = source.app().info.clone();
        let stands = query.place.positions.get(&info.key).cloned();
        let answer = answer.unwrap_or_else(|error| {
            missing.push(MissingPart { app: info.clone(), reason: error.reason, advice: error.advice });
            ListRows { rows: Vec::new(), stopped_at: None, scanned: 0 }
        });
        if query.filter.text.is_some() && !missing.iter().any(|part| part.app.key == info.key) {
            let complete = answer.stopped_at.is_none() && answer.rows.len() <= limit;
            scans.push(Scan { app: info.clone(), looked_at: answer.scanned, of: None, complete });
        }
        heaps.push(Heap {
            name: called(&info),
            app: info.key,
            rows: answer.rows.into(),
            stopped_at: answer.stopped_at,
            start: stands.clone(),
            end: stands,
            touched: false,
        });
    }
    let mut rows = Vec::new();
    while rows.len() < limit {
        let Some(row) = take_next(&mut heaps, query.filter.order, backward) else { break };
        rows.push(row);
    }
    let mut more = false;
    for heap in &mut heaps {
        if !heap.rows.is_empty() {
            more = true;
        } else if let Some(stopped_at) = heap.stopped_at.take() {
            more = true;
            *(if backward { &mut heap.start } else { &mut heap.end }) = Some(stopped_at);
        }
    }
    if backward {
        rows.reverse();
    }
    let places = |of: fn(&Heap) -> &Option<Position>| {
        heaps.iter().filter_map(|heap| Some((heap.app.clone(), of(heap).clone()?))).collect()
    };
    Merged { rows, start: places(|heap| &heap.start), end: places(|heap| &heap.end), more, missing, scans }
}

/// Removes the row that comes next in the direction of reading, and moves that source's position past it.
fn take_next(heaps: &mut [Heap], order: Order, backward: bool) -> Option<FailedEventRow> {
    let head =
        |heap: &Heap| if backward { heap.rows.back() } else { heap.rows.front() }.map(|row| row.listed_at.clone());
    let mut best: Option<usize> = None;
    for index in 0..heaps.len() {
        let Some(candidate) = head(&heaps[index]) else { continue };
        let better = match best.and_then(|best| head(&heaps[best])) {
            None => true,
            Some(so_far) => {
                let ordering = match best {
                    Some(best) if order.by_application() => by_name(&heaps[index].name, &heaps[best].name, order),
                    _ => by_time(candidate.as_ref(), so_far.as_ref(), order),
                };
                // Of equal times, the earlier application comes first in the list.
                if backward { ordering.is_ge() } else { ordering.is_lt() }
            }
        };
        if better {
            best = Some(index);
        }
    }
    let heap = &mut heaps[best?];
    let taken = if backward { heap.rows.pop_back() } else { heap.rows.pop_front() }?;
    let (before, after) =
        (Position { after: false, ..taken.position.clone() }, Position { after: true, ..taken.position });
    if backward {
        heap.start = Some(before);
    } else {
        if !heap.touched {
            heap.start = Some(before);
        }
        heap.end = Some(after);
    }
    heap.touched = true;
    Some(taken.row)
}

/// Returns the name of an application by which lists sort it.
pub(super) fn called(info: &ApplicationInfo) -> String {
    info.name.to_lowercase()
}

/// Compares two applications in a list that is sorted by application.
pub(super) fn by_name(one: &str, other: &str, order: Order) -> Ordering {
    if order == Order::ApplicationDown { other.cmp(one) } else { one.cmp(other) }
}

/// Compares two times in the list's order: less comes first.
fn by_time(a: Option<&Stamp>, b: Option<&Stamp>, order: Order) -> Ordering {
    match (dated(a), dated(b)) {
        (Some(a), Some(b)) if order.descending() => rank(b).cmp(&rank(a)),
        (Some(a), Some(b)) => rank(a).cmp(&rank(b)),
        // In both orders, rows without a time come last.
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

/// Returns where the databases sort a time: unreadable times (`-infinity`) below all others, PostgreSQL's `infinity`
/// above.
fn rank(stamp: &Stamp) -> (u8, Option<DateTime<Utc>>) {
    match stamp {
        Stamp { at: None, text } if text == "infinity" => (2, None),
        Stamp { at: None, .. } => (0, None),
        Stamp { at, .. } => (1, *at),
    }
}
