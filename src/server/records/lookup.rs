//! What the parts of this module share: which application a record belongs to, answers of sources, and how far a record's
//! event has come.

use std::sync::Arc;

use super::way::Progress;
use crate::{
    model::{
        ApplicationInfo, Availability, Feed, FeedState, Kind, Stamp, feed::category_of, payload, record::RecordRef,
    },
    server::{published::events_of_record, sources::Source, state::Console},
};

/// Returns the application of a record that an event announces: the publisher of its feed. `payload`: the event's;
/// `feed`: its feed's address as its consumer has it.
pub(super) fn home<'a>(
    console: &'a Console,
    payload: &str,
    feed: Option<&str>,
) -> Option<(&'a ApplicationInfo, RecordRef)> {
    let record = RecordRef::of_payload(payload, feed.and_then(category_of).as_deref())?;
    let publisher = feed.and_then(|feed| console.applications().find(|info| info.is_publisher_of(feed)));
    // Without settings, the first segment of the payload's path names the program.
    let by_path = || {
        let link = payload::link(payload.trim())?;
        let path = link.split_once("://").map_or(link, |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
        let kind = match path.split('/').find(|segment| !segment.is_empty())? {
            "openmrs" => Kind::Openmrs,
            "openelis" => Kind::Openelis,
            _ => return None,
        };
        let mut of_kind = console.applications().filter(|info| info.kind == kind);
        let first = of_kind.next();
        // If there are several, it is unknown which one is meant.
        first.filter(|_| of_kind.next().is_none())
    };
    Some((publisher.or_else(by_path)?, record))
}

/// Returns the sources of one kind that the reader may see.
pub(super) fn of_kind(console: &Console, kind: Kind) -> Vec<Arc<Source>> {
    console.sources().filter(|source| source.app().info.kind == kind).cloned().collect()
}

/// Returns what was found, and adds to `lacking` why something could not be.
pub(super) fn found<T: Default, E: std::fmt::Display>(
    answer: Result<Availability<T>, E>,
    source: &Source,
    lacking: &mut Vec<String>,
) -> T {
    match answer {
        Ok(Availability::Here(found)) => found,
        Ok(Availability::NotHere(reason)) => {
            lacking.push(format!("{}: {reason}.", source.app().info.name));
            T::default()
        }
        Err(error) => {
            lacking.push(error.to_string());
            T::default()
        }
    }
}

/// Returns the events of a record that a publisher has published, oldest first, and why they may not be all.
/// `category`: of the feed, if only that one counts.
pub(super) async fn published(
    console: &Console,
    publisher: &Source,
    uuid: &str,
    category: &str,
) -> (Vec<(i64, Option<Stamp>)>, Option<String>) {
    let info = &publisher.app().info;
    match events_of_record(console, &info.key, &[uuid.to_owned()]).await {
        Ok(found) => {
            let counts =
                |of: Option<&str>| category.is_empty() || of.is_some_and(|of| of.eq_ignore_ascii_case(category));
            let events = found.events.into_iter().filter(|event| counts(event.category.as_deref()));
            let events = events.filter_map(|event| Some((i64::try_from(event.id.0).ok()?, event.at)));
            let reason = (!found.complete).then(|| match found.indexed_from {
                Some(from) => format!(
                    "What {} published before {} is not in the console's index yet.",
                    info.name,
                    from.format("%Y-%m-%d %H:%M UTC")
                ),
                None => format!("What {} published is not in the console's index yet.", info.name),
            });
            (events.collect(), reason)
        }
        Err(problem) => (Vec::new(), Some(problem.what)),
    }
}

/// Returns how far a consumer's feed was read.
pub(super) fn read_to(publisher: &ApplicationInfo, feed: &Feed) -> Progress {
    let trouble = trouble(feed);
    match &feed.lag {
        Some(lag) => Progress {
            read_to: i64::try_from(lag.read_to.0).ok(),
            behind: (!lag.more).then_some(lag.unread),
            unknown: None,
            trouble,
        },
        None => Progress {
            unknown: Some(format!("Which event of {} was read last is not known.", publisher.name)),
            trouble,
            ..Progress::default()
        },
    }
}

/// Returns what stops a feed, as a sentence.
fn trouble(feed: &Feed) -> Option<String> {
    (feed.state == FeedState::Stopped).then(|| "Its feed is stopped: too many failed events.".to_owned())
}
