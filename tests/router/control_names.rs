//! No two controls of a page have one name unless they do the same: users of screen readers hear names, not lines and
//! tables.

use std::collections::BTreeMap;

use super::hospital::{ENCOUNTERS, Hospital, PATIENTS, Row, row};

/// An element that is open while a page is read.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
}

impl Element {
    fn get(&self, attribute: &str) -> &str {
        self.attributes.get(attribute).map_or("", String::as_str)
    }
}

/// A control: its name, and what it does.
type Control = (String, String);

/// A form: its target, what it sends in addition to its button, and its buttons.
type Form = (String, Vec<String>, Vec<Control>);

/// Returns the controls of the main part of a page.
fn controls(html: &str) -> Vec<Control> {
    let main = html.split_once("<main").expect("a main part").1;
    let mut rest = main.split_once("</main>").expect("its end").0;
    rest = rest.split_once('>').expect("the end of its tag").1;
    let (mut open, mut found): (Vec<Element>, Vec<Control>) = (Vec::new(), Vec::new());
    // Its buttons are recorded at its end, when it is known what it sends.
    let mut form: Option<Form> = None;
    while let Some(at) = rest.find('<') {
        let text = unescaped(&rest[..at]);
        open.iter_mut().for_each(|element| element.text.push_str(&text));
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!") {
            rest = comment.split_once('>').expect("the end of a comment").1;
            continue;
        }
        let (tag, after) = tag(rest);
        rest = after;
        if let Some(name) = tag.name.strip_prefix('/') {
            while let Some(element) = open.pop() {
                let last = element.name == name;
                close(element, &open, &mut form, &mut found);
                if last {
                    break;
                }
            }
            continue;
        }
        let void = matches!(tag.name.as_str(), "input" | "br" | "img" | "hr" | "meta" | "link" | "wbr");
        let drawn = matches!(tag.name.as_str(), "path" | "rect" | "line" | "use" | "circle") && tag.get("/") == "/";
        if tag.name == "form" {
            form = Some((tag.get("action").to_owned(), Vec::new(), Vec::new()));
        }
        if tag.name == "input" && tag.get("type") == "hidden" {
            if let Some((_, fields, _)) = form.as_mut().filter(|_| tag.get("name") != "form_token") {
                fields.push(format!("{}={}", tag.get("name"), tag.get("value")));
            }
        } else if tag.name == "input" && tag.get("type") == "checkbox" && !tag.get("aria-label").is_empty() {
            found.push((tag.get("aria-label").to_owned(), format!("box {} {}", tag.get("name"), tag.get("value"))));
        }
        if !void && !drawn {
            open.push(tag);
        }
    }
    found
}

/// Records what an element is, at its end.
fn close(element: Element, open: &[Element], form: &mut Option<Form>, found: &mut Vec<Control>) {
    let said = if element.get("aria-label").is_empty() { &element.text } else { element.get("aria-label") };
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    // Filled by the browser's script once there is something to say.
    if said.is_empty() && element.attributes.contains_key("hidden") {
        return;
    }
    let place = open.len() + found.len() + form.as_ref().map_or(0, |(.., buttons)| buttons.len());
    match element.name.as_str() {
        "a" if !element.get("href").is_empty() => found.push((said, element.get("href").to_owned())),
        "summary" => found.push((said, format!("opens {place}"))),
        "button" => {
            let of = |attribute| element.get(attribute).to_owned();
            let does = ["formaction", "form", "name", "value", "data-copy", "data-copy-from"].map(of).join(" ");
            match form {
                Some((.., buttons)) => buttons.push((said, does)),
                None => found.push((said, does)),
            }
        }
        "form" => {
            if let Some((action, fields, buttons)) = form.take() {
                let sent = fields.join(" ");
                found.extend(buttons.into_iter().map(|(said, does)| (said, format!("{action} {sent} {does}"))));
            }
        }
        _ => {}
    }
}

/// Returns a tag, and what follows it.
fn tag(html: &str) -> (Element, &str) {
    let mut element = Element::default();
    let mut rest = &html[1..];
    let end = rest.find(|letter: char| letter.is_whitespace() || letter == '>').expect("the end of a name");
    element.name = rest[..end].to_owned();
    rest = &rest[end..];
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('>') {
            return (element, after);
        }
        let end = rest.find(|letter: char| letter.is_whitespace() || "=>".contains(letter)).expect("an attribute");
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let mut value = name.clone();
        if let Some(quoted) = rest.strip_prefix("=\"") {
            let (found, after) = quoted.split_once('"').expect("the end of a value");
            value = unescaped(found);
            rest = after;
        }
        element.attributes.insert(name, value);
    }
}

fn unescaped(text: &str) -> String {
    let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    signs.iter().fold(text.to_owned(), |text, (written, sign)| text.replace(written, sign))
}

/// Returns the names that controls with different effects share.
fn doubled(html: &str) -> Vec<String> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut doubled = Vec::new();
    for (name, does) in controls(html) {
        assert!(!name.is_empty(), "a control without a name does {does}");
        if known.get(&name).is_some_and(|other| *other != does) {
            doubled.push(name.clone());
        }
        known.insert(name, does);
    }
    doubled
}

/// Failed events with one error, two of them of one record, in several feeds and states, with failed retries.
fn rows() -> Vec<Row> {
    (1..=8)
        .map(|id| {
            let mut row = row(id, "2026-11-20 08:00:00");
            row.error =
                "java.lang.RuntimeException: Post call failed\nCaused by: org.bahmni.E: Bad response code of 500\n\
                         \tat org.bahmni.A.b(A.java:1)\n\tat org.springframework.C.d(C.java:2)"
                    .into();
            if id % 2 == 0 {
                row.feed = PATIENTS;
            }
            if id > 6 {
                row.payload = rows_record();
                row.retries = 1;
            }
            if id == 3 {
                row.error = "Another error".into();
            }
            row
        })
        .collect()
}

fn rows_record() -> String {
    "/openmrs/ws/rest/v1/patient/30000000-0000-4000-8000-000000000001?v=full".to_owned()
}

#[tokio::test]
async fn no_two_controls_of_a_page_have_one_name_unless_they_do_the_same() {
    let hospital = Hospital::new(&rows(), &rows()).await;
    let event = |id: i64| row(id, "").event;
    for (id, at) in [(1, "2026-11-20 09:00:00"), (2, "2026-11-20 10:00:00"), (3, "2026-11-20 11:00:00")] {
        hospital.log("Odoo", ENCOUNTERS, (id, at, format!("Bad response code of 50{id}"), event(1))).await;
    }
    hospital.followed().await;
    let form = async |path: &str, fields: &[(&str, &str)]| {
        let answer = hospital.form(&format!("/atomfeed-console/api/{path}"), fields).await;
        assert!(answer.status.is_redirection(), "{path}: {}", answer.body);
    };
    // Two running retries, two discards, plans, and deleted rows.
    form("retry", &[("rows[]", "odoo:1:5"), ("rows[]", "odoo:2:5"), ("rows[]", "openelis:1:5")]).await;
    form("plan_operation", &[("kind", "discard"), ("rows[]", "odoo:4:5"), ("rows[]", "odoo:5:5")]).await;
    form("start_operation", &[("id", "2"), ("reason", "test")]).await;
    form("plan_operation", &[("kind", "retry"), ("query", "app=openelis&state=exhausted")]).await;
    form("plan_operation", &[("kind", "discard"), ("rows[]", "odoo:6:5")]).await;
    form("start_operation", &[("id", "4"), ("reason", "test")]).await;
    form("retry", &[("rows[]", "odoo:3:5")]).await;
    hospital.execute("OpenELIS", "DELETE FROM failed_events WHERE id IN (5, 6)").await;
    hospital.followed().await;
    let mut found: Vec<String> = Vec::new();
    for path in [
        "",
        "/applications",
        "/applications/odoo",
        "/failed-events",
        "/failed-events?app=odoo&state=exhausted&sort=id-up",
        "/failed-events?q=Bad+response",
        "/failed-events?by=cause",
        "/failed-events/odoo/1",
        "/failed-events/odoo/8",
        "/failed-events/openelis/5",
        "/groups",
        "/groups/1",
        "/operations",
        "/operations/1",
        "/operations/2",
        "/operations/3",
        "/operations/4",
        "/discarded",
        "/history",
        "/history/1",
        "/search?q=Bad+response",
        "/help",
        "/account",
        "/audit",
    ] {
        let page = hospital.page(&format!("/atomfeed-console{path}")).await;
        assert_eq!(page.status.as_u16(), 200, "{path}: {}", page.body);
        found.extend(doubled(&page.body).into_iter().map(|name| format!("{path}: {name}")));
    }
    assert_eq!(found, [""; 0]);
}

/// Otherwise the test above could pass because nothing is found.
#[test]
fn controls_of_one_name_are_found_out() {
    let page = "<main id=\"x\"><a href=\"/a\">Open <span class=\"unseen\">one</span></a><a href=\"/b\">Open <!>one</a>\
                <form action=\"/f\"><input type=\"hidden\" name=\"form_token\" value=\"1\"/><button name=\"k\" value=\"1\">Go</button></form>\
                <form action=\"/f\"><input type=\"hidden\" name=\"form_token\" value=\"2\"><button name=\"k\" value=\"1\">Go</button></form>\
                <form action=\"/f\"><input type=\"hidden\" name=\"id\" value=\"2\"><button name=\"k\" value=\"1\">Go</button></form>\
                <details><summary>More</summary></details><details><summary>More</summary></details></main>";
    assert_eq!(doubled(page), ["Open one", "Go", "More"]);
}
