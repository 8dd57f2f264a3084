//! One file a screen.

pub mod action;
pub mod actions;
pub mod application;
pub mod applications;
pub mod demo;
pub mod failed_event;
pub mod failed_events;
pub mod help;
pub mod history;
pub mod life;
pub mod not_found;
pub mod overview;
pub mod retry;
