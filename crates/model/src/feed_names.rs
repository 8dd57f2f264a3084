//! Display names of feeds: the category, and the publisher if the category alone would also name another feed. Pure
//! functions.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ApplicationInfo, ApplicationView, Feed, error_text::visible, feed::category_of, obstacle::no_address};

/// The name of a feed among those that one application reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedName {
    /// No other feed of the application has this category.
    Category(String),
    /// Another feed has this category, from another publisher.
    Of { category: String, publisher: String },
    /// Nothing shorter distinguishes it from the others.
    Address(String),
    /// Failed events without a feed address.
    Nameless,
}

impl FeedName {
    /// Returns the name of the feed with this address; `siblings` are the feeds of its application, with or without
    /// itself.
    pub fn of(uri: Option<&str>, siblings: &[Feed], applications: &[&ApplicationInfo]) -> Self {
        Self::among(uri, siblings.iter().filter_map(|feed| feed.uri.as_deref()), applications)
    }

    /// Returns the same, among the feeds with these addresses.
    pub fn among<'a>(
        uri: Option<&str>,
        siblings: impl Iterator<Item = &'a str> + Clone,
        applications: &[&ApplicationInfo],
    ) -> Self {
        let Some(uri) = uri.filter(|uri| !no_address(Some(uri))) else { return Self::Nameless };
        let Some(category) = category_of(uri) else { return Self::Address(visible(uri)) };
        let others =
            || siblings.clone().filter(|other| *other != uri && category_of(other).as_ref() == Some(&category));
        if others().next().is_none() {
            return Self::Category(visible(&category));
        }
        match publisher(uri, applications) {
            Some(name) if others().all(|other| publisher(other, applications) != Some(name)) => {
                Self::Of { category: visible(&category), publisher: visible(name) }
            }
            _ => Self::Address(visible(uri)),
        }
    }

    /// Returns the name for headings and tables: `patient`, `patient (from OpenELIS)`.
    pub fn label(&self) -> String {
        match self {
            Self::Category(category) => category.clone(),
            Self::Of { category, publisher } => format!("{category} (from {publisher})"),
            Self::Address(uri) => uri.clone(),
            Self::Nameless => "no feed address".to_owned(),
        }
    }

    /// Returns the name for a sentence: `the patient feed`, `the patient feed of OpenELIS`.
    pub fn in_sentence(&self) -> String {
        match self {
            Self::Category(category) => format!("the {category} feed"),
            Self::Of { category, publisher } => format!("the {category} feed of {publisher}"),
            Self::Address(uri) => format!("the feed {uri}"),
            Self::Nameless => "rows without a feed address".to_owned(),
        }
    }
}

/// A feed of an application, with its name among all that the application reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedFeed {
    /// The application's key.
    pub app: String,
    pub uri: Option<String>,
    /// As [`FeedName::label`].
    pub name: String,
    /// Whether it has failed events.
    pub failing: bool,
}

/// Returns the name of an application's feed among those that were last seen, or the one that it would have among them.
pub fn called(feeds: &[NamedFeed], applications: &[ApplicationInfo], app: &str, uri: Option<&str>) -> String {
    let of_app = feeds.iter().filter(|feed| feed.app == app);
    let seen = of_app.clone().find(|feed| feed.uri.as_deref() == uri);
    let unseen = || {
        let applications: Vec<&ApplicationInfo> = applications.iter().collect();
        FeedName::among(uri, of_app.filter_map(|feed| feed.uri.as_deref()), &applications).label()
    };
    seen.map_or_else(unseen, |feed| feed.name.clone())
}

/// Adds its address to each name of these feeds, given as address and name, that occurs more than once.
pub fn tell_apart(offered: &mut [(String, String)]) {
    let names: Vec<String> = offered.iter().map(|(_, name)| name.clone()).collect();
    for (uri, name) in offered {
        if names.iter().filter(|other| *other == name).count() > 1 {
            *name = format!("{name} – {}", visible(uri));
        }
    }
}

/// Returns the named feeds of all applications, as last seen.
pub fn named(views: &[ApplicationView]) -> Vec<NamedFeed> {
    let applications: Vec<&ApplicationInfo> = views.iter().map(|view| &view.info).collect();
    let of_view = |view: &ApplicationView| {
        let feeds = view.feeds();
        let named = feeds.iter().map(|feed| NamedFeed {
            app: view.info.key.clone(),
            uri: feed.uri.clone(),
            name: FeedName::of(feed.uri.as_deref(), feeds, &applications).label(),
            failing: feed.counts.total > 0,
        });
        named.collect::<Vec<_>>()
    };
    views.iter().flat_map(of_view).collect()
}

/// Returns the same feeds, and those that a page mentions although they are no longer seen; each application's are
/// named among all of them, so that two of one category are distinguished there, too.
pub fn with_past(
    mut feeds: Vec<NamedFeed>,
    past: impl IntoIterator<Item = (String, Option<String>)>,
    applications: &[ApplicationInfo],
) -> Vec<NamedFeed> {
    let applications: Vec<&ApplicationInfo> = applications.iter().collect();
    let mut added = BTreeSet::new();
    for (app, uri) in past {
        if !feeds.iter().any(|feed| feed.app == app && feed.uri == uri) {
            added.insert(app.clone());
            feeds.push(NamedFeed { app, uri, name: String::new(), failing: false });
        }
    }
    for app in added {
        let uris: Vec<Option<String>> =
            feeds.iter().filter(|feed| feed.app == app).map(|feed| feed.uri.clone()).collect();
        for feed in feeds.iter_mut().filter(|feed| feed.app == app) {
            let others = uris.iter().filter_map(|uri| uri.as_deref());
            feed.name = FeedName::among(feed.uri.as_deref(), others, &applications).label();
        }
    }
    feeds
}

/// Returns the publisher of a feed: the application configured for its address, otherwise the host and port in it.
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
    use crate::{FeedCounts, FeedState, samples};

    const OPENMRS: &str = "http://openmrs:8080/openmrs/ws/atomfeed/patient/recent";
    const OPENELIS: &str = "http://openelis:8052/openelis/ws/feed/patient/recent";

    fn feed(uri: &str) -> Feed {
        Feed {
            uri: Some(uri.into()),
            markers: vec![],
            category: category_of(uri).map(Into::into),
            counts: FeedCounts::default(),
            oldest_failure: None,
            newest_failure: None,
            last_seen_at_work: None,
            state: FeedState::Running,
            signs: Default::default(),
            lag: None,
            forecast: Default::default(),
        }
    }

    fn openelis() -> ApplicationInfo {
        let publishes = vec!["http://openelis:8052/openelis/".into()];
        ApplicationInfo { publishes, ..samples::info("OpenELIS") }
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
    fn a_feed_that_was_not_seen_is_not_called_like_one_that_was() {
        let seen = NamedFeed { app: "odoo".into(), uri: Some(OPENMRS.into()), name: "patient".into(), failing: false };
        let name = |app, uri| called(std::slice::from_ref(&seen), &[openelis()], app, uri);
        assert_eq!(name("odoo", Some(OPENMRS)), "patient");
        assert_eq!(name("odoo", Some(OPENELIS)), "patient (from OpenELIS)");
        assert_eq!(name("pacs", Some(OPENELIS)), "patient");
        assert_eq!((name("odoo", None), name("odoo", Some(""))), ("no feed address".into(), "no feed address".into()));
    }

    #[test]
    fn what_has_no_category_or_no_address_has_a_name_as_well() {
        assert_eq!(FeedName::of(Some("x:y"), &[], &[]).in_sentence(), "the feed x:y");
        assert_eq!(FeedName::of(None, &[], &[]).label(), "no feed address");
        for blank in ["", "  "] {
            assert_eq!(FeedName::of(Some(blank), &[], &[]), FeedName::Nameless);
        }
    }
}
