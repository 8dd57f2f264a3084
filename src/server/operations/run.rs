//! Processes the rows of an operation in batches, oldest first. Each row is marked before its source is changed, and
//! its outcome recorded afterwards. So a console that is killed at any point knows at its next start which rows it must
//! check again, and which it has not changed.
//!
//! Nothing is done twice: every change is conditional on what was seen, and a row that was marked when the console
//! ended is processed again only if nothing shows that the change was made.

mod removal;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{StageChange, allowed, on_record_of_itself};
use crate::{
    model::{
        application::COMPLETE_ENTRY,
        ledger::{RequestKind, RequestOutcome},
        operation::{Operation, OperationRow, RowOutcome, Stage},
        words,
    },
    server::{
        sources::{ResetRow, Source, SourceError, SourceErrorKind},
        state::Console,
        store::{StoreError, ledger::Ask},
    },
};
use removal::{discard, restore};

/// Rows that one transaction on a source changes.
const BATCH: u32 = 500;

/// Bytes of whole rows that a batch holds at a time (at least one row): they are read, converted for the store, and
/// read again to verify that they match the copies. A batch of usual rows has at most 4 MB.
const WHOLE_AT_ONCE: usize = 8 << 20;

/// Maximum number of batches that a retry without a rate marks at once (a stride).
const STRIDE: u32 = 8;

/// If a stride takes the source this long, the store's work for it is small in comparison. After a quicker one, the
/// next stride is longer.
const QUICK: Duration = Duration::from_millis(200);

/// Batches per minute of an operation with a rate.
const BATCHES_A_MINUTE: u32 = 12;

/// Interval of checks for the outcome of the first rows.
const TRYING: Duration = Duration::from_secs(1);

/// Shortest and longest pause while a source does not answer: each pause is twice the previous one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Number of consecutive refusals by a source that answers, after which an operation pauses.
const REFUSALS: u32 = 5;

/// A row of a batch: its position, the row, and whether it was being written when the console ended.
type Taken = (i64, OperationRow, bool);

/// Starts a task for an operation, unless it has one.
pub(super) async fn spawn(console: &Console, id: i64) {
    let mut running = console.parts.operations.0.lock().await;
    if running.contains_key(&id) {
        return;
    }
    running.insert(id, false);
    let own = console.clone();
    console.parts.running.spawn(async move {
        loop {
            if let Err(error) = run(&own, id).await {
                tracing::error!(operation = id, %error, "the course of an operation could not be recorded");
            }
            // A user may have resumed it since the task last read the stage.
            let mut running = own.parts.operations.0.lock().await;
            let stage = own.parts.store.operation_alone(id).await.ok().flatten().map(|operation| operation.stage);
            let goes_on = matches!(stage, Some(Stage::Running | Stage::Trying));
            if !goes_on || own.parts.stopping.is_cancelled() {
                running.remove(&id);
                if let Err(error) = own.parts.store.end_writing(Some(id)).await {
                    tracing::error!(operation = id, %error, "what became of an operation's last rows could not be recorded");
                }
                drop(running);
                own.parts.operations.1.notify_waiters();
                return;
            }
            drop(running);
            tokio::time::sleep(FIRST_PAUSE).await;
        }
    });
}

/// Settles a cancelled operation: if it has a task, that records the outcomes of the rows it was writing; the outcome
/// of rows that an earlier console was writing is unknown.
pub(super) async fn cancelled(console: &Console, id: i64) -> Result<(), StoreError> {
    let running = console.parts.operations.0.lock().await;
    if running.contains_key(&id) { Ok(()) } else { console.parts.store.end_writing(Some(id)).await }
}

/// Waits until an operation has no task, or only busy rows left, or `patience` has passed: then the next page shows
/// what it did.
pub(super) async fn wait(console: &Console, id: i64, patience: Duration) {
    let over = async {
        loop {
            let mut turned = std::pin::pin!(console.parts.operations.1.notified());
            // Registers now, so that no notification before the wait is lost.
            turned.as_mut().enable();
            if !has_task(console, id).await {
                return;
            }
            turned.await;
        }
    };
    let _ = tokio::time::timeout(patience, over).await;
}

/// The same, but until its end is recorded: for a response that reports the outcomes of its rows and leads to no page.
pub(super) async fn wait_for_end(console: &Console, id: i64, patience: Duration) {
    let over = async {
        loop {
            let mut turned = std::pin::pin!(console.parts.operations.1.notified());
            turned.as_mut().enable();
            let operation = console.parts.store.operation_alone(id).await.ok().flatten();
            if operation.is_none_or(|operation| operation.finished_at.is_some()) || !has_task(console, id).await {
                return;
            }
            turned.await;
        }
    };
    let _ = tokio::time::timeout(patience, over).await;
}

/// Returns whether an operation has a task that does more than wait for busy rows.
async fn has_task(console: &Console, id: i64) -> bool {
    console.parts.operations.0.lock().await.get(&id) == Some(&false)
}

/// Result of a batch, or of the strides that follow it.
enum BatchResult {
    /// Continue with the next batch.
    On,
    /// The source refused the batch, and nothing of it was written. `after`: earlier batches were written.
    Refused { error: SourceError, after: bool },
}

/// Runs an operation until it ends, is paused or cancelled, or the console is ending.
async fn run(console: &Console, id: i64) -> Result<(), StoreError> {
    let store = &console.parts.store;
    let mut pause = FIRST_PAUSE;
    let mut refusals = 0;
    let mut busy: Option<Busy> = None;
    while !console.parts.stopping.is_cancelled() {
        let Some(operation) = store.operation_alone(id).await? else { return Ok(()) };
        match operation.stage {
            Stage::Running => {}
            Stage::Trying => {
                judge(console, &operation).await?;
                rest(console, TRYING).await;
                continue;
            }
            _ => return Ok(()),
        }
        let Some(limit) = limit(console, &operation).await? else { continue };
        let batch = store.next_rows(id, limit).await?;
        if batch.is_empty() {
            let rows = store.busy(id).await?;
            if rows == 0 {
                return end(console, &operation).await;
            }
            let now = Busy::after(busy, rows);
            busy = Some(now);
            match busy_pause(now.since.elapsed()) {
                Some(pause) => come_again(console, id, rows, pause).await?,
                None => {
                    let given_up = store.give_up_busy(id, LOCKED_FOR_LONG).await?;
                    tracing::warn!(operation = id, rows = given_up, "rows stayed locked and are left as they are");
                }
            }
            continue;
        }
        let rows = batch.len() as u32;
        match take(console, &operation, batch).await? {
            BatchResult::On => {
                (pause, refusals) = (FIRST_PAUSE, 0);
                if operation.note.is_some() {
                    store.note(id, None).await?;
                }
                if let Some(per_minute) = operation.pace.per_minute {
                    rest(console, Duration::from_secs_f64(60.0 * f64::from(rows) / f64::from(per_minute.max(1)))).await;
                }
            }
            BatchResult::Refused { error, after } => {
                if after {
                    (pause, refusals) = (FIRST_PAUSE, 0);
                }
                tracing::warn!(operation = id, reason = %error.reason, "a source did not take a batch");
                refusals += u32::from(error.kind == SourceErrorKind::Other);
                if refusals >= REFUSALS {
                    let note = format!("Paused: {} Fix the cause, then press Continue.", error.reason);
                    store.set_stage(id, &[Stage::Running], Stage::Paused, Some(&note)).await?;
                    on_record_of_itself(console, &operation, StageChange::Paused).await;
                    return Ok(());
                }
                let note = format!(
                    "Waiting: {} The operation continues automatically when the database answers.",
                    error.reason
                );
                store.note(id, Some(&note)).await?;
                rest(console, pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    Ok(())
}

/// Rows that others have locked, and since when their number has not decreased.
#[derive(Clone, Copy, Debug)]
struct Busy {
    rows: u64,
    since: Instant,
}

impl Busy {
    fn after(before: Option<Self>, rows: u64) -> Self {
        before.filter(|before| rows >= before.rows).unwrap_or(Self { rows, since: Instant::now() })
    }
}

/// How long rows that others have locked are tried again, counted from when the last one became free.
const BUSY_FOR: Duration = Duration::from_secs(15 * 60);

const LOCKED_FOR_LONG: &str = "Another transaction locked this row for 15 minutes. Nothing was written. Find the open transaction \
     in the database, then retry.";

/// Returns the pause before busy rows are tried again, given the time since their number last decreased; `None` if they
/// are given up. A transaction of the consumer lasts only as long as one event takes, so the pause is short at first.
fn busy_pause(after: Duration) -> Option<Duration> {
    (after < BUSY_FOR).then(|| (after / 4).clamp(Duration::from_secs(1), Duration::from_secs(30)))
}

/// Waits without holding a lock, then makes busy rows due again.
async fn come_again(console: &Console, id: i64, rows: u64, pause: Duration) -> Result<(), StoreError> {
    let store = &console.parts.store;
    let whose = if rows == 1 { "1 row is".to_owned() } else { format!("{} rows are", words::number(rows)) };
    let note = format!("{whose} locked by another transaction of the database. Trying again for up to 15 minutes.");
    store.note(id, Some(&note)).await?;
    // Callers that wait for the operation see what it did so far.
    store.flush_requests().await?;
    set_resting(console, id, true).await;
    rest(console, pause).await;
    set_resting(console, id, false).await;
    store.free_busy(id).await
}

async fn set_resting(console: &Console, id: i64, rests: bool) {
    if let Some(resting) = console.parts.operations.0.lock().await.get_mut(&id) {
        *resting = rests;
    }
    console.parts.operations.1.notify_waiters();
}

/// Sleeps, at most until the console ends.
async fn rest(console: &Console, pause: Duration) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = console.parts.stopping.cancelled() => {}
    }
}

/// Returns the maximum number of rows of the next batch; `None` if it now waits for the outcome of the first ones.
async fn limit(console: &Console, operation: &Operation) -> Result<Option<u32>, StoreError> {
    let paced = operation.pace.per_minute.map_or(BATCH, |per_minute| (per_minute / BATCHES_A_MINUTE).clamp(1, BATCH));
    let Some(first) = operation.pace.try_first else { return Ok(Some(paced)) };
    let taken = console.parts.store.taken(operation.id).await?;
    let left = u64::from(first.rows).saturating_sub(taken);
    if left > 0 {
        return Ok(Some(paced.min(u32::try_from(left).unwrap_or(paced))));
    }
    for app in console.parts.store.apps_of(operation.id).await? {
        console.parts.watch.poll_now(&app).await;
    }
    let note = format!("Waiting for the results of the first {}.", first.rows);
    console.parts.store.set_stage(operation.id, &[Stage::Running], Stage::Trying, Some(&note)).await?;
    Ok(None)
}

/// Checks the outcome of the first rows: continues if enough of them succeeded, pauses if that is no longer possible.
async fn judge(console: &Console, operation: &Operation) -> Result<(), StoreError> {
    let store = &console.parts.store;
    let Some(first) = operation.pace.try_first else {
        store.set_stage(operation.id, &[Stage::Trying], Stage::Running, None).await?;
        return Ok(());
    };
    let Some(operation) = &store.operation(operation.id).await? else { return Ok(()) };
    let seen = operation.followed;
    let needed = u64::from(first.needed);
    // Rows that the ledger has not seen yet may still succeed; the outcome of rows that it cannot follow is never
    // known.
    let open = seen.open + operation.counts.reset.saturating_sub(seen.all() + seen.unfollowed);
    if seen.resolved >= needed {
        store.tried(operation.id).await?;
        store.set_stage(operation.id, &[Stage::Trying], Stage::Running, None).await?;
    } else if seen.resolved + open < needed {
        let unfollowed = match seen.unfollowed {
            0 => String::new(),
            rows => format!(" The result of {} is not followed.", words::count(rows, "event")),
        };
        let note = format!(
            "Test failed: {} of {} succeeded, {} needed.{unfollowed} Continue or cancel.",
            seen.resolved, first.rows, first.needed
        );
        store.set_stage(operation.id, &[Stage::Trying], Stage::Paused, Some(&note)).await?;
        on_record_of_itself(console, operation, StageChange::Paused).await;
    }
    Ok(())
}

async fn end(console: &Console, operation: &Operation) -> Result<(), StoreError> {
    if console.parts.store.set_stage(operation.id, &[Stage::Running], Stage::Ended, None).await? {
        // Scripts wait for the outcomes, which are recorded.
        console.parts.operations.1.notify_waiters();
        on_record_of_itself(console, operation, StageChange::Ended).await;
    }
    // Callers that wait for the operation see on the next page what it did.
    console.parts.store.flush_requests().await?;
    for app in console.parts.store.apps_of(operation.id).await? {
        console.parts.watch.poll_now(&app).await;
    }
    Ok(())
}

/// Processes one batch, all of one application.
async fn take(console: &Console, operation: &Operation, batch: Vec<Taken>) -> Result<BatchResult, StoreError> {
    let Some(app) = batch.first().map(|(_, row, _)| row.app.clone()) else { return Ok(BatchResult::On) };
    let source = match console.source(&app) {
        Ok(source) if allowed(source).is_ok() => source.clone(),
        Ok(source) => {
            let reason =
                format!("No action is allowed on {} (read_only in the configuration).", source.app().info.name);
            return give_up(console, operation.id, &batch, &reason).await;
        }
        // The entry may be complete at the next start: the rows wait, as for a database that does not answer.
        Err(problem) if console.info(&app).is_ok() => {
            let error = SourceError {
                kind: SourceErrorKind::Unreachable,
                reason: problem.what,
                advice: COMPLETE_ENTRY.to_owned(),
            };
            return refused(console, operation.id, &batch, error).await;
        }
        Err(problem) => return give_up(console, operation.id, &batch, &problem.what).await,
    };
    let again = batch.iter().any(|(_, _, again)| *again);
    let hurries = operation.pace.per_minute.is_none() && operation.pace.try_first.is_none();
    let changed = match operation.kind {
        RequestKind::Retry if hurries && !again && batch.len() == BATCH as usize => {
            return run_pipelined(console, operation, &source, batch).await;
        }
        RequestKind::Retry => reset(console, operation, &source, &batch).await?,
        RequestKind::Discard => discard(console, operation, &source, &batch).await?,
        RequestKind::Restore => restore(console, operation, &source, &batch).await?,
    };
    match changed {
        Ok(()) => Ok(BatchResult::On),
        Err(error) => refused(console, operation.id, &batch, error).await,
    }
}

/// Handles rows that the source refused: they wait until it accepts them, or are given up.
async fn refused(console: &Console, id: i64, batch: &[Taken], error: SourceError) -> Result<BatchResult, StoreError> {
    let store = &console.parts.store;
    let lasting = matches!(error.kind, SourceErrorKind::NotAllowed | SourceErrorKind::NotHere);
    if lasting || !store.waits(id).await? {
        return give_up(console, id, batch, &error.reason).await;
    }
    // Nothing was written: rows that were marked for the first time are unmarked.
    let fresh: Vec<i64> = batch.iter().filter(|(_, _, again)| !again).map(|(place, ..)| *place).collect();
    store.unmark_writing(id, &fresh).await?;
    Ok(BatchResult::Refused { error, after: false })
}

/// Records that nothing was written for these rows, and why. For rows that were being written when an earlier console
/// ended, that is unknown: their requests and copies remain.
async fn give_up(console: &Console, id: i64, batch: &[Taken], reason: &str) -> Result<BatchResult, StoreError> {
    let outcome = |again: bool| match again {
        true => RowOutcome::Uncertain { reason: format!("{WRITTEN_OR_NOT} {reason}") },
        false => RowOutcome::Failed { reason: reason.to_owned() },
    };
    let outcomes: Vec<_> = batch.iter().map(|(place, _, again)| (*place, outcome(*again))).collect();
    console.parts.store.record_outcomes(id, &outcomes).await?;
    console.parts.store.settle_copies(id, &outcomes).await?;
    Ok(BatchResult::On)
}

const WRITTEN_OR_NOT: &str =
    "The console stopped while this row was being written, and the row could not be checked again.";

/// Marks rows in the store and enters their requests in the ledger, right before their source is changed.
async fn mark_in_progress(
    console: &Console,
    operation: &Operation,
    app: &str,
    batch: &[Taken],
) -> Result<(), StoreError> {
    let places: Vec<i64> = batch.iter().filter(|(_, _, again)| !again).map(|(place, ..)| *place).collect();
    let asks: Vec<Ask> = batch
        .iter()
        .map(|(_, row, _)| Ask { row_id: row.id, event_id: row.event_id.clone(), retries_before: row.seen_retries })
        .collect();
    console.parts.store.mark_in_progress(operation, app, &places, &asks).await?;
    // The entry of its beginning is now on the disk.
    console.parts.audit.tell_what_others_wrote().await;
    Ok(())
}

/// Records the outcomes of a batch.
async fn settle(
    console: &Console,
    operation: i64,
    app: &str,
    outcomes: &[(i64, RowOutcome)],
) -> Result<(), StoreError> {
    if outcomes.is_empty() {
        return Ok(());
    }
    console.parts.store.record_outcomes(operation, outcomes).await?;
    let done = outcomes.iter().filter(|(_, outcome)| outcome.is_done()).count();
    tracing::info!(operation, application = app, rows = outcomes.len(), done, "took a batch");
    Ok(())
}

async fn reset(
    console: &Console,
    operation: &Operation,
    source: &Arc<Source>,
    batch: &[Taken],
) -> Result<Result<(), SourceError>, StoreError> {
    let app = &source.app().info.key;
    let (came_through, batch) = sift(console, operation, app, batch).await?;
    console.parts.store.record_outcomes(operation.id, &came_through).await?;
    if batch.is_empty() {
        return Ok(Ok(()));
    }
    mark_in_progress(console, operation, app, &batch).await?;
    let rows: Vec<ResetRow> = batch.iter().map(|(_, row, _)| to_reset(row)).collect();
    let outcomes = match source.reset(&rows).await {
        Ok(outcomes) => outcomes,
        Err(error) => return Ok(Err(error)),
    };
    let outcomes: Vec<_> = batch
        .iter()
        .zip(outcomes)
        .map(|((place, row, again), outcome)| {
            (*place, if *again { reset_before(row, still_unknown(outcome)) } else { outcome })
        })
        .collect();
    settle(console, operation.id, app, &outcomes).await?;
    Ok(Ok(()))
}

/// Converts a row for the source. A row without a count of retries is never in the plan of a retry.
fn to_reset(row: &OperationRow) -> ResetRow {
    ResetRow { id: row.id, seen_retries: row.seen_retries.unwrap_or_default() }
}

/// Retries many rows of one application as quickly as the source accepts them: while the source writes some batches,
/// the store records the outcomes of the previous ones and marks the next ones. Ends when the application's rows end,
/// the operation is paused or cancelled, or the source refuses.
async fn run_pipelined(
    console: &Console,
    operation: &Operation,
    source: &Arc<Source>,
    first: Vec<Taken>,
) -> Result<BatchResult, StoreError> {
    let (store, app) = (&console.parts.store, &source.app().info.key);
    if !store.mark(operation.id, &places(&first)).await? {
        return Ok(BatchResult::On);
    }
    console.parts.audit.tell_what_others_wrote().await;
    let (mut stride, mut length, mut waited, mut wrote) = (first, 1, operation.note.is_some(), false);
    let mut done: Vec<(i64, RowOutcome)> = Vec::new();
    loop {
        let begun = Instant::now();
        let prepare = async {
            settle(console, operation.id, app, &done).await?;
            let next = store.rows_to_come(operation.id, length * BATCH).await?.into_iter();
            let next: Vec<Taken> =
                next.take_while(|(_, row)| row.app == *app).map(|(place, row)| (place, row, false)).collect();
            let marked = store.mark(operation.id, &places(&next)).await?;
            Ok::<_, StoreError>(if marked { next } else { Vec::new() })
        };
        let (written, next) = tokio::join!(write_stride(console, operation.id, source, &stride), prepare);
        let ((outcomes, error), next) = (written?, next?);
        length = if begun.elapsed() < QUICK { (length * 2).min(STRIDE) } else { (length / 2).max(1) };
        let untouched = &stride[outcomes.len()..];
        wrote |= !outcomes.is_empty();
        if waited && !outcomes.is_empty() {
            store.note(operation.id, None).await?;
            waited = false;
        }
        done = stride.iter().map(|(place, ..)| *place).zip(outcomes).collect();
        if untouched.is_empty() && !next.is_empty() {
            stride = next;
            continue;
        }
        settle(console, operation.id, app, &done).await?;
        // They become due again.
        store.unmark_writing(operation.id, &places(&next)).await?;
        if let Some(error) = error {
            return Ok(match refused(console, operation.id, untouched, error).await? {
                BatchResult::Refused { error, .. } => BatchResult::Refused { error, after: wrote },
                BatchResult::On => BatchResult::On,
            });
        }
        store.unmark_writing(operation.id, &places(untouched)).await?;
        return Ok(BatchResult::On);
    }
}

fn places(rows: &[Taken]) -> Vec<i64> {
    rows.iter().map(|(place, ..)| *place).collect()
}

/// Writes a stride batch by batch, while the operation is running and the source accepts it.
async fn write_stride(
    console: &Console,
    operation: i64,
    source: &Source,
    stride: &[Taken],
) -> Result<(Vec<RowOutcome>, Option<SourceError>), StoreError> {
    let mut outcomes = Vec::with_capacity(stride.len());
    for batch in stride.chunks(BATCH as usize) {
        // The marks are lost if the store's file was removed since they were made.
        console.parts.store.in_place()?;
        let goes_on = console.parts.store.stage(operation).await? == Some(Stage::Running);
        if !goes_on || console.parts.stopping.is_cancelled() {
            break;
        }
        let rows: Vec<ResetRow> = batch.iter().map(|(_, row, _)| to_reset(row)).collect();
        match source.reset(&rows).await {
            Ok(written) => outcomes.extend(written),
            Err(error) => return Ok((outcomes, Some(error))),
        }
    }
    Ok((outcomes, None))
}

/// Separates the rows that were being reset when the console ended and whose outcome the watcher has seen: their reset
/// was made, and must not be made again. Returns their outcomes and the other rows.
async fn sift(
    console: &Console,
    operation: &Operation,
    app: &str,
    batch: &[Taken],
) -> Result<(Vec<(i64, RowOutcome)>, Vec<Taken>), StoreError> {
    if batch.iter().any(|(_, _, again)| *again) {
        // The ledger must first have what happened while the console was not running.
        console.parts.watch.poll_now(app).await;
    }
    let mut came_through = Vec::new();
    let mut rest = Vec::new();
    for taken in batch {
        let (place, row, again) = taken;
        let outcome = if *again { console.parts.store.request_outcome(operation.id, app, row.id).await? } else { None };
        match outcome.flatten() {
            Some(RequestOutcome::Resolved | RequestOutcome::FailedAgain | RequestOutcome::Gone) => {
                came_through.push((*place, RowOutcome::Reset))
            }
            _ => rest.push(taken.clone()),
        }
    }
    Ok((came_through, rest))
}

/// Turns the outcome of a row that was being reset when the console ended, and now has fewer retries than seen, into a
/// reset.
fn reset_before(row: &OperationRow, outcome: RowOutcome) -> RowOutcome {
    match outcome {
        RowOutcome::Changed { retries: Some(now) } if row.seen_retries.is_some_and(|seen| (0..seen).contains(&now)) => {
            RowOutcome::Reset
        }
        other => other,
    }
}

/// Marks a locked row that was being written when the console ended: the outcome of that write is still unknown.
fn still_unknown(outcome: RowOutcome) -> RowOutcome {
    match outcome {
        RowOutcome::Busy { .. } => RowOutcome::Busy { again: true },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RowId;

    #[test]
    fn busy_rows_are_tried_soon_then_seldom_and_not_for_ever() {
        let pause = |seconds| busy_pause(Duration::from_secs(seconds)).map(|pause| pause.as_secs());
        assert_eq!([pause(0), pause(8), pause(600)], [Some(1), Some(2), Some(30)]);
        assert_eq!(pause(15 * 60), None);
        let first = Busy::after(None, 7);
        assert_eq!(Busy::after(Some(first), 7).since, first.since);
        assert_eq!(Busy::after(Some(first), 9).since, first.since, "more of them are no progress");
        let fewer = Busy::after(Some(first), 6);
        assert_eq!(fewer.rows, 6);
        assert!(fewer.since >= first.since);
    }

    #[test]
    fn a_row_that_was_reset_before_the_console_ended_is_not_called_changed() {
        let row = OperationRow {
            app: "odoo".into(),
            id: RowId(7),
            feed_uri: None,
            event_id: None,
            seen_retries: Some(5),
            copy: None,
            outcome: None,
        };
        let changed = |now| reset_before(&row, RowOutcome::Changed { retries: now });
        assert_eq!(changed(Some(0)), RowOutcome::Reset);
        assert_eq!(changed(Some(4)), RowOutcome::Reset);
        assert_eq!(changed(Some(6)), RowOutcome::Changed { retries: Some(6) });
        assert_eq!(changed(None), RowOutcome::Changed { retries: None });
        assert_eq!(reset_before(&row, RowOutcome::Gone), RowOutcome::Gone);
    }
}
