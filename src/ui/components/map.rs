//! The map of systems and feeds: publishers on the left, readers on the right, one wire per feed. Drawn by the server.

use std::collections::BTreeMap;

use leptos::prelude::*;

use super::use_base;
use crate::{
    model::{
        ApplicationInfo, ApplicationView, ShownState,
        error_text::shortened,
        filter::{Filter, ListQuery},
    },
    paths::Base,
    ui::{
        feed_names::{FeedName, publisher},
        sentences, words,
    },
};

/// Maximum number of feeds drawn per reader, the worst first; the others are counted.
const FEEDS_SHOWN: usize = 8;

/// Measures of the drawing.
const WIDTH: u32 = 480;
const PUBLISHER: u32 = 172;
const READER_X: u32 = 246;
const READER: u32 = WIDTH - READER_X;
const TITLE: u32 = 34;
const LINE: u32 = 22;
const GAP: u32 = 14;
const BOX: u32 = 46;
/// Characters of a publisher's name that fit into its box.
const NAME: usize = 19;

/// A feed as the map draws it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wire {
    publisher: String,
    /// The address of its feed.
    uri: String,
    name: String,
    state: ShownState,
    failed: u64,
}

/// An application that reads feeds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reader {
    key: String,
    name: String,
    trouble: Option<&'static str>,
    wires: Vec<Wire>,
    more: usize,
}

/// The map; a sentence if no application reads a feed.
#[component]
pub fn SystemMap(views: Vec<ApplicationView>) -> impl IntoView {
    let readers = readers(&views);
    if readers.is_empty() {
        return view! { <p class="empty">"No application reads a feed that the console knows of."</p> }.into_any();
    }
    let description = in_words(&readers);
    let height = readers.iter().map(reader_height).sum::<u32>() + GAP * (readers.len() as u32 + 1);

    // The wires' ends at the readers; the publishers' places follow from them.
    let mut top = GAP;
    let mut ends: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut placed = Vec::new();
    for reader in readers {
        for (index, wire) in reader.wires.iter().enumerate() {
            ends.entry(wire.publisher.clone()).or_default().push(wire_y(top, index));
        }
        let next = top + reader_height(&reader) + GAP;
        placed.push((top, reader));
        top = next;
    }
    let publishers = place_publishers(&ends, height);
    let height = height.max(publishers.values().max().map_or(0, |y| y + BOX / 2 + GAP));

    let wires = placed.iter().flat_map(|(top, reader)| draw_wires(*top, reader, &publishers)).collect_view();
    let base = use_base();
    let known = |name: &str| views.iter().find(|view| view.info.name == name);
    let left = publishers
        .iter()
        .map(|(name, y)| draw_publisher(name, *y, ends[name].len(), known(name), &base))
        .collect_view();
    let right = placed.iter().map(|(top, reader)| draw_reader(*top, reader, &base)).collect_view();
    view! {
        <svg class="map" viewBox=format!("0 0 {WIDTH} {height}") role="group" aria-label=description>
            {wires}
            {left}
            {right}
        </svg>
    }
    .into_any()
}

fn readers(views: &[ApplicationView]) -> Vec<Reader> {
    let infos: Vec<&ApplicationInfo> = views.iter().map(|view| &view.info).collect();
    let mut readers = Vec::new();
    for view in views {
        let trouble = view.reach.trouble();
        let feeds = view.feeds();
        let mut wires: Vec<Wire> = feeds
            .iter()
            .filter_map(|feed| Some((feed, feed.uri.as_deref()?)))
            .map(|(feed, uri)| Wire {
                publisher: publisher(uri, &infos).unwrap_or("unknown").to_owned(),
                uri: uri.to_owned(),
                // The wire itself distinguishes feeds of one category.
                name: FeedName::of(Some(uri), &[], &infos).label(),
                state: ShownState::of(feed, &view.info),
                failed: feed.counts.total,
            })
            .collect();
        // An application that was never seen has no wires, but the map must show that it does not answer.
        if wires.is_empty() && trouble.is_none() {
            continue;
        }
        let more = wires.len().saturating_sub(FEEDS_SHOWN);
        if more > 0 {
            wires.sort_by_key(|wire| sentences::worst_first(wire.state, wire.failed));
            wires.truncate(FEEDS_SHOWN);
        }
        readers.push(Reader { key: view.info.key.clone(), name: view.info.name.clone(), trouble, wires, more });
    }
    readers
}

fn reader_height(reader: &Reader) -> u32 {
    let lines = reader.wires.len() as u32 + u32::from(reader.more > 0);
    TITLE + lines * LINE + 8
}

fn wire_y(top: u32, index: usize) -> u32 {
    top + TITLE + index as u32 * LINE + LINE / 2
}

/// Places each publisher at the mean height of its wires, moved down to avoid overlaps, and up if the last would be
/// outside the drawing.
fn place_publishers(ends: &BTreeMap<String, Vec<u32>>, height: u32) -> BTreeMap<String, u32> {
    let mut wanted: Vec<(u32, &String)> =
        ends.iter().map(|(name, ends)| (ends.iter().sum::<u32>() / (ends.len() as u32).max(1), name)).collect();
    wanted.sort();
    let mut free = GAP + BOX / 2;
    let mut placed = BTreeMap::new();
    let mut below = wanted.len() as u32;
    for (y, name) in wanted {
        below -= 1;
        let lowest = height.saturating_sub(GAP + BOX / 2 + below * (BOX + GAP));
        let y = y.min(lowest).max(free);
        placed.insert(name.clone(), y);
        free = y + BOX + GAP;
    }
    placed
}

fn draw_wires(top: u32, reader: &Reader, publishers: &BTreeMap<String, u32>) -> Vec<AnyView> {
    let silent = reader.trouble.is_some();
    reader
        .wires
        .iter()
        .enumerate()
        .filter_map(|(index, wire)| {
            let from = publishers.get(&wire.publisher)?;
            let to = wire_y(top, index);
            let middle = PUBLISHER + (READER_X - PUBLISHER) / 2;
            let path = format!("M{PUBLISHER} {from}C{middle} {from} {middle} {to} {READER_X} {to}");
            let word = if silent { "unreachable" } else { wire.state.class() };
            Some(view! { <path class=format!("wire {word}") d=path></path> }.into_any())
        })
        .collect()
}

/// `view`: the configured application that is this publisher, if there is one.
fn draw_publisher(name: &str, y: u32, feeds: usize, view: Option<&ApplicationView>, base: &Base) -> AnyView {
    let feeds = words::count(feeds as u64, "feed");
    let trouble = view.and_then(|view| view.reach.trouble());
    let (shown, note) = match (name.rsplit_once(':').filter(|_| name.chars().count() > NAME), trouble) {
        (Some((host, port)), _) => (host, format!("port {port}, {feeds}")),
        (None, Some(trouble)) => (name, trouble.to_owned()),
        (None, None) => (name, format!("publishes {feeds}")),
    };
    let drawn = view! {
        <g class=if trouble.is_some() { "problem" } else { "" }>
            <title>{name.to_owned()}</title>
            <rect class="box" x="1" y=y - BOX / 2 width=PUBLISHER - 1 height=BOX rx="3"></rect>
            <text x="12" y=y - 3 class="name">
                {shortened(shown, NAME)}
            </text>
            <text x="12" y=y + 14>
                {note}
            </text>
        </g>
    };
    match view {
        Some(view) => view! { <a href=base.application(&view.info.key)>{drawn}</a> }.into_any(),
        None => drawn.into_any(),
    }
}

fn draw_reader(top: u32, reader: &Reader, base: &Base) -> impl IntoView {
    let height = reader_height(reader);
    let note = reader.trouble.unwrap_or("reads");
    let lines =
        reader.wires.iter().enumerate().map(|(index, wire)| draw_line(top, index, wire, reader, base)).collect_view();
    let more = (reader.more > 0).then(|| {
        view! {
            <text x=READER_X + 32 y=wire_y(top, reader.wires.len()) + 4>
                {format!("and {} more", words::count(reader.more as u64, "feed"))}
            </text>
        }
    });
    view! {
        <rect class="box" x=READER_X y=top width=READER - 1 height=height rx="3"></rect>
        <a href=base.application(&reader.key)>
            <g class=if reader.trouble.is_some() { "problem" } else { "" }>
                <text x=READER_X + 12 y=top + 21 class="name">
                    {cut(&reader.name, 20)}
                </text>
                <text x=WIDTH - 12 y=top + 21 class="end">
                    {note}
                </text>
            </g>
        </a>
        {lines}
        {more}
    }
}

/// A feed in its reader's box: a link to its failed events, or to the application if there are none.
fn draw_line(top: u32, index: usize, wire: &Wire, reader: &Reader, base: &Base) -> impl IntoView {
    let y = wire_y(top, index);
    let (word, icon) = (wire.state.class(), wire.state.icon());
    let label = wire.state.label();
    let note = match (wire.state, wire.failed) {
        (_, 0) => label.to_owned(),
        (ShownState::Failing, failed) => format!("{} failed", words::number(failed)),
        (_, failed) => format!("{label} · {}", words::number(failed)),
    };
    let list = ListQuery {
        filter: Filter { apps: vec![reader.key.clone()], feed: Some(wire.uri.clone()), ..Filter::default() },
        ..ListQuery::default()
    };
    let href = if wire.failed > 0 { base.failed_events(&list) } else { base.application(&reader.key) };
    view! {
        <a href=href>
            <g class=word>
                <title>{format!("{} from {} → {} ({label})", wire.name, wire.publisher, reader.name)}</title>
                <use_ href=format!("#i-{icon}") x=READER_X + 12 y=y - 6 width="12" height="12"></use_>
                <text x=READER_X + 32 y=y + 4>
                    {cut(&wire.name, 16)}
                </text>
                <text x=WIDTH - 12 y=y + 4 class="end">
                    {note}
                </text>
            </g>
        </a>
    }
}

/// Shortens a feed's name at its beginning, the least informative part of an address.
fn cut(name: &str, keep: usize) -> String {
    let length = name.chars().count();
    if length <= keep {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(length - keep + 1).collect::<String>())
    }
}

fn in_words(readers: &[Reader]) -> String {
    let sentences: Vec<String> = readers
        .iter()
        .map(|reader| {
            let feeds: Vec<String> = reader
                .wires
                .iter()
                .map(|wire| format!("{} from {} ({})", wire.name, wire.publisher, wire.state.label()))
                .collect();
            if let (true, Some(trouble)) = (reader.wires.is_empty(), reader.trouble) {
                return format!("{} {trouble}.", reader.name);
            }
            let trouble = reader.trouble.map(|trouble| format!(", which {trouble},")).unwrap_or_default();
            let more = (reader.more > 0).then(|| format!("{} more", words::number(reader.more as u64)));
            format!("{}{trouble} reads {}.", reader.name, words::listed(feeds.into_iter().chain(more)))
        })
        .collect();
    sentences.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::{down, feed_with, up, view};

    fn ends(of: &[(&str, &[u32])]) -> BTreeMap<String, Vec<u32>> {
        of.iter().map(|(name, ends)| ((*name).to_owned(), ends.to_vec())).collect()
    }

    #[test]
    fn what_does_not_answer_is_on_the_map_though_nothing_was_ever_seen_of_it() {
        let mut pacs = view("PACS", down(), vec![]);
        pacs.seen = None;
        let readers = readers(&[view("Odoo", up(), vec![feed_with(0, 1, 1)]), pacs, view("Idle", up(), vec![])]);
        let drawn: Vec<_> = readers.iter().map(|reader| (reader.name.as_str(), reader.trouble)).collect();
        assert_eq!(drawn, [("Odoo", None), ("PACS", Some("does not answer"))]);
        assert!(in_words(&readers).ends_with("(Has failures). PACS does not answer."), "{}", in_words(&readers));
    }

    #[test]
    fn publishers_stand_level_with_their_wires_and_never_overlap() {
        let placed = place_publishers(&ends(&[("a", &[100, 120]), ("b", &[110]), ("c", &[115])]), 400);
        assert_eq!(placed["a"], 110);
        let mut places: Vec<u32> = placed.into_values().collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= BOX), "{places:?}");
    }

    #[test]
    fn the_last_publisher_stays_inside_the_drawing() {
        let placed = place_publishers(&ends(&[("a", &[190]), ("b", &[195])]), 200);
        assert!(placed.values().all(|y| y + BOX / 2 <= 200), "{placed:?}");
    }

    #[test]
    fn a_long_address_keeps_its_end() {
        assert_eq!(cut("encounter", 20), "encounter");
        assert_eq!(cut("http://host/ws/feed/x", 8), "…/feed/x");
    }

    #[test]
    fn a_long_host_keeps_its_beginning() {
        assert_eq!(shortened("integration.example", 19), "integration.example");
        assert_eq!(shortened("integration.hospital.example", 12), "integration…");
    }
}
