//! All content of a database, a form or a header is text: it runs nowhere, moves no cursor, reverses no line, makes no
//! formula, and ends no header.

use axum::{
    body::Body,
    http::{Request, header},
};

use super::hospital::{Hospital, Row, row};

/// A sample of everything that some program would act on.
const HOSTILE: &str = "=1+1 <script>alert(1)</script>\"'><img src=x onerror=alert(2)> javascript:alert(3) \
                       \x1b[2J\x1b]0;t\x07 \u{9b}31m \0 \u{202e}txt.exe\u{2066} \r\nSet-Cookie: a=b\r\n\r\n<b>";

/// Characters that no page, no header and no table for people may hold unchanged.
const ACTING: [char; 8] = ['\x1b', '\x07', '\0', '\u{9b}', '\u{202e}', '\u{2066}', '\u{202a}', '\x08'];

fn hostile_row(id: i64) -> Row {
    Row {
        feed: HOSTILE,
        error: HOSTILE.to_owned(),
        event: HOSTILE.to_owned(),
        payload: HOSTILE.to_owned(),
        tags: HOSTILE,
        ..row(id, "2026-11-20 08:00:00")
    }
}

async fn hospital() -> Hospital {
    let hospital = Hospital::new(&[hostile_row(1), Row { at: Some(HOSTILE), ..hostile_row(2) }], &[]).await;
    hospital.execute("Odoo", "UPDATE failed_events SET title = error_message").await;
    let log = "INSERT INTO failed_event_retry_log SELECT id, feed_uri, failed_at, error_message, event_id, event_content, 1 FROM failed_events";
    hospital.execute("Odoo", log).await;
    let markers = "INSERT INTO markers SELECT feed_uri, event_id, error_message FROM failed_events WHERE id = 1";
    hospital.execute("Odoo", markers).await;
    let feed = format!("app=odoo&feed={}", encoded(HOSTILE));
    let plan = hospital.form("/atomfeed-console/api/plan_operation", &[("kind", "retry"), ("query", &feed)]).await;
    assert_eq!(plan.status.as_u16(), 303, "{}", plan.body);
    let done = hospital.form("/atomfeed-console/api/start_operation", &[("id", "1"), ("reason", HOSTILE)]).await;
    assert_eq!(done.status.as_u16(), 303, "{}", done.body);
    hospital.followed().await;
    let note = [("fault", "1"), ("what", HOSTILE), ("todo", HOSTILE), ("looks_after", HOSTILE)];
    let done = hospital.form("/atomfeed-console/api/write_note", &note).await;
    assert_eq!(done.status.as_u16(), 303, "{}", done.body);
    let reason = [("rows[]", "odoo:1:5"), ("rows[]", "odoo:2:5"), ("reason", HOSTILE)];
    let done = hospital.form("/atomfeed-console/api/retry", &reason).await;
    assert_eq!(done.status.as_u16(), 303, "{}", done.body);
    hospital
}

fn encoded(text: &str) -> String {
    let mut query = String::new();
    atomfeed_console::model::filter::push(&mut query, "x", text);
    query.split_off(2).replace('/', "%2F")
}

/// Returns the page without the values of fields, which are sent back unchanged and not shown.
fn without_values(page: &str) -> String {
    let mut parts = page.split(" value=\"");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        rest.push_str(part.split_once('"').map_or("", |(_, rest)| rest));
    }
    rest
}

#[tokio::test]
async fn no_page_lets_a_hostile_text_act() {
    let hospital = hospital().await;
    let text = encoded(HOSTILE);
    let mut found: Vec<String> = Vec::new();
    for path in [
        "".to_owned(),
        "/applications".into(),
        "/applications/odoo".into(),
        "/failed-events".into(),
        format!("/failed-events?feed={text}"),
        format!("/failed-events?q={text}&category={text}"),
        format!("/failed-events?from={text}"),
        format!("/failed-events?sort={text}"),
        "/failed-events/odoo/1".into(),
        "/failed-events/odoo/2".into(),
        format!("/failed-events/{text}/1"),
        format!("/failed-events/odoo/{text}"),
        "/groups".into(),
        "/groups?quiet=1".into(),
        "/groups/1".into(),
        format!("/groups/1?state={text}"),
        format!("/groups/{text}"),
        "/history".into(),
        format!("/history?find={text}"),
        format!("/search?q={text}"),
        "/search?q=odoo+1".into(),
        format!("/history?app=odoo&feed={text}"),
        "/history/1".into(),
        "/discarded".into(),
        "/operations".into(),
        "/operations/1".into(),
        "/operations/2".into(),
        "/failed-events?done=1".into(),
        "/failed-events/odoo/1?done=1".into(),
        format!("/operations/{text}"),
        "/audit".into(),
        format!("/audit?who={text}&q={text}"),
        format!("/audit?kind={text}"),
        format!("/applications/{text}"),
        format!("/{text}"),
    ] {
        let answer = hospital.page(&format!("/atomfeed-console{path}")).await;
        assert!(answer.status.as_u16() < 500, "{path}: {}", answer.status);
        for poison in ["<script>alert", "<img src=x", "href=\"javascript:", "action=\"javascript:"] {
            assert!(!answer.body.contains(poison), "{path}: {poison}");
        }
        let shown = without_values(&answer.body);
        for acting in ACTING {
            if let Some(at) = shown.find(acting) {
                let around: String =
                    shown[..at].chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
                found.push(format!("{path}: {acting:?} is in the page, after {around}"));
                break;
            }
        }
        for (name, value) in &answer.headers {
            let value = value.to_str().unwrap_or_else(|_| panic!("{path}: {name} cannot be read"));
            assert!(!value.contains("alert(") && !value.contains("a=b"), "{path}: {name}: {value}");
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn a_table_for_spreadsheets_holds_no_formula_and_moves_no_cursor() {
    let hospital = hospital().await;
    for path in ["/failed-events.csv", "/audit.csv"] {
        let answer = hospital.get(&format!("/atomfeed-console{path}")).await;
        let mut reader = csv::ReaderBuilder::new().has_headers(true).from_reader(answer.body.as_bytes());
        let mut cells = 0;
        for record in reader.records() {
            for cell in record.expect("a record").iter() {
                assert!(!cell.starts_with(['=', '+', '@', '\t', '\r', '\n']), "{path}: {cell:?}");
                assert!(!cell.contains(ACTING) && !cell.contains('\r'), "{path}: {cell:?}");
                cells += usize::from(cell.contains("javascript:alert(3)"));
            }
        }
        assert!(cells > 0, "{path}: the texts are there, as texts");
        assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
    }
}

#[tokio::test]
async fn json_says_it_all_and_ends_no_line_of_its_own() {
    let hospital = hospital().await;
    let text = encoded(HOSTILE);
    for path in [
        "/api/failed_event?app=odoo&id=1&list=".to_owned(),
        "/api/failed_events?query=".into(),
        "/api/operations".into(),
        "/api/operation?id=1".into(),
        "/api/groups?quiet=false".into(),
        "/api/group?fault=1".into(),
        "/api/history?query=".into(),
        "/api/life?id=1".into(),
        "/api/audit?query=".into(),
        "/api/applications".into(),
        "/api/publisher?app=odoo".into(),
        format!("/apps/Odoo/failedEvent?feedUri={text}"),
        "/apps/Odoo/feedStatus".into(),
        format!("/apps/{text}/feedStatus"),
        format!("/apps/Odoo/failedEvent/{text}/retryLog"),
    ] {
        let answer = hospital.get(&format!("/atomfeed-console{path}")).await;
        answer.json();
        assert!(!answer.body.contains(['\x1b', '\0', '\x07', '\r', '\n']), "{path}: {}", answer.body);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(answer.header("content-type").starts_with("application/json"), "{path}");
    }
    let lines = hospital.get("/atomfeed-console/failed-events.ndjson").await;
    assert_eq!(lines.body.lines().count(), 2);
    for line in lines.body.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(row["error"].as_str(), Some(HOSTILE), "exactly as stored");
    }
}

#[tokio::test]
async fn a_text_as_stored_is_a_file_that_no_browser_runs() {
    let hospital = hospital().await;
    for file in ["error.txt", "payload.txt"] {
        let answer = hospital.get(&format!("/atomfeed-console/failed-events/odoo/1/{file}")).await;
        assert_eq!(answer.body, HOSTILE);
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{file}\""));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn hostile_headers_are_neither_believed_nor_sent_back() {
    let hospital = hospital().await;
    let hostile = b"<script>alert(1)</script> \x80\xff =1+1 javascript:alert(3)".as_slice();
    for name in [header::USER_AGENT, header::REFERER, header::ACCEPT_LANGUAGE, header::COOKIE] {
        let request = Request::get("/atomfeed-console/no/such/page")
            .header(header::ACCEPT, "text/html")
            .header(&name, hostile)
            .header("x-forwarded-for", hostile)
            .header("x-forwarded-proto", hostile)
            .header("forwarded", hostile);
        let answer = hospital.send(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status.as_u16(), 404, "{name}");
        assert!(!answer.body.contains("alert("), "{name}");
        assert!(answer.headers.values().all(|value| !String::from_utf8_lossy(value.as_bytes()).contains("alert(")));
    }
}
