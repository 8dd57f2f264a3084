//! Access to the hospitals' databases (sources): all reads of them, and the few writes.
//!
//! A [`Source`] belongs to one application. It connects on first use, reads the schema it finds, keeps a small pool,
//! and runs every read in a read-only transaction under a statement timeout. It knows neither pages nor the store.
//!
//! The only writes are [`Source::reset`], [`Source::discard`] and [`Source::restore`].

mod busy;
mod catalogue;
mod check;
mod clock;
mod column;
mod connection;
mod discard;
mod events;
mod fault;
mod feed_rows;
mod lag;
mod list;
mod mysql;
mod named;
mod poll;
mod postgres;
mod published;
mod publisher;
pub mod records;
mod reset;
mod restore;
mod rows;
mod schema;
mod sql;
mod sqlite;
mod switch;
mod walk;
mod whole;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::Stream;

use crate::model::{
    Attempt, Availability, Backend, FailedEvent, FailedEventRow, Marker, RowId, Stamp,
    filter::{Direction, Filter, Position},
    operation::RowOutcome,
    overview::NewRow,
    publisher::{Publisher, Queue},
    whole_row::WholeEvent,
};

use super::{config::Application, digest::Digest};

pub use check::{CheckReport, TableReport};
use connection::{Pool, Session};
pub use discard::{Copied, LONGEST_EVENT, TooLong};
pub use lag::ReadPosition;
pub use named::{Answer, Named, Unread, Word};
pub use published::{Counted, FeedShape, Ids, Stretch};
pub use restore::LONG_EVENT;
use schema::{ColumnKind, Table};
pub use walk::{LogRow, RowKey, TableSums, WholeRow};

/// Error of a source. Its sentences are for users and contain no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SourceError {
    pub kind: SourceErrorKind,
    /// What happened, with the application's name: a whole sentence.
    pub reason: String,
    /// What to do: a whole sentence.
    pub advice: String,
}

/// Kind of a [`SourceError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// No connection: refused, no such host, the pool is exhausted.
    Unreachable,
    /// The server refused the user, the password, the client's address, the database or the TLS setting.
    Refused,
    /// The statement or connect timeout was exceeded.
    TimedOut,
    /// Another transaction holds a lock on what the statement writes.
    Locked,
    /// The connection was lost before the answer arrived.
    Lost,
    /// A required table or column is missing.
    NotHere,
    /// The account lacks a right, or the configuration or the database is read-only.
    NotAllowed,
    /// Any other error.
    Other,
}

impl SourceErrorKind {
    /// Returns whether the server was reachable and itself reported this.
    pub const fn is_an_answer(self) -> bool {
        use SourceErrorKind::{Locked, Lost, NotAllowed, NotHere, Other, Refused, TimedOut, Unreachable};
        match self {
            Unreachable | TimedOut | Lost | Other => false,
            Refused | Locked | NotHere | NotAllowed => true,
        }
    }
}

/// Result of one poll of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    /// Name and version of the server.
    pub server: String,
    pub markers: Availability<Vec<Marker>>,
    /// Why the markers lack their pages or entries, as a part of a sentence. `None` if they have both.
    pub marker_gap: Option<String>,
    /// Per feed address (as stored; `None` for NULL): counts and times.
    pub failures: Availability<Vec<FeedFailures>>,
    /// Time of the newest row of the retry log per feed address: of the last retry known to have failed. From the
    /// newest 500 rows.
    pub last_retries: Vec<(Option<String>, Stamp)>,
    /// The newest rows of failed_events by id, newest first: at most [`NEWEST`].
    pub newest: Vec<NewRow>,
    /// Why `reset` would fail: the account's rights, the schema or the configuration. `None` if it would work.
    pub retry_refused: Option<String>,
    /// Missing tables and columns, in words.
    pub missing: Vec<String>,
    /// What will break the consumer itself, in words (rows whose failed_at is NULL, feeds with two markers, …). Markers
    /// that no consumer can continue from are not included: they are reported with their feeds.
    pub hazards: Vec<String>,
}

/// Number of newest rows that a poll keeps.
pub const NEWEST: u32 = 200;

/// Counts and times of the failed events of one feed address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedFailures {
    pub uri: Option<String>,
    pub total: u64,
    pub waiting: u64,
    pub exhausted: u64,
    /// Exhausted events that no retry helps: see [`crate::model::Obstacle`].
    pub beyond_help: u64,
    /// Waiting events without a time: these block all retries of the feed.
    pub blocking: u64,
    pub oldest: Option<Stamp>,
    pub newest: Option<Stamp>,
    /// The earliest first failure of the waiting events.
    pub oldest_waiting: Option<Stamp>,
}

/// Number of characters of each long text that a list contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextLimit(pub u32);

impl TextLimit {
    /// For a list on a page. Errors have 4,000 characters there, which is what the consumers keep.
    pub const LIST: TextLimit = TextLimit(300);
    /// For an export or the old console's JSON. Bounded, because a page of rows with megabytes of text each would not
    /// fit the console's memory. The consumers themselves cut at 4,000 characters.
    pub const EXPORT: TextLimit = TextLimit(100_000);

    /// Returns the limit for errors: a list names an error by its innermost cause, which is at the end of the text.
    fn of_errors(self) -> Self {
        const WHOLE: TextLimit = TextLimit(4_000);
        if self == Self::LIST { WHOLE } else { self }
    }
}

/// One request for rows of a list.
#[derive(Clone, Debug)]
pub struct ListRequest<'a> {
    /// `apps` is ignored here.
    pub filter: &'a Filter,
    /// `None`: from the beginning, or backward from the end.
    pub from: Option<&'a Position>,
    pub direction: Direction,
    pub limit: u32,
    pub texts: TextLimit,
    /// Columns in which the filter's text is searched.
    pub search: SearchIn,
}

/// Columns that a text search covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SearchIn {
    /// Event id, title, payload and error.
    #[default]
    Everything,
    /// For users who may not read payloads and errors: a search in these would reveal their content.
    IdAndTitle,
}

impl SearchIn {
    fn columns(self) -> &'static [&'static str] {
        match self {
            SearchIn::Everything => &["event_id", "title", "event_content", "error_message"],
            SearchIn::IdAndTitle => &["event_id", "title"],
        }
    }
}

/// Known rows of the retry log of an event. They spare a search of the log, whose only index is its primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLog {
    pub event_id: String,
    /// The ids of its rows, up to `to`.
    pub ids: Vec<RowId>,
    /// Rows with higher ids are unknown.
    pub to: RowId,
}

/// Rows of a list, in the list's order even if read backward, and how far a text search got.
#[derive(Clone, Debug, PartialEq)]
pub struct ListRows {
    pub rows: Vec<ListRow>,
    /// Position at which a text search stopped after [`SCAN_LIMIT`] rows, its limit per request; the next request
    /// continues from there. `None` if it reached the end or the page was full.
    pub stopped_at: Option<Position>,
    /// Number of rows that the text search read; 0 for a list without text.
    pub scanned: u64,
}

/// A row and its key in the list's order.
#[derive(Clone, Debug, PartialEq)]
pub struct ListRow {
    pub row: FailedEventRow,
    pub position: Position,
    /// The time that a list sorted by time sorts it by.
    pub listed_at: Option<Stamp>,
}

/// Number of rows that one request of a text search reads.
pub const SCAN_LIMIT: u32 = 20_000;

/// A row to reset, guarded by the retries that the user saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetRow {
    pub id: RowId,
    pub seen_retries: i64,
}

/// A row to discard, guarded by the retries that the user saw. `None` if they are NULL or the table has no such column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscardRow {
    pub id: RowId,
    pub seen_retries: Option<i64>,
}

/// A long text of a failed event that can be read in full, piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongText {
    Error,
    Payload,
    /// The error of an attempt, named by its id in the retry log.
    Attempt(RowId),
}

/// One hospital database.
#[derive(Debug)]
pub struct Source {
    app: Application,
    pool: Pool,
    /// When all events of the publisher were last counted.
    counted_whole: Mutex<Option<Instant>>,
    /// When failed_events was last searched for duplicate pairs of feed and event, and how many there were.
    pairs_twice: Mutex<Option<(Instant, u64)>>,
    /// The tables of the application's records, as last found.
    record_tables: Mutex<Option<Arc<records::Tables>>>,
    /// When it was last read whether publishing is switched off.
    publishing_off: Mutex<Option<(Instant, bool)>>,
}

/// How long a count of all the publisher's events is only added to. Every count notices deleted events; a changed
/// category of an event shows only after this time.
const COUNT_LASTS: Duration = Duration::from_secs(3600);

impl Source {
    /// Creates the source without connecting: a source that is down must not delay the start.
    pub fn new(app: Application) -> Self {
        let (counted_whole, pairs_twice, publishing_off, record_tables) = Default::default();
        Self { pool: Pool::new(&app), app, counted_whole, pairs_twice, publishing_off, record_tables }
    }

    /// Returns the application as configured.
    pub fn app(&self) -> &Application {
        &self.app
    }

    /// Returns whether the last attempt to connect failed.
    pub fn is_down(&self) -> bool {
        self.pool.is_down()
    }

    /// Returns the number of statements that pages, scripts and operations have sent, with the beginnings and ends of
    /// transactions. Polls are not counted.
    pub fn statements(&self) -> u64 {
        self.pool.statements()
    }

    async fn session(&self) -> Result<Session<'_>, SourceError> {
        self.pool.read(&self.app).await
    }

    /// Polls the source: server, markers, failed events per feed, what is missing, hazards.
    ///
    /// # Errors
    /// Fails if markers or failed events cannot be read in time. Other parts that take too long are left empty:
    /// [`Poll::newest`], [`Poll::last_retries`], and the duplicate pairs among the hazards.
    pub async fn poll(&self) -> Result<Poll, SourceError> {
        poll::poll(self).await
    }

    /// Returns the markers, and which tables and columns are missing now: see [`Poll::missing`].
    ///
    /// # Errors
    /// Fails if the markers cannot be read in time.
    pub async fn markers_and_missing(&self) -> Result<(Availability<Vec<Marker>>, Vec<String>), SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let missing = session.schema.missing();
        let outcome = poll::markers_alone(&mut session).await;
        Ok((session.end(outcome).await?, missing))
    }

    /// Returns the events that wait in the source's own queue. `None` if it has no such table.
    ///
    /// # Errors
    /// Fails also if counting them takes too long.
    pub async fn queue(&self) -> Result<Option<Availability<Queue>>, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let lacking = session.schema.lacks(schema::Table::Queue);
        let outcome = if lacking { Ok(None) } else { publisher::queue(&mut session).await.map(Some) };
        session.end(outcome).await
    }

    /// Returns whether this publisher has what a marker names. With `whole`, all of its events are searched and not
    /// only the newest, and events after the marker are searched for.
    ///
    /// # Errors
    /// Fails also if the search takes too long.
    pub async fn named(&self, named: Named<'_>, whole: bool) -> Result<Answer, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let outcome = named::named(&mut session, named, whole).await;
        session.end(outcome).await
    }

    /// Returns when the newest event of each category was published, as far as the newest rows of event_records show.
    pub async fn newest_published(&self) -> Result<Vec<(String, DateTime<Utc>)>, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let outcome = publisher::newest(&mut session).await;
        session.end(outcome).await
    }

    /// Returns the publisher's side. `previous` is the last answer: if the last full count is recent, only newer events
    /// are counted.
    pub async fn publisher(&self, previous: Option<&Publisher>) -> Result<Publisher, SourceError> {
        let counted_whole = *self.counted_whole.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = counted_whole.is_some_and(|at| at.elapsed() < COUNT_LASTS);
        let previous = previous.filter(|_| recent);
        let publisher = publisher::publisher(self, previous).await?;
        if previous.is_none() {
            *self.counted_whole.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        Ok(publisher)
    }

    /// Returns a page of failed events. A text is searched in `failed_events` only.
    pub async fn list(&self, request: &ListRequest<'_>) -> Result<ListRows, SourceError> {
        self.list_with(request, &[], None).await
    }

    /// Like [`Source::list`], but a text is also searched in the errors of `newest`, pairs of a failed event's id and
    /// the id of its newest attempt in the retry log. The row `named` by the text is found whatever it contains.
    pub async fn list_with(
        &self,
        request: &ListRequest<'_>,
        newest: &[(RowId, RowId)],
        named: Option<RowId>,
    ) -> Result<ListRows, SourceError> {
        let mut session = self.session().await?;
        let outcome = list::list(&mut session, request, newest, named).await;
        session.end(outcome).await
    }

    /// Streams every failed event of a feed (empty address: those without a feed), lowest id first, in one transaction:
    /// one statement per thousand rows, or more statements if their texts are long. A reader that takes more than half
    /// a minute gets the rest from another transaction. Texts are cut as for an export.
    pub fn feed_rows(
        self: &Arc<Self>,
        feed: String,
    ) -> impl Stream<Item = Result<Vec<FailedEventRow>, SourceError>> + use<> {
        feed_rows::stream(Arc::clone(self), feed)
    }

    /// Returns how the source writes an instant into `failed_at`: the key of that time in a list of this source.
    pub fn time_key(&self, at: DateTime<Utc>) -> String {
        clock::key(self.app.time_zone, self.failed_at_kind(), at)
    }

    /// Returns whether the database rewrites `failed_at` with every change of a row; false while the schema is unknown.
    pub fn failed_at_moves(&self) -> bool {
        let schema = self.pool.known_schema();
        let table = schema.as_ref().and_then(|schema| schema.table(Table::FailedEvents).ok());
        table.and_then(|table| table.column("failed_at").map(|column| column.moves)).unwrap_or_default()
    }

    fn failed_at_kind(&self) -> ColumnKind {
        let schema = self.pool.known_schema();
        let table = schema.as_ref().and_then(|schema| schema.table(Table::FailedEvents).ok());
        let column = table.as_ref().and_then(|table| table.column("failed_at"));
        // The schema was not read yet: the kind that the known schemas have.
        column.map_or(
            match self.app.database.backend {
                Backend::MySql => ColumnKind::Instant,
                Backend::Postgres => ColumnKind::Local,
                Backend::Sqlite => ColumnKind::Written { t: false, utc: false },
            },
            |column| column.kind,
        )
    }

    /// Returns the time of a text of `failed_at`, as [`Source::time_key`] writes it or the database prints it.
    pub fn time_of_key(&self, text: &str) -> Stamp {
        clock::stamp(self.app.time_zone, self.failed_at_kind(), text.to_owned())
    }

    /// Returns one failed event with its attempts. `None` if it is not in the table (any more).
    pub async fn event(&self, id: RowId) -> Result<Option<FailedEvent>, SourceError> {
        self.event_seen(id, None, None).await
    }

    /// Like [`Source::event`]. `first_sight`: when the ledger first saw the row, or the `failed_at` that the row had
    /// then; see [`crate::model::present_since`]. `known`: rows of the retry log that need not be searched for.
    pub async fn event_seen(
        &self,
        id: RowId,
        first_sight: Option<DateTime<Utc>>,
        known: Option<&KnownLog>,
    ) -> Result<Option<FailedEvent>, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::event(&mut session, id, first_sight, known).await;
        session.end(outcome).await
    }

    /// Returns a piece of a long text: `chars` characters from `offset` (0-based). `None` if the row is missing; empty
    /// after the end.
    pub async fn text(
        &self,
        id: RowId,
        which: LongText,
        offset: u64,
        chars: u32,
    ) -> Result<Option<String>, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::text(&mut session, id, which, offset, chars).await;
        session.end(outcome).await
    }

    /// Returns whether a row of the retry log is an attempt of a failed event.
    pub async fn is_attempt_of(&self, attempt: RowId, id: RowId) -> Result<bool, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::is_attempt_of(&mut session, attempt, id).await;
        session.end(outcome).await
    }

    /// Returns the rows with these ids that are in the table, in any order.
    pub async fn rows(&self, ids: &[RowId], texts: TextLimit) -> Result<Vec<FailedEventRow>, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::rows(&mut session, ids, texts).await;
        session.end(outcome).await
    }

    /// Returns the rows of `failed_events` with this event id (the key that the old console uses), at most 100.
    pub async fn rows_of_event(&self, event_id: &str) -> Result<Vec<FailedEventRow>, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::rows_of_event(&mut session, event_id).await;
        session.end(outcome).await
    }

    /// Returns the rows of the retry log with this event id, oldest first, at most the newest 1000. `None` if no failed
    /// event has it. Normally one statement. `known`: the caller knows that a failed event has it, so `failed_events`
    /// is searched only if the log has no row of it.
    pub async fn attempts_of_event(&self, event_id: &str, known: bool) -> Result<Option<Vec<Attempt>>, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::attempts_of_event(&mut session, event_id, known).await;
        session.end(outcome).await
    }

    /// Returns the existing rows of the retry log with these ids, in any order.
    pub async fn attempts(&self, ids: &[RowId], texts: TextLimit) -> Result<Vec<Attempt>, SourceError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut session = self.session().await?;
        let outcome = events::attempts(&mut session, ids, texts).await;
        session.end(outcome).await
    }

    /// Returns the newest attempt of each of these rows, as far as the newest 20,000 rows of the retry log show.
    pub async fn newest_attempts(
        &self,
        rows: &[FailedEventRow],
        texts: TextLimit,
    ) -> Result<HashMap<RowId, Attempt>, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::newest_of_rows(&mut session, rows, texts).await;
        session.end(outcome).await
    }

    /// Returns failed events whose payload or event id contains `needle` (a uuid), except row `except`: at most
    /// `limit`, from the newest [`SCAN_LIMIT`] rows. The flag says whether the whole table was searched.
    pub async fn same_record(
        &self,
        needle: &str,
        except: Option<RowId>,
        limit: u32,
    ) -> Result<(Vec<FailedEventRow>, bool), SourceError> {
        let mut session = self.session().await?;
        let outcome = events::same_record(&mut session, needle, except, limit).await;
        session.end(outcome).await
    }

    /// Returns the number of waiting failed events of the feed with a lower id: the retry job takes these first. A
    /// `feed` of `None` is a NULL or empty address.
    pub async fn ahead(&self, feed: Option<&str>, id: RowId) -> Result<u64, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::ahead(&mut session, feed, id).await;
        session.end(outcome).await
    }

    /// Sets retries to 0 for exactly these rows, each only if it still has the retries that the user saw and a retry
    /// helps it (see [`crate::model::Obstacle`]); all other columns stay unchanged, including failed_at. One
    /// transaction, unless another one has locked a row: then locked rows are reported as [`RowOutcome::Busy`], and the
    /// others are changed. Returns the outcomes in the order of `rows`.
    ///
    /// # Errors
    /// Fails if the rows cannot be read or written; then nothing was written. If the connection is lost or times out
    /// while committing, this is unknown: then every changed row has the outcome [`RowOutcome::Uncertain`], and there
    /// is no error.
    pub async fn reset(&self, rows: &[ResetRow]) -> Result<Vec<RowOutcome>, SourceError> {
        busy::carry_out(self, &reset::Reset, rows).await
    }

    /// Returns why nothing can be discarded here, as a whole sentence. `None` if discarding is possible.
    pub async fn discard_refused(&self) -> Result<Option<String>, SourceError> {
        let mut session = self.session().await?;
        let outcome = discard::refused(&mut session, discard::WriteKind::Discard).await;
        session.end(outcome).await
    }

    /// Returns why nothing can be restored here, as a whole sentence. `None` if restoring is possible.
    pub async fn restore_refused(&self) -> Result<Option<String>, SourceError> {
        let mut session = self.session().await?;
        let outcome = discard::refused(&mut session, discard::WriteKind::Restore).await;
        session.end(outcome).await
    }

    /// Reads the first of these failed events in full, each with the rows of the retry log that would be deleted with
    /// it: as many as hold about `most` bytes, but at least one. Events longer than [`LONGEST_EVENT`], or than the
    /// database would accept back, are not read.
    ///
    /// # Errors
    /// Fails also if the account may not read every column: the copy would be incomplete.
    pub async fn copy(&self, ids: &[RowId], most: usize) -> Result<Copied, SourceError> {
        let mut session = self.session().await?;
        let outcome = discard::copy(&mut session, ids, most).await;
        session.end(outcome).await
    }

    /// Deletes failed events that equal their copies and have the retries that the user saw, each with its copied rows
    /// of the retry log if no other failed event has the same feed address and event id. One transaction, except for
    /// locked rows, as with [`Source::reset`]. Returns the outcomes in the order of `rows`: discarded, changed, gone or
    /// busy.
    ///
    /// # Errors
    /// Fails as [`Source::reset`] does.
    pub async fn discard(
        &self,
        rows: &[DiscardRow],
        copies: &BTreeMap<RowId, WholeEvent>,
    ) -> Result<Vec<RowOutcome>, SourceError> {
        busy::carry_out(self, &discard::Discard { copies }, rows).await
    }

    /// Restores discarded failed events unchanged, with their retry log: under their own ids if these are free. An
    /// event is not restored if it is there again (a row has the same feed address and event id and was not beside it
    /// when it was discarded) or is longer than the database accepts. One transaction. Returns the outcomes in the
    /// order of `events`: restored (with the id), already there, too long, or failed, if `events` is a single event and
    /// the database ends the connection each time it is sent.
    ///
    /// # Errors
    /// Fails as [`Source::reset`] does.
    pub async fn restore(&self, events: &[WholeEvent]) -> Result<Vec<RowOutcome>, SourceError> {
        restore::restore(self, events).await
    }

    /// Returns, for the watcher, the sums of the whole table by buckets of ids. `choose` returns the width of the
    /// buckets for the span of existing ids, or `None` for no sums.
    ///
    /// # Errors
    /// Fails also with [`SourceErrorKind::NotHere`] if there is no table of failed events.
    pub async fn table_sums(
        &self,
        choose: impl FnOnce(Option<(i64, i64)>) -> Option<i64>,
    ) -> Result<TableSums, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let outcome = walk::table_sums(&mut session, choose).await;
        session.end(outcome).await
    }

    /// Returns the sums of the rows with ids from the first to the last of `range`, by bucket.
    pub async fn digests(&self, range: (i64, i64), width: i64) -> Result<Vec<(i64, Digest)>, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let outcome = walk::digests(&mut session, range, width).await;
        session.end(outcome).await
    }

    /// Returns the keys of the rows with ids from the first to the last of `range`, lowest first.
    pub async fn row_keys(&self, range: (i64, i64), limit: u32) -> Result<Vec<RowKey>, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let outcome = walk::keys(&mut session, range, limit).await;
        session.end(outcome).await
    }

    /// Like [`Source::row_keys`], with the texts at the length that the consumers write.
    pub async fn whole_rows(&self, range: (i64, i64), limit: u32) -> Result<Vec<WholeRow>, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let outcome = walk::whole_rows(&mut session, range, limit).await;
        session.end(outcome).await
    }

    /// Returns the existing rows with these ids, with their texts.
    pub async fn whole_rows_of(&self, ids: &[RowId]) -> Result<Vec<WholeRow>, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let outcome = walk::whole_rows_of(&mut session, ids).await;
        session.end(outcome).await
    }

    /// Returns the rows of the retry log above an id, lowest first.
    pub async fn log_above(&self, above: Option<i64>, limit: u32) -> Result<Vec<LogRow>, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let outcome = walk::log_above(&mut session, above, limit).await;
        session.end(outcome).await
    }

    /// Returns the existing rows of the retry log with these ids.
    pub async fn log_of(&self, ids: &[i64]) -> Result<Vec<LogRow>, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let outcome = walk::log_of(&mut session, ids).await;
        session.end(outcome).await
    }

    /// Returns which of these ids exist in the retry log.
    pub async fn log_present(&self, ids: &[i64]) -> Result<BTreeSet<i64>, SourceError> {
        let mut session = self.pool.poll_session(&self.app).await?;
        let outcome = walk::log_present(&mut session, ids).await;
        session.end(outcome).await
    }

    /// Returns everything that `check` prints about one application. Changes nothing.
    pub async fn check(&self) -> Result<CheckReport, SourceError> {
        check::check(self).await
    }
}
