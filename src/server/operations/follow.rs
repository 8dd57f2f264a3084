//! What goes on after an operation's own part: a reset that a running consumer wrote its own count over is set again, a
//! few times; and what has had its time is ended (plans that nobody started, copies whose term is over).

use std::time::Duration;

use chrono::{TimeDelta, Utc};

use super::allowed;
use crate::{
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

/// How often it is looked for lost resets.
const LOOK: Duration = Duration::from_secs(5);

/// How often copies and plans are looked through.
const SWEEP: Duration = Duration::from_secs(3600);

/// How often a reset is set again before that is left to people.
pub(super) const MOST_AGAIN: u32 = 3;

/// Plans that nobody starts are thrown away after so long.
const PLANS_LAST: TimeDelta = TimeDelta::days(1);

/// Rows of one look.
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
            tracing::error!(%error, "lost resets could not be looked for");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = console.parts.stopping.cancelled() => return,
        }
    }
}

async fn sweep(console: &Console) -> Result<(), StoreError> {
    let store = &console.parts.store;
    store.drop_old_plans(Utc::now() - PLANS_LAST).await?;
    if let Some(keep) = console.parts.config.keep_discarded {
        let before = Utc::now() - keep;
        if store.has_copies_before(before).await? {
            let what = format!("copies of what was discarded before {}", before.format("%Y-%m-%d %H:%M UTC"));
            on_record(console, AuditKind::CopiesRemoved, &what, store.end_copies(before)).await?;
        }
    }
    if let Some(keep) = console.parts.config.keep_history {
        let before = Utc::now() - keep;
        let forgotten = store.forget_history(before);
        if store.has_history_before(before).await? {
            let what = format!("the history of what left its table before {}", before.format("%Y-%m-%d %H:%M UTC"));
            on_record(console, AuditKind::HistoryRemoved, &what, forgotten).await?;
        } else {
            // Of what is still in its table the charts forget the old hours, and no event is lost.
            forgotten.await?;
        }
    }
    Ok(())
}

/// Removes what has had its time: on record before it happens, and with the number of what went afterwards.
async fn on_record(
    console: &Console,
    kind: AuditKind,
    what: &str,
    remove: impl Future<Output = Result<u64, StoreError>>,
) -> Result<(), StoreError> {
    let entry = |what: String| Entry::of_console(kind).what(what);
    let audit = &console.parts.audit;
    if audit.record(entry(what.to_owned()).outcome(AuditOutcome::Begun)).await.is_err() {
        // What cannot be recorded does not happen; the log says why.
        return Ok(());
    }
    let removed = remove.await?;
    // It is done; that this cannot be written is in the log.
    let _ = audit.record(entry(format!("{what}: {removed}"))).await;
    Ok(())
}

/// Sets resets again that the consumer wrote over, each at most [`MOST_AGAIN`] times, by the operation that they belong
/// to.
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
            // What cannot be recorded does not happen; the log says why.
            if console.parts.audit.record(entry).await.is_err() {
                store.withdraw(&event.app, operation, &[event.row_id]).await?;
                continue;
            }
            let row = ResetRow { id: event.row_id, seen_retries: retries };
            // A look that has begun before it is recorded anew decides nothing of the row.
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
