//! Looks at every source on its own clock, keeps what it saw in memory, so that ten people watching cost a source no more
//! than one, and keeps the ledger in step.
//!
//! One look at a source at a time, and never more than a tenth of the time: after a look that took two seconds the next
//! one begins eighteen seconds later at the earliest; where nobody looks and nothing changes, later still. A quiet look
//! asks for sums and markers only. A source that is down keeps what was seen last, with its age.
//!
//! The one exception is the first read of a table into the ledger: it goes through without those pauses, in short
//! transactions.

mod compare;
mod follow;
mod index;
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
    sources::{FeedFailures, Poll, Source, SourceError},
    store::Store,
};
use crate::model::{
    ApplicationInfo, ApplicationView, Availability, Marker, Reach, RowId, Seen, concerns, publisher::Queue,
};

use compare::{Compared, Comparison};
pub use follow::{FollowError, Follower, Found};
use retries::Retries;
use seen::{Beside, seen};
use stall::{Publications, Standstill};

/// The longest that a page waits for the first look at a source.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// How long a look of sums stands in for a whole one: what no sum tells (the day that began, rows without a time) is as
/// old as this at the most.
const WHOLE_EVERY: Duration = Duration::from_secs(300);

/// Nobody looks and nothing changes: so long, and looks are rarer by so much, but not rarer than the last.
const IDLE_AFTER: Duration = Duration::from_secs(300);
const IDLE_FACTOR: u32 = 4;
const IDLE_PAUSE: Duration = Duration::from_secs(120);

/// Between two parts of the first read.
const BREATH: Duration = Duration::from_millis(20);

/// Changes that a slow listener may be behind.
const CHANGES: usize = 256;

/// A look has ended, and everything it saw is in the snapshot and in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The application's key.
    pub app: String,
    /// Something that pages show is different from the look before.
    pub changed: bool,
    /// Failed events that came.
    pub appeared: u64,
    /// The rows in question, as far as they are few.
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
    seen: watch::Receiver<Look>,
    again: Arc<Again>,
}

/// Asks for a look out of turn. A look that began before one asked does not answer.
#[derive(Debug, Default)]
struct Again {
    asked: AtomicU64,
    wake: Notify,
}

/// Whether somebody reads what is seen.
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

/// The last look at one source, and the last good one.
#[derive(Clone, Debug)]
struct Look {
    reach: Reach,
    at: Option<DateTime<Utc>>,
    seen: Option<Arc<Seen>>,
    seen_at: Option<DateTime<Utc>>,
    /// Since when the ledger follows the source, and whether it has read all of it.
    followed: Option<(DateTime<Utc>, bool)>,
    /// The last look brought the ledger to what the table says.
    in_step: bool,
    /// How many had asked for a look when this one began.
    asked: u64,
    /// Markers and failures as the last good look read them.
    raw: Option<Arc<MarkersAndFailures>>,
}

/// Markers and failures as a database has them: a row per marker and per address in failed_events, nothing merged.
#[derive(Clone, Debug)]
pub struct MarkersAndFailures {
    pub markers: Availability<Vec<Marker>>,
    pub failures: Availability<Vec<FeedFailures>>,
}

impl From<Poll> for MarkersAndFailures {
    fn from(poll: Poll) -> Self {
        Self { markers: poll.markers, failures: poll.failures }
    }
}

impl Watch {
    /// Begins to look at the sources, until `stop`.
    pub fn start(sources: &[Arc<Source>], store: &Store, stop: &CancellationToken) -> Self {
        let (changes, _) = broadcast::channel(CHANGES);
        let readers = Arc::new(Readers { last: Mutex::new(Instant::now()) });
        let publications = Arc::new(Publications::default());
        let publishers = Arc::new(sources.iter().map(|source| source.app().info.clone()).collect::<Vec<_>>());
        let all = Arc::new(sources.to_vec());
        let sources = sources.iter().map(|source| {
            let nothing = Look {
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
                retries: Retries::default(),
                last_queue: None,
                troubled: None,
            };
            tokio::spawn(watcher.run(stop.clone()));
            tokio::spawn(index::run(source.clone(), store.clone(), seen.clone(), stop.clone()));
            Watched { source: source.clone(), seen, again }
        });
        Self { sources: sources.collect(), changes, readers }
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

    /// Every look from now on, as it ends. Who is too slow is told how many it missed, and reads anew.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Somebody reads a page of what is seen, or has one open that follows the changes.
    pub fn reads(&self) {
        self.readers.reads();
    }

    /// Whether the ledger holds what the last look at an application saw: read whole, and in step.
    pub fn in_step(&self, app: &str) -> bool {
        let watched = self.sources.iter().find(|watched| watched.source.app().info.key == app);
        watched.is_some_and(|watched| {
            let look = watched.seen.borrow();
            look.in_step && look.followed.is_some_and(|(_, whole)| whole)
        })
    }

    /// Markers and failures as the last look at an application read them. `None`: that was longer ago than `age`, or it
    /// could not.
    pub fn markers_and_failures(&self, app: &str, age: Duration) -> Option<Arc<MarkersAndFailures>> {
        let watched = self.sources.iter().find(|watched| watched.source.app().info.key == app)?;
        let look = watched.seen.borrow();
        let reached = matches!(look.reach, Reach::Reachable { .. });
        // A clock that was set back makes a look of the future: that one is of no known age.
        let young = (Utc::now() - look.seen_at?).to_std().is_ok_and(|passed| passed <= age);
        look.raw.clone().filter(|_| reached && young)
    }

    /// Since when the ledger follows an application, and whether the first read is through. `None`: not yet.
    pub fn followed(&self, app: &str) -> Option<(DateTime<Utc>, bool)> {
        let watched = self.sources.iter().find(|watched| watched.source.app().info.key == app)?;
        watched.seen.borrow().followed
    }
}

impl Watched {
    async fn view(&self) -> ApplicationView {
        if self.seen.borrow().at.is_none() {
            let mut seen = self.seen.clone();
            let _ = tokio::time::timeout(FIRST_LOOK, seen.wait_for(|look| look.at.is_some())).await;
        }
        let look = self.seen.borrow().clone();
        ApplicationView {
            info: self.source.app().info.clone(),
            reach: look.reach,
            looked_at: look.at,
            seen: look.seen,
            seen_at: look.seen_at,
            // They depend on who asks: a feed's name can be another application's.
            concerns: Vec::new(),
        }
    }
}

/// The task that looks at one source.
struct Watcher {
    source: Arc<Source>,
    store: Store,
    publish: watch::Sender<Look>,
    again: Arc<Again>,
    changes: broadcast::Sender<Change>,
    readers: Arc<Readers>,
    /// `None` until the store has opened the book.
    follower: Option<Follower>,
    /// The last whole poll, and when it was made.
    last_poll: Option<(Instant, Poll)>,
    last_change: Instant,
    standstill: Standstill,
    comparison: Comparison,
    retries: Retries,
    /// Its own queue, as it was last read.
    last_queue: Option<Queue>,
    /// What was last told in the log of the ledger's trouble.
    troubled: Option<String>,
}

impl Watcher {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let begun = Instant::now();
            let asked = self.again.asked.load(Relaxed);
            let first_read = self.follower.as_ref().is_none_or(|follower| !follower.since().1);
            let unfinished = tokio::select! {
                unfinished = self.look(asked) => unfinished,
                () = stop.cancelled() => return,
            };
            let pause = match (unfinished, first_read) {
                (true, _) => BREATH,
                // What the first read took says nothing of what a look takes.
                (false, true) => self.pause(Duration::ZERO),
                // Waiting for a connection in vain costs the database nothing, and it is to be seen when it is back.
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

    /// Whether the look that has just ended saw nothing because there was no connection to be had. Looks can go well on a
    /// connection that was kept while no other can be made: then what they cost counts.
    fn found_no_connection(&self) -> bool {
        self.source.is_down() && matches!(self.publish.borrow().reach, Reach::Unreachable { .. })
    }

    fn pause(&self, cost: Duration) -> Duration {
        let refresh = self.source.app().refresh;
        let idle = self.readers.since() > IDLE_AFTER && self.last_change.elapsed() > IDLE_AFTER;
        let wanted = if idle { refresh.max((refresh * IDLE_FACTOR).min(IDLE_PAUSE)) } else { refresh };
        wanted.max(cost * 9)
    }

    /// One look; answers whether the first read is still under way.
    async fn look(&mut self, asked: u64) -> bool {
        if self.last_poll.is_none() {
            // Pages wait for the first look: it does not wait for the ledger. A source that is down is not asked twice.
            let polled = self.source.poll().await;
            let down = polled.is_err();
            self.last_poll = polled.as_ref().ok().map(|poll| (Instant::now(), poll.clone()));
            let was = self.publish.borrow().reach.clone();
            let mut beside = Beside::default();
            if !down {
                self.queue(&mut beside).await;
                // What left while no console was there the ledger learns below: until then a feed whose events left before is
                // not called overdue.
                let now = Utc::now();
                beside.retried = self.left_last().await.into_keys().map(|uri| (uri, now)).collect();
            }
            self.show(polled, beside, asked);
            if down {
                let changed = was != self.publish.borrow().reach;
                self.tell(Change { app: self.key(), changed, appeared: 0, rows: Vec::new() });
                return false;
            }
        }
        let was = self.publish.borrow().clone();
        let followed = self.follow().await;
        let quiet = followed.as_ref().is_ok_and(Found::is_quiet) && asked == was.asked;
        let mut beside = self.beside(&followed);
        // While the first read goes on, what was polled a moment ago will do.
        let unfinished = followed.as_ref().is_ok_and(|found| found.unfinished);
        let polled = self.poll(quiet, unfinished).await;
        if let Ok(poll) = &polled {
            self.queue(&mut beside).await;
            beside.compared = self.compare(poll).await;
            beside.retried = self.retries.note(poll, Utc::now());
            for (uri, left) in self.left_last().await {
                let at = beside.retried.entry(uri).or_insert(left);
                *at = left.max(*at);
            }
            self.note_work(poll, &mut beside).await;
        }
        self.show(polled, beside, asked);
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

    /// Nobody listening is no error.
    fn tell(&self, change: Change) {
        let _ = self.changes.send(change);
    }

    /// Brings the ledger to what the table says.
    async fn follow(&mut self) -> Result<Found, FollowError> {
        // Where nothing changed nothing is written, and nobody would learn that the store's file is gone.
        self.store.in_place()?;
        if self.follower.is_none() {
            let info = &self.source.app().info;
            self.follower = Some(Follower::open(&self.store, &info.key, &info.limits).await?);
        }
        match &mut self.follower {
            Some(follower) => follower.look(&self.source).await,
            None => Ok(Found::default()),
        }
    }

    /// The whole poll, or of a quiet table the markers alone.
    async fn poll(&mut self, quiet: bool, unfinished: bool) -> Result<Poll, SourceError> {
        let lasts = match (quiet, unfinished) {
            (true, _) => WHOLE_EVERY,
            (false, true) => self.source.app().refresh.min(WHOLE_EVERY),
            (false, false) => Duration::ZERO,
        };
        if let Some((at, last)) = &self.last_poll
            && at.elapsed() < lasts
        {
            let markers = self.source.markers().await?;
            if same_feeds(&last.markers, &markers) {
                return Ok(Poll { markers, ..last.clone() });
            }
        }
        let poll = self.source.poll().await?;
        self.last_poll = Some((Instant::now(), poll.clone()));
        Ok(poll)
    }

    /// What the ledger has to say beside the poll.
    fn beside(&mut self, followed: &Result<Found, FollowError>) -> Beside {
        let mut beside = Beside::default();
        let name = &self.source.app().info.name;
        let trouble = match followed {
            // A source that does not answer says so itself.
            Err(FollowError::Source(error)) => {
                Some(format!("Failed events could not be compared with the ledger: {}", error.reason))
            }
            Err(FollowError::Store(error)) => {
                // Where the file lies is nothing for every reader.
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
        beside.out_of_step = trouble;
        beside
    }

    /// What the publishers say of the markers, by feed.
    async fn compare(&mut self, poll: &Poll) -> Compared {
        let settings = &self.source.app().info.concerns;
        let Some(markers) = poll.markers.here().filter(|_| settings.compare_markers && poll.marker_gap.is_none())
        else {
            return Compared::default();
        };
        self.comparison.compare(markers, |uri| !settings.is_idle(Some(uri))).await
    }

    /// When a failed event was last seen to leave, by feed: the ledger outlives a restart.
    async fn left_last(&self) -> HashMap<String, DateTime<Utc>> {
        self.store.left_last(&self.key()).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "when failed events last left is not known");
            HashMap::new()
        })
    }

    /// The events that wait in the application's own queue. Where that is not known now, those that were last seen stay.
    async fn queue(&mut self, beside: &mut Beside) {
        let info = &self.source.app().info;
        match self.source.queue().await {
            Ok(None) => self.last_queue = None,
            Ok(Some(Availability::Here(queue))) => {
                self.last_queue = Some(queue.seen_at(Utc::now(), self.last_queue.as_ref()));
            }
            // Of an application that publishes nothing nobody expects a queue.
            Ok(Some(Availability::NotHere(reason))) => {
                beside.queue_not_known = Some(reason).filter(|_| !info.publishes.is_empty());
            }
            Err(error) => {
                tracing::debug!(application = %info.name, reason = %error.reason, "its queue is not known");
                beside.queue_not_known = Some(error.reason);
            }
        }
        beside.queue = self.last_queue.clone();
    }

    /// Signs of consumers at work, kept in the ledger, and feeds that stand still.
    async fn note_work(&mut self, poll: &Poll, beside: &mut Beside) {
        self.standstill.publish(&self.source).await;
        let Some(follower) = &mut self.follower else { return };
        let markers = poll.markers.here().map(Vec::as_slice).unwrap_or_default();
        match follower.note_markers(markers).await {
            Ok(work) => {
                beside.stalled =
                    self.standstill.stalled(&work, &beside.compared.unread, &self.source.app().info.limits);
                beside.reads = work.clone();
                beside.worked =
                    work.into_iter().filter_map(|(uri, work)| Some((uri, work.worked_at?))).collect::<HashMap<_, _>>();
            }
            Err(error) => tracing::debug!(%error, "signs of consumers at work could not be kept"),
        }
    }

    fn show(&mut self, polled: Result<Poll, SourceError>, beside: Beside, asked: u64) {
        report(&self.source, &self.publish, &polled);
        let info = &self.source.app().info;
        let followed = self.follower.as_ref().map(Follower::since);
        let in_step = self.troubled.is_none();
        self.publish.send_modify(|look| {
            look.take(polled, info, &beside, followed, asked);
            look.in_step = in_step;
        });
    }
}

/// Whether two looks at the markers saw the same feeds; only then is what else was told of them still true.
fn same_feeds(before: &Availability<Vec<crate::model::Marker>>, now: &Availability<Vec<crate::model::Marker>>) -> bool {
    let feeds = |markers: &Availability<Vec<crate::model::Marker>>| {
        let told = |marker: &crate::model::Marker| (marker.feed_uri.clone(), marker.fault().is_none());
        markers.here().map(|markers| markers.iter().map(told).collect::<Vec<_>>())
    };
    feeds(before) == feeds(now)
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
    /// What it saw but for a queue that passes as it should: that is another one at every look and no news.
    fn as_told(&self, info: &ApplicationInfo) -> Option<Seen> {
        let seen = self.seen.as_deref()?;
        let stands =
            |queue: &Queue| self.seen_at.is_some_and(|at| concerns::standing(queue, &info.concerns, at).is_some());
        Some(Seen { queue: seen.queue.clone().filter(stands), ..seen.clone() })
    }

    fn take(
        &mut self,
        polled: Result<Poll, SourceError>,
        info: &ApplicationInfo,
        beside: &Beside,
        followed: Option<(DateTime<Utc>, bool)>,
        asked: u64,
    ) {
        let now = Utc::now();
        self.asked = asked;
        self.at = Some(now);
        self.followed = followed;
        match polled {
            Ok(poll) => {
                self.reach = Reach::Reachable { server: poll.server.clone() };
                self.raw = Some(Arc::new(MarkersAndFailures {
                    markers: poll.markers.clone(),
                    failures: poll.failures.clone(),
                }));
                self.seen = Some(Arc::new(seen(poll, info, beside)));
                self.seen_at = Some(now);
            }
            Err(error) => {
                let answers = error.kind.is_an_answer();
                self.reach = Reach::Unreachable { reason: error.reason, advice: error.advice, answers };
            }
        }
    }
}
