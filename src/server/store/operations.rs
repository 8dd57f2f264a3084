//! Operations: plans with every row, frozen before anything is touched, and how far they have come. A console that ends
//! half way finds here what it was about to do, and goes on.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection as _, QueryBuilder, Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    Only, ROWS, Store, StoreError, count, instant,
    ledger::{
        RequestCounts,
        read::{EVENT_COLUMNS, read_event},
    },
    list_of,
    runs::{self, RESET, RUN_OF_ROW, UNCERTAIN, WRITING, from_columns},
};
use crate::model::{
    RowId,
    ledger::{RequestKind, RequestOutcome},
    obstacle::no_address,
    operation::{
        CauseCount, Followed, Operation, OperationRow, OutcomeCounts, Pace, PlannedFeed, RowCourse, RowOutcome, Stage,
        TryFirst, WhichRows,
    },
};

/// An operation about to be planned.
#[derive(Clone, Debug)]
pub struct NewOperation {
    pub who: String,
    pub address: String,
    pub kind: RequestKind,
    pub scope: String,
    pub reason: Option<String>,
    /// A source that does not answer is waited for.
    pub waits: bool,
}

const COLUMNS: &str = "id, started_at, finished_at, who, address, kind, scope, reason, stage, note, planned, left_out, \
     per_minute, try_first, try_needed, waits, later_resolved, later_failed, untitled";

/// Of a row `r` and its run `u`: what [`read_row`] takes.
pub(super) const ROW_COLUMNS: &str =
    "r.position, r.app, r.row_id, r.feed_uri, r.event_id, r.seen_retries, r.copy_id, u.outcome, u.detail";

/// Operations `o` whose rows are their own: they have begun, and not ended.
pub(super) const UNDER_WAY: &str = "o.finished_at IS NULL AND o.stage IN ('running', 'trying', 'paused')";

/// The run `u` of a row says that its turn is over: that of a busy one comes again.
pub(super) const OVER: &str = "COALESCE(u.outcome, 'writing') NOT IN ('writing', 'busy')";

/// An event `e` of the ledger is of the row `r` of an operation. Ids beyond the numbers that SQLite knows become the nearest
/// of these as a number, which is the id of another row; the text tells them apart.
pub(super) const SAME_ROW: &str = "e.row_id = CAST(r.row_id AS INTEGER) AND CAST(e.row_id AS TEXT) = r.row_id";

/// Of a request `q` and its event `e`: the fault of the latest error before the request. An attempt is one before it where it
/// was entered before it, as for what became of it: the source's clock and the console's can differ.
const FAULT_BEFORE: &str = "COALESCE((SELECT a.fault_id FROM ledger_entries a WHERE a.ledger_event = e.id AND a.kind = 1 \
     AND a.id < (SELECT MAX(m.id) FROM ledger_entries m WHERE m.ledger_event = e.id AND m.kind = 3 \
     AND m.operation = q.operation) ORDER BY a.log_id DESC LIMIT 1), e.first_fault_id)";

impl Store {
    /// Records an operation whose rows are to be written down now; nothing has begun.
    pub async fn new_operation(&self, new: &NewOperation) -> Result<i64, StoreError> {
        let id = sqlx::query(
            "INSERT INTO operations (started_at, who, address, kind, scope, reason, stage, waits) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(Utc::now().timestamp_millis())
        .bind(&new.who)
        .bind(&new.address)
        .bind(kind_word(new.kind))
        .bind(&new.scope)
        .bind(&new.reason)
        .bind(Stage::Planning.word())
        .bind(new.waits)
        .fetch_one(&mut *self.quick().await?)
        .await?
        .try_get(0)?;
        Ok(id)
    }

    /// Writes rows down in the plan of an operation, behind those that are there.
    pub async fn plan_rows(&self, operation: i64, rows: &[OperationRow]) -> Result<(), StoreError> {
        let mut pen = self.quick().await?;
        let mut transaction = pen.begin_with("BEGIN IMMEDIATE").await?;
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

    /// Which of these rows another operation has under way.
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
            .execute(&mut *self.pen().await?)
            .await?;
        Ok(())
    }

    /// The plan is whole: how many rows there are, and how many of them have a later event of the same record.
    pub async fn close_plan(&self, operation: i64, left_out: Option<&str>) -> Result<(), StoreError> {
        // Counted before the pen is taken: of a large plan that is some time. The plus keeps the planner from going
        // through every event of a state, once for each row.
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

    /// Starts a planned operation: its rows are its own from now on, and rows that another one has under way are left to
    /// that one. Answers whether it was a plan that had not begun. On the disk at the latest when its first rows are announced:
    /// nothing was written to a source before that.
    pub async fn start_operation(
        &self,
        operation: i64,
        who: &str,
        address: &str,
        reason: Option<&str>,
        pace: Pace,
    ) -> Result<bool, StoreError> {
        let mut pen = self.quick().await?;
        let mut transaction = pen.begin_with("BEGIN IMMEDIATE").await?;
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

    /// Throws away a plan that has not begun. Answers whether there was one.
    pub async fn drop_plan(&self, operation: i64) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let dropped = drop_plans(&mut transaction, "id = ?", operation).await?;
        transaction.commit().await?;
        Ok(dropped > 0)
    }

    /// Throws away plans from before this time that nobody started.
    pub async fn drop_old_plans(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let dropped = drop_plans(&mut transaction, "started_at < ?", before.timestamp_millis()).await?;
        transaction.commit().await?;
        Ok(dropped)
    }

    /// Moves an operation from one of these stages to another, with a note; answers whether it was in one of them.
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
            // The audit log's entry of the end is on the disk; without the end it is found again after a crash.
            Stage::Ended => query.execute(&mut *self.quick().await?).await?,
            _ => query.execute(&mut *self.pen().await?).await?,
        };
        Ok(done.rows_affected() == 1)
    }

    /// Says of a running operation why it waits; `None`: it does not.
    pub async fn note(&self, operation: i64, note: Option<&str>) -> Result<(), StoreError> {
        // Of one that was paused meanwhile, the note says by whom.
        sqlx::query("UPDATE operations SET note = ? WHERE id = ? AND stage = ?")
            .bind(note)
            .bind(operation)
            .bind(Stage::Running.word())
            .execute(&mut *self.pen().await?)
            .await?;
        Ok(())
    }

    /// The operation goes on without waiting for the outcome of its first rows.
    pub async fn tried(&self, operation: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE operations SET try_first = NULL, try_needed = NULL WHERE id = ?")
            .bind(operation)
            .execute(&mut *self.pen().await?)
            .await?;
        Ok(())
    }

    /// The operations that have begun and not ended, oldest first.
    pub async fn under_way(&self) -> Result<Vec<i64>, StoreError> {
        let rows = sqlx::query("SELECT id FROM operations WHERE finished_at IS NULL AND stage IN (?, ?) ORDER BY id")
            .bind(Stage::Running.word())
            .bind(Stage::Trying.word())
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Throws away plans that were being written down when the console ended: what they had matched was never seen.
    pub async fn drop_unfinished_plans(&self) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let dropped = drop_plans(&mut transaction, "stage = 'planning' AND id > ?", 0).await?;
        transaction.commit().await?;
        Ok(dropped)
    }

    /// The record, newest first: at most `limit` operations with an id below `before`. Plans that nobody has started are
    /// not in it, nor is what took a row of an application that may not be seen.
    pub async fn operations(
        &self,
        before: Option<i64>,
        limit: u32,
        only: Only<'_>,
    ) -> Result<Vec<Operation>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM operations WHERE id < ?1 AND stage NOT IN (?2, ?3) AND {} ORDER BY id DESC LIMIT ?4",
            within("?5")
        )))
        .bind(before.unwrap_or(i64::MAX))
        .bind(Stage::Planning.word())
        .bind(Stage::Draft.word())
        .bind(limit)
        .bind(list_of(only))
        .fetch_all(&self.pool)
        .await?;
        let mut operations = rows.iter().map(read_operation).collect::<Result<Vec<_>, _>>()?;
        self.count(&mut operations).await?;
        Ok(operations)
    }

    /// Retries that have begun and of which a result is awaited, the newest first; among the newest of all retries. With
    /// their counts, but for how many failed with the same fault.
    pub async fn retries_in_progress(&self, only: Only<'_>) -> Result<Vec<Operation>, StoreError> {
        /// So many retries are looked at. Of older ones a result is hardly awaited any more.
        const NEWEST: u32 = 200;
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM (SELECT * FROM operations WHERE kind = ?1 ORDER BY id DESC LIMIT ?2) AS operations \
             WHERE (stage IN ('running', 'trying', 'paused') OR stage = 'ended' AND EXISTS (SELECT 1 FROM ledger_requests q \
             WHERE q.operation = operations.id AND q.outcome IS NULL)) AND {} ORDER BY id DESC",
            within("?3")
        )))
        .bind(kind_word(RequestKind::Retry))
        .bind(NEWEST)
        .bind(list_of(only))
        .fetch_all(&self.pool)
        .await?;
        let mut operations = rows.iter().map(read_operation).collect::<Result<Vec<_>, _>>()?;
        self.count_outcomes(&mut operations).await?;
        Ok(operations)
    }

    /// Whether all rows of an operation are of these applications.
    pub async fn operation_is_within(&self, id: i64, only: Only<'_>) -> Result<bool, StoreError> {
        let found = sqlx::query(AssertSqlSafe(format!("SELECT 1 FROM operations WHERE id = ?1 AND {}", within("?2"))))
            .bind(id)
            .bind(list_of(only))
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }

    /// One operation; `None` when there is none with this id.
    pub async fn operation(&self, id: i64) -> Result<Option<Operation>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM operations WHERE id = ?")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut operations = [read_operation(&row)?];
        self.count(&mut operations).await?;
        let [operation] = operations;
        Ok(Some(operation))
    }

    /// One operation without its counts, which cost a look at all of its rows.
    pub async fn operation_alone(&self, id: i64) -> Result<Option<Operation>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM operations WHERE id = ?")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_operation).transpose()
    }

    /// How many rows an operation has so far.
    pub async fn planned_so_far(&self, operation: i64) -> Result<u64, StoreError> {
        // Positions are given one after the other.
        let row = sqlx::query("SELECT COALESCE(MAX(position) + 1, 0) FROM operation_rows WHERE operation_id = ?")
            .bind(operation)
            .fetch_one(&self.pool)
            .await?;
        Ok(count(&row, 0)?)
    }

    /// What the watcher saw of an operation's request for a row; the outer `None`: there is no such request.
    pub async fn request_outcome(
        &self,
        operation: i64,
        app: &str,
        row: RowId,
    ) -> Result<Option<Option<RequestOutcome>>, StoreError> {
        let Ok(row_id) = i64::try_from(row.0) else { return Ok(None) };
        let row = sqlx::query(
            "SELECT q.outcome FROM ledger_requests q JOIN ledger_events e ON e.id = q.ledger_event \
             JOIN ledger_sources s ON s.id = e.source_id WHERE e.row_id = ? AND s.app = ? AND q.operation = ? \
             ORDER BY q.id DESC LIMIT 1",
        )
        .bind(row_id)
        .bind(app)
        .bind(operation)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row
            .map(|row| row.try_get::<Option<i64>, _>(0))
            .transpose()?
            .map(|code| code.and_then(RequestOutcome::from_code)))
    }

    /// Whether an operation waits for a source that does not answer.
    pub async fn waits(&self, id: i64) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT waits FROM operations WHERE id = ?").bind(id).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
    }

    /// The rows of an operation in the order they are taken: at most `limit` from position `from` on, with positions.
    pub async fn operation_rows(
        &self,
        operation: i64,
        from: i64,
        limit: u32,
    ) -> Result<Vec<(i64, OperationRow)>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {ROW_COLUMNS} FROM operation_rows r LEFT JOIN {RUN_OF_ROW} \
             WHERE r.operation_id = ? AND r.position >= ? ORDER BY r.position LIMIT ?"
        )))
        .bind(operation)
        .bind(from)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_row).collect()
    }

    /// The rows of an operation that its page shows, in the order they are taken, with what the ledger says of each: at most
    /// `limit` from position `from` on, with positions.
    pub async fn courses(
        &self,
        operation: i64,
        which: WhichRows,
        from: i64,
        limit: u32,
    ) -> Result<Vec<(i64, RowCourse)>, StoreError> {
        let rows = match which {
            WhichRows::All => self.operation_rows(operation, from, limit).await?,
            _ => self.operation_rows_with(operation, which, from, limit).await?,
        };
        let mut courses = Vec::with_capacity(rows.len());
        for (position, row) in rows {
            courses.push((position, self.course(operation, position, row).await?));
        }
        Ok(courses)
    }

    /// Of a retry, the rows whose requests have come to this.
    async fn operation_rows_with(
        &self,
        operation: i64,
        which: WhichRows,
        from: i64,
        limit: u32,
    ) -> Result<Vec<(i64, OperationRow)>, StoreError> {
        let (outcome, fault) = match which {
            WhichRows::All | WhichRows::Open => (None, None),
            WhichRows::Resolved => (Some(RequestOutcome::Resolved), None),
            WhichRows::FailedAgain => (Some(RequestOutcome::FailedAgain), None),
            WhichRows::Overwritten => (Some(RequestOutcome::Overwritten), None),
            WhichRows::Gone => (Some(RequestOutcome::Gone), None),
            WhichRows::Cause(fault) => (Some(RequestOutcome::FailedAgain), Some(fault)),
        };
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {ROW_COLUMNS} FROM operation_rows r LEFT JOIN {RUN_OF_ROW} \
             WHERE r.operation_id = ?1 AND r.position >= ?2 AND EXISTS (SELECT 1 FROM ledger_sources s \
             JOIN ledger_events e ON e.source_id = s.id AND {SAME_ROW} \
             JOIN ledger_requests q ON q.operation = ?1 AND q.ledger_event = e.id \
             WHERE s.app = r.app AND q.outcome IS ?3 AND (?4 IS NULL OR q.outcome_fault_id = ?4)) \
             ORDER BY r.position LIMIT ?5"
        )))
        .bind(operation)
        .bind(from)
        .bind(outcome.map(RequestOutcome::code))
        .bind(fault)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_row).collect()
    }

    /// What the ledger says of a row: of its request, where there is one, and of its event.
    async fn course(&self, operation: i64, position: i64, row: OperationRow) -> Result<RowCourse, StoreError> {
        let reset = row.outcome == Some(RowOutcome::Reset);
        let mut course = RowCourse {
            named: row.is_named(),
            row,
            seen: None,
            unfollowed: false,
            new_fault: None,
            title: None,
            record: None,
            fault: None,
            since: None,
        };
        let known = match i64::try_from(course.row.id.0) {
            Ok(row_id) => self.known_of(operation, &course.row.app, row_id).await?,
            Err(_) => None,
        };
        let asked = match &known {
            Some(known) => known.try_get("asked_for")?,
            None => false,
        };
        if reset && !asked {
            course.unfollowed = self.not_asked(operation, Some(position)).await?.1 > 0;
        }
        let Some(known) = known else { return Ok(course) };
        course.seen = known.try_get::<Option<i64>, _>(0)?.and_then(RequestOutcome::from_code);
        let (same, fault) = (known.try_get::<Option<bool>, _>(1)?, known.try_get::<Option<String>, _>(2)?);
        course.new_fault = same.zip(fault);
        course.fault = known.try_get(3)?;
        let event = read_event(&known)?;
        course.since = Some(event.failed_since());
        if !course.named {
            (course.row.feed_uri, course.row.event_id) = (event.feed_uri, event.event_id);
            course.named = true;
        }
        (course.title, course.record) = (event.title, event.record);
        Ok(course)
    }

    /// The event of a row with its request by an operation, or else the newest event that had the row's id.
    async fn known_of(&self, operation: i64, app: &str, row_id: i64) -> Result<Option<SqliteRow>, StoreError> {
        Ok(sqlx::query(AssertSqlSafe(format!(
            "SELECT q.outcome, q.outcome_fault_id = {FAULT_BEFORE}, d.fingerprint, l.fingerprint, \
             q.id IS NOT NULL AS asked_for, {EVENT_COLUMNS} \
             FROM ledger_sources s JOIN ledger_events e ON e.source_id = s.id AND e.row_id = ?1 \
             JOIN ledger_feeds f ON f.id = e.feed_id LEFT JOIN ledger_requests q ON q.operation = ?2 AND q.ledger_event = e.id \
             LEFT JOIN ledger_faults d ON d.id = q.outcome_fault_id LEFT JOIN ledger_faults l ON l.id = e.fault_id \
             WHERE s.app = ?3 ORDER BY q.id IS NULL, q.id DESC, e.id DESC LIMIT 1",
        )))
        .bind(row_id)
        .bind(operation)
        .bind(app)
        .fetch_optional(&self.pool)
        .await?)
    }

    /// Rows of a retry that were reset and that the ledger has no request for, of all or at one position: how many may still
    /// get one, because the table was not looked at since, and how many will not. These have ids that the ledger cannot hold,
    /// or left the table before they were seen in it.
    async fn not_asked(&self, operation: i64, position: Option<i64>) -> Result<(u64, u64), StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT COUNT(*), COALESCE(SUM(CASE WHEN CAST(CAST(r.row_id AS INTEGER) AS TEXT) <> r.row_id \
             OR (SELECT o.read_whole_at IS NOT NULL AND o.looked_at > u.at FROM ledger_sources o WHERE o.app = r.app) \
             THEN 1 ELSE 0 END), 0) FROM operation_runs u CROSS JOIN operation_rows r ON r.operation_id = u.operation_id \
             AND r.position BETWEEN MAX(u.first, ?2) AND MIN(u.last, ?3) \
             WHERE u.operation_id = ?1 AND u.first <= ?3 AND u.last >= ?2 AND u.outcome = ?4 AND u.told = 1 \
             AND NOT EXISTS (SELECT 1 FROM ledger_sources s CROSS JOIN ledger_events e ON e.source_id = s.id AND {SAME_ROW} \
             CROSS JOIN ledger_requests q ON q.operation = r.operation_id AND q.ledger_event = e.id WHERE s.app = r.app)"
        )))
        .bind(operation)
        .bind(position.unwrap_or(0))
        .bind(position.unwrap_or(i64::MAX))
        .bind(RESET)
        .fetch_one(&self.pool)
        .await?;
        let (all, never) = (count(&row, 0)?, count(&row, 1)?);
        Ok((all.saturating_sub(never), never))
    }

    /// With which faults the rows of an operation failed again, the most frequent first: at most `limit`.
    pub async fn causes_of(&self, operation: i64, limit: u32) -> Result<Vec<CauseCount>, StoreError> {
        let rows: Vec<(i64, String, i64)> = sqlx::query_as(
            "SELECT d.id, d.fingerprint, COUNT(*) FROM ledger_requests q JOIN ledger_faults d ON d.id = q.outcome_fault_id \
             WHERE q.operation = ? AND q.outcome = ? GROUP BY d.id ORDER BY COUNT(*) DESC, d.id LIMIT ?",
        )
        .bind(operation)
        .bind(RequestOutcome::FailedAgain.code())
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        let counted = |(fault, said, rows)| CauseCount { fault, said, rows: u64::try_from(rows).unwrap_or_default() };
        Ok(rows.into_iter().map(counted).collect())
    }

    /// The stage that an operation is in; `None`: there is none with this id.
    pub async fn stage(&self, operation: i64) -> Result<Option<Stage>, StoreError> {
        let row =
            sqlx::query("SELECT stage FROM operations WHERE id = ?").bind(operation).fetch_optional(&self.pool).await?;
        row.map(|row| read_stage(&row)).transpose()
    }

    /// The applications that an operation has rows of.
    pub async fn apps_of(&self, operation: i64) -> Result<Vec<String>, StoreError> {
        let mut apps = Vec::<String>::new();
        // From one to the next, without reading their rows.
        loop {
            let row = sqlx::query("SELECT MIN(app) FROM operation_rows WHERE operation_id = ? AND app > ?")
                .bind(operation)
                .bind(apps.last().map_or("", String::as_str))
                .fetch_one(&self.pool)
                .await?;
            match row.try_get(0)? {
                Some(app) => apps.push(app),
                None => return Ok(apps),
            }
        }
    }

    /// The feeds of a plan, the one with the most rows first. What is no address ([`no_address`]) is `None`: one feed.
    pub async fn planned_feeds(&self, operation: &Operation) -> Result<Vec<PlannedFeed>, StoreError> {
        const PLANNED: &str = "SELECT app, feed_uri AS uri, COUNT(*) FROM operation_rows WHERE operation_id = ? \
             GROUP BY app, uri ORDER BY COUNT(*) DESC, app, uri LIMIT 1000";
        // Run by run: a search for the run of each row costs more than all the rest.
        const RESETS: &str = "SELECT r.app, r.feed_uri AS uri, COUNT(*) FROM operation_runs u \
             CROSS JOIN operation_rows r ON r.operation_id = u.operation_id AND r.position BETWEEN u.first AND u.last \
             WHERE u.operation_id = ? AND u.outcome = ? GROUP BY r.app, uri";
        let planned: Vec<(String, Option<String>, i64)> =
            sqlx::query_as(PLANNED).bind(operation.id).fetch_all(&self.pool).await?;
        let counts = operation.counts;
        let apart = counts.reset > 0 && counts.reset < counts.asked;
        let resets: Vec<(String, Option<String>, i64)> = match apart {
            true => sqlx::query_as(RESETS).bind(operation.id).bind(RESET).fetch_all(&self.pool).await?,
            false => Vec::new(),
        };
        let resets = by_feed(resets);
        let mut planned: Vec<_> = by_feed(planned).into_iter().collect();
        planned.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
        let of_feed = |(feed, rows): ((String, Option<String>), i64)| {
            let reset = match apart {
                true => resets.get(&feed).copied().unwrap_or_default(),
                false if counts.reset == 0 => 0,
                false => rows,
            };
            let (app, feed_uri) = feed;
            let number = |number| u64::try_from(number).unwrap_or_default();
            PlannedFeed { app, feed_uri, rows: number(rows), reset: number(reset), waiting: 0 }
        };
        Ok(planned.into_iter().map(of_feed).collect())
    }

    /// Rows of a plan that had fewer retries than so many when they were seen, by the feeds of an application as
    /// [`Store::planned_feeds`] has them.
    pub async fn planned_below(
        &self,
        operation: i64,
        app: &str,
        retries: i64,
    ) -> Result<BTreeMap<Option<String>, u64>, StoreError> {
        let rows: Vec<(String, Option<String>, i64)> = sqlx::query_as(
            "SELECT app, feed_uri AS uri, COUNT(*) FROM operation_rows \
             WHERE operation_id = ? AND app = ? AND seen_retries < ? GROUP BY uri",
        )
        .bind(operation)
        .bind(app)
        .bind(retries)
        .fetch_all(&self.pool)
        .await?;
        let rows = by_feed(rows).into_iter();
        Ok(rows.map(|((_, uri), rows)| (uri, u64::try_from(rows).unwrap_or_default())).collect())
    }

    /// Operations with a reset that the consumer wrote over, but for those that were cancelled.
    pub async fn overwritten(&self) -> Result<Vec<i64>, StoreError> {
        let rows = sqlx::query(
            "SELECT DISTINCT operation FROM ledger_requests WHERE outcome = 3 \
             AND operation NOT IN (SELECT id FROM operations WHERE stage = 'cancelled')",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Counts that a row's reset is set once more, if that was done fewer than `most` times; answers its position if it may.
    pub async fn once_more(&self, operation: i64, app: &str, row: RowId, most: u32) -> Result<Option<i64>, StoreError> {
        let counted = sqlx::query(
            "UPDATE operation_rows SET again = again + 1 WHERE operation_id = ?1 AND app = ?2 AND row_id = ?3 AND again < ?4 \
             AND (SELECT u.outcome FROM operation_runs u WHERE u.operation_id = ?1 AND u.first <= operation_rows.position \
             AND u.last >= operation_rows.position ORDER BY u.first DESC LIMIT 1) IN (?5, ?6) RETURNING position",
        )
        .bind(operation)
        .bind(app)
        .bind(row.to_string())
        .bind(most)
        .bind(RESET)
        .bind(UNCERTAIN)
        .fetch_optional(&mut *self.pen().await?)
        .await?;
        Ok(counted.map(|row| row.try_get(0)).transpose()?)
    }

    /// Fills in all counts.
    async fn count(&self, operations: &mut [Operation]) -> Result<(), StoreError> {
        self.count_outcomes(operations).await?;
        for operation in operations.iter_mut().filter(|operation| operation.followed.failed_again > 0) {
            operation.followed.same_fault = self.same_fault(operation.id).await?;
        }
        Ok(())
    }

    /// Fills in the counts, but for how many failed with the same fault.
    async fn count_outcomes(&self, operations: &mut [Operation]) -> Result<(), StoreError> {
        let ids: Vec<i64> = operations.iter().map(|operation| operation.id).collect();
        let requests = self.request_counts(&ids).await?;
        for operation in operations {
            let requests = requests.get(&operation.id).copied().unwrap_or_default();
            let (counts, told) = self.outcome_counts(operation.id).await?;
            operation.counts = counts;
            operation.followed = followed(requests);
            // Mostly every row has a request, and which have none need not be asked.
            if operation.kind == RequestKind::Retry && told > requests.standing() {
                let (yet, never) = self.not_asked(operation.id, None).await?;
                operation.followed.open += yet;
                operation.followed.unfollowed = never;
            }
        }
        Ok(())
    }

    async fn same_fault(&self, operation: i64) -> Result<u64, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT COUNT(*) FROM ledger_requests q JOIN ledger_events e ON e.id = q.ledger_event \
             WHERE q.operation = ? AND q.outcome = ? AND q.outcome_fault_id = {FAULT_BEFORE}"
        )))
        .bind(operation)
        .bind(RequestOutcome::FailedAgain.code())
        .fetch_one(&self.pool)
        .await?;
        Ok(count(&row, 0)?)
    }
}

/// Adds up rows by application and feed. What is no address is one feed, however it is written.
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

/// There are rows, and all are of applications in a list, which is this parameter; NULL: it does not matter. Of a plan
/// whose first row is not written down yet nobody knows whose it will be.
fn within(list: &str) -> String {
    format!(
        "({list} IS NULL OR EXISTS (SELECT 1 FROM operation_rows r WHERE r.operation_id = operations.id) AND NOT EXISTS (SELECT 1 FROM operation_rows r WHERE r.operation_id = operations.id \
         AND instr({list}, ' ' || r.app || ' ') = 0))"
    )
}

/// Leaves rows to other operations that have them under way. A row that a form named twice is one row.
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
        // Of a row that is named twice and another operation's, the other one is told.
        taken.entry(row.try_get(0)?).or_insert(row.try_get(1)?);
    }
    runs::leave_to(transaction, operation, &taken.into_iter().collect::<Vec<_>>()).await
}

/// Throws away plans that nobody has started and that a condition with one number names.
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

pub(super) fn kind_word(kind: RequestKind) -> &'static str {
    match kind {
        RequestKind::Retry => "retry",
        RequestKind::Discard => "discard",
        RequestKind::Restore => "restore",
    }
}

pub(super) fn kind_of(word: &str) -> Result<RequestKind, StoreError> {
    [RequestKind::Retry, RequestKind::Discard, RequestKind::Restore]
        .into_iter()
        .find(|kind| kind_word(*kind) == word)
        .ok_or_else(|| StoreError::Content(format!("the kind of operation {word:?}")))
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
mod tests {
    use super::*;
    use crate::server::store::{WhichCopies, ledger::Ask};

    fn row(id: i128) -> OperationRow {
        OperationRow {
            app: "odoo".into(),
            id: RowId(id),
            feed_uri: None,
            event_id: Some("tag:x:1".into()),
            seen_retries: Some(5),
            copy: None,
            outcome: None,
        }
    }

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        (folder, store)
    }

    async fn planned(store: &Store, scope: &str, rows: &[OperationRow]) -> i64 {
        let new = NewOperation {
            who: "local".into(),
            address: "127.0.0.1".into(),
            kind: RequestKind::Retry,
            scope: scope.into(),
            reason: None,
            waits: true,
        };
        let id = store.new_operation(&new).await.unwrap();
        store.plan_rows(id, rows).await.unwrap();
        store.close_plan(id, None).await.unwrap();
        id
    }

    async fn start(store: &Store, id: i64) -> bool {
        store.start_operation(id, "local", "127.0.0.1", Some("Odoo is back"), Pace::default()).await.unwrap()
    }

    #[tokio::test]
    async fn an_operation_is_on_record_before_and_after_it_ran() {
        let (_folder, store) = store().await;
        let outcomes = [
            RowOutcome::Reset,
            RowOutcome::Discarded,
            RowOutcome::Restored { id: RowId(i128::from(u64::MAX)) },
            RowOutcome::AlreadyThere,
            RowOutcome::Taken { operation: 9 },
            RowOutcome::Changed { retries: Some(3) },
            RowOutcome::Changed { retries: None },
            RowOutcome::Gone,
            RowOutcome::TooLong { bytes: 9_000_000, limit: 8_388_608 },
            RowOutcome::Failed { reason: "Odoo does not answer.".into() },
            RowOutcome::Uncertain { reason: "The connection was lost.".into() },
        ];
        let rows: Vec<_> = (1..=11).map(row).collect();
        let id = planned(&store, "eleven", &rows).await;
        assert_eq!(store.operations(None, 10, None).await.unwrap(), [], "a plan is no operation yet");
        assert!(start(&store, id).await && !start(&store, id).await, "a plan is started once");
        let begun = store.operation(id).await.unwrap().unwrap();
        assert_eq!((begun.stage, begun.counts.asked, begun.counts.to_come()), (Stage::Running, 11, 11));

        let at: Vec<_> = (0..).zip(outcomes.clone()).collect();
        store.record_outcomes(id, &at).await.unwrap();
        store.set_stage(id, &[Stage::Running], Stage::Ended, None).await.unwrap();
        let done = store.operation(id).await.unwrap().unwrap();
        assert!(done.finished_at.is_some_and(|at| at >= done.started_at));
        let counts = OutcomeCounts {
            asked: 11,
            reset: 1,
            discarded: 1,
            restored: 1,
            already_there: 1,
            taken: 1,
            changed: 2,
            gone: 1,
            too_long: 1,
            failed: 1,
            uncertain: 1,
            busy: 0,
        };
        assert_eq!((done.counts, done.counts.to_come()), (counts, 0));
        let read = store.operation_rows(id, 0, 100).await.unwrap();
        assert_eq!(read.iter().map(|(_, row)| row.outcome.clone().unwrap()).collect::<Vec<_>>(), outcomes);
        assert!(!store.set_stage(id, &[Stage::Running], Stage::Paused, None).await.unwrap(), "it has ended");
    }

    #[tokio::test]
    async fn a_row_belongs_to_one_operation_until_its_outcome_is_known() {
        let (_folder, store) = store().await;
        let first = planned(&store, "first", &[row(1), row(2), row(2)]).await;
        let second = planned(&store, "second", &[row(2), row(3)]).await;
        start(&store, first).await;
        start(&store, second).await;
        assert_eq!(
            store.operation_rows(first, 2, 1).await.unwrap()[0].1.outcome,
            Some(RowOutcome::Taken { operation: first })
        );
        let outcome = store.operation_rows(second, 0, 1).await.unwrap()[0].1.outcome.clone();
        assert_eq!(outcome, Some(RowOutcome::Taken { operation: first }));
        assert_eq!(store.claimed("odoo", &[RowId(1), RowId(3), RowId(4)]).await.unwrap(), [RowId(1), RowId(3)]);
        store.record_outcomes(first, &[(0, RowOutcome::Reset)]).await.unwrap();
        store.set_stage(second, &[Stage::Running], Stage::Cancelled, None).await.unwrap();
        assert_eq!(store.claimed("odoo", &[RowId(1), RowId(2), RowId(3)]).await.unwrap(), [RowId(2)]);
    }

    #[tokio::test]
    async fn rows_of_a_console_that_ended_come_again_and_are_told_from_those_never_touched() {
        let (_folder, store) = store().await;
        let mut other = row(9);
        other.app = "pacs".into();
        let id = planned(&store, "five", &[row(1), row(2), row(3), row(4), other]).await;
        start(&store, id).await;
        let operation = store.operation(id).await.unwrap().unwrap();
        store.announce(&operation, "odoo", &[0, 1], &[]).await.unwrap();
        store.record_outcomes(id, &[(0, RowOutcome::Reset)]).await.unwrap();
        let next = store.next_rows(id, 10).await.unwrap();
        assert_eq!(next.iter().map(|(at, _, again)| (*at, *again)).collect::<Vec<_>>(), [(1, true)]);
        store.record_outcomes(id, &[(1, RowOutcome::Reset)]).await.unwrap();
        let next = store.next_rows(id, 10).await.unwrap();
        assert_eq!(next.iter().map(|(at, _, again)| (*at, *again)).collect::<Vec<_>>(), [(2, false), (3, false)]);
        assert_eq!(store.under_way().await.unwrap(), [id]);
        store.announce(&operation, "odoo", &[2], &[]).await.unwrap();
        store.unmark_writing(id, &[2]).await.unwrap();
        assert!(!store.next_rows(id, 1).await.unwrap()[0].2, "nothing was written for it");
        store.announce(&operation, "odoo", &[2], &[]).await.unwrap();
        assert!(store.mark(id, &[3]).await.unwrap());
        store.set_stage(id, &[Stage::Running], Stage::Cancelled, None).await.unwrap();
        assert!(!store.mark(id, &[4]).await.unwrap(), "it does not run any more");
        // What was marked and not reached is known to whoever took the rows; what is left after that, to nobody.
        store.unmark_writing(id, &[3]).await.unwrap();
        store.end_writing(Some(id)).await.unwrap();
        let counts = store.operation(id).await.unwrap().unwrap().counts;
        assert_eq!((counts.reset, counts.uncertain, counts.to_come()), (2, 1, 2));
    }

    /// A MySQL database can have such ids (BIGINT UNSIGNED), and rows at the end of the numbers, too.
    #[tokio::test]
    async fn an_id_beyond_the_numbers_of_the_store_is_no_other_rows() {
        let (_folder, store) = store().await;
        sqlx::raw_sql(
            "INSERT INTO ledger_sources (id, app, since) VALUES (1, 'odoo', 0);
             INSERT INTO ledger_feeds (id, source_id, uri) VALUES (1, 1, 'f');
             INSERT INTO ledger_faults VALUES (1, 1, 'a fault');
             INSERT INTO ledger_events (id, source_id, row_id, feed_id, event_id, record, failed_at, seen_at, mark, state,
                first_fault_id, fault_id) VALUES
                (1, 1, 9223372036854775807, 1, 'tag:x:1', '10000000-0000-4000-8000-000000000001', 1, 0, 0, 2, 1, 1),
                (2, 1, 5, 1, 'tag:x:5', '10000000-0000-4000-8000-000000000001', 2, 0, 0, 2, 1, 1);",
        )
        .execute(&store.pen)
        .await
        .unwrap();
        let highest = i128::from(i64::MAX);
        let id = planned(&store, "beyond", &[row(highest + 1), row(i128::from(u64::MAX))]).await;
        let last = planned(&store, "the last one", &[row(highest)]).await;
        let later = async |id| store.operation(id).await.unwrap().unwrap().later_failed;
        assert_eq!((later(id).await, later(last).await), (0, 1));

        start(&store, id).await;
        let operation = store.operation(id).await.unwrap().unwrap();
        let ask = |id| Ask { row_id: RowId(id), event_id: None, retries_before: Some(5) };
        store.announce(&operation, "odoo", &[0, 1], &[ask(highest + 1), ask(i128::from(u64::MAX))]).await.unwrap();
        store.record_outcomes(id, &[(0, RowOutcome::Reset), (1, RowOutcome::Reset)]).await.unwrap();
        let courses = store.courses(id, WhichRows::All, 0, 10).await.unwrap();
        assert!(courses.iter().all(|(_, course)| course.unfollowed && course.record.is_none()), "{courses:?}");
        assert_eq!(store.operation(id).await.unwrap().unwrap().followed.unfollowed, 2);
        // What becomes of the last row is not what becomes of these.
        store.ask("odoo", RequestKind::Retry, id, "local", &[ask(highest)]).await.unwrap();
        assert_eq!(store.courses(id, WhichRows::Open, 0, 10).await.unwrap(), []);

        sqlx::raw_sql(
            "INSERT INTO discarded (operation_id, position, app, row_id, event_id, fault, at, state, whole) VALUES
                (1, 0, 'odoo', '9223372036854775807', 'tag:x:1', 'a fault', 0, 'discarded', x''),
                (1, 1, 'odoo', '9223372036854775808', 'tag:x:1', 'a fault', 0, 'discarded', x'')",
        )
        .execute(&store.pen)
        .await
        .unwrap();
        let copies = store.discarded(&WhichCopies::default(), None, 10, None).await.unwrap();
        let known = |id| copies.iter().find(|copy| copy.row_id == RowId(id)).map(|copy| copy.record.is_some());
        assert_eq!((known(highest), known(highest + 1)), (Some(true), Some(false)));
    }

    #[tokio::test]
    async fn plans_that_nobody_starts_are_thrown_away_and_operations_are_not() {
        let (_folder, store) = store().await;
        let started = planned(&store, "started", &[row(1)]).await;
        start(&store, started).await;
        let plan = planned(&store, "a plan", &[row(2)]).await;
        assert!(!store.drop_plan(started).await.unwrap());
        assert_eq!(store.drop_old_plans(Utc::now() + chrono::TimeDelta::seconds(1)).await.unwrap(), 1);
        assert_eq!(store.operation(plan).await.unwrap(), None);
        assert_eq!(store.operation_rows(started, 0, 9).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_record_is_read_newest_first_and_in_pages_and_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        let store = Store::open(&path).await.unwrap();
        for number in 0..5 {
            let id = planned(&store, &format!("no. {number}"), &[row(number)]).await;
            start(&store, id).await;
        }
        store.close().await;
        let store = Store::open(&path).await.unwrap();
        let first = store.operations(None, 3, None).await.unwrap();
        let rest = store.operations(Some(first[2].id), 3, None).await.unwrap();
        let scopes: Vec<_> = first.iter().chain(&rest).map(|operation| operation.scope.as_str()).collect();
        assert_eq!(scopes, ["no. 4", "no. 3", "no. 2", "no. 1", "no. 0"]);
    }

    #[tokio::test]
    async fn a_lost_reset_is_set_again_a_few_times_and_no_more() {
        let (_folder, store) = store().await;
        let id = planned(&store, "one", &[row(1), row(2)]).await;
        start(&store, id).await;
        store.record_outcomes(id, &[(0, RowOutcome::Reset), (1, RowOutcome::Gone)]).await.unwrap();
        let mut may = Vec::new();
        for _ in 0..4 {
            may.push(store.once_more(id, "odoo", RowId(1), 3).await.unwrap());
        }
        assert_eq!(may, [Some(0), Some(0), Some(0), None]);
        assert_eq!(store.once_more(id, "odoo", RowId(2), 3).await.unwrap(), None, "it was never reset");
    }
}
