//! Rows read and written in full, to discard and restore them: every column of a table, known to the console or not, in
//! the bytes that its database returns and accepts. Sends only the query for a table's columns itself.

use crate::model::{
    Backend,
    whole_row::{Cell, CellKind, WholeRow},
};

use super::{
    SourceError,
    connection::{Raw, Session},
    fault, postgres,
    schema::{Found, Table},
    sql::{self, Statement},
};

/// A column of a table as it is copied.
#[derive(Clone, Debug)]
pub(super) struct WholeColumn {
    pub name: String,
    /// PostgreSQL: the type that a printed value is converted to.
    cast: String,
    /// The database assigns a value to this column when an insert leaves it out.
    pub fills_itself: bool,
}

/// Returns the columns of a table except computed ones, in the table's order.
///
/// # Errors
/// Fails if the account may not read all of them: a copy would be incomplete.
pub(super) async fn columns(session: &mut Session<'_>, table: Table) -> Result<Vec<WholeColumn>, SourceError> {
    let app = session.link.app;
    let statement = match app.database.backend {
        Backend::MySql => mysql_columns(session, table),
        Backend::Postgres => postgres_columns(session, table),
        Backend::Sqlite => sqlite_columns(session, table),
    };
    let records = session.link.rows(statement).await?;
    let columns: Vec<_> = records
        .into_iter()
        .map(|mut record| WholeColumn {
            name: record.text().unwrap_or_default(),
            cast: record.text().unwrap_or_default(),
            fills_itself: record.text().as_deref() == Some("1"),
        })
        .collect();
    let schema = session.schema.clone();
    let found = schema.found(table);
    let hidden = columns.iter().find(|column| {
        found.and_then(|found| found.found(&column.name.to_lowercase())).is_some_and(|column| !column.may_select)
    });
    match hidden {
        Some(column) => Err(fault::not_allowed(
            app,
            &format!("the account may not read the column {} of {}, so it cannot be kept", column.name, table.name()),
        )),
        None => Ok(columns),
    }
}

fn mysql_columns(session: &Session<'_>, table: Table) -> Statement {
    let mut statement = session.link.statement(
        "SELECT CAST(COLUMN_NAME AS CHAR), '', CASE WHEN EXTRA LIKE '%auto_increment%' THEN '1' ELSE '0' END \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ",
    );
    statement.value(table.name());
    // Columns computed from others are left out: they are computed again. MySQL 8 marks a default value as
    // DEFAULT_GENERATED.
    statement.push(
        " AND EXTRA NOT LIKE '%VIRTUAL GENERATED%' AND EXTRA NOT LIKE '%STORED GENERATED%' \
         AND EXTRA NOT LIKE '%PERSISTENT%' ORDER BY ORDINAL_POSITION",
    );
    statement
}

fn postgres_columns(session: &Session<'_>, table: Table) -> Statement {
    let mut statement = session.link.statement(
        "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), \
         CASE WHEN a.atthasdef OR COALESCE(to_jsonb(a) ->> 'attidentity', '') <> '' THEN '1' ELSE '0' END \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid WHERE n.nspname::text = ",
    );
    statement.value(&postgres::namespace(session.link.app)).push(" AND c.relname::text = ").value(table.name());
    // Read through JSON, because older servers lack these columns of the catalogue.
    statement.push(
        " AND a.attnum > 0 AND NOT a.attisdropped AND COALESCE(to_jsonb(a) ->> 'attgenerated', '') = '' \
         ORDER BY a.attnum",
    );
    statement
}

fn sqlite_columns(session: &Session<'_>, table: Table) -> Statement {
    // Only a column that is an alias of the rowid is assigned a number.
    let mut statement = session.link.statement(
        "SELECT name, '', CASE WHEN pk = 1 AND LOWER(type) = 'integer' AND (SELECT COUNT(*) FROM pragma_table_info(",
    );
    statement.value(table.name()).push(") WHERE pk > 0) = 1 THEN '1' ELSE '0' END FROM pragma_table_xinfo(");
    statement.value(table.name()).push(") WHERE hidden = 0");
    statement
}

/// Returns the columns to select for [`read`].
pub(super) fn selection(table: &Found<'_>, columns: &[WholeColumn]) -> String {
    let mut parts = Vec::new();
    for column in columns {
        let value =
            format!("{}.{}", sql::quote(table.backend, table.bare_name()), sql::quote(table.backend, &column.name));
        match table.backend {
            Backend::MySql => parts.push(format!("CAST({value} AS BINARY)")),
            Backend::Postgres => parts.push(format!("({value})::text")),
            Backend::Sqlite => {
                parts.push(format!("CAST(typeof({value}) AS BLOB)"));
                parts.push(format!(
                    "CASE typeof({value}) WHEN 'real' THEN CAST(printf('%!.17g', {value}) AS BLOB) ELSE CAST({value} AS BLOB) END"
                ));
            }
        }
    }
    parts.join(", ")
}

/// Returns an expression for the bytes that a row holds in these columns, as text.
pub(super) fn length(table: &Found<'_>, columns: &[WholeColumn]) -> String {
    let length = |column: &WholeColumn| {
        let value =
            format!("{}.{}", sql::quote(table.backend, table.bare_name()), sql::quote(table.backend, &column.name));
        format!("COALESCE({}, 0)", sql::byte_length(table.backend, &value))
    };
    let lengths: Vec<String> = columns.iter().map(length).collect();
    sql::as_text(table.backend, &format!("({})", if lengths.is_empty() { "0".to_owned() } else { lengths.join(" + ") }))
}

/// Returns the row in an answer to [`selection`].
pub(super) fn read(backend: Backend, columns: &[WholeColumn], raw: Raw) -> WholeRow {
    let mut values = raw.0.into_iter();
    let mut next = || values.next().flatten();
    let cell = |column: &WholeColumn| {
        let kind = match backend {
            Backend::MySql | Backend::Postgres => CellKind::Printed,
            Backend::Sqlite => match next().as_deref() {
                Some(b"integer") => CellKind::Integer,
                Some(b"real") => CellKind::Real,
                Some(b"blob") => CellKind::Blob,
                _ => CellKind::Text,
            },
        };
        Cell { column: column.name.clone(), kind, bytes: next() }
    };
    WholeRow(columns.iter().map(cell).collect())
}

/// Returns an INSERT of a whole row. Columns that the table does not have any more are left out, and so is `without`.
pub(super) fn insert(
    session: &Session<'_>,
    table: &Found<'_>,
    columns: &[WholeColumn],
    row: &WholeRow,
    without: Option<&str>,
) -> Statement {
    let backend = table.backend;
    let cells: Vec<(&Cell, &WholeColumn)> = row
        .0
        .iter()
        .filter(|cell| without.is_none_or(|without| !cell.column.eq_ignore_ascii_case(without)))
        .filter_map(|cell| Some((cell, columns.iter().find(|column| column.name.eq_ignore_ascii_case(&cell.column))?)))
        .collect();
    let names: Vec<String> = cells.iter().map(|(_, column)| sql::quote(backend, &column.name)).collect();
    let mut statement = session.link.statement(format!("INSERT INTO {} ({}) VALUES (", table.name, names.join(", ")));
    for (place, (cell, column)) in cells.into_iter().enumerate() {
        statement.push(if place > 0 { ", " } else { "" });
        push_value(&mut statement, backend, cell, column);
    }
    statement.push(")");
    statement
}

fn push_value(statement: &mut Statement, backend: Backend, cell: &Cell, column: &WholeColumn) {
    let bytes = cell.bytes.clone();
    match (backend, cell.kind) {
        (Backend::Postgres, _) => statement.raw(bytes, &format!("::text::{}", column.cast)),
        (Backend::MySql, _) | (Backend::Sqlite, CellKind::Blob) => statement.raw(bytes, ""),
        (Backend::Sqlite, CellKind::Integer) => {
            statement.push("CAST(CAST(").raw(bytes, "").push(" AS TEXT) AS INTEGER)")
        }
        (Backend::Sqlite, CellKind::Real) => statement.push("CAST(CAST(").raw(bytes, "").push(" AS TEXT) AS REAL)"),
        (Backend::Sqlite, CellKind::Text | CellKind::Printed) => {
            statement.push("CAST(").raw(bytes, "").push(" AS TEXT)")
        }
    };
}
