//! When the user's last visit ended, and what happened since a time. It reads the store and the watcher's views.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    security::{authenticate::Caller, secrets},
    state::Console,
};
use crate::{
    api::overview::Happened,
    clock,
    model::{ApplicationView, FeedState, access::KnownBy},
};

/// Older events are not counted: no one reads "since your last visit" as "this year".
const LONGEST: TimeDelta = TimeDelta::days(31);

/// Returns when the user's last visit ended; `anew`: this is not a visit, but a page that reloads itself.
pub async fn last(console: &Console, visit: &Caller, anew: bool) -> Option<DateTime<Utc>> {
    let person = visit.person.as_ref()?;
    let name = match person.known_by {
        // A new mark has no earlier visit, and a browser that keeps none would be a new visitor each time.
        KnownBy::Open if visit.browser.1 => return None,
        KnownBy::Open => secrets::hex(&secrets::derived("visit", &visit.browser.0)),
        _ => person.name.clone(),
    };
    let (store, way) = (&console.parts.store, person.known_by.word());
    let before = if anew { store.visit_before(way, &name).await } else { store.visit(way, &name, clock::now()).await };
    before.unwrap_or_else(|error| {
        tracing::warn!(%error, "the last visit could not be read");
        None
    })
}

/// Returns what happened since a time. `None` if the store cannot be read.
pub async fn since(console: &Console, views: &[ApplicationView], at: DateTime<Utc>) -> Option<Happened> {
    let at = at.max(clock::now() - LONGEST);
    let (failed, resolved) = console.parts.store.since(at, console.only()).await.ok()?;
    // Nothing new fails on a feed that has stopped: its newest failure is when it stopped. If every retry changes the
    // time of a failure, that time is not known.
    let stopped = views
        .iter()
        .filter(|view| console.source(&view.info.key).is_ok_and(|source| !source.failed_at_moves()))
        .filter_map(|view| view.seen.as_ref()?.feeds.here())
        .flatten()
        .filter(|feed| feed.state == FeedState::Stopped)
        .filter(|feed| feed.newest_failure.as_ref().and_then(|stamp| stamp.at).is_some_and(|newest| newest > at))
        .count() as u64;
    Some(Happened { at, failed, resolved, stopped })
}
