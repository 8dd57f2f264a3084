//! The demo hospital: four SQLite databases with the schemas of OpenMRS, OpenELIS, Odoo and PACS, with two weeks of
//! history, and the four systems at work on them ([`Hospital`]).
//!
//! Generated at the start, so that the console can be tried without a hospital. All of it is invented: no person,
//! record or address in it exists. It writes only into its own folder and uses nothing of the console except the
//! configuration's types and the texts of its own page.

mod aftermath;
mod database;
mod faults;
mod history;
mod life;
mod records;
mod schema;
mod texts;
mod troubles;

pub use life::Hospital;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use chrono::{DateTime, SubsecRound, Utc};
use chrono_tz::Tz;

use crate::{
    model::{ApplicationInfo, Backend, Kind, Limits},
    server::config::{self, Application, Database, Secret, Tls},
};
use database::Variant;
use history::{History, Share};
use troubles::Troubles;

/// Parameters of the demo hospital.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Approximate number of failed events, in addition to the thousand of the stopped feed.
    pub events: u32,
    /// The same seed and `now` produce the same rows.
    pub seed: u64,
    /// End of the history.
    pub now: DateTime<Utc>,
}

impl Options {
    /// Default number of failed events.
    pub const EVENTS: u32 = 400;

    /// Returns the default hospital, as of `now`.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self { events: Self::EVENTS, seed: 2026, now }
    }
}

/// One of the four systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum System {
    Openmrs,
    Openelis,
    Odoo,
    Pacs,
}

impl System {
    fn member(self) -> &'static Member {
        match self {
            System::Openmrs => &MEMBERS[0],
            System::Openelis => &MEMBERS[1],
            System::Odoo => &MEMBERS[2],
            System::Pacs => &MEMBERS[3],
        }
    }
}

/// Default speed relative to a real hospital: fast enough to see a retry succeed, slow enough to watch it.
pub const PACE: u32 = 5;

/// The file of the hospital's current troubles, and of the options it was made with.
const TROUBLES: &str = "demo.db";

/// How a system writes its feeds.
#[derive(Clone, Copy)]
struct Feeds {
    /// Their address for consumers.
    base: &'static str,
    title: &'static str,
    id_prefix: &'static str,
}

/// One of the four applications.
struct Member {
    name: &'static str,
    file: &'static str,
    kind: Kind,
    publishes: &'static [&'static str],
    feeds: Option<Feeds>,
    variant: Variant,
    share: fn(&History) -> &Share,
}

const MEMBERS: [Member; 4] = [
    Member {
        name: "OpenMRS",
        file: "openmrs.db",
        kind: Kind::Openmrs,
        publishes: &["http://openmrs:8080/openmrs/"],
        feeds: Some(Feeds {
            base: "http://openmrs:8080/openmrs/ws/atomfeed",
            title: "Patient AOP",
            id_prefix: "bec795b1-3d17-451d-b43e-a094019f6984",
        }),
        variant: Variant {
            system: System::Openmrs,
            schema: schema::OPENMRS,
            zone: Tz::UTC,
            schedule: history::OPENMRS,
            tags: true,
            numbered_markers: false,
            publishes: true,
            zero_dates: true,
        },
        share: |history| &history.openmrs,
    },
    Member {
        name: "OpenELIS",
        file: "openelis.db",
        kind: Kind::Openelis,
        publishes: &["http://openelis:8052/openelis/"],
        feeds: Some(Feeds {
            base: "http://openelis:8052/openelis/ws/feed",
            title: "OpenELIS feeds",
            id_prefix: "9a26fb9c-6e12-4f37-9d23-31d7d50ab2c4",
        }),
        variant: Variant {
            system: System::Openelis,
            schema: schema::OPENELIS,
            zone: Tz::UTC,
            schedule: history::OPENELIS,
            tags: true,
            numbered_markers: true,
            publishes: true,
            zero_dates: false,
        },
        share: |history| &history.openelis,
    },
    Member {
        name: "Odoo",
        file: "odoo.db",
        kind: Kind::Odoo,
        publishes: &["http://odoo:8069/"],
        feeds: Some(Feeds {
            base: "http://odoo:8069/feed",
            title: "Odoo feeds",
            id_prefix: "27f1c0de-90fb-43a5-8a3c-5a0c9be1d6f0",
        }),
        variant: Variant {
            system: System::Odoo,
            schema: schema::ODOO,
            // Its container uses the hospital's own time zone: the times in its tables are not UTC.
            zone: Tz::Asia__Kolkata,
            schedule: history::ODOO,
            tags: true,
            numbered_markers: true,
            publishes: true,
            zero_dates: false,
        },
        share: |history| &history.odoo,
    },
    Member {
        name: "PACS",
        file: "pacs.db",
        kind: Kind::Pacs,
        publishes: &[],
        feeds: None,
        variant: Variant {
            system: System::Pacs,
            schema: schema::PACS,
            zone: Tz::UTC,
            schedule: history::PACS,
            tags: false,
            numbered_markers: false,
            publishes: false,
            zero_dates: false,
        },
        share: |history| &history.pacs,
    },
];

/// Creates the databases that are missing in `dir`, and returns how to connect to all of them, at this pace. Existing
/// ones remain unchanged, and missing ones are made to fit them.
///
/// # Errors
/// Fails if the folder or a database cannot be written; the message names it.
pub async fn prepare(dir: &Path, options: Options, pace: u32) -> anyhow::Result<Vec<Application>> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make the demo's folder {}", dir.display()))?;
    let missing: Vec<(PathBuf, &'static Member)> =
        MEMBERS.iter().map(|member| (dir.join(member.file), member)).filter(|(file, _)| !file.exists()).collect();
    let file = dir.join(TROUBLES);
    found(&file, &missing, options).await.with_context(|| format!("cannot write {}", file.display()))?;
    Ok(MEMBERS.iter().map(|member| member.application(dir, pace)).collect())
}

/// Stores the options first: if this is interrupted, the rest is later made with the same options.
async fn found(file: &Path, missing: &[(PathBuf, &'static Member)], options: Options) -> anyhow::Result<()> {
    let troubles = Troubles::open(file).await?;
    let made_from = troubles.made_from().await?;
    let options = match made_from {
        Some((seed, events, now)) => Options { events, seed, now },
        // The time is stored in milliseconds, and the history is made from the stored value.
        None => Options { now: options.now.trunc_subsecs(3), ..options },
    };
    if made_from.is_none() || !missing.is_empty() {
        let history = Arc::new(history::invent(&options));
        if made_from.is_none() {
            let (left, examples) = (aftermath::troubles(&history), &history.records.examples);
            troubles.found((options.seed, options.events, options.now), &left, examples).await?;
        }
        // Each in a separate thread: composing the texts takes longer than writing them.
        let runtime = tokio::runtime::Handle::current();
        let tasks: Vec<_> = missing
            .iter()
            .map(|(file, member)| {
                let (history, file, member, runtime) = (Arc::clone(&history), file.clone(), *member, runtime.clone());
                tokio::task::spawn_blocking(move || {
                    let create = database::create(&file, member.variant, (member.share)(&history), &history.records);
                    runtime.block_on(create)
                })
            })
            .collect();
        for task in tasks {
            task.await.context("the demo hospital could not be made")??;
        }
    }
    troubles.close().await;
    Ok(())
}

/// Returns the limits of a consumer, with its schedule at the hospital's pace. The console counts in whole seconds.
fn limits_at(kind: Kind, pace: u32) -> Limits {
    let usual = config::usual_limits(kind);
    let paced = |seconds: u64| seconds.div_ceil(u64::from(pace.max(1)));
    Limits {
        feed_interval_secs: paced(usual.feed_interval_secs),
        retry_interval_secs: paced(usual.retry_interval_secs),
        ..usual
    }
}

impl Member {
    fn application(&self, dir: &Path, pace: u32) -> Application {
        // The faster the hospital, the more often there is something new.
        let refresh = Duration::from_secs(if pace > 1 { 2 } else { 10 });
        Application {
            info: ApplicationInfo {
                key: self.name.to_lowercase(),
                name: self.name.to_owned(),
                kind: self.kind,
                kind_assumed: false,
                address: self.file.to_owned(),
                limits: limits_at(self.kind, pace),
                feed_limits: Vec::new(),
                concerns: Default::default(),
                time_zone: self.variant.zone.name().to_owned(),
                refresh_secs: refresh.as_secs(),
                publishes: self.publishes.iter().map(|prefix| (*prefix).to_owned()).collect(),
                public_url: None,
                read_only: false,
                feed_texts: Default::default(),
            },
            database: Database {
                backend: Backend::Sqlite,
                host: String::new(),
                port: 0,
                database: dir.join(self.file).to_string_lossy().into_owned(),
                schema: None,
                user: String::new(),
                password: Secret::default(),
                tls: Tls::Off,
                ca: None,
            },
            time_zone: self.variant.zone,
            pool_size: 4,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            refresh,
            own_concerns: Default::default(),
            probe: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

    use super::*;

    fn options() -> Options {
        let now = DateTime::parse_from_rfc3339("2026-03-11T08:30:00Z").map(|at| at.to_utc());
        Options::at(now.unwrap_or_default())
    }

    async fn hospital(options: Options) -> (tempfile::TempDir, Vec<Application>) {
        let dir = tempfile::tempdir().expect("a folder");
        let applications = prepare(dir.path(), options, 1).await.expect("a demo hospital");
        (dir, applications)
    }

    async fn open(dir: &Path, file: &str) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(dir.join(file)).read_only(true);
        SqliteConnection::connect_with(&options).await.expect("a database")
    }

    /// Returns the rows of a query, each as text.
    async fn rows(dir: &Path, file: &str, query: &'static str) -> Vec<String> {
        let mut connection = open(dir, file).await;
        let rows = sqlx::query(query).fetch_all(&mut connection).await.expect("an answer");
        rows.iter().map(|row| row.get::<Option<String>, _>(0).unwrap_or_else(|| "NULL".to_owned())).collect()
    }

    async fn count(dir: &Path, file: &str, query: &'static str) -> i64 {
        let mut connection = open(dir, file).await;
        sqlx::query_scalar(query).fetch_one(&mut connection).await.expect("a count")
    }

    const WHOLE: &str =
        "SELECT group_concat(id || ifnull(feed_uri, '') || ifnull(failed_at, '') || error_message || event_id
        || event_content || error_hash_code || title || retries, char(10)) FROM failed_events";

    #[tokio::test]
    async fn the_same_seed_and_time_give_the_same_rows() {
        let (one, _) = hospital(options()).await;
        let (other, _) = hospital(options()).await;
        let (unlike, _) = hospital(Options { seed: 7, ..options() }).await;
        for member in &MEMBERS {
            let rows_of_one = rows(one.path(), member.file, WHOLE).await;
            assert!(rows_of_one == rows(other.path(), member.file, WHOLE).await, "{}", member.name);
            assert!(rows_of_one != rows(unlike.path(), member.file, WHOLE).await, "{}", member.name);
        }
    }

    #[tokio::test]
    async fn every_count_of_retries_is_to_be_seen() {
        let (dir, applications) = hospital(options()).await;
        for (member, application) in MEMBERS.iter().zip(&applications) {
            let query = "SELECT DISTINCT CAST(retries AS text) FROM failed_events ORDER BY retries";
            let max = application.info.limits.max_retry.unwrap_or_default();
            let expected: Vec<String> = (0..=max).map(|retries| retries.to_string()).collect();
            assert_eq!(rows(dir.path(), member.file, query).await, expected, "{}", member.name);
        }
    }

    #[tokio::test]
    async fn one_feed_stands_at_its_limit_and_no_other() {
        let (dir, applications) = hospital(options()).await;
        let mut stopped = Vec::new();
        for application in &applications {
            let query = "SELECT ifnull(feed_uri, '') || '=' || count(*) FROM failed_events GROUP BY feed_uri";
            for feed in rows(dir.path(), &application.info.address, query).await {
                let (feed, count) = feed.rsplit_once('=').expect("a count");
                let limit = application.info.limits.max_failed_events.expect("a limit");
                if count.parse::<u64>().expect("a number") >= limit {
                    stopped.push((application.info.name.clone(), feed.to_owned(), count.to_owned()));
                }
            }
        }
        let feed = "http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent";
        assert_eq!(stopped, [("Odoo".to_owned(), feed.to_owned(), "1000".to_owned())]);
    }

    #[tokio::test]
    async fn the_retry_log_has_a_row_for_every_retry() {
        let (dir, _) = hospital(options()).await;
        for member in &MEMBERS {
            // Counted in one pass over the log: there is no index on its event ids.
            let logged =
                "WITH logged AS (SELECT event_id, feed_uri, count(*) AS n FROM failed_event_retry_log GROUP BY 1, 2),
                counts AS MATERIALIZED (SELECT retries, ifnull(n, 0) AS n FROM failed_events f LEFT JOIN logged l
                    ON l.event_id = f.event_id AND l.feed_uri IS f.feed_uri)
                SELECT sum(retries <> n) || ' ' || sum(retries = 0 AND n = 10) FROM counts";
            let answer = rows(dir.path(), member.file, logged).await;
            // In OpenELIS a user has reset some to 0.
            let (odd, reset) = answer[0].split_once(' ').expect("two counts");
            assert_eq!(odd, reset, "{}", member.name);
            assert_eq!(reset != "0", member.name == "OpenELIS", "{}", member.name);
        }
    }

    #[tokio::test]
    async fn nothing_lies_in_the_future_and_the_newest_is_fresh() {
        let (dir, _) = hospital(options()).await;
        for member in &MEMBERS {
            let local = |at: DateTime<Utc>| at.with_timezone(&member.variant.zone).format("%F %T%.6f").to_string();
            let newest = rows(
                dir.path(),
                member.file,
                "SELECT max(at) FROM (SELECT max(failed_at) at FROM failed_events
                UNION ALL SELECT max(failed_at) FROM failed_event_retry_log)",
            )
            .await;
            let now = options().now;
            assert!(newest[0] <= local(now), "{}: {}", member.name, newest[0]);
            assert!(newest[0] >= local(now - chrono::TimeDelta::days(1)), "{}: {}", member.name, newest[0]);
        }
    }

    #[tokio::test]
    async fn the_rows_that_hurt_are_there() {
        let (dir, _) = hospital(options()).await;
        let at = dir.path();
        assert_eq!(count(at, "pacs.db", "SELECT count(*) FROM failed_events WHERE failed_at IS NULL").await, 1);
        assert_eq!(count(at, "openmrs.db", "SELECT count(*) FROM failed_events WHERE feed_uri IS NULL").await, 1);
        assert_eq!(
            count(at, "openmrs.db", "SELECT count(*) FROM failed_events WHERE length(error_message) > 190000").await,
            1
        );
        assert!(
            count(at, "openmrs.db", "SELECT count(*) FROM failed_events WHERE error_message LIKE '%<script>%'").await
                > 0
        );
        let twice = "SELECT count(*) FROM (SELECT event_id FROM failed_events GROUP BY event_id HAVING count(*) > 1)";
        assert_eq!(count(at, "openelis.db", twice).await, 3);
        let no_entry = "SELECT count(*) FROM markers WHERE last_read_entry_id IS NULL";
        assert_eq!(count(at, "openelis.db", no_entry).await, 1);
        let no_feed = "SELECT feed_uri FROM markers WHERE feed_uri LIKE '%salable%'";
        assert_eq!(rows(at, "odoo.db", no_feed).await.len(), 1);
        let no_marker =
            "SELECT DISTINCT feed_uri FROM failed_events WHERE feed_uri NOT IN (SELECT feed_uri FROM markers)";
        assert_eq!(rows(at, "odoo.db", no_marker).await, ["http://openmrs:8080/openmrs/ws/atomfeed/drug/recent"]);
        assert_eq!(count(at, "pacs.db", "SELECT count(*) FROM event_records_offset_marker").await, 0);
        let zero = "SELECT count(*) FROM event_records WHERE date_created = '0000-00-00 00:00:00'";
        assert_eq!((count(at, "openmrs.db", zero).await, count(at, "odoo.db", zero).await), (20, 0));
        let elsewhere =
            "SELECT count(DISTINCT CASE WHEN latest.error_message LIKE '%' || substr(f.error_message, 200, 60) || '%'
            THEN 'same' ELSE 'other' END) FROM failed_events f JOIN failed_event_retry_log latest USING (event_id)";
        assert_eq!(count(at, "odoo.db", elsewhere).await, 2, "some latest errors differ from the first, some do not");
    }

    #[tokio::test]
    async fn payloads_of_every_kind_are_there() {
        use crate::model::payload::{Payload, parse};
        let (dir, _) = hospital(options()).await;
        let mut kinds = std::collections::BTreeSet::new();
        for member in &MEMBERS {
            for content in rows(dir.path(), member.file, "SELECT event_content FROM failed_events").await {
                kinds.insert(match parse(&content) {
                    Payload::Path(_) => "path",
                    Payload::Json(_) => "JSON",
                    Payload::Xml(_) => "XML",
                    Payload::Hl7(_) => "HL7",
                    Payload::Text { .. } => "text",
                    Payload::Url(_) | Payload::Empty => "other",
                });
            }
        }
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["HL7", "JSON", "XML", "path", "text"]);
    }

    #[tokio::test]
    async fn the_same_record_fails_in_several_applications() {
        let (dir, _) = hospital(options()).await;
        let query = "SELECT event_content FROM failed_events WHERE event_content LIKE '/%'";
        let odoo: std::collections::HashSet<_> = rows(dir.path(), "odoo.db", query).await.into_iter().collect();
        for file in ["openelis.db", "pacs.db"] {
            assert!(rows(dir.path(), file, query).await.iter().any(|content| odoo.contains(content)), "{file}");
        }
    }

    #[tokio::test]
    async fn offset_markers_agree_with_the_events_that_they_count() {
        let (dir, _) = hospital(options()).await;
        for file in ["openmrs.db", "openelis.db", "odoo.db"] {
            let wrong = "SELECT count(*) FROM event_records_offset_marker m WHERE event_count <> (SELECT count(*)
                FROM event_records r WHERE r.id <= m.event_id AND (m.category = '' OR r.category = m.category))";
            assert_eq!(count(dir.path(), file, wrong).await, 0, "{file}");
        }
        let behind = "SELECT (SELECT max(id) FROM event_records) - max(event_id) FROM event_records_offset_marker";
        assert_eq!(count(dir.path(), "openmrs.db", behind).await, 1000);
    }

    #[tokio::test]
    async fn a_page_in_an_error_is_the_one_the_event_stands_on() {
        let (dir, _) = hospital(options()).await;
        let at = dir.path();
        let marker = "SELECT last_read_entry_id || ' ' || feed_uri_for_last_read_entry FROM markers
            WHERE feed_uri LIKE '%/patient/recent' AND feed_uri LIKE 'http://openmrs%'";
        let marker = rows(at, "odoo.db", marker).await;
        let (entry, page) = marker[0].split_once(' ').expect("entry and page");
        let mut connection = open(at, "openmrs.db").await;
        let before = "SELECT count(*) FROM event_records WHERE category = 'patient' AND id <
            (SELECT id FROM event_records WHERE 'tag:atomfeed.ict4h.org:' || uuid = ?)";
        let before: i64 = sqlx::query_scalar(before).bind(entry).fetch_one(&mut connection).await.expect("a count");
        assert_eq!(page, format!("http://openmrs:8080/openmrs/ws/atomfeed/patient/{}", before / 5 + 1));
    }

    #[tokio::test]
    async fn a_folder_that_is_there_already_stays_as_it_is() {
        let (dir, first) = hospital(options()).await;
        let bytes = |file: &str| std::fs::read(dir.path().join(file)).expect("a file");
        let before: Vec<_> = MEMBERS.iter().map(|member| bytes(member.file)).collect();
        let again =
            prepare(dir.path(), Options { seed: 99, events: 10, ..options() }, 1).await.expect("the same hospital");
        assert_eq!(again, first);
        for (member, before) in MEMBERS.iter().zip(before) {
            assert!(bytes(member.file) == before, "{} was changed", member.name);
        }
    }
}
