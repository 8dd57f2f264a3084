//! SQLite: how to open the file, what its pragmas say, and which form its times have.

use std::{
    collections::BTreeMap,
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
    connection::Link,
    schema::{Column, ColumnKind, Columns, Schema, Table},
    sql,
};

/// Kilobytes of the file that a connection keeps in memory. Tables are read through from end to end, of which the next
/// statement wants nothing that would still be there.
const CACHE: u32 = 256;

/// Statements that a connection keeps prepared: those of a look and of a page, and not the hundred that sqlx would keep.
const STATEMENTS: usize = 24;

/// An open file.
pub(super) struct Open {
    pub connection: SqliteConnection,
    /// The longest that a statement may run.
    limit: Duration,
    deadline: Arc<Deadline>,
    /// It was told that it may write, for the transaction under way or the one before.
    writes: bool,
    /// The file that was opened.
    identity: Identity,
}

/// When the statement under way has to end. The connection's thread asks for it while it runs, and telling it costs no
/// word with that thread.
struct Deadline {
    opened: Instant,
    /// Microseconds after that.
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
    /// The connection, for a statement that ends by itself (as interrupted) when it has run too long, also if nobody
    /// waits for it any more. One at a time: a connection whose statement was given up is not used again.
    pub fn for_statement(&mut self) -> &mut SqliteConnection {
        self.deadline.set(self.limit);
        &mut self.connection
    }

    /// Whether the file at the application's address is still the one that was opened. A file that was moved away or
    /// replaced is read and written on as if nothing had happened, and nobody else sees what is written.
    pub fn is_of(&self, app: &Application) -> bool {
        self.identity == identity_of(&app.database.database)
    }

    /// The statements that begin a transaction in which nothing can be written. A connection begins as such a one; the
    /// pragma is only written where something changes, because all statements are prepared anew after it.
    pub fn beginning_to_read(&mut self) -> String {
        match std::mem::replace(&mut self.writes, false) {
            true => format!("PRAGMA query_only = ON; PRAGMA busy_timeout = {}; BEGIN", self.limit.as_millis()),
            false => "BEGIN".to_owned(),
        }
    }

    /// The same for one that may write. The right to is taken at once: taken later it can be refused although nobody is in
    /// the way for long. Another program's lock is waited for a second, as everywhere: see [`super::busy`].
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

/// How many of SQLite's own steps lie between two looks at the clock: some tens of microseconds.
const STEPS: i32 = 10_000;

/// The identity of the file at this address; `None` where there is no such file, too.
pub(super) fn identity_of(file: &str) -> Identity {
    files::identity(&std::fs::metadata(file).ok()?)
}

/// Opens the file, which must be there. Its journal mode is left as found.
pub(super) async fn connect(app: &Application) -> Result<Open, Error> {
    // Read first: a file that takes its place meanwhile is opened again, and none is taken for another one.
    let identity = identity_of(&app.database.database);
    let mut connection = SqliteConnectOptions::new()
        .filename(Path::new(&app.database.database))
        .create_if_missing(false)
        .busy_timeout(app.statement_timeout)
        .pragma("query_only", "ON")
        .pragma("cache_size", format!("-{CACHE}"))
        // What a batch changes stays in memory, however much that is, until it is committed: written before, it would
        // keep everybody from reading for as long.
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

/// Reads what this file has. SQLite knows no accounts: what may be read may be written, if the file may be.
pub(super) async fn read_schema(link: &mut Link<'_>) -> Result<Schema, SourceError> {
    let statement = link.statement("SELECT sqlite_version()");
    let server = format!("SQLite {}", link.row(statement).await?.text().unwrap_or_default());
    let write_refused = why_not_writable(&link.app.database.database);
    let mut tables = BTreeMap::new();
    for table in Table::ALL {
        let mut statement = link.statement("SELECT name, type FROM pragma_table_info(");
        statement.value(table.name()).push(")");
        let columns = link.rows(statement).await?.into_iter().map(|mut row| {
            let name = row.text().unwrap_or_default();
            let kind = kind(&row.text().unwrap_or_default());
            let may_update = write_refused.is_none();
            Column { name, kind, may_select: true, may_update, moves: false, primary: false }
        });
        let mut columns: Columns = columns.collect();
        for name in ["failed_at", "timestamp"] {
            if let Some(column) = columns.get_mut(name) {
                column.kind = time_kind(link, table, &column.name).await?;
            }
        }
        tables.insert(table, columns);
    }
    Ok(Schema::new(Backend::Sqlite, None, server, tables, write_refused))
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

/// SQLite has no type for times: the newest value that is there tells how they are written.
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

/// Asks the system without opening the file: to close it again would end every lock that this process has on it, those
/// of its other connections too, and then another program may take away what these are reading.
fn why_not_writable(file: &str) -> Option<String> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    match accessat(CWD, file, Access::WRITE_OK, AtFlags::EACCESS) {
        Ok(()) => None,
        Err(error) => Some(format!("the file may not be written: {}", std::io::Error::from(error))),
    }
}
