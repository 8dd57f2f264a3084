//! Samples of how far consumers are behind.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Store, StoreError, instant};
use crate::model::lag::LagSample;

/// Samples are kept whole for the first time, and in part for the second.
const WHOLE: TimeDelta = TimeDelta::days(1);
const KEPT: TimeDelta = TimeDelta::days(30);

/// Milliseconds of which one sample is kept after [`WHOLE`].
const THINNED: i64 = 600_000;

impl Store {
    /// Adds samples of feeds of an application, by feed address.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    pub async fn add_lag_samples(&self, app: &str, samples: &[(String, LagSample)]) -> Result<(), StoreError> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        // They are worth no wait for the disk.
        let mut writer = self.quick().await?;
        let mut transaction = sqlx::Connection::begin_with(&mut *writer, "BEGIN IMMEDIATE").await?;
        for (uri, sample) in samples {
            sqlx::query("INSERT INTO lag_feeds (app, uri) VALUES (?, ?) ON CONFLICT (app, uri) DO NOTHING")
                .bind(app)
                .bind(uri)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(
                "INSERT OR REPLACE INTO lag_samples (feed_id, at, unread, age, failed) \
                 SELECT id, ?, ?, ?, ? FROM lag_feeds WHERE app = ? AND uri = ?",
            )
            .bind(sample.at.timestamp_millis())
            .bind(sample.unread.map(number))
            .bind(sample.age_secs.map(number))
            .bind(number(sample.failed))
            .bind(app)
            .bind(uri)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Returns the samples of a feed since a time, oldest first.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn lag_samples(&self, app: &str, uri: &str, since: DateTime<Utc>) -> Result<Vec<LagSample>, StoreError> {
        let rows: Vec<(i64, Option<i64>, Option<i64>, i64)> = sqlx::query_as(
            "SELECT at, unread, age, failed FROM lag_samples \
             WHERE feed_id = (SELECT id FROM lag_feeds WHERE app = ? AND uri = ?) AND at >= ? ORDER BY at",
        )
        .bind(app)
        .bind(uri)
        .bind(since.timestamp_millis())
        .fetch_all(&self.pool)
        .await?;
        let number = |value: i64| u64::try_from(value).unwrap_or_default();
        rows.into_iter()
            .map(|(at, unread, age, failed)| {
                let (unread, age_secs) = (unread.map(number), age.map(number));
                Ok(LagSample { at: instant(at)?, unread, age_secs, failed: number(failed) })
            })
            .collect()
    }

    /// Removes samples of an application that are too old, most of those older than a day, and feeds without any.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    pub async fn prune_lag_samples(&self, app: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        // The first sample of each ten minutes is kept.
        sqlx::query(
            "DELETE FROM lag_samples WHERE feed_id IN (SELECT id FROM lag_feeds WHERE app = ?1) AND (at < ?2 OR \
             (at < ?3 AND EXISTS (SELECT 1 FROM lag_samples AS earlier WHERE earlier.feed_id = lag_samples.feed_id \
             AND earlier.at >= lag_samples.at - lag_samples.at % ?4 AND earlier.at < lag_samples.at)))",
        )
        .bind(app)
        .bind((now - KEPT).timestamp_millis())
        .bind((now - WHOLE).timestamp_millis())
        .bind(THINNED)
        .execute(&mut *writer)
        .await?;
        sqlx::query(
            "DELETE FROM lag_feeds WHERE app = ? AND NOT EXISTS (SELECT 1 FROM lag_samples WHERE feed_id = id)",
        )
        .bind(app)
        .execute(&mut *writer)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn samples_are_kept_whole_for_a_day_and_in_part_for_thirty() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let sample = |minutes: i64| LagSample {
            at: now - TimeDelta::minutes(minutes),
            unread: u64::try_from(minutes).ok().filter(|minutes| minutes % 2 == 0),
            age_secs: Some(60),
            failed: 3,
        };
        let day = 24 * 60;
        let minutes: Vec<i64> = (0..5).chain(2 * day..2 * day + 30).chain([31 * day]).collect();
        for minutes in minutes {
            store.add_lag_samples("odoo", &[("a/recent".to_owned(), sample(minutes))]).await.unwrap();
        }
        store.add_lag_samples("pacs", &[("a/recent".to_owned(), sample(31 * day))]).await.unwrap();
        let all = DateTime::UNIX_EPOCH;
        store.prune_lag_samples("odoo", now).await.unwrap();
        let kept = store.lag_samples("odoo", "a/recent", all).await.unwrap();
        assert_eq!(kept.iter().filter(|sample| now - sample.at > WHOLE).count(), 4, "{kept:?}");
        assert_eq!(kept.iter().filter(|sample| now - sample.at <= WHOLE).count(), 5);
        assert_eq!(kept.last(), Some(&sample(0)));
        assert_eq!(store.lag_samples("odoo", "a/recent", now).await.unwrap().len(), 1);
        assert_eq!(store.lag_samples("pacs", "a/recent", all).await.unwrap().len(), 1, "another application");
        store.prune_lag_samples("pacs", now).await.unwrap();
        let feeds: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM lag_feeds").fetch_one(&store.pool).await.unwrap();
        assert_eq!(feeds, 1, "a feed without samples is forgotten");
    }
}
