//! Times: instants are not shifted, times without zone are in the application's zone, also when clocks change.

use atomfeed_console::{
    model::{
        RowId,
        filter::{Direction, Filter, Order},
    },
    server::sources::{ListRequest, SearchIn, TextLimit},
};

use crate::support::database::{Failed, TestDatabase, utc};

everywhere! {
    an_instant_is_read_as_it_was_written
}

on!(postgres, Postgres, OpenElis: local_times_when_clocks_change_have_one_meaning);
on!(sqlite, Sqlite, Text: local_times_when_clocks_change_have_one_meaning text_with_an_offset_is_exact);

async fn an_instant_is_read_as_it_was_written(database: &mut TestDatabase) {
    let rows = [
        Failed { failed_at: database.at("2026-11-01T20:30:00Z"), ..database.failed(1) },
        Failed { failed_at: "NULL".to_owned(), ..database.failed(2) },
    ];
    database.insert(&rows).await;
    let source = database.source();
    let event = source.event(RowId(1)).await.expect("an answer").expect("the row");
    assert_eq!(event.row.failed_at.expect("a time").at, Some(utc("2026-11-01T20:30:00Z")));
    let event = source.event(RowId(2)).await.expect("an answer").expect("the row");
    assert_eq!(event.row.failed_at, None);
}

async fn local_times_when_clocks_change_have_one_meaning(database: &mut TestDatabase) {
    let times = ["2026-10-25 01:30:00", "2026-10-25 02:30:00", "2026-10-25 03:30:00", "2026-03-29 02:30:00"];
    let mut rows = Vec::new();
    for (place, time) in times.into_iter().enumerate() {
        rows.push(Failed { failed_at: format!("'{time}'"), ..database.failed(place as i128 + 1) });
    }
    database.insert(&rows).await;
    let source = database.source_with(|app| app.time_zone = chrono_tz::Europe::Berlin);
    let filter = Filter { order: Order::IdUp, ..Filter::default() };
    let request = ListRequest {
        filter: &filter,
        from: None,
        direction: Direction::Forward,
        limit: 10,
        texts: TextLimit::LIST,
        search: SearchIn::Everything,
    };
    let read = source.list(&request).await.expect("a list").rows;
    let read: Vec<_> = read.iter().map(|row| row.row.failed_at.as_ref().and_then(|stamp| stamp.at)).collect();
    let expected = ["2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z", "2026-03-29T01:30:00Z"];
    assert_eq!(read, expected.map(|time| Some(utc(time))));
}

async fn text_with_an_offset_is_exact(database: &mut TestDatabase) {
    let rows = [
        Failed { failed_at: "'2026-11-01T08:00:00Z'".to_owned(), ..database.failed(1) },
        Failed { failed_at: "'2026-11-01 08:00:00+02:00'".to_owned(), ..database.failed(2) },
        Failed { failed_at: "'some day'".to_owned(), ..database.failed(3) },
    ];
    database.insert(&rows).await;
    let source = database.source();
    for (id, text, at) in [
        (1, "2026-11-01T08:00:00Z", Some("2026-11-01T08:00:00Z")),
        (2, "2026-11-01 08:00:00+02:00", Some("2026-11-01T06:00:00Z")),
        (3, "some day", None),
    ] {
        let stamp = source.event(RowId(id)).await.expect("an answer").expect("the row").row.failed_at.expect("a stamp");
        assert_eq!((stamp.text.as_str(), stamp.at), (text, at.map(utc)));
    }
}
