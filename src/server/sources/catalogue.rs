//! Which columns tables have, and what the account may do with them, on every database.

use crate::model::Backend;

use super::{SourceError, connection::Link, mysql, postgres, schema::Column, sqlite};

/// Returns the columns of these tables, each with the name of its table as the database spells it. MySQL lists only
/// columns that the account has a right on.
pub(super) async fn columns(link: &mut Link<'_>, tables: &[&str]) -> Result<Vec<(String, Column)>, SourceError> {
    match link.app.database.backend {
        Backend::MySql => mysql::columns(link, tables).await,
        Backend::Postgres => postgres::columns(link, &postgres::namespace(link.app), tables).await,
        Backend::Sqlite => sqlite::columns(link, tables).await,
    }
}
