//! Failed events that no retry helps: without a feed address, or without a time. One rule, wherever a retry is offered,
//! planned or carried out. And those without a title, which are retried with a warning.

use atomfeed_console::model::{obstacle, operation::Operation};
use axum::{
    body::Body,
    http::{Request, StatusCode},
};

use super::hospital::{ENCOUNTERS, Hospital, PATIENTS, Row, row};

const PLAN: &str = "/atomfeed-console/api/plan_operation";
const RETRY: &str = "/atomfeed-console/api/retry";

const BLOCKED: &str = "A waiting event of this feed has no time of failure. It blocks all retries of the feed";

/// Row 1 is ordinary; 2 and 3 have no address, 4 and 5 no time, 6 no title; 7 waits without an address, 8 without a
/// time.
async fn hospital() -> Hospital {
    let mut rows: Vec<Row> = (1..=8).map(|id| row(id, "2026-11-20 08:00:00")).collect();
    rows.iter_mut().for_each(|row| row.error = "The same fault in all of them".to_owned());
    rows[1].feed = "";
    rows[3].at = None;
    rows[4].at = Some("0000-00-00 00:00:00");
    (rows[6].feed, rows[6].retries) = ("", 2);
    (rows[7].at, rows[7].retries) = (Some("0000-00-00"), 2);
    let hospital = Hospital::new(&rows, &[]).await;
    hospital
        .execute(
            "Odoo",
            "UPDATE failed_events SET feed_uri = NULL WHERE id = 3; UPDATE failed_events SET title = NULL WHERE id = 6",
        )
        .await;
    hospital.followed().await;
    hospital
}

async fn retries(hospital: &Hospital) -> Vec<i64> {
    hospital.retries("Odoo").await.values().map(|(retries, _)| *retries).collect()
}

async fn newest_operation(hospital: &Hospital) -> Operation {
    let newest = hospital.numbers_of_store("SELECT MAX(id) FROM operations").await[0];
    hospital.console.parts.store.operation(newest).await.unwrap().expect("the operation")
}

#[tokio::test]
async fn pages_offer_no_retry_and_promise_no_run() {
    let hospital = hospital().await;
    for id in [2, 3, 4, 5, 7, 8] {
        let page = hospital.page(&format!("/atomfeed-console/failed-events/odoo/{id}")).await.body;
        let why = if [2, 3, 7].contains(&id) {
            "has no feed address and cannot be retried"
        } else {
            "has no time of failure: a retry of it would block"
        };
        assert!(page.contains(why), "{id}: {page}");
        for promise in
            ["data-retry-main", "Next retry within", "the next run comes", "retried automatically", "Press Retry"]
        {
            assert!(!page.contains(promise), "{id}: {promise}: {page}");
        }
        assert!(page.contains("Discard…"), "{id} can be discarded");
    }
    for id in [5, 8] {
        let page = hospital.page(&format!("/atomfeed-console/failed-events/odoo/{id}")).await.body;
        assert!(page.contains(">no date<") && page.contains("When it failed first is not known"), "{page}");
    }
    let ordinary = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(ordinary.contains("data-retry-main") && ordinary.contains(BLOCKED), "{ordinary}");
    assert!(!ordinary.contains("the next run comes within"), "event 8 blocks its feed: {ordinary}");

    let list = hospital.page("/atomfeed-console/failed-events").await.body;
    assert_eq!(list.matches("data-retry=\"\"").count(), 2, "{list}");
    assert_eq!(list.matches("aria-disabled=\"true\"").count(), 6, "each says why: {list}");
    assert_eq!(list.matches("disabled title=").count(), 6, "and cannot be ticked: {list}");
    assert!(list.contains("1 event on this page has no title"), "{list}");
    let homeless = hospital.page("/atomfeed-console/failed-events?nofeed=1&state=exhausted").await.body;
    assert!(!homeless.contains("Retry all") && homeless.contains("Discard all 2…"), "{homeless}");
    let oldest = hospital.page("/atomfeed-console/failed-events?sort=oldest").await.body;
    let at = |id: i64| oldest.find(&format!("/failed-events/odoo/{id}?")).expect("a link");
    assert!([1, 2, 3, 6, 7].iter().all(|dated| [4, 5, 8].iter().all(|none| at(*dated) < at(*none))), "{oldest}");

    let application = hospital.page("/atomfeed-console/applications/odoo").await.body;
    assert!(application.contains("Retry 2…"), "of four, two have no time: {application}");
    assert!(application.contains("2 events have no time of failure"), "{application}");
    assert!(application.contains("3 failed events have no time (failed_at is NULL"), "{application}");
    let group = hospital.page("/atomfeed-console/groups/1").await.body;
    assert!(group.contains("Retry 2 events…") && group.contains("4 events cannot be retried"), "{group}");
    assert!(group.contains(">no date<"), "{group}");
}

#[tokio::test]
async fn where_a_row_without_a_time_blocks_its_feed_no_retry_is_forecast() {
    let mut rows: Vec<Row> = (1..=5).map(|id| row(id, "2026-11-20 08:00:00")).collect();
    (rows[1].retries, rows[2].retries) = (2, 0);
    (rows[3].at, rows[3].retries) = (None, 2);
    rows[4].feed = PATIENTS;
    let hospital = Hospital::new(&rows, &[]).await;
    hospital.followed().await;
    for id in [1, 2, 3] {
        let page = hospital.page(&format!("/atomfeed-console/failed-events/odoo/{id}")).await.body;
        assert!(page.contains(BLOCKED), "{id}: {page}");
        for promise in ["Next retry within", "retried automatically", "Waiting for the next retry", "queued"] {
            assert!(!page.contains(promise), "{id}: {promise}: {page}");
        }
    }
    let of_another_feed = hospital.page("/atomfeed-console/failed-events/odoo/5").await.body;
    assert!(
        of_another_feed.contains("the next run comes within") && !of_another_feed.contains(BLOCKED),
        "{of_another_feed}"
    );
    let answer = hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo&state=exhausted")]).await;
    let plan = hospital.page(answer.header("location")).await.body;
    assert_eq!((plan.matches(BLOCKED).count(), plan.matches("per run every").count()), (1, 1), "{plan}");
    let answer = hospital.form(RETRY, &[("only", "odoo:1:5"), ("back", "/failed-events")]).await;
    let list = hospital.page(answer.header("location")).await.body;
    assert!(list.contains(BLOCKED) && !list.contains("within 30 s"), "{list}");
    let operation = newest_operation(&hospital).await.id;
    let page = hospital.page(&format!("/atomfeed-console/operations/{operation}")).await.body;
    assert!(page.contains(BLOCKED) && !page.contains("it runs every"), "{page}");
}

#[tokio::test]
async fn all_that_has_no_feed_address_is_one_line_of_a_plan() {
    let mut rows: Vec<Row> = (1..=4).map(|id| row(id, "2026-11-20 08:00:00")).collect();
    (rows[0].feed, rows[1].feed) = ("", "   ");
    let hospital = Hospital::new(&rows, &[]).await;
    hospital.execute("Odoo", "UPDATE failed_events SET feed_uri = NULL WHERE id = 3").await;
    hospital.followed().await;
    let answer = hospital.form(PLAN, &[("kind", "discard"), ("query", "app=odoo")]).await;
    let operation = newest_operation(&hospital).await;
    let feeds = hospital.console.parts.store.planned_feeds(&operation).await.unwrap();
    let feeds: Vec<_> = feeds.into_iter().map(|feed| (feed.feed_uri, feed.rows)).collect();
    assert_eq!(feeds, [(None, 3), (Some(ENCOUNTERS.to_owned()), 1)]);
    let plan = hospital.page(answer.header("location")).await.body;
    assert_eq!(plan.matches("No failed events left.").count(), 2, "{plan}");
    assert!(!plan.contains("is not known"), "{plan}");
}

#[tokio::test]
async fn plans_and_requests_leave_them_out_and_say_so() {
    let hospital = hospital().await;
    let left_out = "2 without a feed address, 2 without a time of failure";
    let all: Vec<(&str, &str)> = vec![("kind", "retry"), ("query", "app=odoo")];
    for fields in [all, vec![("kind", "retry"), ("group", "1")]] {
        let answer = hospital.form(PLAN, &fields).await;
        let operation = newest_operation(&hospital).await;
        assert_eq!((operation.planned, operation.untitled), (Some(2), 1), "{fields:?}");
        let of_group = "3 without a feed address, 3 without a time of failure";
        let told = if fields[1].0 == "group" { of_group } else { left_out };
        assert!(operation.left_out.as_ref().is_some_and(|sentence| sentence.contains(told)), "{operation:?}");
        let plan = hospital.page(answer.header("location")).await.body;
        assert!(plan.contains(told) && plan.contains("1 event has no title"), "{plan}");
    }
    // Named rows: in a plan, at once, as JSON and in the old JSON.
    let named: Vec<(&str, &str)> = ["odoo:2:5", "odoo:3:5", "odoo:4:5", "odoo:5:5"].map(|row| ("rows[]", row)).to_vec();
    let kind = [&[("kind", "retry")][..], &named[..]].concat();
    for (path, fields) in [(PLAN, &kind), (RETRY, &named)] {
        let refused = hospital.form(path, fields).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{path}");
        assert!(refused.body.contains(left_out), "{path}: {}", refused.body);
    }
    let json = Request::post(RETRY)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json");
    let refused = hospital.send(json.body(Body::from("rows[0]=odoo:2:5&rows[1]=odoo:8:2")).unwrap()).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    assert!(refused.body.contains("1 without a feed address"), "{}", refused.body);
    let old = async |id: i64| {
        let event = row(id, "").event;
        let path = format!("/atomfeed-console/apps/odoo/failedEvent/{event}/resetRetryCount");
        hospital.send(Request::post(path).body(Body::empty()).unwrap()).await
    };
    for id in [2, 3, 4, 5, 7, 8] {
        let answer = old(id).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{id}: {}", answer.body);
        assert!(answer.json()["advice"].as_str().unwrap().contains("without a "), "{}", answer.body);
    }
    assert_eq!(retries(&hospital).await, [5, 5, 5, 5, 5, 5, 2, 2]);

    // Together with others they are left out, and the others are retried.
    hospital.form(RETRY, &[&named[..], &[("rows[]", "odoo:1:5"), ("rows[]", "odoo:6:5")]].concat()).await;
    let operation = newest_operation(&hospital).await;
    assert_eq!((operation.counts.asked, operation.counts.reset, operation.untitled), (2, 2, 1));
    assert!(operation.left_out.is_some_and(|sentence| sentence.contains(left_out)));
    assert_eq!(retries(&hospital).await, [0, 5, 5, 5, 5, 0, 2, 2]);
}

#[tokio::test]
async fn an_event_on_two_feeds_is_reset_where_that_helps() {
    let mut twin = row(2, "2026-11-20 09:00:00");
    (twin.event, twin.feed) = (row(1, "").event, PATIENTS);
    let mut lost = row(3, "2026-11-20 09:00:00");
    (lost.event, lost.feed) = (row(1, "").event, "");
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00"), twin, lost], &[]).await;
    let path = format!("/atomfeed-console/apps/odoo/failedEvent/{}/resetRetryCount", row(1, "").event);
    let answer = hospital.send(Request::post(path).body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status, answer.header("x-rows-reset")), (StatusCode::OK, "2"));
    assert_eq!(retries(&hospital).await, [0, 0, 5]);
}

#[tokio::test]
async fn a_row_that_lost_its_address_after_the_plan_is_not_set_to_wait() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00"), row(2, "2026-11-20 08:00:00")], &[]).await;
    hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo")]).await;
    hospital.execute("Odoo", "UPDATE failed_events SET feed_uri = '' WHERE id = 2").await;
    hospital.form("/atomfeed-console/api/start_operation", &[("id", "1")]).await;
    let operation = newest_operation(&hospital).await;
    assert_eq!((operation.counts.reset, operation.counts.failed), (1, 1));
    assert_eq!(retries(&hospital).await, [0, 5]);
    let page = hospital.page("/atomfeed-console/operations/1").await.body;
    assert!(page.contains("no feed address"), "{page}");
}

#[tokio::test]
async fn a_missing_title_is_warned_of_on_the_page_of_the_event() {
    let hospital = hospital().await;
    let page = hospital.page("/atomfeed-console/failed-events/odoo/6").await.body;
    assert!(page.contains("No title: some consumers") && page.contains("data-retry-main"), "{page}");
    assert!(obstacle::UNTITLED.starts_with("No title: some consumers"));
    let titled = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(!titled.contains("No title:"), "{titled}");
    // Where no retry is offered, there is no warning.
    hospital.execute("Odoo", "UPDATE failed_events SET title = ''").await;
    let lost = hospital.page("/atomfeed-console/failed-events/odoo/2").await.body;
    assert!(!lost.contains("No title:"), "{lost}");
    let blank = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(blank.contains("No title:"), "{blank}");
}

#[tokio::test]
async fn the_plan_of_a_discard_speaks_of_no_work_and_a_retry_counts_none_twice() {
    let mut rows: Vec<Row> = (1..=9).map(|id| row(id, "2026-11-20 08:00:00")).collect();
    rows[..4].iter_mut().for_each(|row| row.retries = 2);
    let hospital = Hospital::new(&rows, &[]).await;
    hospital.followed().await;
    let answer = hospital.form(PLAN, &[("kind", "discard"), ("query", "app=odoo&state=exhausted")]).await;
    let plan = hospital.page(answer.header("location")).await.body;
    for word in ["Expected time", "per run every", "counted here"] {
        assert!(!plan.contains(word), "{word}: {plan}");
    }
    assert!(plan.contains("Feed after this") && plan.contains("4 of 9 failed events left."), "{plan}");
    // Waiting and exhausted ones alike: nine events, none of them counted again as a waiting one.
    let named: Vec<String> = (1..=9).map(|id| format!("odoo:{id}:{}", if id <= 4 { 2 } else { 5 })).collect();
    let mut fields = vec![("kind", "retry")];
    fields.extend(named.iter().map(|row| ("rows[]", row.as_str())));
    let answer = hospital.form(PLAN, &fields).await;
    let plan = hospital.page(answer.header("location")).await.body;
    assert!(plan.contains("9 events, 5 per run every 30 s: at least 60 s") && !plan.contains("counted here"), "{plan}");
    // Only the exhausted ones: the other four are additional work.
    let answer = hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo&state=exhausted")]).await;
    let plan = hospital.page(answer.header("location")).await.body;
    assert!(
        plan.contains("9 events, 5 per run")
            && plan.contains("4 other events of the feed are waiting and counted here."),
        "{plan}"
    );
}
