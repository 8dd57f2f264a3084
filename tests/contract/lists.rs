//! Lists: order, pages in both directions, filters, the bounded search.

use atomfeed_console::{
    model::{
        Attempt, EventState, RowId,
        filter::{Direction, Filter, Order, Position},
    },
    server::sources::{ListRequest, ListRows, SCAN_LIMIT, SearchIn, Source, TextLimit},
};

use crate::support::database::{FEED, Failed, Server, TestDatabase, Variant, utc};

everywhere! {
    every_order_pages_the_same_forward_and_backward
    pages_stay_where_they_are_when_rows_come_and_go
    a_place_before_a_row_begins_with_it
    filters_leave_out_what_does_not_match
    a_time_range_holds_its_beginning_and_not_its_end
    a_search_finds_what_it_is_asked_and_nothing_else
    a_search_goes_the_way_of_the_lists_order_forward_and_backward
    long_texts_are_cut
    a_text_is_found_in_the_newest_attempts_that_are_named
}

on_each_server! {
    a_search_looks_at_so_many_rows_and_says_where_it_stopped
}

async fn list(source: &Source, filter: &Filter, from: Option<&Position>, direction: Direction, limit: u32) -> ListRows {
    let request = ListRequest { filter, from, direction, limit, texts: TextLimit::LIST, search: SearchIn::Everything };
    source.list(&request).await.expect("a list")
}

fn ids(rows: &ListRows) -> Vec<i128> {
    rows.rows.iter().map(|row| row.row.id.0).collect()
}

async fn ids_of(source: &Source, filter: &Filter) -> Vec<i128> {
    ids(&list(source, filter, None, Direction::Forward, 100).await)
}

/// Rows with equal times, without a time, in a different order by time than by id; their ids sort differently as text.
async fn fill(database: &mut TestDatabase) {
    let times = ["08:00:00", "09:00:00", "08:00:00", "-", "07:00:00.000001", "07:00:00", "-", "09:00:00", "08:00:00"];
    let mut rows = Vec::new();
    for (place, time) in times.iter().enumerate() {
        let mut row = database.failed(place as i128 + 6);
        row.failed_at = match *time {
            "-" => "NULL".to_owned(),
            // This variant stores milliseconds and nothing finer.
            time if database.variant == crate::support::database::Variant::Millis => {
                database.at(&format!("2026-11-01T{}Z", time.replace("000001", "001")))
            }
            time => database.at(&format!("2026-11-01T{time}Z")),
        };
        rows.push(row);
    }
    database.insert(&rows).await;
}

fn order(order: Order) -> Filter {
    Filter { order, ..Filter::default() }
}

async fn every_order_pages_the_same_forward_and_backward(database: &mut TestDatabase) {
    fill(database).await;
    let source = database.source();
    for (sort, expected) in [
        (Order::Newest, [13, 7, 14, 8, 6, 10, 11, 12, 9]),
        (Order::Oldest, [11, 10, 6, 8, 14, 7, 13, 9, 12]),
        (Order::IdDown, [14, 13, 12, 11, 10, 9, 8, 7, 6]),
        (Order::IdUp, [6, 7, 8, 9, 10, 11, 12, 13, 14]),
    ] {
        let filter = order(sort);
        assert_eq!(ids_of(&source, &filter).await, expected, "{sort:?}");

        let (mut forward, mut place) = (Vec::new(), None);
        loop {
            let page = list(&source, &filter, place.as_ref(), Direction::Forward, 2).await;
            let Some(last) = page.rows.last() else { break };
            place = Some(last.position.clone());
            forward.push(ids(&page));
        }
        assert_eq!(forward.concat(), expected, "{sort:?}, page by page");

        let (mut backward, mut place) = (Vec::new(), None);
        loop {
            let page = list(&source, &filter, place.as_ref(), Direction::Backward, 2).await;
            let Some(first) = page.rows.first() else { break };
            place = Some(Position { after: false, ..first.position.clone() });
            backward.insert(0, ids(&page));
        }
        assert_eq!(backward.concat(), expected, "{sort:?}, from the end");
    }
}

async fn pages_stay_where_they_are_when_rows_come_and_go(database: &mut TestDatabase) {
    fill(database).await;
    let source = database.source();
    let filter = order(Order::Newest);
    let first = list(&source, &filter, None, Direction::Forward, 3).await;
    assert_eq!(ids(&first), [13, 7, 14]);
    let place = first.rows[2].position.clone();

    // One row appears before the position, the row of the position itself is deleted, one appears after it.
    let newer = Failed { failed_at: database.at("2026-11-01T10:00:00Z"), ..database.failed(20) };
    let older = Failed { failed_at: database.at("2026-11-01T07:30:00Z"), ..database.failed(21) };
    database.insert(&[newer, older]).await;
    let table = database.table("failed_events");
    database.run(&format!("DELETE FROM {table} WHERE id = 14")).await;

    let next = list(&source, &filter, Some(&place), Direction::Forward, 3).await;
    assert_eq!(ids(&next), [8, 6, 21]);
    let back = Position { after: false, ..next.rows[0].position.clone() };
    assert_eq!(ids(&list(&source, &filter, Some(&back), Direction::Backward, 3).await), [20, 13, 7]);
}

async fn a_place_before_a_row_begins_with_it(database: &mut TestDatabase) {
    fill(database).await;
    let source = database.source();
    for sort in Order::ALL {
        let filter = order(sort);
        let all = list(&source, &filter, None, Direction::Forward, 100).await;
        for (place, row) in all.rows.iter().enumerate() {
            let before = Position { after: false, ..row.position.clone() };
            let from = list(&source, &filter, Some(&before), Direction::Forward, 100).await;
            assert_eq!(ids(&from), ids(&all)[place..], "{sort:?} from before {}", row.row.id);
            let to = list(&source, &filter, Some(&row.position), Direction::Backward, 100).await;
            assert_eq!(ids(&to), ids(&all)[..=place], "{sort:?} back from after {}", row.row.id);
        }
    }
}

async fn filters_leave_out_what_does_not_match(database: &mut TestDatabase) {
    const NUMBERED: &str = "http://openmrs:8080/openmrs/ws/atomfeed/Lab/36";
    const DEEPER: &str = "http://openmrs:8080/openmrs/ws/atomfeed/lab/36/more";
    const ENCODED: &str = "http://openmrs:8080/openmrs/ws/atomfeed/lab%20test/recent";
    const ENCODED_PAGE: &str = "http://openmrs:8080/openmrs/ws/atomfeed/lab%20test/7";
    let feeds = [Some(FEED), None, Some(""), Some(NUMBERED), Some(DEEPER), Some("/lab/"), Some("lab/7")];
    let feeds = feeds.into_iter().chain([Some(ENCODED), Some(ENCODED_PAGE)]);
    let mut rows = Vec::new();
    for (place, feed) in feeds.enumerate() {
        rows.push(Failed { feed, retries: place as i64, ..database.failed(place as i128 + 1) });
    }
    rows[0].tags = Some("patient, Lab ,x");
    rows[1].tags = Some("laboratory,lab_x");
    rows[5].retries = -3;
    database.insert(&rows).await;
    let source = database.source();
    let filter = |change: fn(&mut Filter)| {
        let mut filter = order(Order::IdUp);
        change(&mut filter);
        filter
    };

    assert_eq!(ids_of(&source, &filter(|filter| filter.feed = Some(FEED.to_owned()))).await, [1]);
    assert_eq!(ids_of(&source, &filter(|filter| filter.feed = Some(String::new()))).await, [2, 3]);
    let by_category = ids_of(&source, &filter(|filter| filter.category = Some("lab".to_owned()))).await;
    let by_wildcard = ids_of(&source, &filter(|filter| filter.category = Some("l%b".to_owned()))).await;
    let mut of_state = Vec::new();
    for state in [EventState::Waiting, EventState::Exhausted, EventState::Unknown] {
        of_state.push(ids_of(&source, &Filter { state: Some(state), ..order(Order::IdUp) }).await);
    }
    assert_eq!(by_wildcard, [0; 0]);
    let encoded = ids_of(&source, &filter(|filter| filter.category = Some("Lab test".to_owned()))).await;
    assert_eq!(encoded, [8, 9], "the address has the category encoded");
    if database.has_retries() {
        assert_eq!(by_category, [1, 4]);
        assert_eq!(of_state, [vec![1, 2, 3, 4, 5, 6], vec![7, 8, 9], vec![]]);
        let nobody_retries = database.source_with(|app| app.info.limits.max_retry = None);
        let exhausted = Filter { state: Some(EventState::Exhausted), ..order(Order::IdUp) };
        assert_eq!(ids_of(&nobody_retries, &exhausted).await, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    } else {
        assert_eq!(by_category, [4]);
        assert_eq!(of_state, [vec![], vec![], vec![1, 2, 3, 4, 5, 6, 7, 8, 9]]);
    }
}

async fn a_time_range_holds_its_beginning_and_not_its_end(database: &mut TestDatabase) {
    fill(database).await;
    let source = database.source();
    let range =
        |from: &str, until: &str| Filter { from: Some(utc(from)), until: Some(utc(until)), ..order(Order::IdUp) };
    assert_eq!(ids_of(&source, &range("2026-11-01T08:00:00Z", "2026-11-01T09:00:00Z")).await, [6, 8, 14]);
    assert_eq!(ids_of(&source, &range("2026-11-01T07:00:00Z", "2026-11-01T08:00:00Z")).await, [10, 11]);
    // The source returns the key at which an instant sorts.
    let key = source.time_key(utc("2026-11-01T08:00:00Z"));
    let place = Position { failed_at: Some(key), id: RowId(0), after: false };
    let page = list(&source, &order(Order::Oldest), Some(&place), Direction::Forward, 100).await;
    assert_eq!(ids(&page), [6, 8, 14, 7, 13, 9, 12]);
}

async fn a_search_finds_what_it_is_asked_and_nothing_else(database: &mut TestDatabase) {
    let mut rows: Vec<Failed> = (1..=6).map(|id| database.failed(id)).collect();
    rows[0].error = Some("100% of the O'Brien_case! \\ end".to_owned());
    rows[1].error = Some("1000 of the OBrienxcase".to_owned());
    rows[2].title = Some("Sample".to_owned());
    rows[3].content = Some("/x/deadbeef-0000?v=full".to_owned());
    rows[4].event_id = Some("tag:atomfeed.ict4h.org:CAFE".to_owned());
    database.insert(&rows).await;
    let source = database.source();
    for (text, expected) in [
        ("100% OF", vec![1]),
        ("o'brien_case!", vec![1]),
        ("! \\", vec![1]),
        ("sample", vec![3]),
        ("DEADBEEF", vec![4]),
        ("cafe", vec![5]),
        ("nowhere", vec![]),
        ("\u{1f9ea}", vec![]),
    ] {
        let filter = Filter { text: Some(text.to_owned()), ..Filter::default() };
        let page = list(&source, &filter, None, Direction::Forward, 50).await;
        assert_eq!((ids(&page), page.scanned, page.stopped_at), (expected, 6, None), "{text}");
    }
    // By descending id unless ascending order is requested.
    let filter = Filter { text: Some("org".to_owned()), ..Filter::default() };
    assert_eq!(ids_of(&source, &filter).await, [6, 5, 4, 3, 2, 1]);
    let filter = Filter { text: Some("org".to_owned()), order: Order::IdUp, ..Filter::default() };
    assert_eq!(ids_of(&source, &filter).await, [1, 2, 3, 4, 5, 6]);
}

async fn a_search_goes_the_way_of_the_lists_order_forward_and_backward(database: &mut TestDatabase) {
    // Times run opposite to ids: a search goes by id, because that can be read in bounded pieces.
    let rows: Vec<Failed> = (1..=5)
        .map(|id| Failed { failed_at: database.at(&format!("2026-11-01T0{}:00:00Z", 9 - id)), ..database.failed(id) })
        .collect();
    database.insert(&rows).await;
    let source = database.source();
    for (sort, expected) in [
        (Order::Newest, [5, 4, 3, 2, 1]),
        (Order::IdDown, [5, 4, 3, 2, 1]),
        (Order::Oldest, [1, 2, 3, 4, 5]),
        (Order::IdUp, [1, 2, 3, 4, 5]),
    ] {
        let filter = Filter { text: Some("Failed".to_owned()), ..order(sort) };
        let first = list(&source, &filter, None, Direction::Forward, 2).await;
        assert_eq!(ids(&first), expected[..2], "{sort:?}");
        let second = list(&source, &filter, Some(&first.rows[1].position), Direction::Forward, 2).await;
        assert_eq!(ids(&second), expected[2..4], "{sort:?}, the next page");
        let before = Position { after: false, ..second.rows[0].position.clone() };
        let back = list(&source, &filter, Some(&before), Direction::Backward, 2).await;
        assert_eq!(ids(&back), ids(&first), "{sort:?}, back again");
    }
}

async fn long_texts_are_cut(database: &mut TestDatabase) {
    // Few tables have room for more than what the consumers store.
    let roomy = database.variant == Variant::ModuleAtomfeed || database.server == Server::Sqlite;
    let error = "ß".repeat(if roomy { 4_100 } else { 4_000 });
    let row = Failed { error: Some(error), content: Some("ß".repeat(400)), ..database.failed(1) };
    database.insert(&[row]).await;
    let page = list(&database.source(), &Filter::default(), None, Direction::Forward, 1).await;
    // An error's innermost cause is at its end.
    assert_eq!(page.rows[0].row.error.as_deref(), Some("ß".repeat(4_000).as_str()));
    assert_eq!(page.rows[0].row.payload.as_deref(), Some("ß".repeat(300).as_str()));
}

async fn a_search_looks_at_so_many_rows_and_says_where_it_stopped(database: &mut TestDatabase) {
    let total = i128::from(SCAN_LIMIT) + 10;
    let mut rows: Vec<Failed> = (1..=total).map(|id| database.failed(id)).collect();
    for id in [1, 12, total] {
        rows[id as usize - 1].title = Some("needle".to_owned());
    }
    database.insert(&rows).await;
    let source = database.source();
    let filter = Filter { text: Some("needle".to_owned()), ..Filter::default() };

    let first = list(&source, &filter, None, Direction::Forward, 50).await;
    assert_eq!((ids(&first), first.scanned), (vec![total, 12], u64::from(SCAN_LIMIT)));
    let place = first.stopped_at.expect("there are rows behind");
    let rest = list(&source, &filter, Some(&place), Direction::Forward, 50).await;
    assert_eq!((ids(&rest), rest.scanned, rest.stopped_at), (vec![1], 10, None));

    // Backward from the end, the list's first rows are beyond the scan limit.
    let last = list(&source, &filter, None, Direction::Backward, 50).await;
    assert_eq!((ids(&last), last.scanned), (vec![12, 1], u64::from(SCAN_LIMIT)));
    let place = last.stopped_at.expect("there are rows before");
    let rest = list(&source, &filter, Some(&place), Direction::Backward, 50).await;
    assert_eq!((ids(&rest), rest.scanned, rest.stopped_at), (vec![total], 10, None));

    // A full page says nothing about what follows it.
    let full = list(&source, &filter, None, Direction::Forward, 1).await;
    assert_eq!((ids(&full), full.scanned, full.stopped_at), (vec![total], 1, None));

    // There are more rows with the same words than a read of the newest rows finds.
    let (same, whole) = source.same_record("encounter/5", None, 5).await.expect("an answer");
    assert_eq!((same.len(), whole), (5, false));
}

async fn a_text_is_found_in_the_newest_attempts_that_are_named(database: &mut TestDatabase) {
    let rows: Vec<Failed> = (1..=4).map(|id| database.failed(id)).collect();
    database.insert(&rows).await;
    if !database.has_retry_log() {
        return;
    }
    for (log_id, event, error) in
        [(1, 1, "Timeout 100%"), (2, 1, "refused"), (3, 2, "timeout 100%"), (4, 3, "Timeout 1000")]
    {
        let name = format!("tag:atomfeed.ict4h.org:{event}");
        database.log(log_id, Some(FEED), "2026-11-01T09:00:00Z", &name, error).await;
    }
    let source = database.source();
    let newest = [(1, 2), (2, 3), (3, 4)].map(|(row, log)| (RowId(row), RowId(log)));
    let found = async |text: &str, newest: &[(RowId, RowId)], search| {
        let filter = Filter { text: Some(text.to_owned()), ..Filter::default() };
        let request = ListRequest {
            filter: &filter,
            from: None,
            direction: Direction::Forward,
            limit: 10,
            texts: TextLimit::LIST,
            search,
        };
        ids(&source.list_with(&request, newest, None).await.expect("a list"))
    };
    let everything = SearchIn::Everything;
    // Event 1 has another newest attempt; `%` is an ordinary letter, and case is ignored.
    assert_eq!(found("TIMEOUT 100%", &newest, everything).await, [2]);
    assert_eq!(found("timeout", &newest, everything).await, [3, 2]);
    assert_eq!(found("refused", &newest, everything).await, [1]);
    assert_eq!(found("refused", &[], everything).await, [0_i128; 0]);
    assert_eq!(found("refused", &newest, SearchIn::IdAndTitle).await, [0_i128; 0]);
    // Text in the table itself is found as before, and each row is found once.
    assert_eq!(found("\"event 1\"", &newest, everything).await, [1]);
    // Each word in any of the texts; a phrase unchanged in one text.
    assert_eq!(found("100% timeout", &newest, everything).await, [2]);
    assert_eq!(found("\"100% timeout\"", &newest, everything).await, [0_i128; 0]);
    assert_eq!(found("ict4h.org:1 refused", &newest, everything).await, [1]);
    assert_eq!(found("ict4h.org:2 refused", &newest, everything).await, [0_i128; 0]);
    // An id shortened in the middle, and a link to a page that does not belong to a list.
    assert_eq!(found("tag:ato…org:3", &newest, everything).await, [3]);
    assert_eq!(found("https://desk.example/groups/3", &newest, everything).await, [0_i128; 0]);
    assert_eq!(found("e", &newest, everything).await, [4, 3, 2, 1]);

    // The same attempts by their ids, and from the end of the log if the ids are not known.
    let texts = |attempts: Vec<Attempt>| {
        let mut texts: Vec<String> = attempts.into_iter().filter_map(|attempt| attempt.error).collect();
        texts.sort();
        texts
    };
    let by_id = source.attempts(&[RowId(2), RowId(3), RowId(99)], TextLimit::LIST).await.expect("attempts");
    assert_eq!(texts(by_id), ["refused", "timeout 100%"]);
    assert_eq!(source.attempts(&[], TextLimit::LIST).await, Ok(vec![]));
    let rows = source.rows(&[RowId(1), RowId(2), RowId(4)], TextLimit::LIST).await.expect("rows");
    let newest = source.newest_attempts(&rows, TextLimit::LIST).await.expect("attempts");
    assert_eq!(newest.keys().map(|id| id.0).collect::<std::collections::BTreeSet<_>>(), [1, 2].into());
    assert_eq!(texts(newest.into_values().collect()), ["refused", "timeout 100%"]);
}
