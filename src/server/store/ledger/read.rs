//! What pages and operations ask the ledger.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{Row as _, sqlite::SqliteRow};

use crate::{
    model::{
        RowId,
        ledger::{Asked, Fault, Happened, LedgerBreak, LedgerCount, LedgerEntry, LedgerEvent, LifeState, Moment},
    },
    server::store::{Store, StoreError},
};

/// The columns that [`read_event`] takes, from [`FROM_EVENTS`].
pub(in crate::server::store) const EVENT_COLUMNS: &str = "e.id, s.app, e.row_id, f.uri, e.event_id, e.record, e.title, e.failed_at, \
     e.seen_after, e.seen_at, e.retries, e.state, e.asked, e.first_fault_id, e.fault_id, e.attempts, e.ended_after, \
     e.ended_at, e.ended_why";

/// The tables of [`EVENT_COLUMNS`].
pub(in crate::server::store) const FROM_EVENTS: &str = "FROM ledger_events e JOIN ledger_sources s ON s.id = e.source_id \
     JOIN ledger_feeds f ON f.id = e.feed_id";

impl Store {
    /// One event, by the ledger's own number.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn ledger_event(&self, id: i64) -> Result<Option<LedgerEvent>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {EVENT_COLUMNS} {FROM_EVENTS} WHERE e.id = ?")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_event).transpose()
    }

    /// The events that had this row id in an application, the present or newest one first.
    ///
    /// # Errors
    /// The store cannot be read.
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

    /// What happened to an event, oldest first: at most the newest 1,000 entries.
    ///
    /// # Errors
    /// The store cannot be read.
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

    /// How many failed events an application has and had, by feed, fault and state. Kept with every change.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn ledger_counts(&self, app: &str) -> Result<Vec<LedgerCount>, StoreError> {
        let rows = sqlx::query(
            "SELECT f.uri, c.fault_id, c.state, c.count FROM ledger_counts c JOIN ledger_sources s ON s.id = c.source_id \
             JOIN ledger_feeds f ON f.id = c.feed_id WHERE s.app = ? AND c.count > 0",
        )
        .bind(app)
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
                count: u64::try_from(row.try_get::<i64, _>(3)?).unwrap_or_default(),
            })
        };
        rows.iter().map(read).collect()
    }

    /// When databases turned out to be others, newest first: of one application or of all. At most the newest 100.
    ///
    /// # Errors
    /// The store cannot be read.
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

    /// The faults with these numbers.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn faults(&self, ids: &[i64]) -> Result<BTreeMap<i64, Fault>, StoreError> {
        let mut faults = BTreeMap::new();
        for id in ids {
            let row = sqlx::query("SELECT id, version, fingerprint FROM ledger_faults WHERE id = ?")
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
            if let Some(row) = row {
                let fault = Fault { id: row.try_get(0)?, version: row.try_get(1)?, fingerprint: row.try_get(2)? };
                faults.insert(fault.id, fault);
            }
        }
        Ok(faults)
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
        failed_at: row.try_get::<Option<i64>, _>("failed_at")?.and_then(failed_at),
        seen: Moment { after: time(row.try_get("seen_after")?), at: instant(row.try_get("seen_at")?)? },
        retries: row.try_get("retries")?,
        state: LifeState::from_code(state)
            .ok_or_else(|| StoreError::Content(format!("a failed event in the unknown state {state}")))?,
        asked: row.try_get::<Option<i64>, _>("asked")?.and_then(Asked::from_code),
        first_fault: row.try_get("first_fault_id")?,
        fault: row.try_get("fault_id")?,
        attempts: u64::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or_default(),
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

/// The instant of a time of the store.
pub(super) fn instant(millis: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| StoreError::Content(format!("the time {millis}")))
}

/// The same where there may be none.
pub(super) fn time(millis: Option<i64>) -> Option<DateTime<Utc>> {
    millis.and_then(DateTime::from_timestamp_millis)
}

/// The instant of a `failed_at`, which is kept in microseconds. Its extremes stand for what is no date.
fn failed_at(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).filter(|_| micros != i64::MIN && micros != i64::MAX)
}
