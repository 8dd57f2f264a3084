//! The ledger stays in step with the table: after every poll it says what the table says, whatever happened between two
//! polls, and it knows how each row ended as far as that can be known.

use std::collections::{BTreeMap, BTreeSet};

use atomfeed_console::{
    model::{
        RowId,
        ledger::{Asked, Happened, LedgerEvent, LifeState, RequestKind, RequestOutcome},
    },
    server::{
        sources::Source,
        store::{
            Store,
            ledger::{Ask, Scope},
        },
        watch::{Follower, PollChanges},
    },
};
use chrono::Utc;
use tempfile::TempDir;

use crate::support::{
    database::{FEED, Failed, TestDatabase, Variant},
    proxy::Proxy,
};

everywhere! {
    the_first_look_enters_what_is_there
    rows_that_hurt_are_entered_like_others
    a_look_at_an_unchanged_table_is_quiet
}

on_each_server! {
    any_history_leaves_the_ledger_in_step
    changes_that_make_up_for_each_other_are_seen
    a_row_that_leaves_with_its_log_is_resolved_and_others_are_gone
    a_restart_at_any_point_goes_on_where_it_was
    a_look_whose_connection_is_lost_anywhere_is_made_up_for
    ids_that_begin_again_are_told
    a_restored_dump_is_told_and_what_is_the_same_goes_on
    a_retry_is_followed_until_it_failed_again
    a_reset_that_the_consumer_overwrites_is_noticed
    a_request_that_changed_nothing_gives_its_place_back
    attempts_of_an_earlier_failure_count_for_nothing
    a_discard_and_a_restore_are_one_life
    a_rewritten_host_name_moves_its_events
    what_left_long_ago_is_forgotten_and_what_is_there_is_not
}

on!(mysql_moves, Mysql, OpenMrs: what_was_tried_before_the_first_look_counts_as_often_as_the_row_says);
on!(sqlite_widest, Sqlite, Text: the_highest_id_of_all_ends_the_first_read);
on!(mysql_without_log, Mysql, ModuleAtomfeed: without_a_retry_log_nobody_knows_why_a_row_left);

const OTHER: &str = "http://openelis:8052/openelis/ws/feed/patient/recent";

/// A test's own ledger with its follower.
struct Watched {
    _folder: TempDir,
    store: Store,
    source: Source,
    follower: Follower,
}

impl Watched {
    async fn new(database: &TestDatabase) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("console.db")).await.expect("a store");
        let source = database.source();
        let follower = Follower::open(&store, "lab", &database.app.info.limits).await.expect("a book");
        Self { _folder: folder, store, source, follower }
    }

    /// Ends the console and starts it again.
    async fn restart(&mut self, database: &TestDatabase) {
        self.source = database.source();
        self.follower = Follower::open(&self.store, "lab", &database.app.info.limits).await.expect("a book");
    }

    /// Same as `new`, through a network that a test can cut.
    async fn through(database: &TestDatabase, proxy: &Proxy) -> Self {
        let source = database.source_with(|app| app.database.port = proxy.port);
        Self { source, ..Self::new(database).await }
    }

    async fn restart_through(&mut self, database: &TestDatabase, proxy: &Proxy) {
        self.restart(database).await;
        self.source = database.source_with(|app| app.database.port = proxy.port);
    }

    async fn look(&mut self) -> PollChanges {
        let mut found = self.follower.catch_up(&self.source).await.expect("a look");
        while found.unfinished {
            found = self.follower.catch_up(&self.source).await.expect("a look");
        }
        found
    }

    /// Returns the lives that an id had, newest first.
    async fn lives(&self, id: i64) -> Vec<LedgerEvent> {
        self.store.ledger_events_of_row("lab", RowId(id.into())).await.expect("events")
    }

    async fn event(&self, id: i64) -> LedgerEvent {
        self.lives(id).await.into_iter().next().expect("the ledger knows the row")
    }

    /// Returns what the ledger considers the table's content: id → event id, feed, retries.
    async fn open(&self) -> Table {
        let cursor = self.store.open_cursor("lab", Utc::now()).await.expect("a book");
        let rows = self.store.ledger_rows(&cursor, (i64::MIN, i64::MAX)).await.expect("rows");
        rows.into_iter().map(|row| (row.row_id, (row.event_id, row.feed_uri, row.retries))).collect()
    }

    /// Checks that the stored counts equal those of a fresh count.
    async fn check_counts(&self) {
        let kept = self.store.ledger_counts("lab", None).await.expect("counts");
        let cursor = self.store.open_cursor("lab", Utc::now()).await.expect("a book");
        let open = self.store.ledger_rows(&cursor, (i64::MIN, i64::MAX)).await.expect("rows");
        for state in [LifeState::Waiting, LifeState::Exhausted, LifeState::Unknown] {
            let sum: u64 = kept.iter().filter(|count| count.state == state).map(|count| count.count).sum();
            assert_eq!(sum, open.iter().filter(|row| row.state == state).count() as u64, "{state:?}");
        }
    }
}

type Table = BTreeMap<i64, (Option<String>, Option<String>, Option<i64>)>;

async fn set_retries(database: &mut TestDatabase, id: i64, retries: i64) {
    let table = database.table("failed_events");
    database.run(&format!("UPDATE {table} SET retries = {retries} WHERE id = {id}")).await;
}

/// Deletes only the row, as another program would.
async fn delete(database: &mut TestDatabase, id: i64) {
    let table = database.table("failed_events");
    database.run(&format!("DELETE FROM {table} WHERE id = {id}")).await;
}

/// A retry that fails, as the consumer records it.
async fn fail_again(database: &mut TestDatabase, id: i64, retries: i64, log_id: i64, error: &str) {
    database.log(log_id, Some(FEED), "2026-11-02T08:00:00Z", &format!("tag:atomfeed.ict4h.org:{id}"), error).await;
    set_retries(database, id, retries).await;
}

/// A retry that succeeds: row and log are deleted together.
async fn succeed(database: &mut TestDatabase, id: i64) {
    let log = database.table("failed_event_retry_log");
    database.run(&format!("DELETE FROM {log} WHERE event_id = 'tag:atomfeed.ict4h.org:{id}'")).await;
    delete(database, id).await;
}

async fn fill(database: &mut TestDatabase, ids: std::ops::RangeInclusive<i64>) {
    let rows: Vec<Failed> = ids.map(|id| database.failed(id.into())).collect();
    database.insert(&rows).await;
}

async fn the_first_look_enters_what_is_there(database: &mut TestDatabase) {
    let uuid = "4417ab02-77aa-4be1-9c40-90fe11d0c2a7";
    let rows = [
        Failed { retries: 5, content: Some(format!("/openmrs/ws/rest/v1/encounter/{uuid}")), ..database.failed(3) },
        Failed { feed: None, ..database.failed(4_000) },
    ];
    database.insert(&rows).await;
    if database.has_retry_log() {
        database.log(7, Some(FEED), "2026-11-01T09:00:00Z", "tag:atomfeed.ict4h.org:3", "another fault").await;
    }
    let mut watched = Watched::new(database).await;
    let found = watched.look().await;
    assert_eq!((found.appeared, found.attempts), (2, u64::from(database.has_retry_log())));

    let event = watched.event(3).await;
    assert_eq!(event.state, if database.has_retries() { LifeState::Exhausted } else { LifeState::Unknown });
    assert_eq!(event.record.as_deref(), Some(uuid));
    assert_eq!(event.feed_uri.as_deref(), Some(FEED));
    assert_eq!(event.failed_at, Some(crate::support::database::utc("2026-11-01T08:00:00Z")));
    assert_eq!(event.seen.after, None, "it was there before the console looked");
    assert_eq!(event.first_fault == event.fault, !database.has_retry_log(), "the latest error is that of the log");
    assert_eq!(watched.event(4_000).await.feed_uri, None);
    watched.check_counts().await;

    // A later row appears between two polls.
    fill(database, 4_001..=4_001).await;
    assert_eq!(watched.look().await.appeared, 1);
    assert!(watched.event(4_001).await.seen.after.is_some());
}

async fn rows_that_hurt_are_entered_like_others(database: &mut TestDatabase) {
    let nulls = Failed {
        id: 1,
        feed: None,
        failed_at: "NULL".to_owned(),
        error: None,
        event_id: None,
        content: None,
        title: None,
        retries: -7,
        tags: None,
    };
    let strange = Failed {
        id: 2,
        event_id: Some("' OR 1 = 1 --".to_owned()),
        error: Some("\u{202e}<script>\u{301}%_!".to_owned()),
        title: Some("".to_owned()),
        retries: 2_000_000_000,
        ..database.failed(2)
    };
    database.insert(&if database.variant == Variant::Latin1 { vec![nulls] } else { vec![nulls, strange] }).await;
    let mut watched = Watched::new(database).await;
    watched.look().await;
    assert!(watched.look().await.is_quiet());
    assert_eq!(watched.event(1).await.failed_at, None);
    delete(database, 1).await;
    assert_eq!(watched.look().await.ended, 1);
    assert_eq!(watched.event(1).await.state, LifeState::Gone);
    watched.check_counts().await;
}

async fn a_look_at_an_unchanged_table_is_quiet(database: &mut TestDatabase) {
    fill(database, 1..=30).await;
    let mut watched = Watched::new(database).await;
    watched.look().await;
    for _ in 0..2 {
        assert!(watched.look().await.is_quiet());
        watched.restart(database).await;
    }
}

async fn attempts_of_an_earlier_failure_count_for_nothing(database: &mut TestDatabase) {
    fill(database, 1..=2).await;
    let name = "tag:atomfeed.ict4h.org:1";
    for id in 1..=3 {
        database.log(id, Some(FEED), "2025-06-01T00:00:00Z", name, "a cause of last year").await;
    }
    let mut watched = Watched::new(database).await;
    assert_eq!(watched.look().await.attempts, 0);
    let event = watched.event(1).await;
    assert_eq!((event.attempts, event.fault), (0, event.first_fault));
    let entries = watched.store.ledger_entries(event.id).await.expect("entries");
    assert_eq!(entries.iter().filter(|entry| entry.what == Happened::Earlier).count(), 3);

    fail_again(database, 1, 1, 4, "a fresh cause").await;
    assert_eq!(watched.look().await.attempts, 1);
    let event = watched.event(1).await;
    assert_eq!(event.attempts, 1);
    let faults = watched.store.faults(&[event.fault]).await.expect("faults");
    assert_eq!(faults[&event.fault].fingerprint, "a fresh cause");
    let scope = Scope { apps: vec!["lab".to_owned()], feed: None };
    let from = chrono::NaiveDate::from_ymd_opt(2025, 1, 1).expect("a day");
    let days = watched.store.history_days(&scope, from, 0).await.expect("days");
    assert_eq!(days.iter().map(|day| day.attempts).sum::<u64>(), 1);
    watched.check_counts().await;

    // Together with its row the consumer deletes every row of the log, whichever failure it belongs to.
    fill(database, 3..=3).await;
    database.log(9, Some(FEED), "2025-06-01T00:00:00Z", "tag:atomfeed.ict4h.org:3", "a cause of last year").await;
    watched.look().await;
    succeed(database, 3).await;
    watched.look().await;
    assert_eq!(watched.event(3).await.state, LifeState::Resolved);
}

async fn what_was_tried_before_the_first_look_counts_as_often_as_the_row_says(database: &mut TestDatabase) {
    let failed_at = database.at("2026-11-01T10:25:00Z");
    let tried = |id, retries| Failed { retries, failed_at: failed_at.clone(), ..database.failed(id) };
    let rows = [tried(1, 3), tried(2, 0)];
    database.insert(&rows).await;
    let log = async |database: &mut TestDatabase, event: i64| {
        let name = format!("tag:atomfeed.ict4h.org:{event}");
        for (id, at, error) in [
            (1, "2025-06-01T00:00:00Z", "a cause of last year"),
            (2, "2026-11-01T10:05:00Z", "a fresh cause"),
            (3, "2026-11-01T10:15:00Z", "a fresh cause"),
            (4, "2026-11-01T10:20:00Z", "the latest cause"),
        ] {
            database.log(10 * event + id, Some(FEED), at, &name, error).await;
        }
    };
    log(database, 1).await;
    log(database, 2).await;
    let mut watched = Watched::new(database).await;
    assert_eq!(watched.look().await.attempts, 3);
    let told = async |watched: &Watched, id| {
        let event = watched.event(id).await;
        let faults = watched.store.faults(&[event.fault]).await.expect("faults");
        (event.attempts, faults[&event.fault].fingerprint.clone())
    };
    assert_eq!(told(&watched, 1).await, (3, "the latest cause".to_owned()));
    assert_eq!(told(&watched, 2).await.0, 0, "no count says that any is of this failure");
    watched.check_counts().await;

    // The same for a row that appeared and was retried while no console was running.
    database.insert(&[Failed { retries: 3, failed_at: failed_at.clone(), ..database.failed(3) }]).await;
    log(database, 3).await;
    watched.restart(database).await;
    assert_eq!(watched.look().await.attempts, 3);
    assert_eq!(told(&watched, 3).await, (3, "the latest cause".to_owned()));
    // And between two polls.
    database.insert(&[Failed { retries: 2, failed_at: failed_at.clone(), ..database.failed(4) }]).await;
    log(database, 4).await;
    assert_eq!(watched.look().await.attempts, 2);
    assert_eq!(told(&watched, 4).await, (2, "the latest cause".to_owned()));
    assert_eq!(watched.look().await.attempts, 0, "once");
    // The retries that the row counts are not in the log, but one of an earlier failure is.
    database.insert(&[Failed { retries: 5, failed_at, ..database.failed(5) }]).await;
    let name = "tag:atomfeed.ict4h.org:5";
    database.log(51, Some(FEED), "2025-06-01T00:00:00Z", name, "a cause of last year").await;
    assert_eq!(watched.look().await.attempts, 0);
    let event = watched.event(5).await;
    assert_eq!((event.attempts, event.fault), (0, event.first_fault));
    watched.check_counts().await;
    // An earlier failure left as many as the row counts, and two of the present one are from before the first poll.
    let failed_at = database.at("2026-11-26T10:00:00Z");
    database.insert(&[Failed { retries: 4, failed_at, ..database.failed(6) }]).await;
    let name = "tag:atomfeed.ict4h.org:6";
    for id in 61..=66 {
        database.log(id, Some(FEED), "2025-06-01T00:00:00Z", name, "a cause of last year").await;
    }
    assert_eq!(watched.look().await.attempts, 0);
    assert_eq!(told(&watched, 6).await.0, 0);
    for (id, at) in [(67, "2026-11-26T08:00:00Z"), (68, "2026-11-26T09:00:00Z")] {
        database.log(id, Some(FEED), at, name, "the latest cause").await;
    }
    assert_eq!(watched.look().await.attempts, 2);
    assert_eq!(told(&watched, 6).await, (2, "the latest cause".to_owned()));
    watched.check_counts().await;
}

async fn changes_that_make_up_for_each_other_are_seen(database: &mut TestDatabase) {
    let rows: Vec<Failed> = (1..=8).map(|id| Failed { retries: id % 4, ..database.failed(id.into()) }).collect();
    database.insert(&rows).await;
    let mut watched = Watched::new(database).await;
    watched.look().await;
    // Swapped; moved by +1, -2, +1, which also preserves every sum weighted by the id; and retries moved from one row
    // to another.
    for changes in [&[(1, 2), (2, 1)][..], &[(4, 1), (5, -1), (6, 3)], &[(7, 0), (3, 6)]] {
        for (id, retries) in changes {
            set_retries(database, *id, *retries).await;
        }
        let found = watched.look().await;
        assert_eq!(found.changed, changes.len() as u64, "{changes:?}");
        for (id, retries) in changes {
            assert_eq!(watched.event(*id).await.retries, Some(*retries));
        }
    }
    watched.check_counts().await;
}

async fn a_row_that_leaves_with_its_log_is_resolved_and_others_are_gone(database: &mut TestDatabase) {
    fill(database, 1..=4).await;
    for id in 1..=3 {
        fail_again(database, id, 1, id, "again").await;
    }
    let mut watched = Watched::new(database).await;
    watched.look().await;
    succeed(database, 1).await;
    delete(database, 2).await;
    delete(database, 4).await;
    assert_eq!(watched.look().await.ended, 3);
    let states = [(1, LifeState::Resolved), (2, LifeState::Gone), (4, LifeState::Gone)];
    for (id, state) in states {
        let event = watched.event(id).await;
        assert_eq!(event.state, state, "row {id}");
        let ended = event.ended.expect("it has an end");
        assert!(ended.after.is_some_and(|after| after <= ended.at), "between two looks");
        assert_eq!(event.ended_why.is_some(), state == LifeState::Gone);
    }
    assert_eq!(watched.event(3).await.state, LifeState::Waiting);
    watched.check_counts().await;
}

async fn without_a_retry_log_nobody_knows_why_a_row_left(database: &mut TestDatabase) {
    fill(database, 1..=2).await;
    let mut watched = Watched::new(database).await;
    watched.look().await;
    delete(database, 1).await;
    watched.look().await;
    let event = watched.event(1).await;
    assert_eq!(event.state, LifeState::Gone);
    assert!(event.ended_why.expect("a reason").contains("Without a retry log"));
}

/// A plain model of the table and of the ledger's expected content.
#[derive(Default)]
struct Model {
    rows: BTreeMap<i64, (i64, u32)>,
    /// Rows of the log by event: those there now, and those at the last poll.
    logs: BTreeMap<i64, BTreeSet<i64>>,
    seen_logs: BTreeMap<i64, BTreeSet<i64>>,
    seen_rows: BTreeMap<i64, u32>,
    next_id: i64,
    next_log: i64,
}

impl Model {
    fn event_id(id: i64, life: u32) -> String {
        if life == 0 { format!("tag:atomfeed.ict4h.org:{id}") } else { format!("tag:atomfeed.ict4h.org:{id}-{life}") }
    }

    async fn step(&mut self, database: &mut TestDatabase, random: &mut fastrand::Rng) {
        let ids: Vec<i64> = self.rows.keys().copied().collect();
        let some = random.choice(&ids).copied();
        match (random.u32(0..10), some) {
            (0..=2, _) | (_, None) => {
                // Sometimes a distant id, so that there are many buckets.
                self.next_id += if random.u32(0..4) == 0 { random.i64(1..50_000) } else { 1 };
                let id = self.next_id;
                let retries = random.i64(0..7);
                database.insert(&[Failed { retries, ..database.failed(id.into()) }]).await;
                self.rows.insert(id, (retries, 0));
            }
            (3, Some(id)) => {
                let retries = random.i64(-1..7);
                set_retries(database, id, retries).await;
                self.rows.entry(id).and_modify(|row| row.0 = retries);
            }
            (4, Some(id)) => {
                // Two rows swap their retries.
                let other = *random.choice(&ids).expect("there is one");
                let (one, two) = (self.rows[&id].0, self.rows[&other].0);
                set_retries(database, id, two).await;
                set_retries(database, other, one).await;
                self.rows.entry(id).and_modify(|row| row.0 = two);
                self.rows.entry(other).and_modify(|row| row.0 = one);
            }
            (5 | 6, Some(id)) => {
                self.next_log += 1;
                let (retries, life) = self.rows[&id];
                let event = Self::event_id(id, life);
                database.log(self.next_log, Some(FEED), "2026-11-02T08:00:00Z", &event, "again").await;
                set_retries(database, id, retries + 1).await;
                self.rows.insert(id, (retries + 1, life));
                self.logs.entry(id).or_default().insert(self.next_log);
            }
            (7, Some(id)) => {
                let log = database.table("failed_event_retry_log");
                let event = Self::event_id(id, self.rows[&id].1);
                database.run(&format!("DELETE FROM {log} WHERE event_id = '{event}'")).await;
                delete(database, id).await;
                self.rows.remove(&id);
                self.logs.remove(&id);
            }
            (8, Some(id)) => {
                delete(database, id).await;
                self.rows.remove(&id);
            }
            (_, Some(id)) => {
                // The id is reused for another event.
                let (retries, life) = self.rows[&id];
                delete(database, id).await;
                let event_id = Some(Self::event_id(id, life + 1));
                database.insert(&[Failed { retries, event_id, ..database.failed(id.into()) }]).await;
                self.rows.insert(id, (retries, life + 1));
                self.logs.remove(&id);
            }
        }
    }

    /// Adds a row with an attempt that the ledger has seen.
    async fn retried_row(&mut self, watched: &mut Watched, database: &mut TestDatabase) -> i64 {
        self.next_id += 1;
        self.next_log += 1;
        let (id, log) = (self.next_id, self.next_log);
        fill(database, id..=id).await;
        fail_again(database, id, 1, log, "again").await;
        self.rows.insert(id, (1, 0));
        self.logs.entry(id).or_default().insert(log);
        watched.look().await;
        id
    }

    fn table(&self) -> Table {
        let row = |(id, (retries, life)): (&i64, &(i64, u32))| {
            (*id, (Some(Self::event_id(*id, *life)), Some(FEED.to_owned()), Some(*retries)))
        };
        self.rows.iter().map(row).collect()
    }
}

async fn any_history_leaves_the_ledger_in_step(database: &mut TestDatabase) {
    for seed in [7, 11, 13] {
        for table in ["failed_events", "failed_event_retry_log"] {
            let table = database.table(table);
            database.run(&format!("DELETE FROM {table}")).await;
        }
        let mut random = fastrand::Rng::with_seed(seed);
        let mut model = Model::default();
        let mut watched = Watched::new(database).await;
        for round in 0..12 {
            for _ in 0..random.u32(0..25) {
                model.step(database, &mut random).await;
            }
            if random.bool() {
                watched.restart(database).await;
            }
            watched.look().await;
            assert_eq!(watched.open().await, model.table(), "seed {seed}, round {round}");
            watched.check_counts().await;
            for (id, life) in &model.seen_rows {
                if model.rows.contains_key(id) {
                    continue;
                }
                // A row that is gone for good: resolved if its log was seen and is gone completely.
                let ended = watched.event(*id).await;
                let seen = model.seen_logs.get(id).cloned().unwrap_or_default();
                let left = model.logs.get(id).cloned().unwrap_or_default();
                let resolved = !seen.is_empty() && seen.is_disjoint(&left);
                if ended.event_id == Some(Model::event_id(*id, *life)) {
                    let told = ended.state == LifeState::Resolved;
                    // If ids were reused in this round, the ledger claims nothing about any row.
                    assert!(!told || resolved, "seed {seed}, round {round}, row {id}: {ended:?}");
                }
            }
            model.seen_rows = model.rows.iter().map(|(id, (_, life))| (*id, *life)).collect();
            model.seen_logs = model.logs.clone();
        }
    }
}

async fn a_restart_at_any_point_goes_on_where_it_was(database: &mut TestDatabase) {
    // More than one chunk, so that the first read can be interrupted between chunks.
    let rows: Vec<Failed> = (1..=4_500).map(|id| database.failed(id)).collect();
    database.insert(&rows).await;
    let mut watched = Watched::new(database).await;
    // Interrupted somewhere in the first poll; what was written stays.
    for millis in [1, 20, 60, 120] {
        let look = watched.follower.catch_up(&watched.source);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(millis), look).await;
        watched.restart(database).await;
        set_retries(database, 1, millis as i64).await;
        delete(database, 10 + millis as i64).await;
    }
    watched.look().await;
    watched.look().await;
    let open = watched.open().await;
    assert_eq!(open.len(), 4_496);
    assert_eq!(open[&1].2, Some(120));
    watched.check_counts().await;
    assert!(watched.look().await.is_quiet());
}

async fn a_look_whose_connection_is_lost_anywhere_is_made_up_for(database: &mut TestDatabase) {
    if database.app.database.port == 0 {
        return; // SQLite has no network to lose.
    }
    let proxy = Proxy::to(database.app.database.port).await;
    let mut random = fastrand::Rng::with_seed(17);
    let mut model = Model::default();
    for _ in 0..20 {
        model.step(database, &mut random).await;
    }
    // First the initial read, then polls of changes: each is cut at its first message, its second, and so on until one
    // completes.
    let mut watched = Watched::through(database, &proxy).await;
    for first_read in [true, false] {
        for place in 1.. {
            let resolved = if first_read {
                watched = Watched::through(database, &proxy).await;
                None
            } else {
                for _ in 0..5 {
                    model.step(database, &mut random).await;
                }
                // A row resolved by a retry is not taken for a deletion by another program, whichever poll reads it
                // completely.
                let id = model.retried_row(&mut watched, database).await;
                succeed(database, id).await;
                model.rows.remove(&id);
                model.logs.remove(&id);
                Some(id)
            };
            proxy.cut_after(place);
            let looked = watched.follower.catch_up(&watched.source).await;
            let came_through = proxy.cut_after(0);
            assert!(looked.is_ok() || !came_through, "place {place}: {looked:?}");
            if place % 2 == 0 {
                // Neither the watcher's memory nor the store's content misleads the next poll.
                watched.restart_through(database, &proxy).await;
            }
            watched.look().await;
            assert_eq!(watched.open().await, model.table(), "place {place}, first read: {first_read}");
            watched.check_counts().await;
            if let Some(id) = resolved {
                assert_eq!(watched.event(id).await.state, LifeState::Resolved, "place {place}");
            }
            if came_through {
                assert!(place > 5, "a look is more than {place} messages");
                break;
            }
        }
    }
}

async fn the_highest_id_of_all_ends_the_first_read(database: &mut TestDatabase) {
    let rows = [1, i64::MAX].map(|id| database.failed(id.into()));
    database.insert(&rows).await;
    let mut watched = Watched::new(database).await;
    for _ in 0..5 {
        watched.follower.catch_up(&watched.source).await.expect("a look");
    }
    assert!(watched.follower.since().1, "the first read has an end");
    assert_eq!(watched.open().await.into_keys().collect::<Vec<_>>(), [1, i64::MAX]);
    watched.check_counts().await;
}

async fn ids_that_begin_again_are_told(database: &mut TestDatabase) {
    fill(database, 1..=5).await;
    let mut watched = Watched::new(database).await;
    watched.look().await;
    let table = database.table("failed_events");
    database.run(&format!("DELETE FROM {table}")).await;
    let other = Failed { event_id: Some("tag:atomfeed.ict4h.org:other".to_owned()), ..database.failed(2) };
    database.insert(&[other]).await;
    watched.look().await;
    let lives = watched.lives(2).await;
    assert_eq!(lives.len(), 2, "two events had this id");
    assert_eq!(lives[0].event_id.as_deref(), Some("tag:atomfeed.ict4h.org:other"));
    assert_eq!((lives[0].state, lives[1].state), (LifeState::Waiting, LifeState::Gone));
    assert_eq!(watched.store.ledger_breaks(Some("lab")).await.expect("breaks").len(), 1);
    watched.check_counts().await;
}

async fn a_restored_dump_is_told_and_what_is_the_same_goes_on(database: &mut TestDatabase) {
    fill(database, 1..=3).await;
    fail_again(database, 3, 1, 1, "again").await;
    let mut watched = Watched::new(database).await;
    watched.look().await;
    // The same failed events in a newly created table, except the third.
    if database.is_mysql() {
        // Its creation time has whole seconds.
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    }
    let other =
        database.remade(&["DELETE FROM failed_events WHERE id = 3", "DELETE FROM failed_event_retry_log"]).await;
    watched.source = Source::new(other);
    watched.look().await;
    let breaks = watched.store.ledger_breaks(Some("lab")).await.expect("breaks");
    assert_eq!(breaks.len(), 1, "{breaks:?}");
    assert_eq!(watched.lives(1).await.len(), 1, "what is the same goes on");
    assert_eq!(watched.event(1).await.state, LifeState::Waiting);
    let third = watched.event(3).await;
    assert_eq!(third.state, LifeState::Gone, "its log is gone too, but that says nothing here");
    watched.check_counts().await;
}

fn ask(id: i64, retries: i64) -> Ask {
    Ask {
        row_id: RowId(id.into()),
        event_id: Some(format!("tag:atomfeed.ict4h.org:{id}")),
        retries_before: Some(retries),
    }
}

async fn a_retry_is_followed_until_it_failed_again(database: &mut TestDatabase) {
    let rows: Vec<Failed> = (1..=2).map(|id| Failed { retries: 5, ..database.failed(id) }).collect();
    database.insert(&rows).await;
    database.log(1, Some(FEED), "2026-11-01T09:00:00Z", "tag:atomfeed.ict4h.org:2", "before").await;
    let mut watched = Watched::new(database).await;
    watched.look().await;
    let asked = watched.store.ask("lab", RequestKind::Retry, 40, "amina", &[ask(1, 5), ask(2, 5)]).await;
    assert_eq!(asked.expect("asked"), 2);
    set_retries(database, 1, 0).await;
    set_retries(database, 2, 0).await;
    watched.look().await;
    assert_eq!(watched.event(1).await.asked, Some(Asked::Requested));
    fail_again(database, 1, 1, 2, "the new fault").await;
    succeed(database, 2).await;
    assert_eq!(watched.look().await.settled, 2);

    let event = watched.event(1).await;
    assert_eq!((event.asked, event.state), (Some(Asked::FailedAgain), LifeState::Waiting));
    let counts = watched.store.request_counts(&[40]).await.expect("counts")[&40];
    assert_eq!((counts.failed_again, counts.resolved, counts.open), (1, 1, 0));
    let failed = Some(Some(RequestOutcome::FailedAgain));
    let requests = watched.store.requests_of(40, failed, None, 10).await.expect("requests");
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].1.fault, Some(event.fault));
    assert_ne!(event.fault, event.first_fault, "it failed otherwise than the first time");
    let entries = watched.store.ledger_entries(event.id).await.expect("entries");
    let requested = entries.iter().find(|entry| matches!(entry.what, Happened::Requested { before: Some(5) }));
    assert_eq!(requested.and_then(|entry| entry.who.as_deref()), Some("amina"));
}

async fn a_reset_that_the_consumer_overwrites_is_noticed(database: &mut TestDatabase) {
    database.insert(&[Failed { retries: 3, ..database.failed(1) }]).await;
    let mut watched = Watched::new(database).await;
    watched.look().await;
    watched.store.ask("lab", RequestKind::Retry, 41, "amina", &[ask(1, 3)]).await.expect("asked");
    set_retries(database, 1, 0).await;
    // The retry run that had read the row writes its own count.
    fail_again(database, 1, 4, 1, "again").await;
    watched.look().await;
    assert_eq!(watched.event(1).await.asked, Some(Asked::Overwritten));
    assert_eq!(watched.store.request_counts(&[41]).await.expect("counts")[&41].overwritten, 1);
    // Requested again by the same operation, it is open once more.
    watched.store.ask("lab", RequestKind::Retry, 41, "amina", &[ask(1, 4)]).await.expect("asked");
    set_retries(database, 1, 0).await;
    watched.look().await;
    succeed(database, 1).await;
    watched.look().await;
    assert_eq!(watched.store.request_counts(&[41]).await.expect("counts")[&41].resolved, 1);
}

async fn a_request_that_changed_nothing_gives_its_place_back(database: &mut TestDatabase) {
    let rows: Vec<Failed> = (1..=4).map(|id| Failed { retries: 5, ..database.failed(id) }).collect();
    database.insert(&rows).await;
    database.log(1, Some(FEED), "2026-11-01T09:00:00Z", "tag:atomfeed.ict4h.org:2", "before").await;
    let mut watched = Watched::new(database).await;
    watched.look().await;
    let store = watched.store.clone();
    let ids = [1, 2, 3].map(RowId);
    let all = [ask(1, 5), ask(2, 5), ask(3, 5)];
    store.ask("lab", RequestKind::Retry, 50, "amina", &all).await.expect("asked");
    for id in 1..=3 {
        set_retries(database, id, 0).await;
    }
    watched.look().await;
    // A second operation finds that the rows have changed since they were seen.
    store.ask("lab", RequestKind::Retry, 51, "binta", &all).await.expect("asked");
    let counts = store.request_counts(&[50]).await.expect("counts")[&50];
    assert_eq!((counts.superseded, counts.open), (3, 0), "it may be the one that writes");
    // Meanwhile one of them fails again.
    fail_again(database, 3, 1, 2, "again").await;
    watched.look().await;
    store.withdraw("lab", 51, &ids).await.expect("withdrawn");
    let counts = store.request_counts(&[50, 51]).await.expect("counts");
    assert_eq!((counts[&50].open, counts[&50].failed_again, counts[&51].withdrawn), (2, 1, 3));
    assert_eq!(watched.event(1).await.asked, Some(Asked::Requested));
    assert_eq!(watched.event(3).await.asked, Some(Asked::FailedAgain));
    fail_again(database, 1, 1, 3, "again").await;
    succeed(database, 2).await;
    watched.look().await;
    let counts = store.request_counts(&[50, 51]).await.expect("counts");
    assert_eq!((counts[&50].failed_again, counts[&50].resolved, counts[&50].open), (2, 1, 0));
    assert_eq!(counts[&51].withdrawn, 3);

    // For an event that failed again, a request that changed nothing leaves that state unchanged; and a request that
    // was seen to be overwritten has replaced the earlier one for good.
    store.ask("lab", RequestKind::Retry, 52, "amina", &[ask(1, 1)]).await.expect("asked");
    store.withdraw("lab", 52, &ids[..1]).await.expect("withdrawn");
    assert_eq!(watched.event(1).await.asked, Some(Asked::FailedAgain));
    store.ask("lab", RequestKind::Retry, 53, "amina", &[ask(4, 5)]).await.expect("asked");
    store.ask("lab", RequestKind::Retry, 54, "binta", &[ask(4, 5)]).await.expect("asked");
    set_retries(database, 4, 0).await;
    fail_again(database, 4, 6, 4, "again").await;
    watched.look().await;
    assert_eq!(store.request_counts(&[54]).await.expect("counts")[&54].overwritten, 1);
    store.ask("lab", RequestKind::Retry, 54, "binta", &[ask(4, 6)]).await.expect("asked");
    store.withdraw("lab", 54, &[RowId(4)]).await.expect("withdrawn");
    assert_eq!(store.request_counts(&[53]).await.expect("counts")[&53].superseded, 1);
    watched.check_counts().await;
}

async fn a_discard_and_a_restore_are_one_life(database: &mut TestDatabase) {
    fill(database, 1..=1).await;
    let mut watched = Watched::new(database).await;
    watched.look().await;
    watched.store.ask("lab", RequestKind::Discard, 42, "amina", &[ask(1, 0)]).await.expect("asked");
    delete(database, 1).await;
    watched.look().await;
    assert_eq!(watched.event(1).await.state, LifeState::Discarded);
    watched.store.ask("lab", RequestKind::Restore, 43, "amina", &[ask(1, 0)]).await.expect("asked");
    // Restored under another id, because the table has moved on.
    let row = Failed { id: 9, ..database.failed(1) };
    database.insert(&[row]).await;
    watched.look().await;
    let event = watched.event(9).await;
    assert_eq!(event.state, LifeState::Waiting);
    assert_eq!(event.ended, None);
    let counts = watched.store.request_counts(&[42, 43]).await.expect("counts");
    assert_eq!((counts[&42].discarded, counts[&43].restored), (1, 1));
    watched.check_counts().await;
}

async fn a_rewritten_host_name_moves_its_events(database: &mut TestDatabase) {
    fill(database, 1..=3).await;
    let mut watched = Watched::new(database).await;
    watched.look().await;
    let table = database.table("failed_events");
    database.run(&format!("UPDATE {table} SET feed_uri = '{OTHER}', retries = retries + 1")).await;
    watched.look().await;
    // Other changes in the same rows appear at the next poll.
    watched.look().await;
    let event = watched.event(2).await;
    assert_eq!((event.feed_uri.as_deref(), event.retries), (Some(OTHER), Some(1)));
    watched.check_counts().await;
}

async fn what_left_long_ago_is_forgotten_and_what_is_there_is_not(database: &mut TestDatabase) {
    fill(database, 1..=3).await;
    let mut watched = Watched::new(database).await;
    watched.look().await;
    delete(database, 1).await;
    watched.look().await;
    let store = &watched.store;
    assert_eq!(store.forget_history(Utc::now() - chrono::TimeDelta::days(1)).await.expect("a sweep"), 0);
    assert_eq!(store.forget_history(Utc::now() + chrono::TimeDelta::days(1)).await.expect("a sweep"), 1);
    assert!(watched.lives(1).await.is_empty());
    assert_eq!(watched.open().await.len(), 2);
    let kept = store.ledger_counts("lab", None).await.expect("counts");
    assert_eq!(kept.iter().map(|count| count.count).sum::<u64>(), 2);
    assert!(watched.look().await.is_quiet());
}
