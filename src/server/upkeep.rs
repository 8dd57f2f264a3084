//! Maintenance of the store on the command line: verify the audit log, back up, restore.
//!
//! All output goes through [`visible_line`]: a name in the log must not control the terminal.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{
    config::Config,
    output::say,
    security::audit::Audit,
    store::{Copied, Entry, Store, StoreError, Verdict},
};
use crate::clock;
use crate::model::{audit::AuditKind, error_text::visible_line};

pub const AUDIT_EXAMPLES: &str = "\
Examples:
  atomfeed-console audit verify --config console.toml
  atomfeed-console audit verify --store console.db --known 1234:9f86d0…
      Also compares with what was noted of the log before

The exit code is 0 where the log is whole, 1 where it is not.";

pub const STORE_EXAMPLES: &str = "\
Examples:
  atomfeed-console store backup --config console.toml /backup/console.db
      The console may go on running
  atomfeed-console store restore --config console.toml /backup/console.db
      With the console stopped";

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Go through the whole chain of the audit log, and say where it was changed.
    #[command(after_help = AUDIT_EXAMPLES)]
    Verify(Verify),
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Number and hash of an entry as noted elsewhere; the log must hold just that entry.
    #[arg(long, value_name = "NUMBER:HASH", value_parser = noted)]
    known: Option<(i64, String)>,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Write a whole, checked copy of the store to a file that only its owner can read.
    #[command(after_help = STORE_EXAMPLES)]
    Backup(Copy),
    /// Put a backup in the place of the store; the console must be stopped.
    #[command(after_help = STORE_EXAMPLES)]
    Restore(Copy),
}

#[derive(Debug, Args)]
pub struct Copy {
    /// The file of the backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace what is there: an older backup, or the store (which stays beside it under another name).
    #[arg(long)]
    overwrite: bool,
}

fn noted(text: &str) -> Result<(i64, String), String> {
    let wrong = || "this is not a number and hash as printed by audit verify: 1234:9f86d0…".to_owned();
    let (number, hash) = text.split_once(':').ok_or_else(wrong)?;
    let fine = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = number.parse().ok().filter(|number| *number > 0 && fine).ok_or_else(wrong)?;
    Ok((number, hash.to_ascii_lowercase()))
}

/// Prints the result of verifying the audit log's chain, and returns whether the log is whole.
///
/// # Errors
/// Fails if there is no store, or it has no audit log.
pub async fn verify(path: &Path, asked: Verify) -> Result<bool, StoreError> {
    let store = Store::open_to_read(path).await?;
    let known = asked.known.as_ref().map(|(number, hash)| (*number, hash.as_str()));
    let verdict = store.verify_audit(known).await;
    store.close().await;
    let verdict = verdict.map_err(|error| error.of_file(path))?;
    say(in_words(path, &verdict));
    Ok(verdict.broken.is_none())
}

fn in_words(path: &Path, verdict: &Verdict) -> String {
    let path = visible_line(&path.display().to_string());
    if let Some(broken) = &verdict.broken {
        return format!(
            "The audit log of {path} is not whole. {}.\nKeep a copy of the file, and compare it with a backup or with the log lines of a collector.",
            visible_line(broken)
        );
    }
    let (newest, hash) = &verdict.newest;
    let mut words = match verdict.entries {
        0 => format!("The audit log of {path} is whole and empty."),
        1 => format!("The audit log of {path} is whole: 1 entry, number {newest}."),
        entries => {
            let first = verdict.removed_up_to + 1;
            format!("The audit log of {path} is whole: {entries} entries, from number {first} to {newest}.")
        }
    };
    if verdict.removed_up_to > 0 {
        words.push_str(&format!("\nEntries up to {} were removed because of their age.", verdict.removed_up_to));
    }
    if *newest > 0 {
        words.push_str(&format!("\nNote this elsewhere, to compare with later: --known {newest}:{hash}"));
    }
    words
}

/// Records the backup, copies the store to a file, and prints the result.
///
/// # Errors
/// Fails as [`Store::backup`] does.
pub async fn backup(path: &Path, asked: Copy) -> anyhow::Result<()> {
    // `Store::open` would create a missing store.
    Store::open_to_read(path).await?.close().await;
    let store = Store::open(path).await?;
    if !asked.file.exists() || asked.overwrite {
        record(&store, AuditKind::StoreBackedUp, &asked.file).await?;
    }
    let copied = store.backup(&asked.file, asked.overwrite).await;
    store.close().await;
    told("Backed up", path, &asked.file, &copied?);
    Ok(())
}

/// Replaces the store by a backup, records that in it, and prints the result.
///
/// # Errors
/// Fails as [`Store::restore`] does.
pub async fn restore(path: &Path, asked: Copy) -> anyhow::Result<()> {
    let copied = Store::restore(&asked.file, path, asked.overwrite).await?;
    let store = Store::open(path).await?;
    record(&store, AuditKind::StoreRestored, &asked.file).await?;
    store.close().await;
    told("Restored", path, &asked.file, &copied);
    Ok(())
}

async fn record(store: &Store, kind: AuditKind, file: &Path) -> anyhow::Result<()> {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    let entry = Entry::of_command_line(kind).what(name);
    Ok(Audit::new(store.clone()).record(entry).await.map(drop)?)
}

fn told(done: &str, store: &Path, file: &Path, copied: &Copied) {
    let shown = |path: &Path| visible_line(&path.display().to_string());
    let way = if done == "Restored" { ("from", "into") } else { ("to", "from") };
    say(format_args!("{done} {} bytes {} {}, {} the store {}.", copied.bytes, way.0, shown(file), way.1, shown(store)));
    if let Some(replaced) = &copied.replaced {
        say(format_args!("The store that was there is kept as {}.", shown(replaced)));
    }
    if copied.audit.broken.is_some() {
        say(in_words(file, &copied.audit));
    }
}

/// Writes into the log, every few seconds, what commands on this machine have recorded, as long as the console runs.
pub async fn tell_what_others_wrote(audit: Audit, stopping: tokio_util::sync::CancellationToken) {
    const EVERY: std::time::Duration = std::time::Duration::from_secs(5);
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => audit.tell_what_others_wrote().await,
            () = stopping.cancelled() => return,
        }
    }
}

/// Removes old audit entries at the start and then once a day, as long as the console runs.
pub async fn remove_old_audit_entries(config: &Config, audit: Audit, stopping: tokio_util::sync::CancellationToken) {
    const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);
    let Some(keep) = config.audit_keep else { return };
    loop {
        if let Some(cutoff) =
            chrono::TimeDelta::from_std(keep).ok().and_then(|keep| clock::now().checked_sub_signed(keep))
        {
            audit.remove_before(cutoff).await;
        }
        tokio::select! {
            () = tokio::time::sleep(DAY) => {}
            () = stopping.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_a_number_and_a_hash() {
        let hash = "AB".repeat(32);
        assert_eq!(noted(&format!("7:{hash}")), Ok((7, hash.to_lowercase())));
        for text in ["", "7", "7:", "7:abc", &format!("0:{hash}"), &format!("-1:{hash}"), &format!("x:{hash}")] {
            assert!(noted(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_verdict_is_told_in_whole_sentences() {
        let verdict = Verdict { entries: 2, removed_up_to: 4, newest: (6, "ab".repeat(32)), broken: None };
        let said = in_words(Path::new("c\x1b[2J.db"), &verdict);
        assert!(said.starts_with("The audit log of c␛[2J.db is whole: 2 entries, from number 5 to 6."), "{said}");
        assert!(said.contains("Entries up to 4 were removed") && said.contains("--known 6:abab"), "{said}");
        let broken = Verdict { broken: Some("Entry 5 was changed".into()), ..verdict };
        assert!(
            in_words(Path::new("c.db"), &broken)
                .starts_with("The audit log of c.db is not whole. Entry 5 was changed.")
        );
    }
}
