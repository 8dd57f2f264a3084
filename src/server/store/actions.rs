//! The record of actions. Rows are planned before anything is touched, so that a console that ends half way still
//! knows what it was about to do.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{BEGIN, Store, StoreError, instant};
use crate::model::{
    RowId,
    action::{Action, ActionRow, OutcomeCounts, RowOutcome},
};

/// An action about to begin.
#[derive(Clone, Debug)]
pub struct NewAction {
    pub who: String,
    pub address: String,
    pub kind: &'static str,
    pub scope: String,
    pub reason: Option<String>,
    pub planned: Option<u64>,
}

const COLUMNS: &str = "id, started_at, finished_at, who, address, kind, scope, reason, planned, ended_early";

impl Store {
    /// Records that an action begins, with the rows known so far, before any of them is touched.
    pub async fn begin_action(&self, new: &NewAction, rows: &[ActionRow]) -> Result<i64, StoreError> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        let id = sqlx::query(
            "INSERT INTO actions (started_at, who, address, kind, scope, reason, planned) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(Utc::now().timestamp_millis())
        .bind(&new.who)
        .bind(&new.address)
        .bind(new.kind)
        .bind(&new.scope)
        .bind(&new.reason)
        .bind(new.planned.and_then(|planned| i64::try_from(planned).ok()))
        .fetch_one(&mut *transaction)
        .await?
        .try_get(0)?;
        plan(&mut transaction, id, 0, rows).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Adds rows to a running action, before they are touched; answers the position of the first.
    pub async fn plan_rows(&self, action: i64, rows: &[ActionRow]) -> Result<i64, StoreError> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        let first: i64 = sqlx::query("SELECT COALESCE(MAX(position) + 1, 0) FROM action_rows WHERE action_id = ?")
            .bind(action)
            .fetch_one(&mut *transaction)
            .await?
            .try_get(0)?;
        plan(&mut transaction, action, first, rows).await?;
        transaction.commit().await?;
        Ok(first)
    }

    /// Records that these rows are about to be written in their source: if the console is ended now, nobody knows what
    /// became of them.
    pub async fn mark_writing(&self, action: i64, positions: &[i64]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        for position in positions {
            sqlx::query("UPDATE action_rows SET outcome = ? WHERE action_id = ? AND position = ?")
                .bind(WRITING)
                .bind(action)
                .bind(position)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Ends what an earlier run of the console left unfinished: rows that were being written are uncertain, rows whose
    /// turn had not come stay untouched, and the action says that it ended early. Answers how many actions there were.
    pub async fn end_interrupted_actions(&self) -> Result<u64, StoreError> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        sqlx::query("UPDATE action_rows SET outcome = ?, detail = ? WHERE outcome = ?")
            .bind(UNCERTAIN)
            .bind("The console was ended while this row was being written.")
            .bind(WRITING)
            .execute(&mut *transaction)
            .await?;
        let ended = sqlx::query("UPDATE actions SET finished_at = ?, ended_early = ? WHERE finished_at IS NULL")
            .bind(Utc::now().timestamp_millis())
            .bind("The console was ended while the action was under way.")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(ended.rows_affected())
    }

    /// Records what became of rows, by their position.
    pub async fn record_outcomes(&self, action: i64, outcomes: &[(i64, RowOutcome)]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        for (position, outcome) in outcomes {
            let (word, detail) = to_columns(outcome);
            sqlx::query("UPDATE action_rows SET outcome = ?, detail = ? WHERE action_id = ? AND position = ?")
                .bind(word)
                .bind(detail)
                .bind(action)
                .bind(position)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Records that an action has come to its end, and why that was early if it was.
    pub async fn finish_action(&self, action: i64, ended_early: Option<&str>) -> Result<(), StoreError> {
        sqlx::query("UPDATE actions SET finished_at = ?, ended_early = ? WHERE id = ?")
            .bind(Utc::now().timestamp_millis())
            .bind(ended_early)
            .bind(action)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The record, newest first: at most `limit` actions with an id below `before`.
    pub async fn actions(&self, before: Option<i64>, limit: u32) -> Result<Vec<Action>, StoreError> {
        self.actions_within(before, limit, None).await
    }

    /// As [`Store::actions`], but only those all of whose rows are of these applications; `None`: all.
    pub async fn actions_within(
        &self,
        before: Option<i64>,
        limit: u32,
        only: Option<&BTreeSet<String>>,
    ) -> Result<Vec<Action>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM actions WHERE id < ? AND {WITHIN} ORDER BY id DESC LIMIT ?"
        )))
        .bind(before.unwrap_or(i64::MAX))
        .bind(only.is_none())
        .bind(list_of(only))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        let mut actions = rows.iter().map(read_action).collect::<Result<Vec<_>, _>>()?;
        let (Some(newest), Some(oldest)) = (actions.first(), actions.last()) else { return Ok(actions) };
        let counts = self.counts(oldest.id, newest.id).await?;
        for action in &mut actions {
            action.counts = counts.get(&action.id).copied().unwrap_or_default();
        }
        Ok(actions)
    }

    /// One action; `None` when there is none with this id.
    pub async fn action(&self, id: i64) -> Result<Option<Action>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM actions WHERE id = ?")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut action = read_action(&row)?;
        action.counts = self.counts(id, id).await?.get(&id).copied().unwrap_or_default();
        Ok(Some(action))
    }

    /// Whether all rows of an action are of these applications; `None`: it does not matter.
    pub async fn action_is_within(&self, id: i64, only: Option<&BTreeSet<String>>) -> Result<bool, StoreError> {
        let found = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT 1 FROM actions WHERE id = ? AND {WITHIN}")))
            .bind(id)
            .bind(only.is_none())
            .bind(list_of(only))
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some())
    }

    /// The rows of an action in the order they were taken: at most `limit` from position `from` on, with positions.
    pub async fn action_rows(&self, action: i64, from: i64, limit: u32) -> Result<Vec<(i64, ActionRow)>, StoreError> {
        let rows = sqlx::query(
            "SELECT position, app, row_id, feed_uri, event_id, seen_retries, outcome, detail FROM action_rows \
             WHERE action_id = ? AND position >= ? ORDER BY position LIMIT ?",
        )
        .bind(action)
        .bind(from)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_row).collect()
    }

    async fn counts(&self, first: i64, last: i64) -> Result<BTreeMap<i64, OutcomeCounts>, StoreError> {
        let rows = sqlx::query(
            "SELECT action_id, outcome, COUNT(*) FROM action_rows WHERE action_id BETWEEN ? AND ? GROUP BY action_id, outcome",
        )
        .bind(first)
        .bind(last)
        .fetch_all(&self.pool)
        .await?;
        let mut counts = BTreeMap::<i64, OutcomeCounts>::new();
        for row in rows {
            let of = counts.entry(row.try_get(0)?).or_default();
            let number = u64::try_from(row.try_get::<i64, _>(2)?).unwrap_or_default();
            of.asked += number;
            match row.try_get::<Option<String>, _>(1)?.as_deref() {
                Some(RESET) => of.reset += number,
                Some(CHANGED) => of.changed += number,
                Some(GONE) => of.gone += number,
                Some(FAILED) => of.failed += number,
                Some(UNCERTAIN) => of.uncertain += number,
                _ => {}
            }
        }
        Ok(counts)
    }
}

/// An action with rows, all of which are of applications in a list; its two parameters are "every action" and the list.
/// An action whose rows are not known yet is not within any list.
const WITHIN: &str = "(? OR (EXISTS (SELECT 1 FROM action_rows r WHERE r.action_id = actions.id) AND NOT EXISTS \
                      (SELECT 1 FROM action_rows r, (SELECT ? AS list) WHERE r.action_id = actions.id \
                      AND instr(list, ' ' || r.app || ' ') = 0)))";

/// Keys of applications, each between spaces: they hold none themselves.
fn list_of(only: Option<&BTreeSet<String>>) -> String {
    only.into_iter().flatten().fold(" ".to_owned(), |list, key| list + key + " ")
}

async fn plan(
    transaction: &mut Transaction<'_, Sqlite>,
    action: i64,
    first: i64,
    rows: &[ActionRow],
) -> Result<(), StoreError> {
    for (position, row) in (first..).zip(rows) {
        sqlx::query(
            "INSERT INTO action_rows (action_id, position, app, row_id, feed_uri, event_id, seen_retries) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(action)
        .bind(position)
        .bind(&row.app)
        .bind(row.id.to_string())
        .bind(&row.feed_uri)
        .bind(&row.event_id)
        .bind(row.seen_retries)
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

const WRITING: &str = "writing";
const RESET: &str = "reset";
const CHANGED: &str = "changed";
const GONE: &str = "gone";
const FAILED: &str = "failed";
const UNCERTAIN: &str = "uncertain";

fn to_columns(outcome: &RowOutcome) -> (&'static str, Option<String>) {
    match outcome {
        RowOutcome::Reset => (RESET, None),
        RowOutcome::Changed { retries } => (CHANGED, retries.map(|retries| retries.to_string())),
        RowOutcome::Gone => (GONE, None),
        RowOutcome::Failed { reason } => (FAILED, Some(reason.clone())),
        RowOutcome::Uncertain { reason } => (UNCERTAIN, Some(reason.clone())),
    }
}

fn from_columns(word: &str, detail: Option<String>) -> Result<RowOutcome, StoreError> {
    Ok(match word {
        RESET => RowOutcome::Reset,
        CHANGED => RowOutcome::Changed { retries: detail.and_then(|text| text.parse().ok()) },
        GONE => RowOutcome::Gone,
        FAILED => RowOutcome::Failed { reason: detail.unwrap_or_default() },
        UNCERTAIN => RowOutcome::Uncertain { reason: detail.unwrap_or_default() },
        other => return Err(StoreError::Content(format!("the outcome {other:?}"))),
    })
}

fn read_action(row: &SqliteRow) -> Result<Action, StoreError> {
    Ok(Action {
        id: row.try_get("id")?,
        started_at: instant(row.try_get("started_at")?)?,
        finished_at: row.try_get::<Option<i64>, _>("finished_at")?.map(instant).transpose()?,
        who: row.try_get("who")?,
        address: row.try_get("address")?,
        kind: row.try_get("kind")?,
        scope: row.try_get("scope")?,
        reason: row.try_get("reason")?,
        planned: row.try_get::<Option<i64>, _>("planned")?.and_then(|planned| u64::try_from(planned).ok()),
        ended_early: row.try_get("ended_early")?,
        counts: OutcomeCounts::default(),
    })
}

fn read_row(row: &SqliteRow) -> Result<(i64, ActionRow), StoreError> {
    let id: String = row.try_get("row_id")?;
    let id: RowId = id.parse().map_err(|_| StoreError::Content(format!("the row id {id:?}")))?;
    let outcome = row
        .try_get::<Option<String>, _>("outcome")?
        .filter(|word| word != WRITING)
        .map(|word| from_columns(&word, row.try_get("detail")?))
        .transpose()?;
    Ok((
        row.try_get("position")?,
        ActionRow {
            app: row.try_get("app")?,
            id,
            feed_uri: row.try_get("feed_uri")?,
            event_id: row.try_get("event_id")?,
            seen_retries: row.try_get("seen_retries")?,
            outcome,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i128) -> ActionRow {
        ActionRow {
            app: "odoo".into(),
            id: RowId(id),
            feed_uri: None,
            event_id: Some("tag:x:1".into()),
            seen_retries: 5,
            outcome: None,
        }
    }

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        (folder, store)
    }

    fn new(scope: &str) -> NewAction {
        NewAction {
            who: "local".into(),
            address: "127.0.0.1".into(),
            kind: "retry",
            scope: scope.into(),
            reason: Some("Odoo is back".into()),
            planned: Some(7),
        }
    }

    #[tokio::test]
    async fn an_action_is_on_record_before_and_after_it_ran() {
        let (_folder, store) = store().await;
        let rows: Vec<_> = (1..=6).map(row).collect();
        let id = store.begin_action(&new("6 failed events"), &rows).await.unwrap();
        let begun = store.action(id).await.unwrap().unwrap();
        assert_eq!((begun.finished_at, begun.counts.asked, begun.counts.reset), (None, 6, 0));

        let outcomes = [
            RowOutcome::Reset,
            RowOutcome::Changed { retries: Some(3) },
            RowOutcome::Changed { retries: None },
            RowOutcome::Gone,
            RowOutcome::Failed { reason: "Odoo does not answer.".into() },
            RowOutcome::Uncertain { reason: "The connection was lost.".into() },
        ];
        let at: Vec<_> = (0..).zip(outcomes.clone()).collect();
        store.record_outcomes(id, &at).await.unwrap();
        store.finish_action(id, None).await.unwrap();

        let done = store.action(id).await.unwrap().unwrap();
        assert!(done.finished_at.is_some_and(|at| at >= done.started_at));
        assert_eq!((done.planned, done.ended_early), (Some(7), None));
        let expected = OutcomeCounts { asked: 6, reset: 1, changed: 2, gone: 1, failed: 1, uncertain: 1 };
        assert_eq!(done.counts, expected);
        let read = store.action_rows(id, 0, 100).await.unwrap();
        assert_eq!(read.iter().map(|(_, row)| row.outcome.clone().unwrap()).collect::<Vec<_>>(), outcomes);
        assert_eq!(read[0].1.id, RowId(1));
    }

    #[tokio::test]
    async fn rows_planned_later_follow_the_first_ones() {
        let (_folder, store) = store().await;
        let id = store.begin_action(&new("a feed"), &[]).await.unwrap();
        assert_eq!(store.plan_rows(id, &[row(1), row(2)]).await.unwrap(), 0);
        assert_eq!(store.plan_rows(id, &[row(i128::from(u64::MAX))]).await.unwrap(), 2);
        let page = store.action_rows(id, 1, 10).await.unwrap();
        assert_eq!(
            page.iter().map(|(at, row)| (*at, row.id)).collect::<Vec<_>>(),
            [(1, RowId(2)), (2, RowId(i128::from(u64::MAX)))]
        );
    }

    #[tokio::test]
    async fn the_record_is_read_newest_first_and_in_pages() {
        let (_folder, store) = store().await;
        for number in 0..5 {
            store.begin_action(&new(&format!("no. {number}")), &[row(number)]).await.unwrap();
        }
        let first = store.actions(None, 3).await.unwrap();
        let rest = store.actions(Some(first[2].id), 3).await.unwrap();
        let scopes: Vec<_> = first.iter().chain(&rest).map(|action| action.scope.as_str()).collect();
        assert_eq!(scopes, ["no. 4", "no. 3", "no. 2", "no. 1", "no. 0"]);
        assert!(first.iter().all(|action| action.counts.asked == 1));
        assert_eq!(store.action(99).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_an_ended_console_left_unfinished_is_told_from_what_it_never_touched() {
        let (_folder, store) = store().await;
        let id = store.begin_action(&new("four"), &[row(1), row(2), row(3), row(4)]).await.unwrap();
        store.mark_writing(id, &[0, 1, 2]).await.unwrap();
        store.record_outcomes(id, &[(0, RowOutcome::Reset)]).await.unwrap();
        // As a console finds it that starts again.
        assert_eq!(store.end_interrupted_actions().await.unwrap(), 1);
        let action = store.action(id).await.unwrap().unwrap();
        assert!(action.finished_at.is_some() && action.ended_early.is_some());
        assert_eq!((action.counts.asked, action.counts.reset, action.counts.uncertain), (4, 1, 2));
        let rows = store.action_rows(id, 0, 9).await.unwrap();
        assert_eq!(rows[0].1.outcome, Some(RowOutcome::Reset));
        assert!(matches!(rows[1].1.outcome, Some(RowOutcome::Uncertain { .. })));
        assert_eq!(rows[3].1.outcome, None, "its turn had not come");
        assert_eq!(store.end_interrupted_actions().await.unwrap(), 0, "and that is that");
    }

    #[tokio::test]
    async fn many_can_write_at_once() {
        let (_folder, store) = store().await;
        let actions = (0..8).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let id = store.begin_action(&new("one of eight"), &[]).await.unwrap();
                for batch in 0..10 {
                    store.plan_rows(id, &[row(number), row(batch)]).await.unwrap();
                }
                id
            })
        });
        for action in futures::future::join_all(actions).await {
            let id = action.unwrap();
            assert_eq!(store.action(id).await.unwrap().unwrap().counts.asked, 20);
        }
    }

    #[tokio::test]
    async fn it_is_all_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        let store = Store::open(&path).await.unwrap();
        let id = store.begin_action(&new("before"), &[row(1)]).await.unwrap();
        store.close().await;
        let store = Store::open(&path).await.unwrap();
        assert_eq!(store.action(id).await.unwrap().unwrap().scope, "before");
    }
}
