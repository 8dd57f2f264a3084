//! Who has access, and to what: every route without a user and as each role, sessions, tokens, old scripts, proxies.

use std::net::SocketAddr;

use atomfeed_console::{
    model::{Person, Right, Role},
    server::{
        config::{Access, AuthMode, Config, Proxy, RoleNames},
        http,
        routes::ROUTES,
        security::{authorize::Needs, passwords::PasswordChecker},
        store::{NewAccount, NewPassword},
    },
};
use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Method, Request, StatusCode, header},
};
use serde_json::json;

use super::hospital::{Answer, Hospital, Row, form_token_of, row};

pub(super) const BASE: &str = "/atomfeed-console";
pub(super) const PASSWORD: &str = "copper tunnel violin marsh";

/// A hospital with accounts: viewer, operator, administrator, and "odoo-only", an operator who may see only Odoo.
pub(super) async fn with_accounts() -> Hospital {
    with(|_| ()).await
}

pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Hospital {
    let mut mixed: Vec<Row> = vec![row(1, "2026-11-20 08:00:00"), row(2, "2026-11-20 09:00:00")];
    mixed[0].error = "Secret of Odoo".into();
    let mut elis = row(1, "2026-11-20 08:00:00");
    elis.error = "Secret of OpenELIS".into();
    let hospital = Hospital::with(&mixed, &[elis], BASE, |config| {
        config.access = Access::default();
        // Other tests cover masked texts: here only authorization counts.
        config.mask_texts = false;
        change(config);
    })
    .await;
    let hash = PasswordChecker::new().hash(PASSWORD).await.unwrap();
    for (name, role, applications) in [
        ("viewer", Role::Viewer, None),
        ("operator", Role::Operator, None),
        ("administrator", Role::Administrator, None),
        ("odoo-only", Role::Operator, Some(["odoo".to_owned()].into())),
    ] {
        let password = NewPassword { hash: hash.clone(), must_change: false, until: None };
        let account = NewAccount { name: name.into(), role, applications, password, created_by: "test".into() };
        // They exist already if a test starts on the store of another.
        hospital.console.parts.store.add_account(&account).await.unwrap();
    }
    hospital
}

/// A browser: it keeps cookies, requests pages, and sends forms with the token of a page that it saw.
pub(super) struct Browser<'h> {
    hospital: &'h Hospital,
    pub(super) cookies: Vec<(String, String)>,
    pub(super) token: String,
}

impl<'h> Browser<'h> {
    pub(super) fn new(hospital: &'h Hospital) -> Self {
        Self { hospital, cookies: Vec::new(), token: String::new() }
    }

    pub(super) async fn signed_in(hospital: &'h Hospital, name: &str) -> Self {
        let mut browser = Self::new(hospital);
        let answer = browser.sign_in(name, PASSWORD, "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{name}: {}", answer.body);
        browser.get("/help").await;
        browser
    }

    pub(super) async fn sign_in(&mut self, name: &str, password: &str, to: &str) -> Answer {
        self.get("/sign-in").await;
        self.form("/api/sign_in", &[("name", name), ("password", password), ("to", to)]).await
    }

    pub(super) fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub(super) fn session(&self) -> Option<&str> {
        self.cookies.iter().find(|(name, _)| name == "atomfeed_session").map(|(_, value)| value.as_str())
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        let request = Request::get(format!("{BASE}{path}")).header(header::ACCEPT, "text/html,*/*;q=0.8");
        let answer = self.send(request, Body::empty()).await;
        let token = form_token_of(&answer.body);
        if !token.is_empty() {
            self.token = token;
        }
        answer
    }

    pub(super) async fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut body = format!("form_token={}", self.token);
        for (key, value) in fields {
            atomfeed_console::model::filter::push(&mut body, key, value);
        }
        let request = Request::post(format!("{BASE}{path}"))
            .header(header::ORIGIN, "http://console.test")
            .header(header::ACCEPT, "text/html,*/*;q=0.8")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = self.send(request, Body::from(body)).await;
        match answer.refusal().and_then(|page| page.strip_prefix(BASE)) {
            Some(page) => self.get(page).await,
            None => answer,
        }
    }

    pub(super) async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> Answer {
        let request = request.header(header::HOST, "console.test").header(header::COOKIE, self.cookie());
        let answer = self.hospital.send(request.body(body).unwrap()).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }
}

pub(super) async fn script(hospital: &Hospital, method: Method, path: &str, authorization: Option<&str>) -> Answer {
    let mut request =
        Request::builder().method(method).uri(format!("{BASE}{path}")).header(header::HOST, "console.test");
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    hospital.send(request.body(Body::empty()).unwrap()).await
}

pub(super) fn basic(name: &str, password: &str) -> String {
    let value = axum_extra::headers::Authorization::basic(name, password);
    let mut values = Vec::new();
    axum_extra::headers::Header::encode(&value, &mut values);
    let value: &axum::http::HeaderValue = &values[0];
    value.to_str().unwrap().to_owned()
}

/// Returns a real path for a route of the table.
pub(super) fn path_of(route: &str) -> String {
    let path = route.replace("{app}", "odoo").replace("{event_id}", "tag:x").replace("{id}", "1");
    path.replace("{version}", "x").replace("{file}", "y").trim_end_matches('/').to_owned()
}

#[test]
fn everything_that_the_program_has_is_in_the_table_of_routes() {
    assert_eq!(http::without_authorization(), Vec::<String>::new());
    let functions: Vec<_> = server_fn_paths();
    for route in ROUTES.iter().filter(|route| route.path.starts_with("/api/")) {
        assert!(functions.contains(&route.path), "{} is in the table, but no function has it", route.path);
    }
}

fn server_fn_paths() -> Vec<&'static str> {
    server_fn::axum::server_fn_paths().map(|(path, _)| path).collect()
}

#[tokio::test]
async fn no_route_lets_in_anybody_without_the_right_that_it_needs() {
    let hospital = with_accounts().await;
    let mut browsers = vec![(None, Browser::new(&hospital))];
    for role in Role::ALL {
        browsers.push((Some(role), Browser::signed_in(&hospital, role.word()).await));
    }
    browsers[0].1.get("/sign-in").await;
    let mut refused = 0;
    for route in ROUTES {
        // These end the session that the other routes need.
        if route.path.starts_with("/api/sign_out") {
            continue;
        }
        let path = path_of(route.path);
        for (role, browser) in &mut browsers {
            let answer = if route.method() == Method::GET {
                browser.get(&path).await
            } else {
                browser.form(&path, &[("app", "odoo"), ("id", "1")]).await
            };
            let may = match (route.needs, *role) {
                (Needs::Nothing, _) | (Needs::SignedIn, Some(_)) => true,
                (Needs::SignedIn | Needs::Right(_) | Needs::RightOrToken(..), None) => false,
                (Needs::Right(right) | Needs::RightOrToken(right, _), Some(role)) => role.may(right),
            };
            let led_away = answer.header("location").starts_with("/atomfeed-console/sign-in?")
                || answer.header("location") == "/atomfeed-console/sign-in";
            let forbidden = answer.status == StatusCode::FORBIDDEN && answer.body.contains("administrators can ");
            match role {
                _ if may => assert!(!led_away && !forbidden, "{path} as {role:?}: {}", answer.status),
                None => assert!(led_away, "{path} as nobody: {}", answer.status),
                Some(_) => assert!(forbidden, "{path} as {role:?}: {} {}", answer.status, answer.body),
            }
            refused += u32::from(!may);
            if !may {
                assert!(!answer.body.contains("Secret of"), "{path} as {role:?} gives something away");
            }
        }
    }
    assert!(refused > 50, "only {refused} were refused");
}

#[tokio::test]
async fn no_change_is_taken_without_the_token_of_a_form() {
    let hospital = with_accounts().await;
    let mut browser = Browser::signed_in(&hospital, "administrator").await;
    let others = Browser::signed_in(&hospital, "viewer").await.token;
    let own = std::mem::take(&mut browser.token);
    let mut walked = 0;
    for route in ROUTES.iter().filter(|route| route.method() == Method::POST) {
        for token in ["", "0a", &others] {
            browser.token = token.to_owned();
            let answer = browser.form(&path_of(route.path), &[]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{} with {token:?}", route.path);
            assert!(answer.body.contains("Nothing was changed"), "{}: {}", route.path, answer.body);
            walked += 1;
        }
    }
    assert!(walked >= 45, "{walked}");
    assert_eq!(browser.session().map(str::len), Some(64), "nobody was signed out");
    browser.token = own;
    let answer = browser.form("/api/retry", &[("only", "odoo:1:5")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "and with it, it is taken: {}", answer.body);
}

#[tokio::test]
async fn every_form_of_every_page_carries_the_token() {
    let hospital = with_accounts().await;
    let mut browser = Browser::signed_in(&hospital, "administrator").await;
    let mut forms = 0;
    for page in [
        "",
        "/applications",
        "/applications/odoo",
        "/failed-events",
        "/failed-events/odoo/1",
        "/groups",
        "/groups/1",
        "/history",
        "/operations",
        "/discarded",
        "/help",
        "/account",
        "/account/second-factor",
        "/sign-in/code",
        "/accounts",
        "/service-tokens",
        "/no/such/page",
    ] {
        let answer = browser.get(page).await;
        for form in answer.body.split("<form").skip(1).filter(|form| form.split('>').next().unwrap().contains("post")) {
            let form = form.split("</form>").next().unwrap();
            assert!(form.contains("name=\"form_token\""), "{page}: {form}");
            forms += 1;
        }
    }
    assert!(forms >= 20, "{forms}");
}

#[tokio::test]
async fn nobody_is_led_to_the_sign_in_page_and_back_to_where_they_were() {
    let hospital = with_accounts().await;
    let mut browser = Browser::new(&hospital);
    let asked = browser.get("/failed-events?app=odoo&q=a%20b").await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER);
    assert_eq!(asked.header("location"), "/atomfeed-console/sign-in?to=/failed-events%3Fapp%3Dodoo%26q%3Da%2520b");
    let page = browser.get("/sign-in?to=/failed-events%3Fapp%3Dodoo%26q%3Da%2520b").await;
    assert!(page.body.contains("value=\"/failed-events?app=odoo&amp;q=a%20b\""), "{}", page.body);
    let answer = browser.sign_in("viewer", PASSWORD, "/failed-events?app=odoo&q=a%20b").await;
    assert_eq!(answer.header("location"), "/atomfeed-console/failed-events?app=odoo&q=a%20b");
    for to in ["//evil.example", "https://evil.example", "/\\evil.example", "/x\r\nSet-Cookie: a=b", ""] {
        let answer = browser.sign_in("viewer", PASSWORD, to).await;
        assert_eq!(answer.header("location"), "/atomfeed-console", "{to:?}");
    }
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_are_told_in_the_same_words() {
    let hospital = with_accounts().await;
    hospital.console.parts.store.set_disabled("operator", true).await.unwrap().unwrap();
    let mut bodies = Vec::new();
    for (name, password) in [("viewer", "wrong"), ("nobody", PASSWORD), ("operator", PASSWORD), ("", PASSWORD)] {
        let mut browser = Browser::new(&hospital);
        let answer = browser.sign_in(name, password, "/operations").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(browser.session(), None);
        assert!(answer.body.contains("Wrong user name or password."), "{}", answer.body);
        assert!(answer.body.contains("name=\"password\""), "on the page of the form itself");
        // The typed name is in its field again, and nothing else distinguishes the answers.
        let body = answer.body.replace(&form_token_of(&answer.body), "");
        bodies.push(body.replace(&format!("value=\"{name}\""), "").len());
    }
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[0], bodies[2]);
}

#[tokio::test]
async fn a_session_has_a_new_id_at_each_sign_in_and_ends_at_sign_out() {
    let hospital = with_accounts().await;
    let mut browser = Browser::signed_in(&hospital, "viewer").await;
    let first = browser.session().unwrap().to_owned();
    assert!(browser.get("").await.body.contains("viewer"));
    browser.sign_in("viewer", PASSWORD, "").await;
    let second = browser.session().unwrap().to_owned();
    assert_ne!(first, second);
    let with = |session: &str| {
        let cookie = format!("atomfeed_session={session}");
        Request::get(format!("{BASE}/apps")).header(header::COOKIE, cookie).body(Body::empty()).unwrap()
    };
    assert_eq!(hospital.send(with(&first)).await.status, StatusCode::UNAUTHORIZED, "the old one has ended");
    assert_eq!(hospital.send(with(&second)).await.status, StatusCode::OK);

    browser.get("/help").await;
    let answer = browser.form("/api/sign_out", &[]).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/sign-in");
    assert_eq!(browser.session(), None, "the browser forgets it");
    assert_eq!(hospital.send(with(&second)).await.status, StatusCode::UNAUTHORIZED, "and so does the console");
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_after_its_longest_time() {
    for change in [(|access| access.session_idle = std::time::Duration::ZERO) as fn(&mut Access), |access| {
        access.session_longest = std::time::Duration::ZERO
    }] {
        let hospital = with(|config| change(&mut config.access)).await;
        let mut browser = Browser::new(&hospital);
        assert_eq!(browser.sign_in("viewer", PASSWORD, "").await.status, StatusCode::SEE_OTHER);
        let answer = browser.get("/operations").await;
        assert_eq!(answer.header("location"), "/atomfeed-console/sign-in?to=/operations");
        let page = browser.get("/sign-in?to=/operations").await;
        assert!(page.body.contains("Your session has ended"), "it says why: {}", page.body);
    }
}

#[tokio::test]
async fn what_somebody_may_do_never_changes_under_a_session() {
    let hospital = with_accounts().await;
    let mut administrator = Browser::signed_in(&hospital, "administrator").await;
    for (path, fields) in [
        ("/api/change_account", &[("name", "operator"), ("role", "viewer"), ("all", "1")][..]),
        ("/api/new_password", &[("name", "operator")]),
        ("/api/disable_account", &[("name", "operator"), ("disabled", "true")]),
    ] {
        let name = "operator";
        let mut theirs = Browser::new(&hospital);
        if theirs.sign_in(name, PASSWORD, "").await.status != StatusCode::SEE_OTHER {
            // The one-time password of the previous step.
            let page = administrator.get("/accounts").await;
            let password = page.body.split("data-new-password").nth(1).unwrap();
            let password = password.split('>').nth(1).unwrap().split('<').next().unwrap().to_owned();
            assert!(!administrator.get("/accounts").await.body.contains(&password), "it is shown once");
            assert_eq!(theirs.sign_in(name, &password, "").await.header("location"), "/atomfeed-console/account");
        }
        let answer = administrator.form(path, fields).await;
        assert_eq!(answer.header("location"), "/atomfeed-console/accounts", "{path}: {}", answer.body);
        assert!(theirs.get("/account").await.header("location").starts_with("/atomfeed-console/sign-in"), "{path}");
    }
}

#[tokio::test]
async fn a_one_time_password_opens_nothing_but_its_own_change() {
    let hospital = with_accounts().await;
    let (password, kept) = PasswordChecker::new().one_time().await.unwrap();
    hospital.console.parts.store.set_password("operator", &kept, None).await.unwrap().unwrap();
    let mut browser = Browser::new(&hospital);
    let answer = browser.sign_in("operator", &password, "/failed-events").await;
    assert_eq!(answer.header("location"), "/atomfeed-console/account");
    for page in ["", "/failed-events", "/failed-events/odoo/1", "/failed-events.csv"] {
        assert_eq!(browser.get(page).await.header("location"), "/atomfeed-console/account", "{page}");
    }
    assert_eq!(script(&hospital, Method::GET, "/apps", Some(&basic("operator", &password))).await.status, 403);
    let account = browser.get("/account").await;
    assert!(account.body.contains("Choose a new password"), "{}", account.body);
    for function in ["make_token", "save_preferences", "sign_out_everywhere", "end_session", "begin_second_factor"] {
        assert!(!account.body.contains(function), "{function}: nothing before that");
    }
    let at = |text: &str| account.body.find(text).unwrap_or_else(|| panic!("{text}: {}", account.body));
    assert!(at("/api/change_password") < at("Your rights"), "the form comes first");
    let new = "nine lanterns under water";
    for (current, first, second, words) in [
        ("wrong", new, new, "current password is wrong"),
        (&password, new, "another one entirely", "two passwords are not the same"),
        (&password, "short", "short", "at least 15 are needed"),
        (&password, "operator-operator", "operator-operator", "This password cannot be used."),
        (&password, &password, &password, "is the same as the current one"),
    ] {
        let fields = [("current", current), ("new", first), ("again", second)];
        let answer = browser.form("/api/change_password", &fields).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{words}: {}", answer.body);
        assert!(answer.body.contains(words) && answer.body.contains("name=\"current\""), "{words}: {}", answer.body);
    }
    let before = browser.session().unwrap().to_owned();
    let answer = browser.form("/api/change_password", &[("current", &password), ("new", new), ("again", new)]).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/account?changed=password", "{}", answer.body);
    assert_ne!(browser.session().unwrap(), before, "the session gets another id");
    assert_eq!(browser.get("/failed-events").await.status, StatusCode::OK);
    assert_eq!(Browser::new(&hospital).sign_in("operator", &password, "").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn somebody_signs_out_everywhere_and_sees_where_they_were() {
    let hospital = with_accounts().await;
    let mut one = Browser::signed_in(&hospital, "operator").await;
    let mut two = Browser::signed_in(&hospital, "operator").await;
    let mut three = Browser::signed_in(&hospital, "operator").await;
    let mut other = Browser::signed_in(&hospital, "viewer").await;
    let page = one.get("/account").await;
    assert_eq!(page.body.matches("name=\"number\"").count(), 2, "the others can be ended, one by one");
    let number = page.body.split("name=\"number\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(other.form("/api/end_session", &[("number", &number)]).await.status, StatusCode::NOT_FOUND);
    one.form("/api/end_session", &[("number", &number)]).await;
    let gone = [two.get("").await, three.get("").await].iter().filter(|answer| answer.status.is_redirection()).count();
    assert_eq!(gone, 1);
    one.form("/api/sign_out_everywhere", &[]).await;
    for browser in [&mut one, &mut two, &mut three] {
        assert!(browser.get("").await.status.is_redirection());
    }
    assert_eq!(other.get("").await.status, StatusCode::OK);
}

#[tokio::test]
async fn applications_that_are_not_somebodys_are_nowhere() {
    let hospital = with_accounts().await;
    let mut all = Browser::signed_in(&hospital, "operator").await;
    all.form("/api/retry", &[("only", "openelis:1:5")]).await;
    all.form("/api/retry", &[("rows[]", "openelis:1:0"), ("rows[]", "odoo:2:5")]).await;
    let mut limited = Browser::signed_in(&hospital, "odoo-only").await;
    limited.form("/api/retry", &[("only", "odoo:1:5")]).await;
    hospital.followed().await;
    for path in [
        "",
        "/applications",
        "/applications/odoo",
        "/failed-events",
        "/failed-events?q=Secret",
        "/search?q=Secret",
        "/api/search?query=q%3DSecret",
        "/failed-events/odoo/1",
        "/failed-events.csv",
        "/failed-events.ndjson",
        "/groups",
        "/history",
        "/history.csv",
        "/discarded",
        "/operations",
        "/operations/3",
        "/help",
        "/account",
        "/apps",
        "/api/applications",
        "/api/failed_events?query=",
        "/api/failed_event?app=odoo&id=1&list=",
        "/api/operations",
        "/api/groups?quiet=false",
        "/api/history?query=",
        "/api/discarded",
        "/api/news?query=&mark=openelis~0",
    ] {
        let answer = limited.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        assert!(!answer.body.to_lowercase().contains("openelis"), "{path} tells of it: {}", answer.body);
        let whole = all.get(path).await.body.to_lowercase();
        let tells = !matches!(
            path,
            "/help"
                | "/account"
                | "/discarded"
                | "/api/discarded"
                | "/operations/3"
                | "/api/news?query=&mark=openelis~0"
        ) && !path.contains("odoo");
        assert!(!tells || whole.contains("openelis"), "{path} would have told of it");
    }
    for path in [
        "/applications/openelis",
        "/failed-events?app=openelis",
        "/failed-events/openelis/1",
        "/failed-events.csv?app=openelis",
        "/failed-events/openelis/1/payload.txt",
        "/failed-events/openelis/1/error.txt",
        "/apps/OpenELIS/feedStatus",
        "/operations/1",
        "/operations/2",
        "/api/operation?id=1",
        "/api/publisher?app=openelis",
        "/api/application?app=openelis",
        "/api/history?query=app%3Dopenelis",
    ] {
        let answer = limited.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.body.contains("Secret of OpenELIS"), "{path}");
    }
    // A user who opens a colleague's link reads what to do, in the same sentence whether the application exists or not.
    let told = async |limited: &mut Browser<'_>, app: &str| {
        let page = limited.get(&format!("/failed-events?app={app}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        let main = between(&page.body, "<main", "</main>").replace(app, "…");
        assert!(main.contains("You may not see an application"), "{main}");
        assert!(
            main.contains("Your account may see: Odoo. If you need another application, ask an administrator"),
            "{main}"
        );
        main
    };
    assert_eq!(told(&mut limited, "openelis").await, told(&mut limited, "nowhere").await);
    assert_eq!(limited.form("/api/retry", &[("only", "openelis:1:0")]).await.status, StatusCode::NOT_FOUND);
    let both = limited.form("/api/retry", &[("rows[]", "odoo:2:0"), ("rows[]", "openelis:1:0")]).await;
    assert_eq!(both.status, StatusCode::NOT_FOUND);
    let reset = script(
        &hospital,
        Method::POST,
        &format!("/apps/OpenELIS/failedEvent/{}/resetRetryCount", row(1, "").event),
        Some(&basic("odoo-only", PASSWORD)),
    )
    .await;
    assert_eq!(reset.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_search_says_which_applications_it_covers_and_not_whether_there_are_others() {
    let hospital = with_accounts().await;
    let mut browser = Browser::signed_in(&hospital, "odoo-only").await;
    let said = |page: &str, typed: &str| between(page, "<main", "</main>").replace(typed, "X");
    let search = async |browser: &mut Browser<'_>, typed: &str| {
        let page = browser.get(&format!("/search?q={}", typed.replace(' ', "+"))).await.body;
        assert!(page.contains("Nothing found for"), "{typed}: {page}");
        said(&page, typed)
    };
    let there = search(&mut browser, "OpenELIS 1").await;
    assert!(there.contains("that your account may see are searched: Odoo. If you need another"), "{there}");
    let nowhere = search(&mut browser, "OpenEMRX 1").await;
    let of =
        |text: &str| text.split("What you can search for").nth(1).unwrap().split("</ul>").nth(1).unwrap().to_owned();
    assert_eq!(of(&there).split("Payloads").next(), of(&nowhere).split("Payloads").next());
    let mut all = Browser::signed_in(&hospital, "viewer").await;
    assert!(!search(&mut all, "OpenEMRX 1").await.contains("your account may see"));
}

#[tokio::test]
async fn what_a_role_may_not_do_is_offered_on_no_page() {
    let hospital = with_accounts().await;
    let mut viewer = Browser::signed_in(&hospital, "viewer").await;
    let list = viewer.get("/failed-events").await.body;
    assert!(list.contains("/failed-events/odoo/1?") || list.contains("/failed-events/odoo/1\""), "{list}");
    for offered in ["Only operators", "type=\"checkbox\" name=\"rows[]\"", "Retry selected", "Retry all"] {
        assert!(!list.contains(offered), "{offered}: {list}");
    }
    let plans = |body: &str| body.matches("/api/plan_operation\"").count();
    let retry = viewer_lacks(Right::Retry);
    for page in ["/failed-events/odoo/1", "/groups/1"] {
        let body = viewer.get(page).await.body;
        let main = between(&body, "<main", "</main>");
        assert!(!main.contains("<button") || !main.contains(" disabled"), "{page} has no button that is off: {main}");
        assert!(!main.contains("/api/retry\"") && plans(main) == 0, "{page} has no form that would be refused: {main}");
        assert!(!main.contains("aria-disabled"), "{page}: {main}");
        assert_eq!(main.matches(&retry).count(), 1, "{page} says why in one line: {main}");
        assert!(!main.contains("can give you the role"), "{page}: {main}");
    }
    // An operator sees nothing of discarding, and can retry.
    let mut operator = Browser::signed_in(&hospital, "operator").await;
    for (page, forms) in [("/failed-events/odoo/1", 0), ("/groups/1", 1)] {
        let body = operator.get(page).await.body;
        let main = between(&body, "<main", "</main>");
        assert!(!main.contains("Discard") && !main.contains("Your role"), "{page}: {main}");
        assert_eq!(plans(main), forms, "{page}: {main}");
    }
    assert!(operator.get("/failed-events/odoo/1").await.body.contains("data-retry-main"));
    let list = operator.get("/failed-events").await.body;
    let main = between(&list, "<main", "</main>");
    assert!(main.contains("Retry all") && !main.contains("Discard"), "{main}");

    // An administrator's own pages come after those of daily work.
    let mut administrator = Browser::signed_in(&hospital, "administrator").await;
    let body = administrator.get("/help").await.body;
    let tabs = between(&body, "aria-label=\"Main\"", "</nav>");
    let places: Vec<usize> = [">Help<", ">Accounts<", ">Audit<"]
        .iter()
        .map(|tab| tabs.find(tab).unwrap_or_else(|| panic!("{tab}: {tabs}")))
        .collect();
    assert!(places.is_sorted(), "{tabs}");

    // A plan, an operation and what it discarded, as shown to a user who may not act on them.
    let made = administrator.form("/api/plan_operation", &[("kind", "discard"), ("rows[]", "odoo:1:5")]).await;
    let plan = made.header("location").strip_prefix(BASE).expect("the plan").to_owned();
    let body = operator.get(&plan).await.body;
    let main = between(&body, "<main", "</main>");
    assert!(!main.contains("<form") && !main.contains("type=\"submit\""), "{main}");
    assert_eq!(main.matches(&lacks(Role::Operator, Right::Discard)).count(), 1, "{main}");
    let id = plan.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    administrator.form("/api/start_operation", &[("id", &id), ("reason", "test")]).await;
    hospital.ended(id.parse().unwrap()).await;
    hospital.look("odoo").await;
    for page in [plan.as_str(), "/discarded", "/failed-events/odoo/1"] {
        let whole = administrator.get(page).await.body;
        assert!(whole.contains("Restore") && whole.contains("/api/plan_operation\""), "{page}: {whole}");
        let body = operator.get(page).await.body;
        let main = between(&body, "<main", "</main>");
        assert!(plans(main) <= usize::from(page == "/discarded") && !main.contains("Restore "), "{page}: {main}");
        assert!(!main.contains("type=\"checkbox\"") && !main.contains("Your role"), "{page}: {main}");
    }
}

/// Returns the refusal for a right that a role lacks.
fn lacks(role: Role, right: Right) -> String {
    Person { role, ..Person::anybody() }.lacks(right).expect("they lack it").to_string()
}

fn viewer_lacks(right: Right) -> String {
    lacks(Role::Viewer, right)
}

#[tokio::test]
async fn what_a_role_may_not_do_is_refused() {
    let hospital = with_accounts().await;
    let mut viewer = Browser::signed_in(&hospital, "viewer").await;
    let answer = viewer.form("/api/retry", &[("only", "odoo:1:5")]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("An administrator can give you the role operator."), "{}", answer.body);
    assert_eq!(hospital.retries("Odoo").await[&1].0, 5);
    assert!(!viewer.get("").await.body.contains("/accounts\""), "no way to what is not theirs");
}

/// Creates a token as a user does, and returns it.
pub(super) async fn make_token(browser: &mut Browser<'_>, fields: &[(&str, &str)]) -> String {
    browser.get("/account").await;
    let fields = [&[("password", PASSWORD)], fields].concat();
    let answer = browser.form("/api/make_token", &fields).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/account#tokens", "{}", answer.body);
    let page = browser.get("/account").await;
    let token = page.body.split("data-new-token").nth(1).expect("it is shown");
    let token = token.split('>').nth(1).unwrap().split('<').next().unwrap().trim().to_owned();
    assert!(!browser.get("/account").await.body.contains(&token), "it is shown once");
    format!("Bearer {token}")
}

#[tokio::test]
async fn a_token_lets_a_script_do_what_it_is_for_and_no_more() {
    let hospital = with_accounts().await;
    let mut browser = Browser::signed_in(&hospital, "operator").await;
    let reset = format!("/apps/Odoo/failedEvent/{}/resetRetryCount", row(1, "").event);
    let reading =
        make_token(&mut browser, &[("label", "report"), ("role", "operator"), ("reading", "1"), ("days", "30")]).await;
    let acting = make_token(&mut browser, &[("label", "nightly retry"), ("role", "operator"), ("days", "")]).await;

    assert_eq!(script(&hospital, Method::GET, "/apps", Some(&reading)).await.json(), json!(["Odoo", "OpenELIS"]));
    let refused = script(&hospital, Method::POST, &reset, Some(&reading)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.json()["error"].as_str().unwrap().contains("can only read"), "{}", refused.body);
    assert_eq!(script(&hospital, Method::POST, &reset, Some(&acting)).await.status, StatusCode::OK);
    let operation = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
    assert_eq!(operation.who, "operator", "it is the person who goes on record");

    let higher = browser.form("/api/make_token", &[("label", "x"), ("role", "administrator")]).await;
    assert_eq!(higher.status, StatusCode::BAD_REQUEST, "no token carries more than its owner");
    let page = browser.get("/account").await;
    assert!(page.body.contains("nightly retry"), "{}", page.body);
    let made = script(&hospital, Method::POST, "/api/make_token", Some(&acting)).await;
    assert_ne!(made.status, StatusCode::SEE_OTHER, "a token makes no tokens");

    let id = page.body.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut other = Browser::signed_in(&hospital, "administrator").await;
    assert_eq!(other.form("/api/revoke_token", &[("id", &id)]).await.status, StatusCode::NOT_FOUND, "nobody else's");
    browser.form("/api/revoke_token", &[("id", &id)]).await;
    let answer = script(&hospital, Method::GET, "/apps", Some(&acting)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.json()["error"].as_str().unwrap().contains("was revoked"), "{}", answer.body);

    hospital.console.parts.store.set_rights("operator", Role::Viewer, None).await.unwrap().unwrap();
    let text = script(&hospital, Method::GET, "/apps", Some(&reading)).await;
    assert_eq!(text.status, StatusCode::OK);
    hospital.console.parts.store.set_disabled("operator", true).await.unwrap().unwrap();
    assert_eq!(script(&hospital, Method::GET, "/apps", Some(&reading)).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_old_script_sends_name_and_password_and_a_browser_cannot_be_made_to() {
    let hospital = with_accounts().await;
    let reset = format!("/apps/Odoo/failedEvent/{}/resetRetryCount", row(1, "").event);
    let nobody = script(&hospital, Method::GET, "/apps", None).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    let ways: Vec<_> =
        nobody.headers.get_all(header::WWW_AUTHENTICATE).iter().map(|way| way.to_str().unwrap()).collect();
    assert!(
        ways.iter().any(|way| way.starts_with("Bearer")) && ways.iter().any(|way| way.starts_with("Basic")),
        "{ways:?}"
    );
    assert!(nobody.json()["error"].is_string());
    let operator = basic("operator", PASSWORD);
    assert_eq!(script(&hospital, Method::GET, "/apps", Some(&operator)).await.status, StatusCode::OK);
    assert_eq!(script(&hospital, Method::GET, "/apps", Some(&basic("operator", "wrong"))).await.status, 401);
    assert_eq!(script(&hospital, Method::POST, &reset, Some(&basic("viewer", PASSWORD))).await.status, 403);

    // A browser that has kept the credentials sends them along, with a header of its origin.
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("referer", "http://evil.example/"),
        ("sec-fetch-site", "cross-site"),
        ("accept", "text/html"),
        ("cookie", "a=b"),
    ] {
        let request = Request::post(format!("{BASE}{reset}"))
            .header(header::HOST, "console.test")
            .header(header::AUTHORIZATION, &operator)
            .header(name, value);
        let answer = hospital.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert_eq!(hospital.retries("Odoo").await[&1].0, 5);
    // And it is never prompted for them.
    let request = Request::get(format!("{BASE}/api/news?query=&mark=")).header("referer", "http://console.test/x");
    let answer = hospital.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(
        !answer.headers.get_all(header::WWW_AUTHENTICATE).iter().any(|way| way.to_str().unwrap().starts_with("Basic"))
    );

    assert_eq!(script(&hospital, Method::POST, &reset, Some(&operator)).await.status, StatusCode::OK);
    let checker = PasswordChecker::new();
    let other =
        NewPassword { hash: checker.hash("another one entirely").await.unwrap(), must_change: false, until: None };
    hospital.console.parts.store.set_password("operator", &other, None).await.unwrap().unwrap();
    assert_eq!(
        script(&hospital, Method::GET, "/apps", Some(&operator)).await.status,
        401,
        "what was proved is forgotten"
    );
}

#[tokio::test]
async fn a_script_that_asks_for_much_at_once_is_not_taken_for_one_that_guesses() {
    let hospital = with_accounts().await;
    let operator = basic("operator", PASSWORD);
    let asked = (0..20).map(|_| script(&hospital, Method::GET, "/apps", Some(&operator)));
    let answers = futures::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_owner_still_comes_in() {
    let hospital = with_accounts().await;
    let mut own = Browser::signed_in(&hospital, "viewer").await;
    let mut guesses = Vec::new();
    for number in 0..8 {
        let mut stranger = Browser::new(&hospital);
        guesses.push(stranger.sign_in("viewer", &format!("wrong wrong {number}"), "").await);
    }
    assert_eq!(guesses[0].status, StatusCode::UNAUTHORIZED);
    let last = guesses.last().unwrap();
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.body.contains("Your account is not locked"), "{}", last.body);
    let wait: u64 = last.header("retry-after").parse().expect("seconds to wait");
    assert!(wait >= 1 && last.body.contains(&format!("Wait {wait} s")), "{wait}: {}", last.body);
    assert_eq!(own.sign_in("viewer", PASSWORD, "").await.status, StatusCode::SEE_OTHER, "in her own browser");
}

/// Returns the part of a page between two texts.
fn between<'p>(page: &'p str, from: &str, until: &str) -> &'p str {
    let rest = page.split_once(from).unwrap_or_else(|| panic!("no {from} in {page}")).1;
    rest.split_once(until).unwrap_or_else(|| panic!("no {until} in {page}")).0
}

/// A computer of the ward from which others have signed in: a machine that uses a new browser for each password has no
/// browser from which anyone has signed in.
#[tokio::test]
async fn where_a_colleague_has_signed_in_nobody_waits_for_a_machine_at_the_same_address() {
    let hospital = with_accounts().await;
    let mut ward = Browser::signed_in(&hospital, "viewer").await;
    let out = ward.form("/api/sign_out", &[]).await;
    assert_eq!(out.status, StatusCode::SEE_OTHER, "{}", out.body);
    for number in 0..8 {
        let mut machine = Browser::new(&hospital);
        machine.sign_in("operator", &format!("wrong wrong wrong {number}"), "").await;
    }
    let mut new = Browser::new(&hospital);
    let refused = new.sign_in("operator", PASSWORD, "").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.body.contains("a browser that you or a colleague has signed in from before"), "{}", refused.body);
    assert_eq!(ward.sign_in("operator", PASSWORD, "").await.status, StatusCode::SEE_OTHER);
}

/// Every client on a network can choose any number of IPv6 addresses.
#[tokio::test]
async fn guesses_from_many_addresses_of_one_ipv6_network_share_a_lane() {
    let hospital = with_accounts().await;
    let mut statuses = Vec::new();
    for number in 0..12 {
        let mut request = Request::get(format!("{BASE}/apps"))
            .header(header::HOST, "console.test")
            .header(header::AUTHORIZATION, basic("operator", &format!("wrong wrong wrong {number}")))
            .body(Body::empty())
            .unwrap();
        let address = format!("2001:db8:1:2:{number:x}::{number:x}").parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, 4711)));
        statuses.push(hospital.send(request).await.status.as_u16());
    }
    // From twelve machines, all would be tried.
    assert_eq!((statuses[0], statuses[11]), (401, 429), "{statuses:?}");
}

#[tokio::test]
async fn no_new_account_looks_like_another_one() {
    let hospital = with_accounts().await;
    let store = &hospital.console.parts.store;
    let mut administrator = Browser::signed_in(&hospital, "administrator").await;
    // Cyrillic letters: one among Latin ones, and a whole word of them.
    let (mixed, whole) = ("\u{430}dministrator", "\u{455}\u{441}\u{43e}\u{440}\u{435}");
    for (name, refused) in [
        (mixed, Some("This name mixes letters of different scripts")),
        ("scope", None),
        (whole, Some("This name looks like the name of the account scope.")),
        ("SCOPE", Some("The account scope already exists.")),
        ("\u{43f}\u{435}\u{442}\u{440}", None),
    ] {
        let fields = [("name", name), ("role", "viewer"), ("all", "1")];
        let answer = administrator.form("/api/add_account", &fields).await;
        match refused {
            Some(words) => {
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {}", answer.body);
                assert!(answer.body.contains(words), "{name}: {}", answer.body);
            }
            None => {
                assert_eq!(answer.status, StatusCode::SEE_OTHER, "{name}: {}", answer.body);
                assert!(store.account(name).await.unwrap().is_some(), "{name}");
            }
        }
    }
    // An existing account keeps its name.
    let password =
        NewPassword { hash: PasswordChecker::new().hash(PASSWORD).await.unwrap(), must_change: false, until: None };
    let (name, created_by) = (mixed.to_owned(), "test".to_owned());
    store
        .add_account(&NewAccount { name, role: Role::Viewer, applications: None, password, created_by })
        .await
        .unwrap();
    let answer = Browser::new(&hospital).sign_in(mixed, PASSWORD, "").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
}

/// "All" beside ticked boxes is ambiguous: neither is guessed, and what was typed remains.
#[tokio::test]
async fn an_account_is_for_all_applications_or_for_some_and_never_for_both() {
    let hospital = with_accounts().await;
    let store = &hospital.console.parts.store;
    let mut administrator = Browser::signed_in(&hospital, "administrator").await;
    let both = [("name", "asha"), ("role", "operator"), ("all", "1"), ("applications[]", "odoo")];
    let answer = administrator.form("/api/add_account", &both).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(store.account("asha").await.unwrap().is_none());
    let form = between(&answer.body, "id=\"new\"", "</section>");
    for part in [
        "All applications and some applications are selected.",
        "value=\"asha\"",
        "<option value=\"operator\" selected",
        "name=\"applications[]\" value=\"odoo\" checked",
    ] {
        assert!(form.contains(part), "{part}: {form}");
    }
    assert!(answer.body.contains("<title>Not saved · Accounts"), "{}", answer.body);
    let answer = administrator.form("/api/add_account", &[("name", "asha"), ("role", "operator"), ("all", "")]).await;
    assert!(answer.status == StatusCode::BAD_REQUEST && answer.body.contains("No application is selected"));
    // The same for an existing account: its form comes back open, and no other one.
    let both = [("name", "viewer"), ("role", "viewer"), ("all", "1"), ("applications[]", "odoo")];
    let answer = administrator.form("/api/change_account", &both).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.body.matches("All applications and some").count(), 1);
    assert_eq!(answer.body.matches("<details open>").count(), 1, "{}", answer.body);
    assert_eq!(store.account("viewer").await.unwrap().unwrap().applications, None);
    // And for service tokens.
    let both =
        [("name", "nagios"), ("right", "status"), ("all", "1"), ("applications[]", "odoo"), ("password", PASSWORD)];
    let answer = administrator.form("/api/make_service_token", &both).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(
        answer.body.contains("All applications and some") && answer.body.contains("value=\"nagios\""),
        "{}",
        answer.body
    );
    assert!(!answer.body.contains(PASSWORD), "a password never comes back");
}

/// After a mistake, the message is at the field, in the form that was sent, with what was typed in it.
#[tokio::test]
async fn what_is_wrong_with_a_field_of_an_account_form_stands_at_that_field() {
    let hospital = with_accounts().await;
    let mut administrator = Browser::signed_in(&hospital, "administrator").await;
    let new = "four words nobody says together";
    for (path, fields, field, kept) in [
        ("change_password", &[("current", "wrong"), ("new", new), ("again", new)][..], "current", ""),
        ("change_password", &[("current", PASSWORD), ("new", "short"), ("again", "short")], "new", ""),
        ("change_password", &[("current", PASSWORD), ("new", PASSWORD), ("again", PASSWORD)], "new", ""),
        ("change_password", &[("current", PASSWORD), ("new", new), ("again", "x")], "again", ""),
        (
            "make_token",
            &[("role", "viewer"), ("label", " "), ("days", "9"), ("password", PASSWORD)],
            "label",
            "value=\"9\"",
        ),
        (
            "make_token",
            &[("role", "viewer"), ("label", "report"), ("days", "0"), ("password", PASSWORD)],
            "days",
            "value=\"report\"",
        ),
        (
            "make_token",
            &[("role", "viewer"), ("label", "report"), ("days", ""), ("password", "wrong")],
            "password",
            "value=\"report\"",
        ),
        ("begin_second_factor", &[("password", "wrong")], "password", ""),
        (
            "make_service_token",
            &[("name", " "), ("right", "status"), ("all", "1"), ("days", "7"), ("password", PASSWORD)],
            "name",
            "value=\"7\"",
        ),
        (
            "make_service_token",
            &[("name", "nagios"), ("right", "status"), ("all", "1"), ("days", "x"), ("password", PASSWORD)],
            "days",
            "value=\"nagios\"",
        ),
        (
            "make_service_token",
            &[("name", "nagios"), ("right", "status"), ("all", "1"), ("password", "wrong")],
            "password",
            "value=\"nagios\"",
        ),
        ("add_account", &[("name", "two words"), ("role", "viewer"), ("all", "1")], "name", "value=\"two words\""),
    ] {
        let answer = administrator.form(&format!("/api/{path}"), fields).await;
        let case = format!("{path}, {field}: {}", answer.body);
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{case}");
        let form = between(&answer.body, &format!("/api/{path}\""), "</form>");
        let input = between(form, &format!("name=\"{field}\""), ">");
        let told = between(input, "aria-describedby=\"", "\"");
        assert!(input.contains("aria-invalid=\"true\""), "{case}");
        assert!(form.contains(&format!("id=\"{told}\"")) && form.contains(kept), "{case}");
        assert_eq!(answer.body.matches("class=\"field-problem\"").count(), 1, "{case}");
        assert!(!answer.body.contains(PASSWORD), "a password never comes back: {case}");
        // A form within an element that can be opened comes back open.
        let before = &answer.body[..answer.body.find(form).unwrap()];
        let folded = before.rfind("<details").filter(|at| !before[*at..].contains("</details>"));
        assert!(folded.is_none_or(|at| before[at..].split('>').next().unwrap().contains("open")), "{case}");
    }
}

/// Actions on accounts ask before they act, and the next page says what they did, once.
#[tokio::test]
async fn what_ends_sessions_asks_before_and_answers_after() {
    let hospital = with_accounts().await;
    let mut administrator = Browser::signed_in(&hospital, "administrator").await;
    let page = administrator.get("/accounts").await.body;
    for action in ["new_password", "disable_account"] {
        let at = page.find(&format!("/api/{action}\"")).expect(action);
        let before = &page[page[..at].rfind("<details").unwrap()..at];
        assert!(before.contains("class=\"confirm\"") && before.contains("<summary"), "{action}: {before}");
    }
    for (path, fields, said) in [
        ("/api/disable_account", &[("name", "viewer"), ("disabled", "true")][..], "The account viewer is disabled."),
        ("/api/disable_account", &[("name", "viewer"), ("disabled", "false")], "The account viewer is enabled again."),
        (
            "/api/change_account",
            &[("name", "viewer"), ("role", "viewer"), ("all", "1")],
            "The account viewer is changed",
        ),
        ("/api/new_password", &[("name", "viewer")], "data-new-password"),
    ] {
        let answer = administrator.form(path, fields).await;
        assert_eq!(answer.header("location"), "/atomfeed-console/accounts", "{path}: {}", answer.body);
        let page = administrator.get("/accounts").await.body;
        assert!(page.contains(said), "{said}: {page}");
        assert!(path != "/api/new_password" || page.contains("data-copy-from=\"new-password\""));
        assert!(!administrator.get("/accounts").await.body.contains(said), "once: {said}");
    }
}

/// A wrong password keeps the name and the page that was requested.
#[tokio::test]
async fn a_wrong_password_keeps_the_name_and_the_way() {
    let hospital = with_accounts().await;
    let mut browser = Browser::new(&hospital);
    let answer = browser.sign_in("viewer", "something else entirely", "/failed-events?app=odoo").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    for part in [
        "name=\"to\" value=\"/failed-events?app=odoo\"",
        "value=\"viewer\"",
        "aria-describedby=\"password-problem\"",
        "id=\"password-problem\"",
        "<title>Sign-in failed",
    ] {
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
    assert!(!answer.body.contains("something else entirely"));
}

/// Returns the addresses in the main navigation.
fn tabs(page: &str) -> Vec<&str> {
    let tabs = page.split("aria-label=\"Main\"").nth(1).and_then(|rest| rest.split("</nav>").next());
    let links = tabs.unwrap_or_default().split("href=\"").skip(1);
    links.filter_map(|rest| rest.split('"').next()?.strip_prefix(BASE)).collect()
}

#[tokio::test]
async fn who_is_not_signed_in_is_shown_no_pages_but_help_and_no_search() {
    let hospital = with_accounts().await;
    let mut nobody = Browser::new(&hospital);
    for path in ["/sign-in", "/help"] {
        let page = nobody.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert_eq!(tabs(&page.body), ["/help"], "{path}");
        assert!(!page.body.contains("role=\"search\""), "{path}: {}", page.body);
    }
    let failed = nobody.sign_in("viewer", "something else entirely", "").await;
    assert_eq!(tabs(&failed.body), ["/help"]);
    let mut viewer = Browser::signed_in(&hospital, "viewer").await;
    let page = viewer.get("").await.body;
    assert_eq!(tabs(&page), ["", "/failed-events", "/groups", "/operations", "/history", "/applications", "/help"]);
    assert!(page.contains("role=\"search\""), "{page}");
    // Where no one signs in, all users see everything.
    let open = Hospital::new(&[], &[]).await;
    assert!(open.page(BASE).await.body.contains("role=\"search\""));
}

#[tokio::test]
async fn the_last_administrator_and_oneself_are_kept() {
    let hospital = with_accounts().await;
    let mut administrator = Browser::signed_in(&hospital, "administrator").await;
    for (path, fields) in [
        ("/api/disable_account", &[("name", "Administrator"), ("disabled", "true")][..]),
        ("/api/change_account", &[("name", "administrator"), ("role", "viewer"), ("all", "1")]),
        ("/api/new_password", &[("name", "administrator")]),
    ] {
        let answer = administrator.form(path, fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(
            answer.body.contains("your own account") && answer.body.contains("New account"),
            "{path}: {}",
            answer.body
        );
    }
    for (fields, words) in [
        (&[("name", "viewer"), ("role", "viewer"), ("all", "1")][..], "The account viewer already exists"),
        (&[("name", "two words"), ("role", "viewer"), ("all", "1")], "cannot be used for an account"),
        (&[("name", "new"), ("role", "viewer")], "No application is selected"),
        (&[("name", "new"), ("role", "viewer"), ("applications[]", "nowhere")], "There is no application"),
    ] {
        let answer = administrator.form("/api/add_account", fields).await;
        assert!(answer.status.is_client_error() && answer.body.contains(words), "{words}: {}", answer.body);
    }
    let added = administrator
        .form("/api/add_account", &[("name", "New.Person"), ("role", "operator"), ("applications[]", "odoo")])
        .await;
    assert_eq!(added.header("location"), "/atomfeed-console/accounts", "{}", added.body);
    let account = hospital.console.parts.store.account("new.person").await.unwrap().unwrap();
    assert_eq!(
        (account.role, account.must_change, account.created_by.as_str()),
        (Role::Operator, true, "administrator")
    );
    assert_eq!(account.applications, Some(["odoo".to_owned()].into()));
}

fn proxied(config: &mut Config) {
    config.network.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    config.access.way = AuthMode::Proxy(Proxy {
        user_header: "x-remote-user".into(),
        groups_header: Some("x-remote-groups".into()),
        roles: RoleNames { operator: vec!["it".into()], ..RoleNames::default() },
        otherwise: None,
    });
}

/// Returns the answer to a request on a connection from `peer`.
async fn ask_from(hospital: &Hospital, peer: &str, path: &str, headers: &[(&str, &[u8])]) -> Answer {
    let mut request = Request::get(format!("{BASE}{path}")).header(header::ACCEPT, "text/html");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
    hospital.send(request).await
}

/// A proxy that adds its header to what a browser sent, instead of replacing it, must not grant anyone more rights.
#[tokio::test]
async fn groups_are_believed_only_where_they_are_there_once() {
    let hospital = with(|config| {
        proxied(config);
        if let AuthMode::Proxy(proxy) = &mut config.access.way {
            proxy.roles.administrator = vec!["it-lead".into(), "équipe".into()];
            proxy.otherwise = Some(Role::Viewer);
        }
    })
    .await;
    let role = async |groups: &[&[u8]]| {
        let mut headers: Vec<(&str, &[u8])> = vec![("x-remote-user", b"asha")];
        headers.extend(groups.iter().map(|group| ("x-remote-groups", *group)));
        let answer = ask_from(&hospital, "10.0.0.1", "/api/own_account", &headers).await;
        match answer.status {
            StatusCode::OK => answer.json()["person"]["role"].as_str().map(str::to_owned),
            StatusCode::UNAUTHORIZED => {
                assert!(answer.body.contains("did not name your groups clearly"), "{}", answer.body);
                None
            }
            other => panic!("{other}: {}", answer.body),
        }
    };
    for (groups, expected) in [
        (&[][..], Some("viewer")),
        (&[&b""[..]], Some("viewer")),
        (&[b"staff; nurses"], Some("viewer")),
        (&[b"staff, IT"], Some("operator")),
        (&[b"staff;it-lead"], Some("administrator")),
        (&["équipe".as_bytes()], Some("administrator")),
        (&[b"it-lead", b"staff"], None),
        (&[b"staff", b"it-lead"], None),
        (&[b"", b"it-lead"], None),
        (&[b"it", b"it"], None),
        (&[b"\xe9quipe"], None),
    ] {
        assert_eq!(role(groups).await.as_deref(), expected, "{groups:?}");
    }
}

#[tokio::test]
async fn a_proxys_word_is_taken_from_the_proxy_alone() {
    let hospital = with(proxied).await;
    let ask = async |peer: &str, headers: &[(&str, &str)]| {
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        ask_from(&hospital, peer, "/failed-events", &headers).await
    };
    let asha = [("x-remote-user", "asha"), ("x-remote-groups", "staff, IT")];
    let page = ask("10.0.0.1", &asha).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    assert!(page.body.contains("asha") && !page.body.contains("Sign out"));
    for (peer, headers, status) in [
        ("192.168.0.7", &asha[..], 401),
        ("10.0.0.1", &[], 401),
        ("10.0.0.1", &[("x-remote-user", "")], 401),
        ("10.0.0.1", &[("x-remote-user", "console"), ("x-remote-groups", "it")], 401),
        ("10.0.0.1", &[("x-remote-user", " Anybody "), ("x-remote-groups", "it")], 401),
        ("10.0.0.1", &[("x-remote-user", "asha"), ("x-remote-user", "mallory"), ("x-remote-groups", "it")], 401),
        ("10.0.0.1", &[("x-remote-user", "asha"), ("x-remote-groups", "staff")], 403),
        ("10.0.0.1", &[("authorization", "Bearer x")], 401),
    ] {
        let answer = ask(peer, headers).await;
        assert_eq!(answer.status.as_u16(), status, "{peer} {headers:?}");
        assert!(!answer.body.contains("Secret of"), "{peer} {headers:?}");
    }
}

/// A page of a name that points at this machine (DNS rebinding) can send any header, including a proxy's: neither an
/// open console nor one that trusts a proxy may accept the name in such a header instead of the requested one.
#[tokio::test]
async fn the_name_that_was_asked_for_counts_beside_the_one_that_a_proxy_says() {
    let open = with(|config| {
        config.network.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.access.way = AuthMode::Open;
    })
    .await;
    let by_proxy = with(|config| {
        proxied(config);
        config.network.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let accounts = with(|config| config.network.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()]).await;
    let known = with(|config| {
        proxied(config);
        config.network.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.network.hosts = vec!["console.hospital.example".into()];
    })
    .await;
    let (forwarded_host, forwarded) = ("x-forwarded-host", "forwarded");
    for (hospital, host, said, status) in [
        (&open, "evil.example:29105", None, 403),
        (&open, "evil.example:29105", Some((forwarded_host, "localhost")), 403),
        (&open, "evil.example:29105", Some((forwarded, "host=localhost")), 403),
        (&open, "localhost:9080", Some((forwarded_host, "evil.example")), 403),
        (&open, "localhost:9080", Some((forwarded_host, "console.local")), 200),
        (&by_proxy, "evil.example", None, 403),
        (&by_proxy, "evil.example", Some((forwarded_host, "localhost")), 403),
        (&by_proxy, "localhost", Some((forwarded_host, "evil.example")), 403),
        (&by_proxy, "127.0.0.1:9080", Some((forwarded_host, "hospital-pc")), 200),
        (&known, "127.0.0.1:9080", Some((forwarded_host, "console.hospital.example")), 200),
        (&known, "console.hospital.example", None, 200),
        (&known, "evil.example", Some((forwarded_host, "console.hospital.example")), 403),
        // Where users sign in here, the name gives no access.
        (&accounts, "evil.example", Some((forwarded_host, "console.example")), 303),
    ] {
        let mut headers: Vec<(&str, &[u8])> =
            vec![("host", host.as_bytes()), ("x-remote-user", b"asha"), ("x-remote-groups", b"it")];
        headers.extend(said.map(|(name, value)| (name, value.as_bytes())));
        let answer = ask_from(hospital, "127.0.0.1", "/failed-events", &headers).await;
        assert_eq!(answer.status.as_u16(), status, "{host} {said:?}: {}", answer.body);
        assert!(status == 200 || !answer.body.contains("Secret of"), "{host} {said:?}");
    }
}

#[tokio::test]
async fn cookies_are_secure_whenever_the_request_came_by_https() {
    let hospital = with(|config| config.network.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()]).await;
    let request = Request::get(format!("{BASE}/sign-in"))
        .header(header::ACCEPT, "text/html")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-for", "1.2.3.4");
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new("10.0.0.1".parse().unwrap(), 1)));
    let answer = hospital.send(request).await;
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
    let cookie = answer.header("set-cookie").to_owned();
    assert!(cookie.starts_with("__Secure-atomfeed_browser=") && cookie.contains("; Secure"), "{cookie}");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/atomfeed-console"),
        "{cookie}"
    );
    let mut plain = Browser::new(&hospital);
    let answer = plain.get("/sign-in").await;
    assert_eq!(answer.header("strict-transport-security"), "", "a hospital without HTTPS is not told to use it");
    let cookie = answer.header("set-cookie").to_owned();
    assert!(cookie.starts_with("atomfeed_browser=") && !cookie.contains("Secure"), "{cookie}");
}

#[tokio::test]
async fn an_open_console_says_so_on_every_page_and_is_not_fooled_by_names() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    for page in ["", "/failed-events", "/help", "/no/such/page"] {
        assert!(hospital.page(&format!("{BASE}{page}")).await.body.contains("Open to everyone."), "{page}");
    }
    for (host, status) in
        [("hospital-pc:9080", 200), ("10.1.2.3:9080", 200), ("console.local", 200), ("evil.example", 403)]
    {
        let request = Request::get(BASE).header(header::HOST, host).header(header::ACCEPT, "text/html");
        assert_eq!(hospital.send(request.body(Body::empty()).unwrap()).await.status.as_u16(), status, "{host}");
    }
    let accounts = hospital.page(&format!("{BASE}/accounts")).await;
    assert_eq!(accounts.status, StatusCode::NOT_FOUND);
    assert!(accounts.body.contains("This console has no accounts"), "{}", accounts.body);
}

#[tokio::test]
async fn a_form_that_meets_an_ended_session_comes_back_with_what_was_ticked_and_says_it_was_not_done() {
    let hospital = with_accounts().await;
    let list = "/failed-events?app=odoo&state=exhausted&sort=oldest";
    for with_referer in [true, false] {
        let mut browser = Browser::signed_in(&hospital, "operator").await;
        browser.get(list).await;
        // The session's cookie is missing, as after a sign-out in another tab; the ticked rows are sent all the same.
        browser.cookies.retain(|(name, _)| name != "atomfeed_session");
        let mut body = format!("form_token={}", browser.token);
        let push = atomfeed_console::model::filter::push;
        push(&mut body, "back", list);
        push(&mut body, "rows[]", "odoo:1:5");
        let mut request = Request::post(format!("{BASE}/api/retry"))
            .header(header::ORIGIN, "http://console.test")
            .header(header::ACCEPT, "text/html,*/*;q=0.8")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if with_referer {
            request = request.header(header::REFERER, format!("http://console.test{BASE}{list}&done=7"));
        }
        let answer = browser.send(request, Body::from(body)).await;
        let way = answer.header("location").to_owned();
        assert!(way.starts_with("/atomfeed-console/sign-in?to="), "{way}");
        let to = atomfeed_console::model::filter::pairs(way.split_once('?').unwrap().1).next().unwrap().1;
        let back = browser.sign_in("operator", PASSWORD, &to).await.header("location").to_owned();
        assert!(!back.contains("done=7"), "{back}");
        let page = browser.get(back.strip_prefix(BASE).unwrap()).await.body;
        assert!(page.contains("The retry was not done, and nothing was changed."), "{page}");
        assert!(page.contains("Your selection is restored"), "{page}");
        assert_eq!(page.matches(" checked").count(), 1, "{page}");
        assert!(page.contains("sort=oldest"), "the list is the same");
        assert_eq!(hospital.retries("Odoo").await[&1].0, 5, "nothing was written");
        assert!(!browser.get(list).await.body.contains("was not done"), "it is said once");
    }
}

#[tokio::test]
async fn a_note_that_meets_an_ended_session_comes_back_to_its_writer_alone() {
    let hospital = with_accounts().await;
    hospital.followed().await;
    let note = [("fault", "1"), ("seen", "0"), ("what", "Odoo <is> slow"), ("todo", "Ask Asha"), ("looks_after", "")];
    for same in [true, false] {
        let mut browser = Browser::signed_in(&hospital, "operator").await;
        browser.cookies.retain(|(name, _)| name != "atomfeed_session");
        let way = browser.form("/api/write_note", &note).await.header("location").to_owned();
        let to = atomfeed_console::model::filter::pairs(way.split_once('?').unwrap().1).next().unwrap().1;
        assert!(to.starts_with("/groups/1?undone=form&refused="), "{to}");
        let who = if same { "operator" } else { "administrator" };
        let back = browser.sign_in(who, PASSWORD, &to).await.header("location").to_owned();
        let page = browser.get(back.strip_prefix(BASE).unwrap()).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains("Your session had ended. What you sent was not saved"), "{}", page.body);
        for part in [">Odoo &lt;is&gt; slow</textarea>", ">Ask Asha</textarea>", "What you entered is restored"] {
            assert_eq!(page.body.contains(part), same, "{part}: {}", page.body);
        }
        assert_eq!(page.body.matches("session had ended").count(), 1, "{}", page.body);
    }
    // A colleague's note of the meantime is not overwritten by what comes back.
    let mut colleague = Browser::signed_in(&hospital, "administrator").await;
    colleague.get("/groups/1").await;
    colleague.form("/api/write_note", &[("fault", "1"), ("seen", "0"), ("what", "Odoo is down")]).await;
    let mut browser = Browser::signed_in(&hospital, "operator").await;
    browser.cookies.retain(|(name, _)| name != "atomfeed_session");
    let way = browser.form("/api/write_note", &note).await.header("location").to_owned();
    let to = atomfeed_console::model::filter::pairs(way.split_once('?').unwrap().1).next().unwrap().1;
    browser.sign_in("operator", PASSWORD, &to).await;
    let page = browser.get(&to).await.body;
    assert!(page.contains("Odoo is down") && page.contains("name=\"seen\" value=\"0\""), "{page}");
    let conflict = browser.form("/api/write_note", &note).await.body;
    assert!(conflict.contains("Two versions of the note") && conflict.contains("Odoo &lt;is&gt; slow"), "{conflict}");
}

#[test]
fn the_way_to_sign_in_holds_what_was_ticked_as_far_as_an_address_can() {
    let base = atomfeed_console::paths::Base::parse(BASE).unwrap();
    let undone = |rows: usize| atomfeed_console::paths::Undone {
        what: "retry",
        chosen: (0..rows).map(|id| format!("odoo:{id}")).collect(),
        back: None,
        kept: None,
    };
    let few = base.sign_in_after("/failed-events?app=odoo&done=3&undone=plan&chosen=x", &undone(50));
    let to = atomfeed_console::model::filter::pairs(few.split_once('?').unwrap().1).next().unwrap().1;
    assert!(to.starts_with("/failed-events?app=odoo&undone=retry&chosen=odoo"), "{to}");
    assert_eq!(to.matches("chosen=").count(), 50);
    let many = base.sign_in_after("/failed-events?app=odoo", &undone(1000));
    let to = atomfeed_console::model::filter::pairs(many.split_once('?').unwrap().1).next().unwrap().1;
    assert_eq!(to, "/failed-events?app=odoo&undone=retry", "that nothing was done is said in any case");
    assert_eq!(base.sign_in_after("/", &undone(0)), format!("{BASE}/sign-in?to=/%3Fundone%3Dretry"));
}
