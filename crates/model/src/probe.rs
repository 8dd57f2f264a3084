//! What a publisher's feed answers over HTTP, for comparison with what its database holds. The console asks only where
//! the configuration names an address.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::words::{count, span};

/// The probe of one application's feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The address that is requested.
    pub address: String,
    /// Seconds between two requests.
    pub every_secs: u64,
    /// The last answer; `None`: not requested yet.
    pub last: Option<ProbeResult>,
}

/// One answer, and since when the answers are like it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    pub at: DateTime<Utc>,
    /// Milliseconds from the request to the end of the answer.
    pub took_ms: u64,
    /// When the first of these answers came: the last ones were all feeds, or all failures.
    pub since: DateTime<Utc>,
    /// How many there were.
    pub times: u32,
    pub answer: ProbeAnswer,
}

/// What the address answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeAnswer {
    Feed(ServedPage),
    Failed {
        kind: ProbeFailure,
        /// What went wrong, as a sentence.
        reason: String,
    },
}

/// The page that a feed's address answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedPage {
    /// The page's own numbered address.
    pub page: String,
    pub entries: u64,
    /// The id of its newest entry.
    pub newest: Option<String>,
    pub newest_at: Option<DateTime<Utc>>,
    /// What does not fit the read positions of its consumers.
    pub differences: Vec<Difference>,
}

/// What does not fit between a page as served and a read position on its feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Difference {
    /// Its links lead to an origin from which no consumer has read.
    Links { to: String, known: String },
    /// A consumer has read up to a page that does not exist any more.
    Beyond {
        /// The consumer's key and name.
        app: String,
        name: String,
        read: u64,
        newest: u64,
    },
}

impl Difference {
    /// Returns it as a sentence.
    pub fn in_words(&self) -> String {
        match self {
            Difference::Links { to, known } => format!(
                "The links of the feed lead to {to}, and its consumers read from {known}: a consumer follows the links, and \
                 stops if it cannot reach that address."
            ),
            Difference::Beyond { name, read, newest, .. } => format!(
                "{name} has read up to page {read}, and the newest page is {newest}: events were removed or restored. It \
                 reads nothing new before there is a page {read} again."
            ),
        }
    }
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeFailure {
    /// No connection.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The login was refused, or one is needed.
    Login,
    /// A web page in the place of a feed: usually the one to sign in on.
    WebPage,
    /// There is nothing at the address.
    NotFound,
    /// An error of the server.
    Server,
    /// Something that no consumer can read.
    NoFeed,
}

impl ProbeFailure {
    /// Returns what to do.
    pub fn advice(self) -> &'static str {
        match self {
            ProbeFailure::Unreachable => {
                "Check that the application is running and that the address and the port are right. Until it answers, \
                 its consumers read nothing."
            }
            ProbeFailure::TimedOut => {
                "Check the load of the application's server and its log. Consumers give up waiting, too."
            }
            ProbeFailure::Login => {
                "Check the account in probe_user, and the accounts that the consumers use: was a password changed?"
            }
            ProbeFailure::WebPage => {
                "That is usually the page to sign in on: set probe_user and the password, and check the accounts that the \
                 consumers use."
            }
            ProbeFailure::NotFound => {
                "Check the path and the category in the address, and that the module is installed."
            }
            ProbeFailure::Server => "Read the application's own log: its consumers get the same error.",
            ProbeFailure::NoFeed => {
                "Check that the address is that of a feed, and what stands between: a proxy can answer for it."
            }
        }
    }
}

impl Probe {
    /// Returns the failure to report: from the second one in a row on, so that a restart is not one.
    pub fn failure(&self) -> Option<(&ProbeResult, ProbeFailure, &str)> {
        let last = self.last.as_ref().filter(|last| last.times >= 2)?;
        match &last.answer {
            ProbeAnswer::Failed { kind, reason } => Some((last, *kind, reason)),
            ProbeAnswer::Feed(_) => None,
        }
    }

    /// Returns what does not fit the read positions of the consumers.
    pub fn differences(&self) -> &[Difference] {
        match self.last.as_ref().map(|last| &last.answer) {
            Some(ProbeAnswer::Feed(page)) => &page.differences,
            _ => &[],
        }
    }
}

impl Probe {
    /// Removes the names of the consumers whose keys are hidden.
    pub fn name_no_consumer(&mut self, is_hidden: impl Fn(&str) -> bool) {
        let Some(ProbeAnswer::Feed(page)) = self.last.as_mut().map(|last| &mut last.answer) else { return };
        for difference in &mut page.differences {
            if let Difference::Beyond { app, name, .. } = difference
                && is_hidden(app)
            {
                app.clear();
                "A consumer".clone_into(name);
            }
        }
    }
}

impl ProbeResult {
    /// Returns for how long the answers were like this one, at the time of the last: "2 requests in a row, for 1 min".
    pub fn lasting(&self) -> String {
        let seconds = u64::try_from((self.at - self.since).num_seconds()).unwrap_or_default();
        match self.times {
            0 | 1 => "at the last request".to_owned(),
            times => format!("{} in a row, for {}", count(u64::from(times), "request"), span(seconds)),
        }
    }
}

/// The page that a consumer read last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The consumer's key and name.
    pub app: String,
    pub name: String,
    /// The page's address.
    pub page: String,
}

/// Returns what does not fit between a page as served and the read positions on its feed. `probed`: the requested
/// address.
///
/// A publisher builds its links from the address that was requested, so links to the probe's own origin are expected.
pub fn differences(page: &str, probed: &str, positions: &[Position]) -> Vec<Difference> {
    let mut found = Vec::new();
    let own = origin(page);
    let known = positions.iter().find_map(|position| origin(&position.page));
    if let Some(known) = known
        && own != origin(probed)
        && positions.iter().all(|position| origin(&position.page) != own)
    {
        found.push(Difference::Links { to: own.unwrap_or(page).to_owned(), known: known.to_owned() });
    }
    let Some(newest) = number(page) else { return found };
    for Position { app, name, page: read_page } in positions {
        // Only of the same feed: each category has page numbers of its own.
        if without_number(read_page) == without_number(page)
            && let Some(read) = number(read_page).filter(|read| *read > newest)
        {
            found.push(Difference::Beyond { app: app.clone(), name: name.clone(), read, newest });
        }
    }
    found
}

/// Returns scheme, host and port of an address.
fn origin(address: &str) -> Option<&str> {
    let host = address.find("://")? + 3;
    Some(address[host..].find('/').map_or(address, |end| &address[..host + end]))
}

/// Returns the number at the end of a page's address.
fn number(address: &str) -> Option<u64> {
    address.rsplit('/').next()?.parse().ok()
}

/// Returns the path of a feed, without the page.
fn without_number(address: &str) -> &str {
    let path = origin(address).map_or(address, |origin| &address[origin.len()..]);
    path.rsplit_once('/').map_or(path, |(feed, _)| feed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBED: &str = "https://openmrs.example/openmrs/ws/atomfeed/patient/recent";

    fn positions(page: &str) -> Vec<Position> {
        vec![Position { app: "openelis".into(), name: "OpenELIS".into(), page: page.into() }]
    }

    #[test]
    fn links_to_the_address_that_was_requested_are_no_difference() {
        let read = positions("http://openmrs:8080/openmrs/ws/atomfeed/patient/12");
        let page = "https://openmrs.example/openmrs/ws/atomfeed/patient/14";
        assert_eq!(differences(page, PROBED, &read), Vec::new());
    }

    #[test]
    fn links_to_an_address_that_no_consumer_knows_are_one() {
        let page = "http://10.0.0.5:8080/openmrs/ws/atomfeed/patient/14";
        let read = positions("http://openmrs:8080/openmrs/ws/atomfeed/patient/12");
        let found = differences(page, PROBED, &read);
        let links = Difference::Links { to: "http://10.0.0.5:8080".into(), known: "http://openmrs:8080".into() };
        assert_eq!(found, [links]);
        assert_eq!(differences(page, PROBED, &[]), Vec::new(), "without consumers there is nothing to compare");
        let same = positions("http://10.0.0.5:8080/openmrs/ws/atomfeed/patient/12");
        assert_eq!(differences(page, PROBED, &same), Vec::new());
    }

    #[test]
    fn a_read_position_beyond_the_newest_page_is_one() {
        let page = "https://openmrs.example/openmrs/ws/atomfeed/patient/14";
        let found = differences(page, PROBED, &positions("http://openmrs:8080/openmrs/ws/atomfeed/patient/15"));
        assert!(matches!(&found[..], [Difference::Beyond { read: 15, newest: 14, .. }]), "{found:?}");
        let other = positions("http://openmrs:8080/openmrs/ws/atomfeed/encounter/15");
        assert_eq!(differences(page, PROBED, &other), Vec::new(), "another feed's pages have other numbers");
    }

    #[test]
    fn one_failure_is_not_reported_and_the_second_is() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let answer = ProbeAnswer::Failed { kind: ProbeFailure::Unreachable, reason: "Connection refused".into() };
        let of = |times| Probe {
            address: PROBED.into(),
            every_secs: 60,
            last: Some(ProbeResult { at, took_ms: 1, since: at, times, answer: answer.clone() }),
        };
        assert_eq!(of(1).failure(), None);
        assert!(of(2).failure().is_some());
    }
}
