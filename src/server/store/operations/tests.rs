use super::*;
use crate::{
    clock,
    model::operation::{RowOutcome, WhichRows},
    server::store::{WhichCopies, ledger::Ask},
};

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
    store.mark_in_progress(&operation, "odoo", &[0, 1], &[]).await.unwrap();
    store.record_outcomes(id, &[(0, RowOutcome::Reset)]).await.unwrap();
    let next = store.next_rows(id, 10).await.unwrap();
    assert_eq!(next.iter().map(|(at, _, again)| (*at, *again)).collect::<Vec<_>>(), [(1, true)]);
    store.record_outcomes(id, &[(1, RowOutcome::Reset)]).await.unwrap();
    let next = store.next_rows(id, 10).await.unwrap();
    assert_eq!(next.iter().map(|(at, _, again)| (*at, *again)).collect::<Vec<_>>(), [(2, false), (3, false)]);
    assert_eq!(store.under_way().await.unwrap(), [id]);
    store.mark_in_progress(&operation, "odoo", &[2], &[]).await.unwrap();
    store.unmark_writing(id, &[2]).await.unwrap();
    assert!(!store.next_rows(id, 1).await.unwrap()[0].2, "nothing was written for it");
    store.mark_in_progress(&operation, "odoo", &[2], &[]).await.unwrap();
    assert!(store.mark(id, &[3]).await.unwrap());
    store.set_stage(id, &[Stage::Running], Stage::Cancelled, None).await.unwrap();
    assert!(!store.mark(id, &[4]).await.unwrap(), "it does not run any more");
    // The task that took the rows knows of a marked row that it did not reach; the outcome of the others is
    // unknown.
    store.unmark_writing(id, &[3]).await.unwrap();
    store.end_writing(Some(id)).await.unwrap();
    let counts = store.operation(id).await.unwrap().unwrap().counts;
    assert_eq!((counts.reset, counts.uncertain, counts.to_come()), (2, 1, 2));
}

/// A MySQL database can have such ids (BIGINT UNSIGNED), and rows at the end of SQLite's range, too.
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
    .execute(&store.writer)
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
    store.mark_in_progress(&operation, "odoo", &[0, 1], &[ask(highest + 1), ask(i128::from(u64::MAX))]).await.unwrap();
    store.record_outcomes(id, &[(0, RowOutcome::Reset), (1, RowOutcome::Reset)]).await.unwrap();
    let courses = store.courses(id, WhichRows::All, 0, 10).await.unwrap();
    assert!(courses.iter().all(|(_, course)| course.unfollowed && course.record.is_none()), "{courses:?}");
    assert_eq!(store.operation(id).await.unwrap().unwrap().followed.unfollowed, 2);
    // The outcome of the last row is not the outcome of these.
    store.ask("odoo", RequestKind::Retry, id, "local", &[ask(highest)]).await.unwrap();
    assert_eq!(store.courses(id, WhichRows::Open, 0, 10).await.unwrap(), []);

    sqlx::raw_sql(
        "INSERT INTO discarded (operation_id, position, app, row_id, event_id, fault, at, state, whole) VALUES
                (1, 0, 'odoo', '9223372036854775807', 'tag:x:1', 'a fault', 0, 'discarded', x''),
                (1, 1, 'odoo', '9223372036854775808', 'tag:x:1', 'a fault', 0, 'discarded', x'')",
    )
    .execute(&store.writer)
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
    assert_eq!(store.drop_old_plans(clock::now() + chrono::TimeDelta::seconds(1)).await.unwrap(), 1);
    assert_eq!(store.operation(plan).await.unwrap(), None);
    assert_eq!(planned(&store, "the next", &[row(3)]).await, plan + 1, "its number is not used again");
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
