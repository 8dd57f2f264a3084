//! Options of the command line, and what they set for every part.

use std::{net::SocketAddr, time::Duration};

use clap::{Parser, ValueEnum};

/// Options of the benchmark. The defaults are those of the figures in docs/performance.md.
#[derive(Debug, Parser)]
#[command(name = "bench", bin_name = "make bench ARGS=…")]
pub struct Options {
    /// Backends to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Backend::value_variants().to_vec())]
    pub backends: Vec<Backend>,
    /// Parts to measure: every screen, a retry of many, the old console's JSON, the protocol, watching a table of many
    /// failed events, the index of published events, the search for patients, or the peak memory of the console under excessive requests.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::value_variants().to_vec())]
    pub parts: Vec<Part>,
    /// Failed events that are watched on PostgreSQL, and as many rows of the retry log; a fifth of them on the others.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100_000..=1_000_000))]
    pub watched: u64,
    /// Rows of failed_events.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    pub failed: u64,
    /// Rows of failed_event_retry_log.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(0..=2_000_000))]
    pub attempts: u64,
    /// Rows of event_records.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1_000..=3_000_000))]
    pub published: u64,
    /// Requests for each screen, but no longer than --seconds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=10_000))]
    pub samples: u64,
    /// Longest measurement of one screen, in seconds.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Events to publish and consume.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(100..=100_000))]
    pub entries: u64,
    /// Events of the feed whose newest page is requested, and published events that are indexed.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..=3_000_000))]
    pub feed: u64,
    /// Measures the memory of a walk in a separate process, which gets the address and the number of the pages.
    #[arg(long, hide = true, requires = "walk_pages")]
    pub walk: Option<SocketAddr>,
    #[arg(long, hide = true)]
    pub walk_pages: Option<usize>,
    /// cargo bench passes this to every benchmark.
    #[arg(long, hide = true)]
    pub bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    Mysql,
    Postgres,
    Sqlite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Screens,
    Retry,
    OldJson,
    Protocol,
    Watching,
    /// The index of published events, and the pages of feeds.
    Published,
    /// Search for patients by identifier, on MySQL or MariaDB.
    Records,
    /// Peak memory under clients that request too much.
    Memory,
}

/// Limits for the requests of one screen.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub samples: u64,
    pub time: Duration,
}
