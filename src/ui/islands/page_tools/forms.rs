//! Forms: fields that belong together, and passwords that can be shown.

use leptos::{
    ev,
    prelude::{document, window_event_listener},
};
use wasm_bindgen::JsCast;
use web_sys::HtmlInputElement;

use super::super::browser::{all, around, everywhere, show, target};

pub fn start() {
    everywhere("[data-reveal]").iter().for_each(|button| show(button, true));
    window_event_listener(ev::change, |event| {
        let Some(field) = target(&event).and_then(|field| field.dyn_into::<HtmlInputElement>().ok()) else {
            return;
        };
        let Some(group) = around(&field, "[data-all-or-some]") else { return };
        let inputs = all(&group, "input").into_iter().filter_map(|input| input.dyn_into::<HtmlInputElement>().ok());
        for input in inputs {
            match (field.type_().as_str(), input.type_().as_str()) {
                ("checkbox", "radio") if field.checked() => input.set_checked(input.value().is_empty()),
                ("radio", "checkbox") if !field.value().is_empty() => input.set_checked(false),
                _ => {}
            }
        }
    });
    window_event_listener(ev::click, |event| {
        let Some(button) = target(&event).and_then(|place| around(&place, "[data-reveal]")) else { return };
        let field = button.get_attribute("data-reveal").and_then(|id| document().get_element_by_id(&id));
        let Some(field) = field.and_then(|field| field.dyn_into::<HtmlInputElement>().ok()) else { return };
        let shown = field.type_() == "password";
        field.set_type(if shown { "text" } else { "password" });
        let _ = button.set_attribute("aria-pressed", if shown { "true" } else { "false" });
    });
}
