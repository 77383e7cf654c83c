//! Limits: a worker that has passed one is replaced when its turn comes.

use super::replace::Cause;
use super::worker::Phase;
use super::{Count, Millis, SlotNumber, Supervisor, WorkerId};

/// So many looks in a row have to find too much memory: one may fall on a peak.
const LOOKS: u32 = 3;

/// A worker that is to be replaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub worker: WorkerId,
    pub cause: Cause,
}

impl Supervisor {
    /// A worker is ready: its limits, apart from those of others, so that not all come to theirs together.
    pub(super) fn set_limits(&mut self, id: WorkerId) {
        let jitter = self.options.jitter;
        let lifetime = self.options.max_lifetime.map(|most| self.random.shorten(most, jitter));
        let connections = self.options.max_connections.map(|most| self.random.shorten(most, jitter));
        let now = self.now;
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.ready = Some(now);
            worker.retires = lifetime.map(|lifetime| now.saturating_add(lifetime));
            worker.most_connections = connections;
        }
    }

    pub(super) fn memory(&mut self, id: WorkerId, bytes: u64) {
        let limit = self.options.max_memory.filter(|_| !self.memory_refused);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.memory = Some(bytes);
        let Some(limit) = limit.filter(|_| worker.phase == Phase::Ready) else { return };
        if bytes <= limit {
            worker.over_memory = 0;
            worker.was_below = true;
            return;
        }
        worker.over_memory = worker.over_memory.saturating_add(1);
        if worker.over_memory < LOOKS {
            return;
        }
        if worker.was_below {
            self.wish(id, Cause::Memory);
        } else {
            // Its replacement would be no smaller: workers would be replaced for ever.
            self.memory_refused = true;
            self.wishes.retain(|wish| wish.cause != Cause::Memory);
            let report = self.about("limit-refused", id).with("limit", "memory").with("value", bytes);
            self.report(report.with("most", limit));
        }
    }

    pub(super) fn connections(&mut self, id: WorkerId, count: Count) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.connections = Some(count);
        if worker.most_connections.is_some_and(|most| count >= most) {
            self.wish(id, Cause::Connections);
        }
    }

    /// Those that have lived long enough.
    pub(super) fn age(&mut self) {
        let now = self.now;
        let old = |retires: &mut Millis| *retires <= now;
        let ids: Vec<_> =
            self.workers.iter_mut().filter_map(|(id, worker)| worker.retires.take_if(old).map(|_| *id)).collect();
        ids.into_iter().for_each(|id| self.wish(id, Cause::Lifetime));
    }

    /// Puts a worker that fills its slot in the queue, behind all others, once.
    pub(super) fn wish(&mut self, worker: WorkerId, cause: Cause) {
        let serves = self.is_running()
            && self.holds(worker)
            && self.workers.get(&worker).is_some_and(|worker| worker.phase == Phase::Ready);
        if serves && !self.wishes.iter().any(|wish| wish.worker == worker && wish.cause == cause) {
            self.wishes.push(Wish { worker, cause });
        }
    }

    /// The first in the queue that is replaced for a limit; a reload would replace it anyway.
    pub(super) fn next_recycled(&self) -> Option<(SlotNumber, Cause)> {
        if self.reload.is_some() {
            return None;
        }
        self.wishes.iter().filter(|wish| wish.cause != Cause::Stuck).find_map(|wish| self.grant(*wish))
    }

    /// Where a wish can be fulfilled now.
    pub(super) fn grant(&self, wish: Wish) -> Option<(SlotNumber, Cause)> {
        let slot = self.workers.get(&wish.worker)?.slot;
        let due = self.slots[slot as usize].not_before <= self.now;
        (due && self.is_replaceable(slot)).then_some((slot, wish.cause))
    }

    /// When a wish that is put off can be fulfilled, or a worker is old enough.
    pub(super) fn next_wish(&self) -> impl Iterator<Item = Millis> + '_ {
        let put_off = self.wishes.iter().filter_map(|wish| self.workers.get(&wish.worker));
        let put_off = put_off.map(|worker| self.slots[worker.slot as usize].not_before).filter(|at| *at > self.now);
        put_off.chain(self.workers.values().filter_map(|worker| worker.retires))
    }
}
