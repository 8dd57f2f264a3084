//! Rows of `failed_events` and of the retry log: which columns are selected, and how they are read back. Sends no
//! statements itself.

use std::collections::BTreeMap;

use crate::{
    model::{Attempt, EventState, FailedEventRow, RowId, Stamp},
    server::config::Application,
};

use super::{
    TextLimit, clock,
    connection::Record,
    schema::{ColumnKind, Found},
};

/// Returns the columns of a [`FailedEventRow`], in the order in which [`read_failed_event`] reads them.
pub(super) fn failed_event_columns(table: &Found<'_>, texts: TextLimit) -> String {
    [
        table.text("id"),
        table.text("feed_uri"),
        table.text("failed_at"),
        table.cut("error_message", texts.of_errors().0),
        table.text("event_id"),
        table.cut("event_content", texts.0),
        table.text("title"),
        table.text("retries"),
        table.text("tags"),
    ]
    .join(", ")
}

/// Reads the next columns of a record as a failed event.
pub(super) fn read_failed_event(
    app: &Application,
    table: &Found<'_>,
    texts: TextLimit,
    record: &mut Record,
) -> FailedEventRow {
    let id = RowId(record.number().unwrap_or_default());
    let feed_uri = record.key();
    let failed_at = stamp(app, table, "failed_at", record.text());
    let error = record.text().map(|text| shorten(text, texts.of_errors()));
    let event_id = record.key();
    let payload = record.text().map(|text| shorten(text, texts));
    let title = record.key();
    let retries = record.number();
    let tags = record.key();
    let state = EventState::of(retries, &app.info.limits);
    let moves = table.column("failed_at").is_some_and(|column| column.moves);
    FailedEventRow {
        app: app.info.key.clone(),
        id,
        feed_uri,
        failed_at,
        error,
        event_id,
        payload,
        title,
        retries,
        tags,
        state,
        moves,
        first_sight: None,
        latest: None,
        cause: None,
        known: None,
        quote: None,
        called: None,
        of_record: None,
    }
}

/// Number of characters that are read of an attempt's texts.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttemptTexts {
    pub error: u32,
    /// `None`: the payload is not read.
    pub payload: Option<u32>,
}

/// Number of [`attempt_columns`].
pub(super) const ATTEMPT_COLUMNS: usize = 6;

/// Returns the columns of an [`Attempt`], in the order in which [`read_attempt`] reads them.
pub(super) fn attempt_columns(table: &Found<'_>, texts: AttemptTexts) -> [String; ATTEMPT_COLUMNS] {
    [
        table.text("id"),
        table.text("feed_uri"),
        table.text("failed_at"),
        // One extra character shows whether the text is longer.
        table.cut("error_message", texts.error + 1),
        table.text("event_id"),
        texts.payload.map_or_else(|| "NULL".to_owned(), |chars| table.cut("event_content", chars)),
    ]
}

/// Reads a record as an attempt.
pub(super) fn read_attempt(app: &Application, table: &Found<'_>, texts: AttemptTexts, record: &mut Record) -> Attempt {
    let id = RowId(record.number().unwrap_or_default());
    let feed_uri = record.key();
    let failed_at = stamp(app, table, "failed_at", record.text());
    let error = record.text();
    let read = error.as_ref().map_or(0, String::len);
    let error = error.map(|text| shorten(text, TextLimit(texts.error)));
    Attempt {
        id,
        feed_uri,
        failed_at,
        error_cut: error.as_ref().map_or(0, String::len) < read,
        error,
        event_id: record.key(),
        payload: record.text().map(|text| shorten(text, TextLimit(texts.payload.unwrap_or_default()))),
    }
}

/// Returns the text of a value that may be a text by language (`{"en_US": "product"}`) in a text column: the English
/// one, or else the first. Everything else is returned unchanged.
pub(super) fn plain(text: String) -> String {
    if !text.starts_with('{') {
        return text;
    }
    let Ok(mut languages) = serde_json::from_str::<BTreeMap<String, Option<String>>>(&text) else { return text };
    languages.retain(|_, value| value.is_some());
    let english = languages.remove("en_US").flatten();
    english.or_else(|| languages.into_values().flatten().next()).unwrap_or(text)
}

/// Returns a time of a column of this table.
pub(super) fn stamp(app: &Application, table: &Found<'_>, column: &str, text: Option<String>) -> Option<Stamp> {
    let kind = table.column(column).map_or(ColumnKind::Text, |column| column.kind);
    text.map(|text| clock::stamp(app.time_zone, kind, text))
}

/// Cuts a text: SQLite returns more than was asked for, see [`super::sql::cut`].
fn shorten(mut text: String, texts: TextLimit) -> String {
    if text.len() > texts.0 as usize
        && let Some((end, _)) = text.char_indices().nth(texts.0 as usize)
    {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn of_a_text_by_language_one_is_shown_and_any_other_text_as_it_is() {
        for (text, shown) in [
            (r#"{"en_US": "product"}"#, "product"),
            (r#"{"de_DE": "Ware", "en_US": "product"}"#, "product"),
            (r#"{"fr_FR": "produit", "de_DE": "Ware"}"#, "Ware"),
            (r#"{"en_US": null, "de_DE": "Ware"}"#, "Ware"),
            (r#"{"en_US": null}"#, r#"{"en_US": null}"#),
            ("{}", "{}"),
            (r#"{"en_US": 5}"#, r#"{"en_US": 5}"#),
            ("{not json", "{not json"),
            ("product", "product"),
            ("", ""),
        ] {
            assert_eq!(plain(text.to_owned()), shown, "{text}");
        }
    }
}
