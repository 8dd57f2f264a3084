//! Retention of the ledger: deletes events that left their table longer ago than a setting says.

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use crate::server::store::{QUARTER_MS, Store, StoreError};

/// Events that one transaction deletes per source, so that the watchers do not wait long to write.
const EVENTS: i64 = 1_000;

/// The event left its table before a time, and no request for it is open.
const LONG_AGO: &str = "e.ended_at < ? AND NOT EXISTS \
     (SELECT 1 FROM ledger_requests r WHERE r.ledger_event = e.id AND r.outcome IS NULL)";

impl Store {
    /// Deletes failed events that left their table before a time, with everything that happened to them, and the sums
    /// before it. Keeps events that are still in a table, however old, and events with an open request. Returns the
    /// number of deleted events.
    ///
    /// # Errors
    /// Fails if the store cannot be written: what was deleted stays deleted, the next call deletes the rest.
    pub async fn forget_history(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let before = before.timestamp_millis();
        let mut forgotten = 0;
        loop {
            let step = self.forget_step(before).await?;
            forgotten += step;
            if step == 0 {
                break;
            }
        }
        // By source, because the key begins with it.
        sqlx::query("DELETE FROM ledger_quarters WHERE source_id IN (SELECT id FROM ledger_sources) AND quarter < ?")
            .bind(before.div_euclid(QUARTER_MS))
            .execute(&mut *self.writer().await?)
            .await?;
        if forgotten > 0 {
            self.forget_words().await?;
        }
        Ok(forgotten)
    }

    /// Returns whether there are events to delete that left their table before a time.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn has_history_before(&self, before: DateTime<Utc>) -> Result<bool, StoreError> {
        let any = format!("SELECT EXISTS (SELECT 1 FROM ledger_events e WHERE e.ended_at IS NOT NULL AND {LONG_AGO})");
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(any)).bind(before.timestamp_millis());
        Ok(query.fetch_one(&self.pool).await?)
    }

    async fn forget_step(&self, before: i64) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let mut forgotten = 0;
        let sources = sqlx::query("SELECT id FROM ledger_sources").fetch_all(&mut *transaction).await?;
        for source in sources {
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT e.id, e.feed_id, e.fault_id, e.state FROM ledger_events e WHERE e.source_id = ? \
                 AND e.ended_at IS NOT NULL AND {LONG_AGO} ORDER BY e.ended_at LIMIT ?"
            )))
            .bind(source.try_get::<i64, _>(0)?)
            .bind(before)
            .bind(EVENTS)
            .fetch_all(&mut *transaction)
            .await?;
            for row in rows {
                let event: i64 = row.try_get(0)?;
                for statement in [
                    "DELETE FROM ledger_entries WHERE ledger_event = ?",
                    "DELETE FROM ledger_requests WHERE ledger_event = ?",
                    "DELETE FROM ledger_events WHERE id = ?",
                ] {
                    sqlx::query(statement).bind(event).execute(&mut *transaction).await?;
                }
                sqlx::query(
                    "UPDATE ledger_counts SET count = count - 1 \
                     WHERE source_id = ? AND feed_id = ? AND fault_id = ? AND state = ?",
                )
                .bind(source.try_get::<i64, _>(0)?)
                .bind(row.try_get::<i64, _>(1)?)
                .bind(row.try_get::<i64, _>(2)?)
                .bind(row.try_get::<i64, _>(3)?)
                .execute(&mut *transaction)
                .await?;
                forgotten += 1;
            }
        }
        transaction.commit().await?;
        Ok(forgotten)
    }
}
