//! Groups of failed events by fault, and the notes on them.

use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::model::Right;
use crate::{
    error::Problem,
    model::{
        ApplicationInfo, EventKey,
        feed_names::NamedFeed,
        group::{Group, WrittenNote},
        ledger::{LedgerEvent, LifeState},
    },
};

/// A list of groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupsPage {
    pub groups: Vec<Group>,
    /// Total number of groups; more than are listed if there are very many.
    pub all: usize,
    /// The list is of groups without failed events.
    pub quiet: bool,
    pub applications: Vec<ApplicationInfo>,
    /// Names of the feeds of all applications.
    #[serde(default)]
    pub names: Vec<NamedFeed>,
    /// The names of the applications whose failed events could not be read.
    #[serde(default)]
    pub unread: Vec<String>,
}

/// Returns the groups that have failed events now, the largest first; with `quiet` those that have none any more.
#[server(prefix = "/api", input = GetUrl, endpoint = "groups")]
pub async fn list_groups(quiet: bool) -> Result<GroupsPage, Problem> {
    /// A longer list would not give an overview.
    const MOST: usize = 100;
    let console = super::console_for(Right::See)?;
    let (mut groups, all) = console.parts.store.groups(quiet, MOST, console.only(), console.ahead()).await?;
    groups.iter_mut().for_each(|group| crate::server::groups::mask(&console, group));
    let names = console.named_feeds().await;
    let (unread, _) = crate::server::causes::unread(&console, &Default::default()).await;
    Ok(GroupsPage { groups, all, quiet, applications: console.applications().cloned().collect(), names, unread })
}

/// The error text of one failed event of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    pub event: EventKey,
    pub text: String,
}

/// What the failed events of a group wait for: patients that their consumer does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitsFor {
    /// Failed events of the group whose patient is known.
    pub events: u64,
    /// The group has more events than were looked up.
    pub more: bool,
    /// Patients for whom they wait.
    pub patients: u64,
    /// Patients whose own event failed, and a retry is not on its way.
    pub to_retry: u64,
    /// Patients whose own event waits for its next try.
    pub waiting: u64,
    /// Patients of whom no event fails.
    pub nothing: u64,
}

/// One group with a page of its failed events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupPage {
    pub group: Group,
    /// The state of the events that are listed.
    pub state: LifeState,
    pub events: Vec<LedgerEvent>,
    /// `before` of the next page.
    pub next: Option<i64>,
    pub applications: Vec<ApplicationInfo>,
    /// Names of the feeds of all applications.
    #[serde(default)]
    pub names: Vec<NamedFeed>,
    /// Why nothing can be retried, by application key; applications that are not listed allow retries.
    pub retry_refused: Vec<(String, String)>,
    /// Error texts of some of the events, if the user may read them.
    pub examples: Vec<Example>,
    /// The earlier versions of its note, newest first.
    pub earlier_notes: Vec<WrittenNote>,
    /// What was just done; returned only once.
    pub done: Option<String>,
    /// What its events wait for, if its error says that a patient is missing.
    #[serde(default)]
    pub waits_for: Option<WaitsFor>,
    /// Number of its exhausted events that no retry helps: without a feed address, or without a time of failure.
    pub beyond_help: u64,
}

/// Returns one group. `state` is the word of the state whose events are listed; by default the most urgent one that has
/// events.
#[server(prefix = "/api", input = GetUrl, endpoint = "group")]
pub async fn view_group(fault: i64, state: Option<String>, before: Option<i64>) -> Result<GroupPage, Problem> {
    use crate::server::groups;
    const PAGE: usize = 50;
    const EARLIER: u32 = 20;
    let console = super::console_for(Right::See)?;
    let store = &console.parts.store;
    let group = groups::find(&console, fault).await?.ok_or_else(|| groups::unknown(fault))?;
    let state = match state {
        Some(word) => LifeState::ALL
            .into_iter()
            .find(|state| state.word() == word)
            .ok_or_else(|| Problem::bad_request(format!("{word:?} is not a state."), "Use the links of the page."))?,
        None if group.exhausted > 0 || group.failed() == 0 && group.resolved == 0 => LifeState::Exhausted,
        None if group.waiting > 0 => LifeState::Waiting,
        None if group.unknown > 0 => LifeState::Unknown,
        None => LifeState::Resolved,
    };
    let which = crate::server::store::GroupEvents { fault, state, before, limit: PAGE as u32 + 1 };
    let mut events = store.group_events(which, console.only()).await?;
    let more = events.len() > PAGE;
    events.truncate(PAGE);
    crate::server::records::call(&console, &super::actor()?, &format!("group {fault}"), &mut events).await?;
    let views = console.views().await;
    let refused =
        views.iter().filter_map(|view| Some((view.info.key.clone(), view.seen.as_ref()?.retry_refused.clone()?)));
    let waits_for = crate::server::records::depends::of_group(&console, fault).await?.map(|(waits, _)| waits);
    Ok(GroupPage {
        waits_for,
        next: events.last().filter(|_| more).map(|event| event.id),
        state,
        names: crate::model::feed_names::named(&views),
        examples: groups::examples(&console, &events).await,
        events,
        retry_refused: refused.collect(),
        earlier_notes: if group.note_version > 1 { store.earlier_notes(fault, EARLIER).await? } else { Vec::new() },
        done: super::done()?,
        beyond_help: store.beyond_help(fault, console.only()).await?,
        applications: console.applications().cloned().collect(),
        group,
    })
}

/// Writes the note on a group: what it is, what to do, who owns it. The note is removed if all three are empty. `seen`
/// is the number of the version that the writer saw, 0 for none: any other version is not overwritten.
#[server(prefix = "/api", endpoint = "write_note")]
pub async fn write_note(
    fault: i64,
    #[server(default)] what: String,
    #[server(default)] todo: String,
    #[server(default)] looks_after: String,
    #[server(default)] seen: i64,
) -> Result<(), Problem> {
    use crate::{
        model::{
            audit::AuditKind,
            group::{Note, NoteSaved},
        },
        server::groups,
    };
    let console = super::console_for(Right::Note)?;
    let actor = super::actor()?;
    let group = groups::find(&console, fault).await?.ok_or_else(|| groups::unknown(fault))?;
    let note = Note::typed(&what, &todo, &looks_after);
    let before = group.note.map(|before| (before.note, before.who));
    if before.as_ref().map_or(&Note::default(), |(before, _)| before) == &note {
        super::go_to(&console.parts.config.base.group(fault));
        return Ok(());
    }
    if group.note_version != seen {
        return Err(groups::note_changed());
    }
    let what = if note.is_empty() { format!("removed from group {fault}") } else { format!("on group {fault}") };
    let what = match before {
        Some((before, who)) => {
            format!("{what}: {} characters in the place of {} that {who} had written", note.length(), before.length())
        }
        None => format!("{what}: {} characters where there was no note", note.length()),
    };
    console.parts.audit.record(actor.entry(AuditKind::NoteChanged).what(what)).await?;
    match console.parts.store.write_note(fault, &note, &actor.who, seen).await? {
        NoteSaved::Yes => {}
        NoteSaved::Conflict => return Err(groups::note_changed()),
        NoteSaved::NoGroup => return Err(groups::unknown(fault)),
    }
    super::say_done(&console, if note.is_empty() { "The note is removed." } else { "The note is saved." }.to_owned())?;
    super::go_to(&console.parts.config.base.group(fault));
    Ok(())
}
