//! Activity of the demo hospital: patients are registered, seen and tested, and now and then something breaks.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use fastrand::Rng;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Fault, Hospital, made::Made};
use crate::clock;
use crate::demo::{
    faults::Place,
    history::{Category, hyphenated, uuid},
    records::catalogue::Kind,
};
use atomfeed::{DatabaseError, MARKERS_STAY_BEHIND, NewEvent};

/// Mean time between two activities, in a real hospital's time.
const SOMETHING_HAPPENS: Duration = Duration::from_secs(30);
/// Interval at which queued events are published to the feeds.
const PUBLISHES: Duration = Duration::from_secs(2);
/// Interval at which offset markers are written; a day in a real hospital.
const WRITES_MARKERS: Duration = Duration::from_secs(3600);
/// Mean time between two troubles that start by themselves.
const SOMETHING_BREAKS: Duration = Duration::from_secs(15 * 60);

/// Number of recently registered patients who have further encounters.
const PATIENTS_ABOUT: usize = 12;

/// Starts everything that happens by itself.
pub(super) fn start(hospital: &Arc<Hospital>, stop: &CancellationToken, tasks: &TaskTracker) {
    let spawn = |work: &'static str, mean: Duration, regular: bool| {
        let (hospital, stop) = (Arc::clone(hospital), stop.clone());
        tasks.spawn(async move { again_and_again(hospital, work, mean, regular, stop).await });
    };
    spawn("publish", PUBLISHES, true);
    spawn("write offset markers", WRITES_MARKERS, true);
    spawn("break something", SOMETHING_BREAKS, false);
    let (hospital, stop) = (Arc::clone(hospital), stop.clone());
    tasks.spawn(async move { live(hospital, stop).await });
}

async fn again_and_again(
    hospital: Arc<Hospital>,
    work: &'static str,
    mean: Duration,
    regular: bool,
    stop: CancellationToken,
) {
    let mut rng = Rng::new();
    loop {
        let pause = if regular { mean } else { some_time(mean, &mut rng) };
        if stop.run_until_cancelled(tokio::time::sleep(hospital.paced(pause))).await.is_none() {
            return;
        }
        let done = match work {
            "publish" => hospital.publish().await,
            "write offset markers" => hospital.write_markers().await,
            _ => hospital.break_by_chance(&mut rng).await,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the demo hospital could not {work}");
        }
    }
}

async fn live(hospital: Arc<Hospital>, stop: CancellationToken) {
    let mut day = Day { rng: Rng::new(), about: Vec::new() };
    loop {
        let pause = hospital.paced(some_time(SOMETHING_HAPPENS, &mut day.rng));
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        if let Err(error) = day.something_happens(&hospital).await {
            tracing::warn!(%error, "something did not happen in the demo hospital");
        }
    }
}

/// Returns an exponentially distributed duration with this mean, at most four times the mean.
fn some_time(mean: Duration, rng: &mut Rng) -> Duration {
    mean.mul_f64(-(1.0 - rng.f64()).ln()).min(mean * 4)
}

struct Day {
    rng: Rng,
    /// Recently registered patients (`person_id`).
    about: Vec<i64>,
}

impl Day {
    async fn something_happens(&mut self, hospital: &Hospital) -> Result<(), DatabaseError> {
        match self.rng.u32(..100) {
            0..=24 => {
                let patient = self.happens(hospital, Category::Patient, "Patient", Made::Patient).await?;
                self.about.extend(patient);
                if self.about.len() > PATIENTS_ABOUT {
                    self.about.remove(0);
                }
                return Ok(());
            }
            25..=72 => {
                // Often of a recently registered patient.
                let patient = if self.rng.bool() { self.rng.choice(&self.about).copied() } else { None };
                self.happens(hospital, Category::Encounter, "Encounter", Made::Encounter(patient)).await
            }
            73..=84 => self.happens(hospital, Category::Encounter, "Bed-Assignment", Made::Bed).await,
            85..=92 => {
                let title =
                    *self.rng.choice(&["sample", "panel", "test", "department", "radiology"]).unwrap_or(&"test");
                self.item(hospital, Category::Lab, title).await
            }
            93..=95 => self.item(hospital, Category::Drug, "drug").await,
            96 => self.item(hospital, Category::Saleable, "reference data").await,
            97 => self.happens(hospital, Category::Enrolment, "Progam Enrollment", Made::Program).await,
            98 => self.happens(hospital, Category::Product, "product", Made::Product(String::new())).await,
            _ => self.happens(hospital, Category::SaleOrder, "sale_order", Made::Nothing).await,
        }
        .map(drop)
    }

    async fn item(
        &mut self,
        hospital: &Hospital,
        category: Category,
        title: &str,
    ) -> Result<Option<i64>, DatabaseError> {
        let name = format!("Demo {title} {}", self.rng.u32(1..9000));
        self.happens(hospital, category, title, Made::Item(Kind::of_title(title), name)).await
    }

    /// Enters a record and queues its event: both or neither. Returns the id of a patient.
    async fn happens(
        &mut self,
        hospital: &Hospital,
        category: Category,
        title: &str,
        made: Made,
    ) -> Result<Option<i64>, DatabaseError> {
        let Some(publisher) = hospital.part(category.system()).and_then(|part| part.publisher.as_ref()) else {
            return Ok(None);
        };
        let (record, number) = (self.uuid(), self.rng.u32(1..9000));
        let made = if let Made::Product(_) = made { Made::Product(format!("Demo test {number}")) } else { made };
        let content = category.content(&record, title, number);
        let event = NewEvent::new(self.uuid(), category.word(), title, content);
        let mut transaction = publisher.database().begin();
        let id = made.enter(transaction.sqlite().await?, &record, &mut self.rng).await?;
        publisher.queue(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(id)
    }

    fn uuid(&mut self) -> String {
        hyphenated(uuid(&mut self.rng))
    }
}

impl Hospital {
    async fn publish(&self) -> Result<(), DatabaseError> {
        for (system, part) in &self.systems {
            let stops = |fault: Fault| fault.story().place == Place::Queue(*system);
            if let Some(publisher) = &part.publisher
                && self.troubles.against("", crate::clock::now(), stops).await?.is_none()
            {
                publisher.publish_queued().await?;
            }
        }
        Ok(())
    }

    async fn write_markers(&self) -> Result<(), DatabaseError> {
        for publisher in self.systems.values().filter_map(|part| part.publisher.as_ref()) {
            publisher.write_offset_markers(MARKERS_STAY_BEHIND).await?;
        }
        Ok(())
    }

    /// Starts a random common trouble. Each ends by itself, before or after some retries are used up.
    async fn break_by_chance(&self, rng: &mut Rng) -> Result<(), DatabaseError> {
        const CHANCES: [(Fault, i64); 7] = [
            (Fault::TestNotSetUp, 900),
            (Fault::TestNotSetUp, 900),
            (Fault::NoIdentifier, 900),
            (Fault::ConceptMissing, 900),
            (Fault::OdooDown, 180),
            (Fault::ModalityDown, 240),
            (Fault::PublisherTimeout, 60),
        ];
        let Some((fault, seconds)) = rng.choice(CHANCES) else { return Ok(()) };
        let standing = self.troubles.standing(clock::now()).await?;
        // One of its kind at a time, except faults of single records.
        if fault.story().catches == 0 && standing.iter().any(|trouble| trouble.fault == fault) {
            return Ok(());
        }
        let lasts = self.paced(Duration::from_secs(seconds.unsigned_abs()));
        let lasts = TimeDelta::from_std(lasts).unwrap_or(TimeDelta::seconds(seconds));
        tracing::info!(
            what = fault.story().title,
            seconds = lasts.num_seconds(),
            "something broke in the demo hospital"
        );
        self.begin(fault, Some(lasts)).await?;
        Ok(())
    }
}
