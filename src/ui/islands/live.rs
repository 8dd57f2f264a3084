//! Keeps an open page up to date. The server says *that* something is different; the page is then read again as a reload
//! would, and the parts that are marked as live are put in the place of the old ones. So a live part and a reloaded one
//! cannot differ, and no words stand here.
//!
//! - `[data-live="name"]` is a part that may be replaced; with `data-live-app` only when that application is different.
//! - Lists are never replaced: [`super::Fresh`] hears of changes too, and only announces.
//! - A page that is out of sight closes its stream, because a browser keeps only six connections to one server. When it is
//!   seen again, it is read again.
//! - A lost stream is shown, and opened again after a pause that grows.

use leptos::prelude::*;

/// What is said while the stream is lost, and the island.
#[component]
pub fn Live(
    /// The address of the stream.
    address: String,
) -> impl IntoView {
    view! {
        <p class="lost-stream" role="status" data-events=address hidden=true>
            "The connection to the console is lost: this page may be old. It comes back by itself."
        </p>
        <p class="lost-stream" role="status" data-signed-out="" hidden=true>
            "You are not signed in any more: this page is old. " <a href="">"Sign in again"</a>
        </p>
        <Following />
    }
}

/// Listens; shows nothing itself.
#[island]
fn Following() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    following::start();
}

/// The event on the window that tells the other islands that something is different.
#[cfg(feature = "hydrate")]
pub const CHANGED: &str = "console-changed";

/// The event on the window after parts of the page were replaced.
#[cfg(feature = "hydrate")]
pub const REPLACED: &str = "console-replaced";

#[cfg(feature = "hydrate")]
mod following {
    use std::{
        cell::{Cell, RefCell},
        rc::Rc,
        time::Duration,
    };

    use js_sys::{JSON, Reflect};
    use leptos::{
        prelude::{document, set_timeout, window, window_event_listener_untyped},
        task::spawn_local,
    };
    use wasm_bindgen::{JsCast, JsValue, closure::Closure};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{Document, DomParser, Element, Event, EventSource, MessageEvent, Response, SupportedType};

    use super::{
        super::browser::{address_read_anew, everywhere, first, focus, forget_read_anew, show},
        CHANGED, REPLACED,
    };

    /// The first and the longest pause before a lost stream is opened again, in seconds.
    const PAUSE: u64 = 1;
    const LONGEST_PAUSE: u64 = 30;

    /// Changes that come close together are one; what was read a moment ago is read again only after this.
    const TOGETHER: Duration = Duration::from_millis(300);

    /// A look that found nothing new makes the times on the page older; after so many, it is read again.
    const QUIET_LOOKS: u32 = 3;

    /// The stream of this page.
    struct Stream {
        /// Where it says that it is lost; it carries the address.
        place: Element,
        source: RefCell<Option<EventSource>>,
        pause: Cell<u64>,
        /// It was lost or closed since the page was read.
        missed: Cell<bool>,
        /// The page is being read, or is about to be.
        reading: Cell<bool>,
        /// Something changed meanwhile.
        again: Cell<bool>,
        quiet: Cell<u32>,
        /// Keeps a pause that ended too late from opening a second stream.
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
            missed: Cell::new(false),
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
        let round = stream.round.get();
        listen(&source, "open", {
            let stream = stream.clone();
            move |_| {
                stream.pause.set(PAUSE);
                show(&stream.place, false);
                say_signed_out(false);
                if stream.missed.replace(false) {
                    changed(&stream, None);
                }
            }
        });
        listen(&source, "change", {
            let stream = stream.clone();
            move |event| changed(&stream, app_of(&event))
        });
        listen(&source, "look", {
            let stream = stream.clone();
            move |event| {
                stream.quiet.set(stream.quiet.get() + 1);
                if stream.quiet.get() >= QUIET_LOOKS {
                    replace_soon(&stream, app_of(&event));
                }
            }
        });
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

    fn listen(source: &EventSource, name: &str, heard: impl FnMut(Event) + 'static) {
        let heard = Closure::<dyn FnMut(Event)>::new(heard);
        let _ = source.add_event_listener_with_callback(name, heard.as_ref().unchecked_ref());
        // It lives as long as its source, which the browser drops with it.
        heard.forget();
    }

    fn app_of(event: &Event) -> Option<String> {
        let data = event.dyn_ref::<MessageEvent>()?.data().as_string()?;
        Reflect::get(&JSON::parse(&data).ok()?, &"app".into()).ok()?.as_string()
    }

    fn lost(stream: &Rc<Stream>) {
        // A stream that was answered with something else than a stream is closed at once; one that broke is not.
        let refused = stream.source.borrow().as_ref().is_some_and(|source| source.ready_state() == EventSource::CLOSED);
        close(stream);
        stream.missed.set(true);
        show(&stream.place, true);
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

    /// Something is different: in one application, or (after a gap) anywhere.
    fn changed(stream: &Rc<Stream>, app: Option<String>) {
        if let Ok(event) = Event::new(CHANGED) {
            let _ = window().dispatch_event(&event);
        }
        replace_soon(stream, app);
    }

    fn replace_soon(stream: &Rc<Stream>, app: Option<String>) {
        let concerned = everywhere("[data-live]").iter().any(|part| {
            let of = part.get_attribute("data-live-app");
            of.is_none() || app.is_none() || of == app
        });
        if !concerned {
            return;
        }
        if stream.reading.replace(true) {
            stream.again.set(true);
            return;
        }
        stream.quiet.set(0);
        let stream = stream.clone();
        set_timeout(
            move || {
                spawn_local(async move {
                    stream.again.set(false);
                    if let Some(page) = read().await {
                        replace(&page);
                    }
                    stream.reading.set(false);
                    if stream.again.replace(false) {
                        replace_soon(&stream, None);
                    }
                });
            },
            TOGETHER,
        );
    }

    /// This page as the server gives it now. `live`: nobody looks at what is no live part, so a payload is left out, and is
    /// not on record as seen.
    async fn read() -> Option<Document> {
        let response = answered().await?;
        let text: JsValue = JsFuture::from(response.text().ok()?).await.ok()?;
        DomParser::new().ok()?.parse_from_string(&text.as_string()?, SupportedType::TextHtml).ok()
    }

    async fn answered() -> Option<Response> {
        JsFuture::from(window().fetch_with_str(&address_read_anew()?)).await.ok()?.dyn_into().ok()
    }

    /// A browser does not tell what a stream was refused for: the page itself is asked for.
    fn tell_if_signed_out(stream: Rc<Stream>) {
        spawn_local(async move {
            if answered().await.is_some_and(|answer| answer.status() == 401) {
                show(&stream.place, false);
                say_signed_out(true);
            }
        });
    }

    fn say_signed_out(signed_out: bool) {
        if let Some(place) = first("[data-signed-out]") {
            show(&place, signed_out);
        }
    }

    fn replace(page: &Document) {
        let mut replaced = false;
        for part in everywhere("[data-live]") {
            let Some(name) = part.get_attribute("data-live") else { continue };
            let Ok(Some(new)) = page.query_selector(&format!("[data-live=\"{name}\"]")) else { continue };
            if in_use(&part) || new.inner_html() == part.inner_html() {
                continue;
            }
            let focused = focused_in(&part);
            part.set_inner_html(&new.inner_html());
            replaced = true;
            if let Some(element) = focused.and_then(|selector| part.query_selector(&selector).ok().flatten()) {
                focus(&element);
            }
        }
        if replaced && let Ok(event) = Event::new(REPLACED) {
            let _ = window().dispatch_event(&event);
        }
    }

    /// Whether a reader has marked text in a part, unfolded something, or writes in it: then it stays as it is.
    fn in_use(part: &Element) -> bool {
        let marked = window().get_selection().ok().flatten().filter(|selection| !selection.is_collapsed());
        let marks = marked.and_then(|selection| selection.anchor_node()).is_some_and(|node| part.contains(Some(&node)));
        let active = document().active_element().filter(|active| part.contains(Some(active)));
        let writes = active.is_some_and(|active| matches!(active.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT"));
        let unfolded = part.query_selector("details[open]").is_ok_and(|found| found.is_some());
        marks || writes || unfolded
    }

    /// How the element that has the keyboard's focus is found again.
    fn focused_in(part: &Element) -> Option<String> {
        let active = document().active_element().filter(|active| part.contains(Some(active)))?;
        let named = |name: &str| {
            let value = active.get_attribute(name)?;
            Some(format!("{}[{name}=\"{}\"]", active.tag_name(), value.replace('\\', "\\\\").replace('"', "\\\"")))
        };
        named("href").or_else(|| named("value")).or_else(|| named("id"))
    }
}
