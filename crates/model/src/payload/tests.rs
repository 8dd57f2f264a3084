use super::*;

#[test]
fn a_reference_names_the_record_and_nothing_else() {
    let uuid = "4417ab02-77aa-4be1-9c40-90fe11d0c2a7";
    let old = "1063AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (payload, kept) in [
        (
            format!("/openmrs/ws/rest/v1/bahmnicore/bahmniencounter/{uuid}?includeAll=true&name=Asha"),
            format!("/bahmniencounter/{uuid}"),
        ),
        (format!("/openmrs/ws/rest/v1/concept/{old}"), format!("/{old}")),
        ("/openmrs/ws/rest/v1/patient?name=Asha".into(), "/patient".into()),
        (format!("{{\"name\":\"Asha\",\"uuid\":\"{uuid}\"}}"), format!("{{\"uuid\":\"{uuid}\"}}")),
        (format!("Asha <x> {uuid}"), format!("{{\"uuid\":\"{uuid}\"}}")),
    ] {
        let found = reference(&payload).unwrap();
        assert_eq!(found, kept);
        assert_eq!(record_uuid(&found), record_uuid(&payload));
        assert_eq!(record_kind(&found), record_kind(&payload));
    }
    for payload in [
        "",
        "/openmrs/Asha/Devi",
        "MSH|^~\\&|Asha",
        "{\"uuid\":\"A\"}",
        "http://h/patient/Asha",
        "{\"uuid\":\"AshaDevi1987\"}",
        "{\"uuid\":\"Asha-Devi-1987\"}",
        "{\"uuid\":\"9876543210\"}",
        "/openmrs/AshaDevi0000000000000000000000000000",
        "/openmrs/98765432101234567890123456789012345B",
    ] {
        assert_eq!(reference(payload), None, "{payload}");
    }
    let named = "/openmrs/patient/AshaDeviOfWard7000000000000000000000";
    assert_eq!(reference(named).as_deref(), Some("/patient"), "{named}");
}

const UUID: &str = "4417ab02-77aa-4be1-9c40-90fe11d0c2a7";

fn note(text: &str) -> String {
    match parse(text) {
        Payload::Text { note: Some(note), text: kept } => {
            assert_eq!(kept, text, "the text stays whole");
            note
        }
        other => panic!("expected a text with a note, found {other:?}"),
    }
}

fn plain(text: &str) -> bool {
    parse(text) == Payload::Text { text: text.to_owned(), note: None }
}

fn parsed_json(text: &str) -> Json {
    match parse(text) {
        Payload::Json(json) => json,
        other => panic!("expected JSON, found {other:?}"),
    }
}

#[test]
fn a_path_names_its_record_and_keeps_its_query() {
    let path = format!("/openmrs/ws/rest/v1/patient/{UUID}?v=full");
    let Payload::Path(found) = parse(&path) else { panic!("{path}") };
    assert_eq!(found.path, format!("/openmrs/ws/rest/v1/patient/{UUID}"));
    assert_eq!(found.query.as_deref(), Some("v=full"));
    assert_eq!(found.record.as_deref(), Some(UUID));
}

#[test]
fn only_a_path_or_an_http_address_is_a_link() {
    for good in ["/a", "/openmrs/x?y=z&w=1#h", "http://openmrs:8080/x", "https://h", "HTTP://h/x", "http://[::1]:80/"] {
        assert_eq!(link(good), Some(good));
    }
    let bad = [
        "",
        "//evil.example",
        "/\\evil.example",
        "/a b",
        "/a\n",
        "/\0",
        "javascript:alert(1)",
        "data:text/html,x",
        "http://",
        "http:///x",
        "http://openmrs@evil.example/",
        "http://:80/",
        "ftp://h/x",
        "/a<b",
        "/a\"b",
        "/\u{202e}drowssap",
        "/\u{200b}",
        "http:/h",
        "\u{85}/a",
        "mailto:a@b",
        "relative/path",
    ];
    for bad in bad {
        assert_eq!(link(bad), None, "{bad:?}");
    }
}

#[test]
fn json_numbers_are_exact_and_members_keep_their_order() {
    let json = parsed_json(r#" {"z":12345678901234567890123,"a":1.0,"a":1E400,"t":[true,null,-0]} "#);
    let number = |text: &str| Json::Number(text.to_owned());
    assert_eq!(
        json,
        Json::Object(vec![
            ("z".into(), number("12345678901234567890123")),
            ("a".into(), number("1.0")),
            ("a".into(), number("1E400")),
            ("t".into(), Json::Array(vec![Json::Bool(true), Json::Null, number("-0")])),
        ])
    );
}

#[test]
fn json_texts_are_unescaped_also_in_names() {
    assert_eq!(
        parsed_json(r#"{"a\u0062":"\u0000<script>"}"#),
        Json::Object(vec![("ab".into(), Json::String("\0<script>".into()))])
    );
}

#[test]
fn what_is_cut_or_broken_stays_text_with_the_reason() {
    assert!(note(r#"{"name":"ECHO","status":"act"#).contains("before it is complete"));
    assert!(note("{'name': 1}").starts_with("This looks like JSON"));
    assert!(note("<patient><name>").starts_with("This looks like XML"));
    assert!(note(r#"["\ud800"]"#).contains("JSON"));
}

#[test]
fn hostile_nesting_and_size_are_refused_and_not_followed() {
    assert!(note(&"[".repeat(100_000)).contains("before it is complete"));
    assert!(note(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).contains("deeper"));
    assert!(note(&format!("{}{}", "{\"a\":".repeat(100) + "1", "}".repeat(100))).contains("deeper"));
    assert!(note(&format!("{}{}", "<a>".repeat(1_000), "</a>".repeat(1_000))).contains("deeper"));
    assert!(note(&format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000))).contains("parts"));
    assert!(note(&format!("[{}1]", "1,".repeat(PARTS))).contains("parts"));
    assert!(note(&format!("[\"{}\"]", "x".repeat(BYTES))).contains("longer"));
}

#[test]
fn an_entity_bomb_is_refused() {
    let bomb = r#"<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>"#;
    assert!(note(bomb).contains("document type"));
}

#[test]
fn xml_becomes_a_tree_with_names_as_written() {
    let xml = r#"<?xml version="1.0"?>
            <o:order xmlns:o="urn:example" o:id="7"><!-- why -->
              <name>ECHO &amp; more</name><empty/>
            </o:order>"#;
    let Payload::Xml(order) = parse(xml) else { panic!("no XML") };
    assert_eq!(order.name, "o:order");
    assert_eq!(order.attributes, [("o:id".to_owned(), "7".to_owned())]);
    let leaf = |name: &str, children| Content::Element(Element { name: name.into(), attributes: vec![], children });
    assert_eq!(
        order.children,
        [
            Content::Comment("why".into()),
            leaf("name", vec![Content::Text("ECHO & more".into())]),
            leaf("empty", vec![]),
        ]
    );
}

#[test]
fn hl7_falls_into_segments_fields_and_components() {
    let Payload::Hl7(segments) = parse("MSH|^~\\&|BAHMNI||DCM\rPID|1||P1^^^X~P2||Person^Test\r\n") else {
        panic!("no HL7")
    };
    assert_eq!(segments.len(), 2);
    let field = |segment: usize, at: usize| {
        let field = &segments[segment].fields[at];
        (field.number, field.repetitions.iter().map(|parts| parts.join("/")).collect::<Vec<_>>())
    };
    assert_eq!(field(0, 0), (2, vec!["^~\\&".to_owned()]), "the separators are not separated");
    assert_eq!(field(0, 2), (5, vec!["DCM".to_owned()]));
    assert_eq!(segments[1].name, "PID");
    assert_eq!(field(1, 1), (3, vec!["P1///X".to_owned(), "P2".to_owned()]));
    assert_eq!(field(1, 2), (5, vec!["Person/Test".to_owned()]));
}

#[test]
fn anything_else_is_text_and_nothing_is_empty() {
    for text in ["order 17 was revised", "MSH", "\u{0}", "12", "\"text\"", "null"] {
        assert!(plain(text), "{text:?}");
    }
    for text in ["", " \n\t"] {
        assert_eq!(parse(text), Payload::Empty);
    }
}

#[test]
fn the_record_is_named_by_path_by_member_or_by_the_first_uuid() {
    let other = "00000000-77aa-4be1-9c40-90fe11d0c2a7";
    let uuid = Some(UUID.to_owned());
    assert_eq!(record_uuid(&format!("/openmrs/ws/rest/v1/patient/{UUID}?v=full")), uuid);
    assert_eq!(record_uuid(&format!("/visit/{other}/encounter/{UUID}")), uuid);
    assert_eq!(record_uuid(&format!(r#"{{"parent":"{other}","uuid":"{UUID}"}}"#)), uuid);
    assert_eq!(record_uuid(&format!("<order id='{UUID}'/>")), uuid);
    assert_eq!(record_uuid(&format!(r#"{{"uuid":"{UUID}","name":"cut off"#)), uuid);
    let concept = "1063AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(record_uuid(&format!("/reference-data/test/{}", &concept[..36])), Some(concept[..36].to_owned()));
    assert_eq!(record_uuid("/openmrs/ws/rest/v1/patient/7"), None);
    assert_eq!(record_uuid(r#"{"uuid":"' or 1=1 --"}"#), None);
}

#[test]
fn the_kind_of_a_record_is_said_in_words() {
    let known = [
        ("/openmrs/ws/rest/v1/patient/x?v=full", "patient"),
        ("/openmrs/ws/rest/v1/bahmnicore/bahmniencounter/x?includeAll=true", "encounter"),
        ("/openmrs/ws/rest/v1/reference-data/drug/x", "drug"),
        ("/openmrs/ws/rest/v1/reference-data/panel/x", "panel"),
        ("/openmrs/ws/rest/v1/reference-data/resources/x", "reference data"),
        ("/openmrs/ws/rest/v1/programenrollment/x?v=full", "programme enrolment"),
        ("/openelis/ws/rest/accession/x", "accession"),
    ];
    for (path, kind) in known {
        assert_eq!(record_kind(path), Some(kind), "{path}");
    }
    assert_eq!(record_kind("/elsewhere?patient/x"), None);
}

#[test]
fn a_long_id_is_shortened_in_the_middle() {
    assert_eq!(short_id(&format!("tag:atomfeed.ict4h.org:{UUID}")), "4417ab02…c2a7");
    assert_eq!(short_id("ORD-193"), "ORD-193");
    assert_eq!(short_id("an id that is no uuid at all"), "an id th… all");
    assert_eq!(short_id("a\u{202e}b"), "a⟦RLO⟧b");
}
