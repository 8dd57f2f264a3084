//! Queries of pages and operations on the ledger. This module writes nothing.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use crate::{
    model::{
        FirstSight, RowId,
        ledger::{Asked, Fault, Happened, LedgerBreak, LedgerCount, LedgerEntry, LedgerEvent, LifeState, Moment},
    },
    server::store::{ROWS, Store, StoreError, count, push_list},
};

pub(super) use super::super::instant;
use super::{history::Scope, write::NO_TIME};

/// The columns that [`read_event`] reads, from [`FROM_EVENTS`].
pub(in crate::server::store) const EVENT_COLUMNS: &str = "e.id, s.app, e.row_id, f.uri, e.event_id, e.record, e.title, e.failed_at, \
     e.seen_after, e.seen_at, e.retries, e.state, e.asked, e.first_fault_id, e.fault_id, e.attempts, e.ended_after, \
     e.ended_at, e.ended_why, s.failed_at_moves";

/// The tables of [`EVENT_COLUMNS`].
pub(in crate::server::store) const FROM_EVENTS: &str = "FROM ledger_events e JOIN ledger_sources s ON s.id = e.source_id \
     JOIN ledger_feeds f ON f.id = e.feed_id";

impl Store {
    /// Returns one event, by its ledger id.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn ledger_event(&self, id: i64) -> Result<Option<LedgerEvent>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {EVENT_COLUMNS} {FROM_EVENTS} WHERE e.id = ?")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_event).transpose()
    }

    /// Returns the events that had this row id in an application, the present or newest one first.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn ledger_events_of_row(&self, app: &str, row: RowId) -> Result<Vec<LedgerEvent>, StoreError> {
        let Ok(row_id) = i64::try_from(row.0) else { return Ok(Vec::new()) };
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {EVENT_COLUMNS} {FROM_EVENTS} WHERE s.app = ? AND e.row_id = ? ORDER BY e.life DESC LIMIT 100"
        )))
        .bind(app)
        .bind(row_id)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_event).collect()
    }

    /// Returns what happened to an event, oldest first: at most the newest 1,000 entries.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn ledger_entries(&self, event: i64) -> Result<Vec<LedgerEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, after, at, retries_before, retries_after, fault_id, operation, who FROM ledger_entries \
             WHERE ledger_event = ? ORDER BY at DESC, id DESC LIMIT 1000",
        )
        .bind(event)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().rev().map(read_entry).collect()
    }

    /// Returns the retry-log ids of all attempts with an event's id, newest first, and the highest id of the log that
    /// was read. `None` if the log has not been completely read.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn log_of_event(&self, app: &str, event_id: &str) -> Result<Option<(Vec<RowId>, RowId)>, StoreError> {
        let source: Option<(i64, i64)> = sqlx::query_as(
            "SELECT id, log_to FROM ledger_sources WHERE app = ? AND log_to IS NOT NULL AND read_whole_at IS NOT NULL",
        )
        .bind(app)
        .fetch_optional(&self.pool)
        .await?;
        let Some((source, to)) = source else { return Ok(None) };
        // The index is on the last characters: see the migration. Other rows with this event id count, too: the log of
        // an earlier failure remains if another writer removed its row.
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT a.log_id FROM ledger_events e CROSS JOIN ledger_entries a ON a.ledger_event = e.id \
             WHERE substr(e.event_id, -12) = substr(?1, -12) AND e.event_id = ?1 AND +e.source_id = ?2 \
             AND a.log_id IS NOT NULL AND a.log_id <= ?3 ORDER BY a.log_id DESC LIMIT 10000",
        )
        .bind(event_id)
        .bind(source)
        .bind(to)
        .fetch_all(&self.pool)
        .await?;
        Ok(Some((ids.into_iter().map(|id| RowId(id.into())).collect(), RowId(to.into()))))
    }

    /// Returns how many retries an event had when they were last set back to 0; `None` if that was not seen.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn set_back_from(&self, event: i64) -> Result<Option<i64>, StoreError> {
        let before = sqlx::query_scalar(
            "SELECT retries_before FROM ledger_entries WHERE ledger_event = ? AND retries_before > 0 \
             AND (kind = ? OR (kind = ? AND retries_after <= 0)) ORDER BY id DESC LIMIT 1",
        )
        .bind(event)
        .bind(Happened::Requested { before: None }.code())
        .bind(Happened::Retries { before: None, after: None }.code())
        .fetch_optional(&self.pool)
        .await?;
        Ok(before)
    }

    /// Returns the numbers of present and past failed events of an application, by feed, fault and state, of all faults
    /// or of one. They are updated with every change.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn ledger_counts(&self, app: &str, fault: Option<i64>) -> Result<Vec<LedgerCount>, StoreError> {
        let rows = sqlx::query(
            "SELECT f.uri, c.fault_id, c.state, c.count FROM ledger_counts c JOIN ledger_sources s ON s.id = c.source_id \
             JOIN ledger_feeds f ON f.id = c.feed_id WHERE s.app = ?1 AND c.count > 0 AND (?2 IS NULL OR c.fault_id = ?2)",
        )
        .bind(app)
        .bind(fault)
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &SqliteRow| {
            let uri: String = row.try_get(0)?;
            let state: i64 = row.try_get(2)?;
            Ok(LedgerCount {
                feed_uri: Some(uri).filter(|uri| !uri.is_empty()),
                fault: row.try_get(1)?,
                state: LifeState::from_code(state)
                    .ok_or_else(|| StoreError::Content(format!("a count of the unknown state {state}")))?,
                count: count(row, 3)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Returns when databases turned out to be other ones, newest first: of one application or of all. At most the
    /// newest 100.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn ledger_breaks(&self, app: Option<&str>) -> Result<Vec<LedgerBreak>, StoreError> {
        let rows = sqlx::query(
            "SELECT s.app, b.after, b.at, b.what FROM ledger_breaks b JOIN ledger_sources s ON s.id = b.source_id \
             WHERE (? IS NULL OR s.app = ?) ORDER BY b.at DESC LIMIT 100",
        )
        .bind(app)
        .bind(app)
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &SqliteRow| {
            Ok(LedgerBreak {
                app: row.try_get(0)?,
                moment: Moment { after: time(row.try_get(1)?), at: instant(row.try_get(2)?)? },
                what: row.try_get(3)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Returns the faults with these ids.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn faults(&self, ids: &[i64]) -> Result<BTreeMap<i64, Fault>, StoreError> {
        let mut faults = BTreeMap::new();
        for ids in ids.chunks(ROWS) {
            let mut query =
                QueryBuilder::<Sqlite>::new("SELECT id, version, fingerprint FROM ledger_faults WHERE id IN (");
            push_list(&mut query, ids);
            for row in query.build().fetch_all(&self.pool).await? {
                let fault = Fault { id: row.try_get(0)?, version: row.try_get(1)?, fingerprint: row.try_get(2)? };
                faults.insert(fault.id, fault);
            }
        }
        Ok(faults)
    }
}

/// The ledger's data on a row that is in its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub event_id: Option<String>,
    /// See [`LedgerEvent::first_sight`].
    pub first_sight: FirstSight,
    /// The newest attempt of its present failure, by retry-log id.
    pub log_id: Option<RowId>,
    /// The fault of its latest error.
    pub fault: i64,
    /// Attempts of its present failure that were seen in the retry log.
    pub attempts: u64,
}

/// Retry-log id of an event's newest attempt of its present failure; NULL if there is none.
pub(in crate::server::store) const NEWEST_ATTEMPT: &str = "CASE WHEN e.attempts > 0 THEN (SELECT a.log_id FROM ledger_entries a \
     WHERE a.ledger_event = e.id AND a.log_id IS NOT NULL AND +a.kind = 1 ORDER BY a.log_id DESC LIMIT 1) END";

impl Store {
    /// Returns the ledger's data on these rows; rows that it does not know are missing.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn known_of_rows(&self, app: &str, rows: &[RowId]) -> Result<HashMap<RowId, Known>, StoreError> {
        let ids: Vec<i64> = rows.iter().filter_map(|row| i64::try_from(row.0).ok()).collect();
        let mut known = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(format!(
                "SELECT e.row_id, e.event_id, e.failed_at, e.seen_at, {NEWEST_ATTEMPT}, e.fault_id, e.attempts \
                 FROM ledger_events e \
                 WHERE e.source_id = (SELECT id FROM ledger_sources WHERE app = "
            ));
            query.push_bind(app).push(") AND +e.state < 10 AND e.row_id IN (");
            push_list(&mut query, ids);
            for row in query.build().fetch_all(&self.pool).await? {
                let seen_at = instant(row.try_get(3)?)?;
                let of_row = Known {
                    event_id: row.try_get(1)?,
                    first_sight: FirstSight::of(failed_at(row.try_get(2)?), seen_at),
                    log_id: row.try_get::<Option<i64>, _>(4)?.map(|id| RowId(id.into())),
                    fault: row.try_get(5)?,
                    attempts: count(&row, 6)?,
                };
                known.insert(RowId(row.try_get::<i64, _>(0)?.into()), of_row);
            }
        }
        Ok(known)
    }

    /// Reads the next failed events by id, starting with `from` itself, and returns those that were tried again, each
    /// with the newest attempt of its present failure by retry-log id.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn newest_attempts_of(
        &self,
        app: &str,
        from: Option<RowId>,
        up: bool,
        limit: u32,
    ) -> Result<Vec<(RowId, RowId)>, StoreError> {
        let clamp = |id: RowId| i64::try_from(id.0).unwrap_or(if id.0 > 0 { i64::MAX } else { i64::MIN });
        let (compare, way, start) = if up { (">=", "ASC", i64::MIN) } else { ("<=", "DESC", i64::MAX) };
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT e.row_id, {NEWEST_ATTEMPT} FROM ledger_events e \
             WHERE e.source_id = (SELECT id FROM ledger_sources WHERE app = ?) AND +e.state < 10 \
             AND e.row_id {compare} ? ORDER BY e.row_id {way} LIMIT ?"
        )))
        .bind(app)
        .bind(from.map_or(start, clamp))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        let mut newest = Vec::new();
        for row in rows {
            if let Some(log_id) = row.try_get::<Option<i64>, _>(1)? {
                newest.push((RowId(row.try_get::<i64, _>(0)?.into()), RowId(log_id.into())));
            }
        }
        Ok(newest)
    }
}

/// A list's query for failed events of one application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRows<'a> {
    pub app: &'a str,
    /// Only this feed; the empty text: failed events without an address.
    pub feed: Option<&'a str>,
    pub state: Option<LifeState>,
    /// Fault id of the latest error.
    pub fault: Option<i64>,
    /// First failure at or after `from`, and before `until`: in microseconds.
    pub from: Option<i64>,
    pub until: Option<i64>,
    /// Ordered by row id alone, not by the time of the first failure.
    pub by_id: bool,
    /// In ascending order of keys.
    pub up: bool,
    /// Towards the beginning of the list. In time order, failed events without a time are at its end.
    pub backward: bool,
    /// Start after this key: time in microseconds, row id.
    pub beyond: Option<(i64, i64)>,
    /// Include the row with that key.
    pub inclusive: bool,
    pub limit: u32,
}

/// A part of a list, read in the order of one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    All,
    /// Failed events with a time.
    Timed,
    /// Failed events without a time.
    Untimed,
}

impl Store {
    /// Returns the keys (time in microseconds, row id) of the failed events of a list, in its order.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn open_rows(&self, wanted: &OpenRows<'_>) -> Result<Vec<(i64, i64)>, StoreError> {
        let scope = Scope { apps: vec![wanted.app.to_owned()], feed: wanted.feed.map(str::to_owned) };
        let Some((source, feed)) = self.places(&scope).await?.into_iter().next() else { return Ok(Vec::new()) };
        // In time order, failed events without a time are at the end of the list, ordered by id.
        let sections: &[Section] = match (wanted.by_id, wanted.backward) {
            (true, _) => &[Section::All],
            (false, false) => &[Section::Timed, Section::Untimed],
            (false, true) => &[Section::Untimed, Section::Timed],
        };
        let mut keys = Vec::new();
        for section in sections {
            let left = wanted.limit.saturating_sub(u32::try_from(keys.len()).unwrap_or(u32::MAX));
            let begins_in = wanted.beyond.map(|(at, _)| if at == NO_TIME { Section::Untimed } else { Section::Timed });
            let beyond = match begins_in {
                Some(begins_in) if begins_in == *section || *section == Section::All => wanted.beyond,
                // The key is in another section: this one is read from its beginning if it follows that section,
                // otherwise skipped.
                Some(Section::Timed) if wanted.backward => continue,
                Some(Section::Untimed) if !wanted.backward => continue,
                _ => None,
            };
            if left > 0 {
                keys.extend(self.open_rows_of_section(wanted, *section, beyond, left, (source, feed)).await?);
            }
        }
        Ok(keys)
    }

    async fn open_rows_of_section(
        &self,
        wanted: &OpenRows<'_>,
        section: Section,
        beyond: Option<(i64, i64)>,
        limit: u32,
        (source, feed): (i64, Option<i64>),
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        let open = [LifeState::Waiting, LifeState::Exhausted, LifeState::Unknown];
        let states = open.into_iter().filter(|state| wanted.state.is_none_or(|wanted| wanted == *state));
        let (way, compare) = match (wanted.up, wanted.inclusive) {
            (true, false) => ("ASC", ">"),
            (true, true) => ("ASC", ">="),
            (false, false) => ("DESC", "<"),
            (false, true) => ("DESC", "<="),
        };
        let mut keys: Vec<(i64, i64)> = Vec::new();
        // State by state, each in the order of its index.
        for state in states {
            let mut query = QueryBuilder::<Sqlite>::new("SELECT failed_at, row_id FROM ledger_events WHERE ");
            // The plus keeps the planner on the one index that has the order: of faults, of feeds, or of the source.
            let plus = |apart: bool| if apart { "+" } else { "" };
            let by_fault = wanted.fault.is_some() && !wanted.by_id;
            let by_feed = feed.is_some() && !by_fault && !wanted.by_id;
            query.push(plus(by_fault || by_feed)).push("source_id = ").push_bind(source);
            query.push(format!(" AND {}state = ", plus(wanted.by_id))).push_bind(state.code());
            if let Some(feed) = feed {
                query.push(format!(" AND {}feed_id = ", plus(!by_feed))).push_bind(feed);
            }
            if let Some(fault) = wanted.fault {
                query.push(format!(" AND {}fault_id = ", plus(!by_fault))).push_bind(fault);
            }
            match section {
                Section::All => {}
                Section::Timed => {
                    query.push(" AND failed_at > ").push_bind(NO_TIME);
                }
                Section::Untimed => {
                    query.push(" AND failed_at = ").push_bind(NO_TIME);
                }
            }
            if let Some(from) = wanted.from {
                query.push(" AND failed_at >= ").push_bind(from);
            }
            if let Some(until) = wanted.until {
                // A value that is not a date is not before any time.
                query.push(" AND failed_at > ").push_bind(i64::MIN + 1).push(" AND failed_at < ").push_bind(until);
            }
            match (beyond, wanted.by_id) {
                (None, _) => {}
                (Some((_, id)), true) => {
                    query.push(format!(" AND row_id {compare} ")).push_bind(id);
                }
                (Some((at, id)), false) => {
                    query.push(format!(" AND (failed_at, row_id) {compare} (")).push_bind(at).push(", ");
                    query.push_bind(id).push(")");
                }
            }
            let order = if wanted.by_id { format!("row_id {way}") } else { format!("failed_at {way}, row_id {way}") };
            query.push(format!(" ORDER BY {order} LIMIT ")).push_bind(limit);
            for row in query.build().fetch_all(&self.pool).await? {
                keys.push((row.try_get(0)?, row.try_get(1)?));
            }
        }
        keys.sort_unstable_by_key(|(at, id)| if wanted.by_id { (*id, 0) } else { (*at, *id) });
        if !wanted.up {
            keys.reverse();
        }
        keys.truncate(limit as usize);
        Ok(keys)
    }

    /// Returns the failed events of an application about the record with this uuid, except one row, with their event
    /// ids; highest id first.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn open_rows_of_record(
        &self,
        app: &str,
        record: &str,
        except: Option<RowId>,
        limit: u32,
    ) -> Result<Vec<(RowId, Option<String>)>, StoreError> {
        // The index is on the last characters: see the migration.
        let rows = sqlx::query_as::<_, (i64, Option<String>)>(
            "SELECT e.row_id, e.event_id FROM ledger_events e JOIN ledger_sources s ON s.id = +e.source_id \
             WHERE substr(e.record, -12) = substr(?1, -12) AND +e.record = ?1 AND s.app = ?2 AND +e.state < 10 \
             AND (?3 IS NULL OR e.row_id <> ?3) ORDER BY e.row_id DESC LIMIT ?4",
        )
        .bind(record.to_lowercase())
        .bind(app)
        .bind(except.and_then(|id| i64::try_from(id.0).ok()))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(id, event)| (RowId(id.into()), event)).collect())
    }

    /// Returns the rows of an application's failed events with this event id, as of the last poll, at most 100.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn open_rows_of_event(&self, app: &str, event_id: &str) -> Result<Vec<RowId>, StoreError> {
        let rows = sqlx::query_scalar::<_, i64>(
            "SELECT e.row_id FROM ledger_events e JOIN ledger_sources s ON s.id = +e.source_id \
             WHERE substr(e.event_id, -12) = substr(?1, -12) AND +e.event_id = ?1 AND s.app = ?2 AND +e.state < 10 \
             ORDER BY e.row_id LIMIT 100",
        );
        let rows = rows.bind(event_id).bind(app).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|id| RowId(id.into())).collect())
    }

    /// Returns how many failed events of a feed with a lower id are waiting.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn waiting_before(&self, app: &str, feed: Option<&str>, id: RowId) -> Result<u64, StoreError> {
        let scope = Scope { apps: vec![app.to_owned()], feed: Some(feed.unwrap_or_default().to_owned()) };
        let Some((_, Some(feed))) = self.places(&scope).await?.into_iter().next() else { return Ok(0) };
        let count = sqlx::query_scalar::<_, i64>(
            "SELECT COUNT(*) FROM ledger_events WHERE feed_id = ? AND state = ? AND row_id < ?",
        )
        .bind(feed)
        .bind(LifeState::Waiting.code())
        .bind(i64::try_from(id.0).unwrap_or(i64::MAX))
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

/// Reads the [`EVENT_COLUMNS`] of a row.
pub(in crate::server::store) fn read_event(row: &SqliteRow) -> Result<LedgerEvent, StoreError> {
    let state: i64 = row.try_get("state")?;
    let uri: String = row.try_get("uri")?;
    let ended_at: Option<i64> = row.try_get("ended_at")?;
    let ended =
        ended_at.map(|at| Ok::<_, StoreError>(Moment { after: time(row.try_get("ended_after")?), at: instant(at)? }));
    Ok(LedgerEvent {
        id: row.try_get("id")?,
        app: row.try_get("app")?,
        row_id: RowId(row.try_get::<i64, _>("row_id")?.into()),
        feed_uri: Some(uri).filter(|uri| !uri.is_empty()),
        event_id: row.try_get("event_id")?,
        record: row.try_get("record")?,
        title: row.try_get("title")?,
        failed_at: failed_at(row.try_get("failed_at")?),
        moves: row.try_get("failed_at_moves")?,
        seen: Moment { after: time(row.try_get("seen_after")?), at: instant(row.try_get("seen_at")?)? },
        retries: row.try_get("retries")?,
        state: LifeState::from_code(state)
            .ok_or_else(|| StoreError::Content(format!("a failed event in the unknown state {state}")))?,
        asked: row.try_get::<Option<i64>, _>("asked")?.and_then(Asked::from_code),
        first_fault: row.try_get("first_fault_id")?,
        fault: row.try_get("fault_id")?,
        attempts: count(row, "attempts")?,
        ended: ended.transpose()?,
        ended_why: row.try_get("ended_why")?,
    })
}

fn read_entry(row: &SqliteRow) -> Result<LedgerEntry, StoreError> {
    let kind: i64 = row.try_get("kind")?;
    let what = Happened::from_code(kind, row.try_get("retries_before")?, row.try_get("retries_after")?)
        .ok_or_else(|| StoreError::Content(format!("an entry of the unknown kind {kind}")))?;
    Ok(LedgerEntry {
        moment: Moment { after: time(row.try_get("after")?), at: instant(row.try_get("at")?)? },
        what,
        fault: row.try_get("fault_id")?,
        operation: row.try_get("operation")?,
        who: row.try_get("who")?,
    })
}

/// Converts an optional time of the store.
pub(super) fn time(millis: Option<i64>) -> Option<DateTime<Utc>> {
    millis.and_then(DateTime::from_timestamp_millis)
}

/// Converts a `failed_at`, which is stored in microseconds. `None` for its extreme values, which stand for values that
/// are not dates.
pub(super) fn failed_at(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).filter(|_| micros > i64::MIN + 1 && micros != i64::MAX)
}
