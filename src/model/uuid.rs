//! Finding uuids in foreign text. Only the shape counts: nothing is read out of a uuid here.

/// The length of a uuid in its usual form, in bytes.
pub(super) const LENGTH: usize = 36;

/// Whether a uuid in its usual form (8-4-4-4-12 hexadecimal digits) stands at `at`, not as a part of a longer word.
pub(super) fn stands_at(text: &[u8], at: usize) -> bool {
    let apart = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_hexdigit());
    is_shaped(text, at) && apart(at.checked_sub(1).and_then(|before| text.get(before))) && apart(text.get(at + LENGTH))
}

/// Whether what begins at `at` has the shape of a uuid, whatever stands around it: consumers print them directly behind a
/// word.
pub(super) fn is_shaped(text: &[u8], at: usize) -> bool {
    text.get(at..at + LENGTH).is_some_and(|candidate| {
        candidate.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

/// The first uuid in a text.
pub(super) fn first(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    // The first hyphen of a uuid is its ninth byte: looking only around hyphens keeps long texts cheap.
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'-')
        .filter_map(|(hyphen, _)| hyphen.checked_sub(8))
        .find(|start| stands_at(bytes, *start))
        .and_then(|start| text.get(start..start + LENGTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "4417ab02-77aa-4be1-9c40-90fe11d0c2a7";

    #[test]
    fn finds_a_uuid_between_other_text() {
        assert_eq!(first(&format!("Patient with uuid '{UUID}' not found")), Some(UUID));
        assert_eq!(first(&format!("orderé{UUID}")), Some(UUID));
        assert_eq!(first(&format!("re-try of ab-{UUID}?v=full")), Some(UUID));
    }

    #[test]
    fn passes_over_what_only_looks_like_one() {
        assert_eq!(first("4417ab02-77aa-4be1-9c40-90fe11d0c2a"), None);
        assert_eq!(first(&format!("{UUID}f")), None);
        assert_eq!(first("4417ab02-77aa-4be1-9c40-90fe11d0c2ag"), None);
        assert_eq!(first("--------"), None);
    }
}
