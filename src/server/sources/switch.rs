//! Whether an application's publishing is switched off: OpenMRS' global property `atomfeed.enable.publish`, from the view
//! that packaging/grants proposes or from the table itself, where the account may read one of them.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use super::{Source, SourceError, catalogue, connection::Session, schema::Table, sql};

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
    let columns = catalogue::columns(&mut session.link, &TABLES).await?;
    let may_read = |table: &str, name: &str| {
        let of_table = columns.iter().filter(|(of, _)| of.eq_ignore_ascii_case(table));
        of_table.map(|(_, column)| column).any(|column| column.may_select && column.name.eq_ignore_ascii_case(name))
    };
    let whole = |table: &&str| COLUMNS.iter().all(|name| may_read(table, name));
    Ok(TABLES.into_iter().find(whole).map(str::to_owned))
}
