//! Who may come in, what every answer carries, and what every request must pass, whoever asks.
//!
//! A request meets these in turn: [`client`] finds out which way it came, [`visit`] who it is from, [`origin`] whether a
//! change was asked for by another site's page, and [`door`], at each route, whether that person may pass and whether a
//! form is one of ours. Which route needs what stands in `server/routes.rs`.

pub mod audit;
pub mod client;
pub mod cookies;
pub mod counted;
pub mod door;
pub mod form_token;
pub mod guessing;
pub mod headers;
pub mod openmrs;
pub mod origin;
pub mod passwords;
pub mod report;
pub mod second_factor;
pub mod secrets;
pub mod service_tokens;
pub mod sign_in;
pub mod vault;
pub mod visit;
