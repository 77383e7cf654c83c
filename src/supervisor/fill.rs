//! Filling slots, at the start and again after a worker has died.

use super::brake::Verdict;
use super::slot::{Holder, Slot, Successor, Vacancy};
use super::worker::Phase;
use super::{Action, Budget, Exit, Failure, Report, SlotNumber, State, Supervisor, Worker, WorkerId};

impl Supervisor {
    pub(super) fn start(&mut self) {
        if matches!(self.state, State::New) {
            self.state = State::Starting { code: None };
            self.make_slots();
        }
    }

    /// The slots that there are to be, the new ones empty.
    pub(super) fn make_slots(&mut self) {
        let now = self.now;
        self.slots.resize_with(self.slots.len().max(self.count as usize), || Slot::new(now));
        for slot in &mut self.slots[..self.count as usize] {
            if slot.holder == Holder::Nobody(Vacancy::Unwanted) {
                slot.holder = Holder::Nobody(Vacancy::New);
            }
        }
    }

    /// Starts workers for the empty slots whose time has come.
    pub(super) fn fill(&mut self) {
        if !self.is_running() {
            return;
        }
        for number in 0..self.count {
            let slot = &mut self.slots[number as usize];
            let Holder::Nobody(vacancy) = slot.holder else { continue };
            if slot.successor.is_some() {
                continue;
            }
            match vacancy {
                Vacancy::New => self.fork(number),
                Vacancy::Waiting(at) | Vacancy::Braked(at)
                    if at <= self.now && matches!(self.state, State::Running) =>
                {
                    self.restart(number)
                }
                _ => {}
            }
        }
    }

    fn fork(&mut self, number: SlotNumber) {
        self.slots[number as usize].holder = Holder::Forking;
        self.ask_for_fork(number);
    }

    pub(super) fn ask_for_fork(&mut self, number: SlotNumber) {
        let slot = &mut self.slots[number as usize];
        slot.generation = slot.generation.saturating_add(1);
        let generation = slot.generation;
        self.act(Action::Fork { slot: number, generation });
    }

    fn restart(&mut self, number: SlotNumber) {
        let budget = self.options.max_restarts.unwrap_or_else(|| Budget::of(self.count));
        let verdict = self.brake.ask(self.now, budget);
        let slot = &mut self.slots[number as usize];
        match verdict {
            Verdict::Go => {
                slot.restarts = slot.restarts.saturating_add(1);
                self.fork(number);
            }
            Verdict::Wait(until) => {
                slot.holder = Holder::Nobody(Vacancy::Braked(until));
                let pause = until - self.now;
                self.report(Report::new("braked").slot(number).with("in", pause));
            }
            Verdict::Never => slot.holder = Holder::Nobody(Vacancy::Down(1)),
        }
    }

    pub(super) fn forked(&mut self, number: SlotNumber, id: WorkerId) {
        if self.workers.contains_key(&id) {
            return;
        }
        let Some(slot) = self.slot(number).filter(|slot| slot.is_forking()) else { return };
        let generation = slot.generation;
        let succeeds = slot.successor.take_if(|successor| *successor == Successor::Forking).is_some();
        self.workers.insert(id, Worker::new(number, generation, self.now, self.options.ready_timeout));
        let report = self.about("forked", id).with("generation", generation);
        self.report(report);
        let wanted = self.is_wanted(number);
        let replaced = self.replacing.is_some_and(|replacing| replacing.slot == number);
        let slot = &mut self.slots[number as usize];
        match (succeeds, wanted) {
            (true, true) if replaced => slot.successor = Some(Successor::Worker(id)),
            (false, true) => slot.holder = Holder::Worker(id),
            (succeeds, _) => {
                if !succeeds {
                    slot.holder = Holder::Nobody(Vacancy::Unwanted);
                }
                self.dismiss(id);
            }
        }
    }

    pub(super) fn fork_failed(&mut self, number: SlotNumber, why: String) {
        let now = self.now;
        let Some(slot) = self.slot(number).filter(|slot| slot.is_forking()) else { return };
        let succeeds = slot.successor.take_if(|successor| *successor == Successor::Forking).is_some();
        if !succeeds {
            slot.vacant_since = now;
        }
        let failure = Failure { slot: Some(number), worker: None, why: format!("could not be started: {why}") };
        self.report(Report::new("fork-failed").slot(number).with("why", why));
        if succeeds {
            self.successor_failed(failure);
        } else {
            self.vacate(number, 1, failure);
        }
    }

    pub(super) fn online(&mut self, id: WorkerId) {
        if self.workers.contains_key(&id) {
            let report = self.about("online", id);
            self.report(report);
        }
    }

    pub(super) fn exited(&mut self, id: WorkerId, exit: &Exit) {
        let Some(worker) = self.workers.get(&id) else { return };
        let (number, late) = (worker.slot, worker.late.clone());
        let (holds, succeeds) = (self.holds(id), self.succeeds(id));
        let told = matches!(worker.phase, Phase::Draining { .. } | Phase::Terminating { .. } | Phase::Killed);
        let unfinished =
            matches!(worker.phase, Phase::Draining { .. } | Phase::Terminating { .. }) && exit.is_violent();
        let stable = worker.ready.is_some_and(|since| self.now - since >= self.options.stable_after);
        let report = self
            .about("exited", id)
            .with_some("code", exit.code)
            .with_some("signal", exit.signal.clone())
            .with("uptime", self.now - worker.forked)
            .with("expected", told);
        let when = if worker.ready.is_some() { "" } else { " before it was ready" };
        let code = if late.is_some() { 1 } else { exit.as_code() };
        let why = late.unwrap_or_else(|| format!("{exit}{when}"));
        let failure = Failure { slot: Some(number), worker: Some(id), why };
        self.report(report);
        self.workers.remove(&id);
        if let State::Stopping(stopping) = &mut self.state {
            stopping.cut_off |= unfinished;
        }
        self.wishes.retain(|wish| wish.worker != id);
        if holds {
            let slot = &mut self.slots[number as usize];
            slot.vacant_since = self.now;
            if stable {
                slot.backoff.forget();
            }
            self.vacate(number, code, failure);
        } else if succeeds {
            self.successor_failed(failure);
        }
    }

    /// Nobody fills a slot any more, since its worker failed: decides what becomes of it.
    fn vacate(&mut self, number: SlotNumber, code: i32, failure: Failure) {
        let vacancy = if !self.is_wanted(number) {
            Vacancy::Unwanted
        } else if self.options.stay_down.contains(&code) && failure.worker.is_some() {
            self.report(Report::new("stays-down").slot(number).with("code", code));
            Vacancy::Down(code)
        } else if let State::Starting { code: first } = &mut self.state {
            first.get_or_insert(code);
            Vacancy::Failed
        } else {
            self.back_off(number)
        };
        self.slots[number as usize].holder = Holder::Nobody(vacancy);
        self.scaling_failed(number, failure);
    }

    /// A slot waits for its back-off.
    fn back_off(&mut self, number: SlotNumber) -> Vacancy {
        let slot = &mut self.slots[number as usize];
        let pause = slot.backoff.next(self.options.backoff, self.options.jitter, &mut self.random);
        if slot.successor.is_none() {
            self.report(Report::new("restarting").slot(number).with("in", pause));
        }
        Vacancy::Waiting(self.now.saturating_add(pause))
    }

    /// The first worker is ready: what failed before is tried again from now on.
    pub(super) fn start_succeeded(&mut self) {
        if !matches!(self.state, State::Starting { .. }) {
            return;
        }
        self.state = State::Running;
        for number in 0..self.count {
            if self.slots[number as usize].holder == Holder::Nobody(Vacancy::Failed) {
                let vacancy = self.back_off(number);
                self.slots[number as usize].holder = Holder::Nobody(vacancy);
            }
        }
    }
}
