//! Renders a page once its data is loaded.

use leptos::prelude::*;

use super::ProblemView;
use crate::error::Problem;

/// Renders a page from its data, or the problem if loading failed.
///
/// The document waits for it, so that the page is complete without JavaScript and has the correct status. The page owns
/// its data, which the request's own task reads.
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
