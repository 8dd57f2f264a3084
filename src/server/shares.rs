//! Shares of what there is only so much of: connections, open streams, downloads. Everybody together can have so many at a
//! time, and each who asks for one so many of these, so that nobody can take them all.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use super::security::visit::{Proof, Visit};
use crate::model::access::KnownBy;

/// What there is, and who has how much of it.
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

/// Why nothing can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Everybody together has all that there is.
    ForEverybody,
    /// Who asks has all of their own share.
    ForOne,
}

/// One of what there is; given back when it is dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash> {
    of: Arc<Shares<K>>,
    who: K,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// So many for everybody together.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::new(Taken { all: 0, of: HashMap::new() }), given_back: Notify::new() })
    }

    /// Takes one for `who`, who may have `most_of_one` at a time.
    ///
    /// # Errors
    /// There is none left.
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

    /// The same, and waits for so long where there is none left.
    ///
    /// # Errors
    /// None was given back in that time.
    pub async fn wait(self: &Arc<Self>, who: &K, most_of_one: usize, longest: Duration) -> Result<Share<K>, Full> {
        let waited = timeout(longest, async {
            loop {
                let mut given_back = std::pin::pin!(self.given_back.notified());
                // From here on it hears of what is given back, also before it waits.
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

/// Whose share something is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A session, by the hash of its id.
    Session([u8; 32]),
    Person(KnownBy, String),
    Address(IpAddr),
    /// Who asks without a connection: tests.
    Unknown,
}

impl Holder {
    /// The person who asks, on whatever way they came. Where everybody is the same person, their address.
    pub fn person(visit: &Visit) -> Self {
        match &visit.person {
            Some(person) if visit.proof != Proof::Open => Self::Person(person.known_by, person.name.clone()),
            _ => visit.came.from.map_or(Self::Unknown, |address| Self::Address(network(address))),
        }
    }

    /// The session that the request is of; where it is of none, the person.
    pub fn session(visit: &Visit) -> Self {
        match visit.proof {
            Proof::Session(hash) => Self::Session(hash),
            _ => Self::person(visit),
        }
    }
}

/// What one client has of addresses: one of IPv4, or the network of 64 bits that a client of IPv6 can choose from.
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
