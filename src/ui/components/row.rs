//! A failed event in a list: a row of a table, a card on narrow screens.

use std::collections::HashMap;

use leptos::{either::Either, prelude::*};

use super::{EventBadge, Since};
use crate::{
    model::{
        FailedEventRow, Limits, Obstacle,
        advice::{self, advise},
        error_text::visible,
        feed::category_of,
        payload::{record_kind, record_uuid, short_id},
    },
    ui::due::{self, Offer},
};

/// The field name of the boxes. The brackets make the server read one list from as many fields as are ticked.
pub const ROWS_FIELD: &str = "rows[]";

/// A row of the list, within its form: a box, what it is, and a button that retries it alone.
///
/// What the rows of a page have in common (their application's name and limits, the way back to the list) is found once
/// by the page: a page is read more often than anything else, and a row drawn fifty times.
#[component]
pub fn EventRow(
    row: FailedEventRow,
    /// Its page.
    href: String,
    /// The name of its application, made visible.
    place: String,
    /// `None` when its application is not configured any more.
    limits: Option<Limits>,
    /// What can be done with it here.
    offer: Offer,
    /// What it is called among the rows of its page: see [`row_names`].
    called: String,
    /// It was ticked before somebody had to sign in again.
    ticked: bool,
) -> impl IntoView {
    let retries = due::retries(row.retries, limits.as_ref());
    let category = row.feed_uri.as_deref().and_then(category_of).map(visible);
    let said = row.says();
    let (value, waits) = (due::row_value(&row), row.retries == Some(0) && Obstacle::of(&row).is_none());
    let gone = advise(&said).is_some_and(|advice| advice.gone);
    let why_off = match &offer {
        Offer::Off(why) => Some(why.clone()),
        Offer::Plain | Offer::Risky => None,
    };
    view! {
        <tr data-row="">
            // Off where a retry could do nothing.
            <td class="tick">
                <input
                    type="checkbox"
                    name=ROWS_FIELD
                    value=value.clone()
                    checked=ticked && why_off.is_none()
                    disabled=why_off.is_some()
                    title=why_off
                    data-waiting=(offer == Offer::Risky).then_some("")
                    aria-label=format!("Select {called}")
                />
            </td>
            <td class="what">
                <EventBadge state=row.state />
            </td>
            <td class="at">
                <Since since=row.failed_since() />
            </td>
            <td class="where">
                {place}
                {category.map(|category| view! { <span class="muted">" · " {category}</span> })}
            </td>
            <td class="said">
                <a href=href data-open="">
                    {said}
                </a>
            </td>
            <td class="record">
                <Record payload=row.payload event_id=row.event_id title=row.title />
            </td>
            <td class="num tries" data-label="Retries">
                {retries}
            </td>
            <td class="num act">
                <RetryOne value offer waits called gone />
            </td>
        </tr>
    }
    .into_any()
}

/// One click for an exhausted event. A waiting one is retried from its page, where the warning stands, or by selecting
/// it. Where it cannot be, the button stays in its place and says why; where it would fail again, it says so. `gone`: the
/// record is not there any more.
#[component]
fn RetryOne(value: Option<String>, offer: Offer, waits: bool, called: String, gone: bool) -> impl IntoView {
    let label = if gone { format!("Retry {called}. {}", advice::GONE) } else { format!("Retry {called}") };
    match offer {
        Offer::Plain => Some(Either::Left(view! {
            <button
                type="submit"
                class="quiet"
                name="only"
                value=value
                data-retry=""
                title=gone.then_some(advice::GONE)
                aria-label=label
            >
                "Retry"
            </button>
        })),
        Offer::Off(why) if !waits => {
            let spoken = format!(" {called} is off: {why}");
            Some(Either::Right(view! {
                <button type="button" class="quiet off" aria-disabled="true" title=why>
                    "Retry"
                    <span class="unseen">{spoken}</span>
                </button>
            }))
        }
        Offer::Off(_) | Offer::Risky => None,
    }
}

/// What the rows of a page are called, each differently: `Encounter be4d353b`. Many rows fail with one error, so their
/// boxes and buttons are named by the records; where two are of one record, by their rows too. `place` names a row's
/// application.
pub fn row_names(rows: &[FailedEventRow], place: impl Fn(&FailedEventRow) -> String) -> Vec<String> {
    let names: Vec<String> = rows.iter().map(record_name).collect();
    let mut times: HashMap<&str, u32> = HashMap::new();
    names.iter().for_each(|name| *times.entry(name.as_str()).or_default() += 1);
    let one = |(row, name): (&FailedEventRow, &String)| match times.get(name.as_str()) {
        Some(1) => name.clone(),
        _ => format!("{name}, row {} of {}", row.id, place(row)),
    };
    rows.iter().zip(&names).map(one).collect()
}

/// The kind of record that a failed event is about, and the beginning of its uuid, or else of the event's id.
fn record_name(row: &FailedEventRow) -> String {
    let payload = row.payload.as_deref();
    let kind = payload.and_then(record_kind).map(str::to_owned);
    let kind = kind.or_else(|| row.title.clone().filter(|title| !title.trim().is_empty()));
    let mut letters = kind.as_deref().unwrap_or("event").chars();
    let kind: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).take(40).collect();
    let id = payload.and_then(record_uuid).or_else(|| row.event_id.clone());
    let id = id.map(|id| short_id(&id).chars().take_while(|letter| *letter != '…').collect::<String>());
    visible(&format!("{kind} {}", id.filter(|id| !id.is_empty()).unwrap_or_else(|| row.id.to_string())))
}

/// What names the record for a person: the uuid in its payload, else its title, else the event's own id.
#[component]
fn Record(payload: Option<String>, event_id: Option<String>, title: Option<String>) -> impl IntoView {
    let uuid = payload.as_deref().and_then(record_uuid);
    match uuid.or(event_id) {
        Some(id) => Either::Left(view! {
            <code class="id" title=visible(&id)>
                {short_id(&id)}
            </code>
        }),
        None => Either::Right(view! { <span class="muted">{title.as_deref().map(visible)}</span> }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventState, RowId};

    #[test]
    fn boxes_and_buttons_are_named_by_the_record_and_each_differently() {
        let row = |id, payload: Option<&str>, event: Option<&str>, title: Option<&str>| FailedEventRow {
            app: "odoo".into(),
            id: RowId(id),
            feed_uri: None,
            failed_at: None,
            error: Some("The same fault".into()),
            event_id: event.map(str::to_owned),
            payload: payload.map(str::to_owned),
            title: title.map(str::to_owned),
            retries: Some(5),
            tags: None,
            state: EventState::Exhausted,
            moves: false,
            first_sight: None,
            latest: None,
            cause: None,
        };
        const ONE: &str = "/openmrs/ws/rest/v1/encounter/be4d353b-ac7b-4ee5-a5ac-1ca2f4b4d8e2?v=full";
        const TAG: &str = "tag:atomfeed.ict4h.org:4417ab02-ac7b-4ee5-a5ac-90fe11d0c2a7";
        let rows = [
            row(1, Some(ONE), Some(TAG), Some("Encounter")),
            row(2, Some("/x"), Some(TAG), Some("sale order")),
            row(3, None, None, None),
            row(4, None, Some("7"), Some(" ")),
            row(5, Some("/patient/10000000-0000-4000-8000-000000000001"), None, None),
            row(6, Some("/patient/10000000-0000-4000-8000-000000000001"), None, None),
        ];
        assert_eq!(
            row_names(&rows, |row| row.app.to_uppercase()),
            [
                "Encounter be4d353b",
                "Sale order 4417ab02",
                "Event 3",
                "Event 7",
                "Patient 10000000, row 5 of ODOO",
                "Patient 10000000, row 6 of ODOO",
            ]
        );
    }

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
