//! The audit log: who did and viewed what.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_url;

use crate::{
    api::audit::{AuditPage as Page, list_audit},
    model::{
        ApplicationInfo,
        application::name_of,
        audit::{AuditEntry, AuditFilter, AuditKind},
        error_text::visible,
        filter::{LONGEST_NAME, PASTED},
    },
    ui::components::{At, Icon, Steps, TimeField, loaded, use_base},
};

/// The log. The page's query string determines everything that it shows.
#[component]
pub fn AuditPage() -> impl IntoView {
    let query = use_url().read_untracked().search().trim_start_matches('?').to_owned();
    view! {
        <Title text="Audit log" />
        {loaded(list_audit(query), |page| view! { <Log page /> })}
    }
}

#[component]
fn Log(page: Page) -> impl IntoView {
    let base = use_base();
    let everything = page.filter == AuditFilter { only: page.filter.only.clone(), ..AuditFilter::default() };
    let empty = match (page.entries.is_empty(), page.later, everything) {
        (false, ..) => None,
        (true, true, _) => Some("There are no older entries."),
        (true, false, true) => Some("No entries yet."),
        (true, false, false) => Some("No results. Change or clear the filter."),
    };
    let export = (!page.entries.is_empty()).then(|| base.audit_export(&page.filter));
    view! {
        <div class="head">
            <div>
                <h1>"Audit log"</h1>
                <p class="lead">
                    "Who did what, and who saw which payload, newest first. Entries cannot be changed. Verify with "
                    <code>{page.verify.clone()}</code> "."
                </p>
            </div>
            {export
                .map(|href| {
                    view! {
                        <div class="bar">
                            <a class="button" href=href download="">
                                "Export CSV"
                            </a>
                        </div>
                    }
                })}
        </div>
        <Search filter=page.filter.clone() names=page.names.clone() applications=page.applications.clone() />
        {match empty {
            Some(text) => view! { <p class="sheet empty">{text}</p> }.into_any(),
            None => view! { <Entries page /> }.into_any(),
        }}
    }
    .into_any()
}

/// A plain form that requests the log again: all its values are in the URL.
#[component]
fn Search(filter: AuditFilter, names: Vec<String>, applications: Vec<ApplicationInfo>) -> impl IntoView {
    let base = use_base();
    let option = |value: &str, text: String, chosen: bool| {
        view! {
            <option value=value.to_owned() selected=chosen>
                {text}
            </option>
        }
        .into_any()
    };
    let kinds = AuditKind::ALL.map(|kind| option(kind.word(), kind.label().to_owned(), filter.kind == Some(kind)));
    let apps: Vec<_> = applications
        .into_iter()
        .map(|app| option(&app.key, app.name, filter.app.as_deref() == Some(&app.key)))
        .collect();
    view! {
        <form class="filters sheet" method="get" action=base.audit(&AuditFilter::default(), None) aria-label="Search">
            <label>
                <span>"Who"</span>
                <input name="who" maxlength=LONGEST_NAME.to_string() list="names" value=filter.who.clone().unwrap_or_default() />
                <datalist id="names">
                    {names.into_iter().map(|name| view! { <option value=name></option> }).collect_view()}
                </datalist>
            </label>
            <label>
                <span>"What happened"</span>
                <select name="kind">
                    <option value="">"Everything"</option>
                    {kinds.into_iter().collect_view()}
                </select>
            </label>
            <label>
                <span>"Application"</span>
                <select name="app">
                    <option value="">"All"</option>
                    {apps}
                </select>
            </label>
            <TimeField name="from" text="From" value=filter.from />
            <TimeField name="until" text="To" value=filter.until />
            <label class="wide">
                <span>"Search in text, reason, name and address"</span>
                <input type="search" name="q" maxlength=PASTED.to_string() value=filter.text.clone().unwrap_or_default() />
            </label>
            <button type="submit" class="primary">
                <Icon name="search" />
                "Search"
            </button>
        </form>
    }
    .into_any()
}

#[component]
fn Entries(page: Page) -> impl IntoView {
    let base = use_base();
    let newest = base.audit(&page.filter, None);
    let older = page.next.map(|next| base.audit(&page.filter, Some(next)));
    let pager = page.later || older.is_some();
    let applications = page.applications;
    view! {
        <div class="sheet fits">
            <table class="cards">
                <caption class="unseen">"Audit log: number, when, who, what happened, outcome, reason"</caption>
                <thead>
                    <tr>
                        <th scope="col" class="num">"No."</th>
                        <th scope="col">"When"</th>
                        <th scope="col">"Who"</th>
                        <th scope="col">"What happened"</th>
                        <th scope="col">"Outcome"</th>
                        <th scope="col">"Reason"</th>
                    </tr>
                </thead>
                <tbody>
                    {page.entries.into_iter().map(|entry| view! { <Row entry applications=applications.clone() /> }).collect_view()}
                </tbody>
            </table>
            <Steps first=pager.then_some(("Newest", newest)) next=older.map(|href| ("Older", href)) />
        </div>
    }
    .into_any()
}

#[component]
fn Row(entry: AuditEntry, applications: Vec<ApplicationInfo>) -> impl IntoView {
    let base = use_base();
    let kind = visible(entry.kind_label());
    let app = entry.app.as_deref().map(|key| name_of(&applications, key));
    let from = [entry.signed_in_by.as_str(), entry.address.as_str()].map(visible);
    let from = from.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let who = match entry.who.as_str() {
        "" => view! { <span class="none">"–"</span> }.into_any(),
        who => view! { <bdi>{visible(who)}</bdi> }.into_any(),
    };
    let what = (!entry.what.is_empty()).then(|| visible(&entry.what));
    view! {
        <tr>
            <td class="num" data-label="No.">
                <span title=entry.hash.clone()>{entry.sequence}</span>
            </td>
            <td data-label="When">
                <At at=entry.at exact=true />
            </td>
            <td data-label="Who" class="actor">
                <div>{who} " " <span class="small muted whole">{from}</span></div>
            </td>
            <th scope="row">
                {match entry.action {
                    Some(action) => {
                        view! {
                            <a href=base.operation(action)>{kind} <span class="unseen">{format!(", operation {action}")}</span></a>
                        }
                            .into_any()
                    }
                    None => kind.into_any(),
                }} {app.map(|app| view! { <span class="muted">" · " {app}</span> })}
                {what.map(|what| view! { <span class="small muted block"><bdi>{what}</bdi></span> })}
            </th>
            <td data-label="Outcome">{if entry.outcome == "done" { "OK".to_owned() } else { visible(&entry.outcome) }}</td>
            <td data-label="Reason">
                {match entry.reason {
                    Some(reason) => view! { <bdi>{visible(&reason)}</bdi> }.into_any(),
                    None => view! { <span class="none">"–"</span> }.into_any(),
                }}
            </td>
        </tr>
    }
    .into_any()
}
