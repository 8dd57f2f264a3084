//! The names of applications, and their short forms for addresses and the store.

use super::faults::{Faults, Place};

/// Maximum length of a name; a heading and a column must hold it.
const LONGEST: usize = 100;

/// Returns lower case ASCII letters, digits and hyphens; `app-N` for a name with none of them. `number` counts from 1.
pub(super) fn key(name: &str, number: usize) -> String {
    let mut key = String::new();
    for char in name.chars() {
        if char.is_ascii_alphanumeric() {
            key.push(char.to_ascii_lowercase());
        } else if !key.is_empty() && !key.ends_with('-') {
            key.push('-');
        }
    }
    let key = key.trim_end_matches('-');
    if key.is_empty() { format!("app-{number}") } else { key.to_owned() }
}

/// Returns why a text is not a valid name; `None` if it is.
pub(super) fn wrong(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        Some("is empty: give the application a name".to_owned())
    } else if name.chars().count() > LONGEST {
        Some(format!("is longer than {LONGEST} characters"))
    } else if name.chars().any(char::is_control) {
        Some("holds a control character".to_owned())
    } else {
        None
    }
}

/// Finds equal names, and names with equal short forms. The old console's addresses ignore the case of names, so names
/// that differ only in case count as equal.
pub(super) fn check_unique(names: &[(Place, usize, String)], faults: &mut Faults) {
    for (index, (place, number, name)) in names.iter().enumerate() {
        for (earlier, earlier_number, earlier_name) in &names[..index] {
            let where_else = earlier.key.trim_end_matches(".name").trim_end_matches(".appName");
            if earlier_name.to_lowercase() == name.to_lowercase() {
                faults.add(place, format!("is also the name of {where_else}; each application needs its own"));
                break;
            }
            if key(earlier_name, *earlier_number) == key(name, *number) {
                faults.add(
                    place,
                    format!("has the same short form in addresses as the name of {where_else}; choose another name"),
                );
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_an_address_can_hold() {
        for (name, expected) in [
            ("OpenMRS", "openmrs"),
            ("Odoo (billing)", "odoo-billing"),
            ("  PACS -- 2 ", "pacs-2"),
            ("Hôpital", "h-pital"),
            ("检验", "app-3"),
            ("../..", "app-3"),
        ] {
            assert_eq!(key(name, 3), expected, "{name}");
        }
    }

    #[test]
    fn names_that_would_meet_in_one_address_are_refused() {
        let at = |number: usize, name: &str| {
            (Place { key: format!("application[{number}].name"), line: Some(number) }, number, name.to_owned())
        };
        let mut faults = Faults::of("f");
        check_unique(
            &[at(1, "OpenMRS"), at(2, "openmrs"), at(3, "Open MRS"), at(4, "Open-MRS"), at(5, "Odoo")],
            &mut faults,
        );
        let found = faults.into_list();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].reason, "is also the name of application[1]; each application needs its own");
        assert!(found[1].key.starts_with("application[4]") && found[1].reason.contains("application[3]"), "{found:?}");
    }
}
