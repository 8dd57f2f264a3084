//! Faults of the generated history that still apply when the simulation starts: missing records, tests that are not set
//! up. Incidents of the history (Odoo was down for a morning) are over, so their events succeed when retried.

use std::collections::{BTreeMap, HashMap};

use super::{
    faults::Fault,
    history::{Failure, History, Share, again, hyphenated},
    records::Records,
    troubles::{New, Scope},
};

/// Maximum number of records per trouble: a hospital of a million failures is made quickly, too.
const MOST_RECORDS: usize = 20_000;

/// Returns the troubles that remain from the history, oldest first.
pub(super) fn troubles(history: &History) -> Vec<New> {
    let shares = [&history.openmrs, &history.openelis, &history.odoo, &history.pacs];
    let mut left: Vec<New> = shares.into_iter().flat_map(|share| of_share(share, &history.records)).collect();
    left.sort_by_key(|trouble| trouble.began_at);
    left
}

fn of_share(share: &Share, records_of: &Records) -> Vec<New> {
    // The failures are in chronological order: the record that another one waits for comes before it.
    let mut comes_through = HashMap::<Option<&str>, &Failure>::new();
    let mut troubles = BTreeMap::<Fault, New>::new();
    for failure in &share.failures {
        let (fault, feed) = (again(failure), failure.feed.as_deref());
        let needs = match fault {
            Fault::PreviousOrder => comes_through.get(&feed).copied(),
            _ => None,
        };
        if fault.is_over() {
            comes_through.insert(feed, failure);
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
            let record = match fault {
                // Its tables say whether a consumer knows a patient: here is only whom a user can add.
                Fault::PatientNotInElis | Fault::PatientNotInOdoo => records_of.patient_of(failure.event.record),
                _ => None,
            };
            let record = record.unwrap_or(failure.event.record);
            records.push((hyphenated(record), needs.map(|other| hyphenated(other.event.record))));
        }
    }
    troubles.into_values().collect()
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::clock;
    use crate::demo::{
        Options,
        history::{Category, invent},
    };

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
            let of_laboratory = |one: &&Failure| one.event.category == Category::Accession;
            let failures = || history.odoo.failures.iter().filter(of_laboratory);
            let failure = |uuid: &str| failures().find(|one| hyphenated(one.event.record) == uuid);
            let (order, before) = (failure(record).expect("the order"), failure(needs).expect("its predecessor"));
            assert!(before.at < order.at && again(before).is_over());
        }
    }
}
