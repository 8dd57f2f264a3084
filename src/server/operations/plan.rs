//! Plans: stores the rows of an operation batch by batch, before anything is changed. Exactly these rows are processed:
//! a row that arrives or becomes exhausted while the user views the plan is not part of it.

use chrono::{DateTime, Utc};

use crate::{
    error::Problem,
    model::{
        ApplicationInfo, Clock, EventState, FailedEventRow, Obstacle, RowId,
        feed_names::FeedName,
        filter::{Direction, Filter, Order, Position},
        ledger::{RequestKind, RequestOutcome},
        obstacle::untitled,
        operation::{OperationRow, TryFirst},
        words::listed,
    },
    server::{
        groups,
        lists::{self, Times},
        records,
        sources::{ListRequest, ListRows, SearchIn, Source, SourceError, TextLimit},
        state::Console,
        store::{StoreError, WhichCopies},
    },
};

use super::{Actor, MOST_ROWS, PATIENCE, SeenEvent, allowed, apps_of, new};

/// Rows that are read and stored at a time.
const PAGE: u32 = 500;

/// The failed events or copies that an operation is to process.
#[derive(Clone, Debug)]
pub enum Matching {
    /// Everything that matches a list's filter.
    Filter(Filter),
    /// The rows that a form names.
    Rows(Vec<SeenEvent>),
    /// Every failed event of a group.
    Group(i64),
    /// The failed events of a group, after those of the patients for whom they wait.
    WaitsFor(i64),
    /// The failed events of another operation that failed again.
    FailedAgain(i64),
    /// Copies of discarded events, by their numbers.
    Copies(Vec<i64>),
    /// Every copy that an operation made and that was not restored.
    CopiesOf(i64),
}

/// Stores a plan, and returns its id when it is complete or the request has waited long enough.
///
/// # Errors
/// Fails if nothing matches, an application is unknown or forbids the operation, or a source does not answer.
pub async fn plan(console: &Console, actor: Actor, kind: RequestKind, mut what: Matching) -> Result<i64, Problem> {
    // A copy that is named twice counts once.
    if let Matching::Copies(copies) = &mut what {
        copies.sort_unstable();
        copies.dedup();
    }
    let scope = scope(console, kind, &what).await?;
    let id = new(console, &actor, kind, scope, None, true).await?;
    let own = console.clone();
    let task = console.parts.running.spawn(async move {
        let planned = write_down(&own, id, kind, what).await;
        if let Err(problem) = &planned {
            tracing::warn!(operation = id, reason = %problem, "a plan could not be made");
            // The caller gets the reason why the plan failed, not why it could not be removed.
            if let Err(error) = own.parts.store.drop_plan(id).await {
                tracing::error!(operation = id, %error, "a plan that could not be made stays until the next start");
            }
        }
        planned
    });
    match tokio::time::timeout(PATIENCE, task).await {
        Ok(Ok(planned)) => planned.map(|()| id),
        Ok(Err(_)) => Err(Problem::internal("The plan could not be created.")),
        Err(_) => Ok(id),
    }
}

/// Counts of what the plan leaves out.
#[derive(Default)]
pub(super) struct LeftOut {
    /// Rows whose retry counter is already 0: a retry changes nothing.
    waiting: u64,
    /// Rows whose retries are unknown.
    unknown: u64,
    /// Rows that no retry helps: see [`Obstacle`].
    homeless: u64,
    timeless: u64,
    claimed: u64,
    /// Whole applications, each with the reason.
    applications: Vec<String>,
    /// Rows of a retry that are in the plan, but have no title.
    pub(super) untitled: u64,
}

impl LeftOut {
    /// Returns whether no retry helps this row, and counts it if so.
    fn beyond_help(&mut self, row: &FailedEventRow) -> bool {
        let obstacle = row.obstacle();
        match obstacle {
            Some(Obstacle::NoFeedAddress) => self.homeless += 1,
            Some(Obstacle::NoTime) => self.timeless += 1,
            None => {}
        }
        obstacle.is_some()
    }

    /// Notes why an application's rows are not in the plan, if it is one of several.
    ///
    /// # Errors
    /// Fails if it is the only one, or the plan cannot be stored at all.
    fn add(&mut self, taken: Result<(), Missing>, several: bool) -> Result<(), Problem> {
        match taken {
            Ok(()) => Ok(()),
            Err(Missing::Application(problem)) if several => {
                self.applications.push(format!("Left out: {}", problem.what));
                Ok(())
            }
            Err(missing) => Err(missing.into()),
        }
    }

    pub(super) fn sentence(&self) -> Option<String> {
        let mut parts = Vec::new();
        for (rows, why) in [
            // Whether these are retried at all depends on the feed.
            (self.waiting, "with a retry counter of 0 already"),
            (self.unknown, "without a count of retries"),
            (self.homeless, Obstacle::NoFeedAddress.left_out()),
            (self.timeless, Obstacle::NoTime.left_out()),
            (self.claimed, "in another operation"),
        ] {
            if rows > 0 {
                parts.push(format!("{rows} {why}"));
            }
        }
        let mut sentences = Vec::new();
        if !parts.is_empty() {
            sentences.push(format!("Not in the plan: {}.", parts.join(", ")));
        }
        sentences.extend(self.applications.iter().cloned());
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }
}

async fn write_down(console: &Console, id: i64, kind: RequestKind, what: Matching) -> Result<(), Problem> {
    let mut left_out = LeftOut::default();
    match what {
        Matching::Filter(filter) => by_filter(console, id, kind, filter, &mut left_out).await?,
        Matching::Rows(events) => {
            let rows = chosen(console, kind, &events, &mut left_out).await?;
            add(console, id, rows, &mut left_out).await?;
        }
        Matching::Group(fault) => {
            let rows = console.parts.store.group_rows(fault, console.only()).await?;
            let rows = rows.into_iter().map(|row| (row.app, row.id)).collect();
            by_name(console, id, kind, rows, &mut left_out).await?;
        }
        Matching::WaitsFor(fault) => {
            let (first, then) = records::depends::in_order(console, fault).await?;
            by_name(console, id, kind, first, &mut left_out).await?;
            // What waits is retried once the patients came through.
            let rows = u32::try_from(console.parts.store.planned_so_far(id).await?).unwrap_or(u32::MAX);
            if rows > 0 {
                console.parts.store.suggest_first(id, TryFirst { rows, needed: rows }).await?;
            }
            by_name(console, id, kind, then, &mut left_out).await?;
        }
        Matching::FailedAgain(operation) => {
            let rows = failed_again(console, operation).await?;
            by_name(console, id, kind, rows, &mut left_out).await?;
        }
        Matching::Copies(copies) => by_copies(console, id, copies, &mut left_out).await?,
        Matching::CopiesOf(operation) => {
            let only = console.only().cloned();
            let which = WhichCopies { operation: Some(operation), restorable: true, only, ..WhichCopies::default() };
            let mut before = None;
            loop {
                let page = console.parts.store.discarded(&which, before, PAGE, None).await?;
                let Some(last) = page.last() else { break };
                before = Some(last.id);
                by_copies(console, id, page.into_iter().map(|copy| copy.id).collect(), &mut left_out).await?;
            }
        }
    }
    if console.parts.store.planned_so_far(id).await? == 0 {
        return Err(nothing_left(&left_out));
    }
    if left_out.untitled > 0 {
        console.parts.store.count_untitled(id, left_out.untitled).await?;
    }
    console.parts.store.close_plan(id, left_out.sentence().as_deref()).await?;
    Ok(())
}

/// Returns the problem that no row is left for an operation.
pub(super) fn nothing_left(left_out: &LeftOut) -> Problem {
    let why = left_out.sentence().unwrap_or_else(|| "Another user may have acted first.".to_owned());
    Problem::conflict("Nothing to do: no failed events are left for this plan.", why)
}

/// Why the rows of an application are not in a plan.
enum Missing {
    /// A problem of this application; others may still be planned.
    Application(Problem),
    /// The plan cannot be stored, for any application.
    Store(StoreError),
}

impl From<Problem> for Missing {
    fn from(problem: Problem) -> Self {
        Missing::Application(problem)
    }
}

impl From<SourceError> for Missing {
    fn from(error: SourceError) -> Self {
        Missing::Application(error.into())
    }
}

impl From<StoreError> for Missing {
    fn from(error: StoreError) -> Self {
        Missing::Store(error)
    }
}

impl From<Missing> for Problem {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Application(problem) => problem,
            Missing::Store(error) => error.into(),
        }
    }
}

/// Plans all matching rows by application, oldest first. Rows that arrive while it reads are not included.
async fn by_filter(
    console: &Console,
    id: i64,
    kind: RequestKind,
    filter: Filter,
    left_out: &mut LeftOut,
) -> Result<(), Problem> {
    let wanted: Vec<_> = console.sources().filter(|source| filter.wants_app(&source.app().info.key)).collect();
    let several = wanted.len() > 1;
    for source in wanted {
        let taken = match allowed(source) {
            Ok(()) => of_source(console, id, kind, source, &filter, left_out).await,
            Err(problem) => Err(problem.into()),
        };
        left_out.add(taken, several)?;
    }
    Ok(())
}

async fn of_source(
    console: &Console,
    id: i64,
    kind: RequestKind,
    source: &Source,
    filter: &Filter,
    left_out: &mut LeftOut,
) -> Result<(), Missing> {
    let mut filter = Filter { apps: Vec::new(), order: Order::IdUp, ..filter.clone() };
    if kind == RequestKind::Retry && filter.state.is_none() {
        // Rows that the consumer retries by itself are left to it, unless the filter names them.
        filter.state = Some(EventState::Exhausted);
    }
    let Some(newest) = newest(source).await? else { return Ok(()) };
    // The same times from the first row to the last, even if the ledger changes meanwhile.
    let times = lists::times(console, source).await;
    let mut from: Option<Position> = None;
    loop {
        let page = read(console, source, &filter, from.as_ref(), times).await?;
        let full = page.rows.len() == PAGE as usize;
        let last = page.rows.last().map(|row| row.position.clone());
        let beyond = page.rows.last().is_some_and(|row| row.row.id > newest);
        let rows = page.rows.into_iter().map(|row| row.row).filter(|row| row.id <= newest).collect();
        let rows = usable(kind, rows, left_out);
        add(console, id, rows, left_out).await?;
        from = match (page.stopped_at, last) {
            _ if beyond || console.parts.stopping.is_cancelled() => return Ok(()),
            (Some(stopped_at), _) => Some(stopped_at),
            (None, Some(last)) if full => Some(last),
            (None, _) => return Ok(()),
        };
    }
}

async fn read(
    console: &Console,
    source: &Source,
    filter: &Filter,
    from: Option<&Position>,
    times: Times,
) -> Result<ListRows, SourceError> {
    let (direction, search) = (Direction::Forward, lists::search_in(console));
    let request = ListRequest { filter, from, direction, limit: PAGE, texts: TextLimit(1), search };
    lists::of_source(console, source, &request, times).await
}

/// Returns the highest id in the source now.
async fn newest(source: &Source) -> Result<Option<RowId>, SourceError> {
    let filter = Filter { order: Order::IdDown, ..Filter::default() };
    let request = ListRequest {
        filter: &filter,
        from: None,
        direction: Direction::Forward,
        limit: 1,
        texts: TextLimit(1),
        search: SearchIn::IdAndTitle,
    };
    Ok(source.list(&request).await?.rows.first().map(|row| row.row.id))
}

/// Plans rows by their ids, application by application. Rows that no longer exist are not in the plan.
async fn by_name(
    console: &Console,
    id: i64,
    kind: RequestKind,
    rows: Vec<(String, RowId)>,
    left_out: &mut LeftOut,
) -> Result<(), Problem> {
    let several = rows.first().is_some_and(|(first, _)| rows.iter().any(|(app, _)| app != first));
    for of_app in rows.chunk_by(|(one, _), (next, _)| one == next) {
        let Some((app, _)) = of_app.first() else { continue };
        // The application is no longer configured.
        let Ok(source) = console.source(app) else { continue };
        let taken = async {
            allowed(source)?;
            for chunk in of_app.chunks(PAGE as usize) {
                let ids: Vec<RowId> = chunk.iter().map(|(_, id)| *id).collect();
                let mut found = source.rows(&ids, TextLimit(1)).await?;
                found.sort_by_key(|row| row.id);
                if kind == RequestKind::Retry {
                    found.retain(|row| !left_out.beyond_help(row));
                    let before = found.len();
                    found.retain(|row| row.state != EventState::Waiting);
                    left_out.waiting += (before - found.len()) as u64;
                }
                let rows = usable(kind, found, left_out);
                add(console, id, rows, left_out).await?;
            }
            Ok::<(), Missing>(())
        };
        let taken = taken.await;
        left_out.add(taken, several)?;
    }
    Ok(())
}

async fn failed_again(console: &Console, operation: i64) -> Result<Vec<(String, RowId)>, StoreError> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let outcome = Some(Some(RequestOutcome::FailedAgain));
        let page = console.parts.store.requests_of(operation, outcome, after, PAGE).await?;
        let Some((last, ..)) = page.last() else { break };
        after = Some(*last);
        rows.extend(page.into_iter().filter(|(_, _, event)| event.state.is_open()).map(|(_, _, e)| (e.app, e.row_id)));
    }
    rows.sort();
    Ok(rows)
}

async fn by_copies(console: &Console, id: i64, copies: Vec<i64>, left_out: &mut LeftOut) -> Result<(), Problem> {
    let store = &console.parts.store;
    let mut rows = Vec::new();
    for (copy, app, row_id) in store.copied_rows(&copies).await? {
        // Copies of applications that the user may not see are skipped.
        let Ok(source) = console.source(&app) else { continue };
        allowed(source)?;
        // One at a time: together they may exceed the memory.
        if let Some(event) = store.copies(&[copy]).await?.pop().flatten() {
            rows.push(OperationRow {
                app,
                id: row_id,
                feed_uri: event.event.key("feed_uri"),
                event_id: event.event.key("event_id"),
                seen_retries: event.event.text("retries").and_then(|text| text.trim().parse().ok()),
                copy: Some(copy),
                outcome: None,
            });
        }
    }
    // Oldest first, application by application.
    rows.sort_by(|a, b| (&a.app, a.id).cmp(&(&b.app, b.id)));
    Ok(add(console, id, rows, left_out).await?)
}

/// Returns the rows that the operation can change.
fn usable(kind: RequestKind, rows: Vec<FailedEventRow>, left_out: &mut LeftOut) -> Vec<OperationRow> {
    let mut usable = Vec::with_capacity(rows.len());
    for row in rows {
        match (kind, row.retries) {
            (RequestKind::Retry, _) if left_out.beyond_help(&row) => {}
            (RequestKind::Retry, None) => left_out.unknown += 1,
            (RequestKind::Retry, Some(0)) => left_out.waiting += 1,
            _ => {
                left_out.untitled += u64::from(kind == RequestKind::Retry && untitled(row.title.as_deref()));
                usable.push(planned(row));
            }
        }
    }
    usable
}

fn planned(row: FailedEventRow) -> OperationRow {
    OperationRow {
        app: row.app,
        id: row.id,
        feed_uri: row.feed_uri,
        event_id: row.event_id,
        seen_retries: row.retries,
        copy: None,
        outcome: None,
    }
}

/// Stores rows, except those in another operation that is under way.
async fn add(
    console: &Console,
    id: i64,
    mut rows: Vec<OperationRow>,
    left_out: &mut LeftOut,
) -> Result<(), StoreError> {
    let apps: Vec<String> = apps_of(&rows).into_iter().map(str::to_owned).collect();
    for app in apps {
        let ids: Vec<RowId> = rows.iter().filter(|row| row.app == app).map(|row| row.id).collect();
        let claimed = console.parts.store.claimed(&app, &ids).await?;
        let before = rows.len();
        rows.retain(|row| row.app != app || !claimed.contains(&row.id));
        left_out.claimed += (before - rows.len()) as u64;
    }
    console.parts.store.plan_rows(id, &rows).await?;
    Ok(())
}

/// Returns the rows that a form names, with the feed and event id of each. A row that is named twice counts once.
pub(super) async fn chosen(
    console: &Console,
    kind: RequestKind,
    events: &[SeenEvent],
    left_out: &mut LeftOut,
) -> Result<Vec<OperationRow>, Problem> {
    if events.is_empty() {
        return Err(Problem::bad_request("No failed event is selected.", "Select at least one event.").at("rows"));
    }
    if events.len() > MOST_ROWS {
        return Err(Problem::bad_request(
            format!("{} failed events are too many for one selection.", events.len()),
            format!("Select at most {MOST_ROWS}, or use “Retry all” or “Discard all”."),
        )
        .at("rows"));
    }
    let mut apps: Vec<&str> = Vec::new();
    for event in events {
        if !apps.contains(&event.key.app.as_str()) {
            apps.push(&event.key.app);
        }
    }
    let mut rows: Vec<OperationRow> = Vec::with_capacity(events.len());
    for app in apps {
        let source = console.source(app)?;
        allowed(source)?;
        let of_app: Vec<&SeenEvent> = events.iter().filter(|event| event.key.app == app).collect();
        let ids: Vec<RowId> = of_app.iter().map(|event| event.key.id).collect();
        // A source that does not answer now will not be changed either: the operation then reports that for each row.
        let found = source.rows(&ids, TextLimit(1)).await.unwrap_or_default();
        for event in of_app {
            if rows.iter().any(|row| row.app == app && row.id == event.key.id) {
                continue;
            }
            let row = found.iter().find(|row| row.id == event.key.id);
            // For rows that are not in the table or cannot be read, the ledger has the feed and the event id.
            let known = match row {
                Some(_) => None,
                None => console.parts.store.ledger_events_of_row(app, event.key.id).await?.into_iter().next(),
            };
            let (feed_uri, event_id) = match (row, known) {
                (Some(row), _) => (row.feed_uri.clone(), row.event_id.clone()),
                (None, Some(known)) => (known.feed_uri, known.event_id),
                (None, None) => (None, None),
            };
            if kind == RequestKind::Retry
                && let Some(row) = row
            {
                if left_out.beyond_help(row) {
                    continue;
                }
                left_out.untitled += u64::from(untitled(row.title.as_deref()));
            }
            rows.push(OperationRow {
                app: app.to_owned(),
                id: event.key.id,
                feed_uri,
                event_id,
                seen_retries: Some(event.retries),
                copy: None,
                outcome: None,
            });
        }
    }
    Ok(rows)
}

/// Returns the rows to retry, just read, that a retry can help and whose retries are known.
pub(super) fn of_rows(rows: Vec<FailedEventRow>, left_out: &mut LeftOut) -> Vec<OperationRow> {
    let mut planned = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(retries) = row.retries else {
            left_out.unknown += 1;
            continue;
        };
        if left_out.beyond_help(&row) {
            continue;
        }
        left_out.untitled += u64::from(untitled(row.title.as_deref()));
        planned.push(OperationRow {
            app: row.app,
            id: row.id,
            feed_uri: row.feed_uri,
            event_id: row.event_id,
            seen_retries: Some(retries),
            copy: None,
            outcome: None,
        });
    }
    planned
}

/// Describes the scope of an operation on these rows.
pub(super) fn scope_of_rows(console: &Console, rows: &[OperationRow]) -> String {
    let chosen = console.applications().filter(|info| rows.iter().any(|row| row.app == info.key));
    let names = listed(chosen.map(|info| info.name.clone()));
    match rows {
        [_] => format!("1 failed event of {names}"),
        rows => format!("{} selected failed events of {names}", rows.len()),
    }
}

async fn scope(console: &Console, kind: RequestKind, what: &Matching) -> Result<String, Problem> {
    Ok(match what {
        Matching::Rows(events) => {
            scope_of_rows(console, &chosen(console, kind, events, &mut LeftOut::default()).await?)
        }
        Matching::Filter(filter) => {
            for app in &filter.apps {
                console.source(app)?;
            }
            scope_of_filter(console, kind, filter).await
        }
        Matching::Group(fault) => {
            groups::title(console, *fault).await?;
            // By its number: its title is made of an error text, which not every reader of the scope may read.
            format!("the failed events of group {fault}")
        }
        Matching::WaitsFor(fault) => {
            groups::title(console, *fault).await?;
            format!("the patients for whom the failed events of group {fault} wait, and then these events")
        }
        Matching::FailedAgain(operation) => {
            super::find(console, *operation).await?;
            format!("the failed events of operation {operation} that failed again")
        }
        Matching::Copies(copies) => match copies.len() {
            0 => {
                return Err(
                    Problem::bad_request("No discarded event is selected.", "Select at least one event.").at("copies")
                );
            }
            several if several > MOST_ROWS => {
                return Err(Problem::bad_request(
                    format!("{several} discarded events are too many for one selection."),
                    format!("Select at most {MOST_ROWS}, or restore all events of an operation."),
                )
                .at("copies"));
            }
            1 => "1 discarded failed event".to_owned(),
            several => format!("{several} discarded failed events"),
        },
        Matching::CopiesOf(operation) => {
            super::find(console, *operation).await?;
            format!("everything that operation {operation} discarded")
        }
    })
}

async fn scope_of_filter(console: &Console, kind: RequestKind, filter: &Filter) -> String {
    let state = match (filter.state, kind) {
        (Some(EventState::Exhausted), _) | (None, RequestKind::Retry) => "all failed events with retries used up",
        (Some(EventState::Waiting), _) => "all failed events waiting for retry",
        (Some(EventState::Unknown), _) => "all failed events with unknown state",
        (None, _) => "all failed events",
    };
    let names = console.applications().filter(|info| filter.wants_app(&info.key)).map(|info| info.name.clone());
    let names = listed(names);
    let mut scope = state.to_owned();
    match filter.feed.as_deref() {
        Some("") => scope.push_str(" without a feed address"),
        Some(feed) => {
            let feeds = console.named_feeds().await;
            let of_apps = feeds.iter().filter(|named| filter.wants_app(&named.app));
            let applications: Vec<&ApplicationInfo> = console.applications().collect();
            let name = FeedName::among(Some(feed), of_apps.filter_map(|named| named.uri.as_deref()), &applications);
            scope.push_str(&format!(" of {}", name.in_sentence()));
        }
        None => {}
    }
    scope.push_str(&format!(" in {names}"));
    if let Some(category) = &filter.category {
        scope.push_str(&format!(", category {category}"));
    }
    scope.push_str(&when(filter));
    if filter.has_range() {
        for source in console.sources().filter(|source| filter.wants_app(&source.app().info.key)) {
            if source.failed_at_moves() && lists::times(console, source).await == Times::Stored {
                scope.push_str(&format!(" (in {} by the last change of the row)", source.app().info.name));
            }
        }
    }
    if let Some(fault) = filter.group {
        scope.push_str(&format!(", of group {fault}"));
    }
    // Without the text: it may be a name, which not every reader of the scope may read.
    if filter.text.is_some() {
        scope.push_str(", text filter");
    }
    scope
}

/// Describes when the failed events of a filter failed. The text is stored for readers in any time zone, so a range
/// that ends now is described in words and with the time at which it begins.
fn when(filter: &Filter) -> String {
    let instant = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
    let mut when = match (filter.recent, filter.from) {
        (Some(recent), Some(from)) => format!(", failed {} (from {})", recent.in_sentence(Clock::H24), instant(from)),
        (Some(recent), None) => format!(", failed {}", recent.in_sentence(Clock::H24)),
        (None, Some(from)) => format!(", failed from {}", instant(from)),
        (None, None) => String::new(),
    };
    if let Some(until) = filter.until {
        when.push_str(&format!(", failed before {}", instant(until)));
    }
    when
}

#[cfg(test)]
mod tests;
