//! Service tokens, for administrators, in every mode of signing in.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    api::service_tokens::{ServiceTokenRow, ServiceTokensPage as Page, list_service_tokens},
    model::{ApplicationInfo, access::ServiceRight},
    ui::{
        components::{
            ApplicationChoice, Field, FormToken, FormTold, Notice, NoticeKind, TokenLine, TokenTable, loaded, title_of,
            use_base,
        },
        pages::account::PasswordAgain,
        sentences,
        visitor::FormProblem,
    },
};

#[component]
pub fn ServiceTokensPage() -> impl IntoView {
    loaded(list_service_tokens(), |page| view! { <ServiceTokens page /> })
}

#[component]
fn ServiceTokens(page: Page) -> impl IntoView {
    let new = page.new_token.map(|(name, token)| {
        view! {
            <Notice kind=NoticeKind::Done>
                <strong>"The new token of " {name} ". "</strong>
                "Copy it now. It will not be shown again. The machine sends it in the header Authorization, as Bearer."
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
    let list = if page.tokens.is_empty() {
        view! { <p class="empty">"No service tokens. A monitoring system that reads /status needs one."</p> }.into_any()
    } else {
        let lines = page.tokens.into_iter().map(|token| line(token, &page.applications)).collect();
        view! { <TokenTable lines revoke="revoke_service_token" name="Service tokens" /> }.into_any()
    };
    view! {
        <Title text=title_of("Service tokens") />
        <div class="head">
            <div>
                <h1>"Service tokens"</h1>
                <p class="lead">
                    "For machines. Each gives access to one thing only, belongs to no user, and works until it ends or is revoked."
                </p>
            </div>
        </div>
        {new}
        {page.done.map(|sentence| view! { <Notice kind=NoticeKind::Done>{sentence}</Notice> })}
        <FormTold />
        <section class="sheet" aria-label="All service tokens">
            {list}
        </section>
        <NewToken applications=page.applications asks_password=page.asks_password />
    }
    .into_any()
}

fn line(token: ServiceTokenRow, applications: &[ApplicationInfo]) -> TokenLine {
    let of = match &token.applications {
        None => String::new(),
        Some(keys) => match sentences::applications_named(keys, applications) {
            none if none.is_empty() => " of no application".to_owned(),
            names => format!(" of {names}"),
        },
    };
    TokenLine {
        name: token.name,
        owner: None,
        may: format!("{}{of}", token.opens),
        created_at: token.created_at,
        created_by: Some(token.created_by.unwrap_or_else(|| "the settings".to_owned())),
        expires_at: token.expires_at,
        expired: token.expired,
        last_used_at: token.last_used_at,
        last_address: token.last_address,
        revoked_at: token.revoked_at,
        fields: vec![("id", token.id.to_string())],
    }
}

#[component]
fn NewToken(applications: Vec<ApplicationInfo>, asks_password: bool) -> impl IntoView {
    let base = use_base();
    let sent = FormProblem::of("make_service_token");
    let value = |field: &str| sent.as_ref().and_then(|sent| sent.value(field)).unwrap_or_default().to_owned();
    let (name, days) = (value("name"), value("days"));
    let (of_name, of_days) = (Field::of("make_service_token", "name"), Field::of("make_service_token", "days"));
    let rights = ServiceRight::ALL.into_iter().map(|right| {
        let text = format!("{right} – {}", right.meaning());
        let selected = value("right") == right.word();
        view! { <option value=right.word() selected=selected>{text}</option> }
    });
    let rights = rights.collect_view();
    view! {
        <section class="sheet plan" aria-labelledby="new">
            <header>
                <h2 id="new">"New service token"</h2>
            </header>
            <form method="post" action=base.function("make_service_token") class="ask pad">
                <FormToken />
                <label>
                    <span>"Which machine will use it"</span>
                    <input
                        name="name"
                        maxlength="100"
                        autocomplete="off"
                        spellcheck="false"
                        required
                        value=name
                        autofocus=of_name.is_wrong()
                        aria-invalid=of_name.invalid()
                        aria-describedby=of_name.described_by()
                    />
                </label>
                {of_name.told()}
                <label>
                    <span>"What it opens"</span>
                    <select name="right">{rights}</select>
                </label>
                <ApplicationChoice legend="Applications" id="new" chosen=None applications sent />
                <label>
                    <span>"Days until it ends (empty: no end)"</span>
                    <input
                        name="days"
                        type="number"
                        min="1"
                        max="3650"
                        value=days
                        autofocus=of_days.is_wrong()
                        aria-invalid=of_days.invalid()
                        aria-describedby=of_days.described_by()
                    />
                </label>
                {of_days.told()}
                {asks_password.then(|| view! { <PasswordAgain function="make_service_token" /> })}
                <p class="small muted">"The next page shows the token once. This is recorded in the audit log."</p>
                <div class="bar">
                    <button type="submit" class="primary">
                        "Create token"
                    </button>
                </div>
            </form>
        </section>
    }
    .into_any()
}
