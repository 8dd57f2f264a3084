//! Updates the page in place to the state that the server now renders: equal parts remain, with focus, selected text,
//! unfolded details and typed input; different parts are changed where they are.
//!
//! - Parts are equal by `id`, `data-key`, the address of a row's or an item's first link, or by tag and first class.
//! - `[data-keep]` remains unchanged, and so does what other islands write. `[data-keep-typed]` is a form that remains
//!   while it contains unsent input, with its hidden fields: they say what the writer has seen.
//! - `[data-stays]` is a message shown once, and is not removed.
//! - The items of `[data-steady]` keep their places while the pointer or the focus is among them: new ones are added at
//!   its end, removed ones are marked, and nothing above it is inserted or removed. Updates held back this way: see
//!   [`is_owed`].
//! - Rows of a list (`[data-row]`) keep their places: new ones are announced by [`super::Fresh`], and rows that are not
//!   in the list any more are marked with the text of `data-ended` on their table.

use std::cell::Cell;

use js_sys::Date;
use leptos::prelude::{document, window, window_event_listener_untyped};
use wasm_bindgen::JsCast;
use web_sys::{Document, Element, FocusOptions, HtmlElement, HtmlFormElement, Node};

use super::{
    align::{align, ended},
    browser::{all, everywhere, first},
    page_tools,
};

/// A user who has not moved the pointer or pressed a key for this time is not aiming at anything any more, in
/// milliseconds.
const AIMS: f64 = 60_000.0;

thread_local! {
    /// When the pointer was last moved or a key last pressed.
    static AIMED: Cell<f64> = const { Cell::new(0.0) };
    /// The page differs from the state that was read last.
    static OWED: Cell<bool> = const { Cell::new(false) };
}

/// Tracks when the user last aimed at something.
pub fn start() {
    for event in ["pointermove", "pointerdown", "keydown", "wheel"] {
        window_event_listener_untyped(event, |_| AIMED.set(Date::now()));
    }
}

/// Returns whether held-back updates can be shown now: the page must be read again.
pub fn is_owed() -> bool {
    OWED.get() && held().is_empty()
}

/// Returns the elements whose items must keep their places now.
fn held() -> Vec<Element> {
    if Date::now() - AIMED.get() > AIMS {
        return Vec::new();
    }
    everywhere("main [data-steady]:hover, main [data-steady]:focus-within")
}

/// Parts that islands write to, or that are not updated.
const KEPT: &str = "[data-keep], [data-news], [data-select-all], [data-selected], [data-retry-selected], \
                    [data-discard-selected], [data-if-waiting]";

/// Updates the page's main part to that of `page`. The focus remains, or moves to the replacement of its element.
pub fn bring(page: &Document) {
    let (Some(main), Ok(Some(new))) = (first("main"), page.query_selector("main")) else { return };
    if document().title() != page.title() {
        document().set_title(&page.title());
    }
    OWED.set(false);
    let focused = document().active_element().filter(|active| main.contains(Some(active)));
    let again = focused.as_ref().map(how_to_find);
    if is_list(&main) && !is_list(&new) {
        // All rows of the list have ended: it remains readable until the page is loaded again.
        all(&main, "[data-row]").iter().for_each(end_row);
        if let (Some(heading), Ok(Some(now))) = (first("main h1"), new.query_selector("h1")) {
            element(&heading, &now);
        }
    } else {
        element(&main, &new);
    }
    if focused.is_some_and(|focused| !main.contains(Some(&focused))) {
        let found = again.into_iter().flatten().find_map(|selector| main.query_selector(&selector).ok().flatten());
        focus_where_it_is(&found.unwrap_or(main));
    }
}

fn is_list(root: &Element) -> bool {
    root.query_selector("[data-row]").is_ok_and(|found| found.is_some())
}

/// Moves the focus without scrolling.
fn focus_where_it_is(element: &Element) {
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        let options = FocusOptions::new();
        options.set_prevent_scroll(true);
        let _ = element.focus_with_options(&options);
    }
}

/// Returns selectors that find the replacement of an element.
fn how_to_find(element: &Element) -> Vec<String> {
    let named = |name: &str| {
        let value = element.get_attribute(name)?;
        Some(format!("{}[{name}=\"{}\"]", element.tag_name(), value.replace('\\', "\\\\").replace('"', "\\\"")))
    };
    ["id", "href", "value", "name"].into_iter().filter_map(named).collect()
}

fn element(old: &Element, new: &Element) {
    if old.is_equal_node(Some(new)) || matches(old, KEPT) && matches(new, KEPT) {
        return;
    }
    let form = old.dyn_ref::<HtmlFormElement>().filter(|form| form.has_attribute("data-keep-typed"));
    if form.is_some_and(|form| page_tools::is_typed_into(form)) {
        return;
    }
    attributes(old, new);
    if is_rows(old) {
        rows(old, new);
    } else {
        children(old, new);
    }
    if let Some(form) = form {
        // Otherwise a field whose input was undone would keep its old text.
        form.reset();
    }
}

fn matches(element: &Element, selector: &str) -> bool {
    element.matches(selector).unwrap_or_default()
}

/// Typed or ticked input is not an attribute and remains; the unfolded state is one and is kept here.
fn attributes(old: &Element, new: &Element) {
    let unfolds = |name: &str| name == "open" && matches!(old.tag_name().as_str(), "DETAILS" | "DIALOG");
    let names = |element: &Element| -> Vec<String> {
        element.get_attribute_names().iter().filter_map(|name| name.as_string()).collect()
    };
    for name in names(old).iter().filter(|name| !new.has_attribute(name) && !unfolds(name)) {
        let _ = old.remove_attribute(name);
    }
    for name in names(new).iter().filter(|name| !unfolds(name)) {
        let value = new.get_attribute(name);
        if let Some(value) = value.filter(|value| old.get_attribute(name).as_ref() != Some(value)) {
            let _ = old.set_attribute(name, &value);
        }
    }
}

fn nodes_of(element: &Element) -> Vec<Node> {
    let nodes = element.child_nodes();
    (0..nodes.length()).filter_map(|place| nodes.get(place)).collect()
}

fn children(old: &Element, new: &Element) {
    let (before, after) = (nodes_of(old), nodes_of(new));
    let held = held();
    if old.has_attribute("data-steady") && !held.is_empty() {
        return in_their_places(old, new, &held);
    }
    // Nothing above held elements is inserted or removed.
    let guarded = held.iter().filter_map(|held| before.iter().position(|node| node.contains(Some(held)))).max();
    let is_guarded = |place: usize| guarded.is_some_and(|guarded| place <= guarded);
    let signatures = |nodes: &[Node]| nodes.iter().map(signature).collect::<Vec<_>>();
    let stays = align(&signatures(&before), &signatures(&after));
    let mut next = 0;
    for (node, place) in after.iter().zip(stays) {
        match place.and_then(|place| Some((place, before.get(place)?))) {
            Some((place, kept)) => {
                (next..place).for_each(|gone| {
                    if is_guarded(gone) {
                        OWED.set(true);
                    } else if let Some(node) = before.get(gone) {
                        remove(old, node);
                    }
                });
                next = place + 1;
                one(kept, node);
            }
            None if is_guarded(next) => OWED.set(true),
            None => {
                if let Ok(node) = document().adopt_node(node) {
                    let _ = old.insert_before(&node, before.get(next));
                }
            }
        }
    }
    before.iter().enumerate().skip(next).for_each(|(place, node)| {
        if is_guarded(place) {
            OWED.set(true);
        } else {
            remove(old, node);
        }
    });
}

/// Updates the items of a list in their places. New ones are added at its end, unless they would move held elements
/// further down.
fn in_their_places(old: &Element, new: &Element, held: &[Element]) {
    let (before, after) = (items(old), items(new));
    let keys = |items: &[Element]| items.iter().map(|item| key(item).unwrap_or_default()).collect::<Vec<_>>();
    let (before_keys, after_keys) = (keys(&before), keys(&after));
    if before_keys != after_keys {
        OWED.set(true);
    }
    for (item, key) in before.iter().zip(&before_keys) {
        match after_keys.iter().position(|other| other == key).and_then(|place| after.get(place)) {
            Some(now) => element(item, now),
            None => end_row(item),
        }
    }
    let is_above =
        |held: &Element| held != old && held.compare_document_position(old) & Node::DOCUMENT_POSITION_PRECEDING != 0;
    if held.iter().any(is_above) {
        return;
    }
    for (item, key) in after.iter().zip(&after_keys) {
        if !before_keys.contains(key)
            && let Ok(item) = document().adopt_node(item)
        {
            let _ = old.append_child(&item);
        }
    }
}

fn items(element: &Element) -> Vec<Element> {
    nodes_of(element).into_iter().filter_map(|node| node.dyn_into().ok()).collect()
}

fn remove(parent: &Element, node: &Node) {
    if node.dyn_ref::<Element>().is_some_and(|element| element.has_attribute("data-stays")) {
        return;
    }
    let _ = parent.remove_child(node);
}

/// Updates one remaining node of any kind.
fn one(old: &Node, new: &Node) {
    match (old.dyn_ref::<Element>(), new.dyn_ref::<Element>()) {
        (Some(old), Some(new)) => element(old, new),
        _ if old.node_value() != new.node_value() && !is_marked(old) => old.set_node_value(new.node_value().as_deref()),
        _ => {}
    }
}

/// Returns whether the user has selected this text, to copy it.
fn is_marked(node: &Node) -> bool {
    let marked = window().get_selection().ok().flatten().filter(|marked| !marked.is_collapsed());
    marked.is_some_and(|marked| marked.contains_node_with_allow_partial_containment(node, true).unwrap_or_default())
}

/// Returns what distinguishes a node from its neighbours.
fn signature(node: &Node) -> String {
    let Some(element) = node.dyn_ref::<Element>() else { return node.node_name() };
    let class = element.get_attribute("class").unwrap_or_default();
    let class = class.split_ascii_whitespace().next().unwrap_or_default();
    let labelled = element.get_attribute("aria-labelledby").or_else(|| element.get_attribute("name"));
    format!("{}.{class}#{}#{}", element.tag_name(), key(element).unwrap_or_default(), labelled.unwrap_or_default())
}

/// Returns the key of an element; for a row or list item without a name, the address of its first link.
fn key(element: &Element) -> Option<String> {
    let named = ["id", "data-key"].into_iter().find_map(|name| element.get_attribute(name));
    named.or_else(|| {
        let linked = matches!(element.tag_name().as_str(), "TR" | "LI").then(|| element.query_selector("a[href]"));
        let address = linked?.ok()??.get_attribute("href")?;
        Some(address.split('?').next().unwrap_or_default().to_owned())
    })
}

fn is_rows(element: &Element) -> bool {
    let row = element.first_element_child();
    element.tag_name() == "TBODY" && row.is_some_and(|row| row.has_attribute("data-row"))
}

fn rows(old: &Element, new: &Element) {
    let (before, after) = (items(old), items(new));
    let keys = |rows: &[Element]| rows.iter().map(|row| key(row).unwrap_or_default()).collect::<Vec<_>>();
    let (before_keys, after_keys) = (keys(&before), keys(&after));
    for (row, key) in before.iter().zip(&before_keys) {
        if let Some(now) = after_keys.iter().position(|other| other == key).and_then(|place| after.get(place)) {
            element(row, now);
        }
    }
    ended(&before_keys, &after_keys).into_iter().filter_map(|place| before.get(place)).for_each(end_row);
}

/// Marks a row that is not in the list any more. It keeps its place, and its controls are disabled.
fn end_row(row: &Element) {
    if row.class_list().contains("ended") {
        return;
    }
    let _ = row.class_list().add_1("ended");
    for control in all(row, "input, button") {
        let _ = control.set_attribute("disabled", "");
        if let Some(ticked) = control.dyn_ref::<web_sys::HtmlInputElement>() {
            ticked.set_checked(false);
        }
    }
    let words = row.closest("table").ok().flatten().and_then(|table| table.get_attribute("data-ended"));
    let place = row.query_selector("[data-open]").ok().flatten().and_then(|link| link.parent_element());
    if let (Some(words), Some(place), Ok(note)) = (words, place, document().create_element("span")) {
        note.set_class_name("small muted block");
        note.set_text_content(Some(&words));
        let _ = place.append_child(&note);
    }
}
