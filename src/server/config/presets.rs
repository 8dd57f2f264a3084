//! The known consumers: their limits and schedules, the feeds they publish, and how their names identify them.
//!
//! The values live in each consumer's own properties. These are the ones shipped by its developers (ICT4H/atomfeed,
//! OpenElis, openerp-atomfeed-service, pacs-integration, crater-atomfeed, bahmni-core).

use crate::model::{Kind, Limits, application::ConcernSettings};

use super::entries::Entry;

/// Returns the limits and schedule of a kind as shipped.
pub fn limits(kind: Kind) -> Limits {
    let (max_failed_events, max_retry, interval) = match kind {
        Kind::Openmrs => (10_000, 5, 15),
        Kind::Openelis | Kind::Pacs | Kind::Crater => (10_000, 10, 15),
        Kind::Odoo => (1_000, 5, 30),
        // The library's own defaults; it has no schedule.
        Kind::Custom => (5, 5, 30),
    };
    Limits {
        max_failed_events: Some(max_failed_events),
        max_retry: Some(max_retry),
        feed_interval_secs: interval,
        retry_interval_secs: interval,
        // A constant of the library; no known consumer changes it.
        retry_batch: 5,
        assumed: false,
    }
}

/// Returns the concern settings of a kind. Odoo's job that reads the feed of OpenELIS runs once a year.
pub(super) fn concerns(kind: Kind) -> ConcernSettings {
    let idle_feeds: &[&str] = match kind {
        Kind::Odoo => &["/openelis/"],
        Kind::Openmrs | Kind::Openelis | Kind::Pacs | Kind::Crater | Kind::Custom => &[],
    };
    ConcernSettings {
        idle_feeds: idle_feeds.iter().map(|begin| (*begin).to_owned()).collect(),
        ..ConcernSettings::default()
    }
}

/// Prefixes of the feed addresses that a kind publishes in a usual Bahmni, with the hosts of older installations.
fn publishes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Openmrs => {
            &["http://openmrs:8080/openmrs/", "http://localhost:8080/openmrs/", "http://localhost:8050/openmrs/"]
        }
        Kind::Openelis => &["http://openelis:8052/openelis/", "http://localhost:8052/openelis/"],
        Kind::Odoo | Kind::Pacs | Kind::Crater | Kind::Custom => &[],
    }
}

/// Sets each application's addresses from its configuration, or those of its kind. If several applications are of one
/// kind, it is unknown which one has the usual addresses: then none gets them.
pub(super) fn with_usual_publishers(entries: Vec<(Entry, Option<Vec<String>>)>) -> Vec<Entry> {
    let kinds: Vec<Kind> = entries.iter().map(|(entry, _)| entry.info().kind).collect();
    let only_one = |kind: Kind| kinds.iter().filter(|other| **other == kind).count() == 1;
    let complete = |(mut entry, said): (Entry, Option<Vec<String>>)| {
        let kind = entry.info().kind;
        let usual = if only_one(kind) { publishes(kind) } else { &[] };
        entry.info_mut().publishes = said.unwrap_or_else(|| usual.iter().map(|text| (*text).to_owned()).collect());
        entry
    };
    entries.into_iter().map(complete).collect()
}

/// Returns the kind that an application's name indicates; `None` if it indicates none.
pub(super) fn kind_of(name: &str) -> Option<Kind> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let signs = [
        ("openmrs", Kind::Openmrs),
        ("elis", Kind::Openelis),
        ("odoo", Kind::Odoo),
        ("openerp", Kind::Odoo),
        ("pacs", Kind::Pacs),
        ("dcm4chee", Kind::Pacs),
        ("crater", Kind::Crater),
    ];
    signs.into_iter().find(|(sign, _)| plain.contains(sign)).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_odoo_does_not_read_the_feed_of_openelis_is_no_concern() {
        let of_openelis = Some("http://openelis:8052/openelis/ws/feed/patient/recent");
        let of_openmrs = Some("http://openmrs:8080/openmrs/ws/atomfeed/patient/recent");
        assert!(concerns(Kind::Odoo).is_idle(of_openelis) && !concerns(Kind::Odoo).is_idle(of_openmrs));
        assert!(!concerns(Kind::Openmrs).is_idle(of_openelis));
    }

    #[test]
    fn the_names_used_in_the_field_tell_the_kind() {
        for (name, kind) in [
            ("OpenMRS", Some(Kind::Openmrs)),
            ("Open-MRS 2", Some(Kind::Openmrs)),
            ("OpenELIS", Some(Kind::Openelis)),
            ("bahmni_elis", Some(Kind::Openelis)),
            ("OpenERP", Some(Kind::Odoo)),
            ("odoo", Some(Kind::Odoo)),
            ("PACS-Integration", Some(Kind::Pacs)),
            ("Crater", Some(Kind::Crater)),
            ("HIP", None),
            ("", None),
        ] {
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }
}
