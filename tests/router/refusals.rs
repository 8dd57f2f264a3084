//! Refusals are recorded: requests for what a user may not see or do, unknown tokens, and sign-ins that come too fast;
//! and none of it can fill the record.

use atomfeed_console::model::audit::{AuditEntry, AuditFilter};
use axum::http::{Method, StatusCode};

use super::{
    access::{Browser, PASSWORD, basic, script, with_accounts},
    hospital::Hospital,
};
use crate::support::log::Log;

/// Returns the entries, oldest first, without successful sign-ins.
async fn entries(hospital: &Hospital) -> Vec<AuditEntry> {
    let mut entries = hospital.console.parts.store.audit_entries(&AuditFilter::default(), None, 1000).await.unwrap();
    entries.retain(|entry| entry.kind != "sign_in");
    entries.reverse();
    entries
}

fn said(entries: &[AuditEntry]) -> Vec<(&str, &str, &str, &str)> {
    entries
        .iter()
        .map(|entry| (entry.kind.as_str(), entry.who.as_str(), entry.signed_in_by.as_str(), entry.outcome.as_str()))
        .collect()
}

#[tokio::test]
async fn what_somebody_may_not_do_is_on_record_by_page_by_form_and_by_program() {
    let hospital = with_accounts().await;
    let mut viewer = Browser::signed_in(&hospital, "viewer").await;
    assert_eq!(entries(&hospital).await, []);
    assert_eq!(viewer.get("/audit").await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        viewer.form("/api/add_account", &[("name", "x"), ("role", "viewer")]).await.status,
        StatusCode::FORBIDDEN
    );
    let program = basic("operator", PASSWORD);
    assert_eq!(script(&hospital, Method::GET, "/audit.csv", Some(&program)).await.status, StatusCode::FORBIDDEN);
    let found = entries(&hospital).await;
    assert_eq!(
        said(&found),
        [
            ("access_refused", "viewer", "account", "refused"),
            ("access_refused", "viewer", "account", "refused"),
            ("access_refused", "operator", "basic", "refused"),
        ]
    );
    assert!(found[0].what.starts_with("GET /atomfeed-console/audit: "), "{}", found[0].what);
    assert!(found[1].what.starts_with("POST /atomfeed-console/api/add_account: "), "{}", found[1].what);
    // What a user may do leaves no such entry, and neither does what does not exist.
    assert_eq!(viewer.get("/failed-events").await.status, StatusCode::OK);
    assert_eq!(viewer.get("/failed-events/odoo/99").await.status, StatusCode::NOT_FOUND);
    assert_eq!(entries(&hospital).await.len(), 3);
    // A server function that demands more than its route's authorization, and a form of another site.
    let mut operator = Browser::signed_in(&hospital, "operator").await;
    let fields = [("kind", "discard"), ("rows[]", "odoo:1:5"), ("reason", "x")];
    assert_eq!(operator.form("/api/plan_operation", &fields).await.status, StatusCode::FORBIDDEN);
    operator.token = "not this".into();
    assert_eq!(operator.form("/api/retry", &[("rows[]", "odoo:1:5")]).await.status, StatusCode::FORBIDDEN);
    let found = entries(&hospital).await;
    assert_eq!(said(&found)[3..], [("access_refused", "operator", "account", "refused"); 2]);
}

#[tokio::test]
async fn a_token_that_nobody_has_is_on_record_without_the_token() {
    let hospital = with_accounts().await;
    for token in ["afc_0123456789", "afc_0123456789abcdef"] {
        let answer = script(&hospital, Method::GET, "/apps", Some(&format!("Bearer {token}"))).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let found = entries(&hospital).await;
    assert_eq!(said(&found), [("access_refused", "(unknown user)", "", "refused")], "the second is counted");
    assert!(found[0].what.contains("token is unknown") && !found[0].what.contains("afc_"), "{}", found[0].what);
    // A request without credentials is not a refusal: every first visit is one.
    assert_eq!(script(&hospital, Method::GET, "/apps", None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(entries(&hospital).await.len(), 1);
    hospital.console.parts.audit.tell_counted().await;
    assert!(entries(&hospital).await[1].what.ends_with("1 more of these within a minute"));
}

#[tokio::test]
async fn refused_tokens_of_different_kinds_are_counted_apart() {
    let hospital = with_accounts().await;
    for number in 0..4 {
        for prefix in ["afc_", "afs_"] {
            let token = format!("Bearer {prefix}{number}");
            let answer = script(&hospital, Method::GET, "/apps", Some(&token)).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        }
    }
    assert_eq!(entries(&hospital).await.len(), 2, "the first of each kind");
    hospital.console.parts.audit.tell_counted().await;
    let found = entries(&hospital).await;
    for kind in ["This token is unknown", "This service token is unknown"] {
        let of_kind: Vec<_> = found.iter().filter(|entry| entry.what.contains(kind)).collect();
        assert_eq!(of_kind.len(), 2, "{found:?}");
        assert!(of_kind[1].what.ends_with("3 more of these within a minute"), "{found:?}");
    }
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted() {
    let hospital = with_accounts().await;
    let program = basic("viewer", PASSWORD);
    for number in 0..60 {
        let path = format!("/api/audit?query=&number={number}");
        script(&hospital, Method::GET, &path, Some(&program)).await;
        script(&hospital, Method::GET, "/audit.csv", Some(&program)).await;
    }
    assert_eq!(entries(&hospital).await.len(), 5);
    hospital.console.parts.audit.tell_counted().await;
    let found = entries(&hospital).await;
    assert!(found.len() == 6 && found[5].what.contains("more of these within a minute"), "{found:?}");
}

#[tokio::test]
async fn sign_ins_that_are_not_even_tried_are_on_record_and_whoever_comes_back_gets_in() {
    let hospital = with_accounts().await;
    let mut last = StatusCode::OK;
    for number in 0..12 {
        last = script(&hospital, Method::GET, "/apps", Some(&basic("viewer", &format!("wrong {number}")))).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let found = entries(&hospital).await;
    assert!(found.iter().all(|entry| (entry.kind.as_str(), entry.who.as_str()) == ("sign_in_failed", "viewer")));
    assert!(found.iter().any(|entry| entry.what.starts_with("not tried")), "{found:?}");
    // The right password is refused at first, too, and accepted on a later attempt.
    let right = basic("viewer", PASSWORD);
    let begun = std::time::Instant::now();
    while script(&hospital, Method::GET, "/apps", Some(&right)).await.status != StatusCode::OK {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60));
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_one_time_password_that_came_too_late_is_on_record() {
    use atomfeed_console::server::{
        security::passwords::PasswordChecker,
        store::{NewAccount, NewPassword},
    };
    let hospital = with_accounts().await;
    let hash = PasswordChecker::new().hash(PASSWORD).await.unwrap();
    let until = Some(chrono::Utc::now() - chrono::TimeDelta::days(1));
    let account = NewAccount {
        name: "late".into(),
        role: atomfeed_console::model::Role::Viewer,
        applications: None,
        password: NewPassword { hash, must_change: true, until },
        created_by: "test".into(),
    };
    assert!(hospital.console.parts.store.add_account(&account).await.unwrap());
    let mut browser = Browser::new(&hospital);
    assert_eq!(browser.sign_in("late", PASSWORD, "").await.status, StatusCode::UNAUTHORIZED);
    let found = entries(&hospital).await;
    assert_eq!(said(&found), [("sign_in_failed", "late", "", "refused")]);
    assert_eq!(found[0].what, "the one-time password had expired");
}

/// Error texts that an open page reads again count as views, once an hour for one person and one event.
#[tokio::test]
async fn what_is_read_without_the_page_is_on_record_too() {
    let hospital = with_accounts().await;
    let (operator, viewer) = (basic("operator", PASSWORD), basic("viewer", PASSWORD));
    let live = "/api/failed_event?app=odoo&id=2&list=live%3D1";
    for path in [live, "/failed-events/odoo/2?live=1", live] {
        let answer = script(&hospital, Method::GET, path, Some(&operator)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    let found = entries(&hospital).await;
    assert_eq!(said(&found), [("error_viewed", "operator", "basic", "done")]);
    assert_eq!(
        (found[0].app.as_deref(), found[0].what.as_str()),
        (Some("odoo"), "failed event 2, its page read again")
    );
    script(&hospital, Method::GET, "/api/failed_event?app=odoo&id=1&list=", Some(&operator)).await;
    script(&hospital, Method::GET, "/api/failed_event?app=odoo&id=1&list=live%3D1", Some(&operator)).await;
    let found = entries(&hospital).await;
    assert_eq!(found[1..].iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>(), ["payload_viewed"]);
    script(&hospital, Method::GET, live, Some(&viewer)).await;
    assert_eq!(entries(&hospital).await.len(), 3, "another person is another look; here nothing is masked");
}

#[tokio::test]
async fn nobody_gets_an_account_by_a_name_of_the_consoles_own() {
    let hospital = with_accounts().await;
    let mut administrator = Browser::signed_in(&hospital, "administrator").await;
    for name in ["console", "Anybody", "CONSOLE"] {
        let answer = administrator.form("/api/add_account", &[("name", name), ("role", "viewer")]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {}", answer.body);
    }
    assert!(hospital.console.parts.store.account("console").await.unwrap().is_none());
}

/// A path and an origin can have as many characters as a request may have; a line of the log has not.
#[tokio::test]
async fn a_refused_request_writes_a_short_line_into_the_log() {
    use axum::{body::Body, http::Request};

    let hospital = with_accounts().await;
    let log = Log::start();
    let long = "a".repeat(30_000);
    let request = Request::post(format!("/atomfeed-console/{long}"))
        .header("host", "console.test")
        .header("origin", format!("http://{long}.example"))
        .body(Body::empty())
        .expect("a request");
    assert_eq!(hospital.send(request).await.status, StatusCode::FORBIDDEN);
    let lines = log.lines();
    assert!(lines.iter().any(|line| line.contains("refused") && line.contains("/atomfeed-console/aaa")), "{lines:?}");
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    assert!(longest < 1_000, "{longest} characters");
    for entry in entries(&hospital).await {
        assert!(format!("{entry:?}").chars().count() < 2_000, "{entry:?}");
    }
}
