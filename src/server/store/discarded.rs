//! Copies of discarded failed events: written before anything is removed, kept until they are put back or their time is
//! over.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, Row as _, sqlite::SqliteRow};

use super::{
    Store, StoreError, instant, list_of,
    operations::{OVER, UNDER_WAY, read_id},
    runs::RUN_OF_ROW,
};
use crate::model::{
    RowId,
    operation::{Discarded, RowOutcome},
    whole_row::WholeEvent,
};

/// A copy to be kept.
#[derive(Clone, Debug)]
pub struct NewCopy {
    /// The place of the row in its operation.
    pub position: i64,
    pub app: String,
    pub row_id: RowId,
    pub event: WholeEvent,
    /// The fault of its first error, in words.
    pub fault: String,
}

/// Which of the copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhichCopies {
    pub app: Option<String>,
    pub operation: Option<i64>,
    /// Only those that can still be put back.
    pub restorable: bool,
    /// Only those of applications that may be seen; `None`: all.
    pub only: Option<BTreeSet<String>>,
}

impl Store {
    /// Keeps copies of rows that are about to be removed; one that is there already (of an attempt that did not come to
    /// its end) is replaced.
    pub async fn keep_copies(&self, operation: i64, copies: &[NewCopy]) -> Result<(), StoreError> {
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
            .bind(Utc::now().timestamp_millis())
            .bind(copy.event.to_bytes())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Settles copies by what became of their rows: those of removed rows (or of rows nobody knows of) stay, the others
    /// are of no use.
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

    /// Whether there is a copy for a row of an operation.
    pub async fn has_copy(&self, operation: i64, position: i64) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM discarded WHERE operation_id = ? AND position = ?")
            .bind(operation)
            .bind(position)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }

    /// The whole events of these copies, in their order; `None`: it is not kept any more, or was put back.
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

    /// Of these copies that are kept: number, application and row id.
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

    /// Records that copies were put back: each with the id that it has now, or `None` where it was there again.
    pub async fn mark_restored(&self, operation: i64, copies: &[(i64, Option<RowId>)]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for (copy, id) in copies {
            sqlx::query(
                "UPDATE discarded SET state = 'restored', restored_at = ?, restored_by = ?, restored_as = ? WHERE id = ?",
            )
            .bind(Utc::now().timestamp_millis())
            .bind(operation)
            .bind(id.map(|id| id.to_string()))
            .bind(copy)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Whether this operation has put a copy back: under which id, or `None` inside where it was there again.
    pub async fn put_back_by(&self, operation: i64, copy: i64) -> Result<Option<Option<RowId>>, StoreError> {
        let row = sqlx::query("SELECT restored_as FROM discarded WHERE id = ? AND restored_by = ?")
            .bind(copy)
            .bind(operation)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let id: Option<String> = row.try_get(0)?;
        Ok(Some(id.and_then(|id| id.parse().ok())))
    }

    /// Discarded failed events, newest first: at most `limit` with a number below `before`.
    pub async fn discarded(
        &self,
        which: &WhichCopies,
        before: Option<i64>,
        limit: u32,
        keep: Option<TimeDelta>,
    ) -> Result<Vec<Discarded>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT d.id, d.operation_id, d.app, d.row_id, d.feed_uri, d.event_id, d.title, d.fault, d.at, d.state, \
             d.restored_at, d.restored_by, d.restored_as, o.who, o.reason FROM discarded d \
             JOIN operations o ON o.id = d.operation_id WHERE {CHOSEN} AND d.id < ?5 ORDER BY d.id DESC LIMIT ?6"
        )))
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

    /// How many there are.
    pub async fn discarded_count(&self, which: &WhichCopies) -> Result<u64, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) FROM discarded d WHERE {CHOSEN}")))
            .bind(&which.app)
            .bind(which.operation)
            .bind(which.restorable)
            .bind(list_of(which.only.as_ref()))
            .fetch_one(&self.pool)
            .await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
    }

    /// Whether there are copies from before this time to end.
    pub async fn has_copies_before(&self, before: DateTime<Utc>) -> Result<bool, StoreError> {
        let any = format!("SELECT EXISTS (SELECT 1 FROM discarded WHERE {})", had_its_time());
        Ok(sqlx::query_scalar(AssertSqlSafe(any)).bind(before.timestamp_millis()).fetch_one(&self.pool).await?)
    }

    /// Ends copies from before this time. Answers how many.
    pub async fn end_copies(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let ended = sqlx::query(AssertSqlSafe(format!("DELETE FROM discarded WHERE {}", had_its_time())))
            .bind(before.timestamp_millis())
            .execute(&self.pen)
            .await?;
        Ok(ended.rows_affected())
    }
}

/// A copy from before a time that no operation is about to put back.
fn had_its_time() -> String {
    format!(
        "at < ? AND id NOT IN (SELECT r.copy_id FROM operations o CROSS JOIN operation_rows r ON r.operation_id = o.id \
         LEFT JOIN {RUN_OF_ROW} WHERE {UNDER_WAY} AND r.copy_id IS NOT NULL AND NOT {OVER})"
    )
}

const CHOSEN: &str = "(?1 IS NULL OR d.app = ?1) AND (?2 IS NULL OR d.operation_id = ?2) AND (NOT ?3 OR d.state <> 'restored') \
     AND (?4 IS NULL OR instr(?4, ' ' || d.app || ' ') > 0)";

fn read_discarded(row: &SqliteRow, keep: Option<TimeDelta>) -> Result<Discarded, StoreError> {
    let state: String = row.try_get("state")?;
    let at = instant(row.try_get("at")?)?;
    let restored_at: Option<i64> = row.try_get("restored_at")?;
    let restored = match restored_at {
        Some(at) => {
            let id: Option<String> = row.try_get("restored_as")?;
            Some((instant(at)?, row.try_get("restored_by")?, id.and_then(|id| id.parse().ok())))
        }
        None => None,
    };
    Ok(Discarded {
        id: row.try_get("id")?,
        operation: row.try_get("operation_id")?,
        app: row.try_get("app")?,
        row_id: read_id(row)?,
        feed_uri: row.try_get("feed_uri")?,
        event_id: row.try_get("event_id")?,
        title: row.try_get("title")?,
        fault: row.try_get("fault")?,
        at,
        who: row.try_get("who")?,
        reason: row.try_get("reason")?,
        certain: state != "copied",
        restored,
        until: keep.and_then(|keep| at.checked_add_signed(keep)),
    })
}
