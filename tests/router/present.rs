//! The present error: a page shows the latest error of the present failure, and nothing from before it.

use atomfeed_console::model::RowId;

use super::{
    hospital::{Hospital, Row, row},
    lists::whole_list,
};
use crate::support::database::{FEED, Failed, Server, TestDatabase, Variant};

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

    // An error of the present failure is its latest one, however many there are from before.
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
    // The old JSON has the log unchanged.
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
    assert!(life.contains("Retry counter changed from 10 to 0"), "{life}");
    let page = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(page.contains("The retry counter was set to 0 after 10 failed retries."), "{page}");
    let never = hospital.page("/atomfeed-console/failed-events/odoo/2").await.body;
    assert!(never.contains("Waiting for the next retry.") && !never.contains("was set to 0"), "{never}");
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
    assert!(list.contains(">Latest error</th>"), "{list}");
    // In the same words as on the event's page.
    let event = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(event.contains("<h1>The innermost of all<") && event.contains("First cause 1"), "{event}");
    // As a text for a ticket, with both errors.
    let ticket = event.split("id=\"ticket\"").nth(1).and_then(|rest| rest.split("</pre>").next()).expect("a ticket");
    for told in [
        "→ Odoo",
        "Cause: The innermost of all",
        "Latest error:",
        "First error:",
        "Latest failure: 2026-11-20 08:30:00 UTC",
    ] {
        assert!(ticket.contains(told), "{told}: {ticket}");
    }

    for (text, found) in
        [("innermost", true), ("INNERMOST+OF", true), ("%22First+cause+1%22", true), ("of+last+year", false)]
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
    assert_eq!(&rows[0][column("failed_retries_seen")], "1");
    assert!(rows[0][column("group")].parse::<i64>().is_ok(), "{csv}");
    assert!(rows[0][column("record")].ends_with(" → Odoo"), "{csv}");
    assert_eq!(&rows[0][column("filter")], "q=innermost");

    let lines = hospital.get("/atomfeed-console/failed-events.ndjson?app=odoo").await.body;
    for line in lines.lines() {
        // One object per line, as before; new fields are at the end.
        assert!(
            line.starts_with(r#"{"app":"odoo","id":"#)
                && line.ends_with(r#","filter":"app=odoo","filtered_by":null,"record_name":null}"#),
            "{line}"
        );
    }
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["latest_cause"], "The innermost of all");
    let all = hospital.get("/atomfeed-console/failed-events.ndjson").await.body;
    assert!(
        all.lines().all(|line| line.ends_with(r#","filter":"everything","filtered_by":null,"record_name":null}"#)),
        "{all}"
    );
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
    assert!(found.contains("Nothing found for “last year”"), "{found}");
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
    let mut database = TestDatabase::new(Server::MysqlOld, Variant::OpenMrs).await;
    let rows: Vec<_> = (1..=2).map(|id| database.failed(id)).collect();
    database.insert(&rows).await;
    database.log(1, Some(FEED), "2026-11-01T09:00:00Z", "tag:atomfeed.ict4h.org:1", "The present cause").await;
    let app = database.app.clone();
    let key = app.info.key.clone();
    let hospital = Hospital::with(&[], &[], "/atomfeed-console", |config| config.applications = vec![app]).await;
    let list = format!("/atomfeed-console/failed-events?app={key}");
    hospital.look(&key).await;

    // Nothing has changed since it was first seen, but that may not be the first failure either.
    let page = hospital.page(&list).await.body;
    assert!(page.contains("title=\"Oldest first\">Last changed<") && page.contains(">last changed<"), "{page}");
    assert!(page.contains("First seen failed from") && !page.contains("First failed from"), "{page}");
    let event = format!("/atomfeed-console/failed-events/{key}/1");
    let page = hospital.page(&event).await.body;
    assert!(page.contains("<dt>Last changed<") && !page.contains("<dt>First failed<"), "{page}");

    // As the consumer counts: failed_at is then the present time, and the ledger still knows when it first saw the row.
    database.run("UPDATE failed_events SET retries = retries + 1").await;
    hospital.look(&key).await;
    let page = hospital.page(&list).await.body;
    assert!(page.contains("title=\"Oldest first\">Last change when first seen<"), "{page}");
    assert!(page.contains(">last change when first seen<") && !page.contains(">first seen<"), "{page}");
    assert!(page.contains("2026-11-01T08:00:00Z"), "{page}");
    let page = hospital.page(&event).await.body;
    for words in [
        "<dt>Last change when first seen<",
        "Failed before ",
        "<dt>Last changed<",
        "not later than ",
        "<h1>The present cause<",
        "2026-11-01",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("First failed"), "{page}");
    for path in ["/atomfeed-console/history/1", "/atomfeed-console/history?find=tag:atomfeed.ict4h.org:1"] {
        let page = hospital.page(path).await.body;
        assert!(!page.contains("First failed") && !page.contains("First seen<"), "{path}: {page}");
        assert!(page.contains("Last change when first seen"), "{path}: {page}");
    }
    let fault = hospital.console.parts.store.fault_of(&key, RowId(2)).await.unwrap().expect("a group");
    let group = hospital.page(&format!("/atomfeed-console/groups/{fault}?state=waiting")).await.body;
    assert!(group.contains("<th scope=\"col\">Last change when first seen<"), "{group}");

    let csv = hospital.get(&format!("/atomfeed-console/failed-events.csv?app={key}")).await.body;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let head = reader.headers().expect("a head").clone();
    let column = |name: &str| head.iter().position(|each| each == name).expect(name);
    let row = reader.records().next().expect("a row").expect("a row");
    assert_eq!(&row[column("first_failed_at_utc")], "2026-11-01T08:00:00.000000Z");
    assert_eq!(&row[column("first_failed_at_is")], "last change of the row when first seen");
    assert!(row[column("last_changed_at_utc")] > *"2026-11-01T08:00:00.000000Z", "{csv}");
    let history = hospital.get(&format!("/atomfeed-console/history.csv?app={key}")).await.body;
    assert!(
        history.lines().nth(1).is_some_and(|line| line.ends_with(",last change of the row when first seen")),
        "{history}"
    );
    let query = format!("app={key}&state=waiting");
    let planned = hospital.form("/atomfeed-console/api/plan_operation", &[("kind", "retry"), ("query", &query)]).await;
    assert_eq!(planned.status, 303, "{}", planned.body);
    let plan = hospital.page(planned.header("location")).await.body;
    assert!(plan.contains("Last change when first seen") && !plan.contains("First seen<"), "{plan}");
    database.remove().await;
}

/// 120 events of feed and category "encounter". In every third, failed_at moved to the present since the console saw
/// it. The event with id `n` failed `n` minutes after the beginning of November 2026.
async fn moved(variant: Variant) -> (TestDatabase, Hospital) {
    let mut database = TestDatabase::new(Server::MysqlOld, variant).await;
    let rows: Vec<_> = (1..=120)
        .map(|id| Failed {
            failed_at: database.at(&format!("2026-11-01T{:02}:{:02}:00Z", id / 60, id % 60)),
            retries: 5,
            tags: Some(if id % 2 == 0 { "Encounter" } else { "drug, other" }),
            ..database.failed(id)
        })
        .collect();
    database.insert(&rows).await;
    let app = database.app.clone();
    let hospital = Hospital::with(&[], &[], "/atomfeed-console", |config| config.applications = vec![app]).await;
    hospital.look("lab").await;
    database.run("UPDATE failed_events SET retries = retries + 1 WHERE id % 3 = 0").await;
    hospital.look("lab").await;
    (database, hospital)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_time_moves_lists_are_sorted_and_filtered_by_the_times_that_they_show() {
    for variant in [Variant::OpenMrs, Variant::Latin1] {
        let (database, hospital) = moved(variant).await;
        let up: Vec<i64> = (1..=120).collect();
        let down: Vec<i64> = (1..=120).rev().collect();
        let range: Vec<i64> = (30..90).collect();
        assert_eq!(whole_list(&hospital, "app=lab").await, down);
        assert_eq!(whole_list(&hospital, "app=lab&sort=oldest").await, up);
        assert_eq!(whole_list(&hospital, "app=lab&sort=id-up").await, up);
        let hours = "from=2026-11-01T00:30&until=2026-11-01T01:30";
        assert_eq!(whole_list(&hospital, &format!("app=lab&sort=oldest&{hours}")).await, range);
        assert_eq!(whole_list(&hospital, &format!("app=lab&sort=id-up&{hours}")).await, range);
        assert_eq!(
            whole_list(&hospital, "app=lab&sort=oldest&category=encounter&from=2026-11-02").await,
            Vec::<i64>::new()
        );
        // Every row belongs to a feed of this category; only the even ones have it as a tag.
        assert_eq!(whole_list(&hospital, &format!("app=lab&sort=oldest&category=ENCOUNTER&{hours}")).await, range);
        let odd: Vec<i64> = range.iter().copied().filter(|id| id % 2 == 1).collect();
        assert_eq!(whole_list(&hospital, &format!("app=lab&sort=oldest&category=drug&{hours}")).await, odd);
        assert_eq!(whole_list(&hospital, &format!("app=lab&sort=id-up&category=other&{hours}")).await, odd);
        // A text is searched for in the table, and the ledger provides the time.
        let found = whole_list(&hospital, &format!("app=lab&q=encounter/7&{hours}")).await;
        assert_eq!(found, (70..80).rev().collect::<Vec<i64>>());

        // Its neighbours are those of the list, even for an event that has moved.
        let page = hospital.page("/atomfeed-console/failed-events/lab/60?app=lab").await.body;
        let beside =
            |rel: &str| page.split("<a").find(|link| link.contains(&format!("rel=\"{rel}\""))).map(str::to_owned);
        let leads =
            |rel: &str, id: u32| beside(rel).is_some_and(|link| link.contains(&format!("/failed-events/lab/{id}?")));
        assert!(leads("prev", 61) && leads("next", 59), "{:?} {:?}", beside("prev"), beside("next"));

        // The export and the retry cover what was listed.
        let query = format!("app=lab&{hours}");
        let csv = hospital.get(&format!("/atomfeed-console/failed-events.csv?{query}")).await.body;
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let head = reader.headers().expect("a head").clone();
        let column = |name: &str| head.iter().position(|each| each == name).expect(name);
        let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
        let ids: Vec<i64> = rows.iter().map(|row| row[column("id")].parse().expect("an id")).collect();
        assert_eq!(ids, range);
        for row in &rows {
            let moved = row[column("id")].parse::<i64>().expect("an id") % 3 == 0;
            let time = if moved { "last change of the row when first seen" } else { "last change of the row" };
            assert_eq!((&row[column("first_failed_at_is")], &row[column("filtered_by")]), (time, time));
        }
        let plan = hospital.form("/atomfeed-console/api/plan_operation", &[("kind", "retry"), ("query", &query)]).await;
        assert_eq!(plan.header("location"), "/atomfeed-console/operations/1", "{}", plan.body);
        let planned = hospital.console.parts.store.operation(1).await.unwrap().expect("a plan");
        assert_eq!(planned.planned, Some(60));
        database.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_time_moves_and_the_ledger_is_not_in_step_it_is_said_what_is_compared() {
    let (mut database, hospital) = moved(Variant::OpenMrs).await;
    let list = "/atomfeed-console/failed-events?app=lab&from=2026-11-01T00:30";
    let page = hospital.page(list).await.body;
    assert!(
        page.contains("First seen failed from") && page.contains("when the console first saw the failed event"),
        "{page}"
    );

    // Nothing new can be recorded: after the next poll of a changed table the ledger is behind.
    hospital.execute_on_store("ALTER TABLE ledger_feeds RENAME COLUMN uri TO lost").await;
    database.run("UPDATE failed_events SET retries = retries + 1 WHERE id = 1").await;
    while hospital.console.parts.watch.in_step("lab") {
        hospital.console.parts.watch.poll_now("lab").await;
    }
    let page = hospital.page(list).await.body;
    assert!(page.contains("Last changed from") && page.contains("not up to date now"), "{page}");
    let csv = hospital.get("/atomfeed-console/failed-events.csv?app=lab&from=2026-11-01T02:30").await.body;
    let mut lines = csv.lines();
    assert!(lines.next().is_some_and(|head| head.ends_with(",filtered_by,record_name")), "{csv}");
    // Those whose rows were changed: 40 of the 120, and the first one.
    assert_eq!(lines.filter(|line| line.ends_with(",last change of the row,")).count(), 41, "{csv}");
    let query = ("query", "app=lab&from=2026-11-01T02:30");
    let plan = hospital.form("/atomfeed-console/api/plan_operation", &[("kind", "retry"), query]).await;
    let planned = hospital.console.parts.store.operation(1).await.unwrap().expect("a plan");
    assert!(planned.scope.contains("(in Laboratory by the last change of the row)"), "{} {}", planned.scope, plan.body);
    database.remove().await;
}
