//! Operations: plans with every row, frozen before a source is changed, and their progress. After a restart, the
//! console finds here what it was about to do and continues.

mod read;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection as _, QueryBuilder, Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    ROWS, Store, StoreError, instant,
    ledger::RequestCounts,
    runs::{self, RUN_OF_ROW, WRITING, from_columns},
};
use crate::model::{
    RowId,
    ledger::RequestKind,
    obstacle::no_address,
    operation::{Followed, Operation, OperationRow, OutcomeCounts, Pace, Stage, TryFirst},
};

/// An operation about to be planned.
#[derive(Clone, Debug)]
pub struct NewOperation {
    pub who: String,
    pub address: String,
    pub kind: RequestKind,
    pub scope: String,
    pub reason: Option<String>,
    /// Whether to wait for a source that does not answer.
    pub waits: bool,
}

const COLUMNS: &str = "id, started_at, finished_at, who, address, kind, scope, reason, stage, note, planned, left_out, \
     per_minute, try_first, try_needed, waits, later_resolved, later_failed, untitled";

/// Columns of a row `r` and its run `u` that [`read_row`] reads.
pub(super) const ROW_COLUMNS: &str =
    "r.position, r.app, r.row_id, r.feed_uri, r.event_id, r.seen_retries, r.copy_id, u.outcome, u.detail";

/// Condition on an operation `o`: it has begun and not ended, so that its rows belong to it.
pub(super) const UNDER_WAY: &str = "o.finished_at IS NULL AND o.stage IN ('running', 'trying', 'paused')";

/// Condition on the run `u` of a row: its turn is over. The turn of a busy row comes again.
pub(super) const OVER: &str = "COALESCE(u.outcome, 'writing') NOT IN ('writing', 'busy')";

/// Condition: the event `e` of the ledger is of the row `r` of an operation. As a number, an id outside SQLite's
/// integers becomes the nearest of them, which is the id of another row; the text tells them apart.
pub(super) const SAME_ROW: &str = "e.row_id = CAST(r.row_id AS INTEGER) AND CAST(e.row_id AS TEXT) = r.row_id";

/// For a request `q` and its event `e`: the fault of the latest error before the request. The order of recording
/// decides which attempts precede the request, as it does for outcomes: the clocks of source and console can differ.
const FAULT_BEFORE: &str = "COALESCE((SELECT a.fault_id FROM ledger_entries a WHERE a.ledger_event = e.id AND a.kind = 1 \
     AND a.id < (SELECT MAX(m.id) FROM ledger_entries m WHERE m.ledger_event = e.id AND m.kind = 3 \
     AND m.operation = q.operation) ORDER BY a.log_id DESC LIMIT 1), e.first_fault_id)";

impl Store {
    /// Records an operation whose rows are to be planned now, and returns its id; nothing has begun.
    pub async fn new_operation(&self, new: &NewOperation) -> Result<i64, StoreError> {
        let id = sqlx::query(
            "INSERT INTO operations (started_at, who, address, kind, scope, reason, stage, waits) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(Utc::now().timestamp_millis())
        .bind(&new.who)
        .bind(&new.address)
        .bind(new.kind.word())
        .bind(&new.scope)
        .bind(&new.reason)
        .bind(Stage::Planning.word())
        .bind(new.waits)
        .fetch_one(&mut *self.quick().await?)
        .await?
        .try_get(0)?;
        Ok(id)
    }

    /// Appends rows to the plan of an operation.
    pub async fn plan_rows(&self, operation: i64, rows: &[OperationRow]) -> Result<(), StoreError> {
        let mut writer = self.quick().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let first: i64 =
            sqlx::query("SELECT COALESCE(MAX(position) + 1, 0) FROM operation_rows WHERE operation_id = ?")
                .bind(operation)
                .fetch_one(&mut *transaction)
                .await?
                .try_get(0)?;
        let placed: Vec<_> = (first..).zip(rows).collect();
        for chunk in placed.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO operation_rows \
                 (operation_id, position, app, row_id, feed_uri, event_id, seen_retries, copy_id) ",
            );
            query.push_values(chunk, |mut values, (position, row)| {
                values
                    .push_bind(operation)
                    .push_bind(position)
                    .push_bind(&row.app)
                    .push_bind(row.id.to_string())
                    .push_bind(&row.feed_uri)
                    .push_bind(&row.event_id)
                    .push_bind(row.seen_retries)
                    .push_bind(row.copy);
            });
            query.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Returns which of these rows belong to an operation that is under way.
    pub async fn claimed(&self, app: &str, ids: &[RowId]) -> Result<Vec<RowId>, StoreError> {
        let mut claimed = Vec::new();
        for chunk in ids.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(format!(
                "SELECT DISTINCT r.row_id FROM operations o CROSS JOIN operation_rows r ON r.operation_id = o.id \
                 LEFT JOIN {RUN_OF_ROW} WHERE {UNDER_WAY} AND NOT {OVER} AND r.app = "
            ));
            query.push_bind(app).push(" AND r.row_id IN (");
            let mut list = query.separated(", ");
            for id in chunk {
                list.push_bind(id.to_string());
            }
            query.push(")");
            for row in query.build().fetch_all(&self.pool).await? {
                claimed.push(read_id(&row)?);
            }
        }
        Ok(claimed)
    }

    /// Records how many rows of a plan have no title.
    pub async fn count_untitled(&self, operation: i64, rows: u64) -> Result<(), StoreError> {
        sqlx::query("UPDATE operations SET untitled = ? WHERE id = ?")
            .bind(i64::try_from(rows).unwrap_or(i64::MAX))
            .bind(operation)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(())
    }

    /// Completes a plan: stores the number of its rows, and how many of them have a later event of the same record.
    pub async fn close_plan(&self, operation: i64, left_out: Option<&str>) -> Result<(), StoreError> {
        // Counted before the write connection is acquired, because a large plan takes some time. The plus keeps the
        // planner from scanning every event of a state once for each row.
        let later = |condition: &str| {
            format!(
                "COALESCE(SUM(EXISTS (SELECT 1 FROM ledger_sources s JOIN ledger_events e ON e.source_id = s.id \
                 AND {SAME_ROW} AND +e.state < 10 \
                 JOIN ledger_events l ON substr(l.record, -12) = substr(e.record, -12) AND l.record = e.record \
                 AND l.id <> e.id AND +l.source_id = s.id \
                 WHERE s.app = r.app AND +l.failed_at > e.failed_at AND +l.state {condition})), 0)"
            )
        };
        let counts = sqlx::query(AssertSqlSafe(format!(
            "SELECT COUNT(*), {}, {} FROM operation_rows r WHERE r.operation_id = ?",
            later("= 11"),
            later("< 10")
        )))
        .bind(operation)
        .fetch_one(&self.pool)
        .await?;
        let number = |place: usize| counts.try_get::<i64, _>(place);
        sqlx::query(
            "UPDATE operations SET stage = ?, left_out = ?, note = NULL, planned = ?, later_resolved = ?, \
             later_failed = ? WHERE id = ? AND stage = ?",
        )
        .bind(Stage::Draft.word())
        .bind(left_out)
        .bind(number(0)?)
        .bind(number(1)?)
        .bind(number(2)?)
        .bind(operation)
        .bind(Stage::Planning.word())
        .execute(&mut *self.quick().await?)
        .await?;
        Ok(())
    }

    /// Starts a planned operation: its rows belong to it from now on, and rows that another operation has under way are
    /// left to that one. Returns whether it was a plan that had not begun. It is on the disk at the latest when its
    /// first rows are marked as being written: nothing is written to a source before that.
    pub async fn start_operation(
        &self,
        operation: i64,
        who: &str,
        address: &str,
        reason: Option<&str>,
        pace: Pace,
    ) -> Result<bool, StoreError> {
        let mut writer = self.quick().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let started = sqlx::query(
            "UPDATE operations SET stage = ?, started_at = ?, who = ?, address = ?, reason = COALESCE(?, reason), \
             per_minute = ?, try_first = ?, try_needed = ? WHERE id = ? AND stage = ?",
        )
        .bind(Stage::Running.word())
        .bind(Utc::now().timestamp_millis())
        .bind(who)
        .bind(address)
        .bind(reason)
        .bind(pace.per_minute)
        .bind(pace.try_first.map(|first| first.rows))
        .bind(pace.try_first.map(|first| first.needed))
        .bind(operation)
        .bind(Stage::Draft.word())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if started == 1 {
            claim(&mut transaction, operation).await?;
        }
        transaction.commit().await?;
        Ok(started == 1)
    }

    /// Deletes a plan that has not begun. Returns whether there was one.
    pub async fn drop_plan(&self, operation: i64) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let dropped = drop_plans(&mut transaction, "id = ?", operation).await?;
        transaction.commit().await?;
        Ok(dropped > 0)
    }

    /// Deletes plans from before this time that were never started, and returns how many.
    pub async fn drop_old_plans(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let dropped = drop_plans(&mut transaction, "started_at < ?", before.timestamp_millis()).await?;
        transaction.commit().await?;
        Ok(dropped)
    }

    /// Moves an operation from one of these stages to another, with a note; returns whether it was in one of them.
    pub async fn set_stage(
        &self,
        operation: i64,
        from: &[Stage],
        to: Stage,
        note: Option<&str>,
    ) -> Result<bool, StoreError> {
        let ended = matches!(to, Stage::Ended | Stage::Cancelled);
        let marks = vec!["?"; from.len()].join(", ");
        let mut query = sqlx::query(AssertSqlSafe(format!(
            "UPDATE operations SET stage = ?, note = ?, finished_at = CASE WHEN ? THEN ? ELSE NULL END \
             WHERE id = ? AND stage IN ({marks})"
        )))
        .bind(to.word())
        .bind(note)
        .bind(ended)
        .bind(Utc::now().timestamp_millis())
        .bind(operation);
        for stage in from {
            query = query.bind(stage.word());
        }
        let done = match to {
            // The audit entry of the end takes it to the disk; if this write is lost in a crash, the operation is
            // found again.
            Stage::Ended => query.execute(&mut *self.quick().await?).await?,
            _ => query.execute(&mut *self.writer().await?).await?,
        };
        Ok(done.rows_affected() == 1)
    }

    /// Sets the note on why a running operation waits; `None` if it does not.
    pub async fn note(&self, operation: i64, note: Option<&str>) -> Result<(), StoreError> {
        // The note of an operation that was paused meanwhile says who paused it, and is kept.
        sqlx::query("UPDATE operations SET note = ? WHERE id = ? AND stage = ?")
            .bind(note)
            .bind(operation)
            .bind(Stage::Running.word())
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(())
    }

    /// Lets the operation continue without waiting for the outcome of its first rows.
    pub async fn tried(&self, operation: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE operations SET try_first = NULL, try_needed = NULL WHERE id = ?")
            .bind(operation)
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(())
    }

    /// Returns the operations in the stages running and trying, oldest first.
    pub async fn under_way(&self) -> Result<Vec<i64>, StoreError> {
        let rows = sqlx::query("SELECT id FROM operations WHERE finished_at IS NULL AND stage IN (?, ?) ORDER BY id")
            .bind(Stage::Running.word())
            .bind(Stage::Trying.word())
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Deletes plans that were still being written when the console ended: no user has seen their rows. Returns how
    /// many.
    pub async fn drop_unfinished_plans(&self) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let dropped = drop_plans(&mut transaction, "stage = 'planning' AND id > ?", 0).await?;
        transaction.commit().await?;
        Ok(dropped)
    }
}

/// Sums rows by application and feed. All values that are not addresses are one feed.
fn by_feed(counted: Vec<(String, Option<String>, i64)>) -> BTreeMap<(String, Option<String>), i64> {
    let mut sums = BTreeMap::new();
    for (app, uri, rows) in counted {
        let feed = (app, uri.filter(|uri| !no_address(Some(uri))));
        *sums.entry(feed).or_default() += rows;
    }
    sums
}

fn followed(seen: RequestCounts) -> Followed {
    Followed {
        open: seen.open,
        resolved: seen.resolved,
        failed_again: seen.failed_again,
        same_fault: 0,
        overwritten: seen.overwritten,
        gone: seen.gone,
        unfollowed: 0,
    }
}

/// Condition: there are rows, and all are of applications in a list, which is this parameter; NULL: no restriction. The
/// applications of a plan without rows are not known yet.
fn within(list: &str) -> String {
    format!(
        "({list} IS NULL OR EXISTS (SELECT 1 FROM operation_rows r WHERE r.operation_id = operations.id) AND NOT EXISTS (SELECT 1 FROM operation_rows r WHERE r.operation_id = operations.id \
         AND instr({list}, ' ' || r.app || ' ') = 0))"
    )
}

/// Leaves rows to other operations that have them under way. A row that a form named twice is processed once.
async fn claim(transaction: &mut Transaction<'_, Sqlite>, operation: i64) -> Result<(), StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT own.position, o.id FROM operations o CROSS JOIN operation_rows own ON own.operation_id = ?1 \
         JOIN operation_rows r ON r.operation_id = o.id AND r.app = own.app AND r.row_id = own.row_id \
         LEFT JOIN {RUN_OF_ROW} WHERE {UNDER_WAY} AND o.id <> ?1 AND NOT {OVER} \
         UNION ALL SELECT own.position, ?1 FROM (SELECT app, row_id, MIN(position) AS first FROM operation_rows \
         WHERE operation_id = ?1 GROUP BY app, row_id HAVING COUNT(*) > 1) twice \
         JOIN operation_rows own ON own.operation_id = ?1 AND own.app = twice.app AND own.row_id = twice.row_id \
         AND own.position > twice.first"
    )))
    .bind(operation)
    .fetch_all(&mut **transaction)
    .await?;
    let mut taken = BTreeMap::new();
    for row in rows {
        // For a row that is named twice and belongs to another operation, the other operation is recorded.
        taken.entry(row.try_get(0)?).or_insert(row.try_get(1)?);
    }
    runs::leave_to(transaction, operation, &taken.into_iter().collect::<Vec<_>>()).await
}

/// Deletes plans that were never started and meet a condition with one number.
async fn drop_plans(
    transaction: &mut Transaction<'_, Sqlite>,
    condition: &'static str,
    number: i64,
) -> Result<u64, StoreError> {
    let plans = format!("SELECT id FROM operations WHERE stage IN ('planning', 'draft') AND {condition}");
    sqlx::query(AssertSqlSafe(format!("DELETE FROM operation_rows WHERE operation_id IN ({plans})")))
        .bind(number)
        .execute(&mut **transaction)
        .await?;
    let dropped = sqlx::query(AssertSqlSafe(format!("DELETE FROM operations WHERE id IN ({plans})")))
        .bind(number)
        .execute(&mut **transaction)
        .await?;
    Ok(dropped.rows_affected())
}

pub(super) fn kind_of(word: &str) -> Result<RequestKind, StoreError> {
    RequestKind::of_word(word).ok_or_else(|| StoreError::Content(format!("the kind of operation {word:?}")))
}

fn number<N: TryFrom<i64>>(row: &SqliteRow, column: &str) -> Result<Option<N>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.and_then(|number| N::try_from(number).ok()))
}

fn read_stage(row: &SqliteRow) -> Result<Stage, StoreError> {
    let stage: &str = row.try_get("stage")?;
    Stage::from_word(stage).ok_or_else(|| StoreError::Content(format!("the stage {stage:?}")))
}

fn read_operation(row: &SqliteRow) -> Result<Operation, StoreError> {
    let try_first = number(row, "try_first")?.zip(number(row, "try_needed")?);
    Ok(Operation {
        id: row.try_get("id")?,
        started_at: instant(row.try_get("started_at")?)?,
        finished_at: row.try_get::<Option<i64>, _>("finished_at")?.map(instant).transpose()?,
        who: row.try_get("who")?,
        address: row.try_get("address")?,
        kind: kind_of(row.try_get("kind")?)?,
        scope: row.try_get("scope")?,
        reason: row.try_get("reason")?,
        stage: read_stage(row)?,
        note: row.try_get("note")?,
        planned: number(row, "planned")?,
        left_out: row.try_get("left_out")?,
        pace: Pace {
            per_minute: number(row, "per_minute")?,
            try_first: try_first.map(|(rows, needed)| TryFirst { rows, needed }),
        },
        later_resolved: number(row, "later_resolved")?.unwrap_or_default(),
        later_failed: number(row, "later_failed")?.unwrap_or_default(),
        untitled: number(row, "untitled")?.unwrap_or_default(),
        counts: OutcomeCounts::default(),
        followed: Followed::default(),
    })
}

pub(super) fn read_id(row: &SqliteRow) -> Result<RowId, StoreError> {
    let id: String = row.try_get("row_id")?;
    id.parse().map_err(|_| StoreError::Content(format!("the row id {id:?}")))
}

pub(super) fn read_row(row: &SqliteRow) -> Result<(i64, OperationRow), StoreError> {
    let outcome = row
        .try_get::<Option<String>, _>("outcome")?
        .filter(|word| word != WRITING)
        .map(|word| from_columns(&word, row.try_get("detail")?))
        .transpose()?;
    Ok((
        row.try_get("position")?,
        OperationRow {
            app: row.try_get("app")?,
            id: read_id(row)?,
            feed_uri: row.try_get("feed_uri")?,
            event_id: row.try_get("event_id")?,
            seen_retries: row.try_get("seen_retries")?,
            copy: row.try_get("copy_id")?,
            outcome,
        },
    ))
}

#[cfg(test)]
mod tests;
