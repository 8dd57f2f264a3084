//! A database of any of the three kinds, and transactions that begin when first used.
//!
//! Every column is read as text, and every statement is written once, with `?` for its values. This module and
//! [`super::shape`] handle the differences between the databases: placeholders, casts, quoting, time formats. A
//! statement contains names of known tables and columns, never a value.

mod statement;

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use sqlx::{
    Connection, MySql, MySqlConnection, MySqlPool, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection,
    SqlitePool,
    pool::PoolConnection,
    postgres::PgDatabaseError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

use super::shape::{Shape, TableName};
pub(crate) use statement::{Record, Statement, Value};
use statement::{bound, read};

/// Kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// MySQL and MariaDB.
    MySql,
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

/// Error of a database operation.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Error message of the driver or the server.
    #[error("{}", words(.0))]
    Sql(#[from] sqlx::Error),
    /// A required table is missing.
    #[error("The table {0} is not there. Make the tables, or name the schema they are in.")]
    NoTable(TableName),
    /// A required column is missing.
    #[error("The table {table} has no column {column}.")]
    NoColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: &'static str,
    },
    /// A text is longer than its column, so the database would cut or refuse it.
    #[error("The text for {table}.{column} has {length} characters and the column takes {limit}.")]
    TooLong {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Characters of the text.
        length: usize,
        /// Length limit of the column in characters.
        limit: usize,
    },
    /// The transaction could not begin when first used.
    #[error("The transaction could not begin, so nothing can be done in it.")]
    NotBegun,
    /// A connection of another kind of database was requested.
    #[error("This database is {is:?} and not {asked:?}.")]
    OtherBackend {
        /// Kind of the database.
        is: Backend,
        /// Requested kind.
        asked: Backend,
    },
    /// The address does not name a supported database.
    #[error(
        "The address of a database begins with mysql://, mariadb://, postgres://, postgresql:// or sqlite:, not with {0:?}."
    )]
    Address(String),
    /// The rows of chunking_history cannot be used.
    #[error(transparent)]
    Chunking(#[from] super::chunking::ChunkingError),
}

/// Returns the server's error message. For PostgreSQL with detail and hint, as its Java driver prints them, and without
/// the line number in the server's source, which is useless to readers and differs between versions.
pub(super) fn words(error: &sqlx::Error) -> String {
    let sqlx::Error::Database(said) = error else { return error.to_string() };
    let Some(said) = said.try_downcast_ref::<PgDatabaseError>() else { return error.to_string() };
    let mut text = format!("error returned from database: {}", said.message());
    for (name, more) in [("Detail", said.detail()), ("Hint", said.hint())] {
        if let Some(more) = more {
            text.push_str(&format!("\n  {name}: {more}"));
        }
    }
    text
}

/// Returns the options of a small pool that recovers from a full disk. On a full disk SQLite ends the transaction by
/// itself without sqlx noticing: sqlx's own ROLLBACK then fails, and sqlx considers the transaction open from then on.
/// The pool closes such a connection and opens a new one.
pub fn sqlite_pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(4).before_acquire(|connection, _| {
        let free = !connection.is_in_transaction();
        Box::pin(std::future::ready(Ok(free)))
    })
}

#[derive(Clone, Debug)]
enum Pool {
    MySql(MySqlPool),
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

/// Database with the tables of a publisher, of a consumer, or of both. Clones share the pool.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    pool: Pool,
    schema: Option<String>,
    /// Time zone of columns that hold local time.
    time_zone: Tz,
    shape: Mutex<Option<Arc<Shape>>>,
}

impl Database {
    /// MySQL or MariaDB. The pool's sessions must use time zone +00:00, the driver's default.
    pub fn mysql(pool: MySqlPool) -> Self {
        Self::of(Pool::MySql(pool), None)
    }

    /// PostgreSQL, with the tables in this schema (OpenELIS: `clinlims`), or in the session's current schema if `None`.
    /// The pool's sessions must use UTC, the driver's default.
    pub fn postgres(pool: PgPool, schema: Option<&str>) -> Self {
        Self::of(Pool::Postgres(pool), schema.map(str::to_owned))
    }

    /// SQLite. With more than one connection the file should be in WAL mode and have a busy timeout. Make the pool with
    /// [`sqlite_pool`].
    pub fn sqlite(pool: SqlitePool) -> Self {
        Self::of(Pool::Sqlite(pool), None)
    }

    /// Opens a small pool for an address: `mysql://…`, `postgres://…` or `sqlite:FILE`. A missing SQLite file is
    /// created.
    ///
    /// # Errors
    /// Fails if the address is not one of these, or if the database does not answer.
    pub async fn connect(address: &str, schema: Option<&str>) -> Result<Self, DatabaseError> {
        Ok(match address.split(':').next().unwrap_or_default() {
            "mysql" | "mariadb" => Self::mysql(MySqlPool::connect(address).await?),
            "postgres" | "postgresql" => Self::postgres(PgPool::connect(address).await?, schema),
            "sqlite" => {
                let options = SqliteConnectOptions::from_str(address)?
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .busy_timeout(Duration::from_secs(10));
                // Unlike a server, a file does not disconnect, so connections need no test before use.
                let pool = sqlite_pool().test_before_acquire(false);
                Self::sqlite(pool.connect_with(options).await?)
            }
            scheme => return Err(DatabaseError::Address(scheme.to_owned())),
        })
    }

    fn of(pool: Pool, schema: Option<String>) -> Self {
        Self(Arc::new(Inner { pool, schema, time_zone: Tz::UTC, shape: Mutex::default() }))
    }

    /// Sets the time zone of columns that hold local time (PostgreSQL's `timestamp without time zone`, SQLite). UTC
    /// unless set.
    #[must_use]
    pub fn in_time_zone(self, time_zone: Tz) -> Self {
        Self(Arc::new(Inner {
            pool: self.0.pool.clone(),
            schema: self.0.schema.clone(),
            time_zone,
            shape: Mutex::default(),
        }))
    }

    /// The kind of database.
    pub fn backend(&self) -> Backend {
        match self.0.pool {
            Pool::MySql(_) => Backend::MySql,
            Pool::Postgres(_) => Backend::Postgres,
            Pool::Sqlite(_) => Backend::Sqlite,
        }
    }

    /// Returns a transaction for writing. It begins, and acquires a connection, when first used: a worker that first
    /// reads over HTTP and then writes holds no lock while it waits. It is rolled back when dropped.
    pub fn begin(&self) -> Transaction<'static> {
        Transaction { database: self.clone(), purpose: Purpose::Write, state: State::NotBegun(Source::Pool) }
    }

    /// Returns a transaction that sees one state of the database throughout.
    pub(super) fn snapshot(&self) -> Transaction<'static> {
        Transaction { database: self.clone(), purpose: Purpose::Read, state: State::NotBegun(Source::Pool) }
    }

    /// Returns a session: one connection for many statements and transactions, acquired from the pool when first used.
    pub(super) fn session(&self) -> Session {
        Session { database: self.clone(), link: None }
    }

    /// Returns the tables as found in the database; read once.
    pub(super) async fn shape(&self) -> Result<Arc<Shape>, DatabaseError> {
        self.session().shape().await
    }

    /// Same as [`Self::shape`], but reads again if a required table was missing: it may have been created meanwhile.
    pub(super) async fn shape_with(&self, needed: &[TableName]) -> Result<Arc<Shape>, DatabaseError> {
        self.session().shape_with(needed).await
    }

    /// Makes the next use read the tables again.
    pub(super) fn forget_shape(&self) {
        *self.known_shape() = None;
    }

    fn known_shape(&self) -> std::sync::MutexGuard<'_, Option<Arc<Shape>>> {
        self.0.shape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn schema(&self) -> Option<&str> {
        self.0.schema.as_deref()
    }

    /// Returns the name of a table for use in a statement.
    pub(super) fn table(&self, name: TableName) -> String {
        match self.schema() {
            Some(schema) => format!("\"{}\".{name}", schema.replace('"', "\"\"")),
            None => name.to_string(),
        }
    }

    /// Returns the quoted name of a column: `timestamp` and `start` are SQL keywords too.
    pub(super) fn column(&self, name: &str) -> String {
        match self.backend() {
            Backend::MySql => format!("`{name}`"),
            Backend::Postgres | Backend::Sqlite => format!("\"{name}\""),
        }
    }

    /// Casts an expression to text. Qualify a column in `ORDER BY` with its table: PostgreSQL gives this expression the
    /// name of its column, and `ORDER BY id` would sort the text.
    pub(super) fn text(&self, expression: &str) -> String {
        match self.backend() {
            Backend::MySql => format!("CAST({expression} AS CHAR)"),
            Backend::Postgres | Backend::Sqlite => format!("CAST({expression} AS TEXT)"),
        }
    }

    /// Formats an instant for a time column, to the millisecond as the Java library does. `has_zone`: the column is a
    /// PostgreSQL `timestamptz`.
    pub fn time(&self, at: DateTime<Utc>, has_zone: bool) -> String {
        match self.backend() {
            Backend::MySql => at.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
            Backend::Postgres if has_zone => at.format("%Y-%m-%d %H:%M:%S%.3f+00").to_string(),
            Backend::Postgres | Backend::Sqlite => {
                at.with_timezone(&self.0.time_zone).format("%Y-%m-%d %H:%M:%S%.3f").to_string()
            }
        }
    }

    /// Parses the text of a time column; `None` if it is not a time (`0000-00-00 00:00:00`).
    pub(super) fn instant(&self, text: &str) -> Option<DateTime<Utc>> {
        let text = text.trim();
        if let Ok(millis) = text.parse::<i64>() {
            return DateTime::from_timestamp_millis(millis);
        }
        for form in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
            if let Ok(at) = DateTime::parse_from_str(text, form) {
                return Some(at.to_utc());
            }
        }
        let local = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
        match self.backend() {
            Backend::MySql => Some(local.and_utc()),
            // For an hour that a clock change skips or repeats, the earlier reading rather than none.
            Backend::Postgres | Backend::Sqlite => {
                let zone = self.0.time_zone;
                Some(zone.from_local_datetime(&local).earliest().map_or_else(|| local.and_utc(), |at| at.to_utc()))
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("backend", &self.backend()).field("schema", &self.0.schema).finish()
    }
}

/// Purpose of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
}

/// A connection from the pool.
enum Link {
    MySql(PoolConnection<MySql>),
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

impl Link {
    /// Returns the connection if no transaction is open on it (see [`sqlite_pool`] for how one can stay open). The
    /// statement that ends the last transaction may still be on its way to the connection, so it checks again after a
    /// ping.
    async fn if_free(mut self) -> Option<Self> {
        if let Link::Sqlite(link) = &mut self
            && link.is_in_transaction()
        {
            let answers = link.ping().await.is_ok();
            if !answers || link.is_in_transaction() {
                link.close_on_drop();
                return None;
            }
        }
        Some(self)
    }
}

/// One connection that a run keeps for its statements and transactions. The pool tests a connection whenever it is
/// acquired and returned; doing that for every event would cost as many round trips as the event's own statements.
pub(super) struct Session {
    database: Database,
    link: Option<Link>,
}

impl Session {
    async fn link(&mut self) -> Result<&mut Link, sqlx::Error> {
        let kept = match self.link.take() {
            Some(link) => link.if_free().await,
            None => None,
        };
        let link = match kept {
            Some(link) => link,
            None => match &self.database.0.pool {
                Pool::MySql(pool) => Link::MySql(pool.acquire().await?),
                Pool::Postgres(pool) => Link::Postgres(pool.acquire().await?),
                Pool::Sqlite(pool) => Link::Sqlite(pool.acquire().await?),
            },
        };
        Ok(self.link.insert(link))
    }

    /// Returns the connection to the pool if the pool has no other free one. Call it before slow work that may need a
    /// connection from the pool: a worker, or reading a page from a publisher in this process.
    pub fn give_way(&mut self) {
        let is_last = match &self.database.0.pool {
            Pool::MySql(pool) => is_used_up(pool),
            Pool::Postgres(pool) => is_used_up(pool),
            Pool::Sqlite(pool) => is_used_up(pool),
        };
        if is_last {
            self.link = None;
        }
    }

    /// Returns a transaction for writing on this connection. It begins when first used.
    pub fn begin(&mut self) -> Transaction<'_> {
        let database = self.database.clone();
        Transaction { database, purpose: Purpose::Write, state: State::NotBegun(Source::Session(self)) }
    }

    /// Returns the tables as found in the database; read once.
    pub async fn shape(&mut self) -> Result<Arc<Shape>, DatabaseError> {
        if let Some(shape) = self.database.known_shape().clone() {
            return Ok(shape);
        }
        let database = self.database.clone();
        let shape = Arc::new(Shape::read(&database, self).await?);
        *database.known_shape() = Some(Arc::clone(&shape));
        Ok(shape)
    }

    /// Same as [`Self::shape`], but reads again if a required table was missing: it may have been created meanwhile.
    pub async fn shape_with(&mut self, needed: &[TableName]) -> Result<Arc<Shape>, DatabaseError> {
        let shape = self.shape().await?;
        if needed.iter().all(|name| shape.has(*name)) {
            return Ok(shape);
        }
        self.database.forget_shape();
        let shape = self.shape().await?;
        needed.iter().try_for_each(|name| shape.table(*name).map(drop))?;
        Ok(shape)
    }
}

/// Returns whether every connection of a pool is in use. The pool counts a connection as idle slightly after it can be
/// acquired again. If it is acquired in between, the idle count falls below zero, which reads as a very large number.
fn is_used_up<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> bool {
    let (idle, size) = (pool.num_idle(), pool.size());
    let none_idle = idle == 0 || idle > size as usize;
    none_idle && size >= pool.options().get_max_connections()
}

/// A connection or transaction that can read rows.
pub(super) trait Reads {
    /// Returns the rows of a statement.
    fn rows(&mut self, statement: Statement) -> impl Future<Output = Result<Vec<Record>, DatabaseError>> + Send;
}

impl Reads for Session {
    async fn rows(&mut self, statement: Statement) -> Result<Vec<Record>, DatabaseError> {
        Ok(match self.link().await? {
            Link::MySql(link) => read(bound!(statement, Backend::MySql).fetch_all(&mut **link).await?),
            Link::Postgres(link) => read(bound!(statement, Backend::Postgres).fetch_all(&mut **link).await?),
            Link::Sqlite(link) => read(bound!(statement, Backend::Sqlite).fetch_all(&mut **link).await?),
        })
    }
}

/// Source of a transaction's connection.
enum Source<'c> {
    Pool,
    Session(&'c mut Session),
}

enum State<'c> {
    NotBegun(Source<'c>),
    Open(Open<'c>),
    /// Beginning the transaction failed.
    Failed,
}

enum Open<'c> {
    MySql(sqlx::Transaction<'c, MySql>),
    Postgres(sqlx::Transaction<'c, Postgres>),
    Sqlite(sqlx::Transaction<'c, Sqlite>),
}

/// A transaction on a [`Database`], begun when first used and rolled back when dropped.
///
/// A worker writes with the connection of its kind of database:
///
/// ```no_run
/// # use atomfeed::{DatabaseError, Transaction};
/// # async fn write(transaction: &mut Transaction<'_>) -> Result<(), DatabaseError> {
/// let connection = transaction.sqlite().await?;
/// sqlx::query("INSERT INTO patients (uuid) VALUES (?)").bind("…").execute(connection).await?;
/// # Ok(()) }
/// ```
pub struct Transaction<'c> {
    database: Database,
    purpose: Purpose,
    state: State<'c>,
}

impl<'c> Transaction<'c> {
    /// Returns the connection of MySQL or MariaDB.
    ///
    /// # Errors
    /// Fails if the database is of another kind, or if the transaction cannot begin.
    pub async fn mysql(&mut self) -> Result<&mut MySqlConnection, DatabaseError> {
        let is = self.database.backend();
        match self.open().await? {
            Open::MySql(transaction) => Ok(&mut **transaction),
            _ => Err(DatabaseError::OtherBackend { is, asked: Backend::MySql }),
        }
    }

    /// Returns the connection of PostgreSQL.
    ///
    /// # Errors
    /// As [`Self::mysql`].
    pub async fn postgres(&mut self) -> Result<&mut PgConnection, DatabaseError> {
        let is = self.database.backend();
        match self.open().await? {
            Open::Postgres(transaction) => Ok(&mut **transaction),
            _ => Err(DatabaseError::OtherBackend { is, asked: Backend::Postgres }),
        }
    }

    /// Returns the connection of SQLite. From this call to the end of the transaction no other connection can write to
    /// the file.
    ///
    /// # Errors
    /// As [`Self::mysql`].
    pub async fn sqlite(&mut self) -> Result<&mut SqliteConnection, DatabaseError> {
        let is = self.database.backend();
        match self.open().await? {
            Open::Sqlite(transaction) => Ok(&mut **transaction),
            _ => Err(DatabaseError::OtherBackend { is, asked: Backend::Sqlite }),
        }
    }

    /// Commits what was written.
    ///
    /// # Errors
    /// Fails if the database refuses, or if the connection is lost; then it is unknown whether the writes were
    /// committed.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        match self.state {
            State::NotBegun(_) => {}
            State::Failed => return Err(DatabaseError::NotBegun),
            State::Open(Open::MySql(transaction)) => transaction.commit().await?,
            State::Open(Open::Postgres(transaction)) => transaction.commit().await?,
            State::Open(Open::Sqlite(transaction)) => transaction.commit().await?,
        }
        Ok(())
    }

    /// Rolls back what was written, and waits until that is done.
    ///
    /// # Errors
    /// Fails if the connection is lost; the database then rolls back by itself.
    pub async fn rollback(self) -> Result<(), DatabaseError> {
        match self.state {
            State::NotBegun(_) | State::Failed => {}
            State::Open(Open::MySql(transaction)) => transaction.rollback().await?,
            State::Open(Open::Postgres(transaction)) => transaction.rollback().await?,
            State::Open(Open::Sqlite(transaction)) => transaction.rollback().await?,
        }
        Ok(())
    }

    /// The database of the transaction.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Returns the tables as found in the database, read within this transaction if not known yet.
    pub(super) async fn shape(&mut self) -> Result<Arc<Shape>, DatabaseError> {
        let database = self.database.clone();
        if let Some(shape) = database.known_shape().clone() {
            return Ok(shape);
        }
        let shape = Arc::new(Shape::read(&database, self).await?);
        *database.known_shape() = Some(Arc::clone(&shape));
        Ok(shape)
    }

    async fn open(&mut self) -> Result<&mut Open<'c>, DatabaseError> {
        let open = match std::mem::replace(&mut self.state, State::Failed) {
            State::Open(open) => open,
            State::NotBegun(Source::Pool) => self.begun_of_pool().await?,
            State::NotBegun(Source::Session(session)) => begun(session.link().await?, self.purpose).await?,
            State::Failed => return Err(DatabaseError::NotBegun),
        };
        self.state = State::Open(open);
        match &mut self.state {
            State::Open(open) => Ok(open),
            State::NotBegun(_) | State::Failed => Err(DatabaseError::NotBegun),
        }
    }

    async fn begun_of_pool(&self) -> Result<Open<'c>, sqlx::Error> {
        Ok(match (&self.database.0.pool, self.purpose) {
            (Pool::MySql(pool), Purpose::Write) => Open::MySql(pool.begin().await?),
            (Pool::MySql(pool), Purpose::Read) => Open::MySql(pool.begin_with(MYSQL_READS).await?),
            (Pool::Postgres(pool), Purpose::Write) => Open::Postgres(pool.begin().await?),
            (Pool::Postgres(pool), Purpose::Read) => Open::Postgres(pool.begin_with(POSTGRES_READS).await?),
            (Pool::Sqlite(pool), Purpose::Write) => Open::Sqlite(pool.begin_with(SQLITE_WRITES).await?),
            (Pool::Sqlite(pool), Purpose::Read) => Open::Sqlite(pool.begin().await?),
        })
    }

    /// Runs a statement that changes rows and returns the number of affected rows.
    pub(super) async fn execute(&mut self, statement: Statement) -> Result<u64, DatabaseError> {
        Ok(match self.open().await? {
            Open::MySql(link) => bound!(statement, Backend::MySql).execute(&mut **link).await?.rows_affected(),
            Open::Postgres(link) => bound!(statement, Backend::Postgres).execute(&mut **link).await?.rows_affected(),
            Open::Sqlite(link) => bound!(statement, Backend::Sqlite).execute(&mut **link).await?.rows_affected(),
        })
    }
}

const MYSQL_READS: &str = "START TRANSACTION READ ONLY";
const POSTGRES_READS: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Takes the write lock at once: taken later it can be refused, even if no one else holds it for long.
const SQLITE_WRITES: &str = "BEGIN IMMEDIATE";

/// Begins a transaction on this connection.
async fn begun(link: &mut Link, purpose: Purpose) -> Result<Open<'_>, sqlx::Error> {
    Ok(match (link, purpose) {
        (Link::MySql(link), Purpose::Write) => Open::MySql(link.begin().await?),
        (Link::MySql(link), Purpose::Read) => Open::MySql(link.begin_with(MYSQL_READS).await?),
        (Link::Postgres(link), Purpose::Write) => Open::Postgres(link.begin().await?),
        (Link::Postgres(link), Purpose::Read) => Open::Postgres(link.begin_with(POSTGRES_READS).await?),
        (Link::Sqlite(link), Purpose::Write) => Open::Sqlite(link.begin_with(SQLITE_WRITES).await?),
        (Link::Sqlite(link), Purpose::Read) => Open::Sqlite(link.begin().await?),
    })
}

impl Reads for Transaction<'_> {
    async fn rows(&mut self, statement: Statement) -> Result<Vec<Record>, DatabaseError> {
        Ok(match self.open().await? {
            Open::MySql(link) => read(bound!(statement, Backend::MySql).fetch_all(&mut **link).await?),
            Open::Postgres(link) => read(bound!(statement, Backend::Postgres).fetch_all(&mut **link).await?),
            Open::Sqlite(link) => read(bound!(statement, Backend::Sqlite).fetch_all(&mut **link).await?),
        })
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begun = matches!(self.state, State::Open(_));
        f.debug_struct("Transaction").field("database", &self.database).field("begun", &begun).finish()
    }
}
