//! The tokens of machines, for administrators, in every way of signing in.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    api::service_tokens::{ServiceTokenRow, ServiceTokensPage as Page, list_service_tokens},
    model::{ApplicationInfo, access::ServiceRight},
    ui::components::{FormToken, FormTold, Notice, NoticeKind, TokenLine, TokenTable, loaded, use_base},
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
                "Copy it now: it is shown only this once. The machine sends it in the header Authorization, as Bearer."
                <p>
                    <code class="whole" data-new-token="">
                        {token}
                    </code>
                </p>
            </Notice>
        }
    });
    let list = if page.tokens.is_empty() {
        view! { <p class="empty">"No service tokens. A monitoring system that asks for /status needs one."</p> }
            .into_any()
    } else {
        let lines = page.tokens.into_iter().map(|token| line(token, &page.applications)).collect();
        view! { <TokenTable lines revoke="revoke_service_token" /> }.into_any()
    };
    view! {
        <Title text="Service tokens" />
        <div class="head">
            <div>
                <h1>"Service tokens"</h1>
                <p class="lead">
                    "For machines. Each opens one thing and nothing beside it, belongs to no person, and goes on until it ends or is revoked."
                </p>
            </div>
        </div>
        {new}
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
        Some(keys) => {
            let names = applications.iter().filter(|app| keys.contains(&app.key)).map(|app| app.name.as_str());
            let names: Vec<_> = names.collect();
            if names.is_empty() { " of no application".to_owned() } else { format!(" of {}", names.join(", ")) }
        }
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
    let boxes = applications.into_iter().map(|app| {
        view! {
            <label class="tick">
                <input type="checkbox" name="applications[]" value=app.key />
                <span>{app.name}</span>
            </label>
        }
    });
    let rights = ServiceRight::ALL.into_iter().map(|right| {
        let text = format!("{right} – {}", right.meaning());
        view! { <option value=right.word()>{text}</option> }
    });
    view! {
        <section class="sheet plan" aria-labelledby="new">
            <header>
                <h2 id="new">"New service token"</h2>
            </header>
            <form method="post" action=base.function("make_service_token") class="ask pad">
                <FormToken />
                <label>
                    <span>"Which machine will use it"</span>
                    <input name="name" maxlength="100" autocomplete="off" spellcheck="false" required />
                </label>
                <label>
                    <span>"What it opens"</span>
                    <select name="right">{rights.collect_view()}</select>
                </label>
                <fieldset class="rights">
                    <legend>"Applications that it tells of"</legend>
                    <label class="tick">
                        <input type="checkbox" name="all" value="1" checked />
                        <span>"All, also those that come later"</span>
                    </label>
                    {boxes.collect_view()}
                </fieldset>
                <label>
                    <span>"Days until it ends (empty: no end)"</span>
                    <input name="days" type="number" min="1" max="3650" />
                </label>
                {asks_password
                    .then(|| {
                        view! {
                            <label>
                                <span>"Your password"</span>
                                <input name="password" type="password" autocomplete="current-password" required />
                            </label>
                        }
                    })}
                <p class="small muted">"The token is shown on the next page, once. Making it goes on record."</p>
                <div class="bar">
                    <button type="submit" class="primary">
                        "Make the token"
                    </button>
                </div>
            </form>
        </section>
    }
    .into_any()
}
