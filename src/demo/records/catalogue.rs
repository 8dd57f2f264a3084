//! What can be ordered in the demo hospital, and the names of its patients: all of it invented.

use fastrand::Rng;

use crate::demo::history::uuid;

/// What an item of the catalogue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demo) enum Kind {
    Test,
    Panel,
    Radiology,
    Drug,
    Procedure,
    /// A sample, a department, something that can be sold: never ordered.
    Other,
}

impl Kind {
    /// Returns what a `lab` event with this title is about.
    pub fn of_title(title: &str) -> Self {
        match title {
            "test" => Self::Test,
            "panel" => Self::Panel,
            "radiology" => Self::Radiology,
            "drug" => Self::Drug,
            _ => Self::Other,
        }
    }

    /// `concept.class_id`
    pub fn class(self) -> i64 {
        self as i64 + 1
    }

    /// Returns the row of `order_type` in OpenMRS whose orders are for it.
    pub fn order_type(self) -> i64 {
        match self {
            Self::Test | Self::Panel | Self::Other => 1,
            Self::Drug => 2,
            Self::Radiology => 3,
            Self::Procedure => 4,
        }
    }
}

/// `order_type` of OpenMRS with its Java class, in the order of the ids. Odoo does not know the last one.
pub(in crate::demo) const ORDER_TYPES: [(&str, &str); 4] = [
    ("Lab Order", "org.openmrs.Order"),
    ("Drug Order", "org.openmrs.DrugOrder"),
    ("Radiology Order", "org.openmrs.Order"),
    ("Procedure Order", "org.openmrs.Order"),
];
/// `encounter_type`, in the order of the ids.
pub(in crate::demo) const ENCOUNTER_TYPES: [&str; 4] = ["Consultation", "ADMISSION", "INVESTIGATION", "LAB_RESULT"];
pub(in crate::demo) const CONSULTATION: i64 = 1;
pub(in crate::demo) const INVESTIGATION: i64 = 3;
pub(in crate::demo) const LAB_RESULT: i64 = 4;
/// `location`, in the order of the ids.
pub(in crate::demo) const LOCATIONS: [&str; 4] = ["OPD-1", "OPD-2", "General Ward", "Emergency"];

/// Something that can be ordered, with its concept.
#[derive(Clone, Debug)]
pub(in crate::demo) struct Item {
    pub kind: Kind,
    pub name: String,
    /// The uuid that consumers know it by: of the drug, for all others of the concept.
    pub uuid: u128,
    /// The same, except for drugs.
    pub concept: u128,
    pub in_elis: bool,
    pub in_odoo: bool,
}

/// The items that every hospital has, with whether OpenELIS knows those of the laboratory.
const USUAL: [(Kind, &str, bool); 44] = [
    (Kind::Test, "Haemoglobin", true),
    (Kind::Test, "Platelet Count", true),
    (Kind::Test, "Total Leucocyte Count", true),
    (Kind::Test, "ESR", true),
    (Kind::Test, "Random Blood Sugar", true),
    (Kind::Test, "Serum Creatinine", true),
    (Kind::Test, "Blood Urea", true),
    (Kind::Test, "Serum Sodium", true),
    (Kind::Test, "Serum Potassium", true),
    (Kind::Test, "SGPT", true),
    (Kind::Test, "Total Bilirubin", true),
    (Kind::Test, "Malaria Smear", true),
    (Kind::Test, "Urine Protein", true),
    (Kind::Test, "Sputum for AFB", true),
    (Kind::Test, "Vitamin D", false),
    (Kind::Test, "D-Dimer", false),
    (Kind::Panel, "Complete Blood Count", true),
    (Kind::Panel, "Liver Function Test", true),
    (Kind::Panel, "Renal Function Test", true),
    (Kind::Panel, "Electrolytes", true),
    (Kind::Panel, "Thyroid Profile", false),
    (Kind::Radiology, "Chest PA X-ray", false),
    (Kind::Radiology, "Knee AP X-ray", false),
    (Kind::Radiology, "Abdomen Erect X-ray", false),
    (Kind::Radiology, "Wrist Lateral X-ray", false),
    (Kind::Radiology, "Skull AP X-ray", false),
    (Kind::Radiology, "Pelvis AP X-ray", false),
    (Kind::Drug, "Paracetamol 500 mg tablet", false),
    (Kind::Drug, "Amoxicillin 250 mg capsule", false),
    (Kind::Drug, "Metformin 500 mg tablet", false),
    (Kind::Drug, "Amlodipine 5 mg tablet", false),
    (Kind::Drug, "Omeprazole 20 mg capsule", false),
    (Kind::Drug, "Cetirizine 10 mg tablet", false),
    (Kind::Drug, "Ferrous sulphate 200 mg tablet", false),
    (Kind::Drug, "Oral rehydration salts", false),
    (Kind::Drug, "Ibuprofen 400 mg tablet", false),
    (Kind::Drug, "Salbutamol inhaler", false),
    (Kind::Drug, "Isoniazid 300 mg tablet", false),
    (Kind::Drug, "Ceftriaxone 1 g injection", false),
    (Kind::Drug, "Atenolol 50 mg tablet", false),
    (Kind::Drug, "Folic acid 5 mg tablet", false),
    (Kind::Procedure, "Wound dressing", false),
    (Kind::Procedure, "Suturing", false),
    (Kind::Procedure, "Plaster cast", false),
];

/// Returns the usual items. They are the same in every demo hospital, in the order of their ids.
pub(in crate::demo) fn usual() -> Vec<Item> {
    let mut rng = Rng::with_seed(16);
    let item = |(kind, name, in_elis): &(Kind, &str, bool)| {
        let concept = uuid(&mut rng);
        let uuid = if *kind == Kind::Drug { uuid(&mut rng) } else { concept };
        Item { kind: *kind, name: (*name).to_owned(), uuid, concept, in_elis: *in_elis, in_odoo: true }
    };
    USUAL.iter().map(item).collect()
}

/// Returns the place of a random usual item of this kind. Of the laboratory's, one that OpenELIS knows or does not.
pub(in crate::demo) fn any(rng: &mut Rng, kind: Kind, in_elis: bool) -> usize {
    let fits = |item: &(Kind, &str, bool)| item.0 == kind && item.2 == in_elis;
    let places: Vec<usize> = USUAL.iter().enumerate().filter(|(_, item)| fits(item)).map(|(place, _)| place).collect();
    rng.choice(places).unwrap_or(0)
}

/// Returns the tests of a panel: places of usual items.
pub(in crate::demo) fn members(panel: usize) -> [usize; 2] {
    [panel * 2 % 14, (panel * 2 + 1) % 14]
}

const GIVEN: [&str; 24] = [
    "Asha", "Ravi", "Meera", "Sunil", "Kavita", "Manoj", "Lata", "Deepak", "Usha", "Anil", "Rekha", "Vijay", "Geeta",
    "Mohan", "Savita", "Rakesh", "Nirmala", "Dinesh", "Pushpa", "Ashok", "Kamla", "Suresh", "Radha", "Mahesh",
];
const FAMILY: [&str; 24] = [
    "Kalinga", "Devani", "Marwal", "Tiraki", "Bhosale", "Netrani", "Solvi", "Purohan", "Mandari", "Jhari", "Kumbhar",
    "Dharane", "Lohani", "Patrika", "Sundari", "Barwa", "Khedkar", "Nayan", "Ganveer", "Talwari", "Ozarde", "Phulmali",
    "Ratnani", "Sawale",
];

/// The name, sex and birth date of an invented person.
#[derive(Clone, Debug)]
pub(in crate::demo) struct Person {
    pub given: &'static str,
    pub family: &'static str,
    pub female: bool,
    pub born: String,
}

impl Person {
    pub fn invent(rng: &mut Rng) -> Self {
        let given = rng.usize(..GIVEN.len());
        Self {
            given: GIVEN[given],
            family: FAMILY[rng.usize(..FAMILY.len())],
            // The names are in turns.
            female: given.is_multiple_of(2),
            born: format!("{}-{:02}-{:02}", rng.u32(1938..2022), rng.u32(1..=12), rng.u32(1..=28)),
        }
    }

    pub fn gender(&self) -> &'static str {
        if self.female { "F" } else { "M" }
    }
}

/// Returns the identifier of a patient.
pub(in crate::demo) fn identifier(person_id: i64) -> String {
    format!("GAN2{:05}", 3000 + person_id)
}

/// Returns the accession number of the n-th sample of a day, as OpenELIS prints it.
pub(in crate::demo) fn accession(day: chrono::NaiveDate, n: u32) -> String {
    format!("{}-{n:03}", day.format("%d%m%Y"))
}
