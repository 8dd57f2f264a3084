//! What the islands ask of the browser, in a few small functions.

use leptos::prelude::document;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement};

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

/// Moves the keyboard's focus.
pub fn focus(element: &Element) {
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        let _ = element.focus();
    }
}

/// A whole number with the separators of the reader's language.
pub fn number(value: f64) -> String {
    js_sys::Number::from(value).to_locale_string(&language()).into()
}

/// The reader's language, as the browser tells it.
pub fn language() -> String {
    leptos::prelude::window().navigator().language().unwrap_or_else(|| "en".to_owned())
}
