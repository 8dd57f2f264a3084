//! Looks at every source on its own clock and keeps what it saw in memory, so that ten people watching cost a source no
//! more than one.
//!
//! One look at a source at a time, and never more than a tenth of the time: after a look that took two seconds the next
//! one begins eighteen seconds later at the earliest. A source that is down keeps what was seen last, with its age.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::sources::{Poll, Source, SourceError};
use crate::model::{
    ApplicationView, Availability, Feed, FeedCounts, FeedState, Limits, Marker, Reach, Seen, Stamp, feed::category_of,
};

/// The longest that a page waits for the first look at a source.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// The snapshot of all sources.
#[derive(Debug)]
pub struct Watch {
    sources: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    source: Arc<Source>,
    seen: watch::Receiver<Look>,
    again: Arc<Again>,
}

/// Asks for a look out of turn. A look that began before one asked does not answer.
#[derive(Debug, Default)]
struct Again {
    asked: AtomicU64,
    wake: Notify,
}

/// The last look at one source, and the last good one.
#[derive(Clone, Debug)]
struct Look {
    reach: Reach,
    at: Option<DateTime<Utc>>,
    seen: Option<Arc<Seen>>,
    seen_at: Option<DateTime<Utc>>,
    /// How many had asked for a look when this one began.
    asked: u64,
}

impl Watch {
    /// Begins to look at the sources, until `stop`.
    pub fn start(sources: &[Arc<Source>], stop: &CancellationToken) -> Self {
        let sources = sources.iter().map(|source| {
            let nothing = Look { reach: Reach::NotYet, at: None, seen: None, seen_at: None, asked: 0 };
            let (publish, seen) = watch::channel(nothing);
            let again = Arc::new(Again::default());
            tokio::spawn(watch_source(source.clone(), publish, again.clone(), stop.clone()));
            Watched { source: source.clone(), seen, again }
        });
        Self { sources: sources.collect() }
    }

    /// What was last seen of every application, in configured order. Waits a moment for first looks.
    pub async fn views(&self) -> Vec<ApplicationView> {
        futures::future::join_all(self.sources.iter().map(Watched::view)).await
    }

    /// What was last seen of one application.
    pub async fn view(&self, app: &str) -> Option<ApplicationView> {
        let watched = self.sources.iter().find(|watched| watched.source.app().info.key == app)?;
        Some(watched.view().await)
    }

    /// Looks at an application now instead of at its next turn, and waits a moment for the result: after an action, so
    /// that the next page shows what it did.
    pub async fn look_again(&self, app: &str) {
        if let Some(watched) = self.sources.iter().find(|watched| watched.source.app().info.key == app) {
            let ticket = watched.again.asked.fetch_add(1, Relaxed) + 1;
            watched.again.wake.notify_one();
            let mut seen = watched.seen.clone();
            let newer = seen.wait_for(|look| look.asked >= ticket);
            let _ = tokio::time::timeout(Duration::from_secs(1), newer).await;
        }
    }
}

impl Watched {
    async fn view(&self) -> ApplicationView {
        let mut seen = self.seen.clone();
        let _ = tokio::time::timeout(FIRST_LOOK, seen.wait_for(|look| look.at.is_some())).await;
        let look = self.seen.borrow().clone();
        ApplicationView {
            info: self.source.app().info.clone(),
            reach: look.reach,
            looked_at: look.at,
            seen: look.seen.as_deref().cloned(),
            seen_at: look.seen_at,
        }
    }
}

async fn watch_source(source: Arc<Source>, publish: watch::Sender<Look>, again: Arc<Again>, stop: CancellationToken) {
    loop {
        let begun = Instant::now();
        let asked = again.asked.load(Relaxed);
        let polled = tokio::select! {
            polled = source.poll() => polled,
            () = stop.cancelled() => return,
        };
        let cost = begun.elapsed();
        report(&source, &publish, &polled);
        publish.send_modify(|look| look.take(polled, &source.app().info.limits, asked));
        let pause = source.app().refresh.max(cost * 9);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = again.wake.notified() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Says in the log when a source comes or goes, once.
fn report(source: &Source, publish: &watch::Sender<Look>, polled: &Result<Poll, SourceError>) {
    let name = &source.app().info.name;
    let before = publish.borrow().reach.clone();
    match (polled, before) {
        (Ok(_), Reach::Reachable { .. }) => {}
        (Ok(poll), _) => tracing::info!(application = %name, server = %poll.server, "reachable"),
        (Err(error), Reach::Unreachable { reason, .. }) if reason == error.reason => {}
        (Err(error), _) => tracing::warn!(application = %name, reason = %error.reason, "unreachable"),
    }
}

impl Look {
    fn take(&mut self, polled: Result<Poll, SourceError>, limits: &Limits, asked: u64) {
        let now = Utc::now();
        self.asked = asked;
        self.at = Some(now);
        match polled {
            Ok(poll) => {
                self.reach = Reach::Reachable { server: poll.server.clone() };
                self.seen = Some(Arc::new(seen(poll, limits)));
                self.seen_at = Some(now);
            }
            Err(error) => self.reach = Reach::Unreachable { reason: error.reason, advice: error.advice },
        }
    }
}

/// What a poll means: feeds from markers and from failures put together, with their states.
fn seen(poll: Poll, limits: &Limits) -> Seen {
    let feeds = feeds(&poll, limits);
    let sum = |of: fn(&FeedCounts) -> u64| -> u64 {
        feeds.here().map_or(0, |feeds| feeds.iter().map(|feed| of(&feed.counts)).sum())
    };
    let times = |of: fn(&Feed) -> Option<&Stamp>| feeds.here().into_iter().flatten().filter_map(of);
    Seen {
        waiting: sum(|counts| counts.waiting),
        exhausted: sum(|counts| counts.exhausted),
        failed: sum(|counts| counts.total),
        oldest_failure: times(|feed| feed.oldest_failure.as_ref()).min_by_key(|stamp| stamp.at).cloned(),
        newest_failure: times(|feed| feed.newest_failure.as_ref()).max_by_key(|stamp| stamp.at).cloned(),
        feeds,
        days: poll.days,
        newest: poll.newest,
        retry_refused: poll.retry_refused,
        missing: poll.missing,
        hazards: poll.hazards,
    }
}

fn feeds(poll: &Poll, limits: &Limits) -> Availability<Vec<Feed>> {
    let (markers, failures) = match (&poll.markers, &poll.failures) {
        (Availability::NotHere(reason), Availability::NotHere(_)) => return Availability::NotHere(reason.clone()),
        (markers, failures) => (markers.here(), failures.here()),
    };
    let mut by_uri = BTreeMap::<Option<String>, (Vec<Marker>, FeedCounts, Option<Stamp>, Option<Stamp>)>::new();
    for marker in markers.into_iter().flatten() {
        by_uri.entry(address(&marker.feed_uri)).or_default().0.push(marker.clone());
    }
    for failed in failures.into_iter().flatten() {
        let (_, counts, oldest, newest) = by_uri.entry(address(&failed.uri)).or_default();
        counts.waiting += failed.waiting;
        counts.exhausted += failed.exhausted;
        counts.total += failed.total;
        *oldest = [oldest.take(), failed.oldest.clone()].into_iter().flatten().min_by_key(|stamp| stamp.at);
        *newest = [newest.take(), failed.newest.clone()].into_iter().flatten().max_by_key(|stamp| stamp.at);
    }
    let known = failures.is_some();
    let feeds = by_uri.into_iter().map(|(uri, (markers, counts, oldest, newest))| {
        let retried = poll.last_retries.iter().filter(|(of, _)| address(of) == uri).map(|(_, at)| at);
        let last_seen_at_work = retried.chain(&newest).filter(|stamp| stamp.at.is_some()).max_by_key(|stamp| stamp.at);
        let state = if known {
            // No consumer reads a feed without an address, so none counts its rows and stops.
            let limits =
                Limits { max_failed_events: limits.max_failed_events.filter(|_| uri.is_some()), ..limits.clone() };
            FeedState::of(&counts, markers.iter().any(Marker::has_page), &limits)
        } else {
            FeedState::Unknown
        };
        Feed {
            category: uri.as_deref().and_then(category_of).map(str::to_owned),
            last_seen_at_work: last_seen_at_work.cloned(),
            uri,
            markers,
            counts,
            oldest_failure: oldest,
            newest_failure: newest,
            state,
        }
    });
    Availability::Here(feeds.collect())
}

/// A feed's address; the empty text is none, as in the lists.
fn address(uri: &Option<String>) -> Option<String> {
    uri.clone().filter(|uri| !uri.is_empty())
}
