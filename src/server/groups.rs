//! Groups as the user may see them: only of the user's applications, and masked if error texts are. All code that shows
//! a group, or its title, must get it from here.

use super::{present, sources::TextLimit, state::Console, store::StoreError};
use crate::{
    api::groups::Example,
    error::Problem,
    model::{EventKey, RowId, group::Group, ledger::LedgerEvent, masking, page_texts::Room},
};

/// Returns a group. `None` if there is no group with this number, or the user may not see it.
///
/// # Errors
/// Fails if the store cannot be read.
pub async fn find(console: &Console, fault: i64) -> Result<Option<Group>, StoreError> {
    let mut group = console.parts.store.group(fault, console.only(), console.ahead()).await?;
    group.iter_mut().for_each(|group| mask(console, group));
    Ok(group)
}

/// Returns the title of a group.
///
/// # Errors
/// Fails if there is no group with this number, the user may not see it, or the store cannot be read.
pub async fn title(console: &Console, fault: i64) -> Result<String, Problem> {
    let title = console.parts.store.group_title(fault, console.only()).await?.ok_or_else(|| unknown(fault))?;
    Ok(if console.masked().is_some() { masking::fault(&title) } else { title })
}

/// Returns distinct error texts of these events, unmasked, the newest event first. Empty if texts are masked or the
/// source does not answer: the page still has the group's title.
pub async fn examples(console: &Console, events: &[LedgerEvent]) -> Vec<Example> {
    /// Events whose text is read, and texts that are shown.
    const READ: usize = 5;
    const SHOWN: usize = 2;
    /// Bytes of HTML of all texts together. The part that names a group is at the end of a text.
    const ROOM: usize = 200_000;
    let mut room = Room::new(ROOM);
    let open = || events.iter().filter(|event| event.state.is_open());
    let Some(app) = open().map(|event| event.app.clone()).next().filter(|_| console.masked().is_none()) else {
        return Vec::new();
    };
    let ids: Vec<RowId> = open().filter(|event| event.app == app).map(|event| event.row_id).take(READ).collect();
    let Ok(source) = console.source(&app) else { return Vec::new() };
    let Ok(mut rows) = source.rows(&ids, TextLimit::LIST).await else { return Vec::new() };
    present::complete(console, source, &mut rows, TextLimit::LIST).await;
    let mut found: Vec<Example> = Vec::new();
    for id in ids {
        let Some(row) = rows.iter().find(|row| row.id == id) else { continue };
        let mut text = row.latest_error().unwrap_or_default().trim().to_owned();
        if !text.is_empty() && found.len() < SHOWN && found.iter().all(|example| example.text != text) {
            room.take(&mut text, 1);
            found.push(Example { event: EventKey { app: app.clone(), id }, text });
        }
    }
    found
}

/// Masks a group if texts are masked: its title and fingerprint are made of an error text.
pub fn mask(console: &Console, group: &mut Group) {
    if console.masked().is_some() {
        group.title = masking::fault(&group.title);
        group.fingerprint = masking::fault(&group.fingerprint);
    }
}

/// Another version of a note was saved since the user read it.
pub fn note_changed() -> Problem {
    Problem::conflict(
        "Another version of this note was saved while you were writing.",
        "Nothing is lost. Compare both versions, then save the right one.",
    )
    .at("seen")
}

/// There is no group with this number.
pub fn unknown(fault: i64) -> Problem {
    Problem::not_found(
        format!("There is no group {fault}."),
        "See the list of groups. Groups of applications that you may not see are not in it.",
    )
}
