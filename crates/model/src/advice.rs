//! What the known errors of Bahmni's consumers mean, and what to do about them.
//!
//! The templates are those that the consumers themselves write (OpenElis, openerp-atomfeed-service, pacs-integration,
//! crater-atomfeed, bahmni-core). Each applies only to its applications, feeds and records. An error that is not among
//! them gets no advice: wrong advice costs more than none.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{
    FailedEventRow, Kind,
    error_text::{self, ErrorText},
    feed::category_of,
    group::Group,
    payload::record_kind,
};

/// What an error means, and what to do: one sentence each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    pub meaning: &'static str,
    pub todo: &'static str,
    /// The record of the event no longer exists: every retry fails again.
    pub gone: bool,
}

/// The warning beside a retry of an event whose record is missing.
pub const GONE: &str = "The record was deleted or never saved. A retry fails until the record exists. Otherwise discard the \
                        event.";

/// What is known of failed events with one error; what is empty is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The kinds of the applications that could not process them.
    pub consumers: Vec<Kind>,
    /// The categories of their feeds.
    pub categories: Vec<String>,
    /// The kinds of their records.
    pub records: Vec<String>,
    /// The publishers of their feeds: a system that the address names, otherwise its host.
    #[serde(default)]
    pub publishers: Vec<String>,
    /// The titles and tags of the events, as their publisher wrote them, in lower case.
    #[serde(default)]
    pub names: Vec<String>,
}

impl Subject {
    /// Returns the subject of a failed event of an application of this kind.
    pub fn of_row(row: &FailedEventRow, consumer: Option<Kind>) -> Self {
        let mut subject = Self::default();
        subject.add(consumer, row.feed_uri.as_deref());
        subject.records.extend(row.payload.as_deref().and_then(record_kind).map(str::to_owned));
        let tags = row.tags.as_deref().unwrap_or_default().split(',');
        let names = row.title.as_deref().into_iter().chain(tags).map(|name| name.trim().to_lowercase());
        subject.names.extend(names.filter(|name| !name.is_empty()));
        subject
    }

    /// Returns the subject of a group's failed events. `kind` returns an application's kind by its key.
    pub fn of_group(group: &Group, kind: impl Fn(&str) -> Option<Kind>) -> Self {
        let mut subject = Self::default();
        for place in &group.places {
            subject.add(kind(&place.app), place.feed_uri.as_deref());
        }
        subject
    }

    /// Adds failed events of this application and feed.
    pub fn add(&mut self, consumer: Option<Kind>, feed_uri: Option<&str>) {
        // The kind of an application that is not one of Bahmni's says nothing: it can be one under another name.
        let consumer = consumer.filter(|kind| *kind != Kind::Custom && !self.consumers.contains(kind));
        self.consumers.extend(consumer);
        let category = feed_uri.and_then(category_of).map(|category| category.to_lowercase());
        self.categories.extend(category.filter(|category| !self.categories.contains(category)));
        let publisher = feed_uri.and_then(publisher_in);
        self.publishers.extend(publisher.filter(|publisher| !self.publishers.contains(publisher)));
    }
}

/// Returns who publishes a feed, according to its address: the system that the path or the host names, otherwise the
/// host. `None` if the address is incomplete.
fn publisher_in(feed_uri: &str) -> Option<String> {
    const SYSTEMS: [&str; 4] = ["openelis", "openmrs", "odoo", "pacs"];
    let address = feed_uri.trim().to_lowercase();
    let (_, rest) = address.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    // The path first: several systems can share one host.
    let system = [path, host].into_iter().find_map(|part| SYSTEMS.into_iter().find(|system| part.contains(system)));
    system.or(Some(host).filter(|host| !host.is_empty())).map(str::to_owned)
}

/// What a rule applies to; empty: everything. A text alone can be another application's, or of another record.
#[derive(Clone, Copy)]
struct About {
    consumers: &'static [Kind],
    categories: &'static [&'static str],
    records: &'static [&'static str],
    publishers: &'static [&'static str],
    /// The names that such events may have: every title and tag must be among these.
    names: &'static [&'static str],
}

impl About {
    const fn consumer(kind: &'static [Kind]) -> Self {
        Self { consumers: kind, categories: &[], records: &[], publishers: &[], names: &[] }
    }

    /// Returns whether nothing that is known of the events contradicts it.
    fn takes(self, subject: &Subject) -> bool {
        fn meets<K, R: PartialEq<K>>(known: &[K], wanted: &[R]) -> bool {
            known.is_empty() || wanted.is_empty() || wanted.iter().any(|one| known.iter().any(|other| one == other))
        }
        meets(&subject.consumers, self.consumers)
            && meets(&subject.categories, self.categories)
            && meets(&subject.records, self.records)
            && meets(&subject.publishers, self.publishers)
            && (self.names.is_empty() || subject.names.iter().all(|name| self.names.contains(&name.as_str())))
    }
}

const OPENELIS: About = About::consumer(&[Kind::Openelis]);
const PACS: About = About::consumer(&[Kind::Pacs]);
const ODOO: About = About::consumer(&[Kind::Odoo]);
const CRATER: About = About::consumer(&[Kind::Crater]);
const OPENMRS: About = About::consumer(&[Kind::Openmrs]);
/// Results that OpenMRS reads from OpenELIS, whose feed of accessions is called "patient".
const ACCESSIONS: About = About {
    consumers: &[Kind::Openmrs],
    categories: &["patient", "accession", "result", "results"],
    records: &["accession"],
    publishers: &["openelis"],
    names: &["patient", "accession", "accessions", "result", "results", "lab result", "lab results"],
};
/// All programs that call others over HTTP.
const ANY: About = About::consumer(&[]);

/// A known error: what it applies to, pieces of text that must occur in this order, and the advice.
struct Rule {
    about: About,
    pieces: &'static [&'static str],
    advice: Advice,
}

const fn rule(about: About, pieces: &'static [&'static str], meaning: &'static str, todo: &'static str) -> Rule {
    Rule { about, pieces, advice: Advice { meaning, todo, gone: false } }
}

/// Returns a rule for a record that the other system no longer has.
const fn gone(pieces: &'static [&'static str]) -> Rule {
    let advice = Advice {
        meaning: "The record was deleted or never saved.",
        todo: "Open the payload’s link. If the record is deleted, discard the event; otherwise retry.",
        gone: true,
    };
    Rule { about: ANY, pieces, advice }
}

/// Bytes of a text in which advice is searched for.
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
const NO_SERVICE: (&str, &str) = (
    "Odoo does not have the service that this event is sent to.",
    "Check that the bahmni modules are installed in Odoo and that its address in the consumer’s settings is right, then retry.",
);

/// The specific ones first: the first rule that fits applies.
const RULES: &[Rule] = &[
    // OpenELIS
    rule(
        OPENELIS,
        &["Patient with uuid '", "' not found in ELIS"],
        "The encounter came before its patient, or the patient itself failed.",
        "Retry the patient’s own failed event first; once the patient is in OpenELIS, retry this one.",
    ),
    rule(
        OPENELIS,
        &["Test '", "' was not setup properly. No external reference for Test"],
        REFERENCE_DATA.0,
        REFERENCE_DATA.1,
    ),
    rule(
        OPENELIS,
        &["Panel '", "' was not setup properly. No external reference for Panel"],
        REFERENCE_DATA.0,
        REFERENCE_DATA.1,
    ),
    rule(OPENELIS, &["Preferred or Primary identifier is not available for the patient"], IDENTIFIER.0, IDENTIFIER.1),
    rule(
        OPENELIS,
        &[" test doesn't exist"],
        "OpenELIS has no test of this name.",
        "Add the test in OpenELIS, or retry its failed event of the lab feed, then retry this one.",
    ),
    rule(
        OPENELIS,
        &[" panel doesn't exist"],
        "OpenELIS has no panel of this name.",
        "Add the panel in OpenELIS, or retry its failed event of the lab feed, then retry this one.",
    ),
    rule(
        OPENELIS,
        &["Error while saving panel - "],
        "OpenELIS could not save the panel.",
        "Check for another panel of the same name and for missing tests in OpenELIS, fix this, then retry.",
    ),
    rule(
        OPENELIS,
        &["Error while saving test - "],
        "OpenELIS could not save the test.",
        "Check for another test of the same name and check the sample type in OpenELIS, fix this, then retry.",
    ),
    rule(
        OPENELIS,
        &["no property found for '", "' in site_information table"],
        "A setting is missing in OpenELIS, so no event of this kind can succeed.",
        "Add the named row to the table site_information of OpenELIS, then retry.",
    ),
    // PACS: what it wraps has another meaning there than elsewhere.
    rule(
        PACS,
        &["Failed send order to modality", "Connection refused"],
        "The radiology system (modality or DCM4chee) does not accept connections.",
        "Start it or correct its address and port in the table modality of pacs-integration, then retry.",
    ),
    rule(
        PACS,
        &["Unable to create HL7 message. Missing concept source for order"],
        "The ordered radiology test has no mapping to the modality’s codes in OpenMRS.",
        "Add the concept’s mapping in OpenMRS, then retry.",
    ),
    rule(
        PACS,
        &["Unable to Cancel the Order. Previous order is not found"],
        "The order to be cancelled never reached pacs-integration.",
        "Retry the failed event of the earlier order first. If there is none, nothing needs to be cancelled.",
    ),
    rule(
        PACS,
        &["Unable to send the message to the modality"],
        "The modality did not accept the order’s HL7 message.",
        "Read the modality’s answer at the end of the message, fix the cause, then retry. A retry can send the order twice.",
    ),
    rule(
        PACS,
        &["Encounter location cannot be null for order"],
        "The order’s encounter has no location in OpenMRS.",
        "Set the encounter’s location in OpenMRS, then retry.",
    ),
    // Odoo
    rule(
        ODOO,
        &["Patient Id not found in Odoo"],
        "Odoo does not know this patient yet: the patient’s own event failed or has not been read.",
        "Retry the patient’s own failed event first; once the patient is in Odoo, retry this one.",
    ),
    rule(
        ODOO,
        &["Previous order id does not exist in DB"],
        "The order changes an earlier one that Odoo does not have, because the earlier event failed.",
        "Retry the older failed events of this patient first, oldest first, then this one.",
    ),
    rule(
        ODOO,
        &["Can not process order. Order type:", "should be matched to a shop"],
        "Odoo has no shop for orders of this type.",
        "Map the order type to a shop in Odoo’s settings, then retry.",
    ),
    rule(
        ODOO,
        &["Failed to login. The login user is"],
        "Odoo refused the login of the consumer.",
        "Correct Odoo’s user, password and database in the consumer’s settings, restart the consumer, then retry.",
    ),
    rule(
        ODOO,
        &["Error occurred while trying to process Saleable Event"],
        "Odoo connect could not turn this reference data into a product.",
        "Check the named item in OpenMRS. A retry reads the current version.",
    ),
    rule(
        ODOO,
        &["Failed to fetch previous drug order"],
        "Odoo connect could not read the earlier drug order from OpenMRS.",
        "Check that OpenMRS answers and that the earlier order is still there, then retry.",
    ),
    rule(
        ODOO,
        &["Odoo Server Error"],
        "Odoo failed to process the event. The reason is only in Odoo’s own log.",
        "Check Odoo’s log at the time of the failure, fix the cause, then retry.",
    ),
    rule(
        ODOO,
        &["Response is null"],
        "Odoo gave no answer.",
        "Check that Odoo runs and that the bahmni modules are installed in it, then retry.",
    ),
    rule(
        ODOO,
        &["Response is empty"],
        "Odoo gave an empty answer.",
        "Check that Odoo runs and that the bahmni modules are installed in it, then retry.",
    ),
    rule(
        ODOO,
        &["Did not observe any item or terminal signal within"],
        "Odoo did not answer in time.",
        "Retry when Odoo is less busy; if it happens often, raise the consumer’s timeout.",
    ),
    // Any consumer that calls over HTTP
    rule(ANY, &["Could not authenticate with OpenMRS"], LOGIN.0, LOGIN.1),
    rule(
        ANY,
        &["Two factor authentication is enabled"],
        "The consumer’s user in OpenMRS must give a second factor, which a program cannot.",
        "Turn the second factor off for this user in OpenMRS, then retry.",
    ),
    rule(ANY, &["Bad response code of 401"], LOGIN.0, LOGIN.1),
    rule(
        ANY,
        &["Bad response code of 403"],
        "The consumer’s user may not read this record.",
        "Give the user the missing privilege in the publishing system, then retry.",
    ),
    gone(&["Bad response code of 404"]),
    gone(&["Bad response code of 410"]),
    // What is sent to Odoo is not a record of Odoo: the service itself is missing.
    rule(ANY, &["Post call to /api/bahmni-", "404 Not Found"], NO_SERVICE.0, NO_SERVICE.1),
    rule(ANY, &["Post call to /api/bahmni-", "404: Not Found"], NO_SERVICE.0, NO_SERVICE.1),
    rule(ANY, &["Post call to /api/bahmni-", "404 : ["], NO_SERVICE.0, NO_SERVICE.1),
    // Apache, Tomcat and Java's own client, Spring, Python's urllib and requests, Feign and Retrofit.
    gone(&["404 Not Found"]),
    gone(&["404: Not Found"]),
    gone(&["404 - Not Found"]),
    gone(&["404 Client Error"]),
    gone(&["404 : [no body]"]),
    gone(&["404 : ["]),
    gone(&["404 : \""]),
    gone(&["404 null"]),
    gone(&["[404] during [GET]"]),
    gone(&["\"status\":404"]),
    gone(&["status 404"]),
    gone(&["status code 404"]),
    gone(&["status code: 404"]),
    gone(&["response code 404"]),
    gone(&["response code: 404"]),
    gone(&["HTTP 404"]),
    gone(&["HTTP/1.1 404"]),
    gone(&["HTTP error 404"]),
    gone(&["410 Gone"]),
    gone(&["410: Gone"]),
    gone(&["410 - Gone"]),
    gone(&["410 Client Error"]),
    gone(&["410 : [no body]"]),
    gone(&["410 : ["]),
    gone(&["410 : \""]),
    gone(&["410 null"]),
    gone(&["[410] during [GET]"]),
    gone(&["\"status\":410"]),
    gone(&["status 410"]),
    gone(&["status code 410"]),
    gone(&["status code: 410"]),
    gone(&["response code 410"]),
    gone(&["response code: 410"]),
    gone(&["HTTP 410"]),
    gone(&["HTTP/1.1 410"]),
    gone(&["HTTP error 410"]),
    // What Java's own client says of 404 and 410 alike.
    gone(&["FileNotFoundException: http"]),
    gone(&["uuid doesn't exist"]),
    gone(&["uuid does not exist"]),
    gone(&["Resource not found"]),
    rule(
        ANY,
        &["Bad response code of 5"],
        "The system that published the event failed while it was asked for the record.",
        "Check its log at the time of the failure. Retry when the system works again.",
    ),
    rule(
        ANY,
        &["Read timed out"],
        "The system that was called did not answer in time.",
        "Retry when it is less busy; if the same record times out again, check that record.",
    ),
    rule(
        ANY,
        &["Connect to ", " failed: Connection refused"],
        "The system that was called was not running or could not be reached.",
        "Check that it runs again, then retry.",
    ),
    rule(
        ANY,
        &["Connection refused"],
        "The system that was called was not running or could not be reached.",
        "Check that it runs again, then retry.",
    ),
    rule(
        ANY,
        &["Unexpected character ('<' (code 60))"],
        "A web page came back instead of data, most often the login page.",
        "Check the consumer’s user and password, and that the publisher has finished starting, then retry.",
    ),
    rule(
        ANY,
        &["Unrecognized field \""],
        "The record has a field that the consumer does not know: the versions of the two systems do not match.",
        "Install matching versions of both systems. A retry alone does not help.",
    ),
    // OpenMRS
    rule(
        OPENMRS,
        &["Concept for lab test'", "' not found in openmrs"],
        "OpenELIS sent a result for a test that OpenMRS has no concept for.",
        "Add the test’s concept in OpenMRS, then retry.",
    ),
    rule(
        ACCESSIONS,
        &["could not read accession data"],
        "OpenMRS could not read the results of this accession from OpenELIS.",
        "Check that OpenELIS answers and that the accession is still there, then retry.",
    ),
    // Errors that only wrap another one, if that is not known or was cut off
    rule(
        CRATER,
        &["Failed to fetch patient details"],
        "Crater’s consumer could not read the patient from OpenMRS.",
        "Check that OpenMRS answers and that the patient is still there, then retry.",
    ),
    rule(
        ODOO,
        &["Error message: Expectation Failed:"],
        "Odoo did not accept the data of this event and says why.",
        "Fix in Odoo or OpenMRS what the message names, then retry.",
    ),
    rule(
        ODOO,
        &["Post call to /api/bahmni-", " failed"],
        "Odoo did not accept this event; the reason was cut off or is not known here.",
        "Check Odoo’s log at the time of the failure, fix the cause, then retry.",
    ),
    rule(
        PACS,
        &["Failed send order to modality"],
        "The order could not be sent to the radiology system; the reason was cut off or is not known here.",
        "Check the log of pacs-integration at the time of the failure, then retry.",
    ),
];

/// Returns the advice for an error text of which nothing else is known; `None` for an unknown error.
pub fn advise(text: &str) -> Option<Advice> {
    advise_on(text, &Subject::default())
}

/// Returns the advice for failed events with an error text; `None` for an error that is unknown for such events.
pub fn advise_on(text: &str, subject: &Subject) -> Option<Advice> {
    rule_of(text, subject).map(|rule| rule.advice)
}

/// Returns the fixed text of a known error, with an ellipsis for what changes from one time to the next, and its
/// advice.
pub fn known(text: &str) -> Option<(String, Advice)> {
    rule_of(text, &Subject::default()).map(|rule| (rule.pieces.join("…"), rule.advice))
}

/// Returns the pieces of every known error's text.
pub fn sentences() -> impl Iterator<Item = &'static str> {
    RULES.iter().flat_map(|rule| rule.pieces.iter().copied())
}

fn rule_of(text: &str, subject: &Subject) -> Option<&'static Rule> {
    // Servers and versions differ in upper and lower case and in the apostrophe.
    static AS_COMPARED: LazyLock<Vec<(Vec<String>, &Rule)>> = LazyLock::new(|| {
        let pieces = |rule: &Rule| rule.pieces.iter().map(|piece| piece.to_ascii_lowercase()).collect();
        RULES.iter().map(|rule| (pieces(rule), rule)).collect()
    });
    let said = said(&error_text::parse_beginning(text, LOOKED_AT)).to_ascii_lowercase().replace('’', "'");
    let rule = AS_COMPARED.iter().find(|(pieces, rule)| rule.about.takes(subject) && stand_in_order(&said, pieces));
    rule.map(|(_, rule)| *rule)
}

/// Returns what the exceptions say, without stack frames, whose class names could be taken for an error. The one class
/// that says more than its message is written before it.
fn said(error: &ErrorText) -> String {
    let mut said = String::new();
    for cause in &error.causes {
        if cause.class.as_deref() == Some("java.io.FileNotFoundException") {
            said.push_str("FileNotFoundException: ");
        }
        said.push_str(&cause.message);
        said.push('\n');
    }
    said
}

fn stand_in_order(text: &str, pieces: &[String]) -> bool {
    let mut rest = text;
    pieces.iter().all(|piece| match rest.find(piece.as_str()) {
        Some(at) => {
            rest = rest.get(at + piece.len()..).unwrap_or("");
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests;
