//! The benchmark's own database on each backend, in a schema variant common for that backend, and the bare statements
//! that the console's answers are compared with.

use std::{env, net::IpAddr, path::Path};

use anyhow::{Context as _, ensure};
use sqlx::{
    AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection, Row as _, SqliteConnection,
    sqlite::SqliteConnectOptions,
};
use url::{Host, Url};

use crate::{history::History, options::Backend};

/// Name of the database, which is created and removed at the end.
const NAME: &str = "atomfeed_console_bench";

/// Differences between backends that the bare statements need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    MySql,
    Postgres,
    Sqlite,
}

/// A value bound to a statement.
#[derive(Clone, Copy, Debug)]
pub enum Bound<'a> {
    Text(&'a str),
    Number(i64),
}

/// A filled database and a connection to it.
#[derive(Debug)]
pub struct Database {
    /// Name and version: "MariaDB 10.11.6".
    pub server: String,
    /// Lines of the console's configuration that locate it.
    pub settings: String,
    /// Its own address, with user and password.
    pub address: String,
    connection: Link,
    /// For creating and removing the database; `None` for SQLite.
    server_address: Option<Url>,
}

#[derive(Debug)]
enum Link {
    MySql(MySqlConnection),
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Database {
    pub async fn create(backend: Backend, dir: &Path) -> anyhow::Result<Self> {
        let (mut database, schema) = match backend {
            Backend::Mysql => (mysql().await?, MYSQL),
            Backend::Postgres => (postgres().await?, POSTGRES),
            Backend::Sqlite => (sqlite(dir).await?, SQLITE),
        };
        database.run(schema.to_owned()).await.context("the tables cannot be made")?;
        Ok(database)
    }

    pub fn dialect(&self) -> Dialect {
        match self.connection {
            Link::MySql(_) => Dialect::MySql,
            Link::Postgres(_) => Dialect::Postgres,
            Link::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Writes the whole history and updates the server's statistics, as on a server that has run for a while.
    pub async fn fill(&mut self, history: &History) -> anyhow::Result<()> {
        const ROWS_A_COMMIT: usize = 20;
        for (number, statement) in history.statements().enumerate() {
            if number % ROWS_A_COMMIT == 0 {
                self.run(if number == 0 { "BEGIN" } else { "COMMIT; BEGIN" }.to_owned()).await?;
            }
            self.run(statement).await?;
        }
        self.run("COMMIT".to_owned()).await?;
        let counted = match self.dialect() {
            Dialect::MySql => "ANALYZE TABLE failed_events, failed_event_retry_log, event_records, markers",
            Dialect::Postgres => "VACUUM ANALYZE",
            Dialect::Sqlite => "ANALYZE",
        };
        self.run(counted.to_owned()).await
    }

    /// Reads all rows of a statement, prepared once, as the console's own statements are. Returns their number.
    pub async fn rows(&mut self, sql: &str) -> anyhow::Result<usize> {
        let query = AssertSqlSafe(sql.to_owned());
        let read = match &mut self.connection {
            Link::MySql(link) => sqlx::query(query).fetch_all(link).await?.len(),
            Link::Postgres(link) => sqlx::query(query).fetch_all(link).await?.len(),
            Link::Sqlite(link) => sqlx::query(query).fetch_all(link).await?.len(),
        };
        Ok(read)
    }

    /// Runs a statement with `?` for these values, prepared once.
    pub async fn bound(&mut self, sql: &str, values: &[Bound<'_>]) -> anyhow::Result<()> {
        macro_rules! run {
            ($link:expr, $sql:expr) => {{
                let mut query = sqlx::query(AssertSqlSafe($sql));
                for value in values {
                    query = match value {
                        Bound::Text(text) => query.bind(*text),
                        Bound::Number(number) => query.bind(*number),
                    };
                }
                query.fetch_all($link).await.map(drop)?
            }};
        }
        match &mut self.connection {
            Link::MySql(link) => run!(link, sql.to_owned()),
            Link::Postgres(link) => {
                let mut parts = sql.split('?');
                let mut numbered = parts.next().unwrap_or_default().to_owned();
                for (place, part) in parts.enumerate() {
                    numbered += &format!("${}{part}", place + 1);
                }
                run!(link, numbered);
            }
            Link::Sqlite(link) => run!(link, sql.to_owned()),
        }
        Ok(())
    }

    /// Begins a transaction for writing.
    pub async fn begin(&mut self) -> anyhow::Result<()> {
        let begin = if self.dialect() == Dialect::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        self.run(begin.to_owned()).await
    }

    pub async fn commit(&mut self) -> anyhow::Result<()> {
        self.run("COMMIT".to_owned()).await
    }

    /// Returns the ids of the exhausted rows, lowest first.
    pub async fn exhausted(&mut self) -> anyhow::Result<Vec<i64>> {
        let query = "SELECT id FROM failed_events WHERE retries >= 5 ORDER BY id";
        Ok(match &mut self.connection {
            Link::MySql(link) => {
                let rows: Vec<u64> = sqlx::query_scalar(query).fetch_all(link).await?;
                rows.into_iter().filter_map(|id| i64::try_from(id).ok()).collect()
            }
            Link::Postgres(link) => {
                let rows: Vec<i64> =
                    sqlx::query_scalar("SELECT id::bigint FROM failed_events WHERE retries >= 5 ORDER BY id")
                        .fetch_all(link)
                        .await?;
                rows
            }
            Link::Sqlite(link) => sqlx::query_scalar(query).fetch_all(link).await?,
        })
    }

    /// Returns the number in the first column of the first row.
    pub async fn number(&mut self, sql: &str) -> anyhow::Result<i64> {
        let query = AssertSqlSafe(sql.to_owned());
        Ok(match &mut self.connection {
            Link::MySql(link) => sqlx::query(query).fetch_one(link).await?.try_get_unchecked(0)?,
            Link::Postgres(link) => {
                let row = sqlx::query(query).fetch_one(link).await?;
                // COUNT is a bigint, the marker an integer.
                row.try_get::<i64, _>(0).or_else(|_| row.try_get::<i32, _>(0).map(i64::from))?
            }
            Link::Sqlite(link) => sqlx::query(query).fetch_one(link).await?.try_get(0)?,
        })
    }

    /// Returns the schema of its tables.
    pub fn schema(&self) -> Option<&'static str> {
        matches!(self.connection, Link::Postgres(_)).then_some("clinlims")
    }

    pub async fn run(&mut self, sql: String) -> anyhow::Result<()> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql));
        match &mut self.connection {
            Link::MySql(link) => link.execute(query).await.map(|_| ())?,
            Link::Postgres(link) => link.execute(query).await.map(|_| ())?,
            Link::Sqlite(link) => link.execute(query).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Closes the connection and removes the database. SQLite's file is removed with its folder.
    pub async fn drop(self) -> anyhow::Result<()> {
        match self.connection {
            Link::MySql(link) => link.close().await?,
            Link::Postgres(link) => link.close().await?,
            Link::Sqlite(link) => link.close().await?,
        }
        let Some(address) = self.server_address else { return Ok(()) };
        if address.scheme() == "mysql" {
            let remove = AssertSqlSafe(format!("DROP DATABASE {NAME}"));
            MySqlConnection::connect(address.as_str()).await?.execute(sqlx::raw_sql(remove)).await?;
        } else {
            // FORCE ends connections that the publisher still has.
            let remove = AssertSqlSafe(format!("DROP DATABASE {NAME} WITH (FORCE)"));
            PgConnection::connect(address.as_str()).await?.execute(sqlx::raw_sql(remove)).await?;
        }
        Ok(())
    }
}

/// Returns a throw-away server's address from the environment.
fn server_address(variable: &str) -> anyhow::Result<Url> {
    let text = env::var(variable)
        .with_context(|| format!("{variable} is not set: run this with scripts/bench, which starts the servers"))?;
    let address = Url::parse(&text).with_context(|| format!("{variable} is no address"))?;
    // Benchmarks create and remove databases, so never on a server that someone else might use.
    let here = match address.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        // An IP address, too: the url crate parses hosts of non-web schemes only as names.
        Some(Host::Domain(name)) => name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        None => false,
    };
    ensure!(here, "{variable} names a server that is not on this machine");
    Ok(address)
}

fn settings(address: &Url) -> String {
    let host = address.host_str().unwrap_or("127.0.0.1");
    let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
    let mut settings = format!("database = \"{}://{host}{port}/{NAME}\"\n", address.scheme());
    settings += &format!("user = {:?}\n", address.username());
    if let Some(password) = address.password() {
        settings += &format!("password = {password:?}\n");
    }
    settings
}

/// Returns the server's address with the benchmark's database.
fn own_address(server: &Url) -> String {
    let mut own = server.clone();
    own.set_path(NAME);
    own.into()
}

async fn mysql() -> anyhow::Result<Database> {
    let address = server_address("TEST_MYSQL_URL")?;
    let mut link = MySqlConnection::connect(address.as_str()).await.context("MySQL or MariaDB")?;
    let make = format!("DROP DATABASE IF EXISTS {NAME}; CREATE DATABASE {NAME} CHARACTER SET utf8mb4; USE {NAME}");
    link.execute(sqlx::raw_sql(AssertSqlSafe(make))).await?;
    let version: String = sqlx::query("SELECT VERSION()").fetch_one(&mut link).await?.try_get(0)?;
    let maker = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
    Ok(Database {
        server: format!("{maker} {}", version.split('-').next().unwrap_or(&version)),
        settings: settings(&address) + "kind = \"openmrs\"\n",
        address: own_address(&address),
        connection: Link::MySql(link),
        server_address: Some(address),
    })
}

async fn postgres() -> anyhow::Result<Database> {
    let address = server_address("TEST_POSTGRES_URL")?;
    let mut link = PgConnection::connect(address.as_str()).await.context("PostgreSQL")?;
    for make in [format!("DROP DATABASE IF EXISTS {NAME}"), format!("CREATE DATABASE {NAME}")] {
        link.execute(sqlx::raw_sql(AssertSqlSafe(make))).await?;
    }
    link.close().await?;
    let own = own_address(&address);
    let mut link = PgConnection::connect(&own).await?;
    let version: String = sqlx::query("SHOW server_version").fetch_one(&mut link).await?.try_get(0)?;
    Ok(Database {
        server: format!("PostgreSQL {}", version.split(' ').next().unwrap_or(&version)),
        settings: settings(&address) + "schema = \"clinlims\"\nkind = \"openelis\"\n",
        address: own,
        connection: Link::Postgres(link),
        server_address: Some(address),
    })
}

async fn sqlite(dir: &Path) -> anyhow::Result<Database> {
    let file = dir.join("hospital.db");
    let mut link =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&file).create_if_missing(true)).await?;
    let version: String = sqlx::query("SELECT sqlite_version()").fetch_one(&mut link).await?.try_get(0)?;
    Ok(Database {
        server: format!("SQLite {version}"),
        settings: format!("database = {:?}\nkind = \"odoo\"\n", format!("sqlite:{}", file.display())),
        address: format!("sqlite:{}", file.display()),
        connection: Link::Sqlite(link),
        server_address: None,
    })
}

/// OpenMRS on MySQL 5.x: failed_at changes with every update that does not set it.
const MYSQL: &str = "
SET time_zone = '+00:00';
CREATE TABLE failed_events (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, feed_uri VARCHAR(255),
    failed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, error_message VARCHAR(4000),
    event_id VARCHAR(255), event_content VARCHAR(4000), error_hash_code INT, title VARCHAR(255),
    retries INT NOT NULL DEFAULT 0, tags VARCHAR(255));
CREATE TABLE failed_event_retry_log (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, feed_uri VARCHAR(255), failed_at TIMESTAMP NULL,
    error_message VARCHAR(4000), event_id VARCHAR(255), event_content VARCHAR(4000), error_hash_code INT);
CREATE TABLE markers (
    feed_uri VARCHAR(255) PRIMARY KEY, last_read_entry_id VARCHAR(250), feed_uri_for_last_read_entry VARCHAR(250));
CREATE TABLE event_records (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, uuid VARCHAR(40), title VARCHAR(255),
    timestamp TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, uri VARCHAR(255), object VARCHAR(1000),
    category VARCHAR(255), date_created TIMESTAMP NULL, tags VARCHAR(255), KEY (category));
CREATE TABLE event_records_queue (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, uuid VARCHAR(40), title VARCHAR(255), timestamp TIMESTAMP NULL,
    uri VARCHAR(255), object VARCHAR(1000), category VARCHAR(255), tags VARCHAR(255));
CREATE TABLE chunking_history (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, chunk_length BIGINT, start BIGINT);
CREATE TABLE event_records_offset_marker (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, event_id INT, event_count INT, category VARCHAR(255))";

/// OpenELIS on PostgreSQL: its own schema, numeric ids, times without a zone.
const POSTGRES: &str = "
CREATE SCHEMA clinlims;
SET search_path TO clinlims;
CREATE TABLE failed_events (
    id NUMERIC(10,0) PRIMARY KEY, feed_uri VARCHAR(255), failed_at TIMESTAMP(6) WITHOUT TIME ZONE,
    error_message VARCHAR(4000), event_id VARCHAR(255), event_content VARCHAR(4000), error_hash_code INTEGER,
    title VARCHAR(255), retries INTEGER NOT NULL DEFAULT 0, tags VARCHAR(255));
CREATE TABLE failed_event_retry_log (
    id NUMERIC(10,0) PRIMARY KEY, feed_uri VARCHAR(255), failed_at TIMESTAMP(6) WITHOUT TIME ZONE,
    error_message VARCHAR(4000), event_id VARCHAR(255), event_content VARCHAR(4000), error_hash_code INTEGER);
CREATE TABLE markers (
    id SERIAL PRIMARY KEY, feed_uri VARCHAR(250), last_read_entry_id VARCHAR(250),
    feed_uri_for_last_read_entry VARCHAR(250));
CREATE TABLE event_records (
    id SERIAL PRIMARY KEY, uuid VARCHAR(40), title VARCHAR(255), timestamp TIMESTAMP WITH TIME ZONE,
    uri VARCHAR(255), object VARCHAR(1000), category VARCHAR(255), date_created TIMESTAMP WITH TIME ZONE,
    tags VARCHAR(255));
CREATE TABLE event_records_queue (
    id SERIAL PRIMARY KEY, uuid VARCHAR(40), title VARCHAR(255), timestamp TIMESTAMP WITH TIME ZONE,
    uri VARCHAR(255), object VARCHAR(1000), category VARCHAR(255), tags VARCHAR(255));
CREATE TABLE chunking_history (id SERIAL PRIMARY KEY, chunk_length BIGINT, start BIGINT);
CREATE TABLE event_records_offset_marker (
    id SERIAL PRIMARY KEY, event_id INTEGER, event_count INTEGER, category VARCHAR(255))";

/// As in the demo hospital.
const SQLITE: &str = "
CREATE TABLE failed_events (
    id INTEGER PRIMARY KEY, feed_uri TEXT, failed_at TEXT, error_message TEXT, event_id TEXT, event_content TEXT,
    error_hash_code INTEGER, title TEXT, retries INTEGER NOT NULL DEFAULT 0, tags TEXT);
CREATE TABLE failed_event_retry_log (
    id INTEGER PRIMARY KEY, feed_uri TEXT, failed_at TEXT, error_message TEXT, event_id TEXT, event_content TEXT,
    error_hash_code INTEGER);
CREATE TABLE markers (
    id INTEGER PRIMARY KEY, feed_uri TEXT, last_read_entry_id TEXT, feed_uri_for_last_read_entry TEXT);
CREATE TABLE event_records (
    id INTEGER PRIMARY KEY, uuid TEXT, title TEXT, timestamp TEXT, uri TEXT, object TEXT, category TEXT,
    date_created TEXT, tags TEXT);
CREATE TABLE event_records_queue (
    id INTEGER PRIMARY KEY, uuid TEXT, title TEXT, timestamp TEXT, uri TEXT, object TEXT, category TEXT, tags TEXT);
CREATE TABLE chunking_history (id INTEGER PRIMARY KEY, chunk_length INTEGER, start INTEGER);
CREATE TABLE event_records_offset_marker (
    id INTEGER PRIMARY KEY, event_id INTEGER, event_count INTEGER, category TEXT)";
