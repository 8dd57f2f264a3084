//! What matches a filter as a file, and the long texts of one event whole: all streamed, none of it held in memory.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Path, RawQuery},
    http::header,
    response::{IntoResponse, Response},
};
use chrono::Utc;
use futures::{Stream, StreamExt, stream};

use super::{
    http::Seen,
    lists,
    operations::Actor,
    security::audit::Entry,
    sources::{ListRequest, ListRows, LongText, SearchIn, Source, TextLimit},
    state::Console,
};
use crate::{
    error::Problem,
    model::{
        FailedEventRow, Reach, RowId, Stamp,
        audit::{AuditKind, AuditOutcome},
        error_text::visible,
        filter::{Direction, Filter, Order, Position},
        masking,
    },
};

/// Rows that one step reads. They go by their ids, which is the one index there is, so a small step costs no more in
/// all than a large one, and a step full of the longest texts stays within some megabytes.
const STEP: u32 = 50;

/// Characters of a long text that one step of a download reads.
const PIECE: u32 = 1 << 20;

/// A form of export.
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

/// The failed events that match as a file: application by application, in the order of their ids.
///
/// # Errors
/// A bad filter, or a source that does not answer: a file must not leave out an application in silence.
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
    let sources: Vec<_> =
        console.sources().filter(|source| filter.wants_app(&source.app().info.key)).cloned().collect();
    let what = filter.to_query();
    let (reading, of) = (Reading::of(&console), console.clone());
    let mut pages =
        Box::pin(stream::iter(sources).flat_map(move |source| pages(of.clone(), source, filter.clone(), reading)));
    // The first page is read before the status is sent, so that an error is one.
    let first = pages.next().await.unwrap_or(Ok(Vec::new()))?;
    let mut record = Record::begin(&console, actor, form.word(), &what).await?;
    let names = move |app: &str| {
        console.applications().find(|info| info.key == app).map_or_else(|| app.to_owned(), |info| info.name.clone())
    };
    let header = (form == Form::Csv).then(|| Ok(csv_line(&COLUMNS.map(str::to_owned))));
    let body = stream::iter(header).chain(to_the_end(first, pages).map(move |page| {
        let Some(rows) = page? else {
            record.end();
            return Ok(Vec::new());
        };
        record.count(&rows);
        let mut out = Vec::new();
        for row in &rows {
            match form {
                Form::Csv => out.extend(csv_line(&csv_cells(row, &names(&row.app)))),
                Form::Ndjson => {
                    out.extend(serde_json::to_vec(row).map_err(|error| Problem::internal(error.to_string()))?);
                    out.push(b'\n');
                }
            }
        }
        // A lost source ends the download with an error; a short file that looks whole would be worse.
        Ok::<_, Problem>(out)
    }));
    let (kind, ending) = match form {
        Form::Csv => ("text/csv; charset=utf-8", "csv"),
        Form::Ndjson => ("application/x-ndjson", "ndjson"),
    };
    let name = format!("attachment; filename=\"failed-events-{}.{ending}\"", Utc::now().format("%Y-%m-%d"));
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(body.map(|chunk| chunk.map(Bytes::from)))).into_response())
}

/// What whoever asks may read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    search: SearchIn,
    masked: bool,
}

impl Reading {
    /// As whom this console is seen by may.
    pub fn of(console: &Console) -> Self {
        Self { search: lists::search_in(console), masked: console.masked().is_some() }
    }
}

/// An export in the audit log: its beginning before a byte of it is sent, its end with the number of rows when the last
/// one was given away, or when the reader went away.
#[derive(Debug)]
pub struct Record {
    console: Console,
    entry: Entry,
    rows: u64,
    ended: bool,
}

impl Record {
    /// # Errors
    /// The audit log cannot be written: nothing must be exported.
    pub async fn begin(console: &Console, actor: &Actor, form: &str, query: &str) -> Result<Self, Problem> {
        let masked = if console.masked().is_some() { ", masked" } else { "" };
        let filter = if query.is_empty() { "no filter".to_owned() } else { format!("filter {query}") };
        let entry = actor.entry(AuditKind::Exported).what(format!("{form}{masked}, {filter}"));
        console.parts.audit.record(entry.clone().outcome(AuditOutcome::Begun)).await?;
        Ok(Self { console: console.clone(), entry, rows: 0, ended: false })
    }

    /// Rows that are given away now.
    pub fn count(&mut self, rows: &[FailedEventRow]) {
        self.rows += rows.len() as u64;
    }

    /// All of them were given away.
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
            // The rows have been given away; that this cannot be written is in the log.
            let _ = console.parts.audit.record(entry.what(what).outcome(outcome)).await;
        });
    }
}

/// Every page of an export, and `None` behind the last one.
pub fn to_the_end(
    first: Vec<FailedEventRow>,
    rest: impl Stream<Item = Result<Vec<FailedEventRow>, Problem>>,
) -> impl Stream<Item = Result<Option<Vec<FailedEventRow>>, Problem>> {
    let pages = stream::iter([Ok(first)]).chain(rest);
    pages.map(|page| page.map(Some)).chain(stream::iter([Ok(None)]))
}

/// Every failed event of one source that matches, oldest id first, page by page.
pub fn pages(
    console: Console,
    source: Arc<Source>,
    filter: Filter,
    reading: Reading,
) -> impl Stream<Item = Result<Vec<FailedEventRow>, Problem>> + Send {
    let filter = Filter { order: Order::IdUp, ..filter };
    stream::try_unfold(Some(None), move |place: Option<Option<Position>>| {
        let (console, source, filter) = (console.clone(), source.clone(), filter.clone());
        async move {
            let Some(from) = place else { return Ok(None) };
            let request = ListRequest {
                filter: &filter,
                from: from.as_ref(),
                direction: Direction::Forward,
                limit: STEP,
                texts: TextLimit::EXPORT,
                search: reading.search,
            };
            let ListRows { rows, stopped_at, .. } = lists::of_source(&console, &source, &request).await?;
            let full = rows.len() >= STEP as usize;
            // A full page goes on after its last row; a text search that looked far enough, where it stopped.
            let next =
                if full { rows.last().map(|row| Position { after: true, ..row.position.clone() }) } else { stopped_at };
            let mut rows: Vec<_> = rows.into_iter().map(|row| mark_cut(row.row)).collect();
            if reading.masked {
                rows.iter_mut().for_each(masking::mask_row);
            }
            Ok(Some((rows, next.map(Some))))
        }
    })
}

/// Says in a text that it was cut, where it was.
fn mark_cut(mut row: FailedEventRow) -> FailedEventRow {
    let TextLimit(limit) = TextLimit::EXPORT;
    for text in [&mut row.error, &mut row.payload].into_iter().flatten() {
        if text.chars().count() >= limit as usize {
            text.push_str(&format!("… [cut here, after {limit} characters]"));
        }
    }
    row
}

const COLUMNS: [&str; 12] = [
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
];

fn csv_cells(row: &FailedEventRow, name: &str) -> [String; 12] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let at = row.failed_at.as_ref().and_then(|stamp| stamp.at);
    [
        name.to_owned(),
        row.id.to_string(),
        text(&row.feed_uri),
        at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)).unwrap_or_default(),
        text(&row.failed_at.as_ref().map(|Stamp { text, .. }| text.clone())),
        text(&row.event_id),
        text(&row.title),
        text(&row.tags),
        row.retries.map(|retries| retries.to_string()).unwrap_or_default(),
        format!("{:?}", row.state).to_lowercase(),
        text(&row.error),
        text(&row.payload),
    ]
}

/// How a text begins that a spreadsheet takes for a formula; the wide forms of East Asian keyboards, too.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\n', '＝', '＋', '－', '＠'];

/// A line of CSV for people and their spreadsheets: control characters are made visible, and a text that would be taken
/// for a formula gets an apostrophe in front; numbers stay. What must be exact is in NDJSON.
pub fn csv_line(cells: &[String]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let harmless = cells.iter().map(|cell| {
        let cell = visible(cell);
        let formula = cell.starts_with(FORMULA) && cell.parse::<i128>().is_err();
        if formula { format!("'{cell}") } else { cell }
    });
    // Writing into memory cannot fail.
    let _ = writer.write_record(harmless);
    writer.into_inner().unwrap_or_default()
}

/// `/failed-events/{app}/{id}/error.txt`: the whole first error.
pub async fn whole_error(
    Seen(console): Seen,
    actor: Actor,
    Path((app, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    whole_text(console, &actor, &app, &id, LongText::Error).await
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
    let id: RowId = id.parse().map_err(|_| Problem::not_found(format!("{id:?} is no id of a failed event."), ""))?;
    let gone = || Problem::not_found(format!("{} has no failed event {id} (any more).", source.app().info.name), "");
    let first = source.text(id, which, 0, PIECE).await?.ok_or_else(gone)?;
    let (kind, text) = match which {
        LongText::Error => (AuditKind::ErrorViewed, "error text"),
        LongText::Payload => (AuditKind::PayloadViewed, "payload"),
    };
    let what = format!("failed event {id}, its whole {text}");
    console.parts.audit.record(actor.entry(kind).app(app).what(what)).await?;
    let whole = first.chars().count() < PIECE as usize;
    let rest = (!whole).then(|| pieces(source.clone(), id, which));
    let body = stream::iter([Ok(first)]).chain(stream::iter(rest).flatten());
    // Plain text, never anything a browser would run, whatever is in it.
    let name = match which {
        LongText::Error => "attachment; filename=\"error.txt\"",
        LongText::Payload => "attachment; filename=\"payload.txt\"",
    };
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(body.map(|piece: Result<String, Problem>| piece.map(Bytes::from)))).into_response())
}

/// The pieces of a long text after the first.
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
pub async fn csv(Seen(console): Seen, actor: Actor, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    failed_events(console, &actor, query, Form::Csv).await
}

/// `/failed-events.ndjson`
pub async fn ndjson(Seen(console): Seen, actor: Actor, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    failed_events(console, &actor, query, Form::Ndjson).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_sees_texts_and_no_formulas() {
        let cells = [
            "=1+1",
            "+x",
            "-5",
            "-x",
            "@sum",
            "\tx",
            "\n=1",
            "＝1",
            "\r=1\x1b[31m",
            "plain, \"quoted\"\nand two lines",
            "18446744073709551615",
        ];
        let line = csv_line(&cells.map(str::to_owned));
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_slice());
        let read = reader.records().next().unwrap().unwrap();
        let expected = [
            "'=1+1",
            "'+x",
            "-5",
            "'-x",
            "'@sum",
            "'\tx",
            "'\n=1",
            "'＝1",
            "␍=1␛[31m",
            "plain, \"quoted\"\nand two lines",
            "18446744073709551615",
        ];
        assert_eq!(read.iter().collect::<Vec<_>>(), expected);
    }
}
