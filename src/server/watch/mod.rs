//! Polls every source at its own interval, keeps the result in memory, so that ten readers cost a source no more than
//! one, and keeps the ledger in step.
//!
//! Each source is polled by one task, at most a tenth of the time: after a poll of two seconds the next one begins at
//! least eighteen seconds later, and later still if nothing is read or changes. A quiet poll asks for sums and markers
//! only. For a source that is down, the last result remains, with its age.
//!
//! The one exception is the first read of a table into the ledger: it runs without those pauses, in short transactions.

mod compare;
mod follow;
mod index;
mod lag;
mod last_poll;
mod probe;
mod published;
mod retries;
mod seen;
mod stall;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{Notify, broadcast, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    sources::{Poll, Source, SourceError},
    store::Store,
};
use crate::{
    clock,
    model::{ApplicationView, Availability, Reach, RowId, probe::Probe, publisher::Queue},
};

use compare::{Compared, Comparison};
pub use follow::{FollowError, Follower, PollChanges};
use lag::Lags;
use last_poll::LastPoll;
pub use last_poll::MarkersAndFailures;
use probe::Prober;
pub use probe::probe_once;
pub use published::{FillStep, fill};
use retries::Retries;
use seen::LedgerFacts;
use stall::{Publications, Standstill};

/// The longest that a page waits for the first poll of a source.
const FIRST_POLL: Duration = Duration::from_secs(3);

/// How long a poll of sums may replace a whole poll. Values that no sum covers (a new day, rows without a time) are at
/// most this old.
const WHOLE_EVERY: Duration = Duration::from_secs(300);

/// Without readers or changes for the first value, pauses grow by the second factor, to the third at most.
const IDLE_AFTER: Duration = Duration::from_secs(300);
const IDLE_FACTOR: u32 = 4;
const IDLE_PAUSE: Duration = Duration::from_secs(120);

/// Pause between two parts of the first read.
const BREATH: Duration = Duration::from_millis(20);

/// Number of changes that a slow listener may be behind.
const CHANGES: usize = 256;

/// A poll has ended, and all its results are in the snapshot and in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The application's key.
    pub app: String,
    /// Something that pages show differs from the poll before.
    pub changed: bool,
    /// Number of new failed events.
    pub appeared: u64,
    /// The affected rows, up to some hundreds.
    pub rows: Vec<RowId>,
}

/// The snapshot of all sources.
#[derive(Debug)]
pub struct Watch {
    sources: Vec<Watched>,
    changes: broadcast::Sender<Change>,
    readers: Arc<Readers>,
}

#[derive(Debug)]
struct Watched {
    source: Arc<Source>,
    seen: watch::Receiver<LastPoll>,
    again: Arc<Again>,
    /// What its feed answers; `None`: it is not requested.
    probe: watch::Receiver<Option<Probe>>,
}

/// Requests a poll out of turn. A poll that began before a request does not answer it.
#[derive(Debug, Default)]
struct Again {
    asked: AtomicU64,
    wake: Notify,
}

/// When the snapshot was last read.
#[derive(Debug)]
struct Readers {
    last: Mutex<Instant>,
}

impl Readers {
    fn reads(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn since(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

impl Watch {
    /// Starts polling the sources, until `stop`.
    pub fn start(sources: &[Arc<Source>], store: &Store, stop: &CancellationToken) -> Self {
        let (changes, _) = broadcast::channel(CHANGES);
        let readers = Arc::new(Readers { last: Mutex::new(Instant::now()) });
        let publications = Arc::new(Publications::default());
        let publishers = Arc::new(sources.iter().map(|source| source.app().info.clone()).collect::<Vec<_>>());
        let all = Arc::new(sources.to_vec());
        let sources = sources.iter().map(|source| {
            let nothing = LastPoll {
                reach: Reach::NotYet,
                at: None,
                seen: None,
                seen_at: None,
                followed: None,
                in_step: false,
                asked: 0,
                raw: None,
            };
            let (publish, seen) = watch::channel(nothing);
            let again = Arc::new(Again::default());
            let watcher = Watcher {
                source: source.clone(),
                store: store.clone(),
                publish,
                again: again.clone(),
                changes: changes.clone(),
                readers: readers.clone(),
                follower: None,
                last_poll: None,
                last_change: Instant::now(),
                standstill: Standstill::new(publications.clone(), publishers.clone()),
                comparison: Comparison::new(all.clone()),
                lags: Lags::new(all.clone()),
                retries: Retries::default(),
                last_queue: None,
                troubled: None,
            };
            tokio::spawn(watcher.run(stop.clone()));
            tokio::spawn(index::run(source.clone(), store.clone(), seen.clone(), stop.clone()));
            tokio::spawn(published::run(source.clone(), store.clone(), seen.clone(), stop.clone()));
            let (_, probe) = watch::channel(None);
            Watched { source: source.clone(), seen, again, probe }
        });
        let mut sources: Vec<Watched> = sources.collect();
        probe_feeds(&mut sources, &changes, stop);
        Self { sources, changes, readers }
    }

    /// Returns the last known state of every application, in configured order. Waits briefly for first polls.
    pub async fn views(&self) -> Vec<ApplicationView> {
        futures::future::join_all(self.sources.iter().map(Watched::view)).await
    }

    /// Returns the last known state of one application.
    pub async fn view(&self, app: &str) -> Option<ApplicationView> {
        Some(self.watched(app)?.view().await)
    }

    /// Polls an application now instead of at its next turn and waits briefly for the result, so that the next page
    /// shows what an action did.
    pub async fn poll_now(&self, app: &str) {
        if let Some(watched) = self.watched(app) {
            let ticket = watched.again.asked.fetch_add(1, Relaxed) + 1;
            watched.again.wake.notify_one();
            let mut seen = watched.seen.clone();
            let newer = seen.wait_for(|last| last.asked >= ticket);
            let _ = tokio::time::timeout(Duration::from_secs(1), newer).await;
        }
    }

    /// Subscribes to the ends of polls. A receiver that is too slow gets the number it missed, and reads anew.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Records that a client reads the snapshot or has a page open that follows the changes.
    pub fn reads(&self) {
        self.readers.reads();
    }

    /// Returns whether the ledger holds what the last poll of an application saw: read whole, and in step.
    pub fn in_step(&self, app: &str) -> bool {
        self.watched(app).is_some_and(|watched| watched.seen.borrow().is_in_step())
    }

    /// Returns the number of failed events of an application whose source answers and with which the ledger is in step:
    /// see [`Watch::in_step`]. `None` otherwise, or if the number is not known.
    pub fn failed_in_step(&self, app: &str) -> Option<u64> {
        let last = self.watched(app)?.seen.borrow();
        let reached = matches!(last.reach, Reach::Reachable { .. });
        last.seen.as_ref()?.failed.filter(|_| reached && last.is_in_step())
    }

    /// Returns markers and failures of the last poll of an application. `None` if that was longer ago than `age`, or if
    /// it failed.
    pub fn markers_and_failures(&self, app: &str, age: Duration) -> Option<Arc<MarkersAndFailures>> {
        let last = self.watched(app)?.seen.borrow();
        let reached = matches!(last.reach, Reach::Reachable { .. });
        // If the clock was set back, the poll lies in the future and its age is unknown.
        let young = (clock::now() - last.seen_at?).to_std().is_ok_and(|passed| passed <= age);
        last.raw.clone().filter(|_| reached && young)
    }

    /// Since when the ledger follows an application, and whether the first read is complete. `None` if not yet.
    pub fn followed(&self, app: &str) -> Option<(DateTime<Utc>, bool)> {
        self.watched(app)?.seen.borrow().followed
    }

    fn watched(&self, app: &str) -> Option<&Watched> {
        self.sources.iter().find(|watched| watched.source.app().info.key == app)
    }
}

/// Starts requesting the feeds whose addresses are configured.
fn probe_feeds(sources: &mut [Watched], changes: &broadcast::Sender<Change>, stop: &CancellationToken) {
    let consumers: Vec<_> = sources.iter().map(|watched| (watched.source.clone(), watched.seen.clone())).collect();
    for watched in sources {
        let Some(settings) = watched.source.app().probe.clone() else { continue };
        let (publish, probe) = watch::channel(Some(probe::before(&settings)));
        watched.probe = probe;
        let (source, consumers, changes) = (watched.source.clone(), consumers.clone(), changes.clone());
        let app = source.app().info.key.clone();
        let tell = Box::new(move |changed| {
            // That no one listens is not an error.
            let _ = changes.send(Change { app: app.clone(), changed, appeared: 0, rows: Vec::new() });
        });
        tokio::spawn(probe::run(Prober { source, publish, consumers, tell }, settings, stop.clone()));
    }
}

impl Watched {
    async fn view(&self) -> ApplicationView {
        if self.seen.borrow().at.is_none() {
            let mut seen = self.seen.clone();
            let _ = tokio::time::timeout(FIRST_POLL, seen.wait_for(|last| last.at.is_some())).await;
        }
        let last = self.seen.borrow().clone();
        ApplicationView {
            info: self.source.app().info.clone(),
            reach: last.reach,
            looked_at: last.at,
            seen: last.seen,
            seen_at: last.seen_at,
            // They depend on the caller: a feed's name can belong to another application.
            concerns: Vec::new(),
            days: Vec::new(),
            probe: self.probe.borrow().clone(),
        }
    }
}

/// The task that polls one source.
struct Watcher {
    source: Arc<Source>,
    store: Store,
    publish: watch::Sender<LastPoll>,
    again: Arc<Again>,
    changes: broadcast::Sender<Change>,
    readers: Arc<Readers>,
    /// `None` until the store has opened the ledger.
    follower: Option<Follower>,
    /// The last whole poll, and when it was made.
    last_poll: Option<(Instant, Poll)>,
    last_change: Instant,
    standstill: Standstill,
    comparison: Comparison,
    lags: Lags,
    retries: Retries,
    /// The application's own queue as last read.
    last_queue: Option<Queue>,
    /// The ledger problem that was last logged.
    troubled: Option<String>,
}

impl Watcher {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let begun = Instant::now();
            let asked = self.again.asked.load(Relaxed);
            let first_read = self.follower.as_ref().is_none_or(|follower| !follower.since().1);
            let unfinished = tokio::select! {
                unfinished = self.poll_source(asked) => unfinished,
                () = stop.cancelled() => return,
            };
            let pause = match (unfinished, first_read) {
                (true, _) => BREATH,
                // The duration of the first read says nothing about that of a poll.
                (false, true) => self.pause(Duration::ZERO),
                // A failed wait for a connection costs the database nothing, and its recovery should be noticed.
                (false, false) if self.found_no_connection() => self.pause(Duration::ZERO),
                (false, false) => self.pause(begun.elapsed()),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.again.wake.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Returns whether the poll that just ended failed for lack of a connection. If a kept connection still serves
    /// polls while no new one can be made, their cost counts.
    fn found_no_connection(&self) -> bool {
        self.source.is_down() && matches!(self.publish.borrow().reach, Reach::Unreachable { .. })
    }

    fn pause(&self, cost: Duration) -> Duration {
        let refresh = self.source.app().refresh;
        let idle = self.readers.since() > IDLE_AFTER && self.last_change.elapsed() > IDLE_AFTER;
        let wanted = if idle { refresh.max((refresh * IDLE_FACTOR).min(IDLE_PAUSE)) } else { refresh };
        wanted.max(cost * 9)
    }

    /// Polls once; returns whether the first read is still under way.
    async fn poll_source(&mut self, asked: u64) -> bool {
        if self.last_poll.is_none() {
            // Pages wait for the first poll: it does not need the ledger. A source that is down is not polled twice.
            let polled = self.source.poll().await;
            let down = polled.is_err();
            self.last_poll = polled.as_ref().ok().map(|poll| (Instant::now(), poll.clone()));
            let was = self.publish.borrow().reach.clone();
            let mut facts = LedgerFacts::default();
            if !down {
                self.queue(&mut facts).await;
                // The ledger learns below which events were removed while the console was not running. Until then, a
                // feed from which events were removed earlier is not called overdue.
                let now = clock::now();
                facts.retried = self.left_last().await.into_keys().map(|uri| (uri, now)).collect();
            }
            self.show(polled, facts, asked);
            if down {
                let changed = was != self.publish.borrow().reach;
                self.tell(Change { app: self.key(), changed, appeared: 0, rows: Vec::new() });
                return false;
            }
        }
        let was = self.publish.borrow().clone();
        let followed = self.follow().await;
        let quiet = followed.as_ref().is_ok_and(PollChanges::is_quiet) && asked == was.asked;
        let mut facts = self.facts(&followed);
        // During the first read, a recent poll suffices.
        let unfinished = followed.as_ref().is_ok_and(|found| found.unfinished);
        let polled = self.poll(quiet, unfinished).await;
        if let Ok(poll) = &polled {
            self.queue(&mut facts).await;
            facts.compared = self.compare(poll).await;
            let markers = poll.markers.here().map(Vec::as_slice).unwrap_or_default();
            let failures = poll.failures.here().map(Vec::as_slice).unwrap_or_default();
            facts.outlooks = self.lags.measure(&self.source.app().info, &self.store, markers, failures).await;
            facts.retried = self.retries.note(poll, clock::now());
            for (uri, left) in self.left_last().await {
                let at = facts.retried.entry(uri).or_insert(left);
                *at = left.max(*at);
            }
            self.note_work(poll, &mut facts).await;
        }
        self.show(polled, facts, asked);
        let now = self.publish.borrow().clone();
        let found = followed.unwrap_or_default();
        let info = &self.source.app().info;
        let changed = !found.is_quiet()
            || was.reach != now.reach
            || was.as_told(info) != now.as_told(info)
            || was.followed != now.followed;
        if changed {
            self.last_change = Instant::now();
        }
        self.tell(Change { app: self.key(), changed, appeared: found.appeared, rows: found.rows });
        found.unfinished
    }

    fn key(&self) -> String {
        self.source.app().info.key.clone()
    }

    /// Sends a change. That no one listens is not an error.
    fn tell(&self, change: Change) {
        let _ = self.changes.send(change);
    }

    /// Brings the ledger to the table's present state.
    async fn follow(&mut self) -> Result<PollChanges, FollowError> {
        // If nothing changed, nothing is written, and a missing store file would go unnoticed.
        self.store.in_place()?;
        if self.follower.is_none() {
            let info = &self.source.app().info;
            self.follower = Some(Follower::open(&self.store, &info.key, &info.limits).await?);
        }
        match &mut self.follower {
            Some(follower) => follower.catch_up(&self.source).await,
            None => Ok(PollChanges::default()),
        }
    }

    /// Polls everything, or only the markers if the table is quiet.
    async fn poll(&mut self, quiet: bool, unfinished: bool) -> Result<Poll, SourceError> {
        let lasts = match (quiet, unfinished) {
            (true, _) => WHOLE_EVERY,
            (false, true) => self.source.app().refresh.min(WHOLE_EVERY),
            (false, false) => Duration::ZERO,
        };
        if let Some((at, last)) = &self.last_poll
            && at.elapsed() < lasts
        {
            let (markers, missing) = self.source.markers_and_missing().await?;
            // Of a table that was dropped, nothing changes: the last numbers are not the present ones.
            if same_feeds(&last.markers, &markers) && last.missing == missing {
                return Ok(Poll { markers, ..last.clone() });
            }
        }
        let poll = self.source.poll().await?;
        self.last_poll = Some((Instant::now(), poll.clone()));
        Ok(poll)
    }

    /// Returns what the ledger adds to the poll.
    fn facts(&mut self, followed: &Result<PollChanges, FollowError>) -> LedgerFacts {
        let mut facts = LedgerFacts::default();
        let name = &self.source.app().info.name;
        let trouble = match followed {
            // A source that does not answer is reported separately.
            Err(FollowError::Source(error)) => {
                Some(format!("Failed events could not be compared with the ledger: {}", error.reason))
            }
            Err(FollowError::Store(error)) => {
                // Readers must not learn the path of the file.
                let why = error.outage().map_or_else(|| error.to_string(), |outage| outage.reason().to_owned());
                Some(format!("The ledger cannot be written: {why}. Until this is fixed, the history has a gap."))
            }
            Ok(found) if found.beyond => {
                Some("Failed events with ids of more than 63 bits are listed, but not in the history.".to_owned())
            }
            Ok(_) => None,
        };
        if self.troubled != trouble {
            match &trouble {
                Some(trouble) => tracing::warn!(application = %name, "{trouble}"),
                None => tracing::info!(application = %name, "the ledger is in step again"),
            }
            self.troubled.clone_from(&trouble);
        }
        facts.out_of_step = trouble;
        facts
    }

    /// Returns what the publishers say of the markers, by feed.
    async fn compare(&mut self, poll: &Poll) -> Compared {
        let settings = &self.source.app().info.concerns;
        let Some(markers) = poll.markers.here().filter(|_| settings.compare_markers && poll.marker_gap.is_none())
        else {
            return Compared::default();
        };
        self.comparison.compare(markers, |uri| !settings.is_idle(Some(uri))).await
    }

    /// Returns when a failed event was last seen to be removed, by feed: the ledger outlives a restart.
    async fn left_last(&self) -> HashMap<String, DateTime<Utc>> {
        self.store.left_last(&self.key()).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "when failed events last left is not known");
            HashMap::new()
        })
    }

    /// Reads the events that wait in the application's own queue. If that fails, the last known ones remain.
    async fn queue(&mut self, facts: &mut LedgerFacts) {
        let info = &self.source.app().info;
        match self.source.queue().await {
            Ok(None) => self.last_queue = None,
            Ok(Some(Availability::Here(queue))) => {
                self.last_queue = Some(queue.seen_at(clock::now(), self.last_queue.as_ref()));
            }
            // An application that publishes nothing is not expected to have a queue.
            Ok(Some(Availability::NotHere(reason))) => {
                facts.queue_not_known = Some(reason).filter(|_| !info.publishes.is_empty());
            }
            Err(error) => {
                tracing::debug!(application = %info.name, reason = %error.reason, "its queue is not known");
                facts.queue_not_known = Some(error.reason);
            }
        }
        facts.queue = self.last_queue.clone();
    }

    /// Stores signs of consumers at work in the ledger, and finds stalled feeds.
    async fn note_work(&mut self, poll: &Poll, facts: &mut LedgerFacts) {
        self.standstill.publish(&self.source).await;
        let Some(follower) = &mut self.follower else { return };
        let markers = poll.markers.here().map(Vec::as_slice).unwrap_or_default();
        match follower.note_markers(markers).await {
            Ok(work) => {
                facts.stalled = self.standstill.stalled(&work, &facts.compared.unread, &self.source.app().info.limits);
                facts.reads = work.clone();
                facts.worked =
                    work.into_iter().filter_map(|(uri, work)| Some((uri, work.worked_at?))).collect::<HashMap<_, _>>();
            }
            Err(error) => tracing::debug!(%error, "signs of consumers at work could not be kept"),
        }
    }

    fn show(&mut self, polled: Result<Poll, SourceError>, facts: LedgerFacts, asked: u64) {
        report(&self.source, &self.publish, &polled);
        let info = &self.source.app().info;
        let followed = self.follower.as_ref().map(Follower::since);
        let in_step = self.troubled.is_none();
        self.publish.send_modify(|last| {
            last.take(polled, info, &facts, followed, asked);
            last.in_step = in_step;
        });
    }
}

/// Returns whether two polls saw the same feeds; only then do the other values of the last poll still apply.
fn same_feeds(before: &Availability<Vec<crate::model::Marker>>, now: &Availability<Vec<crate::model::Marker>>) -> bool {
    let feeds = |markers: &Availability<Vec<crate::model::Marker>>| {
        let told = |marker: &crate::model::Marker| (marker.feed_uri.clone(), marker.fault().is_none());
        markers.here().map(|markers| markers.iter().map(told).collect::<Vec<_>>())
    };
    feeds(before) == feeds(now)
}

/// Logs once when a source becomes reachable or unreachable.
fn report(source: &Source, publish: &watch::Sender<LastPoll>, polled: &Result<Poll, SourceError>) {
    let name = &source.app().info.name;
    let before = publish.borrow().reach.clone();
    match (polled, before) {
        (Ok(_), Reach::Reachable { .. }) => {}
        (Ok(poll), _) => tracing::info!(application = %name, server = %poll.server, "reachable"),
        (Err(error), Reach::Unreachable { reason, .. }) if reason == error.reason => {}
        (Err(error), _) => tracing::warn!(application = %name, reason = %error.reason, "unreachable"),
    }
}
