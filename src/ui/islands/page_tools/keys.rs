//! Keyboard control.

use leptos::{ev, prelude::window_event_listener};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlDialogElement, HtmlInputElement, KeyboardEvent};

use super::super::browser::{around, click, everywhere, first, focus, target, told};

pub fn start() {
    if told("data-keys").as_deref() == Some("off") {
        return;
    }
    window_event_listener(ev::keydown, |event| {
        if pressed(&event) {
            event.prevent_default();
        }
    });
}

/// Executes a key's action; returns whether there was one.
fn pressed(event: &KeyboardEvent) -> bool {
    if event.ctrl_key() || event.alt_key() || event.meta_key() || event.is_composing() {
        return false;
    }
    let place = target(event);
    if let Some(field) = place.as_ref().filter(|place| types(place)) {
        // In a field every key is text, except Escape, which leaves the search field.
        let leaves = event.key() == "Escape" && field.get_attribute("type").as_deref() == Some("search");
        if leaves && let Some(field) = field.dyn_ref::<web_sys::HtmlElement>() {
            let _ = field.blur();
        }
        return leaves;
    }
    if place.as_ref().is_some_and(|place| around(place, "dialog").is_some()) {
        return false;
    }
    match event.key().as_str() {
        "/" => first("form[role=search] input[type=search]").is_some_and(|field| {
            focus(&field);
            if let Some(field) = field.dyn_ref::<HtmlInputElement>() {
                field.select();
            }
            true
        }),
        "?" => open_help(),
        "j" => step(place, true),
        "k" => step(place, false),
        "x" => row(place).is_some_and(|row| press(&row, "input[type=checkbox]")),
        "r" => match row(place) {
            Some(row) => press(&row, "[data-retry]"),
            None => press_first("main [data-retry-main]"),
        },
        _ => false,
    }
}

/// Returns whether the element accepts typed text. A check box does not.
fn types(place: &Element) -> bool {
    match place.tag_name().as_str() {
        "TEXTAREA" | "SELECT" => true,
        "INPUT" => !matches!(place.get_attribute("type").as_deref(), Some("checkbox" | "radio" | "button")),
        _ => false,
    }
}

fn row(place: Option<Element>) -> Option<Element> {
    place.and_then(|place| around(&place, "[data-row]"))
}

/// Moves to the next or previous row; on a page without a list, to the next or previous failed event.
fn step(place: Option<Element>, forward: bool) -> bool {
    let rows = everywhere("[data-row]");
    if rows.is_empty() {
        return press_first(if forward { "[data-next]" } else { "[data-previous]" });
    }
    let here = row(place).and_then(|row| rows.iter().position(|other| *other == row));
    let there = match (here, forward) {
        (None, true) => Some(0),
        (None, false) => rows.len().checked_sub(1),
        (Some(index), true) => Some(index + 1),
        (Some(index), false) => index.checked_sub(1),
    };
    let link = there.and_then(|index| rows.get(index)?.query_selector("[data-open]").ok()?);
    link.inspect(focus).is_some()
}

fn press(row: &Element, selector: &str) -> bool {
    let Ok(Some(part)) = row.query_selector(selector) else { return false };
    click(&part);
    true
}

fn press_first(selector: &str) -> bool {
    first(selector).inspect(click).is_some()
}

fn open_help() -> bool {
    let dialog = first("dialog#keys").and_then(|dialog| dialog.dyn_into::<HtmlDialogElement>().ok());
    dialog.is_some_and(|dialog| dialog.open() || dialog.show_modal().is_ok())
}
