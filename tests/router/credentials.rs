//! How long credentials remain valid: sessions, passwords, tokens, and the marks of browsers.

use std::time::Duration;

use atomfeed_console::{
    model::audit::AuditFilter,
    server::{security::passwords::PasswordChecker, store::NewPassword},
};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    access::{BASE, Browser, PASSWORD, basic, make_token, script, with, with_accounts},
    hospital::{Hospital, row},
};

/// Opens the store beside the console, to shift times in it.
pub(super) async fn store_of(hospital: &Hospital) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(&hospital.console.parts.config.store)
        .busy_timeout(Duration::from_secs(10));
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// Moves the last use of every session this much further into the past.
async fn let_pass(hospital: &Hospital, seconds: i64) {
    let mut store = store_of(hospital).await;
    sqlx::query("UPDATE sessions SET last_used_at = last_used_at - ?")
        .bind(seconds * 1_000)
        .execute(&mut store)
        .await
        .unwrap();
}

async fn last_used(hospital: &Hospital) -> Vec<i64> {
    let mut store = store_of(hospital).await;
    sqlx::query_scalar("SELECT last_used_at FROM sessions ORDER BY number").fetch_all(&mut store).await.unwrap()
}

/// Returns kind, text and outcome of the newest entries of the audit log, newest first, without refused access.
pub(super) async fn on_record(hospital: &Hospital, entries: usize) -> Vec<(String, String, String)> {
    let found = hospital.console.parts.store.audit_entries(&AuditFilter::default(), None, 1_000).await.unwrap();
    let found = found.into_iter().filter(|entry| entry.kind != "access_refused").take(entries);
    found.map(|entry| (entry.kind, entry.what, entry.outcome)).collect()
}

async fn one_time_password(hospital: &Hospital, name: &str) -> String {
    let (password, kept) = PasswordChecker::new().one_time().await.unwrap();
    hospital.console.parts.store.set_password(name, &kept, None).await.unwrap().unwrap();
    password
}

fn lost(answer: &super::hospital::Answer) -> bool {
    answer.header("location").starts_with("/atomfeed-console/sign-in")
}

#[tokio::test]
async fn a_session_that_nobody_touches_ends_while_its_page_stays_open() {
    let hospital = with_accounts().await;
    let mut browser = Browser::signed_in(&hospital, "operator").await;
    let_pass(&hospital, 3_540).await;
    let before = last_used(&hospital).await;
    for path in [
        "/events",
        "/api/news?query=&mark=",
        "/failed-events?app=odoo&live=1",
        "/failed-events/odoo/1?live=1",
        "?live=1",
    ] {
        let answer = browser.get(path).await;
        assert!(!lost(&answer), "{path} is answered as long as the session lasts: {}", answer.status);
        assert_eq!(last_used(&hospital).await, before, "{path} is no use of the session");
    }
    // A browser itself marks what a script requests, whatever the path.
    for (name, value) in [("sec-fetch-mode", "cors"), ("sec-fetch-mode", "same-origin"), ("sec-purpose", "prefetch")] {
        browser.send(Request::get(format!("{BASE}/failed-events")).header(name, value), Body::empty()).await;
        assert_eq!(last_used(&hospital).await, before, "{name}: {value}");
    }
    // Headers added to a page's own request do not extend the session.
    let forged = Request::get(format!("{BASE}/api/news?query=&mark="))
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-user", "?1")
        .header(header::ACCEPT, "text/html");
    browser.send(forged, Body::empty()).await;
    assert_eq!(last_used(&hospital).await, before);

    let_pass(&hospital, 300).await;
    let ended = browser.get("/api/news?query=&mark=").await;
    assert!(lost(&ended), "{}", ended.status);
    assert!(lost(&browser.get("/operations").await));
}

#[tokio::test]
async fn a_session_that_somebody_uses_goes_on_at_the_shortest_setting_too() {
    let hospital = with(|config| config.access.session_idle = Duration::from_secs(60)).await;
    let mut browser = Browser::signed_in(&hospital, "viewer").await;
    for step in 0..40 {
        let_pass(&hospital, 5).await;
        let answer = browser.get("/operations").await;
        assert_eq!(answer.status, StatusCode::OK, "after {} s of use", step * 5);
    }
    let_pass(&hospital, 59).await;
    assert_eq!(browser.get("/operations").await.status, StatusCode::OK, "a minute is a minute");
    let_pass(&hospital, 70).await;
    assert!(lost(&browser.get("/operations").await), "and then it ends");
}

#[tokio::test]
async fn a_one_time_password_is_for_one_sign_in() {
    let hospital = with_accounts().await;
    let password = one_time_password(&hospital, "operator").await;
    let basic = basic("operator", &password);
    for path in ["/apps", "/api/own_account"] {
        let answer = script(&hospital, Method::GET, path, Some(&basic)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: a program cannot choose another one");
        assert!(answer.body.contains("Choose a new password first."), "{}", answer.body);
    }
    let mut first = Browser::new(&hospital);
    assert_eq!(first.sign_in("operator", &password, "").await.status, StatusCode::SEE_OTHER, "Basic used it up");

    let mut second = Browser::new(&hospital);
    let refused = second.sign_in("operator", &password, "").await;
    assert_eq!((refused.status, second.session()), (StatusCode::UNAUTHORIZED, None));
    assert!(refused.body.contains("This one-time password was already used"), "{}", refused.body);
    assert_eq!(
        on_record(&hospital, 1).await,
        [("sign_in_failed".into(), "the one-time password had been used".into(), "refused".into())]
    );

    first.get("/account").await;
    let new = "nine lanterns under water";
    let fields = [("current", password.as_str()), ("new", new), ("again", new)];
    let changed = first.form("/api/change_password", &fields).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER, "where it was used, it is changed: {}", changed.body);
    assert_eq!(second.sign_in("operator", new, "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(first.sign_in("operator", new, "").await.status, StatusCode::SEE_OTHER, "one's own is for many");
}

#[tokio::test]
async fn of_two_at_once_one_comes_in_with_a_one_time_password() {
    let hospital = with_accounts().await;
    let password = one_time_password(&hospital, "operator").await;
    let tries = (0..4).map(|_| async {
        let mut browser = Browser::new(&hospital);
        browser.sign_in("operator", &password, "").await.status == StatusCode::SEE_OTHER
    });
    let came_in = futures::future::join_all(tries).await.into_iter().filter(|came_in| *came_in).count();
    assert_eq!(came_in, 1);
}

#[tokio::test]
async fn an_administrators_new_password_ends_the_persons_tokens_and_their_own_change_keeps_them() {
    let hospital = with_accounts().await;
    let mut operator = Browser::signed_in(&hospital, "operator").await;
    let token = make_token(&mut operator, &[("label", "report"), ("role", "operator")]).await;
    let new = "nine lanterns under water";
    let change = async |browser: &mut Browser<'_>, from: &str, to: &str, more: &[(&str, &str)]| {
        browser.get("/account").await;
        let fields = [&[("current", from), ("new", to), ("again", to)], more].concat();
        assert_eq!(browser.form("/api/change_password", &fields).await.status, StatusCode::SEE_OTHER);
    };
    change(&mut operator, PASSWORD, new, &[]).await;
    assert_eq!(script(&hospital, Method::GET, "/apps", Some(&token)).await.status, StatusCode::OK, "it was their own");
    change(&mut operator, new, PASSWORD, &[("end_tokens", "1")]).await;
    assert_eq!(script(&hospital, Method::GET, "/apps", Some(&token)).await.status, 401, "they asked for it");

    let token = make_token(&mut operator, &[("label", "report"), ("role", "operator")]).await;
    let mut administrator = Browser::signed_in(&hospital, "administrator").await;
    administrator.form("/api/new_password", &[("name", "operator")]).await;
    assert_eq!(script(&hospital, Method::GET, "/apps", Some(&token)).await.status, StatusCode::UNAUTHORIZED);
    let account = hospital.console.parts.store.account("operator").await.unwrap().unwrap();
    assert_eq!(hospital.console.parts.store.tokens_of(account.id).await.unwrap().len(), 0);
}

/// An account with a one-time password and tokens, from before tokens ended with it.
#[tokio::test]
async fn a_token_rests_until_its_owner_has_a_password_of_their_own() {
    let hospital = with_accounts().await;
    let mut operator = Browser::signed_in(&hospital, "operator").await;
    let token = make_token(&mut operator, &[("label", "report"), ("role", "operator")]).await;
    let mut store = store_of(&hospital).await;
    sqlx::query("UPDATE accounts SET must_change = 1 WHERE name = 'operator'").execute(&mut store).await.unwrap();
    for path in ["/apps", "/failed-events.csv", "/api/own_account"] {
        let answer = script(&hospital, Method::GET, path, Some(&token)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(
            answer.body.contains("This token does not work until operator has chosen a new password"),
            "{}",
            answer.body
        );
    }
    sqlx::query("UPDATE accounts SET must_change = 0 WHERE name = 'operator'").execute(&mut store).await.unwrap();
    assert_eq!(script(&hospital, Method::GET, "/apps", Some(&token)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_takes_the_password_again() {
    let hospital = with_accounts().await;
    let mut operator = Browser::signed_in(&hospital, "operator").await;
    for password in ["", "wrong wrong wrong"] {
        operator.get("/account").await;
        let fields = [("label", "x"), ("role", "viewer"), ("password", password)];
        let answer = operator.form("/api/make_token", &fields).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{password:?}");
        assert!(answer.body.contains("The password is wrong."), "{}", answer.body);
    }
    assert_eq!(hospital.console.parts.store.all_tokens().await.unwrap().len(), 0);
    make_token(&mut operator, &[("label", "x"), ("role", "viewer")]).await;
}

#[tokio::test]
async fn administrators_see_and_revoke_everybodys_tokens() {
    let hospital = with_accounts().await;
    let mut operator = Browser::signed_in(&hospital, "operator").await;
    let mut viewer = Browser::signed_in(&hospital, "viewer").await;
    let report =
        make_token(&mut operator, &[("label", "nightly report"), ("role", "operator"), ("reading", "1")]).await;
    let retries = make_token(&mut operator, &[("label", "retries"), ("role", "operator")]).await;
    let screen = make_token(&mut viewer, &[("label", "ward screen"), ("role", "viewer")]).await;
    let works = async |token: &str| script(&hospital, Method::GET, "/apps", Some(token)).await.status == StatusCode::OK;

    let mut administrator = Browser::signed_in(&hospital, "administrator").await;
    let page = administrator.get("/accounts").await.body;
    for label in ["nightly report", "retries", "ward screen", "operator, reading only"] {
        assert!(page.contains(label), "{label}: {page}");
    }
    let ids = hospital.console.parts.store.all_tokens().await.unwrap();
    let id = |label: &str| ids.iter().find(|(_, token)| token.label == label).unwrap().1.id.to_string();
    let fields = [("name", "operator"), ("id", &id("nightly report"))];
    let answer = administrator.form("/api/revoke_tokens_of", &fields).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/accounts", "{}", answer.body);
    assert!(!works(&report).await && works(&retries).await && works(&screen).await);
    let (kind, what, outcome) = on_record(&hospital, 1).await.remove(0);
    assert_eq!((kind.as_str(), outcome.as_str()), ("token_revoked", "done"));
    assert_eq!(what, format!("token {} of operator", id("nightly report")));

    let fields = [("name", "viewer"), ("id", &id("retries"))];
    let another = administrator.form("/api/revoke_tokens_of", &fields).await;
    assert_eq!(another.status, StatusCode::NOT_FOUND, "it is not theirs");
    assert!(works(&retries).await);
    administrator.form("/api/revoke_tokens_of", &[("name", "Operator")]).await;
    assert!(!works(&retries).await && works(&screen).await, "every token of one person");
    assert_eq!(on_record(&hospital, 1).await[0].1, "every token of operator");

    let fields = [("name", "viewer"), ("id", &id("ward screen"))];
    for browser in [&mut operator, &mut viewer] {
        assert_eq!(browser.form("/api/revoke_tokens_of", &fields).await.status, StatusCode::FORBIDDEN);
    }
    assert!(works(&screen).await);
}

#[tokio::test]
async fn a_planted_mark_of_a_browser_is_not_kept() {
    let hospital = with_accounts().await;
    let planted = "ab".repeat(32);
    let mut victim = Browser::new(&hospital);
    victim.cookies.push(("atomfeed_browser".into(), planted.clone()));
    assert_eq!(victim.sign_in("viewer", PASSWORD, "").await.status, StatusCode::SEE_OTHER);
    let mark =
        |browser: &Browser<'_>| browser.cookies.iter().find(|(name, _)| name == "atomfeed_browser").unwrap().1.clone();
    let first = mark(&victim);
    assert_ne!(first, planted);
    victim.get("/help").await;
    victim.form("/api/sign_out", &[]).await;
    assert_eq!(victim.sign_in("viewer", PASSWORD, "").await.status, StatusCode::SEE_OTHER);
    assert_ne!(mark(&victim), first, "each sign-in gives another one");

    // The attacker who planted it shares nothing with the victim: their mistakes do not count in the victim's browser,
    // and that mark does not identify the victim's browser.
    for _ in 0..12 {
        let mut stranger = Browser::new(&hospital);
        stranger.cookies.push(("atomfeed_browser".into(), planted.clone()));
        stranger.sign_in("viewer", "wrong wrong wrong", "").await;
    }
    victim.get("/help").await;
    victim.form("/api/sign_out", &[]).await;
    assert_eq!(victim.sign_in("viewer", PASSWORD, "").await.status, StatusCode::SEE_OTHER);
}

/// Users who share a machine stay known in its browser.
#[tokio::test]
async fn a_browser_stays_known_to_everybody_who_has_signed_in_from_it() {
    let hospital = with_accounts().await;
    let mut shared = Browser::new(&hospital);
    for name in ["viewer", "operator", "viewer"] {
        assert_eq!(shared.sign_in(name, PASSWORD, "").await.status, StatusCode::SEE_OTHER);
        shared.get("/help").await;
        shared.form("/api/sign_out", &[]).await;
    }
    for _ in 0..8 {
        Browser::new(&hospital).sign_in("operator", "wrong wrong wrong", "").await;
    }
    assert_eq!(shared.sign_in("operator", PASSWORD, "").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_a_browser_keeps_is_cleared_at_sign_out_only_where_nothing_else_lives() {
    for (base, https, cleared) in [("/", true, true), ("/", false, false), ("/atomfeed-console", true, false)] {
        let hospital = Hospital::with(&[row(1, "2026-11-20 08:00:00")], &[], base, |config| {
            config.access = Default::default();
            if https {
                let origin = atomfeed_console::server::config::Origin { https: true, host: "console.test".into() };
                config.network.public_origin = Some(origin);
            }
        })
        .await;
        let base = if base == "/" { "" } else { base };
        let hash = PasswordChecker::new().hash(PASSWORD).await.unwrap();
        let account = atomfeed_console::server::store::NewAccount {
            name: "asha".into(),
            role: atomfeed_console::model::Role::Viewer,
            applications: None,
            password: NewPassword { hash, must_change: false, until: None },
            created_by: "test".into(),
        };
        hospital.console.parts.store.add_account(&account).await.unwrap();
        let mut cookies = String::new();
        for (path, fields) in
            [("/api/sign_in", format!("name=asha&password={PASSWORD}")), ("/api/sign_out", String::new())]
        {
            let page = Request::get(format!("{base}/sign-in"))
                .header(header::HOST, "console.test")
                .header(header::ACCEPT, "text/html")
                .header(header::COOKIE, &cookies);
            let page = hospital.send(page.body(Body::empty()).unwrap()).await;
            let given = |answer: &super::hospital::Answer| {
                let all = answer.headers.get_all(header::SET_COOKIE).iter();
                all.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned()).collect::<Vec<_>>()
            };
            if cookies.is_empty() {
                cookies = given(&page).join("; ");
            }
            let body =
                format!("form_token={}&{}", super::hospital::form_token_of(&page.body), fields.replace(' ', "%20"));
            let request = Request::post(format!("{base}{path}"))
                .header(header::HOST, "console.test")
                .header(header::COOKIE, &cookies)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            let answer = hospital.send(request.body(Body::from(body)).unwrap()).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{base} {path}: {}", answer.body);
            let clears = answer.header("clear-site-data");
            let wanted = if cleared && path == "/api/sign_out" { "\"cache\", \"storage\"" } else { "" };
            assert_eq!(clears, wanted, "{base} https: {https} {path}");
            cookies = given(&answer).join("; ");
        }
    }
}
