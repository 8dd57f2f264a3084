//! The audit log in the store: a chain of entries that is only appended to.
//!
//! Each entry is written in a transaction that takes the write lock before it reads the newest entry. So there is one
//! writer at a time, even if two processes have the file open, and the chain never forks.

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::{Connection as _, QueryBuilder, Row as _, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::{Store, StoreError, instant};
use crate::model::{
    audit::{AuditEntry, AuditFilter, AuditKind, AuditOutcome},
    filter::searched,
};

/// An entry about to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub who: String,
    pub signed_in_by: String,
    pub address: String,
    pub kind: AuditKind,
    pub app: Option<String>,
    pub what: String,
    pub reason: Option<String>,
    pub outcome: AuditOutcome,
    pub action: Option<i64>,
}

/// Result of verifying the whole chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Entries verified.
    pub entries: u64,
    /// The last entry that was removed because of its age; 0 if none was.
    pub removed_up_to: i64,
    /// Number and hash of the newest entry.
    pub newest: (i64, String),
    /// The first fault in words; `None` if the chain is intact.
    pub broken: Option<String>,
}

const COLUMNS: &str = "sequence, at, who, signed_in_by, address, kind, app, what, reason, outcome, action_id, hash";

impl Store {
    /// Appends an entry to the chain.
    pub async fn append_audit(&self, entry: &Entry) -> Result<AuditEntry, StoreError> {
        let mut transaction = self.begin().await?;
        let written = append(&mut transaction, entry).await?;
        transaction.commit().await?;
        Ok(written)
    }

    /// Like [`Store::append_audit`], but the entry gets to the disk with the next write that must be there.
    pub async fn append_audit_quickly(&self, entry: &Entry) -> Result<(), StoreError> {
        let mut writer = self.quick().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        append(&mut transaction, entry).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Returns the entries between two numbers, in the order of the chain.
    pub async fn audit_between(&self, after: i64, before: i64) -> Result<Vec<AuditEntry>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM audit_entries WHERE sequence > ? AND sequence < ? ORDER BY sequence LIMIT 10000"
        )))
        .bind(after)
        .bind(before)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_entry).collect()
    }

    /// Returns the number of the newest entry with another sign-in mode than this; 0 if there is none.
    pub async fn newest_audit_but_of(&self, signed_in_by: &str) -> Result<i64, StoreError> {
        // Newest first, so that a long log is not scanned.
        let newest: Option<i64> = sqlx::query_scalar(
            "SELECT sequence FROM audit_entries WHERE +signed_in_by <> ? ORDER BY sequence DESC LIMIT 1",
        )
        .bind(signed_in_by)
        .fetch_optional(&self.pool)
        .await?;
        Ok(newest.unwrap_or_default())
    }

    /// Removes the entries at the beginning of the chain that are older than `cutoff`, and records that with `entry`,
    /// whose `what` is set here. The end to which the rest is chained is kept. Returns the new entry; `None` if there
    /// was nothing to remove.
    pub async fn remove_old_audit(
        &self,
        cutoff: DateTime<Utc>,
        mut entry: Entry,
    ) -> Result<Option<AuditEntry>, StoreError> {
        let mut transaction = self.begin().await?;
        // Up to the first entry to be kept: a clock that was once wrong causes no gap.
        let last: Option<i64> = sqlx::query_scalar(
            "SELECT COALESCE((SELECT MIN(sequence) FROM audit_entries WHERE at >= ?) - 1, MAX(sequence)) FROM audit_entries",
        )
        .bind(cutoff.timestamp_millis())
        .fetch_one(&mut *transaction)
        .await?;
        let removed: i64 = sqlx::query_scalar("SELECT sequence FROM audit_ends WHERE which = 'removed'")
            .fetch_one(&mut *transaction)
            .await?;
        let Some(last) = last.filter(|last| *last > removed) else { return Ok(None) };
        sqlx::query(
            "UPDATE audit_ends SET sequence = ?1, hash = (SELECT hash FROM audit_entries WHERE sequence = ?1) \
             WHERE which = 'removed'",
        )
        .bind(last)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("DELETE FROM audit_entries WHERE sequence <= ?").bind(last).execute(&mut *transaction).await?;
        entry.what = format!("entries {} to {last}", removed + 1);
        let written = append(&mut transaction, &entry).await?;
        transaction.commit().await?;
        Ok(Some(written))
    }

    /// Returns matching entries, newest first: at most `limit` with a sequence below `before`.
    pub async fn audit_entries(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {COLUMNS} FROM audit_entries WHERE sequence < "));
        query.push_bind(before.unwrap_or(i64::MAX));
        if let Some(who) = &filter.who {
            query.push(" AND who = ").push_bind(who);
        }
        if let Some(kind) = filter.kind {
            query.push(" AND kind = ").push_bind(kind.word());
        }
        if let Some(app) = &filter.app {
            query.push(" AND app = ").push_bind(app);
        }
        if let Some(only) = &filter.only {
            // An entry about no single application can name other applications.
            query.push(" AND app IN (");
            let mut keys = query.separated(", ");
            for key in only {
                keys.push_bind(key);
            }
            query.push(")");
        }
        if let Some(from) = filter.from {
            query.push(" AND at >= ").push_bind(from.timestamp_millis());
        }
        if let Some(until) = filter.until {
            query.push(" AND at < ").push_bind(until.timestamp_millis());
        }
        if let Some(text) = &filter.text {
            query
                .push(" AND instr(lower(what || ' ' || COALESCE(reason, '') || ' ' || address || ' ' || who), lower(")
                .push_bind(searched(text).into_owned())
                .push(")) > 0");
        }
        query.push(" ORDER BY sequence DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(read_entry).collect()
    }

    /// Returns the names in the log, for the filter form: at most `limit`, in alphabetical order.
    pub async fn audit_names(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        let names = "SELECT DISTINCT who FROM audit_entries WHERE who <> '' ORDER BY who LIMIT ?";
        Ok(sqlx::query_scalar(names).bind(limit).fetch_all(&self.pool).await?)
    }

    /// Verifies the whole chain, from the oldest remaining entry to the newest. `known`: number and hash of an entry
    /// that were noted elsewhere; the chain must contain exactly these.
    pub async fn verify_audit(&self, known: Option<(i64, &str)>) -> Result<Verdict, StoreError> {
        // One snapshot of the file, so that entries written meanwhile do not look like faults.
        let mut transaction = self.pool.begin().await?;
        let (removed_up_to, mut hash) = end(&mut transaction, "removed").await?;
        let newest = end(&mut transaction, "newest").await?;
        let mut verdict = Verdict { entries: 0, removed_up_to, newest: newest.clone(), broken: None };
        let mut sequence = removed_up_to;
        let mut known_seen = known.is_none_or(|(number, noted)| number == sequence && noted == hash);
        let all = format!("SELECT {COLUMNS} FROM audit_entries ORDER BY sequence");
        {
            let mut rows = sqlx::query(sqlx::AssertSqlSafe(all)).fetch(&mut *transaction);
            while let Some(row) = rows.try_next().await? {
                let found: i64 = row.try_get("sequence")?;
                if found != sequence + 1 {
                    let gap = format!("After entry {sequence}, entry {} is missing: the next is {found}", sequence + 1);
                    verdict.broken = Some(gap);
                    return Ok(verdict);
                }
                // A column of another type or an invalid time is a change like any other.
                let entry = match read_entry(&row) {
                    Ok(entry) => entry,
                    Err(error) => {
                        verdict.broken = Some(format!("Entry {found} cannot be read: {error}"));
                        return Ok(verdict);
                    }
                };
                if hash_of(&hash, &entry) != entry.hash {
                    verdict.broken =
                        Some(format!("Entry {found} was changed, or one before it: its hash does not fit"));
                    return Ok(verdict);
                }
                if let Some((number, noted)) = known
                    && number == found
                {
                    known_seen = noted == entry.hash;
                }
                (sequence, hash) = (found, entry.hash);
                verdict.entries += 1;
            }
        }
        if (sequence, &hash) != (newest.0, &newest.1) {
            verdict.broken =
                Some(format!("The log ends with entry {sequence}, but entry {} had been written", newest.0));
        } else if let Some((number, _)) = known
            && !known_seen
        {
            verdict.broken = Some(if number < removed_up_to {
                format!("Entry {number} was removed because of its age, so it cannot be compared any more")
            } else {
                format!("Entry {number} is not there with the hash that was noted")
            });
        }
        Ok(verdict)
    }
}

async fn end(connection: &mut SqliteConnection, which: &str) -> Result<(i64, String), StoreError> {
    let row = sqlx::query("SELECT sequence, hash FROM audit_ends WHERE which = ?")
        .bind(which)
        .fetch_one(&mut *connection)
        .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Appends an entry; the caller's transaction holds the write lock.
async fn append(connection: &mut SqliteConnection, new: &Entry) -> Result<AuditEntry, StoreError> {
    let (newest, previous) = end(connection, "newest").await?;
    let mut entry = AuditEntry {
        sequence: newest + 1,
        at: instant(Utc::now().timestamp_millis())?,
        who: new.who.clone(),
        signed_in_by: new.signed_in_by.clone(),
        address: new.address.clone(),
        kind: new.kind.word().to_owned(),
        app: new.app.clone(),
        what: new.what.clone(),
        reason: new.reason.clone(),
        outcome: new.outcome.word().to_owned(),
        action: new.action,
        hash: String::new(),
    };
    entry.hash = hash_of(&previous, &entry);
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "INSERT INTO audit_entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )))
    .bind(entry.sequence)
    .bind(entry.at.timestamp_millis())
    .bind(&entry.who)
    .bind(&entry.signed_in_by)
    .bind(&entry.address)
    .bind(&entry.kind)
    .bind(&entry.app)
    .bind(&entry.what)
    .bind(&entry.reason)
    .bind(&entry.outcome)
    .bind(entry.action)
    .bind(&entry.hash)
    .execute(&mut *connection)
    .await?;
    Ok(entry)
}

/// Returns the hash of an entry, as hexadecimal digits: SHA-256 over the netstrings (`<bytes>:<text>,`) of the previous
/// hash and of every field in the order of the table, numbers in decimal digits, in UTF-8. A NULL field is `-`.
///
/// The lengths make it unambiguous: no text can be moved from one field to the next.
fn hash_of(previous: &str, entry: &AuditEntry) -> String {
    let mut digest = Sha256::new();
    let mut field = |text: Option<&str>| match text {
        Some(text) => {
            digest.update(format!("{}:", text.len()));
            digest.update(text);
            digest.update(",");
        }
        None => digest.update("-"),
    };
    field(Some(previous));
    field(Some(&entry.sequence.to_string()));
    field(Some(&entry.at.timestamp_millis().to_string()));
    field(Some(&entry.who));
    field(Some(&entry.signed_in_by));
    field(Some(&entry.address));
    field(Some(&entry.kind));
    field(entry.app.as_deref());
    field(Some(&entry.what));
    field(entry.reason.as_deref());
    field(Some(&entry.outcome));
    field(entry.action.map(|action| action.to_string()).as_deref());
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_entry(row: &SqliteRow) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        sequence: row.try_get("sequence")?,
        at: instant(row.try_get("at")?)?,
        who: row.try_get("who")?,
        signed_in_by: row.try_get("signed_in_by")?,
        address: row.try_get("address")?,
        kind: row.try_get("kind")?,
        app: row.try_get("app")?,
        what: row.try_get("what")?,
        reason: row.try_get("reason")?,
        outcome: row.try_get("outcome")?,
        action: row.try_get("action_id")?,
        hash: row.try_get("hash")?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chrono::TimeDelta;

    use super::*;

    /// The hash to which the very first entry is chained; the migration writes it.
    const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn entry(what: &str) -> Entry {
        Entry {
            who: "asha".into(),
            signed_in_by: "account".into(),
            address: "10.1.2.3".into(),
            kind: AuditKind::Retried,
            app: Some("odoo".into()),
            what: what.into(),
            reason: Some("Odoo is back".into()),
            outcome: AuditOutcome::Begun,
            action: Some(7),
        }
    }

    async fn store(path: &Path) -> Store {
        Store::open(path).await.unwrap()
    }

    async fn with_entries(number: usize) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder.path().join("console.db")).await;
        for number in 1..=number {
            store.append_audit(&entry(&format!("row {number}"))).await.unwrap();
        }
        (folder, store)
    }

    /// Changes the log as an attacker with the file would, without its triggers.
    async fn tamper(store: &Store, sql: &'static str) {
        let mut connection = store.pool.acquire().await.unwrap();
        sqlx::raw_sql(
            "DROP TRIGGER audit_entries_do_not_change; DROP TRIGGER audit_entries_stay; DROP TRIGGER audit_ends_move_forward;",
        )
        .execute(&mut *connection)
        .await
        .unwrap();
        sqlx::raw_sql(sql).execute(&mut *connection).await.unwrap();
    }

    #[tokio::test]
    async fn an_untouched_log_is_whole() {
        let (_folder, store) = with_entries(0).await;
        let empty = store.verify_audit(None).await.unwrap();
        assert_eq!(empty, Verdict { entries: 0, removed_up_to: 0, newest: (0, NO_HASH.into()), broken: None });
        let first = store.append_audit(&entry("row 1")).await.unwrap();
        let second = store.append_audit(&entry("row 2")).await.unwrap();
        let verdict = store.verify_audit(Some((first.sequence, &first.hash))).await.unwrap();
        assert_eq!((verdict.entries, verdict.newest, verdict.broken), (2, (2, second.hash), None));
    }

    /// The documented encoding, computed by hand once: `printf … | sha256sum`.
    #[test]
    fn anybody_can_make_the_hash_again() {
        let entry = AuditEntry {
            sequence: 1,
            at: DateTime::from_timestamp_millis(1_764_000_000_123).unwrap(),
            who: "Ashā".into(),
            signed_in_by: "account".into(),
            address: "::1".into(),
            kind: "retry".into(),
            app: None,
            what: "1 failed event".into(),
            reason: Some(String::new()),
            outcome: "done".into(),
            action: Some(7),
            hash: String::new(),
        };
        let encoded = format!(
            "64:{NO_HASH},1:1,13:1764000000123,5:Ashā,7:account,3:::1,5:retry,-14:1 failed event,0:,4:done,1:7,"
        );
        let expected: String = Sha256::digest(encoded).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash_of(NO_HASH, &entry), expected);
    }

    #[tokio::test]
    async fn a_change_a_gap_and_a_missing_end_are_found() {
        for (sql, found) in [
            ("UPDATE audit_entries SET who = 'nobody' WHERE sequence = 3", "Entry 3 was changed"),
            ("UPDATE audit_entries SET reason = NULL WHERE sequence = 1", "Entry 1 was changed"),
            ("UPDATE audit_entries SET what = what || reason, reason = '' WHERE sequence = 2", "Entry 2 was changed"),
            ("UPDATE audit_entries SET at = 9223372036854775807 WHERE sequence = 2", "Entry 2 cannot be read"),
            ("DELETE FROM audit_entries WHERE sequence = 3", "entry 3 is missing"),
            ("DELETE FROM audit_entries WHERE sequence <= 2", "entry 1 is missing"),
            ("DELETE FROM audit_entries WHERE sequence = 5", "ends with entry 4, but entry 5 had been written"),
            ("DELETE FROM audit_entries", "ends with entry 0, but entry 5 had been written"),
            (
                "UPDATE audit_ends SET sequence = 2 WHERE which = 'removed'; DELETE FROM audit_entries WHERE sequence <= 2",
                "Entry 3 was changed, or one before it",
            ),
        ] {
            let (_folder, store) = with_entries(5).await;
            tamper(&store, sql).await;
            let broken = store.verify_audit(None).await.unwrap().broken.unwrap_or_default();
            assert!(broken.contains(found), "{sql}: {broken:?}");
        }
    }

    /// An attacker with the file can make a whole new chain; a hash noted elsewhere reveals that.
    #[tokio::test]
    async fn a_chain_made_anew_does_not_hold_what_was_noted() {
        let (_folder, store) = with_entries(2).await;
        let noted = store.audit_entries(&AuditFilter::default(), None, 1).await.unwrap().remove(0);
        let (_other, forged) = with_entries(3).await;
        assert_eq!(forged.verify_audit(None).await.unwrap().broken, None);
        let broken = forged.verify_audit(Some((2, &noted.hash))).await.unwrap().broken.unwrap();
        assert!(broken.starts_with("Entry 2 is not there with the hash"), "{broken}");
        let later = store.verify_audit(Some((9, &noted.hash))).await.unwrap().broken;
        assert!(later.is_some(), "an entry that is not there at all");
    }

    #[tokio::test]
    async fn nothing_can_be_changed_through_sql() {
        let (_folder, store) = with_entries(3).await;
        for sql in [
            "UPDATE audit_entries SET who = 'nobody'",
            "DELETE FROM audit_entries",
            "DELETE FROM audit_entries WHERE sequence = 1",
            "INSERT OR REPLACE INTO audit_entries SELECT * FROM audit_entries WHERE sequence = 2",
            "INSERT INTO audit_entries SELECT 9, at, who, signed_in_by, address, kind, app, what, reason, outcome, action_id, hash FROM audit_entries WHERE sequence = 2",
            "UPDATE audit_ends SET sequence = 0 WHERE which = 'newest'",
            "UPDATE audit_ends SET sequence = 2 WHERE which = 'removed'",
            "DELETE FROM audit_ends",
        ] {
            assert!(sqlx::query(sql).execute(&store.pool).await.is_err(), "{sql}");
        }
        assert_eq!(store.verify_audit(None).await.unwrap().broken, None);
    }

    #[tokio::test]
    async fn old_entries_go_and_the_rest_stays_verifiable() {
        let (_folder, store) = with_entries(4).await;
        let removal = Entry { kind: AuditKind::EntriesRemoved, ..entry("") };
        let long_ago = Utc::now() - TimeDelta::days(1);
        assert_eq!(store.remove_old_audit(long_ago, removal.clone()).await.unwrap(), None);
        let soon = Utc::now() + TimeDelta::days(1);
        let written = store.remove_old_audit(soon, removal.clone()).await.unwrap().unwrap();
        assert_eq!((written.sequence, written.what.as_str()), (5, "entries 1 to 4"));
        store.append_audit(&entry("row 6")).await.unwrap();
        let verdict = store.verify_audit(None).await.unwrap();
        assert_eq!((verdict.entries, verdict.removed_up_to, verdict.broken), (2, 4, None));
        let gone = store.verify_audit(Some((2, NO_HASH))).await.unwrap().broken.unwrap();
        assert!(gone.contains("because of its age"), "{gone}");
    }

    #[tokio::test]
    async fn two_consoles_on_one_file_write_one_chain() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        let stores = [store(&path).await, store(&path).await];
        let writers = (0..8).map(|number: usize| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    store.append_audit(&entry("at once")).await.unwrap();
                }
            })
        });
        for writer in futures::future::join_all(writers).await {
            writer.unwrap();
        }
        let verdict = stores[0].verify_audit(None).await.unwrap();
        assert_eq!((verdict.entries, verdict.broken), (80, None));
    }

    #[tokio::test]
    async fn it_is_searched_by_person_kind_application_time_and_text_and_paged_by_key() {
        let (_folder, store) = with_entries(3).await;
        let seen = Entry {
            kind: AuditKind::PayloadViewed,
            app: None,
            reason: None,
            who: "bikash".into(),
            ..entry("event 42%")
        };
        store.append_audit(&seen).await.unwrap();
        let found = async |filter: AuditFilter| -> Vec<i64> {
            store.audit_entries(&filter, None, 10).await.unwrap().iter().map(|entry| entry.sequence).collect()
        };
        let any = AuditFilter::default;
        assert_eq!(found(any()).await, [4, 3, 2, 1]);
        assert_eq!(found(AuditFilter { who: Some("bikash".into()), ..any() }).await, [4]);
        assert_eq!(found(AuditFilter { kind: Some(AuditKind::Retried), ..any() }).await, [3, 2, 1]);
        assert_eq!(found(AuditFilter { app: Some("odoo".into()), ..any() }).await, [3, 2, 1]);
        // An entry about no single application can name other applications.
        assert_eq!(found(AuditFilter { only: Some(["odoo".to_owned()].into()), ..any() }).await, [3, 2, 1]);
        assert_eq!(found(AuditFilter { only: Some(Default::default()), ..any() }).await, [0; 0]);
        assert_eq!(found(AuditFilter { text: Some("ODOO IS".into()), ..any() }).await, [3, 2, 1]);
        assert_eq!(found(AuditFilter { text: Some("2%".into()), ..any() }).await, [4], "a % is a character");
        let hour = TimeDelta::hours(1);
        assert_eq!(found(AuditFilter { from: Some(Utc::now() + hour), ..any() }).await, [0; 0]);
        assert_eq!(found(AuditFilter { until: Some(Utc::now() - hour), ..any() }).await, [0; 0]);
        let page = store.audit_entries(&any(), Some(3), 1).await.unwrap();
        assert_eq!(page.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [2]);
        assert_eq!(store.audit_names(10).await.unwrap(), ["asha", "bikash"]);
    }

    #[tokio::test]
    async fn a_log_that_is_being_written_verifies() {
        let (_folder, store) = with_entries(3).await;
        let mut connection = store.pool.acquire().await.unwrap();
        let mut writing = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        append(&mut writing, &entry("not yet there")).await.unwrap();
        assert_eq!(store.verify_audit(None).await.unwrap().entries, 3);
        writing.commit().await.unwrap();
        assert_eq!(store.verify_audit(None).await.unwrap().entries, 4);
    }
}
