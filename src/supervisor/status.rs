//! What there is, for whoever looks.

use super::slot::{Holder, Vacancy};
use super::{Count, Millis, SlotNumber, State, Supervisor, WorkerId};

/// All that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// "starting", "running", "reloading", "stopping" or "stopped".
    pub state: &'static str,
    /// One a worker that lives, and one for each slot that nobody fills, by slot.
    pub rows: Vec<Row>,
}

/// A worker, or an empty slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its slot.
    pub slot: SlotNumber,
    /// How often the slot was filled, with it.
    pub generation: u32,
    /// The worker.
    pub worker: Option<WorkerId>,
    /// "waiting", "down", "starting", or the worker's phase.
    pub state: &'static str,
    /// Since when.
    pub since: Millis,
    /// How often the slot was filled again because its worker had died.
    pub restarts: u32,
    /// The memory that the worker used when last looked at.
    pub memory: Option<u64>,
    /// The connections that the worker had taken when last looked at.
    pub connections: Option<Count>,
    /// Where the worker has listened.
    pub addresses: Vec<String>,
}

impl Supervisor {
    /// What there is now.
    pub fn status(&self) -> Status {
        let state = match self.state {
            State::New | State::Starting { .. } => "starting",
            State::Running if self.reload.is_some() => "reloading",
            State::Running => "running",
            State::Stopping(_) => "stopping",
            State::Stopped => "stopped",
        };
        let mut rows: Vec<_> = self
            .workers
            .iter()
            .map(|(id, worker)| Row {
                slot: worker.slot,
                generation: worker.generation,
                worker: Some(*id),
                state: worker.phase.name(),
                since: worker.since,
                restarts: self.slots[worker.slot as usize].restarts,
                memory: worker.memory,
                connections: worker.connections,
                addresses: worker.addresses.iter().cloned().collect(),
            })
            .collect();
        rows.extend((0..).zip(&self.slots).filter_map(|(number, slot)| {
            let state = match slot.holder {
                Holder::Forking => "starting",
                Holder::Nobody(Vacancy::Down(_) | Vacancy::Failed) => "down",
                Holder::Nobody(Vacancy::New | Vacancy::Waiting(_) | Vacancy::Braked(_)) => "waiting",
                Holder::Nobody(Vacancy::Unwanted) | Holder::Worker(_) => return None,
            };
            Some(Row {
                slot: number,
                generation: slot.generation,
                worker: None,
                state,
                since: slot.vacant_since,
                restarts: slot.restarts,
                memory: None,
                connections: None,
                addresses: Vec::new(),
            })
        }));
        rows.sort_by_key(|row| (row.slot, row.generation));
        Status { state, rows }
    }
}
