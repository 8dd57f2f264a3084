//! When whoever looks was here last, and what happened since then.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    security::{secrets, visit::Visit},
    state::Console,
};
use crate::{
    api::overview::SinceVisit,
    model::{ApplicationView, FeedState, access::KnownBy},
};

/// What is older is not counted: nobody reads "since your last visit" as "this year".
const LONGEST: TimeDelta = TimeDelta::days(31);

/// When the last visit of whoever looks ended; `anew`: this is no visit, but a page that is read anew by itself.
pub async fn last(console: &Console, visit: &Visit, anew: bool) -> Option<DateTime<Utc>> {
    let person = visit.person.as_ref()?;
    let name = match person.known_by {
        // A mark that is new was never here, and a browser that keeps none would be a new visitor each time.
        KnownBy::Open if visit.browser.1 => return None,
        KnownBy::Open => secrets::hex(&secrets::derived("visit", &visit.browser.0)),
        _ => person.name.clone(),
    };
    let (store, way) = (&console.parts.store, person.known_by.word());
    let before = if anew { store.visit_before(way, &name).await } else { store.visit(way, &name, Utc::now()).await };
    before.unwrap_or_else(|error| {
        tracing::warn!(%error, "when somebody was here last is not known");
        None
    })
}

/// What happened since then; `None` where the store does not say.
pub async fn since(console: &Console, views: &[ApplicationView], at: DateTime<Utc>) -> Option<SinceVisit> {
    let at = at.max(Utc::now() - LONGEST);
    let (failed, resolved) = console.parts.store.since(at, console.only()).await.ok()?;
    // Nothing new fails on a feed that has stopped: its newest failure is when it stopped. Where every retry changes the
    // time of a failure, that is not known.
    let stopped = views
        .iter()
        .filter(|view| console.source(&view.info.key).is_ok_and(|source| !source.failed_at_moves()))
        .filter_map(|view| view.seen.as_ref()?.feeds.here())
        .flatten()
        .filter(|feed| feed.state == FeedState::Stopped)
        .filter(|feed| feed.newest_failure.as_ref().and_then(|stamp| stamp.at).is_some_and(|newest| newest > at))
        .count() as u64;
    Some(SinceVisit { at, failed, resolved, stopped })
}
