//! Service tokens: what each opens in every sign-in mode, and how they are created, named and revoked.

use std::net::SocketAddr;

use atomfeed_console::{
    model::{Role, access::ServiceRight},
    server::{
        config::{Access, AuthMode, NamedToken, Openmrs, Proxy, RoleNames, Secret},
        routes::ROUTES,
        security::{
            authorize::Needs,
            service_tokens::{self, Asked},
        },
    },
};
use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Method, Request, StatusCode, header},
};

use super::{
    access::{BASE, Browser, PASSWORD, basic, make_token, path_of, script, with, with_accounts},
    credentials::{on_record, store_of},
    hospital::{Answer, Hospital, form_token_of},
};

/// Returns every sign-in mode; none except the last would accept this request by itself.
fn ways() -> [(&'static str, AuthMode); 4] {
    let roles = RoleNames { viewer: vec!["Clinician".into()], ..RoleNames::default() };
    let url = "http://127.0.0.1:1/openmrs".parse().unwrap();
    let timeout = std::time::Duration::from_secs(1);
    let openmrs = Openmrs { url, ca: None, timeout, roles: roles.clone() };
    let proxy =
        Proxy { user_header: "x-remote-user".into(), groups_header: None, roles, otherwise: Some(Role::Viewer) };
    [
        ("accounts", AuthMode::Accounts),
        ("openmrs", AuthMode::Openmrs(openmrs)),
        ("proxy", AuthMode::Proxy(proxy)),
        ("open", AuthMode::Open),
    ]
}

async fn entered_by(way: &AuthMode) -> Hospital {
    with(|config| {
        config.access = Access { way: way.clone(), ..Access::default() };
        config.network.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await
}

async fn token_of(hospital: &Hospital, name: &str, applications: Option<&str>) -> String {
    let applications = applications.map(|app| [app.to_owned()].into());
    let asked = Asked::checked(name, ServiceRight::Status, applications, "").unwrap();
    asked.make(&hospital.console.parts.store, "test").await.unwrap().1
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

async fn status(hospital: &Hospital, token: &str) -> Answer {
    script(hospital, Method::GET, "/status?plain", Some(&bearer(token))).await
}

fn named(name: &str, token: &str) -> NamedToken {
    NamedToken { name: name.into(), opens: ServiceRight::Status, applications: None, token: Secret::new(token) }
}

/// Sends a form of the page of service tokens as this browser, and returns the page after it.
async fn make(browser: &mut Browser<'_>, fields: &[(&str, &str)]) -> Answer {
    browser.get("/service-tokens").await;
    let made = browser.form("/api/make_service_token", fields).await;
    if made.status != StatusCode::SEE_OTHER {
        return made;
    }
    assert_eq!(made.header("location"), "/atomfeed-console/service-tokens");
    browser.get("/service-tokens").await
}

fn shown(page: &Answer) -> Option<String> {
    let rest = page.body.split("data-new-token").nth(1)?;
    rest.split_once('>')?.1.split('<').next().map(|token| token.trim().to_owned())
}

#[tokio::test]
async fn a_service_token_opens_its_right_and_no_other_route_in_every_way_of_signing_in() {
    for (word, way) in ways() {
        let hospital = entered_by(&way).await;
        let token = token_of(&hospital, "nagios", None).await;
        let (mut opened, mut refused) = (0, 0);
        for route in ROUTES {
            for method in [Method::GET, Method::HEAD, Method::POST] {
                let of_route = route.method() == method || (route.method() == Method::GET && method == Method::HEAD);
                if !of_route {
                    continue;
                }
                let path = path_of(route.path);
                for accept in ["*/*", "text/html"] {
                    let request = Request::builder()
                        .method(&method)
                        .uri(format!("{BASE}{path}"))
                        .header(header::HOST, "console.test")
                        .header(header::ACCEPT, accept)
                        .header(header::AUTHORIZATION, bearer(&token))
                        .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711))))
                        .header("x-remote-user", "asha");
                    let answer = hospital.send(request.body(Body::empty()).unwrap()).await;
                    let told = format!("{word}: {method} {path} as {accept}: {} {}", answer.status, answer.body);
                    match route.needs {
                        Needs::Nothing => {
                            assert!(!answer.body.contains("This is a service token"), "{told}");
                            assert!(!answer.body.contains("Secret of"), "{told}");
                        }
                        Needs::RightOrToken(_, ServiceRight::Status) => {
                            assert_eq!(answer.status, StatusCode::OK, "{told}");
                            opened += 1;
                        }
                        Needs::SignedIn | Needs::Right(_) => {
                            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{told}");
                            let says = answer.body.contains("This is a service token: it opens only /status");
                            assert!(says || method == Method::HEAD, "{told}");
                            refused += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(opened, 4, "{word}: /status alone, by GET and HEAD");
        assert!(refused > 100, "{word}: {refused}");
    }
}

#[tokio::test]
async fn with_a_token_monitoring_is_answered_and_without_a_right_one_it_is_not() {
    for (word, way) in ways() {
        let hospital = entered_by(&way).await;
        let token = token_of(&hospital, "nagios", None).await;
        let line = status(&hospital, &token).await;
        assert_eq!((line.status, line.header("content-type")), (StatusCode::OK, "text/plain; charset=utf-8"), "{word}");
        assert!(line.body.starts_with("WARNING - "), "{word}: {}", line.body);
        let json = script(&hospital, Method::GET, "/status", Some(&bearer(&token))).await.json();
        assert_eq!(json["applications"].as_array().unwrap().len(), 2, "{word}");

        let without = script(&hospital, Method::GET, "/status?plain", None).await;
        let wanted = if word == "open" { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(without.status, wanted, "{word}: {}", without.body);
        if word != "open" {
            assert!(without.header("www-authenticate").starts_with("Bearer "), "{word}");
        }
        for broken in [format!("{token}0"), token[..token.len() - 1].to_owned(), token.to_uppercase(), "afs_".into()] {
            let answer = status(&hospital, &broken).await;
            // Where no one signs in, a token that is not a service token is ignored.
            let open = word == "open" && !broken.starts_with("afs_");
            let wanted = if open { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            assert_eq!(answer.status, wanted, "{word} with {broken}: {}", answer.body);
            assert!(!answer.body.contains("Odoo") || open, "{word}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn another_programs_bearer_token_changes_nothing_behind_a_proxy_or_in_an_open_console() {
    for (word, way) in ways().into_iter().skip(2) {
        let hospital = entered_by(&way).await;
        let request = Request::get(format!("{BASE}/apps"))
            .header(header::HOST, "console.test")
            .header("x-remote-user", "asha")
            .header(header::AUTHORIZATION, "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln")
            .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711))));
        let answer = hospital.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{word}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_token_of_one_application_tells_of_no_other() {
    let hospital = with_accounts().await;
    let token = token_of(&hospital, "odoo screen", Some("odoo")).await;
    let json = script(&hospital, Method::GET, "/status", Some(&bearer(&token))).await;
    assert!(json.body.contains("Odoo") && !json.body.contains("OpenELIS"), "{}", json.body);
    assert!(!status(&hospital, &token).await.body.contains("OpenELIS"));
}

#[tokio::test]
async fn an_administrator_makes_a_token_on_the_page_sees_it_once_and_revokes_it() {
    let hospital = with_accounts().await;
    let mut browser = Browser::signed_in(&hospital, "administrator").await;
    let fields = [("name", "nagios"), ("right", "status"), ("all", "1"), ("days", "30"), ("password", PASSWORD)];
    let page = make(&mut browser, &fields).await;
    let token = shown(&page).expect("the token is shown");
    assert!(token.starts_with("afs_") && token.len() == 68, "{token}");
    for words in ["nagios", "status", " by administrator", "never"] {
        assert!(page.body.contains(words), "{words}");
    }
    assert_eq!(status(&hospital, &token).await.status, StatusCode::OK);
    let again = browser.get("/service-tokens").await;
    assert!(!again.body.contains(&token) && !again.body.contains("data-new-token"), "only once");
    assert!(!again.body.contains("never"), "it says that it was used");
    assert!(browser.get("/accounts").await.body.contains("/atomfeed-console/service-tokens"), "the way there");

    let twice = make(&mut browser, &fields).await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
    assert!(twice.body.contains("already exists") && twice.body.contains("New service token"));
    for (changed, says) in [
        (("name", " "), "cannot be used for a service token"),
        (("days", "0"), "not a number of days"),
        (("days", "9999999"), "not a number of days"),
        (("password", "wrong"), "The password is wrong"),
        (("right", "everything"), "The form was not understood"),
        (("all", ""), "No application is selected"),
    ] {
        let mut fields: Vec<_> =
            fields.iter().copied().filter(|(key, _)| *key != changed.0 && *key != "name").collect();
        if changed.0 != "name" {
            fields.push(("name", "another"));
        }
        if changed.0 != "all" {
            fields.push(changed);
        }
        let refused = make(&mut browser, &fields).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{changed:?}: {}", refused.body);
        assert!(refused.body.contains(says), "{changed:?}: {}", refused.body);
    }
    assert_eq!(hospital.console.parts.store.service_tokens().await.unwrap().len(), 1);

    let id = hospital.console.parts.store.service_tokens().await.unwrap()[0].id.to_string();
    let revoked = browser.form("/api/revoke_service_token", &[("id", &id)]).await;
    assert_eq!(revoked.status, StatusCode::SEE_OTHER, "{}", revoked.body);
    assert_eq!(status(&hospital, &token).await.status, StatusCode::UNAUTHORIZED);
    let gone = browser.form("/api/revoke_service_token", &[("id", &id)]).await;
    assert!(gone.body.contains("was already revoked"), "{}", gone.body);
    let what = [("token_made", "service token nagios for status"), ("token_revoked", "service token nagios (1)")];
    let mut entries = on_record(&hospital, 100).await;
    entries.retain(|(kind, _, outcome)| kind.starts_with("token_") && outcome == "done");
    entries.reverse();
    assert_eq!(entries.iter().map(|(kind, what, _)| (kind.as_str(), what.as_str())).collect::<Vec<_>>(), what);
    assert!(!format!("{:?}", on_record(&hospital, 100).await).contains(&token[4..]), "never the token itself");
    let mut store = store_of(&hospital).await;
    let kept: Vec<String> =
        sqlx::query_scalar("SELECT name || hex(hash) FROM service_tokens").fetch_all(&mut store).await.unwrap();
    assert!(kept.is_empty(), "nothing is left of it");
}

#[tokio::test]
async fn only_an_administrator_who_sees_everything_and_sits_at_a_browser_makes_one() {
    let hospital = with_accounts().await;
    let fields = [("name", "nagios"), ("right", "status"), ("all", "1"), ("password", PASSWORD)];
    for name in ["viewer", "operator", "odoo-only"] {
        let mut browser = Browser::signed_in(&hospital, name).await;
        let refused = browser.form("/api/make_service_token", &fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{name}");
        assert_eq!(browser.get("/service-tokens").await.status, StatusCode::FORBIDDEN, "{name}");
    }
    hospital
        .console
        .parts
        .store
        .set_rights("odoo-only", Role::Administrator, Some(&["odoo".to_owned()].into()))
        .await
        .unwrap()
        .unwrap();
    let mut limited = Browser::signed_in(&hospital, "odoo-only").await;
    let refused = limited.form("/api/make_service_token", &fields).await;
    assert!(refused.body.contains("Only administrators of all applications"), "{}", refused.body);
    assert_eq!(limited.get("/service-tokens").await.status, StatusCode::FORBIDDEN);

    let mut browser = Browser::signed_in(&hospital, "administrator").await;
    let own = make_token(&mut browser, &[("label", "x"), ("role", "administrator")]).await;
    for authorization in [own, basic("administrator", PASSWORD)] {
        let request = Request::post(format!("{BASE}/api/make_service_token"))
            .header(header::HOST, "console.test")
            .header(header::AUTHORIZATION, &authorization)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = format!("name=nagios&right=status&all=1&password={}", PASSWORD.replace(' ', "+"));
        let answer = hospital.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{authorization}: {}", answer.body);
    }
    assert!(hospital.console.parts.store.service_tokens().await.unwrap().is_empty());
}

#[tokio::test]
async fn where_there_are_no_accounts_the_page_makes_tokens_without_a_password() {
    let hospital = entered_by(&AuthMode::Open).await;
    let mut browser = Browser::new(&hospital);
    assert!(browser.get("").await.body.contains("/atomfeed-console/service-tokens\""), "a tab leads there");
    let page = make(&mut browser, &[("name", "nagios"), ("right", "status"), ("applications[0]", "odoo")]).await;
    let token = shown(&page).expect("a token");
    assert!(page.body.contains("status of Odoo") && !page.body.contains("name=\"password\""));
    let line = status(&hospital, &token).await;
    assert!(line.body.contains("Odoo") && !line.body.contains("OpenELIS"), "{}", line.body);
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over() {
    let hospital = with_accounts().await;
    let asked = Asked::checked("nagios", ServiceRight::Status, None, "1").unwrap();
    let (_, token) = asked.make(&hospital.console.parts.store, "test").await.unwrap();
    assert_eq!(status(&hospital, &token).await.status, StatusCode::OK);
    let mut store = store_of(&hospital).await;
    sqlx::query("UPDATE service_tokens SET expires_at = expires_at - 86400001").execute(&mut store).await.unwrap();
    let over = status(&hospital, &token).await;
    assert_eq!(over.status, StatusCode::UNAUTHORIZED);
    assert!(over.body.contains("has expired"), "{}", over.body);
    let mut browser = Browser::signed_in(&hospital, "administrator").await;
    assert!(browser.get("/service-tokens").await.body.contains("expired"));
}

#[tokio::test]
async fn the_settings_name_tokens_and_what_they_no_longer_name_opens_nothing() {
    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "secret-of-the-container:fedcba9876543210";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.db");
    let start = async |tokens: Vec<NamedToken>| {
        let hospital = with(|config| {
            config.access.service_tokens = tokens;
            config.store = file.clone();
        });
        let hospital = hospital.await;
        service_tokens::settle(&hospital.console).await.map(|()| hospital)
    };
    let hospital = start(vec![named("nagios", ONE), named("screen", OTHER)]).await.unwrap();
    for token in [ONE, OTHER] {
        assert_eq!(status(&hospital, token).await.status, StatusCode::OK, "{token}");
    }
    let mut browser = Browser::signed_in(&hospital, "administrator").await;
    let page = browser.get("/service-tokens").await;
    assert!(page.body.contains("by the settings") && !page.body.contains(ONE), "{}", page.body);
    let (kind, what, _) = on_record(&hospital, 4).await.into_iter().find(|(kind, ..)| kind == "token_made").unwrap();
    assert_eq!((kind.as_str(), what.as_str()), ("token_made", "service token screen for status, from the settings"));

    // The same settings again record nothing.
    let entries = on_record(&hospital, 1_000).await.len();
    service_tokens::settle(&hospital.console).await.unwrap();
    assert_eq!(on_record(&hospital, 1_000).await.len(), entries);

    // Revoked on the page, it stays revoked at the next start; the other one is missing from the settings.
    let tokens = hospital.console.parts.store.service_tokens().await.unwrap();
    let id = tokens.iter().find(|token| token.name == "nagios").unwrap().id.to_string();
    assert_eq!(browser.form("/api/revoke_service_token", &[("id", &id)]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(status(&hospital, ONE).await.status, StatusCode::UNAUTHORIZED);
    drop(browser);
    hospital.console.parts.store.close().await;
    drop(hospital);
    let hospital = start(vec![named("nagios", ONE)]).await.unwrap();
    for token in [ONE, OTHER] {
        assert_eq!(status(&hospital, token).await.status, StatusCode::UNAUTHORIZED, "{token}");
    }
    let mut browser = Browser::signed_in(&hospital, "administrator").await;
    let page = browser.get("/service-tokens").await;
    assert!(page.body.contains("<strong>revoked"), "{}", page.body);
    assert!(!page.body.contains("/api/revoke_service_token"), "nothing more to revoke");
    let gone = "service token screen (2): the settings do not name it any more";
    assert!(on_record(&hospital, 10).await.iter().any(|(_, what, _)| what == gone));
    drop(browser);
    hospital.console.parts.store.close().await;
    drop(hospital);

    // Another name and scope are adopted; another token under a name that is free again is accepted.
    let narrowed = NamedToken { applications: Some(["odoo".to_owned()].into()), ..named("nagios", OTHER) };
    let hospital = start(vec![narrowed]).await.unwrap();
    assert!(!status(&hospital, OTHER).await.body.contains("OpenELIS"));
    hospital.console.parts.store.close().await;
    drop(hospital);
    let hospital = start(vec![named("icinga", OTHER)]).await.unwrap();
    assert!(status(&hospital, OTHER).await.body.contains("OpenELIS"));
    let what = "service token icinga for status: the settings say so now";
    assert!(on_record(&hospital, 5).await.iter().any(|(_, entry, _)| entry == what));

    // The settings cannot take over what a user created here.
    let token = token_of(&hospital, "mine", None).await;
    hospital.console.parts.store.close().await;
    drop(hospital);
    for (wanted, says) in [
        (named("mine", ONE), "The service token \"mine\" was already created"),
        (named("x", &token), "has a token that was already created"),
    ] {
        let refused = start(vec![wanted]).await.map(drop).unwrap_err().to_string();
        assert!(refused.contains(says) && !refused.contains(&token), "{refused}");
    }
}

#[tokio::test]
async fn a_service_token_does_not_sign_in_for_whoever_sits_at_the_browser() {
    let hospital = with_accounts().await;
    let token = token_of(&hospital, "nagios", None).await;
    let mut browser = Browser::signed_in(&hospital, "administrator").await;
    let request = Request::get(format!("{BASE}/operations"))
        .header(header::ACCEPT, "text/html")
        .header(header::AUTHORIZATION, bearer(&token));
    let answer = browser.send(request, Body::empty()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "whoever sends one is that machine, whatever cookies come along");
    let sign_in = Request::get(format!("{BASE}/sign-in"))
        .header(header::ACCEPT, "text/html")
        .header(header::AUTHORIZATION, bearer(&token));
    let page = browser.send(sign_in, Body::empty()).await;
    assert!(page.body.contains("name=\"password\"") && !form_token_of(&page.body).is_empty(), "it is nobody there");
}
