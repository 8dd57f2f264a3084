//! Connections and sessions: a small pool, growing pauses while a database is down, and a timeout on everything.
//!
//! The console has its own pool because pages need the real reason of a failed connection at once (not a later "pool
//! timed out"), and because no connection may be used again after a timeout or a request cancelled half way. A
//! connection returns to the pool only after its transaction was ended; otherwise it is dropped.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures::{Stream, TryStreamExt};
use sqlx::{AssertSqlSafe, ColumnIndex, Decode, Executor, Row};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{
    model::{
        Backend,
        error_text::{KEY_CHARS, shortened},
    },
    server::config::Application,
};

use super::{
    SourceError, SourceErrorKind, fault,
    mysql::{self, Stopper},
    postgres,
    schema::Schema,
    sql::{Bind, Statement},
    sqlite,
};

/// A row of an answer: every column as text, `None` for NULL. Bytes that are not UTF-8 are replaced, never refused.
#[derive(Debug, Default)]
pub(super) struct Record(VecDeque<Option<String>>);

impl Record {
    /// Takes the next column.
    pub fn text(&mut self) -> Option<String> {
        self.0.pop_front().flatten()
    }

    /// Takes the next column as a name or a single line: a feed's address, an event's id, a title. A text of more than
    /// [`KEY_CHARS`] characters is cut and ends in an ellipsis.
    pub fn key(&mut self) -> Option<String> {
        let text = self.text()?;
        // A text with fewer bytes cannot have that many characters.
        Some(if text.len() > KEY_CHARS as usize { shortened(&text, KEY_CHARS as usize) } else { text })
    }

    /// Takes the next column as a number of any width; `None` for NULL and for anything that is not a number.
    pub fn number<N: std::str::FromStr>(&mut self) -> Option<N> {
        self.text()?.trim().parse().ok()
    }

    /// Returns whether the next column is a number, without taking it.
    pub fn begins_with_a_number(&self) -> bool {
        self.0.front().and_then(Option::as_deref).is_some_and(|text| text.trim().parse::<i128>().is_ok())
    }

    /// Takes the next column as a count; 0 if it is not a number.
    pub fn count(&mut self) -> u64 {
        self.number().unwrap_or(0)
    }
}

/// A type that a row of an answer is read as.
pub(super) trait FromRow: Sized {
    /// # Errors
    /// Fails if a column cannot be read and this kind of row must not lose one.
    fn from_row<R>(row: &R) -> Result<Self, sqlx::Error>
    where
        R: Row,
        usize: ColumnIndex<R>,
        for<'r> Option<Vec<u8>>: Decode<'r, R::Database>;

    /// Returns the number of bytes of its values.
    fn bytes(&self) -> usize;
}

/// A row of an answer as bytes, for copies: a column that cannot be read is an error, not empty.
#[derive(Debug, Default)]
pub(super) struct Raw(pub Vec<Option<Vec<u8>>>);

impl FromRow for Raw {
    fn from_row<R>(row: &R) -> Result<Self, sqlx::Error>
    where
        R: Row,
        usize: ColumnIndex<R>,
        for<'r> Option<Vec<u8>>: Decode<'r, R::Database>,
    {
        (0..row.len()).map(|place| row.try_get_unchecked(place)).collect::<Result<_, _>>().map(Self)
    }

    fn bytes(&self) -> usize {
        self.0.iter().flatten().map(Vec::len).sum()
    }
}

impl FromRow for Record {
    fn from_row<R>(row: &R) -> Result<Self, sqlx::Error>
    where
        R: Row,
        usize: ColumnIndex<R>,
        for<'r> Option<Vec<u8>>: Decode<'r, R::Database>,
    {
        let text = |place| match row.try_get_unchecked::<Option<Vec<u8>>, usize>(place) {
            Ok(bytes) => bytes.map(|bytes| match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(broken) => String::from_utf8_lossy(broken.as_bytes()).into_owned(),
            }),
            Err(error) => {
                tracing::warn!(%error, "a column could not be read and is shown as empty");
                None
            }
        };
        Ok(Self((0..row.len()).map(text).collect()))
    }

    fn bytes(&self) -> usize {
        self.0.iter().flatten().map(String::len).sum()
    }
}

/// Builds the driver's query from a statement with its parameters. The text contains quoted names of known tables and
/// columns and placeholders, never a value: see [`super::sql`]. `$unsigned` converts an unsigned number, and `$bytes`
/// the bytes of a whole row's value, into a type that the driver can bind.
macro_rules! bound {
    ($statement:expr, $unsigned:expr, $bytes:expr) => {{
        let Statement { text, binds, .. } = $statement;
        let mut query = sqlx::query(AssertSqlSafe(text));
        for bind in binds {
            query = match bind {
                Bind::Int(value) => query.bind(value),
                Bind::UInt(value) => query.bind($unsigned(value)),
                Bind::Text(value) => query.bind(value),
                Bind::Bytes(value) => query.bind(value.map($bytes)),
            };
        }
        query
    }};
}

/// One connection to a database.
pub(super) enum Connection {
    MySql(mysql::Open),
    Postgres(postgres::Open),
    Sqlite(sqlite::Open),
}

impl Connection {
    async fn open(app: &Application) -> Result<Self, sqlx::Error> {
        Ok(match app.database.backend {
            Backend::MySql => Connection::MySql(mysql::connect(app).await?),
            Backend::Postgres => Connection::Postgres(postgres::connect(app).await?),
            Backend::Sqlite => Connection::Sqlite(sqlite::connect(app).await?),
        })
    }

    /// Returns whether this is still a connection to the database at the application's address, as far as this is known
    /// without a query.
    fn is_of(&self, app: &Application) -> bool {
        match self {
            Connection::MySql(_) | Connection::Postgres(_) => true,
            Connection::Sqlite(open) => open.is_of(app),
        }
    }

    /// Returns the statements that begin a transaction.
    fn beginning(&mut self, purpose: Purpose) -> String {
        match (self, purpose) {
            (Connection::MySql(open), Purpose::Read) => open.beginning_to_read(),
            (Connection::MySql(open), Purpose::Write) => open.beginning_to_write(),
            (Connection::Postgres(_), Purpose::Read) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(),
            (Connection::Postgres(_), Purpose::Write) => "BEGIN; SET LOCAL lock_timeout = 1000".to_owned(),
            (Connection::Sqlite(open), Purpose::Read) => open.beginning_to_read(),
            (Connection::Sqlite(open), Purpose::Write) => open.beginning_to_write(),
        }
    }

    /// Runs fixed statements without parameters, and without preparing them.
    async fn command(&mut self, text: &str) -> Result<(), sqlx::Error> {
        let text = sqlx::raw_sql(AssertSqlSafe(text.to_owned()));
        match self {
            Connection::MySql(open) => open.connection.execute(text).await.map(drop),
            Connection::Postgres(open) => open.connection.execute(text).await.map(drop),
            Connection::Sqlite(open) => open.for_statement().execute(text).await.map(drop),
        }
    }

    async fn fetch<A: FromRow>(&mut self, statement: Statement) -> Result<Vec<A>, sqlx::Error> {
        match self {
            Connection::MySql(open) => collect(bound!(statement, |id: u64| id, own).fetch(&mut open.connection)).await,
            Connection::Postgres(open) => collect(bound!(statement, digits, printed).fetch(&mut open.connection)).await,
            Connection::Sqlite(open) => collect(bound!(statement, digits, own).fetch(open.for_statement())).await,
        }
    }

    /// Passes the first rows of an answer to `give` as they arrive, up to about `bytes` bytes, and returns whether these
    /// are all. Further rows are read and discarded.
    async fn fetch_within<A: FromRow>(
        &mut self,
        statement: Statement,
        bytes: usize,
        give: impl FnMut(A),
    ) -> Result<bool, sqlx::Error> {
        match self {
            Connection::MySql(open) => {
                give_within(bound!(statement, |id: u64| id, own).fetch(&mut open.connection), bytes, give).await
            }
            Connection::Postgres(open) => {
                give_within(bound!(statement, digits, printed).fetch(&mut open.connection), bytes, give).await
            }
            Connection::Sqlite(open) => {
                give_within(bound!(statement, digits, own).fetch(open.for_statement()), bytes, give).await
            }
        }
    }

    async fn execute(&mut self, statement: Statement) -> Result<u64, sqlx::Error> {
        Ok(match self {
            Connection::MySql(open) => {
                bound!(statement, |id: u64| id, own).execute(&mut open.connection).await?.rows_affected()
            }
            Connection::Postgres(open) => {
                bound!(statement, digits, printed).execute(&mut open.connection).await?.rows_affected()
            }
            Connection::Sqlite(open) => {
                bound!(statement, digits, own).execute(open.for_statement()).await?.rows_affected()
            }
        })
    }

    /// Returns what stops a statement whose request was cancelled, if the server may not stop it itself: PostgreSQL and
    /// SQLite always do, MySQL only in newer versions.
    fn stopper(&self) -> Option<Stopper> {
        match self {
            Connection::MySql(open) => Some(open.stopper()),
            Connection::Postgres(_) | Connection::Sqlite(_) => None,
        }
    }
}

/// Reads an answer row by row, so that no second copy of a large one is held.
async fn collect<A, R>(rows: impl Stream<Item = Result<R, sqlx::Error>>) -> Result<Vec<A>, sqlx::Error>
where
    A: FromRow,
    R: Row,
    usize: ColumnIndex<R>,
    for<'r> Option<Vec<u8>>: Decode<'r, R::Database>,
{
    rows.and_then(|row| std::future::ready(A::from_row(&row))).try_collect().await
}

/// Passes on the first rows of an answer, at least one and no more once they hold `bytes`, and returns whether these are
/// all.
async fn give_within<A, R>(
    rows: impl Stream<Item = Result<R, sqlx::Error>>,
    bytes: usize,
    mut give: impl FnMut(A),
) -> Result<bool, sqlx::Error>
where
    A: FromRow,
    R: Row,
    usize: ColumnIndex<R>,
    for<'r> Option<Vec<u8>>: Decode<'r, R::Database>,
{
    let mut rows = std::pin::pin!(rows);
    let (mut used, mut whole) = (0, true);
    while let Some(row) = rows.try_next().await? {
        if used < bytes {
            let row = A::from_row(&row)?;
            used += row.bytes();
            give(row);
        } else {
            whole = false;
        }
    }
    Ok(whole)
}

/// PostgreSQL gets every value of a whole row as the text that it printed. It refuses a value that was damaged or came
/// from another kind of database.
fn printed(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|broken| String::from_utf8_lossy(broken.as_bytes()).into_owned())
}

fn own(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// PostgreSQL and SQLite have no unsigned numbers.
fn digits(id: u64) -> String {
    id.to_string()
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
}

/// A connection under the application's timeouts. Its errors are sentences for users.
pub(super) struct Link<'a> {
    pub app: &'a Application,
    connection: Connection,
    purpose: Purpose,
    /// It timed out or was lost, and must not be used any more.
    broken: bool,
    /// The schema turned out to differ from the one that was read.
    schema_changed: bool,
    /// Counter of statements. `None` for polls, which run on their own schedule.
    counted: Option<Arc<AtomicU64>>,
}

impl Link<'_> {
    /// Returns the rows of a statement.
    pub async fn rows(&mut self, statement: Statement) -> Result<Vec<Record>, SourceError> {
        self.answer(statement).await
    }

    /// Returns the rows of a statement as bytes.
    pub async fn raw_rows(&mut self, statement: Statement) -> Result<Vec<Raw>, SourceError> {
        self.answer(statement).await
    }

    /// Returns the first rows of a statement, up to about `bytes` bytes, and whether these are all.
    pub async fn rows_within<A: FromRow>(
        &mut self,
        statement: Statement,
        bytes: usize,
    ) -> Result<(Vec<A>, bool), SourceError> {
        let mut kept = Vec::new();
        let whole = self.give_rows(statement, bytes, |row| kept.push(row)).await?;
        Ok((kept, whole))
    }

    /// Passes the first rows of a statement to `give` as they arrive, up to about `bytes` bytes, and returns whether
    /// these are all. If it fails, some may have been passed on.
    pub async fn give_rows<A: FromRow>(
        &mut self,
        statement: Statement,
        bytes: usize,
        give: impl FnMut(A),
    ) -> Result<bool, SourceError> {
        self.count();
        let (limit, stopper) = (patience(self.app), self.connection.stopper());
        let answer = limited(limit, stopper, self.connection.fetch_within(statement, bytes, give)).await;
        self.checked(answer)
    }

    fn count(&self) {
        if let Some(counted) = &self.counted {
            counted.fetch_add(1, Relaxed);
        }
    }

    async fn answer<A: FromRow>(&mut self, statement: Statement) -> Result<Vec<A>, SourceError> {
        self.count();
        let answer = limited(patience(self.app), self.connection.stopper(), self.connection.fetch(statement)).await;
        self.checked(answer)
    }

    /// Returns the first row of a statement that always has one.
    pub async fn row(&mut self, statement: Statement) -> Result<Record, SourceError> {
        Ok(self.rows(statement).await?.into_iter().next().unwrap_or_default())
    }

    /// Runs a statement that changes rows; returns how many it found.
    pub async fn execute(&mut self, statement: Statement) -> Result<u64, SourceError> {
        self.count();
        let answer = limited(patience(self.app), self.connection.stopper(), self.connection.execute(statement)).await;
        self.checked(answer)
    }

    /// Runs fixed statements without parameters.
    pub async fn command(&mut self, text: &str) -> Result<(), SourceError> {
        self.count();
        let answer = limited(patience(self.app), self.connection.stopper(), self.connection.command(text)).await;
        self.checked(answer)
    }

    /// Begins a transaction, within the connect timeout: this tests whether the connection is alive.
    async fn begin(&mut self, text: &str) -> Result<(), SourceError> {
        // SQLite runs in this process; there, beginning only waits for another program's lock.
        if self.app.database.backend == Backend::Sqlite {
            return self.command(text).await;
        }
        self.count();
        let answer = limited(self.app.connect_timeout, self.connection.stopper(), self.connection.command(text)).await;
        if answer.is_none() {
            self.broken = true;
            return Err(fault::connect_timeout(self.app));
        }
        self.checked(answer)
    }

    /// Returns why encryption failed, if it was tried and given up.
    pub fn encryption_failed(&self) -> Option<&str> {
        match &self.connection {
            Connection::MySql(open) => open.encryption_failed.as_deref(),
            Connection::Postgres(open) => open.encryption_failed.as_deref(),
            Connection::Sqlite(_) => None,
        }
    }

    /// Returns a statement for this database.
    pub fn statement(&self, text: impl Into<String>) -> Statement {
        Statement::new(self.app.database.backend, text)
    }

    fn checked<T>(&mut self, answer: Option<Result<T, sqlx::Error>>) -> Result<T, SourceError> {
        match answer {
            None => {
                self.broken = true;
                Err(fault::statement_timeout(self.app))
            }
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => {
                self.broken |= fault::ends_connection(&error);
                let mut told = fault::statement(self.app, &error);
                // A transaction that only reads waits for a lock as long as a statement may take: this is a statement
                // timeout.
                if told.kind == SourceErrorKind::Locked && self.purpose == Purpose::Read {
                    told = fault::statement_timeout(self.app);
                }
                self.schema_changed |= told.kind == SourceErrorKind::NotHere;
                tracing::debug!(app = self.app.info.key, %error, "a statement failed");
                Err(told)
            }
        }
    }
}

/// Returns how long to wait for a statement. The server itself ends it after the timeout; if it does not (MySQL 5.6, a
/// dead network), the console stops waiting a little later.
fn patience(app: &Application) -> Duration {
    app.statement_timeout + Duration::from_millis(500)
}

/// Waits at most `limit` for a statement. If it takes longer, or if the waiting request is cancelled, the statement is
/// stopped.
async fn limited<T>(limit: Duration, stopper: Option<Stopper>, work: impl Future<Output = T>) -> Option<T> {
    let answer = timeout(limit, work).await.ok()?;
    if let Some(stopper) = stopper {
        stopper.disarm();
    }
    Some(answer)
}

/// The state that is kept between sessions.
pub(super) struct Pool {
    permits: Semaphore,
    /// Separate permit for polls: pages that wait for a busy database must not make it appear down.
    poll_session: Semaphore,
    state: Mutex<State>,
    /// Number of statements that pages, scripts and operations have sent, with the beginnings and ends of transactions.
    statements: Arc<AtomicU64>,
}

#[derive(Default)]
struct State {
    /// Unused connections, each with the time when it was put back, the latest last.
    idle: Vec<(Connection, Instant)>,
    schema: Option<Arc<Schema>>,
    down: Option<Down>,
}

/// The last attempt to connect failed.
struct Down {
    error: SourceError,
    failures: u32,
    /// Until then, requests get the remembered error.
    until: Instant,
}

/// How long an unused connection is kept. The one put back last is used first, so that those of a busy minute expire
/// and the one that polls use remains.
const IDLE_LASTS: Duration = Duration::from_secs(60);

/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Pool {
    pub fn new(app: &Application) -> Self {
        let permits = Semaphore::new(app.pool_size.max(1) as usize);
        Self { permits, poll_session: Semaphore::new(1), state: Mutex::default(), statements: Arc::default() }
    }

    /// Returns a session in a read-only transaction. While the database is down, returns the last error at once.
    pub async fn read<'a>(&'a self, app: &'a Application) -> Result<Session<'a>, SourceError> {
        self.session(app, self.free(app).await?, Purpose::Read, false).await
    }

    /// Returns a read-only session for a poll: it tries to connect even during a pause, and waits only for another
    /// poll, never for pages.
    pub async fn poll_session<'a>(&'a self, app: &'a Application) -> Result<Session<'a>, SourceError> {
        let permit = self.poll_session.acquire().await.map_err(|_| fault::busy(app))?;
        self.session(app, permit, Purpose::Read, true).await
    }

    /// Returns a session in a transaction that may write.
    pub async fn write<'a>(&'a self, app: &'a Application) -> Result<Session<'a>, SourceError> {
        self.session(app, self.free(app).await?, Purpose::Write, false).await
    }

    /// Returns the schema as last read; `None` if it was not read.
    pub fn known_schema(&self) -> Option<Arc<Schema>> {
        self.state().schema.clone()
    }

    /// Returns whether the last attempt to connect failed.
    pub fn is_down(&self) -> bool {
        self.state().down.is_some()
    }

    /// Returns the number of statements that pages, scripts and operations have sent so far, with the beginnings and
    /// ends of transactions.
    pub fn statements(&self) -> u64 {
        self.statements.load(Relaxed)
    }

    /// Makes the next session read the schema again.
    pub fn forget_schema(&self) {
        self.state().schema = None;
    }

    /// Waits for a connection's permit, in turn with pages, scripts and operations.
    async fn free<'a>(&'a self, app: &Application) -> Result<SemaphorePermit<'a>, SourceError> {
        match timeout(app.connect_timeout, self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed; in either case, no connection is available.
            Ok(Err(_)) | Err(_) => Err(fault::busy(app)),
        }
    }

    async fn session<'a>(
        &'a self,
        app: &'a Application,
        permit: SemaphorePermit<'a>,
        purpose: Purpose,
        now: bool,
    ) -> Result<Session<'a>, SourceError> {
        let counted = (!now).then(|| Arc::clone(&self.statements));
        let mut link = self.begun(app, purpose, now, counted).await?;
        let known = self.known_schema().filter(|schema| schema.read_at.elapsed() < schema.lasts);
        let schema = match known {
            Some(schema) => schema,
            None => {
                let schema = Arc::new(read_schema(&mut link).await?);
                self.state().schema = Some(Arc::clone(&schema));
                schema
            }
        };
        Ok(Session { pool: self, link, schema, _permit: permit })
    }

    /// Returns a connection in a new transaction. Beginning it tests whether a kept connection is still alive.
    async fn begun<'a>(
        &self,
        app: &'a Application,
        purpose: Purpose,
        now: bool,
        counted: Option<Arc<AtomicU64>>,
    ) -> Result<Link<'a>, SourceError> {
        loop {
            let kept = self.state().idle.pop().map(|(connection, _)| connection);
            let kept = match kept {
                Some(connection) if !connection.is_of(app) => {
                    self.forget_schema();
                    continue;
                }
                kept => kept,
            };
            let was_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connect(app, now).await?,
            };
            let beginning = connection.beginning(purpose);
            let counted = counted.clone();
            let mut link = Link { app, connection, purpose, broken: false, schema_changed: false, counted };
            match link.begin(&beginning).await {
                Ok(()) => return Ok(link),
                Err(error) if !(was_kept && link.broken) => return Err(error),
                // It died while unused, so the other idle ones probably did, too: trying each would take as many
                // timeouts. And the server may be up again with another schema.
                Err(_) => {
                    let dead = std::mem::take(&mut self.state().idle);
                    drop(dead);
                    self.forget_schema();
                }
            }
        }
    }

    async fn connect(&self, app: &Application, now: bool) -> Result<Connection, SourceError> {
        if !now
            && let Some(down) = &self.state().down
            && Instant::now() < down.until
        {
            return Err(down.error.clone());
        }
        let error = match timeout(app.connect_timeout, Connection::open(app)).await {
            Ok(Ok(connection)) => {
                if self.state().down.take().is_some() {
                    self.forget_schema();
                    tracing::info!(app = app.info.key, "the database answers again");
                }
                return Ok(connection);
            }
            Ok(Err(error)) => fault::connecting(app, &error),
            Err(_) => fault::connect_timeout(app),
        };
        let mut state = self.state();
        let failures = state.down.as_ref().map_or(0, |down| down.failures) + 1;
        let pause = Duration::from_secs(1 << (failures - 1).min(5)).min(LONGEST_PAUSE);
        state.down = Some(Down { error: error.clone(), failures, until: Instant::now() + pause });
        Err(error)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is a single assignment: a panic elsewhere leaves it consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("free", &self.permits.available_permits()).finish_non_exhaustive()
    }
}

async fn read_schema(link: &mut Link<'_>) -> Result<Schema, SourceError> {
    match link.app.database.backend {
        Backend::MySql => mysql::read_schema(link).await,
        Backend::Postgres => postgres::read_schema(link).await,
        Backend::Sqlite => sqlite::read_schema(link).await,
    }
}

/// A transaction on one connection, and the schema for it. Dropped without [`Session::end`], it closes the connection.
pub(super) struct Session<'a> {
    pool: &'a Pool,
    pub link: Link<'a>,
    pub schema: Arc<Schema>,
    _permit: SemaphorePermit<'a>,
}

impl Session<'_> {
    /// Rolls the transaction back, keeps the connection if it still works, and returns the outcome unchanged.
    pub async fn end<T>(mut self, outcome: Result<T, SourceError>) -> Result<T, SourceError> {
        if self.link.schema_changed {
            self.pool.forget_schema();
        }
        if !self.link.broken && self.link.command("ROLLBACK").await.is_ok() {
            self.keep();
        }
        outcome
    }

    /// Commits what was written.
    pub async fn commit(mut self) -> Result<(), SourceError> {
        self.link.command("COMMIT").await?;
        self.keep();
        Ok(())
    }

    fn keep(self) {
        let mut state = self.pool.state();
        state.idle.push((self.link.connection, Instant::now()));
        let unused: Vec<_> = state.idle.extract_if(.., |(_, since)| since.elapsed() > IDLE_LASTS).collect();
        // Connections are closed after the lock is released.
        drop(state);
        drop(unused);
    }
}
