//! What the console keeps of records in memory: names that were found lately, searches whose text can name a person, and
//! which views of patients are on record. None of it is written anywhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{
    model::record::{RecordName, RecordRef},
    server::{expiring_map::ExpiringMap, security::secrets},
};

/// How long a name, or the patient of an encounter, is used before it is asked again.
const LASTS: Duration = Duration::from_secs(300);

/// The same for a record of which nothing was found, whose row can be on its way, and for how long an application that
/// did not answer in time is not asked again.
const BRIEF: Duration = Duration::from_secs(20);

/// How long a search is kept, and a recorded view covers later ones of the same person on the same page.
const AN_HOUR: Duration = Duration::from_secs(3_600);

/// Most names, patients or views that are kept.
const MOST: usize = 20_000;

/// Most searches that are kept.
const MOST_SEARCHES: usize = 5_000;

/// A record that needs a name, with the key of the application that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wanted {
    pub app: String,
    pub record: RecordRef,
}

/// Names that were found lately, whole: each reader gets a part of them.
#[derive(Debug)]
pub struct Names {
    found: ExpiringMap<Wanted, RecordName>,
    /// Records of which nothing was found.
    nameless: ExpiringMap<Wanted>,
    /// Applications that did not answer in time.
    slow: ExpiringMap<String>,
    /// The patients of encounters, by application and uuid in lower case.
    patients: ExpiringMap<(String, String), String>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            found: ExpiringMap::new(LASTS, MOST),
            nameless: ExpiringMap::new(BRIEF, MOST),
            slow: ExpiringMap::new(BRIEF, MOST),
            patients: ExpiringMap::new(LASTS, MOST),
        }
    }
}

impl Names {
    pub(super) fn known(&self, wanted: &Wanted, now: Instant) -> Option<RecordName> {
        let nameless = || self.nameless.get(wanted, now).map(|()| RecordName::unknown(wanted.record.clone()));
        self.found.get(wanted, now).or_else(nameless)
    }

    pub(super) fn keep(&self, names: &BTreeMap<Wanted, RecordName>, now: Instant) {
        for (wanted, name) in names {
            match name.label() {
                Some(_) => self.found.put(wanted.clone(), name.clone(), now),
                None => self.nameless.put(wanted.clone(), (), now),
            }
        }
    }

    pub(super) fn is_slow(&self, app: &str, now: Instant) -> bool {
        self.slow.get(app, now).is_some()
    }

    pub(super) fn was_slow(&self, app: &str, now: Instant) {
        self.slow.put(app.to_owned(), (), now);
    }

    /// Returns the patient of an encounter of an application.
    pub(super) fn patient_of(&self, app: &str, encounter: &str, now: Instant) -> Option<String> {
        self.patients.get(&(app.to_owned(), encounter.to_lowercase()), now)
    }

    pub(super) fn keep_patient(&self, app: &str, encounter: &str, patient: &str, now: Instant) {
        self.patients.put((app.to_owned(), encounter.to_lowercase()), patient.to_owned(), now);
    }
}

/// The recent views that are in the audit log: user, page and patient.
#[derive(Debug)]
pub struct Viewed(ExpiringMap<(String, String, String)>);

impl Default for Viewed {
    fn default() -> Self {
        Self(ExpiringMap::new(AN_HOUR, MOST))
    }
}

impl Viewed {
    /// Returns those patients whose view by this user on this page is not on record, and remembers them as recorded.
    pub(super) fn new_ones(&self, who: &str, page: &str, patients: BTreeSet<String>, now: Instant) -> Vec<String> {
        let key = |patient: &String| (who.to_owned(), page.to_owned(), patient.clone());
        let new: Vec<String> =
            patients.into_iter().filter(|patient| self.0.get(&key(patient), now).is_none()).collect();
        new.iter().for_each(|patient| self.0.put(key(patient), (), now));
        new
    }

    pub(super) fn forget(&self, who: &str, page: &str, patients: &[String]) {
        for patient in patients {
            self.0.remove(&(who.to_owned(), page.to_owned(), patient.clone()));
        }
    }
}

/// Searches whose text can name a person: it stands in no address and in no log, only here, under a random number.
#[derive(Debug)]
pub struct KeptSearches(ExpiringMap<String, (String, String)>);

impl Default for KeptSearches {
    fn default() -> Self {
        Self(ExpiringMap::new(AN_HOUR, MOST_SEARCHES))
    }
}

impl KeptSearches {
    /// Keeps a text for a person; returns its number.
    pub fn keep(&self, who: &str, text: &str) -> String {
        let number = secrets::new();
        self.0.put(number.clone(), (who.to_owned(), text.to_owned()), Instant::now());
        number
    }

    /// Returns the text that a person's search kept under this number.
    pub fn text(&self, who: &str, number: &str) -> Option<String> {
        self.0.get(number, Instant::now()).filter(|(of, _)| of == who).map(|(_, text)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_on_a_page_is_on_record_once_an_hour_for_each_person() {
        let (viewed, now) = (Viewed::default(), Instant::now());
        let of = |patients: &[&str]| patients.iter().map(|uuid| (*uuid).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(viewed.new_ones("asha", "list", of(&["a", "b"]), now), ["a", "b"]);
        assert_eq!(viewed.new_ones("asha", "list", of(&["b", "c"]), now), ["c"]);
        assert_eq!(viewed.new_ones("ravi", "list", of(&["a"]), now), ["a"]);
        assert_eq!(viewed.new_ones("asha", "event 7", of(&["a"]), now), ["a"]);
        assert_eq!(viewed.new_ones("asha", "list", of(&["a"]), now + AN_HOUR), ["a"]);
        viewed.forget("asha", "list", &["c".to_owned()]);
        assert_eq!(viewed.new_ones("asha", "list", of(&["c"]), now), ["c"], "an entry that failed is written later");
    }

    #[test]
    fn a_kept_search_is_given_to_nobody_else() {
        let kept = KeptSearches::default();
        let number = kept.keep("asha", "Sita");
        assert_eq!(kept.text("asha", &number).as_deref(), Some("Sita"));
        assert_eq!(kept.text("ravi", &number), None);
        assert_eq!(kept.text("asha", "0"), None);
        assert!(!number.contains("Sita") && number.len() >= 16, "{number}");
    }
}
