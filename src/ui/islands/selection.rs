//! The selection in a list: its count, all rows of the page at once, and ranges with the shift key.
//!
//! Without it the boxes and the button of the form still work. The texts are in the form: `[data-selected]` is the
//! place of the count, its `data-text` has `{n}` for the number; the button `[data-retry-selected]` has the same, and
//! is disabled, like `[data-discard-selected]`, while nothing is selected; `[data-select-all]` is the box for all;
//! `[data-if-selected]` is shown while a row is selected, and `[data-if-waiting]` while a row with `data-waiting` is.
//! Both keep their space while hidden.

use leptos::prelude::*;

/// Starts the selection of a list that appeared while the page was open.
#[cfg(feature = "hydrate")]
pub fn wake() {
    live::start();
}

/// Starts the selection of the form around it.
#[island]
pub fn Selection() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    live::start();
}

#[cfg(feature = "hydrate")]
mod live {
    use std::{cell::Cell, rc::Rc};

    use leptos::{
        ev,
        prelude::{window_event_listener, window_event_listener_untyped},
    };
    use wasm_bindgen::JsCast;
    use web_sys::{Element, HtmlButtonElement, HtmlInputElement};

    use super::super::{
        browser::{all, around, first, number, show, target},
        live::REPLACED,
    };

    const BOXES: &str = "[data-row] input[type=checkbox]:not(:disabled)";

    thread_local! {
        static STARTED: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs once per page; the form itself may appear and disappear while the page is open.
    pub fn start() {
        if first("form[data-selection]").is_none() || STARTED.replace(true) {
            return;
        }
        let recount = || {
            if let Some(form) = first("form[data-selection]") {
                show_controls(&form);
                count(&form);
            }
        };
        recount();
        let last = Rc::new(Cell::new(None));
        window_event_listener(ev::click, move |event| {
            if let Some(form) = first("form[data-selection]") {
                clicked(&form, &event, &last);
            }
        });
        // A browser may restore ticked boxes after "back", without any click.
        window_event_listener_untyped("pageshow", move |_| recount());
        window_event_listener_untyped(REPLACED, move |_| recount());
    }

    fn show_controls(form: &Element) {
        all(form, "[data-select-all], [data-selected]").iter().for_each(|part| show(part, true));
    }

    fn boxes(form: &Element) -> Vec<HtmlInputElement> {
        all(form, BOXES).into_iter().filter_map(|found| found.dyn_into().ok()).collect()
    }

    fn clicked(form: &Element, event: &web_sys::MouseEvent, last: &Cell<Option<usize>>) {
        let Some(ticked) = target(event).and_then(|place| place.dyn_into::<HtmlInputElement>().ok()) else { return };
        if !form.contains(Some(&ticked)) {
            return;
        }
        let boxes = boxes(form);
        if ticked.has_attribute("data-select-all") {
            boxes.iter().for_each(|each| each.set_checked(ticked.checked()));
        } else if let Some(index) = boxes.iter().position(|each| *each == ticked) {
            if let Some(from) = last.get().filter(|_| event.shift_key()) {
                let range = from.min(index)..=from.max(index);
                boxes.get(range).into_iter().flatten().for_each(|each| each.set_checked(ticked.checked()));
            }
            last.set(Some(index));
        }
        count(form);
    }

    /// Updates everything that depends on the selection.
    fn count(form: &Element) {
        let boxes = boxes(form);
        let selected = boxes.iter().filter(|each| each.checked()).count();
        for each in &boxes {
            if let Some(row) = around(each, "[data-row]") {
                row.class_list().toggle_with_force("selected", each.checked()).ok();
            }
        }
        for place in all(form, "[data-selected]") {
            say(&place, selected);
        }
        for button in all(form, "[data-retry-selected]") {
            say(&button, selected);
        }
        for button in all(form, "[data-retry-selected], [data-discard-selected]") {
            if let Some(button) = button.dyn_ref::<HtmlButtonElement>() {
                button.set_disabled(selected == 0);
            }
        }
        for all in all(form, "[data-select-all]") {
            if let Some(all) = all.dyn_ref::<HtmlInputElement>() {
                all.set_checked(selected > 0 && selected == boxes.len());
                all.set_indeterminate(selected > 0 && selected < boxes.len());
            }
        }
        all(form, "[data-if-selected]").iter().for_each(|part| reserve(part, selected > 0));
        let waiting = boxes.iter().any(|each| each.checked() && each.has_attribute("data-waiting"));
        all(form, "[data-if-waiting]").iter().for_each(|note| reserve(note, waiting));
    }

    /// Shows a part, or hides it and keeps its space: nothing may move under the pointer.
    fn reserve(part: &Element, shown: bool) {
        let _ = part.class_list().toggle_with_force("reserved", !shown);
    }

    /// Writes the text for this number: `data-none` for 0 if there is one, otherwise `data-text`.
    fn say(place: &Element, selected: usize) {
        let text = match selected {
            0 => place.get_attribute("data-none"),
            _ => None,
        };
        if let Some(text) = text.or_else(|| place.get_attribute("data-text")) {
            place.set_text_content(Some(&text.replace("{n}", &number(selected as f64))));
        }
    }
}
