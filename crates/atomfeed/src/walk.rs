//! Walks from page to page of a feed in bounded memory and time.
//!
//! Holds one page at a time. For each page already read it keeps only a hash of the address (8 bytes), which detects
//! pages that link to themselves or in a ring.

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher,
};

use super::{
    client::{Client, ClientError},
    page::{Page, PageError, text_of},
};

/// Most pages of one run. The largest reported feed has 60,000.
const MOST_PAGES: usize = 1_000_000;

/// Why a walk over a feed ended early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// The page could not be fetched.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The answer is not a page of a feed.
    #[error("{address}: {error}")]
    Page {
        /// The page.
        address: String,
        /// What is wrong with it.
        error: PageError,
    },
    /// A page links to one already read in this run.
    #[error("The pages of the feed link in a ring: {0} was read in this run already.")]
    Ring(String),
    /// More pages than any real feed has.
    #[error("The feed has more than {MOST_PAGES} pages, so the walk was given up at {0}.")]
    Endless(String),
}

/// Reads one page of a feed, without following its links: they may lead to another origin.
///
/// # Errors
/// Fails if it cannot be fetched, or if the answer is not a page of a feed.
pub async fn read_page(client: &Client, address: &str) -> Result<Page, WalkError> {
    let answer = client.feed_page(address).await?;
    let (text, how) = text_of(&answer.body, &answer.content_type);
    if let Some(how) = how {
        tracing::warn!(page = address, "the page is not UTF-8 and was read {how}");
    }
    Page::read(&text).map_err(|error| WalkError::Page { address: address.to_owned(), error })
}

/// Reads pages and remembers which ones it has read.
pub(super) struct Walk<'a> {
    client: &'a Client,
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl<'a> Walk<'a> {
    pub fn new(client: &'a Client) -> Self {
        Self { client, seen: HashSet::new(), hasher: RandomState::new() }
    }

    /// Reads a page; fails if this walk has read it before.
    pub async fn page(&mut self, address: &str) -> Result<Page, WalkError> {
        let address = self.client.resolve(address)?.to_string();
        if self.seen.len() >= MOST_PAGES {
            return Err(WalkError::Endless(address));
        }
        if !self.seen.insert(self.hasher.hash_one(&address)) {
            return Err(WalkError::Ring(address));
        }
        let page = read_page(self.client, &address).await?;
        // Checked now, because the page's own address goes into the marker and is requested in the next run.
        self.client.resolve(&page.via)?;
        Ok(page)
    }

    /// Returns the oldest page, found by following the links backwards, as the Java library does.
    pub async fn oldest(&mut self, recent: &str) -> Result<Page, WalkError> {
        let mut page = self.page(recent).await?;
        while let Some(previous) = page.previous.take() {
            page = self.page(&previous).await?;
        }
        // Reading forward visits the same pages again.
        self.seen.clear();
        self.seen.insert(self.hasher.hash_one(self.client.resolve(&page.via)?.to_string()));
        Ok(page)
    }
}
