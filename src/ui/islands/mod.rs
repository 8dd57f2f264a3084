//! The islands: the only code that runs in a browser. Each adds comfort to a page that works without it.
//!
//! They carry next to no text: what a person reads stands in the HTML that the server renders, and an island finds it
//! by its `data-` attributes. That keeps the module small, and the words in one place. They draw no styles either: the
//! content security policy forbids it, and `hidden`, `aria-` attributes and classes say enough to the style sheet.

#[cfg(any(feature = "hydrate", test))]
mod align;
#[cfg(feature = "hydrate")]
mod browser;
mod fresh;
mod live;
#[cfg(feature = "hydrate")]
mod morph;
mod page_tools;
mod selection;

pub use fresh::Fresh;
pub use live::{Follows, Live};
pub use page_tools::{KeyList, PageTools};
pub use selection::Selection;
