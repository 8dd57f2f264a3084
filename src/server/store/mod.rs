//! The console's own database: a SQLite file that only its owner can read. It knows neither pages nor sources.
//!
//! One file a subject; the schema is in `migrations/` and is brought up to date at every start. The SQL keeps to
//! integers, texts and statements that other databases understand too.

mod accounts;
mod audit;
mod copy;
mod discarded;
mod groups;
pub mod ledger;
mod operations;
mod runs;
mod second_factors;
mod service_tokens;
mod sessions;

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::{
    AssertSqlSafe, QueryBuilder, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::server::{config::Secret, security::secrets};

pub use accounts::{Account, Keep, NewAccount, NewPassword, Unchanged, folded};
pub use audit::{Entry, Verdict};
pub use copy::Copied;
pub use discarded::{NewCopy, WhichCopies};
pub use groups::{GroupEvents, GroupRow};
pub use operations::NewOperation;
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
    #[error("the store failed: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("the store holds what this version does not understand: {0}")]
    Content(String),
}

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
}

impl Store {
    /// Opens the file, makes it where it is missing (readable by its owner only), and applies the migrations.
    ///
    /// # Errors
    /// [`StoreError::File`] when the file cannot be made or opened, [`StoreError::Migrate`] when it is of a newer
    /// version or damaged.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // A record of who did what must survive a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .statement_cache_capacity(STATEMENTS);
        let writing = options
            .clone()
            .pragma("cache_size", format!("-{WRITERS_CACHE}"))
            .pragma("wal_autocheckpoint", CHECKPOINT.to_string());
        let pen = SqlitePoolOptions::new().max_connections(1).connect_with(writing).await?;
        sqlx::migrate!().run(&pen).await.map_err(|source| StoreError::Migrate { path: path.to_owned(), source })?;
        let reading = options.pragma("cache_size", format!("-{READERS_CACHE}"));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(reading).await?;
        Ok(Self { pool, pen, much: Arc::default() })
    }

    /// A secret of this store, made when it is asked for first.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn secret(&self, name: &str) -> Result<Secret, StoreError> {
        sqlx::query("INSERT INTO store_secrets (name, secret) VALUES (?, ?) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(secrets::new())
            .execute(&self.pen)
            .await?;
        let secret: String = sqlx::query_scalar("SELECT secret FROM store_secrets WHERE name = ?")
            .bind(name)
            .fetch_one(&self.pen)
            .await?;
        Ok(Secret::new(secret))
    }

    /// Opens a store that is there, to read it only: nothing is made, and nothing is brought up to date.
    ///
    /// # Errors
    /// [`StoreError::File`] when there is none, or what SQLite says.
    pub async fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        std::fs::File::open(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(Duration::from_secs(10));
        Ok(Self::to_read(SqlitePoolOptions::new().max_connections(2).connect_with(options).await?))
    }

    /// A store whose connections can only read: to write with one of them fails.
    fn to_read(pool: SqlitePool) -> Self {
        Self { pen: pool.clone(), pool, much: Arc::default() }
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
            .execute(&self.pen)
            .await?;
        Ok(())
    }

    /// Begins a transaction that writes. It takes the write lock at its beginning: one that began by reading would fail at
    /// once, whatever the busy timeout, when another process wrote in between.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.pen.begin_with("BEGIN IMMEDIATE").await
    }

    /// Whether the store answers; for readiness.
    ///
    /// # Errors
    /// The database's own error.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes the file: everything is in it, and nothing is left beside it.
    pub async fn close(&self) {
        // The last to close brings the log into the file: the readers before the writer.
        self.pool.close().await;
        self.pen.close().await;
    }
}

/// A time as the store keeps it: milliseconds since 1970.
fn instant(millis: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| StoreError::Content(format!("the time {millis}")))
}

/// Makes the file before SQLite does, because SQLite would make it readable by others; the files it puts beside the
/// database take over its rights.
fn make_private(path: &Path) -> io::Result<()> {
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
    drop(file);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        store.ping().await.unwrap();

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
        assert!(Store::open(&path).await.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before, "nothing was lost");
    }
}
