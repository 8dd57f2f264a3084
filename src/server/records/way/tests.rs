//! Every verdict, in the order in which one excludes the next.

use chrono::DateTime;

use super::*;
use crate::model::{RowId, ledger::Moment, samples};

fn at(seconds: i64) -> Stamp {
    Stamp::of(DateTime::from_timestamp(seconds, 0).unwrap_or_default())
}

fn event(state: LifeState, record: &str) -> LedgerEvent {
    let seen = Moment::exactly(DateTime::from_timestamp(0, 0).unwrap_or_default());
    LedgerEvent {
        id: 1,
        app: "odoo".into(),
        row_id: RowId(7),
        feed_uri: None,
        event_id: None,
        record: Some(record.into()),
        title: None,
        failed_at: None,
        moves: false,
        seen,
        retries: None,
        state,
        asked: None,
        first_fault: 1,
        fault: 1,
        attempts: 0,
        ended: None,
        ended_why: None,
        called: None,
    }
}

fn facts(consumer: &ApplicationInfo) -> Facts<'_> {
    Facts {
        what: "ORD-1".into(),
        record: None,
        consumer,
        saved: Some(at(10)),
        ignored: None,
        unfinished: None,
        publication: Publication { events: vec![(100, Some(at(12)))], unknown: None, queued: None },
        progress: Progress { read_to: Some(100), behind: Some(0), unknown: None, trouble: None },
        failed: Vec::new(),
        failed_of_patient: Vec::new(),
        arrival: Arrival::Missing,
    }
}

fn there() -> Arrival {
    Arrival::There { at: Some(at(20)), evidence: "bill S1".into(), note: None }
}

#[test]
fn the_first_step_that_did_not_happen_decides() {
    let odoo = samples::info("Odoo");
    let (failed, waiting) = (event(LifeState::Exhausted, "e"), event(LifeState::Waiting, "p"));
    let (discarded, resolved) = (event(LifeState::Discarded, "e"), event(LifeState::Resolved, "e"));
    let unread = Progress { read_to: Some(99), behind: Some(3), unknown: None, trouble: None };
    let unpublished = Publication::default();
    let queued = Publication { queued: Some(Some(at(11))), ..Publication::default() };
    let unknown = Publication { unknown: Some("Not known.".into()), ..Publication::default() };
    for (facts, verdict) in [
        (Facts { ignored: Some("No.".into()), arrival: there(), ..facts(&odoo) }, Verdict::NotExpected),
        (Facts { arrival: there(), failed: vec![&failed], ..facts(&odoo) }, Verdict::Arrived),
        (Facts { failed: vec![&failed], ..facts(&odoo) }, Verdict::Failed),
        (Facts { failed_of_patient: vec![&waiting], ..facts(&odoo) }, Verdict::Waiting),
        (Facts { failed: vec![&discarded], ..facts(&odoo) }, Verdict::Discarded),
        (Facts { failed: vec![&resolved], ..facts(&odoo) }, Verdict::Gone),
        (
            Facts { unfinished: Some("Waits.".into()), publication: unpublished.clone(), ..facts(&odoo) },
            Verdict::NotYet,
        ),
        (Facts { publication: queued, ..facts(&odoo) }, Verdict::Queued),
        (Facts { progress: unread, ..facts(&odoo) }, Verdict::Unread),
        (Facts { publication: unpublished, ..facts(&odoo) }, Verdict::NeverPublished),
        (facts(&odoo), Verdict::Gone),
        (Facts { arrival: Arrival::Unknown("No right.".into()), ..facts(&odoo) }, Verdict::CannotTell),
        (Facts { publication: unknown, ..facts(&odoo) }, Verdict::CannotTell),
        (Facts { progress: Progress::default(), ..facts(&odoo) }, Verdict::CannotTell),
    ] {
        let found = way(facts);
        assert_eq!(found.verdict, verdict, "{}", found.why);
        assert!(found.why.ends_with('.'), "{}", found.why);
    }
}

#[test]
fn the_steps_before_an_arrival_have_happened() {
    let odoo = samples::info("Odoo");
    let unknown = Publication { unknown: Some("Not known.".into()), ..Publication::default() };
    let found = way(Facts { arrival: there(), publication: unknown, progress: Progress::default(), ..facts(&odoo) });
    let reached: Vec<_> = found.steps.iter().map(|step| (step.station, step.reached.clone())).collect();
    assert_eq!(
        reached,
        [
            (Station::Raised, Reached::Yes(Some(at(10)))),
            (Station::Published, Reached::Passed),
            (Station::Read, Reached::Passed),
            (Station::Processed, Reached::Passed),
            (Station::Arrived, Reached::Yes(Some(at(20)))),
        ]
    );
}

#[test]
fn a_failed_event_stands_at_its_step_and_is_a_click_away() {
    let odoo = samples::info("Odoo");
    let failed = event(LifeState::Exhausted, "p");
    let found = way(Facts { failed_of_patient: vec![&failed], ..facts(&odoo) });
    assert!(found.why.contains("Retry the patient's event first."), "{}", found.why);
    let step = found.steps.iter().find(|step| step.station == Station::Processed).expect("a step");
    assert_eq!(step.event, Some(EventKey { app: "odoo".into(), id: RowId(7) }));
    assert_eq!(step.reached, Reached::No);
}

#[test]
fn a_failure_of_the_patient_is_the_reason_if_it_came_first() {
    let odoo = samples::info("Odoo");
    let at = |seconds| DateTime::from_timestamp(seconds, 0);
    let own = LedgerEvent { failed_at: at(100), ..event(LifeState::Waiting, "e") };
    for (failed_at, row, why) in [
        (
            at(50),
            8,
            "The event of the patient failed before it in Odoo, and its retries are used up. Retry the patient's event \
                     first. Its own event failed, too (failed event 7).",
        ),
        (at(200), 7, "Its event failed in Odoo and waits for its next try."),
    ] {
        let patient = LedgerEvent { id: 2, row_id: RowId(8), failed_at, ..event(LifeState::Exhausted, "p") };
        let found = way(Facts { failed: vec![&own], failed_of_patient: vec![&patient], ..facts(&odoo) });
        assert_eq!(found.why, why);
        let step = found.steps.iter().find(|step| step.station == Station::Processed).expect("a step");
        assert_eq!(step.event, Some(EventKey { app: "odoo".into(), id: RowId(row) }));
        let found = way(Facts { failed_of_patient: vec![&patient], arrival: there(), ..facts(&odoo) });
        assert_eq!(found.why, "Odoo has it: bill S1.", "a failure of the patient is no change of the record");
    }
}

#[test]
fn what_a_consumer_takes_follows_its_own_rules() {
    let order = |order_type: &str, action: &str| Order {
        uuid: "o".into(),
        id: 1,
        number: None,
        order_type: Some(order_type.into()),
        action: Some(action.into()),
        voided: false,
        created: None,
        stopped: None,
        concept: Some("c".into()),
        concept_id: Some(1),
        drug: None,
        drug_name: None,
        is_drug: false,
        invisible: false,
        what: None,
        encounter: None,
        encounter_id: 1,
        patient: None,
    };
    let of = |kind: Kind| ApplicationInfo { kind, ..samples::info("X") };
    let (elis, odoo, pacs) = (of(Kind::Openelis), of(Kind::Odoo), of(Kind::Pacs));
    let types = ["Lab Order".to_owned(), "Drug Order".to_owned()];
    let (lab, radiology) = (order("Lab Order", "NEW"), order("Radiology Order", "NEW"));
    let typed_drug = Order { is_drug: true, ..order("Drug Order", "NEW") };
    for (order, consumer, types, product, taken) in [
        (&lab, &elis, None, None, true),
        (&radiology, &elis, None, None, false),
        (&order("Lab Order", "DISCONTINUE"), &elis, None, None, false),
        (&Order { stopped: Some(at(1)), ..lab.clone() }, &elis, None, None, false),
        (&lab, &odoo, Some(&types[..]), Some(true), true),
        (&lab, &odoo, Some(&types[..]), Some(false), false),
        (&radiology, &odoo, Some(&types[..]), Some(true), false),
        (&radiology, &odoo, None, None, true),
        (&typed_drug, &odoo, Some(&types[..]), None, false),
        (&radiology, &pacs, Some(&types[..]), None, false),
        (&lab, &pacs, Some(&types[..]), None, true),
        (&Order { invisible: true, ..lab.clone() }, &pacs, None, None, false),
    ] {
        let why = ignored(order, consumer, types, product);
        assert_eq!(why.is_none(), taken, "{:?} {:?}: {why:?}", order.order_type, consumer.kind);
    }
}
