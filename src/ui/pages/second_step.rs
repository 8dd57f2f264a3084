//! The second step of signing in: a code, or setting up an app first if the role requires one.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    api::second_factor::{SecondStep, view_second_step},
    model::error_text::visible,
    ui::{
        components::{CodeField, EnrolmentShown, FormToken, FormTold, Told, loaded, use_base},
        visitor::FormProblem,
    },
};

#[component]
pub fn SecondStepPage() -> impl IntoView {
    // A sign-in with one wrong code too many has been dropped: the page then only says so.
    let told = use_context::<FormProblem>().map(|sent| sent.problem);
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
    let failed = use_context::<FormProblem>();
    let title = if failed.is_some() { "Sign-in failed: code" } else { "Sign in: code" };
    // There is no field to show the problem at.
    let gone = failed.filter(|_| step.is_none()).map(|sent| view! { <Told problem=sent.problem /> });
    let shown = step.map(|step| match step.enrolment {
        Some(enrolment) => view! {
            <p>
                "Your role must have a second factor here: a code from an app on your phone, in addition to the password. Set it up now, "
                {visible(&step.name)} "."
            </p>
            <EnrolmentShown enrolment />
            <form method="post" action=sign_in class="ask">
                <FormToken />
                <CodeField label="Code" function="sign_in_code" first=true />
                <div class="bar">
                    <button type="submit" class="primary">
                        "Set up and sign in"
                    </button>
                </div>
            </form>
        }
        .into_any(),
        None => view! {
            <p class="muted">"Enter the 6 digits that your app shows now, " {visible(&step.name)} "."</p>
            <form method="post" action=sign_in class="ask">
                <FormToken />
                <CodeField label="Code" function="sign_in_code" first=true />
                <p class="small muted">"Without the phone: enter a recovery code. Each code works once."</p>
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
        <Title text=title />
        <section class="sheet sign-in" aria-labelledby="sign-in">
            <header>
                <h1 id="sign-in">"Second step"</h1>
            </header>
            <div class="pad">
                {gone.map_or_else(|| view! { <FormTold /> }.into_any(), IntoAny::into_any)}
                {shown}
                <p>
                    <a href=again>"Start again with another name"</a>
                </p>
            </div>
        </section>
    }
    .into_any()
}
