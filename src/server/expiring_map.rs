//! A map in memory whose values expire, and whose size is bounded: caches, and what was recorded a while ago.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Values by key; each expires some time after it was added.
#[derive(Debug)]
pub struct ExpiringMap<K, V = ()> {
    lasts: Duration,
    most: usize,
    values: Mutex<HashMap<K, (V, Instant)>>,
}

impl<K: Eq + Hash, V: Clone> ExpiringMap<K, V> {
    /// Returns an empty map whose values expire after `lasts`, and which holds at most `most` of them.
    pub fn new(lasts: Duration, most: usize) -> Self {
        Self { lasts, most, values: Mutex::default() }
    }

    fn values(&self) -> MutexGuard<'_, HashMap<K, (V, Instant)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a value that has not expired at `now`.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: Instant) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let values = self.values();
        let (value, at) = values.get(key)?;
        (now.saturating_duration_since(*at) < self.lasts).then(|| value.clone())
    }

    /// Adds a value. If the map is full, expired values are removed; if none is, all are: finding the oldest would take
    /// a second index.
    pub fn put(&self, key: K, value: V, now: Instant) {
        let mut values = self.values();
        if values.len() >= self.most {
            values.retain(|_, (_, at)| now.saturating_duration_since(*at) < self.lasts);
        }
        if values.len() >= self.most {
            values.clear();
        }
        values.insert(key, (value, now));
    }

    /// Removes a value.
    pub fn remove<Q: Eq + Hash + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.values().remove(key);
    }

    /// Returns how many values are held.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.values().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lasts_for_its_time_and_there_are_never_too_many() {
        let (map, now) = (ExpiringMap::new(Duration::from_secs(60), 3), Instant::now());
        let later = now + Duration::from_secs(60);
        map.put("a".to_owned(), 1, now);
        assert_eq!(map.get("a", now + Duration::from_secs(59)), Some(1));
        assert_eq!(map.get("a", later), None);
        map.put("b".to_owned(), 2, later);
        map.put("c".to_owned(), 3, later);
        map.put("d".to_owned(), 4, later);
        assert_eq!((map.len(), map.get("b", later)), (3, Some(2)), "only what was over is dropped");
        map.put("e".to_owned(), 5, later);
        assert_eq!((map.len(), map.get("e", later)), (1, Some(5)));
        map.remove("e");
        assert_eq!(map.get("e", later), None);
    }
}
