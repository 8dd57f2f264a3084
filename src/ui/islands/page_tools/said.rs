//! Screen readers do not announce a notice that is present when a page loads: its text is copied into a live region.

use std::time::Duration;

use leptos::prelude::set_timeout;

use super::super::browser::{everywhere, first};

/// Screen readers announce the title first, and would drop an announcement made at the same time.
const AFTER: Duration = Duration::from_millis(600);

pub fn start() {
    let said: Vec<String> = everywhere("main .notice.done, main .notice.problem, main .field-problem")
        .iter()
        // Screen readers announce the focused element anyway.
        .filter(|notice| !notice.query_selector("[autofocus]").is_ok_and(|focused| focused.is_some()))
        .filter_map(|notice| notice.text_content())
        .collect();
    if said.is_empty() {
        return;
    }
    set_timeout(
        move || {
            if let Some(voice) = first("#voice") {
                voice.set_text_content(Some(&said.join(" ")));
            }
        },
        AFTER,
    );
}
