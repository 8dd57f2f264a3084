//! Search for records by what people say: a patient's identifier or name, an order number, an accession number, a bill.

use std::collections::BTreeSet;

use super::{
    lookup::{found, of_kind},
    names::{of_order, patient_itself, strip},
    viewed,
};
use crate::{
    api::records::FoundRecord,
    error::Problem,
    model::{
        Kind,
        record::{PersonsShown, RecordKind, RecordName, RecordRef},
        search::{Search, SearchKind, Term},
    },
    server::{
        operations::Actor,
        sources::{
            Source,
            records::{EncountersBy, FOUND, LinesBy, OrdersBy, PatientsBy, SamplesBy},
        },
        state::Console,
    },
};

/// The longest identifier or number that is looked up, in characters.
const LONGEST: usize = 50;

/// Least letters of a name.
const LETTERS: usize = 3;

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    pub records: Vec<FoundRecord>,
    /// The uuids of what belongs to the records: their events are those of the search.
    pub uuids: BTreeSet<String>,
    /// What could not be searched, one sentence each.
    pub lacking: Vec<String>,
    /// Persons' names were searched.
    pub by_name: bool,
}

/// What of the text people may have typed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Typed<'a> {
    /// One word with a digit: an identifier or a number.
    Key(&'a str),
    /// Words of letters.
    Name(Vec<&'a str>),
}

fn typed<'a>(search: &Search, text: &'a str) -> Option<Typed<'a>> {
    let text = text.trim();
    let chars = text.chars().count();
    if search.kind != SearchKind::Words || search.terms.iter().any(|term| matches!(term, Term::Phrase(_))) {
        return None;
    }
    let one = !text.contains(char::is_whitespace);
    if one && (2..=LONGEST).contains(&chars) && text.chars().any(|letter| letter.is_ascii_digit()) {
        return Some(Typed::Key(text));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_name = |word: &&str| {
        word.chars().count() >= LETTERS && word.chars().all(|letter| letter.is_alphabetic() || "-'’.".contains(letter))
    };
    ((1..=4).contains(&words.len()) && chars <= LONGEST && words.iter().all(is_name)).then_some(Typed::Name(words))
}

/// Returns whether an address must not contain what was typed: it can name a person.
pub fn is_personal(console: &Console, text: &str) -> bool {
    console.persons() != PersonsShown::Nothing && typed(&Search::in_list(text), text).is_some()
}

/// Searches for records, and records the view of the patients found.
///
/// # Errors
/// Fails if the audit log cannot be written.
pub async fn find(console: &Console, actor: &Actor, search: &Search, text: &str) -> Result<Found, Problem> {
    let mut answer = Found::default();
    let persons = console.persons();
    if persons == PersonsShown::Nothing {
        return Ok(answer);
    }
    match typed(search, text) {
        Some(Typed::Key(key)) => {
            let sources: Vec<_> = console.sources().filter(|source| source.keeps_records()).cloned().collect();
            let asked = sources.iter().map(|source| by_key(console, source, key));
            for part in futures::future::join_all(asked).await {
                answer.add(part);
            }
        }
        Some(Typed::Name(words)) if persons == PersonsShown::Names => {
            answer.by_name = true;
            for source in of_kind(console, Kind::Openmrs) {
                let mut part = Found::default();
                let patients = source.record_patients(PatientsBy::Name(&words), true).await;
                let patients = found(patients, &source, &mut part.lacking);
                if patients.len() == FOUND as usize {
                    let name = &source.app().info.name;
                    part.lacking
                        .push(format!("{name}: only the first {FOUND} patients are shown. Type more of the name."));
                }
                for patient in patients {
                    part.push(&source, patient_itself(&patient), "name");
                }
                answer.add(part);
            }
        }
        Some(Typed::Name(_)) | None => return Ok(answer),
    }
    for record in &mut answer.records {
        strip(console, &mut record.name);
    }
    // By the patient: the page names none of what was typed.
    let patients = answer.records.iter().filter_map(|record| record.name.patient.clone());
    viewed::record(console, actor, "search", patients).await?;
    Ok(answer)
}

impl Found {
    fn add(&mut self, mut other: Found) {
        for record in other.records.drain(..) {
            let known =
                self.records.iter().any(|known| known.app == record.app && known.name.record == record.name.record);
            if !known {
                self.records.push(record);
            }
        }
        self.uuids.append(&mut other.uuids);
        self.lacking.append(&mut other.lacking);
    }

    fn push(&mut self, source: &Source, name: RecordName, by: &str) {
        let info = &source.app().info;
        self.uuids.insert(name.record.uuid.clone());
        self.records.push(FoundRecord { app: info.key.clone(), place: info.name.clone(), name, by: by.to_owned() });
    }
}

async fn by_key(console: &Console, source: &Source, key: &str) -> Found {
    let mut part = Found::default();
    match source.app().info.kind {
        Kind::Openmrs => in_openmrs(source, key, &mut part).await,
        Kind::Openelis => in_the_lab(console, source, key, &mut part).await,
        Kind::Odoo => in_odoo(console, source, key, &mut part).await,
        Kind::Pacs | Kind::Crater | Kind::Custom => {}
    }
    part
}

/// Patients by identifier, orders by number.
async fn in_openmrs(source: &Source, key: &str, part: &mut Found) {
    let patients = source.record_patients(PatientsBy::Identifier(key), true).await;
    for patient in found(patients, source, &mut part.lacking) {
        let encounters = source.record_encounters(EncountersBy::OrdersOfPatient(patient.id)).await;
        let encounters = found(encounters, source, &mut Vec::new());
        part.uuids.extend(encounters.into_iter().map(|encounter| encounter.uuid));
        part.push(source, patient_itself(&patient), "identifier");
    }
    // Only what looks like a number of an order is worth a look that can be a scan.
    let looks_like_an_order = key.contains('-') || key.bytes().all(|byte| byte.is_ascii_digit());
    let lacking = if looks_like_an_order { &mut part.lacking } else { &mut Vec::new() };
    let orders = found(source.record_orders(OrdersBy::Number(key)).await, source, lacking);
    let owners: Vec<String> = orders.iter().filter_map(|order| order.patient.clone()).collect();
    let owners = found(source.record_patients(PatientsBy::Uuids(&owners), true).await, source, &mut Vec::new());
    for order in orders {
        part.uuids.extend(order.encounter.clone());
        part.push(source, of_order(&order, &owners), "order number");
    }
}

/// Samples by the printed accession number.
async fn in_the_lab(console: &Console, source: &Source, key: &str, part: &mut Found) {
    let tests = source.record_lab_tests(SamplesBy::Accession(key)).await;
    for test in found(tests, source, &mut part.lacking) {
        if part.uuids.contains(&test.sample) {
            continue;
        }
        let record = RecordRef::new(RecordKind::Accession, &test.sample);
        let mut name = RecordName { accessions: test.accession.into_iter().collect(), ..RecordName::unknown(record) };
        name.patient = test.patient;
        identify(console, &mut name).await;
        part.push(source, name, "accession number");
    }
}

/// The orders and the patient of a bill.
async fn in_odoo(console: &Console, source: &Source, key: &str, part: &mut Found) {
    // Bills are called SO199 or S00042.
    if !key.starts_with(['S', 's']) {
        return;
    }
    let lines = found(source.record_bill_lines(LinesBy::Bill(key)).await, source, &mut part.lacking);
    let Some(first) = lines.first() else { return };
    let Some(patient) = first.patient.clone() else {
        part.lacking.push(format!("{}: bill {key} is of a customer without a patient.", source.app().info.name));
        return;
    };
    part.uuids.extend(lines.iter().filter_map(|line| line.encounter.clone()));
    for openmrs in of_kind(console, Kind::Openmrs) {
        let orders: BTreeSet<String> = lines.iter().filter_map(|line| line.order.clone()).collect();
        let orders: Vec<String> = orders.into_iter().collect();
        let orders = found(openmrs.record_orders(OrdersBy::Uuids(&orders)).await, &openmrs, &mut Vec::new());
        let patients = PatientsBy::Uuids(std::slice::from_ref(&patient));
        for owner in found(openmrs.record_patients(patients, true).await, &openmrs, &mut part.lacking) {
            let name = patient_itself(&owner);
            let orders = orders.iter().map(|order| order.name()).collect();
            part.push(&openmrs, RecordName { bills: vec![first.bill.clone()], orders, ..name }, "bill");
        }
    }
}

/// Adds the identifiers of a record's patient, through OpenMRS.
async fn identify(console: &Console, name: &mut RecordName) {
    let Some(patient) = name.patient.clone() else { return };
    for openmrs in of_kind(console, Kind::Openmrs) {
        let by = PatientsBy::Uuids(std::slice::from_ref(&patient));
        let owner = found(openmrs.record_patients(by, true).await, &openmrs, &mut Vec::new()).into_iter().next();
        if let Some(owner) = owner {
            name.identifiers = owner.identifiers;
            name.person = owner.name;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_and_names_are_told_from_error_words() {
        let of = |text: &'static str| typed(&Search::in_list(text), text);
        for key in ["GAN203007", "ORD-307", "05052017-001", "SO199", "12345"] {
            assert_eq!(of(key), Some(Typed::Key(key)));
        }
        assert_eq!(of("Sita Devi"), Some(Typed::Name(vec!["Sita", "Devi"])));
        assert_eq!(of("Σοφία"), Some(Typed::Name(vec!["Σοφία"])));
        for other in ["", "3653b294-ac7b-4ee5-a5ac-1ca2f4b4e854", "\"connection refused\"", "No row with id 5", "ab"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
