//! The page for unknown addresses.

use leptos::prelude::*;

use crate::{error::Problem, ui::components::ProblemView};

#[component]
pub fn NotFoundPage() -> impl IntoView {
    view! {
        <ProblemView problem=Problem::not_found(
            "There is no page at this address.",
            "Check the address, or start from the overview.",
        ) />
    }
}
