use super::*;

const UUID: &str = "b7e352da-77aa-4be1-9c40-90fe11d026c2";

fn words(of: &[&str]) -> Vec<Term> {
    of.iter().map(|word| Term::Word((*word).to_owned())).collect()
}

#[test]
fn a_search_page_is_its_address() {
    let query = SearchQuery { typed: "50 % & ü".into(), now: Some(7), ..SearchQuery::default() };
    assert_eq!(SearchQuery::parse(&query.to_query()), Ok(query));
    let kept = SearchQuery { typed: "Sita".into(), kept: Some("1a2b".into()), ..SearchQuery::default() };
    assert_eq!(kept.to_query(), "kept=1a2b", "what can name a person stands in no address");
    let query = SearchQuery::parse("q=+a+&past=-3&now=x&app=odoo").expect("a query");
    assert_eq!(query, SearchQuery { typed: "a".into(), past: Some(-3), ..SearchQuery::default() });
    assert_eq!(SearchQuery::default().to_query(), "");
    assert_eq!(SearchQuery::parse(&format!("q={}", "x".repeat(1_001))).expect_err("too long").key, "q");
}

#[test]
fn a_uuid_is_understood_however_it_was_copied() {
    for typed in [
        UUID.to_owned(),
        format!("  {UUID}\t"),
        format!("{{{UUID}}}"),
        format!("\"{UUID}\""),
        format!("tag:atomfeed.ict4h.org:{UUID}"),
        format!("{{tag:atomfeed.ict4h.org:{UUID}}}"),
        format!("http://openelis:8052/openelis/ws/rest/accession/{UUID}"),
        format!("/openmrs/ws/rest/v1/encounter/{UUID}?v=full"),
        format!("https://desk.example/atomfeed-console/failed-events?q={UUID}&app=odoo"),
        format!("https://desk.example/search?q=%7B{UUID}%7D"),
        format!("/history?find={UUID}"),
        UUID.replace('-', ""),
        format!("{{{}}}", UUID.replace('-', "")),
        UUID.replace('-', "\u{2011}"),
        format!("http://openelis:8052/openelis/ws/rest/accession/{}", UUID.replace('-', "\u{2011}")),
    ] {
        let search = Search::of(&typed);
        assert_eq!((search.kind, search.terms), (SearchKind::Uuid, words(&[UUID])), "{typed}");
    }
    let named = Search::of(&format!("Encounter {}", UUID.replace('-', "\u{2011}")));
    assert_eq!(named.terms, words(&["Encounter", UUID]));
    let upper = Search::of(&UUID.to_uppercase());
    assert_eq!(upper.kind, SearchKind::Uuid);
    assert!(upper.is_in(&[&format!("Patient with uuid '{UUID}' not found")]), "in either case");
}

#[test]
fn an_event_id_is_found_with_its_prefix_or_without() {
    let with = Search::of("tag:atomfeed.ict4h.org:order-17");
    assert_eq!((with.kind.clone(), with.terms.clone()), (SearchKind::EventId, words(&["order-17"])));
    assert!(with.is_in(&["tag:atomfeed.ict4h.org:order-17"]) && with.is_in(&["order-17"]));
    assert_eq!(Search::of("order-17").terms, words(&["order-17"]));
    assert_eq!(Search::of("TAG:atomfeed.ict4h.org:7").terms, words(&["7"]));
    assert_eq!(Search::of("tag:atomfeed.ict4h.org:").kind, SearchKind::Words, "a prefix alone is a word");
}

#[test]
fn what_the_console_shortens_is_understood() {
    for typed in ["b7e352da…26c2", " b7e352da...26c2 ", "(b7e352da…26c2)", "B7E352DA…26C2"] {
        let search = Search::of(typed);
        assert_eq!(search.kind, SearchKind::Shortened, "{typed}");
        assert!(search.is_in(&[UUID]) && search.is_in(&[&format!("/accession/{UUID}?x=1")]), "{typed}");
        assert!(!search.is_in(&["b7e352da-77aa-4be1-9c40-90fe11d026c3"]), "{typed}");
        assert!(!search.is_in(&["b7e352da-77aa and something that ends in 26c2"]), "{typed}: one word");
    }
    let named = Search::of("Encounter b7e352da…26c2");
    assert_eq!(named.terms, [Term::Shortened("b7e352da".into(), "26c2".into())]);
    let digits: String = named.terms[0]
        .shortened_uuid()
        .expect("of a uuid")
        .into_iter()
        .map(|digit| digit.map_or('_', char::from))
        .collect();
    assert_eq!(digits, "b7e352da-____-____-____-________26c2");
    for (head, tail) in [("abc", "26c2"), ("order", "17"), ("b7e352da1", "26c2"), ("b7e352da", "x6c2")] {
        assert_eq!(Term::Shortened(head.into(), tail.into()).shortened_uuid(), None, "{head}…{tail}");
    }
}

#[test]
fn a_row_is_understood_by_the_name_that_pages_give_it() {
    for (typed, app, id) in [
        ("Odoo 1125", "Odoo", 1125),
        (" PACS #56 ", "PACS", 56),
        ("odoo:7", "odoo", 7),
        ("Odoo\u{a0}1125", "Odoo", 1125),
        ("Lab of the north 12", "Lab of the north", 12),
    ] {
        let row = Search::of(typed).row.unwrap_or_else(|| panic!("{typed}"));
        assert_eq!((row.app.as_str(), row.id), (app, RowId(id)), "{typed}");
    }
    // It can also be a part of an error.
    assert_eq!(Search::of("Odoo 417").terms, words(&["Odoo", "417"]));
    for typed in ["1125", "Odoo", "GAN203007", "a sentence of more than four words 7", "12 7", "#7"] {
        assert_eq!(Search::of(typed).row, None, "{typed}");
    }
}

#[test]
fn the_names_that_pages_show_are_understood() {
    for (typed, same) in [
        ("Lab result 28572513…eb3f", "28572513…eb3f"),
        ("Encounter 9c43384f…3912 → Odoo", "9c43384f…3912"),
        ("Bed Assignment 467745fa…f87d → PACS", "467745fa…f87d"),
        ("Patient ef865c75-77aa-4be1-9c40-90fe11d026c2 → OpenELIS", "ef865c75-77aa-4be1-9c40-90fe11d026c2"),
        ("lab result 28572513", "28572513"),
        ("row 1125 of Odoo", "Odoo 1125"),
        ("Lab result", "accession"),
    ] {
        assert_eq!(Search::of(typed), Search::of(same), "{typed}");
    }
    assert_eq!(Search::of("\"Odoo 1125\"").row, Search::of("Odoo 1125").row);
    assert_eq!(Search::of("accession b7e352da").terms, words(&["accession", "b7e352da"]));
    assert_eq!(Search::of("row of beds").terms, words(&["row", "of", "beds"]));
    assert_eq!(Search::of("timeout → nothing").terms, words(&["timeout", "→", "nothing"]));
}

#[test]
fn what_is_not_shown_is_quoted_around_the_match() {
    let error =
        format!("{} Post call to /api/bahmni-saleorder failed\nCaused by: Patient Id not found", "x ".repeat(90));
    let quote = |typed: &str| Search::of(typed).quote(&["Patient Id not found"], &error);
    assert_eq!(quote("patient"), None, "it is shown");
    assert_eq!(quote("timeout"), None);
    let said = quote("patient saleorder").expect("a part of the error");
    let far = format!("{} farawayzebra {}", "A".repeat(3_000), "B".repeat(3_000));
    let quoted = Search::of("farawayzebra").quote(&[], &far).expect("a match");
    assert!(quoted.contains("farawayzebra ") && quoted.chars().count() < 120, "{quoted}");
    let two = Search::of("\"double  spaced\"").quote(&[], "a double  spaced text");
    assert_eq!(two.as_deref(), Some("a double  spaced text"));
    assert_eq!(said, "…x  Post call to /api/bahmni-saleorder failed");
    assert_eq!(Search::of("post").quote(&[], "Post it").as_deref(), Some("Post it"));
    assert_eq!(Search::of("b").quote(&[], &format!("{}b", "a".repeat(99))), Some(format!("…{}b", "a".repeat(30))));
}

#[test]
fn a_link_of_ours_is_the_page_that_it_leads_to() {
    let event = Search::of("https://desk.example/atomfeed-console/failed-events/odoo/1125?q=timeout#main");
    assert_eq!(event.row, Some(NamedRow { app: "odoo".into(), id: RowId(1125) }));
    assert_eq!(event.kind, SearchKind::Link(Link { base: "/atomfeed-console".into(), to: Linked::Event }));
    assert!(event.terms.is_empty());
    assert_eq!(Search::of("/failed-events/my%20lab/-3").row, Some(NamedRow { app: "my lab".into(), id: RowId(-3) }));
    for (typed, base, to) in [
        ("http://h/x/history/12", "/x", Linked::Life(12)),
        ("https://h:8443/groups/3?state=exhausted", "", Linked::Group(3)),
        ("/atomfeed-console/operations/8/", "/atomfeed-console", Linked::Operation(8)),
    ] {
        assert_eq!(Search::of(typed).kind, SearchKind::Link(Link { base: base.into(), to }), "{typed}");
    }
    for typed in ["https://h/groups/x", "https://h/", "ftp://h/groups/3", "groups/3", "https://h/failed-events?app=a"] {
        assert_eq!(Search::of(typed).kind, SearchKind::Words, "{typed}");
    }
    // A list has no such pages, and must not show everything for them.
    assert_eq!(Search::in_list("https://h/groups/3").terms, words(&["https://h/groups/3"]));
    assert!(!Search::in_list("/failed-events/odoo/7").is_in(&["odoo 7"]), "only the row itself");
    // A link in the query of a link is not followed.
    assert_eq!(Search::of("http://h/search?q=http://h/search?q=a").kind, SearchKind::Words);
}

#[test]
fn words_are_found_in_any_order_and_phrases_as_they_stand() {
    let text = "accession with uuid b7e352da-77aa: Patient Id not found in Odoo";
    for typed in
        ["odoo patient", "accession b7e352da", "\"patient id not found\" accession", "“Id not” found", "(Odoo)"]
    {
        assert!(Search::of(typed).is_in(&[text]), "{typed}");
    }
    for typed in ["odoo timeout", "\"not found patient\"", "\"patient id\" timeout"] {
        assert!(!Search::of(typed).is_in(&[text]), "{typed}");
    }
    assert_eq!(
        Search::of("\"Patient Id\" \"417\"").terms,
        [Term::Phrase("Patient Id".into()), Term::Word("417".into())]
    );
    // However quotes and apostrophes are typeset, on either side.
    for text in ["Can't find patient \"A B\"", "can’t find patient “A B”"] {
        for typed in ["\"can't find\"", "“can’t find”", "«Can‘t»", "‘can’t’ patient", "can't"] {
            assert!(Search::of(typed).is_in(&[text]), "{typed} in {text}");
        }
        assert!(!Search::of("\"cannot\"").is_in(&[text]) && !Search::of("“can t”").is_in(&[text]));
    }
    // The words may be in different texts.
    assert!(Search::of("encounter timed").is_in(&["Encounter", "timed out"]));
    // The title of a group as it is copied.
    let title = "Patient with uuid '…' not found in ELIS (500).";
    let expected = words(&["Patient", "with", "uuid", "not", "found", "in", "ELIS", "500"]);
    assert_eq!(Search::of(title).terms, expected);
    // An unclosed quote, and marks alone, are still searched for.
    assert_eq!(Search::of("\"patient id").terms, [Term::Phrase("patient id".into())]);
    for marks in ["%", "'", "()", "…", "\""] {
        assert_eq!(Search::of(marks).terms, words(&[marks]), "{marks}");
    }
    for blank in ["", "  ", "\u{200b}\t"] {
        assert_eq!(Search::of(blank), Search::default());
    }
}

#[test]
fn of_many_words_the_longest_are_looked_for() {
    let search = Search::of("a bb ccc dddd eeeee ffffff ggggggg hhhhhhhh iiiiiiiii jjjjjjjjjj a BB");
    assert!(search.cut);
    assert_eq!(
        search.terms,
        words(&["ccc", "dddd", "eeeee", "ffffff", "ggggggg", "hhhhhhhh", "iiiiiiiii", "jjjjjjjjjj"])
    );
    let long = Search::of(&"ü".repeat(SEARCHED + 1));
    assert!(long.cut);
    assert_eq!(long.terms, [Term::Word("ü".repeat(SEARCHED))]);
    assert!(!Search::of("a a b").cut);
}

#[test]
fn what_was_typed_is_marked_in_a_text() {
    let marked = |typed: &str, text: &str| -> String {
        let pieces = Search::of(typed).marked(text).into_iter();
        pieces.map(|(piece, hit)| if hit { format!("[{piece}]") } else { piece }).collect()
    };
    assert_eq!(marked("patient ODOO", "Patient Id not found in Odoo"), "[Patient] Id not found in [Odoo]");
    assert_eq!(marked("b7e352da…26c2", &format!("of {UUID}.")), format!("of [{UUID}]."));
    assert_eq!(marked("aa a", "aaa"), "[aa][a]");
    assert_eq!(marked("straße", "Die STRASSE, die Straße"), "Die STRASSE, die [Straße]");
    assert_eq!(marked("İ", "xİy"), "x[İ]y");
    assert_eq!(marked("x", "nothing"), "nothing");
    assert_eq!(marked("", "nothing"), "nothing");
    let text = "ü…é no end";
    assert_eq!(Search::of("É").marked(text).into_iter().map(|(piece, _)| piece).collect::<String>(), text);
}
