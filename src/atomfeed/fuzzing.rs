//! The reader of feed pages for `crate::fuzzing`, which has no other way to it.

use super::page::Page;

/// Reads a page; what is taken has an address of its own and entries with ids.
pub(crate) fn feed_page(bytes: &[u8]) {
    if let Ok(page) = Page::read(bytes) {
        assert!(page.events.iter().all(|event| !event.id.trim().is_empty()), "every entry has an id");
        assert!(page.events.iter().all(|event| event.page.as_ref() == Some(&page.via)), "and knows its page");
        assert!(page.events.len() * 10 <= bytes.len(), "no more entries than were sent");
    }
}
