//! The demo hospital's own page: present troubles that can be fixed, troubles that can be started, and the running
//! jobs.
//!
//! Real hospitals do not have it: it exists only if the console runs on the demo.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    api::demo::view_demo_hospital,
    model::{
        Right,
        demo::{Breakage, DemoHospital, Example, Job, Run, Trouble},
        search::SearchQuery,
    },
    ui::{
        components::{At, FormToken, Icon, Notice, NoticeKind, loaded, now, use_base},
        visitor::use_visitor,
        words,
    },
};

#[component]
pub fn DemoPage() -> impl IntoView {
    loaded(view_demo_hospital(), |hospital| view! { <Hospital hospital /> })
}

#[component]
fn Hospital(hospital: DemoHospital) -> impl IntoView {
    let lead = match hospital.pace {
        0 => "Everything here is invented. No consumer is running (--pace 0): retries are requested but not processed."
            .to_owned(),
        1 => "Everything here is invented. The consumers are as fast as real ones.".to_owned(),
        pace => format!(
            "Everything here is invented. The consumers are {pace} times as fast as real ones: a run every {} instead of \
             30 s.",
            words::interval(30.0 / f64::from(pace))
        ),
    };
    view! {
        <Title text="Demo hospital" />
        <div class="head">
            <div>
                <h1>"The demo hospital"</h1>
                <p class="lead">{lead}</p>
            </div>
        </div>
        {may_not().map(|why| view! { <Notice kind=NoticeKind::Info>{why}</Notice> })}
        <section class="sheet" aria-labelledby="wrong">
            <header>
                <h2 id="wrong">"What is wrong now"</h2>
                <span class="small muted">"Fix it, then retry the failed events."</span>
            </header>
            <Troubles troubles=hospital.troubles />
        </section>
        {(!hospital.examples.is_empty()).then(|| view! { <Examples examples=hospital.examples /> })}
        <section class="sheet" aria-labelledby="break">
            <header>
                <h2 id="break">"Simulate a problem"</h2>
            </header>
            <Breakages breakages=hospital.breakages />
        </section>
        <section class="sheet" aria-labelledby="work">
            <header>
                <h2 id="work">"Consumers"</h2>
                <span class="small muted">"Each consumer reads its feeds and retries what failed, on a schedule."</span>
            </header>
            <Jobs jobs=hospital.jobs />
        </section>
        <Feeds feeds=hospital.feeds />
    }
    .into_any()
}

/// Returns why the user may neither start nor fix troubles; `None` if the user may.
fn may_not() -> Option<String> {
    let lacking = use_visitor().person?.lacks(Right::Retry)?;
    Some(format!("You cannot simulate problems. {lacking} {}", lacking.advice()))
}

#[component]
fn Troubles(troubles: Vec<Trouble>) -> impl IntoView {
    if troubles.is_empty() {
        return view! { <p class="empty">"Nothing is wrong. All retries will succeed now."</p> }.into_any();
    }
    let action = use_base().function("demo_mend");
    let off = may_not().is_some();
    let rows = troubles
        .into_iter()
        .map(|trouble| {
            let scope = scope(&trouble);
            let fix = trouble
                .fix
                .map(|label| {
                    view! {
                        <form method="post" action=action.clone()>
                            <FormToken />
                            <input type="hidden" name="trouble" value=trouble.id.to_string() />
                            <button type="submit" class="primary" disabled=off>
                                {label}
                            </button>
                        </form>
                    }
                });
            view! {
                <li class="concern failing">
                    <p class="small muted">"since " <At at=trouble.began_at /></p>
                    <div class="say">
                        <p>
                            <strong>{trouble.title}</strong>
                            " "
                            <span class="muted">{scope}</span>
                        </p>
                        <p class="todo">
                            {trouble.effect} {trouble.until.map(|until| view! { " Ends automatically " {ends(until)} "." })}
                        </p>
                    </div>
                    <div class="bar">{fix}</div>
                </li>
            }
        })
        .collect_view();
    view! { <ul class="concerns">{rows}</ul> }.into_any()
}

/// What a trouble affects, in words; `None` if it affects everything.
fn scope(trouble: &Trouble) -> Option<String> {
    let of = trouble.records.filter(|records| *records > 0).map(|records| words::count(records, "record"));
    let next = (trouble.catches > 0).then(|| format!("the next {}", trouble.catches));
    let parts: Vec<String> = of.into_iter().chain(next).collect();
    (!parts.is_empty()).then(|| format!("({})", words::listed(parts)))
}

fn ends(until: chrono::DateTime<chrono::Utc>) -> String {
    let seconds = (until - now()).num_seconds().max(1);
    format!("in {}", words::span(seconds.unsigned_abs()))
}

#[component]
fn Examples(examples: Vec<Example>) -> impl IntoView {
    let base = use_base();
    let rows = examples
        .into_iter()
        .map(|example| {
            let link = example.number.map(|number| {
                let query = SearchQuery { typed: number.clone(), ..SearchQuery::default() };
                view! {
                    " "
                    <a href=base.search(&query)>{number}</a>
                }
            });
            view! {
                <li class="whole">
                    <strong>{example.title}</strong>
                    {link}
                    <span class="block small muted">{example.expected}</span>
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="sheet" aria-labelledby="follow">
            <header>
                <h2 id="follow">"Follow these on their way"</h2>
                <span class="small muted">
                    "Orders, a sample and a patient, as they were when the hospital was made: a retry can have brought them further."
                </span>
            </header>
            <ul class="plain pad">{rows}</ul>
        </section>
    }
}

#[component]
fn Breakages(breakages: Vec<Breakage>) -> impl IntoView {
    let action = use_base().function("demo_break");
    let off = may_not().is_some();
    let rows = breakages
        .into_iter()
        .map(|breakage| {
            view! {
                <li class="breakage">
                    <form method="post" action=action.clone()>
                        <FormToken />
                        <input type="hidden" name="what" value=breakage.word />
                        <button type="submit" disabled=off>{breakage.label}</button>
                    </form>
                    <p class="small muted">{breakage.effect}</p>
                </li>
            }
        })
        .collect_view();
    view! { <ul class="plain pad breakages">{rows}</ul> }
}

#[component]
fn Jobs(jobs: Vec<Job>) -> impl IntoView {
    let rows = jobs
        .into_iter()
        .map(|job| {
            let every = format!(
                "reads every {}, retries every {}",
                words::interval(job.feed_interval_secs),
                words::interval(job.retry_interval_secs)
            );
            view! {
                <tr>
                    <th scope="row">
                        {job.system}
                        <span class="block small muted">{every}</span>
                    </th>
                    <td data-label="Feed" class="address">
                        {job.feed}
                    </td>
                    <td data-label="Last read" class="ran">{ran(job.read, "processed")}</td>
                    <td data-label="Last retried" class="ran">{ran(job.retried, "succeeded")}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <table class="cards">
            <caption class="unseen">"Consumers: feed, last read, last retried"</caption>
            <thead>
                <tr>
                    <th scope="col">"Consumer"</th>
                    <th scope="col">"Feed"</th>
                    <th scope="col">"Last read"</th>
                    <th scope="col">"Last retried"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
}

fn ran(run: Option<Run>, succeeded: &'static str) -> AnyView {
    let Some(run) = run else { return view! { <span class="none">"not yet"</span> }.into_any() };
    let mut parts = Vec::new();
    if run.succeeded > 0 {
        parts.push(format!("{} {succeeded}", words::number(run.succeeded)));
    }
    if run.failed > 0 {
        parts.push(format!("{} failed", words::number(run.failed)));
    }
    let told = if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") };
    view! {
        <div>
            <span class="block">
                <At at=run.at />
                ": "
                {told}
            </span>
            {run.ended.map(|ended| view! { <span class="block small risk whole"><Icon name="failing" /> " " {ended}</span> })}
        </div>
    }
    .into_any()
}

#[component]
fn Feeds(feeds: Vec<(String, String)>) -> impl IntoView {
    let links = feeds
        .into_iter()
        .map(|(what, path)| {
            view! {
                <li class="whole">
                    <a href=path.clone()>{path.clone()}</a>
                    " "
                    <span class="small muted">{what}</span>
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="sheet" aria-labelledby="feeds">
            <header>
                <h2 id="feeds">"Its feeds"</h2>
                <span class="small muted">
                    "Open one and view its source. The links in them lead to the systems' own addresses, which exist only inside the demo."
                </span>
            </header>
            <ul class="plain pad">{links}</ul>
        </section>
    }
}
