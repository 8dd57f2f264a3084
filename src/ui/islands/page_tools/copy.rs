//! Copy buttons.

use std::time::Duration;

use js_sys::{Function, Promise, Reflect};
use leptos::{
    ev,
    prelude::{document, set_timeout, window, window_event_listener},
};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Element, HtmlDocument, HtmlTextAreaElement};

use super::super::browser::{all, around, first, focus, show, target};

/// How long a button reports that it copied.
const SAID_FOR: Duration = Duration::from_secs(2);

pub fn start() {
    // The buttons need this island, so the server renders them hidden.
    if let Some(root) = document().document_element() {
        prepare(&root);
    }
    window_event_listener(ev::click, |event| {
        let Some(button) = target(&event).and_then(|place| around(&place, "[data-copy]")) else { return };
        let text = match button.get_attribute("data-copy-from") {
            Some(id) => document().get_element_by_id(&id).and_then(|from| from.text_content()),
            None => button.get_attribute("data-copy"),
        };
        if let Some(text) = text {
            leptos::task::spawn_local(async move {
                if write(&text).await || write_the_old_way(&text, &button) {
                    say_done(&button);
                }
            });
        }
    });
}

pub fn prepare(root: &Element) {
    all(root, "[data-copy]").iter().for_each(|button| show(button, true));
}

/// Copies through the clipboard API, which browsers offer on HTTPS and on localhost only.
async fn write(text: &str) -> bool {
    let clipboard = Reflect::get(&window().navigator(), &"clipboard".into()).unwrap_or(JsValue::UNDEFINED);
    let Ok(write) = Reflect::get(&clipboard, &"writeText".into()) else { return false };
    let Some(write) = write.dyn_ref::<Function>() else { return false };
    let promise = write.call1(&clipboard, &text.into()).ok().and_then(|made| made.dyn_into::<Promise>().ok());
    match promise {
        Some(promise) => JsFuture::from(promise).await.is_ok(),
        None => false,
    }
}

/// On plain HTTP, as hospitals serve the console, a selected text field and `execCommand` still copy.
fn write_the_old_way(text: &str, button: &Element) -> bool {
    let document = document();
    let field = document.create_element("textarea").ok().and_then(|it| it.dyn_into::<HtmlTextAreaElement>().ok());
    let (Some(field), Some(body)) = (field, document.body()) else { return false };
    field.set_value(text);
    field.set_class_name("unseen");
    if body.append_child(&field).is_err() {
        return false;
    }
    field.select();
    let done = document.dyn_into::<HtmlDocument>().is_ok_and(|page| page.exec_command("copy").unwrap_or(false));
    field.remove();
    focus(button);
    done
}

/// Reports success on the button and to screen readers, for a moment.
fn say_done(button: &Element) {
    let Some(done) = button.get_attribute("data-done") else { return };
    let before = button.text_content();
    if before.as_deref() == Some(&done) {
        return;
    }
    button.set_text_content(Some(&done));
    if let Some(voice) = first("#voice") {
        voice.set_text_content(Some(&done));
    }
    let button = button.clone();
    set_timeout(move || button.set_text_content(before.as_deref()), SAID_FOR);
}
