//! The events of a record, from the console's own index of published events: which ids, from the store; the events
//! themselves from their application, where each is compared with the record again.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    sources::{Ids, Source},
    state::Console,
    store::{End, Indexed},
};
use crate::{
    error::Problem,
    model::{Availability, RowId, payload, publisher::PublishedEvent},
};

/// The most events of all records of one request, the newest ones.
pub const MOST_EVENTS: u32 = 500;

/// The most events published after the index that are read.
const NEWEST: u32 = 1_000;

/// What an application published about records.
#[derive(Clone, Debug, PartialEq)]
pub struct EventsOfRecord {
    /// Lowest id first.
    pub events: Vec<PublishedEvent>,
    /// These are all of them. Otherwise there can be earlier ones, or more than [`MOST_EVENTS`].
    pub complete: bool,
    /// When the first indexed event was published. `None` if nothing is indexed, or its time is not known.
    pub indexed_from: Option<DateTime<Utc>>,
}

/// Returns what an application published about records, by their uuids.
///
/// # Errors
/// Fails as [`Console::source`] does, and if the application or the store does not answer.
pub async fn events_of_record(console: &Console, app: &str, uuids: &[String]) -> Result<EventsOfRecord, Problem> {
    let source = console.source(app)?;
    let store = &console.parts.store;
    let key = &source.app().info.key;
    let wanted: BTreeSet<String> = uuids.iter().map(|uuid| uuid.to_lowercase()).collect();
    let indexed = store.indexed(key).await?;
    let mut ids = BTreeSet::new();
    for uuid in &wanted {
        // One more shows that there are more.
        ids.extend(store.published_of(key, uuid, MOST_EVENTS + 1).await?);
    }
    let most = MOST_EVENTS as usize;
    let too_many = ids.len() > most;
    let ids: Vec<RowId> = ids.into_iter().rev().take(most).collect();
    let mut events = read(source, &Ids::Of(ids), MOST_EVENTS).await?;
    let (newer, caught_up) = newer(source, indexed.as_ref()).await?;
    events.extend(newer);
    events.retain(|event| {
        let record = event.object.as_deref().and_then(payload::record_uuid);
        record.is_some_and(|record| wanted.contains(&record.to_lowercase()))
    });
    events.sort_by_key(|event| event.id);
    events.dedup_by_key(|event| event.id);
    mask(console, &mut events);
    let indexed_from = match &indexed {
        Some(indexed) => store.indexed_since(indexed).await?,
        None => None,
    };
    let from_the_beginning = indexed.is_some_and(|indexed| indexed.end == End::Beginning);
    Ok(EventsOfRecord { events, complete: from_the_beginning && caught_up && !too_many, indexed_from })
}

/// Returns the events published after the indexed ones, and whether these are all. Without an index, they are the
/// newest events, and never all.
async fn newer(source: &Source, indexed: Option<&Indexed>) -> Result<(Vec<PublishedEvent>, bool), Problem> {
    let (which, goes_on) = match indexed {
        Some(indexed) => (Ids::From(RowId(i128::from(indexed.highest) + 1)), true),
        None => (Ids::Before(None), false),
    };
    let events = read(source, &which, NEWEST).await?;
    let all = goes_on && events.len() < NEWEST as usize;
    Ok((events, all))
}

/// Leaves only the kinds and uuids of records to a user who may not read texts.
pub(super) fn mask(console: &Console, events: &mut [PublishedEvent]) {
    if console.masked().is_some() {
        for event in events {
            event.object = event.object.as_deref().and_then(payload::reference);
        }
    }
}

/// Reads events; an application without readable events has none.
pub(super) async fn read(source: &Source, which: &Ids, limit: u32) -> Result<Vec<PublishedEvent>, Problem> {
    match source.published(which, limit).await? {
        Availability::Here(events) => Ok(events),
        Availability::NotHere(_) => Ok(Vec::new()),
    }
}
