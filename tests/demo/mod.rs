//! The demo hospital at work: events arrive, fail for reasons that can be mended, and survive being killed.

mod killed;
mod life;

use std::path::Path;

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

/// The systems' own feeds, as their consumers call them.
const ENCOUNTERS: &str = "http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent";
const PATIENTS: &str = "http://openmrs:8080/openmrs/ws/atomfeed/patient/recent";
const LAB: &str = "http://openmrs:8080/openmrs/ws/atomfeed/lab/recent";
const RESULTS: &str = "http://openelis:8052/openelis/ws/feed/patient/recent";

/// One of the hospital's databases, past the systems.
async fn open(folder: &Path, system: &str) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(folder.join(format!("{system}.db")))
        .busy_timeout(std::time::Duration::from_secs(30));
    SqliteConnection::connect_with(&options).await.expect("the database opens")
}

async fn count(connection: &mut SqliteConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.expect(sql)
}
