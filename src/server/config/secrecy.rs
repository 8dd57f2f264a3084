//! Warnings, at the start and in `check`, of what exposes passwords although the configuration works: files that all
//! users of the machine may read, and an unencrypted connection.

use std::path::Path;

use url::{Host, Url};

/// Warns of a file with a password that all users of the machine may read. Checks only the file's own permissions, not
/// those of the folders above.
pub(super) fn readable_by_everybody(file: &Path) -> Option<String> {
    anybody_reads(file).then(|| {
        format!(
            "{} holds a password and can be read by all users of this machine: remove this right (chmod o-r), or keep \
             the password elsewhere, in a password_file or in a variable of the environment.",
            file.display()
        )
    })
}

#[cfg(unix)]
pub(super) fn anybody_reads(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

/// On other systems permissions cannot be checked as mode bits.
#[cfg(not(unix))]
pub(super) fn anybody_reads(_: &Path) -> bool {
    false
}

/// Warns if passwords are sent to OpenMRS over a network without encryption.
pub(super) fn unencrypted(openmrs: &Url) -> Option<String> {
    (openmrs.scheme() == "http" && !is_loopback(openmrs)).then(|| {
        "access.openmrs.url begins with http:// and names another machine: all passwords are sent there unencrypted. \
         Use https://, or an address of this machine."
            .to_owned()
    })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_over_a_network_without_encryption_are_warned_of() {
        for (url, warned) in [
            ("http://openmrs:8080/openmrs", true),
            ("http://10.0.0.7/openmrs", true),
            ("http://[2001:db8::1]/openmrs", true),
            ("http://localhost.example/openmrs", true),
            ("https://openmrs.example/openmrs", false),
            ("http://localhost:8050/openmrs", false),
            ("http://LOCALHOST/openmrs", false),
            ("http://127.0.0.1:8080/openmrs", false),
            ("http://127.1.2.3/openmrs", false),
            ("http://[::1]:8080/openmrs", false),
            ("http://[::ffff:127.0.0.1]/openmrs", false),
        ] {
            assert_eq!(unencrypted(&Url::parse(url).unwrap()).is_some(), warned, "{url}");
        }
    }
}
