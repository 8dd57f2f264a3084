//! Texts far longer than the known schemas allow: cut by the database, and searched only as far as they are shown.

use std::collections::BTreeSet;

use atomfeed_console::{
    model::{
        FailedEvent, RowId,
        error_text::KEY_CHARS,
        filter::{Direction, Filter, PASTED},
        operation::RowOutcome,
    },
    server::sources::{DiscardRow, ListRequest, ResetRow, SearchIn, Source, TextLimit},
};

use crate::support::database::{FEED, Server, TestDatabase};

on_each_server! {
    a_search_compares_the_beginning_of_a_text_and_comes_to_its_end
    what_names_an_event_is_cut_by_the_database_wherever_it_is_read
    a_publishers_categories_are_cut_by_the_database
}

/// Makes text columns as wide as the database allows, as in tables created by hand.
async fn widen(database: &mut TestDatabase, table: &str, columns: &[&str]) {
    let name = database.table(table);
    for column in columns {
        match database.server {
            Server::Mysql | Server::MysqlOld => {
                database.run(&format!("ALTER TABLE {name} MODIFY {column} LONGTEXT")).await;
            }
            Server::Postgres => database.run(&format!("ALTER TABLE {name} ALTER {column} TYPE text")).await,
            Server::Sqlite => {}
        }
    }
}

/// Returns SQL for a text of this many letters.
fn letters(database: &TestDatabase, number: u32) -> String {
    match database.server {
        Server::Sqlite => format!("REPLACE(HEX(ZEROBLOB({})), '00', 'xx')", number / 2),
        _ => format!("REPEAT('x', {number})"),
    }
}

async fn found(source: &Source, text: &str) -> usize {
    let filter = Filter { text: Some(text.to_owned()), ..Filter::default() };
    let request = ListRequest {
        filter: &filter,
        from: None,
        direction: Direction::Forward,
        limit: 10,
        texts: TextLimit::LIST,
        search: SearchIn::Everything,
    };
    source.list(&request).await.expect("the search comes to its end").rows.len()
}

async fn a_search_compares_the_beginning_of_a_text_and_comes_to_its_end(database: &mut TestDatabase) {
    let rows = [database.failed(1), database.failed(2)];
    database.insert(&rows).await;
    widen(database, "failed_events", &["error_message"]).await;
    let (table, long) = (database.table("failed_events"), letters(database, 5_000_000));
    let mysql = database.is_mysql();
    let join = |parts: [&str; 2]| match mysql {
        true => format!("CONCAT({}, {})", parts[0], parts[1]),
        false => format!("{} || {}", parts[0], parts[1]),
    };
    let (end, begin) = (join([&long, "'needle'"]), join(["'pin'", &long]));
    database.run(&format!("UPDATE {table} SET error_message = {end} WHERE id = 1")).await;
    database.run(&format!("UPDATE {table} SET error_message = {begin} WHERE id = 2")).await;
    let source = database.source();
    // The worst case: at every letter of the text the match fails only at the last letter of the pattern.
    assert_eq!(found(&source, &format!("{}y", "x".repeat(PASTED - 1))).await, 2, "its first letters are all x");
    assert_eq!(found(&source, &format!("{}y", "x".repeat(199))).await, 0);
    assert_eq!(found(&source, "pinx").await, 1);
    assert_eq!(found(&source, "needle").await, 0, "five million letters in");
    let shown = FailedEvent::TEXT_LIMIT - 6;
    let edge = join([&letters(database, shown), "'needle'"]);
    database.run(&format!("UPDATE {table} SET error_message = {edge} WHERE id = 1")).await;
    assert_eq!(found(&source, "needle").await, 1, "as far as a page shows a text");
}

/// Returns the cut form of a text with this beginning and more than [`KEY_CHARS`] characters.
fn cut(begins: &str) -> String {
    let more = KEY_CHARS as usize - 1 - begins.chars().count();
    format!("{begins}{}…", "x".repeat(more))
}

async fn what_names_an_event_is_cut_by_the_database_wherever_it_is_read(database: &mut TestDatabase) {
    database.insert(&[database.failed(1), database.failed(2), database.failed(3)]).await;
    database.log(1, Some(FEED), "2026-11-01T09:00:00Z", "tag:of-1", "again").await;
    database.log(2, Some(FEED), "2026-11-01T09:00:00Z", "tag:of-2", "again").await;
    database.marker(FEED, Some("tag:entry"), Some("http://page")).await;
    if database.is_mysql() {
        let markers = database.table("markers");
        database.run(&format!("ALTER TABLE {markers} DROP PRIMARY KEY")).await;
    }
    widen(database, "failed_events", &["feed_uri", "event_id", "title", "tags"]).await;
    widen(database, "failed_event_retry_log", &["feed_uri", "event_id"]).await;
    widen(database, "markers", &["feed_uri", "last_read_entry_id", "feed_uri_for_last_read_entry"]).await;
    let (mysql, long) = (database.is_mysql(), letters(database, 300_000));
    let beginning = |text: &str| match mysql {
        true => format!("CONCAT('{text}', {long})"),
        false => format!("'{text}' || {long}"),
    };
    let (table, log, markers) =
        (database.table("failed_events"), database.table("failed_event_retry_log"), database.table("markers"));
    let feed = beginning("http://long/ä/");
    for id in [1, 2] {
        let (event, title) = (beginning(&format!("tag:{id}:")), beginning("Ünder "));
        database
            .run(&format!(
                "UPDATE {table} SET failed_at = failed_at, feed_uri = {feed}, event_id = {event}, title = {title}, tags = {} WHERE id = {id}",
                beginning("patient,")
            ))
            .await;
        database.run(&format!("UPDATE {log} SET feed_uri = {feed}, event_id = {event} WHERE id = {id}")).await;
    }
    let (entry, page) = (beginning("tag:entry:"), beginning("http://page/"));
    database
        .run(&format!(
            "UPDATE {markers} SET feed_uri = {feed}, last_read_entry_id = {entry}, feed_uri_for_last_read_entry = {page}"
        ))
        .await;
    let source = database.source();
    let (feed, event) = (cut("http://long/ä/"), |id: i128| cut(&format!("tag:{id}:")));
    let list = async |filter: &Filter| {
        let (from, direction, search) = (None, Direction::Forward, SearchIn::Everything);
        let request = ListRequest { filter, from, direction, limit: 10, texts: TextLimit::LIST, search };
        source.list(&request).await.expect("a list").rows
    };

    let of_feed = list(&Filter { feed: Some(feed.clone()), ..Filter::default() }).await;
    assert_eq!(of_feed.len(), 2, "the feed is found by what is known of its address");
    for row in of_feed {
        let row = row.row;
        assert_eq!(row.feed_uri.as_deref(), Some(feed.as_str()));
        assert_eq!(row.event_id, Some(event(row.id.0)));
        assert_eq!(row.title, Some(cut("Ünder ")));
        assert!(row.tags.is_none_or(|tags| tags == cut("patient,")));
    }
    let short = list(&Filter { feed: Some(FEED.to_owned()), ..Filter::default() }).await;
    assert_eq!(short.iter().map(|row| row.row.id.0).collect::<Vec<_>>(), [3]);
    let other = list(&Filter { feed: Some(cut("http://long/ö/")), ..Filter::default() }).await;
    assert_eq!(other.len(), 0, "nor is any other long address");

    let shown = source.event(RowId(1)).await.expect("an answer").expect("the row");
    assert_eq!((&shown.row.event_id, shown.attempts_total), (&Some(event(1)), 1), "with its own attempts alone");
    assert_eq!(source.rows_of_event(&event(2)).await.expect("rows").len(), 1);
    assert_eq!(source.attempts_of_event(&event(2), false).await.expect("attempts").expect("it failed").len(), 1);
    assert_eq!(source.ahead(Some(&feed), RowId(2)).await, Ok(u64::from(shown.row.retries.is_some_and(|at| at < 5))));

    let poll = source.poll().await.expect("a look");
    let known = |uris: Vec<Option<String>>| uris.into_iter().flatten().collect::<BTreeSet<_>>();
    let failures = poll.failures.here().expect("failures");
    let counts: Vec<u64> = failures.iter().filter(|of| of.uri.as_ref() == Some(&feed)).map(|of| of.total).collect();
    assert_eq!(counts, [2], "counted as one feed");
    let both = BTreeSet::from([feed.clone(), FEED.to_owned()]);
    assert_eq!(known(poll.newest.into_iter().map(|row| row.feed_uri).collect()), both);
    assert_eq!(known(poll.last_retries.into_iter().map(|(uri, _)| uri).collect()), BTreeSet::from([feed.clone()]));
    let marker = &poll.markers.here().expect("markers")[0];
    assert_eq!((&marker.feed_uri, &marker.last_read_entry_id), (&Some(feed.clone()), &Some(cut("tag:entry:"))));
    assert_eq!(marker.page_uri, Some(cut("http://page/")));
    assert!(source.check().await.expect("a report").feeds.contains(&feed));

    let keys = source.row_keys((1, 2), 10).await.expect("keys");
    let rows = source.whole_rows((1, 2), 10).await.expect("rows");
    for (key, row) in keys.iter().zip(&rows) {
        let id = i128::from(key.id);
        assert_eq!((&key.event_id, &key.feed_uri), (&Some(event(id)), &Some(feed.clone())));
        assert_eq!((&row.row.event_id, &row.row.title), (&Some(event(id)), &Some(cut("Ünder "))));
        assert_eq!(key.mark, row.mark);
    }
    let log = source.log_above(None, 10).await.expect("the log");
    assert_eq!(log.iter().map(|row| row.event_id.clone()).collect::<Vec<_>>(), [Some(event(1)), Some(event(2))]);

    if database.has_retries() {
        let reset = [ResetRow { id: RowId(1), seen_retries: rows[0].row.retries.expect("retries") }];
        assert_eq!(source.reset(&reset).await, Ok(vec![RowOutcome::Reset]), "a row is named by its id");
        let copies = source.copy(&[RowId(2)], usize::MAX).await.expect("a copy").events;
        let whole = copies[&RowId(2)].event.value("event_id").expect("an event id");
        assert_eq!(whole.len(), "tag:2:".len() + 300_000, "a copy is whole");
        assert_eq!(copies[&RowId(2)].log.len(), 1);
        let seen = [DiscardRow { id: RowId(2), seen_retries: rows[1].row.retries }];
        assert_eq!(source.discard(&seen, &copies).await, Ok(vec![RowOutcome::Discarded]));
    }
}

async fn a_publishers_categories_are_cut_by_the_database(database: &mut TestDatabase) {
    if !database.publishes() {
        return;
    }
    let (mysql, long) = (database.is_mysql(), letters(database, 300_000));
    let ending = |text: &str| match mysql {
        true => format!("CONCAT('lab', {long}, '{text}')"),
        false => format!("'lab' || {long} || '{text}'"),
    };
    for table in ["event_records", "event_records_offset_marker"] {
        widen(database, table, &["category"]).await;
    }
    let (records, offsets) = (database.table("event_records"), database.table("event_records_offset_marker"));
    let time = database.at("2026-11-01T09:00:00Z");
    for (id, category) in [(1, ending("a")), (2, ending("b")), (3, ending("b")), (4, "'patient'".to_owned())] {
        database
            .run(&format!("INSERT INTO {records} (id, timestamp, category) VALUES ({id}, {time}, {category})"))
            .await;
    }
    let offset =
        format!("INSERT INTO {offsets} (id, event_id, event_count, category) VALUES (1, 1, 1, {})", ending("a"));
    database.run(&offset).await;
    let source = database.source();
    let publisher = source.publisher(None).await.expect("an answer");
    let categories = publisher.categories.here().expect("categories");
    let counts: Vec<_> = categories.iter().map(|category| (category.category.clone(), category.count)).collect();
    assert_eq!(counts, [(Some(cut("lab")), 3), (Some("patient".to_owned()), 1)], "what begins alike is one");
    let markers = publisher.offset_markers.here().expect("markers");
    assert_eq!((&markers.rows[0].category, markers.rows[0].behind), (&Some(cut("lab")), Some(2)));
    let newest: BTreeSet<String> =
        source.newest_published().await.expect("an answer").into_iter().map(|(category, _)| category).collect();
    assert_eq!(newest, BTreeSet::from([cut("lab"), "patient".to_owned()]));
}
