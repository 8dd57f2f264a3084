//! What every request can reach: configuration, sources, store and the watcher's snapshot.

use std::{sync::Arc, time::Instant};

use axum::extract::FromRef;
use leptos::config::LeptosOptions;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    config::Config,
    events::Publishers,
    operations::Running,
    site,
    sources::{Source, SourceError, SourceErrorKind},
    store::Store,
    stream::Streams,
    watch::Watch,
};
use crate::{demo::Hospital, error::Problem, model::ApplicationInfo};

/// The running console. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Console {
    pub parts: Arc<Parts>,
    pub options: LeptosOptions,
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
    pub watch: Watch,
    pub publishers: Publishers,
    /// Operations that have a task of their own.
    pub operations: Running,
    pub streams: Streams,
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
        let parts = Parts {
            config,
            sources,
            store,
            watch,
            publishers: Publishers::default(),
            operations: Running::default(),
            streams: Streams::default(),
            running: TaskTracker::new(),
            stopping,
            started: Instant::now(),
            hospital,
        };
        Self { parts: Arc::new(parts), options }
    }

    /// The source of an application, by its key.
    ///
    /// # Errors
    /// 404 with the names that there are.
    pub fn source(&self, app: &str) -> Result<&Arc<Source>, Problem> {
        self.parts.sources.iter().find(|source| source.app().info.key == app).ok_or_else(|| {
            let known: Vec<_> = self.applications().map(|info| info.name.as_str()).collect();
            Problem::not_found(
                format!("There is no application {app:?}."),
                format!("The configured applications are: {}.", known.join(", ")),
            )
        })
    }

    /// Every configured application, in order.
    pub fn applications(&self) -> impl Iterator<Item = &ApplicationInfo> {
        self.parts.sources.iter().map(|source| &source.app().info)
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
        tracing::error!(%error, "the store failed");
        Problem::internal("The console's own store could not be used.")
    }
}
