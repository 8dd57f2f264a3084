//! Requests one feed of a publisher over HTTP at its own pace, where the configuration says so, to see what consumers
//! get. A task for each application; it sends nothing to a database and keeps the last answer in memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use atomfeed::{Client, ClientError, ClientSettings, Login, Page, PageError, WalkError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::last_poll::LastPoll;
use crate::{
    clock,
    model::{
        ApplicationInfo,
        error_text::visible_line,
        probe::{Position, Probe, ProbeAnswer, ProbeFailure, ProbeResult, ServedPage, differences},
    },
    server::{
        config::{ProbeLogin, ProbeSettings},
        sources::Source,
    },
};

/// Longest time of a request, and most bytes of its answer: a page has five entries.
const LONGEST: Duration = Duration::from_secs(20);
const LARGEST: usize = 2 * 1024 * 1024;

/// Most characters of a reason: it can quote an answer.
const LONGEST_REASON: usize = 400;

/// What one probe needs.
pub(super) struct Prober {
    pub source: Arc<Source>,
    pub publish: watch::Sender<Option<Probe>>,
    /// The last polls of all applications, whose read positions are compared.
    pub consumers: Vec<(Arc<Source>, watch::Receiver<LastPoll>)>,
    /// Tells that there was an answer, and whether it is news.
    pub tell: Box<dyn Fn(bool) + Send + Sync>,
}

/// Returns what is known before the first request.
pub(super) fn before(settings: &ProbeSettings) -> Probe {
    Probe { address: settings.address.clone(), every_secs: settings.every.as_secs(), last: None }
}

/// Requests the feed until `stop`.
pub(super) async fn run(prober: Prober, settings: ProbeSettings, stop: CancellationToken) {
    let info = &prober.source.app().info;
    let client = match client(&settings) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(application = %info.name, %error, "the feed cannot be requested");
            return;
        }
    };
    loop {
        let asked = tokio::select! {
            asked = ask(&client, &settings) => asked,
            () = stop.cancelled() => return,
        };
        prober.take(asked, &settings);
        tokio::select! {
            () = tokio::time::sleep(settings.every) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Requests the feed once, for `check`.
pub async fn probe_once(settings: &ProbeSettings) -> ProbeAnswer {
    let read = match client(settings) {
        Ok(client) => ask(&client, settings).await.0,
        Err(error) => Err(error.into()),
    };
    answer(read, &settings.address, &[])
}

fn client(settings: &ProbeSettings) -> Result<Client, ClientError> {
    let login = match &settings.login {
        ProbeLogin::Nobody => Login::Nobody,
        ProbeLogin::Basic { user, password } => {
            Login::Basic { user: user.clone(), password: password.reveal().to_owned() }
        }
        ProbeLogin::Session { address, user, password } => {
            let (user, password) = (user.clone(), password.reveal().to_owned());
            Login::Session { address: address.clone(), user, password }
        }
    };
    let client = ClientSettings { timeout: LONGEST, largest_answer: LARGEST, login, ..ClientSettings::default() };
    Client::new(&settings.address, client)
}

type Asked = (Result<Page, WalkError>, Duration);

async fn ask(client: &Client, settings: &ProbeSettings) -> Asked {
    let begun = Instant::now();
    let read = atomfeed::read_page(client, &settings.address).await;
    (read, begun.elapsed())
}

impl Prober {
    fn take(&self, (read, took): Asked, settings: &ProbeSettings) {
        let info = &self.source.app().info;
        let answer = answer(read, &settings.address, &self.positions(info));
        let now = clock::now();
        let before = self.publish.borrow().as_ref().and_then(|probe| probe.last.clone());
        let like = before.as_ref().filter(|before| is_feed(&before.answer) == is_feed(&answer));
        let (since, times) = like.map_or((now, 1), |before| (before.since, before.times.saturating_add(1)));
        if like.is_none() {
            match &answer {
                ProbeAnswer::Feed(_) => tracing::info!(application = %info.name, "its feed answers"),
                ProbeAnswer::Failed { reason, .. } => {
                    tracing::warn!(application = %info.name, %reason, "its feed cannot be read");
                }
            }
        }
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let result = ProbeResult { at: now, took_ms, since, times, answer };
        // The second failure is the one that is reported.
        let news = before.is_none_or(|before| before.answer != result.answer) || times == 2 && !is_feed(&result.answer);
        self.publish.send_replace(Some(Probe { last: Some(result), ..self::before(settings) }));
        (self.tell)(news);
    }

    /// Returns the pages of this publisher that its consumers read last.
    fn positions(&self, info: &ApplicationInfo) -> Vec<Position> {
        let mut positions = Vec::new();
        for (source, polls) in &self.consumers {
            let Some(raw) = polls.borrow().raw.clone() else { continue };
            let markers = raw.markers.here().map(Vec::as_slice).unwrap_or_default();
            let of_publisher =
                markers.iter().filter(|marker| marker.feed_uri.as_deref().is_some_and(|uri| info.is_publisher_of(uri)));
            let consumer = &source.app().info;
            positions.extend(of_publisher.filter_map(|marker| {
                let page = marker.page_uri.clone()?;
                Some(Position { app: consumer.key.clone(), name: consumer.name.clone(), page })
            }));
        }
        positions
    }
}

fn is_feed(answer: &ProbeAnswer) -> bool {
    matches!(answer, ProbeAnswer::Feed(_))
}

fn answer(read: Result<Page, WalkError>, probed: &str, positions: &[Position]) -> ProbeAnswer {
    match read {
        Ok(page) => {
            // Entries are oldest first.
            let newest = page.events.last();
            ProbeAnswer::Feed(ServedPage {
                entries: page.events.len() as u64,
                newest: newest.map(|event| event.id.clone()),
                newest_at: newest.and_then(|event| event.updated),
                differences: differences(&page.via, probed, positions),
                page: page.via,
            })
        }
        Err(error) => {
            let reason: String = visible_line(&error.to_string()).chars().take(LONGEST_REASON).collect();
            ProbeAnswer::Failed { kind: kind(&error), reason }
        }
    }
}

fn kind(error: &WalkError) -> ProbeFailure {
    match error {
        WalkError::Client(ClientError::Connect(..) | ClientError::Client(_)) => ProbeFailure::Unreachable,
        WalkError::Client(ClientError::TimedOut(_)) => ProbeFailure::TimedOut,
        WalkError::Client(ClientError::NotAuthorized | ClientError::Login(..) | ClientError::Credentials(_)) => {
            ProbeFailure::Login
        }
        // A redirect usually leads to the page to sign in on.
        WalkError::Client(ClientError::Status(300..=399)) => ProbeFailure::WebPage,
        WalkError::Client(ClientError::NotFound(_)) => ProbeFailure::NotFound,
        WalkError::Client(ClientError::Status(500..)) => ProbeFailure::Server,
        WalkError::Page { error: PageError::WebPage, .. } => ProbeFailure::WebPage,
        WalkError::Client(_) | WalkError::Page { .. } | WalkError::Ring(_) | WalkError::Endless(_) => {
            ProbeFailure::NoFeed
        }
    }
}
