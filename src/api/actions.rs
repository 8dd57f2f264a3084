//! The record of actions.

use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::model::Right;
use crate::{
    error::Problem,
    model::{
        ApplicationInfo,
        action::{Action, ActionRow},
    },
};

/// A page of the record, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionsPage {
    pub actions: Vec<Action>,
    /// `before` of the next page.
    pub next: Option<i64>,
}

/// The record of actions, newest first; `before` is the id to start below.
#[server(prefix = "/api", input = GetUrl, endpoint = "actions")]
pub async fn list_actions(before: Option<i64>) -> Result<ActionsPage, Problem> {
    const PAGE: usize = 50;
    let console = super::console_for(Right::See)?;
    let mut actions = console.parts.store.actions_within(before, PAGE as u32 + 1, console.only()).await?;
    let more = actions.len() > PAGE;
    actions.truncate(PAGE);
    Ok(ActionsPage { next: actions.last().filter(|_| more).map(|action| action.id), actions })
}

/// One action with its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionPage {
    pub action: Action,
    /// The rows, in the order they were taken; a page of them.
    pub rows: Vec<ActionRow>,
    /// `from` of the next page of rows.
    pub next: Option<i64>,
    pub applications: Vec<ApplicationInfo>,
}

/// One action on record; `from` pages through its rows.
#[server(prefix = "/api", input = GetUrl, endpoint = "action")]
pub async fn view_action(id: i64, from: Option<i64>) -> Result<ActionPage, Problem> {
    const PAGE: usize = 200;
    let console = super::console_for(Right::See)?;
    let store = &console.parts.store;
    let seen = store.action_is_within(id, console.only()).await?;
    let action = if seen { store.action(id).await? } else { None };
    let action = action.ok_or_else(|| {
        Problem::not_found(format!("There is no action {id} on record."), "The record lists all there are.")
    })?;
    let mut rows = store.action_rows(id, from.unwrap_or(0), PAGE as u32 + 1).await?;
    let next = rows.get(PAGE).map(|(position, _)| *position);
    rows.truncate(PAGE);
    Ok(ActionPage {
        action,
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        next,
        applications: console.applications().cloned().collect(),
    })
}
