//! The consuming side: events of a feed to a worker, in order, each once; and the failed ones again.
//!
//! The rules are those of the library that Bahmni uses, and so are the tables: the two can take turns on one database.
//! The statements are in `store.rs`.

use std::{fmt, panic::AssertUnwindSafe};

use chrono::Utc;
use futures::FutureExt;

use super::{
    client::{Client, ClientError},
    database::{Database, DatabaseError, Transaction},
    event::Event,
    page::Page,
    store::{FailedEvent, Marker, Store},
    walk::{Walk, WalkError},
    worker::{Failure, Worker},
};

/// How much may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// With so many failed events the feed is stopped.
    pub max_failed_events: u64,
    /// After so many retries a failed event is exhausted.
    pub max_retry: u32,
    /// The most failed events of one retry run.
    pub retry_batch: u32,
}

impl Default for Limits {
    /// What the original has where nothing else is set: 5, 5 and 5.
    fn default() -> Self {
        Self { max_failed_events: 5, max_retry: 5, retry_batch: 5 }
    }
}

/// What a run over a feed did.
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
    /// At the newest event.
    CaughtUp,
    /// Too many failed events: nothing is read until there are fewer.
    Stopped {
        /// The feed.
        feed: String,
        /// Its failed events, exhausted ones too.
        failed_events: u64,
    },
    /// It could not go on; the marker stands where the last event was handled.
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

/// What a retry run did.
#[derive(Debug)]
pub struct RetryRun {
    /// Failed events that succeeded and are gone.
    pub resolved: u64,
    /// Failed events that failed again.
    pub failed: u64,
    /// How the run ended.
    pub end: RetryEnd,
}

/// How a retry run ended.
#[derive(Debug)]
pub enum RetryEnd {
    /// The batch is through.
    Done,
    /// It could not go on.
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

/// Why a feed stands still. None of it is ever seen in `failed_events`.
#[derive(Debug, thiserror::Error)]
pub enum Stall {
    /// The page that the marker names has not the entry that it names.
    #[error("Last Read entry not found in feed.")]
    EntryNotFound {
        /// The entry.
        entry: String,
        /// The page.
        page: String,
    },
    /// The marker names no page.
    #[error(
        "The marker of {0} names no page to go on from. Write the page that holds its entry, or delete the marker."
    )]
    MarkerWithoutPage(String),
    /// The marker is not where this run left it.
    #[error(
        "The marker of {0} was moved by somebody else while this run was on its way; the next run goes on from there."
    )]
    MarkerMoved(String),
    /// A page could not be read.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The database did not do its part.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// An event failed and could not be recorded as failed, so the feed waits at it.
    #[error("Event {event} failed ({failure}) and could not be recorded: {error}")]
    NotRecorded {
        /// The event.
        event: String,
        /// What the worker said.
        failure: String,
        /// What the database said.
        error: DatabaseError,
    },
    /// A failed event without a time makes the original unable to read the whole batch.
    #[error(
        "Failed while mapping failedEvents from database: row {0} of failed_events has no failed_at, so no failed event of this feed is retried."
    )]
    NoFailedAt(String),
    /// A retry failed, and there is no table for its log: it is not counted.
    #[error(
        "The retry of {event} failed ({failure}), but the table failed_event_retry_log is not there, so it was not counted and will be tried for ever."
    )]
    NoRetryLog {
        /// The event.
        event: String,
        /// What the worker said.
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
    worker: W,
}

impl<W: Worker> Consumer<W> {
    /// A consumer of the feed at this address (`http://openmrs:8080/openmrs/ws/atomfeed/patient/recent`), which is also
    /// its name in the tables.
    ///
    /// # Errors
    /// The address is not of the client's publisher.
    pub fn new(
        database: Database,
        client: Client,
        feed: impl Into<String>,
        limits: Limits,
        worker: W,
    ) -> Result<Self, ClientError> {
        let feed = feed.into();
        client.resolve(&feed)?;
        Ok(Self { store: Store::new(database), client, feed, limits, worker })
    }

    /// The feed's address.
    pub fn feed(&self) -> &str {
        &self.feed
    }

    /// Handles what is new on the feed, up to its end. Ends early where the feed is stopped or stalled. Only one run of
    /// a feed at a time makes sense; a second one ends with [`Stall::MarkerMoved`] and does no harm.
    pub async fn process_events(&self) -> FeedRun {
        let mut run = FeedRun { processed: 0, failed: 0, end: FeedEnd::CaughtUp };
        run.end = self.follow(&mut run).await.unwrap_or_else(FeedEnd::Stalled);
        run
    }

    async fn follow(&self, run: &mut FeedRun) -> Result<FeedEnd, Stall> {
        let mut walk = Walk::new(&self.client);
        let mut marker = self.store.marker(&self.feed).await?;
        let mut page = self.first_page(&mut walk, marker.as_ref()).await?;
        loop {
            for event in std::mem::take(&mut page.events) {
                let failed_events = self.store.count_failed(&self.feed).await?;
                if failed_events >= self.limits.max_failed_events {
                    return Ok(FeedEnd::Stopped { feed: self.feed.clone(), failed_events });
                }
                let next = Marker { entry: Some(event.id.clone()), page: Some(page.via.clone()) };
                if self.handle(&event, marker.as_ref(), &next).await? {
                    run.processed += 1;
                } else {
                    run.failed += 1;
                }
                marker = Some(next);
            }
            match page.next.take() {
                Some(next) => page = walk.page(&next).await?,
                None => return Ok(FeedEnd::CaughtUp),
            }
        }
    }

    /// The page to begin with, holding only what was not read yet.
    async fn first_page(&self, walk: &mut Walk<'_>, marker: Option<&Marker>) -> Result<Page, Stall> {
        let Some(marker) = marker else { return Ok(walk.oldest(&self.feed).await?) };
        let Some(address) = &marker.page else { return Err(Stall::MarkerWithoutPage(self.feed.clone())) };
        let mut page = walk.page(address).await?;
        if let Some(entry) = &marker.entry {
            let Some(place) = page.events.iter().position(|event| event.id == *entry) else {
                return Err(Stall::EntryNotFound { entry: entry.clone(), page: address.clone() });
            };
            page.events.drain(..=place);
        }
        Ok(page)
    }

    /// Handles one event: the worker's writes and the marker in one transaction; or, if the worker fails, the failed
    /// event and the marker. Answers whether the worker succeeded.
    async fn handle(&self, event: &Event, held: Option<&Marker>, next: &Marker) -> Result<bool, Stall> {
        let mut transaction = self.store.database().begin();
        let failure = match self.work(event, &mut transaction).await {
            Err(failure) => failure,
            Ok(()) => match self.keep(transaction, held, next).await {
                Ok(()) => return Ok(true),
                Err(Kept::Not(stall)) => return Err(stall),
                Err(Kept::Refused(failure, transaction)) => {
                    return self.record(transaction, event, failure, held, next).await;
                }
            },
        };
        self.record(Some(transaction), event, failure, held, next).await
    }

    async fn keep(&self, mut transaction: Transaction, held: Option<&Marker>, next: &Marker) -> Result<(), Kept> {
        match self.store.put_marker(&mut transaction, &self.feed, held, next).await {
            Ok(true) => {}
            Ok(false) => return Err(Kept::Not(Stall::MarkerMoved(self.feed.clone()))),
            // A worker that went on after an error of its own has left PostgreSQL no transaction to write to.
            Err(error) if is_aborted(&error) => return Err(Kept::Refused(error.into(), Some(transaction))),
            Err(error) => return Err(Kept::Not(error.into())),
        }
        match transaction.commit().await {
            Ok(()) => Ok(()),
            // What the worker wrote breaks a rule that is checked at the end.
            Err(error) if is_violation(&error) => Err(Kept::Refused(error.into(), None)),
            // The connection is lost, and nobody knows whether it was kept. The marker does: the next run reads it.
            Err(error) => Err(Kept::Not(error.into())),
        }
    }

    /// Records that an event failed, and moves on.
    async fn record(
        &self,
        spoilt: Option<Transaction>,
        event: &Event,
        failure: Failure,
        held: Option<&Marker>,
        next: &Marker,
    ) -> Result<bool, Stall> {
        if let Some(spoilt) = spoilt {
            spoilt.rollback().await?;
        }
        tracing::debug!(feed = self.feed, event = event.id, %failure, "an event failed");
        let page = next.page.as_deref().unwrap_or_default();
        let text = format!("Failed processing event in feed [{page}] \n{}", failure.text());
        let not_recorded =
            |error| Stall::NotRecorded { event: event.id.clone(), failure: failure.message.clone(), error };
        let mut transaction = self.store.database().begin();
        self.store.put_failed(&mut transaction, &self.feed, event, &text, Utc::now()).await.map_err(not_recorded)?;
        if !self.store.put_marker(&mut transaction, &self.feed, held, next).await? {
            return Err(Stall::MarkerMoved(self.feed.clone()));
        }
        transaction.commit().await?;
        Ok(false)
    }

    /// Tries the oldest failed events of the feed again, those that are not exhausted, at most a batch.
    pub async fn process_failed_events(&self) -> RetryRun {
        let mut run = RetryRun { resolved: 0, failed: 0, end: RetryEnd::Done };
        if let Err(stall) = self.retry_batch(&mut run).await {
            run.end = RetryEnd::Stalled(stall);
        }
        run
    }

    async fn retry_batch(&self, run: &mut RetryRun) -> Result<(), Stall> {
        let batch = self.store.oldest_failed(&self.feed, self.limits.max_retry, self.limits.retry_batch).await?;
        if let Some(row) = batch.iter().find(|row| row.failed_at.is_none()) {
            return Err(Stall::NoFailedAt(row.id.clone()));
        }
        for row in batch {
            match self.retry(&row).await? {
                Tried::Resolved => run.resolved += 1,
                Tried::Failed => run.failed += 1,
                Tried::Gone => {}
            }
        }
        Ok(())
    }

    /// Tries one failed event again: the worker's writes and the deletion in one transaction; or, if the worker fails,
    /// the count and the log.
    async fn retry(&self, row: &FailedEvent) -> Result<Tried, Stall> {
        if !self.store.is_there(row).await? {
            return Ok(Tried::Gone);
        }
        let has_log = self.store.has_retry_log().await?;
        let mut transaction = self.store.database().begin();
        let failure = match self.work(&row.event, &mut transaction).await {
            Err(failure) => {
                transaction.rollback().await?;
                failure
            }
            Ok(()) => {
                let removed = self.store.remove_failed(&mut transaction, &self.feed, &row.event.id, has_log).await;
                let removed = match removed {
                    // Another run has resolved it meanwhile: what this worker wrote would be a repetition.
                    Ok(0) => return Ok(Tried::Gone),
                    Ok(_) => transaction.commit().await,
                    Err(error) => Err(error),
                };
                match removed {
                    Ok(()) => return Ok(Tried::Resolved),
                    Err(error) if is_aborted(&error) || is_violation(&error) => error.into(),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        if !self.store.is_there(row).await? {
            return Ok(Tried::Gone);
        }
        tracing::debug!(feed = self.feed, event = row.event.id, %failure, "a failed event failed again");
        if !has_log {
            return Err(Stall::NoRetryLog { event: row.event.id.clone(), failure: failure.message });
        }
        let mut transaction = self.store.database().begin();
        let counted = self.store.count_retry(&mut transaction, &self.feed, row, &failure.text(), Utc::now()).await;
        counted.map_err(|error| Stall::NotRecorded {
            event: row.event.id.clone(),
            failure: failure.message.clone(),
            error,
        })?;
        transaction.commit().await?;
        Ok(Tried::Failed)
    }

    /// Runs the worker. A panic of it is a failure like any other: one bad event must not hold a feed.
    async fn work(&self, event: &Event, transaction: &mut Transaction) -> Result<(), Failure> {
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

/// What became of a failed event.
enum Tried {
    /// The worker succeeded, and the event is gone.
    Resolved,
    /// The worker failed, and that is counted.
    Failed,
    /// It was resolved together with its twin, by another run, or deleted by somebody: nothing was kept.
    Gone,
}

/// Why a worker's writes were not kept.
enum Kept {
    /// For a reason of its own: the event failed. The transaction, if there still is one.
    Refused(Failure, Option<Transaction>),
    /// For another reason: the run ends.
    Not(Stall),
}

/// PostgreSQL: an earlier statement failed, and the worker went on.
fn is_aborted(error: &DatabaseError) -> bool {
    matches!(error, DatabaseError::Sql(sqlx::Error::Database(error)) if error.code().as_deref() == Some("25P02"))
}

/// A rule of the tables is broken.
fn is_violation(error: &DatabaseError) -> bool {
    use sqlx::error::ErrorKind;
    matches!(error, DatabaseError::Sql(sqlx::Error::Database(error)) if !matches!(error.kind(), ErrorKind::Other))
}
