//! Renders a page once its data is loaded.

use leptos::{prelude::*, tachys::reactive_graph::OwnedView};

use super::ProblemView;
use crate::error::Problem;

/// Renders a page from its data, or the problem if loading failed.
///
/// The document waits for it, so that the page is complete without JavaScript and has the correct status. The page owns
/// its data, which the request's own task reads.
///
/// `Suspend` runs the future with the request's context, but writes the result as HTML without it: then a link that
/// leptos_meta puts into the head is lost, or gets into another request's. `OwnedView` keeps the context.
pub fn loaded<T: Send + 'static, P: IntoView + 'static>(
    data: impl Future<Output = Result<T, Problem>> + Send + 'static,
    page: impl FnOnce(T) -> P + Send + 'static,
) -> impl IntoView {
    Suspend::new(async move {
        match data.await {
            Ok(data) => OwnedView::new(page(data)).into_any(),
            Err(problem) => view! { <ProblemView problem /> }.into_any(),
        }
    })
}
