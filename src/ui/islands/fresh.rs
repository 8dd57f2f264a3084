//! Announces new failed events above a list; the rows under the user's pointer never move.
//!
//! The stream of changes triggers each request ([`super::Live`]). Addresses and texts are in the HTML: the island fills
//! in the sentence of the answer and shows or hides parts. So the module needs no decoder for answers except the
//! browser's own.

use leptos::prelude::*;

/// The announcement, hidden until there is something to report, and the island that asks.
#[component]
pub fn Fresh(
    /// The address that returns [`crate::api::failed_events::Arrivals`].
    ask: String,
    /// The address that shows the new events.
    show: String,
) -> impl IntoView {
    view! {
        <div class="news" role="status" data-news=ask>
            <a class="fresh" href=show hidden=true></a>
            <p class="fresh lost" hidden=true>
                "Cannot check for new events: the console does not answer. This list may be old."
            </p>
        </div>
        <Asking />
    }
}

/// Asks at every change whether failed events arrived since the list was read, and offers to show them. Says so if the
/// console does not answer.
#[island]
fn Asking() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    live::start();
}

#[cfg(feature = "hydrate")]
mod live {
    use std::{cell::Cell, rc::Rc};

    use js_sys::Reflect;
    use leptos::{
        prelude::{document, window, window_event_listener_untyped},
        task::spawn_local,
    };
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{Element, Response};

    use super::super::{
        browser::{all, first, show},
        live::CHANGED,
    };

    pub fn start() {
        let Some(place) = first("[data-news]") else { return };
        let asking = Rc::new(Cell::new(false));
        let ask = move || {
            if document().hidden() || asking.replace(true) {
                return;
            }
            let (place, asking) = (place.clone(), asking.clone());
            spawn_local(async move {
                let answer = arrivals(&place.get_attribute("data-news").unwrap_or_default()).await;
                say(&place, answer.as_deref());
                asking.set(false);
            });
        };
        window_event_listener_untyped(CHANGED, move |_| ask());
    }

    /// Returns what arrived, in words; `None` if the console does not answer with that.
    async fn arrivals(address: &str) -> Option<String> {
        let response: Response = JsFuture::from(window().fetch_with_str(address)).await.ok()?.dyn_into().ok()?;
        if !response.ok() {
            return None;
        }
        let answer: JsValue = JsFuture::from(response.json().ok()?).await.ok()?;
        Reflect::get(&answer, &"in_words".into()).ok()?.as_string()
    }

    fn say(place: &Element, answer: Option<&str>) {
        for lost in all(place, ".lost") {
            show(&lost, answer.is_none());
        }
        for link in all(place, "a").into_iter().filter(|_| answer.is_some()) {
            link.set_text_content(answer);
            show(&link, answer.is_some_and(|words| !words.is_empty()));
        }
    }
}
