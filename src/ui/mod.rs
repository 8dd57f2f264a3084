//! Pages, their components, and the islands: the only code that runs in a browser.
//!
//! Everything here is rendered by the server and works without JavaScript. Data comes from the server functions of
//! [`crate::api`], URLs from [`crate::paths`], sentences from [`words`].

pub mod app;
pub mod components;
pub mod due;
pub mod islands;
pub mod pages;
pub mod sentences;
pub mod visitor;

pub use crate::model::{feed_names, words};
