//! Runs the release binary on the benchmark's database.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use atomfeed_console::server::config::{self, Application, CommandLine, Environment};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::{sleep, timeout},
};

use crate::{database::Database, http::Connection};

/// The key that the console derives from the application's name.
pub const APP: &str = "hospital";

/// Longest time for starting or ending before it counts as a fault.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest time for the first read of a source before it counts as a fault.
const FIRST_READ: Duration = Duration::from_secs(900);

/// Writes a configuration with this single application.
pub fn configure(database: &Database, dir: &Path) -> anyhow::Result<PathBuf> {
    let file = dir.join("console.toml");
    let text = format!(
        // maxRetry is that of the invented history, whatever the kind.
        "listen = \"127.0.0.1:0\"\nstore = {:?}\n[access]\nmode = \"open\"\n[[application]]\nname = \"Hospital\"\nmax_retry = 5\n{}",
        dir.join("store.db").display().to_string(),
        database.settings,
    );
    fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(file)
}

/// Returns the application of such a configuration.
pub fn application(file: &Path, dir: &Path) -> anyhow::Result<Application> {
    let config = config::load(CommandLine::default(), &Environment::from([("", "")]), Some(file), dir)
        .map_err(|refused| anyhow::anyhow!("{refused}"))?;
    config.applications.into_iter().next().context("an application")
}

/// A running console.
#[derive(Debug)]
pub struct Console {
    child: Child,
    /// Kept open, because the console writes to it.
    _output: BufReader<ChildStdout>,
    /// `127.0.0.1:<port>`.
    pub address: String,
    pub base: String,
    /// Time from starting the process to its first answer.
    pub started_in: Duration,
    store: PathBuf,
}

impl Console {
    pub async fn start(config: &Path) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_atomfeed-console"))
            // Only the file's settings apply, whatever the environment says.
            .env_clear()
            // Keeps the audit log out of the printed figures.
            .env("RUST_LOG", "error")
            .arg("serve")
            .arg("--config")
            .arg(config)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the release binary cannot be started")?;
        let mut output = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut line = String::new();
        timeout(PATIENCE, output.read_line(&mut line)).await.context("the console says nothing")??;
        let Some((_, url)) = line.trim_end().split_once("http://") else {
            bail!("the console does not say where it answers, but {line:?}");
        };
        let (address, base) = url.split_at(url.find('/').unwrap_or(url.len()));
        let (address, base) = (address.to_owned(), base.trim_end_matches('/').to_owned());
        let mut connection = Connection::open(&address).await?;
        connection.get(&format!("{base}/health")).await?.success("/health")?;
        let store = config.with_file_name("store.db");
        Ok(Self { child, _output: output, address, base, started_in: begun.elapsed(), store })
    }

    /// Waits until the ledger has read the source.
    pub async fn wait_until_read(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut connection = Connection::open(&self.address).await?;
        let path = format!("{}/api/history?query=", self.base);
        loop {
            let answer = connection.get_encoded(&path, "identity").await?.success(&path)?;
            if String::from_utf8_lossy(&answer.body).contains("\"whole\":true") {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < FIRST_READ, "the first read does not end");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the search index contains every failed event.
    pub async fn wait_until_indexed(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut connection = Connection::open(&self.address).await?;
        let path = format!("{}/api/search?query=q%3Dnothing", self.base);
        loop {
            let answer = connection.get_encoded(&path, "identity").await?.success(&path)?;
            if String::from_utf8_lossy(&answer.body).contains("\"building\":[]") {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < FIRST_READ, "the index of the search is not built");
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Returns the size of the store's file in bytes.
    pub fn store_bytes(&self) -> u64 {
        fs::metadata(&self.store).map_or(0, |file| file.len())
    }

    /// Returns its peak memory in kB (VmHWM of proc(5)).
    pub fn peak_memory_kb(&self) -> anyhow::Result<u64> {
        let pid = self.child.id().context("the console has ended")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("only Linux says how much memory")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        line.trim().trim_end_matches(" kB").parse().context("VmHWM is no number")
    }

    /// Ends it as a service manager would.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().context("the console has ended by itself")?;
        Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await?;
        let status = timeout(PATIENCE, self.child.wait()).await.context("the console does not end")??;
        if !status.success() {
            bail!("the console ended with {status}");
        }
        Ok(())
    }
}
