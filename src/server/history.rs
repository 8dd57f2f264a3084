//! The history of failed events and their outcomes, from the ledger alone: its pages read no source.

use axum::{
    body::{Body, Bytes},
    extract::RawQuery,
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{Days, NaiveDate, TimeDelta, Utc};
use futures::{Stream, StreamExt, stream};

use super::{
    export::{csv_head, csv_line, is_what},
    http::Seen,
    lists,
    operations::Actor,
    state::Console,
    store::{Store, ledger::Scope},
};
use crate::{
    api::history::{CopyPage, HistoryPage, LifePage},
    clock,
    error::Problem,
    model::{
        ApplicationView, DayCount, RowId,
        audit::AuditKind,
        feed_names,
        filter::Filter,
        history::{FollowedSince, HistoryDay, HistoryQuery},
        ledger::{LedgerEvent, LifeState, Moment, RequestKind},
        masking,
    },
};

/// Ended events on a page.
const PAGE: u32 = 50;

/// Maximum events that a search shows.
const FOUND: u32 = 100;

/// Rows read in one step of a file.
const STEP: u32 = 500;

/// Returns the applications that a query is about: those that the user may see.
fn scope(console: &Console, query: &HistoryQuery) -> Result<Scope, Problem> {
    let apps = match &query.app {
        Some(app) => vec![console.info(app)?.key.clone()],
        None => console.applications().map(|info| info.key.clone()).collect(),
    };
    Ok(Scope { apps, feed: query.feed.clone() })
}

/// Returns a history page, with days in the reader's zone.
///
/// # Errors
/// Fails if the application is unknown or the store cannot be read.
pub async fn page(console: &Console, query: HistoryQuery) -> Result<HistoryPage, Problem> {
    let store = &console.parts.store;
    let scope = scope(console, &query)?;
    let ahead = console.ahead();
    let today = (clock::now() + TimeDelta::minutes(ahead.into())).date_naive();
    let from = today.checked_sub_days(Days::new(u64::from(query.shown_days()) - 1)).unwrap_or(today);
    let days = store.history_days(&scope, from, ahead).await?;
    let resolving = store.history_resolving(&scope).await?;
    let mut ended = store.history_ended(&scope, query.before, PAGE + 1).await?;
    let more = ended.len() > PAGE as usize;
    ended.truncate(PAGE as usize);
    let last = ended.last().and_then(|event| Some((event.ended?.at.timestamp_millis(), event.id)));
    let found = match &query.find {
        Some(text) => Some(store.history_find(&scope, text, FOUND).await?),
        None => None,
    };
    let followed = scope.apps.iter().filter_map(|app| {
        let (since, whole) = console.parts.watch.followed(app)?;
        Some(FollowedSince { app: app.clone(), since, whole })
    });
    let mut feeds = Vec::new();
    for app in &scope.apps {
        feeds.extend(store.ledger_feeds(app).await?.into_iter().map(|feed| (app.clone(), feed)));
    }
    let breaks = store.ledger_breaks(query.app.as_deref()).await?;
    let applications: Vec<_> = console.applications().cloned().collect();
    let past = ended.iter().map(|event| (event.app.clone(), event.feed_uri.clone()));
    let names = feed_names::with_past(console.named_feeds().await, past, &applications);
    Ok(HistoryPage {
        days: without_gaps(days, from, today),
        resolving,
        ended,
        next: last.filter(|_| more).map(|before| HistoryQuery { before: Some(before), find: None, ..query.clone() }),
        found,
        followed: followed.collect(),
        breaks: breaks.into_iter().filter(|at| console.shows(&at.app)).collect(),
        applications,
        feeds,
        names,
        query,
    })
}

/// Days of the chart on the overview and on an application's page.
const CHART_DAYS: u64 = 14;

/// Adds to applications how many events failed on each of the last days of the user's zone. If the store does not
/// answer, they are not known.
pub async fn add_days(console: &Console, views: &mut [ApplicationView]) {
    let ahead = console.ahead();
    let today = (clock::now() + TimeDelta::minutes(ahead.into())).date_naive();
    let from = today.checked_sub_days(Days::new(CHART_DAYS - 1)).unwrap_or(today);
    let scope = Scope { apps: views.iter().map(|view| view.info.key.clone()).collect(), feed: None };
    match console.parts.store.history_days_by_application(&scope, from, ahead).await {
        Ok(mut days) => {
            let count = |day: HistoryDay| DayCount { day: day.day, failures: day.failed };
            for view in views {
                let known = days.remove(&view.info.key).unwrap_or_default();
                view.days = without_gaps(known, from, today).into_iter().map(count).collect();
            }
        }
        Err(error) => tracing::debug!(%error, "the failures by day are not known"),
    }
}

/// Returns every day of a span, also days on which nothing happened.
fn without_gaps(days: Vec<HistoryDay>, from: NaiveDate, until: NaiveDate) -> Vec<HistoryDay> {
    let nothing = |day| HistoryDay { day, failed: 0, attempts: 0, resolved: 0, gone: 0, discarded: 0 };
    let mut known = days.into_iter().peekable();
    from.iter_days()
        .take_while(|day| *day <= until)
        .map(|day| {
            while known.next_if(|known| known.day < day).is_some() {}
            known.next_if(|known| known.day == day).unwrap_or_else(|| nothing(day))
        })
        .collect()
}

/// Returns the life of one failed event.
///
/// # Errors
/// Fails if there is no failed event with this number, or the store cannot be read.
pub async fn life(console: &Console, id: i64) -> Result<LifePage, Problem> {
    let unknown = || {
        Problem::not_found(
            format!("There is no failed event {id} in the history."),
            "Old history may have been removed. Search the history for the event id or the uuid of the record.",
        )
    };
    let event = console.parts.store.ledger_event(id).await?.ok_or_else(unknown)?;
    if !console.shows(&event.app) {
        return Err(unknown());
    }
    whole_life(console, event).await
}

/// Returns the life of the failed event that has, or last had, a row's id. `None` if the ledger knows none.
///
/// # Errors
/// Fails if the application is unknown or the store cannot be read.
pub async fn life_of_row(console: &Console, app: &str, id: RowId, list: &Filter) -> Result<Option<LifePage>, Problem> {
    let app = &console.info(app)?.key;
    let Some(event) = console.parts.store.ledger_events_of_row(app, id).await?.into_iter().next() else {
        return Ok(None);
    };
    let (previous, next) = lists::neighbours_of_gone(console, list, &event).await;
    Ok(Some(LifePage { previous, next, ..whole_life(console, event).await? }))
}

/// Returns the copy of a failed event that was discarded and not restored, by the id of its row. It serves for an event
/// that the console discarded before the watcher saw it, so that the ledger does not know it.
///
/// # Errors
/// Fails if the application is unknown or the store cannot be read.
pub async fn copy_of_row(console: &Console, app: &str, id: RowId) -> Result<Option<CopyPage>, Problem> {
    let info = console.info(app)?.clone();
    let Some(mut copy) = console.parts.store.newest_copy_of(&info.key, id, console.parts.config.keep_discarded).await?
    else {
        return Ok(None);
    };
    if console.masked().is_some() {
        copy.fault = masking::fault(&copy.fault);
    }
    Ok(Some(CopyPage { info, copy }))
}

async fn whole_life(console: &Console, event: LedgerEvent) -> Result<LifePage, Problem> {
    let store: &Store = &console.parts.store;
    // Also the authorization of users who may not see every application.
    let info = console.info(&event.app)?.clone();
    let entries = store.ledger_entries(event.id).await?;
    let mut faults: Vec<i64> = entries.iter().filter_map(|entry| entry.fault).collect();
    faults.extend([event.first_fault, event.fault]);
    faults.sort_unstable();
    faults.dedup();
    let everything = Scope { apps: console.applications().map(|info| info.key.clone()).collect(), feed: None };
    let same_record = match &event.record {
        Some(record) => store.history_find(&everything, record, FOUND).await?,
        None => Vec::new(),
    };
    let mut faults = store.faults(&faults).await?;
    let requests = store.requests_for(event.id).await?;
    let discard = requests.iter().rev().find(|request| request.kind == RequestKind::Discard);
    let mut copy = match discard.filter(|_| event.state == LifeState::Discarded) {
        Some(request) => {
            let keep = console.parts.config.keep_discarded;
            store.copy_of_row(request.operation, &event.app, event.row_id, keep).await?
        }
        None => None,
    };
    if console.masked().is_some() {
        faults.values_mut().for_each(|fault| fault.fingerprint = masking::fault(&fault.fingerprint));
        copy.iter_mut().for_each(|copy| copy.fault = masking::fault(&copy.fault));
    }
    Ok(LifePage {
        faults,
        requests,
        copy,
        previous: None,
        next: None,
        same_record: same_record.into_iter().filter(|other| other.id != event.id).collect(),
        applications: console.applications().cloned().collect(),
        entries,
        info,
        event,
    })
}

const COLUMNS: [&str; 18] = [
    "application",
    "id",
    "feed_uri",
    "event_id",
    "record",
    "title",
    "first_failed_at_utc",
    "first_seen_after_utc",
    "first_seen_at_utc",
    "state",
    "request",
    "retries",
    "failed_retries_seen",
    "ended_after_utc",
    "ended_at_utc",
    "why",
    "fault",
    "first_failed_at_is",
];

fn cells(event: &LedgerEvent, fault: &str, name: &str) -> [String; 18] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let time = |at: Option<chrono::DateTime<Utc>>| {
        at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)).unwrap_or_default()
    };
    let ended = event.ended;
    [
        name.to_owned(),
        event.row_id.to_string(),
        text(&event.feed_uri),
        text(&event.event_id),
        text(&event.record),
        text(&event.title),
        time(event.failed_since().at()),
        time(event.seen.after),
        time(Some(event.seen.at)),
        event.state.word().to_owned(),
        event.asked.map(|asked| asked.word().to_owned()).unwrap_or_default(),
        event.retries.map(|retries| retries.to_string()).unwrap_or_default(),
        event.attempts.to_string(),
        time(ended.and_then(|Moment { after, .. }| after)),
        time(ended.map(|Moment { at, .. }| at)),
        text(&event.ended_why),
        fault.to_owned(),
        is_what(&event.failed_since()).to_owned(),
    ]
}

/// `/history.csv`: every failed event that the ledger knows of an application, a feed or all, in the order of first
/// sight.
///
/// # Errors
/// Fails if the application is unknown, the store cannot be read, or the download cannot be recorded.
pub async fn csv(Seen(console): Seen, actor: Actor, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = HistoryQuery::parse(query.as_deref().unwrap_or_default());
    let scope = scope(&console, &query)?;
    let mut what = format!("history as CSV, {}", HistoryQuery { find: None, ..query.clone() }.to_query());
    if let Some(text) = &query.find {
        what = format!("{what}, {}", console.parts.audit.of_search(text).await?);
    }
    let mut entry = actor.entry(AuditKind::Exported).what(what);
    if let [app] = scope.apps.as_slice() {
        entry = entry.app(app);
    }
    console.parts.audit.record(entry).await?;
    let names: Vec<(String, String)> = console
        .applications()
        .filter(|info| scope.apps.contains(&info.key))
        .map(|info| (info.key.clone(), info.name.clone()))
        .collect();
    let (store, masked) = (console.parts.store.clone(), console.masked().is_some());
    let header = stream::iter([Ok::<_, Problem>(csv_head(&COLUMNS))]);
    let rows =
        stream::iter(names).flat_map(move |(app, name)| lines(store.clone(), app, name, scope.feed.clone(), masked));
    let name = format!("attachment; filename=\"history-{}.csv\"", clock::now().format("%Y-%m-%d"));
    let headers = [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    let body = Body::from_stream(header.chain(rows).map(|chunk| chunk.map(Bytes::from)));
    Ok((headers, body).into_response())
}

/// Returns the lines of one application, step by step.
fn lines(
    store: Store,
    app: String,
    name: String,
    feed: Option<String>,
    masked: bool,
) -> impl Stream<Item = Result<Vec<u8>, Problem>> + Send {
    stream::try_unfold(Some(i64::MIN), move |place| {
        let (store, app, name, feed) = (store.clone(), app.clone(), name.clone(), feed.clone());
        async move {
            let Some(above) = place else { return Ok(None) };
            let step = store.history_step((&app, feed.as_deref()), above, STEP).await?;
            let next = step.last().map(|(event, _)| event.id).filter(|_| step.len() == STEP as usize);
            let shown = |fault: &str| if masked { masking::fault(fault) } else { fault.to_owned() };
            let lines = step
                .iter()
                .flat_map(|(event, fault)| csv_line(&COLUMNS, &cells(event, &shown(fault), &name)))
                .collect();
            Ok(Some((lines, next)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_on_which_nothing_happened_are_days() {
        let day = |day| NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        let known = [1, 3].map(|at| HistoryDay {
            day: day(at),
            failed: u64::from(at),
            attempts: 0,
            resolved: 0,
            gone: 0,
            discarded: 0,
        });
        let failed: Vec<_> = without_gaps(known.to_vec(), day(2), day(4)).into_iter().map(|day| day.failed).collect();
        assert_eq!(failed, [0, 3, 0]);
    }
}
