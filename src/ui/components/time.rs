//! Times: relative words, with the full instant on hover and for programs.
//!
//! The server writes UTC. An island rewrites every `time.when` into the reader's zone: the relative words stay, `title`
//! is localised, and where `data-exact` stands also the text.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use leptos::prelude::*;

use crate::{
    model::{Stamp, error_text::visible},
    ui::words,
};

/// The server's clock. Only server-rendered parts may ask.
pub fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// An instant.
#[component]
pub fn At(
    at: DateTime<Utc>,
    /// Show the instant itself instead of relative words.
    #[prop(optional)]
    exact: bool,
) -> impl IntoView {
    let full = words::instant(at);
    let text = if exact { full.clone() } else { words::ago(at, now()) };
    view! {
        <time
            class="when"
            datetime=at.to_rfc3339_opts(SecondsFormat::Secs, true)
            title=full
            data-exact=exact.then_some("")
        >
            {text}
        </time>
    }
}

/// A time found in a source. What is no readable instant is shown as the database gives it; NULL and zero dates are "no
/// date".
#[component]
pub fn When(
    #[prop(into)] stamp: Option<Stamp>,
    /// Show the instant itself instead of relative words.
    #[prop(optional)]
    exact: bool,
) -> impl IntoView {
    match stamp {
        None => view! { <span class="none">"no date"</span> }.into_any(),
        Some(stamp) if stamp.is_no_date() => view! {
            <span class="none" title=format!("The database has: {}", visible(&stamp.text))>
                "no date"
            </span>
        }
        .into_any(),
        Some(Stamp { at: Some(at), .. }) => view! { <At at=at exact=exact /> }.into_any(),
        Some(Stamp { text, at: None }) => view! {
            <span class="odd" title="This is no date that the console can read.">
                {visible(&text)}
            </span>
        }
        .into_any(),
    }
}
