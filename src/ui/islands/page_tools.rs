//! Comfort for every page: times in the reader's zone, keys, and copy buttons. Stands once in the layout.
//!
//! - `time.when` gets the reader's zone in its `title` (and in its text with `data-exact`); relative words stay true.
//! - `input[data-utc]` fields hold local time while they are edited and UTC when their form is sent.
//! - `data.number` gets the separators of the reader's language.
//! - `[data-copy]` copies its value, or the text of the element that `data-copy-from` names.
//! - Keys: see the dialog below. They work on `[data-row]`, `[data-open]`, `[data-retry]`, `[data-previous]` and
//!   `[data-next]`, and never while a person types.

use leptos::prelude::*;

/// Every key, and what it does.
const KEYS: [(&str, &str); 8] = [
    ("/", "Go to the search field"),
    ("j", "Next row of the list; on a failed event: the next one"),
    ("k", "Row before; on a failed event: the one before"),
    ("Enter", "Open the row"),
    ("x", "Select the row, or take it out of the selection"),
    ("r", "Retry the row, or the failed event that is open"),
    ("?", "This list of keys, on any page"),
    ("Esc", "Close it; leave the search field"),
];

/// The keys as a list, for the dialog and for the help page.
#[component]
pub fn KeyList() -> impl IntoView {
    view! {
        <dl class="facts inner">
            {KEYS
                .map(|(key, what)| {
                    view! {
                        <dt>
                            <kbd>{key}</kbd>
                        </dt>
                        <dd>{what}</dd>
                    }
                })
                .collect_view()}
        </dl>
    }
}

/// The dialog of keys, and the island that listens for them.
#[component]
pub fn PageTools() -> impl IntoView {
    view! {
        <dialog id="keys" class="sheet keys" aria-labelledby="keys-title">
            <header>
                <h2 id="keys-title">"Keys"</h2>
            </header>
            <KeyList />
            <form method="dialog" class="pad">
                <button type="submit">"Close"</button>
            </form>
        </dialog>
        <p id="voice" class="unseen" role="status"></p>
        <Tools />
    }
}

/// Listens; shows nothing itself.
#[island]
fn Tools() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    {
        times::start();
        keys::start();
        copy::start();
    }
}

/// Times and numbers as the reader's browser writes them.
#[cfg(feature = "hydrate")]
mod times {
    use std::time::Duration;

    use js_sys::{Date, Intl, Object, Reflect};
    use leptos::prelude::{set_interval, window_event_listener_untyped};
    use wasm_bindgen::{JsCast, JsValue};
    use web_sys::{Element, FormData, HtmlFormElement, HtmlInputElement};

    use super::super::{
        browser::{all, everywhere, first, language, number, target},
        live::REPLACED,
    };
    use crate::ui::words;

    /// How often relative words are brought up to date.
    const EVERY: Duration = Duration::from_secs(10);
    /// Older than this, a date says more than a number of days. The same as [`words::ago`].
    const DAYS_IN_WORDS: f64 = 60.0;
    /// Up to here a browser's numbers are exact.
    const EXACT: f64 = 9_007_199_254_740_991.0;

    pub fn start() {
        everywhere("time.when").iter().for_each(localise);
        everywhere("data.number").iter().for_each(separate);
        if let Some(zone) = zone() {
            everywhere("[data-zone]").iter().for_each(|place| place.set_text_content(Some(&zone)));
            if let Some(note) = first("#zone-note") {
                note.set_text_content(Some(&format!("Times are in {zone}.")));
            }
            everywhere("input[data-utc]").iter().for_each(show_local);
            window_event_listener_untyped("formdata", |event| send_utc(&event));
        }
        window_event_listener_untyped(REPLACED, |_| {
            everywhere("[data-live] time.when").iter().for_each(localise);
            everywhere("[data-live] data.number").iter().for_each(separate);
        });
        set_interval(|| everywhere("time.when:not([data-exact])").iter().for_each(refresh), EVERY);
    }

    /// The name of the reader's zone ("Asia/Kolkata").
    fn zone() -> Option<String> {
        let options = Intl::DateTimeFormat::new(&js_sys::Array::new(), &Object::new()).resolved_options();
        Reflect::get(&options, &"timeZone".into()).ok()?.as_string()
    }

    fn date_of(time: &Element) -> Option<Date> {
        let date = Date::new(&time.get_attribute("datetime")?.into());
        (!date.get_time().is_nan()).then_some(date)
    }

    /// An instant in full, in the reader's zone and language.
    fn full(date: &Date) -> String {
        let options = Object::new();
        for (key, value) in [
            ("weekday", "short"),
            ("year", "numeric"),
            ("month", "short"),
            ("day", "numeric"),
            ("hour", "2-digit"),
            ("minute", "2-digit"),
            ("second", "2-digit"),
            ("timeZoneName", "short"),
        ] {
            let _ = Reflect::set(&options, &key.into(), &value.into());
        }
        date.to_locale_string(&language(), &options).into()
    }

    fn localise(time: &Element) {
        let Some(date) = date_of(time) else { return };
        let full = full(&date);
        if time.has_attribute("data-exact") {
            time.set_text_content(Some(&full));
        }
        let _ = time.set_attribute("title", &full);
        refresh(time);
    }

    /// Keeps the relative words true. Dates stay as they are: they do not age.
    fn refresh(time: &Element) {
        if time.has_attribute("data-exact") {
            return;
        }
        let Some(date) = date_of(time) else { return };
        let seconds = ((Date::now() - date.get_time()) / 1_000.0).round();
        if seconds.abs() > DAYS_IN_WORDS * 86_400.0 {
            return;
        }
        let words = match seconds {
            0.0 => "just now".to_owned(),
            past if past > 0.0 => format!("{} ago", words::span(past as u64)),
            future => format!("in {}", words::span(-future as u64)),
        };
        time.set_text_content(Some(&words));
    }

    fn separate(place: &Element) {
        let value = place.get_attribute("value").map_or(f64::NAN, |text| js_sys::Number::parse_float(&text));
        if value.abs() <= EXACT {
            place.set_text_content(Some(&number(value)));
        }
    }

    /// A field of the filter form, from UTC to local time.
    fn show_local(field: &Element) {
        let Some(field) = field.dyn_ref::<HtmlInputElement>() else { return };
        let value = field.value();
        if value.is_empty() {
            return;
        }
        let date = Date::new(&format!("{value}Z").into());
        let local = Date::new(&JsValue::from(date.get_time() - date.get_timezone_offset() * 60_000.0));
        if !local.get_time().is_nan() {
            let text = String::from(local.to_iso_string());
            field.set_value(text.get(..value.len()).unwrap_or_default());
        }
    }

    /// The fields of a form that is being sent, from local time to UTC. What the browser cannot read goes as it stands,
    /// and the server says what is wrong with it.
    fn send_utc(event: &web_sys::Event) {
        let Some(form) = target(event).and_then(|form| form.dyn_into::<HtmlFormElement>().ok()) else { return };
        let data = Reflect::get(event, &"formData".into()).ok().and_then(|data| data.dyn_into::<FormData>().ok());
        let Some(data) = data else { return };
        for field in all(&form, "input[data-utc]") {
            let Some(field) = field.dyn_ref::<HtmlInputElement>() else { continue };
            let date = Date::new(&field.value().into());
            if !date.get_time().is_nan() {
                let _ = data.set_with_str(&field.name(), &String::from(date.to_iso_string()));
            }
        }
    }
}

/// Everything by keyboard.
#[cfg(feature = "hydrate")]
mod keys {
    use leptos::{ev, prelude::window_event_listener};
    use wasm_bindgen::JsCast;
    use web_sys::{Element, HtmlDialogElement, HtmlInputElement, KeyboardEvent};

    use super::super::browser::{around, click, everywhere, first, focus, target};

    pub fn start() {
        window_event_listener(ev::keydown, |event| {
            if pressed(&event) {
                event.prevent_default();
            }
        });
    }

    /// Does what the key asks for; whether it did anything.
    fn pressed(event: &KeyboardEvent) -> bool {
        if event.ctrl_key() || event.alt_key() || event.meta_key() || event.is_composing() {
            return false;
        }
        let place = target(event);
        if let Some(field) = place.as_ref().filter(|place| types(place)) {
            // In a field every key is text, but for the way out of the search field.
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
            "/" => first("form[role=search] input").is_some_and(|field| {
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

    /// Whether a person types into this element. A box to tick is no such field.
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

    /// To the next row or the row before; where the page is no list, to the next or previous failed event.
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
}

/// Copy buttons.
#[cfg(feature = "hydrate")]
mod copy {
    use std::time::Duration;

    use js_sys::{Function, Promise, Reflect};
    use leptos::{
        ev,
        prelude::{document, set_timeout, window, window_event_listener},
    };
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{Element, HtmlDocument, HtmlTextAreaElement};

    use super::super::browser::{around, everywhere, first, focus, show, target};

    /// How long a button says that it copied.
    const SAID_FOR: Duration = Duration::from_secs(2);

    pub fn start() {
        // Without this island the buttons would do nothing, so the server leaves them out of sight.
        everywhere("[data-copy]").iter().for_each(|button| show(button, true));
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

    /// The clipboard of today, which browsers offer on HTTPS and on localhost only.
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

    /// Hospitals serve the console on plain HTTP: there a selected text field and `execCommand` still copy.
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

    /// Says so on the button, and to screen readers, for a moment.
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
}
