//! HTTP to a publisher: what is sent, what is refused, and how errors read.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use atomfeed::{Client, ClientError, ClientSettings, Login};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::net::TcpListener;

use crate::support::feeds::Feeds;

type Answers = Arc<dyn Fn(&str, &HeaderMap) -> Response + Send + Sync>;

/// A server that answers by a function, and records the requests as `path host cookie authorization`.
struct Publisher {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Publisher {
    async fn start(answers: impl Fn(&str, &HeaderMap) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let state: (Answers, _) = (Arc::new(answers), Arc::clone(&asked));
        let router = Router::new().fallback(respond).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    fn client(&self, change: impl FnOnce(&mut ClientSettings)) -> Client {
        let mut settings = ClientSettings { via: Some(self.address), ..ClientSettings::default() };
        change(&mut settings);
        Client::new("http://openmrs:8080/openmrs/ws/atomfeed/patient/recent", settings).expect("a client")
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

async fn respond(State((answers, asked)): State<(Answers, Arc<Mutex<Vec<String>>>)>, request: Request) -> Response {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let (host, cookie) = (header(header::HOST), header(header::COOKIE));
    let line = format!("{path} {host} {cookie} {}", header(header::AUTHORIZATION));
    asked.lock().expect("no panic").push(line);
    answers(path, request.headers())
}

fn redirect(to: &'static str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

#[tokio::test]
async fn a_logical_host_is_reached_via_a_socket_address_and_named_in_the_request() {
    let publisher = Publisher::start(|_, _| "patient".into_response()).await;
    let client = publisher.client(|_| {});
    let answer = client.read("/openmrs/ws/rest/v1/patient/a%20b?v=full").await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "patient"));
    assert_eq!(answer.address, "http://openmrs:8080/openmrs/ws/rest/v1/patient/a%20b?v=full");
    client.read("http://openmrs:8080/whole").await.expect("a whole address of the publisher is as good");
    assert_eq!(
        publisher.asked(),
        ["/openmrs/ws/rest/v1/patient/a%20b?v=full openmrs:8080 - -", "/whole openmrs:8080 - -"]
    );
}

#[tokio::test]
async fn a_status_that_is_no_success_is_said_in_the_words_of_the_original() {
    let publisher = Publisher::start(|path, _| {
        let status = path.trim_start_matches('/').parse().expect("a status");
        StatusCode::from_u16(status).expect("a status").into_response()
    })
    .await;
    let client = publisher.client(|_| {});
    for (path, text) in [
        ("/404", "Resource not found at http://openmrs:8080/404"),
        ("/401", "User not authorized"),
        ("/302", "Unexpected response status 302"),
        ("/500", "Unexpected response status 500"),
    ] {
        assert_eq!(client.read(path).await.expect_err("no success").to_string(), text);
        let answer = client.get(path).await.expect("whatever the status, it is an answer");
        assert_eq!(format!("/{}", answer.status), path);
    }
}

#[tokio::test]
async fn one_redirect_is_followed_where_it_is_allowed_and_stays_with_the_publisher() {
    let answers = |path: &str, _: &HeaderMap| match path {
        "/once" => redirect("/here"),
        "/twice" => redirect("/once"),
        "/away" => redirect("http://example.org/"),
        _ => "here".into_response(),
    };
    let publisher = Publisher::start(answers).await;
    let careful = publisher.client(|_| {});
    assert_eq!(careful.read("/once").await, Err(ClientError::Status(302)));
    let client = publisher.client(|settings| settings.follow_redirect = true);
    assert_eq!(client.read("/once").await.expect("an answer").text(), "here");
    assert_eq!(client.read("/twice").await, Err(ClientError::Status(302)));
    assert!(matches!(client.read("/away").await, Err(ClientError::OtherOrigin { .. })));
}

#[tokio::test]
async fn nobody_but_the_publisher_is_asked() {
    let publisher = Publisher::start(|_, _| "here".into_response()).await;
    let client = publisher.client(|_| {});
    for other in ["http://openmrs/", "https://openmrs:8080/", "http://example.org:8080/", "//example.org/x"] {
        let error = client.get(other).await.expect_err(other);
        assert!(matches!(error, ClientError::OtherOrigin { .. }), "{other}: {error}");
    }
    for none in ["file:///etc/passwd", "", " ", "http://me:secret@:99999/"] {
        let error = client.get(none).await.expect_err(none);
        assert!(matches!(error, ClientError::Address(_)), "{none}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let error = client.get("http://me:secret@openmrs:8080/a@b").await.expect_err("it holds a password");
    let text = "http://…@openmrs:8080/a@b has a name and a password in it, which are no part of an address: give them as \
                the client's login";
    assert_eq!(error.to_string(), text);
    assert!(publisher.asked().is_empty());
}

#[tokio::test]
async fn of_the_publishers_address_only_scheme_host_and_port_matter() {
    let publisher = Publisher::start(|_, _| "here".into_response()).await;
    let client = publisher.client(|_| {});
    for path in ["patient/2", "./patient/2", "?v=full"] {
        client.read(path).await.expect(path);
    }
    assert_eq!(
        publisher.asked(),
        ["/patient/2 openmrs:8080 - -", "/patient/2 openmrs:8080 - -", "/?v=full openmrs:8080 - -"]
    );
}

#[tokio::test]
async fn the_same_publisher_by_another_name_is_asked_where_it_is_reached() {
    let answers = |path: &str, _: &HeaderMap| match path {
        "/once" => redirect("https://hospital.example.org/openmrs/here"),
        _ => "here".into_response(),
    };
    let publisher = Publisher::start(answers).await;
    let same = vec!["https://hospital.example.org".to_owned(), "http://10.0.0.7:8050/openmrs?x#y".to_owned()];
    let login = Login::Basic { user: "feed".to_owned(), password: "geheim".to_owned() };
    let client = publisher.client(|settings| {
        settings.same_publisher = same;
        settings.login = login;
        settings.follow_redirect = true;
    });
    let answer = client.read("https://hospital.example.org/openmrs/a%20b?v=full").await.expect("an answer");
    assert_eq!(answer.address, "http://openmrs:8080/openmrs/a%20b?v=full");
    client.read("http://10.0.0.7:8050/c").await.expect("an answer");
    client.read("/once").await.expect("an answer");
    for other in ["http://hospital.example.org/", "https://hospital.example.org:8443/", "http://10.0.0.7/"] {
        let error = client.get(other).await.expect_err(other);
        assert!(matches!(error, ClientError::OtherOrigin { .. }), "{other}: {error}");
    }
    let asked = ["/openmrs/a%20b?v=full", "/c", "/once", "/openmrs/here"];
    assert_eq!(publisher.asked(), asked.map(|path| format!("{path} openmrs:8080 - Basic ZmVlZDpnZWhlaW0=")));
    for wrong in ["hospital.example.org", "ftp://hospital.example.org", ""] {
        let settings = ClientSettings { same_publisher: vec![wrong.to_owned()], ..ClientSettings::default() };
        assert!(matches!(Client::new("http://openmrs", settings), Err(ClientError::Address(_))), "{wrong}");
    }
}

#[tokio::test]
async fn basic_credentials_go_with_every_request() {
    let publisher = Publisher::start(|_, _| "here".into_response()).await;
    let login = Login::Basic { user: "feed".to_owned(), password: "geheim".to_owned() };
    let client = publisher.client(|settings| settings.login = login);
    assert!(!format!("{client:?}").contains("geheim"), "a password is never printed");
    client.read("/a").await.expect("an answer");
    assert_eq!(publisher.asked(), ["/a openmrs:8080 - Basic ZmVlZDpnZWhlaW0="]);
}

fn session(publisher: &Publisher) -> Client {
    let (user, password) = ("feed".to_owned(), "geheim".to_owned());
    publisher.client(|settings| settings.login = Login::Session { address: "/session".to_owned(), user, password })
}

#[tokio::test]
async fn a_session_is_begun_once_and_again_when_it_has_ended() {
    let logins = Mutex::new(0);
    let publisher = Publisher::start(move |path, headers| {
        let mut logins = logins.lock().expect("no panic");
        if path == "/session" {
            *logins += 1;
            let cookie = format!("JSESSIONID={logins}; Path=/openmrs; HttpOnly");
            return ([(header::SET_COOKIE, cookie)], r#"{"authenticated": true}"#).into_response();
        }
        // The first session ends after one answer.
        let cookie = headers.get(header::COOKIE).and_then(|cookie| cookie.to_str().ok()).unwrap_or_default();
        if path == "/b" && cookie == "JSESSIONID=1" {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        cookie.to_owned().into_response()
    })
    .await;
    let client = session(&publisher);
    assert_eq!(client.read("/a").await.expect("an answer").text(), "JSESSIONID=1");
    assert_eq!(client.read("/b").await.expect("an answer").text(), "JSESSIONID=2");
    let basic = "Basic ZmVlZDpnZWhlaW0=";
    assert_eq!(
        publisher.asked(),
        [
            format!("/session openmrs:8080 - {basic}"),
            "/a openmrs:8080 JSESSIONID=1 -".to_owned(),
            "/b openmrs:8080 JSESSIONID=1 -".to_owned(),
            format!("/session openmrs:8080 - {basic}"),
            "/b openmrs:8080 JSESSIONID=2 -".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_login_that_is_refused_says_why() {
    for (status, body, why) in [
        (200, r#"{"authenticated": false}"#, "name or password is wrong"),
        (200, r#"{"authenticated": true}"#, "the login gave no cookie"),
        (204, "", "two factor authentication is enabled for this account"),
        (302, "", "the login answered with status 302"),
    ] {
        let publisher =
            Publisher::start(move |_, _| (StatusCode::from_u16(status).expect("a status"), body).into_response()).await;
        let error = session(&publisher).read("/a").await.expect_err("the login is refused");
        assert_eq!(error.to_string(), format!("Could not authenticate with http://openmrs:8080/session: {why}"));
    }
}

#[tokio::test]
async fn a_publisher_that_is_down_is_said_so() {
    let feeds = Feeds::start().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let nobody = listener.local_addr().expect("an address");
    drop(listener);
    assert_ne!(nobody, feeds.address);
    let settings = ClientSettings { via: Some(nobody), ..ClientSettings::default() };
    let error = Client::new("http://openmrs:8080", settings).expect("a client").read("/a").await;
    let error = error.expect_err("nobody listens").to_string();
    assert!(error.starts_with("Connect to http://openmrs:8080/a failed: Connection refused"), "{error}");
}

#[test]
fn a_plain_socket_address_is_no_way_to_an_https_publisher() {
    let settings = ClientSettings { via: Some(([127, 0, 0, 1], 1).into()), ..ClientSettings::default() };
    assert!(matches!(Client::new("https://openmrs/", settings), Err(ClientError::Client(_))));
    assert!(matches!(Client::new("openmrs", ClientSettings::default()), Err(ClientError::Address(_))));
}
