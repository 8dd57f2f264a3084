//! kill -9 at any moment loses no event and repeats none that succeeded.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{ENCOUNTERS, LAB, PATIENTS, RESULTS, count, open};

/// Consumer, feed, publisher, and category.
const READ: [(&str, &str, &str, &str); 9] = [
    ("openmrs", RESULTS, "openelis", "patient"),
    ("openelis", ENCOUNTERS, "openmrs", "Encounter"),
    ("openelis", PATIENTS, "openmrs", "patient"),
    ("openelis", LAB, "openmrs", "lab"),
    ("odoo", PATIENTS, "openmrs", "patient"),
    ("odoo", ENCOUNTERS, "openmrs", "Encounter"),
    ("odoo", LAB, "openmrs", "lab"),
    ("odoo", RESULTS, "openelis", "patient"),
    ("pacs", ENCOUNTERS, "openmrs", "Encounter"),
];

/// Starts the binary on this folder and waits until it answers.
fn start(folder: &Path, pace: &str) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_atomfeed-console"))
        .args(["demo", "--listen", "127.0.0.1:0", "--events", "60", "--pace", pace, "--data"])
        .arg(folder)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let said = BufReader::new(child.stdout.take().expect("its output")).lines();
    let answers = said.map_while(Result::ok).any(|line| line.contains("answers at"));
    assert!(answers, "it ended before it answered");
    child
}

fn kill(mut child: Child) {
    child.kill().expect("it is killed");
    child.wait().expect("it has ended");
}

#[tokio::test]
async fn killed_at_any_moment_nothing_is_lost_and_nothing_is_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    // The hospital is created, and no job has run in it yet.
    kill(start(folder, "0"));
    let mut begun = Vec::new();
    for (consumer, feed, ..) in READ {
        let mut database = open(folder, consumer).await;
        let marker: Option<Option<String>> =
            sqlx::query_scalar("SELECT last_read_entry_id FROM markers WHERE feed_uri = ?")
                .bind(feed)
                .fetch_optional(&mut database)
                .await
                .expect("a marker");
        begun.push(marker.flatten());
    }

    for wanted in [20, 150, 300, 330, 360] {
        let child = start(folder, "100");
        let mut laboratory = open(folder, "openelis").await;
        // Some way into the work, at whatever point that is.
        while count(&mut laboratory, "SELECT count(*) FROM demo_received").await < wanted {
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
        kill(child);
    }

    for ((consumer, feed, publisher, category), begun) in READ.into_iter().zip(begun) {
        let mut database = open(folder, consumer).await;
        sqlx::query("ATTACH ? AS publisher")
            .bind(folder.join(format!("{publisher}.db")).to_string_lossy().into_owned())
            .execute(&mut database)
            .await
            .expect("the publisher's database");
        // Counts the events that the marker has passed since the start, and where each of them is now.
        let row: (i64, i64, i64, i64) = sqlx::query_as(
            "WITH read AS (
                SELECT 'tag:atomfeed.ict4h.org:' || uuid AS event FROM publisher.event_records
                WHERE category = ?3 COLLATE NOCASE
                    AND id > ifnull((SELECT id FROM publisher.event_records WHERE 'tag:atomfeed.ict4h.org:' || uuid = ?2), 0)
                    AND id <= (SELECT r.id FROM publisher.event_records r JOIN markers m
                        ON m.last_read_entry_id = 'tag:atomfeed.ict4h.org:' || r.uuid WHERE m.feed_uri = ?1)),
            received AS (SELECT event_id AS event, times FROM demo_received WHERE feed = ?1),
            failed AS (SELECT event_id AS event FROM failed_events WHERE feed_uri = ?1)
            SELECT
                (SELECT count(*) FROM read),
                (SELECT count(*) FROM read WHERE event NOT IN (SELECT event FROM received)
                    AND event NOT IN (SELECT event FROM failed)),
                (SELECT count(*) FROM received WHERE event IN (SELECT event FROM failed)),
                (SELECT count(*) FROM received WHERE times <> 1)",
        )
        .bind(feed)
        .bind(begun)
        .bind(category)
        .fetch_one(&mut database)
        .await
        .expect("counts");
        let (read, lost, both, repeated) = row;
        assert_eq!((lost, both, repeated), (0, 0, 0), "{consumer} on {feed}, of {read} events read");
        if feed == LAB && consumer == "openelis" {
            assert!(read > 50, "the killing came before the work: {read}");
        }
    }
    let mut publisher = open(folder, "openmrs").await;
    let twice = "SELECT count(*) - count(DISTINCT uuid) FROM event_records";
    assert_eq!(count(&mut publisher, twice).await, 0, "an event was published twice");
}
