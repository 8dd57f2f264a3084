//! atomfeed-console: see which Atom feeds of a Bahmni hospital are healthy, why an event failed, and retry it.
//!
//! One package, compiled twice: a server (`ssr`) and a small module for the browser (`hydrate`, islands only).
//! ARCHITECTURE.md describes the structure; each module says why it exists and what it may touch.

// The type of a page's view nests as deep as its markup.
#![recursion_limit = "256"]

pub mod api;
pub mod clock;
#[cfg(feature = "ssr")]
pub mod demo;
pub mod error;
#[cfg(all(feature = "ssr", any(test, fuzzing)))]
pub mod fuzzing;
pub mod paths;
#[cfg(feature = "ssr")]
pub mod server;
pub mod ui;

pub use console_model as model;

/// The browser's entry point: hydrates the islands of the page.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_islands();
}
