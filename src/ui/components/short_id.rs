//! Long ids and addresses, visually shortened in the middle.

use leptos::prelude::*;

use crate::{model::error_text::visible, ui::words};

/// An id in monospace. Only the style sheet shortens it: selecting, copying, searching the page and screen readers get
/// all of it, also without JavaScript.
#[component]
pub fn ShortId(
    #[prop(into)] text: String,
    /// Characters to show.
    #[prop(default = 28)]
    keep: usize,
) -> impl IntoView {
    let text = visible(&text);
    match words::middle(&text, keep) {
        None => view! { <code class="id">{text}</code> }.into_any(),
        Some((head, mid, tail)) => view! {
            <code class="id" title=text.clone()>
                {head.to_owned()}
                <span class="mid">{mid.to_owned()}</span>
                {tail.to_owned()}
            </code>
        }
        .into_any(),
    }
}
