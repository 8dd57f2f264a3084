//! What a publisher's feed answers over HTTP, and what the console tells of it.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use atomfeed_console::{
    model::{Person, Role, probe::Probe},
    server::config::{Access, ProbeLogin, ProbeSettings, Secret},
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::hospital::{Hospital, PUBLISHER};

const LAB: &str = "/atomfeed-console/applications/openelis";

/// The read position of Odoo: page 3 of the patient feed.
const MARKER: &str = "DELETE FROM markers; INSERT INTO markers VALUES
    ('http://openmrs:8080/openmrs/ws/atomfeed/patient/recent',
     'tag:atomfeed.ict4h.org:e0000000-0000-4000-8000-000000000012',
     'http://openmrs:8080/openmrs/ws/atomfeed/patient/3')";

/// The event that it names.
const EVENT: &str = "INSERT INTO event_records (id, uuid, title, timestamp, object, category)
    VALUES (12, 'e0000000-0000-4000-8000-000000000012', 'Patient', '2026-11-01T08:00:12Z', '/patient/1', 'patient')";

/// What the publisher answers now, and the logins that it was sent.
#[derive(Debug, Default)]
struct Answers {
    now: Mutex<(u16, String)>,
    logins: Mutex<Vec<String>>,
}

impl Answers {
    fn set(&self, status: u16, body: &str) {
        *self.now.lock().unwrap() = (status, body.to_owned());
    }
}

async fn answer(State(answers): State<Arc<Answers>>, headers: HeaderMap) -> Response {
    let login = headers.get(header::AUTHORIZATION).map_or("", |value| value.to_str().unwrap());
    answers.logins.lock().unwrap().push(login.to_owned());
    let (status, body) = answers.now.lock().unwrap().clone();
    (StatusCode::from_u16(status).unwrap(), Html(body)).into_response()
}

fn page(via: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><feed xmlns=\"http://www.w3.org/2005/Atom\"><title>Patient AOP</title>\
         <link rel=\"via\" type=\"application/atom+xml\" href=\"{via}\" /><id>1+1</id>\
         <updated>2026-11-01T08:00:00Z</updated><entry><title>Patient</title>\
         <id>tag:atomfeed.ict4h.org:e0000000-0000-4000-8000-000000000011</id><updated>2026-11-01T08:00:11Z</updated>\
         <content type=\"application/vnd.atomfeed+xml\"><![CDATA[/patient/1]]></content></entry></feed>"
    )
}

struct Probed {
    hospital: Hospital,
    answers: Arc<Answers>,
    address: String,
}

impl Probed {
    async fn new(first: (u16, &str), access: Access) -> Self {
        let answers = Arc::new(Answers::default());
        answers.set(first.0, first.1);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}/openmrs/ws/atomfeed/patient/recent", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(answers.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let settings = ProbeSettings {
            address: address.clone(),
            every: Duration::from_millis(20),
            login: ProbeLogin::Basic { user: "feeds".into(), password: Secret::new("s3cret") },
        };
        let statements =
            [("OpenELIS", PUBLISHER), ("OpenELIS", EVENT), ("OpenELIS", "DELETE FROM markers"), ("Odoo", MARKER)];
        let hospital = Hospital::made(&[], &[], "/atomfeed-console", &statements, |config| {
            config.applications[1].info.publishes = vec!["http://openmrs:8080/openmrs/".into()];
            config.applications[1].probe = Some(settings);
            config.access = access;
        })
        .await;
        hospital.followed().await;
        Self { hospital, answers, address }
    }

    async fn open(first: (u16, &str)) -> Self {
        Self::new(first, Access { way: atomfeed_console::server::config::AuthMode::Open, ..Access::default() }).await
    }

    async fn probe(&self) -> Probe {
        let view = self.hospital.console.parts.watch.view("openelis").await.expect("the application");
        view.probe.expect("a probe")
    }

    /// Waits until the answers were told apart.
    async fn until(&self, told: impl Fn(&Probe) -> bool) {
        let begun = Instant::now();
        while !told(&self.probe().await) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", self.probe().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn a_feed_that_answers_is_shown_and_no_concern() {
    let probed = Probed::open((200, &page("http://openmrs:8080/openmrs/ws/atomfeed/patient/3"))).await;
    probed.until(|probe| probe.last.is_some()).await;
    let page = probed.hospital.page(LAB).await.body;
    assert!(page.contains("Its feed over HTTP") && page.contains(&probed.address), "{page}");
    assert!(page.contains("a page of the feed with ") && page.contains("1 entry"), "{page}");
    assert!(page.contains("Newest entry"), "{page}");
    let status = probed.hospital.get("/atomfeed-console/status").await.json();
    assert_eq!(status["applications"][1]["probe"]["answers"], true, "{status}");
    assert_eq!(status["applications"][0]["probe"], serde_json::Value::Null);
    let kinds = status["applications"][1]["concerns"].to_string();
    assert!(!kinds.contains("feed_"), "{kinds}");
    assert_eq!(probed.answers.logins.lock().unwrap()[0], "Basic ZmVlZHM6czNjcmV0");
}

#[tokio::test]
async fn whatever_is_no_feed_is_told_with_its_kind_in_every_place() {
    for (status, body, said, advice) in [
        (500, "boom", "Unexpected response status 500", "same error"),
        (401, "", "not authorized", "probe_user"),
        (404, "", "not found", "path and the category"),
        (302, "", "Unexpected response status 302", "the page to sign in on"),
        (
            200,
            "<!DOCTYPE html><html><body><form>Sign in <script>alert(1)</script></form></body></html>",
            "web page",
            "the page to sign in on",
        ),
        (200, "<rss/>", "no Atom feed", "proxy"),
        (200, "<feed", "no well-formed XML", "proxy"),
    ] {
        let probed = Probed::open((status, body)).await;
        probed.until(|probe| probe.failure().is_some()).await;
        for path in [LAB, "/atomfeed-console"] {
            let page = probed.hospital.page(path).await.body;
            assert!(page.contains("OpenELIS does not serve its feed"), "{status} {body}: {page}");
            assert!(page.contains(said) && page.contains(advice), "{status} {body}: {page}");
            assert!(!page.contains("alert(1)") && !page.contains("s3cret"), "{page}");
        }
        let line = probed.hospital.get("/atomfeed-console/status?plain").await.body;
        assert!(line.starts_with("CRITICAL - ") && line.contains("OpenELIS does not serve its feed"), "{line}");
    }
}

#[tokio::test]
async fn an_end_of_the_outage_is_noticed() {
    let probed = Probed::open((503, "")).await;
    probed.until(|probe| probe.failure().is_some()).await;
    probed.answers.set(200, &page("http://openmrs:8080/openmrs/ws/atomfeed/patient/3"));
    probed.until(|probe| probe.last.is_some() && probe.failure().is_none()).await;
    let status = probed.hospital.get("/atomfeed-console/status").await.json();
    assert_eq!(status["applications"][1]["probe"]["reason"], serde_json::Value::Null);
    assert!(!status.to_string().contains("feed_not_served"), "{status}");
}

#[tokio::test]
async fn links_and_pages_that_the_read_positions_do_not_know_are_told_without_hidden_names() {
    let probed =
        Probed::new((200, &page("http://10.0.0.5:8080/openmrs/ws/atomfeed/patient/2")), Access::default()).await;
    probed.until(|probe| !probe.differences().is_empty()).await;
    let administrator = Person { role: Role::Administrator, ..Person::anybody() };
    let seen = probed.hospital.page_as(&administrator, LAB).await.body;
    assert!(seen.contains("The links of the feed lead to http://10.0.0.5:8080"), "{seen}");
    assert!(seen.contains("Odoo has read up to page 3, and the newest page is 2"), "{seen}");
    let limited = Person { applications: Some(["openelis".to_owned()].into()), ..administrator };
    let seen = probed.hospital.page_as(&limited, LAB).await.body;
    assert!(seen.contains("A consumer has read up to page 3"), "{seen}");
    assert!(!seen.contains("Odoo has read"), "{seen}");
}
