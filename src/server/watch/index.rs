//! Writes the index of the search behind the ledger: a task of its own for each source.
//!
//! The ledger keeps no text of an error, so the errors are read from the source once more, by primary key and some hundred
//! at a time. Between two steps it rests as long as a step took: the source and the store's one pen are for others first.

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

use super::{Look, follow::FollowError};

/// Events of one step.
const STEP: u32 = 500;

/// How long it waits when the source or the store did not answer.
const AFTER_TROUBLE: Duration = Duration::from_secs(10);

/// Writes the index of one source until the console ends: whenever a look has ended, what is pending by then.
pub(super) async fn run(source: Arc<Source>, store: Store, mut looks: watch::Receiver<Look>, stop: CancellationToken) {
    loop {
        let whole = looks.borrow_and_update().followed.is_some_and(|(_, whole)| whole);
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
            changed = looks.changed(), if pause.is_none() => if changed.is_err() { return },
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

/// Writes the next events; answers how many.
async fn step(source: &Source, store: &Store) -> Result<usize, FollowError> {
    let pending = store.to_index(&source.app().info.key, STEP).await?;
    if pending.is_empty() {
        return Ok(0);
    }
    let errors = latest_errors(source, &pending).await?;
    // Taking some hundred errors apart takes a while: on a thread of its own, so that pages do not wait for it.
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
    // It can only fail by a panic, which the log has told: these events stay pending.
    let Ok(indexed) = work.await else { return Ok(0) };
    store.write_index(&indexed).await?;
    Ok(indexed.len())
}

/// The latest errors of those that are in their table, by their rows.
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
            // An id can be another event's by now.
            let same = known.get(&row.id).is_some_and(|event| **event == row.event_id);
            errors.extend(row.error.filter(|_| same).map(|error| (row.id, error)));
        }
    }
    Ok(errors)
}
