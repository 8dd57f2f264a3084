//! Why a feed fails, in a few lines: its most frequent causes with their numbers, each a link to its failed events.

use leptos::prelude::*;

use super::use_base;
use crate::{
    model::{
        cause::Cause,
        error_text::shortened,
        filter::{Filter, ListQuery},
    },
    ui::words,
};

/// Maximum characters of a cause in a line.
const SHOWN: usize = 90;

/// The list; empty if no cause is known. `total`: all failed events of the feed, to count those of other causes.
/// `about`: the feed's name, because screen readers read a link without its line, and several feeds can share a cause.
#[component]
pub fn TopCauses(app: String, uri: Option<String>, causes: Vec<Cause>, total: u64, about: String) -> impl IntoView {
    if causes.is_empty() {
        return ().into_any();
    }
    let base = use_base();
    let feed = Filter { apps: vec![app], feed: Some(uri.unwrap_or_default()), ..Filter::default() };
    let others = total.saturating_sub(causes.iter().map(|cause| cause.failed).sum());
    let by_cause = base.causes(&feed);
    let of = format!(", {about}");
    let of_other = of.clone();
    let lines = causes.into_iter().map(|cause| {
        let list = ListQuery { filter: Filter { group: Some(cause.fault), ..feed.clone() }, ..ListQuery::default() };
        let says = cause.says();
        view! {
            <li data-key=cause.fault.to_string()>
                <b class="number">{words::number(cause.failed)}</b>
                " "
                <a href=base.failed_events(&list) title=says.clone()>
                    {shortened(&says, SHOWN)}
                    <span class="unseen">{of.clone()}</span>
                </a>
            </li>
        }
    });
    view! {
        <ul class="plain causes">
            {lines.collect_view()}
            {(others > 0)
                .then(|| {
                    view! {
                        <li>
                            <b class="number">{words::number(others)}</b>
                            " "
                            <a href=by_cause>"other" <span class="unseen">{of_other}</span></a>
                        </li>
                    }
                })}
        </ul>
    }
    .into_any()
}
