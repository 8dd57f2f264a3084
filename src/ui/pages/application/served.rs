//! What an application's feed answers over HTTP, beside what its database holds.

use leptos::prelude::*;

use crate::{
    model::{
        Stamp,
        feed::category_of,
        filter::ENTRY_PREFIX,
        probe::{Probe, ProbeAnswer, ProbeResult},
        publisher::PublishedCategory,
        words::{number, span},
    },
    ui::components::{At, ShortId, When},
};

/// The last answer of the probe. `published`: the categories in the database, if they could be read.
#[component]
pub(super) fn Served(probe: Probe, published: Vec<PublishedCategory>) -> impl IntoView {
    let every = span(probe.every_secs);
    let category = category_of(&probe.address);
    let newest =
        published.into_iter().find(|of| of.category.is_some() && of.category.as_deref() == category.as_deref());
    let answer = match probe.last {
        None => view! { <dd>"not requested yet"</dd> }.into_any(),
        Some(last) => answer(last, newest.and_then(|category| category.newest)),
    };
    view! {
        <section class="sheet" aria-labelledby="served">
            <header>
                <h2 id="served">"Its feed over HTTP"</h2>
                <span class="small muted push">"requested every " {every}</span>
            </header>
            <dl class="facts pad">
                <dt>"Address"</dt>
                <dd>
                    <code>{probe.address}</code>
                </dd>
                <dt>"Last answer"</dt>
                {answer}
            </dl>
        </section>
    }
}

fn entries(value: u64) -> String {
    if value == 1 { "1 entry".to_owned() } else { format!("{} entries", number(value)) }
}

fn answer(last: ProbeResult, in_database: Option<Stamp>) -> AnyView {
    let ProbeResult { at, took_ms, since, times, answer } = last;
    let when = view! { <At at=at /> ", after " {format!("{took_ms} ms")} };
    let lasting = (times > 1).then(|| view! { ", like each one since " <At at=since /> });
    match answer {
        ProbeAnswer::Failed { kind, reason } => view! {
            <dd>
                <strong class="risk">"No feed: "</strong>
                {reason}
                <br />
                {when}
                {lasting}
                <br />
                {kind.advice()}
            </dd>
        }
        .into_any(),
        ProbeAnswer::Feed(page) => {
            let newest = page.newest.map(|id| {
                let short = id.strip_prefix(ENTRY_PREFIX).unwrap_or(&id).to_owned();
                view! {
                    <dt>"Newest entry"</dt>
                    <dd>
                        <ShortId text=short />
                        {page.newest_at.map(|at| view! { ", of " <At at=at /> })}
                        {in_database.map(|stamp| view! { "; in the database the newest is of " <When stamp=stamp /> })}
                    </dd>
                }
            });
            let differences = (!page.differences.is_empty()).then(|| {
                let lines = page.differences.iter().map(|one| view! { <li>{one.in_words()}</li> }).collect_view();
                view! {
                    <dt>"Does not fit"</dt>
                    <dd>
                        <ul>{lines}</ul>
                    </dd>
                }
            });
            view! {
                <dd>
                    "a page of the feed with " {entries(page.entries)} ": " <code>{page.page}</code> <br />
                    {when} {lasting}
                </dd>
                {newest}
                {differences}
            }
            .into_any()
        }
    }
}
