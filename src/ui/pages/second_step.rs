//! The second step of signing in: a code, or setting up an app first where the role must have one.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    api::second_factor::{SecondStep, view_second_step},
    model::error_text::visible,
    ui::{
        components::{CodeField, EnrolmentShown, FormToken, FormTold, loaded, use_base},
        visitor::FormProblem,
    },
};

#[component]
pub fn SecondStepPage() -> impl IntoView {
    // The sign-in whose code was one too many is gone: the page then only says so.
    let told = use_context::<FormProblem>().map(|FormProblem(problem)| problem);
    let step = async move {
        match (view_second_step().await, told) {
            (Ok(step), _) => Ok(Some(step)),
            (Err(_), Some(_)) => Ok(None),
            (Err(problem), None) => Err(problem),
        }
    };
    loaded(step, |step| view! { <Step step /> })
}

#[component]
fn Step(step: Option<SecondStep>) -> impl IntoView {
    let base = use_base();
    let again = base.sign_in(None);
    let sign_in = base.function("sign_in_code");
    let shown = step.map(|step| match step.enrolment {
        Some(enrolment) => view! {
            <p>
                "Your role must have a second factor here: a code from an app on your phone, besides the password. Set it up now, "
                {visible(&step.name)} "."
            </p>
            <EnrolmentShown enrolment />
            <form method="post" action=sign_in class="ask">
                <FormToken />
                <CodeField label="Code" first=true />
                <div class="bar">
                    <button type="submit" class="primary">
                        "Set up and sign in"
                    </button>
                </div>
            </form>
        }
        .into_any(),
        None => view! {
            <p class="muted">"Type the six digits that your app shows now, " {visible(&step.name)} "."</p>
            <form method="post" action=sign_in class="ask">
                <FormToken />
                <CodeField label="Code" first=true />
                <p class="small muted">"Without the phone: one of your recovery codes. Each is right once."</p>
                <div class="bar">
                    <button type="submit" class="primary">
                        "Sign in"
                    </button>
                </div>
            </form>
        }
        .into_any(),
    });
    view! {
        <Title text="Sign in: code" />
        <section class="sheet sign-in" aria-labelledby="sign-in">
            <header>
                <h1 id="sign-in">"Second step"</h1>
            </header>
            <div class="pad">
                <FormTold />
                {shown}
                <p>
                    <a href=again>"Begin again with another name"</a>
                </p>
            </div>
        </section>
    }
    .into_any()
}
