//! The failed events that match a filter as a file, and the long texts of one event whole. All of it is streamed, and
//! none is held in memory whole. Every export and download is recorded in the audit log.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, RawQuery},
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{
    http::{Seen, SeenInZone},
    lists::{self, Times},
    operations::Actor,
    present,
    security::audit::Entry,
    sources::{ListRequest, ListRows, LongText, SearchIn, Source, TextLimit},
    state::Console,
};
use crate::{
    error::Problem,
    model::{
        EventState, FailedEventRow, FailedSince, Reach, RowId, Stamp,
        audit::{AuditKind, AuditOutcome},
        error_text::{shortened, visible},
        filter::{Direction, Filter, Order, Position},
    },
};

/// Rows read in one step. Steps follow the ids, the only index, so small steps cost no more in total than large ones.
const STEP: u32 = 50;

/// Characters of a text that a step reads of each row: twice as many as the consumers write. A row with a longer text
/// is then read alone, so that the memory of a download is bounded in bytes, whatever is in the table.
const SHORT: TextLimit = TextLimit(8_000);

/// Bytes of a file that are written at a time.
pub const WRITTEN: usize = 64 << 10;

/// Characters of a long text that one step of a download reads.
const PIECE: u32 = 1 << 20;

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Csv,
    Ndjson,
}

impl Form {
    fn word(self) -> &'static str {
        match self {
            Form::Csv => "CSV",
            Form::Ndjson => "NDJSON",
        }
    }
}

/// Returns the failed events that match as a file: application by application, in the order of their ids.
///
/// # Errors
/// Fails if the filter is invalid or a source does not answer: a file must not omit an application in silence.
async fn failed_events(
    console: Console,
    actor: &Actor,
    query: Option<String>,
    form: Form,
) -> Result<Response, Problem> {
    let filter = console.list_query(query.as_deref().unwrap_or_default())?.filter;
    for app in &filter.apps {
        console.source(app)?;
    }
    for view in console.views().await {
        if let (true, Reach::Unreachable { reason, .. }) = (filter.wants_app(&view.info.key), view.reach) {
            return Err(Problem::unavailable(reason, "Choose the applications that answer, or export later."));
        }
    }
    let mut sources = Vec::new();
    for source in console.sources().filter(|source| filter.wants_app(&source.app().info.key)) {
        // Read once, so that the times are the same from the first row to the last, whatever the ledger sees meanwhile.
        sources.push((source.clone(), lists::times(&console, source).await));
    }
    let ranged = filter.has_range();
    let compared: BTreeMap<String, Times> =
        sources.iter().filter(|_| ranged).map(|(source, times)| (source.app().info.key.clone(), *times)).collect();
    let what = on_record(&console, &filter).await?;
    // Later readers of the file can see its filter.
    let told: Arc<str> = match filter.to_query() {
        none if none.is_empty() => "everything".into(),
        query => query.into(),
    };
    let (reading, of) = (Reading::of(&console), console.clone());
    let mut pages =
        Box::pin(stream::iter(sources).flat_map(move |source| pages(of.clone(), source, filter.clone(), reading)));
    // The first page is read before the status is sent, so that an error has its own status.
    let first = pages.next().await.unwrap_or(Ok(Vec::new()))?;
    let mut record = Record::begin(&console, actor, form.word(), &what).await?;
    let known: BTreeMap<String, String> =
        console.applications().map(|info| (info.key.clone(), info.name.clone())).collect();
    let known = Arc::new((known, compared));
    let header = (form == Form::Csv).then(|| Ok(csv_head(&COLUMNS)));
    let body = to_the_end(first, pages).flat_map(move |page| {
        let rows = match page {
            Ok(Some(rows)) => rows,
            Ok(None) => {
                record.end();
                Vec::new()
            }
            // A lost source ends the download with an error; a short file that looks complete would be worse.
            Err(problem) => return stream::iter([Err(problem)]).boxed(),
        };
        record.count(&rows);
        let (known, told, mut rows) = (known.clone(), told.clone(), rows.into_iter());
        let mut pieces = move || -> Result<Option<Vec<u8>>, Problem> {
            let mut out = Vec::new();
            while out.len() < WRITTEN {
                let Some(row) = rows.next() else { break };
                let (names, compared) = &*known;
                let name = names.get(&row.app).unwrap_or(&row.app);
                let compared = compared.get(&row.app).map(|times| compared_time(&row, *times));
                match form {
                    Form::Csv => {
                        out.extend(csv_line(&COLUMNS, &csv_cells(&row, name, &told, compared)));
                    }
                    Form::Ndjson => {
                        serde_json::to_writer(&mut out, &Line::of(&row, name, &told, compared))
                            .map_err(|error| Problem::internal(error.to_string()))?;
                        out.push(b'\n');
                    }
                }
            }
            Ok((!out.is_empty()).then_some(out))
        };
        stream::iter(std::iter::from_fn(move || pieces().transpose())).boxed()
    });
    let body = stream::iter(header).chain(body);
    let (kind, ending) = match form {
        Form::Csv => ("text/csv; charset=utf-8", "csv"),
        Form::Ndjson => ("application/x-ndjson", "ndjson"),
    };
    let name = format!("attachment; filename=\"failed-events-{}.{ending}\"", Utc::now().format("%Y-%m-%d"));
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(body.map(|chunk| chunk.map(Bytes::from)))).into_response())
}

/// Returns a filter for the audit log: of a search text, only its length and a hash.
async fn on_record(console: &Console, filter: &Filter) -> Result<String, Problem> {
    let rest = Filter { text: None, ..filter.clone() }.to_query();
    let Some(text) = &filter.text else { return Ok(rest) };
    let searched = console.parts.audit.of_search(text).await?;
    Ok(if rest.is_empty() { searched } else { format!("{rest}, {searched}") })
}

/// What the user may read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    search: SearchIn,
    masked: bool,
}

impl Reading {
    /// Returns what the user of this console may read.
    pub fn of(console: &Console) -> Self {
        Self { search: lists::search_in(console), masked: console.masked().is_some() }
    }
}

/// An export in the audit log: its beginning is recorded before a byte is sent, its end with the number of rows when
/// the last one was sent or the client disconnected.
#[derive(Debug)]
pub struct Record {
    console: Console,
    entry: Entry,
    rows: u64,
    ended: bool,
}

impl Record {
    /// Records the beginning of an export.
    ///
    /// # Errors
    /// Fails if the audit log cannot be written: then nothing must be exported.
    pub async fn begin(console: &Console, actor: &Actor, form: &str, query: &str) -> Result<Self, Problem> {
        let masked = if console.masked().is_some() { ", masked" } else { "" };
        let filter = if query.is_empty() { "no filter".to_owned() } else { format!("filter {query}") };
        let entry = actor.entry(AuditKind::Exported).what(format!("{form}{masked}, {filter}"));
        console.parts.audit.record(entry.clone().outcome(AuditOutcome::Begun)).await?;
        Ok(Self { console: console.clone(), entry, rows: 0, ended: false })
    }

    /// Counts rows that are sent now.
    pub fn count(&mut self, rows: &[FailedEventRow]) {
        self.rows += rows.len() as u64;
    }

    /// Marks that all rows were sent.
    pub fn end(&mut self) {
        self.ended = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (console, entry) = (self.console.clone(), self.entry.clone());
        let outcome = if self.ended { AuditOutcome::Done } else { AuditOutcome::Partly };
        let what = format!("{}: {} rows", entry.what, self.rows);
        self.console.parts.running.spawn(async move {
            // The rows were sent; if this cannot be recorded, the log says so.
            let _ = console.parts.audit.record(entry.what(what).outcome(outcome)).await;
        });
    }
}

/// Returns every page of an export, and `None` after the last one.
pub fn to_the_end(
    first: Vec<FailedEventRow>,
    rest: impl Stream<Item = Result<Vec<FailedEventRow>, Problem>>,
) -> impl Stream<Item = Result<Option<Vec<FailedEventRow>>, Problem>> {
    let pages = stream::iter([Ok(first)]).chain(rest);
    pages.map(|page| page.map(Some)).chain(stream::iter([Ok(None)]))
}

/// Returns every failed event of one source that matches, lowest id first, page by page.
pub fn pages(
    console: Console,
    (source, times): (Arc<Source>, Times),
    filter: Filter,
    reading: Reading,
) -> impl Stream<Item = Result<Vec<FailedEventRow>, Problem>> + Send {
    let filter = Filter { order: Order::IdUp, ..filter };
    let of = (console.clone(), source.clone());
    let steps = stream::try_unfold(Some(None), move |place: Option<Option<Position>>| {
        let (console, source, filter) = (console.clone(), source.clone(), filter.clone());
        async move {
            let Some(from) = place else { return Ok::<_, Problem>(None) };
            let request = ListRequest {
                filter: &filter,
                from: from.as_ref(),
                direction: Direction::Forward,
                limit: STEP,
                texts: SHORT,
                search: reading.search,
            };
            let ListRows { rows, stopped_at, .. } = lists::of_source(&console, &source, &request, times).await?;
            let full = rows.len() >= STEP as usize;
            // After a full page, the next step begins after its last row; after a bounded text search, where it
            // stopped.
            let next =
                if full { rows.last().map(|row| Position { after: true, ..row.position.clone() }) } else { stopped_at };
            let mut rows: Vec<_> = rows.into_iter().map(|row| row.row).collect();
            present::complete(&console, &source, &mut rows, SHORT).await;
            Ok(Some((rows, next.map(Some))))
        }
    });
    let alike = |rows: Vec<FailedEventRow>| {
        let runs: Vec<_> = rows.chunk_by(|one, next| !(is_long(one) || is_long(next))).map(<[_]>::to_vec).collect();
        stream::iter(runs.into_iter().map(Ok::<_, Problem>))
    };
    steps.map_ok(alike).try_flatten().and_then(move |rows| {
        let (console, source) = of.clone();
        async move {
            let long: Vec<RowId> = rows.iter().filter(|row| is_long(row)).map(|row| row.id).collect();
            // A row that was deleted meanwhile is omitted.
            let mut rows = if long.is_empty() { rows } else { source.rows(&long, TextLimit::EXPORT).await? };
            if !long.is_empty() {
                present::complete(&console, &source, &mut rows, TextLimit::EXPORT).await;
            }
            for row in &mut rows {
                mark_cut(row);
            }
            if reading.masked {
                present::mask(&console, &mut rows).await;
            }
            Ok(rows)
        }
    })
}

/// Returns whether a row has a text of which a step reads only the beginning.
fn is_long(row: &FailedEventRow) -> bool {
    let most = SHORT.0 as usize;
    // A text has at least as many bytes as characters.
    let latest = row.latest.as_ref().and_then(|latest| latest.error.as_ref());
    [row.error.as_ref(), row.payload.as_ref(), latest]
        .into_iter()
        .flatten()
        .any(|text| text.len() >= most && text.chars().count() >= most)
}

/// Marks those texts of a row that were cut.
pub(super) fn mark_cut(row: &mut FailedEventRow) {
    let TextLimit(limit) = TextLimit::EXPORT;
    let latest = row.latest.as_mut().and_then(|latest| latest.error.as_mut());
    for text in [row.error.as_mut(), row.payload.as_mut(), latest].into_iter().flatten() {
        // A text has at least as many bytes as characters.
        if text.len() >= limit as usize && text.chars().count() >= limit as usize {
            text.push_str(&format!("… [cut here, after {limit} characters]"));
        }
    }
}

/// New columns are added at the end, so that programs that read a file by position of columns keep working.
const COLUMNS: [&str; 23] = [
    "application",
    "id",
    "feed_uri",
    "first_failed_at_utc",
    "first_failed_at_as_stored",
    "event_id",
    "title",
    "tags",
    "retries",
    "state",
    "error_message",
    "event_content",
    "first_failed_at_is",
    "last_changed_at_utc",
    "latest_failed_at_utc",
    "latest_failed_at_as_stored",
    "latest_error_message",
    "latest_cause",
    "failed_retries_seen",
    "group",
    "record",
    "filter",
    "filtered_by",
];

/// Returns what the time in `first_failed_at_utc` is.
pub(super) fn is_what(since: &FailedSince) -> &'static str {
    match since {
        _ if since.at().is_none() => "not known",
        FailedSince::First(_) => "first failure",
        FailedSince::Seen(_) => "first seen failed",
        FailedSince::ChangedBefore(_) => "last change of the row when first seen",
        FailedSince::Changed(_) => "last change of the row",
    }
}

/// Returns which time of a row a filter by time has compared.
fn compared_time(row: &FailedEventRow, times: Times) -> &'static str {
    match times {
        Times::Stored if row.moves => "last change of the row",
        _ => is_what(&row.failed_since()),
    }
}

fn utc(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn csv_cells(row: &FailedEventRow, name: &str, filter: &str, compared: Option<&str>) -> [String; 23] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let stored = |stamp: Option<&Stamp>| stamp.map(|Stamp { text, .. }| text.clone()).unwrap_or_default();
    let instant = |stamp: Option<&Stamp>| stamp.and_then(|stamp| stamp.at).map(utc).unwrap_or_default();
    let since = row.failed_since();
    [
        name.to_owned(),
        row.id.to_string(),
        text(&row.feed_uri),
        since.at().map(utc).unwrap_or_default(),
        stored(row.failed_at.as_ref()),
        text(&row.event_id),
        text(&row.title),
        text(&row.tags),
        row.retries.map(|retries| retries.to_string()).unwrap_or_default(),
        format!("{:?}", row.state).to_lowercase(),
        text(&row.error),
        text(&row.payload),
        is_what(&since).to_owned(),
        instant(row.failed_at.as_ref().filter(|_| row.moves)),
        instant(row.latest_at()),
        stored(row.latest_at()),
        row.latest_error().unwrap_or_default().to_owned(),
        row.says(),
        row.known.map(|known| known.attempts.to_string()).unwrap_or_default(),
        row.known.map(|known| known.group.to_string()).unwrap_or_default(),
        row.naming().event(name),
        filter.to_owned(),
        compared.unwrap_or_default().to_owned(),
    ]
}

/// A failed event as a line of NDJSON: first what the table holds, then what else is known.
#[derive(Serialize)]
struct Line<'a> {
    app: &'a str,
    id: RowId,
    feed_uri: Option<&'a str>,
    failed_at: Option<&'a Stamp>,
    error: Option<&'a str>,
    event_id: Option<&'a str>,
    payload: Option<&'a str>,
    title: Option<&'a str>,
    retries: Option<i64>,
    tags: Option<&'a str>,
    state: EventState,
    first_failed_at: Option<String>,
    first_failed_at_is: &'static str,
    latest_failed_at: Option<&'a Stamp>,
    latest_error: Option<&'a str>,
    latest_cause: String,
    failed_retries_seen: Option<u64>,
    group: Option<i64>,
    record: String,
    /// In each line, because programs would read a separate line as a failed event.
    filter: &'a str,
    filtered_by: Option<&'static str>,
}

impl<'a> Line<'a> {
    fn of(row: &'a FailedEventRow, application: &str, filter: &'a str, compared: Option<&'static str>) -> Self {
        let since = row.failed_since();
        Self {
            app: &row.app,
            id: row.id,
            feed_uri: row.feed_uri.as_deref(),
            failed_at: row.failed_at.as_ref(),
            error: row.error.as_deref(),
            event_id: row.event_id.as_deref(),
            payload: row.payload.as_deref(),
            title: row.title.as_deref(),
            retries: row.retries,
            tags: row.tags.as_deref(),
            state: row.state,
            first_failed_at: since.at().map(utc),
            first_failed_at_is: is_what(&since),
            latest_failed_at: row.latest_at(),
            latest_error: row.latest_error(),
            latest_cause: row.says(),
            failed_retries_seen: row.known.map(|known| known.attempts),
            group: row.known.map(|known| known.group),
            record: row.naming().event(application),
            filter,
            filtered_by: compared,
        }
    }
}

/// First characters of a text that a spreadsheet reads as a formula; also the wide forms of East Asian keyboards.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\n', '＝', '＋', '－', '＠'];

/// The beginning of a CSV file, so that a spreadsheet opened by a double click reads it as UTF-8 and shows names in
/// Devanagari unchanged.
const BOM: &str = "\u{feff}";

/// Returns the head of a CSV file.
pub fn csv_head(columns: &[&str]) -> Vec<u8> {
    let mut head = BOM.as_bytes().to_vec();
    head.extend(line(columns.iter().map(|column| (*column).to_owned())));
    head
}

/// Returns a line of CSV for spreadsheets: control characters are made visible, and a text that a spreadsheet would
/// read as a formula, or change into a number or a date, gets an apostrophe in front. Numbers and times of the
/// console's own columns stay unchanged. Exact values are in NDJSON.
pub fn csv_line(columns: &[&str], cells: &[String]) -> Vec<u8> {
    line(cells.iter().enumerate().map(|(place, cell)| {
        let cell = visible(cell);
        let column = columns.get(place).copied().unwrap_or_default();
        let own = NUMBERS.contains(&column) || column.ends_with("_utc") || column.ends_with("_as_stored");
        let changed = if own { cell.starts_with(FORMULA) && cell.parse::<i128>().is_err() } else { is_changed(&cell) };
        if changed { format!("'{cell}") } else { cell }
    }))
}

/// Columns whose cells are numbers.
const NUMBERS: [&str; 6] = ["id", "retries", "failed_retries_seen", "number", "action", "group"];

fn line(cells: impl Iterator<Item = String>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing into memory cannot fail.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default()
}

/// Returns whether a spreadsheet would change a text into something else.
fn is_changed(text: &str) -> bool {
    !is_plain_number(text) && (text.starts_with(FORMULA) || is_read_as_value(text.trim()))
}

/// Returns whether a text is a number that a spreadsheet shows unchanged: not more digits than it keeps, no leading
/// zeros.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "1"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole)
        && all_digits(fraction)
        && (whole == "0" || !whole.starts_with('0'))
        // A spreadsheet would omit a zero at the end.
        && !fraction.ends_with('0')
        && digits.len() <= 15
}

/// Returns whether a text reads as a number, a date, a time or a truth value in a spreadsheet of some language: `1E18`,
/// `007`, `1,5`, `2026-01-02`, `10:30 PM`, `5 %`, `3-Dec`, `TRUE`. Marking one too many is better than a changed one.
fn is_read_as_value(text: &str) -> bool {
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
        return true;
    }
    let short = text.len() <= 60 && text.bytes().any(|byte| byte.is_ascii_digit());
    short
        && text
            .split(|letter: char| {
                letter.is_ascii_digit() || letter.is_whitespace() || "+-.,:/'%()$€£¥₹".contains(letter)
            })
            .all(|word| {
                let word = word.to_lowercase();
                let month = MONTHS.iter().any(|month| word.len() >= 3 && month.starts_with(word.as_str()));
                month || ["", "e", "t", "z", "am", "pm", "a", "p"].contains(&word.as_str())
            })
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The query of `error.txt`.
#[derive(Debug, Deserialize)]
pub struct WhichError {
    attempt: Option<String>,
}

/// `/failed-events/{app}/{id}/error.txt`: the whole first error, or with `attempt=` the whole error of a failed retry,
/// by its id in the retry log.
pub async fn whole_error(
    Seen(console): Seen,
    actor: Actor,
    Path((app, id)): Path<(String, String)>,
    Query(WhichError { attempt }): Query<WhichError>,
) -> Result<Response, Problem> {
    let which = match attempt {
        None => LongText::Error,
        Some(attempt) => LongText::Attempt(attempt.parse().map_err(|_| {
            Problem::not_found(format!("{:?} is not an id of a failed retry.", shortened(&attempt, 80)), "")
        })?),
    };
    whole_text(console, &actor, &app, &id, which).await
}

/// `/failed-events/{app}/{id}/payload.txt`: the whole payload.
pub async fn whole_payload(
    Seen(console): Seen,
    actor: Actor,
    Path((app, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    whole_text(console, &actor, &app, &id, LongText::Payload).await
}

async fn whole_text(
    console: Console,
    actor: &Actor,
    app: &str,
    id: &str,
    which: LongText,
) -> Result<Response, Problem> {
    if let Some(lacking) = console.masked() {
        return Err(lacking.into());
    }
    let source = console.source(app)?.clone();
    let id: RowId =
        id.parse().map_err(|_| Problem::not_found(format!("{id:?} is not an id of a failed event."), ""))?;
    let gone = || Problem::not_found(format!("{} has no failed event {id}.", source.app().info.name), "");
    if let LongText::Attempt(attempt) = which
        && !source.is_attempt_of(attempt, id).await?
    {
        return Err(Problem::not_found(format!("Failed event {id} has no failed retry {attempt}."), ""));
    }
    let first = source.text(id, which, 0, PIECE).await?.ok_or_else(gone)?;
    let (kind, text) = match which {
        LongText::Error => (AuditKind::ErrorViewed, "whole error text".to_owned()),
        LongText::Attempt(attempt) => (AuditKind::ErrorViewed, format!("whole error text of failed retry {attempt}")),
        LongText::Payload => (AuditKind::PayloadViewed, "whole payload".to_owned()),
    };
    let what = format!("failed event {id}, its {text}");
    console.parts.audit.record(actor.entry(kind).app(app).what(what)).await?;
    let whole = first.chars().count() < PIECE as usize;
    let rest = (!whole).then(|| pieces(source.clone(), id, which));
    let body = stream::iter([Ok(first)]).chain(stream::iter(rest).flatten());
    // Plain text, so that a browser never runs the content.
    let name = match which {
        LongText::Error | LongText::Attempt(_) => "attachment; filename=\"error.txt\"",
        LongText::Payload => "attachment; filename=\"payload.txt\"",
    };
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(body.map(|piece: Result<String, Problem>| piece.map(Bytes::from)))).into_response())
}

/// Returns the pieces of a long text after the first.
fn pieces(source: Arc<Source>, id: RowId, which: LongText) -> impl Stream<Item = Result<String, Problem>> {
    stream::try_unfold(u64::from(PIECE), move |offset| {
        let source = source.clone();
        async move {
            let gone = || Problem::not_found("The failed event was removed while it was being read.", "");
            let piece = source.text(id, which, offset, PIECE).await?.ok_or_else(gone)?;
            Ok((!piece.is_empty()).then(|| (piece, offset + u64::from(PIECE))))
        }
    })
}

/// `/failed-events.csv`
pub async fn csv(
    SeenInZone(console): SeenInZone,
    actor: Actor,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    failed_events(console, &actor, query, Form::Csv).await
}

/// `/failed-events.ndjson`
pub async fn ndjson(
    SeenInZone(console): SeenInZone,
    actor: Actor,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    failed_events(console, &actor, query, Form::Ndjson).await
}

#[cfg(test)]
mod tests;
