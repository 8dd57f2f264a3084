//! Comfort for every page: times in the reader's zone, keys, and copy buttons. Appears once in the layout.
//!
//! - `time.when`: relative words stay current. If the server does not know the reader's zone yet, the island rewrites
//!   all times, and reports the zone to the server for the next page.
//! - `input[data-utc]` fields hold local time while they are edited and UTC when their form is sent.
//! - In `[data-all-or-some]`, ticking a box chooses "only these", and choosing "all" unticks the boxes.
//! - `[data-reveal]` shows the password of the field that it names, or hides it again.
//! - Form input outlives the end of a session: see `kept`.
//! - Screen readers announce notices about form results.
//! - `[data-copy]` copies its value, or the text of the element that `data-copy-from` names.
//! - Keys: see the dialog below. They work on `[data-row]`, `[data-open]`, `[data-retry]`, `[data-previous]` and
//!   `[data-next]`, and never while the user types.

use leptos::prelude::*;

use crate::ui::{
    components::{use_base, use_reader},
    visitor::use_visitor,
};

/// Every key, and what it does.
const KEYS: [(&str, &str); 8] = [
    ("/", "Go to the search field"),
    ("j", "Next row, or next event"),
    ("k", "Previous row, or previous event"),
    ("Enter", "Open the row"),
    ("x", "Select the row, or clear its selection"),
    ("r", "Retry the row, or the open event"),
    ("?", "Show this list of keys"),
    ("Esc", "Close the list; leave the search field"),
];

/// The keys as a list, for the dialog and for the help page.
#[component]
pub fn KeyList() -> impl IntoView {
    let account = use_base().account();
    let off = !use_reader().preferences.letter_keys;
    view! {
        <p class="inner">
            {if off { "Single-letter keys are off for you. Turn them on on " } else { "Single-letter keys can be turned off on " }}
            <a href=account>"your account page"</a> "."
        </p>
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
        {use_visitor()
            .session_idle
            .map(|seconds| {
                view! {
                    <p id="session-ends" class="notice warning floating" role="status" data-after=seconds.to_string() hidden=true>
                        "Your session ends in about 2 minutes. Save what you typed."
                    </p>
                }
            })}
        <p id="typed-again" class="notice info floating" role="status" hidden=true>
            "What you typed before your session ended is filled in again. It is not saved yet."
        </p>
        <Tools />
    }
}

/// Listens for events; shows nothing itself.
#[island]
fn Tools() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    {
        times::start();
        keys::start();
        copy::start();
        forms::start();
        kept::start();
        said::start();
        header::start();
        rows::start();
        if let Some(root) = document().document_element() {
            let _ = root.set_attribute("data-alive", "");
        }
    }
}

/// Prepares a page that was read again like a loaded one, before it is shown.
#[cfg(feature = "hydrate")]
pub fn prepare(root: &web_sys::Element) {
    times::prepare(root);
    copy::prepare(root);
}

/// Returns whether a form contains input that is not sent yet.
#[cfg(feature = "hydrate")]
pub fn is_typed_into(form: &web_sys::Element) -> bool {
    kept::is_typed_into(form)
}

/// Returns the time of day of an instant (in milliseconds) in the reader's zone, by their clock.
#[cfg(feature = "hydrate")]
pub fn time_of_day(at: f64) -> String {
    times::time_of_day(at)
}

/// Times in the reader's zone, worded as by the server.
#[cfg(feature = "hydrate")]
mod times {
    use std::{cell::RefCell, time::Duration};

    use chrono::NaiveDate;
    use js_sys::{Array, Date, Function, Intl, Object, Reflect};
    use leptos::prelude::{document, set_interval, window, window_event_listener_untyped};
    use wasm_bindgen::{JsCast, JsValue};
    use web_sys::{Element, FormData, HtmlDocument, HtmlFormElement, HtmlInputElement};

    use super::super::browser::{all, everywhere, first, target, told};
    use crate::{
        model::{Clock, preferences::present_name},
        ui::words::{self, Local},
    };

    /// How often relative words are updated.
    const EVERY: Duration = Duration::from_secs(10);
    /// Lifetime of the cookie that reports the browser's zone to the server, in seconds.
    const REMEMBERED: u32 = 180 * 24 * 3_600;

    pub fn start() {
        let Some(zone) = told("data-reader-zone").or_else(browsers_zone) else { return };
        if set_format(&zone).is_none() {
            // An old browser does not know the zone: times remain as the server wrote them.
            return;
        }
        if let Some(root) = document().document_element() {
            prepare(&root);
        }
        everywhere("input[data-utc]").iter().for_each(show_local);
        window_event_listener_untyped("formdata", |event| send_utc(&event));
        if told("data-reader-zone").is_none()
            && let Some(note) = first("#zone-note")
        {
            note.set_text_content(Some(&format!("Times are in {zone}.")));
        }
        set_interval(|| everywhere("time.when:not([data-exact])").iter().for_each(refresh), EVERY);
        // The user may have travelled: the next page is written in the browser's present zone.
        if let Some(zone) = browsers_zone() {
            remember(&zone);
        }
    }

    /// Rewrites the times below `root` if the server does not know the reader's zone.
    pub fn prepare(root: &Element) {
        let known = told("data-reader-zone");
        if known.is_none() {
            all(root, "time.when").iter().for_each(write);
        }
        if let Some(zone) = known.or_else(browsers_zone) {
            all(root, "[data-zone]").iter().for_each(|place| place.set_text_content(Some(&zone)));
        }
    }

    /// Returns the name of the browser's zone ("Asia/Kolkata").
    fn browsers_zone() -> Option<String> {
        let options = Intl::DateTimeFormat::new(&Array::new(), &Object::new()).resolved_options();
        let zone = Reflect::get(&options, &"timeZone".into()).ok()?.as_string()?;
        Some(present_name(&zone).to_owned())
    }

    /// Reports to the server, with the next request, the zone for its times.
    fn remember(zone: &str) {
        let Ok(document) = document().dyn_into::<HtmlDocument>() else { return };
        let path = told("data-base").filter(|base| !base.is_empty()).unwrap_or_else(|| "/".to_owned());
        let secure =
            if window().location().protocol().is_ok_and(|protocol| protocol == "https:") { "; Secure" } else { "" };
        let _ = document
            .set_cookie(&format!("atomfeed_zone={zone}; Path={path}; Max-Age={REMEMBERED}; SameSite=Lax{secure}"));
    }

    thread_local! {
        /// Writes a date in the reader's zone as `2026-11-29 02:56:25`. Creating the formatter is slow.
        static FORMAT: RefCell<Option<Function>> = const { RefCell::new(None) };
    }

    fn set_format(zone: &str) -> Option<()> {
        let options = Object::new();
        for (key, value) in [
            ("timeZone", zone),
            ("year", "numeric"),
            ("month", "2-digit"),
            ("day", "2-digit"),
            ("hour", "2-digit"),
            ("minute", "2-digit"),
            ("second", "2-digit"),
            ("hourCycle", "h23"),
        ] {
            let _ = Reflect::set(&options, &key.into(), &value.into());
        }
        // Called by reflection, because that returns an error where a binding would end the module.
        let intl = Reflect::get(&js_sys::global(), &"Intl".into()).ok()?;
        let constructor: Function = Reflect::get(&intl, &"DateTimeFormat".into()).ok()?.dyn_into().ok()?;
        let made = Reflect::construct(&constructor, &Array::of2(&"sv-SE".into(), &options)).ok()?;
        let format: Intl::DateTimeFormat = made.dyn_into().ok()?;
        FORMAT.with_borrow_mut(|kept| *kept = Some(format.format()));
        Some(())
    }

    /// Returns the local time of an instant in the reader's zone.
    fn local(date: &Date) -> Option<Local> {
        let text = FORMAT.with_borrow(|format| format.as_ref()?.call1(&JsValue::NULL, date).ok()?.as_string())?;
        let numbers: Vec<u32> =
            text.split(|char: char| !char.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
        let [year, month, day, hour, minute, second] = numbers[..] else { return None };
        let at = NaiveDate::from_ymd_opt(year.try_into().ok()?, month, day)?.and_hms_opt(hour, minute, second)?;
        let ahead = at.and_utc().timestamp() as f64 - (date.get_time() / 1_000.0).floor();
        Some(Local { at, offset: (ahead / 60.0).round() as i32 })
    }

    /// Falls back to the browser's zone if the browser does not know the reader's zone.
    pub fn time_of_day(at: f64) -> String {
        let date = Date::new(&at.into());
        let browsers = || NaiveDate::default().and_hms_opt(date.get_hours(), date.get_minutes(), 0);
        let shown = local(&date).or_else(|| Some(Local { at: browsers()?, offset: 0 }));
        shown.map(|local| words::time_of_day(local, clock())).unwrap_or_default()
    }

    fn clock() -> Clock {
        let word = told("data-clock").unwrap_or_default();
        Clock::ALL.into_iter().find(|clock| clock.word() == word).unwrap_or_default()
    }

    fn date_of(time: &Element) -> Option<Date> {
        let date = Date::new(&time.get_attribute("datetime")?.into());
        (!date.get_time().is_nan()).then_some(date)
    }

    fn write(time: &Element) {
        let Some(at) = date_of(time).and_then(|date| local(&date)) else { return };
        let _ = time.set_attribute("title", &words::in_full(at, clock()));
        if time.has_attribute("data-exact") {
            let Some(now) = local(&Date::new_0()) else { return };
            time.set_text_content(Some(&words::moment(at, now, clock())));
        } else {
            refresh(time);
        }
    }

    /// Updates the relative words.
    fn refresh(time: &Element) {
        let Some(at) = date_of(time).and_then(|date| local(&date)) else { return };
        let Some(now) = local(&Date::new_0()) else { return };
        let words = words::ago(at, now, clock());
        if time.text_content().as_deref() != Some(&words) {
            time.set_text_content(Some(&words));
        }
    }

    /// Converts a field of a filter form from UTC to local time.
    fn show_local(field: &Element) {
        let Some(field) = field.dyn_ref::<HtmlInputElement>() else { return };
        let value = field.value();
        let date = Date::new(&format!("{value}Z").into());
        if value.is_empty() || date.get_time().is_nan() {
            return;
        }
        let Some(Local { offset, .. }) = local(&date) else { return };
        let shifted = Date::new(&JsValue::from(date.get_time() + f64::from(offset) * 60_000.0));
        let text = String::from(shifted.to_iso_string());
        field.set_value(text.get(..value.len()).unwrap_or_default());
    }

    /// Returns the instant of a time in the reader's zone. Around a clock change the second lookup of the offset is the
    /// correct one.
    fn instant(value: &str) -> Option<Date> {
        let typed = Date::new(&format!("{value}Z").into()).get_time();
        if typed.is_nan() {
            return None;
        }
        let at = |offset: i32| Date::new(&JsValue::from(typed - f64::from(offset) * 60_000.0));
        let first = local(&at(0))?.offset;
        let second = local(&at(first))?.offset;
        Some(at(second))
    }

    /// Converts the fields of a form that is being sent from local time to UTC. A value that the browser cannot parse
    /// is sent unchanged, and the server reports what is wrong with it.
    fn send_utc(event: &web_sys::Event) {
        let Some(form) = target(event).and_then(|form| form.dyn_into::<HtmlFormElement>().ok()) else { return };
        let data = Reflect::get(event, &"formData".into()).ok().and_then(|data| data.dyn_into::<FormData>().ok());
        let Some(data) = data else { return };
        for field in all(&form, "input[data-utc]") {
            let Some(field) = field.dyn_ref::<HtmlInputElement>() else { continue };
            if let Some(date) = instant(&field.value()) {
                let _ = data.set_with_str(&field.name(), &String::from(date.to_iso_string()));
            }
        }
    }
}

/// Keyboard control.
#[cfg(feature = "hydrate")]
mod keys {
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
}

/// Forms: fields that belong together, and passwords that can be shown.
#[cfg(feature = "hydrate")]
mod forms {
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
}

/// Form input that was not sent, or was refused because the session had ended. It stays in the tab's session storage
/// while the user signs in again, and is restored to the same form of the same page. Passwords and codes are never
/// stored, nothing is restored for another user, and the next page that is not part of signing in deletes it.
#[cfg(feature = "hydrate")]
mod kept {
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
        let Some(mut kept) =
            storage.get_item(KEY).ok().flatten().and_then(|text| serde_json::from_str::<Kept>(&text).ok())
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
            let Some(field) = kept.fields.iter().find(same) else { continue };
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
            let chosen = all(element, "option[selected]")
                .into_iter()
                .next()
                .or_else(|| all(element, "option").into_iter().next());
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
}

/// Screen readers do not announce a notice that is present when a page loads: its text is copied into a live region.
#[cfg(feature = "hydrate")]
mod said {
    use std::time::Duration;

    use leptos::prelude::set_timeout;

    use super::super::browser::{everywhere, first};

    /// Screen readers announce the title first, and would drop an announcement made at the same time.
    const AFTER: Duration = Duration::from_millis(600);

    pub fn start() {
        let said: Vec<String> = everywhere("main .notice.done, main .notice.problem, main .field-problem")
            .iter()
            // Screen readers announce the focused element anyway.
            .filter(|notice| !notice.query_selector("[autofocus]").is_ok_and(|focused| focused.is_some()))
            .filter_map(|notice| notice.text_content())
            .collect();
        if said.is_empty() {
            return;
        }
        set_timeout(
            move || {
                if let Some(voice) = first("#voice") {
                    voice.set_text_content(Some(&said.join(" ")));
                }
            },
            AFTER,
        );
    }
}

/// Scrolls the tabs on a narrow screen to the tab of this page.
#[cfg(feature = "hydrate")]
mod header {
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
}

/// Returns the user to a row of a list, with the keyboard focus.
#[cfg(feature = "hydrate")]
mod rows {
    use leptos::{ev, prelude::window_event_listener};

    use super::super::browser::{announce, around, call_page, first, focus, target};

    pub fn start() {
        come_back();
        // The browser's "back" leads to this address, and so to the row.
        window_event_listener(ev::click, |event| {
            let link = target(&event).and_then(|place| around(&place, "[data-row] [data-open][id]"));
            if let Some(link) = link {
                call_page(&format!("#{}", link.id()));
            }
        });
    }

    /// A user who acted on a row or opened it returns to it, or to the row now in its place: the keyboard continues
    /// from there, and the outcome is announced.
    fn come_back() {
        let Some(link) = first("[data-row] :target [data-open], [data-row] [data-open]:target") else { return };
        focus(&link);
        if let Some(outcome) = first("[data-outcome]") {
            announce(&outcome.text_content().unwrap_or_default());
        }
    }
}
