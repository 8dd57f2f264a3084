//! The nginx and Apache examples of `packaging/`, run by the real programs in front of the console.
//!
//! The files are used as shipped. Only addresses and file locations are replaced, and the lines for `access.mode =
//! "proxy"` are enabled. Root and ordinary users can run these tests. They need Debian's packages nginx and
//! apache2-bin; `make test` installs them.

mod front;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::{Json, Router, http::HeaderMap};
use reqwest::{RequestBuilder, Response, StatusCode};

use front::{Front, Program, free_port};

use crate::{
    router::hospital::form_token_of,
    support::database::{Failed, Server, TestDatabase, Variant},
};

const BASE: &str = "/atomfeed-console";

/// A user whom the proxy knows and who is in no group.
const U1: &str = "u1";
/// A user whom the proxy reports as a member of `it-support`, in tests where it sends groups.
const U2: &str = "u2";

/// Password of both users.
const PASSWORD: &str = "pw";

/// Longest wait of a test for an answer; answers normally arrive at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// Headers of a client that tries to gain more rights.
const HOSTILE: [(&str, &str); 12] = [
    ("X-Remote-User", "root"),
    ("X-Remote-User", "administrator"),
    ("X-Remote-Groups", "it-lead"),
    ("x-remote-groups", "it-support"),
    ("X_Remote_User", "root"),
    ("X_Remote_Groups", "it-lead"),
    ("Forwarded", "for=6.6.6.6;proto=http;host=evil.example"),
    ("X-Forwarded-For", "6.6.6.6"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Proto", "https,http"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Server", "evil.example"),
];

/// The console itself, on a database with one failed event.
struct Console {
    child: Child,
    port: u16,
    _database: TestDatabase,
    _folder: tempfile::TempDir,
}

impl Console {
    async fn start(public_port: u16) -> Self {
        let mut database = TestDatabase::new(Server::Sqlite, Variant::Text).await;
        let row = Failed { retries: 5, ..database.failed(1) };
        database.insert(&[row]).await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = format!(
            "listen = \"127.0.0.1:0\"\npublic_origin = \"https://127.0.0.1:{public_port}\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
             [access]\nmode = \"proxy\"\n[access.proxy]\nuser_header = \"X-Remote-User\"\n\
             groups_header = \"X-Remote-Groups\"\noperator = [\"it-support\"]\nadministrator = [\"it-lead\"]\n\
             otherwise = \"viewer\"\n[[application]]\nname = \"Odoo\"\nkind = \"odoo\"\ndatabase = \"sqlite:{}\"\n",
            database.app.database.database
        );
        fs::write(folder.path().join("console.toml"), file).expect("the configuration is written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_atomfeed-console"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ATOMFEED_CONSOLE_") {
                command.env_remove(name);
            }
        }
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let mut child = command
            .args(["serve", "--config", "console.toml"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the console starts");
        let said = BufReader::new(child.stdout.take().expect("its output")).lines();
        let answers = said.map_while(Result::ok).find(|line| line.contains("answers at"));
        let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let line = answers.unwrap_or_else(|| panic!("the console ended: {}", log()));
        let warned = log().contains("access.proxy.groups_header: a client that can send the header x-remote-groups");
        assert!(warned, "it warns of the groups: {}", log());
        let port = line.rsplit(':').next().and_then(|rest| rest.split('/').next()).and_then(|port| port.parse().ok());
        Self { child, port: port.expect("a port"), _database: database, _folder: folder }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts the console behind a program that authenticates users. `groups`: the program also sends groups.
async fn signing_in(program: Program, groups: bool) -> (Front, Console) {
    let port = free_port();
    let console = Console::start(port).await;
    (Front::start(program, port, console.port, true, groups).await, console)
}

fn with(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn text(request: RequestBuilder) -> (StatusCode, String) {
    let answer = request.send().await.expect("an answer");
    (answer.status(), answer.text().await.expect("its text"))
}

/// Returns the user's name and role.
async fn known_as(request: RequestBuilder) -> (String, String) {
    let (status, body) = text(request).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let account: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let part = |name: &str| account["person"][name].as_str().expect(name).to_owned();
    (part("name"), part("role"))
}

/// Returns the headers of a request.
async fn tell(headers: HeaderMap) -> Json<Vec<(String, String)>> {
    let told = headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
    Json(told.collect())
}

/// Checks header by header what arrives behind the program.
async fn arrives(program: Program, sign_in: bool) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let behind = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(tell)).await });
    let front = Front::start(program, free_port(), port, sign_in, false).await;
    // With and without the trick of naming headers in `Connection`, which makes a proxy drop them.
    for connection in [None, Some("X-Forwarded-For, X-Forwarded-Host, Forwarded, Authorization, X-Remote-Groups")] {
        let mut request = with(front.get(&format!("{BASE}/x"), sign_in.then_some(U1)), &HOSTILE);
        if let Some(connection) = connection {
            request = request.header("Connection", connection);
        }
        let (status, body) = text(request).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let arrived: Vec<(String, String)> = serde_json::from_str(&body).expect("JSON");
        let all = |name: &str| {
            let values = arrived.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
            values.collect::<Vec<_>>()
        };
        let last = |name: &str| all(name).last().and_then(|value| value.rsplit(',').next()).map(str::trim);
        assert_eq!(all("x-remote-user"), if sign_in { vec![U1] } else { Vec::new() }, "{arrived:?}");
        for none in ["x-remote-groups", "forwarded"] {
            assert_eq!(all(none), Vec::<&str>::new(), "{none}: {arrived:?}");
        }
        if sign_in {
            assert_eq!(all("authorization"), Vec::<&str>::new(), "{arrived:?}");
        }
        // The console uses the last value of each of these.
        assert_eq!(all("x-forwarded-proto"), ["https"], "{arrived:?}");
        assert_eq!(last("x-forwarded-for"), Some("127.0.0.1"), "{arrived:?}");
        assert_eq!(last("x-forwarded-host"), Some(front.host().as_str()), "{arrived:?}");
        assert_eq!(all("host"), [front.host()], "{arrived:?}");
    }
    behind.abort();
}

async fn nothing_that_a_browser_says_of_itself_arrives(program: Program) {
    arrives(program, false).await;
    arrives(program, true).await;
}

async fn nobody_is_more_than_the_proxy_says(program: Program) {
    let (front, _console) = signing_in(program, false).await;
    let own = format!("{BASE}/api/own_account");
    let viewer = (U1.to_owned(), "viewer".to_owned());
    assert_eq!(known_as(front.get(&own, Some(U1))).await, viewer);
    for header in HOSTILE {
        assert_eq!(known_as(with(front.get(&own, Some(U1)), &[header])).await, viewer, "{header:?}");
    }
    assert_eq!(known_as(with(front.get(&own, Some(U1)), &HOSTILE)).await, viewer);
    // With Apache, a client that makes it drop its identity headers is not authenticated; nginx does not drop them.
    for dropped in ["X-Remote-User", "X-Remote-Groups, X-Remote-User", "close, X-Remote-User, X-Forwarded-Proto"] {
        let request = with(front.get(&own, Some(U1)), &HOSTILE).header("Connection", dropped);
        let (status, body) = text(request).await;
        match program {
            Program::Nginx => assert!(status == StatusCode::OK && body.contains("\"viewer\""), "{status}: {body}"),
            Program::Apache => assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}"),
        }
    }
    // A client that does not sign in at the program does not reach the console at all.
    for request in [front.get(&own, None), front.get(&own, None).basic_auth(U1, Some("wrong"))] {
        let answer = with(request, &HOSTILE).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let asks = answer.headers()["www-authenticate"].to_str().expect("text").to_owned();
        assert_eq!(asks, "Basic realm=\"Atomfeed Console\"", "the program asks, not the console");
    }
}

async fn groups_come_from_the_proxy_alone(program: Program) {
    let (front, _console) = signing_in(program, true).await;
    let own = format!("{BASE}/api/own_account");
    for (name, role) in [(U1, "viewer"), (U2, "operator")] {
        let expected = (name.to_owned(), role.to_owned());
        assert_eq!(known_as(front.get(&own, Some(name))).await, expected);
        assert_eq!(known_as(with(front.get(&own, Some(name)), &HOSTILE)).await, expected, "whatever is sent");
    }
}

/// Reads a stream until it contains a text; fails if the stream ends before.
async fn until(stream: &mut Response, wanted: &str) {
    let mut read = String::new();
    let waited = tokio::time::timeout(PATIENCE, async {
        while !read.contains(wanted) {
            let chunk = stream.chunk().await.expect("a stream").expect("it goes on");
            read.push_str(&String::from_utf8_lossy(&chunk));
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{wanted} did not come, but {read}"));
}

async fn pages_forms_and_streams_pass(program: Program) {
    let (front, _console) = signing_in(program, true).await;
    let (status, overview) = text(front.page(BASE, U2)).await;
    assert_eq!(status, StatusCode::OK, "{overview}");
    assert!(overview.contains(&format!("href=\"{BASE}/failed-events")), "links stay below the base path: {overview}");
    let slash = front.page(&format!("{BASE}/"), U2).send().await.expect("an answer");
    assert!(slash.status().is_success() || slash.status().is_redirection(), "{}", slash.status());
    if let Some(place) = slash.headers().get("location") {
        assert!(place.to_str().expect("text").ends_with(BASE), "{place:?}");
    }
    let (status, _) = text(front.page("/openmrs", U2)).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "nothing else of the host goes to the console");

    // A whole operation, as a browser without JavaScript performs it.
    let list = front.page(&format!("{BASE}/failed-events?app=odoo"), U2).send().await.expect("an answer");
    assert_eq!(list.status(), StatusCode::OK);
    let cookie = list.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a cookie").to_owned();
    assert!(cookie.starts_with("__Secure-atomfeed_browser="), "the console knows that it is HTTPS: {cookie}");
    assert_eq!(list.headers()["strict-transport-security"], "max-age=31536000");
    let token = form_token_of(&list.text().await.expect("a page"));
    let retry = |origin: &str| {
        let body = format!("form_token={token}&rows%5B%5D=odoo%3A1%3A5");
        let request = front.post(&format!("{BASE}/api/retry"), U2);
        let request = with(request, &[("Origin", origin), ("Cookie", &cookie), ("Accept", "text/html")]);
        request.header("Content-Type", "application/x-www-form-urlencoded").body(body)
    };
    let refused = retry("https://evil.example").send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let done = retry(&format!("https://{}", front.host())).send().await.expect("an answer");
    assert_eq!(done.status(), StatusCode::SEE_OTHER, "{:?}", done.text().await);
    let place = done.headers()["location"].to_str().expect("text");
    let path = place.strip_prefix(&format!("https://{}", front.host())).unwrap_or(place);
    assert!(path.starts_with(&format!("{BASE}/")), "{place}");

    // A stream that the proxy buffers until its end would show nothing for ten minutes.
    let mut stream = front.get(&format!("{BASE}/events"), Some(U2)).send().await.expect("an answer");
    assert_eq!(stream.status(), StatusCode::OK);
    until(&mut stream, "event: open").await;
}

async fn no_log_of_the_proxy_holds_what_was_searched(program: Program) {
    let (front, mut console) = signing_in(program, false).await;
    let search = format!("{BASE}/failed-events?q=Secretname");
    let from = format!("https://{}{search}", front.host());
    let ask = async |path: &str| {
        let request = front.page(path, U1).header("Referer", &from);
        request.send().await.expect("an answer").status()
    };
    assert_eq!(ask(&search).await, StatusCode::OK);
    assert_eq!(ask(&format!("{BASE}/help")).await, StatusCode::OK);
    let wrong = front.get(&search, None).basic_auth(U1, Some("wrong")).header("Referer", &from);
    assert_eq!(wrong.send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    // Errors have separate log lines.
    console.end();
    assert!(ask(&search).await.is_server_error());
    let logs = front.end();
    assert!(!logs.iter().any(|(_, log)| log.contains("Secretname")), "{logs:#?}");
    let errors = logs.iter().find(|(name, _)| name == "error.log").map(|(_, log)| log.as_str());
    assert!(errors.is_some_and(|log| !log.is_empty()), "the logs of the program were looked at: {logs:#?}");
    if program == Program::Apache {
        let access = logs.iter().find(|(name, _)| name == "access.log").map(|(_, log)| log.as_str());
        assert!(
            access.is_some_and(|log| log.contains("\"GET /atomfeed-console/failed-events HTTP/1.1\" 200")),
            "{logs:#?}"
        );
    }
}

macro_rules! by_each_program {
    ($($test:ident)*) => {
        by_each_program!(nginx, Nginx: $($test)*);
        by_each_program!(apache, Apache: $($test)*);
    };
    ($module:ident, $program:ident: $($test:ident)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(super::Program::$program).await;
                }
            )*
        }
    };
}

by_each_program!(
    nothing_that_a_browser_says_of_itself_arrives
    nobody_is_more_than_the_proxy_says
    groups_come_from_the_proxy_alone
    pages_forms_and_streams_pass
    no_log_of_the_proxy_holds_what_was_searched
);
