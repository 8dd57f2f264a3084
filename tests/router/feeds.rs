//! The feeds of a publisher as pages, who may see them, and how far consumers are behind.

use std::time::{Duration, Instant};

use atomfeed::{Database, FeedSettings, PageNumber, Publisher};
use atomfeed_console::{
    model::{Person, Role},
    server::{config::Access, published::events_of_record, store::End},
};
use axum::http::StatusCode;

use super::hospital::{Hospital, PUBLISHER};

const LAB: &str = "/atomfeed-console/applications/openelis";
/// What no viewer may see: it is only in the object of one event.
const SECRET: &str = "Kalinga";

/// 23 events of two categories; the last one is a JSON object with a name.
const EVENTS: &str = "INSERT INTO event_records (id, uuid, title, timestamp, object, category, tags)
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 22)
    SELECT n, 'e0000000-0000-4000-8000-0000000000' || printf('%02d', n), 'Patient', '2026-11-01T08:00:' || printf('%02d', n) || 'Z',
        '/openmrs/ws/rest/v1/patient/a0000000-0000-4000-8000-00000000000' || (n % 3) || '?v=full',
        CASE WHEN n % 11 = 0 THEN 'lab test' ELSE 'patient' END, 'patient'
    FROM numbers;
    INSERT INTO event_records (id, uuid, title, timestamp, object, category)
    VALUES (23, 'e0000000-0000-4000-8000-000000000023', 'Patient', '2026-11-01T08:00:23Z',
        '{\"uuid\":\"a0000000-0000-4000-8000-000000000009\",\"name\":\"Kalinga\"}', 'patient')";

const MARKER: &str = "DELETE FROM markers; INSERT INTO markers VALUES
    ('http://openmrs:8080/openmrs/ws/atomfeed/patient/recent',
     'tag:atomfeed.ict4h.org:e0000000-0000-4000-8000-000000000012',
     'http://openmrs:8080/openmrs/ws/atomfeed/patient/3')";

async fn hospital(access: Access) -> Hospital {
    let statements =
        [("OpenELIS", PUBLISHER), ("OpenELIS", EVENTS), ("OpenELIS", "DELETE FROM markers"), ("Odoo", MARKER)];
    let hospital = Hospital::made(&[], &[], "/atomfeed-console", &statements, |config| {
        config.applications[1].info.publishes = vec!["http://openmrs:8080/openmrs/".into()];
        config.access = access;
    })
    .await;
    hospital.followed().await;
    let begun = Instant::now();
    let indexed = async || {
        let indexed = hospital.console.parts.store.indexed("openelis").await.expect("the store");
        indexed.is_some_and(|indexed| indexed.end == End::Beginning)
    };
    while !indexed().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "the events are not indexed");
        hospital.console.parts.watch.poll_now("openelis").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    hospital
}

async fn open_hospital() -> Hospital {
    let open = Access { way: atomfeed_console::server::config::AuthMode::Open, ..Access::default() };
    hospital(open).await
}

#[tokio::test]
async fn the_feeds_of_a_publisher_are_listed_with_who_reads_them() {
    let hospital = open_hospital().await;
    let page = hospital.page(&format!("{LAB}/feeds")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Feeds of OpenELIS"), "{}", page.body);
    assert!(page.body.contains("/applications/openelis/feed?category=lab%20test\""), "{}", page.body);
    assert!(page.body.contains("All events"));
    assert!(page.body.contains("10 events behind"), "{}", page.body);
    assert!(page.body.contains("The console has indexed all 23 events."), "{}", page.body);
    let none = hospital.page("/atomfeed-console/applications/odoo/feeds").await;
    assert!(none.body.contains("the table event_records does not exist"), "{}", none.body);
    assert_eq!(hospital.page("/atomfeed-console/applications/nowhere/feeds").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_page_is_what_the_publisher_serves() {
    let hospital = open_hospital().await;
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", hospital.database("OpenELIS").display())).await.unwrap();
    let mut settings = FeedSettings::new("http://openmrs:8080/openmrs/ws/atomfeed", "OpenELIS", "0-0");
    settings.id_prefix = "00000000-0000-0000-0000-000000000000".to_owned();
    let publisher = Publisher::new(Database::sqlite(pool), settings);
    for (query, category, number) in [
        ("category=patient", Some("patient"), PageNumber::Recent),
        ("category=patient&page=1", Some("patient"), PageNumber::Number(1)),
        ("category=patient&page=3", Some("patient"), PageNumber::Number(3)),
        ("category=lab%20test", Some("lab test"), PageNumber::Recent),
        ("page=5", None, PageNumber::Number(5)),
    ] {
        let ours = hospital.get(&format!("{LAB}/feed.xml?{query}")).await;
        let theirs = publisher.page(category, number).await.expect("an answer").expect("a page");
        assert_eq!(ours.body, theirs, "{query}");
        assert!(ours.header("content-type").starts_with("text/plain"));
    }
    let page = hospital.page(&format!("{LAB}/feed?category=patient&page=3")).await.body;
    assert!(page.contains("patient, page 3 of 5"), "{page}");
    assert!(page.contains("Events 11 to 15 of 21"), "{page}");
    assert!(page.contains("as a consumer stores it"), "{page}");
    // Event 12 is the last one that Odoo has read.
    let rows: Vec<&str> = page.split("<tr").filter(|row| row.contains("data-label=\"Read by\"")).collect();
    let read: Vec<bool> = rows.iter().map(|row| !row.contains(">not Odoo<")).collect();
    assert_eq!(read, [true, false, false, false, false], "{page}");
    assert!(hospital.page(&format!("{LAB}/feed?category=patient&page=3")).await.body.contains("View source"));
    let missing = hospital.page(&format!("{LAB}/feed?category=patient&page=6")).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.body.contains("Its pages are 1 to 5."), "{}", missing.body);
    let audit = hospital.get("/atomfeed-console/api/audit?query=kind%3Dpayload_viewed").await;
    assert!(audit.body.contains("its source"), "{}", audit.body);
}

#[tokio::test]
async fn a_page_is_found_by_its_event_and_events_by_their_object() {
    let hospital = open_hospital().await;
    let page = async |query: &str| hospital.page(&format!("{LAB}/feed?category=patient&{query}")).await.body;
    assert!(page("event=12").await.contains("page 3 of 5"));
    let record = "record=a0000000-0000-4000-8000-000000000000";
    let entry = "entry=tag:atomfeed.ict4h.org:e0000000-0000-4000-8000-000000000012";
    for query in [format!("{entry}&{record}"), entry.to_owned()] {
        let found = page(&query).await;
        assert!(found.contains("page 3 of 5") && found.contains("aria-current=\"true\""), "{found}");
    }
    assert_eq!(
        hospital.page(&format!("{LAB}/feed?category=patient&entry=nothing")).await.status,
        StatusCode::NOT_FOUND
    );
    let distinct = page("distinct=1").await;
    assert!(distinct.contains("4 records of the 21 events that were read, newest first."), "{distinct}");

    let uuids = ["A0000000-0000-4000-8000-000000000001".to_owned()];
    let found = events_of_record(&hospital.console, "openelis", &uuids).await.expect("an answer");
    let ids: Vec<i128> = found.events.iter().map(|event| event.id.0).collect();
    assert_eq!((ids, found.complete), (vec![1, 4, 7, 10, 13, 16, 19, 22], true));
    assert_eq!(found.indexed_from.map(|at| at.to_rfc3339()).as_deref(), Some("2026-11-01T08:00:01+00:00"));
    // Published since, and not indexed yet.
    let later = "INSERT INTO event_records (id, uuid, object, category) VALUES \
        (24, 'x', '/openmrs/ws/rest/v1/patient/a0000000-0000-4000-8000-000000000001', 'patient')";
    hospital.execute("OpenELIS", later).await;
    let found = events_of_record(&hospital.console, "openelis", &uuids).await.expect("an answer");
    assert_eq!(found.events.last().map(|event| event.id.0), Some(24));
    assert!(events_of_record(&hospital.console, "openelis", &[]).await.expect("an answer").events.is_empty());
}

#[tokio::test]
async fn who_may_not_see_a_publisher_or_texts_sees_neither() {
    let hospital = hospital(Access::default()).await;
    let odoo_only =
        Person { role: Role::Administrator, applications: Some(["odoo".to_owned()].into()), ..Person::anybody() };
    for path in ["feeds", "feed?category=patient", "feed.xml?category=patient"] {
        let answer = hospital.get_as(&odoo_only, &format!("{LAB}/{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.body.contains("OpenELIS"), "{path}");
    }
    for path in ["/api/feeds?app=openelis", "/api/feed?app=openelis&query="] {
        let answer = hospital.get_as(&odoo_only, &format!("/atomfeed-console{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    // No link leads to a publisher that the person may not see.
    let page = hospital.page_as(&odoo_only, "/atomfeed-console/applications/odoo").await.body;
    assert!(page.contains("Last event read") && !page.contains("/applications/openelis"), "{page}");
    // A consumer that the person may not see is no reader.
    let lab_only =
        Person { role: Role::Administrator, applications: Some(["openelis".to_owned()].into()), ..Person::anybody() };
    for path in ["feeds", "feed?category=patient"] {
        let page = hospital.page_as(&lab_only, &format!("{LAB}/{path}")).await.body;
        assert!(page.contains("none that the console sees") && !page.contains("applications/odoo"), "{page}");
    }

    let viewer = Person { role: Role::Viewer, ..Person::anybody() };
    for path in ["feed?category=patient", "feed?category=patient&distinct=1", "feed.xml?category=patient"] {
        let answer = hospital.page_as(&viewer, &format!("{LAB}/{path}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(!answer.body.contains(SECRET), "{path}");
        assert!(answer.body.contains("a0000000-0000-4000-8000-000000000009"), "the record is named: {path}");
    }
    let api = hospital.get_as(&viewer, "/atomfeed-console/api/feed?app=openelis&query=category%3Dpatient").await;
    assert!(!api.body.contains(SECRET) && !api.body.contains("v=full"), "{}", api.body);
    let operator = Person { role: Role::Operator, ..Person::anybody() };
    let source = hospital.get_as(&operator, &format!("{LAB}/feed.xml?category=patient")).await;
    assert!(source.body.contains(SECRET), "{}", source.body);
}

#[tokio::test]
async fn the_lag_of_a_feed_is_on_its_pages_and_in_the_status() {
    let hospital = open_hospital().await;
    let status = hospital.get("/atomfeed-console/status").await.json();
    let feed = &status["applications"][0]["feeds"][0];
    assert_eq!(feed["lag"]["events"], 10, "{feed}");
    assert_eq!(feed["lag"]["oldest_at"], "2026-11-01T08:00:13Z");
    assert!(feed["lag"]["oldest_age_seconds"].is_i64() && feed["limit_reached_at"].is_null(), "{feed}");
    let page = hospital.page("/atomfeed-console/applications/odoo").await.body;
    assert!(page.contains("Behind the publisher") && page.contains("10 events behind, "), "{page}");
    assert!(page.contains("/applications/openelis/feed?category=patient&amp;event=12\""), "{page}");
    let samples = "SELECT unread FROM lag_samples JOIN lag_feeds ON id = feed_id WHERE app = 'odoo'";
    assert_eq!(hospital.numbers_of_store(samples).await, [10], "at most one sample a minute");
}

#[tokio::test]
async fn without_an_index_pages_are_found_and_what_was_read_is_told() {
    let many = "INSERT INTO event_records (id, uuid, timestamp, object, category)
        WITH RECURSIVE numbers(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM numbers WHERE n < 8000)
        SELECT n, 'm' || n, '2026-11-02T08:00:00Z', '/x', 'patient' FROM numbers";
    let statements = [("OpenELIS", PUBLISHER), ("OpenELIS", EVENTS), ("OpenELIS", many)];
    let hospital = Hospital::made(&[], &[], "/atomfeed-console", &statements, |config| {
        // The file of the index's key cannot be used, so nothing is indexed.
        let mut key = config.store.clone().into_os_string();
        key.push(".index-key");
        std::fs::write(key, "no key").expect("a file");
    })
    .await;
    hospital.followed().await;
    let page = hospital.page(&format!("{LAB}/feed?category=patient&page=1500")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("page 1,500 of 1,585"), "{}", page.body);
    assert!(page.body.contains("m7574") && page.body.contains("m7578"), "{}", page.body);
    assert!(page.body.contains("The database read 7,495 events to find this page"), "{}", page.body);
    let list = hospital.page(&format!("{LAB}/feeds")).await.body;
    assert!(list.contains("has not indexed these events yet"), "{list}");
    let broken = "DELETE FROM chunking_history";
    hospital.execute("OpenELIS", broken).await;
    let page = hospital.page(&format!("{LAB}/feed?category=patient")).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.body.contains("chunking_history has no row"), "{}", page.body);
}
