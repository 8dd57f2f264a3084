//! Malformed rows are shown faithfully: never a crash, never a wrong row.

use atomfeed_console::{
    model::{
        FailedEventRow, Obstacle, RowId,
        filter::{Direction, Filter, Order, Position},
        operation::RowOutcome,
    },
    server::sources::{ListRequest, LongText, ResetRow, SearchIn, Source, TextLimit},
};

use crate::support::database::{Failed, Server, TestDatabase, utc};

everywhere! {
    a_row_of_nulls_is_a_row
    texts_come_back_as_they_are
}

on!(mysql, Mysql, OpenMrs: dates_of_zeros_are_shown_and_paged a_date_with_a_zero_in_it_is_none ids_beyond_a_signed_number_are_exact
    nul_bytes_are_part_of_a_text);
on!(mysql_old, MysqlOld, OpenMrs: dates_of_zeros_are_shown_and_paged a_date_with_a_zero_in_it_is_none
    nul_bytes_are_part_of_a_text);
on!(mysql_latin1_texts, Mysql, Latin1: latin1_texts_are_compared_with_what_latin1_cannot_hold);
on!(postgres, Postgres, Odoo: times_without_end_are_shown_and_paged a_text_with_a_nul_is_found_nowhere);
on!(sqlite, Sqlite, Text: dates_of_zeros_are_shown_and_paged a_date_with_a_zero_in_it_is_none nul_bytes_are_part_of_a_text bytes_that_are_no_text_are_replaced);

async fn page(source: &Source, filter: &Filter) -> Vec<FailedEventRow> {
    let mut rows: Vec<FailedEventRow> = Vec::new();
    let mut place = None;
    // Row by row, so that every key is compared with every other.
    loop {
        let request = ListRequest {
            filter,
            from: place.as_ref(),
            direction: Direction::Forward,
            limit: 1,
            texts: TextLimit::LIST,
            search: SearchIn::Everything,
        };
        let Some(row) = source.list(&request).await.expect("a list").rows.pop() else { return rows };
        place = Some(row.position);
        assert!(rows.iter().all(|seen| seen.id != row.row.id), "row {} came twice", row.row.id);
        rows.push(row.row);
    }
}

fn ids(rows: &[FailedEventRow]) -> Vec<i128> {
    rows.iter().map(|row| row.id.0).collect()
}

async fn a_row_of_nulls_is_a_row(database: &mut TestDatabase) {
    let row = Failed {
        id: 1,
        feed: None,
        failed_at: "NULL".to_owned(),
        error: None,
        event_id: None,
        content: None,
        title: None,
        retries: -7,
        tags: None,
    };
    database.insert(&[row]).await;
    let source = database.source();
    let poll = source.poll().await.expect("a look");
    assert_eq!(poll.failures.here().expect("the table is there")[0].uri, None);
    let event = source.event(RowId(1)).await.expect("an answer").expect("the row");
    assert_eq!((event.error_chars, event.payload_chars, event.error_hash_code), (0, 0, None));
    assert_eq!(
        (&event.row.feed_uri, &event.row.failed_at, &event.row.error, &event.row.event_id),
        (&None, &None, &None, &None)
    );
    assert_eq!(event.row.retries, database.has_retries().then_some(-7));
    assert_eq!(source.text(RowId(1), LongText::Payload, 0, 10).await, Ok(Some(String::new())));
    assert_eq!(page(&source, &Filter::default()).await, [event.row]);
    if database.has_retries() {
        // No retry job would find it.
        let outcomes = source.reset(&[ResetRow { id: RowId(1), seen_retries: -7 }]).await;
        assert_eq!(outcomes, Ok(vec![RowOutcome::Failed { reason: Obstacle::NoFeedAddress.why().to_owned() }]));
        assert_eq!(source.event(RowId(1)).await.expect("an answer").expect("the row").row.retries, Some(-7));
    }
}

async fn texts_come_back_as_they_are(database: &mut TestDatabase) {
    // Letters that latin1 lacks are left out for it.
    let latin1 = database.variant == crate::support::database::Variant::Latin1;
    let text = if latin1 { "é <b>'\"\\%_ \t\n" } else { "é \u{1f9ea} अ <b>'\"\\%_ \t\n" };
    let text = &if database.holds_four_bytes() { text.to_owned() } else { text.replace('\u{1f9ea}', "") };
    let feed = "not: a URL, \\ 100% 'quoted'";
    let row = Failed {
        feed: Some(feed),
        error: Some(text.to_owned()),
        event_id: Some(text.trim().to_owned()),
        content: Some(text.to_owned()),
        title: Some(text.to_owned()),
        ..database.failed(1)
    };
    database.insert(&[row]).await;
    let source = database.source();
    let event = source.event(RowId(1)).await.expect("an answer").expect("the row");
    assert_eq!(event.row.error.as_deref(), Some(text.as_str()));
    assert_eq!(event.row.title.as_deref(), Some(text.as_str()));
    assert_eq!(event.error_chars, text.chars().count() as u64);
    let by_feed = Filter { feed: Some(feed.to_owned()), ..Filter::default() };
    assert_eq!(ids(&page(&source, &by_feed).await), [1]);
    assert_eq!(source.rows_of_event(text.trim()).await.expect("an answer").len(), 1);
    let search = Filter { text: Some("<B>'\"\\%_".to_owned()), ..Filter::default() };
    assert_eq!(ids(&page(&source, &search).await), [1]);
}

async fn dates_of_zeros_are_shown_and_paged(database: &mut TestDatabase) {
    let zero = |id, database: &TestDatabase| Failed {
        failed_at: "'0000-00-00 00:00:00'".to_owned(),
        retries: 5,
        ..database.failed(id)
    };
    let rows = [
        zero(1, database),
        database.failed(2),
        zero(3, database),
        Failed { failed_at: "NULL".to_owned(), ..database.failed(4) },
    ];
    database.insert(&rows).await;
    if database.is_mysql() {
        database
            .run("INSERT INTO event_records (id, category, timestamp, date_created) VALUES (1, 'x', '0000-00-00 00:00:00', '0000-00-00 00:00:00')")
            .await;
    }
    let source = database.source();
    let rows = page(&source, &Filter::default()).await;
    assert_eq!(ids(&rows), [2, 4, 3, 1]);
    let stamp = rows[2].failed_at.as_ref().expect("not NULL");
    assert!(stamp.text.starts_with("0000-00-00 00:00:00") && stamp.at.is_none(), "{stamp:?}");
    // In both orders they are last, like rows with NULL, and paging backward gives the same order.
    let oldest = Filter { order: Order::Oldest, ..Filter::default() };
    assert_eq!(ids(&page(&source, &oldest).await), [2, 1, 3, 4]);
    for (filter, back) in [(&Filter::default(), [1, 3, 4, 2]), (&oldest, [4, 3, 1, 2])] {
        let request = ListRequest {
            filter,
            from: None,
            direction: Direction::Backward,
            limit: 1,
            texts: TextLimit::LIST,
            search: SearchIn::Everything,
        };
        let mut place = None;
        let mut seen = Vec::new();
        loop {
            let asked = ListRequest { from: place.as_ref(), ..request };
            let Some(row) = source.list(&asked).await.expect("a list").rows.pop() else { break };
            seen.push(row.row.id.0);
            place = Some(Position { after: false, ..row.position });
        }
        assert_eq!(seen, back, "{:?}", filter.order);
    }
    // A position that an older page expressed as zeros is among these rows.
    let old_place = Position { failed_at: Some("0000-00-00 00:00:00".to_owned()), id: RowId(1), after: true };
    let request = ListRequest {
        filter: &oldest,
        from: Some(&old_place),
        direction: Direction::Forward,
        limit: 9,
        texts: TextLimit::LIST,
        search: SearchIn::Everything,
    };
    let behind: Vec<i128> = source.list(&request).await.expect("a list").rows.iter().map(|row| row.row.id.0).collect();
    assert_eq!(behind, [3, 4]);
    let before_2030 = Filter { until: Some(utc("2030-01-01T00:00:00Z")), ..Filter::default() };
    assert_eq!(ids(&page(&source, &before_2030).await), [2], "no date is before no time");
    let poll = source.poll().await.expect("a look");
    assert!(
        poll.hazards.iter().any(|hazard| hazard.contains("3 failed events have no time (failed_at is NULL")),
        "{poll:?}"
    );
    let hazards = source.check().await.expect("a report").hazards;
    assert!(
        hazards.iter().any(|hazard| hazard.contains("3 failed events have no time (failed_at is NULL")),
        "{hazards:?}"
    );
    let feed = &poll.failures.here().expect("the failed events")[0];
    assert_eq!((feed.exhausted, feed.beyond_help), (2, 2));
    assert_eq!((feed.waiting, feed.blocking), (2, 1), "one of those that wait has no time");
    assert_eq!(feed.oldest.as_ref().and_then(|stamp| stamp.at), Some(utc("2026-11-01T08:00:00Z")));
    if database.is_mysql() {
        source.publisher(None).await.expect("an answer");
    }
    // The consumer could not read these rows, so they are not reset; the row beside them is.
    database.run("UPDATE failed_events SET retries = 5, failed_at = failed_at").await;
    let before = database.dump().await;
    let asked = [1, 2, 3, 4].map(|id| ResetRow { id: RowId(id), seen_retries: 5 });
    let none = RowOutcome::Failed { reason: Obstacle::NoTime.why().to_owned() };
    assert_eq!(source.reset(&asked).await, Ok(vec![none.clone(), RowOutcome::Reset, none.clone(), none]));
    let after = database.dump().await;
    let changed: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    assert!(matches!(&changed[..], [line] if line.starts_with("failed_events: 2|")), "{changed:?}");
}

/// Zeros only for the month or the day: no driver of the consumers reads that as a time.
async fn a_date_with_a_zero_in_it_is_none(database: &mut TestDatabase) {
    if database.is_mysql() {
        database.run("ALTER TABLE failed_events MODIFY failed_at datetime NULL").await;
    }
    let dated = |id, time: &str, database: &TestDatabase| Failed {
        failed_at: format!("'{time}'"),
        retries: 5,
        ..database.failed(id)
    };
    let mut rows = vec![
        dated(1, "2026-00-17 01:02:03", database),
        dated(2, "2026-11-00 01:02:03", database),
        dated(3, "2026-11-17 01:02:03", database),
    ];
    if database.server == Server::Sqlite {
        rows.push(dated(4, " ", database));
    }
    database.insert(&rows).await;
    let source = database.source();
    let oldest = page(&source, &Filter { order: Order::Oldest, ..Filter::default() }).await;
    let expected: &[i128] = if database.server == Server::Sqlite { &[3, 1, 2, 4] } else { &[3, 1, 2] };
    assert_eq!(ids(&oldest), expected);
    let hopeless: Vec<i128> = oldest.iter().filter(|row| row.obstacle().is_some()).map(|row| row.id.0).collect();
    assert_eq!(hopeless, expected[1..]);
    let asked: Vec<ResetRow> = expected.iter().map(|id| ResetRow { id: RowId(*id), seen_retries: 5 }).collect();
    let outcomes = source.reset(&asked).await.expect("an answer");
    assert_eq!(outcomes[0], RowOutcome::Reset);
    assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, RowOutcome::Failed { .. })), "{outcomes:?}");
}

async fn ids_beyond_a_signed_number_are_exact(database: &mut TestDatabase) {
    let (large, larger) = (i128::from(u64::MAX) - 2, i128::from(u64::MAX) - 1);
    let beyond_a_float = (1_i128 << 53) + 1;
    let mut rows = Vec::new();
    for id in [1, beyond_a_float, beyond_a_float + 1, large, larger] {
        rows.push(Failed { retries: 5, ..database.failed(id) });
    }
    database.insert(&rows).await;
    let source = database.source();
    for order in [Order::IdDown, Order::Newest] {
        let rows = page(&source, &Filter { order, ..Filter::default() }).await;
        assert_eq!(ids(&rows), [larger, large, beyond_a_float + 1, beyond_a_float, 1]);
    }
    assert_eq!(source.event(RowId(large)).await.expect("an answer").expect("the row").row.id, RowId(large));
    let outcomes = source.reset(&[ResetRow { id: RowId(large), seen_retries: 5 }]).await;
    assert_eq!(outcomes, Ok(vec![RowOutcome::Reset]));
    let left = database.lines("SELECT CAST(id AS CHAR) FROM failed_events WHERE retries = 0").await;
    assert_eq!(left, [Some(large.to_string())]);
}

async fn nul_bytes_are_part_of_a_text(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let text = if database.server == Server::Sqlite { "CAST(x'610062C3A9' AS TEXT)" } else { "x'610062C3A9'" };
    database.run(&format!("UPDATE failed_events SET error_message = {text}, title = {text}")).await;
    let source = database.source();
    let event = source.event(RowId(1)).await.expect("an answer").expect("the row");
    assert_eq!(event.row.error.as_deref(), Some("a\0bé"));
    assert_eq!(event.row.title.as_deref(), Some("a\0bé"));
    assert_eq!(event.error_chars, 4);
    assert_eq!(source.text(RowId(1), LongText::Error, 2, 2).await, Ok(Some("bé".to_owned())));
    assert_eq!(page(&source, &Filter::default()).await[0].error.as_deref(), Some("a\0bé"));
}

async fn latin1_texts_are_compared_with_what_latin1_cannot_hold(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let source = database.source();
    for text in ["\u{1f9ea}", "अ"] {
        let filter = Filter { feed: Some(text.to_owned()), category: Some(text.to_owned()), ..Filter::default() };
        assert_eq!(ids(&page(&source, &filter).await), [0; 0]);
        assert_eq!(source.rows_of_event(text).await, Ok(vec![]));
        assert_eq!(source.same_record(text, None, 5).await, Ok((vec![], true)));
    }
}

async fn times_without_end_are_shown_and_paged(database: &mut TestDatabase) {
    let timed =
        |id, time: &str, database: &TestDatabase| Failed { failed_at: format!("'{time}'"), ..database.failed(id) };
    let rows = [
        timed(1, "infinity", database),
        timed(2, "-infinity", database),
        timed(3, "0044-03-15 12:00:00 BC", database),
        timed(4, "2026-11-01 08:00:00.000001", database),
        timed(5, "2026-11-01 08:00:00.000002", database),
    ];
    database.insert(&rows).await;
    let source = database.source();
    let rows = page(&source, &Filter::default()).await;
    assert_eq!(ids(&rows), [1, 5, 4, 3, 2]);
    for (place, text) in [(0, "infinity"), (4, "-infinity")] {
        let stamp = rows[place].failed_at.as_ref().expect("not NULL");
        assert_eq!((stamp.text.as_str(), stamp.at), (text, None));
    }
    source.poll().await.expect("a look");
}

async fn a_text_with_a_nul_is_found_nowhere(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let filter = Filter { text: Some("a\0b".to_owned()), feed: Some("\0".to_owned()), ..Filter::default() };
    assert_eq!(ids(&page(&database.source(), &filter).await), [0; 0]);
}

async fn bytes_that_are_no_text_are_replaced(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    database.run("UPDATE failed_events SET error_message = CAST(x'61FF62' AS TEXT), title = x'FE', event_id = 7").await;
    let source = database.source();
    let event = source.event(RowId(1)).await.expect("an answer").expect("the row");
    assert_eq!(event.row.error.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(event.row.title.as_deref(), Some("\u{fffd}"));
    assert_eq!(event.row.event_id.as_deref(), Some("7"));
}
