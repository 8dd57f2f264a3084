//! Shares of limited resources: connections, open streams, downloads. All clients together have a maximum at a time,
//! and each client has its own, so that no client can take all.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use super::security::authenticate::{Caller, Credential};
use crate::model::access::KnownBy;

/// A limited resource, and the number of shares of each holder.
#[derive(Debug)]
pub struct Shares<K> {
    most: usize,
    taken: Mutex<Taken<K>>,
    given_back: Notify,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    of: HashMap<K, usize>,
}

/// Why no share is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All holders together have the maximum.
    ForEverybody,
    /// The holder has the maximum of one holder.
    ForOne,
}

/// A share of a resource; returned when it is dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash> {
    of: Arc<Shares<K>>,
    who: K,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// Returns a resource with `most` shares for all holders together.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::new(Taken { all: 0, of: HashMap::new() }), given_back: Notify::new() })
    }

    /// Takes a share for `who`, who may have `most_of_one` at a time.
    ///
    /// # Errors
    /// Fails if no share is free.
    pub fn take(self: &Arc<Self>, who: &K, most_of_one: usize) -> Result<Share<K>, Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.of.get(who).copied().unwrap_or(0) >= most_of_one {
            return Err(Full::ForOne);
        }
        if taken.all >= self.most {
            return Err(Full::ForEverybody);
        }
        taken.all += 1;
        *taken.of.entry(who.clone()).or_default() += 1;
        Ok(Share { of: Arc::clone(self), who: who.clone() })
    }

    /// Takes a share as [`Shares::take`] does, but waits at most `longest` if none is free.
    ///
    /// # Errors
    /// Fails if no share was returned in that time.
    pub async fn wait(self: &Arc<Self>, who: &K, most_of_one: usize, longest: Duration) -> Result<Share<K>, Full> {
        let waited = timeout(longest, async {
            loop {
                let mut given_back = std::pin::pin!(self.given_back.notified());
                // From here on it is notified of returned shares, even before it waits.
                given_back.as_mut().enable();
                if let Ok(share) = self.take(who, most_of_one) {
                    return share;
                }
                given_back.await;
            }
        });
        match waited.await {
            Ok(share) => Ok(share),
            Err(_) => self.take(who, most_of_one),
        }
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        match taken.of.get_mut(&self.who) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.of.remove(&self.who)),
        }
        drop(taken);
        self.of.given_back.notify_waiters();
    }
}

/// The holder of a share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A session, by the hash of its id.
    Session([u8; 32]),
    Person(KnownBy, String),
    Address(IpAddr),
    /// A request without a connection, in tests.
    Unknown,
}

impl Holder {
    /// Returns the user of a request, whatever the credential. If there is none, or all users are the same person, the
    /// address.
    pub fn person(caller: &Caller) -> Self {
        match &caller.person {
            Some(person) if caller.credential != Credential::Open => Self::Person(person.known_by, person.name.clone()),
            _ => caller.client.from.map_or(Self::Unknown, |address| Self::Address(network(address))),
        }
    }

    /// Returns the session of a request; without one, its user.
    pub fn session(caller: &Caller) -> Self {
        match caller.credential {
            Credential::Session(hash) => Self::Session(hash),
            _ => Self::person(caller),
        }
    }
}

/// Returns the addresses that are one client: a single one of IPv4, or the network of 64 bits that an IPv6 client can
/// choose from.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_share_and_nobody_more() {
        let shares = Shares::new(5);
        let own: Vec<_> = (0..3).map(|_| shares.take(&"asha", 3).unwrap()).collect();
        assert_eq!(shares.take(&"asha", 3).unwrap_err(), Full::ForOne);
        let others = [shares.take(&"binta", 3).unwrap(), shares.take(&"chen", 3).unwrap()];
        assert_eq!(shares.take(&"binta", 3).unwrap_err(), Full::ForEverybody);
        drop(own);
        assert!(shares.take(&"asha", 3).is_ok());
        drop(others);
        assert!(shares.taken.lock().unwrap().of.is_empty(), "nothing is remembered of who has nothing");
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_given_back() {
        let shares = Shares::new(1);
        let first = shares.take(&1, 1).unwrap();
        assert_eq!(shares.wait(&2, 1, Duration::ZERO).await.unwrap_err(), Full::ForEverybody);
        let waiting = tokio::spawn({
            let shares = Arc::clone(&shares);
            async move { shares.wait(&2, 1, Duration::from_secs(60)).await.is_ok() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waiting.await.unwrap());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"), "of IPv4 in a socket of IPv6 too");
    }
}
