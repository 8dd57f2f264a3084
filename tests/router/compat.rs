//! The old console's JSON, driven as its AngularJS client did.

use axum::http::StatusCode;
use axum::{body::Body, http::Request};
use serde_json::{Value, json};

use super::hospital::{ENCOUNTERS, Hospital, row};

/// AngularJS encoded the whole feed address once.
const ENCODED: &str = "http%3A%2F%2Fopenmrs%3A8080%2Fopenmrs%2Fws%2Fatomfeed%2Fencounter%2Frecent";

/// Returns a category with every key that the old console's answer had.
fn category(term: &str) -> Value {
    json!({ "term": term, "label": Value::Null, "scheme": Value::Null, "schemeResolved": Value::Null })
}

async fn reset(hospital: &Hospital, app: &str, event: &str) -> super::hospital::Answer {
    let path = format!("/atomfeed-console/apps/{app}/failedEvent/{event}/resetRetryCount");
    hospital.send(Request::post(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn the_old_client_finds_its_way_from_the_tiles_to_the_reset() {
    let mut first = row(1, "2026-11-20 08:00:00.25");
    first.tags = "patient, Encounter";
    let hospital = Hospital::new(&[first.clone(), row(2, "2026-11-20 09:00:00")], &[]).await;
    hospital
        .execute(
            "Odoo",
            "INSERT INTO failed_event_retry_log SELECT 7, feed_uri, '2026-11-20 08:00:30', 'again', event_id, event_content, 1 \
             FROM failed_events WHERE id = 1",
        )
        .await;

    let apps = hospital.get("/atomfeed-console/apps").await;
    assert_eq!(apps.json(), json!(["Odoo", "OpenELIS"]));
    assert!(apps.header("content-type").starts_with("application/json"));

    let feeds = hospital.get("/atomfeed-console/apps/oDOO/feedStatus").await.json();
    let feed = feeds.as_array().unwrap().iter().find(|feed| feed["feedUri"] == ENCOUNTERS).unwrap();
    let entry = "tag:atomfeed.ict4h.org:be4d353b-ac7b-4ee5-a5ac-1ca2f4b4d8e2";
    assert_eq!(*feed, json!({ "feedUri": ENCOUNTERS, "lastReadEntry": entry, "countOfFailedEvents": 2 }));
    assert_eq!(feeds.as_array().unwrap().len(), 2, "a row per marker");

    let events = hospital.get(&format!("/atomfeed-console/apps/Odoo/failedEvent?feedUri={ENCODED}")).await.json();
    assert_eq!(
        events[0],
        json!({
            "failedAt": 1_795_161_600_250_i64,
            "event": {
                "categories": [category("patient"), category("Encounter")],
                "id": first.event,
                "content": first.payload,
                "feedUri": Value::Null,
                "updatedDate": Value::Null,
                "title": "Encounter",
                "dateCreated": Value::Null,
            },
            "errorMessage": first.error,
            "feedUri": ENCOUNTERS,
            "retries": 5,
            "eventId": first.event,
        })
    );
    assert_eq!(events.as_array().unwrap().len(), 2);

    let log = hospital.get(&format!("/atomfeed-console/apps/Odoo/failedEvent/{}/retryLog", first.event)).await.json();
    let expected = json!([{ "feedUri": ENCOUNTERS, "failedAt": 1_795_161_630_000_i64, "errorMessage": "again",
        "eventId": first.event, "eventContent": first.payload }]);
    assert_eq!(log, expected);

    let answer = reset(&hospital, "odoo", &first.event).await;
    assert_eq!((answer.status, answer.body.as_str(), answer.header("x-rows-reset")), (StatusCode::OK, "", "1"));
    let now = hospital.retries("Odoo").await;
    assert_eq!((now[&1].0, now[&2].0), (0, 5));
    assert_eq!(hospital.console.parts.store.operations(None, 9, None).await.unwrap().len(), 1, "it is on record");
}

#[tokio::test]
async fn an_event_that_failed_on_two_feeds_is_reset_on_both() {
    let mut twin = row(2, "2026-11-20 09:00:00");
    twin.event = row(1, "").event;
    twin.feed = super::hospital::PATIENTS;
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00"), twin.clone()], &[]).await;
    assert_eq!(reset(&hospital, "Odoo", &twin.event).await.header("x-rows-reset"), "2");
    assert!(hospital.retries("Odoo").await.values().all(|(retries, _)| *retries == 0));
}

#[tokio::test]
async fn its_faults_are_mended() {
    let hospital = Hospital::new(&[], &[]).await;
    hospital.execute("Odoo", "DELETE FROM markers").await;
    hospital.look("odoo").await;
    assert_eq!(hospital.get("/atomfeed-console/apps/Odoo/feedStatus").await.json(), json!([]));
    assert_eq!(
        hospital.get(&format!("/atomfeed-console/apps/Odoo/failedEvent?feedUri={ENCODED}")).await.json(),
        json!([])
    );
    let answer = hospital.get("/atomfeed-console/apps/Odoo/failedEvent").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.json()["error"].is_string(), "a missing feedUri is said in JSON, too");
    for path in ["/apps/Nowhere/feedStatus", "/apps/Odoo/failedEvent/tag:x:1/retryLog"] {
        let answer = hospital.get(&format!("/atomfeed-console{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.json()["error"].is_string(), "{path} says why");
    }
    let answer = reset(&hospital, "Odoo", "tag:x:1").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.json()["error"].as_str().unwrap().contains("tag:x:1"));

    let down = Hospital::with(&[], &[], "/atomfeed-console", |config| {
        config.applications[0].database.database = "/nonexistent/odoo.db".into();
    })
    .await;
    for path in
        ["feedStatus".to_owned(), format!("failedEvent?feedUri={ENCODED}"), "failedEvent/tag:x:1/retryLog".into()]
    {
        let answer = down.get(&format!("/atomfeed-console/apps/Odoo/{path}")).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(answer.json()["error"].as_str().unwrap().contains("Odoo"), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_feeds_status_asks_nothing_of_a_database_that_was_just_polled() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    hospital.followed().await;
    let source = hospital.console.source("odoo").expect("the source").clone();
    let before = source.statements();
    let feeds = hospital.get("/atomfeed-console/apps/Odoo/feedStatus").await.json();
    let counts: Vec<_> = feeds.as_array().unwrap().iter().map(|feed| feed["countOfFailedEvents"].clone()).collect();
    assert!(counts.contains(&json!(1)), "{feeds}");
    assert_eq!(source.statements(), before);

    // The next answer reports what the next poll sees.
    hospital.execute("Odoo", "DELETE FROM failed_events").await;
    hospital.look("odoo").await;
    let feeds = hospital.get("/atomfeed-console/apps/Odoo/feedStatus").await.json();
    assert!(feeds.as_array().unwrap().iter().all(|feed| feed["countOfFailedEvents"] == 0), "{feeds}");
}

#[tokio::test]
async fn rows_of_a_hundred_thousand_characters_each_are_sent_to_the_last_one() {
    let long = |id: i64| {
        let mut long = row(id, "2026-11-20 08:00:00");
        long.error = format!("{id} ").repeat(40_000);
        long.payload = "p".repeat(120_000);
        long
    };
    let rows: Vec<_> = (1..=150).map(long).collect();
    let hospital = Hospital::new(&rows, &[]).await;
    let events = hospital.get(&format!("/atomfeed-console/apps/Odoo/failedEvent?feedUri={ENCODED}")).await.json();
    let events = events.as_array().unwrap();
    let ids: Vec<_> = events.iter().map(|event| event["eventId"].as_str().unwrap()).collect();
    assert_eq!(ids, rows.iter().map(|row| row.event.as_str()).collect::<Vec<_>>());
    let content = events[0]["event"]["content"].as_str().unwrap();
    assert!(content.ends_with("[cut here, after 100000 characters]"), "{}", &content[content.len() - 60..]);
}

#[tokio::test]
async fn sixteen_scripts_at_a_time_are_all_answered() {
    let rows: Vec<_> = (1..=50).map(|id| row(id, "2026-11-20 08:00:00")).collect();
    let hospital = Hospital::new(&rows, &[]).await;
    let path = format!("/atomfeed-console/apps/Odoo/failedEvent?feedUri={ENCODED}");
    let answers = futures::future::join_all((0..16).map(|_| hospital.get(&path))).await;
    for answer in answers {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.json().as_array().unwrap().len(), 50);
    }
}

#[tokio::test]
async fn what_a_client_encoded_twice_is_found_as_what_it_encoded_once() {
    let first = row(1, "2026-11-20 08:00:00");
    let mut spaced = row(2, "2026-11-20 08:00:00");
    spaced.feed = "http://openmrs:8080/a%20b/$x#y/recent";
    let hospital = Hospital::new(&[first.clone(), spaced.clone()], &[]).await;
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    for (feed, id) in [(ENCOUNTERS, &first.event), (spaced.feed, &spaced.event)] {
        let (once, twice) = (encode(feed), encode(&encode(feed)));
        assert_ne!(once, twice);
        for encoded in [once, twice] {
            let path = format!("/atomfeed-console/apps/Odoo/failedEvent?feedUri={encoded}");
            let events = hospital.get(&path).await.json();
            assert_eq!(
                (events.as_array().unwrap().len(), events[0]["eventId"].as_str()),
                (1, Some(id.as_str())),
                "{path}"
            );
        }
    }
    let twice = encode(&encode(&first.event));
    let log = hospital.get(&format!("/atomfeed-console/apps/Odoo/failedEvent/{twice}/retryLog")).await;
    assert_eq!((log.status, log.json()), (StatusCode::OK, json!([])));
    assert_eq!(reset(&hospital, "%254Fdoo", &twice).await.header("x-rows-reset"), "1");
}

/// Not every id has a colon or a slash, and an id can look like an encoded one.
#[tokio::test]
async fn an_id_of_any_form_is_found_however_often_it_was_encoded() {
    let ids = ["a b", "100%", "100%25", "a+b", "order/7", "größe", "a%20c", "tag:x:a b"];
    let rows = ids.iter().zip(1..).map(|(id, number)| {
        let mut row = row(number, "2026-11-20 08:00:00");
        row.event = (*id).to_owned();
        row
    });
    let hospital = Hospital::new(&rows.collect::<Vec<_>>(), &[]).await;
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    for id in ids {
        let once = encode(id);
        // `100%` encoded twice is `100%25` encoded once. That id exists as well, and an id is first read as received.
        let forms = if id == "100%" { vec![once] } else { vec![once.clone(), encode(&once)] };
        for form in &forms {
            let log = hospital.get(&format!("/atomfeed-console/apps/Odoo/failedEvent/{form}/retryLog")).await;
            assert_eq!((log.status, log.json()), (StatusCode::OK, json!([])), "{id} as {form}");
        }
        let last = forms.last().unwrap();
        assert_eq!(reset(&hospital, "Odoo", last).await.header("x-rows-reset"), "1", "{id} as {last}");
    }
    // Each of them once: none was mistaken for another.
    let set_back = hospital.numbers("Odoo", "SELECT COUNT(*) FROM failed_events WHERE retries = 0").await;
    assert_eq!(set_back, [ids.len() as i64]);
    let log = hospital.get("/atomfeed-console/apps/Odoo/failedEvent/no%2520such/retryLog").await;
    assert_eq!(log.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_reset_takes_no_more_than_eight_statements_of_the_source() {
    let rows = [row(1, "2026-11-20 08:00:00"), row(2, "2026-11-20 09:00:00")];
    let hospital = Hospital::new(&rows, &[]).await;
    hospital.followed().await;
    let source = hospital.console.source("odoo").expect("the source").clone();
    let before = source.statements();
    let answer = reset(&hospital, "Odoo", &rows[0].event).await;
    assert_eq!((answer.status, answer.header("x-rows-reset")), (StatusCode::OK, "1"));
    // The row is searched for, and changed, each in a transaction.
    let sent = source.statements() - before;
    assert!(sent <= 8, "{sent} statements");
    let now = hospital.retries("Odoo").await;
    assert_eq!((now[&1].0, now[&2].0), (0, 5));
}
