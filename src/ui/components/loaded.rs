//! The way from a page's data to the page.

use leptos::prelude::*;

use super::ProblemView;
use crate::error::Problem;

/// What a page shows once its data is there; in its place the problem, if there was one.
///
/// The document waits for it, so that the page is whole without JavaScript and its status is true. It is asked for within
/// the request itself, not in a task of its own as by Leptos' `Await`: the page owns its data, and nothing is asked any
/// further for a request that went away.
pub fn loaded<T: 'static, P: IntoView + 'static>(
    data: impl Future<Output = Result<T, Problem>> + Send + 'static,
    page: impl FnOnce(T) -> P + Send + 'static,
) -> impl IntoView {
    Suspend::new(async move {
        match data.await {
            Ok(data) => page(data).into_any(),
            Err(problem) => view! { <ProblemView problem /> }.into_any(),
        }
    })
}
