//! Fits texts to their columns: cuts those that are too long, and writes `?` for letters that the column's character
//! set lacks.
//!
//! A failed event must be recorded whatever it contains: otherwise it would block its feed at every run without a row
//! in any table. The capacity of the columns is read from the database, because hospitals have changed it.

use std::fmt::{self, Write as _};

use encoding_rs::Encoding;
use sha2::{Digest, Sha256};

use super::database::{Backend, DatabaseError, Reads, Statement};

/// What texts a column accepts.
#[derive(Clone, Debug, Default)]
pub(super) struct Capacity {
    /// Most characters.
    pub chars: Option<usize>,
    /// Most bytes, for types that count bytes.
    pub bytes: Option<usize>,
    pub letters: Letters,
    /// PostgreSQL accepts no NUL.
    pub refuses_nul: bool,
    /// Whether it accepts NULL.
    pub takes_null: bool,
}

impl Capacity {
    /// Returns whether the column accepts every text of a column with the other capacity.
    pub fn takes_all_of(&self, other: &Self) -> bool {
        // A character has at most four bytes.
        let bytes = other.bytes.or(other.chars.map(|chars| chars.saturating_mul(4)));
        let chars = other.chars.or(other.bytes);
        let at_most = |most: Option<usize>, length: Option<usize>| match (most, length) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(most), Some(length)) => length <= most,
        };
        at_most(self.chars, chars)
            && at_most(self.bytes, bytes)
            && self.letters.has_all_of(&other.letters)
            && (self.takes_null || !other.takes_null)
            && (!self.refuses_nul || other.refuses_nul)
    }
}

/// The letters that a column's character set has.
#[derive(Clone, Debug, Default)]
pub(super) enum Letters {
    #[default]
    All,
    /// Up to and including this one.
    UpTo(char),
    /// Those of this encoding.
    Of(&'static Encoding),
    /// Those of this MySQL character set; the server is asked for each text.
    OfMySql(String),
}

impl Letters {
    /// Returns the letters of a MySQL character set.
    pub fn of_mysql(charset: &str) -> Self {
        match charset {
            "" | "utf8mb4" => Self::All,
            "utf8" | "utf8mb3" => Self::UpTo('\u{FFFF}'),
            "ascii" => Self::UpTo('\u{7F}'),
            // The name becomes part of a statement; the server's names contain no other characters.
            name if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
                Self::OfMySql(name.to_owned())
            }
            _ => Self::UpTo('\u{7F}'),
        }
    }

    /// Returns the letters of a PostgreSQL encoding.
    pub fn of_postgres(encoding: &str) -> Self {
        let label = match encoding {
            // Without an encoding the server stores bytes unchanged.
            "" | "UTF8" | "SQL_ASCII" => return Self::All,
            "LATIN1" => return Self::UpTo('\u{FF}'),
            "LATIN2" => "iso-8859-2",
            "LATIN3" => "iso-8859-3",
            "LATIN4" => "iso-8859-4",
            "LATIN6" => "iso-8859-10",
            "LATIN7" => "iso-8859-13",
            "LATIN8" => "iso-8859-14",
            "LATIN9" => "iso-8859-15",
            "LATIN10" => "iso-8859-16",
            "ISO_8859_5" => "iso-8859-5",
            "ISO_8859_6" => "iso-8859-6",
            "ISO_8859_7" => "iso-8859-7",
            "ISO_8859_8" => "iso-8859-8",
            "KOI8R" => "koi8-r",
            "KOI8U" => "koi8-u",
            "WIN866" => "ibm866",
            "WIN874" => "windows-874",
            "WIN1250" => "windows-1250",
            "WIN1251" => "windows-1251",
            "WIN1252" => "windows-1252",
            "WIN1253" => "windows-1253",
            "WIN1254" => "windows-1254",
            "WIN1255" => "windows-1255",
            "WIN1256" => "windows-1256",
            "WIN1257" => "windows-1257",
            "WIN1258" => "windows-1258",
            "EUC_JP" => "euc-jp",
            "EUC_KR" => "euc-kr",
            _ => "",
        };
        Encoding::for_label(label.as_bytes()).map_or(Self::UpTo('\u{7F}'), Self::Of)
    }

    /// Returns whether this set includes all letters of another, as far as known without checking each letter.
    fn has_all_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::UpTo(last), Self::UpTo(other)) => other <= last,
            (Self::Of(encoding), Self::Of(other)) => encoding == other,
            (Self::OfMySql(charset), Self::OfMySql(other)) => charset == other,
            _ => false,
        }
    }

    fn has(&self, letter: char) -> bool {
        if letter.is_ascii() {
            return true;
        }
        match self {
            Self::All => true,
            Self::UpTo(last) => letter <= *last,
            Self::Of(encoding) => !encoding.encode(letter.encode_utf8(&mut [0; 4])).2,
            Self::OfMySql(_) => false,
        }
    }
}

/// How a text was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Number of replaced letters.
    replaced: usize,
    /// Number of characters before and after cutting.
    cut: Option<(usize, usize)>,
}

impl Change {
    /// Returns whether letters were replaced.
    pub fn is_of_letters(&self) -> bool {
        self.replaced > 0
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((from, to)) = self.cut {
            write!(f, "cut from {from} to {to} characters")?;
        }
        match (self.cut, self.replaced) {
            (_, 0) => Ok(()),
            (Some(_), replaced) => write!(f, " and {replaced} of them replaced"),
            (None, 1) => f.write_str("with 1 character replaced"),
            (None, replaced) => write!(f, "with {replaced} characters replaced"),
        }
    }
}

/// Fits a text to a column. Returns the text and the change, if any.
pub(super) async fn fit(
    through: &mut impl Reads,
    capacity: &Capacity,
    text: &str,
) -> Result<(String, Option<Change>), DatabaseError> {
    let (kept, replaced) = with_known_letters(through, capacity, text).await?;
    Ok(shortened(capacity, kept, replaced, ""))
}

/// Fits an id to a column. An id that does not fit ends with its short hash, so that two ids that differ only in the
/// lost part remain different.
pub(super) async fn fit_id(
    through: &mut impl Reads,
    capacity: &Capacity,
    id: &str,
) -> Result<(String, Option<Change>), DatabaseError> {
    let (kept, replaced) = with_known_letters(through, capacity, id).await?;
    let (fitted, change) = shortened(capacity, kept.clone(), replaced, "");
    if change.is_none() {
        return Ok((fitted, None));
    }
    Ok(shortened(capacity, kept, replaced, &short_hash(id)))
}

/// Returns whether `kept` is what [`fit_id`] made of `id`.
pub(super) fn is_short_form(kept: &str, id: &str) -> bool {
    kept != id && kept.contains('~') && kept.ends_with(&short_hash(id))
}

/// Returns `~` and eight hexadecimal digits.
fn short_hash(id: &str) -> String {
    Sha256::digest(id.as_bytes()).iter().take(4).fold("~".to_owned(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Replaces each letter that the column lacks by `?`, and returns how many were replaced.
async fn with_known_letters(
    through: &mut impl Reads,
    capacity: &Capacity,
    text: &str,
) -> Result<(String, usize), DatabaseError> {
    let nul = |letter| if capacity.refuses_nul && letter == '\0' { char::REPLACEMENT_CHARACTER } else { letter };
    let kept: String = match &capacity.letters {
        Letters::OfMySql(charset) if !text.is_ascii() => {
            // MySQL from 8.0.22 on assumes that a bare parameter has the target character set, and refuses letters that
            // it lacks; so the cast names the parameter's own character set first.
            let convert =
                format!("SELECT CONVERT(CONVERT(CAST(? AS CHAR CHARACTER SET utf8mb4) USING {charset}) USING utf8mb4)");
            let rows = through.rows(Statement::new(convert).with(text)).await?;
            rows.into_iter().next().and_then(|mut row| row.text()).unwrap_or_default()
        }
        Letters::OfMySql(_) => text.to_owned(),
        letters => text.chars().map(nul).map(|letter| if letters.has(letter) { letter } else { '?' }).collect(),
    };
    let replaced = text.chars().zip(kept.chars()).filter(|(one, other)| one != other).count();
    Ok((kept, replaced))
}

/// Cuts a text to what the column accepts, with `end` appended.
fn shortened(capacity: &Capacity, text: String, replaced: usize, end: &str) -> (String, Option<Change>) {
    let length = text.chars().count();
    let fits = capacity.chars.is_none_or(|most| length + end.len() <= most)
        && capacity.bytes.is_none_or(|most| text.len() + end.len() <= most);
    if fits {
        let change = (replaced > 0).then_some(Change { replaced, cut: None });
        return (text + end, change);
    }
    let chars = capacity.chars.unwrap_or(usize::MAX).saturating_sub(end.len());
    let mut bytes = capacity.bytes.unwrap_or(usize::MAX).saturating_sub(end.len());
    let mut kept: String = text
        .chars()
        .take(chars)
        .take_while(|letter| match bytes.checked_sub(letter.len_utf8()) {
            Some(left) => {
                bytes = left;
                true
            }
            None => false,
        })
        .collect();
    kept.push_str(end);
    let change = Change { replaced, cut: Some((length, kept.chars().count())) };
    (kept, Some(change))
}

/// Returns the capacity of a column of this kind of database. `limit` is its length in characters, `octets` in bytes.
pub(super) fn capacity(
    backend: Backend,
    kind: &str,
    limit: Option<usize>,
    octets: Option<usize>,
    charset: &str,
    takes_null: bool,
) -> Capacity {
    match backend {
        Backend::MySql => {
            // `text`, `longtext` etc. count bytes, and report the same number for both.
            let counts_bytes = kind.ends_with("text");
            let (chars, bytes) = if counts_bytes { (None, octets) } else { (limit, None) };
            Capacity { chars, bytes, letters: Letters::of_mysql(charset), refuses_nul: false, takes_null }
        }
        Backend::Postgres => {
            let (chars, bytes) = if charset == "SQL_ASCII" { (None, limit) } else { (limit, None) };
            Capacity { chars, bytes, letters: Letters::of_postgres(charset), refuses_nul: true, takes_null }
        }
        Backend::Sqlite => Capacity { takes_null, ..Capacity::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        let chars = Capacity { chars: Some(3), ..Capacity::default() };
        let (text, change) = shortened(&chars, "äöüß".to_owned(), 0, "");
        assert_eq!(
            (text.as_str(), change.expect("a change").to_string().as_str()),
            ("äöü", "cut from 4 to 3 characters")
        );
        assert_eq!(shortened(&chars, "äöü".to_owned(), 0, ""), ("äöü".to_owned(), None));
        let bytes = Capacity { bytes: Some(3), ..Capacity::default() };
        assert_eq!(shortened(&bytes, "äöü".to_owned(), 0, "").0, "ä");
        assert_eq!(shortened(&bytes, "a\u{1F600}b".to_owned(), 0, "").0, "a");
    }

    #[test]
    fn an_id_that_does_not_fit_stays_another_than_its_neighbours() {
        let hashes = [short_hash("a"), short_hash("b")];
        assert_ne!(hashes[0], hashes[1]);
        let ten = Capacity { chars: Some(12), ..Capacity::default() };
        let (kept, _) = shortened(&ten, "a".repeat(20), 0, &hashes[0]);
        assert_eq!(kept, format!("aaa{}", hashes[0]));
        assert!(is_short_form(&kept, "a") && !is_short_form(&kept, "b") && !is_short_form("a", "a"));
    }

    #[test]
    fn a_column_takes_all_of_one_that_is_no_larger() {
        let mysql = |kind: &str, limit, octets, charset: &str, null| {
            capacity(Backend::MySql, kind, Some(limit), Some(octets), charset, null)
        };
        let records = mysql("varchar(1000)", 1000, 3000, "utf8", true);
        assert!(records.takes_all_of(&records));
        assert!(records.takes_all_of(&mysql("varchar(255)", 255, 765, "utf8", false)));
        assert!(!records.takes_all_of(&mysql("varchar(1001)", 1001, 3003, "utf8", true)));
        assert!(!records.takes_all_of(&mysql("varchar(1000)", 1000, 4000, "utf8mb4", true)));
        assert!(!records.takes_all_of(&mysql("varchar(1000)", 1000, 1000, "latin1", true)), "not known, so looked at");
        assert!(!records.takes_all_of(&mysql("text", 65535, 65535, "utf8", true)));
        assert!(!mysql("varchar(1000)", 1000, 3000, "utf8", false).takes_all_of(&records), "NULL");
        let text = mysql("text", 65535, 65535, "utf8mb4", true);
        assert!(text.takes_all_of(&records) && text.takes_all_of(&mysql("tinytext", 255, 255, "latin1", true)));
        assert!(
            !text.takes_all_of(&mysql("varchar(20000)", 20000, 60000, "utf8", true)),
            "it may have four bytes each"
        );
        let none = Capacity { takes_null: true, ..Capacity::default() };
        assert!(none.takes_all_of(&records) && !records.takes_all_of(&none));
    }

    #[test]
    fn encodings_of_postgresql_have_their_own_letters_and_no_others() {
        let has = |encoding, letter| Letters::of_postgres(encoding).has(letter);
        assert!(has("LATIN1", 'ö') && !has("LATIN1", '€') && !has("LATIN1", 'П'));
        assert!(has("LATIN9", '€') && has("WIN1252", '€') && has("WIN1251", 'П') && !has("WIN1251", 'ö'));
        assert!(has("UTF8", '\u{1F600}') && has("SQL_ASCII", 'ö') && !has("MULE_INTERNAL", 'ö'));
    }
}
