use std::collections::BTreeMap;

use super::*;
use crate::advice::advise;

const RUNTIME: &str = "java.lang.RuntimeException";
const LIMS: &str = "us.mn.state.health.lims.common.exception.LIMSRuntimeException";
const WEB: &str = "org.bahmni.webclients.WebClientsException";
const FRAME: &str = "org.bahmni.feed.openelis.feed.event.EncounterFeedWorker.process(EncounterFeedWorker.java:134)";

/// What differs from one occurrence to the next; all of it invented.
struct Variables {
    uuid: String,
    number: u64,
    name: &'static str,
    order: String,
}

fn variables() -> Vec<Variables> {
    let names =
        ["Test Person", "Ana O'Brien", "José Müller 2nd", "李 雷", "x", "Mc'Donald, Demo", "Person (7) of 9", "a: b"];
    let orders = ["ORD-1", "ORD-23890", "77", "EXT/2026/9", "4417ab02-77aa-4be1-9c40-90fe11d0c2a7"];
    (0..40_u64)
        .map(|index| Variables {
            uuid: format!(
                "{:08x}-{:04x}-4be1-9c40-{:012x}",
                index * 0x1357_9bdf % 0xffff_ffff,
                index * 577 % 0xffff,
                index * 0x1234_5677
            ),
            number: index * index * 37 + 1,
            name: names[index as usize % names.len()],
            order: orders[index as usize % orders.len()].to_owned(),
        })
        .collect()
}

/// The causes of a fault as class and message, outermost first.
type Causes = Vec<(&'static str, String)>;

/// Makes a fault from what differs.
type Make = fn(&Variables) -> Causes;

/// As in OpenELIS and most consumers: the outer exception says what the inner one said, with its class.
fn wrapped(class: &'static str, said: String) -> Causes {
    vec![(RUNTIME, format!("{class}: {said}")), (class, said)]
}

fn around(outer: &str, class: &'static str, said: String) -> Causes {
    vec![(RUNTIME, outer.to_owned()), (class, said)]
}

fn python(said: &str, line: u64) -> String {
    format!(
        "Traceback (most recent call last):\n  File \"/opt/odoo/odoo/http.py\", line {line}, in dispatch_rpc\n    result = method(params)\n\
               File \"/opt/bahmni-addons/order_save_service.py\", line {}, in create_orders\n    raise Warning(message)\nWarning: {said}",
        line + 9
    )
}

/// Every template of the catalogue, each a separate fault.
fn faults() -> Vec<(&'static str, Make)> {
    const POST: &str = "Post call to /api/bahmni-saleorder failed";
    const PACS: &str = "Failed send order to modality";
    const HL7: &str = "org.bahmni.module.pacsintegration.exception.HL7MessageException";
    const REST: &str = "org.bahmni.openerp.web.OdooRestException";
    const ODOO: &str = "org.bahmni.openerp.web.OpenERPException";
    fn post(v: &Variables) -> String {
        let to = ["saleorder", "customer", "drug", "lab-test"][v.number as usize % 4];
        format!("Post call to /api/bahmni-{to} failed")
    }
    vec![
        ("no patient", |v| {
            let said = format!("Patient with uuid '{}' not found in ELIS", v.uuid);
            vec![(RUNTIME, format!("{LIMS}: {said}")), (LIMS, said.clone()), (RUNTIME, said)]
        }),
        ("no test", |v| {
            wrapped(
                LIMS,
                format!(
                    "Test '{0}' was not setup properly. No external reference for Test with uuid '{0}' found in external_reference table",
                    v.uuid
                ),
            )
        }),
        ("no panel", |v| {
            wrapped(
                LIMS,
                format!(
                    "Panel '{0}' was not setup properly. No external reference for Panel with uuid '{0}' found in external_reference table",
                    v.uuid
                ),
            )
        }),
        ("no identifier", |v| {
            wrapped(LIMS, format!("Preferred or Primary identifier is not available for the patient: {}", v.name))
        }),
        ("test unknown", |v| {
            wrapped("us.mn.state.health.lims.LIMSException", format!("{} test doesn't exist", v.name))
        }),
        ("panel unknown", |v| {
            wrapped("us.mn.state.health.lims.LIMSException", format!("{} panel doesn't exist", v.name))
        }),
        ("panel not saved", |v| {
            wrapped("us.mn.state.health.lims.LIMSException", format!("Error while saving panel - {}", v.name))
        }),
        ("test not saved", |v| {
            wrapped("us.mn.state.health.lims.LIMSException", format!("Error while saving test - {}", v.name))
        }),
        ("no organization", |_| {
            wrapped(RUNTIME, "no property found for 'defaultOrganizationName' in site_information table".into())
        }),
        ("another setting", |_| {
            wrapped(RUNTIME, "no property found for 'defaultSampleSource' in site_information table".into())
        }),
        ("404", |_| wrapped(WEB, "Bad response code of 404".into())),
        ("403", |_| wrapped(WEB, "Bad response code of 403".into())),
        ("401", |_| wrapped(WEB, "Bad response code of 401".into())),
        ("500", |_| wrapped(WEB, "Bad response code of 500".into())),
        ("503", |_| wrapped(WEB, "Bad response code of 503".into())),
        ("read timed out", |_| {
            let mut causes = wrapped(WEB, "java.net.SocketTimeoutException: Read timed out".into());
            causes.push(("java.net.SocketTimeoutException", "Read timed out".into()));
            causes
        }),
        ("openmrs down", |v| {
            let mut causes = wrapped(
                WEB,
                format!(
                    "org.apache.http.conn.HttpHostConnectException: Connect to openmrs:8080 [openmrs/10.0.{}.8] failed: Connection refused",
                    v.number % 250
                ),
            );
            causes.push(("java.net.ConnectException", "Connection refused (Connection refused)".into()));
            causes
        }),
        ("openmrs on another port", |v| {
            wrapped(
                "org.apache.http.conn.HttpHostConnectException",
                format!("Connect to openmrs:8051 [openmrs/10.0.{}.8] failed: Connection refused", v.number % 250),
            )
        }),
        ("odoo down", |v| {
            around(
                &post(v),
                "org.apache.http.conn.HttpHostConnectException",
                format!("Connect to odoo:8069 [odoo/10.99.0.{}] failed: Connection refused", v.number % 250),
            )
        }),
        ("no login to openmrs", |_| wrapped(WEB, "Could not authenticate with OpenMRS".into())),
        ("second factor", |v| {
            wrapped(WEB, format!("Two factor authentication is enabled, user {} must log in", v.name))
        }),
        ("unknown field", |v| {
            wrapped(
                "org.codehaus.jackson.map.exc.UnrecognizedPropertyException",
                format!(
                    "Unrecognized field \"field{}\" (class org.bahmni.A), not marked as ignorable\n at [Source: java.io.StringReader@{:x}; line: 1, column: {}]",
                    v.number,
                    v.number * 7919,
                    v.number
                ),
            )
        }),
        ("a page came back", |v| {
            wrapped(
                "org.codehaus.jackson.JsonParseException",
                format!(
                    "Unexpected character ('<' (code 60)): expected a valid value (number, String, array, object, 'true', 'false' or 'null')\n at [Source: <html>{}</html>; line: 1, column: 2]",
                    v.name
                ),
            )
        }),
        ("no patient in odoo", |v| {
            around(&post(v), REST, "Error found in result. Response status: 417. Error message: Expectation Failed: Patient Id not found in Odoo".into())
        }),
        ("the same with another status", |v| {
            around(&post(v), REST, "Error found in result. Response status: 500. Error message: Expectation Failed: Patient Id not found in Odoo".into())
        }),
        ("odoo failed", |v| {
            around(
                &post(v),
                REST,
                "Error found in response. Response status: 200. Error message: Odoo Server Error".into(),
            )
        }),
        ("null", |v| around(&post(v), REST, "Response is null".into())),
        ("empty", |v| around(&post(v), REST, "Response is empty".into())),
        ("no login to odoo", |v| {
            wrapped(ODOO, format!("Failed to login. The login user is : emr{}, no session cookie set.", v.number))
        }),
        ("odoo slow", |v| {
            around(
                POST,
                "java.util.concurrent.TimeoutException",
                format!(
                    "Did not observe any item or terminal signal within {}ms in 'flatMap' (and no fallback has been configured)",
                    v.number
                ),
            )
        }),
        ("previous order", |v| {
            let said = python(
                "Previous order id does not exist in DB. This can be because of previous failed events",
                v.number,
            );
            vec![(ODOO, said.clone()), ("org.apache.xmlrpc.XmlRpcException", said)]
        }),
        ("no shop", |v| {
            let kind = ["Radiology Order", "Lab Order", "Drug Order", "Order 7"][v.number as usize % 4];
            let said =
                python(&format!("Can not process order. Order type:{kind} - should be matched to a shop"), v.number);
            vec![(ODOO, said.clone()), ("org.apache.xmlrpc.XmlRpcException", said)]
        }),
        ("saleable", |v| {
            wrapped(
                ODOO,
                format!("Error occurred while trying to process Saleable Event [tag:atomfeed.ict4h.org:{}]", v.uuid),
            )
        }),
        ("previous drug order", |_| wrapped(ODOO, "Failed to fetch previous drug order".into())),
        ("concept source", |v| {
            around(PACS, HL7, format!("Unable to create HL7 message. Missing concept source for order{}", v.uuid))
        }),
        ("nothing to cancel", |v| {
            around(PACS, HL7, format!("Unable to Cancel the Order. Previous order is not found{}", v.order))
        }),
        ("procedure code", |v| {
            around(
                PACS,
                "org.bahmni.module.pacsintegration.exception.ModalityException",
                modality(v, "AE", "unknown procedure code"),
            )
        }),
        ("another answer", |v| {
            around(
                PACS,
                "org.bahmni.module.pacsintegration.exception.ModalityException",
                modality(v, "AR", "no such application"),
            )
        }),
        ("modality down", |_| around(PACS, "java.net.ConnectException", "Connection refused".into())),
        ("no location", |v| {
            around(
                PACS,
                "org.bahmni.module.pacsintegration.exception.LocationResolutionException",
                format!("Encounter location cannot be null for order: {}", v.uuid),
            )
        }),
        ("crater", |_| vec![(RUNTIME, "Failed to fetch patient details".into())]),
        ("crater times out", |_| {
            around("Failed to fetch patient details", "java.net.SocketTimeoutException", "Read timed out".into())
        }),
        ("no concept", |v| {
            let of = if v.number % 2 == 0 { v.uuid.clone() } else { v.name.to_owned() };
            wrapped("org.openmrs.api.APIException", format!("Concept for lab test'{of}' not found in openmrs"))
        }),
        ("accession", |_| {
            wrapped(
                "org.bahmni.module.elisatomfeedclient.api.exception.OpenElisFeedException",
                "could not read accession data".into(),
            )
        }),
        ("a null somewhere", |_| {
            vec![(RUNTIME, "java.lang.NullPointerException".into()), ("java.lang.NullPointerException", "null".into())]
        }),
    ]
}

fn modality(v: &Variables, code: &str, said: &str) -> String {
    format!(
        "Unable to send the message to the modality \nModality{{id={}, name='{}', ip='dcm4chee', port=2575, timeout=3000}}\n\
             MSH|^~\\&|DCM|DEMO|B|D|2026{:04}||ACK^O01|{1}|P|2.5\rMSA|{code}|{2}|{said}",
        v.number % 9, v.name, v.number
    )
    .replace("ACK^O01|{1}", "ACK^O01|1")
}

/// As the library prints it into the retry log.
fn retry(causes: &Causes) -> String {
    let mut text = String::new();
    for (place, (class, message)) in causes.iter().enumerate() {
        text += &match place {
            0 => format!("{message}{class}: {message}\n"),
            _ => format!("Caused by: {class}: {message}\n"),
        };
        text += &format!("\tat {FRAME}\n\tat org.quartz.core.JobRunShell.run(JobRunShell.java:202)\n");
        if place > 0 {
            text += "\t... 5 more\n";
        }
    }
    text
}

/// As the library prints it into `failed_events`.
fn first(causes: &Causes, page: u64) -> String {
    format!(
        "Failed processing event in feed [http://openmrs:8080/openmrs/ws/atomfeed/encounter/{page}] \n{}",
        retry(causes)
    )
}

/// The first `end` bytes of a trace as a column of 4000 characters holds them: one more frame, as long as
/// necessary, in the first stack.
fn cut_by_the_column(whole: &str, end: usize) -> String {
    let stack = whole.find("\n\tat ").map_or(end, |at| at + 1).min(end);
    let (head, rest) = whole[..end].split_at(stack);
    let frame = |name: &str| format!("\tat org.example.A.{name}(A.java:1)\n");
    let missing = 4000 - whole[..end].chars().count() - frame("").len();
    format!("{head}{}{rest}", frame(&"x".repeat(missing)))
}

#[test]
fn two_causes_are_two_faults_though_their_texts_end_without_a_line_end() {
    let text = |cause: &str, class: &str| {
        format!(
            "Failed processing event in feed [http://openmrs:8080/openmrs/ws/atomfeed/encounter/7] \n\
                 Post call to /api/bahmni-saleorder failedjava.lang.RuntimeException: Post call to /api/bahmni-saleorder failed\n\
                 \tat {FRAME}\nCaused by: {class}: {cause}"
        )
    };
    let rest = "org.springframework.web.client.ResourceAccessException";
    let one = of(Some(&text("Timeout waiting for response", rest))).text;
    let other = of(Some(&text("No route to host", rest))).text;
    assert_eq!(one, "Timeout waiting for response");
    assert_ne!(one, other);
    // With the stack behind it, it is the same fault.
    let whole = format!("{}\n\tat {FRAME}\n\t... 9 more\n", text("Timeout waiting for response", rest));
    assert_eq!(of(Some(&whole)).text, one);
}

#[test]
fn one_group_a_fault_and_no_two_faults_in_one() {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (name, fault) in faults() {
        let mut of_fault = None;
        for variables in variables() {
            let causes = fault(&variables);
            for text in [first(&causes, variables.number), retry(&causes), retry(&causes).replace('\n', "\r\n")] {
                let text = of(Some(&text)).text;
                assert_eq!(of_fault.get_or_insert_with(|| text.clone()), &text, "{name} fell apart");
            }
        }
        if let Some(other) = of_fault.and_then(|text| seen.insert(text.clone(), name)) {
            panic!("{name} and {other} are taken for one fault");
        }
    }
}

#[test]
fn a_text_that_was_cut_anywhere_behind_its_message_tells_the_same_fault() {
    // Without any message, the code location identifies the fault, and that may be cut off.
    for (name, fault) in faults().into_iter().filter(|(name, _)| *name != "a null somewhere") {
        for (turn, variables) in variables().into_iter().take(8).enumerate() {
            let causes = fault(&variables);
            let whole = retry(&causes);
            let fingerprint = of(Some(&whole)).text;
            let wrapper = of(Some(&retry(&causes[..1].to_vec()))).text;
            let from = causes[0].1.len() * 2 + causes[0].0.len() + 3;
            // Every end of the first text; of the others a part each, because all would take a minute.
            let (first, step) = if turn == 0 { (from, 1) } else { (from + turn, 17) };
            for end in (first..whole.len()).step_by(step).filter(|end| whole.is_char_boundary(*end)) {
                let whole = cut_by_the_column(&whole, end);
                let cut = of(Some(&whole)).text;
                // If a cause is cut off, the text is in the group of the enclosing one, and never in a third. The
                // end of a modality's answer may be missing.
                let known = cut == fingerprint || cut == wrapper || name.contains("answer") || name == "procedure code";
                assert!(known, "{name} cut at {end}: {cut:?}, neither {fingerprint:?} nor {wrapper:?}\n{whole}");
            }
        }
    }
}

#[test]
fn a_title_is_readable_and_names_nobody() {
    for (_, fault) in faults() {
        for variables in variables() {
            let fingerprint = of(Some(&first(&fault(&variables), 7)));
            let title = fingerprint.title();
            assert!(!title.is_empty() && title.chars().count() <= TITLE_CHARS + 7, "{title}");
            assert!(!title.contains("Exception:") && !title.contains(&variables.uuid), "{title}");
            assert!(variables.name.len() < 3 || !fingerprint.text.contains(variables.name), "{}", fingerprint.text);
        }
    }
    let title = |text: &str| of(Some(text)).title();
    assert_eq!(
        title(
            "Error found in result. Response status: 417. Error message: Expectation Failed: Patient Id not found in Odoo"
        ),
        "Patient Id not found in Odoo (417)"
    );
    assert_eq!(
        title("Patient with uuid '4417ab02-77aa-4be1-9c40-90fe11d0c2a7' not found in ELIS"),
        "Patient with uuid '…' not found in ELIS"
    );
}

#[test]
fn the_advice_for_a_fault_can_be_found_by_its_fingerprint_alone() {
    for (name, fault) in faults() {
        let text = retry(&fault(&variables().remove(3)));
        let fingerprint = of(Some(&text)).text;
        assert_eq!(advise(&fingerprint), advise(&text), "{name}: {fingerprint}");
    }
}

#[test]
fn a_fingerprint_can_be_fingerprinted_again() {
    for (name, fault) in faults() {
        let once = of(Some(&first(&fault(&variables().remove(5)), 1)));
        assert_eq!(of(Some(&once.text)), once, "{name}");
    }
    assert_eq!(of(Some(NO_TEXT)).text, NO_TEXT);
}

#[test]
fn numbers_dates_addresses_and_identifiers_change_but_hosts_and_statuses_do_not() {
    for (text, fingerprint) in [
        ("Row 17 of 90,211 failed at 2026-11-24T10:32:07.5", "Row … of … failed at …"),
        (
            "GET http://openmrs:8080/openmrs/ws/atomfeed/patient/36?v=2 failed",
            "GET http://openmrs:8080/openmrs/ws/atomfeed/patient/…?v=… failed",
        ),
        ("Connect to 172.18.0.9:8080 failed", "Connect to …:8080 failed"),
        ("openmrs:8080 failed to respond", "openmrs:8080 failed to respond"),
        ("concept 1234AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA is retired", "concept … is retired"),
        ("object org.example.Thing@7f31245a", "object org.example.Thing@…"),
        ("Server returned HTTP response code: 503 for it", "Server returned HTTP response code: 503 for it"),
        ("404 Not Found", "404 Not Found"),
        ("at Thing.java:298 it broke", "at Thing.java:… it broke"),
        ("KeyError: 'uuid'", "KeyError: 'uuid'"),
        ("Name 'O'Brien' isn't here, it's 'x'", "Name '…' isn't here, it's '…'"),
        ("patient GAN203006 is double", "patient GAN… is double"),
    ] {
        assert_eq!(of(Some(text)).text, fingerprint, "{text}");
    }
}

#[test]
fn texts_without_a_sentence_are_told_by_class_and_place() {
    let at = |frame: &str, line: u32| {
        format!("nulljava.lang.NullPointerException\n\tat org.bahmni.a.{frame}({frame}.java:{line})\n")
    };
    let text = |frame, line| of(Some(&at(frame, line))).text;
    assert_eq!(text("Worker.process", 7), text("Worker.process", 9));
    assert_ne!(text("Worker.process", 7), text("Other.process", 7));
    assert_eq!(text("Worker.process", 7), "NullPointerException in Worker.process");
}

#[test]
fn whatever_the_text_is_there_is_a_fingerprint() {
    let long = "x1".repeat(3_000_000);
    let quotes = "'".repeat(200_000);
    let nested = "Caused by: a.B: ".repeat(20_000);
    for text in [
        "",
        " ",
        "\n\n",
        "\0",
        "Failed processing event in feed [",
        "Failed processing event in feed [http://x/1] \n",
        "null",
        "\u{202e}evil",
        "Caused by: ",
        "\tat x",
        "'",
        "…",
        &long,
        &quotes,
        &nested,
    ] {
        let fingerprint = of(Some(text));
        assert!(!fingerprint.text.trim().is_empty(), "{:?}", beginning(text, 40));
        assert!(fingerprint.text.chars().count() <= CHARS);
        assert!(!fingerprint.text.contains(['\0', '\n', '\u{202e}']));
    }
    for nothing in [None, Some(""), Some(" \n"), Some("Failed processing event in feed [http://x/1] \n")] {
        assert_eq!(of(nothing).text, NO_TEXT, "{nothing:?}");
    }
}
