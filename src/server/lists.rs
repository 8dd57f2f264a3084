//! Lists of failed events across applications: each source pages by its own key, and the pages are merged here.
//!
//! A position in such a list is a key per source (see [`crate::model::filter`]), so that a page stays the same when
//! rows appear or disappear in any of them. A source that does not answer is omitted and named; the others are shown.

mod merge;
mod totals;

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    groups, present,
    sources::{ListRequest, ListRow, ListRows, SCAN_LIMIT, SearchIn, Source, SourceError, SourceErrorKind, TextLimit},
    state::Console,
    store::{
        StoreError,
        ledger::{NO_TIME, OpenRows, micros},
    },
};
use crate::{
    api::failed_events::{ListPage, MissingPart, Moving, Scan},
    error::Problem,
    model::{
        ApplicationInfo, EventKey, EventState, FailedEventRow, RowId, Stamp,
        application::COMPLETE_ENTRY,
        feed_names,
        filter::{Direction, Filter, ListQuery, Order, PAGE, Place, Position},
        ledger::LedgerEvent,
        payload,
        search::Search,
    },
};
use merge::{Part, by_name, called, merge};
pub use totals::arrivals;
use totals::{mark, total};

/// The rows of a merged list, and their place in it.
struct Merged {
    rows: Vec<FailedEventRow>,
    /// The positions just before the first and just after the last row.
    start: BTreeMap<String, Position>,
    end: BTreeMap<String, Position>,
    /// There are more rows in the direction that was read.
    more: bool,
    missing: Vec<MissingPart>,
    scans: Vec<Scan>,
}

/// Returns a page of failed events, with everything around it that the page shows.
///
/// # Errors
/// Fails if an application or the group of the filter does not exist.
pub async fn page(console: &Console, query: ListQuery) -> Result<ListPage, Problem> {
    for app in &query.filter.apps {
        console.info(app)?;
    }
    let group = match query.filter.group {
        Some(fault) => Some(groups::title(console, fault).await?),
        None => None,
    };
    let views = console.views();
    let (mut merged, views) = tokio::join!(read(console, &query, PAGE), views);
    let mut query = query;
    if query.place.direction == Direction::Backward && !merged.more {
        // The beginning was reached: show it as the full first page.
        query.place = Place::default();
        merged = read(console, &query, PAGE).await;
    }
    let mut at_end = false;
    if query.place != Place::default() && merged.rows.is_empty() && !merged.more && merged.missing.is_empty() {
        // After the end, because rows were removed or the address was written by hand, the last page is shown.
        query.place.direction = Direction::Backward;
        merged = read(console, &query, PAGE).await;
        at_end = !merged.rows.is_empty();
        if !merged.more {
            query.place = Place::default();
            merged = read(console, &query, PAGE).await;
        }
    }
    for scan in &mut merged.scans {
        let view = views.iter().find(|view| view.info.key == scan.app.key);
        scan.of = view.and_then(|view| view.seen.as_ref()).and_then(|seen| seen.failed);
    }
    let backward = query.place.direction == Direction::Backward;
    let to = |direction, positions: &BTreeMap<String, Position>| ListQuery {
        filter: query.filter.clone(),
        place: Place { direction, positions: positions.clone() },
    };
    let next = (backward && !at_end || !backward && merged.more).then(|| to(Direction::Forward, &merged.end));
    let has_previous = if backward { merged.more } else { !query.place.positions.is_empty() };
    let previous = has_previous.then(|| to(Direction::Backward, &merged.start));
    let all = total(console, &query.filter, &views).await;
    // A retry of all that match takes exhausted events, unless the filter names a state.
    let to_retry = match query.filter.state {
        Some(_) => all,
        None => {
            let exhausted = Filter { state: Some(EventState::Exhausted), ..query.filter.clone() };
            total(console, &exhausted, &views).await
        }
    };
    Ok(ListPage {
        rows: merged.rows,
        at_end,
        next,
        previous,
        total: all,
        to_retry,
        counted: None,
        group,
        applications: console.applications().cloned().collect(),
        feeds: feed_names::named(&views),
        retry_refused: views
            .iter()
            .filter_map(|view| Some((view.info.key.clone(), view.seen.as_ref()?.retry_refused.clone()?)))
            .collect(),
        missing: merged.missing.into_iter().chain(unconfigured(console, &query.filter)).collect(),
        scans: merged.scans,
        mark: mark(&views),
        masked: console.masked().map(|lacking| lacking.to_string()),
        without_text: match (console.masked(), &query.filter.text) {
            (Some(_), Some(_)) => total(console, &Filter { text: None, ..query.filter.clone() }, &views).await,
            _ => None,
        },
        moving: moving(console, &query.filter).await,
        query,
    })
}

/// Returns why the list has nothing of applications that the filter names and that are not configured.
fn unconfigured(console: &Console, filter: &Filter) -> Vec<MissingPart> {
    let named = console.unconfigured().filter(|lacking| filter.apps.contains(&lacking.info.key));
    named
        .map(|lacking| MissingPart {
            app: lacking.info.clone(),
            reason: lacking.sentence(),
            advice: COMPLETE_ENTRY.to_owned(),
        })
        .collect()
}

/// Returns the events before and after this one in the list it was opened from.
pub async fn neighbours(
    console: &Console,
    list: &Filter,
    row: &FailedEventRow,
) -> (Option<EventKey>, Option<EventKey>) {
    if let Ok(source) = console.source(&row.app)
        && times(console, source).await == Times::Shown
        && let Some(at) = row.failed_since().at()
    {
        return beside(console, list, &row.app, row.id, (Some(source.time_key(at)), Some(at))).await;
    }
    let text = dated(row.failed_at.as_ref()).map(|stamp| stamp.text.clone());
    // A time that the console cannot read is after all others (infinity) or before them.
    let at = dated(row.failed_at.as_ref()).map(|stamp| match (stamp.at, stamp.text.as_str()) {
        (Some(at), _) => at,
        (None, "infinity") => DateTime::<Utc>::MAX_UTC,
        (None, _) => DateTime::<Utc>::MIN_UTC,
    });
    beside(console, list, &row.app, row.id, (text, at)).await
}

/// Returns the events before and after the list position of an event that was removed from its table.
pub async fn neighbours_of_gone(
    console: &Console,
    list: &Filter,
    event: &LedgerEvent,
) -> (Option<EventKey>, Option<EventKey>) {
    let Ok(source) = console.source(&event.app) else { return (None, None) };
    let text = event.failed_at.map(|at| source.time_key(at));
    beside(console, list, &event.app, event.row_id, (text, event.failed_at)).await
}

/// Returns the neighbours of a position in a list: of a row's id, its time as its database writes it, and the time
/// itself.
async fn beside(
    console: &Console,
    list: &Filter,
    app: &str,
    id: RowId,
    (text, at): (Option<String>, Option<DateTime<Utc>>),
) -> (Option<EventKey>, Option<EventKey>) {
    if !list.wants_app(app) {
        return (None, None);
    }
    // A text search reads each application by id, and ids of two applications cannot be compared: the neighbours are
    // those within the event's own application.
    let own_only = Filter { apps: vec![app.to_owned()], ..list.clone() };
    let list = if list.text.is_some() { &own_only } else { list };
    let own = console.sources().position(|source| source.app().info.key == app);
    let name = console.sources().find(|source| source.app().info.key == app).map(|own| called(&own.app().info));
    let place = |direction: Direction| {
        let positions = console.sources().enumerate().filter_map(|(index, source)| {
            let info = &source.app().info;
            let position = if info.key == app {
                Position { failed_at: text.clone(), id, after: direction == Direction::Forward }
            } else if list.order.by_application() {
                // Before an application's turn the list is at its beginning, which has no position, and after it at its
                // end.
                let over = by_name(&called(info), name.as_ref()?, list.order).then(index.cmp(&own?)).is_lt();
                over.then(|| place_beside(source, list.order, None, false))?
            } else {
                // Rows with the same time in a later application come after this row.
                place_beside(source, list.order, at, Some(index) > own)
            };
            Some((info.key.clone(), position))
        });
        ListQuery { filter: list.clone(), place: Place { direction, positions: positions.collect() } }
    };
    let (before, after) = (place(Direction::Backward), place(Direction::Forward));
    let (before, after) = tokio::join!(read(console, &before, 1), read(console, &after, 1));
    let key = |merged: Merged| merged.rows.first().map(|row| EventKey { app: row.app.clone(), id: row.id });
    (key(before), key(after))
}

/// Returns the position just after a row, or just before it.
fn position(row: &FailedEventRow, after: bool) -> Position {
    Position { failed_at: dated(row.failed_at.as_ref()).map(|stamp| stamp.text.clone()), id: row.id, after }
}

/// Returns the time, unless it is not a date.
fn dated(stamp: Option<&Stamp>) -> Option<&Stamp> {
    stamp.filter(|stamp| !stamp.is_no_date())
}

/// Returns the position of a time in another source's list: before all of its rows of that time, or after them.
fn place_beside(source: &Source, order: Order, at: Option<DateTime<Utc>>, before: bool) -> Position {
    let smallest_first = !order.descending();
    let id = if before == smallest_first { i128::from(i64::MIN) } else { i128::from(i64::MAX) };
    Position { failed_at: at.map(|at| source.time_key(at)), id: RowId(id), after: !before }
}

/// Reads from every wanted source, concurrently, and merges up to `limit` rows.
async fn read(console: &Console, query: &ListQuery, limit: u32) -> Merged {
    let wanted = console.sources().filter(|source| query.filter.wants_app(&source.app().info.key));
    let parts = futures::future::join_all(wanted.map(|source| read_part(console, source, query, limit + 1))).await;
    let mut merged = merge(parts, query, limit as usize);
    present::complete_all(console, &mut merged.rows, TextLimit::LIST).await;
    if let Some(search) = query.filter.search().filter(|_| console.masked().is_none()) {
        for row in &mut merged.rows {
            row.quote = quote(&search, row);
        }
    }
    present::for_a_list(console, &mut merged.rows).await;
    for row in &mut merged.rows {
        // A list contains only the reference to the record: a payload is shown, and its view recorded, when an event is
        // opened.
        row.payload = row.payload.as_deref().and_then(payload::reference);
    }
    merged
}

/// Returns the part of a row's latest or first error, or of its event id, that matches a search and that a list does not
/// show otherwise.
fn quote(search: &Search, row: &FailedEventRow) -> Option<String> {
    let shown = row.shown_in_lists();
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    let errors = [row.latest_error(), row.error.as_deref()].into_iter().flatten();
    let event = row.event_id.as_ref().map(|id| format!("event {id}"));
    errors.chain(event.as_deref()).find_map(|text| search.quote(&shown, text))
}

/// What a bounded search of lists found, and how far it read.
#[derive(Debug)]
pub struct Scanned {
    pub rows: Vec<FailedEventRow>,
    pub missing: Vec<MissingPart>,
    pub scans: Vec<Scan>,
    /// The list from where the search stopped.
    pub next: Option<ListQuery>,
}

/// Searches the newest rows of the filter's applications for its text; payloads, too, unless they are masked.
pub async fn scan(console: &Console, filter: Filter) -> Scanned {
    let query = ListQuery { filter, place: Place::default() };
    let Merged { rows, end, more, missing, mut scans, .. } = read(console, &query, PAGE).await;
    let views = console.views().await;
    for scan in &mut scans {
        let view = views.iter().find(|view| view.info.key == scan.app.key);
        scan.of = view.and_then(|view| view.seen.as_ref()).and_then(|seen| seen.failed);
    }
    let place = Place { direction: Direction::Forward, positions: end };
    Scanned { rows, missing, scans, next: more.then_some(ListQuery { place, ..query }) }
}

/// Returns where a text search of this console's user may search.
pub fn search_in(console: &Console) -> SearchIn {
    if console.masked().is_some() { SearchIn::IdAndTitle } else { SearchIn::Everything }
}

/// From this number of rows on, lists of a table take their order from the ledger. The table has no index: finding and
/// sorting the rows of a page takes it milliseconds at this size, and seconds if it is large. Below it, a list is what
/// the database holds at this moment.
const LIST_FROM_LEDGER: u64 = 2_000;

/// From this number of rows on, the surroundings of one event are read from the ledger. They cost the table less than a
/// list, whose rows it must sort.
pub const EVENT_FROM_LEDGER: u64 = 20_000;

/// How often more keys are fetched if rows were removed since the last poll.
const REFILLS: u32 = 4;

/// How often, and how many at a time, if the rows must be read to check their category.
const REFILLS_OF_CATEGORY: u32 = 20;
const KEYS_OF_CATEGORY: u32 = 200;

/// Which times of an application's failed events a filter compares and a list sorts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// `failed_at`, as the database holds it now. If that moves with every change of a row, pages show another time.
    Stored,
    /// The time that pages show if `failed_at` moves: when the ledger first saw the row.
    Shown,
}

/// Returns which times of a source are compared now: those that are shown, if `failed_at` moves and the ledger is in
/// step.
pub async fn times(console: &Console, source: &Source) -> Times {
    if source.failed_at_moves() && is_long_and_known(console, &source.app().info.key, 0) {
        Times::Shown
    } else {
        Times::Stored
    }
}

/// Returns what a filter compares in the applications whose `failed_at` moves.
async fn moving(console: &Console, filter: &Filter) -> Vec<Moving> {
    let mut moving = Vec::new();
    for source in console.sources().filter(|source| source.failed_at_moves()) {
        // The ledger names the events of a group, whether it is in step or not.
        let of_group = filter.group.is_some() && is_known_to_ledger(filter);
        let as_shown = of_group || times(console, source).await == Times::Shown;
        moving.push(Moving { app: source.app().info.key.clone(), as_shown });
    }
    moving
}

/// Returns the rows of a list using the ledger, if that is quicker. `None` if the source must answer.
async fn by_ledger(
    console: &Console,
    source: &Source,
    request: &ListRequest<'_>,
) -> Option<Result<ListRows, SourceError>> {
    let (filter, info) = (request.filter, &source.app().info);
    let easy = filter.order.by_id() && filter.takes_every_row();
    if !is_known_to_ledger(filter) || easy || !is_long_and_known(console, &info.key, LIST_FROM_LEDGER) {
        return None;
    }
    // If the store fails, the source can answer.
    ledger_rows(console, source, request).await.ok()
}

/// Returns whether the ledger can answer what the table has no index for: the application has at least `least` failed
/// events, its source answers, and the ledger holds what the last poll saw.
pub fn is_long_and_known(console: &Console, app: &str, least: u64) -> bool {
    console.parts.watch.failed_in_step(app) >= Some(least)
}

/// Returns whether the ledger knows everything that a filter needs.
fn is_known_to_ledger(filter: &Filter) -> bool {
    filter.text.is_none() && filter.category.is_none()
}

/// Returns rows whose keys the ledger finds and sorts; the source is read only for these rows, by its primary key. Rows
/// that do not match any more are omitted.
async fn ledger_rows(
    console: &Console,
    source: &Source,
    request: &ListRequest<'_>,
) -> Result<Result<ListRows, SourceError>, StoreError> {
    let ListRequest { filter, from, limit, .. } = *request;
    let backward = request.direction == Direction::Backward;
    let (refills, keys_at_once) = match filter.category {
        Some(_) => (REFILLS_OF_CATEGORY, limit.max(KEYS_OF_CATEGORY)),
        None => (REFILLS, limit),
    };
    let moves = source.failed_at_moves();
    let time = |at: i64| DateTime::from_timestamp_micros(at).filter(|_| at != NO_TIME);
    let mut wanted = OpenRows {
        app: &source.app().info.key,
        feed: filter.feed.as_deref(),
        state: filter.state.map(Into::into),
        fault: filter.group,
        from: filter.from.map(|at| at.timestamp_micros()),
        until: filter.until.map(|at| at.timestamp_micros()),
        by_id: filter.order.by_id(),
        backward,
        up: filter.order.descending() == backward,
        beyond: from.map(|from| beyond(source, from)),
        // "Just before the key" read forward includes the key's own row, and so does "just after" read backward.
        inclusive: from.is_some_and(|from| from.after == backward),
        limit: keys_at_once,
    };
    let mut rows = Vec::with_capacity(limit as usize);
    let mut stopped_at = None;
    for _ in 0..refills {
        let keys = console.parts.store.open_rows(&wanted).await?;
        let ids: Vec<RowId> = keys.iter().map(|(_, id)| RowId((*id).into())).collect();
        let found = match source.rows(&ids, request.texts).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let mut found: BTreeMap<RowId, FailedEventRow> = found.into_iter().map(|row| (row.id, row)).collect();
        for (key, id) in keys.iter().zip(&ids) {
            let Some(row) = found.remove(id).filter(|row| still_matches(filter, row)) else { continue };
            // The stored time may have changed since the ledger put the row at this place.
            let listed_at = if moves { time(key.0).map(Stamp::of) } else { row.failed_at.clone() };
            let mut position = position(&row, true);
            if moves {
                position.failed_at = time(key.0).map(|at| source.time_key(at));
            }
            rows.push(ListRow { row, position, listed_at });
        }
        stopped_at = None;
        if rows.len() >= limit as usize || keys.len() < keys_at_once as usize {
            break;
        }
        (wanted.beyond, wanted.inclusive) = (keys.last().copied(), false);
        // If so many rows were removed, the next page continues from here.
        stopped_at = keys.last().map(|(at, id)| Position {
            failed_at: time(*at).map(|at| source.time_key(at)),
            id: RowId((*id).into()),
            after: !backward,
        });
    }
    rows.truncate(limit as usize);
    if backward {
        rows.reverse();
    }
    Ok(Ok(ListRows { rows, stopped_at, scanned: 0 }))
}

/// Returns one source's rows, by these times. Only the ledger knows which group a failed event belongs to, and which
/// time is shown if `failed_at` moves.
///
/// # Errors
/// Fails if the source does not answer, or the ledger if it is needed.
pub async fn of_source(
    console: &Console,
    source: &Source,
    request: &ListRequest<'_>,
    times: Times,
) -> Result<ListRows, SourceError> {
    let filter = request.filter;
    let shown = times == Times::Shown;
    let ranged = shown && filter.has_range();
    let by_keys = match &filter.text {
        Some(_) => false,
        None => ranged || shown && !filter.order.by_id() || filter.group.is_some() && is_known_to_ledger(filter),
    };
    if !by_keys && !ranged && filter.group.is_none() {
        return asked(console, source, request).await;
    }
    let told = async {
        if by_keys {
            return ledger_rows(console, source, request).await;
        }
        filter_by_group(console, source, request, ranged).await
    };
    told.await.unwrap_or_else(|error: StoreError| {
        let (what, instead) = match filter.group {
            Some(_) => ("The group's failed events in", "Remove the group from the filter"),
            None => ("The times of the failed events in", "Sort by id, without a time in the filter"),
        };
        Err(SourceError {
            kind: SourceErrorKind::Other,
            reason: format!("{what} {} are not known: {error}.", source.app().info.name),
            advice: format!("The store of the console does not answer. {instead}, or try again later."),
        })
    })
}

/// Returns the source's rows. A search includes the errors of the newest attempts, which the ledger can name.
async fn asked(console: &Console, source: &Source, request: &ListRequest<'_>) -> Result<ListRows, SourceError> {
    let app = &source.app().info.key;
    let search = request.filter.search();
    let newest = match (request.search, &search) {
        (SearchIn::Everything, Some(_)) => {
            let up = request.filter.order.descending() == (request.direction == Direction::Backward);
            let from = request.from.map(|from| from.id);
            console.parts.store.newest_attempts_of(app, from, up, SCAN_LIMIT + 1).await
        }
        _ => Ok(Vec::new()),
    };
    let named = search.and_then(|search| search.row).filter(|row| is_called(&source.app().info, &row.app));
    // If the store fails, only the table is searched.
    source.list_with(request, &newest.unwrap_or_default(), named.map(|row| row.id)).await
}

/// Returns whether a name means this application.
pub fn is_called(info: &ApplicationInfo, name: &str) -> bool {
    let name = name.to_lowercase();
    info.name.to_lowercase() == name || info.key.to_lowercase() == name
}

/// How often a source is read further if the rows it finds are of other groups.
const GROUP_PAGES: u32 = 20;

/// Filters by group and, if `ranged`, by time range with the ledger; only the source can answer the rest of the filter.
async fn filter_by_group(
    console: &Console,
    source: &Source,
    request: &ListRequest<'_>,
    ranged: bool,
) -> Result<Result<ListRows, SourceError>, StoreError> {
    let (app, filter) = (&source.app().info.key, request.filter);
    let at_any_time = Filter { from: None, until: None, ..filter.clone() };
    let asked_for = if ranged { &at_any_time } else { filter };
    let backward = request.direction == Direction::Backward;
    let limit = request.limit as usize;
    let mut filtered = ListRows { rows: Vec::new(), stopped_at: request.from.cloned(), scanned: 0 };
    for _ in 0..GROUP_PAGES {
        let from = filtered.stopped_at.take();
        let step = ListRequest { filter: asked_for, from: from.as_ref(), ..*request };
        let found = match asked(console, source, &step).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        filtered.scanned += found.scanned;
        let edge = if backward { found.rows.first() } else { found.rows.last() };
        let edge = edge.filter(|_| found.rows.len() >= limit);
        filtered.stopped_at =
            edge.map(|row| Position { after: !backward, ..row.position.clone() }).or(found.stopped_at);
        let ids: Vec<RowId> = found.rows.iter().map(|row| row.row.id).collect();
        let mut kept = found.rows;
        if let Some(group) = filter.group {
            let of_group = console.parts.store.in_group(app, group, &ids).await?;
            kept.retain(|row| of_group.contains(&row.row.id));
        }
        if ranged {
            let range = filter.from.map(|at| at.timestamp_micros())..filter.until.map(|at| at.timestamp_micros());
            let in_range = console.parts.store.failed_within(app, range, &ids).await?;
            kept.retain(|row| in_range.contains(&row.row.id));
        }
        if backward {
            kept.append(&mut filtered.rows);
            filtered.rows = kept;
        } else {
            filtered.rows.append(&mut kept);
        }
        if filtered.rows.len() >= limit {
            // Each row has its own position: the surplus is read again with the next page.
            let surplus = filtered.rows.len() - limit;
            filtered.rows.drain(if backward { 0..surplus } else { limit..filtered.rows.len() });
            filtered.stopped_at = None;
        }
        if filtered.stopped_at.is_none() {
            break;
        }
    }
    Ok(Ok(filtered))
}

/// Returns a position in a list as the ledger's key.
fn beyond(source: &Source, from: &Position) -> (i64, i64) {
    let at = from.failed_at.as_deref().map(|text| source.time_of_key(text));
    let id = i64::try_from(from.id.0).unwrap_or(if from.id.0 > 0 { i64::MAX } else { i64::MIN });
    (micros(at.as_ref()), id)
}

/// Returns whether a row is still what the ledger found.
fn still_matches(filter: &Filter, row: &FailedEventRow) -> bool {
    let feed = filter.feed.as_deref().is_none_or(|feed| row.feed_uri.as_deref().unwrap_or_default() == feed);
    let category = filter.category.as_deref().is_none_or(|category| is_of_category(row, category.trim()));
    feed && category && filter.state.is_none_or(|state| row.state == state)
}

/// Returns whether the category is one of a row's tags, or that of its feed's address, compared as the databases do.
fn is_of_category(row: &FailedEventRow, category: &str) -> bool {
    let category = category.to_lowercase();
    let tags = row.tags.as_deref().unwrap_or_default().trim().replace(", ", ",").replace(" ,", ",").to_lowercase();
    let feed = row.feed_uri.as_deref().unwrap_or_default().to_lowercase();
    let without_page = feed.trim_end_matches(|digit: char| digit.is_ascii_digit());
    format!(",{tags},").contains(&format!(",{category},"))
        || feed.ends_with(&format!("/{category}/recent"))
        || without_page.len() < feed.len() && without_page.ends_with(&format!("/{category}/"))
}

async fn read_part(console: &Console, source: &Arc<Source>, query: &ListQuery, limit: u32) -> Part {
    let from = query.place.positions.get(&source.app().info.key);
    let direction = query.place.direction;
    let answer = if direction == Direction::Backward && from.is_none() {
        // The list is at the beginning of this source: nothing is before.
        Ok(ListRows { rows: Vec::new(), stopped_at: None, scanned: 0 })
    } else {
        let search = search_in(console);
        let request = ListRequest { filter: &query.filter, from, direction, limit, texts: TextLimit::LIST, search };
        match by_ledger(console, source, &request).await {
            Some(answer) => answer,
            None => of_source(console, source, &request, times(console, source).await).await,
        }
    };
    Part { source: source.clone(), answer }
}
