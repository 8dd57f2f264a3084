//! What the console remembers: found, shown and exported after the row was deleted.

use atomfeed_console::model::RowId;
use axum::http::StatusCode;

use super::hospital::{Hospital, Row, row};

const RECORD: &str = "10000000-0000-4000-8000-000000000001";
const EVENT: &str = "00000000-0000-4000-8000-000000000001";

/// Event 1 of Odoo has failed repeatedly, and then its retry succeeded.
async fn resolved() -> Hospital {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00"), row(2, "2026-11-20 09:00:00")], &[]).await;
    hospital
        .execute(
            "Odoo",
            "INSERT INTO failed_event_retry_log (id, feed_uri, failed_at, error_message, event_id)
             SELECT 1, feed_uri, '2026-11-20 08:30:00', 'Patient 7 is not there', event_id FROM failed_events WHERE id = 1",
        )
        .await;
    hospital.look("odoo").await;
    hospital.execute("Odoo", "DELETE FROM failed_event_retry_log; DELETE FROM failed_events WHERE id = 1").await;
    hospital.look("odoo").await;
    hospital
}

#[tokio::test]
async fn an_event_is_found_by_its_id_and_by_its_record_after_it_is_resolved() {
    let hospital = resolved().await;
    for text in [RECORD.to_owned(), EVENT.to_owned(), format!("tag:atomfeed.ict4h.org:{EVENT}"), EVENT.to_uppercase()] {
        let answer = hospital.page(&format!("/atomfeed-console/history?find={text}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body.contains("Resolved") && answer.body.contains("/history/1\""), "{text}");
    }
    let nothing = hospital.page("/atomfeed-console/history?find=0000").await;
    assert!(nothing.body.contains("Nothing found for"), "an empty search says so");
}

#[tokio::test]
async fn the_page_of_a_row_that_is_gone_tells_its_end() {
    let hospital = resolved().await;
    let answer = hospital.page("/atomfeed-console/failed-events/odoo/1").await;
    assert_eq!(answer.status, StatusCode::OK);
    for words in ["Resolved by an automatic retry.", "Retry 1 failed", "First failure", RECORD] {
        assert!(answer.body.contains(words), "{words}: {}", answer.body);
    }
    // Newest first, as on the page of an event that still fails.
    let timeline =
        answer.body.split("class=\"timeline\"").nth(1).and_then(|rest| rest.split("</ol>").next()).expect("it");
    let place = |words: &str| timeline.find(words).unwrap_or_else(|| panic!("{words}: {timeline}"));
    assert!(place("Resolved") < place("Retry 1 failed") && place("Retry 1 failed") < place("First failure"));
    let never = hospital.page("/atomfeed-console/failed-events/odoo/77").await;
    assert_eq!(never.status, StatusCode::NOT_FOUND, "what the console never saw is not there");
}

#[tokio::test]
async fn two_looks_in_one_minute_are_told_as_one_time() {
    let hospital = resolved().await;
    let body = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    // If a minute begins between the polls, both times are there, and differ.
    for range in body.split("between ").skip(1).filter(|range| range.starts_with('<')) {
        let mut times = range.split("<time").skip(1).map(|time| time.split(['>', '<']).nth(1));
        assert_ne!(times.next(), times.next(), "{range}");
    }
    assert!(body.contains("data-exact"), "the times are there: {body}");
}

#[tokio::test]
async fn a_history_says_what_failed_what_left_and_since_when_it_knows() {
    let hospital = resolved().await;
    for page in ["/history", "/history?app=odoo&days=365"] {
        let answer = hospital.page(&format!("/atomfeed-console{page}")).await;
        assert!(answer.body.contains("Data since"), "{page}");
        assert!(answer.body.contains("Resolved and removed events"));
        assert!(answer.body.contains("resolved after a manual retry"));
        assert!(answer.body.contains("highest: ") && answer.body.contains("plain scale"), "{}", answer.body);
    }
    let other = hospital.page("/atomfeed-console/history?app=openelis").await;
    assert!(other.body.contains("No resolved or removed events yet."), "an empty history says so");
    assert_eq!(hospital.page("/atomfeed-console/history?app=nobody").await.status, StatusCode::NOT_FOUND);
    assert_eq!(hospital.page("/atomfeed-console/history/99").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn who_helped_is_told_once_it_is_resolved() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00"), row(2, "2026-11-20 07:00:00")], &[]).await;
    hospital
        .execute(
            "Odoo",
            "INSERT INTO failed_event_retry_log (id, feed_uri, failed_at, error_message, event_id)
             SELECT 1, feed_uri, '2026-11-20 08:30:00', 'no', event_id FROM failed_events WHERE id = 1",
        )
        .await;
    hospital.look("odoo").await;
    let path = "/atomfeed-console/api/retry";
    let answer = hospital.form(path, &[("only", "odoo:1:5"), ("back", "/failed-events/odoo/1")]).await;
    assert!(answer.status.is_redirection(), "{}", answer.status);
    hospital.look("odoo").await;
    let page = hospital.page("/atomfeed-console/failed-events/odoo/1").await;
    assert!(page.body.contains("Retry requested"), "{}", page.body);
    hospital.execute("Odoo", "DELETE FROM failed_event_retry_log; DELETE FROM failed_events WHERE id = 1").await;
    hospital.look("odoo").await;
    // The page of the failed event says so at the same address, with a link to the next one of its list.
    let page = hospital.page("/atomfeed-console/failed-events/odoo/1?app=odoo&done=1").await;
    assert!(page.body.contains("after your retry.") && page.body.contains("Back to the list"), "{}", page.body);
    let back = page.body.split("\">Back to the list").next().and_then(|before| before.rsplit("href=\"").next());
    let next = back.and_then(|back| back.split_once('#')).expect("the row in its place").1.to_owned();
    assert_eq!(next, "event-odoo-2", "{}", page.body);
    let list = hospital.page("/atomfeed-console/failed-events?app=odoo").await.body;
    assert!(list.contains(&format!("id=\"{next}\"")), "{list}");
    let event = hospital.page("/atomfeed-console/failed-events/odoo/2?app=odoo").await.body;
    assert!(event.contains("#event-odoo-2\">Back to the list"), "{event}");
    assert!(page.body.contains("failed-events/odoo/2?app=odoo\"") && page.body.contains("data-next"), "{}", page.body);
    let history = hospital.page("/atomfeed-console/history?app=odoo").await;
    assert!(history.body.contains("1 of 1 resolved after a manual retry"), "{}", history.body);
}

#[tokio::test]
async fn the_file_holds_every_event_and_no_formula() {
    let mut hurtful = row(2, "2026-11-20 09:00:00");
    hurtful.event = "=HYPERLINK(\"http://x\")".to_owned();
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00"), hurtful], &[]).await;
    hospital.look("odoo").await;
    let answer = hospital.get("/atomfeed-console/history.csv?app=odoo").await;
    assert!(answer.header("content-type").starts_with("text/csv"));
    assert_eq!(answer.body.lines().count(), 3, "{}", answer.body);
    assert!(answer.body.contains("'=HYPERLINK"));
    assert!(!answer.body.contains("did not work on"), "no error text is kept");
}

#[tokio::test]
async fn many_events_of_other_applications_hide_none_of_the_one_that_is_asked_about() {
    let payload = row(1, "2026-11-20 08:00:00").payload;
    let others: Vec<_> =
        (1..=150).map(|id| Row { payload: payload.clone(), ..row(id, "2026-11-21 08:00:00") }).collect();
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &others).await;
    hospital.look("odoo").await;
    hospital.look("openelis").await;
    let answer = hospital.page(&format!("/atomfeed-console/history?app=odoo&find={RECORD}")).await;
    let lives = hospital.console.parts.store.ledger_events_of_row("odoo", RowId(1)).await.unwrap();
    assert!(answer.body.contains(&format!("/history/{}\"", lives[0].id)), "{}", answer.body);
}
