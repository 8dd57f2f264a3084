//! What somebody sends is bounded before anything is made of it: names, search texts, queries, ways back.

use atomfeed_console::{
    model::{
        Role,
        audit::{AuditFilter, AuditKind},
    },
    server::{
        config::Access,
        store::{NewAccount, NewPassword},
    },
};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use axum_extra::headers::{Authorization, authorization::Credentials};

use super::hospital::{Hospital, row};

const BASE: &str = "/atomfeed-console";

/// `app=a0&app=a1…`
fn names(number: usize) -> String {
    (0..number).map(|number| format!("app=a{number}")).collect::<Vec<_>>().join("&")
}

/// A value as it stands in an address.
fn encoded(text: &str) -> String {
    let mut pair = String::new();
    atomfeed_console::model::filter::push(&mut pair, "x", text);
    pair.split_off(2)
}

#[tokio::test]
async fn more_names_than_applications_are_refused_everywhere() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    for query in ["app=odoo&app=openelis&app=a", "after=odoo~1~-&after=openelis~1~-&before=a~1~-", &names(300)] {
        let value = encoded(query);
        for path in [
            format!("/failed-events?{query}"),
            format!("/failed-events.csv?{query}"),
            format!("/failed-events.ndjson?{query}"),
            format!("/failed-events/odoo/1?{query}"),
            format!("/api/failed_events?query={value}"),
            format!("/api/news?query={value}&mark="),
            format!("/api/failed_event?app=odoo&id=1&list={value}"),
        ] {
            let answer = hospital.get(&format!("{BASE}{path}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.body);
        }
        let plan = [("kind", "retry"), ("query", query)];
        let answer = hospital.form(&format!("{BASE}/api/plan_operation"), &plan).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    }
    let both = hospital.get(&format!("{BASE}/api/failed_events?query={}", encoded("app=odoo&app=openelis"))).await;
    assert_eq!(both.status, StatusCode::OK);
}

#[tokio::test]
async fn a_form_with_tens_of_thousands_of_names_is_refused_unread() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    let answer =
        hospital.form(&format!("{BASE}/api/plan_operation"), &[("kind", "retry"), ("query", &names(60_000))]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.body.contains("the longest that is read has"), "{}", answer.body);
    assert!(answer.body.len() < 50_000, "the answer does not send it all back");
}

#[tokio::test]
async fn a_pasted_text_is_searched_for_by_its_beginning_and_a_longer_one_refused() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    hospital.execute("Odoo", "UPDATE failed_events SET title = printf('%.300c', 'x')").await;
    let page = |letters: usize, rest: &str| format!("{BASE}/failed-events?q={}{rest}", "x".repeat(letters));
    let pasted = hospital.page(&page(200, "y")).await;
    assert_eq!(pasted.status, StatusCode::OK);
    assert!(pasted.body.contains("Of the text the first 200 characters were searched for."), "{}", pasted.body);
    assert!(pasted.body.contains("/failed-events/odoo/1?"), "what begins so is found");
    let short = hospital.page(&page(199, "y")).await;
    assert!(!short.body.contains("/failed-events/odoo/1?") && !short.body.contains("Of the text"));
    assert_eq!(hospital.page(&page(1_000, "")).await.status, StatusCode::OK);
    let long = hospital.page(&page(1_001, "")).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
    assert!(long.body.contains("at most 1000 characters"), "{}", long.body);
    for path in ["/failed-events.csv", "/failed-events.ndjson", "/audit", "/audit.csv"] {
        let answer = hospital.get(&format!("{BASE}{path}?q={}", "x".repeat(1_001))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn no_header_of_an_answer_is_longer_than_a_proxy_takes() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    let long = format!("/failed-events?q={}", "x".repeat(900_000));
    let retry = [("only", "odoo:1:5"), ("back", &long)];
    let done = hospital.form(&format!("{BASE}/api/retry"), &retry).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    assert_eq!(done.header("location"), format!("{BASE}/operations/1"), "the way back is left out");
    for path in [format!("/failed-events/?q={}", "x".repeat(15_000)), format!("/{}/", "x".repeat(15_000))] {
        let answer = hospital.get(&format!("{BASE}{path}")).await;
        let headers: usize = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        assert_eq!((answer.status, headers < 4_000), (StatusCode::NOT_FOUND, true), "{headers}");
        assert!(answer.body.len() < 1_000, "nor is all of it sent back: {}", answer.body.len());
    }
}

#[tokio::test]
async fn a_backslash_in_a_path_leads_nowhere() {
    for base in ["/", BASE] {
        let hospital = Hospital::with(&[], &[], base, |_| ()).await;
        for path in ["/\\evil.example/", "/\\/evil.example/", "/atomfeed-console/\\evil.example/", "/a\\b"] {
            let request = Request::get(path).header(header::HOST, "console.test").body(Body::empty());
            let answer = hospital.send(request.expect("a path that the library takes")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{base} {path}");
            assert_eq!(answer.header("location"), "", "{base} {path}");
        }
    }
}

/// The entries of the audit log about failed sign-ins: who, from where, what.
async fn failed_sign_ins(hospital: &Hospital) -> Vec<(String, String)> {
    let filter = AuditFilter { kind: Some(AuditKind::SignInFailed), ..AuditFilter::default() };
    let entries = hospital.console.parts.store.audit_entries(&filter, None, 1_000).await.expect("the audit log");
    entries.into_iter().rev().map(|entry| (entry.who, entry.what)).collect()
}

#[tokio::test]
async fn invented_names_fill_no_audit_log() {
    let hospital = Hospital::with(&[], &[], BASE, |config| config.access = Access::default()).await;
    let password = NewPassword { hash: "none".into(), must_change: false, until: None };
    let (name, role, created_by) = ("asha".to_owned(), Role::Viewer, "test".to_owned());
    let asha = NewAccount { name, role, applications: None, password, created_by };
    hospital.console.parts.store.add_account(&asha).await.expect("an account");
    for name in ["one", "two", "asha", "three", "asha"] {
        let request = Request::get(format!("{BASE}/api/applications"))
            .header(header::AUTHORIZATION, Authorization::basic(name, "hunter2 hunter2").0.encode());
        let answer = hospital.send(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.body);
    }
    let (nobody, asha) = ("(a name that no account has)".to_owned(), "asha".to_owned());
    let at_once = [(nobody.clone(), String::new()), (asha.clone(), String::new()), (asha, String::new())];
    assert_eq!(failed_sign_ins(&hospital).await, at_once, "each of a real name, the first of all others");
    hospital.console.parts.audit.tell_counted().await;
    let told = failed_sign_ins(&hospital).await;
    assert_eq!(told[3..], [(nobody, "2 more of these within a minute".to_owned())]);
}
