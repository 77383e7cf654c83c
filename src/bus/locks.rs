//! Who holds a lock, and who waits for it: the rules of the Web Locks API.
//!
//! A lock is held by one alone, or shared by several. Who asks for it waits behind those who asked before, also where it
//! could share it with those who hold it: so nobody waits for ever.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::bus::figures::LockFigures;
use crate::bus::protocol::{Id, LockRow, Notice, Refusal, Wish};
use crate::bus::topics::Outbox;
use crate::bus::{place_of, Member, Places};

/// How many locks a member may hold and wait for.
pub const MOST_LOCKS: usize = 16_384;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim {
    member: Member,
    id: Id,
    shared: bool,
}

#[derive(Debug, Default)]
struct Lock {
    held: Vec<Claim>,
    waiting: VecDeque<Claim>,
}

impl Lock {
    fn admits(&self, claim: Claim) -> bool {
        self.held.is_empty() || (claim.shared && self.held.iter().all(|held| held.shared))
    }

    /// Gives it to those whose turn it is.
    fn grant(&mut self, figures: &mut LockFigures, outbox: &mut impl Outbox) {
        while let Some(&next) = self.waiting.front().filter(|next| self.admits(**next)) {
            self.waiting.pop_front();
            self.held.push(next);
            figures.waiting -= 1;
            figures.held += 1;
            outbox.send(next.member, &Notice::Granted { id: next.id });
        }
    }
}

/// The lock of each claim of a member, by its number.
#[derive(Debug, Default)]
struct Claims {
    names: BTreeMap<Id, Box<str>>,
    bytes: usize,
}

impl Claims {
    fn insert(&mut self, id: Id, name: &str) {
        self.names.insert(id, name.into());
        self.bytes += name.len();
    }

    fn remove(&mut self, id: Id) -> Option<Box<str>> {
        let name = self.names.remove(&id)?;
        self.bytes -= name.len();
        Some(name)
    }
}

/// All locks that somebody holds or waits for.
#[derive(Debug)]
pub struct Locks {
    locks: BTreeMap<Box<str>, Lock>,
    claims: HashMap<Member, Claims>,
    most_bytes: usize,
    figures: LockFigures,
}

impl Locks {
    /// None yet; the names of those that a member holds and waits for have so many bytes at most.
    pub fn new(most_bytes: usize) -> Self {
        Locks { locks: BTreeMap::new(), claims: HashMap::new(), most_bytes, figures: LockFigures::default() }
    }

    /// Whether nobody holds one, or waits for one.
    pub fn is_empty(&self) -> bool {
        self.locks.is_empty() && self.claims.is_empty()
    }

    /// How many have one, and how many wait.
    pub fn figures(&self) -> LockFigures {
        self.figures
    }

    /// A member asks for a lock, and is told once it has it, or that it is not available.
    ///
    /// # Errors
    /// [`Refusal::TooMany`] beyond [`MOST_LOCKS`], or when the number is in use; [`Refusal::NamesTooLong`] beyond the bytes.
    pub fn request(
        &mut self,
        member: Member,
        id: Id,
        wish: Wish,
        name: &str,
        outbox: &mut impl Outbox,
    ) -> Result<(), Refusal> {
        let claims = self.claims.entry(member).or_default();
        if claims.names.len() >= MOST_LOCKS || claims.names.contains_key(&id) {
            return Err(Refusal::TooMany);
        }
        if claims.bytes + name.len() > self.most_bytes {
            return Err(Refusal::NamesTooLong);
        }
        let shared = matches!(wish, Wish::Shared | Wish::SharedIfAvailable);
        let claim = Claim { member, id, shared };
        let now = matches!(wish, Wish::ExclusiveIfAvailable | Wish::SharedIfAvailable);
        if now && self.locks.get(name).is_some_and(|lock| !lock.waiting.is_empty() || !lock.admits(claim)) {
            outbox.send(member, &Notice::Unavailable { id });
            return Ok(());
        }
        claims.insert(id, name);
        let lock = self.locks.entry(name.into()).or_default();
        self.figures.waiting += 1;
        if wish == Wish::Steal {
            self.figures.held -= lock.held.len();
            for stolen in lock.held.drain(..) {
                if let Some(claims) = self.claims.get_mut(&stolen.member) {
                    claims.remove(stolen.id);
                }
                outbox.send(stolen.member, &Notice::Stolen { id: stolen.id });
            }
            lock.waiting.push_front(claim);
        } else {
            lock.waiting.push_back(claim);
        }
        lock.grant(&mut self.figures, outbox);
        Ok(())
    }

    /// A member has no use for what it holds, or waits for, under this number.
    pub fn release(&mut self, member: Member, id: Id, outbox: &mut impl Outbox) {
        if let Some(name) = self.claims.get_mut(&member).and_then(|claims| claims.remove(id)) {
            self.drop_claims(&name, |claim| claim.member == member && claim.id == id, outbox);
        }
    }

    /// A member is gone: what it held goes to the next.
    pub fn leave(&mut self, member: Member, outbox: &mut impl Outbox) {
        let mut names: Vec<_> = self.claims.remove(&member).unwrap_or_default().names.into_values().collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            self.drop_claims(&name, |claim| claim.member == member, outbox);
        }
    }

    fn drop_claims(&mut self, name: &str, which: impl Fn(&Claim) -> bool, outbox: &mut impl Outbox) {
        let Some(lock) = self.locks.get_mut(name) else { return };
        let (held, waiting) = (lock.held.len(), lock.waiting.len());
        lock.held.retain(|claim| !which(claim));
        lock.waiting.retain(|claim| !which(claim));
        self.figures.held -= held - lock.held.len();
        self.figures.waiting -= waiting - lock.waiting.len();
        lock.grant(&mut self.figures, outbox);
        if lock.held.is_empty() && lock.waiting.is_empty() {
            self.locks.remove(name);
        }
    }

    /// All locks, by name; of each first who holds it, then who waits, in their order. At most `most`.
    pub fn list(&self, places: &Places, most: usize) -> Vec<LockRow<'_>> {
        let rows = self.locks.iter().flat_map(|(name, lock)| {
            let held = lock.held.iter().map(|claim| (claim, true));
            let all = held.chain(lock.waiting.iter().map(|claim| (claim, false)));
            all.map(move |(claim, held)| LockRow {
                name,
                held,
                shared: claim.shared,
                place: place_of(places, claim.member),
            })
        });
        rows.take(most).collect()
    }
}
