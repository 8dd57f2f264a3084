//! Everything that only the server does. The browser's module never sees this.

pub mod accounts_cli;
pub mod audit_export;
pub mod check;
pub mod cli;
pub mod compat;
pub mod config;
pub mod connections;
pub mod digest;
pub mod events;
pub mod export;
pub mod groups;
pub mod health;
pub mod history;
pub mod http;
pub mod lists;
pub mod operations;
pub mod routes;
pub mod run;
pub mod security;
pub mod site;
pub mod sources;
pub mod state;
pub mod store;
pub mod stream;
pub mod upkeep;
pub mod watch;
