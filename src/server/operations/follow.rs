//! Work after an operation's own part: sets a reset again, a few times, if a running consumer wrote its own count over
//! it; and removes what has expired (plans that were not started, old copies of discarded events, old history).

use std::time::Duration;

use chrono::TimeDelta;

use super::allowed;
use crate::{
    clock,
    model::{
        audit::{AuditKind, AuditOutcome},
        ledger::{RequestKind, RequestOutcome},
        operation::RowOutcome,
    },
    server::{
        security::audit::Entry,
        sources::ResetRow,
        state::Console,
        store::{StoreError, ledger::Ask},
    },
};

/// Interval of the search for lost resets.
const LOOK: Duration = Duration::from_secs(5);

/// Interval of the search for expired copies, plans and history.
const SWEEP: Duration = Duration::from_secs(3600);

/// How often a reset is set again before that is left to the users.
pub(super) const MOST_AGAIN: u32 = 3;

/// Age at which plans that were not started are deleted.
const PLANS_LAST: TimeDelta = TimeDelta::days(1);

/// Rows that are read at a time.
const PAGE: u32 = 500;

/// Runs until the console ends.
pub async fn housekeeping(console: Console) {
    let mut swept: Option<tokio::time::Instant> = None;
    loop {
        if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            swept = Some(tokio::time::Instant::now());
            if let Err(error) = sweep(&console).await {
                tracing::error!(%error, "old plans and copies could not be ended");
            }
        }
        if let Err(error) = set_again(&console).await {
            tracing::error!(%error, "lost resets could not be searched for");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = console.parts.stopping.cancelled() => return,
        }
    }
}

async fn sweep(console: &Console) -> Result<(), StoreError> {
    let store = &console.parts.store;
    store.drop_old_plans(clock::now() - PLANS_LAST).await?;
    if let Some(keep) = console.parts.config.keep_discarded {
        let before = clock::now() - keep;
        if store.has_copies_before(before).await? {
            let what = format!("copies of what was discarded before {}", before.format("%Y-%m-%d %H:%M UTC"));
            on_record(console, AuditKind::CopiesRemoved, &what, store.end_copies(before)).await?;
        }
    }
    if let Some(keep) = console.parts.config.keep_history {
        let before = clock::now() - keep;
        let forgotten = store.forget_history(before);
        if store.has_history_before(before).await? {
            let what = format!("the history of what left its table before {}", before.format("%Y-%m-%d %H:%M UTC"));
            on_record(console, AuditKind::HistoryRemoved, &what, forgotten).await?;
        } else {
            // Only the charts' old hours of events still in their table are deleted; no event is lost.
            forgotten.await?;
        }
    }
    Ok(())
}

/// Removes what has expired. Recorded before it happens, and afterwards with the number of what was removed.
async fn on_record(
    console: &Console,
    kind: AuditKind,
    what: &str,
    remove: impl Future<Output = Result<u64, StoreError>>,
) -> Result<(), StoreError> {
    let entry = |what: String| Entry::of_console(kind).what(what);
    let audit = &console.parts.audit;
    if audit.record(entry(what.to_owned()).outcome(AuditOutcome::Begun)).await.is_err() {
        // What cannot be recorded does not happen; the log has the reason.
        return Ok(());
    }
    let removed = remove.await?;
    // The removal is done; if this cannot be recorded, the log says so.
    let _ = audit.record(entry(format!("{what}: {removed}"))).await;
    Ok(())
}

/// Sets resets again that the consumer wrote over, each at most [`MOST_AGAIN`] times, for the operation that they
/// belong to.
async fn set_again(console: &Console) -> Result<(), StoreError> {
    for operation in console.parts.store.overwritten().await? {
        let outcome = Some(Some(RequestOutcome::Overwritten));
        let lost = console.parts.store.requests_of(operation, outcome, None, PAGE).await?;
        for (_, request, event) in lost {
            let Ok(source) = console.source(&event.app) else { continue };
            if allowed(source).is_err() {
                continue;
            }
            let Some(retries) = event.retries.filter(|_| event.state.is_open()) else { continue };
            let store = &console.parts.store;
            let Some(place) = store.once_more(operation, &event.app, event.row_id, MOST_AGAIN).await? else { continue };
            let ask = Ask { row_id: event.row_id, event_id: event.event_id.clone(), retries_before: Some(retries) };
            store.ask(&event.app, RequestKind::Retry, operation, &request.who, &[ask]).await?;
            let what = format!("a lost reset of failed event {} is set again", event.row_id);
            let entry = Entry::of_console(AuditKind::Retried).app(&event.app).what(what).action(operation);
            // What cannot be recorded does not happen; the log has the reason.
            if console.parts.audit.record(entry).await.is_err() {
                store.withdraw(&event.app, operation, &[event.row_id]).await?;
                continue;
            }
            let row = ResetRow { id: event.row_id, seen_retries: retries };
            // A poll that began before this record decides nothing about the row.
            store.record_outcomes(operation, &[(place, RowOutcome::Reset)]).await?;
            let reset = source.reset(&[row]).await;
            store.record_outcomes(operation, &[(place, RowOutcome::Reset)]).await?;
            let done = matches!(reset.as_deref(), Ok([RowOutcome::Reset | RowOutcome::Uncertain { .. }]));
            tracing::info!(operation, application = event.app, row = %event.row_id, done, "a lost reset was set again");
            if !done {
                store.withdraw(&event.app, operation, &[event.row_id]).await?;
            }
        }
    }
    Ok(())
}
