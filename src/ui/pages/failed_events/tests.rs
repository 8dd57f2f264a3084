use super::*;
use crate::{api::failed_events::MissingPart, model::samples};

fn page(query: &str) -> ListPage {
    ListPage {
        query: ListQuery::parse(query).expect(query),
        rows: Vec::new(),
        at_end: false,
        next: None,
        previous: None,
        total: None,
        to_retry: None,
        counted: None,
        group: None,
        applications: Vec::new(),
        feeds: Vec::new(),
        retry_refused: Vec::new(),
        missing: Vec::new(),
        scans: Vec::new(),
        mark: String::new(),
        masked: None,
        without_text: None,
        moving: Vec::new(),
    }
}

fn odoo() -> ApplicationInfo {
    samples::info("Odoo")
}

fn one_row() -> Vec<FailedEventRow> {
    vec![FailedEventRow { retries: Some(5), state: EventState::Exhausted, ..samples::failed_event() }]
}

#[test]
fn the_heading_counts_only_what_is_known_and_names_the_filter() {
    assert_eq!(heading(&page("")), "No failed events");
    assert_eq!(heading(&ListPage { total: Some(1055), ..page("") }), "1,055 failed events");
    let one = ListPage { total: Some(1), applications: vec![odoo()], ..page("state=exhausted&app=odoo") };
    assert_eq!(heading(&one), "1 failed event in Odoo, retries used up");
    let cut = ListPage { next: Some(ListQuery::default()), ..page("q=timeout") };
    assert_eq!(heading(&cut), "Failed events");
    let stopped = ListPage { rows: one_row(), ..cut };
    assert_eq!(heading(&stopped), "At least 1 failed event");
    assert_eq!(heading(&ListPage { total: Some(2), ..page("state=unknown") }), "2 failed events, state unknown");
    assert_eq!(heading(&page("q=GAN203007")), "Nothing found for “GAN203007”");
    let open = ListPage { scans: vec![scan("Odoo", 9, None, false)], ..page("q=GAN203007") };
    assert_eq!(heading(&open), "Nothing found yet for “GAN203007”");
}

#[test]
fn the_heading_takes_what_could_not_be_read_for_no_zero() {
    let pacs = || ApplicationInfo { key: "pacs".into(), name: "PACS".into(), ..odoo() };
    let lost = |app| MissingPart { app, reason: "It does not answer.".into(), advice: String::new() };
    let both = |query| ListPage { applications: vec![odoo(), pacs()], ..page(query) };
    // A missing table has a count of none, and an unreachable database has the count of the last poll.
    for total in [None, Some(0), Some(1055)] {
        for query in ["app=odoo", "app=odoo&state=exhausted", "app=odoo&q=x"] {
            let alone = ListPage { total, missing: vec![lost(odoo())], ..both(query) };
            assert_eq!(heading(&alone), "Odoo could not be read", "{query}");
        }
        let all = ListPage { total, missing: vec![lost(odoo()), lost(pacs())], ..both("") };
        assert_eq!(heading(&all), "Odoo and PACS could not be read");
        let part = |query| ListPage { total, missing: vec![lost(odoo())], ..both(query) };
        assert_eq!(heading(&part("")), "No failed events in the applications that answered");
        assert_eq!(heading(&part("q=x")), "Nothing found for “x” in the applications that answered");
    }
    let some = ListPage { total: None, rows: one_row(), missing: vec![lost(pacs())], ..both("") };
    assert_eq!(heading(&some), "Failed events");
}

#[test]
fn a_count_that_stopped_at_its_limit_says_so() {
    let counted = |complete| Counted {
        total: 1_250,
        to_retry: 1_000,
        complete,
        scans: vec![scan("Odoo", 100_000, None, complete), scan("PACS", 0, None, true)],
    };
    let whole = ListPage { counted: Some(counted(true)), total: Some(1_250), to_retry: Some(1_000), ..page("q=x") };
    assert_eq!(heading(&whole), "1,250 failed events");
    assert_eq!(retry_all(&whole).unwrap(), "Retry all 1,000…");
    assert_eq!(
        counted_words(&counted(true)).unwrap(),
        "1,250 match, counted in whole tables. Rows that were read: 100,000 of Odoo."
    );
    let more = ListPage { next: Some(ListQuery::default()), rows: one_row(), ..page("q=x") };
    let part = ListPage { counted: Some(counted(false)), ..more };
    assert_eq!(heading(&part), "At least 1,250 failed events");
    assert_eq!(retry_all(&part).unwrap(), "Retry all with retries used up…");
    assert!(counted_words(&counted(false)).unwrap().starts_with("At least 1,250 match. The count stopped"));
}

#[test]
fn all_that_match_are_offered_with_their_number_where_it_is_known() {
    let with = |query: &str, to_retry| retry_all(&ListPage { to_retry, ..page(query) });
    assert_eq!(with("state=exhausted", Some(3412)).unwrap(), "Retry all 3,412…");
    assert_eq!(with("", Some(3412)).unwrap(), "Retry all 3,412…");
    assert_eq!(with("", Some(0)), None);
    assert_eq!(with("q=x", None).unwrap(), "Retry all with retries used up…");
    assert_eq!(with("state=unknown", Some(2)), None);
    assert_eq!(with("nofeed=1&state=exhausted", Some(2)), None, "no retry job finds events without an address");
    assert_eq!(discard_all(Some(1354)), "Discard all 1,354…");
}

fn scan(name: &str, looked_at: u64, of: Option<u64>, complete: bool) -> Scan {
    Scan { app: ApplicationInfo { name: name.into(), ..odoo() }, looked_at, of, complete }
}

#[test]
fn a_search_through_everything_says_so_in_one_sentence() {
    let scans = [scan("OpenMRS", 66, Some(66), true), scan("OpenELIS", 149, None, true), scan("PACS", 1, None, true)];
    let query = ListQuery::parse("q=timeout").unwrap();
    assert_eq!(scan_words(&scans, &query).unwrap(), "Searched all events.");
    let further = ListQuery::parse("q=timeout&after=odoo~7~-").unwrap();
    assert_eq!(scan_words(&scans, &further).unwrap(), "Searched all events.");
    assert_eq!(scan_words(&[], &query), None);
}

#[test]
fn a_search_that_stopped_says_what_it_did_not_look_at() {
    let scans = [scan("OpenMRS", 66, Some(66), true), scan("Odoo", 20_000, Some(412_000), false)];
    let query = ListQuery::parse("q=timeout").unwrap();
    assert_eq!(
        scan_words(&scans, &query).unwrap(),
        "Searched the newest 20,000 of about 412,000 events of Odoo. Searched all events of OpenMRS. More results may \
             exist."
    );
    for sort in ["id-up", "oldest"] {
        let upwards = ListQuery::parse(&format!("app=odoo&q=timeout&sort={sort}")).unwrap();
        assert_eq!(
            scan_words(&scans[1..], &upwards).unwrap(),
            "Searched the oldest 20,000 of about 412,000 events of Odoo. More results may exist."
        );
    }
    for sort in ["id-down", "newest"] {
        let downwards = ListQuery::parse(&format!("app=odoo&q=timeout&sort={sort}")).unwrap();
        let told = scan_words(&scans[1..], &downwards).unwrap();
        assert!(
            told.starts_with("Searched the newest 20,000 of") && told.ends_with("More results may exist."),
            "{told}"
        );
    }
    let further = ListQuery::parse("q=timeout&after=odoo~7~-").unwrap();
    let told = scan_words(&[scan("Odoo", 20_000, None, false)], &further).unwrap();
    assert_eq!(told, "Searched another 20,000 events of Odoo. More results may exist.");
}
