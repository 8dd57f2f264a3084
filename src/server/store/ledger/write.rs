//! Writes the ledger. One watcher writes the ledger of one source, page by page, in one transaction per page. Changes
//! and the watcher's progress are written together, so that the watcher resumes correctly wherever the console ended.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Row as _, Sqlite, Transaction};

use super::requests;
use crate::{
    model::{
        Stamp,
        feed::tail_of,
        ledger::{Asked, Happened, LifeState, Moment, RequestKind, RequestOutcome},
        present_since,
    },
    server::{
        digest::{self, Digest},
        store::{
            ROWS, Store, StoreError,
            operations::SAME_ROW,
            push_list,
            runs::{RESET, RUN_OF_ROW, UNCERTAIN, WRITING},
        },
    },
};

/// Feeds and faults whose ids are cached.
const REMEMBERED: usize = 20_000;

/// The ledger of one source, as its watcher holds it: the progress of reading, and a cache of feed and fault ids.
#[derive(Debug)]
pub struct LedgerCursor {
    pub source: i64,
    pub identity: Option<String>,
    pub since: DateTime<Utc>,
    /// The first full read is complete.
    pub read_whole: bool,
    /// Start of the last poll whose changes are all in the ledger.
    pub looked_at: Option<DateTime<Utc>>,
    /// Highest id of the retry log that was read.
    pub log_to: Option<i64>,
    /// The max_retry by which the stored states were decided.
    pub max_retry: Option<i64>,
    /// The source rewrites `failed_at` with every change of a row.
    pub moves: bool,
    feeds: HashMap<String, i64>,
    faults: HashMap<(i64, String), i64>,
    /// No row that was open at the last poll has an id outside this range.
    within: (i64, i64),
    /// Events with attempts that were assigned to an earlier failure since the last poll; see [`PageWriter::recall`].
    doubtful: Doubtful,
}

/// Events, by ledger id.
#[derive(Debug)]
enum Doubtful {
    /// Any event of the source: since the console started or began to read the table.
    Any,
    These(BTreeSet<i64>),
}

/// An error's fingerprint: version of the algorithm, and text.
pub type Fingerprint = (i64, String);

/// The findings of a poll, to be written in one transaction.
#[derive(Debug, Default)]
pub struct Page {
    pub appeared: Vec<Appeared>,
    pub changed: Vec<Changed>,
    pub moved: Vec<Moved>,
    pub ended: Vec<Ended>,
    pub attempts: Vec<NewAttempt>,
    pub progress: Progress,
}

impl Page {
    /// Returns the number of changes; for keeping pages small.
    pub fn len(&self) -> usize {
        self.appeared.len() + self.changed.len() + self.moved.len() + self.ended.len() + self.attempts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A row that did not exist at the last poll.
#[derive(Debug)]
pub struct Appeared {
    pub row_id: i64,
    pub feed_uri: Option<String>,
    pub event_id: Option<String>,
    pub record: Option<String>,
    pub title: Option<String>,
    pub failed_at: Option<Stamp>,
    pub retries: Option<i64>,
    pub state: LifeState,
    pub mark: i64,
    pub fault: Fingerprint,
}

/// A row whose retries or mark differ from the last poll.
#[derive(Debug)]
pub struct Changed {
    pub row: LedgerRow,
    pub retries: Option<i64>,
    pub state: LifeState,
    pub mark: i64,
}

/// A row whose feed address was rewritten.
#[derive(Debug)]
pub struct Moved {
    pub row: LedgerRow,
    pub feed_uri: Option<String>,
    pub mark: i64,
}

/// A row that no longer exists.
#[derive(Debug)]
pub struct Ended {
    pub row: LedgerRow,
    pub state: LifeState,
    pub why: Option<String>,
}

/// A row of the retry log.
#[derive(Debug)]
pub struct NewAttempt {
    pub log_id: i64,
    pub feed_uri: Option<String>,
    pub event_id: String,
    pub at: Option<DateTime<Utc>>,
    pub fault: Fingerprint,
}

/// The watcher's progress with this page.
#[derive(Debug, Default)]
pub struct Progress {
    pub log_to: Option<i64>,
    pub identity: Option<String>,
    /// Set if the database turned out to be another one, or its ids restarted: a whole sentence.
    pub broke: Option<String>,
    /// The first full read is complete.
    pub read_whole: bool,
    /// Set when the poll is complete: the time at which it began.
    pub looked_at: Option<DateTime<Utc>>,
}

/// The ledger's record of a row that was open at the last poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Ledger id.
    pub id: i64,
    pub row_id: i64,
    pub feed_id: i64,
    pub feed_uri: Option<String>,
    pub event_id: Option<String>,
    pub retries: Option<i64>,
    pub state: LifeState,
    pub fault: i64,
    pub mark: i64,
    /// The `failed_at` that it had at first sight, as [`micros`] writes it, and the time of first sight in
    /// milliseconds.
    pub failed_at: i64,
    pub seen_at: i64,
}

impl LedgerRow {
    /// Returns the time from which on attempts belong to its present failure.
    fn present_since(&self, moves: bool) -> Option<DateTime<Utc>> {
        let failed_at = super::read::failed_at(self.failed_at);
        let seen_at = DateTime::from_timestamp_millis(self.seen_at);
        present_since(failed_at, moves, failed_at.into_iter().chain(seen_at).min())
    }
}

/// Signs of activity of a feed's consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// When it was last seen at work.
    pub worked_at: Option<DateTime<Utc>>,
    /// When its marker was seen to move, or first seen.
    pub moved_at: Option<DateTime<Utc>>,
    /// The number of moves of its marker that were seen, and when the first was.
    pub moves: i64,
    pub moves_from: Option<DateTime<Utc>>,
}

/// Moves of a marker needed before the average pause between them counts as usual.
const USUAL: i64 = 10;

impl Work {
    /// Returns the usual pause between two moves of the marker, in seconds; `None` if too few were seen.
    pub fn usual_pause(&self) -> Option<u64> {
        let (from, to) = (self.moves_from?, self.moved_at?);
        let pauses = self.moves.checked_sub(1).filter(|_| self.moves >= USUAL)?;
        u64::try_from((to - from).num_seconds() / pauses).ok()
    }
}

/// What a page changed, by ledger id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub appeared: u64,
    pub ended: u64,
    pub attempts: u64,
    /// Requests whose outcome has become known.
    pub settled: Vec<(i64, RequestOutcome)>,
}

impl Store {
    /// Opens the ledger of a source, creating it if it is missing.
    ///
    /// # Errors
    /// Fails if the store cannot be used.
    pub async fn open_cursor(&self, app: &str, now: DateTime<Utc>) -> Result<LedgerCursor, StoreError> {
        sqlx::query("INSERT INTO ledger_sources (app, since) VALUES (?, ?) ON CONFLICT (app) DO NOTHING")
            .bind(app)
            .bind(now.timestamp_millis())
            .execute(&mut *self.writer().await?)
            .await?;
        let row = sqlx::query(
            "SELECT id, identity, since, read_whole_at, looked_at, log_to, max_retry, failed_at_moves FROM ledger_sources \
             WHERE app = ?",
        )
        .bind(app)
        .fetch_one(&self.pool)
        .await?;
        Ok(LedgerCursor {
            source: row.try_get(0)?,
            identity: row.try_get(1)?,
            since: super::read::instant(row.try_get(2)?)?,
            read_whole: row.try_get::<Option<i64>, _>(3)?.is_some(),
            looked_at: super::read::time(row.try_get(4)?),
            log_to: row.try_get(5)?,
            max_retry: row.try_get(6)?,
            moves: row.try_get(7)?,
            feeds: HashMap::new(),
            faults: HashMap::new(),
            within: (i64::MIN, i64::MAX),
            doubtful: Doubtful::Any,
        })
    }

    /// Decides again which open events are waiting and which exhausted, if `max_retry` has changed.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    pub async fn apply_max_retry(&self, cursor: &mut LedgerCursor, max_retry: Option<i64>) -> Result<(), StoreError> {
        if cursor.max_retry == max_retry {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        // Without a max_retry there are no retries: every count is exhausted.
        sqlx::query(
            "UPDATE ledger_events SET state = CASE WHEN retries IS NULL THEN ? WHEN retries < ? THEN ? ELSE ? END \
             WHERE source_id = ? AND state < 10",
        )
        .bind(LifeState::Unknown.code())
        .bind(max_retry.unwrap_or(i64::MIN))
        .bind(LifeState::Waiting.code())
        .bind(LifeState::Exhausted.code())
        .bind(cursor.source)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("DELETE FROM ledger_counts WHERE source_id = ? AND state < 10")
            .bind(cursor.source)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO ledger_counts (source_id, feed_id, fault_id, state, count) \
             SELECT source_id, feed_id, fault_id, state, COUNT(*) FROM ledger_events \
             WHERE source_id = ? AND state < 10 GROUP BY source_id, feed_id, fault_id, state",
        )
        .bind(cursor.source)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE ledger_sources SET max_retry = ? WHERE id = ?")
            .bind(max_retry)
            .bind(cursor.source)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        cursor.max_retry = max_retry;
        Ok(())
    }

    /// Stores whether the source rewrites `failed_at` with every change of a row.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    pub async fn note_moves(&self, cursor: &mut LedgerCursor, moves: bool) -> Result<(), StoreError> {
        if cursor.moves != moves {
            sqlx::query("UPDATE ledger_sources SET failed_at_moves = ? WHERE id = ?")
                .bind(moves)
                .bind(cursor.source)
                .execute(&mut *self.writer().await?)
                .await?;
            cursor.moves = moves;
        }
        Ok(())
    }

    /// Returns the lowest and the highest id of the rows that were open at the last poll.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn id_span(&self, cursor: &mut LedgerCursor) -> Result<Option<(i64, i64)>, StoreError> {
        // Ended rows mostly have lower ids than open ones: they are skipped once, not at every poll.
        let (first, last) = cursor.within;
        let end = async |way: &str| {
            let row = sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT row_id FROM ledger_events WHERE source_id = ? AND row_id BETWEEN ? AND ? AND +state < 10 \
                 ORDER BY row_id {way} LIMIT 1"
            )))
            .bind(cursor.source)
            .bind(first)
            .bind(last)
            .fetch_optional(&self.pool)
            .await?;
            row.map(|row| row.try_get::<i64, _>(0)).transpose()
        };
        let span = end("ASC").await?.zip(end("DESC").await?);
        // Without open rows the range is empty; the next row that appears sets it.
        cursor.within = span.unwrap_or((i64::MAX, i64::MIN));
        Ok(span)
    }

    /// Returns the sums by bucket of the rows that were open at the last poll, with ids from the first to the last.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn ledger_digests(
        &self,
        cursor: &LedgerCursor,
        (first, last): (i64, i64),
        width: i64,
    ) -> Result<Vec<(i64, Digest)>, StoreError> {
        let [ids, retries, mixed] =
            digest::sums("row_id", &format!("COALESCE(retries, {})", digest::NO_RETRIES), "mark");
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT row_id / {width}, COUNT(*), {ids}, {retries}, {mixed} FROM ledger_events \
             WHERE source_id = ? AND row_id BETWEEN ? AND ? AND +state < 10 GROUP BY 1"
        )))
        .bind(cursor.source)
        .bind(first)
        .bind(last)
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let digest = Digest {
                rows: row.try_get(1)?,
                ids: row.try_get(2)?,
                retries: row.try_get(3)?,
                mixed: row.try_get(4)?,
            };
            Ok((row.try_get(0)?, digest))
        };
        rows.iter().map(read).collect()
    }

    /// Returns the ledger's records of the rows that were open at the last poll, with ids from the first to the last,
    /// lowest first.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn ledger_rows(
        &self,
        cursor: &LedgerCursor,
        (first, last): (i64, i64),
    ) -> Result<Vec<LedgerRow>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {LEDGER_COLUMNS} WHERE e.source_id = ? AND e.row_id BETWEEN ? AND ? AND +e.state < 10 ORDER BY e.row_id"
        )))
        .bind(cursor.source)
        .bind(first)
        .bind(last)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_ledger_row).collect()
    }

    /// Returns the retry-log ids of these events' attempts.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn log_ids_of(&self, events: &[i64]) -> Result<HashMap<i64, Vec<i64>>, StoreError> {
        let mut of = HashMap::<i64, Vec<i64>>::new();
        for chunk in events.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "SELECT ledger_event, log_id FROM ledger_entries WHERE log_id IS NOT NULL AND ledger_event IN (",
            );
            push_list(&mut query, chunk);
            for row in query.build().fetch_all(&self.pool).await? {
                of.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
            }
        }
        Ok(of)
    }

    /// Returns which of these events a user has asked to discard.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn being_discarded(&self, events: &[i64]) -> Result<BTreeSet<i64>, StoreError> {
        self.flush_requests().await?;
        let mut asked = BTreeSet::new();
        for chunk in events.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new("SELECT ledger_event FROM ledger_requests WHERE kind = ");
            query.push_bind(RequestKind::Discard.code()).push(" AND outcome IS NULL AND ledger_event IN (");
            push_list(&mut query, chunk);
            for row in query.build().fetch_all(&self.pool).await? {
                asked.insert(row.try_get(0)?);
            }
        }
        Ok(asked)
    }

    /// Stores the markers by feed address, and returns the signs of activity of each feed's consumer. A marker that
    /// moved is such a sign.
    ///
    /// # Errors
    /// Fails if the store cannot be used.
    pub async fn note_markers(
        &self,
        cursor: &mut LedgerCursor,
        markers: &BTreeMap<String, String>,
        at: DateTime<Utc>,
    ) -> Result<HashMap<String, Work>, StoreError> {
        let rows = sqlx::query(
            "SELECT uri, worked_at, marker, marker_moved_at, moves, moves_from FROM ledger_feeds WHERE source_id = ?",
        )
        .bind(cursor.source)
        .fetch_all(&self.pool)
        .await?;
        let (mut work, mut stands) = (HashMap::new(), HashMap::<String, Option<String>>::new());
        for row in rows {
            let uri: String = row.try_get(0)?;
            let of_feed = Work {
                worked_at: super::read::time(row.try_get(1)?),
                moved_at: super::read::time(row.try_get(3)?),
                moves: row.try_get(4)?,
                moves_from: super::read::time(row.try_get(5)?),
            };
            stands.insert(uri.clone(), row.try_get(2)?);
            work.insert(uri, of_feed);
        }
        for (uri, marker) in markers {
            let before = stands.get(uri).cloned().flatten();
            if before.as_ref() == Some(marker) {
                continue;
            }
            // A marker seen for the first time is not a sign of work: it may have been unchanged for long.
            let known = work.get(uri).copied().unwrap_or_default();
            let worked_at = before.is_some().then_some(at).or(known.worked_at);
            let (moves, moves_from) = match before {
                Some(_) => (known.moves + 1, known.moves_from.or(Some(at))),
                None => (known.moves, known.moves_from),
            };
            sqlx::query(
                "INSERT INTO ledger_feeds (source_id, uri, worked_at, marker, marker_moved_at, moves, moves_from) \
                 VALUES (?, ?, ?, ?, ?, ?, ?) \
                 ON CONFLICT (source_id, uri) DO UPDATE SET worked_at = excluded.worked_at, marker = excluded.marker, \
                 marker_moved_at = excluded.marker_moved_at, moves = excluded.moves, moves_from = excluded.moves_from",
            )
            .bind(cursor.source)
            .bind(uri)
            .bind(worked_at.map(|at| at.timestamp_millis()))
            .bind(marker)
            .bind(at.timestamp_millis())
            .bind(moves)
            .bind(moves_from.map(|at| at.timestamp_millis()))
            .execute(&mut *self.writer().await?)
            .await?;
            work.insert(uri.clone(), Work { worked_at, moved_at: Some(at), moves, moves_from });
        }
        Ok(work)
    }

    /// Writes a page completely or not at all.
    ///
    /// # Errors
    /// Fails if the store cannot be written; nothing of the page is then stored.
    pub async fn write_page(
        &self,
        cursor: &mut LedgerCursor,
        moment: Moment,
        page: &Page,
    ) -> Result<Written, StoreError> {
        self.flush_requests().await?;
        let ids = page.appeared.iter().map(|new| new.row_id);
        cursor.within = ids.fold(cursor.within, |(first, last), id| (first.min(id), last.max(id)));
        let mut transaction = self.begin().await?;
        let mut writer = PageWriter { transaction: &mut transaction, cursor, moment, tally: Tally::default() };
        writer.moved(&page.moved).await?;
        writer.changed(&page.changed).await?;
        let mut settled = writer.ended(&page.ended).await?;
        settled.extend(writer.appeared(&page.appeared).await?);
        let mut attempts = writer.attempts(&page.attempts).await?;
        if let Some(began) = page.progress.looked_at {
            attempts += writer.recall().await?;
            settled.extend(writer.settle(began).await?);
        }
        writer.tally().await?;
        writer.progress(&page.progress).await?;
        transaction.commit().await?;
        cursor.take(&page.progress);
        Ok(Written { appeared: page.appeared.len() as u64, ended: page.ended.len() as u64, attempts, settled })
    }
}

/// The columns that [`read_ledger_row`] reads.
const LEDGER_COLUMNS: &str = "e.id, e.row_id, e.feed_id, f.uri, e.event_id, e.retries, e.state, e.fault_id, e.mark, \
     e.failed_at, e.seen_at FROM ledger_events e JOIN ledger_feeds f ON f.id = e.feed_id";

fn read_ledger_row(row: &sqlx::sqlite::SqliteRow) -> Result<LedgerRow, StoreError> {
    let state: i64 = row.try_get(6)?;
    let uri: String = row.try_get(3)?;
    Ok(LedgerRow {
        id: row.try_get(0)?,
        row_id: row.try_get(1)?,
        feed_id: row.try_get(2)?,
        feed_uri: Some(uri).filter(|uri| !uri.is_empty()),
        event_id: row.try_get(4)?,
        retries: row.try_get(5)?,
        state: LifeState::from_code(state)
            .ok_or_else(|| StoreError::Content(format!("a failed event in the unknown state {state}")))?,
        fault: row.try_get(7)?,
        mark: row.try_get(8)?,
        failed_at: row.try_get(9)?,
        seen_at: row.try_get(10)?,
    })
}

impl LedgerCursor {
    fn take(&mut self, progress: &Progress) {
        if progress.broke.is_some() {
            self.log_to = None;
        }
        self.log_to = progress.log_to.or(self.log_to);
        self.identity = progress.identity.clone().or_else(|| self.identity.take());
        self.read_whole |= progress.read_whole;
        self.looked_at = progress.looked_at.or(self.looked_at);
        if progress.looked_at.is_some() {
            self.doubtful = Doubtful::These(BTreeSet::new());
        }
    }
}

/// Sums collected while a page is written.
#[derive(Default)]
struct Tally {
    /// By feed, fault and state.
    counts: BTreeMap<(i64, i64, i64), i64>,
    /// By feed, fault and hour.
    hours: BTreeMap<(i64, i64, i64), Hour>,
    /// When a feed's consumer was last seen at work.
    worked: BTreeMap<i64, i64>,
}

/// Events of one hour.
#[derive(Default)]
struct Hour {
    /// Failed, attempts, resolved, gone, discarded.
    counts: [i64; 5],
    /// When the fault was first and last seen in the hour.
    seen: Option<(i64, i64)>,
}

impl Tally {
    fn count(&mut self, feed: i64, fault: i64, state: LifeState, by: i64) {
        *self.counts.entry((feed, fault, state.code())).or_default() += by;
    }

    fn hour(&mut self, feed: i64, fault: i64, millis: i64, what: usize) {
        let hour = self.hours.entry((feed, fault, millis.div_euclid(3_600_000))).or_default();
        hour.counts[what] += 1;
        if matches!(what, FAILED | ATTEMPTS) {
            self.seen(feed, fault, millis);
        }
    }

    /// Notes that a fault was seen, without counting anything.
    fn seen(&mut self, feed: i64, fault: i64, millis: i64) {
        let hour = self.hours.entry((feed, fault, millis.div_euclid(3_600_000))).or_default();
        let (first, last) = hour.seen.unwrap_or((millis, millis));
        hour.seen = Some((first.min(millis), last.max(millis)));
    }

    fn worked(&mut self, feed: i64, millis: i64) {
        let newest = self.worked.entry(feed).or_insert(millis);
        *newest = millis.max(*newest);
    }
}

const FAILED: usize = 0;
const ATTEMPTS: usize = 1;
const RESOLVED: usize = 2;
const GONE: usize = 3;
const DISCARDED: usize = 4;

/// Writes one page.
struct PageWriter<'a, 't> {
    transaction: &'a mut Transaction<'t, Sqlite>,
    cursor: &'a mut LedgerCursor,
    moment: Moment,
    tally: Tally,
}

impl PageWriter<'_, '_> {
    async fn feed(&mut self, uri: Option<&str>) -> Result<i64, StoreError> {
        let uri = uri.unwrap_or_default();
        if let Some(id) = self.cursor.feeds.get(uri) {
            return Ok(*id);
        }
        sqlx::query("INSERT INTO ledger_feeds (source_id, uri) VALUES (?, ?) ON CONFLICT (source_id, uri) DO NOTHING")
            .bind(self.cursor.source)
            .bind(uri)
            .execute(&mut **self.transaction)
            .await?;
        let id = sqlx::query("SELECT id FROM ledger_feeds WHERE source_id = ? AND uri = ?")
            .bind(self.cursor.source)
            .bind(uri)
            .fetch_one(&mut **self.transaction)
            .await?
            .try_get(0)?;
        if self.cursor.feeds.len() >= REMEMBERED {
            self.cursor.feeds.clear();
        }
        self.cursor.feeds.insert(uri.to_owned(), id);
        Ok(id)
    }

    async fn fault(&mut self, fault: &Fingerprint) -> Result<i64, StoreError> {
        if let Some(id) = self.cursor.faults.get(fault) {
            return Ok(*id);
        }
        let (version, fingerprint) = fault;
        sqlx::query(
            "INSERT INTO ledger_faults (version, fingerprint) VALUES (?, ?) ON CONFLICT (version, fingerprint) DO NOTHING",
        )
        .bind(version)
        .bind(fingerprint)
        .execute(&mut **self.transaction)
        .await?;
        let id = sqlx::query("SELECT id FROM ledger_faults WHERE version = ? AND fingerprint = ?")
            .bind(version)
            .bind(fingerprint)
            .fetch_one(&mut **self.transaction)
            .await?
            .try_get(0)?;
        if self.cursor.faults.len() >= REMEMBERED {
            self.cursor.faults.clear();
        }
        self.cursor.faults.insert(fault.clone(), id);
        Ok(id)
    }

    fn now(&self) -> i64 {
        self.moment.at.timestamp_millis()
    }

    fn after(&self) -> Option<i64> {
        self.moment.after.map(|after| after.timestamp_millis())
    }

    /// Records what happened to an event, except attempts and counts, which are recorded in batches.
    async fn enter(&mut self, event: i64, what: Happened) -> Result<(), StoreError> {
        let number = match what {
            Happened::Overwritten { after } => after,
            Happened::Ended { state } => state.map(LifeState::code),
            _ => None,
        };
        sqlx::query("INSERT INTO ledger_entries (ledger_event, kind, after, at, retries_after) VALUES (?, ?, ?, ?, ?)")
            .bind(event)
            .bind(what.code())
            .bind(self.after())
            .bind(self.now())
            .bind(number)
            .execute(&mut **self.transaction)
            .await?;
        Ok(())
    }

    async fn moved(&mut self, moved: &[Moved]) -> Result<(), StoreError> {
        for Moved { row, feed_uri, mark } in moved {
            let feed = self.feed(feed_uri.as_deref()).await?;
            sqlx::query("UPDATE ledger_events SET feed_id = ?, mark = ? WHERE id = ?")
                .bind(feed)
                .bind(mark)
                .bind(row.id)
                .execute(&mut **self.transaction)
                .await?;
            self.tally.count(row.feed_id, row.fault, row.state, -1);
            self.tally.count(feed, row.fault, row.state, 1);
            self.enter(row.id, Happened::Moved).await?;
        }
        Ok(())
    }

    async fn changed(&mut self, changed: &[Changed]) -> Result<(), StoreError> {
        let (after, now) = (self.after(), self.now());
        for chunk in changed.chunks(ROWS) {
            let mut update = QueryBuilder::<Sqlite>::new("WITH v (id, retries, state, mark) AS (");
            update.push_values(chunk, |mut values, new| {
                values.push_bind(new.row.id).push_bind(new.retries).push_bind(new.state.code()).push_bind(new.mark);
            });
            update.push(
                ") UPDATE ledger_events SET retries = v.retries, state = v.state, mark = v.mark FROM v \
                 WHERE ledger_events.id = v.id",
            );
            update.build().execute(&mut **self.transaction).await?;
            for Changed { row, state, .. } in chunk {
                self.tally.count(row.feed_id, row.fault, row.state, -1);
                self.tally.count(row.feed_id, row.fault, *state, 1);
            }
            // Another database version may compute other marks; that is not a change of the event.
            let told: Vec<&Changed> = chunk.iter().filter(|new| new.row.retries != new.retries).collect();
            if told.is_empty() {
                continue;
            }
            let mut entries = QueryBuilder::<Sqlite>::new(
                "INSERT INTO ledger_entries (ledger_event, kind, after, at, retries_before, retries_after) ",
            );
            entries.push_values(told, |mut values, new| {
                let what = Happened::Retries { before: new.row.retries, after: new.retries };
                values
                    .push_bind(new.row.id)
                    .push_bind(what.code())
                    .push_bind(after)
                    .push_bind(now)
                    .push_bind(new.row.retries)
                    .push_bind(new.retries);
            });
            entries.build().execute(&mut **self.transaction).await?;
        }
        Ok(())
    }

    async fn ended(&mut self, ended: &[Ended]) -> Result<Vec<(i64, RequestOutcome)>, StoreError> {
        let (after, now) = (self.after(), self.now());
        let mut settled = Vec::new();
        for Ended { row, state, why } in ended {
            sqlx::query(
                "UPDATE ledger_events SET state = ?, ended_after = ?, ended_at = ?, ended_why = ? WHERE id = ?",
            )
            .bind(state.code())
            .bind(after)
            .bind(now)
            .bind(why)
            .bind(row.id)
            .execute(&mut **self.transaction)
            .await?;
            self.tally.count(row.feed_id, row.fault, row.state, -1);
            self.tally.count(row.feed_id, row.fault, *state, 1);
            let (outcome, what) = match state {
                LifeState::Resolved => (RequestOutcome::Resolved, RESOLVED),
                LifeState::Discarded => (RequestOutcome::Discarded, DISCARDED),
                _ => (RequestOutcome::Gone, GONE),
            };
            self.tally.hour(row.feed_id, row.fault, now, what);
            if *state == LifeState::Resolved {
                self.tally.worked(row.feed_id, now);
            }
            self.enter(row.id, Happened::Ended { state: Some(*state) }).await?;
            if self.outcome(row.id, None, outcome, None).await? {
                settled.push((row.id, outcome));
            }
        }
        Ok(settled)
    }

    /// Sets the outcome of the open requests for an event; returns whether there were any.
    async fn outcome(
        &mut self,
        event: i64,
        kind: Option<RequestKind>,
        outcome: RequestOutcome,
        fault: Option<i64>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE ledger_requests SET outcome = ?, outcome_after = ?, outcome_at = ?, outcome_fault_id = ? \
             WHERE ledger_event = ? AND outcome IS NULL AND (? IS NULL OR kind = ?)",
        )
        .bind(outcome.code())
        .bind(self.after())
        .bind(self.now())
        .bind(fault)
        .bind(event)
        .bind(kind.map(RequestKind::code))
        .bind(kind.map(RequestKind::code))
        .execute(&mut **self.transaction)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn appeared(&mut self, appeared: &[Appeared]) -> Result<Vec<(i64, RequestOutcome)>, StoreError> {
        let mut settled = Vec::new();
        if appeared.is_empty() {
            return Ok(settled);
        }
        let mut restores = self.restores().await?;
        let retries = self.retries_since_last_poll().await?;
        let (after, now) = (self.after(), self.now());
        for chunk in appeared.chunks(ROWS) {
            let lives = self.lives(chunk).await?;
            let mut rows = Vec::with_capacity(chunk.len());
            for new in chunk {
                let feed = self.feed(new.feed_uri.as_deref()).await?;
                let fault = self.fault(&new.fault).await?;
                let back = new.event_id.as_ref().and_then(|id| restores.get_mut(&(feed, id.clone())));
                if let Some(event) = back.and_then(|events| take_restored(events, new.row_id)) {
                    self.restored(event, new, feed).await?;
                    settled.push((event, RequestOutcome::Restored));
                    continue;
                }
                self.tally.count(feed, fault, new.state, 1);
                let at = new.failed_at.as_ref().and_then(|stamp| stamp.at).map(|at| at.timestamp_millis());
                // A row without a time that was there before the first read failed on a day that is not known.
                match at.or(self.cursor.read_whole.then_some(now)) {
                    Some(at) => self.tally.hour(feed, fault, at, FAILED),
                    None => self.tally.seen(feed, fault, now),
                }
                if let Some(at) = at.filter(|at| *at <= now) {
                    self.tally.worked(feed, at);
                }
                rows.push((new, feed, fault, lives.get(&new.row_id).map_or(0, |life| life + 1)));
            }
            if rows.is_empty() {
                continue;
            }
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO ledger_events (source_id, row_id, life, feed_id, event_id, record, title, failed_at, seen_after, \
                 seen_at, retries, state, mark, first_fault_id, fault_id) ",
            );
            let source = self.cursor.source;
            // Where `failed_at` is rewritten, pages show the first sight if that is earlier.
            let latest = if self.cursor.moves { now.saturating_mul(1000) } else { i64::MAX };
            query.push_values(&rows, |mut values, (new, feed, fault, life)| {
                values
                    .push_bind(source)
                    .push_bind(new.row_id)
                    .push_bind(life)
                    .push_bind(feed)
                    .push_bind(&new.event_id)
                    .push_bind(&new.record)
                    .push_bind(&new.title)
                    .push_bind(micros(new.failed_at.as_ref()).min(latest))
                    .push_bind(after)
                    .push_bind(now)
                    .push_bind(new.retries)
                    .push_bind(new.state.code())
                    .push_bind(new.mark)
                    .push_bind(fault)
                    .push_bind(fault);
            });
            query.build().execute(&mut **self.transaction).await?;
            let ids: Vec<i64> = rows.iter().map(|(new, ..)| new.row_id).collect();
            for operation in &retries {
                self.requested_before(*operation, &ids).await?;
            }
        }
        Ok(settled)
    }

    /// Returns the retries that may have reset a row since the last poll; for rows that are seen for the first time.
    async fn retries_since_last_poll(&mut self) -> Result<Vec<i64>, StoreError> {
        let last = self.after().unwrap_or_else(|| self.cursor.since.timestamp_millis());
        Ok(sqlx::query_scalar(
            "SELECT id FROM operations WHERE kind = ? AND stage NOT IN ('planning', 'draft') \
             AND (finished_at IS NULL OR finished_at >= ?) ORDER BY id",
        )
        .bind(RequestKind::Retry.word())
        .bind(last)
        .fetch_all(&mut **self.transaction)
        .await?)
    }

    /// Records requests that an operation wrote before their rows were first seen, now that the rows have events.
    async fn requested_before(&mut self, operation: i64, rows: &[i64]) -> Result<(), StoreError> {
        let source = self.cursor.source;
        let mut query = QueryBuilder::<Sqlite>::new(format!(
            "SELECT e.id, r.seen_retries, u.at, o.who FROM operations o CROSS JOIN operation_rows r ON r.operation_id = o.id \
             CROSS JOIN ledger_events e ON {SAME_ROW} JOIN {RUN_OF_ROW} WHERE o.id = "
        ));
        query.push_bind(operation).push(" AND r.app = (SELECT app FROM ledger_sources WHERE id = ").push_bind(source);
        query.push(") AND r.row_id IN (");
        let mut list = query.separated(", ");
        for row in rows {
            list.push_bind(row.to_string());
        }
        query.push(") AND e.source_id = ").push_bind(source);
        // A reused id belongs to another event, or its request was recorded in an earlier life.
        query.push(format!(
            " AND +e.state < 10 AND (r.event_id IS NULL OR r.event_id IS e.event_id) AND u.told = 1 \
             AND u.outcome IN ('{RESET}', '{UNCERTAIN}', '{WRITING}') AND NOT EXISTS (SELECT 1 FROM ledger_events x \
             CROSS JOIN ledger_requests q ON q.operation = o.id AND q.ledger_event = x.id \
             WHERE x.source_id = e.source_id AND x.row_id = e.row_id)"
        ));
        // By the time at which the rows were written, and by user.
        let mut asked = BTreeMap::<(i64, String), BTreeMap<i64, Option<i64>>>::new();
        for row in query.build().fetch_all(&mut **self.transaction).await? {
            let of = (row.try_get(2)?, row.try_get(3)?);
            asked.entry(of).or_default().insert(row.try_get(0)?, row.try_get(1)?);
        }
        for ((at, who), events) in asked {
            requests::put(self.transaction, &events, RequestKind::Retry, operation, &who, at).await?;
        }
        Ok(())
    }

    /// Returns the discarded events that a user has asked to restore, by feed and event id: row id and ledger id of
    /// each, because several can have the same event id.
    async fn restores(&mut self) -> Result<HashMap<(i64, String), Vec<(i64, i64)>>, StoreError> {
        let rows = sqlx::query(
            "SELECT e.id, e.feed_id, e.event_id, e.row_id FROM ledger_requests r JOIN ledger_events e ON e.id = r.ledger_event \
             WHERE r.kind = ? AND r.outcome IS NULL AND +e.source_id = ? AND e.event_id IS NOT NULL AND +e.state = ?",
        )
        .bind(RequestKind::Restore.code())
        .bind(self.cursor.source)
        .bind(LifeState::Discarded.code())
        .fetch_all(&mut **self.transaction)
        .await?;
        let mut restores = HashMap::<_, Vec<_>>::new();
        for row in rows {
            let events = restores.entry((row.try_get(1)?, row.try_get(2)?)).or_default();
            events.push((row.try_get(3)?, row.try_get(0)?));
        }
        Ok(restores)
    }

    /// Returns the highest life of each row id.
    async fn lives(&mut self, rows: &[Appeared]) -> Result<HashMap<i64, i64>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT row_id, MAX(life) FROM ledger_events WHERE source_id = ");
        query.push_bind(self.cursor.source).push(" AND row_id IN (");
        push_list(&mut query, &rows.iter().map(|row| row.row_id).collect::<Vec<_>>());
        query.push(" GROUP BY row_id");
        let rows = query.build().fetch_all(&mut **self.transaction).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Continues the life of a discarded event that is in its table again because a user restored it.
    async fn restored(&mut self, event: i64, new: &Appeared, feed: i64) -> Result<(), StoreError> {
        let old = sqlx::query("SELECT row_id, life, fault_id FROM ledger_events WHERE id = ?")
            .bind(event)
            .fetch_one(&mut **self.transaction)
            .await?;
        let (row_id, life, fault): (i64, i64, i64) = (old.try_get(0)?, old.try_get(1)?, old.try_get(2)?);
        let life = if row_id == new.row_id {
            life
        } else {
            sqlx::query("SELECT COALESCE(MAX(life) + 1, 0) FROM ledger_events WHERE source_id = ? AND row_id = ?")
                .bind(self.cursor.source)
                .bind(new.row_id)
                .fetch_one(&mut **self.transaction)
                .await?
                .try_get(0)?
        };
        sqlx::query(
            "UPDATE ledger_events SET row_id = ?, life = ?, state = ?, retries = ?, mark = ?, asked = NULL, ended_after = NULL, \
             ended_at = NULL, ended_why = NULL WHERE id = ?",
        )
        .bind(new.row_id)
        .bind(life)
        .bind(new.state.code())
        .bind(new.retries)
        .bind(new.mark)
        .bind(event)
        .execute(&mut **self.transaction)
        .await?;
        self.tally.count(feed, fault, LifeState::Discarded, -1);
        self.tally.count(feed, fault, new.state, 1);
        self.enter(event, Happened::Restored).await?;
        self.outcome(event, Some(RequestKind::Restore), RequestOutcome::Restored, None).await?;
        Ok(())
    }

    async fn attempts(&mut self, attempts: &[NewAttempt]) -> Result<u64, StoreError> {
        let mut entered = 0;
        for chunk in attempts.chunks(ROWS) {
            let open = self.open_events(chunk).await?;
            let mut rows = Vec::with_capacity(chunk.len());
            for new in chunk {
                let Some(event) = open.get(&new.event_id).and_then(|events| belongs_to(new, events)) else { continue };
                let fault = self.fault(&new.fault).await?;
                let since = event.present_since(self.cursor.moves);
                let earlier = since.zip(new.at).is_some_and(|(since, at)| at < since);
                let what = if earlier { Happened::Earlier } else { Happened::Attempt };
                if earlier && let Doubtful::These(events) = &mut self.cursor.doubtful {
                    events.insert(event.id);
                }
                rows.push((new, event, fault, what));
            }
            if rows.is_empty() {
                continue;
            }
            let (after, now) = (self.after(), self.now());
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO ledger_entries (ledger_event, kind, after, at, fault_id, log_id) ",
            );
            query.push_values(&rows, |mut values, (new, event, fault, what)| {
                // The log's own time is exact; without one, the attempt was made between two polls.
                let at = new.at.map(|at| at.timestamp_millis());
                values
                    .push_bind(event.id)
                    .push_bind(what.code())
                    .push_bind(if at.is_some() { None } else { after })
                    .push_bind(at.unwrap_or(now))
                    .push_bind(fault)
                    .push_bind(new.log_id);
            });
            query.push(
                " ON CONFLICT (ledger_event, log_id) DO NOTHING RETURNING ledger_event, log_id, fault_id, at, kind",
            );
            let tried: HashMap<i64, &LedgerRow> = rows.iter().map(|(_, event, ..)| (event.id, event)).collect();
            let mut of_event = BTreeMap::<i64, (i64, i64, i64)>::new();
            for row in query.build().fetch_all(&mut **self.transaction).await? {
                let (id, log_id, fault, at): (i64, i64, i64, i64) =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
                if row.try_get::<i64, _>(4)? != Happened::Attempt.code() {
                    continue;
                }
                let (number, newest, latest) = of_event.entry(id).or_insert((0, log_id, fault));
                *number += 1;
                if log_id >= *newest {
                    (*newest, *latest) = (log_id, fault);
                }
                entered += 1;
                if let Some(event) = tried.get(&id) {
                    self.tally.hour(event.feed_id, fault, at, ATTEMPTS);
                    if at <= now {
                        self.tally.worked(event.feed_id, at);
                    }
                }
            }
            let of_event = of_event.into_iter().filter_map(|(id, (number, _, latest))| {
                let event = tried.get(&id)?;
                self.tally.count(event.feed_id, event.fault, event.state, -1);
                self.tally.count(event.feed_id, latest, event.state, 1);
                Some((id, number, latest, latest != event.fault))
            });
            let (other_fault, same_fault): (Vec<_>, Vec<_>) = of_event.partition(|(.., other)| *other);
            // `fault_id` is part of an index, which is not rewritten unless the fault changed.
            for (rows, set) in [(other_fault, "fault_id = v.fault, "), (same_fault, "")] {
                if rows.is_empty() {
                    continue;
                }
                let mut query = QueryBuilder::<Sqlite>::new("WITH v (id, number, fault) AS (");
                query.push_values(&rows, |mut values, (id, number, fault, _)| {
                    values.push_bind(*id).push_bind(*number).push_bind(*fault);
                });
                query.push(format!(
                    ") UPDATE ledger_events SET {set}attempts = attempts + v.number FROM v WHERE ledger_events.id = v.id"
                ));
                query.build().execute(&mut **self.transaction).await?;
            }
        }
        Ok(entered)
    }

    /// Counts attempts that were assigned to an earlier failure by their times, but belong to the present one by its
    /// number of retries: see [`crate::model::surely_present`], which has the rule. This is known only at the end of a
    /// poll, when all of the log was read.
    async fn recall(&mut self) -> Result<u64, StoreError> {
        let mut recalled = 0;
        if !self.cursor.moves {
            return Ok(recalled);
        }
        let these = match &self.cursor.doubtful {
            Doubtful::Any => None,
            Doubtful::These(events) => Some(events.iter().copied().collect::<Vec<_>>()),
        };
        match these {
            Some(events) => {
                for events in events.chunks(ROWS) {
                    recalled += self.recall_of(events).await?;
                }
            }
            None => {
                let mut last = i64::MIN;
                loop {
                    let events: Vec<i64> = sqlx::query_scalar(
                        "SELECT e.id FROM ledger_events e WHERE e.id > ? AND +e.source_id = ? AND +e.state < 10 \
                         AND e.retries > e.attempts AND EXISTS (SELECT 1 FROM ledger_entries a WHERE a.ledger_event = e.id \
                         AND a.kind = ?) ORDER BY e.id LIMIT ?",
                    )
                    .bind(last)
                    .bind(self.cursor.source)
                    .bind(Happened::Earlier.code())
                    .bind(ROWS as i64)
                    .fetch_all(&mut **self.transaction)
                    .await?;
                    let Some(highest) = events.last() else { break };
                    last = *highest;
                    recalled += self.recall_of(&events).await?;
                }
            }
        }
        Ok(recalled)
    }

    /// Counts such attempts of the given events: see [`PageWriter::recall`].
    async fn recall_of(&mut self, events: &[i64]) -> Result<u64, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT id, ledger_event, fault_id, at, feed_id, was, state, place FROM (SELECT a.id, a.ledger_event, a.kind, \
             a.fault_id, a.at, e.feed_id, e.fault_id AS was, e.state, e.retries, ROW_NUMBER() OVER \
             (PARTITION BY a.ledger_event ORDER BY a.log_id DESC) AS place, COUNT(*) OVER (PARTITION BY a.ledger_event) AS \
             logged, FIRST_VALUE(a.kind) OVER (PARTITION BY a.ledger_event ORDER BY a.log_id DESC) AS newest \
             FROM ledger_events e JOIN ledger_entries a ON a.ledger_event = e.id AND a.kind IN (",
        );
        query.push_bind(Happened::Attempt.code()).push(", ").push_bind(Happened::Earlier.code());
        query.push(") WHERE +e.state < 10 AND e.id IN (");
        push_list(&mut query, events);
        query.push(") WHERE place <= retries AND (logged >= retries OR newest = ").push_bind(Happened::Attempt.code());
        query.push(") AND kind = ").push_bind(Happened::Earlier.code());
        query.push(" ORDER BY ledger_event, place DESC");
        let now = self.now();
        let mut entries = Vec::new();
        // By event: the number of attempts, and the newest fault if it has changed.
        let mut of_event = BTreeMap::<i64, (i64, Option<i64>)>::new();
        for row in query.build().fetch_all(&mut **self.transaction).await? {
            let (entry, event, fault, at): (i64, i64, i64, i64) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            let (feed, was, state, place): (i64, i64, i64, i64) =
                (row.try_get(4)?, row.try_get(5)?, row.try_get(6)?, row.try_get(7)?);
            entries.push(entry);
            let (number, latest) = of_event.entry(event).or_default();
            *number += 1;
            if place == 1 && fault != was {
                *latest = Some(fault);
                *self.tally.counts.entry((feed, was, state)).or_default() -= 1;
                *self.tally.counts.entry((feed, fault, state)).or_default() += 1;
            }
            self.tally.hour(feed, fault, at, ATTEMPTS);
            if at <= now {
                self.tally.worked(feed, at);
            }
        }
        for entries in entries.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new("UPDATE ledger_entries SET kind = ");
            query.push_bind(Happened::Attempt.code()).push(" WHERE id IN (");
            push_list(&mut query, entries);
            query.build().execute(&mut **self.transaction).await?;
        }
        for (event, (number, latest)) in of_event {
            sqlx::query(
                "UPDATE ledger_events SET attempts = attempts + ?, fault_id = COALESCE(?, fault_id) WHERE id = ?",
            )
            .bind(number)
            .bind(latest)
            .bind(event)
            .execute(&mut **self.transaction)
            .await?;
        }
        Ok(entries.len() as u64)
    }

    /// Returns the open events with the event ids of these attempts, as this page leaves them.
    async fn open_events(&mut self, attempts: &[NewAttempt]) -> Result<HashMap<String, Vec<LedgerRow>>, StoreError> {
        let ids: BTreeSet<&str> = attempts.iter().map(|attempt| attempt.event_id.as_str()).collect();
        // The plus keeps planners on the index of event ids.
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {LEDGER_COLUMNS} WHERE +e.source_id = "));
        query.push_bind(self.cursor.source).push(" AND +e.state < 10 AND substr(e.event_id, -12) IN (");
        let mut list = query.separated(", ");
        for id in &ids {
            list.push("substr(").push_bind_unseparated(id).push_unseparated(", -12)");
        }
        query.push(") ORDER BY e.row_id");
        let mut open = HashMap::<String, Vec<LedgerRow>>::new();
        for row in query.build().fetch_all(&mut **self.transaction).await? {
            let row = read_ledger_row(&row)?;
            open.entry(row.event_id.clone().unwrap_or_default()).or_default().push(row);
        }
        Ok(open)
    }

    /// Decides the outcomes of requested retries at the end of a poll, when rows and their log are known.
    ///
    /// The consumer writes a count and a row of the log together. So a count that the attempts since the request do not
    /// explain was not counted up from 0: the reset was overwritten by a run that held the row, or by another writer.
    /// This is not concluded if the reset may have been written after this poll began.
    async fn settle(&mut self, began: DateTime<Utc>) -> Result<Vec<(i64, RequestOutcome)>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT e.id, e.retries, e.fault_id, (SELECT COUNT(*) FROM ledger_entries a WHERE a.ledger_event = e.id \
             AND a.kind = ? AND a.id > (SELECT MAX(q.id) FROM ledger_entries q WHERE q.ledger_event = e.id AND q.kind = ? \
             AND NOT EXISTS (SELECT 1 FROM ledger_entries x WHERE x.ledger_event = q.ledger_event AND x.kind = ? \
             AND x.operation = q.operation AND x.id > q.id))), \
             EXISTS (SELECT 1 FROM operation_rows r JOIN {RUN_OF_ROW} WHERE r.operation_id = w.operation \
             AND r.app = (SELECT s.app FROM ledger_sources s WHERE s.id = e.source_id) \
             AND r.row_id = CAST(e.row_id AS TEXT) AND (u.outcome = 'writing' OR u.at >= ?)) \
             FROM ledger_requests w JOIN ledger_events e ON e.id = w.ledger_event \
             WHERE w.kind = ? AND w.outcome IS NULL AND e.asked = ? AND e.retries > 0 AND +e.state < 10 AND +e.source_id = ?"
        )))
        .bind(Happened::Attempt.code())
        .bind(Happened::Requested { before: None }.code())
        .bind(Happened::Withdrawn.code())
        .bind(began.timestamp_millis())
        .bind(RequestKind::Retry.code())
        .bind(Asked::Requested.code())
        .bind(self.cursor.source)
        .fetch_all(&mut **self.transaction)
        .await?;
        let mut settled = Vec::with_capacity(rows.len());
        for row in rows {
            let (event, retries, fault, tried): (i64, i64, i64, i64) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            let being_written: bool = row.try_get(4)?;
            let (asked, outcome) = if tried >= retries {
                (Asked::FailedAgain, RequestOutcome::FailedAgain)
            } else if being_written {
                continue;
            } else {
                self.enter(event, Happened::Overwritten { after: Some(retries) }).await?;
                (Asked::Overwritten, RequestOutcome::Overwritten)
            };
            sqlx::query("UPDATE ledger_events SET asked = ? WHERE id = ?")
                .bind(asked.code())
                .bind(event)
                .execute(&mut **self.transaction)
                .await?;
            self.outcome(event, Some(RequestKind::Retry), outcome, Some(fault)).await?;
            settled.push((event, outcome));
        }
        Ok(settled)
    }

    /// Writes the collected sums.
    async fn tally(&mut self) -> Result<(), StoreError> {
        let Tally { counts, hours, worked } = std::mem::take(&mut self.tally);
        for ((feed, fault, state), by) in counts.into_iter().filter(|(_, by)| *by != 0) {
            sqlx::query(
                "INSERT INTO ledger_counts (source_id, feed_id, fault_id, state, count) VALUES (?, ?, ?, ?, ?) \
                 ON CONFLICT (source_id, feed_id, fault_id, state) DO UPDATE SET count = ledger_counts.count + excluded.count",
            )
            .bind(self.cursor.source)
            .bind(feed)
            .bind(fault)
            .bind(state)
            .bind(by)
            .execute(&mut **self.transaction)
            .await?;
        }
        for ((feed, fault, hour), Hour { counts, seen }) in hours {
            let [failed, attempts, resolved, gone, discarded] = counts;
            // MIN and MAX of NULL and a number are NULL.
            sqlx::query(
                "INSERT INTO ledger_hours (source_id, feed_id, fault_id, hour, failed, attempts, resolved, gone, discarded, \
                 first_at, last_at) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source_id, feed_id, fault_id, hour) DO UPDATE SET \
                 failed = ledger_hours.failed + excluded.failed, attempts = ledger_hours.attempts + excluded.attempts, \
                 resolved = ledger_hours.resolved + excluded.resolved, gone = ledger_hours.gone + excluded.gone, \
                 discarded = ledger_hours.discarded + excluded.discarded, \
                 first_at = COALESCE(MIN(ledger_hours.first_at, excluded.first_at), ledger_hours.first_at, excluded.first_at), \
                 last_at = COALESCE(MAX(ledger_hours.last_at, excluded.last_at), ledger_hours.last_at, excluded.last_at)",
            )
            .bind(self.cursor.source)
            .bind(feed)
            .bind(fault)
            .bind(hour)
            .bind(failed)
            .bind(attempts)
            .bind(resolved)
            .bind(gone)
            .bind(discarded)
            .bind(seen.map(|(first, _)| first))
            .bind(seen.map(|(_, last)| last))
            .execute(&mut **self.transaction)
            .await?;
        }
        for (feed, at) in worked {
            sqlx::query("UPDATE ledger_feeds SET worked_at = ? WHERE id = ? AND (worked_at IS NULL OR worked_at < ?)")
                .bind(at)
                .bind(feed)
                .bind(at)
                .execute(&mut **self.transaction)
                .await?;
        }
        Ok(())
    }

    async fn progress(&mut self, progress: &Progress) -> Result<(), StoreError> {
        if let Some(what) = &progress.broke {
            sqlx::query("INSERT INTO ledger_breaks (source_id, after, at, what) VALUES (?, ?, ?, ?)")
                .bind(self.cursor.source)
                .bind(self.after())
                .bind(self.now())
                .bind(what)
                .execute(&mut **self.transaction)
                .await?;
            sqlx::query("UPDATE ledger_sources SET log_to = NULL WHERE id = ?")
                .bind(self.cursor.source)
                .execute(&mut **self.transaction)
                .await?;
        }
        sqlx::query(
            "UPDATE ledger_sources SET log_to = COALESCE(?, log_to), identity = COALESCE(?, identity), \
             looked_at = COALESCE(?, looked_at), read_whole_at = COALESCE(read_whole_at, ?) WHERE id = ?",
        )
        .bind(progress.log_to)
        .bind(&progress.identity)
        .bind(progress.looked_at.map(|at| at.timestamp_millis()))
        .bind(progress.read_whole.then(|| self.now()))
        .bind(self.cursor.source)
        .execute(&mut **self.transaction)
        .await?;
        Ok(())
    }
}

/// Removes and returns the event that is restored in this row, from those with its feed and event id: the one that had
/// this row id, otherwise the first.
fn take_restored(events: &mut Vec<(i64, i64)>, row_id: i64) -> Option<i64> {
    let place = events.iter().position(|(row, _)| *row == row_id).unwrap_or_default();
    (place < events.len()).then(|| events.remove(place).1)
}

/// Returns the event that an attempt belongs to: one of the same feed, on any host. If one of the two addresses is
/// unknown, the event id alone decides.
fn belongs_to(attempt: &NewAttempt, events: &[LedgerRow]) -> Option<LedgerRow> {
    let feed = tail_of(attempt.feed_uri.as_deref());
    let of_feed = events.iter().find(|event| feed.is_some() && tail_of(event.feed_uri.as_deref()) == feed);
    let unknown = events.iter().find(|event| feed.is_none() || tail_of(event.feed_uri.as_deref()).is_none());
    of_feed.or(unknown).cloned()
}

/// Stands for a missing time: NULL, or a value that is not a date.
pub const NO_TIME: i64 = i64::MIN;

/// Converts a time of the source to the ledger's format: see the migration.
pub fn micros(stamp: Option<&Stamp>) -> i64 {
    match stamp.filter(|stamp| !stamp.is_no_date()) {
        None => NO_TIME,
        Some(Stamp { at: Some(at), .. }) => at.timestamp_micros(),
        Some(Stamp { text, .. }) if text == "infinity" => i64::MAX,
        Some(_) => i64::MIN + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Migrates a store in which attempts of an earlier failure were counted.
    #[tokio::test]
    async fn attempts_from_before_a_failure_are_taken_out_of_what_they_counted_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        // Event 1 has one attempt of last year and one of its own; event 2 one of last year; event 3 has no date.
        sqlx::raw_sql(
            "INSERT INTO ledger_sources (id, app, since) VALUES (1, 'odoo', 0);
             INSERT INTO ledger_feeds (id, source_id, uri) VALUES (1, 1, 'f');
             INSERT INTO ledger_faults VALUES (1, 1, 'first'), (2, 1, 'last year'), (3, 1, 'own');
             INSERT INTO ledger_events (id, source_id, row_id, feed_id, failed_at, seen_at, mark, state, first_fault_id,
                fault_id, attempts) VALUES
                (1, 1, 1, 1, 1700000000000000, 1700000500000, 0, 2, 1, 3, 2),
                (2, 1, 2, 1, 1700000000000000, 1700000500000, 0, 2, 1, 2, 1),
                (3, 1, 3, 1, -9223372036854775808, 1700000500000, 0, 2, 1, 2, 1);
             INSERT INTO ledger_entries (ledger_event, kind, at, fault_id, log_id) VALUES
                (1, 1, 1600000000000, 2, 1), (1, 1, 1700000100000, 3, 2), (2, 1, 1600000000000, 2, 3),
                (3, 1, 1600000000000, 2, 4);
             INSERT INTO ledger_counts VALUES (1, 1, 2, 2, 2), (1, 1, 3, 2, 1);
             INSERT INTO ledger_hours (source_id, feed_id, fault_id, hour, attempts) VALUES (1, 1, 2, 444444, 3);",
        )
        .execute(&store.writer)
        .await
        .unwrap();
        let (_, rest) = include_str!("../../../../migrations/0009_present.sql").split_once(';').unwrap();
        sqlx::raw_sql(rest).execute(&store.writer).await.unwrap();
        let numbers =
            async |sql: &'static str| -> Vec<(i64, i64)> { sqlx::query_as(sql).fetch_all(&store.pool).await.unwrap() };
        assert_eq!(numbers("SELECT fault_id, attempts FROM ledger_events ORDER BY id").await, [(3, 1), (1, 0), (2, 1)]);
        assert_eq!(
            numbers("SELECT log_id, kind FROM ledger_entries ORDER BY log_id").await,
            [(1, 10), (2, 1), (3, 10), (4, 1)]
        );
        assert_eq!(
            numbers("SELECT fault_id, count FROM ledger_counts ORDER BY fault_id").await,
            [(1, 1), (2, 1), (3, 1)]
        );
        assert_eq!(numbers("SELECT fault_id, attempts FROM ledger_hours").await, [(2, 1)]);
    }

    /// Migrates a store that had only the hours of faults.
    #[tokio::test]
    async fn hours_of_before_get_their_first_and_last_times() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        sqlx::raw_sql(
            "INSERT INTO ledger_sources (id, app, since) VALUES (1, 'odoo', 0);
             INSERT INTO ledger_feeds (id, source_id, uri) VALUES (1, 1, 'f');
             INSERT INTO ledger_faults VALUES (1, 1, 'first'), (2, 1, 'second');
             INSERT INTO ledger_events (id, source_id, row_id, feed_id, failed_at, seen_at, mark, state, first_fault_id,
                fault_id, attempts) VALUES
                (1, 1, 1, 1, 1700000100000000, 1700000500000, 0, 2, 1, 2, 1),
                (2, 1, 2, 1, 1700000200000000, 1700000500000, 0, 2, 1, 1, 0);
             INSERT INTO ledger_entries (ledger_event, kind, at, fault_id, log_id) VALUES (1, 1, 1700000300000, 2, 1);
             INSERT INTO ledger_hours (source_id, feed_id, fault_id, hour, failed, attempts) VALUES
                (1, 1, 1, 472222, 2, 0), (1, 1, 2, 472222, 0, 1), (1, 1, 2, 1, 1, 0);",
        )
        .execute(&store.writer)
        .await
        .unwrap();
        // The tables have their columns already.
        let migration = include_str!("../../../../migrations/0014_times_of_faults.sql");
        sqlx::raw_sql(&migration[migration.find("WITH told").unwrap()..]).execute(&store.writer).await.unwrap();
        let times: Vec<(Option<i64>, Option<i64>)> =
            sqlx::query_as("SELECT first_at, last_at FROM ledger_hours ORDER BY fault_id, hour")
                .fetch_all(&store.pool)
                .await
                .unwrap();
        let minutes = |number: i64| Some(1_700_000_000_000 + number * 100_000);
        assert_eq!(times, [(minutes(1), minutes(2)), (None, None), (minutes(3), minutes(3))]);
    }
}
