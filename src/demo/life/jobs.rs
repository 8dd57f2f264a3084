//! The consumers' jobs: each reads one feed and retries its failed events, on the schedule of its system.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};

use anyhow::Context;
use chrono::TimeDelta;
use tokio::time::{Instant, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Hospital, System, desk::Desk, records};
use crate::{
    clock,
    demo::history::Category,
    model::{
        self,
        demo::{Job, Run},
    },
    server::config,
};
use atomfeed::{Client, ClientSettings, Consumer, FeedEnd, FeedRun, Limits, RetryEnd, RetryRun};

/// A feed that a system reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadFeed {
    system: System,
    category: Category,
}

const fn read(system: System, category: Category) -> ReadFeed {
    ReadFeed { system, category }
}

/// The feeds that each system reads. Odoo's drugs are omitted: that job is switched off, which is why its feed has no
/// marker and its failed events are not retried.
pub(super) const FEEDS: [ReadFeed; 10] = [
    read(System::Openmrs, Category::Accession),
    read(System::Openelis, Category::Encounter),
    read(System::Openelis, Category::Patient),
    read(System::Openelis, Category::Lab),
    read(System::Odoo, Category::Patient),
    read(System::Odoo, Category::Encounter),
    read(System::Odoo, Category::Lab),
    read(System::Odoo, Category::Saleable),
    read(System::Odoo, Category::Accession),
    read(System::Pacs, Category::Encounter),
];

impl ReadFeed {
    /// Returns the limits and the schedule that its consumer ships with.
    fn limits(self) -> model::Limits {
        let usual = config::usual_limits(self.system.member().kind);
        // OpenELIS retries patients more slowly than everything else.
        let slow = self.system == System::Openelis && self.category == Category::Patient;
        if slow { model::Limits { retry_interval_secs: 60, ..usual } } else { usual }
    }

    /// Returns the job as the page shows it before its first run.
    pub fn job(self, pace: u32) -> Job {
        let limits = self.limits();
        let paced = |seconds: u64| seconds as f64 / f64::from(pace.max(1));
        Job {
            system: self.system.member().name.to_owned(),
            feed: self.category.feed(),
            feed_interval_secs: paced(limits.feed_interval_secs),
            retry_interval_secs: paced(limits.retry_interval_secs),
            read: None,
            retried: None,
        }
    }
}

/// Starts every job. `via` is the publishers' address.
pub(super) fn start(
    hospital: &Arc<Hospital>,
    via: SocketAddr,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    for (index, feed) in FEEDS.into_iter().enumerate() {
        let consumer = consumer(hospital, feed, via)?;
        tasks.spawn(work(Arc::clone(hospital), index, consumer, stop.clone()));
    }
    Ok(())
}

/// Events that wait longer without a retry were neglected while nothing ran. Shorter than the time after which the
/// console calls a retry job overdue.
const LEFT_ALONE: TimeDelta = TimeDelta::minutes(2);

/// Makes every job retry until none of its neglected events waits or one of them has failed again.
pub(super) async fn catch_up(hospital: &Arc<Hospital>, via: SocketAddr) -> anyhow::Result<()> {
    let jobs = FEEDS.into_iter().enumerate().map(|(index, feed)| async move {
        let consumer = consumer(hospital, feed, via)?;
        while hospital.was_left_alone(feed).await? {
            let run = consumer.process_failed_events().await;
            hospital.keep(index, |job| job.retried = Some(retry_run(&run)));
            if run.resolved + run.failed == 0 {
                break;
            }
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(jobs).await.map(drop)
}

fn consumer(hospital: &Arc<Hospital>, feed: ReadFeed, via: SocketAddr) -> anyhow::Result<Consumer<Desk>> {
    let part = hospital.part(feed.system).context("a system of the demo hospital is missing")?;
    let settings = ClientSettings {
        connect_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_secs(2),
        timeout: Duration::from_secs(10),
        via: Some(via),
        ..ClientSettings::default()
    };
    let address = feed.category.feed();
    let client = Client::new(&address, settings).context("a consumer of the demo hospital has no client")?;
    let limits = feed.limits();
    let desk =
        Desk { hospital: Arc::clone(hospital), system: feed.system, category: feed.category, client: client.clone() };
    let limits = Limits {
        max_failed_events: limits.max_failed_events.unwrap_or(u64::MAX),
        max_retry: limits.max_retry.and_then(|max| max.try_into().ok()).unwrap_or(u32::MAX),
        retry_batch: limits.retry_batch,
    };
    Consumer::new(part.database.clone(), client, &address, limits, desk)
        .context("a consumer of the demo hospital has no feed")
}

/// Reads and retries in turns until `stop`, which also cancels a run under way.
async fn work(hospital: Arc<Hospital>, index: usize, consumer: Consumer<Desk>, stop: CancellationToken) {
    let usual = FEEDS[index].limits();
    let read_every = hospital.paced(Duration::from_secs(usual.feed_interval_secs));
    let retry_every = hospital.paced(Duration::from_secs(usual.retry_interval_secs));
    // The systems were not started at the same moment, so their jobs do not run at the same moment.
    let begun = Instant::now() + read_every.mul_f64(index as f64 / FEEDS.len() as f64);
    let (mut next_read, mut next_retry) = (begun, begun + retry_every / 2);
    loop {
        let reads = next_read <= next_retry;
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep_until(next_read.min(next_retry)) => {}
        }
        if reads {
            let Some(run) = stop.run_until_cancelled(consumer.process_events()).await else { return };
            hospital.keep(index, |job| job.read = Some(read_run(&run)));
            next_read = Instant::now() + read_every;
        } else {
            let Some(run) = stop.run_until_cancelled(consumer.process_failed_events()).await else { return };
            hospital.keep(index, |job| job.retried = Some(retry_run(&run)));
            next_retry = Instant::now() + retry_every;
        }
    }
}

fn read_run(run: &FeedRun) -> Run {
    let ended = match &run.end {
        FeedEnd::CaughtUp => None,
        end => Some(end.to_string()),
    };
    Run { at: clock::now(), succeeded: run.processed, failed: run.failed, ended }
}

fn retry_run(run: &RetryRun) -> Run {
    let ended = match &run.end {
        RetryEnd::Done => None,
        end => Some(end.to_string()),
    };
    Run { at: clock::now(), succeeded: run.resolved, failed: run.failed, ended }
}

impl Hospital {
    /// Returns whether an event of a feed waits for a retry, and none was retried recently.
    async fn was_left_alone(&self, feed: ReadFeed) -> anyhow::Result<bool> {
        let part = self.part(feed.system).context("a system of the demo hospital is missing")?;
        let max_retry = feed.limits().max_retry.unwrap_or(i64::MAX);
        let lately = part.database.time(clock::now() - LEFT_ALONE, false);
        let mut transaction = part.database.begin();
        let connection = transaction.sqlite().await?;
        Ok(records::was_left_alone(connection, &feed.category.feed(), max_retry, &lately).await?)
    }

    fn keep(&self, index: usize, change: impl FnOnce(&mut Job)) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = jobs.get_mut(index) {
            change(job);
        }
    }
}
