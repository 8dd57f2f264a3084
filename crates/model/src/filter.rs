//! The query of a list of failed events: filter, order and place. The URL holds all of it.
//!
//! A *place* in a list is kept per source, because each source pages by its own key. It names values, not a row, so it
//! remains valid when rows are added or deleted.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

pub use super::query::{
    BadQuery, ENTRY_PREFIX, LONGEST_NAME, LONGEST_QUERY, PASTED, SEARCHED, needle, pairs, push, searched,
};
use super::{
    EventState, RowId,
    query::{bare, check_length, check_value, shorten},
    recent::Recent,
    search::Search,
};

/// Rows of one page of a list.
pub const PAGE: u32 = 50;

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Newest first failure first; rows without a time come last.
    #[default]
    Newest,
    /// Oldest first failure first; rows without a time come first.
    Oldest,
    /// Highest id first. Only within one application. A text search also goes by id: downwards for [`Order::Newest`],
    /// upwards for [`Order::Oldest`].
    IdDown,
    /// Lowest id first: the order in which the consumer retries. Only within one application.
    IdUp,
    /// Applications by name from A to Z, each in the order of [`Order::Newest`].
    Application,
    /// The same from Z to A.
    ApplicationDown,
}

impl Order {
    pub const ALL: [Order; 6] =
        [Order::Newest, Order::Oldest, Order::IdDown, Order::IdUp, Order::Application, Order::ApplicationDown];

    /// Returns the value of `sort` in the URL.
    pub fn word(self) -> &'static str {
        match self {
            Order::Newest => "newest",
            Order::Oldest => "oldest",
            Order::IdDown => "id-down",
            Order::IdUp => "id-up",
            Order::Application => "application",
            Order::ApplicationDown => "application-down",
        }
    }

    /// Returns whether the database sorts by id alone.
    pub fn by_id(self) -> bool {
        matches!(self, Order::IdDown | Order::IdUp)
    }

    /// Returns whether the list is sorted by application first.
    pub fn by_application(self) -> bool {
        matches!(self, Order::Application | Order::ApplicationDown)
    }

    /// Returns whether larger keys come first within an application.
    pub fn descending(self) -> bool {
        !matches!(self, Order::Oldest | Order::IdUp)
    }
}

/// Conditions on failed events, and their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// Keys of applications; empty: all of them.
    pub apps: Vec<String>,
    /// Exactly this feed address. `Some("")` selects rows whose feed_uri is NULL or empty.
    pub feed: Option<String>,
    /// A category or tag, case-insensitive: one of the row's tags, or the category in its feed address.
    pub category: Option<String>,
    /// `None`: every state.
    pub state: Option<EventState>,
    /// Number of the fault of the latest error, as far as the ledger has seen it.
    pub group: Option<i64>,
    /// First failed at or after.
    pub from: Option<DateTime<Utc>>,
    /// A range up to now that begins at `from`; the URL names the range. The code that reads a URL sets `from`, because
    /// only it knows where the reader's day begins.
    pub recent: Option<Recent>,
    /// First failed before.
    pub until: Option<DateTime<Utc>>,
    /// Text to find in event id, title, payload, first or latest error; case-insensitive as far as the database
    /// supports that. [`Search`] interprets it.
    pub text: Option<String>,
    pub order: Order,
}

/// The key of a row in a source's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The raw text of `failed_at` ([`super::Stamp::text`]), `None` for NULL; unused if the order is by id.
    pub failed_at: Option<String>,
    pub id: RowId,
    /// Whether the place is just after this key (in list order), or just before it.
    pub after: bool,
}

/// The direction in which a list is read from a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    #[default]
    Forward,
    Backward,
}

/// A place in a list: the position in each application (by key). An application that is not named is at its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub direction: Direction,
    pub positions: BTreeMap<String, Position>,
}

/// All of a list's URL: the filter, and the place in the list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListQuery {
    pub filter: Filter,
    pub place: Place,
}

impl ListQuery {
    /// Parses a query string (without the `?`). Ignores unknown keys: they belong to other parts of the page.
    ///
    /// # Errors
    /// Fails with the first key whose value is invalid or too long, and the reason in words.
    pub fn parse(query: &str) -> Result<Self, BadQuery> {
        check_length(query)?;
        let mut list = ListQuery::default();
        let mut apps = HashSet::new();
        for (key, value) in pairs(query) {
            if value.is_empty() && key != "feed" {
                continue; // An empty field of the filter form.
            }
            let bad = |reason: &str| BadQuery { key: key.clone(), value: shorten(&value), reason: reason.to_owned() };
            check_value(&key, &value)?;
            let filter = &mut list.filter;
            match key.as_str() {
                "app" if !apps.insert(value.clone()) => {}
                "app" => filter.apps.push(value),
                "feed" => filter.feed = Some(value),
                "nofeed" => filter.feed = Some(String::new()),
                "category" => filter.category = Some(value),
                "state" => {
                    filter.state = match value.as_str() {
                        "any" => None,
                        "waiting" => Some(EventState::Waiting),
                        "exhausted" => Some(EventState::Exhausted),
                        "unknown" => Some(EventState::Unknown),
                        _ => return Err(bad("the states are waiting, exhausted, unknown and any")),
                    }
                }
                "group" => {
                    filter.group = Some(value.parse().map_err(|_| bad("groups are named by numbers"))?);
                }
                "from" => filter.from = Some(instant(&value).ok_or_else(|| bad(NO_TIME))?),
                "since" => {
                    filter.recent = Some(Recent::of_word(&value).ok_or_else(|| bad(NO_RANGE))?);
                }
                "until" => filter.until = Some(instant(&value).ok_or_else(|| bad(NO_TIME))?),
                "q" => filter.text = Some(bare(&value).to_owned()).filter(|text| !text.is_empty()),
                "sort" => {
                    filter.order = *Order::ALL.iter().find(|order| order.word() == value).ok_or_else(|| {
                        bad("the orders are newest, oldest, id-down, id-up, application and application-down")
                    })?;
                }
                "after" | "before" => {
                    let (app, mut position) = position(&value).ok_or_else(|| bad("this is not a place in a list"))?;
                    position.after = key == "after";
                    list.place.positions.insert(app, position);
                }
                "back" => list.place.direction = Direction::Backward,
                _ => {}
            }
        }
        // An empty `feed=` is the "all feeds" choice of the form; `nofeed=1` selects rows without a feed.
        if list.filter.feed.as_deref() == Some("")
            && !pairs(query).any(|(key, value)| key == "nofeed" && !value.is_empty())
        {
            list.filter.feed = None;
        }
        if list.filter.from.is_some() {
            // A typed time overrides the chosen range.
            list.filter.recent = None;
        }
        if let (Some(from), Some(until)) = (list.filter.from, list.filter.until)
            && from >= until
        {
            return Err(BadQuery {
                key: "until".into(),
                value: until.format("%Y-%m-%dT%H:%M").to_string(),
                reason: "the time range ends before it begins".into(),
            });
        }
        if list.filter.order.by_id() && list.filter.apps.len() != 1 {
            return Err(BadQuery {
                key: "sort".into(),
                value: list.filter.order.word().into(),
                reason: "sorting by id needs one application: choose one, or sort by time".into(),
            });
        }
        Ok(list)
    }

    /// Returns the query string of this list, without the `?`; empty for all rows, newest first.
    pub fn to_query(&self) -> String {
        let mut out = self.filter.to_query();
        if self.place.direction == Direction::Backward {
            push(&mut out, "back", "1");
        }
        for (app, position) in &self.place.positions {
            let key = if position.after { "after" } else { "before" };
            let time = position.failed_at.as_deref().map_or_else(|| "-".to_owned(), |text| format!("={text}"));
            push(&mut out, key, &format!("{app}~{}~{time}", position.id));
        }
        out
    }
}

impl Filter {
    /// Returns the filter's part of the query string.
    pub fn to_query(&self) -> String {
        let mut out = String::new();
        for app in &self.apps {
            push(&mut out, "app", app);
        }
        match self.feed.as_deref() {
            Some("") => push(&mut out, "nofeed", "1"),
            Some(feed) => push(&mut out, "feed", feed),
            None => {}
        }
        if let Some(category) = &self.category {
            push(&mut out, "category", category);
        }
        match self.state {
            Some(EventState::Waiting) => push(&mut out, "state", "waiting"),
            Some(EventState::Exhausted) => push(&mut out, "state", "exhausted"),
            Some(EventState::Unknown) => push(&mut out, "state", "unknown"),
            None => {}
        }
        if let Some(group) = self.group {
            push(&mut out, "group", &group.to_string());
        }
        if let Some(recent) = self.recent {
            push(&mut out, "since", recent.word());
        }
        let from = self.from.filter(|_| self.recent.is_none());
        for (key, time) in [("from", from), ("until", self.until)] {
            if let Some(time) = time {
                push(&mut out, key, &time.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string());
            }
        }
        if let Some(text) = &self.text {
            push(&mut out, "q", text);
        }
        if self.order != Order::default() {
            push(&mut out, "sort", self.order.word());
        }
        out
    }

    /// Returns whether the filter excludes nothing.
    pub fn is_everything(&self) -> bool {
        *self == Filter { order: self.order, ..Filter::default() }
    }

    /// Returns whether no condition concerns a row's columns: every row of the applications, or of the group, matches.
    pub fn takes_every_row(&self) -> bool {
        let Filter { apps: _, feed, category, state, group: _, from, recent, until, text, order: _ } = self;
        let any_time = from.is_none() && recent.is_none() && until.is_none();
        feed.is_none() && category.is_none() && state.is_none() && any_time && text.is_none()
    }

    /// Returns whether the filter has a time range.
    pub fn has_range(&self) -> bool {
        self.from.is_some() || self.until.is_some()
    }

    /// Returns the interpreted search text.
    pub fn search(&self) -> Option<Search> {
        self.text.as_deref().map(Search::in_list)
    }

    /// Returns whether the filter includes this application.
    pub fn wants_app(&self, key: &str) -> bool {
        self.apps.is_empty() || self.apps.iter().any(|app| app == key)
    }
}

const NO_RANGE: &str = "the ranges are 1h, today, yesterday-18:00 and 7d";

pub(super) const NO_TIME: &str =
    "write a date (2026-11-23) or a date and time (2026-11-23T14:30), in UTC unless a zone is given";

/// Parses a time as the user or the console writes it into a URL. Only years 1 to 9999: no database accepts all others.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    any_instant(text).filter(|at| (1..=9999).contains(&at.year()))
}

fn any_instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    for form in ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, form) {
            return Some(at.and_utc());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_time(chrono::NaiveTime::MIN).and_utc())
}

fn position(text: &str) -> Option<(String, Position)> {
    let (app, rest) = text.split_once('~')?;
    let (id, time) = rest.split_once('~')?;
    let failed_at = match time {
        "-" => None,
        time => Some(time.strip_prefix('=')?.to_owned()),
    };
    Some((app.to_owned(), Position { failed_at, id: id.parse().ok()?, after: true }))
}

#[cfg(test)]
mod tests {
    use super::{super::search::Term, *};

    fn roundtrip(list: &ListQuery) -> ListQuery {
        ListQuery::parse(&list.to_query()).expect("our own query parses")
    }

    #[test]
    fn only_what_stands_in_a_row_leaves_rows_out() {
        let takes = |query: &str| ListQuery::parse(query).expect(query).filter.takes_every_row();
        assert!(takes("") && takes("app=odoo&sort=id-up") && takes("group=3"));
        for query in
            ["app=odoo&feed=x", "category=patient", "state=waiting", "from=2026-11-23", "until=2026-11-23", "q=a"]
        {
            assert!(!takes(query), "{query}");
        }
    }

    #[test]
    fn everything_has_an_empty_query() {
        assert_eq!(ListQuery::default().to_query(), "");
        assert_eq!(ListQuery::parse("").unwrap(), ListQuery::default());
    }

    #[test]
    fn a_full_query_survives_the_way_through_the_url() {
        let list = ListQuery {
            filter: Filter {
                apps: vec!["odoo".into(), "pacs".into()],
                feed: Some("http://openmrs:8080/x/recent?a=1&b=ü#~ +%".into()),
                category: Some("Lab & Co".into()),
                state: Some(EventState::Exhausted),
                group: Some(17),
                from: instant("2026-11-01"),
                recent: None,
                until: instant("2026-11-02T03:04:05.678Z"),
                text: Some("100% 'quoted' <b>".into()),
                order: Order::Oldest,
            },
            place: Place {
                direction: Direction::Backward,
                positions: BTreeMap::from([
                    (
                        "odoo".into(),
                        Position {
                            failed_at: Some("2026-11-01 10:00:00.5~x".into()),
                            id: RowId(i128::from(u64::MAX)),
                            after: true,
                        },
                    ),
                    ("pacs".into(), Position { failed_at: None, id: RowId(-3), after: false }),
                    ("x".into(), Position { failed_at: Some(String::new()), id: RowId(0), after: true }),
                ]),
            },
        };
        assert_eq!(roundtrip(&list), list);
    }

    #[test]
    fn rows_without_a_feed_are_told_from_all_feeds() {
        assert_eq!(ListQuery::parse("feed=").unwrap().filter.feed, None);
        let none = ListQuery::parse("feed=&nofeed=1").unwrap();
        assert_eq!(none.filter.feed.as_deref(), Some(""));
        assert_eq!(roundtrip(&none), none);
    }

    #[test]
    fn the_fields_of_an_empty_form_mean_nothing() {
        assert_eq!(
            ListQuery::parse("app=&feed=&category=&state=&from=&until=&q=&sort=").unwrap(),
            ListQuery::default()
        );
    }

    #[test]
    fn what_is_longer_than_its_kind_can_be_is_refused() {
        let names = |number: usize| (0..number).map(|number| format!("app=a{number}")).collect::<Vec<_>>().join("&");
        assert_eq!(ListQuery::parse(&names(90_000)).expect_err("too long").key, "query");
        assert_eq!(ListQuery::parse(&names(500)).expect("short enough").filter.apps.len(), 500);
        for (key, most) in [("q", PASTED), ("app", LONGEST_NAME), ("category", LONGEST_NAME)] {
            let query = |letters: usize| format!("{key}={}", "%C3%BC".repeat(letters));
            assert!(ListQuery::parse(&query(most)).is_ok(), "{key}");
            let refused = ListQuery::parse(&query(most + 1)).expect_err(key);
            assert_eq!(refused.key, key);
            assert!(refused.to_string().len() < 400, "{refused}");
        }
    }

    #[test]
    fn of_a_long_text_the_beginning_is_searched_for() {
        let text = "ü".repeat(PASTED);
        let filter = ListQuery::parse(&format!("q={text}")).expect("what can be pasted").filter;
        assert_eq!(filter.text.as_deref(), Some(text.as_str()), "the field keeps what was pasted");
        assert_eq!(filter.search().map(|search| (search.terms.len(), search.cut)), Some((1, true)));
        assert_eq!(searched("short"), "short");
    }

    #[test]
    fn bad_values_are_named_with_their_key() {
        for (query, key) in [
            ("state=broken", "state"),
            ("from=yesterday", "from"),
            ("from=%2B262142-12-31", "from"),
            ("from=%2B10000-01-01T00:00:00Z", "from"),
            ("until=0000-12-31", "until"),
            ("until=-0044-03-15T12:00", "until"),
            // In UTC this is a year later, or earlier.
            ("until=9999-12-31T23:00:00-02:00", "until"),
            ("from=0001-01-01T01:00:00%2B02:00", "from"),
            ("until=2026-13-01", "until"),
            ("from=2026-11-02&until=2026-11-02", "until"),
            ("sort=random", "sort"),
            ("sort=id-up", "sort"),
            ("sort=id-up&app=a&app=b", "sort"),
            ("after=odoo", "after"),
            ("after=odoo~12x~-", "after"),
            ("before=odoo~12~2026", "before"),
        ] {
            assert_eq!(ListQuery::parse(query).expect_err(query).key, key, "{query}");
        }
    }

    #[test]
    fn the_first_and_the_last_year_are_years() {
        for query in ["from=0001-01-01", "until=9999-12-31T23:59:59"] {
            assert!(ListQuery::parse(query).is_ok(), "{query}");
        }
    }

    #[test]
    fn a_browsers_datetime_field_is_understood() {
        let list = ListQuery::parse("from=2026-11-01T08%3A30&until=2026-11-01+09:00:01").unwrap();
        assert_eq!(list.filter.from, instant("2026-11-01T08:30:00Z"));
        assert_eq!(list.filter.until, instant("2026-11-01T09:00:01Z"));
    }

    #[test]
    fn what_comes_along_with_a_copied_uuid_is_not_searched_for() {
        let uuid = "ABCDEF12-77aa-4be1-9c40-90fe11d0c2a7";
        for text in [
            format!(" {uuid}"),
            format!("{uuid}\u{a0}\t\n"),
            format!("\u{feff}{uuid}\u{200b}"),
            format!("tag:atomfeed.ict4h.org:{uuid}"),
            format!("  TAG:atomfeed.ict4h.ORG: {uuid} "),
            format!("{{{uuid}}}"),
            format!("{{ {uuid} }}"),
            format!("[tag:atomfeed.ict4h.org:{uuid}]"),
            format!("\"{uuid}\""),
            format!("'{uuid}'"),
            format!("urn:uuid:{uuid}"),
        ] {
            assert_eq!(needle(&text), uuid, "{text:?}");
            let mut query = String::new();
            push(&mut query, "q", &text);
            let search = ListQuery::parse(&query).expect("a query").filter.search().expect("a text");
            assert_eq!(search.terms, [Term::Word(uuid.to_owned())], "{text:?}");
        }
        for text in [
            uuid.replace('-', ""),
            uuid.replace('-', "\u{2011}"),
            uuid.replace('-', "\u{2013}"),
            format!("tag:atomfeed.ict4h.org:{}", uuid.replace('-', "")),
            format!("{{{}}}", uuid.replace('-', "\u{2011}")),
        ] {
            assert_eq!(needle(&text), uuid, "{text:?}");
            let mut query = String::new();
            push(&mut query, "q", &text);
            let search = ListQuery::parse(&query).expect("a query").filter.search().expect("a text");
            assert_eq!(search.terms, [Term::Word(uuid.to_owned())], "{text:?}");
        }
        // A text that is not a uuid keeps what surrounds it, except blanks.
        for text in ["tag:atomfeed.ict4h.org:7", "{name}", "[a]", "tag:x", "''", "{}", "tag:atomfeed.ict4h.org:"] {
            assert_eq!(needle(&format!(" {text} ")), text);
        }
        assert_eq!(needle(&format!("Patient {uuid} ")), format!("Patient {uuid}"));
        assert_eq!(needle(""), "");
        assert_eq!(ListQuery::parse("q=++").expect("a query").filter.text, None, "blanks alone are no text");
    }

    #[test]
    fn a_range_up_to_now_stays_a_range_in_the_address() {
        let mut list = ListQuery::parse("since=yesterday-18:00&app=odoo").expect("a range");
        assert_eq!(list.filter.recent, Some(Recent::Evening));
        // The code that reads it knows when the range begins; the same link covers a new range tomorrow.
        list.filter.from = instant("2026-11-28T12:30");
        assert_eq!(list.to_query(), "app=odoo&since=yesterday-18:00");
        assert!(!list.filter.is_everything() && !list.filter.takes_every_row());
        let typed = ListQuery::parse("since=7d&from=2026-11-28").expect("both").filter;
        assert_eq!((typed.recent, typed.from), (None, instant("2026-11-28")));
        assert!(ListQuery::parse("since=soon").is_err());
    }

    #[test]
    fn only_a_text_that_is_too_long_is_cut() {
        let long = "x".repeat(SEARCHED);
        assert!(!Search::of(&format!(" {long} ")).cut && Search::of(&format!("{long}x")).cut);
        assert_eq!(searched(&format!(" {long}xyz")), long);
    }
}
