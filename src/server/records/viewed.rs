//! Views of persons: each person's view of a patient on a page is in the audit log once an hour, by the patient's uuid.

use std::{collections::BTreeSet, time::Instant};

use crate::{
    error::Problem,
    model::audit::AuditKind,
    server::{operations::Actor, state::Console},
};

/// Records that a page showed these patients, by uuid. `page` names the page, without anything a person typed.
///
/// # Errors
/// Fails if the audit log cannot be written: then nothing may be shown.
pub async fn record(
    console: &Console,
    actor: &Actor,
    page: &str,
    patients: impl IntoIterator<Item = String>,
) -> Result<(), Problem> {
    /// Most uuids of one entry.
    const OF_ENTRY: usize = 20;
    let patients: BTreeSet<String> = patients.into_iter().collect();
    let new = console.parts.viewed.new_ones(&actor.who, page, patients, Instant::now());
    for (number, some) in new.chunks(OF_ENTRY).enumerate() {
        let what = format!("{page}: patients {}", some.join(", "));
        if let Err(error) = console.parts.audit.record(actor.entry(AuditKind::PersonsViewed).what(what)).await {
            console.parts.viewed.forget(&actor.who, page, new.get(number * OF_ENTRY..).unwrap_or_default());
            return Err(error);
        }
    }
    Ok(())
}
