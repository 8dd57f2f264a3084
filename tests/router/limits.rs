//! All input is bounded before it is processed: names, search texts, queries, return addresses.

use atomfeed_console::{
    model::{
        Role, RowId,
        audit::{AuditFilter, AuditKind},
        ledger::Asked,
    },
    server::{
        config::Access,
        store::{NewAccount, NewPassword},
    },
};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use axum_extra::headers::{Authorization, authorization::Credentials};

use super::hospital::{ENCOUNTERS, Hospital, row};

const BASE: &str = "/atomfeed-console";

/// `app=a0&app=a1…`
fn names(number: usize) -> String {
    (0..number).map(|number| format!("app=a{number}")).collect::<Vec<_>>().join("&")
}

/// Returns a value as encoded in an address.
fn encoded(text: &str) -> String {
    let mut pair = String::new();
    atomfeed_console::model::filter::push(&mut pair, "x", text);
    pair.split_off(2)
}

#[tokio::test]
async fn more_names_than_applications_are_refused_everywhere() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    for query in ["app=odoo&app=openelis&app=a", "after=odoo~1~-&after=openelis~1~-&before=a~1~-", &names(300)] {
        let value = encoded(query);
        for path in [
            format!("/failed-events?{query}"),
            format!("/failed-events.csv?{query}"),
            format!("/failed-events.ndjson?{query}"),
            format!("/failed-events/odoo/1?{query}"),
            format!("/api/failed_events?query={value}"),
            format!("/api/news?query={value}&mark="),
            format!("/api/failed_event?app=odoo&id=1&list={value}"),
        ] {
            let answer = hospital.get(&format!("{BASE}{path}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.body);
        }
        let plan = [("kind", "retry"), ("query", query)];
        let answer = hospital.form(&format!("{BASE}/api/plan_operation"), &plan).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    }
    let both = hospital.get(&format!("{BASE}/api/failed_events?query={}", encoded("app=odoo&app=openelis"))).await;
    assert_eq!(both.status, StatusCode::OK);
}

#[tokio::test]
async fn a_form_with_tens_of_thousands_of_names_is_refused_unread() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    let answer =
        hospital.form(&format!("{BASE}/api/plan_operation"), &[("kind", "retry"), ("query", &names(60_000))]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.body.contains("the longest that is read has"), "{}", answer.body);
    assert!(answer.body.len() < 50_000, "the answer does not send it all back");
}

#[tokio::test]
async fn a_pasted_text_is_searched_for_by_its_beginning_and_a_longer_one_refused() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    hospital.execute("Odoo", "UPDATE failed_events SET title = printf('%.300c', 'x')").await;
    let page = |letters: usize, rest: &str| format!("{BASE}/failed-events?q={}{rest}", "x".repeat(letters));
    let pasted = hospital.page(&page(200, "y")).await;
    assert_eq!(pasted.status, StatusCode::OK);
    assert!(pasted.body.contains("Only the first 200 characters"), "{}", pasted.body);
    assert!(pasted.body.contains("/failed-events/odoo/1?"), "what begins so is found");
    let short = hospital.page(&page(199, "y")).await;
    assert!(!short.body.contains("/failed-events/odoo/1?") && !short.body.contains("Only the first"));
    assert_eq!(hospital.page(&page(1_000, "")).await.status, StatusCode::OK);
    let long = hospital.page(&page(1_001, "")).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
    assert!(long.body.contains("at most 1000 characters"), "{}", long.body);
    for path in ["/failed-events.csv", "/failed-events.ndjson", "/audit", "/audit.csv"] {
        let answer = hospital.get(&format!("{BASE}{path}?q={}", "x".repeat(1_001))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn no_header_of_an_answer_is_longer_than_a_proxy_takes() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    let long = format!("/failed-events?q={}", "x".repeat(900_000));
    let retry = [("only", "odoo:1:5"), ("back", &long)];
    let done = hospital.form(&format!("{BASE}/api/retry"), &retry).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    assert_eq!(done.header("location"), format!("{BASE}/operations/1"), "the way back is left out");
    for path in [format!("/failed-events/?q={}", "x".repeat(15_000)), format!("/{}/", "x".repeat(15_000))] {
        let answer = hospital.get(&format!("{BASE}{path}")).await;
        let headers: usize = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        assert_eq!((answer.status, headers < 4_000), (StatusCode::NOT_FOUND, true), "{headers}");
        assert!(answer.body.len() < 1_000, "nor is all of it sent back: {}", answer.body.len());
    }
}

#[tokio::test]
async fn a_backslash_in_a_path_leads_nowhere() {
    for base in ["/", BASE] {
        let hospital = Hospital::with(&[], &[], base, |_| ()).await;
        for path in ["/\\evil.example/", "/\\/evil.example/", "/atomfeed-console/\\evil.example/", "/a\\b"] {
            let request = Request::get(path).header(header::HOST, "console.test").body(Body::empty());
            let answer = hospital.send(request.expect("a path that the library takes")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{base} {path}");
            assert_eq!(answer.header("location"), "", "{base} {path}");
        }
    }
}

/// Returns the entries of the audit log about failed sign-ins: who, and what.
async fn failed_sign_ins(hospital: &Hospital) -> Vec<(String, String)> {
    let filter = AuditFilter { kind: Some(AuditKind::SignInFailed), ..AuditFilter::default() };
    let entries = hospital.console.parts.store.audit_entries(&filter, None, 1_000).await.expect("the audit log");
    entries.into_iter().rev().map(|entry| (entry.who, entry.what)).collect()
}

#[tokio::test]
async fn invented_names_fill_no_audit_log() {
    let hospital = Hospital::with(&[], &[], BASE, |config| config.access = Access::default()).await;
    let password = NewPassword { hash: "none".into(), must_change: false, until: None };
    let (name, role, created_by) = ("asha".to_owned(), Role::Viewer, "test".to_owned());
    let asha = NewAccount { name, role, applications: None, password, created_by };
    hospital.console.parts.store.add_account(&asha).await.expect("an account");
    for name in ["one", "two", "asha", "three", "asha"] {
        let request = Request::get(format!("{BASE}/api/applications"))
            .header(header::AUTHORIZATION, Authorization::basic(name, "hunter2 hunter2").0.encode());
        let answer = hospital.send(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.body);
    }
    let (nobody, asha) = ("(unknown name)".to_owned(), "asha".to_owned());
    let at_once = [(nobody.clone(), String::new()), (asha.clone(), String::new()), (asha, String::new())];
    assert_eq!(failed_sign_ins(&hospital).await, at_once, "each of a real name, the first of all others");
    hospital.console.parts.audit.tell_counted().await;
    let told = failed_sign_ins(&hospital).await;
    assert_eq!(told[3..], [(nobody, "2 more of these within a minute".to_owned())]);
}

#[tokio::test]
async fn an_event_with_megabytes_in_its_names_is_listed_followed_and_retried() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00"), row(2, "2026-11-20 08:00:00")], &[]).await;
    hospital
        .execute(
            "Odoo",
            "UPDATE failed_events SET title = 'Encounter ' || printf('%.2000000c', 't'), event_id = id || printf('%.2000000c', 'e'), \
             tags = printf('%.2000000c', 'g'), feed_uri = 'http://openmrs/' || printf('%.2000000c', 'f')",
        )
        .await;
    hospital.followed().await;
    let store = &hospital.console.parts.store;
    let lives = store.ledger_events_of_row("odoo", RowId(1)).await.expect("the ledger");
    let known = lives.len();
    let cut = |begins: &str, letter: &str| Some(format!("{begins}{}…", letter.repeat(999 - begins.len())));
    assert_eq!((&lives[0].event_id, &lives[0].title), (&cut("1", "e"), &cut("Encounter ", "t")));
    assert_eq!(lives[0].feed_uri, cut("http://openmrs/", "f"));
    for path in
        ["", "/applications/odoo", "/failed-events", "/failed-events/odoo/1", "/history", "/groups", "/groups/1"]
    {
        let page = hospital.page(&format!("{BASE}{path}")).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.body.len() < 200_000, "{path}: {}", page.body.len());
    }
    let event = hospital.page(&format!("{BASE}/failed-events/odoo/1")).await.body;
    assert!(event.contains(&cut("1", "e").expect("an id")), "the mark says that the id goes on");
    let csv = hospital.get(&format!("{BASE}/failed-events.csv")).await.body;
    assert!(csv.len() < 20_000 && csv.contains(&cut("2", "e").expect("an id")), "{}", csv.len());

    let done = hospital.form(&format!("{BASE}/api/retry"), &[("only", "odoo:1:5"), ("back", "/failed-events")]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let retries = hospital.retries("Odoo").await;
    assert_eq!((retries[&1].0, retries[&2].0), (0, 5), "exactly this row");
    hospital.look("odoo").await;
    let lives = store.ledger_events_of_row("odoo", RowId(1)).await.expect("the ledger");
    assert_eq!(
        (lives.len(), lives[0].asked),
        (known, Some(Asked::Requested)),
        "and it is the same event to the ledger"
    );
    let old = format!("{BASE}/apps/Odoo/failedEvent/{}/resetRetryCount", encoded(&cut("2", "e").expect("an id")));
    let reset = hospital.send(Request::post(old).body(Body::empty()).expect("a request")).await;
    assert_eq!((reset.status, hospital.retries("Odoo").await[&2].0), (StatusCode::OK, 0), "{}", reset.body);
}

/// A hospital with an event of long texts: its error, its payload, and those of fifty attempts that differ.
async fn with_long_texts(line: &str) -> Hospital {
    let lines = |number: usize| format!("{number} {}", line.repeat(66_000 / line.chars().count() + 1));
    let long = super::hospital::Row { error: lines(0), payload: lines(1), ..row(1, "2026-11-20 08:00:00") };
    let event = long.event.clone();
    let hospital = Hospital::new(&[long], &[]).await;
    for number in 2..52 {
        let attempt = (number, "2026-11-21 08:00:00", lines(usize::try_from(number).expect("a number")), event.clone());
        hospital.log("Odoo", ENCOUNTERS, attempt).await;
    }
    hospital
}

#[tokio::test]
async fn the_page_of_an_event_has_a_size_however_long_its_texts_are_and_however_badly_they_escape() {
    const MOST: usize = 2_000_000;
    for line in [
        "Caused by: \n",
        "\u{202e}",
        "<",
        "\"'&",
        "\n",
        "\u{e0001}",
        "\tat \n",
        "\u{1}",
        "a.B: Caused by: \n\tat java.x\n\tat b\n",
    ] {
        let hospital = with_long_texts(line).await;
        let page = hospital.page(&format!("{BASE}/failed-events/odoo/1")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.len() < MOST, "{line:?}: {}", page.body.len());
        let json = hospital.get(&format!("{BASE}/api/failed_event?app=odoo&id=1&list=")).await;
        assert!(json.body.len() < MOST, "{line:?}: {}", json.body.len());
    }
}

#[tokio::test]
async fn trees_of_thousands_of_parts_are_shown_as_text() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    for payload in [
        "'[' || replace(printf('%.30000c', 'x'), 'x', '1,') || '1]'",
        "'<a>' || replace(printf('%.6000c', 'x'), 'x', '<b/>') || '</a>'",
        "'<a ' || (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4500) SELECT group_concat('b' || i || '=\"\"', ' ') FROM n) || '/>'",
        "'MSH|^~\\&|' || replace(printf('%.30000c', 'x'), 'x', 'a|')",
    ] {
        let statement: &'static str = format!("UPDATE failed_events SET event_content = {payload}").leak();
        hospital.execute("Odoo", statement).await;
        let page = hospital.page(&format!("{BASE}/failed-events/odoo/1")).await;
        assert!(page.body.contains("it has more than 4000 parts"), "{payload}: {}", page.body.len());
        assert!(page.body.len() < 500_000, "{payload}: {}", page.body.len());
    }
}

#[tokio::test]
async fn a_text_that_was_cut_says_so_and_leads_to_the_whole() {
    let hospital = with_long_texts("\tat org.openmrs.Some.code(Some.java:12)\n").await;
    let page = hospital.page(&format!("{BASE}/failed-events/odoo/1")).await.body;
    let links: Vec<&str> =
        page.match_indices("error.txt").map(|(at, _)| page[at..].split('"').next().expect("a link")).collect();
    assert!(links.contains(&"error.txt"), "the first error: {links:?}");
    assert!(links.contains(&"error.txt?attempt=51"), "the latest: {links:?}");
    assert!(links.contains(&"error.txt?attempt=2"), "and each attempt: {links:?}");
    assert!(page.contains("This is the beginning of 66,"), "how long the first error is");
    for (link, begins) in
        [("error.txt", "0 \tat"), ("error.txt?attempt=51", "51 \tat"), ("error.txt?attempt=2", "2 \tat")]
    {
        let whole = hospital.get(&format!("{BASE}/failed-events/odoo/1/{link}")).await;
        assert_eq!(whole.status, StatusCode::OK, "{link}");
        assert!(whole.body.starts_with(begins) && whole.body.len() > 66_000, "{link}: {}", whole.body.len());
    }
    for (path, status) in [
        ("/failed-events/odoo/1/error.txt?attempt=1", StatusCode::NOT_FOUND),
        ("/failed-events/odoo/1/error.txt?attempt=x", StatusCode::NOT_FOUND),
        ("/failed-events/odoo/2/error.txt?attempt=51", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(hospital.get(&format!("{BASE}{path}")).await.status, status, "{path}");
    }
    let seen = AuditFilter { kind: Some(AuditKind::ErrorViewed), ..AuditFilter::default() };
    let entries = hospital.console.parts.store.audit_entries(&seen, None, 10).await.expect("the audit log");
    assert!(entries.iter().any(|entry| entry.what.contains("failed retry 51")), "each is on record");
}

#[tokio::test]
async fn attempts_of_ordinary_length_are_all_whole() {
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    let event = row(1, "2026-11-20 08:00:00").event;
    for number in 1..=50 {
        let trace =
            "\tat org.bahmni.feed.openelis.feed.event.EncounterFeedWorker.process(EncounterFeedWorker.java:134)\n";
        let error: String =
            format!("java.lang.RuntimeException: No. {number}\n{}", trace.repeat(40)).chars().take(4_000).collect();
        hospital.log("Odoo", ENCOUNTERS, (number, "2026-11-21 08:00:00", error, event.clone())).await;
    }
    let page = hospital.page(&format!("{BASE}/failed-events/odoo/1")).await.body;
    assert!(!page.contains("This is its beginning") && !page.contains("error.txt"), "nothing is cut");
}

#[tokio::test]
async fn a_row_with_texts_of_any_length_comes_whole_in_its_place() {
    let mut rows: Vec<_> = (1..=130).map(|id| row(id, "2026-11-20 08:00:00")).collect();
    for id in [1, 2, 50, 51, 99, 130] {
        let long = &mut rows[id - 1];
        long.error = format!("error of {id} {}", "e".repeat(90_000));
        long.payload = format!("payload of {id} {}", "p".repeat(120_000));
    }
    rows[6].error = "at the edge ".to_owned() + &"x".repeat(8_000 - 12);
    let hospital = Hospital::new(&rows, &[]).await;
    let file = hospital.get(&format!("{BASE}/failed-events.ndjson?app=odoo")).await.body;
    let read: Vec<serde_json::Value> = file.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(read.len(), 130);
    for (row, read) in rows.iter().zip(&read) {
        assert_eq!(read["event_id"], row.event.as_str());
        assert_eq!(read["error"], row.error.as_str());
        let (payload, whole) = (read["payload"].as_str().expect("a payload"), &row.payload);
        match whole.len() {
            ..100_000 => assert_eq!(payload, whole),
            _ => assert_eq!(payload, format!("{}… [cut here, after 100000 characters]", &whole[..100_000])),
        }
    }
    let csv = hospital.get(&format!("{BASE}/failed-events.csv?app=odoo")).await.body;
    assert!(csv.contains("error of 51 e") && csv.matches("[cut here, after 100000 characters]").count() == 6);
}
