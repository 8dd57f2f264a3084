//! What somebody needs to set up an app that calculates codes: a QR code, and the secret as text.

use leptos::prelude::*;

use crate::model::access::Enrolment;

/// Dark on white in every theme, because cameras read it so.
#[component]
pub fn EnrolmentShown(enrolment: Enrolment) -> impl IntoView {
    let Enrolment { secret, address, width, path } = enrolment;
    let box_of = format!("0 0 {width} {width}");
    let side = width.to_string();
    view! {
        <ol class="steps">
            <li>"Open an app for one-time codes on your phone, such as Aegis, FreeOTP or Google Authenticator."</li>
            <li>
                "Let it read this code, or open " <a href=address>"this link"</a>
                " on the phone itself, or type the secret into the app (time-based, six digits, SHA-1, 30 seconds)."
                <svg class="qr" viewBox=box_of role="img" aria-label="QR code for the app; the secret stands below as text">
                    <rect width=side.clone() height=side fill="#ffffff" />
                    <path d=path fill="#000000" />
                </svg>
                <code class="whole" data-secret="">
                    {secret}
                </code>
            </li>
            <li>"Type the six digits that the app shows now."</li>
        </ol>
    }
    .into_any()
}

/// The field for a code.
#[component]
pub fn CodeField(
    label: &'static str,
    /// The page begins here.
    #[prop(optional)]
    first: bool,
) -> impl IntoView {
    view! {
        <label>
            <span>{label}</span>
            <input
                name="code"
                autocomplete="one-time-code"
                autocapitalize="none"
                spellcheck="false"
                maxlength="40"
                required
                autofocus=first
            />
        </label>
    }
}
