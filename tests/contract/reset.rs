//! Resetting retries to 0, guarded by the count that was seen. Nothing else is written.

use atomfeed_console::{
    model::{RowId, operation::RowOutcome},
    server::{
        config::Tls,
        sources::{ResetRow, SourceErrorKind},
    },
};

use crate::support::{
    database::{FEED, Failed, TestDatabase, Variant},
    proxy::Proxy,
};

everywhere! {
    only_retries_of_the_rows_that_were_named_change
    a_row_that_changed_or_went_meanwhile_is_left_alone
    many_rows_are_one_transaction
}

on_each_server! {
    a_row_without_retries_is_left_alone
    a_lost_commit_is_told_as_uncertain
}

fn row(id: i128, seen_retries: i64) -> ResetRow {
    ResetRow { id: RowId(id), seen_retries }
}

/// Returns the same dump with the retries of one row at 0.
fn with_reset(dump: &[String], id: &str) -> Vec<String> {
    let of_row = format!("failed_events: {id}|");
    let reset = |line: &String| {
        if !line.starts_with(&of_row) {
            return line.clone();
        }
        // retries and tags are the last two columns.
        let mut cells: Vec<&str> = line.split('|').collect();
        let retries = cells.len() - 2;
        cells[retries] = "0";
        cells.join("|")
    };
    dump.iter().map(reset).collect()
}

async fn only_retries_of_the_rows_that_were_named_change(database: &mut TestDatabase) {
    let mut rows: Vec<Failed> = (1..=4).map(|id| Failed { retries: 5, ..database.failed(id) }).collect();
    if database.variant != Variant::Millis {
        rows[1].failed_at = database.at("2026-11-01T08:00:00.123456Z");
    }
    database.insert(&rows).await;
    if database.has_retry_log() {
        database.log(1, Some(FEED), "2026-11-01T09:00:00Z", "tag:atomfeed.ict4h.org:2", "again").await;
    }
    database.marker(FEED, Some("entry"), Some("http://openmrs:8080/page/36")).await;
    let before = database.dump().await;
    let outcome = database.source().reset(&[row(2, 5)]).await;
    if !database.has_retries() {
        let refused = outcome.expect_err("there is no retries to set");
        assert_eq!(refused.kind, SourceErrorKind::NotAllowed);
        assert!(refused.reason.contains("no column retries"), "{}", refused.reason);
        assert_eq!(database.dump().await, before);
        return;
    }
    assert_eq!(outcome, Ok(vec![RowOutcome::Reset]));
    let after = database.dump().await;
    assert_ne!(after, before);
    assert_eq!(after, with_reset(&before, "2"));
}

async fn a_row_that_changed_or_went_meanwhile_is_left_alone(database: &mut TestDatabase) {
    if !database.has_retries() {
        return;
    }
    let rows: Vec<Failed> = [5, 4, 0, -2]
        .into_iter()
        .enumerate()
        .map(|(place, retries)| Failed { retries, ..database.failed(place as i128 + 1) })
        .collect();
    database.insert(&rows).await;
    let asked = [row(2, 5), row(99, 5), row(1, 5), row(3, 0), row(1, 5), row(4, -2), row(2, 3), row(i128::MAX, 5)];
    let outcomes = database.source().reset(&asked).await.expect("an answer");
    assert_eq!(
        outcomes,
        [
            RowOutcome::Changed { retries: Some(4) },
            RowOutcome::Gone,
            RowOutcome::Reset,
            RowOutcome::Reset,
            RowOutcome::Reset,
            RowOutcome::Reset,
            RowOutcome::Changed { retries: Some(4) },
            RowOutcome::Gone,
        ]
    );
    let table = database.table("failed_events");
    let retries = if database.is_mysql() { "CAST(retries AS CHAR)" } else { "CAST(retries AS text)" };
    let now = database.lines(&format!("SELECT {retries} FROM {table} ORDER BY id")).await;
    assert_eq!(
        now.iter().map(|retries| retries.as_deref().unwrap_or("NULL")).collect::<Vec<_>>(),
        ["0", "4", "0", "0"]
    );
}

async fn many_rows_are_one_transaction(database: &mut TestDatabase) {
    if !database.has_retries() {
        return;
    }
    let rows: Vec<Failed> = (1..=1000).map(|id| Failed { retries: 5, ..database.failed(id) }).collect();
    database.insert(&rows).await;
    let table = database.table("failed_events");
    database.run(&format!("UPDATE {table} SET retries = 6 WHERE id = 700")).await;
    let asked: Vec<ResetRow> = (1..=1000).rev().map(|id| row(id, 5)).collect();
    let outcomes = database.source().reset(&asked).await.expect("an answer");
    let unlike: Vec<usize> = outcomes
        .iter()
        .enumerate()
        .filter(|(_, outcome)| **outcome != RowOutcome::Reset)
        .map(|(place, _)| place)
        .collect();
    assert_eq!(unlike, [300], "answers stand in the order of the question");
    assert_eq!(outcomes[300], RowOutcome::Changed { retries: Some(6) });
    let left = database.lines(&format!("SELECT event_id FROM {table} WHERE retries <> 0")).await;
    assert_eq!(left, [Some("tag:atomfeed.ict4h.org:700".to_owned())]);
    assert_eq!(database.source().reset(&[]).await, Ok(vec![]));
}

async fn a_row_without_retries_is_left_alone(database: &mut TestDatabase) {
    let row_1 = database.failed(1);
    database.insert(&[row_1]).await;
    let table = database.table("failed_events");
    if database.is_mysql() {
        database.run(&format!("ALTER TABLE {table} MODIFY retries int NULL")).await;
    } else {
        database.run(&format!("ALTER TABLE {table} DROP COLUMN retries; ALTER TABLE {table} ADD retries int")).await;
    }
    database.run(&format!("UPDATE {table} SET retries = NULL")).await;
    let outcomes = database.source().reset(&[row(1, 0)]).await;
    assert_eq!(outcomes, Ok(vec![RowOutcome::Changed { retries: None }]));
}

async fn a_lost_commit_is_told_as_uncertain(database: &mut TestDatabase) {
    if database.app.database.port == 0 {
        return; // SQLite has no network to lose.
    }
    let rows = [Failed { retries: 5, ..database.failed(1) }, Failed { retries: 5, ..database.failed(2) }];
    database.insert(&rows).await;
    let proxy = Proxy::to(database.app.database.port).await;
    // Without TLS, so that the proxy can read the statement at which it cuts.
    let source = database.source_with(|app| (app.database.port, app.database.tls) = (proxy.port, Tls::Off));
    source.event(RowId(1)).await.expect("the proxy lets it through");

    // Before the commit nothing is written, and the console knows that.
    proxy.cut_on(b"UPDATE");
    let lost = source.reset(&[row(1, 5)]).await.expect_err("the connection is cut");
    assert_eq!(lost.kind, SourceErrorKind::Lost, "{lost:?}");
    let untouched = database.source().event(RowId(1)).await.expect("an answer").expect("the row");
    assert_eq!(untouched.row.retries, Some(5));

    proxy.cut_on(b"COMMIT");
    let outcomes = source.reset(&[row(1, 5), row(2, 4)]).await.expect("an answer");
    assert!(matches!(&outcomes[0], RowOutcome::Uncertain { reason } if reason.contains("Laboratory")), "{outcomes:?}");
    assert_eq!(outcomes[1], RowOutcome::Changed { retries: Some(5) });
}
