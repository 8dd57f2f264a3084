//! What people call a feed: its category, and who publishes it where the category alone would be another feed's name too.
//! Pure functions.

use super::{ApplicationInfo, Feed, error_text::visible, feed::category_of};

/// The name of a feed among those that one application reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedName {
    /// No other feed of the application is of this category.
    Category(String),
    /// There is another of this category, from another publisher.
    Of { category: String, publisher: String },
    /// Nothing shorter tells it from the others.
    Address(String),
    /// Failed events without a feed address.
    Nameless,
}

impl FeedName {
    /// The name of the feed with this address; `siblings` are the feeds of its application, itself among them or not.
    pub fn of(uri: Option<&str>, siblings: &[Feed], applications: &[&ApplicationInfo]) -> Self {
        let Some(uri) = uri.filter(|uri| !uri.is_empty()) else { return Self::Nameless };
        let Some(category) = category_of(uri) else { return Self::Address(visible(uri)) };
        let others = || {
            let uris = siblings.iter().filter_map(|feed| feed.uri.as_deref());
            uris.filter(|other| *other != uri && category_of(other) == Some(category))
        };
        if others().next().is_none() {
            return Self::Category(visible(category));
        }
        match publisher(uri, applications) {
            Some(name) if others().all(|other| publisher(other, applications) != Some(name)) => {
                Self::Of { category: visible(category), publisher: visible(name) }
            }
            _ => Self::Address(visible(uri)),
        }
    }

    /// As a heading: `patient`, `patient of OpenELIS`.
    pub fn label(&self) -> String {
        match self {
            Self::Category(category) => category.clone(),
            Self::Of { category, publisher } => format!("{category} of {publisher}"),
            Self::Address(uri) => uri.clone(),
            Self::Nameless => "no feed address".to_owned(),
        }
    }

    /// Within a sentence: `the patient feed`, `the patient feed of OpenELIS`.
    pub fn in_sentence(&self) -> String {
        match self {
            Self::Category(category) => format!("the {category} feed"),
            Self::Of { category, publisher } => format!("the {category} feed of {publisher}"),
            Self::Address(uri) => format!("the feed {uri}"),
            Self::Nameless => "rows without a feed address".to_owned(),
        }
    }
}

/// Who publishes a feed: the application configured for its address, otherwise the host and port in it.
pub fn publisher<'a>(uri: &'a str, applications: &[&'a ApplicationInfo]) -> Option<&'a str> {
    if let Some(info) = applications.iter().find(|info| info.is_publisher_of(uri)) {
        return Some(&info.name);
    }
    let (_, rest) = uri.split_once("://")?;
    rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FeedCounts, FeedState, Kind, Limits};

    const OPENMRS: &str = "http://openmrs:8080/openmrs/ws/atomfeed/patient/recent";
    const OPENELIS: &str = "http://openelis:8052/openelis/ws/feed/patient/recent";

    fn feed(uri: &str) -> Feed {
        Feed {
            uri: Some(uri.into()),
            markers: vec![],
            category: category_of(uri).map(str::to_owned),
            counts: FeedCounts::default(),
            oldest_failure: None,
            newest_failure: None,
            last_seen_at_work: None,
            state: FeedState::Running,
            signs: Default::default(),
        }
    }

    fn openelis() -> ApplicationInfo {
        ApplicationInfo {
            key: "openelis".into(),
            name: "OpenELIS".into(),
            kind: Kind::Openelis,
            kind_assumed: false,
            address: "db/clinlims".into(),
            limits: Limits {
                max_failed_events: None,
                max_retry: None,
                feed_interval_secs: 30,
                retry_interval_secs: 30,
                retry_batch: 5,
                assumed: false,
            },
            feed_limits: Vec::new(),
            concerns: Default::default(),
            time_zone: "UTC".into(),
            refresh_secs: 15,
            publishes: vec!["http://openelis:8052/openelis/".into()],
            read_only: false,
        }
    }

    #[test]
    fn the_category_is_the_name_while_no_other_feed_has_it() {
        let encounters = feed("http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent");
        let name = FeedName::of(Some(OPENMRS), &[feed(OPENMRS), encounters], &[]);
        assert_eq!((name.label(), name.in_sentence()), ("patient".into(), "the patient feed".into()));
    }

    #[test]
    fn two_feeds_of_one_category_are_told_apart_by_their_publishers() {
        let (elis, feeds) = (openelis(), [feed(OPENMRS), feed(OPENELIS)]);
        let name = |uri| FeedName::of(Some(uri), &feeds, &[&elis]).in_sentence();
        assert_eq!(name(OPENMRS), "the patient feed of openmrs:8080");
        assert_eq!(name(OPENELIS), "the patient feed of OpenELIS");
    }

    #[test]
    fn where_the_publisher_does_not_tell_them_apart_the_address_does() {
        let older = "http://openelis:8052/openelis/ws/feed/patient/7";
        let (elis, feeds) = (openelis(), [feed(older), feed(OPENELIS)]);
        assert_eq!(FeedName::of(Some(older), &feeds, &[&elis]).label(), older);
    }

    #[test]
    fn what_has_no_category_or_no_address_has_a_name_as_well() {
        assert_eq!(FeedName::of(Some("x:y"), &[], &[]).in_sentence(), "the feed x:y");
        assert_eq!(FeedName::of(None, &[], &[]).label(), "no feed address");
        assert_eq!(FeedName::of(Some(""), &[], &[]), FeedName::Nameless);
    }
}
