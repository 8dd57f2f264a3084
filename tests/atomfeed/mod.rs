//! The Atom feed protocol, rule by rule, on every database and schema variant in use.
//!
//! The rules are those of the library that Bahmni's systems use; each test is named after the rule it checks. What the
//! rules mean for whole tables is also written as data, in `tests/conformance`.

mod client;
mod conformance;
mod consumer;
mod fitting;
mod hostile;
mod interrupted;
mod publisher;
mod retry;
