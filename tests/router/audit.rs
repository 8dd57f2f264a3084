//! The audit log through the router: what is recorded, who may see it, and that nothing happens without it.

use std::time::Duration;

use atomfeed_console::{
    model::{
        Person, Role,
        audit::{AuditEntry, AuditFilter, AuditKind},
    },
    server::config::Access,
};

use super::hospital::{Hospital, Row, row};

fn rows(count: i64) -> Vec<Row> {
    (1..=count).map(|id| row(id, "2026-11-20 08:00:00")).collect()
}

/// Returns the entries, newest first.
async fn entries(hospital: &Hospital) -> Vec<AuditEntry> {
    hospital.console.parts.store.audit_entries(&AuditFilter::default(), None, 1000).await.expect("the log")
}

fn said(entries: &[AuditEntry]) -> Vec<(&str, Option<&str>, &str, &str)> {
    entries
        .iter()
        .rev()
        .map(|entry| (entry.kind.as_str(), entry.app.as_deref(), entry.what.as_str(), entry.outcome.as_str()))
        .collect()
}

/// Waits for what a separate task records at the end of a download.
async fn ended(hospital: &Hospital, number: usize) -> Vec<AuditEntry> {
    for _ in 0..500 {
        let entries = entries(hospital).await;
        if entries.len() >= number {
            return entries;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("only {:?} came", said(&entries(hospital).await));
}

#[tokio::test]
async fn every_look_at_a_payload_is_on_record() {
    let hospital = Hospital::new(&rows(3), &[]).await;
    let base = "/atomfeed-console";
    for path in ["", "/failed-events", "/failed-events?q=did+not", "/applications/odoo", "/operations", "/help"] {
        assert_eq!(hospital.page(&format!("{base}{path}")).await.status.as_u16(), 200, "{path}");
    }
    assert_eq!(entries(&hospital).await, [], "a list shows no payload");
    let list = hospital.get(&format!("{base}/api/failed_events?query=")).await;
    assert!(!list.body.contains("includeAll"), "a list carries no payload: {}", list.body);

    hospital.page(&format!("{base}/failed-events/odoo/2")).await;
    hospital.get(&format!("{base}/api/failed_event?app=odoo&id=1&list=")).await;
    hospital.get(&format!("{base}/failed-events/odoo/3/payload.txt")).await;
    hospital.get(&format!("{base}/failed-events/odoo/3/error.txt")).await;
    let missing = hospital.get(&format!("{base}/failed-events/odoo/99/payload.txt")).await;
    assert_eq!(missing.status.as_u16(), 404);
    let event = rows(1)[0].event.clone();
    hospital.get(&format!("{base}/apps/Odoo/failedEvent/{event}/retryLog")).await;
    let entries = entries(&hospital).await;
    let event = format!("event {event}, 0 rows of its retry log as old JSON");
    assert_eq!(
        said(&entries),
        [
            ("payload_viewed", Some("odoo"), "failed event 2, its page", "done"),
            ("payload_viewed", Some("odoo"), "failed event 1, its page", "done"),
            ("payload_viewed", Some("odoo"), "failed event 3, its whole payload", "done"),
            ("error_viewed", Some("odoo"), "failed event 3, its whole error text", "done"),
            ("payload_viewed", Some("odoo"), event.as_str(), "done"),
        ]
    );
    assert!(entries.iter().all(|entry| entry.who == "anybody" && entry.signed_in_by == "open"));
}

#[tokio::test]
async fn an_export_is_on_record_with_its_filter_and_its_number_of_rows() {
    let hospital = Hospital::new(&rows(120), &rows(2)).await;
    hospital.get("/atomfeed-console/failed-events.csv?app=odoo&q=did+not").await;
    let entries = ended(&hospital, 2).await;
    // Users search for names and numbers of patients: the text itself is not recorded.
    let filter = entries.last().expect("an entry").what.clone();
    assert!(filter.starts_with("CSV, filter app=odoo, a text of 7 characters with the hash "), "{filter}");
    let end = format!("{filter}: 120 rows");
    assert_eq!(
        said(&entries),
        [("exported", None, filter.as_str(), "begun"), ("exported", None, end.as_str(), "done")]
    );
    assert!(!entries.iter().any(|entry| entry.what.contains("did")), "{entries:?}");
    hospital.get("/atomfeed-console/failed-events.ndjson").await;
    let entries = ended(&hospital, 4).await;
    assert_eq!(said(&entries)[3], ("exported", None, "NDJSON, no filter: 122 rows", "done"));
    let feed = "http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent";
    hospital.get(&format!("/atomfeed-console/apps/OpenELIS/failedEvent?feedUri={feed}")).await;
    let entries = ended(&hospital, 6).await;
    assert!(
        said(&entries)[5].2.ends_with(": 2 rows") && said(&entries)[5].2.starts_with("old JSON, filter app=openelis")
    );
}

#[tokio::test]
async fn an_action_is_on_record_before_and_after() {
    let hospital = Hospital::new(&rows(2), &[]).await;
    let fields = [("rows[]", "odoo:1:5"), ("rows[]", "odoo:2:4"), ("reason", "Odoo is back")];
    hospital.form("/atomfeed-console/api/retry", &fields).await;
    let entries = entries(&hospital).await;
    assert_eq!(
        said(&entries),
        [
            ("retry", Some("odoo"), "2 selected failed events of Odoo", "begun"),
            ("retry", Some("odoo"), "1 of 2 done, 1 changed meanwhile", "partly"),
        ]
    );
    assert!(entries.iter().all(|entry| entry.action == Some(1) && entry.reason.as_deref() == Some("Odoo is back")));
    assert_eq!(hospital.console.parts.store.verify_audit(None).await.expect("a verdict").broken, None);
}

/// A hospital where users sign in.
async fn with_accounts(odoo: &[Row], openelis: &[Row]) -> Hospital {
    Hospital::with(odoo, openelis, "/atomfeed-console", |config| config.access = Access::default()).await
}

fn administrator() -> Person {
    Person::anybody()
}

/// Makes the log refuse new entries, as a full disk would.
async fn refuse_entries(hospital: &Hospital) {
    use sqlx::Connection;
    let path = hospital.console.parts.config.store.display().to_string();
    let mut store = sqlx::SqliteConnection::connect(&format!("sqlite:{path}")).await.expect("the store opens");
    let full = "CREATE TRIGGER full BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    sqlx::raw_sql(full).execute(&mut store).await.expect("the trigger");
    store.close().await.expect("closed");
}

#[tokio::test]
async fn what_cannot_be_put_on_record_does_not_happen() {
    let hospital = Hospital::new(&rows(2), &[]).await;
    refuse_entries(&hospital).await;
    let before = hospital.retries("Odoo").await;
    let refused = hospital.form("/atomfeed-console/api/retry", &[("only", "odoo:1:5")]).await;
    assert_eq!(refused.status.as_u16(), 503);
    assert!(refused.body.contains("The audit log cannot be written, so this was not done."), "{}", refused.body);
    assert_eq!(hospital.retries("Odoo").await, before);
    assert_eq!(hospital.console.parts.store.operation(1).await.expect("the store"), None, "no plan is left of it");

    for path in [
        "/failed-events/odoo/1",
        "/failed-events/odoo/1/payload.txt",
        "/failed-events/odoo/1/error.txt",
        "/failed-events.csv",
        "/failed-events.ndjson",
        "/audit.csv",
        "/apps/Odoo/failedEvent?feedUri=http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent",
        "/apps/Odoo/failedEvent/tag:atomfeed.ict4h.org:00000000-0000-4000-8000-000000000001/retryLog",
    ] {
        let answer = hospital.get(&format!("/atomfeed-console{path}")).await;
        assert_eq!(answer.status.as_u16(), 503, "{path}: {}", answer.body);
        assert!(!answer.body.contains("did not work") && !answer.body.contains("includeAll"), "{path}");
    }
    assert_eq!(hospital.page("/atomfeed-console/failed-events").await.status.as_u16(), 200, "lists go on");
}

#[tokio::test]
async fn the_log_is_searched_and_paged_and_belongs_to_administrators() {
    let hospital = with_accounts(&rows(1), &[]).await;
    let empty = hospital.page_as(&administrator(), "/atomfeed-console/audit").await;
    assert!(empty.body.contains("No entries yet."));
    let audit = &hospital.console.parts.audit;
    for number in 1..=150 {
        let who = if number % 2 == 0 { "asha" } else { "bikash" };
        let entry = atomfeed_console::server::store::Entry::new(who, "account", "10.0.0.1", AuditKind::SignIn);
        audit.record(entry.what(format!("no. {number}."))).await.expect("recorded");
    }
    let first = hospital.page_as(&administrator(), "/atomfeed-console/audit").await;
    assert!(first.body.contains("no. 150.") && first.body.contains("no. 51.") && !first.body.contains("no. 50."));
    assert!(first.body.contains("/atomfeed-console/audit?before=51"), "the way to older entries");
    let second = hospital.page_as(&administrator(), "/atomfeed-console/audit?before=51").await;
    assert!(second.body.contains("no. 50.") && second.body.contains("no. 1.") && !second.body.contains("Older"));
    let asha = hospital.page_as(&administrator(), "/atomfeed-console/audit?who=asha&kind=sign_in&q=NO.+14").await;
    assert!(asha.body.contains("no. 148.") && asha.body.contains("no. 14.") && !asha.body.contains("no. 147."));
    let nothing = hospital.page_as(&administrator(), "/atomfeed-console/audit?who=nobody").await;
    assert!(nothing.body.contains("No results."));
    assert_eq!(hospital.page_as(&administrator(), "/atomfeed-console/audit?kind=x").await.status.as_u16(), 400);

    let csv = hospital.get_as(&administrator(), "/atomfeed-console/audit.csv?who=asha").await;
    assert_eq!(csv.body.lines().count(), 76, "a heading and every entry");
    assert_eq!(csv.header("content-disposition").split('"').nth(1).map(|name| name.ends_with(".csv")), Some(true));
    assert_eq!(entries(&hospital).await[0].what, "CSV, filter who=asha");

    for role in [Role::Viewer, Role::Operator] {
        let person = Person { role, ..Person::anybody() };
        for path in ["/audit", "/audit.csv", "/api/audit?query="] {
            let answer = hospital.get_as(&person, &format!("/atomfeed-console{path}")).await;
            assert_eq!(answer.status.as_u16(), 403, "{role} {path}");
            assert!(!answer.body.contains("asha"), "{role} {path}");
        }
        let home = hospital.page_as(&person, "/atomfeed-console").await;
        assert!(!home.body.contains("href=\"/atomfeed-console/audit"), "no way there is offered");
    }
}

#[tokio::test]
async fn an_administrator_of_some_applications_sees_what_is_about_them() {
    let hospital = with_accounts(&rows(1), &rows(1)).await;
    hospital.get_as(&administrator(), "/atomfeed-console/failed-events/odoo/1/payload.txt").await;
    hospital.get_as(&administrator(), "/atomfeed-console/failed-events/openelis/1/payload.txt").await;
    let person = Person { applications: Some(["odoo".to_owned()].into()), ..Person::anybody() };
    let seen = hospital.get_as(&person, "/atomfeed-console/api/audit?query=").await.json();
    let apps: Vec<_> = seen["entries"].as_array().expect("entries").iter().map(|entry| entry["app"].clone()).collect();
    assert_eq!(apps, ["odoo"]);
    let csv = hospital.get_as(&person, "/atomfeed-console/audit.csv").await;
    assert!(!csv.body.contains("openelis"), "{}", csv.body);
}

#[tokio::test]
async fn a_search_is_on_record_by_its_length_and_a_hash_that_only_this_store_can_make() {
    let searched = async |hospital: &Hospital| {
        for path in [
            "/failed-events.csv?q=First+Last",
            "/failed-events.ndjson?q=first+LAST+",
            "/history.csv?find=First+Last",
            "/audit.csv?q=First+Last",
        ] {
            assert!(hospital.get(&format!("/atomfeed-console{path}")).await.status.is_success(), "{path}");
        }
        let entries = ended(hospital, 6).await;
        assert!(!entries.iter().any(|entry| entry.what.to_lowercase().contains("last")), "{entries:?}");
        let hash =
            |what: &str| what.split("with the hash ").nth(1).map(|rest| rest.chars().take(16).collect::<String>());
        let hashes: std::collections::BTreeSet<_> = entries.iter().filter_map(|entry| hash(&entry.what)).collect();
        assert_eq!(hashes.len(), 1, "the same text each time: {entries:?}");
        hashes
    };
    let one = Hospital::new(&rows(1), &[]).await;
    let other = Hospital::new(&rows(1), &[]).await;
    assert_ne!(searched(&one).await, searched(&other).await, "who has the log alone can try no names");
}
