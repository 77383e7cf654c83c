//! How a worker leaves: asked, then with SIGTERM, then with SIGKILL, each at its deadline.

use nix::sys::signal::Signal;

use super::worker::Phase;
use super::{Action, Failure, State, Supervisor, WorkerId};

impl Supervisor {
    /// Tells a worker to leave, unless it does so already.
    pub(super) fn dismiss(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id) else { return };
        match worker.phase {
            Phase::Booting { .. } => self.terminate(id, Signal::SIGTERM),
            Phase::Ready => self.drain(id),
            _ => {}
        }
    }

    fn drain(&mut self, id: WorkerId) {
        let within = self.options.drain;
        self.set_phase(id, Phase::Draining { until: self.now.saturating_add(within) });
        self.act(Action::Drain { worker: id, within });
        let report = self.about("draining", id).with("within", within);
        self.report(report);
    }

    /// Sends a signal that ends a worker, as a rule.
    pub(super) fn terminate(&mut self, id: WorkerId, signal: Signal) {
        self.set_phase(id, Phase::Terminating { until: self.now.saturating_add(self.options.kill_timeout) });
        self.act(Action::Signal { worker: id, signal });
    }

    /// Ends a worker.
    pub(super) fn kill(&mut self, id: WorkerId) {
        self.set_phase(id, Phase::Killed);
        self.act(Action::Signal { worker: id, signal: Signal::SIGKILL });
        let report = self.about("killed", id);
        self.report(report);
    }

    pub(super) fn disconnected(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id) else { return };
        let phase = worker.phase;
        let report = self.about("disconnected", id);
        self.report(report);
        match phase {
            // Nothing is under way any more; the program's own handler may clean up.
            Phase::Draining { .. } => self.terminate(id, Signal::SIGTERM),
            // As a rule it exits now by itself, with a code that says more than a signal's.
            Phase::Booting { .. } | Phase::Ready => {
                self.set_phase(id, Phase::Parting { until: self.now.saturating_add(self.options.kill_timeout) });
            }
            _ => {}
        }
    }

    /// Ends the phases whose time is over.
    pub(super) fn expire(&mut self) {
        let over = |phase: Phase, now| phase.until().is_some_and(|until| until <= now);
        let ids: Vec<_> =
            self.workers.iter().filter(|(_, worker)| over(worker.phase, self.now)).map(|(id, _)| *id).collect();
        for id in ids {
            match self.workers[&id].phase {
                Phase::Booting { .. } => self.not_ready_in_time(id),
                Phase::Parting { .. } => self.terminate(id, Signal::SIGTERM),
                Phase::Draining { .. } => self.drain_is_over(id),
                Phase::Terminating { .. } => self.kill(id),
                Phase::Ready | Phase::Killed => {}
            }
        }
        self.end_delay();
    }

    fn drain_is_over(&mut self, id: WorkerId) {
        let report = self.about("deadline", id).with("signal", Signal::SIGTERM.as_str());
        self.report(report);
        self.terminate(id, Signal::SIGTERM);
        if let State::Stopping(stopping) = &mut self.state {
            stopping.cut_off = true;
        }
    }

    fn not_ready_in_time(&mut self, id: WorkerId) {
        let worker = &self.workers[&id];
        let (slot, succeeds) = (worker.slot, self.succeeds(id));
        let missing = self.what_is_missing(worker).unwrap_or_default();
        let why = format!("was not ready within {} ms: {missing}", self.now - worker.forked);
        let report = self.about("not-ready", id).with("why", why.clone());
        self.report(report);
        self.terminate(id, Signal::SIGTERM);
        if succeeds {
            self.slots[slot as usize].successor = None;
            self.successor_failed(Failure { slot: Some(slot), worker: Some(id), why });
        } else if let Some(worker) = self.workers.get_mut(&id) {
            worker.late = Some(why);
        }
    }
}
