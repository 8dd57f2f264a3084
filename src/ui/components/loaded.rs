//! The way from a page's data to the page.

use leptos::prelude::*;

use super::ProblemView;
use crate::error::Problem;

/// What a page shows once its data is there; in its place the problem, if there was one.
///
/// The document waits for it, so that the page is whole without JavaScript and its status is true. The page owns its data,
/// which is read by the request's own task.
pub fn loaded<T: Send + 'static, P: IntoView + 'static>(
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
