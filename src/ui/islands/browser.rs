//! Small helpers through which the islands access the browser.

use leptos::prelude::document;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement};

use crate::ui::words;

/// Returns all elements below `root` that match a selector of this program, in document order.
pub fn all(root: &Element, selector: &str) -> Vec<Element> {
    let Ok(found) = root.query_selector_all(selector) else { return Vec::new() };
    (0..found.length()).filter_map(|index| found.get(index)?.dyn_into().ok()).collect()
}

/// Returns all matching elements of the page: see [`all`].
pub fn everywhere(selector: &str) -> Vec<Element> {
    document().document_element().map(|root| all(&root, selector)).unwrap_or_default()
}

/// Returns the first element of the page that matches a selector of this program.
pub fn first(selector: &str) -> Option<Element> {
    document().query_selector(selector).ok().flatten()
}

/// Returns the element on which an event happened.
pub fn target(event: &Event) -> Option<Element> {
    event.target()?.dyn_into().ok()
}

/// Returns the nearest ancestor of `element`, or itself, that matches a selector of this program.
pub fn around(element: &Element, selector: &str) -> Option<Element> {
    element.closest(selector).ok().flatten()
}

/// Shows or hides an element.
pub fn show(element: &Element, shown: bool) {
    if shown {
        let _ = element.remove_attribute("hidden");
    } else {
        let _ = element.set_attribute("hidden", "");
    }
}

/// Clicks a button, link or box as the mouse would.
pub fn click(element: &Element) {
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        element.click();
    }
}

/// Returns the address of this page without its fragment, marked as an automatic reload: see [`READ_ANEW`].
pub fn address_read_anew() -> Option<String> {
    let address = leptos::prelude::window().location().href().ok()?;
    let address = address.split('#').next().unwrap_or_default();
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let kept: String =
        query.split('&').filter(|part| !part.is_empty() && *part != READ_ANEW).map(|part| format!("{part}&")).collect();
    Some(format!("{path}?{kept}{READ_ANEW}"))
}

/// Part of the query string when a page reloads itself without the user's action: that counts neither as use of the
/// session nor as viewing a payload.
pub const READ_ANEW: &str = "live=1";

/// Removes [`READ_ANEW`] from the address, so that a manual reload counts as the user's action.
pub fn forget_read_anew() {
    let window = leptos::prelude::window();
    let (Ok(path), Ok(query)) = (window.location().pathname(), window.location().search()) else { return };
    let parts = || query.trim_start_matches('?').split('&');
    if !parts().any(|part| part == READ_ANEW) {
        return;
    }
    let kept = parts().filter(|part| *part != READ_ANEW).collect::<Vec<_>>().join("&");
    call_page(&if kept.is_empty() { path } else { format!("{path}?{kept}") });
}

/// Sets the address of the shown page, without loading it.
pub fn call_page(address: &str) {
    if let Ok(history) = leptos::prelude::window().history() {
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(address));
    }
}

/// Moves the keyboard focus.
pub fn focus(element: &Element) {
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        let _ = element.focus();
    }
}

/// Formats a whole number as the server does: in the page's language, not the browser's.
pub fn number(value: f64) -> String {
    words::number(value as i64)
}

/// Returns an attribute of the document element, in which the server passes its reader's preferences.
pub fn told(name: &str) -> Option<String> {
    document().document_element()?.get_attribute(name)
}

/// Announces a text to screen readers.
pub fn announce(words: &str) {
    if let Some(voice) = first("#voice") {
        voice.set_text_content(Some(words));
    }
}
