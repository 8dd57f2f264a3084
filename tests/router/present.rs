//! The present error: a page speaks of the latest error of the present failure, and of nothing from before it.

use atomfeed_console::model::RowId;

use super::hospital::{Hospital, Row, row};
use crate::support::database::{FEED, Server, TestDatabase, Variant};

const FAILED_AT: &str = "2026-11-20 08:00:00";

fn of(id: i64, error: &str) -> Row {
    Row { error: error.to_owned(), ..row(id, FAILED_AT) }
}

/// Odoo with event 1 that failed with "First cause 1", and a row of the retry log for it.
async fn logged(at: &str, error: &str) -> Hospital {
    let hospital = Hospital::new(&[of(1, "First cause 1"), of(2, "First cause 2")], &[]).await;
    log(&hospital, 1, at, error).await;
    hospital.followed().await;
    hospital
}

async fn log(hospital: &Hospital, log_id: i64, at: &str, error: &str) {
    let sql = format!(
        "INSERT INTO failed_event_retry_log (id, feed_uri, failed_at, error_message, event_id)
         SELECT {log_id}, feed_uri, '{at}', '{error}', event_id FROM failed_events WHERE id = 1"
    );
    hospital.execute("Odoo", &sql).await;
}

#[tokio::test]
async fn an_attempt_from_before_the_failure_is_shown_apart_and_counts_for_nothing() {
    let hospital = logged("2025-06-01 00:00:00", "A cause of last year").await;
    let page = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(page.contains("<h1>First cause 1<"), "{page}");
    for words in ["0 failed retries", "1 earlier attempt", "<b>Earlier attempt</b>: A cause of last year"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("Latest error") && !page.contains("Retry 1 failed"), "{page}");
    let life = hospital.page("/atomfeed-console/history/1").await.body;
    assert!(life.contains("Earlier attempt, of an earlier failure of the same event"), "{life}");
    assert!(!life.contains("Failed retry 1"), "{life}");
    let groups = hospital.page("/atomfeed-console/groups").await.body;
    assert!(groups.contains("First cause …") && !groups.contains("last year"), "{groups}");

    // One of the present failure is its latest error, however many there are from before.
    log(&hospital, 2, "2026-11-20 08:30:00", "The present cause").await;
    hospital.look("odoo").await;
    let page = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(page.contains("<h1>The present cause<"), "{page}");
    for words in ["1 failed retry<", "1 earlier attempt", "Latest error", "<b>Retry 1 failed<"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let fault = hospital.console.parts.store.fault_of("odoo", RowId(1)).await.unwrap().expect("a group");
    let title = hospital.console.parts.store.group_title(fault, None).await.unwrap();
    assert_eq!(title.as_deref(), Some("The present cause"));
    // The old JSON has the log as it is.
    let old = hospital
        .page("/atomfeed-console/apps/Odoo/failedEvent/tag:atomfeed.ict4h.org:00000000-0000-4000-8000-000000000001/retryLog")
        .await;
    assert_eq!(old.json().as_array().map(Vec::len), Some(2), "{}", old.body);
}

#[tokio::test]
async fn retries_that_were_set_back_by_other_hands_are_told_as_the_history_tells_them() {
    let hospital = Hospital::new(&[of(1, "One"), Row { retries: 0, ..of(2, "Two") }], &[]).await;
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 10 WHERE id = 1").await;
    hospital.followed().await;
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 0 WHERE id = 1").await;
    hospital.look("odoo").await;
    let life = hospital.page("/atomfeed-console/history/1").await.body;
    assert!(life.contains("Retries went from 10 to 0"), "{life}");
    let page = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(page.contains("Its retries were set back from 10 to 0."), "{page}");
    assert!(!page.contains("Not retried yet"), "{page}");
    let never = hospital.page("/atomfeed-console/failed-events/odoo/2").await.body;
    assert!(never.contains("Not retried yet. The consumer tries it again by itself."), "{never}");
}

const LIST: &str = "/atomfeed-console/failed-events?app=odoo";

#[tokio::test]
async fn list_search_plan_and_exports_speak_of_the_latest_error() {
    let whole =
        "Second causejava.lang.A: Second cause\n\tat a.b.C.d(C.java:1)\nCaused by: java.lang.B: The innermost of all";
    let hospital = logged("2026-11-20 08:30:00", whole).await;
    let list = hospital.page(LIST).await.body;
    assert!(list.contains("The innermost of all") && list.contains("First cause 2"), "{list}");
    assert!(!list.contains("First cause 1"), "{list}");
    assert!(list.contains("<th scope=\"col\">Latest error</th>"), "{list}");
    // In the same words as on the event's page.
    let event = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(event.contains("<h1>The innermost of all<") && event.contains("First cause 1"), "{event}");

    for (text, found) in [("innermost", true), ("INNERMOST+OF", true), ("First+cause+1", true), ("of+last+year", false)]
    {
        let page = hospital.page(&format!("{LIST}&q={text}")).await.body;
        assert_eq!(page.contains("/failed-events/odoo/1?"), found, "{text}: {page}");
        assert!(!page.contains("/failed-events/odoo/2?"), "{text}: {page}");
    }
    let oldest_first = hospital.page(&format!("{LIST}&q=innermost&sort=id-up&state=exhausted")).await.body;
    assert!(oldest_first.contains("/failed-events/odoo/1?"), "{oldest_first}");
    let waiting = hospital.page(&format!("{LIST}&q=innermost&state=waiting")).await.body;
    assert!(!waiting.contains("/failed-events/odoo/1?"), "the other filters hold as well");

    let csv = hospital.get("/atomfeed-console/failed-events.csv?q=innermost").await.body;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let head = reader.headers().expect("a head").clone();
    let column = |name: &str| head.iter().position(|each| each == name).expect(name);
    assert_eq!(column("event_content"), 11, "the columns of before stay in their places");
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 1, "{csv}");
    assert!(rows[0][column("error_message")].contains("First cause 1"), "the first error keeps its column");
    assert_eq!(&rows[0][column("latest_cause")], "The innermost of all");
    assert!(rows[0][column("latest_error_message")].starts_with("Second cause"));
    assert_eq!(&rows[0][column("latest_failed_at_utc")], "2026-11-20T08:30:00.000000Z");
    assert_eq!(&rows[0][column("first_failed_at_utc")], "2026-11-20T08:00:00.000000Z");
    assert_eq!(&rows[0][column("first_failed_at_is")], "first failure");

    let lines = hospital.get("/atomfeed-console/failed-events.ndjson?app=odoo").await.body;
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["latest_cause"], "The innermost of all");
    assert!(lines[0]["error"].as_str().is_some_and(|error| error.contains("First cause 1")));
    // Without a failed retry the first error is the latest.
    assert_eq!((&lines[1]["latest_cause"], &lines[1]["latest_error"]), (&"First cause 2".into(), &lines[1]["error"]));

    let fields = [("kind", "retry"), ("query", "q=innermost")];
    let answer = hospital.form("/atomfeed-console/api/plan_operation", &fields).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/operations/1", "{}", answer.body);
    let plan = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
    assert_eq!(plan.planned, Some(1), "what the list shows is planned for");

    // The old JSON keeps the first error.
    let feed = super::hospital::ENCOUNTERS;
    let old = hospital.get(&format!("/atomfeed-console/apps/Odoo/failedEvent?feedUri={feed}")).await.json();
    assert!(old[0]["errorMessage"].as_str().is_some_and(|error| error.contains("First cause 1")), "{old}");
}

#[tokio::test]
async fn an_earlier_failure_is_found_by_no_search_and_named_in_no_list() {
    let hospital = logged("2025-06-01 00:00:00", "A cause of last year").await;
    let list = hospital.page(LIST).await.body;
    assert!(list.contains("First cause 1") && !list.contains("last year"), "{list}");
    let found = hospital.page(&format!("{LIST}&q=last+year")).await.body;
    assert!(found.contains("No failed event matches this filter"), "{found}");
    let csv = hospital.get("/atomfeed-console/failed-events.csv").await.body;
    assert!(!csv.contains("last year"), "{csv}");
}

#[tokio::test]
async fn a_list_names_the_latest_error_before_the_ledger_has_seen_the_table() {
    let hospital = Hospital::new(&[of(1, "First cause 1"), of(2, "First cause 2")], &[]).await;
    log(&hospital, 1, "2025-06-01 00:00:00", "A cause of last year").await;
    log(&hospital, 2, "2026-11-20 08:30:00", "The present cause").await;
    let list = hospital.page(LIST).await.body;
    assert!(list.contains("The present cause") && list.contains("First cause 2"), "{list}");
    assert!(!list.contains("First cause 1") && !list.contains("last year"), "{list}");
}

/// MySQL as most installations of OpenMRS have it: the first TIMESTAMP of a table changes with every update.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_time_moves_it_is_called_what_it_is() {
    let mut database = TestDatabase::new(Server::Mariadb57, Variant::OpenMrs).await;
    let rows: Vec<_> = (1..=2).map(|id| database.failed(id)).collect();
    database.insert(&rows).await;
    database.log(1, Some(FEED), "2026-11-01T09:00:00Z", "tag:atomfeed.ict4h.org:1", "The present cause").await;
    let app = database.app.clone();
    let key = app.info.key.clone();
    let hospital = Hospital::with(&[], &[], "/atomfeed-console", |config| config.applications = vec![app]).await;
    let list = format!("/atomfeed-console/failed-events?app={key}");
    hospital.look(&key).await;

    // Nothing has changed since it was seen first, but that may not be the first failure either.
    let page = hospital.page(&list).await.body;
    assert!(page.contains("<th scope=\"col\">Last changed<") && page.contains(">last changed<"), "{page}");
    assert!(page.contains("Last changed from") && !page.contains("First failed from"), "{page}");
    let event = format!("/atomfeed-console/failed-events/{key}/1");
    let page = hospital.page(&event).await.body;
    assert!(page.contains("<dt>Last changed<") && !page.contains("<dt>First failed<"), "{page}");

    // As the consumer counts: failed_at is now then, and the ledger still knows when it saw the row first.
    database.run("UPDATE failed_events SET retries = retries + 1").await;
    hospital.look(&key).await;
    let page = hospital.page(&list).await.body;
    assert!(page.contains("<th scope=\"col\">First seen<") && page.contains(">first seen<"), "{page}");
    assert!(page.contains("2026-11-01T08:00:00Z"), "{page}");
    let page = hospital.page(&event).await.body;
    for words in ["First seen failed", "<dt>Last changed<", "not later than ", "<h1>The present cause<", "2026-11-01"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("First failed"), "{page}");
    for path in ["/atomfeed-console/history/1", "/atomfeed-console/history?find=tag:atomfeed.ict4h.org:1"] {
        let page = hospital.page(path).await.body;
        assert!(!page.contains("First failed"), "{path}: {page}");
    }
    let fault = hospital.console.parts.store.fault_of(&key, RowId(2)).await.unwrap().expect("a group");
    let group = hospital.page(&format!("/atomfeed-console/groups/{fault}?state=waiting")).await.body;
    assert!(group.contains("<th scope=\"col\">First seen<"), "{group}");

    let csv = hospital.get(&format!("/atomfeed-console/failed-events.csv?app={key}")).await.body;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let head = reader.headers().expect("a head").clone();
    let column = |name: &str| head.iter().position(|each| each == name).expect(name);
    let row = reader.records().next().expect("a row").expect("a row");
    assert_eq!(&row[column("first_failed_at_utc")], "2026-11-01T08:00:00.000000Z");
    assert_eq!(&row[column("first_failed_at_is")], "first seen failed");
    assert!(row[column("last_changed_at_utc")] > *"2026-11-01T08:00:00.000000Z", "{csv}");
    let history = hospital.get(&format!("/atomfeed-console/history.csv?app={key}")).await.body;
    assert!(history.lines().nth(1).is_some_and(|line| line.ends_with(",first seen failed")), "{history}");
    database.remove().await;
}
