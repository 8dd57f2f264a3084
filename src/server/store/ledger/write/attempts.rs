//! Failed retries: to which failure of an event they belong.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;
use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use super::page::since;
use super::page_writer::{ATTEMPTS, PageWriter};
use super::{Doubtful, LEDGER_COLUMNS, LedgerRow, NewAttempt, read_ledger_row};
use crate::{
    model::{feed::tail_of, ledger::Happened, present_attempts},
    server::store::{ROWS, StoreError, push_list},
};

impl PageWriter<'_, '_> {
    pub(super) async fn attempts(&mut self, attempts: &[NewAttempt]) -> Result<u64, StoreError> {
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
    /// number of retries: see [`present_attempts`], which has the rule. This is known only at the end of a
    /// poll, when all of the log was read.
    pub(super) async fn recall(&mut self) -> Result<u64, StoreError> {
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
            "SELECT * FROM (SELECT a.id, a.ledger_event, a.fault_id, a.at, e.feed_id, e.fault_id AS was, e.state, \
             ROW_NUMBER() OVER (PARTITION BY a.ledger_event ORDER BY a.log_id DESC) AS place, a.kind, e.failed_at, e.seen_at, \
             e.retries, COUNT(*) OVER (PARTITION BY a.ledger_event) AS logged \
             FROM ledger_events e JOIN ledger_entries a ON a.ledger_event = e.id AND a.kind IN (",
        );
        query.push_bind(Happened::Attempt.code()).push(", ").push_bind(Happened::Earlier.code());
        query.push(") WHERE +e.state < 10 AND e.id IN (");
        push_list(&mut query, events);
        query.push(") WHERE place <= retries ORDER BY ledger_event, place");
        let rows = query.build().fetch_all(&mut **self.transaction).await?;
        let mut counted: Vec<&SqliteRow> = Vec::new();
        for newest_first in
            rows.chunk_by(|row, next| row.get::<i64, _>("ledger_event") == next.get::<i64, _>("ledger_event"))
        {
            let Some(first) = newest_first.first() else { continue };
            let since = since(first.try_get("failed_at")?, first.try_get("seen_at")?, self.cursor.moves);
            let is_attempt = |row: &SqliteRow| row.get::<i64, _>("kind") == Happened::Attempt.code();
            let times =
                newest_first.iter().map(|row| (is_attempt(row), DateTime::from_timestamp_millis(row.get("at"))));
            let logged: i64 = first.try_get("logged")?;
            let present =
                present_attempts(self.cursor.moves, first.try_get("retries")?, since, logged.unsigned_abs(), times);
            let recalled = newest_first.iter().zip(present).filter(|(row, present)| *present && !is_attempt(row));
            counted.extend(recalled.map(|(row, _)| row));
        }
        let now = self.now();
        let mut entries = Vec::new();
        // By event: the number of attempts, and the newest fault if it has changed.
        let mut of_event = BTreeMap::<i64, (i64, Option<i64>)>::new();
        for row in counted.into_iter().rev() {
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
}

/// Returns the event that an attempt belongs to: one of the same feed, on any host. If one of the two addresses is
/// unknown, the event id alone decides.
fn belongs_to(attempt: &NewAttempt, events: &[LedgerRow]) -> Option<LedgerRow> {
    let feed = tail_of(attempt.feed_uri.as_deref());
    let of_feed = events.iter().find(|event| feed.is_some() && tail_of(event.feed_uri.as_deref()) == feed);
    let unknown = events.iter().find(|event| feed.is_none() || tail_of(event.feed_uri.as_deref()).is_none());
    of_feed.or(unknown).cloned()
}
