//! What this database has: which of the known tables and columns were found, of what kind they are, and what the
//! account may do with them. Read on connection; everything else asks here before it names a table or a column.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::model::Backend;

use super::sql;

/// The tables that the console knows (see "The tables as they are found").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    FailedEvents,
    RetryLog,
    Markers,
    EventRecords,
    Queue,
    Chunking,
    OffsetMarkers,
}

impl Table {
    pub const ALL: [Table; 7] = [
        Table::FailedEvents,
        Table::RetryLog,
        Table::Markers,
        Table::EventRecords,
        Table::Queue,
        Table::Chunking,
        Table::OffsetMarkers,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Table::FailedEvents => "failed_events",
            Table::RetryLog => "failed_event_retry_log",
            Table::Markers => "markers",
            Table::EventRecords => "event_records",
            Table::Queue => "event_records_queue",
            Table::Chunking => "chunking_history",
            Table::OffsetMarkers => "event_records_offset_marker",
        }
    }

    /// The columns that the console reads.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Table::FailedEvents => &[
                "id",
                "feed_uri",
                "failed_at",
                "error_message",
                "event_id",
                "event_content",
                "error_hash_code",
                "title",
                "retries",
                "tags",
            ],
            Table::RetryLog => &["id", "feed_uri", "failed_at", "error_message", "event_id", "event_content"],
            Table::Markers => &["feed_uri", "last_read_entry_id", "feed_uri_for_last_read_entry"],
            Table::EventRecords => &["id", "uuid", "timestamp", "category"],
            Table::Queue => &["id", "timestamp"],
            Table::Chunking => &["chunk_length", "start"],
            Table::OffsetMarkers => &["event_id", "event_count", "category"],
        }
    }

    /// The columns without which the table is of no use to the console.
    fn needed(self) -> &'static [&'static str] {
        match self {
            Table::FailedEvents | Table::RetryLog | Table::EventRecords => &["id"],
            Table::Queue => &[],
            Table::Markers => &["feed_uri"],
            Table::Chunking => &["chunk_length", "start"],
            Table::OffsetMarkers => &["event_id"],
        }
    }
}

/// What a column holds, as far as reading and comparing it depends on that.
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
    /// PostgreSQL's json and jsonb: a text by language, as Odoo 16 keeps translated columns (`{"en_US": "product"}`).
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
    /// MySQL: it is of the table's primary key.
    pub primary: bool,
}

/// A table that was found. By the lower-case names of its columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Columns(BTreeMap<String, Column>);

impl FromIterator<Column> for Columns {
    fn from_iter<T: IntoIterator<Item = Column>>(columns: T) -> Self {
        Self(columns.into_iter().map(|column| (column.name.to_lowercase(), column)).collect())
    }
}

impl Columns {
    /// The column, if it is there at all, readable or not.
    pub fn found(&self, name: &str) -> Option<&Column> {
        self.0.get(name)
    }

    /// The column, if it is there and may be read.
    pub fn readable(&self, name: &str) -> Option<&Column> {
        self.0.get(name).filter(|column| column.may_select)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Column> {
        self.0.get_mut(name)
    }
}

/// What this database has.
#[derive(Clone, Debug)]
pub(super) struct Schema {
    backend: Backend,
    /// PostgreSQL: the schema that holds the tables.
    namespace: Option<String>,
    /// Name and version of the server.
    pub server: String,
    tables: BTreeMap<Table, Columns>,
    /// Tables that were not found and may be there all the same: MySQL hides what an account may not read.
    pub maybe_hidden: BTreeSet<Table>,
    /// Why nothing can be written here at all: a replica, a file without the right to write.
    pub write_refused: Option<String>,
    pub read_at: Instant,
    /// How long it is believed.
    pub lasts: Duration,
}

impl Schema {
    pub fn new(
        backend: Backend,
        namespace: Option<String>,
        server: String,
        tables: BTreeMap<Table, Columns>,
        write_refused: Option<String>,
    ) -> Self {
        let tables = tables.into_iter().filter(|(_, columns)| !columns.0.is_empty()).collect();
        let mut schema = Self {
            backend,
            namespace,
            server,
            tables,
            maybe_hidden: BTreeSet::new(),
            write_refused,
            read_at: Instant::now(),
            lasts: Duration::ZERO,
        };
        // Once, and not for each session.
        schema.lasts = schema.duration();
        schema
    }

    /// The table's columns, if it is there at all.
    pub fn found(&self, table: Table) -> Option<&Columns> {
        self.tables.get(&table)
    }

    /// Whether the table is known not to be there.
    pub fn lacks(&self, table: Table) -> bool {
        self.found(table).is_none() && !self.maybe_hidden.contains(&table)
    }

    /// The table, ready to be read.
    ///
    /// # Errors
    /// The reason why it cannot be, as a part of a sentence.
    pub fn table(&self, table: Table) -> Result<Found<'_>, String> {
        let name = table.name();
        let columns = self.tables.get(&table).ok_or_else(|| match self.lacks(table) {
            false => format!("the table {name} does not exist, or the account may not read it"),
            true => format!("the table {name} does not exist"),
        })?;
        if !columns.0.values().any(|column| column.may_select) {
            return Err(format!("the account may not read the table {name}"));
        }
        match table.needed().iter().find(|needed| columns.readable(needed).is_none()) {
            None => {
                let id = columns.readable("id").cloned().unwrap_or_else(|| Column {
                    name: "id".to_owned(),
                    kind: ColumnKind::Integer,
                    may_select: true,
                    may_update: false,
                    moves: false,
                    primary: false,
                });
                Ok(Found { backend: self.backend, name: self.qualified(name), bare: name, id, columns })
            }
            Some(needed) => Err(format!("the table {name} has no column {needed} that the account may read")),
        }
    }

    /// A table's name as it stands in a statement.
    pub fn qualified(&self, table: &str) -> String {
        match &self.namespace {
            Some(namespace) => format!("{}.{}", sql::quote(self.backend, namespace), sql::quote(self.backend, table)),
            None => sql::quote(self.backend, table),
        }
    }

    /// Returns how long it is believed. What is not there, or may not be read, can come while somebody waits for it: a dump
    /// that is being restored drops its tables and makes them again, and a right is given because a page asked for it.
    fn duration(&self) -> Duration {
        Duration::from_secs(match (self.table(Table::FailedEvents), self.missing().as_slice()) {
            (Err(_), _) => 10,
            (Ok(_), []) => 600,
            (Ok(_), _) => 60,
        })
    }

    /// Tables and columns that are not there, in words.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for table in Table::ALL {
            match self.found(table) {
                None if self.lacks(table) => missing.push(format!("the table {}", table.name())),
                None => missing.push(format!("the table {} (or the right to read it)", table.name())),
                Some(columns) => {
                    for column in table.columns().iter().filter(|column| columns.readable(column).is_none()) {
                        let why = if columns.found(column).is_some() { " (no right to read it)" } else { "" };
                        missing.push(format!("the column {column} of {}{why}", table.name()));
                    }
                }
            }
        }
        missing
    }
}

/// A table that is there and can be read.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    pub backend: Backend,
    /// The name as it stands after FROM.
    pub name: String,
    /// The name without its schema.
    bare: &'static str,
    /// The column `id`. A table that is of use without one is never asked for it.
    pub id: Column,
    columns: &'a Columns,
}

impl Found<'_> {
    /// The name without its schema.
    pub fn bare_name(&self) -> &'static str {
        self.bare
    }

    /// The name as it stands where rows are named by their ids to be changed or locked. Of a small table MySQL would go
    /// through every row instead, lock each, and so wait for rows that were not asked for.
    pub fn by_primary_key(&self) -> String {
        if self.id.primary { format!("{} FORCE INDEX (PRIMARY)", self.name) } else { self.name.clone() }
    }

    /// The beginning of a statement that deletes rows by their ids, up to its condition.
    pub fn delete(&self) -> String {
        // With an index to use, MySQL wants the table named twice.
        let of = if self.id.primary { format!("{} ", self.name) } else { String::new() };
        format!("DELETE {of}FROM {} WHERE ", self.by_primary_key())
    }

    /// A column, if it may be read.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.readable(name)
    }

    /// A column as an expression; `NULL` where there is none.
    ///
    /// With the table's name in front: PostgreSQL calls `id::text` itself `id`, and a bare `ORDER BY id` would sort by
    /// that text.
    pub fn expression(&self, name: &str) -> String {
        match self.column(name) {
            Some(column) => {
                let place = format!("{}.{}", sql::quote(self.backend, self.bare), self.target(column));
                if column.kind == ColumnKind::ByLanguage { sql::of_language(&place) } else { place }
            }
            None => "NULL".to_owned(),
        }
    }

    /// What to group by, where the column stands at this place of the answer. PostgreSQL is told the place: it does not
    /// see that two expressions with a query in them are one.
    pub fn grouping(&self, name: &str, place: u8) -> String {
        match self.backend {
            Backend::Postgres => place.to_string(),
            Backend::MySql | Backend::Sqlite => self.expression(name),
        }
    }

    /// A column as it stands on the left of a `=` in UPDATE.
    pub fn target(&self, column: &Column) -> String {
        sql::quote(self.backend, &column.name)
    }

    /// The condition that a row has no time in a column: NULL, blank, or a date with zeros for the month or the day. As
    /// [`crate::model::Stamp::is_no_date`] has it.
    pub fn no_date(&self, name: &str) -> String {
        let value = self.expression(name);
        let Some(column) = self.column(name) else { return "(1 = 1)".to_owned() };
        match (self.backend, column.kind) {
            (Backend::MySql, ColumnKind::Instant | ColumnKind::Local) => {
                format!("({value} IS NULL OR MONTH({value}) = 0 OR DAYOFMONTH({value}) = 0)")
            }
            // It has no such dates.
            (Backend::Postgres, ColumnKind::Instant | ColumnKind::Local) => format!("({value} IS NULL)"),
            _ => {
                let text = self.text(name);
                format!(
                    "({value} IS NULL OR TRIM({text}) = '' OR {text} LIKE '____-00-__%' OR {text} LIKE '____-__-00%')"
                )
            }
        }
    }

    /// The condition that a row has no address of a feed.
    pub fn no_address(&self) -> String {
        match self.column("feed_uri") {
            Some(_) => format!("({} IS NULL OR TRIM({}) = '')", self.expression("feed_uri"), self.text("feed_uri")),
            None => "(1 = 1)".to_owned(),
        }
    }

    /// A column as text, for [`super::connection::Record::key`] or as a number or a time. Of a column without a bound of its
    /// own the database answers with no more than [`crate::model::error_text::KEY_CHARS`] characters and one.
    pub fn text(&self, name: &str) -> String {
        self.text_of(name, &self.expression(name))
    }

    /// The same of an expression whose value is one of the column's: its least, its largest.
    pub fn text_of(&self, name: &str, expression: &str) -> String {
        match self.column(name).map(|column| column.kind) {
            // SQLite keeps texts in columns of times, and as long ones as it is given.
            Some(ColumnKind::Text | ColumnKind::ByLanguage | ColumnKind::Millis | ColumnKind::Written { .. }) => {
                sql::key(self.backend, expression)
            }
            _ => sql::as_text(self.backend, expression),
        }
    }

    /// A column of text as an expression that the functions on texts take.
    pub fn long_text(&self, name: &str) -> String {
        match self.backend {
            Backend::Postgres => sql::as_text(self.backend, &self.expression(name)),
            Backend::MySql | Backend::Sqlite => self.expression(name),
        }
    }

    /// The beginning of a column's text.
    pub fn cut(&self, name: &str, chars: u32) -> String {
        match self.column(name) {
            Some(_) => sql::cut(self.backend, &self.expression(name), chars),
            None => self.text(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(tables: &[Table]) -> Schema {
        let of = |table: &Table| {
            let column = |name: &&str| Column {
                name: (*name).to_owned(),
                kind: ColumnKind::Integer,
                may_select: true,
                may_update: true,
                moves: false,
                primary: false,
            };
            (*table, table.columns().iter().map(column).collect())
        };
        Schema::new(Backend::Sqlite, None, "SQLite".to_owned(), tables.iter().map(of).collect(), None)
    }

    /// Who has restored a table or given a right does not wait for minutes until it is seen.
    #[test]
    fn what_lacks_something_is_read_again_soon() {
        let [whole, no_markers, no_failed_events] =
            [&Table::ALL[..], &[Table::FailedEvents, Table::RetryLog], &[Table::Markers]]
                .map(|tables| schema(tables).lasts);
        assert!(no_failed_events <= Duration::from_secs(10) && no_failed_events < no_markers, "{no_failed_events:?}");
        assert!(no_markers <= Duration::from_secs(60) && no_markers < whole, "{no_markers:?} {whole:?}");
    }
}
