//! What a person does to a source: planned, put on record, carried out in batches, its outcome recorded.
//!
//! The only thing there is so far is the retry. An action runs in a task of its own: it goes on when the browser that
//! asked for it goes away, and the end of the console waits for it.

use std::time::Duration;

use crate::{
    error::Problem,
    model::{
        EventKey, RowId,
        action::{ActionRow, RowOutcome},
        ledger::RequestKind,
    },
    server::{
        sources::{ResetRow, Source, SourceError},
        state::Console,
        store::{NewAction, StoreError, ledger::Ask},
    },
};

/// Rows that one transaction on a source resets.
const BATCH: usize = 500;

/// How long a request waits for its action; a longer one is followed on its own page.
const PATIENCE: Duration = Duration::from_secs(8);

/// Rows that one form may name.
pub const MOST_ROWS: usize = 1000;

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub struct Actor {
    pub who: String,
    pub address: String,
}

/// A failed event to retry, and the retries the person saw on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenEvent {
    pub key: EventKey,
    pub retries: i64,
}

impl SeenEvent {
    /// Reads the form's `app:id:retries`.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, retries) = text.rsplit_once(':')?;
        let (app, id) = rest.rsplit_once(':')?;
        let key = EventKey { app: app.to_owned(), id: id.parse().ok()? };
        Some(Self { key, retries: retries.parse().ok()? })
    }
}

/// Resets these failed events and answers the action's id, once it is done or has taken longer than a person waits.
///
/// # Errors
/// Nothing was begun: an unknown application, none or too many rows, or the store cannot be written.
pub async fn retry(
    console: &Console,
    actor: Actor,
    events: Vec<SeenEvent>,
    reason: Option<String>,
) -> Result<i64, Problem> {
    if events.is_empty() {
        return Err(Problem::bad_request("No failed event was chosen.", "Select at least one row, then retry."));
    }
    if events.len() > MOST_ROWS {
        return Err(Problem::bad_request(
            format!("{} failed events are more than one selection can hold.", events.len()),
            format!("Select at most {MOST_ROWS}, or retry all exhausted ones of a feed."),
        ));
    }
    let mut rows = Vec::with_capacity(events.len());
    for (app, events) in by_app(events) {
        let source = console.source(&app)?;
        refuse_if_read_only(source)?;
        let ids: Vec<_> = events.iter().map(|event| event.key.id).collect();
        // What the record says of a row beyond its id. A source that does not answer now will not reset either, and
        // the action then says so row by row.
        let found = source.rows(&ids).await.unwrap_or_default();
        rows.extend(events.into_iter().map(|event| {
            let row = found.iter().find(|row| row.id == event.key.id);
            ActionRow {
                app: app.clone(),
                id: event.key.id,
                feed_uri: row.and_then(|row| row.feed_uri.clone()),
                event_id: row.and_then(|row| row.event_id.clone()),
                seen_retries: event.retries,
                outcome: None,
            }
        }));
    }
    let scope = match rows.as_slice() {
        [row] => format!("1 failed event of {}", name_of(console, &row.app)),
        rows => format!("{} selected failed events of {}", rows.len(), names_of(console, rows)),
    };
    let new = NewAction { who: actor.who, address: actor.address, kind: "retry", scope, reason, planned: None };
    let id = console.parts.store.begin_action(&new, &rows).await?;
    let run = console.clone();
    finish_or_leave(console, id, async move {
        let mut apps: Vec<(String, Vec<(i64, ActionRow)>)> = Vec::new();
        for (position, row) in (0..).zip(rows) {
            match apps.iter_mut().find(|(app, _)| *app == row.app) {
                Some((_, rows)) => rows.push((position, row)),
                None => apps.push((row.app.clone(), vec![(position, row)])),
            }
        }
        for (app, rows) in apps {
            let Ok(source) = run.source(&app) else { continue };
            for batch in rows.chunks(BATCH) {
                reset_batch(&run, source, id, batch).await?;
            }
            run.parts.watch.look_again(&app).await;
        }
        run.parts.store.finish_action(id, None).await
    })
    .await;
    Ok(id)
}

/// Resets all exhausted failed events of a feed with an id up to `up_to`, oldest first, and answers the action's id.
///
/// # Errors
/// As [`retry`].
pub async fn retry_feed(
    console: &Console,
    actor: Actor,
    app: &str,
    feed: Option<String>,
    up_to: RowId,
    reason: Option<String>,
) -> Result<i64, Problem> {
    let source = console.source(app)?.clone();
    refuse_if_read_only(&source)?;
    // The first rows are read before anything is put on record: a source that is down is an error, not an action.
    let first = source.exhausted_rows(feed.as_deref(), None, up_to, batch_size()).await?;
    if first.is_empty() {
        return Err(Problem::not_found(
            "This feed has no exhausted failed events any more.",
            "Look at the feed again: somebody else may have retried them.",
        ));
    }
    let name = &source.app().info.name;
    let scope = match &feed {
        Some(feed) => format!("all exhausted failed events of {feed} in {name}"),
        None => format!("all exhausted failed events without a feed address in {name}"),
    };
    // What the record measures the outcome by. Rows that came after the person's plan are not part of it.
    let plan = source.feed_plan(feed.as_deref()).await?;
    let planned = (plan.up_to == Some(up_to)).then_some(plan.exhausted);
    let new = NewAction { who: actor.who, address: actor.address, kind: "retry", scope, reason, planned };
    let id = console.parts.store.begin_action(&new, &[]).await?;
    let run = console.clone();
    finish_or_leave(console, id, async move {
        let mut rows = first;
        let mut ended_early = None;
        while let Some(last) = rows.last().map(|row| row.id) {
            let planned: Vec<_> = rows
                .into_iter()
                .filter_map(|row| {
                    Some(ActionRow {
                        seen_retries: row.retries?,
                        app: row.app,
                        id: row.id,
                        feed_uri: row.feed_uri,
                        event_id: row.event_id,
                        outcome: None,
                    })
                })
                .collect();
            let position = run.parts.store.plan_rows(id, &planned).await?;
            let batch: Vec<_> = (position..).zip(planned).collect();
            reset_batch(&run, &source, id, &batch).await?;
            if run.parts.stopping.is_cancelled() {
                ended_early = Some("The console was ended while the action was under way.".to_owned());
                break;
            }
            rows = match source.exhausted_rows(feed.as_deref(), Some(last), up_to, batch_size()).await {
                Ok(rows) => rows,
                Err(error) => {
                    tracing::warn!(action = id, reason = %error.reason, "a retry of a whole feed ended early");
                    ended_early = Some(error.reason);
                    break;
                }
            };
        }
        run.parts.watch.look_again(&source.app().info.key).await;
        run.parts.store.finish_action(id, ended_early.as_deref()).await
    })
    .await;
    Ok(id)
}

/// Runs an action in a task of its own and waits for it as long as a person would.
async fn finish_or_leave(
    console: &Console,
    id: i64,
    action: impl Future<Output = Result<(), StoreError>> + Send + 'static,
) {
    let task = console.parts.running.spawn(async move {
        if let Err(error) = action.await {
            tracing::error!(action = id, %error, "the outcome of an action could not be recorded");
        }
    });
    let _ = tokio::time::timeout(PATIENCE, task).await;
}

async fn reset_batch(
    console: &Console,
    source: &Source,
    action: i64,
    batch: &[(i64, ActionRow)],
) -> Result<(), StoreError> {
    let rows: Vec<_> = batch.iter().map(|(_, row)| ResetRow { id: row.id, seen_retries: row.seen_retries }).collect();
    let positions: Vec<_> = batch.iter().map(|(position, _)| *position).collect();
    console.parts.store.mark_writing(action, &positions).await?;
    request(console, source, action, batch).await?;
    let outcomes = match source.reset(&rows).await {
        Ok(outcomes) => outcomes,
        Err(SourceError { reason, .. }) => vec![RowOutcome::Failed { reason }; rows.len()],
    };
    let reset = outcomes.iter().filter(|outcome| **outcome == RowOutcome::Reset).count();
    tracing::info!(action, application = %source.app().info.name, rows = rows.len(), reset, "retried failed events");
    let untouched: Vec<RowId> = batch
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| !matches!(outcome, RowOutcome::Reset | RowOutcome::Uncertain { .. }))
        .map(|((_, row), _)| row.id)
        .collect();
    console.parts.store.withdraw(&source.app().info.key, action, &untouched).await?;
    let outcomes: Vec<_> = positions.into_iter().zip(outcomes).collect();
    console.parts.store.record_outcomes(action, &outcomes).await
}

/// Puts into the ledger what is about to be asked of the rows: the watcher then tells what became of it.
async fn request(
    console: &Console,
    source: &Source,
    action: i64,
    batch: &[(i64, ActionRow)],
) -> Result<(), StoreError> {
    let who = console.parts.store.action(action).await?.map(|action| action.who).unwrap_or_default();
    let asks: Vec<Ask> = batch
        .iter()
        .map(|(_, row)| Ask { row_id: row.id, event_id: row.event_id.clone(), retries_before: Some(row.seen_retries) })
        .collect();
    console.parts.store.ask(&source.app().info.key, RequestKind::Retry, action, &who, &asks).await?;
    Ok(())
}

fn refuse_if_read_only(source: &Source) -> Result<(), Problem> {
    let info = &source.app().info;
    if info.read_only {
        return Err(Problem::refused(
            format!("The configuration allows no action on {}.", info.name),
            "Ask the administrator, who can change read_only in the configuration.",
        ));
    }
    Ok(())
}

fn by_app(events: Vec<SeenEvent>) -> Vec<(String, Vec<SeenEvent>)> {
    let mut apps: Vec<(String, Vec<SeenEvent>)> = Vec::new();
    for event in events {
        match apps.iter_mut().find(|(app, _)| *app == event.key.app) {
            // A row that the form names twice is reset once.
            Some((_, of_app)) if of_app.iter().any(|seen| seen.key == event.key) => {}
            Some((_, of_app)) => of_app.push(event),
            None => apps.push((event.key.app.clone(), vec![event])),
        }
    }
    apps
}

fn name_of(console: &Console, app: &str) -> String {
    console.applications().find(|info| info.key == app).map_or_else(|| app.to_owned(), |info| info.name.clone())
}

fn names_of(console: &Console, rows: &[ActionRow]) -> String {
    let names: Vec<_> = console
        .applications()
        .filter(|info| rows.iter().any(|row| row.app == info.key))
        .map(|info| info.name.as_str())
        .collect();
    names.join(", ")
}

fn batch_size() -> u32 {
    u32::try_from(BATCH).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_form_names_application_id_and_the_retries_seen() {
        let seen = SeenEvent::parse("odoo:18446744073709551615:-2").unwrap();
        assert_eq!(seen.key, EventKey { app: "odoo".into(), id: RowId(i128::from(u64::MAX)) });
        assert_eq!(seen.retries, -2);
        for text in ["", "odoo", "odoo:5", "odoo:x:5", "odoo:5:", "odoo:5:1.5", ":"] {
            assert_eq!(SeenEvent::parse(text), None, "{text:?}");
        }
    }
}
