//! The search over everything that a user may see: what fails now, and the history, in one answer.
//!
//! The index in the store answers completely, and no source reads through a table. Events of the last moments that are
//! not in it are compared here. While the index of an application is being built, the bounded search of its list
//! answers for it. Only that search finds payloads and stacks, which are not indexed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    lists::{self, is_called},
    operations::Actor,
    present, records,
    sources::{SourceError, TextLimit},
    state::Console,
    store::{StoreError, Wanted, ledger::Scope},
};
use crate::{
    api::{
        failed_events::MissingPart,
        records::EVENTS_OF_RECORDS,
        search::{FoundGroup, FoundRow, SearchPage},
    },
    error::Problem,
    model::{
        ApplicationInfo, EventKey, FailedEventRow, RowId,
        filter::Filter,
        ledger::LedgerEvent,
        payload,
        search::{Link, Linked, Search, SearchKind, SearchQuery, Term},
        search_index,
    },
};

/// Failed events on a page that fail now.
const NOW: u32 = 50;

/// Failed events on a page that were removed from their table.
const PAST: u32 = 20;

/// Groups on a page.
const GROUPS: usize = 5;

/// Maximum failed events that are compared here, because the index does not know them yet. With more, the index of the
/// application is being built.
const COMPARED: u32 = 500;

/// If no application has more failed events, and the index finds nothing, payloads are read, too.
const FEW: u64 = 2_000;

/// How often the index is read while too few of its hits match the typed text.
const AGAIN: usize = 4;

/// Returns what is found for the typed text.
///
/// # Errors
/// Fails if the store cannot be read.
pub async fn page(console: &Console, actor: &Actor, mut query: SearchQuery) -> Result<SearchPage, Problem> {
    if let Some(kept) = &query.kept {
        query.typed = console.parts.kept_searches.text(&actor.who, kept).ok_or_else(|| {
            Problem::not_found("This search is not kept any more.", "Type it again: its text stands in no address.")
        })?;
    }
    let (search, leads) = understood(console, &query.typed);
    let mut page = SearchPage {
        leads,
        named: None,
        now: Vec::new(),
        more_now: None,
        past: Vec::new(),
        more_past: None,
        groups: Vec::new(),
        records: Vec::new(),
        of_records: Vec::new(),
        records_lacking: Vec::new(),
        persons: console.persons(),
        scans: Vec::new(),
        further: None,
        missing: Vec::new(),
        building: Vec::new(),
        too_short: false,
        masked: console.masked().map(|lacking| lacking.to_string()),
        applications: console.applications().cloned().collect(),
        names: console.named_feeds().await,
        search,
        query,
    };
    let first = page.query.now.is_none() && page.query.past.is_none();
    if first {
        named(console, &mut page).await?;
        records(console, actor, &mut page).await?;
    }
    if page.search.terms.is_empty() {
        return Ok(page);
    }
    let needs = search_index::needs(&page.search).unwrap_or_default();
    let (ready, unready) = indexed(console, &mut page, needs.is_empty()).await?;
    let everything: Vec<String> = console.applications().map(|info| info.key.clone()).collect();
    let wanted = Wanted {
        needs: &needs,
        said: console.masked().is_none(),
        apps: &ready,
        open: true,
        before: page.query.now,
        limit: NOW,
    };
    if page.query.past.is_none() {
        if first {
            not_yet_indexed(console, &mut page, &ready).await?;
        }
        now(console, &mut page, wanted.clone()).await?;
    }
    if page.query.now.is_none() {
        let before = page.query.past;
        past(console, &mut page, Wanted { apps: &everything, open: false, before, limit: PAST, ..wanted }).await?;
    }
    if first {
        groups(console, &mut page).await?;
        let found =
            !page.now.is_empty() || !page.past.is_empty() || !page.groups.is_empty() || !page.records.is_empty();
        let all_few = console
            .views()
            .await
            .iter()
            .all(|view| view.seen.as_ref().is_none_or(|seen| seen.failed.is_none_or(|failed| failed <= FEW)));
        // Payloads of few rows cost nothing to read. For many, the user is asked.
        let read = if found || !all_few { unready } else { everything };
        scan(console, &mut page, read).await;
    }
    Ok(page)
}

/// Returns the parsed search, and the target if the text is a link of this console.
fn understood(console: &Console, typed: &str) -> (Search, Option<(String, String)>) {
    let search = Search::of(typed);
    let base = &console.parts.config.base;
    match &search.kind {
        SearchKind::Link(Link { base: of, to }) if of == base.as_str() => {
            let leads = match to {
                Linked::Event => return (search, None),
                Linked::Life(id) => (base.life(*id), format!("event {id} of the history")),
                Linked::Group(id) => (base.group(*id), format!("group {id}")),
                Linked::Operation(id) => (base.operation(*id), format!("operation {id}")),
            };
            (search, Some(leads))
        }
        _ => (Search::in_list(typed), None),
    }
}

/// Adds the row that the search names: where it is, or what became of it.
async fn named(console: &Console, page: &mut SearchPage) -> Result<(), Problem> {
    let Some(row) = &page.search.row else { return Ok(()) };
    let Some(info) = console.applications().find(|info| is_called(info, &row.app)) else { return Ok(()) };
    let key = EventKey { app: info.key.clone(), id: row.id };
    let lives = console.parts.store.ledger_events_of_row(&key.app, key.id).await?;
    let found = match console.source(&key.app) {
        Ok(source) => source.rows(&[key.id], TextLimit::LIST).await,
        // An application with an incomplete configuration has no rows, but has a history.
        Err(_) => Ok(Vec::new()),
    };
    match found {
        Ok(rows) => {
            let record = |_: &FailedEventRow| lives.iter().find_map(|life| life.record.clone());
            shown(console, page, rows, record).await;
        }
        Err(error) => miss(page, info, error),
    }
    page.past.extend(lives.into_iter().filter(|life| !life.state.is_open()));
    page.named = Some((info.name.clone(), key));
    Ok(())
}

/// Reports, once, that an application's part is missing.
fn miss(page: &mut SearchPage, app: &ApplicationInfo, SourceError { reason, advice, .. }: SourceError) {
    if !page.missing.iter().any(|part| part.app.key == app.key) {
        page.missing.push(MissingPart { app: app.clone(), reason, advice });
    }
}

/// Returns the applications that the index answers for, and those whose tables must be read. `none`: the index cannot
/// answer this search.
async fn indexed(
    console: &Console,
    page: &mut SearchPage,
    none: bool,
) -> Result<(Vec<String>, Vec<String>), StoreError> {
    let (mut ready, mut unready) = (Vec::new(), Vec::new());
    for source in console.sources() {
        let info = &source.app().info;
        let (pending, all) = console.parts.store.search_pending(&info.key).await?;
        let whole = console.parts.watch.followed(&info.key).is_some_and(|(_, whole)| whole);
        if whole && pending <= u64::from(COMPARED) {
            if none { &mut unready } else { &mut ready }.push(info.key.clone());
            continue;
        }
        unready.push(info.key.clone());
        if all > 0 {
            page.building.push((info.name.clone(), all.saturating_sub(pending), all));
        }
    }
    Ok((ready, unready))
}

/// Adds failed events that appeared, or failed again, in the last moments: the index does not know them yet.
async fn not_yet_indexed(console: &Console, page: &mut SearchPage, apps: &[String]) -> Result<(), Problem> {
    for app in apps {
        let pending = console.parts.store.to_index(app, COMPARED).await?;
        let open: BTreeMap<RowId, Option<String>> =
            pending.into_iter().filter(|event| event.open).map(|event| (event.row_id, event.record)).collect();
        if open.is_empty() {
            continue;
        }
        let (Ok(source), Ok(info)) = (console.source(app), console.info(app)) else { continue };
        let ids: Vec<RowId> = open.keys().copied().collect();
        match source.rows(&ids, TextLimit::LIST).await {
            Ok(rows) => shown(console, page, rows, |row| open.get(&row.id).cloned().flatten()).await,
            Err(error) => miss(page, info, error),
        }
    }
    Ok(())
}

/// Adds what the index finds of the events that fail now.
async fn now(console: &Console, page: &mut SearchPage, mut wanted: Wanted<'_>) -> Result<(), Problem> {
    let limit = NOW as usize;
    let mut last = None;
    for _ in 0..AGAIN {
        let hits = console.parts.store.search(&wanted).await?;
        page.too_short |= hits.too_short;
        last = hits.next;
        of_ledger(console, page, &hits.events).await;
        if page.now.len() >= limit || hits.events.len() < limit {
            break;
        }
        wanted.before = last;
    }
    page.more_now = last.map(|before| SearchQuery { now: Some(before), past: None, ..page.query.clone() });
    Ok(())
}

/// Reads rows that the index found, and adds those that match the typed text to the page.
async fn of_ledger(console: &Console, page: &mut SearchPage, events: &[LedgerEvent]) {
    let mut of_apps = BTreeMap::<&str, HashMap<RowId, &LedgerEvent>>::new();
    for event in events {
        of_apps.entry(&event.app).or_default().insert(event.row_id, event);
    }
    let place: HashMap<(&str, RowId), usize> =
        events.iter().enumerate().map(|(place, event)| ((event.app.as_str(), event.row_id), place)).collect();
    let from = page.now.len();
    for (app, events) in &of_apps {
        let (Ok(source), Ok(info)) = (console.source(app), console.info(app)) else { continue };
        let ids: Vec<RowId> = events.keys().copied().collect();
        match source.rows(&ids, TextLimit::LIST).await {
            Ok(rows) => {
                // The id can be another event's by now.
                let same =
                    |row: &FailedEventRow| events.get(&row.id).is_some_and(|event| event.event_id == row.event_id);
                let rows = rows.into_iter().filter(same).collect();
                shown(console, page, rows, |row| events.get(&row.id).and_then(|event| event.record.clone())).await;
            }
            Err(error) => miss(page, info, error),
        }
    }
    if let Some(new) = page.now.get_mut(from..) {
        new.sort_by_key(|found| place.get(&(found.row.app.as_str(), found.row.id)).copied());
    }
}

/// Adds the rows that match the typed text to the page, as the user may see them. A row that the search names always
/// matches.
async fn shown(
    console: &Console,
    page: &mut SearchPage,
    mut rows: Vec<FailedEventRow>,
    record: impl Fn(&FailedEventRow) -> Option<String>,
) {
    let known: BTreeSet<(&str, RowId)> = page.now.iter().map(|found| (found.row.app.as_str(), found.row.id)).collect();
    rows.retain(|row| !known.contains(&(row.app.as_str(), row.id)));
    present::complete_all(console, &mut rows, TextLimit::LIST).await;
    let is_named = |row: &FailedEventRow| {
        page.search.row.as_ref().is_some_and(|named| {
            named.id == row.id && console.info(&row.app).is_ok_and(|info| is_called(info, &named.app))
        })
    };
    let masked = console.masked().is_some();
    let found: Vec<(FailedEventRow, Option<String>, Option<String>)> = rows
        .into_iter()
        .filter_map(|row| {
            let record = record(&row);
            let names = [row.event_id.as_deref(), row.title.as_deref(), record.as_deref()];
            let error = if masked { None } else { row.latest_error() };
            let texts: Vec<&str> = names.into_iter().flatten().chain(error).collect();
            if !is_named(&row) && !page.search.is_in(&texts) {
                return None;
            }
            let around = error.and_then(|error| page.search.quote(&[&row.says()], error));
            Some((row, record, around))
        })
        .collect();
    let (mut rows, rest): (Vec<_>, Vec<_>) =
        found.into_iter().map(|(row, record, around)| (row, (record, around))).unzip();
    present::for_a_list(console, &mut rows).await;
    for (mut row, (record, around)) in rows.into_iter().zip(rest) {
        row.payload = row.payload.as_deref().and_then(payload::reference);
        page.now.push(FoundRow { row, record, around });
    }
}

/// Adds what is found of the events that were removed from their table.
async fn past(console: &Console, page: &mut SearchPage, wanted: Wanted<'_>) -> Result<(), Problem> {
    let hits = console.parts.store.search(&wanted).await?;
    page.too_short |= hits.too_short;
    page.more_past = hits.next.map(|before| SearchQuery { past: Some(before), now: None, ..page.query.clone() });
    let mut found = hits.events;
    if let (SearchKind::Uuid | SearchKind::EventId, [Term::Word(id)], None) =
        (&page.search.kind, page.search.terms.as_slice(), wanted.before)
    {
        // The ledger finds these without the index, also while that is being built.
        let scope = Scope { apps: wanted.apps.to_vec(), feed: None };
        let known = console.parts.store.history_find(&scope, id, PAST).await?;
        found.extend(known.into_iter().filter(|event| !event.state.is_open()));
    }
    let there: BTreeSet<i64> = page.past.iter().map(|event| event.id).collect();
    found.retain(|event| !there.contains(&event.id) && is_what_was_typed(&page.search, event));
    found.sort_by_key(|event| std::cmp::Reverse(event.id));
    found.dedup_by_key(|event| event.id);
    page.past.append(&mut found);
    Ok(())
}

/// Returns whether an event that was removed from its table can match the typed text. Its error is not available any
/// more; of an id that was shortened, the index knows the beginning.
fn is_what_was_typed(search: &Search, event: &LedgerEvent) -> bool {
    let texts: Vec<&str> =
        [&event.event_id, &event.record, &event.title].into_iter().filter_map(|text| text.as_deref()).collect();
    search.terms.iter().all(|term| match term {
        Term::Shortened(..) => texts.iter().any(|text| term.is_in(text)),
        Term::Word(_) | Term::Phrase(_) => true,
    })
}

/// Adds the records that people mean by the typed text, with all failed events of them.
async fn records(console: &Console, actor: &Actor, page: &mut SearchPage) -> Result<(), Problem> {
    let found = records::find(console, actor, &page.search, &page.query.typed).await?;
    let uuids: Vec<String> = found.uuids.into_iter().collect();
    let apps: Vec<String> = console.applications().map(|info| info.key.clone()).collect();
    page.of_records = console.parts.store.events_of_records(&apps, &uuids, EVENTS_OF_RECORDS).await?;
    page.records = found.records;
    page.records_lacking = found.lacking;
    Ok(())
}

/// Adds groups whose error contains everything that was typed.
async fn groups(console: &Console, page: &mut SearchPage) -> Result<(), Problem> {
    // Texts that the user may not read are not searched.
    if console.masked().is_some() || page.search.kind != SearchKind::Words {
        return Ok(());
    }
    let groups = console.parts.store.groups_by_size(console.only()).await?;
    let found = groups.into_iter().filter(|(_, text, _)| page.search.is_in(&[text]));
    let shown =
        found.map(|(fault, text, failed)| FoundGroup { fault, title: crate::model::fingerprint::title(&text), failed });
    page.groups = shown.take(GROUPS).collect();
    Ok(())
}

/// Searches the newest rows of tables for the typed text: see [`lists::scan`].
async fn scan(console: &Console, page: &mut SearchPage, apps: Vec<String>) {
    if apps.is_empty() {
        return;
    }
    let filter = Filter { apps, text: Some(page.query.typed.clone()), ..Filter::default() };
    let scanned = lists::scan(console, filter).await;
    let known: BTreeSet<(String, RowId)> = page.now.iter().map(|found| (found.row.app.clone(), found.row.id)).collect();
    for row in scanned.rows {
        if !known.contains(&(row.app.clone(), row.id)) {
            let record = row.payload.as_deref().and_then(payload::record_uuid);
            page.now.push(FoundRow { row, record, around: None });
        }
    }
    for part in scanned.missing {
        if !page.missing.iter().any(|known| known.app.key == part.app.key) {
            page.missing.push(part);
        }
    }
    page.scans = scanned.scans;
    page.further = scanned.next.map(|next| console.parts.config.base.failed_events(&next));
}
