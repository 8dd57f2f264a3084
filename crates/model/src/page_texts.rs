//! Limits how much of long texts one page carries.
//!
//! Databases hold texts of megabytes, and a page shows dozens of them, some more than once. The size of a text on a
//! page is not its length: every line of a trace is an element, and characters that act on a page are written out. So
//! its size is counted character by character, and what does not fit is cut.

/// Bytes of a line of a trace in addition to its text.
const LINE: usize = 100;
/// The same for a line that begins another cause.
const CAUSE: usize = 250;
const BEGINS_CAUSE: &str = "Caused by: ";

/// Characters that remain of a text for which there is no room: its first line can be read.
pub const AT_LEAST: usize = 300;

/// Room for texts on a page, in bytes of HTML.
#[derive(Debug)]
pub struct Room(usize);

impl Room {
    pub fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Reserves the room for a text that is on the page `times` times. If there is not enough, cuts the text and leaves
    /// no room for another one. Returns whether it was cut.
    pub fn take(&mut self, text: &mut String, times: usize) -> bool {
        let mut needed = 0;
        let mut line_begins = true;
        for (number, (at, character)) in text.char_indices().enumerate() {
            if line_begins && text[at..].starts_with(BEGINS_CAUSE) {
                needed += CAUSE * times;
            }
            line_begins = character == '\n';
            needed += bytes(character) * times;
            if needed > self.0 && number >= AT_LEAST {
                text.truncate(at);
                self.0 = 0;
                return true;
            }
        }
        self.0 = self.0.saturating_sub(needed);
        false
    }
}

/// Returns the most bytes of a character on a page, made visible ([`super::error_text::visible`]) and escaped.
fn bytes(character: char) -> usize {
    match character {
        '\n' => LINE,
        '<' | '>' => 4,
        '&' => 5,
        '"' | '\'' => 6,
        '\t' => 2,
        // Three on a page, six in JSON.
        '\0'..='\x1f' | '\x7f' => 6,
        '\u{80}'..='\u{9f}' => 12,
        // Characters that act on the text around them are written out as names or numbers.
        '\u{200b}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => 12,
        '\u{e0000}'..='\u{e0fff}' => 13,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_text::visible;

    #[test]
    fn no_character_takes_more_than_is_counted() {
        for character in (0..=0x10_ffff).filter_map(char::from_u32).filter(|character| *character != '\n') {
            let shown = visible(&character.to_string());
            let escaped: usize = shown
                .chars()
                .map(|shown| match shown {
                    '&' => "&amp;".len(),
                    '<' | '>' => "&lt;".len(),
                    '"' => "&quot;".len(),
                    '\'' => "&#x27;".len(),
                    other => other.len_utf8(),
                })
                .sum();
            assert!(escaped <= bytes(character), "{character:?}: {escaped}");
        }
    }

    #[test]
    fn a_text_for_which_there_is_room_stays_whole_and_what_does_not_fit_is_cut() {
        let mut room = Room::new(10_000);
        let trace = format!("It failed\n{}", "\tat a.B.c(B.java:1)\n".repeat(20));
        let mut text = trace.clone();
        assert!(!room.take(&mut text, 2));
        assert_eq!(text, trace);
        let mut long = "<".repeat(100_000);
        assert!(room.take(&mut long, 1));
        assert!((1_000..2_500).contains(&long.len()), "{}", long.len());
        let mut next = "é".repeat(1_000);
        assert!(room.take(&mut next, 1), "nothing is left for another one");
        assert_eq!(next.chars().count(), AT_LEAST);
    }

    #[test]
    fn lines_and_causes_take_more_than_their_letters() {
        let cut = |line: &str| {
            let mut text = line.repeat(10_000);
            Room::new(100_000).take(&mut text, 1);
            text.matches('\n').count()
        };
        assert!(cut("Caused by: \n") < 300 && cut("\tat \n") < 1_000);
    }
}
