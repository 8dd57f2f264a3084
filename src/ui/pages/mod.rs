//! The pages: one file per screen.

pub mod account;
pub mod accounts;
pub mod application;
pub mod applications;
pub mod audit;
pub mod causes;
pub mod demo;
pub mod discarded;
pub mod failed_event;
pub mod failed_events;
pub mod feed;
pub mod feeds;
pub mod group;
pub mod groups;
pub mod help;
pub mod history;
pub mod life;
pub mod not_found;
pub mod operation;
pub mod operations;
pub mod overview;
pub mod search;
pub mod second_factor;
pub mod second_step;
pub mod service_tokens;
pub mod sign_in;
