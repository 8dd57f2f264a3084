//! Backup and restore of the store. Backups are complete copies, made while a console runs; each copy is checked before
//! it is put in place.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use crate::clock;

use super::{Store, StoreError, audit::Verdict};

/// A copy that was made and checked.
#[derive(Clone, Debug)]
pub struct Copied {
    pub bytes: u64,
    pub audit: Verdict,
    /// New path of the file that was replaced.
    pub replaced: Option<PathBuf>,
}

impl Store {
    /// Writes a copy of the store, as it is at one moment, to a file that only its owner can read. Consoles may use the
    /// store meanwhile. An existing file is replaced only if `overwrite` says so, and only once the copy is complete.
    ///
    /// # Errors
    /// Fails with [`StoreError::Exists`], [`StoreError::Damaged`], or an error of the disk. The target is then
    /// unchanged.
    pub async fn backup(&self, to: &Path, overwrite: bool) -> Result<Copied, StoreError> {
        if to.exists() && !overwrite {
            return Err(StoreError::Exists { path: to.to_owned() });
        }
        let mut connection = self.pool.acquire().await?;
        let copy = copy(&mut connection, to).await?;
        let (bytes, audit) = checked(copy.path(), to).await?;
        put(copy, to, overwrite)?;
        Ok(Copied { bytes, audit, replaced: None })
    }

    /// Replaces a store by a backup. No console may use it. An existing store is replaced only if `overwrite` says so,
    /// and remains beside it under another name.
    ///
    /// # Errors
    /// Fails with [`StoreError::Exists`], [`StoreError::InUse`], [`StoreError::Damaged`], or an error of the disk. The
    /// store is then unchanged.
    pub async fn restore(from: &Path, to: &Path, overwrite: bool) -> Result<Copied, StoreError> {
        let there = to.exists();
        if there && !overwrite {
            return Err(StoreError::Exists { path: to.to_owned() });
        }
        // The file to be copied is checked before anything else is changed, and is not changed itself.
        checked(from, from).await?;
        let mut backup = SqliteConnection::connect_with(&options(from).read_only(true)).await?;
        let copy = copy(&mut backup, to).await?;
        backup.close().await?;
        let (bytes, audit) = checked(copy.path(), to).await?;
        if there {
            end_of_use(to).await?;
        }
        let replaced = set_aside(to).map_err(|source| StoreError::File { path: to.to_owned(), source })?;
        put(copy, to, false)?;
        Ok(Copied { bytes, audit, replaced })
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(10))
}

/// Writes a complete copy of a database beside its final path; readable by its owner only.
async fn copy(connection: &mut SqliteConnection, to: &Path) -> Result<tempfile::NamedTempFile, StoreError> {
    let failed = |source| StoreError::File { path: to.to_owned(), source };
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().prefix(".store-").suffix(".part").tempfile_in(folder).map_err(failed)?;
    let name = file.path().to_str().ok_or_else(|| failed(std::io::Error::other("its name is not UTF-8")))?;
    // SQLite fills an existing empty file and keeps its permissions.
    sqlx::query("VACUUM INTO ?").bind(name).execute(connection).await?;
    file.as_file().sync_all().map_err(failed)?;
    Ok(file)
}

/// Checks that the file is a sound store; returns its size and the result of verifying its audit log. `name` is its
/// name in errors.
async fn checked(path: &Path, name: &Path) -> Result<(u64, Verdict), StoreError> {
    let damaged = |reason: String| StoreError::Damaged { path: name.to_owned(), reason };
    let bytes = std::fs::metadata(path).map_err(|source| StoreError::File { path: name.to_owned(), source })?.len();
    let pool = sqlx::SqlitePool::connect_with(options(path).read_only(true))
        .await
        .map_err(|error| damaged(format!("it cannot be opened: {error}")))?;
    let store = Store::to_read(pool);
    let outcome = async {
        let said: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
            .fetch_one(&store.pool)
            .await
            .map_err(|error| damaged(format!("it is no sound database: {error}")))?;
        if said != "ok" {
            return Err(damaged(said));
        }
        let audit = store.verify_audit(None).await.map_err(|error| damaged(format!("it has no audit log: {error}")))?;
        Ok((bytes, audit))
    }
    .await;
    store.close().await;
    outcome
}

/// Makes sure that no connection has the store open and that no file remains beside it: only the last connection can
/// end the write-ahead log.
async fn end_of_use(path: &Path) -> Result<(), StoreError> {
    let ending = options(path).busy_timeout(Duration::from_secs(1)).journal_mode(SqliteJournalMode::Delete);
    match SqliteConnection::connect_with(&ending).await {
        Ok(connection) => Ok(connection.close().await?),
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == "5" || code == "261") => {
            Err(StoreError::InUse { path: path.to_owned() })
        }
        // The store to be replaced may be damaged.
        Err(error) => {
            tracing::warn!(%error, "the store that is replaced could not be opened");
            Ok(())
        }
    }
}

/// Renames the store and the files beside it. A remaining write-ahead log would be applied to the new store.
fn set_aside(path: &Path) -> std::io::Result<Option<PathBuf>> {
    let now = clock::now().format("%Y%m%d-%H%M%S%3f");
    let mut kept = None;
    for ending in ["-wal", "-shm", ""] {
        let with_ending = |ending: &str| PathBuf::from(format!("{}{ending}", path.display()));
        let from = with_ending(ending);
        if from.exists() {
            let aside = with_ending(&format!(".replaced-{now}{ending}"));
            std::fs::rename(from, &aside)?;
            kept = Some(aside);
        }
    }
    Ok(kept)
}

/// Renames the copy to its final path.
fn put(copy: tempfile::NamedTempFile, to: &Path, overwrite: bool) -> Result<(), StoreError> {
    let put = if overwrite { copy.persist(to) } else { copy.persist_noclobber(to) };
    put.map_err(|error| StoreError::File { path: to.to_owned(), source: error.error })?;
    // Syncs the new name to the disk, too; not every system can do so for a folder.
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::audit::AuditKind, server::store::Entry};

    async fn with_entries(path: &Path, number: usize) -> Store {
        let store = Store::open(path).await.unwrap();
        for _ in 0..number {
            store.append_audit(&Entry::of_console(AuditKind::ConsoleStarted)).await.unwrap();
        }
        store
    }

    async fn entries(path: &Path) -> u64 {
        let store = Store::open_to_read(path).await.unwrap();
        let verdict = store.verify_audit(None).await.unwrap();
        store.close().await;
        assert_eq!(verdict.broken, None);
        verdict.entries
    }

    #[tokio::test]
    async fn a_backup_is_whole_while_the_store_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = with_entries(&folder.path().join("console.db"), 5).await;
        let writer = tokio::spawn({
            let store = store.clone();
            async move {
                for _ in 0..50 {
                    store.append_audit(&Entry::of_console(AuditKind::ConsoleStarted)).await.unwrap();
                }
            }
        });
        let to = folder.path().join("backup.db");
        let copied = store.backup(&to, false).await.unwrap();
        writer.await.unwrap();
        assert_eq!(copied.audit.broken, None);
        assert!((5..=55).contains(&copied.audit.entries));
        assert_eq!(entries(&to).await, copied.audit.entries);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let left = std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".part"));
        assert_eq!(left.count(), 0, "nothing is left of the way there");
    }

    #[tokio::test]
    async fn nothing_is_replaced_unless_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        let store = with_entries(&path, 2).await;
        let to = folder.path().join("backup.db");
        std::fs::write(&to, "mine").unwrap();
        assert!(matches!(store.backup(&to, false).await, Err(StoreError::Exists { .. })));
        assert_eq!(std::fs::read(&to).unwrap(), b"mine");
        store.backup(&to, true).await.unwrap();
        store.close().await;
        assert!(matches!(Store::restore(&to, &path, false).await, Err(StoreError::Exists { .. })));
        assert_eq!(entries(&path).await, 2);
    }

    #[tokio::test]
    async fn a_restore_brings_the_backup_back_and_keeps_what_it_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        let store = with_entries(&path, 2).await;
        let backup = folder.path().join("backup.db");
        store.backup(&backup, false).await.unwrap();
        store.append_audit(&Entry::of_console(AuditKind::ConsoleStopped)).await.unwrap();

        assert!(matches!(Store::restore(&backup, &path, true).await, Err(StoreError::InUse { .. })), "it is open");
        store.close().await;
        let copied = Store::restore(&backup, &path, true).await.unwrap();
        assert_eq!(entries(&path).await, 2);
        assert_eq!(entries(&copied.replaced.unwrap()).await, 3);

        let elsewhere = folder.path().join("new.db");
        std::fs::write(folder.path().join("new.db-wal"), "of a store that is gone").unwrap();
        assert!(Store::restore(&backup, &elsewhere, false).await.unwrap().replaced.is_some());
        assert_eq!(with_entries(&elsewhere, 1).await.verify_audit(None).await.unwrap().entries, 3);
    }

    #[tokio::test]
    async fn what_is_no_sound_store_is_not_restored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.db");
        with_entries(&path, 1).await.close().await;
        let bad = folder.path().join("bad.db");
        std::fs::write(&bad, "no database at all, but of some length".repeat(200)).unwrap();
        assert!(matches!(Store::restore(&bad, &path, true).await, Err(StoreError::Damaged { .. })));
        let other = folder.path().join("other.db");
        let mut connection = SqliteConnection::connect_with(&options(&other).create_if_missing(true)).await.unwrap();
        sqlx::raw_sql("CREATE TABLE x (y)").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        assert!(matches!(Store::restore(&other, &path, true).await, Err(StoreError::Damaged { .. })));
        let missing = folder.path().join("missing.db");
        assert!(matches!(Store::restore(&missing, &path, true).await, Err(StoreError::File { .. })));
        assert!(!missing.exists());
        assert_eq!(entries(&path).await, 1);
    }
}
