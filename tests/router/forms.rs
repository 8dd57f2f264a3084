//! The main task as a browser without JavaScript does it: a form, a redirect, a page that reports the result.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};

use super::hospital::{Answer, Hospital, Row, row};

const RETRY: &str = "/atomfeed-console/api/retry";

fn three() -> [Row; 3] {
    [row(1, "2026-11-20 08:00:00.123456"), row(2, "2026-11-20 09:00:00"), row(3, "2026-11-20 10:00:00")]
}

#[tokio::test]
async fn one_row_is_retried_and_nothing_else_changes() {
    let hospital = Hospital::new(&three(), &three()).await;
    let answer = hospital
        .form(
            RETRY,
            &[("only", "odoo:1:5"), ("rows[]", "odoo:2:5"), ("back", "/failed-events?app=odoo&state=exhausted")],
        )
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    assert_eq!(answer.header("location"), "/atomfeed-console/failed-events?app=odoo&state=exhausted&done=1#here");

    let odoo = hospital.retries("Odoo").await;
    assert_eq!(odoo[&1], (0, Some("2026-11-20 08:00:00.123456".into())), "reset, and failed_at as it was");
    assert_eq!((odoo[&2].0, odoo[&3].0), (5, 5));
    assert!(hospital.retries("OpenELIS").await.values().all(|(retries, _)| *retries == 5), "the same id elsewhere");

    let list = hospital.page(answer.header("location")).await;
    assert!(list.body.contains("/atomfeed-console/operations/1"), "the list says what was done");
    assert!(!list.body.contains("No. 1 did not work") && list.body.contains("No. 2 did not work"), "the filter stays");
    let operation = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
    assert_eq!((operation.counts.asked, operation.counts.reset, operation.who.as_str()), (1, 1, "anybody"));
    assert!(hospital.page("/atomfeed-console/operations").await.body.contains("/operations/1"));
}

#[tokio::test]
async fn whoever_retries_a_row_comes_back_to_its_place_on_the_list() {
    let hospital = Hospital::new(&three(), &[]).await;
    let back = "/failed-events?app=odoo&state=exhausted&sort=oldest&at=7";
    let answer = hospital.form(&format!("{RETRY}?at=1"), &[("only", "odoo:2:5"), ("back", back)]).await;
    let list = "/atomfeed-console/failed-events?app=odoo&state=exhausted&sort=oldest&at=1&done=1";
    assert_eq!(answer.header("location"), format!("{list}#here"));
    // The row no longer matches the filter: the place is the row that is now where it was.
    let page = hospital.page(list).await.body;
    let here = page.split("id=\"here\"").nth(1).expect("a place");
    assert!(here.split("</tr>").next().is_some_and(|row| row.contains("/failed-events/odoo/3?")), "{page}");
    // If it is still on the list, the place is the row itself.
    let page = hospital.page("/atomfeed-console/failed-events?app=odoo&sort=oldest&at=0&done=1").await.body;
    let here = page.split("id=\"here\"").nth(1).expect("a place");
    assert!(here.split("</tr>").next().is_some_and(|row| row.contains("/failed-events/odoo/2?")), "{page}");
    assert_eq!(page.matches("id=\"here\"").count(), 1);
}

#[tokio::test]
async fn selected_rows_of_several_applications_are_retried_together() {
    let hospital = Hospital::new(&three(), &three()).await;
    let fields = [
        ("rows[]", "odoo:1:5"),
        ("rows[]", "openelis:3:5"),
        ("rows[]", "odoo:1:5"),
        ("only", ""),
        ("reason", " Odoo is back "),
    ];
    let answer = hospital.form(RETRY, &fields).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/operations/1", "without a way back: the operation itself");
    assert_eq!(hospital.retries("Odoo").await[&1].0, 0);
    assert_eq!(hospital.retries("OpenELIS").await[&3].0, 0);
    let operation = hospital.console.parts.store.operation(1).await.unwrap().unwrap();
    assert_eq!((operation.counts.asked, operation.counts.reset), (2, 2), "a row named twice is one row");
    assert_eq!(operation.reason.as_deref(), Some("Odoo is back"));
    let page = hospital.page("/atomfeed-console/operations/1").await;
    assert!(page.body.contains("00000000-0000-4000-8000-000000000003"), "the record names the event, not only its id");
}

#[tokio::test]
async fn what_changed_or_went_meanwhile_is_left_alone_and_said() {
    let hospital = Hospital::new(&three(), &[]).await;
    hospital
        .execute("Odoo", "UPDATE failed_events SET retries = 3 WHERE id = 2; DELETE FROM failed_events WHERE id = 3")
        .await;
    let answer = hospital.form(RETRY, &[("rows[]", "odoo:1:5"), ("rows[]", "odoo:2:5"), ("rows[]", "odoo:3:5")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let counts = hospital.console.parts.store.operation(1).await.unwrap().unwrap().counts;
    assert_eq!((counts.reset, counts.changed, counts.gone), (1, 1, 1));
    let now = hospital.retries("Odoo").await;
    assert_eq!((now[&1].0, now[&2].0), (0, 3));
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let hospital = Hospital::new(&three(), &[]).await;
    for origin in ["http://evil.example", "null", "http://console.test:81"] {
        let answer = hospital.form_from(origin, RETRY, &[("only", "odoo:1:5")]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
        assert!(answer.body.contains("Nothing was changed") && answer.body.contains("<nav"), "{}", answer.body);
    }
    assert_eq!(hospital.retries("Odoo").await[&1].0, 5);
    assert_eq!(hospital.console.parts.store.operations(None, 10, None).await.unwrap(), []);
}

#[tokio::test]
async fn a_form_that_means_nothing_gets_a_page_and_changes_nothing() {
    let hospital = Hospital::new(&three(), &[]).await;
    for (fields, status, words) in [
        (&[("back", "/failed-events")][..], 400, "No failed event is selected"),
        (&[("only", "odoo")], 400, "does not name a failed event"),
        (&[("only", "nowhere:1:5")], 404, "There is no application"),
    ] {
        let answer = hospital.form(RETRY, fields).await;
        assert_eq!(answer.status.as_u16(), status, "{fields:?}");
        assert!(answer.body.contains(words) && answer.body.contains("<nav"), "{fields:?}: {}", answer.body);
    }
    assert_eq!(hospital.console.parts.store.operations(None, 10, None).await.unwrap(), []);
    let huge = "x".repeat(2 << 20);
    let answer = hospital.form(RETRY, &[("reason", &huge)]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.body.contains("The request is too large") && answer.body.contains("<nav"), "{}", answer.body);
    assert!(answer.body.contains("the limit is 1 MB"), "whatever the form is of: {}", answer.body);
    let crafted = hospital.form(PLAN, &[("kind", "retry"), ("rows", "x")]).await;
    assert_eq!(crafted.status, StatusCode::BAD_REQUEST, "{}", crafted.body);
    assert!(crafted.body.contains("The form was not understood"), "{}", crafted.body);
    assert!(!crafted.body.contains("expected a"), "in no words of a library: {}", crafted.body);
}

#[tokio::test]
async fn the_way_back_never_leads_to_another_site() {
    let hospital = Hospital::new(&three(), &[]).await;
    for (number, back) in
        ["//evil.example", "https://evil.example/", "/\\evil.example", "evil", "/a\r\nSet-Cookie: x=1", ""]
            .into_iter()
            .enumerate()
    {
        let answer = hospital.form(RETRY, &[("only", "odoo:1:5"), ("back", back)]).await;
        assert_eq!(answer.header("location"), format!("/atomfeed-console/operations/{}", number + 1), "{back:?}");
        assert_eq!(answer.header("set-cookie"), "");
    }
}

#[tokio::test]
async fn a_read_only_application_takes_no_retry_and_says_why() {
    let hospital =
        Hospital::with(&three(), &[], "/atomfeed-console", |config| config.applications[0].info.read_only = true).await;
    let answer = hospital.form(RETRY, &[("only", "odoo:1:5")]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("No action is allowed on Odoo"), "{}", answer.body);
    assert_eq!(hospital.retries("Odoo").await[&1].0, 5);
    let list = hospital.page("/atomfeed-console/failed-events").await;
    assert!(!list.body.contains("value=\"odoo:1:5\">Retry"), "no button that would only be refused");
}

const PLAN: &str = "/atomfeed-console/api/plan_operation";
const START: &str = "/atomfeed-console/api/start_operation";
const TURN: &str = "/atomfeed-console/api/turn_operation";

/// Returns the fields of a page's form that its button with this text would send, as a browser does.
fn fields_of(page: &str, button: &str) -> Vec<(String, String)> {
    let form = page.split("<form").find(|form| form.contains(button)).expect("the form of the button");
    let form = form.split("</form>").next().unwrap_or_default();
    let pressed = form.split("<button").find(|tag| tag.contains(button)).unwrap_or_default();
    // A button can belong to a form elsewhere on the page.
    let named = pressed.split(" form=\"").nth(1).and_then(|rest| rest.split('"').next());
    let form = named.map_or(form, |id| {
        let named = page.split("<form").find(|form| form.contains(&format!("id=\"{id}\"")));
        named.and_then(|form| form.split("</form>").next()).expect("the form that the button names")
    });
    let attribute = |tag: &str, name: &str| {
        let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
        Some(value.replace("&amp;", "&"))
    };
    let hidden = form.split("<input").filter(|tag| tag.contains("type=\"hidden\"") && !tag.contains("form_token"));
    let mut fields: Vec<(String, String)> =
        hidden.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))).collect();
    fields.extend(attribute(pressed, "name").zip(attribute(pressed, "value")));
    fields
}

#[tokio::test]
async fn everything_can_be_retried_and_discarded_from_the_list_without_a_filter() {
    let hospital = Hospital::new(&three(), &three()).await;
    for (number, list) in
        ["/atomfeed-console/failed-events", "/atomfeed-console/failed-events?sort=oldest"].into_iter().enumerate()
    {
        let page = hospital.page(list).await;
        for (button, kind) in [("Retry all", "retry"), ("Discard all", "discard")] {
            let fields = fields_of(&page.body, button);
            assert!(fields.contains(&("kind".to_owned(), kind.to_owned())), "{fields:?}");
            // An order is no filter.
            let query = list.split_once('?').map_or("", |(_, query)| query);
            assert!(fields.contains(&("query".to_owned(), query.to_owned())), "everything: {fields:?}");
            let fields: Vec<(&str, &str)> = fields.iter().map(|(key, value)| (&**key, &**value)).collect();
            let answer = hospital.form(PLAN, &fields).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{list}, {button}: {}", answer.body);
            let id = 2 * number as i64 + if kind == "retry" { 1 } else { 2 };
            let plan = hospital.console.parts.store.operation(id).await.unwrap().unwrap();
            assert_eq!(plan.counts.asked, 6, "{list}, {button}");
        }
    }
}

#[tokio::test]
async fn a_mistake_in_a_form_comes_back_on_the_page_that_it_was_sent_from() {
    let hospital = Hospital::new(&three(), &three()).await;
    let list = "/failed-events?app=odoo&state=exhausted";
    // Nothing is ticked, with either button of the list.
    for (to, fields) in [(RETRY, vec![("back", list)]), (PLAN, vec![("back", list), ("kind", "discard")])] {
        let answer = hospital.form(to, &fields).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
        let body = &answer.body;
        assert!(body.contains("No failed event is selected.") && body.contains("id=\"field-rows\""), "{body}");
        assert!(body.contains("No. 1 did not work") && body.contains("value=\"odoo:3:5\""), "the list is still there");
        assert!(
            body.contains("app=odoo&amp;state=exhausted") && !body.contains("was not understood"),
            "and its filter"
        );
    }
    // Ticked rows stay ticked.
    hospital.execute("Odoo", "UPDATE failed_events SET retries = 0 WHERE id = 1").await;
    let fields = [("back", list), ("kind", "retry"), ("rows[]", "odoo:2:5"), ("rows[]", "nonsense")];
    let answer = hospital.form(PLAN, &fields).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let row = |value: &str| {
        let tag = answer.body.split("<input").find(|tag| tag.contains(value)).expect("a box");
        tag.split('>').next().unwrap_or_default().to_owned()
    };
    assert!(row("odoo:2:5").contains(" checked"), "{}", row("odoo:2:5"));
    assert!(!row("odoo:3:5").contains(" checked"), "{}", row("odoo:3:5"));
    // Discarded events.
    let answer = hospital.form(PLAN, &[("back", "/discarded"), ("kind", "restore")]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.body.contains("No discarded event is selected.") && answer.body.contains("<h1>Discarded"));
    // An invalid page, or one of another site: the problem is a page itself.
    for back in ["//evil.example/", "/api/retry", ""] {
        let answer = hospital.form(RETRY, &[("back", back)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.body.contains("No failed event is selected."), "{back}: {}", answer.body);
    }
}

#[tokio::test]
async fn what_was_typed_into_a_plan_comes_back_with_the_message() {
    let hospital = Hospital::new(&three(), &[]).await;
    let list = "/failed-events?app=odoo";
    let made = hospital.form(PLAN, &[("kind", "retry"), ("query", "app=odoo"), ("back", list)]).await;
    let plan = made.header("location").to_owned();
    let page = hospital.page(&plan).await;
    assert!(page.body.contains("Maximum per minute"), "{}", page.body);
    let here = plan.strip_prefix("/atomfeed-console").unwrap();
    let fields =
        [("id", "1"), ("reason", "Odoo <is> back"), ("per_minute", "twelve"), ("try_first", "2"), ("back", here)];
    let answer = hospital.form(START, &fields).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let body = &answer.body;
    assert!(body.contains("The maximum per minute must be a whole number."), "{body}");
    for kept in ["value=\"Odoo &lt;is&gt; back\"", "value=\"twelve\"", "value=\"2\"", "href=\"#field-per_minute\""] {
        assert!(body.contains(kept), "{kept}: {body}");
    }
    // And a cancelled plan leads back to the list that it was made from.
    let cancel = fields_of(&page.body, "Cancel");
    let cancel: Vec<(&str, &str)> = cancel.iter().map(|(key, value)| (&**key, &**value)).collect();
    let answer = hospital.form(TURN, &cancel).await;
    assert_eq!(answer.header("location"), "/atomfeed-console/failed-events?app=odoo");
}

const NOTE: &str = "/atomfeed-console/api/write_note";

/// Sends a form as a browser with this cookie does, and does not follow the redirect.
async fn send_form(hospital: &Hospital, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut body = format!("form_token={}", hospital.form_token(cookie).await);
    fields.iter().for_each(|(key, value)| atomfeed_console::model::filter::push(&mut body, key, value));
    let request = Request::post(path)
        .header(header::HOST, "console.test")
        .header(header::ORIGIN, "http://console.test")
        .header(header::COOKIE, cookie)
        .header(header::ACCEPT, "text/html,*/*;q=0.8")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    hospital.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_refused_form_leads_to_its_page_which_can_be_reloaded() {
    let hospital = Hospital::new(&three(), &[]).await;
    let cookie = async || {
        let page = hospital.page("/atomfeed-console/help").await;
        page.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
    };
    let own = cookie().await;
    let list = "/failed-events?app=odoo&done=4&refused=old";
    let answer = send_form(&hospital, &own, RETRY, &[("back", list), ("rows[]", "nonsense")]).await;
    let way = answer.header("location").to_owned();
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    assert!(way.starts_with("/atomfeed-console/failed-events?app=odoo&refused="), "{way}");
    assert_eq!(way.matches("refused").count(), 1, "{way}");
    for _ in 0..2 {
        let page = hospital.page_with(&own, &way).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.body.contains("does not name a failed event"), "{}", page.body);
        assert!(page.body.contains("No. 1 did not work") && !page.body.contains("refused="), "no link has it");
    }
    let anew = hospital.page_with(&own, &format!("{way}&live=1")).await;
    assert_eq!(anew.status, StatusCode::OK, "an open page goes on");
    assert!(anew.body.contains("does not name a failed event"));
    for (cookie, way) in [(&cookie().await, way.as_str()), (&own, "/atomfeed-console/failed-events?refused=x")] {
        let page = hospital.page_with(cookie, way).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.body.contains("does not name a failed event"), "only for who sent it: {}", page.body);
    }
    // A browser that keeps no cookies cannot send a form; an unknown function has no page.
    let huge = "x".repeat(300_000);
    let answer = send_form(&hospital, &own, RETRY, &[("back", list), ("reason", &huge)]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "what is too large to keep is shown at once");
    assert!(answer.body.contains("No failed event is selected."), "{}", answer.body);
}

#[tokio::test]
async fn a_form_of_an_earlier_session_comes_back_with_what_was_typed() {
    let hospital = Hospital::new(&three(), &[]).await;
    hospital.followed().await;
    let page = hospital.page("/atomfeed-console/help").await;
    let cookie = page.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    let send = async |origin: bool| {
        let mut request = Request::post(NOTE)
            .header(header::HOST, "console.test")
            .header(header::COOKIE, &cookie)
            .header(header::ACCEPT, "text/html,*/*;q=0.8")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if origin {
            request = request.header(header::ORIGIN, "http://console.test");
        }
        let body = "form_token=of-another-session&fault=1&seen=0&what=Odoo+is+slow&todo=Ask+Asha";
        hospital.send(request.body(Body::from(body)).unwrap()).await
    };
    let answer = send(true).await;
    let way = answer.header("location");
    assert!(way.starts_with("/atomfeed-console/groups/1?refused="), "{way} {}", answer.body);
    let page = hospital.page_with(&cookie, way).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    for part in ["This form is not from this console", ">Odoo is slow</textarea>", ">Ask Asha</textarea>"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert_eq!(send(false).await.status, StatusCode::FORBIDDEN, "it may be of another site");
}

#[tokio::test]
async fn an_address_has_no_parameters_without_a_value() {
    let hospital = Hospital::new(&three(), &[]).await;
    for (asked, to) in [
        ("/failed-events?app=odoo&state=&since=&q=&feed=", "/failed-events?app=odoo"),
        ("/failed-events?q=", "/failed-events"),
        ("/failed-events?app=&q=a%26b&sort=newest", "/failed-events?q=a%26b&sort=newest"),
        ("/history?app=odoo&days=&find=", "/history?app=odoo"),
        ("/search?q=", "/search"),
        ("?a=", ""),
    ] {
        let answer = hospital.page(&format!("/atomfeed-console{asked}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{asked}");
        assert_eq!(answer.header("location"), format!("/atomfeed-console{to}"), "{asked}");
    }
    for fine in ["/failed-events?app=odoo&q=a%3D", "/failed-events?q=a=", "/failed-events?nothing"] {
        assert_eq!(hospital.page(&format!("/atomfeed-console{fine}")).await.status, StatusCode::OK, "{fine}");
    }
}
