//! Authentication and authorization of all requests, and headers of all responses.
//!
//! Each request passes these in turn: [`client`] determines address, scheme and host, [`authenticate`] the person,
//! [`origin`] whether another site's page requested a change, and [`authorize`], at each route, whether that person may
//! use it and whether a form is one of ours. `server/routes.rs` defines what each route requires.

pub mod audit;
pub mod authenticate;
pub mod authorize;
pub mod client;
pub mod cookies;
pub mod counted;
pub mod form_token;
pub mod guessing;
pub mod headers;
pub mod key_file;
mod names;
pub mod openmrs;
pub mod origin;
pub mod passwords;
pub mod report;
pub mod second_factor;
pub mod secrets;
pub mod service_tokens;
pub mod sign_in;
pub mod vault;
