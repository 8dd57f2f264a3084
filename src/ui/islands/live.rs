//! Keeps an open page up to date. The server reports only *that* something changed; the page is then fetched again like
//! a reload, and its main part is updated in place (the module `morph`). So an open page and a reloaded one cannot
//! differ, and this module contains no texts.
//!
//! - A page with `[data-live]` or `[data-news]` follows changes; with `data-live-app` only those of that application.
//!   `[data-again]` makes the page reload itself every given number of seconds.
//! - It is read at most every two seconds, and only while it is visible.
//! - A hidden page closes its stream, because a browser keeps only six connections to one server. It is read again when
//!   it becomes visible.
//! - A stream that is lost, or silent for longer than the interval of its signs of life, is reported with the time at
//!   which the page stopped, and reopened after a growing pause. The same holds for a page whose stream works but that
//!   cannot be read, or is not answered in time. `body.stale` greys out what is old.
//! - Screen readers announce `[data-say]` when it changes.

use leptos::prelude::*;

/// The messages while the page cannot be updated, and the island.
#[component]
pub fn Live(
    /// The address of the stream.
    address: String,
) -> impl IntoView {
    view! {
        <p class="lost-stream" role="status" data-events=address hidden=true>
            "Connection lost. This page stopped at " <b data-stopped=""></b> ". Reconnecting…"
        </p>
        <p class="lost-stream" role="status" data-unread="" hidden=true>
            "This page cannot be updated. It stopped at " <b data-stopped=""></b> ". Trying again…"
        </p>
        <p class="lost-stream" role="status" data-signed-out="" hidden=true>
            "You are signed out. This page stopped at " <b data-stopped=""></b> ". " <a href="">"Sign in"</a>
        </p>
        <Following />
    }
}

/// Marks a page that follows changes: of all applications, or of one.
#[component]
pub fn Follows(
    #[prop(optional_no_strip)] app: Option<String>,
    /// The page changes by itself: it is read again every given number of seconds.
    #[prop(optional_no_strip)]
    again: Option<u32>,
) -> impl IntoView {
    view! { <span hidden=true data-live="" data-live-app=app data-again=again.map(|seconds| seconds.to_string())></span> }
}

/// Listens for changes; shows nothing itself.
#[island]
fn Following() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    following::start();
}

/// The window event that reports a change to the other islands.
#[cfg(feature = "hydrate")]
pub const CHANGED: &str = "console-changed";

/// The window event after the page was updated.
#[cfg(feature = "hydrate")]
pub const REPLACED: &str = "console-replaced";

#[cfg(feature = "hydrate")]
mod following {
    use std::{
        cell::{Cell, RefCell},
        rc::Rc,
        time::Duration,
    };

    use js_sys::{Date, JSON, Reflect};
    use leptos::{
        prelude::{document, set_interval, set_timeout, window, window_event_listener_untyped},
        task::spawn_local,
    };
    use wasm_bindgen::{JsCast, JsValue, closure::Closure};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{Document, DomParser, Element, Event, EventSource, MessageEvent, Response, SupportedType};

    use super::{
        super::{
            browser::{address_read_anew, all, announce, everywhere, first, forget_read_anew, show},
            morph, page_tools, selection,
        },
        CHANGED, REPLACED,
    };

    /// The first and the longest pause before a lost stream is reopened, in seconds.
    const PAUSE: u64 = 1;
    const LONGEST_PAUSE: u64 = 30;

    /// Changes within this time cause one reading, in milliseconds.
    const TOGETHER: f64 = 300.0;

    /// The shortest time between two readings, in milliseconds.
    const APART: f64 = 2_000.0;

    /// A reading is given up after this time, in milliseconds; after [`SILENT`] it is reported.
    const TOO_LONG: f64 = 20_000.0;

    /// A stream that has been silent for this time is lost, in milliseconds: two of its signs of life are missing.
    const SILENT: f64 = 8_000.0;

    /// After this number of polls without changes the page is read again, because its times have become old.
    const QUIET_LOOKS: u32 = 3;

    /// The stream of this page.
    struct Stream {
        /// The element that reports a lost stream; it carries the address.
        place: Element,
        source: RefCell<Option<EventSource>>,
        pause: Cell<u64>,
        /// When the page was last known to be current: loaded, or the stream's last sign of life.
        heard: Cell<f64>,
        /// When the stream was last opened.
        opened: Cell<f64>,
        /// The stream was lost or closed since the page was read.
        missed: Cell<bool>,
        lost: Cell<bool>,
        /// The session has ended.
        signed_out: Cell<bool>,
        /// Since when the page cannot be read, and the number of attempts.
        unread: Cell<Option<f64>>,
        tries: Cell<u32>,
        /// When the last reading began, and whether one is running or scheduled.
        read: Cell<f64>,
        reading: Cell<bool>,
        /// Something changed during the reading.
        again: Cell<bool>,
        quiet: Cell<u32>,
        /// Number of the current stream: errors of an earlier one are ignored, and a pause that ends late opens no
        /// second stream.
        round: Cell<u32>,
    }

    pub fn start() {
        forget_read_anew();
        let Some(place) = first("[data-events]") else { return };
        if everywhere("[data-live], [data-news]").is_empty() {
            return;
        }
        let stream = Rc::new(Stream {
            place,
            source: RefCell::default(),
            pause: Cell::new(PAUSE),
            heard: Cell::new(Date::now()),
            opened: Cell::new(0.0),
            missed: Cell::new(false),
            lost: Cell::new(false),
            signed_out: Cell::new(false),
            unread: Cell::new(None),
            tries: Cell::new(0),
            read: Cell::new(Date::now()),
            reading: Cell::new(false),
            again: Cell::new(false),
            quiet: Cell::new(0),
            round: Cell::new(0),
        });
        if document().hidden() {
            stream.missed.set(true);
        } else {
            open(&stream);
        }
        morph::start();
        set_interval(
            {
                let stream = stream.clone();
                move || watch(&stream)
            },
            Duration::from_secs(1),
        );
        window_event_listener_untyped("visibilitychange", move |_| {
            if document().hidden() {
                close(&stream);
                stream.missed.set(true);
            } else {
                stream.pause.set(PAUSE);
                open(&stream);
            }
        });
    }

    /// Checks every second whether the stream still sends signs of life, whether a reading is answered, and whether the
    /// page must be read again: because it could not be read, or because it changes by itself.
    fn watch(stream: &Rc<Stream>) {
        if document().hidden() {
            return;
        }
        let now = Date::now();
        if stream.source.borrow().is_some() && now - stream.heard.get().max(stream.opened.get()) > SILENT {
            lost(stream);
        }
        let waited = now - stream.read.get();
        if stream.reading.get() && waited > SILENT && stream.unread.get().is_none() {
            stream.unread.set(Some(stream.read.get()));
            tell(stream);
        }
        if stream.unread.get().is_some() && !stream.lost.get() && !stream.signed_out.get() {
            read_soon(stream);
        }
        let every = first("[data-again]").and_then(|place| place.get_attribute("data-again")?.parse::<f64>().ok());
        let by_itself = every.is_some_and(|seconds| waited >= seconds * 1_000.0) || morph::is_owed();
        if by_itself && !stream.lost.get() && !stream.signed_out.get() {
            read_soon(stream);
        }
    }

    /// Returns the pause after this number of failed attempts to read the page, in milliseconds.
    fn pause_before(tries: u32) -> f64 {
        let seconds = APART / 1_000.0 * f64::from(1_u32.checked_shl(tries.min(10)).unwrap_or(1));
        seconds.min(LONGEST_PAUSE as f64) * 1_000.0
    }

    fn close(stream: &Stream) {
        stream.round.set(stream.round.get() + 1);
        if let Some(source) = stream.source.borrow_mut().take() {
            source.close();
        }
    }

    fn open(stream: &Rc<Stream>) {
        close(stream);
        let address = stream.place.get_attribute("data-events").unwrap_or_default();
        let Ok(source) = EventSource::new(&address) else { return };
        stream.opened.set(Date::now());
        let round = stream.round.get();
        for name in ["open", "alive", "change", "look"] {
            listen(&source, name, {
                let stream = stream.clone();
                move |event| heard(&stream, name, &event)
            });
        }
        listen(&source, "error", {
            let stream = stream.clone();
            move |_| {
                if stream.round.get() == round {
                    lost(&stream);
                }
            }
        });
        *stream.source.borrow_mut() = Some(source);
    }

    fn heard(stream: &Rc<Stream>, name: &str, event: &Event) {
        stream.heard.set(Date::now());
        // An ended session gets no new stream; a stream that was open continues for a moment.
        let signed_in_again = name == "open" && stream.signed_out.replace(false);
        if stream.lost.replace(false) || signed_in_again {
            stream.pause.set(PAUSE);
            tell(stream);
        }
        if stream.missed.replace(false) {
            changed(stream, None);
        }
        match name {
            "change" => changed(stream, app_of(event)),
            "look" => {
                stream.quiet.set(stream.quiet.get() + 1);
                if stream.quiet.get() >= QUIET_LOOKS {
                    read_if_concerned(stream, app_of(event));
                }
            }
            _ => stream.pause.set(PAUSE),
        }
    }

    fn listen(source: &EventSource, name: &str, heard: impl FnMut(Event) + 'static) {
        let heard = Closure::<dyn FnMut(Event)>::new(heard);
        let _ = source.add_event_listener_with_callback(name, heard.as_ref().unchecked_ref());
        // The closure lives as long as its source, with which the browser drops it.
        heard.forget();
    }

    fn app_of(event: &Event) -> Option<String> {
        let data = event.dyn_ref::<MessageEvent>()?.data().as_string()?;
        Reflect::get(&JSON::parse(&data).ok()?, &"app".into()).ok()?.as_string()
    }

    fn lost(stream: &Rc<Stream>) {
        // The browser closes a stream at once if the response was not a stream, but not one that broke.
        let refused = stream.source.borrow().as_ref().is_some_and(|source| source.ready_state() == EventSource::CLOSED);
        close(stream);
        stream.missed.set(true);
        if !stream.lost.replace(true) {
            tell(stream);
        }
        if refused {
            tell_if_signed_out(stream.clone());
        }
        let pause = stream.pause.get();
        stream.pause.set((pause * 2).min(LONGEST_PAUSE));
        let (stream, round) = (stream.clone(), stream.round.get());
        set_timeout(
            move || {
                if stream.round.get() == round && !document().hidden() {
                    open(&stream);
                }
            },
            Duration::from_secs(pause),
        );
    }

    /// Reports why the page cannot be updated and when it stopped, and greys out what may be outdated; or withdraws the
    /// report.
    fn tell(stream: &Stream) {
        let (lost, signed_out, unread) = (stream.lost.get(), stream.signed_out.get(), stream.unread.get());
        let old = lost || signed_out || unread.is_some();
        if old {
            let clock = page_tools::time_of_day(unread.unwrap_or(f64::INFINITY).min(stream.heard.get()));
            everywhere("[data-stopped]").iter().for_each(|place| {
                // Screen readers announce only a changed text again.
                if place.text_content().as_deref() != Some(&clock) {
                    place.set_text_content(Some(&clock));
                }
            });
        }
        show(&stream.place, lost && !signed_out);
        if let Some(place) = first("[data-unread]") {
            show(&place, unread.is_some() && !lost && !signed_out);
        }
        if let Some(place) = first("[data-signed-out]") {
            show(&place, signed_out);
            // Sign-in leads back to this page at its present address.
            all(&place, "a").iter().for_each(|link| {
                let _ = link.set_attribute("href", &window().location().href().unwrap_or_default());
            });
        }
        if let Some(body) = document().body() {
            let _ = body.class_list().toggle_with_force("stale", old);
        }
    }

    /// Handles a change: in one application, or (after a gap) anywhere.
    fn changed(stream: &Rc<Stream>, app: Option<String>) {
        if let Ok(event) = Event::new(CHANGED) {
            let _ = window().dispatch_event(&event);
        }
        read_if_concerned(stream, app);
    }

    fn read_if_concerned(stream: &Rc<Stream>, app: Option<String>) {
        let concerned = everywhere("[data-live], [data-news]").iter().any(|part| {
            let of = part.get_attribute("data-live-app");
            of.is_none() || app.is_none() || of == app
        });
        if concerned {
            read_soon(stream);
        }
    }

    fn read_soon(stream: &Rc<Stream>) {
        let since = Date::now() - stream.read.get();
        // The next attempt waits for the end of its pause, whatever changes meanwhile.
        if stream.unread.get().is_some() && since < pause_before(stream.tries.get()) {
            return;
        }
        if stream.reading.get() && since < TOO_LONG {
            stream.again.set(true);
            return;
        }
        stream.reading.set(true);
        let wait = (APART - since).max(TOGETHER);
        stream.read.set(Date::now() + wait);
        let stream = stream.clone();
        set_timeout(
            move || {
                spawn_local(async move {
                    stream.again.set(false);
                    stream.quiet.set(0);
                    read(&stream).await;
                    stream.reading.set(false);
                    if stream.again.replace(false) {
                        read_soon(&stream);
                    }
                });
            },
            Duration::from_millis(wait as u64),
        );
    }

    /// Fetches this page and updates what is shown. `live` in the address: no user acts, so the server leaves out a
    /// payload and does not record it as viewed.
    async fn read(stream: &Stream) {
        let begun = Date::now();
        let answer = answered().await;
        if document().hidden() {
            return;
        }
        if answer.as_ref().is_some_and(|answer| answer.status() == 401) {
            return sign_out_shown(stream);
        }
        let page = match &answer {
            // Missing data (404) is a valid state; an error or refusal must not replace what is shown.
            Some(answer) if answer.ok() || answer.status() == 404 => page_of(answer).await,
            _ => None,
        };
        let Some(page) = page else {
            if stream.unread.get().is_none() {
                stream.unread.set(Some(begun));
            }
            stream.tries.set(stream.tries.get() + 1);
            return tell(stream);
        };
        stream.tries.set(0);
        if stream.unread.take().is_some() | stream.signed_out.replace(false) {
            tell(stream);
        }
        let said = said();
        if let Ok(Some(main)) = page.query_selector("main") {
            page_tools::prepare(&main);
        }
        morph::bring(&page);
        selection::wake();
        if let Ok(event) = Event::new(REPLACED) {
            let _ = window().dispatch_event(&event);
        }
        if self::said() != said {
            announce(&self::said());
        }
    }

    /// Returns the page of a response; `None` if it is not a page of the console, but a text, or the page of a proxy.
    async fn page_of(answer: &Response) -> Option<Document> {
        let text: JsValue = JsFuture::from(answer.text().ok()?).await.ok()?;
        let page = DomParser::new().ok()?.parse_from_string(&text.as_string()?, SupportedType::TextHtml).ok()?;
        page.query_selector("html[data-base] main").ok()??;
        Some(page)
    }

    async fn answered() -> Option<Response> {
        JsFuture::from(window().fetch_with_str(&address_read_anew()?)).await.ok()?.dyn_into().ok()
    }

    /// Returns the sentences of the page whose changes are announced.
    fn said() -> String {
        let texts = everywhere("main [data-say]").into_iter().filter_map(|place| place.text_content());
        texts.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(" ")
    }

    /// A browser does not report why a stream was refused, so the page itself is requested.
    fn tell_if_signed_out(stream: Rc<Stream>) {
        spawn_local(async move {
            if answered().await.is_some_and(|answer| answer.status() == 401) {
                sign_out_shown(&stream);
            }
        });
    }

    fn sign_out_shown(stream: &Stream) {
        stream.signed_out.set(true);
        stream.missed.set(true);
        tell(stream);
    }
}
