//! Atom feed synchronisation as Bahmni's systems speak it: publishers, feeds, and consumers.
//!
//! Compatible in tables and on the wire with the Java library that OpenMRS, OpenELIS, Odoo connect and others use: ours
//! can continue what that one left in a database, and the other way round. It knows nothing of the console; the
//! console's demo hospital runs on it, and so can a hospital's own integration (docs/integration.md, `examples/`).
//!
//! - [`Database`]: MySQL/MariaDB, PostgreSQL or SQLite, in any of the forms in which the tables are found;
//!   [`Transaction`]: begun when first used.
//! - [`Publisher`]: events into a queue, from the queue onto feeds, feeds cut into pages; [`router`] serves them.
//! - [`Client`]: HTTP to one publisher, with limits and a login.
//! - [`Consumer`]: reads one feed, hands its events to a [`Worker`], records what fails, and retries it.
//!
//! Schedules are the caller's: the original publishes every 2 s, and reads and retries every 15 or 30 s.

mod chunking;
mod client;
mod consumer;
mod database;
mod event;
mod fit;
#[doc(hidden)]
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod java;
mod page;
mod publisher;
mod route;
mod shape;
mod store;
mod tables;
mod walk;
mod worker;

pub use chunking::ChunkingError;
pub use client::{Answer, Client, ClientError, ClientSettings, Login};
pub use consumer::{Consumer, FeedEnd, FeedRun, FirstRun, Limits, RetryEnd, RetryRun, Stall};
pub use database::{Backend, Database, DatabaseError, Transaction, sqlite_pool};
pub use event::{ENTRY_ID_PREFIX, Event, NewEvent};
pub use page::PageError;
pub use publisher::{FeedSettings, MARKERS_STAY_BEHIND, MissingPage, PageNumber, Publisher};
pub use route::router;
pub use shape::TableName;
pub use walk::WalkError;
pub use worker::{Failure, Worker};
