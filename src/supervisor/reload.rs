//! A reload: every slot is filled anew, one after the other. The first replacement that fails ends it.

use std::collections::BTreeMap;

use super::replace::Cause;
use super::worker::Phase;
use super::{Action, Failure, Report, SlotNumber, State, Supervisor, Worker, WorkerId};

/// A reload under way.
#[derive(Debug)]
pub(super) struct Reload {
    /// The slots that are not done, and the generation up to which their workers are old.
    pending: BTreeMap<SlotNumber, u32>,
    /// The slots that were asked for, done or not: who asks for one of them again joins.
    asked: Vec<SlotNumber>,
    replaced: u32,
}

impl Supervisor {
    pub(super) fn ask_reload(&mut self, worker: Option<WorkerId>) {
        let slots: Vec<_> = match worker {
            None => (0..self.count).collect(),
            Some(id) => self.workers.get(&id).map(|worker| worker.slot).into_iter().collect(),
        };
        let refused = match self.state {
            State::New => Some("the supervisor was not started".to_owned()),
            State::Stopping(_) | State::Stopped => Some("the supervisor stops".to_owned()),
            // Who waits for the reload under way is not answered for another one's mistake.
            _ if self.reload.is_some() => None,
            _ if slots.is_empty() => worker.map(|id| format!("there is no worker {id}")),
            _ => None,
        };
        if let Some(why) = refused {
            self.act(Action::ReloadFailed(Failure { slot: None, worker, why }));
            return;
        }
        let begins = self.reload.is_none();
        let reload = self.reload.get_or_insert(Reload { pending: BTreeMap::new(), asked: Vec::new(), replaced: 0 });
        for number in slots {
            if !reload.asked.contains(&number) {
                reload.asked.push(number);
                reload.pending.insert(number, self.slots[number as usize].generation);
            }
        }
        if begins {
            let slots = u32::try_from(reload.pending.len()).unwrap_or(u32::MAX);
            self.report(Report::new("reload-started").with("slots", slots));
        }
    }

    /// Slots with a new worker that is ready are done, and so is the reload when none is left.
    pub(super) fn settle_reload(&mut self) {
        let Some(mut reload) = self.reload.take() else { return };
        reload.pending.retain(|number, _| self.is_wanted(*number));
        let wanted = reload.pending.len();
        reload.pending.retain(|number, old| {
            let is_new = |worker: &Worker| worker.generation > *old && worker.phase == Phase::Ready;
            !self.holder(*number).is_some_and(|(_, worker)| is_new(worker))
        });
        reload.replaced += u32::try_from(wanted - reload.pending.len()).unwrap_or(0);
        if reload.pending.is_empty() {
            self.memory_refused = false;
            self.report(Report::new("reload-done").with("replaced", reload.replaced));
            self.act(Action::Reloaded { replaced: reload.replaced });
        } else {
            self.reload = Some(reload);
        }
    }

    /// The slot that a reload fills next.
    pub(super) fn next_of_reload(&self) -> Option<(SlotNumber, Cause)> {
        let mut pending = self.reload.as_ref()?.pending.iter();
        let (number, _) = pending.find(|(number, old)| self.is_to_be_filled_anew(**number, **old))?;
        Some((*number, Cause::Reload))
    }

    /// Whether a slot needs a replacement: it has an old worker, or none. A new one that boots, since the old one died,
    /// is waited for.
    fn is_to_be_filled_anew(&self, number: SlotNumber, old: u32) -> bool {
        let is_new = |worker: &Worker| worker.generation > old && matches!(worker.phase, Phase::Booting { .. });
        let boots = self.holder(number).is_some_and(|(_, worker)| is_new(worker));
        self.is_replaceable(number) && !boots
    }

    pub(super) fn reload_failed(&mut self, failure: Failure) {
        if self.reload.take().is_some() {
            let report = Report { slot: failure.slot, worker: failure.worker, ..Report::new("reload-failed") };
            self.report(report.with("why", failure.why.clone()));
            self.act(Action::ReloadFailed(failure));
        }
    }
}
