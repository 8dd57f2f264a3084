//! Gives the console's fuzz targets access to the reader of feed pages.

use super::page::{Page, text_of};

/// Reads a page; checks that an accepted page has its own address and entries with ids.
pub fn feed_page(bytes: &[u8]) {
    // The publisher also controls the declared charset.
    let charset = ["utf-8", "iso-8859-1", "windows-1252", "utf-16le", "none of these"][bytes.len() % 5];
    let (text, _) = text_of(bytes, &format!("application/atom+xml; charset={charset}"));
    if let Ok(page) = Page::read(&text) {
        assert!(page.events.iter().all(|event| !event.id.trim().is_empty()), "every entry has an id");
        assert!(page.events.iter().all(|event| event.page.as_ref() == Some(&page.via)), "and knows its page");
        assert!(page.events.len() * 10 <= bytes.len(), "no more entries than were sent");
    }
}
