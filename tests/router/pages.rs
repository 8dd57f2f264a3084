//! Every page: where it answers, what it carries, and what it says when something is wrong.

use atomfeed_console::{
    clock,
    model::{ApplicationInfo, FeedLimit, Kind, Person},
    server::config::{AuthMode, Fault, Unconfigured},
};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};

use super::hospital::{Answer, ENCOUNTERS, Hospital, PUBLISHER, application, row};
use crate::support::log::Log;

/// Every page of a hospital that has failed event 1 in Odoo.
const PAGES: [&str; 15] = [
    "",
    "/applications",
    "/applications/odoo",
    "/failed-events",
    "/failed-events?app=odoo&state=exhausted&sort=id-up",
    "/failed-events/odoo/1",
    "/groups",
    "/groups?quiet=1",
    "/operations",
    "/discarded",
    "/history",
    "/history?app=odoo&days=7",
    "/search",
    "/search?q=did+not+work",
    "/help",
];

async fn hospital(base: &str) -> Hospital {
    Hospital::with(&[row(1, "2026-11-20 08:00:00")], &[], base, |_| ()).await
}

#[tokio::test]
async fn every_page_answers_under_any_base_path() {
    for base in ["/atomfeed-console", "/x/y", ""] {
        let hospital = hospital(base).await;
        for page in PAGES {
            let path = if base.is_empty() && page.is_empty() { "/".to_owned() } else { format!("{base}{page}") };
            let answer = hospital.page(&path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
            assert!(answer.body.contains("<h1"), "{path} has a heading");
            // Its link leads to the page itself: the session has ended, so the user signs in and returns.
            let body = answer.body.replace("<a href=\"\">Sign in</a>", "");
            for link in links(&body) {
                let inside = link.starts_with('#')
                    || link == base
                    || link.starts_with(&format!("{base}/"))
                    || link.starts_with(&format!("{base}?"))
                    || link.starts_with("http")
                    || link.starts_with('?');
                assert!(inside, "{path} links to {link}, outside of {base:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_slash_too_many_is_led_to_the_page_and_never_to_another_site() {
    let hospital = hospital("/atomfeed-console").await;
    for (asked, led) in [
        ("/atomfeed-console/", "/atomfeed-console"),
        ("/atomfeed-console/actions/", "/atomfeed-console/actions"),
        ("/atomfeed-console/failed-events/?app=odoo", "/atomfeed-console/failed-events?app=odoo"),
        ("/", "/atomfeed-console/overview"),
        ("/atomfeed-console/overview", "/atomfeed-console"),
    ] {
        let answer = hospital.page(asked).await;
        assert!(answer.status.is_redirection(), "{asked}: {}", answer.status);
        assert_eq!(answer.header("location"), led);
    }
    for asked in ["//evil.example/", "/atomfeed-console//evil.example//"] {
        let answer = hospital.page(asked).await;
        assert!(!answer.header("location").starts_with("//"), "{asked} leads to {}", answer.header("location"));
    }
}

/// Returns what a client receives that follows every redirect through a proxy which passes on `BASE/x` as `/x`, and the
/// number of redirects.
async fn through_a_stripping_proxy(hospital: &Hospital, base: &str, path: &str) -> (usize, Answer) {
    let mut path = path.to_owned();
    for redirects in 0..20 {
        let stripped = path.strip_prefix(base).expect("an address below the base path");
        let answer = hospital.page(if stripped.is_empty() { "/" } else { stripped }).await;
        if !answer.status.is_redirection() {
            return (redirects, answer);
        }
        path = answer.header("location").to_owned();
    }
    panic!("led in a circle by way of {path}");
}

#[tokio::test]
async fn a_proxy_that_takes_the_base_path_away_is_named_instead_of_leading_in_a_circle() {
    let hospital = hospital("/strip").await;
    for path in ["/strip", "/strip/", "/strip/overview", "/strip/failed-events?app=odoo", "/strip/x/y/"] {
        let (redirects, answer) = through_a_stripping_proxy(&hospital, "/strip", path).await;
        assert!(redirects <= 1, "{path}: {redirects} redirects");
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        let said = text(&answer.body);
        assert!(said.contains("all pages of this console are below /strip."), "{path}: {said}");
        assert!(said.contains("a proxy removed /strip from the address"), "{path}: {said}");
    }
    let near = hospital.page("/stripes").await;
    assert!(text(&near.body).contains("below /strip."), "a name that only begins alike is outside");
    // As text for a program.
    let said = hospital.get("/apps").await;
    assert!(said.status == StatusCode::NOT_FOUND && said.body.contains("removed /strip from"), "{}", said.body);
    let inside = text(&hospital.page("/strip/no/such/page").await.body);
    assert!(inside.contains("There is no page /strip/no/such/page.") && !inside.contains("proxy"), "{inside}");
}

/// An application as an unfilled template leaves it.
fn unconfigured(name: &str, key: &str, place: usize) -> Unconfigured {
    let whole = application(name, Kind::Odoo, "nowhere.db".into());
    let fault = Fault {
        source: "/etc/console/console.toml".into(),
        line: Some(12),
        key: "application[2].database".into(),
        reason: "names no host".into(),
    };
    let info = ApplicationInfo { key: key.into(), address: String::new(), ..whole.info };
    Unconfigured { info, place, lacking: vec![fault] }
}

#[tokio::test]
async fn an_application_that_is_not_configured_stands_among_the_others_with_what_is_missing() {
    let rows = [row(1, "2026-11-20 08:00:00")];
    let hospital = Hospital::with(&rows, &[], "/atomfeed-console", |config| {
        config.unconfigured = vec![unconfigured("Crater", "crater", 1)];
    })
    .await;
    let missing = "console.toml:12: application[2].database: names no host";
    let overview = text(&hospital.page("/atomfeed-console").await.body);
    for words in ["Crater is not configured", missing, "Not configured", "All 2 databases answered."] {
        assert!(overview.contains(words), "{words}: {overview}");
    }
    assert!(!overview.contains("/etc/console"), "where the file lies is nothing for every reader");
    let applications = text(&hospital.page("/atomfeed-console/applications").await.body);
    assert!(applications.contains("3 applications, 1 not configured"), "{applications}");
    let names: Vec<usize> =
        ["Odoo", "Crater", "OpenELIS"].iter().map(|name| applications.find(name).expect("its row")).collect();
    assert!(names.is_sorted(), "{applications}");
    let page = hospital.page("/atomfeed-console/applications/crater").await;
    assert_eq!(page.status, StatusCode::OK);
    let page = text(&page.body);
    assert!(page.contains("Crater is not configured") && page.contains(missing), "{page}");

    let list = text(&hospital.page("/atomfeed-console/failed-events").await.body);
    assert!(list.contains("No. 1 did not work") && !list.contains("names no host"), "{list}");
    let list = text(&hospital.page("/atomfeed-console/failed-events?app=crater").await.body);
    assert!(list.contains("Crater is not configured") && list.contains(missing), "{list}");
    for path in ["/failed-events.csv?app=crater", "/failed-events/crater/1"] {
        let answer = hospital.get(&format!("/atomfeed-console{path}")).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(text(&hospital.page(&format!("/atomfeed-console{path}")).await.body).contains(missing), "{path}");
    }
    assert_eq!(hospital.get("/atomfeed-console/failed-events.csv").await.status, StatusCode::OK);
    assert_eq!(hospital.page("/atomfeed-console/history?app=crater").await.status, StatusCode::OK);

    // The old console's scripts continue with what is available.
    let apps = hospital.get("/atomfeed-console/apps").await;
    assert_eq!(apps.json(), serde_json::json!(["Odoo", "OpenELIS"]));
    let status = hospital.get("/atomfeed-console/apps/CRATER/feedStatus").await;
    assert_eq!(status.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(status.json()["error"].as_str().expect("a reason").contains(missing), "{}", status.body);
}

#[tokio::test]
async fn who_may_not_see_an_application_is_not_told_that_it_is_not_configured() {
    let hospital = Hospital::with(&[], &[], "/atomfeed-console", |config| {
        config.access.way = AuthMode::Accounts;
        config.unconfigured = vec![unconfigured("Crater", "crater", 0)];
    })
    .await;
    let of = |apps: &[&str]| Person {
        applications: Some(apps.iter().map(|app| (*app).to_owned()).collect()),
        ..Person::anybody()
    };
    let hidden = hospital.get_as(&of(&["odoo"]), "/atomfeed-console/apps/Crater/feedStatus").await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    let overview = text(&hospital.page_as(&of(&["odoo", "openelis"]), "/atomfeed-console").await.body);
    assert!(overview.contains("Odoo") && !overview.contains("Crater"), "{overview}");
    let overview = text(&hospital.page_as(&of(&["odoo", "crater"]), "/atomfeed-console").await.body);
    assert!(overview.contains("Crater is not configured"), "{overview}");
}

#[tokio::test]
async fn failures_in_the_future_are_a_hint_at_the_time_zone() {
    let hospital = hospital("/atomfeed-console").await;
    let later = "UPDATE failed_events SET failed_at = strftime('%Y-%m-%d %H:%M:%S', 'now', '+345 minutes')";
    hospital.execute("Odoo", later).await;
    hospital.look("odoo").await;
    for path in ["/atomfeed-console", "/atomfeed-console/applications/odoo"] {
        let page = text(&hospital.page(path).await.body);
        assert!(page.contains("The newest failure is 6 h in the future."), "{path}: {page}");
        assert!(page.contains("Times without a zone are read as UTC"), "{path}: {page}");
        assert!(!page.contains("Last failure"), "{path}: {page}");
    }
}

#[tokio::test]
async fn every_page_carries_the_strict_policy_and_keeps_to_it() {
    let hospital = hospital("/atomfeed-console").await;
    let mut nonces = std::collections::BTreeSet::new();
    for page in PAGES.into_iter().chain(["/no/such/page", "/failed-events?state=broken"]) {
        let path = format!("/atomfeed-console{page}");
        let answer = hospital.page(&path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'nonce-"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe-inline"), "{path}: {policy}");
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
        nonces.insert(nonce.to_owned());
        for script in answer.body.split("<script").skip(1) {
            let tag = script.split('>').next().unwrap_or_default();
            assert!(tag.contains(nonce) || tag.contains("src="), "{path}: a script without the page's nonce: {tag}");
        }
        assert!(!answer.body.contains(" style="), "{path} has a style attribute, which the policy forbids");
        assert!(!answer.body.contains(" onclick="), "{path} has an inline handler");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert_eq!(nonces.len(), PAGES.len() + 2, "every answer has a nonce of its own");
}

#[tokio::test]
async fn what_is_wrong_is_said_on_a_page_with_its_status() {
    let hospital = hospital("/atomfeed-console").await;
    for (path, status, words) in [
        ("/no/such/page", 404, "There is no page /atomfeed-console/no/such/page."),
        ("/failed-events/odoo/99", 404, "Odoo has no failed event 99"),
        ("/failed-events/odoo/x", 404, "is not an id of a failed event"),
        ("/failed-events/nowhere/1", 404, "There is no application"),
        ("/applications/nowhere", 404, "There is no application"),
        ("/failed-events?state=broken", 400, "state=broken"),
        ("/failed-events?app=nowhere", 404, "There is no application"),
        ("/failed-events.csv?sort=id-up", 400, "sorting by id needs one application"),
        ("/operations/4711", 404, "no operation 4711"),
    ] {
        let answer = hospital.page(&format!("/atomfeed-console{path}")).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert!(answer.body.contains(words), "{path} says: {}", text(&answer.body));
        assert!(answer.body.contains("<nav"), "{path} keeps the navigation");
    }
    let script = hospital.get("/atomfeed-console/no/such/page").await;
    assert_eq!((script.status.as_u16(), script.body.contains('<')), (404, false), "a script gets words, not a page");
}

#[tokio::test]
async fn the_page_of_an_event_has_its_error_first_and_its_ids_last() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    let page = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    let place = |mark: &str| page.find(mark).unwrap_or_else(|| panic!("no {mark} in {page}"));
    assert!(place("id=\"error-first-title\"") < place("id=\"payload-title\""), "{page}");
    assert!(place("id=\"time-title\"") < place("id=\"facts-title\""), "what happened stands above the ids: {page}");
    assert!(page.contains("aria-label=\"Copy the error\""), "{page}");
}

#[tokio::test]
async fn applications_tell_the_states_of_their_feeds_before_the_state_of_the_database() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    hospital.look("odoo").await;
    let page = hospital.page("/atomfeed-console/applications").await.body;
    let cell = page.split("data-label=\"State\"").nth(1).expect("the state of an application");
    let (badge, database) = (cell.find("class=\"state "), cell.find("database reachable"));
    assert!(badge.expect("a badge") < database.expect("the database"), "{cell}");
}

#[tokio::test]
async fn a_source_that_is_gone_says_so_in_its_own_part_and_the_rest_works() {
    let rows = [row(1, "2026-11-20 08:00:00")];
    let hospital = Hospital::with(&rows, &rows, "/atomfeed-console", |config| {
        config.applications[1].database.database = "/nonexistent/openelis.db".into();
    })
    .await;
    let overview = text(&hospital.page("/atomfeed-console").await.body);
    assert!(overview.contains("Unreachable") || overview.contains("unreachable"), "{overview}");
    let list = hospital.page("/atomfeed-console/failed-events").await;
    assert_eq!(list.status, StatusCode::OK);
    assert!(list.body.contains("No. 1 did not work"), "Odoo's row is shown");
    assert!(text(&list.body).contains("OpenELIS"), "and OpenELIS is named");
    let application = hospital.page("/atomfeed-console/applications/openelis").await;
    assert_eq!(application.status, StatusCode::OK);
    assert!(text(&application.body).contains("does not answer"), "{}", text(&application.body));
    // Groups and causes are counted in the ledger.
    hospital.look("odoo").await;
    for counted in ["groups", "failed-events?by=cause"] {
        let page = text(&hospital.page(&format!("/atomfeed-console/{counted}")).await.body);
        let told = "OpenELIS could not be read. Its events are counted as last seen.";
        assert!(page.contains(told), "{counted}: {page}");
    }
    let event = hospital.page("/atomfeed-console/failed-events/openelis/1").await;
    assert_eq!(event.status, StatusCode::SERVICE_UNAVAILABLE);
    let export = hospital.page("/atomfeed-console/failed-events.csv").await;
    assert_eq!(export.status, StatusCode::SERVICE_UNAVAILABLE, "an export leaves no application out in silence");
}

#[tokio::test]
async fn text_from_a_database_is_never_html() {
    let mut hostile = row(1, "2026-11-20 08:00:00");
    hostile.error = "<script>alert(1)</script><img src=x onerror=alert(2)>".into();
    hostile.payload = "javascript:alert(3)//\"><svg/onload=alert(4)>".into();
    hostile.event = "\"><script>alert(5)</script>".into();
    hostile.feed = "javascript:alert(6)//<b>/recent";
    let hospital = Hospital::new(&[hostile], &[]).await;
    hospital.followed().await;
    let reason = ("reason", "<script>alert(7)</script>");
    hospital.form("/atomfeed-console/api/plan_operation", &[("kind", "retry"), ("query", "q=<script>alert")]).await;
    hospital.form("/atomfeed-console/api/plan_operation", &[("kind", "discard"), ("query", "app=odoo")]).await;
    let store = &hospital.console.parts.store;
    let id = atomfeed_console::model::RowId(1);
    let copied = hospital.console.source("odoo").unwrap().copy(&[id], usize::MAX).await.unwrap();
    let copy = atomfeed_console::server::store::NewCopy {
        position: 0,
        app: "odoo".into(),
        row_id: id,
        event: &copied.events[&id],
        fault: "<script>alert(8)</script>".into(),
    };
    store.keep_copies(2, &[copy]).await.unwrap();
    hospital.form("/atomfeed-console/api/start_operation", &[("id", "1"), reason]).await;
    for page in [
        "",
        "/applications/odoo",
        "/failed-events",
        "/failed-events/odoo/1",
        "/groups",
        "/groups/1",
        "/operations/1",
        "/operations/2",
        "/operations",
        "/discarded",
    ] {
        let answer = hospital.page(&format!("/atomfeed-console{page}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        for poison in ["<script>alert", "<img src=x", "<svg/onload", "href=\"javascript:", "//<b>/recent"] {
            assert!(!answer.body.contains(poison), "{page} contains {poison}");
        }
    }
    let event = hospital.page("/atomfeed-console/failed-events/odoo/1").await;
    assert!(event.body.contains("&lt;script&gt;alert(1)"), "the text is shown, as text");
}

#[tokio::test]
async fn the_console_says_whether_it_lives_and_can_work() {
    let hospital = hospital("/atomfeed-console").await;
    for path in ["/health", "/atomfeed-console/health"] {
        assert_eq!(hospital.get(path).await.body, "ok\n");
    }
    let ready = hospital.get("/atomfeed-console/ready").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (StatusCode::OK, Some("ready")));
    hospital.console.parts.store.close().await;
    assert_eq!(hospital.get("/ready").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_overview_shows_a_stopped_feed_first() {
    let hospital = Hospital::with(
        &[row(1, "2026-11-20 08:00:00"), row(2, "2026-11-20 09:00:00")],
        &[],
        "/atomfeed-console",
        |config| {
            config.applications[0].info.limits.max_failed_events = Some(2);
        },
    )
    .await;
    let overview = text(&hospital.page("/atomfeed-console").await.body);
    assert!(overview.contains("stopped"), "{overview}");
    let application = text(&hospital.page("/atomfeed-console/applications/odoo").await.body);
    assert!(application.contains(ENCOUNTERS), "{application}");
}

#[tokio::test]
async fn a_feed_stops_at_its_own_limit_on_every_page_that_speaks_of_it() {
    let rows = [row(1, "2026-11-20 08:00:00"), row(2, "2026-11-20 09:00:00")];
    let hospital = Hospital::with(&rows, &rows, "/atomfeed-console", |config| {
        config.applications[0].info.feed_limits =
            vec![FeedLimit { uri: ENCOUNTERS.to_owned(), max_failed_events: Some(2) }];
    })
    .await;
    let overview = text(&hospital.page("/atomfeed-console").await.body);
    assert!(overview.contains("1 feed is stopped.") && overview.contains("the limit is 2."), "{overview}");
    let application = text(&hospital.page("/atomfeed-console/applications/odoo").await.body);
    assert!(application.contains("This feed stops after 2 failed events"), "{application}");
    let applications = text(&hospital.page("/atomfeed-console/applications").await.body);
    assert!(applications.contains("1,000 failed events , another for 1 feed"), "{applications}");
    let event = text(&hospital.page("/atomfeed-console/failed-events/odoo/1").await.body);
    assert!(event.contains("This feed is stopped: 2 failed events, the limit is 2."), "{event}");
    let other = text(&hospital.page("/atomfeed-console/failed-events/openelis/1").await.body);
    assert!(!other.contains("This feed is stopped"), "{other}");
}

fn links(html: &str) -> Vec<String> {
    ["href=\"", "action=\""]
        .iter()
        .flat_map(|mark| html.split(mark).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .map(|link| link.replace("&amp;", "&"))
        .collect()
}

/// Returns what people read on a page.
pub(super) fn text(html: &str) -> String {
    let body = html.split_once("<body").map_or(html, |(_, body)| body);
    let mut out = String::new();
    for part in body.split('<').skip(1) {
        let (tag, shown) = part.split_once('>').unwrap_or(("", part));
        if !tag.starts_with("script") {
            out.push_str(shown);
            out.push(' ');
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_overview_says_why_a_feed_stopped_and_offers_one_thing_to_do() {
    let mut rows: Vec<_> = (1..=4).map(|id| row(id, "2026-11-20 08:00:00")).collect();
    for (row, error) in rows.iter_mut().zip(["No route to host", "No route to host", "Read timed out", "Out of paper"])
    {
        row.error = error.to_owned();
    }
    let hospital = Hospital::with(&rows, &[], "/atomfeed-console", |config| {
        config.applications[0].info.limits.max_failed_events = Some(4);
    })
    .await;
    hospital.followed().await;
    for path in ["", "/applications/odoo"] {
        let page = hospital.page(&format!("/atomfeed-console{path}")).await.body;
        let causes = page.split("class=\"plain causes\"").nth(1).and_then(|rest| rest.split("</ul>").next());
        let causes = text(causes.expect("the causes beside the button"));
        assert!(causes.find("2 No route to host") < causes.find("1 Read timed out"), "{causes}");
        assert!(page.contains("by=cause") && page.contains("See causes"), "{path}: {page}");
    }
    let overview = hospital.page("/atomfeed-console").await.body;
    assert!(overview.contains("<title>(!) 1 feed stopped") && overview.contains("favicon-bad.svg"), "{overview}");
    assert!(text(&overview).contains("All 2 databases answered."), "{overview}");
    assert!(!overview.contains("Retry 4"), "a retry is not the first thing to do: {overview}");
}

#[tokio::test]
async fn an_overview_without_failures_is_visibly_well() {
    let hospital = Hospital::new(&[], &[]).await;
    let page = hospital.page("/atomfeed-console").await.body;
    assert!(page.contains("class=\"well\"") && page.contains("favicon-good.svg"), "{page}");
    assert!(text(&page).contains("feeds are running. No failed events."), "{page}");
}

#[tokio::test]
async fn a_publisher_from_which_nothing_is_read_makes_no_page_look_healthy() {
    let hospital = Hospital::with(&[], &[], "/atomfeed-console", |config| {
        config.applications[1].info.publishes = vec!["http://openmrs:8080/openmrs/".into()];
        config.applications[1].info.name = "OpenMRS".into();
    })
    .await;
    hospital.followed().await;
    // Every marker moved twenty times, every two minutes, until 70 minutes ago.
    hospital
        .execute_on_store(
            "UPDATE ledger_feeds SET moves = 21, marker_moved_at = (strftime('%s', 'now') - 70 * 60) * 1000,
                moves_from = (strftime('%s', 'now') - 110 * 60) * 1000",
        )
        .await;
    hospital.followed().await;
    let overview = hospital.page("/atomfeed-console").await.body;
    let heading = |page: &str| {
        text(
            page.split("<h1")
                .nth(1)
                .and_then(|rest| rest.split("</h1>").next())
                .map(|h1| format!("<body><h1{h1}"))
                .expect("a heading")
                .as_str(),
        )
    };
    assert_eq!(heading(&overview), "Nothing read from OpenMRS for 70 min.");
    assert!(
        overview.contains("<title>(!) nothing read from OpenMRS") && overview.contains("favicon-bad.svg"),
        "{overview}"
    );
    assert!(!overview.contains("favicon-good.svg"), "{overview}");
    let application = hospital.page("/atomfeed-console/applications/odoo").await.body;
    assert_eq!(heading(&application), "Odoo: nothing read from OpenMRS for 70 min");
    assert!(text(&application).contains("usually something every 2 min."), "{application}");
}

#[tokio::test]
async fn the_overview_counts_since_the_last_visit() {
    use atomfeed_console::model::access::{KnownBy, Person, Role};

    let hospital = Hospital::with(&[row(1, "2026-11-20 08:00:00")], &[], "/atomfeed-console", |config| {
        config.access = atomfeed_console::server::config::Access::default();
    })
    .await;
    hospital.followed().await;
    let viewer = Person {
        name: "viewer".into(),
        role: Role::Viewer,
        applications: None,
        known_by: KnownBy::Account,
        reading_only: false,
    };
    let was = clock::now() - chrono::TimeDelta::hours(9);
    let store = &hospital.console.parts.store;
    assert_eq!(store.visit("account", "viewer of all", was).await.unwrap(), None);
    let page = text(&hospital.page_as(&viewer, "/atomfeed-console").await.body);
    // In the first hours of a day the visit was "yesterday", with its time.
    let since = page.split_once("Since your last visit, ").expect("the line").1;
    assert!(since.starts_with("9 h ago : ") || since.starts_with("yesterday "), "{page}");
    assert!(since.contains(" : nothing new , 0 resolved"), "{page}");
    let before = store.visit_before("account", "viewer of all").await.unwrap().expect("a visit before");
    assert_eq!(before.timestamp(), was.timestamp());
}

/// The icon is written into the head after the page's data was awaited, while other pages are rendered.
#[tokio::test]
async fn the_overviews_icon_is_in_its_own_head_and_in_no_other() {
    let hospital = &Hospital::new(&[], &[]).await;
    let pages = (0..24).map(|number| async move {
        let path = ["/atomfeed-console", "/atomfeed-console/failed-events", "/atomfeed-console/help"][number % 3];
        (number % 3 == 0, hospital.page(path).await.body)
    });
    for (overview, page) in futures::future::join_all(pages).await {
        assert_eq!(page.matches("favicon-good.svg").count(), usize::from(overview), "{page}");
    }
}

/// Screen readers identify a table by its caption, and a row by its head.
#[tokio::test]
async fn every_table_has_a_name_and_its_rows_have_heads() {
    const BASE: &str = "/atomfeed-console";
    let mut message = row(1, "2026-11-20 08:00:00");
    message.payload = "MSH|^~\\&|BAHMNI||DCM\rPID|1||P1".to_owned();
    let published = "INSERT INTO event_records (id, uuid, title, timestamp, uri, object, category) \
         VALUES (1, 'u1', 'T', '2026-11-20 08:00:00', '', '/x', 'Encounter');
         INSERT INTO event_records_offset_marker VALUES (1, 1, 1, 'Encounter')";
    let statements = [("OpenELIS", PUBLISHER), ("OpenELIS", published)];
    let rows = [message, row(2, "2026-11-20 09:00:00"), row(3, "2026-11-20 09:00:00")];
    let hospital = Hospital::made(&rows, &[], BASE, &statements, |_| ()).await;
    hospital.followed().await;
    hospital.form(&format!("{BASE}/api/plan_operation"), &[("kind", "discard"), ("rows[]", "odoo:2:5")]).await;
    hospital.form(&format!("{BASE}/api/start_operation"), &[("id", "1"), ("reason", "test data")]).await;
    hospital.ended(1).await;
    hospital.look("odoo").await;
    hospital.form(&format!("{BASE}/api/plan_operation"), &[("kind", "discard"), ("rows[]", "odoo:3:5")]).await;
    for (path, tables) in [
        ("", 2),
        ("/applications", 1),
        ("/applications/odoo", 0),
        ("/applications/openelis", 2),
        ("/failed-events", 1),
        ("/failed-events?by=cause", 1),
        ("/failed-events/odoo/1", 1),
        ("/groups", 1),
        ("/groups/1", 1),
        ("/operations", 1),
        ("/operations/1", 1),
        ("/operations/2", 2),
        ("/discarded", 1),
        ("/history", 2),
        ("/search?q=work", 1),
        ("/audit", 1),
    ] {
        let page = hospital.page(&format!("{BASE}{path}")).await.body;
        let found: Vec<&str> =
            page.split("<table").skip(1).map(|rest| rest.split("</table>").next().unwrap()).collect();
        assert!(found.len() >= tables, "{path}: {} tables: {page}", found.len());
        for table in found {
            let name = table.split_once("<caption").and_then(|(_, rest)| rest.split_once('>')).map(|(_, name)| name);
            assert!(name.is_some_and(|name| !name.starts_with('<')), "{path}: {table}");
            let body = table.split_once("<tbody").map_or("", |(_, body)| body);
            let heads = body.split("<tr").skip(1).filter(|row| row.contains("scope=\"row\"")).count();
            assert_eq!(heads, body.split("<tr").skip(1).count(), "{path}: {table}");
        }
    }
}

/// The address in a payload is for use between servers, and often the name of a container.
#[tokio::test]
async fn a_payload_leads_to_where_a_browser_of_the_hospital_finds_its_record() {
    let event = async |public: Option<&str>| {
        let hospital = Hospital::with(&[row(1, "2026-11-20 08:00:00")], &[], "/atomfeed-console", |config| {
            config.applications[1].info.publishes = vec!["http://openmrs:8080/openmrs/".into()];
            config.applications[1].info.public_url = public.map(str::to_owned);
        })
        .await;
        hospital.page("/atomfeed-console/failed-events/odoo/1").await.body
    };
    let path = row(1, "2026-11-20 08:00:00").payload;
    let page = event(Some("https://bahmni.hospital.example/")).await;
    let link = format!("<a href=\"https://bahmni.hospital.example{path}\" rel=\"noreferrer noopener\"");
    assert!(page.contains(&link), "{page}");
    let text = event(None).await;
    assert!(text.contains(&path) && !text.contains("target=\"_blank\""), "{text}");
}

/// No failed events do not prove that everything arrived, and what was not read cannot be said to be fine.
#[tokio::test]
async fn an_empty_list_claims_no_more_than_was_asked() {
    let hospital = Hospital::with(&[], &[row(1, "2026-11-20 08:00:00")], "/atomfeed-console", |config| {
        config.applications[1].database.database = "/nonexistent/openelis.db".into();
    })
    .await;
    let list = async |hospital: &Hospital, query: &str| {
        text(&hospital.page(&format!("/atomfeed-console/failed-events{query}")).await.body)
    };
    let lost = list(&hospital, "?app=openelis").await;
    assert!(lost.contains("Nothing could be read.") && !lost.contains("No failed events"), "{lost}");
    let page = hospital.page("/atomfeed-console/failed-events?app=openelis").await.body;
    assert!(page.contains("<h1>OpenELIS could not be read<"), "{page}");
    assert!(lost.contains("OpenELIS is missing from this list.") && !lost.contains("Change or clear"), "{lost}");
    let some = list(&hospital, "").await;
    assert!(some.contains("No failed events in the applications that answered."), "{some}");
    // What is counted in the store covers the applications that could be read.
    hospital.look("odoo").await;
    hospital.console.parts.watch.poll_now("openelis").await;
    let causes = hospital.page("/atomfeed-console/failed-events?app=openelis&by=cause").await.body;
    assert!(causes.contains("<h1>OpenELIS could not be read<") && !causes.contains("No failed events"), "{causes}");
    let groups = hospital.page("/atomfeed-console/groups").await.body;
    assert!(groups.contains("<h1>No groups: OpenELIS could not be read<"), "{groups}");
    let found = hospital.page("/atomfeed-console/search?q=GAN203007").await.body;
    assert!(found.contains("<h1>Nothing found for GAN203007 (OpenELIS could not be read)<"), "{found}");
    let whole = Hospital::new(&[], &[]).await;
    let none = list(&whole, "").await;
    assert!(none.contains("Processed and unread events are not in these tables."), "{none}");
    assert!(!none.contains("Every event"), "{none}");
}

/// Its reading continues to its end, and finds there who requested it.
#[tokio::test]
async fn a_page_that_nobody_waits_for_any_more_fails_at_nothing() {
    let hospital = hospital("/atomfeed-console").await;
    let log = Log::start();
    for path in PAGES {
        for polls in 1..=12 {
            let request = Request::get(format!("/atomfeed-console{path}")).header(header::ACCEPT, "text/html");
            let request = request.body(Body::empty()).expect("a request");
            let mut answer = Box::pin(hospital.begun(request));
            for _ in 0..polls {
                if futures::poll!(&mut answer).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // Complete requests after them, so that the unfinished ones end.
        assert_eq!(hospital.page(&format!("/atomfeed-console{path}")).await.status, StatusCode::OK, "{path}");
    }
    let faults: Vec<_> =
        log.lines().into_iter().filter(|line| line.contains("ERROR") || line.contains("lost its")).collect();
    assert_eq!(faults, [""; 0]);
}

#[tokio::test]
async fn the_overview_begins_with_every_application_and_its_worst_state() {
    let rows = [row(1, "2026-11-20 08:00:00"), row(2, "2026-11-20 09:00:00")];
    let hospital = Hospital::with(&rows, &[], "/atomfeed-console", |config| {
        config.applications[0].info.limits.max_failed_events = Some(2);
    })
    .await;
    let page = hospital.page("/atomfeed-console").await.body;
    let (before, rest) = page.split_once("class=\"plain strip\"").expect("the line of applications");
    let (strip, after) = rest.split_once("</ul>").expect("its end");
    assert_eq!(text(&format!("<body>{strip}").replacen('>', "", 1)).matches("Odoo 1 stopped").count(), 1, "{strip}");
    assert!(text(&format!("<body {strip}")).contains("OpenELIS 2 running"), "{strip}");
    assert!(strip.contains("href=\"/atomfeed-console/applications/odoo\""), "{strip}");
    assert!(!before.contains("id=\"attention\"") && after.contains("id=\"attention\""), "it comes first");
    tokio::fs::rename(hospital.database("OpenELIS"), hospital.database("away")).await.expect("moved");
    hospital.console.parts.watch.poll_now("openelis").await;
    let page = hospital.page("/atomfeed-console").await.body;
    let strip = page.split_once("class=\"plain strip\"").and_then(|(_, rest)| rest.split_once("</ul>")).expect("it").0;
    assert!(text(&format!("<body {strip}")).contains("OpenELIS Unreachable"), "{strip}");
}

/// Returns the days of an application's chart on its page, each with its number.
async fn bars(hospital: &Hospital, cookie: &str, path: &str) -> Vec<String> {
    let page = hospital.page_with(cookie, path).await.body;
    let chart = page.split("<figure").nth(1).and_then(|rest| rest.split("</figure>").next()).expect("a chart");
    chart.split("<title>").skip(1).filter_map(|rest| rest.split('<').next()).map(str::to_owned).collect()
}

/// An event that failed at noon in UTC is of the next day where clocks are 14 hours ahead.
#[tokio::test]
async fn charts_have_the_days_of_the_reader() {
    use chrono::Days;

    let day = |ago: u64| clock::now().date_naive().checked_sub_days(Days::new(ago)).expect("a day");
    let at = |ago: u64| format!("{} 12:00:00", day(ago)).leak() as &'static str;
    let hospital = Hospital::new(&[row(1, at(3)), row(2, at(3)), row(3, at(6))], &[]).await;
    hospital.followed().await;
    let named = |ago: u64, failures: u32| format!("{}: {failures}", day(ago).format("%-d %b"));
    for path in ["/atomfeed-console/applications/odoo", "/atomfeed-console"] {
        assert_eq!(bars(&hospital, "", path).await, [named(6, 1), named(3, 2)], "{path}");
        let ahead = bars(&hospital, "atomfeed_zone=Pacific/Kiritimati", path).await;
        assert_eq!(ahead, [named(5, 1), named(2, 2)], "{path}");
    }
    // Events that were resolved since then failed all the same.
    hospital.execute("Odoo", "DELETE FROM failed_events WHERE id = 2").await;
    hospital.look("odoo").await;
    assert_eq!(bars(&hospital, "", "/atomfeed-console").await, [named(6, 1), named(3, 2)]);
}

/// Bars of the same height are the same number in every row.
#[tokio::test]
async fn the_charts_of_applications_share_one_scale() {
    let yesterday = clock::now().date_naive().pred_opt().expect("a day");
    let at: &'static str = format!("{yesterday} 12:00:00").leak();
    let rows = |count| (1..=count).map(|id| row(id, at)).collect::<Vec<_>>();
    let hospital = Hospital::new(&rows(40), &rows(20)).await;
    hospital.followed().await;
    let page = hospital.page("/atomfeed-console").await.body;
    let heights: Vec<u64> = page
        .split("<figure class=\"chart\"")
        .skip(1)
        .map(|chart| {
            let bar = chart.split("<rect").nth(1).expect("a bar");
            bar.split("height=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .expect("it")
                .parse()
                .expect("a number")
        })
        .collect();
    assert_eq!(heights.len(), 2, "{page}");
    assert_eq!(heights[0], 2 * heights[1], "{heights:?}");
}

#[tokio::test]
async fn every_page_names_the_hospital_also_on_paper() {
    let hospital = Hospital::with(&[], &[], "/atomfeed-console", |config| {
        config.hospital = Some("St <i>Mary</i>".to_owned());
    })
    .await;
    for path in ["", "/failed-events", "/help", "/nowhere"] {
        let page = hospital.page(&format!("/atomfeed-console{path}")).await.body;
        for part in ["class=\"on-paper\">", "class=\"foot\"><p>"] {
            let named = page.split_once(part).expect("the line").1;
            assert!(text(&format!("<body><p>{named}")).starts_with("St &lt;i&gt;Mary&lt;/i&gt; ·"), "{path}: {named}");
        }
    }
    let unnamed = Hospital::new(&[], &[]).await.page("/atomfeed-console").await.body;
    let line = unnamed.split_once("class=\"on-paper\">").expect("the line").1;
    assert!(text(&format!("<body><p>{line}")).starts_with("Atomfeed Console"), "{line}");
}

/// Nothing changes any more in a table that was dropped: its last numbers must not pass for the present ones.
#[tokio::test]
async fn a_table_that_was_dropped_is_not_known_at_once() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[row(1, "2026-11-20 08:00:00")]).await;
    hospital.followed().await;
    hospital.execute("Odoo", "DROP TABLE failed_events").await;
    for _ in 0..2 {
        hospital.console.parts.watch.poll_now("odoo").await;
    }
    let page = text(&hospital.page("/atomfeed-console").await.body);
    assert!(page.contains("table failed_events does not exist"), "{page}");
    let status = hospital.get("/atomfeed-console/status").await.json();
    let odoo = status["applications"].as_array().unwrap().iter().find(|app| app["name"] == "Odoo").expect("it").clone();
    assert_eq!(odoo["failed"], serde_json::Value::Null, "{odoo}");
    // A feed that is known by its marker has no failed events that are known, not 0.
    let lines = page.split("Feeds with failures").nth(1).unwrap_or_default();
    assert!(!lines.contains("→ Odoo 0"), "{lines}");
}

/// What was there without a time before the console began did not fail today.
#[tokio::test]
async fn charts_count_no_failure_whose_day_is_not_known() {
    let mut rows = vec![row(1, "2026-11-20 08:00:00"), row(2, "0000-00-00 00:00:00"), row(3, "2026-11-20 08:00:00")];
    rows[2].at = None;
    let yesterday = clock::now().date_naive().pred_opt().expect("a day");
    rows[0].at = Some(format!("{yesterday} 12:00:00").leak());
    let hospital = Hospital::new(&rows, &[]).await;
    hospital.followed().await;
    let named = |day: chrono::NaiveDate| format!("{}: 1", day.format("%-d %b"));
    assert_eq!(bars(&hospital, "", "/atomfeed-console").await, [named(yesterday)]);
    // While the console watches, it knows the day.
    hospital
        .execute("Odoo", "INSERT INTO failed_events (id, feed_uri, event_id, retries) VALUES (9, 'http://x', '9', 0)")
        .await;
    hospital.look("odoo").await;
    let now = bars(&hospital, "", "/atomfeed-console").await;
    assert_eq!((now.len(), now[0].as_str()), (2, named(yesterday).as_str()), "{now:?}");
}
