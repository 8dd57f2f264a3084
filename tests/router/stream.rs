//! The stream of changes: ids and counts, no data; it ends with the console, and with the right to read it.

use std::net::SocketAddr;

use atomfeed_console::{
    model::Role,
    server::{security::secrets, store::NewToken},
};
use axum::{
    body::{Body, BodyDataStream},
    extract::ConnectInfo,
    http::{HeaderName, Request, StatusCode, header},
};
use axum_extra::headers::{Authorization, authorization::Credentials};
use futures::StreamExt;
use http_body_util::BodyExt;

use super::{
    access::{self, Browser, PASSWORD},
    hospital::{Hospital, row},
};

/// Reads until a text has arrived; fails if the stream ends before.
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

/// Returns a request for the stream, from an address or with credentials.
fn asked(from: Option<[u8; 4]>, headers: &[(HeaderName, &str)]) -> Request<Body> {
    let mut request = Request::get("/atomfeed-console/events").header(header::HOST, "console.test");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let mut request = request.body(Body::empty()).expect("a request");
    if let Some(from) = from {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from((from, 4_000))));
    }
    request
}

#[tokio::test]
async fn there_is_room_for_many_streams_and_no_address_takes_it_all() {
    let hospital = Hospital::new(&[], &[]).await;
    let mut open = Vec::new();
    let mut addresses = 0;
    'everybody: loop {
        addresses += 1;
        let mut own = 0;
        loop {
            let response = hospital.begun(asked(Some([10, 0, 0, addresses]), &[])).await;
            match response.status() {
                StatusCode::OK => open.push(response),
                StatusCode::TOO_MANY_REQUESTS => break,
                StatusCode::SERVICE_UNAVAILABLE => break 'everybody,
                other => panic!("{other}"),
            }
            own += 1;
        }
        assert!(own <= 100, "{own}");
    }
    assert!(addresses > 3, "nobody takes the places of all");
    assert!((100..=1_000).contains(&open.len()), "a hospital's readers fit in, and there is an end: {}", open.len());
    open.pop();
    assert_eq!(hospital.begun(asked(Some([10, 1, 0, 1]), &[])).await.status(), StatusCode::OK, "one left, one comes");
}

#[tokio::test]
async fn a_session_has_a_share_of_the_streams() {
    let hospital = access::with_accounts().await;
    let (viewer, again) = (
        Browser::signed_in(&hospital, "viewer").await.cookie(),
        Browser::signed_in(&hospital, "viewer").await.cookie(),
    );
    let operator = Browser::signed_in(&hospital, "operator").await.cookie();
    let status = async |cookie: &str| hospital.begun(asked(None, &[(header::COOKIE, cookie)])).await;
    let mut open = Vec::new();
    let full = loop {
        let response = status(&viewer).await;
        if response.status() != StatusCode::OK {
            break response;
        }
        open.push(response);
        assert!(open.len() <= 20, "{}", open.len());
    };
    assert_eq!((full.status(), open.len()), (StatusCode::TOO_MANY_REQUESTS, 20));
    assert_eq!(full.headers()[header::RETRY_AFTER], "30");
    let said = full.into_body().collect().await.expect("a body").to_bytes();
    assert!(String::from_utf8_lossy(&said).contains("Too many open pages"), "{said:?}");
    assert_eq!(status(&again).await.status(), StatusCode::OK, "another session has its own");
    assert_eq!(status(&operator).await.status(), StatusCode::OK, "and so has another person");
    drop(open);
    assert_eq!(status(&viewer).await.status(), StatusCode::OK);
}

/// Fails unless a stream ends.
async fn ends(mut body: BodyDataStream, why: &str) {
    let rest = tokio::time::timeout(std::time::Duration::from_secs(60), async { while body.next().await.is_some() {} });
    rest.await.unwrap_or_else(|_| panic!("the stream goes on: {why}"));
}

#[tokio::test]
async fn a_stream_ends_when_who_reads_it_may_not_any_more() {
    let hospital = access::with_accounts().await;
    let store = &hospital.console.parts.store;
    let account = async |name: &str| store.account(name).await.expect("an answer").expect("an account");
    let mut token = String::new();
    for name in ["viewer", "odoo-only"] {
        token = format!("afc_{}", secrets::new());
        let (hash, role) = (secrets::hash(&token), Role::Viewer);
        let id = account(name).await.id;
        let new = NewToken { account: id, hash: &hash, label: "test", role, reading_only: true, expires_at: None };
        store.add_token(&new).await.expect("a token");
    }
    let bearer = format!("Bearer {token}");
    let basic = Authorization::basic("viewer", PASSWORD).0.encode();
    let mut leaving = Browser::signed_in(&hospital, "administrator").await;
    let cookies = [leaving.cookie(), Browser::signed_in(&hospital, "operator").await.cookie()];
    let staying = Browser::signed_in(&hospital, "administrator").await.cookie();
    let open = async |name: HeaderName, value: &str| {
        let response = hospital.begun(asked(None, &[(name, value)])).await;
        assert_eq!(response.status(), StatusCode::OK);
        let mut body = response.into_body().into_data_stream();
        until(&mut body, "event: open").await;
        body
    };
    let signed_out = open(header::COOKIE, &cookies[0]).await;
    let rights = open(header::COOKIE, &cookies[1]).await;
    let disabled = open(header::AUTHORIZATION, basic.to_str().expect("a header")).await;
    let revoked = open(header::AUTHORIZATION, &bearer).await;
    let mut goes_on = open(header::COOKIE, &staying).await;

    leaving.form("/api/sign_out", &[]).await;
    store.set_rights("operator", Role::Viewer, None).await.expect("an answer").expect("other rights");
    store.set_disabled("viewer", true).await.expect("an answer").expect("disabled");
    store.end_tokens(account("odoo-only").await.id).await.expect("revoked");
    ends(signed_out, "signed out").await;
    ends(rights, "another role").await;
    ends(disabled, "disabled, with Basic").await;
    ends(revoked, "a revoked token").await;
    hospital.look("odoo").await;
    until(&mut goes_on, "event: look").await;
}

#[tokio::test]
async fn a_stream_gives_signs_of_life_while_nothing_happens() {
    let hospital = Hospital::new(&[], &[]).await;
    let mut body = hospital.open("/atomfeed-console/events").await.into_body().into_data_stream();
    until(&mut body, "event: open").await;
    let begun = std::time::Instant::now();
    until(&mut body, "event: alive").await;
    until(&mut body, "event: alive").await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(8), "a page that waits for two would call it lost");
}
