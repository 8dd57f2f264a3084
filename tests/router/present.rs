//! The present error: a page speaks of the latest error of the present failure, and of nothing from before it.

use super::hospital::{Hospital, Row, row};

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
