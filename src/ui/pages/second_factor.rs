//! One's own second factor: setting up an app, and the recovery codes that were just made.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    api::second_factor::{OwnSecondFactor, view_own_second_factor},
    ui::components::{CodeField, EnrolmentShown, FormToken, FormTold, Notice, NoticeKind, loaded, use_base},
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
                        <CodeField label="Code" first=true />
                        <p class="small muted">
                            "From then on signing in takes a code, too. Your other sessions end, and Basic is not taken any more; tokens stay."
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
                "Nothing is being set up now. What there is stands on " <a href=account.clone()>"the page of your account"</a> "."
            </p>
        }
        .into_any(),
    };
    view! {
        <Title text="Second factor" />
        <div class="head">
            <div>
                <h1>"Second factor"</h1>
                <p class="lead">"A code from an app on your phone, besides the password."</p>
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
            "These are your recovery codes: each lets you in once without the phone. Keep them on paper, away from the phone. They are shown only this once."
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
