//! Comfort for every page: times in the reader's zone, keys, and copy buttons. Appears once in the layout.
//!
//! - `time.when`: relative words stay current. If the server does not know the reader's zone yet, the island rewrites
//!   all times, and reports the zone to the server for the next page.
//! - `input[data-utc]` fields hold local time while they are edited and UTC when their form is sent.
//! - In `[data-all-or-some]`, ticking a box chooses "only these", and choosing "all" unticks the boxes.
//! - `[data-reveal]` shows the password of the field that it names, or hides it again.
//! - Form input outlives the end of a session: see `kept`.
//! - Screen readers announce notices about form results.
//! - `[data-copy]` copies its value, or the text of the element that `data-copy-from` names.
//! - Keys: see the dialog below. They work on `[data-row]`, `[data-open]`, `[data-retry]`, `[data-previous]` and
//!   `[data-next]`, and never while the user types.

#[cfg(feature = "hydrate")]
mod copy;
#[cfg(feature = "hydrate")]
mod forms;
#[cfg(feature = "hydrate")]
mod header;
#[cfg(feature = "hydrate")]
mod kept;
#[cfg(feature = "hydrate")]
mod keys;
#[cfg(feature = "hydrate")]
mod rows;
#[cfg(feature = "hydrate")]
mod said;
#[cfg(feature = "hydrate")]
mod times;

use leptos::prelude::*;

use crate::ui::{
    components::{use_base, use_reader},
    visitor::use_visitor,
};

/// Every key, and what it does.
const KEYS: [(&str, &str); 8] = [
    ("/", "Go to the search field"),
    ("j", "Next row, or next event"),
    ("k", "Previous row, or previous event"),
    ("Enter", "Open the row"),
    ("x", "Select the row, or clear its selection"),
    ("r", "Retry the row, or the open event"),
    ("?", "Show this list of keys"),
    ("Esc", "Close the list; leave the search field"),
];

/// The keys as a list, for the dialog and for the help page.
#[component]
pub fn KeyList() -> impl IntoView {
    let account = use_base().account();
    let off = !use_reader().preferences.letter_keys;
    view! {
        <p class="inner">
            {if off { "Single-letter keys are off for you. Turn them on on " } else { "Single-letter keys can be turned off on " }}
            <a href=account>"your account page"</a> "."
        </p>
        <dl class="facts inner">
            {KEYS
                .map(|(key, what)| {
                    view! {
                        <dt>
                            <kbd>{key}</kbd>
                        </dt>
                        <dd>{what}</dd>
                    }
                })
                .collect_view()}
        </dl>
    }
}

/// The dialog of keys, and the island that listens for them.
#[component]
pub fn PageTools() -> impl IntoView {
    view! {
        <dialog id="keys" class="sheet keys" aria-labelledby="keys-title">
            <header>
                <h2 id="keys-title">"Keys"</h2>
            </header>
            <KeyList />
            <form method="dialog" class="pad">
                <button type="submit">"Close"</button>
            </form>
        </dialog>
        <p id="voice" class="unseen" role="status"></p>
        {use_visitor()
            .session_idle
            .map(|seconds| {
                view! {
                    <p id="session-ends" class="notice warning floating" role="status" data-after=seconds.to_string() hidden=true>
                        "Your session ends in about 2 minutes. Save what you typed."
                    </p>
                }
            })}
        <p id="typed-again" class="notice info floating" role="status" hidden=true>
            "What you typed before your session ended is filled in again. It is not saved yet."
        </p>
        <Tools />
    }
}

/// Listens for events; shows nothing itself.
#[island]
fn Tools() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    {
        times::start();
        keys::start();
        copy::start();
        forms::start();
        kept::start();
        said::start();
        header::start();
        rows::start();
        if let Some(root) = document().document_element() {
            let _ = root.set_attribute("data-alive", "");
        }
    }
}

/// Prepares a page that was read again like a loaded one, before it is shown.
#[cfg(feature = "hydrate")]
pub fn prepare(root: &web_sys::Element) {
    times::prepare(root);
    copy::prepare(root);
}

/// Returns whether a form contains input that is not sent yet.
#[cfg(feature = "hydrate")]
pub fn is_typed_into(form: &web_sys::Element) -> bool {
    kept::is_typed_into(form)
}

/// Returns the time of day of an instant (in milliseconds) in the reader's zone, by their clock.
#[cfg(feature = "hydrate")]
pub fn time_of_day(at: f64) -> String {
    times::time_of_day(at)
}
