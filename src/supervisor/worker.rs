//! One worker, as the supervisor knows it.

use std::collections::BTreeSet;

use super::{Count, Millis, SlotNumber};

/// Where a worker is in its life. A phase with an `until` ends by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It was started, and is not ready.
    Booting { until: Option<Millis> },
    /// It serves.
    Ready,
    /// It closed its channel though nobody told it to leave: it is about to exit, as a rule.
    Parting { until: Millis },
    /// It was told to leave.
    Draining { until: Millis },
    /// It was sent SIGTERM or SIGABRT.
    Terminating { until: Millis },
    /// It was sent SIGKILL: nothing more can be done.
    Killed,
}

impl Phase {
    /// When it ends at the latest.
    pub fn until(self) -> Option<Millis> {
        match self {
            Phase::Booting { until } => until,
            Phase::Parting { until } | Phase::Draining { until } | Phase::Terminating { until } => Some(until),
            Phase::Ready | Phase::Killed => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Booting { .. } => "booting",
            Phase::Ready => "ready",
            Phase::Parting { .. } | Phase::Draining { .. } => "draining",
            Phase::Terminating { .. } => "terminating",
            Phase::Killed => "killed",
        }
    }
}

#[derive(Debug)]
pub(super) struct Worker {
    pub slot: SlotNumber,
    /// How often its slot was filled, with it.
    pub generation: u32,
    pub phase: Phase,
    /// When this phase began.
    pub since: Millis,
    /// When it was started.
    pub forked: Millis,
    /// When it became ready.
    pub ready: Option<Millis>,
    /// Where it has listened.
    pub addresses: BTreeSet<String>,
    /// It has said that it is ready.
    pub said_ready: bool,
    /// It was not ready in time, for that reason.
    pub late: Option<String>,
    /// Its memory, and how often in a row that was too much.
    pub memory: Option<u64>,
    pub over_memory: u32,
    /// Whether its memory has ever been below the limit.
    pub was_below: bool,
    /// The connections that it has taken, and at how many it is replaced.
    pub connections: Option<Count>,
    pub most_connections: Option<Count>,
    /// When it is replaced for its age.
    pub retires: Option<Millis>,
    /// For how long it has been stuck, and whether that was told.
    pub quiet: Millis,
    pub diagnosed: bool,
}

impl Worker {
    pub fn new(slot: SlotNumber, generation: u32, now: Millis, ready_timeout: Option<Millis>) -> Self {
        Worker {
            slot,
            generation,
            phase: Phase::Booting { until: ready_timeout.map(|timeout| now.saturating_add(timeout)) },
            since: now,
            forked: now,
            ready: None,
            addresses: BTreeSet::new(),
            said_ready: false,
            late: None,
            memory: None,
            over_memory: 0,
            was_below: false,
            connections: None,
            most_connections: None,
            retires: None,
            quiet: 0,
            diagnosed: false,
        }
    }
}
