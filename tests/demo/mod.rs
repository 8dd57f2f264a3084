//! The demo hospital at work: events arrive, fail for reasons that can be fixed, and survive a kill.

mod killed;
mod left_alone;
mod life;
mod records;

use std::path::Path;

use atomfeed_console::{
    clock,
    demo::{self, Options},
    model::feed::category_of,
    server::sources::{Named, Source, Word},
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

/// The systems' own feeds, by their consumers' names for them.
const ENCOUNTERS: &str = "http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent";
const PATIENTS: &str = "http://openmrs:8080/openmrs/ws/atomfeed/patient/recent";
const LAB: &str = "http://openmrs:8080/openmrs/ws/atomfeed/lab/recent";
const RESULTS: &str = "http://openelis:8052/openelis/ws/feed/patient/recent";

/// Opens one of the hospital's databases directly, without its system.
async fn open(folder: &Path, system: &str) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(folder.join(format!("{system}.db")))
        .create_if_missing(system == "together")
        .busy_timeout(std::time::Duration::from_secs(30));
    SqliteConnection::connect_with(&options).await.expect("the database opens")
}

async fn count(connection: &mut SqliteConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.expect(sql)
}

#[tokio::test]
async fn its_markers_name_events_and_pages_that_their_publishers_have() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { events: 60, ..Options::at(clock::now()) };
    let applications = demo::prepare(folder.path(), options, 1).await.expect("a hospital");
    let sources: Vec<Source> = applications.into_iter().map(Source::new).collect();
    let mut compared = 0;
    for source in &sources {
        let markers = source.markers_and_missing().await.expect("an answer").0.here().cloned().expect("the markers");
        for marker in markers.iter().filter(|marker| marker.fault().is_none()) {
            let uri = marker.feed_uri.as_deref().expect("an address");
            let Some(publisher) = sources.iter().find(|source| source.app().info.is_publisher_of(uri)) else {
                continue;
            };
            let (entry, page) = (marker.last_read_entry_id.as_deref(), marker.page_number());
            let category = category_of(uri);
            let named = Named { entry, page, category: category.as_deref() };
            let word = publisher.named(named, true).await.expect("an answer").word;
            // The marker that was written by hand, with a letter missing.
            if uri.contains("/salable/") {
                assert_ne!(word, Word::Has, "{marker:?}");
            } else {
                assert_eq!(word, Word::Has, "{marker:?}");
            }
            compared += 1;
        }
    }
    assert!(compared > 5, "{compared}");
}
