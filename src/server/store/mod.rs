//! The console's own database: a SQLite file that only its owner can read. It knows neither pages nor sources.
//!
//! One file a subject; the schema is in `migrations/` and is brought up to date at every start. The SQL keeps to
//! integers, texts and statements that other databases understand too.

mod accounts;
mod audit;
mod causes;
mod copy;
mod discarded;
mod groups;
pub mod ledger;
mod operations;
mod outage;
mod preferences;
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
        Arc,
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
pub use search::{Hits, Pending, Wanted};
pub use second_factors::SecondFactor;
pub use service_tokens::{NewServiceToken, ServiceToken};
pub use sessions::{NewSession, NewToken, Session, Token};

/// Kilobytes of the file that each reading connection keeps in memory. The system keeps the rest.
const READERS_CACHE: u32 = 256;

/// Kilobytes of the file that the writing connection keeps in memory.
const WRITERS_CACHE: u32 = 1024;

/// The same during the first read of a large source. The ledger's indexes of event ids and records are in no order of
/// time: without room for them, every page of theirs is written over and over.
const WRITERS_CACHE_OF_MANY: u32 = 96 * 1024;

/// Statements that each connection keeps prepared: more than are in use at a time, and not the hundred that sqlx would
/// keep. One with its plan is some kilobytes, and lists of ids make many of one form.
const STATEMENTS: usize = 40;

/// Pages of the log after which they are brought into the file itself: some tens of megabytes, for the same reason.
const CHECKPOINT: u32 = 8_000;

/// Keys of the applications that somebody may see; `None`: all.
pub type Only<'a> = Option<&'a BTreeSet<String>>;

/// These keys as a text to search in, each between spaces: keys hold none themselves.
fn list_of(only: Only<'_>) -> Option<String> {
    only.map(|keys| keys.iter().fold(" ".to_owned(), |list, key| list + key + " "))
}

/// Rows that one statement writes or names.
const ROWS: usize = 500;

/// The end of `… IN (`: these numbers, and the bracket.
fn push_list(query: &mut QueryBuilder<Sqlite>, numbers: &[i64]) {
    let mut list = query.separated(", ");
    for number in numbers {
        list.push_bind(*number);
    }
    query.push(")");
}

/// A count that a row carries; what is below zero counts as nothing.
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
    /// The same with the file that it is about, for whoever may not know which one was opened.
    #[must_use]
    pub fn of_file(self, path: &Path) -> Self {
        match self {
            StoreError::Sql(source) => StoreError::Unreadable { path: path.to_owned(), source },
            other => other,
        }
    }
}

/// How long another program's lock on the file is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How long one waits for the writing connection: longer than for a lock, and no longer than a person waits for a page.
const PEN_WAIT: Duration = Duration::from_secs(15);

/// How long a write that succeeded answers for the next ones, when it is asked whether the store can be written.
const WRITABLE_FOR: Duration = Duration::from_secs(10);

/// The last attempt to write that was made only to see whether it succeeds: when it ended, and why it failed.
type LastAttempt = Option<(Instant, Result<(), &'static str>)>;

/// The store. Cheap to clone.
///
/// SQLite lets one connection write at a time and has the others try again and again, first come, last served. So there is
/// one connection to write with, and who wants it waits in line: a sign-in comes between two pages of the ledger's
/// first read.
#[derive(Clone, Debug)]
pub struct Store {
    /// To read with.
    pool: SqlitePool,
    /// The one to write with. Nobody who holds it may ask for it again.
    pen: SqlitePool,
    /// How many expect to write very much.
    much: Arc<AtomicUsize>,
    /// The file that was opened to be written.
    file: Option<Arc<OpenFile>>,
    attempt: Arc<Mutex<LastAttempt>>,
}

impl Store {
    /// Opens the file, makes it where it is missing (readable by its owner only), and applies the migrations.
    ///
    /// # Errors
    /// [`StoreError::File`] when the file cannot be made or opened, [`StoreError::Migrate`] when it is of a newer
    /// version or damaged, [`StoreError::Unreadable`] when it is no database and [`StoreError::Foreign`] when it is another
    /// one. A file that is refused is left as it was, its rights among it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        refuse_foreign(path).await?;
        let file = make_private(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // A record of who did what must survive a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(LOCK_WAIT)
            .statement_cache_capacity(STATEMENTS);
        let writing = options
            .clone()
            .pragma("cache_size", format!("-{WRITERS_CACHE}"))
            .pragma("wal_autocheckpoint", CHECKPOINT.to_string());
        let pen = sqlite_pool()
            .max_connections(1)
            .acquire_timeout(PEN_WAIT)
            // Whatever [`Store::quick`] made of it, the next who takes it writes to the disk.
            .after_release(|connection, _| {
                Box::pin(async move {
                    sqlx::query("PRAGMA synchronous = FULL").execute(connection).await?;
                    Ok(true)
                })
            })
            .connect_with(writing)
            .await
            .map_err(|error| StoreError::from(error).of_file(path))?;
        sqlx::migrate!().run(&pen).await.map_err(|source| StoreError::Migrate { path: path.to_owned(), source })?;
        let reading = options.pragma("cache_size", format!("-{READERS_CACHE}"));
        let pool = sqlite_pool().connect_with(reading).await?;
        let file = Some(Arc::new(OpenFile::new(path, &file)));
        Ok(Self { pool, pen, much: Arc::default(), file, attempt: Arc::default() })
    }

    /// A secret of this store, made when it is asked for first.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn secret(&self, name: &str) -> Result<Secret, StoreError> {
        sqlx::query("INSERT INTO store_secrets (name, secret) VALUES (?, ?) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(secrets::new())
            .execute(&mut *self.pen().await?)
            .await?;
        let secret: String = sqlx::query_scalar("SELECT secret FROM store_secrets WHERE name = ?")
            .bind(name)
            .fetch_one(&mut *self.pen().await?)
            .await?;
        Ok(Secret::new(secret))
    }

    /// Opens a store that is there, to read it only: nothing is made, and nothing is brought up to date.
    ///
    /// # Errors
    /// [`StoreError::File`] when there is none, [`StoreError::Unreadable`] when it is no database.
    pub async fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        std::fs::File::open(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(LOCK_WAIT);
        let read = async {
            let pool = sqlite_pool().max_connections(2);
            let pool = pool.connect_with(options).await?;
            // SQLite opens any file; only with the first statement it looks at what is in it.
            sqlx::query("SELECT COUNT(*) FROM sqlite_schema").execute(&pool).await?;
            Ok::<_, StoreError>(Self::to_read(pool))
        };
        read.await.map_err(|error| error.of_file(path))
    }

    /// A store whose connections can only read: to write with one of them fails.
    fn to_read(pool: SqlitePool) -> Self {
        Self { pen: pool.clone(), pool, much: Arc::default(), file: None, attempt: Arc::default() }
    }

    /// Gives the writing connection more memory for as long as somebody expects to write very much: who says so says, too,
    /// when it is over.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn expect_much(&self, much: bool) -> Result<(), StoreError> {
        let others = match much {
            true => self.much.fetch_add(1, Relaxed) + 1,
            false => self.much.fetch_sub(1, Relaxed).saturating_sub(1),
        };
        let cache = if others > 0 { WRITERS_CACHE_OF_MANY } else { WRITERS_CACHE };
        sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA cache_size = -{cache}; PRAGMA shrink_memory")))
            .execute(&mut *self.pen().await?)
            .await?;
        Ok(())
    }

    /// Checks that the store's file is still the one that was opened. What is written otherwise is lost when the console
    /// ends, so nothing may be changed in a source then.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] when it was removed or replaced, [`StoreError::File`] when the system does not say.
    pub fn in_place(&self) -> Result<(), StoreError> {
        self.file.as_deref().map_or(Ok(()), OpenFile::in_place)
    }

    /// Returns the connection to write with. Every write takes it here.
    ///
    /// # Errors
    /// As [`Store::in_place`], or the connection stays in use for too long.
    async fn pen(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.in_place()?;
        Ok(self.pen.acquire().await?)
    }

    /// Begins a transaction that writes. It takes the write lock at its beginning: one that began by reading would fail at
    /// once, whatever the busy timeout, when another process wrote in between.
    ///
    /// # Errors
    /// As [`Store::pen`], or the file is locked.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.in_place()?;
        Ok(self.pen.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Returns the connection to write with, for what need not be on the disk at once: it is there with the next write that
    /// must be, and a power cut before that leaves what stood there earlier. For plans, which nothing has followed yet, and
    /// for outcomes of rows that are marked as being written: whoever finds such a row after a crash looks at the source
    /// again.
    async fn quick(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        let mut pen = self.pen().await?;
        sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut *pen).await?;
        Ok(pen)
    }

    /// Checks that the store can be read and written; for readiness. A write that succeeded answers for some seconds, and
    /// who asks while another one's attempt is under way gets its answer: anybody may ask, as often as they like.
    ///
    /// # Errors
    /// The reason, as the end of a sentence. The log has the error.
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

    /// Writes to the disk, and changes nothing: only that shows whether there is room. The number is one that SQLite keeps
    /// for programs, and that nothing here uses.
    async fn write_nothing(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query("PRAGMA user_version = 0").execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Closes the file: everything is in it, and nothing is left beside it.
    pub async fn close(&self) {
        // The last to close brings the log into the file: the readers before the writer.
        self.pool.close().await;
        self.pen.close().await;
    }
}

/// Puts into the log why the store is not ready, and returns the reason without paths and texts of the database: whoever
/// asks need not be signed in.
fn unready(error: StoreError) -> &'static str {
    tracing::error!(%error, "not ready: the store cannot be used");
    error.outage().map_or("it does not answer", Outage::reason)
}

/// A time as the store keeps it: milliseconds since 1970.
fn instant(millis: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| StoreError::Content(format!("the time {millis}")))
}

/// Fails if the file is there, holds something, and is no store: a path that was mistyped must not cost the file its rights,
/// or give it our tables.
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

/// Makes the file before SQLite does, because SQLite would make it readable by others; the files it puts beside the
/// database take over its rights. Returns what the system says of it.
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
        // As many as there are, but no more. SQLite answers as on a full disk, and ends the transaction.
        sqlx::raw_sql(pages(1)).execute(&store.pen).await.unwrap();
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
        sqlx::raw_sql(pages(1_000_000)).execute(&store.pen).await.unwrap();
        add_entry(&store).await.unwrap();
        store.ready().await.unwrap();
    }

    #[tokio::test]
    async fn a_store_that_another_program_has_locked_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        let store = Store::open(&path).await.unwrap();
        // Nobody waits for what this test holds.
        sqlx::raw_sql("PRAGMA busy_timeout = 0").execute(&store.pen).await.unwrap();
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
