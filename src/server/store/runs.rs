//! Outcomes of an operation's rows, stored as runs: a run is a stretch of the plan whose rows all have the same
//! outcome. Plans are processed from the beginning, mostly with one outcome, so 90,000 rows have a few runs.
//!
//! If the console ends, the outcome of rows marked here as being written is unknown; rows in no run have not had their
//! turn. Requests are recorded in the ledger in the same transaction, or, where thousands follow each other, by the
//! watcher before it records what it saw ([`Store::flush_requests`]).

use sqlx::{AssertSqlSafe, Connection as _, QueryBuilder, Row as _, Sqlite, Transaction};

use super::{
    ROWS, Store, StoreError, count,
    ledger::{Ask, requests},
    operations::{ROW_COLUMNS, kind_of, read_row},
};
use crate::clock;
use crate::model::operation::{Operation, OperationRow, OutcomeCounts, RowOutcome, Stage};

/// Rows whose requests are recorded in the ledger in one transaction.
const FLUSH_BATCH: i64 = 2_000;

/// After this many milliseconds, no poll that began before a run was recorded is still in progress: then it may be
/// joined with its neighbours. Until then it must keep its own time (see `settle` in the ledger).
const SETTLED: i64 = 120_000;

/// Neighbours that are read with a change, to be joined if they are settled.
const NEIGHBOURS: u32 = 64;

/// Joins the run of a row `r` as `u`.
pub(super) const RUN_OF_ROW: &str = "operation_runs u ON u.operation_id = r.operation_id AND u.first = (SELECT MAX(x.first) \
     FROM operation_runs x WHERE x.operation_id = r.operation_id AND x.first <= r.position) AND u.last >= r.position";

/// A stretch of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    first: i64,
    last: i64,
    outcome: String,
    detail: Option<String>,
    at: i64,
    /// Whether the ledger has the requests: the column `told`.
    in_ledger: bool,
}

/// A change of one row's place in the runs.
#[derive(Clone, Debug)]
struct Change {
    position: i64,
    /// `None`: its turn is still to come.
    outcome: Option<(&'static str, Option<String>)>,
    /// Whether its request is recorded in the ledger; `None`: as before.
    in_ledger: Option<bool>,
}

impl Run {
    fn part(&self, first: i64, last: i64) -> Self {
        Self { first, last, ..self.clone() }
    }

    /// Returns whether it can be joined with the next run now.
    fn goes_on_as(&self, next: &Self, now: i64) -> bool {
        self.last + 1 == next.first
            && (&self.outcome, &self.detail, self.in_ledger) == (&next.outcome, &next.detail, next.in_ledger)
            && (self.at == next.at || self.at.max(next.at) <= now - SETTLED)
    }
}

/// Returns the run that contains a position; the runs are in order.
fn holding(runs: &[Run], position: i64) -> Option<&Run> {
    let next = runs.partition_point(|run| run.first <= position);
    runs.get(next.checked_sub(1)?).filter(|run| run.last >= position)
}

/// Returns these runs with these changes applied; both are in order.
fn changed(runs: &[Run], changes: &[Change], at: i64) -> Vec<Run> {
    let mut parts = Vec::with_capacity(runs.len() + changes.len());
    for run in runs {
        let from = changes.partition_point(|change| change.position < run.first);
        let to = changes.partition_point(|change| change.position <= run.last);
        let mut first = run.first;
        for change in &changes[from..to] {
            if first < change.position {
                parts.push(run.part(first, change.position - 1));
            }
            first = change.position + 1;
        }
        if first <= run.last {
            parts.push(run.part(first, run.last));
        }
    }
    for Change { position, outcome, in_ledger } in changes {
        let Some((outcome, detail)) = outcome else { continue };
        let in_ledger = in_ledger.unwrap_or_else(|| holding(runs, *position).is_none_or(|run| run.in_ledger));
        let (outcome, detail) = ((*outcome).to_owned(), detail.clone());
        parts.push(Run { first: *position, last: *position, outcome, detail, at, in_ledger });
    }
    parts.sort_by_key(|run| run.first);
    let mut joined: Vec<Run> = Vec::new();
    for part in parts {
        match joined.last_mut() {
            Some(before) if before.goes_on_as(&part, at) => {
                (before.last, before.at) = (part.last, before.at.max(part.at))
            }
            _ => joined.push(part),
        }
    }
    joined
}

/// Applies changes to the runs of an operation, and returns the previous runs around them.
async fn apply(
    transaction: &mut Transaction<'_, Sqlite>,
    operation: i64,
    changes: &[Change],
) -> Result<Vec<Run>, StoreError> {
    let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return Ok(Vec::new()) };
    // With neighbours on both sides, which may be joined with the changed runs.
    let rows = sqlx::query(
        "SELECT first, last, outcome, detail, at, told FROM operation_runs WHERE operation_id = ?1 AND first BETWEEN \
         COALESCE((SELECT MIN(first) FROM (SELECT first FROM operation_runs WHERE operation_id = ?1 AND first < ?2 \
         ORDER BY first DESC LIMIT ?4)), ?2) AND ?3 ORDER BY first",
    )
    .bind(operation)
    .bind(first.position)
    .bind(last.position + 1)
    .bind(NEIGHBOURS)
    .fetch_all(&mut **transaction)
    .await?;
    let before = rows.iter().map(read_run).collect::<Result<Vec<_>, _>>()?;
    let after = changed(&before, changes, clock::now().timestamp_millis());
    if let Some((first, last)) = before.first().zip(before.last()) {
        sqlx::query("DELETE FROM operation_runs WHERE operation_id = ? AND first BETWEEN ? AND ?")
            .bind(operation)
            .bind(first.first)
            .bind(last.first)
            .execute(&mut **transaction)
            .await?;
    }
    for chunk in after.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO operation_runs (operation_id, first, last, outcome, detail, at, told) ",
        );
        query.push_values(chunk, |mut values, run| {
            values.push_bind(operation).push_bind(run.first).push_bind(run.last).push_bind(&run.outcome);
            values.push_bind(&run.detail).push_bind(run.at).push_bind(run.in_ledger);
        });
        query.build().execute(&mut **transaction).await?;
    }
    Ok(before)
}

fn read_run(row: &sqlx::sqlite::SqliteRow) -> Result<Run, StoreError> {
    Ok(Run {
        first: row.try_get(0)?,
        last: row.try_get(1)?,
        outcome: row.try_get(2)?,
        detail: row.try_get(3)?,
        at: row.try_get(4)?,
        in_ledger: row.try_get(5)?,
    })
}

impl Store {
    /// Returns the next rows of one application whose turn it is, with their positions, lowest first. Rows that were
    /// being written when the console ended come again, with `true`.
    pub async fn next_rows(&self, operation: i64, limit: u32) -> Result<Vec<(i64, OperationRow, bool)>, StoreError> {
        let written = sqlx::query(
            "SELECT first, last FROM operation_runs WHERE operation_id = ? AND outcome = 'writing' ORDER BY first LIMIT 1",
        )
        .bind(operation)
        .fetch_optional(&self.pool)
        .await?;
        let again = written.is_some();
        let rows = match written {
            Some(run) => {
                let (first, last): (i64, i64) = (run.try_get(0)?, run.try_get(1)?);
                let mut rows = self.operation_rows(operation, first, limit).await?;
                rows.retain(|(position, _)| *position <= last);
                rows
            }
            None => self.rows_to_come(operation, limit).await?,
        };
        let app = rows.first().map(|(_, row)| row.app.clone());
        Ok(rows
            .into_iter()
            .take_while(|(_, row)| Some(&row.app) == app.as_ref())
            .map(|(position, row)| (position, row, again))
            .collect())
    }

    /// Returns the next rows that have not had their turn, of any application, with their positions.
    pub async fn rows_to_come(&self, operation: i64, limit: u32) -> Result<Vec<(i64, OperationRow)>, StoreError> {
        // From the first gap between the runs on, which mostly is their end: earlier rows need not be read again with
        // every batch.
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {ROW_COLUMNS} FROM operation_rows r LEFT JOIN {RUN_OF_ROW} WHERE r.operation_id = ?1 AND r.position >= \
             (SELECT CASE WHEN COALESCE(SUM(last - first + 1), 0) = COALESCE(MAX(last) + 1, 0) THEN COALESCE(MAX(last) + 1, 0) \
             WHEN MIN(first) > 0 THEN 0 ELSE (SELECT a.last + 1 FROM operation_runs a WHERE a.operation_id = ?1 \
             AND NOT EXISTS (SELECT 1 FROM operation_runs b WHERE b.operation_id = ?1 AND b.first = a.last + 1) \
             ORDER BY a.first LIMIT 1) END FROM operation_runs WHERE operation_id = ?1) \
             AND u.first IS NULL ORDER BY r.position LIMIT ?2"
        )))
        .bind(operation)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_row).collect()
    }

    /// Records, right before a source is changed, that these rows are about to be written (if the console ends now,
    /// their outcome is unknown), and their requests: see [`Store::ask`].
    pub async fn mark_in_progress(
        &self,
        operation: &Operation,
        app: &str,
        positions: &[i64],
        asks: &[Ask],
    ) -> Result<(), StoreError> {
        self.flush_requests().await?;
        let mut transaction = self.begin().await?;
        apply(&mut transaction, operation.id, &being_written(positions, true)).await?;
        let now = clock::now().timestamp_millis();
        requests::ask(&mut transaction, app, operation.kind, operation.id, &operation.who, asks, now).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Records that rows are about to be written, without their requests, and returns whether the operation still runs:
    /// if not, nothing is recorded. [`Store::flush_requests`] records the requests in the ledger before any result of
    /// them is recorded. For operations in which thousands of rows follow each other.
    pub async fn mark(&self, operation: i64, positions: &[i64]) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let runs = sqlx::query("SELECT 1 FROM operations WHERE id = ? AND stage = ?")
            .bind(operation)
            .bind(Stage::Running.word())
            .fetch_optional(&mut *transaction)
            .await?
            .is_some();
        if runs {
            apply(&mut transaction, operation, &being_written(positions, false)).await?;
        }
        transaction.commit().await?;
        Ok(runs)
    }

    /// Sets rows of ended operations that are still marked as being written to uncertain: no one will read them again.
    pub async fn end_writing(&self, operation: Option<i64>) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE operation_runs SET outcome = ?1, detail = ?2, at = ?3 WHERE outcome = 'writing' AND operation_id IN \
             (SELECT id FROM operations WHERE finished_at IS NOT NULL AND (?4 IS NULL OR id = ?4))",
        )
        .bind(UNCERTAIN)
        .bind("The operation was cancelled while this row was being written.")
        .bind(clock::now().timestamp_millis())
        .bind(operation)
        .execute(&mut *self.writer().await?)
        .await?;
        Ok(())
    }

    /// Records in the ledger the requests of rows that are only marked up to now. To be called between reading the
    /// source and recording what became of failed events, and before other requests are recorded, so that requests keep
    /// their order.
    ///
    /// # Errors
    /// Fails if the store cannot be used.
    pub async fn flush_requests(&self) -> Result<(), StoreError> {
        let rows =
            sqlx::query("SELECT operation_id, MAX(last) FROM operation_runs WHERE told = 0 GROUP BY operation_id")
                .fetch_all(&self.pool)
                .await?;
        for row in rows {
            // Rows marked meanwhile are for the next call.
            let (operation, last): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            loop {
                let mut transaction = self.begin().await?;
                let in_ledger = flush_some(&mut transaction, operation, last).await?;
                transaction.commit().await?;
                if !in_ledger {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Records that nothing was written for these rows: their turn comes again, and their requests are withdrawn.
    pub async fn unmark_writing(&self, operation: i64, positions: &[i64]) -> Result<(), StoreError> {
        let changes: Vec<Change> =
            positions.iter().map(|position| Change { position: *position, outcome: None, in_ledger: None }).collect();
        let mut transaction = self.begin().await?;
        let before = apply(&mut transaction, operation, &changes).await?;
        withdraw(&mut transaction, operation, positions, &before).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Records the outcomes of rows by position, in ascending order. Requests for rows that were left unchanged are
    /// withdrawn. A row with any outcome except busy no longer belongs to the operation.
    pub async fn record_outcomes(&self, operation: i64, outcomes: &[(i64, RowOutcome)]) -> Result<(), StoreError> {
        let unknown =
            |outcome: &RowOutcome| matches!(outcome, RowOutcome::Uncertain { .. } | RowOutcome::Busy { again: true });
        let left_alone = |outcome: &RowOutcome| !outcome.is_done() && !unknown(outcome);
        let change = |(position, outcome): &(i64, RowOutcome)| Change {
            position: *position,
            outcome: Some(to_columns(outcome)),
            // A row left unchanged has no request to record.
            in_ledger: left_alone(outcome).then_some(true),
        };
        let changes: Vec<Change> = outcomes.iter().map(change).collect();
        let left: Vec<i64> =
            outcomes.iter().filter(|(_, outcome)| left_alone(outcome)).map(|(position, _)| *position).collect();
        let mut writer = self.quick().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let before = apply(&mut transaction, operation, &changes).await?;
        withdraw(&mut transaction, operation, &left, &before).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Returns the outcomes of an operation's rows so far; and for how many rows that were written, or may have been,
    /// the requests are recorded in the ledger.
    pub(super) async fn outcome_counts(&self, operation: i64) -> Result<(OutcomeCounts, u64), StoreError> {
        let rows = sqlx::query(
            "SELECT outcome, SUM(last - first + 1), SUM(told * (last - first + 1)) FROM operation_runs \
             WHERE operation_id = ? GROUP BY outcome",
        )
        .bind(operation)
        .fetch_all(&self.pool)
        .await?;
        let mut counts = OutcomeCounts { asked: self.planned_so_far(operation).await?, ..OutcomeCounts::default() };
        let mut in_ledger = 0;
        for row in rows {
            let number = count(&row, 1)?;
            let outcome: &str = row.try_get(0)?;
            if matches!(outcome, RESET | UNCERTAIN | WRITING) {
                in_ledger += count(&row, 2)?;
            }
            match outcome {
                RESET => counts.reset += number,
                DISCARDED => counts.discarded += number,
                RESTORED => counts.restored += number,
                ALREADY_THERE => counts.already_there += number,
                TAKEN => counts.taken += number,
                CHANGED => counts.changed += number,
                GONE => counts.gone += number,
                TOO_LONG => counts.too_long += number,
                FAILED => counts.failed += number,
                UNCERTAIN => counts.uncertain += number,
                BUSY => counts.busy += number,
                _ => {}
            }
        }
        Ok((counts, in_ledger))
    }

    /// Returns the number of rows of an operation that another transaction had locked when their turn came.
    pub async fn busy(&self, operation: i64) -> Result<u64, StoreError> {
        let rows = sqlx::query_scalar::<_, i64>(
            "SELECT COALESCE(SUM(last - first + 1), 0) FROM operation_runs WHERE operation_id = ? AND outcome = ?",
        )
        .bind(operation)
        .bind(BUSY)
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(rows).unwrap_or_default())
    }

    /// Makes busy rows come again. Those that were being written when the console ended are marked as being written
    /// again.
    pub async fn free_busy(&self, operation: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query("UPDATE operation_runs SET outcome = ?, detail = NULL WHERE operation_id = ? AND outcome = ? AND detail = ?")
            .bind(WRITING)
            .bind(operation)
            .bind(BUSY)
            .bind(AGAIN)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM operation_runs WHERE operation_id = ? AND outcome = ?")
            .bind(operation)
            .bind(BUSY)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Leaves busy rows unchanged for good, with the reason. Returns how many there were.
    pub async fn give_up_busy(&self, operation: i64, reason: &str) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let count = sqlx::query_scalar::<_, i64>(
            "SELECT COALESCE(SUM(last - first + 1), 0) FROM operation_runs WHERE operation_id = ? AND outcome = ?",
        )
        .bind(operation)
        .bind(BUSY)
        .fetch_one(&mut *transaction)
        .await?;
        sqlx::query(
            "UPDATE operation_runs SET outcome = CASE detail WHEN ?1 THEN ?2 ELSE ?3 END, detail = ?4, at = ?5 \
             WHERE operation_id = ?6 AND outcome = ?7",
        )
        .bind(AGAIN)
        .bind(UNCERTAIN)
        .bind(FAILED)
        .bind(reason)
        .bind(clock::now().timestamp_millis())
        .bind(operation)
        .bind(BUSY)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Returns the number of rows of an operation that have had their turn, without those left to other operations.
    pub async fn taken(&self, operation: i64) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "SELECT COALESCE(SUM(last - first + 1), 0) FROM operation_runs WHERE operation_id = ? AND outcome NOT IN (?, ?, ?)",
        )
        .bind(operation)
        .bind(WRITING)
        .bind(TAKEN)
        .bind(BUSY)
        .fetch_one(&self.pool)
        .await?;
        Ok(count(&row, 0)?)
    }
}

/// Marks rows of an operation, by position, as belonging to other operations.
pub(super) async fn leave_to(
    transaction: &mut Transaction<'_, Sqlite>,
    operation: i64,
    taken: &[(i64, i64)],
) -> Result<(), StoreError> {
    let change = |(position, other): &(i64, i64)| Change {
        position: *position,
        outcome: Some(to_columns(&RowOutcome::Taken { operation: *other })),
        in_ledger: Some(true),
    };
    apply(transaction, operation, &taken.iter().map(change).collect::<Vec<_>>()).await?;
    Ok(())
}

fn being_written(positions: &[i64], in_ledger: bool) -> Vec<Change> {
    let change =
        |position: &i64| Change { position: *position, outcome: Some((WRITING, None)), in_ledger: Some(in_ledger) };
    positions.iter().map(change).collect()
}

/// Withdraws those requests that are recorded in the ledger.
async fn withdraw(
    transaction: &mut Transaction<'_, Sqlite>,
    operation: i64,
    positions: &[i64],
    before: &[Run],
) -> Result<(), StoreError> {
    let in_ledger: Vec<i64> =
        positions.iter().copied().filter(|at| holding(before, *at).is_some_and(|run| run.in_ledger)).collect();
    for chunk in in_ledger.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT app, row_id FROM operation_rows WHERE operation_id = ");
        query.push_bind(operation).push(" AND position IN (");
        super::push_list(&mut query, chunk);
        for row in query.build().fetch_all(&mut **transaction).await? {
            let app: String = row.try_get("app")?;
            requests::withdraw(transaction, &app, operation, &[super::operations::read_id(&row)?]).await?;
        }
    }
    Ok(())
}

/// Records in the ledger the missing requests of some rows of an operation, up to this position; returns whether there
/// were any.
async fn flush_some(transaction: &mut Transaction<'_, Sqlite>, operation: i64, to: i64) -> Result<bool, StoreError> {
    let run = sqlx::query(
        "SELECT u.first, u.last, u.at, o.kind, o.who FROM operation_runs u JOIN operations o ON o.id = u.operation_id \
         WHERE u.told = 0 AND u.operation_id = ? AND u.first <= ? ORDER BY u.first LIMIT 1",
    )
    .bind(operation)
    .bind(to)
    .fetch_optional(&mut **transaction)
    .await?;
    let Some(run) = run else { return Ok(false) };
    let (first, last, at): (i64, i64, i64) = (run.try_get(0)?, run.try_get(1)?, run.try_get(2)?);
    let (kind, who) = (kind_of(run.try_get(3)?)?, run.try_get::<String, _>(4)?);
    let end = last.min(first + FLUSH_BATCH - 1);
    let rows = sqlx::query(
        "SELECT app, row_id, event_id, seen_retries FROM operation_rows WHERE operation_id = ? AND position BETWEEN ? AND ?",
    )
    .bind(operation)
    .bind(first)
    .bind(end)
    .fetch_all(&mut **transaction)
    .await?;
    let mut asks = Vec::<(String, Vec<Ask>)>::new();
    for row in rows {
        let app: String = row.try_get(0)?;
        let ask = Ask {
            row_id: super::operations::read_id(&row)?,
            event_id: row.try_get(2)?,
            retries_before: row.try_get(3)?,
        };
        match asks.last_mut() {
            Some((last, of_app)) if *last == app => of_app.push(ask),
            _ => asks.push((app, vec![ask])),
        }
    }
    for (app, asks) in asks {
        requests::ask(transaction, &app, kind, operation, &who, &asks, at).await?;
    }
    if end < last {
        sqlx::query(
            "INSERT INTO operation_runs (operation_id, first, last, outcome, detail, at, told) \
             SELECT operation_id, ?, last, outcome, detail, at, told FROM operation_runs WHERE operation_id = ? AND first = ?",
        )
        .bind(end + 1)
        .bind(operation)
        .bind(first)
        .execute(&mut **transaction)
        .await?;
    }
    sqlx::query("UPDATE operation_runs SET told = 1, last = ? WHERE operation_id = ? AND first = ?")
        .bind(end)
        .bind(operation)
        .bind(first)
        .execute(&mut **transaction)
        .await?;
    Ok(true)
}

pub(super) const WRITING: &str = "writing";
pub(super) const RESET: &str = "reset";
const DISCARDED: &str = "discarded";
const RESTORED: &str = "restored";
const ALREADY_THERE: &str = "already_there";
pub(super) const TAKEN: &str = "taken";
const CHANGED: &str = "changed";
const GONE: &str = "gone";
const TOO_LONG: &str = "too_long";
const FAILED: &str = "failed";
pub(super) const UNCERTAIN: &str = "uncertain";
const BUSY: &str = "busy";

/// The detail of a busy row that was being written when the console ended.
const AGAIN: &str = "again";

fn to_columns(outcome: &RowOutcome) -> (&'static str, Option<String>) {
    match outcome {
        RowOutcome::Reset => (RESET, None),
        RowOutcome::Discarded => (DISCARDED, None),
        RowOutcome::Restored { id } => (RESTORED, Some(id.to_string())),
        RowOutcome::AlreadyThere => (ALREADY_THERE, None),
        RowOutcome::Taken { operation } => (TAKEN, Some(operation.to_string())),
        RowOutcome::Changed { retries } => (CHANGED, retries.map(|retries| retries.to_string())),
        RowOutcome::Gone => (GONE, None),
        RowOutcome::TooLong { bytes, limit } => (TOO_LONG, Some(format!("{bytes} of {limit}"))),
        RowOutcome::Failed { reason } => (FAILED, Some(reason.clone())),
        RowOutcome::Uncertain { reason } => (UNCERTAIN, Some(reason.clone())),
        RowOutcome::Busy { again } => (BUSY, again.then(|| AGAIN.to_owned())),
    }
}

pub(super) fn from_columns(word: &str, detail: Option<String>) -> Result<RowOutcome, StoreError> {
    let unknown = || StoreError::Content(format!("the outcome {word:?} with {detail:?}"));
    Ok(match word {
        RESET => RowOutcome::Reset,
        DISCARDED => RowOutcome::Discarded,
        RESTORED => {
            RowOutcome::Restored { id: detail.as_deref().and_then(|text| text.parse().ok()).ok_or_else(unknown)? }
        }
        ALREADY_THERE => RowOutcome::AlreadyThere,
        TAKEN => {
            RowOutcome::Taken { operation: detail.as_deref().and_then(|text| text.parse().ok()).ok_or_else(unknown)? }
        }
        CHANGED => RowOutcome::Changed { retries: detail.and_then(|text| text.parse().ok()) },
        GONE => RowOutcome::Gone,
        TOO_LONG => {
            let detail = detail.as_deref().and_then(|text| text.split_once(" of "));
            let numbers = detail.and_then(|(bytes, limit)| Some((bytes.parse().ok()?, limit.parse().ok()?)));
            let (bytes, limit) = numbers.ok_or_else(unknown)?;
            RowOutcome::TooLong { bytes, limit }
        }
        FAILED => RowOutcome::Failed { reason: detail.unwrap_or_default() },
        UNCERTAIN => RowOutcome::Uncertain { reason: detail.unwrap_or_default() },
        BUSY => RowOutcome::Busy { again: detail.as_deref() == Some(AGAIN) },
        _ => return Err(unknown()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::RowId, server::store::older_store};

    /// Runs expanded to one entry per row.
    type Rows = std::collections::BTreeMap<i64, (String, Option<String>, bool)>;

    fn as_rows(runs: &[Run]) -> Rows {
        let row = |run: &Run, at| (at, (run.outcome.clone(), run.detail.clone(), run.in_ledger));
        runs.iter().flat_map(|run| (run.first..=run.last).map(move |at| row(run, at))).collect()
    }

    #[test]
    fn runs_say_what_rows_one_by_one_would_say_and_never_overlap() {
        // Always the same sequence of changes, of every kind and length.
        let mut seed = 7_u64;
        let mut any = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((seed >> 33) % below) as i64
        };
        let (mut runs, mut rows) = (Vec::<Run>::new(), Rows::new());
        for at in (0..2_000).map(|step| step * SETTLED / 7) {
            let first = any(60);
            let positions: Vec<i64> = (first..first + any(12)).filter(|_| any(8) > 0).collect();
            let kind = any(5);
            let changes: Vec<Change> = positions
                .iter()
                .map(|position| {
                    let (outcome, in_ledger) = match kind {
                        0 => (None, None),
                        1 => (Some((WRITING, None)), Some(false)),
                        2 => (Some((CHANGED, Some(position.to_string()))), Some(true)),
                        _ => (Some((RESET, None)), None),
                    };
                    Change { position: *position, outcome, in_ledger }
                })
                .collect();
            for Change { position, outcome, in_ledger } in &changes {
                let before = rows.remove(position);
                if let Some((word, detail)) = outcome {
                    let in_ledger = in_ledger.unwrap_or(before.is_none_or(|(.., in_ledger)| in_ledger));
                    rows.insert(*position, ((*word).to_owned(), detail.clone(), in_ledger));
                }
            }
            runs = changed(&runs, &changes, at);
            assert_eq!(as_rows(&runs), rows, "{changes:?}");
            for pair in runs.windows(2) {
                assert!(pair[0].last < pair[1].first && !pair[0].goes_on_as(&pair[1], at), "{pair:?}");
            }
            for position in 0..75 {
                assert_eq!(holding(&runs, position).is_some(), rows.contains_key(&position));
            }
        }
    }

    #[tokio::test]
    async fn outcomes_of_an_older_store_are_the_same_in_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        older_store(
            &path,
            7,
            "INSERT INTO operations (id, started_at, who, address, kind, scope, stage) \
             VALUES (1, 0, 'local', '127.0.0.1', 'retry', 'six', 'running'); \
             INSERT INTO operation_rows (operation_id, position, app, row_id, seen_retries, outcome, detail, claimed) VALUES \
             (1, 0, 'odoo', '1', 5, 'reset', NULL, 0), (1, 1, 'odoo', '2', 5, 'reset', NULL, 0), \
             (1, 2, 'odoo', '3', 5, 'changed', '4', 0), (1, 3, 'odoo', '4', 5, 'reset', NULL, 0), \
             (1, 4, 'odoo', '5', 5, 'writing', NULL, 1), (1, 5, 'odoo', '6', 5, NULL, NULL, 1)",
        )
        .await;

        let store = Store::open(&path).await.unwrap();
        let outcomes: Vec<_> =
            store.operation_rows(1, 0, 10).await.unwrap().into_iter().map(|(_, row)| row.outcome).collect();
        let reset = Some(RowOutcome::Reset);
        let changed = Some(RowOutcome::Changed { retries: Some(4) });
        assert_eq!(outcomes, [reset.clone(), reset.clone(), changed, reset, None, None]);
        let next = store.next_rows(1, 10).await.unwrap();
        assert_eq!(next.iter().map(|(at, _, again)| (*at, *again)).collect::<Vec<_>>(), [(4, true)]);
        assert_eq!(store.claimed("odoo", &[1, 5, 6].map(RowId)).await.unwrap(), [RowId(5), RowId(6)]);
    }

    #[test]
    fn neighbours_with_one_outcome_are_one_run_once_no_look_began_before_them() {
        let reset = |position| Change { position, outcome: Some((RESET, None)), in_ledger: Some(true) };
        let runs = changed(&[], &(0..500).map(reset).collect::<Vec<_>>(), 1);
        let runs = changed(&runs, &(500..1000).map(reset).collect::<Vec<_>>(), 2);
        let stretches = |runs: &[Run]| runs.iter().map(|run| (run.first, run.last, run.at)).collect::<Vec<_>>();
        assert_eq!(stretches(&runs), [(0, 499, 1), (500, 999, 2)]);
        let runs = changed(&runs, &[reset(1000)], 2 + SETTLED);
        assert_eq!(stretches(&runs), [(0, 999, 2), (1000, 1000, 2 + SETTLED)]);
    }
}
