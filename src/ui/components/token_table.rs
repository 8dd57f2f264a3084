//! Tokens as a table, each with a button to revoke it.

use chrono::{DateTime, Utc};
use leptos::prelude::*;

use crate::{
    model::error_text::visible,
    ui::components::{At, FormToken, use_base},
};

/// A token as shown.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLine {
    pub name: String,
    /// Its owner, if the table has tokens of several users.
    pub owner: Option<String>,
    pub may: String,
    pub created_at: DateTime<Utc>,
    /// Who created it, if not its owner.
    pub created_by: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
    /// It has expired.
    pub expired: bool,
    pub last_used_at: Option<DateTime<Utc>>,
    pub last_address: Option<String>,
    /// It is revoked and only shown.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Names and values of the fields in the form that revokes it.
    pub fields: Vec<(&'static str, String)>,
}

/// A table of tokens. `revoke` is the server function of the buttons, `name` the table's caption.
#[component]
pub fn TokenTable(lines: Vec<TokenLine>, revoke: &'static str, name: &'static str) -> impl IntoView {
    let action = use_base().function(revoke);
    let owners = lines.iter().any(|line| line.owner.is_some());
    let rows = lines.into_iter().map(|line| view! { <Line line action=action.clone() owners /> }).collect_view();
    view! {
        <table class="cards">
            <caption class="unseen">{name}</caption>
            <thead>
                <tr>
                    <th scope="col">"Token"</th>
                    {owners.then(|| view! { <th scope="col">"Of"</th> })}
                    <th scope="col">"May do"</th>
                    <th scope="col">"Last used"</th>
                    <th scope="col">"Until"</th>
                    <th scope="col">
                        <span class="unseen">"Revoke"</span>
                    </th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

#[component]
fn Line(line: TokenLine, action: String, owners: bool) -> impl IntoView {
    let used = match line.last_used_at {
        Some(at) => {
            let from = line.last_address.map(|address| format!(" from {address}"));
            view! {
                <At at=at />
                {from}
            }
            .into_any()
        }
        None => "never".into_any(),
    };
    let revoked = line.revoked_at.is_some();
    let until = match line.expires_at {
        _ if revoked => view! { <strong>"revoked"</strong> }.into_any(),
        None => "no end".into_any(),
        Some(_) if line.expired => view! { <strong>"expired"</strong> }.into_any(),
        Some(at) => view! { <At at exact=true /> }.into_any(),
    };
    let spoken = match &line.owner {
        Some(owner) => format!(" {} of {owner}", visible(&line.name)),
        None => format!(" {}", visible(&line.name)),
    };
    let by = line.created_by.map(|name| format!(" by {}", visible(&name)));
    let fields = line.fields.into_iter().map(|(name, value)| view! { <input type="hidden" name=name value=value /> });
    view! {
        <tr>
            <th scope="row">
                {visible(&line.name)} <span class="small muted">"created " <At at=line.created_at /> {by}</span>
            </th>
            {owners.then(|| view! { <td data-label="Of">{line.owner}</td> })}
            <td data-label="May do">{line.may}</td>
            <td data-label="Last used">{used}</td>
            <td data-label="Until">{until}</td>
            <td class="num">
                {(!revoked)
                    .then(|| {
                        view! {
                            <details class="confirm">
                                <summary class="button">"Revoke…" <span class="unseen">{spoken.clone()}</span></summary>
                                <form method="post" action=action>
                                    <FormToken />
                                    {fields.collect_view()}
                                    <p class="small">"Scripts that use it stop working."</p>
                                    <button type="submit" class="primary">
                                        "Revoke token"
                                        <span class="unseen">{spoken}</span>
                                    </button>
                                </form>
                            </details>
                        }
                    })}
            </td>
        </tr>
    }
    .into_any()
}
