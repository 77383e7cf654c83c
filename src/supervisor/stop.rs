//! The end: of itself, or since somebody wants it.

use super::slot::{Holder, Vacancy};
use super::worker::Phase;
use super::{Action, Failure, Millis, Report, State, Supervisor, WorkerId};

/// A stop under way.
#[derive(Debug)]
pub(super) struct Stopping {
    /// Until then the workers go on as if nothing were.
    delay: Option<Millis>,
    /// What to end with, if it is not our own code.
    code: Option<i32>,
    /// A deadline has cut requests off.
    pub cut_off: bool,
}

impl Supervisor {
    pub(super) fn stop(&mut self, at_once: bool) {
        match self.state {
            State::New => self.end(0),
            State::Starting { .. } | State::Running => {
                let serves = self.workers.values().any(|worker| worker.phase == Phase::Ready);
                let delay = if at_once || !serves { 0 } else { self.options.shutdown_delay };
                self.begin_to_stop(Some(delay), None);
                if at_once {
                    self.kill_all();
                }
            }
            State::Stopping(_) => self.kill_all(),
            State::Stopped => {}
        }
    }

    fn begin_to_stop(&mut self, delay: Option<Millis>, code: Option<i32>) {
        let report = Report::new("stopping").with("delay", delay.unwrap_or(0)).with_some("code", code);
        self.report(report);
        let failure = Failure { slot: None, worker: None, why: "the supervisor stops".into() };
        self.reload_failed(failure.clone());
        if self.scaling.take().is_some() {
            self.act(Action::ScaleFailed(failure));
        }
        if let Some(replacing) = self.replacing.take() {
            self.cancel_successor(replacing.slot);
        }
        self.wishes.clear();
        let delay = Some(self.now.saturating_add(delay.unwrap_or(0)));
        self.state = State::Stopping(Stopping { delay, code, cut_off: false });
        self.end_delay();
    }

    pub(super) fn end_of_delay(&self) -> Option<Millis> {
        match &self.state {
            State::Stopping(stopping) => stopping.delay,
            _ => None,
        }
    }

    /// When the delay is over, all workers are told to leave.
    pub(super) fn end_delay(&mut self) {
        let State::Stopping(stopping) = &mut self.state else { return };
        if stopping.delay.take_if(|until| *until <= self.now).is_none() {
            return;
        }
        let now = self.now;
        self.slots.iter_mut().for_each(|slot| slot.give_up(now));
        let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
        ids.into_iter().for_each(|id| self.dismiss(id));
    }

    fn kill_all(&mut self) {
        let now = self.now;
        if let State::Stopping(stopping) = &mut self.state {
            stopping.delay = None;
            stopping.cut_off |=
                self.workers.values().any(|worker| matches!(worker.phase, Phase::Ready | Phase::Draining { .. }));
        }
        self.slots.iter_mut().for_each(|slot| slot.give_up(now));
        let living = self.workers.iter().filter(|(_, worker)| worker.phase != Phase::Killed);
        let ids: Vec<WorkerId> = living.map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.kill(id));
    }

    /// Gives up if no slot can be filled any more, and ends when nothing lives.
    pub(super) fn give_up_or_end(&mut self) {
        if let Some((code, why)) = self.is_hopeless() {
            self.report(Report::new("gave-up").with("why", why).with("code", code));
            self.begin_to_stop(None, Some(code));
        }
        let forking = self.slots.iter().any(|slot| slot.is_forking());
        let State::Stopping(stopping) = &self.state else { return };
        if self.workers.is_empty() && !forking {
            let cut_off = if stopping.cut_off { 3 } else { 0 };
            self.end(stopping.code.unwrap_or(cut_off));
        }
    }

    fn end(&mut self, code: i32) {
        self.state = State::Stopped;
        self.report(Report::new("stopped").with("code", code));
        self.act(Action::End { code });
    }

    /// Whether nobody serves and nobody is about to; the code for it, and why.
    fn is_hopeless(&self) -> Option<(i32, &'static str)> {
        let first = match self.state {
            State::Starting { code } => code,
            State::Running => None,
            _ => return None,
        };
        let mut braked = false;
        let mut down = None;
        for slot in &self.slots[..self.count as usize] {
            match slot.holder {
                _ if slot.successor.is_some() => return None,
                Holder::Nobody(Vacancy::Braked(_)) => braked = true,
                Holder::Nobody(Vacancy::Down(code)) => down = down.or(Some(code)),
                Holder::Nobody(Vacancy::Failed) => {}
                _ => return None,
            }
        }
        Some(match (first, down) {
            _ if braked => (1, "workers die faster than they may be started again"),
            // Nothing was served: that is no success, whatever the worker says.
            (Some(code), _) => (if code == 0 { 1 } else { code }, "no worker became ready"),
            (None, Some(code)) => (code, "all workers stay down"),
            (None, None) => return None,
        })
    }
}
