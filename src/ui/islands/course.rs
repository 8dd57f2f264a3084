//! The course of an operation, live: numbers are filled in while it goes on, and the page is read again when it has come
//! to another stage. Without the browser's part a reload shows the same.

use leptos::prelude::*;

/// Where the page's numbers are asked for, and the stage that the page shows.
#[component]
pub fn Course(
    /// The address that answers with [`crate::api::operations::Course`].
    ask: String,
    stage: String,
) -> impl IntoView {
    view! {
        <div data-course-of=ask data-stage=stage hidden=true></div>
        <InProgress />
    }
}

/// Asks every second how the operation stands. Rests while the page is out of sight.
#[island]
fn InProgress() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    live::start();
}

#[cfg(feature = "hydrate")]
mod live {
    use std::{cell::Cell, rc::Rc, time::Duration};

    use js_sys::Reflect;
    use leptos::{
        prelude::{document, set_interval, window},
        task::spawn_local,
    };
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{Element, Response};

    use super::super::browser::{address_read_anew, everywhere, first, number};

    const EVERY: Duration = Duration::from_secs(1);

    pub fn start() {
        let Some(place) = first("[data-course-of]") else { return };
        let asking = Rc::new(Cell::new(false));
        let ask = move || {
            if document().hidden() || asking.replace(true) {
                return;
            }
            let (place, asking) = (place.clone(), asking.clone());
            spawn_local(async move {
                if let Some(answer) = answer(&place.get_attribute("data-course-of").unwrap_or_default()).await {
                    show(&place, &answer);
                }
                asking.set(false);
            });
        };
        set_interval(ask, EVERY);
    }

    async fn answer(address: &str) -> Option<JsValue> {
        let response: Response = JsFuture::from(window().fetch_with_str(address)).await.ok()?.dyn_into().ok()?;
        JsFuture::from(response.json().ok()?).await.ok()
    }

    fn show(place: &Element, answer: &JsValue) {
        let field = |name: &str| Reflect::get(answer, &name.into()).unwrap_or(JsValue::UNDEFINED);
        let stage = field("stage").as_string();
        if stage.is_some() && stage != place.get_attribute("data-stage") {
            // Another stage has other sentences and buttons; the server draws them.
            if let Some(address) = address_read_anew() {
                let _ = window().location().replace(&address);
            }
            return;
        }
        for element in everywhere("[data-course]") {
            let name = element.get_attribute("data-course").unwrap_or_default();
            if let Some(value) = field(&name).as_f64() {
                element.set_text_content(Some(&number(value)));
            }
        }
        for bar in everywhere("[data-course-bar]") {
            if let Some(value) = field("taken").as_f64() {
                let _ = bar.set_attribute("value", &value.to_string());
            }
        }
    }
}
