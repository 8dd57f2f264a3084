//! The consuming side: passes the events of a feed to a worker, in order, each once, and retries the failed ones.
//!
//! Rules and tables are those of the Java library that Bahmni uses, so both can take turns on one database. The
//! statements are in `store.rs`.

use std::{fmt, panic::AssertUnwindSafe};

use futures::FutureExt;

use crate::clock;

use super::{
    client::{Client, ClientError},
    database::{Database, DatabaseError, Session, Transaction},
    event::Event,
    fit::is_short_form,
    page::Page,
    store::{Alphabet, FailedEvent, Marker, Store, is_unfit},
    walk::{Walk, WalkError},
    worker::{Failure, Worker},
};

/// Limits on failed events and retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The feed stops when it has this many failed events.
    pub max_failed_events: u64,
    /// A failed event is exhausted after this many retries.
    pub max_retry: u32,
    /// Most failed events of one retry run.
    pub retry_batch: u32,
}

impl Default for Limits {
    /// The defaults of the Java library: 5, 5 and 5.
    fn default() -> Self {
        Self { max_failed_events: 5, max_retry: 5, retry_batch: 5 }
    }
}

/// Where a consumer begins on a feed for which it has no marker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstRun {
    /// With the oldest event: everything the feed ever had is handled. The Java library always begins so.
    #[default]
    OldestPage,
    /// With the page that is now the newest: for a system that was filled in another way and needs no earlier events.
    RecentPage,
}

/// Result of a run over a feed.
#[derive(Debug)]
pub struct FeedRun {
    /// Events that the worker handled.
    pub processed: u64,
    /// Events that failed and were recorded.
    pub failed: u64,
    /// How the run ended.
    pub end: FeedEnd,
}

/// How a run over a feed ended.
#[derive(Debug)]
pub enum FeedEnd {
    /// It reached the newest event.
    CaughtUp,
    /// Too many failed events: nothing is read until there are fewer.
    Stopped {
        /// The feed.
        feed: String,
        /// Number of its failed events, including exhausted ones.
        failed_events: u64,
    },
    /// It could not continue; the marker is at the last event handled.
    Stalled(Stall),
}

impl fmt::Display for FeedEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaughtUp => f.write_str("Caught up with the feed."),
            Self::Stopped { feed, .. } => {
                write!(f, "Too many failed events for URI:{feed} have failed while processing. Cannot continue.")
            }
            Self::Stalled(stall) => stall.fmt(f),
        }
    }
}

/// Result of a retry run.
#[derive(Debug)]
pub struct RetryRun {
    /// Failed events that succeeded and were deleted.
    pub resolved: u64,
    /// Failed events that failed again.
    pub failed: u64,
    /// How the run ended.
    pub end: RetryEnd,
}

/// How a retry run ended.
#[derive(Debug)]
pub enum RetryEnd {
    /// The batch is finished.
    Done,
    /// It could not continue.
    Stalled(Stall),
}

impl fmt::Display for RetryEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("The batch is through."),
            Self::Stalled(stall) => stall.fmt(f),
        }
    }
}

/// Why a feed does not advance. None of these causes appears in `failed_events`.
#[derive(Debug, thiserror::Error)]
pub enum Stall {
    /// The page that the marker names does not contain the marker's entry.
    #[error(
        "Last Read entry not found in feed. The marker of {feed} names the entry {entry} on the page {page}, which does not hold it. Write an entry and the page that holds it into the marker."
    )]
    EntryNotFound {
        /// The feed.
        feed: String,
        /// The entry.
        entry: String,
        /// The page.
        page: String,
    },
    /// The marker names no page.
    #[error("The marker of {0} names no page. Write the page that holds its entry, or delete the marker.")]
    MarkerWithoutPage(String),
    /// The marker's page is not an absolute address.
    #[error(
        "The marker of {feed} names the page {page:?}, which is no whole http or https address. Write the page that holds its entry, or delete the marker."
    )]
    MarkerAddress {
        /// The feed.
        feed: String,
        /// The marker's page.
        page: String,
    },
    /// The marker's page is missing, and the feed itself can be read.
    #[error(
        "Page gone, the marker needs repair: {page}, which the marker of {feed} names, cannot be read ({error}), and the feed itself can. Write an entry and the page that holds it into the marker, or delete the marker to start again."
    )]
    PageGone {
        /// The feed.
        feed: String,
        /// The page.
        page: String,
        /// The publisher's answer.
        error: ClientError,
    },
    /// The marker was changed during this run.
    #[error("The marker of {0} was changed during this run; the next run continues from the new position.")]
    MarkerMoved(String),
    /// A page could not be read.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// A database operation failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// An event failed and could not be recorded as failed, so the feed waits at it.
    #[error("Event {event} failed ({failure}) and could not be recorded: {error}")]
    NotRecorded {
        /// The event.
        event: String,
        /// The worker's error.
        failure: String,
        /// The database's error.
        error: DatabaseError,
    },
    /// A failed event without a time, which makes the Java library unable to read the whole batch.
    #[error(
        "Failed while mapping failedEvents from database: row {0} of failed_events has no failed_at, so no failed event of this feed is retried."
    )]
    NoFailedAt(String),
    /// A retry failed and the table for the retry log is missing, so the retry is not counted.
    #[error(
        "The retry of {event} failed ({failure}), but the table failed_event_retry_log is not there, so it was not counted and will be tried for ever."
    )]
    NoRetryLog {
        /// The event.
        event: String,
        /// The worker's error.
        failure: String,
    },
}

/// Reads one feed into one database with one worker.
#[derive(Debug)]
pub struct Consumer<W> {
    store: Store,
    client: Client,
    feed: String,
    limits: Limits,
    first_run: FirstRun,
    worker: W,
}

impl<W: Worker> Consumer<W> {
    /// Creates a consumer of the feed at this address (`http://openmrs:8080/openmrs/ws/atomfeed/patient/recent`). The
    /// address is also the feed's name in the tables.
    ///
    /// # Errors
    /// Fails if the address is not absolute, or not at the client's publisher.
    pub fn new(
        database: Database,
        client: Client,
        feed: impl Into<String>,
        limits: Limits,
        worker: W,
    ) -> Result<Self, ClientError> {
        let feed = feed.into();
        if !is_whole(&feed) {
            return Err(ClientError::Address(feed));
        }
        client.resolve(&feed)?;
        Ok(Self { store: Store::new(database), client, feed, limits, first_run: FirstRun::default(), worker })
    }

    /// Sets where the consumer begins if it has no marker yet.
    #[must_use]
    pub fn beginning(mut self, first_run: FirstRun) -> Self {
        self.first_run = first_run;
        self
    }

    /// The feed's address.
    pub fn feed(&self) -> &str {
        &self.feed
    }

    /// Handles the new events of the feed up to its end. Ends early if the feed is stopped or stalled. Run a feed only
    /// once at a time; a second concurrent run ends with [`Stall::MarkerMoved`] and does no harm.
    pub async fn process_events(&self) -> FeedRun {
        let mut run = FeedRun { processed: 0, failed: 0, end: FeedEnd::CaughtUp };
        run.end = self.follow(&mut run).await.unwrap_or_else(FeedEnd::Stalled);
        run
    }

    async fn follow(&self, run: &mut FeedRun) -> Result<FeedEnd, Stall> {
        let mut session = self.store.database().session();
        let mut walk = Walk::new(&self.client);
        let mut marker = self.store.marker(&mut session, &self.feed).await?;
        session.give_way();
        let mut page = self.first_page(&mut walk, marker.as_ref()).await?;
        loop {
            for event in std::mem::take(&mut page.events) {
                let failed_events = self.store.count_failed(&mut session, &self.feed).await?;
                if failed_events >= self.limits.max_failed_events {
                    return Ok(FeedEnd::Stopped { feed: self.feed.clone(), failed_events });
                }
                let (next, change) = self.store.marker_behind(&mut session, &event, &page.via).await?;
                if let Some(change) = change {
                    let (feed, event) = (&self.feed, &event.id);
                    tracing::warn!(feed, event, "the id does not fit the marker, which holds it {change}");
                }
                if self.handle(&mut session, &event, marker.as_ref(), &next).await? {
                    run.processed += 1;
                } else {
                    run.failed += 1;
                }
                marker = Some(next);
            }
            match page.next.take() {
                Some(next) => {
                    session.give_way();
                    page = walk.page(&next).await?;
                }
                None => return Ok(FeedEnd::CaughtUp),
            }
        }
    }

    /// Returns the page to begin with, holding only events not read yet.
    async fn first_page(&self, walk: &mut Walk<'_>, marker: Option<&Marker>) -> Result<Page, Stall> {
        let feed = &self.feed;
        let Some(marker) = marker else {
            let page = match self.first_run {
                FirstRun::OldestPage => walk.oldest(feed).await?,
                FirstRun::RecentPage => walk.page(feed).await?,
            };
            // No log for a feed without events: each of its runs has no marker.
            if !page.events.is_empty() {
                tracing::info!(feed, page = page.via, "the feed has no marker: it is read from this page on");
            }
            return Ok(page);
        };
        let address = marker.page.as_ref().filter(|page| !page.trim().is_empty());
        let Some(address) = address else { return Err(Stall::MarkerWithoutPage(feed.clone())) };
        if !is_whole(address) {
            return Err(Stall::MarkerAddress { feed: feed.clone(), page: address.clone() });
        }
        let mut page = match walk.page(address).await {
            Err(WalkError::Client(error)) if is_of_no_page(&error) => {
                // If the feed cannot be read either, the publisher is unavailable rather than the page missing.
                let gone = walk.page(feed).await.is_ok();
                let (feed, page) = (feed.clone(), address.clone());
                return Err(if gone { Stall::PageGone { feed, page, error } } else { WalkError::Client(error).into() });
            }
            page => page?,
        };
        if let Some(entry) = &marker.entry {
            let place_of = |is: &dyn Fn(&Event) -> bool| page.events.iter().position(is);
            // If the marker does not hold the id unchanged, it may hold the short form that fits its column.
            let place = place_of(&|event| event.id == *entry);
            let Some(place) = place.or_else(|| place_of(&|event| is_short_form(entry, &event.id))) else {
                let (feed, entry, page) = (feed.clone(), entry.clone(), address.clone());
                return Err(Stall::EntryNotFound { feed, entry, page });
            };
            page.events.drain(..=place);
        }
        Ok(page)
    }

    /// Handles one event: the worker's writes and the marker in one transaction or, if the worker fails, the failed
    /// event and the marker. Returns whether the worker succeeded.
    async fn handle(
        &self,
        session: &mut Session,
        event: &Event,
        held: Option<&Marker>,
        next: &Marker,
    ) -> Result<bool, Stall> {
        session.give_way();
        let mut transaction = session.begin();
        let failure = match self.work(event, &mut transaction).await {
            Err(failure) => {
                transaction.rollback().await?;
                failure
            }
            Ok(()) => match self.keep(transaction, held, next).await? {
                None => return Ok(true),
                Some(failure) => failure,
            },
        };
        self.record(session, event, failure, held, next).await?;
        Ok(false)
    }

    /// Commits the worker's writes together with the marker after the event. Returns why the event failed if the
    /// database refuses them for a reason caused by the worker.
    async fn keep(
        &self,
        mut transaction: Transaction<'_>,
        held: Option<&Marker>,
        next: &Marker,
    ) -> Result<Option<Failure>, Stall> {
        match self.store.put_marker(&mut transaction, &self.feed, held, next).await {
            Ok(true) => {}
            Ok(false) => {
                transaction.rollback().await?;
                return Err(Stall::MarkerMoved(self.feed.clone()));
            }
            // A worker that continued after an error has aborted the PostgreSQL transaction.
            Err(error) if is_aborted(&error) => {
                transaction.rollback().await?;
                return Ok(Some(error.into()));
            }
            Err(error) => return Err(error.into()),
        }
        match transaction.commit().await {
            Ok(()) => Ok(None),
            // The worker's writes violate a constraint that is checked at commit.
            Err(error) if is_violation(&error) => Ok(Some(error.into())),
            // The connection is lost, and it is unknown whether the commit succeeded. The next run reads it from the
            // marker.
            Err(error) => Err(error.into()),
        }
    }

    /// Records that an event failed, and moves the marker past it.
    async fn record(
        &self,
        session: &mut Session,
        event: &Event,
        failure: Failure,
        held: Option<&Marker>,
        next: &Marker,
    ) -> Result<(), Stall> {
        tracing::debug!(feed = self.feed, event = event.id, %failure, "an event failed");
        let page = next.page.as_deref().unwrap_or_default();
        let text = format!("Failed processing event in feed [{page}] \n{}", failure.text());
        let not_recorded =
            |error| Stall::NotRecorded { event: event.id.clone(), failure: failure.message.clone(), error };
        let mut alphabet = Alphabet::OfColumns;
        let changes = loop {
            let mut transaction = session.begin();
            match self.store.put_failed(&mut transaction, &self.feed, event, &text, clock::now(), &alphabet).await {
                // The columns differ from what the database reported: read again, and written in ASCII, which every
                // column can hold.
                Err(error) if is_unfit(&error) && alphabet == Alphabet::OfColumns => {
                    transaction.rollback().await?;
                    self.store.database().forget_shape();
                    alphabet = Alphabet::Ascii;
                }
                Err(error) => return Err(not_recorded(error)),
                Ok(changes) => {
                    if !self.store.put_marker(&mut transaction, &self.feed, held, next).await? {
                        return Err(Stall::MarkerMoved(self.feed.clone()));
                    }
                    transaction.commit().await?;
                    break changes;
                }
            }
        };
        self.say_changes(event, &changes);
        Ok(())
    }

    /// Logs which parts of a failed event are not kept whole.
    fn say_changes(&self, event: &Event, changes: &[String]) {
        if !changes.is_empty() {
            let (feed, event, changes) = (&self.feed, &event.id, changes.join("; "));
            tracing::warn!(
                feed,
                event,
                changes,
                "a failed event is not kept whole: its texts do not fit their columns"
            );
        }
    }

    /// Retries the oldest failed events of the feed that are not exhausted, at most one batch.
    pub async fn process_failed_events(&self) -> RetryRun {
        let mut run = RetryRun { resolved: 0, failed: 0, end: RetryEnd::Done };
        if let Err(stall) = self.retry_batch(&mut run).await {
            run.end = RetryEnd::Stalled(stall);
        }
        run
    }

    async fn retry_batch(&self, run: &mut RetryRun) -> Result<(), Stall> {
        let mut session = self.store.database().session();
        let batch =
            self.store.oldest_failed(&mut session, &self.feed, self.limits.max_retry, self.limits.retry_batch).await?;
        if let Some(row) = batch.iter().find(|row| row.failed_at.is_none()) {
            return Err(Stall::NoFailedAt(row.id.clone()));
        }
        for row in batch {
            match self.retry(&mut session, &row).await? {
                Tried::Resolved => run.resolved += 1,
                Tried::Failed => run.failed += 1,
                Tried::Gone => {}
            }
        }
        Ok(())
    }

    /// Retries one failed event: the worker's writes and the deletion in one transaction or, if the worker fails, the
    /// count and the log.
    async fn retry(&self, session: &mut Session, row: &FailedEvent) -> Result<Tried, Stall> {
        if !self.store.is_there(session, row).await? {
            return Ok(Tried::Gone);
        }
        let has_log = self.store.has_retry_log(session).await?;
        session.give_way();
        let mut transaction = session.begin();
        let failure = match self.work(&row.event, &mut transaction).await {
            Err(failure) => {
                transaction.rollback().await?;
                failure
            }
            Ok(()) => match self.resolve(transaction, row, has_log).await? {
                Ok(tried) => return Ok(tried),
                Err(failure) => failure,
            },
        };
        if !self.store.is_there(session, row).await? {
            return Ok(Tried::Gone);
        }
        tracing::debug!(feed = self.feed, event = row.event.id, %failure, "a failed event failed again");
        if !has_log {
            return Err(Stall::NoRetryLog { event: row.event.id.clone(), failure: failure.message });
        }
        let mut alphabet = Alphabet::OfColumns;
        let changes = loop {
            let mut transaction = session.begin();
            let text = failure.text();
            match self.store.count_retry(&mut transaction, &self.feed, row, &text, clock::now(), &alphabet).await {
                Err(error) if is_unfit(&error) && alphabet == Alphabet::OfColumns => {
                    transaction.rollback().await?;
                    self.store.database().forget_shape();
                    alphabet = Alphabet::Ascii;
                }
                Err(error) => {
                    let (event, failure) = (row.event.id.clone(), failure.message);
                    return Err(Stall::NotRecorded { event, failure, error });
                }
                Ok(changes) => {
                    transaction.commit().await?;
                    break changes;
                }
            }
        };
        self.say_changes(&row.event, &changes);
        Ok(Tried::Failed)
    }

    /// Commits the worker's writes together with the deletion of the failed event. Returns why the event failed again
    /// if the database refuses them for a reason caused by the worker.
    async fn resolve(
        &self,
        mut transaction: Transaction<'_>,
        row: &FailedEvent,
        has_log: bool,
    ) -> Result<Result<Tried, Failure>, Stall> {
        let removed = self.store.remove_failed(&mut transaction, &self.feed, &row.event.id, has_log).await;
        let kept = match removed {
            // Another run has resolved it meanwhile, so this worker's writes would be repeated.
            Ok(0) => {
                transaction.rollback().await?;
                return Ok(Ok(Tried::Gone));
            }
            Ok(_) => transaction.commit().await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(()) => Ok(Ok(Tried::Resolved)),
            Err(error) if is_aborted(&error) || is_violation(&error) => Ok(Err(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs the worker. A panic counts as an ordinary failure, so that one bad event does not block the feed.
    async fn work(&self, event: &Event, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        let work = AssertUnwindSafe(self.worker.process(event, transaction)).catch_unwind();
        work.await.unwrap_or_else(|panic| {
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(Failure::new(format!("The worker panicked: {said}")))
        })
    }
}

/// Outcome of retrying a failed event.
enum Tried {
    /// The worker succeeded, and the failed event is deleted.
    Resolved,
    /// The worker failed, and the retry is counted.
    Failed,
    /// It was resolved with another row of the same event, resolved by another run, or deleted: nothing was written.
    Gone,
}

/// Returns whether an address is absolute.
fn is_whole(address: &str) -> bool {
    url::Url::parse(address).is_ok()
}

/// Returns whether a publisher may answer like this for a page that does not exist. The Java library answers 500.
fn is_of_no_page(error: &ClientError) -> bool {
    matches!(error, ClientError::NotFound(_) | ClientError::Status(410 | 500))
}

/// Returns whether PostgreSQL aborted the transaction because an earlier statement of the worker failed.
fn is_aborted(error: &DatabaseError) -> bool {
    matches!(error, DatabaseError::Sql(sqlx::Error::Database(error)) if error.code().as_deref() == Some("25P02"))
}

/// Returns whether a constraint of the tables is violated.
fn is_violation(error: &DatabaseError) -> bool {
    use sqlx::error::ErrorKind;
    matches!(error, DatabaseError::Sql(sqlx::Error::Database(error)) if !matches!(error.kind(), ErrorKind::Other))
}
