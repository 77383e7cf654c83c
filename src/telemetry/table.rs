//! What only JavaScript knows, as it has said it; and what is to be kept of workers that have gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::totals::Totals;
use crate::connections::policy::WorkerId;
use crate::connections::sticky::Slot;
use crate::messages::traffic::Traffic;
use crate::processes::board::Board;
use crate::processes::usage::{Process, Usage};

/// The workers, by their numbers, and what there was.
#[derive(Debug, Default)]
pub struct Table {
    /// Those whose process has not ended.
    pub workers: BTreeMap<WorkerId, Worker>,
    /// All slots that were ever filled.
    pub slots: BTreeMap<Slot, Past>,
    /// How often a worker was started.
    pub starts: u64,
    /// How often one ended, by cause.
    pub exits: BTreeMap<String, u64>,
    /// The reload that runs, or ran last.
    pub reload: Option<Reload>,
    /// Whether all are to end.
    pub is_stopping: bool,
}

/// What has been in a slot.
#[derive(Debug, Default)]
pub struct Past {
    /// How often it was filled.
    pub generation: u64,
    /// Since when it is empty, if it is.
    pub since: u64,
    /// What workers that have gone have come to.
    pub totals: Totals,
}

/// A worker.
#[derive(Debug)]
pub struct Worker {
    /// The slot that it fills.
    pub slot: Slot,
    /// How often that was filled, with it.
    pub generation: u64,
    /// What it does.
    pub state: State,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Its process, where it could be started.
    pub process: Option<Process>,
    /// What it notes of itself, where there is such memory.
    pub board: Option<Arc<Board>>,
    /// What goes over its channel, where it has one.
    pub traffic: Option<Arc<Traffic>>,
    /// What it has come to, so far as it was looked at.
    pub totals: Totals,
    /// How much of the last second its loop was busy.
    pub utilization: f64,
    /// What its loop had been busy for by then.
    pub busy_before: u64,
    /// What its process was last seen to use.
    pub usage: Option<Usage>,
}

/// What a worker does, as its primary knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is not ready yet.
    Starting,
    /// It serves.
    Ready,
    /// It was asked to leave.
    Draining,
}

/// How far a reload has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reload {
    /// Whether it runs.
    pub is_running: bool,
    /// How many slots are filled anew.
    pub done: u32,
    /// How many there are.
    pub of: u32,
}

/// How many causes of exits are told apart. There are not so many signals.
const CAUSES: usize = 100;

/// The time, in milliseconds since 1970.
pub fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

impl Table {
    /// A worker was started.
    pub fn forked(
        &mut self,
        id: WorkerId,
        slot: Slot,
        pid: Option<i32>,
        board: Option<Arc<Board>>,
        traffic: Option<Arc<Traffic>>,
    ) {
        self.starts += 1;
        let past = self.slots.entry(slot).or_default();
        past.generation += 1;
        let worker = Worker {
            slot,
            generation: past.generation,
            state: State::Starting,
            since: wall_clock(),
            process: pid.map(Process::new),
            board,
            traffic,
            totals: Totals::default(),
            utilization: 0.0,
            busy_before: 0,
            usage: None,
        };
        self.workers.insert(id, worker);
    }

    /// A worker does something else. None is ready again that was asked to leave.
    pub fn set_state(&mut self, id: WorkerId, state: State) {
        if let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.state < state) {
            (worker.state, worker.since) = (state, wall_clock());
        }
    }

    /// A worker's process has ended.
    pub fn exited(&mut self, id: WorkerId, cause: &str) {
        let Some(mut worker) = self.workers.remove(&id) else { return };
        if self.exits.len() < CAUSES || self.exits.contains_key(cause) {
            *self.exits.entry(cause.into()).or_default() += 1;
        }
        worker.look();
        let past = self.slots.entry(worker.slot).or_default();
        past.since = wall_clock();
        past.totals.add(&worker.totals);
    }

    /// The newest worker of a slot.
    pub fn newest(&self, slot: Slot) -> Option<(WorkerId, &Worker)> {
        let fills = |(_, worker): &(&WorkerId, &Worker)| worker.slot == slot;
        self.workers.iter().rev().find(fills).map(|(id, worker)| (*id, worker))
    }
}

impl Worker {
    /// Asks the kernel what its process uses.
    pub fn look_at_process(&mut self) {
        if let Some(usage) = self.process.as_ref().and_then(Process::usage) {
            self.totals.note_cpu(usage.cpu);
            self.usage = Some(usage);
        }
    }

    /// Notes what its counters have come to. They never go down, whatever it writes.
    pub fn look(&mut self) {
        if let Some(board) = &self.board {
            self.totals.note_board(board);
        }
        if let Some(traffic) = &self.traffic {
            self.totals.note_traffic(traffic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::default();
        table.forked(1, 0, None, None, None);
        table
    }

    #[test]
    fn a_worker_that_leaves_is_not_ready_again() {
        let mut table = table();
        for (state, expected) in [
            (State::Ready, State::Ready),
            (State::Starting, State::Ready),
            (State::Draining, State::Draining),
            (State::Ready, State::Draining),
        ] {
            table.set_state(1, state);
            assert_eq!(table.workers[&1].state, expected);
        }
        // Nor does one matter that is not there.
        table.set_state(2, State::Ready);
        assert_eq!(table.workers.len(), 1);
    }

    #[test]
    fn a_slot_is_its_newest_workers_and_remembers_those_before() {
        let mut table = table();
        table.forked(2, 0, None, None, None);
        assert_eq!(table.newest(0).map(|(id, worker)| (id, worker.generation)), Some((2, 2)));
        table.exited(1, "asked");
        table.exited(2, "SIGKILL");
        table.exited(2, "SIGKILL");
        assert!(table.newest(0).is_none());
        assert_eq!((table.starts, table.slots[&0].generation), (2, 2));
        assert_eq!(table.exits, BTreeMap::from([("asked".into(), 1), ("SIGKILL".into(), 1)]));
    }

    #[test]
    fn causes_are_bounded() {
        let mut table = Table::default();
        for id in 0..1000 {
            table.forked(id, 0, None, None, None);
            table.exited(id, &format!("cause {id}"));
        }
        assert_eq!(table.exits.len(), CAUSES);
    }
}
