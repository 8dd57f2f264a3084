//! The ledger in the store: the life of every failed event that the watcher has seen.
//!
//! Five parts: `requests` (requests of operations and their outcomes), `read` (queries of pages and operations),
//! `history` (queries over time), `write` (the watcher's writes) and `retention` (deletion of old events). The schema and
//! its numbers are in `migrations/0004_ledger.sql`.

mod history;
pub(super) mod read;
pub(super) mod requests;
mod retention;
mod write;

pub use history::Scope;
pub use read::{Known, OpenRows};
pub use requests::{Ask, RequestCounts};
pub use write::{
    Appeared, Changed, Ended, Fingerprint, LedgerCursor, LedgerRow, Moved, NO_TIME, NewAttempt, Page, Progress, Work,
    Written, micros,
};
