//! The demo hospital at work: what its systems publish, what its consumers read, and what users break and fix.
//!
//! The four systems run in this process, each on its own database, and communicate by HTTP in the real protocol
//! ([`atomfeed`]), under the addresses of real ones: `http://openmrs:8080/…` leads to the demo's own port. All lasting
//! state is in the databases: stopped at any moment, the hospital continues from there.

mod activity;
mod answers;
mod arrivals;
mod desk;
mod fixes;
mod jobs;
mod made;
mod records;
mod web;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use chrono::TimeDelta;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    MEMBERS, Member, System,
    faults::{Fault, STORIES},
    history::Category,
    troubles::{New, Scope, Standing, Troubles},
};
use crate::{
    clock,
    error::Problem,
    model::demo::{Breakage, DemoHospital, Job, Trouble},
};
use atomfeed::{Database, FeedSettings, Publisher, sqlite_pool};

/// The longest that a start waits for the jobs to catch up: a slow publisher delays each of them by seconds.
const CATCHING_UP: Duration = Duration::from_secs(5);

/// The demo hospital.
pub struct Hospital {
    pace: u32,
    troubles: Troubles,
    systems: BTreeMap<System, Arc<Part>>,
    /// The last runs of each consumer's job.
    jobs: Mutex<Vec<Job>>,
}

/// One of its systems.
struct Part {
    database: Database,
    /// `None` if it publishes nothing.
    publisher: Option<Publisher>,
}

impl Hospital {
    /// Opens the databases that [`super::prepare`] has created in `dir`. Nothing runs before [`Self::start`].
    ///
    /// # Errors
    /// Fails if a database cannot be opened or written.
    pub async fn open(dir: &Path, pace: u32) -> anyhow::Result<Arc<Self>> {
        let file = dir.join(super::TROUBLES);
        let troubles = Troubles::open(&file).await.with_context(|| format!("cannot open {}", file.display()))?;
        let mut systems = BTreeMap::new();
        for member in &MEMBERS {
            let file = dir.join(member.file);
            let part = Part::open(&file, member).await.with_context(|| format!("cannot open {}", file.display()))?;
            systems.insert(member.variant.system, Arc::new(part));
        }
        let jobs = jobs::FEEDS.iter().map(|feed| feed.job(pace)).collect();
        Ok(Arc::new(Self { pace, troubles, systems, jobs: Mutex::new(jobs) }))
    }

    /// Returns how many times faster than a real hospital it is; 0: nothing runs.
    pub fn pace(&self) -> u32 {
        self.pace
    }

    /// Returns routes for feeds and records under the systems' own paths.
    pub fn routes(self: &Arc<Self>) -> axum::Router {
        web::routes(Arc::clone(self))
    }

    /// Makes the jobs retry events that waited while nothing ran. Call this before the console first polls the
    /// hospital: otherwise it would call jobs overdue whose turn is a moment later.
    ///
    /// # Errors
    /// Fails if no port is free for the systems to communicate, or if a database does not answer.
    pub async fn catch_up(self: &Arc<Self>) -> anyhow::Result<()> {
        if self.pace == 0 {
            return Ok(());
        }
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let via = web::serve(Arc::clone(self), &stop, &tasks).await?;
        let done = tokio::time::timeout(CATCHING_UP, jobs::catch_up(self, via)).await;
        stop.cancel();
        // The jobs retry the rest at their usual times.
        done.unwrap_or(Ok(()))
    }

    /// Starts the work: it continues until `stop`, in tasks that `tasks` counts.
    ///
    /// # Errors
    /// Fails if no port is free for the systems to communicate.
    pub async fn start(self: &Arc<Self>, stop: &CancellationToken, tasks: &TaskTracker) -> anyhow::Result<()> {
        if self.pace == 0 {
            return Ok(());
        }
        let via = web::serve(Arc::clone(self), stop, tasks).await?;
        jobs::start(self, via, stop, tasks)?;
        activity::start(self, stop, tasks);
        Ok(())
    }

    /// Returns what the hospital's page shows.
    ///
    /// # Errors
    /// Fails if its own database does not answer.
    pub async fn view(&self) -> Result<DemoHospital, Problem> {
        let standing = self.troubles.standing(clock::now()).await.map_err(not_kept)?;
        let examples = self.examples().await.map_err(not_kept)?;
        // A fault that applies to everything cannot be started again.
        let whole = |fault| standing.iter().any(|trouble| trouble.fault == fault && trouble.records.is_none());
        let breakages = STORIES.iter().filter(|story| !whole(story.fault));
        let breakages = breakages.filter_map(|story| {
            Some(Breakage { word: story.word.into(), label: story.begin?.into(), effect: story.effect.into() })
        });
        Ok(DemoHospital {
            pace: self.pace,
            breakages: breakages.collect(),
            troubles: standing.into_iter().map(told).collect(),
            jobs: self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            feeds: web::feeds(),
            examples,
        })
    }

    /// Ends a trouble.
    ///
    /// # Errors
    /// Fails if there is no trouble of this number, or if a user cannot end it.
    pub async fn fix(&self, trouble: i64) -> Result<(), Problem> {
        let now = clock::now();
        let standing = self.troubles.standing(now).await.map_err(not_kept)?;
        let over = || Problem::not_found("This problem was already fixed.", "Reload the page.");
        let found = standing.iter().find(|standing| standing.id == trouble).ok_or_else(over)?;
        if found.fault.story().fix.is_none() {
            return Err(Problem::refused("This problem has no fix.", found.fault.story().effect));
        }
        self.change_records(found).await.map_err(not_kept)?;
        if self.troubles.end(trouble, now).await.map_err(not_kept)? { Ok(()) } else { Err(over()) }
    }

    /// Starts a trouble, by its word.
    ///
    /// # Errors
    /// Fails if this trouble cannot be started.
    pub async fn break_something(&self, what: &str) -> Result<(), Problem> {
        let story = Fault::of_word(what).map(Fault::story).filter(|story| story.begin.is_some());
        let story = story.ok_or_else(|| {
            Problem::bad_request(
                format!("{what:?} is not a problem that can be simulated."),
                "Choose a problem on the page of the demo.",
            )
        })?;
        self.begin(story.fault, None).await.map_err(not_kept)
    }

    async fn begin(&self, fault: Fault, lasts: Option<TimeDelta>) -> Result<(), sqlx::Error> {
        let now = clock::now();
        let scope = match fault.story().catches {
            0 => Scope::Everything,
            next => Scope::Next(next),
        };
        self.troubles.begin(&New { fault, began_at: now, until: lasts.map(|lasts| now + lasts), scope }).await.map(drop)
    }

    fn part(&self, system: System) -> Option<&Arc<Part>> {
        self.systems.get(&system)
    }

    /// Converts a duration of a real hospital to this one's pace.
    fn paced(&self, real: Duration) -> Duration {
        (real / self.pace.max(1)).max(Duration::from_millis(200))
    }
}

impl std::fmt::Debug for Hospital {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hospital").field("pace", &self.pace).finish_non_exhaustive()
    }
}

impl Part {
    async fn open(file: &Path, member: &'static Member) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            // The console reads while the systems write.
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(30));
        let pool = sqlite_pool().connect_with(options).await?;
        records::make_tables(&pool, member.variant.system).await?;
        let database = Database::sqlite(pool).in_time_zone(member.variant.zone);
        let publisher = member.feeds.map(|feeds| {
            let settings = FeedSettings::new(feeds.base, feeds.title, feeds.id_prefix);
            Publisher::new(database.clone(), settings)
        });
        Ok(Self { database, publisher })
    }
}

fn told(standing: Standing) -> Trouble {
    let story = standing.fault.story();
    Trouble {
        id: standing.id,
        title: story.title.to_owned(),
        effect: story.effect.to_owned(),
        began_at: standing.began_at,
        until: standing.until,
        records: standing.records,
        catches: standing.catches,
        fix: story.fix.map(str::to_owned),
    }
}

fn not_kept(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "the demo hospital's own database failed");
    Problem::internal("The demo hospital's own database could not be used.")
}

/// Returns the category of a feed by the second-to-last part of its path.
fn category_of_path(segment: &str, system: System) -> Option<Category> {
    Category::ALL
        .into_iter()
        .find(|category| category.system() == system && category.word().eq_ignore_ascii_case(segment))
}
