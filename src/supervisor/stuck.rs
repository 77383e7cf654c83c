//! Workers that are stuck: told first, then replaced.

use super::replace::Cause;
use super::{Action, Millis, SlotNumber, Supervisor, WorkerId};

impl Supervisor {
    /// A worker has been stuck for a while, or (0) is so no more. One that has not been ready may
    /// take its time.
    pub(super) fn quiet(&mut self, id: WorkerId, duration: Millis) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.ready.is_some()) else { return };
        worker.quiet = duration;
        let reaches = |limit: Option<Millis>| duration > 0 && limit.is_some_and(|limit| duration >= limit);
        let (told, tell) = (worker.diagnosed, reaches(self.options.stuck_report));
        worker.diagnosed = tell;
        if told && !tell {
            let report = self.about("turns-again", id);
            self.report(report);
        } else if tell && !told {
            let report = self.about("stuck", id).with("for", duration);
            self.report(report);
            self.act(Action::Diagnose { worker: id });
        }
        if reaches(self.options.stuck) {
            self.wish(id, Cause::Stuck);
        } else {
            self.wishes.retain(|wish| wish.worker != id || wish.cause != Cause::Stuck);
        }
    }

    /// The stuck worker that is replaced next.
    pub(super) fn next_stuck(&self) -> Option<(SlotNumber, Cause)> {
        self.wishes.iter().filter(|wish| wish.cause == Cause::Stuck).find_map(|wish| self.grant(*wish))
    }
}
