//! Support for the tests: throw-away databases in every schema variant, hand-written feeds, and a network that can be
//! cut.

pub mod database;
pub mod feeds;
pub mod log;
pub mod proxy;
pub mod schema;
