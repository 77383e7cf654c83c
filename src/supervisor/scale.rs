//! More slots, or fewer: the last ones come and go.

use std::collections::BTreeSet;

use super::slot::{Holder, Successor};
use super::{Action, Failure, Report, SlotNumber, State, Supervisor, WorkerId, MOST_SLOTS};

/// A change of the number of slots under way.
#[derive(Debug)]
pub(super) struct Scaling {
    /// The new slots whose worker has not been ready.
    awaited: BTreeSet<SlotNumber>,
}

impl Supervisor {
    /// A change while another is under way takes its place.
    pub(super) fn scale(&mut self, count: u32) {
        let refused = match self.state {
            State::New => Some("the supervisor was not started".to_owned()),
            State::Stopping(_) | State::Stopped => Some("the supervisor stops".to_owned()),
            _ if count == 0 || count > MOST_SLOTS => Some(format!("the number of workers is from 1 to {MOST_SLOTS}")),
            _ => None,
        };
        if let Some(why) = refused {
            // Who waits for the change under way is not answered for another one's mistake.
            if self.scaling.is_none() {
                self.act(Action::ScaleFailed(Failure { slot: None, worker: None, why }));
            }
            return;
        }
        let old = std::mem::replace(&mut self.count, count);
        if old != count {
            self.report(Report::new("scaling").with("from", old).with("to", count));
        }
        let scaling = self.scaling.get_or_insert(Scaling { awaited: BTreeSet::new() });
        scaling.awaited.extend(old..count);
        scaling.awaited.retain(|slot| *slot < count);
        self.make_slots();
        (count..old).for_each(|slot| self.remove_slot(slot));
    }

    fn remove_slot(&mut self, number: SlotNumber) {
        self.replacing.take_if(|replacing| replacing.slot == number);
        let now = self.now;
        let slot = &mut self.slots[number as usize];
        let mut leaving: Vec<WorkerId> = Vec::new();
        if let Holder::Worker(id) = slot.holder {
            leaving.push(id);
        }
        if let Some(Successor::Worker(id)) = slot.successor {
            leaving.push(id);
        }
        slot.give_up(now);
        for id in leaving {
            self.wishes.retain(|wish| wish.worker != id);
            self.dismiss(id);
        }
    }

    pub(super) fn scaling_succeeded(&mut self, slot: SlotNumber) {
        if let Some(scaling) = &mut self.scaling {
            scaling.awaited.remove(&slot);
        }
    }

    /// The worker of a slot has failed: if that is a new slot, the change has failed. The slot stays.
    pub(super) fn scaling_failed(&mut self, slot: SlotNumber, failure: Failure) {
        if self.scaling.take_if(|scaling| scaling.awaited.contains(&slot)).is_some() {
            self.report(Report::new("scale-failed").slot(slot).with("why", failure.why.clone()));
            self.act(Action::ScaleFailed(failure));
        }
    }

    /// A change is done when each new slot has been ready, and nobody is left in the old ones.
    pub(super) fn settle_scaling(&mut self) {
        let Some(scaling) = &self.scaling else { return };
        let left = self.workers.values().any(|worker| worker.slot >= self.count);
        let forking = self.slots[self.count as usize..].iter().any(|slot| slot.is_forking());
        if scaling.awaited.is_empty() && !left && !forking {
            self.scaling = None;
            let count = self.count;
            self.report(Report::new("scaled").with("count", count));
            self.act(Action::Scaled { count });
        }
    }
}
