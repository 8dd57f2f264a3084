//! Rows that another transaction has locked are left out, and no lock is held for them. A second connection really
//! locks them.

use std::collections::BTreeMap;

use atomfeed_console::{
    model::{RowId, operation::RowOutcome, whole_row::WholeEvent},
    server::sources::{DiscardRow, ResetRow, Source},
};

use crate::support::database::{FEED, Failed, Server, TestDatabase};

everywhere! {
    a_locked_row_is_left_out_and_the_others_are_written
}

on_each_server! {
    many_locked_rows_are_told_and_taken_later
    a_row_outside_of_the_batch_holds_nothing_up
    a_locked_table_is_busy_as_a_whole
    a_locked_row_is_not_discarded_and_the_others_are
    an_event_whose_log_is_locked_is_not_discarded
}

const BUSY: RowOutcome = RowOutcome::Busy { again: false };

async fn fill(database: &mut TestDatabase, rows: i128) {
    let rows: Vec<Failed> = (1..=rows).map(|id| Failed { retries: 5, ..database.failed(id) }).collect();
    database.insert(&rows).await;
}

fn asked(ids: std::ops::RangeInclusive<i128>) -> Vec<ResetRow> {
    ids.map(|id| ResetRow { id: RowId(id), seen_retries: 5 }).collect()
}

/// Locks rows of a table in a transaction of the second connection; on SQLite the whole file.
async fn lock(database: &mut TestDatabase, table: &str, ids: &str) {
    let name = database.table(table);
    let begin = match database.server {
        Server::Sqlite => "BEGIN IMMEDIATE".to_owned(),
        Server::Postgres => format!("BEGIN; SELECT id FROM {name} WHERE id IN ({ids}) FOR UPDATE"),
        // Not only the id: for that MySQL from 8.0 on would scan the whole index and lock every row.
        _ => format!("START TRANSACTION; SELECT * FROM {name} FORCE INDEX (PRIMARY) WHERE id IN ({ids}) FOR UPDATE"),
    };
    database.run(&begin).await;
}

async fn waiting(database: &mut TestDatabase) -> Vec<String> {
    let table = database.table("failed_events");
    let id = if database.is_mysql() { "CAST(id AS CHAR)" } else { "CAST(id AS text)" };
    let waiting = format!("SELECT {id} FROM {table} WHERE retries = 0 ORDER BY failed_events.id");
    database.lines(&waiting).await.into_iter().flatten().collect()
}

/// 999 done, 1 busy.
async fn a_locked_row_is_left_out_and_the_others_are_written(database: &mut TestDatabase) {
    if !database.has_retries() {
        return;
    }
    fill(database, 1000).await;
    let source = database.source();
    lock(database, "failed_events", "5").await;
    let mut outcomes = source.reset(&asked(1..=1000)).await.expect("outcomes");
    let file_locked = database.server == Server::Sqlite;
    // A server that accepts only whole seconds writes most of the rows at first, and the rest when they are tried
    // again.
    let mut busy = busy_rows(&outcomes);
    while busy.len() > 1 && !file_locked && is_old(&source).await {
        assert!(busy.len() < 250, "{busy:?}");
        let again: Vec<ResetRow> = busy.iter().flat_map(|id| asked(*id..=*id)).collect();
        let of_these = source.reset(&again).await.expect("outcomes");
        for (id, outcome) in busy.iter().zip(of_these) {
            outcomes[*id as usize - 1] = outcome;
        }
        let left = busy_rows(&outcomes);
        assert!(left.len() < busy.len(), "{left:?}");
        busy = left;
    }
    for (outcome, id) in outcomes.iter().zip(1..) {
        let expected = if id == 5 || file_locked { BUSY } else { RowOutcome::Reset };
        assert_eq!(*outcome, expected, "row {id}");
    }
    // The written rows are committed and no longer locked, so the transaction that was in the way can change them.
    let now = waiting(database).await;
    assert_eq!(now.len(), if file_locked { 0 } else { 999 });
    if !file_locked {
        let table = database.table("failed_events");
        database.run(&format!("UPDATE {table} SET title = 'seen'")).await;
    }
    database.run("COMMIT").await;
    let left: Vec<ResetRow> = if file_locked { asked(1..=1000) } else { asked(5..=5) };
    let outcomes = source.reset(&left).await.expect("outcomes");
    assert!(outcomes.iter().all(|outcome| *outcome == RowOutcome::Reset), "{outcomes:?}");
    assert_eq!(waiting(database).await.len(), 1000);
}

/// Returns the ids of the busy rows; the first outcome is that of row 1.
fn busy_rows(outcomes: &[RowOutcome]) -> Vec<i128> {
    (1..).zip(outcomes).filter(|(_, outcome)| **outcome == BUSY).map(|(id, _)| id).collect()
}

async fn many_locked_rows_are_told_and_taken_later(database: &mut TestDatabase) {
    fill(database, 60).await;
    let table = database.table("failed_events");
    database.run(&format!("UPDATE {table} SET retries = 7 WHERE id = 30")).await;
    let source = database.source();
    let locked: Vec<i128> = (1..=60).filter(|id| id % 3 == 0 && *id != 30).collect();
    let ids: Vec<String> = locked.iter().map(ToString::to_string).collect();
    lock(database, "failed_events", &ids.join(", ")).await;
    let outcomes = source.reset(&asked(1..=61)).await.expect("outcomes");
    // A server that accepts only whole seconds does not test every row separately.
    let exact = database.server != Server::Sqlite && !is_old(&source).await;
    for (outcome, id) in outcomes.iter().zip(1..) {
        let expected = match id {
            id if locked.contains(&id) => BUSY,
            30 => RowOutcome::Changed { retries: Some(7) },
            61 => RowOutcome::Gone,
            _ => RowOutcome::Reset,
        };
        assert!(*outcome == expected || !exact && *outcome == BUSY, "row {id}: {outcome:?}");
    }
    database.run("COMMIT").await;
    let again: Vec<ResetRow> =
        asked(1..=61).into_iter().zip(&outcomes).filter(|(_, outcome)| **outcome == BUSY).map(|(row, _)| row).collect();
    assert!(again.len() >= locked.len());
    let outcomes = source.reset(&again).await.expect("outcomes");
    assert!(!outcomes.contains(&BUSY), "{outcomes:?}");
    assert_eq!(waiting(database).await.len(), 59);
}

/// MySQL before 8.
async fn is_old(source: &Source) -> bool {
    source.poll().await.expect("a look").server.starts_with("MySQL 5")
}

/// In a small table the server would rather read every row than look up the named ones.
async fn a_row_outside_of_the_batch_holds_nothing_up(database: &mut TestDatabase) {
    if database.server == Server::Sqlite {
        return;
    }
    fill(database, 600).await;
    let source = database.source();
    lock(database, "failed_events", "600").await;
    // All in one transaction, so that a wait would show as an outcome.
    let outcomes = source.reset(&asked(1..=500)).await.expect("outcomes");
    assert!(outcomes.iter().all(|outcome| *outcome == RowOutcome::Reset), "{outcomes:?}");
    let copies = source.copy(&[RowId(1), RowId(2)], usize::MAX).await.expect("copies").events;
    let rows = [1, 2].map(|id| DiscardRow { id: RowId(id), seen_retries: Some(0) });
    assert_eq!(source.discard(&rows, &copies).await, Ok(vec![RowOutcome::Discarded; 2]));
    database.run("ROLLBACK").await;
}

async fn a_locked_table_is_busy_as_a_whole(database: &mut TestDatabase) {
    fill(database, 3).await;
    let source = database.source();
    source.poll().await.expect("a look");
    let table = database.table("failed_events");
    let locked = match database.server {
        Server::Sqlite => "BEGIN EXCLUSIVE".to_owned(),
        Server::Postgres => format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"),
        _ => format!("LOCK TABLES {table} WRITE"),
    };
    database.run(&locked).await;
    assert_eq!(source.reset(&asked(1..=3)).await, Ok(vec![BUSY; 3]));
    database.run(if database.is_mysql() { "UNLOCK TABLES" } else { "ROLLBACK" }).await;
    assert_eq!(source.reset(&asked(1..=3)).await, Ok(vec![RowOutcome::Reset; 3]));
}

/// Three events, each with a row of the log, and their copies.
async fn copied(database: &mut TestDatabase) -> (Source, [DiscardRow; 3], BTreeMap<RowId, WholeEvent>) {
    fill(database, 3).await;
    for id in 1..=3 {
        database.log(id, Some(FEED), "2026-11-01T09:00:00Z", &format!("tag:atomfeed.ict4h.org:{id}"), "again").await;
    }
    let source = database.source();
    let ids = [1, 2, 3].map(RowId);
    let copies = source.copy(&ids, usize::MAX).await.expect("copies").events;
    (source, ids.map(|id| DiscardRow { id, seen_retries: Some(5) }), copies)
}

async fn without_the_second(database: &mut TestDatabase, locked_table: &str) {
    let (source, rows, copies) = copied(database).await;
    lock(database, locked_table, "2").await;
    let outcomes = source.discard(&rows, &copies).await;
    let other = if database.server == Server::Sqlite { BUSY } else { RowOutcome::Discarded };
    assert_eq!(outcomes, Ok(vec![other.clone(), BUSY, other.clone()]));
    database.run("COMMIT").await;
    let left = if database.server == Server::Sqlite { 6 } else { 2 };
    let dump = database.dump().await;
    let here = dump.iter().filter(|line| line.starts_with("failed_event")).count();
    assert_eq!(here, left, "each with its log: {dump:?}");
    let outcomes = source.discard(&rows, &copies).await.expect("outcomes");
    assert_eq!(outcomes[1], RowOutcome::Discarded);
    assert!(!database.dump().await.iter().any(|line| line.starts_with("failed_event")));
}

async fn a_locked_row_is_not_discarded_and_the_others_are(database: &mut TestDatabase) {
    without_the_second(database, "failed_events").await;
}

async fn an_event_whose_log_is_locked_is_not_discarded(database: &mut TestDatabase) {
    without_the_second(database, "failed_event_retry_log").await;
}
