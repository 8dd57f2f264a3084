//! The user's own second factor: setting up an app, and the recovery codes that were just created.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    api::second_factor::{OwnSecondFactor, view_own_second_factor},
    ui::components::{CodeField, EnrolmentShown, FormToken, FormTold, Notice, NoticeKind, loaded, title_of, use_base},
};

#[component]
pub fn SecondFactorPage() -> impl IntoView {
    loaded(view_own_second_factor(), |own| view! { <Own own /> })
}

#[component]
fn Own(own: OwnSecondFactor) -> impl IntoView {
    let base = use_base();
    let account = base.account();
    let confirm = base.function("confirm_second_factor");
    let shown = match (own.new_codes, own.enrolment) {
        (Some((codes, to)), _) => view! { <Codes codes on=to.unwrap_or_else(|| account.clone()) /> }.into_any(),
        (None, Some(enrolment)) => view! {
            <section class="sheet" aria-labelledby="app">
                <header>
                    <h2 id="app">"Set up an app"</h2>
                </header>
                <div class="pad">
                    <EnrolmentShown enrolment />
                    <form method="post" action=confirm class="ask">
                        <FormToken />
                        <CodeField label="Code" function="confirm_second_factor" first=true />
                        <p class="small muted">
                            "After this, signing in also needs a code. Your other sessions end. Basic sign-in stops working; tokens still work."
                        </p>
                        <div class="bar">
                            <button type="submit" class="primary">
                                "Use this app"
                            </button>
                        </div>
                    </form>
                </div>
            </section>
        }
        .into_any(),
        (None, None) => view! {
            <p class="empty">
                "Nothing to set up. See " <a href=account.clone()>"your account page"</a> "."
            </p>
        }
        .into_any(),
    };
    view! {
        <Title text=title_of("Second factor") />
        <div class="head">
            <div>
                <h1>"Second factor"</h1>
                <p class="lead">"A code from an app on your phone, in addition to the password."</p>
            </div>
        </div>
        <FormTold />
        {shown}
        <p>
            <a href=account>"Your account"</a>
        </p>
    }
    .into_any()
}

#[component]
fn Codes(codes: Vec<String>, on: String) -> impl IntoView {
    let codes = codes.into_iter().map(|code| {
        view! {
            <li>
                <code data-recovery-code="">{code}</code>
            </li>
        }
    });
    view! {
        <Notice kind=NoticeKind::Done>
            <strong>"The second factor is set up. "</strong>
            "These are your recovery codes. Each code works once, without the phone. Keep the codes on paper, away from the phone. They will not be shown again."
            <ol class="codes">{codes.collect_view()}</ol>
            <p>
                <a class="button primary" href=on>
                    "I have kept them"
                </a>
            </p>
        </Notice>
    }
    .into_any()
}
