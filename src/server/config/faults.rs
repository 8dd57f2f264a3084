//! Errors of a configuration: collected and reported together.
//!
//! A fault names the place and the reason. It never contains a value of the configuration, because any value can be a
//! misplaced password.

use std::{fmt, path::Path};

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, or "environment".
    pub source: String,
    /// Line in the file, counted from 1, if known.
    pub line: Option<usize>,
    /// The key's path, such as `application[2].tls`; tables of a list are counted from 1. Empty for the whole file.
    pub key: String,
    /// What is wrong and what is allowed.
    pub reason: String,
}

impl Fault {
    /// Returns the fault with the file's name only, for pages: not every reader may know the path of the configuration.
    pub fn in_short(&self) -> String {
        let name = Path::new(&self.source).file_name().map(|name| name.to_string_lossy().into_owned());
        Fault { source: name.unwrap_or_else(|| self.source.clone()), ..self.clone() }.to_string()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// A refused configuration, with all its errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub faults: Vec<Fault>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.len() {
            1 => f.write_str("The configuration has an error:")?,
            count => write!(f, "The configuration has {count} errors:")?,
        }
        for fault in &self.faults {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub key: String,
    pub line: Option<usize>,
}

/// The faults of one file (or of the environment), in the order in which they are found.
#[derive(Debug)]
pub(super) struct Faults {
    source: String,
    found: Vec<Fault>,
}

impl Faults {
    pub fn of(source: impl Into<String>) -> Self {
        Self { source: source.into(), found: Vec::new() }
    }

    pub fn add(&mut self, place: &Place, reason: impl Into<String>) {
        let fault = self.fault(place, reason);
        self.found.push(fault);
    }

    /// Creates a fault of this file without adding it.
    pub fn fault(&self, place: &Place, reason: impl Into<String>) -> Fault {
        Fault { source: self.source.clone(), line: place.line, key: place.key.clone(), reason: reason.into() }
    }

    /// Returns the number of faults so far.
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// Returns the faults in the order of the file, because that is the order in which they are corrected.
    pub fn into_list(mut self) -> Vec<Fault> {
        self.found.sort_by_key(|fault| fault.line);
        self.found
    }
}

/// Describes why a file cannot be read.
pub(super) fn unreadable(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "cannot be read: there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "cannot be read: this account has no right to".to_owned(),
        ErrorKind::IsADirectory => "cannot be read: it is a folder".to_owned(),
        ErrorKind::InvalidData => "cannot be read: it is not UTF-8 text".to_owned(),
        other => format!("cannot be read: {other}"),
    }
}

/// Returns the known word that `word` is probably meant to be.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase();
    let (slips, known) = known.iter().map(|known| (strsim::damerau_levenshtein(&word, known), *known)).min()?;
    // One typing error in a short word, more in a longer one.
    (slips <= 1 + known.len() / 4).then_some(known)
}

/// Returns `, did you mean "tls"?` if one of the known words is similar, otherwise nothing.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    nearest(word, known).map(|known| format!(", did you mean \"{known}\"?")).unwrap_or_default()
}

/// Returns `a, b or c`.
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_proposed_and_a_far_one_is_not() {
        let known = ["password", "password_file", "pool_size", "tls"];
        assert_eq!(did_you_mean("passwrod", &known), ", did you mean \"password\"?");
        assert_eq!(did_you_mean("poolsize", &known), ", did you mean \"pool_size\"?");
        assert_eq!(did_you_mean("TLS", &known), ", did you mean \"tls\"?");
        assert_eq!(did_you_mean("colour", &known), "");
    }

    #[test]
    fn faults_are_told_in_the_order_of_the_file_with_place_and_reason() {
        let mut faults = Faults::of("console.toml");
        faults.add(&Place { key: "application[2].tls".into(), line: Some(9) }, "is a number");
        faults.add(&Place { key: "listen".into(), line: Some(1) }, "is not an address");
        let refused = Refused { faults: faults.into_list() };
        assert_eq!(
            refused.to_string(),
            "The configuration has 2 errors:\n  console.toml:1: listen: is not an address\n  \
             console.toml:9: application[2].tls: is a number"
        );
    }
}
