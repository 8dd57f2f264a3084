//! The real binary: what it says at the start, where it says it, and its exit codes.

use std::process::{Command, Output};

/// Runs the binary in an empty folder, with this file as `console.toml` and nothing of ours in the environment.
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
    for arguments in [&["--help"][..], &["serve", "--help"], &["demo", "--help"], &["check", "--help"], &["--version"]]
    {
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
