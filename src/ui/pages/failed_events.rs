//! Failed events across all applications, or of one application or feed: filter, table, selection, retry.

use std::collections::HashSet;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_url;

use crate::{
    api::failed_events::{ListPage, MissingPart, Scan, list_failed_events},
    error::Problem,
    model::{
        ApplicationInfo, EventState, FailedEventRow,
        error_text::visible,
        filter::{Filter, ListQuery, Order, Place, SEARCHED, is_cut, pairs},
        ledger::RequestKind,
        obstacle::{no_address, untitled},
    },
    ui::{
        components::{
            Chips, Done, EventRow, FilterForm, FormToken, Icon, Notice, NoticeKind, Outcome, Pager, PlanSubmit, loaded,
            row_names, since_heading, use_base, word,
        },
        due::{self, Offer},
        islands::{Fresh, Selection},
        visitor::refused,
        words,
    },
};

/// The list. Everything it shows is decided by the page's query string.
#[component]
pub fn FailedEventsPage() -> impl IntoView {
    let query = use_url().read_untracked().search().trim_start_matches('?').to_owned();
    loaded(look(query), |(page, done)| view! { <List page done /> })
}

async fn look(query: String) -> Result<(ListPage, Option<Done>), Problem> {
    let page = list_failed_events(query.clone()).await?;
    Ok((page, Done::of_query(&query).await))
}

#[component]
fn List(page: ListPage, done: Option<Done>) -> impl IntoView {
    let base = use_base();
    let heading = heading(&page);
    let filter = page.query.filter.clone();
    let export = ListQuery { filter: filter.clone(), place: Place::default() };
    let has_rows = !page.rows.is_empty();
    let refused_here: Vec<_> = page.retry_refused.iter().filter(|(app, _)| filter.wants_app(app)).cloned().collect();
    view! {
        <Title text=heading.clone() />
        <Outcome done />
        <div class="head">
            <div>
                <h1>{heading}</h1>
                <p class="lead">"Events that a consumer read and could not process, as the databases hold them now."</p>
            </div>
            {has_rows
                .then(|| {
                    view! {
                        <div class="bar">
                            <a class="button" href=base.export(&export, "csv") download="">
                                "Export CSV"
                            </a>
                            <a class="button" href=base.export(&export, "ndjson") download="">
                                "Export NDJSON"
                            </a>
                        </div>
                    }
                })}
        </div>
        <FilterForm
            filter=filter.clone()
            applications=page.applications.clone()
            feeds=page.feeds.clone()
            moving=page.moving.clone()
        />
        <Chips
            filter=filter.clone()
            applications=page.applications.clone()
            group=page.group.clone()
            moving=page.moving.clone()
        />
        <Missing parts=page.missing.clone() />
        <Refused refused=refused_here applications=page.applications.clone() />
        <MaskedNote why=page.masked.clone() searched=filter.text.is_some() />
        <Scans scans=page.scans.clone() query=page.query.clone() next=page.next.clone() />
        {page
            .at_end
            .then(|| {
                view! {
                    <Notice kind=NoticeKind::Info>
                        "The list ends before the place that was asked for: this is its last page."
                    </Notice>
                }
            })}
        {has_rows.then(|| view! { <PlanAll page=page.clone() /> })}
        {if has_rows { view! { <Events page /> }.into_any() } else { view! { <Nothing page /> }.into_any() }}
    }
    .into_any()
}

/// What a reader must know who may not read the error texts.
#[component]
fn MaskedNote(why: Option<String>, searched: bool) -> impl IntoView {
    why.map(|why| {
        let search = searched.then_some(" The text was looked for in event ids and titles only.");
        view! {
            <p class="small muted">"Error texts are masked: you see the kind of fault." {search} " " {why}</p>
        }
    })
}

/// `1,055 failed events`; without a number where it is not known.
fn heading(page: &ListPage) -> String {
    let state = match page.query.filter.state {
        Some(EventState::Exhausted) => "exhausted failed event",
        Some(EventState::Waiting) => "waiting failed event",
        Some(EventState::Unknown) => "failed event of unknown state",
        None => "failed event",
    };
    let whole = page.next.is_none() && page.previous.is_none() && page.missing.is_empty();
    let total = page.total.or_else(|| whole.then_some(page.rows.len() as u64));
    let plural = |noun: &str| match noun.strip_suffix(" of unknown state") {
        Some(noun) => format!("{noun}s of unknown state"),
        None => format!("{noun}s"),
    };
    match total {
        Some(1) => format!("1 {state}"),
        Some(0) => format!("No {}", plural(state)),
        Some(total) => format!("{} {}", words::number(total), plural(state)),
        None => {
            let text = plural(state);
            text.get(..1).map(str::to_uppercase).unwrap_or_default() + text.get(1..).unwrap_or_default()
        }
    }
}

/// The table, within the form that retries.
#[component]
fn Events(mut page: ListPage) -> impl IntoView {
    let base = use_base();
    let query = page.query.to_query();
    let back = format!("/failed-events{}", question(&query));
    let searching = page.scans.iter().any(|scan| !scan.complete);
    let action = base.at(&format!("{}/retry", crate::paths::API_PREFIX));
    let names = row_names(&page.rows, |row| {
        let info = page.applications.iter().find(|app| app.key == row.app);
        info.map_or_else(|| visible(&row.app), |info| info.name.clone())
    });
    let chosen: HashSet<String> =
        pairs(use_url().read_untracked().search()).filter(|(key, _)| key == "chosen").map(|(_, event)| event).collect();
    let rows = std::mem::take(&mut page.rows).into_iter().map(|row| {
        let refused = page.retry_refused.iter().find(|(key, _)| *key == row.app).map(|(_, why)| why.as_str());
        (Offer::of(&row, refused), row)
    });
    let rows: Vec<(Offer, FailedEventRow)> = rows.collect();
    let open = rows.iter().any(|(offer, _)| offer.is_open());
    let untitled = rows.iter().filter(|(offer, row)| offer.is_open() && untitled(row.title.as_deref())).count() as u64;
    let waiting = rows.iter().any(|(offer, _)| *offer == Offer::Risky);
    let times: Vec<_> = rows.iter().map(|(_, row)| row.failed_since()).collect();
    let heading = since_heading(&times);
    let rows = rows
        .into_iter()
        .zip(names)
        .map(|((offer, row), called)| {
            let info = page.applications.iter().find(|app| app.key == row.app);
            let place = info.map_or_else(|| visible(&row.app), |info| info.name.clone());
            let href = base.failed_event_of(&row.app, row.id, &query);
            let ticked = !chosen.is_empty() && chosen.contains(&format!("{}:{}", row.app, row.id));
            view! { <EventRow row href place limits=info.map(|info| info.limits) offer called ticked /> }
        })
        .collect_view();
    view! {
        <form class="sheet events" method="post" action=action data-selection="">
            <FormToken />
            <input type="hidden" name="back" value=back />
            <SelectionBar open waiting untitled />
            <News page=page.clone() />
            <table class="cards">
                <caption class="unseen">"Failed events: state, first failure, place, latest error, record, retries"</caption>
                <thead>
                    <tr>
                        <th scope="col">
                            <span class="unseen">"Selected"</span>
                        </th>
                        <th scope="col">"State"</th>
                        <th scope="col">{heading}</th>
                        <th scope="col">"Where"</th>
                        <th scope="col">"Latest error"</th>
                        <th scope="col">"Record"</th>
                        <th scope="col" class="num">"Retries"</th>
                        <th scope="col">
                            <span class="unseen">"Retry"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
            <Pager query=page.query previous=page.previous next=page.next searching />
            <Selection />
        </form>
    }
    .into_any()
}

/// What can be done with the ticked rows. The count and "all on this page" appear with the island only.
#[component]
fn SelectionBar(
    open: bool,
    waiting: bool,
    /// Rows of the page that can be retried and have no title.
    untitled: u64,
) -> impl IntoView {
    let base = use_base();
    let may_discard = refused(RequestKind::Discard.right()).is_none();
    view! {
        <div class="bar selection">
            <label class="tick">
                <input type="checkbox" data-select-all="" hidden=true disabled=!open />
                <span data-selected="" data-none="Select all on this page" data-text="{n} selected" aria-live="polite">
                    "Tick what to retry"
                </span>
            </label>
            <button
                type="submit"
                class="primary"
                data-retry-selected=""
                data-none="Retry selected"
                data-text="Retry {n}"
                disabled=!open
            >
                "Retry selected"
            </button>
            <button
                type="submit"
                formaction=base.function("plan_operation")
                name="kind"
                value=word(RequestKind::Discard)
                data-discard-selected=may_discard.then_some("")
                // The reason stands with the button for all that match.
                disabled=!open || !may_discard
            >
                "Discard selected…"
            </button>
            {untitled_here(untitled).map(|sentence| view! { <p class="small risk">{sentence}</p> })}
            {waiting
                .then(|| {
                    view! {
                        <p class="small muted">
                            "A waiting event has no button of its own: the consumer tries it again by itself. Select it, or open it, to retry it all the same."
                        </p>
                        <p class="small risk" data-if-waiting="">
                            {due::RISK}
                        </p>
                    }
                })}
        </div>
    }
    .into_any()
}

/// What is to be known before rows without a title are retried, where a page has such rows.
fn untitled_here(rows: u64) -> Option<String> {
    let whose = match rows {
        0 => return None,
        1 => "One event of this page has no title".to_owned(),
        rows => format!("{} events of this page have no title", words::number(rows)),
    };
    Some(format!(
        "{whose}: older consumers decide by the title, drop such an event without processing it, and remove it as if it had \
         succeeded."
    ))
}

/// The forms that make a plan of all that match stand outside of the list's own form; their buttons name them.
const PLAN_FORM: &str = "plan-all";

/// All that match, beside the rows of this page: where something can be done in at least one of the applications.
#[component]
fn PlanAll(page: ListPage) -> impl IntoView {
    let base = use_base();
    let filter = &page.query.filter;
    let open = page
        .applications
        .iter()
        .any(|app| filter.wants_app(&app.key) && !page.retry_refused.iter().any(|(key, _)| *key == app.key));
    let retry = retry_all(&page);
    let discard = match page.total {
        Some(total) => format!("Discard all {} that match…", words::number(total)),
        None => "Discard all that match…".to_owned(),
    };
    open.then(|| {
        view! {
            <form id=PLAN_FORM class="bar all-that-match" method="post" action=base.function("plan_operation")>
                <FormToken />
                <input type="hidden" name="query" value=filter.to_query() />
                {retry
                    .map(|text| {
                        view! {
                            <PlanSubmit kind=RequestKind::Retry text />
                        }
                    })}
                <PlanSubmit kind=RequestKind::Discard text=discard />
            </form>
        }
    })
    .into_any()
}

/// What a retry of all that match is called; `None` where there is nothing to retry.
fn retry_all(page: &ListPage) -> Option<String> {
    match (page.query.filter.state, page.total) {
        (Some(EventState::Unknown), _) => None,
        // Of none of them a retry job would know.
        _ if page.query.filter.feed.as_deref().is_some_and(|feed| no_address(Some(feed))) => None,
        (Some(state), Some(total)) => {
            let what = if state == EventState::Waiting { "waiting" } else { "exhausted" };
            Some(format!("Retry all {} {what} that match…", words::number(total)))
        }
        (Some(EventState::Waiting), None) => Some("Retry all waiting that match…".to_owned()),
        _ => Some("Retry all exhausted that match…".to_owned()),
    }
}

/// Announces what came since.
#[component]
fn News(page: ListPage) -> impl IntoView {
    let base = use_base();
    let filter = &page.query.filter;
    let newest = ListQuery { filter: Filter { order: Order::Newest, ..filter.clone() }, place: Place::default() };
    view! { <Fresh ask=base.news(filter, &page.mark) show=base.failed_events(&newest) /> }.into_any()
}

/// Parts that are missing because a source did not answer; the rest of the list is there.
#[component]
fn Missing(parts: Vec<MissingPart>) -> impl IntoView {
    parts
        .into_iter()
        .map(|part| {
            view! {
                <Notice kind=NoticeKind::Problem>
                    <strong>{part.app.name} " is missing from this list. "</strong>
                    {part.reason}
                    " "
                    {part.advice}
                </Notice>
            }
        })
        .collect_view()
}

/// Why buttons are off, for everyone: a title alone is not reached by keyboard or touch.
#[component]
fn Refused(refused: Vec<(String, String)>, applications: Vec<ApplicationInfo>) -> impl IntoView {
    refused
        .into_iter()
        .map(|(key, why)| {
            let name = applications.iter().find(|app| app.key == key).map_or(key, |app| app.name.clone());
            view! {
                <Notice kind=NoticeKind::Info>
                    <strong>"Nothing can be retried in " {name} ". "</strong>
                    {why}
                </Notice>
            }
        })
        .collect_view()
}

/// How far a text search looked. It goes on only when asked.
#[component]
fn Scans(scans: Vec<Scan>, query: ListQuery, next: Option<ListQuery>) -> impl IntoView {
    let base = use_base();
    let Some(words) = scan_words(&scans, &query) else { return ().into_any() };
    let open = scans.iter().any(|scan| !scan.complete);
    let further = next.filter(|_| open).map(|list| base.failed_events(&list));
    view! {
        <Notice kind=NoticeKind::Info>
            {words} {further.map(|href| view! { " " <a href=href rel="next">"Look further"</a> })}
        </Notice>
    }
    .into_any()
}

/// How far a text search looked: a sentence for each table that has more, and one for all that have not. `None` where
/// nothing was searched. A search walks by id, the highest first unless the list is in the order of the ids.
fn scan_words(scans: &[Scan], query: &ListQuery) -> Option<String> {
    let first_page = query.place == Place::default();
    let (complete, open): (Vec<&Scan>, Vec<&Scan>) = scans.iter().partition(|scan| scan.complete);
    let (newest, older) = match query.filter.order {
        Order::IdUp | Order::Oldest => ("oldest", "newer"),
        Order::IdDown | Order::Newest => ("newest", "older"),
    };
    let mut sentences: Vec<String> = open
        .iter()
        .map(|scan| {
            let (looked, name) = (words::number(scan.looked_at), &scan.app.name);
            // The last look may have counted fewer than there are now.
            let of = scan.of.filter(|of| *of > scan.looked_at);
            let of = of.map_or_else(String::new, |of| format!(" of about {}", words::number(of)));
            if first_page {
                format!("The {newest} {looked}{of} rows of {name} were looked through; {older} ones were not.")
            } else {
                format!("Another {looked}{of} rows of {name} were looked through for this page; there are more.")
            }
        })
        .collect();
    if !complete.is_empty() {
        let parts = words::listed(complete.iter().map(|scan| match first_page {
            true => format!("{} of {}", words::number(scan.looked_at), scan.app.name),
            false => scan.app.name.clone(),
        }));
        sentences.push(match (first_page, open.is_empty()) {
            (true, true) => format!("All rows were looked through: {parts}."),
            (true, false) => format!("Of the others all rows were looked through: {parts}."),
            (false, _) => format!("The search has come to the end of {parts}."),
        });
    }
    let cut = query.filter.text.as_deref().is_some_and(is_cut);
    if cut && !sentences.is_empty() {
        sentences.push(format!("Of the text the first {SEARCHED} characters were searched for."));
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// An empty list says why it is empty, and what to do.
#[component]
fn Nothing(page: ListPage) -> impl IntoView {
    let base = use_base();
    let everything = base.failed_events(&ListQuery::default());
    let filter = &page.query.filter;
    let (text, way) = if page.scans.iter().any(|scan| !scan.complete) {
        ("Nothing found so far. The search goes on when you ask for it.", None)
    } else if page.query.place != Place::default() {
        let first = ListQuery { filter: filter.clone(), place: Place::default() };
        ("There is nothing more in this direction.", Some((base.failed_events(&first), "To the beginning of the list")))
    } else if !filter.is_everything() {
        (
            "No failed event matches this filter. Remove a part of it, or look at all failed events.",
            Some((everything, "All failed events")),
        )
    } else if page.missing.is_empty() {
        ("No failed events. Every event that the consumers read was processed.", None)
    } else {
        ("No failed events in the applications that answered.", None)
    };
    view! {
        <section class="sheet">
            <News page=page.clone() />
            <div class="empty">
                <p>
                    <Icon name="info" />
                    " "
                    {text}
                </p>
                {way.map(|(href, text)| view! { <p><a href=href>{text}</a></p> })}
            </div>
        </section>
    }
    .into_any()
}

fn question(query: &str) -> String {
    if query.is_empty() { String::new() } else { format!("?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Limits};

    fn page(query: &str) -> ListPage {
        ListPage {
            query: ListQuery::parse(query).expect(query),
            rows: Vec::new(),
            at_end: false,
            next: None,
            previous: None,
            total: None,
            group: None,
            applications: Vec::new(),
            feeds: Vec::new(),
            retry_refused: Vec::new(),
            missing: Vec::new(),
            scans: Vec::new(),
            mark: String::new(),
            masked: None,
            moving: Vec::new(),
        }
    }

    fn odoo() -> ApplicationInfo {
        ApplicationInfo {
            key: "odoo".into(),
            name: "Odoo".into(),
            kind: Kind::Odoo,
            kind_assumed: false,
            address: "odoodb/odoo".into(),
            limits: Limits {
                max_failed_events: Some(1000),
                max_retry: Some(5),
                feed_interval_secs: 30,
                retry_interval_secs: 30,
                retry_batch: 5,
                assumed: false,
            },
            feed_limits: Vec::new(),
            concerns: Default::default(),
            time_zone: "UTC".into(),
            refresh_secs: 10,
            publishes: Vec::new(),
            read_only: false,
        }
    }

    #[test]
    fn the_heading_counts_only_what_is_known() {
        assert_eq!(heading(&page("")), "No failed events");
        assert_eq!(heading(&ListPage { total: Some(1055), ..page("") }), "1,055 failed events");
        assert_eq!(heading(&ListPage { total: Some(1), ..page("state=exhausted") }), "1 exhausted failed event");
        let cut = ListPage { next: Some(ListQuery::default()), ..page("q=timeout") };
        assert_eq!(heading(&cut), "Failed events");
        assert_eq!(heading(&ListPage { total: Some(2), ..page("state=unknown") }), "2 failed events of unknown state");
    }

    #[test]
    fn all_that_match_are_offered_with_their_number_where_it_is_known() {
        let with = |query: &str, total| retry_all(&ListPage { total, ..page(query) });
        assert_eq!(with("state=exhausted", Some(3412)).unwrap(), "Retry all 3,412 exhausted that match…");
        assert_eq!(with("state=waiting", Some(2)).unwrap(), "Retry all 2 waiting that match…");
        // Of all that match, how many are exhausted is not known here.
        assert_eq!(with("", Some(3412)).unwrap(), "Retry all exhausted that match…");
        assert_eq!(with("state=unknown", Some(2)), None);
        assert_eq!(with("nofeed=1&state=exhausted", Some(2)), None, "no retry job finds events without an address");
    }

    fn scan(name: &str, looked_at: u64, of: Option<u64>, complete: bool) -> Scan {
        Scan { app: ApplicationInfo { name: name.into(), ..odoo() }, looked_at, of, complete }
    }

    #[test]
    fn a_search_through_everything_says_so_in_one_sentence() {
        let scans =
            [scan("OpenMRS", 66, Some(66), true), scan("OpenELIS", 149, None, true), scan("PACS", 1, None, true)];
        let query = ListQuery::parse("q=timeout").unwrap();
        assert_eq!(
            scan_words(&scans, &query).unwrap(),
            "All rows were looked through: 66 of OpenMRS, 149 of OpenELIS and 1 of PACS."
        );
        let further = ListQuery::parse("q=timeout&after=odoo~7~-").unwrap();
        assert_eq!(
            scan_words(&scans, &further).unwrap(),
            "The search has come to the end of OpenMRS, OpenELIS and PACS."
        );
        assert_eq!(scan_words(&[], &query), None);
    }

    #[test]
    fn a_search_that_stopped_says_what_it_did_not_look_at() {
        let scans = [scan("OpenMRS", 66, Some(66), true), scan("Odoo", 20_000, Some(412_000), false)];
        let query = ListQuery::parse("q=timeout").unwrap();
        assert_eq!(
            scan_words(&scans, &query).unwrap(),
            "The newest 20,000 of about 412,000 rows of Odoo were looked through; older ones were not. Of the others all \
             rows were looked through: 66 of OpenMRS."
        );
        for sort in ["id-up", "oldest"] {
            let upwards = ListQuery::parse(&format!("app=odoo&q=timeout&sort={sort}")).unwrap();
            assert_eq!(
                scan_words(&scans[1..], &upwards).unwrap(),
                "The oldest 20,000 of about 412,000 rows of Odoo were looked through; newer ones were not."
            );
        }
        for sort in ["id-down", "newest"] {
            let downwards = ListQuery::parse(&format!("app=odoo&q=timeout&sort={sort}")).unwrap();
            let told = scan_words(&scans[1..], &downwards).unwrap();
            assert!(told.starts_with("The newest 20,000 of") && told.ends_with("older ones were not."), "{told}");
        }
        let further = ListQuery::parse("q=timeout&after=odoo~7~-").unwrap();
        let told = scan_words(&[scan("Odoo", 20_000, None, false)], &further).unwrap();
        assert_eq!(told, "Another 20,000 rows of Odoo were looked through for this page; there are more.");
    }
}
