//! Times in the reader's zone, worded as by the server.

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
    let _ =
        document.set_cookie(&format!("atomfeed_zone={zone}; Path={path}; Max-Age={REMEMBERED}; SameSite=Lax{secure}"));
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
