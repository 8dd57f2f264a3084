//! Faults of the generated history that still apply when the simulation starts: missing records, tests that are not set
//! up. Incidents of the history (Odoo was down for a morning) are over, so their events succeed when retried.

use std::collections::{BTreeMap, HashMap};

use super::{
    faults::Fault,
    history::{Category, Failure, History, Share, hyphenated},
    troubles::{New, Scope},
};

/// Maximum number of records per trouble: a hospital of a million failures is made quickly, too.
const MOST_RECORDS: usize = 20_000;

/// Returns the troubles that remain from the history, oldest first.
pub(super) fn troubles(history: &History) -> Vec<New> {
    let shares = [&history.openmrs, &history.openelis, &history.odoo, &history.pacs];
    let mut left: Vec<New> = shares.into_iter().flat_map(of_share).collect();
    left.sort_by_key(|trouble| trouble.began_at);
    left
}

/// Returns the fault with which a failed event would fail again: that of its latest error.
fn again(failure: &Failure) -> Fault {
    if failure.attempts > 0 { failure.latest } else { failure.first }
}

fn of_share(share: &Share) -> Vec<New> {
    // The failures are in chronological order: the record that another one waits for comes before it.
    let mut comes_through = HashMap::<Option<&str>, &Failure>::new();
    let mut patients = Vec::<&Failure>::new();
    let mut troubles = BTreeMap::<Fault, New>::new();
    for failure in &share.failures {
        let (fault, feed) = (again(failure), failure.feed.as_deref());
        let needs = match fault {
            Fault::PreviousOrder => comes_through.get(&feed).copied(),
            Fault::PatientNotInElis => one_of(&patients, failure),
            _ => None,
        };
        if fault.is_over() {
            comes_through.insert(feed, failure);
        }
        if failure.event.category == Category::Patient {
            patients.push(failure);
        }
        // Nothing fixes an order without its predecessor, so one that has none must not wait for it.
        if fault.is_over() || (fault == Fault::PreviousOrder && needs.is_none()) {
            continue;
        }
        let trouble = troubles.entry(fault).or_insert_with(|| New {
            fault,
            began_at: failure.at,
            until: None,
            scope: Scope::Records(Vec::new()),
        });
        if let Scope::Records(records) = &mut trouble.scope
            && records.len() < MOST_RECORDS
        {
            records.push((hyphenated(failure.event.record), needs.map(|other| hyphenated(other.event.record))));
        }
    }
    troubles.into_values().collect()
}

/// Returns one of the patients whose own event failed before: not the same for all, many have an encounter or two.
fn one_of<'a>(patients: &[&'a Failure], failure: &Failure) -> Option<&'a Failure> {
    let index = failure.event.uuid.checked_rem(patients.len() as u128)?;
    patients.get(usize::try_from(index).ok()?).copied()
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::clock;
    use crate::demo::{Options, history::invent};

    #[test]
    fn what_is_over_does_not_stand_and_everything_else_does() {
        let left = troubles(&invent(&Options::at(clock::now())));
        assert!(left.iter().all(|trouble| !trouble.fault.is_over()));
        for fault in [Fault::PatientNotInOdoo, Fault::TestNotSetUp, Fault::NoIdentifier, Fault::ModalityRejects] {
            assert!(left.iter().any(|trouble| trouble.fault == fault), "{fault:?}");
        }
    }

    #[test]
    fn an_order_waits_only_for_one_that_can_come_through() {
        let history = invent(&Options::at(clock::now()));
        let left = troubles(&history);
        let waiting = left.iter().find(|trouble| trouble.fault == Fault::PreviousOrder).expect("orders that wait");
        let Scope::Records(records) = &waiting.scope else { panic!("orders are records") };
        for (record, needs) in records {
            let needs = needs.as_ref().expect("a predecessor");
            assert_ne!(record, needs);
            let failure = |uuid: &str| history.odoo.failures.iter().find(|one| hyphenated(one.event.record) == uuid);
            let (order, before) = (failure(record).expect("the order"), failure(needs).expect("its predecessor"));
            assert!(before.at < order.at && again(before).is_over());
        }
    }
}
