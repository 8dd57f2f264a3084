//! Where a record is on its way to one consumer: saved, published, read, processed, arrived; or the first step that did
//! not happen, and why.
//!
//! The rules of what each consumer takes are those of its own code: OpenElis, openerp-atomfeed-service and
//! pacs-integration, as of 2026. What cannot be read is told as such, never guessed.

use chrono::{DateTime, Utc};

use crate::{
    api::records::{Reached, Station, Step, Verdict, Way},
    model::{
        ApplicationInfo, EventKey, Kind, Stamp,
        ledger::{LedgerEvent, LifeState},
        record::RecordRef,
    },
    server::sources::records::Order,
};

/// What a consumer has of a record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Arrival {
    /// It is there: since when, and what was found.
    There {
        at: Option<Stamp>,
        evidence: String,
        note: Option<String>,
    },
    Missing,
    /// It cannot be told: the reason, as a sentence.
    Unknown(String),
}

/// What the publisher has published of a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Publication {
    /// The events of the record, oldest first: id and time.
    pub events: Vec<(i64, Option<Stamp>)>,
    /// Why not all events are known.
    pub unknown: Option<String>,
    /// It waits in the queue, since then.
    pub queued: Option<Option<Stamp>>,
}

/// How far a consumer has read the feed in which the record is published.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// The publisher's id of the event that the marker names.
    pub read_to: Option<i64>,
    /// Events that are published and not read.
    pub behind: Option<u64>,
    /// Why it is not known.
    pub unknown: Option<String>,
    /// The feed is stopped or its job does not run, as a sentence.
    pub trouble: Option<String>,
}

/// Everything that decides one way.
pub(super) struct Facts<'a> {
    pub what: String,
    pub record: Option<(String, RecordRef)>,
    pub consumer: &'a ApplicationInfo,
    /// When the record was saved in the publisher, last.
    pub saved: Option<Stamp>,
    /// Why the consumer ignores such records, as a sentence.
    pub ignored: Option<String>,
    /// A step before publishing that is not finished, as a sentence.
    pub unfinished: Option<String>,
    pub publication: Publication,
    pub progress: Progress,
    /// Failed events of the record at this consumer, the newest first.
    pub failed: Vec<&'a LedgerEvent>,
    /// Failed events of its patient at this consumer.
    pub failed_of_patient: Vec<&'a LedgerEvent>,
    pub arrival: Arrival,
}

/// Returns the way with its verdict. The order of the rules: not expected, arrived, failed, queued, unread, never
/// published, read but not there, cannot tell.
pub(super) fn way(facts: Facts<'_>) -> Way {
    let newest = facts.publication.events.last();
    let read = match (newest, facts.progress.read_to) {
        (Some((id, _)), Some(read_to)) => Some(*id <= read_to),
        _ => None,
    };
    let (verdict, why, shown) = verdict(&facts, read);
    Way {
        steps: steps(&facts, read, verdict, shown),
        what: facts.what,
        record: facts.record,
        consumer: facts.consumer.clone(),
        verdict,
        why,
    }
}

/// Returns the verdict, its reason, and the failed event that it stands on.
fn verdict<'a>(facts: &Facts<'a>, read: Option<bool>) -> (Verdict, String, Option<&'a LedgerEvent>) {
    let name = &facts.consumer.name;
    let in_state =
        |events: &[&'a LedgerEvent], is: fn(LifeState) -> bool| events.iter().copied().find(|event| is(event.state));
    let own = in_state(&facts.failed, LifeState::is_open);
    let of_patient = in_state(&facts.failed_of_patient, LifeState::is_open);
    if let Some(reason) = &facts.ignored {
        return (Verdict::NotExpected, reason.clone(), None);
    }
    if let Arrival::There { evidence, note, .. } = &facts.arrival {
        let newer = match own {
            Some(_) => " A later change of it failed.",
            None => "",
        };
        let note = note.as_deref().map(|note| format!(" {note}")).unwrap_or_default();
        return (Verdict::Arrived, format!("{name} has it: {evidence}.{note}{newer}"), own);
    }
    // The patient's event is the reason unless it failed later: then the patient was there.
    let of_patient = of_patient.filter(|event| own.is_none_or(|own| failed_at(event) <= failed_at(own)));
    if let Some(event) = of_patient.or(own) {
        let whose = if of_patient.is_some() { "The event of the patient failed before it" } else { "Its event failed" };
        let own =
            own.filter(|_| of_patient.is_some()).map(|own| format!(" Its own event failed, too ({}).", called(own)));
        let own = own.unwrap_or_default();
        return match event.state {
            LifeState::Waiting => {
                (Verdict::Waiting, format!("{whose} in {name} and waits for its next try.{own}"), Some(event))
            }
            _ => {
                let todo = if of_patient.is_some() { " Retry the patient's event first." } else { "" };
                (Verdict::Failed, format!("{whose} in {name}, and its retries are used up.{todo}{own}"), Some(event))
            }
        };
    }
    if let Some(event) = in_state(&facts.failed, |state| state == LifeState::Discarded) {
        return (Verdict::Discarded, format!("Its failed event was discarded in {name}."), Some(event));
    }
    if let Some(reason) = &facts.unfinished {
        return (Verdict::NotYet, reason.clone(), None);
    }
    if facts.publication.queued.is_some() {
        return (
            Verdict::Queued,
            "It is saved and waits in the publisher's queue. Its task publishes it.".to_owned(),
            None,
        );
    }
    if read == Some(false) {
        let ahead = match facts.progress.behind {
            Some(1) => "1 event is not read yet.".to_owned(),
            Some(behind) => format!("{} events are not read yet.", crate::model::words::number(behind)),
            None => String::new(),
        };
        let trouble = facts.progress.trouble.as_deref().unwrap_or_default();
        let why = [format!("{name} has not read its event."), ahead, trouble.to_owned()];
        return (Verdict::Unread, why.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "), None);
    }
    if facts.publication.events.is_empty() && facts.publication.unknown.is_none() {
        let why = "No event was published since it was saved. Save the record again in its own system.";
        return (Verdict::NeverPublished, why.to_owned(), None);
    }
    match (&facts.arrival, read) {
        (Arrival::Missing, Some(true)) => {
            let why = format!(
                "{name} read its event without a failure and does not have it. It was removed there later, the marker was \
                 set beyond it, or {name} ignored it for a reason that it does not record."
            );
            (Verdict::Gone, why, None)
        }
        (Arrival::Unknown(reason), _) => (Verdict::CannotTell, reason.clone(), None),
        _ => {
            let unknown = facts.publication.unknown.as_deref().or(facts.progress.unknown.as_deref());
            let reason = unknown.unwrap_or("How far it was read is not known.");
            (Verdict::CannotTell, format!("{name} does not have it. {reason}"), None)
        }
    }
}

/// Returns when an event failed first, as far as that is known.
fn failed_at(event: &LedgerEvent) -> DateTime<Utc> {
    event.failed_at.unwrap_or(event.seen.at)
}

fn called(event: &LedgerEvent) -> String {
    format!("failed event {}", event.row_id)
}

fn steps(facts: &Facts<'_>, read: Option<bool>, verdict: Verdict, shown: Option<&LedgerEvent>) -> Vec<Step> {
    if verdict == Verdict::NotExpected {
        return Vec::new();
    }
    let step = |station, reached, evidence| Step { station, reached, evidence, event: None };
    let there = matches!(facts.arrival, Arrival::There { .. });
    let failed = shown.is_some();
    let published = match facts.publication.events.last() {
        Some((id, at)) => (Reached::Yes(at.clone()), Some(format!("event {id}"))),
        None if facts.publication.queued.is_some() => (Reached::No, Some("in the queue".to_owned())),
        None if there || failed => (Reached::Passed, None),
        None => match &facts.publication.unknown {
            Some(reason) => (Reached::Unknown(reason.clone()), None),
            None => (Reached::No, None),
        },
    };
    let saved = match &facts.unfinished {
        Some(reason) => (Reached::No, Some(reason.clone())),
        None => (Reached::Yes(facts.saved.clone()), None),
    };
    let read = match read {
        Some(true) => Reached::Yes(None),
        _ if there || failed => Reached::Passed,
        Some(false) => Reached::No,
        None if facts.publication.events.is_empty() && facts.publication.unknown.is_none() => Reached::No,
        None => Reached::Unknown(
            facts.progress.unknown.clone().unwrap_or_else(|| "How far it was read is not known.".to_owned()),
        ),
    };
    let processed = match (shown, there) {
        (Some(event), _) => Step {
            station: Station::Processed,
            reached: Reached::No,
            evidence: Some(called(event)),
            event: Some(EventKey { app: event.app.clone(), id: event.row_id }),
        },
        (None, true) => step(Station::Processed, Reached::Passed, None),
        (None, false) if read == Reached::Yes(None) => {
            step(Station::Processed, Reached::Passed, Some("no failure".to_owned()))
        }
        (None, false) => step(Station::Processed, Reached::No, None),
    };
    let arrived = match &facts.arrival {
        Arrival::There { at, evidence, .. } => (Reached::Yes(at.clone()), Some(evidence.clone())),
        Arrival::Missing => (Reached::No, None),
        Arrival::Unknown(reason) => (Reached::Unknown(reason.clone()), None),
    };
    vec![
        step(Station::Raised, saved.0, saved.1),
        step(Station::Published, published.0, published.1),
        step(Station::Read, read, None),
        processed,
        step(Station::Arrived, arrived.0, arrived.1),
    ]
}

/// Returns why a consumer ignores an order, as a sentence; `None` if it takes it. `types`: the order types that it
/// takes, if it has a list of them. `product`: whether Odoo has an active product for it, if that is known.
pub(super) fn ignored(
    order: &Order,
    consumer: &ApplicationInfo,
    types: Option<&[String]>,
    product: Option<bool>,
) -> Option<String> {
    let name = &consumer.name;
    if order.invisible {
        return Some(
            "No consumer gets it: it is stored as a test order or a referral order, which the encounter's resource leaves \
             out."
                .to_owned(),
        );
    }
    let order_type = order.order_type.as_deref().unwrap_or_default();
    let discontinues = order.action.as_deref() == Some("DISCONTINUE");
    match consumer.kind {
        Kind::Openelis => {
            if order_type != "Lab Order" {
                Some(format!("{name} takes orders of the type Lab Order only; this one is of the type {order_type:?}."))
            } else if discontinues {
                Some(format!("{name} ignores an order that stops another one."))
            } else {
                order.stopped.as_ref().map(|_| format!("{name} ignores an order that was stopped."))
            }
        }
        Kind::Odoo => {
            if order.is_drug && order.drug.is_none() {
                return Some(format!("{name} ignores drugs that are typed and not chosen from the list."));
            }
            if types.is_some_and(|types| !types.iter().any(|known| known == order_type)) {
                return Some(format!("{name} has no order type {order_type:?}."));
            }
            if discontinues {
                return Some(format!("An order that stops another one gets no line of its own in {name}."));
            }
            (product == Some(false)).then(|| {
                format!("{name} has no active product for it: the drug or test was not synchronised, or is archived.")
            })
        }
        Kind::Pacs => types
            .is_some_and(|types| !types.iter().any(|known| known == order_type))
            .then(|| format!("{name} takes no orders of the type {order_type:?}.")),
        Kind::Openmrs | Kind::Crater | Kind::Custom => None,
    }
}

#[cfg(test)]
mod tests;
