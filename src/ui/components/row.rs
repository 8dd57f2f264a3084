//! A failed event in a list: a row of a table, a card on narrow screens.

use std::collections::HashMap;

use leptos::{either::Either, prelude::*};

use super::{Called, EventBadge, Marked, Since, When, marked_name, moment};
use crate::{
    model::{
        EventKey, FailedEventRow, Kind, Limits,
        advice::{self, Subject, advise_on},
        error_text::visible,
        filter::ListQuery,
        search::Search,
    },
    paths::Base,
    ui::{
        due::{self, Offer},
        words,
    },
};

/// Field name of the check boxes. The brackets make the server read all ticked fields as one list.
pub const ROWS_FIELD: &str = "rows[]";

/// Fragment of the row that was acted on, or of the row now in its place.
pub const HERE: &str = "here";

/// Returns the fragment of a failed event's row, to which the links back from its page lead.
fn fragment(event: &EventKey) -> String {
    format!("event-{}-{}", event.app, event.id)
}

/// Returns the address of a list, at the row of this failed event if the list contains it.
pub fn list_at(base: &Base, list: &ListQuery, event: &EventKey) -> String {
    format!("{}#{}", base.failed_events(list), fragment(event))
}

/// A row of the list, inside its form: a box, the event, why it failed, and a button that retries it alone.
///
/// The page looks up once what its rows share (their application's name and limits, the address of the list): pages are
/// read more often than anything else, and a row is rendered fifty times.
#[component]
pub fn EventRow(
    row: FailedEventRow,
    /// Address of the event's page.
    href: String,
    /// Name of its application.
    place: String,
    /// Name of its feed; `None` if the table of failed events names no feed that the application reads.
    feed: Option<String>,
    /// Kind of its application.
    kind: Option<Kind>,
    /// `None` if its application is not configured any more.
    limits: Option<Limits>,
    /// The possible retry; `None` if the user may not retry anything: then no retry is offered.
    offer: Option<Offer>,
    /// The row's unique name on its page: see [`row_names`].
    called: String,
    /// The box was ticked before the user had to sign in again.
    ticked: bool,
    /// Index of the row on the page.
    index: usize,
    /// Address to which the button posts: see [`RetryOne`].
    action: String,
    /// The page opens at this row: see [`HERE`].
    here: bool,
    /// The list's text filter, whose matches are marked.
    search: Option<Marking>,
) -> impl IntoView {
    let retries = due::retries(row.retries, limits.as_ref());
    let name = match &search {
        Some(Marking { search, .. }) => marked_name(&row.naming(), &place, search),
        None => row.naming().event(&place).into_any(),
    };
    let said = row.says();
    let shown = match &search {
        Some(marking) => marking.error(&row, &said),
        None => said.clone().into_any(),
    };
    let (value, waits) = (due::row_value(&row), row.retries == Some(0) && row.obstacle().is_none());
    let gone = advise_on(&said, &Subject::of_row(&row, kind)).is_some_and(|advice| advice.gone);
    let mine = offer.is_some();
    // Of a failure without a retry, the first failure stands beside it.
    let last = row.latest.as_ref().and_then(|latest| latest.failed_at.clone());
    let tried = last.as_ref().and_then(|stamp| stamp.at).map(|at| format!("Last tried {}", moment(at)));
    let last = last.map(|stamp| {
        view! {
            <span class="last muted">
                <span class="unseen">", last tried "</span>
                <When stamp />
            </span>
        }
    });
    // Added to the name of the event's controls if another event on the page has the same record.
    let apart = row.naming().spoken().and_then(|spoken| called.strip_prefix(&spoken).map(str::to_owned));
    let apart = apart.filter(|more| !more.is_empty()).map(|more| view! { <span class="unseen">{more}</span> });
    let own = fragment(&EventKey { app: row.app.clone(), id: row.id });
    let tick = offer.as_ref().map(|offer| {
        let why_off = match offer {
            Offer::Off(why) => Some(why.clone()),
            Offer::Plain | Offer::Risky => None,
        };
        view! {
            // Disabled if a retry would have no effect.
            <td class="tick">
                <input
                    type="checkbox"
                    name=ROWS_FIELD
                    value=value.clone()
                    checked=ticked && why_off.is_none()
                    disabled=why_off.is_some()
                    title=why_off
                    data-waiting=(*offer == Offer::Risky).then_some("")
                    aria-label=format!("Select {called}")
                />
            </td>
        }
    });
    view! {
        <tr data-row="">
            {tick}
            // The id is not on the row itself: during an in-place update the event identifies the row.
            <th scope="row" class="named" id=here.then_some(HERE)>
                <a id=own href=href data-open="">
                    {name} {apart}
                </a>
                <Called called=row.called.clone() />
            </th>
            <td class="said" title=said>
                {shown}
            </td>
            <td class="where" title=feed.clone()>
                {feed.clone()}
            </td>
            <td class="what">
                <EventBadge state=row.state />
            </td>
            <td class="at">
                <Since since=row.failed_since() compact=true />
            </td>
            <td class="num tries" data-label="Retries" title=tried>
                {retries}
                {last}
            </td>
            {mine.then(|| view! {
                <td class="num act">
                    {offer.map(|offer| view! { <RetryOne value offer waits called gone action=format!("{action}?at={index}") /> })}
                </td>
            })}
        </tr>
    }
    .into_any()
}

/// How a list marks the matches of its text filter.
#[derive(Clone, Debug)]
pub struct Marking {
    pub search: Search,
    /// Error texts and payloads were searched, too, and not only ids and titles.
    pub texts: bool,
}

impl Marking {
    /// Returns a row's error with the matches marked or, if a list shows none of them, where the match is.
    fn error(&self, row: &FailedEventRow, said: &str) -> AnyView {
        let Self { search, texts } = self;
        if !texts {
            return said.to_owned().into_any();
        }
        let mut shown = row.shown_in_lists();
        shown.extend(row.quote.clone());
        // A row that was found by its own name matches as a whole.
        let by_name = search.row.as_ref().is_some_and(|named| named.id == row.id);
        let hidden = search.terms.iter().filter(|term| !by_name && !shown.iter().any(|text| term.is_in(text)));
        let hidden = words::listed(hidden.map(|term| format!("“{}”", visible(&term.in_words()))));
        let hidden = (!hidden.is_empty()).then(|| format!("No match is shown for {hidden}."));
        let hidden = hidden.map(|hidden| view! { " " <span class="muted small block quote">{hidden}</span> });
        let quote = row.quote.as_deref().map(visible).map(|quote| {
            view! {
                " "
                <span class="muted small block quote">
                    <Marked text=quote search=search.clone() />
                </span>
            }
        });
        view! {
            <Marked text=said search=search.clone() />
            {quote}
            {hidden}
        }
        .into_any()
    }
}

/// Retries an event with used-up retries by one click. A waiting event is retried from its page, which shows the
/// warning, or by selecting it. If a retry is impossible, the button keeps its place and says why; if it would fail
/// again, it says so. `gone`: the record is missing. `action` contains the row's index on the page, to which the answer
/// leads back.
#[component]
fn RetryOne(
    value: Option<String>,
    offer: Offer,
    waits: bool,
    called: String,
    gone: bool,
    action: String,
) -> impl IntoView {
    let label = if gone { format!("Retry {called}. {}", advice::GONE) } else { format!("Retry {called}") };
    match offer {
        Offer::Plain => Some(Either::Left(view! {
            <button
                type="submit"
                class="quiet"
                name="only"
                value=value
                formaction=action
                data-retry=""
                title=gone.then_some(advice::GONE)
                aria-label=label
            >
                "Retry"
            </button>
        })),
        Offer::Off(why) if !waits => {
            let spoken = format!(" {called} is not possible: {why}");
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

/// Names the rows of a page, each differently: `Encounter be4d353b`. Many rows fail with the same error, so their boxes
/// and buttons are named by the records; rows of the same record are also named by row. `place` returns the name of a
/// row's application.
pub fn row_names(rows: &[FailedEventRow], place: impl Fn(&FailedEventRow) -> String) -> Vec<String> {
    let spoken = |row: &FailedEventRow| {
        let naming = row.naming();
        naming.spoken().unwrap_or_else(|| format!("{} {}", naming.kind(), row.id))
    };
    let names: Vec<String> = rows.iter().map(spoken).collect();
    let mut times: HashMap<&str, u32> = HashMap::new();
    names.iter().for_each(|name| *times.entry(name.as_str()).or_default() += 1);
    let one = |(row, name): (&FailedEventRow, &String)| match times.get(name.as_str()) {
        Some(1) => name.clone(),
        _ => format!("{name}, row {} of {}", row.id, visible(&place(row))),
    };
    rows.iter().zip(&names).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventState, RowId, samples};

    #[test]
    fn boxes_and_buttons_are_named_by_the_record_and_each_differently() {
        let row = |id, payload: Option<&str>, event: Option<&str>, title: Option<&str>| FailedEventRow {
            id: RowId(id),
            error: Some("The same fault".into()),
            event_id: event.map(str::to_owned),
            payload: payload.map(str::to_owned),
            title: title.map(str::to_owned),
            retries: Some(5),
            state: EventState::Exhausted,
            ..samples::failed_event()
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

    /// The body is encoded as browsers encode ticked boxes; the server must read all of them.
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
