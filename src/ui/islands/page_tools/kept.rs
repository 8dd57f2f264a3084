//! Form input that was not sent, or was refused because the session had ended. It stays in the tab's session storage
//! while the user signs in again, and is restored to the same form of the same page. Passwords and codes are never
//! stored, nothing is restored for another user, and the next page that is not part of signing in deletes it.

use std::time::Duration;

use leptos::prelude::{set_timeout, window, window_event_listener_untyped};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement, Storage};

use super::super::browser::{all, around, everywhere, first, show};

const KEY: &str = "atomfeed.typed";
/// Seconds before the end of a session at which the user is warned.
const BEFORE: u64 = 120;
/// Maximum length of the stored input, in bytes.
const MOST: usize = 100_000;

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Path of the form's page.
    path: String,
    who: String,
    /// The sign-in page was shown in between.
    signed_in_again: bool,
    fields: Vec<Field>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Field {
    /// Where its form is sent, and what distinguishes it from other forms sent there.
    form: String,
    name: String,
    /// For a check box or radio button: the value that identifies it in its group.
    value: String,
    chosen: Option<bool>,
}

pub fn start() {
    put_back();
    window_event_listener_untyped("pagehide", |_| keep());
    warn_in_time();
}

/// Warns that the session ends soon, if unsent input must be sent before.
fn warn_in_time() {
    let Some(said) = first("#session-ends") else { return };
    let after = said.get_attribute("data-after").and_then(|seconds| seconds.parse::<u64>().ok());
    let Some(after) = after.map(|seconds| seconds.saturating_sub(BEFORE)).filter(|seconds| *seconds > 0) else {
        return;
    };
    set_timeout(
        move || {
            if fields().iter().any(is_changed) {
                show(&said, true);
            }
        },
        Duration::from_secs(after),
    );
}

fn storage() -> Option<Storage> {
    window().session_storage().ok().flatten()
}

fn path() -> String {
    window().location().pathname().unwrap_or_default()
}

fn who() -> String {
    first("[data-who]").and_then(|who| who.get_attribute("data-who")).unwrap_or_default()
}

/// Returns whether this is a page of signing in: stored input waits.
fn signs_in() -> bool {
    first("main form[action*='/api/sign_in']").is_some()
}

fn put_back() {
    let Some(storage) = storage() else { return };
    let Some(mut kept) = storage.get_item(KEY).ok().flatten().and_then(|text| serde_json::from_str::<Kept>(&text).ok())
    else {
        return;
    };
    if signs_in() {
        kept.signed_in_again = true;
        if let Ok(text) = serde_json::to_string(&kept) {
            let _ = storage.set_item(KEY, &text);
        }
        return;
    }
    let _ = storage.remove_item(KEY);
    if !kept.signed_in_again || kept.who != who() || kept.path != path() {
        return;
    }
    let mut any = false;
    for element in fields() {
        let Some(now) = read(&element) else { continue };
        let same = |field: &&Field| {
            field.form == now.form && field.name == now.name && (now.chosen.is_none() || field.value == now.value)
        };
        // The server may have restored it already.
        let Some(field) = kept.fields.iter().find(same).filter(|field| **field != now) else { continue };
        any = true;
        write(&element, field);
        let mut around_it = around(&element, "details");
        while let Some(details) = around_it {
            let _ = details.set_attribute("open", "");
            around_it = details.parent_element().and_then(|parent| around(&parent, "details"));
        }
    }
    if let Some(said) = first("#typed-again").filter(|_| any) {
        show(&said, true);
    }
}

fn keep() {
    let Some(storage) = storage() else { return };
    if signs_in() {
        return;
    }
    let fields: Vec<Field> = fields().iter().filter(|element| is_changed(element)).filter_map(read).collect();
    let length: usize = fields.iter().map(|field| field.value.len()).sum();
    if fields.is_empty() || length > MOST {
        let _ = storage.remove_item(KEY);
        return;
    }
    let kept = Kept { path: path(), who: who(), signed_in_again: false, fields };
    if let Ok(text) = serde_json::to_string(&kept) {
        let _ = storage.set_item(KEY, &text);
    }
}

/// Returns the fields of forms that change something.
fn fields() -> Vec<Element> {
    let posted = everywhere("main form[method=post]");
    posted.iter().flat_map(|form| all(form, "input[name], textarea[name], select[name]")).filter(is_kept).collect()
}

/// Returns whether any of a form's fields differs from what the server wrote.
pub fn is_typed_into(form: &Element) -> bool {
    all(form, "input[name], textarea[name], select[name]").iter().filter(|field| is_kept(field)).any(is_changed)
}

fn is_kept(element: &Element) -> bool {
    let Some(input) = element.dyn_ref::<HtmlInputElement>() else { return true };
    // A code field is a text field to the browser, and so is a password that is shown at this moment.
    let secret = input.name() == "code" || input.autocomplete().contains("password");
    matches!(input.type_().as_str(), "text" | "search" | "number" | "checkbox" | "radio") && !secret
}

fn read(element: &Element) -> Option<Field> {
    let form = around(element, "form")?;
    let hidden = all(&form, "input[type=hidden]");
    let told = hidden.iter().filter_map(|input| input.dyn_ref::<HtmlInputElement>());
    let told = told.filter(|input| matches!(input.name().as_str(), "name" | "fault" | "id"));
    let told: String = told.map(|input| format!(" {}", input.value())).collect();
    let form = format!("{}{told}", form.get_attribute("action")?);
    let (name, value, chosen) = if let Some(input) = element.dyn_ref::<HtmlInputElement>() {
        let boxed = matches!(input.type_().as_str(), "checkbox" | "radio");
        (input.name(), input.value(), boxed.then(|| input.checked()))
    } else if let Some(area) = element.dyn_ref::<HtmlTextAreaElement>() {
        (area.name(), area.value(), None)
    } else {
        let select = element.dyn_ref::<HtmlSelectElement>()?;
        (select.name(), select.value(), None)
    };
    Some(Field { form, name, value, chosen })
}

/// Returns whether the field differs from what the server wrote.
fn is_changed(element: &Element) -> bool {
    if let Some(input) = element.dyn_ref::<HtmlInputElement>() {
        match input.type_().as_str() {
            "checkbox" | "radio" => input.checked() != input.default_checked(),
            _ => input.value() != input.default_value(),
        }
    } else if let Some(area) = element.dyn_ref::<HtmlTextAreaElement>() {
        area.default_value().is_ok_and(|before| before != area.value())
    } else {
        let chosen =
            all(element, "option[selected]").into_iter().next().or_else(|| all(element, "option").into_iter().next());
        let before = chosen.and_then(|option| option.get_attribute("value"));
        element.dyn_ref::<HtmlSelectElement>().is_some_and(|select| before.as_deref() != Some(&select.value()))
    }
}

fn write(element: &Element, field: &Field) {
    if let Some(input) = element.dyn_ref::<HtmlInputElement>() {
        match field.chosen {
            Some(chosen) => input.set_checked(chosen),
            None => input.set_value(&field.value),
        }
    } else if let Some(area) = element.dyn_ref::<HtmlTextAreaElement>() {
        area.set_value(&field.value);
    } else if let Some(select) = element.dyn_ref::<HtmlSelectElement>() {
        select.set_value(&field.value);
    }
}
