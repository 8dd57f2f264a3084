//! The keys of an application that say how the console requests one of its feeds.

use std::time::Duration;

use url::Url;

use super::{
    table::Table,
    values::{password, web_address},
};
use crate::server::config::{ProbeLogin, ProbeSettings};

/// Each request is one more for the application itself.
const EVERY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3_600));
const EVERY_DEFAULT: Duration = Duration::from_secs(60);

/// Reads how to request a feed of the application; `None` if it is not to be requested, or if a key is wrong.
pub(super) fn probe(table: &mut Table<'_, '_>) -> Option<ProbeSettings> {
    if !table.has("probe") {
        for key in ["probe_every", "probe_user", "probe_password", "probe_password_file", "probe_login"] {
            table.refuse(key, "is set without probe, the address to request: set that, or remove this");
        }
        return None;
    }
    if !table.has("probe_user") {
        for key in ["probe_password", "probe_password_file", "probe_login"] {
            table.refuse(key, "is set without probe_user, whose name is sent with it");
        }
    }
    let address = table.parsed("probe", address);
    let every = table.duration("probe_every", EVERY).unwrap_or(EVERY_DEFAULT);
    let user = table.filled("probe_user");
    let password = password(table, "probe_password", "probe_password_file");
    let login = table.parsed("probe_login", self::address);
    let address = address?;
    if let Some(login) = &login
        && origin(login) != origin(&address)
    {
        table.fault(
            "probe_login",
            "is of another scheme, host or port than probe: the password is sent to that one alone",
        );
    }
    let login = match (user, login) {
        (None, _) => ProbeLogin::Nobody,
        (Some(user), None) => ProbeLogin::Basic { user, password },
        (Some(user), Some(address)) => ProbeLogin::Session { address, user, password },
    };
    Some(ProbeSettings { address, every, login })
}

fn origin(address: &str) -> Option<url::Origin> {
    Url::parse(address).ok().map(|url| url.origin())
}

/// Reads an address that the probe requests.
fn address(text: &str) -> Result<String, String> {
    let text = text.trim();
    let usable = web_address(text.split('?').next().unwrap_or_default()).is_some() && Url::parse(text).is_ok();
    usable.then(|| text.to_owned()).ok_or_else(|| {
        "is not an address such as http://openmrs:8080/openmrs/ws/atomfeed/patient/recent, without name and password"
            .to_owned()
    })
}
