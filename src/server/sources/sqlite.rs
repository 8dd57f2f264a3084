//! SQLite: opening the file, the schema from its pragmas, and the format of its times. Changes only settings of its own
//! connections.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions, Error, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    model::Backend,
    server::{
        config::Application,
        files::{self, Identity},
    },
};

use super::{
    SourceError,
    connection::{Link, Record},
    schema::{Column, ColumnKind, Schema, Table, by_table},
    sql,
};

/// Kilobytes of the file that a connection keeps in memory. Tables are scanned from end to end, so the next statement
/// would not find in the cache what it needs.
const CACHE: u32 = 256;

/// Number of statements that a connection keeps prepared: those of a poll and of a page, instead of the hundred that
/// sqlx would keep.
const STATEMENTS: usize = 24;

/// An open file.
pub(super) struct Open {
    pub connection: SqliteConnection,
    /// The longest that a statement may run.
    limit: Duration,
    deadline: Arc<Deadline>,
    /// It may write: set for the current transaction or the previous one.
    writes: bool,
    /// The file that was opened.
    identity: Identity,
}

/// When the running statement must end. The connection's thread checks it while the statement runs; setting it needs no
/// message to that thread.
struct Deadline {
    opened: Instant,
    /// Microseconds after `opened`.
    at: AtomicU64,
}

impl Deadline {
    fn set(&self, limit: Duration) {
        self.at.store(micros(self.opened.elapsed().saturating_add(limit)), Ordering::Relaxed);
    }

    fn is_ahead(&self) -> bool {
        micros(self.opened.elapsed()) < self.at.load(Ordering::Relaxed)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Open {
    /// Returns the connection, for one statement, which ends by itself (as interrupted) when it has run too long, even
    /// if its request was cancelled. One at a time: a connection whose statement was abandoned is not used again.
    pub fn for_statement(&mut self) -> &mut SqliteConnection {
        self.deadline.set(self.limit);
        &mut self.connection
    }

    /// Returns whether the file at the application's address is still the one that was opened. A file that was moved
    /// away or replaced can still be read and written through this connection, and no other program sees what is
    /// written.
    pub fn is_of(&self, app: &Application) -> bool {
        self.identity == identity_of(&app.database.database)
    }

    /// Returns the statements that begin a transaction in which nothing can be written. A new connection is in that
    /// mode; the pragma is only run when the mode changes, because all statements are prepared again after it.
    pub fn beginning_to_read(&mut self) -> String {
        match std::mem::replace(&mut self.writes, false) {
            true => format!("PRAGMA query_only = ON; PRAGMA busy_timeout = {}; BEGIN", self.limit.as_millis()),
            false => "BEGIN".to_owned(),
        }
    }

    /// Returns the same for one that may write. The write lock is acquired at once: later, SQLite can refuse it even if
    /// no other program holds a lock for long. Another program's lock is waited for at most a second, as with all
    /// databases: see [`super::busy`].
    pub fn beginning_to_write(&mut self) -> String {
        match std::mem::replace(&mut self.writes, true) {
            true => "BEGIN IMMEDIATE".to_owned(),
            false => {
                let wait = self.limit.min(Duration::from_secs(1)).as_millis();
                format!("PRAGMA query_only = OFF; PRAGMA busy_timeout = {wait}; BEGIN IMMEDIATE")
            }
        }
    }
}

/// Number of SQLite's own steps between two checks of the clock: some tens of microseconds.
const STEPS: i32 = 10_000;

/// Returns the identity of the file at this address; `None` also if there is no such file.
pub(super) fn identity_of(file: &str) -> Identity {
    files::identity(&std::fs::metadata(file).ok()?)
}

/// Opens the file, which must exist. Its journal mode is left unchanged.
pub(super) async fn connect(app: &Application) -> Result<Open, Error> {
    // Read before opening: if another file replaces it meanwhile, it is opened again, and neither is mistaken for the
    // other.
    let identity = identity_of(&app.database.database);
    let mut connection = SqliteConnectOptions::new()
        .filename(Path::new(&app.database.database))
        .create_if_missing(false)
        .busy_timeout(app.statement_timeout)
        .pragma("query_only", "ON")
        .pragma("cache_size", format!("-{CACHE}"))
        // All changes of a batch stay in memory until they are committed: writing them earlier would block all readers
        // until then.
        .pragma("cache_spill", "OFF")
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging()
        .connect()
        .await?;
    let deadline = Arc::new(Deadline { opened: Instant::now(), at: AtomicU64::new(0) });
    let asked = Arc::clone(&deadline);
    connection.lock_handle().await?.set_progress_handler(STEPS, move || asked.is_ahead());
    Ok(Open { connection, limit: app.statement_timeout, deadline, writes: false, identity })
}

/// Reads which tables and columns this file has. SQLite has no accounts: everything readable is writable, if the file
/// is.
pub(super) async fn read_schema(link: &mut Link<'_>) -> Result<Schema, SourceError> {
    let statement = link.statement("SELECT sqlite_version()");
    let server = format!("SQLite {}", link.row(statement).await?.text().unwrap_or_default());
    let write_refused = why_not_writable(&link.app.database.database);
    let mut columns = columns(link, &Table::ALL.map(Table::name)).await?;
    for (_, column) in &mut columns {
        column.may_update = write_refused.is_none();
    }
    let mut tables = by_table(&columns);
    for (table, columns) in &mut tables {
        for name in ["failed_at", "timestamp"] {
            if let Some(column) = columns.get_mut(name) {
                column.kind = time_kind(link, *table, &column.name).await?;
            }
        }
    }
    Ok(Schema::new(Backend::Sqlite, None, server, tables, write_refused))
}

/// Returns the columns of these tables, each with the name of its table. SQLite knows no rights.
pub(super) async fn columns(link: &mut Link<'_>, tables: &[&str]) -> Result<Vec<(String, Column)>, SourceError> {
    let named: Vec<String> = tables.iter().map(|table| (*table).to_owned()).collect();
    let mut statement = link.statement(
        "SELECT LOWER(m.name), c.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c \
         WHERE m.type IN ('table', 'view') AND ",
    );
    statement.text_in("LOWER(m.name)", &named);
    let column = |mut row: Record| {
        let (table, name) = (row.text().unwrap_or_default(), row.text().unwrap_or_default());
        let kind = kind(&row.text().unwrap_or_default());
        (table, Column { name, kind, may_select: true, may_update: false, moves: false, primary: false })
    };
    Ok(link.rows(statement).await?.into_iter().map(column).collect())
}

fn kind(declared: &str) -> ColumnKind {
    let declared = declared.to_lowercase();
    if declared.contains("int") {
        ColumnKind::Integer
    } else if declared.contains("numeric") || declared.contains("decimal") {
        ColumnKind::Numeric
    } else {
        ColumnKind::Text
    }
}

/// Returns how times are written, from the newest existing value: SQLite has no type for times.
async fn time_kind(link: &mut Link<'_>, table: Table, column: &str) -> Result<ColumnKind, SourceError> {
    let (table, column) = (sql::quote(Backend::Sqlite, table.name()), sql::quote(Backend::Sqlite, column));
    let statement = link.statement(format!(
        "SELECT typeof({column}), CAST({column} AS TEXT) FROM {table} WHERE {column} IS NOT NULL \
         ORDER BY rowid DESC LIMIT 1"
    ));
    let mut newest = link.row(statement).await?;
    if newest.text().as_deref() == Some("integer") {
        return Ok(ColumnKind::Millis);
    }
    let text = newest.text().unwrap_or_default();
    Ok(ColumnKind::Written { t: text.as_bytes().get(10) == Some(&b'T'), utc: text.ends_with('Z') })
}

/// Returns why the file is not writable, without opening it: closing it again would release all locks of this process
/// on it, including those of its other connections, and another program could then change what these are reading.
fn why_not_writable(file: &str) -> Option<String> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    match accessat(CWD, file, Access::WRITE_OK, AtFlags::EACCESS) {
        Ok(()) => None,
        Err(error) => Some(format!("the file may not be written: {}", std::io::Error::from(error))),
    }
}
