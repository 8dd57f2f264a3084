//! What a person does to failed events: retried, discarded, put back. Each is an operation: planned with every row,
//! put on record, carried out in batches, followed until its outcome is known.
//!
//! - `plan` writes down which rows, before anything is touched; nothing that arrives later joins.
//! - `run` takes them, oldest first, and survives a lost source and the console's own end.
//! - `progress` tells which feeds have a retry in progress.
//! - `follow` sets a reset again that a running consumer wrote over, and ends what has had its time.
//!
//! An operation runs in a task of its own: it goes on when the browser that asked for it goes away, and the end of the
//! console waits for the batch that is being written.

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

/// How long a request waits for its operation; a longer one is followed on its own page.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long the start of an operation waits for its end.
const MOMENT: Duration = Duration::from_secs(2);

/// Rows that one form may name.
pub const MOST_ROWS: usize = 1000;

/// Who asks, how they had signed in, and from where.
#[derive(Clone, Debug)]
pub struct Actor {
    pub who: String,
    pub signed_in_by: String,
    pub address: String,
}

impl Actor {
    /// This person, asking from this address.
    pub fn of(person: &Person, address: String) -> Self {
        Self { who: person.name.clone(), signed_in_by: person.known_by.word().to_owned(), address }
    }

    /// The beginning of an audit entry about what they do.
    pub fn entry(&self, kind: AuditKind) -> Entry {
        Entry::new(&self.who, &self.signed_in_by, &self.address, kind)
    }
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

/// The operations that have a task of their own now, and whether nothing but rows that others have locked is left of
/// each. Who waits for one is woken when that changes, and when it ends.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<tokio::sync::Mutex<BTreeMap<i64, bool>>>, Arc<tokio::sync::Notify>);

/// A moment in an operation's life that is put on record beside the operation itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Milestone {
    /// The plan was thrown away; nothing had begun.
    Dropped,
    Begun,
    Paused,
    Resumed,
    Cancelled,
    Ended,
}

impl Milestone {
    fn word(self) -> &'static str {
        match self {
            Milestone::Dropped => "plan cancelled",
            Milestone::Begun => "begun",
            Milestone::Paused => "paused",
            Milestone::Resumed => "resumed",
            Milestone::Cancelled => "cancelled",
            Milestone::Ended => "ended",
        }
    }
}

/// The one place where the milestones of all operations come by: each goes into the audit log.
///
/// # Errors
/// The audit log cannot be written: what was to be done must not be.
async fn on_record(
    console: &Console,
    operation: &Operation,
    milestone: Milestone,
    actor: &Actor,
) -> Result<(), Problem> {
    let kind = match operation.kind {
        RequestKind::Retry => AuditKind::Retried,
        RequestKind::Discard => AuditKind::Discarded,
        RequestKind::Restore => AuditKind::Restored,
    };
    let (outcome, what) = match milestone {
        Milestone::Dropped => (AuditOutcome::Done, format!("plan cancelled, nothing was changed: {}", operation.scope)),
        Milestone::Begun => (AuditOutcome::Begun, operation.scope.clone()),
        Milestone::Ended | Milestone::Cancelled => {
            let counts = console.parts.store.operation(operation.id).await?.map(|operation| operation.counts);
            let (outcome, what) = in_words(&counts.unwrap_or_default());
            (outcome, if milestone == Milestone::Cancelled { format!("cancelled; {what}") } else { what })
        }
        Milestone::Paused | Milestone::Resumed => (AuditOutcome::Done, milestone.word().to_owned()),
    };
    let mut entry = actor.entry(kind).what(what).reason(operation.reason.as_deref()).action(operation.id);
    if let [app] = console.parts.store.apps_of(operation.id).await?.as_slice() {
        entry = entry.app(app);
    }
    console.parts.audit.record(entry.outcome(outcome)).await?;
    tracing::info!(operation = operation.id, kind = ?operation.kind, who = actor.who, "operation {}", milestone.word());
    Ok(())
}

/// The same for what the console does by itself: it is done already, and the log says so where that cannot be recorded.
async fn on_record_of_itself(console: &Console, operation: &Operation, milestone: Milestone) {
    let actor = match milestone {
        Milestone::Ended => {
            Actor { who: operation.who.clone(), signed_in_by: String::new(), address: operation.address.clone() }
        }
        _ => Actor { who: "console".to_owned(), signed_in_by: String::new(), address: String::new() },
    };
    if let Err(problem) = on_record(console, operation, milestone, &actor).await {
        tracing::error!(operation = operation.id, %problem, "a milestone of an operation is not on record");
    }
}

/// How an operation stands, for the audit log.
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

/// The one place where it is asked whether anything may be done to a source. Who may ask for it at all is decided before,
/// by the right that the operation needs.
///
/// # Errors
/// The configuration forbids every action on the application.
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

/// Retries these failed events at once and answers the operation's id, once it is done or has taken longer than a person
/// waits. A source that does not answer is not waited for: its rows are given up, and the outcome says so.
///
/// # Errors
/// Nothing was begun: an unknown application, none or too many rows, or the store cannot be written.
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

/// The same for rows of one source as they were read a moment ago, which are not read again.
///
/// # Errors
/// As [`retry`].
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
        // Why it did not start is the answer, not that the plan could not be removed for the same reason.
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
/// There is no such plan any more; a discard without a reason; the configuration forbids it.
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
    // On record first: what cannot be recorded does not happen.
    let planned = Operation { reason: reason.clone().or(operation.reason.clone()), ..operation };
    on_record(console, &planned, Milestone::Begun, actor).await?;
    if !store.start_operation(id, &actor.who, &actor.address, reason.as_deref(), pace).await? {
        return Err(begun_before());
    }
    run::spawn(console, id).await;
    Ok(())
}

/// Waits as long as nobody minds: a short operation is over when its page is next seen.
pub async fn wait_a_moment(console: &Console, id: i64) {
    run::wait(console, id, MOMENT).await;
}

/// Throws a plan away that has not begun: one's own, or as somebody who may do everything.
///
/// # Errors
/// It has begun, or it is somebody else's; or the audit log cannot be written, and the plan stays.
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
    on_record(console, &operation, Milestone::Dropped, actor).await?;
    if console.parts.store.drop_plan(id).await? { Ok(()) } else { Err(begun()) }
}

/// Pauses an operation after the batch that is being written.
///
/// # Errors
/// It is not under way.
pub async fn pause(console: &Console, actor: &Actor, id: i64) -> Result<(), Problem> {
    let note = format!("Paused by {}.", actor.who);
    turn(console, actor, id, &[Stage::Running, Stage::Trying], Stage::Paused, Some(note), Milestone::Paused).await
}

/// Lets a paused operation go on, or one that waits for the outcome of its first rows.
///
/// # Errors
/// It is not under way.
pub async fn resume(console: &Console, actor: &Actor, id: i64) -> Result<(), Problem> {
    const FROM: [Stage; 2] = [Stage::Paused, Stage::Trying];
    let operation = find(console, id).await?;
    if !FROM.contains(&operation.stage) {
        return Err(elsewhere(&operation));
    }
    on_record(console, &operation, Milestone::Resumed, actor).await?;
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

/// Cancels an operation: what it did not reach stays as it is.
///
/// # Errors
/// It is not under way.
pub async fn cancel(console: &Console, actor: &Actor, id: i64) -> Result<(), Problem> {
    let note = format!("Cancelled by {}. Events not yet processed are unchanged.", actor.who);
    let from = [Stage::Running, Stage::Trying, Stage::Paused];
    turn(console, actor, id, &from, Stage::Cancelled, Some(note), Milestone::Cancelled).await?;
    Ok(run::cancelled(console, id).await?)
}

async fn turn(
    console: &Console,
    actor: &Actor,
    id: i64,
    from: &[Stage],
    to: Stage,
    note: Option<String>,
    milestone: Milestone,
) -> Result<(), Problem> {
    let operation = find(console, id).await?;
    if !from.contains(&operation.stage) {
        return Err(elsewhere(&operation));
    }
    on_record(console, &operation, milestone, actor).await?;
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

/// One operation with its counts.
///
/// # Errors
/// There is none with this id, or none that may be seen.
pub async fn counted(console: &Console, id: i64) -> Result<Operation, Problem> {
    let alone = find(console, id).await?;
    Ok(as_seen(console, console.parts.store.operation(id).await?.unwrap_or(alone)).await)
}

/// An operation without the names of applications that may not be seen: they can stand in what was asked for and in what
/// was left out. A group that it is about has its name, as far as error texts may be read. Of one from before what the history
/// keeps, results may be forgotten: it is not said that they were not followed.
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

/// Puts a group's name where what was asked for has its number. On record is the number: the name is made of an error text,
/// which not everybody may read. It stays where the group is not known any more.
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

/// One operation without its counts. One of applications that may not be seen is answered as one that does not exist.
///
/// # Errors
/// There is none.
pub async fn find(console: &Console, id: i64) -> Result<Operation, Problem> {
    let seen = console.parts.store.operation_is_within(id, console.only()).await?;
    let operation = if seen { console.parts.store.operation_alone(id).await? } else { None };
    operation.ok_or_else(|| {
        Problem::not_found(format!("There is no operation {id}."), "A plan that is not started is removed after a day.")
    })
}

/// Goes on with what an earlier run of the console left under way.
///
/// # Errors
/// The store cannot be used.
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

/// The keys of the applications that rows belong to, each once, in their order.
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
