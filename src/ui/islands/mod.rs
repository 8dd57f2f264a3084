//! The islands: the only code that runs in a browser. Each adds comfort to a page that works without it.
//!
//! They contain almost no text: all texts are in the HTML that the server renders, and an island finds them by `data-`
//! attributes. That keeps the module small and the words in one place. Islands set no inline styles, because the
//! content security policy forbids it: `hidden`, `aria-` attributes and classes are enough for the style sheet.

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
