//! Discards and restores of a batch of rows.

use std::{collections::BTreeMap, sync::Arc};

use super::{Taken, WHOLE_AT_ONCE, mark_in_progress, settle, still_unknown};
use crate::{
    model::{
        RowId, fingerprint,
        operation::{Operation, OperationRow, RowOutcome},
        whole_row::WholeEvent,
    },
    server::{
        sources::{Copied, DiscardRow, LONG_EVENT, Source, SourceError},
        state::Console,
        store::{NewCopy, StoreError},
    },
};

pub(super) async fn discard(
    console: &Console,
    operation: &Operation,
    source: &Arc<Source>,
    batch: &[Taken],
) -> Result<Result<(), SourceError>, StoreError> {
    let store = &console.parts.store;
    let app = &source.app().info.key;
    let ids: Vec<RowId> = batch.iter().map(|(_, row, _)| row.id).collect();
    let Copied { events: copies, taken, too_long } = match source.copy(&ids, WHOLE_AT_ONCE).await {
        Ok(copied) => copied,
        Err(error) => return Ok(Err(error)),
    };
    // The other rows begin the next batch.
    let (left, batch): (Vec<Taken>, Vec<Taken>) =
        batch[..taken].iter().cloned().partition(|(_, row, _)| too_long.contains_key(&row.id));
    let left: Vec<(i64, RowOutcome)> =
        left.iter().filter_map(|(place, row, _)| Some((*place, too_long.get(&row.id)?.outcome()))).collect();
    store.settle_copies(operation.id, &left).await?;
    settle(console, operation.id, app, &left).await?;
    if batch.is_empty() {
        return Ok(Ok(()));
    }
    let batch = &batch[..];
    let kept: Vec<NewCopy<'_>> =
        batch.iter().filter_map(|(place, row, _)| Some(new_copy(*place, app, row, copies.get(&row.id)?))).collect();
    store.keep_copies(operation.id, &kept).await?;
    mark_in_progress(console, operation, app, batch).await?;
    let rows: Vec<DiscardRow> =
        batch.iter().map(|(_, row, _)| DiscardRow { id: row.id, seen_retries: row.seen_retries }).collect();
    let outcomes = match source.discard(&rows, &copies).await {
        Ok(outcomes) => outcomes,
        Err(error) => return Ok(Err(error)),
    };
    let mut settled = Vec::with_capacity(batch.len());
    for ((place, _, again), outcome) in batch.iter().zip(outcomes) {
        // The copy is from before the console ended, and the row is gone: removed then, or resolved by the consumer
        // first.
        let gone = *again && outcome == RowOutcome::Gone && store.has_copy(operation.id, *place).await?;
        let outcome = if *again { still_unknown(outcome) } else { outcome };
        settled.push((
            *place,
            if gone { RowOutcome::Uncertain { reason: REMOVED_OR_RESOLVED.to_owned() } } else { outcome },
        ));
    }
    store.settle_copies(operation.id, &settled).await?;
    settle(console, operation.id, app, &settled).await?;
    Ok(Ok(()))
}

const REMOVED_OR_RESOLVED: &str = "The console stopped while this row was being removed. The row is not in the table: removed by the \
     console, or resolved by the consumer at that moment. The copy is kept.";

fn new_copy<'e>(position: i64, app: &str, row: &OperationRow, event: &'e WholeEvent) -> NewCopy<'e> {
    let fault = fingerprint::of(event.latest_error().as_deref()).title();
    NewCopy { position, app: app.to_owned(), row_id: row.id, event, fault }
}

pub(super) async fn restore(
    console: &Console,
    operation: &Operation,
    source: &Arc<Source>,
    batch: &[Taken],
) -> Result<Result<(), SourceError>, StoreError> {
    let store = &console.parts.store;
    let app = &source.app().info.key;
    let numbers: Vec<Option<i64>> = batch.iter().map(|(_, row, _)| row.copy).collect();
    // The other rows begin the next batch.
    let batch = &batch[..store.copies_fitting(&numbers, WHOLE_AT_ONCE, LONG_EVENT).await?];
    let numbers: Vec<i64> = batch.iter().filter_map(|(_, row, _)| row.copy).collect();
    let kept = store.copies(&numbers).await?;
    let mut kept: BTreeMap<i64, WholeEvent> =
        numbers.into_iter().zip(kept).filter_map(|(number, event)| Some((number, event?))).collect();
    let (there, missing): (Vec<Taken>, Vec<Taken>) =
        batch.iter().cloned().partition(|(_, row, _)| row.copy.is_some_and(|copy| kept.contains_key(&copy)));
    let mut lost = Vec::with_capacity(missing.len());
    for (place, row, _) in &missing {
        // The console may have ended between recording the outcome of the copy and that of the row.
        let put_back = match row.copy {
            Some(copy) => store.put_back_by(operation.id, copy).await?,
            None => None,
        };
        let outcome = match put_back {
            Some(id) => RowOutcome::Restored { id },
            None => {
                let reason = "The copy is no longer kept, or another operation restored it.".to_owned();
                RowOutcome::Failed { reason }
            }
        };
        lost.push((*place, outcome));
    }
    store.record_outcomes(operation.id, &lost).await?;
    if there.is_empty() {
        return Ok(Ok(()));
    }
    mark_in_progress(console, operation, app, &there).await?;
    let mut events: Vec<WholeEvent> = there.iter().filter_map(|(_, row, _)| kept.remove(&row.copy?)).collect();
    note_put_back(console, app, &mut events).await?;
    let outcomes = match source.restore(&events).await {
        Ok(outcomes) => outcomes,
        Err(error) => return Ok(Err(error)),
    };
    let put: Vec<(i64, RowId)> = there
        .iter()
        .zip(&outcomes)
        .filter_map(|((_, row, _), outcome)| match outcome {
            RowOutcome::Restored { id } => Some((row.copy?, *id)),
            _ => None,
        })
        .collect();
    store.mark_restored(operation.id, &put).await?;
    let known = |again: bool, outcome: RowOutcome| match outcome {
        RowOutcome::AlreadyThere if again => RowOutcome::Uncertain { reason: PUT_BACK_OR_READ.to_owned() },
        outcome => outcome,
    };
    let outcomes: Vec<_> =
        there.iter().zip(outcomes).map(|((place, _, again), outcome)| (*place, known(*again, outcome))).collect();
    settle(console, operation.id, app, &outcomes).await?;
    Ok(Ok(()))
}

const PUT_BACK_OR_READ: &str = "The console stopped while this row was being restored. The row is in the table: restored by the \
     console, or added by the consumer at that moment. The copy is kept.";

/// Adds to each event the rows of the same feed and event id that the console itself has restored: of several discarded
/// one after the other, the first restored one would otherwise look like a new failure.
async fn note_put_back(console: &Console, app: &str, events: &mut [WholeEvent]) -> Result<(), StoreError> {
    let mut event_ids: Vec<String> = events.iter().filter_map(|event| event.event.key("event_id")).collect();
    event_ids.sort_unstable();
    event_ids.dedup();
    let put_back = console.parts.store.rows_put_back(app, &event_ids).await?;
    for event in events {
        let pair = (event.event.key("feed_uri"), event.event.key("event_id"));
        let same = put_back.iter().filter(|(feed, event_id, _)| (feed, event_id) == (&pair.0, &pair.1));
        event.beside.ids.extend(same.map(|(_, _, id)| *id));
    }
    Ok(())
}
