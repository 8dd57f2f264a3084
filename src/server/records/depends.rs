//! What failed events wait for: encounters whose patient is missing in their consumer, and the patients' own events.
//!
//! Counts and rows only: nothing here names a person.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::lookup::{found, of_kind};
use crate::{
    api::groups::WaitsFor,
    error::Problem,
    model::{
        Kind, RowId,
        ledger::{LedgerEvent, LifeState},
    },
    server::{
        sources::records::EncountersBy,
        state::Console,
        store::{GroupEvents, GroupRow},
    },
};

/// Most failed events of a group whose records are looked up.
const LOOKED_UP: usize = 2_000;

/// Records that one look-up asks for.
const BATCH: usize = 200;

/// Most events of one batch of patients.
const EVENTS: u32 = 2_000;

/// Returns whether an error says that a patient is missing: `Patient Id not found in Odoo`, `Patient with uuid … not
/// found in ELIS`.
pub fn is_of_a_missing_patient(error: &str) -> bool {
    let error = error.to_lowercase();
    error.contains("patient") && (error.contains("not found") || error.contains("does not exist"))
}

/// Returns what the failed events of a group wait for, and the rows of the patients' own failed events that a retry can
/// help, oldest first. `None` if its error is another one, or none of its events is of an encounter that is found.
///
/// # Errors
/// Fails if the store cannot be read.
pub async fn of_group(console: &Console, fault: i64) -> Result<Option<(WaitsFor, Vec<GroupRow>)>, Problem> {
    let store = &console.parts.store;
    let title = store.group_title(fault, console.only()).await?;
    if !console.parts.config.records.enabled || !title.is_some_and(|title| is_of_a_missing_patient(&title)) {
        return Ok(None);
    }
    let mut events: Vec<LedgerEvent> = Vec::new();
    for state in [LifeState::Exhausted, LifeState::Waiting] {
        let limit = (LOOKED_UP - events.len()) as u32;
        events.extend(store.group_events(GroupEvents { fault, state, before: None, limit }, console.only()).await?);
    }
    let more = events.len() >= LOOKED_UP;
    // The patients for whom each application waits.
    let mut waits = BTreeMap::<String, BTreeSet<String>>::new();
    let mut of_encounters = 0_u64;
    for events in events.chunks(BATCH) {
        let uuids: BTreeSet<String> = events.iter().filter_map(|event| event.record.clone()).collect();
        let patients = patients_of(console, &uuids).await;
        for event in events {
            if let Some(patient) = event.record.as_ref().and_then(|record| patients.get(&record.to_lowercase())) {
                of_encounters += 1;
                waits.entry(event.app.clone()).or_default().insert(patient.clone());
            }
        }
    }
    if of_encounters == 0 {
        return Ok(None);
    }
    let mut answer = WaitsFor { events: of_encounters, more, patients: 0, to_retry: 0, waiting: 0, nothing: 0 };
    let mut rows = Vec::new();
    for (app, patients) in waits {
        answer.patients += patients.len() as u64;
        let mut newest = BTreeMap::<String, LedgerEvent>::new();
        let patients: Vec<String> = patients.into_iter().collect();
        for patients in patients.chunks(BATCH) {
            let events = store.events_of_records(std::slice::from_ref(&app), patients, EVENTS).await?;
            for event in events.into_iter().filter(|event| event.state.is_open()) {
                if let Some(record) = event.record.clone() {
                    newest.entry(record).or_insert(event);
                }
            }
        }
        for patient in &patients {
            match newest.get(&patient.to_lowercase()).map(|event| (event.state, event.row_id)) {
                Some((LifeState::Waiting, _)) => answer.waiting += 1,
                Some((_, id)) => {
                    answer.to_retry += 1;
                    rows.push(GroupRow { app: app.clone(), id });
                }
                None => answer.nothing += 1,
            }
        }
    }
    rows.sort_by(|one, other| (&one.app, one.id).cmp(&(&other.app, other.id)));
    Ok(Some((answer, rows)))
}

/// Returns the patients of encounters by the encounters' uuids, in lower case. The page of a group is read again and
/// again: what was found lately is not asked again.
async fn patients_of(console: &Console, encounters: &BTreeSet<String>) -> BTreeMap<String, String> {
    let (names, now) = (&console.parts.names, Instant::now());
    let mut patients = BTreeMap::new();
    for openmrs in of_kind(console, Kind::Openmrs) {
        let app = &openmrs.app().info.key;
        let mut open = Vec::new();
        for encounter in encounters {
            match names.patient_of(app, encounter, now) {
                Some(patient) => drop(patients.insert(encounter.to_lowercase(), patient)),
                None => open.push(encounter.clone()),
            }
        }
        if open.is_empty() {
            continue;
        }
        let answer = openmrs.record_encounters(EncountersBy::Uuids(&open)).await;
        for encounter in found(answer, &openmrs, &mut Vec::new()) {
            if let Some(patient) = encounter.patient {
                names.keep_patient(app, &encounter.uuid, &patient, now);
                patients.insert(encounter.uuid.to_lowercase(), patient);
            }
        }
    }
    patients
}

/// Returns the rows of a plan: first the patients' own events, oldest first, and their number, then what waits for them.
///
/// # Errors
/// Fails if nothing of the group waits for a patient whose event can be retried, or the store cannot be read.
pub async fn in_order(console: &Console, fault: i64) -> Result<(Vec<(String, RowId)>, Vec<(String, RowId)>), Problem> {
    let waits = of_group(console, fault).await?.filter(|(waits, _)| waits.to_retry > 0);
    let Some((_, first)) = waits else {
        return Err(Problem::conflict(
            "No patient's own event can be retried for this group.",
            "Another user may have acted first. Reload the page of the group.",
        ));
    };
    let then = console.parts.store.group_rows(fault, console.only()).await?;
    let pairs = |rows: Vec<GroupRow>| rows.into_iter().map(|row| (row.app, row.id)).collect::<Vec<_>>();
    Ok((pairs(first), pairs(then)))
}

#[cfg(test)]
mod tests {
    use super::is_of_a_missing_patient;

    #[test]
    fn errors_of_a_missing_patient_are_told_from_others() {
        for error in [
            "Error found in result. Response status: 417. Error message: Expectation Failed: Patient Id not found in Odoo",
            "Patient with uuid '…' not found in ELIS",
        ] {
            assert!(is_of_a_missing_patient(error), "{error}");
        }
        for error in ["Concept for lab test '…' not found in openmrs", "Failed to fetch patient details", ""] {
            assert!(!is_of_a_missing_patient(error), "{error}");
        }
    }
}
