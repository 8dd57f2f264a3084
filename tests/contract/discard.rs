//! Discarding and restoring: what is removed was copied whole, and is restored unchanged, whatever happened meanwhile.

use std::collections::BTreeMap;

use atomfeed_console::{
    model::{
        RowId,
        operation::RowOutcome,
        whole_row::{Beside, WholeEvent},
    },
    server::{
        config::Tls,
        sources::{Copied, DiscardRow, LONG_EVENT, LONGEST_EVENT, Source, SourceErrorKind},
    },
};

use crate::support::{
    database::{FEED, Failed, Server, TestDatabase},
    proxy::Proxy,
};

everywhere! {
    a_discard_and_a_restore_leave_no_trace
    a_row_that_changed_after_it_was_copied_is_left_alone
    a_row_that_is_there_again_is_not_doubled
    a_row_comes_back_beside_one_that_was_there_before
    a_row_whose_id_is_taken_gets_a_new_one
}

on_each_server! {
    bytes_come_back_as_they_were
    the_log_goes_only_with_exactly_its_pair
    nothing_is_removed_without_its_copy
    many_are_one_transaction
    copies_are_taken_up_to_a_size
    what_is_too_long_is_neither_copied_nor_put_back
    a_long_row_at_which_the_connection_ends_is_not_tried_for_ever
}

const OTHER: &str = "http://openelis:8052/openelis/ws/feed/patient/recent";

fn of(database: &TestDatabase, id: i128, retries: i64) -> DiscardRow {
    DiscardRow { id: RowId(id), seen_retries: database.has_retries().then_some(retries) }
}

async fn copy(source: &Source, ids: &[i128]) -> BTreeMap<RowId, WholeEvent> {
    let ids: Vec<RowId> = ids.iter().copied().map(RowId).collect();
    source.copy(&ids, usize::MAX).await.expect("copies").events
}

async fn copies_are_taken_up_to_a_size(database: &mut TestDatabase) {
    let long = |id| Failed { error: Some("x".repeat(1_000)), ..database.failed(id) };
    let rows = [long(1), long(2), database.failed(3), database.failed(4)];
    database.insert(&rows).await;
    for (id, event) in [(11, 3), (12, 3), (13, 4)] {
        let event = format!("tag:atomfeed.ict4h.org:{event}");
        database.log(id, Some(FEED), "2026-11-01T09:00:00Z", &event, &"y".repeat(1_000)).await;
    }
    let source = database.source();
    let taken = async |ids: &[i128], most| {
        let ids: Vec<RowId> = ids.iter().copied().map(RowId).collect();
        let Copied { events: copies, taken, .. } = source.copy(&ids, most).await.expect("copies");
        let logged = copies.values().map(|copy| copy.log.len()).collect::<Vec<_>>();
        (copies.into_keys().map(|id| id.0).collect::<Vec<_>>(), logged, taken)
    };
    assert_eq!(taken(&[1, 2, 3, 4], 1_000_000).await, (vec![1, 2, 3, 4], vec![0, 0, 2, 1], 4));
    assert_eq!(taken(&[2, 1, 3], 1_900).await, (vec![2], vec![0], 1), "in the order that was asked for");
    assert_eq!(taken(&[1, 2], 1).await, (vec![1], vec![0], 1), "one at the least");
    assert_eq!(taken(&[99, 3, 98], 1_000_000).await, (vec![3], vec![2], 3), "one that is gone is answered for");
    assert_eq!(taken(&[3, 4], 1_900).await, (vec![3], vec![2], 1), "the retry log counts, too");
}

/// Returns copies as the store returns them.
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
    // Restoring again changes nothing.
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
    // The consumer read the event again: another row of the same pair.
    let again = Failed { id: 70, ..database.failed(2) };
    database.insert(&[again]).await;
    let outcomes = source.restore(&kept(&copies)).await;
    assert_eq!(outcomes, Ok(vec![RowOutcome::AlreadyThere, RowOutcome::Restored { id: RowId(3) }]));
    let table = database.table("failed_events");
    let of_event = format!("SELECT event_id FROM {table} WHERE event_id = 'tag:atomfeed.ict4h.org:2'");
    assert_eq!(database.lines(&of_event).await.len(), 1);
}

/// Another row of the first event.
fn twin(database: &TestDatabase, id: i128) -> Failed {
    Failed { id, retries: 5, ..database.failed(1) }
}

async fn a_row_comes_back_beside_one_that_was_there_before(database: &mut TestDatabase) {
    let rows = [twin(database, 1), twin(database, 2), twin(database, 3), database.failed(4)];
    database.insert(&rows).await;
    let before = database.dump().await;
    let source = database.source();
    let restored = |id| RowOutcome::Restored { id: RowId(id) };

    // The others stay in the table, one older and one newer.
    let copies = copy(&source, &[2]).await;
    assert_eq!(copies[&RowId(2)].beside.ids, [1, 3].map(RowId).into());
    assert_eq!(source.discard(&[of(database, 2, 5)], &copies).await, Ok(vec![RowOutcome::Discarded]));
    assert_eq!(source.restore(&kept(&copies)).await, Ok(vec![restored(2)]));
    assert_eq!(database.dump().await, before);
    assert_eq!(source.restore(&kept(&copies)).await, Ok(vec![RowOutcome::AlreadyThere]), "not twice");

    // All are removed together and restored one after the other.
    let copies = copy(&source, &[1, 2, 3]).await;
    let all = [1, 2, 3].map(|id| of(database, id, 5));
    assert_eq!(source.discard(&all, &copies).await, Ok(vec![RowOutcome::Discarded; 3]));
    for (event, id) in kept(&copies).into_iter().zip(1..) {
        assert_eq!(source.restore(&[event]).await, Ok(vec![restored(id)]));
    }
    assert_eq!(database.dump().await, before);

    // A copy of an earlier version records that rows with lower ids were there before it, and nothing about higher ids.
    let copies = copy(&source, &[2]).await;
    source.discard(&[of(database, 2, 5)], &copies).await.expect("outcomes");
    let older = WholeEvent { beside: Beside { all_lower: true, ..Beside::default() }, ..copies[&RowId(2)].clone() };
    assert_eq!(source.restore(std::slice::from_ref(&older)).await, Ok(vec![RowOutcome::AlreadyThere]));
    let table = database.table("failed_events");
    database.run(&format!("DELETE FROM {table} WHERE id = 3")).await;
    assert_eq!(source.restore(&[older]).await, Ok(vec![restored(2)]));

    // The event failed again after the discard, in addition to the row that stayed: another row of the same pair.
    let copies = copy(&source, &[2]).await;
    source.discard(&[of(database, 2, 5)], &copies).await.expect("outcomes");
    let again = twin(database, 70);
    database.insert(&[again]).await;
    assert_eq!(source.restore(&kept(&copies)).await, Ok(vec![RowOutcome::AlreadyThere]));
}

async fn what_is_too_long_is_neither_copied_nor_put_back(database: &mut TestDatabase) {
    let rows: Vec<Failed> = (1..=4).map(|id| Failed { retries: 5, ..database.failed(id) }).collect();
    database.insert(&rows).await;
    let mut packet = u64::MAX;
    if database.is_mysql() {
        let limit = database.value("SELECT CAST(@@max_allowed_packet AS CHAR)").await;
        packet = limit.and_then(|bytes| bytes.parse().ok()).expect("a limit");
    }
    // Copies made by an earlier version may be too long for the database.
    if packet <= 32 << 20 {
        let source = database.source();
        let copies = copy(&source, &[1]).await;
        source.discard(&[of(database, 1, 5)], &copies).await.expect("outcomes");
        let mut long = copies[&RowId(1)].clone();
        let error = long.event.0.iter_mut().find(|cell| cell.column.eq_ignore_ascii_case("error_message"));
        error.expect("an error").bytes = Some(vec![b'x'; packet as usize]);
        let outcomes = source.restore(&[long]).await.expect("outcomes");
        assert!(matches!(outcomes[..], [RowOutcome::TooLong { limit, .. }] if limit == packet), "{outcomes:?}");
        let whole = source.restore(&kept(&copies)).await;
        assert_eq!(whole, Ok(vec![RowOutcome::Restored { id: RowId(1) }]), "the connection is still of use");
    }
    if packet < LONGEST_EVENT {
        // The server itself cannot create texts this long.
        return;
    }
    let (table, log) = (database.table("failed_events"), database.table("failed_event_retry_log"));
    database.log(11, Some(FEED), "2026-11-01T09:00:00Z", "tag:atomfeed.ict4h.org:3", "again").await;
    // The database makes the texts itself.
    for (table, columns) in [(&table, &["error_message", "event_content"][..]), (&log, &["error_message"])] {
        for column in columns {
            match database.server {
                Server::Sqlite => {}
                Server::Postgres => {
                    database.run(&format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE text")).await;
                }
                _ => database.run(&format!("ALTER TABLE {table} MODIFY {column} LONGTEXT")).await,
            }
        }
    }
    let times = LONGEST_EVENT / 1_000 / 2 + 10;
    let text = match database.server {
        Server::Sqlite => format!("REPLACE(HEX(ZEROBLOB({})), '0', 'x')", times * 500),
        _ => format!("REPEAT('x', {})", times * 1_000),
    };
    let moves = if database.is_mysql() { ", failed_at = failed_at" } else { "" };
    database.run(&format!("UPDATE {table} SET error_message = {text}{moves} WHERE id IN (2, 3)")).await;
    // Two columns together are too much, and so is a row with its log.
    database.run(&format!("UPDATE {table} SET event_content = {text}{moves} WHERE id = 2")).await;
    database.run(&format!("UPDATE {log} SET error_message = {text} WHERE id = 11")).await;
    let source = database.source();
    let ids = [1, 2, 3, 4].map(RowId);
    let Copied { events, taken, too_long } = source.copy(&ids, usize::MAX).await.expect("copies");
    assert_eq!((events.into_keys().collect::<Vec<_>>(), taken), (vec![RowId(1), RowId(4)], 4));
    assert_eq!(too_long.keys().copied().collect::<Vec<_>>(), [RowId(2), RowId(3)]);
    for why in too_long.values() {
        assert!(why.bytes > why.limit && why.limit <= LONGEST_EVENT, "{why:?}");
    }
}

async fn a_long_row_at_which_the_connection_ends_is_not_tried_for_ever(database: &mut TestDatabase) {
    if database.app.database.port == 0 {
        return; // SQLite has no network to lose.
    }
    fill(database).await;
    let proxy = Proxy::to(database.app.database.port).await;
    // Without TLS, so that the proxy can read the statement at which it cuts.
    let source = database.source_with(|app| (app.database.port, app.database.tls) = (proxy.port, Tls::Off));
    let copies = copy(&source, &[2]).await;
    source.discard(&[of(database, 2, 5)], &copies).await.expect("outcomes");
    // A short row is left to the caller to retry: there the loss has nothing to do with the row.
    proxy.cut_on(b"INSERT INTO");
    assert_eq!(source.restore(&kept(&copies)).await.expect_err("it is cut").kind, SourceErrorKind::Lost);

    let mut long = copies[&RowId(2)].clone();
    let error = long.event.0.iter_mut().find(|cell| cell.column.eq_ignore_ascii_case("error_message"));
    error.expect("an error").bytes = Some(vec![b'x'; LONG_EVENT]);
    proxy.cut_times_on(2, b"INSERT INTO");
    let outcomes = source.restore(&[long]).await.expect("outcomes");
    assert!(
        matches!(&outcomes[..], [RowOutcome::Failed { reason }] if reason.contains("max_allowed_packet")),
        "{outcomes:?}"
    );
    assert_eq!(source.restore(&kept(&copies)).await, Ok(vec![RowOutcome::Restored { id: RowId(2) }]));
}

async fn a_row_whose_id_is_taken_gets_a_new_one(database: &mut TestDatabase) {
    fill(database).await;
    let table = database.table("failed_events");
    let source = database.source();
    let copies = copy(&source, &[2]).await;
    source.discard(&[of(database, 2, 5)], &copies).await.expect("outcomes");
    // A dump was restored meanwhile: the id now belongs to another event.
    let other = Failed { event_id: Some("tag:another".into()), ..database.failed(2) };
    database.insert(&[other]).await;
    if database.server == Server::Postgres {
        // As after a dump: the sequence, if there is one, is where the consumer left it.
        let advance =
            format!("SELECT setval(s, 50) FROM pg_get_serial_sequence('{table}', 'id') s WHERE s IS NOT NULL");
        database.run(&advance).await;
    }
    let outcomes = source.restore(&kept(&copies)).await.expect("outcomes");
    let RowOutcome::Restored { id } = outcomes[0] else { panic!("{outcomes:?}") };
    assert_ne!(id, RowId(2));
    let titles = database.lines(&format!("SELECT event_id FROM {table} WHERE id IN (2, {id}) ORDER BY id")).await;
    assert_eq!(titles, [Some("tag:another".to_owned()), Some("tag:atomfeed.ict4h.org:2".to_owned())]);
    // The consumer's next row does not collide with it.
    let next = match database.variant {
        // These assign their ids themselves.
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
    // A column that the console does not know.
    let kind = if database.server == Server::Sqlite { "REAL" } else { "double precision" };
    database.run(&format!("ALTER TABLE {table} ADD COLUMN weight {kind}")).await;
    database.run(&format!("UPDATE {table} SET weight = 0.1 + 0.2, failed_at = failed_at WHERE id = 7")).await;
    // PostgreSQL texts cannot hold NUL bytes.
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
    // Without a pair of feed and event, only the whole row shows that it is already there.
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
    // Another row of the pair stays, and so does the log.
    let copies = copy(&source, &[2]).await;
    assert!(copies[&RowId(2)].log.is_empty());
    assert_eq!(source.discard(&[of(database, 2, 0)], &copies).await, Ok(vec![RowOutcome::Discarded]));
    assert_eq!(database.lines(&ids).await.len(), 3);
    // The last row of the pair takes its log along, and nothing else.
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
