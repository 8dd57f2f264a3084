//! What every request can reach: configuration, sources, store and the watcher's snapshot.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use axum::extract::FromRef;
use chrono::Utc;
use leptos::config::LeptosOptions;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    config::{Config, Unconfigured, in_configured_order},
    counts::Counts,
    downloads::Downloads,
    events::{Looks, Publishers},
    operations::{FeedsOfRetries, Running},
    security::{audit::Audit, door::LARGE_FORMS, sign_in::Doorkeeper},
    shares::{Holder, Shares},
    site,
    sources::{Source, SourceError, SourceErrorKind},
    store::Store,
    stream::Streams,
    watch::Watch,
};
use crate::{
    demo::Hospital,
    error::Problem,
    model::{
        ApplicationInfo, ApplicationView, Person, Reader, Right, Zone,
        access::Lacking,
        application::COMPLETE_ENTRY,
        concerns,
        feed_names::{self, NamedFeed},
        filter::ListQuery,
    },
};

/// The running console, as somebody may see it. Cheap to clone.
///
/// What a person asks for goes through [`Console::sources`], [`Console::views`] and the like, which leave out the
/// applications that are not theirs; `parts` has them all, and is for the console's own work.
#[derive(Clone, Debug)]
pub struct Console {
    pub parts: Arc<Parts>,
    pub options: LeptosOptions,
    /// Keys of the applications that may be seen; `None`: all.
    only: Option<Arc<BTreeSet<String>>>,
    /// Why error texts and payloads are masked; `None`: they are not.
    masked: Option<Lacking>,
    /// Why whoever looks may not retry anything; `None`: they may, as far as the applications let them.
    retry_off: Option<Arc<str>>,
    /// Where days begin for whoever looks.
    zone: Zone,
}

impl FromRef<Console> for LeptosOptions {
    fn from_ref(console: &Console) -> Self {
        console.options.clone()
    }
}

/// What a console is made of.
#[derive(Debug)]
pub struct Parts {
    pub config: Config,
    pub sources: Vec<Arc<Source>>,
    pub store: Store,
    pub audit: Audit,
    pub watch: Watch,
    pub publishers: Publishers,
    pub looks: Looks,
    pub counts: Counts,
    pub doorkeeper: Doorkeeper,
    /// Operations that have a task of their own.
    pub operations: Running,
    pub retries: FeedsOfRetries,
    pub streams: Streams,
    pub downloads: Downloads,
    /// Large forms that are being read.
    pub large_forms: Arc<Shares<Holder>>,
    /// The tasks of operations and plans; the end of the console waits for them.
    pub running: TaskTracker,
    /// Set when the console is about to end.
    pub stopping: CancellationToken,
    pub started: Instant,
    /// The demo hospital, where the console runs on it.
    pub hospital: Option<Arc<Hospital>>,
}

impl Console {
    /// Puts a console together and begins to watch.
    pub fn new(config: Config, store: Store) -> Self {
        Self::with_hospital(config, store, None)
    }

    /// The same, on the demo hospital if there is one.
    pub fn with_hospital(config: Config, store: Store, hospital: Option<Arc<Hospital>>) -> Self {
        let options = site::versioned(config.leptos.clone());
        let sources: Vec<_> =
            config.applications.iter().map(|application| Arc::new(Source::new(application.clone()))).collect();
        let stopping = CancellationToken::new();
        let watch = Watch::start(&sources, &store, &stopping);
        let doorkeeper = Doorkeeper::new(&config);
        let parts = Parts {
            doorkeeper,
            config,
            sources,
            audit: Audit::new(store.clone()),
            store,
            watch,
            publishers: Publishers::default(),
            looks: Looks::default(),
            counts: Counts::default(),
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
        Self { parts: Arc::new(parts), options, only: None, masked: None, retry_off: None, zone: Zone::default() }
    }

    /// The console with nothing in it that this person may not see.
    #[must_use]
    pub fn seen_by(&self, person: &Person) -> Self {
        let retry_off = person.lacks(Right::Retry).map(|lacking| format!("{lacking} {}", lacking.advice()).into());
        let masked = if self.parts.config.mask_texts { person.lacks(Right::Read) } else { None };
        Self { only: person.applications.clone().map(Arc::new), masked, retry_off, ..self.clone() }
    }

    /// The same for somebody whose days begin in this zone.
    #[must_use]
    pub fn in_zone(self, zone: Zone) -> Self {
        Self { zone, ..self }
    }

    /// How many minutes the clock of whoever looks is ahead of UTC.
    pub fn ahead(&self) -> i32 {
        self.zone.local(Utc::now()).offset
    }

    /// Keys of the applications that may be seen; `None`: all.
    pub fn only(&self) -> Option<&BTreeSet<String>> {
        self.only.as_deref()
    }

    /// Why error texts and payloads must be masked for whom this console is seen by; `None`: they need not be.
    pub fn masked(&self) -> Option<Lacking> {
        self.masked
    }

    /// Whether the application of this key may be seen.
    pub fn shows(&self, app: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(app))
    }

    /// Every source that may be seen, in configured order.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.parts.sources.iter().filter(|source| self.shows(&source.app().info.key))
    }

    /// Every application that may be seen and has no source, because its entry in the configuration is not whole.
    pub fn unconfigured(&self) -> impl Iterator<Item = &Unconfigured> {
        self.parts.config.unconfigured.iter().filter(|lacking| self.shows(&lacking.info.key))
    }

    /// The source of an application, by its key.
    ///
    /// # Errors
    /// 503 where the application is not configured, otherwise as [`Console::info`].
    pub fn source(&self, app: &str) -> Result<&Arc<Source>, Problem> {
        if let Some(source) = self.sources().find(|source| source.app().info.key == app) {
            return Ok(source);
        }
        match self.unconfigured().find(|lacking| lacking.info.key == app) {
            Some(lacking) => Err(Problem::unavailable(lacking.sentence(), COMPLETE_ENTRY)),
            None => Err(self.no_application(app)),
        }
    }

    /// What pages may know of an application, by its key, whether or not it is configured whole.
    ///
    /// # Errors
    /// 404 with the names that there are. One that may not be seen is answered as one that does not exist.
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
        // One answer for what is not there and for what may not be seen: two would tell which applications a hospital has.
        let may = if known.is_empty() { "none".to_owned() } else { known };
        Problem::not_found(
            format!("You may not see an application {app:?}."),
            format!("Your account may see: {may}. If you need another application, ask an administrator."),
        )
    }

    /// The list that a query string asks for, a range up to now from where it begins for whoever looks.
    ///
    /// # Errors
    /// A part of it means nothing or is too long, or it names more applications than there are.
    pub fn list_query(&self, query: &str) -> Result<ListQuery, Problem> {
        let mut list = ListQuery::parse(query)?;
        if let Some(recent) = list.filter.recent {
            list.filter.from = Some(recent.begins(&self.zone.at(Utc::now())));
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

    /// Every application that may be seen, in configured order, also those that are not configured whole.
    pub fn applications(&self) -> impl Iterator<Item = &ApplicationInfo> {
        self.parts.config.infos().into_iter().filter(|info| self.shows(&info.key))
    }

    /// What was last seen of every application that may be seen, in order.
    pub async fn views(&self) -> Vec<ApplicationView> {
        self.parts.watch.reads();
        self.seen_views().await
    }

    /// The same with concerns, for a program that only asks how things are: looks do not become more frequent for it.
    pub async fn snapshot(&self) -> Vec<ApplicationView> {
        let views = self.seen_views().await;
        views.into_iter().map(|view| self.with_concerns(view, &Reader::default())).collect()
    }

    /// What people call the feeds of every application that may be seen. Looks do not become more frequent for it.
    pub async fn named_feeds(&self) -> Vec<NamedFeed> {
        feed_names::named(&self.seen_views().await)
    }

    async fn seen_views(&self) -> Vec<ApplicationView> {
        let lacking = self.parts.config.unconfigured.iter().map(|lacking| (lacking.place, lacking.view()));
        let mut views = in_configured_order(self.parts.watch.views().await, lacking);
        views.retain(|view| self.shows(&view.info.key));
        views.into_iter().map(|view| self.as_seen(view)).collect()
    }

    /// What was last seen of one application, if it may be seen.
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

    /// A view with its concerns, worded for this reader. They name no application that may not be seen.
    pub fn with_concerns(&self, mut view: ApplicationView, reader: &Reader) -> ApplicationView {
        let applications: Vec<&ApplicationInfo> = self.applications().collect();
        view.concerns = concerns::of(&view, &applications, Utc::now(), reader);
        view
    }

    /// What somebody may not do is said where it is said that an application does not let them.
    fn as_seen(&self, mut view: ApplicationView) -> ApplicationView {
        if let (Some(why), Some(seen)) = (&self.retry_off, &mut view.seen) {
            Arc::make_mut(seen).retry_refused = Some(why.to_string());
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
