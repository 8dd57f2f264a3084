//! How many downloads and large forms all users together, and each alone, may have at a time. Open pages are in
//! `stream`.

use std::time::Duration;

use atomfeed_console::{
    model::access::KnownBy,
    server::{downloads::Downloads, shares::Holder},
};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use axum_extra::headers::{Authorization, authorization::Credentials};
use http_body_util::BodyExt;

use super::access::{self, BASE, PASSWORD};

#[tokio::test]
async fn a_person_has_some_downloads_at_a_time_and_everybody_has_some_more() {
    let hospital = access::with_accounts().await;
    let begun = async |name: &str, path: &str| {
        let basic = Authorization::basic(name, PASSWORD).0.encode();
        let request = Request::get(format!("{BASE}{path}")).header(header::AUTHORIZATION, basic);
        hospital.begun(request.body(Body::empty()).expect("a request")).await
    };
    let paths = ["/failed-events.csv", "/failed-events.ndjson", "/failed-events/odoo/1/error.txt"];
    let mut held = Vec::new();
    for path in paths {
        // Not read: each is under way as long as its answer is held.
        held.push(begun("operator", path).await);
    }
    let downloads = &hospital.console.parts.downloads;
    let operator = Holder::Person(KnownBy::Account, "operator".to_owned());
    // A free place would be taken at once.
    assert!(futures::poll!(std::pin::pin!(downloads.take(&operator))).is_pending(), "all of theirs are under way");
    assert_eq!(begun("odoo-only", "/failed-events.csv").await.status(), StatusCode::OK, "others are not kept out");
    // When one is finished, the next has its turn.
    let through = held.pop().expect("a download").into_body().collect().await.expect("a whole file");
    assert!(!through.to_bytes().is_empty());
    assert_eq!(begun("operator", "/failed-events/odoo/1/payload.txt").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_download_that_has_no_turn_is_refused_with_words() {
    let shares = Downloads::waiting(Duration::ZERO);
    let own: Vec<_> = (0..3).map(|_| shares.take(&Holder::Unknown)).collect();
    let mut taken = Vec::new();
    for share in own {
        taken.push(share.await.expect("a turn"));
    }
    let refused = shares.take(&Holder::Unknown).await.expect_err("all are under way");
    assert_eq!((refused.status, refused.wait), (429, Some(10)));
    assert!(refused.to_string().contains("3 of your downloads are running"), "{refused}");
    for address in 1..=5 {
        taken.push(shares.take(&Holder::Address([10, 0, 0, address].into())).await.expect("a turn"));
    }
    let refused = shares.take(&Holder::Address([10, 0, 0, 9].into())).await.expect_err("all are under way");
    assert_eq!(refused.status, 503);
    assert!(refused.to_string().contains("8 downloads are running"), "{refused}");
    drop(taken);
    assert!(shares.take(&Holder::Unknown).await.is_ok());
}

#[tokio::test]
async fn who_is_not_known_sends_no_large_forms() {
    let hospital = access::with_accounts().await;
    let sent = async |path: &str, bytes: usize| {
        let form = format!("name={}&password=x", "n".repeat(bytes));
        let request = Request::post(format!("{BASE}{path}"))
            .header(header::HOST, "console.test")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        hospital.send(request.body(Body::from(form)).expect("a request")).await.status
    };
    assert_eq!(sent("/api/sign_in", 17_000).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(sent("/api/sign_in", 1_000).await, StatusCode::UNAUTHORIZED, "a name of any other length is tried");
    assert_eq!(sent("/api/plan_operation", 900_000).await, StatusCode::UNAUTHORIZED, "not read at all");
}

#[tokio::test]
async fn large_forms_are_read_some_at_a_time() {
    let hospital = access::with_accounts().await;
    let operator = Holder::Person(KnownBy::Account, "operator".to_owned());
    let forms = &hospital.console.parts.large_forms;
    let held = [forms.take(&operator, 2).expect("a place"), forms.take(&operator, 2).expect("a place")];
    let basic = Authorization::basic("operator", PASSWORD).0.encode();
    let sent = |bytes: usize| {
        let form = format!("kind=retry&query=q={}", "x".repeat(bytes));
        let request = Request::post(format!("{BASE}/api/plan_operation"))
            .header(header::AUTHORIZATION, basic.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        hospital.send(request.body(Body::from(form)).expect("a request"))
    };
    assert_eq!(sent(60_000).await.status, StatusCode::BAD_REQUEST, "a form of ordinary size does not wait");
    let mut large = std::pin::pin!(sent(100_000));
    let small = sent(50_000);
    tokio::select! {
        biased;
        _ = &mut large => panic!("it has no turn"),
        answer = small => assert_eq!(answer.status, StatusCode::BAD_REQUEST),
    }
    drop(held);
    assert_eq!(large.await.status, StatusCode::BAD_REQUEST, "it had its turn, and its query is too long");
}
