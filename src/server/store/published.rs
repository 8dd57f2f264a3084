//! The index of published events: the events of a record by a keyed digest of its uuid, and how many events of each
//! feed each block of ids has. SECURITY.md says what can be read from it.

use std::{collections::BTreeMap, path::PathBuf};

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, QueryBuilder, Sqlite, Transaction};

use super::{ROWS, Store, StoreError, index_key::IndexKey, instant};
use crate::{
    model::{Backend, RowId},
    server::security::key_file::{self, NotRead},
};

/// The most events of an application that are indexed.
pub const MOST: u64 = 1_000_000;

/// Events beyond [`MOST`] after which the oldest are removed: removing them reads the whole index.
const SLACK: u64 = 50_000;

/// The width of a block, in ids.
pub const BLOCK: i64 = 256;

/// What is added to the name of the store for the name of the key's file.
const EXTENSION: &str = "index-key";

/// Parts of the index that are read in one transaction when old events are removed.
const SLICES: i64 = 64;

/// Rows of an index begun again that one step removes.
const REMOVED: i64 = 20_000;

/// Why an index reaches no further back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is not finished.
    Open,
    /// It has the application's first event.
    Beginning,
    /// It has as many events, or years, as it may.
    Limit,
}

impl End {
    const ALL: [End; 3] = [End::Open, End::Beginning, End::Limit];

    fn number(self) -> i64 {
        match self {
            End::Open => 0,
            End::Beginning => 1,
            End::Limit => 2,
        }
    }
}

/// What is indexed of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// The ids, both included. The lowest is the first id of a block.
    pub lowest: i64,
    pub highest: i64,
    pub end: End,
    /// When it was last written.
    pub at: DateTime<Utc>,
    /// The digest of the uuid of the event with the highest id: see [`Store::event_mark`].
    pub highest_mark: i64,
    source: i64,
}

/// Events to index: all that the application has in whole blocks; the block of its newest event may be incomplete.
#[derive(Clone, Debug)]
pub struct NewlyPublished {
    /// What is indexed with them.
    pub lowest: i64,
    pub highest: i64,
    /// See [`Indexed::highest_mark`].
    pub highest_mark: i64,
    pub end: End,
    pub events: Vec<NewlyIndexed>,
}

/// An event to index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewlyIndexed {
    pub id: i64,
    /// The uuid of its record.
    pub record: Option<String>,
    /// As the application's database compares it: see [`compared`].
    pub category: String,
    pub at: Option<DateTime<Utc>>,
}

/// Where events of a feed are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The first id that they can have, and the first that they cannot.
    pub from: i64,
    pub to: i64,
    /// The number of indexed events of the feed before `from`.
    pub before: u64,
}

/// Returns a category as the database of an application compares it.
pub fn compared(backend: Backend, category: &str) -> String {
    match backend {
        Backend::MySql => category.trim_end().to_lowercase(),
        Backend::Postgres | Backend::Sqlite => category.to_owned(),
    }
}

/// Returns the first id of the block of an id.
pub fn block_start(id: i64) -> i64 {
    id.div_euclid(BLOCK).saturating_mul(BLOCK)
}

impl Store {
    /// Returns the key of the index from its file, which is made at first need.
    fn index_key(&self) -> Result<&IndexKey, StoreError> {
        if let Some(key) = self.index_key.get() {
            return Ok(key);
        }
        let file =
            self.index_key_file().ok_or_else(|| StoreError::Content("no index of published events".to_owned()))?;
        let unusable = |reason: String| StoreError::Content(format!("the file {} {reason}", file.display()));
        let bytes = match key_file::read(&file) {
            Ok(bytes) => bytes,
            Err(NotRead::Missing) => {
                key_file::make(&file).map_err(|source| StoreError::File { path: file.clone(), source })?
            }
            Err(NotRead::Bad(reason)) => return Err(unusable(reason)),
        };
        Ok(self.index_key.get_or_init(|| IndexKey::new(&bytes)))
    }

    /// Returns the file of the index's key; `None` if the store is read-only.
    pub fn index_key_file(&self) -> Option<PathBuf> {
        self.file.as_deref().map(|file| key_file::beside(file.path(), EXTENSION))
    }

    /// Returns what is indexed of an application. `None` if nothing is, or with another key.
    ///
    /// # Errors
    /// Fails if the store or the key cannot be read.
    pub async fn indexed(&self, app: &str) -> Result<Option<Indexed>, StoreError> {
        let key = self.index_key()?;
        let row: Option<(i64, i64, i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT id, lowest, highest, highest_mark, ended, at FROM published_sources WHERE app = ? AND key_mark = ?",
        )
        .bind(app)
        .bind(key.mark())
        .fetch_optional(&self.pool)
        .await?;
        let Some((source, lowest, highest, highest_mark, ended, at)) = row else { return Ok(None) };
        let end = End::ALL.into_iter().find(|end| end.number() == ended);
        let end = end.ok_or_else(|| StoreError::Content(format!("the end {ended} of an index")))?;
        Ok(Some(Indexed { lowest, highest, end, at: instant(at)?, source, highest_mark }))
    }

    /// Returns the digest of an event's uuid, which shows whether it is still the same event.
    ///
    /// # Errors
    /// Fails if the key cannot be read.
    pub fn event_mark(&self, uuid: Option<&str>) -> Result<i64, StoreError> {
        Ok(self.index_key()?.digest("event", uuid.unwrap_or_default()))
    }

    /// Adds events to the index of an application.
    ///
    /// # Errors
    /// Fails if the store or the key cannot be used.
    pub async fn index_published(&self, app: &str, new: &NewlyPublished) -> Result<(), StoreError> {
        let key = self.index_key()?;
        let mut records: Vec<(i64, i64)> =
            new.events.iter().filter_map(|event| Some((key.record(event.record.as_deref()?), event.id))).collect();
        // In the order of the index, so that each of its pages is written once.
        records.sort_unstable();
        let mark = key.mark();
        // A power cut may undo it: the events are then read again.
        let mut writer = self.quick().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        // The index of another key.
        sqlx::query("UPDATE published_sources SET app = NULL WHERE app = ? AND key_mark <> ?")
            .bind(app)
            .bind(mark)
            .execute(&mut *transaction)
            .await?;
        let source: i64 = sqlx::query_scalar(
            "INSERT INTO published_sources (app, key_mark, lowest, highest, highest_mark, ended, at) \
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (app) DO UPDATE SET lowest = excluded.lowest, \
             highest = excluded.highest, highest_mark = excluded.highest_mark, ended = excluded.ended, at = excluded.at \
             RETURNING id",
        )
        .bind(app)
        .bind(mark)
        .bind(new.lowest)
        .bind(new.highest)
        .bind(new.highest_mark)
        .bind(new.end.number())
        .bind(crate::clock::now().timestamp_millis())
        .fetch_one(&mut *transaction)
        .await?;
        for records in records.chunks(ROWS) {
            let mut insert =
                QueryBuilder::<Sqlite>::new("INSERT OR IGNORE INTO published_events (source_id, record, event) ");
            insert.push_values(records, |mut row, (record, event)| {
                row.push_bind(source).push_bind(*record).push_bind(*event);
            });
            insert.build().execute(&mut *transaction).await?;
        }
        write_blocks(&mut transaction, source, &new.events).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets the index of an application, so that it is built again: its ids began again, or its events changed.
    ///
    /// # Errors
    /// Fails if the store cannot be written.
    pub async fn forget_published(&self, app: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE published_sources SET app = NULL WHERE app = ?")
            .bind(app)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(())
    }

    /// Removes a part of what is no longer needed: indexes that were begun again, and events of this application
    /// published before `since` or beyond [`MOST`]. Returns whether something was removed.
    ///
    /// # Errors
    /// Fails if the store cannot be used.
    pub async fn prune_published(&self, app: &str, since: DateTime<Utc>) -> Result<bool, StoreError> {
        let old: Option<i64> = sqlx::query_scalar("SELECT id FROM published_sources WHERE app IS NULL LIMIT 1")
            .fetch_optional(&self.pool)
            .await?;
        if let Some(old) = old {
            self.remove_index(old).await?;
            return Ok(true);
        }
        let Some(indexed) = self.indexed(app).await? else { return Ok(false) };
        // From the newest on: the first block that is beyond the number of events, or too old.
        let first: Option<i64> = sqlx::query_scalar(
            "SELECT MAX(block) FROM (SELECT block, oldest_at, SUM(events) OVER (ORDER BY block DESC) AS events \
             FROM published_blocks WHERE source_id = ?1 AND category = '') \
             WHERE oldest_at < ?2 OR (events > ?3 AND (SELECT SUM(events) FROM published_blocks WHERE source_id = ?1 \
             AND category = '') > ?3 + ?4)",
        )
        .bind(indexed.source)
        .bind(since.timestamp_millis())
        .bind(MOST.cast_signed())
        .bind(SLACK.cast_signed())
        .fetch_one(&self.pool)
        .await?;
        let Some(first) = first.map(|block| (block + 1) * BLOCK).filter(|first| *first > indexed.lowest) else {
            return Ok(false);
        };
        // The range first: what it no longer contains is not relied on, whatever is left of it.
        sqlx::query("UPDATE published_sources SET lowest = ?, ended = ? WHERE id = ?")
            .bind(first)
            .bind(End::Limit.number())
            .bind(indexed.source)
            .execute(&mut *self.writer().await?)
            .await?;
        sqlx::query("DELETE FROM published_blocks WHERE source_id = ? AND block < ?")
            .bind(indexed.source)
            .bind(first / BLOCK)
            .execute(&mut *self.writer().await?)
            .await?;
        let width = i64::MAX / (SLICES / 2);
        for slice in -SLICES / 2..=SLICES / 2 {
            sqlx::query(
                "DELETE FROM published_events WHERE source_id = ? AND record >= ? AND record < ? AND event < ?",
            )
            .bind(indexed.source)
            .bind(slice.saturating_mul(width))
            .bind((slice + 1).saturating_mul(width))
            .bind(first)
            .execute(&mut *self.writer().await?)
            .await?;
        }
        Ok(true)
    }

    /// Removes a part of an index that was begun again.
    async fn remove_index(&self, source: i64) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let removed = sqlx::query(
            "DELETE FROM published_events WHERE (source_id, record, event) IN \
             (SELECT source_id, record, event FROM published_events WHERE source_id = ? LIMIT ?)",
        )
        .bind(source)
        .bind(REMOVED)
        .execute(&mut *writer)
        .await?;
        if removed.rows_affected() == 0 {
            sqlx::query("DELETE FROM published_blocks WHERE source_id = ?").bind(source).execute(&mut *writer).await?;
            sqlx::query("DELETE FROM published_sources WHERE id = ?").bind(source).execute(&mut *writer).await?;
        }
        Ok(())
    }

    /// Returns the ids of the indexed events about a record, newest first: at most `limit`. Another record can have
    /// the same digest, so their objects must be compared.
    ///
    /// # Errors
    /// Fails if the store or the key cannot be read.
    pub async fn published_of(&self, app: &str, record_uuid: &str, limit: u32) -> Result<Vec<RowId>, StoreError> {
        let Some(indexed) = self.indexed(app).await? else { return Ok(Vec::new()) };
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT event FROM published_events WHERE source_id = ? AND record = ? AND event >= ? \
             ORDER BY event DESC LIMIT ?",
        )
        .bind(indexed.source)
        .bind(self.index_key()?.record(record_uuid))
        .bind(indexed.lowest)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        Ok(ids.into_iter().map(|id| RowId(id.into())).collect())
    }

    /// Returns the number of indexed events of a feed with ids from the block of `from` on; see [`compared`] for the
    /// category, which is empty for all events.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn published_count(&self, indexed: &Indexed, category: &str, from: i64) -> Result<u64, StoreError> {
        let sum: i64 = sqlx::query_scalar(
            "SELECT COALESCE(SUM(events), 0) FROM published_blocks WHERE source_id = ? AND category = ? AND block >= ?",
        )
        .bind(indexed.source)
        .bind(category)
        .bind(from.div_euclid(BLOCK))
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(sum).unwrap_or_default())
    }

    /// Returns where the events at positions `first` to `last` of a feed are, counted from 1 at the first indexed
    /// event. `None` if fewer are indexed.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn published_place(
        &self,
        indexed: &Indexed,
        category: &str,
        (first, last): (u64, u64),
    ) -> Result<Option<Place>, StoreError> {
        let blocks: Option<(Option<i64>, Option<i64>, Option<i64>)> = sqlx::query_as(
            "SELECT MIN(block), MAX(block), MIN(until - events) FROM (SELECT block, events, \
             SUM(events) OVER (ORDER BY block) AS until FROM published_blocks WHERE source_id = ? AND category = ?) \
             WHERE until >= ? AND until - events < ?",
        )
        .bind(indexed.source)
        .bind(category)
        .bind(i64::try_from(first).unwrap_or(i64::MAX))
        .bind(i64::try_from(last).unwrap_or(i64::MAX))
        .fetch_optional(&self.pool)
        .await?;
        let Some((Some(from), Some(to), Some(before))) = blocks else { return Ok(None) };
        let before = u64::try_from(before).unwrap_or_default();
        Ok(Some(Place { from: from * BLOCK, to: (to + 1).saturating_mul(BLOCK), before }))
    }

    /// Returns when the first event of the oldest indexed block was published, if that is known.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn indexed_since(&self, indexed: &Indexed) -> Result<Option<DateTime<Utc>>, StoreError> {
        let oldest: Option<i64> = sqlx::query_scalar(
            "SELECT oldest_at FROM published_blocks WHERE source_id = ? AND category = '' AND oldest_at IS NOT NULL \
             ORDER BY block LIMIT 1",
        )
        .bind(indexed.source)
        .fetch_optional(&self.pool)
        .await?;
        oldest.map(instant).transpose()
    }
}

/// Replaces the counts of the blocks of these events.
async fn write_blocks(
    transaction: &mut Transaction<'_, Sqlite>,
    source: i64,
    events: &[NewlyIndexed],
) -> Result<(), StoreError> {
    let mut blocks = BTreeMap::<(&str, i64), (i64, Option<DateTime<Utc>>)>::new();
    for event in events {
        let block = event.id.div_euclid(BLOCK);
        let categories = std::iter::once("").chain(Some(event.category.as_str()).filter(|name| !name.is_empty()));
        for category in categories {
            let (count, oldest) = blocks.entry((category, block)).or_default();
            *count += 1;
            *oldest = oldest.iter().chain(&event.at).min().copied();
        }
    }
    let blocks: Vec<_> = blocks.into_iter().collect();
    for blocks in blocks.chunks(ROWS) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT OR REPLACE INTO published_blocks (source_id, category, block, events, oldest_at) ",
        );
        insert.push_values(blocks, |mut row, ((category, block), (events, oldest))| {
            row.push_bind(source).push_bind(*category).push_bind(*block).push_bind(*events);
            row.push_bind(oldest.map(|at| at.timestamp_millis()));
        });
        insert.build().execute(&mut **transaction).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "4D1F0A2E-7b6c-4f0e-9a57-0e4c1a9b3f21";

    async fn store(folder: &tempfile::TempDir) -> Store {
        Store::open(&folder.path().join("console.db")).await.unwrap()
    }

    /// Events with these ids, of which every second one is about [`RECORD`] and of the category `a`.
    fn new(ids: std::ops::Range<i64>, lowest: i64, end: End) -> NewlyPublished {
        let highest = ids.end - 1;
        let events = ids.map(|id| NewlyIndexed {
            id,
            record: Some(if id % 2 == 0 { RECORD.to_owned() } else { format!("{id}") }),
            category: if id % 2 == 0 { "a" } else { "b" }.to_owned(),
            at: DateTime::from_timestamp(1_800_000_000 + id, 0),
        });
        NewlyPublished { lowest, highest, highest_mark: highest, end, events: events.collect() }
    }

    #[tokio::test]
    async fn the_events_of_a_record_are_found_and_its_uuid_is_not_in_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        assert_eq!(store.indexed("openmrs").await.unwrap(), None);
        store.index_published("openmrs", &new(256..300, 256, End::Open)).await.unwrap();
        // The last block again, with more events.
        store.index_published("openmrs", &new(256..600, 256, End::Beginning)).await.unwrap();
        let found = store.published_of("openmrs", &RECORD.to_lowercase(), 3).await.unwrap();
        assert_eq!(found.iter().map(|id| id.0).collect::<Vec<_>>(), [598, 596, 594]);
        assert!(store.published_of("openmrs", "other", 3).await.unwrap().is_empty());
        assert!(store.published_of("odoo", RECORD, 3).await.unwrap().is_empty());
        let indexed = store.indexed("openmrs").await.unwrap().unwrap();
        assert_eq!((indexed.lowest, indexed.highest, indexed.end), (256, 599, End::Beginning));
        assert_eq!(indexed.highest_mark, 599);
        assert_ne!(store.event_mark(Some("e599")).unwrap(), store.event_mark(Some("e598")).unwrap());
        assert_eq!(store.published_count(&indexed, "a", 0).await.unwrap(), 172);
        assert_eq!(store.published_count(&indexed, "", 512).await.unwrap(), 88);
        assert_eq!(store.indexed_since(&indexed).await.unwrap(), DateTime::from_timestamp(1_800_000_256, 0));

        let file = store.index_key_file().unwrap();
        store.close().await;
        let content = std::fs::read(folder.path().join("console.db")).unwrap();
        for uuid in [RECORD.to_owned(), RECORD.to_lowercase()] {
            assert!(!content.windows(uuid.len()).any(|bytes| bytes == uuid.as_bytes()));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn positions_of_a_feed_are_in_few_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        store.index_published("openmrs", &new(0..2560, 0, End::Beginning)).await.unwrap();
        let indexed = store.indexed("openmrs").await.unwrap().unwrap();
        let place =
            async |category, first, last| store.published_place(&indexed, category, (first, last)).await.unwrap();
        assert_eq!(place("a", 1, 5).await, Some(Place { from: 0, to: 256, before: 0 }));
        assert_eq!(place("a", 127, 130).await, Some(Place { from: 0, to: 512, before: 0 }));
        assert_eq!(place("a", 129, 133).await, Some(Place { from: 256, to: 512, before: 128 }));
        assert_eq!(place("", 2560, 2560).await, Some(Place { from: 2304, to: 2560, before: 2304 }));
        assert_eq!(place("a", 1281, 1285).await, None);
        assert_eq!(place("c", 1, 5).await, None);
    }

    #[tokio::test]
    async fn with_another_key_or_other_ids_the_index_is_built_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        let one = Store::open(&path).await.unwrap();
        one.index_published("openmrs", &new(0..300, 0, End::Beginning)).await.unwrap();
        let file = one.index_key_file().unwrap();
        one.close().await;
        std::fs::remove_file(&file).unwrap();
        let store = Store::open(&path).await.unwrap();
        assert_eq!(store.indexed("openmrs").await.unwrap(), None, "the key is lost");
        store.index_published("openmrs", &new(0..20, 0, End::Beginning)).await.unwrap();
        assert_eq!(store.published_of("openmrs", RECORD, 100).await.unwrap().len(), 10);
        store.forget_published("openmrs").await.unwrap();
        assert_eq!(store.indexed("openmrs").await.unwrap(), None);
        let mut steps = 0;
        while store.prune_published("openmrs", DateTime::UNIX_EPOCH).await.unwrap() {
            steps += 1;
            assert!(steps < 10);
        }
        for table in ["published_events", "published_blocks", "published_sources"] {
            let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")))
                .fetch_one(&store.pool)
                .await
                .unwrap();
            assert_eq!(left, 0, "{table}");
        }
        std::fs::write(&file, "no key").unwrap();
        store.close().await;
        let store = Store::open(&path).await.unwrap();
        let refused = store.indexed("openmrs").await.unwrap_err().to_string();
        assert!(refused.contains("index-key does not hold"), "{refused}");
    }

    #[tokio::test]
    async fn events_older_than_two_years_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        store.index_published("openmrs", &new(0..1024, 0, End::Beginning)).await.unwrap();
        // The first event of the second block was published before, that of the third after.
        let since = DateTime::from_timestamp(1_800_000_300, 0).unwrap();
        assert!(store.prune_published("openmrs", since).await.unwrap());
        let indexed = store.indexed("openmrs").await.unwrap().unwrap();
        assert_eq!((indexed.lowest, indexed.highest, indexed.end), (512, 1023, End::Limit));
        assert_eq!(store.published_of("openmrs", RECORD, 1000).await.unwrap().len(), 256);
        assert_eq!(store.published_count(&indexed, "", 0).await.unwrap(), 512);
        assert!(!store.prune_published("openmrs", since).await.unwrap());
    }
}
