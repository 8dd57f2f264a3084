//! A single poll of a source, its publisher's side, and the report of `check`.

use std::time::Duration;

use atomfeed_console::{
    model::{
        Availability, RowId,
        feed::Unpublished,
        publisher::{Chunk, OffsetMarkers, Publisher, Queue},
    },
    server::{
        check::check_one,
        sources::{FeedFailures, Named, Word},
    },
};

use crate::support::database::{FEED, Failed, Maker, Server, TestDatabase, Variant, utc};

everywhere! {
    a_look_counts_failed_events_per_feed
    a_look_tells_what_is_missing
    a_look_tells_what_will_break_the_consumer
    the_publishers_side_is_counted_by_category
    a_queue_is_told_with_its_length_and_its_oldest_entry
    a_publisher_says_whether_it_has_what_a_marker_names
    a_publisher_says_what_comes_after_a_marker
    events_that_were_deleted_are_counted_no_more_and_markers_that_count_them_are_told
    hundreds_of_offset_markers_are_counted_and_not_listed
    a_text_by_language_is_the_text
    a_check_reports_tables_rights_and_clock
    a_check_of_a_sound_database_says_that_all_is_well
    an_empty_hospital_is_a_hospital
}

on_each_server! {
    pairs_that_stand_twice_are_not_searched_at_every_look
}

// SQLite cannot lock a single table, so no other program's pages can hold one there.
on!(mysql_slow, Mysql, OpenMrs: a_slow_part_of_a_look_is_left_out pages_that_wait_do_not_hold_up_a_look);
on!(postgres_slow, Postgres, OpenElis: a_slow_part_of_a_look_is_left_out pages_that_wait_do_not_hold_up_a_look);

async fn a_look_counts_failed_events_per_feed(database: &mut TestDatabase) {
    let mut rows = Vec::new();
    for (id, time, retries) in [(1, "08:00:00", 0), (2, "07:00:00", 5), (3, "09:00:00", 12), (12, "06:00:00", 0)] {
        let failed_at = database.at(&format!("2026-11-01T{time}Z"));
        rows.push(Failed { failed_at, retries, ..database.failed(id) });
    }
    rows[3].feed = Some("http://openelis:8052/openelis/ws/feed/patient/recent");
    database.insert(&rows).await;
    database.marker(FEED, Some("tag:atomfeed.ict4h.org:0"), Some("http://openmrs:8080/page/36")).await;
    if database.has_retry_log() {
        database.log(1, Some(FEED), "2026-11-01T10:00:00Z", "x", "first").await;
        database.log(2, Some(FEED), "2026-11-01T11:00:00Z", "x", "second").await;
    }
    let poll = database.source().poll().await.expect("a look");
    let maker = match database.version.maker {
        Maker::MariaDb => "MariaDB",
        Maker::MySql => "MySQL",
        Maker::Postgres => "PostgreSQL",
        Maker::Sqlite => "SQLite",
    };
    let rest = poll.server.strip_prefix(&format!("{maker} {}", database.version.number.0));
    // Version "1" must not match version "10"; an unreleased version is "19rc1".
    assert!(rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit())), "{}", poll.server);

    let markers = poll.markers.here().expect("the markers are there");
    assert_eq!(markers.len(), 1);
    assert_eq!(markers[0].page_uri.as_deref(), Some("http://openmrs:8080/page/36"));

    let failures = poll.failures.here().expect("the failed events are there");
    let of_feed = |uri: &str| failures.iter().find(|feed| feed.uri.as_deref() == Some(uri)).expect("the feed");
    let FeedFailures { total, waiting, exhausted, oldest, newest, .. } = of_feed(FEED).clone();
    let states = if database.has_retries() { (1, 2) } else { (0, 0) };
    let waits = of_feed(FEED).oldest_waiting.as_ref().and_then(|stamp| stamp.at);
    assert_eq!(waits, database.has_retries().then(|| utc("2026-11-01T08:00:00Z")));
    assert_eq!((total, (waiting, exhausted)), (3, states));
    assert_eq!(oldest.and_then(|stamp| stamp.at), Some(utc("2026-11-01T07:00:00Z")));
    assert_eq!(newest.and_then(|stamp| stamp.at), Some(utc("2026-11-01T09:00:00Z")));
    assert_eq!(failures.len(), 2);

    assert_eq!(poll.newest.iter().map(|row| row.id.0).collect::<Vec<_>>(), [12, 3, 2, 1]);
    let retries: Vec<_> = poll.last_retries.iter().map(|(feed, stamp)| (feed.as_deref(), stamp.at)).collect();
    let expected = [(Some(FEED), Some(utc("2026-11-01T11:00:00Z")))];
    assert_eq!(retries, if database.has_retry_log() { &expected[..] } else { &[] });
}

async fn a_look_tells_what_is_missing(database: &mut TestDatabase) {
    let poll = database.source().poll().await.expect("a look");
    let expected: &[&str] = match database.variant {
        Variant::ModuleAtomfeed => &["the table failed_event_retry_log"],
        Variant::Pacs => &["the table event_records", "the table event_records_queue", "the table chunking_history"],
        Variant::Oldest => &[
            "the column retries of failed_events",
            "the column tags of failed_events",
            "the column category of event_records",
        ],
        _ => &[],
    };
    assert_eq!(poll.missing, expected);
    assert_eq!(poll.retry_refused.is_some(), !database.has_retries(), "{:?}", poll.retry_refused);
}

async fn a_look_tells_what_will_break_the_consumer(database: &mut TestDatabase) {
    let mut rows: Vec<Failed> = (1..=3).map(|id| database.failed(id)).collect();
    rows[0].failed_at = "NULL".to_owned();
    rows[1].event_id = Some("twice".to_owned());
    rows[2].event_id = Some("twice".to_owned());
    database.insert(&rows).await;
    database.marker("http://openmrs:8080/a/recent", Some("entry"), Some("")).await;
    database.marker("http://openmrs:8080/b/recent", Some("?"), Some("?")).await;
    database.marker("http://openmrs:8080/c/recent", Some("entry"), Some("http://openmrs:8080/c/0")).await;
    // Only OpenELIS and Odoo allow two markers for one feed.
    let twice = matches!(database.variant, Variant::OpenElis | Variant::OpenElisDump | Variant::Odoo | Variant::Odoo10);
    database.marker("", Some("entry"), Some("http://openmrs:8080/page/36")).await;
    for _ in 0..if twice { 2 } else { 1 } {
        database.marker(FEED, Some("entry"), Some("http://openmrs:8080/page/36")).await;
    }
    let hazards = database.source().check().await.expect("a report").hazards;
    let told = |words: &str| hazards.iter().any(|hazard| hazard.contains(words));
    assert!(told("1 failed event has no time (failed_at is NULL"), "{hazards:?}");
    assert!(told("1 read position without a page"), "{hazards:?}");
    assert!(
        told("1 read position whose page is not an address (the first is of http://openmrs:8080/b/recent)"),
        "{hazards:?}"
    );
    assert!(told("1 read position whose page has no number from 1 on"), "{hazards:?}");
    assert!(told("1 pair of feed and event"), "{hazards:?}");
    assert!(told("1 read position has no feed address"), "{hazards:?}");
    assert_eq!(told("more than one read position"), twice, "{hazards:?}");
    assert_eq!(told("failed_event_retry_log does not exist"), !database.has_retry_log(), "{hazards:?}");
}

async fn publish(database: &mut TestDatabase, ids: std::ops::RangeInclusive<i64>, category: &str, at: &str) {
    let (table, at) = (database.table("event_records"), database.at(at));
    let with_category = database.variant != Variant::Oldest;
    let columns = if with_category { "id, timestamp, category" } else { "id, timestamp" };
    let category = if with_category { format!(", '{category}'") } else { String::new() };
    let values: Vec<String> = ids.map(|id| format!("({id}, {at}{category})")).collect();
    database.run(&format!("INSERT INTO {table} ({columns}) VALUES {}", values.join(", "))).await;
}

async fn the_publishers_side_is_counted_by_category(database: &mut TestDatabase) {
    let offsets = database.table("event_records_offset_marker");
    if !database.publishes() {
        let publisher = database.source().publisher(None).await.expect("an answer");
        assert!(matches!(&publisher.categories, Availability::NotHere(reason) if reason.contains("event_records")));
        assert_eq!(publisher.offset_markers, Availability::Here(OffsetMarkers::default()));
        return;
    }
    publish(database, 1..=10, "patient", "2026-11-01T08:00:00Z").await;
    publish(database, 11..=15, "lab", "2026-11-01T09:00:00Z").await;
    database
        .run(&format!(
            "INSERT INTO {offsets} (id, event_id, event_count, category) \
             VALUES (1, 4, 4, 'patient'), (2, 12, 12, ''), (3, NULL, NULL, 'lab')"
        ))
        .await;
    let chunks = database.table("chunking_history");
    database.run(&format!("INSERT INTO {chunks} (id, chunk_length, start) VALUES (2, 10, 101), (1, 5, 21)")).await;
    let queue = database.table("event_records_queue");
    database.run(&format!("INSERT INTO {queue} (id, title) VALUES (1, 'x'), (2, 'y')")).await;

    let source = database.source();
    let first = source.publisher(None).await.expect("an answer");
    let categories = first.categories.here().expect("the events are there").clone();
    let with_category = database.variant != Variant::Oldest;
    let counts: Vec<_> =
        categories.iter().map(|category| (category.category.as_deref(), category.count, category.newest_id)).collect();
    if with_category {
        assert_eq!(counts, [(Some("lab"), 5, Some(RowId(15))), (Some("patient"), 10, Some(RowId(10)))]);
        assert_eq!(categories[1].newest.as_ref().and_then(|stamp| stamp.at), Some(utc("2026-11-01T08:00:00Z")));
    } else {
        assert_eq!(counts, [(None, 15, Some(RowId(15)))]);
    }
    let queue = first.queue.here().expect("the queue is there");
    assert_eq!((queue.length, queue.oldest.clone(), queue.first_seen), (2, None, None));
    let chunking = [Chunk { length: 5, start: 21 }, Chunk { length: 10, start: 101 }];
    assert_eq!(first.chunking, Availability::Here(chunking.to_vec()));
    let behind: Vec<_> = first
        .offset_markers
        .here()
        .expect("the markers are there")
        .rows
        .iter()
        .map(|marker| (marker.category.as_deref(), marker.behind))
        .collect();
    assert!(behind.contains(&(Some(""), Some(3))), "{behind:?}");
    assert!(behind.contains(&(Some("patient"), with_category.then_some(6))), "{behind:?}");
    assert!(behind.contains(&(Some("lab"), None)), "{behind:?}");

    // Only newer events are counted by category, and events deleted meanwhile are no longer counted.
    let records = database.table("event_records");
    database.run(&format!("DELETE FROM {records} WHERE id = 1")).await;
    publish(database, 16..=18, "patient", "2026-11-01T10:00:00Z").await;
    let second = source.publisher(Some(&first)).await.expect("an answer");
    let total = |publisher: &atomfeed_console::model::publisher::Publisher| {
        publisher.categories.here().expect("the events").iter().map(|category| category.count).sum::<u64>()
    };
    assert_eq!(total(&second), 17);
    // The newest id is lower than at the last poll, so ids began again: everything is counted.
    database.run(&format!("DELETE FROM {records} WHERE id > 11")).await;
    assert_eq!(total(&source.publisher(Some(&second)).await.expect("an answer")), 10);
}

async fn events_that_were_deleted_are_counted_no_more_and_markers_that_count_them_are_told(
    database: &mut TestDatabase,
) {
    if !database.publishes() || database.variant == Variant::Oldest {
        return;
    }
    let (records, offsets) = (database.table("event_records"), database.table("event_records_offset_marker"));
    publish(database, 1..=200, "lab", "2026-11-01T08:00:00Z").await;
    publish(database, 201..=300, "patient", "2026-11-01T08:30:00Z").await;
    publish(database, 301..=1302, "lab", "2026-11-01T09:00:00Z").await;
    database
        .run(&format!(
            "INSERT INTO {offsets} (id, event_id, event_count, category) \
             VALUES (1, 300, 200, 'lab'), (2, 250, 50, 'patient'), (3, 300, 300, ''), (4, 99999, 1202, 'lab')"
        ))
        .await;
    let source = database.source();
    let told = |publisher: &Publisher| -> Vec<(String, u64)> {
        let categories = publisher.categories.here().expect("the events").iter();
        categories.map(|category| (category.category.clone().unwrap_or_default(), category.count)).collect()
    };
    let miscounted = |publisher: &Publisher| -> Vec<(String, Option<i64>, Option<u64>)> {
        let markers = publisher.offset_markers.here().expect("the markers").rows.iter();
        let miscounted = markers.filter(|marker| marker.miscounts().is_some());
        miscounted
            .map(|marker| (marker.category.clone().unwrap_or_default(), marker.event_count, marker.there))
            .collect()
    };
    let first = source.publisher(None).await.expect("an answer");
    assert_eq!(told(&first), [("lab".to_owned(), 1202), ("patient".to_owned(), 100)]);
    assert_eq!(miscounted(&first), []);

    database.run(&format!("DELETE FROM {records} WHERE category = 'lab' AND id <= 300")).await;
    let second = source.publisher(Some(&first)).await.expect("an answer");
    assert_eq!(told(&second), [("lab".to_owned(), 1002), ("patient".to_owned(), 100)]);
    let oldest = second.categories.here().expect("the events")[0].oldest.as_ref().and_then(|stamp| stamp.at);
    assert_eq!(oldest, Some(utc("2026-11-01T09:00:00Z")));
    let lab = |count, there| ("lab".to_owned(), Some(count), Some(there));
    let mut gone = miscounted(&second);
    gone.sort();
    assert_eq!(gone, [(String::new(), Some(300), Some(100)), lab(200, 0), lab(1202, 1002)]);

    // Events added between the two counts of a page are not taken for deleted ones.
    publish(database, 1303..=1310, "lab", "2026-11-01T10:00:00Z").await;
    let third = source.publisher(Some(&second)).await.expect("an answer");
    assert_eq!(told(&third)[0].1, 1010);
    let patient =
        third.offset_markers.here().expect("the markers").rows.iter().find(|row| row.event_id == Some(RowId(250)));
    assert_eq!(patient.map(|row| (row.there, row.behind)), Some((Some(50), Some(50))));
}

async fn hundreds_of_offset_markers_are_counted_and_not_listed(database: &mut TestDatabase) {
    let offsets = database.table("event_records_offset_marker");
    let without: Vec<String> = (1..=400).map(|id| format!("({id}, {id}, {id}, NULL)")).collect();
    let with: Vec<String> = (401..=460).map(|id| format!("({id}, {id}, {id}, 'c{id}')")).collect();
    for rows in [without, with] {
        let insert = format!("INSERT INTO {offsets} (id, event_id, event_count, category) VALUES {}", rows.join(", "));
        database.run(&insert).await;
    }
    let publisher = database.source().publisher(None).await.expect("an answer");
    let markers = publisher.offset_markers.here().expect("the markers");
    assert_eq!((markers.rows.len(), markers.with_category, markers.without_category), (50, 60, 400));
    assert!(markers.rows.iter().all(|row| row.category.as_deref().is_some_and(|category| category.starts_with('c'))));
}

async fn a_text_by_language_is_the_text(database: &mut TestDatabase) {
    let (records, markers) = (database.table("event_records"), database.table("markers"));
    // Odoo 16 has these columns as jsonb; a dump may have them as text.
    if database.server == Server::Postgres && database.publishes() && database.variant != Variant::Oldest {
        database.run(&format!("ALTER TABLE {records} ALTER COLUMN category TYPE jsonb USING to_jsonb(category)")).await;
    }
    let json = database.server == Server::Postgres;
    if json {
        for column in ["feed_uri", "last_read_entry_id", "feed_uri_for_last_read_entry"] {
            database
                .run(&format!("ALTER TABLE {markers} ALTER COLUMN {column} TYPE jsonb USING to_jsonb({column}::text)"))
                .await;
        }
    }
    let page = "http://openmrs:8080/openmrs/ws/atomfeed/encounter/36";
    let by_language = |text: &str| format!(r#"{{"en_US": "{text}"}}"#);
    database.marker(&by_language(FEED), Some(&by_language("tag:x")), Some(&by_language(page))).await;
    let failed = database.failed(1);
    database.insert(&[failed]).await;
    let source = database.source();
    let poll = source.poll().await.expect("a look");
    let marker = &poll.markers.here().expect("the markers")[0];
    assert_eq!(
        (marker.feed_uri.as_deref(), marker.last_read_entry_id.as_deref(), marker.page_uri.as_deref()),
        (Some(FEED), Some("tag:x"), Some(page)),
        "the marker of the feed whose events failed"
    );
    assert_eq!(poll.failures.here().expect("the failed events")[0].uri.as_deref(), Some(FEED));
    if !database.publishes() || database.variant == Variant::Oldest {
        return;
    }
    publish(database, 1..=2, r#"{"en_US": "product"}"#, "2026-11-01T08:00:00Z").await;
    publish(database, 3..=6, r#"{"de_DE": "Ware", "en_US": "product"}"#, "2026-11-01T09:00:00Z").await;
    publish(database, 7..=7, r#"{"de_DE": "lab"}"#, "2026-11-01T09:00:00Z").await;
    if json {
        publish(database, 8..=8, r#""lab""#, "2026-11-01T09:00:00Z").await;
    } else {
        publish(database, 8..=8, "lab", "2026-11-01T09:00:00Z").await;
    }
    let publisher = source.publisher(None).await.expect("an answer");
    let categories = publisher.categories.here().expect("the events").iter();
    let categories: Vec<_> = categories.map(|of| (of.category.as_deref(), of.count, of.newest_id)).collect();
    assert_eq!(categories, [(Some("lab"), 2, Some(RowId(8))), (Some("product"), 6, Some(RowId(6)))]);
    let newest = source.newest_published().await.expect("an answer");
    assert_eq!(newest.iter().map(|(category, _)| category.as_str()).collect::<Vec<_>>(), ["lab", "product"]);
}

async fn a_queue_is_told_with_its_length_and_its_oldest_entry(database: &mut TestDatabase) {
    let source = database.source();
    if !database.publishes() {
        assert_eq!(source.queue().await.expect("an answer"), None);
        return;
    }
    let waiting =
        async || source.queue().await.expect("an answer").and_then(|queue| queue.here().cloned()).expect("the queue");
    assert_eq!(waiting().await, Queue::default());
    let queue = database.table("event_records_queue");
    let (early, late) = (database.at("2026-11-01T02:00:00Z"), database.at("2026-11-01T08:00:00Z"));
    // The row with the newest time is not necessarily the last added, and a row may have no time.
    database
        .run(&format!(
            "INSERT INTO {queue} (id, title, timestamp) VALUES (1, 'x', {late}), (2, 'y', {early}), (3, 'z', NULL)"
        ))
        .await;
    let told = waiting().await;
    assert_eq!((told.length, told.oldest.and_then(|stamp| stamp.at)), (3, Some(utc("2026-11-01T02:00:00Z"))));
    assert_eq!(told.lowest, Some(RowId(1)));
    let no_date = match database.server {
        Server::Mysql | Server::MysqlOld => "SET sql_mode = ''; UPDATE {} SET timestamp = '0000-00-00' WHERE id = 3",
        Server::Postgres => "UPDATE {} SET timestamp = '-infinity' WHERE id = 3",
        Server::Sqlite => "UPDATE {} SET timestamp = NULL WHERE id = 3",
    };
    database.run(&no_date.replace("{}", &queue)).await;
    let told = waiting().await;
    assert_eq!((told.length, told.oldest.and_then(|stamp| stamp.at)), (3, Some(utc("2026-11-01T02:00:00Z"))));
    // If no row has a time, and if the table has no time column, the first row is still reported.
    let untimed = Queue { length: 1, undated: 1, lowest: Some(RowId(3)), ..Queue::default() };
    database.run(&format!("DELETE FROM {queue} WHERE id < 3")).await;
    assert_eq!(waiting().await, untimed);
    database.run(&format!("ALTER TABLE {queue} DROP COLUMN timestamp")).await;
    let source = database.source();
    assert_eq!(source.queue().await.expect("an answer"), Some(Availability::Here(untimed)));
}

async fn a_publisher_says_whether_it_has_what_a_marker_names(database: &mut TestDatabase) {
    let source = database.source();
    let said = async |entry: Option<&str>, page: Option<u64>, category: &str, whole: bool| {
        let named = Named { entry, page, category: Some(category) };
        source.named(named, whole).await.expect("an answer").word
    };
    if !database.publishes() {
        assert_eq!(said(Some("tag:atomfeed.ict4h.org:first"), None, "patient", true).await, Word::NotKnown);
        return;
    }
    publish(database, 1..=1002, "patient", "2026-11-01T08:00:00Z").await;
    let with_category = database.variant != Variant::Oldest;
    let (records, chunks) = (database.table("event_records"), database.table("chunking_history"));
    let uuid = if database.is_mysql() { "CONCAT('u', id)" } else { "'u' || id" };
    database.run(&format!("UPDATE {records} SET uuid = CASE id WHEN 1 THEN 'first' ELSE {uuid} END")).await;
    database.run(&format!("INSERT INTO {chunks} (id, chunk_length, start) VALUES (1, 5, 1)")).await;
    // With and without the prefix of entries, in any case of the category, among the newest and older ones.
    for (entry, whole, word) in [
        ("tag:atomfeed.ict4h.org:u500", false, Word::Has),
        ("u500", false, Word::Has),
        ("tag:atomfeed.ict4h.org:first", false, Word::NotKnown),
        ("tag:atomfeed.ict4h.org:first", true, Word::Has),
        ("first", true, Word::Has),
        // Consumers compare exactly, also where the collation does not.
        ("U500", true, Word::HasNot(Unpublished::Entry("U500".into()))),
        ("tag:atomfeed.ict4h.org:second", false, Word::NotKnown),
        (
            "tag:atomfeed.ict4h.org:second",
            true,
            Word::HasNot(Unpublished::Entry("tag:atomfeed.ict4h.org:second".into())),
        ),
        ("द' OR 1=1", true, Word::HasNot(Unpublished::Entry("द' OR 1=1".into()))),
    ] {
        assert_eq!(said(Some(entry), None, "Patient", whole).await, word, "{entry} {whole}");
    }
    // If a category has no events, it is unknown whether the address names one: it may be the feed of all events.
    assert_eq!(said(Some("u500"), Some(100), "lab", true).await, Word::Has);
    let beyond = Word::HasNot(Unpublished::Page { page: 202, last: 201 });
    assert_eq!(said(Some("u500"), Some(202), "lab", true).await, beyond);
    publish(database, 1003..=1003, "lab", "2026-11-01T08:00:00Z").await;
    let moving = if with_category { Word::NotKnown } else { Word::Has };
    assert_eq!(said(Some("u500"), None, "lab", false).await, moving);
    let other = Unpublished::OtherCategory { entry: "u500".into(), category: "patient".into() };
    let expected = if with_category { Word::HasNot(other) } else { Word::Has };
    assert_eq!(said(Some("u500"), None, "lab", true).await, expected);

    // 1,002 events are 201 pages of five.
    let page = async |page| said(Some("u500"), Some(page), "patient", true).await;
    assert_eq!(said(Some("u1002"), Some(201), "patient", true).await, Word::Has);
    // The event is the last one of page 100. It may have moved by one page since.
    let elsewhere = |page, within| Word::HasNot(Unpublished::OtherPage { entry: "u500".to_owned(), page, within });
    for (number, word) in [
        (1, elsewhere(1, (100, 100))),
        (98, elsewhere(98, (100, 100))),
        (99, Word::Has),
        (100, Word::Has),
        (101, Word::Has),
        (102, elsewhere(102, (100, 100))),
        (201, elsewhere(201, (100, 100))),
    ] {
        assert_eq!(page(number).await, word, "{number}");
    }
    assert_eq!(said(Some("u500"), Some(3), "patient", false).await, Word::Has, "of one that moves it is not asked");
    assert_eq!(page(202).await, Word::HasNot(Unpublished::Page { page: 202, last: 201 }));
    assert_eq!(
        said(Some("u500"), Some(202), "patient", false).await,
        Word::Has,
        "pages are counted for markers that stand"
    );
    assert_eq!(said(None, Some(202), "patient", true).await, Word::HasNot(Unpublished::Page { page: 202, last: 201 }));
    if with_category {
        // Events before the offset marker may have been deleted: the publisher continues from the marker's count.
        let offsets = database.table("event_records_offset_marker");
        database
            .run(&format!(
                "INSERT INTO {offsets} (id, event_id, event_count, category) VALUES (1, 900, 900, 'patient'), \
                 (2, 1000, 1998, 'patient'), (3, NULL, 7, 'patient'), (4, 1002, 9000, NULL)"
            ))
            .await;
        assert_eq!(said(Some("u1002"), Some(400), "patient", true).await, Word::Has);
        // It is unknown whether the 998 were deleted before the event or after it.
        assert_eq!((page(100).await, page(300).await), (Word::Has, Word::Has));
        assert_eq!(page(400).await, elsewhere(400, (100, 300)));
        assert_eq!(page(401).await, Word::HasNot(Unpublished::Page { page: 401, last: 400 }));
    }
    // Without usable chunking the pages are unknown.
    database.run(&format!("UPDATE {chunks} SET chunk_length = 0")).await;
    assert_eq!(page(5000).await, Word::Has);
}

async fn a_publisher_says_what_comes_after_a_marker(database: &mut TestDatabase) {
    let source = database.source();
    if !database.publishes() {
        return;
    }
    let unread = async |entry: Option<&str>, page: Option<u64>, category: &str, whole: bool| {
        let named = Named { entry, page, category: Some(category) };
        source.named(named, whole).await.expect("an answer").unread.map(|unread| unread.since)
    };
    let (records, chunks) = (database.table("event_records"), database.table("chunking_history"));
    database.run(&format!("INSERT INTO {chunks} (id, chunk_length, start) VALUES (1, 5, 1)")).await;
    publish(database, 1..=12, "patient", "2026-11-01T08:00:00Z").await;
    publish(database, 13..=13, "patient", "2026-11-01T09:00:00Z").await;
    publish(database, 14..=14, "lab", "2026-11-01T10:00:00Z").await;
    let uuid = if database.is_mysql() { "CONCAT('u', id)" } else { "'u' || id" };
    database.run(&format!("UPDATE {records} SET uuid = {uuid}")).await;
    let at = |text| Some(Some(utc(text)));
    let last = if database.variant == Variant::Oldest { at("2026-11-01T10:00:00Z") } else { None };
    assert_eq!(unread(Some("u12"), Some(3), "Patient", true).await, at("2026-11-01T09:00:00Z"));
    assert_eq!(unread(Some("u12"), None, "patient", false).await, None, "that is asked of markers that stand");
    assert_eq!(unread(Some("u13"), Some(3), "patient", true).await, last);
    assert_eq!(unread(Some("u14"), None, "lab", true).await, None);
    assert_eq!(unread(Some("nowhere"), None, "patient", true).await, None);
    // The feed of all events.
    assert_eq!(unread(Some("u13"), Some(3), "feeds", true).await, at("2026-11-01T10:00:00Z"));
    assert_eq!(unread(Some("u14"), Some(3), "feeds", true).await, None);
    // Before the first read the marker names only a page, and nothing on it was read.
    assert_eq!(unread(None, Some(3), "patient", true).await, Some(None));
    assert_eq!(unread(None, None, "patient", true).await, None);
    if database.variant != Variant::Oldest {
        assert_eq!(unread(None, Some(1), "encounter", true).await, None, "no event of that category is known");
    }
}

async fn a_check_reports_tables_rights_and_clock(database: &mut TestDatabase) {
    let rows = [database.failed(1), Failed { failed_at: "NULL".to_owned(), ..database.failed(2) }];
    database.insert(&rows).await;
    let before = database.dump().await;
    let report = database.source().check().await.expect("a report");
    assert_eq!(database.dump().await, before);
    let clock = report.clock.expect("the server has a clock");
    // Both clocks are those of one machine: the duration of the statements must not show.
    assert!((report.own_clock - clock).num_milliseconds().abs() < 500, "{clock} {}", report.own_clock);
    assert!(report.time_zone.contains("Asia/Kathmandu"), "{}", report.time_zone);
    let failed_events = &report.tables[0];
    assert_eq!((failed_events.name, failed_events.found, failed_events.rows), ("failed_events", true, Some(2)));
    let missing: &[&str] = if database.has_retries() { &[] } else { &["retries", "tags"] };
    assert_eq!(failed_events.missing_columns, missing);
    assert_eq!((failed_events.may_insert, failed_events.may_delete), (Some(true), Some(true)));
    let table = |name: &str| report.tables.iter().find(|table| table.name == name).expect("it is reported");
    let markers = table("markers");
    assert_eq!((markers.may_insert, markers.may_update, markers.may_delete), (None, None, None));
    let log = table("failed_event_retry_log");
    assert_eq!((log.found, log.rows), (database.has_retry_log(), database.has_retry_log().then_some(0)));
    assert!(report.hazards.iter().any(|hazard| hazard.contains("failed_at is NULL")), "{:?}", report.hazards);
}

async fn a_check_of_a_sound_database_says_that_all_is_well(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    database.marker(FEED, Some("entry"), Some("http://openmrs:8080/page/36")).await;
    let report = check_one(&database.app).await;
    // An old schema is as its consumer created it. Without a retry log the consumer fails, which is reported once.
    assert_eq!(report.well, database.has_retry_log(), "{}", report.text);
    let told = report.text.matches("failed_event_retry_log does not exist").count();
    assert_eq!(told, usize::from(!database.has_retry_log()), "{}", report.text);
    assert_eq!(report.text.contains("no column retries"), !database.has_retries(), "{}", report.text);
}

async fn pairs_that_stand_twice_are_not_searched_at_every_look(database: &mut TestDatabase) {
    let twice = |id, database: &TestDatabase| Failed { event_id: Some("twice".to_owned()), ..database.failed(id) };
    let rows = [twice(1, database), twice(2, database)];
    let source = database.source();
    let told = async |source: &atomfeed_console::server::sources::Source| {
        let hazards = source.poll().await.expect("a look").hazards;
        hazards.iter().any(|hazard| hazard.contains("1 pair of feed and event"))
    };
    assert!(!told(&source).await);
    database.insert(&rows).await;
    assert!(!told(&source).await, "the last search is still believed");
    assert!(told(&database.source()).await, "a first look searches");
}

/// Locks the retry log until the test ends, so that its readers wait.
async fn lock_retry_log(database: &mut TestDatabase) {
    let log = database.table("failed_event_retry_log");
    let lock =
        if database.is_mysql() { format!("LOCK TABLES {log} WRITE") } else { format!("BEGIN; LOCK TABLE {log}") };
    database.run(&lock).await;
}

async fn unlock(database: &mut TestDatabase) {
    database.run(if database.is_mysql() { "UNLOCK TABLES" } else { "COMMIT" }).await;
}

async fn a_slow_part_of_a_look_is_left_out(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    database.log(1, Some(FEED), "2026-11-01T10:00:00Z", "x", "first").await;
    let source = database.source_with(|app| app.statement_timeout = Duration::from_secs(1));
    assert_eq!(source.poll().await.expect("a look").last_retries.len(), 1);
    lock_retry_log(database).await;
    let poll = source.poll().await.expect("all that counts can be read");
    assert_eq!(poll.failures.here().expect("the failed events").len(), 1);
    assert_eq!((poll.newest.len(), poll.last_retries.len()), (1, 0));
    unlock(database).await;
    assert_eq!(source.poll().await.expect("a look").last_retries.len(), 1);
}

async fn pages_that_wait_do_not_hold_up_a_look(database: &mut TestDatabase) {
    let row = database.failed(1);
    database.insert(&[row]).await;
    let source = database.source_with(|app| {
        app.pool_size = 1;
        app.connect_timeout = Duration::from_secs(1);
        app.statement_timeout = Duration::from_secs(3);
    });
    source.poll().await.expect("nobody holds a lock yet");
    lock_retry_log(database).await;
    let (page, other_page, look) = tokio::join!(source.attempts_of_event("x", false), source.event(RowId(1)), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        source.poll().await
    });
    page.expect_err("the page waits for the lock");
    let busy = other_page.expect_err("the only connection of pages is in use");
    assert!(busy.reason.contains("in use"), "{}", busy.reason);
    look.expect("a look has a connection of its own");
    unlock(database).await;
}

async fn an_empty_hospital_is_a_hospital(database: &mut TestDatabase) {
    let source = database.source();
    let poll = source.poll().await.expect("a look");
    assert_eq!(poll.failures, Availability::Here(vec![]));
    assert_eq!(poll.markers, Availability::Here(vec![]));
    let publisher = source.publisher(None).await.expect("an answer");
    let again = source.publisher(Some(&publisher)).await.expect("an answer");
    assert_eq!(publisher.categories, again.categories);
    source.check().await.expect("a report");
}
