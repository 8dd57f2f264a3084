//! The real binary: what it prints at the start, where it prints it, and its exit codes.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use atomfeed_console::{
    model::{
        Role,
        audit::{AuditFilter, AuditKind},
    },
    server::store::{Entry, NewToken, Store},
};
use sqlx::{Connection as _, SqliteConnection};

/// Runs the binary in an empty folder, with this file as `console.toml` and without the console's environment
/// variables.
fn run(arguments: &[&str], file: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("console.toml"), file).expect("the file is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_atomfeed-console"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ATOMFEED_CONSOLE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).current_dir(folder.path()).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_and_version_are_answers_on_stdout() {
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["demo", "--help"],
        &["check", "--help"],
        &["audit", "--help"],
        &["audit", "verify", "--help"],
        &["store", "backup", "--help"],
        &["store", "restore", "--help"],
        &["--version"],
    ] {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(text(&output.stdout).contains("atomfeed-console") && output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in
        [&[][..], &["start"], &["serve", "--listen", "9080"], &["serve"], &["check", "--config", "none.toml"]]
    {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_wrong_configuration_tells_all_of_its_errors_and_no_password() {
    let file = "listen = 1\n[[application]]\nname = \"A\"\nkind = \"odoo\"\nuser = \"u\"\n\
                database = \"mysql://root:s3cr3t-Pa55@h/d\"\npasswrod = \"s3cr3t-Pa55\"\n";
    for command in ["serve", "check"] {
        let output = run(&[command, "--config", "console.toml"], file);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        for part in
            ["has 3 errors", "console.toml:1: listen:", "application[1].database:", "did you mean \"password\"?"]
        {
            assert!(told.contains(part), "{part}\n{told}");
        }
        assert!(output.stdout.is_empty() && !told.contains("s3cr3t"), "{told}");
    }
}

/// Old files as templates leave them: OpenMRS complete, and others that were not filled in.
const UNFILLED: &str = "\
appConfigs:
- {appName: OpenMRS, dbUrl: 'jdbc:mysql://127.0.0.1:1/openmrs', dbUser: u, dbPassword: s3cr3t-Pa55}
- {appName: Odoo, dbUrl: 'jdbc:postgresql:///', dbUser: , dbPassword: }
- {appName: OpenELIS, dbUrl: 'jdbc:postgresql://${OPENELIS_DB_HOST}/clinlims', dbUser: '${OPENELIS_DB_USER}', dbPassword: s3cr3t-Pa55}
- {appName: Tests, dbUrl: 'jdbc:h2:mem:s3cr3t-Pa55', dbUser: sa}
";

#[test]
fn check_lists_what_is_not_configured_beside_the_rest_and_ends_with_1() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("application.yml");
    let check = |content: &str| {
        std::fs::write(&file, content).expect("the file is written");
        let output = run(&["check", "--config", file.to_str().expect("UTF-8")], "");
        assert_eq!(output.status.code(), Some(1), "{}{}", text(&output.stdout), text(&output.stderr));
        let told = text(&output.stdout);
        assert!(!told.contains("s3cr3t") && !text(&output.stderr).contains("s3cr3t"), "{told}");
        told
    };
    let told = check(UNFILLED);
    for words in [
        "OpenMRS (openmrs, 127.0.0.1:1/openmrs)\n  reachable  no: ",
        "Odoo (odoo, not configured)\n",
        "appConfigs[2].dbUrl: names no host",
        "appConfigs[2].dbUser: is missing",
        "appConfigs[3].dbUrl: the environment variable OPENELIS_DB_HOST is not set",
        "appConfigs[3].dbUser: the environment variable OPENELIS_DB_USER is not set",
        "appConfigs[4].dbUrl: has a driver that is not known",
        "Problems to fix: 4 of 4 applications.",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    let places: Vec<_> = ["OpenMRS (", "Odoo (", "OpenELIS (", "Tests ("].iter().map(|name| told.find(name)).collect();
    assert!(places.is_sorted(), "{told}");
    let none = UNFILLED.lines().filter(|line| !line.contains("OpenMRS")).collect::<Vec<_>>().join("\n");
    assert!(check(&none).contains("Problems to fix: 3 of 3 applications."), "also where there is none");
}

#[test]
fn serve_needs_one_application_that_is_configured() {
    let site = Site::new("");
    let whole = std::fs::read_to_string(site.0.path().join("console.toml")).expect("the file");
    let lacking = "[[application]]\nname = \"PACS\"\nkind = \"pacs\"\ndatabase = \"postgres:///pacs\"\nuser = \"${NOBODY_SETS}\"\n";
    std::fs::write(site.0.path().join("console.toml"), format!("{whole}{lacking}")).expect("the file is written");
    assert!(site.start("answers at").join("\n").contains("The console answers at"));
    // The commands that manage the store need no application.
    std::fs::write(site.0.path().join("console.toml"), format!("listen = \"127.0.0.1:0\"\n{lacking}"))
        .expect("written");
    assert_eq!(site.run(&["account", "list"], "").status.code(), Some(0));
    let refused = site.run(&["serve"], "");
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{told}");
    for words in ["has 2 errors", "application[1].database: names no host", "NOBODY_SETS is not set"] {
        assert!(told.contains(words), "{words}\n{told}");
    }
}

#[test]
fn the_first_start_says_the_command_that_acts_on_this_very_console() {
    let site = Site::new("");
    let said = site.start_with(&["--store", "another store.db"], "account password administrator").join("\n");
    let hint = said.lines().last().expect("a hint").trim();
    let folder = site.0.path().canonicalize().expect("a folder").display().to_string();
    assert_eq!(
        hint,
        format!(
            "atomfeed-console account password administrator --one-time --config {folder}/console.toml --store '{folder}/another store.db'"
        )
    );
    // As a shell would run it, from another folder.
    let shell = hint.replacen("atomfeed-console", env!("CARGO_BIN_EXE_atomfeed-console"), 1);
    let output = Command::new("sh").args(["-c", &shell]).current_dir("/").output().expect("a shell");
    assert!(text(&output.stdout).contains("One-time password: "), "{}", text(&output.stderr));
    assert!(!site.0.path().join("atomfeed-console.db").exists(), "no other store was touched");
}

#[test]
fn an_empty_rust_log_does_not_silence_the_log() {
    let site = Site::new("[access]\nmode = \"open\"");
    for (said, logged) in [("", true), ("off", false)] {
        let mut command = site.command(&["serve"]);
        command.env("RUST_LOG", said).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        assert!(out.next().expect("a line").expect("text").contains("answers at"));
        child.kill().expect("it was running");
        let log = text(&child.wait_with_output().expect("it ends").stderr);
        assert_eq!(log.contains("sign-in is off"), logged, "RUST_LOG={said:?}: {log}");
    }
}

/// A store with some audit entries, and its path.
async fn a_store(folder: &std::path::Path) -> String {
    let path = folder.join("console.db");
    let store = Store::open(&path).await.expect("a store");
    for _ in 0..3 {
        store.append_audit(&Entry::of_console(AuditKind::ConsoleStarted)).await.expect("an entry");
    }
    store.close().await;
    path.to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn the_audit_log_is_verified_and_a_change_ends_with_1() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = a_store(folder.path()).await;
    let output = run(&["audit", "verify", "--store", &store], "");
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", text(&output.stderr));
    assert!(told.contains("is whole: 3 entries, from number 1 to 3"), "{told}");
    let noted = told.split("--known ").nth(1).expect("what to note").trim().to_owned();
    assert_eq!(run(&["audit", "verify", "--store", &store, "--known", &noted], "").status.code(), Some(0));
    let forged = format!("2:{}", noted.split_once(':').expect("a hash").1);
    assert_eq!(run(&["audit", "verify", "--store", &store, "--known", &forged], "").status.code(), Some(1));

    let mut connection = SqliteConnection::connect(&format!("sqlite:{store}")).await.expect("the file opens");
    let sql =
        "DROP TRIGGER audit_entries_do_not_change; UPDATE audit_entries SET who = 'x' || char(27) WHERE sequence = 2";
    sqlx::raw_sql(sql).execute(&mut connection).await.expect("it is changed");
    connection.close().await.expect("closed");
    let output = run(&["audit", "verify", "--store", &store], "");
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("is not whole. Entry 2 was changed"), "{told}");

    let none = run(&["audit", "verify", "--store", "missing.db"], "");
    assert_eq!(none.status.code(), Some(1));
    let told = text(&none.stderr);
    assert!(told.contains("missing.db"), "{told}");
    assert_eq!(told.matches("No such file").count(), 1, "{told}");
    let other = folder.path().join("notes.txt").to_str().expect("UTF-8").to_owned();
    std::fs::write(&other, "no database at all, but of some length".repeat(200)).expect("written");
    let refused = run(&["audit", "verify", "--store", &other], "");
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert_eq!((told.matches(&other).count(), told.matches("not a database").count()), (1, 1), "{told}");
    assert_eq!(run(&["audit", "verify"], "").status.code(), Some(2), "neither a store nor a configuration");
}

#[tokio::test]
async fn a_command_whose_output_nobody_reads_ends_as_always() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = a_store(folder.path()).await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_atomfeed-console"))
        .args(["audit", "verify", "--store", &store])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[tokio::test]
async fn the_store_is_backed_up_and_restored_with_a_command_each() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = a_store(folder.path()).await;
    let backup = folder.path().join("backup.db").to_str().expect("UTF-8").to_owned();
    let done = run(&["store", "backup", "--store", &store, &backup], "");
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stdout).starts_with("Backed up "), "{}", text(&done.stdout));
    let again = run(&["store", "backup", "--store", &store, &backup], "");
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("--overwrite"), "{}", text(&again.stderr));
    assert_eq!(run(&["store", "backup", "--store", &store, &backup, "--overwrite"], "").status.code(), Some(0));

    let refused = run(&["store", "restore", "--store", &store, &backup], "");
    assert_eq!(refused.status.code(), Some(1), "a store is there");
    let done = run(&["store", "restore", "--store", &store, &backup, "--overwrite"], "");
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("is kept as"), "{}", text(&done.stdout));
    // Three entries, two recorded backups, and the restore.
    let told = text(&run(&["audit", "verify", "--store", &store], "").stdout);
    assert!(told.contains("6 entries"), "{told}");

    let nowhere = run(&["store", "backup", "--store", "missing.db", &backup], "");
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(!folder.path().join("missing.db").exists());
}

/// A console of one SQLite application in its own folder.
struct Site(tempfile::TempDir);

impl Site {
    fn new(access: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = format!(
            "listen = \"127.0.0.1:0\"\n{access}\n[[application]]\nname = \"Odoo\"\nkind = \"odoo\"\ndatabase = \"sqlite:odoo.db\"\n"
        );
        std::fs::write(folder.path().join("console.toml"), file).expect("the file is written");
        Self(folder)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_atomfeed-console"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ATOMFEED_CONSOLE_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).args(["--config", "console.toml"]).current_dir(self.0.path());
        command
    }

    /// Runs a command with this on standard input.
    fn run(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write;
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        // A command that needs no password may have ended already.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        child.wait_with_output().expect("it ends")
    }

    /// Returns what `serve` prints on stdout until its address, and after it until `until`.
    fn start(&self, until: &str) -> Vec<String> {
        self.start_with(&[], until)
    }

    /// The same with further options.
    fn start_with(&self, options: &[&str], until: &str) -> Vec<String> {
        let mut child = self
            .command(&["serve"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut said = Vec::new();
        for line in lines.map_while(Result::ok) {
            let last = line.contains(until);
            said.push(line);
            if last {
                break;
            }
        }
        child.kill().expect("it was running");
        child.wait().expect("it ends");
        said
    }
}

#[test]
fn the_first_start_makes_an_administrator_and_says_the_password_once() {
    let site = Site::new("");
    let said = site.start("account password administrator").join("\n");
    let password = said.split("one-time password ").nth(1).and_then(|rest| rest.lines().next()).expect("a password");
    assert_eq!(password.len(), 23, "{said}");
    let again = site.start("answers at").join("\n");
    assert!(!again.contains("password"), "{again}");
    let list = text(&site.run(&["account", "list"], "").stdout);
    assert!(list.starts_with("administrator ") && list.contains("never signed in, one-time password"), "{list}");
}

#[test]
fn accounts_are_looked_after_on_the_command_line() {
    let site = Site::new("");
    let good = "copper tunnel violin marsh\n";
    for (arguments, input, code, words) in [
        (&["account", "add", "asha", "--role", "administrator"][..], good, 0, "The account asha was added"),
        (&["account", "add", "ASHA", "--role", "viewer"], good, 1, "The account asha already exists"),
        (
            &["account", "add", "binta", "--role", "viewer", "--application", "odoo"],
            "short\n",
            1,
            "at least 15 are needed",
        ),
        (&["account", "add", "binta", "--role", "viewer", "--application", "Oodo"], good, 1, "There is no application"),
        (
            &["account", "add", "binta", "--role", "viewer", "--application", "Odoo", "--one-time"],
            "",
            0,
            "One-time password: ",
        ),
        (&["account", "add", "two words", "--role", "viewer"], good, 1, "cannot be used for an account"),
        (&["account", "add", "\u{430}sha", "--role", "viewer"], good, 1, "letters of different scripts"),
        (&["account", "disable", "asha"], "", 1, "the last administrator"),
        (&["account", "disable", "binta"], "", 0, "is disabled"),
        (&["account", "list"], "", 0, "disabled"),
        (&["account", "enable", "binta"], "", 0, "is enabled"),
        (&["account", "password", "binta"], good, 0, "The password of binta was changed"),
        (&["account", "password", "nobody"], good, 1, "There is no account \"nobody\""),
        (&["account", "add", "x", "--role", "king"], "", 2, "viewer, operator or administrator"),
    ] {
        let output = site.run(arguments, input);
        let told = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(words) && !told.contains("copper"), "{arguments:?}: {told}");
    }
}

/// A one-time password that nobody has seen is of no use, and the account would have it.
#[test]
fn an_account_is_not_added_if_nobody_reads_its_password() {
    let site = Site::new("");
    let add = ["account", "add", "binta", "--role", "viewer", "--one-time"];
    let mut child = site.command(&add).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("could not be printed. Nothing was changed"), "{}", text(&output.stderr));
    let list = text(&site.run(&["account", "list"], "").stdout);
    assert!(!list.contains("binta"), "{list}");

    let make = ["service-token", "add", "nagios", "--right", "status"];
    let mut child = site.command(&make).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("could not be printed. It was revoked"), "{}", text(&output.stderr));
    let null = site.command(&make).stdout(Stdio::null()).stderr(Stdio::piped()).output().expect("the binary runs");
    assert_eq!(null.status.code(), Some(1));
    let tokens = text(&site.run(&["service-token", "list"], "").stdout);
    assert!(tokens.starts_with("There are no service tokens."), "what nobody has opens nothing: {tokens}");
}

#[tokio::test]
async fn tokens_are_listed_and_revoked_on_the_command_line_and_it_is_on_record() {
    let site = Site::new("");
    let good = "copper tunnel violin marsh\n";
    for name in ["asha", "binta"] {
        site.run(&["account", "add", name, "--role", "administrator"], good);
    }
    let store = Store::open(&site.0.path().join("atomfeed-console.db")).await.expect("a store");
    for (owner, label) in [("asha", "report"), ("asha", "retries"), ("binta", "screen\u{1b}[2J")] {
        let account = store.account(owner).await.expect("an answer").expect("the account").id;
        let hash = label.as_bytes();
        let new = NewToken { account, hash, label, role: Role::Viewer, reading_only: true, expires_at: None };
        store.add_token(&new).await.expect("a token");
    }
    for (arguments, code, words, without) in [
        (&["account", "tokens"][..], 0, "viewer, reading only, no end, never used: report", "\u{1b}"),
        (&["account", "tokens", "Binta"], 0, "screen", "report"),
        (&["account", "tokens", "nobody"], 1, "There is no account \"nobody\"", "report"),
        (&["account", "revoke", "binta", "1"], 1, "binta has no token 1", "revoked"),
        (&["account", "revoke", "asha"], 2, "--all", "revoked"),
        (&["account", "revoke", "asha", "2"], 0, "The token 2 of asha is revoked", "report"),
        (&["account", "tokens", "asha"], 0, "report", "retries"),
        (&["account", "revoke", "asha", "--all"], 0, "Revoked tokens of asha: 1.", "report"),
        (&["account", "password", "binta"], 0, "its tokens are revoked", "screen"),
        (&["account", "tokens"], 0, "There are no tokens.", "asha"),
    ] {
        let output = site.run(arguments, good);
        let told = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(words) && !told.contains(without), "{arguments:?}: {told}");
    }
    let entries = store.audit_entries(&AuditFilter::default(), None, 8).await.expect("entries");
    let entries: Vec<_> = entries.iter().rev().map(|entry| (entry.what.as_str(), entry.outcome.as_str())).collect();
    assert_eq!(
        entries,
        [
            ("token 1 of binta", "begun"),
            ("token 1 of binta", "failed"),
            ("token 2 of asha", "begun"),
            ("token 2 of asha", "done"),
            ("every token of asha", "begun"),
            ("every token of asha", "done"),
            ("password of binta changed", "begun"),
            ("password of binta changed", "done"),
        ]
    );
}

#[tokio::test]
async fn a_second_factor_is_reset_on_the_command_line_without_its_key() {
    let site = Site::new("[access]\nsecond_factor_key = \"nowhere/key\"\n");
    site.run(&["account", "add", "asha", "--role", "administrator"], "copper tunnel violin marsh\n");
    let store = Store::open(&site.0.path().join("atomfeed-console.db")).await.expect("a store");
    let account = store.account("asha").await.expect("an answer").expect("the account").id;
    store
        .set_second_factor(account, b"sealed with a key that is lost", 0, &[[7; 32]], &[], false)
        .await
        .expect("it is set");
    for (arguments, code, words) in [
        (&["account", "list"][..], 0, "never signed in, second factor"),
        (&["account", "reset-second-factor", "nobody"], 1, "There is no account \"nobody\""),
        (&["account", "reset-second-factor", "Asha"], 0, "The second factor of asha is reset"),
        (&["account", "reset-second-factor", "asha"], 1, "asha has no second factor"),
    ] {
        let output = site.run(arguments, "");
        let told = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
    let listed = text(&site.run(&["account", "list"], "").stdout);
    assert!(!listed.contains("second factor"), "{listed}");
    let entries = store.audit_entries(&AuditFilter::default(), None, 4).await.expect("entries");
    let entries: Vec<_> = entries.iter().rev().map(|entry| (entry.what.as_str(), entry.outcome.as_str())).collect();
    let what = "second factor of asha reset";
    assert_eq!(entries, [(what, "begun"), (what, "done"), (what, "begun"), (what, "failed")]);
}

#[tokio::test]
async fn service_tokens_are_looked_after_on_the_command_line_and_it_is_on_record() {
    let site = Site::new("");
    let mut made = String::new();
    for (arguments, code, words) in [
        (&["service-token", "list"][..], 0, "There are no service tokens."),
        (&["service-token", "add", "nagios"], 2, "--right"),
        (&["service-token", "add", "nagios", "--right", "everything"], 2, "is status"),
        (&["service-token", "add", "nagios", "--right", "status", "--days", "0"], 1, "not a number of days"),
        (
            &["service-token", "add", "nagios", "--right", "status", "--application", "Oodo"],
            1,
            "There is no application",
        ),
        (&["service-token", "add", "nagios", "--right", "status"], 0, "It will not be shown again"),
        (&["service-token", "add", "nagios", "--right", "status"], 1, "The service token \"nagios\" already exists"),
        (
            &["service-token", "add", "screen", "--right", "status", "--application", "odoo", "--days", "5"],
            0,
            "It will not be shown again",
        ),
        (&["service-token", "list"], 0, "status of all applications, created "),
        (&["service-token", "list"], 0, "status of odoo, created "),
        (&["service-token", "revoke", "7"], 1, "was already revoked"),
        (&["service-token", "revoke", "1"], 0, "The service token nagios (1) is revoked."),
        (&["service-token", "revoke", "1"], 1, "was already revoked"),
    ] {
        let output = site.run(arguments, "");
        let told = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(words), "{arguments:?}: {told}");
        if made.is_empty() && text(&output.stdout).starts_with("afs_") {
            made = text(&output.stdout).trim().to_owned();
        }
    }
    assert_eq!(made.len(), 68, "standard output holds the token and nothing else: {made:?}");
    let store = Store::open(&site.0.path().join("atomfeed-console.db")).await.expect("a store");
    let entries = store.audit_entries(&AuditFilter::default(), None, 20).await.expect("entries");
    let told = format!("{entries:?}");
    assert!(!told.contains(&made[4..]), "{told}");
    let of = |what: &str| {
        let here = "the command line";
        entries.iter().any(|entry| entry.what == what && entry.outcome == "done" && entry.signed_in_by == here)
    };
    assert!(of("service token nagios for status") && of("service token nagios (1)"), "{told}");
}

#[test]
fn a_token_file_that_cannot_be_used_is_told_at_the_start_and_a_good_one_is_taken() {
    let site = Site::new("[[access.service_token]]\nname = \"nagios\"\nright = \"status\"\ntoken_file = \"token\"\n");
    let token = site.0.path().join("token");
    let write = |content: &str| {
        std::fs::write(&token, content).expect("the file is written");
        #[cfg(unix)]
        std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("its rights are set");
    };
    for (content, says) in [(None, "token_file: "), (Some("tooshort"), "could be guessed")] {
        if let Some(content) = content {
            write(content);
        }
        let output = site.run(&["serve"], "");
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("console.toml:5: access.service_token[1].token_file: ") && told.contains(says), "{told}");
        assert!(!told.contains("tooshort"), "{told}");
    }
    write("0123456789abcdef0123456789abcdef\n");
    site.start("answers at");
    let listed = text(&site.run(&["service-token", "list"], "").stdout);
    assert!(listed.contains("nagios") && listed.contains("by the settings, no end, never used"), "{listed}");
}

#[test]
fn an_open_console_warns_at_its_start() {
    let site = Site::new("[access]\nmode = \"open\"");
    let said = site.start("answers at").join("\n");
    assert!(!said.contains("password"), "{said}");
    let file = "[access]\nmode = \"proxy\"\nsession_idle = \"2h\"\nsession_longest = \"1h\"\n[access.openmrs]\nurl = \"ftp://x\"\n\
                [access.proxy]\nuser_header = \"no header\"\n[[application]]\nname = \"A\"\nkind = \"odoo\"\ndatabase = \"sqlite:a.db\"\n";
    let told = text(&run(&["serve", "--config", "console.toml"], file).stderr);
    for words in [
        "access.session_idle: is longer than session_longest",
        "access.openmrs: is only used with mode = \"openmrs\"",
        "access.openmrs.url: is not an address of OpenMRS",
        "access.openmrs.viewer: is missing",
        "access.proxy.user_header: is not a name of a header",
        "access.proxy.otherwise: is missing",
        "access: mode: proxy needs trusted_proxies",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
}
