//! When something first failed, correctly named: some databases keep the time of a row's last change instead.

use leptos::prelude::*;

use super::{At, When};
use crate::model::FailedSince;

/// Why a time is not called the first failure.
pub const MOVES: &str = "The database updates failed_at with every change of the row (ON UPDATE CURRENT_TIMESTAMP).";

/// The time, and its meaning if it is not the first failure.
#[component]
pub fn Since(
    since: FailedSince,
    /// On one line: the word is for screen readers only, because the column's heading shows it.
    #[prop(optional)]
    compact: bool,
) -> impl IntoView {
    let word = since.word();
    let class = if compact { "unseen" } else { "small muted block" };
    let said = (!matches!(since, FailedSince::First(_))).then(|| {
        view! {
            <span class=class title=MOVES>
                " "
                {word}
            </span>
        }
    });
    match since {
        FailedSince::First(stamp) | FailedSince::Changed(stamp) => view! { <When stamp /> {said} }.into_any(),
        FailedSince::Seen(at) | FailedSince::ChangedBefore(at) => view! { <At at /> {said} }.into_any(),
    }
}

/// The heading of a column of such times.
pub fn since_heading<'a>(times: impl IntoIterator<Item = &'a FailedSince>) -> &'static str {
    let mut words: Vec<&str> = times.into_iter().map(FailedSince::word).collect();
    words.sort_unstable();
    words.dedup();
    match words.as_slice() {
        [] | ["first failed"] => "First failed",
        ["last changed"] => "Last changed",
        ["first seen"] => "First seen",
        ["last change when first seen"] => "Last change when first seen",
        _ => "Failed since",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_called_what_its_times_are() {
        let at = chrono::DateTime::UNIX_EPOCH;
        let (first, seen, changed) = (FailedSince::First(None), FailedSince::Seen(at), FailedSince::Changed(None));
        assert_eq!(since_heading([]), "First failed");
        assert_eq!(since_heading([&first, &first]), "First failed");
        assert_eq!(since_heading([&changed]), "Last changed");
        assert_eq!(since_heading([&seen]), "First seen");
        assert_eq!(since_heading([&FailedSince::ChangedBefore(at)]), "Last change when first seen");
        assert_eq!(since_heading([&first, &changed]), "Failed since");
    }
}
