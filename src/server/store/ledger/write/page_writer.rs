//! Applies one page of changes to the ledger.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Row as _, Sqlite, Transaction};

use super::super::requests;
use super::{Appeared, Changed, Ended, Fingerprint, LedgerCursor, Moved, Progress, REMEMBERED, micros};
use crate::{
    model::ledger::{Asked, Happened, LifeState, Moment, RequestKind, RequestOutcome},
    server::store::{
        QUARTER_MS, ROWS, StoreError,
        operations::SAME_ROW,
        push_list,
        runs::{RESET, RUN_OF_ROW, UNCERTAIN, WRITING},
    },
};

/// Sums collected while a page is written.
#[derive(Default)]
pub(super) struct Tally {
    /// By feed, fault and state.
    pub(super) counts: BTreeMap<(i64, i64, i64), i64>,
    /// By feed, fault and quarter of an hour.
    quarters: BTreeMap<(i64, i64, i64), Quarter>,
    /// When a feed's consumer was last seen at work.
    worked: BTreeMap<i64, i64>,
}

/// Events of one quarter of an hour.
#[derive(Default)]
struct Quarter {
    /// Failed, attempts, resolved, gone, discarded.
    counts: [i64; 5],
    /// When the fault was first and last seen in it.
    seen: Option<(i64, i64)>,
}

impl Quarter {
    /// Notes that the fault was seen at this time.
    fn see(&mut self, millis: i64) {
        let (first, last) = self.seen.unwrap_or((millis, millis));
        self.seen = Some((first.min(millis), last.max(millis)));
    }
}

impl Tally {
    pub(super) fn count(&mut self, feed: i64, fault: i64, state: LifeState, by: i64) {
        *self.counts.entry((feed, fault, state.code())).or_default() += by;
    }

    pub(super) fn happened(&mut self, feed: i64, fault: i64, millis: i64, what: usize) {
        let quarter = self.quarter_of(feed, fault, millis);
        quarter.counts[what] += 1;
        if matches!(what, FAILED | ATTEMPTS) {
            quarter.see(millis);
        }
    }

    /// Notes that a fault was seen, without counting anything.
    fn seen(&mut self, feed: i64, fault: i64, millis: i64) {
        self.quarter_of(feed, fault, millis).see(millis);
    }

    fn quarter_of(&mut self, feed: i64, fault: i64, millis: i64) -> &mut Quarter {
        self.quarters.entry((feed, fault, millis.div_euclid(QUARTER_MS))).or_default()
    }

    pub(super) fn worked(&mut self, feed: i64, millis: i64) {
        let newest = self.worked.entry(feed).or_insert(millis);
        *newest = millis.max(*newest);
    }
}

const FAILED: usize = 0;
pub(super) const ATTEMPTS: usize = 1;
const RESOLVED: usize = 2;
const GONE: usize = 3;
const DISCARDED: usize = 4;
/// Writes one page.
pub(super) struct PageWriter<'a, 't> {
    pub(super) transaction: &'a mut Transaction<'t, Sqlite>,
    pub(super) cursor: &'a mut LedgerCursor,
    pub(super) moment: Moment,
    pub(super) tally: Tally,
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

    pub(super) async fn fault(&mut self, fault: &Fingerprint) -> Result<i64, StoreError> {
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

    pub(super) fn now(&self) -> i64 {
        self.moment.at.timestamp_millis()
    }

    pub(super) fn after(&self) -> Option<i64> {
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

    pub(super) async fn moved(&mut self, moved: &[Moved]) -> Result<(), StoreError> {
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

    pub(super) async fn changed(&mut self, changed: &[Changed]) -> Result<(), StoreError> {
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

    pub(super) async fn ended(&mut self, ended: &[Ended]) -> Result<Vec<(i64, RequestOutcome)>, StoreError> {
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
            self.tally.happened(row.feed_id, row.fault, now, what);
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

    pub(super) async fn appeared(&mut self, appeared: &[Appeared]) -> Result<Vec<(i64, RequestOutcome)>, StoreError> {
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
                    Some(at) => self.tally.happened(feed, fault, at, FAILED),
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

    /// Decides the outcomes of requested retries at the end of a poll, when rows and their log are known.
    ///
    /// The consumer writes a count and a row of the log together. So a count that the attempts since the request do not
    /// explain was not counted up from 0: the reset was overwritten by a run that held the row, or by another writer.
    /// This is not concluded if the reset may have been written after this poll began.
    pub(super) async fn settle(&mut self, began: DateTime<Utc>) -> Result<Vec<(i64, RequestOutcome)>, StoreError> {
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
    pub(super) async fn tally(&mut self) -> Result<(), StoreError> {
        let Tally { counts, quarters, worked } = std::mem::take(&mut self.tally);
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
        for ((feed, fault, quarter), Quarter { counts, seen }) in quarters {
            let [failed, attempts, resolved, gone, discarded] = counts;
            // MIN and MAX of NULL and a number are NULL.
            sqlx::query(
                "INSERT INTO ledger_quarters (source_id, feed_id, fault_id, quarter, failed, attempts, resolved, gone, discarded, \
                 first_at, last_at) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source_id, quarter, feed_id, fault_id) DO UPDATE SET \
                 failed = ledger_quarters.failed + excluded.failed, attempts = ledger_quarters.attempts + excluded.attempts, \
                 resolved = ledger_quarters.resolved + excluded.resolved, gone = ledger_quarters.gone + excluded.gone, \
                 discarded = ledger_quarters.discarded + excluded.discarded, \
                 first_at = COALESCE(MIN(ledger_quarters.first_at, excluded.first_at), ledger_quarters.first_at, excluded.first_at), \
                 last_at = COALESCE(MAX(ledger_quarters.last_at, excluded.last_at), ledger_quarters.last_at, excluded.last_at)",
            )
            .bind(self.cursor.source)
            .bind(feed)
            .bind(fault)
            .bind(quarter)
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

    pub(super) async fn progress(&mut self, progress: &Progress) -> Result<(), StoreError> {
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
