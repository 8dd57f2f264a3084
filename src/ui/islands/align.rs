//! Decides which parts of a page remain when it is brought to its new state: pure functions over the signatures of the
//! parts.

/// With more comparisons than this, parts are searched only in a window: in such long lists nothing is moved in the
/// middle.
const MOST_COMPARED: usize = 250_000;
const WINDOW: usize = 64;

/// Returns, for each part of `new`, the index of the part of `old` that becomes it: in order, so that none must be
/// moved, and as many as possible.
pub fn align(old: &[String], new: &[String]) -> Vec<Option<usize>> {
    let begin = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (old.get(begin..).unwrap_or_default(), new.get(begin..).unwrap_or_default());
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
    let old_middle = old_rest.get(..old_rest.len() - end).unwrap_or_default();
    let new_middle = new_rest.get(..new_rest.len() - end).unwrap_or_default();
    let middle = if old_middle.len().saturating_mul(new_middle.len()) <= MOST_COMPARED {
        longest(old_middle, new_middle)
    } else {
        nearest(old_middle, new_middle)
    };
    let after = begin + old_middle.len();
    (0..begin)
        .map(Some)
        .chain(middle.into_iter().map(|place| place.map(|place| begin + place)))
        .chain((after..after + end).map(Some))
        .collect()
}

/// Finds the longest common subsequence.
fn longest(old: &[String], new: &[String]) -> Vec<Option<usize>> {
    let width = new.len() + 1;
    let mut lengths = vec![0_u32; (old.len() + 1) * width];
    let at =
        |lengths: &[u32], row: usize, column: usize| lengths.get(row * width + column).copied().unwrap_or_default();
    for (row, one) in old.iter().enumerate().rev() {
        for (column, other) in new.iter().enumerate().rev() {
            let length = if one == other {
                at(&lengths, row + 1, column + 1) + 1
            } else {
                at(&lengths, row + 1, column).max(at(&lengths, row, column + 1))
            };
            if let Some(place) = lengths.get_mut(row * width + column) {
                *place = length;
            }
        }
    }
    let mut found = vec![None; new.len()];
    let (mut row, mut column) = (0, 0);
    while let (Some(one), Some(other)) = (old.get(row), new.get(column)) {
        if one == other {
            if let Some(place) = found.get_mut(column) {
                *place = Some(row);
            }
            (row, column) = (row + 1, column + 1);
        } else if at(&lengths, row + 1, column) >= at(&lengths, row, column + 1) {
            row += 1;
        } else {
            column += 1;
        }
    }
    found
}

fn nearest(old: &[String], new: &[String]) -> Vec<Option<usize>> {
    let mut next = 0;
    new.iter()
        .map(|wanted| {
            let found = old.iter().skip(next).take(WINDOW).position(|one| one == wanted)?;
            let place = next + found;
            next = place + 1;
            Some(place)
        })
        .collect()
}

/// Returns which rows are not in the list any more. A page of a list has a limited number of rows: rows that new ones
/// have pushed off its end are still in the list and do not count as ended.
pub fn ended(old: &[String], new: &[String]) -> Vec<usize> {
    let is_in = |keys: &[String], key: &String| keys.contains(key);
    let missing = old.iter().enumerate().filter(|(_, key)| !is_in(new, key)).map(|(place, _)| place);
    let came = new.iter().filter(|key| !is_in(old, key)).count();
    let reaches_further = new.last().is_some_and(|key| !is_in(old, key));
    let last_left = old.iter().rposition(|key| is_in(new, key));
    match last_left {
        // The page ends with the list, or with rows that were after it before.
        _ if came == 0 => missing.collect(),
        Some(_) if reaches_further => missing.collect(),
        Some(last) => missing.filter(|place| *place < last).collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    #[test]
    fn what_is_the_same_stays_and_nothing_is_moved() {
        for (old, new, stays) in [
            ("abc", "abc", "012"),
            ("abc", "xabc", "-012"),
            ("abc", "ac", "02"),
            ("abcd", "axyd", "0--3"),
            ("", "ab", "--"),
            ("ab", "", ""),
            // One of the two swapped parts is created anew.
            ("ab", "ba", "1-"),
            ("hslnnnf", "hslxnnnf", "012-3456"),
        ] {
            let found = align(&keys(old), &keys(new));
            let shown: String =
                found.iter().map(|place| place.map_or("-".to_owned(), |place| place.to_string())).collect();
            assert_eq!(shown, stays, "{old} → {new}");
        }
    }

    #[test]
    fn long_lists_are_aligned_in_one_pass() {
        let old: Vec<String> = (0..3_000).map(|number| number.to_string()).collect();
        let mut new: Vec<String> = old.iter().filter(|key| !key.ends_with('7')).cloned().collect();
        new.insert(0, "new".to_owned());
        new.push("end".to_owned());
        let found = align(&old, &new);
        assert_eq!((found.first(), found.last()), (Some(&None), Some(&None)));
        assert!(found.iter().skip(1).take(new.len() - 2).all(Option::is_some));
        assert!(found.iter().flatten().is_sorted());
    }

    #[test]
    fn a_row_has_ended_where_the_new_page_would_show_it() {
        for (old, new, gone) in [
            ("abcd", "abcd", ""),
            ("abcd", "acd", "b"),
            // A further row came from the next page, so the last row has ended.
            ("abcd", "abce", "d"),
            ("abcd", "acde", "b"),
            // A new row has pushed the last one off the page.
            ("abcd", "nabc", ""),
            ("abcd", "nacd", "b"),
            ("abcd", "", "abcd"),
            ("abcd", "ab", "cd"),
            // Nothing can be concluded.
            ("abcd", "wxyz", ""),
        ] {
            let (old, new) = (keys(old), keys(new));
            let found: String = ended(&old, &new).into_iter().map(|place| old[place].clone()).collect();
            assert_eq!(found, gone, "{old:?} → {new:?}");
        }
    }
}
