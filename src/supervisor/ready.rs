//! When a worker is ready: it listens where its predecessor did, and has said so where that is asked.

use std::collections::BTreeSet;

use super::slot::Successor;
use super::worker::Phase;
use super::{Supervisor, Worker, WorkerId};

impl Supervisor {
    pub(super) fn listening(&mut self, id: WorkerId, address: String) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if !worker.addresses.insert(address.clone()) {
            return;
        }
        let report = self.about("listening", id).with("address", address);
        self.report(report);
        self.remember_addresses(id);
    }

    pub(super) fn said_ready(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.said_ready = true;
        }
    }

    /// The next worker of the slot has to listen where this one does.
    fn remember_addresses(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id).filter(|worker| worker.phase == Phase::Ready) else { return };
        if self.holds(id) {
            self.slots[worker.slot as usize].addresses = worker.addresses.clone();
        }
    }

    /// Finds those that have become ready. Each may make less be asked of the next, since its predecessor leaves.
    pub(super) fn look_who_is_ready(&mut self) {
        let boots = |worker: &Worker| matches!(worker.phase, Phase::Booting { .. });
        let is_ready =
            |supervisor: &Self, worker: &Worker| boots(worker) && supervisor.what_is_missing(worker).is_none();
        while let Some((id, _)) = self.workers.iter().find(|(_, worker)| is_ready(self, worker)) {
            self.became_ready(*id);
        }
    }

    fn became_ready(&mut self, id: WorkerId) {
        let worker = &self.workers[&id];
        let slot = worker.slot;
        let report = self.about("ready", id).with("after", self.now - worker.forked);
        self.report(report);
        self.set_phase(id, Phase::Ready);
        self.set_limits(id);
        if self.slots[slot as usize].successor == Some(Successor::Worker(id)) {
            self.take_over(slot, id);
        }
        self.remember_addresses(id);
        self.start_succeeded();
        self.scaling_succeeded(slot);
    }

    /// What a worker still has to do in order to be ready, as the end of a sentence.
    pub(super) fn what_is_missing(&self, worker: &Worker) -> Option<String> {
        let silent = (self.options.wait_ready && !worker.said_ready).then_some("it did not say 'ready'");
        // Where nobody listens any more, it cannot be asked for: a port that the kernel chose may be gone with the last.
        let serving = self.workers.values().filter(|worker| worker.phase == Phase::Ready);
        let mut wanted: BTreeSet<_> = self.slots[worker.slot as usize].addresses.iter().collect();
        wanted.retain(|address| serving.clone().any(|worker| worker.addresses.contains(*address)));
        let elsewhere: Vec<_> = wanted.iter().filter(|address| !worker.addresses.contains(**address)).collect();
        // A worker that is asked for its word, and has no predecessor, may serve something else than connections.
        let nowhere = wanted.is_empty() && worker.addresses.is_empty() && !self.options.wait_ready;
        let listens = if !elsewhere.is_empty() {
            let addresses: Vec<_> = elsewhere.into_iter().map(|address| address.as_str()).collect();
            Some(format!("it does not listen on {}, as the worker before it did", addresses.join(", ")))
        } else {
            nowhere.then(|| "it does not listen".to_owned())
        };
        match (listens, silent) {
            (Some(listens), Some(silent)) => Some(format!("{listens}, and {silent}")),
            (listens, silent) => listens.or(silent.map(str::to_owned)),
        }
    }
}
