//! What the consumers have of the orders of one encounter.

use std::collections::BTreeSet;

use super::way::Arrival;
use crate::{
    model::{Availability, Kind, ledger::LedgerEvent},
    server::sources::{
        Source, SourceError,
        records::{BillLine, ImagingOrder, LabTest, LinesBy, Order, Patient, SamplesBy},
    },
};

/// What belongs to an order, read once for all orders of a page.
pub(super) struct Around<'a> {
    pub(super) patient: Option<&'a Patient>,
    pub(super) orders: &'a [Order],
    pub(super) events: Vec<LedgerEvent>,
}

/// What a consumer has of the orders of one encounter.
pub(super) struct AtConsumer {
    kind: Kind,
    pub(super) types: Option<Vec<String>>,
    tests: Result<Vec<LabTest>, String>,
    lines: Result<Vec<BillLine>, String>,
    images: Result<Vec<ImagingOrder>, String>,
    /// The uuids of active products, if they could be read.
    products: Option<BTreeSet<String>>,
}

impl AtConsumer {
    pub(super) async fn read(consumer: &Source, encounter: &str, around: &Around<'_>) -> Self {
        let (kind, name) = (consumer.app().info.kind, &consumer.app().info.name);
        let encounters = [encounter.to_owned()];
        let mut read =
            Self { kind, types: None, tests: Ok(vec![]), lines: Ok(vec![]), images: Ok(vec![]), products: None };
        let no_patient = "The patient of the encounter is not known.";
        match kind {
            Kind::Openelis => {
                read.tests = match around.patient {
                    Some(patient) => {
                        let by = SamplesBy::Encounters { patient: &patient.uuid, encounters: &encounters };
                        told(consumer.record_lab_tests(by).await, name)
                    }
                    None => Err(no_patient.to_owned()),
                };
            }
            Kind::Odoo => {
                read.types = told(consumer.record_order_types().await, name).ok().flatten();
                let uuids: BTreeSet<String> = around.orders.iter().filter_map(product_of).collect();
                let uuids: Vec<String> = uuids.into_iter().collect();
                read.products = told(consumer.record_products(&uuids).await, name).ok().map(|products| {
                    products.into_iter().filter(|product| product.active).map(|product| product.uuid).collect()
                });
                read.lines = match around.patient {
                    Some(patient) => {
                        let by = LinesBy::Encounters { identifiers: &patient.identifiers, encounters: &encounters };
                        told(consumer.record_bill_lines(by).await, name)
                    }
                    None => Err(no_patient.to_owned()),
                };
            }
            Kind::Pacs => {
                read.types = told(consumer.record_order_types().await, name).ok().flatten();
                let uuids: Vec<String> = around.orders.iter().map(|order| order.uuid.clone()).collect();
                read.images = told(consumer.record_imaging_orders(&uuids).await, name);
            }
            Kind::Openmrs | Kind::Crater | Kind::Custom => {}
        }
        read
    }

    pub(super) fn has_product(&self, order: &Order) -> Option<bool> {
        Some(self.products.as_ref()?.contains(&product_of(order)?))
    }

    pub(super) fn arrival(&self, order: &Order) -> Arrival {
        match self.kind {
            Kind::Openelis => match &self.tests {
                Ok(tests) => {
                    let of_order: Vec<&LabTest> = tests.iter().filter(|test| is_of(test, order)).collect();
                    let alive = of_order.iter().find(|test| test.status.as_deref() != Some("Test Canceled"));
                    match (alive, of_order.first()) {
                        (Some(test), _) => Arrival::There {
                            at: test.entered.clone(),
                            evidence: match &test.accession {
                                Some(accession) => format!("lab sample {accession}"),
                                None => "ordered, no sample collected yet".to_owned(),
                            },
                            note: test.status.as_deref().map(|status| format!("Its test is in the state {status}.")),
                        },
                        (None, Some(_)) => Arrival::There {
                            at: None,
                            evidence: "the test, cancelled in the laboratory".to_owned(),
                            note: None,
                        },
                        (None, None) => Arrival::Missing,
                    }
                }
                Err(reason) => Arrival::Unknown(reason.clone()),
            },
            Kind::Odoo => match &self.lines {
                Ok(lines) => match lines.iter().find(|line| line.order.as_deref() == Some(&order.uuid)) {
                    Some(line) => Arrival::There {
                        at: line.created.clone(),
                        evidence: format!("bill {}", line.bill),
                        note: line.state.as_deref().map(|state| format!("The bill is in the state {state}.")),
                    },
                    None => Arrival::Missing,
                },
                Err(reason) => Arrival::Unknown(reason.clone()),
            },
            _ => match &self.images {
                Ok(images) => match images.iter().find(|image| image.order == order.uuid) {
                    Some(image) => Arrival::There {
                        at: image.created.clone(),
                        evidence: match &image.number {
                            Some(number) => format!("order {number}"),
                            None => "the order by uuid".to_owned(),
                        },
                        note: None,
                    },
                    None => Arrival::Missing,
                },
                Err(reason) => Arrival::Unknown(reason.clone()),
            },
        }
    }
}

/// Returns the uuid of the product that stands for an order in Odoo.
fn product_of(order: &Order) -> Option<String> {
    if order.is_drug { order.drug.clone() } else { order.concept.clone() }
}

/// Returns whether a lab test is of an order: OpenELIS keeps the concept, not the order.
pub(super) fn is_of(test: &LabTest, order: &Order) -> bool {
    let concept = order.concept.as_deref();
    concept.is_some() && (test.test_concept.as_deref() == concept || test.panel_concept.as_deref() == concept)
}

pub(super) fn accessions(tests: &[LabTest]) -> Vec<String> {
    let numbers: BTreeSet<String> = tests.iter().filter_map(|test| test.accession.clone()).collect();
    numbers.into_iter().collect()
}

/// Returns an answer, or why there is none, as a sentence.
pub(super) fn told<T>(answer: Result<Availability<T>, SourceError>, name: &str) -> Result<T, String> {
    match answer {
        Ok(Availability::Here(found)) => Ok(found),
        Ok(Availability::NotHere(reason)) => Err(format!("It cannot be looked up in {name}: {reason}.")),
        Err(error) => Err(error.reason),
    }
}

pub(super) fn unknown<T>(answer: Result<Availability<T>, SourceError>, name: &str) -> Arrival {
    Arrival::Unknown(told(answer, name).err().unwrap_or_default())
}
