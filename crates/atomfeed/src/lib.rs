//! Atom feed synchronisation as used by Bahmni's systems: publishers, feeds, and consumers.
//!
//! Compatible in tables and on the wire with the Java library that OpenMRS, OpenELIS, Odoo connect and others use: each
//! can continue from what the other left in a database. This crate does not depend on the console; the console's demo
//! hospital runs on it, and so can a hospital's own integration (docs/integration.md, `examples/`).
//!
//! - [`Database`]: MySQL/MariaDB, PostgreSQL or SQLite, in any known form of the tables; [`Transaction`]: begun when
//!   first used.
//! - [`Publisher`]: moves events into a queue and from the queue onto feeds, and cuts feeds into pages; [`router`]
//!   serves them.
//! - [`Client`]: HTTP to one publisher, with limits and a login.
//! - [`Consumer`]: reads one feed, passes its events to a [`Worker`], records failures, and retries them.
//!
//! Scheduling is up to the caller: the Java library publishes every 2 s, and reads and retries every 15 or 30 s.

mod chunking;
mod client;
mod clock;
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

pub use chunking::{Chunking, ChunkingError, PageRange};
pub use client::{Answer, Client, ClientError, ClientSettings, Login};
pub use consumer::{Consumer, FeedEnd, FeedRun, FirstRun, Limits, RetryEnd, RetryRun, Stall};
pub use database::{Backend, Database, DatabaseError, Transaction, sqlite_pool};
pub use event::{ENTRY_ID_PREFIX, Event, NewEvent};
pub use page::{Page, PageError, PublishedRow};
pub use publisher::{FeedSettings, MARKERS_STAY_BEHIND, MissingPage, PageNumber, Publisher};
pub use route::router;
pub use shape::TableName;
pub use walk::{WalkError, read_page};
pub use worker::{Failure, Worker};
