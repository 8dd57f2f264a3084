//! The parsers of the old console's configuration for `crate::fuzzing`, which cannot reach them otherwise.

use std::fmt::Write;

use super::{environment::Environment, faults::Faults, jdbc, old_yaml as old_file};

/// Returns the parts of a JDBC address, without its password, or the reason why it cannot be read.
pub(crate) fn jdbc_address(text: &str) -> Result<String, String> {
    let jdbc = jdbc::parse(text)?;
    assert!(!jdbc.host.is_empty(), "an address that is read has a host");
    let mut shown = format!("{} {} {}", jdbc.host, jdbc.port, jdbc.database);
    for note in &jdbc.notes {
        let _ = write!(shown, " {note}");
    }
    Ok(shown)
}

/// Reads an application.yml; it is accepted, or it has faults that name a place and a reason.
pub(crate) fn old_yaml(text: &str) {
    let mut faults = Faults::of("application.yml");
    let environment = Environment::from([("DB_PASSWORD", "s3cret-of-nobody")]);
    let _ = old_file::read(text, &environment, &mut faults);
    for fault in faults.into_list() {
        assert!(!fault.reason.is_empty(), "a fault has a reason");
        assert!(!fault.to_string().contains("s3cret-of-nobody"), "a fault quotes a password: {fault}");
        assert!(fault.line.is_none_or(|line| line >= 1 && line <= text.lines().count() + 1), "{fault}");
    }
}
