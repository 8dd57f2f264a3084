//! A page of a feed, as its publisher would serve it: its entries, and who has read them.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_url};

use super::feeds::{Crumbs, Readers, feed_name};
use crate::{
    api::feeds::view_feed,
    error::Problem,
    model::{
        RowId,
        error_text::visible,
        feed_pages::{FeedPage, FeedQuery, FeedReader, PageEntry, WhichPage},
    },
    paths::Base,
    ui::{
        components::{Notice, NoticeKind, Number, ShortId, When, loaded, use_base},
        words,
    },
};

#[component]
pub fn FeedPageView() -> impl IntoView {
    let app = use_params_map().read_untracked().get("app").unwrap_or_default();
    let query = use_url().read_untracked().search().trim_start_matches('?').to_owned();
    loaded(load(app, query), |(app, page)| view! { <Feed app page /> })
}

async fn load(app: String, query: String) -> Result<(String, FeedPage), Problem> {
    let page = view_feed(app.clone(), query).await?;
    Ok((app, page))
}

#[component]
fn Feed(app: String, page: FeedPage) -> impl IntoView {
    let base = use_base();
    let feed = feed_name(&page.query.category);
    let heading = match page.number {
        Some(of) if of.last > 0 => format!("{feed}, page {} of {}", words::number(of.number), words::number(of.last)),
        Some(_) => format!("{feed}, no page yet"),
        None => format!("{feed}, by record"),
    };
    let title = format!("{heading} · {}", page.name);
    let scanned = scan_notice(&page);
    let source = page.number.is_some().then(|| {
        view! {
            <a class="button" href=base.feed_source(&app, &page.query)>"View source"</a>
        }
    });
    let distinct = match &page.query.which {
        WhichPage::Distinct(_) => {
            let href = base.feed(&app, &page.query.to(WhichPage::Recent));
            view! { <a class="button" href=href>"Pages"</a> }.into_any()
        }
        _ => {
            let href = base.feed(&app, &page.query.to(WhichPage::Distinct(None)));
            view! { <a class="button" href=href>"One row per record"</a> }.into_any()
        }
    };
    view! {
        <Title text=title />
        <div class="head">
            <div>
                <Crumbs app=app.clone() name=page.name.clone() here=feed />
                <h1>{heading}</h1>
                <p class="lead">{positions(&page)}</p>
            </div>
            <div class="bar">{distinct} {source}</div>
        </div>
        {scanned}
        <Steps app=app.clone() page=page.clone() below=false />
        <Entries page=page.clone() app=app.clone() />
        <Steps app=app.clone() page=page.clone() below=true />
        <section class="sheet" aria-labelledby="about">
            <header>
                <h2 id="about">"About this feed"</h2>
            </header>
            <dl class="facts pad">
                <dt>"Read by"</dt>
                <dd>
                    <Readers readers=page.readers.clone() />
                </dd>
                <dt>"Address"</dt>
                <dd>
                    <ShortId text=page.address.text.clone() keep=72 />
                    " "
                    <span class="small muted">{page.address.in_words()}</span>
                </dd>
                {counted_from(&page)}
                {others(&app, &page, &base)}
            </dl>
        </section>
    }
    .into_any()
}

/// Which events of the feed the page has.
fn positions(page: &FeedPage) -> String {
    match page.number {
        Some(of) if of.last == 0 => "Nothing has been published on this feed yet.".to_owned(),
        Some(of) => format!(
            "Events {} to {} of {}, oldest first, as the publisher serves them now.",
            words::number(of.positions.0),
            words::number(of.positions.1),
            words::number(of.events)
        ),
        None if page.entries.is_empty() => "No events.".to_owned(),
        None => format!(
            "{} of the {} that were read, newest first.",
            words::capitalised(&words::count(page.entries.len() as u64, "record")),
            words::count(page.scanned, "event")
        ),
    }
}

/// Says that events had to be read to find the page.
fn scan_notice(page: &FeedPage) -> Option<AnyView> {
    (page.number.is_some() && page.scanned > 0).then(|| {
        let events = words::count(page.scanned, "event");
        view! {
            <Notice kind=NoticeKind::Info>
                {format!("The database read {events} to find this page: the console has not indexed them.")}
            </Notice>
        }
        .into_any()
    })
}

/// The links to the pages beside this one. `below`: after the entries.
#[component]
fn Steps(app: String, page: FeedPage, below: bool) -> impl IntoView {
    let base = use_base();
    let link = |which: WhichPage, words: &'static str, rel: Option<&'static str>| {
        view! {
            <a class="button" rel=rel href=base.feed(&app, &page.query.to(which))>
                {words}
            </a>
        }
    };
    match page.number {
        Some(of) if of.last <= 1 => ().into_any(),
        Some(of) => {
            let older = (of.number > 1).then(|| {
                view! {
                    {link(WhichPage::Number(1), "Oldest", None)}
                    {link(WhichPage::Number(of.number - 1), "← Older", Some("prev"))}
                }
            });
            let newer = (of.number < of.last).then(|| {
                view! {
                    {link(WhichPage::Number(of.number + 1), "Newer →", Some("next"))}
                    {link(WhichPage::Recent, "Recent", None)}
                }
            });
            view! {
                <nav class="pager" aria-label=if below { "Pages of the feed, below its entries" } else { "Pages of the feed" }>
                    {older} {newer}
                </nav>
            }
            .into_any()
        }
        None => page
            .earlier
            .map(|earlier| {
                view! {
                    <nav class="pager" aria-label=if below { "Earlier events, below" } else { "Earlier events" }>
                        {link(WhichPage::Distinct(Some(earlier)), "Older →", Some("next"))}
                    </nav>
                }
            })
            .into_any(),
    }
}

#[component]
fn Entries(app: String, page: FeedPage) -> impl IntoView {
    let base = use_base();
    if page.entries.is_empty() {
        return view! { <p class="sheet empty">"No events."</p> }.into_any();
    }
    let by_record = page.number.is_none();
    let rows = page
        .entries
        .iter()
        .map(|entry| row(entry.clone(), &page.query, &page.readers, page.event, by_record.then_some((&*app, &base))))
        .collect_view();
    view! {
        <div class="sheet">
            <table class="cards">
                <caption class="unseen">"Entries of the page"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Record"</th>
                        <th scope="col">"Category"</th>
                        <th scope="col">"Published"</th>
                        <th scope="col">"Event"</th>
                        {by_record.then(|| view! { <th scope="col" class="num">"Events"</th> })}
                        <th scope="col">"Read by"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(
    PageEntry { event, rows }: PageEntry,
    query: &FeedQuery,
    readers: &[FeedReader],
    wanted: Option<RowId>,
    by_record: Option<(&str, &Base)>,
) -> AnyView {
    let current = (wanted == Some(event.id)).then_some("true");
    let name = event.naming().record();
    let id = event.naming().id().filter(|_| event.object.is_some());
    let title = event.title.clone().map(|title| visible(&title));
    let rows = by_record.map(|(app, base)| {
        let href = base.feed(app, &query.to(WhichPage::Of(event.id)));
        view! {
            <td class="num" data-label="Events">
                <a href=href>{words::number(rows)}</a>
            </td>
        }
    });
    view! {
        <tr aria-current=current>
            <th scope="row">
                {name}
                {id.map(|id| view! { " " <ShortId text=id keep=40 /> })}
                {title.map(|title| view! { " " <span class="small muted">{title}</span> })}
            </th>
            <td data-label="Category">{event.category.clone().map(|category| visible(&category))}</td>
            <td data-label="Published">
                <When stamp=event.at.clone() />
            </td>
            <td data-label="Event">
                <Number value=event.id.0 />
                {event.uuid.clone().map(|uuid| view! { " " <ShortId text=uuid keep=20 /> })}
            </td>
            {rows}
            <td data-label="Read by">{read_by(readers, event.id)}</td>
        </tr>
    }
    .into_any()
}

/// `Odoo, OpenELIS; not PACS`
fn read_by(readers: &[FeedReader], event: RowId) -> String {
    let named = |wanted: Option<bool>| {
        let names =
            readers.iter().filter(|reader| reader.has_read(event) == wanted).map(|reader| visible(&reader.name));
        words::listed(names)
    };
    let (read, unread, unknown) = (named(Some(true)), named(Some(false)), named(None));
    let parts = [(read, ""), (unread, "not "), (unknown, "not known: ")];
    let parts = parts.into_iter().filter(|(names, _)| !names.is_empty()).map(|(names, word)| format!("{word}{names}"));
    parts.collect::<Vec<_>>().join("; ")
}

/// What the pages are counted from.
fn counted_from(page: &FeedPage) -> Option<AnyView> {
    (!page.chunks.is_empty()).then(|| {
        let offset = page.offset.map(|offset| {
            format!(
                ", counted from the offset marker: {} up to event {}",
                words::count(offset.events, "event"),
                words::number(offset.event_id.0)
            )
        });
        view! {
            <dt>"Entries a page"</dt>
            <dd>{super::application::chunks_in_words(&page.chunks)} {offset}</dd>
        }
        .into_any()
    })
}

/// Links to the publisher's other feeds.
fn others(app: &str, page: &FeedPage, base: &Base) -> Option<AnyView> {
    let others = std::iter::once(String::new()).chain(page.categories.iter().cloned());
    let others: Vec<String> = others.filter(|category| *category != page.query.category).collect();
    (!page.categories.is_empty()).then(|| {
        let links = others
            .into_iter()
            .map(|category| {
                let href = base.feed(app, &FeedQuery { category: category.clone(), which: WhichPage::Recent });
                view! { <li><a href=href>{feed_name(&category)}</a></li> }
            })
            .collect_view();
        view! {
            <dt>"Other feeds"</dt>
            <dd>
                <ul class="links">{links}</ul>
            </dd>
        }
        .into_any()
    })
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::model::lag::Lag;

    #[test]
    fn an_entry_names_who_has_read_it_and_who_has_not() {
        let reader = |name: &str, read_to: Option<i128>| FeedReader {
            app: name.to_lowercase(),
            name: name.to_owned(),
            lag: read_to.map(|id| Lag {
                read_to: RowId(id),
                unread: 0,
                more: false,
                since: None,
                at: crate::clock::now(),
            }),
        };
        let readers =
            [reader("Odoo", Some(7)), reader("OpenELIS", Some(9)), reader("PACS", Some(3)), reader("HIP", None)];
        assert_eq!(read_by(&readers, RowId(7)), "Odoo and OpenELIS; not PACS; not known: HIP");
        assert_eq!(read_by(&readers[..2], RowId(2)), "Odoo and OpenELIS");
        assert_eq!(read_by(&[], RowId(2)), "");
    }
}
