//! The differences between the first error of an event and its latest one.
//!
//! The texts are the library's: several thousand characters of stack trace that are mostly equal. The cost stays
//! bounded for any other text: what exceeds the limits is compared as a whole.

use super::error_text::{headline, shape};

/// Lines of each text that are compared one by one.
const LINES: usize = 400;
/// Words of a line that are compared one by one.
const WORDS: usize = 200;

/// A piece of a text; `changed` marks what the other text does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub text: String,
    pub changed: bool,
}

/// How two error texts differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whether the fault is the same, apart from uuids, numbers, quoted values and names.
    pub same_fault: bool,
    /// The texts, each whole except for the line with the feed's page, which only first errors have. Joined, the
    /// segments are the text.
    pub first: Vec<Segment>,
    pub latest: Vec<Segment>,
}

impl Difference {
    /// Returns whether nothing differs.
    pub fn is_none(&self) -> bool {
        self.first.iter().chain(&self.latest).all(|segment| !segment.changed)
    }
}

/// Compares the first error of an event with its latest one.
pub fn differ(first: &str, latest: &str) -> Difference {
    let same_fault = shape(&headline(first)) == shape(&headline(latest));
    let (first, latest) = (without_page(first), without_page(latest));
    let mut marks = Marks::default();
    let (first_lines, first_rest) = split_lines(first);
    let (latest_lines, latest_rest) = split_lines(latest);
    for step in align(&first_lines, &latest_lines) {
        marks.lines(&first_lines, &latest_lines, step);
    }
    let rest_changed = first_rest != latest_rest;
    push(&mut marks.first, first_rest, rest_changed);
    push(&mut marks.latest, latest_rest, rest_changed);
    Difference { same_fault, first: marks.first, latest: marks.latest }
}

/// Removes the library's first line: no retry log has it, and it always differs.
fn without_page(text: &str) -> &str {
    match text.split_once('\n') {
        Some((line, rest)) if line.starts_with("Failed processing event in feed [") => rest,
        _ => text,
    }
}

/// Returns the first lines, each with its line end, and the rest of the text.
fn split_lines(text: &str) -> (Vec<&str>, &str) {
    let lines: Vec<&str> = text.split_inclusive('\n').take(LINES).collect();
    let length = lines.iter().map(|line| line.len()).sum::<usize>();
    (lines, text.get(length..).unwrap_or(""))
}

/// A stretch of both sequences: equal, or replaced. The ranges are half-open.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Equal { first: std::ops::Range<usize>, latest: std::ops::Range<usize> },
    Replaced { first: std::ops::Range<usize>, latest: std::ops::Range<usize> },
}

/// Returns the longest common subsequence of two sequences as alternating stretches.
fn align(first: &[&str], latest: &[&str]) -> Vec<Step> {
    let head = first.iter().zip(latest).take_while(|(one, other)| one == other).count();
    let tail = first.iter().skip(head).rev().zip(latest.iter().skip(head).rev()).take_while(|(a, b)| a == b).count();
    let (first_end, latest_end) = (first.len() - tail, latest.len() - tail);
    let mut pairs: Vec<(usize, usize)> = (0..head).map(|at| (at, at)).collect();
    let middle =
        common(first.get(head..first_end).unwrap_or_default(), latest.get(head..latest_end).unwrap_or_default());
    pairs.extend(middle.into_iter().map(|(one, other)| (one + head, other + head)));
    pairs.extend((0..tail).map(|at| (first_end + at, latest_end + at)));
    stretches(&pairs, first.len(), latest.len())
}

/// Returns the pairs of equal elements that form the longest common subsequence.
fn common(first: &[&str], latest: &[&str]) -> Vec<(usize, usize)> {
    let width = latest.len() + 1;
    // lengths[i * width + j]: the longest common subsequence of first[i..] and latest[j..].
    let mut lengths = vec![0_u16; (first.len() + 1) * width];
    for (i, one) in first.iter().enumerate().rev() {
        for (j, other) in latest.iter().enumerate().rev() {
            lengths[i * width + j] = if one == other {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < first.len() && j < latest.len() {
        if first[i] == latest[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn stretches(pairs: &[(usize, usize)], first_len: usize, latest_len: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut i, mut j) = (0, 0);
    let end = (first_len, latest_len);
    for (one, other) in pairs.iter().copied().chain([end]) {
        if one > i || other > j {
            steps.push(Step::Replaced { first: i..one, latest: j..other });
        }
        if one < first_len && other < latest_len {
            match steps.last_mut() {
                Some(Step::Equal { first, latest }) => (first.end, latest.end) = (one + 1, other + 1),
                _ => steps.push(Step::Equal { first: one..one + 1, latest: other..other + 1 }),
            }
        }
        (i, j) = (one + 1, other + 1);
    }
    steps
}

#[derive(Default)]
struct Marks {
    first: Vec<Segment>,
    latest: Vec<Segment>,
}

impl Marks {
    /// Marks a stretch of lines; lines that replace each other are compared word by word.
    fn lines(&mut self, first: &[&str], latest: &[&str], step: Step) {
        let (first, latest, equal) = match step {
            Step::Equal { first: one, latest: other } => (&first[one], &latest[other], true),
            Step::Replaced { first: one, latest: other } => (&first[one], &latest[other], false),
        };
        for at in 0..first.len().max(latest.len()) {
            match (first.get(at), latest.get(at)) {
                (Some(one), Some(other)) if !equal => self.words(one, other),
                (one, other) => {
                    push(&mut self.first, one.unwrap_or(&""), !equal);
                    push(&mut self.latest, other.unwrap_or(&""), !equal);
                }
            }
        }
    }

    fn words(&mut self, first: &str, latest: &str) {
        let (ones, others) = (split_words(first), split_words(latest));
        let steps = align(&ones, &others);
        let equal: usize = steps
            .iter()
            .map(|step| match step {
                Step::Equal { first: range, .. } => ones[range.clone()].iter().map(|word| word.trim().len()).sum(),
                Step::Replaced { .. } => 0,
            })
            .sum();
        // Two lines that share only a few words are two different lines: scattered marks would say nothing.
        if equal * 3 < first.len().max(latest.len()) {
            push(&mut self.first, first, true);
            push(&mut self.latest, latest, true);
            return;
        }
        for step in steps {
            let (one, other, changed) = match step {
                Step::Equal { first, latest } => (first, latest, false),
                Step::Replaced { first, latest } => (first, latest, true),
            };
            push(&mut self.first, &ones[one].concat(), changed);
            push(&mut self.latest, &others[other].concat(), changed);
        }
    }
}

/// Returns the words (a uuid or a number is one), and each character between them. From the limit on, the rest is one
/// word.
fn split_words(line: &str) -> Vec<&str> {
    let in_word = |character: char| character.is_alphanumeric() || character == '-' || character == '_';
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let length = match rest.find(|character| !in_word(character)) {
            _ if words.len() == WORDS => rest.len(),
            Some(0) => next.len_utf8(),
            Some(end) => end,
            None => rest.len(),
        };
        let (word, behind) = rest.split_at(length);
        words.push(word);
        rest = behind;
    }
    words
}

/// Adds text to the last segment if that has the same mark.
fn push(segments: &mut Vec<Segment>, text: &str, changed: bool) {
    if text.is_empty() {
        return;
    }
    match segments.last_mut() {
        Some(last) if last.changed == changed => last.text.push_str(text),
        _ => segments.push(Segment { text: text.to_owned(), changed }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str =
        "java.lang.RuntimeException: gone\n\tat org.bahmni.A.a(A.java:1)\n\tat org.quartz.B.b(B.java:2)\n";

    fn joined(segments: &[Segment]) -> String {
        segments.iter().map(|segment| segment.text.as_str()).collect()
    }

    fn changed(segments: &[Segment]) -> Vec<&str> {
        segments.iter().filter(|segment| segment.changed).map(|segment| segment.text.as_str()).collect()
    }

    #[test]
    fn the_page_of_the_feed_is_no_difference() {
        let first = format!("Failed processing event in feed [http://openmrs:8080/x/patient/36] \ngone{TRACE}");
        let found = differ(&first, &format!("gone{TRACE}"));
        assert!(found.same_fault);
        assert!(found.is_none());
        assert_eq!(joined(&found.first), format!("gone{TRACE}"));
    }

    #[test]
    fn only_the_words_that_differ_are_marked() {
        let found = differ(
            "Bad response code of 404 for order 17 of today\n\tat org.bahmni.A.a(A.java:1)\n",
            "Bad response code of 500 for order 17 of today\n\tat org.bahmni.A.a(A.java:1)\n",
        );
        assert_eq!(changed(&found.first), ["404"]);
        assert_eq!(changed(&found.latest), ["500"]);
        assert!(!found.same_fault, "404 and 500 are two faults");
    }

    #[test]
    fn a_uuid_is_one_word_and_does_not_make_another_fault() {
        let text = |uuid| format!("Patient with uuid '{uuid}' not found in ELIS");
        let found =
            differ(&text("4417ab02-77aa-4be1-9c40-90fe11d0c2a7"), &text("4417ab02-77aa-4be1-9c40-90fe11d0c2a8"));
        assert!(found.same_fault);
        assert_eq!(changed(&found.latest), ["4417ab02-77aa-4be1-9c40-90fe11d0c2a8"]);
    }

    #[test]
    fn the_name_of_a_patient_does_not_make_another_fault() {
        let text = |name| format!("Preferred or Primary identifier is not available for the patient: {name}");
        assert!(differ(&text("Test Person One"), &text("Another Example")).same_fault);
    }

    #[test]
    fn an_added_cause_is_marked_as_a_whole() {
        let cause = "Caused by: java.net.ConnectException: Connection refused\n";
        let found = differ(TRACE, &format!("{TRACE}{cause}"));
        assert!(changed(&found.first).is_empty());
        assert_eq!(changed(&found.latest), [cause]);
    }

    #[test]
    fn a_line_in_the_middle_leaves_its_neighbours_unmarked() {
        let found = differ("a a\nb b\nc c\n", "a a\nc c\n");
        assert_eq!(changed(&found.first), ["b b\n"]);
        assert!(changed(&found.latest).is_empty());
    }

    #[test]
    fn unlike_lines_are_marked_whole_and_not_word_by_word() {
        let found = differ("Read timed out", "Bad response code of 404, out of reach");
        assert_eq!(changed(&found.first), ["Read timed out"]);
    }

    #[test]
    fn no_text_is_lost_whatever_it_is() {
        let long: String = (0..2000).map(|line| format!("line {line} é\n")).collect();
        let other = long.replace("line 1999", "line changed").replace("line 3 ", "line three ");
        for (first, latest) in [(long.as_str(), other.as_str()), ("", "x"), ("\n\n", "\n"), ("é", "e\u{301}\0")] {
            let found = differ(first, latest);
            assert_eq!(joined(&found.first), first);
            assert_eq!(joined(&found.latest), latest);
            assert!(!found.is_none());
        }
    }

    #[test]
    fn behind_the_limits_a_difference_is_still_marked() {
        let words = |last: &str| format!("{} {last}", vec!["word"; 5000].join(" "));
        let found = differ(&words("one"), &words("two"));
        assert!(!changed(&found.first).is_empty());
    }
}
