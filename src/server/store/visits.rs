//! When users last visited the console, and what happened since then.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row as _;

use super::{Only, QUARTER_MS, Store, StoreError, instant, list_of};
use crate::model::ledger::LifeState;

/// Inactivity that ends a visit: later activity begins a new one.
const PAUSE: TimeDelta = TimeDelta::minutes(30);
/// Minimum time between two updates of a visit.
const WRITTEN: TimeDelta = TimeDelta::minutes(1);
/// Visits older than this are deleted.
const REMEMBERED: TimeDelta = TimeDelta::days(180);
/// Maximum number of visitors: without sign-in, every browser is one.
const MOST: i64 = 10_000;

impl Store {
    /// Records a user's activity, and returns when the previous visit ended; `None` if there was none.
    ///
    /// # Errors
    /// Fails if the store cannot be used.
    pub async fn visit(&self, way: &str, name: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, StoreError> {
        let known = sqlx::query("SELECT before_at, seen_at FROM visits WHERE way = ? AND name = ?")
            .bind(way)
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        let (before, seen) = match known {
            None => (None, None),
            Some(row) => {
                let before: Option<i64> = row.try_get(0)?;
                (before.map(instant).transpose()?, Some(instant(row.try_get(1)?)?))
            }
        };
        let before = match seen {
            Some(seen) if now - seen > PAUSE => Some(seen),
            _ => before,
        };
        if seen.is_none_or(|seen| now - seen > WRITTEN) {
            sqlx::query(
                "INSERT INTO visits (way, name, before_at, seen_at) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (way, name) DO UPDATE SET before_at = excluded.before_at, seen_at = excluded.seen_at",
            )
            .bind(way)
            .bind(name)
            .bind(before.map(|at| at.timestamp_millis()))
            .bind(now.timestamp_millis())
            .execute(&mut *self.writer().await?)
            .await?;
        }
        if seen.is_none() {
            sqlx::query(
                "DELETE FROM visits WHERE seen_at < ? OR seen_at < (SELECT seen_at FROM visits ORDER BY seen_at DESC \
                 LIMIT 1 OFFSET ?)",
            )
            .bind((now - REMEMBERED).timestamp_millis())
            .bind(MOST)
            .execute(&mut *self.writer().await?)
            .await?;
        }
        Ok(before)
    }

    /// Returns when the previous visit ended, without recording activity.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn visit_before(&self, way: &str, name: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
        let before: Option<Option<i64>> = sqlx::query_scalar("SELECT before_at FROM visits WHERE way = ? AND name = ?")
            .bind(way)
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        before.flatten().map(instant).transpose()
    }

    /// Returns how many events failed for the first time since then, and how many were resolved. Full hours come from
    /// the ledger's sums, the rest of the first hour from the events themselves: an hour from before quarters were kept
    /// is one sum.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn since(&self, at: DateTime<Utc>, only: Only<'_>) -> Result<(u64, u64), StoreError> {
        const HOUR: i64 = 3_600_000;
        let only = list_of(only);
        let from = at.timestamp_millis();
        let next = from.div_euclid(HOUR) + 1;
        let of_sources = "(?1 IS NULL OR instr(?1, ' ' || app || ' ') > 0)";
        let hours = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT COALESCE(SUM(h.failed), 0), COALESCE(SUM(h.resolved), 0) FROM ledger_sources s \
             CROSS JOIN ledger_quarters h ON h.source_id = s.id AND h.quarter >= ?2 WHERE {of_sources}"
        )))
        .bind(&only)
        .bind(next * HOUR / QUARTER_MS)
        .fetch_one(&self.pool)
        .await?;
        let failed: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT COUNT(*) FROM ledger_sources s CROSS JOIN ledger_events e ON e.source_id = s.id \
             AND e.state IN (1, 2, 3, 11, 12, 13) AND e.failed_at >= ?2 AND e.failed_at < ?3 WHERE {of_sources}"
        )))
        .bind(&only)
        .bind(from * 1_000)
        .bind(next * HOUR * 1_000)
        .fetch_one(&self.pool)
        .await?;
        let resolved: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT COUNT(*) FROM ledger_sources s CROSS JOIN ledger_events e ON e.source_id = s.id \
             AND e.ended_at >= ?2 AND e.ended_at < ?3 WHERE +e.state = ?4 AND {of_sources}"
        )))
        .bind(&only)
        .bind(from)
        .bind(next * HOUR)
        .bind(LifeState::Resolved.code())
        .fetch_one(&self.pool)
        .await?;
        let sum = |of_hours: i64, of_events: i64| u64::try_from(of_hours + of_events).unwrap_or_default();
        Ok((sum(hours.try_get(0)?, failed), sum(hours.try_get(1)?, resolved)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_visit_begins_after_a_pause_and_knows_the_end_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        let at = |minutes: i64| DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::minutes(minutes);
        let visit = async |minutes| store.visit("account", "asha", at(minutes)).await.unwrap();
        assert_eq!(visit(0).await, None);
        assert_eq!(visit(20).await, None, "the same visit goes on");
        assert_eq!(visit(40).await, None);
        assert_eq!(visit(100).await, Some(at(40)));
        assert_eq!(visit(101).await, Some(at(40)), "a reload does not change it");
        assert_eq!(store.visit("openmrs", "asha", at(200)).await.unwrap(), None, "another way is another person");
        assert_eq!(store.visit_before("account", "asha").await.unwrap(), Some(at(40)));
        assert_eq!(store.since(at(0), None).await.unwrap(), (0, 0));
    }
}
