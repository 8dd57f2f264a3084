//! Events in the demo hospital fail for a cause, and succeed once the cause is fixed.

use std::{path::Path, sync::Arc, time::Duration};

use atomfeed_console::clock;
use atomfeed_console::demo::{self, Hospital, Options};
use axum::{body::Body, http::Request};
use http_body_util::BodyExt;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::open;

/// A demo hospital at work, at full speed.
pub(super) struct Working {
    folder: tempfile::TempDir,
    pub hospital: Arc<Hospital>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Working {
    pub async fn begin() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Which events the history has depends on the time of day; among so many every fault has an exhausted one.
        let options = Options { events: 600, ..Options::at(clock::now()) };
        demo::prepare(folder.path(), options, 100).await.expect("a hospital");
        let hospital = Hospital::open(folder.path(), 100).await.expect("an open hospital");
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        hospital.start(&stop, &tasks).await.expect("a hospital at work");
        Self { folder, hospital, stop, tasks }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Returns the number of the trouble with this text in its title.
    pub async fn trouble(&self, title: &str) -> i64 {
        let view = self.hospital.view().await.expect("a view");
        view.troubles.iter().find(|trouble| trouble.title.contains(title)).expect(title).id
    }

    /// Waits until the query's number is as wanted. If the hospital never gets there, the test hangs until the runner's
    /// limit ends it.
    pub async fn until(&self, system: &str, sql: &'static str, id: i64, wanted: impl Fn(i64) -> bool) {
        let mut database = open(self.folder(), system).await;
        loop {
            let value: i64 = sqlx::query_scalar(sql).bind(id).fetch_one(&mut database).await.expect(sql);
            if wanted(value) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn execute(&self, system: &str, sql: &'static str, id: i64) {
        sqlx::query(sql).bind(id).execute(&mut open(self.folder(), system).await).await.expect(sql);
    }

    async fn get(&self, uri: &str) -> (u16, String) {
        let request = Request::get(uri).body(Body::empty()).expect("a request");
        let response = self.hospital.routes().oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a whole body").to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}

const RESET: &str = "UPDATE failed_events SET retries = 0 WHERE id = ?";

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_fails_again_until_the_cause_is_mended_and_then_comes_through() {
    let working = Working::begin().await;
    let id: i64 = sqlx::query_scalar(
        "SELECT id FROM failed_events WHERE retries = 10 AND error_message LIKE '%was not setup properly%'
            AND (SELECT error_message FROM failed_event_retry_log l WHERE l.event_id = failed_events.event_id
                ORDER BY id DESC LIMIT 1) LIKE '%was not setup properly%' ORDER BY id DESC LIMIT 1",
    )
    .fetch_one(&mut open(working.folder(), "openelis").await)
    .await
    .expect("an exhausted failed event");

    let log = "SELECT count(*) FROM failed_event_retry_log WHERE event_id = (SELECT event_id FROM failed_events WHERE id = ?)";
    working.execute("openelis", RESET, id).await;
    working.until("openelis", "SELECT retries FROM failed_events WHERE id = ?", id, |retries| retries > 0).await;
    working.until("openelis", log, id, |attempts| attempts > 10).await;

    working.hospital.fix(working.trouble("not set up").await).await.expect("mended");
    working.execute("openelis", RESET, id).await;
    working.until("openelis", "SELECT count(*) FROM failed_events WHERE id = ?", id, |rows| rows == 0).await;
    working.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_two_troubles_hold_comes_through_when_both_are_over() {
    let working = Working::begin().await;
    let mut openelis = open(working.folder(), "openelis").await;
    let (id, content): (i64, String) = sqlx::query_as(
        "SELECT id, event_content FROM failed_events WHERE retries = 10 AND error_message LIKE '%was not setup properly%'
            AND (SELECT error_message FROM failed_event_retry_log l WHERE l.event_id = failed_events.event_id
                ORDER BY id DESC LIMIT 1) LIKE '%was not setup properly%' ORDER BY id DESC",
    )
    .fetch_one(&mut openelis)
    .await
    .expect("an exhausted failed event");
    let record = atomfeed_console::model::payload::record_uuid(&content).expect("the record's uuid");
    // It waited for a patient, too, who has arrived meanwhile: a worker would meet that trouble first.
    let patient = "5c1f7a52-0000-4000-8000-000000000001";
    sqlx::query("INSERT INTO demo_received (event_id, feed, record, times) VALUES ('an event', 'a feed', ?, 1)")
        .bind(patient)
        .execute(&mut openelis)
        .await
        .expect("the patient");
    let mut demo = open(working.folder(), "demo").await;
    sqlx::raw_sql(
        "INSERT INTO troubles (id, fault, began_at, everything) VALUES (-1, 'patient-not-in-openelis', 0, 0)",
    )
    .execute(&mut demo)
    .await
    .expect("a trouble");
    sqlx::query("INSERT INTO trouble_records (trouble, record, needs) VALUES (-1, ?, ?)")
        .bind(&record)
        .bind(patient)
        .execute(&mut demo)
        .await
        .expect("its record");

    working.execute("openelis", RESET, id).await;
    working
        .until("openelis", "SELECT coalesce(max(retries), -1) FROM failed_events WHERE id = ?", id, |retries| {
            retries != 0
        })
        .await;
    let still_there = "SELECT count(*) FROM failed_events WHERE id = ? AND retries > 0";
    let rows: i64 = sqlx::query_scalar(still_there).bind(id).fetch_one(&mut openelis).await.expect(still_there);
    assert_eq!(rows, 1, "the test is still not set up");
    working.hospital.fix(working.trouble("not set up").await).await.expect("mended");
    working.execute("openelis", RESET, id).await;
    working.until("openelis", "SELECT count(*) FROM failed_events WHERE id = ?", id, |rows| rows == 0).await;
    working.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_while_odoo_was_down_comes_through_without_anybodys_help_but_a_retry() {
    let working = Working::begin().await;
    let id: i64 = sqlx::query_scalar(
        "SELECT id FROM failed_events WHERE retries = 5 AND feed_uri LIKE '%/patient/recent'
            AND error_message LIKE '%Failed to login%' ORDER BY id DESC LIMIT 1",
    )
    .fetch_one(&mut open(working.folder(), "odoo").await)
    .await
    .expect("an exhausted failed event");
    working.execute("odoo", RESET, id).await;
    working.until("odoo", "SELECT count(*) FROM failed_events WHERE id = ?", id, |rows| rows == 0).await;
    working.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_down_serves_no_feed_and_its_consumers_say_so() {
    let working = Working::begin().await;
    const FEED: &str = "/openmrs/ws/atomfeed/patient/recent";
    assert_eq!(working.get(FEED).await.0, 200);
    working.hospital.break_something("openmrs-down").await.expect("broken");
    assert_eq!(working.get(FEED).await.0, 502);
    let stands_still = || async {
        let view = working.hospital.view().await.expect("a view");
        let reads = |job: &atomfeed_console::model::demo::Job| job.feed.contains("//openmrs:8080/");
        view.jobs.iter().filter(|job| reads(job)).all(|job| job.read.as_ref().is_some_and(|run| run.ended.is_some()))
    };
    while !stands_still().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let view = working.hospital.view().await.expect("a view");
    assert!(view.breakages.iter().all(|breakage| breakage.word != "openmrs-down"), "it is down already");
    working.hospital.fix(working.trouble("OpenMRS is down").await).await.expect("mended");
    assert_eq!(working.get(FEED).await.0, 200);
    working.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_answer_under_the_systems_own_addresses() {
    let working = Working::begin().await;
    for feed in working.hospital.view().await.expect("a view").feeds {
        let (status, body) = working.get(&feed.1).await;
        assert_eq!((status, body.contains("<feed")), (200, true), "{feed:?}: {body}");
    }
    // As a consumer whose requests are sent here whatever their host is.
    let (status, page) = working.get("http://openmrs:8080/openmrs/ws/atomfeed/encounter/1").await;
    assert_eq!(status, 200);
    assert!(page.contains("href=\"http://openmrs:8080/openmrs/ws/atomfeed/encounter/2\""), "{page}");
    for nothing in ["/openmrs/ws/atomfeed/encounter/0", "/openmrs/ws/atomfeed/nothing/recent", "/feed/patient/recent"] {
        assert_eq!(working.get(nothing).await.0, 404, "{nothing}");
    }
    let unknown = working.hospital.break_something("the-building").await.expect_err("nothing to break");
    assert_eq!(unknown.status, 400);
    assert_eq!(working.hospital.fix(-1).await.expect_err("nothing to mend").status, 404);
    working.end().await;
}
