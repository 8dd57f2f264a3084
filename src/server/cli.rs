//! The command line: `serve`, `demo`, `check`, `account`, `service-token`, `audit` and `store`.
//!
//! Errors at the start are printed on stderr in plain words. The exit code is 2 if the command line or the
//! configuration is wrong, and 1 for every other failure.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand};

use crate::{
    clock,
    demo::{self, Hospital},
    model::{Role, access::ServiceRight, error_text::visible},
    paths::{BadBase, Base},
};

use super::{
    accounts_cli::{self, Task},
    check,
    config::{self, CommandLine, Config, Environment, Mode, Refused},
    output::remark,
    run,
    service_tokens_cli::{self, Task as TokenTask},
    upkeep::{self, AuditCommand, StoreCommand},
};

/// The command line or the configuration is wrong.
const MISCONFIGURED: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  atomfeed-console demo
      A demo hospital on http://127.0.0.1:9080/atomfeed-console
  atomfeed-console check --config console.toml
      Checks that every database can be reached, and the rights of the accounts
  atomfeed-console serve --config console.toml
  atomfeed-console serve --config application.yml
      The old console's own file, unchanged

Order of precedence: the command line, then the environment, then the file of --config,
then Leptos.toml in the working directory. Variables of the environment:
ATOMFEED_CONSOLE_ and CONFIG, LISTEN, BASE_PATH, STORE, ACCESS, PUBLIC_ORIGIN,
TRUSTED_PROXIES, LOG_FORM or LOG_LEVEL.

Exit codes: 0, OK; 1, something failed, check found something to fix,
or the audit log is not whole; 2, the command line or the configuration is
wrong.";

const SERVE_EXAMPLES: &str = "\
Examples:
  atomfeed-console serve --config /etc/atomfeed-console/console.toml
  atomfeed-console serve --config application.yml --listen 127.0.0.1:9081
  atomfeed-console serve --config console.toml --store /var/lib/console/store.db";

const DEMO_EXAMPLES: &str = "\
Examples:
  atomfeed-console demo
      In a temporary folder that is removed at the end
  atomfeed-console demo --data hospital
      Kept in the folder hospital, to go on there the next time
  atomfeed-console demo --pace 1
      As fast as a real hospital: retries every 15 or 30 s
  atomfeed-console demo --events 200000 --listen 127.0.0.1:0
      A large hospital on any free port; the log says which";

const CHECK_EXAMPLES: &str = "\
Nothing is changed, neither in the databases nor on the disk.

The exit code is 0 if for every application: the database
answers within its timeouts; failed_events and markers are there and can be
read; failed_events may be updated, unless the application is read_only; and
no row was found that makes the consumer fail. Otherwise the code is 1.

Example:
  atomfeed-console check --config console.toml && echo ready";

const ACCOUNT_EXAMPLES: &str = "\
A password is typed without being shown, or comes on standard input; it is
never an argument. The console can be running.

Examples:
  atomfeed-console account add asha --role operator --config console.toml
  atomfeed-console account add ward-screen --role viewer --application Odoo \\
      --one-time --config console.toml
  atomfeed-console account password administrator --one-time --config console.toml
      The account's sessions and tokens end
  atomfeed-console account revoke asha --all --config console.toml";

const SERVICE_TOKEN_EXAMPLES: &str = "\
A service token is for a machine. It opens one page, whatever the way of
signing in, and belongs to no user. The console can be running.

Examples:
  atomfeed-console service-token add nagios --right status --config console.toml
      The token is printed on standard output, once
  atomfeed-console service-token list --config console.toml
  atomfeed-console service-token revoke 3 --config console.toml";

/// See which Atom feeds of a Bahmni hospital are healthy, why an event failed, and retry it.
#[derive(Debug, Parser)]
#[command(name = "atomfeed-console", version, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the console with the databases of the hospital.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),
    /// Start the console with a demo hospital; needs no configuration and no database.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Demo),
    /// Check every configured database and report what is missing.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Manage the audit log.
    Audit(Upkeep<AuditCommand>),
    /// Back up and restore the console's own database.
    Store(Upkeep<StoreCommand>),
    /// Manage accounts.
    #[command(after_help = ACCOUNT_EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
    Account(Account),
    /// Manage service tokens.
    #[command(after_help = SERVICE_TOKEN_EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
    ServiceToken(ServiceToken),
    /// Write the manual pages, one for each command; for packages.
    #[command(hide = true)]
    Man {
        /// The folder to write them into.
        folder: PathBuf,
    },
}

/// A command on the store, and the place of the store.
#[derive(Debug, Args)]
struct Upkeep<C: Subcommand> {
    #[command(flatten)]
    place: StorePlace,
    #[command(subcommand)]
    command: C,
}

#[derive(Debug, Args)]
struct StorePlace {
    /// The configuration that names the store.
    #[arg(long, value_name = "FILE", env = "ATOMFEED_CONSOLE_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// The store [default: as configured].
    #[arg(long, value_name = "FILE", global = true)]
    store: Option<PathBuf>,
}

impl StorePlace {
    /// Returns the path of the store. If the command line names it, no configuration is needed.
    fn path(self) -> anyhow::Result<PathBuf> {
        match self.store {
            Some(store) => Ok(store),
            None => Ok(load(CommandLine::default(), ConfigFile { config: self.config })?.store),
        }
    }
}

#[derive(Debug, Args)]
struct Account {
    #[command(subcommand)]
    task: AccountTask,
}

#[derive(Debug, Subcommand)]
enum AccountTask {
    /// Show every account.
    List {
        #[command(flatten)]
        at: Store,
    },
    /// Add an account; the command asks for the password.
    Add {
        /// The name to sign in with.
        name: String,
        /// viewer, operator or administrator.
        #[arg(long, value_name = "ROLE")]
        role: Role,
        /// The name of an application that the account can see; repeat for several [default: all].
        #[arg(long = "application", value_name = "NAME")]
        applications: Vec<String>,
        /// Create a password for the first sign-in, and print it.
        #[arg(long)]
        one_time: bool,
        #[command(flatten)]
        at: Store,
    },
    /// Change the password of an account; the command asks for the password.
    Password {
        name: String,
        /// Create a password for one sign-in, and print it.
        #[arg(long)]
        one_time: bool,
        #[command(flatten)]
        at: Store,
    },
    /// Disable an account.
    Disable {
        name: String,
        #[command(flatten)]
        at: Store,
    },
    /// Enable an account.
    Enable {
        name: String,
        #[command(flatten)]
        at: Store,
    },
    /// Remove the second factor of an account, for a user who has lost phone and recovery codes.
    ResetSecondFactor {
        name: String,
        #[command(flatten)]
        at: Store,
    },
    /// Show the tokens of every account, or of one.
    Tokens {
        name: Option<String>,
        #[command(flatten)]
        at: Store,
    },
    /// Revoke a token of an account, or all of them.
    #[command(group(ArgGroup::new("which").args(["number", "all"]).required(true)))]
    Revoke {
        name: String,
        /// The token's number, as `account tokens` shows it.
        number: Option<i64>,
        /// Every token of the account.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        at: Store,
    },
}

#[derive(Debug, Args)]
struct ServiceToken {
    #[command(subcommand)]
    task: ServiceTokenTask,
}

#[derive(Debug, Subcommand)]
enum ServiceTokenTask {
    /// Show all service tokens.
    List {
        #[command(flatten)]
        at: Store,
    },
    /// Create a service token, and print it.
    Add {
        /// The machine that will use it.
        name: String,
        /// What the token opens: status.
        #[arg(long, value_name = "RIGHT")]
        right: ServiceRight,
        /// The name of an application that the token shows; repeat for several [default: all].
        #[arg(long = "application", value_name = "NAME")]
        applications: Vec<String>,
        /// For how many days the token is valid [default: no end].
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
        #[command(flatten)]
        at: Store,
    },
    /// Revoke a token.
    Revoke {
        /// The token's number, as `service-token list` shows it.
        number: i64,
        #[command(flatten)]
        at: Store,
    },
}

/// The place of the accounts.
#[derive(Debug, Args)]
struct Store {
    #[command(flatten)]
    file: ConfigFile,
    /// The database of the console [default: as configured].
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration: a TOML file, or the old console's application.yml.
    #[arg(long, value_name = "FILE", env = "ATOMFEED_CONSOLE_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Web {
    /// Where to listen [default: 127.0.0.1:9080]; port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The base path [default: /atomfeed-console].
    #[arg(long, value_name = "PATH", value_parser = base_path)]
    base_path: Option<Base>,
    /// How people sign in: accounts, openmrs, proxy or open (no sign-in) [default: accounts].
    #[arg(long, value_name = "WAY", value_parser = access)]
    access: Option<Mode>,
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    web: Web,
    /// The console's own database [default: atomfeed-console.db beside the configuration].
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Demo {
    #[command(flatten)]
    web: Web,
    /// Keep the hospital in this folder [default: a temporary one that is removed at the end].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// About how many failed events the hospital has, in addition to the 1,000 of the stopped feed.
    #[arg(long, value_name = "N", default_value_t = demo::Options::EVENTS, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    events: u32,
    /// How many times faster than a real hospital it works; 0: no consumer runs.
    #[arg(long, value_name = "N", default_value_t = demo::PACE, value_parser = clap::value_parser!(u32).range(..=100))]
    pace: u32,
}

#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    file: ConfigFile,
}

fn access(text: &str) -> Result<Mode, String> {
    let found = Mode::WORDS.into_iter().find(|(word, _)| *word == text).map(|(_, mode)| mode);
    found.ok_or_else(|| "the ways are accounts, openmrs, proxy and open".to_owned())
}

fn base_path(text: &str) -> Result<Base, BadBase> {
    Base::parse(text)
}

/// Reads the command line and runs its command.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(std::env::args_os()) {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version are such errors, too: they go to stdout with exit code 0.
            let wrong = answer.use_stderr();
            // A closed output pipe does not change the exit code.
            let _ = answer.print();
            return if wrong { ExitCode::from(MISCONFIGURED) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return told(&anyhow::Error::new(error).context("The console could not start its threads")),
    };
    match runtime.block_on(command(cli.command)) {
        Ok(code) => code,
        Err(error) => told(&error),
    }
}

async fn command(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(serve) => {
            let config = serve_config(serve)?;
            config.has_an_application()?;
            run::run(config, None).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(options) => run_demo(options).await,
        Command::Check(options) => {
            let config = load(CommandLine::default(), options.file)?;
            Ok(if check::check(&config).await { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Audit(Upkeep { place, command: AuditCommand::Verify(asked) }) => {
            let whole = upkeep::verify(&place.path()?, asked).await?;
            Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Store(Upkeep { place, command }) => {
            let path = place.path()?;
            match command {
                StoreCommand::Backup(asked) => upkeep::backup(&path, asked).await?,
                StoreCommand::Restore(asked) => upkeep::restore(&path, asked).await?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Account(options) => {
            account(options.task).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::ServiceToken(options) => {
            service_token(options.task).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { folder } => {
            clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &folder)
                .with_context(|| format!("The manual pages could not be written into {}", folder.display()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn account(task: AccountTask) -> anyhow::Result<()> {
    let (at, task) = match task {
        AccountTask::List { at } => (at, Task::List),
        AccountTask::Add { name, role, applications, one_time, at } => {
            (at, Task::Add { name, role, applications, one_time })
        }
        AccountTask::Password { name, one_time, at } => (at, Task::Password { name, one_time }),
        AccountTask::Disable { name, at } => (at, Task::Disable { name }),
        AccountTask::Enable { name, at } => (at, Task::Enable { name }),
        AccountTask::ResetSecondFactor { name, at } => (at, Task::ResetSecondFactor { name }),
        AccountTask::Tokens { name, at } => (at, Task::Tokens { name }),
        AccountTask::Revoke { name, number, at, .. } => (at, Task::Revoke { name, number }),
    };
    let config = load(CommandLine { store: at.store, ..CommandLine::default() }, at.file)?;
    accounts_cli::run(&config, task).await
}

async fn service_token(task: ServiceTokenTask) -> anyhow::Result<()> {
    let (at, task) = match task {
        ServiceTokenTask::List { at } => (at, TokenTask::List),
        ServiceTokenTask::Add { name, right, applications, days, at } => {
            (at, TokenTask::Add { name, right, applications, days })
        }
        ServiceTokenTask::Revoke { number, at } => (at, TokenTask::Revoke { number }),
    };
    let config = load(CommandLine { store: at.store, ..CommandLine::default() }, at.file)?;
    service_tokens_cli::run(&config, task).await
}

fn serve_config(serve: Serve) -> anyhow::Result<Config> {
    let Web { listen, base_path: base, access } = serve.web;
    let line = CommandLine { listen, base, store: serve.store, access };
    load(line, serve.file)
}

fn load(line: CommandLine, file: ConfigFile) -> anyhow::Result<Config> {
    let file = file.config.filter(|file| *file != OsString::new());
    Ok(config::load(line, &Environment::of_process(), file.as_deref(), Path::new(""))?)
}

/// Runs the demo. A temporary folder exists as long as the server runs.
async fn run_demo(options: Demo) -> anyhow::Result<ExitCode> {
    let Web { listen, base_path: base, access } = options.web;
    let line = CommandLine { listen, base, store: None, access };
    let (folder, _removed_at_the_end) = match options.data {
        Some(folder) => {
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("The folder {} could not be created", folder.display()))?;
            (folder, None)
        }
        None => {
            let temporary = tempfile::Builder::new()
                .prefix("atomfeed-console-demo-")
                .tempdir()
                .context("No temporary folder could be created for the demo hospital; choose one with --data")?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    let hospital = demo::Options { events: options.events, ..demo::Options::at(clock::now()) };
    let applications = demo::prepare(&folder, hospital, options.pace)
        .await
        .with_context(|| format!("The demo hospital could not be created in {}", folder.display()))?;
    let hospital = Hospital::open(&folder, options.pace).await.context("The demo hospital could not be opened")?;
    let config = config::demo(line, &Environment::of_process(), Path::new(""), &folder, applications)?;
    run::run(config, Some(hospital)).await?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the error with its causes on stderr, and returns the exit code.
fn told(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<Refused>() {
        Some(refused) => {
            remark(format_args!("{refused}\n\nEvery setting is described in docs/configuration.md."));
            ExitCode::from(MISCONFIGURED)
        }
        None => {
            // An error can quote a file name, and a database's own words.
            remark(visible(&with_causes(error)));
            ExitCode::FAILURE
        }
    }
}

/// Returns the error and its causes. Many errors contain their cause already; it is not repeated.
fn with_causes(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said.push_str(": ");
            said.push_str(&cause);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_takes_a_file_and_what_overrides_it() {
        let Ok(Command::Serve(serve)) =
            parse("atomfeed-console serve --config c.toml --listen 0.0.0.0:80 --base-path x/ --store s.db")
        else {
            panic!("serve is not understood")
        };
        assert_eq!(serve.file.config, Some("c.toml".into()));
        assert_eq!(serve.web.listen, Some("0.0.0.0:80".parse().unwrap()));
        assert_eq!(serve.web.base_path.unwrap().as_str(), "/x");
        assert_eq!(serve.store, Some("s.db".into()));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for line in [
            "atomfeed-console",
            "atomfeed-console start",
            "atomfeed-console serve --listen 9080",
            "atomfeed-console serve --base-path /a/../b",
            "atomfeed-console demo --events many",
            "atomfeed-console demo --events 2000000",
            "atomfeed-console demo --config c.toml",
            "atomfeed-console check --listen 127.0.0.1:1",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    /// Returns the options that a command and its subcommands have.
    fn options(command: &clap::Command) -> BTreeSet<String> {
        let own = command.get_arguments().filter(|option| !option.is_hide_set()).filter_map(clap::Arg::get_long);
        let own = own.map(str::to_owned).chain(command.get_subcommands().flat_map(options));
        own.filter(|name| !["help", "version"].contains(&name.as_str())).collect()
    }

    #[test]
    fn the_documentation_has_the_options_of_the_command_line_and_no_others() {
        let documentation = include_str!("../../docs/configuration.md");
        let section = documentation.split("## Command line").nth(1).unwrap().split("\n## ").next().unwrap();
        let command = Cli::command();
        let commands: BTreeMap<_, _> = command
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(|command| (command.get_name(), options(command)))
            .collect();
        for name in commands.keys() {
            assert!(section.contains(&format!("atomfeed-console {name} ")), "{name} is not described");
        }
        let mut described = BTreeSet::new();
        for row in section.lines().filter_map(|line| line.strip_prefix("| `--")).filter(|row| !row.starts_with("help"))
        {
            let (name, rest) = row.split_once([' ', '`']).unwrap();
            let of = rest.split('|').nth(1).unwrap().trim();
            let have: Vec<_> =
                commands.iter().filter(|(_, has)| has.contains(name)).map(|(command, _)| *command).collect();
            let mut said: Vec<_> = match of.strip_prefix("all but ") {
                Some(without) => commands.keys().copied().filter(|command| *command != without).collect(),
                None => of.split(", ").collect(),
            };
            said.sort_unstable();
            assert_eq!(said, have, "--{name}");
            let demo = command.find_subcommand("demo").unwrap();
            let default = demo.get_arguments().find(|option| option.get_long() == Some(name));
            for default in default.into_iter().flat_map(clap::Arg::get_default_values) {
                let default = format!("{} by default", default.display());
                assert!(row.contains(&default), "--{name}: {default}");
            }
            described.insert(name);
        }
        for command in ["serve", "demo", "check"] {
            for name in &commands[command] {
                assert!(described.contains(name.as_str()), "--{name} of {command} is not described");
            }
        }
    }
}
