use super::*;

const UUID: &str = "4417ab02-77aa-4be1-9c40-90fe11d0c2a7";

fn meaning(text: &str) -> &'static str {
    advise(text).unwrap_or_else(|| panic!("no advice for {text}")).meaning
}

#[test]
fn every_template_of_the_consumers_has_its_advice() {
    // A message as a consumer writes it, and a word that must be in the advice for it.
    let known = [
        (format!("Patient with uuid '{UUID}' not found in ELIS"), "before its patient"),
        (
            format!(
                "Test '{UUID}' was not setup properly. No external reference for Test with uuid '{UUID}' found in external_reference table"
            ),
            "reference data is missing",
        ),
        (
            format!(
                "Panel '{UUID}' was not setup properly. No external reference for Panel with uuid '{UUID}' found in external_reference table"
            ),
            "reference data is missing",
        ),
        ("Preferred or Primary identifier is not available for the patient: Test Person".into(), "identifier"),
        ("Sodium test doesn't exist".into(), "no test"),
        ("Liver panel doesn't exist".into(), "no panel"),
        ("Error while saving panel - Liver".into(), "save the panel"),
        ("Error while saving test - Sodium".into(), "save the test"),
        ("no property found for 'defaultOrganizationName' in site_information table".into(), "setting is missing"),
        ("Bad response code of 404".into(), "deleted or never saved"),
        ("Bad response code of 410".into(), "deleted or never saved"),
        ("Resource not found at http://openmrs:8080/openmrs/ws/rest/v1/patient/7".into(), "deleted or never saved"),
        ("404 Not Found: Object with given uuid doesn't exist".into(), "deleted or never saved"),
        ("Object with given uuid doesn't exist [null]".into(), "deleted or never saved"),
        ("Bad response code of 403".into(), "may not read"),
        ("Bad response code of 401".into(), "refused"),
        ("Bad response code of 500".into(), "published the event failed"),
        ("java.net.SocketTimeoutException: Read timed out".into(), "in time"),
        ("Connect to openmrs:8080 [openmrs/172.18.0.9] failed: Connection refused".into(), "not running"),
        ("Could not authenticate with OpenMRS".into(), "refused"),
        ("Two factor authentication is enabled, login from the browser".into(), "second factor"),
        ("Unrecognized field \"newField\" (class org.example.A)".into(), "versions"),
        ("Unexpected character ('<' (code 60)): expected a valid value".into(), "web page"),
        (
            "Error found in result. Response status: 417. Error message: Expectation Failed: Patient Id not found in Odoo"
                .into(),
            "does not know this patient",
        ),
        (
            "Error found in result. Response status: 417. Error message: Expectation Failed: No such product".into(),
            "did not accept the data",
        ),
        ("Post call to /api/bahmni-drug failed".into(), "cut off"),
        ("Error found in response. Response status: 200. Error message: Odoo Server Error".into(), "Odoo failed"),
        ("Response is null".into(), "no answer"),
        ("Response is empty".into(), "empty answer"),
        ("Failed to login. The login user is : emrsync, no session cookie set.".into(), "refused the login"),
        ("Did not observe any item or terminal signal within 5000ms in 'flatMap'".into(), "in time"),
        (
            "Warning: Previous order id does not exist in DB. This can be because of previous failed events".into(),
            "changes an earlier one",
        ),
        ("Can not process order. Order type:Lab Order - should be matched to a shop".into(), "no shop"),
        (format!("Error occurred while trying to process Saleable Event [tag:atomfeed.ict4h.org:{UUID}]"), "product"),
        ("Failed to fetch previous drug order".into(), "earlier drug order"),
        (format!("Unable to create HL7 message. Missing concept source for order{UUID}"), "no mapping"),
        ("Unable to Cancel the Order. Previous order is not foundORD-19".into(), "never reached"),
        ("Unable to send the message to the modality \nModality{id=1, name='x-ray'}".into(), "did not accept the order"),
        (format!("Encounter location cannot be null for order: {UUID}"), "no location"),
        ("Failed to fetch patient details".into(), "Crater"),
        (format!("Concept for lab test'{UUID}' not found in openmrs"), "no concept"),
        ("could not read accession data".into(), "results of this accession"),
        ("Failed send order to modality".into(), "radiology"),
    ];
    for (text, word) in known {
        assert!(meaning(&text).contains(word), "{text} → {}", meaning(&text));
    }
}

#[test]
fn every_rule_can_be_the_answer() {
    for rule in RULES {
        let text = rule.pieces.join("x");
        assert_eq!(advise(&text), Some(rule.advice), "another rule takes {text}");
    }
}

#[test]
fn a_record_that_is_gone_is_told_from_one_that_may_come() {
    let gone = |text: &str| advise(text).is_some_and(|advice| advice.gone);
    let wrapped = "Failed processing event in feed [http://h/1] \norg.ict4h.E: 404java.lang.RuntimeException: org.ict4h.E: 404\n\
             \tat a.b.C.d(C.java:1)\nCaused by: org.ict4h.E: 404 Not Found: Object with given uuid doesn't exist";
    assert!(gone(wrapped));
    assert!(gone("org.ict4h.E: Resource not found at http://openmrs:8080/ws/rest/v1/patient/7"));
    // The same in the words of other servers, libraries and versions.
    for text in [
        "urllib2.HTTPError: HTTP Error 404: Not Found",
        "HTTP Error 410: Gone",
        "404 NOT FOUND",
        "404 not found",
        "410 GONE",
        "HTTP Status 404 – Not Found",
        "HTTP Status 404",
        "HTTP Status 410 – Gone",
        "404 : [no body]",
        "410 : [no body]",
        "org.springframework.web.client.HttpClientErrorException$NotFound: 404 : \"{\"error\":1}\"",
        "org.springframework.web.client.HttpClientErrorException: 404 null",
        "404 Client Error: Not Found for url: http://openmrs:8080/openmrs/ws/rest/v1/patient/7",
        "{\"timestamp\":1,\"status\":404,\"error\":\"Not Found\"}",
        "org.apache.http.client.HttpResponseException: status code: 404, reason phrase: Not Found",
        "Request failed with status code 410",
        "[404] during [GET] to [http://openmrs:8080/openmrs/ws/rest/v1/patient/7]",
        "retrofit2.HttpException: HTTP 404 ",
        "java.io.IOException: Server returned HTTP response code: 410 for URL: http://openmrs:8080/x",
        "bad response code of 404",
        "Object with given uuid does not exist",
        "OBJECT WITH GIVEN UUID DOESN'T EXIST",
        "Object with given uuid doesn’t exist",
        "RESOURCE NOT FOUND",
        "x\nCaused by: java.io.FileNotFoundException: http://openmrs:8080/openmrs/ws/rest/v1/patient/7\n\tat a.b.C.d(C.java:1)",
    ] {
        assert!(gone(text), "{text}");
    }
    // Others that report something as not found: what is missing can still arrive.
    for text in [
        format!("Patient with uuid '{UUID}' not found in ELIS"),
        "Patient Id not found in Odoo".to_owned(),
        format!("Concept for lab test'{UUID}' not found in openmrs"),
        "Unable to Cancel the Order. Previous order is not foundORD-19".to_owned(),
        "Bad response code of 500".to_owned(),
        "Bad response code of 403".to_owned(),
        "HTTP Error 500: Internal Server Error".to_owned(),
        "Order 404 could not be saved".to_owned(),
        "java.io.FileNotFoundException: /opt/bahmni/reports.json (No such file or directory)".to_owned(),
        "Post call to /api/bahmni-drug failed\nCaused by: org.x.E: 404 NOT FOUND\n\tat a.b.C.d(C.java:1)".to_owned(),
    ] {
        assert!(!gone(&text), "{text}");
    }
}

fn subject(consumer: Kind, feed: &str, record: Option<&str>) -> Subject {
    let mut subject = Subject::default();
    subject.add(Some(consumer), Some(feed));
    subject.records.extend(record.map(str::to_owned));
    subject
}

#[test]
fn advice_is_for_the_applications_and_records_that_it_is_about() {
    let accession = "could not read accession data";
    let of_openelis = "http://openelis:8052/openelis/ws/feed/patient/recent";
    assert!(advise_on(accession, &subject(Kind::Openmrs, of_openelis, Some("accession"))).is_some());
    assert!(advise_on(accession, &subject(Kind::Openmrs, of_openelis, None)).is_some());
    for (consumer, feed, record) in [
        (Kind::Openmrs, "http://odoo:8069/feed/product/recent", None),
        (Kind::Custom, "http://odoo:8069/feed/product/recent", None),
        (Kind::Openmrs, of_openelis, Some("patient")),
        (Kind::Odoo, of_openelis, Some("accession")),
    ] {
        assert_eq!(advise_on(accession, &subject(consumer, feed, record)), None, "{consumer:?} {feed} {record:?}");
    }
    // Another program that reads Bahmni's feeds has their errors, too.
    let encounters = "http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent";
    assert!(advise_on("Patient Id not found in Odoo", &subject(Kind::Custom, encounters, None)).is_some());
    assert_eq!(advise_on("Response is null", &subject(Kind::Pacs, encounters, None)), None);
    // Events of several applications: one of them can be meant.
    let mut both = subject(Kind::Pacs, encounters, None);
    both.add(Some(Kind::Odoo), Some(encounters));
    assert!(advise_on("Response is null", &both).is_some());
}

#[test]
fn titles_tags_and_the_publisher_speak_against_advice_on_something_else() {
    let of_openelis = "http://openelis:8052/openelis/ws/feed/patient/recent";
    let partner = "http://integration.example:8090/feed/results/recent";
    let given = |feed: Option<&str>, title: Option<&str>, tags: Option<&str>, payload: Option<&str>| {
        let row = FailedEventRow {
            feed_uri: feed.map(Into::into),
            title: title.map(Into::into),
            tags: tags.map(Into::into),
            payload: payload.map(Into::into),
            ..crate::samples::failed_event()
        };
        advise_on("could not read accession data", &Subject::of_row(&row, Some(Kind::Openmrs))).is_some()
    };
    let path = format!("/openelis/ws/rest/accession/{UUID}");
    for (title, tags) in [
        (Some("accession"), Some("patient")),
        (Some("Lab results"), Some("Results, accession")),
        (Some(" "), None),
        (None, None),
    ] {
        assert!(given(Some(of_openelis), title, tags, Some(&path)), "{title:?} {tags:?}");
        assert!(given(Some(of_openelis), title, tags, Some("{\"id\": 7}")), "{title:?} {tags:?}");
    }
    // With any payload that does not show the kind of the record.
    for payload in [None, Some("{\"id\": 7}"), Some("<sale/>"), Some("MSH|^~\\&|"), Some("an order")] {
        for feed in [None, Some(of_openelis), Some(partner)] {
            assert!(!given(feed, Some("product"), None, payload), "{feed:?} {payload:?}");
            assert!(!given(feed, None, Some("sale_order"), payload), "{feed:?} {payload:?}");
            assert!(!given(feed, Some("accession"), Some("patient,product"), payload), "{feed:?} {payload:?}");
        }
        assert!(!given(Some(partner), Some("accession"), Some("results"), payload), "of another publisher");
    }
    // One host for all systems, and another name of the host.
    assert!(given(Some("https://openmrs.example/openelis/ws/feed/patient/recent"), None, None, None));
    assert!(given(Some("https://10.0.0.7:8052/openelis/ws/feed/patient/recent"), None, None, None));
    assert!(!given(Some("https://lab.example/openmrs/ws/atomfeed/patient/recent"), None, None, None));
}

#[test]
fn every_rule_is_for_every_application_that_it_is_about_and_for_no_other_of_bahmni() {
    for rule in RULES {
        let text = rule.pieces.join("x");
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Custom) {
            let subject = Subject { consumers: vec![kind], ..Subject::default() };
            let mine = rule.about.consumers.is_empty() || rule.about.consumers.contains(&kind);
            let answers = advise_on(&text, &subject) == Some(rule.advice);
            assert_eq!(answers, mine, "{text} in {kind:?}");
        }
    }
}

#[test]
fn advice_is_two_sentences() {
    for rule in RULES {
        for sentence in [rule.advice.meaning, rule.advice.todo] {
            assert!(sentence.ends_with('.') && sentence.starts_with(char::is_uppercase), "{sentence}");
        }
    }
}

#[test]
fn the_cause_decides_and_not_what_is_around_it() {
    let text = "Failed send order to modalityjava.lang.RuntimeException: Failed send order to modality\n\
                    \tat org.bahmni.module.pacsintegration.atomfeed.worker.EncounterFeedWorker.process(EncounterFeedWorker.java:47)\n\
                    Caused by: java.net.ConnectException: Connection refused (Connection refused)\n";
    assert!(meaning(text).contains("radiology system"));
}

#[test]
fn an_unknown_error_gets_no_advice() {
    for text in ["", "java.lang.NullPointerException", "Division by zero", "at Read.timed(out.java:1)"] {
        assert_eq!(advise(text), None, "{text}");
    }
    let only_in_a_frame = "oddjava.lang.RuntimeException: odd\n\tat org.bahmni.Response is null.x(A.java:1)\n";
    assert_eq!(advise(only_in_a_frame), None);
}
