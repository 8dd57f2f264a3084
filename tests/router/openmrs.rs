//! Signing in with OpenMRS accounts: a server that answers as OpenMRS does, and as it does when it is faulty.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use atomfeed_console::server::{
    config::{Openmrs, RoleNames},
    security::openmrs::OpenmrsClient,
};
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};

type Seen = Arc<Mutex<Vec<String>>>;

/// Answers below `/{how}/ws/rest/v1/session` as OpenMRS does in that state.
async fn openmrs(State(seen): State<Seen>, Path(how): Path<String>, method: Method, headers: HeaderMap) -> Response {
    let header = |name| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    seen.lock().unwrap().push(format!("{method} {how} {}{}", header(header::COOKIE), header(header::AUTHORIZATION)));
    let json = |body: String| ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    match how.as_str() {
        // "asha:right" and "registrar:right".
        "well" if method == Method::DELETE => StatusCode::NO_CONTENT.into_response(),
        "well" if header(header::AUTHORIZATION) == "Basic YXNoYTpyaWdodA==" => (
            [(header::SET_COOKIE, "JSESSIONID=77; Path=/openmrs; HttpOnly")],
            json(r#"{"authenticated":true,"user":{"username":"Asha","roles":[{"display":"IT Support"}],"privileges":[{"name":"Get Patients"}]}}"#.into()),
        )
            .into_response(),
        "well" if header(header::AUTHORIZATION) == "Basic cmVnaXN0cmFyOnJpZ2h0" => {
            json(r#"{"authenticated":true,"user":{"username":null,"systemId":"7-4","roles":[{"name":"Registrar"}]}}"#.into())
        }
        // "asha:named1" and so on: names that no user may have here.
        "named" => {
            let names = ["console", " Anybody ", "the command line", "a\nb", "\u{1b}[2J", &"x".repeat(100_000)];
            let asked = header(header::AUTHORIZATION);
            let place = ["YTow", "YTox", "YToy", "YToz", "YTo0", "YTo1"].iter().position(|name| asked.ends_with(name));
            let name = names[place.expect("one of these")];
            json(serde_json::json!({"authenticated": true, "user": {"username": name, "roles": [{"name": "IT Support"}]}}).to_string())
        }
        "well" => json(r#"{"authenticated":false,"sessionId":"x"}"#.into()),
        "strict" => StatusCode::UNAUTHORIZED.into_response(),
        "second" => StatusCode::NO_CONTENT.into_response(),
        "starting" => (StatusCode::FOUND, [(header::LOCATION, "/openmrs/initialsetup")]).into_response(),
        "broken" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "other" => "<html>It works!</html>".into_response(),
        "huge" => json(format!("\"{}\"", "x".repeat(4 << 20))),
        _ => {
            std::future::pending::<()>().await;
            StatusCode::OK.into_response()
        }
    }
}

async fn serve() -> (String, Seen) {
    let seen = Seen::default();
    let router = Router::new().route("/{how}/ws/rest/v1/session", any(openmrs)).with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), seen)
}

fn asking(url: &str) -> OpenmrsClient {
    let roles = RoleNames { operator: vec!["IT Support".into()], ..RoleNames::default() };
    let timeout = Duration::from_secs(if url.ends_with("silent") { 1 } else { 10 });
    OpenmrsClient::new(Openmrs { url: url.parse().unwrap(), ca: None, timeout, roles }).unwrap()
}

#[tokio::test]
async fn roles_of_openmrs_are_ours_and_its_session_is_ended_again() {
    let (origin, seen) = serve().await;
    let asking = asking(&format!("{origin}/well"));
    let known = asking.who("asha", "right").await.unwrap().unwrap();
    assert_eq!((known.name.as_str(), known.role.word()), ("Asha", "operator"));
    let ended = || seen.lock().unwrap().iter().any(|request| request == "DELETE well JSESSIONID=77");
    while !ended() {
        tokio::task::yield_now().await;
    }
    assert_eq!(asking.who("asha", "wrong").await.unwrap(), None);
    assert_eq!(asking.who("a:b", "right").await.unwrap(), None, "a name that Basic cannot carry");
    assert_eq!(asking.who("", "right").await.unwrap(), None);
    let refused = asking.who("registrar", "right").await.unwrap_err();
    assert_eq!(refused.status, 403);
    assert!(refused.what.contains("OpenMRS knows 7-4"), "{refused}");
}

#[tokio::test]
async fn what_openmrs_answers_when_it_is_not_well_is_told_in_words() {
    let (origin, _) = serve().await;
    assert_eq!(asking(&format!("{origin}/strict")).who("asha", "x").await.unwrap(), None);
    for (how, words) in [
        ("second", "second factor"),
        ("starting", "OpenMRS is starting"),
        ("broken", "status 500"),
        ("other", "not the REST service"),
        ("huge", "too large for OpenMRS"),
        ("silent", "too long to answer"),
    ] {
        let problem = asking(&format!("{origin}/{how}")).who("asha", "s3cr3t-Pa55").await.unwrap_err();
        assert_eq!(problem.status, 503, "{how}");
        assert!(problem.what.contains(words) && !problem.to_string().contains("s3cr3t"), "{how}: {problem}");
    }
    // Nothing listens there any more.
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let problem = asking(&format!("http://{gone}/openmrs")).who("asha", "x").await.unwrap_err();
    assert!(problem.what.contains("cannot be reached"), "{problem}");
}

#[tokio::test]
async fn nobody_is_called_as_the_console_calls_itself_or_by_what_is_no_name() {
    let (origin, _) = serve().await;
    let asking = asking(&format!("{origin}/named"));
    for number in 0..6 {
        let refused = asking.who("a", &number.to_string()).await.unwrap_err();
        assert_eq!(refused.status, 403, "{number}");
        assert!(refused.to_string().chars().count() < 500 && !refused.to_string().contains('\u{1b}'), "{refused}");
    }
}

/// A user whose password was right is recorded, even if refused; and a failure has the user's name if it is known.
#[tokio::test]
async fn a_refusal_by_openmrs_is_on_record() {
    use super::{
        access::{basic, script},
        hospital::Hospital,
    };
    use atomfeed_console::{
        model::audit::AuditFilter,
        server::config::{Access, AuthMode},
    };

    let (origin, _) = serve().await;
    let roles = RoleNames { operator: vec!["IT Support".into()], ..RoleNames::default() };
    let settings =
        Openmrs { url: format!("{origin}/well").parse().unwrap(), ca: None, timeout: Duration::from_secs(10), roles };
    let hospital = Hospital::with(&[], &[], "/atomfeed-console", |config| {
        config.access = Access { way: AuthMode::Openmrs(settings), ..Access::default() };
    })
    .await;
    let ask = async |name: &str, password: &str| {
        script(&hospital, Method::GET, "/api/own_account", Some(&basic(name, password))).await.status.as_u16()
    };
    assert_eq!(ask("registrar", "right").await, 403);
    assert_eq!(ask("asha", "wrong").await, 401);
    let mut browser = super::access::Browser::new(&hospital);
    assert_eq!(browser.sign_in("asha", "right", "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(ask("asha", "wrong again").await, 401);
    let mut entries = hospital.console.parts.store.audit_entries(&AuditFilter::default(), None, 50).await.unwrap();
    entries.reverse();
    let said: Vec<(&str, &str, &str)> =
        entries.iter().map(|entry| (entry.kind.as_str(), entry.who.as_str(), entry.what.as_str())).collect();
    assert_eq!(
        said,
        [
            ("sign_in_failed", "registrar", "the password was right; no role opens this console"),
            ("sign_in_failed", "(unknown name)", ""),
            ("sign_in", "Asha", ""),
            ("sign_in_failed", "asha", ""),
        ]
    );
}
