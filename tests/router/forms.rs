//! The main job as a browser without JavaScript does it: a form, a redirect, a page that says what became of it.

use axum::http::StatusCode;

use super::hospital::{Hospital, Row, row};

const RETRY: &str = "/atomfeed-console/api/retry";

fn three() -> [Row; 3] {
    [row(1, "2026-11-20 08:00:00.123456"), row(2, "2026-11-20 09:00:00"), row(3, "2026-11-20 10:00:00")]
}

#[tokio::test]
async fn one_row_is_retried_and_nothing_else_changes() {
    let hospital = Hospital::new(&three(), &three()).await;
    let answer = hospital
        .form(
            RETRY,
            &[("only", "odoo:1:5"), ("rows[]", "odoo:2:5"), ("back", "/failed-events?app=odoo&state=exhausted")],
        )
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    assert_eq!(answer.header("location"), "/atomfeed-console/failed-events?app=odoo&state=exhausted&done=1");

    let odoo = hospital.retries("Odoo").await;
    assert_eq!(odoo[&1], (0, Some("2026-11-20 08:00:00.123456".into())), "reset, and failed_at as it was");
    assert_eq!((odoo[&2].0, odoo[&3].0), (5, 5));
    assert!(hospital.retries("OpenELIS").await.values().all(|(retries, _)| *retries == 5), "the same id elsewhere");

    let list = hospital.page(answer.header("location")).await;
    assert!(list.body.contains("/atomfeed-console/operations/1"), "the list says what was done");
    assert!(!list.body.contains("No. 1 did not work") && list.body.contains("No. 2 did not work"), "the filter stays");
    let operation = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
    assert_eq!((operation.counts.asked, operation.counts.reset, operation.who.as_str()), (1, 1, "anybody"));
    assert!(hospital.page("/atomfeed-console/operations").await.body.contains("/operations/1"));
}

#[tokio::test]
async fn selected_rows_of_several_applications_are_retried_together() {
    let hospital = Hospital::new(&three(), &three()).await;
    let fields = [
        ("rows[]", "odoo:1:5"),
        ("rows[]", "openelis:3:5"),
        ("rows[]", "odoo:1:5"),
        ("only", ""),
        ("reason", " Odoo is back "),
    ];
    let answer = hospital.form(RETRY, &fields).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/operations/1", "without a way back: the operation itself");
    assert_eq!(hospital.retries("Odoo").await[&1].0, 0);
    assert_eq!(hospital.retries("OpenELIS").await[&3].0, 0);
    let operation = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
    assert_eq!((operation.counts.asked, operation.counts.reset), (2, 2), "a row named twice is one row");
    assert_eq!(operation.reason.as_deref(), Some("Odoo is back"));
    let page = hospital.page("/atomfeed-console/operations/1").await;
    assert!(page.body.contains("00000000-0000-4000-8000-000000000003"), "the record names the event, not only its id");
}

#[tokio::test]
async fn what_changed_or_went_meanwhile_is_left_alone_and_said() {
    let hospital = Hospital::new(&three(), &[]).await;
    hospital
        .execute("Odoo", "UPDATE failed_events SET retries = 3 WHERE id = 2; DELETE FROM failed_events WHERE id = 3")
        .await;
    let answer = hospital.form(RETRY, &[("rows[]", "odoo:1:5"), ("rows[]", "odoo:2:5"), ("rows[]", "odoo:3:5")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let counts = hospital.console.parts.store.operation(1).await.unwrap().unwrap().counts;
    assert_eq!((counts.reset, counts.changed, counts.gone), (1, 1, 1));
    let now = hospital.retries("Odoo").await;
    assert_eq!((now[&1].0, now[&2].0), (0, 3));
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let hospital = Hospital::new(&three(), &[]).await;
    for origin in ["http://evil.example", "null", "http://console.test:81"] {
        let answer = hospital.form_from(origin, RETRY, &[("only", "odoo:1:5")]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
        assert!(answer.body.contains("Nothing was changed") && answer.body.contains("<nav"), "{}", answer.body);
    }
    assert_eq!(hospital.retries("Odoo").await[&1].0, 5);
    assert_eq!(hospital.console.parts.store.operations(None, 10, None).await.unwrap(), []);
}

#[tokio::test]
async fn a_form_that_means_nothing_gets_a_page_and_changes_nothing() {
    let hospital = Hospital::new(&three(), &[]).await;
    for (fields, status, words) in [
        (&[("back", "/failed-events")][..], 400, "No failed event was chosen"),
        (&[("only", "odoo")], 400, "does not name a failed event"),
        (&[("only", "nowhere:1:5")], 404, "There is no application"),
    ] {
        let answer = hospital.form(RETRY, fields).await;
        assert_eq!(answer.status.as_u16(), status, "{fields:?}");
        assert!(answer.body.contains(words) && answer.body.contains("<nav"), "{fields:?}: {}", answer.body);
    }
    assert_eq!(hospital.console.parts.store.operations(None, 10, None).await.unwrap(), []);
    let huge = "x".repeat(2 << 20);
    let answer = hospital.form(RETRY, &[("reason", &huge)]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.body.contains("larger than the console reads") && answer.body.contains("<nav"), "{}", answer.body);
}

#[tokio::test]
async fn the_way_back_never_leads_to_another_site() {
    let hospital = Hospital::new(&three(), &[]).await;
    for (number, back) in
        ["//evil.example", "https://evil.example/", "/\\evil.example", "evil", "/a\r\nSet-Cookie: x=1", ""]
            .into_iter()
            .enumerate()
    {
        let answer = hospital.form(RETRY, &[("only", "odoo:1:5"), ("back", back)]).await;
        assert_eq!(answer.header("location"), format!("/atomfeed-console/operations/{}", number + 1), "{back:?}");
        assert_eq!(answer.header("set-cookie"), "");
    }
}

#[tokio::test]
async fn a_read_only_application_takes_no_retry_and_says_why() {
    let hospital =
        Hospital::with(&three(), &[], "/atomfeed-console", |config| config.applications[0].info.read_only = true).await;
    let answer = hospital.form(RETRY, &[("only", "odoo:1:5")]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("allows no action on Odoo"), "{}", answer.body);
    assert_eq!(hospital.retries("Odoo").await[&1].0, 5);
    let list = hospital.page("/atomfeed-console/failed-events").await;
    assert!(!list.body.contains("value=\"odoo:1:5\">Retry"), "no button that would only be refused");
}
