//! A test's own database, in one of the schema variants in use, and the console's source on it.
//!
//! Statements that differ between servers or versions are built here, so that every test runs on every one.

use std::{
    env, process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use atomfeed_console::{
    model::{ApplicationInfo, Backend, Kind, Limits, samples},
    server::{
        config::{Application, Database, Secret, Tls},
        sources::Source,
    },
};
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection, Row, SqliteConnection, raw_sql};
use tempfile::TempDir;
use url::Url;

/// The servers that `scripts/test-databases` starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// A server of the MySQL family, MySQL or MariaDB, with its own settings. [`TestDatabase::version`] tells which.
    Mysql,
    /// The same with the settings of MySQL 5.7: empty sql_mode, `explicit_defaults_for_timestamp` off.
    MysqlOld,
    Postgres,
    Sqlite,
}

impl Server {
    /// Returns whether a name of tests begins with this server's name.
    pub const fn begins(self, name: &str) -> bool {
        let own = match self {
            Self::Mysql => b"mysql".as_slice(),
            Self::MysqlOld => b"mysql_old",
            Self::Postgres => b"postgres",
            Self::Sqlite => b"sqlite",
        };
        let (name, mut place) = (name.as_bytes(), 0);
        while place < own.len() {
            if place >= name.len() || name[place] != own[place] {
                return false;
            }
            place += 1;
        }
        true
    }
}

/// A schema variant in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// OpenMRS and Crater on MySQL.
    OpenMrs,
    /// The same in latin1, as in old installations.
    Latin1,
    /// Created by openmrs-module-atomfeed: long texts, no retry log.
    ModuleAtomfeed,
    /// OpenELIS: schema clinlims, numeric ids, times without zone.
    OpenElis,
    /// OpenELIS from a dump: integer ids, times with zone.
    OpenElisDump,
    Odoo,
    /// Odoo 10: markers with the columns of the framework.
    Odoo10,
    Pacs,
    /// From before retries and tags existed.
    Oldest,
    /// SQLite with times as text.
    Text,
    /// SQLite with times as milliseconds.
    Millis,
}

/// How a variant writes `failed_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    Instant,
    Local,
    Millis,
}

/// Maker of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    MariaDb,
    MySql,
    Postgres,
    Sqlite,
}

/// Maker and version of a server, independent of its name in the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    pub maker: Maker,
    pub number: (u32, u32),
}

impl Version {
    /// Reads the server's version text: `10.11.6-MariaDB`, `5.7.29`, `9.6.0`.
    fn read(text: &str, otherwise: Maker) -> Self {
        let maker = if text.contains("MariaDB") { Maker::MariaDb } else { otherwise };
        let mut numbers = text.split(|letter: char| !letter.is_ascii_digit());
        let mut next = || numbers.next().and_then(|number| number.parse().ok());
        Self { maker, number: (next().expect("a version begins with a number"), next().unwrap_or(0)) }
    }

    pub fn is_older(self, maker: Maker, number: (u32, u32)) -> bool {
        self.maker == maker && self.number < number
    }

    /// Returns whether its TLS is too old for current clients, as that of MySQL 5.6 is.
    pub fn tls_is_too_old(self) -> bool {
        self.is_older(Maker::MySql, (5, 7))
    }

    /// Returns the password methods that both the console and this server support.
    pub fn methods(self) -> &'static [&'static str] {
        match self.maker {
            Maker::MariaDb => &["mysql_native_password"],
            Maker::MySql if self.number < (5, 7) => &["mysql_native_password"],
            Maker::MySql if self.number < (8, 0) => &["mysql_native_password", "sha256_password"],
            Maker::MySql if self.number < (8, 4) => {
                &["mysql_native_password", "sha256_password", "caching_sha2_password"]
            }
            Maker::MySql => &["sha256_password", "caching_sha2_password"],
            Maker::Postgres if self.number < (10, 0) => &["md5"],
            Maker::Postgres => &["md5", "scram-sha-256"],
            Maker::Sqlite => &[],
        }
    }
}

/// How an account signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// With a password, by the server's default method.
    Usual,
    /// The same, and only over an encrypted connection if an account can require it.
    Encrypted,
    /// By this method of the server.
    By(&'static str),
}

enum Admin {
    MySql(MySqlConnection),
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// A test's own database.
pub struct TestDatabase {
    pub server: Server,
    pub variant: Variant,
    pub version: Version,
    /// The application as an administrator would configure it, with every right.
    pub app: Application,
    admin: Admin,
    name: String,
    _folder: Option<TempDir>,
}

/// A failed event to write. `failed_at` is an SQL literal: see [`TestDatabase::at`].
#[derive(Clone, Debug)]
pub struct Failed {
    pub id: i128,
    pub feed: Option<&'static str>,
    pub failed_at: String,
    pub error: Option<String>,
    pub event_id: Option<String>,
    pub content: Option<String>,
    pub title: Option<String>,
    pub retries: i64,
    pub tags: Option<&'static str>,
}

/// The feed of failed events unless a test says otherwise.
pub const FEED: &str = "http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent";

/// maxRetry of the application.
pub const MAX_RETRY: i64 = 5;

pub fn utc(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).expect("a time in a test").to_utc()
}

/// Returns a text as an SQL literal; `NULL` if `None`.
pub fn literal(text: Option<&str>) -> String {
    text.map_or("NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Returns the address of a throw-away server.
fn server_url(variable: &str) -> Url {
    let address = env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: these tests need throw-away servers. Run `make test`, or \
             `scripts/test-databases run cargo test --features ssr`."
        )
    });
    Url::parse(&address).unwrap_or_else(|error| panic!("{variable} is no address: {error}"))
}

impl TestDatabase {
    pub async fn new(server: Server, variant: Variant) -> Self {
        let name = format!("t{}_{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let Made { admin, version, database, folder } = match server {
            Server::Mysql => mysql("TEST_MYSQL_URL", &name, variant).await,
            Server::MysqlOld => mysql("TEST_MYSQL_OLD_URL", &name, variant).await,
            Server::Postgres => postgres(&name, variant).await,
            Server::Sqlite => sqlite(&name).await,
        };
        let app = application(database);
        let mut database = Self { server, variant, version, app, admin, name, _folder: folder };
        for statement in super::schema::tables(server, variant) {
            database.run(&statement).await;
        }
        database
    }

    /// Returns the console's source on this database.
    pub fn source(&self) -> Source {
        Source::new(self.app.clone())
    }

    /// Same as [`Self::source`], with a changed configuration.
    pub fn source_with(&self, change: impl FnOnce(&mut Application)) -> Source {
        let mut app = self.app.clone();
        change(&mut app);
        Source::new(app)
    }

    pub fn is_mysql(&self) -> bool {
        matches!(self.server, Server::Mysql | Server::MysqlOld)
    }

    /// Returns whether its texts can hold letters of four bytes in UTF-8: the character sets of old installations
    /// cannot.
    pub fn holds_four_bytes(&self) -> bool {
        self.variant != Variant::Latin1 && !self.version.is_older(Maker::MySql, (5, 7))
    }

    pub fn has_retries(&self) -> bool {
        self.variant != Variant::Oldest
    }

    pub fn has_retry_log(&self) -> bool {
        self.variant != Variant::ModuleAtomfeed
    }

    pub fn publishes(&self) -> bool {
        self.variant != Variant::Pacs
    }

    fn times(&self) -> Times {
        match (self.server, self.variant) {
            (Server::Mysql | Server::MysqlOld, _) | (_, Variant::OpenElisDump) => Times::Instant,
            (_, Variant::Millis) => Times::Millis,
            _ => Times::Local,
        }
    }

    /// Returns an instant as this database stores it, as an SQL literal.
    pub fn at(&self, text: &str) -> String {
        let at = utc(text);
        match self.times() {
            Times::Millis => at.timestamp_millis().to_string(),
            Times::Instant if self.server == Server::Postgres => format!("'{}+00'", at.format("%Y-%m-%d %H:%M:%S%.6f")),
            Times::Instant => format!("'{}'", at.format("%Y-%m-%d %H:%M:%S%.6f")),
            Times::Local => {
                let local = at.with_timezone(&self.app.time_zone);
                let form =
                    if local.timestamp_subsec_micros() == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.6f" };
                format!("'{}'", local.format(form))
            }
        }
    }

    /// Returns a table's name for use in a statement.
    pub fn table(&self, name: &str) -> String {
        match &self.app.database.schema {
            Some(schema) => format!("{schema}.{name}"),
            None => name.to_owned(),
        }
    }

    /// Returns an ordinary failed event with this id.
    pub fn failed(&self, id: i128) -> Failed {
        Failed {
            id,
            feed: Some(FEED),
            failed_at: self.at("2026-11-01T08:00:00Z"),
            error: Some(format!("Failed processing event {id}")),
            event_id: Some(format!("tag:atomfeed.ict4h.org:{id}")),
            content: Some(format!("/openmrs/ws/rest/v1/encounter/{id}")),
            title: Some("Encounter".to_owned()),
            retries: 0,
            tags: None,
        }
    }

    pub async fn insert(&mut self, rows: &[Failed]) {
        for rows in rows.chunks(500) {
            let mut columns = "id, feed_uri, failed_at, error_message, event_id, event_content, title".to_owned();
            if self.has_retries() {
                columns.push_str(", retries, tags");
            }
            let values: Vec<String> = rows.iter().map(|row| self.values(row)).collect();
            let table = self.table("failed_events");
            self.run(&format!("INSERT INTO {table} ({columns}) VALUES {}", values.join(", "))).await;
        }
    }

    fn values(&self, row: &Failed) -> String {
        let mut values = vec![
            row.id.to_string(),
            literal(row.feed),
            row.failed_at.clone(),
            literal(row.error.as_deref()),
            literal(row.event_id.as_deref()),
            literal(row.content.as_deref()),
            literal(row.title.as_deref()),
        ];
        if self.has_retries() {
            values.push(row.retries.to_string());
            values.push(literal(row.tags));
        }
        format!("({})", values.join(", "))
    }

    /// Writes a row of the retry log.
    pub async fn log(&mut self, id: i64, feed: Option<&str>, at: &str, event_id: &str, error: &str) {
        let (table, at) = (self.table("failed_event_retry_log"), self.at(at));
        self.run(&format!(
            "INSERT INTO {table} (id, feed_uri, failed_at, error_message, event_id, event_content) \
             VALUES ({id}, {}, {at}, '{error}', '{event_id}', 'content')",
            literal(feed)
        ))
        .await;
    }

    pub async fn marker(&mut self, feed: &str, entry: Option<&str>, page: Option<&str>) {
        let table = self.table("markers");
        let (columns, id) = match self.variant {
            // OpenELIS assigns its ids itself.
            Variant::OpenElis | Variant::OpenElisDump => {
                ("id, ", format!("{}, ", COUNTER.fetch_add(1, Ordering::Relaxed)))
            }
            _ => ("", String::new()),
        };
        self.run(&format!(
            "INSERT INTO {table} ({columns}feed_uri, last_read_entry_id, feed_uri_for_last_read_entry) \
             VALUES ({id}{}, {}, {})",
            literal(Some(feed)),
            literal(entry),
            literal(page)
        ))
        .await;
    }

    /// Runs statements with every right.
    pub async fn run(&mut self, sql: &str) {
        let query = raw_sql(AssertSqlSafe(sql.to_owned()));
        let done = match &mut self.admin {
            Admin::MySql(link) => link.execute(query).await.map(drop),
            Admin::Postgres(link) => link.execute(query).await.map(drop),
            Admin::Sqlite(link) => link.execute(query).await.map(drop),
        };
        done.unwrap_or_else(|error| panic!("{error}\nin: {}", sql.chars().take(500).collect::<String>()));
    }

    /// Returns a single value as text.
    pub async fn value(&mut self, sql: &str) -> Option<String> {
        self.lines(sql).await.pop().flatten()
    }

    /// Returns the first column of every row, as text.
    pub async fn lines(&mut self, sql: &str) -> Vec<Option<String>> {
        let query = AssertSqlSafe(sql.to_owned());
        macro_rules! read {
            ($link:expr) => {
                sqlx::query(query)
                    .fetch_all($link)
                    .await
                    .expect(sql)
                    .iter()
                    .map(|row| row.get_unchecked::<Option<Vec<u8>>, _>(0))
                    .collect::<Vec<_>>()
            };
        }
        let values = match &mut self.admin {
            Admin::MySql(link) => read!(link),
            Admin::Postgres(link) => read!(link),
            Admin::Sqlite(link) => read!(link),
        };
        values.into_iter().map(|value| value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())).collect()
    }

    /// Returns every row of every table, column by column.
    pub async fn dump(&mut self) -> Vec<String> {
        let mut dump = Vec::new();
        for table in super::schema::TABLES {
            let name = self.table(table);
            let columns = super::schema::columns(self.server, self.variant, table);
            if columns.is_empty() {
                continue;
            }
            let cells: Vec<String> = columns
                .iter()
                .map(|column| match self.server {
                    Server::Postgres => format!("COALESCE({column}::text, '~')"),
                    Server::Sqlite => format!("COALESCE(CAST({column} AS TEXT), '~')"),
                    _ => format!("COALESCE(CAST({column} AS CHAR), '~')"),
                })
                .collect();
            let row = if self.is_mysql() {
                format!("CONCAT_WS('|', {})", cells.join(", "))
            } else {
                cells.join(" || '|' || ")
            };
            let rows = self.lines(&format!("SELECT {row} FROM {name} ORDER BY 1")).await;
            dump.extend(rows.into_iter().map(|row| format!("{table}: {}", row.unwrap_or_default())));
        }
        dump
    }

    /// Returns the statements that create an account with the password `geheim` on this server.
    fn account_statements(&self, user: &str, login: Login) -> Vec<String> {
        let name = format!("{user}@'%'");
        let usual = "IDENTIFIED BY 'geheim'";
        match (self.version.maker, login) {
            (Maker::Postgres, login) => {
                let form = match login {
                    Login::By(method) => method,
                    _ => self.version.methods().last().expect("PostgreSQL knows passwords"),
                };
                // 9.6 has no names for the methods, and only md5.
                let form = if self.version.is_older(Maker::Postgres, (10, 0)) { "on" } else { form };
                vec![
                    format!("SET password_encryption = '{form}'"),
                    format!("CREATE ROLE {user} LOGIN PASSWORD 'geheim'"),
                ]
            }
            (_, Login::Usual) => vec![format!("CREATE USER {name} {usual}")],
            (Maker::MySql, Login::Encrypted) if self.version.number < (5, 7) => {
                vec![format!("GRANT USAGE ON *.* TO {name} {usual} REQUIRE SSL")]
            }
            (_, Login::Encrypted) => vec![format!("CREATE USER {name} {usual} REQUIRE SSL")],
            (Maker::MariaDb, Login::By(method)) => {
                vec![format!("CREATE USER {name} IDENTIFIED VIA {method} USING PASSWORD('geheim')")]
            }
            (_, Login::By(method)) if self.version.number < (5, 7) => {
                let form = if method == "mysql_old_password" { 1 } else { 0 };
                vec![
                    format!("CREATE USER {name} IDENTIFIED WITH {method}"),
                    format!("SET old_passwords = {form}"),
                    format!("SET PASSWORD FOR {name} = PASSWORD('geheim')"),
                    "SET old_passwords = 0".to_owned(),
                ]
            }
            (_, Login::By(method)) => vec![format!("CREATE USER {name} IDENTIFIED WITH {method} BY 'geheim'")],
        }
    }

    /// Creates an account with these rights; each `ON` in a grant names a table.
    pub async fn account(&mut self, login: Login, grants: &[&str]) -> (String, Secret) {
        let user = format!("u{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        let user = format!("{user}_{}", process::id());
        let mysql = self.is_mysql();
        for statement in self.account_statements(&user, login) {
            self.run(&statement).await;
        }
        if let (false, Some(schema)) = (mysql, self.app.database.schema.clone()) {
            self.run(&format!("GRANT USAGE ON SCHEMA {schema} TO {user}")).await;
        }
        for grant in grants {
            let (rights, table) = grant.split_once(" ON ").expect("a grant names a table");
            let table = if mysql { format!("{}.{table}", self.name) } else { self.table(table) };
            let to = if mysql { format!("{user}@'%'") } else { user.clone() };
            self.run(&format!("GRANT {rights} ON {table} TO {to}")).await;
        }
        (user, Secret::new("geheim"))
    }

    /// Recreates the tables of failed events and their log, as a restored dump leaves them, and applies these
    /// statements. Returns the application on them.
    pub async fn remade(&mut self, changes: &[&str]) -> Application {
        let mut app = self.app.clone();
        if self.server == Server::Sqlite {
            let file = format!("{}.copy", self.app.database.database);
            self.run(&format!("VACUUM INTO '{file}'")).await;
            app.database.database = file.clone();
            let address = format!("sqlite:{file}");
            let mut link = SqliteConnection::connect(&address).await.expect("the copy opens");
            for change in changes {
                link.execute(raw_sql(AssertSqlSafe((*change).to_owned()))).await.expect("the change");
            }
            return app;
        }
        for table in ["failed_events", "failed_event_retry_log"] {
            let (name, old) = (self.table(table), format!("old_{table}"));
            self.run(&format!("ALTER TABLE {name} RENAME TO {old}")).await;
            for statement in super::schema::tables(self.server, self.variant) {
                if statement.contains(&format!("{table} (")) {
                    self.run(&statement).await;
                }
            }
            let old = self.table(&old);
            self.run(&format!("INSERT INTO {name} SELECT * FROM {old}")).await;
        }
        for change in changes {
            let table = change.split(' ').find(|word| word.starts_with("failed_event")).unwrap_or_default();
            self.run(&change.replace(table, &self.table(table))).await;
        }
        app
    }

    /// Ends the test: removes the database.
    pub async fn remove(self) {
        let remove = AssertSqlSafe(format!("DROP DATABASE {}", self.name));
        match self.admin {
            Admin::MySql(mut link) => link.execute(raw_sql(remove)).await.map(drop).expect("the database goes"),
            Admin::Postgres(link) => {
                link.close().await.expect("the connection ends");
                let mut link = PgConnection::connect(server_url("TEST_POSTGRES_URL").as_str()).await.expect("a server");
                // WITH (FORCE) exists only from 13 on. Ended sessions have some seconds to disconnect.
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
                link.execute(sqlx::query(end).bind(self.name)).await.expect("the others are told to go");
                link.execute(raw_sql(remove)).await.map(drop).expect("the database goes");
            }
            Admin::Sqlite(link) => link.close().await.expect("the file closes"),
        }
    }
}

/// A new database and what is known about it.
struct Made {
    admin: Admin,
    version: Version,
    database: Database,
    folder: Option<TempDir>,
}

async fn mysql(variable: &str, name: &str, variant: Variant) -> Made {
    let url = server_url(variable);
    let mut link = MySqlConnection::connect(url.as_str()).await.expect("the throw-away server answers");
    let text: String = sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut link).await.expect("a version");
    let version = Version::read(&text, Maker::MySql);
    let charset = match variant {
        Variant::Latin1 => "latin1",
        // A key of 255 letters of four bytes is too long for it; real ones are in utf8, whose letters have three.
        _ if version.is_older(Maker::MySql, (5, 7)) => "utf8",
        _ => "utf8mb4",
    };
    let make = format!(
        "CREATE DATABASE {name} CHARACTER SET {charset}; USE {name}; \
         SET time_zone = '+00:00', sql_mode = 'NO_BACKSLASH_ESCAPES', timestamp = DEFAULT"
    );
    link.execute(raw_sql(AssertSqlSafe(make))).await.expect("a database is made");
    let database = database(Backend::MySql, &url, name, None);
    Made { admin: Admin::MySql(link), version, database, folder: None }
}

async fn postgres(name: &str, variant: Variant) -> Made {
    let mut url = server_url("TEST_POSTGRES_URL");
    let mut link = PgConnection::connect(url.as_str()).await.expect("the throw-away PostgreSQL answers");
    link.execute(raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))).await.expect("a database is made");
    url.set_path(name);
    let mut link = PgConnection::connect(url.as_str()).await.expect("the new database answers");
    let text: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut link).await.expect("a version");
    let schema = matches!(variant, Variant::OpenElis | Variant::OpenElisDump).then(|| "clinlims".to_owned());
    if schema.is_some() {
        link.execute(raw_sql("CREATE SCHEMA clinlims")).await.expect("a schema is made");
    }
    let database = database(Backend::Postgres, &url, name, schema);
    Made { admin: Admin::Postgres(link), version: Version::read(&text, Maker::Postgres), database, folder: None }
}

async fn sqlite(name: &str) -> Made {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(format!("{name}.db"));
    let address = format!("sqlite:{}?mode=rwc", file.display());
    let link = SqliteConnection::connect(&address).await.expect("a file is made");
    let url = Url::parse("sqlite://localhost").expect("an address");
    let database = database(Backend::Sqlite, &url, &file.display().to_string(), None);
    let version = Version { maker: Maker::Sqlite, number: (3, 0) };
    Made { admin: Admin::Sqlite(link), version, database, folder: Some(folder) }
}

fn database(backend: Backend, url: &Url, name: &str, schema: Option<String>) -> Database {
    Database {
        backend,
        host: url.host_str().unwrap_or_default().to_owned(),
        port: url.port().unwrap_or_default(),
        database: name.to_owned(),
        schema,
        user: url.username().to_owned(),
        password: Secret::new(url.password().unwrap_or_default()),
        tls: Tls::Preferred,
        ca: None,
    }
}

fn application(database: Database) -> Application {
    Application {
        info: ApplicationInfo {
            key: "lab".to_owned(),
            name: "Laboratory".to_owned(),
            kind: Kind::Custom,
            address: format!("{}:{}/{}", database.host, database.port, database.database),
            limits: Limits {
                max_retry: Some(MAX_RETRY),
                feed_interval_secs: 15,
                retry_interval_secs: 15,
                ..samples::limits()
            },
            time_zone: "Asia/Kathmandu".to_owned(),
            ..samples::info("Laboratory")
        },
        database,
        // Not a whole number of hours from UTC, so that applying the zone twice or not at all shows.
        time_zone: chrono_tz::Asia::Kathmandu,
        pool_size: 3,
        connect_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(10),
        refresh: Duration::from_secs(15),
        own_concerns: Default::default(),
        probe: None,
    }
}
