//! All accounts, for administrators.

use std::collections::BTreeSet;

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    api::access::{AccountRow, AccountsPage as Page, OwnToken, list_accounts},
    model::{ApplicationInfo, Role, error_text::visible},
    ui::{
        components::{
            ApplicationChoice, At, Badge, FieldProblem, FormToken, FormTold, Notice, NoticeKind, TokenTable, loaded,
            title_of, use_base,
        },
        pages::account::token_line,
        sentences,
        visitor::FormProblem,
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
                <strong>"One-time password of " {visible(&name)} ": "</strong>
                <code class="whole" id="new-password" data-new-password="">
                    {password}
                </code>
                " "
                <button type="button" data-copy="" data-copy-from="new-password" data-done="Copied" hidden=true>
                    "Copy password"
                </button>
                <p>
                    "Copy it now. It will not be shown again. The password works for one sign-in within 7 days. The user must then choose a new one."
                </p>
            </Notice>
        }
    });
    let done = page.done.map(|sentence| view! { <Notice kind=NoticeKind::Done>{visible(&sentence)}</Notice> });
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
        <Title text=title_of("Accounts") />
        <div class="head">
            <div>
                <h1>"Accounts"</h1>
                <p class="lead">
                    {number} ". Users and permissions. Machines use "
                    <a href=use_base().service_tokens()>"service tokens"</a> "."
                </p>
            </div>
        </div>
        {new}
        {done}
        <FormTold />
        <section class="sheet fits" aria-label="All accounts">
            <table class="cards">
                <caption class="unseen">"Accounts: name, role, applications, last sign-in"</caption>
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

/// The tokens of all users: each gives a script the rights of its owner, also while the owner is not signed in.
#[component]
fn Tokens(tokens: Vec<(String, OwnToken)>) -> impl IntoView {
    let list = if tokens.is_empty() {
        view! { <p class="empty">"No tokens. Users create tokens on their account page."</p> }.into_any()
    } else {
        let lines = tokens.into_iter().map(|(owner, token)| token_line(token, Some(owner))).collect();
        view! { <TokenTable lines revoke="revoke_tokens_of" name="Tokens for scripts, of all users" /> }.into_any()
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
        Some(keys) => match sentences::applications_named(keys, &applications) {
            none if none.is_empty() => "no configured application".to_owned(),
            names => names,
        },
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
                <span class="small muted">"created " <At at=account.created_at /> " by " {made}</span>
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

/// The actions on another user's account.
#[component]
fn Change(account: AccountRow, applications: Vec<ApplicationInfo>, tokens: usize) -> impl IntoView {
    let base = use_base();
    let name = account.name.clone();
    // A refused form is shown open, with the user's input.
    let sent = FormProblem::of("change_account").filter(|sent| sent.value("name") == Some(name.as_str()));
    let open = sent.is_some();
    let ask = |action: &'static str, what: String, means: &'static str, more: Vec<(&'static str, String)>| {
        view! { <Ask action what means name=name.clone() more /> }
    };
    let disable = if account.disabled {
        let more = vec![("disabled", "false".to_owned())];
        ask("disable_account", "Enable".to_owned(), "The user can sign in again, with the same password.", more)
    } else {
        let more = vec![("disabled", "true".to_owned())];
        ask(
            "disable_account",
            "Disable".to_owned(),
            "The user is signed out, and cannot sign in. Tokens stop working.",
            more,
        )
    };
    view! {
        <details open=open>
            <summary>"Change" <span class="unseen">{format!(" {name}")}</span></summary>
            <form method="post" action=base.function("change_account") class="ask">
                <FormToken />
                <input type="hidden" name="name" value=name.clone() />
                <Rights id=name.clone() role=account.role chosen=account.applications applications sent />
                <p class="small muted">"The user will be signed out."</p>
                <div class="bar">
                    <button type="submit" class="primary">
                        "Save"
                        <span class="unseen">{format!(" {name}")}</span>
                    </button>
                </div>
            </form>
            <div class="asks">
                {ask(
                    "new_password",
                    "New one-time password".to_owned(),
                    "The user is signed out. The current password and all tokens stop working.",
                    Vec::new(),
                )}
                {(tokens > 0)
                    .then(|| {
                        let what = format!("Revoke {}", words::count(tokens as u64, "token"));
                        ask("revoke_tokens_of", what, "Scripts that use them stop working.", Vec::new())
                    })}
                {account
                    .second_factor
                    .then(|| {
                        ask(
                            "reset_second_factor",
                            "Reset second factor".to_owned(),
                            "The user is signed out, and signs in without a code until a new second factor is set up.",
                            Vec::new(),
                        )
                    })}
                {disable}
            </div>
        </details>
    }
    .into_any()
}

/// An action with a confirmation: the first button opens the question, the second confirms.
#[component]
fn Ask(
    /// The server function.
    action: &'static str,
    what: String,
    /// Its effect, as a sentence.
    means: &'static str,
    name: String,
    more: Vec<(&'static str, String)>,
) -> impl IntoView {
    let more = more.into_iter().map(|(key, value)| view! { <input type="hidden" name=key value=value /> });
    view! {
        <details class="confirm">
            <summary class="button">{what.clone()} "…" <span class="unseen">{format!(" {name}")}</span></summary>
            <form method="post" action=use_base().function(action)>
                <FormToken />
                <input type="hidden" name="name" value=name.clone() />
                {more.collect_view()}
                <p class="small">{means}</p>
                <button type="submit" class="primary">
                    {what}
                    <span class="unseen">{format!(" of {name}")}</span>
                </button>
            </form>
        </details>
    }
    .into_any()
}

/// Role and applications, as fields of a form. `sent`: the form as sent and refused.
#[component]
fn Rights(
    /// Distinguishes the fields of this form from those of other forms on the page.
    id: String,
    role: Role,
    chosen: Option<BTreeSet<String>>,
    applications: Vec<ApplicationInfo>,
    sent: Option<FormProblem>,
) -> impl IntoView {
    let typed = sent.as_ref().and_then(|sent| sent.value("role")?.parse().ok());
    let role = typed.unwrap_or(role);
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
        <ApplicationChoice legend="Applications" id chosen applications sent />
    }
    .into_any()
}

#[component]
fn NewAccount(applications: Vec<ApplicationInfo>) -> impl IntoView {
    let base = use_base();
    let sent = FormProblem::of("add_account");
    let problem = sent.as_ref().and_then(|sent| sent.at("name")).cloned();
    let wrong = problem.is_some();
    let name = sent.as_ref().and_then(|sent| sent.value("name")).unwrap_or_default().to_owned();
    view! {
        <section class="sheet plan" aria-labelledby="new">
            <header>
                <h2 id="new">"New account"</h2>
            </header>
            <form method="post" action=base.function("add_account") class="ask pad">
                <FormToken />
                <label>
                    <span>"User name"</span>
                    <input
                        name="name"
                        maxlength="64"
                        autocomplete="off"
                        autocapitalize="none"
                        spellcheck="false"
                        required
                        value=name
                        autofocus=wrong
                        aria-invalid=wrong.then_some("true")
                        aria-describedby=wrong.then_some("name-problem")
                    />
                </label>
                {problem.map(|problem| view! { <FieldProblem id="name-problem".to_owned() problem /> })}
                <Rights id="new".to_owned() role=Role::Viewer chosen=None applications sent />
                <p class="small muted">"The next page shows a one-time password for the user."</p>
                <div class="bar">
                    <button type="submit" class="primary">
                        "Add account"
                    </button>
                </div>
            </form>
        </section>
    }
    .into_any()
}
