//! Writes the index of the search behind the ledger, in a separate task for each source.
//!
//! The ledger keeps no error texts, so errors are read from the source again, by primary key, some hundred at a time.
//! After a step the task pauses as long as it took: others have priority at the source and at the store's only writer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    model::{RowId, search_index},
    server::{
        sources::{Source, TextLimit},
        store::{Pending, Store},
    },
};

use super::{follow::FollowError, last_poll::LastPoll};

/// Events per step.
const STEP: u32 = 500;

/// Pause after the source or the store did not answer.
const AFTER_TROUBLE: Duration = Duration::from_secs(10);

/// Writes the index of one source until the console ends: after each poll, what is pending by then.
pub(super) async fn run(
    source: Arc<Source>,
    store: Store,
    mut polls: watch::Receiver<LastPoll>,
    stop: CancellationToken,
) {
    loop {
        let whole = polls.borrow_and_update().followed.is_some_and(|(_, whole)| whole);
        let mut pause = None;
        // The first read has the store to itself.
        if whole {
            let begun = Instant::now();
            match step(&source, &store).await {
                Ok(0) => {}
                Ok(_) => pause = Some(begun.elapsed()),
                Err(error) => {
                    let application = &source.app().info.name;
                    tracing::debug!(%application, %error, "the index of the search could not be written");
                    pause = Some(AFTER_TROUBLE);
                }
            }
        }
        tokio::select! {
            () = rest(pause) => {}
            changed = polls.changed(), if pause.is_none() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

async fn rest(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Writes the next events; returns their number.
async fn step(source: &Source, store: &Store) -> Result<usize, FollowError> {
    let pending = store.to_index(&source.app().info.key, STEP).await?;
    if pending.is_empty() {
        return Ok(0);
    }
    let errors = latest_errors(source, &pending).await?;
    // Indexing some hundred errors takes a while: on a separate thread, so that pages do not wait for it.
    let work = tokio::task::spawn_blocking(move || {
        let of = |pending: Pending| {
            let error = errors.get(&pending.row_id).filter(|_| pending.open).unwrap_or(&pending.fault);
            let names = [&pending.event_id, &pending.record, &pending.title];
            let names: Vec<&str> = names.into_iter().filter_map(|name| name.as_deref()).collect();
            let indexed = search_index::indexed(&names, Some(error));
            (pending, indexed)
        };
        pending.into_iter().map(of).collect::<Vec<_>>()
    });
    // Only a panic can fail this, and it is logged: these events stay pending.
    let Ok(indexed) = work.await else { return Ok(0) };
    store.write_index(&indexed).await?;
    Ok(indexed.len())
}

/// Returns the latest errors of the events that are still in their table, by row.
async fn latest_errors(source: &Source, pending: &[Pending]) -> Result<HashMap<RowId, String>, FollowError> {
    let open = || pending.iter().filter(|pending| pending.open);
    let log_ids: Vec<RowId> = open().filter_map(|pending| pending.log_id).collect();
    let attempts = source.attempts(&log_ids, TextLimit::LIST).await?;
    let attempts: HashMap<RowId, String> =
        attempts.into_iter().filter_map(|attempt| Some((attempt.id, attempt.error?))).collect();
    let mut errors = HashMap::new();
    let mut first = Vec::new();
    for pending in open() {
        match pending.log_id.and_then(|id| attempts.get(&id)) {
            Some(error) => {
                errors.insert(pending.row_id, error.clone());
            }
            None => first.push(pending.row_id),
        }
    }
    if !first.is_empty() {
        let known: HashMap<RowId, &Option<String>> =
            open().map(|pending| (pending.row_id, &pending.event_id)).collect();
        for row in source.rows(&first, TextLimit::LIST).await? {
            // The id may belong to another event by now.
            let same = known.get(&row.id).is_some_and(|event| **event == row.event_id);
            errors.extend(row.error.filter(|_| same).map(|error| (row.id, error)));
        }
    }
    Ok(errors)
}
