//! The clock: workers that take nothing, and what is to be tried again.

use std::time::Duration;

use super::listener::{Accepting, Listener};
use super::state::State;
use super::worker::{Standing, Worker};
use super::{Event, STUCK};
use crate::connections::handoff::{ListenerId, Taken};
use crate::connections::policy::WorkerId;

impl State {
    /// Whether something can happen that no descriptor tells of.
    pub fn needs_tick(&self) -> bool {
        let of_worker = |worker: &Worker| {
            worker.queue.queued() > 0
                || worker.unheard
                || matches!(worker.standing, Standing::Stuck | Standing::Leaving)
        };
        let of_listener = |listener: &Listener| {
            listener.accepting == Accepting::Starved || listener.has_waiting() && !listener.rotation.is_empty()
        };
        self.workers.values().any(of_worker) || self.listeners.values().any(of_listener)
    }

    pub fn tick(&mut self) {
        let workers: Vec<_> = self.workers.keys().copied().collect();
        for id in workers {
            self.look_at(id);
        }
        let starved: Vec<ListenerId> = self
            .listeners
            .iter()
            .filter(|(_, listener)| listener.accepting == Accepting::Starved)
            .map(|(id, _)| *id)
            .collect();
        for listener in starved {
            self.accept(listener);
        }
        self.resume_all();
    }

    fn look_at(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.standing == Standing::Leaving {
            let left = self.empty(id);
            return self.place_all(left);
        }
        if worker.unheard {
            if worker.standing == Standing::Full {
                // epoll does not tell when it has room.
                worker.standing = Standing::Ready;
            }
            self.hear(id);
        }
        self.see_whether_stuck(id);
    }

    /// Sees whether a worker has taken something since the last tick.
    fn see_whether_stuck(&mut self, id: WorkerId) {
        let is_busy = |worker: &&mut Worker| worker.queue.queued() > 0 || worker.standing == Standing::Stuck;
        let Some(worker) = self.workers.get_mut(&id).filter(is_busy) else { return };
        let took_something = worker.queue.look().unwrap_or_default();
        if took_something || worker.queue.queued() == 0 {
            worker.moved = self.now;
        }
        let is_stuck = self.now.duration_since(worker.moved) >= STUCK;
        match (worker.standing, is_stuck) {
            (Standing::Stuck, false) => {
                worker.standing = Standing::Ready;
                self.tell(Event::Recovered { worker: id });
            }
            (Standing::Ready | Standing::Full, true) => {
                worker.standing = Standing::Stuck;
                worker.counts.stuck += 1;
                self.watch_worker(id);
                self.tell(Event::Stuck { worker: id });
                self.rescue(id);
            }
            (Standing::Stuck, true) => self.rescue(id),
            (Standing::Ready | Standing::Full, false) | (Standing::Leaving, _) => {}
        }
    }

    /// See [`Acceptor::quiet`](super::Acceptor::quiet).
    pub fn quiet(&mut self, id: WorkerId, knock: bool) -> Duration {
        let is_there = |worker: &&mut Worker| worker.standing != Standing::Leaving;
        let Some(worker) = self.workers.get_mut(&id).filter(is_there) else { return Duration::ZERO };
        let took_something = worker.queue.look().unwrap_or_default();
        if took_something || worker.queue.queued() == 0 {
            worker.moved = self.now;
        }
        if knock && worker.queue.queued() == 0 {
            // Where there is no memory for it, the next call tries again.
            let _ = worker.queue.probe();
        }
        self.now.duration_since(worker.moved)
    }

    /// Takes back what a stuck worker has not taken, as long as others that serve what it serves are ready.
    fn rescue(&mut self, id: WorkerId) {
        let mut is_someone_ready = self.is_someone_ready_beside(id);
        let mut count = 0;
        while is_someone_ready {
            let Some(worker) = self.workers.get_mut(&id) else { break };
            match worker.take_back() {
                Ok(Taken::Connection(connection)) => {
                    count += 1;
                    // Others are as ready as before, unless this one found none.
                    is_someone_ready = self.place(connection) || self.is_someone_ready_beside(id);
                }
                Ok(Taken::Probe | Taken::Lost(_)) => {}
                Ok(Taken::Nothing | Taken::Room(_) | Taken::Fewer | Taken::End | Taken::Starved) | Err(_) => break,
            }
        }
        self.tell_rescued(id, count);
        if let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.queue.depth() == Ok(0)) {
            // What it takes next is seen by the depth: so something must be there to take. Where there is no memory
            // for it, the worker is tried again as if it had taken all.
            let _ = worker.queue.probe();
        }
    }

    /// Whether another worker that serves what this one serves is ready.
    fn is_someone_ready_beside(&self, id: WorkerId) -> bool {
        let is_ready = |other: WorkerId| self.workers.get(&other).is_some_and(Worker::is_ready);
        let is_served = |listener: &Listener| listener.rotation.contains(id) && listener.rotation.iter().any(is_ready);
        self.listeners.values().any(is_served)
    }
}
