//! One file a screen.

pub mod account;
pub mod accounts;
pub mod action;
pub mod actions;
pub mod application;
pub mod applications;
pub mod audit;
pub mod demo;
pub mod failed_event;
pub mod failed_events;
pub mod help;
pub mod not_found;
pub mod overview;
pub mod retry;
pub mod sign_in;
