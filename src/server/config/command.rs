//! The commands that the console asks users to type, with the options needed to act on this very console.

use std::path::{Path, PathBuf};

/// Locations of this console's configuration and store, as far as a command needs them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The folder in which the console was started; a command needs it if the configuration is the `Leptos.toml` there.
    pub(super) folder: PathBuf,
    /// The file of `--config` or of the environment.
    pub(super) config: Option<PathBuf>,
    /// The store of `--store` or of the environment, which the file does not name.
    pub(super) store: Option<PathBuf>,
}

impl Command {
    /// Returns the line to type for `atomfeed-console WHAT` on this console, from any folder.
    pub fn line(&self, what: &str) -> String {
        let mut line = format!("atomfeed-console {what}");
        if self.config.is_none() && !self.folder.as_os_str().is_empty() {
            line = format!("cd {} && {line}", quoted(&absolute(&self.folder)));
        }
        for (option, file) in [("--config", &self.config), ("--store", &self.store)] {
            if let Some(file) = file {
                line.push_str(&format!(" {option} {}", quoted(&absolute(file))));
            }
        }
        line
    }
}

/// Returns the absolute path, or the path unchanged if the working directory is gone.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Quotes a path so that a shell reads it as one word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_what_it_needs_and_a_shell_reads_it_as_meant() {
        let command = Command { folder: "/srv/it's".into(), config: None, store: None };
        assert_eq!(command.line("account list"), "cd '/srv/it'\\''s' && atomfeed-console account list");
        let command = Command { config: Some("/etc/console.toml".into()), ..command };
        assert_eq!(command.line("account list"), "atomfeed-console account list --config /etc/console.toml");
        let command = Command { store: Some("/var/lib/the console/$x.db".into()), ..command };
        assert_eq!(
            command.line("audit verify"),
            "atomfeed-console audit verify --config /etc/console.toml --store '/var/lib/the console/$x.db'"
        );
        assert_eq!(Command::default().line("check"), "atomfeed-console check");
    }
}
