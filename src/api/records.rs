//! Records: where a patient, an encounter, an order or a lab sample is on its way through the hospital's systems.

use leptos::{prelude::*, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::model::Right;
use crate::{
    error::Problem,
    model::{
        ApplicationInfo, EventKey, Stamp,
        feed_names::NamedFeed,
        ledger::LedgerEvent,
        record::{PersonsShown, RecordName, RecordRef},
    },
};

/// Most failed events that a search shows of the records found.
pub const EVENTS_OF_RECORDS: u32 = 100;

/// A record that a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundRecord {
    /// Key and name of its application.
    pub app: String,
    pub place: String,
    pub name: RecordName,
    /// What of it was searched for: `identifier`, `order number`.
    pub by: String,
}

/// A record of another application, or another record of this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelatedRecord {
    pub app: String,
    pub name: RecordName,
    /// What it is for the page's record: `Patient`, `Order`, `Encounter`, `Merged into`.
    pub role: String,
}

/// A step of a record on its way to one consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Station {
    Raised,
    Published,
    Read,
    Processed,
    Arrived,
}

impl Station {
    /// Returns the heading of the step.
    pub fn in_words(self) -> &'static str {
        match self {
            Station::Raised => "Saved",
            Station::Published => "Published",
            Station::Read => "Read",
            Station::Processed => "Processed",
            Station::Arrived => "Arrived",
        }
    }
}

/// What is known of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reached {
    /// It happened, at this time if that is known.
    Yes(Option<Stamp>),
    /// It did not happen.
    No,
    /// It follows from a later step.
    Passed,
    /// It cannot be told: the reason, as a sentence.
    Unknown(String),
}

/// A step with what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub station: Station,
    pub reached: Reached,
    /// What was found, in words: `bill S00042`, `event 1125`.
    pub evidence: Option<String>,
    /// The failed event that is the evidence.
    pub event: Option<EventKey>,
}

/// Where a record is, for one consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The consumer ignores such records.
    NotExpected,
    Arrived,
    /// The event failed and waits for its next try.
    Waiting,
    /// The event failed, and its retries are used up.
    Failed,
    /// It was discarded in the console.
    Discarded,
    /// It waits in the publisher's queue.
    Queued,
    /// It is published, and the consumer has not read it yet.
    Unread,
    /// Nothing was published since it was saved.
    NeverPublished,
    /// The consumer has read it without a failure, and does not have it.
    Gone,
    /// The step before is not finished: a lab result that waits for its validation.
    NotYet,
    CannotTell,
}

impl Verdict {
    /// Returns the word of its badge.
    pub fn in_words(self) -> &'static str {
        match self {
            Verdict::NotExpected => "Not expected",
            Verdict::Arrived => "Arrived",
            Verdict::Waiting => "Failed, waiting for a retry",
            Verdict::Failed => "Failed",
            Verdict::Discarded => "Discarded",
            Verdict::Queued => "In the queue",
            Verdict::Unread => "Not read yet",
            Verdict::NeverPublished => "Never published",
            Verdict::Gone => "Read, but not there",
            Verdict::NotYet => "Not finished",
            Verdict::CannotTell => "Cannot tell",
        }
    }
}

/// The way of a record to one consumer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// What goes there: `ORD-307 Haemoglobin`, `The patient`, `The result of ORD-307`.
    pub what: String,
    /// The record, if it has a page of its own that is not this one.
    pub record: Option<(String, RecordRef)>,
    pub consumer: ApplicationInfo,
    pub verdict: Verdict,
    /// Why, as sentences.
    pub why: String,
    pub steps: Vec<Step>,
}

/// The page of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordPage {
    pub info: ApplicationInfo,
    pub name: RecordName,
    pub persons: PersonsShown,
    /// Facts about it: label and value.
    pub facts: Vec<(String, String)>,
    pub at: Option<Stamp>,
    pub related: Vec<RelatedRecord>,
    pub ways: Vec<Way>,
    /// Failed events of it and of what belongs to it, present and past, the newest first.
    pub events: Vec<LedgerEvent>,
    /// What could not be read, one sentence each.
    pub lacking: Vec<String>,
    /// The record in the hospital's own system, for a browser.
    pub link: Option<String>,
    pub applications: Vec<ApplicationInfo>,
    pub names: Vec<NamedFeed>,
}

/// Returns the page of a record of an application.
#[server(prefix = "/api", input = GetUrl, endpoint = "record")]
pub async fn view_record(app: String, kind: String, uuid: String) -> Result<RecordPage, Problem> {
    let unknown = || {
        Problem::not_found(
            "This is not the address of a record.",
            "Search for the patient's identifier, an order number or a uuid.",
        )
    };
    let record = RecordRef { kind: kind.parse().map_err(|_| unknown())?, uuid };
    if !record.is_plausible() {
        return Err(unknown());
    }
    crate::server::records::page(&super::console_for(Right::See)?, &super::actor()?, &app, record).await
}
