//! What people call the record of an event, below its uuid.

use leptos::prelude::*;

use crate::model::error_text::visible;

/// The name of a record in a second, quieter line; nothing if there is none.
#[component]
pub fn Called(called: Option<String>) -> impl IntoView {
    called.map(|called| {
        let called = visible(&called);
        let title = called.clone();
        view! {
            // Lists cut it where rows are narrow.
            <span class="small muted block called" title=title>
                {called}
            </span>
        }
    })
}
