//! What users see who may not read error texts and payloads: not a word of them.

use atomfeed_console::{
    model::{Person, Role},
    server::config::Access,
};

use super::hospital::{ENCOUNTERS, Hospital, Row, row};

/// What no viewer may ever see; it is only in error, payload and retry log.
const SECRET: &str = "Kalinga";

fn secret_row() -> Row {
    Row {
        error: format!("java.lang.RuntimeException: {SECRET} has no bed"),
        payload: format!("{{\"uuid\":\"10000000-0000-4000-8000-000000000001\",\"name\":\"{SECRET}\"}}"),
        ..row(1, "2026-11-20 08:00:00")
    }
}

async fn hospital(mask: bool) -> Hospital {
    let hospital = Hospital::with(&[secret_row()], &[], "/atomfeed-console", |config| {
        config.mask_texts = mask;
        config.access = Access::default();
    })
    .await;
    let log = "INSERT INTO failed_event_retry_log SELECT 1, feed_uri, failed_at, error_message || ' again', event_id, event_content, 18 FROM failed_events";
    hospital.execute("Odoo", log).await;
    hospital
}

fn person(role: Role) -> Person {
    Person { role, ..Person::anybody() }
}

fn paths() -> Vec<String> {
    let event = row(1, "").event;
    [
        "",
        "/applications",
        "/applications/odoo",
        "/failed-events",
        "/failed-events?q=bed",
        "/failed-events?group=1",
        "/search?q=bed",
        "/search?q=java.lang",
        "/search?q=Odoo+1",
        "/search?q=10000000-0000-4000-8000-000000000001",
        "/api/search?query=q%3Dbed",
        "/failed-events/odoo/1",
        "/failed-events.csv",
        "/failed-events.ndjson",
        "/failed-events/odoo/1/error.txt",
        "/failed-events/odoo/1/payload.txt",
        "/api/applications",
        "/api/application?app=odoo",
        "/api/failed_events?query=",
        "/api/failed_events?query=group%3D1",
        "/api/failed_event?app=odoo&id=1&list=",
        "/api/publisher?app=odoo",
        "/api/overview",
        "/api/feed_causes",
        "/api/feed_retries",
        "/api/causes?query=",
        "/failed-events?by=cause",
        "/groups",
        "/groups/1",
        "/history",
        "/history/1",
        "/history.csv",
        "/operations",
        "/discarded",
        "/api/groups?quiet=false",
        "/api/group?fault=1",
        "/api/history?query=",
        "/api/life?id=1",
        "/api/operations",
        "/api/discarded",
        &format!("/apps/Odoo/failedEvent?feedUri={ENCOUNTERS}"),
        &format!("/apps/Odoo/failedEvent/{event}/retryLog"),
        "/apps/Odoo/feedStatus",
    ]
    .iter()
    .map(|path| format!("/atomfeed-console{path}"))
    .collect()
}

#[tokio::test]
async fn a_viewer_sees_no_word_of_an_error_or_a_payload_anywhere() {
    let hospital = hospital(true).await;
    let viewer = person(Role::Viewer);
    for path in paths() {
        for answer in [hospital.page_as(&viewer, &path).await, hospital.get_as(&viewer, &path).await] {
            assert!(!answer.body.contains(SECRET), "{path}: {}", answer.body);
        }
    }
    let page = hospital.page_as(&viewer, "/atomfeed-console/failed-events/odoo/1").await;
    assert!(page.body.contains("java.lang.RuntimeException"), "the kind of fault is seen");
    assert!(page.body.contains("Error texts and payload are masked"), "and that it is masked");
    assert!(!page.body.contains("payload.txt") && !page.body.contains("error.txt"), "what is refused is not offered");
    let download = hospital.get_as(&viewer, "/atomfeed-console/failed-events/odoo/1/payload.txt").await;
    assert_eq!(download.status.as_u16(), 403);
    let json = hospital.get_as(&viewer, "/atomfeed-console/api/failed_event?app=odoo&id=1&list=").await.json();
    assert_eq!(json["event"]["error_hash_code"], serde_json::Value::Null, "a hash would let a guess be tested");
    let export = hospital.get_as(&viewer, "/atomfeed-console/failed-events.ndjson").await;
    assert!(export.body.contains("10000000-0000-4000-8000-000000000001"), "the record’s id is there");
}

/// Otherwise the test above could pass by looking in the wrong places.
#[tokio::test]
async fn an_operator_and_a_viewer_without_masks_see_it() {
    let masked = hospital(true).await;
    let open = hospital(false).await;
    let viewer = person(Role::Viewer);
    for path in [
        "/failed-events",
        "/failed-events/odoo/1",
        "/failed-events/odoo/1/error.txt",
        "/failed-events/odoo/1/payload.txt",
        "/failed-events.csv",
        "/failed-events.ndjson",
        "/search?q=Odoo+1",
    ] {
        let path = format!("/atomfeed-console{path}");
        let operator = masked.page_as(&person(Role::Operator), &path).await;
        assert!(operator.body.contains(SECRET), "{path}");
        assert!(open.page_as(&viewer, &path).await.body.contains(SECRET), "{path}");
    }
}

#[tokio::test]
async fn the_text_search_cannot_be_asked_what_it_may_not_show() {
    let hospital = hospital(true).await;
    let viewer = person(Role::Viewer);
    let found = async |person: &Person, path: String| {
        let answer = hospital.get_as(person, &format!("/atomfeed-console{path}")).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}");
        answer.body.contains("00000000-0000-4000-8000-000000000001")
    };
    for (text, operator, seen) in
        [(SECRET, true, false), ("no+bed", true, false), ("4000-8000-000000000001", true, true)]
    {
        for path in [format!("/api/failed_events?query=q%3D{text}"), format!("/failed-events.ndjson?q={text}")] {
            assert_eq!(found(&person(Role::Operator), path.clone()).await, operator, "{path}");
            assert_eq!(found(&viewer, path.clone()).await, seen, "{path}");
        }
    }
    // Nor does the search over everything, whether the index knows the event or not.
    hospital.followed().await;
    for _ in 0..2 {
        for (text, operator, seen) in [(SECRET, true, false), ("no+bed", true, false), ("encounter", true, true)] {
            let path = format!("/api/search?query=q%3D{text}");
            assert_eq!(found(&person(Role::Operator), path.clone()).await, operator, "{path}");
            assert_eq!(found(&viewer, path.clone()).await, seen, "{path}");
        }
        while hospital.numbers_of_store("SELECT COUNT(*) FROM search_pending").await != [0] {
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
    }
    let page = hospital.page_as(&viewer, &format!("/atomfeed-console/search?q={SECRET}")).await;
    assert!(page.body.contains("Error texts were not searched"), "{}", page.body);
    let page = hospital.page_as(&viewer, &format!("/atomfeed-console/failed-events?q={SECRET}")).await;
    assert!(page.body.contains("Event ids and titles were searched"), "the page says where it looked");
}

#[tokio::test]
async fn a_masked_look_is_no_look_at_a_payload() {
    let hospital = hospital(true).await;
    hospital.page_as(&person(Role::Viewer), "/atomfeed-console/failed-events/odoo/1").await;
    let log = hospital.console.parts.store.audit_entries(&Default::default(), None, 10).await.expect("the log");
    assert_eq!(log, []);
}

/// A database can quote what is in a row. All users can read the outcome of an operation.
#[tokio::test]
async fn what_a_database_says_when_it_refuses_is_masked() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON failed_events \
                  BEGIN SELECT RAISE(ABORT, 'Duplicate entry Kalinga Devi 98123 for key'); END";
    hospital.execute("Odoo", refuse).await;
    let answer = hospital.form("/atomfeed-console/api/retry", &[("rows[]", "odoo:1:5")]).await;
    assert!(!answer.body.contains(SECRET), "{}", answer.body);
    let mut told = false;
    for path in ["/operations", "/operations/1", "/api/operation?id=1", "/failed-events"] {
        let path = format!("/atomfeed-console{path}");
        for answer in [hospital.page(&path).await, hospital.get(&path).await] {
            assert!(!answer.body.contains(SECRET) && !answer.body.contains("98123"), "{path}: {}", answer.body);
            told |= answer.body.contains("the database says: Duplicate entry … for key");
        }
    }
    assert!(told || answer.body.contains("the database says: Duplicate entry … for key"), "{}", answer.body);
}

#[tokio::test]
async fn whoever_cannot_search_error_texts_is_told_so_and_led_to_what_matches_without_the_text() {
    let hospital = hospital(true).await;
    hospital.look("odoo").await;
    let path = format!("/atomfeed-console/failed-events?state=exhausted&q={SECRET}");
    let viewer = hospital.page_as(&person(Role::Viewer), &path).await.body;
    assert!(viewer.contains("Your role cannot search error texts."), "{viewer}");
    assert!(viewer.contains("Without the text 1 event matches: "), "{viewer}");
    assert!(viewer.contains("<a href=\"/atomfeed-console/failed-events?state=exhausted\">show them<"), "{viewer}");
    assert!(!viewer.contains("No failed events"), "that reads as if nothing failed");
    let operator = hospital.page_as(&person(Role::Operator), &path).await.body;
    assert!(operator.contains("1 failed event") && !operator.contains("cannot search"), "{operator}");
}

#[tokio::test]
async fn a_masked_cause_has_the_same_words_in_the_list_on_its_page_and_in_its_group() {
    let mut rows = vec![row(1, "2026-11-20 08:00:00")];
    rows[0].error = format!(
        "java.lang.RuntimeException: Post call to /api/bahmni-drug failed\nCaused by: org.bahmni.E: Error found in result. \
         Response status: 417. Error message: Expectation Failed: {SECRET} is not known in table 7"
    );
    let hospital = Hospital::with(&rows, &[], "/atomfeed-console", |config| {
        config.mask_texts = true;
        config.access = Access::default();
    })
    .await;
    hospital.followed().await;
    let viewer = person(Role::Viewer);
    let group = hospital.get_as(&viewer, "/atomfeed-console/api/group?fault=1").await.json();
    let title = group["group"]["title"].as_str().expect("a title").to_owned();
    assert!(title.len() > 10 && !title.contains(SECRET), "{title}");
    let list = hospital.get_as(&viewer, "/atomfeed-console/api/failed_events?query=").await.json();
    assert_eq!(list["rows"][0]["cause"], title.as_str());
    for path in [
        "/failed-events",
        "/failed-events?by=cause",
        "/failed-events/odoo/1",
        "/groups",
        "/groups/1",
        "/search?q=Odoo+1",
    ] {
        let page = hospital.page_as(&viewer, &format!("/atomfeed-console{path}")).await.body;
        assert!(page.contains(&title), "{path} does not say {title}: {page}");
    }
}
