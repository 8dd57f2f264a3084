//! The page of one's own account: password, sessions, tokens.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    api::access::{OwnAccount, OwnSession, OwnToken, view_own_account},
    model::{Role, access::KnownBy, error_text::visible},
    ui::{
        components::{At, CodeField, FormToken, FormTold, Notice, NoticeKind, TokenLine, TokenTable, loaded, use_base},
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
        Some(names) => names.join(", "),
    };
    let from = match person.known_by {
        KnownBy::Account => "An account of this console.",
        KnownBy::Openmrs => "OpenMRS knows you. Your password and your roles are changed there.",
        KnownBy::Proxy => "The proxy in front of this console says who you are.",
        KnownBy::Open => "This console is open: nobody signs in, and everybody may do everything.",
        KnownBy::Service => "A machine with a service token.",
    };
    let must_change = account.must_change;
    view! {
        <Title text="Your account" />
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
                        <strong>"Choose a password of your own. "</strong>
                        "The one you signed in with is for one sign-in only; everything else waits until it is changed."
                    </Notice>
                }
            })}
        {changed
            .then(|| {
                view! {
                    <Notice kind=NoticeKind::Done>
                        "The password was changed. Your other sessions have ended."
                    </Notice>
                }
            })}
        <FormTold />
        <section class="sheet" aria-labelledby="rights">
            <header>
                <h2 id="rights">"What you may do"</h2>
            </header>
            <dl class="facts pad">
                <dt>"Role"</dt>
                <dd>{person.role.word()} " – " {person.role.meaning()}</dd>
                <dt>"Applications"</dt>
                <dd>{applications}</dd>
            </dl>
        </section>
        {account.kept_here.then(|| view! { <Password shortest=account.shortest name=person.name.clone() /> })}
        {(account.kept_here && !must_change).then(|| view! { <SecondFactor account=account.clone() /> })}
        {(!account.sessions.is_empty()).then(|| view! { <Sessions sessions=account.sessions.clone() /> })}
        {(account.kept_here && !must_change).then(|| view! { <Tokens account=account.clone() /> })}
    }
    .into_any()
}

#[component]
fn Password(shortest: usize, name: String) -> impl IntoView {
    let base = use_base();
    let rule = format!(
        "At least {shortest} characters, of any kind. Four or five words that have nothing to do with each other are easy to \
         remember and hard to guess. Your other sessions end."
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
                    // So that a password manager knows whose it is.
                    <input type="text" name="username" value=name autocomplete="username" hidden=true readonly />
                    <label>
                        <span>"Current password"</span>
                        <input name="current" type="password" autocomplete="current-password" required />
                    </label>
                    <label>
                        <span>"New password"</span>
                        <input name="new" type="password" autocomplete="new-password" minlength=shortest.to_string() required />
                    </label>
                    <label>
                        <span>"New password again"</span>
                        <input name="again" type="password" autocomplete="new-password" minlength=shortest.to_string() required />
                    </label>
                    <label class="tick">
                        <input type="checkbox" name="end_tokens" value="1" />
                        <span>"Revoke my tokens, too"</span>
                    </label>
                    <div class="bar">
                        <button type="submit" class="primary">
                            "Change the password"
                        </button>
                    </div>
                </form>
            </div>
        </section>
    }
    .into_any()
}

/// What there is of a second factor, and what can be done about it. Each takes the password again.
#[component]
fn SecondFactor(account: OwnAccount) -> impl IntoView {
    let base = use_base();
    let demanded = account.second_factor_demanded;
    let begin = base.function("begin_second_factor");
    let inside = match account.second_factor {
        None => view! {
            <div class="pad">
                <p class="muted">
                    "None. With one, signing in also takes a code from an app on your phone: whoever learns your password is not let in with it."
                </p>
                <details>
                    <summary>"Set up a second factor"</summary>
                    <Owner action=begin code=false button="Set up" />
                </details>
            </div>
        }
        .into_any(),
        Some((set_at, left)) => {
            let few = (left <= 3).then_some(" Make new ones.");
            let (codes, end) = (base.function("new_recovery_codes"), base.function("end_second_factor"));
            view! {
                <div class="pad">
                    <p>"Set up " <At at=set_at /> ". " {words::count(left.unsigned_abs(), "recovery code")} " left." {few}</p>
                    <details>
                        <summary>"New recovery codes"</summary>
                        <p class="small muted">"The old ones open nothing any more."</p>
                        <Owner action=codes code=true button="Make new codes" />
                    </details>
                    <details>
                        <summary>"Another phone"</summary>
                        <p class="small muted">"The present app is taken until the new one is set up."</p>
                        <Owner action=begin code=true button="Set up another app" />
                    </details>
                    {if demanded {
                        view! { <p class="small muted">"Your role must have a second factor: it cannot be turned off."</p> }.into_any()
                    } else {
                        view! {
                            <details>
                                <summary>"Turn it off"</summary>
                                <Owner action=end code=true button="Turn the second factor off" />
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

/// Asks for the password, and for a code where there is a second factor.
#[component]
fn Owner(action: String, code: bool, button: &'static str) -> impl IntoView {
    view! {
        <form method="post" action=action class="ask">
            <FormToken />
            <label>
                <span>"Your password"</span>
                <input name="password" type="password" autocomplete="current-password" required />
            </label>
            {code.then(|| view! { <CodeField label="Code of your app, or a recovery code" /> })}
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
                "Copy it now: it is shown only this once."
                <p>
                    <code class="whole" data-new-token="">
                        {token}
                    </code>
                </p>
            </Notice>
        }
    });
    let list = if account.tokens.is_empty() {
        view! { <p class="empty">"No tokens. A script that reads or retries for you needs one."</p> }.into_any()
    } else {
        let lines = account.tokens.into_iter().map(|token| token_line(token, None)).collect();
        view! { <TokenTable lines revoke="revoke_token" /> }.into_any()
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

/// A personal token as a line of a table; `owner`: where several people's are shown.
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
    let base = use_base();
    let roles = Role::ALL.into_iter().filter(|one| *one <= role);
    view! {
        <details class="pad ruled">
            <summary>"Make a token"</summary>
            <form method="post" action=base.function("make_token") class="ask">
                <FormToken />
                <label>
                    <span>"What will use it"</span>
                    <input name="label" maxlength="100" autocomplete="off" required />
                </label>
                <label>
                    <span>"Role"</span>
                    <select name="role">
                        {roles.map(|role| view! { <option value=role.word()>{role.word()}</option> }).collect_view()}
                    </select>
                </label>
                <label class="tick">
                    <input type="checkbox" name="reading" value="1" checked />
                    <span>"For reading only"</span>
                </label>
                <label>
                    <span>"Days until it expires (empty: no end)"</span>
                    <input name="days" type="number" min="1" max="3650" value="365" />
                </label>
                <label>
                    <span>"Your password"</span>
                    <input name="password" type="password" autocomplete="current-password" required />
                </label>
                <p class="small muted">"It is asked for again, because a token goes on after you have signed out."</p>
                <div class="bar">
                    <button type="submit" class="primary">
                        "Make the token"
                    </button>
                </div>
            </form>
        </details>
    }
    .into_any()
}
