//! The state that every request can use: configuration, sources, store and the watcher's snapshot.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use axum::extract::FromRef;
use chrono::{DateTime, Utc};
use leptos::config::LeptosOptions;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    config::{Config, Unconfigured, in_configured_order},
    counts::Counts,
    downloads::Downloads,
    events::{Publishers, RecentViews},
    operations::{FeedsOfRetries, Running},
    records::{KeptSearches, Names, Viewed},
    refused::RefusedForms,
    security::{audit::Audit, authorize::LARGE_FORMS, sign_in::SignInService},
    shares::{Holder, Shares},
    site,
    sources::{Source, SourceError, SourceErrorKind},
    store::Store,
    stream::Streams,
    watch::Watch,
};
use crate::{
    clock,
    demo::Hospital,
    error::Problem,
    model::{
        ApplicationInfo, ApplicationView, Person, Reader, Right, Zone,
        access::Lacking,
        application::COMPLETE_ENTRY,
        concerns,
        feed_names::{self, NamedFeed},
        filter::ListQuery,
        recent::Recent,
        record::PersonsShown,
    },
};

/// The running console, as a user may see it. Cheap to clone.
///
/// Requests of users go through [`Console::sources`], [`Console::views`] and the other methods, which omit the
/// applications that the user may not see; `parts` has them all, and is for the console's own work.
#[derive(Clone, Debug)]
pub struct Console {
    pub parts: Arc<Parts>,
    pub options: LeptosOptions,
    /// Keys of the applications that the user may see; `None`: all.
    only: Option<Arc<BTreeSet<String>>>,
    /// Why error texts and payloads are masked; `None`: they are not.
    masked: Option<Lacking>,
    /// Why the user may not retry anything; `None`: retries are allowed, as far as the applications allow them.
    retry_off: Option<Arc<str>>,
    /// The user's time zone, in which days begin.
    zone: Zone,
    /// How much of the persons behind records the user may see.
    persons: PersonsShown,
}

impl FromRef<Console> for LeptosOptions {
    fn from_ref(console: &Console) -> Self {
        console.options.clone()
    }
}

/// The parts of a console.
#[derive(Debug)]
pub struct Parts {
    pub config: Config,
    pub sources: Vec<Arc<Source>>,
    pub store: Store,
    pub audit: Audit,
    pub watch: Watch,
    pub publishers: Publishers,
    pub recent_views: RecentViews,
    /// Names of records that were found lately.
    pub names: Names,
    /// Searches whose text can name a person.
    pub kept_searches: KeptSearches,
    /// Views of persons that are in the audit log.
    pub viewed: Viewed,
    pub counts: Counts,
    pub sign_in_service: SignInService,
    pub refused: RefusedForms,
    /// Operations that have a task now.
    pub operations: Running,
    pub retries: FeedsOfRetries,
    pub streams: Streams,
    pub downloads: Downloads,
    /// Large forms that are being read.
    pub large_forms: Arc<Shares<Holder>>,
    /// The tasks of operations and plans; the console waits for them before it ends.
    pub running: TaskTracker,
    /// Cancelled when the console is about to end.
    pub stopping: CancellationToken,
    pub started: Instant,
    /// The demo hospital, if the console runs on it.
    pub hospital: Option<Arc<Hospital>>,
}

impl Console {
    /// Creates a console and starts the watcher.
    pub fn new(config: Config, store: Store) -> Self {
        Self::with_hospital(config, store, None)
    }

    /// As [`Console::new`], on the demo hospital if there is one.
    pub fn with_hospital(config: Config, store: Store, hospital: Option<Arc<Hospital>>) -> Self {
        let options = site::versioned(config.leptos.clone());
        let sources: Vec<_> =
            config.applications.iter().map(|application| Arc::new(Source::new(application.clone()))).collect();
        let stopping = CancellationToken::new();
        let watch = Watch::start(&sources, &store, &stopping);
        let sign_in_service = SignInService::new(&config);
        let parts = Parts {
            sign_in_service,
            config,
            sources,
            audit: Audit::new(store.clone()),
            store,
            watch,
            publishers: Publishers::default(),
            recent_views: RecentViews::default(),
            names: Names::default(),
            kept_searches: KeptSearches::default(),
            viewed: Viewed::default(),
            counts: Counts::default(),
            refused: RefusedForms::default(),
            operations: Running::default(),
            retries: FeedsOfRetries::default(),
            streams: Streams::default(),
            downloads: Downloads::default(),
            large_forms: Shares::new(LARGE_FORMS),
            running: TaskTracker::new(),
            stopping,
            started: Instant::now(),
            hospital,
        };
        Self {
            parts: Arc::new(parts),
            options,
            only: None,
            masked: None,
            retry_off: None,
            zone: Zone::default(),
            persons: PersonsShown::default(),
        }
    }

    /// Returns the console without anything that this person may not see.
    #[must_use]
    pub fn seen_by(&self, person: &Person) -> Self {
        let retry_off = person.lacks(Right::Retry).map(|lacking| format!("{lacking} {}", lacking.advice()).into());
        let masked = if self.parts.config.mask_texts { person.lacks(Right::Read) } else { None };
        let persons = self.parts.config.records.shown_to(person);
        Self { only: person.applications.clone().map(Arc::new), masked, retry_off, persons, ..self.clone() }
    }

    /// Returns the console for a user whose days begin in this zone.
    #[must_use]
    pub fn in_zone(self, zone: Zone) -> Self {
        Self { zone, ..self }
    }

    /// Returns how many minutes the user's clock is ahead of UTC.
    pub fn ahead(&self) -> i32 {
        self.zone.local(clock::now()).offset
    }

    /// Keys of the applications that the user may see; `None`: all.
    pub fn only(&self) -> Option<&BTreeSet<String>> {
        self.only.as_deref()
    }

    /// Returns why error texts and payloads must be masked for the user. `None` if they need not be.
    pub fn masked(&self) -> Option<Lacking> {
        self.masked
    }

    /// Returns how much of the persons behind records the user may see.
    pub fn persons(&self) -> PersonsShown {
        self.persons
    }

    /// Returns whether the user may see the application of this key.
    pub fn shows(&self, app: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(app))
    }

    /// Returns every source that the user may see, in configured order.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.parts.sources.iter().filter(|source| self.shows(&source.app().info.key))
    }

    /// Returns every application that the user may see and that has no source, because its configuration entry is
    /// incomplete.
    pub fn unconfigured(&self) -> impl Iterator<Item = &Unconfigured> {
        self.parts.config.unconfigured.iter().filter(|lacking| self.shows(&lacking.info.key))
    }

    /// Returns the source of an application, by its key.
    ///
    /// # Errors
    /// Fails with 503 if the application is not configured, otherwise as [`Console::info`].
    pub fn source(&self, app: &str) -> Result<&Arc<Source>, Problem> {
        if let Some(source) = self.sources().find(|source| source.app().info.key == app) {
            return Ok(source);
        }
        match self.unconfigured().find(|lacking| lacking.info.key == app) {
            Some(lacking) => Err(Problem::unavailable(lacking.sentence(), COMPLETE_ENTRY)),
            None => Err(self.no_application(app)),
        }
    }

    /// Returns what pages may know of an application, by its key, whether or not its configuration is complete.
    ///
    /// # Errors
    /// Fails with 404 and the names that exist. An application that the user may not see counts as one that does not
    /// exist.
    pub fn info(&self, app: &str) -> Result<&ApplicationInfo, Problem> {
        self.applications().find(|info| info.key == app).ok_or_else(|| self.no_application(app))
    }

    fn no_application(&self, app: &str) -> Problem {
        let known: Vec<_> = self.applications().map(|info| info.name.as_str()).collect();
        let known = known.join(", ");
        if self.only().is_none() {
            return Problem::not_found(
                format!("There is no application {app:?}."),
                format!("The applications are: {known}."),
            );
        }
        // The same answer for what does not exist and for what the user may not see: two would reveal which
        // applications a hospital has.
        let may = if known.is_empty() { "none".to_owned() } else { known };
        Problem::not_found(
            format!("You may not see an application {app:?}."),
            format!("Your account may see: {may}. If you need another application, ask an administrator."),
        )
    }

    /// Returns when a range up to now begins in the user's time zone.
    pub fn begins(&self, recent: Recent) -> DateTime<Utc> {
        recent.begins(&self.zone.at(crate::clock::now()))
    }

    /// Returns the list of a query string; a range up to now begins in the user's time zone.
    ///
    /// # Errors
    /// Fails if a part is invalid or too long, or it names more applications than there are.
    pub fn list_query(&self, query: &str) -> Result<ListQuery, Problem> {
        let mut list = ListQuery::parse(query)?;
        if let Some(recent) = list.filter.recent {
            list.filter.from = Some(self.begins(recent));
        }
        let (named, there) = (list.filter.apps.len().max(list.place.positions.len()), self.applications().count());
        if named > there {
            return Err(Problem::bad_request(
                format!("Invalid filter in the link: {named} applications, but there are only {there}."),
                "Correct the link, or open the list without a filter.",
            ));
        }
        Ok(list)
    }

    /// Returns every application that the user may see, in configured order, also those with an incomplete
    /// configuration.
    pub fn applications(&self) -> impl Iterator<Item = &ApplicationInfo> {
        self.parts.config.infos().into_iter().filter(|info| self.shows(&info.key))
    }

    /// Returns what was last seen of every application that the user may see, in order.
    pub async fn views(&self) -> Vec<ApplicationView> {
        self.parts.watch.reads();
        self.seen_views().await
    }

    /// As [`Console::views`] with concerns, for a program that only reads the status: polls do not become more
    /// frequent.
    pub async fn snapshot(&self) -> Vec<ApplicationView> {
        let views = self.seen_views().await;
        views.into_iter().map(|view| self.with_concerns(view, &Reader::default())).collect()
    }

    /// Returns the display names of the feeds of every application that the user may see. Polls do not become more
    /// frequent.
    pub async fn named_feeds(&self) -> Vec<NamedFeed> {
        feed_names::named(&self.seen_views().await)
    }

    async fn seen_views(&self) -> Vec<ApplicationView> {
        let lacking = self.parts.config.unconfigured.iter().map(|lacking| (lacking.place, lacking.view()));
        let mut views = in_configured_order(self.parts.watch.views().await, lacking);
        views.retain(|view| self.shows(&view.info.key));
        views.into_iter().map(|view| self.as_seen(view)).collect()
    }

    /// Returns what was last seen of one application, if the user may see it.
    pub async fn view(&self, app: &str) -> Option<ApplicationView> {
        if !self.shows(app) {
            return None;
        }
        if let Some(lacking) = self.unconfigured().find(|lacking| lacking.info.key == app) {
            return Some(lacking.view());
        }
        self.parts.watch.reads();
        self.parts.watch.view(app).await.map(|view| self.as_seen(view))
    }

    /// Returns a view with its concerns, worded for this reader. They name no application that the user may not see.
    pub fn with_concerns(&self, mut view: ApplicationView, reader: &Reader) -> ApplicationView {
        let applications: Vec<&ApplicationInfo> = self.applications().collect();
        view.concerns = concerns::of(&view, &applications, clock::now(), reader);
        view
    }

    /// Puts the reason for a user's missing retry right where an application says that it does not allow retries, and
    /// removes the names of applications that the user may not see.
    fn as_seen(&self, mut view: ApplicationView) -> ApplicationView {
        if let (Some(why), Some(seen)) = (&self.retry_off, &mut view.seen) {
            Arc::make_mut(seen).retry_refused = Some(why.to_string());
        }
        if let Some(probe) = &mut view.probe {
            probe.name_no_consumer(|app| !self.shows(app));
        }
        view
    }
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        match error.kind {
            SourceErrorKind::NotAllowed => Problem::refused(error.reason, error.advice),
            SourceErrorKind::NotHere => Problem::not_found(error.reason, error.advice),
            _ => Problem::unavailable(error.reason, error.advice),
        }
    }
}

impl From<super::store::StoreError> for Problem {
    fn from(error: super::store::StoreError) -> Self {
        let Some(outage) = error.outage() else { return Problem::internal(error) };
        tracing::error!(%error, "the store cannot be written");
        Problem::unavailable(format!("{} Nothing was changed.", outage.sentence()), outage.advice())
    }
}
