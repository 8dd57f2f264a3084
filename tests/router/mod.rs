//! The console as a browser and a script see it: the router itself, in process, on SQLite.

pub mod hospital;

mod access;
mod audit;
mod beyond_help;
mod compat;
mod control_names;
mod credentials;
mod feeds;
mod forms;
mod groups;
mod history;
mod hostile;
mod limits;
mod lists;
mod masking;
mod names;
mod openmrs;
mod operations;
mod pages;
mod preferences;
mod present;
mod probe;
mod records;
mod refusals;
mod search;
mod second_factor;
mod service_tokens;
mod shares;
mod status;
mod stream;
