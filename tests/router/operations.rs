//! Operations from plan to end: driven by a browser without JavaScript, and surviving what can happen to them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use atomfeed::{Consumer, Event, Failure, Transaction, Worker};

use atomfeed_console::{
    model::{
        Person, RowId,
        audit::AuditFilter,
        ledger::{Happened, LifeState, RequestKind, RequestOutcome},
        operation::{Operation, OperationRow, Pace, RowOutcome, Stage, WhichRows},
    },
    server::{
        operations,
        sources::ResetRow,
        state::Console,
        store::{
            NewCopy, NewOperation, WhichCopies,
            ledger::{Ask, Scope},
        },
    },
};
use axum::http::StatusCode;
use sqlx::Connection;
use tokio::sync::Notify;

use super::hospital::{ENCOUNTERS, Hospital, PATIENTS, Row, row};

const PLAN: &str = "/atomfeed-console/api/plan_operation";
const START: &str = "/atomfeed-console/api/start_operation";
const TURN: &str = "/atomfeed-console/api/turn_operation";

fn rows(count: i64) -> Vec<Row> {
    (1..=count).map(|id| row(id, "2026-11-20 08:00:00")).collect()
}

/// Waits until an operation is in one of these stages.
async fn until(console: &Console, id: i64, stages: &[Stage]) -> Operation {
    let begun = Instant::now();
    loop {
        let operation = console.parts.store.operation(id).await.unwrap().expect("the operation");
        if stages.contains(&operation.stage) {
            return operation;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{operation:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Counts every time a row is reset.
const COUNT_RESETS: &str = "CREATE TABLE resets (id INTEGER); CREATE TRIGGER count_resets AFTER UPDATE OF retries ON \
     failed_events WHEN new.retries = 0 AND old.retries <> 0 BEGIN INSERT INTO resets VALUES (new.id); END";

async fn resets(hospital: &Hospital) -> Vec<i64> {
    hospital.numbers("Odoo", "SELECT id FROM resets ORDER BY id").await
}

#[tokio::test]
async fn all_that_match_are_planned_shown_and_only_then_retried() {
    let mut all = rows(1203);
    all[0].retries = 2;
    all[1].feed = PATIENTS;
    let hospital = Hospital::new(&all, &[]).await;
    let query = format!("app=odoo&feed={ENCOUNTERS}");
    let answer = hospital.form(PLAN, &[("kind", "retry"), ("query", &query)]).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/atomfeed-console/operations/1"));
    let plan = hospital.page(answer.header("location")).await;
    assert!(plan.body.contains("1,201") && plan.body.contains("New failures are not included."));
    assert!(hospital.retries("Odoo").await.values().all(|(retries, _)| *retries != 0), "a plan touches nothing");
    assert!(!hospital.page("/atomfeed-console/operations").await.body.contains("/operations/1\""), "nothing was done");

    // After the plan: one becomes exhausted, one arrives, one changes.
    hospital
        .execute(
            "Odoo",
            "UPDATE failed_events SET retries = 5 WHERE id = 1; UPDATE failed_events SET retries = 7 WHERE id = 3; \
             INSERT INTO failed_events (id, feed_uri, retries) VALUES (5000, 'http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent', 5)",
        )
        .await;
    let answer = hospital.form(START, &[("id", "1"), ("reason", " Odoo is back ")]).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/operations/1", "{}", answer.body);
    let ended = until(&hospital.console, 1, &[Stage::Ended]).await;
    assert_eq!((ended.counts.asked, ended.counts.reset, ended.counts.changed), (1201, 1200, 1));
    assert_eq!((ended.planned, ended.reason.as_deref()), (Some(1201), Some("Odoo is back")));
    let now = hospital.retries("Odoo").await;
    assert_eq!(
        (now[&1].0, now[&2].0, now[&3].0, now[&5000].0),
        (5, 5, 7, 5),
        "none of these was in the plan as it is now"
    );
    assert!((4..=1203).all(|id| now[&id].0 == 0));

    let again = hospital.form(START, &[("id", "1")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "a plan is started once");
    assert!(again.body.contains("Not possible now") && !again.body.contains("Not allowed"), "{}", again.body);
    let nothing = hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo&state=exhausted&q=nowhere")]).await;
    assert!(nothing.body.contains("Nothing to do"), "{}", nothing.body);
    assert_eq!(nothing.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn when_the_consumers_will_try_is_told_for_every_application_and_of_what_was_reset() {
    // More than a page of rows precedes the second application's.
    let mut all = rows(137);
    all[..12].iter_mut().for_each(|row| row.feed = PATIENTS);
    all[12..15].iter_mut().for_each(|row| row.feed = "");
    let hospital = Hospital::new(&all, &rows(33)).await;
    let answer = hospital.form(PLAN, &[("kind", "retry"), ("query", "state=exhausted")]).await;
    let plan = hospital.page(answer.header("location")).await.body;
    assert!(plan.contains("Not in the plan: 3 without a feed address."), "{plan}");
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 7 WHERE id > 122").await;
    hospital.form(START, &[("id", "1")]).await;
    let ended = until(&hospital.console, 1, &[Stage::Ended]).await;
    assert_eq!((ended.counts.reset, ended.counts.changed), (152, 15));
    for page in ["/atomfeed-console/operations/1", "/atomfeed-console/operations/1?after=100"] {
        let page = hospital.page(page).await.body;
        // 107 of 122 encounters remain, and the 12 patients are done long before them.
        assert!(page.contains("119 events of 2 feeds take at least 22 runs, 11 min, and up to"), "{page}");
        assert!(page.contains("33 events take at least 7 runs, 4 min, and up to"), "{page}");
    }
}

#[tokio::test]
async fn a_plan_can_be_thrown_away_and_a_discard_needs_a_reason() {
    let hospital = Hospital::new(&rows(3), &[]).await;
    let answer = hospital.form(PLAN, &[("kind", "discard"), ("rows[]", "odoo:1:5"), ("rows[]", "odoo:2:5")]).await;
    let page = hospital.page(answer.header("location")).await;
    assert!(page.body.contains("will never process these events") && page.body.contains("30 days"), "{}", page.body);
    let refused = hospital.form(START, &[("id", "1"), ("reason", "  ")]).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.body.contains("needs a reason"));
    let dropped = hospital.form(TURN, &[("id", "1"), ("turn", "drop")]).await;
    assert_eq!(dropped.header("location"), "/atomfeed-console/operations");
    assert_eq!(hospital.console.parts.store.operation(1).await.unwrap(), None);
    assert_eq!(hospital.retries("Odoo").await.len(), 3);
    let on_record =
        async || hospital.console.parts.store.audit_entries(&AuditFilter::default(), None, 10).await.unwrap();
    let entries = on_record().await;
    let entry = &entries[0];
    assert_eq!((entry.kind.as_str(), entry.outcome.as_str(), entry.action), ("discard", "done", Some(1)));
    assert_eq!(entry.what, "plan cancelled, nothing was changed: 2 selected failed events of Odoo");
    for turn in ["pause", "resume", "cancel", "drop", "dance"] {
        let answer = hospital.form(TURN, &[("id", "1"), ("turn", turn)]).await;
        assert!(answer.status.is_client_error(), "{turn}");
    }
    assert_eq!(on_record().await.len(), entries.len(), "what could not be done is not said to be done");
}

#[tokio::test]
async fn what_is_discarded_can_be_seen_and_put_back() {
    let hospital = Hospital::new(&rows(3), &[]).await;
    let before = hospital.retries("Odoo").await;
    hospital.form(PLAN, &[("kind", "discard"), ("rows[]", "odoo:1:5"), ("rows[]", "odoo:3:5")]).await;
    hospital.form(START, &[("id", "1"), ("reason", "test data of the trial")]).await;
    let ended = until(&hospital.console, 1, &[Stage::Ended]).await;
    assert_eq!((ended.counts.discarded, ended.counts.asked), (2, 2));
    assert_eq!(hospital.retries("Odoo").await.len(), 1);

    let page = hospital.page("/atomfeed-console/discarded").await;
    for words in ["test data of the trial", "00000000-0000-4000-8000-000000000003", "until", "No. … did not work"] {
        assert!(page.body.contains(words), "{words}");
    }
    // One of them by its box, the other by the operation.
    let named_five_times = [&[("kind", "restore")][..], &[("copies[]", "2"); 5]].concat();
    let answer = hospital.form(PLAN, &named_five_times).await;
    let plan = hospital.console.parts.store.operation(2).await.unwrap().unwrap();
    assert_eq!((plan.counts.asked, plan.scope.as_str()), (1, "1 discarded failed event"));
    hospital.form(START, &[("id", "2")]).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/operations/2", "{}", answer.body);
    let ended = until(&hospital.console, 2, &[Stage::Ended]).await;
    assert_eq!((ended.kind, ended.counts.restored), (RequestKind::Restore, 1));
    hospital.form(PLAN, &[("kind", "restore"), ("copies_of", "1")]).await;
    hospital.form(START, &[("id", "3")]).await;
    let ended = until(&hospital.console, 3, &[Stage::Ended]).await;
    assert_eq!((ended.counts.restored, ended.counts.asked), (1, 1), "what is back already is not in the plan");
    assert_eq!(hospital.retries("Odoo").await, before);
    let which = WhichCopies { restorable: true, ..WhichCopies::default() };
    assert_eq!(hospital.console.parts.store.discarded_count(&which).await.unwrap(), 0);
    let nothing = hospital.form(PLAN, &[("kind", "restore"), ("copies_of", "1")]).await;
    assert!(nothing.body.contains("Nothing to do"));
}

/// Plans an operation, starts it, and returns how it ended.
async fn carried_out(hospital: &Hospital, id: i64, fields: &[(&str, &str)]) -> Operation {
    let number = id.to_string();
    for (path, fields) in [(PLAN, fields), (START, &[("id", &number), ("reason", "a test")])] {
        let answer = hospital.form(path, fields).await;
        assert!(answer.status.is_redirection(), "{path} {fields:?}: {}", answer.body);
    }
    until(&hospital.console, id, &[Stage::Ended]).await
}

#[tokio::test]
async fn events_that_stand_twice_are_put_back_and_those_that_failed_again_keep_their_copies() {
    let twin = |id| Row { event: row(1, "2026-11-20 08:00:00").event, ..row(id, "2026-11-20 08:00:00") };
    let hospital = Hospital::new(&[twin(1), twin(2), row(3, "2026-11-20 08:00:00")], &[]).await;
    let before = hospital.retries("Odoo").await;
    hospital.followed().await;
    // One after the other, the newer one first: the older one then knows of no other row.
    carried_out(&hospital, 1, &[("kind", "discard"), ("rows[]", "odoo:2:5")]).await;
    carried_out(&hospital, 2, &[("kind", "discard"), ("rows[]", "odoo:1:5")]).await;
    hospital.look("odoo").await;
    for (operation, of) in [(3, "1"), (4, "2")] {
        let ended = carried_out(&hospital, operation, &[("kind", "restore"), ("copies_of", of)]).await;
        assert_eq!((ended.counts.restored, ended.counts.already_there), (1, 0), "{operation}");
    }
    assert_eq!(hospital.retries("Odoo").await, before);
    hospital.look("odoo").await;
    for id in [1, 2] {
        let lives = hospital.console.parts.store.ledger_events_of_row("odoo", RowId(id)).await.unwrap();
        assert!(lives.len() == 1 && lives[0].state.is_open(), "{id}: {lives:?}");
    }

    // This one fails again: its copy can be restored when that is over.
    carried_out(&hospital, 5, &[("kind", "discard"), ("rows[]", "odoo:3:5")]).await;
    let insert = "INSERT INTO failed_events (id, feed_uri, failed_at, error_message, event_id, event_content, retries) \
                  SELECT 9, feed_uri, failed_at, error_message, REPLACE(event_id, '000000000001', '000000000003'), event_content, 0 \
                  FROM failed_events WHERE id = 1";
    hospital.execute("Odoo", insert).await;
    let ended = carried_out(&hospital, 6, &[("kind", "restore"), ("copies_of", "5")]).await;
    assert_eq!((ended.counts.restored, ended.counts.already_there), (0, 1));
    let page = hospital.page("/atomfeed-console/operations/6").await.body;
    assert!(page.contains("in the table again and not duplicated"), "{page}");
    hospital.execute("Odoo", "DELETE FROM failed_events WHERE id = 9").await;
    let ended = carried_out(&hospital, 7, &[("kind", "restore"), ("copies_of", "5")]).await;
    assert_eq!(ended.counts.restored, 1);
}

#[tokio::test]
async fn an_event_that_is_too_long_is_not_discarded_and_the_operation_says_so() {
    let hospital = Hospital::new(&rows(3), &[]).await;
    hospital
        .execute(
            "Odoo",
            "UPDATE failed_events SET event_content = REPLACE(HEX(ZEROBLOB(4500000)), '0', 'x') WHERE id = 2",
        )
        .await;
    let ended = carried_out(&hospital, 1, &[("kind", "discard"), ("query", "app=odoo")]).await;
    assert_eq!((ended.counts.discarded, ended.counts.too_long, ended.counts.to_come()), (2, 1, 0));
    assert_eq!(hospital.retries("Odoo").await.into_keys().collect::<Vec<_>>(), [2]);
    let page = hospital.page("/atomfeed-console/operations/1").await.body;
    for words in ["1 skipped (too long).", "Too long to be copied: 8.6 MB, the limit is 8 MB."] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[tokio::test]
async fn the_page_of_an_event_that_was_discarded_before_it_was_seen_leads_to_its_copy() {
    let hospital = Hospital::new(&rows(1), &[]).await;
    hospital.followed().await;
    let store = &hospital.console.parts.store;
    // A discard of a row that was inserted and deleted between two polls: it is in the store, and not in the ledger.
    let new = NewOperation {
        who: "local".into(),
        address: "127.0.0.1".into(),
        kind: RequestKind::Discard,
        scope: "one".into(),
        reason: Some("a test".into()),
        waits: true,
    };
    let id = store.new_operation(&new).await.unwrap();
    store.plan_rows(id, &[planned(77)]).await.unwrap();
    store.close_plan(id, None).await.unwrap();
    assert!(store.start_operation(id, "local", "127.0.0.1", None, Pace::default()).await.unwrap());
    let copied = hospital.console.source("odoo").unwrap().copy(&[RowId(1)], usize::MAX).await.unwrap();
    let copy = NewCopy {
        position: 0,
        app: "odoo".into(),
        row_id: RowId(77),
        event: &copied.events[&RowId(1)],
        fault: "a fault".into(),
    };
    store.keep_copies(id, &[copy]).await.unwrap();
    store.settle_copies(id, &[(0, RowOutcome::Discarded)]).await.unwrap();

    let page = hospital.page("/atomfeed-console/failed-events/odoo/77").await;
    assert_eq!(page.status, StatusCode::OK);
    for words in
        ["Discarded by local.", "Reason: ", "a test", "/operations/1\"", "/discarded?operation=1\"", "Restore…"]
    {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    let answer = hospital.get("/atomfeed-console/api/failed_event?app=odoo&id=77&list=").await;
    assert!(answer.body.contains("Operation 1 discarded it."), "{}", answer.body);
    let never = hospital.page("/atomfeed-console/failed-events/odoo/78").await;
    assert_eq!(never.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_history_calls_each_end_what_it_was() {
    let hospital = Hospital::new(&rows(2), &[]).await;
    let log = "INSERT INTO failed_event_retry_log (id, feed_uri, failed_at, error_message, event_id) \
               SELECT 1, feed_uri, '2026-11-20 08:30:00', 'no', event_id FROM failed_events WHERE id = 1";
    hospital.execute("Odoo", log).await;
    hospital.followed().await;
    hospital.look("odoo").await;
    carried_out(&hospital, 1, &[("kind", "discard"), ("rows[]", "odoo:1:5")]).await;
    hospital.look("odoo").await;
    carried_out(&hospital, 2, &[("kind", "restore"), ("copies_of", "1")]).await;
    hospital.look("odoo").await;
    hospital.execute("Odoo", "DELETE FROM failed_event_retry_log; DELETE FROM failed_events WHERE id = 1").await;
    hospital.look("odoo").await;
    let store = &hospital.console.parts.store;
    let life = store.ledger_events_of_row("odoo", RowId(1)).await.unwrap().remove(0);
    let entries = store.ledger_entries(life.id).await.unwrap();
    let ends: Vec<_> = entries
        .iter()
        .filter_map(|entry| if let Happened::Ended { state } = entry.what { state } else { None })
        .collect();
    assert_eq!(ends, [LifeState::Discarded, LifeState::Resolved]);
    let page = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(page.contains(">Discarded<") && page.contains(">Resolved<"), "{page}");
}

#[tokio::test]
async fn a_row_under_way_in_one_operation_is_not_taken_by_another() {
    let mut all = rows(40);
    all.push(Row { feed: PATIENTS, ..row(41, "2026-11-20 08:00:00") });
    let hospital = Hospital::new(&all, &[]).await;
    hospital.execute("Odoo", COUNT_RESETS).await;
    let query = ("query", "app=odoo&feed=http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent");
    hospital.form(PLAN, &[("kind", "retry"), query]).await;
    // A second plan from before the first one was started.
    hospital.form(PLAN, &[("kind", "retry"), query]).await;
    hospital.form(START, &[("id", "1"), ("per_minute", "12")]).await;
    until(&hospital.console, 1, &[Stage::Running]).await;
    let plan = hospital.form(PLAN, &[("kind", "discard"), ("query", "app=odoo")]).await;
    hospital.form(START, &[("id", "2")]).await;
    let second = until(&hospital.console, 2, &[Stage::Ended]).await;
    assert!(second.counts.taken >= 38, "{:?}", second.counts);
    let rows = hospital.console.parts.store.operation_rows(2, 39, 1).await.unwrap();
    assert_eq!(rows[0].1.outcome, Some(RowOutcome::Taken { operation: 1 }));
    let third = hospital.page(plan.header("location")).await;
    assert!(third.body.contains("in another operation"), "{}", third.body);

    hospital.form(TURN, &[("id", "1"), ("turn", "pause")]).await;
    let paused = until(&hospital.console, 1, &[Stage::Paused]).await;
    assert!(paused.note.unwrap().contains("Paused by anybody"));
    hospital.form(TURN, &[("id", "1"), ("turn", "cancel")]).await;
    let cancelled = until(&hospital.console, 1, &[Stage::Cancelled]).await;
    let left = cancelled.counts.to_come();
    assert!(left >= 37 && cancelled.finished_at.is_some());
    let page = hospital.page("/atomfeed-console/operations/1").await;
    assert!(page.body.contains("Cancelled by anybody") && page.body.contains("not started"));
    // The rows that it had not reached are free again.
    hospital.form(PLAN, &[("kind", "retry"), query]).await;
    hospital.form(START, &[("id", "4")]).await;
    let rest = until(&hospital.console, 4, &[Stage::Ended]).await;
    assert_eq!(rest.counts.reset, left);
    assert_eq!(resets(&hospital).await, (1..=40).collect::<Vec<_>>(), "each row once");
}

#[tokio::test]
async fn a_lost_source_is_waited_for_and_nothing_is_forgotten() {
    let hospital = Hospital::new(&rows(1200), &[]).await;
    hospital.execute("Odoo", COUNT_RESETS).await;
    hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo")]).await;
    // The database refuses the second batch.
    hospital
        .execute(
            "Odoo",
            "CREATE TRIGGER half_way BEFORE UPDATE ON failed_events WHEN old.id > 500 BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        )
        .await;
    hospital.form(START, &[("id", "1")]).await;
    let begun = Instant::now();
    let waits = loop {
        let operation = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
        if operation.note.is_some() {
            break operation;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{operation:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(waits.counts.reset, 500);
    assert!(waits.note.unwrap().contains("disk is full"));
    hospital.execute("Odoo", "DROP TRIGGER half_way").await;
    let ended = until(&hospital.console, 1, &[Stage::Ended]).await;
    assert_eq!((ended.counts.reset, ended.note), (1200, None));
    assert_eq!(resets(&hospital).await, (1..=1200).collect::<Vec<_>>());
}

fn planned(id: i64) -> OperationRow {
    OperationRow {
        app: "odoo".into(),
        id: RowId(id.into()),
        feed_uri: Some(ENCOUNTERS.into()),
        event_id: Some(row(id, "2026-11-20 08:00:00").event),
        seen_retries: Some(5),
        copy: None,
        outcome: None,
    }
}

/// The point at which a console was killed, within its first batch.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Killed {
    Started,
    Copied,
    Marked,
    Asked,
    Written,
    /// The copies hold the outcome, the rows do not yet.
    Settled,
    Recorded,
}

const EVERYWHERE: [Killed; 7] = [
    Killed::Started,
    Killed::Copied,
    Killed::Marked,
    Killed::Asked,
    Killed::Written,
    Killed::Settled,
    Killed::Recorded,
];

/// An operation on six rows, as left by a console that is killed at this point of a batch of three. `told`: the ledger
/// records requests by the mark, and not by the watcher, as for a batch among thousands.
async fn killed(hospital: &Hospital, kind: RequestKind, at: Killed, told: bool) -> i64 {
    let (store, source) = (&hospital.console.parts.store, hospital.console.source("odoo").unwrap());
    // The watcher saw the rows before the operation.
    hospital.followed().await;
    let new = NewOperation {
        who: "local".into(),
        address: "127.0.0.1".into(),
        kind,
        scope: "six".into(),
        reason: Some("a reason".into()),
        waits: true,
    };
    let id = store.new_operation(&new).await.unwrap();
    let rows: Vec<_> = (1..=6).map(planned).collect();
    store.plan_rows(id, &rows).await.unwrap();
    store.close_plan(id, None).await.unwrap();
    assert!(store.start_operation(id, "local", "127.0.0.1", None, Pace::default()).await.unwrap());
    let ids = [1, 2, 3].map(RowId);
    let copies = source.copy(&ids, usize::MAX).await.unwrap().events;
    if at >= Killed::Copied && kind == RequestKind::Discard {
        let copy = |(place, row): (i64, &RowId)| atomfeed_console::server::store::NewCopy {
            position: place,
            app: "odoo".into(),
            row_id: *row,
            event: &copies[row],
            fault: "a fault".into(),
        };
        let kept: Vec<_> = (0..).zip(&ids).map(copy).collect();
        store.keep_copies(id, &kept).await.unwrap();
    }
    if at >= Killed::Marked {
        let operation = store.operation(id).await.unwrap().unwrap();
        match told {
            true => store.mark_in_progress(&operation, "odoo", &[0, 1, 2], &[]).await.unwrap(),
            false => assert!(store.mark(id, &[0, 1, 2]).await.unwrap()),
        }
    }
    if at >= Killed::Asked && told {
        let asks: Vec<Ask> = rows[..3]
            .iter()
            .map(|row| Ask { row_id: row.id, event_id: row.event_id.clone(), retries_before: Some(5) })
            .collect();
        store.ask("odoo", kind, id, "local", &asks).await.unwrap();
    }
    if at >= Killed::Written {
        let outcome = match kind {
            RequestKind::Discard => {
                let rows = ids.map(|id| atomfeed_console::server::sources::DiscardRow { id, seen_retries: Some(5) });
                let outcomes = source.discard(&rows, &copies).await.unwrap();
                assert_eq!(outcomes, vec![RowOutcome::Discarded; 3]);
                RowOutcome::Discarded
            }
            _ => {
                source.reset(&ids.map(|id| ResetRow { id, seen_retries: 5 })).await.unwrap();
                RowOutcome::Reset
            }
        };
        let outcomes: Vec<_> = (0..3).map(|place| (place, outcome.clone())).collect();
        if at >= Killed::Settled {
            store.settle_copies(id, &outcomes).await.unwrap();
        }
        if at >= Killed::Recorded {
            store.record_outcomes(id, &outcomes).await.unwrap();
        }
    }
    id
}

#[tokio::test]
async fn a_retry_goes_on_after_a_kill_at_any_point_and_resets_each_row_once() {
    for (at, told) in EVERYWHERE.iter().flat_map(|at| [(*at, true), (*at, false)]) {
        let hospital = Hospital::new(&rows(6), &[]).await;
        hospital.execute("Odoo", COUNT_RESETS).await;
        let id = killed(&hospital, RequestKind::Retry, at, told).await;
        let again = Console::new(hospital.console.parts.config.clone(), hospital.console.parts.store.clone());
        operations::go_on(&again).await.unwrap();
        let ended = until(&again, id, &[Stage::Ended]).await;
        assert_eq!((ended.counts.reset, ended.counts.asked), (6, 6), "{at:?}, {told}");
        assert_eq!(resets(&hospital).await, [1, 2, 3, 4, 5, 6], "{at:?}, {told}");
        let followed = again.parts.store.operation(id).await.unwrap().unwrap().followed;
        assert_eq!((followed.open, followed.overwritten), (6, 0), "{at:?}, {told}: each is asked for once");
    }
}

#[tokio::test]
async fn thousands_of_rows_are_retried_each_once_and_what_changed_meanwhile_is_left_alone() {
    let hospital = Hospital::new(&rows(2_700), &[]).await;
    hospital.execute("Odoo", COUNT_RESETS).await;
    hospital.followed().await;
    hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo&state=exhausted")]).await;
    until(&hospital.console, 1, &[Stage::Draft]).await;
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 6 WHERE id IN (700, 701, 2600)").await;
    hospital.execute("Odoo", "DELETE FROM failed_events WHERE id = 1500").await;
    hospital.form(START, &[("id", "1")]).await;
    let ended = until(&hospital.console, 1, &[Stage::Ended]).await;
    assert_eq!((ended.counts.reset, ended.counts.changed, ended.counts.gone), (2_696, 3, 1));
    let left = [700, 701, 1500, 2600];
    assert_eq!(resets(&hospital).await, (1..=2_700).filter(|id| !left.contains(id)).collect::<Vec<_>>());
    // Even if the watcher polled in between, each row is requested once, and rows left unchanged are not.
    hospital.look("odoo").await;
    let followed = hospital.console.parts.store.operation(1).await.unwrap().unwrap().followed;
    assert_eq!((followed.open, followed.overwritten, followed.gone), (2_696, 0, 0));
    for row in left {
        let lives = hospital.console.parts.store.ledger_events_of_row("odoo", RowId(row.into())).await.unwrap();
        let requests = hospital.console.parts.store.requests_for(lives[0].id).await.unwrap();
        assert!(requests.iter().all(|request| request.outcome.is_some()), "{row}: {requests:?}");
    }
}

#[tokio::test]
async fn a_look_between_the_mark_and_the_reset_takes_no_row_for_one_that_was_written_over() {
    for told in [true, false] {
        let hospital = Hospital::new(&rows(6), &[]).await;
        let id = killed(&hospital, RequestKind::Retry, Killed::Asked, told).await;
        hospital.look("odoo").await;
        let store = &hospital.console.parts.store;
        let followed = store.operation(id).await.unwrap().unwrap().followed;
        assert_eq!((followed.open, followed.overwritten), (3, 0), "{told}");
        // The reset is written during a poll that has already read the rows: what is recorded is later.
        let source = hospital.console.source("odoo").unwrap();
        source.reset(&[1, 2, 3].map(|id| ResetRow { id: RowId(id), seen_retries: 5 })).await.unwrap();
        store.record_outcomes(id, &[0, 1, 2].map(|place| (place, RowOutcome::Reset))).await.unwrap();
        hospital.look("odoo").await;
        // Once it is recorded, a count that comes back means that the reset was overwritten.
        hospital.execute("Odoo", "UPDATE failed_events SET retries = 4 WHERE id = 2").await;
        hospital.look("odoo").await;
        let followed = store.operation(id).await.unwrap().unwrap().followed;
        assert_eq!((followed.open, followed.overwritten), (2, 1), "{told}");
    }
}

#[tokio::test]
async fn a_row_that_was_tried_and_given_up_while_the_console_was_away_is_not_reset_again() {
    let hospital = Hospital::new(&rows(6), &[]).await;
    let id = killed(&hospital, RequestKind::Retry, Killed::Written, true).await;
    // The consumer tried all five times before the console came back: the row looks as it did before.
    for attempt in ["1", "2", "3", "4", "5"] {
        let sql: &'static str = format!(
            "UPDATE failed_events SET retries = {attempt} WHERE id = 1; INSERT INTO failed_event_retry_log (feed_uri, failed_at, \
             error_message, event_id) SELECT feed_uri, '2026-11-21 08:0{attempt}:00', 'again', event_id FROM failed_events WHERE id = 1"
        )
        .leak();
        hospital.execute("Odoo", sql).await;
    }
    hospital.execute("Odoo", COUNT_RESETS).await;
    let again = Console::new(hospital.console.parts.config.clone(), hospital.console.parts.store.clone());
    operations::go_on(&again).await.unwrap();
    let ended = until(&again, id, &[Stage::Ended]).await;
    assert_eq!(ended.counts.reset, 6);
    assert_eq!(resets(&hospital).await, [4, 5, 6], "row 1 had its retry");
    assert_eq!(hospital.retries("Odoo").await[&1].0, 5);
}

#[tokio::test]
async fn a_row_that_changed_before_its_reset_is_left_alone_after_a_kill_and_its_request_is_taken_back() {
    for told in [true, false] {
        let hospital = Hospital::new(&rows(6), &[]).await;
        let id = killed(&hospital, RequestKind::Retry, Killed::Asked, told).await;
        hospital.execute("Odoo", "UPDATE failed_events SET retries = 6 WHERE id = 2").await;
        let again = Console::new(hospital.console.parts.config.clone(), hospital.console.parts.store.clone());
        operations::go_on(&again).await.unwrap();
        let ended = until(&again, id, &[Stage::Ended]).await;
        assert_eq!((ended.counts.reset, ended.counts.changed), (5, 1), "{told}");
        again.parts.watch.poll_now("odoo").await;
        let followed = again.parts.store.operation(id).await.unwrap().unwrap().followed;
        assert_eq!((followed.open, followed.overwritten), (5, 0), "{told}");
    }
}

#[tokio::test]
async fn requests_of_one_row_are_in_the_ledger_in_their_order() {
    let hospital = Hospital::new(&rows(6), &[]).await;
    let id = killed(&hospital, RequestKind::Retry, Killed::Recorded, false).await;
    let store = &hospital.console.parts.store;
    // No operation holds the row any more, and its retry is not in the ledger yet.
    let ask = Ask { row_id: RowId(1), event_id: planned(1).event_id, retries_before: Some(0) };
    store.ask("odoo", RequestKind::Discard, 99, "local", &[ask]).await.unwrap();
    let event = store.ledger_events_of_row("odoo", RowId(1)).await.unwrap()[0].id;
    let requests = store.requests_for(event).await.unwrap();
    let outcomes: Vec<_> = requests
        .iter()
        .map(|request| (request.operation, request.outcome.as_ref().map(|(outcome, _)| *outcome)))
        .collect();
    assert_eq!(outcomes, [(id, Some(RequestOutcome::Superseded)), (99, None)]);
}

/// A consumer's worker that fails when it is allowed to.
struct Fails {
    begun: Arc<Notify>,
    may_end: Arc<Notify>,
}

impl Worker for Fails {
    async fn process(&self, _: &Event, _: &mut Transaction<'_>) -> Result<(), Failure> {
        self.begun.notify_one();
        self.may_end.notified().await;
        Err(Failure::new("still not there"))
    }
}

struct Succeeds;

impl Worker for Succeeds {
    async fn process(&self, _: &Event, _: &mut Transaction<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

async fn consumer<W: Worker>(hospital: &Hospital, worker: W) -> Consumer<W> {
    let address = format!("sqlite:{}", hospital.database("Odoo").display());
    let database = atomfeed::Database::connect(&address, None).await.unwrap();
    let client = atomfeed::Client::new(ENCOUNTERS, atomfeed::ClientSettings::default()).unwrap();
    Consumer::new(database, client, ENCOUNTERS, atomfeed::Limits::default(), worker).unwrap()
}

#[tokio::test]
async fn a_reset_that_a_running_consumer_writes_over_is_set_again_and_comes_through() {
    let hospital = Hospital::new(&[Row { retries: 3, ..row(1, "2026-11-20 08:00:00") }], &[]).await;
    hospital.followed().await;
    let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let failing = consumer(&hospital, Fails { begun: begun.clone(), may_end: may_end.clone() }).await;
    let run = tokio::spawn(async move { failing.process_failed_events().await });
    begun.notified().await;
    // The consumer holds the unchanged row while a user requests its retry.
    hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo&state=waiting")]).await;
    hospital.form(START, &[("id", "1")]).await;
    until(&hospital.console, 1, &[Stage::Ended]).await;
    assert_eq!(hospital.retries("Odoo").await[&1].0, 0);
    may_end.notify_one();
    assert_eq!(run.await.unwrap().failed, 1);
    assert_eq!(hospital.retries("Odoo").await[&1].0, 4, "it has written its own count over the reset");
    hospital.look("odoo").await;
    assert_eq!(hospital.console.parts.store.operation(1).await.unwrap().unwrap().followed.overwritten, 1);

    let keeping = tokio::spawn(operations::housekeeping(hospital.console.clone()));
    let time = Instant::now();
    while hospital.retries("Odoo").await[&1].0 != 0 {
        assert!(time.elapsed() < Duration::from_secs(60), "it is not set again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let run = consumer(&hospital, Succeeds).await.process_failed_events().await;
    assert_eq!(run.resolved, 1, "{}", run.end);
    hospital.look("odoo").await;
    let operation = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
    assert_eq!((operation.followed.resolved, operation.followed.overwritten), (1, 0));
    let audit = hospital.page("/atomfeed-console/audit").await.body;
    assert!(audit.contains("a lost reset of failed event 1 is set again"), "{audit}");
    keeping.abort();
}

#[tokio::test]
async fn a_discard_goes_on_after_a_kill_at_any_point_and_loses_nothing() {
    for at in EVERYWHERE {
        let hospital = Hospital::new(&rows(6), &[]).await;
        let before = hospital.retries("Odoo").await;
        let id = killed(&hospital, RequestKind::Discard, at, true).await;
        let again = Console::new(hospital.console.parts.config.clone(), hospital.console.parts.store.clone());
        operations::go_on(&again).await.unwrap();
        let ended = until(&again, id, &[Stage::Ended]).await;
        assert!(hospital.retries("Odoo").await.is_empty(), "{at:?}");
        let uncertain = if matches!(at, Killed::Written | Killed::Settled) { 3 } else { 0 };
        assert_eq!((ended.counts.discarded, ended.counts.uncertain), (6 - uncertain, uncertain), "{at:?}");
        // Everything deleted from the table is in the store, and is restored.
        let which = WhichCopies { restorable: true, ..WhichCopies::default() };
        assert_eq!(again.parts.store.discarded_count(&which).await.unwrap(), 6, "{at:?}");
        let actor = operations::Actor::of(&Person::anybody(), "127.0.0.1".into());
        let what = operations::Matching::CopiesOf(id);
        let plan = operations::plan(&again, actor.clone(), RequestKind::Restore, what).await.unwrap();
        operations::start(&again, &actor, plan, None, Pace::default()).await.unwrap();
        until(&again, plan, &[Stage::Ended]).await;
        assert_eq!(hospital.retries("Odoo").await, before, "{at:?}");
    }
}

#[tokio::test]
async fn a_restore_goes_on_after_a_kill_at_any_point_and_doubles_nothing() {
    for at in EVERYWHERE {
        let hospital = Hospital::new(&rows(6), &[]).await;
        let before = hospital.retries("Odoo").await;
        hospital.followed().await;
        hospital.form(PLAN, &[("kind", "discard"), ("query", "app=odoo")]).await;
        hospital.form(START, &[("id", "1"), ("reason", "a mistake")]).await;
        until(&hospital.console, 1, &[Stage::Ended]).await;
        hospital.look("odoo").await;

        // A restore as left by a console that is killed at this point of a batch of three.
        let (store, source) = (&hospital.console.parts.store, hospital.console.source("odoo").unwrap());
        let new = NewOperation {
            who: "local".into(),
            address: "127.0.0.1".into(),
            kind: RequestKind::Restore,
            scope: "six".into(),
            reason: None,
            waits: true,
        };
        let id = store.new_operation(&new).await.unwrap();
        let mut copies = store.discarded(&WhichCopies::default(), None, 10, None).await.unwrap();
        copies.sort_by_key(|copy| copy.row_id);
        let numbers: Vec<i64> = copies.iter().map(|copy| copy.id).collect();
        let rows: Vec<_> =
            (1..=6).zip(&numbers).map(|(row, copy)| OperationRow { copy: Some(*copy), ..planned(row) }).collect();
        store.plan_rows(id, &rows).await.unwrap();
        store.close_plan(id, None).await.unwrap();
        assert!(store.start_operation(id, "local", "127.0.0.1", None, Pace::default()).await.unwrap());
        if at >= Killed::Marked {
            let operation = store.operation(id).await.unwrap().unwrap();
            store.mark_in_progress(&operation, "odoo", &[0, 1, 2], &[]).await.unwrap();
        }
        if at >= Killed::Asked {
            let ask =
                |row: &OperationRow| Ask { row_id: row.id, event_id: row.event_id.clone(), retries_before: Some(5) };
            let asks: Vec<Ask> = rows[..3].iter().map(ask).collect();
            store.ask("odoo", RequestKind::Restore, id, "local", &asks).await.unwrap();
        }
        if at >= Killed::Written {
            let events: Vec<_> = store.copies(&numbers[..3]).await.unwrap().into_iter().flatten().collect();
            let outcomes = source.restore(&events).await.unwrap();
            let ids = [1, 2, 3].map(RowId);
            assert_eq!(outcomes, ids.map(|id| RowOutcome::Restored { id }));
            if at >= Killed::Settled {
                let put: Vec<_> = numbers.iter().copied().zip(ids).collect();
                store.mark_restored(id, &put).await.unwrap();
            }
            if at >= Killed::Recorded {
                let outcomes: Vec<_> = (0..).zip(outcomes).collect();
                store.record_outcomes(id, &outcomes).await.unwrap();
            }
        }

        let again = Console::new(hospital.console.parts.config.clone(), hospital.console.parts.store.clone());
        operations::go_on(&again).await.unwrap();
        let ended = until(&again, id, &[Stage::Ended]).await;
        assert_eq!(hospital.retries("Odoo").await, before, "{at:?}: all are there, and each once");
        // If a row is there and no reason was recorded, it is unknown who inserted it.
        let uncertain = if at == Killed::Written { 3 } else { 0 };
        assert_eq!((ended.counts.restored, ended.counts.uncertain), (6 - uncertain, uncertain), "{at:?}: {ended:?}");
        let restorable = WhichCopies { restorable: true, ..WhichCopies::default() };
        let kept = again.parts.store.discarded_count(&restorable).await.unwrap();
        assert_eq!(kept, uncertain, "{at:?}: what nobody knows of keeps its copy");
        // In the ledger each is still the same event.
        for row in 1..=6 {
            let begun = Instant::now();
            loop {
                again.parts.watch.poll_now("odoo").await;
                let lives = store.ledger_events_of_row("odoo", RowId(row)).await.unwrap();
                if lives.len() == 1 && lives[0].state.is_open() {
                    break;
                }
                assert!(begun.elapsed() < Duration::from_secs(30), "{at:?}, row {row}: {lives:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_first_rows_decide_whether_an_operation_goes_on() {
    let hospital = Hospital::new(&rows(12), &[]).await;
    hospital.followed().await;
    let fields = [("id", "1"), ("try_first", "2"), ("try_needed", "2")];
    hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo")]).await;
    hospital.form(START, &fields).await;
    let trying = until(&hospital.console, 1, &[Stage::Trying]).await;
    assert_eq!((trying.counts.reset, trying.counts.to_come()), (2, 10));
    assert!(
        hospital.page("/atomfeed-console/operations/1").await.body.contains("Waiting for the results of the first 2.")
    );
    // One of the two succeeds, the other fails again.
    hospital
        .execute(
            "Odoo",
            "INSERT INTO failed_event_retry_log (feed_uri, failed_at, error_message, event_id) SELECT feed_uri, \
             '2026-11-21 08:00:00', 'again', event_id FROM failed_events WHERE id = 2; \
             UPDATE failed_events SET retries = 1 WHERE id = 2; DELETE FROM failed_events WHERE id = 1",
        )
        .await;
    hospital.console.parts.watch.poll_now("odoo").await;
    let paused = until(&hospital.console, 1, &[Stage::Paused, Stage::Ended]).await;
    assert_eq!((paused.stage, paused.counts.to_come()), (Stage::Paused, 10));
    assert!(paused.note.as_deref().is_some_and(|note| note.contains("Test failed: ") && note.contains(" needed.")));
    // The user may continue all the same.
    hospital.form(TURN, &[("id", "1"), ("turn", "resume")]).await;
    let ended = until(&hospital.console, 1, &[Stage::Ended]).await;
    assert_eq!(ended.counts.reset, 12);
    assert_eq!(ended.followed.failed_again, 1);
    let page = hospital.page("/atomfeed-console/operations/1").await;
    assert!(page.body.contains("Retry the 1 that failed again…"), "{}", page.body);
}

#[tokio::test]
async fn a_number_that_is_none_is_refused_and_nothing_begins() {
    let hospital = Hospital::new(&rows(2), &[]).await;
    hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo")]).await;
    for (field, value) in [("per_minute", "0"), ("try_first", "-1"), ("try_needed", "many"), ("per_minute", "1e9")] {
        let answer = hospital.form(START, &[("id", "1"), (field, value)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{field}={value}");
    }
    for fields in [
        &[("kind", "explode"), ("query", "")][..],
        &[("kind", "retry")],
        &[("kind", "restore")],
        &[("kind", "retry"), ("query", "state=x")],
        &[("kind", "retry"), ("group", "77")],
        &[("kind", "retry"), ("failed_again", "77")],
    ] {
        let answer = hospital.form(PLAN, fields).await;
        assert!(answer.status.is_client_error() && answer.body.contains("<nav"), "{fields:?}: {}", answer.status);
    }
    assert_eq!(hospital.console.parts.store.operation(1).await.unwrap().unwrap().stage, Stage::Draft);
}

#[tokio::test]
async fn a_row_without_a_time_is_never_set_to_wait() {
    let mut all = rows(3);
    all[1].at = None;
    let hospital = Hospital::new(&all, &[]).await;
    let why = "without a time of failure";
    hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo")]).await;
    let plan = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
    assert_eq!(plan.planned, Some(2));
    assert!(plan.left_out.is_some_and(|left_out| left_out.contains(why)));
    // The same if the row is named.
    let retry = "/atomfeed-console/api/retry";
    let refused = hospital.form(retry, &[("rows[]", "odoo:2:5")]).await;
    assert!(refused.status == StatusCode::CONFLICT && refused.body.contains(why), "{}", refused.body);
    hospital.form(retry, &[("rows[]", "odoo:1:5"), ("rows[]", "odoo:2:5")]).await;
    let now = hospital.retries("Odoo").await;
    assert_eq!((now[&1].0, now[&2].0, now[&3].0), (0, 5, 5));
    let page = hospital.page("/atomfeed-console/failed-events/odoo/2").await;
    assert!(page.body.contains("has no time of failure"), "{}", page.body);
    // It can still be discarded, which lets the consumer continue.
    hospital.form(PLAN, &[("kind", "discard"), ("rows[]", "odoo:2:5")]).await;
    let discard = hospital.console.parts.store.operation(3).await.unwrap().unwrap();
    assert_eq!(discard.planned, Some(1));
}

#[tokio::test]
async fn the_end_of_copies_and_of_history_is_on_record() {
    let now = |config: &mut atomfeed_console::server::config::Config| {
        (config.keep_discarded, config.keep_history) =
            (Some(chrono::TimeDelta::zero()), Some(chrono::TimeDelta::zero()));
    };
    let hospital = Hospital::with(&rows(3), &[], "/atomfeed-console", now).await;
    hospital.followed().await;
    hospital.form(PLAN, &[("kind", "discard"), ("rows[]", "odoo:1:5"), ("rows[]", "odoo:3:5")]).await;
    hospital.form(START, &[("id", "1"), ("reason", "test data of the trial")]).await;
    until(&hospital.console, 1, &[Stage::Ended]).await;
    hospital.look("odoo").await;
    let keeping = tokio::spawn(operations::housekeeping(hospital.console.clone()));
    let begun = Instant::now();
    for words in ["copies of what was discarded before", "the history of what left its table before"] {
        loop {
            let audit = hospital.page("/atomfeed-console/audit").await.body;
            // Once before it was done, and once with the number.
            let told =
                audit.split(words).skip(1).filter(|rest| rest.split('<').next().unwrap_or_default().ends_with(": 2"));
            if told.count() == 1 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{words}: {audit}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    keeping.abort();
    assert_eq!(hospital.console.parts.store.discarded_count(&WhichCopies::default()).await.unwrap(), 0);
}

#[tokio::test]
async fn the_hours_of_an_old_history_go_although_every_row_is_still_there() {
    let now = |config: &mut atomfeed_console::server::config::Config| {
        config.keep_history = Some(chrono::TimeDelta::zero());
    };
    let hospital = Hospital::with(&rows(3), &[], "/atomfeed-console", now).await;
    hospital.followed().await;
    let failures = async || {
        let scope = Scope { apps: vec!["odoo".to_owned()], feed: None };
        let from = chrono::NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
        let days = hospital.console.parts.store.history_days(&scope, from, 0).await.unwrap();
        days.iter().map(|day| day.failed).sum::<u64>()
    };
    assert_eq!(failures().await, 3);
    let keeping = tokio::spawn(operations::housekeeping(hospital.console.clone()));
    let begun = Instant::now();
    while failures().await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the hours are kept for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    keeping.abort();
    assert_eq!(hospital.retries("Odoo").await.len(), 3);
}

#[tokio::test]
async fn rows_that_another_program_has_locked_are_told_as_busy_and_taken_later() {
    let hospital = Hospital::new(&rows(3), &[]).await;
    hospital.followed().await;
    let file = hospital.database("Odoo");
    let mut other = sqlx::SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();

    let answer = hospital.form("/atomfeed-console/api/retry", &[("rows[]", "odoo:1:5"), ("rows[]", "odoo:2:5")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "who asked is answered: {}", answer.body);
    let operation = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
    assert_eq!((operation.stage, operation.counts.busy, operation.counts.to_come()), (Stage::Running, 2, 0));
    assert_eq!(operation.followed.all(), 0, "nothing of them was written, so nothing is waited for");
    for path in ["/atomfeed-console/operations/1", answer.header("location")] {
        let page = hospital.page(path).await.body;
        assert!(page.contains("Retry requested for 0 of 2 events. 2 locked, will be tried again"), "{path}: {page}");
        assert!(page.contains("2 rows are locked by another transaction of the database"), "{path}: {page}");
    }
    assert!(hospital.page("/atomfeed-console/operations/1").await.body.contains("Locked by another transaction"));
    // They belong to this operation: no other takes them meanwhile.
    hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo")]).await;
    let beside = hospital.console.parts.store.operation(2).await.unwrap().unwrap();
    assert_eq!(beside.planned, Some(1), "{beside:?}");
    assert!(beside.left_out.is_some_and(|told| told.contains("2 in another operation")));
    let event = row(3, "").event;
    let path = format!("/atomfeed-console/apps/odoo/failedEvent/{event}/resetRetryCount");
    let old = hospital.send(axum::http::Request::post(path).body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(old.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(old.json()["error"].as_str().unwrap().contains("locked by another transaction"), "{}", old.body);

    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    for id in [1, 3] {
        let ended = until(&hospital.console, id, &[Stage::Ended]).await;
        assert_eq!((ended.counts.done(), ended.counts.busy, ended.note), (ended.counts.asked, 0, None));
    }
    assert!(hospital.retries("Odoo").await.values().all(|(retries, _)| *retries == 0));
}

#[tokio::test]
async fn busy_rows_of_a_cancelled_operation_stay_as_they_were() {
    let hospital = Hospital::new(&rows(2), &[]).await;
    let file = hospital.database("Odoo");
    let mut other = sqlx::SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    hospital.form("/atomfeed-console/api/retry", &[("rows[]", "odoo:1:5")]).await;
    hospital.form(TURN, &[("id", "1"), ("turn", "cancel")]).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let ended = until(&hospital.console, 1, &[Stage::Cancelled]).await;
    assert_eq!(ended.counts.done(), 0);
    // No operation holds it any more.
    hospital.form("/atomfeed-console/api/retry", &[("rows[]", "odoo:1:5")]).await;
    until(&hospital.console, 2, &[Stage::Ended]).await;
    assert_eq!(hospital.retries("Odoo").await[&1].0, 0);
}

#[tokio::test]
async fn a_busy_row_that_was_being_written_when_the_console_ended_is_looked_at_as_such() {
    let hospital = Hospital::new(&rows(6), &[]).await;
    let id = killed(&hospital, RequestKind::Retry, Killed::Marked, true).await;
    let store = &hospital.console.parts.store;
    let busy = |again| RowOutcome::Busy { again };
    store
        .record_outcomes(id, &[(0, RowOutcome::Reset), (1, busy(true)), (2, busy(true)), (3, busy(false))])
        .await
        .unwrap();
    assert_eq!(store.busy(id).await.unwrap(), 3);
    assert_eq!(store.taken(id).await.unwrap(), 1, "their turn comes again");
    let counts = store.operation(id).await.unwrap().unwrap().counts;
    assert_eq!((counts.reset, counts.busy, counts.to_come()), (1, 3, 2));
    let claimed = store.claimed("odoo", &[1, 2, 3, 4, 5, 6].map(RowId)).await.unwrap();
    assert_eq!(claimed.len(), 5, "all but the one that is done: {claimed:?}");
    store.free_busy(id).await.unwrap();
    let next = store.next_rows(id, 10).await.unwrap();
    assert_eq!(next.iter().map(|(place, _, again)| (*place, *again)).collect::<Vec<_>>(), [(1, true), (2, true)]);
    store.record_outcomes(id, &[(1, RowOutcome::Reset), (2, busy(true)), (3, busy(false))]).await.unwrap();
    // Rows that stay locked for too long are given up: the outcome of one is unknown, the other was not written.
    assert_eq!(store.give_up_busy(id, "locked for long").await.unwrap(), 2);
    let rows = store.operation_rows(id, 2, 2).await.unwrap();
    let reason = "locked for long".to_owned();
    assert_eq!(rows[0].1.outcome, Some(RowOutcome::Uncertain { reason: reason.clone() }));
    assert_eq!(rows[1].1.outcome, Some(RowOutcome::Failed { reason }));
    assert_eq!(store.next_rows(id, 10).await.unwrap().len(), 2);
}

/// Writes what an application's retry job leaves of a failed retry: a row of the log, and one retry more.
async fn fails_again(hospital: &Hospital, id: i64, error: &str) {
    let sql = format!(
        "INSERT INTO failed_event_retry_log (feed_uri, failed_at, error_message, event_id) \
         SELECT feed_uri, datetime('now'), '{error}', event_id FROM failed_events WHERE id = {id}; \
         UPDATE failed_events SET retries = 1 WHERE id = {id}"
    );
    hospital.execute("Odoo", &sql).await;
}

async fn resolves(hospital: &Hospital, id: i64) {
    let sql = format!(
        "DELETE FROM failed_event_retry_log WHERE event_id = (SELECT event_id FROM failed_events WHERE id = {id}); \
         DELETE FROM failed_events WHERE id = {id}"
    );
    hospital.execute("Odoo", &sql).await;
}

#[tokio::test]
async fn a_retry_is_in_progress_until_each_row_has_a_result_and_ends_in_its_colour() {
    let hospital = Hospital::new(&rows(4), &[]).await;
    for id in 1..=4 {
        fails_again(&hospital, id, "No. … did not work").await;
    }
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 5").await;
    hospital.look("odoo").await;
    hospital.form(PLAN, &[("kind", "retry"), ("query", "")]).await;
    hospital.form(START, &[("id", "1")]).await;
    until(&hospital.console, 1, &[Stage::Ended]).await;
    const ONE: &str = "/atomfeed-console/operations/1";
    const ALL: &str = "/atomfeed-console/operations";
    for page in [ONE, ALL] {
        let body = hospital.page(page).await.body;
        assert!(
            body.contains("In progress") && body.contains("Retry requested for 4 events. Waiting for results."),
            "{body}"
        );
        assert!(!body.contains("Finished"), "{body}");
        assert!(!body.contains(">Ended<"), "a retry in progress has not ended: {body}");
    }
    let facts = hospital.page(ONE).await.body;
    assert!(facts.contains(">All requests set<"), "{facts}");
    hospital.look("odoo").await;
    fails_again(&hospital, 2, "Odoo is down").await;
    resolves(&hospital, 1).await;
    hospital.look("odoo").await;
    for (page, left) in [(ONE, " Up to "), (ALL, "")] {
        let body = hospital.page(page).await.body;
        let told = format!("2 of 4 tried: 1 succeeded, 1 failed again.{left}");
        assert!(body.contains("In progress") && body.contains(&told), "{body}");
    }
    fails_again(&hospital, 3, "Odoo is down").await;
    fails_again(&hospital, 4, "Something else").await;
    hospital.look("odoo").await;
    let body = hospital.page(ONE).await.body;
    assert!(body.contains("1 succeeded, 3 failed again.") && body.contains("Some failed again"), "{body}");
    assert!(
        body.contains("notice warning") && !body.contains("notice done") && !body.contains("In progress"),
        "{body}"
    );
    assert!(hospital.page(ALL).await.body.contains("Some failed again"));

    // By result, and by cause, each with the names of its events.
    let rows = async |which: &str| {
        let body = hospital.page(&format!("{ONE}?rows={which}")).await.body;
        let table = body.split("id=\"rows\"").nth(1).unwrap_or_default().to_owned();
        (1..=4).filter(|id| table.contains(&format!("/failed-events/odoo/{id}\""))).collect::<Vec<_>>()
    };
    assert_eq!(rows("resolved").await, [1]);
    assert_eq!(rows("failed_again").await, [2, 3, 4]);
    assert_eq!(rows("open").await, [0; 0]);
    let causes = hospital.console.parts.store.causes_of(1, 10).await.unwrap();
    assert_eq!(causes.iter().map(|cause| cause.rows).collect::<Vec<_>>(), [2, 1], "{causes:?}");
    assert_eq!(rows(&format!("cause-{}", causes[0].fault)).await, [2, 3]);
    assert!(body.contains("Odoo is down") && body.contains("Failed again, by cause"), "{body}");
    assert!(body.contains(" → Odoo"), "events have names: {body}");
}

/// Both events first failed with one error, and in the retry before the request with another.
#[tokio::test]
async fn what_failed_again_is_compared_with_the_latest_error_before_the_request() {
    let hospital = Hospital::new(&rows(2), &[]).await;
    for id in 1..=2 {
        fails_again(&hospital, id, "Patient Id not found in Odoo").await;
    }
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 5").await;
    hospital.look("odoo").await;
    hospital.form(PLAN, &[("kind", "retry"), ("query", "")]).await;
    hospital.form(START, &[("id", "1")]).await;
    until(&hospital.console, 1, &[Stage::Ended]).await;
    hospital.look("odoo").await;
    fails_again(&hospital, 1, "Patient Id not found in Odoo").await;
    // The error of the first failure is new to an event whose latest error was another.
    fails_again(&hospital, 2, "No. 2 did not work").await;
    hospital.look("odoo").await;

    let body = hospital.page("/atomfeed-console/operations/1").await.body;
    let of_event = |id: i64| {
        let table = body.split("id=\"rows\"").nth(1).expect("the rows");
        let rest = table.split(&format!("/failed-events/odoo/{id}\"")).nth(1).expect("the row of the event");
        rest.split("</tr>").next().unwrap_or_default().to_owned()
    };
    assert!(of_event(1).contains("Same error as before."), "{}", of_event(1));
    assert!(of_event(2).contains("New error: "), "{}", of_event(2));
    assert!(body.contains("1 failed with the same error as before."), "{body}");
}

#[tokio::test]
async fn a_second_retry_that_changes_nothing_leaves_the_first_one_followed() {
    let hospital = Hospital::new(&rows(5), &[]).await;
    for id in 1..=5 {
        fails_again(&hospital, id, "No. … did not work").await;
    }
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 5").await;
    hospital.look("odoo").await;
    let named: Vec<String> = (1..=5).map(|id| format!("odoo:{id}:5")).collect();
    let form: Vec<(&str, &str)> = named.iter().map(|row| ("rows[]", row.as_str())).collect();
    for _ in 0..2 {
        hospital.form("/atomfeed-console/api/retry", &form).await;
    }
    let second = until(&hospital.console, 2, &[Stage::Ended]).await;
    assert_eq!((second.counts.changed, second.followed.all(), second.followed.unfollowed), (5, 0, 0));
    let first = hospital.page("/atomfeed-console/operations/1").await.body;
    assert!(first.contains("In progress") && first.contains("Waiting for results."), "{first}");
    fails_again(&hospital, 1, "Odoo is down").await;
    resolves(&hospital, 2).await;
    hospital.look("odoo").await;
    let first = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
    assert_eq!((first.followed.failed_again, first.followed.resolved, first.followed.open), (1, 1, 3));
    let event = hospital.page("/atomfeed-console/failed-events/odoo/2").await.body;
    assert!(event.contains("after your retry.") && !event.contains("by an automatic retry"), "{event}");
    assert!(event.contains("The request changed nothing in the database"), "{event}");
}

/// Inserts a failed event like the first one, which no poll has seen.
async fn arrives(hospital: &Hospital, id: i64) {
    let sql = format!(
        "INSERT INTO failed_events (id, feed_uri, failed_at, error_message, event_id, retries) \
         SELECT {id}, feed_uri, failed_at, error_message, event_id || '-{id}', 5 FROM failed_events WHERE id = 1"
    );
    hospital.execute("Odoo", &sql).await;
}

#[tokio::test]
async fn a_retry_of_an_event_that_the_ledger_has_not_seen_yet_is_followed() {
    let hospital = Hospital::new(&rows(2), &[]).await;
    hospital.followed().await;
    arrives(&hospital, 200).await;
    hospital.form("/atomfeed-console/api/retry", &[("rows[]", "odoo:200:5")]).await;
    until(&hospital.console, 1, &[Stage::Ended]).await;
    fails_again(&hospital, 200, "Odoo is down").await;
    hospital.look("odoo").await;
    let operation = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
    let followed = operation.followed;
    assert_eq!((followed.failed_again, followed.open, followed.unfollowed), (1, 0, 0));
    let page = hospital.page("/atomfeed-console/operations/1").await.body;
    assert!(page.contains("1 failed again.") && !page.contains("not followed"), "{page}");
}

#[tokio::test]
async fn a_retry_whose_event_left_before_it_was_seen_says_that_it_is_not_followed() {
    let hospital = Hospital::new(&rows(2), &[]).await;
    hospital.followed().await;
    // Row 200 was inserted, reset and deleted between two polls: it is only in the plan.
    let new = NewOperation {
        who: "local".into(),
        address: "127.0.0.1".into(),
        kind: RequestKind::Retry,
        scope: "one".into(),
        reason: None,
        waits: false,
    };
    let store = &hospital.console.parts.store;
    let id = store.new_operation(&new).await.unwrap();
    store.plan_rows(id, &[planned(200), planned(1)]).await.unwrap();
    store.close_plan(id, None).await.unwrap();
    assert!(store.start_operation(id, "local", "127.0.0.1", None, Pace::default()).await.unwrap());
    let operation = store.operation_alone(id).await.unwrap().unwrap();
    let asks = [200, 1].map(|id| Ask { row_id: RowId(id), event_id: None, retries_before: Some(5) });
    store.mark_in_progress(&operation, "odoo", &[0, 1], &asks).await.unwrap();
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 0 WHERE id = 1").await;
    store.record_outcomes(id, &[(0, RowOutcome::Reset), (1, RowOutcome::Reset)]).await.unwrap();
    store.set_stage(id, &[Stage::Running], Stage::Ended, None).await.unwrap();
    // From the next millisecond on a poll shows what is missing.
    tokio::time::sleep(Duration::from_millis(2)).await;
    hospital.look("odoo").await;
    let operation = store.operation(id).await.unwrap().unwrap();
    assert_eq!((operation.followed.open, operation.followed.unfollowed), (1, 1));
    let page = hospital.page(&format!("/atomfeed-console/operations/{id}")).await.body;
    assert!(page.contains("The result of 1 event is not followed."), "{page}");
    assert_eq!(page.matches("The result is not followed: the event left the table").count(), 1, "{page}");
}

#[tokio::test]
async fn rows_that_are_not_in_their_table_have_the_names_that_the_ledger_knows() {
    let hospital = Hospital::new(&rows(3), &[]).await;
    hospital.followed().await;
    hospital.execute("Odoo", "DELETE FROM failed_events WHERE id = 2").await;
    hospital.form("/atomfeed-console/api/retry", &[("rows[]", "odoo:2:5"), ("rows[]", "odoo:77:5")]).await;
    until(&hospital.console, 1, &[Stage::Ended]).await;
    let page = hospital.page("/atomfeed-console/operations/1").await.body;
    let rows = hospital.console.parts.store.courses(1, WhichRows::All, 0, 10).await.unwrap();
    let names = rows.iter().map(|(_, course)| (course.named, course.row.event_id.clone(), course.row.feed_uri.clone()));
    let event = Some(row(2, "2026-11-20 08:00:00").event);
    assert_eq!(names.collect::<Vec<_>>(), [(true, event, Some(ENCOUNTERS.to_owned())), (false, None, None)]);
    assert!(page.contains("not known") && !page.contains("no feed address"), "{page}");
}

#[tokio::test]
async fn a_discarded_event_is_listed_with_its_latest_error() {
    let hospital = Hospital::new(&rows(1), &[]).await;
    fails_again(&hospital, 1, "Patient Id not found in Odoo").await;
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 5").await;
    hospital.look("odoo").await;
    hospital.form(PLAN, &[("kind", "discard"), ("query", "")]).await;
    hospital.form(START, &[("id", "1"), ("reason", "a test patient")]).await;
    until(&hospital.console, 1, &[Stage::Ended]).await;
    let latest = async || {
        let body = hospital.page("/atomfeed-console/discarded").await.body;
        assert!(body.contains("Patient Id not found in Odoo") && !body.contains("did not work"), "{body}");
    };
    latest().await;
    // The copy is kept longer than the ledger's events: then it names them itself.
    hospital.execute_on_store("UPDATE ledger_events SET event_id = 'another'").await;
    latest().await;
}

#[tokio::test]
async fn a_feed_with_a_retry_in_progress_says_how_far_it_is_and_offers_no_other_of_the_same_events() {
    let hospital = Hospital::new(&rows(4), &[]).await;
    hospital.look("odoo").await;
    let offers = "Retry 4…";
    const PAGES: [&str; 2] = ["/atomfeed-console", "/atomfeed-console/applications/odoo"];
    for page in PAGES {
        let body = hospital.page(page).await.body;
        assert!(body.contains(offers) && !body.contains("in progress:"), "{page}: {body}");
    }
    let made = hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo&state=exhausted")]).await;
    for page in PAGES {
        assert!(!hospital.page(page).await.body.contains("in progress:"), "a plan is no retry");
    }
    assert_eq!(made.header("location"), "/atomfeed-console/operations/1");
    hospital.form(START, &[("id", "1")]).await;
    until(&hospital.console, 1, &[Stage::Ended]).await;
    hospital.look("odoo").await;
    fails_again(&hospital, 2, "Odoo is down").await;
    resolves(&hospital, 1).await;
    hospital.look("odoo").await;
    // Its five retries are used up: without the retry in progress it would be offered again.
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 5 WHERE id = 2").await;
    hospital.look("odoo").await;
    for page in PAGES {
        let body = hospital.page(page).await.body;
        assert!(body.contains("/operations/1\">Retry by anybody in progress: 2 of 4 tried<"), "{page}: {body}");
        assert!(!body.contains("Retry 1…"), "{page}: {body}");
    }
    // Events that the retry cannot include are offered.
    for id in 201..=205 {
        let copy = format!(
            "INSERT INTO failed_events (id, feed_uri, failed_at, error_message, event_id, retries) \
             SELECT {id}, feed_uri, failed_at, error_message, event_id || '-{id}', 5 FROM failed_events WHERE id = 2"
        );
        hospital.execute("Odoo", &copy).await;
    }
    hospital.look("odoo").await;
    for page in PAGES {
        let body = hospital.page(page).await.body;
        assert!(body.contains("in progress: 2 of 4 tried") && body.contains("Retry 6…"), "{page}: {body}");
    }
    fails_again(&hospital, 3, "Odoo is down").await;
    fails_again(&hospital, 4, "Odoo is down").await;
    hospital.look("odoo").await;
    for page in PAGES {
        assert!(!hospital.page(page).await.body.contains("in progress:"), "{page}");
    }
}

#[tokio::test]
async fn a_plan_of_a_range_is_called_by_its_words_and_with_the_zone_of_its_times() {
    let hospital = Hospital::new(&rows(2), &[]).await;
    hospital.execute("Odoo", "UPDATE failed_events SET failed_at = datetime('now') WHERE id = 1").await;
    for (query, words) in [
        ("app=odoo&since=7d", ", failed in the last 7 days (from "),
        ("app=odoo&from=2026-11-20T07:30&until=2026-11-20T08:30", ", failed from 2026-11-20 07:30 UTC"),
    ] {
        let made = hospital.form(PLAN, &[("kind", "discard"), ("query", query)]).await;
        let page = hospital.page(made.header("location")).await.body;
        let heading = page.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).expect("a heading");
        assert!(heading.contains(words), "{heading}");
        for time in heading.match_indices("2026-") {
            assert!(heading[time.0..].get(16..20) == Some(" UTC"), "a time without a zone: {heading}");
        }
    }
}

#[tokio::test]
async fn plans_show_the_event_its_error_and_no_forecast_where_nothing_is_retried() {
    let hospital = Hospital::new(&rows(2), &[]).await;
    hospital.look("odoo").await;
    let made = hospital.form(PLAN, &[("kind", "discard"), ("rows[]", "odoo:1:5")]).await;
    let plan = hospital.page(made.header("location")).await.body;
    assert!(plan.contains("No. … did not work") && plan.contains(" → Odoo"), "{plan}");
    assert!(plan.contains("First failed<") && plan.contains("datetime=\"2026-11-20T08:00:00"), "{plan}");
    for of_one in ["with the rows of its retry log.", "will never process this event.", "A copy is kept."] {
        assert!(plan.contains(of_one), "{of_one}: {plan}");
    }
    assert!(plan.contains("class=\"danger\"") && plan.contains("1 of 2 failed events left."), "{plan}");
    for forecast in ["per run every", "Options: limit", "Expected time"] {
        assert!(!plan.contains(forecast), "{forecast}: {plan}");
    }
    hospital.form(START, &[("id", "1"), ("reason", "test <data>")]).await;
    until(&hospital.console, 1, &[Stage::Ended]).await;
    hospital.look("odoo").await;

    // The event's own page says by whom and why, and offers to restore it.
    let page = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(page.contains("Discarded by anybody.") && page.contains("test &lt;data&gt;"), "{page}");
    assert!(
        page.contains("href=\"/atomfeed-console/operations/1\"") && page.contains("name=\"copies[]\" value=\"1\""),
        "{page}"
    );
    let back = "/failed-events/odoo/1";
    let restore = hospital.form(PLAN, &[("kind", "restore"), ("copies[]", "1"), ("back", back)]).await;
    let plan = hospital.page(restore.header("location")).await.body;
    assert!(plan.contains("No. … did not work") && !plan.contains("per run every"), "{plan}");
    assert!(
        plan.contains("The restored event counts as a failed event again") && !plan.contains("Restored events count"),
        "{plan}"
    );
    hospital.form(START, &[("id", "2")]).await;
    until(&hospital.console, 2, &[Stage::Ended]).await;
    assert_eq!(hospital.retries("Odoo").await.len(), 2);

    // The sentences about several events use the plural.
    let made = hospital.form(PLAN, &[("kind", "discard"), ("query", "")]).await;
    let plan = hospital.page(made.header("location")).await.body;
    assert!(plan.contains("will never process these events.") && plan.contains("A copy of each is kept."), "{plan}");
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_done_to_a_source_while_the_stores_file_is_another_one() {
    let hospital = Hospital::new(&rows(3), &[]).await;
    hospital.followed().await;
    hospital.form(PLAN, &[("kind", "discard"), ("rows[]", "odoo:1:5")]).await;
    let before = hospital.retries("Odoo").await;
    let file = hospital.console.parts.config.store.clone();
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).expect("renamed");
    std::fs::copy(&aside, &file).expect("copied");

    let start = [("id", "1"), ("reason", "test data of the trial")];
    for (path, fields) in [(START, &start[..]), ("/atomfeed-console/api/retry", &[("only", "odoo:2:5")])] {
        let refused = hospital.form(path, fields).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {}", refused.body);
        assert!(refused.body.contains("its file was removed or replaced"), "{path}: {}", refused.body);
    }
    assert_eq!(hospital.retries("Odoo").await, before);
    let ready = hospital.get("/ready").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready.json()["reason"].as_str().is_some_and(|why| why.contains("its file was removed or replaced")));
    hospital.console.parts.watch.poll_now("odoo").await;
    let overview = hospital.page("/atomfeed-console").await.body;
    assert!(overview.contains("The ledger cannot be written: its file was removed or replaced"), "{overview}");

    std::fs::rename(&aside, &file).expect("renamed");
    let answer = hospital.form(START, &start).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    assert_eq!(until(&hospital.console, 1, &[Stage::Ended]).await.counts.discarded, 1);
    assert_eq!(hospital.get("/ready").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_plan_that_cannot_be_written_down_is_not_told_as_one_of_nothing() {
    let hospital = Hospital::new(&rows(2), &rows(2)).await;
    let full = "CREATE TRIGGER full BEFORE INSERT ON operation_rows BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    hospital.execute_on_store(full).await;
    let answer = hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo&app=openelis")]).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", answer.body);
    assert!(!answer.body.contains("Nothing to do"), "{}", answer.body);
}
