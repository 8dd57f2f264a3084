//! Views of persons: each person's view of a patient on a page is in the audit log once an hour, by the patient's uuid.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    error::Problem,
    model::audit::AuditKind,
    server::{operations::Actor, state::Console},
};

/// How long a recorded view covers later ones of the same person on the same page.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// Most views that are remembered.
const MOST: usize = 20_000;

/// The recent views that are in the audit log: user, page and patient.
#[derive(Debug, Default)]
pub struct Viewed(Mutex<HashMap<(String, String, String), Instant>>);

impl Viewed {
    /// Returns those patients whose view by this user on this page is not on record, and remembers them as recorded.
    fn new_ones(&self, who: &str, page: &str, patients: BTreeSet<String>, now: Instant) -> Vec<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + patients.len() > MOST {
            known.retain(|_, at| now.saturating_duration_since(*at) < INTERVAL);
        }
        if known.len() + patients.len() > MOST {
            // Some views are then recorded twice.
            known.clear();
        }
        let mut new = Vec::new();
        for patient in patients {
            let key = (who.to_owned(), page.to_owned(), patient);
            let covered = known.get(&key).is_some_and(|at| now.saturating_duration_since(*at) < INTERVAL);
            if !covered {
                new.push(key.2.clone());
                known.insert(key, now);
            }
        }
        new
    }

    fn forget(&self, who: &str, page: &str, patients: &[String]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for patient in patients {
            known.remove(&(who.to_owned(), page.to_owned(), patient.clone()));
        }
    }
}

/// Records that a page showed these patients, by uuid. `page` names the page, without anything a person typed.
///
/// # Errors
/// Fails if the audit log cannot be written: then nothing may be shown.
pub async fn record(
    console: &Console,
    actor: &Actor,
    page: &str,
    patients: impl IntoIterator<Item = String>,
) -> Result<(), Problem> {
    /// Most uuids of one entry.
    const OF_ENTRY: usize = 20;
    let patients: BTreeSet<String> = patients.into_iter().collect();
    let new = console.parts.viewed.new_ones(&actor.who, page, patients, Instant::now());
    for (number, some) in new.chunks(OF_ENTRY).enumerate() {
        let what = format!("{page}: patients {}", some.join(", "));
        if let Err(error) = console.parts.audit.record(actor.entry(AuditKind::PersonsViewed).what(what)).await {
            console.parts.viewed.forget(&actor.who, page, new.get(number * OF_ENTRY..).unwrap_or_default());
            return Err(error);
        }
    }
    Ok(())
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
        assert_eq!(viewed.new_ones("asha", "list", of(&["a"]), now + INTERVAL), ["a"]);
        viewed.forget("asha", "list", &["c".to_owned()]);
        assert_eq!(viewed.new_ones("asha", "list", of(&["c"]), now), ["c"], "an entry that failed is written later");
    }
}
