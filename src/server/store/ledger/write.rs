//! The watcher's pen. One watcher writes the book of one source, page by page, each page one transaction: what a page
//! says and how far it came are written together, so that a console that ends anywhere goes on from there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Row as _, Sqlite, Transaction};

use crate::{
    model::{
        Stamp,
        feed::tail_of,
        ledger::{Asked, Happened, LifeState, Moment, RequestKind, RequestOutcome},
        present_since,
    },
    server::{
        digest::{self, Digest},
        store::{ROWS, Store, StoreError, push_list, runs::RUN_OF_ROW},
    },
};

/// Feeds and faults whose numbers are remembered.
const REMEMBERED: usize = 20_000;

/// The book of one source, as its watcher holds it: where it stands, and the numbers of feeds and faults.
#[derive(Debug)]
pub struct Book {
    pub source: i64,
    pub identity: Option<String>,
    pub since: DateTime<Utc>,
    /// The first full read is through.
    pub read_whole: bool,
    /// When the last look began whose changes are all in the book.
    pub looked_at: Option<DateTime<Utc>>,
    /// The highest id of the retry log that was read.
    pub log_to: Option<i64>,
    /// The max_retry by which its states were decided.
    pub max_retry: Option<i64>,
    /// Its database rewrites `failed_at` with every change of a row.
    pub moves: bool,
    feeds: HashMap<String, i64>,
    faults: HashMap<(i64, String), i64>,
    /// No row that was there at the last look has an id outside of these.
    within: (i64, i64),
}

/// An error's fingerprint: the version of the algorithm, and its text.
pub type Fingerprint = (i64, String);

/// What a look found, to be written in one transaction.
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
    /// How much it holds; for keeping pages small.
    pub fn len(&self) -> usize {
        self.appeared.len() + self.changed.len() + self.moved.len() + self.ended.len() + self.attempts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A row that was not there at the last look.
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

/// A row whose retries, or whose mark, are others than at the last look.
#[derive(Debug)]
pub struct Changed {
    pub row: BookRow,
    pub retries: Option<i64>,
    pub state: LifeState,
    pub mark: i64,
}

/// A row whose feed address was rewritten.
#[derive(Debug)]
pub struct Moved {
    pub row: BookRow,
    pub feed_uri: Option<String>,
    pub mark: i64,
}

/// A row that is not there any more.
#[derive(Debug)]
pub struct Ended {
    pub row: BookRow,
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

/// How far the watcher has come with this page.
#[derive(Debug, Default)]
pub struct Progress {
    pub log_to: Option<i64>,
    pub identity: Option<String>,
    /// The database turned out to be another one, or its ids began again: a whole sentence.
    pub broke: Option<String>,
    /// The first full read is through.
    pub read_whole: bool,
    /// The look is through, and began then.
    pub looked_at: Option<DateTime<Utc>>,
}

/// What the book knows of a row that was there at the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookRow {
    /// The ledger's own number.
    pub id: i64,
    pub row_id: i64,
    pub feed_id: i64,
    pub feed_uri: Option<String>,
    pub event_id: Option<String>,
    pub retries: Option<i64>,
    pub state: LifeState,
    pub fault: i64,
    pub mark: i64,
    /// The `failed_at` that it had at first sight, as [`micros`] writes it, and when that was, in milliseconds.
    pub failed_at: i64,
    pub seen_at: i64,
}

impl BookRow {
    /// From when on attempts are of its present failure.
    fn present_since(&self, moves: bool) -> Option<DateTime<Utc>> {
        let failed_at = super::read::failed_at(self.failed_at);
        let seen_at = DateTime::from_timestamp_millis(self.seen_at);
        present_since(failed_at, moves, failed_at.into_iter().chain(seen_at).min())
    }
}

/// Signs of a feed's consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// When it was last seen at work.
    pub worked_at: Option<DateTime<Utc>>,
    /// When its marker was seen to move, or first seen.
    pub moved_at: Option<DateTime<Utc>>,
}

/// What a page changed, by the ledger's own numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub appeared: u64,
    pub ended: u64,
    pub attempts: u64,
    /// Requests whose outcome is known now.
    pub settled: Vec<(i64, RequestOutcome)>,
}

impl Store {
    /// Opens a source's book, or begins it.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn open_book(&self, app: &str, now: DateTime<Utc>) -> Result<Book, StoreError> {
        sqlx::query("INSERT INTO ledger_sources (app, since) VALUES (?, ?) ON CONFLICT (app) DO NOTHING")
            .bind(app)
            .bind(now.timestamp_millis())
            .execute(&self.pen)
            .await?;
        let row = sqlx::query(
            "SELECT id, identity, since, read_whole_at, looked_at, log_to, max_retry, failed_at_moves FROM ledger_sources \
             WHERE app = ?",
        )
        .bind(app)
        .fetch_one(&self.pool)
        .await?;
        Ok(Book {
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
        })
    }

    /// Decides waiting and exhausted anew where the setting is another one than before.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn apply_max_retry(&self, book: &mut Book, max_retry: Option<i64>) -> Result<(), StoreError> {
        if book.max_retry == max_retry {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        // Without a maxRetry nobody retries: every count is at its end.
        sqlx::query(
            "UPDATE ledger_events SET state = CASE WHEN retries IS NULL THEN ? WHEN retries < ? THEN ? ELSE ? END \
             WHERE source_id = ? AND state < 10",
        )
        .bind(LifeState::Unknown.code())
        .bind(max_retry.unwrap_or(i64::MIN))
        .bind(LifeState::Waiting.code())
        .bind(LifeState::Exhausted.code())
        .bind(book.source)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("DELETE FROM ledger_counts WHERE source_id = ? AND state < 10")
            .bind(book.source)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO ledger_counts (source_id, feed_id, fault_id, state, count) \
             SELECT source_id, feed_id, fault_id, state, COUNT(*) FROM ledger_events \
             WHERE source_id = ? AND state < 10 GROUP BY source_id, feed_id, fault_id, state",
        )
        .bind(book.source)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE ledger_sources SET max_retry = ? WHERE id = ?")
            .bind(max_retry)
            .bind(book.source)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        book.max_retry = max_retry;
        Ok(())
    }

    /// Keeps whether the database rewrites `failed_at` with every change of a row.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn note_moves(&self, book: &mut Book, moves: bool) -> Result<(), StoreError> {
        if book.moves != moves {
            sqlx::query("UPDATE ledger_sources SET failed_at_moves = ? WHERE id = ?")
                .bind(moves)
                .bind(book.source)
                .execute(&self.pen)
                .await?;
            book.moves = moves;
        }
        Ok(())
    }

    /// The lowest and the highest id of the rows that were there at the last look.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn book_span(&self, book: &mut Book) -> Result<Option<(i64, i64)>, StoreError> {
        // What ended lies mostly before what is open: it is passed over once, not at every look.
        let (first, last) = book.within;
        let end = async |way: &str| {
            let row = sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT row_id FROM ledger_events WHERE source_id = ? AND row_id BETWEEN ? AND ? AND +state < 10 \
                 ORDER BY row_id {way} LIMIT 1"
            )))
            .bind(book.source)
            .bind(first)
            .bind(last)
            .fetch_optional(&self.pool)
            .await?;
            row.map(|row| row.try_get::<i64, _>(0)).transpose()
        };
        let span = end("ASC").await?.zip(end("DESC").await?);
        // Of an empty book nothing is known but that whatever comes next widens it.
        book.within = span.unwrap_or((i64::MAX, i64::MIN));
        Ok(span)
    }

    /// The sums of the rows with ids from the first to the last that were there at the last look, by bucket.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn book_digests(
        &self,
        book: &Book,
        (first, last): (i64, i64),
        width: i64,
    ) -> Result<Vec<(i64, Digest)>, StoreError> {
        let [ids, retries, mixed] =
            digest::sums("row_id", &format!("COALESCE(retries, {})", digest::NO_RETRIES), "mark");
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT row_id / {width}, COUNT(*), {ids}, {retries}, {mixed} FROM ledger_events \
             WHERE source_id = ? AND row_id BETWEEN ? AND ? AND +state < 10 GROUP BY 1"
        )))
        .bind(book.source)
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

    /// What the book knows of the rows with ids from the first to the last that were there at the last look, lowest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn book_rows(&self, book: &Book, (first, last): (i64, i64)) -> Result<Vec<BookRow>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {BOOK_COLUMNS} WHERE e.source_id = ? AND e.row_id BETWEEN ? AND ? AND +e.state < 10 ORDER BY e.row_id"
        )))
        .bind(book.source)
        .bind(first)
        .bind(last)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_book_row).collect()
    }

    /// The ids in the retry log of these events' attempts.
    ///
    /// # Errors
    /// The store cannot be read.
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

    /// Which of these events a person has asked to discard.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn being_discarded(&self, events: &[i64]) -> Result<BTreeSet<i64>, StoreError> {
        self.tell_requests().await?;
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

    /// Keeps where the markers stand, by feed address, and answers when each feed's consumer was last seen at work: a marker
    /// that moved is such a sign.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn note_markers(
        &self,
        book: &mut Book,
        markers: &BTreeMap<String, String>,
        at: DateTime<Utc>,
    ) -> Result<HashMap<String, Work>, StoreError> {
        let rows = sqlx::query("SELECT uri, worked_at, marker, marker_moved_at FROM ledger_feeds WHERE source_id = ?")
            .bind(book.source)
            .fetch_all(&self.pool)
            .await?;
        let (mut work, mut stands) = (HashMap::new(), HashMap::<String, Option<String>>::new());
        for row in rows {
            let uri: String = row.try_get(0)?;
            let of_feed =
                Work { worked_at: super::read::time(row.try_get(1)?), moved_at: super::read::time(row.try_get(3)?) };
            stands.insert(uri.clone(), row.try_get(2)?);
            work.insert(uri, of_feed);
        }
        for (uri, marker) in markers {
            let before = stands.get(uri).cloned().flatten();
            if before.as_ref() == Some(marker) {
                continue;
            }
            // Where it stands at first sight, it may have stood for long.
            let worked_at = before.is_some().then_some(at).or(work.get(uri).and_then(|work| work.worked_at));
            sqlx::query(
                "INSERT INTO ledger_feeds (source_id, uri, worked_at, marker, marker_moved_at) VALUES (?, ?, ?, ?, ?) \
                 ON CONFLICT (source_id, uri) DO UPDATE SET worked_at = excluded.worked_at, marker = excluded.marker, \
                 marker_moved_at = excluded.marker_moved_at",
            )
            .bind(book.source)
            .bind(uri)
            .bind(worked_at.map(|at| at.timestamp_millis()))
            .bind(marker)
            .bind(at.timestamp_millis())
            .execute(&self.pen)
            .await?;
            work.insert(uri.clone(), Work { worked_at, moved_at: Some(at) });
        }
        Ok(work)
    }

    /// Writes a page, whole or not at all.
    ///
    /// # Errors
    /// The store cannot be written: nothing of the page is in it.
    pub async fn write_page(&self, book: &mut Book, moment: Moment, page: &Page) -> Result<Written, StoreError> {
        self.tell_requests().await?;
        let ids = page.appeared.iter().map(|new| new.row_id);
        book.within = ids.fold(book.within, |(first, last), id| (first.min(id), last.max(id)));
        let mut transaction = self.begin().await?;
        let mut pen = Pen { transaction: &mut transaction, book, moment, tally: Tally::default() };
        pen.moved(&page.moved).await?;
        pen.changed(&page.changed).await?;
        let mut settled = pen.ended(&page.ended).await?;
        settled.extend(pen.appeared(&page.appeared).await?);
        let attempts = pen.attempts(&page.attempts).await?;
        if let Some(began) = page.progress.looked_at {
            settled.extend(pen.settle(began).await?);
        }
        pen.tally().await?;
        pen.progress(&page.progress).await?;
        transaction.commit().await?;
        book.take(&page.progress);
        Ok(Written { appeared: page.appeared.len() as u64, ended: page.ended.len() as u64, attempts, settled })
    }
}

/// What [`read_book_row`] takes.
const BOOK_COLUMNS: &str = "e.id, e.row_id, e.feed_id, f.uri, e.event_id, e.retries, e.state, e.fault_id, e.mark, \
     e.failed_at, e.seen_at FROM ledger_events e JOIN ledger_feeds f ON f.id = e.feed_id";

fn read_book_row(row: &sqlx::sqlite::SqliteRow) -> Result<BookRow, StoreError> {
    let state: i64 = row.try_get(6)?;
    let uri: String = row.try_get(3)?;
    Ok(BookRow {
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

impl Book {
    fn take(&mut self, progress: &Progress) {
        if progress.broke.is_some() {
            self.log_to = None;
        }
        self.log_to = progress.log_to.or(self.log_to);
        self.identity = progress.identity.clone().or_else(|| self.identity.take());
        self.read_whole |= progress.read_whole;
        self.looked_at = progress.looked_at.or(self.looked_at);
    }
}

/// What is added up while a page is written.
#[derive(Default)]
struct Tally {
    /// By feed, fault and state.
    counts: BTreeMap<(i64, i64, i64), i64>,
    /// By feed, fault and hour.
    hours: BTreeMap<(i64, i64, i64), Hour>,
    /// When a feed's consumer was seen at work.
    worked: BTreeMap<i64, i64>,
}

/// What happened in an hour.
#[derive(Default)]
struct Hour {
    /// Failed, attempts, resolved, gone, discarded.
    counts: [i64; 5],
    /// When the fault was seen first and last in it.
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
            let (first, last) = hour.seen.unwrap_or((millis, millis));
            hour.seen = Some((first.min(millis), last.max(millis)));
        }
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

/// One page being written.
struct Pen<'a, 't> {
    transaction: &'a mut Transaction<'t, Sqlite>,
    book: &'a mut Book,
    moment: Moment,
    tally: Tally,
}

impl Pen<'_, '_> {
    async fn feed(&mut self, uri: Option<&str>) -> Result<i64, StoreError> {
        let uri = uri.unwrap_or_default();
        if let Some(id) = self.book.feeds.get(uri) {
            return Ok(*id);
        }
        sqlx::query("INSERT INTO ledger_feeds (source_id, uri) VALUES (?, ?) ON CONFLICT (source_id, uri) DO NOTHING")
            .bind(self.book.source)
            .bind(uri)
            .execute(&mut **self.transaction)
            .await?;
        let id = sqlx::query("SELECT id FROM ledger_feeds WHERE source_id = ? AND uri = ?")
            .bind(self.book.source)
            .bind(uri)
            .fetch_one(&mut **self.transaction)
            .await?
            .try_get(0)?;
        if self.book.feeds.len() >= REMEMBERED {
            self.book.feeds.clear();
        }
        self.book.feeds.insert(uri.to_owned(), id);
        Ok(id)
    }

    async fn fault(&mut self, fault: &Fingerprint) -> Result<i64, StoreError> {
        if let Some(id) = self.book.faults.get(fault) {
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
        if self.book.faults.len() >= REMEMBERED {
            self.book.faults.clear();
        }
        self.book.faults.insert(fault.clone(), id);
        Ok(id)
    }

    fn now(&self) -> i64 {
        self.moment.at.timestamp_millis()
    }

    fn after(&self) -> Option<i64> {
        self.moment.after.map(|after| after.timestamp_millis())
    }

    /// Enters what happened to an event, other than attempts and counts, which are entered many at a time.
    async fn enter(&mut self, event: i64, what: Happened) -> Result<(), StoreError> {
        let retries = if let Happened::Overwritten { after } = what { after } else { None };
        sqlx::query("INSERT INTO ledger_entries (ledger_event, kind, after, at, retries_after) VALUES (?, ?, ?, ?, ?)")
            .bind(event)
            .bind(what.code())
            .bind(self.after())
            .bind(self.now())
            .bind(retries)
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
            // Another version of the database may calculate other marks; to the event that is nothing.
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
            self.enter(row.id, Happened::Ended).await?;
            if self.outcome(row.id, None, outcome, None).await? {
                settled.push((row.id, outcome));
            }
        }
        Ok(settled)
    }

    /// Ends the open requests for an event; answers whether there were any.
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
        let restores = self.restores().await?;
        let (after, now) = (self.after(), self.now());
        for chunk in appeared.chunks(ROWS) {
            let lives = self.lives(chunk).await?;
            let mut rows = Vec::with_capacity(chunk.len());
            for new in chunk {
                let feed = self.feed(new.feed_uri.as_deref()).await?;
                let fault = self.fault(&new.fault).await?;
                if let Some(event) = new.event_id.as_ref().and_then(|id| restores.get(&(feed, id.clone()))) {
                    self.restored(*event, new, feed).await?;
                    settled.push((*event, RequestOutcome::Restored));
                    continue;
                }
                self.tally.count(feed, fault, new.state, 1);
                let at = new.failed_at.as_ref().and_then(|stamp| stamp.at).map(|at| at.timestamp_millis());
                self.tally.hour(feed, fault, at.unwrap_or(now), FAILED);
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
            let source = self.book.source;
            query.push_values(&rows, |mut values, (new, feed, fault, life)| {
                values
                    .push_bind(source)
                    .push_bind(new.row_id)
                    .push_bind(life)
                    .push_bind(feed)
                    .push_bind(&new.event_id)
                    .push_bind(&new.record)
                    .push_bind(&new.title)
                    .push_bind(micros(new.failed_at.as_ref()))
                    .push_bind(after)
                    .push_bind(now)
                    .push_bind(new.retries)
                    .push_bind(new.state.code())
                    .push_bind(new.mark)
                    .push_bind(fault)
                    .push_bind(fault);
            });
            query.build().execute(&mut **self.transaction).await?;
        }
        Ok(settled)
    }

    /// Discarded events that a person has asked to put back, by feed and event id.
    async fn restores(&mut self) -> Result<HashMap<(i64, String), i64>, StoreError> {
        let rows = sqlx::query(
            "SELECT e.id, e.feed_id, e.event_id FROM ledger_requests r JOIN ledger_events e ON e.id = r.ledger_event \
             WHERE r.kind = ? AND r.outcome IS NULL AND +e.source_id = ? AND e.event_id IS NOT NULL AND +e.state = ?",
        )
        .bind(RequestKind::Restore.code())
        .bind(self.book.source)
        .bind(LifeState::Discarded.code())
        .fetch_all(&mut **self.transaction)
        .await?;
        rows.iter().map(|row| Ok(((row.try_get(1)?, row.try_get(2)?), row.try_get(0)?))).collect()
    }

    /// The highest life that each of the ids had.
    async fn lives(&mut self, rows: &[Appeared]) -> Result<HashMap<i64, i64>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT row_id, MAX(life) FROM ledger_events WHERE source_id = ");
        query.push_bind(self.book.source).push(" AND row_id IN (");
        push_list(&mut query, &rows.iter().map(|row| row.row_id).collect::<Vec<_>>());
        query.push(" GROUP BY row_id");
        let rows = query.build().fetch_all(&mut **self.transaction).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// A discarded event is there again because a person put it back: its life goes on.
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
                .bind(self.book.source)
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
                let since = event.present_since(self.book.moves);
                let earlier = since.zip(new.at).is_some_and(|(since, at)| at < since);
                let what = if earlier { Happened::Earlier } else { Happened::Attempt };
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
                // The log's own time is exact; without one, it came between two looks.
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
            let tried: HashMap<i64, &BookRow> = rows.iter().map(|(_, event, ..)| (event.id, event)).collect();
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
            // A fault is part of an index, which is left alone where nothing in it changes.
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

    /// The events in the table that have the event ids of these attempts, as this page leaves them.
    async fn open_events(&mut self, attempts: &[NewAttempt]) -> Result<HashMap<String, Vec<BookRow>>, StoreError> {
        let ids: BTreeSet<&str> = attempts.iter().map(|attempt| attempt.event_id.as_str()).collect();
        // The plus keeps planners on the index of event ids.
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {BOOK_COLUMNS} WHERE +e.source_id = "));
        query.push_bind(self.book.source).push(" AND +e.state < 10 AND substr(e.event_id, -12) IN (");
        let mut list = query.separated(", ");
        for id in &ids {
            list.push("substr(").push_bind_unseparated(id).push_unseparated(", -12)");
        }
        query.push(") ORDER BY e.row_id");
        let mut open = HashMap::<String, Vec<BookRow>>::new();
        for row in query.build().fetch_all(&mut **self.transaction).await? {
            let row = read_book_row(&row)?;
            open.entry(row.event_id.clone().unwrap_or_default()).or_default().push(row);
        }
        Ok(open)
    }

    /// Decides what became of requested retries, at the end of a look: rows and their log are known then.
    ///
    /// The consumer writes a count and a row of the log together. So a count that the attempts since the request do not
    /// explain was not counted up from 0: a run that held the row has written over the reset, or other hands have. That is
    /// not said of a row whose reset was not surely written before this look began.
    async fn settle(&mut self, began: DateTime<Utc>) -> Result<Vec<(i64, RequestOutcome)>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT e.id, e.retries, e.fault_id, (SELECT COUNT(*) FROM ledger_entries a WHERE a.ledger_event = e.id \
             AND a.kind = ? AND a.id > (SELECT MAX(q.id) FROM ledger_entries q WHERE q.ledger_event = e.id AND q.kind = ?)), \
             EXISTS (SELECT 1 FROM operation_rows r JOIN {RUN_OF_ROW} WHERE r.operation_id = w.operation \
             AND r.app = (SELECT s.app FROM ledger_sources s WHERE s.id = e.source_id) \
             AND r.row_id = CAST(e.row_id AS TEXT) AND (u.outcome = 'writing' OR u.at >= ?)) \
             FROM ledger_requests w JOIN ledger_events e ON e.id = w.ledger_event \
             WHERE w.kind = ? AND w.outcome IS NULL AND e.asked = ? AND e.retries > 0 AND +e.state < 10 AND +e.source_id = ?"
        )))
        .bind(Happened::Attempt.code())
        .bind(Happened::Requested { before: None }.code())
        .bind(began.timestamp_millis())
        .bind(RequestKind::Retry.code())
        .bind(Asked::Requested.code())
        .bind(self.book.source)
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

    /// Writes what was added up.
    async fn tally(&mut self) -> Result<(), StoreError> {
        let Tally { counts, hours, worked } = std::mem::take(&mut self.tally);
        for ((feed, fault, state), by) in counts.into_iter().filter(|(_, by)| *by != 0) {
            sqlx::query(
                "INSERT INTO ledger_counts (source_id, feed_id, fault_id, state, count) VALUES (?, ?, ?, ?, ?) \
                 ON CONFLICT (source_id, feed_id, fault_id, state) DO UPDATE SET count = ledger_counts.count + excluded.count",
            )
            .bind(self.book.source)
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
            .bind(self.book.source)
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
                .bind(self.book.source)
                .bind(self.after())
                .bind(self.now())
                .bind(what)
                .execute(&mut **self.transaction)
                .await?;
            sqlx::query("UPDATE ledger_sources SET log_to = NULL WHERE id = ?")
                .bind(self.book.source)
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
        .bind(self.book.source)
        .execute(&mut **self.transaction)
        .await?;
        Ok(())
    }
}

/// The event that an attempt belongs to: one of the same feed, on whatever host. Where an address is not known, or where
/// there is only one event, the event's id alone decides.
fn belongs_to(attempt: &NewAttempt, events: &[BookRow]) -> Option<BookRow> {
    let feed = tail_of(attempt.feed_uri.as_deref());
    let of_feed = events.iter().find(|event| feed.is_some() && tail_of(event.feed_uri.as_deref()) == feed);
    let unknown = events.iter().find(|event| feed.is_none() || tail_of(event.feed_uri.as_deref()).is_none());
    of_feed.or(unknown).cloned()
}

/// What stands for no time: NULL, and what is no date.
pub const NO_TIME: i64 = i64::MIN;

/// A time of the source as the ledger keeps it: see the migration.
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

    /// What the migration makes of a store in which attempts of an earlier failure count.
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
        .execute(&store.pen)
        .await
        .unwrap();
        let (_, rest) = include_str!("../../../../migrations/0009_present.sql").split_once(';').unwrap();
        sqlx::raw_sql(rest).execute(&store.pen).await.unwrap();
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

    /// What the migration makes of a store that knew the hours of faults alone.
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
        .execute(&store.pen)
        .await
        .unwrap();
        // The tables have their columns already.
        let migration = include_str!("../../../../migrations/0014_times_of_faults.sql");
        sqlx::raw_sql(&migration[migration.find("WITH told").unwrap()..]).execute(&store.pen).await.unwrap();
        let times: Vec<(Option<i64>, Option<i64>)> =
            sqlx::query_as("SELECT first_at, last_at FROM ledger_hours ORDER BY fault_id, hour")
                .fetch_all(&store.pool)
                .await
                .unwrap();
        let minutes = |number: i64| Some(1_700_000_000_000 + number * 100_000);
        assert_eq!(times, [(minutes(1), minutes(2)), (None, None), (minutes(3), minutes(3))]);
    }
}
