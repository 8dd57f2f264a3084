//! The console as a browser and as a script meet it: the router itself, in process, on SQLite.

pub mod hospital;

mod compat;
mod forms;
mod groups;
mod history;
mod lists;
mod operations;
mod pages;
mod stream;
