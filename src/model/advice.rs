//! What the known errors of Bahmni's consumers mean, and what to do about them.
//!
//! The templates are those that the consumers themselves write (OpenElis, openerp-atomfeed-service, pacs-integration,
//! crater-atomfeed, bahmni-core). An error that is not among them gets no advice: a wrong one costs more than none.

use super::error_text::{self, ErrorText};

/// What an error means, and what to do: one sentence each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    pub meaning: &'static str,
    pub todo: &'static str,
    /// The record that the event is about is not there any more: a retry fails again, whoever asks for it.
    pub gone: bool,
}

/// The warning beside a retry of an event whose record is gone.
pub const GONE: &str = "Its record is not there any more: unless somebody restores it in the other system, a retry fails \
                        again. Discarding the event is what is left.";

/// A known error: pieces of text that must stand in this order, and the advice.
struct Rule {
    pieces: &'static [&'static str],
    advice: Advice,
}

const fn rule(pieces: &'static [&'static str], meaning: &'static str, todo: &'static str) -> Rule {
    Rule { pieces, advice: Advice { meaning, todo, gone: false } }
}

/// A rule for a record that the other system does not have any more.
const fn gone(pieces: &'static [&'static str]) -> Rule {
    let advice = Advice {
        meaning: "The record is not there (any more) in the system that was asked for it: it was deleted, or never saved.",
        todo: "Open the payload’s address there: if the record was deleted for good, discard the event, because a retry \
               fails again; if it is there now, retry.",
        gone: true,
    };
    Rule { pieces, advice }
}

/// What advice is sought in, in bytes.
const LOOKED_AT: usize = 64 * 1024;

const REFERENCE_DATA: (&str, &str) = (
    "OpenELIS does not know this test or panel as the one of OpenMRS: its reference data is missing.",
    "Retry the failed events of the lab feed first, or add the reference in OpenELIS, then retry this one.",
);
const IDENTIFIER: (&str, &str) = (
    "The patient has no preferred or primary identifier in OpenMRS.",
    "Correct the patient’s identifier in OpenMRS, then retry.",
);
const LOGIN: (&str, &str) = (
    "The system that holds the data refused the consumer’s user or password.",
    "Correct the user and password in the consumer’s settings, restart the consumer, then retry.",
);

/// The specific ones first: the first rule that fits is the answer.
const RULES: &[Rule] = &[
    // OpenELIS
    rule(
        &["Patient with uuid '", "' not found in ELIS"],
        "The encounter came before its patient, or the patient itself failed.",
        "Retry the patient’s own failed event first; once the patient is in OpenELIS, retry this one.",
    ),
    rule(&["Test '", "' was not setup properly. No external reference for Test"], REFERENCE_DATA.0, REFERENCE_DATA.1),
    rule(&["Panel '", "' was not setup properly. No external reference for Panel"], REFERENCE_DATA.0, REFERENCE_DATA.1),
    rule(&["Preferred or Primary identifier is not available for the patient"], IDENTIFIER.0, IDENTIFIER.1),
    rule(
        &[" test doesn't exist"],
        "OpenELIS has no test of this name.",
        "Add the test in OpenELIS, or retry its failed event of the lab feed, then retry this one.",
    ),
    rule(
        &[" panel doesn't exist"],
        "OpenELIS has no panel of this name.",
        "Add the panel in OpenELIS, or retry its failed event of the lab feed, then retry this one.",
    ),
    rule(
        &["Error while saving panel - "],
        "OpenELIS could not save the panel.",
        "Look for another panel of the same name and for missing tests in OpenELIS, correct that, then retry.",
    ),
    rule(
        &["Error while saving test - "],
        "OpenELIS could not save the test.",
        "Look for another test of the same name and for its sample type in OpenELIS, correct that, then retry.",
    ),
    rule(
        &["no property found for '", "' in site_information table"],
        "A setting is missing in OpenELIS, so no event of this kind can succeed.",
        "Add the named row to the table site_information of OpenELIS, then retry.",
    ),
    // PACS: what it wraps means something else there than elsewhere.
    rule(
        &["Failed send order to modality", "Connection refused"],
        "The radiology system (modality or DCM4chee) does not accept connections.",
        "Start it or correct its address and port in the table modality of pacs-integration, then retry.",
    ),
    rule(
        &["Unable to create HL7 message. Missing concept source for order"],
        "The ordered radiology test has no mapping to the modality’s codes in OpenMRS.",
        "Add the concept’s mapping in OpenMRS, then retry.",
    ),
    rule(
        &["Unable to Cancel the Order. Previous order is not found"],
        "The order to be cancelled never reached pacs-integration.",
        "Retry the failed event of the earlier order first; if there is none, nothing needs to be cancelled.",
    ),
    rule(
        &["Unable to send the message to the modality"],
        "The modality did not accept the order’s HL7 message.",
        "Read the modality’s answer at the end of the message, correct what it names, then retry; a retry can send the order twice.",
    ),
    rule(
        &["Encounter location cannot be null for order"],
        "The order’s encounter has no location in OpenMRS.",
        "Set the encounter’s location in OpenMRS, then retry.",
    ),
    // Odoo
    rule(
        &["Patient Id not found in Odoo"],
        "Odoo does not know this patient yet: the patient’s own event failed or has not been read.",
        "Retry the patient’s own failed event first; once the patient is in Odoo, retry this one.",
    ),
    rule(
        &["Previous order id does not exist in DB"],
        "The order changes an earlier one that Odoo does not have, because the earlier event failed.",
        "Retry the older failed events of this patient first, oldest first, then this one.",
    ),
    rule(
        &["Can not process order. Order type:", "should be matched to a shop"],
        "Odoo has no shop for orders of this type.",
        "Map the order type to a shop in Odoo’s settings, then retry.",
    ),
    rule(
        &["Failed to login. The login user is"],
        "Odoo refused the login of the consumer.",
        "Correct Odoo’s user, password and database in the consumer’s settings, restart the consumer, then retry.",
    ),
    rule(
        &["Error occurred while trying to process Saleable Event"],
        "Odoo connect could not turn this reference data into a product.",
        "Check the named item in OpenMRS; a retry reads it again as it is then.",
    ),
    rule(
        &["Failed to fetch previous drug order"],
        "Odoo connect could not read the earlier drug order from OpenMRS.",
        "Check that OpenMRS answers and that the earlier order is still there, then retry.",
    ),
    rule(
        &["Odoo Server Error"],
        "Odoo failed while it handled the event; the reason is in Odoo’s own log only.",
        "Read Odoo’s log at the time of the failure, correct the cause, then retry.",
    ),
    rule(
        &["Response is null"],
        "Odoo gave no answer.",
        "Check that Odoo runs and that the bahmni modules are installed in it, then retry.",
    ),
    rule(
        &["Response is empty"],
        "Odoo gave an empty answer.",
        "Check that Odoo runs and that the bahmni modules are installed in it, then retry.",
    ),
    rule(
        &["Did not observe any item or terminal signal within"],
        "Odoo did not answer in time.",
        "Retry when Odoo is less busy; if it happens often, raise the consumer’s timeout.",
    ),
    // Any consumer that calls over HTTP
    rule(&["Could not authenticate with OpenMRS"], LOGIN.0, LOGIN.1),
    rule(
        &["Two factor authentication is enabled"],
        "The consumer’s user in OpenMRS must give a second factor, which a program cannot.",
        "Turn the second factor off for this user in OpenMRS, then retry.",
    ),
    rule(&["Bad response code of 401"], LOGIN.0, LOGIN.1),
    rule(
        &["Bad response code of 403"],
        "The consumer’s user may not read this record.",
        "Give the user the missing privilege in the publishing system, then retry.",
    ),
    gone(&["Bad response code of 404"]),
    gone(&["Bad response code of 410"]),
    gone(&["404 Not Found"]),
    gone(&["410 Gone"]),
    gone(&["HTTP response code: 404"]),
    gone(&["Object with given uuid doesn't exist"]),
    gone(&["Resource not found"]),
    rule(
        &["Bad response code of 5"],
        "The system that published the event failed while it was asked for the record.",
        "Read its log at the time of the failure; when it is well again, retry.",
    ),
    rule(
        &["Read timed out"],
        "The system that was called did not answer in time.",
        "Retry when it is less busy; if the same record times out again and again, look at that record.",
    ),
    rule(
        &["Connect to ", " failed: Connection refused"],
        "The system that was called was not running or could not be reached.",
        "Check that it runs again, then retry.",
    ),
    rule(
        &["Connection refused"],
        "The system that was called was not running or could not be reached.",
        "Check that it runs again, then retry.",
    ),
    rule(
        &["Unexpected character ('<' (code 60))"],
        "A web page came back instead of data, most often the login page.",
        "Check the consumer’s user and password, and that the publisher has finished starting, then retry.",
    ),
    rule(
        &["Unrecognized field \""],
        "The record holds a field that the consumer does not know: the versions of the two systems do not fit.",
        "Bring both systems to versions that belong together; a retry alone will not help.",
    ),
    // OpenMRS
    rule(
        &["Concept for lab test'", "' not found in openmrs"],
        "OpenELIS sent a result for a test that OpenMRS has no concept for.",
        "Add the test’s concept in OpenMRS, then retry.",
    ),
    rule(
        &["could not read accession data"],
        "OpenMRS could not read the results of this accession from OpenELIS.",
        "Check that OpenELIS answers and that the accession is still there, then retry.",
    ),
    // What only wraps another error, when the other one is not known or was cut off
    rule(
        &["Failed to fetch patient details"],
        "Crater’s consumer could not read the patient from OpenMRS.",
        "Check that OpenMRS answers and that the patient is still there, then retry.",
    ),
    rule(
        &["Error message: Expectation Failed:"],
        "Odoo did not accept the data of this event and says why.",
        "Correct in Odoo or OpenMRS what the message names, then retry.",
    ),
    rule(
        &["Post call to /api/bahmni-", " failed"],
        "Odoo did not accept this event; the reason was cut off or is not known here.",
        "Read Odoo’s log at the time of the failure, correct the cause, then retry.",
    ),
    rule(
        &["Failed send order to modality"],
        "The order could not be sent to the radiology system; the reason was cut off or is not known here.",
        "Read the log of pacs-integration at the time of the failure, then retry.",
    ),
];

/// The advice for an error text; `None` for an error that is not known.
pub fn advise(text: &str) -> Option<Advice> {
    rule_of(text).map(|rule| rule.advice)
}

/// What a known error always says, with an ellipsis for what changes from one time to the next, and its advice.
pub fn known(text: &str) -> Option<(String, Advice)> {
    rule_of(text).map(|rule| (rule.pieces.join("…"), rule.advice))
}

/// The pieces of every known error's text.
pub fn sentences() -> impl Iterator<Item = &'static str> {
    RULES.iter().flat_map(|rule| rule.pieces.iter().copied())
}

fn rule_of(text: &str) -> Option<&'static Rule> {
    let said = said(&error_text::parse_beginning(text, LOOKED_AT));
    RULES.iter().find(|rule| stand_in_order(&said, rule.pieces))
}

/// What the exceptions say: stack frames hold class names that could be taken for an error.
fn said(error: &ErrorText) -> String {
    error.causes.iter().map(|cause| cause.message.as_str()).collect::<Vec<_>>().join("\n")
}

fn stand_in_order(text: &str, pieces: &[&str]) -> bool {
    let mut rest = text;
    pieces.iter().all(|piece| match rest.find(piece) {
        Some(at) => {
            rest = rest.get(at + piece.len()..).unwrap_or("");
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
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
            ("Bad response code of 404".into(), "not there"),
            ("Bad response code of 410".into(), "not there"),
            ("Resource not found at http://openmrs:8080/openmrs/ws/rest/v1/patient/7".into(), "not there"),
            ("404 Not Found: Object with given uuid doesn't exist".into(), "not there"),
            ("Object with given uuid doesn't exist [null]".into(), "not there"),
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
        // Others that speak of something that is not found: what is missing can still arrive.
        for text in [
            format!("Patient with uuid '{UUID}' not found in ELIS"),
            "Patient Id not found in Odoo".to_owned(),
            format!("Concept for lab test'{UUID}' not found in openmrs"),
            "Unable to Cancel the Order. Previous order is not foundORD-19".to_owned(),
            "Bad response code of 500".to_owned(),
            "Bad response code of 403".to_owned(),
        ] {
            assert!(!gone(&text), "{text}");
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
}
