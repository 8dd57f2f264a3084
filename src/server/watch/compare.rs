//! Markers compared with the events of their publishers, where the console watches both: a marker that names no event of the
//! publisher is one that its consumer does not come on from, also when nothing new is published.
//!
//! Every marker is compared once, at the first look at it, and again after some minutes: the publisher may have been restored
//! since. A marker that moves from look to look is looked for among the newest events only.

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
    server::sources::{Named, Source, Word},
};

/// How long what a publisher said is believed, and how long one that did not answer is not asked again.
const LASTS: Duration = Duration::from_secs(600);
const AGAIN: Duration = Duration::from_secs(60);

/// Markers for which a publisher is asked in one look at the most.
const ASKED: usize = 50;

/// What one watcher knows of what its markers name.
#[derive(Debug)]
pub(super) struct Comparison {
    publishers: Arc<Vec<Arc<Source>>>,
    said: HashMap<Marker, Said>,
    /// The markers of the last look; `None` before the first.
    before: Option<HashSet<Marker>>,
}

/// What a publisher said of a marker.
#[derive(Debug)]
struct Said {
    at: Instant,
    /// All of its events were searched, and its pages were counted.
    whole: bool,
    word: Word,
}

impl Said {
    fn holds(&self, stands: bool) -> bool {
        let lasts = if self.word == Word::NotKnown { AGAIN } else { LASTS };
        (self.whole || !stands) && self.at.elapsed() < lasts
    }
}

impl Comparison {
    pub fn new(publishers: Arc<Vec<Arc<Source>>>) -> Self {
        Self { publishers, said: HashMap::new(), before: None }
    }

    /// Returns what the markers name and their publishers do not have, by feed.
    pub async fn unpublished(
        &mut self,
        markers: &[Marker],
        wanted: impl Fn(&str) -> bool,
    ) -> HashMap<String, Unpublished> {
        let mut unpublished = HashMap::new();
        let mut asked = 0;
        for marker in markers {
            let Some(uri) = marker.feed_uri.as_deref().filter(|uri| !uri.is_empty() && wanted(uri)) else { continue };
            if marker.fault().is_some() {
                continue;
            }
            let Some(publisher) = self.publisher_of(uri) else { continue };
            let stands = self.before.as_ref().is_none_or(|before| before.contains(marker));
            let known = self.said.get(marker).filter(|said| said.holds(stands)).map(|said| said.word.clone());
            let word = match known {
                None if asked < ASKED => {
                    asked += 1;
                    self.ask(&publisher, marker, uri, stands).await
                }
                known => known,
            };
            if let Some(Word::HasNot(what)) = word {
                unpublished.entry(uri.to_owned()).or_insert(what);
            }
        }
        let now: HashSet<Marker> = markers.iter().cloned().collect();
        self.said.retain(|marker, _| now.contains(marker));
        self.before = Some(now);
        unpublished
    }

    async fn ask(&mut self, publisher: &Source, marker: &Marker, uri: &str, whole: bool) -> Option<Word> {
        if publisher.is_down() {
            return None;
        }
        let named = Named {
            entry: marker.last_read_entry_id.as_deref(),
            page: marker.page_number(),
            category: category_of(uri),
        };
        let word = publisher.named(named, whole).await.unwrap_or_else(|error| {
            let name = &publisher.app().info.name;
            tracing::debug!(publisher = %name, reason = %error.reason, "a marker could not be compared with its events");
            Word::NotKnown
        });
        self.said.insert(marker.clone(), Said { at: Instant::now(), whole, word: word.clone() });
        Some(word)
    }

    fn publisher_of(&self, uri: &str) -> Option<Arc<Source>> {
        self.publishers.iter().find(|source| source.app().info.is_publisher_of(uri)).cloned()
    }
}
