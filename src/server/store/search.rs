//! The search index: written after the ledger, queried by the search page. Tokens are described in
//! [`crate::model::search_index`].
//!
//! The ledger's triggers mark a new event, or one whose latest error changed, as pending in the transaction that wrote
//! it; `server/watch/index.rs` indexes pending events. So nothing is lost when the console ends, and the first read of
//! a table does not wait for the index.

use std::collections::BTreeSet;

use sqlx::{QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use super::{
    ROWS, Store, StoreError, count,
    ledger::read::{EVENT_COLUMNS, NEWEST_ATTEMPT, read_event},
    push_list,
};
use crate::model::{
    RowId,
    ledger::LedgerEvent,
    search_index::{Indexed, Need, id_token, word_token},
};

/// Maximum number of indexed words that a part of a word expands to.
const WORDS: usize = 200;

/// Maximum number of matching events that one query checks: few of very many may be in the wanted state.
const EXAMINED: i64 = 20_000;

/// Appends a query for the newest index entries that match all needs.
fn push_examined(query: &mut QueryBuilder<Sqlite>, all: &str, before: Option<i64>) {
    query.push("SELECT rowid AS place FROM search_events WHERE search_events MATCH ").push_bind(all.to_owned());
    if let Some(before) = before {
        query.push(" AND rowid < ").push_bind(before);
    }
    query.push(" ORDER BY rowid DESC LIMIT ").push_bind(EXAMINED);
}

/// A failed event whose index entry is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Ledger id.
    pub event: i64,
    pub row_id: RowId,
    pub event_id: Option<String>,
    pub record: Option<String>,
    pub title: Option<String>,
    /// It is still in its table.
    pub open: bool,
    /// The newest attempt of its present failure, by retry-log id.
    pub log_id: Option<RowId>,
    /// Text of its latest fault: all that is known of the error of an event that has left its table.
    pub fault: String,
}

/// A query of the search index.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// All of these must match.
    pub needs: &'a [Need],
    /// Whether errors are searched, too.
    pub said: bool,
    /// Keys of applications.
    pub apps: &'a [String],
    /// `true`: events in their table; `false`: events that left it.
    pub open: bool,
    /// Only ledger ids below this one: the next page.
    pub before: Option<i64>,
    pub limit: u32,
}

/// The result of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hits {
    /// By ledger id, highest first.
    pub events: Vec<LedgerEvent>,
    /// Where the next page begins, if there may be one.
    pub next: Option<i64>,
    /// A part of a word matches too many words: only some of them were searched.
    pub too_short: bool,
}

impl Store {
    /// Returns how many failed events of an application are not up to date in the index, and how many the ledger has.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn search_pending(&self, app: &str) -> Result<(u64, u64), StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM search_pending p WHERE p.source_id = s.id), \
             (SELECT COALESCE(SUM(c.count), 0) FROM ledger_counts c WHERE c.source_id = s.id) \
             FROM ledger_sources s WHERE s.app = ?",
        )
        .bind(app)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok((0, 0)) };
        Ok((count(&row, 0)?, count(&row, 1)?))
    }

    /// Returns the next pending failed events of an application, newest first.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn to_index(&self, app: &str, limit: u32) -> Result<Vec<Pending>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT e.id, e.row_id, e.event_id, e.record, e.title, e.state < 10, {NEWEST_ATTEMPT}, d.fingerprint \
             FROM search_pending p CROSS JOIN ledger_events e ON e.id = p.event JOIN ledger_faults d ON d.id = e.fault_id \
             WHERE p.source_id = (SELECT id FROM ledger_sources WHERE app = ?) ORDER BY p.event DESC LIMIT ?"
        )))
        .bind(app)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &SqliteRow| {
            Ok(Pending {
                event: row.try_get(0)?,
                row_id: RowId(row.try_get::<i64, _>(1)?.into()),
                event_id: row.try_get(2)?,
                record: row.try_get(3)?,
                title: row.try_get(4)?,
                open: row.try_get(5)?,
                log_id: row.try_get::<Option<i64>, _>(6)?.map(|id| RowId(id.into())),
                fault: row.try_get(7)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Writes the index entries of failed events. Skips events that were deleted meanwhile, and leaves those pending
    /// whose latest error changed meanwhile.
    ///
    /// # Errors
    /// Fails if the store cannot be written; no entry is then written.
    pub async fn write_index(&self, indexed: &[(Pending, Indexed)]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let events: Vec<i64> = indexed.iter().map(|(pending, _)| pending.event).collect();
        let mut now = std::collections::HashMap::new();
        for events in events.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(format!(
                "SELECT e.id, {NEWEST_ATTEMPT} FROM ledger_events e WHERE e.id IN ("
            ));
            push_list(&mut query, events);
            for row in query.build().fetch_all(&mut *transaction).await? {
                now.insert(row.try_get::<i64, _>(0)?, row.try_get::<Option<i64>, _>(1)?.map(|id| RowId(id.into())));
            }
        }
        let mut words = BTreeSet::new();
        for (pending, indexed) in indexed {
            let Some(log_id) = now.get(&pending.event) else { continue };
            sqlx::query("INSERT OR REPLACE INTO search_events (rowid, tokens) VALUES (?, ?)")
                .bind(pending.event)
                .bind(&indexed.tokens)
                .execute(&mut *transaction)
                .await?;
            words.extend(&indexed.words);
            if *log_id == pending.log_id {
                sqlx::query(
                    "DELETE FROM search_pending WHERE event = ?1 \
                     AND source_id = (SELECT source_id FROM ledger_events WHERE id = ?1)",
                )
                .bind(pending.event)
                .execute(&mut *transaction)
                .await?;
            }
        }
        for (said, word) in words {
            sqlx::query("INSERT OR IGNORE INTO search_words (said, word) VALUES (?, ?)")
                .bind(said)
                .bind(word)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Returns the failed events that match all needs.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn search(&self, wanted: &Wanted<'_>) -> Result<Hits, StoreError> {
        let mut hits = Hits::default();
        if !self.has_any(wanted.apps, wanted.open).await? {
            return Ok(hits);
        }
        let mut all = Vec::with_capacity(wanted.needs.len());
        for need in wanted.needs {
            let any = self.alternatives(need, wanted.said, &mut hits.too_short).await?;
            if any.is_empty() {
                return Ok(hits);
            }
            all.push(format!("({})", any.join(" OR ")));
        }
        if all.is_empty() {
            return Ok(hits);
        }
        let all = all.join(" AND ");
        // The index returns rows in the order of their ids, so that it is read only as far as the page needs. Only the
        // ledger knows their states, row by row.
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {EVENT_COLUMNS} FROM ("));
        push_examined(&mut query, &all, wanted.before);
        query.push(
            ") CROSS JOIN ledger_events e ON e.id = place CROSS JOIN ledger_sources s ON s.id = e.source_id \
             CROSS JOIN ledger_feeds f ON f.id = e.feed_id WHERE ",
        );
        query.push(if wanted.open { "+e.state < 10" } else { "+e.state > 10" }).push(" AND s.app IN (");
        let mut list = query.separated(", ");
        for app in wanted.apps {
            list.push_bind(app);
        }
        // No ORDER BY: the inner query orders the rows, and another one would read all of them before the first.
        query.push(") LIMIT ").push_bind(i64::from(wanted.limit) + 1);
        let rows = query.build().fetch_all(&self.pool).await?;
        hits.events = rows.iter().map(read_event).collect::<Result<_, _>>()?;
        debug_assert!(hits.events.is_sorted_by(|one, next| one.id > next.id), "in the index's order");
        let limit = wanted.limit as usize;
        if hits.events.len() > limit {
            hits.events.truncate(limit);
            hits.next = hits.events.last().map(|event| event.id);
            return Ok(hits);
        }
        let mut query = QueryBuilder::<Sqlite>::new("SELECT COUNT(*), MIN(place) FROM (");
        push_examined(&mut query, &all, wanted.before);
        let examined = query.push(")").build().fetch_one(&self.pool).await?;
        if examined.try_get::<i64, _>(0)? >= EXAMINED {
            hits.next = examined.try_get(1)?;
        }
        Ok(hits)
    }

    /// Returns whether these applications have failed events in their tables (`open`), or any that left them.
    async fn has_any(&self, apps: &[String], open: bool) -> Result<bool, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT EXISTS (SELECT 1 FROM ledger_counts c JOIN ledger_sources s ON s.id = c.source_id WHERE c.count > 0 AND ",
        );
        query.push(if open { "c.state < 10" } else { "c.state > 10" }).push(" AND s.app IN (");
        let mut list = query.separated(", ");
        for app in apps {
            list.push_bind(app);
        }
        Ok(query.push("))").build_query_scalar().fetch_one(&self.pool).await?)
    }

    /// Returns the tokens that match a need, in the query language of the index.
    async fn alternatives(&self, need: &Need, said: bool, too_short: &mut bool) -> Result<Vec<String>, StoreError> {
        let mut any = Vec::new();
        let whose: &[bool] = if said { &[false, true] } else { &[false] };
        for said in whose {
            any.extend(need.id.iter().map(|id| format!("\"{}\"", id_token(*said, id))));
            any.extend(need.begins.iter().map(|id| format!("\"{}\" *", id_token(*said, id))));
            let Some(part) = &need.word else { continue };
            let words = self.words_with(*said, part).await?;
            *too_short |= words.len() > WORDS;
            any.extend(words.iter().take(WORDS).map(|word| format!("\"{}\"", word_token(*said, word))));
        }
        Ok(any)
    }

    /// Returns the words that a part of a word expands to; a part of one or two letters matches only itself.
    async fn words_with(&self, said: bool, part: &str) -> Result<Vec<String>, StoreError> {
        let short = part.chars().count() < 3;
        let condition = if short { "word = ?2" } else { "instr(word, ?2) > 0" };
        let words = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT word FROM search_words WHERE said = ?1 AND {condition} \
             ORDER BY word = ?2 DESC, instr(word, ?2), length(word), word LIMIT ?3"
        )))
        .bind(said)
        .bind(part)
        .bind(i64::try_from(WORDS + 1).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        Ok(words)
    }

    /// Deletes words that no failed event has any more, and returns how many.
    ///
    /// # Errors
    /// Fails if the store cannot be written: the next call deletes the rest.
    pub async fn forget_words(&self) -> Result<u64, StoreError> {
        let words: Vec<(bool, String)> =
            sqlx::query_as("SELECT said, word FROM search_words").fetch_all(&self.pool).await?;
        let mut forgotten = 0;
        for (said, word) in words {
            let used: Option<i64> =
                sqlx::query_scalar("SELECT rowid FROM search_events WHERE search_events MATCH ? LIMIT 1")
                    .bind(format!("\"{}\"", word_token(said, &word)))
                    .fetch_optional(&self.pool)
                    .await?;
            if used.is_none() {
                // In one statement, because an event with this word may be added meanwhile.
                let done = sqlx::query(
                    "DELETE FROM search_words WHERE said = ?1 AND word = ?2 \
                     AND NOT EXISTS (SELECT 1 FROM search_events WHERE search_events MATCH ?3)",
                )
                .bind(said)
                .bind(&word)
                .bind(format!("\"{}\"", word_token(said, &word)))
                .execute(&mut *self.writer().await?)
                .await?;
                forgotten += done.rows_affected();
            }
        }
        Ok(forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One failed event in its table, and very many newer ones that left it, all with one word in their errors.
    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        sqlx::raw_sql(
            "INSERT INTO ledger_sources (id, app, since) VALUES (1, 'odoo', 0);
             INSERT INTO ledger_feeds (id, source_id, uri) VALUES (1, 1, 'f');
             INSERT INTO ledger_faults VALUES (1, 1, 'no bed');
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30050)
             INSERT INTO ledger_events (id, source_id, row_id, feed_id, failed_at, seen_at, mark, state, first_fault_id,
                fault_id, ended_at)
             SELECT i, 1, i, 1, 0, 0, 0, CASE WHEN i = 1 THEN 2 ELSE 11 END, 1, 1, CASE WHEN i = 1 THEN NULL ELSE 1 END FROM n;
             INSERT INTO search_events (rowid, tokens) SELECT id, 'nwencounter swbed swno' FROM ledger_events;
             INSERT INTO ledger_counts VALUES (1, 1, 1, 2, 1), (1, 1, 1, 11, 30049);
             INSERT INTO search_words VALUES (0, 'encounter'), (1, 'bed'), (1, 'no');",
        )
        .execute(&store.writer)
        .await
        .unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn what_is_rare_among_very_many_is_found_step_by_step() {
        let (_folder, store) = store().await;
        let apps = ["odoo".to_owned()];
        let needs = ["be", "bed"].map(|word| Need { word: Some(word.to_owned()), ..Need::default() });
        let found = async |needs: &[Need], said, open, before| {
            let hits = store.search(&Wanted { needs, said, apps: &apps, open, before, limit: 20 }).await.unwrap();
            (hits.events.iter().map(|event| event.id).collect::<Vec<_>>(), hits.next)
        };
        assert_eq!(found(&needs[1..], true, true, None).await, (vec![], Some(10_051)));
        assert_eq!(found(&needs[1..], true, true, Some(10_051)).await, (vec![1], None));
        assert_eq!(found(&needs[1..], true, false, None).await, ((30_031..=30_050).rev().collect(), Some(30_031)));
        assert_eq!(found(&needs[1..], true, false, Some(4)).await, (vec![3, 2], None));
        // A search without errors finds nothing by their words; fewer than three letters match only whole words.
        assert_eq!(found(&needs[1..], false, true, Some(51)).await, (vec![], None));
        assert_eq!(found(&needs, true, true, Some(51)).await, (vec![], None));
        let part = [Need { word: Some("ount".to_owned()), ..Need::default() }];
        assert_eq!(found(&part, false, true, Some(51)).await, (vec![1], None));
    }

    #[tokio::test]
    async fn a_word_goes_with_the_last_event_that_has_it() {
        let (_folder, store) = store().await;
        sqlx::query("INSERT OR REPLACE INTO search_events (rowid, tokens) VALUES (1, 'nwpatient')")
            .execute(&store.writer)
            .await
            .unwrap();
        assert_eq!(store.forget_words().await.unwrap(), 0);
        sqlx::query("DELETE FROM ledger_events WHERE id > 1").execute(&store.writer).await.unwrap();
        assert_eq!(store.forget_words().await.unwrap(), 3);
    }
}
