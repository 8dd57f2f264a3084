//! What a user needs to set up an app that calculates codes: a QR code, and the secret as text.

use leptos::prelude::*;

use super::Field;
use crate::model::access::Enrolment;

/// Dark on white in every theme, because cameras need that.
#[component]
pub fn EnrolmentShown(enrolment: Enrolment) -> impl IntoView {
    let Enrolment { secret, address, width, path } = enrolment;
    let box_of = format!("0 0 {width} {width}");
    let side = width.to_string();
    view! {
        <ol class="steps">
            <li>"Open an app for one-time codes on your phone, such as Aegis, FreeOTP or Google Authenticator."</li>
            <li>
                "Scan this code with the app, or open " <a href=address>"this link"</a>
                " on the phone, or type the secret into the app (time-based, 6 digits, SHA-1, 30 seconds)."
                <svg class="qr" viewBox=box_of role="img" aria-label="QR code for the app; the secret as text is below">
                    <rect width=side.clone() height=side fill="#ffffff" />
                    <path d=path fill="#000000" />
                </svg>
                <code class="whole" data-secret="">
                    {secret}
                </code>
            </li>
            <li>"Enter the 6 digits that the app shows now."</li>
        </ol>
    }
    .into_any()
}

/// The field for a code, with the problem of the last code below it.
#[component]
pub fn CodeField(
    label: &'static str,
    /// The server function to which its form is sent.
    function: &'static str,
    /// The page sets the focus here.
    #[prop(optional)]
    first: bool,
) -> impl IntoView {
    let field = Field::of(function, "code");
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
                autofocus=first || field.is_wrong()
                aria-invalid=field.invalid()
                aria-describedby=field.described_by()
            />
        </label>
        {field.told()}
    }
}
