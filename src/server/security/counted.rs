//! Audit entries that anyone can cause any number of times. Of entries that are alike, the first of a minute are
//! recorded at once, and the number of the others when the minute is over. So no one can fill the log or the disk, and
//! nothing goes unrecorded.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::audit::Audit;
use crate::{error::Problem, model::audit::AuditKind, server::store::Entry};

/// How long entries that are alike are counted together.
const A_MINUTE: Duration = Duration::from_secs(60);

/// Number of addresses that are recorded separately for one name in one minute.
const ADDRESSES: usize = 20;

/// Number of other names that are recorded separately in the same minute.
const NAMES: usize = 100;

/// Number of reasons that are recorded separately for one name and address in the same minute.
const REASONS: usize = 10;

/// Replacements for further addresses and names.
const SEVERAL_ADDRESSES: &str = "(several addresses)";
const SEVERAL_NAMES: &str = "(several names)";

/// The fields in which entries are alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Alike {
    kind: AuditKind,
    who: String,
    address: String,
    /// Why: entries with different reasons are not one number.
    reason: String,
}

/// The entries of the current minute.
#[derive(Debug)]
struct Minute {
    /// Number of entries that were recorded at once.
    recorded: u32,
    /// Number of entries that were only counted.
    counted: u64,
    /// An entry of this minute: the last counted one, if any.
    last: Entry,
}

/// Entries that are being counted. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Counted(Arc<Mutex<HashMap<Alike, Minute>>>);

impl Counted {
    /// Decides whether an entry is recorded now or only counted.
    fn takes(&self, mut entry: Entry, reason: &str, at_once: u32) -> Taken {
        let mut minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (who, address) = (entry.who.clone(), entry.address.clone());
        let mut alike = Alike { kind: entry.kind, who, address, reason: reason.to_owned() };
        if !minutes.contains_key(&alike) {
            let names = minutes.keys().filter(|other| other.kind == alike.kind && other.who != alike.who).count();
            if names >= NAMES {
                alike.who = SEVERAL_NAMES.to_owned();
            }
            let addresses = minutes.keys().filter(|other| other.kind == alike.kind && other.who == alike.who).count();
            if addresses >= ADDRESSES {
                alike.address = SEVERAL_ADDRESSES.to_owned();
            }
            let of_one = |other: &&Alike| (&other.who, &other.address) == (&alike.who, &alike.address);
            let reasons = minutes.keys().filter(|other| other.kind == alike.kind).filter(of_one).count();
            if reasons >= REASONS {
                // Further ones are counted together.
                alike.reason = String::new();
            }
            (entry.who, entry.address) = (alike.who.clone(), alike.address.clone());
        }
        let begins = !minutes.contains_key(&alike);
        let minute =
            minutes.entry(alike.clone()).or_insert_with(|| Minute { recorded: 0, counted: 0, last: entry.clone() });
        let begun = begins.then_some(alike);
        if minute.recorded < at_once {
            minute.recorded += 1;
            return Taken { now: Some(entry), begun };
        }
        minute.counted += 1;
        minute.last = entry;
        Taken { now: None, begun }
    }

    /// Ends a minute, and returns the entry with the number that was counted in it.
    fn end(&self, alike: &Alike) -> Option<Entry> {
        let minute = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(alike)?;
        minute.entry()
    }

    fn end_all(&self) -> Vec<Entry> {
        let mut minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *minutes).into_values().filter_map(Minute::entry).collect()
    }
}

impl Minute {
    fn entry(self) -> Option<Entry> {
        let more = match self.counted {
            0 => return None,
            1 => "1 more of these within a minute".to_owned(),
            more => format!("{more} more of these within a minute"),
        };
        let what = if self.last.what.is_empty() { more } else { format!("{}; {more}", self.last.what) };
        Some(self.last.what(what))
    }
}

/// What happens with an entry.
struct Taken {
    /// The entry, if it is recorded now.
    now: Option<Entry>,
    /// Set if the entry is the first of its minute, which must be ended.
    begun: Option<Alike>,
}

impl Audit {
    /// Records an entry that anyone can cause any number of times: at once up to `at_once` times a minute for each name,
    /// address and `reason`; further ones are counted.
    ///
    /// # Errors
    /// Fails if an entry to be recorded now cannot be written. Entries that are only counted do not fail.
    pub async fn record_counted(&self, entry: Entry, reason: &str, at_once: u32) -> Result<(), Problem> {
        let taken = self.counted.takes(entry, reason, at_once);
        if let Some(alike) = taken.begun {
            let audit = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(A_MINUTE).await;
                if let Some(entry) = audit.counted.end(&alike) {
                    // If the entry cannot be written, the log has the reason.
                    let _ = audit.record(entry).await;
                }
            });
        }
        match taken.now {
            Some(entry) => self.record(entry).await.map(drop),
            None => Ok(()),
        }
    }

    /// Records what was counted and is not recorded yet. Called when the console ends.
    pub async fn tell_counted(&self) {
        for entry in self.counted.end_all() {
            let _ = self.record(entry).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(who: &str, address: &str) -> Entry {
        Entry::new(who, "", address, AuditKind::SignInFailed)
    }

    /// Returns how many of these entries are recorded at once.
    fn at_once(counted: &Counted, entries: impl IntoIterator<Item = Entry>) -> usize {
        entries.into_iter().filter_map(|entry| counted.takes(entry, "wrong", 2).now).count()
    }

    #[test]
    fn the_first_of_a_minute_go_on_record_and_the_others_as_a_number() {
        let counted = Counted::default();
        let flood = || (0..1_000).map(|_| failed("(none)", "10.0.0.1").what("an invented name"));
        assert_eq!(at_once(&counted, flood()), 2);
        assert_eq!(
            at_once(&counted, [failed("asha", "10.0.0.1"), failed("(none)", "10.0.0.2")]),
            2,
            "others are apart"
        );
        let (who, address) = ("(none)".to_owned(), "10.0.0.1".to_owned());
        let alike = Alike { kind: AuditKind::SignInFailed, who, address, reason: "wrong".to_owned() };
        let told = counted.end(&alike).expect("what was counted");
        assert_eq!(told.what, "an invented name; 998 more of these within a minute");
        assert_eq!((told.who.as_str(), told.address.as_str()), ("(none)", "10.0.0.1"));
        assert_eq!(at_once(&counted, flood()), 2, "a new minute");
        assert_eq!(counted.end_all().len(), 1, "of those that were only recorded nothing is left to tell");
    }

    #[test]
    fn what_has_different_reasons_is_not_one_number() {
        let counted = Counted::default();
        for reason in ["this token", "this service token"] {
            for _ in 0..5 {
                counted.takes(failed("(none)", "10.0.0.1").what(reason), reason, 1);
            }
        }
        let mut told: Vec<String> = counted.end_all().into_iter().map(|entry| entry.what).collect();
        told.sort();
        assert_eq!(
            told,
            ["this service token; 4 more of these within a minute", "this token; 4 more of these within a minute"]
        );
        let at_once = (0..1_000).filter_map(|n| counted.takes(failed("(none)", "10.0.0.1"), &n.to_string(), 1).now);
        assert_eq!(at_once.count(), REASONS + 1);
    }

    #[test]
    fn many_addresses_and_many_names_are_told_together() {
        let counted = Counted::default();
        let everywhere = (0..100_000_u32).map(|number| failed("(none)", &format!("10.0.{}.{number}", number / 250)));
        assert_eq!(at_once(&counted, everywhere), ADDRESSES + 2);
        let named = (0..100_000_u32).map(|number| failed(&format!("name{number}"), "10.0.0.1"));
        assert!(at_once(&counted, named) <= NAMES + 2);
        let told = counted.end_all();
        assert!(told.len() <= 2 + NAMES, "{}", told.len());
        let several = told.iter().find(|entry| entry.address == SEVERAL_ADDRESSES).expect("the other addresses");
        assert!(several.what.starts_with(&format!("{} more", 100_000 - ADDRESSES - 2)), "{}", several.what);
        assert!(told.iter().any(|entry| entry.who == SEVERAL_NAMES));
    }
}
