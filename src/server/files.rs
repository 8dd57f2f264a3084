//! The identity of a file, by which it differs from the file that replaces it. Reads only metadata, and opens nothing.

use std::fs::Metadata;

/// Device and inode; `None` on a system without these numbers.
pub type Identity = Option<(u64, u64)>;

/// Returns the identity of the file with this metadata.
pub fn identity(file: &Metadata) -> Identity {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some((file.dev(), file.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        None
    }
}
