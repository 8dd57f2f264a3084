//! Records behind events, in the hospital's terms: names for the pages, search by what people say, and where a record
//! is on its way.
//!
//! OpenMRS knows the patients and orders; the consumers are then asked by the path that has an index. Nothing of it is
//! written to the store. Who may see how much is decided here alone ([`Console::persons`]): a reader without the right
//! to read payloads gets nothing, and a page that shows persons is on record.

pub mod depends;
mod find;
mod names;
mod page;
mod viewed;
mod way;

pub use find::{EVENTS, Found, KeptSearches, find, is_personal};
pub use names::{Names, Wanted, call};
pub use page::page;
pub use viewed::Viewed;

use std::sync::Arc;

use super::{sources::Source, state::Console};
use crate::model::{ApplicationInfo, Availability, Feed, Kind, Stamp, payload, record::RecordRef};

/// Returns the application of a record that an event announces: the publisher of its feed. `payload`: the event's;
/// `feed`: its feed's address as its consumer has it.
pub fn home<'a>(console: &'a Console, payload: &str, feed: Option<&str>) -> Option<(&'a ApplicationInfo, RecordRef)> {
    let record = RecordRef::of_payload(payload, feed)?;
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
fn found<T: Default, E: std::fmt::Display>(
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
async fn published(
    _console: &Console,
    _publisher: &Source,
    _uuid: &str,
    _category: &str,
) -> (Vec<(i64, Option<Stamp>)>, Option<String>) {
    (Vec::new(), Some("What was published is not known.".to_owned()))
}

/// Returns how far a consumer's feed was read.
fn read_to(_publisher: &ApplicationInfo, feed: &Feed) -> way::Progress {
    way::Progress { trouble: page::trouble(feed), ..way::Progress::default() }
}
