//! A publisher's feeds as pages: what their addresses say, and what the console shows of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    RowId,
    filter::{pairs, push},
    lag::Lag,
    publisher::{Chunk, Offset, PublishedEvent, Publisher},
};

/// Which page of a feed, as in the query of its address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedQuery {
    /// The category; empty for the feed of all events.
    pub category: String,
    pub which: WhichPage,
}

/// A page of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhichPage {
    /// The newest page.
    #[default]
    Recent,
    /// A page by its number; 1 is the oldest.
    Number(u64),
    /// The page that has this event, by its id.
    Of(RowId),
    /// The page that has the event with this entry id, about this record if that is known.
    Entry { id: String, record: Option<String> },
    /// Not a page: the newest events, one row for each object; before this id, if it is given.
    Distinct(Option<RowId>),
}

impl FeedQuery {
    /// Reads the query of an address. What is no page is the newest one.
    pub fn parse(query: &str) -> Self {
        let mut read = Self::default();
        let (mut distinct, mut before, mut about) = (false, None, None);
        for (key, value) in pairs(query) {
            match &*key {
                "category" => read.category = value,
                "page" => {
                    if let Some(number) = value.parse().ok().filter(|number| *number > 0) {
                        read.which = WhichPage::Number(number);
                    }
                }
                "event" => {
                    if let Ok(id) = value.parse() {
                        read.which = WhichPage::Of(id);
                    }
                }
                "entry" if !value.is_empty() => read.which = WhichPage::Entry { id: value, record: None },
                "record" => about = Some(value).filter(|uuid| !uuid.is_empty()),
                "distinct" => distinct = value == "1",
                "before" => before = value.parse().ok(),
                _ => {}
            }
        }
        if let WhichPage::Entry { record, .. } = &mut read.which {
            *record = about;
        }
        if distinct {
            read.which = WhichPage::Distinct(before);
        }
        read
    }

    /// Returns the query of the address.
    pub fn to_query(&self) -> String {
        let mut query = String::new();
        if !self.category.is_empty() {
            push(&mut query, "category", &self.category);
        }
        match &self.which {
            WhichPage::Recent => {}
            WhichPage::Number(number) => push(&mut query, "page", &number.to_string()),
            WhichPage::Of(id) => push(&mut query, "event", &id.to_string()),
            WhichPage::Entry { id, record } => {
                push(&mut query, "entry", id);
                if let Some(record) = record {
                    push(&mut query, "record", record);
                }
            }
            WhichPage::Distinct(before) => {
                push(&mut query, "distinct", "1");
                if let Some(before) = before {
                    push(&mut query, "before", &before.to_string());
                }
            }
        }
        query
    }

    /// Returns another page of the same feed.
    #[must_use]
    pub fn to(&self, which: WhichPage) -> Self {
        Self { category: self.category.clone(), which }
    }
}

/// A consumer of a feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedReader {
    /// Key and name of the application.
    pub app: String,
    pub name: String,
    /// How far it has read; `None` if that is not known.
    pub lag: Option<Lag>,
}

impl FeedReader {
    /// Returns whether it has read an event; `None` if that is not known.
    pub fn has_read(&self, event: RowId) -> Option<bool> {
        self.lag.as_ref().map(|lag| event <= lag.read_to)
    }
}

/// A feed of a publisher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedSummary {
    /// Empty for the feed of all events.
    pub category: String,
    pub events: u64,
    pub newest_at: Option<super::Stamp>,
    /// Number of the newest page, the working page; `None` if pages cannot be computed.
    pub pages: Option<u64>,
    pub readers: Vec<FeedReader>,
}

/// How much of a publisher's events the console has in its own index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexState {
    pub events: u64,
    /// It has the first event.
    pub whole: bool,
    /// It is still being filled with earlier events.
    pub filling: bool,
    /// When the first indexed event was published, if that is known.
    pub from: Option<DateTime<Utc>>,
}

/// All feeds of a publisher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedList {
    pub name: String,
    pub publisher: Publisher,
    pub feeds: Vec<FeedSummary>,
    pub index: Option<IndexState>,
}

/// A page of a feed, as its publisher would serve it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedPage {
    /// The name of the publisher.
    pub name: String,
    pub query: FeedQuery,
    /// Its number and that of the newest page; `None` if it is no page ([`WhichPage::Distinct`]).
    pub number: Option<PageOf>,
    /// Oldest first; newest first if it is no page.
    pub entries: Vec<PageEntry>,
    /// Events that were read to find the rows of one object, or to find the page without the index.
    pub scanned: u64,
    /// There are earlier events than those that were read for [`WhichPage::Distinct`].
    pub earlier: Option<RowId>,
    pub readers: Vec<FeedReader>,
    /// The address as consumers know it.
    pub address: FeedAddress,
    /// Categories of the publisher, for the links to its other feeds.
    pub categories: Vec<String>,
    pub chunks: Vec<Chunk>,
    pub offset: Option<Offset>,
    /// The event that the page was opened for.
    pub event: Option<RowId>,
}

/// The number of a page, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageOf {
    pub number: u64,
    pub last: u64,
    /// Positions of its first and last event on the feed.
    pub positions: (u64, u64),
    /// Events of the feed, as the publisher counts them.
    pub events: u64,
}

/// An entry of a page: one published event. Its object is only the kind and the uuid of the record: a list is no view
/// of a payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageEntry {
    pub event: PublishedEvent,
    /// Events with the same object among those that were read; 1 on a page.
    pub rows: u64,
}

/// The address of a feed, and where it is from: the publisher's database does not hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedAddress {
    pub text: String,
    pub source: AddressSource,
}

/// Where the address of a feed is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressSource {
    Settings,
    /// The read position of a consumer.
    Marker,
    Assumed,
}

impl FeedAddress {
    /// Returns where it is from, in words.
    pub fn in_words(&self) -> &'static str {
        match self.source {
            AddressSource::Settings => "from the console's configuration",
            AddressSource::Marker => "as a consumer stores it",
            AddressSource::Assumed => "assumed: the database does not hold it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_page_is_read_as_it_was_written() {
        let pages = [
            WhichPage::Recent,
            WhichPage::Number(36),
            WhichPage::Of(RowId(77)),
            WhichPage::Distinct(None),
            WhichPage::Distinct(Some(RowId(5))),
            WhichPage::Entry { id: "tag:a:1".to_owned(), record: None },
            WhichPage::Entry { id: "tag:a:1".to_owned(), record: Some("b c".to_owned()) },
        ];
        for which in pages {
            for category in ["", "Encounter", "lab test/&=?", "जाँच"] {
                let query = FeedQuery { category: category.to_owned(), which: which.clone() };
                assert_eq!(FeedQuery::parse(&query.to_query()), query, "{}", query.to_query());
            }
        }
        for odd in ["page=0", "page=-1", "page=recent", "page=x", "event=x", "distinct=2", "before=3", "%ff"] {
            assert_eq!(FeedQuery::parse(odd), FeedQuery::default(), "{odd}");
        }
    }

    #[test]
    fn an_event_was_read_if_the_read_position_is_at_it_or_past_it() {
        let lag = Lag { read_to: RowId(7), unread: 1, more: false, since: None, at: DateTime::UNIX_EPOCH };
        let mut reader = FeedReader { app: "odoo".to_owned(), name: "Odoo".to_owned(), lag: Some(lag) };
        let read = [6, 7, 8].map(|id| reader.has_read(RowId(id)));
        assert_eq!(read, [Some(true), Some(true), Some(false)]);
        reader.lag = None;
        assert_eq!(reader.has_read(RowId(6)), None);
    }
}
