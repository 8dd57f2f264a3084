//! Texts for a ticket or a mail to the vendor; that of a failed event has everything that vendors ask for first. It is
//! made of what the page shows, so masked texts are masked here by the same rules.

use chrono::{DateTime, Utc};
use leptos::prelude::*;

use crate::{
    api::failed_events::EventPage,
    model::{
        Stamp,
        error_text::{shortened, visible},
        says,
        words::capitalised,
    },
    ui::{due, words},
};

/// Maximum characters of an error and of a payload: people read the ticket.
const ERROR: usize = 4_000;
const PAYLOAD: usize = 2_000;

/// A text for a ticket, to copy with a button, or manually without a script.
#[component]
pub fn TicketText(text: String) -> impl IntoView {
    view! {
        <section class="sheet" aria-labelledby="ticket-title">
            <header>
                <h2 id="ticket-title">"Text for a ticket"</h2>
                <button type="button" class="quiet push" data-copy="" data-copy-from="ticket" data-done="Copied" hidden=true>
                    "Copy as text for a ticket"
                </button>
            </header>
            <details class="pad raw">
                <summary>"Show the text"</summary>
                <pre id="ticket" class="machine" tabindex="0" role="region" aria-label="Text for a ticket, as it is copied">
                    {text}
                </pre>
            </details>
        </section>
    }
    .into_any()
}

/// Returns the text of a failed event; times are in UTC, because it is read elsewhere.
pub fn ticket_of_event(page: &EventPage) -> String {
    let row = &page.event.row;
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.trim().is_empty() {
            out.push_str(&format!("{name}: {}\n", value.trim_end()));
        }
    };
    line("Failed event", &row.naming().event(&page.info.name));
    let first = row.error.as_deref().unwrap_or_default();
    let last = page.event.latest().and_then(|attempt| attempt.error.as_deref()).unwrap_or(first);
    line("Cause", &says(Some(last)));
    line("State", &format!("{}, retries {}", row.state.label(), due::retries(row.retries, Some(&page.info.limits))));
    let since = row.failed_since();
    line(&capitalised(since.word()), &since.at().map(ticket_time).unwrap_or_default());
    let latest = page.event.latest();
    let latest_at = latest.map_or(row.failed_at.as_ref(), |attempt| attempt.failed_at.as_ref());
    let latest_at = latest_at.filter(|stamp| !stamp.is_no_date());
    line("Latest failure", &latest_at.map(stamp).unwrap_or_default());
    line("Failed retries on record", &words::number(page.event.attempts_total));
    line("Feed", &visible(row.feed_uri.as_deref().unwrap_or("none")));
    line("Event id", &visible(row.event_id.as_deref().unwrap_or_default()));
    line("Title", &visible(row.title.as_deref().unwrap_or_default()));
    line("Database row", &format!("{} of failed_events in {}", row.id, page.info.address));
    if let Some(group) = &page.group {
        line("Events with this cause", &words::number(group.failed));
    }
    let mut part = |name: &str, text: &str, most: usize| {
        if !text.trim().is_empty() {
            out.push_str(&format!("\n{name}:\n{}\n", shortened(&visible(text.trim_end()), most)));
        }
    };
    if first == last {
        part("Error", last, ERROR);
    } else {
        part("Latest error", last, ERROR);
        part("First error", first, ERROR);
    }
    if page.masked.is_none() {
        part("Payload", row.payload.as_deref().unwrap_or_default(), PAYLOAD);
    }
    out
}

/// Returns a time as tickets have it, which leave the zone of the reader.
pub fn ticket_time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn stamp(stamp: &Stamp) -> String {
    stamp.at.map_or_else(|| visible(&stamp.text), ticket_time)
}
