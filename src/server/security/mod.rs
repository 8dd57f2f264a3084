//! What every answer carries and every changing request must pass, whoever asks.

pub mod audit;
pub mod headers;
pub mod origin;
