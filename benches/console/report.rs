//! Prints the figures as a Markdown table, with the machine and the data they belong to.

use std::{fmt, fs, time::Duration};

use anyhow::Context as _;

use crate::{
    console::Console,
    consuming::Rate,
    figures::{Busy, ScreenReport, ms, thousands},
    history::History,
    http::{AS_A_BROWSER, Connection},
    old_json::{self, OldJsonReport},
    options::{Limits, Options},
    protocol::{ProtocolReport, Recent, Walked},
};

/// Everything that was measured.
#[derive(Debug)]
pub struct Report {
    data: String,
    pub backends: Vec<BackendReport>,
    pub sizes: Option<Sizes>,
    pub retries: Vec<RetryReport>,
    pub old_json: Vec<OldJsonReport>,
    /// Data of the protocol's figures.
    protocol_data: String,
    pub protocol: Vec<ProtocolReport>,
    pub walked: Option<Walked>,
}

/// What was measured on one backend.
#[derive(Debug)]
pub struct BackendReport {
    pub server: String,
    pub screens: Vec<ScreenReport>,
    pub busy: Busy,
    pub memory_kb: u64,
    pub start: Duration,
}

/// A retry of all exhausted events.
#[derive(Debug)]
pub struct RetryReport {
    pub server: String,
    pub rows: u64,
    /// From the click on the list to the complete plan.
    pub plan: Duration,
    /// From the start of the operation to its end.
    pub run: Duration,
    /// Until every request is in the ledger as well, which receives them afterwards.
    pub in_ledger: Duration,
    /// The same batches by hand in SQL.
    pub by_hand: Duration,
    pub memory_kb: u64,
}

/// Bytes that a browser loads once, with gzip (plain HTTP) and with brotli (HTTPS).
#[derive(Debug)]
pub struct Sizes {
    files: Vec<(&'static str, usize, usize)>,
}

impl Report {
    pub fn begin(history: &History, limits: Limits, options: &Options) -> Self {
        let data = format!(
            "{} failed events, {} rows of the retry log and {} published events on each backend; at the most {} requests \
             a screen, one at a time on a kept connection, with gzip, console, database and client on one machine.",
            thousands(history.failed),
            thousands(history.attempts),
            thousands(history.published),
            limits.samples,
        );
        let protocol_data = format!(
            "{0} events from the queue onto a feed; {0} from a feed over HTTP into a worker's table, and {0} failed ones tried \
             again, one transaction an event, in turns with the same statements issued bare on one connection; the newest \
             page of a feed of {1} events with its offset marker, without HTTP, and the four statements that it needs.",
            thousands(options.entries),
            thousands(options.feed),
        );
        Self {
            data,
            backends: Vec::new(),
            sizes: None,
            retries: Vec::new(),
            old_json: Vec::new(),
            protocol_data,
            protocol: Vec::new(),
            walked: None,
        }
    }
}

impl Sizes {
    /// # Errors
    /// Fails if the binary was built without the site.
    pub async fn of(console: &Console) -> anyhow::Result<Self> {
        let mut connection = Connection::open(&console.address).await?;
        let page = connection.get_encoded(&console.base, "identity").await?.success("the overview")?;
        let page = String::from_utf8_lossy(&page.body).into_owned();
        let folder = package_folder(&page).context("the overview names no package of module and style")?;
        let mut files = Vec::new();
        for (name, ending) in
            [("style sheet", "css"), ("browser module, wasm", "wasm"), ("its loader, JavaScript", "js")]
        {
            let path = format!("{folder}atomfeed-console.{ending}");
            let gzip = packed(&mut connection, &path, AS_A_BROWSER, "gzip").await?;
            let brotli = packed(&mut connection, &path, "br", "br").await?;
            files.push((name, gzip, brotli));
        }
        Ok(Self { files })
    }
}

async fn packed(connection: &mut Connection, path: &str, accept: &str, encoding: &str) -> anyhow::Result<usize> {
    let answer =
        connection.get_encoded(path, accept).await?.success(path).context("build with the site: make build")?;
    anyhow::ensure!(answer.encoding.as_deref() == Some(encoding), "{path} does not come as {encoding}");
    Ok(answer.body.len())
}

/// `/base/pkg/<version>/`, from the page's link to its style sheet.
fn package_folder(page: &str) -> Option<&str> {
    let end = page.find("atomfeed-console.css")?;
    let start = page[..end].rfind('"')? + 1;
    Some(&page[start..end])
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = if self.backends.is_empty() { "" } else { &self.data };
        writeln!(f, "Measured on {}. {data}\n", machine())?;
        for backend in &self.backends {
            writeln!(f, "**{}**\n", backend.server)?;
            writeln!(f, "| screen | p50 | p99 | bare SQL p50 | ratio | size, gzip |")?;
            writeln!(f, "|---|--:|--:|--:|--:|--:|")?;
            for screen in &backend.screens {
                let (bare, ratio) = match screen.bare {
                    Some(bare) => (ms(bare), format!("{:.1}", screen.p50.as_secs_f64() / bare.as_secs_f64())),
                    None => ("–".to_owned(), "–".to_owned()),
                };
                let (name, p50, p99) = (screen.name, ms(screen.p50), ms(screen.p99));
                // Fewer than 100 samples have no 99th percentile.
                let p99 = if screen.count >= 100 { p99 } else { format!("max {p99} of {}", screen.count) };
                writeln!(f, "| {name} | {p50} | {p99} | {bare} | {ratio} | {} |", kb(screen.size))?;
            }
            writeln!(
                f,
                "\nAt 16 connections: {:.0} overviews/s, {:.0} lists/s. Peak memory {:.1} MB. Start {:.0} ms.\n",
                backend.busy.overview,
                backend.busy.list,
                backend.memory_kb as f64 / 1024.0,
                backend.start.as_secs_f64() * 1000.0,
            )?;
        }
        if let Some(sizes) = &self.sizes {
            writeln!(f, "| loaded once | gzip | brotli |\n|---|--:|--:|")?;
            for (name, gzip, brotli) in &sizes.files {
                writeln!(f, "| {name} | {} | {} |", kb(*gzip), kb(*brotli))?;
            }
        }
        self.retries(f)?;
        self.old_json(f)?;
        self.protocol(f)
    }
}

impl Report {
    fn retries(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.retries.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n**A retry of all events with retries used up**, once the ledger has read the table, and the same batches by hand in SQL.\n"
        )?;
        writeln!(f, "| | events | plan | retry | by hand | ratio | in the ledger after | most memory |")?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|--:|--:|")?;
        for RetryReport { server, rows, plan, run, in_ledger, by_hand, memory_kb } in &self.retries {
            let [plan, run, ledger, by_hand] = [plan, run, in_ledger, by_hand].map(Duration::as_secs_f64);
            let (rows, ratio, memory) = (thousands(*rows), run / by_hand.max(0.001), memory_kb / 1024);
            writeln!(
                f,
                "| {server} | {rows} | {plan:.1} s | {run:.2} s | {by_hand:.2} s | {ratio:.2} | {ledger:.1} s | {memory} MB |"
            )?;
        }
        Ok(())
    }

    fn old_json(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.old_json.is_empty() {
            return Ok(());
        }
        let History { failed, attempts, .. } = old_json::HISTORY;
        writeln!(
            f,
            "\n**The old console's JSON**, of {} failed events and {} rows of the retry log, and the statements that each call \
             needs, in turns.\n",
            thousands(failed),
            thousands(attempts)
        )?;
        writeln!(f, "| | p50 | bare SQL p50 | ratio |\n|---|--:|--:|--:|")?;
        self.old_json.iter().try_for_each(|report| write!(f, "{report}"))
    }

    fn protocol(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.protocol.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n**The protocol.** {}\n", self.protocol_data)?;
        writeln!(f, "| | published | offset markers written in |\n|---|--:|--:|")?;
        for ProtocolReport { server, published, markers, .. } in &self.protocol {
            writeln!(f, "| {server} | {published:.0}/s | {:.1} s |", markers.as_secs_f64())?;
        }
        writeln!(f, "\n| | events | bare SQL | ratio |\n|---|--:|--:|--:|")?;
        for ProtocolReport { server, consumed, retried, .. } in &self.protocol {
            for (what, Rate { ours, bare }) in [("consumed", consumed), ("retried", retried)] {
                writeln!(f, "| {server}, {what} | {ours:.0}/s | {bare:.0}/s | {:.2} |", ours / bare)?;
            }
        }
        writeln!(f, "\n| newest page | p50 | p99 | bare SQL p50 | ratio |\n|---|--:|--:|--:|--:|")?;
        for ProtocolReport { server, recent, .. } in &self.protocol {
            for Recent { name, p50, p99, bare } in recent {
                let ratio = p50.as_secs_f64() / bare.as_secs_f64();
                writeln!(f, "| {server}, {name} | {} | {} | {} | {ratio:.1} |", ms(*p50), ms(*p99), ms(*bare))?;
            }
        }
        let Some(Walked { few, many }) = &self.walked else { return Ok(()) };
        let mb = |kb: u64| kb as f64 / 1024.0;
        writeln!(
            f,
            "\nPeak memory of a consumer that walks back over {} pages {:.1} MB, over {} pages {:.1} MB.",
            thousands(few.0 as u64),
            mb(few.1),
            thousands(many.0 as u64),
            mb(many.1),
        )
    }
}

fn kb(bytes: usize) -> String {
    format!("{:.1} kB", bytes as f64 / 1000.0)
}

/// Returns processor, cores, memory and system, as Linux reports them.
fn machine() -> String {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once([':', '='])?.1.trim().trim_matches('"').to_owned())
    };
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "an unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").and_then(|kb| kb.trim_end_matches(" kB").parse::<f64>().ok());
    let memory = memory.map(|kb| format!(", {:.0} GB", kb / 1024.0 / 1024.0)).unwrap_or_default();
    let system = field("/etc/os-release", "PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned());
    format!("{processor}, {cores} cores{memory}, {system}")
}
