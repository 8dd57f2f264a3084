//! Groups as a browser sees them: many failed events, few faults, and a note that remains after them.

use atomfeed_console::{
    clock,
    model::{Person, Role, RowId},
    server::config::{Access, AuthMode},
};
use axum::http::StatusCode;

use super::hospital::{Hospital, Row, row};

fn of(id: i64, error: &str) -> Row {
    Row { error: error.to_owned(), ..row(id, "2026-11-20 08:00:00") }
}

/// Twelve failed events with two faults, and one in another application.
async fn hospital() -> Hospital {
    let mut odoo: Vec<Row> = (1..=8)
        .map(|id| of(id, &format!("Patient with uuid '00000000-0000-4000-8000-{id:012}' not found in ELIS")))
        .collect();
    odoo.extend((9..=12).map(|id| of(id, "org.bahmni.webclients.WebClientsException: Bad response code of 404")));
    let hospital = Hospital::new(&odoo, &[of(1, "Bad response code of 404"), of(2, "Bad response code of 500")]).await;
    hospital.followed().await;
    hospital
}

#[tokio::test]
async fn failed_events_are_grouped_by_fault_with_meaning_and_place() {
    let hospital = hospital().await;
    let page = hospital.page("/atomfeed-console/groups").await;
    assert_eq!(page.status, StatusCode::OK);
    for words in [
        "3 groups of failed events",
        "not found in ELIS",
        "The record was deleted or never saved.",
        "Bad response code of 404",
        "OpenELIS",
    ] {
        assert!(page.body.contains(words), "{words}");
    }
    assert_eq!(page.body.matches("/atomfeed-console/groups/").count(), 3, "one line a fault");
    let (groups, all) = hospital.console.parts.store.groups(false, 10, None, 0).await.unwrap();
    assert_eq!((all, groups.iter().map(|group| group.failed()).collect::<Vec<_>>()), (3, vec![8, 5, 1]));
    assert_eq!(groups[1].apps().len(), 2);
    let event = hospital.page("/atomfeed-console/failed-events/odoo/3").await;
    assert!(event.body.contains("7 other events have the same error"), "{}", event.body);
}

#[tokio::test]
async fn a_group_is_retried_from_its_page_and_nothing_else() {
    let hospital = hospital().await;
    let (groups, _) = hospital.console.parts.store.groups(false, 10, None, 0).await.unwrap();
    let fault = groups[1].fault;
    let page = hospital.page(&format!("/atomfeed-console/groups/{fault}")).await;
    assert!(page.body.contains("Retry 5 events"), "{}", page.body);
    let answer = hospital
        .form("/atomfeed-console/api/plan_operation", &[("kind", "retry"), ("group", &fault.to_string())])
        .await;
    assert_eq!(answer.header("location"), "/atomfeed-console/operations/1", "{}", answer.body);
    hospital.form("/atomfeed-console/api/start_operation", &[("id", "1")]).await;
    hospital.ended(1).await;
    let odoo = hospital.retries("Odoo").await;
    assert!((1..=8).all(|id| odoo[&id].0 == 5) && (9..=12).all(|id| odoo[&id].0 == 0));
    let openelis = hospital.retries("OpenELIS").await;
    assert_eq!((openelis[&1].0, openelis[&2].0), (0, 5));
}

/// Returns the failed events of Odoo that a list names, in its order.
fn odoo_rows(page: &str) -> Vec<i64> {
    let links = page.split("/failed-events/odoo/").skip(1);
    let mut ids: Vec<i64> =
        links.filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()).collect();
    ids.dedup();
    ids
}

#[tokio::test]
async fn a_group_is_a_filter_of_the_list_with_every_other_filter() {
    let hospital = hospital().await;
    let (groups, _) = hospital.console.parts.store.groups(false, 10, None, 0).await.unwrap();
    let (fault, late) = (groups[1].fault, groups[0].fault);
    let group = hospital.page(&format!("/atomfeed-console/groups/{fault}")).await;
    assert!(group.body.contains(&format!("/atomfeed-console/failed-events?group={fault}\"")), "{}", group.body);

    let list = async |query: &str| hospital.page(&format!("/atomfeed-console/failed-events?{query}")).await.body;
    let of_group = list(&format!("group={fault}")).await;
    assert!(of_group.contains("<h1>5 failed events<"), "{of_group}");
    assert!(of_group.contains("Bad response code of 404"));
    assert!(of_group.contains(&format!("name=\"group\" value=\"{fault}\"")), "the form keeps it");
    assert_eq!(odoo_rows(&list(&format!("group={fault}&app=odoo&sort=id-up")).await), [9, 10, 11, 12]);
    // What only the source can check, and what only the ledger can.
    assert_eq!(
        odoo_rows(&list(&format!("group={fault}&app=odoo&sort=id-up&q=10000000-0000-4000-8000-000000000011")).await),
        [11]
    );
    assert_eq!(odoo_rows(&list(&format!("group={fault}&app=odoo&sort=id-up&q=not+found")).await), [0; 0]);
    assert_eq!(odoo_rows(&list(&format!("group={late}&app=odoo&category=encounter&sort=id-down")).await).len(), 8);
    assert_eq!(odoo_rows(&list(&format!("group={fault}&state=waiting")).await), [0; 0]);

    let export = hospital.page(&format!("/atomfeed-console/failed-events.csv?group={fault}")).await;
    assert_eq!(export.body.lines().count(), 1 + 5, "{}", export.body);
    let event =
        hospital.page(&format!("/atomfeed-console/failed-events/odoo/10?group={fault}&app=odoo&sort=id-up")).await;
    assert!(event.body.contains("/failed-events/odoo/9?") && event.body.contains("/failed-events/odoo/11?"));

    let fields = [("kind", "retry"), ("query", &format!("group={fault}&app=odoo"))];
    let answer = hospital.form("/atomfeed-console/api/plan_operation", &fields).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/operations/1", "{}", answer.body);
    let plan = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
    assert_eq!(plan.planned, Some(4), "those of Odoo in the group, and no others");
    assert_eq!(plan.scope, format!("all failed events with retries used up in Odoo, of group {fault}"));
    // Users do not know a group by its number.
    let title = hospital.console.parts.store.group_title(fault, None).await.unwrap().expect("the group");
    let named = format!("in Odoo, of “{}", title.chars().take(20).collect::<String>());
    let page = hospital.page("/atomfeed-console/operations/1").await.body;
    assert!(page.contains(&named) && !page.contains(&format!("of group {fault}")), "{named}: {page}");

    for (query, status) in [("group=77", StatusCode::NOT_FOUND), ("group=x", StatusCode::BAD_REQUEST)] {
        let page = hospital.page(&format!("/atomfeed-console/failed-events?{query}")).await;
        assert_eq!(page.status, status, "{query}");
    }
}

#[tokio::test]
async fn a_list_of_a_group_goes_on_from_page_to_page_both_ways() {
    let mut odoo: Vec<Row> = (1..=130).map(|id| of(id, "Bad response code of 404")).collect();
    odoo.extend((131..=200).map(|id| of(id, "Bad response code of 500")));
    let hospital = Hospital::new(&odoo, &[]).await;
    hospital.followed().await;
    let (groups, _) = hospital.console.parts.store.groups(false, 10, None, 0).await.unwrap();
    let fault = groups[0].fault;
    for filter in ["", "&category=encounter", "&q=Bad+response"] {
        let pages = async |query: String, rel: &str| {
            let (mut next, mut seen, mut last) = (Some(query), Vec::new(), String::new());
            while let Some(query) = next {
                let page = hospital.page(&format!("/atomfeed-console/failed-events?{query}")).await.body;
                seen.push(odoo_rows(&page));
                // The link of the pager, not that of a search that stopped.
                let link = page.split("<a ").filter(|link| link.contains(&format!("rel=\"{rel}\""))).last();
                let href = link.and_then(|link| link.split("href=\"").nth(1)?.split('"').next()).map(str::to_owned);
                next = href.and_then(|href| href.split_once('?').map(|(_, query)| query.replace("&amp;", "&")));
                last = page;
                assert!(seen.len() < 20, "{filter}: it has no end");
            }
            (seen, last)
        };
        let (forward, last) = pages(format!("group={fault}&app=odoo&sort=id-up{filter}"), "next").await;
        assert_eq!(forward.concat(), (1..=130).collect::<Vec<_>>(), "{filter}");
        let link = last.split("<a ").find(|link| link.contains("rel=\"prev\"")).expect("the way back");
        let query = link.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
        let (mut back, _) = pages(query.split_once('?').unwrap().1.to_owned(), "prev").await;
        back.reverse();
        assert_eq!(back.concat(), (1..=100).collect::<Vec<_>>(), "{filter}");
    }
}

#[tokio::test]
async fn the_pages_of_a_group_hold_each_event_once_the_newest_first() {
    // Many at the same time, so that the time alone does not decide the order.
    let odoo: Vec<Row> = (1..=130).map(|id| of(id, "Bad response code of 404")).collect();
    let openelis: Vec<Row> = (1..=70).map(|id| of(id, "Bad response code of 404")).collect();
    let hospital = Hospital::new(&odoo, &openelis).await;
    hospital.followed().await;
    let (groups, _) = hospital.console.parts.store.groups(false, 10, None, 0).await.unwrap();
    let mut next = Some(format!("/atomfeed-console/groups/{}?state=exhausted", groups[0].fault));
    let (mut seen, mut pages) = (Vec::new(), 0);
    while let Some(path) = next {
        let page = hospital.page(&path).await.body;
        seen.extend(odoo_rows(&page));
        let link = page.split("<a ").find(|link| link.contains("rel=\"next\""));
        next = link.and_then(|link| Some(link.split("href=\"").nth(1)?.split('"').next()?.replace("&amp;", "&")));
        pages += 1;
        assert!(pages < 20, "it has no end");
    }
    assert!(pages > 1);
    assert_eq!(seen, (1..=130).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_note_is_shown_to_everybody_and_outlives_its_failed_events() {
    let hospital = hospital().await;
    let (groups, _) = hospital.console.parts.store.groups(false, 10, None, 0).await.unwrap();
    let fault = groups[0].fault.to_string();
    let fields = [
        ("fault", fault.as_str()),
        ("what", "The <b>patients</b> come late"),
        ("todo", "Wait\nthen retry"),
        ("looks_after", "the lab's support"),
    ];
    let answer = hospital.form("/atomfeed-console/api/write_note", &fields).await;
    assert_eq!(answer.header("location"), format!("/atomfeed-console/groups/{fault}"), "{}", answer.body);
    let page = hospital.page(answer.header("location")).await;
    for words in ["The &lt;b&gt;patients&lt;/b&gt; come late", "then retry", "the lab&#x27;s support", "Written by"] {
        assert!(page.body.contains(words) || page.body.contains(&words.replace("&#x27;", "'")), "{words}");
    }
    assert!(hospital.page("/atomfeed-console/failed-events/odoo/3").await.body.contains("come late"));
    hospital.execute("Odoo", "DELETE FROM failed_events WHERE id <= 8").await;
    hospital.console.parts.watch.poll_now("odoo").await;
    let quiet = hospital.page("/atomfeed-console/groups?quiet=1").await;
    assert!(quiet.body.contains("come late"), "{}", quiet.body);
    let empty = [("fault", fault.as_str()), ("seen", "1"), ("what", " "), ("todo", ""), ("looks_after", "")];
    hospital.form("/atomfeed-console/api/write_note", &empty).await;
    let removed = hospital.page(&format!("/atomfeed-console/groups/{fault}")).await.body;
    assert!(removed.contains("Write a note") && removed.contains("1 earlier version"), "{removed}");
    assert!(!hospital.page("/atomfeed-console/groups?quiet=1").await.body.contains("come late"));
}

/// Two users write at once: the second one sees both versions, and decides.
#[tokio::test]
async fn a_note_saved_over_another_is_a_conflict_shown_side_by_side() {
    let hospital = hospital().await;
    let write = async |what: &str, todo: &str, seen: &str| {
        let fields = [("fault", "1"), ("what", what), ("todo", todo), ("looks_after", ""), ("seen", seen)];
        hospital.form("/atomfeed-console/api/write_note", &fields).await
    };
    assert_eq!(write("the first", "wait", "0").await.status, StatusCode::SEE_OTHER);
    let page = hospital.page("/atomfeed-console/groups/1").await.body;
    assert!(page.contains("name=\"seen\" value=\"1\""), "{page}");
    assert_eq!(write("hers", "call the lab", "1").await.status, StatusCode::SEE_OTHER);
    let conflict = write("his <b>", "", "1").await;
    assert_eq!(conflict.status, StatusCode::CONFLICT, "{}", conflict.body);
    for words in [
        "Another version of this note was saved while you were writing.",
        "Saved version",
        "call the lab",
        "Your version",
        "his &lt;b&gt;</textarea>",
        "name=\"seen\" value=\"2\"",
        "Keep the saved version",
    ] {
        assert!(conflict.body.contains(words), "{words}: {}", conflict.body);
    }
    assert_eq!(conflict.body.matches("api/write_note\"").count(), 1, "one form, not two");
    assert!(hospital.page("/atomfeed-console/groups/1").await.body.contains("hers"), "nothing was written over");
    // After seeing it, the user may save.
    assert_eq!(write("his", "", "2").await.status, StatusCode::SEE_OTHER);
    let page = hospital.page("/atomfeed-console/groups/1").await.body;
    for words in ["2 earlier versions", "call the lab", "the first"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // A form without a version has seen none.
    let fields = [("fault", "1"), ("what", "blind")];
    let blind = hospital.form("/atomfeed-console/api/write_note", &fields).await;
    assert_eq!(blind.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn what_is_no_group_is_told() {
    let hospital = Hospital::new(&[], &[]).await;
    for path in ["/groups/77", "/groups/x", "/groups/1?state=odd"] {
        let page = hospital.page(&format!("/atomfeed-console{path}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
    }
    let page = hospital.page("/atomfeed-console/groups").await;
    assert!(page.body.contains("No groups") && page.body.contains("No failed events are known"));
    let hospital = Hospital::new(&[row(1, "2026-11-20 08:00:00")], &[]).await;
    let answer = hospital.form("/atomfeed-console/api/write_note", &[("fault", "77"), ("what", "x")]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_group_shows_error_texts_of_its_events_to_those_who_may_read_them() {
    use atomfeed_console::model::{Person, Role};
    let error = "org.bahmni.webclients.WebClientsException: Bad response code of 404\n\tat org.bahmni.Secret.run";
    let hospital = Hospital::with(&[of(1, error), of(2, error)], &[], "/atomfeed-console", |config| {
        config.access = atomfeed_console::server::config::Access::default();
    })
    .await;
    hospital.followed().await;
    let fault = hospital.console.parts.store.fault_of("odoo", RowId(1)).await.unwrap().expect("a group");
    let page = async |role: Role| {
        let person = Person { role, ..Person::anybody() };
        hospital.page_as(&person, &format!("/atomfeed-console/groups/{fault}")).await.body
    };
    let operators = page(Role::Operator).await;
    assert_eq!(operators.matches("org.bahmni.Secret.run").count(), 1, "the same text once: {operators}");
    assert!(
        operators.contains("aria-label=\"Error text 1\"") && operators.contains("Open Encounter 10000000…0002 → Odoo")
    );
    let viewers = page(Role::Viewer).await;
    assert!(!viewers.contains("org.bahmni.Secret") && !viewers.contains("Error text 1"), "{viewers}");
}

/// The cause that names a group is at the end of a text, below everything that only passed it on.
#[tokio::test]
async fn the_error_text_of_a_group_shows_the_cause_that_names_it() {
    let frames = "\tat org.bahmni.feed.Worker.run(Worker.java:17)\n".repeat(60);
    let error =
        format!("org.bahmni.Outer: it failed\n{frames}Caused by: org.bahmni.Inner: Patient Id not found in Odoo");
    let hospital = Hospital::new(&[of(1, &error)], &[]).await;
    hospital.followed().await;
    let fault = hospital.console.parts.store.fault_of("odoo", RowId(1)).await.unwrap().expect("a group");
    let page = hospital.page(&format!("/atomfeed-console/groups/{fault}")).await.body;
    let text = page.split("aria-label=\"Error text 1\"").nth(1).expect("the error text");
    let text = text.split("</p>").next().unwrap_or_default();
    assert!(text.contains("innermost") && text.contains("Patient Id not found in Odoo"), "{page}");
}

fn of_odoo_alone() -> atomfeed_console::model::Person {
    use atomfeed_console::model::{Person, Role};
    Person { role: Role::Operator, applications: Some(["odoo".to_owned()].into()), ..Person::anybody() }
}

/// The number of a hidden failed event reveals nothing of when it failed: it is treated as one that does not exist.
#[tokio::test]
async fn a_page_of_a_group_cannot_begin_at_an_event_that_is_hidden() {
    let odoo: Vec<Row> = (1..=3).map(|id| of(id, "Bad response code of 404")).collect();
    // Later than those of Odoo: starting there would show all of Odoo.
    let hidden = Row { error: "Bad response code of 404".into(), ..row(1, "2026-11-20 09:00:00") };
    let hospital = Hospital::with(&odoo, &[hidden], "/atomfeed-console", |config| {
        config.access = atomfeed_console::server::config::Access::default();
    })
    .await;
    hospital.followed().await;
    let (groups, _) = hospital.console.parts.store.groups(false, 10, None, 0).await.unwrap();
    let fault = groups[0].fault;
    let (only, all) = (of_odoo_alone(), atomfeed_console::model::Person::anybody());
    let rows = async |person: &atomfeed_console::model::Person, before: i64| {
        let path = format!("/atomfeed-console/api/group?fault={fault}&state=exhausted&before={before}");
        let answer = hospital.get_as(person, &path).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.json()["events"].as_array().unwrap().len()
    };
    let mut seen = std::collections::BTreeSet::new();
    for before in 1..=40 {
        let (limited, unlimited) = (rows(&only, before).await, rows(&all, before).await);
        assert!(limited < 3, "as if the event {before} of another application were there");
        seen.insert((limited, unlimited));
    }
    assert!(seen.contains(&(0, 3)), "the hidden event was asked for: {seen:?}");
    assert!(seen.contains(&(2, 2)), "and those of Odoo are a place to go on from: {seen:?}");
}

#[tokio::test]
async fn a_note_that_takes_the_place_of_another_says_so_on_record() {
    use atomfeed_console::model::audit::AuditFilter;
    let hospital = hospital().await;
    let write = async |what: &str, todo: &str, seen: &str| {
        let fields = [("fault", "1"), ("what", what), ("todo", todo), ("seen", seen)];
        let answer = hospital.form("/atomfeed-console/api/write_note", &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        let entries = hospital.console.parts.store.audit_entries(&AuditFilter::default(), None, 1).await.unwrap();
        assert!(!entries[0].what.contains("Ward"), "the text itself is not on record");
        entries[0].what.clone()
    };
    assert_eq!(write("Ward Ä", "wait", "0").await, "on group 1: 10 characters where there was no note");
    assert_eq!(write("Ward", "", "1").await, "on group 1: 4 characters in the place of 10 that anybody had written");
    assert_eq!(
        write("", "", "2").await,
        "removed from group 1: 0 characters in the place of 4 that anybody had written"
    );
}

#[tokio::test]
async fn a_record_that_is_gone_is_retried_with_a_warning_and_discarding_is_suggested() {
    let gone = "org.ict4h.E: oddjava.lang.RuntimeException: org.ict4h.E: odd\n\tat org.example.A.a(A.java:1)\n\
                Caused by: org.ict4h.E: 404 Not Found: Object with given uuid doesn't exist";
    let hospital = Hospital::new(&[of(1, gone), of(2, "Bad response code of 500")], &[]).await;
    hospital.followed().await;
    let event = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    for words in [
        "The record was deleted or never saved.",
        "A retry fails until the record exists.",
        "Suggested: the record was deleted",
    ] {
        assert!(event.contains(words), "{words}: {event}");
    }
    assert!(event.contains("data-retry-main"), "it is offered");
    let list = hospital.page("/atomfeed-console/failed-events?app=odoo").await.body;
    assert_eq!(list.matches("title=\"The record was deleted or never saved. A retry").count(), 1, "{list}");
    let other = hospital.page("/atomfeed-console/failed-events/odoo/2").await.body;
    assert!(!other.contains("Suggested: the record was deleted"), "{other}");
    let fault = hospital.console.parts.store.fault_of("odoo", RowId(1)).await.unwrap().expect("a group");
    let group = hospital.page(&format!("/atomfeed-console/groups/{fault}")).await.body;
    assert!(group.contains("If the record was deleted, discard the event: a retry fails again."), "{group}");
}

#[tokio::test]
async fn two_causes_are_two_groups_though_their_texts_end_without_a_line_end() {
    let text = |cause: &str| {
        format!(
            "Post call to /api/bahmni-saleorder failedjava.lang.RuntimeException: Post call to /api/bahmni-saleorder failed\n\
             \tat org.example.A.a(A.java:1)\nCaused by: org.example.RestException: {cause}"
        )
    };
    let rows = [of(1, &text("Timeout waiting for response")), of(2, &text("No route to host"))];
    let hospital = Hospital::new(&rows, &[]).await;
    hospital.followed().await;
    let page = hospital.page("/atomfeed-console/groups").await.body;
    assert!(page.contains("Timeout waiting for response") && page.contains("No route to host"), "{page}");
    let event = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(event.contains("<h1>Timeout waiting for response<"), "{event}");
    assert!(!event.contains("The application cut this text"), "{event}");

    // A text that fills its column was cut.
    let long = format!("{}{}", text("Timeout"), "x".repeat(4000));
    let hospital = Hospital::new(&[of(1, &long[..4000])], &[]).await;
    let event = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
    assert!(event.contains("The application cut this text"), "{event}");
}

#[tokio::test]
async fn a_group_was_seen_first_and_last_when_it_was_and_not_at_the_full_hour() {
    let hospital = Hospital::new(&[of(1, "Bad response code of 500"), of(2, "Bad response code of 500")], &[]).await;
    // Whatever the time of day, the start of the hour is not the time of the failure.
    let first = clock::now() - chrono::TimeDelta::hours(30);
    let last = clock::now() - chrono::TimeDelta::minutes(2);
    let text = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d %H:%M:%S").to_string();
    hospital
        .execute(
            "Odoo",
            &format!(
                "UPDATE failed_events SET failed_at = '{}';
                 INSERT INTO failed_event_retry_log (id, feed_uri, failed_at, error_message, event_id)
                 SELECT id, feed_uri, '{}', error_message, event_id FROM failed_events WHERE id = 2",
                text(first),
                text(last)
            ),
        )
        .await;
    hospital.followed().await;
    let fault = hospital.console.parts.store.fault_of("odoo", RowId(1)).await.unwrap().expect("a group");
    let group = hospital.console.parts.store.group(fault, None, 0).await.unwrap().expect("a group");
    let seconds = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(|at| at.timestamp());
    assert_eq!(
        (seconds(group.first_seen), seconds(group.last_seen)),
        (Some(first.timestamp()), Some(last.timestamp()))
    );
    // A later poll adds to the same hour.
    let later = last + chrono::TimeDelta::seconds(30);
    hospital
        .execute(
            "Odoo",
            &format!(
                "INSERT INTO failed_event_retry_log (id, feed_uri, failed_at, error_message, event_id)
                 SELECT 9, feed_uri, '{}', error_message, event_id FROM failed_events WHERE id = 1",
                text(later)
            ),
        )
        .await;
    hospital.look("odoo").await;
    let group = hospital.console.parts.store.group(fault, None, 0).await.unwrap().expect("a group");
    assert_eq!(
        (seconds(group.first_seen), seconds(group.last_seen)),
        (Some(first.timestamp()), Some(later.timestamp()))
    );
}

#[tokio::test]
async fn pages_that_show_groups_and_applications_are_kept_up_to_date() {
    let hospital = hospital().await;
    let follows = async |path: &str| {
        let page = hospital.page(&format!("/atomfeed-console{path}")).await;
        let mark = page.body.split("data-live=\"\"").nth(1).and_then(|rest| rest.split('>').next());
        mark.map(|rest| rest.contains("data-live-app=\"odoo\""))
    };
    for path in ["/groups", "/groups/1", "/applications", "/failed-events?by=cause"] {
        assert_eq!(follows(path).await, Some(false), "{path} follows every application");
    }
    assert_eq!(follows("/failed-events?by=cause&app=odoo").await, Some(true));
    assert_eq!(follows("/help").await, None);
}

#[tokio::test]
async fn what_a_form_did_is_told_to_who_opens_a_page_and_not_to_a_page_that_reads_itself_again() {
    let hospital = hospital().await;
    let first = hospital.page("/atomfeed-console/groups/1").await;
    let cookie = first.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    let request = |request: axum::http::request::Builder| {
        request.header("host", "console.test").header("accept", "text/html").header("cookie", &cookie)
    };
    let read = async |path: &str| {
        hospital.send(request(axum::http::Request::get(path)).body(axum::body::Body::empty()).unwrap()).await.body
    };
    let body = format!("form_token={}&fault=1&seen=0&what=late", hospital.form_token(&cookie).await);
    let sent = request(axum::http::Request::post("/atomfeed-console/api/write_note"))
        .header("origin", "http://console.test")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("content-length", body.len());
    let saved = hospital.send(sent.body(axum::body::Body::from(body)).unwrap()).await;
    assert!(saved.status.is_redirection(), "{}", saved.body);
    assert!(!read("/atomfeed-console/groups/1?live=1").await.contains("The note is saved."));
    assert!(read("/atomfeed-console/groups/1").await.contains("The note is saved."));
}

/// A single event is retried where it is shown.
#[tokio::test]
async fn one_event_of_a_group_is_retried_from_its_row_and_the_page_says_so() {
    let mut rows: Vec<Row> = (1..=3).map(|id| of(id, "Bad response code of 404")).collect();
    rows[1].retries = 2;
    rows[2].feed = "";
    let elsewhere = of(1, "Bad response code of 404");
    let hospital = Hospital::with(&rows, &[elsewhere], "/atomfeed-console", |config| {
        config.applications[1].info.read_only = true;
    })
    .await;
    hospital.followed().await;
    let page = hospital.page("/atomfeed-console/groups/1?state=exhausted").await.body;
    assert_eq!(
        page.matches("name=\"only\"").count(),
        1,
        "none that no retry helps, or that may not be touched: {page}"
    );
    assert!(page.contains("name=\"only\" value=\"odoo:1:5\""), "{page}");
    assert!(page.contains("aria-label=\"Retry Encounter 10000000…0001 → Odoo, row 1\""), "{page}");
    assert!(super::pages::text(&page).contains("5 of 5"), "{page}");
    assert!(page.contains("/failed-events.csv?group=1\""), "the group is exported from its page: {page}");
    let waiting = hospital.page("/atomfeed-console/groups/1?state=waiting").await.body;
    assert!(!waiting.contains("name=\"only\""), "the warning stands on its own page: {waiting}");

    let fields = [("only", "odoo:1:5"), ("back", "/groups/1?state=exhausted")];
    let answer = hospital.form("/atomfeed-console/api/retry", &fields).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/groups/1?state=exhausted&done=1", "{}", answer.body);
    assert_eq!(hospital.retries("Odoo").await[&1].0, 0);
    let page = hospital.page(answer.header("location")).await.body;
    assert!(page.contains("Retry requested for 1 event"), "{page}");
    assert!(page.contains("name=\"back\" value=\"/groups/1?state=exhausted\""), "{page}");
}

#[tokio::test]
async fn who_may_not_retry_is_offered_no_retry_in_the_rows_of_a_group() {
    let hospital = Hospital::with(&[of(1, "Bad response code of 404")], &[], "/atomfeed-console", |config| {
        config.access = Access { way: AuthMode::Accounts, ..Access::default() };
    })
    .await;
    hospital.followed().await;
    let seen_by = async |role| {
        let person = Person { role, ..Person::anybody() };
        hospital.page_as(&person, "/atomfeed-console/groups/1").await.body
    };
    assert!(seen_by(Role::Operator).await.contains("name=\"only\""));
    let viewer = seen_by(Role::Viewer).await;
    assert!(viewer.contains(" → Odoo") && !viewer.contains("name=\"only\""), "{viewer}");
}
