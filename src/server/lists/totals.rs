//! How many failed events match a list, and what arrived since it was read.

use std::collections::BTreeMap;

use super::super::{sources::NEWEST, state::Console};
use super::is_known_to_ledger;
use crate::{
    api::failed_events::Arrivals,
    model::{ApplicationView, FeedCounts, RowId, filter::Filter, ledger::LifeState},
};

/// Returns the number of all that match, if the ledger's counts or the snapshot know it: for a filter by nothing except
/// application, feed, state and group.
pub(super) async fn total(console: &Console, filter: &Filter, views: &[ApplicationView]) -> Option<u64> {
    if !is_known_to_ledger(filter) || filter.has_range() {
        return None;
    }
    if let Some(group) = filter.group {
        return total_of_group(console, filter, group, views).await;
    }
    let mut total = 0;
    for view in views.iter().filter(|view| filter.wants_app(&view.info.key)) {
        let feeds = view.seen.as_ref()?.feeds.here()?;
        let wanted = feeds.iter().filter(|feed| match filter.feed.as_deref() {
            None => true,
            Some("") => feed.uri.as_deref().unwrap_or_default().is_empty(),
            Some(uri) => feed.uri.as_deref() == Some(uri),
        });
        total += wanted.map(|feed| count(&feed.counts, filter)).sum::<u64>();
    }
    Some(total)
}

async fn total_of_group(console: &Console, filter: &Filter, group: i64, views: &[ApplicationView]) -> Option<u64> {
    let mut total = 0;
    for view in views.iter().filter(|view| filter.wants_app(&view.info.key)) {
        let counts = console.parts.store.ledger_counts(&view.info.key, Some(group)).await.ok()?;
        let wanted = counts.iter().filter(|count| {
            let feed = count.feed_uri.as_deref().unwrap_or_default();
            let state = filter.state.is_none_or(|state| LifeState::from(state) == count.state);
            count.state.is_open() && state && filter.feed.as_deref().is_none_or(|it| it == feed)
        });
        total += wanted.map(|count| count.count).sum::<u64>();
    }
    Some(total)
}

fn count(counts: &FeedCounts, filter: &Filter) -> u64 {
    use crate::model::EventState::{Exhausted, Unknown, Waiting};
    match filter.state {
        None => counts.total,
        Some(Waiting) => counts.waiting,
        Some(Exhausted) => counts.exhausted,
        Some(Unknown) => counts.total.saturating_sub(counts.waiting + counts.exhausted),
    }
}

/// Returns what the snapshot has seen so far: the newest id of every application.
pub(super) fn mark(views: &[ApplicationView]) -> String {
    let newest = |view: &ApplicationView| {
        let id = view.seen.as_ref()?.newest.first().map_or(RowId(0), |row| row.id);
        Some(format!("{}~{id}", view.info.key))
    };
    views.iter().filter_map(newest).collect::<Vec<_>>().join(",")
}

/// Returns what is new since a list was read, from the snapshot alone.
pub async fn arrivals(console: &Console, filter: &Filter, mark: &str) -> Arrivals {
    let marks: BTreeMap<&str, RowId> = mark
        .split(',')
        .filter_map(|part| part.split_once('~'))
        .filter_map(|(app, id)| Some((app, id.parse().ok()?)))
        .collect();
    let mut came = 0;
    let mut at_least = false;
    for view in console.views().await {
        let (Some(seen), Some(mark)) = (&view.seen, marks.get(view.info.key.as_str())) else { continue };
        if !filter.wants_app(&view.info.key) {
            continue;
        }
        at_least |= seen.newest.len() == NEWEST as usize && seen.newest.iter().all(|row| row.id > *mark);
        let new = seen.newest.iter().filter(|row| row.id > *mark);
        came +=
            new.filter(|row| filter.feed.as_deref().is_none_or(|feed| row.feed_uri.as_deref() == Some(feed))).count();
    }
    if came == 0 {
        return Arrivals { in_words: String::new() };
    }
    // The snapshot knows application and feed of new events; whether they match the rest, only the source knows.
    let exact = *filter
        == Filter { apps: filter.apps.clone(), feed: filter.feed.clone(), order: filter.order, ..Filter::default() };
    let number = if at_least { format!("More than {came}") } else { came.to_string() };
    let events = if came == 1 && !at_least { "new failed event" } else { "new failed events" };
    let which = if exact { "" } else { ", not filtered yet" };
    Arrivals { in_words: format!("{number} {events}{which} — show") }
}
