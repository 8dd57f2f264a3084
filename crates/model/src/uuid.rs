//! Finds uuids in foreign text. Only the shape counts: no part of a uuid is interpreted here.

use std::borrow::Cow;

/// The length of a uuid in its usual form, in bytes.
pub(super) const LENGTH: usize = 36;

/// Returns whether a uuid in its usual form (8-4-4-4-12 hexadecimal digits) is at `at`, not as a part of a longer word.
pub(super) fn stands_at(text: &[u8], at: usize) -> bool {
    let apart = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_hexdigit());
    is_shaped(text, at) && apart(at.checked_sub(1).and_then(|before| text.get(before))) && apart(text.get(at + LENGTH))
}

/// Returns whether the text at `at` has the shape of a uuid, whatever surrounds it: consumers print them directly
/// behind a word.
pub(super) fn is_shaped(text: &[u8], at: usize) -> bool {
    text.get(at..at + LENGTH).is_some_and(|candidate| fits(candidate, 0))
}

/// Returns whether a text is a uuid in its usual form, and nothing else.
pub(super) fn is_whole(text: &str) -> bool {
    text.len() == LENGTH && is_shaped(text.as_bytes(), 0)
}

/// Returns whether a uuid has a hyphen at this place.
pub(super) fn is_hyphen(at: usize) -> bool {
    matches!(at, 8 | 13 | 18 | 23)
}

/// Returns whether a text can be the part of a uuid that begins at this place.
pub(super) fn fits(text: &[u8], from: usize) -> bool {
    text.iter().enumerate().all(|(at, byte)| match is_hyphen(from + at) {
        true => *byte == b'-',
        false => byte.is_ascii_hexdigit(),
    })
}

/// Returns the first uuid in a text.
pub(super) fn first(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    // The first hyphen of a uuid is its ninth byte: checking only around hyphens keeps long texts cheap.
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'-')
        .filter_map(|(hyphen, _)| hyphen.checked_sub(8))
        .find(|start| stands_at(bytes, *start))
        .and_then(|start| text.get(start..start + LENGTH))
}

/// Returns a text in which every uuid written with other dashes has hyphens: word processors and messengers write a
/// non-breaking hyphen, a minus or a dash instead.
pub(super) fn with_hyphens(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !text.contains(is_dash) {
        return Cow::Borrowed(text);
    }
    let mut letters: Vec<char> = text.chars().collect();
    let mut start = 0;
    while let Some(candidate) = letters.get_mut(start..start + LENGTH) {
        let shaped = candidate.iter().enumerate().all(|(index, letter)| match is_hyphen(index) {
            true => is_dash(*letter),
            false => letter.is_ascii_hexdigit(),
        });
        if shaped {
            candidate.iter_mut().filter(|letter| is_dash(**letter)).for_each(|letter| *letter = '-');
        }
        start += if shaped { LENGTH } else { 1 };
    }
    Cow::Owned(letters.into_iter().collect())
}

fn is_dash(letter: char) -> bool {
    matches!(
        letter,
        '-' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
    )
}

/// Returns whether a text is the 32 digits of a uuid without its hyphens.
pub(super) fn is_without_hyphens(text: &str) -> bool {
    text.len() == LENGTH - 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns the usual form of a uuid written without hyphens; `None` if the text is not one.
pub(super) fn hyphenated(text: &str) -> Option<String> {
    is_without_hyphens(text).then(|| [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &text[part]).join("-"))
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
    fn other_dashes_and_none_are_brought_to_the_usual_form() {
        for dash in ['\u{2010}', '\u{2011}', '\u{2013}', '\u{2014}', '\u{2212}', '\u{ff0d}'] {
            let odd = UUID.replace('-', &dash.to_string());
            assert_eq!(with_hyphens(&odd), UUID);
            assert_eq!(with_hyphens(&format!("ü/{odd}?a – b {odd}")), format!("ü/{UUID}?a – b {UUID}"));
        }
        for text in ["", "a – b", "4417ab02–77aa", UUID] {
            assert_eq!(with_hyphens(text), text);
        }
        assert_eq!(hyphenated(&UUID.replace('-', "")).as_deref(), Some(UUID));
        for text in ["", UUID, "4417ab0277aa4be19c4090fe11d0c2a", "4417ab0277aa4be19c4090fe11d0c2ag"] {
            assert_eq!(hyphenated(text), None, "{text}");
        }
    }

    #[test]
    fn passes_over_what_only_looks_like_one() {
        assert_eq!(first("4417ab02-77aa-4be1-9c40-90fe11d0c2a"), None);
        assert_eq!(first(&format!("{UUID}f")), None);
        assert_eq!(first("4417ab02-77aa-4be1-9c40-90fe11d0c2ag"), None);
        assert_eq!(first("--------"), None);
    }
}
