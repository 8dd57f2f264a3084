//! The applications of a configuration, one entry each: those that can be connected to, and those whose entry lacks
//! what that needs. One incomplete entry must not keep the others from being served.

use crate::model::{ApplicationInfo, ApplicationView, Reach};

use super::{Application, Fault};

/// An application whose entry lacks what a connection to its database needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Unconfigured {
    /// What pages may show. The address is empty if it cannot be used.
    pub info: ApplicationInfo,
    /// Its position among all entries, counted from 0.
    pub place: usize,
    /// What is missing or cannot be used. Holds no value of the configuration.
    pub lacking: Vec<Fault>,
}

impl Unconfigured {
    /// Returns what is missing, one line each, with the file's name, the line and the key.
    pub fn lines(&self) -> Vec<String> {
        self.lacking.iter().map(Fault::in_short).collect()
    }

    /// Returns a sentence that says that the application is not configured, and why.
    pub fn sentence(&self) -> String {
        format!("{} is not configured. {}.", self.info.name, self.lines().join("; "))
    }

    /// Returns what pages show instead of the last known state of its database.
    pub fn view(&self) -> ApplicationView {
        ApplicationView {
            info: self.info.clone(),
            reach: Reach::NotConfigured { lacking: self.lines() },
            looked_at: None,
            seen: None,
            seen_at: None,
            concerns: Vec::new(),
            days: Vec::new(),
            probe: None,
        }
    }
}

/// An entry as it was read.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Whole(Box<Application>),
    Lacking(Box<Unconfigured>),
}

impl Entry {
    pub fn info(&self) -> &ApplicationInfo {
        match self {
            Entry::Whole(application) => &application.info,
            Entry::Lacking(unconfigured) => &unconfigured.info,
        }
    }

    pub fn info_mut(&mut self) -> &mut ApplicationInfo {
        match self {
            Entry::Whole(application) => &mut application.info,
            Entry::Lacking(unconfigured) => &mut unconfigured.info,
        }
    }
}

/// Separates complete entries from incomplete ones.
pub(super) fn separated(entries: Vec<Entry>) -> (Vec<Application>, Vec<Unconfigured>) {
    let (mut whole, mut lacking) = (Vec::new(), Vec::new());
    for (place, entry) in entries.into_iter().enumerate() {
        match entry {
            Entry::Whole(application) => whole.push(*application),
            Entry::Lacking(unconfigured) => lacking.push(Unconfigured { place, ..*unconfigured }),
        }
    }
    (whole, lacking)
}

/// Inserts the values for incomplete entries, each with its position, among those for complete entries.
pub fn in_configured_order<T>(mut of_whole: Vec<T>, of_lacking: impl IntoIterator<Item = (usize, T)>) -> Vec<T> {
    for (place, made) in of_lacking {
        of_whole.insert(place.min(of_whole.len()), made);
    }
    of_whole
}

/// Returns the name of an application whose entry has no usable name; `number` counts the entries from 1.
pub(super) fn nameless(number: usize) -> String {
    format!("Application {number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_stands_where_the_configuration_has_it() {
        assert_eq!(in_configured_order(vec!["b", "d"], [(0, "a"), (2, "c"), (4, "e")]), ["a", "b", "c", "d", "e"]);
        assert_eq!(in_configured_order(vec![], [(0, "a"), (1, "b")]), ["a", "b"]);
    }
}
