//! The audit log as a CSV file. It reads the store in steps, and records the download in the audit log.

use axum::{
    body::{Body, Bytes},
    extract::RawQuery,
    http::header,
    response::{IntoResponse, Response},
};
use chrono::SecondsFormat;
use futures::{StreamExt, stream};

use super::{
    export::{csv_head, csv_line},
    http::Seen,
    operations::Actor,
};
use crate::{
    clock,
    error::Problem,
    model::audit::{AuditEntry, AuditFilter, AuditKind},
};

/// Entries read in one step.
const STEP: u32 = 500;

const COLUMNS: [&str; 12] = [
    "number",
    "at_utc",
    "who",
    "signed_in_by",
    "address",
    "kind",
    "application",
    "what",
    "reason",
    "outcome",
    "action",
    "hash",
];

/// `/audit.csv`: the entries that match, newest first. The download is recorded as an entry itself.
pub async fn csv(Seen(console): Seen, actor: Actor, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let (mut filter, before) = AuditFilter::parse(query.as_deref().unwrap_or_default())?;
    filter.only = console.only().cloned();
    let asked = AuditFilter { text: None, ..filter.clone() }.to_query();
    let mut what = if asked.is_empty() { "CSV, no filter".to_owned() } else { format!("CSV, filter {asked}") };
    if let Some(text) = &filter.text {
        what = format!("{what}, {}", console.parts.audit.of_search(text).await?);
    }
    console.parts.audit.record(actor.entry(AuditKind::AuditExported).what(what)).await?;
    let pages = stream::try_unfold(Some(before), move |place| {
        let (store, filter) = (console.parts.store.clone(), filter.clone());
        async move {
            let Some(before) = place else { return Ok::<_, Problem>(None) };
            let entries = store.audit_entries(&filter, before, STEP).await?;
            let full = entries.len() >= STEP as usize;
            let next = entries.last().filter(|_| full).map(|entry| Some(entry.sequence));
            Ok(Some((entries.iter().flat_map(|entry| csv_line(&COLUMNS, &cells(entry))).collect::<Vec<u8>>(), next)))
        }
    });
    let header = csv_head(&COLUMNS);
    let body = stream::iter([Ok(header)]).chain(pages).map(|chunk| chunk.map(Bytes::from));
    let name = format!("attachment; filename=\"audit-{}.csv\"", clock::now().format("%Y-%m-%d"));
    let headers = [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn cells(entry: &AuditEntry) -> [String; 12] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        entry.sequence.to_string(),
        entry.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        entry.who.clone(),
        entry.signed_in_by.clone(),
        entry.address.clone(),
        entry.kind.clone(),
        text(&entry.app),
        entry.what.clone(),
        text(&entry.reason),
        entry.outcome.clone(),
        entry.action.map(|action| action.to_string()).unwrap_or_default(),
        entry.hash.clone(),
    ]
}
