//! Long ids and addresses, shortened in the middle for the eye only.

use leptos::prelude::*;

use crate::{model::error_text::visible, ui::words};

/// An id in monospace. What is shortened is shortened by the style sheet: selecting and copying it, searching the page
/// and screen readers get the whole, also without JavaScript.
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
