//! Texts with the matches of a search marked.

use leptos::prelude::*;

use crate::model::{error_text::visible, event_names::Naming, payload::short_id, search::Search};

/// A text with the search text marked.
#[component]
pub fn Marked(#[prop(into)] text: String, search: Search) -> impl IntoView {
    search
        .marked(&text)
        .into_iter()
        .map(|(piece, hit)| if hit { view! { <mark>{piece}</mark> }.into_any() } else { piece.into_any() })
        .collect_view()
}

/// Returns the name of a failed event, as everywhere, with what matches marked: its kind, its id and its application.
/// The id is marked as a whole, because it is shortened.
pub fn marked_name(naming: &Naming<'_>, place: &str, search: &Search) -> AnyView {
    let id = naming.id().map(|id| {
        let short = visible(&short_id(&id));
        let hit = search.terms.iter().any(|term| term.is_in(&id));
        let short = if hit { view! { <mark>{short}</mark> }.into_any() } else { short.into_any() };
        view! {
            " "
            <code class="id" title=visible(&id)>
                {short}
            </code>
        }
    });
    view! {
        <Marked text=naming.kind() search=search.clone() />
        {id}
        {format!(" → {}", visible(place))}
    }
    .into_any()
}
