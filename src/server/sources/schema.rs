//! The schema of a source: which of the known tables and columns exist, of what kind they are, and what the account may
//! do with them. It is read on connection; all other modules ask here before they name a table or a column. Sends no
//! statements itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::model::Backend;

pub(super) use super::column::{Column, ColumnKind};
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

    /// Returns the columns that the console reads.
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

    /// Returns the columns without which the table is of no use to the console.
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

/// The columns of a table that was found, by their lower-case names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Columns(BTreeMap<String, Column>);

impl FromIterator<Column> for Columns {
    fn from_iter<T: IntoIterator<Item = Column>>(columns: T) -> Self {
        Self(columns.into_iter().map(|column| (column.name.to_lowercase(), column)).collect())
    }
}

impl Columns {
    /// Returns the column if it exists, readable or not.
    pub fn found(&self, name: &str) -> Option<&Column> {
        self.0.get(name)
    }

    /// Returns the column if it exists and may be read.
    pub fn readable(&self, name: &str) -> Option<&Column> {
        self.0.get(name).filter(|column| column.may_select)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Column> {
        self.0.get_mut(name)
    }
}

/// The schema of a source.
#[derive(Clone, Debug)]
pub(super) struct Schema {
    backend: Backend,
    /// PostgreSQL: the schema that holds the tables.
    namespace: Option<String>,
    /// Name and version of the server.
    pub server: String,
    tables: BTreeMap<Table, Columns>,
    /// Tables that were not found but may exist: MySQL hides tables that an account may not read.
    pub maybe_hidden: BTreeSet<Table>,
    /// Why nothing at all can be written here: a replica, a database set read-only, a file without write permission.
    pub write_refused: Option<String>,
    pub read_at: Instant,
    /// How long the schema is used before it is read again.
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
        // Computed once, not for each session.
        schema.lasts = schema.duration();
        schema
    }

    /// Returns the table's columns, if it exists.
    pub fn found(&self, table: Table) -> Option<&Columns> {
        self.tables.get(&table)
    }

    /// Returns whether the table is known not to exist.
    pub fn lacks(&self, table: Table) -> bool {
        self.found(table).is_none() && !self.maybe_hidden.contains(&table)
    }

    /// Returns the table, ready to be read.
    ///
    /// # Errors
    /// Fails if the table cannot be read: returns the reason, as a part of a sentence.
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

    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// PostgreSQL: the schema that holds the tables.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Returns a table's name for use in a statement.
    pub fn qualified(&self, table: &str) -> String {
        qualified(self.backend, self.namespace.as_deref(), table)
    }

    /// Returns how long the schema is used. Missing or unreadable tables can become available while a user waits for
    /// them: restoring a dump drops its tables and creates them again, and a right is granted because a page asked for
    /// it.
    fn duration(&self) -> Duration {
        Duration::from_secs(match (self.table(Table::FailedEvents), self.missing().as_slice()) {
            (Err(_), _) => 10,
            (Ok(_), []) => 600,
            (Ok(_), _) => 60,
        })
    }

    /// Returns the missing tables and columns, in words.
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

/// Returns a table's name for use in a statement. `namespace`: PostgreSQL's schema that holds it.
pub(super) fn qualified(backend: Backend, namespace: Option<&str>, table: &str) -> String {
    let table = sql::quote(backend, table);
    namespace.map_or(table.clone(), |namespace| format!("{}.{table}", sql::quote(backend, namespace)))
}

/// Returns the columns of each table of the console, from columns with the names of their tables.
pub(super) fn by_table(columns: &[(String, Column)]) -> BTreeMap<Table, Columns> {
    let of_table = |table: Table| {
        columns.iter().filter(|(name, _)| name == table.name()).map(|(_, column)| column.clone()).collect()
    };
    Table::ALL.into_iter().map(|table| (table, of_table(table))).collect()
}

/// A table that exists and can be read.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    pub backend: Backend,
    /// The name for use after FROM.
    pub name: String,
    /// The name without its schema.
    bare: &'static str,
    /// The column `id`; unused for tables that the console reads without one.
    pub id: Column,
    columns: &'a Columns,
}

impl Found<'_> {
    /// The name without its schema.
    pub fn bare_name(&self) -> &'static str {
        self.bare
    }

    /// Returns the name for a statement that changes or locks rows by their ids. With the plain name, MySQL would scan
    /// every row of a small table, lock each, and so wait for rows that were not asked for.
    pub fn by_primary_key(&self) -> String {
        if self.id.primary { format!("{} FORCE INDEX (PRIMARY)", self.name) } else { self.name.clone() }
    }

    /// Returns the beginning of a statement that deletes rows by their ids, up to its condition.
    pub fn delete(&self) -> String {
        // With an index hint, MySQL requires the table to be named twice.
        let of = if self.id.primary { format!("{} ", self.name) } else { String::new() };
        format!("DELETE {of}FROM {} WHERE ", self.by_primary_key())
    }

    /// Returns a column, if it may be read.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.readable(name)
    }

    /// Returns a column as an expression; `NULL` if there is no such column.
    ///
    /// With the table's name in front: PostgreSQL itself names `id::text` `id`, and a bare `ORDER BY id` would sort by
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

    /// Returns what to group by, if the column is at this place of the answer. PostgreSQL gets the place: it does not
    /// recognize two expressions with a query in them as equal.
    pub fn grouping(&self, name: &str, place: u8) -> String {
        match self.backend {
            Backend::Postgres => place.to_string(),
            Backend::MySql | Backend::Sqlite => self.expression(name),
        }
    }

    /// Returns a column for the left of a `=` in UPDATE.
    pub fn target(&self, column: &Column) -> String {
        sql::quote(self.backend, &column.name)
    }

    /// Returns the condition that a row has no time in a column: NULL, blank, or a date with zeros for the month or the
    /// day. The same rule as [`crate::model::Stamp::is_no_date`].
    pub fn no_date(&self, name: &str) -> String {
        let value = self.expression(name);
        let Some(column) = self.column(name) else { return "(1 = 1)".to_owned() };
        match (self.backend, column.kind) {
            (Backend::MySql, ColumnKind::Instant | ColumnKind::Local) => {
                format!("({value} IS NULL OR MONTH({value}) = 0 OR DAYOFMONTH({value}) = 0)")
            }
            // PostgreSQL has no such dates.
            (Backend::Postgres, ColumnKind::Instant | ColumnKind::Local) => format!("({value} IS NULL)"),
            _ => {
                let text = self.text(name);
                format!(
                    "({value} IS NULL OR TRIM({text}) = '' OR {text} LIKE '____-00-__%' OR {text} LIKE '____-__-00%')"
                )
            }
        }
    }

    /// Returns the condition that a row has no feed address.
    pub fn no_address(&self) -> String {
        match self.column("feed_uri") {
            Some(_) => format!("({} IS NULL OR TRIM({}) = '')", self.expression("feed_uri"), self.text("feed_uri")),
            None => "(1 = 1)".to_owned(),
        }
    }

    /// Returns a column as text, for [`super::connection::Record::key`] or as a number or a time. If the column's type
    /// sets no bound, the database returns at most [`crate::model::error_text::KEY_CHARS`] characters plus one.
    pub fn text(&self, name: &str) -> String {
        self.text_of(name, &self.expression(name))
    }

    /// Like [`Found::text`], for an expression whose value is one of the column's: its least, its largest.
    pub fn text_of(&self, name: &str, expression: &str) -> String {
        match self.column(name).map(|column| column.kind) {
            // SQLite stores texts of any length in columns of times, too.
            Some(ColumnKind::Text | ColumnKind::ByLanguage | ColumnKind::Millis | ColumnKind::Written { .. }) => {
                sql::key(self.backend, expression)
            }
            _ => sql::as_text(self.backend, expression),
        }
    }

    /// Returns a text column as an expression that text functions accept.
    pub fn long_text(&self, name: &str) -> String {
        match self.backend {
            Backend::Postgres => sql::as_text(self.backend, &self.expression(name)),
            Backend::MySql | Backend::Sqlite => self.expression(name),
        }
    }

    /// Returns the beginning of a column's text.
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

    /// A user who restored a table or granted a right must not wait minutes until that is seen.
    #[test]
    fn what_lacks_something_is_read_again_soon() {
        let [whole, no_markers, no_failed_events] =
            [&Table::ALL[..], &[Table::FailedEvents, Table::RetryLog], &[Table::Markers]]
                .map(|tables| schema(tables).lasts);
        assert!(no_failed_events <= Duration::from_secs(10) && no_failed_events < no_markers, "{no_failed_events:?}");
        assert!(no_markers <= Duration::from_secs(60) && no_markers < whole, "{no_markers:?} {whole:?}");
    }
}
