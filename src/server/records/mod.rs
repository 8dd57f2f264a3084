//! Records behind events, in the hospital's terms: names for the pages, search by what people say, and where a record
//! is on its way.
//!
//! OpenMRS knows the patients and orders; the consumers are then asked by the path that has an index. Nothing of it is
//! written to the store. Who may see how much is decided here alone (`Console::persons`): a reader without the right
//! to read payloads gets nothing, and a page that shows persons is on record.

mod arrivals;
pub mod depends;
mod find;
mod kept;
mod lookup;
mod names;
mod page;
mod viewed;
mod way;

pub use find::{Found, find, is_personal};
pub use kept::{KeptSearches, Names, Viewed, Wanted};
pub use names::call;
pub use page::page;
