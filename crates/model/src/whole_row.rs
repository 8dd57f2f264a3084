//! A full copy of a row of a source: every column, byte by byte, so that it can be restored unchanged.
//!
//! The console knows only some columns of a table; a copy has the others too, in the form in which their database
//! returns them. The store keeps the bytes in the console's own form: lengths in front, nothing escaped, so that NUL
//! bytes and broken UTF-8 survive.

use std::collections::BTreeSet;

use super::{
    RowId,
    error_text::{KEY_CHARS, shortened},
};

/// How to interpret the bytes of a cell when they are written back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// As the database prints the value: MySQL and PostgreSQL, whatever the type of the column.
    Printed,
    /// SQLite stores a type with every value.
    Integer,
    Real,
    Text,
    Blob,
}

impl CellKind {
    const ALL: [CellKind; 5] = [CellKind::Printed, CellKind::Integer, CellKind::Real, CellKind::Text, CellKind::Blob];

    fn code(self) -> u8 {
        Self::ALL.iter().position(|kind| *kind == self).unwrap_or_default() as u8
    }
}

/// A column's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The column's name as the database spells it.
    pub column: String,
    pub kind: CellKind,
    /// `None`: NULL.
    pub bytes: Option<Vec<u8>>,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeRow(pub Vec<Cell>);

impl WholeRow {
    /// Returns the value of a column, by its name ignoring case; `None` for NULL and for a missing column.
    pub fn value(&self, column: &str) -> Option<&[u8]> {
        self.0.iter().find(|cell| cell.column.eq_ignore_ascii_case(column))?.bytes.as_deref()
    }

    /// Returns the number of bytes of its values.
    pub fn bytes(&self) -> usize {
        self.0.iter().filter_map(|cell| cell.bytes.as_ref()).map(Vec::len).sum()
    }

    /// Returns the value of a column as lists hold it: see [`KEY_CHARS`].
    pub fn key(&self, column: &str) -> Option<String> {
        self.text(column).map(|text| shortened(&text, KEY_CHARS as usize))
    }

    /// Returns the value of a column as text; replaces what is not UTF-8.
    pub fn text(&self, column: &str) -> Option<String> {
        self.value(column).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}

/// A failed event with the rows of its retry log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeEvent {
    pub event: WholeRow,
    pub log: Vec<WholeRow>,
    pub beside: Beside,
}

/// Other failed events with the same feed address and event id. Their presence does not mean that the event failed
/// again after it was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Those that were in the table when it was copied, or that the console itself inserted.
    pub ids: BTreeSet<RowId>,
    /// Whether the copy is from a version that did not record them: those with a lower id are older than the event, and
    /// so were there.
    pub all_lower: bool,
}

impl WholeEvent {
    /// Returns the error of its newest recorded retry, or else its first one.
    pub fn latest_error(&self) -> Option<String> {
        let number = |row: &&WholeRow| row.text("id").and_then(|id| id.parse::<i128>().ok());
        let newest = self.log.iter().max_by_key(number).and_then(|row| row.text("error_message"));
        newest.or_else(|| self.event.text("error_message"))
    }
}

/// The bytes are not those of a whole event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the copy of a discarded failed event is damaged")]
pub struct Damaged;

/// The version of the byte form.
const FORM: u8 = 2;
/// The previous version, which ends without [`Beside`].
const FORM_WITHOUT_BESIDE: u8 = 1;
/// NULL, in place of a length.
const NULL: u32 = u32::MAX;

impl WholeEvent {
    /// Returns the bytes that the store keeps.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        push_length(&mut out, self.log.len());
        for row in self.rows() {
            push_length(&mut out, row.0.len());
            for cell in &row.0 {
                push_bytes(&mut out, cell.column.as_bytes());
                out.push(cell.kind.code());
                match &cell.bytes {
                    Some(bytes) => push_bytes(&mut out, bytes),
                    None => out.extend(NULL.to_be_bytes()),
                }
            }
        }
        push_length(&mut out, self.beside.ids.len());
        for id in &self.beside.ids {
            out.extend(id.0.to_be_bytes());
        }
        out.push(u8::from(self.beside.all_lower));
        out
    }

    /// Returns the number of bytes of the longest of its rows.
    pub fn longest_row(&self) -> usize {
        self.rows().map(WholeRow::bytes).max().unwrap_or_default()
    }

    /// Returns its own row and those of the log.
    fn rows(&self) -> impl Iterator<Item = &WholeRow> {
        std::iter::once(&self.event).chain(&self.log)
    }

    /// Returns whether a row with this id and the same feed address and event id is another failed event, and not a
    /// sign that this one failed again. `own`: its id when it was copied.
    pub fn stood_beside(&self, own: RowId, id: RowId) -> bool {
        id != own && (self.beside.ids.contains(&id) || self.beside.all_lower && id < own)
    }

    /// Reads what [`WholeEvent::to_bytes`] wrote, also in an earlier version.
    ///
    /// # Errors
    /// Fails with [`Damaged`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut rest = Rest(bytes);
        let form = *rest.take(1)?.first().ok_or(Damaged)?;
        if !matches!(form, FORM | FORM_WITHOUT_BESIDE) {
            return Err(Damaged);
        }
        let log = rest.length()?.ok_or(Damaged)?;
        let event = rest.row()?;
        let log = (0..log).map(|_| rest.row()).collect::<Result<_, _>>()?;
        let beside = match form {
            FORM => rest.beside()?,
            _ => Beside { ids: BTreeSet::new(), all_lower: true },
        };
        if rest.0.is_empty() { Ok(Self { event, log, beside }) } else { Err(Damaged) }
    }
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    // No database holds a value of four gigabytes in a row that the console would read.
    out.extend(u32::try_from(length).unwrap_or(NULL - 1).to_be_bytes());
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn length(&mut self) -> Result<Option<usize>, Damaged> {
        let bytes = self.take(4)?.try_into().map_err(|_| Damaged)?;
        let length = u32::from_be_bytes(bytes);
        Ok((length != NULL).then_some(length as usize))
    }

    fn beside(&mut self) -> Result<Beside, Damaged> {
        let count = self.length()?.ok_or(Damaged)?;
        let ids = (0..count).map(|_| self.id()).collect::<Result<_, _>>()?;
        match self.take(1)? {
            [0] => Ok(Beside { ids, all_lower: false }),
            [1] => Ok(Beside { ids, all_lower: true }),
            _ => Err(Damaged),
        }
    }

    fn id(&mut self) -> Result<RowId, Damaged> {
        Ok(RowId(i128::from_be_bytes(self.take(16)?.try_into().map_err(|_| Damaged)?)))
    }

    fn row(&mut self) -> Result<WholeRow, Damaged> {
        let cells = self.length()?.ok_or(Damaged)?;
        (0..cells).map(|_| self.cell()).collect::<Result<_, _>>().map(WholeRow)
    }

    fn cell(&mut self) -> Result<Cell, Damaged> {
        let name = self.length()?.ok_or(Damaged)?;
        let column = String::from_utf8(self.take(name)?.to_vec()).map_err(|_| Damaged)?;
        let code = *self.take(1)?.first().ok_or(Damaged)?;
        let kind = *CellKind::ALL.get(usize::from(code)).ok_or(Damaged)?;
        let bytes = match self.length()? {
            Some(length) => Some(self.take(length)?.to_vec()),
            None => None,
        };
        Ok(Cell { column, kind, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> WholeEvent {
        let cell = |column: &str, kind, bytes: Option<&[u8]>| Cell {
            column: column.into(),
            kind,
            bytes: bytes.map(<[u8]>::to_vec),
        };
        WholeEvent {
            event: WholeRow(vec![
                cell("id", CellKind::Integer, Some(b"7")),
                cell("Error_Message", CellKind::Text, Some(b"a\0b\xff\xfe")),
                cell("failed_at", CellKind::Printed, Some(b"0000-00-00 00:00:00")),
                cell("tags", CellKind::Printed, None),
                cell("title", CellKind::Blob, Some(b"")),
            ]),
            log: vec![WholeRow::default(), WholeRow(vec![cell("id", CellKind::Real, Some(b"1.5"))])],
            beside: Beside { ids: [RowId(6), RowId(i128::from(u64::MAX))].into(), all_lower: false },
        }
    }

    #[test]
    fn nul_bytes_null_and_broken_text_come_back_as_they_were() {
        assert_eq!(WholeEvent::from_bytes(&event().to_bytes()), Ok(event()));
        assert_eq!(event().event.value("error_message"), Some(&b"a\0b\xff\xfe"[..]));
        assert_eq!((event().event.value("tags"), event().event.value("nothing")), (None, None));
        assert_eq!(event().event.value("title"), Some(&b""[..]));
    }

    #[test]
    fn a_copy_of_an_earlier_version_takes_every_lower_id_for_older() {
        let event = event();
        let mut bytes = event.to_bytes();
        bytes[0] = FORM_WITHOUT_BESIDE;
        bytes.truncate(bytes.len() - (4 + 2 * 16 + 1));
        let read = WholeEvent::from_bytes(&bytes).unwrap();
        assert_eq!((&read.event, &read.log), (&event.event, &event.log));
        let beside = |copy: &WholeEvent| [3, 6, 7, 8].map(|id| copy.stood_beside(RowId(7), RowId(id)));
        assert_eq!(beside(&read), [true, true, false, false]);
        assert_eq!(beside(&event), [false, true, false, false]);
        // What is later added to an earlier copy is kept with it.
        assert_eq!(WholeEvent::from_bytes(&read.to_bytes()), Ok(read));
    }

    #[test]
    fn what_is_damaged_is_refused_wherever_it_breaks_off() {
        let bytes = event().to_bytes();
        for end in 0..bytes.len() {
            assert_eq!(WholeEvent::from_bytes(&bytes[..end]), Err(Damaged), "{end}");
        }
        assert_eq!(WholeEvent::from_bytes(&[bytes, vec![0]].concat()), Err(Damaged));
        assert_eq!(WholeEvent::from_bytes(&[1, 255, 255, 255, 254]), Err(Damaged));
    }
}
