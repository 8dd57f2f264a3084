//! The console as a browser and as a script meet it: the router itself, in process, on SQLite.

pub mod hospital;

mod access;
mod compat;
mod forms;
mod lists;
mod openmrs;
mod pages;
