//! A column as it was found in a source.

/// Type of a column, as far as reading and comparing it depend on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    /// A whole number of up to 64 bits.
    Integer,
    /// PostgreSQL's numeric.
    Numeric,
    /// A time that is an instant: MySQL's TIMESTAMP, PostgreSQL's timestamp with time zone.
    Instant,
    /// A time without zone: MySQL's DATETIME, PostgreSQL's timestamp without time zone.
    Local,
    /// SQLite: milliseconds since 1970.
    Millis,
    /// SQLite: a time written as text. With a `T` or a blank in the middle; in UTC with a `Z`, or without zone.
    Written { t: bool, utc: bool },
    /// PostgreSQL's json and jsonb: a text by language, as Odoo 16 stores translated columns (`{"en_US": "product"}`).
    ByLanguage,
    /// Anything else.
    Text,
}

/// A column that was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    /// Its name as the database spells it.
    pub name: String,
    pub kind: ColumnKind,
    pub may_select: bool,
    pub may_update: bool,
    /// MySQL rewrites it with every change of its row (ON UPDATE CURRENT_TIMESTAMP).
    pub moves: bool,
    /// MySQL: it belongs to the table's primary key.
    pub primary: bool,
}
