//! Numbers, and values that a source does not have.

use leptos::prelude::*;

use crate::ui::words;

/// A number with separators. Programs read it from `value`.
#[component]
pub fn Number(#[prop(into)] value: i128) -> impl IntoView {
    view! {
        <data class="number" value=value.to_string()>
            {words::number(value)}
        </data>
    }
}

/// Something that this source lacks, with the reason in words.
#[component]
pub fn NotHere(#[prop(into)] reason: String) -> impl IntoView {
    view! {
        <p class="none">"Not available here: " {reason} "."</p>
    }
}
