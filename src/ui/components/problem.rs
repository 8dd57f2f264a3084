//! A problem as users see it: what happened, what to do.

use leptos::prelude::*;
use leptos_meta::Title;

use super::{Notice, NoticeKind, use_base};
use crate::error::Problem;

/// In place of a page: heading, advice, links, and the matching HTTP status for programs. With `part`, in place of one
/// part of a page: the rest of the page is shown, and the status is unchanged.
#[component]
pub fn ProblemView(problem: Problem, #[prop(optional)] part: bool) -> impl IntoView {
    if part {
        return view! {
            <Notice kind=NoticeKind::Problem>
                <strong>{problem.what}</strong>
                <p>{problem.todo}</p>
            </Notice>
        }
        .into_any();
    }
    set_status(problem.status);
    let base = use_base();
    view! {
        <Title text=kind_of(problem.status) />
        <div class="sheet problem-page">
            <p class="problem-status">{format!("{} · {}", problem.status, kind_of(problem.status))}</p>
            <h1>{problem.what}</h1>
            <p>{problem.todo}</p>
            <p class="bar">
                <a class="button primary" href=base.overview()>"Overview"</a>
                <a class="button" href=base.failed_events(&Default::default())>"All failed events"</a>
                <a class="button" href=base.help()>"Help"</a>
            </p>
        </div>
    }
    .into_any()
}

fn kind_of(status: u16) -> &'static str {
    match status {
        400 => "Invalid request",
        401 => "Not signed in",
        403 => "Not allowed",
        404 => "Not found",
        409 => "Not possible now",
        429 => "Too often",
        503 => "Not available now",
        _ => "Something went wrong",
    }
}

/// Sets the HTTP status of the response that is being rendered. In the browser there is no response.
fn set_status(status: u16) {
    #[cfg(feature = "ssr")]
    if let (Some(answer), Ok(status)) =
        (use_context::<leptos_axum::ResponseOptions>(), axum::http::StatusCode::from_u16(status))
    {
        answer.set_status(status);
    }
    #[cfg(not(feature = "ssr"))]
    let _ = status;
}
