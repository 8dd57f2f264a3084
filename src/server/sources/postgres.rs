//! PostgreSQL: connecting, session settings, and the schema from its catalogue. Changes only its own sessions.

use sqlx::{
    AssertSqlSafe, ConnectOptions, Error, Executor, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use crate::{
    model::Backend,
    server::config::{Application, Tls},
};

use super::{
    SourceError,
    connection::Link,
    mysql,
    schema::{Column, ColumnKind, Schema, Table, by_table},
};

/// A connection.
pub(super) struct Open {
    pub connection: PgConnection,
    /// Why the connection is not encrypted although that was tried.
    pub encryption_failed: Option<String>,
}

/// Opens a connection and sets up its session. The driver itself sets the session's zone to UTC and dates to ISO.
pub(super) async fn connect(app: &Application) -> Result<Open, Error> {
    let database = &app.database;
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&database.host)
        .port(database.port)
        .username(&database.user)
        .password(database.password.reveal())
        .database(&database.database)
        .application_name("atomfeed-console")
        .ssl_mode(match database.tls {
            Tls::Off => PgSslMode::Disable,
            Tls::Preferred => PgSslMode::Prefer,
            Tls::Required => PgSslMode::Require,
            Tls::Verified => PgSslMode::VerifyFull,
        })
        .disable_statement_logging();
    if let Some(ca) = &database.ca {
        options = options.ssl_root_cert(ca);
    }
    let mut encryption_failed = None;
    let mut connection = match options.connect().await {
        // The server offers TLS, but not in a version that is supported today.
        Err(error) if database.tls == Tls::Preferred && mysql::is_handshake(&error) => {
            encryption_failed = Some(error.to_string());
            options.ssl_mode(PgSslMode::Disable).connect().await?
        }
        other => other?,
    };
    let limit = app.statement_timeout.as_millis();
    connection.execute(AssertSqlSafe(format!("SET statement_timeout = {limit}; SET lock_timeout = {limit}"))).await?;
    Ok(Open { connection, encryption_failed })
}

/// Returns the name of the schema that contains the tables.
pub(super) fn namespace(app: &Application) -> String {
    app.database.schema.clone().unwrap_or_else(|| "public".to_owned())
}

/// Reads which tables and columns this database has, and what the account may do with each column.
pub(super) async fn read_schema(link: &mut Link<'_>) -> Result<Schema, SourceError> {
    let namespace = namespace(link.app);
    let about = link.statement(
        "SELECT current_setting('server_version'), pg_is_in_recovery()::text, \
         current_setting('default_transaction_read_only')",
    );
    let mut about = link.row(about).await?;
    let version = about.text().unwrap_or_default();
    let server = format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default());
    let replica = about.text().as_deref() == Some("true");
    let read_only = about.text().as_deref() == Some("on");

    let columns = columns(link, &namespace, &Table::ALL.map(Table::name)).await?;
    let tables = by_table(&columns);
    let write_refused = if replica {
        Some("the server is a replica".to_owned())
    } else {
        read_only.then(|| "the database is set read-only for this account".to_owned())
    };
    Ok(Schema::new(Backend::Postgres, Some(namespace), server, tables, write_refused))
}

/// Returns the columns of these tables, each with the name of its table. Without USAGE on the schema no right on its
/// tables has any effect.
pub(super) async fn columns(
    link: &mut Link<'_>,
    namespace: &str,
    tables: &[&str],
) -> Result<Vec<(String, Column)>, SourceError> {
    let mut statement = link.statement(
        "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL)::text, \
         (has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT'))::text, \
         (has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'UPDATE'))::text \
         FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
         WHERE n.nspname::text = ",
    );
    statement.value(namespace).push(
        " AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND c.relname::text IN (",
    );
    for (place, table) in tables.iter().enumerate() {
        statement.push(if place > 0 { ", " } else { "" }).value(table);
    }
    statement.push(") ORDER BY 1, a.attnum");
    let mut columns: Vec<(String, Column)> = Vec::new();
    for mut row in link.rows(statement).await? {
        let table = row.text().unwrap_or_default();
        let name = row.text().unwrap_or_default();
        let kind = match kind(&row.text().unwrap_or_default()) {
            // Rows that are discarded and restored are kept byte by byte.
            ColumnKind::ByLanguage if table.starts_with("failed_event") => ColumnKind::Text,
            kind => kind,
        };
        let mut may = || row.text().as_deref() == Some("true");
        let (may_select, may_update) = (may(), may());
        columns.push((table, Column { name, kind, may_select, may_update, moves: false, primary: false }));
    }
    Ok(columns)
}

fn kind(data_type: &str) -> ColumnKind {
    match data_type {
        "smallint" | "integer" | "bigint" => ColumnKind::Integer,
        "numeric" => ColumnKind::Numeric,
        "timestamp with time zone" => ColumnKind::Instant,
        "timestamp without time zone" | "date" => ColumnKind::Local,
        "json" | "jsonb" => ColumnKind::ByLanguage,
        _ => ColumnKind::Text,
    }
}

/// Returns whether the account holds a right on a whole table.
pub(super) async fn may_on_table(link: &mut Link<'_>, right: &str, qualified: &str) -> Result<bool, SourceError> {
    let mut statement = link.statement("SELECT has_table_privilege(");
    statement.value(qualified).push(", ").value(right).push(")::text");
    Ok(link.row(statement).await?.text().as_deref() == Some("true"))
}
