//! Queries of the history: what happened by day, what ended, and how long it took. This module writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use crate::{
    model::{
        history::{HistoryDay, Resolving},
        ledger::{LedgerEvent, LifeState},
    },
    server::store::{ROWS, Store, StoreError, count, push_list},
};

use super::{
    super::instant,
    read::{EVENT_COLUMNS, FROM_EVENTS, failed_at, read_event},
};

/// What a history covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Keys of the applications.
    pub apps: Vec<String>,
    /// Only this feed; the empty text: failed events without an address.
    pub feed: Option<String>,
}

/// Number of the last resolved events that the statistics on resolving cover.
const RESOLVED_LATELY: u32 = 1000;

impl Store {
    /// Returns the ids of the sources in a scope and, if it names a feed, of its feeds: indexed queries use them.
    pub(super) async fn places(&self, scope: &Scope) -> Result<Vec<(i64, Option<i64>)>, StoreError> {
        let mut places = Vec::new();
        for app in &scope.apps {
            let Some(feed) = &scope.feed else {
                let row = sqlx::query("SELECT id FROM ledger_sources WHERE app = ?")
                    .bind(app)
                    .fetch_optional(&self.pool)
                    .await?;
                places.extend(row.map(|row| Ok::<_, StoreError>((row.try_get(0)?, None))).transpose()?);
                continue;
            };
            let row = sqlx::query(
                "SELECT f.source_id, f.id FROM ledger_feeds f JOIN ledger_sources s ON s.id = f.source_id \
                 WHERE s.app = ? AND f.uri = ?",
            )
            .bind(app)
            .bind(feed)
            .fetch_optional(&self.pool)
            .await?;
            places.extend(row.map(|row| Ok::<_, StoreError>((row.try_get(0)?, Some(row.try_get(1)?)))).transpose()?);
        }
        Ok(places)
    }

    /// Returns what happened on each day from this one on, in a zone `ahead` minutes ahead of UTC; days without events
    /// are missing.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn history_days(
        &self,
        scope: &Scope,
        from: NaiveDate,
        ahead: i32,
    ) -> Result<Vec<HistoryDay>, StoreError> {
        let mut days = BTreeMap::<NaiveDate, HistoryDay>::new();
        for day in self.history_days_by_application(scope, from, ahead).await?.into_values().flatten() {
            days.entry(day.day).and_modify(|sum| sum.add(&day)).or_insert(day);
        }
        Ok(days.into_values().collect())
    }

    /// The same by application, in the order of days.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn history_days_by_application(
        &self,
        scope: &Scope,
        from: NaiveDate,
        ahead: i32,
    ) -> Result<HashMap<String, Vec<HistoryDay>>, StoreError> {
        let ahead = i64::from(ahead);
        let first = from.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() / 60;
        let mut query = QueryBuilder::<Sqlite>::new("SELECT s.app, (q.quarter * 15 + ");
        query.push_bind(ahead).push(
            ") / 1440, SUM(q.failed), SUM(q.attempts), SUM(q.resolved), SUM(q.gone), SUM(q.discarded) \
             FROM ledger_sources s CROSS JOIN ledger_quarters q ON q.source_id = s.id AND q.quarter >= ",
        );
        query.push_bind((first - ahead + 14).div_euclid(15));
        if let Some(feed) = &scope.feed {
            query.push(" AND q.feed_id = (SELECT f.id FROM ledger_feeds f WHERE f.source_id = s.id AND f.uri = ");
            query.push_bind(feed).push(")");
        }
        query.push(" WHERE s.app IN (");
        let mut list = query.separated(", ");
        for app in &scope.apps {
            list.push_bind(app);
        }
        query.push(") GROUP BY 1, 2 ORDER BY 1, 2");
        let mut days = HashMap::<String, Vec<HistoryDay>>::new();
        for row in query.build().fetch_all(&self.pool).await? {
            let day: i64 = row.try_get(1)?;
            let Some(day) = day.checked_mul(86_400).and_then(|at| DateTime::from_timestamp(at, 0)) else { continue };
            days.entry(row.try_get(0)?).or_default().push(HistoryDay {
                day: day.date_naive(),
                failed: count(&row, 2)?,
                attempts: count(&row, 3)?,
                resolved: count(&row, 4)?,
                gone: count(&row, 5)?,
                discarded: count(&row, 6)?,
            });
        }
        Ok(days)
    }

    /// Returns the events that left their table, latest first: at most `limit`, before an end (time, ledger id).
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn history_ended(
        &self,
        scope: &Scope,
        before: Option<(i64, i64)>,
        limit: u32,
    ) -> Result<Vec<LedgerEvent>, StoreError> {
        let (at, id) = before.unwrap_or((i64::MAX, i64::MAX));
        let mut ended = Vec::new();
        for (source, feed) in self.places(scope).await? {
            let (place, number) = feed.map_or(("e.source_id", source), |feed| ("e.feed_id", feed));
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT {EVENT_COLUMNS} {FROM_EVENTS} WHERE {place} = ? AND e.ended_at IS NOT NULL AND e.ended_at <= ? \
                 AND (e.ended_at < ? OR e.id < ?) ORDER BY e.ended_at DESC, e.id DESC LIMIT ?"
            )))
            .bind(number)
            .bind(at)
            .bind(at)
            .bind(id)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
            for row in &rows {
                ended.push(read_event(row)?);
            }
        }
        ended.sort_by_key(|event| std::cmp::Reverse((event.ended.map(|ended| ended.at), event.id)));
        ended.truncate(limit as usize);
        Ok(ended)
    }

    /// Returns when a failed event was last seen to have left by itself, resolved or without a trace of the cause, by
    /// feed address: that is how a successful retry ends.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn left_last(&self, app: &str) -> Result<HashMap<String, DateTime<Utc>>, StoreError> {
        let rows = sqlx::query(
            "SELECT uri, at FROM (SELECT f.uri, (SELECT e.ended_at FROM ledger_events e WHERE e.feed_id = f.id \
             AND e.ended_at IS NOT NULL AND +e.state IN (?, ?) ORDER BY e.ended_at DESC LIMIT 1) AS at \
             FROM ledger_feeds f JOIN ledger_sources s ON s.id = f.source_id WHERE s.app = ?) WHERE at IS NOT NULL",
        )
        .bind(LifeState::Resolved.code())
        .bind(LifeState::Gone.code())
        .bind(app)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, instant(row.try_get(1)?)?))).collect()
    }

    /// Returns how long the last resolved events took, and which users helped.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn history_resolving(&self, scope: &Scope) -> Result<Resolving, StoreError> {
        let mut resolved: Vec<(i64, i64, i64)> = Vec::new();
        for (source, feed) in self.places(scope).await? {
            let (place, number) = feed.map_or(("source_id", source), |feed| ("feed_id", feed));
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT id, ended_at, failed_at, seen_at FROM ledger_events \
                 WHERE {place} = ? AND ended_at IS NOT NULL AND +state = ? ORDER BY ended_at DESC LIMIT ?"
            )))
            .bind(number)
            .bind(LifeState::Resolved.code())
            .bind(RESOLVED_LATELY)
            .fetch_all(&self.pool)
            .await?;
            for row in rows {
                let began = failed_at(row.try_get(2)?).map(|at| at.timestamp_millis());
                resolved.push((row.try_get(1)?, row.try_get(0)?, began.unwrap_or(row.try_get(3)?)));
            }
        }
        resolved.sort_unstable_by_key(|(ended, id, _)| std::cmp::Reverse((*ended, *id)));
        resolved.truncate(RESOLVED_LATELY as usize);
        let mut took: Vec<u64> = resolved
            .iter()
            .filter_map(|(ended, _, began)| u64::try_from(ended.checked_sub(*began)? / 1000).ok())
            .collect();
        took.sort_unstable();
        let mut helped = BTreeMap::<String, u64>::new();
        let ids: Vec<i64> = resolved.iter().map(|(_, id, _)| *id).collect();
        for ids in ids.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "SELECT who, COUNT(DISTINCT ledger_event) FROM ledger_requests WHERE kind = 1 AND outcome = 1 \
                 AND ledger_event IN (",
            );
            push_list(&mut query, ids);
            query.push(" GROUP BY who");
            for row in query.build().fetch_all(&self.pool).await? {
                *helped.entry(row.try_get(0)?).or_default() += count(&row, 1)?;
            }
        }
        let mut helped: Vec<_> = helped.into_iter().collect();
        helped.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
        Ok(Resolving { of: resolved.len() as u64, median_secs: took.get(took.len() / 2).copied(), helped })
    }

    /// Returns the events with this event id, with this uuid in it, or of the record with this uuid, newest first.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn history_find(&self, scope: &Scope, text: &str, limit: u32) -> Result<Vec<LedgerEvent>, StoreError> {
        // A uuid matches in either case, with or without the prefix of the Java library's event ids.
        let (lower, upper) = (text.to_lowercase(), text.to_uppercase());
        let mut ids: BTreeSet<String> = [text, &lower, &upper].map(str::to_owned).into();
        ids.extend([text, &lower, &upper].map(|id| format!("tag:atomfeed.ict4h.org:{id}")));
        let mut found = BTreeMap::new();
        let asked = ids.iter().map(|id| ("event_id", id.as_str())).chain([("record", lower.as_str())]);
        for (column, value) in asked {
            // The index is on the last characters: see the migration.
            let mut query = QueryBuilder::<Sqlite>::new(format!(
                "SELECT {EVENT_COLUMNS} {FROM_EVENTS} WHERE substr(e.{column}, -12) = substr("
            ));
            query.push_bind(value).push(format!(", -12) AND e.{column} = ")).push_bind(value);
            query.push(" AND +s.app IN (");
            let mut list = query.separated(", ");
            for app in &scope.apps {
                list.push_bind(app);
            }
            query.push(") ORDER BY +e.id DESC LIMIT ").push_bind(limit);
            let rows = query.build().fetch_all(&self.pool).await?;
            for row in &rows {
                let event = read_event(row)?;
                found.insert(event.id, event);
            }
        }
        Ok(found.into_values().rev().take(limit as usize).collect())
    }

    /// Returns events above a ledger id, in the order of ids, with the texts of their latest faults: for a file.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn history_step(
        &self,
        place: (&str, Option<&str>),
        above: i64,
        limit: u32,
    ) -> Result<Vec<(LedgerEvent, String)>, StoreError> {
        let (app, feed) = place;
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {EVENT_COLUMNS}, d.fingerprint {FROM_EVENTS} JOIN ledger_faults d ON d.id = e.fault_id \
             WHERE e.id > ? AND s.app = ? AND (? IS NULL OR f.uri = ?) ORDER BY e.id LIMIT ?"
        )))
        .bind(above)
        .bind(app)
        .bind(feed)
        .bind(feed)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok((read_event(row)?, row.try_get("fingerprint")?))).collect()
    }

    /// Returns the feeds of an application that ever had a failed event or a marker.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn ledger_feeds(&self, app: &str) -> Result<Vec<Option<String>>, StoreError> {
        let rows = sqlx::query(
            "SELECT f.uri FROM ledger_feeds f JOIN ledger_sources s ON s.id = f.source_id WHERE s.app = ? \
             ORDER BY f.uri LIMIT 2000",
        )
        .bind(app)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok(Some(row.try_get::<String, _>(0)?).filter(|uri| !uri.is_empty()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Zone;

    #[tokio::test]
    async fn a_day_begins_where_the_reader_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        let quarter = |text: &str| text.parse::<DateTime<Utc>>().unwrap().timestamp() / 900;
        sqlx::raw_sql(
            "INSERT INTO ledger_sources (id, app, since) VALUES (1, 'lab', 0), (2, 'odoo', 0);
             INSERT INTO ledger_feeds (id, source_id, uri) VALUES (1, 1, ''), (2, 1, 'f'), (3, 2, 'f')",
        )
        .execute(&store.pool)
        .await
        .unwrap();
        let failures = [
            // Just before and after midnight in Kathmandu, in Kolkata, and in Kolkata again.
            (1, 1, "2026-11-28T18:14:59Z", 1),
            (1, 1, "2026-11-28T18:15:00Z", 2),
            (1, 2, "2026-11-28T18:30:00Z", 4),
            (1, 2, "2026-11-29T18:29:00Z", 8),
            (2, 3, "2026-11-29T18:31:00Z", 16),
        ];
        for (source, feed, at, failed) in failures {
            sqlx::query(
                "INSERT INTO ledger_quarters (source_id, feed_id, fault_id, quarter, failed) VALUES (?, ?, 1, ?, ?)",
            )
            .bind(source)
            .bind(feed)
            .bind(quarter(at))
            .bind(failed)
            .execute(&store.pool)
            .await
            .unwrap();
        }
        let days = async |apps: &[&str], feed: Option<&str>, from: u32, zone: &str| {
            let apps = apps.iter().map(|app| (*app).to_owned()).collect();
            let scope = Scope { apps, feed: feed.map(str::to_owned) };
            let noon = "2026-11-29T12:00:00Z".parse().unwrap();
            let ahead = Zone::named(zone).unwrap().local(noon).offset;
            let from = NaiveDate::from_ymd_opt(2026, 11, from).unwrap();
            let days = store.history_days(&scope, from, ahead).await.unwrap();
            days.into_iter().map(|day| (day.day.format("%d").to_string(), day.failed)).collect::<Vec<_>>()
        };
        let (both, named) = (["lab", "odoo"], |day: &str, failed| (day.to_owned(), failed));
        assert_eq!(days(&both, None, 28, "UTC").await, [named("28", 7), named("29", 24)]);
        let kolkata = [named("28", 3), named("29", 12), named("30", 16)];
        assert_eq!(days(&both, None, 28, "Asia/Kolkata").await, kolkata);
        assert_eq!(days(&both, None, 29, "Asia/Kolkata").await, kolkata[1..], "from a day on, also where it began");
        assert_eq!(days(&both, None, 28, "Asia/Kathmandu").await, [named("28", 1), named("29", 6), named("30", 24)]);
        assert_eq!(days(&both, None, 29, "Asia/Kathmandu").await, [named("29", 6), named("30", 24)]);
        assert_eq!(days(&both, None, 28, "Pacific/Honolulu").await, [named("28", 7), named("29", 24)]);
        assert_eq!(days(&["lab"], None, 28, "UTC").await, [named("28", 7), named("29", 8)]);
        assert_eq!(days(&both, Some("f"), 28, "UTC").await, [named("28", 4), named("29", 24)]);
        assert_eq!(days(&both, Some("g"), 28, "UTC").await, []);
        assert_eq!(days(&[], None, 28, "UTC").await, []);
    }
}
