//! Server function of the audit log.

use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::model::Right;
use crate::{
    error::Problem,
    model::{
        ApplicationInfo,
        audit::{AuditEntry, AuditFilter},
    },
};

/// A page of the audit log, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The query as understood.
    pub filter: AuditFilter,
    pub entries: Vec<AuditEntry>,
    /// `before` of the next page.
    pub next: Option<i64>,
    /// The page does not begin with the newest entry.
    pub later: bool,
    /// Names that occur in the log, for the filter form.
    pub names: Vec<String>,
    pub applications: Vec<ApplicationInfo>,
    /// The command that verifies the log, with the options that locate it.
    pub verify: String,
}

/// Returns a page of the audit log. `query` is the page's query string.
#[server(prefix = "/api", input = GetUrl, endpoint = "audit")]
pub async fn list_audit(query: String) -> Result<AuditPage, Problem> {
    const PAGE: usize = 100;
    const NAMES: u32 = 500;
    let console = super::console_for(Right::Audit)?;
    let (mut filter, before) = AuditFilter::parse(&query)?;
    filter.only = console.only().cloned();
    let store = &console.parts.store;
    let mut entries = store.audit_entries(&filter, before, PAGE as u32 + 1).await?;
    let more = entries.len() > PAGE;
    entries.truncate(PAGE);
    Ok(AuditPage {
        next: entries.last().filter(|_| more).map(|entry| entry.sequence),
        later: before.is_some(),
        names: if console.only().is_some() { Vec::new() } else { store.audit_names(NAMES).await? },
        applications: console.applications().cloned().collect(),
        verify: console.parts.config.command.line("audit verify"),
        filter,
        entries,
    })
}
