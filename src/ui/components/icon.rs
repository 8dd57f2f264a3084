//! Icons: one sprite per page, drawn once and referenced by name.

use leptos::prelude::*;

/// An icon of the sprite, by name; decorative, because the word next to it says the same.
#[component]
pub fn Icon(name: &'static str) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
            <use_ href=format!("#i-{name}")></use_>
        </svg>
    }
}

/// The sprite: included once in the document, invisible itself.
#[component]
pub fn Sprite() -> impl IntoView {
    view! {
        <svg class="sprite" width="0" height="0" aria-hidden="true">
            {OUTLINED
                .iter()
                .map(|(name, path)| {
                    view! {
                        <symbol id=format!("i-{name}") viewBox="0 0 16 16">
                            <path d=*path fill="none" stroke="currentColor" stroke-width="1.9"></path>
                        </symbol>
                    }
                })
                .collect_view()}
            {FILLED
                .iter()
                .map(|(name, path)| {
                    view! {
                        <symbol id=format!("i-{name}") viewBox="0 0 16 16">
                            <path d=*path fill="currentColor" fill-rule="evenodd"></path>
                        </symbol>
                    }
                })
                .collect_view()}
        </svg>
    }
}

const OUTLINED: [(&str, &str); 9] = [
    ("running", "M2.5 8.6 6.3 12.4 13.6 4"),
    ("exhausted", "m3.4 3.4 9.2 9.2m0-9.2-9.2 9.2"),
    ("waiting", "M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8ZM8 4.6V8l2.6 1.9"),
    ("unreachable", "M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8ZM3.7 3.7l8.6 8.6"),
    ("unknown", "M5.2 5.9a2.9 2.9 0 1 1 4.3 2.5C8.4 9 8 9.5 8 10.6M8 12.3v2"),
    ("info", "M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8ZM8 7.2v4.2M8 4.3v1.7"),
    ("retry", "M13.3 8a5.3 5.3 0 1 1-1.7-3.9M13.4 1.2v3.6H9.8"),
    ("search", "M7 2a5 5 0 1 1 0 10A5 5 0 0 1 7 2ZM10.7 10.7 14.4 14.4"),
    ("feed", "M2.5 9.2a4.3 4.3 0 0 1 4.3 4.3M2.5 5.3a8.2 8.2 0 0 1 8.2 8.2M2.5 1.5a12 12 0 0 1 12 12"),
];

const FILLED: [(&str, &str); 4] = [
    ("stopped", "M5 1h6l4 4v6l-4 4H5l-4-4V5ZM4 7v2h8V7Z"),
    ("failing", "M8 1.2 15.4 14.6H.6ZM7.1 6v4.3h1.8V6ZM7.1 11.3V13h1.8v-1.7Z"),
    ("stalled", "M3.6 2.5h3.2v11H3.6ZM9.2 2.5h3.2v11H9.2Z"),
    (
        "copy",
        "M5.5 1h8A1.5 1.5 0 0 1 15 2.5v8H13.5v-8h-8ZM2.5 4h8A1.5 1.5 0 0 1 12 5.5v8a1.5 1.5 0 0 1-1.5 1.5h-8A1.5 1.5 0 0 1 1 13.5v-8A1.5 1.5 0 0 1 2.5 4ZM2.6 5.6v7.8h7.8V5.6Z",
    ),
];
