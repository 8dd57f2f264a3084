//! Causes of the present failed events, from the ledger's counts: for the failed events of a list and of a feed.

use sqlx::{Row as _, sqlite::SqliteRow};

use super::{Only, Store, StoreError, count, list_of};
use crate::model::{
    advice::Subject,
    cause::{Cause, FeedCauses},
    fingerprint,
    ledger::LifeState,
};

impl Store {
    /// Returns the most frequent causes of every feed with failed events, at most [`FeedCauses::SHOWN`] each.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn causes_of_feeds(&self, only: Only<'_>) -> Result<Vec<FeedCauses>, StoreError> {
        let rows = sqlx::query(
            "SELECT t.app, t.uri, t.fault_id, t.failed, t.used_up, x.fingerprint FROM (\
               SELECT s.app, f.uri, c.fault_id, SUM(c.count) AS failed, \
                 SUM(CASE WHEN c.state = ?1 THEN c.count ELSE 0 END) AS used_up, \
                 ROW_NUMBER() OVER (PARTITION BY c.source_id, c.feed_id ORDER BY SUM(c.count) DESC, c.fault_id) AS place \
               FROM ledger_counts c JOIN ledger_sources s ON s.id = c.source_id JOIN ledger_feeds f ON f.id = c.feed_id \
               WHERE c.count > 0 AND c.state < 10 AND (?2 IS NULL OR instr(?2, ' ' || s.app || ' ') > 0) \
               GROUP BY c.source_id, c.feed_id, c.fault_id) t \
             JOIN ledger_faults x ON x.id = t.fault_id WHERE t.place <= ?3 ORDER BY t.app, t.uri, t.place",
        )
        .bind(LifeState::Exhausted.code())
        .bind(list_of(only))
        .bind(i64::try_from(FeedCauses::SHOWN).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        let mut feeds: Vec<FeedCauses> = Vec::new();
        for row in &rows {
            let (app, uri): (String, String) = (row.try_get("app")?, row.try_get("uri")?);
            let uri = Some(uri).filter(|uri| !uri.is_empty());
            let cause = cause(row)?;
            match feeds.last_mut() {
                Some(feed) if feed.app == app && feed.uri == uri => feed.causes.push(cause),
                _ => feeds.push(FeedCauses { app, uri, causes: vec![cause] }),
            }
        }
        Ok(feeds)
    }
}

fn cause(row: &SqliteRow) -> Result<Cause, StoreError> {
    let fingerprint: String = row.try_get("fingerprint")?;
    Ok(Cause {
        fault: row.try_get("fault_id")?,
        title: fingerprint::title(&fingerprint),
        failed: count(row, "failed")?,
        used_up: count(row, "used_up")?,
        about: Subject::default(),
    })
}
