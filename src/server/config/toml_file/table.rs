//! Reads one TOML table key by key. Whatever is wrong is recorded as a fault with its line, and reading goes on.

use std::{ops::RangeInclusive, path::Path, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::super::{
    Fault,
    environment::{self, Environment, Syntax, expand},
    faults::{Faults, Place, did_you_mean, one_of},
};

/// State for reading a file, shared by all tables.
pub(super) struct File<'f> {
    pub(super) text: &'f str,
    /// Base of relative paths.
    pub(super) dir: &'f Path,
    pub(super) environment: &'f Environment,
    pub(super) faults: &'f mut Faults,
    /// What an application's entry lacks, while its table is read.
    pub(super) lacking: Option<Vec<Fault>>,
    /// Notices for the administrator that are not errors.
    pub(super) warnings: Vec<String>,
    /// The file itself contains a database password.
    pub(super) literal_password: bool,
}

/// A table of the file. Each method that reads a key returns `None` if it is missing or wrong; an error is then
/// recorded as a fault.
pub(super) struct Table<'t, 'f> {
    pub(super) path: String,
    pub(super) line: Option<usize>,
    pub(super) table: &'t DeTable<'t>,
    pub(super) file: &'t mut File<'f>,
}

impl<'t> Table<'t, '_> {
    pub(super) fn entry(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    pub(super) fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn place_of(&self, key: &str) -> Place {
        let line = self.entry(key).map(|value| line_of(self.file.text, value.span().start)).or(self.line);
        Place { key: self.key_path(key), line }
    }

    pub(super) fn fault(&mut self, key: &str, reason: impl Into<String>) {
        let place = self.place_of(key);
        self.file.faults.add(&place, reason);
    }

    /// Records that an application's entry lacks what a connection to its database needs. This affects the entry alone;
    /// in any other table it is a fault of the file.
    pub(super) fn lack(&mut self, key: &str, reason: impl Into<String>) {
        let place = self.place_of(key);
        let fault = self.file.faults.fault(&place, reason);
        match &mut self.file.lacking {
            Some(lacking) => lacking.push(fault),
            None => self.file.faults.add(&place, fault.reason),
        }
    }

    pub(super) fn missing(&mut self, key: &str, why: &str) {
        self.fault(key, format!("is missing: {why}"));
    }

    /// Records a fault if the key is present.
    pub(super) fn refuse(&mut self, key: &str, reason: &str) {
        if self.has(key) {
            self.fault(key, reason);
        }
    }

    pub(super) fn refuse_unknown(&mut self, known: &[&str]) {
        for (name, _) in self.table {
            let key: &str = name.get_ref();
            if !known.contains(&key) {
                let line = Some(line_of(self.file.text, name.span().start));
                let reason = format!("is not a known key{}", did_you_mean(key, known));
                self.file.faults.add(&Place { key: self.key_path(key), line }, reason);
            }
        }
    }

    pub(super) fn wrong_type(&mut self, key: &str, found: &DeValue<'_>, wanted: &str) {
        self.fault(key, format!("is {}, but must be {wanted}", with_article(found)));
    }

    /// Reads a text and expands its variables.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.entry(key)?.get_ref() {
            DeValue::String(text) => self.expanded(key, text),
            other => {
                self.wrong_type(key, other, "a text in quotes");
                None
            }
        }
    }

    pub(super) fn expanded(&mut self, key: &str, text: &str) -> Option<String> {
        match expand(text, self.file.environment, Syntax::Ours) {
            Ok(text) => Some(text),
            Err(reasons) => {
                reasons.into_iter().for_each(|reason| self.lack(key, reason));
                None
            }
        }
    }

    /// Returns whether the file alone determines a key's text, whatever the environment holds.
    pub(super) fn is_literal(&self, key: &str) -> bool {
        let text = self.entry(key).and_then(|value| value.get_ref().as_str());
        text.is_some_and(|text| environment::is_literal(text, Syntax::Ours))
    }

    /// Reads a text that must not be empty.
    pub(super) fn filled(&mut self, key: &str) -> Option<String> {
        let text = self.text(key)?;
        if text.trim().is_empty() {
            self.lack(key, "is empty");
            return None;
        }
        Some(text)
    }

    pub(super) fn parsed<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key)?;
        parse(&text).map_err(|reason| self.fault(key, reason)).ok()
    }

    /// Reads a path, relative to the file's own folder.
    pub(super) fn path(&mut self, key: &str) -> Option<std::path::PathBuf> {
        self.filled(key).map(|text| self.file.dir.join(text))
    }

    pub(super) fn choice<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let near = did_you_mean(&text, &allowed);
            self.fault(key, format!("is not a known word; allowed are {}{near}", one_of(&allowed)));
        }
        found
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        match self.entry(key)?.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            other => {
                self.wrong_type(key, other, "true or false without quotes");
                None
            }
        }
    }

    pub(super) fn number(&mut self, key: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let wanted = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        match self.entry(key)?.get_ref() {
            DeValue::Integer(number) => {
                let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
                let fine = number.filter(|number| bounds.contains(number));
                if fine.is_none() {
                    self.fault(key, format!("is outside of what is allowed: {wanted}"));
                }
                fine
            }
            other => {
                self.wrong_type(key, other, &wanted);
                None
            }
        }
    }

    /// Reads a number, or the one word for "no bound" (then the inner value is `None`).
    pub(super) fn number_or_word(&mut self, key: &str, bounds: RangeInclusive<u64>, word: &str) -> Option<Option<u64>> {
        if !matches!(self.entry(key)?.get_ref(), DeValue::String(_)) {
            return self.number(key, bounds).map(Some);
        }
        if self.text(key)? == word {
            return Some(None);
        }
        let (least, most) = (bounds.start(), bounds.end());
        self.fault(key, format!("must be a whole number from {least} to {most} without quotes, or \"{word}\""));
        None
    }

    /// Reads seconds as a number, or a text such as `30s`, `2m`, `1h`.
    pub(super) fn duration(&mut self, key: &str, bounds: (Duration, Duration)) -> Option<Duration> {
        self.duration_or(key, bounds, "")
    }

    /// Reads a duration, or the word for none (then the inner value is `None`).
    pub(super) fn duration_or_word(
        &mut self,
        key: &str,
        bounds: (Duration, Duration),
        word: &str,
    ) -> Option<Option<Duration>> {
        match self.entry(key)?.get_ref() {
            DeValue::String(text) if *text == word => Some(None),
            _ => self.duration_or(key, bounds, &format!("; or \"{word}\"")).map(Some),
        }
    }

    pub(super) fn duration_or(
        &mut self,
        key: &str,
        (least, most): (Duration, Duration),
        also: &str,
    ) -> Option<Duration> {
        let wanted = format!(
            "a time from {} to {}: whole seconds, or a text such as \"30s\", \"2m\" or \"1h\"{also}",
            in_words(least),
            in_words(most)
        );
        let seconds = match self.entry(key)?.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(_) => seconds(&self.text(key)?),
            other => {
                self.wrong_type(key, other, &wanted);
                return None;
            }
        };
        let duration = seconds.map(Duration::from_secs).filter(|duration| (least..=most).contains(duration));
        if duration.is_none() {
            self.fault(key, format!("must be {wanted}"));
        }
        duration
    }

    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let wanted = "a list of texts in quotes, such as [\"http://openmrs:8080/openmrs/\"]";
        let DeValue::Array(array) = self.entry(key)?.get_ref() else {
            let found = self.entry(key)?.get_ref();
            self.wrong_type(key, found, wanted);
            return None;
        };
        let mut texts = Vec::new();
        for value in array.iter() {
            match value.get_ref() {
                DeValue::String(text) => texts.extend(self.expanded(key, text)),
                _ => self.fault(key, format!("has an entry that is not a text; it must be {wanted}")),
            }
        }
        Some(texts)
    }

    /// Reads a table below this one with `read`.
    pub(super) fn table<T>(&mut self, key: &str, read: impl FnOnce(&mut Table<'_, '_>) -> T) -> Option<T> {
        let line = self.place_of(key).line;
        match self.entry(key)?.get_ref() {
            DeValue::Table(table) => {
                Some(read(&mut Table { path: self.key_path(key), line, table, file: &mut *self.file }))
            }
            other => {
                self.wrong_type(key, other, &format!("a table: [{}]", self.key_path(key)));
                None
            }
        }
    }

    /// Reads a list of tables below this one, each with `read` and its number, counted from 1.
    pub(super) fn tables(&mut self, key: &str, mut read: impl FnMut(usize, &mut Table<'_, '_>)) -> Option<()> {
        let wanted = format!("a list of tables, each begun with [[{}]]", self.key_path(key));
        let DeValue::Array(array) = self.entry(key)?.get_ref() else {
            let found = self.entry(key)?.get_ref();
            self.wrong_type(key, found, &wanted);
            return None;
        };
        for (index, value) in array.iter().enumerate() {
            let number = index + 1;
            let path = format!("{}[{number}]", self.key_path(key));
            let line = Some(line_of(self.file.text, value.span().start));
            match value.get_ref() {
                DeValue::Table(table) => read(number, &mut Table { path, line, table, file: &mut *self.file }),
                _ => self
                    .file
                    .faults
                    .add(&Place { key: path, line }, format!("is not a table, but must be one of {wanted}")),
            }
        }
        Some(())
    }
}

pub(super) fn with_article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Returns the seconds of `30`, `30s`, `2m`, `1h`, `7d`.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit = match text[digits.len()..].trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

pub(super) fn in_words(duration: Duration) -> String {
    match duration.as_secs() {
        1 => "1 second".to_owned(),
        604_800 => "7 days".to_owned(),
        3_600 => "1 hour".to_owned(),
        seconds if seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}
