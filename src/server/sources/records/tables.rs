//! The tables in which an application keeps its records: which of their columns exist and may be read, which have an
//! index, and how many rows a table has. Reads only the catalogue of the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{
    model::{Backend, Kind, Stamp},
    server::config::Application,
};

use super::super::{
    SourceError, catalogue, clock,
    connection::{Link, Session},
    schema::{Column, ColumnKind, Columns, qualified},
    sql,
};

/// How long the catalogue is used before it is read again: a right can be granted because a page asked for it.
const LASTS: Duration = Duration::from_secs(60);

/// Most rows of a table that is searched without an index.
pub(super) const SCANNED: u64 = 200_000;

/// A table of records: its columns that the console reads, and what for.
pub(in super::super) struct Wanted {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    pub purpose: &'static str,
    /// Not every version or installation has it: that it is missing is no lack.
    pub optional: bool,
}

const fn wanted(table: &'static str, columns: &'static [&'static str], purpose: &'static str) -> Wanted {
    Wanted { table, columns, purpose, optional: false }
}

const fn optional(table: &'static str, columns: &'static [&'static str], purpose: &'static str) -> Wanted {
    Wanted { table, columns, purpose, optional: true }
}

const OPENMRS: &[Wanted] = &[
    wanted("person", &["person_id", "uuid", "voided"], "patients"),
    wanted(
        "patient_identifier",
        &["patient_id", "identifier", "identifier_type", "preferred", "voided"],
        "identifiers of patients",
    ),
    optional(
        "person_name",
        &["person_id", "given_name", "middle_name", "family_name", "preferred", "voided"],
        "names of patients",
    ),
    optional("person_merge_log", &["winner_person_id", "loser_person_id", "voided"], "merged patients"),
    wanted(
        "encounter",
        &[
            "encounter_id",
            "uuid",
            "encounter_type",
            "encounter_datetime",
            "patient_id",
            "location_id",
            "voided",
            "date_created",
            "date_changed",
        ],
        "encounters",
    ),
    wanted("encounter_type", &["encounter_type_id", "name"], "types of encounters"),
    wanted("location", &["location_id", "name"], "places of encounters"),
    wanted(
        "orders",
        &[
            "order_id",
            "uuid",
            "order_number",
            "order_type_id",
            "concept_id",
            "encounter_id",
            "patient_id",
            "order_action",
            "voided",
            "date_stopped",
            "date_created",
        ],
        "orders",
    ),
    wanted("order_type", &["order_type_id", "name"], "types of orders"),
    wanted("test_order", &["order_id"], "orders that no consumer gets"),
    optional("referral_order", &["order_id"], "orders that no consumer gets"),
    wanted("drug_order", &["order_id", "drug_inventory_id", "drug_non_coded"], "ordered drugs"),
    wanted("drug", &["drug_id", "uuid", "name", "retired"], "names of drugs"),
    wanted("concept", &["concept_id", "uuid", "retired"], "tests"),
    wanted(
        "concept_name",
        &["concept_id", "name", "locale", "locale_preferred", "concept_name_type", "voided"],
        "names of tests",
    ),
    wanted("obs", &["order_id", "date_created", "obs_group_id", "voided"], "whether a result is there"),
    optional("bed_patient_assignment_map", &["uuid", "patient_id"], "patients of bed assignments"),
    optional("patient_program", &["uuid", "patient_id"], "patients of programmes"),
    optional("patient_appointment", &["uuid", "patient_id"], "patients of appointments"),
    optional("event_records_queue", &["id", "object", "timestamp"], "what waits to be published"),
];

const OPENELIS: &[Wanted] = &[
    wanted("patient", &["id", "uuid", "lastupdated"], "patients"),
    wanted("sample", &["id", "uuid", "accession_number", "entered_date"], "samples"),
    wanted("sample_human", &["samp_id", "patient_id"], "patients of samples"),
    wanted("sample_item", &["id", "samp_id"], "tests of samples"),
    wanted("analysis", &["sampitem_id", "test_id", "panel_id", "status_id", "lastupdated"], "tests of samples"),
    wanted("test", &["id", "name"], "names of tests"),
    wanted("panel", &["id", "name"], "names of panels"),
    wanted("status_of_sample", &["id", "name"], "states of tests"),
    wanted("external_reference", &["item_id", "external_id", "type"], "which test belongs to which order"),
    optional("event_records_queue", &["id", "object", "timestamp"], "what waits to be published"),
];

const ODOO: &[Wanted] = &[
    wanted("res_partner", &["id", "ref", "uuid", "active", "create_date"], "patients"),
    wanted("sale_order", &["id", "name", "state", "partner_id"], "bills"),
    wanted("sale_order_line", &["order_id", "external_id", "external_order_id", "create_date"], "lines of bills"),
    wanted("product_product", &["id", "product_tmpl_id", "uuid", "active"], "drugs and tests"),
    wanted("product_template", &["id", "name"], "names of drugs and tests"),
    // OpenERP 7 has none.
    optional("order_type", &["name"], "which orders are taken"),
    optional("event_records_queue", &["id", "object", "timestamp"], "what waits to be published"),
];

const PACS: &[Wanted] = &[
    wanted("test_order", &["order_uuid", "order_number", "date_created"], "orders"),
    wanted("order_type", &["name"], "which orders are taken"),
];

/// Returns the tables that hold the records of a kind of application.
pub(in super::super) fn of_kind(kind: Kind) -> &'static [Wanted] {
    match kind {
        Kind::Openmrs => OPENMRS,
        Kind::Openelis => OPENELIS,
        Kind::Odoo => ODOO,
        Kind::Pacs => PACS,
        Kind::Crater | Kind::Custom => &[],
    }
}

/// The tables as found.
#[derive(Debug)]
pub(in super::super) struct Tables {
    pub backend: Backend,
    pub kind: Kind,
    namespace: Option<String>,
    columns: BTreeMap<String, Columns>,
    /// Table and first column of every index.
    indexed: BTreeSet<(String, String)>,
    read_at: Instant,
}

impl Tables {
    /// Returns whether the catalogue was read recently.
    pub fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < LASTS
    }

    /// Reads the catalogue.
    pub async fn read(session: &mut Session<'_>) -> Result<Self, SourceError> {
        let app = session.link.app;
        let (backend, kind) = (app.database.backend, app.info.kind);
        let names: Vec<&str> = of_kind(kind).iter().map(|wanted| wanted.table).collect();
        let names = names.as_slice();
        if names.is_empty() {
            let (columns, indexed) = Default::default();
            return Ok(Self { backend, kind, namespace: None, columns, indexed, read_at: Instant::now() });
        }
        let namespace = session.schema.namespace().map(str::to_owned);
        let found = catalogue::columns(&mut session.link, names).await?;
        let mut of_tables = BTreeMap::<String, Vec<Column>>::new();
        for (table, column) in found {
            of_tables.entry(table.to_lowercase()).or_default().push(column);
        }
        let columns = of_tables.into_iter().map(|(table, columns)| (table, columns.into_iter().collect())).collect();
        let indexed = indexes(&mut session.link, namespace.as_deref(), names).await?;
        Ok(Self { backend, kind, namespace, columns, indexed, read_at: Instant::now() })
    }

    /// Returns whether a column can be searched by an index.
    pub fn is_indexed(&self, table: &str, column: &str) -> bool {
        self.indexed.contains(&(table.to_owned(), column.to_owned()))
    }

    pub fn has_table(&self, table: &str) -> bool {
        self.columns.contains_key(table)
    }

    pub fn column(&self, table: &str, column: &str) -> Option<&Column> {
        self.columns.get(table)?.readable(column)
    }

    /// Returns what is missing of these columns, in words; `None` if all may be read.
    fn lack(&self, table: &str, needed: &[&str]) -> Option<String> {
        let Some(columns) = self.columns.get(table) else {
            return Some(format!("the table {table} does not exist, or the account may not read it"));
        };
        let missing: Vec<&str> = needed.iter().filter(|name| columns.readable(name).is_none()).copied().collect();
        match missing.as_slice() {
            [] => None,
            missing if missing.iter().all(|name| columns.found(name).is_some()) => {
                Some(format!("the account may not read {} of the table {table}", missing.join(", ")))
            }
            missing => Some(format!("the table {table} has no {} that the account may read", missing.join(", "))),
        }
    }

    fn qualified(&self, table: &str) -> String {
        qualified(self.backend, self.namespace.as_deref(), table)
    }

    /// Returns what of the records cannot be read, and the GRANT that would allow it: one sentence for each table.
    /// `whose`: the account, and its database, as a GRANT names them.
    pub fn lacking(&self, account: &str, database: &str) -> Vec<String> {
        let tables = of_kind(self.kind);
        let mut needed = tables.iter().filter(|wanted| !wanted.optional);
        let none = needed.all(|wanted| wanted.columns.iter().all(|name| self.column(wanted.table, name).is_none()));
        if none && !tables.is_empty() {
            let part = "The account may read none of their tables. Part 3 of packaging/grants has the rights.";
            return vec![format!("patients and orders are not named. {part}")];
        }
        let lacking = |wanted: &Wanted| {
            let missing: Vec<&str> =
                wanted.columns.iter().filter(|name| self.column(wanted.table, name).is_none()).copied().collect();
            let columns = self.columns.get(wanted.table);
            // PostgreSQL and SQLite tell what there is; MySQL lists only what the account may read.
            let there = |name: &&str| match self.backend {
                Backend::MySql => true,
                Backend::Postgres | Backend::Sqlite => columns.is_some_and(|columns| columns.found(name).is_some()),
            };
            let refused: Vec<&str> = missing.iter().filter(|name| there(name)).copied().collect();
            if missing.is_empty() || (wanted.optional && (refused.is_empty() || columns.is_none())) {
                return None;
            }
            let Wanted { table, purpose, .. } = wanted;
            if refused.is_empty() {
                return Some(match columns {
                    Some(_) => format!("{purpose}: the table {table} has no {}", missing.join(", ")),
                    None => format!("{purpose}: there is no table {table}"),
                });
            }
            let place = match self.backend {
                Backend::MySql => format!("{database}.{table}"),
                Backend::Postgres | Backend::Sqlite => self.qualified(table).replace('"', ""),
            };
            Some(format!("{purpose}: GRANT SELECT ({}) ON {place} TO {account};", refused.join(", ")))
        };
        tables.iter().filter_map(lacking).collect()
    }

    /// Returns the number of rows of a table by the server's own statistics, or nearly; `None` if unknown.
    pub async fn rows(&self, link: &mut Link<'_>, table: &str) -> Result<Option<u64>, SourceError> {
        let mut statement = match self.backend {
            Backend::MySql => link.statement(
                "SELECT CAST(TABLE_ROWS AS CHAR) FROM information_schema.TABLES \
                 WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ",
            ),
            // Before a table's first analysis, -1 (or 0 in older servers): then its size decides, at 100 bytes a row.
            Backend::Postgres => link.statement(
                "SELECT CASE WHEN reltuples > 0 THEN reltuples::bigint \
                 ELSE pg_relation_size(oid) / 100 END::text FROM pg_class WHERE oid = to_regclass(",
            ),
            Backend::Sqlite => {
                link.statement(format!("SELECT CAST(MAX(rowid) AS TEXT) FROM {}", self.qualified(table)))
            }
        };
        match self.backend {
            Backend::MySql => drop(statement.value(table)),
            Backend::Postgres => drop(statement.value(&self.qualified(table)).push(")")),
            Backend::Sqlite => {}
        }
        Ok(link.row(statement).await?.number())
    }

    /// Returns why a column cannot be searched: it has no index, and the table is too large for a scan.
    pub async fn too_large(
        &self,
        link: &mut Link<'_>,
        table: &str,
        column: &str,
    ) -> Result<Option<String>, SourceError> {
        // That a column is not there is told by whoever reads it.
        if self.is_indexed(table, column) || self.column(table, column).is_none() {
            return Ok(None);
        }
        let rows = self.rows(link, table).await?;
        Ok(rows.filter(|rows| *rows > SCANNED).map(|rows| {
            format!(
                "this look-up would need a scan: {table} has no index on {column} and about {} rows",
                crate::model::words::number(rows)
            )
        }))
    }
}

/// Returns table and first column of every index of these tables.
async fn indexes(
    link: &mut Link<'_>,
    namespace: Option<&str>,
    tables: &[&str],
) -> Result<BTreeSet<(String, String)>, SourceError> {
    let named: Vec<String> = tables.iter().map(|table| (*table).to_owned()).collect();
    let mut statement = match link.app.database.backend {
        Backend::MySql => link.statement(
            "SELECT CAST(TABLE_NAME AS CHAR), CAST(COLUMN_NAME AS CHAR) FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = DATABASE() AND SEQ_IN_INDEX = 1 AND ",
        ),
        // Partial indexes count: the one of Odoo leaves out only NULL.
        Backend::Postgres => link.statement(
            "SELECT c.relname::text, a.attname::text FROM pg_catalog.pg_index i \
             JOIN pg_catalog.pg_class c ON c.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] WHERE ",
        ),
        Backend::Sqlite => link.statement(
            "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_index_list(m.name) l \
             JOIN pragma_index_info(l.name) c ON c.seqno = 0 WHERE m.type = 'table' AND ",
        ),
    };
    match (link.app.database.backend, namespace) {
        (Backend::MySql, _) => drop(statement.text_in("TABLE_NAME", &named)),
        (Backend::Postgres, namespace) => {
            statement.push("n.nspname::text = ").value(namespace.unwrap_or("public")).push(" AND ");
            statement.text_in("c.relname::text", &named);
        }
        (Backend::Sqlite, _) => drop(statement.text_in("m.name", &named)),
    }
    let rows = link.rows(statement).await?;
    let lower = |text: Option<String>| text.unwrap_or_default().to_lowercase();
    Ok(rows.into_iter().map(|mut row| (lower(row.text()), lower(row.text()))).collect())
}

/// The tables of a statement, each with its alias: what follows FROM. Columns are named `alias.column`.
#[derive(Debug)]
pub(super) struct From<'t> {
    tables: &'t Tables,
    pub text: String,
    aliases: Vec<(&'static str, &'static str)>,
}

impl<'t> From<'t> {
    /// Begins with a table.
    ///
    /// # Errors
    /// Fails if the table or a needed column may not be read: returns what is missing, in words.
    pub fn table(
        tables: &'t Tables,
        table: &'static str,
        alias: &'static str,
        needed: &[&str],
    ) -> Result<Self, String> {
        match tables.lack(table, needed) {
            Some(lack) => Err(lack),
            None => {
                let text = format!("{} {alias}", tables.qualified(table));
                Ok(Self { tables, text, aliases: vec![(alias, table)] })
            }
        }
    }

    /// Joins a table without which the answer means nothing.
    ///
    /// # Errors
    /// Fails as [`From::table`] does.
    pub fn join(mut self, table: &'static str, alias: &'static str, on: &str, needed: &[&str]) -> Result<Self, String> {
        match self.tables.lack(table, needed) {
            Some(lack) => Err(lack),
            None => {
                self.add("JOIN", table, alias, on);
                Ok(self)
            }
        }
    }

    /// Joins a table that only adds columns; if it may not be read, those are NULL.
    pub fn left(mut self, table: &'static str, alias: &'static str, on: &str, needed: &[&str]) -> Self {
        if self.tables.lack(table, needed).is_none() {
            self.add("LEFT JOIN", table, alias, on);
        }
        self
    }

    fn add(&mut self, how: &str, table: &'static str, alias: &'static str, on: &str) {
        self.text.push_str(&format!(" {how} {} {alias} ON {on}", self.tables.qualified(table)));
        self.aliases.push((alias, table));
    }

    fn found(&self, column: &str) -> Option<(&'t Column, &'static str)> {
        let (alias, name) = column.split_once('.')?;
        let (alias, table) = self.aliases.iter().find(|(known, _)| *known == alias)?;
        Some((self.tables.column(table, name)?, alias))
    }

    /// Returns whether a column may be read.
    pub fn has(&self, column: &str) -> bool {
        self.found(column).is_some()
    }

    /// Returns a column as text; NULL if it may not be read.
    pub fn column(&self, column: &str) -> String {
        let backend = self.tables.backend;
        match self.found(column) {
            Some((found, alias)) => {
                let place = format!("{alias}.{}", sql::quote(backend, &found.name));
                match found.kind {
                    ColumnKind::ByLanguage => sql::key(backend, &sql::of_language(&place)),
                    ColumnKind::Text => sql::key(backend, &place),
                    _ => sql::as_text(backend, &place),
                }
            }
            None => sql::as_text(backend, "NULL"),
        }
    }

    /// Returns a list of columns as text.
    pub fn columns(&self, columns: &[&str]) -> String {
        columns.iter().map(|column| self.column(column)).collect::<Vec<_>>().join(", ")
    }

    /// Returns the time of a column.
    pub fn stamp(&self, zone: chrono_tz::Tz, column: &str, text: Option<String>) -> Option<Stamp> {
        let kind = self.found(column).map_or(ColumnKind::Text, |(column, _)| column.kind);
        text.map(|text| clock::stamp(zone, kind, text))
    }
}

/// Returns the zone of the times in an application's record tables. Odoo writes UTC there, whatever the zone of the
/// program that keeps its failed events.
pub(super) fn zone(app: &Application) -> chrono_tz::Tz {
    if app.info.kind == Kind::Odoo { chrono_tz::UTC } else { app.time_zone }
}
