//! Returns the user to a row of a list, with the keyboard focus.

use leptos::{ev, prelude::window_event_listener};

use super::super::browser::{announce, around, call_page, first, focus, target};

pub fn start() {
    come_back();
    // The browser's "back" leads to this address, and so to the row.
    window_event_listener(ev::click, |event| {
        let link = target(&event).and_then(|place| around(&place, "[data-row] [data-open][id]"));
        if let Some(link) = link {
            call_page(&format!("#{}", link.id()));
        }
    });
}

/// A user who acted on a row or opened it returns to it, or to the row now in its place: the keyboard continues
/// from there, and the outcome is announced.
fn come_back() {
    let Some(link) = first("[data-row] :target [data-open], [data-row] [data-open]:target") else { return };
    focus(&link);
    if let Some(outcome) = first("[data-outcome]") {
        announce(&outcome.text_content().unwrap_or_default());
    }
}
