//! Discarding and putting back: what is removed was copied whole, and comes back as it was, whatever happened meanwhile.

use std::collections::BTreeMap;

use atomfeed_console::{
    model::{RowId, operation::RowOutcome, whole_row::WholeEvent},
    server::sources::{DiscardRow, Source, SourceErrorKind},
};

use crate::support::database::{FEED, Failed, Server, TestDatabase};

everywhere! {
    a_discard_and_a_restore_leave_no_trace
    a_row_that_changed_after_it_was_copied_is_left_alone
    a_row_that_is_there_again_is_not_doubled
    a_row_whose_id_is_taken_gets_a_new_one
}

on_each_server! {
    bytes_come_back_as_they_were
    the_log_goes_only_with_exactly_its_pair
    nothing_is_removed_without_its_copy
    many_are_one_transaction
}

const OTHER: &str = "http://openelis:8052/openelis/ws/feed/patient/recent";

fn of(database: &TestDatabase, id: i128, retries: i64) -> DiscardRow {
    DiscardRow { id: RowId(id), seen_retries: database.has_retries().then_some(retries) }
}

async fn copy(source: &Source, ids: &[i128]) -> BTreeMap<RowId, WholeEvent> {
    let ids: Vec<RowId> = ids.iter().copied().map(RowId).collect();
    source.copy(&ids).await.expect("copies")
}

/// Copies as the store gives them back.
fn kept(copies: &BTreeMap<RowId, WholeEvent>) -> Vec<WholeEvent> {
    copies.values().map(|event| WholeEvent::from_bytes(&event.to_bytes()).expect("a sound copy")).collect()
}

async fn fill(database: &mut TestDatabase) {
    let rows: Vec<Failed> = (1..=4).map(|id| Failed { retries: 5, ..database.failed(id) }).collect();
    database.insert(&rows).await;
    if database.has_retry_log() {
        database.log(11, Some(FEED), "2026-11-01T09:00:00Z", "tag:atomfeed.ict4h.org:2", "again").await;
        database.log(12, Some(FEED), "2026-11-01T10:00:00Z", "tag:atomfeed.ict4h.org:2", "and again").await;
        database.log(13, Some(FEED), "2026-11-01T10:00:00Z", "tag:atomfeed.ict4h.org:3", "another").await;
    }
}

async fn a_discard_and_a_restore_leave_no_trace(database: &mut TestDatabase) {
    fill(database).await;
    let before = database.dump().await;
    let source = database.source();
    let copies = copy(&source, &[2, 4]).await;
    assert_eq!(copies.len(), 2);
    assert_eq!(copies[&RowId(2)].log.len(), if database.has_retry_log() { 2 } else { 0 });
    let outcomes = source.discard(&[of(database, 2, 5), of(database, 4, 5)], &copies).await;
    assert_eq!(outcomes, Ok(vec![RowOutcome::Discarded, RowOutcome::Discarded]));
    let between = database.dump().await;
    assert_eq!(before.len() - between.len(), if database.has_retry_log() { 4 } else { 2 });
    assert!(between.iter().all(|line| before.contains(line)), "the others are as they were");

    let outcomes = source.restore(&kept(&copies)).await;
    let restored = |id| RowOutcome::Restored { id: RowId(id) };
    assert_eq!(outcomes, Ok(vec![restored(2), restored(4)]));
    assert_eq!(database.dump().await, before);
    // And once more changes nothing.
    assert_eq!(source.restore(&kept(&copies)).await, Ok(vec![RowOutcome::AlreadyThere; 2]));
    assert_eq!(database.dump().await, before);
}

async fn a_row_that_changed_after_it_was_copied_is_left_alone(database: &mut TestDatabase) {
    fill(database).await;
    let source = database.source();
    let copies = copy(&source, &[1, 2, 3]).await;
    let table = database.table("failed_events");
    database.run(&format!("UPDATE {table} SET title = 'another' WHERE id = 1")).await;
    database.run(&format!("DELETE FROM {table} WHERE id = 3")).await;
    if database.has_retries() {
        database.run(&format!("UPDATE {table} SET retries = 6 WHERE id = 2")).await;
    }
    let before = database.dump().await;
    let rows = [of(database, 1, 5), of(database, 2, 5), of(database, 3, 5), of(database, 99, 5)];
    let outcomes = source.discard(&rows, &copies).await.expect("outcomes");
    assert!(matches!(outcomes[0], RowOutcome::Changed { .. }), "{outcomes:?}");
    assert_eq!(outcomes[2..], [RowOutcome::Gone, RowOutcome::Gone]);
    if database.has_retries() {
        assert_eq!(outcomes[1], RowOutcome::Changed { retries: Some(6) });
        assert_eq!(database.dump().await, before);
    } else {
        assert_eq!(outcomes[1], RowOutcome::Discarded);
    }
}

async fn a_row_that_is_there_again_is_not_doubled(database: &mut TestDatabase) {
    fill(database).await;
    let source = database.source();
    let copies = copy(&source, &[2, 3]).await;
    source.discard(&[of(database, 2, 5), of(database, 3, 5)], &copies).await.expect("outcomes");
    // The consumer met the event again: another row of the same pair.
    let again = Failed { id: 70, ..database.failed(2) };
    database.insert(&[again]).await;
    let outcomes = source.restore(&kept(&copies)).await;
    assert_eq!(outcomes, Ok(vec![RowOutcome::AlreadyThere, RowOutcome::Restored { id: RowId(3) }]));
    let table = database.table("failed_events");
    let of_event = format!("SELECT event_id FROM {table} WHERE event_id = 'tag:atomfeed.ict4h.org:2'");
    assert_eq!(database.lines(&of_event).await.len(), 1);
}

async fn a_row_whose_id_is_taken_gets_a_new_one(database: &mut TestDatabase) {
    fill(database).await;
    let table = database.table("failed_events");
    let source = database.source();
    let copies = copy(&source, &[2]).await;
    source.discard(&[of(database, 2, 5)], &copies).await.expect("outcomes");
    // A dump was restored meanwhile: the id belongs to another event now.
    let other = Failed { event_id: Some("tag:another".into()), ..database.failed(2) };
    database.insert(&[other]).await;
    if database.server == Server::Postgres {
        // As after a dump: the sequence, where there is one, stands where the consumer left it.
        let advance =
            format!("SELECT setval(s, 50) FROM pg_get_serial_sequence('{table}', 'id') s WHERE s IS NOT NULL");
        database.run(&advance).await;
    }
    let outcomes = source.restore(&kept(&copies)).await.expect("outcomes");
    let RowOutcome::Restored { id } = outcomes[0] else { panic!("{outcomes:?}") };
    assert_ne!(id, RowId(2));
    let titles = database.lines(&format!("SELECT event_id FROM {table} WHERE id IN (2, {id}) ORDER BY id")).await;
    assert_eq!(titles, [Some("tag:another".to_owned()), Some("tag:atomfeed.ict4h.org:2".to_owned())]);
    // The consumer's next row does not meet it.
    let next = match database.variant {
        // These give their ids themselves.
        crate::support::database::Variant::OpenElis | crate::support::database::Variant::OpenElisDump => return,
        _ => format!("INSERT INTO {table} (feed_uri, event_id) VALUES ('{FEED}', 'tag:next')"),
    };
    database.run(&next).await;
}

async fn bytes_come_back_as_they_were(database: &mut TestDatabase) {
    let mut row = Failed { retries: -3, ..database.failed(7) };
    row.error = Some("a'b\"\\ü李\r\n\t<x> %_!".to_owned());
    row.title = None;
    row.tags = Some("");
    row.content = Some(String::new());
    if database.is_mysql() {
        row.failed_at = "'0000-00-00 00:00:00'".to_owned();
        database.run("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'").await;
    }
    database.insert(&[row, Failed { feed: None, event_id: None, error: None, ..database.failed(8) }]).await;
    let table = database.table("failed_events");
    // A column that the console knows nothing of.
    let kind = if database.server == Server::Sqlite { "REAL" } else { "double precision" };
    database.run(&format!("ALTER TABLE {table} ADD COLUMN weight {kind}")).await;
    database.run(&format!("UPDATE {table} SET weight = 0.1 + 0.2, failed_at = failed_at WHERE id = 7")).await;
    // PostgreSQL's texts hold no NUL bytes.
    match database.server {
        Server::Postgres => {}
        Server::Sqlite => {
            let nul = "error_message = error_message || char(0) || 'behind'";
            database.run(&format!("UPDATE {table} SET tags = x'00ff' WHERE id = 8")).await;
            database.run(&format!("UPDATE {table} SET {nul} WHERE id = 7")).await;
        }
        _ => {
            let nul = "error_message = CONCAT(error_message, CHAR(0), 'behind')";
            database.run(&format!("UPDATE {table} SET {nul}, failed_at = failed_at WHERE id = 7")).await;
        }
    }
    let read = |column: &str| match database.server {
        Server::Postgres => format!("{column}::text"),
        Server::Sqlite => format!("typeof({column}) || HEX({column})"),
        _ => format!("HEX({column})"),
    };
    let columns = ["feed_uri", "failed_at", "error_message", "event_id", "event_content", "title", "retries", "tags"];
    let queries: Vec<String> = columns
        .iter()
        .map(|column| format!("SELECT {} FROM {table} ORDER BY id", read(column)))
        .chain([format!("SELECT weight FROM {table} WHERE weight = 0.1 + 0.2")])
        .collect();
    let mut before = Vec::new();
    for query in &queries {
        before.push(database.lines(query).await);
    }
    let source = database.source();
    let copies = copy(&source, &[7, 8]).await;
    let outcomes = source.discard(&[of(database, 7, -3), of(database, 8, 0)], &copies).await;
    assert_eq!(outcomes, Ok(vec![RowOutcome::Discarded; 2]));
    let outcomes = source.restore(&kept(&copies)).await;
    assert_eq!(outcomes, Ok([7, 8].map(|id| RowOutcome::Restored { id: RowId(id) }).to_vec()));
    for (query, before) in queries.iter().zip(&before) {
        assert_eq!(&database.lines(query).await, before, "{query}");
    }
    assert_eq!(before.last().map(Vec::len), Some(1), "the number is exact");
    // Without a pair nothing tells that the row is there but the whole row.
    assert_eq!(source.restore(&kept(&copies)).await, Ok(vec![RowOutcome::AlreadyThere; 2]));
}

async fn the_log_goes_only_with_exactly_its_pair(database: &mut TestDatabase) {
    let event = "tag:atomfeed.ict4h.org:2";
    database
        .insert(&[
            database.failed(2),
            Failed { id: 3, ..database.failed(2) },
            Failed { id: 4, feed: Some(OTHER), ..database.failed(2) },
        ])
        .await;
    database.log(21, Some(FEED), "2026-11-01T09:00:00Z", event, "of both").await;
    database.log(22, Some(OTHER), "2026-11-01T09:00:00Z", event, "of the other feed").await;
    database
        .log(23, Some("http://old-host/encounter/recent"), "2026-11-01T09:00:00Z", event, "of an old address")
        .await;
    let log = database.table("failed_event_retry_log");
    let ids = format!("SELECT error_message FROM {log} ORDER BY id");
    let source = database.source();
    // Another row of the pair stays: so does the log.
    let copies = copy(&source, &[2]).await;
    assert!(copies[&RowId(2)].log.is_empty());
    assert_eq!(source.discard(&[of(database, 2, 0)], &copies).await, Ok(vec![RowOutcome::Discarded]));
    assert_eq!(database.lines(&ids).await.len(), 3);
    // The last of the pair takes it along, and nothing else.
    let copies = copy(&source, &[3]).await;
    assert_eq!(source.discard(&[of(database, 3, 0)], &copies).await, Ok(vec![RowOutcome::Discarded]));
    assert_eq!(
        database.lines(&ids).await,
        ["of the other feed", "of an old address"].map(|text| Some(text.to_owned()))
    );
}

async fn nothing_is_removed_without_its_copy(database: &mut TestDatabase) {
    fill(database).await;
    let before = database.dump().await;
    let source = database.source();
    let outcomes = source.discard(&[of(database, 1, 5)], &BTreeMap::new()).await.expect("outcomes");
    assert!(matches!(outcomes[0], RowOutcome::Changed { .. }), "{outcomes:?}");
    let read_only = database.source_with(|app| app.info.read_only = true);
    let copies = copy(&source, &[1]).await;
    for refused in [read_only.discard(&[of(database, 1, 5)], &copies).await, read_only.restore(&kept(&copies)).await] {
        assert_eq!(refused.expect_err("read-only").kind, SourceErrorKind::NotAllowed);
    }
    assert!(read_only.discard_refused().await.expect("an answer").expect("a reason").contains("read-only"));
    assert_eq!(source.discard_refused().await, Ok(None));
    assert_eq!(database.dump().await, before);
}

async fn many_are_one_transaction(database: &mut TestDatabase) {
    let rows: Vec<Failed> = (1..=700).map(|id| Failed { retries: id as i64 % 3, ..database.failed(id) }).collect();
    database.insert(&rows).await;
    let before = database.dump().await;
    let source = database.source();
    let ids: Vec<i128> = (1..=700).collect();
    let copies = copy(&source, &ids).await;
    let wanted: Vec<DiscardRow> = (1..=700).map(|id| of(database, id, id as i64 % 3)).collect();
    assert_eq!(source.discard(&wanted, &copies).await, Ok(vec![RowOutcome::Discarded; 700]));
    let table = database.table("failed_events");
    assert!(database.lines(&format!("SELECT event_id FROM {table}")).await.is_empty());
    let outcomes = source.restore(&kept(&copies)).await.expect("outcomes");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, RowOutcome::Restored { .. })));
    assert_eq!(database.dump().await, before);
}
