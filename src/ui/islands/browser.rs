//! What the islands ask of the browser, in a few small functions.

use leptos::prelude::document;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement};

use crate::ui::words;

/// Every element below `root` that a selector of ours matches, in document order.
pub fn all(root: &Element, selector: &str) -> Vec<Element> {
    let Ok(found) = root.query_selector_all(selector) else { return Vec::new() };
    (0..found.length()).filter_map(|index| found.get(index)?.dyn_into().ok()).collect()
}

/// The same in the whole page.
pub fn everywhere(selector: &str) -> Vec<Element> {
    document().document_element().map(|root| all(&root, selector)).unwrap_or_default()
}

/// The first element of the page that a selector of ours matches.
pub fn first(selector: &str) -> Option<Element> {
    document().query_selector(selector).ok().flatten()
}

/// The element an event happened on.
pub fn target(event: &Event) -> Option<Element> {
    event.target()?.dyn_into().ok()
}

/// The nearest element around (or at) `element` that a selector of ours matches.
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

/// Presses a button, follows a link, ticks a box: what the mouse would do.
pub fn click(element: &Element) {
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        element.click();
    }
}

/// The address of this page without its fragment, as a page that is read anew by itself: see [`READ_ANEW`].
pub fn address_read_anew() -> Option<String> {
    let address = leptos::prelude::window().location().href().ok()?;
    let address = address.split('#').next().unwrap_or_default();
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let kept: String =
        query.split('&').filter(|part| !part.is_empty() && *part != READ_ANEW).map(|part| format!("{part}&")).collect();
    Some(format!("{path}?{kept}{READ_ANEW}"))
}

/// In the query string of a page that is read anew without anybody asking: that is no use of the session, and no look at a
/// payload.
pub const READ_ANEW: &str = "live=1";

/// Takes [`READ_ANEW`] out of the address, so that a reload by hand is one.
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

/// Gives the page that is shown this address, without loading it.
pub fn call_page(address: &str) {
    if let Ok(history) = leptos::prelude::window().history() {
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(address));
    }
}

/// Moves the keyboard's focus.
pub fn focus(element: &Element) {
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        let _ = element.focus();
    }
}

/// A whole number as the server writes it: in the page's language, whatever the browser's is.
pub fn number(value: f64) -> String {
    words::number(value as i64)
}

/// An attribute of the document, in which the server says how its reader wants the pages.
pub fn told(name: &str) -> Option<String> {
    document().document_element()?.get_attribute(name)
}
