//! Compares markers with the events of their publishers, where the console watches both. If a marker names no event of
//! the publisher, its consumer cannot continue from it, even when nothing new is published. If a marker does not move
//! while its publisher has later events, its consumer may have stopped before the console started.
//!
//! Every marker is compared at its first poll, and again after some minutes, because the publisher may have been
//! restored since. A marker that moves from poll to poll is searched among the newest events only.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    model::{
        Marker,
        feed::{Unpublished, category_of},
    },
    server::sources::{Answer, Named, Source, Unread, Word},
};

/// How long a publisher's answer is valid, and how long a publisher that did not answer is not asked again.
const LASTS: Duration = Duration::from_secs(600);
const AGAIN: Duration = Duration::from_secs(60);

/// Maximum number of markers compared in one poll.
const ASKED: usize = 50;

/// What one watcher knows of the events that its markers name.
#[derive(Debug)]
pub(super) struct Comparison {
    publishers: Arc<Vec<Arc<Source>>>,
    said: HashMap<Marker, Said>,
    /// The markers of the last poll; `None` before the first.
    before: Option<HashSet<Marker>>,
}

/// What a publisher said of a marker.
#[derive(Debug)]
struct Said {
    at: Instant,
    /// All of its events were searched, and its pages were counted.
    whole: bool,
    answer: Answer,
}

/// What the publishers say of markers, by feed.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Events or pages that a marker names and its publisher does not have.
    pub unpublished: HashMap<String, Unpublished>,
    /// Feeds of which no marker moved since the last poll, with events after each of them.
    pub unread: HashMap<String, Unread>,
}

impl Compared {
    /// Adds what is known of one of a feed's markers. If there are several, a consumer may use any of them.
    fn add(&mut self, uri: &str, known: Option<Answer>, others: &mut HashSet<String>) {
        let unread = known.as_ref().and_then(|answer| answer.unread);
        if let Some(Answer { word: Word::HasNot(what), .. }) = known {
            self.unpublished.entry(uri.to_owned()).or_insert(what);
        }
        match unread {
            Some(unread) if !others.contains(uri) => {
                let at = self.unread.entry(uri.to_owned()).or_insert(unread);
                // The marker that was read furthest.
                at.since = at.since.max(unread.since);
            }
            _ => {
                others.insert(uri.to_owned());
                self.unread.remove(uri);
            }
        }
    }
}

impl Said {
    fn holds(&self, stands: bool) -> bool {
        let lasts = if self.answer.word == Word::NotKnown { AGAIN } else { LASTS };
        (self.whole || !stands) && self.at.elapsed() < lasts
    }
}

impl Comparison {
    pub fn new(publishers: Arc<Vec<Arc<Source>>>) -> Self {
        Self { publishers, said: HashMap::new(), before: None }
    }

    /// Returns what the publishers of the wanted feeds say of their markers.
    pub async fn compare(&mut self, markers: &[Marker], wanted: impl Fn(&str) -> bool) -> Compared {
        let (mut compared, mut others) = (Compared::default(), HashSet::new());
        let mut asked = 0;
        for marker in markers {
            let Some(uri) = marker.feed_uri.as_deref().filter(|uri| !uri.is_empty() && wanted(uri)) else { continue };
            if marker.fault().is_some() {
                compared.add(uri, None, &mut others);
                continue;
            }
            let Some(publisher) = self.publisher_of(uri) else { continue };
            let stands = self.before.as_ref().is_none_or(|before| before.contains(marker));
            let known = self.said.get(marker).filter(|said| said.holds(stands)).map(|said| said.answer.clone());
            let known = match known {
                None if asked < ASKED => {
                    asked += 1;
                    self.ask(&publisher, marker, uri, stands).await
                }
                known => known,
            };
            compared.add(uri, known, &mut others);
        }
        let now: HashSet<Marker> = markers.iter().cloned().collect();
        self.said.retain(|marker, _| now.contains(marker));
        self.before = Some(now);
        compared
    }

    async fn ask(&mut self, publisher: &Source, marker: &Marker, uri: &str, whole: bool) -> Option<Answer> {
        if publisher.is_down() {
            return None;
        }
        let category = category_of(uri);
        let named = Named {
            entry: marker.last_read_entry_id.as_deref(),
            page: marker.page_number(),
            category: category.as_deref(),
        };
        let answer = publisher.named(named, whole).await.unwrap_or_else(|error| {
            let name = &publisher.app().info.name;
            tracing::debug!(publisher = %name, reason = %error.reason, "a marker could not be compared with its events");
            Word::NotKnown.into()
        });
        self.said.insert(marker.clone(), Said { at: Instant::now(), whole, answer: answer.clone() });
        Some(answer)
    }

    fn publisher_of(&self, uri: &str) -> Option<Arc<Source>> {
        self.publishers.iter().find(|source| source.app().info.is_publisher_of(uri)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_feed_is_unread_where_each_of_its_markers_has_events_after_it() {
        let unread = |second| Unread { since: DateTime::from_timestamp(second, 0) };
        let behind = |second| Some(Answer { word: Word::Has, unread: Some(unread(second)) });
        let told = |answers: &[Option<Answer>]| {
            let (mut compared, mut others) = (Compared::default(), HashSet::new());
            for answer in answers {
                compared.add("x", answer.clone(), &mut others);
            }
            compared.unread.get("x").copied()
        };
        let read = Some(Answer::from(Word::Has));
        assert_eq!(told(&[behind(7)]), Some(unread(7)));
        assert_eq!(told(&[behind(7), behind(9), behind(8)]), Some(unread(9)));
        for other in [None, read, Some(Word::NotKnown.into())] {
            assert_eq!(told(&[other.clone(), behind(7)]), None);
            assert_eq!(told(&[behind(7), other]), None);
        }
    }
}
