//! A failed event in a list: a row of a table, a card on narrow screens.

use leptos::prelude::*;

use super::{EventBadge, When, use_base};
use crate::{
    model::{
        ApplicationInfo, EventKey, FailedEventRow,
        error_text::{headline, visible},
        feed::category_of,
        filter::ListQuery,
        payload::{record_uuid, short_id},
    },
    ui::due::{self, Offer},
};

/// The field name of the boxes. The brackets make the server read one list from as many fields as are ticked.
pub const ROWS_FIELD: &str = "rows[]";

/// A row of the list, within its form: a box, what it is, and a button that retries it alone.
#[component]
pub fn EventRow(
    row: FailedEventRow,
    /// Its application; `None` when it is not configured any more.
    info: Option<ApplicationInfo>,
    /// Why nothing can be retried in this application.
    refused: Option<String>,
    /// The list it stands in, for the way back.
    list: ListQuery,
) -> impl IntoView {
    let base = use_base();
    let offer = Offer::of(&row, refused.as_deref());
    let key = EventKey { app: row.app.clone(), id: row.id };
    let href = base.failed_event(&key, Some(&list));
    let limits = info.as_ref().map(|info| &info.limits);
    let retries = due::retries(row.retries, limits);
    let place = info.map_or_else(|| visible(&row.app), |info| info.name);
    let category = row.feed_uri.as_deref().and_then(category_of).map(visible);
    let said = said(&row);
    let (value, waits) = (due::row_value(&row), row.retries == Some(0));
    view! {
        <tr data-row="">
            <td class="tick">
                <Tick value=value.clone() offer=offer.clone() said=said.clone() />
            </td>
            <td class="what">
                <EventBadge state=row.state />
            </td>
            <td class="at">
                <When stamp=row.failed_at />
            </td>
            <td class="where">
                {place}
                {category.map(|category| view! { <span class="muted">" · " {category}</span> })}
            </td>
            <td class="said">
                <a href=href data-open="">
                    {said.clone()}
                </a>
            </td>
            <td class="record">
                <Record payload=row.payload event_id=row.event_id title=row.title />
            </td>
            <td class="num tries" data-label="Retries">
                {retries}
            </td>
            <td class="num act">
                <RetryOne value offer waits said />
            </td>
        </tr>
    }
    .into_any()
}

/// The box that selects a row. Off where a retry could do nothing.
#[component]
fn Tick(value: Option<String>, offer: Offer, said: String) -> impl IntoView {
    let why = match &offer {
        Offer::Off(why) => Some(why.clone()),
        _ => None,
    };
    view! {
        <input
            type="checkbox"
            name=ROWS_FIELD
            value=value
            disabled=why.is_some()
            title=why
            data-waiting=(offer == Offer::Risky).then_some("")
            aria-label=format!("Select: {said}")
        />
    }
    .into_any()
}

/// One click for an exhausted event. A waiting one is retried from its page, where the warning stands, or by selecting
/// it. Where it cannot be, the button stays in its place and says why.
#[component]
fn RetryOne(value: Option<String>, offer: Offer, waits: bool, said: String) -> impl IntoView {
    match offer {
        Offer::Plain => view! {
            <button
                type="submit"
                class="quiet"
                name="only"
                value=value
                data-retry=""
                aria-label=format!("Retry: {said}")
            >
                "Retry"
            </button>
        }
        .into_any(),
        Offer::Off(why) if !waits => {
            let spoken = format!(" is off: {why}");
            view! {
                <button type="button" class="quiet off" aria-disabled="true" title=why>
                    "Retry"
                    <span class="unseen">{spoken}</span>
                </button>
            }
            .into_any()
        }
        Offer::Off(_) | Offer::Risky => ().into_any(),
    }
}

/// What names the record for a person: the uuid in its payload, else its title, else the event's own id.
#[component]
fn Record(payload: Option<String>, event_id: Option<String>, title: Option<String>) -> impl IntoView {
    let uuid = payload.as_deref().and_then(record_uuid);
    match uuid.or(event_id) {
        Some(id) => view! {
            <code class="id" title=visible(&id)>
                {short_id(&id)}
            </code>
        }
        .into_any(),
        None => view! { <span class="muted">{title.as_deref().map(visible)}</span> }.into_any(),
    }
}

/// What the error of a row says, for a link; never empty.
pub fn said(row: &FailedEventRow) -> String {
    headline_of(row.error.as_deref())
}

/// What an error text says in one sentence, made visible; never empty.
pub fn headline_of(error: Option<&str>) -> String {
    let said = error.map(headline).unwrap_or_default();
    if said.trim().is_empty() { "No error text".to_owned() } else { visible(&said) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The form is a browser's own: this is how it writes ticked boxes, and the server must read every one of them.
    #[cfg(feature = "ssr")]
    #[tokio::test]
    async fn a_browsers_form_is_read_by_the_retry_function() {
        use axum::{body::Body, http::Request};
        use server_fn::codec::{FromReq, PostUrl};

        use crate::{api::failed_events::Retry, error::Problem};

        let body = "back=%2Ffailed-events%3Fapp%3Dodoo&rows%5B%5D=odoo%3A7%3A5&rows%5B%5D=pacs%3A8%3A10&reason=";
        assert_eq!(ROWS_FIELD, "rows[]");
        let read = |body: &'static str| async move {
            let request = Request::post("/api/retry")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::from(body))
                .expect("a request");
            <Retry as FromReq<PostUrl, Request<Body>, Problem>>::from_req(request).await.expect("understood")
        };
        let asked = read(body).await;
        assert_eq!(asked.rows, ["odoo:7:5", "pacs:8:10"]);
        assert_eq!(asked.only, None);
        assert_eq!(asked.back, "/failed-events?app=odoo");

        let one = read("back=%2Ffailed-events&rows%5B%5D=odoo%3A7%3A5&only=odoo%3A9%3A5").await;
        assert_eq!(one.only.as_deref(), Some("odoo:9:5"));

        let none = read("back=%2Ffailed-events").await;
        assert_eq!(none.rows, [""; 0]);
    }
}
