//! A slot: a place that a worker fills.

use std::collections::BTreeSet;

use super::backoff::Backoff;
use super::{Millis, WorkerId};

/// Who fills a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Nobody(Vacancy),
    /// A worker is being started.
    Forking,
    Worker(WorkerId),
}

/// Why nobody fills a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vacancy {
    /// It is new: it is filled at once.
    New,
    /// It is filled again at that time, if the brake allows.
    Waiting(Millis),
    /// The brake did not allow it before that time.
    Braked(Millis),
    /// The first start failed here, and no worker has been ready so far.
    Failed,
    /// The worker said to stay down, with that code, or there are to be no restarts.
    Down(i32),
    /// There are to be fewer slots, or none.
    Unwanted,
}

/// Who is to fill a slot instead of its holder, once ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Successor {
    /// It is being started.
    Forking,
    Worker(WorkerId),
}

#[derive(Debug)]
pub(super) struct Slot {
    pub holder: Holder,
    pub successor: Option<Successor>,
    /// How often the slot was filled.
    pub generation: u32,
    /// How often it was filled again because its worker had died.
    pub restarts: u32,
    /// Where its last worker that was ready listened.
    pub addresses: BTreeSet<String>,
    pub backoff: Backoff,
    /// A replacement has failed: no other for a limit before that time.
    pub not_before: Millis,
    /// Since when nobody has filled it.
    pub vacant_since: Millis,
}

impl Slot {
    pub fn new(now: Millis) -> Self {
        Slot {
            holder: Holder::Nobody(Vacancy::New),
            successor: None,
            generation: 0,
            restarts: 0,
            addresses: BTreeSet::new(),
            backoff: Backoff::default(),
            not_before: 0,
            vacant_since: now,
        }
    }

    /// Whether the answer to a fork is still to come.
    pub fn is_forking(&self) -> bool {
        self.holder == Holder::Forking || self.successor == Some(Successor::Forking)
    }

    /// Empties it, for want of use. A worker that is being started is told when it is there.
    pub fn give_up(&mut self, now: Millis) {
        if self.holder != Holder::Forking {
            self.holder = Holder::Nobody(Vacancy::Unwanted);
            self.vacant_since = now;
        }
        if self.successor != Some(Successor::Forking) {
            self.successor = None;
        }
    }
}
