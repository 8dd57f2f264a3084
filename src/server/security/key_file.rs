//! Keys in files of their own beside the store: 256 bits as hexadecimal digits, readable by their owner only. With the
//! store or a backup of it alone, nothing that needs such a key can be used.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::secrets;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Bytes of the largest key file; anything larger is another file by mistake.
const LARGEST: u64 = 1_024;

/// Why a key was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRead {
    Missing,
    /// The file cannot be used: the end of a sentence.
    Bad(String),
}

/// Returns the file of a key beside the store: `console.db` → `console.db.key`.
pub fn beside(store: &Path, extension: impl AsRef<OsStr>) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Reads the key of a file.
///
/// # Errors
/// Fails if the file is missing, can be read by everyone, or holds anything but a key.
pub fn read(file: &Path) -> Result<[u8; KEY_LEN], NotRead> {
    let bad = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => NotRead::Missing,
        _ => NotRead::Bad(format!("cannot be read: {error}")),
    };
    let found = fs::metadata(file).map_err(bad)?;
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o004 != 0 {
        return Err(NotRead::Bad("can be read by all users of this machine: remove this right (chmod o-r)".to_owned()));
    }
    let no_key = || NotRead::Bad(format!("does not hold {} hexadecimal digits and nothing else", KEY_LEN * 2));
    if found.len() > LARGEST {
        return Err(no_key());
    }
    let text = fs::read_to_string(file).map_err(bad)?;
    let text = text.trim();
    if text.len() != KEY_LEN * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(no_key());
    }
    let digits = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16));
    let bytes: Vec<u8> = digits.collect::<Result<_, _>>().map_err(|_| no_key())?;
    bytes.try_into().map_err(|_| no_key())
}

/// Creates the file with a new key, readable only by its owner.
///
/// # Errors
/// Fails if the file exists or cannot be written.
pub fn make(file: &Path) -> io::Result<[u8; KEY_LEN]> {
    let bytes = secrets::random::<KEY_LEN>();
    let mut options = OpenOptions::new();
    // Never overwrites a file that another console has just created.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut written = options.open(file)?;
    written.write_all(format!("{}\n", secrets::hex(&bytes)).as_bytes())?;
    written.sync_all()?;
    Ok(bytes)
}
