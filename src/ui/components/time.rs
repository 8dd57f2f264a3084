//! Times: relative words or a short instant, with the full instant on hover and for programs; the same way on the whole
//! page.
//!
//! The server writes times in the reader's zone if it knows it: chosen by the user, or sent by the browser in a cookie.
//! On a browser's first page it does not, and an island rewrites them in the same words (`model::words`).

use chrono::{DateTime, SecondsFormat, Utc};
use leptos::prelude::*;

use crate::{
    clock,
    model::{Reader, Stamp, error_text::visible},
    ui::words,
};

/// Returns the text of an instant for the reader of this page, and the full instant.
fn texts(at: DateTime<Utc>, exact: bool) -> (String, String) {
    let Reader { preferences, zone, .. } = use_reader();
    let (local, now) = (zone.local(at), zone.local(clock::now()));
    let clock = preferences.clock;
    let text = if exact { words::moment(local, now, clock) } else { words::ago(local, now, clock) };
    (text, words::in_full(local, clock))
}

/// Returns a short instant in the reader's zone, for places that allow no element.
pub fn moment(at: DateTime<Utc>) -> String {
    texts(at, true).0
}

/// Returns the reader of this page.
pub fn use_reader() -> Reader {
    use_context().unwrap_or_default()
}

/// An instant.
#[component]
pub fn At(
    at: DateTime<Utc>,
    /// Show the instant itself instead of relative words.
    #[prop(optional)]
    exact: bool,
) -> impl IntoView {
    let (text, full) = texts(at, exact);
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

/// A time found in a source. A value that is not a readable instant is shown as the database stores it; NULL and zero
/// dates are "no date".
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
