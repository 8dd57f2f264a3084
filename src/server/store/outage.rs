//! Why the store cannot be used although the console works correctly, and whether its file is still the one that was
//! opened.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
};

use super::StoreError;
use crate::server::files::{Identity, identity};

/// Why the store cannot be used. The console recovers by itself once the cause has ended, except from
/// [`Outage::Replaced`] by another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    Full,
    Locked,
    /// The console's own writes took too long.
    Busy,
    ReadOnly,
    /// The disk reports errors, or the file cannot be opened.
    Disk,
    Replaced,
}

impl Outage {
    /// Returns the cause, as the end of a sentence.
    pub fn reason(self) -> &'static str {
        match self {
            Outage::Full => "the disk is full",
            Outage::Locked => "it is locked by another program",
            Outage::Busy => "other changes took too long",
            Outage::ReadOnly => "it is read-only",
            Outage::Disk => "its file cannot be read or written",
            Outage::Replaced => "its file was removed or replaced while the console was running",
        }
    }

    /// Returns what happened, as a whole sentence for the user.
    pub fn sentence(self) -> String {
        format!("The console's own database cannot be written: {}.", self.reason())
    }

    /// Returns what to do, as sentences for the user.
    pub fn advice(self) -> &'static str {
        match self {
            Outage::Full => "Ask the administrator to free space on its disk, then try again.",
            Outage::Locked | Outage::Busy => "Try again in a moment. If it fails again, ask the administrator.",
            Outage::ReadOnly | Outage::Disk => "Ask the administrator. The log of the console has the reason.",
            Outage::Replaced => {
                "Ask the administrator to put the file back, or to stop the console and restore a backup."
            }
        }
    }
}

impl StoreError {
    /// Returns why the store cannot be used now; `None` if the error has another cause.
    pub fn outage(&self) -> Option<Outage> {
        match self {
            StoreError::Replaced { .. } => Some(Outage::Replaced),
            StoreError::File { .. } => Some(Outage::Disk),
            StoreError::Sql(error) | StoreError::Unreadable { source: error, .. } => of_sqlite(error),
            _ => None,
        }
    }
}

/// Maps the codes of <https://www.sqlite.org/rescode.html>. Extended codes have the basic one in the lowest byte.
fn of_sqlite(error: &sqlx::Error) -> Option<Outage> {
    const MOVED: i64 = 1032;
    let error = match error {
        sqlx::Error::Database(error) => error,
        sqlx::Error::PoolTimedOut => return Some(Outage::Busy),
        _ => return None,
    };
    let code = error.code()?.parse::<i64>().ok()?;
    match (code, code & 0xff) {
        (MOVED, _) => Some(Outage::Replaced),
        (_, 5 | 6) => Some(Outage::Locked),
        (_, 8) => Some(Outage::ReadOnly),
        (_, 10 | 14) => Some(Outage::Disk),
        (_, 13) => Some(Outage::Full),
        _ => None,
    }
}

/// The file of an open store. SQLite continues to write to a file that no longer has a name, and such writes are lost
/// when the console ends.
#[derive(Clone, Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    identity: Identity,
}

impl OpenFile {
    pub(super) fn new(path: &Path, file: &Metadata) -> Self {
        Self { path: path.to_owned(), identity: identity(file) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the path still leads to the file that was opened.
    ///
    /// # Errors
    /// Fails with [`StoreError::Replaced`] if it leads to another file or to none, [`StoreError::File`] if the system
    /// does not report its state.
    pub(super) fn in_place(&self) -> Result<(), StoreError> {
        match std::fs::metadata(&self.path) {
            Ok(there) if identity(&there) == self.identity => Ok(()),
            Ok(_) => Err(StoreError::Replaced { path: self.path.clone() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(StoreError::Replaced { path: self.path.clone() })
            }
            Err(source) => Err(StoreError::File { path: self.path.clone(), source }),
        }
    }
}
