//! What an application publishes itself: categories, chunks and offset markers.

use leptos::prelude::*;

use crate::{
    error::Problem,
    model::{
        Availability,
        publisher::{Chunk, OffsetMarker, OffsetMarkers, PublishedCategory, Publisher},
    },
    ui::{
        components::{At, NotHere, Notice, NoticeKind, Number, ProblemView, When},
        words,
    },
};

/// The publisher's side: events by category, the queue, offset markers, chunking.
#[component]
pub(super) fn Publishes(publisher: Result<Publisher, Problem>) -> impl IntoView {
    let counted = publisher.as_ref().ok().map(|publisher| publisher.counted_at.clone());
    let body = match publisher {
        Ok(publisher) => published(publisher),
        Err(problem) => view! {
            <div class="pad">
                <ProblemView problem=problem part=true />
            </div>
        }
        .into_any(),
    };
    view! {
        <section class="sheet" aria-labelledby="publishes">
            <header>
                <h2 id="publishes">"What it publishes"</h2>
                {counted.map(|stamp| view! { <span class="small muted push">"counted " <When stamp=stamp /></span> })}
            </header>
            {body}
        </section>
    }
}

fn published(publisher: Publisher) -> AnyView {
    let queue = match publisher.queue {
        Availability::Here(queue) if queue.length == 0 => "none".into_any(),
        Availability::Here(queue) => view! {
            {format!("{} not on a feed yet", queue.in_words())}
            {match publisher.counted_at.at.and_then(|now| Some((queue.waits_since(now)?, queue.is_dated(now)))) {
                Some((since, true)) => view! { ", the oldest " <At at=since /> }.into_any(),
                Some((since, false)) => {
                    view! { ", the oldest " <At at=since /> " or earlier: not all have a time that can be used" }.into_any()
                }
                None => ", with no time that can be used".into_any(),
            }}
        }
        .into_any(),
        Availability::NotHere(reason) => view! { <NotHere reason=reason /> }.into_any(),
    };
    let chunking = match publisher.chunking {
        Availability::Here(chunks) => chunks_in_words(&chunks).into_any(),
        Availability::NotHere(reason) => view! { <NotHere reason=reason /> }.into_any(),
    };
    view! {
        {categories(publisher.categories)}
        <dl class="facts pad ruled">
            <dt>"Events in the queue"</dt>
            <dd>{queue}</dd>
            <dt>"Entries a page"</dt>
            <dd>{chunking}</dd>
        </dl>
        {offset_markers(publisher.offset_markers)}
    }
    .into_any()
}

fn categories(categories: Availability<Vec<PublishedCategory>>) -> AnyView {
    let categories = match categories {
        Availability::NotHere(reason) => {
            return view! {
                <div class="pad">
                    <NotHere reason=reason />
                </div>
            }
            .into_any();
        }
        Availability::Here(categories) if categories.is_empty() => {
            return view! { <p class="empty">"Nothing has been published yet."</p> }.into_any();
        }
        Availability::Here(categories) => categories,
    };
    let rows = categories
        .into_iter()
        .map(|category| {
            view! {
                <tr>
                    <th scope="row">{category_name(category.category)}</th>
                    <td class="num" data-label="Events">
                        <Number value=category.count />
                    </td>
                    <td class="num" data-label="Newest id">
                        {category.newest_id.map(|id| view! { <Number value=id.0 /> })}
                    </td>
                    <td data-label="Newest">
                        <When stamp=category.newest />
                    </td>
                    <td data-label="Oldest">
                        <When stamp=category.oldest />
                    </td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <table class="cards">
            <caption class="unseen">"Published events by category"</caption>
            <thead>
                <tr>
                    <th scope="col">"Category"</th>
                    <th scope="col" class="num">"Events"</th>
                    <th scope="col" class="num">"Newest id"</th>
                    <th scope="col">"Newest"</th>
                    <th scope="col">"Oldest"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

fn category_name(category: Option<String>) -> AnyView {
    match category {
        Some(name) if !name.is_empty() => name.into_any(),
        _ => view! { <span class="none">"no category"</span> }.into_any(),
    }
}

/// "5 from the first event on, 10 from position 101 on", with a warning about unusable rows.
fn chunks_in_words(chunks: &[Chunk]) -> String {
    if chunks.is_empty() {
        return "chunking_history is empty: the publisher cannot build pages.".to_owned();
    }
    let parts: Vec<String> = chunks
        .iter()
        .map(|chunk| match chunk.start {
            1 => format!("{} from the first event on", words::number(chunk.length)),
            start => format!("{} from position {} on", words::number(chunk.length), words::number(start)),
        })
        .collect();
    let parts = parts.join(", ");
    let fault = if chunks.iter().any(|chunk| chunk.length < 1 || chunk.start < 1) {
        "Lengths and starts in chunking_history must be 1 or more: otherwise"
    } else if chunks.iter().zip(chunks.iter().skip(1)).any(|(before, after)| after.start <= before.start) {
        "Each row of chunking_history, in the order of the ids, must start after the row before: otherwise"
    } else {
        return parts;
    };
    format!("{parts}. {fault} pages are missing or overlap, and consumers read events twice or stop.")
}

fn offset_markers(markers: Availability<OffsetMarkers>) -> AnyView {
    let heading = view! {
        <header class="inner">
            <h3>"Offset markers"</h3>
        </header>
    };
    let body = match markers {
        Availability::NotHere(reason) => view! {
            <div class="pad">
                <NotHere reason=reason />
            </div>
        }
        .into_any(),
        Availability::Here(markers) if markers.rows.is_empty() => view! {
            <p class="empty">"None. Pages are counted from the first event."</p>
            {not_listed(&markers)}
        }
        .into_any(),
        Availability::Here(markers) => view! {
            {miscounts(&markers)}
            <table class="cards">
                <caption class="unseen">"Offset markers by category"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Category"</th>
                        <th scope="col" class="num">"Up to event id"</th>
                        <th scope="col" class="num">"Events until there"</th>
                        <th scope="col" class="num">"Behind the newest"</th>
                    </tr>
                </thead>
                <tbody>{markers.rows.clone().into_iter().map(offset_marker).collect_view()}</tbody>
            </table>
            {not_listed(&markers)}
        }
        .into_any(),
    };
    view! {
        {heading}
        {body}
    }
    .into_any()
}

/// A warning if markers count events that do not exist.
fn miscounts(markers: &OffsetMarkers) -> Option<AnyView> {
    markers.rows.iter().any(|marker| marker.miscounts().is_some()).then(|| {
        view! {
            <Notice kind=NoticeKind::Warning>
                "An offset marker has a wrong count: events were deleted or restored later. Pages of the feed may miss events, or consumers may stop. Ask the database administrator to repair the offset marker."
            </Notice>
        }
        .into_any()
    })
}

/// The number of markers that the table does not list.
fn not_listed(markers: &OffsetMarkers) -> Option<AnyView> {
    let more = markers.with_category.saturating_sub(markers.rows.len() as u64);
    let more = (more > 0).then(|| format!("Not shown: {} with a category.", words::count(more, "offset marker")));
    let without = match markers.without_category {
        0 => None,
        1 => Some("1 offset marker has no category (NULL) and is not used.".to_owned()),
        several => Some(format!("{} offset markers have no category (NULL) and are not used.", words::number(several))),
    };
    let lines: Vec<String> = more.into_iter().chain(without).collect();
    (!lines.is_empty()).then(|| view! { <p class="small muted pad">{lines.join(" ")}</p> }.into_any())
}

fn offset_marker(marker: OffsetMarker) -> impl IntoView {
    let unknown = || view! { <span class="none">"not known"</span> }.into_any();
    let miscounts = marker.miscounts();
    let there_in_words = |there: u64| if there == 0 { "none".to_owned() } else { words::number(there) };
    let category = match marker.category.as_deref() {
        Some("") => "all categories".into_any(),
        _ => category_name(marker.category),
    };
    view! {
        <tr>
            <th scope="row">{category}</th>
            <td class="num" data-label="Up to event id">
                {marker.event_id.map_or_else(unknown, |id| view! { <Number value=id.0 /> }.into_any())}
            </td>
            <td class="num" data-label="Events until there">
                {marker.event_count.map_or_else(unknown, |events| view! { <Number value=events /> }.into_any())}
                {miscounts.map(|there| format!(" (the table has {})", there_in_words(there)))}
            </td>
            <td class="num" data-label="Behind the newest">
                {marker
                    .behind
                    .map_or_else(unknown, |events| view! { {words::count(events, "event")} }.into_any())}
            </td>
        </tr>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunking_is_told_in_words() {
        assert_eq!(chunks_in_words(&[Chunk { length: 5, start: 1 }]), "5 from the first event on");
        assert_eq!(
            chunks_in_words(&[Chunk { length: 5, start: 1 }, Chunk { length: 1000, start: 20_001 }]),
            "5 from the first event on, 1,000 from position 20,001 on"
        );
        assert!(chunks_in_words(&[]).contains("empty"));
        let (usual, row) = (Chunk { length: 5, start: 1 }, |length, start| Chunk { length, start });
        for wrong in [row(0, 8), row(3, 0), row(3, -1)] {
            assert!(chunks_in_words(&[usual.clone(), wrong]).contains("must be 1 or more"));
        }
        for start in [1, 4] {
            let told = chunks_in_words(&[usual.clone(), row(5, 5), row(10, start)]);
            assert!(told.contains("must start after the row before"), "{told}");
        }
    }
}
