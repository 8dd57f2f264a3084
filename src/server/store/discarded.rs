//! Copies of discarded failed events: written before any row is removed, kept until they are restored or their
//! retention ends.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use super::{
    ROWS, Store, StoreError, count, instant, list_of,
    operations::{OVER, UNDER_WAY, read_id},
    runs::RUN_OF_ROW,
};
use crate::clock;
use crate::model::{
    RowId, fingerprint,
    operation::{Discarded, RowOutcome},
    whole_row::WholeEvent,
};

/// A copy to be stored.
#[derive(Clone, Debug)]
pub struct NewCopy<'e> {
    /// Position of the row in its operation.
    pub position: i64,
    pub app: String,
    pub row_id: RowId,
    pub event: &'e WholeEvent,
    /// Fault of its latest error, in words.
    pub fault: String,
}

/// Selects copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhichCopies {
    pub app: Option<String>,
    pub operation: Option<i64>,
    /// Only those that can still be restored.
    pub restorable: bool,
    /// Only those of applications that the caller may see; `None`: all.
    pub only: Option<BTreeSet<String>>,
}

impl Store {
    /// Stores copies of rows that are about to be removed; an existing one (of an attempt that did not finish) is
    /// replaced.
    pub async fn keep_copies(&self, operation: i64, copies: &[NewCopy<'_>]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for copy in copies {
            sqlx::query(
                "INSERT INTO discarded (operation_id, position, app, row_id, feed_uri, event_id, title, fault, at, state, whole) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'copied', ?) ON CONFLICT (operation_id, position) DO UPDATE SET \
                 whole = excluded.whole, at = excluded.at, fault = excluded.fault",
            )
            .bind(operation)
            .bind(copy.position)
            .bind(&copy.app)
            .bind(copy.row_id.to_string())
            .bind(copy.event.event.key("feed_uri"))
            .bind(copy.event.event.key("event_id"))
            .bind(copy.event.event.key("title"))
            .bind(&copy.fault)
            .bind(clock::now().timestamp_millis())
            .bind(copy.event.to_bytes())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Updates copies by the outcomes of their rows: those of removed rows, or of rows with an unknown outcome, are
    /// kept; the others are deleted as useless.
    pub async fn settle_copies(&self, operation: i64, outcomes: &[(i64, RowOutcome)]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for (position, outcome) in outcomes {
            let statement = match outcome {
                RowOutcome::Discarded => {
                    "UPDATE discarded SET state = 'discarded' WHERE operation_id = ? AND position = ?"
                }
                RowOutcome::Uncertain { .. } | RowOutcome::Busy { again: true } => continue,
                _ => "DELETE FROM discarded WHERE operation_id = ? AND position = ? AND state = 'copied'",
            };
            sqlx::query(statement).bind(operation).bind(position).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Returns whether there is a copy for a row of an operation.
    pub async fn has_copy(&self, operation: i64, position: i64) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM discarded WHERE operation_id = ? AND position = ?")
            .bind(operation)
            .bind(position)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }

    /// Returns the complete events of these copies, in the same order; `None` if a copy was deleted or restored.
    pub async fn copies(&self, ids: &[i64]) -> Result<Vec<Option<WholeEvent>>, StoreError> {
        let mut events = Vec::with_capacity(ids.len());
        for id in ids {
            let row = sqlx::query("SELECT whole FROM discarded WHERE id = ? AND state <> 'restored'")
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
            let bytes = row.map(|row| row.try_get::<Vec<u8>, _>(0)).transpose()?;
            let event = bytes.map(|bytes| {
                WholeEvent::from_bytes(&bytes).map_err(|error| StoreError::Content(format!("{error} (number {id})")))
            });
            events.push(event.transpose()?);
        }
        Ok(events)
    }

    /// Returns how many of these copies, from the first on, are up to `most` bytes long together; at least one. One of
    /// `long` bytes or more is processed alone. `None` and missing copies count as 0 bytes.
    pub async fn copies_fitting(&self, ids: &[Option<i64>], most: usize, long: usize) -> Result<usize, StoreError> {
        let mut used: usize = 0;
        for (place, id) in ids.iter().enumerate() {
            let bytes: Option<i64> = sqlx::query_scalar("SELECT LENGTH(whole) FROM discarded WHERE id = ?")
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
            let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default();
            used += bytes;
            if used > most || bytes >= long {
                return Ok(place.max(1));
            }
        }
        Ok(ids.len())
    }

    /// Returns number, application and row id of those copies that are stored.
    pub async fn copied_rows(&self, ids: &[i64]) -> Result<Vec<(i64, String, RowId)>, StoreError> {
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            let row = sqlx::query("SELECT app, row_id FROM discarded WHERE id = ?").bind(id).fetch_optional(&self.pool);
            if let Some(row) = row.await? {
                rows.push((*id, row.try_get("app")?, read_id(&row)?));
            }
        }
        Ok(rows)
    }

    /// Records that copies were restored, each with its present row id.
    pub async fn mark_restored(&self, operation: i64, copies: &[(i64, RowId)]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for (copy, id) in copies {
            sqlx::query(
                "UPDATE discarded SET state = 'restored', restored_at = ?, restored_by = ?, restored_as = ? WHERE id = ?",
            )
            .bind(clock::now().timestamp_millis())
            .bind(operation)
            .bind(id.to_string())
            .bind(copy)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Returns the row id under which this operation restored a copy; `None` if it has not.
    pub async fn put_back_by(&self, operation: i64, copy: i64) -> Result<Option<RowId>, StoreError> {
        let row = sqlx::query("SELECT restored_as FROM discarded WHERE id = ? AND restored_by = ?")
            .bind(copy)
            .bind(operation)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let id: Option<String> = row.try_get(0)?;
        Ok(id.and_then(|id| id.parse().ok()))
    }

    /// Returns the rows with these event ids that the console restored and has not discarded since: each with feed
    /// address and event id.
    pub async fn rows_put_back(
        &self,
        app: &str,
        event_ids: &[String],
    ) -> Result<Vec<(Option<String>, Option<String>, RowId)>, StoreError> {
        let mut put_back = Vec::new();
        for chunk in event_ids.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "SELECT d.feed_uri, d.event_id, d.restored_as FROM discarded d WHERE d.restored_as IS NOT NULL \
                 AND NOT EXISTS (SELECT 1 FROM discarded l WHERE l.app = d.app AND l.row_id = d.restored_as AND l.id > d.id) \
                 AND d.app = ",
            );
            query.push_bind(app).push(" AND d.event_id IN (");
            let mut list = query.separated(", ");
            for id in chunk {
                list.push_bind(id);
            }
            query.push(")");
            for row in query.build().fetch_all(&self.pool).await? {
                if let Ok(id) = row.try_get::<String, _>(2)?.parse() {
                    put_back.push((row.try_get(0)?, row.try_get(1)?, id));
                }
            }
        }
        Ok(put_back)
    }

    /// Returns the newest copy of a row that was not restored; `None` if there is none.
    pub async fn newest_copy_of(
        &self,
        app: &str,
        row: RowId,
        keep: Option<TimeDelta>,
    ) -> Result<Option<Discarded>, StoreError> {
        let copy = sqlx::query(AssertSqlSafe(format!(
            "{SHOWN} WHERE d.app = ? AND d.row_id = ? AND d.state <> 'restored' ORDER BY d.id DESC LIMIT 1"
        )))
        .bind(app)
        .bind(row.to_string())
        .fetch_optional(&self.pool)
        .await?;
        copy.map(|row| read_discarded(&row, keep)).transpose()
    }

    /// Returns discarded failed events, newest first: at most `limit` with a number below `before`.
    pub async fn discarded(
        &self,
        which: &WhichCopies,
        before: Option<i64>,
        limit: u32,
        keep: Option<TimeDelta>,
    ) -> Result<Vec<Discarded>, StoreError> {
        let rows =
            sqlx::query(AssertSqlSafe(format!("{SHOWN} WHERE {CHOSEN} AND d.id < ?5 ORDER BY d.id DESC LIMIT ?6")))
                .bind(&which.app)
                .bind(which.operation)
                .bind(which.restorable)
                .bind(list_of(which.only.as_ref()))
                .bind(before.unwrap_or(i64::MAX))
                .bind(limit)
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(|row| read_discarded(row, keep)).collect()
    }

    /// Returns the copy that an operation made of a row; `None` if it is not stored (any more).
    pub async fn copy_of_row(
        &self,
        operation: i64,
        app: &str,
        row: RowId,
        keep: Option<TimeDelta>,
    ) -> Result<Option<Discarded>, StoreError> {
        let copy = sqlx::query(AssertSqlSafe(format!(
            "{SHOWN} WHERE d.operation_id = ? AND d.app = ? AND d.row_id = ? LIMIT 1"
        )))
        .bind(operation)
        .bind(app)
        .bind(row.to_string())
        .fetch_optional(&self.pool)
        .await?;
        copy.map(|row| read_discarded(&row, keep)).transpose()
    }

    /// Returns the number of selected copies.
    pub async fn discarded_count(&self, which: &WhichCopies) -> Result<u64, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) FROM discarded d WHERE {CHOSEN}")))
            .bind(&which.app)
            .bind(which.operation)
            .bind(which.restorable)
            .bind(list_of(which.only.as_ref()))
            .fetch_one(&self.pool)
            .await?;
        Ok(count(&row, 0)?)
    }

    /// Returns whether there are copies from before this time to delete.
    pub async fn has_copies_before(&self, before: DateTime<Utc>) -> Result<bool, StoreError> {
        let any = format!("SELECT EXISTS (SELECT 1 FROM discarded WHERE {})", had_its_time());
        Ok(sqlx::query_scalar(AssertSqlSafe(any)).bind(before.timestamp_millis()).fetch_one(&self.pool).await?)
    }

    /// Deletes copies from before this time, and returns how many.
    pub async fn end_copies(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let ended = sqlx::query(AssertSqlSafe(format!("DELETE FROM discarded WHERE {}", had_its_time())))
            .bind(before.timestamp_millis())
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(ended.rows_affected())
    }
}

/// Condition: a copy is from before a time, and no operation is about to restore it.
fn had_its_time() -> String {
    format!(
        "at < ? AND id NOT IN (SELECT r.copy_id FROM operations o CROSS JOIN operation_rows r ON r.operation_id = o.id \
         LEFT JOIN {RUN_OF_ROW} WHERE {UNDER_WAY} AND r.copy_id IS NOT NULL AND NOT {OVER})"
    )
}

/// The query that [`read_discarded`] reads. The error is the latest in the ledger, as everywhere; if the ledger does
/// not know the event, that of the copy. For ids that the ledger cannot hold see [`super::operations::SAME_ROW`].
const SHOWN: &str = "SELECT d.id, d.operation_id, d.app, d.row_id, d.feed_uri, d.event_id, d.title, d.fault, d.at, d.state, \
     d.restored_at, d.restored_by, d.restored_as, o.who, o.reason, e.record, f.fingerprint \
     FROM discarded d JOIN operations o ON o.id = d.operation_id \
     LEFT JOIN ledger_events e ON e.id = (SELECT e.id FROM ledger_sources s JOIN ledger_events e ON e.source_id = s.id \
      AND e.row_id = CAST(d.row_id AS INTEGER) AND CAST(e.row_id AS TEXT) = d.row_id AND e.event_id IS d.event_id \
      WHERE s.app = d.app ORDER BY e.id DESC LIMIT 1) \
     LEFT JOIN ledger_faults f ON f.id = e.fault_id";

const CHOSEN: &str = "(?1 IS NULL OR d.app = ?1) AND (?2 IS NULL OR d.operation_id = ?2) AND (NOT ?3 OR d.state <> 'restored') \
     AND (?4 IS NULL OR instr(?4, ' ' || d.app || ' ') > 0)";

fn read_discarded(row: &SqliteRow, keep: Option<TimeDelta>) -> Result<Discarded, StoreError> {
    let state: String = row.try_get("state")?;
    let at = instant(row.try_get("at")?)?;
    let restored_at: Option<i64> = row.try_get("restored_at")?;
    let restored = match restored_at {
        Some(at) => {
            let id: Option<String> = row.try_get("restored_as")?;
            let by: Option<i64> = row.try_get("restored_by")?;
            let id: Option<RowId> = id.and_then(|id| id.parse().ok());
            by.zip(id).map(|(by, id)| Ok::<_, StoreError>((instant(at)?, by, id))).transpose()?
        }
        None => None,
    };
    let latest: Option<String> = row.try_get("fingerprint")?;
    Ok(Discarded {
        id: row.try_get("id")?,
        operation: row.try_get("operation_id")?,
        app: row.try_get("app")?,
        row_id: read_id(row)?,
        feed_uri: row.try_get("feed_uri")?,
        event_id: row.try_get("event_id")?,
        title: row.try_get("title")?,
        record: row.try_get("record")?,
        fault: latest.map_or_else(|| row.try_get("fault"), |latest| Ok(fingerprint::title(&latest)))?,
        at,
        who: row.try_get("who")?,
        reason: row.try_get("reason")?,
        certain: state != "copied",
        restored,
        until: keep.and_then(|keep| at.checked_add_signed(keep)),
        called: None,
    })
}
