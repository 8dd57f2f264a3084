//! Lists across applications: merged, paged by key, and the same forward and backward.

use atomfeed_console::{
    api::failed_events::{EventPage, ListPage},
    clock,
    model::{
        EventKey, RowId,
        filter::{Direction, ListQuery},
    },
    server::{
        lists,
        sources::{ListRequest, SearchIn, TextLimit},
    },
};

use super::hospital::{Hospital, Row, row};

/// Times that both applications have, so that the merge must keep ties apart.
const TIMES: [&str; 4] = ["2026-11-20 08:00:00", "2026-11-20 09:00:00.5", "2026-11-20 10:00:00", "2026-11-20 11:00:00"];

fn rows(count: i64) -> Vec<Row> {
    (1..=count)
        .map(|id| {
            let mut row = row(id, TIMES[usize::try_from(id).unwrap() * 7 % 4]);
            if id % 40 == 0 {
                row.at = None;
            }
            row
        })
        .collect()
}

type Key = (String, i128);

async fn walk(hospital: &Hospital, query: &str) -> (Vec<Vec<Key>>, Vec<ListQuery>) {
    let mut pages = Vec::new();
    let mut queries = vec![ListQuery::parse(query).unwrap()];
    loop {
        // Through the URL, as a browser would.
        let asked = ListQuery::parse(&queries.last().unwrap().to_query()).unwrap();
        let page = lists::page(&hospital.console, asked).await.unwrap();
        pages.push(page.rows.iter().map(|row| (row.app.clone(), row.id.0)).collect());
        match page.next {
            Some(next) => queries.push(next),
            None => return (pages, queries),
        }
        assert!(pages.len() < 100, "the list ends");
    }
}

#[tokio::test]
async fn every_row_is_on_exactly_one_page_in_every_order() {
    let hospital = Hospital::new(&rows(130), &rows(77)).await;
    for query in [
        "",
        "sort=oldest",
        "sort=application",
        "sort=application-down&state=exhausted",
        "app=odoo&sort=id-up",
        "app=odoo&sort=id-down",
        "app=openelis",
        "q=did+not+work",
        "sort=application&q=did+not+work",
    ] {
        let (pages, _) = walk(&hospital, query).await;
        let mut all: Vec<_> = pages.concat();
        let wanted = match query {
            "app=openelis" => 77,
            query if query.starts_with("app=odoo") => 130,
            _ => 207,
        };
        assert_eq!(all.len(), wanted, "{query}");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), wanted, "{query}: no row twice");
    }
}

#[tokio::test]
async fn the_way_back_shows_the_same_pages() {
    let hospital = Hospital::new(&rows(130), &rows(77)).await;
    for query in ["", "sort=oldest", "sort=application", "sort=application-down", "app=odoo&sort=id-up"] {
        let (pages, queries) = walk(&hospital, query).await;
        let mut page = lists::page(&hospital.console, queries.last().unwrap().clone()).await.unwrap();
        for expected in pages.iter().rev().skip(1) {
            let previous = page.previous.expect("a page before");
            page = lists::page(&hospital.console, ListQuery::parse(&previous.to_query()).unwrap()).await.unwrap();
            let keys: Vec<Key> = page.rows.iter().map(|row| (row.app.clone(), row.id.0)).collect();
            assert_eq!(keys, *expected, "{query}");
        }
        assert_eq!(page.previous, None, "{query}: the first page has none before it");
    }
}

#[tokio::test]
async fn rows_that_come_and_go_move_no_other_row_to_another_page() {
    let hospital = Hospital::new(&rows(130), &[]).await;
    let first = lists::page(&hospital.console, ListQuery::default()).await.unwrap();
    let before: Vec<_> = lists::page(&hospital.console, first.next.clone().unwrap()).await.unwrap().rows;
    // The row that the place names is deleted, and a newer one arrives.
    hospital.execute("Odoo", "DELETE FROM failed_events WHERE id IN (SELECT id FROM failed_events WHERE failed_at = '2026-11-20 11:00:00'); \
        INSERT INTO failed_events (id, failed_at) VALUES (1000, '2026-11-21 00:00:00')").await;
    let after: Vec<_> = lists::page(&hospital.console, first.next.unwrap()).await.unwrap().rows;
    let expected: Vec<_> = before
        .into_iter()
        .filter(|row| row.failed_at.as_ref().is_none_or(|at| !at.text.contains("11:00:00")))
        .collect();
    assert_eq!(after[..expected.len()], expected[..]);
}

#[tokio::test]
async fn neighbours_are_those_of_the_list_across_applications() {
    let hospital = Hospital::new(&rows(45), &rows(45)).await;
    for query in [
        "",
        "sort=oldest",
        "sort=application",
        "sort=application-down",
        "app=odoo&sort=id-up",
        "app=odoo&q=did+not+work",
        "app=odoo&sort=oldest&q=did+not+work",
    ] {
        let (pages, _) = walk(&hospital, query).await;
        let all = pages.concat();
        let list = ListQuery::parse(query).unwrap();
        for (at, (app, id)) in all.iter().enumerate() {
            let row = hospital.console.source(app).unwrap().event(RowId(*id)).await.unwrap().unwrap().row;
            let (previous, next) = lists::neighbours(&hospital.console, &list.filter, &row).await;
            let key = |key: Option<EventKey>| key.map(|key| (key.app, key.id.0));
            assert_eq!(key(previous), at.checked_sub(1).map(|at| all[at].clone()), "{query}: before {app} {id}");
            assert_eq!(key(next), all.get(at + 1).cloned(), "{query}: after {app} {id}");
        }
    }
}

#[tokio::test]
async fn an_export_holds_what_the_list_holds() {
    let hospital = Hospital::new(&rows(130), &rows(77)).await;
    let (pages, _) = walk(&hospital, "state=exhausted&sort=oldest").await;
    let mut expected = pages.concat();
    expected.sort(); // Application by application, by id.
    let csv = hospital.get("/atomfeed-console/failed-events.csv?state=exhausted&sort=oldest").await;
    assert!(csv.header("content-disposition").starts_with("attachment; filename=\"failed-events-"));
    let mut reader = csv::Reader::from_reader(csv.body.as_bytes());
    let read: Vec<Key> = reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            (record[0].to_lowercase(), record[1].parse().unwrap())
        })
        .collect();
    assert_eq!(read, expected);
    let ndjson = hospital.get("/atomfeed-console/failed-events.ndjson?state=exhausted&sort=oldest").await;
    let read: Vec<Key> = ndjson
        .body
        .lines()
        .map(|line| {
            let row: atomfeed_console::model::FailedEventRow = serde_json::from_str(line).unwrap();
            (row.app, row.id.0)
        })
        .collect();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn a_long_text_is_downloaded_whole() {
    let mut long = row(1, "2026-11-20 08:00:00");
    long.error = "äöü€😀 ".repeat(400_000);
    long.payload = String::new();
    let hospital = Hospital::new(&[long.clone()], &[]).await;
    let answer = hospital.get("/atomfeed-console/failed-events/odoo/1/error.txt").await;
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert!(answer.body == long.error, "{} of {} bytes", answer.body.len(), long.error.len());
    assert_eq!(hospital.get("/atomfeed-console/failed-events/odoo/1/payload.txt").await.body, "");
    assert_eq!(hospital.get("/atomfeed-console/failed-events/odoo/2/payload.txt").await.status.as_u16(), 404);
}

#[tokio::test]
async fn neighbours_in_a_text_search_are_within_the_application() {
    let hospital = Hospital::new(&rows(9), &rows(9)).await;
    let list = ListQuery::parse("q=did+not+work").unwrap();
    for id in 1..=9 {
        let row = hospital.console.source("odoo").unwrap().event(RowId(id)).await.unwrap().unwrap().row;
        let (previous, next) = lists::neighbours(&hospital.console, &list.filter, &row).await;
        let key = |id: i128| (1..=9).contains(&id).then_some(EventKey { app: "odoo".into(), id: RowId(id) });
        assert_eq!((previous, next), (key(id + 1), key(id - 1)), "highest id first");
    }
}

#[tokio::test]
async fn a_cut_text_of_an_export_says_so() {
    let mut long = row(1, "2026-11-20 08:00:00");
    long.error = "x".repeat(100_001);
    let hospital = Hospital::new(&[long], &[]).await;
    let ndjson = hospital.get("/atomfeed-console/failed-events.ndjson").await.json();
    assert!(ndjson["error"].as_str().unwrap().ends_with("xxx… [cut here, after 100000 characters]"));
    assert!(!ndjson["payload"].as_str().unwrap().contains("[cut here"));
}

/// Returns the ids of a whole list, page by page.
pub async fn whole_list(hospital: &Hospital, query: &str) -> Vec<i64> {
    let mut query = query.to_owned();
    let mut ids = Vec::new();
    loop {
        let mut asked = String::new();
        atomfeed_console::model::filter::push(&mut asked, "query", &query);
        let page = hospital.get(&format!("/atomfeed-console/api/failed_events?{asked}")).await;
        let page: ListPage = serde_json::from_str(&page.body).expect("a page");
        ids.extend(page.rows.iter().map(|row| i64::try_from(row.id.0).expect("a small id")));
        match page.next {
            Some(next) if ids.len() < 1_000 => query = next.to_query(),
            _ => return ids,
        }
    }
}

#[tokio::test]
async fn a_long_list_has_the_same_order_from_the_ledger_as_from_the_table() {
    let hospital = Hospital::new(&[], &[]).await;
    // Ids and times in different orders, rows without a time, and a few exhausted ones among many.
    hospital
        .execute(
            "Odoo",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20500)
             INSERT INTO failed_events (id, feed_uri, failed_at, error_message, event_id, title, retries)
             SELECT i, CASE WHEN i % 100 = 0 THEN 'http://x/rare/recent' ELSE 'http://x/many/recent' END,
                    CASE WHEN i % 500 = 0 THEN NULL WHEN i % 700 = 0 THEN '0000-00-00 00:00:00' ELSE datetime(1790000000 + (i * 7919) % 20000, 'unixepoch') END,
                    'error', 'tag:' || i, 'title', CASE WHEN i % 90 = 0 THEN 5 ELSE 1 END FROM n",
        )
        .await;
    hospital.look("odoo").await;
    assert!(hospital.console.parts.watch.in_step("odoo"));
    let source = hospital.console.source("odoo").expect("the source");
    for query in [
        "app=odoo&feed=http://x/rare/recent",
        "app=odoo&state=exhausted",
        "app=odoo&state=exhausted&sort=oldest",
        "app=odoo&feed=http://x/rare/recent&sort=oldest",
        "app=odoo&feed=http://x/rare/recent&sort=id-down",
        "app=odoo&from=2026-09-21T15:00&until=2026-09-21T15:10",
    ] {
        let filter = ListQuery::parse(query).expect(query).filter;
        let request = ListRequest {
            filter: &filter,
            from: None,
            direction: Direction::Forward,
            limit: 1_000,
            texts: TextLimit::LIST,
            search: SearchIn::Everything,
        };
        let told = source.list(&request).await.expect("a list").rows;
        let told: Vec<i64> = told.iter().map(|row| i64::try_from(row.row.id.0).expect("small")).collect();
        assert!(told.len() > 50, "{query} has pages");
        assert_eq!(whole_list(&hospital, query).await, told, "{query}");
    }
    // Since the last poll one was retried and one was resolved: neither is shown in its old state.
    hospital
        .execute("Odoo", "UPDATE failed_events SET retries = 0 WHERE id = 90; DELETE FROM failed_events WHERE id = 180")
        .await;
    let now = whole_list(&hospital, "app=odoo&state=exhausted").await;
    assert!(!now.contains(&90) && !now.contains(&180) && now.contains(&270));
}

/// Returns what a failed event's page says of others: those of its record, and how many wait before it.
async fn around(hospital: &Hospital, id: i64) -> (Vec<i64>, Option<u64>, usize) {
    let page = hospital.get(&format!("/atomfeed-console/api/failed_event?app=odoo&id={id}&list=")).await;
    let page: EventPage = serde_json::from_str(&page.body).expect("a page");
    let same = page.same_record.iter().map(|row| i64::try_from(row.id.0).expect("small")).collect();
    (same, page.ahead, page.same_record_missing.len())
}

/// Polls until the ledger has read the whole table: on a busy machine one poll may not complete.
async fn until_known(hospital: &Hospital) {
    for _ in 0..20 {
        hospital.look("odoo").await;
        if lists::is_long_and_known(&hospital.console, "odoo", lists::EVENT_FROM_LEDGER) {
            return;
        }
    }
    panic!("the ledger does not come to know the table");
}

#[tokio::test]
async fn what_stands_around_an_event_of_a_long_table_is_the_same_from_the_ledger_as_from_the_table() {
    let hospital = Hospital::new(&[], &[]).await;
    // Each record has three events, far from each other, and one in capitals; some rows have no feed.
    hospital
        .execute(
            "Odoo",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 19000)
             INSERT INTO failed_events (id, feed_uri, failed_at, error_message, event_id, event_content, title, retries)
             SELECT i, CASE WHEN i % 100 = 0 THEN NULL ELSE 'http://x/many/recent' END,
                    datetime(1790000000 + i, 'unixepoch'), 'error', 'tag:' || i,
                    '/openmrs/ws/rest/v1/encounter/10000000-0000-4000-' || CASE WHEN i = 12007 THEN 'B' ELSE 'b' END
                    || printf('%03d-%012d', i % 6000 % 999, i % 6000),
                    'title', CASE WHEN i % 9 = 0 THEN 5 ELSE 1 END FROM n",
        )
        .await;
    hospital.look("odoo").await;
    assert!(!lists::is_long_and_known(&hospital.console, "odoo", lists::EVENT_FROM_LEDGER));
    assert_eq!(around(&hospital, 18_007).await, (vec![12_007, 6_007, 7], Some(15_846), 0), "from the table");
    assert_eq!(around(&hospital, 300).await, (vec![18_300, 12_300, 6_300], Some(2), 0), "from the table");
    hospital
        .execute(
            "Odoo",
            "WITH RECURSIVE n(i) AS (SELECT 20001 UNION ALL SELECT i + 1 FROM n WHERE i < 22000)
             INSERT INTO failed_events (id, feed_uri, failed_at, error_message, event_id, event_content, title, retries)
             SELECT i, 'http://x/other/recent', datetime(1790000000 + i, 'unixepoch'), 'error', 'tag:' || i,
                    '/openmrs/ws/rest/v1/patient/20000000-0000-4000-8000-' || printf('%012d', i), 'title', 1 FROM n",
        )
        .await;
    until_known(&hospital).await;
    assert_eq!(around(&hospital, 18_007).await, (vec![12_007, 6_007, 7], Some(15_846), 0), "from the ledger");
    assert_eq!(around(&hospital, 300).await, (vec![18_300, 12_300, 6_300], Some(2), 0), "from the ledger");
    // The ledger cannot know what was not polled: this shows that the ledger answered.
    hospital
        .execute(
            "Odoo",
            "UPDATE failed_events SET retries = 5 WHERE id = 1; \
             INSERT INTO failed_events SELECT 30000, feed_uri, failed_at, error_message, 'tag:new', event_content, \
             error_hash_code, title, retries, tags FROM failed_events WHERE id = 7",
        )
        .await;
    assert_eq!(around(&hospital, 18_007).await, (vec![12_007, 6_007, 7], Some(15_846), 0));
    // A reset that it has not seen means that others may have been reset, too.
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 0 WHERE id = 18007").await;
    assert_eq!(around(&hospital, 18_007).await.1, Some(15_845));
    // It does not show a row that was deleted, or that is now another event's.
    hospital.execute("Odoo", "DELETE FROM failed_events WHERE id = 6007").await;
    let searched = around(&hospital, 18_007).await;
    assert_eq!(
        (searched.0, searched.2),
        (vec![30_000, 12_007], 1),
        "the table was asked, whose newest rows are searched"
    );
    hospital
        .execute(
            "Odoo",
            "INSERT INTO failed_events (id, feed_uri, error_message, event_id, event_content, retries) \
             VALUES (6007, 'http://x/many/recent', 'error', 'tag:another', '/patient/30000000-0000-4000-8000-000000000000', 1)",
        )
        .await;
    assert_eq!(around(&hospital, 18_007).await.0, [30_000, 12_007]);
    hospital.look("odoo").await;
    assert_eq!(around(&hospital, 18_007).await, (vec![30_000, 12_007, 7], Some(15_845), 0), "from the ledger again");
}

#[tokio::test]
async fn a_copied_uuid_is_found_with_all_that_comes_along() {
    const UUID: &str = "abcdef12-77aa-4be1-9c40-90fe11d0d8e2";
    let with = |id, event: String| Row { event, ..row(id, TIMES[0]) };
    // One event has the library's prefix, one has none, and one has its uuid in the payload alone.
    let mut of_payload = row(3, TIMES[0]);
    of_payload.payload = format!("/openmrs/ws/rest/v1/patient/{UUID}?v=full");
    let rows =
        [with(1, format!("tag:atomfeed.ict4h.org:{UUID}")), with(2, UUID.to_uppercase()), of_payload, row(4, TIMES[0])];
    let hospital = Hospital::new(&rows, &[]).await;
    hospital.followed().await;
    for text in [
        UUID.to_owned(),
        format!(" {UUID} "),
        format!("\t{UUID}\u{a0}"),
        UUID.to_uppercase(),
        format!("tag:atomfeed.ict4h.org:{UUID}"),
        format!("{{{}}}", UUID.to_uppercase()),
        format!("[tag:atomfeed.ict4h.org:{UUID}] "),
    ] {
        let mut query = String::new();
        atomfeed_console::model::filter::push(&mut query, "q", &text);
        let page = lists::page(&hospital.console, ListQuery::parse(&query).expect("a query")).await.expect("a page");
        let mut ids: Vec<i128> = page.rows.iter().map(|row| row.id.0).collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3], "{text:?}");
        let csv = hospital.get(&format!("/atomfeed-console/failed-events.csv?{query}")).await.body;
        assert_eq!(csv::Reader::from_reader(csv.as_bytes()).records().count(), 3, "{text:?}");
        let mut find = String::new();
        atomfeed_console::model::filter::push(&mut find, "find", &text);
        let history = hospital.page(&format!("/atomfeed-console/history?{find}")).await.body;
        for id in 1..=3 {
            assert!(history.contains(&format!("/atomfeed-console/history/{id}\"")), "{text:?} {id}: {history}");
        }
    }
    let blank = hospital.page("/atomfeed-console/failed-events?app=odoo&q=+++").await.body;
    assert!(blank.contains("<h1>4 failed events in Odoo<"), "blanks alone are no filter: {blank}");
}

#[tokio::test]
async fn a_file_for_spreadsheets_says_that_it_is_utf_8() {
    let mut named = row(1, TIMES[0]);
    named.error = "प्रिया को नहीं मिला".to_owned();
    let hospital = Hospital::new(&[named], &[]).await;
    hospital.followed().await;
    for path in ["/failed-events.csv", "/history.csv", "/audit.csv"] {
        let body = hospital.get(&format!("/atomfeed-console{path}")).await.body;
        assert!(body.starts_with('\u{feff}') && body.matches('\u{feff}').count() == 1, "{path}");
    }
    let csv = hospital.get("/atomfeed-console/failed-events.csv").await.body;
    assert!(csv.contains("प्रिया को नहीं मिला"), "{csv}");
    assert!(!hospital.get("/atomfeed-console/failed-events.ndjson").await.body.starts_with('\u{feff}'));
}

#[tokio::test]
async fn a_page_beyond_the_end_is_the_last_one_and_says_so() {
    let hospital = Hospital::new(&rows(130), &[]).await;
    for sort in ["", "&sort=oldest", "&sort=id-down", "&sort=id-up"] {
        let (pages, queries) = walk(&hospital, &format!("app=odoo{sort}")).await;
        let last = lists::page(&hospital.console, queries.last().unwrap().clone()).await.unwrap();
        // Just after its last row, as the link to the next page would be if rows were deleted meanwhile.
        let row = last.rows.last().unwrap();
        let mut beyond = queries.last().unwrap().clone();
        let failed_at = row.failed_at.as_ref().map(|stamp| stamp.text.clone());
        let place = atomfeed_console::model::filter::Position { failed_at, id: row.id, after: true };
        beyond.place.positions.insert("odoo".to_owned(), place);
        let page = lists::page(&hospital.console, ListQuery::parse(&beyond.to_query()).unwrap()).await.unwrap();
        assert!(page.at_end && page.next.is_none() && page.previous.is_some(), "{sort}");
        let keys: Vec<Key> = page.rows.iter().map(|row| (row.app.clone(), row.id.0)).collect();
        let all = pages.concat();
        assert_eq!(keys, all[all.len() - keys.len()..], "{sort}");
        assert_eq!(keys.len(), 50, "{sort}: a whole page");
        let html = hospital.page(&format!("/atomfeed-console/failed-events?{}", beyond.to_query())).await.body;
        assert!(html.contains("This is the last page") && !html.contains("No more events"), "{html}");
    }
    // If the whole list fits on a page, that is the page; if there is nothing at all, the page says so.
    hospital.execute("Odoo", "DELETE FROM failed_events WHERE id > 7").await;
    let beyond = "app=odoo&sort=id-down&after=odoo~1~-";
    let page = lists::page(&hospital.console, ListQuery::parse(beyond).unwrap()).await.unwrap();
    assert_eq!((page.rows.len(), page.at_end, page.next, page.previous), (7, true, None, None));
    hospital.execute("Odoo", "DELETE FROM failed_events").await;
    let html = hospital.page(&format!("/atomfeed-console/failed-events?{beyond}")).await.body;
    assert!(html.contains("No results. Change or clear the filter.") && !html.contains("last page"), "{html}");
    for path in ["operations?before=1", "discarded?before=1"] {
        let page = hospital.page(&format!("/atomfeed-console/{path}")).await.body;
        assert!(page.contains("There is nothing older."), "{path}: {page}");
    }
}

#[tokio::test]
async fn of_an_event_of_a_long_table_the_ledger_knows_the_rows_of_the_retry_log() {
    let hospital = Hospital::new(&[], &[]).await;
    hospital
        .execute(
            "Odoo",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20050)
             INSERT INTO failed_events (id, feed_uri, failed_at, error_message, event_id, title, retries)
             SELECT i, 'http://x/many/recent', datetime(1790000000 + i, 'unixepoch'), 'error', 'tag:' || i, 'title', 5 FROM n;
             INSERT INTO failed_event_retry_log (id, feed_uri, failed_at, error_message, event_id)
             SELECT id, feed_uri, datetime(1800000000, 'unixepoch'), 'tried', event_id FROM failed_events WHERE id < 100;
             INSERT INTO failed_event_retry_log (id, feed_uri, failed_at, error_message, event_id)
             SELECT 200, feed_uri, datetime(1800000100, 'unixepoch'), 'tried again', event_id FROM failed_events WHERE id = 7",
        )
        .await;
    until_known(&hospital).await;
    let store = &hospital.console.parts.store;
    let ids = |ids: &[i128]| ids.iter().copied().map(RowId).collect::<Vec<_>>();
    let known = async |event: &str| store.log_of_event("odoo", event).await.expect("the ledger");
    assert_eq!(known("tag:7").await, Some((ids(&[200, 7]), RowId(200))));
    assert_eq!(known("tag:8").await, Some((ids(&[8]), RowId(200))));
    assert_eq!(known("tag:20000").await, Some((vec![], RowId(200))));
    let attempts = async |id: i64| -> Vec<String> {
        let path = format!("/atomfeed-console/api/failed_event?app=odoo&id={id}&list=");
        let page: EventPage = serde_json::from_value(hospital.get(&path).await.json()).expect("a page");
        let attempts = page.event.attempts.here().cloned().unwrap_or_default();
        attempts.into_iter().map(|attempt| attempt.id.to_string()).collect()
    };
    assert_eq!(attempts(7).await, ["7", "200"]);
    assert_eq!(attempts(20_000).await, [""; 0]);
    // What arrived since the last poll is on the page, too.
    hospital
        .execute(
            "Odoo",
            "INSERT INTO failed_event_retry_log (id, feed_uri, failed_at, error_message, event_id)
             VALUES (201, 'http://x/many/recent', datetime(1800000200, 'unixepoch'), 'tried at last', 'tag:7')",
        )
        .await;
    assert_eq!(attempts(7).await, ["7", "200", "201"]);
}

#[tokio::test]
async fn a_list_is_grouped_by_cause_within_its_filter() {
    let of = |id: i64, error: &str| {
        let mut row = row(id, TIMES[0]);
        row.error = error.to_owned();
        row
    };
    let odoo: Vec<Row> = (1..=3).map(|id| of(id, "No route to host")).chain([of(4, "Read timed out")]).collect();
    let hospital = Hospital::new(&odoo, &[of(1, "Read timed out")]).await;
    hospital.followed().await;
    let page = hospital.page("/atomfeed-console/failed-events?by=cause").await.body;
    assert!(page.contains("<h1>5 failed events by cause<"), "{page}");
    let page = hospital.page("/atomfeed-console/failed-events?app=odoo&state=exhausted&q=x&by=cause").await.body;
    assert!(page.contains("<h1>4 failed events by cause<") && page.contains("are not used"), "{page}");
    let (first, second) =
        (page.find("No route to host").expect("a cause"), page.find("Read timed out").expect("another"));
    assert!(first < second, "the greatest first: {page}");
    assert!(page.contains("Retry 3…") && page.contains("app=odoo&amp;state=exhausted&amp;group="), "{page}");
    let none = hospital.page("/atomfeed-console/failed-events?app=odoo&state=waiting&by=cause").await.body;
    assert!(none.contains("<h1>No failed events<"), "{none}");
    let list = hospital.page("/atomfeed-console/failed-events?app=odoo").await.body;
    assert!(list.contains("/failed-events?app=odoo&amp;by=cause"), "one click from the list: {list}");
}

#[tokio::test]
async fn a_range_up_to_now_begins_where_the_readers_day_does() {
    use axum::http::Request;
    use chrono::Datelike;

    let hospital = Hospital::new(&[row(1, TIMES[0])], &[]).await;
    let heading = async |cookie: &'static str, query: &str| {
        let request = Request::get(format!("/atomfeed-console/api/failed_events?query={query}"));
        let answer = hospital.send(request.header("cookie", cookie).body(axum::body::Body::empty()).unwrap()).await;
        answer.json()["query"]["filter"]["from"].as_str().map(str::to_owned).unwrap_or_default()
    };
    // Where it is 14 hours later than in UTC, today began at 10:00 UTC.
    let today = heading("atomfeed_zone=Pacific/Kiritimati", "since%3Dtoday").await;
    assert!(today.ends_with("T10:00:00Z"), "{today}");
    let today = heading("", "since%3Dtoday").await;
    assert!(today.ends_with("T00:00:00Z") && today.starts_with(&clock::now().year().to_string()), "{today}");
    let page = hospital.page("/atomfeed-console/failed-events?since=7d").await.body;
    assert!(page.contains("since=7d") && page.contains("Last 7 days"), "links keep the range: {page}");
    assert_eq!(hospital.get("/atomfeed-console/failed-events?since=soon").await.status, 400);
}

#[tokio::test]
async fn a_search_that_fills_a_page_says_at_least_how_many_match_and_counts_them_when_asked() {
    let hospital = Hospital::new(&rows(130), &rows(77)).await;
    let page = hospital.page("/atomfeed-console/failed-events?q=did+not+work").await.body;
    assert!(page.contains("At least 50 match."), "{page}");
    assert!(page.contains("href=\"/atomfeed-console/failed-events?q=did%20not%20work&amp;count=all\""), "{page}");
    assert!(!page.contains("Searched "), "a full page says nothing of what lies behind its last row");
    // The page says what the button affects before it is pressed.
    assert!(page.contains("also those that no page has shown yet"), "{page}");
    let counted = hospital.page("/atomfeed-console/failed-events?q=did+not+work&count=all").await.body;
    assert!(counted.contains("207 failed events<") && counted.contains("207 match, counted in whole tables."));
    assert!(counted.contains("Retry all 207…") && counted.contains("Discard all 207…"), "{counted}");
    assert!(!counted.contains("also those that no page has shown yet") && !counted.contains("Count all"));
    // What neither the ledger nor the snapshot can count: a category, a time.
    for query in ["category=encounter", "from=2026-11-20T08:30"] {
        let page = hospital.page(&format!("/atomfeed-console/failed-events?{query}")).await.body;
        assert!(page.contains("At least 50 match.") && page.contains("count=all"), "{query}: {page}");
    }
    let of_time = hospital.page("/atomfeed-console/failed-events?from=2026-11-20T08:30&count=all").await.body;
    let after: usize =
        [130, 77].iter().flat_map(|count| rows(*count)).filter(|row| row.at.is_some_and(|at| at > TIMES[0])).count();
    assert!(of_time.contains(&format!("{after} match, counted in whole tables.")), "{after}: {of_time}");
    // A list with its own number offers no count.
    let all = hospital.page("/atomfeed-console/failed-events").await.body;
    assert!(!all.contains("Count all") && !all.contains("match."));
}

#[tokio::test]
async fn the_heads_of_columns_sort_and_say_how_the_list_is_sorted() {
    let hospital = Hospital::new(&rows(30), &rows(30)).await;
    let (pages, _) = walk(&hospital, "sort=application").await;
    let apps: Vec<String> = pages.concat().into_iter().map(|(app, _)| app).collect();
    assert_eq!(apps, [vec!["odoo".to_owned(); 30], vec!["openelis".to_owned(); 30]].concat());
    let (pages, _) = walk(&hospital, "sort=application-down").await;
    assert_eq!(pages[0][0].0, "openelis");
    let head = async |query: &str, class: &str| {
        let page = hospital.page(&format!("/atomfeed-console/failed-events?{query}")).await.body;
        let class = format!("class=\"{class}\"");
        let is_it = |head: &&str| head.split('>').next().is_some_and(|tag| tag.contains(&class));
        let head = page.split("<th ").find(is_it).expect("the head").split_once("</th>").expect("its end").0.to_owned();
        let part = |from: &str| head.split_once(from).map(|(_, rest)| rest.split('"').next().unwrap().to_owned());
        (part("aria-sort=\""), part("href=\"/atomfeed-console/failed-events"))
    };
    let is = |sort: Option<&str>, link: Option<&str>| (sort.map(str::to_owned), link.map(str::to_owned));
    assert_eq!(head("", "at").await, is(Some("descending"), Some("?sort=oldest")));
    assert_eq!(head("sort=oldest", "at").await, is(Some("ascending"), Some("")));
    assert_eq!(head("sort=application", "at").await, is(None, Some("")));
    assert_eq!(head("", "where").await, is(None, Some("?sort=application")));
    assert_eq!(head("sort=application", "where").await, is(Some("ascending"), Some("?sort=application-down")));
    assert_eq!(head("sort=application-down", "where").await, is(Some("descending"), Some("?sort=application")));
    assert_eq!(head("app=odoo", "where").await, is(None, None), "one application has no order of applications");
    assert_eq!(head("", "named").await, is(None, None), "ids of two applications cannot be compared");
    assert_eq!(head("app=odoo", "named").await, is(None, Some("?app=odoo&amp;sort=id-up")));
    assert_eq!(head("app=odoo&sort=id-up", "named").await, is(Some("ascending"), Some("?app=odoo&amp;sort=id-down")));
}

/// Returns the cells of a column of a list's page.
fn cells(page: &str, class: &str) -> Vec<String> {
    let class = format!("class=\"{class}\"");
    let is_it = |cell: &&str| cell.split('>').next().is_some_and(|tag| tag.contains(&class));
    page.split("<td ").filter(is_it).map(|cell| cell.split("</td>").next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_filtered_list_marks_what_matches_or_quotes_it() {
    let mut rows = vec![row(1, TIMES[0]), row(2, TIMES[1])];
    rows[0].error = "Post call to /api/bahmni-saleorder failed\nCaused by: Patient Id not found".to_owned();
    rows[1].error = "Read timed out".to_owned();
    rows[1].payload = "/openmrs/ws/rest/v1/saleorder".to_owned();
    let hospital = Hospital::new(&rows, &[]).await;
    let found = async |query: &str| {
        let page = hospital.page(&format!("/atomfeed-console/failed-events?q={query}")).await.body;
        // Marks of the framework between texts.
        let page = page.replace("<!>", "");
        (cells(&page, "said"), page)
    };
    let (errors, _) = found("patient+id").await;
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("<mark>Patient</mark>") && errors[0].contains("<mark>Id</mark>"), "{errors:?}");
    let (errors, page) = found("saleorder").await;
    let hidden = errors.iter().find(|error| error.contains("Read timed out")).expect("found by its payload");
    assert!(hidden.contains("No match is shown for “saleorder”."), "{hidden}");
    let quoted = errors.iter().find(|error| error.contains("Patient Id not found")).expect("found by its error");
    assert!(quoted.contains("Post call to /api/bahmni-<mark>saleorder</mark> failed"), "{quoted}");
    assert!(!page.contains("v1/saleorder"), "a list shows no payload");
    let (errors, _) = found("patient+saleorder").await;
    assert!(
        errors[0].contains("<mark>Patient</mark>") && errors[0].contains("bahmni-<mark>saleorder</mark>"),
        "{errors:?}"
    );
    let (errors, _) = found("timed+saleorder").await;
    assert!(
        errors[0].contains("<mark>timed</mark>") && errors[0].contains("No match is shown for “saleorder”."),
        "{errors:?}"
    );
    let (errors, _) = found("00000000-0000-4000-8000-000000000001").await;
    assert!(
        errors[0].contains("event tag:atomfeed.ict4h.org:<mark>00000000-0000-4000-8000-000000000001"),
        "{errors:?}"
    );
    // An id is shortened, so it is marked as a whole.
    let (_, page) = found("10000000-0000-4000-8000-000000000001").await;
    assert!(page.contains("<mark>10000000"), "{page}");
    let (errors, _) = found("Odoo+2").await;
    assert!(errors.len() == 1 && !errors[0].contains("No match is shown"), "found by its name: {errors:?}");
    let (errors, page) = found("+").await;
    assert!(errors.len() == 2 && !page.contains("<mark>"), "nothing is searched for");
}

#[tokio::test]
async fn a_list_says_when_an_event_was_last_tried() {
    let hospital = Hospital::new(&[row(1, TIMES[0]), row(2, TIMES[1])], &[]).await;
    let tried = (1, TIMES[3], "Read timed out".to_owned(), row(1, TIMES[0]).event);
    hospital.log("Odoo", super::hospital::ENCOUNTERS, tried).await;
    hospital.followed().await;
    let page = hospital.page("/atomfeed-console/failed-events?app=odoo&sort=id-up").await.body;
    let cells = cells(&page, "num tries");
    assert!(cells[0].contains("last tried") && cells[0].contains("2026-11-20T11:00:00Z"), "{}", cells[0]);
    assert!(!cells[1].contains("last tried"), "{}", cells[1]);
}
