//! The sign-in page.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_url;

use crate::model::filter::pairs;
use crate::ui::{
    components::{FieldProblem, FormToken, FormTold, Icon, Notice, NoticeKind, use_base},
    visitor::{FormProblem, SignsIn, Visitor, use_visitor},
};

/// Name and password, and why they were refused; in the demo, its accounts.
#[component]
pub fn SignInPage() -> impl IntoView {
    let visitor = use_visitor();
    let base = use_base();
    // Read from the URL, because the router's query map would also decode the address inside the parameter.
    let query = use_url().read_untracked().search().to_owned();
    let to = pairs(&query).find(|(key, _)| key == "to").map(|(_, to)| to).unwrap_or_default();
    let on = base.inside(&to).unwrap_or_else(|| base.overview());
    let title = if use_context::<FormProblem>().is_some() { "Sign-in failed" } else { "Sign in" };
    let lead = match visitor.signs_in {
        SignsIn::WithAccount => "",
        SignsIn::WithOpenmrs => "Use your OpenMRS user name and password.",
        SignsIn::Nowhere => "",
    };
    view! {
        <Title text=title />
        <section class="sheet sign-in" aria-labelledby="sign-in">
            <header>
                <h1 id="sign-in">"Sign in"</h1>
            </header>
            <div class="pad">
                {match (&visitor.person, visitor.signs_in) {
                    (Some(person), _) => {
                        let who = format!("You are {}, {}.", person.name, person.role);
                        view! {
                            <p>{who}</p>
                            <p>
                                <a class="button primary" href=on>
                                    "Continue"
                                </a>
                            </p>
                        }
                            .into_any()
                    }
                    (None, SignsIn::Nowhere) => {
                        "This console has no sign-in page: the proxy in front of it identifies users.".into_any()
                    }
                    (None, _) => view! {
                        {(!lead.is_empty()).then(|| view! { <p class="muted">{lead}</p> })}
                        <Lost visitor=visitor.clone() />
                        <FormTold />
                        <Form to />
                    }
                        .into_any(),
                }}
            </div>
            <DemoAccounts visitor />
        </section>
    }
    .into_any()
}

/// Explains to a user whose session has just ended why the sign-in page appears.
#[component]
fn Lost(visitor: Visitor) -> impl IntoView {
    let told = use_context::<FormProblem>().is_some();
    (visitor.session_lost && !told).then(|| {
        view! {
            <Notice kind=NoticeKind::Info>
                "Your session has ended. Sign in to return to your page. What you sent was not saved."
            </Notice>
        }
    })
}

#[component]
fn Form(to: String) -> impl IntoView {
    let base = use_base();
    let sent = FormProblem::of("sign_in");
    let to = match &sent {
        Some(sent) => sent.value("to").unwrap_or_default().to_owned(),
        None => to,
    };
    let problem = sent.as_ref().and_then(|sent| sent.at("password")).cloned();
    let wrong = problem.is_some();
    let name = sent.as_ref().and_then(|sent| sent.value("name")).unwrap_or_default().to_owned();
    let again = !name.is_empty();
    view! {
        <form method="post" action=base.function("sign_in") class="ask">
            <FormToken />
            <input type="hidden" name="to" value=to />
            <label>
                <span>"User name"</span>
                <input
                    name="name"
                    autocomplete="username"
                    autocapitalize="none"
                    spellcheck="false"
                    required
                    value=name
                    autofocus=!again
                />
            </label>
            <label>
                <span>"Password"</span>
                <input
                    id="password"
                    name="password"
                    type="password"
                    autocomplete="current-password"
                    required
                    autofocus=again
                    aria-invalid=wrong.then_some("true")
                    aria-describedby=wrong.then_some("password-problem")
                />
            </label>
            {problem.map(|problem| view! { <FieldProblem id="password-problem".to_owned() problem /> })}
            <button type="button" class="quiet" data-reveal="password" aria-pressed="false" hidden=true>
                "Show password"
            </button>
            <div class="bar">
                <button type="submit" class="primary">
                    "Sign in"
                </button>
            </div>
        </form>
    }
    .into_any()
}

/// The demo's accounts, shown to everyone: the demo is only on this machine.
#[component]
fn DemoAccounts(visitor: Visitor) -> impl IntoView {
    let shown = !visitor.demo_accounts.is_empty();
    shown.then(|| {
        let rows = visitor.demo_accounts.into_iter().map(|(role, password)| {
            view! {
                <tr>
                    <th scope="row">
                        <code>{role.word()}</code>
                        <span class="small muted">{role.meaning()}</span>
                    </th>
                    <td>
                        <code>{password}</code>
                    </td>
                </tr>
            }
        });
        view! {
            <div class="demo-accounts">
                <h2 class="pad">
                    <Icon name="info" />
                    " The demo hospital's accounts"
                </h2>
                <table>
                    <caption class="unseen">"Accounts of the demo: user name, password"</caption>
                    <thead>
                        <tr>
                            <th scope="col">"User name"</th>
                            <th scope="col">"Password"</th>
                        </tr>
                    </thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
        }
    })
}
