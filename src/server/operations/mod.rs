//! What users do to failed events: retry, discard, restore. Each is an operation: planned with every row, recorded,
//! carried out in batches, and followed until its outcome is known.
//!
//! - `plan` stores the rows before anything is changed; events that arrive later are not added.
//! - `run` processes them, oldest first, and survives a lost source and the end of the console.
//! - `progress` returns which feeds have a retry in progress.
//! - `follow` sets a reset again that a running consumer wrote over, and removes what has expired.
//!
//! An operation has its own task: it continues when the browser disconnects, and the console ends only after the batch
//! that is being written.

mod follow;
mod page;
mod plan;
mod progress;
mod run;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::Utc;

use crate::{
    error::Problem,
    model::{
        ApplicationInfo, EventKey, FailedEventRow, Person,
        audit::{AuditKind, AuditOutcome},
        error_text::shortened,
        ledger::RequestKind,
        operation::{Operation, OperationRow, OutcomeCounts, Pace, Stage},
    },
    server::{groups, security::audit::Entry, sources::Source, state::Console, store::NewOperation},
};

pub use follow::housekeeping;
pub use page::page;
pub use plan::{Matching, plan};
pub use progress::{FeedsOfRetries, retries};

/// How long a request waits for its operation; a longer one has its own page.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long the start of an operation waits for its end.
const MOMENT: Duration = Duration::from_secs(2);

/// Maximum number of rows in one form.
pub const MOST_ROWS: usize = 1000;

/// The user of an action, their authentication, and their address.
#[derive(Clone, Debug)]
pub struct Actor {
    pub who: String,
    pub signed_in_by: String,
    pub address: String,
}

impl Actor {
    /// Returns this person as the actor, at this address.
    pub fn of(person: &Person, address: String) -> Self {
        Self { who: person.name.clone(), signed_in_by: person.known_by.word().to_owned(), address }
    }

    /// Begins an audit entry about an action of the actor.
    pub fn entry(&self, kind: AuditKind) -> Entry {
        Entry::new(&self.who, &self.signed_in_by, &self.address, kind)
    }
}

/// A failed event to retry, and the number of retries that the user saw.
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

/// The operations that have a task now, each with whether only rows locked by others are left. Waiting callers are
/// notified when that changes, and when the operation ends.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<tokio::sync::Mutex<BTreeMap<i64, bool>>>, Arc<tokio::sync::Notify>);

/// A change of an operation's stage that is recorded in the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StageChange {
    /// The plan was deleted before it began.
    Dropped,
    Begun,
    Paused,
    Resumed,
    Cancelled,
    Ended,
}

impl StageChange {
    fn word(self) -> &'static str {
        match self {
            StageChange::Dropped => "plan cancelled",
            StageChange::Begun => "begun",
            StageChange::Paused => "paused",
            StageChange::Resumed => "resumed",
            StageChange::Cancelled => "cancelled",
            StageChange::Ended => "ended",
        }
    }
}

/// Records a change of stage in the audit log. All changes of all operations are recorded here.
///
/// # Errors
/// Fails if the audit log cannot be written: the change must not happen.
async fn on_record(
    console: &Console,
    operation: &Operation,
    stage_change: StageChange,
    actor: &Actor,
) -> Result<(), Problem> {
    let kind = match operation.kind {
        RequestKind::Retry => AuditKind::Retried,
        RequestKind::Discard => AuditKind::Discarded,
        RequestKind::Restore => AuditKind::Restored,
    };
    let (outcome, what) = match stage_change {
        StageChange::Dropped => {
            (AuditOutcome::Done, format!("plan cancelled, nothing was changed: {}", operation.scope))
        }
        StageChange::Begun => (AuditOutcome::Begun, operation.scope.clone()),
        StageChange::Ended | StageChange::Cancelled => {
            let counts = console.parts.store.operation(operation.id).await?.map(|operation| operation.counts);
            let (outcome, what) = in_words(&counts.unwrap_or_default());
            (outcome, if stage_change == StageChange::Cancelled { format!("cancelled; {what}") } else { what })
        }
        StageChange::Paused | StageChange::Resumed => (AuditOutcome::Done, stage_change.word().to_owned()),
    };
    let mut entry = actor.entry(kind).what(what).reason(operation.reason.as_deref()).action(operation.id);
    if let [app] = console.parts.store.apps_of(operation.id).await?.as_slice() {
        entry = entry.app(app);
    }
    let entry = entry.outcome(outcome);
    match stage_change {
        // Before the first rows are written, they are marked on the disk, and this entry gets there with that.
        StageChange::Begun => console.parts.audit.record_ahead(entry).await?,
        _ => drop(console.parts.audit.record(entry).await?),
    }
    tracing::info!(operation = operation.id, kind = ?operation.kind, who = actor.who, "operation {}", stage_change.word());
    Ok(())
}

/// The same for what the console did by itself: if it cannot be recorded, the log says so.
async fn on_record_of_itself(console: &Console, operation: &Operation, stage_change: StageChange) {
    let actor = match stage_change {
        StageChange::Ended => {
            Actor { who: operation.who.clone(), signed_in_by: String::new(), address: operation.address.clone() }
        }
        _ => Actor { who: "console".to_owned(), signed_in_by: String::new(), address: String::new() },
    };
    if let Err(problem) = on_record(console, operation, stage_change, &actor).await {
        tracing::error!(operation = operation.id, %problem, "a milestone of an operation is not on record");
    }
}

/// Describes the state of an operation for the audit log.
fn in_words(counts: &OutcomeCounts) -> (AuditOutcome, String) {
    let done = counts.done();
    let outcome = match done {
        done if done == counts.asked => AuditOutcome::Done,
        0 => AuditOutcome::Failed,
        _ => AuditOutcome::Partly,
    };
    let OutcomeCounts { asked, already_there, changed, gone, too_long, failed, uncertain, busy, .. } = counts;
    let mut what = format!("{done} of {asked} done");
    for (count, word) in [
        (already_there, "there again"),
        (changed, "changed meanwhile"),
        (gone, "gone"),
        (too_long, "too long"),
        (failed, "failed"),
        (uncertain, "uncertain"),
        (busy, "busy"),
    ] {
        if *count > 0 {
            what.push_str(&format!(", {count} {word}"));
        }
    }
    (outcome, what)
}

/// Checks whether the configuration allows actions on a source. This is checked only here. The user's right to the
/// operation is checked before.
///
/// # Errors
/// Fails if the configuration forbids every action on the application.
fn allowed(source: &Source) -> Result<(), Problem> {
    let info = &source.app().info;
    if info.read_only {
        return Err(Problem::refused(
            format!("No action is allowed on {} (read_only in the configuration).", info.name),
            "The administrator can change this setting.",
        ));
    }
    Ok(())
}

/// Retries these failed events now, and returns the operation's id when it has ended or the request has waited long
/// enough. It does not wait for a source that does not answer: its rows are given up, and the outcome says so.
///
/// # Errors
/// Fails before anything begins: an unknown application, no or too many rows, or the store cannot be written.
pub async fn retry(
    console: &Console,
    actor: Actor,
    events: Vec<SeenEvent>,
    reason: Option<String>,
) -> Result<i64, Problem> {
    let mut left_out = plan::LeftOut::default();
    let rows = plan::chosen(console, RequestKind::Retry, &events, &mut left_out).await?;
    let id = begin_retry(console, &actor, &rows, &left_out, reason).await?;
    run::wait(console, id, PATIENCE).await;
    Ok(id)
}

/// The same for rows of one source that were just read and are not read again.
///
/// # Errors
/// Fails as [`retry`] does.
pub async fn retry_rows(
    console: &Console,
    actor: Actor,
    source: &Source,
    rows: Vec<FailedEventRow>,
    reason: Option<String>,
) -> Result<i64, Problem> {
    allowed(source)?;
    let mut left_out = plan::LeftOut::default();
    let rows = plan::of_rows(rows, &mut left_out);
    let id = begin_retry(console, &actor, &rows, &left_out, reason).await?;
    run::wait_for_end(console, id, PATIENCE).await;
    Ok(id)
}

async fn begin_retry(
    console: &Console,
    actor: &Actor,
    rows: &[OperationRow],
    left_out: &plan::LeftOut,
    reason: Option<String>,
) -> Result<i64, Problem> {
    if rows.is_empty() {
        return Err(plan::nothing_left(left_out));
    }
    let scope = plan::scope_of_rows(console, rows);
    let store = &console.parts.store;
    let id = new(console, actor, RequestKind::Retry, scope, reason, false).await?;
    store.plan_rows(id, rows).await?;
    if left_out.untitled > 0 {
        store.count_untitled(id, left_out.untitled).await?;
    }
    store.close_plan(id, left_out.sentence().as_deref()).await?;
    if let Err(problem) = start(console, actor, id, None, Pace::default()).await {
        // The caller gets the reason why it did not start, not why the plan could not be removed.
        if let Err(error) = store.drop_plan(id).await {
            tracing::error!(operation = id, %error, "the plan of a retry that did not start could not be removed");
        }
        return Err(problem);
    }
    Ok(id)
}

async fn new(
    console: &Console,
    actor: &Actor,
    kind: RequestKind,
    scope: String,
    reason: Option<String>,
    waits: bool,
) -> Result<i64, Problem> {
    let (who, address) = (actor.who.clone(), actor.address.clone());
    Ok(console.parts.store.new_operation(&NewOperation { who, address, kind, scope, reason, waits }).await?)
}

/// Starts a planned operation.
///
/// # Errors
/// Fails if the plan no longer exists, a discard has no reason, or the configuration forbids it.
pub async fn start(
    console: &Console,
    actor: &Actor,
    id: i64,
    reason: Option<String>,
    pace: Pace,
) -> Result<(), Problem> {
    let store = &console.parts.store;
    let operation = find(console, id).await?;
    if operation.stage == Stage::Planning {
        return Err(Problem::conflict("The plan is still being created.", "Reload the page in a moment."));
    }
    if operation.kind == RequestKind::Discard && reason.is_none() && operation.reason.is_none() {
        return Err(
            Problem::bad_request("A discard needs a reason.", "Write why these events are not needed.").at("reason")
        );
    }
    for app in store.apps_of(id).await? {
        allowed(console.source(&app)?)?;
    }
    let begun_before =
        || Problem::conflict("This operation was already started, or its plan was cancelled.", "See Operations.");
    if operation.stage != Stage::Draft {
        return Err(begun_before());
    }
    // Recorded first: what cannot be recorded does not happen.
    let planned = Operation { reason: reason.clone().or(operation.reason.clone()), ..operation };
    on_record(console, &planned, StageChange::Begun, actor).await?;
    if !store.start_operation(id, &actor.who, &actor.address, reason.as_deref(), pace).await? {
        return Err(begun_before());
    }
    run::spawn(console, id).await;
    Ok(())
}

/// Waits a moment, so that a short operation has ended when its page is next shown.
pub async fn wait_a_moment(console: &Console, id: i64) {
    run::wait(console, id, MOMENT).await;
}

/// Deletes a plan that has not begun: one's own, or any for a user with the right to discard.
///
/// # Errors
/// Fails if it has begun or belongs to another user; or if the audit log cannot be written, and the plan remains.
pub async fn drop_plan(console: &Console, person: &Person, actor: &Actor, id: i64) -> Result<(), Problem> {
    let operation = find(console, id).await?;
    if operation.who != person.name && !person.may(RequestKind::Discard.right()) {
        return Err(Problem::refused(
            format!("This plan belongs to {}.", operation.who),
            "Administrators can cancel plans. Unused plans are removed after a day.",
        ));
    }
    let begun = || Problem::conflict("This operation has already started.", "Pause or cancel it on its page.");
    if !matches!(operation.stage, Stage::Planning | Stage::Draft) {
        return Err(begun());
    }
    on_record(console, &operation, StageChange::Dropped, actor).await?;
    if console.parts.store.drop_plan(id).await? { Ok(()) } else { Err(begun()) }
}

/// Pauses an operation after the batch that is being written.
///
/// # Errors
/// Fails if it is not under way.
pub async fn pause(console: &Console, actor: &Actor, id: i64) -> Result<(), Problem> {
    let note = format!("Paused by {}.", actor.who);
    turn(console, actor, id, &[Stage::Running, Stage::Trying], Stage::Paused, Some(note), StageChange::Paused).await
}

/// Continues an operation that is paused or waits for the outcome of its first rows.
///
/// # Errors
/// Fails if it is not under way.
pub async fn resume(console: &Console, actor: &Actor, id: i64) -> Result<(), Problem> {
    const FROM: [Stage; 2] = [Stage::Paused, Stage::Trying];
    let operation = find(console, id).await?;
    if !FROM.contains(&operation.stage) {
        return Err(elsewhere(&operation));
    }
    on_record(console, &operation, StageChange::Resumed, actor).await?;
    let store = &console.parts.store;
    if let Some(first) = operation.pace.try_first
        && store.taken(id).await? >= u64::from(first.rows)
    {
        store.tried(id).await?;
    }
    if !store.set_stage(id, &FROM, Stage::Running, None).await? {
        return Err(elsewhere(&find(console, id).await?));
    }
    run::spawn(console, id).await;
    Ok(())
}

/// Cancels an operation: rows that it did not reach are unchanged.
///
/// # Errors
/// Fails if it is not under way.
pub async fn cancel(console: &Console, actor: &Actor, id: i64) -> Result<(), Problem> {
    let note = format!("Cancelled by {}. Events not yet processed are unchanged.", actor.who);
    let from = [Stage::Running, Stage::Trying, Stage::Paused];
    turn(console, actor, id, &from, Stage::Cancelled, Some(note), StageChange::Cancelled).await?;
    Ok(run::cancelled(console, id).await?)
}

async fn turn(
    console: &Console,
    actor: &Actor,
    id: i64,
    from: &[Stage],
    to: Stage,
    note: Option<String>,
    stage_change: StageChange,
) -> Result<(), Problem> {
    let operation = find(console, id).await?;
    if !from.contains(&operation.stage) {
        return Err(elsewhere(&operation));
    }
    on_record(console, &operation, stage_change, actor).await?;
    if !console.parts.store.set_stage(id, from, to, note.as_deref()).await? {
        return Err(elsewhere(&find(console, id).await?));
    }
    Ok(())
}

fn elsewhere(operation: &Operation) -> Problem {
    let what = match operation.stage {
        Stage::Planning | Stage::Draft => "This operation has not started.",
        Stage::Running | Stage::Trying => "This operation is already running.",
        Stage::Paused => "This operation is already paused.",
        Stage::Ended => "This operation has already ended.",
        Stage::Cancelled => "This operation is already cancelled.",
    };
    Problem::conflict(what, "See Operations.")
}

/// Returns one operation with its counts.
///
/// # Errors
/// Fails if there is no such operation, or the user may not see it.
pub async fn counted(console: &Console, id: i64) -> Result<Operation, Problem> {
    let alone = find(console, id).await?;
    Ok(as_seen(console, console.parts.store.operation(id).await?.unwrap_or(alone)).await)
}

/// Returns an operation without the names of applications that the user may not see, which may be in its scope and in
/// what was left out. Its group is named if the user may read error texts. For operations older than the kept history,
/// results may be deleted: it does not report them as not followed.
pub async fn as_seen(console: &Console, mut operation: Operation) -> Operation {
    let keep = console.parts.config.keep_history;
    if keep.is_some_and(|keep| Utc::now() - operation.started_at > keep) {
        operation.followed.unfollowed = 0;
    }
    if console.only().is_some() {
        let hidden = |info: &&ApplicationInfo| !console.shows(&info.key);
        let named = |info: &ApplicationInfo| operation.scope.contains(&info.name);
        if console.parts.config.infos().into_iter().filter(hidden).any(named) {
            operation.scope = "failed events".to_owned();
        }
        operation.left_out = None;
    }
    name_group(console, &mut operation.scope).await;
    operation
}

/// Replaces a group's number in the scope by its name. The number is stored, because the name is made of an error text,
/// which not everyone may read. It remains if the group is no longer known.
async fn name_group(console: &Console, scope: &mut String) {
    const BEFORE: &str = "of group ";
    const LONGEST: usize = 80;
    let Some((before, rest)) = scope.split_once(BEFORE) else { return };
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (number, after) = rest.split_at(digits);
    let Ok(number) = number.parse() else { return };
    if let Ok(title) = groups::title(console, number).await {
        *scope = format!("{before}of “{}”{after}", shortened(&title, LONGEST));
    }
}

/// Returns one operation without its counts.
///
/// # Errors
/// Fails if there is no such operation; the same if it concerns applications that the user may not see.
pub async fn find(console: &Console, id: i64) -> Result<Operation, Problem> {
    let seen = console.parts.store.operation_is_within(id, console.only()).await?;
    let operation = if seen { console.parts.store.operation_alone(id).await? } else { None };
    operation.ok_or_else(|| {
        let todo = match console.only() {
            None => "A plan that is not started is removed after a day.",
            Some(_) => {
                "It may be about applications that you may not see. A plan that is not started is removed after a day."
            }
        };
        Problem::not_found(format!("There is no operation {id}."), todo)
    })
}

/// Continues the operations that were under way when the console ended.
///
/// # Errors
/// Fails if the store cannot be used.
pub async fn go_on(console: &Console) -> Result<(), crate::server::store::StoreError> {
    let store = &console.parts.store;
    store.drop_unfinished_plans().await?;
    store.end_writing(None).await?;
    store.carry_notes_over().await?;
    for id in store.under_way().await? {
        tracing::info!(operation = id, "the console goes on with an operation that was under way when it ended");
        run::spawn(console, id).await;
    }
    Ok(())
}

/// Returns the keys of the rows' applications, each once, in their order.
fn apps_of(rows: &[OperationRow]) -> Vec<&str> {
    let mut apps: Vec<&str> = Vec::new();
    for row in rows {
        if !apps.contains(&row.app.as_str()) {
            apps.push(&row.app);
        }
    }
    apps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RowId;

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
