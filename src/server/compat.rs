//! The old console's JSON: the five calls of ICT4H/atomfeed-console (as of eaedc52) that scripts may use, with the same
//! names and shapes. Its faults are fixed: `[]` for no rows, 404 and 503 with a reason instead of 500.

use std::{collections::HashSet, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, Query},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    export,
    http::Seen,
    operations::{self, Actor},
    sources::{Source, TextLimit},
    state::Console,
};
use crate::{
    error::Problem,
    model::{Attempt, Availability, FailedEventRow, RowId, Stamp, audit::AuditKind, filter::Filter, masking},
};

/// The header with the number of rows that a reset changed; the old response has an empty body.
pub const ROWS_RESET: HeaderName = HeaderName::from_static("x-rows-reset");

/// A [`Problem`] as the JSON response of these calls.
#[derive(Debug)]
pub struct JsonProblem(Problem);

impl<P: Into<Problem>> From<P> for JsonProblem {
    fn from(problem: P) -> Self {
        Self(problem.into())
    }
}

impl IntoResponse for JsonProblem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(json!({ "error": self.0.what, "advice": self.0.todo }))).into_response()
    }
}

/// `GET /apps`: the configured names, in order. Applications with an incomplete configuration entry are omitted: a
/// script that goes through the names would fail at them. Requested by name, they answer 503 with what is missing.
pub async fn apps(Seen(console): Seen) -> Json<Vec<String>> {
    Json(console.sources().map(|source| source.app().info.name.clone()).collect())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FeedStatus {
    feed_uri: Option<String>,
    last_read_entry: Option<String>,
    count_of_failed_events: u64,
}

/// Maximum age of a poll that is used instead of asking the source: the same as of the console's own pages while they
/// are read.
const SEEN_LASTS: Duration = Duration::from_secs(30);

/// `GET /apps/{appName}/feedStatus`: a row per marker, from the last poll of the application. If that is too old, the
/// source is asked.
pub async fn feed_status(Seen(console): Seen, Path(app): Path<String>) -> Result<Response, JsonProblem> {
    let source = find(&console, &app)?;
    let watch = &console.parts.watch;
    // A script that asks every minute is a reader: polls continue at their usual pace.
    watch.reads();
    let seen = match watch.markers_and_failures(&source.app().info.key, SEEN_LASTS) {
        Some(seen) => seen,
        None => Arc::new(source.poll().await?.into()),
    };
    let (markers, failures) = match (&seen.markers, &seen.failures) {
        (Availability::Here(markers), Availability::Here(failures)) => (markers, failures),
        (Availability::NotHere(reason), _) | (_, Availability::NotHere(reason)) => {
            let what = format!("{app} has no such data: {reason}.");
            return Err(Problem::not_found(what, "See the page of the application.").into());
        }
    };
    let count =
        |uri: &Option<String>| failures.iter().find(|failed| failed.uri == *uri).map_or(0, |failed| failed.total);
    let rows = markers.iter().map(|marker| FeedStatus {
        count_of_failed_events: count(&marker.feed_uri),
        last_read_entry: marker.last_read_entry_id.clone(),
        feed_uri: marker.feed_uri.clone(),
    });
    Ok(Json(rows.collect::<Vec<_>>()).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedUri {
    feed_uri: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OldFailedEvent {
    failed_at: Option<i64>,
    event: OldEvent,
    error_message: Option<String>,
    feed_uri: Option<String>,
    retries: Option<i64>,
    event_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OldEvent {
    categories: Vec<OldCategory>,
    id: Option<String>,
    content: Option<String>,
    feed_uri: Option<String>,
    updated_date: Option<i64>,
    title: Option<String>,
    date_created: Option<i64>,
}

/// A category as the Java library serialized it: only its term is ever set.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OldCategory {
    term: String,
    label: Option<String>,
    scheme: Option<String>,
    scheme_resolved: Option<String>,
}

impl OldCategory {
    fn of(term: &str) -> Self {
        Self { term: term.to_owned(), label: None, scheme: None, scheme_resolved: None }
    }
}

impl From<FailedEventRow> for OldFailedEvent {
    fn from(row: FailedEventRow) -> Self {
        let tags = row.tags.unwrap_or_default();
        let terms = tags.split(',').map(str::trim).filter(|term| !term.is_empty());
        Self {
            failed_at: millis(row.failed_at.as_ref()),
            event: OldEvent {
                categories: terms.map(OldCategory::of).collect(),
                id: row.event_id.clone(),
                content: row.payload,
                feed_uri: None,
                updated_date: None,
                title: row.title,
                date_created: None,
            },
            error_message: row.error,
            feed_uri: row.feed_uri,
            retries: row.retries,
            event_id: row.event_id,
        }
    }
}

fn millis(stamp: Option<&Stamp>) -> Option<i64> {
    Some(stamp?.at?.timestamp_millis())
}

/// `GET /apps/{appName}/failedEvent?feedUri=…`: every failed event of the feed, streamed in the order of their ids.
pub async fn failed_events(
    Seen(console): Seen,
    actor: Actor,
    Path(app): Path<String>,
    Query(FeedUri { feed_uri }): Query<FeedUri>,
) -> Result<Response, JsonProblem> {
    let feed = feed_uri
        .ok_or_else(|| Problem::bad_request("The feed is missing.", "Add ?feedUri= with the address of the feed."))?;
    let source = find(&console, &app)?;
    let feed = feed_of(source, feed).await?;
    let filter = Filter { feed: Some(feed.clone()), apps: vec![source.app().info.key.clone()], ..Filter::default() };
    let masked = console.masked().is_some();
    // Fused: for a feed without rows, the stream is read again after its end.
    let mut pages = Box::pin(source.feed_rows(feed).fuse().map(move |rows| {
        let mut rows = rows?;
        rows.iter_mut().for_each(export::mark_cut);
        if masked {
            rows.iter_mut().for_each(masking::mask_row);
        }
        Ok::<_, Problem>(rows)
    }));
    let first = pages.next().await.unwrap_or(Ok(Vec::new()))?;
    let mut record = export::Record::begin(&console, &actor, "old JSON", &filter.to_query()).await?;
    let mut rows_before = false;
    let array = export::to_the_end(first, pages).flat_map(move |page| {
        let rows = match page {
            Ok(Some(rows)) => rows,
            Ok(None) => {
                record.end();
                let end: &[u8] = if rows_before { b"]" } else { b"[]" };
                return stream::iter([Ok(Bytes::from_static(end))]).boxed();
            }
            Err(problem) => return stream::iter([Err(problem)]).boxed(),
        };
        record.count(&rows);
        let mut separator = if rows_before { b',' } else { b'[' };
        rows_before |= !rows.is_empty();
        let mut rows = rows.into_iter();
        // In pieces, so that no second copy of all texts is in memory; texts grow as JSON.
        let mut piece = move || {
            let mut out = Vec::with_capacity(2 * export::WRITTEN);
            while out.len() < export::WRITTEN {
                let Some(row) = rows.next() else { break };
                out.push(std::mem::replace(&mut separator, b','));
                serde_json::to_writer(&mut out, &OldFailedEvent::from(row))
                    .map_err(|error| Problem::internal(error.to_string()))?;
            }
            Ok::<_, Problem>((!out.is_empty()).then(|| Bytes::from(out)))
        };
        stream::iter(std::iter::from_fn(move || piece().transpose())).boxed()
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(array)).into_response())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OldRetryLog {
    feed_uri: Option<String>,
    failed_at: Option<i64>,
    error_message: Option<String>,
    event_id: Option<String>,
    event_content: Option<String>,
}

impl From<Attempt> for OldRetryLog {
    fn from(attempt: Attempt) -> Self {
        Self {
            failed_at: millis(attempt.failed_at.as_ref()),
            feed_uri: attempt.feed_uri,
            error_message: attempt.error,
            event_id: attempt.event_id,
            event_content: attempt.payload,
        }
    }
}

/// `GET /apps/{appName}/failedEvent/{eventId}/retryLog`
pub async fn retry_log(
    Seen(console): Seen,
    actor: Actor,
    Path((app, event_id)): Path<(String, String)>,
) -> Result<Response, JsonProblem> {
    let source = find(&console, &app)?;
    let mut found = None;
    for meant in meanings(&event_id) {
        let known = !known_rows(&console, source, &meant).await.is_empty();
        if let Some(attempts) = source.attempts_of_event(&meant, known).await? {
            found = Some((meant, attempts));
            break;
        }
    }
    let (event_id, mut attempts) = found.ok_or_else(|| no_event(source, &event_id))?;
    if console.masked().is_some() {
        attempts.iter_mut().for_each(masking::mask_attempt);
    } else {
        let entry = actor.entry(AuditKind::PayloadViewed).app(&source.app().info.key);
        let what = format!("event {event_id}, {} rows of its retry log as old JSON", attempts.len());
        console.parts.audit.record(entry.what(what)).await?;
    }
    Ok(Json(attempts.into_iter().map(OldRetryLog::from).collect::<Vec<_>>()).into_response())
}

/// `POST /apps/{appName}/failedEvent/{eventId}/resetRetryCount`: resets every row of the event, also if it failed on
/// two feeds. The body stays empty; [`ROWS_RESET`] is the number of rows.
pub async fn reset_retry_count(
    Seen(console): Seen,
    Path((app, event_id)): Path<(String, String)>,
    actor: Actor,
) -> Result<Response, JsonProblem> {
    let source = find(&console, &app)?;
    let (mut meant, mut rows) = (event_id.clone(), Vec::new());
    for meaning in meanings(&event_id) {
        rows = rows_of_event(&console, source, &meaning).await?;
        if !rows.is_empty() {
            meant = meaning;
            break;
        }
    }
    if rows.is_empty() {
        return Err(no_event(source, &event_id).into());
    }
    let event_id = meant;
    if rows.iter().all(|row| row.retries.is_none()) {
        return Err(Problem::conflict(
            format!("{event_id} cannot be reset: {} does not say how often it was retried.", source.app().info.name),
            "The table has no column retries, or the value is NULL.",
        )
        .into());
    }
    let reason = Some("asked for by the old console's call resetRetryCount".into());
    let id = operations::retry_rows(&console, actor, source, rows, reason).await?;
    let operation = console.parts.store.operation(id).await?;
    if let Some(busy) = operation.as_ref().map(|operation| operation.counts.busy).filter(|busy| *busy > 0) {
        return Err(Problem::unavailable(
            format!(
                "{busy} of the rows of {event_id} {} locked by another transaction of {}. The console tries again automatically.",
                if busy == 1 { "is" } else { "are" },
                source.app().info.name
            ),
            format!("See operation {id} in the console."),
        )
        .into());
    }
    let Some(operation) = operation.filter(|operation| operation.finished_at.is_some()) else {
        return Err(Problem::unavailable(
            format!("The reset of {event_id} is still running: {} is slow.", source.app().info.name),
            format!("See operation {id} in the console."),
        )
        .into());
    };
    let counts = operation.counts;
    if counts.failed + counts.uncertain > 0 {
        return Err(Problem::unavailable(
            format!("{} did not accept the reset of {event_id}.", source.app().info.name),
            "See Operations in the console for the reason.",
        )
        .into());
    }
    Ok((StatusCode::OK, [(ROWS_RESET, counts.reset.to_string())]).into_response())
}

/// Returns the rows of an event that the ledger knows, because the table has no index to find them. Empty if the ledger
/// may differ from the table.
async fn known_rows(console: &Console, source: &Source, event_id: &str) -> Vec<RowId> {
    let app = &source.app().info.key;
    if !console.parts.watch.in_step(app) {
        return Vec::new();
    }
    // If the store fails, the table is searched.
    console.parts.store.open_rows_of_event(app, event_id).await.unwrap_or_default()
}

async fn rows_of_event(console: &Console, source: &Source, event_id: &str) -> Result<Vec<FailedEventRow>, JsonProblem> {
    let known = known_rows(console, source, event_id).await;
    let mut rows = source.rows(&known, TextLimit::LIST).await?;
    let same = rows.iter().all(|row| row.event_id.as_deref() == Some(event_id));
    if rows.is_empty() || rows.len() < known.len() || !same {
        rows = source.rows_of_event(event_id).await?;
    }
    Ok(rows)
}

fn no_event(source: &Source, event_id: &str) -> Problem {
    Problem::not_found(
        format!("{} has no failed event {event_id:?}.", source.app().info.name),
        "The event was resolved, or the id is wrong.",
    )
}

/// Returns the application of this name, ignoring case, as the old console did.
fn find<'a>(console: &'a Console, name: &str) -> Result<&'a Arc<Source>, JsonProblem> {
    let named = |name: &str| {
        let name = name.to_lowercase();
        console.applications().find(|info| info.name.to_lowercase() == name)
    };
    let found = named(name).or_else(|| named(&percent_decode_str(name).decode_utf8_lossy()));
    Ok(console.source(found.map_or(name, |info| &info.key))?)
}

/// Returns the feed that a text means: the first meaning that has failed events, otherwise the first.
async fn feed_of(source: &Arc<Source>, text: String) -> Result<String, JsonProblem> {
    let mut meanings = meanings(&text);
    let first = meanings.remove(0);
    // Usually there is only one meaning, and no query is needed.
    if meanings.is_empty() || has_rows(source, &first).await? {
        return Ok(first);
    }
    for meaning in meanings {
        if has_rows(source, &meaning).await? {
            return Ok(meaning);
        }
    }
    Ok(first)
}

async fn has_rows(source: &Arc<Source>, feed: &str) -> Result<bool, JsonProblem> {
    let mut rows = Box::pin(source.feed_rows(feed.to_owned()));
    Ok(rows.next().await.transpose()?.is_some_and(|rows| !rows.is_empty()))
}

/// Returns the possible meanings of an address or event id that a client encoded once or twice: unchanged and decoded
/// once more, also with spaces for the `+` of forms. They are tried in this order, because each can be an id. But if
/// only the decoded text has a colon or slash, it comes first: addresses and the usual ids have them, so the text was
/// most likely encoded twice.
fn meanings(text: &str) -> Vec<String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(|meant| meant.into_owned()).ok();
    let mut meanings = vec![text.to_owned()];
    meanings.extend(decoded(text));
    meanings.extend(text.contains('+').then(|| decoded(&text.replace('+', " "))).flatten());
    let mut seen = HashSet::new();
    meanings.retain(|meaning| seen.insert(meaning.clone()));
    let is_whole = |meaning: &String| meaning.contains([':', '/']);
    if !is_whole(&meanings[0]) && meanings.get(1).is_some_and(is_whole) {
        meanings.swap(0, 1);
    }
    meanings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_twice_is_read_as_it_was_meant_and_else_as_it_came() {
        for (encoded, meant) in [
            (
                "http%3A%2F%2Fh%3A8080%2Fa%2520b%3Fc%2Frecent",
                &["http://h:8080/a%20b?c/recent", "http%3A%2F%2Fh%3A8080%2Fa%2520b%3Fc%2Frecent"][..],
            ),
            ("http://h/a%2Fb/recent", &["http://h/a%2Fb/recent", "http://h/a/b/recent"]),
            ("tag%3Aatomfeed.ict4h.org%3A7", &["tag:atomfeed.ict4h.org:7", "tag%3Aatomfeed.ict4h.org%3A7"]),
            ("tag:atomfeed.ict4h.org:a%20b", &["tag:atomfeed.ict4h.org:a%20b", "tag:atomfeed.ict4h.org:a b"]),
            ("http://h/patient/recent", &["http://h/patient/recent"]),
            ("a%20b", &["a%20b", "a b"]),
            ("a b", &["a b"]),
            ("a+b", &["a+b", "a b"]),
            ("100%25", &["100%25", "100%"]),
            ("%FF%3A", &["%FF%3A"]),
            ("", &[""]),
        ] {
            assert_eq!(meanings(encoded), meant, "{encoded}");
        }
    }
}
