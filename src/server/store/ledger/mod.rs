//! The ledger in the store: the life of every failed event that the watcher has seen.
//!
//! Four parts: `requests` (what operations put beside the watcher's book, and what became of it), `read` (what pages
//! ask), `write` (the watcher's own pen) and `retention` (what is forgotten). The schema and its numbers are in
//! `migrations/0004_ledger.sql`.

pub(super) mod read;
pub(super) mod requests;
mod retention;
mod write;

pub use read::{Known, OpenRows, Scope};
pub use requests::{Ask, RequestCounts};
pub use write::{
    Appeared, Book, BookRow, Changed, Ended, Fingerprint, Moved, NO_TIME, NewAttempt, Page, Progress, Work, Written,
    micros,
};
