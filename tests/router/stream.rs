//! The stream of changes: ids and counts, no data; it ends with the console.

use axum::{body::BodyDataStream, http::StatusCode};
use futures::StreamExt;

use super::hospital::{Hospital, row};

/// Reads until a text has come; fails when the stream ends before.
async fn until(body: &mut BodyDataStream, text: &str) -> String {
    let mut read = String::new();
    let waited = tokio::time::timeout(std::time::Duration::from_secs(15), async {
        while !read.contains(text) {
            let chunk = body.next().await.expect("the stream goes on").expect("a chunk");
            read.push_str(&String::from_utf8_lossy(&chunk));
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{text} did not come"));
    read
}

#[tokio::test]
async fn a_change_reaches_an_open_page_as_ids_and_counts() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    hospital.look("odoo").await;
    let response = hospital.open("/atomfeed-console/events").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers()["content-type"].to_str().expect("a type").starts_with("text/event-stream"));
    let mut body = response.into_body().into_data_stream();
    until(&mut body, "event: open").await;
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 4, title = 'a secret'").await;
    hospital.look("odoo").await;
    let told = until(&mut body, "event: change").await + &until(&mut body, "\n\n").await;
    assert!(told.contains(r#""app":"odoo""#) && told.contains(r#""rows":["1"]"#), "{told}");
    assert!(!told.contains("secret"), "ids and counts, not data");
}

#[tokio::test]
async fn a_quiet_look_is_told_as_one() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    hospital.look("odoo").await;
    hospital.look("openelis").await;
    let mut body = hospital.open("/atomfeed-console/events").await.into_body().into_data_stream();
    until(&mut body, "event: open").await;
    hospital.look("odoo").await;
    let told = until(&mut body, "event: look").await;
    assert!(!told.contains("event: change"), "{told}");
}

#[tokio::test]
async fn a_stream_ends_with_the_console() {
    let hospital = Hospital::new(&[], &[]).await;
    let mut body = hospital.open("/atomfeed-console/events").await.into_body().into_data_stream();
    until(&mut body, "event: open").await;
    hospital.console.parts.stopping.cancel();
    let rest = tokio::time::timeout(std::time::Duration::from_secs(15), async {
        while let Some(chunk) = body.next().await {
            chunk.expect("a chunk");
        }
    });
    rest.await.expect("the stream ends");
}

#[tokio::test]
async fn there_is_room_for_many_streams_and_no_more() {
    let hospital = Hospital::new(&[], &[]).await;
    let mut open = Vec::new();
    loop {
        let response = hospital.open("/atomfeed-console/events").await;
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            break;
        }
        open.push(response);
        assert!(open.len() <= 1000, "the number of streams is bounded");
    }
    assert!(open.len() >= 100, "a hospital's readers fit in");
    open.pop();
    assert_eq!(hospital.open("/atomfeed-console/events").await.status(), StatusCode::OK, "one left, one comes");
}
