//! Single failed events: whole, in pieces, with their attempts and what surrounds them.

use std::sync::Arc;

use atomfeed_console::{
    model::{Attempt, Availability, FailedEvent, FailedEventRow, RowId},
    server::sources::{KnownLog, LongText, TextLimit},
};

use futures::StreamExt;

use crate::support::database::{FEED, Failed, MAX_RETRY, Server, TestDatabase, utc};

everywhere! {
    an_event_is_shown_whole_with_its_attempts
    an_event_that_is_gone_is_no_error
    of_a_log_that_is_known_no_more_is_read
    attempts_of_another_feed_with_the_same_event_are_left_out
    attempts_of_another_feed_are_left_out_where_this_one_has_none
    attempts_from_before_the_first_failure_are_of_an_earlier_one
    rows_without_a_feed_address_are_one_feed
    megabytes_of_error_text_come_in_pieces
    rows_are_found_by_event_and_by_record
    a_feed_is_sent_whole_in_one_transaction_a_thousand_rows_a_statement
    the_log_of_an_event_is_one_statement
    the_rows_ahead_are_counted_by_feed
}

on!(mysql_moves, Mysql, OpenMrs: where_the_time_moves_with_the_row_the_first_sight_tells
    what_was_tried_before_the_console_was_there_counts_as_often_as_the_row_says
    where_the_time_moves_a_lone_attempt_from_long_before_is_of_an_earlier_failure
    where_the_time_moves_attempts_before_a_long_pause_are_of_an_earlier_failure);
on!(mysql_old_moves, MysqlOld, Latin1: where_the_time_moves_with_the_row_the_first_sight_tells);
on!(mysql_stays, Mysql, ModuleAtomfeed: a_time_that_stays_is_known_as_such);
on!(postgres_stays, Postgres, OpenElis: a_time_that_stays_is_known_as_such);
on!(sqlite_stays, Sqlite, Text: a_time_that_stays_is_known_as_such);

fn ids(rows: &[FailedEventRow]) -> Vec<i128> {
    rows.iter().map(|row| row.id.0).collect()
}

async fn an_event_is_shown_whole_with_its_attempts(database: &mut TestDatabase) {
    let row = Failed { retries: 3, tags: Some("patient"), ..database.failed(7) };
    database.insert(&[row]).await;
    let table = database.table("failed_events");
    database.run(&format!("UPDATE {table} SET error_hash_code = -42, failed_at = failed_at")).await;
    if database.has_retry_log() {
        for id in 1..=60 {
            let at = format!("2026-11-01T09:00:{:02}Z", id % 60);
            database.log(id, Some(FEED), &at, "tag:atomfeed.ict4h.org:7", &format!("attempt {id}")).await;
        }
        database.log(61, Some(FEED), "2026-11-01T09:01:00Z", "another", "not this one").await;
    }
    let event = database.source().event(RowId(7)).await.expect("an answer").expect("the row");
    assert_eq!(event.row.feed_uri.as_deref(), Some(FEED));
    assert_eq!(event.row.title.as_deref(), Some("Encounter"));
    assert_eq!(event.row.error.as_deref(), Some("Failed processing event 7"));
    assert_eq!((event.error_chars, event.payload_chars), (25, 31));
    assert_eq!(event.error_hash_code, Some(-42));
    assert_eq!(event.row.retries, database.has_retries().then_some(3));
    assert_eq!(event.row.tags.as_deref(), database.has_retries().then_some("patient"));
    match event.attempts {
        Availability::NotHere(reason) => {
            assert!(!database.has_retry_log() && reason.contains("failed_event_retry_log"), "{reason}");
        }
        Availability::Here(attempts) => {
            assert_eq!(event.attempts_total, 60);
            assert_eq!(attempts.len(), FailedEvent::ATTEMPT_LIMIT as usize);
            assert_eq!(attempts[0].error.as_deref(), Some("attempt 11"));
            assert_eq!(attempts[49].error.as_deref(), Some("attempt 60"));
        }
    }
}

async fn of_a_log_that_is_known_no_more_is_read(database: &mut TestDatabase) {
    let row = database.failed(7);
    database.insert(&[row]).await;
    if !database.has_retry_log() {
        return;
    }
    for id in 1..=5 {
        let event = if id == 3 { "another" } else { "tag:atomfeed.ict4h.org:7" };
        database.log(id, Some(FEED), "2026-11-01T09:00:00Z", event, &format!("attempt {id}")).await;
    }
    let source = database.source();
    let known = |event_id: &str, ids: &[i128], to| KnownLog {
        event_id: event_id.to_owned(),
        ids: ids.iter().copied().map(RowId).collect(),
        to: RowId(to),
    };
    const ID: &str = "tag:atomfeed.ict4h.org:7";
    for (known, expected) in [
        (None, vec![1, 2, 4, 5]),
        // Row 2 is not known, so it is not read. Row 3 belongs to another event. Newer rows are found.
        (Some(known(ID, &[1, 3], 3)), vec![1, 4, 5]),
        (Some(known(ID, &[4, 2], 4)), vec![2, 4, 5]),
        (Some(known(ID, &[], 5)), vec![]),
        (Some(known("another", &[3], 3)), vec![1, 2, 4, 5]),
    ] {
        let event = source.event_seen(RowId(7), None, known.as_ref()).await.expect("an answer").expect("the row");
        let Availability::Here(attempts) = event.attempts else { panic!("the log is there") };
        let ids: Vec<i128> = attempts.iter().map(|attempt| attempt.id.0).collect();
        assert_eq!((ids, event.attempts_total), (expected.clone(), expected.len() as u64), "{known:?}");
    }
}

async fn an_event_that_is_gone_is_no_error(database: &mut TestDatabase) {
    let source = database.source();
    for id in [0, 7, -1, i128::from(i64::MAX), i128::from(u64::MAX), i128::MAX, i128::MIN] {
        assert_eq!(source.event(RowId(id)).await, Ok(None), "{id}");
        assert_eq!(source.text(RowId(id), LongText::Error, 0, 10).await, Ok(None), "{id}");
    }
    assert_eq!(source.rows(&[RowId(1), RowId(i128::MAX)], TextLimit::LIST).await, Ok(vec![]));
    assert_eq!(source.rows(&[], TextLimit::LIST).await, Ok(vec![]));
}

async fn attempts_of_another_feed_with_the_same_event_are_left_out(database: &mut TestDatabase) {
    const LAB: &str = "http://openmrs:8080/openmrs/ws/atomfeed/lab/recent";
    const OLD_HOST: &str = "http://localhost:8050/openmrs/ws/atomfeed/encounter/recent";
    let same = |id, feed, database: &TestDatabase| Failed {
        feed: Some(feed),
        event_id: Some("tag:same".to_owned()),
        ..database.failed(id)
    };
    let rows = [same(1, FEED, database), same(2, LAB, database)];
    database.insert(&rows).await;
    if !database.has_retry_log() {
        return;
    }
    database.log(1, Some(OLD_HOST), "2026-11-01T09:00:00Z", "tag:same", "encounter, before the host was renamed").await;
    database.log(2, Some(LAB), "2026-11-01T09:00:00Z", "tag:same", "lab").await;
    database.log(3, Some(FEED), "2026-11-01T09:00:00Z", "tag:same", "encounter").await;
    let source = database.source();
    for (id, expected) in [(1, vec![Some(OLD_HOST), Some(FEED)]), (2, vec![Some(LAB)])] {
        let event = source.event(RowId(id)).await.expect("an answer").expect("the row");
        let Availability::Here(attempts) = event.attempts else { panic!("the log is there") };
        let feeds: Vec<Option<&str>> = attempts.iter().map(|attempt| attempt.feed_uri.as_deref()).collect();
        assert_eq!((feeds, event.attempts_total), (expected.clone(), expected.len() as u64));
    }
    let all = source.attempts_of_event("tag:same", false).await.expect("an answer").expect("the event failed");
    assert_eq!(all.iter().map(|attempt| attempt.id.0).collect::<Vec<_>>(), [1, 2, 3]);
}

async fn attempts_of_another_feed_are_left_out_where_this_one_has_none(database: &mut TestDatabase) {
    const LAB: &str = "http://openmrs:8080/openmrs/ws/atomfeed/lab/recent";
    let event_id = Some("tag:same".to_owned());
    let rows = [
        Failed { event_id: event_id.clone(), ..database.failed(1) },
        Failed { event_id: event_id.clone(), feed: Some(LAB), ..database.failed(2) },
        Failed { event_id, feed: None, ..database.failed(3) },
    ];
    database.insert(&rows).await;
    if !database.has_retry_log() {
        return;
    }
    database.log(1, Some(LAB), "2026-11-01T09:00:00Z", "tag:same", "lab").await;
    let source = database.source();
    // The row without a feed address may belong to any feed.
    for (id, expected) in [(1, 0), (2, 1), (3, 1)] {
        let event = source.event(RowId(id)).await.expect("an answer").expect("the row");
        let Availability::Here(attempts) = event.attempts else { panic!("the log is there") };
        assert_eq!((attempts.len(), event.attempts_total), (expected, expected as u64), "row {id}");
    }
    // So may an attempt without a feed address.
    database.log(2, None, "2026-11-01T10:00:00Z", "tag:same", "of some feed").await;
    let event = source.event(RowId(1)).await.expect("an answer").expect("the row");
    let Availability::Here(attempts) = event.attempts else { panic!("the log is there") };
    assert_eq!(attempts.iter().map(|attempt| attempt.id.0).collect::<Vec<_>>(), [2]);
}

async fn attempts_from_before_the_first_failure_are_of_an_earlier_one(database: &mut TestDatabase) {
    let rows = [database.failed(7), Failed { failed_at: "NULL".to_owned(), ..database.failed(8) }];
    database.insert(&rows).await;
    if !database.has_retry_log() {
        return;
    }
    for event in [7, 8] {
        let name = format!("tag:atomfeed.ict4h.org:{event}");
        for (id, at) in [
            (1, "2025-06-01T00:00:00Z"),
            (2, "2026-10-31T23:00:00Z"),
            (3, "2026-11-01T08:00:00Z"),
            (4, "2026-11-01T09:00:00Z"),
        ] {
            database.log(10 * event + id, Some(FEED), at, &name, &format!("attempt {id}")).await;
        }
    }
    let source = database.source();
    let event = source.event(RowId(7)).await.expect("an answer").expect("the row");
    let texts = |attempts: &[Attempt]| attempts.iter().filter_map(|a| a.error.clone()).collect::<Vec<_>>();
    let present = event.attempts.here().expect("the log is there");
    assert_eq!((texts(present), event.attempts_total), (vec!["attempt 3".into(), "attempt 4".into()], 2));
    assert_eq!((texts(&event.earlier), event.earlier_total), (vec!["attempt 1".into(), "attempt 2".into()], 2));
    assert_eq!(event.latest().and_then(|attempt| attempt.error.as_deref()), Some("attempt 4"));
    // Without a time of the first failure no attempt is earlier.
    let event = source.event(RowId(8)).await.expect("an answer").expect("the row");
    assert_eq!((event.attempts_total, event.earlier_total), (4, 0));
    // Many earlier attempts do not push the present ones off the page.
    for id in 100..160 {
        database.log(id, Some(FEED), "2025-06-01T00:00:00Z", "tag:atomfeed.ict4h.org:7", "long ago").await;
    }
    let event = source.event(RowId(7)).await.expect("an answer").expect("the row");
    assert_eq!((event.attempts_total, event.earlier_total), (2, 62));
    assert_eq!(event.earlier.len(), FailedEvent::EARLIER_LIMIT as usize);
    assert_eq!(event.latest().and_then(|attempt| attempt.error.as_deref()), Some("attempt 4"));
}

/// MySQL can rewrite a time column with every change of its row.
async fn where_the_time_moves_with_the_row_the_first_sight_tells(database: &mut TestDatabase) {
    database.insert(&[database.failed(7)]).await;
    let name = "tag:atomfeed.ict4h.org:7";
    database.log(1, Some(FEED), "2025-06-01T00:00:00Z", name, "of last year").await;
    database.log(2, Some(FEED), "2026-11-01T09:00:00Z", name, "present").await;
    let source = database.source();
    let seen = source.event(RowId(7)).await.expect("an answer").expect("the row");
    assert!(seen.row.moves);
    let first_sight = seen.row.failed_at.and_then(|stamp| stamp.at);
    // As the consumer counts; the server's clock is later than everything in the log.
    let table = database.table("failed_events");
    database.run(&format!("UPDATE {table} SET retries = retries + 1 WHERE id = 7")).await;
    let event = source.event_seen(RowId(7), first_sight, None).await.expect("an answer").expect("the row");
    assert_ne!(event.row.failed_at.as_ref().and_then(|stamp| stamp.at), first_sight, "it moved");
    assert_eq!((event.attempts_total, event.earlier_total), (1, 1));
    assert_eq!(event.latest().and_then(|attempt| attempt.error.as_deref()), Some("present"));
}

/// A consumer that retried five times before the console existed moved the row's time to that of the last retry.
async fn what_was_tried_before_the_console_was_there_counts_as_often_as_the_row_says(database: &mut TestDatabase) {
    let failed_at = database.at("2026-11-01T10:25:00Z");
    database.insert(&[Failed { retries: 5, failed_at, ..database.failed(7) }]).await;
    let name = "tag:atomfeed.ict4h.org:7";
    database.log(1, Some(FEED), "2025-06-01T00:00:00Z", name, "of last year").await;
    for (id, minute) in [(2, 5), (3, 10), (4, 15), (5, 20), (6, 25)] {
        let at = format!("2026-11-01T10:{minute:02}:00Z");
        database.log(id, Some(FEED), &at, name, &format!("attempt {id}")).await;
    }
    let source = database.source();
    let seen_late = Some(utc("2026-11-01T11:00:00Z"));
    let event = source.event_seen(RowId(7), seen_late, None).await.expect("an answer").expect("the row");
    assert!(event.row.moves);
    assert_eq!((event.attempts_total, event.earlier_total), (5, 1));
    assert_eq!(event.latest().and_then(|attempt| attempt.error.as_deref()), Some("attempt 6"));
    // Another program moves the time past all of them.
    let table = database.table("failed_events");
    let moved = database.at("2026-11-20T00:00:00Z");
    database.run(&format!("UPDATE {table} SET title = 'moved', failed_at = {moved} WHERE id = 7")).await;
    let event = source.event(RowId(7)).await.expect("an answer").expect("the row");
    assert_eq!((event.attempts_total, event.earlier_total), (5, 1));
    let newest = source.newest_attempts(&[event.row], TextLimit::LIST).await.expect("an answer");
    assert_eq!(newest[&RowId(7)].error.as_deref(), Some("attempt 6"));
}

/// The row counts retries, but the log has no row from the time of the last one, which moved the row's time.
async fn where_the_time_moves_a_lone_attempt_from_long_before_is_of_an_earlier_failure(database: &mut TestDatabase) {
    let failed_at = database.at("2026-11-26T10:00:00Z");
    let row = |id| Failed { retries: 5, failed_at: failed_at.clone(), ..database.failed(id) };
    let rows = [row(7), row(8)];
    database.insert(&rows).await;
    database.log(1, Some(FEED), "2025-06-01T00:00:00Z", "tag:atomfeed.ict4h.org:7", "of last year").await;
    // Of the other row's five retries only the last two are still in the log.
    database.log(2, Some(FEED), "2026-11-26T09:30:00Z", "tag:atomfeed.ict4h.org:8", "again").await;
    database.log(3, Some(FEED), "2026-11-26T09:59:59Z", "tag:atomfeed.ict4h.org:8", "the latest").await;
    let source = database.source();
    for seen in [None, Some(utc("2026-11-27T00:00:00Z"))] {
        let event = source.event_seen(RowId(7), seen, None).await.expect("an answer").expect("the row");
        assert!(event.row.moves);
        assert_eq!((event.attempts_total, event.earlier_total), (0, 1), "{seen:?}");
        let event = source.event_seen(RowId(8), seen, None).await.expect("an answer").expect("the row");
        assert_eq!((event.attempts_total, event.earlier_total), (2, 0), "{seen:?}");
    }
    let rows = source.rows(&[RowId(7), RowId(8)], TextLimit::LIST).await.expect("an answer");
    let newest = source.newest_attempts(&rows, TextLimit::LIST).await.expect("an answer");
    assert!(!newest.contains_key(&RowId(7)));
    assert_eq!(newest[&RowId(8)].error.as_deref(), Some("the latest"));
}

/// As many rows as the row counts retries, or more, are in the log from an earlier failure of the same event.
async fn where_the_time_moves_attempts_before_a_long_pause_are_of_an_earlier_failure(database: &mut TestDatabase) {
    let failed_at = database.at("2026-11-26T10:00:00Z");
    for (id, retries) in [(7, 10), (8, 10), (9, 3)] {
        database.insert(&[Failed { retries, failed_at: failed_at.clone(), ..database.failed(id) }]).await;
        let name = format!("tag:atomfeed.ict4h.org:{id}");
        for number in 0..20 {
            let at = format!("2025-06-01T00:{number:02}:00Z");
            database
                .log(i64::try_from(id).expect("a small one") * 100 + number, Some(FEED), &at, &name, "of last year")
                .await;
        }
    }
    database.log(890, Some(FEED), "2026-11-26T09:59:59Z", "tag:atomfeed.ict4h.org:8", "present").await;
    let source = database.source();
    let rows = source.rows(&[RowId(7), RowId(8), RowId(9)], TextLimit::LIST).await.expect("an answer");
    for seen in [None, Some(utc("2026-11-27T00:00:00Z")), Some(utc("2026-11-20T00:00:00Z"))] {
        for (id, expected) in [(7, (0, 20)), (8, (1, 20)), (9, (0, 20))] {
            let event = source.event_seen(RowId(id), seen, None).await.expect("an answer").expect("the row");
            assert_eq!((event.attempts_total, event.earlier_total), expected, "{id} {seen:?}");
        }
    }
    let newest = source.newest_attempts(&rows, TextLimit::LIST).await.expect("an answer");
    assert_eq!(newest.keys().collect::<Vec<_>>(), [&RowId(8)]);
    // Seen before the earlier failure ended: then it may be the same.
    let event = source.event_seen(RowId(7), Some(utc("2025-06-01T00:00:00Z")), None).await.expect("an answer");
    assert_eq!(event.expect("the row").attempts_total, 20);
}

async fn a_time_that_stays_is_known_as_such(database: &mut TestDatabase) {
    database.insert(&[database.failed(7)]).await;
    let event = database.source().event(RowId(7)).await.expect("an answer").expect("the row");
    assert!(!event.row.moves);
}

async fn rows_without_a_feed_address_are_one_feed(database: &mut TestDatabase) {
    if !database.has_retries() {
        return;
    }
    let rows: Vec<Failed> = [(1, None, 0), (2, Some(""), 0), (3, None, 9), (4, Some(""), 9), (5, Some(FEED), 9)]
        .into_iter()
        .map(|(id, feed, retries)| Failed { feed, retries, ..database.failed(id) })
        .collect();
    database.insert(&rows).await;
    let source = database.source();
    for feed in [None, Some("")] {
        assert_eq!(source.ahead(feed, RowId(4)).await, Ok(2), "{feed:?}");
    }
}

async fn megabytes_of_error_text_come_in_pieces(database: &mut TestDatabase) {
    let table = database.table("failed_events");
    match database.server {
        Server::Postgres => database.run(&format!("ALTER TABLE {table} ALTER error_message TYPE text")).await,
        Server::Sqlite => {}
        _ => database.run(&format!("ALTER TABLE {table} MODIFY error_message longtext")).await,
    }
    // 5 MB: characters of two bytes, so that cutting bytes would show.
    let text: String = ('a'..='z').chain(['é', 'ü', 'ß']).cycle().take(4_600_000).collect();
    let row = Failed { error: Some(text.clone()), ..database.failed(1) };
    database.insert(&[row]).await;
    let source = database.source();
    let event = source.event(RowId(1)).await.expect("an answer").expect("the row");
    assert_eq!(event.error_chars, 4_600_000);
    let shown = event.row.error.expect("a text");
    assert_eq!(shown.chars().count(), FailedEvent::TEXT_LIMIT as usize);
    assert!(text.starts_with(&shown));

    let mut whole = String::new();
    let mut offset = 0;
    loop {
        let piece = source.text(RowId(1), LongText::Error, offset, 1_000_000).await.expect("an answer").expect("a row");
        if piece.is_empty() {
            break;
        }
        offset += piece.chars().count() as u64;
        whole.push_str(&piece);
    }
    assert!(whole == text, "{} of {} bytes came back", whole.len(), text.len());
}

async fn rows_are_found_by_event_and_by_record(database: &mut TestDatabase) {
    const UUID: &str = "0d1c0a2e-4a5f-4b0e-9a53-000000000001";
    let mut rows: Vec<Failed> = (1..=5).map(|id| database.failed(id)).collect();
    rows[0].content = Some(format!("/openmrs/ws/rest/v1/patient/{UUID}?v=full"));
    rows[2].content = Some(format!("/openmrs/ws/rest/v1/patient/{}?v=full", UUID.to_uppercase()));
    rows[3].event_id = Some(format!("tag:atomfeed.ict4h.org:{UUID}"));
    rows[4].event_id = Some(format!("tag:atomfeed.ict4h.org:{UUID}"));
    database.insert(&rows).await;
    let source = database.source();
    let (same, whole) = source.same_record(UUID, Some(RowId(4)), 10).await.expect("an answer");
    assert_eq!((ids(&same), whole), (vec![5, 3, 1], true));
    let (same, _) = source.same_record(UUID, None, 2).await.expect("an answer");
    assert_eq!(ids(&same), [5, 4]);
    let of_event = source.rows_of_event(&format!("tag:atomfeed.ict4h.org:{UUID}")).await.expect("an answer");
    assert_eq!(ids(&of_event), [4, 5]);
    let mut by_id = ids(&source.rows(&[RowId(5), RowId(99), RowId(2)], TextLimit::LIST).await.expect("an answer"));
    by_id.sort_unstable();
    assert_eq!(by_id, [2, 5]);
}

async fn the_rows_ahead_are_counted_by_feed(database: &mut TestDatabase) {
    let mut rows = Vec::new();
    for (id, retries) in [(1, 0), (2, MAX_RETRY), (3, 4), (4, MAX_RETRY + 2), (5, 0), (6, 9)] {
        rows.push(Failed { retries, ..database.failed(id) });
    }
    rows[4].feed = None;
    rows[5].feed = Some("http://openmrs:8080/other/recent");
    database.insert(&rows).await;
    let source = database.source();
    if !database.has_retries() {
        return;
    }
    assert_eq!(source.ahead(Some(FEED), RowId(4)).await, Ok(2));
    assert_eq!(source.ahead(Some(FEED), RowId(3)).await, Ok(1));
    assert_eq!(source.ahead(None, RowId(4)).await, Ok(0));
}

/// Statements that begin and end a transaction.
const TRANSACTION: u64 = 2;

async fn a_feed_is_sent_whole_in_one_transaction_a_thousand_rows_a_statement(database: &mut TestDatabase) {
    const LAB: &str = "http://openmrs:8080/openmrs/ws/atomfeed/lab/recent";
    let rows: Vec<Failed> = (1..=2_002)
        .map(|id| Failed { feed: if id == 1_500 { Some(LAB) } else { Some(FEED) }, ..database.failed(id) })
        .collect();
    for rows in rows.chunks(500) {
        database.insert(rows).await;
    }
    let source = Arc::new(database.source());
    source.rows(&[RowId(1)], TextLimit::LIST).await.expect("a connection that knows the schema");
    for (feed, expected, statements) in [(FEED, 2_001, 3), (LAB, 1, 1), ("http://nowhere/recent", 0, 1)] {
        let before = source.statements();
        let pages: Vec<_> = source.feed_rows(feed.to_owned()).collect().await;
        let rows: Vec<FailedEventRow> = pages.into_iter().flat_map(|page| page.expect("rows")).collect();
        assert_eq!(rows.len(), expected, "{feed}");
        assert!(rows.iter().all(|row| row.feed_uri.as_deref() == Some(feed)), "{feed}");
        assert!(ids(&rows).is_sorted(), "in the order of their ids");
        assert_eq!(source.statements() - before, TRANSACTION + statements, "{feed}");
    }
}

async fn the_log_of_an_event_is_one_statement(database: &mut TestDatabase) {
    if !database.has_retry_log() {
        return;
    }
    database.insert(&[database.failed(7)]).await;
    for id in [3, 1, 2] {
        database.log(id, Some(FEED), "2026-11-01T09:00:00Z", "tag:atomfeed.ict4h.org:7", "again").await;
    }
    database.log(9, Some(FEED), "2026-11-01T09:00:00Z", "tag:resolved", "again").await;
    let source = database.source();
    source.rows(&[RowId(1)], TextLimit::LIST).await.expect("a connection that knows the schema");
    let before = source.statements();
    let attempts =
        source.attempts_of_event("tag:atomfeed.ict4h.org:7", false).await.expect("an answer").expect("it failed");
    assert_eq!(attempts.iter().map(|attempt| attempt.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(attempts[0].error.as_deref(), Some("again"));
    assert_eq!(source.statements() - before, TRANSACTION + 1);
    // If the ledger knows that it failed, failed_events is not searched, unless the log has nothing.
    assert_eq!(source.attempts_of_event("tag:atomfeed.ict4h.org:7", true).await, Ok(Some(attempts)));
    assert_eq!(source.statements() - before, 2 * (TRANSACTION + 1));
    assert_eq!(source.attempts_of_event("tag:unknown", true).await, Ok(None), "it left a moment ago");
    // An event that is only in the log was resolved; an event without a log row was not retried yet.
    assert_eq!(source.attempts_of_event("tag:resolved", false).await.expect("an answer"), None);
    assert_eq!(source.attempts_of_event("tag:größe-Пациент-😀", false).await.expect("an answer"), None);
    database.insert(&[database.failed(8)]).await;
    assert_eq!(source.attempts_of_event("tag:atomfeed.ict4h.org:8", false).await.expect("an answer"), Some(Vec::new()));
}
