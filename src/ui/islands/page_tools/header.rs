//! Scrolls the tabs on a narrow screen to the tab of this page.

use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

use super::super::browser::first;

pub fn start() {
    let Some(tabs) = first("nav.tabs") else { return };
    let Some(tab) = first("nav.tabs [aria-current]").and_then(|tab| tab.dyn_into::<HtmlElement>().ok()) else {
        return;
    };
    let over = tab.offset_left() + tab.offset_width() - tabs.client_width();
    if over > 0 {
        tabs.set_scroll_left(tab.offset_left() - (tabs.client_width() - tab.offset_width()) / 2);
    }
}
