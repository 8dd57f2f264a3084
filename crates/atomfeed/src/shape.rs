//! The tables as found in the database: which exist, which columns they have, and how a new row gets its id.
//!
//! Six systems created these tables over ten years. Missing columns are left out of statements. The database assigns
//! ids where it can (auto_increment, serial, a default, SQLite's rowid); elsewhere this module does.

use std::{collections::HashMap, fmt};

use chrono::{DateTime, Utc};

use super::{
    database::{Backend, Database, DatabaseError, Reads, Record, Statement, Transaction, Value},
    fit::{self, Capacity},
};

/// A table of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableName {
    /// Consumer: how far each feed has been read.
    Markers,
    /// Consumer: events that failed.
    FailedEvents,
    /// Consumer: errors of each retry.
    FailedEventRetryLog,
    /// Publisher: events that are not on a feed yet.
    EventRecordsQueue,
    /// Publisher: the events of the feeds.
    EventRecords,
    /// Publisher: how feeds are cut into pages.
    ChunkingHistory,
    /// Publisher: event counts, so that pages need not be counted from the beginning.
    OffsetMarker,
}

impl TableName {
    const ALL: [Self; 7] = [
        Self::Markers,
        Self::FailedEvents,
        Self::FailedEventRetryLog,
        Self::EventRecordsQueue,
        Self::EventRecords,
        Self::ChunkingHistory,
        Self::OffsetMarker,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Markers => "markers",
            Self::FailedEvents => "failed_events",
            Self::FailedEventRetryLog => "failed_event_retry_log",
            Self::EventRecordsQueue => "event_records_queue",
            Self::EventRecords => "event_records",
            Self::ChunkingHistory => "chunking_history",
            Self::OffsetMarker => "event_records_offset_marker",
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A column.
#[derive(Clone, Debug)]
struct Column {
    /// A time with an offset.
    has_zone: bool,
    /// A time; PostgreSQL needs a cast for it.
    is_time: bool,
    /// A text per language, as Odoo 16 keeps translated columns: jsonb `{"en_US": "product"}`.
    by_language: bool,
    /// Length limit in characters.
    limit: Option<usize>,
    /// The database assigns the value in a new row.
    given: bool,
    /// What texts it accepts.
    capacity: Capacity,
}

/// A table with its columns.
#[derive(Debug)]
pub(super) struct Table {
    name: TableName,
    columns: HashMap<String, Column>,
}

/// The values of a queue row that are not copied unchanged.
#[derive(Clone, Debug, Default)]
pub(super) struct Moved {
    /// Columns with their fitted texts.
    pub texts: Vec<(&'static str, String)>,
    pub tags: Option<String>,
    /// Whether the time of queueing can be kept.
    pub has_time: bool,
}

/// The tables of a database.
#[derive(Debug)]
pub(super) struct Shape(HashMap<TableName, Table>);

impl Shape {
    /// Returns the table, or an error if it is missing.
    pub fn table(&self, name: TableName) -> Result<&Table, DatabaseError> {
        self.0.get(&name).ok_or(DatabaseError::NoTable(name))
    }

    /// Returns whether the table exists.
    pub fn has(&self, name: TableName) -> bool {
        self.0.contains_key(&name)
    }

    /// Reads the tables through a connection that is already held: a pool of one connection has no second.
    pub(super) async fn read(database: &Database, through: &mut impl Reads) -> Result<Self, DatabaseError> {
        let mut shape = Self(HashMap::new());
        for name in TableName::ALL {
            let rows = through.rows(select_columns(database, name)).await?;
            let backend = database.backend();
            let columns: HashMap<String, Column> = rows.into_iter().filter_map(|row| column(backend, row)).collect();
            if !columns.is_empty() {
                shape.0.insert(name, Table { name, columns });
            }
        }
        Ok(shape)
    }
}

/// Selects name, type, length, whether the database assigns a value, nullability and character set of every column.
fn select_columns(database: &Database, name: TableName) -> Statement {
    match database.backend() {
        Backend::MySql => Statement::new(
            "SELECT CAST(LOWER(column_name) AS CHAR), CAST(LOWER(column_type) AS CHAR), \
             CAST(character_maximum_length AS CHAR), \
             CAST(extra LIKE '%auto_increment%' OR column_default IS NOT NULL AS CHAR), \
             CAST(is_nullable = 'YES' AS CHAR), CAST(character_set_name AS CHAR), CAST(character_octet_length AS CHAR) \
             FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?",
        )
        .with(name.word()),
        Backend::Postgres => Statement::new(
            "SELECT CAST(column_name AS text), CAST(data_type AS text), CAST(character_maximum_length AS text), \
             CASE WHEN column_default IS NOT NULL OR is_identity = 'YES' THEN '1' ELSE '0' END, \
             CASE WHEN is_nullable = 'YES' THEN '1' ELSE '0' END, \
             CAST(current_setting('server_encoding') AS text) \
             FROM information_schema.columns \
             WHERE table_schema = COALESCE(CAST(? AS text), current_schema()) AND table_name = ?",
        )
        .with(database.schema().map(str::to_owned))
        .with(name.word()),
        // A single INTEGER key is the rowid itself, which SQLite assigns.
        Backend::Sqlite => Statement::new(
            "SELECT LOWER(name), LOWER(type), NULL, CASE WHEN dflt_value IS NOT NULL \
             OR (pk = 1 AND LOWER(type) = 'integer' AND (SELECT COUNT(*) FROM pragma_table_info(?) WHERE pk > 0) = 1) \
             THEN '1' ELSE '0' END, CASE WHEN \"notnull\" = 0 THEN '1' ELSE '0' END FROM pragma_table_info(?)",
        )
        .with(name.word())
        .with(name.word()),
    }
}

fn column(backend: Backend, mut row: Record) -> Option<(String, Column)> {
    let (name, kind) = (row.text()?, row.text().unwrap_or_default());
    let limit = row.number();
    let given = row.text().as_deref() == Some("1");
    let takes_null = row.text().as_deref() == Some("1");
    let charset = row.text().unwrap_or_default();
    let capacity = fit::capacity(backend, &kind, limit, row.number(), &charset, takes_null);
    let column = Column {
        has_zone: kind.contains("with time zone") || kind.contains("timestamptz"),
        is_time: kind.contains("time"),
        by_language: kind == "jsonb",
        limit,
        given,
        capacity,
    };
    Some((name, column))
}

impl Table {
    /// Returns whether it has this column.
    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// Returns the column's capacity for texts; unlimited if the column is missing.
    pub fn capacity(&self, column: &str) -> Capacity {
        let none = || Capacity { takes_null: true, ..Capacity::default() };
        self.columns.get(column).map_or_else(none, |column| column.capacity.clone())
    }

    /// Returns whether times in this column have an offset.
    pub fn has_zone(&self, column: &str) -> bool {
        self.columns.get(column).is_some_and(|column| column.has_zone)
    }

    /// Returns the column as text, or NULL if it is missing.
    pub fn text(&self, database: &Database, column: &str) -> String {
        if self.has(column) { database.text(&self.plain(database, column)) } else { "NULL".to_owned() }
    }

    /// Returns the column for comparisons. Of a text per language the one in `en_US`, which Odoo always writes; without
    /// it the first by the name of its language.
    pub fn plain(&self, database: &Database, column: &str) -> String {
        let name = database.column(column);
        if !self.is_by_language(column) {
            return name;
        }
        format!(
            "(CASE jsonb_typeof({name}) WHEN 'object' THEN COALESCE({name} ->> 'en_US', \
             (SELECT languages.value FROM jsonb_each_text({name}) AS languages ORDER BY languages.key LIMIT 1)) \
             ELSE {name} #>> '{{}}' END)"
        )
    }

    fn is_by_language(&self, column: &str) -> bool {
        self.columns.get(column).is_some_and(|column| column.by_language)
    }

    /// Returns the expression for a new row's id if the database assigns none; it is part of the INSERT statement.
    fn next_id(&self, database: &Database) -> Option<String> {
        let id = self.columns.get("id")?;
        // MySQL can read the table it writes to only through a derived table.
        (!id.given).then(|| {
            format!(
                "(SELECT n FROM (SELECT COALESCE(MAX(id), 0) + 1 AS n FROM {}) AS newest)",
                database.table(self.name)
            )
        })
    }

    /// Inserts a row. Missing columns are left out.
    ///
    /// # Errors
    /// Fails if a text is longer than its column, because the database might cut it silently.
    pub async fn insert(
        &self,
        transaction: &mut Transaction<'_>,
        values: Vec<(&'static str, Value)>,
    ) -> Result<(), DatabaseError> {
        let database = transaction.database().clone();
        let (mut columns, mut places, mut bound) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(next) = self.next_id(&database) {
            columns.push("id".to_owned());
            places.push(next);
        }
        for (name, value) in values {
            let Some(column) = self.columns.get(name) else { continue };
            self.check_length(name, column, &value)?;
            columns.push(database.column(name));
            places.push(self.place(&database, column));
            bound.push(value);
        }
        let text = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            database.table(self.name),
            columns.join(", "),
            places.join(", ")
        );
        let statement = bound.into_iter().fold(Statement::new(text), Statement::with);
        transaction.execute(statement).await.map(drop)
    }

    fn place(&self, database: &Database, column: &Column) -> String {
        if column.by_language {
            return "(SELECT jsonb_build_object('en_US', given.text) FROM (SELECT CAST(? AS text) AS text) AS given \
                    WHERE given.text IS NOT NULL)"
                .to_owned();
        }
        match (database.backend(), column.is_time, column.has_zone) {
            (Backend::Postgres, true, true) => "CAST(? AS timestamp with time zone)".to_owned(),
            (Backend::Postgres, true, false) => "CAST(? AS timestamp)".to_owned(),
            _ => "?".to_owned(),
        }
    }

    /// Fails if a text is longer than its column, which MySQL would cut silently.
    pub fn check(&self, name: &str, text: &str) -> Result<(), DatabaseError> {
        let Some(column) = self.columns.get(name) else { return Ok(()) };
        self.check_length(name, column, &Value::from(text))
    }

    fn check_length(&self, name: &str, column: &Column, value: &Value) -> Result<(), DatabaseError> {
        let (Some(limit), Value::Text(Some(text))) = (column.limit, value) else { return Ok(()) };
        let length = text.chars().count();
        if length > limit {
            return Err(DatabaseError::TooLong { table: self.name, column: name.to_owned(), length, limit });
        }
        Ok(())
    }

    /// Returns the statement that moves a queue row into this table, by the row's id. Columns that one of the two
    /// tables lacks stay empty; `date_created` is the time at which the event was queued, or `now` if the row has none.
    pub fn moved(&self, database: &Database, queue: &Table, id: i64, row: Moved, now: DateTime<Utc>) -> Statement {
        let (mut columns, mut from, mut values) = (Vec::new(), Vec::new(), Vec::<Value>::new());
        if let Some(next) = self.next_id(database) {
            columns.push("id".to_owned());
            from.push(next);
        }
        for name in ["uuid", "title", "uri", "object", "category"] {
            let Some(column) = self.columns.get(name) else { continue };
            if let Some((_, text)) = row.texts.iter().find(|(changed, _)| *changed == name) {
                columns.push(database.column(name));
                from.push(self.place(database, column));
                values.push(text.as_str().into());
            } else if queue.has(name) {
                columns.push(database.column(name));
                from.push(self.carried(database, queue, name));
            }
        }
        if let Some(column) = self.columns.get("tags") {
            columns.push(database.column("tags"));
            from.push(self.place(database, column));
            values.push(row.tags.into());
        }
        if let Some(column) = self.columns.get("timestamp") {
            columns.push(database.column("timestamp"));
            from.push(self.place(database, column));
            values.push(database.time(now, column.has_zone).into());
        }
        if let (Some(column), true) = (self.columns.get("date_created"), queue.has("timestamp")) {
            columns.push(database.column("date_created"));
            let place = self.place(database, column);
            from.push(match row.has_time {
                true => format!("COALESCE({}, {place})", database.column("timestamp")),
                false => place,
            });
            values.push(database.time(now, column.has_zone).into());
        }
        let text = format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} WHERE id = ?",
            database.table(self.name),
            columns.join(", "),
            from.join(", "),
            database.table(queue.name)
        );
        values.into_iter().fold(Statement::new(text), Statement::with).with(id)
    }

    /// Returns the expression that copies a queue column into this table.
    fn carried(&self, database: &Database, queue: &Table, name: &str) -> String {
        let text = queue.plain(database, name);
        match (queue.is_by_language(name), self.is_by_language(name)) {
            (true, true) => database.column(name),
            (false, true) => {
                format!("CASE WHEN {text} IS NOT NULL THEN jsonb_build_object('en_US', CAST({text} AS text)) END")
            }
            (_, false) => text,
        }
    }
}
