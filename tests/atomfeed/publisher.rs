//! Publishing: queued events are published once and in order, and pages are cut as chunking_history says.

use atomfeed::{FeedSettings, MissingPage, NewEvent, PageNumber, Publisher, router};
use atomfeed_console::clock;
use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use chrono::DateTime;
use http_body_util::BodyExt;
use roxmltree::{Document, Node};
use tower::ServiceExt;

use crate::support::{
    database::{Server, TestDatabase},
    feeds::{id, lines, open},
    log::Log,
    schema,
};

everywhere! {
    what_is_queued_is_published_once_and_in_order
    an_event_of_a_transaction_that_is_undone_is_never_published
    a_page_says_what_the_original_says
    pages_follow_every_chunking_history
    pages_are_the_same_with_and_without_offset_markers
}

on_each_server! {
    two_jobs_at_once_publish_each_event_once
    a_feed_without_events_has_an_empty_recent_page_and_no_other
    a_text_too_long_for_its_column_is_an_error
    an_event_that_does_not_fit_is_published_as_far_as_it_does
    columns_that_became_smaller_meanwhile_hold_no_event_back
    a_category_that_does_not_fit_its_marker_holds_no_other_back
    the_offset_marker_stays_behind_and_is_mended
    tables_that_are_made_here_carry_a_feed
    the_java_library_can_use_tables_that_are_made_here
    tables_of_an_earlier_version_are_brought_up_as_the_manual_says
    a_missing_page_is_answered_as_the_setting_says
    hostile_texts_make_pages_that_can_be_read
    without_a_row_of_chunking_history_there_is_a_clear_error
    categories_are_compared_as_the_database_compares
}

on!(postgres_odoo16, Postgres, Odoo: columns_by_language_make_pages_and_markers);

fn publisher(database: &TestDatabase) -> Publisher {
    let settings = FeedSettings::new("http://openmrs:8080/openmrs/ws/atomfeed", "Patient AOP", "bec795b1");
    Publisher::new(open(database), settings)
}

fn patient(uuid: &str) -> NewEvent {
    let at = DateTime::parse_from_rfc3339("2026-11-01T08:00:00Z").expect("a time").to_utc();
    let content = format!("/openmrs/ws/rest/v1/patient/{uuid}?v=full");
    NewEvent { at, ..NewEvent::new(uuid, "patient", "Patient", content) }
}

async fn queue(publisher: &Publisher, events: impl IntoIterator<Item = NewEvent>) {
    let mut transaction = publisher.database().begin();
    for event in events {
        publisher.queue(&mut transaction, event).await.expect("it is queued");
    }
    transaction.commit().await.expect("it is kept");
}

/// Returns a category if the variant has categories; without them there is only the feed of all events.
fn category(database: &TestDatabase) -> Option<&'static str> {
    database.has_retries().then_some("patient")
}

async fn chunk(database: &mut TestDatabase, rows: &[(i64, i64)]) {
    let table = database.table("chunking_history");
    database.run(&format!("DELETE FROM {table}")).await;
    let quote = if database.is_mysql() { '`' } else { '"' };
    for (place, (length, start)) in rows.iter().enumerate() {
        let insert = format!(
            "INSERT INTO {table} (id, chunk_length, {quote}start{quote}) VALUES ({}, {length}, {start})",
            place + 1
        );
        database.run(&insert).await;
    }
}

/// Returns the ids of a page's entries, and its links.
fn read(xml: &str) -> (Vec<String>, Vec<String>) {
    let document = Document::parse(xml).expect("the page is XML");
    let children = |name: &'static str| {
        document
            .root_element()
            .children()
            .filter(move |child| child.has_tag_name(("http://www.w3.org/2005/Atom", name)))
    };
    let entries = children("entry").filter_map(|entry| text(entry, "id")).collect();
    let links = children("link")
        .map(|link| {
            let address = link.attribute("href").unwrap_or_default();
            format!("{} {}", link.attribute("rel").unwrap_or_default(), address.rsplit('/').next().unwrap_or_default())
        })
        .collect();
    (entries, links)
}

fn text(node: Node<'_, '_>, name: &'static str) -> Option<String> {
    node.children().find(|child| child.has_tag_name(("http://www.w3.org/2005/Atom", name)))?.text().map(str::to_owned)
}

/// Returns every page of a feed from the first on.
async fn pages(publisher: &Publisher, category: Option<&str>) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    while let Some(xml) = publisher.page(category, PageNumber::Number(pages.len() as i64 + 1)).await.expect("a page") {
        pages.push(read(&xml).0);
    }
    pages
}

async fn what_is_queued_is_published_once_and_in_order(database: &mut TestDatabase) {
    if !database.publishes() {
        return;
    }
    let publisher = publisher(database);
    queue(&publisher, ["a", "b", "c"].map(patient)).await;
    assert_eq!(lines(database, "event_records", &["uuid"]).await, [""; 0], "nothing before the job");
    assert_eq!(publisher.publish_queued().await.expect("the job runs"), 3);
    assert_eq!(publisher.publish_queued().await.expect("the job runs"), 0);
    queue(&publisher, [patient("d")]).await;
    assert_eq!(publisher.publish_queued().await.expect("the job runs"), 1);
    let records = lines(database, "event_records", &["id", "uuid", "title", "object"]).await;
    let expected: Vec<String> = ["a", "b", "c", "d"]
        .iter()
        .zip(1..)
        .map(|(uuid, id)| format!("{id}|{uuid}|Patient|/openmrs/ws/rest/v1/patient/{uuid}?v=full"))
        .collect();
    assert_eq!(records, expected);
    assert_eq!(lines(database, "event_records_queue", &["uuid"]).await, [""; 0]);
}

async fn an_event_of_a_transaction_that_is_undone_is_never_published(database: &mut TestDatabase) {
    if !database.publishes() {
        return;
    }
    let publisher = publisher(database);
    let mut transaction = publisher.database().begin();
    publisher.queue(&mut transaction, patient("a")).await.expect("it is queued");
    transaction.rollback().await.expect("it is undone");
    assert_eq!(publisher.publish_queued().await.expect("the job runs"), 0);
}

async fn a_page_says_what_the_original_says(database: &mut TestDatabase) {
    if !database.publishes() {
        return;
    }
    chunk(database, &[(5, 1)]).await;
    let publisher = publisher(database);
    let events = ["a", "b", "c", "d", "e", "f", "g"]
        .map(|uuid| NewEvent { tags: Some("patient,urgent".to_owned()), ..patient(uuid) });
    queue(&publisher, events).await;
    publisher.publish_queued().await.expect("the job runs");
    let category = category(database);
    let recent = publisher.page(category, PageNumber::Recent).await.expect("a page").expect("it is there");
    assert_eq!(
        read(&recent),
        (vec![id("f"), id("g")], ["self recent", "via 2", "prev-archive 1"].map(str::to_owned).to_vec())
    );
    let first = publisher.page(category, PageNumber::Number(1)).await.expect("a page").expect("it is there");
    assert_eq!(read(&first).1, ["self 1", "via 1", "next-archive 2"]);
    assert!(publisher.page(category, PageNumber::Number(3)).await.expect("an answer").is_none());
    assert!(publisher.page(category, PageNumber::Number(0)).await.expect("an answer").is_none());

    let document = Document::parse(&recent).expect("the page is XML");
    let feed = document.root_element();
    assert_eq!(text(feed, "id").as_deref(), Some("bec795b1+2"));
    assert_eq!(text(feed, "title").as_deref(), Some("Patient AOP"));
    let entry = feed.children().find(|child| child.has_tag_name("entry")).expect("an entry");
    assert_eq!(text(entry, "title").as_deref(), Some("Patient"));
    assert!(
        recent.contains(
            "<content type=\"application/vnd.atomfeed+xml\"><![CDATA[/openmrs/ws/rest/v1/patient/f?v=full]]></content>"
        ),
        "{recent}"
    );
    if category.is_some() {
        let terms: Vec<&str> = entry.children().filter_map(|child| child.attribute("term")).collect();
        assert_eq!(terms, ["patient", "urgent"]);
    }
    let updated = text(entry, "updated").expect("a time");
    assert_eq!(text(entry, "published").as_ref(), Some(&updated));
    let updated = DateTime::parse_from_rfc3339(&updated).expect("a time of Atom");
    assert!((clock::now() - updated.to_utc()).num_hours().abs() < 1, "published now, in its own zone: {updated}");
}

async fn pages_follow_every_chunking_history(database: &mut TestDatabase) {
    if !database.publishes() {
        return;
    }
    let publisher = publisher(database);
    let uuids: Vec<String> = (1..=23).map(|number| format!("e{number}")).collect();
    queue(&publisher, uuids.iter().map(|uuid| patient(uuid))).await;
    publisher.publish_queued().await.expect("the job runs");
    let category = category(database);
    for (history, sizes) in [
        (&[(5, 1)][..], &[5, 5, 5, 5, 3][..]),
        // Changed half way: the page before a change is shorter.
        (&[(5, 1), (3, 8)], &[5, 2, 3, 3, 3, 3, 3, 1]),
        (&[(2, 1), (10, 4), (4, 20)], &[2, 1, 10, 6, 4]),
    ] {
        chunk(database, history).await;
        let pages = pages(&publisher, category).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "{history:?}");
        assert_eq!(pages.concat(), uuids.iter().map(|uuid| id(uuid)).collect::<Vec<_>>(), "{history:?}");
    }
}

async fn pages_are_the_same_with_and_without_offset_markers(database: &mut TestDatabase) {
    if !database.publishes() {
        return;
    }
    let publisher = publisher(database);
    // With another feed's events between them, if there are categories.
    let events = (1..=40).flat_map(|number| {
        [patient(&format!("p{number}")), NewEvent::new(format!("l{number}"), "lab", "test", "/lab")]
    });
    queue(&publisher, events).await;
    publisher.publish_queued().await.expect("the job runs");
    let category = category(database);
    for history in [&[(5, 1)][..], &[(5, 1), (3, 8)], &[(7, 1), (2, 30)]] {
        chunk(database, history).await;
        let table = database.table("event_records_offset_marker");
        database.run(&format!("DELETE FROM {table}")).await;
        let without = [pages(&publisher, category).await, pages(&publisher, None).await];
        for behind in [1, 4, 10, 39] {
            let written = publisher.write_offset_markers(behind).await.expect("the job runs");
            assert_eq!(written, if category.is_some() { 3 } else { 1 });
            let with = [pages(&publisher, category).await, pages(&publisher, None).await];
            assert_eq!(with, without, "{history:?}, {behind} behind");
        }
    }
}

async fn two_jobs_at_once_publish_each_event_once(database: &mut TestDatabase) {
    let publisher = publisher(database);
    let uuids: Vec<String> = (1..=60).map(|number| format!("e{number}")).collect();
    queue(&publisher, uuids.iter().map(|uuid| patient(uuid))).await;
    let (first, second) = tokio::join!(publisher.publish_queued(), publisher.publish_queued());
    assert_eq!(first.expect("the job runs") + second.expect("the job runs"), 60);
    assert_eq!(lines(database, "event_records", &["id"]).await.len(), 60);
}

async fn a_feed_without_events_has_an_empty_recent_page_and_no_other(database: &mut TestDatabase) {
    chunk(database, &[(5, 1)]).await;
    let publisher = publisher(database);
    let recent = publisher.page(Some("patient"), PageNumber::Recent).await.expect("a page").expect("it is there");
    assert_eq!(read(&recent), (Vec::new(), vec!["self recent".to_owned(), "via 0".to_owned()]));
    assert!(recent.contains("<id>bec795b1+0</id>"), "{recent}");
    assert!(publisher.page(Some("patient"), PageNumber::Number(1)).await.expect("an answer").is_none());
}

async fn a_text_too_long_for_its_column_is_an_error(database: &mut TestDatabase) {
    if database.server == Server::Sqlite {
        return;
    }
    let publisher = publisher(database);
    let mut transaction = publisher.database().begin();
    let long = NewEvent { content: Some("x".repeat(1001)), ..patient("a") };
    let error = publisher.queue(&mut transaction, long).await.expect_err("it does not fit");
    assert_eq!(
        error.to_string(),
        "The text for event_records_queue.object has 1001 characters and the column takes 1000."
    );
}

/// Runs `ALTER TABLE` with the MySQL or the PostgreSQL form of the change.
async fn alter(database: &mut TestDatabase, table: &str, mysql: &str, postgres: &str) {
    let change = if database.is_mysql() { mysql } else { postgres };
    let table = database.table(table);
    database.run(&format!("ALTER TABLE {table} {change}")).await;
}

/// Otherwise it would hold back every later event of every feed, at every run.
async fn an_event_that_does_not_fit_is_published_as_far_as_it_does(database: &mut TestDatabase) {
    if database.server == Server::Sqlite {
        // Nothing is too long for SQLite.
        return;
    }
    // A queue with room for everything, and narrower event_records as hospitals have them. Two statements: together
    // with the conversion, MySQL 9 would make each column the smallest text type that held its texts.
    let mysql = "CONVERT TO CHARACTER SET utf8mb4";
    alter(database, "event_records_queue", mysql, "ALTER COLUMN uuid TYPE text").await;
    let mysql = "MODIFY uuid text, MODIFY title text, MODIFY object text, MODIFY tags text";
    let postgres = "ALTER COLUMN uuid TYPE text, ALTER COLUMN title TYPE text, ALTER COLUMN object TYPE text, \
                    ALTER COLUMN tags TYPE text";
    alter(database, "event_records_queue", mysql, postgres).await;
    let mysql = "CONVERT TO CHARACTER SET latin1, MODIFY title varchar(255) CHARACTER SET latin1 NOT NULL";
    alter(database, "event_records", mysql, "ALTER COLUMN title SET NOT NULL").await;
    chunk(database, &[(20, 1)]).await;
    let publisher = publisher(database);
    let letters = "Größe Пациент \u{1F600}";
    let (one, other) = ("e".repeat(300) + "1", "e".repeat(300) + "2");
    queue(
        &publisher,
        [
            patient("a"),
            NewEvent { title: "t".repeat(300), content: Some("c".repeat(2000)), ..patient("wide") },
            NewEvent { title: letters.to_owned(), ..patient("letters") },
            NewEvent { tags: Some("g".repeat(400)), ..patient("tagged") },
            patient(&one),
            patient(&other),
            patient("untitled"),
            patient("b"),
        ],
    )
    .await;
    let table = database.table("event_records_queue");
    database.run(&format!("UPDATE {table} SET title = NULL WHERE uuid = 'untitled'")).await;
    let log = Log::start();
    assert_eq!(publisher.publish_queued().await.expect("the job runs"), 8);
    assert_eq!(publisher.publish_queued().await.expect("the job runs"), 0);
    let said: Vec<String> = log.lines().into_iter().filter(|line| line.contains("not published whole")).collect();

    let records = lines(database, "event_records", &["uuid", "title", "object", "tags"]).await;
    let records: Vec<Vec<&str>> = records.iter().map(|line| line.split('|').collect()).collect();
    let of = |uuid: &str| records.iter().find(|record| record[0] == uuid).expect("it is published");
    assert_eq!((of("a")[1], of("b")[1], of("untitled")[1]), ("Patient", "Patient", ""));
    assert_eq!((of("wide")[1], of("wide")[2]), (&*"t".repeat(255), &*"c".repeat(1000)));
    let kept = if database.is_mysql() { "Größe ??????? ?" } else { letters };
    assert_eq!(of("letters")[1], kept);
    assert!(of("tagged")[3].len() == 255 && of("tagged")[3].starts_with("patient,gg"), "{:?}", of("tagged"));
    let long: Vec<&str> = records.iter().map(|record| record[0]).filter(|uuid| uuid.starts_with("eee")).collect();
    assert!(long.len() == 2 && long[0] != long[1], "two events stay two: {long:?}");

    let says = |event: &str, change: &str| said.iter().any(|line| line.contains(event) && line.contains(change));
    assert!(says("wide", "title cut from 300 to 255 characters; object cut from 2000 to 1000 characters"), "{said:#?}");
    assert!(says("tagged", "tags cut from 408 to 255 characters"), "{said:#?}");
    assert_eq!(says("letters", "title with 8 characters replaced"), database.is_mysql(), "{said:#?}");
    assert!(says(&one, "uuid cut from 301 to"), "{said:#?}");
    assert_eq!(said.len(), if database.is_mysql() { 5 } else { 4 }, "{said:#?}");

    let page = publisher.page(None, PageNumber::Recent).await.expect("a page").expect("it is there");
    assert_eq!(read(&page).0.len(), 8);
}

async fn columns_that_became_smaller_meanwhile_hold_no_event_back(database: &mut TestDatabase) {
    if database.server == Server::Sqlite {
        return;
    }
    let publisher = publisher(database);
    queue(&publisher, [patient("a")]).await;
    publisher.publish_queued().await.expect("the job runs");
    let records = "MODIFY object varchar(20), MODIFY title varchar(255) CHARACTER SET latin1";
    let table = database.table("event_records");
    database.run(&format!("DELETE FROM {table}")).await;
    alter(database, "event_records", records, "ALTER COLUMN object TYPE varchar(20)").await;
    queue(&publisher, [patient("b"), NewEvent { title: "Größe \u{416}".to_owned(), ..patient("c") }, patient("d")])
        .await;
    if database.is_mysql() {
        // A row from before strict modes.
        let table = database.table("event_records_queue");
        let zero = format!("UPDATE {table} SET `timestamp` = '0000-00-00 00:00:00' WHERE uuid = 'd'");
        database.run(&format!("SET sql_mode = ''; {zero}")).await;
    }
    assert_eq!(publisher.publish_queued().await.expect("the job runs"), 3);
    let records = lines(database, "event_records", &["uuid", "object", "title"]).await;
    let letter = if database.is_mysql() { '?' } else { '\u{416}' };
    assert_eq!(
        records[..2],
        ["b|/openmrs/ws/rest/v1/|Patient".to_owned(), format!("c|/openmrs/ws/rest/v1/|Größe {letter}")]
    );
    assert_eq!(lines(database, "event_records_queue", &["uuid"]).await, [""; 0]);
}

async fn a_category_that_does_not_fit_its_marker_holds_no_other_back(database: &mut TestDatabase) {
    if database.server == Server::Sqlite {
        return;
    }
    let (mysql, postgres) = ("MODIFY category varchar(10)", "ALTER COLUMN category TYPE varchar(10)");
    alter(database, "event_records_offset_marker", mysql, postgres).await;
    chunk(database, &[(2, 1)]).await;
    let publisher = publisher(database);
    let of = |uuid: &str, category: &str| NewEvent { category: Some(category.to_owned()), ..patient(uuid) };
    let long = "results of the laboratory";
    queue(&publisher, ["a", "b", "c"].map(|uuid| of(uuid, long))).await;
    queue(&publisher, ["d", "e", "f"].map(patient)).await;
    publisher.publish_queued().await.expect("the job runs");
    let log = Log::start();
    assert_eq!(publisher.write_offset_markers(1).await.expect("the job runs"), 2);
    assert!(log.lines().iter().any(|line| line.contains(long) && line.contains("cut from 25 to 10 characters")));
    let marker = ["category", "event_id", "event_count"];
    assert_eq!(lines(database, "event_records_offset_marker", &marker).await, ["|6|6", "patient|5|2"]);
    assert_eq!(pages(&publisher, Some(long)).await, [vec![id("a"), id("b")], vec![id("c")]]);
}

async fn the_offset_marker_stays_behind_and_is_mended(database: &mut TestDatabase) {
    chunk(database, &[(5, 1)]).await;
    let publisher = publisher(database);
    queue(&publisher, (1..=23).map(|number| patient(&format!("e{number}")))).await;
    publisher.publish_queued().await.expect("the job runs");
    let marker = ["category", "event_id", "event_count"];
    assert_eq!(publisher.write_offset_markers(100).await.expect("the job runs"), 0, "there are too few events");
    // 23 - 10 = 13, which is on the page of 11 to 15.
    assert_eq!(publisher.write_offset_markers(10).await.expect("the job runs"), 2);
    assert_eq!(lines(database, "event_records_offset_marker", &marker).await, ["|15|15", "patient|15|15"]);
    // Events are deleted, as happens in hospitals: the marker is wrong until the job runs again.
    let table = database.table("event_records");
    database.run(&format!("DELETE FROM {table} WHERE id <= 4")).await;
    assert_eq!(publisher.write_offset_markers(10).await.expect("the job runs"), 2);
    assert_eq!(lines(database, "event_records_offset_marker", &marker).await, ["|14|10", "patient|14|10"]);
}

async fn tables_that_are_made_here_carry_a_feed(database: &mut TestDatabase) {
    drop_tables(database).await;
    let publisher = publisher(database);
    let error = publisher.publish_queued().await.expect_err("there are no tables");
    assert!(error.to_string().starts_with("The table event_records_queue is not there."), "{error}");
    for _ in 0..2 {
        publisher.database().create_publisher_tables().await.expect("they are made, and once is enough");
        publisher.database().create_consumer_tables().await.expect("they are made");
    }
    queue(&publisher, ["a", "b", "c", "d", "e", "f"].map(patient)).await;
    publisher.publish_queued().await.expect("the job runs");
    assert_eq!(pages(&publisher, Some("patient")).await.iter().map(Vec::len).collect::<Vec<_>>(), [5, 1]);
    assert_eq!(lines(database, "chunking_history", &["id", "chunk_length", "start"]).await, ["1|5|1"]);
}

async fn hostile_texts_make_pages_that_can_be_read(database: &mut TestDatabase) {
    chunk(database, &[(5, 1)]).await;
    let publisher = publisher(database);
    let hostile = "]]> <script>alert(1)</script> & \u{1} \u{FFFE} \u{1F600} ]]";
    let event = NewEvent {
        title: hostile.to_owned(),
        tags: Some(hostile.to_owned()),
        ..NewEvent::new("a", "patient", "x", hostile)
    };
    queue(&publisher, [event]).await;
    publisher.publish_queued().await.expect("the job runs");
    let page = publisher.page(Some("patient"), PageNumber::Recent).await.expect("a page").expect("it is there");
    let document = Document::parse(&page).expect("the page is XML");
    let mut expected = hostile.replace(['\u{1}', '\u{FFFE}'], "\u{FFFD}");
    if !database.holds_four_bytes() {
        // MySQL itself makes this of it.
        expected = expected.replace('\u{1F600}', "?");
    }
    let entry = document.descendants().find(|node| node.has_tag_name("entry")).expect("an entry");
    assert_eq!(text(entry, "title").as_deref(), Some(expected.as_str()));
    assert_eq!(text(entry, "content").as_deref(), Some(expected.as_str()));
}

async fn without_a_row_of_chunking_history_there_is_a_clear_error(database: &mut TestDatabase) {
    let error = publisher(database).page(None, PageNumber::Recent).await.expect_err("no pages can be made");
    assert!(error.to_string().starts_with("chunking_history has no row"), "{error}");
}

async fn categories_are_compared_as_the_database_compares(database: &mut TestDatabase) {
    chunk(database, &[(5, 1)]).await;
    let publisher = publisher(database);
    let stored = |uuid: &str, category: &str| NewEvent { category: Some(category.to_owned()), ..patient(uuid) };
    queue(&publisher, [stored("a", "Encounter"), stored("b", "encounter "), stored("c", "ENCOUNTER")]).await;
    publisher.publish_queued().await.expect("the job runs");
    // With most collations of MySQL and MariaDB trailing blanks do not matter, with those of MySQL 8 they do.
    let padded =
        format!("SELECT uuid FROM {} WHERE category = 'encounter' AND uuid = 'b'", database.table("event_records"));
    let padded = database.value(&padded).await.is_some();
    for asked in ["Encounter", "encounter"] {
        let page = publisher.page(Some(asked), PageNumber::Recent).await.expect("a page").expect("it is there");
        let same = match (database.is_mysql(), asked) {
            (true, _) if padded => vec![id("a"), id("b"), id("c")],
            (true, _) => vec![id("a"), id("c")],
            (false, "Encounter") => vec![id("a")],
            (false, _) => Vec::new(),
        };
        assert_eq!(read(&page).0, same, "asked for {asked}");
        let own = format!("http://openmrs:8080/openmrs/ws/atomfeed/{asked}/recent");
        assert!(page.contains(&own), "links are as it was asked");
    }
}

/// Returns the columns in which a publisher's tables made by this crate must agree with those of the Java library.
async fn description(database: &mut TestDatabase) -> Vec<String> {
    let select = if database.is_mysql() {
        "SELECT CONCAT(table_name, '.', column_name, ' ', column_type, ' ', COALESCE(LOWER(column_default), ''), ' ', \
         LOWER(extra)) FROM information_schema.columns WHERE table_schema = DATABASE() AND column_name IN"
    } else {
        "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || COALESCE(LOWER(column_default), '') \
         FROM information_schema.columns WHERE table_schema = 'clinlims' AND column_name IN"
    };
    let publisher = "table_name IN ('event_records', 'event_records_queue', 'chunking_history', \
                     'event_records_offset_marker')";
    let lines =
        database.lines(&format!("{select} ('id', 'timestamp', 'date_created') AND {publisher} ORDER BY 1")).await;
    lines.into_iter().flatten().collect()
}

async fn drop_tables(database: &mut TestDatabase) {
    for table in schema::TABLES {
        database.run(&format!("DROP TABLE IF EXISTS {}", database.table(table))).await;
    }
}

async fn the_java_library_can_use_tables_that_are_made_here(database: &mut TestDatabase) {
    if database.server == Server::Sqlite {
        return;
    }
    drop_tables(database).await;
    let publisher = publisher(database);
    publisher.database().create_publisher_tables().await.expect("they are made");
    let described = description(database).await;
    assert_eq!(described.len(), 7, "{described:#?}");
    for column in described {
        let (name, kind) = column.split_once(' ').expect("a name and a type");
        // Ids fit Java's Integer, and times are set although no statement names them.
        if name.ends_with(".id") {
            assert!(kind.starts_with("int") && !kind.contains("unsigned"), "{column}");
        } else {
            // PostgreSQL before 10 reports the second form.
            let is_now = kind.contains("current_timestamp") || kind.contains("'now'");
            assert!(is_now && !kind.contains("on update"), "{column}");
        }
    }
    // The columns that the library writes.
    let (queue, records) = (database.table("event_records_queue"), database.table("event_records"));
    let insert = "(uuid, title, uri, object, category, tags) VALUES ('a', 'Patient', NULL, '/a', 'patient', 'patient')";
    database.run(&format!("INSERT INTO {queue} {insert}; INSERT INTO {records} {insert}")).await;
    for table in [queue, records] {
        let quoted = if database.is_mysql() { "`timestamp`" } else { "\"timestamp\"" };
        let times = database.value(&format!("SELECT CONCAT(COUNT({quoted}), '') FROM {table}")).await;
        assert_eq!(times.as_deref(), Some("1"), "{table}");
    }
    publisher.publish_queued().await.expect("the job runs");
    assert_eq!(pages(&publisher, Some("patient")).await, [[id("a"), id("a")]]);
}

/// Returns the statements of docs/integration.md for tables of an earlier version.
fn statements_of_the_manual(database: &TestDatabase) -> &'static str {
    let name = if database.is_mysql() { "-- MySQL and MariaDB\n" } else { "-- PostgreSQL\n" };
    let manual = include_str!("../../docs/integration.md");
    let (_, statements) = manual.split_once(name).expect("the manual has the statements");
    statements.split_once("```").expect("the end of the statements").0
}

async fn tables_of_an_earlier_version_are_brought_up_as_the_manual_says(database: &mut TestDatabase) {
    if database.server == Server::Sqlite {
        return;
    }
    let publisher = publisher(database);
    if let Some(schema) = database.app.database.schema.clone() {
        database.run(&format!("SET search_path = {schema}")).await;
    }
    drop_tables(database).await;
    publisher.database().create_publisher_tables().await.expect("they are made");
    let wanted = description(database).await;
    drop_tables(database).await;
    let (key, time) = if database.is_mysql() {
        ("bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY", "timestamp(3) NULL DEFAULT NULL")
    } else {
        ("serial PRIMARY KEY", "timestamp without time zone")
    };
    let quoted = if database.is_mysql() { "`timestamp`" } else { "\"timestamp\"" };
    let event = format!(
        "id {key}, uuid varchar(40), title varchar(255), {quoted} {time}, uri varchar(255), object varchar(1000), \
         category varchar(255), tags varchar(255)"
    );
    for (table, columns) in [
        ("event_records_queue", event.clone()),
        ("event_records", format!("{event}, date_created {time}")),
        ("chunking_history", format!("id {key}, chunk_length bigint, start bigint")),
        ("event_records_offset_marker", format!("id {key}, event_id int, event_count int, category varchar(255)")),
    ] {
        database.run(&format!("CREATE TABLE {table} ({columns})")).await;
    }
    // A row of the Java library, which relies on the column's default.
    let queued = database.at("2026-11-01T08:00:00Z");
    let row = format!("INSERT INTO event_records (uuid, category, date_created) VALUES ('a', 'patient', {queued})");
    database.run(&row).await;
    assert_ne!(description(database).await, wanted);
    database.run(statements_of_the_manual(database)).await;
    assert_eq!(description(database).await, wanted);
    chunk(database, &[(5, 1)]).await;
    let page = publisher.page(None, PageNumber::Recent).await.expect("a page").expect("it is there");
    assert!(page.contains("<published>2026-11-01T08:00:00Z</published>"), "{page}");
}

async fn a_missing_page_is_answered_as_the_setting_says(database: &mut TestDatabase) {
    chunk(database, &[(5, 1)]).await;
    for (missing_page, status) in
        [(MissingPage::NotFound, StatusCode::NOT_FOUND), (MissingPage::ServerError, StatusCode::INTERNAL_SERVER_ERROR)]
    {
        let settings = FeedSettings { missing_page, ..FeedSettings::new("http://openmrs:8080/feeds", "Patients", "x") };
        let router = router(Publisher::new(open(database), settings));
        let no_position = "feedId must not be null and must be greater than 0";
        for (page, status, message) in [
            ("1", status, "feed does not exist"),
            ("99999999999", status, "feed does not exist"),
            ("0", status, no_position),
            ("-1", status, no_position),
            // Not a number, so never a page, whatever the setting.
            ("abc", StatusCode::NOT_FOUND, "There is no such page."),
        ] {
            let request = Request::get(format!("/patient/{page}")).body(Body::empty()).expect("a request");
            let answer = router.clone().oneshot(request).await.expect("an answer");
            assert_eq!(answer.status(), status, "page {page}");
            let body = answer.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(body, message.as_bytes(), "page {page}");
        }
        let request = Request::get("/a%00b/recent").body(Body::empty()).expect("a request");
        assert_eq!(
            router.clone().oneshot(request).await.expect("an answer").status(),
            status,
            "no category is called so"
        );
        let request = Request::get("/patient/recent").body(Body::empty()).expect("a request");
        assert_eq!(
            router.oneshot(request).await.expect("an answer").status(),
            StatusCode::OK,
            "it is empty, but there"
        );
    }
}

/// Odoo 16 keeps translated columns as jsonb by language.
async fn columns_by_language_make_pages_and_markers(database: &mut TestDatabase) {
    for column in ["uuid", "title", "category", "uri"] {
        database
            .run(&format!(
                "ALTER TABLE event_records ALTER COLUMN {column} TYPE jsonb USING jsonb_build_object('en_US', {column}); \
                 ALTER TABLE event_records ALTER COLUMN object TYPE text"
            ))
            .await;
    }
    chunk(database, &[(2, 1)]).await;
    let row = |uuid: &str, title: &str, category: &str| {
        format!(
            "INSERT INTO event_records (uuid, title, category, uri, object, \"timestamp\") VALUES \
             ('{{\"en_US\": \"{uuid}\"}}', '{title}', '{category}', NULL, '/{uuid}', '2026-11-01 08:00:00')"
        )
    };
    let product = r#"{"en_US": "product"}"#;
    database.run(&row("a", r#"{"fr_FR": "Produit", "en_US": "Product"}"#, product)).await;
    database.run(&row("b", r#"{"fr_FR": "Produit"}"#, r#"{"fr_FR": "produit", "en_US": "product"}"#)).await;
    database.run(&row("x", r#"{"en_US": "sale_order"}"#, r#"{"en_US": "sale_order"}"#)).await;
    database.run(&row("c", "\"Product\"", "\"product\"")).await;

    let publisher = publisher(database);
    // Text in the queue is published by language.
    queue(&publisher, [NewEvent { tags: None, ..NewEvent::new("d", "product", "Product", "/d") }]).await;
    publisher.publish_queued().await.expect("the job runs");
    let category = database.value("SELECT CAST(category AS text) FROM event_records WHERE object = '/d'").await;
    assert_eq!(category.as_deref(), Some(product));

    let all = [vec![id("a"), id("b")], vec![id("c"), id("d")]];
    assert_eq!(pages(&publisher, Some("product")).await, all);
    assert_eq!(publisher.write_offset_markers(2).await.expect("the job runs"), 2);
    let marker = ["category", "event_id", "event_count"];
    assert_eq!(lines(database, "event_records_offset_marker", &marker).await, ["|4|4", "product|2|2"]);
    assert_eq!(pages(&publisher, Some("product")).await, all, "counted from the marker");
    assert_eq!(pages(&publisher, Some("produit")).await, [[""; 0]; 0], "other languages name no feed");

    let page = publisher.page(Some("product"), PageNumber::Number(1)).await.expect("a page").expect("it is there");
    let document = Document::parse(&page).expect("the page is XML");
    let entries = document.root_element().children().filter(|child| child.has_tag_name("entry"));
    let titles: Vec<Option<String>> = entries.clone().map(|entry| text(entry, "title")).collect();
    assert_eq!(titles, [Some("Product".to_owned()), Some("Produit".to_owned())]);
    for entry in entries {
        let terms: Vec<&str> = entry.children().filter_map(|child| child.attribute("term")).collect();
        assert_eq!(terms, ["product"]);
    }
}
