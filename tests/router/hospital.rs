//! A small hospital for the router's tests: new SQLite databases, and the console's own router on them.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use atomfeed_console::{
    model::{ApplicationInfo, Backend, Kind, Person, application::ConcernSettings, samples},
    paths::Base,
    server::{
        config::{self, Access, Application, AuthMode, Config, Database, Secret},
        http,
        security::secrets,
        state::Console,
        store::{NewAccount, NewPassword, NewToken, Store},
    },
};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header, request},
};
use http_body_util::BodyExt;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tower::ServiceExt;

/// Much shorter than a user would wait, so that a source that hangs fails its test and not the whole run.
const PATIENCE: Duration = Duration::from_secs(5);

/// A row of `failed_events` to insert.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: i64,
    pub feed: &'static str,
    pub at: Option<&'static str>,
    pub error: String,
    pub event: String,
    pub payload: String,
    pub retries: i64,
    pub tags: &'static str,
}

pub const ENCOUNTERS: &str = "http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent";
pub const PATIENTS: &str = "http://openmrs:8080/openmrs/ws/atomfeed/patient/recent";

/// Returns an exhausted failed encounter.
pub fn row(id: i64, at: &'static str) -> Row {
    Row {
        id,
        feed: ENCOUNTERS,
        at: Some(at),
        error: format!(
            "Failed processing event in feed [http://openmrs:8080/openmrs/ws/atomfeed/encounter/{id}] \nNo. {id} did not work"
        ),
        event: format!("tag:atomfeed.ict4h.org:00000000-0000-4000-8000-{id:012}"),
        payload: format!(
            "/openmrs/ws/rest/v1/bahmnicore/bahmniencounter/10000000-0000-4000-8000-{id:012}?includeAll=true"
        ),
        retries: 5,
        tags: "Encounter",
    }
}

/// The hospital: its folder, its databases, and the router.
pub struct Hospital {
    folder: tempfile::TempDir,
    router: Router,
    pub console: Console,
}

/// An answer, read completely.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a readable header"))
    }

    /// Returns the page that a refused form leads to.
    pub fn refusal(&self) -> Option<&str> {
        // After a sign-in, the address names a form that was refused before.
        Some(self.header("location")).filter(|page| page.contains("refused=") && !page.contains("undone="))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Hospital {
    /// Creates two applications, "Odoo" and "OpenELIS", with these failed events, under the usual base path.
    pub async fn new(odoo: &[Row], openelis: &[Row]) -> Self {
        Self::with(odoo, openelis, "/atomfeed-console", |_| ()).await
    }

    pub async fn with(odoo: &[Row], openelis: &[Row], base: &str, change: impl FnOnce(&mut Config)) -> Self {
        Self::made(odoo, openelis, base, &[], change).await
    }

    /// The same, after these statements on the databases of the named applications.
    pub async fn made(
        odoo: &[Row],
        openelis: &[Row],
        base: &str,
        statements: &[(&str, &'static str)],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut applications = Vec::new();
        for (name, kind, rows) in [("Odoo", Kind::Odoo, odoo), ("OpenELIS", Kind::Openelis, openelis)] {
            let application = application(name, kind, folder.path().join(format!("{name}.db")));
            make(&application.database.database, rows).await;
            let mut connection = open(application.database.database.as_ref()).await;
            for (_, sql) in statements.iter().filter(|(of, _)| *of == name) {
                sqlx::raw_sql(*sql).execute(&mut connection).await.expect("the statement runs");
            }
            connection.close().await.expect("closed");
            applications.push(application);
        }
        let mut config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            base: Base::parse(base).expect("a base path"),
            store: folder.path().join("console.db"),
            command: Default::default(),
            log: Default::default(),
            log_level: Default::default(),
            hospital: None,
            read_only: false,
            mask_texts: true,
            records: Default::default(),
            audit_keep: None,
            keep_discarded: Some(chrono::TimeDelta::days(30)),
            keep_history: Some(chrono::TimeDelta::days(30)),
            applications,
            unconfigured: Vec::new(),
            // No one signs in unless a test is about access.
            access: Access { way: AuthMode::Open, ..Access::default() },
            network: Default::default(),
            demo: false,
            warnings: Vec::new(),
            leptos: config::leptos_options(folder.path()).expect("the built-in options"),
        };
        change(&mut config);
        let store = Store::open(&config.store).await.expect("a store");
        let console = Console::new(config, store);
        Self { folder, router: http::router(console.clone()), console }
    }

    pub fn database(&self, app: &str) -> PathBuf {
        self.folder.path().join(format!("{app}.db"))
    }

    /// Runs a statement on an application's database, as the consumer or another client would.
    pub async fn execute(&self, app: &str, sql: &str) {
        let mut connection = open(&self.database(app)).await;
        let statements = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(statements).execute(&mut connection).await.expect("the statement runs");
        connection.close().await.expect("closed");
    }

    /// Writes a row of an application's retry log: its id, time, error and event id.
    pub async fn log(&self, app: &str, feed: &str, (id, at, error, event): (i64, &str, String, String)) {
        let mut connection = open(&self.database(app)).await;
        sqlx::query("INSERT INTO failed_event_retry_log VALUES (?, ?, ?, ?, ?, '', 0)")
            .bind(id)
            .bind(feed)
            .bind(at)
            .bind(error)
            .bind(event)
            .execute(&mut connection)
            .await
            .expect("a row of the log");
        connection.close().await.expect("closed");
    }

    /// Returns id → (retries, failed_at) of every failed event.
    pub async fn retries(&self, app: &str) -> BTreeMap<i64, (i64, Option<String>)> {
        let mut connection = open(&self.database(app)).await;
        let rows: Vec<(i64, i64, Option<String>)> = sqlx::query_as("SELECT id, retries, failed_at FROM failed_events")
            .fetch_all(&mut connection)
            .await
            .expect("rows");
        rows.into_iter().map(|(id, retries, at)| (id, (retries, at))).collect()
    }

    /// Stops the console and starts it again, with the same store.
    pub fn restart(&mut self) {
        let parts = &self.console.parts;
        self.console = Console::new(parts.config.clone(), parts.store.clone());
        self.router = http::router(self.console.clone());
    }

    /// Waits until the ledger has read every database completely.
    pub async fn followed(&self) {
        for app in ["odoo", "openelis"] {
            self.look(app).await;
        }
    }

    /// Returns the numbers that a query yields.
    pub async fn numbers(&self, app: &str, sql: &'static str) -> Vec<i64> {
        let mut connection = open(&self.database(app)).await;
        sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect("numbers")
    }

    /// Returns the numbers that a query of the console's own store yields.
    pub async fn numbers_of_store(&self, sql: &'static str) -> Vec<i64> {
        let mut store = open(&self.console.parts.config.store).await;
        sqlx::query_scalar(sql).fetch_all(&mut store).await.expect("numbers")
    }

    /// Runs statements on the console's own store.
    pub async fn execute_on_store(&self, sql: &'static str) {
        let mut store = open(&self.console.parts.config.store).await;
        sqlx::raw_sql(sql).execute(&mut store).await.expect("the statements run");
        store.close().await.expect("closed");
    }

    /// Polls an application until the ledger agrees with its table.
    pub async fn look(&self, app: &str) {
        let mut changes = self.console.parts.watch.changes();
        let console = self.console.clone();
        let app = app.to_owned();
        let asked = app.clone();
        // Polled twice: a poll that was already under way may not have seen everything.
        for _ in 0..2 {
            console.parts.watch.poll_now(&asked).await;
        }
        let told = async {
            while !self.console.parts.watch.followed(&app).is_some_and(|(_, whole)| whole) {
                let _ = changes.recv().await;
                self.console.parts.watch.poll_now(&app).await;
            }
        };
        tokio::time::timeout(PATIENCE * 12, told).await.expect("the ledger has read the table");
    }

    /// Waits until an operation has ended.
    pub async fn ended(&self, id: i64) {
        let begun = std::time::Instant::now();
        while self.console.parts.store.operation(id).await.unwrap().expect("the operation").finished_at.is_none() {
            assert!(begun.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns the answer without reading it, for one that does not end by itself.
    pub async fn open(&self, path: &str) -> axum::response::Response {
        self.begun(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    /// The same for any kind of request.
    pub async fn begun(&self, request: Request<Body>) -> axum::response::Response {
        tokio::time::timeout(PATIENCE, self.router.clone().oneshot(request))
            .await
            .expect("an answer in time")
            .expect("the router answers")
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let asked = format!("{} {}", request.method(), request.uri());
        let response = tokio::time::timeout(PATIENCE * 12, self.router.clone().oneshot(request))
            .await
            .unwrap_or_else(|_| panic!("no answer in time: {asked}"))
            .expect("the router answers");
        let (parts, body) = response.into_parts();
        // A stream of events does not end by itself.
        let streams = parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        if streams {
            return Answer { status: parts.status, headers: parts.headers, body: String::new() };
        }
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(bytes.to_vec()).expect("UTF-8") }
    }

    /// Requests a page as a browser.
    pub async fn page(&self, path: &str) -> Answer {
        let request =
            Request::get(path).header(header::HOST, "console.test").header(header::ACCEPT, "text/html,*/*;q=0.8");
        self.send(request.body(Body::empty()).expect("a request")).await
    }

    /// Requests a page as a browser with these cookies.
    pub async fn page_with(&self, cookies: &str, path: &str) -> Answer {
        let request = Request::get(path)
            .header(header::HOST, "console.test")
            .header(header::ACCEPT, "text/html,*/*;q=0.8")
            .header(header::COOKIE, cookies);
        self.send(request.body(Body::empty()).expect("a request")).await
    }

    /// Sends a request as a script.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    /// Sends a request as a script with a token of this person; in a hospital with accounts.
    pub async fn get_as(&self, person: &Person, path: &str) -> Answer {
        self.send(self.request_as(person, path).await.body(Body::empty()).expect("a request")).await
    }

    /// Requests a page as a browser of this person; in a hospital with accounts.
    pub async fn page_as(&self, person: &Person, path: &str) -> Answer {
        let request = self.request_as(person, path).await.header(header::ACCEPT, "text/html,*/*;q=0.8");
        self.send(request.body(Body::empty()).expect("a request")).await
    }

    async fn request_as(&self, person: &Person, path: &str) -> request::Builder {
        let store = &self.console.parts.store;
        let role = person.role;
        let name =
            format!("{role} of {}", person.applications.as_ref().map_or("all".into(), |apps| format!("{apps:?}")));
        let password = NewPassword { hash: "none".into(), must_change: false, until: None };
        let applications = person.applications.clone();
        let account = NewAccount { name: name.clone(), role, applications, password, created_by: "test".into() };
        store.add_account(&account).await.expect("an account");
        let account = store.account(&name).await.expect("an answer").expect("the account").id;
        let token = format!("afc_{}", secrets::new());
        let hash = secrets::hash(&token);
        let new = NewToken { account, hash: &hash, label: "test", role, reading_only: false, expires_at: None };
        store.add_token(&new).await.expect("a token");
        let bearer = format!("Bearer {token}");
        Request::get(path).header(header::HOST, "console.test").header(header::AUTHORIZATION, bearer)
    }

    /// Returns the token in the forms of a browser with these cookies.
    pub async fn form_token(&self, cookies: &str) -> String {
        let page = self.page_with(cookies, &self.console.parts.config.base.failed_events(&Default::default())).await;
        form_token_of(&page.body)
    }

    /// Sends a form of one of the console's pages as a browser without JavaScript.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.form_from("http://console.test", path, fields).await
    }

    pub async fn form_from(&self, origin: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.page(&self.console.parts.config.base.help()).await;
        let cookie = page.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
        let mut body = format!("form_token={}", self.form_token(&cookie).await);
        for (key, value) in fields {
            atomfeed_console::model::filter::push(&mut body, key, value);
        }
        let request = Request::post(path)
            .header(header::HOST, "console.test")
            .header(header::ORIGIN, origin)
            .header(header::COOKIE, &cookie)
            .header(header::ACCEPT, "text/html,*/*;q=0.8")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::CONTENT_LENGTH, body.len());
        let answer = self.send(request.body(Body::from(body)).expect("a request")).await;
        match answer.refusal() {
            Some(page) => self.page_with(&cookie, page).await,
            None => answer,
        }
    }
}

/// Returns the token of a page's first form.
pub fn form_token_of(html: &str) -> String {
    let field = html.split("<input").find(|field| field.contains("name=\"form_token\"")).unwrap_or_default();
    field.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
}

pub fn application(name: &str, kind: Kind, file: PathBuf) -> Application {
    let address = file.display().to_string();
    Application {
        info: ApplicationInfo {
            kind,
            address: address.clone(),
            // Its consumers do not run.
            concerns: ConcernSettings { retry_overdue_secs: None, ..ConcernSettings::default() },
            refresh_secs: 3600,
            ..samples::info(name)
        },
        database: Database {
            backend: Backend::Sqlite,
            host: String::new(),
            port: 0,
            database: address,
            schema: None,
            user: String::new(),
            password: Secret::default(),
            tls: Default::default(),
            ca: None,
        },
        time_zone: chrono_tz::UTC,
        pool_size: 2,
        connect_timeout: PATIENCE,
        statement_timeout: PATIENCE,
        // Polls come only from actions and from the start, so that a test decides what has been seen.
        refresh: Duration::from_secs(3600),
        own_concerns: Default::default(),
        probe: None,
    }
}

/// The tables of a publisher.
pub const PUBLISHER: &str =
    "CREATE TABLE event_records (id INTEGER PRIMARY KEY, uuid TEXT, title TEXT, timestamp TEXT, uri TEXT, object TEXT,
        category TEXT, date_created TEXT, tags TEXT);
     CREATE TABLE event_records_queue (id INTEGER PRIMARY KEY, uuid TEXT, title TEXT, timestamp TEXT, uri TEXT, object TEXT,
        category TEXT, date_created TEXT, tags TEXT);
     CREATE TABLE chunking_history (id INTEGER PRIMARY KEY, chunk_length INTEGER, start INTEGER);
     INSERT INTO chunking_history VALUES (1, 5, 1);
     CREATE TABLE event_records_offset_marker (id INTEGER PRIMARY KEY, event_id INTEGER, event_count INTEGER,
        category TEXT);";

async fn open(file: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true).busy_timeout(PATIENCE);
    SqliteConnection::connect_with(&options).await.expect("the database opens")
}

async fn make(file: &str, rows: &[Row]) {
    let mut connection = open(file.as_ref()).await;
    sqlx::raw_sql(
        "CREATE TABLE markers (feed_uri TEXT PRIMARY KEY, last_read_entry_id TEXT, feed_uri_for_last_read_entry TEXT);
         CREATE TABLE failed_events (id INTEGER PRIMARY KEY, feed_uri TEXT, failed_at TEXT, error_message TEXT,
            event_id TEXT, event_content TEXT, error_hash_code INTEGER, title TEXT, retries INTEGER NOT NULL DEFAULT 0, tags TEXT);
         CREATE TABLE failed_event_retry_log (id INTEGER PRIMARY KEY, feed_uri TEXT, failed_at TEXT, error_message TEXT,
            event_id TEXT, event_content TEXT, error_hash_code INTEGER);",
    )
    .execute(&mut connection)
    .await
    .expect("the tables");
    for (feed, page) in [(ENCOUNTERS, "encounter/36"), (PATIENTS, "patient/12")] {
        sqlx::query("INSERT INTO markers VALUES (?, ?, ?)")
            .bind(feed)
            .bind("tag:atomfeed.ict4h.org:be4d353b-ac7b-4ee5-a5ac-1ca2f4b4d8e2")
            .bind(format!("http://openmrs:8080/openmrs/ws/atomfeed/{page}"))
            .execute(&mut connection)
            .await
            .expect("a marker");
    }
    for row in rows {
        sqlx::query("INSERT INTO failed_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(row.id)
            .bind(row.feed)
            .bind(row.at)
            .bind(&row.error)
            .bind(&row.event)
            .bind(&row.payload)
            .bind(17)
            .bind("Encounter")
            .bind(row.retries)
            .bind(row.tags)
            .execute(&mut connection)
            .await
            .expect("a failed event");
    }
    connection.close().await.expect("closed");
}
