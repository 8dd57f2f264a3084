//! The hospital's databases: what the console can ask of one, and the few things it can change.
//!
//! A [`Source`] belongs to one application. It connects when first asked, reads the schema it finds, keeps a small pool,
//! and runs every read in a read-only transaction under a statement timeout. It knows neither pages nor the store.
//!
//! Writes: [`Source::reset`], [`Source::discard`] and [`Source::restore`], and nothing else.

mod busy;
mod check;
mod clock;
mod connection;
mod discard;
mod events;
mod fault;
mod feed_rows;
mod list;
mod mysql;
mod named;
mod poll;
mod postgres;
mod publisher;
mod reset;
mod restore;
mod rows;
mod schema;
mod sql;
mod sqlite;
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
    overview::{DayCount, NewRow},
    publisher::{Publisher, Queue},
    whole_row::WholeEvent,
};

use super::{config::Application, digest::Digest};

use connection::{Pool, Session};
pub use discard::{Copied, LONGEST_EVENT, TooLong};
pub use named::{Answer, Named, Unread, Word};
pub use restore::LONG_EVENT;
use schema::{ColumnKind, Table};
pub use walk::{Glance, LogRow, RowKey, WholeRow};

/// Why a source did not answer. The sentences are for people and hold no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SourceError {
    pub kind: SourceErrorKind,
    /// What happened, with the application's name: a whole sentence.
    pub reason: String,
    /// What to do: a whole sentence.
    pub advice: String,
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// No connection: refused, no such host, the pool is exhausted.
    Unreachable,
    /// The user, the password or the TLS setting was refused.
    Refused,
    /// Longer than the statement or connect timeout.
    TimedOut,
    /// Another transaction has locked what is to be written.
    Locked,
    /// The connection was lost half way.
    Lost,
    /// The table or column that this needs is not there.
    NotHere,
    /// The account lacks the right, or the configuration says read-only.
    NotAllowed,
    /// Anything else the database said.
    Other,
}

impl SourceErrorKind {
    /// Returns whether the server was there and said this.
    pub const fn is_an_answer(self) -> bool {
        use SourceErrorKind::{Locked, Lost, NotAllowed, NotHere, Other, Refused, TimedOut, Unreachable};
        match self {
            Unreachable | TimedOut | Lost | Other => false,
            Refused | Locked | NotHere | NotAllowed => true,
        }
    }
}

/// What a poll of a source saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    /// Name and version of the server.
    pub server: String,
    pub markers: Availability<Vec<Marker>>,
    /// The markers are there, but without their pages or entries; why, as a part of a sentence.
    pub marker_gap: Option<String>,
    /// Per feed address (as stored; `None` for NULL): counts and times.
    pub failures: Availability<Vec<FeedFailures>>,
    /// First failures of the last 14 days, oldest first, without gaps, today (in the source's zone) last.
    pub days: Vec<DayCount>,
    /// The newest rows of the retry log per feed address: when a retry was last seen to fail. From the newest 500 rows.
    pub last_retries: Vec<(Option<String>, Stamp)>,
    /// The newest rows of failed_events by id, newest first: at most [`NEWEST`].
    pub newest: Vec<NewRow>,
    /// Why `reset` will not work: the account's rights, the schema, the configuration. `None`: it will.
    pub retry_refused: Option<String>,
    /// Tables and columns that are not there, in words.
    pub missing: Vec<String>,
    /// What will break the consumer itself, in words (rows whose failed_at is NULL, feeds with two markers, …). Markers
    /// that no consumer can go on from are told with their feeds.
    pub hazards: Vec<String>,
}

/// Newest rows that a look keeps.
pub const NEWEST: u32 = 200;

/// Failed events of one feed address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedFailures {
    pub uri: Option<String>,
    pub total: u64,
    pub waiting: u64,
    pub exhausted: u64,
    /// Of the exhausted ones, those that no retry helps: see [`crate::model::Obstacle`].
    pub beyond_help: u64,
    /// Of the waiting ones, those that have no time and so block the retries of all.
    pub blocking: u64,
    pub oldest: Option<Stamp>,
    pub newest: Option<Stamp>,
    /// The first failure of those that wait.
    pub oldest_waiting: Option<Stamp>,
}

/// How much of the long texts a listing carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextLimit(pub u32);

impl TextLimit {
    /// A list on a page. Of errors it carries 4,000 characters, which is what the consumers keep.
    pub const LIST: TextLimit = TextLimit(300);
    /// An export or the old console's JSON. Bounded all the same: a page of rows with megabytes of text each would not
    /// fit the console's memory. The consumers themselves cut at 4,000 characters.
    pub const EXPORT: TextLimit = TextLimit(100_000);

    /// What is read of errors: a list names an error by its innermost cause, which stands at its end.
    fn of_errors(self) -> Self {
        const WHOLE: TextLimit = TextLimit(4_000);
        if self == Self::LIST { WHOLE } else { self }
    }
}

/// One request for rows of a list.
#[derive(Clone, Debug)]
pub struct ListRequest<'a> {
    /// `apps` is not looked at here.
    pub filter: &'a Filter,
    /// `None`: from the beginning (or, backward, from the end).
    pub from: Option<&'a Position>,
    pub direction: Direction,
    pub limit: u32,
    pub texts: TextLimit,
    /// Where the filter's text is looked for.
    pub search: SearchIn,
}

/// Where a text search looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SearchIn {
    /// In event id, title, payload and error.
    #[default]
    Everything,
    /// For who may not read payloads and errors: a search that looked there would tell what they hold.
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

/// What is known of the retry log of an event: the log has no index but its primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLog {
    pub event_id: String,
    /// The ids of its rows, up to `to`.
    pub ids: Vec<RowId>,
    /// Whatever has a higher id is not known.
    pub to: RowId,
}

/// Rows of a list, in the list's order also when it was read backward, and how far a text search looked.
#[derive(Clone, Debug, PartialEq)]
pub struct ListRows {
    pub rows: Vec<ListRow>,
    /// A text search looks at no more than [`SCAN_LIMIT`] rows at a time. If it stopped there: the place it stopped at
    /// (go on from here). `None`: it came to the end, or the page was full.
    pub stopped_at: Option<Position>,
    /// Rows that the text search looked at; 0 for a list without text.
    pub scanned: u64,
}

/// A row and its key in the list's order.
#[derive(Clone, Debug, PartialEq)]
pub struct ListRow {
    pub row: FailedEventRow,
    pub position: Position,
    /// The time by which it stands where it does, in a list that is sorted by time.
    pub listed_at: Option<Stamp>,
}

/// Rows that one request of a text search looks at.
pub const SCAN_LIMIT: u32 = 20_000;

/// A row to reset, guarded by what the person saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetRow {
    pub id: RowId,
    pub seen_retries: i64,
}

/// A row to discard, guarded by what the person saw; `None`: its retries are NULL, or the table has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscardRow {
    pub id: RowId,
    pub seen_retries: Option<i64>,
}

/// The long texts of a failed event that can be fetched whole, piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongText {
    Error,
    Payload,
    /// The error of an attempt, by its row of the retry log.
    Attempt(RowId),
}

/// One hospital database.
#[derive(Debug)]
pub struct Source {
    app: Application,
    pool: Pool,
    /// When the publisher's events were last counted from the first one on.
    counted_whole: Mutex<Option<Instant>>,
    /// When failed_events was last searched for pairs that stand twice, and how many there were.
    pairs_twice: Mutex<Option<(Instant, u64)>>,
}

/// How long a count of the publisher's events is only added to. Events that were deleted are seen at every count; that one was
/// given another category shows after this time.
const COUNT_LASTS: Duration = Duration::from_secs(3600);

impl Source {
    /// Does not connect yet: a source that is down must not hold up the start.
    pub fn new(app: Application) -> Self {
        Self { pool: Pool::new(&app), app, counted_whole: Mutex::default(), pairs_twice: Mutex::default() }
    }

    /// The application as configured.
    pub fn app(&self) -> &Application {
        &self.app
    }

    /// Whether no connection could be made when that was last tried.
    pub fn is_down(&self) -> bool {
        self.pool.is_down()
    }

    /// How many statements pages, scripts and operations have sent so far, with the beginnings and ends of transactions.
    /// Those of the polls are not among them.
    pub fn statements(&self) -> u64 {
        self.pool.statements()
    }

    async fn session(&self) -> Result<Session<'_>, SourceError> {
        self.pool.read(&self.app).await
    }

    /// One look: server, markers, failed events per feed, the last days, what is missing, what is dangerous.
    ///
    /// # Errors
    /// Where markers or failed events cannot be read in time. Of the other parts, those that take too long are left
    /// empty: [`Poll::newest`], [`Poll::last_retries`], and of the hazards the pairs that stand twice.
    pub async fn poll(&self) -> Result<Poll, SourceError> {
        poll::poll(self).await
    }

    /// The markers alone.
    pub async fn markers(&self) -> Result<Availability<Vec<Marker>>, SourceError> {
        let mut session = self.pool.look(&self.app).await?;
        let outcome = poll::markers_alone(&mut session).await;
        session.end(outcome).await
    }

    /// The events that wait in its own queue. `None`: it has no such table.
    ///
    /// # Errors
    /// Also where counting them takes too long.
    pub async fn queue(&self) -> Result<Option<Availability<Queue>>, SourceError> {
        let mut session = self.pool.look(&self.app).await?;
        let lacking = session.schema.lacks(schema::Table::Queue);
        let outcome = if lacking { Ok(None) } else { publisher::queue(&mut session).await.map(Some) };
        session.end(outcome).await
    }

    /// Whether this publisher has what a marker names. `whole`: all of its events are searched, and not the newest alone, and
    /// what comes after the marker is looked for.
    ///
    /// # Errors
    /// Also where searching takes too long.
    pub async fn named(&self, named: Named<'_>, whole: bool) -> Result<Answer, SourceError> {
        let mut session = self.pool.look(&self.app).await?;
        let outcome = named::named(&mut session, named, whole).await;
        session.end(outcome).await
    }

    /// When the newest event of each category was published, as far as the newest rows of event_records tell.
    pub async fn newest_published(&self) -> Result<Vec<(String, DateTime<Utc>)>, SourceError> {
        let mut session = self.pool.look(&self.app).await?;
        let outcome = publisher::newest(&mut session).await;
        session.end(outcome).await
    }

    /// The publisher's side. `previous` is the last answer: where it is recent, only newer events are counted.
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

    /// A page of failed events. A text is looked for in `failed_events` alone.
    pub async fn list(&self, request: &ListRequest<'_>) -> Result<ListRows, SourceError> {
        self.list_with(request, &[], None).await
    }

    /// The same; a text is also looked for in the errors of these rows of the retry log, each the newest attempt of a
    /// failed event (event, row of the log), and the row that the text names is found whatever it holds.
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

    /// Every failed event of a feed (the empty address: of none), lowest id first, in one transaction: a statement for each
    /// thousand rows, more where their texts are long. A reader that takes more than half a minute sees the rest as of
    /// another transaction. Texts are cut as for an export.
    pub fn feed_rows(
        self: &Arc<Self>,
        feed: String,
    ) -> impl Stream<Item = Result<Vec<FailedEventRow>, SourceError>> + use<> {
        feed_rows::stream(Arc::clone(self), feed)
    }

    /// How the source writes an instant into `failed_at`: the key by which a list of this source stands at that time.
    pub fn time_key(&self, at: DateTime<Utc>) -> String {
        clock::key(self.app.time_zone, self.failed_at_kind(), at)
    }

    /// Whether the database rewrites `failed_at` with every change of a row, as far as it was ever asked.
    pub fn failed_at_moves(&self) -> bool {
        let schema = self.pool.known_schema();
        let table = schema.as_ref().and_then(|schema| schema.table(Table::FailedEvents).ok());
        table.and_then(|table| table.column("failed_at").map(|column| column.moves)).unwrap_or_default()
    }

    fn failed_at_kind(&self) -> ColumnKind {
        let schema = self.pool.known_schema();
        let table = schema.as_ref().and_then(|schema| schema.table(Table::FailedEvents).ok());
        let column = table.as_ref().and_then(|table| table.column("failed_at"));
        // Before the first connection: as the known schemas have it.
        column.map_or(
            match self.app.database.backend {
                Backend::MySql => ColumnKind::Instant,
                Backend::Postgres => ColumnKind::Local,
                Backend::Sqlite => ColumnKind::Written { t: false, utc: false },
            },
            |column| column.kind,
        )
    }

    /// The time that a text of `failed_at` means, as [`Source::time_key`] writes them and the database prints them.
    pub fn time_of_key(&self, text: &str) -> Stamp {
        clock::stamp(self.app.time_zone, self.failed_at_kind(), text.to_owned())
    }

    /// One failed event with its attempts; `None`: it is not in the table (any more).
    pub async fn event(&self, id: RowId) -> Result<Option<FailedEvent>, SourceError> {
        self.event_seen(id, None, None).await
    }

    /// The same. `first_sight`: when the ledger saw its row first, or the `failed_at` that it had then; see
    /// [`crate::model::present_since`]. `known`: the rows of the retry log that need not be looked for.
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

    /// A piece of a long text: `chars` characters from `offset` (0-based). `None`: the row is gone. Empty: the end.
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

    /// Whether a row of the retry log is an attempt of a failed event.
    pub async fn is_attempt_of(&self, attempt: RowId, id: RowId) -> Result<bool, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::is_attempt_of(&mut session, attempt, id).await;
        session.end(outcome).await
    }

    /// The rows with these ids that are in the table, in any order.
    pub async fn rows(&self, ids: &[RowId], texts: TextLimit) -> Result<Vec<FailedEventRow>, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::rows(&mut session, ids, texts).await;
        session.end(outcome).await
    }

    /// Every row of `failed_events` with this event id (the old console's way to name one), at most 100.
    pub async fn rows_of_event(&self, event_id: &str) -> Result<Vec<FailedEventRow>, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::rows_of_event(&mut session, event_id).await;
        session.end(outcome).await
    }

    /// The rows of the retry log with this event id, oldest first, at most 1000 of the newest; `None`: no failed event has
    /// it. One statement. `known`: that a failed event has it is known otherwise, and its table is searched only where the log has
    /// nothing of it.
    pub async fn attempts_of_event(&self, event_id: &str, known: bool) -> Result<Option<Vec<Attempt>>, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::attempts_of_event(&mut session, event_id, known).await;
        session.end(outcome).await
    }

    /// The rows of the retry log with these ids that are there, in any order.
    pub async fn attempts(&self, ids: &[RowId], texts: TextLimit) -> Result<Vec<Attempt>, SourceError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut session = self.session().await?;
        let outcome = events::attempts(&mut session, ids, texts).await;
        session.end(outcome).await
    }

    /// The newest attempt of each of these rows, as far as the newest 20,000 rows of the retry log tell.
    pub async fn newest_attempts(
        &self,
        rows: &[FailedEventRow],
        texts: TextLimit,
    ) -> Result<HashMap<RowId, Attempt>, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::newest_of_rows(&mut session, rows, texts).await;
        session.end(outcome).await
    }

    /// Failed events whose payload or event id contains `needle` (a uuid), but for row `except`: at most `limit`, from
    /// the newest [`SCAN_LIMIT`] rows. The flag says whether the whole table was looked at.
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

    /// Waiting failed events of the feed with a lower id: the retry job takes these first. `None` is no feed address: NULL
    /// or empty.
    pub async fn ahead(&self, feed: Option<&str>, id: RowId) -> Result<u64, SourceError> {
        let mut session = self.session().await?;
        let outcome = events::ahead(&mut session, feed, id).await;
        session.end(outcome).await
    }

    /// Sets retries to 0 for exactly these rows, each only if it still has the retries that were seen, and a retry helps
    /// it (see [`crate::model::Obstacle`]); everything else in the row stays, failed_at too. One transaction, unless another
    /// one has locked a row: such rows are told as [`RowOutcome::Busy`], and the others are changed. Answers in the order of
    /// `rows`.
    ///
    /// # Errors
    /// Nothing was written; but [`SourceErrorKind::Lost`] while committing may have been: then the outcome of every row
    /// is [`RowOutcome::Uncertain`] and this is no error.
    pub async fn reset(&self, rows: &[ResetRow]) -> Result<Vec<RowOutcome>, SourceError> {
        busy::carry_out(self, &reset::Reset, rows).await
    }

    /// Why nothing can be discarded here, as a whole sentence; `None`: it can.
    pub async fn discard_refused(&self) -> Result<Option<String>, SourceError> {
        let mut session = self.session().await?;
        let outcome = discard::refused(&mut session, discard::Deed::Discard).await;
        session.end(outcome).await
    }

    /// Why nothing can be put back here, as a whole sentence; `None`: it can.
    pub async fn restore_refused(&self) -> Result<Option<String>, SourceError> {
        let mut session = self.session().await?;
        let outcome = discard::refused(&mut session, discard::Deed::Restore).await;
        session.end(outcome).await
    }

    /// The first of these failed events whole, with the rows of the retry log that would go with them: as many as hold about
    /// `most` bytes, but at least one. Those that are longer than [`LONGEST_EVENT`], or than the database would take back, are
    /// not read.
    ///
    /// # Errors
    /// Also where the account may not read every column: the copy would not be whole.
    pub async fn copy(&self, ids: &[RowId], most: usize) -> Result<Copied, SourceError> {
        let mut session = self.session().await?;
        let outcome = discard::copy(&mut session, ids, most).await;
        session.end(outcome).await
    }

    /// Removes failed events that are as their copies say and have the retries that were seen, each with the rows of the
    /// retry log that were copied with it, if no other failed event has the same feed address and event id. One
    /// transaction, but for locked rows, as with [`Source::reset`]. Answers in the order of `rows`: discarded, changed, gone
    /// or busy.
    ///
    /// # Errors
    /// As [`Source::reset`].
    pub async fn discard(
        &self,
        rows: &[DiscardRow],
        copies: &BTreeMap<RowId, WholeEvent>,
    ) -> Result<Vec<RowOutcome>, SourceError> {
        busy::carry_out(self, &discard::Discard { copies }, rows).await
    }

    /// Puts discarded failed events back as they were, with their retry log: under their own ids where these are free. One
    /// that is there again (the same feed address and event id, and not a row that stood beside it) is left alone, and so is one
    /// that is longer than the database takes. One transaction. Answers in their order: restored (with the id), already there,
    /// too long, or failed, where the database ends the connection whenever it is sent the one event that there is.
    ///
    /// # Errors
    /// As [`Source::reset`].
    pub async fn restore(&self, events: &[WholeEvent]) -> Result<Vec<RowOutcome>, SourceError> {
        restore::restore(self, events).await
    }

    /// A glance for the watcher: the sums of the whole table, by buckets of ids. `choose` answers the buckets' width for the
    /// span of ids there is, or `None` to have no sums.
    ///
    /// # Errors
    /// Also [`SourceErrorKind::NotHere`], where there is no table of failed events to watch.
    pub async fn glance(&self, choose: impl FnOnce(Option<(i64, i64)>) -> Option<i64>) -> Result<Glance, SourceError> {
        let mut session = self.pool.look(&self.app).await?;
        let outcome = walk::glance(&mut session, choose).await;
        session.end(outcome).await
    }

    /// The sums of the rows with ids from the first to the last of `range`, by buckets.
    pub async fn digests(&self, range: (i64, i64), width: i64) -> Result<Vec<(i64, Digest)>, SourceError> {
        let mut session = self.pool.look(&self.app).await?;
        let outcome = walk::digests(&mut session, range, width).await;
        session.end(outcome).await
    }

    /// The keys of the rows with ids from the first to the last of `range`, lowest first.
    pub async fn row_keys(&self, range: (i64, i64), limit: u32) -> Result<Vec<RowKey>, SourceError> {
        let mut session = self.pool.look(&self.app).await?;
        let outcome = walk::keys(&mut session, range, limit).await;
        session.end(outcome).await
    }

    /// The same rows with their texts, as long as the consumers write them.
    pub async fn whole_rows(&self, range: (i64, i64), limit: u32) -> Result<Vec<WholeRow>, SourceError> {
        let mut session = self.pool.look(&self.app).await?;
        let outcome = walk::whole_rows(&mut session, range, limit).await;
        session.end(outcome).await
    }

    /// The rows with these ids that are there, with their texts.
    pub async fn whole_rows_of(&self, ids: &[RowId]) -> Result<Vec<WholeRow>, SourceError> {
        let mut session = self.pool.look(&self.app).await?;
        let outcome = walk::whole_rows_of(&mut session, ids).await;
        session.end(outcome).await
    }

    /// Rows of the retry log above an id, lowest first.
    pub async fn log_above(&self, above: Option<i64>, limit: u32) -> Result<Vec<LogRow>, SourceError> {
        let mut session = self.pool.look(&self.app).await?;
        let outcome = walk::log_above(&mut session, above, limit).await;
        session.end(outcome).await
    }

    /// The rows of the retry log with these ids that are there.
    pub async fn log_of(&self, ids: &[i64]) -> Result<Vec<LogRow>, SourceError> {
        let mut session = self.pool.look(&self.app).await?;
        let outcome = walk::log_of(&mut session, ids).await;
        session.end(outcome).await
    }

    /// Which of these ids of the retry log are there.
    pub async fn log_present(&self, ids: &[i64]) -> Result<BTreeSet<i64>, SourceError> {
        let mut session = self.pool.look(&self.app).await?;
        let outcome = walk::log_present(&mut session, ids).await;
        session.end(outcome).await
    }

    /// Everything that `check` prints of one application. Changes nothing.
    pub async fn check(&self) -> Result<CheckReport, SourceError> {
        check::check(self).await
    }
}

/// What `check` reports of one application.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    pub server: String,
    /// The server's clock.
    pub clock: Option<DateTime<Utc>>,
    /// The console's own clock at the same moment.
    pub own_clock: DateTime<Utc>,
    /// The time zone and character set of the session.
    pub time_zone: String,
    /// Why the connection is not encrypted, where the configuration prefers that it is.
    pub unencrypted: Option<String>,
    pub tables: Vec<TableReport>,
    /// The newest failure there is.
    pub newest_failure: Option<Stamp>,
    /// The addresses of all feeds, from markers and failures.
    pub feeds: BTreeSet<String>,
    /// Why `reset` will not work: see [`Poll::retry_refused`]. By intent, where the application is read-only.
    pub retry_refused: Option<String>,
    /// What will break the consumer or the console, in words, with what to do.
    pub hazards: Vec<String>,
}

/// One of the known tables, as `check` found it.
#[derive(Clone, Debug, PartialEq)]
pub struct TableReport {
    pub name: &'static str,
    pub found: bool,
    /// Not found, but it may be there: MySQL hides what an account may not read.
    pub may_be_hidden: bool,
    /// Of the columns the console knows, those that are not there.
    pub missing_columns: Vec<&'static str>,
    pub rows: Option<u64>,
    pub may_select: bool,
    /// `None` where the console never writes to the table.
    pub may_insert: Option<bool>,
    pub may_update: Option<bool>,
    pub may_delete: Option<bool>,
}
