//! Queries on operations, their rows and their outcomes.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Row as _, sqlite::SqliteRow};

use super::super::{
    Only, Store, StoreError, count,
    ledger::read::{EVENT_COLUMNS, read_event},
    list_of,
    runs::{RESET, RUN_OF_ROW, UNCERTAIN},
};
use super::{
    COLUMNS, FAULT_BEFORE, ROW_COLUMNS, SAME_ROW, by_feed, followed, read_operation, read_row, read_stage, within,
};
use crate::model::{
    RowId,
    ledger::{RequestKind, RequestOutcome},
    operation::{CauseCount, Operation, OperationRow, PlannedFeed, RowCourse, RowOutcome, Stage, WhichRows},
};

impl Store {
    /// Returns the operations, newest first: at most `limit` with an id below `before`. Omits plans that were never
    /// started, and operations with a row of an application that the caller may not see.
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

    /// Returns the retries that have begun and await a result, newest first; only among the newest of all retries.
    /// Fills in their counts, except how many failed with the same fault.
    pub async fn retries_in_progress(&self, only: Only<'_>) -> Result<Vec<Operation>, StoreError> {
        /// Number of retries considered. Results of older ones are hardly awaited any more.
        const NEWEST: u32 = 200;
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM (SELECT * FROM operations WHERE kind = ?1 ORDER BY id DESC LIMIT ?2) AS operations \
             WHERE (stage IN ('running', 'trying', 'paused') OR stage = 'ended' AND EXISTS (SELECT 1 FROM ledger_requests q \
             WHERE q.operation = operations.id AND q.outcome IS NULL)) AND {} ORDER BY id DESC",
            within("?3")
        )))
        .bind(RequestKind::Retry.word())
        .bind(NEWEST)
        .bind(list_of(only))
        .fetch_all(&self.pool)
        .await?;
        let mut operations = rows.iter().map(read_operation).collect::<Result<Vec<_>, _>>()?;
        self.count_outcomes(&mut operations).await?;
        Ok(operations)
    }

    /// Returns whether all rows of an operation are of these applications.
    pub async fn operation_is_within(&self, id: i64, only: Only<'_>) -> Result<bool, StoreError> {
        let found = sqlx::query(AssertSqlSafe(format!("SELECT 1 FROM operations WHERE id = ?1 AND {}", within("?2"))))
            .bind(id)
            .bind(list_of(only))
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }

    /// Returns one operation; `None` if there is none with this id.
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

    /// Returns one operation without its counts, which require reading all of its rows.
    pub async fn operation_alone(&self, id: i64) -> Result<Option<Operation>, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM operations WHERE id = ?")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_operation).transpose()
    }

    /// Returns the number of rows that an operation has so far.
    pub async fn planned_so_far(&self, operation: i64) -> Result<u64, StoreError> {
        // Positions are consecutive.
        let row = sqlx::query("SELECT COALESCE(MAX(position) + 1, 0) FROM operation_rows WHERE operation_id = ?")
            .bind(operation)
            .fetch_one(&self.pool)
            .await?;
        Ok(count(&row, 0)?)
    }

    /// Returns the outcome that the watcher saw for an operation's request for a row; the outer `None`: there is no
    /// such request.
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

    /// Returns whether an operation waits for a source that does not answer.
    pub async fn waits(&self, id: i64) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT waits FROM operations WHERE id = ?").bind(id).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
    }

    /// Returns the rows of an operation in processing order: at most `limit` from position `from` on, with positions.
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

    /// Returns the rows of an operation that its page shows, in processing order, with the ledger's data of each: at
    /// most `limit` from position `from` on, with positions.
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

    /// Returns the rows of a retry whose requests have this outcome.
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

    /// Adds the ledger's data to a row: on its request, if there is one, and on its event.
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
            called: None,
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

    /// Returns the event of a row with its request by an operation, otherwise the newest event that had the row's id.
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

    /// Counts rows of a retry that were reset and have no request in the ledger, of all or at one position: those that
    /// may still get one, because the table was not polled since, and those that will not. The latter have ids that the
    /// ledger cannot hold, or left the table before they were seen in it.
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

    /// Returns the faults with which the rows of an operation failed again, the most frequent first: at most `limit`.
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

    /// Returns the stage of an operation; `None` if there is none with this id.
    pub async fn stage(&self, operation: i64) -> Result<Option<Stage>, StoreError> {
        let row =
            sqlx::query("SELECT stage FROM operations WHERE id = ?").bind(operation).fetch_optional(&self.pool).await?;
        row.map(|row| read_stage(&row)).transpose()
    }

    /// Returns the applications of an operation's rows.
    pub async fn apps_of(&self, operation: i64) -> Result<Vec<String>, StoreError> {
        let mut apps = Vec::<String>::new();
        // Jumps from one application to the next without reading their rows.
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

    /// Returns the feeds of a plan, the one with the most rows first. All values that are not addresses
    /// ([`crate::model::obstacle::no_address`]) are one feed: `None`.
    pub async fn planned_feeds(&self, operation: &Operation) -> Result<Vec<PlannedFeed>, StoreError> {
        const PLANNED: &str = "SELECT app, feed_uri AS uri, COUNT(*) FROM operation_rows WHERE operation_id = ? \
             GROUP BY app, uri ORDER BY COUNT(*) DESC, app, uri LIMIT 1000";
        // Run by run: looking up the run of each row costs more than everything else.
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

    /// Counts rows of a plan that had fewer retries than this when they were seen, by feed of an application as in
    /// [`Store::planned_feeds`].
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

    /// Returns the operations with a reset that the consumer overwrote, except cancelled ones.
    pub async fn overwritten(&self) -> Result<Vec<i64>, StoreError> {
        let rows = sqlx::query(
            "SELECT DISTINCT operation FROM ledger_requests WHERE outcome = 3 \
             AND operation NOT IN (SELECT id FROM operations WHERE stage = 'cancelled')",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Counts another reset of a row that was lost, if fewer than `most` were counted; returns its position if it may
    /// be reset again.
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
        .fetch_optional(&mut *self.writer().await?)
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

    /// Fills in the counts, except how many failed with the same fault.
    async fn count_outcomes(&self, operations: &mut [Operation]) -> Result<(), StoreError> {
        let ids: Vec<i64> = operations.iter().map(|operation| operation.id).collect();
        let requests = self.request_counts(&ids).await?;
        for operation in operations {
            let requests = requests.get(&operation.id).copied().unwrap_or_default();
            let (counts, told) = self.outcome_counts(operation.id).await?;
            operation.counts = counts;
            operation.followed = followed(requests);
            // Usually every row has a request; then those without one need not be queried.
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
