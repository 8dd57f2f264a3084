//! At the console's first poll no working retry job is reported as overdue.

use std::path::Path;

use atomfeed_console::server::sources::Source;
use atomfeed_console::{
    clock,
    demo::{self, Hospital, Options},
    server::{
        config::{self, Application, CommandLine, Environment},
        store::Store,
        watch::Watch,
    },
};
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

/// Feeds that no job reads or retries: their waiting events are overdue for ever.
const NOBODY_WORKS_ON: [(&str, &str); 4] = [
    ("odoo", "/drug/recent"),
    ("openmrs", "//integration.example"),
    ("openmrs", "//odoo:8069/feed/"),
    ("openelis", "//localhost:8050/"),
];

/// Returns the feeds whose retry job the first poll reports as overdue.
async fn overdue_at_the_first_look(folder: &Path, applications: Vec<Application>) -> Vec<(String, String)> {
    let line = CommandLine { store: Some(folder.join("console.db")), ..CommandLine::default() };
    let config = config::demo(line, &Environment::from([]), folder, folder, applications).expect("a configuration");
    let sources: Vec<_> = config.applications.iter().map(|app| Source::new(app.clone()).into()).collect();
    let store = Store::open(&config.store).await.expect("a store");
    let stop = CancellationToken::new();
    let watch = Watch::start(&sources, &store, &stop);
    let mut overdue = Vec::new();
    for source in &sources {
        let app = &source.app().info.key;
        let seen = loop {
            let view = watch.view(app).await.expect("it is watched");
            if let Some(seen) = view.seen {
                break seen;
            }
        };
        let feeds = seen.feeds.here().expect("its feeds");
        let late = feeds.iter().filter(|feed| feed.signs.unretried_since.is_some());
        overdue.extend(late.map(|feed| (app.clone(), feed.uri.clone().expect("an address"))));
        assert!(feeds.iter().any(|feed| feed.counts.waiting > 0), "nothing waits in {app}");
    }
    stop.cancel();
    let nobody =
        |(app, uri): &(String, String)| NOBODY_WORKS_ON.iter().any(|(of, part)| app == of && uri.contains(part));
    overdue.retain(|feed| !nobody(feed));
    overdue
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_new_hospital_what_waits_was_tried_a_moment_ago() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options::at(clock::now());
    let applications = demo::prepare(folder.path(), options, 1).await.expect("a hospital");
    let overdue = overdue_at_the_first_look(folder.path(), applications).await;
    assert!(overdue.is_empty(), "{overdue:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_hospital_that_was_left_alone_the_jobs_catch_up_before_the_console_looks() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options::at(clock::now() - TimeDelta::days(3));
    let applications = demo::prepare(folder.path(), options, 5).await.expect("a hospital");
    let hospital = Hospital::open(folder.path(), 5).await.expect("an open hospital");
    hospital.catch_up().await.expect("the jobs");
    let overdue = overdue_at_the_first_look(folder.path(), applications).await;
    assert!(overdue.is_empty(), "{overdue:?}");
}
