//! The islands: the only code that runs in a browser. Each adds comfort to a page that works without it.
//!
//! They carry next to no text: what a person reads stands in the HTML that the server renders, and an island finds it
//! by its `data-` attributes. That keeps the module small, and the words in one place. They draw no styles either: the
//! content security policy forbids it, and `hidden`, `aria-` attributes and classes say enough to the style sheet.

#[cfg(feature = "hydrate")]
mod browser;
mod course;
mod fresh;
mod live;
mod page_tools;
mod selection;

pub use course::Course;
pub use fresh::Fresh;
pub use live::Live;
pub use page_tools::{KeyList, PageTools};
pub use selection::Selection;
