//! MySQL and MariaDB: connecting, session settings, and the schema from `information_schema`. Changes only its own
//! sessions, and stops only statements of its own connections.

use std::{sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Error, Executor, MySqlConnection,
    mysql::{MySqlConnectOptions, MySqlSslMode},
};

use crate::{
    model::Backend,
    server::config::{Application, Tls},
};

use super::{
    SourceError,
    connection::Link,
    schema::{Column, ColumnKind, Schema, Table, by_table},
};

/// A connection, and the data to stop its statement from another one.
pub(super) struct Open {
    pub connection: MySqlConnection,
    /// The server's number of this connection.
    id: u64,
    options: Arc<MySqlConnectOptions>,
    connect_timeout: Duration,
    /// Why the connection is not encrypted although that was tried.
    pub encryption_failed: Option<String>,
    /// Seconds that a read transaction waits for a lock on a whole table.
    table_lock_wait: u64,
    /// The session is set up for a transaction that writes.
    writes: bool,
}

impl Open {
    pub fn stopper(&self) -> Stopper {
        Stopper { id: self.id, options: Arc::clone(&self.options), connect_timeout: self.connect_timeout, armed: true }
    }

    /// Returns the statements that begin a transaction that only reads.
    pub fn beginning_to_read(&mut self) -> String {
        match std::mem::replace(&mut self.writes, false) {
            true => format!("SET SESSION lock_wait_timeout = {}; START TRANSACTION READ ONLY", self.table_lock_wait),
            false => "START TRANSACTION READ ONLY".to_owned(),
        }
    }

    /// Returns the same for one that writes, which waits for a lock on a whole table no longer than for one on a row.
    pub fn beginning_to_write(&mut self) -> String {
        match std::mem::replace(&mut self.writes, true) {
            true => "START TRANSACTION".to_owned(),
            false => "SET SESSION lock_wait_timeout = 1; START TRANSACTION".to_owned(),
        }
    }
}

/// Stops the statement of a connection, as far as possible, when dropped before it is disarmed.
///
/// MySQL notices a disconnected client only once it has an answer for it, and 5.6 has no limit of its own for how long
/// a statement runs. An account may always stop its own connections.
pub(super) struct Stopper {
    id: u64,
    options: Arc<MySqlConnectOptions>,
    connect_timeout: Duration,
    armed: bool,
}

impl Stopper {
    /// Records that the statement ended.
    pub fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.armed {
            let stopped = stop(self.id, Arc::clone(&self.options));
            let limit = self.connect_timeout;
            runtime.spawn(async move {
                // A server that does not answer has nothing to stop, or cannot be reached.
                if let Ok(Err(error)) = tokio::time::timeout(limit, stopped).await {
                    tracing::debug!(%error, "an abandoned statement could not be cancelled");
                }
            });
        }
    }
}

async fn stop(id: u64, options: Arc<MySqlConnectOptions>) -> Result<(), Error> {
    let mut connection = options.connect().await?;
    connection.execute(AssertSqlSafe(format!("KILL QUERY {id}"))).await?;
    connection.close().await
}

/// Opens a connection and sets up its session.
pub(super) async fn connect(app: &Application) -> Result<Open, Error> {
    let database = &app.database;
    let mut options = MySqlConnectOptions::new()
        .host(&database.host)
        .port(database.port)
        .username(&database.user)
        .database(&database.database)
        .charset("utf8mb4")
        .timezone(Some("+00:00".to_owned()))
        // The whole SQL mode of the session is set below.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .ssl_mode(match database.tls {
            Tls::Off => MySqlSslMode::Disabled,
            Tls::Preferred => MySqlSslMode::Preferred,
            Tls::Required => MySqlSslMode::Required,
            Tls::Verified => MySqlSslMode::VerifyIdentity,
        })
        .disable_statement_logging();
    if !database.password.reveal().is_empty() {
        options = options.password(database.password.reveal());
    }
    if let Some(ca) = &database.ca {
        options = options.ssl_ca(ca);
    }
    let mut encryption_failed = None;
    let mut connection = match options.connect().await {
        // Old servers (MySQL 5.6, 5.7) offer only TLS versions that are not supported any more, which is as good as no
        // TLS.
        Err(error) if database.tls == Tls::Preferred && is_handshake(&error) => {
            options = options.ssl_mode(MySqlSslMode::Disabled);
            encryption_failed = Some(error.to_string());
            options.connect().await?
        }
        other => other?,
    };
    let id = set_up(&mut connection, app).await?;
    let table_lock_wait = whole_seconds(app.statement_timeout);
    let (options, connect_timeout) = (Arc::new(options), app.connect_timeout);
    Ok(Open { connection, id, options, connect_timeout, encryption_failed, table_lock_wait, writes: false })
}

fn whole_seconds(limit: Duration) -> u64 {
    limit.as_secs() + u64::from(limit.subsec_nanos() > 0 || limit.is_zero())
}

/// Returns whether encryption failed, and not a step before or after it.
pub(super) fn is_handshake(error: &Error) -> bool {
    match error {
        Error::Tls(_) => true,
        Error::Io(error) => matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof),
        _ => false,
    }
}

/// Sets up the session; returns the server's number of the connection.
async fn set_up(connection: &mut MySqlConnection, app: &Application) -> Result<u64, Error> {
    let about = "SELECT VERSION(), CAST(CONNECTION_ID() AS UNSIGNED)";
    let (version, id): (String, u64) = sqlx::query_as(about).fetch_one(&mut *connection).await?;
    let seconds = app.statement_timeout.as_secs_f64();
    // An empty mode: `0000-00-00` is an ordinary value, and backslash and quotes mean the same as in MySQL 5.6. Only
    // writes wait for row locks: one second, the shortest wait that every server accepts.
    let mut set = format!(
        "SET SESSION sql_mode = '', innodb_lock_wait_timeout = 1, lock_wait_timeout = {}",
        whole_seconds(app.statement_timeout)
    );
    if version.contains("MariaDB") {
        set.push_str(&format!(", max_statement_time = {seconds}"));
    } else if !version.starts_with("5.5") && !version.starts_with("5.6") {
        set.push_str(&format!(", max_execution_time = {}", app.statement_timeout.as_millis()));
    }
    connection.execute(AssertSqlSafe(set)).await?;
    // All reads of one transaction must be consistent, also on a server with another setting.
    connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    Ok(id)
}

/// Reads which tables and columns this database has, and what the account may do with each column.
pub(super) async fn read_schema(link: &mut Link<'_>) -> Result<Schema, SourceError> {
    let about = link.statement("SELECT CAST(VERSION() AS CHAR), CAST(@@global.read_only AS CHAR)");
    let mut about = link.row(about).await?;
    let server = server_name(&about.text().unwrap_or_default());
    let read_only = about.text().as_deref() == Some("1");

    let columns = columns(link, &Table::ALL.map(Table::name)).await?;
    let tables = by_table(&columns);
    let write_refused = read_only.then(|| "the server is set read-only (it may be a replica)".to_owned());
    let mut schema = Schema::new(Backend::MySql, None, server, tables, write_refused);
    let absent: Vec<Table> = Table::ALL.into_iter().filter(|table| schema.found(*table).is_none()).collect();
    if !absent.is_empty() {
        let grants = grants(link).await?;
        let database = &link.app.database.database;
        let would_show =
            |table: &Table| grants.iter().any(|grant| grants_right(grant, "SELECT", database, table.name()));
        schema.maybe_hidden = absent.into_iter().filter(|table| !would_show(table)).collect();
    }
    Ok(schema)
}

/// Returns the columns of these tables, each with the name of its table: those that the account may use.
pub(super) async fn columns(link: &mut Link<'_>, tables: &[&str]) -> Result<Vec<(String, Column)>, SourceError> {
    let mut statement = link.statement(
        "SELECT CAST(TABLE_NAME AS CHAR), CAST(COLUMN_NAME AS CHAR), CAST(DATA_TYPE AS CHAR), CAST(PRIVILEGES AS CHAR), \
         CAST(EXTRA AS CHAR), CAST(COLUMN_KEY AS CHAR) \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN (",
    );
    for (place, table) in tables.iter().enumerate() {
        statement.push(if place > 0 { ", " } else { "" }).value(table);
    }
    statement.push(") ORDER BY TABLE_NAME, ORDINAL_POSITION");
    let mut columns: Vec<(String, Column)> = Vec::new();
    for mut row in link.rows(statement).await? {
        let table = row.text().unwrap_or_default();
        let name = row.text().unwrap_or_default();
        let kind = kind(&row.text().unwrap_or_default());
        let rights = row.text().unwrap_or_default().to_lowercase();
        let may = |right: &str| rights.split(',').any(|part| part.trim() == right);
        // `on update CURRENT_TIMESTAMP`, `on update current_timestamp(6)`.
        let moves = row.text().unwrap_or_default().to_lowercase().contains("on update");
        let primary = row.text().as_deref() == Some("PRI");
        let (may_select, may_update) = (may("select"), may("update"));
        columns.push((table, Column { name, kind, may_select, may_update, moves, primary }));
    }
    Ok(columns)
}

/// Returns the lines of `SHOW GRANTS` for the account.
async fn grants(link: &mut Link<'_>) -> Result<Vec<String>, SourceError> {
    let statement = link.statement("SHOW GRANTS");
    Ok(link.rows(statement).await?.into_iter().filter_map(|mut row| row.text()).collect())
}

/// Returns `MariaDB 10.11.6` for `10.11.6-MariaDB-1:10.11.6+maria~ubu2204`.
fn server_name(version: &str) -> String {
    let number = version.split('-').next().unwrap_or(version);
    let name = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
    format!("{name} {number}")
}

fn kind(data_type: &str) -> ColumnKind {
    match data_type.to_lowercase().as_str() {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => ColumnKind::Integer,
        "decimal" => ColumnKind::Numeric,
        "timestamp" => ColumnKind::Instant,
        "datetime" | "date" => ColumnKind::Local,
        _ => ColumnKind::Text,
    }
}

/// Returns whether the account holds a right on a whole table, from `SHOW GRANTS`.
///
/// Rights from roles count as far as the server lists them there.
pub(super) async fn may_on_table(link: &mut Link<'_>, right: &str, table: &str) -> Result<bool, SourceError> {
    let grants = grants(link).await?;
    let database = &link.app.database.database;
    Ok(grants.iter().any(|grant| grants_right(grant, right, database, table)))
}

/// Returns whether one line of `SHOW GRANTS` grants `right` on the table.
fn grants_right(grant: &str, right: &str, database: &str, table: &str) -> bool {
    let Some((rights, place)) = grant.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON ")) else {
        return false;
    };
    let place = place.strip_prefix("TABLE ").unwrap_or(place);
    let Some((place, _)) = place.split_once(" TO ") else { return false };
    let right_held = rights.split(',').map(str::trim).any(|held| {
        held.eq_ignore_ascii_case(right)
            || held.eq_ignore_ascii_case("ALL PRIVILEGES")
            || held.eq_ignore_ascii_case("ALL")
    });
    let Some((held_database, held_table)) = split_place(place) else { return false };
    let database_held = held_database == "*" || like(&held_database, database);
    right_held && database_held && (held_table == "*" || held_table == table)
}

/// Splits `` `a_b`.`t` `` into `a_b` and `t`.
fn split_place(place: &str) -> Option<(String, String)> {
    let plain = |name: &str| name.trim().trim_matches('`').replace("``", "`");
    let (database, table) = place.rsplit_once('.')?;
    Some((plain(database), plain(table)))
}

/// Returns whether a grant's database pattern matches a name: `%` and `_` are wildcards, `\` escapes them.
fn like(pattern: &str, name: &str) -> bool {
    fn matches(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['%', rest @ ..] => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
            ['_', rest @ ..] => !name.is_empty() && matches(rest, &name[1..]),
            ['\\', escaped, rest @ ..] => name.first() == Some(escaped) && matches(rest, &name[1..]),
            [plain, rest @ ..] => name.first() == Some(plain) && matches(rest, &name[1..]),
        }
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    matches(&pattern, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_on_everything_a_database_or_a_table_gives_the_right() {
        for grant in [
            "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
            "GRANT SELECT, DELETE ON `openmrs`.* TO `console`@`%`",
            "GRANT DELETE ON `open%`.* TO `console`@`%`",
            "GRANT SELECT, INSERT, DELETE ON `openmrs`.`failed_events` TO `console`@`%`",
        ] {
            assert!(grants_right(grant, "DELETE", "openmrs", "failed_events"), "{grant}");
        }
    }

    #[test]
    fn a_grant_on_something_else_gives_nothing() {
        for grant in [
            "GRANT USAGE ON *.* TO `console`@`%` IDENTIFIED BY PASSWORD '*0'",
            "GRANT SELECT ON `openmrs`.* TO `console`@`%`",
            "GRANT DELETE ON `openmrs\\_test`.* TO `console`@`%`",
            "GRANT DELETE ON `openmrs`.`markers` TO `console`@`%`",
            "GRANT `reader` TO `console`@`%`",
        ] {
            assert!(!grants_right(grant, "DELETE", "openmrs", "failed_events"), "{grant}");
        }
        assert!(grants_right("GRANT DELETE ON `openmrs\\_test`.* TO `c`@`%`", "DELETE", "openmrs_test", "markers"));
    }

    #[test]
    fn a_server_is_called_by_its_name() {
        assert_eq!(server_name("10.11.6-MariaDB-1:10.11.6+maria~ubu2204"), "MariaDB 10.11.6");
        assert_eq!(server_name("5.6.51"), "MySQL 5.6.51");
        assert_eq!(server_name("8.0.36-0ubuntu0.22.04.1"), "MySQL 8.0.36");
    }
}
