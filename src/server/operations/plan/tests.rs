use super::*;

#[test]
fn when_the_events_of_a_plan_failed_is_told_in_words_and_with_the_zone() {
    use crate::model::recent::Recent;

    let at = |text: &str| Some(DateTime::parse_from_rfc3339(text).unwrap().to_utc());
    let from = at("2026-11-28T18:00:00+05:30");
    assert_eq!(when(&Filter::default()), "");
    assert_eq!(when(&Filter { from, ..Filter::default() }), ", failed from 2026-11-28 12:30 UTC");
    let until = at("2026-11-29T00:00:00Z");
    assert_eq!(when(&Filter { until, ..Filter::default() }), ", failed before 2026-11-29 00:00 UTC");
    let evening = Filter { from, recent: Some(Recent::Evening), ..Filter::default() };
    assert_eq!(when(&evening), ", failed since yesterday 18:00 (from 2026-11-28 12:30 UTC)");
}

#[test]
fn what_a_plan_leaves_out_is_said() {
    assert_eq!(LeftOut::default().sentence(), None);
    let left_out = LeftOut {
        waiting: 3,
        unknown: 0,
        homeless: 4,
        timeless: 2,
        claimed: 1,
        untitled: 5,
        applications: vec!["Odoo does not answer. is left out.".into()],
    };
    let said = left_out.sentence().unwrap();
    assert!(
        said.contains("3 with a retry counter of 0 already")
            && said.contains("4 without a feed address")
            && said.contains("2 without a time")
            && said.contains("1 in another operation"),
        "{said}"
    );
    assert!(said.contains("Odoo"), "{said}");
}

fn row(retries: Option<i64>) -> FailedEventRow {
    FailedEventRow {
        feed_uri: Some("http://openmrs/feed/recent".into()),
        failed_at: Some(crate::model::Stamp::of(chrono::DateTime::UNIX_EPOCH)),
        retries,
        ..crate::model::samples::failed_event()
    }
}

#[test]
fn a_retry_leaves_out_what_it_cannot_change_and_a_discard_nothing() {
    let rows = || vec![row(Some(0)), row(None), row(Some(5))];
    let mut left_out = LeftOut::default();
    assert_eq!(usable(RequestKind::Retry, rows(), &mut left_out).len(), 1);
    assert_eq!((left_out.waiting, left_out.unknown), (1, 1));
    assert_eq!(usable(RequestKind::Discard, rows(), &mut LeftOut::default()).len(), 3);
    let hopeless = || {
        let zero = crate::model::Stamp { text: "0000-00-00 00:00:00".into(), at: None };
        vec![
            FailedEventRow { feed_uri: None, ..row(Some(0)) },
            FailedEventRow { failed_at: None, ..row(None) },
            FailedEventRow { failed_at: Some(zero), title: Some("Encounter".into()), ..row(Some(5)) },
        ]
    };
    let mut left_out = LeftOut::default();
    assert_eq!(usable(RequestKind::Retry, hopeless(), &mut left_out).len(), 0);
    assert_eq!((left_out.homeless, left_out.timeless, left_out.waiting, left_out.unknown), (1, 2, 0, 0));
    let mut left_out = LeftOut::default();
    assert_eq!(usable(RequestKind::Discard, hopeless(), &mut left_out).len(), 3);
    assert_eq!((left_out.sentence(), left_out.untitled), (None, 0), "none of it matters to a discard");
}

#[test]
fn what_has_no_title_is_planned_and_counted() {
    let titled = FailedEventRow { title: Some("Encounter".into()), ..row(Some(5)) };
    let mut left_out = LeftOut::default();
    assert_eq!(usable(RequestKind::Retry, vec![titled, row(Some(5))], &mut left_out).len(), 2);
    assert_eq!(left_out.untitled, 1);
}
