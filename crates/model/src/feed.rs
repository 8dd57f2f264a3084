//! A feed as its consumer sees it, and the only code that decides its state.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::{Limits, Stamp, obstacle::no_address};

/// A row of `markers`: how far a consumer has read one feed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Marker {
    pub feed_uri: Option<String>,
    /// The id of the entry read last (`tag:atomfeed.ict4h.org:<uuid>`). NULL before the first read.
    pub last_read_entry_id: Option<String>,
    /// The numbered page that entry was read on.
    pub page_uri: Option<String>,
}

/// Why a consumer cannot continue from a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerFault<'a> {
    /// It has no feed address: consumers search for their markers by it, and find none.
    NoFeed,
    /// It names no page, or only blanks.
    NoPage,
    /// Its page is not an address.
    NoAddress(&'a str),
    /// Its page is an address, but not of a page: pages have numbers from 1 on, and the newest is `recent` as well.
    NoNumber(&'a str),
    /// Its last entry read is not an entry's id.
    NoEntry(&'a str),
}

/// What a marker names and the feed's publisher does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unpublished {
    /// No event of the publisher has this entry's id.
    Entry(String),
    /// The event with this entry's id is on another feed, the one of this category.
    OtherCategory { entry: String, category: String },
    /// A page after the last that the publisher has of this feed.
    Page { page: u64, last: u64 },
    /// The event with this entry's id is on another page of the feed, within these.
    OtherPage { entry: String, page: u64, within: (u64, u64) },
}

impl Marker {
    /// Returns the number of the page it names, if that is the address of a numbered page.
    pub fn page_number(&self) -> Option<u64> {
        last_part(self.page_uri.as_deref().filter(|page| is_page_address(page))?).parse().ok()
    }

    /// Returns why no consumer can continue from it, whatever the publisher has. `None` if it has a feed's address and
    /// names a page by its address, and an entry or none (then a consumer begins with the page's first entry).
    pub fn fault(&self) -> Option<MarkerFault<'_>> {
        let filled = |text: &'_ Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
        let page = self.page_uri.as_deref().unwrap_or_default();
        let entry = self.last_read_entry_id.as_deref().unwrap_or_default();
        if no_address(self.feed_uri.as_deref()) {
            Some(MarkerFault::NoFeed)
        } else if !filled(&self.page_uri) {
            Some(MarkerFault::NoPage)
        } else if !is_page_address(page) {
            Some(MarkerFault::NoAddress(page))
        } else if !may_be_page(page) {
            Some(MarkerFault::NoNumber(page))
        } else if filled(&self.last_read_entry_id) && !entry.chars().any(char::is_alphanumeric) {
            Some(MarkerFault::NoEntry(entry))
        } else {
            None
        }
    }
}

/// Returns whether a text is the address of a page: HTTP or HTTPS, with a host. (Markers filled in by hand or by a
/// script hold texts such as `?`.)
fn is_page_address(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    // The consumers' URI classes refuse blanks, also around an address.
    let clean = !text.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    web && clean && rest.starts_with(|first: char| first.is_alphanumeric() || first == '[')
}

/// Returns the last part of an address's path.
fn last_part(address: &str) -> &str {
    let path = address.split(['?', '#']).next().unwrap_or(address);
    path.trim().trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// Returns whether a publisher can have a page under this address. How it interprets a query is not known.
fn may_be_page(address: &str) -> bool {
    let name = last_part(address);
    address.contains('?') || name == "recent" || name.parse::<u64>().is_ok_and(|number| number > 0)
}

/// The number of failed events of a feed, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedCounts {
    pub waiting: u64,
    pub exhausted: u64,
    /// All rows, including those whose state is unknown because the table has no `retries`.
    pub total: u64,
    /// The exhausted ones that no retry helps: see [`super::Obstacle`].
    #[serde(default)]
    pub beyond_help: u64,
    /// The waiting ones without a time: while there is one, the retry job of the feed retries nothing
    /// ([`super::Obstacle::NoTime`]).
    #[serde(default)]
    pub blocking: u64,
}

impl FeedCounts {
    /// Returns whether the states of the rows are known; otherwise the table does not hold how often they were retried.
    pub fn states_are_known(&self) -> bool {
        self.total == 0 || self.waiting + self.exhausted > 0
    }
}

/// The state of a feed, in the words of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedState {
    Running,
    Failing,
    Stopped,
    Stalled,
    Unknown,
}

/// Escaped in a part of a path: everything except letters, digits and these marks.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Returns the category in a feed's address: the segment before `recent` or before the page's number, as in the
/// publisher's tables (`lab%20test` in the address is `lab test`). What does not decode to a text is returned
/// unchanged.
pub fn category_of(uri: &str) -> Option<Cow<'_, str>> {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let (rest, page) = path.trim_end_matches('/').rsplit_once('/')?;
    if page != "recent" && (page.is_empty() || !page.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let category = rest.rsplit('/').next().filter(|category| !category.is_empty() && !category.contains(':'))?;
    Some(percent_decode_str(category).decode_utf8().unwrap_or(Cow::Borrowed(category)))
}

/// Returns a category as encoded in a feed's address, the inverse of [`category_of`].
pub fn in_address(category: &str) -> Cow<'_, str> {
    utf8_percent_encode(category, IN_A_PATH).into()
}

/// Returns the part of a feed's address that remains when its host changes: the last two parts of its path
/// (`encounter/recent`). `None` if there is no address.
pub fn tail_of(uri: Option<&str>) -> Option<(&str, &str)> {
    let uri = uri.filter(|uri| !uri.trim().is_empty())?;
    let mut parts = uri.trim_end_matches('/').rsplit('/');
    let last = parts.next()?;
    Some((parts.next().unwrap_or_default(), last))
}

/// One feed of one application: from `markers`, from `failed_events`, or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feed {
    /// The address as stored; `None` for failed events whose feed_uri is NULL.
    pub uri: Option<String>,
    /// Every marker with this address: none (failures without a marker), usually one, sometimes more.
    pub markers: Vec<Marker>,
    /// The category in the address (`…/encounter/recent` → `encounter`), if it has that form.
    pub category: Option<String>,
    pub counts: FeedCounts,
    pub oldest_failure: Option<Stamp>,
    pub newest_failure: Option<Stamp>,
    /// The newest sign of the consumer at work on this feed: a failure, or a failed retry.
    pub last_seen_at_work: Option<Stamp>,
    pub state: FeedState,
    pub signs: Signs,
}

/// Further facts about a feed and its consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signs {
    /// Why its failed events are not known, as a part of a sentence; its counts then mean nothing.
    pub failures_not_known: Option<String>,
    /// Why its markers, or a part of what they hold, are not known, as a part of a sentence.
    pub markers_not_known: Option<String>,
    /// What one of its markers names and its publisher does not have, if the console watches both.
    pub unpublished: Option<Unpublished>,
    /// Since when events wait without a retry, if its retry job is overdue by that
    /// ([`super::concerns::overdue_since`]).
    pub unretried_since: Option<DateTime<Utc>>,
    /// When its marker last moved, as far as the console saw it.
    #[serde(default)]
    pub read_at: Option<DateTime<Utc>>,
    /// The usual pause between two moves, if enough of them were seen.
    #[serde(default)]
    pub read_every_secs: Option<u64>,
}

impl Feed {
    /// Returns the first fault of its markers, as far as they are known.
    pub fn marker_fault(&self) -> Option<MarkerFault<'_>> {
        if self.signs.markers_not_known.is_some() {
            return None;
        }
        self.markers.iter().find_map(Marker::fault)
    }

    /// Returns whether a consumer can continue from its marker.
    pub fn can_be_read(&self) -> bool {
        can_be_read(&self.markers, self.signs.unpublished.as_ref())
    }
}

/// Returns whether a consumer can continue from the markers of a feed. If there are several, it may use any of them.
pub fn can_be_read(markers: &[Marker], unpublished: Option<&Unpublished>) -> bool {
    unpublished.is_none() && !markers.is_empty() && markers.iter().all(|marker| marker.fault().is_none())
}

impl FeedState {
    /// Returns the word in addresses and APIs. [`super::ShownState`] has the words that people read.
    pub fn word(self) -> &'static str {
        match self {
            FeedState::Running => "running",
            FeedState::Failing => "failing",
            FeedState::Stopped => "stopped",
            FeedState::Stalled => "stalled",
            FeedState::Unknown => "unknown",
        }
    }

    /// Returns the state that follows from the source alone, by the consumer's own rules (ICT4H/atomfeed,
    /// `AtomFeedClient`):
    ///
    /// - **stopped**: before each entry the consumer counts all failed events of the feed, exhausted ones too, and
    ///   reads nothing more once there are `max_failed_events`;
    /// - **failing**: there are failed events, and room for more;
    /// - **running**: none, and a marker from which a consumer can continue ([`Marker::fault`], [`Unpublished`]);
    /// - **unknown**: none, and no such marker.
    ///
    /// [`FeedState::Stalled`] depends on the publisher too, and is never decided here.
    pub fn of(counts: &FeedCounts, can_be_read: bool, limits: &Limits) -> Self {
        match limits.max_failed_events {
            Some(max) if counts.total >= max => FeedState::Stopped,
            _ if counts.total > 0 => FeedState::Failing,
            _ if can_be_read => FeedState::Running,
            _ => FeedState::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_category_is_read_off_addresses_that_have_one() {
        for (uri, category) in [
            ("http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent", Some("encounter")),
            ("http://openmrs:8080/openmrs/ws/atomfeed/encounter/36", Some("encounter")),
            ("http://openelis:8052/openelis/ws/feed/patient/recent/?x=/y/9", Some("patient")),
            ("http://openmrs:8080/openmrs/ws/atomfeed/lab%20test/recent", Some("lab test")),
            ("http://openmrs:8080/openmrs/ws/atomfeed/lab%2Ftest/36", Some("lab/test")),
            ("http://openmrs:8080/openmrs/ws/atomfeed/%e0%a4%9c%E0%A4%BE%E0%A4%81%E0%A4%9A/recent", Some("जाँच")),
            ("http://openmrs:8080/openmrs/ws/atomfeed/lab%ff/recent", Some("lab%ff")),
            ("http://openmrs:8080/openmrs/ws/atomfeed/lab%2/recent", Some("lab%2")),
            ("http://openmrs:8080/openmrs/ws/atomfeed/lab+test/recent", Some("lab+test")),
            ("http://openmrs:8080/openmrs/ws/atomfeed/encounter", None),
            ("recent", None),
            ("http://host:8080/recent", None),
            ("x:/recent", None),
            ("/recent", None),
            ("not a URL", None),
            ("", None),
        ] {
            assert_eq!(category_of(uri).as_deref(), category, "{uri}");
        }
    }

    #[test]
    fn a_category_in_an_address_is_read_as_it_was_written() {
        for category in ["lab", "lab test", "lab/test", "जाँच", "100%", "a%20b", "x-y_z.~"] {
            let uri = format!("http://lab:8080/feeds/{}/recent", in_address(category));
            assert_eq!(category_of(&uri).as_deref(), Some(category), "{uri}");
        }
    }

    #[test]
    fn a_feed_is_known_again_when_its_host_changed() {
        let at = |host: &str| tail_of(Some(host)).map(|(category, page)| format!("{category}/{page}"));
        assert_eq!(at("http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent").as_deref(), Some("encounter/recent"));
        assert_eq!(
            at("http://localhost:8050/openmrs/ws/atomfeed/encounter/recent/").as_deref(),
            Some("encounter/recent")
        );
        assert_eq!(at("no address").as_deref(), Some("/no address"));
        assert_eq!((tail_of(None), tail_of(Some(""))), (None, None));
    }

    #[test]
    fn a_marker_can_be_gone_on_from_where_it_names_a_page_by_its_address() {
        let page = "http://openmrs:8080/openmrs/ws/atomfeed/lab/36";
        let entry = "tag:atomfeed.ict4h.org:be4d353b-ac7b-4ee5-a5ac-1ca2f4b4d8e2";
        for (entry, page, fault) in [
            (Some(entry), Some(page), None),
            (None, Some(page), None),
            (Some(""), Some("HTTPS://[::1]:8080/x/1"), None),
            (Some("17"), Some("http://10.0.0.1/x/1"), None),
            (Some(entry), None, Some(MarkerFault::NoPage)),
            (Some(entry), Some(""), Some(MarkerFault::NoPage)),
            (Some(entry), Some(" \t"), Some(MarkerFault::NoPage)),
            (Some("?"), Some("?"), Some(MarkerFault::NoAddress("?"))),
            (
                Some(entry),
                Some("/openmrs/ws/atomfeed/lab/36"),
                Some(MarkerFault::NoAddress("/openmrs/ws/atomfeed/lab/36")),
            ),
            (Some(entry), Some("http://"), Some(MarkerFault::NoAddress("http://"))),
            (Some(entry), Some(" http://openmrs/1"), Some(MarkerFault::NoAddress(" http://openmrs/1"))),
            (Some(entry), Some("http://openmrs/lab test/3"), Some(MarkerFault::NoAddress("http://openmrs/lab test/3"))),
            (Some(entry), Some("http:///lab/36"), Some(MarkerFault::NoAddress("http:///lab/36"))),
            (Some(entry), Some("ftp://openmrs/36"), Some(MarkerFault::NoAddress("ftp://openmrs/36"))),
            (Some("?"), Some(page), Some(MarkerFault::NoEntry("?"))),
            (Some(entry), Some("http://openmrs/lab/recent"), None),
            (Some(entry), Some("http://openmrs/lab/1/"), None),
            (Some(entry), Some("http://openmrs/lab?page=abc"), None),
            (Some(entry), Some("http://openmrs/lab/0"), Some(MarkerFault::NoNumber("http://openmrs/lab/0"))),
            (Some(entry), Some("http://openmrs/lab/-1"), Some(MarkerFault::NoNumber("http://openmrs/lab/-1"))),
            (Some(entry), Some("http://openmrs/lab/abc"), Some(MarkerFault::NoNumber("http://openmrs/lab/abc"))),
            (Some(entry), Some("http://openmrs"), Some(MarkerFault::NoNumber("http://openmrs"))),
        ] {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let feed_uri = owned(Some("http://openmrs:8080/openmrs/ws/atomfeed/lab/recent"));
            let mut marker = Marker { feed_uri, last_read_entry_id: owned(entry), page_uri: owned(page) };
            assert_eq!(marker.fault(), fault, "{marker:?}");
            // Without a feed address, nothing else matters.
            for nameless in [None, Some(""), Some(" ")] {
                marker.feed_uri = owned(nameless);
                assert_eq!(marker.fault(), Some(MarkerFault::NoFeed), "{marker:?}");
            }
        }
    }

    #[test]
    fn a_marker_names_the_number_of_its_page() {
        for (page, number) in [
            ("http://openmrs:8080/openmrs/ws/atomfeed/lab/36", Some(36)),
            ("http://openmrs:8080/openmrs/ws/atomfeed/lab/36/", Some(36)),
            ("http://openmrs:8080/openmrs/ws/atomfeed/lab/36?x=/7", Some(36)),
            ("http://openmrs:8080/openmrs/ws/atomfeed/lab/recent", None),
            ("http://openmrs:8080/openmrs/ws/atomfeed/lab/-1", None),
            ("http://openmrs:8080/x/99999999999999999999999", None),
            ("?", None),
            ("36", None),
        ] {
            let marker = Marker { feed_uri: None, last_read_entry_id: None, page_uri: Some(page.into()) };
            assert_eq!(marker.page_number(), number, "{page}");
        }
    }

    fn limits(max_failed_events: Option<u64>) -> Limits {
        Limits { max_failed_events, ..crate::samples::limits() }
    }

    fn state(total: u64, max: Option<u64>) -> FeedState {
        FeedState::of(&FeedCounts { total, ..FeedCounts::default() }, true, &limits(max))
    }

    #[test]
    fn a_feed_stops_when_its_failed_events_reach_the_limit_not_before() {
        assert_eq!(state(999, Some(1000)), FeedState::Failing);
        assert_eq!(state(1000, Some(1000)), FeedState::Stopped);
        assert_eq!(state(1001, Some(1000)), FeedState::Stopped);
    }

    #[test]
    fn waiting_and_exhausted_rows_stop_a_feed_alike() {
        let limits = limits(Some(5));
        for (waiting, exhausted) in [(5, 0), (0, 5), (2, 3)] {
            let counts = FeedCounts { waiting, exhausted, total: 5, ..FeedCounts::default() };
            assert_eq!(FeedState::of(&counts, true, &limits), FeedState::Stopped, "{counts:?}");
        }
    }

    #[test]
    fn a_consumer_without_a_limit_never_stops() {
        assert_eq!(state(5_000_000, None), FeedState::Failing);
    }

    #[test]
    fn failed_events_tell_more_than_a_missing_marker() {
        let counts = FeedCounts { exhausted: 1, total: 1, ..FeedCounts::default() };
        assert_eq!(FeedState::of(&counts, false, &limits(Some(5))), FeedState::Failing);
    }

    #[test]
    fn without_failed_events_the_marker_decides() {
        let none = FeedCounts::default();
        assert_eq!(FeedState::of(&none, true, &limits(Some(5))), FeedState::Running);
        assert_eq!(FeedState::of(&none, false, &limits(Some(5))), FeedState::Unknown);
    }
}
