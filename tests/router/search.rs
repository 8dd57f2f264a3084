//! The search: how input is interpreted, and what is found of present and of past failures.

use atomfeed_console::{
    clock,
    model::filter::{ListQuery, push},
    server::lists,
};

use super::hospital::{Hospital, Row, row};

const AT: &str = "2026-11-20 08:00:00";

/// Returns the uuid that [`row`] gives its payload and, except for the first digit, its event.
fn record(id: i64) -> String {
    format!("10000000-0000-4000-8000-{id:012}")
}

async fn hospital() -> Hospital {
    let mut named = row(2, AT);
    named.error = "Patient Asha Devi has no bed in ward 7".to_owned();
    let odoo = [row(1, AT), named, Row { event: "tag:atomfeed.ict4h.org:order-17".to_owned(), ..row(1125, AT) }];
    let openelis = [Row { event: "order-18".to_owned(), ..row(1125, AT) }];
    let hospital = Hospital::new(&odoo, &openelis).await;
    hospital.followed().await;
    hospital
}

async fn listed(hospital: &Hospital, typed: &str) -> Vec<String> {
    let mut query = String::new();
    push(&mut query, "q", typed);
    let page = lists::page(&hospital.console, ListQuery::parse(&query).expect(typed)).await.expect(typed);
    let mut found: Vec<String> = page.rows.iter().map(|row| format!("{} {}", row.app, row.id)).collect();
    found.sort();
    found
}

#[tokio::test]
async fn a_list_is_filtered_by_whatever_identifies_an_event() {
    let hospital = hospital().await;
    for (typed, expected) in [
        ("Odoo 1125", vec!["odoo 1125"]),
        ("odoo #1125", vec!["odoo 1125"]),
        ("OpenELIS 1125", vec!["openelis 1125"]),
        ("https://desk.example/atomfeed-console/failed-events/odoo/1125?state=exhausted", vec!["odoo 1125"]),
        ("https://desk.example/atomfeed-console/groups/1", vec![]),
        ("tag:atomfeed.ict4h.org:order-18", vec!["openelis 1125"]),
        ("order-17", vec!["odoo 1125"]),
        ("10000000…0002", vec!["odoo 2"]),
        (&format!("{{{}}}", record(2)), vec!["odoo 2"]),
        (&format!("http://openmrs:8050/openmrs/ws/rest/v1/encounter/{}?v=full", record(2)), vec!["odoo 2"]),
        ("bed asha", vec!["odoo 2"]),
        ("\"no bed\" patient", vec!["odoo 2"]),
        ("\"bed no\" patient", vec![]),
        ("asha timeout", vec![]),
    ] {
        assert_eq!(listed(&hospital, typed).await, expected, "{typed}");
        let mut query = String::new();
        push(&mut query, "q", typed);
        let csv = hospital.get(&format!("/atomfeed-console/failed-events.csv?{query}")).await.body;
        assert_eq!(csv::Reader::from_reader(csv.as_bytes()).records().count(), expected.len(), "{typed}");
    }
}

/// Returns the words of a page, without its markup.
fn text(html: &str) -> String {
    let main = html.split("<main").nth(1).expect("a page");
    let mut out = String::new();
    let mut within = true;
    for letter in main.chars() {
        match letter {
            '<' => within = true,
            '>' => within = false,
            letter if !within => out.push(letter),
            _ => {}
        }
    }
    out
}

async fn searched(hospital: &Hospital, typed: &str) -> String {
    let mut query = String::new();
    push(&mut query, "q", typed);
    let answer = hospital.page(&format!("/atomfeed-console/search?{query}")).await;
    assert_eq!(answer.status.as_u16(), 200, "{typed}: {}", answer.body);
    // Leptos puts this between pieces of a text.
    answer.body.replace("<!>", "")
}

/// Returns the failed events that a search page links to.
fn rows(html: &str) -> Vec<String> {
    let links = html.split("href=\"/atomfeed-console/failed-events/").skip(1);
    let mut rows: Vec<String> =
        links.filter_map(|link| Some(link.split('"').next()?.split('?').next()?.replace('/', " "))).collect();
    rows.sort();
    rows.dedup();
    rows
}

/// Waits until the index has every failed event in its present state.
async fn is_indexed(hospital: &Hospital) {
    for _ in 0..1600 {
        if hospital.numbers_of_store("SELECT COUNT(*) FROM search_pending").await == [0] {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("the index is not written");
}

#[tokio::test]
async fn every_page_leads_to_the_search_over_everything() {
    let hospital = hospital().await;
    for page in ["", "/failed-events", "/history", "/help", "/search"] {
        let html = hospital.page(&format!("/atomfeed-console{page}")).await.body;
        assert!(
            html.contains("role=\"search\" method=\"post\" action=\"/atomfeed-console/api/start_search\""),
            "{page}"
        );
    }
    let html = searched(&hospital, "10000000…0002").await;
    assert!(html.contains("value=\"10000000…0002\""), "what was typed stays in the field");
}

#[tokio::test]
async fn what_was_searched_for_is_shown_as_it_was_typed() {
    let hospital = hospital().await;
    is_indexed(&hospital).await;
    let html = searched(&hospital, "<script>alert(1)</script>").await;
    let lead =
        html.split("Searched for ").nth(1).and_then(|rest| rest.split("</p>").next()).expect("what was understood");
    assert!(lead.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{lead}");
}

#[tokio::test]
async fn whatever_identifies_an_event_is_understood_and_found() {
    let hospital = hospital().await;
    is_indexed(&hospital).await;
    for (typed, expected, understood) in [
        ("Odoo 1125", vec!["odoo 1125"], "row 1125 of Odoo"),
        ("openelis #1125", vec!["openelis 1125"], "row 1125 of OpenELIS"),
        (
            "https://desk.example/atomfeed-console/failed-events/odoo/1125?state=exhausted",
            vec!["odoo 1125"],
            "row 1125 of Odoo",
        ),
        ("tag:atomfeed.ict4h.org:order-18", vec!["openelis 1125"], "the event id order-18"),
        ("order-17", vec!["odoo 1125"], "Searched for order-17"),
        ("00000000…0002", vec!["odoo 2"], "an id that begins with 00000000 and ends with 0002"),
        (&format!("{{{}}} ", record(2)), vec!["odoo 2"], "the uuid 10000000-"),
        (&record(2).to_uppercase(), vec!["odoo 2"], "the uuid"),
        (&format!("http://openmrs:8050/openmrs/ws/rest/v1/encounter/{}?v=full", record(2)), vec!["odoo 2"], "the uuid"),
        ("bed asha", vec!["odoo 2"], "all of these: bed · asha"),
        ("\"no bed\" patient", vec!["odoo 2"], "all of these: “no bed” · patient"),
        ("ENCOUNTER ward", vec!["odoo 2"], "all of these"),
        ("atient", vec!["odoo 2"], "a part of a word"),
        ("000000000002", vec!["odoo 2"], "the end of a uuid"),
    ] {
        let html = searched(&hospital, typed).await;
        assert_eq!(rows(&html), expected, "{typed}: {}", text(&html));
        if !understood.starts_with("a part") && !understood.starts_with("the end") {
            assert!(text(&html).contains(understood), "{typed}: {}", text(&html));
        }
        assert!(!text(&html).contains("Searched all events"), "{typed}: the index answered");
    }
    let html = searched(&hospital, "asha BED").await;
    assert!(html.contains("<mark>Asha</mark>") && html.contains("<mark>bed</mark>"), "hits are marked: {html}");
    assert!(text(&html).contains("1 failing now: asha BED"), "{}", text(&html));
    // Neither the order of words nor missing words are guessed.
    for typed in ["\"bed no\"", "asha timeout", "10000000…0003", "Odoo 7"] {
        let html = searched(&hospital, typed).await;
        assert_eq!(rows(&html), Vec::<String>::new(), "{typed}");
        assert!(text(&html).contains(&format!("Nothing found for {typed}")), "{}", text(&html));
        assert!(!text(&html).contains("No failed events"), "nothing says that nothing is broken");
        assert!(text(&html).contains("a patient's identifier, an order number"), "it says what can be searched");
    }
    let html = searched(&hospital, "https://desk.example/atomfeed-console/groups/1").await;
    assert!(html.contains("href=\"/atomfeed-console/groups/1\""), "{html}");
    let html = searched(&hospital, "https://desk.example/elsewhere/groups/1").await;
    assert!(!html.contains("href=\"/atomfeed-console/groups/1\""), "not a link of this console: {html}");
    // With few rows the payloads are read at once.
    let html = searched(&hospital, "includeAll").await;
    assert_eq!(rows(&html).len(), 4, "{}", text(&html));
}

#[tokio::test]
async fn what_failed_before_is_a_part_of_the_same_answer() {
    let hospital = hospital().await;
    is_indexed(&hospital).await;
    hospital.execute("Odoo", "DELETE FROM failed_events WHERE id = 2").await;
    hospital.look("odoo").await;
    for typed in [record(2), "10000000…0002".to_owned(), "Odoo 2".to_owned(), "asha bed".to_owned()] {
        let html = searched(&hospital, &typed).await;
        assert!(text(&html).contains(&format!("1 earlier: {typed}")), "{typed}: {}", text(&html));
        assert!(html.contains("href=\"/atomfeed-console/history/"), "{typed}");
        assert_eq!(rows(&html), Vec::<String>::new(), "{typed}");
    }
    // When its term is over, nothing of it can be found.
    let store = &hospital.console.parts.store;
    assert_eq!(store.forget_history(clock::now() + chrono::TimeDelta::days(1)).await.expect("forgotten"), 1);
    let html = searched(&hospital, "asha").await;
    assert!(text(&html).contains("Nothing found for asha"), "{}", text(&html));
    assert_eq!(
        hospital.numbers_of_store("SELECT COUNT(*) FROM search_words WHERE word IN ('asha', 'devi')").await,
        [0],
        "nor is a word of it"
    );
    assert_ne!(hospital.numbers_of_store("SELECT COUNT(*) FROM search_words WHERE word = 'encounter'").await, [0]);
}

#[tokio::test]
async fn the_latest_error_is_what_is_found() {
    let hospital = hospital().await;
    is_indexed(&hospital).await;
    let event = row(1, AT).event;
    let error = "Post call to /api/bahmni-saleorder failed\n\tat org.bahmni.Secret.run(Secret.java:1)\nCaused by: java.net.ConnectException: Connection refused by odoo-17".to_owned();
    hospital.log("Odoo", super::hospital::ENCOUNTERS, (1, "2026-11-21T08:00:00Z", error, event)).await;
    hospital.look("odoo").await;
    // Also before it is in the index.
    for _ in 0..2 {
        for typed in ["refused connection", "bahmni-saleorder post", "odoo-17"] {
            let html = searched(&hospital, typed).await;
            assert_eq!(rows(&html), ["odoo 1"], "{typed}: {}", text(&html));
        }
        is_indexed(&hospital).await;
    }
    let html = searched(&hospital, "saleorder").await;
    assert!(html.contains("Post call to /api/bahmni-<mark>saleorder</mark> failed"), "around the hit: {html}");
    assert!(text(&searched(&hospital, "did").await).contains("Failing now"), "the others have their first errors");
    assert!(
        !rows(&searched(&hospital, "did").await).contains(&"odoo 1".to_owned()),
        "its first error is not its latest"
    );
}

#[tokio::test]
async fn while_the_index_is_built_the_table_answers_and_the_page_says_how_far_it_is() {
    let many: Vec<Row> = (1..=600).map(|id| row(id, AT)).collect();
    let hospital = Hospital::new(&many, &[]).await;
    hospital.followed().await;
    is_indexed(&hospital).await;
    // As at the first start with a store from before the index.
    hospital
        .execute_on_store(
            "CREATE TRIGGER stuck BEFORE INSERT ON search_words BEGIN SELECT RAISE(ABORT, 'not now'); END;
             DELETE FROM search_events WHERE rowid > 50; DELETE FROM search_words;
             INSERT OR IGNORE INTO search_pending SELECT source_id, id FROM ledger_events WHERE id > 50;",
        )
        .await;
    let html = searched(&hospital, &record(300)).await;
    assert_eq!(rows(&html), ["odoo 300"], "{}", text(&html));
    assert!(text(&html).contains("The search index is being built (Odoo: 50 of 600)"), "{}", text(&html));
    hospital.execute_on_store("DROP TRIGGER stuck").await;
    hospital.look("odoo").await;
    is_indexed(&hospital).await;
    let html = searched(&hospital, &record(300)).await;
    assert_eq!(rows(&html), ["odoo 300"]);
    assert!(!text(&html).contains("is being built"), "{}", text(&html));
}

#[tokio::test]
async fn a_long_answer_has_pages() {
    let many: Vec<Row> = (1..=130).map(|id| row(id, AT)).collect();
    let hospital = Hospital::new(&many, &[row(7, AT)]).await;
    hospital.followed().await;
    is_indexed(&hospital).await;
    let mut all = Vec::new();
    let mut path = "/atomfeed-console/search?q=did+work".to_owned();
    for _ in 0..5 {
        let html = hospital.page(&path).await.body;
        all.extend(rows(&html));
        let Some(more) = html.split("rel=\"next\" href=\"").nth(1) else { break };
        path = more.split('"').next().expect("an address").replace("&amp;", "&");
    }
    assert_eq!(all.len(), 131, "each once");
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 131);
}
