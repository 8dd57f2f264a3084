//! What is currently wrong in the demo hospital: kept in a separate database, so that it continues after a restart.
//!
//! A trouble is a fault that applies for a while: to everything (Odoo is down), or to certain records (these tests are
//! not set up). It ends by itself, or when a user fixes it on the demo's page. This module does not touch the databases
//! of the four systems.

use std::{collections::BTreeMap, path::Path, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{
    Row, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow},
};

use super::{
    faults::Fault,
    records::{Example, Station},
};
use atomfeed::sqlite_pool;

const SCHEMA: &str = "
    -- What the hospital was made from, so that a database that is missing is made to fit the others.
    CREATE TABLE IF NOT EXISTS hospital (
        seed integer NOT NULL, events integer NOT NULL, made_at integer NOT NULL);
    CREATE TABLE IF NOT EXISTS troubles (
        id integer PRIMARY KEY AUTOINCREMENT, fault text NOT NULL, began_at integer NOT NULL,
        -- When it ends by itself.
        until integer,
        -- When a person ended it.
        ended_at integer,
        -- How many more records it will catch; without any, and without records, it is of everything.
        catches integer NOT NULL DEFAULT 0, everything integer NOT NULL);
    CREATE TABLE IF NOT EXISTS trouble_records (
        trouble integer NOT NULL REFERENCES troubles (id), record text NOT NULL,
        -- The record that has to come through before this one can.
        needs text,
        PRIMARY KEY (record, trouble)) WITHOUT ROWID;
    -- Records whose way a person can follow.
    CREATE TABLE IF NOT EXISTS examples (id integer PRIMARY KEY, station text NOT NULL, number text NOT NULL);";

/// The troubles, and the options the hospital was made with. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Troubles {
    pool: SqlitePool,
}

/// A trouble to start.
#[derive(Clone, Debug)]
pub(super) struct New {
    pub fault: Fault,
    pub began_at: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
    pub scope: Scope,
}

/// What a trouble applies to.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    Everything,
    /// These records, each with the record that it waits for, if any.
    Records(Vec<(String, Option<String>)>),
    /// This number of the next records.
    Next(i64),
}

/// A current trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub id: i64,
    pub fault: Fault,
    pub began_at: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
    /// Number of records it applies to; `None`: everything.
    pub records: Option<u64>,
    /// Number of records it will still catch.
    pub catches: u64,
}

/// A trouble that blocks a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub trouble: i64,
    pub fault: Fault,
    /// The record is unblocked as soon as this one has succeeded.
    pub needs: Option<String>,
    /// The record does not belong to the trouble yet, but the trouble would catch it.
    caught_now: bool,
}

impl Troubles {
    /// Opens the file, and creates it if it is missing.
    pub async fn open(file: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(10));
        let pool = sqlite_pool().connect_with(options).await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        Ok(Self { pool })
    }

    /// Returns the options the hospital was made with, if it was: seed, events, time.
    pub async fn made_from(&self) -> Result<Option<(u64, u32, DateTime<Utc>)>, sqlx::Error> {
        let row: Option<(i64, u32, i64)> =
            sqlx::query_as("SELECT seed, events, made_at FROM hospital").fetch_optional(&self.pool).await?;
        Ok(row.map(|(seed, events, at)| (seed.cast_unsigned(), events, time(at))))
    }

    /// Stores the options the hospital is made with (seed, events, time), its first troubles and its examples: all or
    /// nothing.
    pub async fn found(
        &self,
        (seed, events, at): (u64, u32, DateTime<Utc>),
        first: &[New],
        examples: &[Example],
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        for trouble in first {
            begin(&mut transaction, trouble).await?;
        }
        for example in examples {
            sqlx::query("INSERT INTO examples (station, number) VALUES (?, ?)")
                .bind(example.station.word())
                .bind(&example.number)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query("INSERT INTO hospital (seed, events, made_at) VALUES (?, ?, ?)")
            .bind(seed.cast_signed())
            .bind(events)
            .bind(at.timestamp_millis())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// Returns the records whose way a user can follow.
    pub async fn examples(&self) -> Result<Vec<Example>, sqlx::Error> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT station, number FROM examples ORDER BY id").fetch_all(&self.pool).await?;
        let example = |(word, number): (String, String)| Some(Example { station: Station::of_word(&word)?, number });
        Ok(rows.into_iter().filter_map(example).collect())
    }

    /// Returns the records that a trouble applies to.
    pub async fn records(&self, trouble: i64) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT record FROM trouble_records WHERE trouble = ?")
            .bind(trouble)
            .fetch_all(&self.pool)
            .await
    }

    /// Starts a trouble; returns its number.
    pub async fn begin(&self, trouble: &New) -> Result<i64, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let id = begin(&mut transaction, trouble).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Ends a trouble; returns false if no current trouble has this number.
    pub async fn end(&self, id: i64, now: DateTime<Utc>) -> Result<bool, sqlx::Error> {
        let ended = sqlx::query(
            "UPDATE troubles SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL AND ifnull(until, ?2 + 1) > ?2",
        )
        .bind(id)
        .bind(now.timestamp_millis())
        .execute(&self.pool)
        .await?;
        Ok(ended.rows_affected() > 0)
    }

    /// Returns the current troubles, oldest first, without those whose records have all succeeded.
    pub async fn standing(&self, now: DateTime<Utc>) -> Result<Vec<Standing>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT id, fault, began_at, until, everything, catches,
                (SELECT count(*) FROM trouble_records r WHERE r.trouble = t.id) AS records
             FROM troubles t
             WHERE ended_at IS NULL AND ifnull(until, ?1 + 1) > ?1 AND (everything OR catches > 0 OR records > 0)
             ORDER BY began_at, id",
        )
        .bind(now.timestamp_millis())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().filter_map(|row| standing(row).transpose()).collect()
    }

    /// Returns the first trouble that blocks this record and for whose fault `shows` is true. A trouble that catches
    /// the next records and catches this one holds it from now on. It does not catch records that another trouble has
    /// held: otherwise a user who fixes a cause would not see the retry succeed.
    pub async fn against(
        &self,
        record: &str,
        now: DateTime<Utc>,
        shows: impl Fn(Fault) -> bool,
    ) -> Result<Option<Hit>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT t.id, t.fault, r.needs, r.record IS NULL AND NOT t.everything AS caught_now
             FROM troubles t LEFT JOIN trouble_records r ON r.trouble = t.id AND r.record = ?2
             WHERE t.ended_at IS NULL AND ifnull(t.until, ?1 + 1) > ?1
                AND (t.everything OR r.record IS NOT NULL OR (t.catches > 0
                    AND NOT EXISTS (SELECT 1 FROM trouble_records before WHERE before.record = ?2)))
             ORDER BY caught_now, t.id",
        )
        .bind(now.timestamp_millis())
        .bind(record)
        .fetch_all(&self.pool)
        .await?;
        for row in &rows {
            let Some(fault) = Fault::of_word(row.try_get("fault")?).filter(|fault| shows(*fault)) else { continue };
            let hit = Hit {
                trouble: row.try_get("id")?,
                fault,
                needs: row.try_get("needs")?,
                caught_now: row.try_get("caught_now")?,
            };
            if !hit.caught_now || self.catch(hit.trouble, record).await? {
                return Ok(Some(hit));
            }
        }
        Ok(None)
    }

    /// Adds a record to a trouble that catches the next ones; returns false if it catches no more.
    async fn catch(&self, trouble: i64, record: &str) -> Result<bool, sqlx::Error> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let taken = sqlx::query("UPDATE troubles SET catches = catches - 1 WHERE id = ? AND catches > 0")
            .bind(trouble)
            .execute(&mut *transaction)
            .await?;
        if taken.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("INSERT OR IGNORE INTO trouble_records (trouble, record) VALUES (?, ?)")
            .bind(trouble)
            .bind(record)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Records that a record does not wait for another one any more: the other one has arrived.
    pub async fn came_through(&self, record: &str, needed: &str) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM trouble_records WHERE record = ? AND needs = ?")
            .bind(record)
            .bind(needed)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Records that a fault does not apply to a record any more.
    pub async fn spare(&self, fault: Fault, record: &str) -> Result<(), sqlx::Error> {
        let delete =
            "DELETE FROM trouble_records WHERE record = ? AND trouble IN (SELECT id FROM troubles WHERE fault = ?)";
        sqlx::query(delete).bind(record).bind(fault.story().word).execute(&self.pool).await.map(drop)
    }

    /// Closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

async fn begin(connection: &mut SqliteConnection, new: &New) -> Result<i64, sqlx::Error> {
    let catches = if let Scope::Next(catches) = new.scope { catches } else { 0 };
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO troubles (fault, began_at, until, catches, everything) VALUES (?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(new.fault.story().word)
    .bind(new.began_at.timestamp_millis())
    .bind(new.until.map(|until| until.timestamp_millis()))
    .bind(catches)
    .bind(matches!(new.scope, Scope::Everything))
    .fetch_one(&mut *connection)
    .await?;
    if let Scope::Records(records) = &new.scope {
        // One row per record: a record that waits for two others waits for the first.
        let distinct: BTreeMap<_, _> = records.iter().rev().map(|(record, needs)| (record, needs)).collect();
        for (record, needs) in distinct {
            sqlx::query("INSERT INTO trouble_records (trouble, record, needs) VALUES (?, ?, ?)")
                .bind(id)
                .bind(record)
                .bind(needs)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(id)
}

/// `None` for a fault of another version of the demo.
fn standing(row: &SqliteRow) -> Result<Option<Standing>, sqlx::Error> {
    let Some(fault) = Fault::of_word(row.try_get("fault")?) else { return Ok(None) };
    let everything: bool = row.try_get("everything")?;
    let records: i64 = row.try_get("records")?;
    let catches: i64 = row.try_get("catches")?;
    Ok(Some(Standing {
        id: row.try_get("id")?,
        fault,
        began_at: time(row.try_get("began_at")?),
        until: row.try_get::<Option<i64>, _>("until")?.map(time),
        records: (!everything).then_some(records.unsigned_abs()),
        catches: catches.unsigned_abs(),
    }))
}

/// A time of the database: milliseconds since 1970.
fn time(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::clock;

    async fn troubles() -> (tempfile::TempDir, Troubles) {
        let folder = tempfile::tempdir().expect("a folder");
        let troubles = Troubles::open(&folder.path().join("demo.db")).await.expect("a database");
        (folder, troubles)
    }

    fn of(fault: Fault, scope: Scope) -> New {
        New { fault, began_at: clock::now(), until: None, scope }
    }

    async fn against(troubles: &Troubles, record: &str) -> Option<Fault> {
        troubles.against(record, clock::now(), |_| true).await.expect("an answer").map(|hit| hit.fault)
    }

    #[tokio::test]
    async fn a_trouble_of_everything_hits_everything_until_it_is_ended() {
        let (_folder, troubles) = troubles().await;
        let id = troubles.begin(&of(Fault::OdooDown, Scope::Everything)).await.unwrap();
        assert_eq!(against(&troubles, "a").await, Some(Fault::OdooDown));
        assert_eq!(troubles.standing(clock::now()).await.unwrap()[0].records, None);
        assert!(troubles.end(id, clock::now()).await.unwrap());
        assert!(!troubles.end(id, clock::now()).await.unwrap(), "it is over");
        assert_eq!(against(&troubles, "a").await, None);
        assert_eq!(troubles.standing(clock::now()).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_trouble_ends_by_itself() {
        let (_folder, troubles) = troubles().await;
        let until = Some(clock::now() + TimeDelta::minutes(1));
        troubles.begin(&New { until, ..of(Fault::OdooDown, Scope::Everything) }).await.unwrap();
        assert_eq!(troubles.standing(clock::now()).await.unwrap().len(), 1);
        let later = clock::now() + TimeDelta::minutes(2);
        assert_eq!(troubles.standing(later).await.unwrap(), []);
        assert_eq!(troubles.against("a", later, |_| true).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_trouble_of_records_hits_these_and_no_other() {
        let (_folder, troubles) = troubles().await;
        let records = vec![("a".to_owned(), None), ("a".to_owned(), None), ("b".to_owned(), None)];
        troubles.begin(&of(Fault::TestNotSetUp, Scope::Records(records))).await.unwrap();
        assert_eq!(against(&troubles, "a").await, Some(Fault::TestNotSetUp));
        assert_eq!(against(&troubles, "c").await, None);
        assert_eq!(troubles.standing(clock::now()).await.unwrap()[0].records, Some(2));
        assert_eq!(troubles.against("a", clock::now(), |fault| fault == Fault::Gone).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_caught_stays_caught_and_no_more_than_said() {
        let (_folder, troubles) = troubles().await;
        troubles.begin(&of(Fault::TestNotSetUp, Scope::Next(2))).await.unwrap();
        for record in ["a", "a", "b", "a"] {
            assert_eq!(against(&troubles, record).await, Some(Fault::TestNotSetUp), "{record}");
        }
        assert_eq!(against(&troubles, "c").await, None);
    }

    #[tokio::test]
    async fn what_was_mended_once_is_caught_by_nothing_else_afterwards() {
        let (_folder, troubles) = troubles().await;
        let records = vec![("a".to_owned(), None)];
        let first = troubles.begin(&of(Fault::TestNotSetUp, Scope::Records(records))).await.unwrap();
        troubles.begin(&of(Fault::TestNotSetUp, Scope::Next(2))).await.unwrap();
        assert_eq!(against(&troubles, "a").await, Some(Fault::TestNotSetUp));
        assert!(troubles.end(first, clock::now()).await.unwrap());
        assert_eq!(against(&troubles, "a").await, None, "its retry comes through");
        assert_eq!(against(&troubles, "b").await, Some(Fault::TestNotSetUp), "a new one is caught");
    }

    #[tokio::test]
    async fn what_waited_for_another_waits_no_more_once_it_came_through() {
        let (_folder, troubles) = troubles().await;
        let records = vec![("b".to_owned(), Some("a".to_owned()))];
        troubles.begin(&of(Fault::PreviousOrder, Scope::Records(records))).await.unwrap();
        let hit = troubles.against("b", clock::now(), |_| true).await.unwrap().expect("a hit");
        assert_eq!(hit.needs.as_deref(), Some("a"));
        troubles.came_through("b", "a").await.unwrap();
        assert_eq!(against(&troubles, "b").await, None);
        assert_eq!(troubles.standing(clock::now()).await.unwrap(), [], "nothing is left of it");
    }

    #[tokio::test]
    async fn what_the_hospital_was_made_from_is_kept() {
        let (_folder, troubles) = troubles().await;
        assert_eq!(troubles.made_from().await.unwrap(), None);
        let at = DateTime::from_timestamp_millis(1_773_000_000_000).unwrap();
        let example = Example { station: Station::Unread, number: "ORD-7".to_owned() };
        let first = [of(Fault::Gone, Scope::Next(1))];
        troubles.found((u64::MAX, 400, at), &first, std::slice::from_ref(&example)).await.unwrap();
        assert_eq!(troubles.examples().await.unwrap(), [example]);
        assert_eq!(troubles.made_from().await.unwrap(), Some((u64::MAX, 400, at)));
        assert_eq!(troubles.standing(at).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn records_are_caught_again_after_a_full_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = SqliteConnectOptions::new().filename(folder.path().join("demo.db")).create_if_missing(true);
        // One connection, so that the limit below applies to the connection in use.
        let pool = sqlite_pool().max_connections(1).connect_with(options).await.unwrap();
        sqlx::raw_sql(SCHEMA).execute(&pool).await.unwrap();
        let troubles = Troubles { pool };
        troubles.begin(&of(Fault::TestNotSetUp, Scope::Next(2))).await.unwrap();
        // No more pages than exist. SQLite reports a full disk and ends the transaction.
        sqlx::raw_sql("PRAGMA max_page_count = 1").execute(&troubles.pool).await.unwrap();
        let long = "a".repeat(1_000_000);
        let full = troubles.against(&long, clock::now(), |_| true).await.map(|_| ()).unwrap_err();
        assert!(full.to_string().contains("full"), "{full}");
        sqlx::raw_sql("PRAGMA max_page_count = 1000000").execute(&troubles.pool).await.unwrap();
        assert_eq!(against(&troubles, "a").await, Some(Fault::TestNotSetUp));
    }
}
