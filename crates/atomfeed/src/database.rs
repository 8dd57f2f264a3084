//! A database of any of the three kinds, and transactions on it that begin when they are first used.
//!
//! Every column is read as text and every statement is written once, with `?` for its values: what differs between the
//! databases (placeholders, casts, quoting, how a time is written) is decided here and in [`super::shape`]. A statement
//! holds names of known tables and columns, never a value.

use std::{
    collections::VecDeque,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use sqlx::{
    AssertSqlSafe, ColumnIndex, Connection, Decode, MySql, MySqlConnection, MySqlPool, PgConnection, PgPool, Postgres,
    Row, Sqlite, SqliteConnection, SqlitePool,
    pool::PoolConnection,
    postgres::PgDatabaseError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

use super::shape::{Shape, TableName};

/// Which kind of database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// MySQL and MariaDB.
    MySql,
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

/// What a database did not do.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The driver's or the server's own words.
    #[error("{}", words(.0))]
    Sql(#[from] sqlx::Error),
    /// A table that is needed is not there.
    #[error("The table {0} is not there. Make the tables, or name the schema they are in.")]
    NoTable(TableName),
    /// A column that is needed is not there.
    #[error("The table {table} has no column {column}.")]
    NoColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: &'static str,
    },
    /// A text is longer than its column: it would be cut or refused.
    #[error("The text for {table}.{column} has {length} characters and the column takes {limit}.")]
    TooLong {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Characters of the text.
        length: usize,
        /// Characters that the column takes.
        limit: usize,
    },
    /// The transaction could not begin when it was first used.
    #[error("The transaction could not begin, so nothing can be done in it.")]
    NotBegun,
    /// The connection of another kind of database was asked for.
    #[error("This database is {is:?} and not {asked:?}.")]
    OtherBackend {
        /// What the database is.
        is: Backend,
        /// What was asked for.
        asked: Backend,
    },
    /// The address is of no database that can be used.
    #[error(
        "The address of a database begins with mysql://, mariadb://, postgres://, postgresql:// or sqlite:, not with {0:?}."
    )]
    Address(String),
    /// The rows of chunking_history cannot be used.
    #[error(transparent)]
    Chunking(#[from] super::chunking::ChunkingError),
}

/// An error in the server's words. Of PostgreSQL with detail and hint, as its Java driver prints them, and without the line
/// of the server's own source, which says nothing to anybody and differs from version to version.
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

/// Returns the options of a small pool that goes on after a full disk. That makes SQLite end a transaction by itself, which
/// sqlx does not learn: its own ROLLBACK then fails, and it takes the transaction for open ever after. Such a connection is
/// closed, and a new one takes its place.
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

/// A database that holds the tables of a publisher, of a consumer, or of both. Clones share the pool.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    pool: Pool,
    schema: Option<String>,
    /// For columns that keep local time.
    time_zone: Tz,
    shape: Mutex<Option<Arc<Shape>>>,
}

impl Database {
    /// MySQL or MariaDB. The pool's sessions have to be at +00:00, which is the driver's default.
    pub fn mysql(pool: MySqlPool) -> Self {
        Self::of(Pool::MySql(pool), None)
    }

    /// PostgreSQL; the tables are in this schema (OpenELIS: `clinlims`), or in the session's own for none. The pool's
    /// sessions have to be in UTC, which is the driver's default.
    pub fn postgres(pool: PgPool, schema: Option<&str>) -> Self {
        Self::of(Pool::Postgres(pool), schema.map(str::to_owned))
    }

    /// SQLite. With more than one connection the file should be in WAL mode and have a busy timeout. The pool should be made
    /// with [`sqlite_pool`].
    pub fn sqlite(pool: SqlitePool) -> Self {
        Self::of(Pool::Sqlite(pool), None)
    }

    /// Opens a small pool for an address: `mysql://…`, `postgres://…` or `sqlite:FILE`, whose file is made if it is
    /// not there.
    ///
    /// # Errors
    /// The address is none, or the database does not answer.
    pub async fn connect(address: &str, schema: Option<&str>) -> Result<Self, DatabaseError> {
        Ok(match address.split(':').next().unwrap_or_default() {
            "mysql" | "mariadb" => Self::mysql(MySqlPool::connect(address).await?),
            "postgres" | "postgresql" => Self::postgres(PgPool::connect(address).await?, schema),
            "sqlite" => {
                let options = SqliteConnectOptions::from_str(address)?
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .busy_timeout(Duration::from_secs(10));
                // A file does not go away as a server does: there is nothing to be tried out first.
                let pool = sqlite_pool().test_before_acquire(false);
                Self::sqlite(pool.connect_with(options).await?)
            }
            scheme => return Err(DatabaseError::Address(scheme.to_owned())),
        })
    }

    fn of(pool: Pool, schema: Option<String>) -> Self {
        Self(Arc::new(Inner { pool, schema, time_zone: Tz::UTC, shape: Mutex::default() }))
    }

    /// The zone of columns that keep local time (PostgreSQL's `timestamp without time zone`, SQLite). UTC unless set.
    #[must_use]
    pub fn in_time_zone(self, time_zone: Tz) -> Self {
        Self(Arc::new(Inner {
            pool: self.0.pool.clone(),
            schema: self.0.schema.clone(),
            time_zone,
            shape: Mutex::default(),
        }))
    }

    /// Which kind of database it is.
    pub fn backend(&self) -> Backend {
        match self.0.pool {
            Pool::MySql(_) => Backend::MySql,
            Pool::Postgres(_) => Backend::Postgres,
            Pool::Sqlite(_) => Backend::Sqlite,
        }
    }

    /// A transaction for writing. It begins, and takes a connection, when it is first used: a worker that first reads
    /// over HTTP and then writes holds no lock while it waits. It is rolled back when it is dropped.
    pub fn begin(&self) -> Transaction<'static> {
        Transaction { database: self.clone(), purpose: Purpose::Write, state: State::NotBegun(Source::Pool) }
    }

    /// A transaction that sees one state of the database throughout.
    pub(super) fn snapshot(&self) -> Transaction<'static> {
        Transaction { database: self.clone(), purpose: Purpose::Read, state: State::NotBegun(Source::Pool) }
    }

    /// One connection for many statements and transactions, taken from the pool when it is first used.
    pub(super) fn session(&self) -> Session {
        Session { database: self.clone(), link: None }
    }

    /// The tables as they are; read once.
    pub(super) async fn shape(&self) -> Result<Arc<Shape>, DatabaseError> {
        self.session().shape().await
    }

    /// The same, read again if a table that is needed was not there: it may have been made meanwhile.
    pub(super) async fn shape_with(&self, needed: &[TableName]) -> Result<Arc<Shape>, DatabaseError> {
        self.session().shape_with(needed).await
    }

    /// The tables are read again before they are next used.
    pub(super) fn forget_shape(&self) {
        *self.known_shape() = None;
    }

    fn known_shape(&self) -> std::sync::MutexGuard<'_, Option<Arc<Shape>>> {
        self.0.shape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn schema(&self) -> Option<&str> {
        self.0.schema.as_deref()
    }

    /// A table's name as it stands in a statement.
    pub(super) fn table(&self, name: TableName) -> String {
        match self.schema() {
            Some(schema) => format!("\"{}\".{name}", schema.replace('"', "\"\"")),
            None => name.to_string(),
        }
    }

    /// A column's name as it stands in a statement: `timestamp` and `start` are words of the language as well.
    pub(super) fn column(&self, name: &str) -> String {
        match self.backend() {
            Backend::MySql => format!("`{name}`"),
            Backend::Postgres | Backend::Sqlite => format!("\"{name}\""),
        }
    }

    /// An expression as text. Order by a column with its table's name before it: PostgreSQL calls this expression as its
    /// column is called, and `ORDER BY id` would then sort the text.
    pub(super) fn text(&self, expression: &str) -> String {
        match self.backend() {
            Backend::MySql => format!("CAST({expression} AS CHAR)"),
            Backend::Postgres | Backend::Sqlite => format!("CAST({expression} AS TEXT)"),
        }
    }

    /// Returns an instant as a column of times keeps it, to the millisecond as the original does. `has_zone`: the column is
    /// a PostgreSQL `timestamptz`.
    pub fn time(&self, at: DateTime<Utc>, has_zone: bool) -> String {
        match self.backend() {
            Backend::MySql => at.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
            Backend::Postgres if has_zone => at.format("%Y-%m-%d %H:%M:%S%.3f+00").to_string(),
            Backend::Postgres | Backend::Sqlite => {
                at.with_timezone(&self.0.time_zone).format("%Y-%m-%d %H:%M:%S%.3f").to_string()
            }
        }
    }

    /// The instant that a column's text says; `None` for what is no time (`0000-00-00 00:00:00`).
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
            // An hour that a clock change leaves out or doubles: the earlier reading, rather than none.
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

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
}

/// A connection of the pool.
enum Link {
    MySql(PoolConnection<MySql>),
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

impl Link {
    /// Returns the connection if no transaction is open on it, for the reason that [`sqlite_pool`] tells. What ends the last
    /// one may still be on its way to the connection.
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

/// One connection that a run keeps for its statements and transactions. The pool tests a connection each time it is taken
/// and each time it is given back, which for every event would be as many round trips as the statements of the event.
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

    /// Gives the connection back if it is the last of the pool: to be called before something that takes long, and that
    /// may need a connection of the pool itself (a worker, or a publisher of this process that is asked for a page).
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

    /// A transaction for writing on this connection. It begins when it is first used.
    pub fn begin(&mut self) -> Transaction<'_> {
        let database = self.database.clone();
        Transaction { database, purpose: Purpose::Write, state: State::NotBegun(Source::Session(self)) }
    }

    /// The tables as they are; read once.
    pub async fn shape(&mut self) -> Result<Arc<Shape>, DatabaseError> {
        if let Some(shape) = self.database.known_shape().clone() {
            return Ok(shape);
        }
        let database = self.database.clone();
        let shape = Arc::new(Shape::read(&database, self).await?);
        *database.known_shape() = Some(Arc::clone(&shape));
        Ok(shape)
    }

    /// The same, read again if a table that is needed was not there: it may have been made meanwhile.
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

/// Whether every connection of a pool is in use. The pool counts a connection as idle a moment after it can be taken again:
/// taken in that moment, it is counted out before it is counted in, and the number of idle ones is below zero, which reads as
/// a very large one.
fn is_used_up<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> bool {
    let (idle, size) = (pool.num_idle(), pool.size());
    let none_idle = idle == 0 || idle > size as usize;
    none_idle && size >= pool.options().get_max_connections()
}

/// What rows can be read through.
pub(super) trait Reads {
    /// Rows of a statement.
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

/// Where a transaction takes its connection from.
enum Source<'c> {
    Pool,
    Session(&'c mut Session),
}

enum State<'c> {
    NotBegun(Source<'c>),
    Open(Open<'c>),
    /// Beginning was tried, and did not succeed.
    Failed,
}

enum Open<'c> {
    MySql(sqlx::Transaction<'c, MySql>),
    Postgres(sqlx::Transaction<'c, Postgres>),
    Sqlite(sqlx::Transaction<'c, Sqlite>),
}

/// A transaction on a [`Database`], begun when it is first used and rolled back when it is dropped.
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
    /// The connection, of MySQL or MariaDB.
    ///
    /// # Errors
    /// The database is of another kind, or the transaction could not begin.
    pub async fn mysql(&mut self) -> Result<&mut MySqlConnection, DatabaseError> {
        let is = self.database.backend();
        match self.open().await? {
            Open::MySql(transaction) => Ok(&mut **transaction),
            _ => Err(DatabaseError::OtherBackend { is, asked: Backend::MySql }),
        }
    }

    /// The connection, of PostgreSQL.
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

    /// The connection, of SQLite. From here to the end of the transaction nobody else writes to the file.
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

    /// Keeps what was written.
    ///
    /// # Errors
    /// The database refused it, or the connection was lost: then it is not known whether it was kept.
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

    /// Undoes what was written, and waits until that is done.
    ///
    /// # Errors
    /// The connection was lost; the database then undoes it by itself.
    pub async fn rollback(self) -> Result<(), DatabaseError> {
        match self.state {
            State::NotBegun(_) | State::Failed => {}
            State::Open(Open::MySql(transaction)) => transaction.rollback().await?,
            State::Open(Open::Postgres(transaction)) => transaction.rollback().await?,
            State::Open(Open::Sqlite(transaction)) => transaction.rollback().await?,
        }
        Ok(())
    }

    /// The database that the transaction is on.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The tables as they are, read within this transaction if they were not read before.
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

    /// Runs a statement that changes rows; answers how many it found.
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
/// The right to write is taken at once: taken later it can be refused although nobody is in the way for long.
const SQLITE_WRITES: &str = "BEGIN IMMEDIATE";

/// A transaction that has begun on this connection.
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

/// A value of a statement.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(Option<String>),
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Number(number)
    }
}

/// A statement with `?` for its values. It never holds a `?` for anything else.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    text: String,
    values: Vec<Value>,
}

impl Statement {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    pub fn with(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// With this at its end.
    pub fn and(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Its text with the placeholders of this kind of database.
    fn text_for(&self, backend: Backend) -> String {
        if backend != Backend::Postgres {
            return self.text.clone();
        }
        let mut parts = self.text.split('?');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (place, part) in parts.enumerate() {
            text.push_str(&format!("${}", place + 1));
            text.push_str(part);
        }
        text
    }
}

/// A statement as the driver takes it.
macro_rules! bound {
    ($statement:expr, $backend:expr) => {{
        let text = $statement.text_for($backend);
        let mut query = sqlx::query(AssertSqlSafe(text));
        for value in $statement.values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Number(number) => query.bind(number),
            };
        }
        query
    }};
}
use bound;

/// A row of an answer: every column as text, `None` for NULL. What is no UTF-8 is replaced, never refused.
#[derive(Debug, Default)]
pub(super) struct Record(VecDeque<Option<String>>);

impl Record {
    /// The next column.
    pub fn text(&mut self) -> Option<String> {
        self.0.pop_front().flatten()
    }

    /// The next column as a number; `None` for NULL and for what is no number.
    pub fn number<N: FromStr>(&mut self) -> Option<N> {
        self.text()?.trim().parse().ok()
    }
}

fn read<R>(rows: Vec<R>) -> Vec<Record>
where
    R: Row,
    usize: ColumnIndex<R>,
    for<'r> Option<Vec<u8>>: Decode<'r, R::Database>,
{
    rows.iter()
        .map(|row| {
            let column = |place| {
                let bytes = row.try_get_unchecked::<Option<Vec<u8>>, usize>(place).ok().flatten()?;
                Some(String::from_utf8(bytes).unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into()))
            };
            Record((0..row.len()).map(column).collect())
        })
        .collect()
}
