//! Writes the ledger. One watcher writes the ledger of one source, page by page, in one transaction per page. Changes
//! and the watcher's progress are written together, so that the watcher resumes correctly wherever the console ended.

mod attempts;
mod page;
mod page_writer;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use crate::{
    model::{
        Stamp,
        ledger::{LifeState, Moment, RequestKind},
    },
    server::{
        digest::{self, Digest},
        store::{ROWS, Store, StoreError, push_list},
    },
};
pub use page::{Appeared, Changed, Ended, Fingerprint, LedgerRow, Moved, NewAttempt, Page, Progress, Work, Written};
use page_writer::{PageWriter, Tally};

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
    use crate::server::store::older_store;

    /// Migrates a store in which attempts of an earlier failure were counted.
    #[tokio::test]
    async fn attempts_from_before_a_failure_are_taken_out_of_what_they_counted_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        // Event 1 has one attempt of last year and one of its own; event 2 one of last year; event 3 has no date.
        older_store(
            &path,
            9,
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
        .await;
        let store = Store::open(&path).await.unwrap();
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
        assert_eq!(numbers("SELECT fault_id, attempts FROM ledger_quarters").await, [(2, 1)]);
    }

    /// Migrates a store that had only the hours of faults.
    #[tokio::test]
    async fn hours_of_before_get_their_first_and_last_times_and_their_quarters() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        older_store(
            &path,
            14,
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
        .await;
        let store = Store::open(&path).await.unwrap();
        let times: Vec<(i64, Option<i64>, Option<i64>)> =
            sqlx::query_as("SELECT quarter, first_at, last_at FROM ledger_quarters ORDER BY fault_id, quarter")
                .fetch_all(&store.pool)
                .await
                .unwrap();
        let at = |number: i64| Some(1_700_000_000_000 + number * 100_000);
        let known = 1_888_889;
        assert_eq!(times, [(known, at(1), at(2)), (6, None, None), (known, at(3), at(3))]);
    }
}
