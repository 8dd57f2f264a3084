//! Groups of failed events by fault, read from the ledger's counts, and the notes on faults. This module reads the
//! ledger and writes only the notes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use super::{
    Only, QUARTER_MS, Store, StoreError, count, instant,
    ledger::{
        NO_TIME,
        read::{EVENT_COLUMNS, FROM_EVENTS, read_event},
    },
    list_of, push_list,
};
use crate::clock;
use crate::model::{
    DayCount, RowId, fingerprint,
    group::{Group, GroupPlace, Note, NoteSaved, TREND_DAYS, WrittenNote},
    ledger::{LedgerEvent, LifeState},
};

/// A failed event of a group, by application and row id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    pub app: String,
    pub id: RowId,
}

/// Selects events of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupEvents {
    pub fault: i64,
    pub state: LifeState,
    /// After the event with this ledger id: the next page.
    pub before: Option<i64>,
    pub limit: u32,
}

/// Versions of a note that are stored.
const NOTE_VERSIONS: i64 = 50;

/// The second parameter is a list of applications, or NULL for all.
const OF_SOURCES: &str =
    "(?2 IS NULL OR source_id IN (SELECT id FROM ledger_sources WHERE instr(?2, ' ' || app || ' ') > 0))";

impl Store {
    /// Returns the groups that have failed events now, largest first; with `quiet`, those that no longer have any, last
    /// seen first. At most `limit`, and the total number of such groups. Days are those of a zone `ahead` minutes ahead
    /// of UTC.
    pub async fn groups(
        &self,
        quiet: bool,
        limit: usize,
        only: Only<'_>,
        ahead: i32,
    ) -> Result<(Vec<Group>, usize), StoreError> {
        let only = list_of(only);
        let counts = sqlx::query(
            "SELECT c.fault_id, c.state, s.app, f.uri, SUM(c.count) AS n FROM ledger_counts c \
             JOIN ledger_sources s ON s.id = c.source_id JOIN ledger_feeds f ON f.id = c.feed_id \
             WHERE c.count > 0 AND (?1 IS NULL OR instr(?1, ' ' || s.app || ' ') > 0) GROUP BY c.fault_id, c.state, c.feed_id",
        )
        .bind(&only)
        .fetch_all(&self.pool)
        .await?;
        let mut groups = BTreeMap::<i64, Group>::new();
        for row in &counts {
            let fault = row.try_get("fault_id")?;
            add(groups.entry(fault).or_insert_with(|| empty(fault)), row)?;
        }
        let mut groups: Vec<Group> = groups.into_values().filter(|group| (group.failed() == 0) == quiet).collect();
        let all = groups.len();
        if quiet {
            for group in &mut groups {
                self.seen(group, only.as_deref()).await?;
            }
            groups.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then(a.fault.cmp(&b.fault)));
        } else {
            groups.sort_by(|a, b| b.failed().cmp(&a.failed()).then(a.fault.cmp(&b.fault)));
        }
        groups.truncate(limit);
        for group in &mut groups {
            self.complete(group, only.as_deref(), ahead).await?;
        }
        Ok((groups, all))
    }

    /// Returns the fault, its text and the number of its present failed events for the largest groups.
    pub async fn groups_by_size(&self, only: Only<'_>) -> Result<Vec<(i64, String, u64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT c.fault_id, d.fingerprint, SUM(c.count) FROM ledger_counts c \
             JOIN ledger_sources s ON s.id = c.source_id JOIN ledger_faults d ON d.id = c.fault_id \
             WHERE c.count > 0 AND c.state < 10 AND (?1 IS NULL OR instr(?1, ' ' || s.app || ' ') > 0) \
             GROUP BY c.fault_id ORDER BY 3 DESC, 1 LIMIT 1000",
        )
        .bind(list_of(only))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, count(row, 2)?))).collect()
    }

    /// Returns one group, with days of a zone `ahead` minutes ahead of UTC; `None` if there is no fault with this id.
    pub async fn group(&self, fault: i64, only: Only<'_>, ahead: i32) -> Result<Option<Group>, StoreError> {
        let only = list_of(only);
        let Some(counts) = self.counts_of(fault, only.as_deref()).await? else { return Ok(None) };
        let mut group = empty(fault);
        for row in &counts {
            add(&mut group, row)?;
        }
        self.complete(&mut group, only.as_deref(), ahead).await?;
        Ok(Some(group))
    }

    /// Returns only the title of a group.
    pub async fn group_title(&self, fault: i64, only: Only<'_>) -> Result<Option<String>, StoreError> {
        if self.counts_of(fault, list_of(only).as_deref()).await?.is_none() {
            return Ok(None);
        }
        Ok(self.fingerprint_of(fault).await?.map(|(_, text)| title(&text)))
    }

    /// Returns the numbers of present and past failed events of a group, by state and feed; `None` if there is no such
    /// group.
    async fn counts_of(&self, fault: i64, only: Option<&str>) -> Result<Option<Vec<SqliteRow>>, StoreError> {
        let known = sqlx::query("SELECT 1 FROM ledger_faults WHERE id = ?").bind(fault).fetch_optional(&self.pool);
        if known.await?.is_none() {
            return Ok(None);
        }
        let counts = sqlx::query(
            "SELECT c.fault_id, c.state, s.app, f.uri, SUM(c.count) AS n FROM ledger_counts c \
             JOIN ledger_sources s ON s.id = c.source_id JOIN ledger_feeds f ON f.id = c.feed_id \
             WHERE c.fault_id = ?1 AND c.count > 0 AND (?2 IS NULL OR instr(?2, ' ' || s.app || ' ') > 0) \
             GROUP BY c.state, c.feed_id",
        )
        .bind(fault)
        .bind(only)
        .fetch_all(&self.pool)
        .await?;
        // A fault of applications that the caller may not see is not a group.
        Ok(Some(counts).filter(|counts| !counts.is_empty() || only.is_none()))
    }

    /// Returns the fault of a failed event that is in its table now, by the last error that the watcher saw.
    pub async fn fault_of(&self, app: &str, row: RowId) -> Result<Option<i64>, StoreError> {
        let Ok(row_id) = i64::try_from(row.0) else { return Ok(None) };
        let fault = sqlx::query(
            "SELECT e.fault_id FROM ledger_events e JOIN ledger_sources s ON s.id = e.source_id \
             WHERE s.app = ? AND e.row_id = ? AND +e.state < 10 ORDER BY e.life DESC LIMIT 1",
        )
        .bind(app)
        .bind(row_id)
        .fetch_optional(&self.pool)
        .await?;
        Ok(fault.map(|row| row.try_get(0)).transpose()?)
    }

    /// Returns which of these failed events are in a group now.
    pub async fn in_group(&self, app: &str, fault: i64, rows: &[RowId]) -> Result<BTreeSet<RowId>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT e.row_id FROM ledger_events e JOIN ledger_sources s ON s.id = e.source_id WHERE s.app = ",
        );
        query.push_bind(app).push(" AND +e.state < 10 AND +e.fault_id = ").push_bind(fault).push(" AND e.row_id IN (");
        let ids: Vec<i64> = rows.iter().filter_map(|row| i64::try_from(row.0).ok()).collect();
        push_list(&mut query, &ids);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(RowId(row.try_get::<i64, _>(0)?.into()))).collect()
    }

    /// Returns those of an application's rows whose failed events have a time in this range of microseconds.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn failed_within(
        &self,
        app: &str,
        range: std::ops::Range<Option<i64>>,
        rows: &[RowId],
    ) -> Result<BTreeSet<RowId>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT e.row_id FROM ledger_events e JOIN ledger_sources s ON s.id = e.source_id WHERE s.app = ",
        );
        // A value that is not a date is not before any time.
        query.push_bind(app).push(" AND +e.state < 10 AND +e.failed_at > ").push_bind(NO_TIME + 1);
        for (compare, at) in [(">=", range.start), ("<", range.end)] {
            if let Some(at) = at {
                query.push(format!(" AND +e.failed_at {compare} ")).push_bind(at);
            }
        }
        query.push(" AND e.row_id IN (");
        let ids: Vec<i64> = rows.iter().filter_map(|row| i64::try_from(row.0).ok()).collect();
        push_list(&mut query, &ids);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(RowId(row.try_get::<i64, _>(0)?.into()))).collect()
    }

    /// Counts later events of the same record as this failed event, in the same application: those that were resolved,
    /// and those that failed too.
    pub async fn later_of_record(&self, app: &str, row: RowId) -> Result<(u64, u64), StoreError> {
        let Ok(row_id) = i64::try_from(row.0) else { return Ok((0, 0)) };
        let counted = sqlx::query(
            "SELECT COALESCE(SUM(l.state = 11), 0), COALESCE(SUM(l.state < 10), 0) FROM ledger_events e \
             JOIN ledger_sources s ON s.id = e.source_id JOIN ledger_events l \
             ON substr(l.record, -12) = substr(e.record, -12) AND l.record = e.record \
             AND +l.source_id = e.source_id AND l.id <> e.id AND +l.failed_at > e.failed_at \
             WHERE s.app = ? AND e.row_id = ? AND +e.state < 10",
        )
        .bind(app)
        .bind(row_id)
        .fetch_one(&self.pool)
        .await?;
        Ok((count(&counted, 0)?, count(&counted, 1)?))
    }

    /// Returns the failed events of a group in one state, latest first failure first.
    pub async fn group_events(&self, which: GroupEvents, only: Only<'_>) -> Result<Vec<LedgerEvent>, StoreError> {
        let before = match which.before {
            Some(_) => {
                "AND (e.failed_at, e.row_id, e.id) < \
                 (SELECT b.failed_at, b.row_id, b.id FROM ledger_events b JOIN ledger_sources t ON t.id = b.source_id \
                 WHERE b.id = ?3 AND b.fault_id = ?1 AND (?5 IS NULL OR instr(?5, ' ' || t.app || ' ') > 0))"
            }
            None => "AND ?3 IS NULL",
        };
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {EVENT_COLUMNS} {FROM_EVENTS} WHERE e.fault_id = ?1 AND e.state = ?2 {before} \
             AND (?5 IS NULL OR instr(?5, ' ' || s.app || ' ') > 0) \
             ORDER BY e.failed_at DESC, e.row_id DESC, e.id DESC LIMIT ?4"
        )))
        .bind(which.fault)
        .bind(which.state.code())
        .bind(which.before)
        .bind(which.limit)
        .bind(list_of(only))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_event).collect()
    }

    /// Returns how many exhausted failed events of a group a retry cannot help: see [`crate::model::Obstacle`].
    pub async fn beyond_help(&self, fault: i64, only: Only<'_>) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar::<_, i64>(
            "SELECT COUNT(*) FROM ledger_events e JOIN ledger_sources s ON s.id = e.source_id \
             JOIN ledger_feeds f ON f.id = e.feed_id WHERE e.fault_id = ?1 AND e.state = ?2 \
             AND (e.failed_at = ?3 OR TRIM(f.uri) = '') AND (?4 IS NULL OR instr(?4, ' ' || s.app || ' ') > 0)",
        )
        .bind(fault)
        .bind(LifeState::Exhausted.code())
        .bind(NO_TIME)
        .bind(list_of(only))
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Returns every failed event of a group that is in its table, by application, lowest id first. Only keys, so that
    /// a group of a million rows fits into memory.
    pub async fn group_rows(&self, fault: i64, only: Only<'_>) -> Result<Vec<GroupRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT s.app, e.row_id FROM ledger_events e JOIN ledger_sources s ON s.id = e.source_id \
             WHERE e.fault_id = ?1 AND e.state < 10 AND (?2 IS NULL OR instr(?2, ' ' || s.app || ' ') > 0) \
             ORDER BY s.id, e.row_id",
        )
        .bind(fault)
        .bind(list_of(only))
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| Ok(GroupRow { app: row.try_get(0)?, id: RowId(row.try_get::<i64, _>(1)?.into()) }))
            .collect()
    }

    /// Writes a note on a fault, in place of version `seen` (0: not written yet); an empty note deletes it. An
    /// unchanged note is not written again.
    pub async fn write_note(&self, fault: i64, note: &Note, who: &str, seen: i64) -> Result<NoteSaved, StoreError> {
        let Some((version, fingerprint)) = self.fingerprint_of(fault).await? else { return Ok(NoteSaved::NoGroup) };
        let mut transaction = self.begin().await?;
        let newest = sqlx::query(
            "SELECT number, what, todo, looks_after FROM note_versions WHERE version = ? AND fingerprint = ? \
             ORDER BY number DESC LIMIT 1",
        )
        .bind(version)
        .bind(&fingerprint)
        .fetch_optional(&mut *transaction)
        .await?;
        let (number, text) = match newest {
            Some(row) => {
                let text = Note { what: row.try_get(1)?, todo: row.try_get(2)?, looks_after: row.try_get(3)? };
                (row.try_get::<i64, _>(0)?, text)
            }
            None => (0, Note::default()),
        };
        if text == *note {
            return Ok(NoteSaved::Yes);
        }
        if number != seen {
            return Ok(NoteSaved::Conflict);
        }
        let at = clock::now().timestamp_millis();
        sqlx::query(
            "INSERT INTO note_versions (version, fingerprint, number, what, todo, looks_after, who, at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(version)
        .bind(&fingerprint)
        .bind(number + 1)
        .bind(&note.what)
        .bind(&note.todo)
        .bind(&note.looks_after)
        .bind(who)
        .bind(at)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("DELETE FROM note_versions WHERE version = ? AND fingerprint = ? AND number <= ?")
            .bind(version)
            .bind(&fingerprint)
            .bind(number + 1 - NOTE_VERSIONS)
            .execute(&mut *transaction)
            .await?;
        let query = if note.is_empty() {
            sqlx::query("DELETE FROM fault_notes WHERE version = ? AND fingerprint = ?").bind(version).bind(fingerprint)
        } else {
            sqlx::query(
                "INSERT INTO fault_notes (version, fingerprint, what, todo, looks_after, who, at) VALUES (?, ?, ?, ?, ?, ?, ?) \
                 ON CONFLICT (version, fingerprint) DO UPDATE SET what = excluded.what, todo = excluded.todo, \
                 looks_after = excluded.looks_after, who = excluded.who, at = excluded.at",
            )
            .bind(version)
            .bind(fingerprint)
            .bind(&note.what)
            .bind(&note.todo)
            .bind(&note.looks_after)
            .bind(who)
            .bind(at)
        };
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(NoteSaved::Yes)
    }

    /// Returns the versions of the note on a fault before the newest one, newest first.
    pub async fn earlier_notes(&self, fault: i64, limit: u32) -> Result<Vec<WrittenNote>, StoreError> {
        let Some((version, fingerprint)) = self.fingerprint_of(fault).await? else { return Ok(Vec::new()) };
        let rows = sqlx::query(
            "SELECT what, todo, looks_after, who, at FROM note_versions WHERE version = ? AND fingerprint = ? \
             ORDER BY number DESC LIMIT ? OFFSET 1",
        )
        .bind(version)
        .bind(fingerprint)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_note).collect()
    }

    /// Copies notes that were written under older rules to the faults that the present rules make of the old
    /// fingerprints. An existing note is kept. Returns the number of copied notes.
    pub async fn carry_notes_over(&self) -> Result<u64, StoreError> {
        // Version 0 stands for events without an error text.
        self.carry_notes_before(i64::from(fingerprint::VERSION), 1).await
    }

    async fn carry_notes_before(&self, present: i64, from: i64) -> Result<u64, StoreError> {
        let old = sqlx::query(
            "SELECT version, fingerprint FROM fault_notes WHERE version < ? AND version >= ? ORDER BY version DESC, at DESC",
        )
        .bind(present)
        .bind(from)
        .fetch_all(&self.pool)
        .await?;
        let mut carried = 0;
        for row in old {
            let (version, text): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
            let now = fingerprint::of(Some(&text)).text;
            let new = sqlx::query(
                "INSERT INTO fault_notes (version, fingerprint, what, todo, looks_after, who, at) \
                 SELECT ?, ?, what, todo, looks_after, who, at FROM fault_notes WHERE version = ? AND fingerprint = ? \
                 ON CONFLICT (version, fingerprint) DO NOTHING",
            )
            .bind(present)
            .bind(&now)
            .bind(version)
            .bind(&text)
            .execute(&mut *self.writer().await?)
            .await?
            .rows_affected();
            if new > 0 {
                // Its earlier versions are copied, too, after those of a note that was written on the fault and removed
                // since.
                sqlx::query(
                    "INSERT INTO note_versions (version, fingerprint, number, what, todo, looks_after, who, at) \
                     SELECT ?1, ?2, number + (SELECT COALESCE(MAX(number), 0) FROM note_versions \
                     WHERE version = ?1 AND fingerprint = ?2), what, todo, looks_after, who, at \
                     FROM note_versions WHERE version = ?3 AND fingerprint = ?4",
                )
                .bind(present)
                .bind(now)
                .bind(version)
                .bind(text)
                .execute(&mut *self.writer().await?)
                .await?;
            }
            carried += new;
        }
        Ok(carried)
    }

    async fn fingerprint_of(&self, fault: i64) -> Result<Option<(i64, String)>, StoreError> {
        let row = sqlx::query("SELECT version, fingerprint FROM ledger_faults WHERE id = ?")
            .bind(fault)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }

    /// Fills in texts, times, trend and note of a group.
    async fn complete(&self, group: &mut Group, only: Option<&str>, ahead: i32) -> Result<(), StoreError> {
        group.places.sort_by_key(|place| std::cmp::Reverse(place.failed));
        if let Some((version, text)) = self.fingerprint_of(group.fault).await? {
            (group.note, group.note_version) = self.note_on(version, &text).await?;
            group.title = title(&text);
            group.fingerprint = text;
        }
        self.seen(group, only).await?;
        self.trend(group, only, ahead).await
    }

    /// Returns the note on a fault, and the number of its newest version.
    async fn note_on(&self, version: i64, text: &str) -> Result<(Option<WrittenNote>, i64), StoreError> {
        let row = sqlx::query(
            "SELECT what, todo, looks_after, who, at, number FROM note_versions WHERE version = ? AND fingerprint = ? \
             ORDER BY number DESC LIMIT 1",
        )
        .bind(version)
        .bind(text)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok((None, 0)) };
        Ok((Some(read_note(&row)?).filter(|written| !written.note.is_empty()), row.try_get(5)?))
    }

    async fn seen(&self, group: &mut Group, only: Option<&str>) -> Result<(), StoreError> {
        let ends =
            [("MIN", "first_at", "ASC", &mut group.first_seen), ("MAX", "last_at", "DESC", &mut group.last_seen)];
        for (end, column, order, at) in ends {
            // For sums from before these times were stored, only a quarter of an hour is known.
            let of_fault = format!("fault_id = ?1 AND (failed > 0 OR attempts > 0) AND {OF_SOURCES}");
            let millis: Option<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
                "SELECT {end}(COALESCE({column}, quarter * {QUARTER_MS})) FROM ledger_quarters WHERE {of_fault} \
                 AND quarter = (SELECT quarter FROM ledger_quarters WHERE {of_fault} ORDER BY quarter {order} LIMIT 1)"
            )))
            .bind(group.fault)
            .bind(only)
            .fetch_one(&self.pool)
            .await?;
            *at = millis.and_then(DateTime::from_timestamp_millis);
        }
        Ok(())
    }

    async fn trend(&self, group: &mut Group, only: Option<&str>, ahead: i32) -> Result<(), StoreError> {
        let ahead = i64::from(ahead);
        let today = (clock::now().timestamp() + ahead * 60).div_euclid(86_400);
        let first = today - TREND_DAYS as i64 + 1;
        let days = sqlx::query(AssertSqlSafe(format!(
            "SELECT (quarter * 15 + ?4) / 1440, SUM(failed) FROM ledger_quarters \
             WHERE fault_id = ?1 AND quarter >= ?3 AND {OF_SOURCES} GROUP BY 1"
        )))
        .bind(group.fault)
        .bind(only)
        .bind((first * 1440 - ahead + 14).div_euclid(15))
        .bind(ahead)
        .fetch_all(&self.pool)
        .await?;
        let day = |number: i64| DateTime::from_timestamp(number * 86_400, 0).map(|at| at.date_naive());
        group.days = (first..=today).filter_map(day).map(|day| DayCount { day, failures: 0 }).collect();
        for row in days {
            let place = usize::try_from(row.try_get::<i64, _>(0)? - first).ok();
            if let Some(day) = place.and_then(|place| group.days.get_mut(place)) {
                day.failures = count(&row, 1)?;
            }
        }
        Ok(())
    }
}

fn read_note(row: &SqliteRow) -> Result<WrittenNote, StoreError> {
    let note = Note { what: row.try_get(0)?, todo: row.try_get(1)?, looks_after: row.try_get(2)? };
    Ok(WrittenNote { note, who: row.try_get(3)?, at: instant(row.try_get(4)?)? })
}

/// Returns the title of a fingerprint.
fn title(fingerprint: &str) -> String {
    Some(fingerprint::title(fingerprint))
        .filter(|title| !title.trim().is_empty())
        .unwrap_or_else(|| fingerprint::NO_TEXT.to_owned())
}

fn empty(fault: i64) -> Group {
    Group {
        fault,
        fingerprint: String::new(),
        title: fingerprint::NO_TEXT.to_owned(),
        waiting: 0,
        exhausted: 0,
        unknown: 0,
        resolved: 0,
        gone: 0,
        discarded: 0,
        places: Vec::new(),
        first_seen: None,
        last_seen: None,
        days: Vec::new(),
        note: None,
        note_version: 0,
    }
}

/// Adds the count of one feed and state.
fn add(group: &mut Group, row: &SqliteRow) -> Result<(), StoreError> {
    let number = count(row, "n")?;
    let state: i64 = row.try_get("state")?;
    let state = LifeState::from_code(state).ok_or_else(|| StoreError::Content(format!("the state {state}")))?;
    *match state {
        LifeState::Waiting => &mut group.waiting,
        LifeState::Exhausted => &mut group.exhausted,
        LifeState::Unknown => &mut group.unknown,
        LifeState::Resolved => &mut group.resolved,
        LifeState::Gone => &mut group.gone,
        LifeState::Discarded => &mut group.discarded,
    } += number;
    if state.is_open() {
        let (app, uri): (String, String) = (row.try_get("app")?, row.try_get("uri")?);
        let feed_uri = Some(uri).filter(|uri| !uri.is_empty());
        match group.places.iter_mut().find(|place| place.app == app && place.feed_uri == feed_uri) {
            Some(place) => place.failed += number,
            None => group.places.push(GroupPlace { app, feed_uri, failed: number }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inserts a fault as the ledger does; returns its id.
    async fn fault(store: &Store, version: i64, text: &str) -> i64 {
        sqlx::query("INSERT INTO ledger_faults (version, fingerprint) VALUES (?, ?) RETURNING id")
            .bind(version)
            .bind(text)
            .fetch_one(&store.pool)
            .await
            .unwrap()
            .get(0)
    }

    #[tokio::test]
    async fn the_days_of_a_group_are_those_of_the_reader() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        let group = fault(&store, fingerprint::VERSION.into(), "Bad response").await;
        // 18:15 is midnight in Kathmandu, 18:30 in Kolkata, 22:00 in Cairo.
        let day = clock::now().timestamp().div_euclid(86_400) - 2;
        for quarter in [73, 92] {
            sqlx::query(
                "INSERT INTO ledger_quarters (source_id, feed_id, fault_id, quarter, failed) VALUES (1, 1, ?, ?, 1)",
            )
            .bind(group)
            .bind(day * 96 + quarter)
            .execute(&store.pool)
            .await
            .unwrap();
        }
        let date = |day: i64| DateTime::from_timestamp(day * 86_400, 0).unwrap().date_naive();
        let days = async |ahead| {
            let days = store.group(group, None, ahead).await.unwrap().unwrap().days;
            assert_eq!(days.len(), TREND_DAYS);
            days.into_iter().filter(|day| day.failures > 0).map(|day| (day.day, day.failures)).collect::<Vec<_>>()
        };
        assert_eq!(days(0).await, [(date(day), 2)]);
        assert_eq!(days(330).await, [(date(day), 1), (date(day + 1), 1)]);
        assert_eq!(days(345).await, [(date(day + 1), 2)]);
        assert_eq!(days(120).await, [(date(day), 1), (date(day + 1), 1)]);
        assert_eq!(days(-600).await, [(date(day), 2)]);
    }

    #[tokio::test]
    async fn a_note_follows_its_fault_to_newer_rules() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        // Older rules did not replace the uuid.
        let text = "Patient with uuid '…' not found in ELIS";
        let present = fault(&store, fingerprint::VERSION.into(), text).await;
        for statement in [
            "INSERT INTO fault_notes VALUES (?, ?, 'late patients', '', 'support', 'asha', 1000)",
            "INSERT INTO note_versions VALUES (?, ?, 1, 'patients', '', '', 'ravi', 500)",
            "INSERT INTO note_versions VALUES (?, ?, 2, 'late patients', '', 'support', 'asha', 1000)",
        ] {
            sqlx::query(statement)
                .bind(i64::from(fingerprint::VERSION) - 1)
                .bind("Patient with uuid '4417ab02-77aa-4be1-9c40-90fe11d0c2a7' not found in ELIS")
                .execute(&store.pool)
                .await
                .unwrap();
        }
        let carried = store.carry_notes_before(i64::from(fingerprint::VERSION), 0).await.unwrap();
        assert_eq!(carried, 1);
        let group = store.group(present, None, 0).await.unwrap().unwrap();
        assert_eq!(
            group.note.map(|written| (written.note.what, written.who)),
            Some(("late patients".into(), "asha".into()))
        );
        assert_eq!(group.note_version, 2);
        assert_eq!(store.earlier_notes(present, 9).await.unwrap()[0].note.what, "patients");
        // A note that was written since is kept.
        assert_eq!(store.write_note(present, &Note::typed("mine", "", ""), "ravi", 2).await.unwrap(), NoteSaved::Yes);
        assert_eq!(store.carry_notes_before(i64::from(fingerprint::VERSION), 0).await.unwrap(), 0);
        assert_eq!(store.group(present, None, 0).await.unwrap().unwrap().note.unwrap().note.what, "mine");
        assert_eq!(store.carry_notes_over().await.unwrap(), 0, "version 0 stands for no text");
        let nowhere = store.write_note(77, &Note::typed("x", "", ""), "ravi", 0).await.unwrap();
        assert_eq!(nowhere, NoteSaved::NoGroup);
    }

    #[tokio::test]
    async fn a_note_is_written_over_the_version_that_was_seen_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        let group = fault(&store, fingerprint::VERSION.into(), "Bad response").await;
        let write = async |what: &str, who: &str, seen: i64| {
            store.write_note(group, &Note::typed(what, "", ""), who, seen).await.unwrap()
        };
        assert_eq!(write("first", "asha", 0).await, NoteSaved::Yes);
        assert_eq!(write("hers", "asha", 1).await, NoteSaved::Yes);
        assert_eq!(write("his", "ravi", 1).await, NoteSaved::Conflict);
        assert_eq!(write("", "ravi", 1).await, NoteSaved::Conflict, "an empty form takes nothing away either");
        assert_eq!(write("hers", "ravi", 1).await, NoteSaved::Yes, "what is there already is no conflict");
        let noted = store.group(group, None, 0).await.unwrap().unwrap();
        assert_eq!((noted.note.unwrap().note.what.as_str(), noted.note_version), ("hers", 2));
        assert_eq!(write("", "ravi", 2).await, NoteSaved::Yes);
        let noted = store.group(group, None, 0).await.unwrap().unwrap();
        assert_eq!((noted.note, noted.note_version), (None, 3));
        for number in 3..60 {
            assert_eq!(write(&format!("version {number}"), "asha", number).await, NoteSaved::Yes);
        }
        let earlier = store.earlier_notes(group, 100).await.unwrap();
        assert_eq!(earlier.len() as i64, NOTE_VERSIONS - 1);
        assert_eq!(earlier[0].note.what, "version 58");
    }
}
