//! The console's own database: a SQLite file that only its owner can read. This module knows neither pages nor sources.
//!
//! Each file covers one subject. The schema is in `migrations/` and is brought up to date at every start. The SQL uses
//! only integers, texts and statements that other databases understand too.

mod accounts;
mod audit;
mod causes;
mod copy;
mod discarded;
mod groups;
mod index_key;
mod lag;
pub mod ledger;
mod operations;
mod outage;
mod preferences;
mod published;
mod runs;
mod search;
mod second_factors;
mod service_tokens;
mod sessions;
mod visits;

use std::{
    collections::BTreeSet,
    fs::{Metadata, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use atomfeed::sqlite_pool;
use chrono::{DateTime, Utc};
use sqlx::{
    AssertSqlSafe, QueryBuilder, Row as _, Sqlite, SqlitePool, Transaction,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};
use tokio::sync::Mutex;

use crate::server::{config::Secret, security::secrets};

use outage::OpenFile;

pub use accounts::{Account, Keep, NewAccount, NewPassword, Unchanged, folded};
pub use audit::{Entry, Verdict};
pub use copy::Copied;
pub use discarded::{NewCopy, WhichCopies};
pub use groups::{GroupEvents, GroupRow};
pub use operations::NewOperation;
pub use outage::Outage;
pub use published::{BLOCK, End, Indexed, MOST, NewlyIndexed, NewlyPublished, Place, block_start, compared};
pub use search::{Hits, Pending, Wanted};
pub use second_factors::SecondFactor;
pub use service_tokens::{NewServiceToken, ServiceToken};
pub use sessions::{NewSession, NewToken, Session, Token};

/// Page cache of each reading connection, in kilobytes. The operating system caches the rest.
const READERS_CACHE: u32 = 256;

/// Page cache of the writing connection, in kilobytes.
const WRITERS_CACHE: u32 = 1024;

/// The same during the first read of a large source. The ledger's indexes of event ids and records are not in time
/// order: with a small cache, each of their pages is written again and again.
const WRITERS_CACHE_OF_MANY: u32 = 96 * 1024;

/// Prepared statements cached by each connection: more than are in use at a time, fewer than sqlx's default of 100. One
/// with its plan takes some kilobytes, and id lists make many variants of one statement.
const STATEMENTS: usize = 40;

/// Log pages after which SQLite writes the log into the database file: some tens of megabytes, for the reason given at
/// [`WRITERS_CACHE_OF_MANY`].
const CHECKPOINT: u32 = 8_000;

/// Keys of the applications that the caller may see; `None`: all.
pub type Only<'a> = Option<&'a BTreeSet<String>>;

/// Returns the keys as one text to search in, each between spaces: keys contain no spaces.
fn list_of(only: Only<'_>) -> Option<String> {
    only.map(|keys| keys.iter().fold(" ".to_owned(), |list, key| list + key + " "))
}

/// Milliseconds of a quarter of an hour, the unit of the ledger's sums: days of every time zone consist of whole ones.
const QUARTER_MS: i64 = 900_000;

/// Rows that one statement writes or lists.
const ROWS: usize = 500;

/// Appends these numbers and the closing bracket of `… IN (`.
fn push_list(query: &mut QueryBuilder<Sqlite>, numbers: &[i64]) {
    let mut list = query.separated(", ");
    for number in numbers {
        list.push_bind(*number);
    }
    query.push(")");
}

/// Reads a count from a row; a negative one is 0.
fn count<I: sqlx::ColumnIndex<SqliteRow>>(row: &SqliteRow, column: I) -> Result<u64, sqlx::Error> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or_default())
}

/// The store cannot be opened, or a statement on it failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store {path} cannot be created or opened: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("the store {path} cannot be brought up to date: {source}")]
    Migrate { path: PathBuf, source: sqlx::migrate::MigrateError },
    #[error("there is a file {path} already; say --overwrite to have it replaced")]
    Exists { path: PathBuf },
    #[error("the store {path} is in use; stop the console, then try again")]
    InUse { path: PathBuf },
    #[error("{path} is no sound store: {reason}")]
    Damaged { path: PathBuf, reason: String },
    #[error("the store {path} was removed or replaced while it was open")]
    Replaced { path: PathBuf },
    #[error("the store {path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: sqlx::Error },
    #[error("{path} is another program's database, and no store of this console")]
    Foreign { path: PathBuf },
    #[error("the store failed: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("the store holds what this version does not understand: {0}")]
    Content(String),
}

impl StoreError {
    /// Adds the file's path to an SQL error, for callers that may not know which file was opened.
    #[must_use]
    pub fn of_file(self, path: &Path) -> Self {
        match self {
            StoreError::Sql(source) => StoreError::Unreadable { path: path.to_owned(), source },
            other => other,
        }
    }
}

/// How long to wait for another program's lock on the file.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How long to wait for the writing connection: longer than for a lock, and no longer than a user waits for a page.
const WRITER_WAIT: Duration = Duration::from_secs(15);

/// How long [`Store::ready`] relies on its last successful write.
const WRITABLE_FOR: Duration = Duration::from_secs(10);

/// The last write of [`Store::ready`]: when it ended, and why it failed.
type LastAttempt = Option<(Instant, Result<(), &'static str>)>;

/// The store. Cheap to clone.
///
/// SQLite lets one connection write at a time and has the others retry, in no fair order. So there is a single write
/// connection with a queue: a sign-in can write between two pages of the ledger's first read.
#[derive(Clone, Debug)]
pub struct Store {
    /// Read pool.
    pool: SqlitePool,
    /// Single-connection write pool. Acquiring it twice in one task deadlocks.
    writer: SqlitePool,
    /// Number of tasks in bulk mode.
    much: Arc<AtomicUsize>,
    /// The file as opened for writing; `None` if the store is read-only.
    file: Option<Arc<OpenFile>>,
    attempt: Arc<Mutex<LastAttempt>>,
    /// The key of the index of published events, once it was read.
    index_key: Arc<OnceLock<index_key::IndexKey>>,
}

impl Store {
    /// Opens the file, creates it if it is missing (readable by its owner only), and applies the migrations.
    ///
    /// # Errors
    /// Fails with [`StoreError::File`] if the file cannot be created or opened, [`StoreError::Migrate`] if it is of a
    /// newer version or damaged, [`StoreError::Unreadable`] if it is not a database and [`StoreError::Foreign`] if it
    /// is another program's database. In the last two cases the file is unchanged, including its permissions.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        refuse_foreign(path).await?;
        let file = make_private(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // The record of who did what must survive a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(LOCK_WAIT)
            .statement_cache_capacity(STATEMENTS);
        let writing = options
            .clone()
            .pragma("cache_size", format!("-{WRITERS_CACHE}"))
            .pragma("wal_autocheckpoint", CHECKPOINT.to_string());
        let writer = sqlite_pool()
            .max_connections(1)
            .acquire_timeout(WRITER_WAIT)
            // Undoes [`Store::quick`], so that the next user of the connection writes to the disk.
            .after_release(|connection, _| {
                Box::pin(async move {
                    sqlx::query("PRAGMA synchronous = FULL").execute(connection).await?;
                    Ok(true)
                })
            })
            .connect_with(writing)
            .await
            .map_err(|error| StoreError::from(error).of_file(path))?;
        sqlx::migrate!().run(&writer).await.map_err(|source| StoreError::Migrate { path: path.to_owned(), source })?;
        let reading = options.pragma("cache_size", format!("-{READERS_CACHE}"));
        let pool = sqlite_pool().connect_with(reading).await?;
        let file = Some(Arc::new(OpenFile::new(path, &file)));
        Ok(Self { pool, writer, much: Arc::default(), file, attempt: Arc::default(), index_key: Arc::default() })
    }

    /// Returns the secret with this name, creating it on first use.
    ///
    /// # Errors
    /// Fails if the store cannot be used.
    pub async fn secret(&self, name: &str) -> Result<Secret, StoreError> {
        sqlx::query("INSERT INTO store_secrets (name, secret) VALUES (?, ?) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(secrets::new())
            .execute(&mut *self.writer().await?)
            .await?;
        let secret: String = sqlx::query_scalar("SELECT secret FROM store_secrets WHERE name = ?")
            .bind(name)
            .fetch_one(&mut *self.writer().await?)
            .await?;
        Ok(Secret::new(secret))
    }

    /// Opens an existing store read-only: creates no file and applies no migrations.
    ///
    /// # Errors
    /// Fails with [`StoreError::File`] if the file cannot be opened, [`StoreError::Unreadable`] if it is not a
    /// database.
    pub async fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        std::fs::File::open(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(LOCK_WAIT);
        let read = async {
            let pool = sqlite_pool().max_connections(2);
            let pool = pool.connect_with(options).await?;
            // SQLite opens any file and reads its content only with the first statement.
            sqlx::query("SELECT COUNT(*) FROM sqlite_schema").execute(&pool).await?;
            Ok::<_, StoreError>(Self::to_read(pool))
        };
        read.await.map_err(|error| error.of_file(path))
    }

    /// Returns a store whose connections can only read: writes fail.
    fn to_read(pool: SqlitePool) -> Self {
        Self {
            writer: pool.clone(),
            pool,
            much: Arc::default(),
            file: None,
            attempt: Arc::default(),
            index_key: Arc::default(),
        }
    }

    /// Enters (`true`) or leaves (`false`) bulk mode, in which the writing connection has more memory. Every caller
    /// that enters must leave again.
    ///
    /// # Errors
    /// Fails if the store cannot be used.
    pub async fn set_bulk_mode(&self, much: bool) -> Result<(), StoreError> {
        let others = match much {
            true => self.much.fetch_add(1, Relaxed) + 1,
            false => self.much.fetch_sub(1, Relaxed).saturating_sub(1),
        };
        let cache = if others > 0 { WRITERS_CACHE_OF_MANY } else { WRITERS_CACHE };
        sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA cache_size = -{cache}; PRAGMA shrink_memory")))
            .execute(&mut *self.writer().await?)
            .await?;
        Ok(())
    }

    /// Checks that the store's file is still the one that was opened. Writes to any other file are lost when the
    /// console ends, so nothing may then be changed in a source.
    ///
    /// # Errors
    /// Fails with [`StoreError::Replaced`] if the file was removed or replaced, [`StoreError::File`] if the system does
    /// not report its state.
    pub fn in_place(&self) -> Result<(), StoreError> {
        self.file.as_deref().map_or(Ok(()), OpenFile::in_place)
    }

    /// Returns the write connection. All writes use it or [`Store::begin`].
    ///
    /// # Errors
    /// Fails as [`Store::in_place`] does, and if the connection stays in use for too long.
    async fn writer(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.in_place()?;
        Ok(self.writer.acquire().await?)
    }

    /// Begins a write transaction. It takes the write lock at once: a transaction that began by reading would fail
    /// immediately, whatever the busy timeout, if another process wrote in between.
    ///
    /// # Errors
    /// Fails as [`Store::writer`] does, and if the file is locked.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.in_place()?;
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Returns the write connection for writes that need not be on the disk at once: they get there with the next write
    /// that must be, and a power cut before that restores the earlier state. For plans, which nothing depends on yet,
    /// and for outcomes of rows that are marked as being written: after a crash such rows are read from the source
    /// again.
    async fn quick(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        let mut writer = self.writer().await?;
        sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut *writer).await?;
        Ok(writer)
    }

    /// Checks that the store can be read and written, for the readiness endpoint. A successful write counts for some
    /// seconds, and concurrent callers share one attempt: any client may ask as often as it likes.
    ///
    /// # Errors
    /// Fails with the reason, as the end of a sentence. The error itself is logged.
    pub async fn ready(&self) -> Result<(), &'static str> {
        let asked = Instant::now();
        self.readable().await.map_err(unready)?;
        let mut attempt = self.attempt.lock().await;
        match *attempt {
            Some((ended, outcome)) if ended >= asked => return outcome,
            Some((ended, Ok(()))) if ended.elapsed() < WRITABLE_FOR => return Ok(()),
            _ => {}
        }
        let outcome = self.write_nothing().await.map_err(unready);
        *attempt = Some((Instant::now(), outcome));
        outcome
    }

    async fn readable(&self) -> Result<(), StoreError> {
        self.in_place()?;
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Writes to the disk without changing anything: only that shows whether there is space. SQLite reserves this
    /// number for programs; the console does not use it.
    async fn write_nothing(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query("PRAGMA user_version = 0").execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Closes the file. All data is then in it, and no log file remains beside it.
    pub async fn close(&self) {
        // The last connection to close writes the log into the file: close the readers before the writer.
        self.pool.close().await;
        self.writer.close().await;
    }
}

/// Logs why the store is not ready and returns the reason without paths and database texts: the client need not be
/// signed in.
fn unready(error: StoreError) -> &'static str {
    tracing::error!(%error, "not ready: the store cannot be used");
    error.outage().map_or("it does not answer", Outage::reason)
}

/// Converts a time as stored: milliseconds since 1970.
fn instant(millis: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| StoreError::Content(format!("the time {millis}")))
}

/// Fails if the file exists, is not empty and is not a store: a mistyped path must not change another file's
/// permissions or add tables to it.
async fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    if std::fs::metadata(path).map_or(0, |about| about.len()) == 0 {
        return Ok(());
    }
    let store = Store::open_to_read(path).await?;
    let tables = "SELECT COUNT(*), COALESCE(SUM(name = '_sqlx_migrations'), 0) FROM sqlite_schema";
    let found: Result<(i64, i64), _> = sqlx::query_as(tables).fetch_one(&store.pool).await;
    store.close().await;
    match found.map_err(|error| StoreError::from(error).of_file(path))? {
        (1.., 0) => Err(StoreError::Foreign { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// Creates the file before SQLite does, because SQLite would make it readable by others; the files that SQLite adds
/// beside it get the same permissions. Returns its metadata.
fn make_private(path: &Path) -> io::Result<Metadata> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata()?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(store = %path.display(), "the store was readable by others; its rights are tightened");
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
    }
    file.metadata()
}

/// Creates a store as it was before a migration, with this content.
#[cfg(test)]
async fn older_store(path: &Path, before: i64, content: &'static str) {
    let older: Vec<_> = sqlx::migrate!().iter().filter(|migration| migration.version < before).cloned().collect();
    let pool =
        SqlitePool::connect_with(SqliteConnectOptions::new().filename(path).create_if_missing(true)).await.unwrap();
    let migrator = sqlx::migrate::Migrator { migrations: older.into(), ..sqlx::migrate::Migrator::DEFAULT };
    migrator.run(&pool).await.unwrap();
    sqlx::raw_sql(content).execute(&pool).await.unwrap();
    pool.close().await;
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

    use super::*;
    use crate::{error::Problem, model::audit::AuditKind};

    #[cfg(unix)]
    #[tokio::test]
    async fn only_its_owner_can_read_the_store_and_what_lies_beside_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/console.db");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();

        let store = Store::open(&path).await.unwrap();
        store.ready().await.unwrap();

        let mut seen = 0;
        for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.file_name());
            seen += 1;
        }
        assert!(seen >= 2, "the database and its log");
    }

    #[tokio::test]
    async fn a_file_that_is_no_store_is_refused_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        std::fs::write(&path, "this is not a database, but a text of some length".repeat(100)).unwrap();
        let before = std::fs::read(&path).unwrap();
        let rights = std::fs::metadata(&path).unwrap().permissions();
        for refused in [Store::open(&path).await, Store::open_to_read(&path).await] {
            let said = refused.unwrap_err().to_string();
            assert_eq!(said.matches(&*path.to_string_lossy()).count(), 1, "{said}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), before, "nothing was lost");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions(), rights, "whoever could read it still can");
    }

    #[tokio::test]
    async fn another_programs_database_is_refused_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openmrs.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut theirs = options.connect().await.unwrap();
        sqlx::raw_sql("CREATE TABLE failed_events (id integer)").execute(&mut theirs).await.unwrap();
        theirs.close().await.unwrap();
        let before = (std::fs::read(&path).unwrap(), std::fs::metadata(&path).unwrap().permissions());
        let said = Store::open(&path).await.unwrap_err().to_string();
        assert!(said.contains("openmrs.db is another program's database"), "{said}");
        assert_eq!((std::fs::read(&path).unwrap(), std::fs::metadata(&path).unwrap().permissions()), before);
    }

    async fn add_entry(store: &Store) -> Result<(), StoreError> {
        store.append_audit(&Entry::of_console(AuditKind::ConsoleStarted)).await.map(drop)
    }

    #[tokio::test]
    async fn after_a_full_disk_the_store_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("console.db")).await.unwrap();
        let pages = |most: u32| AssertSqlSafe(format!("PRAGMA max_page_count = {most}"));
        // SQLite raises the limit to the present size, then answers as on a full disk and ends the transaction.
        sqlx::raw_sql(pages(1)).execute(&store.writer).await.unwrap();
        let written = async {
            let mut transaction = store.begin().await?;
            sqlx::query("INSERT INTO store_secrets (name, secret) VALUES ('large', hex(zeroblob(1000000)))")
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok::<_, StoreError>(())
        };
        let error = written.await.unwrap_err();
        assert_eq!(error.outage(), Some(Outage::Full), "{error}");
        let problem = Problem::from(error);
        assert_eq!(problem.status, 503);
        assert_eq!(
            problem.what,
            "The console's own database cannot be written: the disk is full. Nothing was changed."
        );
        sqlx::raw_sql(pages(1_000_000)).execute(&store.writer).await.unwrap();
        add_entry(&store).await.unwrap();
        store.ready().await.unwrap();
    }

    #[tokio::test]
    async fn a_store_that_another_program_has_locked_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        let store = Store::open(&path).await.unwrap();
        // The test holds the lock itself, so waiting for it is useless.
        sqlx::raw_sql("PRAGMA busy_timeout = 0").execute(&store.writer).await.unwrap();
        let mut other = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
        let error = add_entry(&store).await.unwrap_err();
        assert_eq!(error.outage(), Some(Outage::Locked), "{error}");
        assert_eq!(Problem::from(error).status, 503);
        assert_eq!(store.ready().await, Err(Outage::Locked.reason()));
        sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
        assert_eq!(store.ready().await, Ok(()));
        add_entry(&store).await.unwrap();
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn nothing_is_written_to_a_file_that_was_removed_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        let store = Store::open(&path).await.unwrap();
        let aside = folder.path().join("aside.db");
        std::fs::rename(&path, &aside).unwrap();
        for replaced in [false, true] {
            if replaced {
                std::fs::copy(&aside, &path).unwrap();
            }
            let error = add_entry(&store).await.unwrap_err();
            assert!(matches!(error, StoreError::Replaced { .. }), "{error}");
            assert_eq!(Problem::from(error).status, 503);
            assert_eq!(store.ready().await, Err(Outage::Replaced.reason()));
        }
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(store.ready().await, Ok(()));
        add_entry(&store).await.unwrap();
    }
}
