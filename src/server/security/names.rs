//! Which names may be in the audit log, and names that look alike.

use unicode_security::skeleton;

use crate::{
    model::access::{RESERVED_NAMES, is_name},
    server::store::folded,
};

/// Returns whether a person or a machine may have this name in the audit log: see [`is_name`]. Names that only look like
/// those of the console itself, because they have letters of another script, are refused as well.
pub fn may_be_recorded(name: &str) -> bool {
    let this = appearance(&folded(name));
    is_name(name) && RESERVED_NAMES.iter().all(|reserved| appearance(reserved) != this)
}

/// Returns the same text for all names that look alike (Unicode TR 39).
pub fn appearance(name: &str) -> String {
    skeleton(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_the_consoles_own_is_refused() {
        for name in ["console", "c\u{43e}nsole", "Anybody", "the command line"] {
            assert!(!may_be_recorded(name), "{name}");
        }
        for name in ["asha", "consoles", "the commander"] {
            assert!(may_be_recorded(name), "{name}");
        }
    }
}
