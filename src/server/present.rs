//! The latest error of a failed event's present failure, which `failed_events` does not hold.
//!
//! The ledger knows which row of the retry log is the newest attempt of each failed event, and keeps no text of it. So
//! the texts are read from the source, by the log's primary key: a list, a search or an export needs no scan of the
//! log. Errors since the last poll appear with the next one. During the first read of a table, the newest rows of its
//! log are read instead.

use std::collections::{BTreeMap, HashMap};

use super::{
    sources::{Source, SourceError, TextLimit},
    state::Console,
    store::{StoreError, ledger::Known},
};
use crate::model::{Attempt, FailedEventRow, KnownOf, Latest, RowId, error_text::visible, fingerprint, masking};

/// Maximum characters of each error in a list's row, whose cause is already extracted.
const KEPT: usize = 300;

/// Adds to rows of one application what the ledger knows of them, and their latest errors. If the store or the source
/// does not answer, the rows have only their first errors.
pub async fn complete(console: &Console, source: &Source, rows: &mut [FailedEventRow], texts: TextLimit) {
    if let Err(error) = latest(console, source, rows, texts).await {
        tracing::debug!(application = %source.app().info.name, %error, "the latest errors of a list are not known");
    }
    for row in rows {
        row.cause = Some(row.says());
    }
}

/// The same for rows of several applications.
pub async fn complete_all(console: &Console, rows: &mut Vec<FailedEventRow>, texts: TextLimit) {
    let mut of_apps = BTreeMap::<String, (Vec<usize>, Vec<FailedEventRow>)>::new();
    for (place, row) in std::mem::take(rows).into_iter().enumerate() {
        let of_app = of_apps.entry(row.app.clone()).or_default();
        of_app.0.push(place);
        of_app.1.push(row);
    }
    let completed = of_apps.into_iter().map(|(app, (places, mut rows))| async move {
        if let Ok(source) = console.source(&app) {
            complete(console, source, &mut rows, texts).await;
        }
        places.into_iter().zip(rows).collect::<Vec<_>>()
    });
    let completed = futures::future::join_all(completed).await;
    let placed: BTreeMap<usize, FailedEventRow> = completed.into_iter().flatten().collect();
    rows.extend(placed.into_values());
}

/// Masks rows if the user may not read texts. The cause of a row is then its group's title, if known: masking leaves
/// other words of the row's text than of the group's, and users would take one cause for two.
pub async fn mask(console: &Console, rows: &mut [FailedEventRow]) {
    if console.masked().is_none() {
        return;
    }
    let mut groups: Vec<i64> = rows.iter().filter_map(|row| row.known.map(|known| known.group)).collect();
    groups.sort_unstable();
    groups.dedup();
    let faults = console.parts.store.faults(&groups).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "the words of groups are not known");
        BTreeMap::new()
    });
    for row in rows {
        masking::mask_row(row);
        let fault = row.known.and_then(|known| faults.get(&known.group));
        let title = fault.map(|fault| visible(&masking::fault(&fingerprint::title(&fault.fingerprint))));
        if let Some(title) = title.filter(|title| !title.trim().is_empty()) {
            row.cause = Some(title);
        }
    }
}

/// Prepares rows for a list: masks them if the user may not read texts, and cuts long texts to their beginnings.
pub async fn for_a_list(console: &Console, rows: &mut [FailedEventRow]) {
    mask(console, rows).await;
    for row in rows {
        let latest = row.latest.as_mut().and_then(|latest| latest.error.as_mut());
        for text in [row.error.as_mut(), latest].into_iter().flatten() {
            if let Some((end, _)) = text.char_indices().nth(KEPT) {
                text.truncate(end);
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Unknown {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Source(String),
}

impl From<SourceError> for Unknown {
    fn from(error: SourceError) -> Self {
        Self::Source(error.reason)
    }
}

async fn latest(
    console: &Console,
    source: &Source,
    rows: &mut [FailedEventRow],
    texts: TextLimit,
) -> Result<(), Unknown> {
    let app = &source.app().info.key;
    let ids: Vec<RowId> = rows.iter().map(|row| row.id).collect();
    let known = console.parts.store.known_of_rows(app, &ids).await?;
    // The id can be another event's by now.
    let known: HashMap<RowId, Known> = rows
        .iter()
        .filter_map(|row| Some((row.id, known.get(&row.id).filter(|known| known.event_id == row.event_id)?.clone())))
        .collect();
    for row in rows.iter_mut() {
        let known = known.get(&row.id);
        row.first_sight = known.map(|known| known.first_sight);
        row.known = known.map(|known| KnownOf { group: known.fault, attempts: known.attempts });
    }
    let attempts: HashMap<RowId, Attempt> = if console.parts.watch.followed(app).is_some_and(|(_, whole)| whole) {
        let log_ids: Vec<RowId> = known.values().filter_map(|known| known.log_id).collect();
        let found = source.attempts(&log_ids, texts).await?;
        let by_log: HashMap<RowId, Attempt> = found.into_iter().map(|attempt| (attempt.id, attempt)).collect();
        let of_row = |(row, known): (&RowId, &Known)| Some((*row, by_log.get(&known.log_id?)?.clone()));
        known.iter().filter_map(of_row).collect()
    } else {
        source.newest_attempts(rows, texts).await?
    };
    for row in rows.iter_mut() {
        row.latest = attempts
            .get(&row.id)
            .filter(|attempt| attempt.event_id == row.event_id)
            .map(|attempt| Latest { failed_at: attempt.failed_at.clone(), error: attempt.error.clone() });
    }
    Ok(())
}
