//! What every answer carries and every changing request must pass, whoever asks.

pub mod client;
pub mod guessing;
pub mod headers;
pub mod origin;
pub mod passwords;
pub mod secrets;
