//! Everything has one name on every page: feeds, even if two publishers have feeds of one category, and failed events.

use std::time::{Duration, Instant};

use atomfeed_console::model::operation::Stage;

use super::hospital::{Hospital, PATIENTS, Row, row};

/// OpenELIS publishes its results as a feed of patients.
const RESULTS: &str = "http://openelis:8052/openelis/ws/feed/patient/recent";

const OF_OPENMRS: &str = "patient (from openmrs:8080)";
const OF_OPENELIS: &str = "patient (from OpenELIS)";

/// Odoo reads two feeds of patients, and an event of each has failed with the same error.
async fn hospital() -> Hospital {
    let of = |id, feed| Row { feed, error: "Odoo does not answer".into(), ..row(id, "2026-11-20 08:00:00") };
    let hospital = Hospital::with(&[of(1, PATIENTS), of(2, RESULTS)], &[], "/atomfeed-console", |config| {
        config.applications[1].info.publishes = vec!["http://openelis:8052/openelis/".into()];
    })
    .await;
    hospital.followed().await;
    hospital
}

/// Returns what a page shows, without its markup.
fn text(html: &str) -> String {
    let body = html.split_once("<main").map_or(html, |(_, main)| main);
    let mut text = String::new();
    for piece in body.split('<') {
        text.push_str(piece.split_once('>').map_or("", |(_, shown)| shown));
    }
    text
}

async fn shown(hospital: &Hospital, path: &str) -> String {
    text(&hospital.page(&format!("/atomfeed-console{path}")).await.body)
}

async fn done(hospital: &Hospital, kind: &str, id: i64, fields: &[(&str, &str)]) {
    let plan = [&[("kind", kind)], fields].concat();
    hospital.form("/atomfeed-console/api/plan_operation", &plan).await;
    let number = id.to_string();
    let start = [("id", number.as_str()), ("reason", "test data")];
    hospital.form("/atomfeed-console/api/start_operation", &start).await;
    let begun = Instant::now();
    while hospital.console.parts.store.operation(id).await.unwrap().expect("it is there").stage != Stage::Ended {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    hospital.look("odoo").await;
}

#[tokio::test]
async fn two_feeds_of_one_category_are_told_apart_wherever_a_feed_is_named() {
    let hospital = hospital().await;
    let both = async |path: &str, times: usize| {
        let page = shown(&hospital, path).await;
        for name in [OF_OPENMRS, OF_OPENELIS] {
            assert!(page.matches(name).count() >= times, "{path}: {name}: {page}");
        }
        assert!(!page.contains(RESULTS), "{path} shows an address: {page}");
    };
    hospital.form("/atomfeed-console/api/plan_operation", &[("kind", "discard"), ("query", "")]).await;
    // A plan: its feeds, and the feeds of its rows.
    both("/operations/1", 2).await;
    both("/groups", 1).await;
    both("/groups/1", 1).await;
    both("/search?q=answer", 1).await;
    for (row, name) in [(1, OF_OPENMRS), (2, OF_OPENELIS)] {
        let page = shown(&hospital, &format!("/failed-events/odoo/{row}")).await;
        let crumbs = page.split("First failed").next().unwrap_or_default();
        assert!(crumbs.contains(name), "{crumbs}");
    }
    done(&hospital, "discard", 2, &[("query", "")]).await;
    both("/operations/2", 1).await;
    // The select, and the events.
    both("/history", 2).await;
}

#[tokio::test]
async fn what_is_asked_of_one_feed_is_called_by_its_name() {
    let hospital = hospital().await;
    let query = format!("app=odoo&feed={RESULTS}");
    hospital.form("/atomfeed-console/api/plan_operation", &[("kind", "retry"), ("query", &query)]).await;
    let plan = shown(&hospital, "/operations/1").await;
    assert!(plan.contains("of the patient feed of OpenELIS in Odoo"), "{plan}");
    let history = shown(&hospital, &format!("/history?app=odoo&feed={RESULTS}")).await;
    assert!(history.contains("History of the patient feed of OpenELIS in Odoo"), "{history}");
    let all = shown(&hospital, &format!("/history?feed={RESULTS}")).await;
    assert!(all.contains("History of the patient feed of OpenELIS"), "{all}");
}

#[tokio::test]
async fn a_failed_event_has_one_name_on_every_page() {
    const NAME: &str = "Encounter 10000000…0001 → Odoo";
    let hospital = hospital().await;
    let named = async |path: &str| {
        let page = shown(&hospital, path).await;
        assert!(page.contains(NAME), "{path}: {page}");
    };
    hospital.form("/atomfeed-console/api/plan_operation", &[("kind", "discard"), ("rows[]", "odoo:1:5")]).await;
    named("/failed-events").await;
    named("/operations/1").await;
    named("/groups/1").await;
    named("/search?q=10000000-0000-4000-8000-000000000001").await;
    done(&hospital, "discard", 2, &[("rows[]", "odoo:1:5")]).await;
    named("/operations/2").await;
    named("/discarded").await;
    named("/history").await;
    named("/history/1").await;
    named("/groups/1?state=discarded").await;
    named("/search?q=10000000-0000-4000-8000-000000000001").await;
    done(&hospital, "restore", 3, &[("copies[]", "1")]).await;
    named("/discarded").await;
    named("/operations/3").await;
}
