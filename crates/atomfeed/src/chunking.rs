//! How a feed is cut into pages: pure arithmetic over the rows of `chunking_history`.
//!
//! Positions are 1-based and counted within the feed's category. Each row's chunk length applies from its start up to
//! the position before the next row's start; the last row is open-ended. Page 1 is the oldest. Rows that would put an
//! event on two pages or on none are refused: the Java library accepts them, and its consumers then read an event twice
//! or never find the entry that their marker names.

/// The rows of `chunking_history` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkingError {
    /// The table is empty.
    #[error("chunking_history has no row, so there are no pages. The usual row is chunk_length 5, start 1.")]
    NoRow,
    /// A chunk length that is not a positive number.
    #[error("chunking_history row {id} has the chunk length {length}, which is not a positive number.")]
    Length {
        /// The row.
        id: i64,
        /// Its chunk length, as text.
        length: String,
    },
    /// A start that is not a position.
    #[error("chunking_history row {id} has the start {start}. Positions are counted from 1, so a start is 1 or more.")]
    Start {
        /// The row.
        id: i64,
        /// Its start, as text.
        start: String,
    },
    /// A start before that of an earlier row, so that their pages would overlap.
    #[error(
        "chunking_history row {id} starts at position {start}, before the row that precedes it ({before}). \
         Give each row, in the order of the ids, a start behind that of the row before."
    )]
    Order {
        /// The row.
        id: i64,
        /// Its start.
        start: i64,
        /// The start of the row that precedes it by id.
        before: i64,
    },
}

/// A row of `chunking_history` with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    length: i64,
    start: i64,
    /// The last position; `None` if open-ended.
    end: Option<i64>,
}

impl Stretch {
    /// Returns how many pages it has if the feed has this many events.
    fn pages(&self, events: i64) -> i64 {
        let last = self.end.map_or(events, |end| end.min(events));
        let count = last.saturating_sub(self.start).saturating_add(1);
        if count <= 0 { 0 } else { (count - 1) / self.length + 1 }
    }
}

/// Positions of the first and the last event that a page can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRange {
    /// The first position.
    pub first: i64,
    /// The last position.
    pub last: i64,
}

/// The rows of `chunking_history`, by id: how a feed is cut into pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunking(Vec<Stretch>);

impl Chunking {
    /// Creates the chunking from rows (id, chunk_length, start) ordered by id. The first row may lack a start, which
    /// means the first event. A row with the same start as the row before replaces it.
    ///
    /// # Errors
    /// Fails if there is no row, or rows would put an event on two pages or on none.
    pub fn new(rows: &[(i64, Option<i64>, Option<i64>)]) -> Result<Self, ChunkingError> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for &(id, length, start) in rows {
            let length = length.filter(|&length| length > 0).ok_or_else(|| ChunkingError::Length {
                id,
                length: length.map_or_else(|| "NULL".to_owned(), |length| length.to_string()),
            })?;
            let start = start.or(stretches.is_empty().then_some(1));
            let start = start.filter(|&start| start > 0).ok_or_else(|| ChunkingError::Start {
                id,
                start: start.map_or_else(|| "NULL".to_owned(), |start| start.to_string()),
            })?;
            if let Some(before) = stretches.last_mut() {
                if start < before.start {
                    return Err(ChunkingError::Order { id, start, before: before.start });
                }
                before.end = Some(start - 1);
            }
            stretches.push(Stretch { length, start, end: None });
        }
        if stretches.is_empty() { Err(ChunkingError::NoRow) } else { Ok(Self(stretches)) }
    }

    /// Returns the page length of the newest stretch.
    pub fn newest_length(&self) -> i64 {
        self.0.last().map_or(1, |stretch| stretch.length)
    }

    /// Returns how many pages a feed with this many events has.
    pub fn pages(&self, events: i64) -> i64 {
        self.0.iter().map(|stretch| stretch.pages(events)).fold(0, i64::saturating_add)
    }

    /// Returns the page that a position is on; `None` if it is on none.
    pub fn page_at(&self, position: i64) -> Option<i64> {
        let stretch = self.0.iter().rev().find(|stretch| stretch.start <= position)?;
        let before: i64 =
            self.0.iter().take_while(|other| other.start < stretch.start).map(|other| other.pages(position)).sum();
        Some(before + (position - stretch.start) / stretch.length + 1)
    }

    /// Returns the positions on a page of a feed with this many events; `None` if there is no such page.
    pub fn page(&self, number: i64, events: i64) -> Option<PageRange> {
        if number < 1 || number > self.pages(events) {
            return None;
        }
        let mut before = 0;
        for stretch in &self.0 {
            let pages = stretch.pages(events);
            if before + pages >= number {
                let first = stretch.start + (number - before - 1) * stretch.length;
                let last = first.saturating_add(stretch.length - 1);
                return Some(PageRange { first, last: stretch.end.map_or(last, |end| end.min(last)) });
            }
            before += pages;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunking(rows: &[(i64, i64)]) -> Chunking {
        let rows: Vec<_> = rows.iter().zip(1..).map(|(&(length, start), id)| (id, Some(length), Some(start))).collect();
        Chunking::new(&rows).expect("rows that can be used")
    }

    #[test]
    fn the_usual_row_makes_pages_of_five_from_the_first_event_on() {
        let usual = chunking(&[(5, 1)]);
        let pages: Vec<i64> = [0, 1, 5, 6, 10, 11].iter().map(|&events| usual.pages(events)).collect();
        assert_eq!(pages, [0, 1, 1, 2, 2, 3]);
        assert_eq!(usual.page(1, 11), Some(PageRange { first: 1, last: 5 }));
        assert_eq!(usual.page(3, 11), Some(PageRange { first: 11, last: 15 }));
        assert_eq!(usual.page(4, 11), None);
        assert_eq!(usual.page(0, 11), None);
    }

    #[test]
    fn each_length_holds_up_to_the_next_rows_start() {
        // 1-5, 6-7, then three per page from 8 on: the page before a change is shorter.
        let changed = chunking(&[(5, 1), (3, 8)]);
        assert_eq!(changed.pages(7), 2);
        assert_eq!(changed.page(2, 7), Some(PageRange { first: 6, last: 7 }));
        assert_eq!(changed.page(2, 20), Some(PageRange { first: 6, last: 7 }));
        assert_eq!(changed.page(3, 20), Some(PageRange { first: 8, last: 10 }));
        assert_eq!(changed.pages(11), 4);
    }

    #[test]
    fn every_event_is_on_exactly_one_page_whatever_the_history() {
        for rows in [
            &[(5, 1)][..],
            &[(1, 1), (4, 4), (2, 9)],
            &[(7, 1), (7, 8)],
            &[(3, 1), (10, 2), (1, 40)],
            // The second row replaces the first.
            &[(5, 1), (3, 1)],
        ] {
            let chunking = chunking(rows);
            for events in 0..60 {
                let mut next = 1;
                for page in 1..=chunking.pages(events) {
                    let range = chunking.page(page, events).expect("a page that is counted is there");
                    assert_eq!(range.first, next, "{rows:?}, {events} events, page {page}");
                    next = range.last + 1;
                }
                assert!(next > events, "{rows:?} leaves events out of {events}");
                for position in 1..=events {
                    let page = chunking.page_at(position).expect("every event is on a page");
                    let range = chunking.page(page, events).expect("the page is there");
                    assert!((range.first..=range.last).contains(&position), "{rows:?}, position {position}");
                }
            }
        }
    }

    #[test]
    fn a_history_that_makes_no_pages_is_an_error() {
        assert_eq!(Chunking::new(&[]), Err(ChunkingError::NoRow));
        let zero = Chunking::new(&[(3, Some(0), Some(1))]);
        assert_eq!(zero, Err(ChunkingError::Length { id: 3, length: "0".to_owned() }));
        assert!(Chunking::new(&[(1, None, None)]).is_err());
    }

    #[test]
    fn starts_that_would_put_an_event_on_two_pages_are_refused() {
        let refused =
            |rows: &[(i64, Option<i64>, Option<i64>)]| Chunking::new(rows).map(drop).map_err(|e| e.to_string());
        let first = (1, Some(5), Some(1));
        assert!(Chunking::new(&[(1, Some(5), None)]).is_ok(), "without a start it begins at the first event");
        for (rows, problem) in [
            (vec![(1, Some(5), Some(0))], "row 1 has the start 0."),
            (vec![(1, Some(5), Some(-3))], "row 1 has the start -3."),
            (vec![first, (2, Some(3), Some(0))], "row 2 has the start 0."),
            (vec![first, (2, Some(3), None)], "row 2 has the start NULL."),
            (vec![first, (2, Some(3), Some(8)), (4, Some(4), Some(6))], "row 4 starts at position 6, before"),
        ] {
            let error = refused(&rows).expect_err("rows that cannot be used");
            assert!(error.contains(problem), "{error}");
        }
    }
}
