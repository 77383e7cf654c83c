//! What is kept for all members: values and counters, each for a while, in a bounded memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::bus::figures::StoreFigures;
use crate::bus::protocol::{Refusal, Value};

/// What an entry takes besides its key and its value, in bytes: about as much as the maps need for it.
const OVERHEAD: usize = 256;

#[derive(Debug)]
enum Kept {
    Data(Box<[u8]>),
    Counter(i64),
}

#[derive(Debug)]
struct Entry {
    kept: Kept,
    /// When it goes, in milliseconds.
    end: Option<u64>,
    /// The number of its last change.
    age: u64,
}

impl Entry {
    fn size(&self, key: &str) -> usize {
        let data = match &self.kept {
            Kept::Data(data) => data.len(),
            Kept::Counter(_) => 0,
        };
        OVERHEAD + 2 * key.len() + data
    }

    fn value(&self) -> Value<'_> {
        match &self.kept {
            Kept::Data(data) => Value::Data(data),
            Kept::Counter(count) => Value::Counter(*count),
        }
    }
}

/// Values and counters by key. Times are milliseconds of a clock that never goes back.
#[derive(Debug)]
pub struct Store {
    entries: HashMap<Box<str>, Entry>,
    /// Keys by age: the first is the one that goes when memory is short.
    ages: BTreeMap<u64, Box<str>>,
    /// When entries go, and their ages.
    ends: BTreeSet<(u64, u64)>,
    age: u64,
    bytes: usize,
    most: usize,
    evicted: u64,
}

impl Store {
    /// An empty one that keeps at most so many bytes.
    pub fn new(most: usize) -> Self {
        let (entries, ages, ends) = (HashMap::new(), BTreeMap::new(), BTreeSet::new());
        Store { entries, ages, ends, age: 0, bytes: 0, most, evicted: 0 }
    }

    /// What is kept under a key, and for how long still.
    pub fn get(&mut self, key: &str, now: u64) -> (Value<'_>, u64) {
        self.expire(now);
        self.entries.get(key).map_or((Value::Nothing, 0), |entry| (entry.value(), left(entry.end, now)))
    }

    /// Keeps data under a key for `ttl` milliseconds; 0: for ever. What was changed longest ago makes room.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`]: what was kept under the key before is, still.
    pub fn set(&mut self, key: &str, data: &[u8], ttl: u64, now: u64) -> Result<(), Refusal> {
        self.expire(now);
        self.put(key, Kept::Data(data.into()), end(ttl, now))
    }

    /// The same of a counter, which begins there.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_count(&mut self, key: &str, count: i64, ttl: u64, now: u64) -> Result<(), Refusal> {
        self.expire(now);
        self.put(key, Kept::Counter(count), end(ttl, now))
    }

    /// Adds to a counter, which is begun if there is none, for `ttl` milliseconds from then on.
    ///
    /// # Errors
    /// [`Refusal::NoCounter`], [`Refusal::Overflow`], [`Refusal::TooLarge`]: nothing was changed.
    pub fn increment(&mut self, key: &str, by: i64, ttl: u64, now: u64) -> Result<(i64, u64), Refusal> {
        self.expire(now);
        let (before, end) = match self.entries.get(key) {
            None => (0, end(ttl, now)),
            Some(Entry { kept: Kept::Counter(count), end, .. }) => (*count, *end),
            Some(_) => return Err(Refusal::NoCounter),
        };
        let count = before.checked_add(by).ok_or(Refusal::Overflow)?;
        self.put(key, Kept::Counter(count), end)?;
        Ok((count, left(end, now)))
    }

    /// Removes what is kept under a key, and says whether something was.
    pub fn delete(&mut self, key: &str, now: u64) -> bool {
        self.expire(now);
        self.remove(key).is_some()
    }

    /// What is kept, and what had to go.
    pub fn figures(&self) -> StoreFigures {
        StoreFigures { entries: self.entries.len(), bytes: self.bytes, evicted: self.evicted }
    }

    fn put(&mut self, key: &str, kept: Kept, end: Option<u64>) -> Result<(), Refusal> {
        let entry = Entry { kept, end, age: self.age + 1 };
        let size = entry.size(key);
        if size > self.most {
            return Err(Refusal::TooLarge);
        }
        self.remove(key);
        while self.bytes + size > self.most {
            let Some((_, oldest)) = self.ages.pop_first() else { break };
            self.remove(&oldest);
            self.evicted += 1;
        }
        self.age += 1;
        self.bytes += size;
        self.ages.insert(self.age, key.into());
        self.ends.extend(entry.end.map(|end| (end, self.age)));
        self.entries.insert(key.into(), entry);
        Ok(())
    }

    fn remove(&mut self, key: &str) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.bytes -= entry.size(key);
        self.ages.remove(&entry.age);
        if let Some(end) = entry.end {
            self.ends.remove(&(end, entry.age));
        }
        Some(entry)
    }

    fn expire(&mut self, now: u64) {
        while let Some((_, age)) = self.ends.first().copied().filter(|(end, _)| *end <= now) {
            let Some(key) = self.ages.remove(&age) else { break };
            self.remove(&key);
        }
    }
}

/// How long something is kept still; 0: for ever.
fn left(end: Option<u64>, now: u64) -> u64 {
    end.map_or(0, |end| end.saturating_sub(now).max(1))
}

fn end(ttl: u64, now: u64) -> Option<u64> {
    (ttl > 0).then(|| now.saturating_add(ttl))
}
