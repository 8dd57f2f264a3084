//! Support for the tests of the protocol: a publisher of hand-written pages, a worker that fails where the test says,
//! and tables as lines.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use atomfeed::{Client, ClientSettings, Consumer, Database, Event, Failure, Limits, Transaction, Worker};
use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sqlx::{
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tokio::net::TcpListener;

use super::database::{Server, TestDatabase};

/// The feed that the tests read.
pub const PATIENTS: &str = "http://openmrs:8080/openmrs/ws/atomfeed/patient/recent";

/// Returns the address of its numbered page.
pub fn patients(page: impl std::fmt::Display) -> String {
    format!("http://openmrs:8080/openmrs/ws/atomfeed/patient/{page}")
}

/// Returns the whole id of an entry.
pub fn id(uuid: &str) -> String {
    format!("tag:atomfeed.ict4h.org:{uuid}")
}

/// Opens the database for the protocol, through this port instead of its own if one is given.
pub fn open_through(database: &TestDatabase, port: Option<u16>) -> Database {
    open_with(database, port, 4)
}

/// Same as [`open_through`], with this number of connections.
pub fn open_with(database: &TestDatabase, port: Option<u16>, connections: u32) -> Database {
    let at = &database.app.database;
    let (user, password) = (&at.user, at.password.reveal());
    let port = port.unwrap_or(at.port);
    let patience = Duration::from_secs(20);
    let opened = match database.server {
        Server::Mysql | Server::MysqlOld => {
            let options = MySqlConnectOptions::new().host(&at.host).port(port).username(user).password(password);
            let options = options.database(&at.database).ssl_mode(sqlx::mysql::MySqlSslMode::Disabled);
            let pool = MySqlPoolOptions::new().acquire_timeout(patience).max_connections(connections);
            Database::mysql(pool.connect_lazy_with(options))
        }
        Server::Postgres => {
            let options = PgConnectOptions::new().host(&at.host).port(port).username(user).password(password);
            let options = options.database(&at.database).ssl_mode(sqlx::postgres::PgSslMode::Disable);
            let pool = PgPoolOptions::new().acquire_timeout(patience).max_connections(connections);
            Database::postgres(pool.connect_lazy_with(options), at.schema.as_deref())
        }
        Server::Sqlite => {
            let options = SqliteConnectOptions::new().filename(&at.database).busy_timeout(patience);
            let pool = SqlitePoolOptions::new().acquire_timeout(patience).max_connections(connections);
            Database::sqlite(pool.connect_lazy_with(options))
        }
    };
    opened.in_time_zone(database.app.time_zone)
}

/// Opens the database for the protocol.
pub fn open(database: &TestDatabase) -> Database {
    open_through(database, None)
}

/// A page as the Java library writes it, with OpenMRS' settings: the author is in the feed and not in its entries, and
/// an entry is published when it is updated.
#[derive(Clone, Debug)]
pub struct Page {
    pub via: String,
    pub next: Option<String>,
    pub previous: Option<String>,
    pub entries: Vec<String>,
}

impl Page {
    pub fn to_xml(&self) -> String {
        self.to_xml_with(&[])
    }

    /// Returns the page with more entries after its own.
    pub fn to_xml_with(&self, more: &[Entry]) -> String {
        let link = |relation: &str, to: &str| {
            format!("<link rel=\"{relation}\" type=\"application/atom+xml\" href=\"{to}\" />")
        };
        let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <feed xmlns=\"http://www.w3.org/2005/Atom\">\n\
             <title>Patient AOP</title>\n"
            .to_owned();
        xml.push_str(&link("self", &self.via));
        xml.push_str(&link("via", &self.via));
        if let Some(next) = &self.next {
            xml.push_str(&link("next-archive", next));
        }
        if let Some(previous) = &self.previous {
            xml.push_str(&link("prev-archive", previous));
        }
        xml.push_str(
            "\n<author><name>OpenMRS</name></author>\n\
             <id>bec795b1-3d17-451d-b43e-a094019f6984+1</id>\n\
             <generator uri=\"https://github.com/ICT4H/atomfeed\">OpenMRS Feed Publisher</generator>\n\
             <updated>2026-11-01T08:00:00Z</updated>\n",
        );
        for entry in self.entries.iter().map(|uuid| Entry::new(uuid)).chain(more.iter().cloned()) {
            let categories: String =
                entry.categories.iter().map(|category| format!("<category term=\"{category}\" />")).collect();
            xml.push_str(&format!(
                "<entry><title>{}</title>{categories}\
                 <id>{}</id><updated>2026-11-01T08:00:00Z</updated><published>2026-11-01T08:00:00Z</published>\
                 <content type=\"application/vnd.atomfeed+xml\"><![CDATA[{}]]></content></entry>\n",
                entry.title,
                entry.id.unwrap_or_else(|| id(&entry.uuid)),
                entry.content,
            ));
        }
        xml.push_str("</feed>\n");
        xml
    }
}

/// An entry of a page. Its texts must not need escaping.
#[derive(Clone, Debug)]
pub struct Entry {
    pub uuid: String,
    /// Used instead of the id built from the uuid.
    pub id: Option<String>,
    pub title: String,
    pub categories: Vec<String>,
    pub content: String,
}

impl Entry {
    /// An ordinary entry.
    pub fn new(uuid: &str) -> Self {
        Self {
            uuid: uuid.to_owned(),
            id: None,
            title: "Patient".to_owned(),
            categories: vec!["patient".to_owned()],
            content: format!("/openmrs/ws/rest/v1/patient/{uuid}?v=full"),
        }
    }
}

#[derive(Default)]
struct Served {
    /// Path to status, media type and body.
    answers: HashMap<String, (u16, String, Vec<u8>)>,
    /// Requested paths, in order.
    asked: Vec<String>,
}

/// A publisher of hand-written answers.
#[derive(Clone)]
pub struct Feeds {
    pub address: SocketAddr,
    served: Arc<Mutex<Served>>,
}

impl Feeds {
    pub async fn start() -> Self {
        let served = Arc::new(Mutex::new(Served::default()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(answer).with_state(Arc::clone(&served));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, served }
    }

    /// Sets the answer for a path from now on.
    pub fn answer(&self, path: &str, status: u16, kind: &str, body: impl Into<Vec<u8>>) {
        let mut served = self.served.lock().expect("no test panicked here");
        served.answers.insert(path.to_owned(), (status, kind.to_owned(), body.into()));
    }

    /// Serves a page at its logical address.
    pub fn page(&self, address: &str, page: &Page) {
        let path = address.strip_prefix("http://openmrs:8080").expect("an address of this publisher");
        self.answer(path, 200, "application/atom+xml", page.to_xml());
    }

    /// Serves a whole feed of patients: the pages from the oldest on, with their links, and `recent`.
    pub fn patients(&self, pages: &[&[&str]]) {
        for (number, entries) in pages.iter().zip(1..).map(|(entries, number)| (number, entries)) {
            let page = Page {
                via: patients(number),
                next: (number < pages.len()).then(|| patients(number + 1)),
                previous: (number > 1).then(|| patients(number - 1)),
                entries: entries.iter().map(|&uuid| uuid.to_owned()).collect(),
            };
            self.page(&patients(number), &page);
            self.page(PATIENTS, &page);
        }
    }

    /// Returns the requested paths, in order.
    pub fn asked(&self) -> Vec<String> {
        self.served.lock().expect("no test panicked here").asked.clone()
    }

    pub fn client(&self) -> Client {
        client_of(self.address)
    }

    /// Returns a client that treats these origins as the same publisher.
    pub fn client_with(&self, same_publisher: &[String]) -> Client {
        let same_publisher = same_publisher.to_vec();
        let settings = ClientSettings { via: Some(self.address), same_publisher, ..ClientSettings::default() };
        Client::new("http://openmrs:8080", settings).expect("a client")
    }
}

async fn answer(State(served): State<Arc<Mutex<Served>>>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut served = served.lock().expect("no test panicked here");
    served.asked.push(path.clone());
    match served.answers.get(&path) {
        Some((status, kind, body)) => {
            let status = StatusCode::from_u16(*status).expect("a status");
            (status, [(header::CONTENT_TYPE, kind.clone())], body.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Returns a client of `http://openmrs:8080` that connects to this socket address.
pub fn client_of(address: SocketAddr) -> Client {
    let settings = ClientSettings { via: Some(address), ..ClientSettings::default() };
    Client::new("http://openmrs:8080", settings).expect("a client")
}

/// Worker that stores each event in its own table, and fails where the test says.
#[derive(Clone, Default)]
pub struct Script {
    /// Uuids that fail, with their failures.
    fails: Arc<Mutex<HashMap<String, Failure>>>,
    /// Uuids that fail only after writing.
    writes_first: Arc<Mutex<HashSet<String>>>,
    /// The events in order of arrival.
    seen: Arc<Mutex<Vec<Event>>>,
}

impl Script {
    /// Makes this event fail from now on.
    pub fn fail(&self, uuid: &str, failure: Failure) {
        self.fails.lock().expect("no panic").insert(uuid.to_owned(), failure);
    }

    /// Same as [`Self::fail`], after the worker has written.
    pub fn fail_after_writing(&self, uuid: &str, failure: Failure) {
        self.writes_first.lock().expect("no panic").insert(uuid.to_owned());
        self.fail(uuid, failure);
    }

    /// Makes every event succeed from now on.
    pub fn fix(&self) {
        self.fails.lock().expect("no panic").clear();
    }

    /// Returns the uuids in order of arrival.
    pub fn seen(&self) -> Vec<String> {
        self.events().iter().map(|event| event.uuid().to_owned()).collect()
    }

    pub fn events(&self) -> Vec<Event> {
        self.seen.lock().expect("no panic").clone()
    }
}

impl Worker for Script {
    async fn process(&self, event: &Event, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        self.seen.lock().expect("no panic").push(event.clone());
        let failure = self.fails.lock().expect("no panic").get(event.uuid()).cloned();
        let writes = failure.is_none() || self.writes_first.lock().expect("no panic").contains(event.uuid());
        if writes {
            keep(event.uuid(), transaction).await?;
        }
        failure.map_or(Ok(()), Err)
    }
}

/// Writes the uuid into the worker's own table.
pub async fn keep(uuid: &str, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
    use atomfeed::Backend;
    let insert = "INSERT INTO worked (uuid) VALUES (?)";
    match transaction.database().backend() {
        Backend::MySql => sqlx::query(insert).bind(uuid).execute(transaction.mysql().await?).await.map(drop)?,
        Backend::Postgres => {
            let insert = "INSERT INTO public.worked (uuid) VALUES ($1)";
            sqlx::query(insert).bind(uuid).execute(transaction.postgres().await?).await.map(drop)?;
        }
        Backend::Sqlite => sqlx::query(insert).bind(uuid).execute(transaction.sqlite().await?).await.map(drop)?,
    }
    Ok(())
}

/// A consumer of the patients' feed with its publisher and worker.
pub struct Stand {
    pub feeds: Feeds,
    pub script: Script,
    pub consumer: Consumer<Script>,
}

impl Stand {
    pub async fn new(database: &mut TestDatabase) -> Self {
        Self::with(database, Limits { max_failed_events: 100, max_retry: 3, retry_batch: 5 }).await
    }

    pub async fn with(database: &mut TestDatabase, limits: Limits) -> Self {
        make_worked(database).await;
        let (feeds, script) = (Feeds::start().await, Script::default());
        let consumer = Consumer::new(open(database), feeds.client(), PATIENTS, limits, script.clone());
        Self { feeds, script, consumer: consumer.expect("a consumer") }
    }
}

/// Creates the worker's own table, in which an event that succeeds twice appears twice.
pub async fn make_worked(database: &mut TestDatabase) {
    let worked = if database.server == Server::Postgres { "public.worked" } else { "worked" };
    let key = match database.server {
        Server::Mysql | Server::MysqlOld => "bigint AUTO_INCREMENT PRIMARY KEY",
        Server::Postgres => "serial PRIMARY KEY",
        Server::Sqlite => "integer PRIMARY KEY",
    };
    database.run(&format!("CREATE TABLE {worked} (id {key}, uuid varchar(255))")).await;
}

/// Returns what the worker has stored, in order.
pub async fn worked(database: &mut TestDatabase) -> Vec<String> {
    let worked = if database.server == Server::Postgres { "public.worked" } else { "worked" };
    let lines = database.lines(&format!("SELECT uuid FROM {worked} ORDER BY id")).await;
    lines.into_iter().flatten().collect()
}

/// Returns columns of a table as lines, with `NULL` for NULL, ordered by the first column.
pub async fn lines(database: &mut TestDatabase, table: &str, columns: &[&str]) -> Vec<String> {
    let quote = if database.is_mysql() { '`' } else { '"' };
    let kind = if database.is_mysql() { "CHAR" } else { "TEXT" };
    let cells: Vec<String> =
        columns.iter().map(|column| format!("COALESCE(CAST({quote}{column}{quote} AS {kind}), 'NULL')")).collect();
    let row =
        if database.is_mysql() { format!("CONCAT_WS('|', {})", cells.join(", ")) } else { cells.join(" || '|' || ") };
    let sql = format!("SELECT {row} FROM {} ORDER BY {quote}{}{quote}", database.table(table), columns[0]);
    database.lines(&sql).await.into_iter().flatten().collect()
}
