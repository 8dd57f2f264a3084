//! Fills the index of published events, in a separate task for each source: new events first, then the past, newest
//! first.
//!
//! Events are read by primary key, a thousand at a time. After a step the task pauses nine times as long as the source
//! took, so that it costs the database at most a tenth of the time.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{LastPoll, follow::FollowError};
use crate::{
    model::{Availability, Backend, RowId, payload, publisher::PublishedEvent},
    server::{
        sources::{Ids, Source},
        store::{BLOCK, End, Indexed, MOST, NewlyIndexed, NewlyPublished, Store, block_start, compared},
    },
};

/// Events per step. More than a block has ids, so that every step ends with a whole block.
const STEP: u32 = 1_000;

/// Events older than this are not indexed.
const REMEMBERED: TimeDelta = TimeDelta::days(2 * 365);

/// Pause for each unit of time that the source took.
const PAUSE: u32 = 9;

/// Pause after the source or the store did not answer.
const AFTER_TROUBLE: Duration = Duration::from_secs(30);

/// Time between two removals of old events.
const PRUNED_EVERY: Duration = Duration::from_secs(3600);

/// Outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillStep {
    /// The index is complete for now.
    pub done: bool,
    /// Number of events read.
    pub events: usize,
    /// How long the source took.
    pub cost: Duration,
}

/// Fills the index of one source until the console ends; after each poll, with the events published since.
pub(super) async fn run(
    source: Arc<Source>,
    store: Store,
    mut polls: watch::Receiver<LastPoll>,
    stop: CancellationToken,
) {
    let mut pruned: Option<Instant> = None;
    loop {
        // The first read has the store to itself.
        let whole = polls.borrow_and_update().followed.is_some_and(|(_, whole)| whole);
        let mut pause = None;
        if whole && !source.is_down() {
            match fill(&source, &store).await {
                Ok(step) if step.done => {
                    if pruned.is_none_or(|at| at.elapsed() > PRUNED_EVERY) {
                        pruned = Some(Instant::now());
                        prune(&source, &store).await;
                    }
                }
                Ok(step) => pause = Some(step.cost * PAUSE),
                Err(error) => {
                    let application = &source.app().info.name;
                    tracing::debug!(%application, %error, "published events could not be indexed");
                    pause = Some(AFTER_TROUBLE);
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            changed = polls.changed(), if pause.is_none() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

async fn prune(source: &Source, store: &Store) {
    let since = crate::clock::now() - REMEMBERED;
    loop {
        match store.prune_published(&source.app().info.key, since).await {
            Ok(true) => tokio::time::sleep(Duration::from_millis(100)).await,
            Ok(false) => return,
            Err(error) => {
                tracing::debug!(%error, "old events could not be removed from the index of published events");
                return;
            }
        }
    }
}

/// Adds the next events of a source to the index.
///
/// # Errors
/// Fails if the source or the store does not answer.
pub async fn fill(source: &Source, store: &Store) -> Result<FillStep, FollowError> {
    let app = &source.app().info.key;
    let begun = Instant::now();
    let nothing = |cost| FillStep { done: true, events: 0, cost };
    let newest = source.published_to_index(&Ids::Before(None), 1).await?;
    let newest = match newest {
        Availability::Here(newest) => newest.into_iter().next(),
        Availability::NotHere(_) => return Ok(nothing(begun.elapsed())),
    };
    let indexed = store.indexed(app).await?;
    let Some((newest_id, newest)) = newest.and_then(numbered) else {
        // All events were removed, or their ids are beyond what the index can hold.
        if indexed.is_some() {
            store.forget_published(app).await?;
        }
        return Ok(nothing(begun.elapsed()));
    };
    let Some(indexed) = indexed else { return back(source, store, None).await };
    if newest_id < indexed.highest {
        return began_again(source, store).await;
    }
    if newest_id > indexed.highest {
        return forward(source, store, &indexed).await;
    }
    if store.event_mark(newest.uuid.as_deref())? != indexed.highest_mark {
        return began_again(source, store).await;
    }
    match indexed.end {
        End::Open => back(source, store, Some(&indexed)).await,
        End::Beginning | End::Limit => Ok(nothing(begun.elapsed())),
    }
}

/// Begins the index again: an event has another uuid than before, or the newest ones are gone, as after a dump was
/// restored.
async fn began_again(source: &Source, store: &Store) -> Result<FillStep, FollowError> {
    let application = &source.app().info.name;
    tracing::info!(%application, "its published events are not those that were indexed; the index is built again");
    store.forget_published(&source.app().info.key).await?;
    Ok(FillStep { done: false, events: 0, cost: Duration::ZERO })
}

/// Adds events published since. The block of the newest indexed event is read again: it may have been incomplete.
async fn forward(source: &Source, store: &Store, indexed: &Indexed) -> Result<FillStep, FollowError> {
    let app = source.app();
    let from = Ids::From(RowId(block_start(indexed.highest).into()));
    let (mut events, whole, cost) = read(source, &from).await?;
    let last = events.iter().find(|(id, _)| *id == indexed.highest);
    if let Some((_, event)) = last
        && store.event_mark(event.uuid.as_deref())? != indexed.highest_mark
    {
        return began_again(source, store).await;
    }
    let read = events.len();
    if !whole && let Some(end) = events.last().map(|(id, _)| block_start(id.saturating_add(1))) {
        // There may be more events in the last block.
        events.retain(|(id, _)| *id < end);
    }
    let Some((highest, newest)) = events.last() else {
        return Ok(FillStep { done: true, events: read, cost });
    };
    let new = NewlyPublished {
        lowest: indexed.lowest,
        highest: *highest,
        highest_mark: store.event_mark(newest.uuid.as_deref())?,
        end: indexed.end,
        events: of_index(app.database.backend, &events),
    };
    store.index_published(&app.info.key, &new).await?;
    Ok(FillStep { done: false, events: read, cost })
}

/// Adds the events before the indexed ones.
async fn back(source: &Source, store: &Store, indexed: Option<&Indexed>) -> Result<FillStep, FollowError> {
    let app = source.app();
    let before = Ids::Before(indexed.map(|indexed| RowId(indexed.lowest.into())));
    let (mut events, whole, cost) = read(source, &before).await?;
    let read = events.len();
    if !whole && let Some(first) = events.last().map(|(id, _)| block_start(id.saturating_sub(1))) {
        // There may be more events in the last block, which begins at `first`, unless the event is the block's first.
        let complete = first.saturating_add(BLOCK);
        events.retain(|(id, _)| *id >= complete);
    }
    let count = match indexed {
        Some(indexed) => store.published_count(indexed, "", i64::MIN).await?,
        None => 0,
    };
    let since = crate::clock::now() - REMEMBERED;
    let too_old = |at: &Option<DateTime<Utc>>| at.is_some_and(|at| at < since);
    let rows = of_index(app.database.backend, &events);
    let end = match rows.last() {
        _ if whole => End::Beginning,
        Some(oldest) if too_old(&oldest.at) => End::Limit,
        _ if count + rows.len() as u64 >= MOST => End::Limit,
        _ => End::Open,
    };
    let lowest = events.last().map(|(id, _)| block_start(*id)).or(indexed.map(|indexed| indexed.lowest));
    let newest = match (indexed, events.first()) {
        (Some(indexed), _) => Some((indexed.highest, indexed.highest_mark)),
        (None, Some((id, event))) => Some((*id, store.event_mark(event.uuid.as_deref())?)),
        (None, None) => None,
    };
    let Some((lowest, (highest, highest_mark))) = lowest.zip(newest) else {
        return Ok(FillStep { done: true, events: read, cost });
    };
    let new = NewlyPublished { lowest, highest, highest_mark, end, events: rows };
    store.index_published(&app.info.key, &new).await?;
    Ok(FillStep { done: false, events: read, cost })
}

/// Reads a step of events; returns whether there are no more, and how long it took.
async fn read(source: &Source, which: &Ids) -> Result<(Vec<(i64, PublishedEvent)>, bool, Duration), FollowError> {
    let begun = Instant::now();
    let events = match source.published_to_index(which, STEP).await? {
        Availability::Here(events) => events,
        Availability::NotHere(_) => Vec::new(),
    };
    let whole = events.len() < STEP as usize;
    let cost = begun.elapsed();
    Ok((events.into_iter().filter_map(numbered).collect(), whole, cost))
}

/// Returns an event with its id as the index can hold it; `None` for ids of more than 63 bits.
fn numbered(event: PublishedEvent) -> Option<(i64, PublishedEvent)> {
    Some((i64::try_from(event.id.0).ok()?, event))
}

fn of_index(backend: Backend, events: &[(i64, PublishedEvent)]) -> Vec<NewlyIndexed> {
    let of = |(id, event): &(i64, PublishedEvent)| NewlyIndexed {
        id: *id,
        record: event.object.as_deref().and_then(payload::record_uuid),
        category: compared(backend, event.category.as_deref().unwrap_or_default()),
        at: event.at.as_ref().and_then(|stamp| stamp.at),
    };
    events.iter().map(of).collect()
}
