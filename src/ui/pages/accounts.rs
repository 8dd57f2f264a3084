//! All accounts, for administrators.

use std::collections::BTreeSet;

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    api::access::{AccountRow, AccountsPage as Page, OwnToken, list_accounts},
    model::{ApplicationInfo, Role},
    ui::{
        components::{At, Badge, FormToken, FormTold, Notice, NoticeKind, TokenTable, loaded, use_base},
        pages::account::token_line,
        words,
    },
};

#[component]
pub fn AccountsPage() -> impl IntoView {
    loaded(list_accounts(), |page| view! { <Accounts page /> })
}

#[component]
fn Accounts(page: Page) -> impl IntoView {
    let number = words::count(page.accounts.len() as u64, "account");
    let new = page.new_password.map(|(name, password)| {
        view! {
            <Notice kind=NoticeKind::Done>
                <strong>"The one-time password of " {name} ": "</strong>
                <code class="whole" data-new-password="">
                    {password}
                </code>
                <p>
                    "Hand it over now: it is shown only this once. It can be used for 7 days, for one sign-in, at which it has to be changed."
                </p>
            </Notice>
        }
    });
    let applications = page.applications.clone();
    let rows = page
        .accounts
        .into_iter()
        .map(|account| {
            let tokens = page.tokens.iter().filter(|(owner, _)| *owner == account.name).count();
            view! { <Row account applications=applications.clone() tokens /> }
        })
        .collect_view();
    view! {
        <Title text="Accounts" />
        <div class="head">
            <div>
                <h1>"Accounts"</h1>
                <p class="lead">
                    {number} ". Who may come in, and what they may do here. Machines have "
                    <a href=use_base().service_tokens()>"service tokens"</a> "."
                </p>
            </div>
        </div>
        {new}
        <FormTold />
        <section class="sheet" aria-label="All accounts">
            <table class="cards">
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Role"</th>
                        <th scope="col">"Applications"</th>
                        <th scope="col">"Last sign-in"</th>
                        <th scope="col">
                            <span class="unseen">"Change"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </section>
        <NewAccount applications=page.applications />
        <Tokens tokens=page.tokens />
    }
    .into_any()
}

/// Everybody's tokens: each lets a script in as its owner, also while nobody is signed in.
#[component]
fn Tokens(tokens: Vec<(String, OwnToken)>) -> impl IntoView {
    let list = if tokens.is_empty() {
        view! { <p class="empty">"No tokens. People make them on the page of their own account."</p> }.into_any()
    } else {
        let lines = tokens.into_iter().map(|(owner, token)| token_line(token, Some(owner))).collect();
        view! { <TokenTable lines revoke="revoke_tokens_of" /> }.into_any()
    };
    view! {
        <section class="sheet" aria-labelledby="tokens">
            <header>
                <h2 id="tokens">"Tokens for scripts"</h2>
            </header>
            {list}
        </section>
    }
    .into_any()
}

#[component]
fn Row(account: AccountRow, applications: Vec<ApplicationInfo>, tokens: usize) -> impl IntoView {
    let sees = match &account.applications {
        None => "all".to_owned(),
        Some(keys) => {
            let names = applications.iter().filter(|app| keys.contains(&app.key)).map(|app| app.name.as_str());
            let names: Vec<_> = names.collect();
            if names.is_empty() { "none that is configured".to_owned() } else { names.join(", ") }
        }
    };
    let last = match account.last_sign_in_at {
        Some(at) => view! { <At at=at /> }.into_any(),
        None => "never".into_any(),
    };
    let state = if account.disabled {
        view! { <Badge word="unknown" icon="unknown" text="Disabled" /> }.into_any()
    } else if account.must_change {
        view! { <Badge word="waiting" icon="waiting" text="One-time password" /> }.into_any()
    } else {
        ().into_any()
    };
    let factor = account.second_factor.then(|| view! { <Badge word="running" icon="running" text="Second factor" /> });
    let made = account.created_by.clone();
    let own = account.own;
    view! {
        <tr>
            <th scope="row">
                {account.name.clone()} {own.then_some(" (you)")} " " {state} " " {factor}
                <span class="small muted">"made " <At at=account.created_at /> " by " {made}</span>
            </th>
            <td data-label="Role">{account.role.word()}</td>
            <td data-label="Applications">{sees}</td>
            <td data-label="Last sign-in">{last}</td>
            <td>
                {if own {
                    view! { <a href=use_base().account()>"Your account"</a> }.into_any()
                } else {
                    view! { <Change account applications tokens /> }.into_any()
                }}
            </td>
        </tr>
    }
    .into_any()
}

/// What can be done with an account that is not one's own.
#[component]
fn Change(account: AccountRow, applications: Vec<ApplicationInfo>, tokens: usize) -> impl IntoView {
    let base = use_base();
    let (disable, word) = if account.disabled { ("false", "Enable") } else { ("true", "Disable") };
    let spoken = format!(" {}", account.name);
    let name = account.name.clone();
    view! {
        <details>
            <summary>"Change" <span class="unseen">{spoken}</span></summary>
            <form method="post" action=base.function("change_account") class="ask">
                <FormToken />
                <input type="hidden" name="name" value=name.clone() />
                <Rights role=account.role chosen=account.applications applications />
                <p class="small muted">"Their sessions end: they sign in again."</p>
                <div class="bar">
                    <button type="submit" class="primary">
                        "Save"
                    </button>
                </div>
            </form>
            <p class="small muted">"A new one-time password ends their sessions and their tokens."</p>
            <div class="bar ask">
                <form method="post" action=base.function("new_password")>
                    <FormToken />
                    <input type="hidden" name="name" value=name.clone() />
                    <button type="submit">"New one-time password"</button>
                </form>
                {(tokens > 0)
                    .then(|| {
                        let text = format!("Revoke {}", words::count(tokens as u64, "token"));
                        view! {
                            <form method="post" action=base.function("revoke_tokens_of")>
                                <FormToken />
                                <input type="hidden" name="name" value=name.clone() />
                                <button type="submit">{text}</button>
                            </form>
                        }
                    })}
                {account
                    .second_factor
                    .then(|| {
                        view! {
                            <form method="post" action=base.function("reset_second_factor")>
                                <FormToken />
                                <input type="hidden" name="name" value=name.clone() />
                                <button type="submit">"Reset second factor"</button>
                            </form>
                        }
                    })}
                <form method="post" action=base.function("disable_account")>
                    <FormToken />
                    <input type="hidden" name="name" value=name />
                    <input type="hidden" name="disabled" value=disable />
                    <button type="submit">{word}</button>
                </form>
            </div>
        </details>
    }
    .into_any()
}

/// Role and applications, as fields of a form.
#[component]
fn Rights(role: Role, chosen: Option<BTreeSet<String>>, applications: Vec<ApplicationInfo>) -> impl IntoView {
    let all = chosen.is_none();
    let chosen = chosen.unwrap_or_default();
    let boxes = applications.into_iter().map(|app| {
        let checked = chosen.contains(&app.key);
        view! {
            <label class="tick">
                <input type="checkbox" name="applications[]" value=app.key checked=checked />
                <span>{app.name}</span>
            </label>
        }
    });
    view! {
        <label>
            <span>"Role"</span>
            <select name="role">
                {Role::ALL
                    .into_iter()
                    .map(|one| {
                        let text = format!("{one} – {}", one.meaning());
                        view! {
                            <option value=one.word() selected=one == role>
                                {text}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
        </label>
        <fieldset class="rights">
            <legend>"Applications"</legend>
            <label class="tick">
                <input type="checkbox" name="all" value="1" checked=all />
                <span>"All, also those that come later"</span>
            </label>
            {boxes.collect_view()}
        </fieldset>
    }
    .into_any()
}

#[component]
fn NewAccount(applications: Vec<ApplicationInfo>) -> impl IntoView {
    let base = use_base();
    view! {
        <section class="sheet plan" aria-labelledby="new">
            <header>
                <h2 id="new">"New account"</h2>
            </header>
            <form method="post" action=base.function("add_account") class="ask pad">
                <FormToken />
                <label>
                    <span>"Name"</span>
                    <input name="name" maxlength="64" autocomplete="off" autocapitalize="none" spellcheck="false" required />
                </label>
                <Rights role=Role::Viewer chosen=None applications />
                <p class="small muted">"It gets a one-time password, which is shown on the next page."</p>
                <div class="bar">
                    <button type="submit" class="primary">
                        "Add the account"
                    </button>
                </div>
            </form>
        </section>
    }
    .into_any()
}
