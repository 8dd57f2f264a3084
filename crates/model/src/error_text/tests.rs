use super::*;

const PATIENT: &str = "Patient with uuid '4417ab02-77aa-4be1-9c40-90fe11d0c2a7' not found in ELIS";
const LIMS: &str = "us.mn.state.health.lims.common.exception.LIMSRuntimeException";
const PAGE: &str = "http://openmrs:8080/openmrs/ws/atomfeed/encounter/2143";

/// As the library writes it: the page, then message and trace with nothing between them.
fn openelis() -> String {
    format!(
        "Failed processing event in feed [{PAGE}] \n\
             {LIMS}: {PATIENT}java.lang.RuntimeException: {LIMS}: {PATIENT}\n\
             \tat org.ict4h.atomfeed.client.service.AtomFeedClient.processEvents(AtomFeedClient.java:69)\n\
             \tat org.quartz.core.JobRunShell.run(JobRunShell.java:202)\n\
             \tat org.quartz.simpl.SimpleThreadPool$WorkerThread.run(SimpleThreadPool.java:573)\n\
             \tat java.lang.Thread.run(Thread.java:748)\n\
             Caused by: {LIMS}: {PATIENT}\n\
             \tat org.bahmni.feed.openelis.feed.event.EncounterFeedWorker.process(EncounterFeedWorker.java:134)\n\
             \t... 5 more\n\
             Caused by: java.lang.RuntimeException: {PATIENT}\n\
             \tat org.bahmni.feed.openelis.feed.event.EncounterFeedProcessor.getPatient(EncounterFeedProcessor.java:298)\n\
             \t... 8 more\n"
    )
}

fn odoo() -> String {
    "Post call to /api/bahmni-saleorder failedjava.lang.RuntimeException: Post call to /api/bahmni-saleorder failed\n\
         \tat org.bahmni.openerp.web.client.strategy.implementation.OdooRESTClient.post(OdooRESTClient.java:98)\n\
         Caused by: org.bahmni.openerp.web.OdooRestException: Error found in result. Response status: 417. \
         Error message: Expectation Failed: Patient Id not found in Odoo\n\
         \tat org.bahmni.openerp.web.http.client.RestClient.post(RestClient.java:71)\n\
         \t... 12 more\n"
        .to_owned()
}

#[test]
fn takes_a_whole_text_apart() {
    let error = parse(&openelis());
    assert_eq!(error.via.as_deref(), Some(PAGE));
    assert_eq!(error.message, format!("{LIMS}: {PATIENT}"), "said once, not twice");
    assert!(!error.cut);
    let classes: Vec<_> = error.causes.iter().map(|cause| cause.class.as_deref()).collect();
    assert_eq!(classes, [Some("java.lang.RuntimeException"), Some(LIMS), Some("java.lang.RuntimeException")]);
    assert_eq!(error.causes[2].message, PATIENT);
    let stacks: Vec<_> = error.causes.iter().map(|cause| (cause.frames.len(), cause.more)).collect();
    assert_eq!(stacks, [(4, None), (1, Some(5)), (1, Some(8))]);
    let last = &error.causes[2].frames[0].text;
    assert_eq!(
        last,
        "org.bahmni.feed.openelis.feed.event.EncounterFeedProcessor.getPatient(EncounterFeedProcessor.java:298)"
    );
}

#[test]
fn the_retry_log_is_the_same_without_the_first_line() {
    let text = openelis();
    let logged = text.split_once('\n').map(|(_, rest)| rest).unwrap_or_default();
    assert_eq!(parse(logged), ErrorText { via: None, ..parse(&text) });
}

#[test]
fn library_frames_fold_into_a_named_run() {
    let error = parse(&openelis());
    let runs = error.causes[0].runs();
    assert_eq!(runs.len(), 2);
    assert!(matches!(runs[0], Run::Application(frames) if frames.len() == 1));
    let Run::Library { frames, summary } = &runs[1] else { panic!("{runs:?}") };
    assert_eq!((frames.len(), summary.as_str()), (3, "3 frames of Quartz and Java"));
}

#[test]
fn tells_library_code_from_the_applications_own() {
    for text in ["java.base/java.lang.Thread.run(Thread.java:834)", "com.sun.proxy.$Proxy1.x(Unknown Source)"] {
        assert_eq!(library(text), Some("Java"), "{text}");
    }
    assert_eq!(library("app//org.springframework.A.a(A.java:1)"), Some("Spring"));
    for text in
        ["org.bahmni.A.a(A.java:1)", "org.openmrs.A.a(java.net:1)", "us.mn.state.A.a(A.java:1)", "javaland.A.a()"]
    {
        assert_eq!(library(text), None, "{text}");
    }
}

#[test]
fn the_headline_is_what_the_root_cause_said() {
    assert_eq!(headline(&openelis()), PATIENT);
    assert_eq!(headline(&odoo()), "Patient Id not found in Odoo");
}

/// Returns the first `end` bytes of a trace as a column of 4000 characters holds them: one more frame in the first
/// stack makes the text that long. `None` if the first stack does not begin before `end`.
fn cut_by_the_column(text: &str, end: usize) -> Option<String> {
    let stack = text.find("\n\tat ").map(|at| at + 1).filter(|at| *at <= end)?;
    let (head, rest) = text[..end].split_at(stack);
    let frame = |name: &str| format!("\tat org.example.A.{name}(A.java:1)\n");
    let missing = COLUMN_CHARS.checked_sub(text[..end].chars().count() + frame("").len())?;
    Some(format!("{head}{}{rest}", frame(&"x".repeat(missing))))
}

#[test]
fn the_headline_of_a_text_that_was_cut_is_nearly_as_good() {
    let cut = |text: &str, end: usize| cut_by_the_column(text, end).expect("long enough");
    let (elis, odoo) = (openelis(), odoo());
    assert_eq!(headline(&cut(&elis, elis.len() - 120)), PATIENT);
    let words = odoo.find("Patient Id").expect("its words");
    assert_eq!(headline(&cut(&odoo, words + "Patient Id not found".len())), "Patient Id not found…");
    assert_eq!(
        headline(&cut(&odoo, odoo.find("Response status").expect("its words"))),
        "Post call to /api/bahmni-saleorder failed",
        "the cause is cut before its own words"
    );
}

#[test]
fn wherever_a_text_ends_the_headline_says_something_and_never_a_class() {
    let text = openelis();
    for end in 0..=text.len() {
        let cut = &text[..end];
        let line = headline(cut);
        assert_eq!(line.is_empty(), cut.is_empty(), "{cut:?}");
        assert!(!line.contains("java.lang") && !line.contains('\n'), "{cut:?} → {line}");
        if let Some(cut) = cut_by_the_column(&text, end) {
            assert!(parse(&cut).cut, "{cut:?}");
            assert_eq!(headline(&cut).trim_end_matches('…'), PATIENT, "{cut:?}");
        }
    }
}

#[test]
fn the_fuller_sentence_around_the_root_is_preferred() {
    let text = "org.apache.http.conn.HttpHostConnectException: Connect to openmrs:8080 [openmrs/10.0.0.7] failed: Connection refused\n\
                    \tat org.bahmni.webclients.HttpClient.get(HttpClient.java:64)\n\
                    Caused by: java.net.ConnectException: Connection refused (Connection refused)\n\t... 9 more\n";
    assert_eq!(headline(text), "Connect to openmrs:8080 [openmrs/10.0.0.7] failed: Connection refused");
}

#[test]
fn class_names_within_a_message_are_taken_off() {
    let message = "org.bahmni.webclients.WebClientsException: java.net.SocketTimeoutException: Read timed out";
    assert_eq!(headline(&format!("{message}\n\tat org.bahmni.A.a(A.java:1)\n")), "Read timed out");
}

#[test]
fn an_exception_without_a_message_is_named_with_its_place() {
    let text = "nulljava.lang.NullPointerException\n\tat java.util.Objects.x(Objects.java:1)\n\
                    \tat org.bahmni.feed.openelis.Mapper.map(Mapper.java:12)\n";
    let error = parse(text);
    assert_eq!(
        (error.message.as_str(), error.causes[0].class.as_deref()),
        ("", Some("java.lang.NullPointerException"))
    );
    assert_eq!(headline(text), "NullPointerException in Mapper.map");
}

#[test]
fn a_python_trace_tells_with_its_last_line() {
    let python = "Traceback (most recent call last):\n  File \"/opt/odoo/http.py\", line 638, in _handle\n    \
                      return self.dispatch()\nWarning: Previous order id does not exist in DB. This can be because of previous failed events";
    let said = "Previous order id does not exist in DB. This can be because of previous failed events";
    assert_eq!(headline(python), said);
    let before_its_end = python.find("    return").map(|end| &python[..end]);
    assert_eq!(before_its_end.map(headline).as_deref(), Some("A Python error in http.py"));
    let class = "org.apache.xmlrpc.XmlRpcException";
    let in_java = format!("{python}{class}: {python}\n\tat org.apache.xmlrpc.A.a(A.java:1)\n");
    assert_eq!(headline(&in_java), said);
    assert_eq!(parse(&in_java).message, python);
}

#[test]
fn a_text_that_was_cut_is_known_as_such() {
    let whole = openelis();
    assert!(parse(&whole[..whole.len() - 30]).cut);
    assert!(parse(&whole[..60]).cut, "within the page's address");
    assert!(parse("Read timed outjava.net.SocketTimeoutException: Read ti").cut);
    assert!(!parse("Response is null").cut);
    assert!(!parse(whole.trim_end()).cut, "the last line is whole");
    let trace = "oddjava.lang.A: odd\n\tat a.b.C.d(C.java:2)\n";
    for end in [
        "\t",
        "\ta",
        "\tat a.b.C.d(C.ja",
        "\tat a.b.C",
        "\t...",
        "\t... 12 mo",
        "Cau",
        "Caused by: ",
        "Caused by: org.example",
        "Caused by: org.example.Odd:",
    ] {
        assert!(parse(&format!("{trace}{end}")).cut, "{end:?}");
    }
    assert!(parse("odd\n\ta").cut);
}

#[test]
fn a_text_is_not_called_cut_for_want_of_a_last_line_end() {
    let trace = "oddjava.lang.A: odd\n\tat a.b.C.d(C.java:2)\n";
    for end in [
        "",
        "Caused by: java.net.SocketTimeoutException: Timeout waiting for response",
        "Caused by: java.lang.NullPointerException",
        "Caused by: no class at all",
        "Caused by: java.lang.A: one\ntwo",
        "\tat a.b.C.e(Native Method)",
        "\tat a.b.C.e(C.java:9) ~[app.jar:1.0]",
        "\t... 12 more",
        "\tSuppressed: java.lang.B: two",
    ] {
        assert!(!parse(&format!("{trace}{end}")).cut, "{end:?}");
    }
    assert_eq!(
        headline(&format!("{trace}Caused by: java.net.SocketTimeoutException: Timeout waiting for response")),
        "Timeout waiting for response"
    );
}

#[test]
fn a_text_has_a_cut_length_as_java_or_as_the_database_counts() {
    let cut = |text: String| parse(&text).cut;
    assert!(cut("x".repeat(4000)), "the width of the column");
    assert!(cut("क".repeat(4000)));
    assert!(cut("x".repeat(3999)), "a character of two would have been halved");
    assert!(!cut("x".repeat(3998)) && !cut("x".repeat(4001)));
    assert!(cut("🩺".repeat(2000)), "4000 as Java counts");
    assert!(cut(format!("{}{}", "?".repeat(20), "x".repeat(3960))), "20 of two characters were replaced");
    assert!(cut("x".repeat(65_535)), "what a TEXT of MySQL holds");
    assert!(!cut("x".repeat(10_000)));
    let long = "x".repeat(100);
    assert!(parse_beginning(&long, 50).cut && !parse_beginning(&long, 100).cut);
}

#[test]
fn lines_of_unknown_form_are_kept() {
    let text = "java.lang.A: x\n\tat org.bahmni.A.a(A.java:1)\n\tSuppressed: java.lang.Exception: #block terminated\n\
                    \t\tat reactor.core.publisher.Mono.block(Mono.java:1)\nCaused by: java.lang.B: one\ntwo\n\tat a.b.C.d(C.java:2)\n";
    let error = parse(text);
    let frames: Vec<_> = error.causes[0].frames.iter().map(|frame| frame.text.as_str()).collect();
    assert_eq!(frames[1], "Suppressed: java.lang.Exception: #block terminated");
    assert_eq!(frames.len(), 3);
    assert_eq!(error.causes[1].message, "one\ntwo");
}

#[test]
fn an_ipv6_page_and_a_flattened_text_keep_page_and_message_apart() {
    let error = parse("Failed processing event in feed [http://[::1]:8080/feed/3] \nRead timed out");
    assert_eq!(error.via.as_deref(), Some("http://[::1]:8080/feed/3"));
    assert_eq!(error.message, "Read timed out");
    let error = parse("Failed processing event in feed [http://h/3] Connect to h:80 [h/10.0.0.1] failed");
    assert_eq!(
        (error.via.as_deref(), error.message.as_str()),
        (Some("http://h/3"), "Connect to h:80 [h/10.0.0.1] failed")
    );
}

#[test]
fn odd_texts_neither_fail_nor_take_long() {
    let megabytes = "a: ".repeat(1_500_000);
    for text in [
        "",
        "\n",
        " ",
        "\0",
        "Failed processing event in feed [",
        "Failed processing event in feed [x] \n",
        "Caused by: ",
        "\tat ",
        "\t... 99999999999999 more",
        ": ",
        ": : : ",
        "é: é",
        "\u{202e}",
        "Caused by: a.b",
        &megabytes,
    ] {
        let _ = parse(text);
        let line = headline(text);
        assert_eq!(line.is_empty(), text.is_empty(), "{:?}", beginning(text, 40));
        assert!(line.chars().count() <= HEADLINE_CHARS + 10);
    }
}

#[test]
fn a_long_headline_is_cut_between_words() {
    let line = headline(&"many words ".repeat(40));
    assert!(line.ends_with("words…") || line.ends_with("many…"), "{line}");
    assert!(line.chars().count() <= HEADLINE_CHARS + 1);
    assert_eq!(headline(&"x".repeat(500)).chars().count(), HEADLINE_CHARS + 1);
}

#[test]
fn a_shape_sees_through_what_changes_but_not_through_the_status() {
    assert_eq!(shape(PATIENT), shape("Patient with uuid '00000000-77aa-4be1-9c40-90fe11d0c2a7' not found in ELIS"));
    assert_eq!(shape("not foundORD-19"), shape("not foundORD-2077"));
    assert_ne!(shape("Bad response code of 404"), shape("Bad response code of 500"));
    assert_ne!(shape("Response is null"), shape("Response is empty"));
}

#[test]
fn what_could_deceive_is_made_visible() {
    assert_eq!(visible("a\0b\x1b[31m\x7f"), "a␀b␛[31m␡");
    assert_eq!(visible("user\u{202e}txt.exe\u{202c}\u{2066}"), "user⟦RLO⟧txt.exe⟦PDF⟧⟦LRI⟧");
    assert_eq!(visible("a\u{200b}b\u{feff}\u{85}"), "a⟦U+200B⟧b⟦U+FEFF⟧⟦U+0085⟧");
    assert_eq!(visible("MSH|a\rPID|b\r\nend\n\t."), "MSH|a␍PID|b\nend\n\t.");
    assert_eq!(visible_line("a\r\nSet-Cookie:\tb\n\x1b]0;"), "a␊Set-Cookie:␉b␊␛]0;");
    let ordinary = "مريض क्‍ष 👩‍⚕️ é <b>";
    assert_eq!(visible(ordinary), ordinary);
}
