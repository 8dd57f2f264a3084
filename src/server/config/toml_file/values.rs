//! Values that more than one table of the file has: web addresses and secrets.

use std::{fs, path::Path};

use super::table::Table;
use crate::server::config::{Secret, faults::unreadable, secrecy};

/// The columns that hold feed addresses are no longer than this.
pub(super) const LONGEST_ADDRESS: usize = 255;
/// A file with a password or a token is small; a larger one was named by mistake.
const LARGEST_SECRET_FILE: u64 = 4_096;

/// Returns an address without a final slash; `None` if a text is none.
pub(super) fn web_address(text: &str) -> Option<String> {
    let text = text.trim();
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let plain = |letter: char| letter.is_ascii_graphic() && !"\"'<>\\^`{|}@?#".contains(letter);
    let named = host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[');
    let fine = named && host.chars().all(plain) && host.len() <= LONGEST_ADDRESS;
    fine.then(|| text.trim_end_matches('/').to_owned())
}

/// Reads a password from one of two keys: itself, or the name of its file.
pub(super) fn password(table: &mut Table<'_, '_>, key: &str, key_of_file: &str) -> Secret {
    if table.has(key) && table.has(key_of_file) {
        table.fault(key_of_file, format!("is set together with {key}: keep one of the two"));
    }
    if let Some(password) = table.text(key) {
        table.file.literal_password |= table.is_literal(key);
        return Secret::new(password);
    }
    let Some(file) = table.path(key_of_file) else {
        return Secret::default();
    };
    match secret_of(&file, "password") {
        Ok(password) => {
            table.file.warnings.extend(secrecy::readable_by_everybody(&file));
            password
        }
        Err(reason) => {
            table.lack(key_of_file, reason);
            Secret::default()
        }
    }
}

/// Returns the file's text without the newline that editors add at the end. `what`: its expected content.
pub(super) fn secret_of(file: &Path, what: &str) -> Result<Secret, String> {
    let length = fs::metadata(file).map_err(|error| unreadable(&error))?.len();
    if length > LARGEST_SECRET_FILE {
        return Err(format!("is larger than {LARGEST_SECRET_FILE} bytes: this is not a file with a {what}"));
    }
    let text = fs::read_to_string(file).map_err(|error| unreadable(&error))?;
    let password = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if password.is_empty() {
        return Err(format!("is empty: write the {what} into it"));
    }
    Ok(Secret::new(password))
}
