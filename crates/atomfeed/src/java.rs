//! The parts of Java's behaviour that show in tables and pages: lengths in UTF-16, `String.hashCode`, and the iteration
//! order of a `HashSet`.

/// Longest stored error text, in Java characters (UTF-16 units).
pub(super) const LONGEST_ERROR: usize = 4000;

/// Returns an error text for storage: cut as by Java's `substring(0, 4000)`, but never inside a character, and with
/// NUL, which PostgreSQL refuses, replaced.
pub(super) fn stored_error(text: &str) -> String {
    let mut units = 0;
    text.chars()
        .take_while(|character| {
            units += character.len_utf16();
            units <= LONGEST_ERROR
        })
        .map(|character| if character == '\0' { char::REPLACEMENT_CHARACTER } else { character })
        .collect()
}

/// Java's `String.hashCode`.
pub(super) fn hash_code(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// Returns the distinct texts in the order in which Java iterates a `java.util.HashSet` to which they were added: by
/// their place in its table, which has 16 places and doubles when it is more than three quarters full.
pub(super) fn in_set_order(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut unique: Vec<String> = Vec::new();
    for text in texts {
        if !unique.contains(&text) {
            unique.push(text);
        }
    }
    let mut places = 16;
    while unique.len() * 4 > places * 3 {
        places *= 2;
    }
    unique.sort_by_key(|text| {
        let hash = hash_code(text).cast_unsigned();
        (hash ^ (hash >> 16)) as usize & (places - 1)
    });
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_java() {
        // Known values of java.lang.String.hashCode.
        assert_eq!(hash_code(""), 0);
        assert_eq!(hash_code("a"), 97);
        assert_eq!(hash_code("hello"), 99_162_322);
        assert_eq!(hash_code("polygenelubricants"), i32::MIN);
        assert_eq!(hash_code("Aa"), hash_code("BB"));
        assert_eq!(hash_code("\u{1F600}"), 0xD83D * 31 + 0xDE00);
    }

    #[test]
    fn a_set_is_walked_as_java_walks_it() {
        let order = |texts: &[&str]| in_set_order(texts.iter().map(|&text| text.to_owned()));
        assert_eq!(order(&["patient", "urgent", "new"]), ["new", "patient", "urgent"]);
        assert_eq!(order(&["b", "a", "b"]), ["a", "b"]);
        // Equal places: the one added first.
        assert_eq!(order(&["BB", "Aa"]), ["BB", "Aa"]);
        assert_eq!(order(&["Aa", "BB"]), ["Aa", "BB"]);
        // The 13th text enlarges the table to 32 places: `q` (113) moves from place 1 to 17, after `b` (98, place 2).
        let twelve = ["q", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        assert_eq!(order(&twelve)[..2], ["q", "b"]);
        assert_eq!(order(&[&twelve[..], &["m"]].concat())[..2], ["b", "c"]);
    }

    #[test]
    fn a_long_error_is_cut_at_4000_characters_of_java() {
        assert_eq!(stored_error(&"x".repeat(5000)).len(), 4000);
        assert_eq!(stored_error(&"ж".repeat(4000)), "ж".repeat(4000));
        // Two units each: the 2001st does not fit, and half a character is not stored.
        assert_eq!(stored_error(&format!("x{}", "\u{1F600}".repeat(2000))), format!("x{}", "\u{1F600}".repeat(1999)));
    }

    #[test]
    fn a_nul_in_an_error_does_not_make_it_unstorable() {
        assert_eq!(stored_error("a\0b"), "a\u{FFFD}b");
    }
}
