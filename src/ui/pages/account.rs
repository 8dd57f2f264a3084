//! The user's own account: password, sessions, tokens.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    api::access::{OwnAccount, OwnSession, OwnToken, view_own_account},
    model::{Clock, Reader, Role, Theme, Zone, access::KnownBy, error_text::visible},
    ui::{
        components::{
            At, CodeField, Field, FieldProblem, FormToken, FormTold, Notice, NoticeKind, TokenLine, TokenTable, loaded,
            title_of, typed_into, use_base, use_reader,
        },
        visitor::FormProblem,
        words,
    },
};

#[component]
pub fn AccountPage() -> impl IntoView {
    let changed = use_query_map().read_untracked().get("changed").is_some();
    loaded(view_own_account(), move |account| view! { <Account account changed /> })
}

#[component]
fn Account(account: OwnAccount, changed: bool) -> impl IntoView {
    let person = account.person.clone();
    let applications = match &account.applications {
        None => "all applications".to_owned(),
        Some(names) if names.is_empty() => "no application".to_owned(),
        Some(names) => words::listed(names.iter().cloned()),
    };
    let from = match person.known_by {
        KnownBy::Account => "An account of this console.",
        KnownBy::Openmrs => "Your account is in OpenMRS. Change your password there.",
        KnownBy::Proxy => "You are signed in by the proxy in front of this console.",
        KnownBy::Open => "This console is open: there is no sign-in, and everyone can do everything.",
        KnownBy::Service => "A machine with a service token.",
    };
    let must_change = account.must_change;
    let done = account.done.clone();
    view! {
        <Title text=title_of("Your account") />
        <div class="head">
            <div>
                <h1>{visible(&person.name)}</h1>
                <p class="lead">{from}</p>
            </div>
        </div>
        {must_change
            .then(|| {
                view! {
                    <Notice kind=NoticeKind::Warning>
                        <strong>"Choose a new password. "</strong>
                        "Your password is valid for one sign-in only. Change it to continue."
                    </Notice>
                }
            })}
        {changed
            .then(|| {
                view! {
                    <Notice kind=NoticeKind::Done>
                        "The password is changed. Your other sessions have ended."
                    </Notice>
                }
            })}
        {done.map(|sentence| view! { <Notice kind=NoticeKind::Done>{visible(&sentence)}</Notice> })}
        <FormTold />
        // A one-time password is valid for this session only: no other action is offered before a new one is chosen.
        {(account.kept_here && must_change)
            .then(|| view! { <Password shortest=account.shortest name=person.name.clone() /> })}
        <section class="sheet" aria-labelledby="rights">
            <header>
                <h2 id="rights">"Your rights"</h2>
            </header>
            <dl class="facts pad">
                <dt>"Role"</dt>
                <dd>{person.role.word()} " – " {person.role.meaning()}</dd>
                <dt>"Applications"</dt>
                <dd>{applications}</dd>
            </dl>
        </section>
        {(!must_change).then(|| view! { <Preferred /> })}
        {(account.kept_here && !must_change).then(|| view! { <Password shortest=account.shortest name=person.name.clone() /> })}
        {(account.kept_here && !must_change).then(|| view! { <SecondFactor account=account.clone() /> })}
        {(!account.sessions.is_empty() && !must_change).then(|| view! { <Sessions sessions=account.sessions.clone() /> })}
        {(account.kept_here && !must_change).then(|| view! { <Tokens account=account.clone() /> })}
    }
    .into_any()
}

/// The user's preferences for the pages.
#[component]
fn Preferred() -> impl IntoView {
    let base = use_base();
    let Reader { preferences, .. } = use_reader();
    let sent = FormProblem::of("save_preferences");
    let value =
        |field: &str, kept: &str| sent.as_ref().map_or(kept, |sent| sent.value(field).unwrap_or_default()).to_owned();
    let zone = value("zone", preferences.zone.as_deref().unwrap_or_default());
    let clock = value("clock", preferences.clock.word());
    let theme = value("theme", preferences.theme.word());
    let keys = !value("keys", if preferences.letter_keys { "on" } else { "" }).is_empty();
    let problem = sent.as_ref().and_then(|sent| sent.at("zone")).cloned();
    let wrong = problem.is_some();
    let option = |word: &'static str, label: &'static str, chosen: &str| {
        let selected = word == chosen;
        view! {
            <option value=word selected=selected>
                {label}
            </option>
        }
    };
    view! {
        <section class="sheet" aria-labelledby="preferences">
            <header>
                <h2 id="preferences">"Preferences"</h2>
            </header>
            <form method="post" action=base.function("save_preferences") class="ask pad">
                <FormToken />
                <label>
                    <span>"Time zone (empty: as the browser)"</span>
                    <input
                        name="zone"
                        list="zones"
                        maxlength="64"
                        autocomplete="off"
                        spellcheck="false"
                        value=zone
                        autofocus=wrong
                        aria-invalid=wrong.then_some("true")
                        aria-describedby=wrong.then_some("zone-problem")
                    />
                    <datalist id="zones">{Zone::names().map(|name| view! { <option value=name></option> }).collect_view()}</datalist>
                </label>
                {problem.map(|problem| view! { <FieldProblem id="zone-problem".to_owned() problem /> })}
                <label>
                    <span>"Times"</span>
                    <select name="clock">{Clock::ALL.map(|one| option(one.word(), one.label(), &clock)).collect_view()}</select>
                </label>
                <label>
                    <span>"Theme"</span>
                    <select name="theme">{Theme::ALL.map(|one| option(one.word(), one.label(), &theme)).collect_view()}</select>
                </label>
                <label class="tick">
                    <input type="checkbox" name="keys" value="on" checked=keys />
                    <span>"Single-letter keys (j, k, x, r, / and ?)"</span>
                </label>
                <div class="bar">
                    <button type="submit" class="primary">
                        "Save preferences"
                    </button>
                </div>
            </form>
        </section>
    }
    .into_any()
}

#[component]
fn Password(shortest: usize, name: String) -> impl IntoView {
    let base = use_base();
    // The revocation of tokens was chosen: the box stays ticked.
    let end_tokens = typed_into("change_password", "end_tokens").is_some_and(|value| !value.is_empty());
    let rule = format!(
        "At least {shortest} characters, of any kind. Use four or five unrelated words: easy to remember and hard to \
         guess. Your other sessions end."
    );
    view! {
        <section class="sheet" aria-labelledby="password">
            <header>
                <h2 id="password">"Password"</h2>
            </header>
            <div class="pad">
                <p class="muted">{rule}</p>
                <form method="post" action=base.function("change_password") class="ask">
                    <FormToken />
                    // For a password manager: names the account.
                    <input type="text" name="username" value=name autocomplete="username" hidden=true readonly />
                    <PasswordField
                        function="change_password"
                        name="current"
                        label="Current password"
                        autocomplete="current-password"
                    />
                    <PasswordField
                        function="change_password"
                        name="new"
                        label="New password"
                        autocomplete="new-password"
                        shortest
                    />
                    <PasswordField
                        function="change_password"
                        name="again"
                        label="New password again"
                        autocomplete="new-password"
                        shortest
                    />
                    <label class="tick">
                        <input type="checkbox" name="end_tokens" value="1" checked=end_tokens />
                        <span>"Revoke my tokens, too"</span>
                    </label>
                    <div class="bar">
                        <button type="submit" class="primary">
                            "Change password"
                        </button>
                    </div>
                </form>
            </div>
        </section>
    }
    .into_any()
}

/// The user's second factor, and the actions on it. Each requires the password again.
#[component]
fn SecondFactor(account: OwnAccount) -> impl IntoView {
    let demanded = account.second_factor_demanded;
    let inside = match account.second_factor {
        None => view! {
            <div class="pad">
                <p class="muted">
                    "None. With a second factor, signing in also needs a code from an app on your phone. A stolen password alone is then not enough."
                </p>
                <details open=sent("begin_second_factor")>
                    <summary>"Set up a second factor"</summary>
                    <Owner function="begin_second_factor" code=false button="Set up" />
                </details>
            </div>
        }
        .into_any(),
        Some((set_at, left)) => {
            let few = (left <= 3).then_some(" Create new codes.");
            view! {
                <div class="pad">
                    <p>"Set up " <At at=set_at /> ". " {words::count(left.unsigned_abs(), "recovery code")} " left." {few}</p>
                    <details open=sent("new_recovery_codes")>
                        <summary>"New recovery codes"</summary>
                        <p class="small muted">"The old codes will not work any more."</p>
                        <Owner function="new_recovery_codes" code=true button="Create new codes" />
                    </details>
                    <details open=sent("begin_second_factor")>
                        <summary>"Another phone"</summary>
                        <p class="small muted">"The current app works until the new one is set up."</p>
                        <Owner function="begin_second_factor" code=true button="Set up another app" />
                    </details>
                    {if demanded {
                        view! { <p class="small muted">"Your role must have a second factor: it cannot be turned off."</p> }.into_any()
                    } else {
                        view! {
                            <details open=sent("end_second_factor")>
                                <summary>"Turn off"</summary>
                                <Owner function="end_second_factor" code=true button="Turn the second factor off" />
                            </details>
                        }
                            .into_any()
                    }}
                </div>
            }
            .into_any()
        }
    };
    view! {
        <section class="sheet" aria-labelledby="second-factor">
            <header>
                <h2 id="second-factor">"Second factor"</h2>
            </header>
            {inside}
        </section>
    }
    .into_any()
}

/// Returns whether the form of this server function was refused.
fn sent(function: &str) -> bool {
    FormProblem::of(function).is_some()
}

/// The user's password, for a form that requires it again.
#[component]
pub fn PasswordAgain(function: &'static str) -> impl IntoView {
    view! { <PasswordField function name="password" label="Your password" autocomplete="current-password" /> }
}

/// A field for a password, with the problem of the refused one.
#[component]
fn PasswordField(
    /// The server function to which the form is sent.
    function: &'static str,
    name: &'static str,
    label: &'static str,
    autocomplete: &'static str,
    /// Minimum number of characters.
    #[prop(optional)]
    shortest: Option<usize>,
) -> impl IntoView {
    let field = Field::of(function, name);
    view! {
        <label>
            <span>{label}</span>
            <input
                name=name
                type="password"
                autocomplete=autocomplete
                minlength=shortest.map(|characters| characters.to_string())
                required
                autofocus=field.is_wrong()
                aria-invalid=field.invalid()
                aria-describedby=field.described_by()
            />
        </label>
        {field.told()}
    }
    .into_any()
}

/// A form that requires the password, and a code if there is a second factor.
#[component]
fn Owner(function: &'static str, code: bool, button: &'static str) -> impl IntoView {
    view! {
        <form method="post" action=use_base().function(function) class="ask">
            <FormToken />
            <PasswordAgain function />
            {code.then(|| view! { <CodeField label="Code of your app, or a recovery code" function /> })}
            <div class="bar">
                <button type="submit" class="primary">
                    {button}
                </button>
            </div>
        </form>
    }
    .into_any()
}

#[component]
fn Sessions(sessions: Vec<OwnSession>) -> impl IntoView {
    let base = use_base();
    let rows = sessions.into_iter().map(|session| {
        let end = base.function("end_session");
        let browser = if session.browser.is_empty() { "unknown".to_owned() } else { visible(&session.browser) };
        let number = session.number;
        view! {
            <tr>
                <th scope="row">
                    {session.address} {session.this.then(|| view! { <strong>" · this one"</strong> })}
                    <span class="small muted">{browser}</span>
                </th>
                <td data-label="Last used">
                    <At at=session.last_used_at />
                </td>
                <td data-label="Signed in">
                    <At at=session.created_at />
                </td>
                <td class="num">
                    {(!session.this)
                        .then(|| {
                            view! {
                                <form method="post" action=end>
                                    <FormToken />
                                    <input type="hidden" name="number" value=number.to_string() />
                                    <button type="submit" class="quiet">
                                        "End"
                                        <span class="unseen">{format!(" session {number}")}</span>
                                    </button>
                                </form>
                            }
                        })}
                </td>
            </tr>
        }
    });
    view! {
        <section class="sheet" aria-labelledby="sessions">
            <header>
                <h2 id="sessions">"Sessions"</h2>
                <form method="post" action=base.function("sign_out_everywhere") class="push">
                    <FormToken />
                    <button type="submit">"Sign out everywhere"</button>
                </form>
            </header>
            <table class="cards">
                <caption class="unseen">"Your sessions: from where, last used, signed in"</caption>
                <thead>
                    <tr>
                        <th scope="col">"From"</th>
                        <th scope="col">"Last used"</th>
                        <th scope="col">"Signed in"</th>
                        <th scope="col">
                            <span class="unseen">"End"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </section>
    }
    .into_any()
}

#[component]
fn Tokens(account: OwnAccount) -> impl IntoView {
    let new = account.new_token.map(|token| {
        view! {
            <Notice kind=NoticeKind::Done>
                <strong>"Your new token. "</strong>
                "Copy it now. It will not be shown again."
                <p>
                    <code class="whole" id="new-token" data-new-token="">
                        {token}
                    </code>
                    " "
                    <button type="button" data-copy="" data-copy-from="new-token" data-done="Copied" hidden=true>
                        "Copy token"
                    </button>
                </p>
            </Notice>
        }
    });
    let list = if account.tokens.is_empty() {
        view! { <p class="empty">"No tokens. A script that reads or retries needs a token."</p> }.into_any()
    } else {
        let lines = account.tokens.into_iter().map(|token| token_line(token, None)).collect();
        view! { <TokenTable lines revoke="revoke_token" name="Your tokens" /> }.into_any()
    };
    view! {
        <section class="sheet" aria-labelledby="tokens">
            <header>
                <h2 id="tokens">"Tokens for scripts"</h2>
            </header>
            {new.map(|new| view! { <div class="pad">{new}</div> })}
            {list}
            <NewToken role=account.person.role />
        </section>
    }
    .into_any()
}

/// Returns a personal token as a line of a table; `owner` is given if the table has tokens of several users.
pub fn token_line(token: OwnToken, owner: Option<String>) -> TokenLine {
    let mut fields = vec![("id", token.id.to_string())];
    fields.extend(owner.clone().map(|owner| ("name", owner)));
    TokenLine {
        name: token.label,
        owner,
        may: if token.reading_only { format!("{}, reading only", token.role) } else { token.role.to_string() },
        created_at: token.created_at,
        created_by: None,
        expires_at: token.expires_at,
        expired: token.expired,
        last_used_at: token.last_used_at,
        last_address: token.last_address,
        revoked_at: None,
        fields,
    }
}

#[component]
fn NewToken(role: Role) -> impl IntoView {
    const FUNCTION: &str = "make_token";
    let base = use_base();
    let (label, of_role, days) =
        (Field::of(FUNCTION, "label"), Field::of(FUNCTION, "role"), Field::of(FUNCTION, "days"));
    let typed = |name| typed_into(FUNCTION, name);
    let reading = typed("reading").is_none_or(|value| !value.is_empty());
    let chosen = typed("role");
    let roles = Role::ALL.into_iter().filter(|one| *one <= role).map(|role| {
        let selected = chosen.as_deref() == Some(role.word());
        view! { <option value=role.word() selected=selected>{role.word()}</option> }
    });
    view! {
        <details class="pad ruled" open=sent(FUNCTION)>
            <summary>"Create a token"</summary>
            <form method="post" action=base.function(FUNCTION) class="ask">
                <FormToken />
                <label>
                    <span>"What will use it"</span>
                    <input
                        name="label"
                        maxlength="100"
                        autocomplete="off"
                        required
                        value=typed("label").unwrap_or_default()
                        autofocus=label.is_wrong()
                        aria-invalid=label.invalid()
                        aria-describedby=label.described_by()
                    />
                </label>
                {label.told()}
                <label>
                    <span>"Role"</span>
                    <select name="role" aria-invalid=of_role.invalid() aria-describedby=of_role.described_by()>
                        {roles.collect_view()}
                    </select>
                </label>
                {of_role.told()}
                <label class="tick">
                    <input type="checkbox" name="reading" value="1" checked=reading />
                    <span>"For reading only"</span>
                </label>
                <label>
                    <span>"Days until it expires (empty: no end)"</span>
                    <input
                        name="days"
                        type="number"
                        min="1"
                        max="3650"
                        value=typed("days").unwrap_or_else(|| "365".to_owned())
                        autofocus=days.is_wrong()
                        aria-invalid=days.invalid()
                        aria-describedby=days.described_by()
                    />
                </label>
                {days.told()}
                <PasswordAgain function=FUNCTION />
                <p class="small muted">"Your password is needed again, because the token works after you sign out."</p>
                <div class="bar">
                    <button type="submit" class="primary">
                        "Create token"
                    </button>
                </div>
            </form>
        </details>
    }
    .into_any()
}
