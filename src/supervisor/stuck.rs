//! Workers that are stuck: told first, then replaced.

use super::replace::Cause;
use super::worker::Phase;
use super::{Action, Millis, SlotNumber, Supervisor, WorkerId};

impl Supervisor {
    /// A worker has been stuck for a while, or (0) is so no more. One that boots may take its time.
    pub(super) fn quiet(&mut self, id: WorkerId, duration: Millis) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if matches!(worker.phase, Phase::Booting { .. }) {
            return;
        }
        worker.quiet = duration;
        if duration == 0 {
            let told = std::mem::take(&mut worker.diagnosed);
            self.wishes.retain(|wish| wish.worker != id || wish.cause != Cause::Stuck);
            if told {
                let report = self.about("turns-again", id);
                self.report(report);
            }
            return;
        }
        if !worker.diagnosed && self.options.stuck_report.is_some_and(|limit| duration >= limit) {
            worker.diagnosed = true;
            let report = self.about("stuck", id).with("for", duration);
            self.report(report);
            self.act(Action::Diagnose { worker: id });
        }
        if self.options.stuck.is_some_and(|limit| duration >= limit) {
            self.wish(id, Cause::Stuck);
        }
    }

    /// The stuck worker that is replaced next.
    pub(super) fn next_stuck(&self) -> Option<(SlotNumber, Cause)> {
        self.wishes.iter().filter(|wish| wish.cause == Cause::Stuck).find_map(|wish| self.grant(*wish))
    }
}
