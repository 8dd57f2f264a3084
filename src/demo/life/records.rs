//! The table of the demo hospital's systems in addition to the real ones: which events they have received.

use sqlx::{SqliteConnection, SqlitePool};

use super::System;

const TABLES: &str = "
    -- Every event that was processed, and how often: an event that is processed twice is an error of the protocol,
    -- unless a person has set the marker back.
    CREATE TABLE IF NOT EXISTS demo_received (
        event_id text NOT NULL, feed text NOT NULL, record text NOT NULL, times integer NOT NULL,
        PRIMARY KEY (event_id, feed)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS demo_received_record ON demo_received (record);";

/// Creates missing tables: a hospital that an earlier version has made lacks those of the records.
pub(super) async fn make_tables(pool: &SqlitePool, system: System) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(TABLES).execute(pool).await?;
    sqlx::raw_sql(system.tables()).execute(pool).await.map(drop)
}

/// Records that an event was processed.
pub(super) async fn receive(
    connection: &mut SqliteConnection,
    event_id: &str,
    feed: &str,
    record: &str,
) -> Result<(), sqlx::Error> {
    let insert = "INSERT INTO demo_received (event_id, feed, record, times) VALUES (?, ?, ?, 1)
                  ON CONFLICT (event_id, feed) DO UPDATE SET times = times + 1";
    sqlx::query(insert).bind(event_id).bind(feed).bind(record).execute(connection).await.map(drop)
}

/// Returns whether an event of this record was processed.
pub(super) async fn has(connection: &mut SqliteConnection, record: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM demo_received WHERE record = ?)")
        .bind(record)
        .fetch_one(connection)
        .await
}

/// Returns whether an event of the feed with retries left has waited since before `time`, and none was retried since.
pub(super) async fn was_left_alone(
    connection: &mut SqliteConnection,
    feed: &str,
    max_retry: i64,
    time: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM failed_events WHERE feed_uri = ?1 AND retries < ?2 AND failed_at < ?3)
            AND NOT EXISTS (SELECT 1 FROM failed_event_retry_log WHERE feed_uri = ?1 AND failed_at >= ?3)",
    )
    .bind(feed)
    .bind(max_retry)
    .bind(time)
    .fetch_one(connection)
    .await
}
