//! Groups as whoever asks may see them: of applications that are theirs alone, and masked where error texts are. Whatever
//! shows a group, or a title of one, takes it from here.

use super::{state::Console, store::StoreError};
use crate::{
    error::Problem,
    model::{group::Group, masking},
};

/// One group; `None`: there is none with this number, or none that may be seen.
///
/// # Errors
/// The store cannot be read.
pub async fn find(console: &Console, fault: i64) -> Result<Option<Group>, StoreError> {
    let mut group = console.parts.store.group(fault, console.only()).await?;
    group.iter_mut().for_each(|group| mask(console, group));
    Ok(group)
}

/// The title of a group.
///
/// # Errors
/// There is none with this number, or none that may be seen; or the store cannot be read.
pub async fn title(console: &Console, fault: i64) -> Result<String, Problem> {
    let title = console.parts.store.group_title(fault, console.only()).await?.ok_or_else(|| unknown(fault))?;
    Ok(if console.masked().is_some() { masking::fault(&title) } else { title })
}

/// A fingerprint is made of an error text: where texts are masked, only what masking lets through of it is shown.
pub fn mask(console: &Console, group: &mut Group) {
    if console.masked().is_some() {
        group.title = masking::fault(&group.title);
        group.fingerprint = masking::fault(&group.fingerprint);
    }
}

/// There is no group with this number.
pub fn unknown(fault: i64) -> Problem {
    Problem::not_found(format!("There is no group {fault}."), "The list of groups shows those there are.")
}
