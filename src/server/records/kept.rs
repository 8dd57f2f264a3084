//! What the console keeps of records in memory: names that were found lately, searches whose text can name a person, and
//! which views of patients are on record. None of it is written anywhere.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    model::record::{RecordName, RecordRef},
    server::security::secrets,
};

/// How long a name is used before it is asked again.
const LASTS: Duration = Duration::from_secs(300);

/// The same for a record of which nothing was found: its row can be on its way.
const NOTHING_LASTS: Duration = Duration::from_secs(20);

/// Most names that are kept.
const MOST_NAMES: usize = 20_000;

/// A record that needs a name, with the key of the application that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wanted {
    pub app: String,
    pub record: RecordRef,
}

/// Names that were found lately, whole: each reader gets a part of them.
#[derive(Debug, Default)]
pub struct Names(Mutex<HashMap<Wanted, (RecordName, Instant)>>);

impl Names {
    pub(super) fn known(&self, wanted: &Wanted, now: Instant) -> Option<RecordName> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, at) = known.get(wanted)?;
        let lasts = if name.label().is_some() { LASTS } else { NOTHING_LASTS };
        (now.saturating_duration_since(*at) < lasts).then(|| name.clone())
    }

    pub(super) fn keep(&self, names: &BTreeMap<Wanted, RecordName>, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + names.len() > MOST_NAMES {
            known.retain(|_, (_, at)| now.saturating_duration_since(*at) < LASTS);
        }
        if known.len() + names.len() > MOST_NAMES {
            known.clear();
        }
        known.extend(names.iter().map(|(wanted, name)| (wanted.clone(), (name.clone(), now))));
    }
}

/// How long a recorded view covers later ones of the same person on the same page.
const VIEWED: Duration = Duration::from_secs(3_600);

/// Most views that are remembered.
const MOST_VIEWS: usize = 20_000;

/// The recent views that are in the audit log: user, page and patient.
#[derive(Debug, Default)]
pub struct Viewed(Mutex<HashMap<(String, String, String), Instant>>);

impl Viewed {
    /// Returns those patients whose view by this user on this page is not on record, and remembers them as recorded.
    pub(super) fn new_ones(&self, who: &str, page: &str, patients: BTreeSet<String>, now: Instant) -> Vec<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + patients.len() > MOST_VIEWS {
            known.retain(|_, at| now.saturating_duration_since(*at) < VIEWED);
        }
        if known.len() + patients.len() > MOST_VIEWS {
            // Some views are then recorded twice.
            known.clear();
        }
        let mut new = Vec::new();
        for patient in patients {
            let key = (who.to_owned(), page.to_owned(), patient);
            let covered = known.get(&key).is_some_and(|at| now.saturating_duration_since(*at) < VIEWED);
            if !covered {
                new.push(key.2.clone());
                known.insert(key, now);
            }
        }
        new
    }

    pub(super) fn forget(&self, who: &str, page: &str, patients: &[String]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for patient in patients {
            known.remove(&(who.to_owned(), page.to_owned(), patient.clone()));
        }
    }
}

/// How long a search is kept.
const KEPT: Duration = Duration::from_secs(3_600);

/// Most searches that are kept.
const MOST_KEPT: usize = 5_000;

/// Searches whose text can name a person: it stands in no address and in no log, only here, under a random number.
#[derive(Debug, Default)]
pub struct KeptSearches(Mutex<HashMap<String, (String, String, Instant)>>);

impl KeptSearches {
    /// Keeps a text for a person; returns its number.
    pub fn keep(&self, who: &str, text: &str) -> String {
        let number = secrets::new();
        let now = Instant::now();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.retain(|_, (_, _, at)| now.saturating_duration_since(*at) < KEPT);
        }
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(number.clone(), (who.to_owned(), text.to_owned(), now));
        number
    }

    /// Returns the text that a person's search kept under this number.
    pub fn text(&self, who: &str, number: &str) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, text, at) = kept.get(number)?;
        (of == who && at.elapsed() < KEPT).then(|| text.clone())
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
        assert_eq!(viewed.new_ones("asha", "list", of(&["a"]), now + VIEWED), ["a"]);
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
