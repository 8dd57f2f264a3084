//! Published events: the console's index of them, the pages of a feed, and how far a consumer is behind.

use atomfeed::{FeedSettings, PageNumber, Publisher};
use atomfeed_console::{
    model::{Availability, RowId, publisher::PublishedEvent},
    server::{
        sources::{Counted, FeedShape, Ids, ReadPosition, Source, Stretch},
        store::{End, Store, compared},
        watch::fill,
    },
};

use crate::support::{
    database::{TestDatabase, Variant, utc},
    feeds::open,
};

everywhere! {
    published_events_are_read_by_their_ids
    the_index_is_filled_and_catches_up
    an_index_of_other_events_is_built_again
    pages_are_those_of_the_publisher
    a_consumer_is_behind_by_the_events_after_its_marker
}

on_each_server! {
    publishing_that_is_switched_off_is_a_hazard
}

on!(postgres_jsonb, Postgres, Odoo: events_of_odoo_16_are_read_like_others);

/// The object of an event: every tenth record is the same.
fn object(id: i64) -> String {
    format!("/openmrs/ws/rest/v1/patient/00000000-0000-4000-8000-{:012}?v=full", id % 10)
}

fn record(id: i64) -> String {
    format!("00000000-0000-4000-8000-{id:012}")
}

async fn publish(database: &mut TestDatabase, ids: impl IntoIterator<Item = i64>, category: &str) {
    let (table, at) = (database.table("event_records"), database.at("2026-11-01T08:00:00Z"));
    let with_category = database.variant != Variant::Oldest;
    let columns = if with_category { ", category, tags" } else { "" };
    let category = if with_category { format!(", '{category}', '{category}'") } else { String::new() };
    let row = |id: i64| format!("({id}, 'u{id}', 'Patient', {at}, '{}'{category})", object(id));
    let rows: Vec<String> = ids.into_iter().map(row).collect();
    for rows in rows.chunks(500) {
        let columns = format!("id, uuid, title, timestamp, object{columns}");
        database.run(&format!("INSERT INTO {table} ({columns}) VALUES {}", rows.join(", "))).await;
    }
}

async fn cut(database: &mut TestDatabase, length: i64) {
    let chunks = database.table("chunking_history");
    database.run(&format!("INSERT INTO {chunks} (id, chunk_length, start) VALUES (1, {length}, 1)")).await;
}

fn here<T>(part: Availability<T>) -> T {
    match part {
        Availability::Here(part) => part,
        Availability::NotHere(reason) => panic!("{reason}"),
    }
}

fn ids(events: &[PublishedEvent]) -> Vec<i128> {
    events.iter().map(|event| event.id.0).collect()
}

async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("console.db")).await.expect("a store");
    (folder, store)
}

async fn fill_whole(source: &Source, store: &Store) -> usize {
    for steps in 0..50 {
        if fill(source, store).await.expect("a step").done {
            return steps;
        }
    }
    panic!("the index is never complete");
}

async fn published_events_are_read_by_their_ids(database: &mut TestDatabase) {
    let source = database.source();
    let newest = source.published(&Ids::Before(None), 3).await.expect("an answer");
    if !database.publishes() {
        assert!(matches!(newest, Availability::NotHere(reason) if reason.contains("event_records")));
        return;
    }
    assert_eq!(here(newest), []);
    publish(database, 1..=20, "patient").await;
    let read = async |which: Ids| here(source.published(&which, 3).await.expect("an answer"));
    assert_eq!(ids(&read(Ids::Before(None)).await), [20, 19, 18]);
    assert_eq!(ids(&read(Ids::Before(Some(RowId(3)))).await), [2, 1]);
    assert_eq!(ids(&read(Ids::From(RowId(18))).await), [18, 19, 20]);
    assert_eq!(ids(&read(Ids::Of([99, 7, 5].map(RowId).to_vec())).await), [5, 7]);
    assert_eq!(read(Ids::Of(Vec::new())).await, []);
    let event = read(Ids::Of(vec![RowId(7)])).await.remove(0);
    let category = (database.variant != Variant::Oldest).then_some("patient");
    assert_eq!((event.uuid.as_deref(), event.title.as_deref()), (Some("u7"), Some("Patient")));
    assert_eq!((event.category.as_deref(), event.tags.as_deref()), (category, category));
    assert_eq!(event.object, Some(object(7)));
    assert_eq!(event.at.and_then(|stamp| stamp.at), Some(utc("2026-11-01T08:00:00Z")));
    assert_eq!(event.raised, None);
}

async fn the_index_is_filled_and_catches_up(database: &mut TestDatabase) {
    let (source, (_folder, store)) = (database.source(), store().await);
    let app = source.app().info.key.clone();
    assert!(fill(&source, &store).await.expect("a step").done);
    assert_eq!(store.indexed(&app).await.expect("the store"), None);
    if !database.publishes() {
        return;
    }
    publish(database, (1..=2_300).chain([5_000]), "patient").await;
    let step = fill(&source, &store).await.expect("a step");
    assert_eq!((step.done, step.events), (false, 1000));
    let indexed = store.indexed(&app).await.expect("the store").expect("an index");
    assert_eq!((indexed.highest, indexed.end), (5_000, End::Open), "newest first");
    assert!(fill_whole(&source, &store).await < 4);
    let of_record = async |id| {
        let found = store.published_of(&app, &record(id), 1000).await.expect("the store");
        found.into_iter().map(|id| id.0).collect::<Vec<_>>()
    };
    let zero = of_record(0).await;
    assert_eq!((zero.len(), zero.first(), zero.last()), (231, Some(&5_000), Some(&10)));
    let count = async |category: &str| {
        let indexed = store.indexed(&app).await.expect("the store").expect("an index");
        assert_eq!(indexed.end, End::Beginning);
        let category = compared(source.app().database.backend, category);
        store.published_count(&indexed, &category, i64::MIN).await.expect("the store")
    };
    let with_category = database.variant != Variant::Oldest;
    assert_eq!((count("").await, count("patient").await), (2_301, if with_category { 2_301 } else { 0 }));
    // MySQL compares categories without regard to case.
    let other_case = if with_category && database.is_mysql() { 2_301 } else { 0 };
    assert_eq!(count("Patient").await, other_case);

    // New events, and one in the last block with a lower id, as a transaction that commits late writes.
    publish(database, (4_999..=4_999).chain(5_001..=7_600), "lab").await;
    fill_whole(&source, &store).await;
    assert_eq!(count("").await, 4_902);
    assert_eq!(of_record(9).await.len(), 230 + 1 + 260);
    assert!(of_record(9).await.contains(&4_999));
}

async fn an_index_of_other_events_is_built_again(database: &mut TestDatabase) {
    if !database.publishes() {
        return;
    }
    let (source, (_folder, store)) = (database.source(), store().await);
    let app = source.app().info.key.clone();
    let records = database.table("event_records");
    publish(database, 1..=30, "patient").await;
    fill_whole(&source, &store).await;
    // Ids begin again, and have got further than before.
    database.run(&format!("DELETE FROM {records}")).await;
    publish(database, 1..=40, "patient").await;
    database.run(&format!("UPDATE {records} SET uuid = 'other' WHERE id = 30")).await;
    fill_whole(&source, &store).await;
    let indexed = store.indexed(&app).await.expect("the store").expect("an index");
    assert_eq!(store.published_count(&indexed, "", i64::MIN).await.expect("the store"), 40);
    // They are fewer than before.
    database.run(&format!("DELETE FROM {records} WHERE id > 20")).await;
    fill_whole(&source, &store).await;
    let found = store.published_of(&app, &record(1), 100).await.expect("the store");
    assert_eq!(found, [RowId(11), RowId(1)]);
    database.run(&format!("DELETE FROM {records}")).await;
    fill_whole(&source, &store).await;
    assert_eq!(store.indexed(&app).await.expect("the store"), None);
}

async fn pages_are_those_of_the_publisher(database: &mut TestDatabase) {
    let source = database.source();
    if !database.publishes() {
        assert!(matches!(source.feed_shape("", None).await.expect("an answer"), Availability::NotHere(_)));
        return;
    }
    let category = if database.variant == Variant::Oldest { "" } else { "lab" };
    publish(database, (1..=120).filter(|id| id % 3 == 0), "lab").await;
    publish(database, (1..=120).filter(|id| id % 3 != 0), "patient").await;
    cut(database, 7).await;
    let on_feed = if category.is_empty() { 120 } else { 40 };
    let settings = FeedSettings::new("http://lab:8080/feeds", "Lab", "x");
    let publisher = Publisher::new(open(database), settings);
    let shape = here(source.feed_shape(category, None).await.expect("an answer"));
    assert_eq!((shape.events, shape.offset), (on_feed, None));
    compare(&source, &publisher, category, &shape).await;
    // Counting goes on from what is known.
    let counted = Counted { to: RowId(60), events: 1_000 };
    let known = here(source.feed_shape(category, Some(counted)).await.expect("an answer"));
    assert_eq!(known.events, 1_000 + on_feed / 2);
    let newest = here(source.newest_of_feed(category, Some(RowId(10)), 2).await.expect("an answer"));
    assert_eq!(ids(&newest), if category.is_empty() { [9, 8] } else { [9, 6] });
    let between = source.count_of_feed(category, RowId(3), RowId(9)).await.expect("an answer");
    assert_eq!(between, if category.is_empty() { 7 } else { 3 });

    let offsets = database.table("event_records_offset_marker");
    let marked = on_feed / 2 + 1;
    database
        .run(&format!(
            "INSERT INTO {offsets} (id, event_id, event_count, category) VALUES (5, 3, 1, '{category}'), \
             (1, 60, {marked}, '{category}'), (2, 60, 60, 'other')"
        ))
        .await;
    let shape = here(source.feed_shape(category, None).await.expect("an answer"));
    assert_eq!(shape.events, on_feed + 1, "as the marker miscounts");
    assert_eq!(shape.offset.map(|offset| (offset.event_id, offset.events)), Some((RowId(60), marked)));
    compare(&source, &publisher, category, &shape).await;
}

/// Compares the newest page and the first with those of the publisher.
async fn compare(source: &Source, publisher: &Publisher, category: &str, shape: &FeedShape) {
    let chunking = atomfeed::Chunking::new(&[(1, Some(7), Some(1))]).expect("the usual row");
    let events = i64::try_from(shape.events).expect("a number");
    for page in [1, chunking.pages(events)] {
        let range = chunking.page(page, events).expect("a page");
        let (first, last) = (range.first.cast_unsigned(), range.last.min(events).cast_unsigned());
        let offset = shape.offset.filter(|offset| first > offset.events);
        let from = offset.map_or(RowId(0), |offset| RowId(offset.event_id.0 + 1));
        let skipped = first - 1 - offset.map_or(0, |offset| offset.events);
        let stretch = Stretch { from, to: None, skipped, limit: last + 1 - first };
        let entries = here(source.feed_events(category, stretch).await.expect("an answer"));
        let of_feed = Some(category).filter(|category| !category.is_empty());
        let xml = publisher.page(of_feed, PageNumber::Number(page)).await.expect("an answer").expect("a page");
        let served: Vec<&str> = xml.split("<id>tag:atomfeed.ict4h.org:").skip(1).collect();
        let served: Vec<&str> = served.iter().filter_map(|rest| rest.split('<').next()).collect();
        let read: Vec<&str> = entries.iter().filter_map(|entry| entry.uuid.as_deref()).collect();
        assert_eq!(read, served, "page {page} of {}", shape.events);
    }
}

async fn a_consumer_is_behind_by_the_events_after_its_marker(database: &mut TestDatabase) {
    let source = database.source();
    let position = |entry, id: Option<i128>, earlier: Option<i128>, whole| ReadPosition {
        entry,
        category: "Patient",
        id: id.map(RowId),
        earlier: earlier.map(RowId),
        whole,
    };
    if !database.publishes() {
        assert_eq!(source.lag(position("u1", None, None, true)).await.expect("an answer"), None);
        return;
    }
    publish(database, 1..=3, "patient").await;
    publish(database, 4..=6, "lab").await;
    publish(database, 7..=9, "patient").await;
    let behind = async |position| {
        let lag = source.lag(position).await.expect("an answer")?;
        Some((lag.read_to.0, lag.unread, lag.since))
    };
    let since = Some(utc("2026-11-01T08:00:00Z"));
    // Without categories, all events are one feed.
    let unread = if database.variant == Variant::Oldest { 7 } else { 4 };
    let two = Some((2, unread, since));
    assert_eq!(behind(position("tag:atomfeed.ict4h.org:u2", None, None, false)).await, two);
    assert_eq!(behind(position("u2", Some(2), None, false)).await, two);
    assert_eq!(behind(position("u2", Some(5), Some(1), false)).await, two, "the known id is of another event");
    assert_eq!(behind(position("u9", None, None, false)).await, Some((9, 0, None)));
    assert_eq!(behind(position("nothing", None, Some(3), true)).await, None);
    let other = behind(position("u5", None, None, true)).await;
    assert_eq!(other.is_some(), database.variant == Variant::Oldest, "an event of another category");

    // Not among the newest events: only a search of all of them finds it, or one near its earlier position.
    publish(database, 10..=1_100, "patient").await;
    assert_eq!(behind(position("u2", None, None, false)).await, None);
    let unread = unread + 1_091;
    assert_eq!(behind(position("u2", None, None, true)).await, Some((2, unread, since)));
    assert_eq!(behind(position("u2", None, Some(1), false)).await, Some((2, unread, since)));
}

async fn events_of_odoo_16_are_read_like_others(database: &mut TestDatabase) {
    let records = database.table("event_records");
    publish(database, 1..=10, "product").await;
    for column in ["uuid", "title", "category", "uri"] {
        let json = format!("jsonb_build_object('en_US', {column}::text)");
        database.run(&format!("ALTER TABLE {records} ALTER COLUMN {column} TYPE jsonb USING {json}")).await;
    }
    cut(database, 5).await;
    let (source, (_folder, store)) = (database.source(), store().await);
    let event = here(source.published(&Ids::Of(vec![RowId(7)]), 1).await.expect("an answer")).remove(0);
    let texts = [&event.uuid, &event.title, &event.category].map(|text| text.as_deref());
    assert_eq!(texts, [Some("u7"), Some("Patient"), Some("product")]);
    assert_eq!(here(source.feed_shape("product", None).await.expect("an answer")).events, 10);
    let stretch = Stretch { from: RowId(0), to: Some(RowId(9)), skipped: 5, limit: 5 };
    let entries = here(source.feed_events("product", stretch).await.expect("an answer"));
    assert_eq!(ids(&entries), [6, 7, 8]);
    let position = ReadPosition { entry: "u7", category: "product", id: None, earlier: None, whole: true };
    assert_eq!(source.lag(position).await.expect("an answer").map(|lag| lag.unread), Some(3));
    fill_whole(&source, &store).await;
    assert_eq!(store.published_of(&source.app().info.key, &record(7), 10).await.expect("the store"), [RowId(7)]);
}

async fn publishing_that_is_switched_off_is_a_hazard(database: &mut TestDatabase) {
    let off = async |database: &TestDatabase| {
        let hazards = database.source().poll().await.expect("a poll").hazards;
        hazards.iter().any(|hazard| hazard.contains("atomfeed.enable.publish"))
    };
    assert!(!off(database).await, "there is no such setting");
    let settings = database.table("global_property");
    database.run(&format!("CREATE TABLE {settings} (property varchar(255), property_value varchar(255))")).await;
    assert!(!off(database).await);
    database.run(&format!("INSERT INTO {settings} VALUES ('atomfeed.enable.publish', 'False')")).await;
    assert!(off(database).await);
    // The view comes first.
    let view = database.table("atomfeed_settings");
    database.run(&format!("CREATE VIEW {view} AS SELECT property, 'true' AS property_value FROM {settings}")).await;
    assert!(!off(database).await);
    database.run(&format!("DROP VIEW {view}")).await;
    database.run(&format!("UPDATE {settings} SET property_value = 'true'")).await;
    assert!(!off(database).await);
}
