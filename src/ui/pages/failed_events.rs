//! Failed events across all applications, or of one application or feed: filter, table, selection, retry.

use std::collections::HashSet;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_url;

use crate::{
    api::failed_events::{Counted, ListPage, Scan, list_causes, list_failed_events},
    error::Problem,
    model::{
        ApplicationInfo, EventState, FailedEventRow,
        application::name_of,
        error_text::visible,
        filter::{Filter, ListQuery, Order, PAGE, Place, SEARCHED, pairs},
        ledger::RequestKind,
        obstacle::{no_address, untitled},
        search::MOST_TERMS,
    },
    ui::{
        components::{
            Back, Chips, Done, EventRow, FieldTold, FilterForm, FormToken, Icon, Marking, MissingParts, Notice,
            NoticeKind, Outcome, Pager, field_id, icon, loaded, row_names, search_further, since_heading, use_base,
        },
        due::{self, Offer},
        islands::{Fresh, Selection},
        pages::causes::Causes,
        sentences,
        visitor::{refused, ticked},
        words,
    },
};

/// The list. The page's query string determines everything that it shows.
#[component]
pub fn FailedEventsPage() -> impl IntoView {
    let query = use_url().read_untracked().search().trim_start_matches('?').to_owned();
    // `by` is a display option and not part of the list's query.
    if pairs(&query).any(|(key, value)| key == "by" && value == "cause") {
        return loaded(list_causes(query), |page| view! { <Causes page /> }).into_any();
    }
    loaded(load(query), |(page, done)| view! { <List page done /> }).into_any()
}

async fn load(query: String) -> Result<(ListPage, Option<Done>), Problem> {
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
    let here = Here::of(&page, done.as_ref());
    view! {
        <Title text=heading.clone() />
        <div class="list-page">
        <Outcome done />
        <div class="head">
            <h1>{heading}</h1>
            {has_rows
                .then(|| {
                    view! {
                        <div class="bar small">
                            <a href=base.export(&export, "csv") download="">
                                "Export CSV"
                            </a>
                            <a href=base.export(&export, "ndjson") download="" title="One event a line, for developers">
                                "Export JSON lines"
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
            masked=page.masked.is_some()
        />
        <Chips
            filter=filter.clone()
            applications=page.applications.clone()
            feeds=page.feeds.clone()
            group=page.group.clone()
            moving=page.moving.clone()
        />
        <MissingParts parts=page.missing.clone() what="list" />
        <NotSearched page=page.clone() />
        <HowMany page=page.clone() />
        {page
            .at_end
            .then(|| {
                view! {
                    <Notice kind=NoticeKind::Info>
                        "This is the last page of the list."
                    </Notice>
                }
            })}
        {if has_rows { view! { <Events page here /> }.into_any() } else { view! { <Nothing page /> }.into_any() }}
        </div>
    }
    .into_any()
}

/// A note for users who may not read the error texts.
#[component]
fn MaskedNote(why: Option<String>) -> impl IntoView {
    why.map(|why| view! { <p class="small muted" title=why>"Error texts are masked: you see the kind of error."</p> })
}

/// A note if the user may not search error texts for the text of the filter: a user who may finds other events at the
/// same address.
#[component]
fn NotSearched(page: ListPage) -> impl IntoView {
    let base = use_base();
    let filter = Filter { text: None, ..page.query.filter.clone() };
    let why = page.masked.filter(|_| page.query.filter.text.is_some());
    why.map(|why| {
        let without = ListQuery { filter, place: Place::default() };
        let match_ = match page.without_text {
            Some(1) => "Without the text 1 event matches: ".to_owned(),
            Some(events) => format!("Without the text {} match: ", words::count(events, "event")),
            None => "Without the text more events can match: ".to_owned(),
        };
        view! {
            <Notice kind=NoticeKind::Info>
                <span title=why>"Your role cannot search error texts. Event ids and titles were searched. "</span>
                {match_}
                <a href=base.failed_events(&without)>"show them"</a>
                "."
            </Notice>
        }
    })
}

/// Returns the names of the list's applications that could not be read, and whether any others were read.
fn unread(page: &ListPage) -> (Vec<String>, bool) {
    let wanted = |app: &ApplicationInfo| page.query.filter.wants_app(&app.key);
    let missing: Vec<&ApplicationInfo> = page.missing.iter().map(|part| &part.app).filter(|app| wanted(app)).collect();
    let read = |app: &&ApplicationInfo| wanted(app) && missing.iter().all(|other| other.key != app.key);
    let others = page.applications.iter().any(|app| read(&app));
    (missing.iter().map(|app| app.name.clone()).collect(), others)
}

/// `1,055 failed events in Odoo, retries used up`; without a number if it is not known, and `Odoo could not be read` if
/// no application could be read.
fn heading(page: &ListPage) -> String {
    let filter = &page.query.filter;
    let whole = page.next.is_none() && page.previous.is_none() && page.missing.is_empty();
    let total = page.total.or_else(|| whole.then_some(page.rows.len() as u64));
    let (unread, others) = unread(page);
    let answered = if unread.is_empty() { "" } else { " in the applications that answered" };
    // Unread applications do not count as zero, and this page does not show their data of the last poll.
    let first = page.previous.is_none();
    let none = page.rows.is_empty() && (total == Some(0) || !unread.is_empty() && first);
    if page.rows.is_empty() && !unread.is_empty() && !others {
        return sentences::none_failed(unread, others);
    }
    if let (Some(text), true) = (&filter.text, none) {
        let yet = if page.scans.iter().all(|scan| scan.complete) { "" } else { " yet" };
        let ids = if page.masked.is_some() { " in event ids and titles" } else { "" };
        return format!("Nothing found{yet}{ids} for “{}”{answered}", visible(text));
    }
    let state = match filter.state {
        Some(EventState::Exhausted) => ", retries used up",
        Some(EventState::Waiting) => ", waiting for retry",
        Some(EventState::Unknown) => ", state unknown",
        None => "",
    };
    let chosen = page.applications.iter().filter(|app| filter.apps.contains(&app.key)).map(|app| visible(&app.name));
    let place = match words::listed(chosen) {
        none if none.is_empty() => String::new(),
        names => format!(" in {names}"),
    };
    if none && !unread.is_empty() {
        return format!("{}{state}", sentences::none_failed(unread, others));
    }
    let rows = page.rows.len() as u64;
    let number = match total {
        Some(0) => "No failed events".to_owned(),
        Some(1) => "1 failed event".to_owned(),
        Some(total) => format!("{} failed events", words::number(total)),
        // More than a page, and the events were not counted, or only up to a limit.
        None if rows > 0 && page.next.is_some() && page.previous.is_none() => {
            let counted = page.counted.as_ref().map_or(0, |counted| counted.total);
            format!("At least {}", words::count(counted.max(rows), "failed event"))
        }
        None => "Failed events".to_owned(),
    };
    format!("{number}{place}{state}")
}

/// The index of the row to which the page returns after an action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Here(Option<usize>);

impl Here {
    /// Returns the row that was acted on if it is still on the page; otherwise the row now in its place.
    fn of(page: &ListPage, done: Option<&Done>) -> Self {
        let Some(done) = done else { return Self(None) };
        let still = page.rows.iter().position(|row| done.took(&row.app, row.id));
        let asked = pairs(use_url().read_untracked().search()).find(|(key, _)| key == "at");
        let place = asked.and_then(|(_, place)| place.parse::<usize>().ok());
        Self(still.or_else(|| Some(place?.min(page.rows.len().checked_sub(1)?))))
    }
}

/// The table, inside the retry form.
#[component]
fn Events(mut page: ListPage, here: Here) -> impl IntoView {
    let base = use_base();
    let query = page.query.to_query();
    let back = format!("/failed-events{}", question(&query));
    let searching = page.scans.iter().any(|scan| !scan.complete);
    let action = base.function("retry");
    let names = row_names(&page.rows, |row| name_of(&page.applications, &row.app));
    let mut chosen: HashSet<String> =
        pairs(use_url().read_untracked().search()).filter(|(key, _)| key == "chosen").map(|(_, event)| event).collect();
    chosen.extend(ticked("rows[]").iter().filter_map(|row| row.rsplit_once(':')).map(|(event, _)| event.to_owned()));
    let may = refused(RequestKind::Retry.right()).is_none();
    let rows = std::mem::take(&mut page.rows).into_iter().map(|row| {
        let refused = page.retry_refused.iter().find(|(key, _)| *key == row.app).map(|(_, why)| why.as_str());
        (Offer::of(&row, refused), row)
    });
    let rows: Vec<(Offer, FailedEventRow)> = rows.collect();
    let open = may && rows.iter().any(|(offer, _)| offer.is_open());
    let untitled = rows.iter().filter(|(offer, row)| offer.is_open() && untitled(row.title.as_deref())).count() as u64;
    let waiting = rows.iter().any(|(offer, _)| *offer == Offer::Risky);
    let times: Vec<_> = rows.iter().map(|(_, row)| row.failed_since()).collect();
    let heading = since_heading(&times);
    // Ids are comparable only within one application, and one application needs no order of applications.
    let of_one = page.query.filter.apps.len() == 1;
    let by_id = of_one.then_some(BY_ID);
    let by_application = (!of_one && page.applications.len() > 1).then_some(BY_APPLICATION);
    let texts = page.masked.is_none();
    let marking = page.query.filter.search().map(|search| Marking { search, texts });
    let searched = marking.is_some();
    let rows = rows
        .into_iter()
        .zip(names)
        .enumerate()
        .map(|(index, ((offer, row), called))| {
            let info = page.applications.iter().find(|app| app.key == row.app);
            let place = name_of(&page.applications, &row.app);
            let feed = page.feeds.iter().find(|feed| feed.app == row.app && feed.uri == row.feed_uri);
            let feed = feed.map(|feed| feed.name.clone());
            let href = base.failed_event_of(&row.app, row.id, &query);
            let ticked = !chosen.is_empty() && chosen.contains(&format!("{}:{}", row.app, row.id));
            let (offer, limits) = (may.then_some(offer), info.map(|info| info.limits));
            let kind = info.map(|info| info.kind);
            let (action, here, search) = (action.clone(), here.0 == Some(index), marking.clone());
            view! { <EventRow row href place feed kind limits offer called ticked index action here search /> }
        })
        .collect_view();
    view! {
        <PlanForm filter=page.query.filter.clone() />
        <form class="sheet events" method="post" action=action data-selection="">
            <FormToken />
            <input type="hidden" name="back" value=back />
            <Bulk page=page.clone() may open waiting />
            {untitled_here(untitled).filter(|_| may).map(|sentence| view! { <p class="small risk note">{sentence}</p> })}
            <Refused refused=page.retry_refused.clone() filter=page.query.filter.clone() applications=page.applications.clone() />
            <News page=page.clone() />
            <table class=if searched { "cards found" } else { "cards" } data-ended="Not in this list any more.">
                <caption class="unseen">"Failed events: record, error, feed, state, first failure, retries, last retry"</caption>
                <thead>
                    <tr>
                        {may
                            .then(|| {
                                view! {
                                    <th scope="col" class="tick">
                                        <span class="unseen">"Selected"</span>
                                    </th>
                                }
                            })}
                        <SortHead query=page.query.clone() text="Record" class="named" by=by_id />
                        <th scope="col" class="said">"Latest error"</th>
                        <SortHead query=page.query.clone() text="Feed" class="where" by=by_application />
                        <th scope="col" class="what">"State"</th>
                        <SortHead query=page.query.clone() text=heading class="at" by=Some(BY_TIME) />
                        <th scope="col" class="num tries">
                            "Retries"<span class="last">", last"</span>
                        </th>
                        {may
                            .then(|| {
                                view! {
                                    <th scope="col" class="act">
                                        <span class="unseen">"Retry"</span>
                                    </th>
                                }
                            })}
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

/// The orders of a column.
#[derive(Clone, Copy)]
struct SortBy {
    /// The order after a first click, and the text of its link.
    first: (Order, &'static str),
    /// The reverse order.
    second: (Order, &'static str),
    /// Whether the first order is ascending.
    first_is_up: bool,
}

const BY_TIME: SortBy =
    SortBy { first: (Order::Newest, "Newest first"), second: (Order::Oldest, "Oldest first"), first_is_up: false };
const BY_ID: SortBy = SortBy {
    first: (Order::IdUp, "Lowest row id first, as the consumer retries"),
    second: (Order::IdDown, "Highest row id first"),
    first_is_up: true,
};
const BY_APPLICATION: SortBy = SortBy {
    first: (Order::Application, "By application, A to Z"),
    second: (Order::ApplicationDown, "By application, Z to A"),
    first_is_up: true,
};

/// The heading of a column: a link that sorts by it, in reverse if the list is already sorted by it. `by`: `None` if
/// this list cannot be sorted so.
#[component]
fn SortHead(query: ListQuery, text: &'static str, class: &'static str, by: Option<SortBy>) -> impl IntoView {
    let Some(by) = by else {
        return view! {
            <th scope="col" class=class>
                {text}
            </th>
        }
        .into_any();
    };
    let base = use_base();
    let now = query.filter.order;
    let (up, next) = match now {
        order if order == by.first.0 => (Some(by.first_is_up), by.second),
        order if order == by.second.0 => (Some(!by.first_is_up), by.first),
        _ => (None, by.first),
    };
    let list = ListQuery { filter: Filter { order: next.0, ..query.filter }, place: Place::default() };
    let sorted = up.map(|up| if up { "ascending" } else { "descending" });
    let mark = up.map(|up| if up { " ↑" } else { " ↓" });
    view! {
        <th scope="col" class=class aria-sort=sorted>
            <a href=base.failed_events(&list) title=next.1>
                {text}
                {mark.map(|mark| view! { <span aria-hidden="true">{mark}</span> })}
            </a>
        </th>
    }
    .into_any()
}

/// The forms that plan all matches are outside the list's own form; their buttons reference them by id.
const PLAN_FORM: &str = "plan-all";

#[component]
fn PlanForm(filter: Filter) -> impl IntoView {
    let base = use_base();
    view! {
        <form id=PLAN_FORM method="post" action=base.function("plan_operation") hidden=true>
            <FormToken />
            <Back />
            <input type="hidden" name="query" value=filter.to_query() />
        </form>
    }
    .into_any()
}

/// The bar of actions on several rows: the ticked ones, or all matches. Its line is there from the start, so that
/// ticking rows moves nothing. Users without rights see no buttons.
#[component]
fn Bulk(
    page: ListPage,
    /// The user may retry.
    may: bool,
    /// At least one row of the page can be retried.
    open: bool,
    waiting: bool,
) -> impl IntoView {
    let base = use_base();
    let filter = page.query.filter.clone();
    let may_discard = may && refused(RequestKind::Discard.right()).is_none();
    let acts = page
        .applications
        .iter()
        .any(|app| filter.wants_app(&app.key) && !page.retry_refused.iter().any(|(key, _)| *key == app.key));
    let all = |kind, text: String| {
        view! {
            <button type="submit" form=PLAN_FORM name="kind" value=kind.word()>
                <Icon name=icon(kind) />
                {text}
            </button>
        }
    };
    let retry = retry_all(&page).filter(|_| may && acts).map(|text| all(RequestKind::Retry, text));
    let discard = (may_discard && acts).then(|| all(RequestKind::Discard, discard_all(page.total)));
    let ticked = may.then(|| {
        view! {
            <label class="tick">
                <input type="checkbox" data-select-all="" hidden=true disabled=!open />
                <span data-selected="" data-none="Select all on this page" data-text="{n} selected" aria-live="polite">
                    "Select events to retry"
                </span>
            </label>
            <span class="bar" data-if-selected="">
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
                {may_discard
                    .then(|| {
                        view! {
                            <button
                                type="submit"
                                formaction=base.function("plan_operation")
                                name="kind"
                                value=RequestKind::Discard.word()
                                data-discard-selected=""
                                disabled=!open
                            >
                                "Discard selected…"
                            </button>
                        }
                    })}
                {waiting
                    .then(|| {
                        view! {
                            <span class="small risk" data-if-waiting="" title=due::RISK>
                                {due::RISK}
                            </span>
                        }
                    })}
            </span>
        }
    });
    view! {
        <div class="bar selection" id=field_id("rows")>
            {ticked} <MaskedNote why=page.masked.clone() />
            <FieldTold name="rows" />
            <span class="bar push">
                {retry} {discard}
                <a class="button" href=base.causes(&filter)>
                    "Group by cause"
                </a>
            </span>
        </div>
    }
    .into_any()
}

/// The warning before a retry of rows without a title, if the page has any.
fn untitled_here(rows: u64) -> Option<String> {
    let whose = match rows {
        0 => return None,
        1 => "1 event on this page has no title".to_owned(),
        rows => format!("{} events on this page have no title", words::number(rows)),
    };
    Some(format!("{whose}. Some consumers drop such events without processing."))
}

/// Returns the label for a retry of all matches; `None` if there is nothing to retry.
fn retry_all(page: &ListPage) -> Option<String> {
    match (page.query.filter.state, page.to_retry) {
        (Some(EventState::Unknown), _) | (_, Some(0)) => None,
        // The retry job finds none of these events.
        _ if page.query.filter.feed.as_deref().is_some_and(|feed| no_address(Some(feed))) => None,
        (_, Some(number)) => Some(format!("Retry all {}…", words::number(number))),
        (Some(EventState::Waiting), None) => Some("Retry all that match…".to_owned()),
        _ => Some("Retry all with retries used up…".to_owned()),
    }
}

fn discard_all(total: Option<u64>) -> String {
    total.map_or_else(|| "Discard all that match…".to_owned(), |all| format!("Discard all {}…", words::number(all)))
}

/// Announces events that arrived since the list was read.
#[component]
fn News(page: ListPage) -> impl IntoView {
    let base = use_base();
    let filter = &page.query.filter;
    let newest = ListQuery { filter: Filter { order: Order::Newest, ..filter.clone() }, place: Place::default() };
    view! { <Fresh ask=base.news(filter, &page.mark) show=base.failed_events(&newest) /> }.into_any()
}

/// Why nothing can be retried although the user may retry: each reason once, on one line.
#[component]
fn Refused(refused: Vec<(String, String)>, filter: Filter, applications: Vec<ApplicationInfo>) -> impl IntoView {
    if self::refused(RequestKind::Retry.right()).is_some() {
        return ().into_any();
    }
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for (key, why) in refused.into_iter().filter(|(key, _)| filter.wants_app(key)) {
        let name = name_of(&applications, &key);
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, names)) => names.push(name),
            None => reasons.push((why, vec![name])),
        }
    }
    reasons
        .into_iter()
        .map(|(why, names)| {
            view! { <p class="small muted note">"No retry in " {words::listed(names)} ": " {why}</p> }
        })
        .collect_view()
        .into_any()
}

/// What is known of the number of matches, and what a retry of all would include. A search continues only on request.
#[component]
fn HowMany(page: ListPage) -> impl IntoView {
    let base = use_base();
    let open = page.scans.iter().any(|scan| !scan.complete);
    let further = page.next.as_ref().filter(|_| open).map(|list| base.failed_events(list));
    let rows = page.rows.len() as u64;
    let first_page = page.query.place == Place::default();
    let uncounted = page.total.is_none() && page.counted.is_none() && page.next.is_some() && first_page && rows > 0;
    // On a full page the extent of the scan says nothing: the search stopped at its last row.
    let scanned = (rows < u64::from(PAGE)).then(|| scan_words(&page.scans, &page.query)).flatten();
    let (said, count) = match &page.counted {
        Some(counted) => (counted_words(counted), false),
        None if uncounted => {
            (Some(format!("At least {} {}.", words::number(rows), if rows == 1 { "matches" } else { "match" })), true)
        }
        None => (None, false),
    };
    let covers = covers(&page).filter(|_| refused(RequestKind::Retry.right()).is_none());
    if said.is_none() && scanned.is_none() {
        return ().into_any();
    }
    let scanned = scanned.filter(|_| page.counted.is_none());
    view! {
        <Notice kind=NoticeKind::Info>
            {said} {count.then(|| view! { " " <a href=base.counted(&page.query.filter)>"Count all"</a> })}
            {scanned.map(|words| format!(" {words}"))}
            {further.map(|href| view! { " " <a href=href rel="next">{search_further(page.query.filter.order)}</a> })}
            {covers.map(|words| format!(" {words}"))}
        </Notice>
    }
    .into_any()
}

/// The count, and which rows it covers.
fn counted_words(counted: &Counted) -> Option<String> {
    let read = words::listed(
        counted
            .scans
            .iter()
            .filter(|scan| scan.looked_at > 0)
            .map(|scan| format!("{} of {}", words::number(scan.looked_at), visible(&scan.app.name))),
    );
    let from = if read.is_empty() { String::new() } else { format!(" Rows that were read: {read}.") };
    let total = words::number(counted.total);
    Some(match counted.complete {
        true => format!("{total} match, counted in whole tables.{from}"),
        false => format!("At least {total} match. The count stopped at its limit, the newest rows first.{from}"),
    })
}

/// What the retry of all matches includes, if its button shows no number.
fn covers(page: &ListPage) -> Option<String> {
    let label = retry_all(page).filter(|_| page.to_retry.is_none() && !page.rows.is_empty())?;
    Some(format!(
        "“{label}” takes every event that matches, also those that no page has shown yet. Its plan says how many, before \
         anything is changed."
    ))
}

/// How far a text search read: a sentence for each table with more rows, and one for all complete tables. `None` if
/// nothing was searched. A search reads by id, the highest first unless the list is in id order.
fn scan_words(scans: &[Scan], query: &ListQuery) -> Option<String> {
    let first_page = query.place == Place::default();
    let (complete, open): (Vec<&Scan>, Vec<&Scan>) = scans.iter().partition(|scan| scan.complete);
    let newest = if query.filter.order.descending() { "newest" } else { "oldest" };
    let mut sentences: Vec<String> = open
        .iter()
        .map(|scan| {
            let (looked, name) = (words::number(scan.looked_at), &scan.app.name);
            // The last poll may have counted fewer rows than there are now.
            let of = scan.of.filter(|of| *of > scan.looked_at);
            let of = of.map_or_else(String::new, |of| format!(" of about {}", words::number(of)));
            let which = if first_page { format!("the {newest}") } else { "another".to_owned() };
            format!("Searched {which} {looked}{of} events of {name}.")
        })
        .collect();
    match (open.as_slice(), complete.as_slice()) {
        (_, []) => {}
        ([], _) => sentences.push("Searched all events.".to_owned()),
        (_, complete) => {
            let names = words::listed(complete.iter().map(|scan| scan.app.name.clone()));
            sentences.push(format!("Searched all events of {names}."));
        }
    }
    if !open.is_empty() {
        sentences.push("More results may exist.".to_owned());
    }
    let cut = query.filter.search().is_some_and(|search| search.cut);
    if cut && !sentences.is_empty() {
        sentences.push(format!(
            "Only the first {SEARCHED} characters and the {MOST_TERMS} longest words were searched for."
        ));
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// An empty list, with the reason and what to do.
#[component]
fn Nothing(page: ListPage) -> impl IntoView {
    let base = use_base();
    let everything = base.failed_events(&ListQuery::default());
    let filter = &page.query.filter;
    let (lost, others) = unread(&page);
    let (text, way) = if page.scans.iter().any(|scan| !scan.complete) {
        ("Nothing found yet.", None)
    } else if page.query.place != Place::default() {
        let first = ListQuery { filter: filter.clone(), place: Place::default() };
        ("No more events in this direction.", Some((base.failed_events(&first), "To the beginning of the list")))
    } else if !lost.is_empty() {
        match others {
            true => ("No failed events in the applications that answered.", None),
            false => ("Nothing could be read.", None),
        }
    } else if !filter.is_everything() {
        ("No results. Change or clear the filter.", Some((everything, "All failed events")))
    } else {
        ("No failed events. Processed and unread events are not in these tables.", Some((base.overview(), "Overview")))
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
                <MaskedNote why=page.masked.clone() />
            </div>
        </section>
    }
    .into_any()
}

fn question(query: &str) -> String {
    if query.is_empty() { String::new() } else { format!("?{query}") }
}

#[cfg(test)]
mod tests;
