//! Whether an application's publishing is switched off: OpenMRS' global property `atomfeed.enable.publish`, from the view
//! that packaging/grants proposes or from the table itself, where the account may read one of them.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use crate::model::Backend;

use super::{Source, SourceError, connection::Session, schema::Table, sql};

/// The property, and where it is searched.
const PROPERTY: &str = "atomfeed.enable.publish";
const TABLES: [&str; 2] = ["atomfeed_settings", "global_property"];
const COLUMNS: [&str; 2] = ["property", "property_value"];

/// How long the answer is used.
const LASTS: Duration = Duration::from_secs(60);

/// What to say if it is switched off.
pub(super) const OFF: &str = "Publishing is switched off (atomfeed.enable.publish is false). Unless another module puts events in the queue, \
     changes reach no feed.";

/// Returns whether publishing is switched off, as read now or not long ago. An application without the property
/// publishes.
pub(super) async fn is_off(source: &Source) -> bool {
    let known = *source.publishing_off.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, off)) = known
        && at.elapsed() < LASTS
    {
        return off;
    }
    let off = match read(source).await {
        Ok(value) => value.is_some_and(|value| value.trim().eq_ignore_ascii_case("false")),
        Err(error) => {
            tracing::debug!(reason = %error.reason, "whether publishing is switched off is not known");
            false
        }
    };
    *source.publishing_off.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), off));
    off
}

async fn read(source: &Source) -> Result<Option<String>, SourceError> {
    let mut session = source.pool.poll_session(&source.app).await?;
    let outcome = value(&mut session).await;
    session.end(outcome).await
}

async fn value(session: &mut Session<'_>) -> Result<Option<String>, SourceError> {
    // Only an application with a queue has jobs that fill it.
    let schema = session.schema.clone();
    if schema.table(Table::Queue).is_err() {
        return Ok(None);
    }
    let Some(table) = readable(session).await? else { return Ok(None) };
    let backend = schema.backend();
    let [property, value] = COLUMNS.map(|column| sql::quote(backend, column));
    let value = sql::key(backend, &value);
    let mut statement = session.link.statement(format!("SELECT {value} FROM {} WHERE ", schema.qualified(&table)));
    statement.equals(&property, PROPERTY).push(" LIMIT 1");
    Ok(session.link.rows(statement).await?.into_iter().next().and_then(|mut row| row.text()))
}

/// Returns the first of the tables that the account may read with both columns.
async fn readable(session: &mut Session<'_>) -> Result<Option<String>, SourceError> {
    let schema = session.schema.clone();
    let mut statement = session.link.statement(match schema.backend() {
        // These list only what the account may read.
        Backend::MySql => {
            "SELECT DISTINCT CAST(TABLE_NAME AS CHAR), CAST(COLUMN_NAME AS CHAR) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() \
             AND PRIVILEGES LIKE '%select%' AND "
        }
        Backend::Postgres => {
            "SELECT DISTINCT table_name::text, column_name::text FROM information_schema.column_privileges \
             WHERE privilege_type = 'SELECT' AND "
        }
        Backend::Sqlite => {
            "SELECT DISTINCT m.name, c.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c WHERE m.type IN ('table', 'view') AND "
        }
    });
    let (table, column) = match schema.backend() {
        Backend::MySql => ("TABLE_NAME", "COLUMN_NAME"),
        Backend::Postgres => ("table_name", "column_name"),
        Backend::Sqlite => ("m.name", "c.name"),
    };
    if let Some(namespace) = schema.namespace() {
        statement.equals("table_schema", namespace).push(" AND ");
    }
    statement.text_in(table, &TABLES.map(str::to_owned)).push(" AND ");
    statement.text_in(column, &COLUMNS.map(str::to_owned));
    let found: Vec<String> = session.link.rows(statement).await?.iter_mut().filter_map(|row| row.text()).collect();
    let whole = |table: &&str| found.iter().filter(|name| name.eq_ignore_ascii_case(table)).count() >= COLUMNS.len();
    Ok(TABLES.into_iter().find(|table| whole(table)).map(str::to_owned))
}
