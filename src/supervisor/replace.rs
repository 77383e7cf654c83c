//! Replacing a worker by will: the replacement first, and one at a time.

use nix::sys::signal::Signal;

use super::slot::{Holder, Successor};
use super::worker::Phase;
use super::{Failure, Report, SlotNumber, Supervisor, WorkerId};

/// Why a worker is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Stuck,
    Reload,
    Memory,
    Lifetime,
    Connections,
}

impl Cause {
    pub fn name(self) -> &'static str {
        match self {
            Cause::Stuck => "stuck",
            Cause::Reload => "reload",
            Cause::Memory => "memory",
            Cause::Lifetime => "lifetime",
            Cause::Connections => "connections",
        }
    }
}

/// The one replacement that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replacing {
    pub slot: SlotNumber,
    pub cause: Cause,
}

impl Supervisor {
    /// Begins the next replacement, if none is under way.
    pub(super) fn replace_next(&mut self) {
        if self.replacing.is_some() || !self.is_running() {
            return;
        }
        if let Some((slot, cause)) =
            self.next_stuck().or_else(|| self.next_of_reload()).or_else(|| self.next_recycled())
        {
            self.begin_to_replace(slot, cause);
        }
    }

    /// Whether a successor could be started in a slot now.
    pub(super) fn is_replaceable(&self, slot: SlotNumber) -> bool {
        let slot_of = self.slots.get(slot as usize);
        self.is_wanted(slot) && slot_of.is_some_and(|slot| slot.successor.is_none() && slot.holder != Holder::Forking)
    }

    fn begin_to_replace(&mut self, slot: SlotNumber, cause: Cause) {
        self.replacing = Some(Replacing { slot, cause });
        let old = self.holder(slot).map(|(id, _)| id);
        self.report(Report::new("replacing").slot(slot).with("cause", cause.name()).with_some("old", old));
        self.slots[slot as usize].successor = Some(Successor::Forking);
        self.ask_for_fork(slot);
    }

    /// A successor is ready: it is the holder, and the old one leaves.
    pub(super) fn take_over(&mut self, number: SlotNumber, id: WorkerId) {
        let old = self.holder(number).map(|(old, _)| old);
        let slot = &mut self.slots[number as usize];
        slot.holder = Holder::Worker(id);
        slot.successor = None;
        let cause = self.replacing.take().map_or(Cause::Reload, |replacing| replacing.cause);
        let report = self.about("replaced", id).with("cause", cause.name()).with_some("old", old);
        self.report(report);
        let Some(old) = old else { return };
        self.wishes.retain(|wish| wish.worker != old);
        let worker = &self.workers[&old];
        // What is stuck hears neither a message nor a handler of SIGTERM; SIGABRT leaves a core where one is wanted.
        let stuck = worker.phase == Phase::Ready && self.options.stuck.is_some_and(|stuck| worker.quiet >= stuck);
        if stuck {
            self.terminate(old, Signal::SIGABRT);
        } else {
            self.dismiss(old);
        }
    }

    /// A successor could not be started, died or was late, and is the successor no more: the old one stays.
    pub(super) fn successor_failed(&mut self, failure: Failure) {
        let Some(number) = failure.slot else { return };
        self.slots[number as usize].successor = None;
        let Some(Replacing { cause, .. }) = self.replacing.take_if(|replacing| replacing.slot == number) else {
            return;
        };
        let report = Report { worker: failure.worker, ..Report::new("replace-failed").slot(number) };
        self.report(report.with("cause", cause.name()).with("why", failure.why.clone()));
        if cause == Cause::Reload {
            self.reload_failed(failure);
        } else {
            let slot = &mut self.slots[number as usize];
            let pause = slot.backoff.next(self.options.backoff, self.options.jitter, &mut self.random);
            slot.not_before = self.now.saturating_add(pause);
        }
    }

    /// A successor is not wanted any more.
    pub(super) fn cancel_successor(&mut self, number: SlotNumber) {
        let slot = &mut self.slots[number as usize];
        if let Some(Successor::Worker(id)) = slot.successor {
            slot.successor = None;
            self.dismiss(id);
        }
    }
}
